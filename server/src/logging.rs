//! Logs: one record a line, on standard error.

use std::io::{IsTerminal, stderr};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogSettings;

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log this and what is more severe [info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    log: Option<Level>,

    /// How a log record is written [text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<Format>,
}

impl LogArgs {
    /// The flags that were given, the keys that they set, and the values.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        let level = self.log.map(|level| match level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
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
enum Level {
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

/// What is logged from now on can be changed here.
pub(crate) struct LogLevel(reload::Handle<LevelFilter, Registry>);

impl LogLevel {
    /// Logs this and what is more severe.
    pub(crate) fn set(&self, level: LevelFilter) {
        // It fails only if nothing is logged any more.
        let _ = self.0.reload(level);
    }
}

/// Starts logging. To be called once.
pub(crate) fn init(settings: &LogSettings) -> LogLevel {
    let (filter, level) = reload::Layer::new(settings.level());
    let records = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_target(false)
        .with_ansi(stderr().is_terminal());
    let logged = tracing_subscriber::registry().with(filter);
    if settings.is_json {
        logged.with(records.json().flatten_event(true)).init();
    } else {
        logged.with(records).init();
    }
    LogLevel(level)
}

/// Starts logging of what somebody should know who looks at a data directory, in plain sentences.
/// To be called once.
pub(crate) fn init_plain() {
    let records = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(stderr);
    records.without_time().with_level(false).with_target(false).with_ansi(false).init();
}
