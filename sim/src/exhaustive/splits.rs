//! Every place at which a client's stream can be cut in two.
//!
//! The stream is read in two pieces at the same moment, so that nothing differs but where the first
//! read ends: the clients must see the same, word for word.

use super::Case;
use crate::checkers::{Failure, splitting};
use crate::course::{Connection, Course};
use crate::plan::Plan;
use crate::run::Outcome;
use crate::wire::{Incoming, Stream};

/// The key of a `connect` step that says behind which byte the stream is cut.
const KEY: &str = "split_at";

/// A case for each place in each stream of this plan, whose run with whole streams has this course.
pub(super) fn cases(plan: &Plan, course: &Course) -> Vec<Case> {
    let connections = course.connections.iter();
    let places = connections
        .flat_map(|Connection { step, traffic, .. }| (1..traffic.read).map(move |at| (*step, at)));
    places
        .map(|(step, at)| {
            let mut plan = plan.clone();
            plan.steps[step] = plan.steps[step].clone().with(KEY, at);
            Case { name: format!("split-{}-{at}", step + 1), plan }
        })
        .collect()
}

/// Whether the plan splits the stream of a connection.
pub(crate) fn has_splits(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.value(KEY).is_some())
}

/// The plan with all streams whole.
pub(crate) fn made_whole(plan: &Plan) -> Plan {
    let steps = plan.steps.iter().map(|step| step.clone().without(KEY)).collect();
    Plan { setup: plan.setup.clone(), steps }
}

/// Holds a run with split streams against one with whole ones. Only if both have passed: what else
/// fails has its own name.
pub(crate) fn compare(plan: &Plan, whole: &Outcome, mut split: Outcome) -> Outcome {
    if whole.failure.is_none() && split.failure.is_none() {
        split.failure = check(plan, &whole.course, &split.course).err();
    }
    split
}

fn check(plan: &Plan, whole: &Course, split: &Course) -> Result<(), Failure> {
    splitting::check_connections(whole.connections.len(), split.connections.len())?;
    for (whole, split) in whole.connections.iter().zip(&split.connections) {
        let client = plan.steps[split.step].who.to_string();
        splitting::check_seen(client.trim(), &seen(whole), &seen(split))?;
    }
    Ok(())
}

/// What the broker sent and the client has received.
fn seen(connection: &Connection) -> Vec<Incoming> {
    let mut stream = Stream::new();
    // Who sends larger frames than agreed has been found out by the client.
    stream.set_frame_max(0);
    stream.feed(&connection.traffic.received);
    std::iter::from_fn(|| stream.poll().ok().flatten()).collect()
}
