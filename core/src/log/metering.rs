//! What is measured of the log: once for each batch, read and copy.

use super::{Log, Segments};
use crate::Mark;
use crate::metrics::{BatchSizes, Histogram, LogMetrics};

/// From a block to a segment.
const BYTES: [u64; 9] =
    [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20, 16 << 20];

const COUNTS: [u64; 9] = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536];

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMeters {
    pub(super) bytes: BatchSizes,
    pub(super) records: BatchSizes,
    waiters: BatchSizes,
    /// Whether a batch is durable whose waiters were not counted.
    pub(super) is_batch_done: bool,
    pub(crate) bytes_moved: u64,
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
}

impl Default for LogMeters {
    fn default() -> Self {
        Self {
            bytes: Histogram::new(BYTES),
            records: Histogram::new(COUNTS),
            waiters: Histogram::new(COUNTS),
            is_batch_done: false,
            bytes_moved: 0,
            reads: 0,
            read_bytes: 0,
        }
    }
}

impl Log {
    /// So many do not wait any more, if a batch is why.
    pub(crate) fn note_waiters(&mut self, count: u64) {
        if core::mem::take(&mut self.meters.is_batch_done) {
            self.meters.waiters.note(count);
        }
    }

    /// The number that it was given when it was made.
    pub(crate) fn node(&self) -> u64 {
        self.node
    }

    /// All that is measured of it. Costs a little for each segment.
    pub(crate) fn metrics(&self) -> LogMetrics {
        let LogMeters { bytes, records, waiters, bytes_moved, reads, read_bytes, .. } = self.meters;
        let marks = self.marks.counts();
        let active = self.active.as_ref();
        let (segments, bytes_in_segments, live_bytes) = self.segments.sums();
        LogMetrics {
            batch_bytes: bytes,
            batch_records: records,
            batch_waiters: waiters,
            pending_bytes: self.backlog() as u64,
            segments: segments + u64::from(active.is_some()),
            bytes: bytes_in_segments + active.map_or(0, |active| active.offset),
            live_bytes,
            segments_deleted: marks.count(Mark::SegmentDeleted),
            messages_moved: marks.count(Mark::MessageMoved),
            bytes_moved,
            reads,
            read_bytes,
        }
    }
}

impl Segments {
    /// How many are full, their bytes, and how many bytes live in all there are.
    fn sums(&self) -> (u64, u64, u64) {
        let full = self.iter().map(|(_, segment)| segment.len).sum();
        (self.iter().count() as u64, full, self.live_bytes())
    }
}
