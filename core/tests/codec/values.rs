//! Random arguments, tables and properties, and the same ones as `amq-protocol` has them.

use std::collections::BTreeMap;
use std::fmt::Debug;

use amq_protocol::protocol::BasicProperties as TheirProperties;
use amq_protocol::types as theirs;
use amq_protocol::types::AMQPValue;
use bytes::Bytes;
use proptest::prelude::*;
use warren_core::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};

/// Which values to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// All that the wire can carry.
    Wire,
    /// What `amq-protocol` can hold too. Its short strings are UTF-8, and its tables are maps:
    /// each name once, in the order of the names.
    Shared,
}

/// A type of argument: random ones, and its counterpart in `amq-protocol`.
pub(super) trait Argument: Sized + Debug + 'static {
    type Theirs;
    fn any(range: Range) -> BoxedStrategy<Self>;
    fn to_theirs(&self) -> Self::Theirs;
    fn from_theirs(theirs: &Self::Theirs) -> Self;
}

macro_rules! plain_argument {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            type Theirs = Self;
            fn any(_: Range) -> BoxedStrategy<Self> {
                any::<Self>().boxed()
            }
            fn to_theirs(&self) -> Self {
                *self
            }
            fn from_theirs(theirs: &Self) -> Self {
                *theirs
            }
        }
    )*};
}

plain_argument!(bool u8 u16 u32 u64);

impl Argument for ShortStr {
    type Theirs = theirs::ShortString;
    fn any(range: Range) -> BoxedStrategy<Self> {
        let bytes = match range {
            Range::Wire => prop::collection::vec(any::<u8>(), 0..=255).boxed(),
            Range::Shared => "\\PC{0,60}".prop_map(String::into_bytes).boxed(),
        };
        let bytes = prop_oneof![8 => "[a-z.#*é-]{0,10}".prop_map(String::into_bytes), 1 => bytes];
        bytes.prop_map(|bytes| Self::new(bytes.into()).expect("at most 255 bytes")).boxed()
    }
    fn to_theirs(&self) -> Self::Theirs {
        self.to_text().into_owned().into()
    }
    fn from_theirs(theirs: &Self::Theirs) -> Self {
        theirs.as_str().into()
    }
}

/// A long string.
impl Argument for Bytes {
    type Theirs = theirs::LongString;
    fn any(_: Range) -> BoxedStrategy<Self> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Self::from).boxed()
    }
    fn to_theirs(&self) -> Self::Theirs {
        self.to_vec().into()
    }
    fn from_theirs(theirs: &Self::Theirs) -> Self {
        Self::copy_from_slice(theirs.as_bytes())
    }
}

impl Argument for FieldTable {
    type Theirs = theirs::FieldTable;
    fn any(range: Range) -> BoxedStrategy<Self> {
        any_table_of(range, any_value(range).boxed())
    }
    fn to_theirs(&self) -> Self::Theirs {
        let entries = self.iter().map(|(name, value)| (name.to_theirs(), value_to_theirs(value)));
        entries.collect::<BTreeMap<_, _>>().into()
    }
    fn from_theirs(theirs: &Self::Theirs) -> Self {
        let entries = theirs.into_iter();
        Self::new(entries.map(|(k, v)| (ShortStr::from_theirs(k), value_from_theirs(v))).collect())
    }
}

fn any_table_of(range: Range, value: BoxedStrategy<FieldValue>) -> BoxedStrategy<FieldTable> {
    let entries = prop::collection::vec((ShortStr::any(range), value), 0..5);
    match range {
        Range::Wire => entries.prop_map(FieldTable::new).boxed(),
        Range::Shared => entries
            .prop_map(|entries| entries.into_iter().collect::<BTreeMap<_, _>>())
            .prop_map(|entries| FieldTable::new(entries.into_iter().collect()))
            .boxed(),
    }
}

/// Any value of any type.
pub(super) fn any_value(range: Range) -> impl Strategy<Value = FieldValue> {
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
        Bytes::any(range).prop_map(FieldValue::LongStr),
        Bytes::any(range).prop_map(FieldValue::ByteArray),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(FieldValue::Array),
            any_table_of(range, inner).prop_map(FieldValue::Table),
        ]
    })
}

pub(super) fn value_to_theirs(value: &FieldValue) -> AMQPValue {
    match value {
        FieldValue::Bool(v) => AMQPValue::Boolean(*v),
        FieldValue::I8(v) => AMQPValue::ShortShortInt(*v),
        FieldValue::U8(v) => AMQPValue::ShortShortUInt(*v),
        FieldValue::I16(v) => AMQPValue::ShortInt(*v),
        FieldValue::U16(v) => AMQPValue::ShortUInt(*v),
        FieldValue::I32(v) => AMQPValue::LongInt(*v),
        FieldValue::U32(v) => AMQPValue::LongUInt(*v),
        FieldValue::I64(v) => AMQPValue::LongLongInt(*v),
        FieldValue::F32(bits) => AMQPValue::Float(f32::from_bits(*bits)),
        FieldValue::F64(bits) => AMQPValue::Double(f64::from_bits(*bits)),
        FieldValue::Decimal(scale, value) => {
            AMQPValue::DecimalValue(theirs::DecimalValue { scale: *scale, value: *value })
        }
        FieldValue::LongStr(v) => AMQPValue::LongString(v.to_theirs()),
        FieldValue::ByteArray(v) => AMQPValue::ByteArray(v[..].into()),
        FieldValue::Array(values) => {
            AMQPValue::FieldArray(values.iter().map(value_to_theirs).collect::<Vec<_>>().into())
        }
        FieldValue::Timestamp(v) => AMQPValue::Timestamp(*v),
        FieldValue::Table(table) => AMQPValue::FieldTable(table.to_theirs()),
        FieldValue::Void => AMQPValue::Void,
    }
}

pub(super) fn value_from_theirs(value: &AMQPValue) -> FieldValue {
    match value {
        AMQPValue::Boolean(v) => FieldValue::Bool(*v),
        AMQPValue::ShortShortInt(v) => FieldValue::I8(*v),
        AMQPValue::ShortShortUInt(v) => FieldValue::U8(*v),
        AMQPValue::ShortInt(v) => FieldValue::I16(*v),
        AMQPValue::ShortUInt(v) => FieldValue::U16(*v),
        AMQPValue::LongInt(v) => FieldValue::I32(*v),
        AMQPValue::LongUInt(v) => FieldValue::U32(*v),
        AMQPValue::LongLongInt(v) => FieldValue::I64(*v),
        AMQPValue::Float(v) => FieldValue::F32(v.to_bits()),
        AMQPValue::Double(v) => FieldValue::F64(v.to_bits()),
        AMQPValue::DecimalValue(v) => FieldValue::Decimal(v.scale, v.value),
        AMQPValue::ShortString(_) => panic!("a type that no octet of the wire stands for"),
        AMQPValue::LongString(v) => FieldValue::LongStr(Bytes::from_theirs(v)),
        AMQPValue::ByteArray(v) => FieldValue::ByteArray(Bytes::copy_from_slice(v.as_slice())),
        AMQPValue::FieldArray(values) => {
            FieldValue::Array(values.as_slice().iter().map(value_from_theirs).collect())
        }
        AMQPValue::Timestamp(v) => FieldValue::Timestamp(*v),
        AMQPValue::FieldTable(table) => FieldValue::Table(FieldTable::from_theirs(table)),
        AMQPValue::Void => FieldValue::Void,
    }
}

macro_rules! properties {
    ($($field:ident $with:ident)*) => {
        /// Any properties: each one there or not.
        pub(super) fn any_properties(range: Range) -> BoxedStrategy<BasicProperties> {
            let none = Just(BasicProperties::default()).boxed();
            $(let none = (none, prop::option::of(Argument::any(range)))
                .prop_map(|(properties, $field)| BasicProperties { $field, ..properties })
                .boxed();)*
            none
        }

        pub(super) fn properties_to_theirs(properties: &BasicProperties) -> TheirProperties {
            let BasicProperties { $($field),* } = properties;
            let mut theirs = TheirProperties::default();
            $(if let Some(value) = $field { theirs = theirs.$with(value.to_theirs()); })*
            theirs
        }

        pub(super) fn properties_from_theirs(theirs: &TheirProperties) -> BasicProperties {
            BasicProperties { $($field: theirs.$field().as_ref().map(Argument::from_theirs),)* }
        }
    };
}

properties! {
    content_type with_content_type
    content_encoding with_content_encoding
    headers with_headers
    delivery_mode with_delivery_mode
    priority with_priority
    correlation_id with_correlation_id
    reply_to with_reply_to
    expiration with_expiration
    message_id with_message_id
    timestamp with_timestamp
    kind with_type
    user_id with_user_id
    app_id with_app_id
    cluster_id with_cluster_id
}
