//! Why the engine refuses an operation, in RabbitMQ's words.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::amqp::{FieldValue, ShortStr};

/// What kind of refusal; each protocol has its own code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It is not there.
    NotFound,
    /// It is never allowed, or not to this user.
    AccessRefused,
    /// It belongs to another connection.
    Locked,
    /// It is not as the operation expects.
    PreconditionFailed,
    /// It does not exist in this broker.
    NotImplemented,
    /// It is too much, or not for this user, and nothing that could go on without it.
    NotAllowed,
}

/// A refused operation. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// Why, for the client.
    pub explanation: String,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, explanation: impl Into<String>) -> Self {
        Self { kind, explanation: explanation.into() }
    }

    pub(crate) fn precondition(explanation: impl Into<String>) -> Self {
        Self::new(RefusalKind::PreconditionFailed, explanation)
    }

    pub(crate) fn stopping() -> Self {
        Self::precondition("the broker is about to stop")
    }

    pub(crate) fn not_found(resource: &Resource<'_>) -> Self {
        Self::new(RefusalKind::NotFound, format!("no {resource}"))
    }

    pub(crate) fn locked(queue: &Resource<'_>) -> Self {
        Self::new(
            RefusalKind::Locked,
            format!(
                "cannot obtain exclusive access to locked {queue}. It could be originally declared \
                 on another connection or the exclusive property value does not match that of the \
                 original declaration."
            ),
        )
    }

    /// A message is asked for of a quorum queue that serves one consumer at a time.
    pub(crate) fn single_active(queue: &Resource<'_>) -> Self {
        Self::new(
            RefusalKind::Locked,
            format!(
                "cannot obtain access to locked {queue}. basic.get operations are not supported by \
                 quorum queues with single active consumer"
            ),
        )
    }

    pub(crate) fn default_exchange() -> Self {
        Self::new(RefusalKind::AccessRefused, "operation not permitted on the default exchange")
    }

    /// `received` and `current` as RabbitMQ prints them, quotes included.
    pub(crate) fn inequivalent(
        resource: &Resource<'_>,
        argument: &str,
        received: &str,
        current: &str,
    ) -> Self {
        Self::precondition(format!(
            "inequivalent arg '{argument}' for {resource}: received {received} but current is \
             {current}"
        ))
    }
}

/// How an exchange or queue is named to people: `queue 'q' in vhost '/'`.
#[derive(Debug)]
pub(crate) struct Resource<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a ShortStr,
    pub(crate) vhost: &'a ShortStr,
}

impl core::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

/// Bytes as RabbitMQ's texts have them: `<<"text">>`, `<<"text"/utf8>>` if it is not all ASCII, or
/// `<<1,2,3>>` where it is not all printable.
pub(crate) fn print_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<<>>".into();
    }
    if let Ok(text) = core::str::from_utf8(bytes)
        && !text.contains(char::is_control)
    {
        let kind = if text.is_ascii() { "" } else { "/utf8" };
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("<<\"{text}\"{kind}>>");
    }
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

/// A value of an argument as RabbitMQ's texts have it.
pub(crate) fn print_value(value: &FieldValue) -> String {
    match value {
        FieldValue::LongStr(bytes) | FieldValue::ByteArray(bytes) => print_bytes(bytes),
        FieldValue::Bool(value) => value.to_string(),
        value => match value.as_integer() {
            Some(value) => value.to_string(),
            None => value.type_name().into(),
        },
    }
}
