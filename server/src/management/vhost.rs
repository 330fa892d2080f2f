//! Virtual hosts.

use serde_json::{Value, json};
use warren_core::amqp::ShortStr;
use warren_core::broker::{Permission, VhostMetadata, VirtualHost};
use warren_core::listing::QueueInfo;
use warren_core::{Command, Done};

use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::page::{self, Ready};
use super::{State, limit, reading, user, vhost_beginning};

pub(super) async fn list(call: Call) -> Answer {
    let visible = call.vhosts().await?;
    let mut rows = Vec::new();
    // To count messages takes a look at every queue; who asks for other columns need not wait.
    let columns = call.query.get("columns").unwrap_or_default();
    let is_counted = columns.is_empty() || columns.contains("messages");
    let counts = if is_counted { counts(&call.state).await } else { Vec::new() };
    for status in reading::vhosts(&call.state.broker).await {
        if visible.contains(&status.vhost.name) {
            let json = to_json(&call.state, &status.vhost, &counts);
            rows.push(Ready { vhost: ShortStr::EMPTY, name: status.vhost.name, json });
        }
    }
    page::list(&call, rows)
}

pub(super) async fn one(call: Call) -> Answer {
    let vhost = find(&call).await?;
    let counts = counts(&call.state).await;
    page::one(&call, to_json(&call.state, &vhost, &counts))
}

pub(super) async fn set(call: Call) -> Answer {
    let vhost = call.name("vhost")?;
    let reply = put(&call.state, vhost.clone(), &call.object()?).await?;
    if matches!(reply, Reply::Created(_)) && !call.user.is_operator {
        // As in RabbitMQ, who has made it may do everything in it. Operators may anyway.
        let (user, permission) = (call.user.name, Permission::full());
        let command = Command::SetPermission { vhost, user, permission };
        call.state.broker.command(command).await?;
    }
    Ok(reply)
}

/// Makes a virtual host of an object, or changes one. What is not said stays as it is.
///
/// # Errors
/// When the object describes none.
pub(super) async fn put(state: &State, name: ShortStr, object: &Object) -> Answer {
    let all = reading::vhosts(&state.broker).await.into_iter();
    let mut known = all.filter(|status| status.vhost.name == name);
    let known = known.next().map(|status| status.vhost.metadata).unwrap_or_default();
    let nested = match object.get("metadata") {
        Some(Value::Object(nested)) => Object(nested.clone()),
        _ => Object(serde_json::Map::new()),
    };
    let get = |key: &str| object.get(key).or(nested.get(key));
    let text = |key: &str| get(key).and_then(Value::as_str);
    let metadata = VhostMetadata {
        description: text("description").map_or(known.description, str::to_owned),
        tags: get("tags").map(user::tags).transpose()?.unwrap_or(known.tags),
        default_queue_type: match text("default_queue_type") {
            Some("undefined" | "") => None,
            Some(kind) => Some(short(kind)?),
            None => known.default_queue_type,
        },
        protected: known.protected,
    };
    let command = Command::SetVhost { vhost: name.clone(), metadata };
    let done = state.broker.command(command).await?;
    if done == Done::Created {
        vhost_beginning::begin(state, &name).await?;
    }
    Ok(done.into())
}

pub(super) async fn delete(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    Ok(call.state.broker.command(Command::DeleteVhost { vhost }).await?.into())
}

/// From now on it can be deleted, or cannot.
pub(super) async fn protect(call: Call, protected: bool) -> Answer {
    let found = find(&call).await?;
    let metadata = VhostMetadata { protected, ..found.metadata };
    call.state.broker.command(Command::SetVhost { vhost: found.name, metadata }).await?;
    Ok(Reply::Done)
}

/// What RabbitMQ's tools do to virtual hosts that failed; here there is nothing to be done.
pub(super) async fn start(call: Call) -> Answer {
    call.vhost().await?;
    Ok(Reply::Done)
}

async fn find(call: &Call) -> Result<VirtualHost, Failure> {
    let name = call.vhost().await?;
    let all = reading::vhosts(&call.state.broker).await.into_iter();
    let mut found = all.filter(|status| status.vhost.name == name);
    found.next().map(|status| status.vhost).ok_or_else(Failure::no_object)
}

/// How many messages are ready, and handed out, in each virtual host's queues.
async fn counts(state: &State) -> Vec<(ShortStr, u64, u64)> {
    let mut counts: Vec<(ShortStr, u64, u64)> = Vec::new();
    let add = |queue: QueueInfo| {
        let (ready, unacked) = (queue.numbers.ready, queue.numbers.unacked);
        match counts.iter_mut().find(|(name, ..)| *name == queue.vhost) {
            Some(count) => (count.1, count.2) = (count.1 + ready, count.2 + unacked),
            None => counts.push((queue.vhost, ready, unacked)),
        }
        None::<()>
    };
    reading::of_queues(&state.broker, add).await;
    counts
}

fn to_json(state: &State, vhost: &VirtualHost, counts: &[(ShortStr, u64, u64)]) -> Value {
    let count = counts.iter().find(|(name, ..)| *name == vhost.name);
    let (ready, unacked) = count.map_or((0, 0), |(_, ready, unacked)| (*ready, *unacked));
    let metadata = metadata(&vhost.metadata);
    json!({
        "name": vhost.name.to_text(),
        "description": metadata["description"],
        "tags": metadata["tags"],
        "default_queue_type": metadata["default_queue_type"],
        "metadata": metadata,
        "limits": limit::of_vhost_json(vhost.limits),
        "tracing": false,
        "protected_from_deletion": vhost.metadata.protected,
        "cluster_state": { &state.node.name: "running" },
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
    })
}

/// What is known of a virtual host, as JSON.
pub(super) fn metadata(metadata: &VhostMetadata) -> Value {
    let kind = metadata.default_queue_type.as_ref();
    json!({
        "description": metadata.description,
        "tags": metadata.tags.iter().map(|tag| tag.to_text()).collect::<Vec<_>>(),
        "default_queue_type": kind.map_or("classic".into(), |kind| kind.to_text()),
    })
}
