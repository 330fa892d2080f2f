//! The properties of a content of class `basic` (§4.2.6.1, §1.8.1 of the reference).
//!
//! On the wire: an octet pair of flags, then the values that the flags announce. The broker keeps
//! them as they came and sends them on unchanged; it decodes them to look, and encodes them only
//! where it has to change one.

use core::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::{Malformed, Reader};
use super::{CompactBytes, FieldTable, ShortStr};

/// The flags of the properties `headers` and `priority`.
const HEADERS: u16 = 1 << 13;
const PRIORITY: u16 = 1 << 11;

/// Properties as they stand on the wire: flags and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties(CompactBytes);

impl Default for Properties {
    /// No property at all.
    fn default() -> Self {
        Self::NONE.clone()
    }
}

impl Properties {
    /// No property at all.
    const NONE: Self = Self(CompactBytes::few(&[0, 0]));

    /// The properties, if they are what most messages have, none or that they are persistent:
    /// nothing has to be read for that.
    pub(crate) fn well_known(&self) -> Option<&'static BasicProperties> {
        static NONE: BasicProperties = BasicProperties::NONE;
        static PERSISTENT: BasicProperties =
            BasicProperties { delivery_mode: Some(2), ..BasicProperties::NONE };
        match &self.0[..] {
            [0, 0] => Some(&NONE),
            [0b1_0000, 0, 2] => Some(&PERSISTENT),
            _ => None,
        }
    }

    /// Whether they hold on to a buffer that others may share.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// The same in memory of their own.
    pub(crate) fn detached(&self) -> Self {
        Self(CompactBytes::copy(&self.0))
    }

    /// What stood in a content header; nothing is checked before [`Self::decode`].
    #[must_use]
    pub fn from_wire(bytes: Bytes) -> Self {
        Self(bytes.into())
    }

    /// What stands in this part of these bytes.
    pub(crate) fn within(bytes: &Bytes, part: Range<usize>) -> Self {
        Self(CompactBytes::within(bytes, part.start, part.end))
    }

    /// Flags and values, as they are held.
    #[inline]
    pub(crate) fn as_compact(&self) -> &CompactBytes {
        &self.0
    }

    /// Flags and values.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When flags and values do not agree, or bytes follow the last value.
    pub fn decode(&self) -> Result<BasicProperties, Malformed> {
        match self.0.as_shared() {
            Some(bytes) => BasicProperties::read(Reader::new(bytes)),
            None => BasicProperties::read(Reader::of_slice(&self.0)),
        }
    }

    /// Whether they say that they have headers.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        let flags = self.0.first_chunk().copied().map_or(0, u16::from_be_bytes);
        flags & HEADERS != 0
    }

    /// The headers, if they can be read and have any. Costs little where they have none.
    #[must_use]
    pub fn headers(&self) -> Option<FieldTable> {
        if self.has_headers() { self.decode().ok()?.headers } else { None }
    }

    /// The priority, if they can be read and have one. Costs little where they have none.
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        let flags = u16::from_be_bytes(*self.0.first_chunk()?);
        if flags & PRIORITY == 0 {
            return None;
        }
        self.decode().ok()?.priority
    }
}

macro_rules! properties {
    ($($(#[$doc:meta])* $bit:literal $field:ident: $type:ident;)*) => {
        /// Decoded properties, in their order on the wire.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct BasicProperties {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl BasicProperties {
            /// No property at all.
            pub const NONE: Self = Self { $($field: None,)* };

            fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
                let flags = reader.u16()?;
                let properties = Self {
                    $($field: if flags & 1 << $bit == 0 { None } else {
                        Some(Property::read(&mut reader)?)
                    },)*
                };
                if reader.remaining() == 0 { Ok(properties) } else { Err(Malformed) }
            }

            /// The properties as they stand on the wire.
            #[must_use]
            pub fn encode(&self) -> Properties {
                let mut flags = 0;
                $(if self.$field.is_some() { flags |= 1 << $bit; })*
                let mut out = BytesMut::new();
                out.put_u16(flags);
                $(if let Some(value) = &self.$field { Property::write(value, &mut out); })*
                Properties(out.freeze().into())
            }
        }
    };
}

properties! {
    /// MIME type.
    15 content_type: ShortStr;
    /// MIME encoding.
    14 content_encoding: ShortStr;
    /// The application's own headers, and those by which headers exchanges route.
    13 headers: FieldTable;
    /// 1 transient, 2 persistent.
    12 delivery_mode: u8;
    /// From 0 upwards.
    11 priority: u8;
    /// The application's.
    10 correlation_id: ShortStr;
    /// Where to send replies; `amq.rabbitmq.reply-to` is the broker's business.
    9 reply_to: ShortStr;
    /// Time to live, in milliseconds, as decimal text.
    8 expiration: ShortStr;
    /// The application's.
    7 message_id: ShortStr;
    /// Seconds since 1970, UTC.
    6 timestamp: u64;
    /// The application's.
    5 kind: ShortStr;
    /// The publishing user, checked by the broker.
    4 user_id: ShortStr;
    /// The application's.
    3 app_id: ShortStr;
    /// Reserved.
    2 cluster_id: ShortStr;
}

impl BasicProperties {
    /// Whether the message asks to survive a restart.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode == Some(2)
    }
}

/// How a type of property is read and written.
trait Property: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
    fn write(&self, out: &mut BytesMut);
}

impl Property for u8 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.u8()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }
}

impl Property for u64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.u64()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u64(*self);
    }
}

impl Property for ShortStr {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.shortstr()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.len() as u8);
        out.put_slice(self.as_bytes());
    }
}

impl Property for FieldTable {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.table()
    }
    fn write(&self, out: &mut BytesMut) {
        FieldTable::write(self, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::field::tests::{any_shortstr, any_table};
    use super::*;

    proptest! {
        #[test]
        fn encoded_properties_decode_to_themselves(
            headers in prop::option::of(any_table()),
            texts in prop::collection::vec(prop::option::of(any_shortstr()), 4),
            octets in any::<(Option<u8>, Option<u8>)>(),
            timestamp in any::<Option<u64>>(),
        ) {
            let properties = BasicProperties {
                content_type: texts[0].clone(),
                headers,
                delivery_mode: octets.0,
                priority: octets.1,
                reply_to: texts[1].clone(),
                expiration: texts[2].clone(),
                timestamp,
                cluster_id: texts[3].clone(),
                ..BasicProperties::default()
            };
            prop_assert_eq!(properties.encode().decode(), Ok(properties));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Properties::from_wire(bytes.into()).decode();
        }
    }

    #[test]
    fn what_is_well_known_is_what_would_be_read() {
        for delivery_mode in [None, Some(2)] {
            let properties = BasicProperties { delivery_mode, ..BasicProperties::NONE }.encode();
            assert_eq!(properties.well_known().cloned(), properties.decode().ok());
        }
        let other = BasicProperties { delivery_mode: Some(1), ..BasicProperties::NONE };
        assert_eq!(other.encode().well_known(), None);
    }

    #[test]
    fn a_flag_without_its_value_is_malformed() {
        assert_eq!(Properties::from_wire(Bytes::from_static(&[0x80, 0])).decode(), Err(Malformed));
    }

    #[test]
    fn the_lowest_bits_of_the_flags_mean_nothing() {
        let properties = Properties::from_wire(Bytes::from_static(&[0, 1]));
        assert_eq!(properties.decode(), Ok(BasicProperties::default()));
    }
}
