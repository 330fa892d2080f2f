//! AMQP 0-9-1: the wire format, and the machines of connections and channels.
//!
//! The wire format ([`Decoder`], [`Egress`], [`Method`] and what they hold) is for adapters and
//! clients; the machines are driven through [`Broker`](crate::Broker).

mod ack_deadlines;
mod channel;
mod compact_bytes;
mod connection;
mod content;
mod decoder;
mod encoder;
mod error;
mod failed_logins;
mod field;
mod frame;
mod handshake;
mod link;
mod method;
mod properties;
mod reader;
mod sasl;
mod shortstr;
mod tail;
mod unacked;
mod waiting;

pub(crate) use channel::{Context, Gated};
pub use compact_bytes::CompactBytes;
pub(crate) use compact_bytes::INLINE_LEN_MAX;
pub(crate) use connection::Connection;
pub use content::Content;
pub use decoder::{DecodeError, Decoder, FRAME_MAX_UNTUNED};
pub use encoder::{Egress, EgressRooms};
pub use error::{AmqpError, ReplyCode};
pub(crate) use failed_logins::FailedLogins;
pub use field::{FieldTable, FieldValue};
pub use frame::*;
pub use method::*;
pub use properties::{BasicProperties, Properties};
pub use reader::{Malformed, Reader};
pub use sasl::Mechanism;
pub use shortstr::ShortStr;
pub(crate) use waiting::WaitingChannels;
