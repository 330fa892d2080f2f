//! What the node is, and how it is.

use std::fmt::Write;

use serde_json::{Value, json};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use crate::management::RABBITMQ_VERSION;

/// How many bytes units have.
const UNITS: [(&str, f64); 7] = [
    ("bytes", 1.0),
    ("mb", 1e6),
    ("mib", 1_048_576.0),
    ("gb", 1e9),
    ("gib", 1_073_741_824.0),
    ("tb", 1e12),
    ("tib", 1_099_511_627_776.0),
];

/// What the API says of the node.
pub(super) struct Report {
    pub(super) name: String,
    pub(super) node: Value,
    overview: Value,
}

impl Report {
    /// Asks for it.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) async fn of(call: &Call) -> Result<Self, Failure> {
        let overview = call.get(&["overview"]).await?;
        let name = call.node().await?;
        Ok(Self { node: call.get(&["nodes", &name]).await?, name, overview })
    }

    /// What it listens on.
    pub(super) fn listeners(&self) -> Vec<Value> {
        listeners_of(&self.overview)
    }

    /// Which resources are short.
    pub(super) fn alarms(&self) -> Vec<Value> {
        let raised = [("memory", "mem_alarm"), ("disk", "disk_free_alarm")];
        let raised = raised.into_iter().filter(|(_, key)| self.node[*key] == true);
        let kind = "resource_limit";
        let alarm = |resource| json!({ "type": kind, "resource": resource, "node": self.name });
        raised.map(|(resource, _)| alarm(resource)).collect()
    }
}

/// Alarms for people, a line each.
pub(super) fn alarm_lines(alarms: &[Value]) -> Vec<String> {
    let line = |alarm: &Value| {
        let what = if alarm["resource"] == "memory" { "Memory" } else { "Free disk space" };
        format!("{what} alarm on node {}", text(&alarm["node"]))
    };
    alarms.iter().map(line).collect()
}

/// What is listened on, as RabbitMQ's tools have it.
pub(super) fn listeners_of(overview: &Value) -> Vec<Value> {
    let listener = |one: &Value| {
        let ip = text(&one["ip_address"]);
        let interface = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let protocol = text(&one["protocol"]);
        json!({
            "node": one["node"],
            "interface": interface,
            "port": one["port"],
            "protocol": protocol,
            "purpose": purpose(protocol),
        })
    };
    overview["listeners"].as_array().into_iter().flatten().map(listener).collect()
}

fn purpose(protocol: &str) -> &str {
    match protocol {
        "amqp" => "AMQP 0-9-1",
        "amqp/ssl" => "AMQP 0-9-1 over TLS",
        "http" => "HTTP API",
        "https" => "HTTP API over TLS (HTTPS)",
        "http/prometheus" => "Prometheus exporter API over HTTP",
        other => other,
    }
}

/// A line of what is listened on, which begins with `interface`, or more.
fn listener_line(begin: &str, one: &Value) -> String {
    let part = |key: &str| text(&one[key]);
    format!(
        "{begin}: {}, port: {}, protocol: {}, purpose: {}",
        part("interface"),
        one["port"],
        part("protocol"),
        part("purpose")
    )
}

pub(super) async fn status(call: &Call) -> Answer {
    let unit = unit(call)?;
    let node = call.node().await?;
    call.banner(format!("Status of node {node} ..."));
    let report = Report::of(call).await?;
    let vhosts = call.get(&["vhosts"]).await?.as_array().map_or(0, Vec::len);
    let memory = memory(call, &node).await?;
    let found = status_json(&report, &memory, vhosts);
    let text = status_text(&found, &memory, unit);
    Ok(Output::Either(text, found))
}

fn status_json(report: &Report, memory: &[(String, u64)], vhosts: usize) -> Value {
    let Report { name, node, overview } = report;
    let totals = &overview["object_totals"];
    let memory: serde_json::Map<_, _> =
        memory.iter().map(|(name, bytes)| (name.clone(), json!(bytes))).collect();
    json!({
        "node": name,
        "os": std::env::consts::OS,
        "pid": node["os_pid"].as_str().and_then(|pid| pid.parse::<u64>().ok()),
        "product_name": overview["product_name"],
        "product_version": overview["product_version"],
        "rabbitmq_version": overview["rabbitmq_version"],
        "uptime": node["uptime"].as_u64().unwrap_or(0) / 1000,
        "is_under_maintenance": false,
        "processes": { "used": node["proc_used"], "limit": node["proc_total"] },
        "run_queue": node["run_queue"],
        "net_ticktime": node["net_ticktime"],
        "vm_memory_calculation_strategy": "rss",
        "vm_memory_high_watermark_limit": node["mem_limit"],
        "vm_memory_high_watermark_setting": { "absolute": node["mem_limit"] },
        "disk_free": node["disk_free"],
        "disk_free_limit": node["disk_free_limit"],
        "alarms": report.alarms(),
        "tags": [],
        "listeners": report.listeners(),
        "memory": memory,
        "memory_used": node["mem_used"],
        "data_directory": node["db_dir"],
        "raft_data_directory": node["db_dir"],
        "config_files": node["config_files"],
        "log_files": node["log_files"],
        "active_plugins": node["enabled_plugins"],
        "totals": {
            "connection_count": totals["connections"],
            "queue_count": totals["queues"],
            "virtual_host_count": vhosts,
        },
    })
}

fn status_text(found: &Value, memory: &[(String, u64)], unit: (&str, f64)) -> String {
    let mut out = String::new();
    let size = |value: &Value| size(value.as_u64().unwrap_or(0), unit);
    let mut section = |title: &str, lines: &[String]| {
        let first = if out.is_empty() { "" } else { "\n" };
        let _ = write!(out, "{first}{title}\n\n");
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    };
    let list = |values: &Value| -> Vec<String> {
        let values = values.as_array().into_iter().flatten();
        values.map(|value| format!(" * {}", text(value))).collect()
    };
    section(
        "Runtime",
        &[
            format!("OS PID: {}", found["pid"]),
            format!("OS: {}", text(&found["os"])),
            format!("Uptime (seconds): {}", found["uptime"]),
            "Is under maintenance?: false".to_owned(),
            format!("Product name: {}", text(&found["product_name"])),
            format!("Product version: {}", text(&found["product_version"])),
            format!("RabbitMQ version: {}", text(&found["rabbitmq_version"])),
            format!("Node name: {}", text(&found["node"])),
        ],
    );
    section(
        "Plugins",
        &[vec!["Enabled plugins:\n".to_owned()], list(&found["active_plugins"])].concat(),
    );
    let dir = text(&found["data_directory"]);
    section("Data directory", &[format!("Node data directory: {dir}")]);
    section("Config files", &list(&found["config_files"]));
    section("Log file(s)", &list(&found["log_files"]));
    section("Alarms", &or_none(alarm_lines(found["alarms"].as_array().map_or(&[], Vec::as_slice))));
    let mut lines = vec![
        format!("Total memory used: {}", size(&found["memory_used"])),
        "Calculation strategy: rss".to_owned(),
        format!(
            "Memory high watermark setting: {0}, computed to: {0}\n",
            size(&found["vm_memory_high_watermark_limit"])
        ),
    ];
    lines.extend(breakdown(memory).map(|(name, bytes, percent)| {
        format!("{name}: {} ({percent} %)", self::size(bytes, unit))
    }));
    section("Memory", &lines);
    section(
        "Free Disk Space",
        &[
            format!("Low free disk space watermark: {}", size(&found["disk_free_limit"])),
            format!("Free disk space: {}", size(&found["disk_free"])),
        ],
    );
    let totals = &found["totals"];
    section(
        "Totals",
        &[
            format!("Connection count: {}", totals["connection_count"]),
            format!("Queue count: {}", totals["queue_count"]),
            format!("Virtual host count: {}", totals["virtual_host_count"]),
        ],
    );
    let listeners = found["listeners"].as_array().into_iter().flatten();
    section("Listeners", &or_none(listeners.map(|one| listener_line("Interface", one)).collect()));
    out.trim_end().to_owned()
}

fn or_none(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec!["(none)".to_owned()] } else { lines }
}

pub(super) async fn cluster_status(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Cluster status of node {node} ..."));
    let report = Report::of(call).await?;
    let flags = call.get(&["feature-flags"]).await?;
    let versions = json!({
        "rabbitmq_name": report.overview["product_name"],
        "rabbitmq_version": report.overview["product_version"],
        "erlang_version": "",
    });
    let json = json!({
        "cluster_name": report.overview["cluster_name"],
        "cluster_tags": [],
        "disk_nodes": [node],
        "running_nodes": [node],
        "alarms": report.alarms(),
        "maintenance_status": { &node: "not under maintenance" },
        "partitions": {},
        "listeners": { &node: report.listeners() },
        "versions": { &node: versions },
        "cpu_cores": { &node: report.node["processors"] },
        "feature_flags": flags,
    });
    let listeners = report.listeners();
    let listeners: Vec<_> = listeners
        .iter()
        .map(|one| listener_line(&format!("Node: {node}, interface"), one))
        .collect();
    let flags = flags.as_array().into_iter().flatten();
    let flags = flags.map(|flag| format!("Flag: {}, state: enabled", text(&flag["name"])));
    let product = format!(
        "{node}: {} {}",
        text(&report.overview["product_name"]),
        text(&report.overview["product_version"])
    );
    let cores = &report.node["processors"];
    let sections = [
        (
            "Basics",
            vec![
                format!("Cluster name: {}", text(&report.overview["cluster_name"])),
                format!("Total CPU cores available cluster-wide: {cores}"),
            ],
        ),
        ("Cluster Tags", or_none(Vec::new())),
        ("Disk Nodes", vec![node.clone()]),
        ("Running Nodes", vec![node.clone()]),
        ("Versions", vec![product]),
        ("CPU Cores", vec![format!("Node: {node}, available CPU cores: {cores}")]),
        ("Maintenance status", vec![format!("Node: {node}, status: not under maintenance")]),
        ("Alarms", or_none(alarm_lines(&report.alarms()))),
        ("Network Partitions", or_none(Vec::new())),
        ("Listeners", or_none(listeners)),
        ("Feature flags", flags.collect()),
    ];
    let sections = sections.map(|(title, lines)| format!("{title}\n\n{}", lines.join("\n")));
    Ok(Output::Either(sections.join("\n\n"), json))
}

/// What the node goes by, and where each value is from.
pub(super) async fn environment(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Application environment of node {node} ..."));
    let found = call.get(&["config", "effective"]).await?;
    let row = |one: &Value| {
        let at = if one["at"].is_null() { &one["source"] } else { &one["at"] };
        vec![("key", one["key"].clone()), ("value", one["value"].clone()), ("source", at.clone())]
    };
    Ok(Output::Rows(found.as_array().into_iter().flatten().map(row).collect()))
}

pub(super) async fn version(_call: &Call) -> Answer {
    Ok(Output::Either(RABBITMQ_VERSION.to_owned(), json!({ "version": RABBITMQ_VERSION })))
}

pub(super) async fn server_version(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Asking node {node} for its RabbitMQ version..."));
    let version = call.get(&["version"]).await?;
    Ok(Output::Either(text(&version).to_owned(), json!({ "result": "ok", "value": version })))
}

pub(super) async fn ping(call: &Call) -> Answer {
    let limit = call.options.timeout.map_or(60_000, |limit| limit.as_millis());
    let node = call.expected_node();
    call.banner(format!(
        "Will ping {node}. This only checks if the OS process is running and answers. Timeout: \
         {limit} ms."
    ));
    call.get(&["version"]).await?;
    Ok(Output::Text("Ping succeeded".to_owned()))
}

pub(super) async fn is_running(call: &Call) -> Answer {
    let expected = call.expected_node();
    call.banner(format!("Asking node {expected} for its status ..."));
    let running = call.node().await;
    let (is_running, message) = match running {
        Ok(node) => (true, format!("RabbitMQ on node {node} is fully booted and running")),
        Err(failure) if failure.is_unavailable() => (false, not_running(&expected)),
        Err(failure) => return Err(failure),
    };
    Ok(Output::Either(message.clone(), json!({ "result": is_running, "message": message })))
}

/// A broker that is being started does not answer yet.
pub(super) async fn is_booting(call: &Call) -> Answer {
    let node = call.expected_node();
    call.banner(format!("Asking node {node} for its boot status ..."));
    let message = format!(
        "RabbitMQ on node {node} is fully booted (check with is_running), stopped or has not \
         started booting yet"
    );
    Ok(Output::Either(message.clone(), json!({ "result": false, "message": message })))
}

pub(super) fn not_running(node: &str) -> String {
    format!(
        "RabbitMQ on node {node} is not running or has not fully booted yet (check with is_booting)"
    )
}

pub(super) async fn listeners(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Asking node {node} to report its protocol listeners ..."));
    let listeners = Report::of(call).await?.listeners();
    let lines: Vec<_> = listeners.iter().map(|one| listener_line("Interface", one)).collect();
    let json = json!({ "result": "ok", "node": node, "listeners": listeners });
    match lines.is_empty() {
        true => Ok(Output::Either(format!("Node {node} reported no enabled listeners."), json)),
        false => Ok(Output::Either(lines.join("\n"), json)),
    }
}

pub(super) async fn memory_breakdown(call: &Call) -> Answer {
    let unit = unit(call)?;
    let node = call.node().await?;
    call.banner(format!("Reporting memory breakdown on node {node}..."));
    let memory = memory(call, &node).await?;
    let lines: Vec<_> = breakdown(&memory)
        .map(|(name, bytes, percent)| format!("{name}: {} ({percent}%)", size(bytes, unit)))
        .collect();
    let json: serde_json::Map<_, _> = breakdown(&memory)
        .map(|(name, bytes, percent)| {
            (name.to_owned(), json!({ "bytes": bytes, "percentage": percent }))
        })
        .collect();
    Ok(Output::Either(lines.join("\n"), Value::Object(json)))
}

/// What takes memory, and how many bytes; what takes most comes first.
async fn memory(call: &Call, node: &str) -> Result<Vec<(String, u64)>, Failure> {
    let found = call.get(&["nodes", node, "memory"]).await?;
    let parts = found["memory"].as_object().into_iter().flatten();
    let parts = parts.filter_map(|(name, bytes)| Some((name.clone(), bytes.as_u64()?)));
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by(|(_, a), (_, b)| b.cmp(a));
    Ok(parts)
}

/// Each with its part of the whole, in per cent.
fn breakdown(memory: &[(String, u64)]) -> impl Iterator<Item = (&str, u64, f64)> {
    let total = memory.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1) as f64;
    memory.iter().map(move |(name, bytes)| {
        let percent = (*bytes as f64 / total * 10_000.0).round() / 100.0;
        (name.as_str(), *bytes, percent)
    })
}

fn unit(call: &Call) -> Result<(&'static str, f64), Failure> {
    let wanted = call.maybe("unit").unwrap_or("gb").to_ascii_lowercase();
    let known = UNITS.into_iter().find(|(name, _)| *name == wanted);
    known.ok_or_else(|| {
        Failure::usage(format!(
            "Error (argument validation): unit '{wanted}' is not supported. Please use one of: \
             bytes, mb, mib, gb, gib, tb, tib"
        ))
    })
}

fn size(bytes: u64, (name, len): (&str, f64)) -> String {
    let value = (bytes as f64 / len * 10_000.0).round() / 10_000.0;
    format!("{value} {name}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_digits_at_the_most() {
        assert_eq!(size(123_456_789, ("gb", 1e9)), "0.1235 gb");
        assert_eq!(size(5, ("bytes", 1.0)), "5 bytes");
    }

    #[test]
    fn parts_are_told_in_per_cent() {
        let memory = [("a".to_owned(), 2), ("b".to_owned(), 1)];
        let parts: Vec<_> = breakdown(&memory).collect();
        assert_eq!(parts, [("a", 2, 66.67), ("b", 1, 33.33)]);
    }
}
