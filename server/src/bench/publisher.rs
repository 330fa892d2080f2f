//! A connection that publishes as fast as it may.
//!
//! One thread writes batches and reads the broker's answers in between. What it may write is
//! bounded by the rate, the confirm window and the lead over the consumers; each time any of them
//! leaves room, all of that room is used, so that a confirm window is a pipeline and never a series
//! of stops.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::board::{Board, Role, Tally};
use super::confirms::ConfirmWindow;
use super::connection::{Connection, unasked};
use super::error::BenchError;
use super::options::{Goal, Plan};
use super::process;
use super::scan::{Confirm, Sink};
use super::schedule::Schedule;
use super::topology::Topology;
use super::wire;

/// How often a publisher that has no reason to wait looks for what the broker said.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The shortest sleep of a publisher with a limited rate; it bounds how often it wakes up.
const RATE_NAP_MIN: Duration = Duration::from_millis(1);
/// The longest sleep of a publisher with a limited rate.
const RATE_NAP_MAX: Duration = Duration::from_millis(20);
/// How long a publisher sleeps that is too far ahead of the consumers.
const LEAD_NAP: Duration = Duration::from_micros(200);

/// Opens a connection for publisher `index`, in confirm mode if the plan says so.
pub(super) fn connect(plan: &Plan, index: usize) -> Result<Connection, BenchError> {
    let name = format!("warren bench publisher {index}");
    let mut connection = Connection::open(&plan.workload.uri, &name)?;
    if plan.workload.confirm.is_some() {
        connection.call(wire::CONFIRM_SELECT_OK, "confirm.select-ok", wire::confirm_select)?;
    }
    Ok(connection)
}

/// A publisher for throughput.
pub(super) struct Publisher<'a> {
    connection: Connection,
    batch: Batch,
    answers: Answers<'a>,
    board: &'a Board,
    schedule: Option<Schedule>,
    /// Messages that it publishes in all.
    quota: u64,
    copies: i64,
    max_lead: Option<i64>,
}

/// Why nothing may be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// The next message is due after this time.
    Schedule(Duration),
    /// The confirm window is full.
    Confirms,
    /// It is as far ahead of the consumers as it may be.
    Consumers,
}

impl<'a> Publisher<'a> {
    /// Publisher `index` of the plan, on a connection from [`connect`].
    pub(super) fn new(
        plan: &Plan,
        topology: &Topology,
        index: usize,
        connection: Connection,
        board: &'a Board,
        tally: &'a Tally,
    ) -> Self {
        let workload = &plan.workload;
        Self {
            batch: Batch::new(plan, topology, index, connection.frame_max()),
            connection,
            answers: Answers {
                board,
                tally,
                window: workload.confirm.map(ConfirmWindow::new),
                published: 0,
                confirmed: 0,
                refused: 0,
            },
            board,
            schedule: plan.rate.map(|rate| Schedule::new(rate, index, workload.publishers)),
            quota: match plan.goal {
                Goal::Count(count) => share(count, index, workload.publishers),
                Goal::Duration(_) | Goal::Latency(_) => u64::MAX,
            },
            copies: i64::try_from(plan.copies()).expect("few queues"),
            max_lead: plan.max_lead(),
        }
    }

    /// Publishes until the board says stop. Failures go to the board.
    pub(super) fn run(mut self) {
        let epoch = self.board.enrol(Role::Publisher, process::own_thread());
        match self.publish(epoch) {
            Ok(()) => self.connection.close(),
            Err(error) => self.board.fail(error),
        }
    }

    fn publish(&mut self, epoch: Instant) -> Result<(), BenchError> {
        let mut looked = epoch;
        while self.answers.published < self.quota && !self.board.quiet.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now.saturating_duration_since(looked) >= LOOK_INTERVAL {
                looked = now;
                self.connection.poll(&mut self.answers)?;
                self.answers.tell();
            }
            match self.allowance(now.saturating_duration_since(epoch)) {
                Ok(wanted) => self.write(wanted)?,
                Err(Hold::Confirms) => {
                    self.connection.wait(&mut self.answers)?;
                    self.answers.tell();
                }
                Err(Hold::Schedule(time)) => thread::sleep(time.clamp(RATE_NAP_MIN, RATE_NAP_MAX)),
                Err(Hold::Consumers) => thread::sleep(LEAD_NAP),
            }
        }
        self.board.finished.fetch_add(1, Ordering::Relaxed);
        while !self.board.stopped() {
            self.connection.wait(&mut self.answers)?;
            self.answers.tell();
        }
        Ok(())
    }

    /// How many messages may be written now: at least one.
    fn allowance(&self, elapsed: Duration) -> Result<u64, Hold> {
        let published = self.answers.published;
        let mut wanted = self.quota - published;
        if let Some(schedule) = &self.schedule {
            let due = schedule.due(elapsed);
            if due <= published {
                let time = Duration::from_nanos(schedule.time_ns(published));
                return Err(Hold::Schedule(time.saturating_sub(elapsed)));
            }
            wanted = wanted.min(due - published);
        }
        if let Some(window) = &self.answers.window {
            let open = window.limit() - published;
            if open == 0 {
                return Err(Hold::Confirms);
            }
            wanted = wanted.min(open);
        }
        if let Some(max_lead) = self.max_lead {
            let lead = max_lead - self.board.ahead.load(Ordering::Relaxed);
            match u64::try_from(lead / self.copies) {
                Ok(room @ 1..) => wanted = wanted.min(room),
                _ => return Err(Hold::Consumers),
            }
        }
        Ok(wanted)
    }

    fn write(&mut self, wanted: u64) -> Result<(), BenchError> {
        let run = self.batch.run(wanted);
        let messages = run as u64;
        if self.max_lead.is_some() {
            let deliveries = messages.cast_signed() * self.copies;
            self.board.ahead.fetch_add(deliveries, Ordering::Relaxed);
        }
        // A confirm may arrive before the write returns.
        self.answers.published += messages;
        let bytes = self.batch.take(run);
        if self.connection.send(bytes, &mut self.answers, &self.board.stop)? {
            let published = &self.answers.tally.published;
            published.store(self.answers.published, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What the broker answers to one publisher.
struct Answers<'a> {
    board: &'a Board,
    tally: &'a Tally,
    window: Option<ConfirmWindow>,
    /// Messages handed to the socket.
    published: u64,
    confirmed: u64,
    refused: u64,
}

impl Answers<'_> {
    fn tell(&self) {
        self.tally.confirmed.store(self.confirmed, Ordering::Relaxed);
        self.tally.refused.store(self.refused, Ordering::Relaxed);
    }
}

impl Sink for Answers<'_> {
    fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
        let Some(window) = &mut self.window else {
            return Err(BenchError::Protocol("it confirmed without confirm mode".into()));
        };
        let count = if confirm.refused { &mut self.refused } else { &mut self.confirmed };
        window.settle(confirm, self.published, |_| *count += 1)
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        self.board.note(unasked(id, args)?);
        Ok(())
    }
}

/// How many of `count` messages publisher `index` publishes.
fn share(count: u64, index: usize, publishers: u32) -> u64 {
    let publishers = u64::from(publishers);
    count / publishers + u64::from((index as u64) < count % publishers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_publishers_add_up_to_the_count() {
        for count in [0, 1, 6, 7, 8, 1_000_003] {
            let total: u64 = (0..7).map(|index| share(count, index, 7)).sum();
            assert_eq!(total, count);
        }
    }
}
