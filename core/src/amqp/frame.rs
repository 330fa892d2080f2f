//! Frames: what travels on a connection, in each direction.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::method::{BasicReturn, Method};
use super::{CompactBytes, Properties, ShortStr};
use crate::broker::Message;

/// The last octet of every frame (§4.2.3).
pub const FRAME_END: u8 = 0xCE;
/// Octets of a frame beside its payload: type, channel, size and the end octet.
pub const FRAME_OVERHEAD: usize = 8;
/// The class number of `basic`, the only class with content.
pub const CLASS_BASIC: u16 = 60;
/// The largest body that a content header may announce, in bytes, whatever the configuration says.
pub(crate) const BODY_SIZE_MAX: u64 = 512 << 20;
/// What opens a connection, and what a broker sends to refuse another version (§4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The frame types (§4.2.3).
pub(crate) mod kind {
    pub(crate) const METHOD: u8 = 1;
    pub(crate) const HEADER: u8 = 2;
    pub(crate) const BODY: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 8;
}

/// A channel's number on its connection; 0 is the connection itself.
pub type ChannelNumber = u16;

/// A content header (§4.2.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentHeader {
    /// The class of the method that the content belongs to.
    pub class_id: u16,
    /// Always zero in a correct client.
    pub weight: u16,
    /// The length of the whole body, in bytes.
    pub body_size: u64,
    /// The properties, not decoded yet.
    pub properties: Properties,
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The eight octets that open a connection, whatever they say.
    ProtocolHeader([u8; 8]),
    /// A method.
    Method(ChannelNumber, Method),
    /// The header of a content.
    Header(ChannelNumber, ContentHeader),
    /// A piece of a content's body.
    Body(ChannelNumber, CompactBytes),
    /// A sign of life.
    Heartbeat(ChannelNumber),
}

impl Frame {
    /// Takes the frame out of its place, where a sign of life is left.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::Heartbeat(0))
    }
}

/// What the broker sends: methods, and whole contents, which the encoder cuts into frames.
#[derive(Clone, Debug)]
pub enum OutFrame {
    /// The protocol header that answers one that is not spoken here; the bytes as they are.
    ProtocolHeader([u8; 8]),
    /// A method without content.
    Method(ChannelNumber, Method),
    /// A message for a consumer: `basic.deliver`, header and body.
    Deliver(ChannelNumber, Deliver),
    /// A message that was asked for: `basic.get-ok`, header and body.
    GetOk(ChannelNumber, GetOk),
    /// A message that could not be routed: `basic.return`, header and body.
    Return(ChannelNumber, Box<BasicReturn>, Arc<Message>),
    /// A sign of life.
    Heartbeat,
}

/// A `basic.deliver` with its content.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The consumer's name on its channel.
    pub consumer_tag: ShortStr,
    /// The delivery's number on its channel, from 1.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: Arc<Message>,
}

/// A `basic.get-ok` with its content.
#[derive(Clone, Debug)]
pub struct GetOk {
    /// The delivery's number on its channel, from 1.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many messages are left ready in the queue.
    pub message_count: u32,
    /// The message.
    pub message: Arc<Message>,
}
