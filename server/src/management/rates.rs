//! How fast things happen: found out here from the broker's counters, as long as somebody asks.
//!
//! Every few seconds the counters are read of those queues that somebody has asked about within
//! some minutes, a page at a time, and the sums of all. Who asks about another finds no rate at
//! first, and one within two seconds. What is kept is bounded: two readings of each queue, and some
//! minutes of the sums.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::rc::Rc;
use std::slice;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use warren_core::listing::{ChannelCounters, QueueCounters, QueueNumbers, Traffic};
use warren_core::metrics::SumsByKind;

use super::call::Query;
use super::{State, history, reading};

/// How often counters are read.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// How long it takes at the least, and twice that at the most, until there is a second reading of a
/// queue that nobody asked about before.
const FIRST: Duration = Duration::from_secs(1);

/// For how long they are when nobody asks any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// How many readings of the sums are kept.
const HISTORY_LEN: usize = 720;

/// What is read of a queue.
#[derive(Clone, Copy, Default)]
struct Reading {
    counters: QueueCounters,
    ready: u64,
    unacked: u64,
}

/// Two readings of a queue.
struct OfQueue {
    last: Reading,
    before: Reading,
    /// The time between them in seconds; zero as long as there is one only.
    seconds: f64,
    /// When the last was made.
    read: Instant,
    /// When somebody asked about it.
    asked: Instant,
}

impl From<&QueueNumbers> for Reading {
    fn from(numbers: &QueueNumbers) -> Self {
        let QueueNumbers { counters, ready, unacked, .. } = *numbers;
        Self { counters, ready, unacked }
    }
}

/// All sums at one time.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    at: Instant,
    unix_ms: u64,
    pub(super) counters: QueueCounters,
    pub(super) traffic: Traffic,
    pub(super) ready: u64,
    pub(super) unacked: u64,
}

/// Two readings of the counters of an exchange, a channel or a connection: when somebody asked.
struct OfObject {
    before: (Instant, Vec<u64>),
    last: (Instant, Vec<u64>),
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Rates {
    asked: Cell<Option<Instant>>,
    objects: RefCell<HashMap<String, OfObject>>,
    queues: RefCell<HashMap<u64, OfQueue>>,
    /// Queues that were asked about for the first time, by their keys: before the last time that
    /// [`FIRST`] was over, and since.
    first: RefCell<[Vec<u64>; 2]>,
    sums: RefCell<VecDeque<Sums>>,
}

/// Reads counters for as long as the process lives.
pub(super) async fn sample(state: Rc<State>) {
    history::sample(&state).await;
    loop {
        let next = Instant::now() + INTERVAL;
        while next.saturating_duration_since(Instant::now()) > FIRST {
            tokio::time::sleep(FIRST).await;
            let keys = state.rates.first_asked_about();
            let numbers = reading::queue_numbers(&state.broker, &keys).await;
            state.rates.take_queues(&numbers);
        }
        tokio::time::sleep_until(next.into()).await;
        history::sample(&state).await;
        if state.rates.asked.get().is_some_and(|asked| asked.elapsed() < PATIENCE) {
            let began = Instant::now();
            let keys = state.rates.queues_asked_about();
            let numbers = reading::queue_numbers(&state.broker, &keys).await;
            let sums = sums(&state).await;
            state.rates.take(&numbers, sums, began);
        } else {
            state.rates.forget();
            state.names.forget();
        }
    }
}

/// The sums of all there is, now.
pub(super) async fn sums(state: &State) -> Sums {
    let look = |broker: &warren_core::Broker| (broker.queue_sums(), broker.traffic());
    let (SumsByKind { classic, quorum, .. }, traffic) = state.broker.look(look).await;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Sums {
        at: Instant::now(),
        unix_ms: since_1970.as_millis() as u64,
        counters: classic.counters + quorum.counters,
        traffic,
        ready: classic.ready + quorum.ready,
        unacked: classic.unacked + quorum.unacked,
    }
}

impl Rates {
    /// Takes what was read from `began` on.
    fn take(&self, numbers: &[QueueNumbers], sums: Sums, began: Instant) {
        self.take_queues(numbers);
        // Those that were read, and those that somebody has asked about since.
        self.queues.borrow_mut().retain(|_, kept| kept.read.max(kept.asked) >= began);
        let mut objects = self.objects.borrow_mut();
        objects.retain(|_, kept| kept.last.0.elapsed() < PATIENCE);
        let mut history = self.sums.borrow_mut();
        history.push_back(sums);
        if history.len() > HISTORY_LEN {
            history.pop_front();
        }
    }

    /// Takes what was read of some queues.
    fn take_queues(&self, numbers: &[QueueNumbers]) {
        let now = Instant::now();
        let mut queues = self.queues.borrow_mut();
        for one in numbers {
            if let Some(kept) = queues.get_mut(&one.key) {
                let (before, seconds) = (kept.last, (now - kept.read).as_secs_f64());
                *kept = OfQueue { last: one.into(), before, seconds, read: now, ..*kept };
            }
        }
    }

    /// The queues of which a second reading is due that nobody asked about before.
    fn first_asked_about(&self) -> Vec<u64> {
        let [due, later] = &mut *self.first.borrow_mut();
        mem::replace(due, mem::take(later))
    }

    fn forget(&self) {
        *self.first.borrow_mut() = Default::default();
        *self.queues.borrow_mut() = HashMap::new();
        *self.objects.borrow_mut() = HashMap::new();
        self.sums.borrow_mut().clear();
    }

    fn note_asked(&self) {
        self.asked.set(Some(Instant::now()));
    }

    /// The queues that somebody has asked about lately, by their keys.
    fn queues_asked_about(&self) -> Vec<u64> {
        let queues = self.queues.borrow();
        let wanted = queues.iter().filter(|(_, kept)| kept.asked.elapsed() < PATIENCE);
        wanted.map(|(key, _)| *key).collect()
    }

    /// How fast things happen in a queue that holds this now.
    pub(super) fn of_queue(&self, numbers: &QueueNumbers) -> Rate {
        self.of_queues(slice::from_ref(numbers))[0]
    }

    /// The same of several queues.
    pub(super) fn of_queues(&self, all: &[QueueNumbers]) -> Vec<Rate> {
        self.note_asked();
        let now = Instant::now();
        let mut queues = self.queues.borrow_mut();
        let [_, first] = &mut *self.first.borrow_mut();
        let known = queues.len();
        queues.reserve(all.len().saturating_sub(known));
        let rate = |numbers: &QueueNumbers| {
            let kept = queues.entry(numbers.key).or_insert_with(|| {
                first.push(numbers.key);
                let last = Reading::from(numbers);
                OfQueue { last, before: last, seconds: 0.0, read: now, asked: now }
            });
            kept.asked = now;
            Rate { counters: kept.last.counters - kept.before.counters, seconds: kept.seconds }
        };
        all.iter().map(rate).collect()
    }

    /// Counters of the object of this name, as RabbitMQ tells them: each with its rate since they
    /// were read some seconds ago, if they were.
    pub(super) fn of_object(&self, name: String, counters: &[(&str, u64)]) -> Map<String, Value> {
        self.note_asked();
        let now = (Instant::now(), counters.iter().map(|(_, count)| *count).collect::<Vec<_>>());
        let mut objects = self.objects.borrow_mut();
        let kept = objects
            .entry(name)
            .or_insert_with(|| OfObject { before: now.clone(), last: now.clone() });
        if now.0 - kept.last.0 >= INTERVAL {
            kept.before = std::mem::replace(&mut kept.last, now.clone());
        }
        let seconds = (now.0 - kept.before.0).as_secs_f64();
        let mut stats = Map::new();
        for ((name, count), before) in counters.iter().zip(&kept.before.1) {
            stats.insert((*name).into(), json!(count));
            let rate = rate(*count as f64 - *before as f64, seconds);
            stats.insert(format!("{name}_details"), detail(rate));
        }
        stats
    }

    /// How fast what a queue holds becomes more.
    pub(super) fn growth_of_queue(&self, key: u64) -> Growth {
        let queues = self.queues.borrow();
        let of = |queue: &OfQueue| {
            let per_second =
                |last: u64, before: u64| rate(last as f64 - before as f64, queue.seconds);
            Growth {
                ready: per_second(queue.last.ready, queue.before.ready),
                unacked: per_second(queue.last.unacked, queue.before.unacked),
            }
        };
        queues.get(&key).map(of).unwrap_or_default()
    }

    /// The last readings of the sums, the latest last: as many as the query asks for of this kind
    /// (`lengths`, `msg_rates`), and two at the least.
    pub(super) fn history(&self, query: &Query, kind: &str) -> History {
        self.note_asked();
        let number = |what: &str| query.get(&format!("{kind}_{what}"))?.parse::<u64>().ok();
        let age = number("age").map(Duration::from_secs);
        let sums = self.sums.borrow();
        let is_young = |one: &&Sums| age.is_some_and(|age| one.at.elapsed() <= age);
        let wanted = sums.iter().rev().take_while(is_young).count();
        let count = wanted.max(2).min(sums.len());
        let readings = sums.iter().skip(sums.len() - count).copied().collect();
        History { readings, is_wanted: age.is_some() }
    }
}

/// How fast the content of a queue grows, per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Growth {
    pub(super) ready: f64,
    pub(super) unacked: f64,
}

/// What was counted in a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    counters: QueueCounters,
    seconds: f64,
}

impl Rate {
    /// One of the rates, per second.
    pub(super) fn of(self, RateOf(index): RateOf) -> f64 {
        let (_, counted) = of_messages(self.counters)[index];
        rate(counted as f64, self.seconds)
    }

    /// `message_stats`: counters, each with its rate.
    pub(super) fn stats(self, counters: QueueCounters) -> Value {
        let mut stats = Map::new();
        let pairs = of_messages(counters).into_iter().zip(of_messages(self.counters));
        for ((name, count), (_, counted)) in pairs {
            stats.insert(name.into(), json!(count));
            stats.insert(format!("{name}_details"), detail(rate(counted as f64, self.seconds)));
        }
        Value::Object(stats)
    }
}

/// What RabbitMQ counts of what happens on a channel.
pub(super) fn of_channel(counters: &ChannelCounters) -> Vec<(&'static str, u64)> {
    let taken = of_messages(as_of_queues(counters)).into_iter().skip(1);
    let published = [
        ("publish", counters.published),
        ("confirm", counters.confirmed),
        ("return_unroutable", counters.returned),
        ("drop_unroutable", counters.unroutable),
    ];
    published.into_iter().chain(taken).collect()
}

/// What was taken on a channel, as it is counted for queues.
pub(crate) fn as_of_queues(counters: &ChannelCounters) -> QueueCounters {
    let ChannelCounters {
        delivered, delivered_no_ack, got, got_no_ack, redelivered, acked, ..
    } = *counters;
    QueueCounters {
        delivered,
        delivered_no_ack,
        got,
        got_no_ack,
        redelivered,
        // Those that nobody is to acknowledge are settled too.
        acked: acked + delivered_no_ack + got_no_ack,
        ..QueueCounters::default()
    }
}

/// What RabbitMQ counts of messages that are in queues.
fn of_messages(counters: QueueCounters) -> [(&'static str, u64); 8] {
    let QueueCounters { delivered, delivered_no_ack, got, got_no_ack, .. } = counters;
    [
        ("publish", counters.enqueued),
        ("deliver", delivered),
        ("deliver_no_ack", delivered_no_ack),
        ("get", got),
        ("get_no_ack", got_no_ack),
        ("deliver_get", delivered + delivered_no_ack + got + got_no_ack),
        ("redeliver", counters.redelivered),
        ("ack", counters.acked.saturating_sub(delivered_no_ack + got_no_ack)),
    ]
}

/// One of what is counted of messages that are in queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateOf(usize);

impl RateOf {
    /// The one that RabbitMQ calls so.
    pub(super) fn named(counter: &str) -> Option<Self> {
        let mut all = of_messages(QueueCounters::default()).into_iter();
        all.position(|(name, _)| name == counter).map(Self)
    }
}

/// One of the counters.
type Count = fn(&Traffic) -> u64;

/// Readings of the sums.
pub(super) struct History {
    readings: Vec<Sums>,
    /// Whether they are asked for themselves.
    is_wanted: bool,
}

impl History {
    /// A sum now, under its name and with its rate.
    pub(super) fn add(&self, stats: &mut Value, name: &str, now: u64, of: impl Fn(&Sums) -> u64) {
        stats[name] = json!(now);
        let last = self.readings.last().zip(self.readings.iter().rev().nth(1));
        let per_second = |last: &Sums, before: &Sums| {
            rate(of(last) as f64 - of(before) as f64, (last.at - before.at).as_secs_f64())
        };
        let mut details = detail(last.map_or(0.0, |(last, before)| per_second(last, before)));
        if self.is_wanted {
            let sample = |one: &Sums| json!({ "sample": of(one), "timestamp": one.unix_ms });
            details["samples"] = self.readings.iter().rev().map(sample).collect();
            let ends = self.readings.first().zip(self.readings.last());
            let average = ends.map_or(0.0, |(first, last)| per_second(last, first));
            details["avg_rate"] = json!(average);
            let sum: u64 = self.readings.iter().map(&of).sum();
            details["avg"] = json!(rate(sum as f64, self.readings.len() as f64));
        }
        stats[format!("{name}_details")] = details;
    }

    /// All that RabbitMQ counts of messages.
    pub(super) fn message_stats(&self, now: &Sums) -> Value {
        let mut stats = json!({});
        for (index, (name, count)) in of_messages(now.counters).into_iter().enumerate().skip(1) {
            self.add(&mut stats, name, count, |sums| of_messages(sums.counters)[index].1);
        }
        let all: [(&str, Count); 5] = [
            ("publish", |traffic| traffic.published),
            ("confirm", |traffic| traffic.confirmed),
            ("return_unroutable", |traffic| traffic.returned),
            ("drop_unroutable", |traffic| traffic.unroutable),
            ("get_empty", |traffic| traffic.get_empty),
        ];
        for (name, of) in all {
            self.add(&mut stats, name, of(&now.traffic), |sums| of(&sums.traffic));
        }
        stats
    }

    /// How often connections, channels and queues come and go.
    pub(super) fn churn_rates(&self, now: &Sums) -> Value {
        let mut rates = json!({});
        let all: [(&str, Count); 7] = [
            ("connection_created", |traffic| traffic.connections_opened),
            ("connection_closed", |traffic| traffic.connections_closed),
            ("channel_created", |traffic| traffic.channels_opened),
            ("channel_closed", |traffic| traffic.channels_closed),
            ("queue_declared", |traffic| traffic.queues_declared),
            ("queue_created", |traffic| traffic.queues_created),
            ("queue_deleted", |traffic| traffic.queues_deleted),
        ];
        for (name, of) in all {
            self.add(&mut rates, name, of(&now.traffic), |sums| of(&sums.traffic));
        }
        rates
    }
}

/// A rate as RabbitMQ has it.
pub(super) fn detail(rate: f64) -> Value {
    json!({ "rate": rate })
}

fn rate(counted: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { (counted / seconds * 100.0).round() / 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_between_two_readings_is_a_rate() {
        let counters = QueueCounters { enqueued: 50, ..QueueCounters::default() };
        let stats = Rate { counters, seconds: 5.0 }
            .stats(QueueCounters { enqueued: 150, ..QueueCounters::default() });
        assert_eq!(stats["publish"], 150);
        assert_eq!(stats["publish_details"]["rate"], 10.0);
        let rate = Rate { counters, seconds: 5.0 };
        assert_eq!(RateOf::named("publish").map(|of| rate.of(of)), Some(10.0));
        assert_eq!(RateOf::named("ack").map(|of| rate.of(of)), Some(0.0));
        assert_eq!(RateOf::named("none"), None);
        assert_eq!(Rate::default().stats(counters)["publish_details"]["rate"], 0.0);
    }

    #[test]
    fn counters_of_an_object_have_their_rate_since_they_were_read_before() {
        let rates = Rates::default();
        let read = |count| rates.of_object("x".into(), &[("publish_in", count)]);
        assert_eq!(read(100)["publish_in_details"]["rate"], 0.0);
        let past = Instant::now() - 2 * INTERVAL;
        rates.objects.borrow_mut().get_mut("x").expect("is kept").last.0 = past;
        rates.objects.borrow_mut().get_mut("x").expect("is kept").before.0 = past;
        let stats = read(200);
        assert_eq!(stats["publish_in"], 200);
        let rate = stats["publish_in_details"]["rate"].as_f64().expect("a number");
        assert!((9.0..=10.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_queue_that_is_asked_about_for_the_first_time_is_read_soon_and_not_at_once() {
        let rates = Rates::default();
        let queue = |enqueued| {
            let counters = QueueCounters { enqueued, ..QueueCounters::default() };
            QueueNumbers { key: 7, counters, ..QueueNumbers::default() }
        };
        let publish = RateOf::named("publish").expect("is one");
        assert_eq!(rates.of_queue(&queue(10)).of(publish), 0.0);
        assert!(rates.first_asked_about().is_empty(), "no time has passed");
        assert_eq!(rates.first_asked_about(), [7]);
        rates.queues.borrow_mut().get_mut(&7).expect("is kept").read -= Duration::from_secs(1);
        rates.take_queues(&[queue(20)]);
        let rate = rates.of_queue(&queue(20)).of(publish);
        assert!((9.0..=10.0).contains(&rate), "{rate}");
        assert!(rates.first_asked_about().is_empty(), "it is not the first time any more");
    }

    #[test]
    fn a_queue_that_nobody_asks_about_or_that_is_gone_is_not_kept() {
        let rates = Rates::default();
        let sums = Sums {
            at: Instant::now(),
            unix_ms: 0,
            counters: QueueCounters::default(),
            traffic: Traffic::default(),
            ready: 0,
            unacked: 0,
        };
        let queue = |key| QueueNumbers { key, ready: 7, ..QueueNumbers::default() };
        let take = |numbers: &[QueueNumbers]| rates.take(numbers, sums, Instant::now());
        take(&[queue(1), queue(2)]);
        assert!(rates.queues_asked_about().is_empty(), "nobody has asked");
        for key in [1, 2] {
            assert_eq!(rates.of_queue(&queue(key)).seconds, 0.0);
        }
        take(&[queue(2)]);
        assert_eq!(rates.queues_asked_about(), [2]);
        assert!(rates.of_queue(&queue(2)).seconds > 0.0);
    }
}
