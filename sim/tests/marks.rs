//! Each mark of the broker has a plan of its own, which reaches it and shows how.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use warren_core::{Mark, MarkClass};
use warren_sim::plan::{self, Plan};
use warren_sim::run::{Options, play};
use warren_sim::shrink::{Budget, shrink_reaching};

/// No client of the simulator sends what leads there, or the model does not know how much exactly
/// is too much; these tests of the core come there.
const IN_CORE: [(Mark, &str); 2] = [
    (Mark::SyntaxError, "../core/tests/broker/marks.rs: properties_that_cannot_be_read"),
    (
        Mark::TxTooLarge,
        "../core/tests/broker/durability.rs: an_open_transaction_makes_nobody_wait_and_has_its_own",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/marks")
}

fn has_plan(mark: &Mark) -> bool {
    mark.class() != MarkClass::Unreachable && IN_CORE.iter().all(|(other, _)| other != mark)
}

#[test]
fn the_plan_of_each_mark_reaches_it_and_passes() {
    let mut complaints = String::new();
    for mark in Mark::ALL.into_iter().filter(has_plan) {
        let path = folder().join(format!("{}.plan", mark.name()));
        let Ok(text) = std::fs::read_to_string(&path) else {
            complaints += &format!("{}: there is no such plan\n", path.display());
            continue;
        };
        let plan: Plan = text.parse().unwrap_or_else(|error| panic!("{}: {error}", mark.name()));
        let outcome = play(&plan, Options::default());
        if let Some(failure) = &outcome.failure {
            complaints += &format!("{}: {failure}\n", mark.name());
        } else if outcome.course.marks.count(mark) == 0 {
            complaints += &format!("{} is not reached by the steps of its plan\n", mark.name());
        }
        if !text.starts_with("# ") {
            complaints += &format!("{} does not say what it shows\n", mark.name());
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn every_plan_is_one_of_a_mark() {
    let names: BTreeSet<String> =
        Mark::ALL.iter().map(|mark| format!("{}.plan", mark.name())).collect();
    for entry in std::fs::read_dir(folder()).expect("the corpus is part of the crate") {
        let name = entry.expect("an entry of the corpus").file_name();
        assert!(names.contains(&*name.to_string_lossy()), "{name:?} is the plan of no mark");
    }
}

#[test]
fn tests_of_the_core_that_stand_for_plans_are_there() {
    for (mark, test) in IN_CORE {
        let (file, name) = test.split_once(": ").expect("a file and a function");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text.contains(&format!("fn {name}")), "{}: {test}", mark.name());
    }
}

#[test]
fn a_plan_is_shrunk_while_it_reaches_a_mark() {
    let mark = Mark::ConfirmGated;
    let reaches = |plan: &Plan| play(plan, Options::default()).course.marks.count(mark) > 0;
    let plan = (0..100).map(plan::draw).find(reaches).expect("a common mark");
    let budget = Budget { plays: 400, ..Budget::of(std::time::Duration::from_secs(120)) };
    let shrunk = shrink_reaching(&plan, mark, budget, &mut |_| {}).expect("it reaches the mark");
    assert!(shrunk.plan.steps.len() < shrunk.steps_before / 4, "{}", shrunk.plan);
    let outcome = play(&shrunk.plan, Options::default());
    assert_eq!(outcome.failure, None);
    assert!(outcome.course.marks.count(mark) > 0);
    assert!(shrink_reaching(&plan, Mark::InternalError, budget, &mut |_| {}).is_none());
}
