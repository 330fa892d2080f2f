//! A run: plays a plan through its phases, and says what came of it.
//!
//! Safety (the plan's steps), heal (faults off, the broker is there), converge (nothing stays
//! pending), serve (every queue takes and gives a new message), drain (the books balance), stop
//! (clients are told), restart (what was left comes back, after a stop and after a crash).

use std::collections::BTreeMap;

use warren_core::MarkCounts;

use crate::checkers::{Failure, no_loss, panic};
use crate::course::{Connection, Course, Traffic};
use crate::exhaustive;
use crate::judge::Judge;
use crate::model::{Fate, Mode, Queue, ROOT, local, vhost_of};
use crate::plan::{Plan, Step, Who};
use crate::tally::Tally;
use crate::trace::Line;
use crate::world::{Stage, Tamper, World};

/// Long enough for every timeout of the broker.
const CONVERGE_S: u64 = 240;
/// The client of the last phases.
const SERVER: u8 = 250;
/// The first of those in other virtual hosts.
const OTHER_SERVERS: u8 = 240;
/// A wait of so many microseconds is one in which nothing happens for long.
const IDLE_US: u64 = 30_000_000;
/// In so many milliseconds a new client is connected and has asked for what it wants.
const ASKING_MS: u64 = 500;
/// How many messages each durable queue is left with for the last restarts.
const LEFT: usize = 3;

/// What came of a run.
#[derive(Clone, Debug, Default)]
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
    /// Which of the broker's branches were reached.
    pub marks: MarkCounts,
    /// What those need to know who vary the plan.
    pub course: Course,
    /// What happened, if it was asked for.
    pub trace: Vec<Line>,
}

impl Outcome {
    /// What happened, as text.
    #[must_use]
    pub fn trace_text(&self) -> String {
        self.trace.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// How to play a plan.
#[derive(Debug, Default)]
pub struct Options {
    /// Keep the trace.
    pub keeps_trace: bool,
    /// Break something on purpose.
    pub tamper: Option<Tamper>,
}

/// Plays a plan to its end, or to the first failure. A panic is a failure, too.
///
/// A plan that splits the stream of a connection is played with the streams whole as well, and
/// what its clients see must be the same.
#[must_use]
pub fn play(plan: &Plan, options: Options) -> Outcome {
    if !exhaustive::has_splits(plan) {
        return observe(plan, options, false);
    }
    let whole = observe(&exhaustive::made_whole(plan), Options::default(), true);
    let split = observe(plan, options, true);
    exhaustive::compare(plan, &whole, split)
}

/// Plays the steps of a plan and nothing of what comes behind them: what they reach, and whether
/// they fail by themselves.
#[must_use]
pub fn play_steps(plan: &Plan) -> Outcome {
    let mut run = Run::new(plan, Options::default(), false);
    let failure = panic::catch(|| run.play_steps(plan)).err();
    run.end(failure)
}

/// Plays a plan; if `keeps_received`, what clients received is kept in the course.
pub(crate) fn observe(plan: &Plan, options: Options, keeps_received: bool) -> Outcome {
    let mut run = Run::new(plan, options, keeps_received);
    let failure = panic::catch(|| run.play(plan)).err();
    if let Some(failure) = &failure {
        run.judge.trace_world(run.world.now(), "", &format!("! {failure}"));
    }
    run.end(failure)
}

struct Run {
    world: World,
    judge: Judge,
    phase: &'static str,
    tally: Tally,
    course: Course,
}

impl Run {
    fn new(plan: &Plan, options: Options, keeps_received: bool) -> Self {
        let mut run = Self {
            world: World::new(&plan.setup, options.tamper),
            judge: Judge::new(&plan.setup, options.keeps_trace),
            phase: "safety",
            tally: Tally::default(),
            course: Course::default(),
        };
        run.world.keep(keeps_received, options.keeps_trace);
        run
    }

    fn play(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.play_steps(plan)?;
        self.enter("heal");
        self.world.heal(&mut self.judge)?;
        self.start()?;
        self.resume()?;
        self.admit()?;
        self.enter("converge");
        self.converge()?;
        self.close_all()?;
        self.enter("serve");
        self.serve()?;
        self.enter("drain");
        self.drain()?;
        self.fill()?;
        self.enter("stop");
        self.stop()?;
        self.enter("restart");
        self.restart()
    }

    fn play_steps(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.course.enter(self.phase, 0, 0);
        if plan.setup.has_low_limits() {
            self.tally.note("low-limits");
        }
        let crash_at = plan.setup.start_crash_at;
        if crash_at > 0 {
            let (seed, power) = (plan.setup.start_crash_seed, plan.setup.start_crash_power);
            let crash = Step::new(Who::World, "disk").with("crash_at", crash_at);
            self.execute(&crash.with("seed", seed).flag("power", power))?;
            self.world.start(None, &mut self.judge)?;
        }
        self.world.start(None, &mut self.judge)?;
        for (at, step) in plan.steps.iter().enumerate() {
            self.count(step);
            self.course.requests.push(self.world.requests());
            let links = self.world.links_made();
            self.execute(step)?;
            let link = self.world.links_made();
            if link > links {
                let traffic = Traffic::default();
                self.course.connections.push(Connection { step: at, link, traffic });
            }
        }
        self.course.requests.push(self.world.requests());
        self.course.marks = self.world.marks();
        Ok(())
    }

    fn end(mut self, failure: Option<Failure>) -> Outcome {
        self.tally.add(&self.world.tally());
        let (simulated_ns, operations) = (self.world.now(), self.judge.model.operations);
        self.course.leave(simulated_ns, operations);
        let mut traffic = self.world.take_traffic();
        for connection in &mut self.course.connections {
            connection.traffic = traffic.remove(&connection.link).unwrap_or_default();
        }
        Outcome {
            failure,
            phase: self.phase,
            hash: self.judge.trace.hash(),
            simulated_ns,
            operations,
            faults: self.tally.into_counts(),
            marks: self.world.marks(),
            course: self.course,
            trace: self.judge.trace.lines().to_vec(),
        }
    }

    /// No queue is paused any more, and no limit is stricter than at the start. One that is wider
    /// stays: what came in under it would be in the way of everything else under another.
    fn resume(&mut self) -> Result<(), Failure> {
        let (own, now) = (self.world.setup(), &self.judge.model.setup);
        let memory_max = own.memory_max.max(now.memory_max);
        let disk_free_min = own.disk_free_min.min(now.disk_free_min);
        if (memory_max, disk_free_min) != (now.memory_max, now.disk_free_min) {
            let step = Step::new(Who::World, "limits").with("memory_max", memory_max);
            self.execute(&step.with("disk_free_min", disk_free_min))?;
        }
        let paused = self.judge.model.queues.values().filter(|queue| queue.is_paused);
        for queue in paused.map(|queue| queue.name.clone()).collect::<Vec<_>>() {
            let resume = Step::new(Who::World, "resume_queue").with("q", local(&queue));
            self.execute(&resume.with("vhost", vhost_of(&queue)))?;
        }
        Ok(())
    }

    /// Starts the broker if it is gone; now nothing keeps it from starting.
    fn start(&mut self) -> Result<(), Failure> {
        // With the first it may be found that the disk is to be given up.
        for _ in 0..2 {
            self.world.start(None, &mut self.judge)?;
            if self.world.is_up() {
                return Ok(());
            }
        }
        Err(Failure::new("recovery", "the broker does not come up, though nothing is wrong"))
    }

    fn enter(&mut self, phase: &'static str) {
        self.phase = phase;
        self.course.enter(phase, self.world.now(), self.judge.model.operations);
        self.judge.trace_world(self.world.now(), "", &format!("! {phase}"));
    }

    fn execute(&mut self, step: &Step) -> Result<(), Failure> {
        let who = match step.who {
            Who::Client(client) => Some(format!("c{client}")),
            Who::World if step.verb() != "wait" => Some(String::new()),
            _ => None,
        };
        if let Some(who) = who {
            self.judge.trace_world(self.world.now(), &who, &format!("! {step}"));
        }
        self.world.execute(step, &mut self.judge)
    }

    /// Counts what a plan does by itself; the world counts the rest.
    fn count(&mut self, step: &Step) {
        if step.verb() == "wait" && step.number("us", 0) >= IDLE_US {
            self.tally.note("idle");
        }
        if step.is("flap") {
            self.tally.note("flapping");
        }
    }

    /// Lets time pass until nothing is pending, within a bound.
    fn converge(&mut self) -> Result<(), Failure> {
        for _ in 0..CONVERGE_S {
            self.world.advance(1_000_000_000, &mut self.judge)?;
            let is_busy = self.world.has_abandoned_links() || self.world.is_sending();
            if !is_busy && self.judge.check_converged().is_ok() {
                return Ok(());
            }
        }
        self.judge.check_converged()?;
        if !self.world.has_abandoned_links() {
            return Ok(());
        }
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

    /// Nothing keeps a client from working in any virtual host.
    fn admit(&mut self) -> Result<(), Failure> {
        let hosts = self.judge.model.access.vhosts.keys().filter(|vhost| *vhost != ROOT);
        for vhost in hosts.cloned().collect::<Vec<_>>() {
            self.execute(&Step::new(Who::World, "limit_vhost").with("name", &vhost))?;
            let permit = Step::new(Who::World, "permit").with("vhost", vhost).with("user", "guest");
            let all = ["configure", "write", "read"].into_iter();
            self.execute(&all.fold(permit, |step, key| step.with(key, ".*")))?;
        }
        Ok(())
    }

    /// The clients of the last phases, one in each virtual host.
    fn servers(&self) -> BTreeMap<String, u8> {
        let hosts = self.judge.model.access.vhosts.keys().filter(|vhost| *vhost != ROOT);
        let others = hosts.cloned().zip(OTHER_SERVERS..SERVER);
        others.chain([(ROOT.to_owned(), SERVER)]).collect()
    }

    /// New clients, each with an open channel.
    fn connect_servers(&mut self) -> Result<BTreeMap<String, u8>, Failure> {
        let servers = self.servers();
        for (vhost, client) in &servers {
            let connect = Step::new(Who::Client(*client), "connect");
            let connect = if vhost == ROOT { connect } else { connect.with("vhost", vhost) };
            self.execute(&connect)?;
            self.execute(&Step::new(Who::Channel(*client, 1), "open"))?;
        }
        Ok(servers)
    }

    fn close_servers(&mut self) -> Result<(), Failure> {
        for client in self.servers().into_values() {
            self.execute(&Step::new(Who::Client(client), "close"))?;
        }
        self.converge()
    }

    /// New clients publish to every queue that is left and consume all there is.
    fn serve(&mut self) -> Result<(), Failure> {
        let servers = self.connect_servers()?;
        for client in servers.values() {
            self.execute(&Step::new(Who::Channel(*client, 1), "confirm"))?;
        }
        // One that expires before it is asked for is gone when that is looked at.
        let soon = self.judge.model.now_ms() + ASKING_MS;
        let is_left = |queue: &&Queue| queue.expires_ms.is_none_or(|at| at > soon);
        let queues = self.judge.model.queues.values().filter(|queue| !queue.is_store);
        let queues = queues.filter(is_left);
        let queues: Vec<String> = queues.map(|queue| queue.name.clone()).collect();
        for (at, queue) in queues.iter().enumerate() {
            let (who, name) = (Who::Channel(servers[vhost_of(queue)], 1), local(queue));
            let publish = Step::new(who, "publish").with("key", name).with("body", self.body(9));
            self.execute(&publish.flag("mandatory", true))?;
            let consume = Step::new(who, "consume").with("q", name);
            self.execute(&consume.with("tag", format!("s{at}")).flag("no_ack", true))?;
        }
        self.converge()?;
        self.wait_for_served()?;
        if let Some(queue) = self.unserved() {
            let text = format!("{queue} does not serve a new client");
            return Err(Failure::new("liveness", text));
        }
        let model = &self.judge.model;
        let last = model.connections.values().rev().take(servers.len());
        let channels = last.filter_map(|connection| connection.channels.get(&1));
        let published = channels.map(|channel| match &channel.mode {
            Mode::Confirm(confirms) => confirms.published(),
            _ => 0,
        });
        match published.sum::<u64>() == queues.len() as u64 {
            true => Ok(()),
            false => {
                Err(Failure::new("liveness", "the new clients could not publish to every queue"))
            }
        }
    }

    /// With little memory, many messages are read from a slow disk one by one.
    fn wait_for_served(&mut self) -> Result<(), Failure> {
        for _ in 0..CONVERGE_S {
            if self.unserved().is_none() {
                break;
            }
            self.world.advance(1_000_000_000, &mut self.judge)?;
        }
        Ok(())
    }

    /// A queue that has not given all it had to the client that consumes from all.
    fn unserved(&self) -> Option<&str> {
        let mut queues = self.judge.model.queues.values();
        let is_done = |queue: &Queue| {
            let is_served = queue.is_store || !queue.consumers.is_empty();
            // Who died may still be on the way to another queue.
            let has_dead = queue.has_newly_dead();
            queue.ready.is_empty() && queue.unacked == 0 && !has_dead && is_served
        };
        queues.find(|queue| !is_done(queue)).map(|queue| queue.name.as_str())
    }

    /// The books balance: every copy of every message is settled for a reason.
    fn drain(&mut self) -> Result<(), Failure> {
        // Dead letters that wait may still go, by chance.
        let has_kept = self.judge.model.queues.values().any(|queue| !queue.kept.is_empty());
        let known = if has_kept { self.judge.model.messages.len() } else { usize::MAX };
        self.close_servers()?;
        self.check_books(known)?;
        self.judge.check_quiet(self.world.image())?;
        let consumers = self.judge.model.consumers.len();
        if consumers > 0 || self.world.connections() > 0 {
            let text = format!("{consumers} consumers are left at the end");
            return Err(Failure::new("liveness", text));
        }
        Ok(())
    }

    /// Checks that no copy of any of the first `known` messages is left.
    fn check_books(&self, known: usize) -> Result<(), Failure> {
        for message in self.judge.model.messages.iter().take(known) {
            for (_, fate) in message.fates.iter() {
                no_loss::check_drained(&message.name, fate == Fate::Ready)?;
                if matches!(fate, Fate::Held | Fate::Uncommitted) {
                    let text = format!("{} is still {fate:?} when all is drained", message.name);
                    return Err(Failure::about(&message.name, "conservation", text));
                }
            }
        }
        Ok(())
    }

    /// Every durable queue gets messages to keep, some of which are delivered and not settled.
    fn fill(&mut self) -> Result<(), Failure> {
        let servers = self.connect_servers()?;
        for client in servers.values() {
            self.execute(&Step::new(Who::Channel(*client, 1), "confirm"))?;
        }
        for queue in self.durable_queues() {
            let (keeper, name) = (Who::Channel(servers[vhost_of(&queue)], 1), local(&queue));
            for _ in 0..LEFT {
                let body = self.body(20);
                let publish = Step::new(keeper, "publish").with("key", name).with("body", body);
                self.execute(&publish.flag("persistent", true))?;
            }
            let found = self.judge.model.queue_named(&queue);
            if found.is_some_and(|queue| !queue.refuses_gets()) {
                self.execute(&Step::new(keeper, "get").with("q", name))?;
            }
        }
        self.converge()?;
        self.close_servers()
    }

    /// So many bytes, or as many as a body may have.
    fn body(&self, len: u64) -> u64 {
        len.min(self.judge.model.setup.message_size_max)
    }

    fn durable_queues(&self) -> Vec<String> {
        let queues =
            self.judge.model.queues.values().filter(|queue| queue.is_durable && !queue.is_store);
        queues.map(|queue| queue.name.clone()).collect()
    }

    /// What was left is there after a stop, and after a crash, and is given out once.
    fn restart(&mut self) -> Result<(), Failure> {
        self.start()?;
        self.execute(&Step::new(Who::World, "power").with("seed", 7))?;
        self.start()?;
        let left = self.durable_queues();
        // Where messages may die, more may come to other queues, and fewer are left.
        let is_lasting = !self.judge.model.queues.values().any(Queue::lets_messages_die);
        for queue in self.judge.model.queues.values() {
            if is_lasting && !queue.is_store && queue.ready.len() != LEFT {
                let text = format!("{} comes back with {} messages", queue.name, queue.ready.len());
                return Err(Failure::new("no-loss", text));
            }
        }
        let servers = self.connect_servers()?;
        self.probe(&servers)?;
        for (at, queue) in left.iter().enumerate() {
            let consumer = Who::Channel(servers[vhost_of(queue)], 1);
            let consume = Step::new(consumer, "consume").with("q", local(queue));
            self.execute(&consume.with("tag", format!("r{at}")).flag("no_ack", true))?;
        }
        self.converge()?;
        self.wait_for_served()?;
        self.check_books(usize::MAX)?;
        self.judge.check_quiet(self.world.image())
    }

    /// Everything that is bound is published to: what routes is what must.
    fn probe(&mut self, servers: &BTreeMap<String, u8>) -> Result<(), Failure> {
        let bindings = self.judge.model.bindings.clone();
        for binding in bindings {
            let exchange = &self.judge.model.exchanges[&binding.source];
            if exchange.is_internal {
                continue;
            }
            let publisher = Who::Channel(servers[vhost_of(&binding.source)], 1);
            let publish = Step::new(publisher, "publish").with("x", local(&binding.source));
            self.execute(&publish.with("key", &binding.key).with("body", self.body(5)))?;
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
        self.world.tell_to_stop("maintenance", &mut self.judge)?;
        self.execute(&Step::new(Who::Client(late), "connect"))?;
        self.converge()?;
        match (self.world.connections(), self.world.is_up()) {
            (0, false) => Ok(()),
            (left, _) => {
                let text = format!("it does not stop; {left} connections are left");
                Err(Failure::new("liveness", text))
            }
        }
    }
}
