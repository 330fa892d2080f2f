//! `warren-sim`: plays seeds and plans, and says how to play a failure again.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

mod cli;
mod commands;
mod player;
mod report;
mod timeline;

fn main() -> ExitCode {
    warren_sim::meter::keep_memory();
    let done = match Cli::parse().command {
        Command::Run(run) => commands::run(&run),
        Command::Replay(replay) => commands::replay(&replay),
        Command::Shrink(shrink) => commands::shrink(&shrink),
        Command::Coverage(coverage) => commands::coverage(&coverage),
        Command::Exhaustive(exhaustive) => commands::exhaustive(&exhaustive),
        Command::Plan { seed } => {
            // Who reads it may have seen enough.
            let _ = write!(std::io::stdout(), "{}", warren_sim::plan::draw(seed));
            Ok(true)
        }
        Command::Mutants(mutants) => commands::mutants(&mutants),
        Command::Speed(speed) => commands::speed(&speed),
        Command::Hunt(hunt) => commands::hunt(&hunt),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("warren-sim: {error}");
            ExitCode::from(2)
        }
    }
}
