//! The same plan is the same run, in one process and in two.

use std::process::Command;

use warren_sim::plan::{self, Plan, Step};
use warren_sim::run::{Options, play};

fn hash_in_another_process(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_warren-sim"))
        .args(["run", "--seed", &seed.to_string(), "--hash"])
        .output()
        .expect("the simulator starts");
    String::from_utf8(output.stdout).expect("a hash is text").trim().to_owned()
}

#[test]
fn two_processes_play_a_seed_alike() {
    for seed in [3, 14, 15, 92] {
        let first = hash_in_another_process(seed);
        assert_eq!(first.len(), 16, "{first:?} is a hash");
        assert_eq!(first, hash_in_another_process(seed), "seed {seed}");
        let here = play(&plan::draw(seed), Options::default());
        assert_eq!(first, format!("{:016x}", here.hash), "seed {seed}");
    }
}

#[test]
fn a_plan_that_was_written_and_read_plays_alike_and_keeping_the_trace_changes_nothing() {
    for seed in [65, 35] {
        let plan = plan::draw(seed);
        let read: Plan = plan.to_string().parse().expect("a plan that was just written");
        let drawn = play(&plan, Options::default());
        let replayed = play(&read, Options { keeps_trace: true, tamper: None });
        assert_eq!(drawn.hash, replayed.hash, "seed {seed}");
        assert!(!replayed.trace.is_empty());
    }
}

/// A recording of a broker in production has no bodies: see `warren_sim::recording`.
#[test]
fn the_broker_does_the_same_whatever_is_in_the_bodies() {
    for seed in 0..40 {
        let mut plan = plan::draw(seed);
        // Where bytes decay, it matters which they are.
        plan.steps.retain(|step| step.verb() != "disk");
        let mut zeroed = plan.clone();
        let has_body = |step: &Step| matches!(step.verb(), "publish" | "answer");
        let bodies = zeroed.steps.iter_mut().filter(|step| has_body(step));
        for step in bodies {
            *step = step.clone().flag("zeros", true);
        }
        assert_ne!(plan, zeroed, "seed {seed} has bodies");
        let trace = |plan| play(plan, Options { keeps_trace: true, tamper: None }).trace;
        let (before, after) = (trace(&plan), trace(&zeroed));
        let differing = before.iter().zip(&after).find(|(before, after)| before != after);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(before.len(), after.len(), "seed {seed}");
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let hash = |seed| play(&plan::draw(seed), Options::default()).hash;
    assert_ne!(hash(1), hash(2));
}
