//! Where a message would go, were it published: found by the broker's own routing, without
//! publishing anything.

use serde_json::{Value, json};
use warren_core::Broker;
use warren_core::listing::{Course, CourseBinding, CourseBy, CourseEnd, CourseQueue, CourseStep};

use super::call::{Answer, Call, Reply, short};
use super::exchange;
use super::json as table;

/// No more steps, and no more queues, are told of.
const TOLD_MAX: usize = 500;

/// Answers with the exchanges, steps and queues of a message's way. The body is as for publishing,
/// without a payload: `routing_key`, and `properties` with `headers`.
pub(super) async fn course(call: Call) -> Answer {
    let (vhost, name) = (call.vhost().await?, call.name("exchange")?);
    let object = call.object()?;
    let key = short(object.text_or("routing_key", "")?)?;
    let properties = table::to_properties(object.get("properties").unwrap_or(&json!({})))?;
    let look = move |broker: &Broker| broker.course(&vhost, &name, &key, &properties, TOLD_MAX);
    Ok(Reply::Json(to_json(&call.state.broker.look(look).await?)))
}

fn to_json(course: &Course) -> Value {
    let exchanges: Vec<Value> = course.exchanges.iter().map(exchange::to_json).collect();
    json!({
        "routing_keys": course.keys.iter().map(|key| key.to_text()).collect::<Vec<_>>(),
        "delay_ms": course.delay_ms,
        "exchanges": exchanges,
        "steps": course.steps.iter().map(step).collect::<Vec<_>>(),
        "steps_total": course.steps_count,
        "queues": course.queues.iter().map(queue).collect::<Vec<_>>(),
        "queues_total": course.queues_count,
        "direct_replies": course.replies_count,
    })
}

fn step(step: &CourseStep) -> Value {
    let (kind, name) = match &step.end {
        CourseEnd::Queue(name) => ("queue", name.to_text()),
        CourseEnd::Exchange(name) => ("exchange", name.to_text()),
        CourseEnd::Reply => ("reply", "".into()),
    };
    let by = match step.by {
        CourseBy::Bindings => "binding",
        CourseBy::QueueName => "queue_name",
        CourseBy::Hash => "hash",
        CourseBy::Chance => "chance",
        CourseBy::Alternate => "alternate",
    };
    let binding = |one: &CourseBinding| {
        json!({
            "routing_key": one.key.to_text(),
            "arguments": table::from_table(&one.arguments),
        })
    };
    json!({
        "source": step.source.to_text(),
        "destination": name,
        "destination_type": kind,
        "by": by,
        "certain": step.is_certain,
        "bindings": step.bindings.iter().map(binding).collect::<Vec<_>>(),
        "more_bindings": step.has_more_bindings,
    })
}

fn queue(queue: &CourseQueue) -> Value {
    json!({
        "name": queue.name.to_text(),
        "certain": queue.is_certain,
        "full": queue.is_full,
    })
}
