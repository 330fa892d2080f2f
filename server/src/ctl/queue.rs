//! Queues and what is in them: what RabbitMQ's tools do to them, and what Warren adds.

use serde_json::Value;

use super::call::{Call, joined};
use super::command::Answer;
use super::failure::Failure;
use super::listing::check_vhost;
use super::output::Output;
use super::permission::rows;

pub(super) async fn delete(call: &Call) -> Answer {
    let (vhost, queue) = (call.vhost(), call.arg("queue"));
    if queue.is_empty() {
        return Err(Failure::argument("queue name cannot be an empty string"));
    }
    let (if_empty, if_unused) = (call.is_set("if-empty"), call.is_set("if-unused"));
    let conditions = [(if_empty, "if queue is empty "), (if_unused, "if queue is unused ")];
    let conditions: Vec<_> =
        conditions.into_iter().filter(|(is_set, _)| *is_set).map(|(_, text)| text).collect();
    call.banner(format!(
        "Deleting queue '{queue}' on vhost '{vhost}' {}...",
        conditions.join("and ")
    ));
    check_vhost(call).await?;
    let path = ["queues", vhost, queue];
    let missing = || Failure::conflict("No such queue was found");
    let found = call.find(&path).await?.ok_or_else(missing)?;
    let query = format!("{}?if-empty={if_empty}&if-unused={if_unused}", joined(&path));
    match call.delete_for(&query, None).await {
        Ok(true) => {
            let count = &found["messages_ready"];
            let text = format!("Queue was successfully deleted with {count} ready messages");
            Ok(Output::Text(text))
        }
        Ok(false) => Err(missing()),
        Err(failure) if failure.says("not empty") => {
            Err(Failure::conflict("The queue is not empty"))
        }
        Err(failure) if failure.says(" in use") => Err(Failure::conflict("The queue is in use")),
        Err(failure) if failure.says("exclusive access") => {
            Err(Failure::conflict("The queue is locked or protected from deletion"))
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn purge(call: &Call) -> Answer {
    let (vhost, queue) = (call.vhost(), call.arg("queue"));
    call.banner(format!("Purging queue '{queue}' in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    match call.delete(&["queues", vhost, queue, "contents"]).await? {
        true => Ok(Output::Done),
        false => Err(missing(call, queue)),
    }
}

/// Queues are all of one broker: when one of them answers, all do.
pub(super) async fn list_unresponsive(call: &Call) -> Answer {
    call.banner(format!("Listing unresponsive queues for vhost {} ...", call.vhost()));
    check_vhost(call).await?;
    Ok(Output::Rows(Vec::new()))
}

pub(super) async fn rebalance(call: &Call) -> Answer {
    let kind = call.arg("type");
    if !["all", "classic", "quorum", "stream"].contains(&kind) {
        let text = format!("type {kind} is not supported. Try one of all, quorum, stream.");
        return Err(Failure::unavailable(text));
    }
    call.banner(format!("Re-balancing leaders of {kind} queues..."));
    call.post(&["rebalance", "queues"], Vec::new()).await?;
    Ok(Output::Done)
}

pub(super) async fn browse(call: &Call) -> Answer {
    let (vhost, queue) = (call.vhost(), call.arg("queue"));
    call.banner(format!("Browsing queue '{queue}' in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    let mut path =
        format!("{}?count={}", joined(&["queues", vhost, queue, "messages"]), count(call));
    if let Some(after) = call.maybe("after") {
        path += &format!("&after={after}");
    }
    if call.find(&["queues", vhost, queue]).await?.is_none() {
        return Err(missing(call, queue));
    }
    let columns = [
        "id",
        "redelivered",
        "exchange",
        "routing_key",
        "properties",
        "payload_bytes",
        "payload_encoding",
        "payload",
    ];
    Ok(rows(&call.get_at(&path).await?, &columns))
}

pub(super) async fn delete_message(call: &Call) -> Answer {
    let (vhost, queue, id) = (call.vhost(), call.arg("queue"), call.arg("id"));
    call.banner(format!("Deleting message {id} of queue '{queue}' in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    match call.delete(&["queues", vhost, queue, "messages", id]).await? {
        true => Ok(Output::Done),
        false => Err(Failure::data("There is no such ready message")),
    }
}

pub(super) async fn pause(call: &Call, is_paused: bool) -> Answer {
    let (vhost, queue) = (call.vhost(), call.arg("queue"));
    let what = if is_paused { "Pausing" } else { "Resuming" };
    call.banner(format!("{what} queue '{queue}' in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    if call.find(&["queues", vhost, queue]).await?.is_none() {
        return Err(missing(call, queue));
    }
    let path = ["queues", vhost, queue, "pause"];
    match is_paused {
        true => call.put(&path, &Value::Null).await?,
        false => call.delete(&path).await.map(drop)?,
    }
    Ok(Output::Done)
}

pub(super) async fn list_delayed(call: &Call) -> Answer {
    let vhost = call.vhost();
    call.banner(format!("Listing delayed messages in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    let path = format!("{}?count={}", joined(&["delayed", vhost]), count(call));
    Ok(rows(&call.get_at(&path).await?, &["id", "due_at"]))
}

pub(super) async fn cancel_delayed(call: &Call) -> Answer {
    let (vhost, id) = (call.vhost(), call.arg("id"));
    call.banner(format!("Taking back delayed message {id} in vhost '{vhost}' ..."));
    check_vhost(call).await?;
    match call.delete(&["delayed", vhost, id]).await? {
        true => Ok(Output::Done),
        false => Err(Failure::data("There is no such delayed message")),
    }
}

fn count(call: &Call) -> i64 {
    call.number("count").unwrap_or(10).max(0)
}

fn missing(call: &Call, queue: &str) -> Failure {
    let vhost = call.vhost();
    Failure::data(format!("Queue '{queue}' was not found in virtual host '{vhost}'"))
}
