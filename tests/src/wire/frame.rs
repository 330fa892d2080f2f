//! Frames: made well or badly, as a test needs them, and taken off a buffer one by one.

use super::method::{Reader, decode_method, decode_properties, encode_method, encode_properties};
use super::table::latin1;
use serde_json::{Map, Value};

const END: u8 = 0xce;

/// What a broker sent.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A method.
    Method {
        /// The channel it came on.
        channel: u16,
        /// Class and method, as in `Queue.DeclareOk`.
        name: &'static str,
        /// Its arguments by field name, in the order of the wire.
        arguments: Map<String, Value>,
    },
    /// A content header.
    Header {
        /// The channel it came on.
        channel: u16,
        /// The properties that are set, in the order of the wire.
        properties: Map<String, Value>,
        /// The size of the body in bytes.
        size: u64,
    },
    /// A piece of a body.
    Body {
        /// The channel it came on.
        channel: u16,
        /// Its bytes, each as the character of that number.
        text: String,
    },
    /// A heartbeat.
    Heartbeat,
}

/// Bytes that are no frame, and why. What follows them cannot be read either.
#[derive(Debug, Clone)]
pub struct Undecodable {
    /// What was wrong.
    pub why: String,
    /// The buffer from the broken frame on.
    pub bytes: Vec<u8>,
}

/// A frame of any kind around any payload, with the right length and end.
pub fn raw(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame has less than 4 GiB");
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), payload, &[END]].concat()
}

/// A method frame.
pub fn method(channel: u16, name: &str, arguments: &Value) -> Vec<u8> {
    raw(1, channel, &encode_method(name, arguments))
}

/// A content header; `rest` holds the property flags and what they announce.
pub fn header(channel: u16, class: u16, weight: u16, size: u64, rest: &[u8]) -> Vec<u8> {
    let start = [class.to_be_bytes(), weight.to_be_bytes()].concat();
    raw(2, channel, &[&start, &size.to_be_bytes()[..], rest].concat())
}

/// A body frame.
pub fn body(channel: u16, bytes: &[u8]) -> Vec<u8> {
    raw(3, channel, bytes)
}

/// A whole message: `Basic.Publish` with these arguments, a header, and a body in one frame
/// unless it is empty.
pub fn publish(channel: u16, arguments: &Value, properties: &Value, text: &[u8]) -> Vec<u8> {
    let mut out = method(channel, "Basic.Publish", arguments);
    out.extend(header(channel, 60, 0, text.len() as u64, &encode_properties(properties)));
    if !text.is_empty() {
        out.extend(body(channel, text));
    }
    out
}

/// Takes the first whole frame off the buffer; `None` if it is not all there yet.
/// After an error the buffer is empty.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Frame>, Undecodable> {
    let Some(&[kind, c0, c1, l0, l1, l2, l3]) = buffer.first_chunk::<7>() else { return Ok(None) };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if buffer.len() < length + 8 {
        return Ok(None);
    }
    let payload = &buffer[7..7 + length];
    let channel = u16::from_be_bytes([c0, c1]);
    let decoded = if buffer[7 + length] == END {
        decode(kind, channel, payload)
    } else {
        Err("a frame without its end".to_owned())
    };
    match decoded {
        Ok(frame) => {
            buffer.drain(..length + 8);
            Ok(Some(frame))
        }
        Err(why) => Err(Undecodable { why, bytes: std::mem::take(buffer) }),
    }
}

fn decode(kind: u8, channel: u16, payload: &[u8]) -> Result<Frame, String> {
    match kind {
        1 => {
            let (name, arguments) = decode_method(payload)?;
            Ok(Frame::Method { channel, name, arguments })
        }
        2 => {
            let mut reader = Reader::new(payload);
            if reader.bytes(4)? != [0, 60, 0, 0] {
                return Err("a content header of another class, or with a weight".to_owned());
            }
            let size = u64::from_be_bytes(reader.number()?);
            let properties = decode_properties(&mut reader)?;
            Ok(Frame::Header { channel, properties, size })
        }
        3 => Ok(Frame::Body { channel, text: latin1(payload) }),
        8 => Ok(Frame::Heartbeat),
        _ => Err(format!("unknown kind of frame {kind}")),
    }
}
