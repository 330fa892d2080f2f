//! Churn: connections, channels and queues that come and go as fast as the broker lets them, and
//! what of its memory and open files does not go with them.
//!
//! One kind comes after the other. Each thread opens one thing and closes it, again and again, and
//! waits for each answer: the broker has as many at once as there are threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::connection::Connection;
use super::error::BenchError;
use super::process::ProcessTree;
use super::report::grouped;
use super::uri::Uri;
use super::wire;

/// How often it is looked at the broker while things come and go.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

/// How long the broker has to put away what is gone before it is looked at.
const REST: Duration = Duration::from_secs(2);

/// What is to be measured.
#[derive(Clone, Debug)]
pub(super) struct ChurnPlan {
    pub(super) uri: Uri,
    pub(super) threads: u32,
    /// How long each kind comes and goes.
    pub(super) duration: Duration,
    /// Whether queues are durable.
    pub(super) durable: bool,
    pub(super) pid: Option<u32>,
    pub(super) json: bool,
}

/// What comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A connection that opens a channel.
    Connections,
    Channels,
    Queues,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Connections, Self::Channels, Self::Queues];

    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Channels => "channels",
            Self::Queues => "queues",
        }
    }
}

/// What the broker held at a moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Held {
    resident_bytes: u64,
    /// Open files, if they may be counted.
    files: Option<u64>,
}

impl Held {
    fn or_more(self, other: Self) -> Self {
        let resident_bytes = self.resident_bytes.max(other.resident_bytes);
        Self { resident_bytes, files: self.files.max(other.files) }
    }
}

/// What came of one kind.
#[derive(Debug, Serialize)]
struct Churned {
    kind: Kind,
    /// How many came and went.
    count: u64,
    per_s: f64,
    /// What the broker held before, the most while they came and went, and after.
    held: Option<[Held; 3]>,
}

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct ChurnReport {
    measurement: &'static str,
    /// What the broker calls itself.
    broker: String,
    uri: String,
    threads: u32,
    duration_s: f64,
    durable: bool,
    churned: Vec<Churned>,
    /// Whether the user ended it early.
    interrupted: bool,
}

/// Has everything come and go.
pub(super) fn run(plan: &ChurnPlan, interrupt: &AtomicBool) -> Result<ChurnReport, BenchError> {
    let process = plan.pid.map(ProcessTree::of).transpose();
    let process = process.map_err(|error| BenchError::system("looking at the process", error))?;
    let connection = Connection::open(&plan.uri, "warren bench churn")?;
    let broker = connection.broker().to_owned();
    connection.close();
    let mut churned = Vec::new();
    for kind in Kind::ALL {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        eprintln!("{} come and go for {} s", kind.name(), plan.duration.as_secs());
        churned.push(churn(plan, kind, process.as_ref(), interrupt)?);
    }
    Ok(ChurnReport {
        measurement: "churn",
        broker,
        uri: plan.uri.to_string(),
        threads: plan.threads,
        duration_s: plan.duration.as_secs_f64(),
        durable: plan.durable,
        churned,
        interrupted: interrupt.load(Ordering::Relaxed),
    })
}

/// Has one kind come and go.
fn churn(
    plan: &ChurnPlan,
    kind: Kind,
    process: Option<&ProcessTree>,
    interrupt: &AtomicBool,
) -> Result<Churned, BenchError> {
    let held = || process.map(held_by);
    let before = held();
    let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let begin = Instant::now();
    let (most, results) = thread::scope(|scope| {
        let come_and_go = |number| {
            let (is_over, count) = (&is_over, &count);
            move || {
                let done = repeat(plan, kind, number, is_over, count);
                // Without this thread the figures would mean nothing: all end.
                is_over.fetch_or(done.is_err(), Ordering::Relaxed);
                done
            }
        };
        let threads: Vec<_> =
            (0..plan.threads).map(|number| scope.spawn(come_and_go(number))).collect();
        let mut most = before;
        while begin.elapsed() < plan.duration
            && !interrupt.load(Ordering::Relaxed)
            && !is_over.load(Ordering::Relaxed)
        {
            thread::sleep(SAMPLE_INTERVAL.min(plan.duration.saturating_sub(begin.elapsed())));
            most = most.zip(held()).map(|(most, now)| most.or_more(now));
        }
        is_over.store(true, Ordering::Relaxed);
        let results = threads.into_iter().map(|thread| thread.join().expect("does not panic"));
        (most, results.collect::<Result<Vec<()>, BenchError>>())
    });
    let elapsed = begin.elapsed();
    results?;
    if process.is_some() {
        thread::sleep(REST);
    }
    let count = count.into_inner();
    Ok(Churned {
        kind,
        count,
        per_s: count as f64 / elapsed.as_secs_f64(),
        held: before.zip(most).zip(held()).map(|((before, most), after)| [before, most, after]),
    })
}

/// What one thread does.
fn repeat(
    plan: &ChurnPlan,
    kind: Kind,
    number: u32,
    is_over: &AtomicBool,
    count: &AtomicU64,
) -> Result<(), BenchError> {
    let name = format!("warren bench churn {number}");
    if kind == Kind::Connections {
        while !is_over.load(Ordering::Relaxed) {
            Connection::open(&plan.uri, &name)?.close();
            count.fetch_add(1, Ordering::Relaxed);
        }
        return Ok(());
    }
    let mut connection = Connection::open(&plan.uri, &name)?;
    let queue = format!("warren-bench-churn-{}-{number}", std::process::id());
    while !is_over.load(Ordering::Relaxed) {
        match kind {
            Kind::Channels => {
                connection.call(wire::CHANNEL_CLOSE_OK, "channel.close-ok", wire::channel_close)?;
                connection.call(wire::CHANNEL_OPEN_OK, "channel.open-ok", wire::channel_open)?;
            }
            Kind::Connections | Kind::Queues => {
                connection.call(wire::QUEUE_DECLARE_OK, "queue.declare-ok", |out| {
                    wire::queue_declare(out, &queue, plan.durable, &[]);
                })?;
                connection.call(wire::QUEUE_DELETE_OK, "queue.delete-ok", |out| {
                    wire::queue_delete(out, &queue);
                })?;
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    connection.close();
    Ok(())
}

fn held_by(process: &ProcessTree) -> Held {
    Held { resident_bytes: process.resident_bytes(), files: process.open_files() }
}

impl fmt::Display for ChurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "churn at {} ({}): {} threads, {} s each, {} queues{}",
            self.broker,
            self.uri,
            self.threads,
            self.duration_s,
            if self.durable { "durable" } else { "transient" },
            if self.interrupted { ", ended early" } else { "" },
        )?;
        for Churned { kind, count, per_s, held } in &self.churned {
            let (name, count, per_s) = (kind.name(), grouped(*count), grouped(*per_s as u64));
            writeln!(f, "{name:<12} {count:>12} opened and closed {per_s:>10} per second")?;
            let Some(held) = held else { continue };
            for (when, held) in ["before", "at the most", "after"].into_iter().zip(held) {
                let mib = held.resident_bytes as f64 / f64::from(1 << 20);
                write!(f, "  the broker {when:<12} {mib:>10.1} MiB")?;
                match held.files {
                    Some(files) => writeln!(f, " {files:>8} open files")?,
                    None => writeln!(f)?,
                }
            }
        }
        Ok(())
    }
}
