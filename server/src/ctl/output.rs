//! What is printed: as tables for people, as rows between which tabs stand for their scripts, as
//! JSON and CSV for programs.

use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use super::failure::Failure;
use super::table::{self, Row};

/// What a command line says of how it is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) format: Format,
    /// Whether what is being done goes without saying.
    pub(super) is_quiet: bool,
    /// Whether even that a check is well does.
    pub(super) is_silent: bool,
    /// Whether tables have a line of headers.
    pub(super) has_headers: bool,
    pub(super) timeout: Option<Duration>,
}

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Format {
    /// Tabs between columns.
    Table,
    /// Lines around everything.
    PrettyTable,
    Json,
    Csv,
}

impl Format {
    /// Whether a program reads it.
    pub(super) fn is_for_machines(self) -> bool {
        matches!(self, Self::Json | Self::Csv)
    }

    /// Whether it is JSON.
    pub(super) fn is_json(self) -> bool {
        self == Self::Json
    }
}

/// What comes of a command.
#[derive(Debug)]
pub(super) enum Output {
    /// It is done, and there is no more to say.
    Done,
    /// A sentence, or several.
    Text(String),
    /// An object for programs.
    Json(Value),
    /// A sentence for people, an object for programs.
    Either(String, Value),
    /// A table.
    Rows(Vec<Row>),
    /// Exactly this.
    Raw(Vec<u8>),
}

impl Output {
    /// Prints it.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(super) fn print(&self, options: &Options) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, options);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
            // As `head` does it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::software(format!("cannot write: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    fn write(&self, out: &mut Vec<u8>, options: &Options) {
        let is_json = options.format.is_json();
        let text = match self {
            Self::Done => return,
            Self::Raw(bytes) => return out.extend(bytes),
            Self::Text(text) if is_json => {
                serde_json::json!({ "result": "ok", "message": text }).to_string()
            }
            Self::Text(text) => text.clone(),
            Self::Either(_, json) if is_json => json.to_string(),
            Self::Either(text, _) => text.clone(),
            Self::Json(json) => json.to_string(),
            Self::Rows(rows) => match options.format {
                Format::Json => table::json(rows),
                Format::Csv => table::csv(rows),
                Format::PrettyTable => table::pretty(rows),
                Format::Table => table::tabbed(rows, options.has_headers),
            },
        };
        out.extend(text.as_bytes());
        if !text.is_empty() {
            out.push(b'\n');
        }
    }
}
