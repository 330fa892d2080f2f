//! A content that lies whole in what was read: `basic.publish`, its header, and its body in one
//! frame, one behind the other (§4.2.6).
//!
//! Most messages come like this, and nothing follows from the first two frames: the three of them
//! together cost less than one by one. A content is looked at where it lies, and nothing of it is
//! copied before it is published. Whatever is unusual about its frames, or wrong,
//! is no content here, and goes its way frame by frame.

use core::ops::Range;

use bytes::Bytes;

use super::frame::{
    BODY_SIZE_MAX, CLASS_BASIC, ChannelNumber, ContentHeader, FRAME_END, Frame, kind,
};
use super::method::BasicPublish;
use super::{CompactBytes, Properties, ShortStr};

/// What a frame has before its payload: type, channel and size.
const PREFIX_LEN: usize = 7;

/// What a header has before the properties: class, weight and the body's size.
const HEADER_LEN: usize = 12;

/// The number of `basic.publish`, and the class of its content with the weight of all.
const BASIC_PUBLISH: [u8; 4] = [0, BasicPublish::ID.class as u8, 0, BasicPublish::ID.method as u8];
const CLASS_AND_WEIGHT: [u8; 4] = [0, CLASS_BASIC as u8, 0, 0];

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Content<'a> {
    bytes: &'a Bytes,
    channel: ChannelNumber,
    exchange: Range<usize>,
    routing_key: Range<usize>,
    bits: u8,
    properties: Range<usize>,
    body: Range<usize>,
}

impl<'a> Content<'a> {
    /// It has so many frames.
    pub const FRAMES: usize = 3;

    /// The content that these bytes begin with, if they do. Its frames have payloads of at most so
    /// many bytes, it is no connection's, and its body has at least one byte.
    #[must_use]
    pub fn read(bytes: &'a Bytes, payload_len_max: u32) -> Option<Self> {
        // Looked at first, as most frames that begin no content are other methods.
        if *bytes.get(PREFIX_LEN..)?.first_chunk()? != BASIC_PUBLISH {
            return None;
        }
        let (channel, method) = payload(bytes, 0, kind::METHOD, payload_len_max)?;
        // Behind the method's number, and one that means nothing any more.
        let exchange = shortstr(bytes, method.start + 6)?;
        let routing_key = shortstr(bytes, exchange.end)?;
        let bits = *bytes.get(routing_key.end)?;
        let (header_channel, header) =
            payload(bytes, method.end + 1, kind::HEADER, payload_len_max)?;
        let (content_class, size) = bytes[header.clone()].first_chunk::<HEADER_LEN>()?.split_at(4);
        let (body_channel, body) = payload(bytes, header.end + 1, kind::BODY, payload_len_max)?;
        let is_one = routing_key.end + 1 == method.end
            && (header_channel, body_channel) == (channel, channel)
            && channel != 0
            && content_class == CLASS_AND_WEIGHT
            && size == (body.len() as u64).to_be_bytes()
            && (1..=BODY_SIZE_MAX).contains(&(body.len() as u64));
        let properties = header.start + HEADER_LEN..header.end;
        is_one.then_some(Self { bytes, channel, exchange, routing_key, bits, properties, body })
    }

    /// How many bytes its frames have.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.body.end + 1
    }

    /// Its frames as they came.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.bytes.slice(..self.len())
    }

    /// The channel that it came on.
    #[must_use]
    pub fn channel(&self) -> ChannelNumber {
        self.channel
    }

    /// What a decoder makes of its frames, one by one, to hold the one against the other.
    #[must_use]
    pub fn to_frames(&self) -> [Frame; Content::FRAMES] {
        let ticket = &self.bytes[PREFIX_LEN + BASIC_PUBLISH.len()..];
        let publish = BasicPublish {
            ticket: ticket.first_chunk().copied().map(u16::from_be_bytes).expect("read before"),
            exchange: ShortStr::copy(self.exchange()).expect("read as a short string"),
            routing_key: self.routing_key(),
            mandatory: self.is_mandatory(),
            immediate: self.is_immediate(),
        };
        let header = ContentHeader {
            class_id: CLASS_BASIC,
            weight: 0,
            body_size: self.body_len(),
            properties: self.properties(),
        };
        [
            Frame::Method(self.channel, publish.into()),
            Frame::Header(self.channel, header),
            Frame::Body(self.channel, self.body()),
        ]
    }

    pub(crate) fn exchange(&self) -> &'a [u8] {
        &self.bytes[self.exchange.clone()]
    }

    pub(crate) fn routing_key(&self) -> ShortStr {
        let Range { start, end } = self.routing_key;
        ShortStr::within(self.bytes, start, end).expect("a length of one octet is at most 255")
    }

    pub(crate) fn is_mandatory(&self) -> bool {
        self.bits & 1 != 0
    }

    pub(crate) fn is_immediate(&self) -> bool {
        self.bits & 2 != 0
    }

    pub(crate) fn properties(&self) -> Properties {
        Properties::within(self.bytes, self.properties.clone())
    }

    pub(crate) fn body_len(&self) -> u64 {
        self.body.len() as u64
    }

    pub(crate) fn body(&self) -> CompactBytes {
        CompactBytes::within(self.bytes, self.body.start, self.body.end)
    }
}

/// The channel and the payload of the frame that begins here, if it is whole and of this kind.
fn payload(
    bytes: &[u8],
    at: usize,
    kind: u8,
    len_max: u32,
) -> Option<(ChannelNumber, Range<usize>)> {
    let [found, channel_0, channel_1, len @ ..] = *bytes.get(at..)?.first_chunk::<PREFIX_LEN>()?;
    let (start, len) = (at + PREFIX_LEN, u32::from_be_bytes(len));
    let end = start + len as usize;
    let is_whole = found == kind && len <= len_max && bytes.get(end) == Some(&FRAME_END);
    is_whole.then_some((u16::from_be_bytes([channel_0, channel_1]), start..end))
}

/// The short string that begins here, behind its length. Its end may be anywhere.
fn shortstr(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 1;
    Some(start..start + usize::from(*bytes.get(at)?))
}
