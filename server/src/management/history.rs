//! The last hour, for charts: sums of all there is, and what this broker can tell of itself that no
//! other does (what waits for the disk, how long the disk takes).
//!
//! One reading is taken every few seconds whether somebody looks or not, so that who opens the
//! overview sees what was before. It costs the same however many queues there are: nothing is asked
//! of any of them. Of single queues there is a history as long as somebody looks at it.
//!
//! What is kept are counters as they were; rates are the differences of two, found when somebody
//! asks. So a chart of fewer points than there are readings is right, and not a selection.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use warren_core::listing::{QueueCounters, QueueNumbers};
use warren_core::metrics::{Metrics, SumsByKind};
use warren_io::{DiskMetrics, DiskTimes};

use super::call::{Answer, Call, Failure};
use super::rates::{INTERVAL, PATIENCE};
use super::{State, page, queue};
use crate::usage;

/// How many readings are kept: an hour, and one before for the first rate.
const READINGS_MAX: usize = 721;

/// Of so many queues at the most; the one that nobody asked about for the longest time goes.
const QUEUES_MAX: usize = 64;

/// How something is told: as it was at the end of a time, or how much it grew in a second of it.
#[derive(Clone, Copy)]
enum Told {
    AsItWas,
    PerSecond,
}

use Told::{AsItWas, PerSecond};

/// A series by its name, and what of a reading it is of.
type Series<T> = (&'static str, Told, fn(&T) -> f64);

/// What the broker and its process were like at one time.
struct Reading {
    at: Instant,
    unix_ms: u64,
    broker: Metrics,
    disk: DiskMetrics,
    resident: u64,
    memory_limit: u64,
    disk_free: u64,
    disk_free_min: u64,
    processor_seconds: f64,
}

impl Reading {
    fn counters(&self) -> QueueCounters {
        let SumsByKind { classic, quorum, .. } = self.broker.queues;
        classic.counters + quorum.counters
    }
}

/// Counters that clients' acknowledgements are found from: what needs none is settled as well.
fn acked(counters: &QueueCounters) -> u64 {
    counters.acked.saturating_sub(counters.delivered_no_ack + counters.got_no_ack)
}

const SERIES: [Series<Reading>; 33] = [
    ("messages_ready", AsItWas, |one| {
        (one.broker.queues.classic.ready + one.broker.queues.quorum.ready) as f64
    }),
    ("messages_unacked", AsItWas, |one| {
        (one.broker.queues.classic.unacked + one.broker.queues.quorum.unacked) as f64
    }),
    ("delayed", AsItWas, |one| one.broker.queues.delayed.ready as f64),
    ("publish", PerSecond, |one| one.broker.traffic.published as f64),
    ("confirm", PerSecond, |one| one.broker.traffic.confirmed as f64),
    ("deliver", PerSecond, |one| {
        let counters = one.counters();
        (counters.delivered + counters.delivered_no_ack) as f64
    }),
    ("get", PerSecond, |one| {
        let counters = one.counters();
        (counters.got + counters.got_no_ack) as f64
    }),
    ("deliver_get", PerSecond, |one| {
        let QueueCounters { delivered, delivered_no_ack, got, got_no_ack, .. } = one.counters();
        (delivered + delivered_no_ack + got + got_no_ack) as f64
    }),
    ("ack", PerSecond, |one| acked(&one.counters()) as f64),
    ("redeliver", PerSecond, |one| one.counters().redelivered as f64),
    ("return_unroutable", PerSecond, |one| one.broker.traffic.returned as f64),
    ("drop_unroutable", PerSecond, |one| one.broker.traffic.unroutable as f64),
    ("connections", AsItWas, |one| one.broker.totals.connections as f64),
    ("channels", AsItWas, |one| one.broker.totals.channels as f64),
    ("queues", AsItWas, |one| one.broker.totals.queues as f64),
    ("consumers", AsItWas, |one| one.broker.totals.consumers as f64),
    ("memory_resident", AsItWas, |one| one.resident as f64),
    ("memory_messages", AsItWas, |one| one.broker.memory.messages as f64),
    ("memory_transactions", AsItWas, |one| one.broker.memory.uncommitted as f64),
    ("memory_history", AsItWas, |one| one.broker.memory.history as f64),
    ("memory_limit", AsItWas, |one| one.memory_limit as f64),
    ("disk_free", AsItWas, |one| one.disk_free as f64),
    ("disk_free_limit", AsItWas, |one| one.disk_free_min as f64),
    ("disk_write_bytes", PerSecond, |one| one.disk.write.bytes as f64),
    ("disk_read_bytes", PerSecond, |one| one.disk.read.bytes as f64),
    ("log_bytes", AsItWas, |one| one.broker.log.bytes as f64),
    ("log_live_bytes", AsItWas, |one| one.broker.log.live_bytes as f64),
    ("log_backlog_bytes", AsItWas, |one| one.broker.log.pending_bytes as f64),
    ("gate_waiters", AsItWas, |one| one.broker.gate_waiters as f64),
    ("parked_channels", AsItWas, |one| one.broker.parked_channels as f64),
    ("alarm_memory", AsItWas, |one| f64::from(u8::from(one.broker.memory_alarm))),
    ("alarm_disk", AsItWas, |one| f64::from(u8::from(one.broker.disk_alarm))),
    ("cpu", PerSecond, |one| one.processor_seconds),
];

/// What of a queue was read at one time.
struct QueueReading {
    at: Instant,
    unix_ms: u64,
    numbers: QueueNumbers,
}

const QUEUE_SERIES: [Series<QueueReading>; 8] = [
    ("messages_ready", AsItWas, |one| one.numbers.ready as f64),
    ("messages_unacked", AsItWas, |one| one.numbers.unacked as f64),
    ("consumers", AsItWas, |one| one.numbers.consumers as f64),
    ("publish", PerSecond, |one| one.numbers.counters.enqueued as f64),
    ("deliver", PerSecond, |one| {
        (one.numbers.counters.delivered + one.numbers.counters.delivered_no_ack) as f64
    }),
    ("get", PerSecond, |one| (one.numbers.counters.got + one.numbers.counters.got_no_ack) as f64),
    ("ack", PerSecond, |one| acked(&one.numbers.counters) as f64),
    ("redeliver", PerSecond, |one| one.numbers.counters.redelivered as f64),
];

/// The readings of a queue that somebody looks at.
struct OfQueue {
    asked: Instant,
    readings: VecDeque<QueueReading>,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Histories {
    all: RefCell<VecDeque<Reading>>,
    queues: RefCell<HashMap<u64, OfQueue>>,
}

impl Histories {
    /// The queues that somebody looks at, by their keys.
    fn queues_asked_about(&self) -> Vec<u64> {
        let mut queues = self.queues.borrow_mut();
        queues.retain(|_, kept| kept.asked.elapsed() < PATIENCE);
        queues.keys().copied().collect()
    }

    fn take(&self, reading: Reading) {
        push(&mut self.all.borrow_mut(), reading);
    }

    fn take_queues(&self, numbers: Vec<QueueNumbers>) {
        let (at, unix_ms) = (Instant::now(), unix_ms());
        let mut queues = self.queues.borrow_mut();
        for numbers in numbers {
            if let Some(kept) = queues.get_mut(&numbers.key) {
                push(&mut kept.readings, QueueReading { at, unix_ms, numbers });
            }
        }
    }

    /// Somebody looks at a queue, which holds this now.
    fn note_asked(&self, numbers: QueueNumbers) {
        let asked = Instant::now();
        let mut queues = self.queues.borrow_mut();
        if let Some(kept) = queues.get_mut(&numbers.key) {
            kept.asked = asked;
            return;
        }
        if queues.len() >= QUEUES_MAX {
            let oldest = queues.iter().min_by_key(|(_, kept)| kept.asked).map(|(key, _)| *key);
            oldest.map(|key| queues.remove(&key));
        }
        let first = QueueReading { at: asked, unix_ms: unix_ms(), numbers };
        queues.insert(numbers.key, OfQueue { asked, readings: [first].into() });
    }
}

fn push<T>(readings: &mut VecDeque<T>, reading: T) {
    if readings.len() >= READINGS_MAX {
        readings.pop_front();
    }
    readings.push_back(reading);
}

fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis() as u64
}

/// Takes a reading; to be called every [`INTERVAL`].
pub(super) async fn sample(state: &State) {
    let broker = state.broker.look(|broker| broker.metrics()).await;
    let node = &state.node;
    state.histories.take(Reading {
        at: Instant::now(),
        unix_ms: unix_ms(),
        disk: node.disk.metrics(),
        resident: usage::resident(),
        memory_limit: broker.limits.memory_max.unwrap_or(0).saturating_mul(2),
        disk_free: usage::disk_free(&node.data_dir),
        disk_free_min: broker.limits.disk_free_min.unwrap_or(0),
        processor_seconds: usage::processor_seconds(),
        broker,
    });
    let keys = state.histories.queues_asked_about();
    let numbers = super::reading::queue_numbers(&state.broker, &keys).await;
    state.histories.take_queues(numbers);
}

/// The history of all there is.
pub(super) async fn all(call: Call) -> Answer {
    let wanted = Wanted::new(&call)?;
    let readings = call.state.histories.all.borrow();
    let mut told = tell(&readings, wanted, &SERIES, |one| (one.at, one.unix_ms));
    let shown = wanted.choose(&readings, |one| (one.at, one.unix_ms));
    let pairs = || shown.windows(2).map(|pair| (pair[0], pair[1]));
    let syncs = |one: &Reading| one.disk.log_sync.times;
    told["series"]["log_sync_ms"] = pairs()
        .map(|(before, one)| {
            let count = syncs(one).count() - syncs(before).count();
            let sum = (syncs(one).sum() - syncs(before).sum()) as f64;
            if count > 0 { json!(rounded(sum / count as f64 / 1e3)) } else { Value::Null }
        })
        .collect();
    for (name, percent) in [("log_sync_p50_ms", 50), ("log_sync_p99_ms", 99)] {
        told["series"][name] =
            pairs().map(|(before, one)| slowest_of(percent, &syncs(before), &syncs(one))).collect();
    }
    drop(readings);
    page::one(&call, told)
}

/// How many milliseconds, at the most, so many of a hundred operations took that came between two
/// readings: the bound that they are not above, or the highest there is.
fn slowest_of(percent: u64, before: &DiskTimes, now: &DiskTimes) -> Value {
    let came = now.count() - before.count();
    if came == 0 {
        return Value::Null;
    }
    let wanted = (came * percent).div_ceil(100);
    let both = now.cumulative().zip(before.cumulative());
    let mut bounds = both.map(|((bound, now), (_, then))| (bound, now - then));
    let mut highest = 0;
    let found = bounds.find(|(bound, below)| {
        highest = *bound;
        *below >= wanted
    });
    let bound = found.map_or(highest, |(bound, _)| bound);
    json!(bound as f64 / 1e3)
}

/// The history of a queue, from when somebody looked at it first.
pub(super) async fn of_queue(call: Call) -> Answer {
    let wanted = Wanted::new(&call)?;
    let numbers = queue::find(&call).await?.numbers;
    let histories = &call.state.histories;
    histories.note_asked(numbers);
    let queues = histories.queues.borrow();
    let none = VecDeque::new();
    let readings = queues.get(&numbers.key).map_or(&none, |kept| &kept.readings);
    let told = tell(readings, wanted, &QUEUE_SERIES, |one| (one.at, one.unix_ms));
    drop(queues);
    page::one(&call, told)
}

/// Which part of a history is asked for.
#[derive(Clone, Copy)]
struct Wanted {
    /// Not older than this.
    age: Duration,
    /// And later than this, in milliseconds since 1970.
    since_ms: u64,
    /// No more than so many points.
    points: usize,
}

impl Wanted {
    /// # Errors
    /// When it makes no sense.
    fn new(call: &Call) -> Result<Self, Failure> {
        let number = |name: &str, default: u64| match call.query.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Failure::bad_request(format!("invalid {name}"))),
        };
        let points = usize::try_from(number("points", READINGS_MAX as u64)?);
        Ok(Self {
            age: Duration::from_secs(number("seconds", 3600)?),
            since_ms: number("since", 0)?,
            points: points.unwrap_or(usize::MAX).max(1),
        })
    }

    /// The readings that the points end at, behind the one that the first begins at; none if there
    /// is no point to be told.
    fn choose<T>(self, readings: &VecDeque<T>, when: fn(&T) -> (Instant, u64)) -> Vec<&T> {
        let is_wanted = |one: &&T| {
            let (at, unix_ms) = when(one);
            at.elapsed() <= self.age && unix_ms > self.since_ms
        };
        let count = readings.iter().rev().take_while(is_wanted).count();
        let count = count.min(readings.len().saturating_sub(1));
        let step = count.div_ceil(self.points).max(1);
        // From the last on, so that what is told last is the latest there is.
        let mut chosen: Vec<&T> = readings.iter().rev().step_by(step).take(count / step).collect();
        if !chosen.is_empty() {
            chosen.extend(readings.iter().rev().nth(count / step * step));
        }
        chosen.reverse();
        chosen
    }
}

/// Series of the readings that are wanted, each value for one point in time.
fn tell<T>(
    readings: &VecDeque<T>,
    wanted: Wanted,
    series: &[Series<T>],
    when: fn(&T) -> (Instant, u64),
) -> Value {
    let shown = wanted.choose(readings, when);
    let mut told = Map::new();
    for (name, how, of) in series {
        let values = shown.windows(2).map(|pair| match how {
            AsItWas => number(of(pair[1])),
            PerSecond => {
                let seconds = (when(pair[1]).0 - when(pair[0]).0).as_secs_f64();
                let grown = of(pair[1]) - of(pair[0]);
                number(if seconds > 0.0 { rounded(grown / seconds) } else { 0.0 })
            }
        });
        told.insert((*name).into(), values.collect());
    }
    let at: Vec<_> = shown.iter().skip(1).map(|one| when(one).1 as f64 / 1e3).collect();
    json!({
        "interval_ms": INTERVAL.as_millis() as u64,
        "now": unix_ms(),
        "at": at,
        "series": told,
    })
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A number as it is shortest.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(count: u64) -> VecDeque<QueueReading> {
        let start = Instant::now() - Duration::from_secs(5 * count);
        let reading = |index: u64| {
            let counters = QueueCounters { enqueued: 50 * index, ..QueueCounters::default() };
            let numbers = QueueNumbers { ready: index, counters, ..QueueNumbers::default() };
            let at = start + Duration::from_secs(5 * index);
            QueueReading { at, unix_ms: 5000 * index, numbers }
        };
        (0..count).map(reading).collect()
    }

    fn told(count: u64, wanted: Wanted) -> Value {
        tell(&readings(count), wanted, &QUEUE_SERIES, |one| (one.at, one.unix_ms))
    }

    const ALL: Wanted = Wanted { age: Duration::MAX, since_ms: 0, points: READINGS_MAX };

    #[test]
    fn what_grew_between_two_readings_is_told_per_second() {
        let told = told(4, ALL);
        assert_eq!(told["at"], json!([5.0, 10.0, 15.0]));
        assert_eq!(told["series"]["messages_ready"], json!([1, 2, 3]));
        assert_eq!(told["series"]["publish"], json!([10, 10, 10]));
    }

    #[test]
    fn fewer_points_are_of_longer_times_and_end_with_the_latest() {
        let told = told(101, Wanted { points: 10, ..ALL });
        assert_eq!(told["at"].as_array().map(Vec::len), Some(10));
        assert_eq!(told["series"]["messages_ready"][9], 100);
        assert_eq!(told["series"]["publish"], json!(vec![10; 10]));
    }

    #[test]
    fn who_has_some_of_it_asks_for_the_rest() {
        let told = told(4, Wanted { since_ms: 10_000, ..ALL });
        assert_eq!(told["at"], json!([15.0]));
        assert_eq!(told["series"]["publish"], json!([10]));
    }

    #[test]
    fn nothing_is_told_of_one_reading() {
        for count in [0, 1] {
            assert_eq!(told(count, ALL)["at"], json!([]), "{count}");
        }
    }

    #[test]
    fn no_more_queues_are_kept_than_may_be() {
        let histories = Histories::default();
        for key in 0..=QUEUES_MAX as u64 {
            histories.note_asked(QueueNumbers { key, ..QueueNumbers::default() });
        }
        let mut kept = histories.queues_asked_about();
        kept.sort_unstable();
        assert_eq!(kept.len(), QUEUES_MAX);
        assert!(!kept.contains(&0), "it was asked about first");
    }
}
