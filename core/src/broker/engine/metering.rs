//! What the engine measures as a whole. Asking for it changes nothing and costs about the same
//! whatever there is.

use super::super::queue::QueueId;
use super::super::tally::{QueueKind, Tally};
use super::Engine;
use crate::Mark;
use crate::listing::{QueueCounters, Traffic};
use crate::metrics::{Histogram, LogMetrics, MemoryMetrics, MessageSizes, QueueSums};

/// RabbitMQ's bounds, in bytes.
const MESSAGE_SIZES: [u64; 8] =
    [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

/// No message yet.
pub(super) const fn message_sizes() -> MessageSizes {
    Histogram::new(MESSAGE_SIZES)
}

impl Engine {
    /// What happened since the start.
    pub(crate) fn traffic(&self) -> Traffic {
        let marks = self.marks();
        Traffic {
            published: self.message_sizes.count(),
            returned: marks.count(Mark::Returned),
            unroutable: marks.count(Mark::Unroutable),
            ..self.traffic
        }
    }

    /// What all queues of a kind hold, and what happened to messages of theirs.
    pub(crate) fn queue_sums(&self, kind: QueueKind) -> QueueSums {
        self.tallies.of(kind).into()
    }

    /// A dead letter of a queue that was to wait until it can go is gone.
    pub(super) fn tally_letter(&mut self, id: QueueId) {
        if let Some(queue) = self.queues.get(id) {
            self.tallies.of_mut(queue.kind).letters_confirmed += 1;
        }
    }

    /// What takes memory.
    pub(crate) fn memory_metrics(&self) -> MemoryMetrics {
        MemoryMetrics {
            messages: self.gauge.get(),
            uncommitted: self.uncommitted.get(),
            history: self.kept.get(),
        }
    }

    /// The number of the log.
    pub(crate) fn log_identity(&self) -> u64 {
        self.log.node()
    }

    /// The log.
    pub(crate) fn log_metrics(&self) -> LogMetrics {
        self.log.metrics()
    }

    /// How many moments are known at which something is to be looked after.
    pub(crate) fn timers_len(&self) -> u64 {
        (self.timers.len() + self.ack_timers.len()) as u64
    }
}

impl From<&Tally> for QueueSums {
    fn from(tally: &Tally) -> Self {
        let counters: QueueCounters = tally.counts.to_counters();
        Self {
            ready: tally.ready(),
            unacked: tally.unacked,
            counters,
            deaths: tally.deaths,
            letters_confirmed: tally.letters_confirmed,
            lost_letters: tally.counts.lost_letters,
            get_empty: tally.get_empty,
        }
    }
}
