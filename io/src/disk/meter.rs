//! How long the disk takes.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use warren_core::metrics::Histogram;
use warren_core::{DiskOp, DiskRequest, Lane};

/// From what memory takes to what nobody wants to wait for, in microseconds.
const MICROS: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000];

/// Operations by how many microseconds they took.
pub type DiskTimes = Histogram<12>;

/// Operations of one kind.
#[derive(Clone, Copy, Debug)]
pub struct DiskUse {
    /// How long they took.
    pub times: DiskTimes,
    /// How many bytes they were about.
    pub bytes: u64,
}

impl DiskUse {
    const NONE: Self = Self { times: Histogram::new(MICROS), bytes: 0 };

    fn note(&mut self, took: Duration, bytes: u64) {
        self.times.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.bytes += bytes;
    }
}

/// What the disk did since the data directory was opened, whatever came of it.
#[derive(Clone, Copy, Debug)]
pub struct DiskMetrics {
    /// Syncs of the log: what confirms wait for.
    pub log_sync: DiskUse,
    /// Syncs of anything else.
    pub other_sync: DiskUse,
    /// Writes.
    pub write: DiskUse,
    /// Reads.
    pub read: DiskUse,
}

/// Measures a disk. Clones are of the same.
#[derive(Clone, Debug)]
pub struct DiskMeter(Arc<Mutex<DiskMetrics>>);

impl Default for DiskMeter {
    fn default() -> Self {
        let none = DiskUse::NONE;
        let all = DiskMetrics { log_sync: none, other_sync: none, write: none, read: none };
        Self(Arc::new(Mutex::new(all)))
    }
}

/// What of an operation is to be noted when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    kind: Option<Kind>,
    bytes: u64,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    LogSync,
    OtherSync,
    Write,
    Read,
}

impl DiskMeter {
    /// What was measured so far.
    #[must_use]
    pub fn metrics(&self) -> DiskMetrics {
        *self.lock()
    }

    /// An operation begins.
    pub(super) fn begin(&self, request: &DiskRequest) -> Running {
        let (kind, bytes) = match &request.op {
            DiskOp::Sync { .. } if request.lane == Lane::Log => (Some(Kind::LogSync), 0),
            DiskOp::Sync { .. } | DiskOp::SyncDir => (Some(Kind::OtherSync), 0),
            DiskOp::Write { data, .. } => {
                (Some(Kind::Write), data.iter().map(|piece| piece.len() as u64).sum())
            }
            DiskOp::Read { len, .. } => (Some(Kind::Read), u64::from(*len)),
            _ => (None, 0),
        };
        Running { kind, bytes, since: Instant::now() }
    }

    /// It is over.
    pub(super) fn end(&self, Running { kind, bytes, since }: Running) {
        let Some(kind) = kind else { return };
        let took = since.elapsed();
        let mut metrics = self.lock();
        let of_kind = match kind {
            Kind::LogSync => &mut metrics.log_sync,
            Kind::OtherSync => &mut metrics.other_sync,
            Kind::Write => &mut metrics.write,
            Kind::Read => &mut metrics.read,
        };
        of_kind.note(took, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, DiskMetrics> {
        self.0.lock().expect("no holder panics")
    }
}
