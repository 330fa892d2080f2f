//! Measuring how long messages take at a given rate.
//!
//! An open loop: the [`Schedule`] decides when each message is due, and that time, not the time of
//! sending, is what its body carries and its latency counts from. So a broker that stalls is
//! charged for every message that was due meanwhile (no coordinated omission). The thread that
//! writes does nothing else; another reads the confirms, so that neither delays the other. How late
//! messages were written is recorded too: it is the part of the latency before the broker could
//! know of them.
//!
//! Messages due before the warm-up ends are sent and received, but not recorded.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::batch::Batch;
use super::board::{Board, Role, Tally};
use super::confirms::ConfirmWindow;
use super::connection::{Connection, is_gone, is_nap, unasked};
use super::consumer::Recorder;
use super::error::BenchError;
use super::options::Plan;
use super::process;
use super::scan::{Confirm, Sink};
use super::schedule::Schedule;
use super::topology::Topology;

/// Latencies above this count as this.
const HIGHEST_NS: u64 = 120_000_000_000;
/// A histogram's precision: three decimal digits.
const DIGITS: u8 = 3;
/// How long a sender sleeps at a time, so that it notices the end of the run.
const NAP_MAX: Duration = Duration::from_millis(20);
/// How long a sender sleeps that may not send what is due.
const HOLD_NAP: Duration = Duration::from_micros(50);
/// How long after the end of the schedule a sender goes on with what was due before it.
const GRACE: Duration = Duration::from_secs(1);
/// How long a failed write waits, for the reader to find out why.
const REASON_NAP: Duration = Duration::from_millis(200);

/// What a run learnt about time, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    /// From when a message was due until it was received.
    pub(super) delivery: Option<Histogram<u64>>,
    /// From when a message was due until it was confirmed or refused.
    pub(super) confirm: Option<Histogram<u64>>,
    /// From when a message was due until it was about to be written.
    pub(super) lateness: Option<Histogram<u64>>,
    /// Messages that were due but could not be sent before the run ended.
    pub(super) unsent: u64,
}

impl Latencies {
    /// Takes in what another thread recorded.
    pub(super) fn add(&mut self, other: Self) {
        join(&mut self.delivery, other.delivery);
        join(&mut self.confirm, other.confirm);
        join(&mut self.lateness, other.lateness);
        self.unsent += other.unsent;
    }
}

fn join(into: &mut Option<Histogram<u64>>, from: Option<Histogram<u64>>) {
    match (into, from) {
        (Some(into), Some(from)) => into.add(from).expect("all histograms have the same bounds"),
        (into @ None, from) => *into = from,
        (Some(_), None) => {}
    }
}

/// A clock and the histogram of what it measured.
pub(super) struct Stopwatch {
    /// The part of the schedule that is recorded.
    measured_ns: std::ops::Range<u64>,
    epoch: Option<Instant>,
    now_ns: u64,
    histogram: Histogram<u64>,
}

impl Stopwatch {
    /// Records messages that are due after `warmup` and before `end`, counted from the beginning.
    pub(super) fn new(warmup: Duration, end: Duration) -> Self {
        Self {
            measured_ns: nanoseconds(warmup)..nanoseconds(end),
            epoch: None,
            now_ns: 0,
            histogram: histogram(),
        }
    }

    /// Reads the clock for what is recorded next.
    fn look(&mut self) {
        self.now_ns = self.epoch.map_or(0, |epoch| nanoseconds(epoch.elapsed()));
    }

    /// What was recorded.
    pub(super) fn into_histogram(self) -> Histogram<u64> {
        self.histogram
    }
}

impl Recorder for Stopwatch {
    fn begin(&mut self, epoch: Instant) {
        self.epoch = Some(epoch);
    }

    fn arrival(&mut self) {
        self.look();
    }

    fn record(&mut self, due_ns: u64) {
        if self.measured_ns.contains(&due_ns) {
            self.histogram.saturating_record(self.now_ns.saturating_sub(due_ns).max(1));
        }
    }
}

/// An empty histogram of times in nanoseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("the bounds are valid")
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the two threads of one publisher share.
#[derive(Debug)]
pub(super) struct Link {
    /// Messages handed to the socket.
    offered: AtomicU64,
    /// The highest sequence number that the confirm window allows.
    limit: AtomicU64,
    /// The sender is in the middle of a frame, or gave up in it.
    writing: AtomicBool,
}

impl Link {
    /// For a publisher with this confirm window, if any.
    pub(super) fn new(window: Option<u32>) -> Self {
        let limit = window.map_or(u64::MAX, |window| ConfirmWindow::new(window).limit());
        Self { offered: AtomicU64::new(0), limit: AtomicU64::new(limit), writing: false.into() }
    }
}

/// The thread of a publisher that writes.
pub(super) struct Sender<'a> {
    socket: TcpStream,
    batch: Batch,
    schedule: Schedule,
    end: Duration,
    copies: i64,
    max_lead: Option<i64>,
    link: &'a Link,
    board: &'a Board,
    tally: &'a Tally,
    stopwatch: Stopwatch,
}

impl<'a> Sender<'a> {
    /// Publisher `index` of the plan, which ends at `end` from the beginning; `link` is shared with
    /// the [`Listener`] that has `connection`.
    pub(super) fn new(
        plan: &Plan,
        topology: &Topology,
        (index, schedule): (usize, Schedule),
        end: Duration,
        connection: &Connection,
        link: &'a Link,
        (board, tally): (&'a Board, &'a Tally),
    ) -> Result<Self, BenchError> {
        Ok(Self {
            socket: connection.writer()?,
            batch: Batch::new(plan, topology, index, connection.frame_max()),
            schedule,
            end,
            copies: i64::try_from(plan.copies()).expect("few queues"),
            max_lead: plan.max_lead(),
            link,
            board,
            tally,
            stopwatch: Stopwatch::new(plan.warmup, end),
        })
    }

    /// Sends what the schedule says; failures go to the board.
    pub(super) fn run(mut self) -> Latencies {
        process::wake_exactly();
        let epoch = self.board.enrol(Role::Publisher, process::own_thread());
        self.stopwatch.begin(epoch);
        let sent = self.send_schedule(epoch);
        let unsent = match self.board.quiet.load(Ordering::Relaxed) {
            // Cut off before its end: what the broker could not take in time is not known.
            true => 0,
            false => self.schedule.due(self.last_moment()) - sent,
        };
        self.board.finished.fetch_add(1, Ordering::Relaxed);
        while !self.board.stopped() {
            // The thread's CPU time can be read only while it lives.
            thread::sleep(NAP_MAX);
        }
        Latencies {
            lateness: Some(self.stopwatch.into_histogram()),
            unsent,
            ..Latencies::default()
        }
    }

    /// Returns how many messages were sent.
    fn send_schedule(&mut self, epoch: Instant) -> u64 {
        let mut sent = 0;
        let end_ns = nanoseconds(self.end);
        while !self.board.quiet.load(Ordering::Relaxed) {
            let next_ns = self.schedule.time_ns(sent);
            let elapsed = epoch.elapsed();
            if next_ns >= end_ns || elapsed > self.end + GRACE {
                break;
            }
            let due = self.schedule.due(elapsed.min(self.last_moment()));
            if due <= sent {
                let wait = Duration::from_nanos(next_ns).saturating_sub(epoch.elapsed());
                thread::sleep(wait.min(NAP_MAX));
                continue;
            }
            let run = self.batch.run(self.allowed(sent).min(due - sent));
            if run == 0 {
                thread::sleep(HOLD_NAP);
                continue;
            }
            if !self.send(sent, run) {
                break;
            }
            sent += run as u64;
            self.tally.published.store(sent, Ordering::Relaxed);
        }
        sent
    }

    /// The last time at which a message can be due.
    fn last_moment(&self) -> Duration {
        self.end - Duration::from_nanos(1)
    }

    /// How many messages the confirm window and the lead over the consumers allow.
    fn allowed(&self, sent: u64) -> u64 {
        let window = self.link.limit.load(Ordering::Relaxed) - sent;
        let lead = self.max_lead.map_or(u64::MAX, |max_lead| {
            let lead = max_lead - self.board.ahead.load(Ordering::Relaxed);
            u64::try_from(lead / self.copies).unwrap_or(0)
        });
        window.min(lead)
    }

    /// Writes the next `run` messages, of which `sent` went before; false if that was the end.
    fn send(&mut self, sent: u64, run: usize) -> bool {
        self.stopwatch.look();
        for ahead in 0..run {
            let due_ns = self.schedule.time_ns(sent + ahead as u64);
            self.batch.stamp(ahead, due_ns);
            self.stopwatch.record(due_ns);
        }
        if self.max_lead.is_some() {
            let deliveries = (run as u64).cast_signed() * self.copies;
            self.board.ahead.fetch_add(deliveries, Ordering::Relaxed);
        }
        // The confirm may arrive before the write returns.
        self.link.offered.store(sent + run as u64, Ordering::Release);
        self.link.writing.store(true, Ordering::Release);
        let mut bytes = self.batch.take(run);
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if is_nap(&error) && !self.board.stopped() => {}
                Err(error) => {
                    if is_gone(&error) {
                        thread::sleep(REASON_NAP);
                        self.board.fail(BenchError::Dropped { doing: "writing" });
                    } else {
                        self.board.fail(BenchError::system("writing to the broker", error));
                    }
                    return false;
                }
            }
        }
        self.link.writing.store(false, Ordering::Release);
        true
    }
}

/// The thread of a publisher that reads.
pub(super) struct Listener<'a> {
    connection: Connection,
    answers: TimedAnswers<'a>,
}

impl<'a> Listener<'a> {
    /// The other half of the [`Sender`] with the same schedule and `link`.
    pub(super) fn new(
        plan: &Plan,
        schedule: Schedule,
        end: Duration,
        connection: Connection,
        link: &'a Link,
        (board, tally): (&'a Board, &'a Tally),
    ) -> Self {
        Self {
            connection,
            answers: TimedAnswers {
                window: plan.workload.confirm.map(ConfirmWindow::new),
                schedule,
                stopwatch: Stopwatch::new(plan.warmup, end),
                link,
                board,
                tally,
                confirmed: 0,
                refused: 0,
            },
        }
    }

    /// Reads until the board says stop; failures go to the board.
    pub(super) fn run(mut self) -> Latencies {
        let board = self.answers.board;
        let epoch = board.enrol(Role::Publisher, process::own_thread());
        self.answers.stopwatch.begin(epoch);
        while !board.stopped() {
            if let Err(error) = self.connection.wait(&mut self.answers) {
                board.fail(error);
            }
            self.answers.tell();
        }
        // The sender notices the end after one nap in its write.
        thread::sleep(2 * NAP_MAX);
        if self.answers.link.writing.load(Ordering::Acquire) {
            self.connection.cut_short();
        }
        self.connection.close();
        let confirms = self.answers.window.is_some();
        let histogram = self.answers.stopwatch.into_histogram();
        Latencies { confirm: confirms.then_some(histogram), ..Latencies::default() }
    }
}

/// What the broker answers to one publisher, and when.
struct TimedAnswers<'a> {
    window: Option<ConfirmWindow>,
    schedule: Schedule,
    stopwatch: Stopwatch,
    link: &'a Link,
    board: &'a Board,
    tally: &'a Tally,
    confirmed: u64,
    refused: u64,
}

impl TimedAnswers<'_> {
    fn tell(&self) {
        self.tally.confirmed.store(self.confirmed, Ordering::Relaxed);
        self.tally.refused.store(self.refused, Ordering::Relaxed);
        if let Some(window) = &self.window {
            self.link.limit.store(window.limit(), Ordering::Relaxed);
        }
    }
}

impl Sink for TimedAnswers<'_> {
    fn arrival(&mut self) {
        self.stopwatch.look();
    }

    fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
        let Some(window) = &mut self.window else {
            return Err(BenchError::Protocol("it confirmed without confirm mode".into()));
        };
        let count = if confirm.refused { &mut self.refused } else { &mut self.confirmed };
        let offered = self.link.offered.load(Ordering::Acquire);
        window.settle(confirm, offered, |tag| {
            *count += 1;
            self.stopwatch.record(self.schedule.time_ns(tag - 1));
        })
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        self.board.note(unasked(id, args)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_due_in_the_measured_time_are_recorded() {
        let mut stopwatch = Stopwatch::new(Duration::from_secs(1), Duration::from_secs(3));
        stopwatch.now_ns = 4_000_000_000;
        for due_ns in [0, 999_999_999, 1_000_000_000, 2_999_999_999, 3_000_000_000] {
            stopwatch.record(due_ns);
        }
        let histogram = stopwatch.into_histogram();
        assert_eq!(histogram.len(), 2);
        assert!(histogram.max() >= 3_000_000_000 && histogram.min() <= 1_001_000_000);
    }

    #[test]
    fn a_latency_counts_from_when_the_message_was_due() {
        let mut stopwatch = Stopwatch::new(Duration::ZERO, Duration::from_secs(1));
        stopwatch.begin(Instant::now() - Duration::from_millis(500));
        stopwatch.look();
        stopwatch.record(100_000_000);
        let latency = stopwatch.into_histogram().max();
        assert!((400_000_000..1_400_000_000).contains(&latency), "{latency}");
    }

    #[test]
    fn what_several_threads_recorded_adds_up() {
        let recorded = |ns| {
            let mut stopwatch = Stopwatch::new(Duration::ZERO, Duration::from_secs(1));
            stopwatch.now_ns = ns;
            stopwatch.record(0);
            Latencies {
                delivery: Some(stopwatch.into_histogram()),
                unsent: 1,
                ..Latencies::default()
            }
        };
        let mut all = Latencies::default();
        all.add(recorded(1000));
        all.add(recorded(5000));
        assert_eq!(
            all.delivery.map(|histogram| (histogram.len(), histogram.min())),
            Some((2, 1000))
        );
        assert!(all.confirm.is_none());
        assert_eq!(all.unsent, 2);
    }
}
