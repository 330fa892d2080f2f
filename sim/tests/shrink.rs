//! Plans that fail are made small, and fail in the same way.

use std::time::Duration;

use warren_sim::plan::{self, Plan};
use warren_sim::run::{Options, Outcome, play};
use warren_sim::shrink::{Budget, Shrunk, shrink};
use warren_sim::world::{Fault, Tamper};

const LONG: Budget = Budget { time: Duration::from_secs(120), plays: 2000 };

fn broken(fault: Fault) -> impl Fn(&Plan) -> Outcome {
    move |plan| play(plan, Options { keeps_trace: false, tamper: Some(Tamper::new(fault)) })
}

fn shrink_seed(seed: u64, fault: Fault, budget: Budget) -> Shrunk {
    let mut watched = 0;
    let mut watch = |_: &Shrunk| watched += 1;
    let shrunk = shrink(&plan::draw(seed), budget, &broken(fault), &mut watch);
    let shrunk = shrunk.unwrap_or_else(|| panic!("seed {seed} does not notice {fault:?}"));
    assert_eq!(watched + 1, shrunk.plays);
    shrunk
}

#[test]
fn a_drawn_plan_comes_down_to_a_few_steps_that_fail_alike() {
    for (seed, fault) in [(5, Fault::SwapDeliveries), (4, Fault::DropConfirm)] {
        let shrunk = shrink_seed(seed, fault, LONG);
        assert!(shrunk.steps_before > 300 && shrunk.is_minimal, "{shrunk:?}");
        assert!(shrunk.plan.steps.len() <= 8, "{}", shrunk.plan);
        let read: Plan = shrunk.plan.to_string().parse().expect("a plan that was just written");
        assert_eq!(broken(fault)(&read).failure, Some(shrunk.found));
    }
}

#[test]
fn limits_that_do_not_matter_are_as_usual_in_the_end() {
    let shrunk = shrink_seed(5, Fault::SwapDeliveries, LONG);
    assert!(shrunk.plan.setup.unusual().is_empty(), "{}", shrunk.plan);
}

#[test]
fn a_crash_that_matters_stays() {
    let shrunk = shrink_seed(1, Fault::EmptyDisk, LONG);
    assert!(shrunk.plan.steps.len() <= 8, "{}", shrunk.plan);
    let checker = shrunk.found.checker;
    assert!(matches!(checker, "topology" | "recovery" | "no-loss" | "access"), "{checker}");
}

#[test]
fn no_more_is_played_than_allowed() {
    let budget = Budget { plays: 7, ..LONG };
    let shrunk = shrink_seed(5, Fault::SwapDeliveries, budget);
    assert_eq!((shrunk.plays, shrunk.is_minimal), (7, false));
    let shrunk = shrink_seed(5, Fault::SwapDeliveries, Budget::of(Duration::ZERO));
    assert_eq!(shrunk.plays, 1);
    assert!(shrunk.plan.steps.len() < shrunk.steps_before, "what is behind the failure goes");
}

#[test]
fn a_plan_that_passes_is_left_alone() {
    let play = |plan: &Plan| play(plan, Options::default());
    assert!(shrink(&plan::draw(3), LONG, &play, &mut |_| {}).is_none());
}
