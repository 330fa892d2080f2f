//! The encoder: frames of the broker in, bytes out.
//!
//! Small things are written one behind the other into one buffer; a large body is handed on as the
//! slice it is, so that it is never copied on its way to a consumer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::take;

use bytes::{Buf, Bytes, BytesMut};

use super::CompactBytes;
use super::frame::{CLASS_BASIC, Deliver, FRAME_END, FRAME_OVERHEAD, OutFrame, kind};
use super::method::{BasicAck, BasicDeliver, BasicGetOk, Method, MethodId};
use super::tail::Tail;
use crate::broker::Message;
use crate::pen::Pen;

/// Up to this many bytes, copying a body costs less than another piece to write.
const COPY_LEN_MAX: usize = 4096;

/// Of so many buffers the memory is kept for the next, and of so many bytes each at the most.
const ROOMS_MAX: usize = 8;
const ROOM_LEN_MAX: usize = 512 << 10;

/// The bytes that wait for one connection's socket, in order.
#[derive(Debug)]
pub struct Egress {
    frame_max: usize,
    done: VecDeque<Bytes>,
    /// Where small things are written, one behind the other.
    tail: Tail,
    len: usize,
}

/// The memory of buffers that were emptied, for those that are filled next: a buffer that grows
/// from nothing each time is copied, and its memory asked of the system, again and again.
#[derive(Debug, Default)]
pub struct EgressRooms(Vec<Vec<u8>>);

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}

impl Egress {
    /// Nothing to send, bodies cut for frames of the smallest size every client takes.
    #[must_use]
    pub fn new() -> Self {
        Self { frame_max: 4096, done: VecDeque::new(), tail: Tail::default(), len: 0 }
    }

    /// The largest frame from now on, in bytes, as agreed by `connection.tune-ok`; 0 means no
    /// limit.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = match frame_max {
            0 => usize::MAX,
            frame_max => frame_max as usize,
        };
    }

    /// Appends a frame, in memory from these rooms if it has none.
    pub fn push_in(&mut self, frame: &OutFrame, rooms: &mut EgressRooms) {
        if !self.tail.has_memory()
            && let Some(room) = rooms.0.pop()
        {
            self.tail = Tail::of_memory(room);
        }
        self.push(frame);
    }

    /// Appends a frame; contents become as many frames as they need.
    pub fn push(&mut self, frame: &OutFrame) {
        match frame {
            OutFrame::Deliver(channel, deliver) => {
                self.put_content(*channel, &Lead::Deliver(deliver), &deliver.message);
            }
            OutFrame::Method(channel, Method::BasicAck(ack)) => self.put_ack(*channel, ack),
            OutFrame::Method(channel, method) => self.put_method(*channel, method),
            OutFrame::GetOk(channel, get_ok) => {
                let method = BasicGetOk {
                    delivery_tag: get_ok.delivery_tag,
                    redelivered: get_ok.redelivered,
                    exchange: get_ok.message.exchange.clone(),
                    routing_key: get_ok.message.routing_key.clone(),
                    message_count: get_ok.message_count,
                };
                let lead = Lead::Encoded(encoded(&method.into()));
                self.put_content(*channel, &lead, &get_ok.message);
            }
            OutFrame::Return(channel, method, message) => {
                let lead = Lead::Encoded(encoded(&Method::BasicReturn(method.clone())));
                self.put_content(*channel, &lead, message);
            }
            OutFrame::ProtocolHeader(header) => {
                self.len += self.tail.write(header.len(), |pen| pen.put(*header));
            }
            OutFrame::Heartbeat => {
                self.len += self.tail.write(FRAME_OVERHEAD, |pen| {
                    put_prefix(pen, kind::HEARTBEAT, 0, 0);
                    pen.put([FRAME_END]);
                });
            }
        }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What waits, in order, in as few pieces as there are.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let tail = Some(self.tail.waiting()).filter(|tail| !tail.is_empty());
        self.done.iter().map(|bytes| &bytes[..]).chain(tail)
    }

    /// Forgets the first `written` bytes: the socket has them. An empty egress holds no memory.
    ///
    /// # Panics
    /// When fewer than `written` bytes wait.
    pub fn advance(&mut self, written: usize) {
        self.advance_in(written, &mut EgressRooms::default());
    }

    /// The same; the memory of an egress that is empty then goes to these rooms.
    ///
    /// # Panics
    /// As for [`Self::advance`].
    pub fn advance_in(&mut self, mut written: usize, rooms: &mut EgressRooms) {
        assert!(written <= self.len, "more bytes written than there were");
        self.len -= written;
        while let Some(first) = self.done.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.done.pop_front();
        }
        self.tail.advance(written);
        if self.len == 0 {
            self.done = VecDeque::new();
            rooms.take(take(&mut self.tail).into_memory());
        }
    }

    fn put_method(&mut self, channel: u16, method: &Method) {
        let payload = encoded(method);
        self.len += self.tail.write(payload.len() + FRAME_OVERHEAD, |pen| {
            put_method(pen, channel, &payload);
        });
    }

    /// The same for the one that confirms, as there is one for every message, or for some.
    fn put_ack(&mut self, channel: u16, ack: &BasicAck) {
        self.len += self.tail.write(ACK_LEN + FRAME_OVERHEAD, |pen| {
            put_prefix(pen, kind::METHOD, channel, ACK_LEN);
            pen.put(id(BasicAck::ID));
            pen.put(ack.delivery_tag.to_be_bytes());
            pen.put([u8::from(ack.multiple), FRAME_END]);
        });
    }

    /// Appends a content with its method: all at once if the body is small, as this is done for
    /// every message.
    fn put_content(&mut self, channel: u16, lead: &Lead<'_>, message: &Message) {
        let body = self.small_body(message);
        let lead_len = lead.len();
        let len = lead_len + content_len(message, body) + 3 * FRAME_OVERHEAD;
        self.len += self.tail.write(len, |pen| {
            match lead {
                Lead::Deliver(deliver) => put_deliver(pen, channel, lead_len, deliver),
                Lead::Encoded(payload) => put_method(pen, channel, payload),
            }
            put_header(pen, channel, message);
            put_body(pen, channel, body);
        });
        if body.is_none() {
            self.put_large_body(channel, message);
        }
    }

    /// The body, if it is one piece that is copied into one frame.
    fn small_body<'a>(&self, message: &'a Message) -> Option<&'a CompactBytes> {
        let len_max = COPY_LEN_MAX.min(self.payload_len_max());
        message.body.only_piece().filter(|piece| piece.len() <= len_max)
    }

    /// How many bytes a body frame has at the most, beside what is around them.
    fn payload_len_max(&self) -> usize {
        self.frame_max.saturating_sub(FRAME_OVERHEAD).max(1)
    }

    /// Appends the body frames of a content that is not small.
    fn put_large_body(&mut self, channel: u16, message: &Message) {
        let payload_len_max = self.payload_len_max();
        for (index, piece) in message.body.pieces().enumerate() {
            let mut at = 0;
            while at < piece.len() {
                let end = piece.len().min(at.saturating_add(payload_len_max));
                let len = end - at;
                let is_copied = len <= COPY_LEN_MAX;
                let written = if is_copied { len } else { 0 };
                self.len += self.tail.write(written + FRAME_OVERHEAD, |pen| {
                    put_prefix(pen, kind::BODY, channel, len);
                    pen.put_slice(&piece[at..at + written]);
                });
                if !is_copied {
                    self.done.push_back(self.tail.finish());
                    self.done.push_back(message.body.share(index, at, end));
                    self.len += len;
                }
                self.len += self.tail.write(1, |pen| pen.put([FRAME_END]));
                at = end;
            }
        }
    }
}

impl EgressRooms {
    fn take(&mut self, room: Vec<u8>) {
        let is_fit = (1..=ROOM_LEN_MAX).contains(&room.capacity());
        if is_fit && self.0.len() < ROOMS_MAX {
            self.0.push(room);
        }
    }
}

/// The octets of a `basic.ack`, of a `basic.deliver` beside its texts, and of a content header
/// beside its properties; all without what is around a frame.
const ACK_LEN: usize = 13;
const DELIVER_LEN: usize = 16;
const HEADER_LEN: usize = 12;

/// The method that comes before a content.
enum Lead<'a> {
    Deliver(&'a Deliver),
    /// Any other, as it is written.
    Encoded(BytesMut),
}

impl Lead<'_> {
    /// Its octets without what is around a frame.
    fn len(&self) -> usize {
        match self {
            Lead::Deliver(Deliver { consumer_tag, message, .. }) => {
                let names = message.exchange.len() + message.routing_key.len();
                DELIVER_LEN + consumer_tag.len() + names
            }
            Lead::Encoded(payload) => payload.len(),
        }
    }
}

fn encoded(method: &Method) -> BytesMut {
    let mut payload = BytesMut::new();
    method.write(&mut payload);
    payload
}

/// The octets of header and body, if that is small, without what is around frames.
fn content_len(message: &Message, body: Option<&CompactBytes>) -> usize {
    HEADER_LEN + message.properties.as_compact().len() + body.map_or(0, CompactBytes::len)
}

/// How a method's payload begins.
fn id(MethodId { class, method }: MethodId) -> [u8; 4] {
    (u32::from(class) << 16 | u32::from(method)).to_be_bytes()
}

/// Writes what goes before a frame's payload.
#[inline]
fn put_prefix(pen: &mut Pen<'_>, kind: u8, channel: u16, payload_len: usize) {
    let (kind, channel, len) = (u64::from(kind), u64::from(channel), payload_len as u32);
    let prefix = kind << 56 | channel << 40 | u64::from(len) << 8;
    pen.put_first(&prefix.to_be_bytes(), FRAME_OVERHEAD - 1);
}

/// Writes the frame of a method.
fn put_method(pen: &mut Pen<'_>, channel: u16, payload: &[u8]) {
    put_prefix(pen, kind::METHOD, channel, payload.len());
    pen.put_slice(payload);
    pen.put([FRAME_END]);
}

/// Writes the frame of a `basic.deliver`, as [`BasicDeliver`] would be written: without making one.
#[inline]
fn put_deliver(pen: &mut Pen<'_>, channel: u16, payload_len: usize, deliver: &Deliver) {
    let (tag, message) = (&deliver.consumer_tag, &*deliver.message);
    put_prefix(pen, kind::METHOD, channel, payload_len);
    pen.put(id(BasicDeliver::ID));
    pen.put_text(tag);
    pen.put(deliver.delivery_tag.to_be_bytes());
    pen.put([u8::from(deliver.redelivered)]);
    pen.put_text(&message.exchange);
    pen.put_text(&message.routing_key);
    pen.put([FRAME_END]);
}

/// Writes a content's header.
#[inline]
fn put_header(pen: &mut Pen<'_>, channel: u16, message: &Message) {
    let properties = message.properties.as_compact();
    put_prefix(pen, kind::HEADER, channel, HEADER_LEN + properties.len());
    // The class, and a weight of zero.
    pen.put((u32::from(CLASS_BASIC) << 16).to_be_bytes());
    pen.put((message.body.len() as u64).to_be_bytes());
    pen.put_compact(properties);
    pen.put([FRAME_END]);
}

/// Writes the body of a content, if that is small and there is any.
#[inline]
fn put_body(pen: &mut Pen<'_>, channel: u16, body: Option<&CompactBytes>) {
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        put_prefix(pen, kind::BODY, channel, body.len());
        pen.put_compact(body);
        pen.put([FRAME_END]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_written_as_the_table_of_methods_has_it() {
        for multiple in [false, true] {
            let ack = BasicAck { delivery_tag: 1 << 40 | 7, multiple };
            let [mut direct, mut by_table] = [Egress::new(), Egress::new()];
            direct.put_ack(300, &ack);
            by_table.put_method(300, &ack.into());
            assert_eq!(direct.tail.waiting(), by_table.tail.waiting());
        }
    }

    #[test]
    fn a_delivery_is_written_as_the_table_of_methods_has_it() {
        for redelivered in [false, true] {
            let message = alloc::sync::Arc::new(Message {
                exchange: "x".into(),
                routing_key: "a.b".into(),
                properties: Default::default(),
                body: Bytes::from_static(b"body").into(),
                persistent: false,
                is_dead_letter: false,
                charge: crate::broker::Charge::default(),
            });
            let deliver =
                Deliver { consumer_tag: "tag".into(), delivery_tag: 7, redelivered, message };
            let mut by_table = Egress::new();
            let method = Method::from(BasicDeliver {
                consumer_tag: deliver.consumer_tag.clone(),
                delivery_tag: deliver.delivery_tag,
                redelivered,
                exchange: deliver.message.exchange.clone(),
                routing_key: deliver.message.routing_key.clone(),
            });
            by_table.put_content(300, &Lead::Encoded(encoded(&method)), &deliver.message);
            let mut direct = Egress::new();
            direct.put_content(300, &Lead::Deliver(&deliver), &deliver.message);
            assert_eq!(direct.tail.waiting(), by_table.tail.waiting());
        }
    }
}
