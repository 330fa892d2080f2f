//! Plans that once told something, or that show a behaviour plainly: each is played as a test.

use std::path::Path;

use warren_sim::plan::{self, Plan};
use warren_sim::run::{Options, play};

/// Seeds that every `cargo test` plays, besides the thousands of a simulation run.
const SEEDS: std::ops::Range<u64> = 0..50;

#[test]
fn every_plan_of_the_corpus_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut played = 0;
    for folder in [corpus.to_owned(), format!("{corpus}/exhaustive")] {
        for entry in std::fs::read_dir(folder).expect("the corpus is part of the crate") {
            let path = entry.expect("an entry of the corpus").path();
            if path.is_file() {
                play_file(&path);
                played += 1;
            }
        }
    }
    assert!(played >= 18, "only {played} plans in {corpus}");
}

fn play_file(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a plan is a text");
    let plan: Plan = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let outcome = play(&plan, Options { keeps_trace: true, tamper: None });
    if let Some(failure) = &outcome.failure {
        let trace = outcome.trace_text();
        panic!("{trace}\n{}: {failure} (phase {})", path.display(), outcome.phase);
    }
}

#[test]
fn the_first_seeds_pass() {
    for seed in SEEDS {
        let outcome = play(&plan::draw(seed), Options::default());
        if let Some(failure) = outcome.failure {
            panic!("seed {seed}: {failure} (phase {})", outcome.phase);
        }
    }
}
