//! The command line: what can be said, and how it is explained.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use warren_core::Mark;
use warren_sim::world::Fault;

use crate::player::Player;

const EXAMPLES: &str = "\
Examples:
  warren-sim run --seeds 0..1000            play a thousand seeds, shrink what fails
  warren-sim run --seed 42                  play one seed; if it fails, say why
  warren-sim replay --seed 42 --trace       the same run again, with all that happens
  warren-sim replay FILE --html run.html    the same as a page for the browser
  warren-sim shrink target/sim/seed-42.plan take away what the failure does not need
  warren-sim replay DIR                     what `warren serve --record DIR` recorded
  warren-sim coverage --seeds 0..1000       which branches of the broker they reach
  warren-sim exhaustive sim/corpus/exhaustive
                                            crash at every request to the disk, cut every
                                            stream at every byte
  warren-sim mutants                        would it find known bugs, and how soon
  warren-sim speed                          operations per second, with all checkers on

A failure is kept as a plan under target/sim/, and comes with the command that replays it.
What a plan can say, and what is checked: sim/README.md.";

const RUN_EXAMPLES: &str = "\
Examples:
  warren-sim run --seed 42
  warren-sim run --seeds 0..1000 --jobs 2
  warren-sim run --seeds 0..100000 --shrink-time 0s    do not shrink, just count
  warren-sim run --seeds 0..1000 --json > report.json  progress goes to the error stream";

const REPLAY_EXAMPLES: &str = "\
Examples:
  warren-sim replay --seed 42 --trace
  warren-sim replay target/sim/seed-42-shrunk.plan --trace
  warren-sim replay sim/corpus/crash.plan --html crash.html
  warren-sim replay --seed 2 --break swap-deliveries   what a failure looks like

  warren serve --record DIR                            records what goes into a broker
  warren-sim replay DIR                                does the same to the core, and checks it
  warren-sim replay DIR --plan run.plan                makes a plan of it, to play and to shrink";

const SHRINK_EXAMPLES: &str = "\
Examples:
  warren-sim shrink --seed 42
  warren-sim shrink target/sim/seed-42.plan --shrink-time 5m
  warren-sim shrink --seed 42 --reaching torn-tail-cut   what it takes to come there";

const COVERAGE_EXAMPLES: &str = "\
Examples:
  warren-sim coverage                               the seeds 0..1000
  warren-sim coverage --seeds 0..10000 --jobs 2
  warren-sim coverage --check                       fails if a common mark is not reached

The plan that shows how a mark is reached: sim/corpus/marks/NAME.plan.";

const EXHAUSTIVE_EXAMPLES: &str = "\
Examples:
  warren-sim exhaustive sim/corpus/exhaustive                      every plan of a folder
  warren-sim exhaustive sim/corpus/exhaustive/acks.plan --seeds-per-point 20
  warren-sim exhaustive my.plan --only splits
  warren-sim exhaustive my.plan --sample 500                       500 cases, evenly spread";

const MUTANTS_EXAMPLES: &str = "\
Examples:
  warren-sim mutants                         all of them, an hour or so; from the project's root
  warren-sim mutants --only requeue          those with this in their name
  warren-sim mutants --check                 do they fit, and stand in the table?";

/// The broker in a simulated world: plays what can go wrong, and checks every step.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Draw plans from seeds and play them.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Play a plan, or a recording of a broker in production, once more.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Replay),
    /// Make a plan as small as it can while the same checker fails, or while it reaches a mark.
    #[command(after_help = SHRINK_EXAMPLES)]
    Shrink(Shrink),
    /// Play drawn plans and say which branches of the broker they reach.
    #[command(after_help = COVERAGE_EXAMPLES)]
    Coverage(Coverage),
    /// Crash a small plan at every request to the disk, and cut its streams at every byte.
    #[command(after_help = EXHAUSTIVE_EXAMPLES)]
    Exhaustive(Exhaustive),
    /// Break the core in known ways, one at a time, and see how soon that is found.
    #[command(after_help = MUTANTS_EXAMPLES)]
    Mutants(Mutants),
    /// Measure how fast the simulator is, on one core and with all checkers on.
    Speed(Speed),
    /// Play seeds until one fails, and print it.
    #[command(hide = true)]
    Hunt(Hunt),
    /// Print the plan of a seed.
    Plan {
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    /// How long a failure may be shrunk [default: 20s; of a range 5s, and the first three only].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) shrink_time: Option<Duration>,
    /// Print one object of JSON in place of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fail if a mark of class common is not reached, or one that never should be is.
    #[arg(long)]
    pub(crate) check_marks: bool,
    #[command(flatten)]
    pub(crate) broken: Broken,
    /// Print the hash of the run and nothing else.
    #[arg(long, hide = true)]
    pub(crate) hash: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Seeds {
    /// Play one seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Play the seeds from A up to, not including, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub(crate) seeds: Option<(u64, u64)>,
}

#[derive(Args)]
pub(crate) struct Jobs {
    /// How many threads play [default: one for each processor].
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
}

impl Jobs {
    /// How many threads play; at least one.
    pub(crate) fn count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(all).max(1)
    }
}

#[derive(Args)]
pub(crate) struct Broken {
    /// Break something on purpose, to see what a failure looks like and whether it is found.
    #[arg(long = "break", value_name = "FAULT", hide_possible_values = true)]
    fault: Option<Fault>,
}

impl Broken {
    /// How plans are to be played.
    pub(crate) fn player(&self) -> Player {
        Player { broken: self.fault }
    }
}

#[derive(Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print everything that happens.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Write everything that happens as a page for the browser; it needs nothing but itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the plan, or the one that the recording makes, to this file.
    #[arg(long = "plan", value_name = "FILE")]
    pub(crate) plan_file: Option<PathBuf>,
    /// Print one object of JSON in place of text; with --trace everything that happens is in it.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) broken: Broken,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// A file with a plan, or a seed; `replay` takes a recording too, or a directory of them, of
    /// which it takes the newest.
    #[arg(value_name = "PLAN|SEED")]
    pub(crate) plan: Option<String>,
    /// Draw the plan from this seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How long it may take.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "60s")]
    pub(crate) shrink_time: Duration,
    /// Shrink a plan that passes, while its steps reach this mark; `coverage` lists them.
    #[arg(long, value_name = "MARK", value_parser = parse_mark)]
    pub(crate) reaching: Option<Mark>,
    #[command(flatten)]
    pub(crate) broken: Broken,
}

#[derive(Args)]
pub(crate) struct Coverage {
    /// Play the seeds from A up to, not including, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range, default_value = "0..1000")]
    pub(crate) seeds: (u64, u64),
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    /// Fail if a mark of class common is not reached, or one that never should be is.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print one object of JSON in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Exhaustive {
    /// Files with plans, or folders of them.
    #[arg(required = true, value_name = "PLAN")]
    pub(crate) plans: Vec<PathBuf>,
    /// Try only one kind of trouble.
    #[arg(long, value_name = "KIND")]
    pub(crate) only: Option<Only>,
    /// In how many ways the process and the power end at one point.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) seeds_per_point: u64,
    /// Play about so many cases of each plan, evenly spread, and not all.
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    /// How long a failure may be shrunk; only the first three are.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5s")]
    pub(crate) shrink_time: Duration,
    /// Print one object of JSON in place of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) broken: Broken,
}

#[derive(Args)]
pub(crate) struct Mutants {
    /// Only those whose file's name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// How many seeds are played before a mutant counts as survivor.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) seeds: u64,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    /// Only see whether each can be applied to the sources as they are.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args)]
pub(crate) struct Speed {
    /// How often the dense plan is played.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long the dense plan is: so many times 41 operations.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub(crate) length: u64,
    /// Then play the seeds from A up to, not including, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range, default_value = "0..300")]
    pub(crate) seeds: (u64, u64),
    /// Print one object of JSON in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a mutant's simulator is asked to do.
#[derive(Args)]
pub(crate) struct Hunt {
    /// The first seed.
    #[arg(long)]
    pub(crate) from: u64,
    /// The seed before which to end.
    #[arg(long)]
    pub(crate) to: u64,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Only {
    /// The process ends, or the power fails.
    Crashes,
    /// The same, and once more in the recovery that follows.
    Recoveries,
    /// Streams are cut in two.
    Splits,
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("a range looks like 0..1000")?;
    let parse = |number: &str| number.parse().map_err(|_| format!("{number:?} is no seed"));
    let (from, to) = (parse(from)?, parse(to)?);
    if from < to { Ok((from, to)) } else { Err(format!("there is no seed in {text}")) }
}

fn parse_mark(text: &str) -> Result<Mark, String> {
    let found = Mark::ALL.into_iter().find(|mark| mark.name() == text);
    found.ok_or_else(|| format!("there is no mark {text:?}; `warren-sim coverage` lists them"))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; one looks like 500ms, 20s or 5m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "5", "s", "5h", "-5s", "99999999999999999999s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn marks_have_names() {
        assert_eq!(parse_mark("torn-tail-cut"), Ok(Mark::TornTailCut));
        assert!(parse_mark("TornTailCut").is_err());
    }

    #[test]
    fn ranges_hold_a_seed() {
        assert_eq!(parse_range("3..5"), Ok((3, 5)));
        assert!(parse_range("5..5").is_err() && parse_range("5").is_err());
    }
}
