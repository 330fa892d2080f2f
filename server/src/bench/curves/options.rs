//! The command line of the curves, and the plan that comes of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::curve::Curve;
use crate::bench::error::BenchError;
use crate::bench::options::count;
use crate::bench::process::connections_max;
use crate::bench::uri::Uri;

/// What to draw.
#[derive(Clone, Debug, Args)]
pub(crate) struct CurvesArgs {
    /// A broker that runs already, on this machine; unless given, a Warren is started, with an
    /// empty data directory
    #[arg(long, requires = "pid")]
    uri: Option<Uri>,
    /// Its process, whose CPU time is told, with its children's
    #[arg(long, value_name = "PID", requires = "uri")]
    pid: Option<u32>,
    /// Only these curves, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_enum)]
    curves: Vec<Curve>,
    /// Where every curve ends at the latest, such as 1000, 100k or 1M [default: each at its own]
    #[arg(long, value_name = "N", value_parser = count)]
    max: Option<u64>,
    /// How often each point is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement is
    #[arg(long, value_name = "TIME", default_value = "2s")]
    #[arg(value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Where the Warren that is started keeps its data, in a directory of its own, which is removed
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Draw the curves into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// Curves that can be drawn.
#[derive(Clone, Debug)]
pub(crate) struct CurvesPlan {
    /// A broker that runs, and its process.
    pub(super) broker: Option<(Uri, u32)>,
    /// Which, each with where it ends.
    pub(super) curves: Vec<(Curve, u32)>,
    pub(super) rounds: u32,
    pub(super) duration: Duration,
    pub(super) dir: PathBuf,
    pub(super) svg: Option<PathBuf>,
    pub(in crate::bench) json: bool,
}

impl CurvesArgs {
    pub(in crate::bench) fn plan(self) -> Result<CurvesPlan, BenchError> {
        if self.duration.is_zero() {
            return Err(BenchError::Options("a --duration of 0 measures nothing".into()));
        }
        let wanted = if self.curves.is_empty() { Curve::ALL.to_vec() } else { self.curves };
        let max = u32::try_from(self.max.unwrap_or(u64::MAX)).unwrap_or(u32::MAX);
        let curves = wanted.into_iter().map(|curve| (curve, limited(curve, curve.max().min(max))));
        Ok(CurvesPlan {
            broker: self.uri.zip(self.pid),
            curves: curves.collect(),
            rounds: self.rounds,
            duration: self.duration,
            dir: self.dir,
            svg: self.svg,
            json: self.json,
        })
    }
}

/// The end of a curve, or as far as open files go.
fn limited(curve: Curve, max: u32) -> u32 {
    if curve == Curve::Connections { connections_max(max) } else { max }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        curves: CurvesArgs,
    }

    fn plan(line: &str) -> Result<CurvesPlan, String> {
        let words = std::iter::once("curves").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        cli.curves.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn each_curve_has_its_own_end_unless_one_is_given() {
        let ends = |line: &str| -> Vec<u32> {
            plan(line).unwrap().curves.into_iter().map(|(_, max)| max).collect()
        };
        assert_eq!(ends("--curves queues,bindings"), [100_000, 1_000_000]);
        assert_eq!(ends("--max 5k --curves backlog,consumers"), [5000, 1000]);
        assert_eq!(plan("").unwrap().curves.len(), Curve::ALL.len());
    }

    #[test]
    fn a_broker_without_a_process_has_no_cost() {
        assert!(plan("--uri amqp://h/").is_err());
        assert!(plan("--pid 1").is_err());
        assert!(plan("--duration 0s").is_err());
        assert_eq!(plan("--uri amqp://h/ --pid 1").unwrap().broker.map(|(_, pid)| pid), Some(1));
    }
}
