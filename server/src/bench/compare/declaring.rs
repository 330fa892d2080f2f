//! Many durable queues, declared without waiting for one another.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let cpu = |contender: &mut Contender| contender.processes().and_then(|tree| tree.cpu().ok());
    let Declared { before, took, after } = declared(contender, size.queues, cpu, interrupt)?;
    let used = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    Ok(Sample {
        value: took.as_secs_f64() * 1e3,
        cpu_us: used.map(|used| micros(used) / f64::from(size.queues)),
        ..Sample::default()
    })
}

/// What was read before queues were declared and while they were there.
pub(super) struct Declared<T> {
    pub(super) before: T,
    /// How long it took to declare them.
    pub(super) took: Duration,
    pub(super) after: T,
}

/// Declares `count` durable queues between two readings, and deletes them.
pub(super) fn declared<T>(
    contender: &mut Contender,
    count: u32,
    mut reading: impl FnMut(&mut Contender) -> T,
    interrupt: &AtomicBool,
) -> Result<Declared<T>, BenchError> {
    let mut connection = Connection::open(&contender.uri, "warren bench")?;
    let queues = Queues::new(count);
    let before = reading(contender);
    let begun = Instant::now();
    let declared = queues.declare(&mut connection, interrupt);
    let took = begun.elapsed();
    let after = reading(contender);
    queues.delete(&mut connection)?;
    connection.close();
    declared.map(|()| Declared { before, took, after })
}

/// Queues with names of their own.
struct Queues {
    prefix: String,
    count: u32,
}

impl Queues {
    /// So many, none of which is declared yet.
    fn new(count: u32) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("warren-bench-{:x}-{:x}", std::process::id(), since_epoch.as_micros());
        Self { prefix, count }
    }

    /// The name of one of them.
    fn name(&self, index: u32) -> String {
        format!("{}-{index:07}", self.prefix)
    }

    /// Declares all, durable.
    fn declare(
        &self,
        connection: &mut Connection,
        interrupt: &AtomicBool,
    ) -> Result<(), BenchError> {
        pipeline(connection, wire::QUEUE_DECLARE_OK, self.count, interrupt, |index, out| {
            wire::queue_declare(out, &self.name(index), true, &[]);
        })
    }

    /// Deletes whatever of them there is, whether or not the user waits for it.
    fn delete(&self, connection: &mut Connection) -> Result<(), BenchError> {
        let patient = AtomicBool::new(false);
        pipeline(connection, wire::QUEUE_DELETE_OK, self.count, &patient, |index, out| {
            wire::queue_delete(out, &self.name(index));
        })
    }
}
