//! The command line, made of the table of commands, and what is said where it makes no sense.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, Args, FromArgMatches, value_parser};

use super::Tool;
use super::command::{Arg, Command, Kind};
use super::commands;
use super::failure::Failure;
use super::manual;
use super::output::Format;

/// What stands behind `warren ctl`.
#[derive(Clone, Debug)]
pub(crate) struct CtlArgs(pub(super) ArgMatches);

impl FromArgMatches for CtlArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for CtlArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let plugins = clap::Command::new("plugins")
            .about("What plugins of RabbitMQ are called here: all are built in")
            .arg_required_else_help(true);
        with_commands(command, Tool::Ctl)
            .subcommand(with_commands(plugins, Tool::Plugins))
            .subcommand(manual::command())
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// The command line of a tool of RabbitMQ's, under its name.
pub(super) fn tool(tool: Tool, name: &'static str) -> clap::Command {
    let about = "Runs a broker: RabbitMQ's tool, as Warren has it";
    let command = clap::Command::new(name).about(about);
    with_commands(command.version(env!("CARGO_PKG_VERSION")), tool)
}

fn with_commands(command: clap::Command, tool: Tool) -> clap::Command {
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(general())
        .subcommands(commands::of(tool).map(subcommand))
}

fn subcommand(command: &'static Command) -> clap::Command {
    let args = command.args.iter().map(argument);
    clap::Command::new(command.name).about(command.about).args(args)
}

fn argument(arg: &'static Arg) -> clap::Arg {
    let made = clap::Arg::new(arg.name);
    let made = if arg.about.is_empty() { made } else { made.help(arg.about) };
    let made = match arg.short {
        Some(letter) => made.short(letter),
        None => made,
    };
    match arg.kind {
        Kind::One => made.required(true).allow_negative_numbers(true),
        Kind::Maybe => made.allow_negative_numbers(true),
        Kind::Any => made.num_args(0..),
        Kind::Some => made.num_args(1..).required(true),
        Kind::Flag => made.long(arg.name).action(ArgAction::SetTrue),
        Kind::Value => made.long(arg.name).value_name("VALUE"),
        Kind::Number => {
            let made = made.long(arg.name).value_name("NUMBER");
            made.value_parser(value_parser!(i64)).allow_negative_numbers(true)
        }
    }
}

/// What may stand before and behind every command.
fn general() -> Vec<clap::Arg> {
    let flag = |name: &'static str, help: &'static str| {
        let arg = clap::Arg::new(name).long(name).help(help);
        arg.action(ArgAction::SetTrue).global(true)
    };
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        clap::Arg::new(name).long(name).value_name(value).help(help).global(true)
    };
    let ignored = |name: &'static str| value(name, "IGNORED", "").hide(true);
    let timeout = value("timeout", "SECONDS", "How long it may take at the most").short('t');
    let format = value("formatter", "FORMAT", "What tables look like");
    vec![
        // Positional arguments are called `vhost` too.
        clap::Arg::new("in-vhost")
            .long("vhost")
            .short('p')
            .value_name("VHOST")
            .help("The virtual host, for what is of one [/]")
            .global(true),
        flag("quiet", "Nothing but the outcome").short('q'),
        flag("silent", "Nothing but the outcome, without a line of headers").short('s'),
        flag("no-table-headers", "Tables without a line of headers"),
        flag("table-headers", "").hide(true),
        format.value_parser(value_parser!(Format)),
        timeout.value_parser(value_parser!(u64)),
        value("node", "NODE", "Is accepted: there is one").short('n'),
        flag("longnames", "").short('l').hide(true),
        ignored("erlang-cookie"),
        ignored("script-name"),
        ignored("printer"),
        value("url", "URL", "The management API, http://user:password@host:15672 [WARREN_URL]"),
        value("cacert", "FILE", "Whom to trust, for an https:// URL [those the system trusts]"),
        value("socket", "PATH", "The broker's local socket [ctl.sock in its data directory]"),
        value("data-dir", "DIR", "The broker's data directory"),
        value("config", "PATH", "The broker's configuration, which says where its data are"),
    ]
}

/// What is wrong, in the words of RabbitMQ's tools.
pub(super) fn usage_failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let near = context(ContextKind::SuggestedSubcommand);
            let near = near.map(|near| format!("Did you mean '{near}'? \n")).unwrap_or_default();
            return Failure::usage(format!("\nCommand '{name}' not found. \n{near}"));
        }
        ErrorKind::MissingRequiredArgument => "not enough arguments.".to_owned(),
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            "too many arguments.".to_owned()
        }
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            format!("Invalid options for this command:\n{argument} : {value}")
        }
        _ => return Failure::usage(error.to_string()),
    };
    let given: Vec<_> = arguments.iter().map(|given| given.to_string_lossy()).collect();
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    Failure::usage(format!(
        "Error (argument validation): {what}\nArguments given:\n\t{}\n\n{usage}",
        given.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_are_sound() {
        for (kind, name) in [(Tool::Ctl, "rabbitmqctl"), (Tool::Plugins, "rabbitmq-plugins")] {
            tool(kind, name).debug_assert();
        }
    }

    #[test]
    fn general_options_stand_before_and_behind_a_command() {
        for line in ["-q -p v list_queues name messages", "list_queues name -p v messages -q"] {
            let words = std::iter::once("rabbitmqctl").chain(line.split(' '));
            let matches = tool(Tool::Ctl, "rabbitmqctl").try_get_matches_from(words);
            let matches = matches.unwrap_or_else(|error| panic!("{line}: {error}"));
            let (_, given) = matches.subcommand().expect("a command");
            assert_eq!(
                given.get_one::<String>("in-vhost").map(String::as_str),
                Some("v"),
                "{line}"
            );
            assert!(given.get_flag("quiet"), "{line}");
            let columns: Vec<&String> = given.get_many("column").expect("columns").collect();
            assert_eq!(columns, ["name", "messages"], "{line}");
        }
    }
}
