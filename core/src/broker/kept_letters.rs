//! Dead letters that cannot go on their way, in queues that keep these: they are on disk only.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::queue::QueueId;

/// Those of a queue, in the order in which they are tried again. Most queues have none, ever: for
/// them this is a pointer.
#[derive(Debug, Default)]
pub(crate) struct KeptLetters(Option<Box<Letters>>);

#[derive(Debug, Default)]
struct Letters {
    /// The lane, the position and the length of the body.
    list: VecDeque<(QueueId, u64, u64)>,
    /// How many bytes their bodies have.
    bytes: u64,
}

impl KeptLetters {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |letters| letters.list.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |letters| letters.bytes)
    }

    pub(crate) fn push(&mut self, lane: QueueId, position: u64, bytes: u64) {
        let letters = self.0.get_or_insert_default();
        letters.list.push_back((lane, position, bytes));
        letters.bytes += bytes;
    }

    /// The one that was tried longest ago: its lane and position.
    pub(crate) fn pop(&mut self) -> Option<(QueueId, u64)> {
        let letters = self.0.as_mut()?;
        let (lane, position, bytes) = letters.list.pop_front()?;
        letters.bytes -= bytes;
        Some((lane, position))
    }
}
