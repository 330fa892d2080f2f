//! The command line of the load generator, and the plan that comes of it.
//!
//! Options that contradict each other are refused here, so that whatever holds a [`Plan`] can rely
//! on it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, FromArgMatches, Subcommand, ValueEnum};

use super::backlog::BacklogPlan;
use super::churn::ChurnPlan;
use super::compare::{CompareArgs, ComparePlan};
use super::curves::{CurvesArgs, CurvesPlan};
use super::error::BenchError;
use super::floor::FloorArgs;
use super::timers::TimersPlan;
use super::uri::Uri;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    measurement: Measurement,
}

/// The kinds of measurement.
#[derive(Debug, Subcommand)]
enum Measurement {
    /// Measure how many messages per second go through, and at what cost.
    Throughput(ThroughputArgs),
    /// Measure how long messages take at a given rate.
    ///
    /// The schedule decides when a message is due, and its latency counts from then, whether or not
    /// it could be sent in time: a broker that stalls is charged for the messages that waited. How
    /// late the load generator itself was is reported beside it.
    Latency(LatencyArgs),
    /// Fill a queue that nobody consumes from, then drain it, and check that all comes in order.
    ///
    /// One connection publishes with confirms; when all is confirmed, another consumes with manual
    /// acks. Rates (and with --pid the broker's memory) are told for each tenth of both. With
    /// --only and --queue, the broker can be restarted between filling and draining. With --confirm
    /// 1 the times of the confirms are those of one message at a time.
    Backlog(BacklogArgs),
    /// Publish messages that each have another time, and measure how late each comes.
    ///
    /// Each waits in a queue of which it is a dead letter when its time to live is over (or, with
    /// --delay, in an exchange that delays), and then comes to another queue, from which it is
    /// consumed. All are published with confirms before the first is due; their times are spread
    /// over what has been published in no order. With --pid the broker's memory and CPU time are
    /// told for each tenth, of those published and of those that came.
    Timers(TimersArgs),
    /// Open and close connections, then channels, then queues, as fast as it goes.
    ///
    /// With --pid, the broker's memory and open files are told from before, at the most while it
    /// went on, and from two seconds after.
    Churn(ChurnArgs),
    /// Relay messages with no broker in between, so that others can be measured against it.
    ///
    /// It reads what is published and writes it to who consumes, and nothing else; with --dir, what
    /// is durable is written and synced before it is confirmed, once for each read. What this load
    /// generator measures against it is what the machine can do.
    Floor(FloorArgs),
    /// Measure several brokers in turn with the same workloads, and the floor with them.
    ///
    /// Each workload is measured several times with each broker, in turn, and the medians are told,
    /// with what they are of the floor's and of the base's: of the last broker that was named.
    /// With --pid the CPU time and the memory of a broker are told, its children's included.
    Compare(CompareArgs),
    /// Draw what a message costs against how much there is of something.
    ///
    /// Queues, bindings, connections, messages that wait, consumers: for each there are points at
    /// the powers of ten, of which each is the broker's CPU time for a message while there are so
    /// many. What a message costs should not grow with any of them.
    Curves(CurvesArgs),
}

#[derive(Debug, Args)]
struct ChurnArgs {
    /// The broker: amqp://user:password@host:port/vhost, percent-encoded
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    uri: Uri,
    /// Threads, each of which opens and closes one thing after the other
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    threads: u32,
    /// How long connections come and go, and channels, and queues
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Declare the queues durable: each declaration and each deletion waits for the disk then
    #[arg(long)]
    durable: bool,
    /// A process on this machine whose memory and open files to report, with its children: the
    /// broker
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TimersArgs {
    /// The broker: amqp://user:password@host:port/vhost, percent-encoded
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    uri: Uri,
    /// Messages, such as 500000, 100k or 10M
    #[arg(long, value_name = "N", default_value = "100k", value_parser = count)]
    messages: u64,
    /// Octets in a message's body, which begins with its number
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(8..=65536))]
    size: u32,
    /// Delay messages by their x-delay, in an exchange of the type x-delayed-message
    #[arg(long)]
    delay: bool,
    /// Publish with delivery mode 1
    #[arg(long)]
    transient: bool,
    /// The shortest time, within which all must have been published
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    lead: Duration,
    /// From each time to the next, in whole milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1)]
    step: u64,
    /// Messages that have the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    together: u64,
    /// Messages that may be unconfirmed at a time
    #[arg(long, value_name = "WINDOW", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    confirm: u32,
    /// Messages per second that are published; as fast as possible unless given
    #[arg(long, value_name = "MSGS_PER_S", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// A process on this machine whose CPU time and memory to report, with its children: the broker
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ThroughputArgs {
    #[command(flatten)]
    workload: Workload,
    /// Messages per second of all publishers together; as fast as possible unless given
    #[arg(long, value_name = "MSGS_PER_S", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// End once N messages were published and consumed (by every queue of a fan-out) and
    /// confirmed, instead of after a time; the warm-up is then 0 s unless given
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Debug, Args)]
struct LatencyArgs {
    #[command(flatten)]
    workload: Workload,
    /// Messages per second of all publishers together
    #[arg(long, value_name = "MSGS_PER_S", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
}

#[derive(Debug, Args)]
struct BacklogArgs {
    /// The broker: amqp://user:password@host:port/vhost, percent-encoded
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    uri: Uri,
    /// Messages, such as 500000, 100k or 10M
    #[arg(long, value_name = "N", default_value = "1M", value_parser = count)]
    messages: u64,
    /// Octets in a message's body, which begins with its number
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(8..=(256 << 20)))]
    size: u32,
    /// Queues; each gets every message, through a fanout exchange if there are several
    #[arg(long, value_name = "K", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    fanout: u32,
    /// Publish with delivery mode 1, to queues that are not durable
    #[arg(long)]
    transient: bool,
    /// An argument of every queue, such as x-queue-type=quorum; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = queue_argument)]
    queue_arg: Vec<(String, QueueValue)>,
    /// Messages that may be unconfirmed at a time
    #[arg(long, value_name = "WINDOW", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    confirm: u32,
    /// Unacknowledged deliveries that the consumer may hold; 0 is without limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    prefetch: u16,
    /// One ack for every EVERY messages, and multiple if that is more than one; unless given, one
    /// ack for whatever each read from the socket brought
    #[arg(long, value_name = "EVERY")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    multiple_ack: Option<u32>,
    /// Only the one half; what is filled stays for a run that drains it
    #[arg(long, value_enum, requires = "queue")]
    only: Option<Half>,
    /// What the names of the queues begin with [default: a name of its own]
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// A process on this machine whose CPU time, memory and writes to report, with its children:
    /// the broker
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// Half of a backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Half {
    Fill,
    Drain,
}

/// A number of messages: `500000`, `100k`, `10M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.filter(|&number| number > 0).ok_or_else(|| "not a number such as 100k or 10M".into())
}

/// What both measurements of a load have in common: who publishes what to whom.
#[derive(Clone, Debug, Args)]
pub(super) struct Workload {
    /// The broker: amqp://user:password@host:port/vhost, percent-encoded
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    pub(super) uri: Uri,
    /// Connections that publish; each is one thread and one channel
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) publishers: u32,
    /// Connections that consume; each is one thread and one channel
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) consumers: u32,
    /// Queues; they are dealt out to publishers and consumers in turn, and deleted at the end
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) queues: u32,
    /// Octets in a message's body
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=(256 << 20)))]
    pub(super) size: u32,
    /// Publish with delivery mode 2
    #[arg(long)]
    pub(super) persistent: bool,
    /// Declare the queues durable; RabbitMQ 4.3 and later refuses others that are shared
    #[arg(long)]
    pub(super) durable: bool,
    /// An argument of every queue, such as x-queue-type=quorum; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = queue_argument)]
    pub(super) queue_arg: Vec<(String, QueueValue)>,
    /// Publish through an exchange of this type; fanout copies every message to every queue
    #[arg(long, value_name = "TYPE")]
    pub(super) exchange: Option<ExchangeKind>,
    /// Bind the one queue N times to the exchange, each time with a key of its own; messages go
    /// round a thousand of them
    #[arg(long, value_name = "N", requires = "exchange", conflicts_with = "queues")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) bindings: Option<u32>,
    /// Ask for publisher confirms, with at most WINDOW messages unanswered on each connection
    #[arg(long, value_name = "WINDOW")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) confirm: Option<u32>,
    /// Who acknowledges deliveries: the broker as it sends (auto) or the consumer (manual)
    #[arg(long, value_enum, default_value_t = AckMode::Auto)]
    pub(super) ack: AckMode,
    /// Consumers that each connection that consumes starts on each of its queues
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) subscriptions: u32,
    /// Unacknowledged deliveries that each consumer of each queue may hold; 0 is without limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) prefetch: u16,
    /// With manual acks: one ack for every EVERY messages, and multiple if that is more than one;
    /// unless given, one ack for whatever each read from the socket brought
    #[arg(long, value_name = "EVERY")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) multiple_ack: Option<u32>,
    /// Messages that publishers may be ahead of consumers, so that a fast publisher does not fill
    /// the broker's memory; kept to within one write of each publisher; 0 is without limit, as
    /// it always is with no consumer
    #[arg(long, value_name = "MESSAGES", default_value_t = 200_000)]
    pub(super) max_lead: u32,
    /// What the figures leave out at the beginning [default: 1s, with --count 0s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    warmup: Option<Duration>,
    /// How long to measure, after the warm-up
    #[arg(long, value_name = "TIME", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Messages of each queue that another consumer takes before the load begins and does not
    /// acknowledge before its end
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) hold: u16,
    /// A process on this machine whose CPU time, memory and writes to report, with its children:
    /// the broker
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// A directory on this machine of which to report how much of the disk its files take: the
    /// broker's data
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

/// Types of exchange that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
}

impl ExchangeKind {
    /// Its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
        }
    }
}

/// Who acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AckMode {
    Auto,
    Manual,
}

/// The value of a queue's argument: a number if it reads as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueValue {
    Number(i64),
    Flag(bool),
    Text(String),
}

fn queue_argument(text: &str) -> Result<(String, QueueValue), String> {
    let (key, value) = text.split_once('=').ok_or("an argument is written KEY=VALUE")?;
    if key.is_empty() || key.len() > 255 {
        return Err("a key has 1 to 255 bytes".into());
    }
    let value = match (value.parse(), value.parse()) {
        (Ok(number), _) => QueueValue::Number(number),
        (_, Ok(flag)) => QueueValue::Flag(flag),
        _ => QueueValue::Text(value.into()),
    };
    Ok((key.into(), value))
}

/// What is measured, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Throughput for a time.
    Duration(Duration),
    /// Throughput over a number of published messages.
    Count(u64),
    /// Latency of the messages of this time.
    Latency(Duration),
}

/// A measurement that can be carried out: its options do not contradict each other.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Who publishes what to whom.
    pub(super) workload: Workload,
    /// Messages per second of all publishers together, if limited; always so for
    /// [`Goal::Latency`].
    pub(super) rate: Option<u64>,
    /// What the figures leave out at the beginning.
    pub(super) warmup: Duration,
    /// When it ends.
    pub(super) goal: Goal,
    /// Whether nothing is told of the progress.
    pub(super) is_quiet: bool,
}

impl Plan {
    /// What these words come to behind `warren bench`, for `uri`: a part of another measurement.
    ///
    /// # Panics
    ///
    /// If they ask for anything else than a load, or contradict each other.
    pub(super) fn part(words: &str, uri: &Uri) -> Self {
        let command = BenchArgs::augment_args(clap::Command::new("bench").no_binary_name(true));
        let args = command
            .try_get_matches_from(words.split_whitespace())
            .and_then(|matches| BenchArgs::from_arg_matches(&matches))
            .unwrap_or_else(|error| panic!("{error}"));
        match Task::try_from(args) {
            Ok(Task::Load(mut plan)) => {
                plan.workload.uri = uri.clone();
                plan.is_quiet = true;
                plan
            }
            other => panic!("{words}: {other:?}"),
        }
    }

    /// How many queues each message goes to.
    pub(super) fn copies(&self) -> u64 {
        match self.workload.exchange {
            Some(ExchangeKind::Fanout) => self.workload.queues.into(),
            _ => 1,
        }
    }

    /// How far publishers may be ahead of consumers, in deliveries.
    pub(super) fn max_lead(&self) -> Option<i64> {
        match self.workload.max_lead {
            0 => None,
            _ if self.workload.consumers == 0 => None,
            // A fan-out counts each copy, and has to be able to publish at all.
            lead => Some(i64::from(lead) * i64::try_from(self.copies()).expect("few queues")),
        }
    }

    fn checked(self) -> Result<Self, BenchError> {
        let workload = &self.workload;
        let refuse = |text: &str| Err(BenchError::Options(text.into()));
        if let Some(every) = workload.multiple_ack {
            if workload.ack == AckMode::Auto {
                return refuse("--multiple-ack needs --ack manual");
            }
            if workload.prefetch > 0 && every > u32::from(workload.prefetch) {
                return refuse(
                    "--multiple-ack above --prefetch would wait forever for messages to acknowledge",
                );
            }
        }
        if matches!(self.goal, Goal::Latency(_)) {
            if workload.consumers == 0 && workload.confirm.is_none() {
                return refuse("latency cannot be measured without a consumer or confirms");
            }
            if workload.size < 8 {
                return refuse("latency needs a --size of at least 8, which hold the time");
            }
        }
        match self.goal {
            Goal::Duration(time) | Goal::Latency(time) if time.is_zero() => {
                refuse("a --duration of 0 measures nothing")
            }
            _ => Ok(self),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Publishers and consumers at once.
    Load(Plan),
    /// One after the other.
    Backlog(BacklogPlan),
    /// Messages that come when it is their time.
    Timers(TimersPlan),
    Churn(ChurnPlan),
    /// To be measured.
    Floor(FloorArgs),
    /// The same with several brokers.
    Compare(ComparePlan),
    /// The same with more and more of something.
    Curves(CurvesPlan),
}

impl TryFrom<BenchArgs> for Task {
    type Error = BenchError;

    fn try_from(args: BenchArgs) -> Result<Self, BenchError> {
        let (workload, rate, goal, warmup_s) = match args.measurement {
            Measurement::Throughput(ThroughputArgs { workload, rate, count }) => match count {
                Some(count) => (workload, rate, Goal::Count(count), 0),
                None => {
                    let goal = Goal::Duration(workload.duration);
                    (workload, rate, goal, 1)
                }
            },
            Measurement::Latency(LatencyArgs { workload, rate }) => {
                let goal = Goal::Latency(workload.duration);
                (workload, Some(rate), goal, 1)
            }
            Measurement::Backlog(args) => return args.plan().map(Self::Backlog),
            Measurement::Timers(args) => return args.plan().map(Self::Timers),
            Measurement::Churn(args) => return Ok(Self::Churn(args.into())),
            Measurement::Floor(args) => return Ok(Self::Floor(args)),
            Measurement::Compare(args) => return args.plan().map(Self::Compare),
            Measurement::Curves(args) => return args.plan().map(Self::Curves),
        };
        let warmup = workload.warmup.unwrap_or(Duration::from_secs(warmup_s));
        Plan { workload, rate, warmup, goal, is_quiet: false }.checked().map(Self::Load)
    }
}

impl From<ChurnArgs> for ChurnPlan {
    fn from(args: ChurnArgs) -> Self {
        let ChurnArgs { uri, threads, duration, durable, pid, json } = args;
        Self { uri, threads, duration, durable, pid, json }
    }
}

impl TimersArgs {
    fn plan(self) -> Result<TimersPlan, BenchError> {
        let takes_s = self.rate.map_or(0.0, |rate| self.messages as f64 / rate as f64);
        if takes_s >= self.lead.as_secs_f64() {
            let text =
                format!("at this --rate, publishing takes {takes_s:.1} s: longer than --lead");
            return Err(BenchError::Options(text));
        }
        Ok(TimersPlan {
            uri: self.uri,
            messages: self.messages,
            size: self.size as usize,
            delay: self.delay,
            persistent: !self.transient,
            lead_ms: u64::try_from(self.lead.as_millis()).unwrap_or(u64::MAX),
            step_ms: self.step,
            together: self.together,
            confirm: self.confirm,
            rate: self.rate,
            pid: self.pid,
            json: self.json,
        })
    }
}

impl BacklogArgs {
    fn plan(self) -> Result<BacklogPlan, BenchError> {
        let messages = self.messages;
        let workload = Workload {
            uri: self.uri,
            publishers: 1,
            consumers: 1,
            queues: self.fanout,
            size: self.size,
            persistent: !self.transient,
            durable: !self.transient,
            queue_arg: self.queue_arg,
            exchange: (self.fanout > 1).then_some(ExchangeKind::Fanout),
            bindings: None,
            confirm: Some(self.confirm),
            ack: AckMode::Manual,
            subscriptions: 1,
            prefetch: self.prefetch,
            multiple_ack: self.multiple_ack,
            max_lead: 0,
            warmup: None,
            duration: Duration::ZERO,
            hold: 0,
            pid: self.pid,
            dir: None,
            json: self.json,
        };
        let goal = Goal::Count(messages);
        let plan = Plan { workload, rate: None, warmup: Duration::ZERO, goal, is_quiet: false };
        let plan = plan.checked()?;
        if let Some(name) = &self.queue
            && !(1..=200).contains(&name.len())
        {
            return Err(BenchError::Options("a --queue name has 1 to 200 bytes".into()));
        }
        Ok(BacklogPlan { plan, messages, name: self.queue, only: self.only })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    /// The plan that a command line gives.
    pub(in super::super) fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match Task::try_from(cli.bench).map_err(|error| error.to_string())? {
            Task::Load(plan) => Ok(plan),
            Task::Backlog(backlog) => Ok(backlog.plan),
            other => panic!("{other:?}"),
        }
    }

    fn backlog(line: &str) -> Result<BacklogPlan, String> {
        let words = ["bench", "backlog"].into_iter().chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match Task::try_from(cli.bench).map_err(|error| error.to_string())? {
            Task::Backlog(backlog) => Ok(backlog),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_backlog_is_durable_and_has_both_halves_unless_told_otherwise() {
        let both = backlog("--messages 10M").unwrap();
        assert_eq!(both.messages, 10_000_000);
        assert!(both.plan.workload.durable && both.plan.workload.persistent);
        assert!(both.wants(Half::Fill) && both.wants(Half::Drain));
        assert_eq!(both.plan.workload.exchange, None);
        let fill = backlog("--only fill --queue q --transient --fanout 3").unwrap();
        assert!(fill.wants(Half::Fill) && !fill.wants(Half::Drain));
        assert_eq!((fill.plan.copies(), fill.plan.workload.durable), (3, false));
    }

    #[test]
    fn a_backlog_that_cannot_be_is_refused() {
        for line in ["--only drain", "--size 7", "--messages 0", "--messages 1x", "--queue="] {
            assert!(backlog(line).is_err(), "{line}");
        }
        assert!(backlog("--prefetch 10 --multiple-ack 11").is_err(), "acks would never come");
    }

    #[test]
    fn counts_have_thousands_and_millions() {
        let counts = ["7", "100k", "10M"].map(count);
        assert_eq!(counts, [Ok(7), Ok(100_000), Ok(10_000_000)]);
        for text in ["", "k", "1G", "1.5k", "18446744073709551615k", "é"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_defaults_are_one_of_each_and_ten_seconds_after_one() {
        let plan = plan("throughput").unwrap();
        let workload = &plan.workload;
        assert_eq!((workload.publishers, workload.consumers, workload.queues), (1, 1, 1));
        assert_eq!((workload.size, workload.ack, workload.confirm), (16, AckMode::Auto, None));
        assert_eq!(plan.goal, Goal::Duration(Duration::from_secs(10)));
        assert_eq!(plan.warmup, Duration::from_secs(1));
        assert_eq!((plan.rate, plan.copies(), plan.max_lead()), (None, 1, Some(200_000)));
    }

    #[test]
    fn a_count_has_no_warm_up_unless_given() {
        let counted = plan("throughput --count 500").unwrap();
        assert_eq!((counted.goal, counted.warmup), (Goal::Count(500), Duration::ZERO));
        let warmed = plan("throughput --count 500 --warmup 250ms").unwrap();
        assert_eq!(warmed.warmup, Duration::from_millis(250));
        assert!(plan("throughput --count 500 --duration 5s").is_err());
    }

    #[test]
    fn every_option_of_a_workload_is_understood() {
        let plan = plan(
            "throughput --uri amqp://a:b@h:1/v --publishers 2 --consumers 3 --queues 4 --size 1024 \
             --persistent --durable --confirm 200 --ack manual --prefetch 100 --multiple-ack 50 \
             --rate 5000 --duration 2s --exchange fanout --queue-arg x-queue-type=quorum \
             --queue-arg x-max-length=5 --queue-arg x-single-active-consumer=true \
             --max-lead 1000 --json --pid 1 --hold 1 --dir /tmp",
        )
        .unwrap();
        assert_eq!(plan.rate, Some(5000));
        assert_eq!(plan.max_lead(), Some(4000), "four copies of each message");
        let values: Vec<QueueValue> =
            plan.workload.queue_arg.into_iter().map(|(_, value)| value).collect();
        let text = QueueValue::Text("quorum".into());
        assert_eq!(values, [text, QueueValue::Number(5), QueueValue::Flag(true)]);
    }

    #[test]
    fn without_a_consumer_there_is_no_lead_to_limit() {
        assert_eq!(plan("throughput --consumers 0").unwrap().max_lead(), None);
        assert_eq!(plan("throughput --max-lead 0").unwrap().max_lead(), None);
    }

    #[test]
    fn acks_that_would_never_come_are_refused() {
        assert!(plan("throughput --multiple-ack 5").is_err());
        assert!(plan("throughput --ack manual --prefetch 10 --multiple-ack 11").is_err());
        assert!(plan("throughput --ack manual --prefetch 10 --multiple-ack 10").is_ok());
        assert!(plan("throughput --ack manual --multiple-ack 1000").is_ok());
    }

    #[test]
    fn timers_are_published_before_the_first_is_due() {
        let timers = |line: &str| {
            let words = ["bench", "timers"].into_iter().chain(line.split_whitespace());
            let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
            Task::try_from(cli.bench).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(timers("--messages 10k --rate 1000 --lead 11s"), Ok(()));
        assert!(timers("--messages 10k --rate 1000 --lead 10s").is_err());
        assert!(timers("--rate 0").is_err());
        assert_eq!(timers("--messages 10M --lead 1s"), Ok(()), "who knows how fast it will be");
    }

    #[test]
    fn latency_needs_a_consumer_or_confirms_a_rate_and_room_for_the_time() {
        assert_eq!(plan("latency").unwrap().rate, Some(1000));
        assert!(plan("latency --consumers 0").is_err());
        assert!(plan("latency --consumers 0 --confirm 1").is_ok());
        assert!(plan("latency --size 7").is_err());
        assert!(plan("latency --rate 0").is_err());
        assert!(plan("latency --duration 0s").is_err());
    }
}
