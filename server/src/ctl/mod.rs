//! `warren ctl`: what people type to run a broker, with the commands, texts, tables and exit codes
//! of RabbitMQ's tools, also under their names.
//!
//! There is nothing of the broker in here. A command is some requests of the management API, made
//! as an operator over the socket in the broker's data directory, or as any user over HTTP, and
//! what is printed of their answers. What a user may not do there cannot be done from here either.
//!
//! [`commands`] is the table of all there is. The command line is made of it, and with that the
//! help, the manual page and the completions for shells.

mod call;
mod check;
mod cli;
mod client;
mod command;
mod commands;
mod connection;
mod definitions;
mod failure;
mod feature;
mod lifecycle;
mod limit;
mod listing;
mod log;
mod manual;
mod output;
mod parameter;
mod permission;
mod plugin;
mod policy;
mod queue;
mod recording;
mod refused;
mod status;
mod table;
mod target;
mod user;
mod vhost;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use call::Call;
pub(crate) use cli::CtlArgs;
use command::Command;
use failure::Failure;
pub(crate) use manual::manual;
use output::Output;

/// The names under which this program is RabbitMQ's tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `warren ctl`, `rabbitmqctl`, and the other tools whose commands are among these.
    Ctl,
    /// `warren ctl plugins` and `rabbitmq-plugins`.
    Plugins,
}

impl Tool {
    /// Which of the tools is called so, if any is.
    pub(crate) fn named(program: &OsString) -> Option<(Self, &'static str)> {
        let name = Path::new(program).file_name()?;
        NAMES.into_iter().find(|(_, known)| name == *known)
    }
}

const NAMES: [(Tool, &str); 5] = [
    (Tool::Ctl, "rabbitmqctl"),
    (Tool::Ctl, "rabbitmq-diagnostics"),
    (Tool::Ctl, "rabbitmq-queues"),
    (Tool::Ctl, "rabbitmq-upgrade"),
    (Tool::Plugins, "rabbitmq-plugins"),
];

/// Runs the tool of this name, with the arguments of this process.
pub(crate) fn main(tool: Tool, name: &'static str, arguments: &[OsString]) -> ExitCode {
    match cli::tool(tool, name).try_get_matches_from(arguments) {
        Ok(matches) => run(tool, &matches),
        Err(error) => usage_error(&error, &arguments[1..]),
    }
}

/// Runs `warren ctl` with what stands behind it.
pub(crate) fn run_args(CtlArgs(matches): &CtlArgs, whole: clap::Command) -> ExitCode {
    match matches.subcommand() {
        Some(("completions", given)) => manual::completions(given, whole),
        Some(("plugins", below)) => run(Tool::Plugins, below),
        _ => run(Tool::Ctl, matches),
    }
}

/// Says what is wrong with a command line, or gives the help that was asked for.
pub(crate) fn usage_error(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if error.use_stderr() {
        return cli::usage_failure(error, arguments).report();
    }
    // Whoever asked may not read all of it.
    let _ = error.print();
    ExitCode::SUCCESS
}

fn run(tool: Tool, matches: &ArgMatches) -> ExitCode {
    let (name, given) = matches.subcommand().expect("a command is required");
    let command = commands::find(tool, name).expect("what is parsed is of the table");
    let done = warren_io::runtime()
        .map_err(|error| Failure::software(format!("cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(carry_out(command, given)));
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

async fn carry_out(command: &'static Command, given: &ArgMatches) -> Result<(), Failure> {
    let call = Call::new(command.name, given)?;
    let answer = match call.options.timeout.filter(|_| !command.has_own_timeout) {
        None => (command.run)(&call).await,
        Some(limit) => match tokio::time::timeout(limit, (command.run)(&call)).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(&call, limit)),
        },
    };
    let output = match answer? {
        Output::Done if call.options.format.is_json() => {
            Output::Json(serde_json::json!({ "result": "ok", "node": call.node().await? }))
        }
        output => output,
    };
    output.print(&call.options)
}

/// A command took longer than it was given.
fn timed_out(call: &Call, limit: Duration) -> Failure {
    let (name, node, limit) = (call.name, call.expected_node(), limit.as_millis());
    Failure::timed_out(format!(
        "Error: operation {name} on node {node} timed out. Timeout value used: {limit}"
    ))
}
