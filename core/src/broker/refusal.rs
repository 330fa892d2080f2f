//! Why the engine refuses an operation, in RabbitMQ's words.

use alloc::format;
use alloc::string::String;

use crate::amqp::ShortStr;

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
