//! The judge: shows the model what the broker was told, and has the checkers look at each thing
//! the broker said.
//!
//! Inputs come in batches, and the broker is free to answer at once or at the end of the batch. So
//! each output is held against the model as early as possible: if it is not allowed, the model is
//! told the next input of the batch, and the output is looked at again. An output that is still
//! not allowed when all inputs are told is a failure.

mod delivery;
mod lines;

use std::collections::{BTreeMap, VecDeque};

use warren_core::Broker;

use crate::checkers::{Failure, conservation, fairness, liveness, protocol, topology};
use crate::model::{ChannelKey, Expected, HANDSHAKE_NS, Mode, Model, Phase, QueueId, Stage};
use crate::plan::Setup;
use crate::trace::Trace;
use crate::wire::{Incoming, Method};

pub use crate::model::Told;

/// What the broker said.
#[derive(Clone, Debug)]
pub enum Said {
    /// It sent this.
    Sent(usize, Incoming),
    /// It closed the connection.
    Closed(usize),
    /// It stopped reading.
    Paused(usize),
    /// It reads again.
    Resumed(usize),
}

/// Holds the broker to the model.
#[derive(Debug)]
pub struct Judge {
    /// What must be.
    pub model: Model,
    /// What was.
    pub trace: Trace,
    /// Since when the broker has been deaf to a connection.
    paused: BTreeMap<usize, u64>,
    /// Since when a channel's first reply has been due.
    due_since: BTreeMap<ChannelKey, u64>,
}

impl Judge {
    /// A judge of a new broker.
    #[must_use]
    pub fn new(setup: &Setup, keeps_lines: bool) -> Self {
        Self {
            model: Model::new(setup),
            trace: Trace::new(keeps_lines),
            paused: BTreeMap::new(),
            due_since: BTreeMap::new(),
        }
    }

    /// The broker was told all of `told`, in this order, and then said all of `said`.
    ///
    /// # Errors
    /// When it must not say so.
    pub fn batch(
        &mut self,
        now: u64,
        mut told: VecDeque<Told>,
        said: &[Said],
    ) -> Result<(), Failure> {
        self.trace.note((now, told.len(), said.len()));
        let busy = self.model.busy_links();
        for said in said {
            while let Err(failure) = self.hear(now, said) {
                let Some(told) = told.pop_front() else {
                    self.trace_said(now, said, "<!");
                    return Err(failure);
                };
                self.tell(now, &told);
            }
            self.trace_said(now, said, "<");
        }
        told.iter().for_each(|told| self.tell(now, told));
        // An output may rest on a drained socket, and is looked at before the model hears of that;
        // either way it waits for the socket now.
        for said in said {
            if let Said::Sent(link, _) = said {
                self.model.connection_mut(*link).has_backlog = true;
            }
        }
        self.model.drop_late_replies(&busy);
        Ok(())
    }

    /// A client received these bytes.
    pub fn received(&mut self, bytes: &[u8]) {
        self.trace.note(bytes);
    }

    /// Looks at the broker when all is worked off for now.
    ///
    /// # Errors
    /// When it is not in the state it must be in.
    pub fn settle(&mut self, now: u64, broker: &Broker) -> Result<(), Failure> {
        let listed = broker.queues();
        let visible = self.model.queues.values().filter(|queue| !queue.is_hidden);
        let queues: BTreeMap<_, _> = visible.map(|queue| (queue.name.as_str(), queue)).collect();
        topology::check_list(&listed, &queues)?;
        for status in &listed {
            conservation::check(status, queues[status.name.as_str()])?;
        }
        if broker.poll_timeout().is_none_or(|at| at.as_nanos() > now) {
            self.check_waiting()?;
            self.check_silence(now)?;
        }
        self.check_replies(now)
    }

    /// Checks that nothing is pending.
    ///
    /// # Errors
    /// Names what is.
    pub fn check_converged(&self) -> Result<(), Failure> {
        let mut pending = Vec::new();
        for (link, connection) in &self.model.connections {
            let client = connection.client;
            if !matches!(connection.stage, Stage::Running | Stage::Gone) {
                pending.push(format!("c{client} is at {:?} on link {link}", connection.stage));
            }
            pending.extend(connection.replies.iter().map(|due| format!("c{client}: {due:?}")));
            for (number, channel) in &connection.channels {
                let who = format!("c{client}/{number}");
                pending.extend(channel.replies.iter().map(|due| format!("{who}: {due:?}")));
                if channel.phase == Phase::Open {
                    pending
                        .extend(channel.cancels.iter().map(|tag| format!("{who}: end of {tag}")));
                }
                if let Mode::Confirm(confirms) = &channel.mode {
                    confirms.check_all_answered()?;
                }
            }
        }
        liveness::check_pending(&pending)
    }

    /// Whether the broker can notice that this connection's client is gone.
    #[must_use]
    pub fn has_heartbeat(&self, link: usize) -> bool {
        let connection = self.model.connections.get(&link);
        connection.is_none_or(|c| c.stage != Stage::Running || c.heartbeat_ns > 0)
    }

    /// Writes down something that the world did.
    pub fn trace_world(&mut self, now: u64, who: &str, what: &str) {
        self.trace.line(&self.model, now, who, what, None);
    }

    fn tell(&mut self, now: u64, told: &Told) {
        let messages = self.model.messages.len();
        let settled = if self.trace.keeps_lines() { self.settled(told) } else { String::new() };
        self.model.tell(now, told);
        if self.trace.keeps_lines() {
            self.trace_told(now, told, &settled);
            if self.model.messages.len() > messages {
                self.trace_route(now, messages);
            }
        }
    }

    fn check_waiting(&self) -> Result<(), Failure> {
        for queue in self.model.queues.values().filter(|queue| !queue.ready.is_empty()) {
            let mut consumers = queue.consumers.iter().map(|id| &self.model.consumers[id]);
            let waiting = consumers.find(|consumer| {
                self.model.has_credit(consumer) && self.model.is_link_free(consumer)
            });
            let waiting = waiting.map(|consumer| {
                let place = self.who(consumer.channel.0, consumer.channel.1);
                format!("{} on {place}", consumer.tag)
            });
            liveness::check_queue(&queue.name, queue.ready.len(), waiting.as_deref())?;
        }
        Ok(())
    }

    fn check_silence(&self, now: u64) -> Result<(), Failure> {
        for (link, connection) in &self.model.connections {
            let is_paused = self.paused.contains_key(link);
            let heartbeat_ns = match connection.stage {
                Stage::Running if !is_paused => connection.heartbeat_ns,
                Stage::Header | Stage::Start | Stage::Tune | Stage::Open => HANDSHAKE_NS / 2,
                _ => continue,
            };
            liveness::check_silence(connection.client, now - connection.heard_at, heartbeat_ns)?;
        }
        Ok(())
    }

    fn check_replies(&mut self, now: u64) -> Result<(), Failure> {
        for (link, connection) in &self.model.connections {
            for (number, channel) in &connection.channels {
                let key = (*link, *number);
                let Some(due) = channel.replies.front() else {
                    self.due_since.remove(&key);
                    continue;
                };
                let since = *self.due_since.entry(key).or_insert(now);
                fairness::check_reply(&format!("{due:?}"), since, now)?;
            }
        }
        Ok(())
    }

    /// Checks one thing that the broker said, and takes note of it if it is allowed.
    fn hear(&mut self, now: u64, said: &Said) -> Result<(), Failure> {
        let (Said::Sent(link, _) | Said::Closed(link) | Said::Paused(link) | Said::Resumed(link)) =
            said;
        if !self.model.connections.contains_key(link) {
            let text = "something is said to a connection that is not made";
            return Err(Failure::new("protocol", text));
        }
        match said {
            Said::Paused(link) => {
                self.paused.insert(*link, now);
                Ok(())
            }
            Said::Resumed(link) => {
                // What it could not hear does not count as silence.
                let deaf = self.paused.remove(link).map_or(0, |since| now - since);
                self.model.connection_mut(*link).heard_at += deaf;
                Ok(())
            }
            Said::Closed(link) => self.hear_end(now, *link),
            Said::Sent(link, incoming) => {
                if self.model.connections[link].stage == Stage::Gone {
                    return Ok(());
                }
                match incoming {
                    Incoming::Heartbeat => Ok(()),
                    Incoming::Refusal(header) => self.hear_refusal(*link, *header),
                    Incoming::Method(0, method) => self.hear_reply((*link, 0), method),
                    Incoming::Method(number, method) => self.hear_method((*link, *number), method),
                    Incoming::Content(number, method, properties, body) => {
                        self.hear_content((*link, *number), method, properties, body)
                    }
                }?;
                self.model.connection_mut(*link).has_backlog = true;
                Ok(())
            }
        }
    }

    fn hear_end(&mut self, now: u64, link: usize) -> Result<(), Failure> {
        let connection = &self.model.connections[&link];
        let is_answered = connection.replies.is_empty();
        let is_expected = connection.may_end || connection.stage == Stage::Refused;
        let is_young = !matches!(connection.stage, Stage::Running | Stage::Closing);
        let is_late = is_young && now - connection.connected_at >= HANDSHAKE_NS;
        if !(is_answered && is_expected || is_late) {
            let silent_ns = now - connection.heard_at;
            liveness::check_giving_up(connection.client, silent_ns, connection.heartbeat_ns)?;
        }
        self.model.end_connection(link);
        Ok(())
    }

    fn hear_refusal(&mut self, link: usize, header: [u8; 8]) -> Result<(), Failure> {
        let connection = self.model.connection_mut(link);
        if connection.replies.front() == Some(&Expected::Refusal(header)) {
            connection.replies.pop_front();
            return Ok(());
        }
        Err(Failure::new("protocol", format!("the header {header:?} is sent without need")))
    }

    fn hear_method(&mut self, key: ChannelKey, method: &Method) -> Result<(), Failure> {
        match method.name() {
            "basic.ack" | "basic.nack" => {
                let Mode::Confirm(confirms) = &mut self.model.channel_mut(key).mode else {
                    let text = format!("{method:?} on a channel without confirms");
                    return Err(Failure::new("confirms", text));
                };
                let (number, is_multiple) = (method.number("delivery-tag"), method.bit("multiple"));
                confirms.check(number, is_multiple, method.name() == "basic.nack")?;
                confirms.apply(number, is_multiple);
                Ok(())
            }
            "basic.cancel" => {
                let cancels = &mut self.model.channel_mut(key).cancels;
                let tag = method.text("consumer-tag");
                let Some(at) = cancels.iter().position(|cancelled| cancelled == tag) else {
                    let text = format!("consumer {tag} is cancelled without a reason");
                    return Err(Failure::new("protocol", text));
                };
                cancels.remove(at);
                Ok(())
            }
            _ => self.hear_reply(key, method),
        }
    }

    fn hear_reply(&mut self, key: ChannelKey, method: &Method) -> Result<(), Failure> {
        let replies = match key {
            (link, 0) => &mut self.model.connection_mut(link).replies,
            key => &mut self.model.channel_mut(key).replies,
        };
        let due = replies.front().cloned();
        protocol::check_reply(due.as_ref(), method, &self.model.setup)?;
        match &due {
            Some(Expected::DeclareOk { queue, .. }) => self.name_queue(*queue, method)?,
            Some(Expected::ConsumeOk { consumer }) => self.name_consumer(key, *consumer, method)?,
            Some(Expected::Get { queue, .. }) => self.check_empty(*queue)?,
            _ => {}
        }
        let replies = match key {
            (link, 0) => &mut self.model.connection_mut(link).replies,
            key => &mut self.model.channel_mut(key).replies,
        };
        replies.pop_front();
        Ok(())
    }

    fn check_empty(&self, queue: QueueId) -> Result<(), Failure> {
        match self.model.queues.get(&queue).map(|queue| queue.ready.len()) {
            None | Some(0) => Ok(()),
            Some(ready) => {
                let text = format!("basic.get-empty where {ready} messages are ready");
                Err(Failure::new("conservation", text))
            }
        }
    }

    /// The broker tells a queue's name; it may choose it where the client left it open.
    fn name_queue(&mut self, queue: QueueId, method: &Method) -> Result<(), Failure> {
        let name = method.text("queue");
        let is_taken = self.model.queue_named(name).is_some();
        let Some(queue) = self.model.queues.get_mut(&queue) else { return Ok(()) };
        if queue.name.starts_with('?') && name.starts_with("amq.gen-") && !is_taken {
            queue.name = name.to_owned();
        }
        if queue.name == name {
            return Ok(());
        }
        Err(Failure::new("protocol", format!("{} is declared as {name}", queue.name)))
    }

    fn name_consumer(
        &mut self,
        key: ChannelKey,
        consumer: usize,
        method: &Method,
    ) -> Result<(), Failure> {
        let tag = method.text("consumer-tag");
        let Some(found) = self.model.consumers.get_mut(&consumer) else { return Ok(()) };
        if found.tag.starts_with('?') && tag.starts_with("amq.ctag-") {
            let old = std::mem::replace(&mut found.tag, tag.to_owned());
            let consumers = &mut self.model.channel_mut(key).consumers;
            consumers.remove(&old);
            consumers.insert(tag.to_owned(), consumer);
            return Ok(());
        }
        if found.tag == tag {
            return Ok(());
        }
        Err(Failure::new("protocol", format!("consumer {} is called {tag}", found.tag)))
    }
}
