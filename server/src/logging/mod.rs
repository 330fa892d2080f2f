//! Logs: one record a line, on standard error and in a file, and the last of them in memory.

mod file;
mod recent;
mod rotation;

use std::io::{self, IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use file::LogFile;
pub(crate) use recent::{Recent, Record};
pub(crate) use rotation::{Rotation, Schedule};

use crate::config::LogSettings;

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log this and what is more severe [info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    log: Option<LevelArg>,

    /// How a log record is written [text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<Format>,
}

impl LogArgs {
    /// The flags that were given, the keys that they set, and the values.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        let level = self.log.map(|level| match level {
            LevelArg::Error => "error",
            LevelArg::Warn => "warning",
            LevelArg::Info => "info",
            LevelArg::Debug => "debug",
            LevelArg::Trace => "trace",
        });
        let format = self.log_format.map(|format| match format {
            Format::Text => "plaintext",
            Format::Json => "json",
        });
        let flags = [
            ("--log", "log.console.level", level),
            ("--log-format", "log.console.formatter", format),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some((flag, key.to_owned(), value?.to_owned())))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// RabbitMQ's levels; those that there are not are the nearest that there are.
pub(crate) const LEVELS: [(&str, LevelFilter); 10] = [
    ("debug", LevelFilter::DEBUG),
    ("info", LevelFilter::INFO),
    ("notice", LevelFilter::INFO),
    ("warning", LevelFilter::WARN),
    ("error", LevelFilter::ERROR),
    ("critical", LevelFilter::ERROR),
    ("alert", LevelFilter::ERROR),
    ("emergency", LevelFilter::ERROR),
    ("none", LevelFilter::OFF),
    ("trace", LevelFilter::TRACE),
];

/// The level of this name.
pub(crate) fn level(name: &str) -> Option<LevelFilter> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// What RabbitMQ calls a level.
pub(crate) fn level_name(level: Level) -> &'static str {
    let known = LEVELS.iter().find(|(_, known)| *known == level);
    known.map_or("info", |(name, _)| name)
}

/// Where logs go, and what can be changed of that.
#[derive(Clone)]
pub(crate) struct Logs {
    recent: Recent,
    file: Option<(PathBuf, LogFile)>,
    levels: Arc<Levels>,
}

/// The layer behind all others, which lets through what any of them takes.
type Base = Layered<reload::Layer<LevelFilter, Registry>, Registry>;

/// Levels in force.
struct Levels {
    all: reload::Handle<LevelFilter, Registry>,
    console: reload::Handle<LevelFilter, Base>,
    file: reload::Handle<LevelFilter, Base>,
}

impl Logs {
    /// Logs this and what is more severe, at each place.
    pub(crate) fn set_levels(&self, settings: &LogSettings) {
        self.set(settings.console_level(), settings.file_level());
    }

    /// The same at all places, until the configuration is read again.
    pub(crate) fn set_level(&self, level: LevelFilter) {
        self.set(level, level);
    }

    fn set(&self, console: LevelFilter, file: LevelFilter) {
        // It fails only if nothing is logged any more.
        let _ = self.levels.console.reload(console);
        let _ = self.levels.file.reload(file);
        let _ = self.levels.all.reload(console.max(file));
    }

    /// The last records.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Where they are, as RabbitMQ tells it.
    pub(crate) fn locations(&self) -> Vec<String> {
        let file = self.file.as_ref().map(|(path, _)| path.display().to_string());
        file.into_iter().chain(["<stderr>".to_owned()]).collect()
    }

    /// Opens the file anew, which may have been moved away.
    pub(crate) fn reopen(&self) {
        if let Some((_, file)) = &self.file {
            file.reopen();
        }
    }

    /// Moves the file away, and begins a new one. Waits for the disk.
    ///
    /// # Errors
    /// What the operating system says to it.
    pub(crate) fn rotate(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |(_, file)| file.rotate())
    }

    /// Waits until what was logged is written, for a while.
    pub(crate) fn flush(&self) {
        if let Some((_, file)) = &self.file {
            file.flush();
        }
    }
}

/// Starts logging. To be called once.
///
/// # Errors
/// When there is to be a file that cannot be written to: which, and why.
pub(crate) fn init(settings: &LogSettings, data_dir: &Path) -> Result<Logs, (PathBuf, io::Error)> {
    let file = match settings.file(data_dir) {
        None => None,
        Some(path) => {
            let started = LogFile::start(path.clone(), settings.rotation);
            Some((path.clone(), started.map_err(|error| (path, error))?))
        }
    };
    let (console_level, file_level) = (settings.console_level(), settings.file_level());
    let (all_filter, all) = reload::Layer::new(console_level.max(file_level));
    let (console_filter, console) = reload::Layer::new(console_level);
    let (file_filter, file_handle) = reload::Layer::new(file_level);
    let recent = Recent::new();
    let to_file = file.as_ref().map(|(_, file)| {
        let lines = written(settings.file_is_json, file.clone(), false);
        lines.with_filter(file_filter)
    });
    let to_console = written(settings.is_json, stderr, stderr().is_terminal());
    let to_places = to_file
        .map(Layer::boxed)
        .into_iter()
        .chain([to_console.with_filter(console_filter).boxed(), recent.clone().boxed()]);
    tracing_subscriber::registry().with(all_filter).with(to_places.collect::<Vec<_>>()).init();
    let levels = Arc::new(Levels { all, console, file: file_handle });
    Ok(Logs { recent, file, levels })
}

/// Records a line each.
fn written<W>(is_json: bool, writer: W, is_colored: bool) -> Box<dyn Layer<Base> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let records = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .with_ansi(is_colored);
    match is_json {
        true => records.json().flatten_event(true).boxed(),
        false => records.boxed(),
    }
}

/// Starts logging of what somebody should know who looks at a data directory, in plain sentences.
/// To be called once.
pub(crate) fn init_plain() {
    let records = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(stderr);
    records.without_time().with_level(false).with_target(false).with_ansi(false).init();
}
