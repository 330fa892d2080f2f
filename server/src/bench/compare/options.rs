//! The command line of a comparison, and the plan that comes of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::workload::Workload;
use crate::bench::error::BenchError;
use crate::bench::process::connections_max;
use crate::bench::uri::Uri;

/// The name of the relay that has no broker in it.
pub(super) const FLOOR: &str = "floor";
/// The name of the Warren that is started for the comparison.
pub(super) const WARREN: &str = "warren";

/// What to compare.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// Brokers that run already, each with a name if it is to have one; else it is called by its
    /// address
    #[arg(value_name = "[NAME=]URI", value_parser = broker)]
    brokers: Vec<Broker>,
    /// The process of a broker, whose CPU time and memory to report, with its children's; may be
    /// repeated
    #[arg(long, value_name = "NAME=PID", value_parser = process)]
    pid: Vec<(String, u32)>,
    /// Start a Warren for it too: this program, with an empty data directory
    #[arg(long)]
    warren: bool,
    /// Leave out the floor: the relay that has no broker in it
    #[arg(long)]
    no_floor: bool,
    /// Against whom others are measured, beside the floor [default: the last broker]
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Only these workloads, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_enum)]
    workloads: Vec<Workload>,
    /// How often each workload is measured with each broker
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What each measurement leaves out at the beginning
    #[arg(long, value_name = "TIME", default_value = "1s")]
    #[arg(value_parser = humantime::parse_duration)]
    warmup: Duration,
    /// How long each measurement is, after that
    #[arg(long, value_name = "TIME", default_value = "3s")]
    #[arg(value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How many connections are opened to measure one that is idle
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// How many durable queues are declared, to measure that, and one that is idle
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queues: u32,
    /// Declare every queue durable; RabbitMQ 4.3 and later refuses others that are shared
    #[arg(long)]
    durable: bool,
    /// Where what is started here keeps its data, in a directory of its own, which is removed: on
    /// the disk that is to be measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

/// A broker that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) name: String,
    pub(super) uri: Uri,
    pub(super) pid: Option<u32>,
}

/// A comparison that can be carried out.
#[derive(Clone, Debug)]
pub(crate) struct ComparePlan {
    pub(super) brokers: Vec<Broker>,
    pub(super) has_warren: bool,
    pub(super) has_floor: bool,
    /// The name of one of them all.
    pub(super) base: String,
    pub(super) workloads: Vec<Workload>,
    pub(super) rounds: u32,
    pub(super) size: Size,
    pub(super) dir: PathBuf,
    pub(in crate::bench) json: bool,
}

/// How much of each workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) connections: u32,
    pub(super) queues: u32,
    /// Whether all queues are durable.
    pub(super) is_durable: bool,
}

impl CompareArgs {
    pub(in crate::bench) fn plan(self) -> Result<ComparePlan, BenchError> {
        let mut brokers = self.brokers;
        let refuse = |text: String| Err(BenchError::Options(text));
        for (name, pid) in self.pid {
            let Some(broker) = brokers.iter_mut().find(|broker| broker.name == name) else {
                return refuse(format!("--pid is for a broker named '{name}', and none is"));
            };
            broker.pid = Some(pid);
        }
        let started = [(!self.no_floor, FLOOR), (self.warren, WARREN)];
        let started = started.into_iter().filter_map(|(is_there, name)| is_there.then_some(name));
        let mut names: Vec<&str> =
            started.chain(brokers.iter().map(|broker| broker.name.as_str())).collect();
        let Some(last) = names.last() else {
            return refuse("there is nobody to measure".into());
        };
        let base = self.base.unwrap_or_else(|| (*last).to_owned());
        if !names.contains(&base.as_str()) {
            return refuse(format!("--base '{base}' is none of those that are measured"));
        }
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(format!("two brokers are named '{}'", pair[0]));
        }
        if self.duration.is_zero() {
            return refuse("a --duration of 0 measures nothing".into());
        }
        let all = self.workloads.is_empty();
        Ok(ComparePlan {
            has_warren: self.warren,
            has_floor: !self.no_floor,
            base,
            workloads: if all { Workload::ALL.to_vec() } else { self.workloads },
            rounds: self.rounds,
            size: Size {
                warmup: self.warmup,
                duration: self.duration,
                connections: connections_max(self.connections),
                queues: self.queues,
                is_durable: self.durable,
            },
            dir: self.dir,
            json: self.json,
            brokers,
        })
    }
}

fn broker(text: &str) -> Result<Broker, String> {
    let (name, uri) = match text.split_once('=') {
        Some((name, uri)) if !name.contains(':') => (Some(name), uri),
        _ => (None, text),
    };
    let uri: Uri = uri.parse()?;
    let name = match name {
        Some("") => return Err("a name has a letter at least".into()),
        Some(name) => name.to_owned(),
        None => format!("{}:{}", uri.host, uri.port),
    };
    Ok(Broker { name, uri, pid: None })
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.rsplit_once('=').ok_or("a process is written NAME=PID")?;
    let pid = pid.parse().map_err(|_| format!("'{pid}' is no process id"))?;
    Ok((name.to_owned(), pid))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        compare: CompareArgs,
    }

    fn plan(line: &str) -> Result<ComparePlan, String> {
        let words = std::iter::once("compare").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        cli.compare.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn brokers_have_names_processes_and_a_base() {
        let plan = plan("one=amqp://h:1/ amqp://a:b=c@h:2/ --pid h:2=7 --warren").unwrap();
        let names: Vec<(&str, Option<u32>)> =
            plan.brokers.iter().map(|broker| (broker.name.as_str(), broker.pid)).collect();
        assert_eq!(names, [("one", None), ("h:2", Some(7))]);
        assert_eq!((plan.base.as_str(), plan.has_warren, plan.has_floor), ("h:2", true, true));
        assert_eq!(plan.workloads, Workload::ALL);
    }

    #[test]
    fn workloads_are_chosen_by_name() {
        let plan = plan("--warren --workloads declare,transient-16 --base floor").unwrap();
        assert_eq!(plan.workloads, [Workload::Declare, Workload::Transient16]);
        assert_eq!(plan.base, "floor");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "--no-floor",
            "--warren --pid other=1",
            "--warren --base other",
            "--warren warren=amqp://h/",
            "a=amqp://h/ a=amqp://i/",
            "=amqp://h/",
            "--warren --workloads none",
            "--warren --rounds 0",
            "--warren --duration 0s",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
