//! Waiting for a broker, and stopping one.
//!
//! A broker that is there, answers: its socket is made when clients can connect. It is stopped as
//! what started it does it, by a signal, which takes that it is a process of this machine.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use super::target::Target;

/// How long a broker may take to start, to appear, and to stop, unless it is said.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(300);
const APPEAR_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// How often it is looked whether it has.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn await_startup(call: &Call) -> Answer {
    let limit = call.options.timeout.unwrap_or(START_TIMEOUT);
    until_running(call, limit, || Ok(())).await?;
    Ok(Output::Done)
}

pub(super) async fn await_online_nodes(call: &Call) -> Answer {
    let count = call.arg("count");
    let limit = call.options.timeout.unwrap_or(START_TIMEOUT);
    let node = call.expected_node();
    call.banner(format!(
        "Will wait for at least {count} nodes to join the cluster of {node}. Timeout: {} seconds.",
        limit.as_secs()
    ));
    match count.parse::<u64>() {
        Ok(0..=1) => until_running(call, limit, || Ok(())).await.map(|()| Output::Done),
        Ok(_) => Err(Failure::unavailable("there are no clusters: a broker is one node")),
        Err(_) => Err(Failure::argument(format!("`{count}` is no number of nodes"))),
    }
}

/// Waits for a broker whose process is known, or stands in a file that is being written.
pub(super) async fn wait(call: &Call) -> Answer {
    let limit = call.options.timeout.unwrap_or(APPEAR_TIMEOUT);
    let end = Instant::now() + limit;
    let pid = match (call.number("pid"), call.maybe("pidfile")) {
        (Some(_), Some(_)) => {
            let text = "Error (argument validation): Cannot specify both pid and pidfile";
            return Err(Failure::usage(text));
        }
        (None, None) => {
            let text = "Error (argument validation): No pid or pidfile specified";
            return Err(Failure::usage(text));
        }
        (Some(pid), None) => process(&pid.to_string())?,
        (None, Some(file)) => {
            call.banner(format!("Waiting for pid file '{file}' to appear"));
            loop {
                match fs::read_to_string(file) {
                    Ok(text) if !text.trim().is_empty() => break process(&text)?,
                    _ if Instant::now() > end => return Err(out_of_time(call, limit)),
                    _ => sleep(INTERVAL).await,
                }
            }
        }
    };
    call.banner(format!("pid is {}", pid.as_raw_nonzero()));
    until_running(call, end.saturating_duration_since(Instant::now()), || match test_kill_process(
        pid,
    ) {
        Err(rustix::io::Errno::SRCH) => Err(Failure::software("Error: process is not running.")),
        _ => Ok(()),
    })
    .await?;
    Ok(Output::Done)
}

/// Asks until there is an answer, as long as there is reason to.
async fn until_running(
    call: &Call,
    limit: Duration,
    may_go_on: impl Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let end = Instant::now() + limit;
    loop {
        match call.get(&["version"]).await {
            Ok(_) => return Ok(()),
            Err(failure) if !failure.is_unavailable() => return Err(failure),
            Err(_) if Instant::now() >= end => return Err(out_of_time(call, limit)),
            Err(_) => may_go_on()?,
        }
        sleep(INTERVAL).await;
    }
}

fn out_of_time(call: &Call, limit: Duration) -> Failure {
    super::timed_out(call, limit)
}

pub(super) async fn stop(call: &Call) -> Answer {
    let expected = call.expected_node();
    call.banner(match call.maybe("pidfile") {
        Some(file) => {
            format!("Stopping and halting node {expected} (will monitor pid file {file}) ...")
        }
        None => format!("Stopping and halting node {expected} ..."),
    });
    let pid = match own_process(call).await {
        Err(failure) if call.is_set("idempotent") && failure.is_unavailable() => {
            return Ok(Output::Text(format!("Node {expected} is no longer running")));
        }
        pid => pid?,
    };
    terminate(pid)?;
    until_gone(call, pid, call.options.timeout.unwrap_or(STOP_TIMEOUT)).await?;
    Ok(Output::Done)
}

pub(super) async fn shutdown(call: &Call) -> Answer {
    let (pid, node) = (own_process(call).await?, call.node().await?);
    let number = pid.as_raw_nonzero();
    call.banner(format!("Shutting down RabbitMQ node {node} running at PID {number}"));
    terminate(pid)?;
    if call.is_set("no-wait") {
        return Ok(Output::Done);
    }
    call.banner(format!("Waiting for PID {number} to terminate"));
    until_gone(call, pid, call.options.timeout.unwrap_or(STOP_TIMEOUT)).await?;
    let text = format!("RabbitMQ node {node} running at PID {number} successfully shut down");
    Ok(if call.options.is_quiet { Output::Done } else { Output::Text(text) })
}

/// The process of the broker, on this machine.
async fn own_process(call: &Call) -> Result<Pid, Failure> {
    if matches!(call.target, Target::Remote(_)) {
        return Err(Failure::data("a broker is stopped from its own machine only"));
    }
    let node = call.node().await?;
    let found = call.get(&["nodes", &node]).await?;
    process(found["os_pid"].as_str().unwrap_or_default())
}

fn process(text: &str) -> Result<Pid, Failure> {
    let number = text.trim().parse().ok().filter(|number| *number > 0).and_then(Pid::from_raw);
    number.ok_or_else(|| Failure::software("Error: garbage in pid file."))
}

fn terminate(pid: Pid) -> Result<(), Failure> {
    let sent = kill_process(pid, Signal::TERM);
    let number = pid.as_raw_nonzero();
    sent.map_err(|error| Failure::software(format!("process {number} cannot be stopped: {error}")))
}

async fn until_gone(call: &Call, pid: Pid, limit: Duration) -> Result<(), Failure> {
    let end = Instant::now() + limit;
    while is_there(pid) {
        if Instant::now() >= end {
            return Err(out_of_time(call, limit));
        }
        sleep(INTERVAL).await;
    }
    Ok(())
}

/// One that nobody has asked yet how it ended is gone all the same.
fn is_there(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    match stat {
        Ok(stat) => stat.rsplit_once(") ").is_none_or(|(_, rest)| !rest.starts_with(['Z', 'X'])),
        Err(_) => false,
    }
}
