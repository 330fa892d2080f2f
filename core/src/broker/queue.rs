//! Queues: what waits, in which order, and who is next to get it.
//!
//! Each message has a position in its queue, given when it comes in and kept for good: a message
//! that comes back goes to where it was. The ready messages are always sorted by position.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::num::NonZeroU64;

use super::arguments;
use super::binding::Incoming;
use super::consumer::{ConsumerId, SessionId};
use super::deduplication::Seen;
use super::dying::Dying;
use super::engine::{STORE, VhostId};
use super::kept_letters::KeptLetters;
use super::lanes::{ByLevel, Lane, Lanes};
use super::message::Message;
use super::policies::InForce;
use super::policy::Asked;
use super::ranges::Ranges;
use super::reader::{OpenIndex, Reader};
use super::ready::Ready;
use super::settings::Settings;
use super::single_active::SingleActive;
use super::tally::{QueueKind, Tallies};
use super::turns::Turns;
use super::weight::{Size, Weighed};
use crate::ConnectionId;
use crate::amqp::{FieldTable, ShortStr};
use crate::log::{BatchNumber, Deadlines, Extents, LaneFact, Place, QueueNumber};
use crate::rare::{Rare, Unused};
use crate::slab::Key;
use crate::time::Clock;

/// A queue, for as long as it lives.
pub(crate) type QueueId = Key<Queue>;

/// Whoever holds exclusive queues: a front end's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub u64);

impl From<ConnectionId> for Owner {
    fn from(id: ConnectionId) -> Self {
        Self(u64::from(id.generation) << 32 | u64::from(id.index))
    }
}

impl From<Owner> for ConnectionId {
    fn from(Owner(owner): Owner) -> Self {
        Self { index: owner as u32, generation: (owner >> 32) as u32 }
    }
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    /// Its number among all that the log was ever given; 0 when the log does not have it.
    pub(crate) item: u64,
    /// How often it was handed out and came back.
    pub(crate) returns: u32,
    /// Whether it may have been handed out besides, before the broker was started.
    pub(crate) may_be_known: bool,
    /// Whether the log has it only until the next start.
    pub(crate) is_volatile: bool,
    /// The message; `None` while it is on disk only.
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) size: Size,
    /// Whether it has left from between others, which were not moved for that.
    pub(crate) is_gone: bool,
}

impl Entry {
    /// Whether it was handed out before, or may have been.
    pub(crate) fn is_redelivered(&self) -> bool {
        self.returns > 0 || self.may_be_known
    }

    /// Whether a start of the broker would find it.
    pub(crate) fn is_durable(&self) -> bool {
        self.item != 0 && !self.is_volatile
    }

    /// How many bytes it takes in memory although it is on disk too.
    pub(crate) fn cached_size(&self) -> usize {
        match &self.message {
            Some(message) if self.item != 0 => message.size(),
            _ => 0,
        }
    }
}

/// Up to which position a durable queue may hand out, so that a start knows what may have been
/// handed out before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DeliveredMark {
    /// Everything below was reserved.
    pub(crate) below: u64,
    /// In this batch.
    pub(crate) batch: BatchNumber,
    /// Whatever the log got from this item on is no more durable than the reservation.
    pub(crate) item: u64,
    /// Everything below is reserved durably.
    pub(crate) durable_below: u64,
    /// How many messages the next reservation is for.
    pub(crate) step: u64,
    /// Whether a message had to wait since the last one was noted: it was for too few.
    pub(crate) is_short: bool,
}

impl Unused for DeliveredMark {
    const UNUSED: &'static Self =
        &Self { below: 0, batch: 0, item: 0, durable_below: 0, step: 0, is_short: false };
}

/// What happened to the messages of a queue, counted from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) enqueued: u64,
    pub(crate) acked: u64,
    pub(crate) rejected: u64,
    pub(crate) purged: u64,
    /// Messages that waited longer than they may.
    pub(crate) expired: u64,
    /// Messages for which there was no room.
    pub(crate) dropped: u64,
    /// Messages that came back too often.
    pub(crate) worn_out: u64,
    /// Messages that were sent to consumers, with and without acknowledgement.
    pub(crate) delivered: u64,
    pub(crate) delivered_no_ack: u64,
    /// Messages that were asked for, with and without acknowledgement.
    pub(crate) got: u64,
    pub(crate) got_no_ack: u64,
    /// Those of all these that may have been delivered before.
    pub(crate) redelivered: u64,
    /// Messages that it refused; they are not among those that came in.
    pub(crate) refused: u64,
    /// Dead letters that no queue took.
    pub(crate) lost_letters: u64,
    /// How often a dead letter had to wait that had not before.
    pub(crate) kept_letters: u64,
}

impl Unused for Counts {
    const UNUSED: &'static Self = &Self {
        enqueued: 0,
        acked: 0,
        rejected: 0,
        purged: 0,
        expired: 0,
        dropped: 0,
        worn_out: 0,
        delivered: 0,
        delivered_no_ack: 0,
        got: 0,
        got_no_ack: 0,
        redelivered: 0,
        refused: 0,
        lost_letters: 0,
        kept_letters: 0,
    };
}

impl Counts {
    /// Messages that have left for good, one way or another.
    pub(crate) fn settled(&self) -> u64 {
        let died = self.expired + self.dropped + self.worn_out;
        self.acked + self.rejected + self.purged + died
    }

    /// A message is sent to a consumer, who acknowledges it or not.
    pub(crate) fn note_delivery(&mut self, redelivered: bool, no_ack: bool) {
        self.redelivered += u64::from(redelivered);
        if no_ack {
            self.delivered_no_ack += 1;
            self.acked += 1;
        } else {
            self.delivered += 1;
        }
    }

    /// A message is given to who asked for it, to be acknowledged or not.
    pub(crate) fn note_get(&mut self, redelivered: bool, no_ack: bool) {
        self.redelivered += u64::from(redelivered);
        if no_ack {
            self.got_no_ack += 1;
            self.acked += 1;
        } else {
            self.got += 1;
        }
    }
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) number: QueueNumber,
    pub(crate) kind: QueueKind,
    pub(crate) vhost: VhostId,
    pub(crate) name: ShortStr,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) arguments: FieldTable,
    /// The policies that are in force for it.
    pub(crate) policies: InForce,
    pub(crate) settings: Rare<Settings>,
    /// What it remembers, if it deduplicates what comes to it.
    pub(crate) seen: Option<Box<Seen>>,
    pub(crate) incoming: BTreeSet<Incoming>,
    pub(crate) consumers: BTreeSet<ConsumerId>,
    /// The consumer that has the queue to itself.
    pub(crate) exclusive_consumer: Option<ConsumerId>,
    /// Who is served, where it is one at a time.
    pub(crate) single_active: Option<Box<SingleActive>>,
    pub(crate) turns: Turns,
    pub(crate) ready: Ready,
    pub(crate) unacked: u64,
    pub(crate) counts: Rare<Counts>,
    /// Whether it stands in the engine's list of queues to look after.
    pub(crate) is_stirred: bool,
    /// Whether it stands in the engine's list of those to be stirred when a batch is durable.
    pub(crate) awaits_log: bool,
    pub(crate) next_position: u64,
    /// What the log has of it, and where.
    pub(crate) extents: Extents,
    /// All that the log was ever given of it is below this position.
    pub(crate) logged_below: u64,
    /// What the segment that is written to has of it.
    pub(crate) index: OpenIndex,
    /// Positions of messages that the log has until the next start only.
    pub(crate) volatile: Ranges,
    /// How often durable messages were handed out that came back.
    pub(crate) returned: Rare<BTreeMap<u64, u32>>,
    pub(crate) mark: Rare<DeliveredMark>,
    /// All that was handed out is below this position.
    pub(crate) handed_out_below: u64,
    /// What was there at the start, below this position, may have been handed out before it.
    pub(crate) delivered_below: u64,
    pub(crate) reader: Reader,
    /// Who asked for a message that has to be read first, in order.
    pub(crate) getters: Rare<VecDeque<SessionId>>,
    /// When its messages expire: those that wait and those that are handed out.
    pub(crate) deadlines: Deadlines,
    /// When it expires itself unless it is used before, in milliseconds since 1970.
    pub(crate) expires_at: Option<u64>,
    /// When the engine looks for what of it has expired, at the latest.
    pub(crate) timer: Option<u64>,
    pub(crate) dying: Dying,
    /// Dead letters that cannot go on their way and wait, of all its lanes.
    pub(crate) kept: KeptLetters,
    /// Its lanes, if it has others than itself, or of which queue it is one.
    pub(crate) by_level: Option<Box<ByLevel>>,
    /// Whether it hands out nothing for now.
    pub(crate) is_paused: bool,
    /// Whether it holds messages that go on their way later, and nobody can name it.
    pub(crate) is_delay_store: bool,
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
        number: QueueNumber,
        vhost: VhostId,
        name: ShortStr,
        declaration: &QueueDeclaration,
        owner: Owner,
        hash_seed: u64,
    ) -> Self {
        Self {
            number,
            kind: kind(&name, &declaration.arguments),
            vhost,
            is_delay_store: name == STORE,
            name,
            durable: declaration.durable && !declaration.exclusive,
            auto_delete: declaration.auto_delete,
            owner: declaration.exclusive.then_some(owner),
            policies: InForce::default(),
            settings: Settings::new(&declaration.arguments, Asked::default()).into(),
            seen: Seen::new(&declaration.arguments, hash_seed),
            arguments: declaration.arguments.canonical(),
            incoming: BTreeSet::new(),
            consumers: BTreeSet::new(),
            exclusive_consumer: None,
            single_active: arguments::single_active(&declaration.arguments).map(Box::new),
            turns: Turns::default(),
            ready: Ready::default(),
            unacked: 0,
            counts: Rare::default(),
            is_stirred: false,
            awaits_log: false,
            next_position: 0,
            extents: Extents::default(),
            logged_below: 0,
            index: OpenIndex::default(),
            volatile: Ranges::default(),
            returned: Rare::default(),
            mark: Rare::default(),
            handed_out_below: 0,
            delivered_below: 0,
            reader: Reader::default(),
            getters: Rare::default(),
            deadlines: Deadlines::default(),
            expires_at: None,
            timer: None,
            dying: Dying::default(),
            kept: KeptLetters::default(),
            by_level: None,
            is_paused: false,
        }
    }

    /// A lane of `head`, which is that queue.
    pub(crate) fn lane(number: QueueNumber, id: QueueId, head: &Self, fact: LaneFact) -> Self {
        let declaration = QueueDeclaration {
            name: head.name.clone(),
            durable: head.durable,
            exclusive: false,
            auto_delete: false,
            arguments: FieldTable::default(),
        };
        let name = head.name.clone();
        Self {
            kind: head.kind,
            settings: head.settings.clone(),
            by_level: Some(Box::new(ByLevel::Lane(Lane { head: id, fact }))),
            ..Self::new(number, head.vhost, name, &declaration, Owner(0), 0)
        }
    }

    /// Of which queue it is a lane, if it is one.
    pub(crate) fn as_lane(&self) -> Option<Lane> {
        match self.by_level.as_deref() {
            Some(ByLevel::Lane(lane)) => Some(*lane),
            _ => None,
        }
    }

    /// Its lanes, if it has others than itself.
    pub(crate) fn lanes(&self) -> Option<&Lanes> {
        match self.by_level.as_deref() {
            Some(ByLevel::Head(lanes)) => Some(lanes),
            _ => None,
        }
    }

    pub(crate) fn lanes_mut(&mut self) -> Option<&mut Lanes> {
        match self.by_level.as_deref_mut() {
            Some(ByLevel::Head(lanes)) => Some(lanes),
            _ => None,
        }
    }

    /// A place in it.
    pub(crate) fn place(&self, position: u64) -> Place {
        Place { queue: self.number, position }
    }

    /// Whether a message that comes in is to survive a restart.
    pub(crate) fn keeps(&self, message: &Message) -> bool {
        self.durable && (message.persistent || self.is_delay_store)
    }

    /// When a message expires that comes in now and lives for `ttl` milliseconds, if that is given.
    pub(crate) fn deadline(&self, clock: Clock, ttl: Option<u64>) -> Option<NonZeroU64> {
        let millis = match (ttl, self.settings.message_ttl) {
            (Some(asked), Some(most)) => asked.min(most),
            (asked, most) => asked.or(most)?,
        };
        NonZeroU64::new(clock.deadline_in(millis).max(1))
    }

    /// Counts what happened to messages of it, for itself and for all of its kind.
    pub(crate) fn tally(&mut self, tallies: &mut Tallies, count: impl Fn(&mut Counts)) {
        count(self.counts.in_use());
        count(&mut tallies.of_mut(self.kind).counts);
    }

    /// A message is handed out, to be settled.
    pub(crate) fn lend(&mut self, tallies: &mut Tallies) {
        self.unacked += 1;
        tallies.of_mut(self.kind).unacked += 1;
    }

    /// A message that was handed out is settled.
    pub(crate) fn unlend(&mut self, tallies: &mut Tallies) {
        self.unacked -= 1;
        tallies.of_mut(self.kind).unacked -= 1;
    }

    /// The position of a message that comes in.
    pub(crate) fn next_place(&mut self, tallies: &mut Tallies) -> Place {
        self.next_position += 1;
        self.tally(tallies, |counts| counts.enqueued += 1);
        self.place(self.next_position - 1)
    }

    /// The size of a message that leaves from disk without having been read.
    pub(crate) fn owe(&mut self, position: u64) -> Size {
        if self.settings.max_bytes.is_none() && self.ready.weight.counts(position) {
            self.lose_count();
        }
        self.ready.weight.owe(position)
    }

    /// What is on disk only is uncounted from now on, and so are the dead that are there.
    pub(crate) fn lose_count(&mut self) {
        if self.ready.weight.is_owed() {
            self.dying.lose_count();
        }
        self.ready.weight.lose_count(self.next_position);
    }

    /// One that is on disk only, and was uncounted, was read. It stays there, unless it has left or
    /// is in memory by now.
    pub(crate) fn count(&mut self, position: u64, len: usize) {
        let is_paged = self.ready.paged() > 0 && position >= self.ready.paged_from;
        if is_paged && self.extents.is_live(position) && !self.dying.contains(position) {
            let is_durable = !self.volatile.contains(position);
            let bytes = Size::of(len).bytes();
            self.ready.weight.count(Weighed { position, bytes, is_durable });
        }
        self.ready.weight.count_on(position + 1);
    }

    /// One that died was read from disk.
    pub(crate) fn fill_dying(&mut self, position: u64, message: Arc<Message>) {
        let weight = &mut self.ready.weight;
        self.dying.fill(position, message, |message, size| weight.repay(message, size));
    }

    /// How many bytes the bodies of all messages have that a start would find, if that is known.
    pub(crate) fn durable_bytes(&self) -> Option<u64> {
        let is_counted = self.dying.is_counted() && self.uncounted_from().is_none();
        is_counted.then(|| self.ready.weight.durable())
    }

    /// The first position from which messages on disk only may be uncounted.
    pub(crate) fn uncounted_from(&self) -> Option<u64> {
        let from = self.ready.paged_from;
        self.ready.weight.uncounted_from(from).filter(|_| self.ready.paged() > 0)
    }

    /// Whether more is known of a message than its entry, and is to be forgotten with it.
    #[inline]
    pub(crate) fn knows_of(&self, entry: &Entry) -> bool {
        entry.item != 0 || !self.deadlines.is_empty()
    }

    /// Takes the next message, to be handed out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Entry> {
        let entry = self.ready.take()?;
        self.handed_out_below = self.handed_out_below.max(entry.position + 1);
        Some(entry)
    }
}

/// Of which kind a queue is that is declared with these arguments.
fn kind(name: &ShortStr, arguments: &FieldTable) -> QueueKind {
    match *name == STORE {
        true => QueueKind::DelayStore,
        false if arguments::is_quorum(arguments) => QueueKind::Quorum,
        false => QueueKind::Classic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_queue_is_small() {
        assert!(size_of::<Queue>() <= 712, "{} bytes", size_of::<Queue>());
    }
}
