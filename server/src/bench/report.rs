//! The figures of a run, as a table for a person and as one JSON object for a program.
//!
//! All rates are over the measured time, which begins after the warm-up. CPU time per message is
//! the CPU time of that time divided by the messages that the party in question handled in it:
//! those published for publishers, those consumed for consumers and for everyone where there is a
//! consumer.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::options::{AckMode, Goal, Plan};
use super::run::{self, Measured};

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `throughput` or `latency`.
    measurement: &'static str,
    /// What the broker calls itself.
    broker: String,
    uri: String,
    workload: Workload,
    /// What was left out at the beginning.
    warmup_s: f64,
    /// The measured time.
    seconds: f64,
    /// Whether the user ended it early.
    interrupted: bool,
    published: Flow,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<Flow>,
    consumed: Flow,
    /// Messages that the broker refused with `basic.nack`.
    refused: u64,
    /// Messages received with the mark that they were delivered before.
    redelivered: u64,
    cpu: CpuCosts,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_memory: Option<Levels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_disk: Option<Levels>,
    /// What the broker had written to disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_written_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Workload {
    publishers: u32,
    consumers: u32,
    queues: u32,
    size_bytes: u32,
    persistent: bool,
    durable: bool,
    exchange: Option<&'static str>,
    confirm_window: Option<u32>,
    manual_acks: bool,
    multiple_ack: Option<u32>,
    prefetch: u16,
    max_lead: u32,
    rate_per_s: Option<u64>,
}

/// Messages that went through some stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Flow {
    messages: u64,
    per_s: f64,
}

/// CPU time of those who took part, as far as it is known.
#[derive(Debug, Serialize)]
struct CpuCosts {
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<CpuCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publishers: Option<CpuCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumers: Option<CpuCost>,
    /// All of the load generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    bench: Option<CpuCost>,
}

/// CPU time of one party.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct CpuCost {
    seconds: f64,
    /// How many processors it kept busy.
    cores: f64,
    /// Absent if there was no message.
    us_per_message: Option<f64>,
}

/// How much there is of something.
#[derive(Debug, Serialize)]
struct Levels {
    end_bytes: u64,
    peak_bytes: u64,
}

/// How long messages took.
#[derive(Debug, Serialize)]
struct Latency {
    delivery_us: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_us: Option<Percentiles>,
    send_lateness_us: Percentiles,
    /// Messages that were due but could not be sent before the end.
    unsent: u64,
}

/// Points of a distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    count: u64,
    pub(super) p50: f64,
    p90: f64,
    pub(super) p99: f64,
    #[serde(rename = "p99.9")]
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

impl Report {
    /// What `measured` comes to.
    pub(super) fn new(plan: &Plan, measured: &Measured) -> Self {
        let workload = &plan.workload;
        let totals = &measured.totals;
        let flow = |messages| Flow::new(messages, measured.time);
        let through = if workload.consumers > 0 { totals.consumed } else { totals.published };
        let cost = |used: Option<Duration>, messages| {
            used.map(|used| CpuCost::new(used, measured.time, messages))
        };
        let latencies = &measured.latencies;
        Self {
            measurement: match plan.goal {
                Goal::Latency(_) => "latency",
                Goal::Duration(_) | Goal::Count(_) => "throughput",
            },
            broker: measured.broker.clone(),
            uri: workload.uri.to_string(),
            workload: Workload::of(plan),
            warmup_s: measured.warmup.as_secs_f64(),
            seconds: measured.time.as_secs_f64(),
            interrupted: measured.interrupted,
            published: flow(totals.published),
            confirmed: workload.confirm.map(|_| flow(totals.confirmed)),
            consumed: flow(totals.consumed),
            refused: totals.refused,
            redelivered: totals.redelivered,
            cpu: CpuCosts {
                broker: cost(measured.cpu.broker, through),
                publishers: cost(measured.cpu.publishers, totals.published),
                consumers: cost(measured.cpu.consumers, totals.consumed),
                bench: cost(measured.cpu.bench, through),
            },
            broker_memory: measured.memory.map(Levels::from),
            broker_disk: measured.disk.map(Levels::from),
            broker_written_bytes: measured.written,
            latency: matches!(plan.goal, Goal::Latency(_)).then(|| Latency {
                delivery_us: Percentiles::of(latencies.delivery.as_ref()),
                confirm_us: latencies.confirm.as_ref().map(|of| Percentiles::of(Some(of))),
                send_lateness_us: Percentiles::of(latencies.lateness.as_ref()),
                unsent: latencies.unsent,
            }),
        }
    }
}

impl Workload {
    pub(super) fn of(plan: &Plan) -> Self {
        let workload = &plan.workload;
        Self {
            publishers: workload.publishers,
            consumers: workload.consumers,
            queues: workload.queues,
            size_bytes: workload.size,
            persistent: workload.persistent,
            durable: workload.durable,
            exchange: workload.exchange.map(|kind| kind.name()),
            confirm_window: workload.confirm,
            manual_acks: workload.ack == AckMode::Manual,
            multiple_ack: workload.multiple_ack,
            prefetch: workload.prefetch,
            max_lead: workload.max_lead,
            rate_per_s: plan.rate,
        }
    }
}

impl From<run::Levels> for Levels {
    fn from(levels: run::Levels) -> Self {
        Self { end_bytes: levels.end, peak_bytes: levels.peak }
    }
}

impl Flow {
    fn new(messages: u64, time: Duration) -> Self {
        Self { messages, per_s: messages as f64 / time.as_secs_f64() }
    }
}

impl CpuCost {
    fn new(used: Duration, time: Duration, messages: u64) -> Self {
        let seconds = used.as_secs_f64();
        Self {
            seconds,
            cores: seconds / time.as_secs_f64(),
            us_per_message: (messages > 0).then(|| seconds * 1e6 / messages as f64),
        }
    }
}

impl Percentiles {
    pub(super) fn of(histogram: Option<&Histogram<u64>>) -> Self {
        let Some(histogram) = histogram else { return Self::default() };
        let us = |ns: u64| ns as f64 / 1000.0;
        Self {
            count: histogram.len(),
            p50: us(histogram.value_at_quantile(0.5)),
            p90: us(histogram.value_at_quantile(0.9)),
            p99: us(histogram.value_at_quantile(0.99)),
            p99_9: us(histogram.value_at_quantile(0.999)),
            max: us(histogram.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} at {}", self.measurement, self.broker, self.uri)?;
        writeln!(f, "{}", self.workload)?;
        let early = if self.interrupted { ", ended early" } else { "" };
        let (time, warmup) = (self.seconds, self.warmup_s);
        writeln!(f, "measured {time:.2} s after {warmup} s of warm-up{early}\n")?;

        writeln!(f, "{:<24}{:>16}{:>16}", "", "messages", "per second")?;
        write_flow(f, "published", Some(&self.published))?;
        write_flow(f, "confirmed", self.confirmed.as_ref())?;
        write_flow(f, "consumed", Some(&self.consumed))?;
        for (name, count) in [("refused", self.refused), ("redelivered", self.redelivered)] {
            if count > 0 {
                writeln!(f, "{name:<24}{:>16}", grouped(count))?;
            }
        }

        writeln!(f, "\n{:<24}{:>16}{:>16}{:>16}", "CPU", "seconds", "cores", "µs per message")?;
        write_cost(f, "broker", self.cpu.broker.as_ref())?;
        write_cost(f, "bench, publishing", self.cpu.publishers.as_ref())?;
        write_cost(f, "bench, consuming", self.cpu.consumers.as_ref())?;
        write_cost(f, "bench, in all", self.cpu.bench.as_ref())?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        if self.broker_memory.is_some() || self.broker_disk.is_some() {
            writeln!(f)?;
        }
        for (name, levels) in [("memory", &self.broker_memory), ("disk", &self.broker_disk)] {
            let Some(Levels { end_bytes, peak_bytes }) = levels else { continue };
            let (end, peak) = (mib(*end_bytes), mib(*peak_bytes));
            let name = format!("broker {name}");
            writeln!(f, "{name:<24}{end:.1} MiB at the end, {peak:.1} MiB at most")?;
        }
        if let Some(written) = self.broker_written_bytes.filter(|_| self.published.messages > 0) {
            let each = written / self.published.messages;
            let (name, all) = ("broker wrote", mib(written));
            writeln!(f, "{name:<24}{all:.1} MiB, {} bytes per message", grouped(each))?;
        }
        match &self.latency {
            Some(latency) => write!(f, "\n{latency}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.persistent { "persistent" } else { "transient" };
        let queue = if self.durable { "durable queue" } else { "transient queue" };
        write!(
            f,
            "{}, {}, {}; {mode} messages of {} bytes",
            counted(self.publishers, "publisher"),
            counted(self.consumers, "consumer"),
            counted(self.queues, queue),
            grouped(self.size_bytes.into()),
        )?;
        if let Some(exchange) = self.exchange {
            write!(f, " through a {exchange} exchange")?;
        }
        if let Some(rate) = self.rate_per_s {
            write!(f, " at {}/s", grouped(rate))?;
        }
        match self.confirm_window {
            Some(window) => write!(f, "; confirms, window {window}")?,
            None => write!(f, "; no confirms")?,
        }
        if self.consumers == 0 {
            return Ok(());
        }
        match (self.manual_acks, self.multiple_ack) {
            (false, _) => write!(f, "; automatic acks"),
            (true, None) => write!(f, "; manual acks, prefetch {}", self.prefetch),
            (true, Some(every)) => {
                write!(f, "; manual acks, one for {every}, prefetch {}", self.prefetch)
            }
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, p99_9, max] = ["p50", "p90", "p99", "p99.9", "max"];
        writeln!(f, "{:<16}{p50:>10}{p90:>10}{p99:>10}{p99_9:>10}{max:>10}", "latency, µs")?;
        let rows = [
            ("delivery", Some(&self.delivery_us)),
            ("confirm", self.confirm_us.as_ref()),
            ("send lateness", Some(&self.send_lateness_us)),
        ];
        for (name, of) in rows {
            let Some(Percentiles { count, p50, p90, p99, p99_9, max }) = of else { continue };
            if *count == 0 {
                writeln!(f, "{name:<16}{:>10}", "none")?;
                continue;
            }
            writeln!(f, "{name:<16}{p50:>10.1}{p90:>10.1}{p99:>10.1}{p99_9:>10.1}{max:>10.1}")?;
        }
        if self.unsent > 0 {
            let unsent = grouped(self.unsent);
            writeln!(f, "{unsent} messages were due but never sent: the rate was not reached")?;
        }
        Ok(())
    }
}

fn write_flow(f: &mut fmt::Formatter<'_>, name: &str, flow: Option<&Flow>) -> fmt::Result {
    let Some(Flow { messages, per_s }) = flow else { return Ok(()) };
    writeln!(f, "{name:<24}{:>16}{:>16}", grouped(*messages), grouped(per_s.round() as u64))
}

fn write_cost(f: &mut fmt::Formatter<'_>, name: &str, cost: Option<&CpuCost>) -> fmt::Result {
    let Some(CpuCost { seconds, cores, us_per_message }) = cost else { return Ok(()) };
    match us_per_message {
        Some(us) => writeln!(f, "{name:<24}{seconds:>16.2}{cores:>16.2}{us:>16.3}"),
        None => writeln!(f, "{name:<24}{seconds:>16.2}{cores:>16.2}{:>16}", "-"),
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

/// A number of things, with a plural for all but one.
fn counted(number: u32, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number.into()))
}

#[cfg(test)]
mod tests {
    use super::super::board::Totals;
    use super::super::latency::Latencies;
    use super::super::options::tests::plan;
    use super::super::run::Cpu;
    use super::*;

    fn measured() -> Measured {
        Measured {
            broker: "Some Broker 1.0".into(),
            warmup: Duration::from_secs(1),
            time: Duration::from_secs(4),
            interrupted: false,
            totals: Totals {
                published: 2_000_000,
                confirmed: 1_600_000,
                refused: 3,
                consumed: 1_000_000,
                redelivered: 0,
            },
            cpu: Cpu {
                broker: Some(Duration::from_secs(6)),
                publishers: Some(Duration::from_secs(1)),
                consumers: Some(Duration::from_millis(500)),
                bench: None,
            },
            memory: Some(run::Levels { end: 3 << 20, peak: 5 << 20 }),
            disk: Some(run::Levels { end: 7 << 20, peak: 9 << 20 }),
            written: Some(2 << 30),
            latencies: Latencies::default(),
        }
    }

    #[test]
    fn rates_are_over_the_measured_time() {
        let plan = plan("throughput --confirm 100").unwrap();
        let report = Report::new(&plan, &measured());
        assert_eq!(report.published.per_s, 500_000.0);
        assert_eq!(report.confirmed.map(|flow| flow.per_s), Some(400_000.0));
        assert_eq!(report.consumed.per_s, 250_000.0);
    }

    #[test]
    fn cpu_time_is_divided_by_what_each_party_handled() {
        let report = Report::new(&plan("throughput").unwrap(), &measured());
        let us = |cost: Option<CpuCost>| cost.and_then(|cost| cost.us_per_message);
        assert_eq!(us(report.cpu.broker), Some(6.0), "of a message consumed");
        assert_eq!(us(report.cpu.publishers), Some(0.5), "of a message published");
        assert_eq!(us(report.cpu.consumers), Some(0.5));
        assert_eq!(us(report.cpu.bench), None, "unknown");
        assert_eq!(report.cpu.broker.map(|cost| cost.cores), Some(1.5));

        let alone = Report::new(&plan("throughput --consumers 0").unwrap(), &measured());
        assert_eq!(us(alone.cpu.broker), Some(3.0), "of a message published");
    }

    #[test]
    fn a_cost_without_messages_is_not_a_number_out_of_nothing() {
        let cost = CpuCost::new(Duration::from_secs(1), Duration::from_secs(1), 0);
        assert_eq!(cost.us_per_message, None);
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut histogram = Histogram::new_with_bounds(1, 120_000_000_000, 3).unwrap();
        for us in 1..=1000 {
            histogram.record(us * 1000).unwrap();
        }
        let of = Percentiles::of(Some(&histogram));
        let near = |value: f64, expected: f64| (value - expected).abs() <= expected / 500.0;
        assert!(near(of.p50, 500.0) && near(of.p90, 900.0) && near(of.p99, 990.0), "{of:?}");
        assert!(near(of.p99_9, 999.0) && near(of.max, 1000.0), "{of:?}");
        assert_eq!(of.count, 1000);
    }

    #[test]
    fn the_table_names_the_broker_the_load_and_the_figures() {
        let plan = plan("throughput --confirm 100 --size 1024").unwrap();
        let table = Report::new(&plan, &measured()).to_string();
        for part in [
            "throughput of Some Broker 1.0 at amqp://guest@127.0.0.1:5672/",
            "1 publisher, 1 consumer, 1 transient queue; transient messages of 1,024 bytes",
            "; confirms, window 100; automatic acks",
            "measured 4.00 s after 1 s of warm-up\n",
            "published                      2,000,000         500,000",
            "refused                                3",
            "broker                              6.00            1.50           6.000",
            "3.0 MiB at the end, 5.0 MiB at most",
        ] {
            assert!(table.contains(part), "{part:?} in\n{table}");
        }
    }

    #[test]
    fn the_json_object_has_the_latencies_under_their_names() {
        let json = serde_json::to_value(Report::new(&plan("latency").unwrap(), &measured()));
        let json = json.unwrap();
        assert_eq!(json["measurement"], "latency");
        assert_eq!(json["workload"]["rate_per_s"], 1000);
        assert_eq!(json["latency"]["delivery_us"]["p99.9"], 0.0);
        assert_eq!(json["cpu"]["broker"]["us_per_message"], 6.0);
        assert_eq!(json["broker_memory"]["peak_bytes"], 5 << 20);
        assert_eq!(json["broker_disk"]["end_bytes"], 7 << 20);
    }

    #[test]
    fn numbers_are_grouped_in_threes() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
