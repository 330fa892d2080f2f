//! `run`: plans are drawn from seeds and played.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use warren_sim::checkers::{Failure, determinism};
use warren_sim::plan;

use super::shrink::{shrink_failed, shrink_first};
use super::{Done, pool};
use crate::cli::Run;
use crate::player::Player;
use crate::report::{self, Failed, Name, Progress, Totals};

/// One seed of this many is played in a second process, whose hash must be the same.
const DETERMINISM_EVERY: u64 = 100;
/// How long a failure is shrunk if nothing else is said: a single one, and each of many.
const SHRINK_TIME: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(5));

/// Plays one seed, or many.
pub(crate) fn run(run: &Run) -> Done {
    match (run.seeds.seed, run.seeds.seeds) {
        (Some(seed), _) if run.hash => {
            println!("{:016x}", Player::default().play(&plan::draw(seed)).hash);
            Ok(true)
        }
        (Some(seed), _) => Ok(run_one(run, seed)),
        (None, range) => Ok(run_many(run, range.unwrap_or_default())),
    }
}

fn run_one(run: &Run, seed: u64) -> bool {
    let (name, plan, player) = (Name::Seed(seed), plan::draw(seed), run.broken.player());
    let outcome = player.play(&plan);
    let failed = outcome.failure.clone().map(|failure| {
        let failed = Failed::new(name.clone(), &plan, failure, player);
        shrink_failed(failed, run.shrink_time.unwrap_or(SHRINK_TIME.0))
    });
    if run.json {
        let mut object = report::json_of(&name, &outcome);
        object.insert("command".into(), "run".into());
        object.insert("failure".into(), failed.as_ref().map_or(Value::Null, Failed::json));
        println!("{}", Value::Object(object));
    } else {
        match &failed {
            Some(failed) => anstream::print!("{failed}"),
            None => anstream::println!("{}", report::passed(&name, &outcome)),
        }
    }
    failed.is_none()
}

fn run_many(run: &Run, (from, to): (u64, u64)) -> bool {
    let (mut totals, elapsed) = play_range((from, to), run.jobs.count(), run.broken.player());
    let time = run.shrink_time.unwrap_or(SHRINK_TIME.1);
    shrink_first(&mut totals.failures, time);
    if run.json {
        let mut object = totals.json(elapsed);
        object.insert("command".into(), "run".into());
        object.insert("seeds".into(), json!({ "from": from, "to": to }));
        println!("{}", Value::Object(object));
    } else {
        anstream::print!("{}", totals.first_failures());
        anstream::println!("{}", totals.summary("seeds", elapsed));
    }
    let is_covered = !run.check_marks || totals.coverage.gaps().is_empty();
    if !is_covered {
        anstream::eprint!("{}", totals.coverage.complaints());
    }
    totals.failures.is_empty() && is_covered
}

/// Plays the seeds from the first up to, not including, the second, and shows how far it is. What
/// they came to, with failures in the order of seeds, and how long it took.
pub(super) fn play_range(
    (from, to): (u64, u64),
    jobs: usize,
    player: Player,
) -> (Totals, Duration) {
    let totals = Mutex::new(Totals::of_drawn());
    let mut progress = Progress::new();
    let mut shown = 0;
    pool::each(
        (from, to),
        jobs,
        |seed| play_seed(seed, player, &totals),
        || {
            let totals = totals.lock().expect("no thread panics with the totals");
            for failed in &totals.failures[shown..] {
                progress.note(&format!("{}: {}", failed.name, failed.failure));
            }
            shown = totals.failures.len();
            let elapsed = progress.elapsed();
            let all = to - from;
            progress.show(totals.runs, all, || {
                format!("{}/{all} seeds, {}", totals.runs, totals.progress(elapsed))
            });
        },
    );
    let elapsed = progress.elapsed();
    progress.clear();
    let mut totals = totals.into_inner().expect("no thread panics with the totals");
    totals.failures.sort_by(|one, other| one.name.cmp(&other.name));
    (totals, elapsed)
}

fn play_seed(seed: u64, player: Player, totals: &Mutex<Totals>) {
    let (name, plan) = (Name::Seed(seed), plan::draw(seed));
    let started = Instant::now();
    let outcome = player.play(&plan);
    let time = started.elapsed();
    let failure = outcome.failure.clone().or_else(|| {
        let is_sampled = seed.is_multiple_of(DETERMINISM_EVERY) && player.broken.is_none();
        if is_sampled { check_determinism(seed, outcome.hash) } else { None }
    });
    let failed = failure.map(|failure| Failed::new(name.clone(), &plan, failure, player));
    let mut totals = totals.lock().expect("no thread panics with the totals");
    totals.add(&name, &outcome, time);
    totals.coverage.add(seed, &outcome.marks);
    totals.failures.extend(failed);
}

/// Plays the seed in another process: the same plan must give the same hash.
fn check_determinism(seed: u64, hash: u64) -> Option<Failure> {
    let binary: PathBuf = std::env::current_exe().ok()?;
    let mut again = std::process::Command::new(binary);
    let other = again.args(["run", "--seed", &seed.to_string(), "--hash"]).output().ok()?;
    let other = String::from_utf8_lossy(&other.stdout).trim().to_owned();
    determinism::check(&format!("{hash:016x}"), &other).err()
}
