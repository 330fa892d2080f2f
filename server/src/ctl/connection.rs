//! Closing connections.

use std::time::Duration;

use serde_json::Value;

use super::call::{Call, joined};
use super::command::Answer;
use super::failure::Failure;
use super::listing::check_vhost;
use super::output::Output;
use super::user;

pub(super) async fn close(call: &Call) -> Answer {
    let (wanted, reason) = (call.arg("connection"), call.arg("explanation"));
    call.banner(format!("Closing connection {wanted}, reason: {reason}..."));
    let all = connections(call).await?;
    let is_it = |one: &&Value| one["pid"] == wanted || one["name"] == wanted;
    // As in RabbitMQ, one that is gone is closed.
    if let Some(found) = all.iter().find(is_it) {
        close_one(call, found, reason).await?;
    }
    Ok(Output::Done)
}

pub(super) async fn close_all(call: &Call) -> Answer {
    let (vhost, reason) = (call.vhost(), call.arg("explanation"));
    let limit = usize::try_from(call.number("limit").unwrap_or(0)).unwrap_or(0);
    let is_global = call.is_set("global");
    call.banner(match (is_global, limit) {
        (true, _) => format!(
            "Closing all connections to node {} (across all vhosts), reason: {reason}...",
            call.node().await?
        ),
        (false, 0) => format!("Closing all connections in vhost {vhost}, reason: {reason}..."),
        (false, _) => format!("Closing {limit} connections in vhost {vhost}, reason: {reason}..."),
    });
    if !is_global {
        check_vhost(call).await?;
    }
    let mut all = connections(call).await?;
    all.retain(|one| is_global || one["vhost"] == vhost);
    if limit > 0 && !is_global {
        all.truncate(limit);
    }
    let delay = u64::try_from(call.number("per-connection-delay").unwrap_or(0)).unwrap_or(0);
    for one in &all {
        close_one(call, one, reason).await?;
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    Ok(Output::Text(format!("Closed {} connections", all.len())))
}

pub(super) async fn close_of_user(call: &Call) -> Answer {
    let (user, reason) = (call.arg("username"), call.arg("explanation"));
    call.banner(format!("Closing connections of user {user}, reason: {reason}..."));
    if call.find(&["users", user]).await?.is_none() {
        return Err(user::missing(user));
    }
    call.delete_for(&joined(&["connections", "username", user]), Some(reason)).await?;
    Ok(Output::Done)
}

async fn connections(call: &Call) -> Result<Vec<Value>, Failure> {
    let path = format!("{}?columns=name,pid,vhost", joined(&["connections"]));
    Ok(call.get_at(&path).await?.as_array().cloned().unwrap_or_default())
}

async fn close_one(call: &Call, one: &Value, reason: &str) -> Result<(), Failure> {
    let name = one["name"].as_str().unwrap_or_default();
    call.delete_for(&joined(&["connections", name]), Some(reason)).await.map(drop)
}
