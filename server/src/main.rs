//! The `warren` binary: its command line, and nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod bench;
mod config;
mod credentials;
mod ctl;
mod definitions;
mod findings;
mod health;
mod http;
mod logging;
mod management;
mod memory;
mod metrics;
mod page;
mod recordings;
mod reload;
mod repair;
mod restart;
mod serve;
mod size;
mod systemd;
mod tls;
mod usage;
mod vhost_defaults;

/// A message broker that speaks AMQP 0-9-1, for the clients of RabbitMQ.
///
/// Without a command it serves, with the options of `serve`.
#[derive(Debug, Parser)]
#[command(name = "warren", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// What the binary can be asked to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker.
    Serve(serve::ServeArgs),
    /// Say what a configuration comes to, and what can stand in one.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run a broker that is there, with the commands of rabbitmqctl, rabbitmq-diagnostics and
    /// rabbitmq-plugins
    Ctl(ctl::CtlArgs),
    /// Write the manual page of warren, or of one of its commands, such as ctl
    Man {
        /// The command
        command: Option<String>,
    },
    /// Put load on any AMQP 0-9-1 broker and measure what it does.
    Bench(bench::BenchArgs),
    /// Look for damage in a data directory that no broker uses, and change nothing.
    #[command(after_help = repair::CHECK_HELP)]
    Check(repair::CheckArgs),
    /// Drop what is damaged in a data directory, and keep all else.
    #[command(after_help = repair::SALVAGE_HELP)]
    Salvage(repair::SalvageArgs),
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some((tool, name)) = arguments.first().and_then(ctl::Tool::named) {
        return ctl::main(tool, name, &arguments);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if arguments.get(1).is_some_and(|command| command == "ctl") => {
            return ctl::usage_error(&error, &arguments[2..]);
        }
        Err(error) => error.exit(),
    };
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(&args),
        Command::Config(command) => config::main(command),
        Command::Ctl(args) => ctl::run_args(&args, Cli::command()),
        Command::Man { command } => ctl::manual(command.as_deref(), Cli::command()),
        Command::Bench(args) => bench::main(args),
        Command::Check(args) => repair::check(&args),
        Command::Salvage(args) => repair::salvage(&args),
    }
}

fn serve(args: &serve::ServeArgs) -> ExitCode {
    match serve::serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("warren: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
