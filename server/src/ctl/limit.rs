//! Limits of users and of virtual hosts.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::client::Asked;
use super::command::Answer;
use super::failure::Failure;
use super::listing::check_vhost;
use super::output::Output;
use super::policy::parsed;
use super::user;

/// The limits that there are.
const OF_USERS: [&str; 2] = ["max-connections", "max-channels"];
const OF_VHOSTS: [&str; 2] = ["max-connections", "max-queues"];

pub(super) async fn set_of_user(call: &Call) -> Answer {
    let (user, definition) = (call.arg("username"), call.arg("definition"));
    call.banner(format!("Setting user limits to \"{definition}\" for user \"{user}\" ..."));
    set(call, &["user-limits", user], definition, OF_USERS).await
}

pub(super) async fn clear_of_user(call: &Call) -> Answer {
    let (user, limit) = (call.arg("username"), call.arg("limit_type"));
    call.banner(match limit {
        "all" => format!("Clearing all limits for user \"{user}\" ..."),
        limit => format!("Clearing \"{limit}\" limit for user \"{user}\" ..."),
    });
    if call.find(&["users", user]).await?.is_none() {
        return Err(user::missing(user));
    }
    for name in OF_USERS.into_iter().filter(|name| limit == "all" || limit == *name) {
        call.delete(&["user-limits", user, name]).await?;
    }
    Ok(Output::Done)
}

pub(super) async fn list_of_users(call: &Call) -> Answer {
    if call.is_set("global") {
        call.banner("Listing limits for all users ...");
        return all(call, "user-limits", "user").await;
    }
    let user = call.maybe("user").unwrap_or("guest");
    call.banner(format!("Listing limits for user \"{user}\" ..."));
    let found = call.find(&["user-limits", user]).await?.ok_or_else(|| user::missing(user))?;
    Ok(one(&found))
}

pub(super) async fn set_of_vhost(call: &Call) -> Answer {
    let (vhost, definition) = (call.vhost(), call.arg("definition"));
    call.banner(format!("Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ..."));
    set(call, &["vhost-limits", vhost], definition, OF_VHOSTS).await
}

pub(super) async fn clear_of_vhost(call: &Call) -> Answer {
    let vhost = call.vhost();
    call.banner(format!("Clearing vhost \"{vhost}\" limits ..."));
    check_vhost(call).await?;
    for name in OF_VHOSTS {
        call.delete(&["vhost-limits", vhost, name]).await?;
    }
    Ok(Output::Done)
}

pub(super) async fn list_of_vhosts(call: &Call) -> Answer {
    if call.is_set("global") {
        call.banner("Listing limits for all vhosts ...");
        return all(call, "vhost-limits", "vhost").await;
    }
    let vhost = call.vhost();
    call.banner(format!("Listing limits for vhost \"{vhost}\" ..."));
    check_vhost(call).await?;
    Ok(one(&call.get(&["vhost-limits", vhost]).await?))
}

/// A fraction, or `absolute` and an amount.
pub(super) async fn set_memory(call: &Call) -> Answer {
    const KEY: &str = "vm_memory_high_watermark";
    let node = call.node().await?;
    let (name, value) = match call.all("value").as_slice() {
        ["absolute", amount] => {
            call.banner(format!("Setting memory threshold on {node} to {amount} bytes ..."));
            ("absolute", (*amount).to_owned())
        }
        [fraction] => {
            call.banner(format!("Setting memory threshold on {node} to {fraction} ..."));
            ("relative", (*fraction).to_owned())
        }
        _ => return Err(not_two(call)),
    };
    set_of_node(call, &format!("{KEY}.{name}"), value).await
}

/// An amount, or `mem_relative` and a factor.
pub(super) async fn set_disk(call: &Call) -> Answer {
    const KEY: &str = "disk_free_limit";
    let node = call.node().await?;
    let (name, value) = match call.all("value").as_slice() {
        ["mem_relative", factor] => {
            call.banner(format!(
                "Setting disk free limit on {node} to {factor} times the total RAM ..."
            ));
            ("relative", (*factor).to_owned())
        }
        [amount] => {
            call.banner(format!("Setting disk free limit on {node} to {amount} bytes ..."));
            ("absolute", (*amount).to_owned())
        }
        _ => return Err(not_two(call)),
    };
    set_of_node(call, &format!("{KEY}.{name}"), value).await
}

fn not_two(call: &Call) -> Failure {
    Failure::usage(format!(
        "Error (argument validation): `warren ctl help {}` says what it takes",
        call.name
    ))
}

async fn set_of_node(call: &Call, key: &str, value: String) -> Answer {
    let asked = call.send(Asked {
        body: json!({ key: value }).to_string().into(),
        ..Asked::new(Method::PUT, "/api/node-limits")
    });
    let told = asked.await?;
    if told.status == StatusCode::BAD_REQUEST {
        return Err(Failure::argument(told.json()["reason"].as_str().unwrap_or_default()));
    }
    call.settled(told)?;
    Ok(Output::Done)
}

/// Sets all limits of a definition, or none if one of them is none.
async fn set(call: &Call, path: &[&str], definition: &str, known: [&str; 2]) -> Answer {
    let Value::Object(limits) = parsed(definition)? else {
        return Err(Failure::unavailable("limits must be a JSON object"));
    };
    for (name, value) in &limits {
        if !known.contains(&name.as_str()) {
            return Err(Failure::unavailable(format!(
                "Validation failed\n\nUnrecognised terms [{{\"{name}\",{value}}}] in limits"
            )));
        }
        if !value.is_i64() {
            let text =
                format!("Validation failed\n\n{name} should be a number, actually was {value}");
            return Err(Failure::unavailable(text));
        }
    }
    for (name, value) in &limits {
        let path = [path, &[name.as_str()]].concat();
        call.put(&path, &json!({ "value": value })).await?;
    }
    Ok(Output::Done)
}

/// The limits of each that has any, as RabbitMQ has them: JSON in a column.
async fn all(call: &Call, path: &str, whose: &'static str) -> Answer {
    let found = call.get(&[path]).await?;
    let row = |one: &Value| {
        vec![(whose, one[whose].clone()), ("limits", json!(one["value"].to_string()))]
    };
    Ok(Output::Rows(found.as_array().into_iter().flatten().map(row).collect()))
}

/// The limits of one, as JSON.
fn one(found: &Value) -> Output {
    let limits = found.get(0).map_or(json!({}), |one| one["value"].clone());
    Output::Either(limits.to_string(), limits)
}
