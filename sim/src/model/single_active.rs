//! Queues that serve one consumer at a time.

use super::{Consumer, Model, Queue, QueueId};

impl Model {
    /// Finds out who is to be served in a queue that serves one consumer at a time: the first that
    /// came, then who is of the highest priority and has waited longest. In a quorum queue one of
    /// higher priority takes over when the other holds nothing.
    pub(super) fn elect(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get(&id).filter(|queue| queue.is_single_active()) else {
            return;
        };
        let (active, next) = (queue.active, self.next_active(queue));
        let steps_back = active.is_some_and(|active| {
            let consumer = &self.consumers[&active];
            self.is_outranked(queue, consumer) && self.held(consumer) == 0
        });
        let queue = self.queues.get_mut(&id).expect("found above");
        if let Some(active) = active.filter(|_| steps_back) {
            queue.consumers.retain(|other| *other != active);
            queue.consumers.push(active);
        }
        if active.is_none() || steps_back {
            queue.active = next;
        }
    }

    /// Whether the consumer's queue may give it messages now.
    #[must_use]
    pub fn is_served(&self, consumer: &Consumer) -> bool {
        let Some(queue) = self.queues.get(&consumer.queue) else { return false };
        let is_active = || queue.active == Some(consumer.id) && !self.is_outranked(queue, consumer);
        !queue.is_single_active() || is_active()
    }

    /// Who is active in the queue of a consumer that it must not serve: its tag, and whether it
    /// waits for it to hold nothing any more.
    #[must_use]
    pub fn served_instead(&self, consumer: &Consumer) -> Option<(String, bool)> {
        let queue = self.queues.get(&consumer.queue).filter(|_| !self.is_served(consumer))?;
        let active = &self.consumers[&queue.active.expect("one of those that are there")];
        Some((active.tag.clone(), self.is_outranked(queue, active)))
    }

    /// Who of those that wait is next.
    fn next_active(&self, queue: &Queue) -> Option<usize> {
        let mut waiting = queue.consumers.iter().filter(|id| queue.active != Some(**id));
        let first = *waiting.next()?;
        let priority = |id: usize| self.consumers[&id].priority;
        let longest = |a, b| if priority(b) > priority(a) { b } else { a };
        Some(waiting.copied().fold(first, longest))
    }

    /// Whether the active consumer is to make room for one that waits.
    fn is_outranked(&self, queue: &Queue, active: &Consumer) -> bool {
        let next = self.next_active(queue).filter(|_| queue.is_quorum());
        next.is_some_and(|next| self.consumers[&next].priority > active.priority)
    }

    fn held(&self, consumer: &Consumer) -> usize {
        self.channel(consumer.channel).map_or(0, |channel| channel.held_by(consumer.id))
    }
}
