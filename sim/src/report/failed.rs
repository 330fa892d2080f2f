//! All about a failed run: what was broken, how it came about, and how to play it again.

use std::fmt;

use serde_json::{Value, json};
use warren_sim::checkers::{Failure, determinism};
use warren_sim::plan::Plan;
use warren_sim::run::Outcome;
use warren_sim::shrink::Shrunk;
use warren_sim::trace::Line;

use super::kept::{self, Kept, commit};
use super::{BAD, Name, STRONG};
use crate::player::Player;

/// How much of the trace is shown with a failure.
const LINES_SHOWN: usize = 40;
/// A plan with at most so many steps is shown as a whole.
const STEPS_SHOWN: usize = 40;

/// A run that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) name: Name,
    pub(crate) failure: Failure,
    /// Where the run ended, in words.
    place: String,
    phase: &'static str,
    /// The end of the trace, of the smallest plan.
    trace: Vec<Line>,
    /// What befell the message that the failure is about.
    life: Vec<Line>,
    /// The plan as it failed first.
    pub(crate) plan: Plan,
    /// How it was played.
    pub(crate) player: Player,
    kept: Kept,
    shrunk: Option<Smaller>,
}

/// A plan that was shrunk, and where it is kept.
#[derive(Clone, Debug)]
struct Smaller {
    kept: Kept,
    shrunk: Shrunk,
}

impl Failed {
    /// A plan that failed with this; it is played once more, for its trace.
    pub(crate) fn new(name: Name, plan: &Plan, failure: Failure, player: Player) -> Self {
        let outcome = player.trace(plan);
        let failure = match &outcome.failure {
            Some(failure) => failure.clone(),
            None if failure.checker == determinism::ID => failure,
            None => determinism::differs(format!(
                "it failed ({failure}), and passed when it was played again"
            )),
        };
        Self::of(name, plan, failure, &outcome, player)
    }

    /// A plan that failed with this, and the outcome of a run with its trace.
    pub(crate) fn of(
        name: Name,
        plan: &Plan,
        failure: Failure,
        outcome: &Outcome,
        player: Player,
    ) -> Self {
        let about = format!("{name}, at commit {}\n{failure}", commit());
        let mut failed = Self {
            plan: plan.clone(),
            player,
            kept: Kept::original(&name, plan, &about),
            name,
            failure,
            place: String::new(),
            phase: outcome.phase,
            trace: Vec::new(),
            life: Vec::new(),
            shrunk: None,
        };
        failed.note(plan, outcome);
        failed
    }

    /// The plan was shrunk: the trace that is shown is from now on that of what is left.
    pub(crate) fn with_shrunk(mut self, shrunk: Shrunk) -> Self {
        let outcome = self.player.trace(&shrunk.plan);
        let from = shrunk.steps_before;
        let about = format!(
            "{}, shrunk from {from} steps, at commit {}\n{}",
            self.name,
            commit(),
            shrunk.found
        );
        self.note(&shrunk.plan, &outcome);
        self.failure = shrunk.found.clone();
        let kept = Kept::shrunk(&self.name, &shrunk.plan, &about);
        self.shrunk = Some(Smaller { kept, shrunk });
        self
    }

    fn note(&mut self, plan: &Plan, outcome: &Outcome) {
        let first = outcome.trace.len().saturating_sub(LINES_SHOWN);
        self.trace = outcome.trace[first..].to_vec();
        let message = self.failure.message.as_deref();
        let message = outcome.failure.as_ref().and_then(|f| f.message.as_deref()).or(message);
        self.life = message.map_or(Vec::new(), |message| life_of(message, &outcome.trace));
        self.phase = outcome.phase;
        let begun = outcome.course.requests.len();
        self.place = match plan.steps.get(begun.wrapping_sub(1)) {
            Some(step) if outcome.failure.is_some() => {
                format!("phase {}, step {begun} of {}: {step}", self.phase, plan.steps.len())
            }
            _ => format!("phase {}", self.phase),
        };
    }

    /// Without the end of the trace, which has been shown as a whole.
    pub(crate) fn without_trace(mut self) -> Self {
        self.trace.clear();
        self
    }

    /// The same for a machine.
    pub(crate) fn json(&self) -> Value {
        let texts = |lines: &[Line]| lines.iter().map(Line::to_string).collect::<Vec<_>>();
        let file = |kept: &Kept| kept.path.as_ref().ok().map(|path| path.display().to_string());
        let shrunk = self.shrunk.as_ref().map(|Smaller { kept, shrunk }| {
            json!({
                "file": file(kept),
                "steps": kept.steps,
                "plays": shrunk.plays,
                "elapsed_s": shrunk.elapsed.as_secs_f64(),
                "is_minimal": shrunk.is_minimal,
            })
        });
        json!({
            "name": self.name.to_string(),
            "seed": match self.name { Name::Seed(seed) => Some(seed), _ => None },
            "checker": self.failure.checker,
            "text": self.failure.text,
            "message": self.failure.message,
            "phase": self.phase,
            "place": self.place,
            "commit": commit(),
            "plan": { "file": file(&self.kept), "steps": self.kept.steps },
            "shrunk": shrunk,
            "replay": self.replays(),
            "trace": texts(&self.trace),
            "life": texts(&self.life),
        })
    }

    /// The commands that play it again, that of the smallest plan first.
    fn replays(&self) -> Vec<String> {
        let shrunk = self.shrunk.as_ref().and_then(|smaller| smaller.kept.replay());
        let original = kept::replay(&self.name).or_else(|| self.kept.replay());
        let arguments = self.player.arguments();
        shrunk.into_iter().chain(original).map(|command| command + &arguments).collect()
    }
}

/// The lines about a message, and about the life of the process between the first and the last.
fn life_of(message: &str, trace: &[Line]) -> Vec<Line> {
    let names = |line: &Line| line.what.split([' ', ',']).any(|word| word == message);
    let first = trace.iter().position(names).unwrap_or(trace.len());
    let last = trace.iter().rposition(names).map_or(first, |at| at + 1);
    let is_start_or_end = |line: &Line| {
        let marks = ["! the process", "! start", "^ serves"];
        line.who.is_empty() && marks.iter().any(|mark| line.what.starts_with(mark))
    };
    trace[first..last].iter().filter(|line| names(line) || is_start_or_end(line)).cloned().collect()
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Smaller { shrunk, .. }) = &self.shrunk
            && shrunk.plan.steps.len() <= STEPS_SHOWN
        {
            writeln!(f, "{STRONG}what is left of the plan:{STRONG:#}\n{}", shrunk.plan)?;
            writeln!(f, "{STRONG}its trace:{STRONG:#}")?;
        }
        for line in &self.trace {
            match line.what.starts_with("<!") || line.what == format!("! {}", self.failure) {
                true => writeln!(f, "{BAD}{line}{BAD:#}")?,
                false => writeln!(f, "{line}")?,
            }
        }
        if let (Some(message), false) = (&self.failure.message, self.life.is_empty()) {
            writeln!(f, "\n{STRONG}the life of {message}:{STRONG:#}")?;
            self.life.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "\n{BAD}{}{BAD:#}\n", self.failure)?;
        writeln!(f, "failed      {}", self.name)?;
        writeln!(f, "checker     {} ({})", self.failure.checker, self.place)?;
        writeln!(f, "commit      {}", commit())?;
        writeln!(f, "plan        {} ({} steps)", self.kept.name(), self.kept.steps)?;
        if let Some(Smaller { kept, shrunk }) = &self.shrunk {
            let end = if shrunk.is_minimal { "nothing more can go" } else { "out of time" };
            let (steps, plays, time) = (kept.steps, shrunk.plays, shrunk.elapsed.as_secs_f64());
            let name = kept.name();
            writeln!(f, "shrunk      {name} ({steps} steps; {plays} plays in {time:.1} s, {end})")?;
        }
        let mut title = "replay";
        for replay in self.replays() {
            writeln!(f, "{title:<11} {replay}")?;
            title = "";
        }
        Ok(())
    }
}
