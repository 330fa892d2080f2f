//! What Warren adds to RabbitMQ's API: looking at messages without taking them, deleting one of
//! them, pausing a queue, changing its arguments, and messages that are delayed.

use serde_json::{Value, json};
use warren_core::listing::{MessageId, MessageInfo};
use warren_core::{Broker, Command, DelayedMessage};

use super::call::{Answer, Call, Failure, Reply};
use super::page::{self, Ready};
use super::session::Content;
use super::{json as table, message, queue};

/// How many messages are looked at where nothing is said of it, and at the most.
const COUNT: usize = 10;
const COUNT_MAX: usize = 500;

/// The first ready messages of a queue, or those behind one of them. They stay as they are.
pub(super) async fn browse(call: Call) -> Answer {
    let queue = queue::find(&call).await?;
    let count = count(&call)?;
    let truncate = match call.query.get("truncate") {
        Some(len) => Some(len.parse().map_err(|_| Failure::bad_request("invalid truncate"))?),
        None => None,
    };
    let after = call.query.get("after").map(read_id).transpose()?;
    let look = move |broker: &Broker| {
        broker.list_messages(&queue.vhost, &queue.name, after, count).unwrap_or_default()
    };
    let messages = call.state.broker.look(look).await;
    let json = |info: &MessageInfo| {
        let mut json = match &info.message {
            Some(message) => {
                let body: Vec<u8> = message.body.pieces().flatten().copied().collect();
                let properties = message.properties.clone();
                let content = Content { properties, body: body.into() };
                let mut json = message::to_json(&content, true, truncate);
                json["exchange"] = json!(message.exchange.to_text());
                json["routing_key"] = json!(message.routing_key.to_text());
                json
            }
            // It is on disk only, and nobody is kept waiting for this to read it.
            None => json!({ "payload": null }),
        };
        json["id"] = json!(format!("{}-{}", info.id.row, info.id.position));
        json["redelivered"] = json!(info.redelivered);
        json["delivery_count"] = json!(info.returns);
        json["expires_at"] = json!(info.expires_ms);
        json
    };
    Ok(Reply::Json(messages.iter().map(json).collect()))
}

pub(super) async fn delete(call: Call) -> Answer {
    let found = queue::find(&call).await?;
    let message = read_id(call.param("id").unwrap_or_default())?;
    let (vhost, queue) = (found.vhost, found.name);
    let command = Command::DeleteMessage { vhost, queue, message };
    Ok(call.state.broker.command(command).await?.into())
}

/// A queue has the arguments in the object from now on, which take the place of its own.
pub(super) async fn set_arguments(call: Call) -> Answer {
    let found = queue::find(&call).await?;
    let object = call.object()?;
    let arguments = table::to_table(object.required("arguments")?)?;
    let (vhost, queue) = (found.vhost, found.name);
    let command = Command::SetQueueArguments { vhost, queue, arguments };
    Ok(call.state.broker.command(command).await?.into())
}

/// A queue hands out nothing any more, or does again.
pub(super) async fn pause(call: Call, is_paused: bool) -> Answer {
    let found = queue::find(&call).await?;
    let (vhost, queue) = (found.vhost, found.name);
    call.state.broker.command(Command::PauseQueue { vhost, queue, is_paused }).await?;
    Ok(Reply::Done)
}

/// The messages of a virtual host that are delayed, those that go first in front.
pub(super) async fn delayed(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let count = count(&call)?;
    let after = match (call.query.get("after"), call.query.get("after_due")) {
        (Some(id), Some(due)) => match (id.parse(), due.parse()) {
            (Ok(id), Ok(due_ms)) => Some(DelayedMessage { due_ms, id }),
            _ => return Err(Failure::bad_request("invalid after")),
        },
        _ => None,
    };
    let name = vhost.to_text().into_owned();
    let look = move |broker: &Broker| broker.delayed(&name, after, count);
    let messages = call.state.broker.look(look).await;
    let json: Vec<Value> =
        messages.iter().map(|one| json!({ "id": one.id, "due_at": one.due_ms })).collect();
    let rows = json.into_iter().map(|json| Ready { vhost: vhost.clone(), name: "".into(), json });
    page::list(&call, rows.collect())
}

pub(super) async fn cancel(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let id = call.param("id").and_then(|id| id.parse().ok()).ok_or_else(Failure::no_object)?;
    Ok(call.state.broker.command(Command::CancelDelayed { vhost, id }).await?.into())
}

fn count(call: &Call) -> Result<usize, Failure> {
    let Some(count) = call.query.get("count") else { return Ok(COUNT) };
    let count = count.parse().map_err(|_| Failure::bad_request("invalid count"))?;
    Ok(COUNT_MAX.min(count))
}

fn read_id(text: &str) -> Result<MessageId, Failure> {
    let id = text.split_once('-').and_then(|(row, position)| {
        Some(MessageId { row: row.parse().ok()?, position: position.parse().ok()? })
    });
    id.ok_or_else(Failure::no_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_two_numbers() {
        assert_eq!(read_id("3-7").expect("is one"), MessageId { row: 3, position: 7 });
        for wrong in ["", "3", "3-", "a-b", "3-7-9", "-3-7"] {
            assert!(read_id(wrong).is_err(), "{wrong}");
        }
    }
}
