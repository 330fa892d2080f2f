//! The manual page, and completions for shells, made of the command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Tool, cli};

/// The command that writes completions.
pub(super) fn command() -> Command {
    let shell = Arg::new("shell").required(true).value_parser(value_parser!(Shell));
    let program = Arg::new("program")
        .help(
            "The name that is completed: warren, or rabbitmqctl and so on, if there is such a link",
        )
        .default_value("warren");
    Command::new("completions")
        .about("Writes what a shell needs to complete command lines")
        .args([shell, program])
}

/// Writes completions; `whole` is the command line of `warren`.
pub(super) fn completions(given: &ArgMatches, whole: Command) -> ExitCode {
    let shell: Shell = *given.get_one("shell").expect("is required");
    let program: &String = given.get_one("program").expect("has a default");
    let mut command = match Tool::named(&OsString::from(program)) {
        Some((tool, name)) => cli::tool(tool, name),
        None => whole,
    };
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut out);
    written(io::stdout().write_all(&out))
}

/// Writes the manual page of a command of `warren`, or of `warren` where none is named.
pub(crate) fn manual(name: Option<&str>, whole: Command) -> ExitCode {
    let mut out = Vec::new();
    let page = match name {
        None => Some(whole),
        Some(name) => whole.find_subcommand(name).cloned().map(|below| {
            below.display_name(format!("warren-{name}")).bin_name(format!("warren {name}"))
        }),
    };
    let Some(page) = page else {
        eprintln!("warren: there is no command {}", name.unwrap_or_default());
        return ExitCode::from(64);
    };
    let page = page.version(env!("CARGO_PKG_VERSION"));
    written(
        clap_mangen::Man::new(page).render(&mut out).and_then(|()| io::stdout().write_all(&out)),
    )
}

/// As others do, a reader that has read enough is no error.
fn written(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("warren: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
