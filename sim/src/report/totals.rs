//! What many runs came to, on one screen.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use warren_sim::run::Outcome;
use warren_sim::tally;

use super::coverage::Coverage;
use super::{BAD, Failed, GOOD, fields, grouped, seconds};

/// How many failures are shown in full; the others are named.
const FAILURES_SHOWN: usize = 3;
/// How many of the failures of one checker are named.
const NAMES_SHOWN: usize = 8;
/// How wide a list may be, in characters.
const WIDTH: usize = 100;

/// What all runs came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Whether their plans were drawn, so that sooner or later each fault is among them.
    is_drawn: bool,
    /// How many there were.
    pub(crate) runs: u64,
    simulated_ns: u64,
    /// Methods that clients sent and the broker handled.
    pub(crate) operations: u64,
    faults: BTreeMap<&'static str, u64>,
    phases: Vec<Phase>,
    slowest: (Duration, String),
    times: Vec<Duration>,
    /// Which marks were reached, if seeds were played.
    pub(crate) coverage: Coverage,
    /// In the order in which they were found, until somebody sorts them.
    pub(crate) failures: Vec<Failed>,
}

/// What one phase of all runs came to.
#[derive(Debug)]
struct Phase {
    name: &'static str,
    simulated_ns: u64,
    operations: u64,
    failures: u64,
}

impl Totals {
    /// Of runs whose plans are drawn.
    pub(crate) fn of_drawn() -> Self {
        Self { is_drawn: true, ..Self::default() }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, name: &dyn ToString, outcome: &Outcome, time: Duration) {
        self.runs += 1;
        if time >= self.slowest.0 {
            self.slowest = (time, name.to_string());
        }
        self.times.push(time);
        self.simulated_ns += outcome.simulated_ns;
        self.operations += outcome.operations;
        for (fault, count) in &outcome.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for phase in &outcome.course.phases {
            let total = self.phase(phase.name);
            total.simulated_ns += phase.simulated_ns;
            total.operations += phase.operations;
        }
        if outcome.failure.is_some() {
            self.phase(outcome.phase).failures += 1;
        }
    }

    fn phase(&mut self, name: &'static str) -> &mut Phase {
        let found = self.phases.iter().position(|phase| phase.name == name);
        let at = found.unwrap_or(self.phases.len());
        if found.is_none() {
            self.phases.push(Phase { name, simulated_ns: 0, operations: 0, failures: 0 });
        }
        &mut self.phases[at]
    }

    /// What the line of progress says.
    pub(crate) fn progress(&self, elapsed: Duration) -> String {
        let rate = self.runs as f64 / elapsed.as_secs_f64().max(1e-9);
        let hours = seconds(self.simulated_ns) / 3600.0;
        let failures = match self.failures.len() {
            0 => "no failures".to_owned(),
            count => format!("{BAD}{count} failed{BAD:#}"),
        };
        format!("{rate:.0} runs/s, {hours:.2} h simulated, {failures}")
    }

    /// The first failures, each with all about it.
    pub(crate) fn first_failures(&self) -> String {
        let first = self.failures.iter().take(FAILURES_SHOWN);
        first.map(|failed| format!("{failed}\n")).collect()
    }

    /// Everything on one screen.
    pub(crate) fn summary(&self, title: &str, elapsed: Duration) -> String {
        let took = elapsed.as_secs_f64().max(1e-9);
        let simulated = seconds(self.simulated_ns);
        let median = self.median().as_secs_f64() * 1e3;
        let (slowest, name) = (self.slowest.0.as_secs_f64() * 1e3, &self.slowest.1);
        let mut text = format!(
            "{title:<12}{} in {took:.1} s ({:.0} per second), median {median:.0} ms, slowest \
             {slowest:.0} ms ({name})\n\
             simulated   {:.2} hours, {:.0} times as fast as life\n\
             operations  {} ({} per second)\n",
            grouped(self.runs),
            self.runs as f64 / took,
            simulated / 3600.0,
            simulated / took,
            grouped(self.operations),
            grouped((self.operations as f64 / took) as u64),
        );
        self.write_phases(&mut text);
        self.write_faults(&mut text);
        if self.is_drawn {
            text += &self.missing();
        }
        if !self.coverage.is_empty() {
            let _ = writeln!(text, "\nmarks       {}", self.coverage.line());
        }
        self.write_failures(&mut text);
        text
    }

    fn write_phases(&self, text: &mut String) {
        let _ = writeln!(text, "\nphase           simulated      operations  failures");
        for Phase { name, simulated_ns, operations, failures } in &self.phases {
            let (minutes, operations) = (seconds(*simulated_ns) / 60.0, grouped(*operations));
            let failures = if *failures == 0 { String::new() } else { failures.to_string() };
            let line = format!("{name:<10} {minutes:>10.1} min {operations:>15} {failures:>9}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }

    /// What befell the broker, and what it made of it.
    fn write_faults(&self, text: &mut String) {
        let count = |class: &&str| self.faults.get(class).copied().unwrap_or_default();
        let faults = tally::CLASSES.iter().filter(|(group, _)| *group != tally::ANSWERS);
        let total = faults.flat_map(|(_, classes)| *classes).map(count).sum();
        let _ = writeln!(text, "\nfaults      {}", grouped(total));
        for (group, classes) in tally::CLASSES {
            let there = classes.iter().filter(|class| count(class) > 0);
            let there = there.map(|class| format!("{class} {}", grouped(count(class))));
            write_list(text, group, there);
        }
    }

    /// The classes of faults of which there were none.
    fn missing(&self) -> String {
        let mut text = String::new();
        let faults = tally::CLASSES.iter().filter(|(group, _)| *group != tally::ANSWERS);
        let classes = faults.flat_map(|(_, classes)| *classes).copied();
        let missing = classes.filter(|class| !self.faults.contains_key(class));
        write_list(&mut text, "never", missing.map(str::to_owned));
        text
    }

    fn write_failures(&self, text: &mut String) {
        if self.failures.is_empty() {
            let _ = write!(text, "\nfailures    {GOOD}none{GOOD:#}");
            return;
        }
        let _ = write!(text, "\nfailures    {BAD}{}{BAD:#}", self.failures.len());
        let mut by_checker = BTreeMap::<&str, Vec<&Failed>>::new();
        for failed in &self.failures {
            by_checker.entry(failed.failure.checker).or_default().push(failed);
        }
        for (checker, failures) in by_checker {
            let names = failures.iter().take(NAMES_SHOWN).map(|failed| failed.name.to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            let more = if failures.len() > NAMES_SHOWN { ", …" } else { "" };
            let _ = write!(text, "\n  {checker:<17} {:>6}  {names}{more}", failures.len());
        }
    }

    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// The same for a machine.
    pub(crate) fn json(&self, elapsed: Duration) -> Map<String, Value> {
        let took = elapsed.as_secs_f64();
        let phases = self.phases.iter().map(|phase| {
            json!({
                "name": phase.name,
                "simulated_s": seconds(phase.simulated_ns),
                "operations": phase.operations,
                "failures": phase.failures,
            })
        });
        fields(json!({
            "commit": super::commit(),
            "passed": self.failures.is_empty(),
            "runs": self.runs,
            "elapsed_s": took,
            "simulated_s": seconds(self.simulated_ns),
            "operations": self.operations,
            "operations_per_s": self.operations as f64 / took.max(1e-9),
            "median_ms": self.median().as_secs_f64() * 1e3,
            "slowest": { "name": self.slowest.1, "ms": self.slowest.0.as_secs_f64() * 1e3 },
            "phases": phases.collect::<Vec<_>>(),
            "faults": self.faults,
            "coverage": self.coverage.json(),
            "failures": self.failures.iter().map(Failed::json).collect::<Vec<_>>(),
        }))
    }
}

/// Writes a list under its name, in as many lines as it takes; nothing if there is nothing in it.
fn write_list(text: &mut String, name: &str, items: impl Iterator<Item = String>) {
    let mut line = format!("  {name:<9}");
    let empty = line.len();
    for item in items {
        if line.len() + item.len() + 2 > WIDTH {
            let _ = writeln!(text, "{line},");
            line = " ".repeat(empty);
        }
        line += if line.len() == empty { " " } else { ", " };
        line += &item;
    }
    if line.len() > empty {
        let _ = writeln!(text, "{line}");
    }
}
