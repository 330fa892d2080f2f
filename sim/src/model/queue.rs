//! Queues and consumers.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use super::tallies::Counted;
use super::{Cause, ChannelKey};
use crate::wire::{Table, Value};

/// One queue from its declaration to its end; a queue of the same name later is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueId(pub usize);

/// A message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Which message.
    pub message: usize,
    /// Its level, by its priority: of higher levels all go first.
    pub level: u8,
    /// Its place within the level: a message that comes back goes to its place again.
    pub position: u64,
    /// Whether it was delivered before.
    pub was_delivered: bool,
    /// Whether it was there when the broker started: then it may say that it was delivered before,
    /// though it was not.
    pub is_recovered: bool,
    /// When it expires, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// How often it came back.
    pub returns: u64,
    /// Whether consumers are told so.
    pub tells_returns: bool,
}

impl Copy {
    /// What the messages of a queue are sorted by.
    #[must_use]
    pub fn place(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.level), self.position)
    }
}

/// A queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Which.
    pub id: QueueId,
    /// Its name.
    pub name: String,
    /// Whether it is to survive a restart.
    pub is_durable: bool,
    /// The connection it belongs to.
    pub owner: Option<usize>,
    /// Whether it goes with its last consumer.
    pub is_auto_delete: bool,
    /// What it was declared with.
    pub arguments: Table,
    /// What policies ask of it, by the names of arguments.
    pub policy: Table,
    /// What came before this place came when its limit was another.
    pub limited_from: u64,
    /// Whether the broker may have to read first how many bytes its messages have: a policy limits
    /// them, or all that is on disk was dropped but for some that are still to be read.
    pub is_vague: bool,
    /// Stands for a consumer of direct replies, which has no queue in the eyes of clients.
    pub is_hidden: bool,
    /// Holds messages that are to be routed later; clients know nothing of it.
    pub is_store: bool,
    /// Whether it hands out nothing for now.
    pub is_paused: bool,
    /// What waits, in order.
    pub ready: Vec<Copy>,
    /// How many are with consumers.
    pub unacked: u64,
    /// Deliveries to consumers in the batch of inputs that is being looked at.
    pub taken_now: u64,
    /// How many bytes their bodies have.
    pub taken_bytes: u64,
    /// The place of the next message.
    pub next_position: u64,
    /// The batch of the log that it was declared in.
    pub batch: u64,
    /// Whether it was there when the broker started.
    pub is_recovered: bool,
    /// Its consumers, in the order of their coming; one that made room for another came again.
    pub consumers: Vec<usize>,
    /// The one that is served, where it is one at a time.
    pub active: Option<usize>,
    /// Messages that ever came in.
    pub enqueued: u64,
    /// Settled well.
    pub acked: u64,
    /// Settled badly.
    pub rejected: u64,
    /// Purged.
    pub purged: u64,
    /// Waited for too long.
    pub expired: u64,
    /// Had no room.
    pub dropped: u64,
    /// Came back too often.
    pub worn_out: u64,
    /// Refused, and not among those that came in.
    pub refused_count: u64,
    /// Dead letters that no queue took.
    pub lost_letters: u64,
    /// What else is counted.
    pub counted: Counted,
    /// Those that died and are not dead letters yet, in order.
    pub dying: VecDeque<(Copy, Cause)>,
    /// Those that died and cannot be dead letters now, in the order in which they are tried again.
    pub kept: VecDeque<(Copy, Cause)>,
    /// The places of those who died that are tried again.
    pub retried: BTreeSet<(Reverse<u8>, u64)>,
    /// Messages that were refused and are not dead letters yet, in order.
    pub refused: VecDeque<usize>,
    /// When it expires if nobody uses it, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

impl Queue {
    /// An empty queue without owner.
    #[must_use]
    pub fn new(id: QueueId, name: String) -> Self {
        Self {
            id,
            name,
            is_durable: false,
            owner: None,
            is_auto_delete: false,
            arguments: Table::new(),
            policy: Table::new(),
            limited_from: 0,
            is_vague: false,
            is_hidden: false,
            is_store: false,
            is_paused: false,
            ready: Vec::new(),
            unacked: 0,
            taken_now: 0,
            taken_bytes: 0,
            next_position: 1,
            batch: 0,
            is_recovered: false,
            consumers: Vec::new(),
            active: None,
            enqueued: 0,
            acked: 0,
            rejected: 0,
            purged: 0,
            expired: 0,
            dropped: 0,
            worn_out: 0,
            refused_count: 0,
            lost_letters: 0,
            counted: Counted::default(),
            dying: VecDeque::new(),
            kept: VecDeque::new(),
            retried: BTreeSet::new(),
            refused: VecDeque::new(),
            expires_ms: None,
        }
    }

    /// Whether it has this argument.
    #[must_use]
    pub fn has_argument(&self, name: &str, value: &Value) -> bool {
        self.arguments.iter().any(|(other, found)| other == name && found == value)
    }

    /// Whether it serves one consumer at a time.
    #[must_use]
    pub fn is_single_active(&self) -> bool {
        self.has_argument("x-single-active-consumer", &Value::Bool(true))
    }

    /// Whether it is a quorum queue.
    #[must_use]
    pub fn is_quorum(&self) -> bool {
        let mut arguments = self.arguments.iter();
        arguments.any(|(name, kind)| name == "x-queue-type" && kind.as_text() == Some("quorum"))
    }

    /// Whether its messages are for its consumer only.
    #[must_use]
    pub fn refuses_gets(&self) -> bool {
        self.is_single_active() && self.is_quorum()
    }

    /// Whether anybody died whose dead letter was not tried yet.
    #[must_use]
    pub fn has_newly_dead(&self) -> bool {
        let mut dying = self.dying.iter();
        dying.any(|(copy, _)| !self.retried.contains(&copy.place())) || !self.refused.is_empty()
    }

    /// Puts a new message behind all others of its level; it expires then.
    pub fn enqueue(&mut self, message: usize, level: u8, deadline_ms: Option<u64>) {
        self.enqueued += 1;
        let position = self.next_position;
        self.next_position += 1;
        let copy = Copy {
            message,
            level,
            position,
            was_delivered: false,
            is_recovered: false,
            deadline_ms,
            returns: 0,
            tells_returns: self.tells_returns(),
        };
        self.insert(copy);
    }

    /// The queue as it is after a start, without its messages.
    #[must_use]
    pub fn recovered(&self) -> Self {
        Self {
            is_durable: true,
            is_store: self.is_store,
            is_auto_delete: self.is_auto_delete,
            arguments: self.arguments.clone(),
            next_position: self.next_position,
            batch: self.batch,
            is_recovered: true,
            is_vague: self.is_vague || !self.policy.is_empty(),
            ..Self::new(self.id, self.name.clone())
        }
    }

    /// Puts a message that was delivered back to its place.
    pub fn requeue(&mut self, copy: Copy) {
        let tells_returns = self.tells_returns();
        self.insert(Copy { was_delivered: true, tells_returns, ..copy });
    }

    fn insert(&mut self, copy: Copy) {
        let at = self.ready.partition_point(|other| other.place() < copy.place());
        self.ready.insert(at, copy);
    }
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// A number of its own.
    pub id: usize,
    /// Its tag; empty until the broker has told it.
    pub tag: String,
    /// Where it is.
    pub channel: ChannelKey,
    /// What it consumes.
    pub queue: QueueId,
    /// Whether it need not acknowledge.
    pub no_ack: bool,
    /// Whether it wants no other beside it.
    pub is_exclusive: bool,
    /// Higher is served first.
    pub priority: i64,
    /// The most it may hold; 0 for no limit.
    pub prefetch: u64,
    /// How long its deliveries may wait to be acknowledged, if it says; 0 for no limit.
    pub timeout_ms: Option<i64>,
    /// How many deliveries went to others of its rank since its last turn, while it could have
    /// taken them.
    pub passed_over: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_back_goes_to_its_place() {
        let mut queue = Queue::new(QueueId(1), "q".into());
        (10..14).for_each(|message| queue.enqueue(message, 0, None));
        let taken = queue.ready.remove(1);
        queue.requeue(taken);
        let order: Vec<usize> = queue.ready.iter().map(|copy| copy.message).collect();
        assert_eq!(order, [10, 11, 12, 13]);
        assert!(queue.ready[1].was_delivered && !queue.ready[0].was_delivered);
    }

    #[test]
    fn higher_levels_stand_before_lower_ones() {
        let mut queue = Queue::new(QueueId(1), "q".into());
        (10..16).for_each(|message| queue.enqueue(message, (message % 2) as u8, None));
        let taken = queue.ready.remove(1);
        queue.requeue(taken);
        let order: Vec<usize> = queue.ready.iter().map(|copy| copy.message).collect();
        assert_eq!(order, [11, 13, 15, 10, 12, 14]);
    }
}
