//! Checks of health: 200 when all is well, 503 with a reason when it is not.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::{Value, json};
use warren_core::amqp::{BasicGet, BasicPublish, Method, Properties, QueueDeclare, ShortStr};

use super::call::{Answer, Call, Failure, Reply};
use super::{overview, queue};

/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// The queue that the test of aliveness declares.
const ALIVENESS_QUEUE: ShortStr = ShortStr::from_static("aliveness-test");

/// What is always so here: there is one node, and it serves.
pub(super) async fn well(_call: Call) -> Answer {
    Ok(fine())
}

fn fine() -> Reply {
    Reply::Json(json!({ "status": "ok" }))
}

fn failed(mut more: Value, reason: &str) -> Reply {
    more["status"] = json!("failed");
    more["reason"] = json!(reason);
    Reply::Status(StatusCode::SERVICE_UNAVAILABLE, more)
}

pub(super) async fn alarms(call: Call) -> Answer {
    let node = &call.state.node.name;
    let (memory, disk) = call.state.broker.look(|broker| broker.alarms()).await;
    let raised = [("memory", memory), ("disk", disk)].into_iter().filter(|(_, is_on)| *is_on);
    let raised: Vec<_> =
        raised.map(|(resource, _)| json!({ "node": node, "resource": resource })).collect();
    if raised.is_empty() {
        return Ok(fine());
    }
    Ok(failed(json!({ "alarms": raised }), "There are alarms in effect in the cluster"))
}

/// Whether clients are served, and not told to go.
pub(super) async fn in_service(call: Call) -> Answer {
    match call.state.lifecycle.is_serving() {
        true => Ok(fine()),
        false => Ok(failed(json!({}), "this node is not in service")),
    }
}

/// Whether a client that comes is served.
pub(super) async fn ready(call: Call) -> Answer {
    let all = overview::listeners(&call.state);
    let mut protocols = all.as_array().into_iter().flatten().map(|one| one["protocol"].as_str());
    if !protocols.any(|one| one.is_some_and(|one| one.starts_with("amqp"))) {
        return Ok(failed(json!({}), "this node listens for no clients of AMQP"));
    }
    match has_room(call).await {
        Ok(Reply::Status(status, value)) => Ok(Reply::Status(status, value)),
        Ok(_) => Ok(fine()),
        Err(failure) => Err(failure),
    }
}

pub(super) async fn has_room(call: Call) -> Answer {
    if !call.state.lifecycle.is_serving() {
        return Ok(failed(json!({}), "this node is not in service"));
    }
    let (current, limit) = call.state.broker.look(|broker| broker.admitted()).await;
    match limit {
        Some(limit) if current >= u64::from(limit) => {
            let more = json!({ "current": current, "limit": limit });
            Ok(failed(more, "node connection limit is reached"))
        }
        _ => Ok(fine()),
    }
}

/// Whether all certificates are good for longer than that.
pub(super) async fn certificates(call: Call) -> Answer {
    let within = call.param("within").unwrap_or_default();
    let within: u64 = match within.parse() {
        Ok(within @ 1..=100_000) => within,
        _ => return Err(Failure::bad_request("Invalid expiration period.")),
    };
    let days = match call.param("unit").unwrap_or_default().trim_end_matches('s') {
        "day" => 1,
        "week" => 7,
        "month" => 30,
        "year" => 365,
        _ => return Err(Failure::bad_request("Time unit not recognised.")),
    };
    let then = SystemTime::now() + Duration::from_secs(within * days * DAY_S);
    let expiring: Vec<_> = call
        .state
        .node
        .expiries
        .by(then)
        .into_iter()
        .map(|(protocol, expiry)| {
            let expiry = humantime::format_rfc3339_seconds(expiry).to_string();
            json!({ "protocol": protocol, "certfile_expires_on": [expiry] })
        })
        .collect();
    match expiring.is_empty() {
        true => Ok(fine()),
        false => Ok(failed(json!({ "expired": expiring }), "Certificates expiring")),
    }
}

pub(super) async fn port_listener(call: Call) -> Answer {
    let port = call.param("port").unwrap_or_default();
    let port: u16 = port.parse().map_err(|_| Failure::bad_request("Invalid port"))?;
    let all = overview::listeners(&call.state);
    let ports: Vec<_> =
        all.as_array().into_iter().flatten().map(|one| one["port"].clone()).collect();
    if ports.contains(&json!(port)) {
        return Ok(Reply::Json(json!({ "status": "ok", "port": port })));
    }
    Ok(failed(json!({ "missing": port, "ports": ports }), "No active listener"))
}

pub(super) async fn protocol_listener(call: Call) -> Answer {
    let wanted = call.param("protocol").unwrap_or_default().to_ascii_lowercase();
    let wanted = match &*wanted {
        "amqp091" | "amqp0.9.1" | "amqp" => "amqp",
        "management" | "http" => "http",
        other => other,
    };
    let all = overview::listeners(&call.state);
    let listening = all.as_array().into_iter().flatten().map(|one| one["protocol"].clone());
    let mut protocols: Vec<_> = listening.collect();
    protocols.dedup();
    if protocols.contains(&json!(wanted)) {
        return Ok(Reply::Json(json!({ "status": "ok", "protocol": wanted })));
    }
    Ok(failed(json!({ "missing": wanted, "protocols": protocols }), "No active listener"))
}

/// Declares a queue, publishes a message to it and takes it from there.
pub(super) async fn aliveness(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let mut session = queue::open(&call, &vhost).await?;
    session.call(QueueDeclare { queue: ALIVENESS_QUEUE, ..Default::default() }).await?;
    let publish = BasicPublish { routing_key: ALIVENESS_QUEUE, ..Default::default() };
    session.publish(publish, &Properties::default(), b"test_message").await?;
    let get = BasicGet { queue: ALIVENESS_QUEUE, no_ack: true, ..Default::default() };
    let answer = session.call(get).await?;
    if matches!(answer, Method::BasicGetOk(_)) {
        session.content().await?;
        session.close().await?;
        return Ok(fine());
    }
    session.close().await?;
    Ok(failed(json!({}), "the message that was published is not there"))
}
