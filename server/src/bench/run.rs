//! One measurement from beginning to end: declares, connects, lets the load on, watches, cleans up.
//!
//! The calling thread is the supervisor. It moves no message: it takes readings at both ends of the
//! measured time, prints a line each second, and ends the run when its goal is reached, the user
//! says so, a worker fails, or nothing moves any more. Whatever happened, the queues are deleted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::board::{Board, Role, Tally, Totals, totals};
use super::connection::Connection;
use super::consumer::{self, Consumer};
use super::directory;
use super::error::BenchError;
use super::hold::Hold;
use super::latency::{Latencies, Link, Listener, Sender, Stopwatch};
use super::options::{Goal, Plan};
use super::process::{self, ProcessTree};
use super::publisher::{self, Publisher};
use super::schedule::Schedule;
use super::topology::Topology;

/// How long nothing may move before the run is given up.
const STALL: Duration = Duration::from_secs(10);
/// How often the supervisor looks, which is also how exactly the measured time is kept.
const TICK: Duration = Duration::from_millis(5);
/// How often the broker's memory and its data are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a line about the progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How long messages under way are waited for after the user ended a measurement of latency.
const DRAIN_INTERRUPTED: Duration = Duration::from_secs(2);
/// Workers need little stack, and there may be thousands.
const STACK_BYTES: usize = 256 * 1024;

/// What was read at both ends of the measured time, and between.
#[derive(Debug)]
pub(super) struct Measured {
    /// What the broker calls itself.
    pub(super) broker: String,
    /// What was left out at the beginning; nothing if the run was ended before the warm-up was
    /// over.
    pub(super) warmup: Duration,
    /// From the first reading to the last.
    pub(super) time: Duration,
    /// Whether the user ended it early.
    pub(super) interrupted: bool,
    /// What was done in that time.
    pub(super) totals: Totals,
    /// CPU time used in that time.
    pub(super) cpu: Cpu,
    /// The broker's memory.
    pub(super) memory: Option<Levels>,
    /// What the broker's data take of the disk.
    pub(super) disk: Option<Levels>,
    /// Bytes that the broker had written to disks in that time.
    pub(super) written: Option<u64>,
    /// What was learnt about time.
    pub(super) latencies: Latencies,
}

/// CPU time of those who took part, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// The broker's processes.
    pub(super) broker: Option<Duration>,
    /// The threads that publish.
    pub(super) publishers: Option<Duration>,
    /// The threads that consume.
    pub(super) consumers: Option<Duration>,
    /// All of this process.
    pub(super) bench: Option<Duration>,
}

/// How much there is of something, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    /// At the end of the measured time.
    pub(super) end: u64,
    /// The most that was seen at any look since the load began.
    pub(super) peak: u64,
}

/// Carries out `plan`; `interrupt` is set when the user wants it to end.
pub(super) fn run(plan: &Plan, interrupt: &AtomicBool) -> Result<Measured, BenchError> {
    if let Some(dir) = &plan.workload.dir {
        let looked = directory::disk_bytes(dir);
        looked
            .map_err(|error| BenchError::system(format!("looking at {}", dir.display()), error))?;
    }
    let topology = Topology::new(plan);
    let mut admin = Connection::open(&plan.workload.uri, "warren bench")?;
    let broker = admin.broker().to_owned();
    let declared = topology.declare(&mut admin);
    admin.close();
    let measured = declared.and_then(|()| on(plan, &topology, interrupt));
    // A new connection, as an error may have closed the channel of the first.
    let deleted = Connection::open(&plan.workload.uri, "warren bench").and_then(|mut admin| {
        let deleted = topology.delete(&mut admin);
        admin.close();
        deleted
    });
    match deleted {
        // A broker that is gone is the failure of the measurement already.
        Ok(()) | Err(BenchError::Unreachable { .. }) => {}
        Err(error) => {
            let prefix = topology.prefix();
            eprintln!("warren bench: queues are left behind that begin with {prefix}: {error}");
        }
    }
    let measured = measured?;
    Ok(Measured { broker, ..measured })
}

/// The same with queues that are declared already.
pub(super) fn on(
    plan: &Plan,
    topology: &Topology,
    interrupt: &AtomicBool,
) -> Result<Measured, BenchError> {
    let broker_processes =
        match plan.workload.pid {
            Some(pid) => Some(ProcessTree::of(pid).map_err(|error| {
                BenchError::system(format!("looking at the process {pid}"), error)
            })?),
            None => None,
        };
    let _hold = Hold::begin(plan, topology)?;
    let connections = Connections::open(plan, topology, interrupt)?;
    let workload = &plan.workload;
    let workers = (workload.publishers + workload.consumers) as usize;
    let tallies: Vec<Tally> = (0..workers).map(|_| Tally::default()).collect();
    let links: Vec<Link> = (0..workload.publishers).map(|_| Link::new(workload.confirm)).collect();
    let board = Board::default();
    let jobs = jobs(plan, topology, connections, &links, &board, &tallies)?;

    thread::scope(|scope| {
        let mut threads = Vec::new();
        let started = start(scope, jobs, &board, &mut threads);
        let measured = started.and_then(|()| {
            let mut supervisor = Supervisor {
                plan,
                board: &board,
                tallies: &tallies,
                interrupt,
                broker_processes,
                memory: None,
                disk: None,
            };
            supervisor.watch()
        });
        board.stop();
        let mut latencies = Latencies::default();
        for thread in threads {
            match thread.join() {
                Ok(learnt) => latencies.add(learnt),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        measured.map(|measured| Measured { latencies, ..measured })
    })
}

/// All connections of the workers, in their order.
struct Connections {
    publishers: Vec<Connection>,
    consumers: Vec<Connection>,
}

impl Connections {
    fn open(plan: &Plan, topology: &Topology, interrupt: &AtomicBool) -> Result<Self, BenchError> {
        let go_on = || match interrupt.load(Ordering::Relaxed) {
            true => Err(BenchError::Interrupted),
            false => Ok(()),
        };
        let consumers = (0..plan.workload.consumers as usize)
            .map(|index| go_on().and_then(|()| consumer::connect(plan, topology, index)));
        let consumers = consumers.collect::<Result<_, _>>()?;
        let publishers = (0..plan.workload.publishers as usize)
            .map(|index| go_on().and_then(|()| publisher::connect(plan, index)));
        Ok(Self { consumers, publishers: publishers.collect::<Result<_, _>>()? })
    }
}

/// What one thread does.
type Job<'a> = Box<dyn FnOnce() -> Latencies + Send + 'a>;

fn jobs<'a>(
    plan: &Plan,
    topology: &Topology,
    connections: Connections,
    links: &'a [Link],
    board: &'a Board,
    tallies: &'a [Tally],
) -> Result<Vec<Job<'a>>, BenchError> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let (publishing, consuming) = tallies.split_at(connections.publishers.len());
    for (connection, tally) in connections.consumers.into_iter().zip(consuming) {
        if let Goal::Latency(time) = plan.goal {
            let stopwatch = Stopwatch::new(plan.warmup, plan.warmup + time);
            let consumer = Consumer::new(plan, connection, board, tally, stopwatch);
            jobs.push(Box::new(|| {
                let histogram = consumer.run().into_histogram();
                Latencies { delivery: Some(histogram), ..Latencies::default() }
            }));
        } else {
            let consumer = Consumer::new(plan, connection, board, tally, ());
            jobs.push(Box::new(|| {
                consumer.run();
                Latencies::default()
            }));
        }
    }
    for (index, connection) in connections.publishers.into_iter().enumerate() {
        let tally = &publishing[index];
        if let (Goal::Latency(time), Some(rate)) = (plan.goal, plan.rate) {
            let schedule = Schedule::new(rate, index, plan.workload.publishers);
            let (end, link, of_run) = (plan.warmup + time, &links[index], (board, tally));
            let who = (index, schedule);
            let sender = Sender::new(plan, topology, who, end, &connection, link, of_run)?;
            let listener = Listener::new(plan, schedule, end, connection, link, of_run);
            jobs.push(Box::new(|| sender.run()));
            jobs.push(Box::new(|| listener.run()));
        } else {
            let publisher = Publisher::new(plan, topology, index, connection, board, tally);
            jobs.push(Box::new(|| {
                publisher.run();
                Latencies::default()
            }));
        }
    }
    Ok(jobs)
}

/// Starts a thread for each job and waits until all have enrolled. They wait for the load to begin;
/// if one cannot be started, the others end at once.
fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    jobs: Vec<Job<'env>>,
    board: &Board,
    threads: &mut Vec<ScopedJoinHandle<'scope, Latencies>>,
) -> Result<(), BenchError> {
    let mut outcome = Ok(());
    for job in jobs {
        match thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, job) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                outcome = Err(BenchError::system("starting a thread", error));
                board.stop();
                board.epoch.get_or_init(Instant::now);
                break;
            }
        }
    }
    while outcome.is_ok() && board.threads().len() < threads.len() {
        thread::sleep(Duration::from_millis(1));
    }
    outcome
}

/// What was read at one time.
struct Reading {
    at: Instant,
    totals: Totals,
    cpu: Cpu,
    written: Option<u64>,
}

/// The thread that watches the others.
struct Supervisor<'a> {
    plan: &'a Plan,
    board: &'a Board,
    tallies: &'a [Tally],
    interrupt: &'a AtomicBool,
    broker_processes: Option<ProcessTree>,
    memory: Option<Levels>,
    disk: Option<Levels>,
}

impl Supervisor<'_> {
    /// Lets the load begin, and watches until there is nothing more to wait for.
    fn watch(&mut self) -> Result<Measured, BenchError> {
        let mut first = self.reading();
        let epoch = *self.board.epoch.get_or_init(Instant::now);
        let mut warm = self.plan.warmup.is_zero();
        let mut last = None;
        let mut interrupted_at = None;
        let mut progress = Progress::new(epoch, self.plan.is_quiet);
        let mut looked = epoch;
        loop {
            thread::sleep(TICK);
            let now = Instant::now();
            let totals = totals(self.tallies);
            if let Some(error) = self.board.failure() {
                return Err(error);
            }
            if interrupted_at.is_none() && self.interrupt.load(Ordering::Relaxed) {
                interrupted_at = Some(now);
                self.board.quiet.store(true, Ordering::Relaxed);
            }
            if now - looked >= LOOK_INTERVAL {
                looked = now;
                self.look();
            }
            if progress.tick(now, &totals, warm) {
                self.refresh_processes();
            }
            if last.is_none() {
                if !warm && now - epoch >= self.plan.warmup {
                    warm = true;
                    first = self.reading();
                }
                if interrupted_at.is_some() || self.is_measured(now - epoch, &totals) {
                    self.look();
                    last = Some(self.reading());
                }
            }
            if last.is_some() && self.is_over(now, interrupted_at, &totals) {
                break;
            }
            self.check_progress(&mut progress, now, &totals)?;
        }
        let last = last.expect("the loop ends only after the last reading");
        Ok(Measured {
            broker: String::new(),
            warmup: if warm { self.plan.warmup } else { Duration::ZERO },
            time: last.at - first.at,
            interrupted: interrupted_at.is_some(),
            totals: last.totals.since(&first.totals),
            cpu: last.cpu.since(&first.cpu),
            memory: self.memory,
            disk: self.disk,
            written: last.written.zip(first.written).map(|(to, from)| to.saturating_sub(from)),
            latencies: Latencies::default(),
        })
    }

    /// Whether the time or the number that is to be measured has been reached.
    fn is_measured(&self, elapsed: Duration, totals: &Totals) -> bool {
        match self.plan.goal {
            Goal::Duration(time) | Goal::Latency(time) => elapsed >= self.plan.warmup + time,
            Goal::Count(_) => self.all_arrived(totals),
        }
    }

    /// Whether, all measured, nothing is to be waited for any more. Only latencies wait: leaving
    /// out the last messages would leave out the slowest.
    fn is_over(&self, now: Instant, interrupted_at: Option<Instant>, totals: &Totals) -> bool {
        let patient = interrupted_at.is_none_or(|at| now - at < DRAIN_INTERRUPTED);
        match self.plan.goal {
            Goal::Latency(_) => !patient || self.all_arrived(totals),
            Goal::Duration(_) | Goal::Count(_) => true,
        }
    }

    /// Whether the publishers have finished and all they published was received and confirmed.
    fn all_arrived(&self, totals: &Totals) -> bool {
        let workload = &self.plan.workload;
        let answered = totals.confirmed + totals.refused;
        let published = totals.published;
        let copies = self.plan.copies();
        self.board.finished.load(Ordering::Relaxed) == workload.publishers as usize
            && (workload.confirm.is_none() || answered == published)
            && (workload.consumers == 0
                || totals.consumed >= published.saturating_sub(totals.refused) * copies)
    }

    /// An error if nothing has moved for too long.
    fn check_progress(
        &self,
        progress: &mut Progress,
        now: Instant,
        totals: &Totals,
    ) -> Result<(), BenchError> {
        // The last stage is what has to move: the others may go on for a while without it.
        let workload = &self.plan.workload;
        let moved = match (workload.consumers, workload.confirm) {
            (1.., _) => totals.consumed,
            (0, Some(_)) => totals.confirmed + totals.refused,
            (0, None) => totals.published,
        };
        if !progress.is_stalled(now, moved) {
            return Ok(());
        }
        let blocked = self.board.blocked().map(|reason| {
            format!(", and the broker has blocked publishing because it is '{reason}'")
        });
        Err(BenchError::Stalled {
            after: STALL,
            state: format!(
                "{} published, {} confirmed, {} refused, {} consumed{}",
                totals.published,
                totals.confirmed,
                totals.refused,
                totals.consumed,
                blocked.unwrap_or_default()
            ),
        })
    }

    fn reading(&mut self) -> Reading {
        self.refresh_processes();
        let threads = self.board.threads();
        let of_role = |wanted| {
            let of_role = threads.iter().filter(|(role, _)| *role == wanted);
            of_role.map(|(_, thread)| process::thread_cpu((*thread)?).ok()).sum()
        };
        Reading {
            cpu: Cpu {
                broker: self.broker_processes.as_ref().and_then(|tree| tree.cpu().ok()),
                publishers: of_role(Role::Publisher),
                consumers: of_role(Role::Consumer),
                bench: process::own_cpu().ok(),
            },
            written: self.broker_processes.as_ref().and_then(ProcessTree::written_bytes),
            totals: totals(self.tallies),
            at: Instant::now(),
        }
    }

    fn refresh_processes(&mut self) {
        if let Some(tree) = &mut self.broker_processes {
            // If it cannot be read now, the processes known so far stay.
            let _unreadable = tree.refresh();
        }
    }

    /// Looks at the broker's memory and at its data.
    fn look(&mut self) {
        if let Some(tree) = &self.broker_processes {
            self.memory = Some(Levels::seen(self.memory, tree.resident_bytes()));
        }
        // A directory that could be read at first can be so later, or is gone with all it took.
        if let Some(dir) = &self.plan.workload.dir
            && let Ok(now) = directory::disk_bytes(dir)
        {
            self.disk = Some(Levels::seen(self.disk, now));
        }
    }
}

impl Levels {
    fn seen(before: Option<Self>, now: u64) -> Self {
        Self { end: now, peak: before.map_or(now, |before| before.peak.max(now)) }
    }
}

impl Cpu {
    fn since(&self, earlier: &Self) -> Self {
        let between = |to: Option<Duration>, from| Some(to?.saturating_sub(from?));
        Self {
            broker: between(self.broker, earlier.broker),
            publishers: between(self.publishers, earlier.publishers),
            consumers: between(self.consumers, earlier.consumers),
            bench: between(self.bench, earlier.bench),
        }
    }
}

/// The line that is printed each second, and the check that there is something to say in it.
struct Progress {
    epoch: Instant,
    is_quiet: bool,
    printed_at: Instant,
    printed: Totals,
    moved_at: Instant,
    moved: u64,
}

impl Progress {
    fn new(epoch: Instant, is_quiet: bool) -> Self {
        let printed = Totals::default();
        Self { epoch, is_quiet, printed_at: epoch, printed, moved_at: epoch, moved: 0 }
    }

    /// Prints if it is time to, unless it is to be quiet; returns whether it was time.
    fn tick(&mut self, now: Instant, totals: &Totals, warm: bool) -> bool {
        let time = now - self.printed_at;
        if time < PROGRESS_INTERVAL {
            return false;
        }
        let done = totals.since(&self.printed);
        let per_s = |count: u64| count as f64 / time.as_secs_f64();
        (self.printed_at, self.printed) = (now, *totals);
        if self.is_quiet {
            return true;
        }
        eprintln!(
            "{:5.1} s  published {:>9.0}/s  confirmed {:>9.0}/s  consumed {:>9.0}/s{}",
            (now - self.epoch).as_secs_f64(),
            per_s(done.published),
            per_s(done.confirmed),
            per_s(done.consumed),
            if warm { "" } else { "  (warm-up)" },
        );
        true
    }

    /// Whether `moved` has been the same for too long.
    fn is_stalled(&mut self, now: Instant, moved: u64) -> bool {
        if moved != self.moved {
            (self.moved_at, self.moved) = (now, moved);
        }
        now - self.moved_at >= STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_stalled_only_after_ten_seconds_without_movement() {
        let epoch = Instant::now();
        let mut progress = Progress::new(epoch, false);
        assert!(!progress.is_stalled(epoch + Duration::from_secs(9), 0));
        assert!(!progress.is_stalled(epoch + Duration::from_millis(9_900), 1));
        assert!(!progress.is_stalled(epoch + Duration::from_millis(19_800), 1));
        assert!(progress.is_stalled(epoch + Duration::from_millis(19_900), 1));
    }

    #[test]
    fn cpu_time_that_was_not_read_at_both_ends_is_unknown() {
        let second = |seconds| Some(Duration::from_secs(seconds));
        let earlier = Cpu { broker: second(1), bench: second(5), ..Cpu::default() };
        let later = Cpu { broker: second(4), publishers: second(2), ..Cpu::default() };
        assert_eq!(later.since(&earlier), Cpu { broker: second(3), ..Cpu::default() });
    }
}
