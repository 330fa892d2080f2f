//! What must hold, one file each; a file's name is the failure's id.
//!
//! Checkers look at single facts (a delivery, an answer, a count) and know nothing of networks and
//! plans. Who calls them, and when, is the business of the judge.

pub mod access;
pub mod ack_final;
pub mod alarms;
pub mod confirms;
pub mod conservation;
pub mod decay;
pub mod delays;
pub mod determinism;
pub mod disk;
pub mod duplicates;
pub mod fairness;
pub mod liveness;
pub mod memory;
pub mod no_loss;
pub mod no_phantom;
pub mod order;
pub mod panic;
pub mod pausing;
pub mod protocol;
pub mod recovery;
pub mod redelivered;
pub mod single_active;
pub mod splitting;
pub mod tags_and_prefetch;
pub mod topology;
pub mod tx;

use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which checker found it.
    pub checker: &'static str,
    /// What is wrong.
    pub text: String,
    /// The message that it is about, by name.
    pub message: Option<String>,
}

impl Failure {
    /// A failure that is about no message in particular.
    #[must_use]
    pub fn new(checker: &'static str, text: impl Into<String>) -> Self {
        Self { checker, text: text.into(), message: None }
    }

    /// A failure that is about this message.
    #[must_use]
    pub fn about(message: &str, checker: &'static str, text: impl Into<String>) -> Self {
        Self { message: Some(message.to_owned()), ..Self::new(checker, text) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}
