//! Replies that are due, and refusals.

use super::durable::Promise;
use super::queue::{Copy, QueueId};

/// Why an operation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reply codes that are right; mostly one.
    pub codes: Vec<u16>,
    /// The text behind the code's name, where it is laid down.
    pub text: Option<String>,
    /// Whether the connection ends, not just the channel.
    pub is_hard: bool,
}

impl Refusal {
    /// Ends the channel, with this text.
    pub(super) fn soft(code: u16, text: impl Into<String>) -> Self {
        Self { codes: vec![code], text: Some(text.into()), is_hard: false }
    }

    /// Ends the channel, whatever the text.
    pub(super) fn soft_any_text(code: u16) -> Self {
        Self { codes: vec![code], text: None, is_hard: false }
    }

    /// Ends the connection, with this text.
    pub(super) fn hard(code: u16, text: impl Into<String>) -> Self {
        Self { codes: vec![code], text: Some(text.into()), is_hard: true }
    }

    /// Ends the connection with one of these codes.
    pub(super) fn hard_any_text(codes: &[u16]) -> Self {
        Self { codes: codes.to_vec(), text: None, is_hard: true }
    }
}

/// One reply that is due on a channel, in its place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The header that refuses another version.
    Refusal([u8; 8]),
    /// A method whose arguments do not matter.
    Method(&'static str),
    /// `connection.tune` with the broker's limits.
    Tune,
    /// `queue.declare-ok` with these counts. The name is the queue's; a queue that the broker
    /// names gets its name here.
    DeclareOk {
        /// The queue.
        queue: QueueId,
        /// Messages ready.
        ready: u64,
        /// Deliveries that may have been made just before or just after.
        taken: u64,
        /// Consumers.
        consumers: u64,
    },
    /// `queue.declare-ok` for a living reply address.
    ReplyAddressOk,
    /// `queue.purge-ok` or `queue.delete-ok` with this count.
    Count(&'static str, u64),
    /// `basic.consume-ok` for this consumer; the broker may choose the tag.
    ConsumeOk {
        /// The consumer's own number.
        consumer: usize,
    },
    /// `basic.cancel-ok` with this tag.
    CancelOk(String),
    /// `basic.get-ok` with this message, or `basic.get-empty`.
    Get {
        /// From where.
        queue: QueueId,
        /// What was at the queue's head, if there was something, and its delivery tag.
        taken: Option<(Copy, u64)>,
        /// How many messages were left.
        left: u64,
    },
    /// This reply, which promises something.
    Promise(Box<Expected>, Promise),
    /// `basic.return` of this message.
    Return(usize),
    /// `channel.close` or `connection.close`, caused by the method of this number, if it was one.
    Close {
        /// Why.
        refusal: Refusal,
        /// Class and method number.
        cause: Option<(u16, u16)>,
    },
}
