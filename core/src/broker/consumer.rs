//! Consumers, and the sessions through which they are served.

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::queue::QueueId;
use crate::Instant;
use crate::amqp::{FieldTable, ShortStr};
use crate::slab::Key;

/// A consumer, for as long as it lives.
pub(crate) type ConsumerId = Key<Consumer>;

/// A session: what a front end opens to publish and consume, such as a channel.
pub(crate) type SessionId = Key<Session>;

/// A consumer of one queue.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) session: SessionId,
    pub(crate) queue: QueueId,
    /// The front end's name for it.
    pub(crate) tag: ShortStr,
    pub(crate) no_ack: bool,
    pub(crate) priority: i64,
    /// How many unacked messages it may hold; 0: any number.
    pub(crate) prefetch: u32,
    pub(crate) unacked: u32,
    /// How long deliveries may wait for their acknowledgement, if it says so; zero is for ever.
    pub(crate) timeout: Option<Duration>,
    /// Whether it stands among its queue's turns.
    pub(crate) has_turn: bool,
    /// How many deliveries its session had had with its last one; 0 before its first.
    pub(crate) served_at: u64,
    /// Its place among those of its priority that wait, where one is served at a time.
    pub(crate) rank: u64,
}

impl Consumer {
    /// Whether it may be given a message, as far as it alone is concerned.
    pub(crate) fn has_credit(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < self.prefetch
    }
}

/// What a client asks for when it consumes.
#[derive(Clone, Debug)]
pub struct Consume {
    /// The consumer's name in its session.
    pub tag: ShortStr,
    /// Whether messages count as settled when they are sent.
    pub no_ack: bool,
    /// Whether no other consumer may have the queue.
    pub exclusive: bool,
    /// Further arguments, of which `x-priority` and `x-consumer-timeout` mean something.
    pub arguments: FieldTable,
    /// How many unacked messages it may hold; 0: any number.
    pub prefetch: u32,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The front end's name for it.
    pub(crate) handle: SessionHandle,
    pub(crate) consumers: BTreeSet<ConsumerId>,
    /// How many unacked messages its consumers may hold together; 0: any number.
    pub(crate) prefetch: u32,
    pub(crate) unacked: u32,
    /// Whether the front end has no room for deliveries.
    pub(crate) is_stalled: bool,
    /// When it is to be looked for deliveries that were not acknowledged in time; maybe too early.
    pub(crate) ack_timer: Option<Instant>,
    /// How many deliveries its consumers have had together.
    pub(crate) deliveries: u64,
}

impl Session {
    /// Whether its consumers may be given messages that they have to acknowledge.
    pub(crate) fn has_credit(&self) -> bool {
        !self.is_stalled && (self.prefetch == 0 || self.unacked < self.prefetch)
    }

    /// Whether this consumer of it may be given a message.
    pub(crate) fn can_serve(&self, consumer: &Consumer) -> bool {
        // What nobody acknowledges does not count towards any prefetch.
        let has_credit = if consumer.no_ack { !self.is_stalled } else { self.has_credit() };
        has_credit && consumer.has_credit()
    }
}

/// The front end's name for a session; the engine only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHandle(pub u64);
