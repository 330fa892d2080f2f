//! What all queues of a kind hold together, and what happened to their messages: counted as it
//! happens, so that nobody has to ask each queue for a sum.
//!
//! What came in is ready, unacked, settled, or went with its queue. So the ready ones need not be
//! counted: they are what is left.

use super::death::Reason;
use super::queue::{Counts, Queue};
use crate::metrics::Deaths;

/// Of which kind a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Classic,
    Quorum,
    /// One that holds messages which go on their way later.
    DelayStore,
}

/// What is known of all queues of a kind, those that are gone among them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// Messages that are handed out and not settled.
    pub(crate) unacked: u64,
    /// Messages that were ready, or handed out, when their queue went.
    pub(crate) left: u64,
    /// Messages that died, by what was to become of them.
    pub(crate) deaths: [Deaths; 3],
    /// Dead letters that were to wait until they can go, and went.
    pub(crate) letters_confirmed: u64,
    /// How often a queue was asked for a message and had none.
    pub(crate) get_empty: u64,
}

impl Tally {
    /// How many messages are ready.
    pub(crate) fn ready(&self) -> u64 {
        self.counts.enqueued.saturating_sub(self.counts.settled() + self.unacked + self.left)
    }
}

/// One for each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tallies([Tally; 3]);

impl Tallies {
    pub(crate) fn of(&self, kind: QueueKind) -> &Tally {
        &self.0[kind as usize]
    }

    /// A message of a queue died.
    pub(crate) fn note_death(&mut self, queue: &Queue, reason: Reason) {
        let strategy = queue.settings.strategy();
        self.of_mut(queue.kind).deaths[strategy as usize].note(reason);
    }

    pub(crate) fn of_mut(&mut self, kind: QueueKind) -> &mut Tally {
        &mut self.0[kind as usize]
    }
}
