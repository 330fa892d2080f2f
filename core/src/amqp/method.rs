//! The methods of 0-9-1 with RabbitMQ's additions: one table, from which the types, the decoder and
//! the encoder follow.
//!
//! Source: the specification's XML, §1.2 to §1.9 of its generated reference, and RabbitMQ's
//! extensions (`exchange.bind`, `basic.nack`, `confirm.select`, `connection.blocked`,
//! `connection.update-secret`; `access.request` from 0-9).

use alloc::boxed::Box;

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::{Malformed, Reader};
use super::{FieldTable, ShortStr};

/// Which method: class and method number. 0.0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MethodId {
    /// The class.
    pub class: u16,
    /// The method within the class.
    pub method: u16,
}

impl MethodId {
    /// No method: an error that no method caused.
    pub const NONE: Self = Self { class: 0, method: 0 };
}

/// Why a method frame could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodError {
    /// Fewer than the four bytes of the method's number.
    NoId,
    /// No such method.
    Unknown(MethodId),
    /// The method is known; its arguments are not what they must be, or bytes follow them.
    Malformed(MethodId),
}

/// How a type of argument is read and written.
trait Argument: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
    fn write(&self, writer: &mut Writer<'_>);
}

/// Writes arguments, packing bits that stand next to each other into one octet.
struct Writer<'a> {
    out: &'a mut BytesMut,
    bits: u8,
}

impl Writer<'_> {
    fn bit(&mut self, bit: bool) {
        if self.bits == 0 || self.bits == 8 {
            self.out.put_u8(0);
            self.bits = 0;
        }
        if bit {
            *self.out.last_mut().expect("an octet for bits") |= 1 << self.bits;
        }
        self.bits += 1;
    }

    fn out(&mut self) -> &mut BytesMut {
        self.bits = 0;
        self.out
    }
}

macro_rules! integer_argument {
    ($($type:ident $put:ident),*) => {$(
        impl Argument for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.$type()
            }
            fn write(&self, writer: &mut Writer<'_>) {
                writer.out().$put(*self);
            }
        }
    )*};
}

integer_argument!(u8 put_u8, u16 put_u16, u32 put_u32, u64 put_u64);

impl Argument for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.bit()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl Argument for ShortStr {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.shortstr()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.out().put_u8(self.len() as u8);
        writer.out().put_slice(self.as_bytes());
    }
}

/// A long string.
impl Argument for Bytes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.longstr()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.out().put_u32(self.len() as u32);
        writer.out().put_slice(self);
    }
}

impl Argument for FieldTable {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.table()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        self.write(writer.out());
    }
}

/// How [`Method`] has a method: those that are longer than the ones of every message are boxed, so
/// that frames are short, as they are moved several times.
macro_rules! held {
    ($Method:ident) => { $Method };
    ($Method:ident boxed) => { Box<$Method> };
}

macro_rules! methods {
    ($($class_id:literal $class_name:literal {
        $($method_id:literal $method_name:literal $Method:ident $($boxed:ident)?
            { $($field:ident : $type:ty),* $(,)? })*
    })*) => {
        $($(
            #[doc = concat!("`", $class_name, ".", $method_name, "`")]
            #[derive(Clone, Debug, Default, PartialEq, Eq)]
            #[allow(missing_docs)] // the fields bear the specification's names
            pub struct $Method { $(pub $field: $type),* }

            impl $Method {
                /// The method's number.
                pub const ID: MethodId = MethodId { class: $class_id, method: $method_id };
            }

            impl From<$Method> for Method {
                fn from(method: $Method) -> Self {
                    Self::$Method(method.into())
                }
            }
        )*)*

        /// Any method.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // each variant is its struct, which has a doc
        pub enum Method { $($($Method(held!($Method $($boxed)?)),)*)* }

        impl Method {
            /// Every method's number.
            pub const IDS: &'static [MethodId] = &[$($($Method::ID,)*)*];

            /// The method's number.
            #[must_use]
            pub fn id(&self) -> MethodId {
                match self { $($(Self::$Method(_) => $Method::ID,)*)* }
            }

            /// The method's name in the specification, such as `queue.declare`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $($(Self::$Method(_) => concat!($class_name, ".", $method_name),)*)*
                }
            }

            /// Reads the payload of a method frame, all of it.
            ///
            /// # Errors
            /// See [`MethodError`].
            pub fn read(payload: &Bytes) -> Result<Self, MethodError> {
                let mut reader = Reader::new(payload);
                let (Ok(class), Ok(method)) = (reader.u16(), reader.u16()) else {
                    return Err(MethodError::NoId);
                };
                let id = MethodId { class, method };
                let read = match (class, method) {
                    $($(($class_id, $method_id) => $Method::read(&mut reader).map(Into::into),)*)*
                    _ => return Err(MethodError::Unknown(id)),
                };
                read.ok()
                    .filter(|_| reader.remaining() == 0)
                    .ok_or(MethodError::Malformed(id))
            }

            /// Appends the payload of a method frame.
            pub fn write(&self, out: &mut BytesMut) {
                let id = self.id();
                out.put_u16(id.class);
                out.put_u16(id.method);
                let mut writer = Writer { out, bits: 0 };
                match self { $($(Self::$Method(method) => method.write(&mut writer),)*)* }
            }
        }

        $($(
            impl $Method {
                #[allow(unused_variables)] // methods without arguments
                fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                    Ok(Self { $($field: Argument::read(reader)?),* })
                }
                #[allow(unused_variables)]
                fn write(&self, writer: &mut Writer<'_>) {
                    $(Argument::write(&self.$field, writer);)*
                }
            }
        )*)*
    };
}

methods! {
    10 "connection" {
        10 "start" ConnectionStart boxed {
            version_major: u8, version_minor: u8, server_properties: FieldTable,
            mechanisms: Bytes, locales: Bytes,
        }
        11 "start-ok" ConnectionStartOk boxed {
            client_properties: FieldTable, mechanism: ShortStr, response: Bytes, locale: ShortStr,
        }
        20 "secure" ConnectionSecure { challenge: Bytes }
        21 "secure-ok" ConnectionSecureOk { response: Bytes }
        30 "tune" ConnectionTune { channel_max: u16, frame_max: u32, heartbeat: u16 }
        31 "tune-ok" ConnectionTuneOk { channel_max: u16, frame_max: u32, heartbeat: u16 }
        40 "open" ConnectionOpen { virtual_host: ShortStr, capabilities: ShortStr, insist: bool }
        41 "open-ok" ConnectionOpenOk { known_hosts: ShortStr }
        50 "close" ConnectionClose {
            reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16,
        }
        51 "close-ok" ConnectionCloseOk {}
        60 "blocked" ConnectionBlocked { reason: ShortStr }
        61 "unblocked" ConnectionUnblocked {}
        70 "update-secret" ConnectionUpdateSecret { new_secret: Bytes, reason: ShortStr }
        71 "update-secret-ok" ConnectionUpdateSecretOk {}
    }
    20 "channel" {
        10 "open" ChannelOpen { out_of_band: ShortStr }
        11 "open-ok" ChannelOpenOk { channel_id: Bytes }
        20 "flow" ChannelFlow { active: bool }
        21 "flow-ok" ChannelFlowOk { active: bool }
        40 "close" ChannelClose {
            reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16,
        }
        41 "close-ok" ChannelCloseOk {}
    }
    30 "access" {
        10 "request" AccessRequest {
            realm: ShortStr, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        }
        11 "request-ok" AccessRequestOk { ticket: u16 }
    }
    40 "exchange" {
        10 "declare" ExchangeDeclare boxed {
            ticket: u16, exchange: ShortStr, kind: ShortStr, passive: bool, durable: bool,
            auto_delete: bool, internal: bool, nowait: bool, arguments: FieldTable,
        }
        11 "declare-ok" ExchangeDeclareOk {}
        20 "delete" ExchangeDelete {
            ticket: u16, exchange: ShortStr, if_unused: bool, nowait: bool,
        }
        21 "delete-ok" ExchangeDeleteOk {}
        30 "bind" ExchangeBind boxed {
            ticket: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: FieldTable,
        }
        31 "bind-ok" ExchangeBindOk {}
        40 "unbind" ExchangeUnbind boxed {
            ticket: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: FieldTable,
        }
        51 "unbind-ok" ExchangeUnbindOk {}
    }
    50 "queue" {
        10 "declare" QueueDeclare boxed {
            ticket: u16, queue: ShortStr, passive: bool, durable: bool, exclusive: bool,
            auto_delete: bool, nowait: bool, arguments: FieldTable,
        }
        11 "declare-ok" QueueDeclareOk {
            queue: ShortStr, message_count: u32, consumer_count: u32,
        }
        20 "bind" QueueBind boxed {
            ticket: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: FieldTable,
        }
        21 "bind-ok" QueueBindOk {}
        30 "purge" QueuePurge { ticket: u16, queue: ShortStr, nowait: bool }
        31 "purge-ok" QueuePurgeOk { message_count: u32 }
        40 "delete" QueueDelete {
            ticket: u16, queue: ShortStr, if_unused: bool, if_empty: bool, nowait: bool,
        }
        41 "delete-ok" QueueDeleteOk { message_count: u32 }
        50 "unbind" QueueUnbind boxed {
            ticket: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr,
            arguments: FieldTable,
        }
        51 "unbind-ok" QueueUnbindOk {}
    }
    60 "basic" {
        10 "qos" BasicQos { prefetch_size: u32, prefetch_count: u16, global: bool }
        11 "qos-ok" BasicQosOk {}
        20 "consume" BasicConsume boxed {
            ticket: u16, queue: ShortStr, consumer_tag: ShortStr, no_local: bool, no_ack: bool,
            exclusive: bool, nowait: bool, arguments: FieldTable,
        }
        21 "consume-ok" BasicConsumeOk { consumer_tag: ShortStr }
        30 "cancel" BasicCancel { consumer_tag: ShortStr, nowait: bool }
        31 "cancel-ok" BasicCancelOk { consumer_tag: ShortStr }
        40 "publish" BasicPublish {
            ticket: u16, exchange: ShortStr, routing_key: ShortStr, mandatory: bool,
            immediate: bool,
        }
        50 "return" BasicReturn boxed {
            reply_code: u16, reply_text: ShortStr, exchange: ShortStr, routing_key: ShortStr,
        }
        60 "deliver" BasicDeliver boxed {
            consumer_tag: ShortStr, delivery_tag: u64, redelivered: bool, exchange: ShortStr,
            routing_key: ShortStr,
        }
        70 "get" BasicGet { ticket: u16, queue: ShortStr, no_ack: bool }
        71 "get-ok" BasicGetOk boxed {
            delivery_tag: u64, redelivered: bool, exchange: ShortStr, routing_key: ShortStr,
            message_count: u32,
        }
        72 "get-empty" BasicGetEmpty { cluster_id: ShortStr }
        80 "ack" BasicAck { delivery_tag: u64, multiple: bool }
        90 "reject" BasicReject { delivery_tag: u64, requeue: bool }
        100 "recover-async" BasicRecoverAsync { requeue: bool }
        110 "recover" BasicRecover { requeue: bool }
        111 "recover-ok" BasicRecoverOk {}
        120 "nack" BasicNack { delivery_tag: u64, multiple: bool, requeue: bool }
    }
    85 "confirm" {
        10 "select" ConfirmSelect { nowait: bool }
        11 "select-ok" ConfirmSelectOk {}
    }
    90 "tx" {
        10 "select" TxSelect {}
        11 "select-ok" TxSelectOk {}
        20 "commit" TxCommit {}
        21 "commit-ok" TxCommitOk {}
        30 "rollback" TxRollback {}
        31 "rollback-ok" TxRollbackOk {}
    }
}
