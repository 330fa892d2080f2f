//! Where an egress writes small things, one behind the other.
//!
//! The memory is all there before anything is written to it. So what is short is copied in steps of
//! a length that is known when this is compiled, and what of it does not count is written over by
//! what comes next: to ask the library to copy some bytes takes longer than to copy a few more.

use alloc::vec::Vec;
use core::mem::take;

use bytes::{Buf, Bytes};

use super::CompactBytes;
use super::compact_bytes::INLINE_LEN_MAX;

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
        let room_len = len_max + INLINE_LEN_MAX;
        if self.memory.len() - self.end < room_len {
            self.make_room(room_len);
        }
        let room = &mut self.memory[self.end..];
        let len = room.len();
        let mut pen = Pen { room };
        write(&mut pen);
        let written = len - pen.room.len();
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

/// Writes from front to back, where there is room for all that is to be written and for the longest
/// bytes that lie in their value.
pub(super) struct Pen<'a> {
    room: &'a mut [u8],
}

impl Pen<'_> {
    /// Writes these bytes.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_first(&bytes, N);
    }

    /// Writes the first `len` of these bytes.
    #[inline]
    pub(super) fn put_first<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        *self.room.first_chunk_mut().expect("there is room for all") = *bytes;
        self.room = &mut take(&mut self.room)[len..];
    }

    /// Writes these bytes.
    #[inline]
    pub(super) fn put_compact(&mut self, bytes: &CompactBytes) {
        match bytes.as_inline() {
            Some((inline, len)) => self.put_first(inline, len),
            None => self.put_slice(bytes),
        }
    }

    /// Writes these bytes.
    pub(super) fn put_slice(&mut self, bytes: &[u8]) {
        let (room, rest) = take(&mut self.room).split_at_mut(bytes.len());
        room.copy_from_slice(bytes);
        self.room = rest;
    }
}
