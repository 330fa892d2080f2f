//! The encoder: frames of the broker in, bytes out.
//!
//! Small things are written one behind the other into one buffer; a large body is handed on as the
//! slice it is, so that it is never copied on its way to a consumer.

use alloc::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::ShortStr;
use super::frame::{CLASS_BASIC, Deliver, FRAME_END, FRAME_OVERHEAD, OutFrame, kind};
use super::method::{BasicDeliver, BasicGetOk, Method};
use super::properties::Properties;
use crate::broker::Message;

/// Up to this many bytes, copying a body costs less than another piece to write.
const COPY_LEN_MAX: usize = 4096;

/// The least room that is made where there is none.
const TAIL_LEN_MIN: usize = 512;

/// The bytes that wait for one connection's socket, in order.
#[derive(Debug)]
pub struct Egress {
    frame_max: usize,
    done: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}

impl Egress {
    /// Nothing to send, bodies cut for frames of the smallest size every client takes.
    #[must_use]
    pub fn new() -> Self {
        Self { frame_max: 4096, done: VecDeque::new(), tail: BytesMut::new(), len: 0 }
    }

    /// The largest frame from now on, in bytes, as agreed by `connection.tune-ok`; 0 means no
    /// limit.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = match frame_max {
            0 => usize::MAX,
            frame_max => frame_max as usize,
        };
    }

    /// Appends a frame; contents become as many frames as they need.
    pub fn push(&mut self, frame: &OutFrame) {
        let before = self.tail.len();
        if self.tail.capacity() == 0 {
            self.tail.reserve(TAIL_LEN_MIN);
        }
        match frame {
            OutFrame::ProtocolHeader(header) => self.tail.put_slice(header),
            OutFrame::Method(channel, method) => self.put_method(*channel, method),
            OutFrame::Deliver(channel, deliver) => {
                put_frame(&mut self.tail, kind::METHOD, *channel, |out| put_deliver(out, deliver));
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
            OutFrame::Heartbeat => put_frame(&mut self.tail, kind::HEARTBEAT, 0, |_| ()),
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
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        self.done.iter().map(|bytes| &bytes[..]).chain(tail)
    }

    /// Forgets the first `written` bytes: the socket has them. An empty egress holds no memory.
    ///
    /// # Panics
    /// When fewer than `written` bytes wait.
    pub fn advance(&mut self, mut written: usize) {
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
            self.tail = BytesMut::new();
        }
    }

    fn put_method(&mut self, channel: u16, method: &Method) {
        put_frame(&mut self.tail, kind::METHOD, channel, |out| method.write(out));
    }

    /// Appends header and body frames. `before` is where the tail ended before their method.
    fn put_content(&mut self, channel: u16, message: &Message, before: usize) {
        put_frame(&mut self.tail, kind::HEADER, channel, |out| {
            put_header(out, message.body.len() as u64, &message.properties);
        });
        self.len += self.tail.len() - before;
        let payload_len_max = self.frame_max.saturating_sub(FRAME_OVERHEAD).max(1);
        for piece in message.body.pieces() {
            let mut at = 0;
            while at < piece.len() {
                let end = piece.len().min(at.saturating_add(payload_len_max));
                self.put_body(channel, piece.slice(at..end));
                at = end;
            }
        }
    }

    fn put_body(&mut self, channel: u16, payload: Bytes) {
        self.len += payload.len() + FRAME_OVERHEAD;
        self.tail.put_u8(kind::BODY);
        self.tail.put_u16(channel);
        self.tail.put_u32(payload.len() as u32);
        if payload.len() <= COPY_LEN_MAX {
            self.tail.put_slice(&payload);
        } else {
            self.done.push_back(self.tail.split().freeze());
            self.done.push_back(payload);
        }
        self.tail.put_u8(FRAME_END);
    }
}

/// Appends a frame around the payload that `write` appends.
fn put_frame(out: &mut BytesMut, kind: u8, channel: u16, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(0);
    write(out);
    let len = (out.len() - at - 7) as u32;
    out[at + 3..at + 7].copy_from_slice(&len.to_be_bytes());
    out.put_u8(FRAME_END);
}

/// Appends a `basic.deliver`, as [`BasicDeliver`] would be written: without making one, as this is
/// done for every message, and each name in it would be one more reference to count.
fn put_deliver(out: &mut BytesMut, deliver: &Deliver) {
    out.put_u16(BasicDeliver::ID.class);
    out.put_u16(BasicDeliver::ID.method);
    put_shortstr(out, &deliver.consumer_tag);
    out.put_u64(deliver.delivery_tag);
    out.put_u8(u8::from(deliver.redelivered));
    put_shortstr(out, &deliver.message.exchange);
    put_shortstr(out, &deliver.message.routing_key);
}

fn put_shortstr(out: &mut BytesMut, text: &ShortStr) {
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn put_header(out: &mut BytesMut, body_size: u64, properties: &Properties) {
    out.put_u16(CLASS_BASIC);
    out.put_u16(0);
    out.put_u64(body_size);
    out.put_slice(properties.wire());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_written_as_the_table_of_methods_has_it() {
        for redelivered in [false, true] {
            let message = alloc::sync::Arc::new(Message {
                exchange: "x".into(),
                routing_key: "a.b".into(),
                properties: Properties::default(),
                body: Bytes::from_static(b"body").into(),
                persistent: false,
                is_dead_letter: false,
                charge: crate::broker::Charge::default(),
            });
            let deliver =
                Deliver { consumer_tag: "tag".into(), delivery_tag: 7, redelivered, message };
            let method = Method::from(BasicDeliver {
                consumer_tag: deliver.consumer_tag.clone(),
                delivery_tag: deliver.delivery_tag,
                redelivered,
                exchange: deliver.message.exchange.clone(),
                routing_key: deliver.message.routing_key.clone(),
            });
            let [mut direct, mut by_table] = [BytesMut::new(), BytesMut::new()];
            put_deliver(&mut direct, &deliver);
            method.write(&mut by_table);
            assert_eq!(direct, by_table);
        }
    }
}
