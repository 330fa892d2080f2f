//! How much room the log has, and what of it is kept for what must not wait.

use super::{Log, Spare};

/// One part in so many of a segment is kept for what must not wait when there is no other segment
/// to go on to.
const RESERVE_PART: u64 = 2;

impl Log {
    /// Bytes that wait to be written, for the first time or again, and those being written.
    pub(crate) fn backlog(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, |in_flight| in_flight.batch.len);
        let unwritten = self.unwritten.as_ref().map_or(0, |(_, batch)| batch.len);
        self.pending.len + in_flight + unwritten
    }

    /// With less free space than this many bytes, publishers wait from now on.
    pub(crate) fn set_free_min(&mut self, free_min: u64) {
        self.disk_free_min = free_min;
        self.is_short = self.free.is_some_and(|free| free < free_min);
    }

    /// See [`Self::set_free_min`].
    pub(crate) fn free_min(&self) -> u64 {
        self.disk_free_min
    }

    /// Whether the disk has too little room for publishers to go on.
    pub(crate) fn is_short_of_space(&self) -> bool {
        self.is_full | self.is_short | self.is_troubled
    }

    /// Whether what is reserved on the disk, beyond what has gathered, had better be left to
    /// acks, deletes and what goes before deliveries. Should the next segment turn out not to fit
    /// on the disk, these are what can make room, and they need some themselves.
    pub(crate) fn is_short_of_reserve(&self) -> bool {
        if !self.is_enabled || self.spare == Spare::Ready {
            return false;
        }
        let left = |offset| self.segment_len.saturating_sub(offset);
        let reserved = self.active.as_ref().map_or(0, |active| left(active.offset));
        let wanted = self.segment_len / RESERVE_PART + self.pending.len as u64;
        reserved < wanted
    }
}
