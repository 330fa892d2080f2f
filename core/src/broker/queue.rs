//! Queues: what waits, in which order, and who is next to get it.
//!
//! Each message has a position in its queue, given when it comes in and kept for good: a message
//! that comes back goes to where it was. The ready messages are always sorted by position.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use super::binding::Incoming;
use super::consumer::ConsumerId;
use super::engine::VhostId;
use super::message::Message;
use super::ready::Ready;
use super::turns::Turns;
use crate::amqp::{FieldTable, ShortStr};
use crate::slab::Key;

/// A queue, for as long as it lives.
pub(crate) type QueueId = Key<Queue>;

/// Whoever holds exclusive queues: a front end's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub u64);

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    /// Whether it was handed out before.
    pub(crate) redelivered: bool,
    pub(crate) message: Arc<Message>,
}

/// What happened to the messages of a queue, counted from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) enqueued: u64,
    pub(crate) acked: u64,
    pub(crate) rejected: u64,
    pub(crate) purged: u64,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) vhost: VhostId,
    pub(crate) name: ShortStr,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) arguments: FieldTable,
    pub(crate) incoming: BTreeSet<Incoming>,
    pub(crate) consumers: BTreeSet<ConsumerId>,
    /// The consumer that has the queue to itself.
    pub(crate) exclusive_consumer: Option<ConsumerId>,
    pub(crate) turns: Turns,
    pub(crate) ready: Ready,
    pub(crate) unacked: u64,
    pub(crate) counts: Counts,
    /// Whether it stands in the engine's list of queues to look after.
    pub(crate) is_stirred: bool,
    next_position: u64,
}

/// What a queue is declared as.
#[derive(Clone, Debug)]
pub struct QueueDeclaration {
    /// The name; empty for one that the engine makes up.
    pub name: ShortStr,
    /// Whether it is to survive a restart.
    pub durable: bool,
    /// Whether it belongs to the declaring connection and goes with it.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Further arguments.
    pub arguments: FieldTable,
}

impl Queue {
    pub(crate) fn new(
        vhost: VhostId,
        name: ShortStr,
        declaration: &QueueDeclaration,
        owner: Owner,
    ) -> Self {
        Self {
            vhost,
            name,
            durable: declaration.durable && !declaration.exclusive,
            auto_delete: declaration.auto_delete,
            owner: declaration.exclusive.then_some(owner),
            arguments: declaration.arguments.canonical(),
            incoming: BTreeSet::new(),
            consumers: BTreeSet::new(),
            exclusive_consumer: None,
            turns: Turns::default(),
            ready: Ready::default(),
            unacked: 0,
            counts: Counts::default(),
            is_stirred: false,
            next_position: 0,
        }
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: Arc<Message>) {
        let position = self.next_position;
        self.next_position += 1;
        self.counts.enqueued += 1;
        self.ready.push(Entry { position, redelivered: false, message });
    }

    /// Takes a message back that was handed out, to where it was.
    pub(crate) fn put_back(&mut self, mut entry: Entry) {
        entry.redelivered = true;
        self.unacked -= 1;
        self.ready.put_back(entry);
    }

    /// Drops all ready messages; how many there were.
    pub(crate) fn purge(&mut self) -> u64 {
        let purged = self.ready.len() as u64;
        self.counts.purged += purged;
        self.ready = Ready::default();
        purged
    }

    /// Whose turn it is, if no message waits.
    pub(crate) fn next_if_idle(&self) -> Option<ConsumerId> {
        if self.ready.is_empty() { self.turns.next() } else { None }
    }
}
