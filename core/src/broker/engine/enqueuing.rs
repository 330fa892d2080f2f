//! Messages on their way into queues, and into the log where it is to have them.
//!
//! Most messages go to queues that are as most queues are. Whether they do is found out by looking
//! at each queue once ([`Concerns`]), and what is rare is done only where it is of any concern.

use alloc::sync::Arc;
use core::num::NonZeroU64;

use super::super::message::Message;
use super::super::queue::{Entry, Queue, QueueId};
use super::super::ready::Unwritten;
use super::super::settings::{Overflow, Settings};
use super::super::weight::Size;
use super::routing::Route;
use super::{Engine, Notice};
use crate::Mark;
use crate::log::{BatchNumber, Item, PendingMessage, Spot, Spots};

/// What came of a message's being put into queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enqueued {
    /// The batch that must be durable before it is safe in those queues that are; 0 when none must.
    pub(crate) gate: BatchNumber,
    /// Whether a queue had no room for it.
    pub(crate) is_refused: bool,
    /// What has it now that did not have it before.
    pub(crate) taken: Taken,
}

/// Who took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Taken {
    /// No queue.
    Nowhere,
    /// Queues that have it until the next start at the most.
    ForNow,
    /// The log, for queues that have it after a start too.
    ForGood,
}

impl Enqueued {
    /// Nothing came of it, but what is there rests on this batch.
    pub(crate) fn nowhere(gate: BatchNumber) -> Self {
        Self { gate, is_refused: false, taken: Taken::Nowhere }
    }
}

/// What there is to be thought of before a message goes to the queues of its route.
#[derive(Clone, Copy, Debug)]
struct Concerns {
    /// Whether any of them may not take it, or has more than one lane.
    has_rules: bool,
    /// Whether the log is to have it for good, for any of them.
    is_durable: bool,
    /// Whether it goes from all of them straight to a socket.
    passes_through: bool,
}

impl Engine {
    /// Puts a message into all queues of its route, but for those that know it for a duplicate or
    /// refuse it. It lives for no longer than `ttl` milliseconds, if that is given.
    pub(crate) fn enqueue(
        &mut self,
        route: &Route,
        message: Arc<Message>,
        ttl: Option<u64>,
    ) -> Enqueued {
        let concerns = self.concerns(route, &message);
        if !concerns.has_rules {
            return self.enqueue_all(route, message, ttl, concerns);
        }
        match self.deduplicates(route, &message) {
            Some(headers) => self.enqueue_once(route, message, ttl, &headers),
            None => self.enqueue_unseen(route, message, ttl),
        }
    }

    /// The same once it is known that no queue takes it for a duplicate.
    pub(super) fn enqueue_unseen(
        &mut self,
        route: &Route,
        message: Arc<Message>,
        ttl: Option<u64>,
    ) -> Enqueued {
        let bytes = message.body.len();
        let is_refusing = |id: &QueueId| self.is_refusing(*id, bytes);
        if !route.queues.iter().any(is_refusing) {
            let concerns = self.concerns(route, &message);
            return self.enqueue_all(route, message, ttl, concerns);
        }
        let (refusing, taking) = route.queues.iter().partition(|id| is_refusing(id));
        self.refuse(refusing, &message);
        let mut route = route.clone();
        route.queues = taking;
        let concerns = self.concerns(&route, &message);
        Enqueued { is_refused: true, ..self.enqueue_all(&route, message, ttl, concerns) }
    }

    fn concerns(&self, route: &Route, message: &Message) -> Concerns {
        let (mut has_rules, mut is_durable, mut passes_through) = (false, false, true);
        for id in &route.queues {
            let Some(queue) = self.queues.get(*id) else {
                passes_through = false;
                continue;
            };
            let Settings { overflow, levels, .. } = &*queue.settings;
            let may_refuse = *overflow != Overflow::DropHead;
            has_rules |= may_refuse || levels.is_some() || queue.seen.is_some();
            is_durable |= queue.keeps(message);
            passes_through = passes_through && self.passes_through(*id, queue);
        }
        is_durable &= self.log.is_enabled();
        Concerns { has_rules, is_durable, passes_through }
    }

    /// Whether a message that comes to a queue goes straight to a socket.
    fn passes_through(&self, id: QueueId, queue: &Queue) -> bool {
        let Some(consumer) = queue.turns.next().filter(|_| !queue.is_paused) else { return false };
        let is_idle = match queue.lanes() {
            None => queue.ready.is_empty(),
            Some(_) => self.ready_len(id) == 0,
        };
        let Some(consumer) = self.consumers.get(consumer).filter(|_| is_idle) else { return false };
        let session = self.sessions.get(consumer.session);
        consumer.no_ack && session.is_some_and(|session| session.can_serve(consumer))
    }

    fn enqueue_all(
        &mut self,
        route: &Route,
        mut message: Arc<Message>,
        ttl: Option<u64>,
        concerns: Concerns,
    ) -> Enqueued {
        let Concerns { has_rules, is_durable, passes_through } = concerns;
        let is_kept = !passes_through;
        if is_kept {
            let message = Arc::make_mut(&mut message);
            message.detach_in(&mut self.pool);
            self.keep(message);
        }
        for session in &route.replies {
            if let Some(session) = self.sessions.get(*session) {
                self.notices.push(Notice::Reply(session.handle, message.clone()));
            }
        }
        let by_level = match has_rules {
            true => self.by_level(&route.queues, &message),
            false => None,
        };
        let queues = by_level.as_ref().unwrap_or(&route.queues);
        let is_pressed = is_kept && self.is_pressed();
        match queues.split_last() {
            Some((last, others)) if !is_durable && !is_pressed => {
                others.iter().for_each(|id| self.push(*id, message.clone(), 0, false, ttl));
                self.push(*last, message, 0, false, ttl);
            }
            Some(_) => self.enqueue_logged(queues, &message, is_pressed, ttl),
            None => self.pool.take_back(message),
        }
        let (gate, taken) = match is_durable {
            true => (self.log.position(), Taken::ForGood),
            false if route.queues.is_empty() => (0, Taken::Nowhere),
            false => (0, Taken::ForNow),
        };
        Enqueued { gate, is_refused: false, taken }
    }

    /// Puts a message into all these queues, and into the log: for those that are durable, if it
    /// is, and for the others when memory is short. A record counts after a start for all its
    /// queues or for none, so there may be two.
    fn enqueue_logged(
        &mut self,
        queues: &[QueueId],
        message: &Arc<Message>,
        is_pressed: bool,
        ttl: Option<u64>,
    ) {
        let is_kept = |queue: &Queue| queue.keeps(message);
        let has_kept = queues.iter().any(|id| self.queues.get(*id).is_some_and(is_kept));
        let first = self.log.pending.next_item();
        let (mut kept, mut volatile) = (Spots::One(None), Spots::One(None));
        for id in queues {
            let Some(queue) = self.queues.get_mut(*id) else { continue };
            let is_kept = is_kept(queue);
            if is_kept || is_pressed {
                let spots = if is_kept { &mut kept } else { &mut volatile };
                let place = queue.place(queue.next_position);
                let deadline = queue.deadline(self.clock, ttl).filter(|_| is_kept);
                spots.push(Spot { queue: *id, place, deadline });
                queue.logged_below = queue.next_position + 1;
            }
            let item = match is_kept {
                true => first,
                false if is_pressed => first + u64::from(has_kept),
                false => 0,
            };
            self.push(*id, message.clone(), item, !is_kept, ttl);
        }
        if !volatile.as_slice().is_empty() {
            self.mark(Mark::TransientLogged);
        }
        self.note_message(message, kept, false);
        self.note_message(message, volatile, true);
    }

    fn note_message(&mut self, message: &Arc<Message>, spots: Spots, is_volatile: bool) {
        if spots.as_slice().is_empty() {
            return;
        }
        let (message, is_moved) = (message.clone(), false);
        let pending = PendingMessage { message, spots, is_moved, is_volatile };
        self.log.pending.push(Item::Message(pending));
    }

    /// Appends a message to a queue, or to a lane. Where the log has it, as this item, it may be
    /// kept on disk only.
    fn push(
        &mut self,
        id: QueueId,
        message: Arc<Message>,
        item: u64,
        is_volatile: bool,
        ttl: Option<u64>,
    ) {
        let Some(queue) = self.queues.get(id) else { return };
        let deadline = queue.deadline(self.clock, ttl).map(NonZeroU64::get);
        // What the log does not have has no other place than in memory.
        let has_room = item == 0 || self.has_room(queue, deadline);
        let Some(queue) = self.queues.get_mut(id) else { return };
        let position = queue.next_place(&mut self.tallies).position;
        let size = Size::of(message.body.len());
        if let Some(deadline) = deadline {
            let is_durable = item != 0 && !is_volatile;
            queue.deadlines.insert(position, position, deadline, is_durable);
        }
        if has_room {
            let message = Some(message);
            queue.ready.push(Entry {
                position,
                item,
                returns: 0,
                may_be_known: false,
                is_volatile,
                message,
                size,
                is_gone: false,
            });
        } else {
            queue.ready.push_paged(Unwritten { item, position, is_volatile, size });
            self.log.marks.reach(Mark::MessagePaged);
        }
        if let Some(deadline) = deadline {
            self.arm(id, deadline);
        }
        self.stir(id);
    }

    /// Whether a message that comes to a queue, or to a lane, is kept in memory though the log has
    /// it.
    fn has_room(&self, queue: &Queue, deadline: Option<u64>) -> bool {
        let has_window = !self.is_pressed() && queue.ready.cached() < self.limits.queue_window;
        if queue.is_delay_store {
            return has_window && self.is_due_soon(deadline);
        }
        let head = match queue.as_lane() {
            None => Some(queue),
            Some(lane) => self.queues.get(lane.head),
        };
        let is_awaited = || head.is_some_and(|head| head.turns.next().is_some());
        queue.ready.paged() == 0 && (has_window || queue.ready.is_empty() && is_awaited())
    }
}
