//! Flight recordings.

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::lifecycle::{INTERVAL, START_TIMEOUT};
use super::output::Output;

/// Has the broker start anew and record that, and waits until it does.
pub(super) async fn restart(call: &Call) -> Answer {
    let node = call.node().await?;
    let limit = call.options.timeout.unwrap_or(START_TIMEOUT);
    let end = Instant::now() + limit;
    call.banner(format!("Restarting node {node} to record what goes into it ..."));
    call.post(&["flight-recordings", "restart"], b"{}".to_vec()).await?;
    // It did not record before: one that does is the new one.
    let told = loop {
        match call.get(&["flight-recordings"]).await {
            Ok(told) if told["recording"] == true => break told,
            // What it was asked for is taken away by the start.
            Ok(told) if told["next"] == false => {
                let text = "the node is there again, and does not record: its log says why";
                return Err(Failure::unavailable(text));
            }
            Err(failure) if !failure.is_unavailable() => return Err(failure),
            _ if Instant::now() >= end => return Err(super::timed_out(call, limit)),
            _ => sleep(INTERVAL).await,
        }
    };
    Ok(if call.options.is_quiet { Output::Done } else { Output::Text(said_of(&told)?) })
}

/// Where the recording is that goes on.
fn said_of(told: &Value) -> Result<String, Failure> {
    let mut files = told["files"].as_array().into_iter().flatten();
    let name = files.find(|file| file["current"] == true).and_then(|file| file["name"].as_str());
    let name = name.ok_or_else(|| Failure::software("the recording is not there"))?;
    let dir = told["directory"].as_str().unwrap_or_default();
    Ok(format!("Recording to {dir}/{name}"))
}
