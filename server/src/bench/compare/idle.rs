//! What is there and does nothing: how much memory it takes.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::contender::Contender;
use super::declaring;
use super::options::Size;
use super::workload::Sample;
use crate::bench::connection::Connection;
use crate::bench::error::BenchError;
use crate::bench::process::ProcessTree;

/// How long a broker is left alone before its memory is looked at.
const REST: Duration = Duration::from_millis(300);

pub(super) fn connections(
    contender: &mut Contender,
    size: &Size,
    interrupt: &AtomicBool,
) -> Result<Sample, BenchError> {
    let before = at_rest(contender);
    let name = "warren bench idle";
    let open = Connection::open_all(&contender.uri, name, size.connections, interrupt)?;
    let after = at_rest(contender);
    open.into_iter().for_each(Connection::close);
    Ok(each(before, after, size.connections))
}

pub(super) fn queues(
    contender: &mut Contender,
    size: &Size,
    interrupt: &AtomicBool,
) -> Result<Sample, BenchError> {
    let declared = declaring::declared(contender, size.queues, at_rest, interrupt)?;
    Ok(each(declared.before, declared.after, size.queues))
}

fn at_rest(contender: &mut Contender) -> u64 {
    thread::sleep(REST);
    contender.processes().map_or(0, ProcessTree::resident_bytes)
}

fn each(before: u64, after: u64, count: u32) -> Sample {
    let value = after.saturating_sub(before) as f64 / f64::from(count);
    Sample { value, ..Sample::default() }
}
