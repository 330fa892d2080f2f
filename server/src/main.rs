//! The `warren` binary: its command line, and nothing else.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod config;
mod findings;
mod health;
mod http;
mod logging;
mod management;
mod memory;
mod metrics;
mod reload;
mod repair;
mod serve;
mod size;
mod systemd;
mod tls;
mod usage;

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
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(&args),
        Command::Config(command) => config::main(command),
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
