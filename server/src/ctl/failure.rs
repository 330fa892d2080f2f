//! Why a command was not carried out: what is said of it, and the exit status, which is that of
//! RabbitMQ's tools (those of `sysexits.h`).

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

/// The command line makes no sense.
const USAGE: u8 = 64;
/// Something that was given is wrong.
const DATA: u8 = 65;
/// There is no such user.
const NO_USER: u8 = 67;
/// The broker is not there, or does not do this.
const UNAVAILABLE: u8 = 69;
/// It cannot be done.
const SOFTWARE: u8 = 70;
/// It takes too long.
const TEMPORARY: u8 = 75;
/// The user may not.
const NO_PERMISSION: u8 = 77;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Failure {
    status: u8,
    text: String,
    /// Whether the text goes to standard output: it is an object for machines.
    is_json: bool,
}

impl Failure {
    fn new(status: u8, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), is_json: false }
    }

    fn error(status: u8, text: impl std::fmt::Display) -> Self {
        Self::new(status, format!("Error:\n{text}"))
    }

    /// The command line makes no sense. The text is all that is said.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// What was asked for does not go together with what is there.
    pub(super) fn conflict(text: impl std::fmt::Display) -> Self {
        Self::error(USAGE, text)
    }

    /// An argument is wrong.
    pub(super) fn argument(text: impl std::fmt::Display) -> Self {
        Self::new(DATA, format!("Error (argument validation): Bad argument: {text}"))
    }

    /// Something that was given is wrong, or not there.
    pub(super) fn data(text: impl std::fmt::Display) -> Self {
        Self::error(DATA, text)
    }

    /// There is no such virtual host.
    pub(super) fn no_vhost(vhost: &str) -> Self {
        Self::new(DATA, format!("Virtual host '{vhost}' does not exist"))
    }

    /// There is no such user.
    pub(super) fn no_user(text: impl std::fmt::Display) -> Self {
        Self::error(NO_USER, text)
    }

    /// The broker does not do this.
    pub(super) fn unavailable(text: impl std::fmt::Display) -> Self {
        Self::error(UNAVAILABLE, text)
    }

    /// The broker cannot be reached. The text is all that is said.
    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, text)
    }

    /// It cannot be done.
    pub(super) fn software(text: impl std::fmt::Display) -> Self {
        Self::error(SOFTWARE, text)
    }

    /// It takes too long. The text is all that is said.
    pub(super) fn timed_out(text: impl Into<String>) -> Self {
        Self::new(TEMPORARY, text)
    }

    /// Whoever asks may not.
    pub(super) fn no_permission(text: impl std::fmt::Display) -> Self {
        Self::error(NO_PERMISSION, text)
    }

    /// A check has failed; nothing is said where nothing is to be said.
    pub(super) fn check(text: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, text)
    }

    /// A check has failed, for machines.
    pub(super) fn check_json(value: &Value) -> Self {
        Self { is_json: true, ..Self::new(UNAVAILABLE, value.to_string()) }
    }

    /// Whether this is said of it.
    pub(super) fn says(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Whether the broker could not be reached, or does not do this.
    pub(super) fn is_unavailable(&self) -> bool {
        self.status == UNAVAILABLE
    }

    /// Says it, and gives the status to exit with.
    pub(super) fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            // There is nobody else to be told.
            let _ = match self.is_json {
                true => writeln!(std::io::stdout(), "{}", self.text),
                false => writeln!(std::io::stderr(), "{}", self.text),
            };
        }
        ExitCode::from(self.status)
    }
}
