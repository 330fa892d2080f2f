//! `basic.*`, confirms and transactions.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::channel::{Partial, Settle};
use super::message::further_keys;
use super::names::resource;
use super::routing::{Look, Route};
use super::timeouts::integer;
use super::{
    Cause, ChannelKey, Consumer, Copy, Expected, Fate, Fates, Message, Mode, Model, Promise, Queue,
    QueueId, Refusal, Together, Unacked,
};
use crate::checkers::confirms::Confirms;
use crate::wire::Method;

/// The name by which direct replies are asked for and consumed.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

impl Model {
    pub(super) fn publish(&mut self, key: ChannelKey, content: Partial) -> Result<(), Refusal> {
        let Partial { method, header, body } = content;
        let (_, properties) = header.expect("a content with its header");
        let exchange = method.text("exchange");
        if method.bit("immediate") {
            return Err(Refusal::hard_any_text(&[540]));
        }
        self.check_publish(key.0, exchange)?;
        match self.exchanges.get(exchange) {
            None if !exchange.is_empty() => {
                let text = format!("no {}", resource("exchange", exchange));
                return Err(Refusal::soft(404, text));
            }
            Some(found) if found.is_internal => {
                let exchange = resource("internal exchange", exchange);
                let text = format!("cannot publish to {exchange}");
                return Err(Refusal::soft(403, text));
            }
            _ => {}
        }
        let mut keys = vec![method.text("routing-key")];
        keys.extend(further_keys(&properties));
        self.check_published(key.0, exchange, &keys)?;
        if let Some(user) = properties.text("user-id") {
            self.check_user_id(key.0, user)?;
        }
        super::delays::check(&properties)?;
        let mut reply_consumer = None;
        if properties.text("reply-to") == Some(REPLY_TO) {
            reply_consumer = self.reply_consumer(key);
            if reply_consumer.is_none() {
                return Err(Refusal::soft(406, "fast reply consumer does not exist"));
            }
        }
        let index = self.messages.len();
        let name = SmolStr::new(properties.text("message-id").unwrap_or(""));
        self.note_name(&name, index);
        self.largest_body = self.largest_body.max(body.len());
        let message = Message {
            index,
            vhost: SmolStr::new(&self.connections[&key.0].vhost),
            name,
            exchange: exchange.into(),
            key: method.text("routing-key").into(),
            properties,
            body,
            is_mandatory: method.bit("mandatory"),
            channel: key,
            sequence: None,
            reply_consumer,
            batch: self.history.batch,
            histories: Vec::new(),
            deaths: Vec::new(),
            firsts: Vec::new(),
            fates: Fates::default(),
        };
        self.take_in(key, message);
        Ok(())
    }

    /// The consumer of direct replies on this channel.
    fn reply_consumer(&self, key: ChannelKey) -> Option<usize> {
        let consumers = self.channel(key)?.consumers.values();
        consumers.copied().find(|consumer| {
            self.consumers.get(consumer).is_some_and(|c| self.queues[&c.queue].is_hidden)
        })
    }

    fn take_in(&mut self, key: ChannelKey, message: Message) {
        let Route { queues, histories } = match message.delay() {
            Some(_) => {
                Route { queues: [self.make_store(&message.vhost)].into(), histories: Vec::new() }
            }
            None => self.route(&message.exchange, &Look::new(&message), None),
        };
        let index = message.index;
        let is_mandatory = message.is_mandatory;
        self.messages.push(Message { histories, ..message });
        self.note_copy(key, index, &queues);
        let is_known = self.known_at_exchange(index, &queues).is_some();
        let is_returned = is_mandatory && queues.is_empty() && !is_known;
        match &mut self.channel_mut(key).mode {
            Mode::Tx { publishes, .. } => {
                publishes.push((index, queues.clone()));
                for queue in queues {
                    self.messages[index].fates.insert(queue, Fate::Uncommitted);
                }
                return;
            }
            Mode::Confirm(confirms) => {
                let sequence = confirms.publish(index, is_returned);
                self.messages[index].sequence = Some(sequence);
            }
            Mode::Plain => {}
        }
        let is_refused = self.deliver_to(key, index, &queues);
        let sequence = self.messages[index].sequence;
        if let (true, Mode::Confirm(confirms), Some(sequence)) =
            (is_refused, &mut self.channel_mut(key).mode, sequence)
        {
            confirms.refuse(sequence);
        }
    }

    /// Puts a message into queues, or has it returned, unless its exchange knows it. Whether a
    /// queue refused it.
    fn deliver_to(&mut self, key: ChannelKey, index: usize, queues: &BTreeSet<QueueId>) -> bool {
        if let Some(first) = self.known_at_exchange(index, queues) {
            self.take_for_duplicate(index, first, None);
            let queues = queues.iter().filter(|id| self.queues.contains_key(id));
            queues.for_each(|id| self.messages[index].fates.insert(*id, Fate::Duplicate));
            return false;
        }
        let histories = self.messages[index].histories.clone();
        self.remember(index, &histories);
        let is_routed = queues.iter().any(|id| self.queues.contains_key(id));
        if !is_routed && self.messages[index].is_mandatory {
            self.reply(key, Expected::Return(index));
        }
        let outcome = self.enqueue(index, queues);
        self.see_at_exchange(index, outcome);
        outcome.is_refused
    }

    pub(super) fn forget_publishes(&mut self, publishes: &[(usize, BTreeSet<QueueId>)]) {
        for (message, queues) in publishes {
            for queue in queues {
                self.messages[*message].fates.insert(*queue, Fate::RolledBack);
            }
        }
    }

    pub(super) fn qos(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        if method.number("prefetch-size") != 0 {
            return Err(Refusal::hard_any_text(&[540]));
        }
        let channel = self.channel_mut(key);
        let count = method.number("prefetch-count");
        if method.bit("global") {
            channel.prefetch_of_channel = count;
        } else {
            channel.prefetch = count;
        }
        channel.replies.push_back(Expected::Method("basic.qos-ok"));
        Ok(())
    }

    pub(super) fn consume(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let tag = method.text("consumer-tag");
        let name = method.text("queue");
        if name == REPLY_TO {
            return self.consume_replies(key, method);
        }
        let channel = self.channel_mut(key);
        if !tag.is_empty() && channel.consumers.contains_key(tag) {
            return Err(Refusal::hard(530, format!("attempt to reuse consumer tag '{tag}'")));
        }
        let queue = self.find_queue(key, name)?;
        let is_exclusive = method.bit("exclusive");
        let mut others = self.queues[&queue].consumers.iter();
        let is_shared = others.len() > 0 || self.queues[&queue].is_single_active();
        let is_taken = is_exclusive && is_shared;
        if is_taken || others.any(|other| self.consumers[other].is_exclusive) {
            let name = &self.queues[&queue].name;
            return Err(Refusal::soft(
                403,
                format!("{} in exclusive use", resource("queue", name)),
            ));
        }
        self.add_consumer(key, method, queue);
        Ok(())
    }

    fn consume_replies(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        if self.reply_consumer(key).is_some() {
            return Err(Refusal::soft(406, "reply consumer already set"));
        }
        if !method.bit("no-ack") {
            return Err(Refusal::soft(406, "reply consumer cannot acknowledge"));
        }
        let id = QueueId(self.next_number());
        let mut queue = Queue::new(id, format!("replies to c{}/{}", key.0, key.1));
        queue.is_hidden = true;
        self.has_direct_replies = true;
        queue.is_auto_delete = true;
        self.queues.insert(id, queue);
        self.add_consumer(key, method, id);
        Ok(())
    }

    fn add_consumer(&mut self, key: ChannelKey, method: &Method, queue: QueueId) {
        let id = self.next_number();
        let tag = method.text("consumer-tag");
        let arguments = method.table("arguments");
        let consumer = Consumer {
            id,
            tag: if tag.is_empty() { format!("?{id}") } else { tag.to_owned() },
            channel: key,
            queue,
            no_ack: method.bit("no-ack"),
            is_exclusive: method.bit("exclusive"),
            priority: integer(arguments, "x-priority").unwrap_or(0),
            timeout_ms: integer(arguments, "x-consumer-timeout"),
            prefetch: self.channel_mut(key).prefetch,
            passed_over: 0,
        };
        self.channel_mut(key).consumers.insert(consumer.tag.clone(), id);
        self.consumers.insert(id, consumer);
        let queue = self.queues.get_mut(&queue).expect("the queue that is consumed");
        queue.consumers.push(id);
        let queue = queue.id;
        self.touched = Some(queue);
        self.elect(queue);
        if !method.bit("nowait") {
            self.reply(key, Expected::ConsumeOk { consumer: id });
        }
    }

    pub(super) fn cancel(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let tag = method.text("consumer-tag").to_owned();
        if let Some(consumer) = self.channel_mut(key).consumers.remove(&tag) {
            self.delay_replies(self.consumers[&consumer].queue);
            self.remove_consumer(consumer);
        }
        if !method.bit("nowait") {
            self.reply(key, Expected::CancelOk(tag));
        }
        Ok(())
    }

    /// A consumer goes, and its queue with it if it was the last of an auto-delete queue.
    pub(super) fn remove_consumer(&mut self, id: usize) {
        let Some(consumer) = self.consumers.remove(&id) else { return };
        let Some(queue) = self.queues.get_mut(&consumer.queue) else { return };
        queue.consumers.retain(|other| *other != id);
        queue.active.take_if(|active| *active == id);
        self.touched = Some(consumer.queue);
        self.elect(consumer.queue);
        let Some(queue) = self.queues.get(&consumer.queue) else { return };
        if !queue.consumers.is_empty() {
            return;
        }
        if queue.is_auto_delete {
            self.delete_queue(consumer.queue);
        } else {
            self.renew(consumer.queue);
        }
    }

    pub(super) fn get(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let queue = self.find_queue(key, method.text("queue"))?;
        let found = &self.queues[&queue];
        if found.refuses_gets() {
            let text = format!(
                "cannot obtain access to {}. basic.get operations are not supported by quorum \
                 queues with single active consumer",
                resource("locked queue", &found.name)
            );
            return Err(Refusal::soft(405, text));
        }
        self.touched = Some(queue);
        self.renew(queue);
        let Queue { ready, is_paused, .. } = &self.queues[&queue];
        let head = ready.first().filter(|_| !is_paused).copied();
        let left = ready.len().saturating_sub(1) as u64;
        if head.is_none() {
            self.queues.get_mut(&queue).expect("just found").counted.get_empty += 1;
        }
        let taken = head.map(|copy| {
            let tag = self.channel_mut(key).tag_last + 1;
            self.deliver(key, queue, 0, tag, None, method.bit("no-ack"));
            (copy, tag)
        });
        self.reply(key, Expected::Get { queue, taken, left });
        Ok(())
    }

    pub(super) fn settle(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let tag = method.number("delivery-tag");
        let how = match method.name() {
            "basic.ack" => Settle::Ack,
            _ if method.bit("requeue") => Settle::Requeue,
            _ => Settle::Reject,
        };
        let is_multiple = method.name() != "basic.reject" && method.bit("multiple");
        let channel = self.channel_mut(key);
        let is_late = channel.taken_back.remove(&tag);
        if is_multiple {
            channel.taken_back.retain(|late| tag != 0 && *late > tag);
        }
        let tags: Vec<u64> = if is_multiple && tag == 0 {
            channel.unacked.keys().copied().collect()
        } else if is_late && !is_multiple {
            Vec::new()
        } else if !is_late && !channel.unacked.contains_key(&tag) {
            return Err(Refusal::soft(406, format!("unknown delivery tag {tag}")));
        } else if is_multiple {
            channel.unacked.range(..=tag).map(|(tag, _)| *tag).collect()
        } else {
            vec![tag]
        };
        let mut settled = Vec::new();
        for tag in tags {
            let unacked = channel.unacked.remove(&tag).expect("a tag that was looked up");
            settled.push((tag, unacked, how));
        }
        if let Mode::Tx { settles, .. } = &mut channel.mode {
            settles.extend(settled);
        } else {
            settled.iter().for_each(|(_, unacked, how)| self.settle_one(unacked, *how));
            self.note_moved(key, &settled);
        }
        Ok(())
    }

    fn settle_one(&mut self, unacked: &Unacked, how: Settle) {
        let Some(queue) = self.queues.get_mut(&unacked.queue) else { return };
        self.touched = Some(unacked.queue);
        match how {
            Settle::Requeue => return self.give_back(unacked),
            Settle::Ack => {
                queue.unacked -= 1;
                queue.acked += 1;
                self.messages[unacked.copy.message].fates.insert(unacked.queue, Fate::Acked);
            }
            Settle::Reject => {
                queue.unacked -= 1;
                self.die(unacked.queue, unacked.copy, Cause::Rejected);
            }
        }
        self.elect(unacked.queue);
    }

    /// A delivery goes back to its queue.
    pub(super) fn give_back(&mut self, unacked: &Unacked) {
        let Some(queue) = self.queues.get_mut(&unacked.queue) else { return };
        queue.unacked -= 1;
        let copy = Copy { returns: unacked.copy.returns + 1, ..unacked.copy };
        if queue.delivery_limit().is_some_and(|limit| copy.returns > limit) {
            self.die(unacked.queue, unacked.copy, Cause::DeliveryLimit);
        } else if copy.deadline_ms.is_some_and(|deadline| deadline <= self.now_ms()) {
            self.die(unacked.queue, unacked.copy, Cause::Expired);
        } else if let Some(queue) = self.queues.get_mut(&unacked.queue) {
            queue.requeue(copy);
            self.messages[unacked.copy.message].fates.insert(unacked.queue, Fate::Ready);
        }
        self.touched = Some(unacked.queue);
        self.elect(unacked.queue);
    }

    pub(super) fn recover(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        if !method.bit("requeue") {
            return Err(Refusal::hard_any_text(&[540]));
        }
        self.channel_mut(key).taken_back.clear();
        let unacked = std::mem::take(&mut self.channel_mut(key).unacked);
        unacked.values().for_each(|unacked| self.give_back(unacked));
        if method.name() == "basic.recover" {
            self.reply(key, Expected::Method("basic.recover-ok"));
        }
        Ok(())
    }

    pub(super) fn select_confirms(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<(), Refusal> {
        let channel = self.channel_mut(key);
        match channel.mode {
            Mode::Tx { .. } => {
                return Err(Refusal::soft(406, "cannot switch from tx to confirm mode"));
            }
            Mode::Plain => channel.mode = Mode::Confirm(Confirms::default()),
            Mode::Confirm(_) => {}
        }
        if !method.bit("nowait") {
            self.reply(key, Expected::Method("confirm.select-ok"));
        }
        Ok(())
    }

    pub(super) fn select_tx(&mut self, key: ChannelKey) -> Result<(), Refusal> {
        let channel = self.channel_mut(key);
        match channel.mode {
            Mode::Confirm(_) => {
                return Err(Refusal::soft(406, "cannot switch from confirm to tx mode"));
            }
            Mode::Plain => {
                channel.mode = Mode::Tx { publishes: Vec::new(), settles: Vec::new() };
            }
            Mode::Tx { .. } => {}
        }
        self.reply(key, Expected::Method("tx.select-ok"));
        Ok(())
    }

    pub(super) fn commit(&mut self, key: ChannelKey) -> Result<(), Refusal> {
        let (publishes, settles) = self.take_tx(key)?;
        let mut is_refused = false;
        for (message, queues) in &publishes {
            for queue in queues.iter().filter(|queue| !self.queues.contains_key(queue)) {
                self.messages[*message].fates.insert(*queue, Fate::Dropped);
            }
            is_refused |= self.deliver_to(key, *message, queues);
        }
        if is_refused {
            // It goes back as the channel ends.
            let settles = settles.iter().map(|(tag, unacked, _)| (*tag, *unacked));
            self.channel_mut(key).unacked.extend(settles);
            self.waive_exactness(key);
            let made: Vec<usize> = publishes.iter().map(|(message, _)| *message).collect();
            self.drop_replies(key, &made);
        } else {
            settles.iter().for_each(|(_, unacked, how)| self.settle_one(unacked, *how));
            self.note_moved(key, &settles);
        }
        let mut messages: Vec<usize> = publishes.into_iter().map(|(message, _)| message).collect();
        let bytes = messages.iter().map(|message| self.messages[*message].body.len() as u64).sum();
        let together = Together { bytes, messages: messages.len() as u64 };
        self.history.commits.push((self.history.batch, together));
        for message in &messages {
            self.messages[*message].batch = self.history.batch;
        }
        messages = self.with_firsts(&messages);
        messages.retain(|message| self.must_be_on_disk(*message));
        // Of what comes and goes within a batch, the log need not know. Of what is rejected where
        // no letter may be lost it knows when somebody else has it; until then nothing is changed.
        let is_settled = |(_, unacked, how): &(u64, Unacked, Settle)| {
            let message = &self.messages[unacked.copy.message];
            *how != Settle::Requeue
                && message.is_persistent()
                && message.batch < self.history.batch
                && self.queues.get(&unacked.queue).is_some_and(|queue| {
                    let stays = queue.has_dead_letters() && queue.keeps_letters();
                    queue.is_durable && !(stays && *how == Settle::Reject)
                })
        };
        if is_refused {
            return Err(Refusal::soft(406, "partial tx completion"));
        }
        let reply = Expected::Method("tx.commit-ok");
        let batches = messages.iter().map(|message| self.messages[*message].batch);
        let settled = settles.iter().any(is_settled).then_some(self.history.batch);
        let reply = match batches.chain(settled).max() {
            None => reply,
            Some(batch) => {
                let promise = Promise { batch, messages, name: None };
                Expected::Promise(Box::new(reply), promise)
            }
        };
        self.reply(key, reply);
        Ok(())
    }

    pub(super) fn roll_back(&mut self, key: ChannelKey) -> Result<(), Refusal> {
        let (publishes, settles) = self.take_tx(key)?;
        self.forget_publishes(&publishes);
        let now = self.now;
        let settles = settles.into_iter().map(|(tag, unacked, _)| (tag, unacked.rolled_back(now)));
        let settles: Vec<(u64, Unacked)> = settles.collect();
        settles.iter().for_each(|(_, unacked)| self.note_due(unacked.due));
        let channel = self.channel_mut(key);
        channel.unacked.extend(settles);
        channel.replies.push_back(Expected::Method("tx.rollback-ok"));
        Ok(())
    }

    /// What the transaction holds; the next one is empty.
    #[allow(clippy::type_complexity)] // the two halves of a transaction, taken apart at once
    fn take_tx(
        &mut self,
        key: ChannelKey,
    ) -> Result<(Vec<(usize, BTreeSet<QueueId>)>, Vec<(u64, Unacked, Settle)>), Refusal> {
        match &mut self.channel_mut(key).mode {
            Mode::Tx { publishes, settles } => {
                Ok((std::mem::take(publishes), std::mem::take(settles)))
            }
            _ => Err(Refusal::soft(406, "channel is not transactional")),
        }
    }

    /// The broker gave the message at `at` in the queue to somebody.
    pub fn deliver(
        &mut self,
        key: ChannelKey,
        queue: QueueId,
        at: usize,
        tag: u64,
        consumer: Option<usize>,
        no_ack: bool,
    ) {
        self.touched = Some(queue);
        let consumed = consumer.and_then(|id| self.consumers.get(&id));
        let due = self.due(&self.queues[&queue], consumed);
        let from = self.queues.get_mut(&queue).expect("the queue of a delivery");
        let copy: Copy = from.ready.remove(at);
        from.taken_now += 1;
        from.taken_bytes += self.messages[copy.message].body.len() as u64;
        let counted = &mut from.counted;
        let (delivered, got) = (&mut counted.delivered, &mut counted.got);
        (if consumer.is_some() { delivered } else { got })[usize::from(no_ack)] += 1;
        self.taken_from.push(queue);
        let fate = if no_ack {
            from.acked += 1;
            Fate::Acked
        } else {
            from.unacked += 1;
            Fate::Held
        };
        let message = &mut self.messages[copy.message];
        message.fates.deliver(queue, fate);
        let channel = self.channel_mut(key);
        channel.tag_last = tag;
        if !no_ack {
            let unacked = Unacked { copy, queue, consumer, due };
            channel.unacked.insert(tag, unacked);
            self.note_due(due);
            self.note_taken(key, unacked);
        }
    }
}
