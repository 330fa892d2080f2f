//! Field values and tables: RabbitMQ's dialect, read and written byte by byte.

use smol_str::SmolStr;

/// A typed value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `t`
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
    /// `l`
    I64(i64),
    /// `f`, as its bits
    F32(u32),
    /// `d`, as its bits
    F64(u64),
    /// `D`
    Decimal(u8, u32),
    /// `S`
    Text(Vec<u8>),
    /// `x`
    Bytes(Vec<u8>),
    /// `A`
    Array(Vec<Value>),
    /// `T`
    Time(u64),
    /// `F`
    Table(Table),
    /// `V`
    Void,
}

impl Value {
    /// A text value.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    /// The text of a `S` in UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// A table: names and values in their order on the wire.
pub type Table = Vec<(String, Value)>;

/// A place in a payload; every read says whether there was enough.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len)?;
        self.rest = tail;
        Some(head)
    }

    #[inline]
    pub(super) fn number(&mut self, len: usize) -> Option<u64> {
        let mut number = [0; 8];
        number[8 - len..].copy_from_slice(self.take(len)?);
        Some(u64::from_be_bytes(number))
    }

    pub(super) fn short_text(&mut self) -> Option<SmolStr> {
        let len = self.number(1)? as usize;
        std::str::from_utf8(self.take(len)?).ok().map(SmolStr::new)
    }

    pub(super) fn long_bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.number(4)? as usize;
        Some(self.take(len)?.to_vec())
    }

    pub(super) fn table(&mut self) -> Option<Table> {
        let len = self.number(4)? as usize;
        let mut inner = Cursor { rest: self.take(len)? };
        let mut table = Table::new();
        while !inner.rest.is_empty() {
            table.push((inner.short_text()?.into(), inner.value()?));
        }
        Some(table)
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.number(1)? as u8 {
            b't' => Value::Bool(self.number(1)? != 0),
            b'b' => Value::I8(self.number(1)? as i8),
            b'B' => Value::U8(self.number(1)? as u8),
            b's' => Value::I16(self.number(2)? as i16),
            b'u' => Value::U16(self.number(2)? as u16),
            b'I' => Value::I32(self.number(4)? as i32),
            b'i' => Value::U32(self.number(4)? as u32),
            b'l' | b'L' => Value::I64(self.number(8)? as i64),
            b'f' => Value::F32(self.number(4)? as u32),
            b'd' => Value::F64(self.number(8)?),
            b'D' => Value::Decimal(self.number(1)? as u8, self.number(4)? as u32),
            b'S' => Value::Text(self.long_bytes()?),
            b'x' => Value::Bytes(self.long_bytes()?),
            b'A' => {
                let len = self.number(4)? as usize;
                let mut inner = Cursor { rest: self.take(len)? };
                let mut values = Vec::new();
                while !inner.rest.is_empty() {
                    values.push(inner.value()?);
                }
                Value::Array(values)
            }
            b'T' => Value::Time(self.number(8)?),
            b'F' => Value::Table(self.table()?),
            b'V' => Value::Void,
            _ => return None,
        })
    }
}

pub(super) fn put_short_text(out: &mut Vec<u8>, text: &str) {
    let len = u8::try_from(text.len()).expect("short texts of the simulator fit an octet");
    out.push(len);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_long_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn put_table(out: &mut Vec<u8>, table: &Table) {
    let mut inner = Vec::new();
    for (name, value) in table {
        put_short_text(&mut inner, name);
        put_value(&mut inner, value);
    }
    put_long_bytes(out, &inner);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Bool(v) => put(b't', &[u8::from(*v)]),
        Value::I8(v) => put(b'b', &v.to_be_bytes()),
        Value::U8(v) => put(b'B', &[*v]),
        Value::I16(v) => put(b's', &v.to_be_bytes()),
        Value::U16(v) => put(b'u', &v.to_be_bytes()),
        Value::I32(v) => put(b'I', &v.to_be_bytes()),
        Value::U32(v) => put(b'i', &v.to_be_bytes()),
        Value::I64(v) => put(b'l', &v.to_be_bytes()),
        Value::F32(v) => put(b'f', &v.to_be_bytes()),
        Value::F64(v) => put(b'd', &v.to_be_bytes()),
        Value::Decimal(scale, v) => {
            put(b'D', &[*scale]);
            out.extend_from_slice(&v.to_be_bytes());
        }
        Value::Text(v) => {
            put(b'S', &[]);
            put_long_bytes(out, v);
        }
        Value::Bytes(v) => {
            put(b'x', &[]);
            put_long_bytes(out, v);
        }
        Value::Array(values) => {
            put(b'A', &[]);
            let mut inner = Vec::new();
            values.iter().for_each(|value| put_value(&mut inner, value));
            put_long_bytes(out, &inner);
        }
        Value::Time(v) => put(b'T', &v.to_be_bytes()),
        Value::Table(v) => {
            put(b'F', &[]);
            put_table(out, v);
        }
        Value::Void => put(b'V', &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_every_type_is_read_as_it_was_written() {
        let table: Table = vec![
            ("t".into(), Value::Bool(true)),
            ("b".into(), Value::I8(-1)),
            ("B".into(), Value::U8(255)),
            ("s".into(), Value::I16(-2)),
            ("u".into(), Value::U16(65_535)),
            ("I".into(), Value::I32(-3)),
            ("i".into(), Value::U32(7)),
            ("l".into(), Value::I64(i64::MIN)),
            ("f".into(), Value::F32(1)),
            ("d".into(), Value::F64(2)),
            ("D".into(), Value::Decimal(2, 314)),
            ("S".into(), Value::text("text")),
            ("x".into(), Value::Bytes(vec![0, 255])),
            ("A".into(), Value::Array(vec![Value::Void, Value::text("a")])),
            ("T".into(), Value::Time(9)),
            ("F".into(), Value::Table(vec![("k".into(), Value::Void)])),
        ];
        let mut bytes = Vec::new();
        put_table(&mut bytes, &table);
        let mut cursor = Cursor { rest: &bytes };
        assert_eq!(cursor.table(), Some(table));
        for len in 0..bytes.len() {
            assert_eq!(Cursor { rest: &bytes[..len] }.table(), None, "cut at {len}");
        }
    }
}
