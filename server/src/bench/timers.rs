//! Timers: many messages that are to come at a time of their own each.
//!
//! A message is either a dead letter when its time to live in one queue is over, or held back by an
//! exchange that delays. Times differ by a step, and go to the messages in no order, so that what
//! is due next may stand anywhere. A message's time begins when the broker takes it in, which is
//! after it was handed to the socket and before its confirm was read. So how late it is, until it
//! is read again, is told from both: the truth is in between. They differ for those messages that
//! were under way while the broker or its machine stood still as they were published.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::backlog::{Answers, Progress, STALL, Watch};
use super::backlog_report::Half;
use super::confirms::ConfirmWindow;
use super::connection::{Connection, unasked};
use super::error::BenchError;
use super::latency;
use super::report::{Percentiles, grouped};
use super::scan::{Delivery, Sink};
use super::schedule::Schedule;
use super::uri::Uri;
use super::wire::{self, Properties, Value};

/// So many messages are written at once at the most.
const RUN_MAX: u64 = 64;
/// How long a publisher sleeps at the most that waits for the next message to be due.
const NAP_MAX: Duration = Duration::from_millis(1);

/// What is to be measured.
#[derive(Clone, Debug)]
pub(super) struct TimersPlan {
    pub(super) uri: Uri,
    pub(super) messages: u64,
    /// Octets in a body, at least eight.
    pub(super) size: usize,
    /// By an exchange that delays, not by expiration.
    pub(super) delay: bool,
    pub(super) persistent: bool,
    /// The shortest time.
    pub(super) lead_ms: u64,
    /// From each time to the next.
    pub(super) step_ms: u64,
    /// How many messages have the same time.
    pub(super) together: u64,
    /// How many messages may be unconfirmed.
    pub(super) confirm: u32,
    /// How many are published in a second; as fast as possible without.
    pub(super) rate: Option<u64>,
    pub(super) pid: Option<u32>,
    pub(super) json: bool,
}

impl TimersPlan {
    /// The time of message `number`, counted from 1, in milliseconds: all of them occur once, and
    /// those of neighbours are far apart.
    fn time_ms(&self, number: u64) -> u64 {
        let stride = stride(self.messages);
        let slot = u128::from(number - 1) * u128::from(stride) % u128::from(self.messages);
        self.lead_ms + self.step_ms * (slot as u64 / self.together)
    }

    /// The longest time.
    fn last_ms(&self) -> u64 {
        self.lead_ms + self.step_ms * ((self.messages - 1) / self.together)
    }
}

/// A step that goes round `count` places and meets each once, about 0.618 of the way at a time.
fn stride(count: u64) -> u64 {
    let from = (count as f64 * 0.618) as u64;
    (from.max(1)..).find(|step| gcd(*step, count) == 1).expect("1 more than a multiple is one")
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct TimersReport {
    measurement: &'static str,
    /// What the broker calls itself.
    broker: String,
    uri: String,
    messages: u64,
    size: usize,
    by: &'static str,
    persistent: bool,
    shortest_ms: u64,
    longest_ms: u64,
    /// How many were to be published in a second, if that was limited.
    rate: Option<u64>,
    /// Whether the user ended it early.
    interrupted: bool,
    fill: Half,
    refused: u64,
    confirm_us: Percentiles,
    arrive: Half,
    /// By how much messages were late, had their times begun when they were sent.
    late_us: Percentiles,
    /// The same, had they begun when they were confirmed.
    late_since_confirm_us: Percentiles,
    /// How long after the first message had been sent the one came that was the latest so, in
    /// milliseconds.
    latest_at_ms: u64,
    /// Messages that came before their time.
    early: u64,
    /// Messages that did not come, or more than once.
    missing: u64,
    repeated: u64,
}

impl TimersReport {
    /// Whether each message came once and not too early.
    pub(super) fn is_whole(&self) -> bool {
        self.interrupted || (self.early, self.missing, self.repeated) == (0, 0, 0)
    }
}

/// The names of what is declared.
struct Places {
    /// Where messages wait: a queue, or the exchange.
    waiting: String,
    /// The queue that they come to.
    due: String,
}

/// Carries out `plan`; `interrupt` is set when the user wants it to end.
pub(super) fn run(plan: &TimersPlan, interrupt: &AtomicBool) -> Result<TimersReport, BenchError> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let prefix = format!("warren-bench-{:x}-{:x}", std::process::id(), since_epoch.as_micros());
    let places = Places { waiting: format!("{prefix}-waiting"), due: format!("{prefix}-due") };
    let mut admin = Connection::open(&plan.uri, "warren bench")?;
    let broker = admin.broker().to_owned();
    let declared = declare(plan, &places, &mut admin);
    admin.close();
    let measured = declared.and_then(|()| measure(plan, &places, broker, interrupt));
    let deleted = Connection::open(&plan.uri, "warren bench").and_then(|mut admin| {
        let deleted = delete(plan, &places, &mut admin);
        admin.close();
        deleted
    });
    if let Err(error) = deleted {
        eprintln!("warren bench: {prefix}-waiting and {prefix}-due are left behind: {error}");
    }
    measured
}

fn declare(plan: &TimersPlan, places: &Places, admin: &mut Connection) -> Result<(), BenchError> {
    let Places { waiting, due } = places;
    let mut queue = |name: &str, arguments: wire::Table<'_>| {
        admin.call(wire::QUEUE_DECLARE_OK, "queue.declare-ok", |out| {
            wire::queue_declare(out, name, true, arguments);
        })
    };
    queue(due, &[])?;
    if !plan.delay {
        let letters = [
            ("x-dead-letter-exchange", Value::Text("")),
            ("x-dead-letter-routing-key", Value::Text(due)),
        ];
        return queue(waiting, &letters).map(drop);
    }
    admin.call(wire::EXCHANGE_DECLARE_OK, "exchange.declare-ok", |out| {
        let direct = [("x-delayed-type", Value::Text("direct"))];
        wire::exchange_declare(out, waiting, "x-delayed-message", true, &direct);
    })?;
    let bound = admin.call(wire::QUEUE_BIND_OK, "queue.bind-ok", |out| {
        wire::queue_bind(out, due, waiting, due);
    });
    bound.map(drop)
}

fn delete(plan: &TimersPlan, places: &Places, admin: &mut Connection) -> Result<(), BenchError> {
    let Places { waiting, due } = places;
    let mut queue = |name: &str| {
        admin.call(wire::QUEUE_DELETE_OK, "queue.delete-ok", |out| wire::queue_delete(out, name))
    };
    if !plan.delay {
        queue(waiting)?;
    }
    queue(due)?;
    if plan.delay {
        admin.call(wire::EXCHANGE_DELETE_OK, "exchange.delete-ok", |out| {
            wire::exchange_delete(out, waiting);
        })?;
    }
    Ok(())
}

fn measure(
    plan: &TimersPlan,
    places: &Places,
    broker: String,
    interrupt: &AtomicBool,
) -> Result<TimersReport, BenchError> {
    let mut consumer = Connection::open(&plan.uri, "warren bench consumer")?;
    consumer.call(wire::BASIC_CONSUME_OK, "basic.consume-ok", |out| {
        wire::basic_consume(out, &places.due, "bench-timers", true);
    })?;
    let filled = fill(plan, places, interrupt)?;
    let mut arrivals = Arrivals::new(plan, filled.sent_at, filled.took);
    let arrived = arrive(plan, consumer, &mut arrivals, interrupt)?;
    let latest_at_ms = arrivals.latest_at().as_millis() as u64;
    let Arrivals { late, late_since_confirm, early, repeated, received, .. } = arrivals;
    Ok(TimersReport {
        measurement: "timers",
        broker,
        uri: plan.uri.to_string(),
        messages: plan.messages,
        size: plan.size,
        by: if plan.delay { "delay" } else { "expiration" },
        persistent: plan.persistent,
        shortest_ms: plan.lead_ms,
        longest_ms: plan.last_ms(),
        rate: plan.rate,
        interrupted: interrupt.load(Ordering::Relaxed),
        fill: Half::new(&filled.progress),
        refused: filled.refused,
        confirm_us: Percentiles::of(Some(&filled.confirm)),
        arrive: Half::new(&arrived),
        late_us: Percentiles::of(Some(&late)),
        late_since_confirm_us: Percentiles::of(Some(&late_since_confirm)),
        latest_at_ms,
        early,
        missing: plan.messages - (received - repeated),
        repeated,
    })
}

/// How publishing went.
struct Filled {
    progress: Progress,
    refused: u64,
    confirm: Histogram<u64>,
    /// When each message was handed to the socket.
    sent_at: Vec<Instant>,
    /// How long it took then until its confirm was read.
    took: Vec<Duration>,
}

fn fill(plan: &TimersPlan, places: &Places, interrupt: &AtomicBool) -> Result<Filled, BenchError> {
    let mut connection = Connection::open(&plan.uri, "warren bench filler")?;
    connection.call(wire::CONFIRM_SELECT_OK, "confirm.select-ok", wire::confirm_select)?;
    let mut answers = Answers::new(ConfirmWindow::new(plan.confirm)).keeping(plan.messages);
    let mut watch = Watch::new("published", plan.messages, plan.pid)?;
    let mut sent_at = Vec::with_capacity(usize::try_from(plan.messages).unwrap_or(0));
    let mut body = vec![0; plan.size];
    let mut bytes = Vec::new();
    let begun = Instant::now();
    let schedule = plan.rate.map(|rate| Schedule::new(rate, 0, 1));
    while answers.answered() < plan.messages && !interrupt.load(Ordering::Relaxed) {
        let open = answers.window.limit().min(plan.messages) - answers.published;
        let wait = until_due(schedule, begun, answers.published).filter(|_| open > 0);
        if let Some(wait) = wait {
            connection.poll(&mut answers)?;
            thread::sleep(wait.min(NAP_MAX));
        } else if open > 0 {
            let now = Instant::now();
            bytes.clear();
            let due = schedule.map_or(u64::MAX, |it| it.due(now - begun) - answers.published);
            for _ in 0..open.min(RUN_MAX).min(due) {
                answers.published += 1;
                let number = answers.published;
                body[..8].copy_from_slice(&number.to_be_bytes());
                put(&mut bytes, plan, places, number, &body, connection.frame_max());
                answers.set_sent_at(number, now);
                sent_at.push(now);
            }
            if !connection.send(&bytes, &mut answers, interrupt)? {
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
    let lead = Duration::from_millis(plan.lead_ms);
    if sent_at.first().is_some_and(|first| first.elapsed() >= lead) {
        let text = "a --lead as short as this is over before all messages are published";
        return Err(BenchError::Options(text.into()));
    }
    Ok(Filled {
        progress,
        refused: answers.refused,
        confirm: answers.histogram,
        sent_at,
        took: answers.took.unwrap_or_default(),
    })
}

/// How long until the next message may be published; `None` if it may be now.
fn until_due(schedule: Option<Schedule>, begun: Instant, published: u64) -> Option<Duration> {
    let due = Duration::from_nanos(schedule?.time_ns(published));
    due.checked_sub(begun.elapsed()).filter(|wait| !wait.is_zero())
}

/// Appends one message.
fn put(
    bytes: &mut Vec<u8>,
    plan: &TimersPlan,
    places: &Places,
    number: u64,
    body: &[u8],
    frame_max: usize,
) {
    let Places { waiting, due } = places;
    let (time, persistent) = (plan.time_ms(number), plan.persistent);
    if plan.delay {
        let headers = [("x-delay", Value::Long(time.cast_signed()))];
        let properties = Properties { persistent, expiration: None, headers: &headers };
        wire::publish(bytes, waiting, due, properties, body, frame_max);
    } else {
        let properties = Properties { persistent, expiration: Some(time), headers: &[] };
        wire::publish(bytes, "", waiting, properties, body, frame_max);
    }
}

fn arrive(
    plan: &TimersPlan,
    mut connection: Connection,
    arrivals: &mut Arrivals<'_>,
    interrupt: &AtomicBool,
) -> Result<Progress, BenchError> {
    let mut watch = Watch::new("arrived", plan.messages, plan.pid)?;
    let last_due = Instant::now() + Duration::from_millis(plan.last_ms()) + STALL;
    while arrivals.received < plan.messages
        && Instant::now() < last_due
        && !interrupt.load(Ordering::Relaxed)
    {
        connection.wait(arrivals)?;
        // What does not come is missing, and the figures say so.
        watch.look(arrivals.received)?;
    }
    let progress = watch.end(arrivals.received);
    connection.close();
    Ok(progress)
}

/// What came.
struct Arrivals<'a> {
    plan: &'a TimersPlan,
    sent_at: Vec<Instant>,
    took: Vec<Duration>,
    has_come: Vec<bool>,
    now: Instant,
    received: u64,
    repeated: u64,
    early: u64,
    late: Histogram<u64>,
    late_since_confirm: Histogram<u64>,
    /// The one that was the latest since its confirm: how late, and when it came.
    latest: (Duration, Instant),
}

impl<'a> Arrivals<'a> {
    fn new(plan: &'a TimersPlan, sent_at: Vec<Instant>, took: Vec<Duration>) -> Self {
        Self {
            plan,
            has_come: vec![false; sent_at.len()],
            sent_at,
            took,
            now: Instant::now(),
            received: 0,
            repeated: 0,
            early: 0,
            late: latency::histogram(),
            late_since_confirm: latency::histogram(),
            latest: (Duration::ZERO, Instant::now()),
        }
    }

    /// How long after the first message had been sent the latest one came.
    fn latest_at(&self) -> Duration {
        let first = self.sent_at.first().copied();
        first.map_or(Duration::ZERO, |first| self.latest.1.saturating_duration_since(first))
    }
}

impl Sink for Arrivals<'_> {
    fn arrival(&mut self) {
        self.now = Instant::now();
    }

    fn delivery(&mut self, delivery: Delivery) -> Result<(), BenchError> {
        let at = usize::try_from(delivery.stamp).ok().and_then(|number| number.checked_sub(1));
        let Some(at) = at.filter(|at| *at < self.sent_at.len()) else {
            let text = format!("message {} was never published", delivery.stamp);
            return Err(BenchError::Protocol(text));
        };
        self.received += 1;
        if std::mem::replace(&mut self.has_come[at], true) {
            self.repeated += 1;
            return Ok(());
        }
        let time = Duration::from_millis(self.plan.time_ms(delivery.stamp));
        match self.now.checked_duration_since(self.sent_at[at] + time) {
            Some(late) => {
                let since_confirm = late.saturating_sub(self.took[at]);
                if since_confirm > self.latest.0 {
                    self.latest = (since_confirm, self.now);
                }
                self.late.saturating_record(latency::nanoseconds(late).max(1));
                let since_confirm = latency::nanoseconds(since_confirm).max(1);
                self.late_since_confirm.saturating_record(since_confirm);
            }
            None => self.early += 1,
        }
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        unasked(id, args).map(drop)
    }
}

impl fmt::Display for TimersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let early = if self.interrupted { ", ended early" } else { "" };
        let kind = if self.persistent { "persistent" } else { "transient" };
        writeln!(f, "timers of {} at {}{early}", self.broker, self.uri)?;
        writeln!(
            f,
            "{} {kind} messages of {} bytes by {}, after {} to {} ms",
            grouped(self.messages),
            grouped(self.size as u64),
            self.by,
            grouped(self.shortest_ms),
            grouped(self.longest_ms),
        )?;
        write!(f, "\n{:<8}{}", "publish", self.fill)?;
        let Percentiles { p50, p99, max, .. } = &self.confirm_us;
        writeln!(f, "confirms: p50 {p50:.1} µs, p99 {p99:.1} µs, max {max:.1} µs")?;
        if self.refused > 0 {
            writeln!(f, "{} REFUSED", grouped(self.refused))?;
        }
        write!(f, "\n{:<8}{}", "arrive", self.arrive)?;
        let both = [("sent", &self.late_us), ("confirmed", &self.late_since_confirm_us)];
        for (since, Percentiles { p50, p99, p99_9, max, .. }) in both {
            writeln!(
                f,
                "late, since {since}: p50 {p50:.0} µs, p99 {p99:.0} µs, p99.9 {p99_9:.0} µs, max \
                 {max:.0} µs"
            )?;
        }
        writeln!(f, "the latest of these came after {:.1} s", self.latest_at_ms as f64 / 1000.0)?;
        if (self.early, self.missing, self.repeated) != (0, 0, 0) {
            let [early, missing, repeated] = [self.early, self.missing, self.repeated].map(grouped);
            writeln!(f, "WRONG: {early} too early, {missing} missing, {repeated} repeated")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(messages: u64) -> TimersPlan {
        TimersPlan {
            uri: "amqp://h".parse().unwrap(),
            messages,
            size: 8,
            delay: false,
            persistent: true,
            lead_ms: 1000,
            step_ms: 3,
            together: 1,
            confirm: 1,
            rate: None,
            pid: None,
            json: false,
        }
    }

    #[test]
    fn all_times_occur_once() {
        for messages in [1, 2, 3, 10, 97, 1000] {
            let plan = plan(messages);
            let times: BTreeSet<u64> = (1..=messages).map(|number| plan.time_ms(number)).collect();
            let expected = (0..messages).map(|slot| 1000 + 3 * slot).collect();
            assert_eq!(times, expected, "{messages}");
            assert_eq!(times.last(), Some(&plan.last_ms()));
        }
        let plan = TimersPlan { together: 4, ..plan(10) };
        let mut times: Vec<u64> = (1..=10).map(|number| plan.time_ms(number)).collect();
        times.sort_unstable();
        assert_eq!(times, [1000, 1000, 1000, 1000, 1003, 1003, 1003, 1003, 1006, 1006]);
        assert_eq!(plan.last_ms(), 1006);
    }

    #[test]
    fn the_next_message_is_waited_for_only_with_a_rate_and_before_its_time() {
        let begun = Instant::now();
        assert_eq!(until_due(None, begun, 7), None);
        let schedule = Some(Schedule::new(1, 0, 1));
        assert_eq!(until_due(schedule, begun, 0), None);
        let wait = until_due(schedule, begun, 60).expect("a minute is not over");
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
        let long_ago = begun.checked_sub(Duration::from_secs(60)).expect("the clock goes on");
        assert_eq!(until_due(schedule, long_ago, 60), None);
    }

    #[test]
    fn what_is_early_late_or_comes_twice_is_counted() {
        let plan = plan(3);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60));
        let sent_at = [long_ago, Some(Instant::now()), long_ago].map(Option::unwrap).to_vec();
        let took = vec![Duration::from_secs(60), Duration::ZERO, Duration::ZERO];
        let mut arrivals = Arrivals::new(&plan, sent_at, took);
        for (tag, stamp) in (1..).zip([1, 2, 1]) {
            let delivery = Delivery { tag, redelivered: false, size: 8, stamp };
            arrivals.delivery(delivery).expect("it was published");
        }
        assert_eq!((arrivals.received, arrivals.repeated, arrivals.early), (3, 1, 1));
        assert_eq!((arrivals.late.len(), arrivals.late_since_confirm.len()), (1, 1));
        assert!(arrivals.late_since_confirm.max() < arrivals.late.min());
        let unknown = Delivery { tag: 4, redelivered: false, size: 8, stamp: 4 };
        assert!(arrivals.delivery(unknown).is_err());
    }
}
