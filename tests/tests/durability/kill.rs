//! The kill test: a broker under load is killed again and again, at any moment, and in the end
//! everything is accounted for.
//!
//! `WARREN_KILL_SEED` repeats the choices of one run (not its timing), `WARREN_KILL_ROUNDS` says
//! how often the broker is killed.

use crate::accounting;
use crate::brokers;
use crate::history::{Fact, History};
use crate::load;
use crate::side::Side;
use fastrand::Rng;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use warren_tests::broker::Broker;
use warren_tests::client::Address;
use warren_tests::setup::Setup;

/// How often the broker is killed, unless the environment says otherwise.
const ROUNDS: u32 = 50;

/// How many faults are told.
const FAULTS_TOLD: usize = 25;

#[test]
fn every_promise_is_kept_however_often_the_broker_is_killed() {
    let seed = from_environment("WARREN_KILL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let rounds = from_environment("WARREN_KILL_ROUNDS").unwrap_or(ROUNDS);
    println!("WARREN_KILL_SEED={seed} WARREN_KILL_ROUNDS={rounds}");
    let mut test = KillTest::new(seed);
    for _ in 0..rounds {
        test.round();
    }
    test.finish();
}

struct KillTest {
    random: Rng,
    scratch: TempDir,
    history: History,
    side: Side,
    /// How many brokers there were.
    brokers: u32,
    start: Instant,
}

impl KillTest {
    fn new(seed: u64) -> Self {
        KillTest {
            random: Rng::with_seed(seed),
            scratch: TempDir::new().expect("a temporary directory can be made"),
            history: History::default(),
            side: Side::new(),
            brokers: 0,
            start: Instant::now(),
        }
    }

    /// Starts a broker, puts it under load, and kills it.
    fn round(&mut self) {
        let setup = self.setup();
        // Another broker may need longer to start than it takes to break it for good.
        if !brokers::is_other() && self.random.u8(..4) == 0 {
            setup.start_and_kill(Duration::from_millis(self.random.u64(..60)));
        }
        let mut broker = self.start(&setup);
        let load = Duration::from_millis(self.random.u64(100..500));
        let stops_cleanly = self.random.u8(..10) == 0;
        let seeds: Vec<_> = (0..7).map(|_| self.random.u64(..)).collect();
        let address = broker.address();
        let is_killed = Arc::new(AtomicBool::new(false));
        let history = &self.history;
        let side = &mut self.side;
        let clients = thread::scope(|scope| {
            let publishers = 1 + seeds[0] % 3;
            let mut clients = Vec::new();
            for n in 0..publishers {
                let seed = seeds[1] ^ n;
                clients.push(scope.spawn(client(
                    &is_killed,
                    &address,
                    history,
                    seed,
                    load::publisher,
                )));
            }
            for n in 0..1 + seeds[2] % 3 {
                let seed = seeds[3] ^ n;
                clients.push(scope.spawn(client(
                    &is_killed,
                    &address,
                    history,
                    seed,
                    load::consumer,
                )));
            }
            clients.push(scope.spawn(client(&is_killed, &address, history, seeds[4], load::mover)));
            let (is_killed_too, side_address, seed) = (&is_killed, &address, seeds[5]);
            clients.push(scope.spawn(move || {
                let outcome = side.churn(side_address, seed);
                assert!(is_killed_too.load(Ordering::SeqCst), "left alone: {outcome:?}");
                outcome
            }));
            thread::sleep(load);
            is_killed.store(true, Ordering::SeqCst);
            let signal = if stops_cleanly { Signal::TERM } else { Signal::KILL };
            broker.end_by(signal);
            clients.into_iter().map(|client| client.join().expect("no client panics")).collect()
        });
        self.note(clients);
    }

    /// Takes everything out, kills the broker once more, and holds all that happened against what
    /// was promised.
    fn finish(mut self) {
        let load_took = self.start.elapsed();
        let setup = self.setup();
        let mut left = Vec::new();
        // What the first has drained is final; for the second there is hardly anything.
        for is_last in [false, true] {
            let seed = self.random.u64(..);
            let mut broker = self.start(&setup);
            let count = load::drain(&broker.address(), &self.history, seed, is_last);
            left.push(count.expect("everything that is there can be drained"));
            broker.end_by(Signal::KILL);
        }
        let facts = self.history.facts();
        let mut faults = self.side.faults().to_vec();
        faults.extend(accounting::faults(&facts));
        println!("{}", Summary::of(&facts));
        println!("{left:?} drained; {load_took:?} of load, {:?} in all", self.start.elapsed());
        faults_are_none(&faults);
        assert!(facts.len() > 100, "there was no load: {}", facts.len());
    }

    fn start(&mut self, setup: &Setup) -> Broker {
        let broker = setup.start();
        self.brokers += 1;
        self.history.record(Fact::Started);
        let address = broker.address();
        if self.brokers == 1 {
            load::declare(&address).expect("everything can be declared");
            Side::declare(&address).expect("the hub can be declared");
        }
        self.side.check(&address, self.brokers).expect("everything can be looked at");
        broker
    }

    /// The same directory each time, with other limits: all of them change what is kept where.
    fn setup(&mut self) -> Setup {
        let setup = brokers::on(&self.scratch.path().join("data"));
        match self.random.u8(..3) {
            0 => setup,
            1 => setup.flag("--segment-size", "1MiB").flag("--queue-window", "64KiB"),
            _ => setup
                .flag("--segment-size", "256KiB")
                .flag("--queue-window", "4KiB")
                .flag("--memory", "64MiB"),
        }
    }

    fn note(&self, outcomes: Vec<Result<(), String>>) {
        let wrong: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(wrong.is_empty(), "with broker {}: {wrong:#?}", self.brokers);
    }
}

/// A client that must go on until the broker is gone.
fn client<'a>(
    is_killed: &'a AtomicBool,
    address: &'a Address,
    history: &'a History,
    seed: u64,
    work: fn(&Address, &History, u64) -> Result<(), String>,
) -> impl FnOnce() -> Result<(), String> + 'a {
    move || {
        let outcome = work(address, history, seed);
        assert!(is_killed.load(Ordering::SeqCst), "left alone: {outcome:?}");
        outcome
    }
}

#[track_caller]
fn faults_are_none(faults: &[String]) {
    let mut kinds = BTreeMap::<String, usize>::new();
    for fault in faults {
        let kind = fault.rsplit(") ").next().unwrap_or(fault);
        *kinds.entry(kind.replace(|c: char| c.is_ascii_digit(), "")).or_default() += 1;
    }
    let told: Vec<_> = faults.iter().take(FAULTS_TOLD).collect();
    assert!(faults.is_empty(), "{} faults: {kinds:#?}; {told:#?}", faults.len());
}

/// How much happened.
struct Summary;

impl Summary {
    fn of(facts: &[Fact]) -> String {
        let count = |is: fn(&Fact) -> bool| facts.iter().filter(|fact| is(fact)).count();
        format!(
            "{} brokers: {} messages sent, {} confirmed, {} deliveries, {} settled, {} of them \
             final; {} commits, {} answered",
            count(|fact| matches!(fact, Fact::Started)),
            count(|fact| matches!(fact, Fact::Sent { .. })),
            count(|fact| matches!(fact, Fact::Confirmed(_))),
            count(|fact| matches!(fact, Fact::Received { .. })),
            count(|fact| matches!(fact, Fact::Settling { .. })),
            count(|fact| matches!(fact, Fact::Final { .. })),
            count(|fact| matches!(fact, Fact::Committing(_))),
            count(|fact| matches!(fact, Fact::Committed(_))),
        )
    }
}

fn from_environment<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
