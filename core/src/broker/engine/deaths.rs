//! Messages that end without anybody's having worked them off: they waited for too long, there was
//! no room for them, they were rejected, or came back too often. Each is dead-lettered if its queue
//! says where to.
//!
//! A death is two steps. First the message leaves its place among the ready ones, or its lease: in
//! the eyes of clients it is gone. Then it is buried: its dead letter is put into other queues and
//! the message itself is settled, in one batch of the log, so that a start finds the one or the
//! other. Between the two it may have to be read from disk; a start then finds it in its old place.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::death::{self, DeadLetter, Reason};
use super::super::exchange::Envelope;
use super::super::message::Message;
use super::super::queue::{Entry, Queue, QueueId};
use super::super::ready::{Left, Next, Unwritten};
use super::super::settings::{DeadLetters, Overflow, Settings};
use super::super::weight::Size;
use super::Engine;
use super::paging::ITEM_READ;
use crate::{Departure, Event, Instant, Mark, QueueName};

/// No more messages expire at once; others have their turn in between. Nor are there ever more
/// delayed messages on their way.
const EXPIRED_AT_ONCE: u64 = 4096;

impl Queue {
    /// Whether as many delayed messages are on their way as may be: those whose time comes next
    /// wait.
    fn is_behind(&self) -> bool {
        self.is_delay_store && self.dying.len() as u64 >= EXPIRED_AT_ONCE
    }
}

impl Engine {
    /// It is this time now.
    pub(crate) fn set_time(&mut self, now: Instant) {
        self.clock.set(now);
    }

    /// When something expires next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        if self.log.is_closing() {
            return None;
        }
        if !self.sleeping.is_empty() {
            return Some(Instant::default());
        }
        let timer = self.timers.first().map(|(deadline, _)| *deadline);
        let next = match (timer, self.keeping.due) {
            (Some(timer), Some(due)) => Some(timer.min(due)),
            (timer, due) => timer.or(due),
        };
        next.map(|deadline| self.clock.instant(deadline))
    }

    /// A message of a queue, or of a lane, or the queue itself may expire at `deadline`.
    pub(super) fn arm(&mut self, id: QueueId, deadline: u64) {
        let id = self.head(id);
        let Some(queue) = self.queues.get_mut(id) else { return };
        if queue.timer.is_none_or(|timer| deadline < timer) {
            if let Some(timer) = queue.timer.replace(deadline) {
                self.timers.remove(&(timer, id));
            }
            self.timers.insert((deadline, id));
        }
    }

    /// Ends what has expired. Not all at once if it is very much; then it is to be called again.
    #[inline]
    pub(crate) fn expire(&mut self) {
        if !self.sleeping.is_empty() || !self.timers.is_empty() {
            self.expire_all();
        }
    }

    #[inline(never)]
    fn expire_all(&mut self) {
        // What is on disk when the broker stops stays as it is.
        if self.log.is_closing() {
            return;
        }
        for id in core::mem::take(&mut self.sleeping) {
            self.wake(id);
        }
        let now = self.clock.unix_ms();
        let mut left = EXPIRED_AT_ONCE;
        while left > 0
            && let Some(&(deadline, id)) = self.timers.first()
            && deadline <= now
        {
            self.timers.pop_first();
            let Some(queue) = self.queues.get_mut(id) else { continue };
            queue.timer = None;
            // What is in a virtual host that is gone goes with it.
            if self.emptying.is_some_and(|emptying| emptying.vhost == queue.vhost) {
                continue;
            }
            if queue.expires_at.is_some_and(|at| at <= now) {
                let is_used = !queue.consumers.is_empty();
                queue.expires_at = None;
                if !is_used {
                    self.note_departure(id, Departure::QueueExpired);
                    self.mark(Mark::QueueExpired);
                    self.drop_queue(id);
                    continue;
                }
            }
            left = self.expire_messages(id, now, left);
            self.arm_next(id);
        }
    }

    /// Has a queue looked after when something of it expires next.
    fn arm_next(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get(id).filter(|queue| !queue.is_behind()) else { return };
        let next = self.next_deadline(id).into_iter().chain(queue.expires_at).min();
        next.into_iter().for_each(|next| self.arm(id, next));
    }

    /// Ends up to `left` messages of a queue that have expired; how many more may.
    fn expire_messages(&mut self, id: QueueId, now: u64, mut left: u64) -> u64 {
        while left > 0
            && let Some(head) = self.queues.get(id)
            && !head.is_behind()
            && let Some(lane) = self.next_expiring(id, now)
            && let Some(queue) = self.queues.get_mut(lane)
            && let Some((first, last)) = queue.deadlines.take_due(now, left)
        {
            let mark = match queue.is_delay_store {
                true => Mark::DelayOver,
                false => Mark::MessageExpired,
            };
            for position in first..=last {
                // One that is handed out is looked at when it comes back.
                if let Some(entry) = self.remove_ready(lane, position) {
                    self.mark(mark);
                    self.note_departure(id, Departure::Expired);
                    self.die(lane, entry, Reason::Expired);
                }
            }
            left -= last - first + 1;
        }
        left
    }

    /// Drops the first messages of a queue that has more than it may: those that a consumer would
    /// get next.
    pub(super) fn trim(&mut self, id: QueueId) {
        // The last checkpoint may be written: a start drops them.
        if self.log.is_closing() {
            return;
        }
        let Some(queue) = self.queues.get(id).filter(|queue| queue.settings.is_limited()) else {
            return;
        };
        if queue.settings.max_bytes.is_some() {
            self.count_rest(id);
        }
        while let Some(queue) = self.queues.get(id)
            && queue.settings.overflow == Overflow::DropHead
            && self.is_over_limit(id)
        {
            let lane = self.next_lane(id);
            let Some(queue) = self.queues.get(lane) else { return };
            let first = queue.ready.first().map(|first| (first.position, first.message.is_none()));
            let position = match (queue.ready.next(&queue.extents), first) {
                (Next::Here | Next::Waits, Some((position, _))) => position,
                // It came back, and is the first; what it says is not needed here.
                (Next::OnDisk, Some((position, true))) => position,
                // Only the index on disk tells which is the first.
                (Next::OnDisk, _) => return self.read(lane, false),
                _ => return,
            };
            let Some(entry) = self.remove_ready(lane, position) else { return };
            self.mark(Mark::HeadDropped);
            self.note_departure(id, Departure::Dropped);
            self.die(lane, entry, Reason::MaxLength);
        }
    }

    /// Takes a message from among the ready ones of a lane, wherever it stands.
    pub(super) fn remove_ready(&mut self, id: QueueId, position: u64) -> Option<Entry> {
        let queue = self.queues.get_mut(id)?;
        let (extents, dying) = (&queue.extents, &queue.dying);
        let is_on_disk = || extents.is_live(position) && !dying.contains(position);
        let (item, is_volatile, size) = match queue.ready.remove(position, is_on_disk)? {
            Left::Here(entry) => return Some(entry),
            Left::Unwritten(Unwritten { item, is_volatile, size, .. }) => (item, is_volatile, size),
            Left::OnDisk => {
                let is_volatile = queue.volatile.contains(position);
                if is_volatile {
                    queue.ready.note_volatile_left();
                }
                let size = queue.owe(position);
                if size == Size::Owed {
                    self.log.marks.reach(Mark::SizeOwed);
                }
                (ITEM_READ, is_volatile, size)
            }
        };
        self.log.marks.reach(Mark::LeftFromDisk);
        Some(Entry {
            position,
            item,
            returns: queue.returned.get(&position).copied().unwrap_or(0),
            may_be_known: position < queue.delivered_below,
            is_volatile,
            message: None,
            size,
            is_gone: false,
        })
    }

    /// A message of a lane, which is not among the ready ones nor handed out any more, died.
    pub(super) fn die(&mut self, id: QueueId, mut entry: Entry, reason: Reason) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.tally(&mut self.tallies, |counts| match reason {
            Reason::Rejected => counts.rejected += 1,
            Reason::Expired => counts.expired += 1,
            Reason::MaxLength => counts.dropped += 1,
            Reason::DeliveryLimit => counts.worn_out += 1,
        });
        self.tallies.note_death(queue, reason);
        // Who is owed must be read, so all that expire in such a queue go the same way.
        let is_weighed = queue.settings.max_bytes.is_some() && reason == Reason::Expired;
        if queue.settings.dead_letters.is_none() && !queue.is_delay_store && !is_weighed {
            return self.forget_entry(id, &entry);
        }
        // Others are buried first; it can be read back by then.
        if !queue.dying.is_empty() && entry.item != 0 && self.is_pressed() {
            entry.message = None;
        }
        self.mourn(id, entry, reason);
    }

    /// A message comes to queues that have no room for it.
    pub(super) fn refuse(&mut self, queues: Vec<QueueId>, message: &Message) {
        // What waits to be a dead letter is one for all of them.
        let mut own: Option<Message> = None;
        for id in queues {
            let enqueued = self.sum(id, |lane| lane.counts.enqueued);
            let Some(queue) = self.queues.get(id) else { continue };
            let (name, number) = (self.told_name(queue), enqueued + queue.counts.refused + 1);
            self.departures.push(Departure::Refused(name, number));
            let Some(queue) = self.queues.get_mut(id) else { continue };
            queue.tally(&mut self.tallies, |counts| counts.refused += 1);
            self.log.marks.reach(Mark::PublishRefused);
            let is_kept = queue.settings.overflow == Overflow::RejectPublishDeadLetter
                && queue.settings.dead_letters.is_some();
            if is_kept {
                self.tallies.note_death(queue, Reason::MaxLength);
                let own = own.get_or_insert_with(|| {
                    let mut own = message.clone();
                    own.detach();
                    own
                });
                // It may wait there, see `may_bury`: publishers do too then.
                let mut letter = own.clone();
                self.keep(&mut letter);
                self.refused.push_back((id, letter));
            }
        }
    }

    /// Buries who died, as far as that can be done now. Whether there was anybody: then there may
    /// be more to dispatch.
    #[inline]
    pub(crate) fn bury(&mut self) -> bool {
        let is_nobody = self.refused.is_empty() && self.mourning.is_empty();
        !(is_nobody && self.keeping.is_idle()) && self.bury_all()
    }

    fn bury_all(&mut self) -> bool {
        let mut is_anybody = false;
        if self.log.is_closing() {
            return false;
        }
        while self.may_bury()
            && let Some((id, message)) = self.refused.pop_front()
        {
            is_anybody = true;
            if self.queues.get(id).is_some_and(|queue| self.is_emptying(queue.vhost)) {
                continue;
            }
            self.note_departure(id, Departure::RefusedBuried);
            let sent = self.send_dead_letter(id, &message, Reason::MaxLength, false);
            sent.unwrap_or_else(|why| self.lose_letter(id, why));
        }
        if !self.refused.is_empty() {
            self.urge_log();
        }
        self.retry_letters();
        for _ in 0..self.mourning.len() {
            let Some(id) = self.mourning.pop_front() else { break };
            if self.queues.get(id).is_some_and(|queue| self.is_emptying(queue.vhost)) {
                continue;
            }
            while self.may_bury()
                && let Some((lane, entry, reason)) = self.take_dead(id)
            {
                is_anybody = true;
                self.bury_one(id, lane, entry, reason);
            }
            self.arm_next(id);
            let Some(lane) = self.first_dead(id) else { continue };
            let is_on_disk = |queue: &Queue| queue.dying.first_on_disk().is_some();
            self.mourning.push_back(id);
            match self.queues.get(lane).is_some_and(is_on_disk) {
                true => self.read(lane, false),
                false => self.urge_log(),
            }
        }
        is_anybody
    }

    /// Whether a dead letter may be made now. It leaves memory when the log has it: where too much
    /// waits for that, it waits too.
    fn may_bury(&self) -> bool {
        let backlog = self.log.backlog();
        let has_memory = self.gauge.get() <= self.limits.memory_max;
        backlog == 0 || has_memory && backlog <= self.limits.log_pending_max
    }

    /// Buries one of a lane who was the first to be, or sets it aside.
    fn bury_one(&mut self, id: QueueId, lane: QueueId, entry: Entry, reason: Reason) {
        let is_kept = self.is_kept(id, &entry);
        if !is_kept {
            self.note_departure(id, Departure::Buried);
        }
        match self.send_on(id, &entry, reason, is_kept) {
            Err(why) if is_kept => return self.keep_letter(id, lane, entry, reason, why),
            Err(why) => self.lose_letter(id, why),
            Ok(()) if is_kept => {
                self.tally_letter(id);
                self.note_departure(id, Departure::Buried);
            }
            Ok(()) => {}
        }
        self.note_letter_gone(lane, entry.position);
        self.forget_entry(lane, &entry);
    }

    /// Sends who died where it is to go from here.
    ///
    /// # Errors
    /// As for [`Self::send_dead_letter`].
    fn send_on(
        &mut self,
        id: QueueId,
        entry: &Entry,
        reason: Reason,
        is_kept: bool,
    ) -> Result<(), &'static str> {
        let Some(message) = &entry.message else { return Ok(()) };
        if self.queues.get(id).is_some_and(|queue| queue.is_delay_store) {
            self.send_delayed(id, message);
            return Ok(());
        }
        self.send_dead_letter(id, message, reason, is_kept)
    }

    /// Puts the dead letter of a message into the queues that it is for: if it `is_kept`, into all
    /// of them or into none.
    ///
    /// # Errors
    /// Why not all of them have it.
    fn send_dead_letter(
        &mut self,
        id: QueueId,
        message: &Message,
        reason: Reason,
        is_kept: bool,
    ) -> Result<(), &'static str> {
        let Some(queue) = self.queues.get(id) else { return Ok(()) };
        let Some(DeadLetters { exchange, key }) = queue.settings.dead_letters.clone() else {
            return Ok(());
        };
        let (vhost, name) = (queue.vhost, queue.name.clone());
        let time = self.clock.unix_ms() / 1000;
        let found = self.host(vhost).exchanges.get(&exchange).map(|found| found.name.clone());
        let Some(exchange_name) = found else {
            self.mark(Mark::DeadLetterExchangeMissing);
            return Err("its dead-letter exchange is missing");
        };
        let key = key.as_ref();
        let letter = death::dead_letter(message, &name, reason, time, exchange_name, key);
        let Some(DeadLetter { message, keys, properties }) = letter else {
            return Err("its properties cannot be read");
        };
        let key = &message.routing_key;
        let envelope = Envelope { key, keys: &keys, properties: &properties };
        let mut route = self.walk(vhost, &exchange, &envelope, None);
        let count = route.queues.len();
        route.queues.retain(|target| {
            let target = self.queues.get(*target);
            target.is_some_and(|target| !death::is_cycle(&properties, &target.name))
        });
        if route.queues.len() < count {
            self.mark(Mark::DeadLetterCycle);
        }
        let why = match route.is_empty() {
            true if count > 0 => Some("it would go round in a circle"),
            true => Some("no queue is bound for it"),
            false => None,
        };
        if why.is_some() {
            self.mark(Mark::DeadLetterUnroutable);
        }
        if is_kept {
            why.map_or(Ok(()), Err)?;
            let bytes = message.body.len();
            if route.queues.iter().any(|target| self.is_refusing(*target, bytes)) {
                return Err("a queue that it is for has no room");
            }
        }
        self.take_route(&mut route);
        self.remember(vhost, &route, &message);
        why.map_or(Ok(()), Err)?;
        self.mark(match reason {
            Reason::Rejected => Mark::DeadLetteredRejected,
            Reason::Expired => Mark::DeadLetteredExpired,
            Reason::MaxLength => Mark::DeadLetteredMaxLength,
            Reason::DeliveryLimit => Mark::DeadLetteredDeliveryLimit,
        });
        if self.enqueue(&route, Arc::new(message), None).is_refused {
            self.mark(Mark::DeadLetterRefused);
            return Err("a queue that it is for has no room");
        }
        Ok(())
    }

    /// A dead letter goes nowhere. Told the first time, and each time that there are twice as many.
    fn lose_letter(&mut self, id: QueueId, reason: &'static str) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.tally(&mut self.tallies, |counts| counts.lost_letters += 1);
        let count = queue.counts.lost_letters;
        if count.is_power_of_two() {
            let (vhost, queue) = (queue.vhost, queue.name.to_string());
            let vhost = self.host(vhost).name.to_string();
            self.events.push(Event::DeadLettersLost { vhost, queue, count, reason });
        }
    }

    pub(super) fn note_departure(&mut self, id: QueueId, departure: fn(QueueName) -> Departure) {
        if let Some(queue) = self.queues.get(id)
            && !self.is_emptying(queue.vhost)
        {
            self.departures.push(departure(self.told_name(queue)));
        }
    }

    /// A queue as checkers are told of it.
    fn told_name(&self, queue: &Queue) -> QueueName {
        QueueName { vhost: self.host(queue.vhost).name.clone(), name: queue.name.clone() }
    }

    /// Takes what is to be told to the people who run the broker.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// Whether something departed, or was decided, that was not asked for yet.
    pub(crate) fn has_news(&self) -> bool {
        !self.departures.is_empty() || !self.decisions.is_empty()
    }

    /// Forgets all of that.
    pub(crate) fn forget_news(&mut self) {
        self.departures = Vec::new();
        self.decisions = Vec::new();
    }

    /// Takes what left queues without a client's doing.
    pub(crate) fn take_departures(&mut self) -> Vec<Departure> {
        core::mem::take(&mut self.departures)
    }

    /// A queue was just found by a start: what of it expires does so in its time.
    pub(super) fn wake(&mut self, id: QueueId) {
        let next = self.next_deadline(id);
        next.into_iter().for_each(|next| self.arm(id, next));
        self.renew(id);
        // What was handed out is ready again: there may be more than may be.
        self.stir(id);
    }

    /// A queue is used: it lives for as long again.
    pub(super) fn renew(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Settings { expires: Some(millis), .. } = *queue.settings else { return };
        let deadline = self.clock.deadline_in(millis);
        queue.expires_at = Some(deadline);
        self.arm(id, deadline);
    }
}
