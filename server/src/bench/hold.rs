//! Messages that stay unacknowledged for the whole of a run: what a consumer that is stuck does to
//! everybody else.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::connection::{Connection, unasked};
use super::error::BenchError;
use super::options::Plan;
use super::scan::{Delivery, Sink};
use super::topology::Topology;
use super::wire;

/// How long the messages may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A consumer of every queue that has as many messages as it may, and acknowledges none. They go
/// back when it is dropped.
pub(super) struct Hold {
    _connection: Connection,
}

impl Hold {
    /// Publishes as many messages to each queue as the plan wants to be held, and takes them.
    /// Nobody else may consume from the queues yet.
    pub(super) fn begin(plan: &Plan, topology: &Topology) -> Result<Option<Self>, BenchError> {
        let workload = &plan.workload;
        if workload.hold == 0 {
            return Ok(None);
        }
        let mut connection = Connection::open(&workload.uri, "warren bench hold")?;
        connection.call(wire::BASIC_QOS_OK, "basic.qos-ok", |out| {
            wire::basic_qos(out, workload.hold);
        })?;
        let body = vec![0; workload.size as usize];
        let frame_max = connection.frame_max();
        let properties =
            wire::Properties { persistent: workload.persistent, ..wire::Properties::default() };
        for (nth, queue) in topology.queues().enumerate() {
            connection.call(wire::BASIC_CONSUME_OK, "basic.consume-ok", |out| {
                wire::basic_consume(out, queue, &format!("hold-{nth}"), false);
            })?;
            let mut messages = Vec::new();
            for _ in 0..workload.hold {
                wire::publish(&mut messages, "", queue, properties, &body, frame_max);
            }
            let mut held = Held::default();
            connection.send(&messages, &mut held, &AtomicBool::new(false))?;
            let deadline = Instant::now() + PATIENCE;
            while held.count < workload.hold {
                if Instant::now() > deadline {
                    let what = "the messages to be held";
                    return Err(BenchError::Unanswered { what, after: PATIENCE });
                }
                connection.wait(&mut held)?;
            }
        }
        Ok(Some(Self { _connection: connection }))
    }
}

/// Counts deliveries.
#[derive(Default)]
struct Held {
    count: u16,
}

impl Sink for Held {
    fn delivery(&mut self, _: Delivery) -> Result<(), BenchError> {
        self.count += 1;
        Ok(())
    }

    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        unasked(id, args).map(drop)
    }
}
