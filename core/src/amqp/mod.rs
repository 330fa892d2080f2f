//! AMQP 0-9-1: the wire format, and the machines of connections and channels.

mod decoder;
mod encoder;
mod error;
mod field;
mod frame;
mod method;
mod properties;
mod reader;
mod shortstr;

pub use decoder::{DecodeError, Decoder, FRAME_MAX_UNTUNED};
pub use encoder::Egress;
pub use error::{AmqpError, ReplyCode};
pub use field::{FieldTable, FieldValue};
pub use frame::*;
pub use method::*;
pub use properties::{BasicProperties, Properties};
pub use reader::{Malformed, Reader};
pub use shortstr::ShortStr;
