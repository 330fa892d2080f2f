//! Dead letters that cannot go on their way, in queues that keep these: they are on disk only.

use alloc::collections::VecDeque;

use super::queue::QueueId;

/// Those of a queue, in the order in which they are tried again.
#[derive(Debug, Default)]
pub(crate) struct KeptLetters {
    /// The lane, the position and the length of the body.
    letters: VecDeque<(QueueId, u64, u64)>,
    /// How many bytes their bodies have.
    bytes: u64,
}

impl KeptLetters {
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, lane: QueueId, position: u64, bytes: u64) {
        self.letters.push_back((lane, position, bytes));
        self.bytes += bytes;
    }

    /// The one that was tried longest ago: its lane and position.
    pub(crate) fn pop(&mut self) -> Option<(QueueId, u64)> {
        let (lane, position, bytes) = self.letters.pop_front()?;
        self.bytes -= bytes;
        Some((lane, position))
    }
}
