//! What clients send, as bytes.

use bytes::Bytes;
use warren_core::amqp::{
    BasicProperties, BasicPublish, CLASS_BASIC, Egress, Method, OutFrame, PROTOCOL_HEADER,
};

/// The channel that everything is on.
pub const CHANNEL: u16 = 1;

/// `basic.ack`, class and method.
const BASIC_ACK: [u8; 4] = [0, 60, 0, 80];
const FRAME_METHOD: u8 = 1;
const FRAME_HEADER: u8 = 2;
const FRAME_BODY: u8 = 3;
const FRAME_END: u8 = 0xce;

/// What a client sends first.
#[must_use]
pub fn protocol_header() -> Bytes {
    Bytes::copy_from_slice(&PROTOCOL_HEADER)
}

/// A method's frame.
#[must_use]
pub fn method(channel: u16, method: impl Into<Method>) -> Bytes {
    let mut egress = Egress::new();
    egress.push(&OutFrame::Method(channel, method.into()));
    let pieces: Vec<&[u8]> = egress.chunks().collect();
    pieces.concat().into()
}

/// The frames of a message.
#[must_use]
pub fn message(exchange: &str, key: &str, size: usize, is_persistent: bool) -> Vec<u8> {
    let (exchange, routing_key) = (exchange.into(), key.into());
    let publish = BasicPublish { exchange, routing_key, ..BasicPublish::default() };
    let mut out = method(CHANNEL, publish).to_vec();
    let delivery_mode = is_persistent.then_some(2);
    let properties = BasicProperties { delivery_mode, ..BasicProperties::default() }.encode();
    let mut header = Vec::new();
    header.extend(CLASS_BASIC.to_be_bytes());
    header.extend([0, 0]);
    header.extend((size as u64).to_be_bytes());
    header.extend(properties.wire());
    frame(&mut out, FRAME_HEADER, &header);
    frame(&mut out, FRAME_BODY, &vec![7; size]);
    out
}

/// A `basic.ack` of one delivery.
pub fn ack(out: &mut Vec<u8>, tag: u64) {
    let mut payload = [0; 13];
    payload[..4].copy_from_slice(&BASIC_ACK);
    payload[4..12].copy_from_slice(&tag.to_be_bytes());
    frame(out, FRAME_METHOD, &payload);
}

fn frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    out.extend(CHANNEL.to_be_bytes());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out.push(FRAME_END);
}
