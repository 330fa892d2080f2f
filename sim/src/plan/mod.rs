//! A plan: everything that happens in a run, as a list of steps that replays without a seed.
//!
//! Owns the plan's text form. Reading what was written gives the same plan; a plan that cannot be
//! read names its line.

mod dense;
mod draw;
mod setup;
mod step;

use std::fmt;
use std::str::FromStr;

pub use dense::dense;
pub use draw::draw;
pub use setup::Setup;
pub use step::{Step, Who};

/// Everything that happens in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Limits.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// Why a plan could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the plan: {}", self.line, self.text)
    }
}

impl std::error::Error for PlanError {}

/// Blank lines and what follows a `#` at the start of a line are passed over. Limits that are not
/// named are as usual.
impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut plan = Self { setup: Setup::default(), steps: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            let fail = |text: String| PlanError { line: at + 1, text };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(limits) = line.strip_prefix("setup") {
                for pair in limits.split_whitespace() {
                    let set = pair.split_once('=').and_then(|(k, v)| plan.setup.set(k, v));
                    set.ok_or_else(|| fail(format!("no such limit or value: {pair}")))?;
                }
            } else {
                plan.steps.push(line.parse().map_err(fail)?);
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_plan_reads_as_it_was_written() {
        for seed in 0..50 {
            let plan = draw(seed);
            assert_eq!(plan.to_string().parse(), Ok(plan), "seed {seed}");
        }
    }

    #[test]
    fn a_plan_that_cannot_be_read_names_its_line() {
        let read = "# a comment\n\nc1 connect\nc1/1 dance\n".parse::<Plan>();
        assert_eq!(read.unwrap_err().line, 4);
        let read = "setup batch_max=0\n".parse::<Plan>();
        assert_eq!(read.unwrap_err().line, 1);
    }

    #[test]
    fn the_same_seed_draws_the_same_plan() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
