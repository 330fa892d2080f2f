//! `replay`: a plan is played once more, and shows what happens.

use serde_json::{Value, json};
use warren_sim::trace::Line;

use super::{Done, find};
use crate::cli::Replay;
use crate::report::{self, Failed};
use crate::timeline;

/// Plays a plan once more.
pub(crate) fn replay(replay: &Replay) -> Done {
    let (name, plan) = find(&replay.which)?;
    let keeps_trace = replay.trace || replay.html.is_some();
    let player = replay.broken.player();
    let outcome = player.play_with(&plan, keeps_trace);
    if let Some(path) = &replay.html {
        let page = timeline::page(&name, &plan, &outcome);
        std::fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("the timeline is in {}", path.display());
    }
    let failure = outcome.failure.clone();
    let failed = failure.map(|failure| match keeps_trace {
        true => Failed::of(name.clone(), &plan, failure, &outcome, player),
        false => Failed::new(name.clone(), &plan, failure, player),
    });
    if replay.json {
        let mut object = report::json_of(&name, &outcome);
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
        None => anstream::println!("{}", report::passed(&name, &outcome)),
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
