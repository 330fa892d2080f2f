//! A message: what was published, as it travels to every queue and consumer.
//!
//! Messages never change. One message is shared by all queues that it was routed to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::amqp::{CompactBytes, FieldTable, FieldValue, Properties, ShortStr};

use super::message_pool::{BUFFER_LEN_MAX, MessagePool};

/// Messages up to this many bytes are copied when they are kept, see [`Message::detach`].
const DETACH_LEN_MAX: usize = 16 << 10;

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Body,
    /// Whether it asks to survive a restart.
    pub persistent: bool,
    /// Whether it died in a queue before: its header `x-death` is the broker's word.
    pub is_dead_letter: bool,
    /// The memory it is charged for, if it is kept.
    pub charge: Charge,
}

/// What a message takes in memory beside its bytes, about.
const OVERHEAD: usize = 320;

/// Counts the bytes of messages that are kept in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// How many there are now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A message's part of what a gauge counts, given back with the message. Copies of a message have
/// none, and it makes no difference between messages.
#[derive(Debug, Default)]
pub struct Charge(Option<(Gauge, u64)>);

impl Charge {
    /// Has a gauge count so many bytes more, for as long as the charge lives.
    pub(crate) fn grow(&mut self, gauge: &Gauge, len: u64) {
        gauge.0.fetch_add(len, Ordering::Relaxed);
        self.0.get_or_insert_with(|| (gauge.clone(), 0)).1 += len;
    }
}

impl Clone for Charge {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl PartialEq for Charge {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Charge {}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some((gauge, len)) = &self.0 {
            gauge.0.fetch_sub(*len, Ordering::Relaxed);
        }
    }
}

impl Message {
    /// How many bytes it takes in memory, about.
    pub(crate) fn size(&self) -> usize {
        OVERHEAD + self.routing_key.len() + self.properties.wire().len() + self.body.len()
    }

    /// Has a gauge count it for as long as it lives.
    pub(crate) fn charge_to(&mut self, gauge: &Gauge) {
        if self.charge.0.is_some() {
            return;
        }
        let len = self.size() as u64;
        gauge.0.fetch_add(len, Ordering::Relaxed);
        self.charge = Charge(Some((gauge.clone(), len)));
    }

    /// For how many milliseconds it may wait in a queue, if it says so.
    pub(crate) fn time_to_live(&self) -> Option<u64> {
        let expiration = self.properties.decode().ok()?.expiration?;
        expiration.to_text().parse().ok()
    }

    /// The message as a consumer sees it that is told how often it came back. As it is, if nobody
    /// can read its properties.
    pub(crate) fn with_delivery_count(self: &Arc<Self>, count: u32) -> Arc<Self> {
        let Ok(mut properties) = self.properties.decode() else { return self.clone() };
        let name = ShortStr::from_static("x-delivery-count");
        let headers = properties.headers.iter().flat_map(FieldTable::iter);
        let mut headers: Vec<_> = headers.filter(|(known, _)| *known != name).cloned().collect();
        headers.push((name, FieldValue::I64(count.into())));
        // As RabbitMQ does where it adds headers.
        headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        properties.headers = Some(FieldTable::new(headers));
        Arc::new(Self { properties: properties.encode(), ..Self::clone(self) })
    }

    /// Makes a message fit for being kept: small pieces are copied into memory of their own.
    ///
    /// Without this, one message of a few bytes that waits in a queue would hold on to the whole
    /// buffer that it was read into, many thousand bytes.
    pub fn detach(&mut self) {
        self.detach_in(&mut MessagePool::default());
    }

    /// The same, in memory from this pool as far as there is any.
    pub(crate) fn detach_in(&mut self, pool: &mut MessagePool) {
        let properties = self.properties.wire();
        let len = self.routing_key.len() + properties.len() + self.body.len();
        if len > DETACH_LEN_MAX {
            return;
        }
        // Each by itself: mostly none but the body has more bytes than lie in the message.
        if self.routing_key.is_shared() {
            self.routing_key = self.routing_key.detached();
        }
        if self.properties.is_shared() {
            self.properties = self.properties.detached();
        }
        self.body.detach(pool);
    }

    /// Whether nothing outside of the message itself is held by it.
    pub(super) fn holds_nothing(&self) -> bool {
        let Self {
            exchange,
            routing_key,
            properties,
            body,
            persistent: _,
            is_dead_letter: _,
            charge,
        } = self;
        exchange.as_compact().is_inline()
            && routing_key.as_compact().is_inline()
            && properties.as_compact().is_inline()
            && body.first.is_inline()
            && body.rest.capacity() == 0
            && charge.0.is_none()
    }

    /// Lets go of all that it holds on to; gives the buffer of its own, if it has one. What lies
    /// in the message itself may stay until another takes its place.
    pub(super) fn let_go(&mut self) -> Option<Vec<u8>> {
        if self.exchange.is_shared() {
            self.exchange = ShortStr::EMPTY;
        }
        if self.routing_key.is_shared() {
            self.routing_key = ShortStr::EMPTY;
        }
        if self.properties.is_shared() {
            self.properties = Properties::default();
        }
        if self.charge.0.is_some() {
            self.charge = Charge(None);
        }
        self.body.let_go()
    }
}

/// A message's body, in the pieces in which it arrived: it is never copied to make it one.
#[derive(Clone, Debug, Default)]
pub struct Body {
    first: CompactBytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Body {
    /// Appends a piece.
    pub fn push(&mut self, piece: CompactBytes) {
        self.len += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.push(piece.to_bytes());
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many pieces there are.
    pub(crate) fn pieces_len(&self) -> usize {
        1 + self.rest.len()
    }

    /// The pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let rest = self.rest.iter().map(|piece| &piece[..]);
        core::iter::once(&self.first[..]).chain(rest)
    }

    /// The only piece, if there is no more than one.
    #[inline]
    pub(crate) fn only_piece(&self) -> Option<&CompactBytes> {
        self.rest.is_empty().then_some(&self.first)
    }

    /// The same, to be shared.
    pub(crate) fn shared_pieces(&self) -> impl Iterator<Item = Bytes> {
        let first = self.first.to_bytes();
        core::iter::once(first).chain(self.rest.iter().cloned())
    }

    /// A part of one of the pieces, to be shared.
    ///
    /// # Panics
    /// When there is no such.
    pub(crate) fn share(&self, piece: usize, start: usize, end: usize) -> Bytes {
        match piece.checked_sub(1) {
            None => self.first.slice(start, end),
            Some(piece) => self.rest[piece].slice(start..end),
        }
    }

    /// Copies it, in one piece, into memory of its own.
    fn detach(&mut self, pool: &mut MessagePool) {
        if self.rest.is_empty() && !self.first.is_shared() {
            return;
        }
        let mut own = match CompactBytes::is_few(self.len) {
            true => Vec::new(),
            false => pool.buffer(self.len),
        };
        self.pieces().for_each(|piece| own.extend_from_slice(piece));
        self.rest = Vec::new();
        // What is large is handed on without being copied, to several if need be.
        self.first = match self.len <= BUFFER_LEN_MAX && !CompactBytes::is_few(self.len) {
            true => CompactBytes::own(own),
            false => Bytes::from(own).into(),
        };
    }

    fn let_go(&mut self) -> Option<Vec<u8>> {
        if self.rest.capacity() > 0 {
            self.rest = Vec::new();
        }
        if self.first.is_inline() { None } else { self.first.take_buffer() }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        CompactBytes::from(bytes).into()
    }
}

impl From<CompactBytes> for Body {
    fn from(first: CompactBytes) -> Self {
        Self { len: first.len(), first, rest: Vec::new() }
    }
}

/// Equal when the bytes are, however they are cut.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl Eq for Body {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_message_says_the_same() {
        let mut body = Body::from(Bytes::from_static(b"hello "));
        body.push(Bytes::from_static(b"world").into());
        let message = Message {
            exchange: "x".into(),
            routing_key: "key".into(),
            properties: Properties::default(),
            body,
            persistent: true,
            is_dead_letter: false,
            charge: Charge::default(),
        };
        let mut copy = message.clone();
        copy.detach();
        assert_eq!(copy, message);
        assert_eq!(copy.body.pieces().count(), 1);
    }
}
