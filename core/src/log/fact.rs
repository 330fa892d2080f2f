//! Facts: what was decided, and what the broker's durable state is the sum of.

use alloc::vec::Vec;

use bytes::Bytes;

use super::extents::Extent;
use super::state::Inconsistent;
use crate::amqp::{FieldTable, ShortStr};
use crate::broker::{
    Fingerprint, Message, Parameter, Policy, PolicyLayer, User, UserPermission,
    UserTopicPermission, VirtualHost, is_exchange_type, is_predeclared, is_queue_name,
};

/// The number of a queue from its declaration to its end, over all starts of the broker; no other
/// queue ever has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueNumber(pub(crate) u64);

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) queue: QueueNumber,
    pub(crate) position: u64,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Queue(QueueNumber),
    /// An exchange of the same virtual host.
    Exchange(ShortStr),
}

/// A binding between what is durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound {
    pub(crate) vhost: ShortStr,
    pub(crate) source: ShortStr,
    pub(crate) key: ShortStr,
    pub(crate) target: Target,
    /// A field table in its canonical form, encoded; empty when it is empty.
    pub(crate) arguments: Bytes,
}

/// A durable queue's declaration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueFact {
    pub(crate) number: QueueNumber,
    pub(crate) vhost: ShortStr,
    pub(crate) name: ShortStr,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
    /// Whose lane it is, if it is one: then the rest but for the number says what that queue's
    /// declaration says, without arguments.
    pub(crate) lane: Option<LaneFact>,
}

/// What makes a queue a lane: it has the messages of one level of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneFact {
    /// The queue that clients see.
    pub(crate) of: QueueNumber,
    pub(crate) level: u8,
}

/// A durable exchange's declaration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExchangeFact {
    pub(crate) vhost: ShortStr,
    pub(crate) name: ShortStr,
    pub(crate) kind: ShortStr,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
}

/// A policy that was set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyFact {
    pub(crate) vhost: ShortStr,
    pub(crate) layer: PolicyLayer,
    pub(crate) policy: Policy,
}

/// A message, and where it was put.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessageFact {
    pub(crate) places: Vec<Place>,
    /// Whether it was in an older segment before, and is there no more.
    pub(crate) is_moved: bool,
    /// Whether it is forgotten at a start.
    pub(crate) is_volatile: bool,
    pub(crate) message: Message,
}

/// Positions of a queue, by ranges with both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) queue: QueueNumber,
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// When messages of a queue expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) queue: QueueNumber,
    /// First and last position, and the deadline in milliseconds since 1970, UTC.
    pub(crate) ranges: Vec<(u64, u64, u64)>,
}

/// All messages that live in a queue from a position on are done with, but for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) from: Place,
    /// How many are done with.
    pub(crate) count: u64,
    /// The positions of those that are not, in order: none is before `from`.
    pub(crate) kept: Vec<u64>,
}

impl Dropped {
    /// The positions that are meant, as ranges, both ends included.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        gaps(self.from.position, u64::MAX, &self.kept)
    }
}

/// What is left of the positions from `first` to `last` without those in `kept`, which are sorted:
/// as ranges, all ends included.
pub(crate) fn gaps(first: u64, last: u64, kept: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let begins = core::iter::once(Some(first)).chain(kept.iter().map(|at| at.checked_add(1)));
    let ends = kept.iter().map(|at| at.checked_sub(1)).chain(core::iter::once(Some(last)));
    begins.zip(ends).filter_map(|(begin, end)| {
        let (begin, end) = (begin?, end?);
        (begin <= end).then_some((begin, end))
    })
}

/// What a checkpoint says of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFact {
    pub(crate) segment: u64,
    /// Where its index begins.
    pub(crate) data_end: u64,
    /// Of the file, in bytes.
    pub(crate) len: u64,
    /// The number of its last batch.
    pub(crate) last: u64,
}

/// What a checkpoint says of a queue's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessagesFact {
    pub(crate) queue: QueueNumber,
    pub(crate) next_position: u64,
    /// Every message before this position may have been handed out.
    pub(crate) delivered_below: u64,
    /// How often messages were handed out that came back, by position.
    pub(crate) returned: Vec<(u64, u32)>,
    pub(crate) extents: Vec<Extent>,
}

/// Who remembers what messages said, to know those that say it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Witness {
    Queue(QueueNumber),
    /// An exchange, by virtual host and name.
    Exchange(ShortStr, ShortStr),
}

/// A value that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenValue {
    /// Its number among those that its witness saw.
    pub(crate) number: u64,
    /// Until when it is remembered, in milliseconds since 1970, UTC; 2^63 - 1 for ever.
    pub(crate) until: u64,
    pub(crate) value: Fingerprint,
}

/// What was seen, and what of earlier is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenFact {
    pub(crate) by: Witness,
    /// All before this number are forgotten.
    pub(crate) from: u64,
    /// In order, and none before `from`.
    pub(crate) values: Vec<SeenValue>,
}

/// A checkpoint has no more values than this in one record.
const SEEN_AT_ONCE: usize = 4096;

impl SeenFact {
    /// All that a witness remembers, in as many facts as it needs.
    pub(crate) fn all(
        by: &Witness,
        from: u64,
        values: impl Iterator<Item = SeenValue>,
    ) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut values = values.peekable();
        while values.peek().is_some() {
            let values = values.by_ref().take(SEEN_AT_ONCE).collect();
            facts.push(Fact::Seen(Self { by: by.clone(), from, values }));
        }
        facts
    }
}

/// A fact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    Message(MessageFact),
    Settled(Vec<Settled>),
    Dropped(Dropped),
    Returned(Place, u32),
    /// Every message of the queue before this position may have been handed out.
    Delivered(QueueNumber, u64),
    Timed(Timed),
    /// The bodies of all messages that live in the queue at the end of the batch, or in the
    /// checkpoint, have so many bytes.
    Weighed(QueueNumber, u64),
    Seen(SeenFact),
    QueueDeclared(QueueFact),
    QueueDeleted(QueueNumber),
    /// In place of those that the queue was declared with; the same of what is for good.
    ArgumentsSet(QueueNumber, FieldTable),
    ExchangeDeclared(ExchangeFact),
    /// Of a virtual host, by name.
    ExchangeDeleted(ShortStr, ShortStr),
    /// In place of the one that had its name, if one had.
    PolicySet(PolicyFact),
    /// Of a virtual host and a layer, by name.
    PolicyDeleted(ShortStr, PolicyLayer, ShortStr),
    Bound(Bound),
    Unbound(Bound),
    /// In place of the one that had its name, if one had.
    VhostSet(VirtualHost),
    /// By its name: gone with all that is in it, and all that is said of it.
    VhostDeleted(ShortStr),
    /// In place of the one who had the name, if one had.
    UserSet(User),
    /// By the name: gone with all permissions.
    UserDeleted(ShortStr),
    PermissionSet(UserPermission),
    /// In a virtual host, of a user.
    PermissionCleared(ShortStr, ShortStr),
    TopicPermissionSet(UserTopicPermission),
    /// In a virtual host, of a user, for an exchange or all of them.
    TopicPermissionCleared(ShortStr, ShortStr, Option<ShortStr>),
    ParameterSet(Parameter),
    /// Of a virtual host, unless of the whole broker: by component and name.
    ParameterCleared(Option<ShortStr>, ShortStr, ShortStr),
    Segment(SegmentFact),
    Messages(MessagesFact),
}

impl Fact {
    /// The virtual host that must be there for what is declared by this, if that is in one.
    pub(crate) fn vhost(&self) -> Option<&ShortStr> {
        match self {
            Self::QueueDeclared(QueueFact { vhost, .. })
            | Self::ExchangeDeclared(ExchangeFact { vhost, .. })
            | Self::PolicySet(PolicyFact { vhost, .. })
            | Self::PermissionSet(UserPermission { vhost, .. })
            | Self::TopicPermissionSet(UserTopicPermission { vhost, .. })
            | Self::ParameterSet(Parameter { vhost: Some(vhost), .. })
            | Self::Bound(Bound { vhost, .. }) => Some(vhost),
            _ => None,
        }
    }

    /// Whether a broker can have what this tells of, whatever there is besides.
    ///
    /// # Errors
    /// When it cannot: a start would have to leave it out.
    pub(crate) fn check(&self) -> Result<(), Inconsistent> {
        match self {
            Self::QueueDeclared(queue) => {
                ensure(is_queue_name(&queue.name), "a queue has a name that none can have")
            }
            Self::ExchangeDeclared(exchange) => {
                let is_known = is_exchange_type(&exchange.kind, &exchange.arguments);
                ensure(is_known, "an exchange is of an unknown type")?;
                ensure(!is_predeclared(&exchange.name), "an exchange is declared that always is")
            }
            Self::VhostSet(VirtualHost { name, .. }) | Self::UserSet(User { name, .. }) => {
                ensure(!name.is_empty(), "a virtual host or a user has no name")
            }
            _ => Ok(()),
        }
    }
}

fn ensure(holds: bool, flaw: &'static str) -> Result<(), Inconsistent> {
    if holds { Ok(()) } else { Err(Inconsistent(flaw)) }
}
