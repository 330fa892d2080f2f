//! A run: plays a plan through its phases, and says what came of it.
//!
//! Safety (the plan's steps), heal (faults off), converge (nothing stays pending), serve (every
//! queue takes and gives a new message), drain (the books balance), stop (clients are told).

use std::collections::BTreeMap;

use crate::checkers::Failure;
use crate::judge::Judge;
use crate::model::{Fate, Mode};
use crate::plan::{Plan, Step, Who};
use crate::world::{Stage, Tamper, World};

/// Long enough for every timeout of the broker.
const CONVERGE_S: u64 = 240;
/// The client of the last two phases.
const SERVER: u8 = 250;
/// What a plan does to its clients, and how it is counted.
const FAULTS: [&str; 6] = ["eof", "reset", "vanish", "stall", "clog", "garbage"];

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The rule that was broken, if one was.
    pub failure: Option<Failure>,
    /// In which phase the run ended.
    pub phase: &'static str,
    /// The hash of everything that happened.
    pub hash: u64,
    /// Simulated nanoseconds.
    pub simulated_ns: u64,
    /// Methods that clients sent and the broker handled.
    pub operations: u64,
    /// Faults by class.
    pub faults: BTreeMap<&'static str, u64>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// How to play a plan.
#[derive(Debug, Default)]
pub struct Options {
    /// Keep the trace.
    pub keeps_trace: bool,
    /// Break something on purpose.
    pub tamper: Option<Tamper>,
}

/// Plays a plan to its end, or to the first failure.
#[must_use]
pub fn play(plan: &Plan, options: Options) -> Outcome {
    let mut run = Run {
        world: World::new(&plan.setup, options.tamper),
        judge: Judge::new(&plan.setup, options.keeps_trace),
        phase: "safety",
        faults: BTreeMap::new(),
    };
    let failure = run.play(plan).err();
    if let Some(failure) = &failure {
        run.judge.trace_world(run.world.now(), "", &format!("! {failure}"));
    }
    Outcome {
        failure,
        phase: run.phase,
        hash: run.judge.trace.hash(),
        simulated_ns: run.world.now(),
        operations: run.judge.model.operations,
        faults: run.faults,
        trace: run.judge.trace.lines().to_vec(),
    }
}

struct Run {
    world: World,
    judge: Judge,
    phase: &'static str,
    faults: BTreeMap<&'static str, u64>,
}

impl Run {
    fn play(&mut self, plan: &Plan) -> Result<(), Failure> {
        for step in &plan.steps {
            self.count(step);
            self.execute(step)?;
        }
        self.enter("heal");
        self.world.heal(&self.judge);
        self.enter("converge");
        self.converge()?;
        self.close_all()?;
        self.enter("serve");
        self.serve()?;
        self.enter("drain");
        self.drain()?;
        self.enter("stop");
        self.stop()
    }

    fn enter(&mut self, phase: &'static str) {
        self.phase = phase;
        self.judge.trace_world(self.world.now(), "", &format!("! {phase}"));
    }

    fn execute(&mut self, step: &Step) -> Result<(), Failure> {
        if let Who::Client(client) = step.who {
            self.judge.trace_world(self.world.now(), &format!("c{client}"), &format!("! {step}"));
        }
        self.world.execute(step, &mut self.judge)
    }

    fn count(&mut self, step: &Step) {
        let fault = FAULTS.iter().find(|fault| **fault == step.verb());
        let fault = fault.copied().or(match step.value("silent_after") {
            Some(_) => Some("silence"),
            None if step.value("cut").is_some() => Some("cut"),
            None => None,
        });
        if let Some(fault) = fault {
            *self.faults.entry(fault).or_default() += 1;
        }
    }

    /// Lets time pass until nothing is pending, within a bound.
    fn converge(&mut self) -> Result<(), Failure> {
        for _ in 0..CONVERGE_S {
            self.world.advance(1_000_000_000, &mut self.judge)?;
            if !self.world.has_abandoned_links() && self.judge.check_converged().is_ok() {
                return Ok(());
            }
        }
        self.judge.check_converged()?;
        Err(Failure::new("liveness", "half-open connections are never noticed"))
    }

    /// The clients of the workload go: what they hold comes back.
    fn close_all(&mut self) -> Result<(), Failure> {
        let open = self.world.clients().filter(|client| client.stage == Stage::Open);
        for client in open.map(|client| client.number).collect::<Vec<_>>() {
            self.execute(&Step::new(Who::Client(client), "close"))?;
        }
        self.converge()?;
        match self.world.connections() {
            0 => Ok(()),
            left => {
                let text = format!("{left} connections are left when all clients are gone");
                Err(Failure::new("liveness", text))
            }
        }
    }

    /// A new client publishes to every queue that is left and consumes all there is.
    fn serve(&mut self) -> Result<(), Failure> {
        let (publisher, consumer) = (Who::Channel(SERVER, 1), Who::Channel(SERVER, 1));
        self.execute(&Step::new(Who::Client(SERVER), "connect"))?;
        self.execute(&Step::new(publisher, "open"))?;
        self.execute(&Step::new(publisher, "confirm"))?;
        let queues = self.judge.model.queues.values().map(|queue| queue.name.clone());
        let queues: Vec<String> = queues.collect();
        for (at, queue) in queues.iter().enumerate() {
            let publish = Step::new(publisher, "publish").with("key", queue).with("body", 9);
            self.execute(&publish.flag("mandatory", true))?;
            let consume = Step::new(consumer, "consume").with("q", queue);
            self.execute(&consume.with("tag", format!("s{at}")).flag("no_ack", true))?;
        }
        self.converge()?;
        for queue in self.judge.model.queues.values() {
            if !queue.ready.is_empty() || queue.unacked > 0 || queue.consumers.is_empty() {
                let text = format!("{} does not serve a new client", queue.name);
                return Err(Failure::new("liveness", text));
            }
        }
        let channel = self.judge.model.connections.values().last();
        let channel = channel.and_then(|connection| connection.channels.get(&1));
        match channel.map(|channel| &channel.mode) {
            Some(Mode::Confirm(confirms)) if confirms.published() == queues.len() as u64 => Ok(()),
            _ => Err(Failure::new("liveness", "the new client could not publish to every queue")),
        }
    }

    /// The books balance: every copy of every message is settled for a reason.
    fn drain(&mut self) -> Result<(), Failure> {
        self.execute(&Step::new(Who::Client(SERVER), "close"))?;
        self.converge()?;
        for message in &self.judge.model.messages {
            let is_open =
                |fate: &&Fate| matches!(fate, Fate::Ready | Fate::Held | Fate::Uncommitted);
            if let Some(fate) = message.fates.values().find(is_open) {
                let text = format!("{} is still {fate:?} when all is drained", message.name);
                return Err(Failure::about(&message.name, "conservation", text));
            }
        }
        let consumers = self.judge.model.consumers.len();
        if consumers > 0 || self.world.connections() > 0 {
            let text = format!("{consumers} consumers are left at the end");
            return Err(Failure::new("liveness", text));
        }
        Ok(())
    }

    /// Whoever is connected when the broker stops is told so; nobody comes in any more.
    fn stop(&mut self) -> Result<(), Failure> {
        let (open, silent, late) = (SERVER, SERVER + 1, SERVER + 2);
        self.execute(&Step::new(Who::Client(open), "connect"))?;
        self.execute(&Step::new(Who::Channel(open, 1), "open"))?;
        let connect = Step::new(Who::Client(silent), "connect");
        self.execute(&connect.with("silent_after", "header"))?;
        self.world.advance(1_000_000_000, &mut self.judge)?;
        self.world.stop("maintenance", &mut self.judge)?;
        self.execute(&Step::new(Who::Client(late), "connect"))?;
        self.converge()?;
        match self.world.connections() {
            0 => Ok(()),
            left => {
                Err(Failure::new("liveness", format!("{left} connections keep it from stopping")))
            }
        }
    }
}
