//! Where an egress writes small things, one behind the other: for a [pen](crate::pen), in memory
//! that is all there before.

use alloc::vec::Vec;
use core::mem::take;

use bytes::{Buf, Bytes};

use crate::pen::{self, Pen};

/// The least room that is made where there is none, and the most that is made ahead of need.
const ROOM_LEN_MIN: usize = 512;
const ROOM_LEN_MAX: usize = 64 << 10;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Tail {
    memory: Vec<u8>,
    /// Where what was written ends.
    end: usize,
    /// How many bytes the socket has already.
    sent: usize,
}

impl Tail {
    /// An empty one in memory that was another's.
    pub(super) fn of_memory(memory: Vec<u8>) -> Self {
        Self { memory, end: 0, sent: 0 }
    }

    /// Whether it has any memory.
    pub(super) fn has_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// The memory of one that is not needed any more.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.memory
    }

    /// What the socket does not have yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.memory[self.sent..self.end]
    }

    /// The socket has so many bytes more.
    pub(super) fn advance(&mut self, written: usize) {
        self.sent += written;
    }

    /// Has no more than `len_max` bytes written behind the others; how many they are.
    #[inline]
    pub(super) fn write(&mut self, len_max: usize, write: impl FnOnce(&mut Pen<'_>)) -> usize {
        let room_len = len_max + Pen::SLACK;
        if self.memory.len() - self.end < room_len {
            self.make_room(room_len);
        }
        let written = pen::write(&mut self.memory[self.end..], write);
        self.end += written;
        written
    }

    #[cold]
    fn make_room(&mut self, len: usize) {
        if self.sent > self.end / 2 {
            self.memory.copy_within(self.sent..self.end, 0);
            self.end -= take(&mut self.sent);
        }
        let room_len = len.max(self.end.clamp(ROOM_LEN_MIN, ROOM_LEN_MAX));
        let needed = self.end + room_len;
        if self.memory.len() < needed {
            self.memory.resize(needed, 0);
        }
    }

    /// What waits, to be handed on as it is; nothing is left.
    pub(super) fn finish(&mut self) -> Bytes {
        let Self { mut memory, end, sent } = take(self);
        memory.truncate(end);
        let mut bytes = Bytes::from(memory);
        bytes.advance(sent);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain vector.
        #[test]
        fn what_was_written_waits_in_its_order_until_it_is_sent(
            steps in prop::collection::vec((0usize..700, 0usize..1000), 0..60),
        ) {
            let (mut tail, mut model) = (Tail::default(), Vec::new());
            for (index, (len, sent)) in steps.into_iter().enumerate() {
                let bytes = alloc::vec![index as u8; len];
                prop_assert_eq!(tail.write(len, |pen| pen.put_slice(&bytes)), len);
                model.extend(bytes);
                prop_assert_eq!(tail.waiting(), &model);
                let sent = sent.min(model.len());
                tail.advance(sent);
                model.drain(..sent);
                if sent % 7 == 0 {
                    prop_assert_eq!(&tail.finish()[..], &model);
                    model.clear();
                } else if model.is_empty() {
                    tail = Tail::of_memory(tail.into_memory());
                }
            }
        }
    }
}
