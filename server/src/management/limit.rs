//! Limits of virtual hosts and of users. A negative one is none.

use serde_json::{Map, Value, json};
use warren_core::Command;
use warren_core::amqp::ShortStr;
use warren_core::broker::{UserLimits, VhostLimits};

use super::call::{Answer, Call, Failure, Object, Reply};
use super::page::{self, Ready};
use super::{reading, user};
use crate::config;

/// The names of limits.
const CONNECTIONS: &str = "max-connections";
const QUEUES: &str = "max-queues";
const CHANNELS: &str = "max-channels";

pub(super) async fn list_of_vhosts(call: Call) -> Answer {
    let visible = call.vhosts().await?;
    let all = reading::vhosts(&call.state.broker).await.into_iter();
    let own = all.filter(|one| visible.contains(&one.vhost.name)).filter_map(|one| {
        let value = of_vhost_json(one.vhost.limits);
        let json = json!({ "vhost": one.vhost.name.to_text(), "value": value });
        let is_any = value.as_object().is_some_and(|limits| !limits.is_empty());
        is_any.then_some(Ready { vhost: one.vhost.name, name: ShortStr::EMPTY, json })
    });
    page::list(&call, own.collect())
}

pub(super) async fn set_of_vhost(call: Call) -> Answer {
    let value = value(&call.object()?)?;
    change_of_vhost(call, value).await
}

pub(super) async fn clear_of_vhost(call: Call) -> Answer {
    change_of_vhost(call, None).await
}

async fn change_of_vhost(call: Call, value: Option<u64>) -> Answer {
    let vhost = call.vhost().await?;
    let all = reading::vhosts(&call.state.broker).await.into_iter();
    let mut found = all.filter(|one| one.vhost.name == vhost);
    let mut limits = found.next().ok_or_else(Failure::no_object)?.vhost.limits;
    match call.param("name") {
        Some(CONNECTIONS) => limits.max_connections = value,
        Some(QUEUES) => limits.max_queues = value,
        other => return Err(unknown(other)),
    }
    call.state.broker.command(Command::SetVhostLimits { vhost, limits }).await?;
    Ok(Reply::Done)
}

pub(super) async fn list_of_users(call: Call) -> Answer {
    let mut users = reading::users(&call.state.broker).await;
    if call.param("user").is_some() {
        let wanted = user::find(&call).await?.name;
        users.retain(|user| user.name == wanted);
    }
    let own = users.into_iter().filter_map(|user| {
        let value = of_user_json(user.limits);
        let json = json!({ "user": user.name.to_text(), "value": value });
        let is_any = value.as_object().is_some_and(|limits| !limits.is_empty());
        is_any.then_some(Ready { vhost: ShortStr::EMPTY, name: user.name, json })
    });
    page::list(&call, own.collect())
}

pub(super) async fn set_of_user(call: Call) -> Answer {
    let value = value(&call.object()?)?;
    change_of_user(call, value).await
}

pub(super) async fn clear_of_user(call: Call) -> Answer {
    change_of_user(call, None).await
}

/// As the configuration has them.
pub(super) async fn list_of_node(call: Call) -> Answer {
    let limits = call.state.broker.look(|broker| broker.resource_limits()).await;
    Ok(Reply::Json(json!({
        // What else there is comes on top of messages, which may have half of it.
        "vm_memory_high_watermark.absolute": limits.memory_max.unwrap_or(0).saturating_mul(2),
        "disk_free_limit.absolute": limits.disk_free_min,
    })))
}

/// Keys of the configuration, and their values as it would have them.
pub(super) async fn set_of_node(call: Call) -> Answer {
    let asked = call.object()?.0;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let asked: Vec<_> = asked.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
    let limits = config::resource_limits(&asked, call.state.node.machine);
    let limits = limits.map_err(Failure::bad_request)?;
    call.state.broker.command(Command::SetResourceLimits(limits)).await?;
    asked.iter().for_each(|(key, value)| call.state.node.in_force.ask(key, value));
    config::tell(limits);
    Ok(Reply::Done)
}

async fn change_of_user(call: Call, value: Option<u64>) -> Answer {
    let found = user::find(&call).await?;
    let mut limits = found.limits;
    match call.param("name") {
        Some(CONNECTIONS) => limits.max_connections = value,
        Some(CHANNELS) => limits.max_channels = value,
        other => return Err(unknown(other)),
    }
    let user = found.name;
    call.state.broker.command(Command::SetUserLimits { user, limits }).await?;
    Ok(Reply::Done)
}

fn unknown(name: Option<&str>) -> Failure {
    let name = name.unwrap_or_default();
    Failure::bad_request(format!("Unrecognised terms [{{<<\"{name}\">>}}] in limits"))
}

fn value(object: &Object) -> Result<Option<u64>, Failure> {
    object.required("value")?;
    Ok(u64::try_from(object.integer("value", -1)?).ok())
}

/// The limits of a virtual host in an object.
///
/// # Errors
/// When they are none.
pub(super) fn of_vhost(value: &Value) -> Result<VhostLimits, Failure> {
    let object = object(value)?;
    Ok(VhostLimits {
        max_connections: limit(&object, CONNECTIONS)?,
        max_queues: limit(&object, QUEUES)?,
    })
}

/// The limits of a user in an object.
///
/// # Errors
/// When they are none.
pub(super) fn of_user(value: &Value) -> Result<UserLimits, Failure> {
    let object = object(value)?;
    Ok(UserLimits {
        max_connections: limit(&object, CONNECTIONS)?,
        max_channels: limit(&object, CHANNELS)?,
    })
}

fn object(value: &Value) -> Result<Object, Failure> {
    match value {
        Value::Object(object) => Ok(Object(object.clone())),
        // What clients without a notion of empty objects send.
        Value::Array(values) if values.is_empty() => Ok(Object(Map::new())),
        _ => Err(Failure::bad_request("limits are not an object")),
    }
}

fn limit(object: &Object, key: &str) -> Result<Option<u64>, Failure> {
    Ok(u64::try_from(object.integer(key, -1)?).ok())
}

/// The limits that a virtual host has.
pub(super) fn of_vhost_json(limits: VhostLimits) -> Value {
    written([(CONNECTIONS, limits.max_connections), (QUEUES, limits.max_queues)])
}

/// The limits that a user has.
pub(super) fn of_user_json(limits: UserLimits) -> Value {
    written([(CONNECTIONS, limits.max_connections), (CHANNELS, limits.max_channels)])
}

fn written(limits: [(&str, Option<u64>); 2]) -> Value {
    let set = limits.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into())));
    Value::Object(set.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_limit_is_none() {
        let limits = of_vhost(&json!({ "max-queues": 3, "max-connections": -1 })).expect("limits");
        assert_eq!((limits.max_queues, limits.max_connections), (Some(3), None));
        assert_eq!(of_vhost_json(limits), json!({ "max-queues": 3 }));
        assert_eq!(of_user(&json!([])).expect("none"), UserLimits::default());
        assert!(of_user(&json!("many")).is_err());
    }
}
