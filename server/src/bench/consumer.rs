//! A connection that consumes, counts and acknowledges.
//!
//! One thread reads as much as there is, has it scanned in place, and answers each read with the
//! acks that are asked for, in one write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::board::{Board, Role, Tally};
use super::connection::{Connection, unasked};
use super::error::BenchError;
use super::options::{AckMode, Plan};
use super::pipeline::pipeline;
use super::process;
use super::scan::{Delivery, Sink};
use super::topology::Topology;
use super::wire;

/// Opens a connection for consumer `index` and starts consuming from its share of the queues.
pub(super) fn connect(
    plan: &Plan,
    topology: &Topology,
    index: usize,
) -> Result<Connection, BenchError> {
    let workload = &plan.workload;
    let mut connection =
        Connection::open(&workload.uri, &format!("warren bench consumer {index}"))?;
    if workload.prefetch > 0 {
        connection.call(wire::BASIC_QOS_OK, "basic.qos-ok", |out| {
            wire::basic_qos(out, workload.prefetch);
        })?;
    }
    let no_ack = workload.ack == AckMode::Auto;
    let mut requests = Vec::new();
    for (nth, queue) in topology.share(index, workload.consumers as usize).enumerate() {
        for subscription in 0..workload.subscriptions {
            let mut request = Vec::new();
            let tag = format!("bench-{index}-{nth}-{subscription}");
            wire::basic_consume(&mut request, queue, &tag, no_ack);
            requests.push(request);
        }
    }
    if topology.is_filled() {
        // Messages come right behind the answers; who reads the ones reads the others.
        connection.write_request(&requests.concat())?;
        return Ok(connection);
    }
    let count = u32::try_from(requests.len()).expect("both factors are limited");
    pipeline(
        &mut connection,
        wire::BASIC_CONSUME_OK,
        count,
        &AtomicBool::new(false),
        |nth, out| {
            out.extend_from_slice(&requests[nth as usize]);
        },
    )?;
    Ok(connection)
}

/// What else is to be learnt from the messages that a consumer receives.
pub(super) trait Recorder {
    /// The load begins; time stamps count from `epoch`.
    fn begin(&mut self, epoch: Instant);
    /// Bytes have been read that may complete messages.
    fn arrival(&mut self);
    /// A message arrived whose body begins with `stamp`.
    fn record(&mut self, stamp: u64);
}

/// Nothing: throughput only counts.
impl Recorder for () {
    fn begin(&mut self, _: Instant) {}
    fn arrival(&mut self) {}
    fn record(&mut self, _: u64) {}
}

/// A consumer.
pub(super) struct Consumer<'a, R> {
    connection: Connection,
    intake: Intake<'a, R>,
    acks: Option<Acks>,
}

impl<'a, R: Recorder> Consumer<'a, R> {
    /// A consumer of the plan, on a connection from [`connect`].
    pub(super) fn new(
        plan: &Plan,
        connection: Connection,
        board: &'a Board,
        tally: &'a Tally,
        recorder: R,
    ) -> Self {
        let size = plan.workload.size.into();
        let limits_lead = plan.max_lead().is_some();
        Self {
            connection,
            intake: Intake {
                board,
                tally,
                recorder,
                size,
                limits_lead,
                consumed: 0,
                redelivered: 0,
                last_tag: 0,
            },
            acks: match plan.workload.ack {
                AckMode::Auto => None,
                AckMode::Manual => Some(Acks::new(plan.workload.multiple_ack)),
            },
        }
    }

    /// Consumes until the board says stop; failures go to the board. Returns the recorder.
    pub(super) fn run(mut self) -> R {
        let epoch = self.intake.board.enrol(Role::Consumer, process::own_thread());
        self.intake.recorder.begin(epoch);
        match self.consume() {
            Ok(()) => self.connection.close(),
            Err(error) => self.intake.board.fail(error),
        }
        self.intake.recorder
    }

    fn consume(&mut self) -> Result<(), BenchError> {
        let board = self.intake.board;
        while !board.stopped() {
            self.connection.wait(&mut self.intake)?;
            self.intake.tell();
            if let Some(acks) = &mut self.acks {
                let due = acks.due(self.intake.last_tag);
                self.connection.send(due, &mut self.intake, &board.stop)?;
                self.intake.tell();
            }
        }
        Ok(())
    }
}

/// What one consumer has received.
struct Intake<'a, R> {
    board: &'a Board,
    tally: &'a Tally,
    recorder: R,
    /// What each body has to have.
    size: u64,
    /// Whether publishers look at how far they are ahead.
    limits_lead: bool,
    consumed: u64,
    redelivered: u64,
    last_tag: u64,
}

impl<R> Intake<'_, R> {
    /// Passes the counts on to the board.
    fn tell(&self) {
        let before = self.tally.consumed.load(Ordering::Relaxed);
        if self.consumed == before {
            return;
        }
        self.tally.consumed.store(self.consumed, Ordering::Relaxed);
        self.tally.redelivered.store(self.redelivered, Ordering::Relaxed);
        if self.limits_lead {
            let received = (self.consumed - before).cast_signed();
            self.board.ahead.fetch_sub(received, Ordering::Relaxed);
        }
    }
}

impl<R: Recorder> Sink for Intake<'_, R> {
    fn arrival(&mut self) {
        self.recorder.arrival();
    }

    #[inline]
    fn delivery(&mut self, delivery: Delivery) -> Result<(), BenchError> {
        if delivery.size != self.size || delivery.tag != self.last_tag + 1 {
            return Err(wrong(&delivery, self.size, self.last_tag));
        }
        self.last_tag = delivery.tag;
        self.consumed += 1;
        self.redelivered += u64::from(delivery.redelivered);
        self.recorder.record(delivery.stamp);
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        if id != wire::BASIC_CONSUME_OK {
            self.board.note(unasked(id, args)?);
        }
        Ok(())
    }
}

#[cold]
fn wrong(delivery: &Delivery, size: u64, last_tag: u64) -> BenchError {
    BenchError::Protocol(format!(
        "after delivery tag {last_tag}, with bodies of {size} octets, it delivered {delivery:?}"
    ))
}

/// The acks that a channel owes. Its tags are 1, 2, 3, ... without gaps.
#[derive(Debug)]
pub(super) struct Acks {
    /// One ack for so many messages, or for whatever has arrived.
    every: Option<u64>,
    /// The highest tag that has been acknowledged.
    acked: u64,
    bytes: Vec<u8>,
}

impl Acks {
    /// One ack for so many messages, or, without a number, for whatever there is.
    pub(super) fn new(every: Option<u32>) -> Self {
        Self { every: every.map(u64::from), acked: 0, bytes: Vec::new() }
    }

    /// The acks to be sent now that all up to `last_tag` has arrived.
    pub(super) fn due(&mut self, last_tag: u64) -> &[u8] {
        self.bytes.clear();
        let step = self.every.unwrap_or((last_tag - self.acked).max(1));
        while last_tag - self.acked >= step {
            self.acked += step;
            wire::basic_ack(&mut self.bytes, self.acked, step > 1);
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The acks that come of these last tags, as tag and `multiple`.
    fn acks(every: Option<u32>, arrivals: &[u64]) -> Vec<Vec<(u64, bool)>> {
        let mut acks = Acks::new(every);
        let decode = |frame: &[u8]| {
            let tag = frame[11..19].try_into().expect("eight octets");
            (u64::from_be_bytes(tag), frame[19] == 1)
        };
        arrivals.iter().map(|tag| acks.due(*tag).chunks(21).map(decode).collect()).collect()
    }

    #[test]
    fn one_ack_answers_all_that_a_read_brought() {
        let expected = [vec![(5, true)], vec![], vec![(6, false)], vec![(9, true)]];
        assert_eq!(acks(None, &[5, 5, 6, 9]), expected);
    }

    #[test]
    fn an_ack_for_every_three_is_exactly_that() {
        let expected = [vec![], vec![(3, true), (6, true)], vec![], vec![(9, true)]];
        assert_eq!(acks(Some(3), &[2, 7, 8, 9]), expected);
    }

    #[test]
    fn an_ack_for_every_message_is_never_multiple() {
        assert_eq!(acks(Some(1), &[2, 3]), [vec![(1, false), (2, false)], vec![(3, false)]]);
    }
}
