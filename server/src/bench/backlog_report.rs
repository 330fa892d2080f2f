//! The figures of a backlog, as a table for a person and as one JSON object for a program.

use std::fmt;

use serde::Serialize;

use super::backlog::{BacklogPlan, Drained, Filled, Mark, MeasuredBacklog, Order, Progress};
use super::report::{Percentiles, Workload, grouped};

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct BacklogReport {
    measurement: &'static str,
    /// What the broker calls itself.
    broker: String,
    uri: String,
    messages: u64,
    workload: Workload,
    /// Whether the user ended it early.
    interrupted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fill: Option<Fill>,
    /// One for each queue.
    drains: Vec<Drain>,
}

#[derive(Debug, Serialize)]
struct Fill {
    #[serde(flatten)]
    half: Half,
    refused: u64,
    confirm_us: Percentiles,
}

#[derive(Debug, Serialize)]
struct Drain {
    #[serde(flatten)]
    half: Half,
    redelivered: u64,
    missing: u64,
    misplaced: u64,
}

/// A half, or a queue's part of it.
#[derive(Debug, Serialize)]
pub(super) struct Half {
    messages: u64,
    seconds: f64,
    per_s: f64,
    parts: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_memory_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_cpu_us_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_written_bytes: Option<u64>,
}

/// What was done from one mark to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Part {
    /// Messages done with at its end.
    messages: u64,
    per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_cpu_us_per_message: Option<f64>,
}

impl BacklogReport {
    /// What `measured` comes to.
    pub(super) fn new(backlog: &BacklogPlan, measured: &MeasuredBacklog) -> Self {
        Self {
            measurement: "backlog",
            broker: measured.broker.clone(),
            uri: backlog.plan.workload.uri.to_string(),
            messages: backlog.messages,
            workload: Workload::of(&backlog.plan),
            interrupted: measured.interrupted,
            fill: measured.fill.as_ref().map(Fill::new),
            drains: measured.drains.iter().map(Drain::new).collect(),
        }
    }
}

impl Fill {
    fn new(filled: &Filled) -> Self {
        Self {
            half: Half::new(&filled.progress),
            refused: filled.refused,
            confirm_us: Percentiles::of(Some(&filled.confirm)),
        }
    }
}

impl Drain {
    fn new(drained: &Drained) -> Self {
        let Order { redelivered, missing, misplaced, .. } = drained.order;
        Self { half: Half::new(&drained.progress), redelivered, missing, misplaced }
    }
}

impl Half {
    /// What `progress` comes to.
    pub(super) fn new(progress: &Progress) -> Self {
        let start = Mark::default();
        let end = progress.marks.last().copied().unwrap_or_default();
        let before = std::iter::once(&start).chain(&progress.marks);
        let part = |(mark, before): (&Mark, &Mark)| Part {
            messages: mark.messages,
            per_s: mark.per_s_since(before),
            broker_memory_bytes: mark.memory,
            broker_cpu_us_per_message: mark.cpu_us_since(before),
        };
        let us = progress.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / end.messages as f64);
        Self {
            messages: end.messages,
            seconds: end.time.as_secs_f64(),
            per_s: if end.messages > 0 { end.per_s_since(&start) } else { 0.0 },
            parts: progress.marks.iter().zip(before).map(part).collect(),
            broker_memory_peak_bytes: progress.memory_peak,
            broker_cpu_us_per_message: us.filter(|us| us.is_finite()),
            broker_written_bytes: progress.written,
        }
    }
}

impl fmt::Display for BacklogReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let early = if self.interrupted { ", ended early" } else { "" };
        writeln!(f, "backlog of {} at {}{early}", self.broker, self.uri)?;
        writeln!(f, "{} messages; {}", grouped(self.messages), self.workload)?;
        if let Some(Fill { half, refused, confirm_us }) = &self.fill {
            write!(f, "\n{:<8}{half}", "fill")?;
            let Percentiles { p50, p99, max, .. } = confirm_us;
            writeln!(f, "confirms: p50 {p50:.1} µs, p99 {p99:.1} µs, max {max:.1} µs")?;
            if *refused > 0 {
                writeln!(f, "{} REFUSED", grouped(*refused))?;
            }
        }
        for Drain { half, redelivered, missing, misplaced } in &self.drains {
            write!(f, "\n{:<8}{half}", "drain")?;
            if *redelivered > 0 {
                writeln!(f, "{} redelivered", grouped(*redelivered))?;
            }
            match (missing, misplaced) {
                (0, 0) => writeln!(f, "all in order")?,
                (missing, misplaced) => writeln!(
                    f,
                    "NOT AS THEY WENT IN: {} missing, {} misplaced or repeated",
                    grouped(*missing),
                    grouped(*misplaced)
                )?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: Option<u64>| bytes.map(|bytes| format!("{} MiB", grouped(bytes >> 20)));
        let [messages, per_s] = ["messages", "per second"];
        writeln!(f, "{messages:>16}{per_s:>16}{:>16}{:>16}", "broker memory", "µs per message")?;
        for part in &self.parts {
            let Part { messages, per_s, broker_memory_bytes, broker_cpu_us_per_message } = part;
            let memory = mib(*broker_memory_bytes).unwrap_or_else(|| "-".into());
            let per_s = grouped(per_s.round() as u64);
            let cpu = broker_cpu_us_per_message.map_or_else(|| "-".into(), |us| format!("{us:.2}"));
            writeln!(f, "{:<8}{:>16}{per_s:>16}{memory:>16}{cpu:>16}", "", grouped(*messages))?;
        }
        let per_s = grouped(self.per_s.round() as u64);
        write!(f, "{} in {:.2} s, {per_s}/s", grouped(self.messages), self.seconds)?;
        if let Some(us) = self.broker_cpu_us_per_message {
            write!(f, "; {us:.2} µs of the broker's CPU time per message")?;
        }
        if let Some(peak) = mib(self.broker_memory_peak_bytes) {
            write!(f, "; {peak} at most")?;
        }
        if let Some(each) = self.broker_written_bytes.and_then(|all| all.checked_div(self.messages))
        {
            write!(f, "; {} bytes written to disk per message", grouped(each))?;
        }
        writeln!(f)
    }
}
