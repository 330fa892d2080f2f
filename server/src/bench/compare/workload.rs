//! The workloads that brokers are compared by.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::contender::Contender;
use super::options::Size;
use super::{declaring, idle, one_by_one};
use crate::bench::error::BenchError;
use crate::bench::options::{Goal, Plan};
use crate::bench::process::ProcessTree;
use crate::bench::run;

/// A workload, by the name that it has on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// Messages of 16 bytes, transient, automatic acks, one publisher, one consumer
    #[value(name = "transient-16")]
    Transient16,
    /// The same with 1 KiB
    #[value(name = "transient-1k")]
    Transient1k,
    /// 1 KiB, persistent, confirms with a window of 200, manual acks
    #[value(name = "durable-1k")]
    Durable1k,
    /// Messages of 16 bytes that each go to ten queues
    #[value(name = "fanout-10")]
    Fanout10,
    /// From publishing to the confirm, persistent messages of 1 KiB one at a time
    Confirm,
    /// From publishing to the delivery, at 5,000 transient messages per second
    Latency,
    /// What an idle connection takes of memory
    IdleConnections,
    /// What an idle durable queue takes of memory
    IdleQueues,
    /// Durable queues declared without waiting for one another
    Declare,
}

/// What the figure of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// So many in a second.
    PerSecond,
    /// Microseconds, at the median.
    Microseconds,
    /// Bytes of memory for each.
    Bytes,
    /// Milliseconds for all.
    Milliseconds,
}

/// What one measurement came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Sample {
    /// In the workload's unit.
    pub(super) value: f64,
    /// The 99th percentile, where the value is a median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99: Option<f64>,
    /// The broker's CPU time for each message, delivery or queue, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_us: Option<f64>,
    /// The most memory that the broker took meanwhile, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_peak_bytes: Option<u64>,
}

impl Workload {
    pub(super) const ALL: [Self; 9] = [
        // Memory first: what was used and freed before would be used again.
        Self::IdleConnections,
        Self::IdleQueues,
        Self::Transient16,
        Self::Transient1k,
        Self::Durable1k,
        Self::Fanout10,
        Self::Confirm,
        Self::Latency,
        Self::Declare,
    ];

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(super) fn title(self, size: &Size) -> String {
        match self {
            Self::Transient16 => "16 B, transient, automatic acks".into(),
            Self::Transient1k => "1 KiB, transient, automatic acks".into(),
            Self::Durable1k => "1 KiB, persistent, confirms (window 200), manual acks".into(),
            Self::Fanout10 => "16 B, transient, to ten queues each: deliveries".into(),
            Self::Confirm => "publish to confirm, 1 KiB, persistent, one at a time".into(),
            Self::Latency => "publish to delivery, 16 B, transient, 5,000 per second".into(),
            Self::IdleConnections => {
                format!("memory of one of {} idle connections", size.connections)
            }
            Self::IdleQueues => format!("memory of one of {} idle durable queues", size.queues),
            Self::Declare => format!("{} durable queues declared, pipelined", size.queues),
        }
    }

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Transient16 | Self::Transient1k | Self::Durable1k | Self::Fanout10 => {
                Unit::PerSecond
            }
            Self::Confirm | Self::Latency => Unit::Microseconds,
            Self::IdleConnections | Self::IdleQueues => Unit::Bytes,
            Self::Declare => Unit::Milliseconds,
        }
    }

    /// The same as a command line behind `warren bench`, where there is one.
    pub(super) fn words(self, size: &Size) -> Option<String> {
        let words = match self {
            Self::Transient16 => "throughput --size 16",
            Self::Transient1k => "throughput --size 1024",
            Self::Durable1k => {
                "throughput --size 1024 --persistent --durable --confirm 200 --ack manual \
                 --prefetch 200"
            }
            Self::Fanout10 => "throughput --size 16 --queues 10 --exchange fanout",
            Self::Latency => "latency --size 16 --rate 5000",
            Self::Confirm | Self::IdleConnections | Self::IdleQueues | Self::Declare => {
                return None;
            }
        };
        let durable = if size.is_durable && self != Self::Durable1k { " --durable" } else { "" };
        Some(format!("{words}{durable}"))
    }

    /// How often it is measured: memory is only once what it seems, as what was freed is used
    /// again.
    pub(super) fn rounds(self, wanted: u32) -> u32 {
        if self.unit() == Unit::Bytes { 1 } else { wanted }
    }

    /// Whether it says something of what has no broker in it.
    pub(super) fn is_for(self, contender: &Contender) -> bool {
        let needs_process = self.unit() == Unit::Bytes;
        !(needs_process && (contender.is_floor() || contender.pid.is_none()))
    }

    /// Measures it once.
    pub(super) fn measure(
        self,
        contender: &mut Contender,
        size: &Size,
        interrupt: &AtomicBool,
    ) -> Result<Sample, BenchError> {
        if let Some(tree) = contender.processes() {
            tree.forget_peak();
        }
        let sample = match self {
            Self::IdleConnections => idle::connections(contender, size, interrupt),
            Self::IdleQueues => idle::queues(contender, size, interrupt),
            Self::Declare => declaring::measure(contender, size, interrupt),
            Self::Confirm => one_by_one::measure(contender, size, interrupt),
            _ => self.run(contender, size, interrupt),
        }?;
        let memory_peak_bytes = contender.processes().map(ProcessTree::peak_bytes);
        Ok(Sample { memory_peak_bytes, ..sample })
    }

    fn run(
        self,
        contender: &Contender,
        size: &Size,
        interrupt: &AtomicBool,
    ) -> Result<Sample, BenchError> {
        let words = self.words(size).expect("what is run has a command line");
        let mut plan = Plan::part(&words, &contender.uri);
        plan.workload.pid = contender.pid;
        plan.warmup = size.warmup;
        plan.goal = match plan.goal {
            Goal::Latency(_) => Goal::Latency(size.duration),
            Goal::Duration(_) | Goal::Count(_) => Goal::Duration(size.duration),
        };
        let measured = run::run(&plan, interrupt)?;
        let consumed = measured.totals.consumed as f64;
        let mut sample = Sample {
            value: consumed / measured.time.as_secs_f64(),
            cpu_us: measured.cpu.broker.map(|used| micros(used) / consumed),
            ..Sample::default()
        };
        if let (Self::Latency, Some(delivery)) = (self, &measured.latencies.delivery) {
            let at = |quantile| delivery.value_at_quantile(quantile) as f64 / 1000.0;
            (sample.value, sample.p99) = (at(0.5), Some(at(0.99)));
        }
        Ok(sample)
    }
}

/// In microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
