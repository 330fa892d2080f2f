//! What a person reads: progress, the summary, and failures with all that is needed to play them
//! again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use warren_sim::plan::Plan;
use warren_sim::run::{Options, Outcome, play};

/// How much of the trace is shown with a failure.
const LINES_SHOWN: usize = 40;
/// How many failures are shown in full; the others are counted.
const FAILURES_SHOWN: usize = 3;

/// What all runs came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    seeds: u64,
    simulated_ns: u64,
    operations: u64,
    faults: BTreeMap<&'static str, u64>,
    slowest: (Duration, u64),
    times: Vec<Duration>,
    /// By seed.
    pub(crate) failures: BTreeMap<u64, String>,
}

impl Totals {
    /// Adds a run; there is no outcome if it panicked.
    pub(crate) fn add(
        &mut self,
        seed: u64,
        outcome: Option<&Outcome>,
        time: Duration,
        failure: Option<String>,
    ) {
        self.seeds += 1;
        self.slowest = self.slowest.max((time, seed));
        self.times.push(time);
        if let Some(outcome) = outcome {
            self.simulated_ns += outcome.simulated_ns;
            self.operations += outcome.operations;
            for (fault, count) in &outcome.faults {
                *self.faults.entry(fault).or_default() += count;
            }
        }
        self.failures.extend(failure.map(|failure| (seed, failure)));
    }

    fn simulated_hours(&self) -> f64 {
        Duration::from_nanos(self.simulated_ns).as_secs_f64() / 3600.0
    }

    /// Everything in one screen, behind the first failures.
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let mut text = String::new();
        for failure in self.failures.values().take(FAILURES_SHOWN) {
            let _ = writeln!(text, "{failure}\n");
        }
        let mut times = self.times.clone();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let seconds = elapsed.as_secs_f64();
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        let _ = writeln!(text, "seeds       {} in {seconds:.1} s", self.seeds);
        let _ = writeln!(text, "simulated   {:.2} hours", self.simulated_hours());
        let _ = writeln!(
            text,
            "operations  {} ({:.0} per second)",
            self.operations,
            self.operations as f64 / seconds
        );
        let _ = writeln!(text, "faults      {}", faults.join(", "));
        let _ = writeln!(
            text,
            "a run       median {} ms, slowest {} ms (seed {})",
            median.as_millis(),
            self.slowest.0.as_millis(),
            self.slowest.1
        );
        let seeds: Vec<String> = self.failures.keys().take(12).map(u64::to_string).collect();
        let _ = match seeds.is_empty() {
            true => write!(text, "failures    none"),
            false => write!(text, "failures    {}: seeds {}", self.failures.len(), seeds.join(" ")),
        };
        text
    }
}

/// Rewrites the line of progress.
pub(crate) fn progress(totals: &Totals, seeds: u64, elapsed: Duration) {
    eprint!(
        "\r{} of {seeds} seeds, {:.0} per second, {:.2} simulated hours, {} failures ",
        totals.seeds,
        totals.seeds as f64 / elapsed.as_secs_f64(),
        totals.simulated_hours(),
        totals.failures.len()
    );
}

/// One line about a run in which all went well.
pub(crate) fn success(outcome: &Outcome) -> String {
    let faults: u64 = outcome.faults.values().sum();
    format!(
        "passed; {} operations, {faults} faults, {:.1} simulated seconds, hash {:016x}",
        outcome.operations,
        Duration::from_nanos(outcome.simulated_ns).as_secs_f64(),
        outcome.hash
    )
}

/// All about a failed run: it is played once more, for its trace.
pub(crate) fn failure(name: &str, seed: Option<u64>, plan: &Plan) -> String {
    let outcome = play(plan, Options { keeps_trace: true, tamper: None });
    let Some(failure) = &outcome.failure else {
        let text = "determinism: the run failed, and passed when it was played again";
        return failed(name, seed, plan, text);
    };
    let mut text = String::new();
    let first = outcome.trace.len().saturating_sub(LINES_SHOWN);
    for line in &outcome.trace[first..] {
        let _ = writeln!(text, "{line}");
    }
    if let Some(message) = &failure.message {
        let _ = writeln!(text, "\nthe life of {message}:");
        let is_about = |line: &&String| line.split([' ', ',']).any(|word| word == message);
        for line in outcome.trace.iter().filter(is_about) {
            let _ = writeln!(text, "{line}");
        }
    }
    let _ = write!(text, "\n{failure} (phase {})", outcome.phase);
    failed(name, seed, plan, &text)
}

/// A failure with what is needed to play it again.
pub(crate) fn failed(name: &str, seed: Option<u64>, plan: &Plan, text: &str) -> String {
    let again = "cargo run --release -p warren-sim -- replay";
    let file = save(name, plan);
    let replay = match (seed, &file) {
        (Some(seed), _) => format!("{again} --seed {seed} --trace"),
        (None, Ok(path)) => format!("{again} {} --trace", path.display()),
        (None, Err(_)) => format!("{again} FILE --trace"),
    };
    let file = file.map_or_else(|error| error.to_string(), |path| path.display().to_string());
    let commit = commit();
    format!(
        "{text}\n\nfailed      {name}\ncommit      {commit}\nplan        {file}\n\
         replay      {replay}"
    )
}

/// What is checked out, as far as git knows.
fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let said = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let name = said.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// Keeps the plan as a file, below the build's own folder if there is one.
fn save(name: &str, plan: &Plan) -> std::io::Result<PathBuf> {
    let target = PathBuf::from("target");
    let folder = if target.is_dir() { target } else { std::env::temp_dir() };
    let folder = folder.join("sim");
    std::fs::create_dir_all(&folder)?;
    let stem = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".plan");
    let path = folder.join(format!("{}.plan", stem.replace(' ', "-")));
    std::fs::write(&path, plan.to_string())?;
    Ok(path)
}
