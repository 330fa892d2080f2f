//! The same plan is the same run, in one process and in two.

use std::process::Command;

use warren_sim::plan::{self, Plan};
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

#[test]
fn different_seeds_are_different_runs() {
    let hash = |seed| play(&plan::draw(seed), Options::default()).hash;
    assert_ne!(hash(1), hash(2));
}
