//! What is measured of the broker as a whole, for those who run it.
//!
//! Everything here is counted as it happens, or once for each batch of the log. So asking for it
//! costs about the same however many queues, messages and connections there are.

use crate::ResourceLimits;
use crate::broker::Reason;
use crate::listing::{QueueCounters, Totals, Traffic};

/// How often values came, by how large they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [u64; N],
    /// How many were above all bounds.
    above: u64,
    sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// One of no values yet; the bounds must grow.
    #[must_use]
    pub const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, counts: [0; N], above: 0, sum: 0 }
    }

    /// Counts a value.
    pub fn note(&mut self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        match place.and_then(|place| self.counts.get_mut(place)) {
            Some(count) => *count += 1,
            None => self.above += 1,
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// Each bound, and how many values were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut below = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            below += count;
            (*bound, below)
        })
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// What becomes of the dead of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// They are dropped.
    Disabled,
    /// Their letters go where there is room, at once.
    AtMostOnce,
    /// Their letters wait until they can go.
    AtLeastOnce,
}

impl DeadLetterStrategy {
    /// All of them, in the order in which [`QueueSums::deaths`] has them.
    pub const ALL: [Self; 3] = [Self::Disabled, Self::AtMostOnce, Self::AtLeastOnce];
}

/// How many messages died, and of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deaths {
    /// A consumer did not want them.
    pub rejected: u64,
    /// They waited for too long.
    pub expired: u64,
    /// There was no room for them.
    pub maxlen: u64,
    /// They came back too often.
    pub delivery_limit: u64,
}

impl Deaths {
    pub(crate) fn note(&mut self, reason: Reason) {
        match reason {
            Reason::Rejected => self.rejected += 1,
            Reason::Expired => self.expired += 1,
            Reason::MaxLength => self.maxlen += 1,
            Reason::DeliveryLimit => self.delivery_limit += 1,
        }
    }
}

/// All queues of a kind together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSums {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages with consumers, not settled yet.
    pub unacked: u64,
    /// What happened to messages, also of queues that are gone.
    pub counters: QueueCounters,
    /// Messages that died, by what was to become of them; see [`DeadLetterStrategy`].
    pub deaths: [Deaths; 3],
    /// Dead letters that waited, if they had to, and went.
    pub letters_confirmed: u64,
    /// Dead letters, or delayed messages, that no queue took.
    pub lost_letters: u64,
    /// How often a queue was asked for a message and had none.
    pub get_empty: u64,
}

/// All queues, by their kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumsByKind {
    /// Classic queues.
    pub classic: QueueSums,
    /// Quorum queues.
    pub quorum: QueueSums,
    /// Where messages wait for their time: `ready` says how many do.
    pub delayed: QueueSums,
}

/// Messages by the size of their bodies, as RabbitMQ groups them.
pub type MessageSizes = Histogram<8>;

/// Batches of the log by something of theirs.
pub type BatchSizes = Histogram<9>;

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMetrics {
    /// Bytes of batches.
    pub batch_bytes: BatchSizes,
    /// Records of batches: messages and other facts.
    pub batch_records: BatchSizes,
    /// Clients' channels, and others who asked for something, that waited for a batch.
    pub batch_waiters: BatchSizes,
    /// Bytes of the batch that gathers, about.
    pub pending_bytes: u64,
    /// Segments, with the one that is written to.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many bytes of them are of messages that are in queues.
    pub live_bytes: u64,
    /// Segments that went, as nothing in them was needed any more.
    pub segments_deleted: u64,
    /// Messages that were copied so that their segments could go, and their bytes.
    pub messages_moved: u64,
    /// The bytes of those.
    pub bytes_moved: u64,
    /// How often the disk was read from for queues.
    pub reads: u64,
    /// How many bytes were asked for.
    pub read_bytes: u64,
}

/// What takes memory, as far as it is bounded by what is there for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryMetrics {
    /// Messages in queues, on their way into the log, or handed out, in bytes.
    pub messages: u64,
    /// Messages of transactions that are not committed.
    pub uncommitted: u64,
    /// Messages that exchanges keep.
    pub history: u64,
}

/// What [`Broker::metrics`](crate::Broker::metrics) gives.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// How much there is.
    pub totals: Totals,
    /// What happened since the start.
    pub traffic: Traffic,
    /// What queues hold.
    pub queues: SumsByKind,
    /// Messages that clients published, by size.
    pub message_sizes: MessageSizes,
    /// Channels that have published something.
    pub publishers: u64,
    /// Whether publishers wait for want of memory.
    pub memory_alarm: bool,
    /// Whether publishers wait for want of space on the disk.
    pub disk_alarm: bool,
    /// Clients' channels, and others who asked for something, that wait for the disk.
    pub gate_waiters: u64,
    /// Channels that wait because publishers have to, or for a message to be read.
    pub parked_channels: u64,
    /// When something is to be looked after: so many times are known.
    pub timers: u64,
    /// What takes memory.
    pub memory: MemoryMetrics,
    /// The log.
    pub log: LogMetrics,
    /// How much memory messages may take, and how much space must be left on the disk.
    pub limits: ResourceLimits,
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_value_is_counted_up_to_each_bound_that_it_is_not_above() {
        let mut histogram = Histogram::new([10, 100]);
        for value in [0, 10, 11, 100, 101, 5000] {
            histogram.note(value);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(10, 2), (100, 4)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, 5222));
    }
}
