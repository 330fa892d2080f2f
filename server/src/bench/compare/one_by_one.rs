//! From publishing to the confirm, one message at a time; and what the disk takes of that.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::contender::Contender;
use super::options::Size;
use super::workload::{Sample, micros};
use crate::bench::batch::Batch;
use crate::bench::connection::{Connection, unasked};
use crate::bench::error::BenchError;
use crate::bench::floor::disk::Disk;
use crate::bench::latency::{histogram, nanoseconds};
use crate::bench::options::Plan;
use crate::bench::scan::{Confirm, Sink};
use crate::bench::topology::Topology;
use crate::bench::wire;

/// The queue is without a consumer, and durable.
const WORDS: &str = "throughput --size 1024 --persistent --durable --confirm 1 --consumers 0";
/// How long a confirm may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many bytes as such a message takes in a log, about.
const WRITE_BYTES: usize = 1100;

pub(super) fn measure(
    contender: &mut Contender,
    size: &Size,
    interrupt: &AtomicBool,
) -> Result<Sample, BenchError> {
    let plan = Plan::part(WORDS, &contender.uri);
    let topology = Topology::new(&plan);
    let mut admin = Connection::open(&contender.uri, "warren bench")?;
    topology.declare(&mut admin)?;
    let times = publish(&plan, &topology, contender, size, interrupt);
    let deleted = topology.delete(&mut admin);
    admin.close();
    deleted?;
    times
}

fn publish(
    plan: &Plan,
    topology: &Topology,
    contender: &mut Contender,
    size: &Size,
    interrupt: &AtomicBool,
) -> Result<Sample, BenchError> {
    let mut connection = Connection::open(&contender.uri, "warren bench publisher")?;
    connection.call(wire::CONFIRM_SELECT_OK, "confirm.select-ok", wire::confirm_select)?;
    let mut batch = Batch::new(plan, topology, 0, connection.frame_max());
    let mut confirmed = Confirmed(0);
    let mut publish_one = || {
        let run = batch.run(1);
        let before = confirmed.0;
        let begun = Instant::now();
        connection.send(batch.take(run), &mut confirmed, interrupt)?;
        while confirmed.0 == before {
            connection.wait(&mut confirmed)?;
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Unanswered { what: "a confirm", after: PATIENCE });
            }
        }
        Ok(())
    };
    repeat(size.warmup, interrupt, &mut publish_one)?;
    let before = contender.processes().and_then(|tree| tree.cpu().ok());
    let times = repeat(size.duration, interrupt, &mut publish_one)?;
    let after = contender.processes().and_then(|tree| tree.cpu().ok());
    connection.close();
    let used = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let cpu_us = used.map(|used| micros(used) / times.len() as f64);
    Ok(Sample { cpu_us, ..sample(&times) })
}

/// A write and a sync by themselves, as often as there is time for.
pub(super) fn disk(dir: &Path, size: &Size, interrupt: &AtomicBool) -> Result<Sample, BenchError> {
    let mut disk = Disk::create(dir)?;
    let bytes = [0x57; WRITE_BYTES];
    let times = repeat(size.duration, interrupt, || {
        disk.keep(&bytes).map_err(|error| BenchError::system("writing to the disk", error))
    })?;
    Ok(sample(&times))
}

/// Does `work` once at least, and again while the time lasts; how long it took each time, in
/// nanoseconds.
fn repeat(
    time: Duration,
    interrupt: &AtomicBool,
    mut work: impl FnMut() -> Result<(), BenchError>,
) -> Result<Histogram<u64>, BenchError> {
    let mut times = histogram();
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        work()?;
        times.saturating_record(nanoseconds(now.elapsed()).max(1));
        if begun.elapsed() >= time || interrupt.load(Ordering::Relaxed) {
            return Ok(times);
        }
    }
}

fn sample(times: &Histogram<u64>) -> Sample {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    Sample { value: at(0.5), p99: Some(at(0.99)), ..Sample::default() }
}

/// How many were confirmed.
struct Confirmed(u64);

impl Sink for Confirmed {
    fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
        if confirm.refused {
            return Err(BenchError::Protocol(format!("it refused message {}", confirm.tag)));
        }
        self.0 += 1;
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        unasked(id, args).map(drop)
    }
}
