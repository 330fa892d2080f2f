//! The curves, and how a point of each is measured.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum;

use super::connections;
use super::report::Cost;
use crate::bench::compare::contender::Contender;
use crate::bench::connection::Connection;
use crate::bench::error::BenchError;
use crate::bench::options::{Goal, Plan};
use crate::bench::run;
use crate::bench::topology::Topology;

/// What each measurement leaves out at the beginning.
const WARMUP: Duration = Duration::from_millis(500);
/// A backlog is of persistent messages in a durable queue, as more of them than memory holds are
/// nowhere else.
const BACKLOG: &str = "throughput --size 64 --persistent --durable --confirm 1000 --prefetch 1000 \
                       --ack manual";

/// A curve, by the name that it has on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Curve {
    /// Queues that messages go to in turn
    Queues,
    /// Bindings of a topic exchange, each with a key of its own
    Bindings,
    /// Connections that publish in turn
    Connections,
    /// Messages that wait in the queue
    Backlog,
    /// Consumers of one queue, on one channel
    Consumers,
}

impl Curve {
    pub(super) const ALL: [Self; 5] =
        [Self::Queues, Self::Bindings, Self::Connections, Self::Backlog, Self::Consumers];

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Queues => "queues, to which messages go in turn",
            Self::Bindings => "bindings of a topic exchange",
            Self::Connections => "connections, which publish in turn",
            Self::Backlog => "messages that wait in the queue (persistent, confirmed)",
            Self::Consumers => "consumers of one queue",
        }
    }

    /// Where it ends unless it is to end before.
    pub(super) fn max(self) -> u32 {
        match self {
            Self::Queues => 100_000,
            Self::Bindings => 1_000_000,
            Self::Connections => 10_000,
            Self::Backlog => 10_000_000,
            Self::Consumers => 1000,
        }
    }

    /// What a message costs with so many of them.
    pub(super) fn measure(
        self,
        broker: &mut Contender,
        number: u32,
        duration: Duration,
        interrupt: &AtomicBool,
    ) -> Result<Cost, BenchError> {
        let words = match self {
            Self::Queues => format!("throughput --queues {number}"),
            Self::Bindings => format!("throughput --exchange topic --bindings {number}"),
            Self::Consumers => format!("throughput --subscriptions {number}"),
            Self::Connections => {
                return connections::measure(broker, number, duration, interrupt);
            }
            Self::Backlog => return at_depth(broker, number, duration, interrupt),
        };
        let plan = part(&words, broker, duration);
        cost(&run::run(&plan, interrupt)?)
    }
}

fn part(words: &str, broker: &Contender, duration: Duration) -> Plan {
    let mut plan = Plan::part(words, &broker.uri);
    plan.workload.pid = broker.pid;
    plan.warmup = WARMUP;
    plan.goal = Goal::Duration(duration);
    plan
}

/// With so many messages waiting before those that come and go.
fn at_depth(
    broker: &Contender,
    number: u32,
    duration: Duration,
    interrupt: &AtomicBool,
) -> Result<Cost, BenchError> {
    let plan = part(BACKLOG, broker, duration);
    let topology = Topology::new(&plan).filled();
    let mut admin = Connection::open(&broker.uri, "warren bench")?;
    topology.declare(&mut admin)?;
    let mut fill = plan.clone();
    fill.workload.consumers = 0;
    fill.warmup = Duration::ZERO;
    fill.goal = Goal::Count(number.into());
    let measured =
        run::on(&fill, &topology, interrupt).and_then(|_| run::on(&plan, &topology, interrupt));
    topology.delete(&mut admin)?;
    admin.close();
    cost(&measured?)
}

fn cost(measured: &run::Measured) -> Result<Cost, BenchError> {
    let used = measured.cpu.broker.ok_or(BenchError::Interrupted)?;
    Cost::new(used, measured.totals.consumed, measured.time)
}
