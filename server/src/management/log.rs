//! The log: its last records, what is logged, and where.

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tracing::Level;

use super::call::{Answer, Call, Failure, Reply};
use crate::logging::{self, Record};

/// How many records are told, unless it is said, and at the most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Who asks again with `last_id` as `since` gets what came meanwhile.
pub(super) async fn list(call: Call) -> Answer {
    let number = |key: &'static str| match call.query.get(key) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::bad_request(format!("{key} is not a number"))),
        },
    };
    let since = number("since")?;
    let limit = number("limit")?.map_or(LIMIT, |limit| limit.min(LIMIT_MAX as u64) as usize);
    let level = match call.query.get("level") {
        None => Level::TRACE,
        Some(name) => {
            logging::level(name).and_then(|level| level.into_level()).ok_or_else(|| {
                Failure::bad_request("level is not one of error, warning, info, debug")
            })?
        }
    };
    let (newest_id, records) = call.state.node.logs.recent().read(since, limit, level);
    // Where who asks goes on: behind what was told, or behind all there is if that was not more.
    let last_id = match records.last() {
        Some(last) if records.len() == limit && since.is_some() => last.id,
        _ => newest_id,
    };
    let records: Vec<_> = records.into_iter().map(record_json).collect();
    Ok(Reply::Json(json!({ "last_id": last_id, "records": records })))
}

fn record_json(record: Record) -> Value {
    json!({
        "id": record.id,
        "time": humantime::format_rfc3339_micros(record.time).to_string(),
        "level": logging::level_name(record.level),
        "message": record.message,
        "fields": record.fields,
    })
}

pub(super) async fn rotate(call: Call) -> Answer {
    let logs = call.state.node.logs.clone();
    // It waits for the disk.
    match spawn_blocking(move || logs.rotate()).await {
        Ok(Ok(())) => Ok(Reply::Done),
        Ok(Err(error)) => Err(Failure::unavailable(format!("the log file stays: {error}"))),
        Err(error) => Err(Failure::unavailable(error.to_string())),
    }
}

pub(super) async fn set_level(call: Call) -> Answer {
    let name = call.param("level").unwrap_or_default();
    let Some(level) = logging::level(name) else {
        return Err(Failure::bad_request(format!("there is no level '{name}'")));
    };
    call.state.node.logs.set_level(level);
    for key in ["log.console.level", "log.file.level"] {
        call.state.node.in_force.ask(key, name);
    }
    Ok(Reply::Done)
}
