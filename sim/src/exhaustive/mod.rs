//! All there is of one kind of trouble, for one small plan: the process ends with each request to
//! the disk, those of a stop and of a recovery among them; the power fails there; the start that
//! follows is cut short in the same ways; and each client's stream is cut in two at each byte.
//!
//! Each case is a plan of its own, so that one that fails is kept, replayed and shrunk like any
//! other. Nothing here is drawn: the same plan gives the same cases.

mod crashes;
mod splits;

use crate::plan::{Plan, Step, Who};
use crate::run::{Options, Outcome, observe, play};
use crate::world::{Fault, Tamper};
use crashes::Point;
pub(crate) use splits::{compare, has_splits, made_whole};

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breadth {
    /// How many ways are tried in which a process, or the power, can end at one point: what of the
    /// requests under way is done, and what of the cache is kept.
    pub seeds: u64,
    /// The process ends, and the power fails, with each request to the disk.
    pub has_crashes: bool,
    /// So it does with each request of the recovery that follows.
    pub has_recoveries: bool,
    /// Each stream is cut in two behind each byte.
    pub has_splits: bool,
}

impl Default for Breadth {
    fn default() -> Self {
        Self { seeds: 3, has_crashes: true, has_recoveries: true, has_splits: true }
    }
}

impl Breadth {
    /// How a process ends at one point: whether the power fails, and the seed.
    fn ends(&self) -> impl Iterator<Item = (bool, u64)> {
        let seeds = if self.has_crashes { self.seeds } else { 0 };
        (1..=seeds).flat_map(|seed| [(false, seed), (true, seed)])
    }
}

/// A plan with one trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Short, and of no other case of the same plan.
    pub name: String,
    /// What is played.
    pub plan: Plan,
}

/// Which trouble a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The process ends, or the power fails.
    Crash,
    /// So it does once more in the recovery that follows.
    CrashInRecovery,
    /// A stream is cut in two.
    Split,
}

/// A plan and all that is to be tried with it.
#[derive(Debug)]
pub struct Survey {
    /// The plan, with a stop and a start at its end.
    plan: Plan,
    /// What comes of it when nothing is added.
    whole: Outcome,
    breadth: Breadth,
    /// What is broken on purpose in every run.
    broken: Option<Fault>,
    points: Vec<Point>,
    splits: Vec<Case>,
}

impl Survey {
    /// Finds out what there is to try. In every run something may be `broken` on purpose.
    ///
    /// # Errors
    /// The failure of a plan that fails without anything being added: the plan as it was played,
    /// and its outcome.
    pub fn new(
        plan: &Plan,
        breadth: Breadth,
        broken: Option<Fault>,
    ) -> Result<Self, Box<(Plan, Outcome)>> {
        let mut plan = plan.clone();
        plan.steps.extend(["stop", "restart"].map(|verb| Step::new(Who::World, verb)));
        let whole = observe(&made_whole(&plan), options(broken), true);
        if whole.failure.is_some() {
            return Err(Box::new((plan, whole)));
        }
        let points = crashes::points(&whole.course, &breadth);
        let splits = match breadth.has_splits {
            true => splits::cases(&plan, &whole.course),
            false => Vec::new(),
        };
        Ok(Self { plan, whole, breadth, broken, points, splits })
    }

    /// How many requests the plan makes to the disk.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.whole.course.requests.last().copied().unwrap_or(0)
    }

    /// How many bytes its clients send, and over how many connections.
    #[must_use]
    pub fn bytes(&self) -> (u64, usize) {
        let connections = &self.whole.course.connections;
        (connections.iter().map(|connection| connection.traffic.read).sum(), connections.len())
    }

    /// How many cases there are, but for those in a recovery, which follow from others.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len() + self.splits.len()
    }

    /// Whether there is nothing to try.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The places of about so many cases, evenly spread; of all if there are no more.
    #[must_use]
    pub fn places(&self, count_max: usize) -> Vec<usize> {
        let (len, count) = (self.len(), self.len().min(count_max));
        (0..count).map(|at| at * len / count).collect()
    }

    /// Plays the case at this place, from 0, and those in the recovery that follows it; `note` is
    /// told what came of each.
    pub fn play(&self, at: usize, note: &mut impl FnMut(Kind, Case, Outcome)) {
        let Some(point) = self.points.get(at) else {
            let Some(case) = self.splits.get(at - self.points.len()) else { return };
            let split = observe(&case.plan, options(self.broken), true);
            let outcome = compare(&case.plan, &self.whole, split);
            return note(Kind::Split, case.clone(), outcome);
        };
        let case = crashes::case(&self.plan, *point);
        let outcome = play(&case.plan, options(self.broken));
        let again = match self.breadth.has_recoveries {
            true => crashes::cases_in_recovery(&case.plan, *point, &outcome.course),
            false => Vec::new(),
        };
        note(Kind::Crash, case, outcome);
        for case in again {
            let outcome = play(&case.plan, options(self.broken));
            note(Kind::CrashInRecovery, case, outcome);
        }
    }
}

fn options(broken: Option<Fault>) -> Options {
    Options { keeps_trace: false, tamper: broken.map(Tamper::new) }
}
