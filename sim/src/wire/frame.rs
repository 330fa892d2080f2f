//! Frames: cut from a stream of bytes, and written for one.

use super::method::{Method, ReadError};
use super::properties::Properties;
use super::value::Cursor;

const FRAME_END: u8 = 0xCE;
/// Octets of a frame beside its payload.
pub(super) const OVERHEAD: usize = 8;

/// A frame, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The eight octets that open a connection, or refuse one.
    ProtocolHeader([u8; 8]),
    /// A method.
    Method(u16, Method),
    /// A content header.
    Header {
        /// The channel.
        channel: u16,
        /// The class.
        class: u16,
        /// The length of the body.
        body_len: u64,
        /// The properties.
        properties: Properties,
    },
    /// A piece of a body.
    Body(u16, Vec<u8>),
    /// A sign of life.
    Heartbeat(u16),
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Larger than agreed.
    TooLarge,
    /// Without its end octet.
    NoEnd,
    /// Of an unknown type, or with a payload that cannot be of its type.
    Payload,
    /// A method that does not exist, by class and number.
    UnknownMethod(u16, u16),
    /// A method whose arguments do not decode.
    Arguments(u16, u16),
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    frame_max: usize,
    expects_header: bool,
    is_lost: bool,
}

impl Decoder {
    /// For what a client sends: the protocol header comes first.
    #[must_use]
    pub fn of_client() -> Self {
        let expects_header = true;
        Self { buffer: Vec::new(), start: 0, frame_max: 8192, expects_header, is_lost: false }
    }

    /// For what a broker sends.
    #[must_use]
    pub fn of_broker() -> Self {
        Self { expects_header: false, ..Self::of_client() }
    }

    /// The largest frame from now on; 0 for no limit.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = if frame_max == 0 { usize::MAX } else { frame_max as usize };
    }

    /// Appends what was received.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if !self.is_lost {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Bad`]. After `TooLarge` and `NoEnd` every later byte is passed over.
    pub fn poll(&mut self) -> Result<Option<Frame>, Bad> {
        let rest = &self.buffer[self.start..];
        let is_refusal = rest.starts_with(b"AMQP");
        if self.expects_header || is_refusal {
            let Some(header) = rest.first_chunk::<8>() else { return Ok(None) };
            self.start += 8;
            self.expects_header = false;
            return Ok(Some(Frame::ProtocolHeader(*header)));
        }
        let mut cursor = Cursor { rest };
        let (Some(kind), Some(channel), Some(len)) =
            (cursor.number(1), cursor.number(2), cursor.number(4))
        else {
            return Ok(None);
        };
        let (channel, len) = (channel as u16, len as usize);
        if len.saturating_add(OVERHEAD) > self.frame_max {
            self.lose();
            return Err(Bad::TooLarge);
        }
        let (Some(payload), Some(end)) = (cursor.take(len), cursor.take(1)) else {
            return Ok(None);
        };
        if end[0] != FRAME_END {
            self.lose();
            return Err(Bad::NoEnd);
        }
        let frame = read_payload(kind as u8, channel, payload);
        self.start += len + OVERHEAD;
        frame.map(Some)
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.buffer.clear();
        self.start = 0;
    }
}

fn read_payload(kind: u8, channel: u16, payload: &[u8]) -> Result<Frame, Bad> {
    match kind {
        1 => match Method::read(payload) {
            Ok(method) => Ok(Frame::Method(channel, method)),
            Err(ReadError::NoId) => Err(Bad::Payload),
            Err(ReadError::Unknown(class, method)) => Err(Bad::UnknownMethod(class, method)),
            Err(ReadError::Malformed(class, method)) => Err(Bad::Arguments(class, method)),
        },
        2 => read_header(channel, payload).ok_or(Bad::Payload),
        3 => Ok(Frame::Body(channel, payload.to_vec())),
        8 if payload.is_empty() => Ok(Frame::Heartbeat(channel)),
        _ => Err(Bad::Payload),
    }
}

fn read_header(channel: u16, payload: &[u8]) -> Option<Frame> {
    let mut cursor = Cursor { rest: payload };
    let class = cursor.number(2)? as u16;
    cursor.number(2)?;
    let body_len = cursor.number(8)?;
    let properties = Properties::read(cursor.rest)?;
    Some(Frame::Header { channel, class, body_len, properties })
}

/// Appends a frame of any type.
pub fn encode_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    put_frame(out, kind, channel, |out| out.extend_from_slice(payload));
}

/// Appends a frame whose payload is what `put` appends.
fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    put(out);
    let len = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&len.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends a method frame.
pub fn encode_method(out: &mut Vec<u8>, channel: u16, method: &Method) {
    put_frame(out, 1, channel, |out| method.write(out));
}

/// Appends a content header and a body, cut for frames of `frame_max` bytes.
pub fn encode_content(
    out: &mut Vec<u8>,
    channel: u16,
    properties: &Properties,
    body: &[u8],
    frame_max: u32,
) {
    put_frame(out, 2, channel, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        properties.write(out);
    });
    let piece = if frame_max == 0 { usize::MAX } else { frame_max as usize - OVERHEAD };
    for piece in body.chunks(piece) {
        encode_frame(out, 3, channel, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = b"AMQP\x00\x00\x09\x01".to_vec();
        encode_method(&mut bytes, 1, &Method::new("basic.publish").with_text("exchange", "x"));
        encode_content(&mut bytes, 1, &Properties::default(), &[7; 10], 12);
        encode_frame(&mut bytes, 8, 0, &[]);
        bytes
    }

    fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut decoder = Decoder::of_client();
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            while let Some(frame) = decoder.poll().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[test]
    fn a_stream_split_anywhere_gives_the_same_frames() {
        let bytes = stream();
        let whole = frames(&[&bytes]);
        assert_eq!(whole.len(), 7);
        for at in 0..bytes.len() {
            assert_eq!(frames(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
    }

    #[test]
    fn a_frame_beyond_the_agreed_size_is_refused() {
        let mut decoder = Decoder::of_broker();
        decoder.set_frame_max(20);
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, 3, 1, &[0; 13]);
        decoder.feed(&bytes);
        assert_eq!(decoder.poll(), Err(Bad::TooLarge));
    }

    #[test]
    fn a_frame_without_its_end_octet_is_refused() {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, 8, 0, &[]);
        *bytes.last_mut().unwrap() = 0;
        let mut decoder = Decoder::of_broker();
        decoder.feed(&bytes);
        assert_eq!(decoder.poll(), Err(Bad::NoEnd));
    }
}
