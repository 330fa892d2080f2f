//! Many durable queues, declared without waiting for one another.

use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::contender::Contender;
use super::options::Size;
use super::workload::{Sample, micros};
use crate::bench::connection::Connection;
use crate::bench::error::BenchError;
use crate::bench::pipeline::pipeline;
use crate::bench::wire;

pub(super) fn measure(
    contender: &mut Contender,
    size: &Size,
    interrupt: &AtomicBool,
) -> Result<Sample, BenchError> {
    let mut connection = Connection::open(&contender.uri, "warren bench")?;
    let queues = Queues::new(size.queues);
    let before = contender.processes().and_then(|tree| tree.cpu().ok());
    let begun = Instant::now();
    let declared = queues.declare(&mut connection, interrupt);
    let took = begun.elapsed();
    let after = contender.processes().and_then(|tree| tree.cpu().ok());
    queues.delete(&mut connection)?;
    connection.close();
    declared?;
    let used = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    Ok(Sample {
        value: took.as_secs_f64() * 1e3,
        cpu_us: used.map(|used| micros(used) / f64::from(size.queues)),
        ..Sample::default()
    })
}

/// Queues with names of their own.
pub(in crate::bench) struct Queues {
    prefix: String,
    count: u32,
}

impl Queues {
    /// So many, none of which is declared yet.
    pub(in crate::bench) fn new(count: u32) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("warren-bench-{:x}-{:x}", std::process::id(), since_epoch.as_micros());
        Self { prefix, count }
    }

    /// The name of one of them.
    pub(in crate::bench) fn name(&self, index: u32) -> String {
        format!("{}-{index:07}", self.prefix)
    }

    /// Declares all, durable.
    pub(in crate::bench) fn declare(
        &self,
        connection: &mut Connection,
        interrupt: &AtomicBool,
    ) -> Result<(), BenchError> {
        pipeline(connection, wire::QUEUE_DECLARE_OK, self.count, interrupt, |index, out| {
            wire::queue_declare(out, &self.name(index), true, &[]);
        })
    }

    /// Deletes whatever of them there is, whether or not the user waits for it.
    pub(in crate::bench) fn delete(&self, connection: &mut Connection) -> Result<(), BenchError> {
        let patient = AtomicBool::new(false);
        pipeline(connection, wire::QUEUE_DELETE_OK, self.count, &patient, |index, out| {
            wire::queue_delete(out, &self.name(index));
        })
    }
}
