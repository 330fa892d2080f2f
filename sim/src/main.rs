//! `warren-sim`: plays seeds and plans, and says how to play a failure again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use warren_sim::plan::{self, Plan};
use warren_sim::run::{Options, Outcome, play};

mod report;

/// One seed of this many is played in a second process, whose hash must be the same.
const DETERMINISM_EVERY: u64 = 100;

/// The broker in a simulated world.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draw plans from seeds and play them.
    Run {
        #[command(flatten)]
        seeds: Seeds,
        /// How many threads play seeds.
        #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
        jobs: usize,
        /// Print the hash of the run and nothing else.
        #[arg(long, hide = true)]
        hash: bool,
    },
    /// Play a plan once more.
    Replay {
        /// A file with a plan, or a seed.
        plan: Option<String>,
        /// Draw the plan from this seed.
        #[arg(long, conflicts_with = "plan")]
        seed: Option<u64>,
        /// Print everything that happens.
        #[arg(long)]
        trace: bool,
    },
    /// Print the plan of a seed.
    Plan {
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Seeds {
    /// Play one seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Play the seeds from A up to, not including, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<(u64, u64)>,
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("a range looks like 0..1000")?;
    let parse = |number: &str| number.parse().map_err(|_| format!("{number:?} is no seed"));
    let (from, to) = (parse(from)?, parse(to)?);
    if from < to { Ok((from, to)) } else { Err(format!("there is no seed in {text}")) }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Plan { seed } => {
            print!("{}", plan::draw(seed));
            ExitCode::SUCCESS
        }
        Command::Replay { plan, seed, trace } => replay(plan, seed, trace),
        Command::Run { seeds: Seeds { seed: Some(seed), .. }, hash, .. } => {
            let outcome = play(&plan::draw(seed), Options::default());
            if hash {
                println!("{:016x}", outcome.hash);
                return ExitCode::SUCCESS;
            }
            finish_one(&format!("seed {seed}"), Some(seed), &plan::draw(seed), &outcome)
        }
        Command::Run { seeds, jobs, .. } => {
            let (from, to) = seeds.seeds.unwrap_or_default();
            run_many(from, to, jobs.max(1))
        }
    }
}

fn replay(plan: Option<String>, seed: Option<u64>, trace: bool) -> ExitCode {
    let seed = seed.or_else(|| plan.as_ref()?.parse().ok());
    let (name, plan) = match (seed, plan) {
        (Some(seed), _) => (format!("seed {seed}"), plan::draw(seed)),
        (None, Some(path)) => match read_plan(Path::new(&path)) {
            Ok(plan) => (path, plan),
            Err(error) => {
                eprintln!("warren-sim: {path}: {error}");
                return ExitCode::from(2);
            }
        },
        (None, None) => {
            eprintln!("warren-sim: replay takes a plan's file or a seed");
            return ExitCode::from(2);
        }
    };
    let outcome = play(&plan, Options { keeps_trace: trace, tamper: None });
    outcome.trace.iter().for_each(|line| println!("{line}"));
    finish_one(&name, seed, &plan, &outcome)
}

fn read_plan(path: &Path) -> Result<Plan, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: plan::PlanError| error.to_string())
}

fn finish_one(name: &str, seed: Option<u64>, plan: &Plan, outcome: &Outcome) -> ExitCode {
    if outcome.failure.is_some() {
        println!("{}", report::failure(name, seed, plan));
        return ExitCode::FAILURE;
    }
    println!("{name}: {}", report::success(outcome));
    ExitCode::SUCCESS
}

/// What the threads that play seeds share.
struct Shared {
    next: AtomicU64,
    totals: Mutex<report::Totals>,
}

fn run_many(from: u64, to: u64, jobs: usize) -> ExitCode {
    let started = Instant::now();
    let shared = Shared { next: AtomicU64::new(from), totals: Mutex::default() };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(|| work(&shared, to))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(200));
            let totals = shared.totals.lock().expect("no thread panics with the totals");
            report::progress(&totals, to.saturating_sub(from), started.elapsed());
        }
    });
    let totals = shared.totals.into_inner().expect("no thread panics with the totals");
    eprintln!();
    println!("{}", totals.summary(started.elapsed()));
    if totals.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(shared: &Shared, to: u64) {
    loop {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= to {
            return;
        }
        let plan = plan::draw(seed);
        let started = Instant::now();
        let played = std::panic::catch_unwind(|| play(&plan, Options::default()));
        let mut report = None;
        let outcome = match played {
            Ok(outcome) => {
                if outcome.failure.is_some() {
                    report = Some(report::failure(&format!("seed {seed}"), Some(seed), &plan));
                } else if seed.is_multiple_of(DETERMINISM_EVERY) {
                    report = check_determinism(seed, outcome.hash);
                }
                Some(outcome)
            }
            Err(_) => {
                let text = "panic: see the message above";
                report = Some(report::failed(&format!("seed {seed}"), Some(seed), &plan, text));
                None
            }
        };
        let mut totals = shared.totals.lock().expect("no thread panics with the totals");
        totals.add(seed, outcome.as_ref(), started.elapsed(), report);
    }
}

/// Plays the seed in another process: the same plan must give the same hash.
fn check_determinism(seed: u64, hash: u64) -> Option<String> {
    let binary: PathBuf = std::env::current_exe().ok()?;
    let seed = seed.to_string();
    let mut again = std::process::Command::new(binary);
    let other = again.args(["run", "--seed", &seed, "--hash"]).output().ok()?;
    let other = String::from_utf8_lossy(&other.stdout).trim().to_owned();
    let this = format!("{hash:016x}");
    (this != other).then(|| {
        format!("determinism: seed {seed} hashes to {this} here and to {other} in another process")
    })
}
