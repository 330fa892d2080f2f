//! Deliveries and returns: each is shown to every checker that has a say, and the model is told
//! what the broker chose when all agree.

use super::Judge;
use crate::checkers::{
    Failure, ack_final, fairness, liveness, no_phantom, order, pausing, redelivered, single_active,
    tags_and_prefetch, topology, tx,
};
use crate::model::{ChannelKey, Consumer, Copy, Expected, LateReply, Message, QueueId, local};
use crate::wire::{Argument, Method, Properties};

/// A delivery as the client sees it.
struct Delivered<'a> {
    key: ChannelKey,
    queue: QueueId,
    method: &'a Method,
    properties: &'a Properties,
    body: &'a [u8],
}

/// The `message-id` of a message that can only be known by what is due: its body is too short to
/// tell, and its client gave it no name.
pub(crate) const UNNAMED: &str = "?";

impl Judge {
    pub(super) fn hear_content(
        &mut self,
        key: ChannelKey,
        method: &Method,
        properties: &Properties,
        body: &[u8],
    ) -> Result<(), Failure> {
        if properties.text("message-id") != Some(UNNAMED) {
            return self.hear_named(key, method, properties, body);
        }
        let mut named = properties.clone();
        if let Some(index) = self.message_due(key, method, body) {
            let name = self.model.messages[index].name.clone();
            named.set("message-id", Argument::Text(name));
        }
        self.hear_named(key, method, &named, body)
    }

    /// The message that has this body and can come next.
    fn message_due(&self, key: ChannelKey, method: &Method, body: &[u8]) -> Option<usize> {
        let channel = self.model.channel(key)?;
        match (method.name(), channel.replies.front()) {
            ("basic.return", Some(Expected::Return(index))) => return Some(*index),
            ("basic.get-ok", Some(Expected::Get { taken: Some((copy, _)), .. })) => {
                return Some(copy.message);
            }
            ("basic.deliver", _) => {}
            _ => return None,
        }
        let consumer = channel.consumers.get(method.text("consumer-tag"));
        let queue = consumer.map(|id| self.model.consumers[id].queue);
        let ready = queue.and_then(|id| self.model.queues.get(&id)).map(|queue| &queue.ready);
        let late = channel.late.iter().map(|late| late.copy.message);
        let mut candidates = late.chain(ready.into_iter().flatten().map(|copy| copy.message));
        candidates.find(|index| {
            let message = &self.model.messages[*index];
            message.body == body
                && local(&message.exchange) == method.text("exchange")
                && message.key == method.text("routing-key")
        })
    }

    fn hear_named(
        &mut self,
        key: ChannelKey,
        method: &Method,
        properties: &Properties,
        body: &[u8],
    ) -> Result<(), Failure> {
        let fail = |text: String| Err(Failure::new("protocol", text));
        let Some(channel) = self.model.channel(key) else {
            return fail(format!("{method:?} on a channel that is not open"));
        };
        let due = channel.replies.front();
        match (method.name(), due) {
            ("basic.return", Some(Expected::Return(index))) => {
                self.hear_return(key, *index, method, properties, body)
            }
            ("basic.get-ok", Some(Expected::Get { queue, taken: Some(taken), left })) => {
                let (queue, taken, left) = (*queue, *taken, *left);
                let delivered = Delivered { key, queue, method, properties, body };
                self.hear_get(&delivered, taken, left)
            }
            ("basic.deliver", _) => {
                let tag = method.text("consumer-tag");
                if let Some(late) = self.late_reply(key, properties) {
                    let queue = late.queue;
                    let delivered = Delivered { key, queue, method, properties, body };
                    return self.hear_late_reply(&delivered, &late);
                }
                let Some(consumer) = channel.consumers.get(tag).copied() else {
                    return fail(format!("a delivery for {tag}, which does not consume"));
                };
                self.check_told(key, consumer, tag)?;
                let queue = self.model.consumers[&consumer].queue;
                let delivered = Delivered { key, queue, method, properties, body };
                self.hear_delivery(&delivered, consumer)
            }
            _ => fail(format!("{method:?} where {due:?} is due")),
        }
    }

    /// The answer to a `basic.get`, which took the head of the queue when it was handled.
    fn hear_get(
        &mut self,
        delivered: &Delivered<'_>,
        taken: (Copy, u64),
        left: u64,
    ) -> Result<(), Failure> {
        let Delivered { key, queue, method, .. } = delivered;
        let (copy, tag) = taken;
        let message = self.published(delivered, Some(copy))?;
        let index = message.index;
        if index != copy.message {
            let due = &self.model.messages[copy.message].name;
            let name = self.model.queues.get(queue).map_or("a queue", |queue| &queue.name);
            return order::check_head(name, &message.name, due);
        }
        redelivered::check(&message.name, &copy, method.bit("redelivered"))?;
        tags_and_prefetch::check_tag(tag - 1, method.number("delivery-tag"))?;
        if method.number("message-count") != left {
            let text = format!("{method:?} where {left} stay ready");
            return Err(Failure::about(&message.name, "conservation", text));
        }
        let reply = self.check_reply_address(message.reply_consumer, delivered.properties)?;
        self.model.reply_addresses.extend(reply);
        self.model.channel_mut(*key).replies.pop_front();
        Ok(())
    }

    /// A consumer gets nothing before it knows that it is one.
    fn check_told(&self, key: ChannelKey, consumer: usize, tag: &str) -> Result<(), Failure> {
        let mut replies = self.model.channel(key).into_iter().flat_map(|channel| &channel.replies);
        match replies.any(|due| *due == Expected::ConsumeOk { consumer }) {
            true => {
                let text = format!("a delivery for {tag} before its consume-ok");
                Err(Failure::new("protocol", text))
            }
            false => Ok(()),
        }
    }

    /// The direct reply with these properties, if it is one that stood behind answers.
    fn late_reply(&self, key: ChannelKey, properties: &Properties) -> Option<LateReply> {
        if !self.model.channel(key)?.has_late() {
            return None;
        }
        let message = self.model.names.get(properties.text("message-id")?)?;
        self.model.late_reply(key, *message).cloned()
    }

    fn hear_late_reply(
        &mut self,
        delivered: &Delivered<'_>,
        late: &LateReply,
    ) -> Result<(), Failure> {
        let Delivered { key, method, properties, .. } = delivered;
        let message = self.published(delivered, Some(late.copy))?;
        self.check_told(*key, late.consumer, &late.tag)?;
        if method.text("consumer-tag") != late.tag {
            let text = format!("{method:?} is for {}", late.tag);
            return Err(Failure::about(&message.name, "no-phantom", text));
        }
        redelivered::check(&message.name, &late.copy, method.bit("redelivered"))?;
        let reply = self.check_reply_address(message.reply_consumer, properties)?;
        let channel = self.model.channel(*key).expect("the channel of a delivery");
        let (tag, last) = (method.number("delivery-tag"), channel.tag_last_seen());
        let before = channel.tag_before_gets(tag);
        tags_and_prefetch::check_tag(before.unwrap_or(last), tag)?;
        self.model.reply_addresses.extend(reply);
        liveness::check_direct_reply(self.model.deliver_late(*key, late, tag))?;
        if before.is_some() {
            self.model.channel_mut(*key).shift_gets(tag, last);
        }
        Ok(())
    }

    /// The message that was delivered, as it was published. Of those that were replayed, or are
    /// dead letters, there are several: it is the one that is due, the first that waits in the
    /// queue, or else the last that ever was there.
    fn published(&self, delivered: &Delivered<'_>, due: Option<Copy>) -> Result<&Message, Failure> {
        let Delivered { queue: id, method, properties, body, .. } = delivered;
        let name = properties.text("message-id");
        let first = name.and_then(|name| self.model.names.get(name)).copied();
        let replays = first.and_then(|first| self.model.replays.get(&first));
        let queue = self.model.queues.get(id);
        let ready = || queue.into_iter().flat_map(|queue| &queue.ready);
        let published = first.map(|first| {
            let Some(replays) = replays else { return first };
            let all = || std::iter::once(first).chain(replays.iter().copied());
            let mut ready = ready().map(|copy| copy.message);
            let was_there = |index: &usize| self.model.messages[*index].fates.get(*id).is_some();
            due.map(|due| due.message)
                .filter(|due| all().any(|index| index == *due))
                .or_else(|| ready.find(|message| all().any(|index| index == *message)))
                .or_else(|| all().rfind(was_there))
                .unwrap_or(first)
        });
        let find = || ready().copied().find(|copy| Some(copy.message) == published);
        let copy = due.or_else(find).filter(|copy| copy.tells_returns && copy.returns > 0);
        let returns = copy.map(|copy| copy.returns);
        no_phantom::check(
            published.map(|index| &self.model.messages[index]),
            method.text("exchange"),
            method.text("routing-key"),
            properties,
            body,
            returns,
        )
    }

    fn hear_return(
        &mut self,
        key: ChannelKey,
        index: usize,
        method: &Method,
        properties: &Properties,
        body: &[u8],
    ) -> Result<(), Failure> {
        let message = &self.model.messages[index];
        let (exchange, routing_key) = (method.text("exchange"), method.text("routing-key"));
        let same = Some(message);
        no_phantom::check(same, exchange, routing_key, properties, body, None)?;
        if (method.number("reply-code"), method.text("reply-text")) != (312, "NO_ROUTE") {
            let text = format!("{method:?}: a return is 312 NO_ROUTE");
            return Err(Failure::about(&message.name, "protocol", text));
        }
        let sequence = message.sequence;
        let channel = self.model.channel_mut(key);
        if let (Some(confirms), Some(sequence)) = (channel.confirms(), sequence) {
            confirms.returned(sequence);
        }
        channel.replies.pop_front();
        Ok(())
    }

    fn hear_delivery(&mut self, delivered: &Delivered<'_>, consumer: usize) -> Result<(), Failure> {
        let Delivered { key, queue: id, method, properties, .. } = delivered;
        let model = &self.model;
        let consumer = &model.consumers[&consumer];
        let Some(queue) = model.queues.get(id) else {
            let text = format!("{method:?} from a queue that is gone");
            return Err(Failure::new("topology", text));
        };
        let message = self.published(delivered, None)?;
        let fate = message.fates.get(*id);
        topology::check_route(&message.name, &queue.name, fate)?;
        tx::check(&message.name, fate)?;
        if queue.is_recovered {
            ack_final::check(&message.name, &queue.name, fate)?;
        }
        no_phantom::check_fate(&message.name, &queue.name, fate)?;
        pausing::check(&message.name, &queue.name, queue.is_paused)?;
        let at = queue.ready.iter().position(|copy| copy.message == message.index);
        let at = at.expect("a message whose fate is to be ready is among the ready");
        order::check(&queue.name, &queue.ready, at, |index| {
            model.messages[index].name.to_string()
        })?;
        redelivered::check(&message.name, &queue.ready[at], method.bit("redelivered"))?;
        let channel = model.channel(*key).expect("the channel of a delivery");
        let tag = method.number("delivery-tag");
        let before = channel.tag_before_gets(tag).filter(|_| queue.is_hidden);
        tags_and_prefetch::check_tag(before.unwrap_or(channel.tag_last), tag)?;
        // What it holds is only counted when it must not be given any more.
        if !consumer.no_ack && !model.has_credit(consumer) {
            let held = (channel.held_by(consumer.id), consumer.prefetch);
            let held_all = (channel.held_by_consumers(), channel.prefetch_of_channel);
            tags_and_prefetch::check_prefetch(&consumer.tag, held, held_all)?;
        }
        let active = model.served_instead(consumer);
        single_active::check_served(&queue.name, &consumer.tag, active.as_ref())?;
        let reply = self.check_reply_address(message.reply_consumer, properties)?;
        let rivals = self.check_fairness(consumer, *id)?;

        let last = channel.tag_last;
        let (consumer, no_ack) = (consumer.id, consumer.no_ack);
        self.model.reply_addresses.extend(reply);
        self.model.deliver(*key, *id, at, tag, Some(consumer), no_ack);
        if before.is_some() {
            self.model.channel_mut(*key).shift_gets(tag, last);
        }
        self.note_turn(consumer, *id, &rivals);
        Ok(())
    }

    /// A consumer had its turn, and these rivals did not. Who could not be sent to may have been
    /// passed over rightly, and then stands behind all others.
    fn note_turn(&mut self, consumer: usize, queue: QueueId, rivals: &[usize]) {
        let Some(queue) = self.model.queues.get(&queue) else { return };
        for id in queue.consumers.clone() {
            let is_free = self.model.is_link_free(&self.model.consumers[&id]);
            let other = self.model.consumers.get_mut(&id).expect("a queue's consumer");
            if rivals.contains(&id) {
                other.passed_over += 1;
            } else if id == consumer || !is_free {
                other.passed_over = 0;
            }
        }
    }

    /// The address that the broker put in place of the general one for direct replies, if the
    /// message asked for it.
    fn check_reply_address(
        &self,
        consumer: Option<usize>,
        properties: &Properties,
    ) -> Result<Option<(String, usize)>, Failure> {
        let Some(consumer) = consumer else { return Ok(None) };
        let address = properties.text("reply-to").unwrap_or("");
        let known = self.model.reply_addresses.get(address);
        let is_fresh = known.is_none() && address.starts_with("amq.rabbitmq.reply-to.");
        if is_fresh || known == Some(&consumer) {
            return Ok(Some((address.to_owned(), consumer)));
        }
        Err(Failure::new("no-phantom", format!("the reply address '{address}' is another's")))
    }

    /// Checks whose turn it was; gives those of the same rank who could have taken the message.
    fn check_fairness(&self, consumer: &Consumer, queue: QueueId) -> Result<Vec<usize>, Failure> {
        let others = self.model.queues[&queue].consumers.iter().map(|id| &self.model.consumers[id]);
        let rivals: Vec<&Consumer> = others
            .filter(|other| other.id != consumer.id)
            .filter(|other| self.model.can_be_served(other))
            .collect();
        let seen = |rival: &&Consumer| fairness::Rival {
            tag: rival.tag.clone(),
            place: self.who(rival.channel.0, rival.channel.1),
            priority: rival.priority,
            passed_over: rival.passed_over,
        };
        let seen: Vec<_> = rivals.iter().map(seen).collect();
        let others = self.model.queues[&queue].consumers.len() - 1;
        fairness::check(consumer.priority, &consumer.tag, &seen, others)?;
        let equals = rivals.into_iter().filter(|rival| rival.priority == consumer.priority);
        Ok(equals.map(|rival| rival.id).collect())
    }
}
