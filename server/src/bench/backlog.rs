//! A backlog: fills queues that nobody consumes from, then drains them in order.
//!
//! One connection publishes, with confirms, and another consumes afterwards, with manual acks, so
//! that what is measured at a time is either the one or the other, at every depth of the backlog.
//! Each body begins with the message's number, from 1; a queue has to give them back in this
//! order, each once. Both halves can be had alone, with the broker restarted in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::batch::Batch;
use super::confirms::ConfirmWindow;
use super::connection::{Connection, Notice, unasked};
use super::consumer::Acks;
use super::error::BenchError;
use super::latency;
use super::options::{Half, Plan};
use super::process::ProcessTree;
use super::scan::{Confirm, Delivery, Sink};
use super::topology::Topology;
use super::wire;

/// How long nothing may move before a half is given up. A broker may take its time to read ahead.
pub(super) const STALL: Duration = Duration::from_secs(30);
/// How often the broker's memory is looked at, also between two marks.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);
/// A half is measured in this many parts.
const PARTS: u64 = 10;

/// A backlog to be made, or drained, or both.
#[derive(Clone, Debug)]
pub(super) struct BacklogPlan {
    /// The workload in the terms of the other measurements.
    pub(super) plan: Plan,
    /// How many messages; each goes to every queue.
    pub(super) messages: u64,
    /// What the names of the queues begin with, if they are to be found again.
    pub(super) name: Option<String>,
    /// The only half that is wanted.
    pub(super) only: Option<Half>,
}

impl BacklogPlan {
    pub(super) fn wants(&self, half: Half) -> bool {
        self.only.is_none_or(|only| only == half)
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct MeasuredBacklog {
    /// What the broker calls itself.
    pub(super) broker: String,
    /// Whether the user ended it early.
    pub(super) interrupted: bool,
    /// The half that filled.
    pub(super) fill: Option<Filled>,
    /// The half that drained, queue by queue.
    pub(super) drains: Vec<Drained>,
}

/// A half, or a queue's part of it.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    /// Messages done with, when, and the broker's memory then: one for each part and for the end.
    pub(super) marks: Vec<Mark>,
    /// The most memory that was seen.
    pub(super) memory_peak: Option<u64>,
    /// CPU time that the broker has used.
    pub(super) cpu: Option<Duration>,
    /// Bytes that the broker had written to disks.
    pub(super) written: Option<u64>,
}

/// How far a half had come at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Messages so far.
    pub(super) messages: u64,
    /// Since it began.
    pub(super) time: Duration,
    /// The broker's resident memory, in bytes.
    pub(super) memory: Option<u64>,
    /// CPU time that the broker has used since it began.
    pub(super) cpu: Option<Duration>,
}

/// How filling went.
#[derive(Debug)]
pub(super) struct Filled {
    /// In confirmed messages.
    pub(super) progress: Progress,
    /// Messages that the broker refused with `basic.nack`.
    pub(super) refused: u64,
    /// From just before a message was written until it was answered, in nanoseconds.
    pub(super) confirm: Histogram<u64>,
}

/// How draining one queue went.
#[derive(Debug)]
pub(super) struct Drained {
    /// In messages received.
    pub(super) progress: Progress,
    /// What arrived.
    pub(super) order: Order,
}

/// Carries out `backlog`; `interrupt` is set when the user wants it to end.
pub(super) fn run(
    backlog: &BacklogPlan,
    interrupt: &AtomicBool,
) -> Result<MeasuredBacklog, BenchError> {
    let uri = &backlog.plan.workload.uri;
    let topology = match &backlog.name {
        Some(name) => Topology::named(&backlog.plan, name.clone()),
        None => Topology::new(&backlog.plan),
    };
    let mut admin = Connection::open(uri, "warren bench")?;
    let broker = admin.broker().to_owned();
    let declared = topology.declare(&mut admin);
    admin.close();
    let measured = declared.and_then(|()| measure(backlog, &topology, interrupt));
    // What is to be drained by another run stays.
    if backlog.wants(Half::Drain) && (backlog.name.is_none() || measured.is_ok()) {
        let deleted = Connection::open(uri, "warren bench").and_then(|mut admin| {
            let deleted = topology.delete(&mut admin);
            admin.close();
            deleted
        });
        if let Err(error) = deleted {
            let prefix = topology.prefix();
            eprintln!("warren bench: queues are left behind that begin with {prefix}: {error}");
        }
    }
    Ok(MeasuredBacklog { broker, ..measured? })
}

fn measure(
    backlog: &BacklogPlan,
    topology: &Topology,
    interrupt: &AtomicBool,
) -> Result<MeasuredBacklog, BenchError> {
    let mut measured = MeasuredBacklog {
        broker: String::new(),
        interrupted: false,
        fill: None,
        drains: Vec::new(),
    };
    if backlog.wants(Half::Fill) {
        measured.fill = Some(fill(backlog, topology, interrupt)?);
    }
    if backlog.wants(Half::Drain) {
        for queue in topology.queues() {
            if !interrupt.load(Ordering::Relaxed) {
                measured.drains.push(drain(backlog, queue, interrupt)?);
            }
        }
    }
    measured.interrupted = interrupt.load(Ordering::Relaxed);
    Ok(measured)
}

fn fill(
    backlog: &BacklogPlan,
    topology: &Topology,
    interrupt: &AtomicBool,
) -> Result<Filled, BenchError> {
    let workload = &backlog.plan.workload;
    let mut connection = Connection::open(&workload.uri, "warren bench filler")?;
    connection.call(wire::CONFIRM_SELECT_OK, "confirm.select-ok", wire::confirm_select)?;
    let window = ConfirmWindow::new(workload.confirm.unwrap_or(1));
    let mut batch = Batch::new(&backlog.plan, topology, 0, connection.frame_max());
    let mut answers = Answers::new(window);
    let mut watch = Watch::new("filled", backlog.messages, workload.pid)?;
    let is_over = |answers: &Answers| answers.answered() == backlog.messages;
    while !is_over(&answers) && !interrupt.load(Ordering::Relaxed) {
        let published = answers.published;
        let open = answers.window.limit().min(backlog.messages) - published;
        if open > 0 {
            let run = batch.run(open);
            let now = Instant::now();
            for ahead in 0..run {
                let number = published + 1 + ahead as u64;
                batch.stamp(ahead, number);
                answers.set_sent_at(number, now);
            }
            answers.published += run as u64;
            if !connection.send(batch.take(run), &mut answers, interrupt)? {
                break;
            }
        } else {
            connection.wait(&mut answers)?;
        }
        if watch.look(answers.answered())? {
            return Err(BenchError::Stalled { after: STALL, state: answers.state() });
        }
    }
    let progress = watch.end(answers.answered());
    connection.close();
    Ok(Filled { progress, refused: answers.refused, confirm: answers.histogram })
}

fn drain(
    backlog: &BacklogPlan,
    queue: &str,
    interrupt: &AtomicBool,
) -> Result<Drained, BenchError> {
    let workload = &backlog.plan.workload;
    let mut connection = Connection::open(&workload.uri, "warren bench drainer")?;
    connection.call(wire::BASIC_QOS_OK, "basic.qos-ok", |out| {
        wire::basic_qos(out, workload.prefetch);
    })?;
    let mut acks = Acks::new(workload.multiple_ack);
    let mut order = Order::default();
    let mut watch = Watch::new("drained", backlog.messages, workload.pid)?;
    // Messages may be right behind the answer.
    let mut request = Vec::new();
    wire::basic_consume(&mut request, queue, "bench-drainer", false);
    connection.send(&request, &mut order, interrupt)?;
    while order.received < backlog.messages && !interrupt.load(Ordering::Relaxed) {
        connection.wait(&mut order)?;
        if !connection.send(acks.due(order.received), &mut order, interrupt)? {
            break;
        }
        // What does not come is missing, and the figures say so.
        if watch.look(order.received)? {
            break;
        }
    }
    if !interrupt.load(Ordering::Relaxed) {
        order.missing += backlog.messages.saturating_sub(order.highest);
    }
    let progress = watch.end(order.received);
    connection.close();
    Ok(Drained { progress, order })
}

/// The eye on the clock and on the broker.
pub(super) struct Watch {
    doing: &'static str,
    processes: Option<ProcessTree>,
    cpu_at_start: Option<Duration>,
    written_at_start: Option<u64>,
    progress: Progress,
    part: u64,
    looked: Instant,
    moved: (Instant, u64),
}

impl Watch {
    /// An eye on the process `pid` while `messages` are being done with.
    pub(super) fn new(
        doing: &'static str,
        messages: u64,
        pid: Option<u32>,
    ) -> Result<Self, BenchError> {
        let processes = match pid {
            Some(pid) => Some(ProcessTree::of(pid).map_err(|error| {
                BenchError::system(format!("looking at the process {pid}"), error)
            })?),
            None => None,
        };
        let now = Instant::now();
        Ok(Self {
            doing,
            cpu_at_start: processes.as_ref().and_then(|tree| tree.cpu().ok()),
            written_at_start: processes.as_ref().and_then(ProcessTree::written_bytes),
            processes,
            progress: Progress {
                started: now,
                marks: vec![],
                memory_peak: None,
                cpu: None,
                written: None,
            },
            part: (messages / PARTS).max(1),
            looked: now,
            moved: (now, 0),
        })
    }

    /// Takes note of how many messages are done with; says whether there have been as many for too
    /// long.
    pub(super) fn look(&mut self, messages: u64) -> Result<bool, BenchError> {
        let now = Instant::now();
        if messages > self.moved.1 {
            self.moved = (now, messages);
        }
        let marked = self.progress.marks.last().map_or(0, |mark| mark.messages);
        if messages >= (marked / self.part + 1) * self.part {
            self.mark(messages, now);
        } else if now - self.looked >= MEMORY_INTERVAL {
            self.look_at_memory(now);
        }
        Ok(now - self.moved.0 >= STALL)
    }

    pub(super) fn end(mut self, messages: u64) -> Progress {
        let marked = self.progress.marks.last().map_or(0, |mark| mark.messages);
        if messages > marked {
            self.mark(messages, Instant::now());
        }
        self.progress.cpu = self.cpu();
        let written = self.processes.as_ref().and_then(ProcessTree::written_bytes);
        let between = written.zip(self.written_at_start);
        self.progress.written = between.map(|(end, start)| end.saturating_sub(start));
        self.progress
    }

    fn mark(&mut self, messages: u64, now: Instant) {
        let memory = self.look_at_memory(now);
        let before = self.progress.marks.last().copied().unwrap_or_default();
        let cpu = self.cpu();
        let mark = Mark { messages, time: now - self.progress.started, memory, cpu };
        let memory = memory.map(|bytes| format!("  broker {:>6} MiB", bytes >> 20));
        eprintln!(
            "{:5.1} s  {} {messages:>12}  {:>9.0}/s{}",
            mark.time.as_secs_f64(),
            self.doing,
            mark.per_s_since(&before),
            memory.unwrap_or_default()
        );
        self.progress.marks.push(mark);
    }

    /// CPU time that the broker has used since it began.
    fn cpu(&self) -> Option<Duration> {
        Some(self.processes.as_ref()?.cpu().ok()? - self.cpu_at_start?)
    }

    fn look_at_memory(&mut self, now: Instant) -> Option<u64> {
        self.looked = now;
        let memory = self.processes.as_ref().map(ProcessTree::resident_bytes);
        self.progress.memory_peak = self.progress.memory_peak.max(memory);
        memory
    }
}

impl Mark {
    /// Messages per second since an earlier mark.
    pub(super) fn per_s_since(&self, before: &Self) -> f64 {
        (self.messages - before.messages) as f64 / (self.time - before.time).as_secs_f64()
    }

    /// Microseconds of the broker's CPU time per message since an earlier mark.
    pub(super) fn cpu_us_since(&self, before: &Self) -> Option<f64> {
        let used = self.cpu?.saturating_sub(before.cpu.unwrap_or_default());
        let us = used.as_secs_f64() * 1e6 / (self.messages - before.messages) as f64;
        us.is_finite().then_some(us)
    }
}

/// What the broker answers to the one that fills.
pub(super) struct Answers {
    pub(super) window: ConfirmWindow,
    /// Messages handed to the socket.
    pub(super) published: u64,
    confirmed: u64,
    pub(super) refused: u64,
    /// When each unanswered message was sent, by its number modulo the length.
    sent_at: Vec<Instant>,
    now: Instant,
    pub(super) histogram: Histogram<u64>,
    /// If they are to be kept: how long each answer took, by the message's number less 1.
    pub(super) took: Option<Vec<Duration>>,
    blocked: Option<String>,
}

impl Answers {
    pub(super) fn new(window: ConfirmWindow) -> Self {
        let now = Instant::now();
        Self {
            sent_at: vec![now; window.span()],
            window,
            published: 0,
            confirmed: 0,
            refused: 0,
            now,
            histogram: latency::histogram(),
            took: None,
            blocked: None,
        }
    }

    /// Keeps how long each answer takes.
    pub(super) fn keeping(mut self, messages: u64) -> Self {
        self.took = Some(vec![Duration::ZERO; usize::try_from(messages).unwrap_or(0)]);
        self
    }

    pub(super) fn answered(&self) -> u64 {
        self.confirmed + self.refused
    }

    pub(super) fn set_sent_at(&mut self, number: u64, when: Instant) {
        let at = place(number, &self.sent_at);
        self.sent_at[at] = when;
    }

    pub(super) fn state(&self) -> String {
        let Self { published, confirmed, refused, .. } = self;
        let state = format!("{published} published, {confirmed} confirmed, {refused} refused");
        match &self.blocked {
            Some(reason) => {
                format!("{state}, and the broker has blocked publishing because it is '{reason}'")
            }
            None => state,
        }
    }
}

fn place(number: u64, among: &[Instant]) -> usize {
    usize::try_from(number % among.len() as u64).expect("below a length")
}

impl Sink for Answers {
    fn arrival(&mut self) {
        self.now = Instant::now();
    }

    fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
        let count = if confirm.refused { &mut self.refused } else { &mut self.confirmed };
        let (sent_at, histogram, now) = (&self.sent_at, &mut self.histogram, self.now);
        let kept = &mut self.took;
        self.window.settle(confirm, self.published, |number| {
            *count += 1;
            let took = now.saturating_duration_since(sent_at[place(number, sent_at)]);
            histogram.saturating_record(latency::nanoseconds(took).max(1));
            let at = usize::try_from(number - 1).ok();
            if let Some(kept) = kept.as_mut().zip(at).and_then(|(kept, at)| kept.get_mut(at)) {
                *kept = took;
            }
        })
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        self.blocked = match unasked(id, args)? {
            Notice::Blocked(reason) => Some(reason),
            Notice::Unblocked => None,
        };
        Ok(())
    }
}

/// Whether messages come back as they went in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Messages received.
    pub(super) received: u64,
    /// Those among them that the broker marked as delivered before.
    pub(super) redelivered: u64,
    /// Numbers that did not come when it was their turn.
    pub(super) missing: u64,
    /// Numbers that came when their turn was over: late, or once more.
    pub(super) misplaced: u64,
    /// The highest number so far.
    highest: u64,
}

impl Order {
    /// Whether each came once, and when it was its turn.
    pub(super) fn is_kept(&self) -> bool {
        self.missing == 0 && self.misplaced == 0
    }
}

impl Sink for Order {
    fn delivery(&mut self, delivery: Delivery) -> Result<(), BenchError> {
        self.received += 1;
        self.redelivered += u64::from(delivery.redelivered);
        if delivery.tag != self.received {
            let Delivery { tag, .. } = delivery;
            let text = format!("delivery {} has the tag {tag}", self.received);
            return Err(BenchError::Protocol(text));
        }
        if delivery.stamp > self.highest {
            self.missing += delivery.stamp - self.highest - 1;
            self.highest = delivery.stamp;
        } else {
            self.misplaced += 1;
        }
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        match id {
            wire::BASIC_CONSUME_OK => Ok(()),
            _ => unasked(id, args).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_come_in_their_turn_keep_the_order() {
        let order = order(&[1, 2, 3]);
        assert!(order.is_kept());
        assert_eq!((order.received, order.highest), (3, 3));
    }

    #[test]
    fn what_is_late_or_missing_or_comes_twice_is_counted() {
        for (numbers, missing, misplaced) in
            [(&[2, 3][..], 1, 0), (&[1, 5, 6], 3, 0), (&[1, 1, 2], 0, 1), (&[1, 3, 2, 4], 1, 1)]
        {
            let order = order(numbers);
            assert_eq!((order.missing, order.misplaced), (missing, misplaced), "{numbers:?}");
            assert!(!order.is_kept());
        }
    }

    #[test]
    fn how_long_a_confirm_took_counts_from_its_own_message() {
        let mut answers = Answers::new(ConfirmWindow::new(2));
        let start = Instant::now();
        for number in 1..=2 {
            answers.set_sent_at(number, start + Duration::from_millis(number * 10));
        }
        answers.published = 2;
        answers.now = start + Duration::from_millis(30);
        let confirm = Confirm { tag: 2, multiple: true, refused: false };
        answers.confirm(confirm).expect("both were published");
        let near = |ns: u64, ms: u64| ns.abs_diff(ms * 1_000_000) < 100_000;
        assert!(near(answers.histogram.min(), 10) && near(answers.histogram.max(), 20));
        assert_eq!((answers.answered(), answers.histogram.len()), (2, 2));
    }

    fn order(numbers: &[u64]) -> Order {
        let mut order = Order::default();
        for (tag, &stamp) in (1..).zip(numbers) {
            let delivery = Delivery { tag, redelivered: false, size: 8, stamp };
            order.delivery(delivery).expect("tags are in a row");
        }
        order
    }
}
