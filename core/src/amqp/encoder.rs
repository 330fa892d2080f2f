//! The encoder: frames of the broker in, bytes out.
//!
//! Small things are written one behind the other into one buffer; a large body is handed on as the
//! slice it is, so that it is never copied on its way to a consumer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::take;

use bytes::{Buf, Bytes, BytesMut};

use super::ShortStr;
use super::frame::{CLASS_BASIC, Deliver, FRAME_END, FRAME_OVERHEAD, OutFrame, kind};
use super::method::{BasicAck, BasicDeliver, BasicGetOk, Method};
use crate::broker::Message;

/// Up to this many bytes, copying a body costs less than another piece to write.
const COPY_LEN_MAX: usize = 4096;

/// The least room that is made where there is none.
const TAIL_LEN_MIN: usize = 512;

/// Of so many buffers the memory is kept for the next, and of so many bytes each at the most.
const ROOMS_MAX: usize = 8;
const ROOM_LEN_MAX: usize = 512 << 10;

/// The bytes that wait for one connection's socket, in order.
#[derive(Debug)]
pub struct Egress {
    frame_max: usize,
    done: VecDeque<Bytes>,
    /// Where small things are written, one behind the other.
    tail: Vec<u8>,
    /// How many bytes of the tail the socket has already.
    tail_sent: usize,
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
        let (done, tail) = (VecDeque::new(), Vec::new());
        Self { frame_max: 4096, done, tail, tail_sent: 0, len: 0 }
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
        if self.tail.capacity() == 0
            && let Some(room) = rooms.0.pop()
        {
            self.tail = room;
        }
        self.push(frame);
    }

    /// Appends a frame; contents become as many frames as they need.
    pub fn push(&mut self, frame: &OutFrame) {
        self.make_room();
        let before = self.tail.len();
        match frame {
            OutFrame::ProtocolHeader(header) => self.tail.extend_from_slice(header),
            OutFrame::Method(channel, Method::BasicAck(ack)) => self.put_ack(*channel, ack),
            OutFrame::Method(channel, method) => self.put_method(*channel, method),
            OutFrame::Deliver(channel, deliver) => {
                self.put_deliver(*channel, deliver);
                return self.put_content(*channel, &deliver.message, before);
            }
            OutFrame::GetOk(channel, get_ok) => {
                let method = BasicGetOk {
                    delivery_tag: get_ok.delivery_tag,
                    redelivered: get_ok.redelivered,
                    exchange: get_ok.message.exchange.clone(),
                    routing_key: get_ok.message.routing_key.clone(),
                    message_count: get_ok.message_count,
                };
                self.put_method(*channel, &method.into());
                return self.put_content(*channel, &get_ok.message, before);
            }
            OutFrame::Return(channel, method, message) => {
                self.put_method(*channel, &Method::BasicReturn(method.clone()));
                return self.put_content(*channel, message, before);
            }
            OutFrame::Heartbeat => {
                self.tail.extend_from_slice(&[kind::HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
            }
        }
        self.len += self.tail.len() - before;
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
        let tail = Some(&self.tail[self.tail_sent..]).filter(|tail| !tail.is_empty());
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
        self.tail_sent += written;
        if self.len == 0 {
            self.done = VecDeque::new();
            self.tail_sent = 0;
            rooms.take(take(&mut self.tail));
        }
    }

    /// Makes room for a small frame.
    fn make_room(&mut self) {
        if self.tail.capacity() - self.tail.len() >= TAIL_LEN_MIN {
            return;
        }
        if self.tail_sent > self.tail.len() / 2 {
            self.tail.drain(..take(&mut self.tail_sent));
        }
        self.tail.reserve(TAIL_LEN_MIN);
    }

    fn put_method(&mut self, channel: u16, method: &Method) {
        let mut payload = BytesMut::new();
        method.write(&mut payload);
        self.put_prefix(kind::METHOD, channel, payload.len());
        self.tail.extend_from_slice(&payload);
        self.tail.push(FRAME_END);
    }

    /// The same for the one that confirms, as there is one for every message, or for some.
    fn put_ack(&mut self, channel: u16, ack: &BasicAck) {
        let mut frame = [0; 21];
        frame[..7].copy_from_slice(&prefix(kind::METHOD, channel, 13));
        frame[7..9].copy_from_slice(&BasicAck::ID.class.to_be_bytes());
        frame[9..11].copy_from_slice(&BasicAck::ID.method.to_be_bytes());
        frame[11..19].copy_from_slice(&ack.delivery_tag.to_be_bytes());
        frame[19] = u8::from(ack.multiple);
        frame[20] = FRAME_END;
        self.tail.extend_from_slice(&frame);
    }

    fn put_prefix(&mut self, kind: u8, channel: u16, payload_len: usize) {
        self.tail.extend_from_slice(&prefix(kind, channel, payload_len));
    }

    /// Appends the frame of a `basic.deliver`, as [`BasicDeliver`] would be written: without making
    /// one, as this is done for every message, and what has a fixed length at once.
    fn put_deliver(&mut self, channel: u16, deliver: &Deliver) {
        let (tag, message) = (&deliver.consumer_tag, &deliver.message);
        let texts = tag.len() + message.exchange.len() + message.routing_key.len();
        let mut begin = [0; 12];
        begin[..7].copy_from_slice(&prefix(kind::METHOD, channel, texts + DELIVER_LEN));
        begin[7..9].copy_from_slice(&BasicDeliver::ID.class.to_be_bytes());
        begin[9..11].copy_from_slice(&BasicDeliver::ID.method.to_be_bytes());
        begin[11] = tag.len() as u8;
        self.tail.extend_from_slice(&begin);
        self.put_text(tag);
        let mut middle = [0; 10];
        middle[..8].copy_from_slice(&deliver.delivery_tag.to_be_bytes());
        middle[8] = u8::from(deliver.redelivered);
        middle[9] = message.exchange.len() as u8;
        self.tail.extend_from_slice(&middle);
        self.put_text(&message.exchange);
        self.tail.push(message.routing_key.len() as u8);
        self.put_text(&message.routing_key);
        self.tail.push(FRAME_END);
    }

    fn put_text(&mut self, text: &ShortStr) {
        self.tail.extend_from_slice(text.as_bytes());
    }

    /// Appends header and body frames. `before` is where the tail ended before their method.
    fn put_content(&mut self, channel: u16, message: &Message, before: usize) {
        let properties = message.properties.wire();
        let mut header = [0; 19];
        header[..7].copy_from_slice(&prefix(kind::HEADER, channel, properties.len() + 12));
        header[7..9].copy_from_slice(&CLASS_BASIC.to_be_bytes());
        header[11..].copy_from_slice(&(message.body.len() as u64).to_be_bytes());
        self.tail.extend_from_slice(&header);
        self.tail.extend_from_slice(properties);
        self.tail.push(FRAME_END);
        self.len += self.tail.len() - before;
        let payload_len_max = self.frame_max.saturating_sub(FRAME_OVERHEAD).max(1);
        for (index, piece) in message.body.pieces().enumerate() {
            let mut at = 0;
            while at < piece.len() {
                let end = piece.len().min(at.saturating_add(payload_len_max));
                self.len += end - at + FRAME_OVERHEAD;
                self.put_prefix(kind::BODY, channel, end - at);
                if end - at <= COPY_LEN_MAX {
                    self.tail.extend_from_slice(&piece[at..end]);
                } else {
                    self.finish_tail();
                    self.done.push_back(message.body.share(index, at, end));
                }
                self.tail.push(FRAME_END);
                at = end;
            }
        }
    }

    /// What comes next is another piece.
    fn finish_tail(&mut self) {
        let mut tail = Bytes::from(take(&mut self.tail));
        tail.advance(take(&mut self.tail_sent));
        self.done.push_back(tail);
    }
}

impl EgressRooms {
    fn take(&mut self, mut room: Vec<u8>) {
        let is_fit = (1..=ROOM_LEN_MAX).contains(&room.capacity());
        if is_fit && self.0.len() < ROOMS_MAX {
            room.clear();
            self.0.push(room);
        }
    }
}

/// The octets of a `basic.deliver` beside its texts.
const DELIVER_LEN: usize = 16;

/// What goes before a frame's payload.
fn prefix(kind: u8, channel: u16, payload_len: usize) -> [u8; 7] {
    let [high, low] = channel.to_be_bytes();
    let [a, b, c, d] = (payload_len as u32).to_be_bytes();
    [kind, high, low, a, b, c, d]
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
            assert_eq!(direct.tail, by_table.tail);
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
            by_table.put_method(300, &method);
            let mut direct = Egress::new();
            direct.put_deliver(300, &deliver);
            assert_eq!(direct.tail, by_table.tail);
        }
    }
}
