//! `replay`: a plan, or a recording, is played once more, and shows what happens.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use warren_sim::plan::Plan;
use warren_sim::recording::{self, Replayed};
use warren_sim::run::Outcome;
use warren_sim::trace::Line;

use super::{Done, find};
use crate::cli::Replay;
use crate::player::Player;
use crate::report::{self, Failed, Name};
use crate::timeline;

/// Plays a plan or a recording once more.
pub(crate) fn replay(replay: &Replay) -> Done {
    if let Some(path) = recording_of(replay)? {
        return replay_recording(replay, path);
    }
    let (name, plan) = find(&replay.which)?;
    if let Some(path) = &replay.plan_file {
        write_plan(path, &name, &plan)?;
    }
    let keeps_trace = replay.trace || replay.html.is_some();
    let player = replay.broken.player();
    let outcome = player.play_with(&plan, keeps_trace);
    show(replay, &name, &plan, &outcome, player)
}

/// The recording that is meant: a file, or the newest of a directory.
fn recording_of(replay: &Replay) -> Result<Option<PathBuf>, String> {
    let Some(path) = replay.which.plan.as_ref().map(PathBuf::from) else { return Ok(None) };
    if path.is_dir() {
        let newest = warren_recorder::newest(&path);
        let newest = newest.map_err(|error| format!("{}: {error}", path.display()))?;
        let none = || format!("{}: no recording is there", path.display());
        return newest.ok_or_else(none).map(Some);
    }
    Ok(path.extension().is_some_and(|extension| extension == "recording").then_some(path))
}

fn replay_recording(replay: &Replay, path: PathBuf) -> Done {
    let keeps_trace = replay.trace || replay.html.is_some();
    let read = |keeps_trace| {
        recording::replay(&path, keeps_trace)
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut replayed = read(keeps_trace)?;
    if replayed.outcome.failure.is_some() && !keeps_trace {
        replayed = read(true)?;
    }
    let name = Name::File(path.clone());
    if let Some(path) = &replay.plan_file {
        write_plan(path, &name, &replayed.plan)?;
    }
    if !replay.json {
        println!("{}", described(&replayed));
    }
    show(replay, &name, &replayed.plan, &replayed.outcome, Player::default())
}

/// What a recording is, in a few lines.
fn described(replayed: &Replayed) -> String {
    let Replayed { inputs, hashes, version, end, .. } = replayed;
    let checked = match replayed.is_checked {
        true => "checkers    looked on from the first input",
        false => "checkers    did not look on: the data directory was not empty at the start",
    };
    format!(
        "recorded    warren {version}\n\
         inputs      {inputs}, and {hashes} hashes of what was said\n\
         {checked}\n\
         its end     {end}"
    )
}

fn write_plan(path: &Path, name: &Name, plan: &Plan) -> Result<(), String> {
    let text = format!("# made from {name}\n{plan}");
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("the plan is in {} ({} steps)", path.display(), plan.steps.len());
    Ok(())
}

/// Shows what came of it.
fn show(replay: &Replay, name: &Name, plan: &Plan, outcome: &Outcome, player: Player) -> Done {
    let is_traced = !outcome.trace.is_empty();
    if let Some(path) = &replay.html {
        let page = timeline::page(name, plan, outcome);
        std::fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("the timeline is in {}", path.display());
    }
    let failure = outcome.failure.clone();
    let failed = failure.map(|failure| match is_traced {
        true => Failed::of(name.clone(), plan, failure, outcome, player),
        false => Failed::new(name.clone(), plan, failure, player),
    });
    if replay.json {
        let mut object = report::json_of(name, outcome);
        object.insert("command".into(), "replay".into());
        object.insert("failure".into(), failed.as_ref().map_or(Value::Null, Failed::json));
        if replay.trace {
            object.insert("trace".into(), outcome.trace.iter().map(json_of_line).collect());
        }
        println!("{}", Value::Object(object));
        return Ok(failed.is_none());
    }
    if replay.trace {
        print!("{}", outcome.trace_text());
    }
    match &failed {
        Some(failed) if replay.trace => anstream::print!("{}", failed.clone().without_trace()),
        Some(failed) => anstream::print!("{failed}"),
        None => anstream::println!("{}", report::passed(name, outcome)),
    }
    Ok(failed.is_none())
}

fn json_of_line(line: &Line) -> Value {
    let queue = line.queue.as_ref();
    let queue = queue.map(|q| json!({ "name": q.name, "ready": q.ready, "unacked": q.unacked }));
    json!({
        "at_ns": line.at_ns,
        "who": line.who,
        "what": line.what,
        "queue": queue,
        "log": { "gathers": line.log.0, "durable": line.log.1 },
    })
}
