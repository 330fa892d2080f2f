//! Who is served in a queue that serves one consumer at a time.

use super::super::consumer::{Consumer, ConsumerId};
use super::super::queue::QueueId;
use super::super::single_active::Change;
use super::super::turns::Turns;
use super::Engine;
use crate::Mark;

impl Engine {
    /// A consumer has come to a queue.
    pub(super) fn join_queue(&mut self, queue: QueueId, id: ConsumerId) {
        let single = self.queues.get_mut(queue).and_then(|queue| queue.single_active.as_mut());
        let (Some(single), Some(consumer)) = (single, self.consumers.get_mut(id)) else { return };
        if single.active().is_some() {
            self.log.marks.reach(Mark::SingleActiveWaits);
        }
        single.join(id, consumer);
        self.elect(queue);
    }

    /// A consumer has gone from its queue. What it gives back comes before what is behind it, as
    /// everything has its place.
    pub(super) fn leave_queue(&mut self, id: ConsumerId, consumer: &Consumer) {
        let queue = self.queues.get_mut(consumer.queue);
        let Some(single) = queue.and_then(|queue| queue.single_active.as_mut()) else { return };
        if single.active() == Some(id) && single.has_waiting() {
            self.log.marks.reach(Mark::SingleActiveGone);
        }
        single.leave(id, consumer);
        self.elect(consumer.queue);
    }

    /// Finds out who is to be served in a queue that serves one consumer at a time, and gives it a
    /// turn. Does nothing in others.
    pub(super) fn elect(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Some(single) = &mut queue.single_active else { return };
        let before = single.active();
        let change = single.elect(&mut self.consumers);
        let active = single.active();
        if matches!(change, Change::Drains | Change::SteppedBack) {
            self.log.marks.reach(match change {
                Change::Drains => Mark::SingleActiveDrains,
                _ => Mark::SingleActiveStepsBack,
            });
            // Nobody else has one here.
            queue.turns = Turns::default();
            if let Some(consumer) = before.and_then(|id| self.consumers.get_mut(id)) {
                consumer.has_turn = false;
            }
        }
        if let Some(active) = active {
            self.give_turn(active);
        }
    }
}
