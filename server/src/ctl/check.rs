//! Checks of health, as probes call them: they say what is well, and exit with a status that is not
//! zero where it is not.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::call::{Call, joined};
use super::client::Asked;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use super::status::{Report, alarm_lines, not_running};

/// How long connecting to one port may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn running(call: &Call) -> Answer {
    let expected = call.expected_node();
    call.banner(format!("Checking if RabbitMQ is running on node {expected} ..."));
    match call.node().await {
        Ok(node) => {
            let text = format!("RabbitMQ on node {node} is fully booted and running");
            Ok(passed(call, text, json!({ "result": "ok" })))
        }
        Err(failure) if failure.is_unavailable() => {
            Err(Failure::unavailable(not_running(&expected)))
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn alarms(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Asking node {node} to report any known resource alarms ..."));
    let alarms = Report::of(call).await?.alarms();
    let json = json!({ "result": "ok", "node": node, "alarms": alarms });
    Ok(Output::Either(
        match alarms.is_empty() {
            true => format!("Node {node} reported no alarms, local or clusterwide"),
            false => alarm_lines(&alarms).join("\n"),
        },
        json,
    ))
}

pub(super) async fn no_alarms(call: &Call) -> Answer {
    without_alarms(call, "no alarms, local or clusterwide").await
}

/// There is one node: all alarms are its own.
pub(super) async fn no_local_alarms(call: &Call) -> Answer {
    without_alarms(call, "no local alarms").await
}

async fn without_alarms(call: &Call, well: &str) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Asking node {node} to report any local resource alarms ..."));
    let lines = alarm_lines(&Report::of(call).await?.alarms());
    if lines.is_empty() {
        let text = format!("Node {node} reported {well}");
        return Ok(passed(call, text, json!({ "result": "ok" })));
    }
    let json = json!({
        "result": "error",
        "local": lines,
        "global": [],
        "message": format!("Node {node} reported alarms"),
    });
    Err(failed(call, lines.join("\n"), &json))
}

pub(super) async fn connectivity(call: &Call) -> Answer {
    let (node, address) = (call.node().await?, call.maybe("address"));
    let how = match address {
        None => "hostname resolution".to_owned(),
        Some(address) => format!("{address} for node IP address"),
    };
    call.banner(format!(
        "Testing TCP connections to all active listeners on node {node} using {how} ..."
    ));
    let (mut ports, mut unreachable) = (Vec::new(), Vec::new());
    let listeners = Report::of(call).await?.listeners();
    for one in &listeners {
        let port = one["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let host = address.unwrap_or_else(|| reachable(one["interface"].as_str()));
        match timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => ports.push(port),
            _ => unreachable.push(format!("Interface: {host}, port: {port}")),
        }
    }
    ports.sort_unstable();
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    if unreachable.is_empty() {
        let how = match address {
            None => "node hostname resolution".to_owned(),
            Some(address) => format!("{address} for target IP address"),
        };
        let ports = ports.join(", ");
        let text = format!("Successfully connected to ports {ports} on node {node} (using {how})");
        let json = json!({ "result": "ok", "node": node, "listeners": listeners });
        return Ok(Output::Either(text, json));
    }
    let json = json!({ "result": "error", "node": node, "failures": unreachable });
    let text = format!(
        "Error:\nConnection to ports of the following listeners on node {node} failed: \n{}",
        unreachable.join("\n")
    );
    Err(failed(call, text, &json))
}

/// An address for one that is listened on: that of all interfaces is none to connect to.
fn reachable(interface: Option<&str>) -> &str {
    match interface.unwrap_or_default() {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "::1",
        other => other.trim_matches(['[', ']']),
    }
}

pub(super) async fn port(call: &Call) -> Answer {
    let (node, wanted) = (call.node().await?, call.arg("port"));
    let Ok(port) = wanted.parse::<u16>() else {
        return Err(Failure::argument(format!("port must be a positive integer, not {wanted}")));
    };
    call.banner(format!("Asking node {node} if there's an active listener on port {port} ..."));
    let listeners = Report::of(call).await?.listeners();
    if listeners.iter().any(|one| one["port"] == port) {
        let text = format!("A listener for port {port} is running on node {node}.");
        return Ok(passed(call, text, json!({ "result": "ok", "node": node, "port": port })));
    }
    let ports: Vec<_> = listeners.iter().map(|one| one["port"].to_string()).collect();
    let text = format!(
        "No listener for port {port} is active on node {node}. Found listeners that use the \
         following ports: {}",
        ports.join(", ")
    );
    Err(failed(call, text, &json!({ "result": "error", "missing": port, "ports": ports })))
}

pub(super) async fn protocol(call: &Call) -> Answer {
    let (node, wanted) = (call.node().await?, call.arg("protocol").to_ascii_lowercase());
    let wanted = match &*wanted {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" | "amqp0_9_1" => "amqp",
        "amqps" => "amqp/ssl",
        "http1" | "http1.1" | "http_api" | "management" | "management_ui" | "ui" => "http",
        other => other,
    };
    call.banner(format!(
        "Asking node {node} if there's an active listener for protocol {wanted} ..."
    ));
    let listeners = Report::of(call).await?.listeners();
    if listeners.iter().any(|one| one["protocol"] == wanted) {
        let text = format!("A listener for protocol {wanted} is running on node {node}.");
        let json = json!({ "result": "ok", "node": node, "protocol": wanted });
        return Ok(passed(call, text, json));
    }
    let mut protocols: Vec<_> =
        listeners.iter().filter_map(|one| one["protocol"].as_str()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    let text = format!(
        "Error:\nNo listener for protocol {wanted} is active on node {node}. Found listeners for \
         the following protocols: {}",
        protocols.join(", ")
    );
    let json = json!({ "result": "error", "missing": wanted, "protocols": protocols });
    Err(failed(call, text, &json))
}

pub(super) async fn virtual_hosts(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Checking if all vhosts are running on node {node} ..."));
    let vhosts = call.get(&["vhosts"]).await?;
    let is_down = |one: &&Value| one["cluster_state"][&node] != "running";
    let down: Vec<_> = vhosts.as_array().into_iter().flatten().filter(is_down).collect();
    let down: Vec<_> = down.iter().filter_map(|one| one["name"].as_str()).collect();
    if down.is_empty() {
        let text = format!("Node {node} reported all vhosts as running");
        return Ok(passed(call, text, json!({ "result": "ok" })));
    }
    let text = format!("Error:\nSome virtual hosts on node {node} are down:\n{}", down.join("\n"));
    Err(failed(call, text, &json!({ "result": "error", "down_vhosts": down })))
}

pub(super) async fn certificates(call: &Call) -> Answer {
    let node = call.node().await?;
    let within = call.number("within").unwrap_or(4);
    let unit = call.maybe("unit").unwrap_or("weeks");
    if !["days", "weeks", "months", "years"].contains(&unit) {
        return Err(Failure::usage(format!(
            "Error (argument validation): unit '{unit}' is not supported. Please use one of: \
             days, weeks, months, years"
        )));
    }
    call.banner(format!("Checking certificate expiration for all certificates on node {node} ..."));
    let path = ["health", "checks", "certificate-expiration", &within.to_string(), unit];
    let label = if within == 1 { unit.trim_end_matches('s') } else { unit };
    let told = call.send(Asked::new(Method::GET, &joined(&path))).await?;
    if told.status == StatusCode::SERVICE_UNAVAILABLE {
        let found = told.json();
        let of = |one: &Value| one["protocol"].as_str().unwrap_or_default().to_owned();
        let expiring: Vec<_> = found["expired"].as_array().into_iter().flatten().map(of).collect();
        let text = format!(
            "Certificates that run out within {within} {label}, or have: those of {}.",
            expiring.join(", ")
        );
        return Err(failed(call, text, &found));
    }
    call.settled(told)?;
    let text = format!("No certificates are expiring within {within} {label}.");
    Ok(passed(call, text, json!({ "result": "ok" })))
}

/// Nobody depends on the node for a quorum: there is one node.
pub(super) async fn not_critical(call: &Call) -> Answer {
    let node = call.node().await?;
    let text = format!(
        "Node {node} seems to be the only one in a single node cluster, the check does not apply"
    );
    Ok(passed(call, text.clone(), json!({ "result": "ok", "message": text })))
}

/// What is said of a check that all is well with.
fn passed(call: &Call, text: String, json: Value) -> Output {
    match call.options.is_silent && !call.options.format.is_json() {
        true => Output::Done,
        false => Output::Either(text, json),
    }
}

fn failed(call: &Call, text: String, json: &Value) -> Failure {
    match (call.options.format.is_json(), call.options.is_silent) {
        (true, _) => Failure::check_json(json),
        (false, true) => Failure::check(String::new()),
        (false, false) => Failure::check(text),
    }
}
