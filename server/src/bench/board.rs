//! What the threads of one run share: the counters, the flags that end it, and the first failure.
//!
//! Every worker writes its own counters, once for each batch, in its own cache lines; the
//! supervisor only reads them. The one counter that all workers write is [`Board::ahead`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::connection::Notice;
use super::error::BenchError;

/// What one worker has done so far. Only that worker writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    /// Messages written to the socket, to their last byte.
    pub(super) published: AtomicU64,
    /// Messages that the broker acknowledged to the publisher.
    pub(super) confirmed: AtomicU64,
    /// Messages that the broker refused with `basic.nack`.
    pub(super) refused: AtomicU64,
    /// Messages received, to their last byte.
    pub(super) consumed: AtomicU64,
    /// Those among them that the broker marked as delivered before.
    pub(super) redelivered: AtomicU64,
}

/// The sum of all workers' counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Messages written to the sockets.
    pub(super) published: u64,
    /// Messages acknowledged to publishers.
    pub(super) confirmed: u64,
    /// Messages refused with `basic.nack`.
    pub(super) refused: u64,
    /// Messages received.
    pub(super) consumed: u64,
    /// Messages received with the mark that they were delivered before.
    pub(super) redelivered: u64,
}

impl Totals {
    /// What was done since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            published: self.published - earlier.published,
            confirmed: self.confirmed - earlier.confirmed,
            refused: self.refused - earlier.refused,
            consumed: self.consumed - earlier.consumed,
            redelivered: self.redelivered - earlier.redelivered,
        }
    }
}

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It publishes, or reads the confirms of one that does.
    Publisher,
    /// It consumes.
    Consumer,
}

/// The state that all threads of a run share.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// When the load begins. Workers wait for it.
    pub(super) epoch: OnceLock<Instant>,
    /// Publishers are to stop publishing.
    pub(super) quiet: AtomicBool,
    /// Everyone is to stop.
    pub(super) stop: AtomicBool,
    /// Publishers that have published all they ever will.
    pub(super) finished: AtomicUsize,
    /// Deliveries published (each copy of a fan-out counts) less deliveries received.
    pub(super) ahead: AtomicI64,
    /// Why the broker has blocked publishing, if it has.
    blocked: Mutex<Option<String>>,
    failure: Mutex<Option<BenchError>>,
    threads: Mutex<Vec<(Role, Option<u32>)>>,
}

impl Board {
    /// Writes down who the calling thread is, and waits for the load to begin.
    pub(super) fn enrol(&self, role: Role, thread: Option<u32>) -> Instant {
        lock(&self.threads).push((role, thread));
        *self.epoch.wait()
    }

    /// The threads that have enrolled so far, by the ids that the operating system gave them.
    pub(super) fn threads(&self) -> Vec<(Role, Option<u32>)> {
        lock(&self.threads).clone()
    }

    /// Ends the run with `error`, unless it is ending already: what follows from the first failure,
    /// or from the end, is not worth telling.
    pub(super) fn fail(&self, error: BenchError) {
        if !self.stop.swap(true, Ordering::Relaxed) {
            *lock(&self.failure) = Some(error);
        }
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// The failure that ended the run.
    pub(super) fn failure(&self) -> Option<BenchError> {
        lock(&self.failure).take()
    }

    /// Ends the run.
    pub(super) fn stop(&self) {
        self.quiet.store(true, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run is over.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Notes what the broker said.
    pub(super) fn note(&self, notice: Notice) {
        *lock(&self.blocked) = match notice {
            Notice::Blocked(reason) => Some(reason),
            Notice::Unblocked => None,
        };
    }

    /// Why the broker has blocked publishing, if it has.
    pub(super) fn blocked(&self) -> Option<String> {
        lock(&self.blocked).clone()
    }
}

/// Every guarded value is whole at all times, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds up what all workers have done so far.
pub(super) fn totals(tallies: &[Tally]) -> Totals {
    let sum = |field: fn(&Tally) -> &AtomicU64| {
        tallies.iter().map(|tally| field(tally).load(Ordering::Relaxed)).sum()
    };
    Totals {
        published: sum(|tally| &tally.published),
        confirmed: sum(|tally| &tally.confirmed),
        refused: sum(|tally| &tally.refused),
        consumed: sum(|tally| &tally.consumed),
        redelivered: sum(|tally| &tally.redelivered),
    }
}
