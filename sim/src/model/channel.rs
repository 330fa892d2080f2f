//! Channels: their life, their content in the making, their modes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::connection::Stage;
use super::late::{LateReply, ends_channel};
use super::{ChannelKey, Copy, Expected, Model, QueueId, Refusal};
use crate::checkers::confirms::Confirms;
use crate::wire::{Method, Properties, append};

/// Whether a channel is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not open (any more).
    #[default]
    Closed,
    /// Open.
    Open,
    /// The broker closed it; `close-ok` is awaited.
    Refused,
}

/// What a channel does about publishes.
#[derive(Debug, Default)]
pub enum Mode {
    /// Nothing.
    #[default]
    Plain,
    /// Confirms each.
    Confirm(Confirms),
    /// Keeps them, and acks, until commit.
    Tx {
        /// Messages and the queues they go to.
        publishes: Vec<(usize, BTreeSet<QueueId>)>,
        /// Tag, delivery, and whether it was good, or else whether it goes back.
        settles: Vec<(u64, Unacked, Settle)>,
    },
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Acknowledged.
    Ack,
    /// Back to its place.
    Requeue,
    /// Rejected for good.
    Reject,
}

/// A delivery that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacked {
    /// What was delivered.
    pub copy: Copy,
    /// From where.
    pub queue: QueueId,
    /// To which consumer; none for a `basic.get`.
    pub consumer: Option<usize>,
    /// When it is to be acknowledged, and how long after it was made, if it is.
    pub due: Option<(u64, u64)>,
}

/// A content whose end has not come.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) method: Method,
    pub(super) header: Option<(u64, Properties)>,
    pub(super) body: Vec<u8>,
}

/// What may still come of a life of a channel that has ended, until the client is told of the end.
#[derive(Debug, Default)]
pub struct Ended {
    /// Confirms.
    pub confirms: Option<Confirms>,
    /// Direct replies.
    pub late: VecDeque<LateReply>,
    /// Consumers that the broker ended before, and may tell of.
    pub cancels: Vec<String>,
    /// The last delivery's tag.
    pub tag_last: u64,
}

/// A channel.
#[derive(Debug, Default)]
pub struct Channel {
    /// Whether it is there.
    pub phase: Phase,
    /// What it does about publishes.
    pub mode: Mode,
    /// Replies due, in order.
    pub replies: VecDeque<Expected>,
    /// The lives of this channel that have ended, while the client has not been told of their end.
    pub ended: VecDeque<Ended>,
    /// Direct replies that stand behind answers.
    pub late: VecDeque<LateReply>,
    /// Consumers that the broker ended and has to tell of.
    pub cancels: Vec<String>,
    /// The last delivery's tag.
    pub tag_last: u64,
    /// Deliveries that are not settled, by tag.
    pub unacked: BTreeMap<u64, Unacked>,
    /// Tags of deliveries that were taken back, and that the client may still settle.
    pub taken_back: BTreeSet<u64>,
    /// Consumers by tag.
    pub consumers: BTreeMap<String, usize>,
    /// For consumers to come.
    pub prefetch: u64,
    /// For all its consumers together.
    pub prefetch_of_channel: u64,
    /// The queue that an empty name stands for.
    pub queue_last: Option<(QueueId, String)>,
    pub(super) content: Option<Partial>,
}

impl Channel {
    /// The confirms that the client can be told of next.
    pub fn confirms(&mut self) -> Option<&mut Confirms> {
        match (self.ended.front_mut(), &mut self.mode) {
            (Some(ended), _) => ended.confirms.as_mut(),
            (None, Mode::Confirm(confirms)) => Some(confirms),
            _ => None,
        }
    }

    /// The consumers of whose end the client can be told next.
    pub fn cancels_mut(&mut self) -> &mut Vec<String> {
        match self.ended.front_mut() {
            Some(ended) => &mut ended.cancels,
            None => &mut self.cancels,
        }
    }

    /// The late direct replies that the client can be given next, and its last delivery's tag.
    pub(super) fn late_mut(&mut self) -> (&mut VecDeque<LateReply>, &mut u64) {
        match self.ended.front_mut() {
            Some(ended) => (&mut ended.late, &mut ended.tag_last),
            None => (&mut self.late, &mut self.tag_last),
        }
    }

    /// Whether direct replies stand behind answers.
    pub(crate) fn has_late(&self) -> bool {
        !self.late.is_empty() || self.ended.iter().any(|ended| !ended.late.is_empty())
    }

    /// The last tag of a delivery that the client can be given next.
    #[must_use]
    pub fn tag_last_seen(&self) -> u64 {
        self.ended.front().map_or(self.tag_last, |ended| ended.tag_last)
    }

    /// The tag before this one, if it was given to a `basic.get` whose answer is still due: a
    /// direct reply that was made before that comes behind other answers too.
    #[must_use]
    pub fn tag_before_gets(&self, tag: u64) -> Option<u64> {
        let is_taken = |due: &Expected| match due {
            Expected::Get { taken: Some((_, taken)), .. } => *taken == tag,
            _ => false,
        };
        let mut replies = self.replies.iter().take_while(|due| !ends_channel(due));
        replies.any(is_taken).then_some(tag - 1)
    }

    /// A direct reply has this tag: the gets behind it have one more each.
    pub(crate) fn shift_gets(&mut self, tag: u64, last: u64) {
        for due in self.replies.iter_mut().take_while(|due| !ends_channel(due)) {
            if let Expected::Get { taken: Some((_, taken)), .. } = due
                && *taken >= tag
            {
                *taken += 1;
            }
        }
        if let Some(ended) = self.ended.front_mut() {
            ended.tag_last = last + 1;
            return;
        }
        let behind = self.unacked.split_off(&tag);
        self.unacked.extend(behind.into_iter().map(|(tag, unacked)| (tag + 1, unacked)));
        let behind = self.taken_back.split_off(&tag);
        self.taken_back.extend(behind.into_iter().map(|tag| tag + 1));
        self.tag_last = last + 1;
    }

    /// How many deliveries are not settled for good, whoever holds them: nobody holds more.
    #[must_use]
    pub fn held_by_anybody(&self) -> usize {
        self.unacked.len() + self.settled_in_tx().len()
    }

    /// How many deliveries this consumer holds.
    #[must_use]
    pub fn held_by(&self, consumer: usize) -> usize {
        self.held().filter(|unacked| unacked.consumer == Some(consumer)).count()
    }

    /// How many deliveries all its consumers hold.
    #[must_use]
    pub fn held_by_consumers(&self) -> usize {
        self.held().filter(|unacked| unacked.consumer.is_some()).count()
    }

    /// What is with consumers, acks that await a commit included.
    fn held(&self) -> impl Iterator<Item = &Unacked> {
        self.unacked.values().chain(self.settled_in_tx().iter().map(|(_, unacked, _)| unacked))
    }

    /// Acks and the like that await a commit.
    fn settled_in_tx(&self) -> &[(u64, Unacked, Settle)] {
        match &self.mode {
            Mode::Tx { settles, .. } => settles,
            _ => &[],
        }
    }
}

impl Model {
    pub(super) fn on_channel_method(&mut self, key: ChannelKey, method: Method) {
        let cause = Some(method.id());
        let phase = self.channel_mut(key).phase;
        match (phase, method.name()) {
            (Phase::Closed, "channel.open") => return self.on_open(key),
            (Phase::Closed, _) => {
                let refusal = Refusal::hard(504, "expected 'channel.open'");
                return self.refuse(key.0, refusal, cause);
            }
            (Phase::Refused, "channel.close-ok") => {
                self.channel_mut(key).phase = Phase::Closed;
                return;
            }
            (Phase::Refused, "channel.close") => {
                let reply = Expected::Method("channel.close-ok");
                return self.channel_mut(key).replies.push_back(reply);
            }
            (Phase::Refused, _) => return,
            (Phase::Open, _) => {}
        }
        if self.channel_mut(key).content.is_some() {
            return self.refuse(key.0, Refusal::hard_any_text(&[505]), None);
        }
        if method.name() == "basic.publish" {
            let content = Partial { method, header: None, body: Vec::new() };
            self.channel_mut(key).content = Some(content);
            self.is_part = true;
            return;
        }
        if let Err(refusal) = self.on_open_channel(key, &method) {
            self.refuse_on(key, refusal, cause);
        }
    }

    /// Ends the channel, or the connection if the error is a hard one.
    pub(super) fn refuse_on(
        &mut self,
        key: ChannelKey,
        refusal: Refusal,
        cause: Option<(u16, u16)>,
    ) {
        if refusal.is_hard {
            return self.refuse(key.0, refusal, cause);
        }
        self.end_channel(key, Phase::Refused);
        self.channel_mut(key).replies.push_back(Expected::Close { refusal, cause });
    }

    fn on_open(&mut self, key: ChannelKey) {
        let connection = self.connection_mut(key.0);
        let max = usize::from(connection.channel_max);
        let open = connection.channels.values().filter(|channel| channel.phase != Phase::Closed);
        let open = open.count();
        if max > 0 && open >= max {
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            );
            return self.refuse(key.0, Refusal::hard(530, text), Some((20, 10)));
        }
        if let Err(refusal) = self.check_channels(key.0) {
            return self.refuse(key.0, refusal, Some((20, 10)));
        }
        let channel = self.channel_mut(key);
        let Channel { replies, ended, .. } = std::mem::take(channel);
        *channel = Channel { phase: Phase::Open, replies, ended, ..Channel::default() };
        channel.replies.push_back(Expected::Method("channel.open-ok"));
    }

    fn on_open_channel(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        self.check_method(key, method)?;
        match method.name() {
            "channel.open" => Err(Refusal::hard(504, "second 'channel.open' seen")),
            "channel.close" => {
                self.end_channel(key, Phase::Closed);
                self.reply(key, Expected::Method("channel.close-ok"));
                Ok(())
            }
            "channel.flow" if method.bit("active") => {
                self.reply(key, Expected::Method("channel.flow-ok"));
                Ok(())
            }
            "channel.flow" => Err(Refusal::hard_any_text(&[540])),
            "exchange.declare" => {
                self.declare_exchange(key, method)?;
                self.note_look(key, method);
                Ok(())
            }
            "exchange.delete" => self.delete_exchange_by(key, method),
            "exchange.bind" | "queue.bind" => self.bind(key, method),
            "exchange.unbind" | "queue.unbind" => self.unbind(key, method),
            "queue.declare" => self.declare_queue(key, method),
            "queue.delete" => self.delete_queue_by(key, method),
            "queue.purge" => self.purge(key, method),
            "basic.qos" => self.qos(key, method),
            "basic.consume" => self.consume(key, method),
            "basic.cancel" => self.cancel(key, method),
            "basic.get" => self.get(key, method),
            "basic.ack" | "basic.nack" | "basic.reject" => self.settle(key, method),
            "basic.recover" | "basic.recover-async" => self.recover(key, method),
            "confirm.select" => self.select_confirms(key, method),
            "tx.select" => self.select_tx(key),
            "tx.commit" => self.commit(key),
            "tx.rollback" => self.roll_back(key),
            _ => Err(Refusal::hard_any_text(&[503, 504, 505, 540])),
        }
    }

    pub(super) fn reply(&mut self, key: ChannelKey, expected: Expected) {
        self.channel_mut(key).replies.push_back(expected);
    }

    pub(super) fn on_content_header(
        &mut self,
        key: ChannelKey,
        body_len: u64,
        properties: Properties,
    ) {
        let channel = self.channel_mut(key);
        match (channel.phase, &mut channel.content) {
            (Phase::Open, Some(content)) if content.header.is_none() => {
                content.header = Some((body_len, properties));
                self.finish_content(key);
            }
            (Phase::Refused, _) => {}
            (Phase::Closed, _) => {
                self.refuse(key.0, Refusal::hard_any_text(&[504, 505]), None);
            }
            _ => self.refuse(key.0, Refusal::hard_any_text(&[505]), None),
        }
    }

    pub(super) fn on_content_body(&mut self, key: ChannelKey, bytes: Vec<u8>) {
        let channel = self.channel_mut(key);
        match (channel.phase, &mut channel.content) {
            (Phase::Open, Some(content)) if content.header.is_some() => {
                append(&mut content.body, bytes);
                self.finish_content(key);
            }
            (Phase::Refused, _) => {}
            (Phase::Closed, _) => {
                self.refuse(key.0, Refusal::hard_any_text(&[504, 505]), None);
            }
            _ => self.refuse(key.0, Refusal::hard_any_text(&[505]), None),
        }
    }

    /// Publishes when the body is whole; one that is too large is refused then, as RabbitMQ does.
    fn finish_content(&mut self, key: ChannelKey) {
        let message_size_max = self.setup.message_size_max;
        let channel = self.channel_mut(key);
        let Some(Partial { header: Some((body_len, _)), body, .. }) = &channel.content else {
            return;
        };
        let (body_len, body_so_far) = (*body_len, body.len() as u64);
        if body_so_far > body_len {
            return self.refuse(key.0, Refusal::hard_any_text(&[501]), None);
        }
        if body_so_far < body_len {
            self.is_part = true;
            return;
        }
        let content = channel.content.take().expect("a content that was looked at");
        let published = if body_len > message_size_max {
            Err(Refusal::soft(
                406,
                format!(
                    "message size {body_len} is larger than configured max size \
                     {message_size_max}"
                ),
            ))
        } else {
            self.publish(key, content)
        };
        if let Err(refusal) = published {
            self.refuse_on(key, refusal, Some((60, 40)));
        }
    }

    /// Everything the channel held is given back.
    pub(super) fn end_channel(&mut self, key: ChannelKey, phase: Phase) {
        let channel = self.channel_mut(key);
        let is_over = channel.phase != Phase::Open;
        if !is_over || phase == Phase::Closed {
            channel.phase = phase;
        }
        if is_over {
            return;
        }
        channel.content = None;
        let consumers: Vec<usize> = std::mem::take(&mut channel.consumers).into_values().collect();
        for consumer in &consumers {
            self.delay_replies(self.consumers[consumer].queue);
        }
        let channel = self.channel_mut(key);
        let mode = std::mem::take(&mut channel.mode);
        let mut unacked = std::mem::take(&mut channel.unacked);
        let late = std::mem::take(&mut channel.late);
        let cancels = std::mem::take(&mut channel.cancels);
        let mut ended = Ended { confirms: None, late, cancels, tag_last: channel.tag_last };
        match mode {
            Mode::Tx { publishes, settles } => {
                self.forget_publishes(&publishes);
                unacked.extend(settles.into_iter().map(|(tag, unacked, _)| (tag, unacked)));
            }
            Mode::Confirm(confirms) => ended.confirms = Some(confirms),
            Mode::Plain => {}
        }
        self.channel_mut(key).ended.push_back(ended);
        // Of a queue that goes with its last consumer, nothing comes back.
        consumers.into_iter().for_each(|consumer| self.remove_consumer(consumer));
        unacked.values().for_each(|unacked| self.give_back(unacked));
    }

    /// Whether the connection takes commands.
    #[must_use]
    pub fn is_running(&self, link: usize) -> bool {
        self.connections.get(&link).is_some_and(|connection| connection.stage == Stage::Running)
    }
}
