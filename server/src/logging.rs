//! Logs: one record a line, on standard error.

use std::io::{IsTerminal, stderr};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log this and what is more severe
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log: LogLevel,

    /// How a log record is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts logging. To be called once.
pub(crate) fn init(args: &LogArgs) {
    let level = match args.log {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let records = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(stderr)
        .with_target(false)
        .with_ansi(stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => records.init(),
        LogFormat::Json => records.json().flatten_event(true).init(),
    }
}

/// Starts logging of what somebody should know who looks at a data directory, in plain sentences.
/// To be called once.
pub(crate) fn init_plain() {
    let records = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(stderr);
    records.without_time().with_level(false).with_target(false).with_ansi(false).init();
}
