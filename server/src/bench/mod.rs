//! `warren bench`: a load generator for any broker that speaks AMQP 0-9-1.
//!
//! It is an outsider: it knows a broker by its address only, and shares no code with Warren's core,
//! so that it can be trusted to judge it. It is made so lean that the broker is the bottleneck:
//! messages are encoded before the load begins ([`batch`]), what arrives is scanned in place
//! ([`scan`]), and a message costs no allocation on either side. Every publisher and consumer is
//! one blocking connection on one thread of its own (for latency, a publisher is two threads):
//! against a sink that does nothing this measured 0.025 µs of CPU time per message, and an event
//! loop 0.027. It holds for some hundreds of connections; beyond, the limits are the system's, on
//! open files and on threads, and the switching between them begins to count.
//!
//! | Module | Holds |
//! |---|---|
//! | [`options`], [`uri`] | the command line, and the plan that comes of it |
//! | [`run`], [`board`] | one measurement from beginning to end; what its threads share |
//! | [`topology`] | the queues and the exchange that it declares and deletes |
//! | [`publisher`], [`batch`], [`confirms`], [`schedule`] | the side that publishes |
//! | [`consumer`], [`hold`] | the side that consumes; one that does not acknowledge |
//! | [`backlog`], [`backlog_report`] | one side after the other, over a deep queue |
//! | [`timers`] | messages that come when it is their time |
//! | [`churn`] | connections, channels and queues that come and go |
//! | [`floor`] | a relay with no broker in it, to measure against |
//! | [`compare`] | all of it with several brokers in turn |
//! | [`curves`] | costs against how much there is of something |
//! | [`latency`] | both sides of an open loop, with clocks |
//! | [`connection`], [`pipeline`], [`wire`], [`scan`] | the protocol |
//! | [`process`], [`directory`], [`report`] | CPU time, memory and disk; the figures |

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

mod backlog;
mod backlog_report;
mod batch;
mod board;
mod churn;
mod compare;
mod confirms;
mod connection;
mod consumer;
mod curves;
mod directory;
mod error;
mod floor;
mod hold;
mod latency;
mod options;
mod pipeline;
mod process;
mod publisher;
mod report;
mod run;
mod scan;
mod schedule;
mod timers;
mod topology;
mod uri;
mod wire;

pub(crate) use options::BenchArgs;

use backlog_report::BacklogReport;
use error::BenchError;
use options::Task;
use report::Report;

/// Carries out what the command line asks for, and prints it: progress and errors to the standard
/// error, figures to the standard output. Ends with status 1 if there are no figures, or if
/// a queue did not give back what went in.
pub(crate) fn main(args: BenchArgs) -> ExitCode {
    match measure(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warren bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: BenchArgs) -> Result<(), BenchError> {
    let task = Task::try_from(args)?;
    let interrupt = interrupt().map_err(|e| BenchError::system("listening for Ctrl-C", e))?;
    match task {
        Task::Load(plan) => {
            let report = Report::new(&plan, &run::run(&plan, &interrupt)?);
            print(&report, plan.workload.json)
        }
        Task::Backlog(backlog) => {
            let measured = backlog::run(&backlog, &interrupt)?;
            print(&BacklogReport::new(&backlog, &measured), backlog.plan.workload.json)?;
            match measured.drains.iter().all(|drained| drained.order.is_kept()) {
                true => Ok(()),
                false => Err(BenchError::Disorder),
            }
        }
        Task::Churn(plan) => print(&churn::run(&plan, &interrupt)?, plan.json),
        Task::Floor(args) => floor::serve(&args, &interrupt),
        Task::Curves(plan) => print(&curves::run(&plan, &interrupt)?, plan.json),
        Task::Compare(plan) => print(&compare::run(&plan, &interrupt)?, plan.json),
        Task::Timers(plan) => {
            let report = timers::run(&plan, &interrupt)?;
            print(&report, plan.json)?;
            if report.is_whole() { Ok(()) } else { Err(BenchError::Disorder) }
        }
    }
}

fn print(report: &(impl Serialize + Display), as_json: bool) -> Result<(), BenchError> {
    let text = if as_json {
        let json = serde_json::to_string(report);
        json.expect("a report has only texts, numbers and fields") + "\n"
    } else {
        report.to_string()
    };
    let printed = io::stdout().write_all(text.as_bytes());
    printed.map_err(|error| BenchError::system("printing the figures", error))
}

/// A flag that the first Ctrl-C (or SIGTERM) sets. The second ends the process at once.
fn interrupt() -> io::Result<Arc<AtomicBool>> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupt))?;
        flag::register(signal, Arc::clone(&interrupt))?;
    }
    Ok(interrupt)
}
