//! `shrink`: what a failure does not need is taken out of its plan.

use std::time::Duration;

use warren_core::Mark;
use warren_sim::plan::Plan;
use warren_sim::shrink::{self, Budget, Shrunk};

use super::{Done, find};
use crate::cli::Shrink;
use crate::report::{Failed, Name, Progress};

/// How many failures of many are shrunk.
const SHRUNK_MAX: usize = 3;

/// Shrinks a plan that fails. It is an error if it does not.
pub(crate) fn shrink(wanted: &Shrink) -> Done {
    let (name, plan) = find(&wanted.which)?;
    let player = wanted.broken.player();
    if let Some(mark) = wanted.reaching {
        return shrink_reaching(mark, &name, &plan, wanted.shrink_time);
    }
    let Some(failure) = player.play(&plan).failure else {
        return Err(format!("{name} passes: there is nothing to shrink"));
    };
    let failed = Failed::new(name, &plan, failure, player);
    anstream::print!("{}", shrink_failed(failed, wanted.shrink_time));
    Ok(true)
}

/// Shrinks a plan while it reaches a mark, and prints what is left.
fn shrink_reaching(mark: Mark, name: &Name, plan: &Plan, time: Duration) -> Done {
    let mut progress = Progress::new();
    let mut watch = |best: &Shrunk<u64>| show(&mut progress, name, best, time);
    let shrunk = shrink::shrink_reaching(plan, mark, Budget::of(time), &mut watch);
    progress.clear();
    let Some(shrunk) = shrunk else {
        return Err(format!("{name} fails, or its steps do not reach {}", mark.name()));
    };
    print!("# {}: {}\n{}", mark.name(), mark.meaning(), shrunk.plan);
    let (steps, plays) = (shrunk.plan.steps.len(), shrunk.plays);
    let end = if shrunk.is_minimal { "nothing more can go" } else { "out of time" };
    eprintln!("{steps} steps of {}; {plays} plays, {end}", shrunk.steps_before);
    Ok(true)
}

/// Shrinks the plans of the first of many failures.
pub(super) fn shrink_first(failures: &mut [Failed], time: Duration) {
    for failed in failures.iter_mut().take(SHRUNK_MAX) {
        *failed = shrink_failed(failed.clone(), time);
    }
}

/// Shrinks the plan of a failure, within so much time; none at all if that is nothing.
pub(super) fn shrink_failed(failed: Failed, time: Duration) -> Failed {
    if time.is_zero() {
        return failed;
    }
    let mut progress = Progress::new();
    let name = failed.name.clone();
    let mut watch = |best: &Shrunk| show(&mut progress, &name, best, time);
    let play = |plan: &_| failed.player.play(plan);
    let shrunk = shrink::shrink(&failed.plan, Budget::of(time), &play, &mut watch);
    progress.clear();
    match shrunk {
        Some(shrunk) => failed.with_shrunk(shrunk),
        None => failed,
    }
}

fn show<T>(progress: &mut Progress, name: &Name, best: &Shrunk<T>, time: Duration) {
    let elapsed = best.elapsed.min(time).as_millis() as u64;
    progress.show(elapsed, time.as_millis() as u64, || {
        let (before, steps) = (best.steps_before, best.plan.steps.len());
        format!("shrinking {name}: {before} steps are {steps} now, {} plays", best.plays)
    });
}
