//! Messages on their way out of queues: to consumers, and back.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::access::Right;
use super::super::arguments;
use super::super::consumer::{Consume, Consumer, ConsumerId, Session, SessionHandle, SessionId};
use super::super::death::Reason;
use super::super::message::Message;
use super::super::queue::{Entry, Owner, Queue, QueueId};
use super::super::ready::Next;
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::paging::ITEM_READ;
use super::routing::REPLY_PREFIX;
use super::{Claimant, Engine, Notice};
use crate::amqp::ShortStr;
use crate::log::Fact;
use crate::{Instant, Mark};

/// The side of the broker that clients see. The engine calls it from [`Engine::dispatch`] only.
pub(crate) trait FrontEnd {
    /// Whether there is room for a delivery. If not, nothing is delivered to the session until
    /// [`Engine::resume_session`].
    fn has_room(&mut self, session: SessionHandle) -> bool;

    /// Sends a message to a consumer.
    fn deliver(&mut self, session: SessionHandle, delivery: Delivery);

    /// Sends a direct reply, if it can be sent at once; whether it was.
    fn reply(&mut self, session: SessionHandle, message: Arc<Message>) -> bool;

    /// A consumer is gone, and not by its client's wish.
    fn cancelled(&mut self, session: SessionHandle, tag: &ShortStr);
}

/// A message for a consumer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) tag: ShortStr,
    pub(crate) redelivered: bool,
    pub(crate) message: Arc<Message>,
    /// What must be settled; `None` when nothing is to be acknowledged.
    pub(crate) lease: Option<Lease>,
    /// By when it must be settled, counted from now.
    pub(crate) timeout: Option<Duration>,
}

/// A message that was handed out and is not settled. It must go to [`Engine::settle`] once.
#[derive(Debug)]
pub(crate) struct Lease {
    queue: QueueId,
    /// Whose prefetch it counts against; none for a message that was asked for by name.
    consumer: Option<ConsumerId>,
    entry: Entry,
}

impl Lease {
    /// Whose prefetch it counts against.
    pub(crate) fn consumer(&self) -> Option<ConsumerId> {
        self.consumer
    }
}

/// What becomes of a message that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It was worked off.
    Ack,
    /// It is not wanted.
    Reject,
    /// It goes back to where it was.
    Requeue,
}

/// What comes of asking for a message.
#[derive(Debug)]
pub(crate) enum Asked {
    Got(Got),
    /// There is none.
    Empty,
    /// It has to be read from disk; [`Engine::next_getter`] says when to ask again.
    Later,
}

/// A message that was asked for.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) redelivered: bool,
    pub(crate) message: Arc<Message>,
    pub(crate) remaining: u64,
    pub(crate) lease: Option<Lease>,
    /// By when it must be settled, counted from now.
    pub(crate) timeout: Option<Duration>,
}

impl Engine {
    /// Opens a session.
    pub(crate) fn open_session(&mut self, handle: SessionHandle) -> SessionId {
        self.traffic.channels_opened += 1;
        self.sessions.insert(Session {
            handle,
            consumers: Default::default(),
            prefetch: 0,
            unacked: 0,
            is_stalled: false,
            ack_timer: None,
            deliveries: 0,
        })
    }

    /// Ends a session and its consumers. Its leases are settled by the caller, afterwards: so they
    /// do not come back to it.
    pub(crate) fn close_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        for consumer in core::mem::take(&mut session.consumers) {
            self.drop_consumer(consumer);
        }
    }

    /// Forgets a session that was closed and whose leases are settled.
    pub(crate) fn forget_session(&mut self, id: SessionId) {
        self.forget_deadline(id);
        self.traffic.channels_closed += 1;
        self.sessions.remove(id);
    }

    /// Limits how many unacked messages all consumers of a session may hold; 0: any number.
    pub(crate) fn set_session_prefetch(&mut self, id: SessionId, prefetch: u32) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.prefetch = prefetch;
        }
        self.revive_session(id);
    }

    /// The front end has room for deliveries again.
    pub(crate) fn resume_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && core::mem::take(&mut session.is_stalled)
        {
            self.mark(Mark::DeliveryResumed);
            self.revive_session(id);
        }
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// When the queue is missing, another connection's, or another consumer's.
    pub(crate) fn consume(
        &mut self,
        session: SessionId,
        who: Claimant<'_>,
        queue: &ShortStr,
        owner: Owner,
        consume: &Consume,
    ) -> Result<ConsumerId, Refusal> {
        self.check_right(who, Right::Read, "queue", queue)?;
        let vhost = who.vhost;
        let id = self.queue(vhost, queue, owner)?;
        let resource = Resource { kind: "queue", name: queue, vhost: &self.vhosts[&vhost].name };
        let (priority, timeout) = arguments::of_consumer(&consume.arguments, &resource)?;
        let found = self.queues.get_mut(id).expect("just found");
        let is_shared = found.single_active.is_some() || !found.consumers.is_empty();
        if found.exclusive_consumer.is_some() || (consume.exclusive && is_shared) {
            return Err(Refusal::new(
                RefusalKind::AccessRefused,
                format!("{resource} in exclusive use"),
            ));
        }
        let consumer = self.consumers.insert(Consumer {
            session,
            queue: id,
            tag: consume.tag.detached(),
            no_ack: consume.no_ack,
            priority,
            prefetch: consume.prefetch,
            unacked: 0,
            timeout,
            has_turn: false,
            served_at: 0,
            rank: 0,
        });
        found.consumers.insert(consumer);
        found.exclusive_consumer = consume.exclusive.then_some(consumer);
        self.sessions
            .get_mut(session)
            .expect("a consumer's session is open")
            .consumers
            .insert(consumer);
        if priority != 0 {
            self.mark(Mark::PriorityConsumer);
        }
        self.join_queue(id, consumer);
        self.give_turn(consumer);
        Ok(consumer)
    }

    /// Removes a consumer at its client's wish. What it holds stays with its session.
    pub(crate) fn cancel(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.get(id)
            && let Some(session) = self.sessions.get_mut(consumer.session)
        {
            session.consumers.remove(&id);
        }
        self.drop_consumer(id);
    }

    /// Whether the claimant may read from the queue of a consumer, if that is there.
    pub(crate) fn may_go_on(&self, who: Claimant<'_>, id: ConsumerId) -> bool {
        let consumer = self.consumers.get(id);
        let queue = consumer.and_then(|consumer| self.queues.get(consumer.queue));
        queue.is_none_or(|queue| self.check_right(who, Right::Read, "queue", &queue.name).is_ok())
    }

    /// Waits for direct replies; the address to send them to.
    pub(crate) fn wait_for_replies(&mut self, session: SessionId) -> ShortStr {
        let address = self.make_name(REPLY_PREFIX);
        self.repliers.insert(address.clone(), session);
        self.topology_version += 1;
        address
    }

    /// Ends [`Self::wait_for_replies`].
    pub(crate) fn stop_replies(&mut self, address: &ShortStr) {
        self.repliers.remove(address);
        self.topology_version += 1;
    }

    /// The next message of a queue, if there is one.
    ///
    /// # Errors
    /// When the queue is missing, another connection's, or a quorum queue that serves one consumer
    /// at a time.
    pub(crate) fn get(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
        owner: Owner,
        no_ack: bool,
        session: SessionId,
    ) -> Result<Asked, Refusal> {
        self.check_right(who, Right::Read, "queue", name)?;
        let vhost = who.vhost;
        let id = self.queue(vhost, name, owner)?;
        let queue = self.queues.get(id).expect("just found");
        if queue.single_active.is_some() && arguments::is_quorum(&queue.arguments) {
            let vhost = &self.vhosts[&vhost].name;
            return Err(Refusal::single_active(&Resource { kind: "queue", name, vhost }));
        }
        let lane = self.next_lane(id);
        let next = match queue.is_paused {
            true => Next::None,
            false => self.next_of(lane),
        };
        match next {
            Next::None => {
                self.traffic.get_empty += 1;
                let kind = self.queues.get(id).map(|queue| queue.kind);
                kind.into_iter().for_each(|kind| self.tallies.of_mut(kind).get_empty += 1);
                self.renew(id);
                return Ok(Asked::Empty);
            }
            Next::OnDisk => self.read(lane, false),
            Next::Here | Next::Waits => {}
        }
        let queue = self.queues.get_mut(id).expect("just found");
        if next != Next::Here {
            // Those who are gone are forgotten each time that there are twice as many.
            if queue.getters.len().is_power_of_two() {
                queue.getters.in_use().retain(|getter| self.sessions.get(*getter).is_some());
            }
            queue.getters.in_use().push_back(session);
            self.mark(Mark::GetWaits);
            return Ok(Asked::Later);
        }
        let queue = self.queues.get_mut(lane).expect("just found");
        let mut entry = queue.take().expect("at hand");
        let remaining = self.ready_len(id);
        let message = self.hand_out(lane, &mut entry, no_ack);
        let queue = self.queues.get_mut(lane).expect("just found");
        let redelivered = entry.is_redelivered();
        queue.tally(&mut self.tallies, |counts| counts.note_get(redelivered, no_ack));
        let lease = if no_ack {
            self.forget_entry(lane, &entry);
            None
        } else {
            queue.lend(&mut self.tallies);
            Some(Lease { queue: lane, consumer: None, entry })
        };
        let queue = self.queues.get(id).filter(|_| !no_ack);
        let timeout = queue.and_then(|queue| self.limits.timeout_of(queue, None));
        self.renew(id);
        Ok(Asked::Got(Got { redelivered, message, remaining, lease, timeout }))
    }

    /// Which message of a queue, or of a lane, is next.
    pub(super) fn next_of(&mut self, id: QueueId) -> Next {
        let Some(queue) = self.queues.get(id) else { return Next::None };
        let first = queue.ready.first();
        let (position, item) = match (queue.ready.next_is(first, &queue.extents), first) {
            (Next::Here, Some(first)) if first.is_durable() => (first.position, first.item),
            (Next::OnDisk, _) => {
                return if self.may_read(id) { Next::OnDisk } else { Next::Waits };
            }
            (next, _) => return next,
        };
        if position < queue.mark.durable_below.saturating_sub(queue.mark.step)
            || self.may_hand_out(id, position, item)
        {
            return Next::Here;
        }
        Next::Waits
    }

    /// Whether the next message of a queue, which is on disk, is to be read now. With little memory
    /// it is not before it may be handed out: it would have to go, and be read again, until then.
    fn may_read(&mut self, id: QueueId) -> bool {
        let has_memory = !self.is_pressed_by(u64::from(self.limits.read_len));
        let Some(queue) = self.queues.get(id).filter(|queue| !has_memory && queue.durable) else {
            return true;
        };
        if queue.ready.first_returned_on_disk().is_some() || !queue.ready.has_durable_paged() {
            return true;
        }
        let from = queue.ready.paged_from;
        let position = queue.extents.first_from(from).unwrap_or(from);
        self.may_hand_out(id, position, ITEM_READ)
    }

    /// The message of an entry that is handed out. The entry is left without it if it `is_gone`
    /// with that; and where memory is short, if it can be read back.
    #[inline]
    fn hand_out(&mut self, id: QueueId, entry: &mut Entry, is_gone: bool) -> Arc<Message> {
        let is_left = entry.item != 0 && self.is_pressed();
        if is_left {
            self.mark(Mark::BodyLeft);
        }
        let message = match is_left || is_gone {
            true => entry.message.take(),
            false => entry.message.clone(),
        }
        .expect("a message that is next is at hand");
        let is_told = |queue: &Queue| queue.settings.tells_deliveries;
        if entry.returns > 0 && self.queues.get(id).is_some_and(is_told) {
            return message.with_delivery_count(entry.returns);
        }
        message
    }

    /// Ends a lease. Of a queue that is gone, nothing comes back.
    pub(crate) fn settle(&mut self, session: SessionId, lease: Lease, settlement: Settlement) {
        if let Some(queue) = self.queues.get_mut(lease.queue) {
            queue.unlend(&mut self.tallies);
            match settlement {
                Settlement::Ack => {
                    queue.tally(&mut self.tallies, |counts| counts.acked += 1);
                    if queue.knows_of(&lease.entry) {
                        self.forget_entry(lease.queue, &lease.entry);
                    }
                    lease.entry.message.into_iter().for_each(|last| self.pool.take_back(last));
                }
                Settlement::Reject => self.die(lease.queue, lease.entry, Reason::Rejected),
                Settlement::Requeue => self.put_back(lease.queue, lease.entry),
            }
        }
        if let Some(consumer) = lease.consumer {
            self.release(session, consumer);
        }
    }

    /// Hands out what can be handed out, and tells the front end what it must know.
    pub(crate) fn dispatch(&mut self, now: Instant, front: &mut impl FrontEnd) {
        loop {
            self.tell(front);
            // To serve a queue may be to notice more.
            match self.stirred.pop_front() {
                Some(queue) => self.serve(queue, now, front),
                None if self.notices.is_empty() => return,
                None => {}
            }
        }
    }

    /// Tells clients what was decided about them, and serves nobody.
    #[inline]
    pub(crate) fn tell(&mut self, front: &mut impl FrontEnd) {
        // Mostly there is none, and to take none one by one takes a while.
        if !self.notices.is_empty() {
            self.tell_all(front);
        }
    }

    #[cold]
    fn tell_all(&mut self, front: &mut impl FrontEnd) {
        for notice in self.notices.drain(..) {
            match notice {
                Notice::Cancelled(session, tag) => front.cancelled(session, &tag),
                Notice::Reply(session, message) => {
                    let is_sent = front.reply(session, message);
                    let mark = if is_sent { Mark::ReplyDelivered } else { Mark::ReplyDropped };
                    self.log.marks.reach(mark);
                }
            }
        }
    }

    /// Whether a session has lost a consumer and was not told yet.
    pub(crate) fn has_news_for(&self, session: SessionHandle) -> bool {
        let mut notices = self.notices.iter();
        notices.any(|notice| matches!(notice, Notice::Cancelled(of, _) if *of == session))
    }

    /// Looks after a queue.
    fn serve(&mut self, id: QueueId, now: Instant, front: &mut impl FrontEnd) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.is_stirred = false;
        // What is in a virtual host that is gone goes with it.
        if self.emptying.is_some_and(|emptying| emptying.vhost == queue.vhost) {
            return;
        }
        if !queue.getters.is_empty() {
            self.asked.push_back(id);
        }
        if !queue.is_paused {
            self.hand_out_ready(id, now, front);
        }
        self.trim(id);
    }

    /// The lane that has the next message of a queue, if it has any, for which somebody waits; none
    /// if nobody does, or there can be none.
    fn lane_to_serve(&self, id: QueueId) -> Option<QueueId> {
        let queue = self.queues.get(id)?;
        queue.turns.next()?;
        match queue.lanes() {
            None => (!queue.ready.is_empty()).then_some(id),
            Some(_) => Some(self.next_lane(id)),
        }
    }

    fn hand_out_ready(&mut self, id: QueueId, now: Instant, front: &mut impl FrontEnd) {
        while let Some(lane) = self.lane_to_serve(id) {
            let next = self.next_of(lane);
            match next {
                Next::Here => {}
                Next::None => return,
                Next::Waits => return self.note_lane_waits(id, lane),
                Next::OnDisk => {
                    self.note_lane_waits(id, lane);
                    return self.read(lane, false);
                }
            }
            let Some(queue) = self.queues.get_mut(id) else { return };
            let Some(consumer_id) = queue.turns.next() else { return };
            let Some(consumer) = self.consumers.get_mut(consumer_id) else {
                queue.turns.pass_over();
                continue;
            };
            let session = self.sessions.get_mut(consumer.session).expect("of a living consumer");
            if !session.is_stalled && !front.has_room(session.handle) {
                session.is_stalled = true;
                self.log.marks.reach(Mark::DeliveryWithheld);
            }
            if !session.can_serve(consumer) {
                consumer.has_turn = false;
                queue.turns.take();
                self.log.marks.reach(Mark::TurnLost);
                continue;
            }
            queue.turns.pass_on();
            let timeout = match consumer.no_ack {
                true => None,
                false => self.limits.timeout_of(queue, consumer.timeout),
            };
            let queue = match lane == id {
                true => queue,
                false => self.queues.get_mut(lane).expect("a lane that was found"),
            };
            let mut entry = queue.take().expect("at hand");
            let is_low =
                queue.ready.paged() > 0 && queue.ready.cached() < self.limits.queue_window / 4;
            let (tag, redelivered) = (consumer.tag.clone(), entry.is_redelivered());
            let (handle, no_ack) = (session.handle, consumer.no_ack);
            let session_id = consumer.session;
            session.deliveries += 1;
            consumer.served_at = session.deliveries;
            queue.tally(&mut self.tallies, |counts| counts.note_delivery(redelivered, no_ack));
            if !no_ack {
                queue.lend(&mut self.tallies);
                consumer.unacked += 1;
                session.unacked += 1;
            }
            let is_known = queue.knows_of(&entry);
            let message = self.hand_out(lane, &mut entry, no_ack);
            if no_ack && is_known {
                self.forget_entry(lane, &entry);
            }
            let lease = match no_ack {
                true => None,
                false => Some(Lease { queue: lane, consumer: Some(consumer_id), entry }),
            };
            if let Some(timeout) = timeout {
                self.expect_ack(session_id, now + timeout);
            }
            front.deliver(handle, Delivery { tag, redelivered, message, lease, timeout });
            if is_low {
                self.read(lane, true);
            }
        }
    }

    /// Takes a message back that was handed out, to where it was.
    fn put_back(&mut self, id: QueueId, mut entry: Entry) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        entry.returns = entry.returns.saturating_add(1);
        if queue.settings.delivery_limit.is_some_and(|limit| entry.returns > limit) {
            return self.die(id, entry, Reason::DeliveryLimit);
        }
        if let Some(deadline) = queue.deadlines.get(entry.position)
            && deadline <= self.clock.unix_ms()
        {
            self.mark(Mark::ExpiredOnReturn);
            return self.die(id, entry, Reason::Expired);
        }
        if entry.is_durable() {
            queue.returned.in_use().insert(entry.position, entry.returns);
            let place = queue.place(entry.position);
            self.log.note(Fact::Returned(place, entry.returns));
        }
        if entry.item != 0 && self.is_pressed() {
            entry.message = None;
        }
        let Some(queue) = self.queues.get_mut(id) else { return };
        let first = queue.ready.first().map(|first| first.position);
        self.log.marks.reach(match first {
            Some(first) if first < entry.position => Mark::RequeuedBehind,
            _ => Mark::RequeuedFirst,
        });
        queue.ready.put_back(entry);
        self.stir(id);
    }

    /// Notes that a queue, or that of a lane, is to be looked after.
    pub(super) fn stir(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        if let Some(lane) = queue.as_lane() {
            return self.stir(lane.head);
        }
        if !queue.is_stirred {
            queue.is_stirred = true;
            self.stirred.push_back(id);
        }
    }

    /// A lease of this consumer ended: it, or with a common limit all of the session, may have
    /// credit again.
    fn release(&mut self, session_id: SessionId, consumer_id: ConsumerId) {
        if let Some(consumer) = self.consumers.get_mut(consumer_id) {
            consumer.unacked -= 1;
            if consumer.unacked == 0 {
                let queue = consumer.queue;
                self.elect(queue);
            }
        }
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let had_credit = session.has_credit();
        session.unacked -= 1;
        if had_credit {
            self.revive(consumer_id);
        } else {
            self.mark(Mark::ChannelPrefetch);
            self.revive_session(session_id);
        }
    }

    /// The consumers of a session may have credit again, or room. They share both, and there may
    /// be enough for one message only: who has waited longest is first.
    fn revive_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.is_stalled {
            return;
        }
        let served_at = |id: &ConsumerId| self.consumers.get(*id).map(|found| found.served_at);
        let mut consumers: Vec<_> = session.consumers.iter().copied().collect();
        consumers.sort_by_key(served_at);
        for consumer in consumers {
            self.revive(consumer);
        }
    }

    /// Gives a consumer a turn if it can take a message and has none; it had one before.
    fn revive(&mut self, id: ConsumerId) {
        if self.give_turn(id) {
            self.mark(Mark::TurnRegained);
        }
    }

    /// Gives a consumer a turn if it can take a message and has none; whether it was given one.
    pub(super) fn give_turn(&mut self, id: ConsumerId) -> bool {
        let Some(consumer) = self.consumers.get_mut(id) else { return false };
        if consumer.has_turn {
            return false;
        }
        let session = self.sessions.get(consumer.session);
        if !session.is_some_and(|session| session.can_serve(consumer)) {
            return false;
        }
        let Some(queue) = self.queues.get_mut(consumer.queue) else { return false };
        if queue.single_active.as_ref().is_some_and(|single| !single.serves(id)) {
            return false;
        }
        consumer.has_turn = true;
        queue.turns.give(id, consumer.priority);
        let queue = consumer.queue;
        self.stir(queue);
        true
    }

    /// Removes a consumer from its queue, and an auto-delete queue with its last consumer.
    fn drop_consumer(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.remove(id) else { return };
        let Some(queue) = self.queues.get_mut(consumer.queue) else { return };
        queue.consumers.remove(&id);
        if consumer.has_turn {
            self.log.marks.reach(Mark::TurnWithdrawn);
            queue.turns.withdraw(|other| self.consumers.get(other).is_some());
        }
        if queue.exclusive_consumer == Some(id) {
            queue.exclusive_consumer = None;
        }
        if queue.consumers.is_empty() && queue.auto_delete {
            self.mark(Mark::QueueAutoDeleted);
            self.drop_queue(consumer.queue);
        } else if queue.consumers.is_empty() {
            self.renew(consumer.queue);
        }
        self.leave_queue(id, &consumer);
    }
}

#[cfg(test)]
impl Lease {
    /// A lease for tests of what holds leases.
    pub(crate) fn of_nothing() -> Self {
        let message = Arc::new(Message {
            exchange: ShortStr::EMPTY,
            routing_key: ShortStr::EMPTY,
            properties: Default::default(),
            body: Default::default(),
            persistent: false,
            is_dead_letter: false,
            charge: Default::default(),
        });
        let entry = Entry {
            position: 0,
            item: 0,
            returns: 0,
            may_be_known: false,
            is_volatile: false,
            message: Some(message),
            size: super::super::weight::Size::Known(0),
            is_gone: false,
        };
        Self { queue: QueueId::new(0, 0), consumer: None, entry }
    }

    /// What it is a lease of.
    pub(crate) fn into_entry(self) -> Entry {
        self.entry
    }
}
