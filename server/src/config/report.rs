//! `warren config`: what a configuration comes to, and all keys that there are.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::effective;
use super::{Loaded, Machine, Sources, environment, keys};
use crate::definitions::Definitions;
use crate::memory;
use crate::tls::Identity;

/// The longest line of a comment.
const COLUMNS: usize = 100;

/// What can be asked of a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read a configuration, with the environment as it is, and show what it comes to.
    ///
    /// Whatever is wrong is told, with its place, and the exit status is 1 then.
    Check(CheckArgs),
    /// List all keys, with what they are.
    Keys,
    /// Print an example, with all keys.
    Example,
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files, and directories of files that end in .conf; what comes later counts more. If there
    /// is none, those that the environment names
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Does what is asked.
pub(crate) fn main(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Keys => {
            print!("{}", list());
            ExitCode::SUCCESS
        }
        ConfigCommand::Example => {
            print!("{}", example());
            ExitCode::SUCCESS
        }
    }
}

fn check(args: CheckArgs) -> ExitCode {
    let loaded = match Sources::new(args.paths).load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", effective(&loaded));
    let machine = Machine { memory: memory::total().unwrap_or(u64::MAX), disk: u64::MAX };
    let mut wrong: Vec<_> = loaded.settings.config(machine).err().into_iter().collect();
    wrong.extend(Definitions::read(&loaded.settings.definitions).err());
    for service in loaded.services_with_tls() {
        match Identity::load(loaded.settings.tls_of(service)) {
            Ok(identity) if identity.has_expired() => {
                eprintln!("warning: the time of the certificate for TLS is over");
            }
            Ok(_) => (),
            Err(error) => wrong.push(error),
        }
    }
    wrong.dedup();
    wrong.iter().for_each(|error| eprintln!("{error}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every key that counts, with where its value is from.
fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for section in &keys::SECTIONS {
        _ = writeln!(text, "## {}", section.title);
        for key in section.keys {
            for found in effective::of_key(loaded, section.title, key) {
                _ = match found.origin.at() {
                    Some(at) => writeln!(text, "{} = {}  # {at}", found.key, quoted(&found.value)),
                    None => writeln!(text, "{} = {}  # by itself", found.key, found.value),
                };
            }
        }
        text.push('\n');
    }
    for (key, addresses) in
        [("listeners.tcp", loaded.tcp_addresses()), ("listeners.ssl", loaded.ssl_addresses())]
    {
        let candidates = addresses.iter().map(|address| address.candidates()[0].to_string());
        let candidates: Vec<_> = candidates.collect();
        let told = if candidates.is_empty() { "nowhere".into() } else { candidates.join(", ") };
        _ = writeln!(text, "# {key}: {told}");
    }
    text
}

/// A value as a file has to have it.
fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty() && value.trim() == value && !value.contains(['#', '\'', '\n']);
    if is_plain {
        value.to_owned()
    } else if value.contains(['\'', '\n']) {
        format!("'''{value}'''")
    } else {
        format!("'{value}'")
    }
}

/// All keys, one a paragraph.
fn list() -> String {
    let mut text = String::new();
    for key in keys::all() {
        text += key.name;
        if !key.alias.is_empty() {
            _ = write!(text, " (or {})", key.alias);
        }
        if let Some(default) = key.default {
            _ = write!(text, " = {default}");
        }
        if let Some(variable) = environment::variable(key) {
            _ = write!(text, "  {variable}");
        }
        text.push('\n');
        text += &wrapped(key.about, "    ");
        text.push('\n');
    }
    text += "Taken, and without meaning here:\n\n";
    for known in keys::known_meaningless().filter(|known| !known.is_refused) {
        _ = writeln!(text, "{}\n    {}", known.name, known.why);
    }
    text
}

/// A configuration file with every key in it, and nothing said.
fn example() -> String {
    let mut text = wrapped(HEAD, "## ");
    for section in &keys::SECTIONS {
        _ = write!(text, "\n## {}\n", section.title);
        for key in section.keys {
            let (name, value) = key.sample();
            text.push('\n');
            text += &wrapped(key.about, "## ");
            _ = writeln!(text, "# {name} = {value}");
        }
    }
    text
}

const HEAD: &str = "Every key of Warren's configuration, with the value that counts where nothing \
    is said, or with an example. Lines that begin with # say nothing: take away the # of what you \
    want to say otherwise. The format is that of rabbitmq.conf. `warren config check FILE` tells \
    whether a file is sound, and what it comes to. A key can be set by a variable of the \
    environment too, WARREN_ and its name, which counts over files: WARREN_HEARTBEAT=30. A value \
    $(NAME) is that of a variable, $(<FILE) what is in a file; one with a # or with spaces at its \
    ends is written in single quotes. `include PATH` stands for other files.";

/// A text in lines that begin so.
fn wrapped(text: &str, begin: &str) -> String {
    let mut lines = String::new();
    let mut line = begin.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > COLUMNS {
            lines += line.trim_end();
            lines.push('\n');
            line = begin.to_owned();
        }
        line += word;
        line.push(' ');
    }
    lines += line.trim_end();
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/warren.conf.example");

    /// `WARREN_EXAMPLE=write` writes it anew.
    #[test]
    fn the_example_has_every_key_as_the_table_has_it() {
        if std::env::var_os("WARREN_EXAMPLE").is_some_and(|what| what == "write") {
            fs::write(EXAMPLE, example()).expect("can be written");
        }
        assert_eq!(fs::read_to_string(EXAMPLE).expect("is there"), example());
    }

    #[test]
    fn the_example_says_nothing_and_each_of_its_lines_can_be_said() {
        let none = load(&example());
        assert!(none.said.is_empty(), "{:?}", none.said);
        let said = example().replace("\n# ", "\n");
        // None and some listeners cannot both be, but both can be read.
        assert_eq!(load(&said).said.len(), keys::all().count());
    }

    #[test]
    fn what_a_configuration_comes_to_is_shown_without_what_is_secret() {
        let text = "default_pass = hunter2\ncluster_name = 'a # b'\nlisteners.tcp.x = 1\n\
                    vm_memory_high_watermark.absolute = 1GiB\n";
        let shown = effective(&load(text));
        assert!(!shown.contains("hunter2") && shown.contains("default_pass = ********  # "));
        for line in [
            "cluster_name = 'a # b'  # ",
            "listeners.tcp.x = 1  # ",
            "heartbeat = 60  # by itself",
            "vm_memory_high_watermark.absolute = 1GiB  # ",
            "# listeners.tcp: [::]:1",
            "# listeners.ssl: nowhere",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(!shown.contains("vm_memory_high_watermark.relative"), "{shown}");
        let again = load(&shown);
        assert_eq!(again.settings.core.heartbeat.as_secs(), 60);
    }

    #[test]
    fn all_keys_are_listed() {
        let list = list();
        for part in ["heartbeat = 60  WARREN_HEARTBEAT\n", "loopback_users.$user\n", "mqtt.\n"] {
            assert!(list.contains(part), "{part}");
        }
        assert!(list.lines().chain(example().lines()).all(|line| line.len() <= COLUMNS));
    }

    fn load(text: &str) -> Loaded {
        let dir = TempDir::new().expect("a temporary directory");
        let file: &Path = &dir.path().join("warren.conf");
        fs::write(file, text).expect("can be written");
        let sources = Sources {
            files: vec![file.to_owned()],
            environment: BTreeMap::new(),
            flags: Vec::new(),
        };
        sources.load().unwrap_or_else(|errors| panic!("{errors}"))
    }
}
