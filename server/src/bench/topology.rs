//! The queues and the exchange of one run: their names, their making and their removal.
//!
//! All names carry a prefix that no other run has, and all queue names are equally long, so that
//! every message of a run takes the same number of bytes on the wire.

use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use super::error::BenchError;
use super::options::{ExchangeKind, Plan, QueueValue};
use super::pipeline::pipeline;
use super::wire::{self, Value};

/// So many keys at the most are published with, where the queue has more.
const KEYS_MAX: u32 = 1000;

/// What a run declares and, at its end, deletes.
pub(super) struct Topology {
    /// What all names begin with.
    prefix: String,
    /// The exchange to publish to; empty for the default exchange.
    exchange: String,
    kind: Option<ExchangeKind>,
    queues: Vec<String>,
    /// Keys that each lead to the only queue, where they are not the queues' names.
    keys: Option<u32>,
    durable: bool,
    is_filled: bool,
    arguments: Vec<(String, QueueValue)>,
}

impl Topology {
    /// Names for what `plan` needs; nothing is declared yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("warren-bench-{:x}-{:x}", std::process::id(), since_epoch.as_micros());
        Self::named(plan, prefix)
    }

    /// The same, with names that begin with `prefix`, so that another run can find them.
    pub(super) fn named(plan: &Plan, prefix: String) -> Self {
        let workload = &plan.workload;
        Self {
            exchange: workload.exchange.map(|_| prefix.clone()).unwrap_or_default(),
            kind: workload.exchange,
            queues: (0..workload.queues).map(|index| format!("{prefix}-{index:05}")).collect(),
            keys: workload.bindings,
            durable: workload.durable,
            is_filled: false,
            arguments: workload.queue_arg.clone(),
            prefix,
        }
    }

    /// The same with messages in the queues before anybody consumes.
    pub(super) fn filled(self) -> Self {
        Self { is_filled: true, ..self }
    }

    /// Whether the queues may have messages before anybody consumes.
    pub(super) fn is_filled(&self) -> bool {
        self.is_filled
    }

    /// What all names begin with, and no other run's do.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The exchange to publish to; empty for the default exchange.
    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    /// All queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(String::as_str)
    }

    /// The queues that worker `index` of `count` has to do with.
    ///
    /// With fewer workers than queues each has several; with more, several have the same one. Every
    /// queue has a worker. A queue's name is also the key that routes to it.
    pub(super) fn share(&self, index: usize, count: usize) -> impl Iterator<Item = &str> {
        let first = index % self.queues.len();
        self.queues.iter().skip(first).step_by(count.min(self.queues.len())).map(String::as_str)
    }

    /// The keys that publisher `index` of `count` publishes with, one after the other.
    pub(super) fn keys(&self, index: usize, count: usize) -> Vec<String> {
        match self.keys {
            None => self.share(index, count).map(str::to_owned).collect(),
            Some(bindings) => {
                let step = bindings.div_ceil(KEYS_MAX);
                (0..bindings).step_by(step as usize).map(key).collect()
            }
        }
    }

    /// Declares the exchange and the queues, and binds them.
    pub(super) fn declare(&self, connection: &mut Connection) -> Result<(), BenchError> {
        if let Some(kind) = self.kind {
            connection.call(wire::EXCHANGE_DECLARE_OK, "exchange.declare-ok", |out| {
                wire::exchange_declare(out, &self.exchange, kind.name(), false, &[]);
            })?;
        }
        let arguments: Vec<(&str, Value<'_>)> =
            self.arguments.iter().map(|(key, value)| (key.as_str(), sent(value))).collect();
        self.each(connection, wire::QUEUE_DECLARE_OK, |queue, out| {
            wire::queue_declare(out, queue, self.durable, &arguments);
        })?;
        match self.keys {
            Some(bindings) => {
                let (patient, queue) = (AtomicBool::new(false), &self.queues[0]);
                pipeline(connection, wire::QUEUE_BIND_OK, bindings, &patient, |nth, out| {
                    wire::queue_bind(out, queue, &self.exchange, &key(nth));
                })
            }
            None if self.kind.is_some() => {
                self.each(connection, wire::QUEUE_BIND_OK, |queue, out| {
                    wire::queue_bind(out, queue, &self.exchange, queue);
                })
            }
            None => Ok(()),
        }
    }

    /// Sends a request for each queue, and waits for all the answers.
    fn each(
        &self,
        connection: &mut Connection,
        answer: u32,
        mut request: impl FnMut(&str, &mut Vec<u8>),
    ) -> Result<(), BenchError> {
        let (patient, count) = (AtomicBool::new(false), self.queues.len());
        let count = u32::try_from(count).expect("it was given as such a number");
        pipeline(connection, answer, count, &patient, |nth, out| {
            request(&self.queues[nth as usize], out);
        })
    }

    /// Deletes whatever of it exists, with what it holds.
    pub(super) fn delete(&self, connection: &mut Connection) -> Result<(), BenchError> {
        self.each(connection, wire::QUEUE_DELETE_OK, |queue, out| wire::queue_delete(out, queue))?;
        if self.kind.is_some() {
            connection.call(wire::EXCHANGE_DELETE_OK, "exchange.delete-ok", |out| {
                wire::exchange_delete(out, &self.exchange);
            })?;
        }
        Ok(())
    }
}

/// The key of a binding: as long as any other.
fn key(nth: u32) -> String {
    format!("region{}.kind{:03}.host{nth:08}", nth % 10, nth / 10 % 1000)
}

fn sent(value: &QueueValue) -> Value<'_> {
    match value {
        QueueValue::Number(number) => Value::Long(*number),
        QueueValue::Flag(flag) => Value::Bool(*flag),
        QueueValue::Text(text) => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::options::tests::plan;
    use super::*;

    fn topology(queues: usize) -> Topology {
        Topology::new(&plan(&format!("throughput --queues {queues}")).unwrap())
    }

    #[test]
    fn every_queue_has_a_worker_and_every_worker_a_queue() {
        for queues in 1..8 {
            for workers in 1..8 {
                let topology = topology(queues);
                let mut served = BTreeSet::new();
                for worker in 0..workers {
                    let share: Vec<&str> = topology.share(worker, workers).collect();
                    assert!(!share.is_empty(), "{worker} of {workers}, {queues} queues");
                    served.extend(share.into_iter().map(str::to_owned));
                }
                assert_eq!(served.len(), queues, "{workers} workers");
            }
        }
    }

    #[test]
    fn no_queue_has_two_workers_while_there_are_enough_queues() {
        let topology = topology(7);
        let total: usize = (0..3).map(|worker| topology.share(worker, 3).count()).sum();
        assert_eq!(total, 7);
    }

    #[test]
    fn keys_are_spread_over_all_bindings_and_equally_long() {
        let plan = plan("throughput --exchange topic --bindings 25000").unwrap();
        let keys = Topology::new(&plan).keys(0, 1);
        assert_eq!((keys.len(), keys[1].as_str()), (1000, "region5.kind002.host00000025"));
        assert!(keys.iter().all(|key| key.len() == keys[0].len()));
    }

    #[test]
    fn all_queue_names_are_equally_long() {
        let topology = topology(1001);
        let lengths: BTreeSet<usize> = topology.queues.iter().map(String::len).collect();
        assert_eq!(lengths.len(), 1);
    }
}
