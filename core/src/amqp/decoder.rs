//! The decoder: bytes of a client in, frames out.
//!
//! Incremental at every byte boundary: however a stream is cut, the frames are the same. Memory is
//! bounded by one frame of the agreed size. Payloads are slices of the bytes that were fed; only a
//! frame that arrives in several pieces is put together by copying.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::{Buf, Bytes};

use super::CompactBytes;
use super::content::Content;
use super::frame::{ContentHeader, FRAME_END, FRAME_OVERHEAD, Frame, kind};
use super::method::{Method, MethodError, MethodId};
use super::properties::Properties;
use super::reader::{Malformed, Reader};

/// The largest frame before `connection.tune-ok`, in bytes: `start-ok` may carry a long token.
pub const FRAME_MAX_UNTUNED: u32 = 8192;

const PREFIX_LEN: usize = 7;

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A frame larger than was agreed.
    FrameTooLarge {
        /// The frame's type octet.
        kind: u8,
        /// Its payload, in bytes.
        payload_len: u32,
        /// The largest payload allowed, in bytes.
        payload_len_max: u32,
    },
    /// The octet behind the payload is not the end octet.
    NoFrameEnd {
        /// The frame's type octet.
        kind: u8,
        /// What stands in its place.
        found: u8,
    },
    /// A frame of no known type, or one whose payload cannot be of its type.
    UnknownFrame {
        /// The frame's type octet.
        kind: u8,
    },
    /// No method has this number.
    UnknownMethod(MethodId),
    /// A method's arguments do not decode.
    MalformedMethod(MethodId),
}

impl DecodeError {
    /// Whether frames can still be told apart after this one.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        !matches!(self, Self::FrameTooLarge { .. } | Self::NoFrameEnd { .. })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLarge { kind, payload_len, payload_len_max } => write!(
                f,
                "frame of type {kind} with a payload of {payload_len} bytes, \
                 more than the agreed {payload_len_max}"
            ),
            Self::NoFrameEnd { kind, found } => {
                write!(f, "frame of type {kind} ends with octet {found}, not {FRAME_END}")
            }
            Self::UnknownFrame { kind } => write!(f, "unknown frame of type {kind}"),
            Self::UnknownMethod(id) => write!(f, "unknown method {}.{}", id.class, id.method),
            Self::MalformedMethod(id) => {
                write!(f, "cannot decode arguments of method {}.{}", id.class, id.method)
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Cuts a client's bytes into frames.
///
/// Call [`feed`](Self::feed) with what was read, then [`poll`](Self::poll) until it gives `None`.
#[derive(Debug)]
pub struct Decoder {
    /// The agreed size of a frame, in bytes. A payload may be as long, with the eight bytes around
    /// it on top: RabbitMQ lets such frames pass too.
    frame_max: u32,
    expects_header: bool,
    lost: bool,
    /// The beginning of a frame whose end has not arrived.
    partial: Vec<u8>,
    input: Bytes,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a connection: the protocol header comes first.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frame_max: FRAME_MAX_UNTUNED,
            expects_header: true,
            lost: false,
            partial: Vec::new(),
            input: Bytes::new(),
        }
    }

    /// A decoder of a connection whose protocol header has passed.
    #[must_use]
    pub fn past_header() -> Self {
        Self { expects_header: false, ..Self::new() }
    }

    /// The largest frame from now on, in bytes, as `connection.tune-ok` says; 0 means no limit.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    }

    /// Takes what was read. All earlier bytes must have been polled; after an error that cannot be
    /// recovered from, bytes are passed over.
    ///
    /// # Panics
    /// When `poll` has not given `None` since the last call.
    pub fn feed(&mut self, bytes: Bytes) {
        if self.lost {
            return;
        }
        assert!(self.input.is_empty(), "the decoder is fed before it was polled to the end");
        self.input = bytes;
    }

    /// Whether bytes were fed that have not been looked at.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The content whose frames come next, if they are all there. It is still there afterwards: who
    /// takes it [passes](Self::pass) it, who does not polls its frames.
    #[must_use]
    pub fn content(&self) -> Option<Content<'_>> {
        if self.expects_header || !self.partial.is_empty() {
            return None;
        }
        Content::read(&self.input, self.frame_max)
    }

    /// Passes over so many bytes, those of a content that was taken.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn pass(&mut self, len: usize) {
        self.input.advance(len);
        self.let_go();
    }

    /// The next frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`DecodeError`]. If it [can be recovered from](DecodeError::is_recoverable), decoding goes
    /// on with the next frame, otherwise every later byte is passed over.
    pub fn poll(&mut self) -> Result<Option<Frame>, DecodeError> {
        if self.expects_header {
            return Ok(self.poll_header());
        }
        // Most frames lie whole in the input: they are read where they are.
        if let Some(len) = self.len_at_hand() {
            let frame = parse(&self.input, len);
            self.input.advance(len);
            self.let_go();
            if let Err(DecodeError::NoFrameEnd { .. }) = frame {
                self.lose();
            }
            return frame;
        }
        let Some(len) = self.frame_len()? else { return Ok(None) };
        let Some(frame) = self.gather(len) else { return Ok(None) };
        let frame = parse(&frame, len);
        // Whoever does not end a frame as one ends is not followed any more.
        if let Err(DecodeError::NoFrameEnd { .. }) = frame {
            self.lose();
        }
        frame
    }

    /// How many bytes the next frame has, if it may be as long and all of it is in the input.
    fn len_at_hand(&self) -> Option<usize> {
        let [_, _, _, len @ ..] = self.input.first_chunk::<PREFIX_LEN>()?;
        let payload_len = u32::from_be_bytes(*len);
        let len = payload_len as usize + FRAME_OVERHEAD;
        let is_whole = self.partial.is_empty() && self.input.len() >= len;
        (is_whole && payload_len <= self.frame_max).then_some(len)
    }

    fn poll_header(&mut self) -> Option<Frame> {
        let header = self.gather(8)?;
        self.expects_header = false;
        Some(Frame::ProtocolHeader(header[..].try_into().expect("eight bytes")))
    }

    /// How many bytes the next frame has, end octet included, if its beginning is there.
    fn frame_len(&mut self) -> Result<Option<usize>, DecodeError> {
        let prefix = if self.partial.is_empty() && self.input.len() >= PREFIX_LEN {
            &self.input[..PREFIX_LEN]
        } else {
            match self.gather_prefix() {
                Some(prefix) => prefix,
                None => return Ok(None),
            }
        };
        let kind = prefix[0];
        let payload_len = u32::from_be_bytes(prefix[3..7].try_into().expect("four bytes"));
        if payload_len > self.frame_max {
            self.lose();
            let payload_len_max = self.frame_max.saturating_sub(FRAME_OVERHEAD as u32);
            return Err(DecodeError::FrameTooLarge { kind, payload_len, payload_len_max });
        }
        Ok(Some(payload_len as usize + FRAME_OVERHEAD))
    }

    fn gather_prefix(&mut self) -> Option<&[u8]> {
        let missing = PREFIX_LEN.saturating_sub(self.partial.len());
        self.keep(missing.min(self.input.len()), PREFIX_LEN);
        self.partial.get(..PREFIX_LEN)
    }

    /// `len` bytes in one piece, from the partial frame and the input, or `None` with all of the
    /// input kept for later.
    fn gather(&mut self, len: usize) -> Option<Bytes> {
        if self.partial.is_empty() && self.input.len() >= len {
            return Some(self.input.split_to(len));
        }
        let taken = (len - self.partial.len()).min(self.input.len());
        self.keep(taken, len);
        (self.partial.len() == len).then(|| core::mem::take(&mut self.partial).into())
    }

    /// Moves `taken` bytes of the input to the partial frame, of which `len` bytes are wanted.
    fn keep(&mut self, taken: usize, len: usize) {
        let needed = self.partial.len() + taken;
        if needed > self.partial.capacity() {
            // Doubled, but never beyond the frame: a body of it keeps all of this memory.
            let capacity = len.min(needed.max(2 * self.partial.len()));
            self.partial.reserve_exact(capacity - self.partial.len());
        }
        self.partial.extend_from_slice(&self.input[..taken]);
        self.input.advance(taken);
        self.let_go();
    }

    /// Lets go of the buffer that the input was read into, if nothing is left of it.
    fn let_go(&mut self) {
        if self.input.is_empty() {
            self.input = Bytes::new();
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.partial = Vec::new();
        self.input = Bytes::new();
    }
}

/// Reads the whole frame of so many bytes that these begin with.
fn parse(bytes: &Bytes, len: usize) -> Result<Option<Frame>, DecodeError> {
    let kind = bytes[0];
    let channel = u16::from_be_bytes([bytes[1], bytes[2]]);
    let payload = PREFIX_LEN..len - 1;
    let found = bytes[payload.end];
    if found != FRAME_END {
        return Err(DecodeError::NoFrameEnd { kind, found });
    }
    let unknown = Err(DecodeError::UnknownFrame { kind });
    match kind {
        kind::METHOD => match Method::read_all(Reader::within(bytes, payload)) {
            Ok(method) => Ok(Some(Frame::Method(channel, method))),
            Err(MethodError::NoId) => unknown,
            Err(MethodError::Unknown(id)) => Err(DecodeError::UnknownMethod(id)),
            Err(MethodError::Malformed(id)) => Err(DecodeError::MalformedMethod(id)),
        },
        kind::HEADER => match parse_header(bytes, payload) {
            Ok(header) => Ok(Some(Frame::Header(channel, header))),
            Err(Malformed) => unknown,
        },
        kind::BODY => {
            let body = CompactBytes::within(bytes, payload.start, payload.end);
            Ok(Some(Frame::Body(channel, body)))
        }
        kind::HEARTBEAT if payload.is_empty() => Ok(Some(Frame::Heartbeat(channel))),
        _ => unknown,
    }
}

fn parse_header(bytes: &Bytes, payload: Range<usize>) -> Result<ContentHeader, Malformed> {
    let end = payload.end;
    let mut reader = Reader::within(bytes, payload);
    Ok(ContentHeader {
        class_id: reader.u16()?,
        weight: reader.u16()?,
        body_size: reader.u64()?,
        properties: Properties::within(bytes, reader.position()..end),
    })
}
