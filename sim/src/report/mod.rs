//! What a person or a machine reads: progress, summaries, and failures with all that is needed to
//! play them again.

mod coverage;
mod failed;
mod kept;
mod progress;
mod totals;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use warren_sim::run::Outcome;

pub(crate) use failed::Failed;
pub(crate) use kept::commit;
pub(crate) use progress::Progress;
pub(crate) use totals::Totals;

/// What is broken.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();

/// Where a plan comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// It was drawn.
    Seed(u64),
    /// It was read.
    File(PathBuf),
    /// It was made from the plan in a file; the name of the case.
    Case(PathBuf, String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Case(path, case) => write!(f, "{}: {case}", path.display()),
        }
    }
}

/// One line about a run in which all went well.
pub(crate) fn passed(name: &Name, outcome: &Outcome) -> String {
    let faults: u64 = outcome.faults.values().sum();
    format!(
        "{name}: {GOOD}passed{GOOD:#}; {} operations, {faults} faults, {:.1} simulated seconds, \
         hash {:016x}",
        outcome.operations,
        seconds(outcome.simulated_ns),
        outcome.hash
    )
}

/// A run as a machine reads it, but for its failure and its trace.
pub(crate) fn json_of(name: &Name, outcome: &Outcome) -> Map<String, Value> {
    let phases = outcome.course.phases.iter().map(|phase| {
        json!({
            "name": phase.name,
            "simulated_s": seconds(phase.simulated_ns),
            "operations": phase.operations,
        })
    });
    fields(json!({
        "name": name.to_string(),
        "commit": commit(),
        "passed": outcome.failure.is_none(),
        "hash": format!("{:016x}", outcome.hash),
        "simulated_s": seconds(outcome.simulated_ns),
        "operations": outcome.operations,
        "faults": outcome.faults,
        "phases": phases.collect::<Vec<_>>(),
    }))
}

/// The fields of an object, to which others are added.
pub(crate) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
