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
//! | [`consumer`] | the side that consumes |
//! | [`latency`] | both sides of an open loop, with clocks |
//! | [`connection`], [`wire`], [`scan`] | the protocol |
//! | [`process`], [`report`] | CPU time and memory; the figures |

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

mod batch;
mod board;
mod confirms;
mod connection;
mod consumer;
mod error;
mod latency;
mod options;
mod process;
mod publisher;
mod report;
mod run;
mod scan;
mod schedule;
mod topology;
mod uri;
mod wire;

pub(crate) use options::BenchArgs;

use error::BenchError;
use options::Plan;
use report::Report;

/// Carries out what the command line asks for, and prints it: progress and errors to the standard
/// error, figures to the standard output. Ends with status 1 if there are no figures.
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
    let plan = Plan::try_from(args)?;
    let interrupt = interrupt().map_err(|e| BenchError::system("listening for Ctrl-C", e))?;
    let report = Report::new(&plan, &run::run(&plan, &interrupt)?);
    let text = if plan.workload.json {
        let json = serde_json::to_string(&report);
        json.expect("the report has only texts, numbers and fields") + "\n"
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
