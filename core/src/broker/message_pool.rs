//! Memory of messages that are gone, for those that come.
//!
//! To ask the allocator for a message's memory, and to give it back, takes longer than anything
//! else that is done for a small one. Whoever lets go of a message may hand it in here; if it was
//! the last who had it, the next message is made in the same place. Nobody has to.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::Message;

/// Bodies up to this many bytes that are copied get a buffer that is used again.
pub(super) const BUFFER_LEN_MAX: usize = 2048;

/// The capacities of buffers are multiples of this, and one is used again for what would be given
/// one of its capacity: a small body never holds on to a large buffer.
const STEP: usize = 64;

/// So many messages are kept, and buffers of each capacity that have so many bytes together. What
/// matters is how many come and go between two turns, not how many there are.
const MESSAGES_MAX: usize = 2048;
const BUFFERS_LEN_MAX: usize = 64 << 10;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct MessagePool {
    /// Nobody else has any of them, and nothing is in them.
    messages: Vec<Arc<Message>>,
    /// By their capacities.
    buffers: [Vec<Vec<u8>>; BUFFER_LEN_MAX / STEP + 1],
}

impl MessagePool {
    /// Makes a message to be shared.
    pub(crate) fn share(&mut self, message: Message) -> Arc<Message> {
        let Some(mut place) = self.messages.pop() else { return Arc::new(message) };
        let Some(empty) = Arc::get_mut(&mut place) else { return Arc::new(message) };
        debug_assert!(empty.holds_nothing(), "what is kept has let go of all");
        // Nothing is in it that would have to be dropped: to find that out is saved.
        core::mem::forget(core::mem::replace(empty, message));
        place
    }

    /// A message is not needed any more by whoever hands it in.
    pub(crate) fn take_back(&mut self, mut message: Arc<Message>) {
        if self.messages.len() >= MESSAGES_MAX {
            return;
        }
        let Some(last) = Arc::get_mut(&mut message) else { return };
        if let Some(mut buffer) = last.let_go()
            && let Some(others) = self.buffers.get_mut(buffer.capacity() / STEP)
            && others.len() * buffer.capacity() < BUFFERS_LEN_MAX
        {
            buffer.clear();
            others.push(buffer);
        }
        self.messages.push(message);
    }

    /// An empty buffer with room for so many bytes.
    pub(super) fn buffer(&mut self, len: usize) -> Vec<u8> {
        if len > BUFFER_LEN_MAX {
            return Vec::with_capacity(len);
        }
        let capacity = len.next_multiple_of(STEP);
        let known = self.buffers.get_mut(capacity / STEP).and_then(Vec::pop);
        let mut buffer = known.unwrap_or_default();
        // Even if the allocator was more generous before.
        buffer.reserve_exact(capacity);
        buffer
    }
}

impl Default for MessagePool {
    fn default() -> Self {
        Self { messages: Vec::new(), buffers: [const { Vec::new() }; BUFFER_LEN_MAX / STEP + 1] }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message::{Body, Charge, Gauge};
    use super::*;
    use crate::amqp::Properties;

    fn message(len: usize) -> Message {
        Message {
            exchange: "x".into(),
            routing_key: "key".into(),
            properties: Properties::default(),
            body: Body::from(Bytes::from(alloc::vec![7; len])),
            persistent: false,
            is_dead_letter: false,
            charge: Charge::default(),
        }
    }

    #[test]
    fn the_memory_of_the_last_who_had_a_message_is_used_again() {
        let mut pool = MessagePool::default();
        let first = pool.share(message(100));
        let place = Arc::as_ptr(&first);
        pool.take_back(first.clone());
        assert!(pool.messages.is_empty(), "somebody has it still");
        pool.take_back(first);
        let next = pool.share(message(3));
        assert_eq!(Arc::as_ptr(&next), place);
        assert_eq!(*next, message(3));
    }

    #[test]
    fn a_message_that_is_handed_in_is_charged_no_more_and_leaves_its_buffer() {
        let (mut pool, gauge) = (MessagePool::default(), Gauge::default());
        let mut kept = message(100);
        kept.detach_in(&mut pool);
        kept.charge_to(&gauge);
        let buffer = kept.body.pieces().next().map(<[u8]>::as_ptr);
        let kept = pool.share(kept);
        assert!(gauge.get() > 0);
        pool.take_back(kept);
        assert_eq!(gauge.get(), 0);
        let [mut small, mut next] = [message(50), message(127)];
        small.detach_in(&mut pool);
        assert_ne!(small.body.pieces().next().map(<[u8]>::as_ptr), buffer);
        next.detach_in(&mut pool);
        assert_eq!(next, message(127));
        assert_eq!(next.body.pieces().next().map(<[u8]>::as_ptr), buffer);
    }

    #[test]
    fn no_more_is_kept_than_has_its_place() {
        let mut pool = MessagePool::default();
        let all: Vec<_> = (0..2 * MESSAGES_MAX).map(|_| pool.share(message(1))).collect();
        all.into_iter().for_each(|message| pool.take_back(message));
        assert_eq!(pool.messages.len(), MESSAGES_MAX);
    }
}
