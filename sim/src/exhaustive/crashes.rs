//! Every request to the disk as the moment at which the process ends or the power fails.
//!
//! A crash is a step like any other, put in front of the step in which it strikes, and followed by
//! a start. So what fails here is a plan that is replayed, read and shrunk as others are. The start
//! is a row of requests itself: each of them is the moment of a second crash.

use super::{Breadth, Case};
use crate::course::Course;
use crate::plan::{Plan, Step, Who};

/// Where in a plan a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// In front of this step; `None` for the first start, which is before all steps.
    step: Option<usize>,
    /// With this request from then on, from 1.
    request: u64,
    /// The request's number in the run.
    number: u64,
    is_power: bool,
    seed: u64,
}

/// Every point of a plan whose run has this course.
pub(super) fn points(course: &Course, breadth: &Breadth) -> Vec<Point> {
    let mut begun = 0;
    let mut points = Vec::new();
    let steps = course.requests.iter().enumerate();
    for (step, requests) in steps.map(|(at, requests)| (at.checked_sub(1), *requests)) {
        for number in begun + 1..=requests {
            for (is_power, seed) in breadth.ends() {
                let request = number - begun;
                points.push(Point { step, request, number, is_power, seed });
            }
        }
        begun = requests;
    }
    points
}

/// The plan in which the process ends there, and is started again at once.
pub(super) fn case(plan: &Plan, point: Point) -> Case {
    let mut plan = plan.clone();
    match point.step {
        None => {
            plan.setup.start_crash_at = point.request;
            plan.setup.start_crash_seed = point.seed;
            plan.setup.start_crash_power = point.is_power;
        }
        Some(step) => {
            plan.steps.insert(step + 1, Step::new(Who::World, "restart"));
            plan.steps.insert(step, point.step());
        }
    }
    Case { name: point.name(), plan }
}

/// The cases in which the start after the crash of `first` is cut short as well: `plan` is its
/// case's, and its run has this course.
pub(super) fn cases_in_recovery(plan: &Plan, first: Point, course: &Course) -> Vec<Case> {
    // In front of the step are the crash and the step itself; the first start has no step.
    let Some(restart) = first.step.map(|step| step + 2) else { return Vec::new() };
    let [Some(before), Some(after)] = [restart, restart + 1].map(|at| course.requests.get(at))
    else {
        return Vec::new();
    };
    let requests = (1..=after - before).flat_map(|request| [(request, false), (request, true)]);
    requests
        .map(|(request, is_power)| {
            let number = before + request;
            let again = Point { step: Some(restart), request, number, is_power, seed: first.seed };
            let Case { name, plan } = case(plan, again);
            Case { name: format!("{}-then-{name}", first.name()), plan }
        })
        .collect()
}

impl Point {
    fn step(self) -> Step {
        let step = Step::new(Who::World, "disk").with("crash_at", self.request);
        step.with("seed", self.seed).flag("power", self.is_power)
    }

    fn name(self) -> String {
        let kind = if self.is_power { "power" } else { "crash" };
        format!("{kind}-{}-{}", self.number, self.seed)
    }
}
