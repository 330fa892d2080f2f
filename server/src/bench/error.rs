//! Why a measurement ended without figures: each case prints as one sentence for a person.

use std::fmt;
use std::io;
use std::time::Duration;

/// The reason a run of the load generator failed.
#[derive(Debug)]
pub(super) enum BenchError {
    /// The options contradict each other.
    Options(String),
    /// No TCP connection could be made.
    Unreachable {
        /// The host and port that were tried.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system failed something that was asked of it.
    System {
        /// What was attempted, to follow "while".
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The broker closed the TCP connection without `connection.close`.
    Dropped {
        /// What was going on, to follow "while".
        doing: &'static str,
    },
    /// The broker did not answer within the time.
    Unanswered {
        /// What was waited for.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The broker sent `connection.close` or `channel.close`.
    Closed {
        /// `connection` or `channel`.
        scope: &'static str,
        /// The reply code.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// The broker cancelled a consumer (`basic.cancel`).
    Cancelled {
        /// The consumer's tag.
        tag: String,
    },
    /// The broker sent what the protocol does not allow at that place.
    Protocol(String),
    /// Nothing moved for too long.
    Stalled {
        /// How long nothing moved.
        after: Duration,
        /// How far it had come, and whether the broker had blocked publishing.
        state: String,
    },
    /// A queue did not give back each message once, in the order in which they went in.
    Disorder,
    /// The user ended it before there was anything to report.
    Interrupted,
}

impl BenchError {
    /// An operating system error met while `doing` something.
    pub(super) fn system(doing: impl Into<String>, source: io::Error) -> Self {
        Self::System { doing: doing.into(), source }
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(text) => write!(f, "{text}."),
            Self::Unreachable { address, source } => {
                write!(f, "no connection to {address}: {source}.")
            }
            Self::System { doing, source } => write!(f, "failed while {doing}: {source}."),
            Self::Dropped { doing } => {
                write!(f, "the broker closed the TCP connection without a word while {doing}.")
            }
            Self::Unanswered { what, after } => {
                write!(f, "the broker did not send {what} within {} s.", after.as_secs())
            }
            Self::Closed { scope, code, text } => {
                write!(f, "the broker closed the {scope} with {code}: {text}")
            }
            Self::Cancelled { tag } => write!(f, "the broker cancelled the consumer '{tag}'."),
            Self::Protocol(text) => write!(f, "the broker broke the protocol: {text}."),
            Self::Stalled { after, state } => {
                write!(f, "no progress for {} s: {state}.", after.as_secs())
            }
            Self::Disorder => {
                write!(f, "a queue did not give back what went in, in the order in which it did.")
            }
            Self::Interrupted => write!(f, "interrupted before anything was measured."),
        }
    }
}

impl std::error::Error for BenchError {}
