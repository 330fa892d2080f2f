//! The log of the node: what is in it, where it is, and what is logged.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use super::status::Report;

/// How many records are shown, unless it is said.
const COUNT: i64 = 50;

/// How often it is asked for new ones.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn tail(call: &Call) -> Answer {
    let count = call.number("number").unwrap_or(COUNT);
    let node = call.node().await?;
    call.banner(format!("Last {count} log lines on node {node} ..."));
    let found = call.get_at(&format!("/api/logs?limit={}", count.max(0))).await?;
    let lines: Vec<_> = records(&found).map(line).collect();
    Ok(Output::Either(lines.join("\n"), found["records"].clone()))
}

pub(super) async fn stream(call: &Call) -> Answer {
    let node = call.node().await?;
    let end = match call.maybe("duration").unwrap_or("infinity") {
        "infinity" => None,
        seconds => match seconds.parse() {
            Ok(seconds) => Some(Instant::now() + Duration::from_secs(seconds)),
            Err(_) => {
                return Err(Failure::argument(format!("`{seconds}` is no number of seconds")));
            }
        },
    };
    call.banner(format!("Streaming logs from node {node} ..."));
    let is_json = call.options.format.is_json();
    let mut since = call.get_at("/api/logs?limit=0").await?["last_id"].as_u64().unwrap_or(0);
    while end.is_none_or(|end| Instant::now() < end) {
        let found = call.get_at(&format!("/api/logs?limit=1000&since={since}")).await?;
        since = found["last_id"].as_u64().unwrap_or(since);
        let mut stdout = io::stdout().lock();
        for record in records(&found) {
            let text = if is_json { record.to_string() } else { line(record) };
            if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
                // Nobody reads any more.
                return Ok(Output::Done);
            }
        }
        drop(stdout);
        sleep(INTERVAL).await;
    }
    Ok(Output::Done)
}

fn records(found: &Value) -> impl Iterator<Item = &Value> {
    found["records"].as_array().into_iter().flatten()
}

/// A record as it stands in the log.
fn line(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let mut line =
        format!("{} {:>7} {}", text("time"), text("level").to_uppercase(), text("message"));
    for (name, value) in record["fields"].as_object().into_iter().flatten() {
        line += &format!(" {name}={value}");
    }
    line
}

pub(super) async fn location(call: &Call) -> Answer {
    let node = call.node().await?;
    let is_all = call.is_set("all");
    call.banner(match is_all {
        true => format!("Log file locations on node {node} ..."),
        false => format!("Log file location on node {node} ..."),
    });
    let report = Report::of(call).await?;
    let files = report.node["log_files"].as_array().cloned().unwrap_or_default();
    let told = if is_all { files.len() } else { 1 };
    let files: Vec<_> = files.iter().filter_map(Value::as_str).take(told).collect();
    Ok(Output::Either(files.join("\n"), json!(files)))
}

pub(super) async fn rotate(call: &Call) -> Answer {
    let node = call.node().await?;
    call.banner(format!("Rotating logs for node {node} ..."));
    call.post(&["logs", "rotate"], Vec::new()).await?;
    Ok(Output::Done)
}

/// A category may stand before the level; there is one for everything.
pub(super) async fn set_level(call: &Call) -> Answer {
    let words = call.all("log_level");
    let level = match words.as_slice() {
        [level] => level,
        [_, _] => {
            return Err(Failure::unavailable(
                "logs are not divided into categories: name the level only",
            ));
        }
        _ => return Err(Failure::usage("Error (argument validation): too many arguments.")),
    };
    call.banner(format!("Setting log level to \"{level}\" ..."));
    call.put(&["logs", "level", level], &json!({})).await?;
    Ok(Output::Done)
}
