//! Direct replies that come late.
//!
//! A direct reply goes at once, or not at all. But where answers that rest on the disk are due on
//! its consumer's channel, it stands behind these, and comes when they have been given: even if its
//! consumer, or its channel, has ended meanwhile, as that is answered behind it. What comes late is
//! no longer in the consumer's queue.

use std::collections::BTreeSet;

use super::{Channel, ChannelKey, Connection, Copy, Expected, Fate, Model, QueueId, Stage};
use crate::wire::Method;

/// What an answer takes beside the body that it may have, in bytes, at the most.
const ANSWER_LEN: usize = 1024;

/// A direct reply that stands behind answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateReply {
    /// The message.
    pub copy: Copy,
    /// The queue that stands for its consumer, alive or not.
    pub queue: QueueId,
    /// The consumer's own number.
    pub consumer: usize,
    /// The consumer's tag.
    pub tag: String,
    /// Whether the broker may have dropped it, as something waited for its client.
    pub may_be_dropped: bool,
    /// Whether it was made in the batch of inputs that is being looked at.
    is_new: bool,
}

impl Model {
    /// The connections for which something waits; none while nobody ever asked for direct
    /// replies, as it matters to these alone.
    #[must_use]
    pub fn busy_links(&self) -> BTreeSet<usize> {
        if !self.has_direct_replies {
            return BTreeSet::new();
        }
        let busy = self.living().filter(|(_, connection)| connection.has_backlog);
        busy.map(|(link, _)| link).collect()
    }

    /// A batch of inputs is worked off. Direct replies that did not go come late, if answers are
    /// due before them. Of the others, those are dropped for whose client something waited, before
    /// (`busy`) or now; with nothing in their way they must go.
    ///
    /// # Errors
    /// Names a message that should have come, as no answer is due any more that it stood behind.
    pub fn end_batch(&mut self, busy: &BTreeSet<usize>) -> Result<(), String> {
        if !self.has_direct_replies {
            return Ok(());
        }
        let hidden = self.queues.values().filter(|queue| queue.is_hidden);
        for id in hidden.map(|queue| queue.id).collect::<Vec<_>>() {
            self.delay_replies(id);
            let queue = &self.queues[&id];
            let consumer = queue.consumers.first().and_then(|id| self.consumers.get(id));
            let Some(link) = consumer.map(|consumer| consumer.channel.0) else { continue };
            if self.connections[&link].has_backlog || busy.contains(&link) {
                let ready = std::mem::take(&mut self.queues.get_mut(&id).expect("found").ready);
                for copy in ready {
                    self.messages[copy.message].fates.insert(id, Fate::Dropped);
                }
            }
        }
        if !std::mem::take(&mut self.has_late_replies) {
            return Ok(());
        }
        for link in self.living.iter().copied().collect::<Vec<_>>() {
            self.end_batch_of(link, busy.contains(&link))?;
        }
        let has_late = |(_, connection): (usize, &Connection)| {
            connection.channels.values().any(Channel::has_late)
        };
        let is_any_late = self.living().any(has_late);
        self.has_late_replies = is_any_late;
        Ok(())
    }

    fn end_batch_of(&mut self, link: usize, was_busy: bool) -> Result<(), String> {
        let may_be_dropped = was_busy || self.may_be_overfull(link);
        let connection = self.connection_mut(link);
        let channels = connection.channels.values_mut();
        let late = channels.flat_map(|channel| {
            channel.ended.iter_mut().flat_map(|ended| &mut ended.late).chain(&mut channel.late)
        });
        for late in late {
            late.may_be_dropped |= std::mem::take(&mut late.is_new) && may_be_dropped;
        }
        let mut replies = connection.channels.values().map(|channel| &channel.replies);
        let is_owed = !connection.replies.is_empty() || replies.any(|replies| !replies.is_empty());
        if is_owed || connection.stage == Stage::Gone {
            return Ok(());
        }
        for number in connection.channels.keys().copied().collect::<Vec<_>>() {
            let channel = self.channel_mut((link, number));
            let ended = channel.ended.iter_mut().flat_map(|ended| ended.late.drain(..));
            let late: Vec<_> = ended.chain(channel.late.drain(..)).collect();
            self.check_dropped(&late)?;
            self.drop_late(&late);
        }
        Ok(())
    }

    /// Whether so much may wait for a client that direct replies for it are dropped: for its
    /// socket, or answers for the disk.
    fn may_be_overfull(&self, link: usize) -> bool {
        let connection = &self.connections[&link];
        let owed = connection.channels.values().map(|channel| channel.replies.len()).sum::<usize>();
        let most = owed * (ANSWER_LEN + self.largest_body);
        connection.has_backlog || most > 2 * self.setup.egress_len_max
    }

    /// The direct replies that wait for this consumer come late, if answers are due before them.
    pub(super) fn delay_replies(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get(&id).filter(|queue| queue.is_hidden) else { return };
        let consumer = queue.consumers.first().and_then(|id| self.consumers.get(id));
        let Some(consumer) = consumer.filter(|_| !queue.ready.is_empty()).cloned() else { return };
        let may_be_dropped = self.may_be_overfull(consumer.channel.0);
        if self.channel_mut(consumer.channel).replies.is_empty() {
            return;
        }
        let queue = self.queues.get_mut(&id).expect("found above");
        for copy in std::mem::take(&mut queue.ready) {
            self.has_late_replies = true;
            self.messages[copy.message].fates.insert(id, Fate::Held);
            let (consumer_id, tag) = (consumer.id, consumer.tag.clone());
            self.channel_mut(consumer.channel).late.push_back(LateReply {
                copy,
                queue: id,
                consumer: consumer_id,
                tag,
                may_be_dropped,
                is_new: true,
            });
        }
    }

    /// A commit fails, and its channel ends by that: of these messages, which it published, those
    /// that are direct replies for the channel itself go nowhere.
    pub(super) fn drop_replies(&mut self, key: ChannelKey, published: &[usize]) {
        let consumers: Vec<usize> = self.channel_mut(key).consumers.values().copied().collect();
        let queues = consumers.iter().map(|consumer| self.consumers[consumer].queue);
        for id in queues.collect::<Vec<_>>() {
            let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.is_hidden) else {
                continue;
            };
            let is_new = |copy: &Copy| published.contains(&copy.message);
            let ready = std::mem::take(&mut queue.ready);
            let (new, old): (Vec<Copy>, _) = ready.into_iter().partition(is_new);
            queue.ready = old;
            for copy in new {
                self.messages[copy.message].fates.insert(id, Fate::Dropped);
            }
        }
    }

    /// The late reply that this message is, if it is one that the channel can be given next.
    #[must_use]
    pub fn late_reply(&self, key: ChannelKey, message: usize) -> Option<&LateReply> {
        let channel = self.channel(key)?;
        let late = channel.ended.front().map_or(&channel.late, |ended| &ended.late);
        late.iter().find(|late| late.copy.message == message)
    }

    /// The broker gave this late reply to its client, under this tag.
    ///
    /// # Errors
    /// Names a message that should have come before it.
    pub fn deliver_late(
        &mut self,
        key: ChannelKey,
        late: &LateReply,
        tag: u64,
    ) -> Result<(), String> {
        let (all, _) = self.channel_mut(key).late_mut();
        let passed: Vec<_> = all.iter().take_while(|other| *other != late).cloned().collect();
        self.check_dropped(&passed)?;
        self.drop_late(&passed);
        let (all, tag_last) = self.channel_mut(key).late_mut();
        all.drain(..=passed.len());
        *tag_last = tag;
        self.messages[late.copy.message].fates.insert(late.queue, Fate::Acked);
        Ok(())
    }

    /// The client is told this. With the end of a consumer, or of a channel, nothing more comes for
    /// who is gone.
    ///
    /// # Errors
    /// Names a message that should have come before.
    pub fn end_late(&mut self, key: ChannelKey, told: &Method) -> Result<(), String> {
        let ends_channel = matches!(told.name(), "channel.close" | "channel.close-ok");
        if !ends_channel && told.name() != "basic.cancel-ok" {
            return Ok(());
        }
        let channel = self.channel_mut(key);
        if ends_channel && channel.ended.is_empty() {
            return Ok(());
        }
        let (late, _) = channel.late_mut();
        let is_over = |late: &LateReply| ends_channel || late.tag == told.text("consumer-tag");
        let over: Vec<_> = late.iter().filter(|late| is_over(late)).cloned().collect();
        late.retain(|late| !is_over(late) || !late.may_be_dropped);
        self.check_dropped(&over)?;
        self.drop_late(&over);
        if ends_channel {
            self.channel_mut(key).ended.pop_front();
        }
        Ok(())
    }

    fn check_dropped(&self, late: &[LateReply]) -> Result<(), String> {
        match late.iter().find(|late| !late.may_be_dropped) {
            Some(late) => Err(self.messages[late.copy.message].name.to_string()),
            None => Ok(()),
        }
    }

    fn drop_late(&mut self, late: &[LateReply]) {
        for late in late {
            self.messages[late.copy.message].fates.insert(late.queue, Fate::Dropped);
        }
    }
}

/// Whether a life of a channel ends with this answer.
pub(super) fn ends_channel(due: &Expected) -> bool {
    matches!(due, Expected::Method("channel.close-ok") | Expected::Close { .. })
}
