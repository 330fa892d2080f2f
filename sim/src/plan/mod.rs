//! A plan: everything that happens in a run, as a list of steps that replays without a seed.
//!
//! Owns the plan's text form. Reading what was written gives the same plan; a plan that cannot be
//! read names its line.

mod draw;
mod step;

use std::fmt;
use std::str::FromStr;

pub use draw::draw;
pub use step::{Step, Who};

/// What holds for the whole run: the broker's limits, and how its host deals with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The broker's `Boot::seed`.
    pub boot_seed: u64,
    /// The most channels on a connection.
    pub channel_max: u16,
    /// The largest frame, in bytes.
    pub frame_max: u32,
    /// The heartbeat that is offered, in seconds.
    pub heartbeat_s: u64,
    /// The largest body, in bytes.
    pub message_size_max: u64,
    /// How many bytes may wait for one client.
    pub egress_len_max: usize,
    /// How many inputs the host gives to the broker before it asks for outputs.
    pub batch_max: usize,
    /// How many bytes the host reads from a connection at once.
    pub read_len_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            boot_seed: 1,
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat_s: 60,
            message_size_max: 16 << 20,
            egress_len_max: 1 << 20,
            batch_max: 1,
            read_len_max: 64 << 10,
        }
    }
}

/// Everything that happens in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Limits.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Setup {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "boot_seed" => self.boot_seed = value.parse().ok()?,
            "channel_max" => self.channel_max = value.parse().ok()?,
            "frame_max" => self.frame_max = value.parse().ok()?,
            "heartbeat_s" => self.heartbeat_s = value.parse().ok()?,
            "message_size_max" => self.message_size_max = value.parse().ok()?,
            "egress_len_max" => self.egress_len_max = value.parse().ok()?,
            "batch_max" => self.batch_max = value.parse().ok().filter(|max| *max > 0)?,
            "read_len_max" => self.read_len_max = value.parse().ok().filter(|max| *max > 0)?,
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "setup boot_seed={} channel_max={} frame_max={} heartbeat_s={} message_size_max={} \
             egress_len_max={} batch_max={} read_len_max={}",
            self.boot_seed,
            self.channel_max,
            self.frame_max,
            self.heartbeat_s,
            self.message_size_max,
            self.egress_len_max,
            self.batch_max,
            self.read_len_max,
        )
    }
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
/// named are the broker's defaults.
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
            if let Some(limits) = line.strip_prefix("setup ") {
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
