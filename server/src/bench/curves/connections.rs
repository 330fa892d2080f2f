//! Many connections, of which each publishes in its turn.
//!
//! A turn is a few messages, however many connections there are, so that what the broker reads at
//! once is the same. One thread goes round; another consumes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Cost;
use crate::bench::batch::Batch;
use crate::bench::compare::contender::Contender;
use crate::bench::connection::{Connection, unasked};
use crate::bench::consumer;
use crate::bench::error::BenchError;
use crate::bench::options::Plan;
use crate::bench::scan::{Delivery, Sink};
use crate::bench::topology::Topology;

/// Messages that a connection publishes in its turn.
const TURN: u64 = 16;
/// How many messages may be under way.
const LEAD_MAX: u64 = 10_000;
/// How long the publisher sleeps that is too far ahead.
const LEAD_NAP: Duration = Duration::from_micros(100);
/// What is left out at the beginning, after each connection has had a turn.
const WARMUP: Duration = Duration::from_millis(500);
/// How long nothing may come.
const STALL: Duration = Duration::from_secs(10);

pub(super) fn measure(
    broker: &mut Contender,
    number: u32,
    duration: Duration,
    interrupt: &AtomicBool,
) -> Result<Cost, BenchError> {
    let plan = Plan::part("throughput", &broker.uri);
    let topology = Topology::new(&plan);
    let mut admin = Connection::open(&broker.uri, "warren bench")?;
    topology.declare(&mut admin)?;
    let cost = publish(&plan, &topology, broker, number, duration, interrupt);
    topology.delete(&mut admin)?;
    admin.close();
    cost
}

fn publish(
    plan: &Plan,
    topology: &Topology,
    broker: &mut Contender,
    number: u32,
    duration: Duration,
    interrupt: &AtomicBool,
) -> Result<Cost, BenchError> {
    let (received, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let consumer = consumer::connect(plan, topology, 0)?;
    let mut publishers =
        Connection::open_all(&broker.uri, "warren bench publisher", number, interrupt)?;
    let mut rounds = Rounds {
        batch: Batch::new(plan, topology, 0, publishers[0].frame_max()),
        received: &received,
        next: 0,
        published: 0,
    };
    let measured = thread::scope(|scope| {
        let consuming = scope.spawn(|| consume(consumer, &received, &is_over));
        let measured = rounds.measure(&mut publishers, broker, duration, interrupt);
        is_over.store(true, Ordering::Relaxed);
        match consuming.join() {
            Ok(consumed) => consumed.and(measured),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    publishers.into_iter().for_each(Connection::close);
    measured
}

fn consume(
    mut connection: Connection,
    received: &AtomicU64,
    is_over: &AtomicBool,
) -> Result<(), BenchError> {
    let mut counter = Counter(received);
    while !is_over.load(Ordering::Relaxed) {
        connection.wait(&mut counter)?;
    }
    connection.close();
    Ok(())
}

/// One publisher after the other.
struct Rounds<'a> {
    batch: Batch,
    received: &'a AtomicU64,
    next: usize,
    published: u64,
}

impl Rounds<'_> {
    fn measure(
        &mut self,
        publishers: &mut [Connection],
        broker: &mut Contender,
        duration: Duration,
        interrupt: &AtomicBool,
    ) -> Result<Cost, BenchError> {
        for _ in 0..publishers.len() {
            self.turn(publishers, interrupt)?;
        }
        self.go_on(publishers, WARMUP, interrupt)?;
        let reading = |broker: &mut Contender| {
            let used = broker.processes().and_then(|tree| tree.cpu().ok());
            used.map(|used| (used, self.received.load(Ordering::Relaxed), Instant::now()))
        };
        let first = reading(broker);
        self.go_on(publishers, duration, interrupt)?;
        let last = reading(broker);
        let (Some((from, before, begun)), Some((to, after, ended))) = (first, last) else {
            return Err(BenchError::Interrupted);
        };
        Cost::new(to.saturating_sub(from), after - before, ended - begun)
    }

    fn go_on(
        &mut self,
        publishers: &mut [Connection],
        time: Duration,
        interrupt: &AtomicBool,
    ) -> Result<(), BenchError> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.turn(publishers, interrupt)?;
        }
        Ok(())
    }

    /// The next publisher's turn, once there is room.
    fn turn(
        &mut self,
        publishers: &mut [Connection],
        interrupt: &AtomicBool,
    ) -> Result<(), BenchError> {
        let begun = Instant::now();
        while self.published - self.received.load(Ordering::Relaxed) > LEAD_MAX {
            thread::sleep(LEAD_NAP);
            if begun.elapsed() > STALL {
                let state = format!("{} published", self.published);
                return Err(BenchError::Stalled { after: STALL, state });
            }
        }
        let run = self.batch.run(TURN);
        let bytes = self.batch.take(run);
        if !publishers[self.next].send(bytes, &mut Silent, interrupt)? {
            return Err(BenchError::Interrupted);
        }
        self.published += run as u64;
        self.next = (self.next + 1) % publishers.len();
        match interrupt.load(Ordering::Relaxed) {
            true => Err(BenchError::Interrupted),
            false => Ok(()),
        }
    }
}

/// Counts deliveries.
struct Counter<'a>(&'a AtomicU64);

impl Sink for Counter<'_> {
    fn delivery(&mut self, _: Delivery) -> Result<(), BenchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        unasked(id, args).map(drop)
    }
}

/// Expects nothing.
struct Silent;

impl Sink for Silent {
    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        unasked(id, args).map(drop)
    }
}
