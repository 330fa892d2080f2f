//! Field tables: RabbitMQ's dialect of the typed values of 0-9-1 §4.2.5.5.
//!
//! Owns the grammar of tables and arrays, in both directions. Decoding never recurses deeper than
//! [`DEPTH_MAX`] and never allocates more than a constant times the bytes it was given.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::ShortStr;
use super::reader::{Malformed, Reader};

/// How deep tables and arrays may stand in each other. RabbitMQ has no limit; ours is there so
/// that no client decides how much stack the broker uses.
pub(super) const DEPTH_MAX: usize = 256;

/// One typed value.
///
/// Floating-point values are kept as their bits: the broker compares and forwards them, and never
/// computes with them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldValue {
    /// `t`: any octet but zero is true.
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L`, which RabbitMQ reads as signed too.
    I64(i64),
    /// `f`: the bits of an IEEE 754 single.
    F32(u32),
    /// `d`: the bits of an IEEE 754 double.
    F64(u64),
    /// `D`: scale and unscaled value.
    Decimal(u8, u32),
    /// `S`: text, by convention in UTF-8.
    LongStr(Bytes),
    /// `x`
    ByteArray(Bytes),
    /// `A`
    Array(Vec<FieldValue>),
    /// `T`: seconds since 1970, UTC.
    Timestamp(u64),
    /// `F`
    Table(FieldTable),
    /// `V`
    Void,
}

impl FieldValue {
    /// The value of any of the integer types: RabbitMQ takes them for equal where it reads
    /// arguments.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(v) => Some(v.into()),
            Self::U8(v) => Some(v.into()),
            Self::I16(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::I32(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::I64(v) => Some(v),
            _ => None,
        }
    }

    /// The bytes of a `S`.
    #[must_use]
    pub fn as_longstr(&self) -> Option<&[u8]> {
        match self {
            Self::LongStr(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The type's name in RabbitMQ's messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal(..) => "decimal",
            Self::LongStr(_) => "longstr",
            Self::ByteArray(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }

    /// A text value.
    #[must_use]
    pub fn text(text: &'static str) -> Self {
        Self::LongStr(Bytes::from_static(text.as_bytes()))
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            b't' => Self::Bool(reader.u8()? != 0),
            b'b' => Self::I8(reader.u8()? as i8),
            b'B' => Self::U8(reader.u8()?),
            b's' => Self::I16(reader.u16()? as i16),
            b'u' => Self::U16(reader.u16()?),
            b'I' => Self::I32(reader.u32()? as i32),
            b'i' => Self::U32(reader.u32()?),
            b'l' | b'L' => Self::I64(reader.u64()? as i64),
            b'f' => Self::F32(reader.u32()?),
            b'd' => Self::F64(reader.u64()?),
            b'D' => Self::Decimal(reader.u8()?, reader.u32()?),
            b'S' => Self::LongStr(reader.longstr()?),
            b'x' => Self::ByteArray(reader.longstr()?),
            b'A' => Self::Array(read_array(reader, depth + 1)?),
            b'T' => Self::Timestamp(reader.u64()?),
            b'F' => Self::Table(FieldTable::read_nested(reader, depth + 1)?),
            b'V' => Self::Void,
            _ => return Err(Malformed),
        })
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Bool(v) => out.put_slice(&[b't', u8::from(*v)]),
            Self::I8(v) => out.put_slice(&[b'b', *v as u8]),
            Self::U8(v) => out.put_slice(&[b'B', *v]),
            Self::I16(v) => put(out, b's', &v.to_be_bytes()),
            Self::U16(v) => put(out, b'u', &v.to_be_bytes()),
            Self::I32(v) => put(out, b'I', &v.to_be_bytes()),
            Self::U32(v) => put(out, b'i', &v.to_be_bytes()),
            Self::I64(v) => put(out, b'l', &v.to_be_bytes()),
            Self::F32(v) => put(out, b'f', &v.to_be_bytes()),
            Self::F64(v) => put(out, b'd', &v.to_be_bytes()),
            Self::Decimal(scale, v) => {
                put(out, b'D', &[*scale]);
                out.put_u32(*v);
            }
            Self::LongStr(v) => put_long(out, b'S', v),
            Self::ByteArray(v) => put_long(out, b'x', v),
            Self::Array(values) => {
                out.put_u8(b'A');
                with_length(out, |out| values.iter().for_each(|v| v.write(out)));
            }
            Self::Timestamp(v) => put(out, b'T', &v.to_be_bytes()),
            Self::Table(table) => {
                out.put_u8(b'F');
                table.write(out);
            }
            Self::Void => out.put_u8(b'V'),
        }
    }
}

/// A table of named values, in the order in which they were written. A name that stands twice
/// counts the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldTable(Vec<(ShortStr, FieldValue)>);

impl FieldTable {
    /// A table of these entries.
    #[must_use]
    pub fn new(entries: Vec<(ShortStr, FieldValue)>) -> Self {
        Self(entries)
    }

    /// The value called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&FieldValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, name: ShortStr, value: FieldValue) {
        self.0.push((name, value));
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &(ShortStr, FieldValue)> {
        self.0.iter()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The same values in memory of their own, entries sorted by name: tables that differ in the
    /// order of their entries only are then equal.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut out = BytesMut::new();
        self.write(&mut out);
        let copy = out.freeze();
        let mut table = Self::read(&mut Reader::new(&copy)).expect("a table that was just written");
        table.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        table
    }

    /// Reads a table with its length in front.
    ///
    /// # Errors
    /// When the bytes are no table, or one nested deeper than [`DEPTH_MAX`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::read_nested(reader, 0)
    }

    /// Appends the table with its length in front.
    pub fn write(&self, out: &mut BytesMut) {
        with_length(out, |out| {
            for (name, value) in &self.0 {
                out.put_u8(name.len() as u8);
                out.put_slice(name.as_bytes());
                value.write(out);
            }
        });
    }

    fn read_nested(reader: &mut Reader<'_>, depth: usize) -> Result<Self, Malformed> {
        let mut entries = Vec::new();
        let end = nested_end(reader, depth)?;
        while reader.position() < end {
            entries.push((reader.shortstr()?, FieldValue::read(reader, depth)?));
        }
        if reader.position() == end { Ok(Self(entries)) } else { Err(Malformed) }
    }
}

/// Where the table or array that starts here ends.
fn nested_end(reader: &mut Reader<'_>, depth: usize) -> Result<usize, Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed);
    }
    let len = reader.u32()? as usize;
    if len > reader.remaining() { Err(Malformed) } else { Ok(reader.position() + len) }
}

fn read_array(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<FieldValue>, Malformed> {
    let mut values = Vec::new();
    let end = nested_end(reader, depth)?;
    while reader.position() < end {
        values.push(FieldValue::read(reader, depth)?);
    }
    if reader.position() == end { Ok(values) } else { Err(Malformed) }
}

fn put(out: &mut BytesMut, kind: u8, bytes: &[u8]) {
    out.put_u8(kind);
    out.put_slice(bytes);
}

fn put_long(out: &mut BytesMut, kind: u8, bytes: &[u8]) {
    out.put_u8(kind);
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn with_length(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    write(out);
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_shortstr() -> impl Strategy<Value = ShortStr> {
        "[a-zé.#*-]{0,12}".prop_map(|text| ShortStr::from(text.as_str()))
    }

    fn any_value() -> impl Strategy<Value = FieldValue> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let leaf = prop_oneof![
            any::<bool>().prop_map(FieldValue::Bool),
            any::<i8>().prop_map(FieldValue::I8),
            any::<u8>().prop_map(FieldValue::U8),
            any::<i16>().prop_map(FieldValue::I16),
            any::<u16>().prop_map(FieldValue::U16),
            any::<i32>().prop_map(FieldValue::I32),
            any::<u32>().prop_map(FieldValue::U32),
            any::<i64>().prop_map(FieldValue::I64),
            any::<u32>().prop_map(FieldValue::F32),
            any::<u64>().prop_map(FieldValue::F64),
            any::<(u8, u32)>().prop_map(|(scale, v)| FieldValue::Decimal(scale, v)),
            bytes().prop_map(FieldValue::LongStr),
            bytes().prop_map(FieldValue::ByteArray),
            any::<u64>().prop_map(FieldValue::Timestamp),
            Just(FieldValue::Void),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(FieldValue::Array),
                prop::collection::vec((any_shortstr(), inner), 0..5)
                    .prop_map(|entries| FieldValue::Table(FieldTable(entries))),
            ]
        })
    }

    pub(crate) fn any_table() -> impl Strategy<Value = FieldTable> {
        prop::collection::vec((any_shortstr(), any_value()), 0..6).prop_map(FieldTable)
    }

    fn written(table: &FieldTable) -> Bytes {
        let mut out = BytesMut::new();
        table.write(&mut out);
        out.freeze()
    }

    proptest! {
        #[test]
        fn a_written_table_reads_back(table in any_table()) {
            let bytes = written(&table);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(FieldTable::read(&mut reader), Ok(table));
            prop_assert_eq!(reader.remaining(), 0);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = FieldTable::read(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn a_table_cut_anywhere_is_malformed() {
        let inner = FieldTable(vec![("k".into(), FieldValue::text("v"))]);
        let table = FieldTable(vec![
            ("a".into(), FieldValue::Array(vec![FieldValue::I32(1), FieldValue::Void])),
            ("t".into(), FieldValue::Table(inner)),
        ]);
        let bytes = written(&table);
        for len in 0..bytes.len() {
            assert!(FieldTable::read(&mut Reader::new(&bytes.slice(..len))).is_err(), "{len}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let mut table = FieldTable::default();
            for _ in 0..depth {
                table = FieldTable(vec![("k".into(), FieldValue::Table(table))]);
            }
            written(&table)
        };
        assert!(FieldTable::read(&mut Reader::new(&nested(DEPTH_MAX))).is_ok());
        assert!(FieldTable::read(&mut Reader::new(&nested(DEPTH_MAX + 1))).is_err());
    }

    #[test]
    fn tables_that_say_the_same_have_one_canonical_form() {
        let a = ("a".into(), FieldValue::I32(1));
        let b = ("b".into(), FieldValue::Void);
        let one = FieldTable(vec![a.clone(), b.clone()]);
        let two = FieldTable(vec![b, a]);
        assert_eq!(one.canonical(), two.canonical());
    }
}
