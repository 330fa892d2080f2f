//! Queues whose messages have priorities, see [`super::super::lanes`]: which lane a message goes
//! to, from which the next one comes, and what is asked of a queue as a whole.
//!
//! Where a queue's id is asked for here, it is that of the head, unless it is said otherwise. What
//! is done to one message, and to the log, is done to its lane.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::death::Reason;
use super::super::lanes::{ByLevel, Lanes};
use super::super::message::Message;
use super::super::queue::{Entry, Queue, QueueId};
use super::super::settings::{Overflow, Settings};
use super::Engine;
use crate::Mark;
use crate::log::{Fact, LaneFact};

impl Engine {
    /// The queue that clients see of one that may be a lane.
    pub(super) fn head(&self, id: QueueId) -> QueueId {
        let lane = self.queues.get(id).and_then(Queue::as_lane);
        lane.map_or(id, |lane| lane.head)
    }

    /// The lanes of a queue, the highest level first; of one without priorities itself.
    pub(super) fn lanes(&self, id: QueueId) -> impl Iterator<Item = QueueId> + '_ {
        let lanes = self.queues.get(id).and_then(Queue::lanes);
        lanes.into_iter().flat_map(Lanes::ids).chain(lanes.is_none().then_some(id))
    }

    fn queues_of(&self, id: QueueId) -> impl Iterator<Item = (QueueId, &Queue)> + '_ {
        self.lanes(id).filter_map(|lane| Some((lane, self.queues.get(lane)?)))
    }

    /// The sum over all lanes of what `count` says of each.
    pub(super) fn sum(&self, id: QueueId, count: impl Fn(&Queue) -> u64) -> u64 {
        match self.queues.get(id) {
            Some(queue) if queue.lanes().is_none() => count(queue),
            _ => self.queues_of(id).map(|(_, lane)| count(lane)).sum(),
        }
    }

    /// How many messages are ready.
    pub(super) fn ready_len(&self, id: QueueId) -> u64 {
        self.sum(id, |lane| lane.ready.len() as u64)
    }

    /// The lane that has the next message, if there is one.
    pub(super) fn next_lane(&self, id: QueueId) -> QueueId {
        match self.queues.get(id).and_then(Queue::lanes) {
            None => id,
            Some(_) => {
                let mut lanes = self.queues_of(id);
                lanes.find(|(_, lane)| !lane.ready.is_empty()).map_or(id, |(lane, _)| lane)
            }
        }
    }

    /// Takes note that a lane's next message has to be waited for.
    pub(super) fn note_lane_waits(&self, id: QueueId, lane: QueueId) {
        let mut others = self.queues_of(id).filter(|(other, _)| *other != lane);
        if others.any(|(_, other)| !other.ready.is_empty()) {
            self.mark(Mark::LaneWaits);
        }
    }

    /// The lane with the message that expires first, if it expires by then.
    pub(super) fn next_expiring(&self, id: QueueId, now: u64) -> Option<QueueId> {
        let lanes = self.queues_of(id);
        let timed = lanes.filter_map(|(id, lane)| Some((lane.deadlines.next()?, id)));
        // Of equals, the first counts: the highest level.
        let (deadline, lane) = timed.min_by_key(|(deadline, _)| *deadline)?;
        (deadline <= now).then_some(lane)
    }

    /// When the next message expires.
    pub(super) fn next_deadline(&self, id: QueueId) -> Option<u64> {
        self.queues_of(id).filter_map(|(_, lane)| lane.deadlines.next()).min()
    }

    /// Whether it refuses a message whose body has so many bytes, as it would have more than it
    /// may.
    pub(super) fn is_refusing(&self, id: QueueId, bytes: usize) -> bool {
        let Some(queue) = self.queues.get(id) else { return false };
        let Settings { overflow, max_length, max_bytes, .. } = *queue.settings;
        if overflow == Overflow::DropHead {
            return false;
        }
        let is_long = |max| self.ready_len(id) + queue.kept.len() as u64 >= max;
        let is_heavy = |max| {
            let bytes = self.ready_bytes(id) + queue.kept.bytes() + bytes as u64;
            self.mark_if(bytes > max, Mark::OverBytes)
        };
        max_length.is_some_and(is_long) || max_bytes.is_some_and(is_heavy)
    }

    /// Whether it refuses any message, as far as is known; asked by those who only look.
    pub(super) fn is_full(&self, id: QueueId) -> bool {
        let Some(queue) = self.queues.get(id) else { return false };
        let Settings { overflow, max_length, max_bytes, .. } = *queue.settings;
        let is_long = |max| self.ready_len(id) + queue.kept.len() as u64 >= max;
        let is_heavy = |max| self.ready_bytes(id) + queue.kept.bytes() >= max;
        overflow != Overflow::DropHead
            && (max_length.is_some_and(is_long) || max_bytes.is_some_and(is_heavy))
    }

    /// Whether it has more messages than it may, as far as is known.
    pub(super) fn is_over_limit(&self, id: QueueId) -> bool {
        self.queues.get(id).is_some_and(|queue| {
            let Settings { max_length, max_bytes, .. } = *queue.settings;
            // Who has left and is counted still might be what is too much.
            let is_sure = || self.queues_of(id).all(|(_, lane)| !lane.ready.weight.is_owed());
            let is_heavy =
                |max| self.mark_if(self.ready_bytes(id) > max && is_sure(), Mark::OverBytes);
            max_length.is_some_and(|max| self.ready_len(id) > max)
                || max_bytes.is_some_and(is_heavy)
        })
    }

    /// Counts a mark if this holds; whether it does.
    fn mark_if(&self, holds: bool, mark: Mark) -> bool {
        if holds {
            self.mark(mark);
        }
        holds
    }

    /// How many bytes the bodies of ready messages have, without the uncounted.
    fn ready_bytes(&self, id: QueueId) -> u64 {
        self.sum(id, |lane| lane.ready.weight.ready())
    }

    /// Whether somebody waits for messages of a queue, or of the queue that this is a lane of.
    pub(super) fn is_awaited(&self, id: QueueId) -> bool {
        let head = self.queues.get(self.head(id));
        head.is_some_and(|head| head.turns.next().is_some() || !head.getters.is_empty())
    }

    /// The lanes for a message of these queues, if any of them has such.
    pub(super) fn by_level(
        &mut self,
        queues: &[QueueId],
        message: &Message,
    ) -> Option<Vec<QueueId>> {
        let has_levels = |id: &QueueId| {
            let queue = self.queues.get(*id);
            queue.is_some_and(|queue| queue.settings.levels.is_some())
        };
        if !queues.iter().any(has_levels) {
            return None;
        }
        let priority = message.properties.priority()?;
        Some(queues.iter().map(|id| self.lane_for(*id, priority)).collect())
    }

    /// The lane for messages of this priority. It is made when the first one comes.
    fn lane_for(&mut self, id: QueueId, priority: u8) -> QueueId {
        let Some(head) = self.queues.get(id) else { return id };
        let Some(levels) = head.settings.levels else { return id };
        let level = priority.min(levels.max);
        if level == levels.usual {
            return id;
        }
        let known = head.lanes().and_then(|lanes| lanes.get(level));
        known.unwrap_or_else(|| self.make_lane(id, level))
    }

    fn make_lane(&mut self, id: QueueId, level: u8) -> QueueId {
        let number = self.log.number_queue();
        let head = self.queues.get(id).expect("looked up by the caller");
        let fact = LaneFact { of: head.number, level };
        let lane = Queue::lane(number, id, head, fact);
        if lane.durable {
            // In the batch of its first message, and before it.
            let fact = self.queue_fact(&lane);
            self.log.note(Fact::QueueDeclared(fact));
        }
        self.mark(Mark::LaneMade);
        self.add_lane(lane)
    }

    /// Takes in a lane, which knows its head and is as that is.
    pub(super) fn add_lane(&mut self, mut queue: Queue) -> QueueId {
        let lane = queue.as_lane().expect("a lane");
        let number = queue.number;
        if let Some(head) = self.queues.get(lane.head) {
            queue.settings = head.settings.clone();
        }
        let id = self.queues.insert(queue);
        self.numbers.insert(number, id);
        if let Some(head) = self.queues.get_mut(lane.head) {
            let (level, dead) = (head.settings.levels.map_or(0, |l| l.usual), head.dying.len());
            let first = || Box::new(ByLevel::Head(Lanes::new(level, lane.head, dead)));
            head.by_level.get_or_insert_with(first);
            head.lanes_mut().expect("a head").insert(lane.fact.level, id);
        }
        id
    }

    /// A head is gone, and its lanes go too. How many messages were ready in them.
    pub(super) fn drop_lanes(&mut self, head: QueueId, lanes: &Lanes) -> u64 {
        let mut ready = 0;
        for id in lanes.ids().filter(|id| *id != head).collect::<Vec<_>>() {
            let Some(mut lane) = self.queues.remove(id) else { continue };
            self.mark(Mark::LaneDropped);
            self.numbers.remove(&lane.number);
            self.forget_extents(&mut lane);
            ready += lane.ready.len() as u64;
        }
        ready
    }

    /// One died in a lane: it is buried after all who died before it in any lane.
    pub(super) fn mourn(&mut self, lane: QueueId, entry: Entry, reason: Reason) {
        self.note_dead(self.head(lane), lane);
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.dying.push(entry, reason);
        }
    }

    /// One more is to be buried, of a lane of this queue.
    pub(super) fn note_dead(&mut self, id: QueueId, lane: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let is_first = match queue.lanes_mut() {
            None => queue.dying.is_empty(),
            Some(lanes) => {
                let is_first = lanes.has_no_dead();
                lanes.push_dead(lane);
                is_first
            }
        };
        if is_first {
            self.mourning.push_back(id);
        }
    }

    /// The lane of who died first and is not buried, if there is anybody.
    pub(super) fn first_dead(&self, id: QueueId) -> Option<QueueId> {
        let queue = self.queues.get(id)?;
        match queue.lanes() {
            None => (!queue.dying.is_empty()).then_some(id),
            Some(lanes) => lanes.first_dead(),
        }
    }

    /// Takes who died first, and the lane, if the message is at hand.
    pub(super) fn take_dead(&mut self, id: QueueId) -> Option<(QueueId, Entry, Reason)> {
        let lane = self.first_dead(id)?;
        let (entry, reason) = self.queues.get_mut(lane)?.dying.take()?;
        let lanes = self.queues.get_mut(id).and_then(Queue::lanes_mut);
        lanes.into_iter().for_each(|lanes| lanes.pop_dead());
        Some((lane, entry, reason))
    }
}
