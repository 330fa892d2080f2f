//! Makes a plan as small as it can while the same checker fails in it, or while it reaches the same
//! mark.
//!
//! What is behind a failure goes first, then whole clients, channels, verbs and names, then runs
//! of steps, ever shorter, down to single ones (delta debugging: steps about what is gone do
//! nothing, so any subset of a plan is a plan). What is left is made plain: shorter waits, smaller
//! bodies, fewer flags, limits as usual. Bounded by time and by the number of plays.

mod plain;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use warren_core::Mark;

use crate::checkers::Failure;
use crate::plan::{Plan, Step, Who};
use crate::run::{Options, Outcome, play, play_steps};

/// How much may be spent.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Wall time.
    pub time: Duration,
    /// How many plans are played.
    pub plays: usize,
}

impl Budget {
    /// So much time, and as many plays as fit.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        Self { time, plays: usize::MAX }
    }
}

/// A plan that was made smaller.
#[derive(Clone, Debug)]
pub struct Shrunk<T = Failure> {
    /// What is left.
    pub plan: Plan,
    /// What is found in it: what fails, or how often it reaches a mark.
    pub found: T,
    /// How many steps there were.
    pub steps_before: usize,
    /// How many plans were played.
    pub plays: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// Nothing more can be taken away; otherwise the budget was used up.
    pub is_minimal: bool,
}

/// Shrinks a plan; `None` if it does not fail. `play` plays one, `watch` is told of every play with
/// what is the smallest plan so far.
pub fn shrink(
    plan: &Plan,
    budget: Budget,
    play: &dyn Fn(&Plan) -> Outcome,
    watch: &mut dyn FnMut(&Shrunk),
) -> Option<Shrunk> {
    let checker = Cell::new(None);
    let goal = |outcome: &Outcome| {
        let failure = outcome.failure.clone()?;
        let first = checker.get().unwrap_or(failure.checker);
        checker.set(Some(first));
        (failure.checker == first).then_some(failure)
    };
    shrink_toward(plan, budget, &goal, play, watch)
}

/// Shrinks a plan that passes while its own steps reach a mark; `None` if they do not.
pub fn shrink_reaching(
    plan: &Plan,
    mark: Mark,
    budget: Budget,
    watch: &mut dyn FnMut(&Shrunk<u64>),
) -> Option<Shrunk<u64>> {
    let goal = |outcome: &Outcome| {
        let count = outcome.course.marks.count(mark);
        (count > 0 && outcome.failure.is_none()).then_some(count)
    };
    // The steps are quickly played; only one that is to be taken must pass as a whole.
    let play = |plan: &Plan| match play_steps(plan) {
        outcome if goal(&outcome).is_some() => play(plan, Options::default()),
        outcome => outcome,
    };
    shrink_toward(plan, budget, &goal, &play, watch)
}

/// Shrinks a plan while `goal` finds in its outcome what is wanted.
fn shrink_toward<T>(
    plan: &Plan,
    budget: Budget,
    goal: &dyn Fn(&Outcome) -> Option<T>,
    play: &dyn Fn(&Plan) -> Outcome,
    watch: &mut dyn FnMut(&Shrunk<T>),
) -> Option<Shrunk<T>> {
    let started = Instant::now();
    let outcome = play(plan);
    let mut best = Shrunk {
        plan: plan.clone(),
        found: goal(&outcome)?,
        steps_before: plan.steps.len(),
        plays: 1,
        elapsed: started.elapsed(),
        is_minimal: false,
    };
    best.plan.steps.truncate(steps_needed(&outcome));
    let mut shrinker = Shrinker { best, budget, started, goal, play, watch };
    shrinker.work();
    Some(shrinker.best)
}

/// The steps that were played: what was to come behind them has no part in a failure.
fn steps_needed(outcome: &Outcome) -> usize {
    outcome.course.requests.len()
}

/// A way to sort steps into groups that may be superfluous as a whole.
type Group = fn(&Step) -> Vec<String>;

/// Largest groups first.
const GROUPS: [Group; 4] = [
    |step| match step.who {
        Who::Client(client) | Who::Channel(client, _) => vec![format!("c{client}")],
        Who::World => Vec::new(),
    },
    |step| match step.who {
        Who::Channel(client, channel) => vec![format!("c{client}/{channel}")],
        Who::Client(_) | Who::World => Vec::new(),
    },
    // A fault class is a verb, or a verb and what it is told: `disk full`, `disk eio=sync`.
    |step| {
        let kind = step.flags().next().or(step.value("eio")).or(step.value("silent_after"));
        vec![step.verb().to_owned(), format!("{} {}", step.verb(), kind.unwrap_or(""))]
    },
    |step| {
        let names = ["q", "x", "to", "from", "tag"].into_iter().filter_map(|key| step.value(key));
        names.map(str::to_owned).collect()
    },
];

struct Shrinker<'a, T> {
    best: Shrunk<T>,
    budget: Budget,
    started: Instant,
    goal: &'a dyn Fn(&Outcome) -> Option<T>,
    play: &'a dyn Fn(&Plan) -> Outcome,
    watch: &'a mut dyn FnMut(&Shrunk<T>),
}

impl<T> Shrinker<'_, T> {
    /// All passes, until none of them finds anything any more.
    fn work(&mut self) {
        loop {
            let before = self.best.plan.clone();
            for group in GROUPS {
                self.drop_groups(group);
            }
            self.drop_steps();
            self.merge_waits();
            self.make_setup_usual();
            self.gather();
            self.make_steps_plain();
            if self.is_spent() {
                return;
            }
            if self.best.plan == before {
                self.best.is_minimal = true;
                return;
            }
        }
    }

    fn is_spent(&self) -> bool {
        self.best.plays >= self.budget.plays || self.started.elapsed() >= self.budget.time
    }

    /// Whether the same is found when this is played; then it is the smallest so far.
    fn accept(&mut self, mut plan: Plan) -> bool {
        if self.is_spent() || plan == self.best.plan {
            return false;
        }
        let outcome = (self.play)(&plan);
        self.best.plays += 1;
        self.best.elapsed = self.started.elapsed();
        let needed = steps_needed(&outcome);
        let found = (self.goal)(&outcome);
        let is_accepted = found.is_some();
        if let Some(found) = found {
            plan.steps.truncate(needed);
            self.best.plan = plan;
            self.best.found = found;
        }
        (self.watch)(&self.best);
        is_accepted
    }

    fn accept_steps(&mut self, steps: Vec<Step>) -> bool {
        let setup = self.best.plan.setup.clone();
        self.accept(Plan { setup, steps })
    }

    /// Leaves out all steps of a group at once; the largest groups first.
    fn drop_groups(&mut self, group: Group) {
        let mut sizes = BTreeMap::<String, usize>::new();
        for name in self.best.plan.steps.iter().flat_map(group) {
            *sizes.entry(name).or_default() += 1;
        }
        let mut names: Vec<_> = sizes.into_iter().collect();
        names.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        for (name, _) in names {
            let steps = self.best.plan.steps.iter();
            let others = steps.filter(|step| !group(step).contains(&name)).cloned().collect();
            self.accept_steps(others);
        }
    }

    /// Leaves out runs of steps, from the end on, ever shorter ones.
    fn drop_steps(&mut self) {
        let mut len = self.best.plan.steps.len().div_ceil(2);
        while len > 0 && !self.is_spent() {
            let before = self.best.plan.steps.len();
            let mut end = before;
            while end > 0 && !self.is_spent() {
                let from = end.saturating_sub(len);
                let steps = &self.best.plan.steps;
                self.accept_steps([&steps[..from], &steps[end..]].concat());
                end = from.min(self.best.plan.steps.len());
            }
            if self.best.plan.steps.len() == before || len > 1 {
                len /= 2;
            }
        }
    }

    /// One wait does for several in a row.
    fn merge_waits(&mut self) {
        let mut steps: Vec<Step> = Vec::new();
        for step in &self.best.plan.steps {
            let us = |step: &Step| (step.verb() == "wait").then(|| step.number("us", 0));
            match (steps.last().and_then(us), us(step)) {
                (Some(first), Some(second)) => {
                    steps.pop();
                    steps.push(Step::wait(first + second));
                }
                _ => steps.push(step.clone()),
            }
        }
        self.accept_steps(steps);
    }

    /// All limits at once, or else each by itself.
    fn make_setup_usual(&mut self) {
        let names = self.best.plan.setup.unusual();
        let usual =
            names.iter().fold(self.best.plan.setup.clone(), |setup, name| setup.without(name));
        if self.accept(Plan { setup: usual, ..self.best.plan.clone() }) {
            return;
        }
        for name in names {
            let plan = self.best.plan.clone();
            self.accept(Plan { setup: plan.setup.without(name), ..plan });
        }
    }

    /// One client does what several do, on one channel; whoever is left is numbered from 1.
    fn gather(&mut self) {
        let whos: BTreeSet<Who> = self.best.plan.steps.iter().map(|step| step.who).collect();
        for who in whos {
            let steps = &self.best.plan.steps;
            match who {
                Who::Channel(client, 2..) => self.accept_steps(plain::on_channel_1(steps, client)),
                Who::Client(2..) => self.accept_steps(plain::by_client_1(steps, who)),
                _ => false,
            };
        }
        self.accept_steps(plain::renumbered(&self.best.plan.steps));
    }

    /// Each step says no more than it must.
    fn make_steps_plain(&mut self) {
        let mut at = self.best.plan.steps.len();
        while at > 0 {
            at = (at - 1).min(self.best.plan.steps.len().saturating_sub(1));
            let mut steps = self.best.plan.steps.clone();
            let Some(step) = steps.get(at).cloned() else { return };
            for plainer in plain::plainer(&step) {
                if self.is_spent() {
                    return;
                }
                steps[at] = plainer;
                if self.accept_steps(steps.clone()) {
                    // What was taken may be taken further, from the same place on.
                    at += 1;
                    break;
                }
            }
        }
    }
}
