//! The judge: shows the model what the broker was told, and has the checkers look at each thing
//! the broker said.
//!
//! Inputs come in batches, and the broker is free to answer at once or at the end of the batch. So
//! each output is held against the model as early as possible: if it is not allowed, the model is
//! told the next input of the batch, and the output is looked at again. An output that is still
//! not allowed when all inputs are told is a failure.

mod delivery;
mod lines;
mod restart;

use std::collections::{BTreeMap, VecDeque};

use warren_core::moving::Outcome;
use warren_core::{Broker, QueueStatus};

use crate::checkers::{
    Failure, access, alarms, conservation, delays, duplicates, fairness, liveness, memory,
    protocol, single_active, topology,
};
use crate::model::{
    Answer, ChannelKey, Expected, HANDSHAKE_NS, Mode, Model, NOTHING, Parked, Phase, Promise,
    Queue, QueueId, Released, Stage, local, qualified, vhost_of,
};
use crate::plan::Setup;
use crate::trace::Trace;
use crate::wire::{Incoming, Method};

/// How often it is looked at, without any other reason, how long something has been lasting.
const TIMED_EVERY_NS: u64 = 1_000_000;
/// With so many queues, they are listed only every so many times.
const MANY_QUEUES: usize = 64;
const LIST_EVERY: u64 = 50;

pub use crate::model::{Departure, Found, News, Position, Remains, Told, Waits, Went};
pub(crate) use delivery::UNNAMED;

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
    /// It is short of `memory` or `disk`, or not any more.
    Alarm(&'static str, bool),
    /// It answered what it was asked for under this number.
    Answered(u64, Answer),
    /// Something for people.
    Noted(String),
    /// It gives up, for this reason.
    Halted(String),
}

/// What the disk is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskState {
    /// Something is under way: messages may wait to be read, or for what they rest on.
    pub is_busy: bool,
    /// Until then faults keep it, or kept it, from answering in time or from taking more.
    pub ailing_until: u64,
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
    /// What the broker promised in the batch that is being looked at.
    promises: Vec<Promise>,
    /// What waited in the broker when it was last looked at, for the trace.
    parked: Parked,
    /// What was confirmed last, for the trace.
    confirmed: Vec<usize>,
    /// Whether the broker was told something since its state was looked at, and since it was seen
    /// that nothing waits in it without a reason.
    is_changed: bool,
    may_wait: bool,
    /// When it was looked at last how long something has been lasting.
    timed_at: u64,
    /// How often the broker was looked at after it had been told something.
    settled: u64,
    /// What messages might take in memory when that was looked at last, and what they have taken
    /// ever since they were told to take less.
    memory_max: u64,
    memory_held: u64,
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
            promises: Vec::new(),
            parked: Parked::new(),
            confirmed: Vec::new(),
            is_changed: true,
            may_wait: true,
            timed_at: 0,
            settled: 0,
            memory_max: setup.memory_max,
            memory_held: 0,
        }
    }

    /// The broker was told all of `told`, in this order, each with what waited in it then, and then
    /// said all of `said`. When all was told, its log was at `position`. Nothing is left of `told`
    /// if all is well.
    ///
    /// # Errors
    /// When it must not say so.
    pub fn batch(
        &mut self,
        now: u64,
        position: Position,
        told: &mut VecDeque<(Told, News)>,
        said: &[Said],
    ) -> Result<(), Failure> {
        self.trace.note((now, told.len(), said.len()));
        self.is_changed = true;
        self.may_wait = true;
        self.model.now = now;
        self.model.enter(position);
        self.model.now = now;
        self.model.begin_batch();
        let busy = self.model.busy_links();
        let mut is_told = false;
        for (at, one) in said.iter().enumerate() {
            let is_delivery = is_delivery(one);
            // All that could be delivered before the first of these inputs was.
            if is_delivery && !is_told {
                is_told = self.tell_next(now, told, &said[..at], true)?;
            }
            loop {
                // Deliveries are made between the turns of channels that waited.
                while is_delivery && self.model.has_turn() {
                    self.release_one(now)?;
                }
                let Err(failure) = self.hear(now, one) else { break };
                if self.release_one(now)? {
                    continue;
                }
                if !self.tell_next(now, told, &said[..at], is_delivery)? {
                    self.trace_said(now, one, "<!");
                    return Err(failure);
                }
                is_told = true;
            }
            self.trace_said(now, one, "<");
        }
        while self.release_one(now)? {}
        while let Some((next, waits)) = told.pop_front() {
            self.tell(now, next, waits.as_deref())?;
            while self.release_one(now)? {}
        }
        // An output may rest on a drained socket, and is looked at before the model hears of that;
        // either way it waits for the socket now.
        self.note_backlogs(said);
        topology::check_decisions(self.model.check_decisions())?;
        duplicates::check(self.model.check_duplicates())?;
        self.model.check_moves();
        self.check_fault()?;
        liveness::check_direct_reply(self.model.end_batch(&busy))
    }

    /// A move that began on this link came to this end, perhaps after its session had been `cut`.
    ///
    /// # Errors
    /// When that is not true.
    pub fn moved(&mut self, link: usize, outcome: &Outcome, cut: bool) -> Result<(), Failure> {
        self.model.check_report(link, outcome.moved, cut);
        let Outcome { moved, wanted, stopped, .. } = outcome;
        let text = format!("^ {moved} of {wanted} are moved, stopped by {stopped:?}");
        self.trace_world(self.model.now, &format!("link {link}"), &text);
        self.check_fault()
    }

    /// Tells the model the next input of the batch, of which `heard` was heard already; if a
    /// delivery is to be explained, as many as it takes to make one possible that was not before:
    /// a part of a content does not. Whether there was another.
    fn tell_next(
        &mut self,
        now: u64,
        told: &mut VecDeque<(Told, News)>,
        heard: &[Said],
        is_delivery: bool,
    ) -> Result<bool, Failure> {
        while let Some((next, waits)) = told.pop_front() {
            let is_drained = matches!(next, Told::Drained(..));
            self.tell(now, next, waits.as_deref())?;
            // What was heard already rests on it: that the socket was drained came first.
            if is_drained {
                self.note_backlogs(heard);
            }
            if !(is_delivery && self.model.was_told_a_part()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was sent waits for its socket.
    fn note_backlogs(&mut self, said: &[Said]) {
        for said in said {
            if let Said::Sent(link, _) = said {
                self.model.connection_mut(*link).has_backlog = true;
            }
        }
    }

    /// A client received these bytes.
    pub fn received(&mut self, bytes: &[u8]) {
        self.trace.note(bytes);
    }

    /// Looks at the broker when all is worked off for now.
    ///
    /// # Errors
    /// When it is not in the state it must be in.
    pub fn settle(&mut self, now: u64, broker: &Broker, disk: DiskState) -> Result<(), Failure> {
        if self.is_changed {
            self.settled += 1;
            // Of very many queues, the list is not looked at each time.
            if self.model.queues.len() < MANY_QUEUES || self.settled.is_multiple_of(LIST_EVERY) {
                self.check_queues(broker)?;
            }
            self.check_alarms()?;
            access::check(broker, &self.model.access)?;
            self.check_memory(broker)?;
        }
        let is_timer_due = broker.poll_timeout().is_some_and(|at| at.as_nanos() <= now);
        if !is_timer_due {
            if self.may_wait && !disk.is_busy && now > disk.ailing_until {
                self.check_waiting()?;
                self.check_parked()?;
                self.check_departed()?;
                self.may_wait = false;
            }
            if self.is_changed || now >= self.timed_at + TIMED_EVERY_NS {
                self.check_silence(now)?;
                self.check_overdue(now)?;
            }
        }
        if self.is_changed || now >= self.timed_at + TIMED_EVERY_NS {
            self.check_replies(now, disk.ailing_until)?;
            self.timed_at = now;
        }
        self.is_changed = false;
        Ok(())
    }

    /// The broker's queues and what they count, against the model's.
    fn check_queues(&self, broker: &Broker) -> Result<(), Failure> {
        self.check_store(broker)?;
        if self.check_known(broker)? {
            return Ok(());
        }
        let listed = self.listed(broker);
        let queues = self.queues_by_name();
        topology::check_list(&listed, &queues)?;
        for (name, status) in &listed {
            check_counts(status, queues[name.as_str()])?;
        }
        Ok(())
    }

    /// The broker's queues with their names over all virtual hosts, but for what is left of one
    /// that is deleted.
    fn listed(&self, broker: &Broker) -> Vec<(String, QueueStatus)> {
        let named = broker.queues().into_iter().map(|status| {
            let name = status.name.to_text();
            (qualified(&status.vhost.to_text(), &name).into_owned(), status)
        });
        let hosts = &self.model.access.vhosts;
        named.filter(|(name, _)| hosts.contains_key(vhost_of(name))).collect()
    }

    /// Checks each queue of the model against the broker's of the same name, if these are all, and
    /// says whether they are: mostly so, and there is no need for a list.
    fn check_known(&self, broker: &Broker) -> Result<bool, Failure> {
        let mut known = 0;
        for queue in self.visible_queues() {
            let name = local(&queue.name).as_bytes();
            let Some(status) = broker.queue(vhost_of(&queue.name), name) else { return Ok(false) };
            topology::check_kind(&status, queue)?;
            check_counts(&status, queue)?;
            known += 1;
        }
        // Of a virtual host that is going, the model has nothing any more.
        if known != broker.queues_len() || broker.is_emptying_vhost() {
            return Ok(false);
        }
        conservation::check_sums(&broker.queue_sums(), self.model.tallies())?;
        Ok(true)
    }

    fn visible_queues(&self) -> impl Iterator<Item = &Queue> {
        self.model.queues.values().filter(|queue| !queue.is_hidden && !queue.is_store)
    }

    /// What the broker counts of delayed messages, against the model, and that it lists as many.
    fn check_store(&self, broker: &Broker) -> Result<(), Failure> {
        let delays = broker.delays();
        let hosts = &self.model.access.vhosts;
        for vhost in hosts.keys() {
            let status = delays.iter().find(|status| *status.vhost.to_text() == **vhost);
            match (status, self.model.store(vhost)) {
                (None, None) => {}
                // It comes into being with the first message that it is given, and here as soon as
                // one may be.
                (None, Some(store)) if store.enqueued == 0 => {}
                (Some(status), Some(store)) => {
                    check_counts(status, store)?;
                    delays::check_listed(&broker.delayed(vhost, None, usize::MAX), store)?;
                }
                (status, store) => {
                    let text = format!("delayed messages: {status:?}, and should be {store:?}");
                    return Err(Failure::new("delays", text));
                }
            }
        }
        Ok(())
    }

    fn queues_by_name(&self) -> BTreeMap<&str, &Queue> {
        self.visible_queues().map(|queue| (queue.name.as_str(), queue)).collect()
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
        pending.extend(self.model.waiting().map(|(link, number)| {
            format!("{}: frames wait in the broker", self.who(link, number))
        }));
        pending
            .extend(self.model.unanswered().map(|number| format!("the answer to wish {number}")));
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

    fn tell(&mut self, now: u64, told: Told, news: Option<&Waits>) -> Result<(), Failure> {
        let waits = news.unwrap_or(&NOTHING);
        if !self.trace.keeps_lines() {
            self.model.tell(now, told, waits);
            return self.check_fault();
        }
        let messages = self.model.messages.len();
        let settled = self.settled(&told);
        self.model.tell(now, told.clone(), waits);
        self.trace_told(now, &told, &settled);
        self.trace_parked(now, &waits.parked);
        if self.model.messages.len() > messages {
            self.trace_route(now, messages);
        }
        self.check_fault()
    }

    /// Checks that what the broker did by itself was right.
    fn check_fault(&mut self) -> Result<(), Failure> {
        match self.model.take_fault() {
            Some((checker, text)) => Err(Failure::new(checker, text)),
            None => Ok(()),
        }
    }

    /// The model handles one frame that has waited in the broker, or takes note of something that
    /// left a queue.
    fn release_one(&mut self, now: u64) -> Result<bool, Failure> {
        let messages = self.model.messages.len();
        let released = self.model.release_one().map_err(|(first, other)| {
            fairness::overtaken(&self.who(first.0, first.1), &self.who(other.0, other.1))
        })?;
        self.check_fault()?;
        let Some(released) = released else { return Ok(false) };
        if self.trace.keeps_lines() {
            match &released {
                Released::Frame(key, frame) => self.trace_released(now, *key, frame),
                Released::Departure(departure) => {
                    self.trace_world(now, "broker", &format!("{departure:?}"));
                }
                Released::TimedOut((link, channel)) => {
                    let text =
                        format!("looks for what is overdue on {}", self.who(*link, *channel));
                    self.trace_world(now, "broker", &text);
                }
            }
            if self.model.messages.len() > messages {
                self.trace_route(now, messages);
            }
        }
        Ok(true)
    }

    fn check_waiting(&self) -> Result<(), Failure> {
        for queue in self.model.queues.values().filter(|queue| !queue.ready.is_empty()) {
            let mut consumers = queue.consumers.iter().map(|id| &self.model.consumers[id]);
            let waiting = consumers.find(|consumer| self.model.can_be_served(consumer));
            let waiting = waiting.map(|consumer| {
                let place = self.who(consumer.channel.0, consumer.channel.1);
                format!("{} on {place}", consumer.tag)
            });
            liveness::check_queue(&queue.name, queue.ready.len(), waiting.as_deref())?;
        }
        Ok(())
    }

    /// Once the disk has done all, only an alarm makes frames wait.
    fn check_parked(&self) -> Result<(), Failure> {
        let mut waiting = self.model.waiting().filter(|_| self.model.alarms.is_empty());
        let first = waiting.next().map(|(link, number)| self.who(link, number));
        liveness::check_parked(first.as_deref())
    }

    /// With no timer due, what was not acknowledged in time was taken back.
    fn check_overdue(&mut self, now: u64) -> Result<(), Failure> {
        if !self.model.may_be_overdue() {
            return Ok(());
        }
        for (link, connection) in self.model.living() {
            for (number, channel) in &connection.channels {
                let who = || self.who(link, *number);
                liveness::check_overdue(channel.overdue(now), who)?;
            }
        }
        self.model.update_due();
        Ok(())
    }

    /// What is over has gone, and who died was buried.
    fn check_departed(&self) -> Result<(), Failure> {
        self.model.check_departed().map_err(|(checker, text)| Failure::new(checker, text))?;
        match self.model.is_mourning() {
            true => Err(Failure::new("dead-letters", "nothing keeps a dead letter from going on")),
            false => Ok(()),
        }
    }

    fn check_silence(&self, now: u64) -> Result<(), Failure> {
        for (link, connection) in self.model.living() {
            let is_paused = self.paused.contains_key(&link);
            let heartbeat_ns = match connection.stage {
                Stage::Running if !is_paused => connection.heartbeat_ns,
                Stage::Header | Stage::Start | Stage::Tune | Stage::Open => HANDSHAKE_NS / 2,
                _ => continue,
            };
            liveness::check_silence(connection.client, now - connection.heard_at, heartbeat_ns)?;
        }
        Ok(())
    }

    fn check_replies(&mut self, now: u64, ailing_until: u64) -> Result<(), Failure> {
        for (link, connection) in self.model.living() {
            for (number, channel) in &connection.channels {
                let key = (link, *number);
                let Some(due) = channel.replies.front() else {
                    self.due_since.remove(&key);
                    continue;
                };
                let since = *self.due_since.entry(key).or_insert(now);
                // It may rest on the disk: then its time begins when that is well again.
                fairness::check_reply(&format!("{due:?}"), since.max(ailing_until), now)?;
            }
        }
        Ok(())
    }

    /// Checks one thing that the broker said, and takes note of it if it is allowed.
    fn hear(&mut self, now: u64, said: &Said) -> Result<(), Failure> {
        if let Said::Alarm(alarm, is_on) = said {
            match is_on {
                true => self.model.alarms.insert(alarm),
                false => self.model.alarms.remove(alarm),
            };
        }
        if let Said::Answered(number, answer) = said {
            let promise = self.model.answered(*number, *answer);
            self.hear_promise(promise.map_err(|text| Failure::new("policies", text))?);
            return Ok(());
        }
        let (Said::Sent(link, _) | Said::Closed(link) | Said::Paused(link) | Said::Resumed(link)) =
            said
        else {
            return Ok(());
        };
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
            Said::Answered(..) | Said::Alarm(..) | Said::Noted(_) | Said::Halted(_) => Ok(()),
            Said::Sent(link, incoming) => {
                if self.model.connections[link].stage == Stage::Gone {
                    return Ok(());
                }
                match incoming {
                    Incoming::Heartbeat => Ok(()),
                    Incoming::Refusal(header) => self.hear_refusal(*link, *header),
                    Incoming::Method(0, method) => match method.name() {
                        "connection.blocked" | "connection.unblocked" => {
                            self.hear_blocked(*link, method)
                        }
                        _ => self.hear_reply((*link, 0), method),
                    },
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
        // Who has said that it goes need not be answered by a broker that goes too.
        let is_going = connection.stage == Stage::Closing && self.model.is_stopped();
        let is_answered = connection.replies.is_empty() || is_going;
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

    fn hear_blocked(&mut self, link: usize, method: &Method) -> Result<(), Failure> {
        // One that waited for a moment only is not seen to wait.
        let waits = self.model.is_publish_waiting(link)
            || self.model.connections[&link].published_at == self.model.now;
        let connection = &self.model.connections[&link];
        let (client, alarms) = (connection.client, &self.model.alarms);
        let is_blocked = method.name() == "connection.blocked";
        if is_blocked {
            let state = (connection.wants_blocked, waits, connection.is_blocked);
            alarms::check_blocked(client, method.text("reason"), alarms, state)?;
        } else {
            alarms::check_unblocked(client, alarms, connection.is_blocked)?;
        }
        self.model.connection_mut(link).is_blocked = is_blocked;
        Ok(())
    }

    fn check_memory(&mut self, broker: &Broker) -> Result<(), Failure> {
        let (before, now) = (self.memory_max, self.model.setup.memory_max);
        let taken = broker.memory();
        self.memory_max = now;
        self.memory_held = match now < before {
            true => taken,
            false => self.memory_held.min(taken),
        };
        // What was there when the limit fell may stay, and must not become more.
        let limit = if now < before { before } else { now.max(self.memory_held) };
        if taken <= limit {
            return Ok(());
        }
        let channels: u64 = self.model.connections.values().map(|c| c.channels.len() as u64).sum();
        // Each queue may have one read under way.
        let queues = self.model.queues.len() as u64;
        // A transaction comes in at once, and so does what a channel had waiting.
        let turn = self.model.largest_turn();
        let commits = self.model.history.commits.iter().map(|(_, together)| *together);
        let more = commits.fold((turn.bytes, turn.messages), |(bytes, messages), together| {
            (bytes + together.bytes, messages + together.messages)
        });
        // What exchanges keep has a limit of its own.
        let kept = self.model.kept_len().min(self.model.kept_len_max());
        let more = (more.0 + kept, more.1);
        let largest = self.model.largest_body as u64;
        memory::check_messages(taken, limit, largest, channels + queues, more)
    }

    fn check_alarms(&self) -> Result<(), Failure> {
        let model = &self.model;
        // Who waits because the disk is behind is not told; with much room it never is.
        let has_pace = model.setup.log_pending_max >= 1 << 20;
        for (link, connection) in model.living() {
            if connection.stage == Stage::Running {
                let must_know =
                    has_pace && connection.wants_blocked && model.is_publish_waiting(link);
                let (client, is_blocked) = (connection.client, connection.is_blocked);
                alarms::check_told(client, &model.alarms, must_know, is_blocked)?;
            }
        }
        match model.disk_free {
            Some(free) => alarms::check_disk(free, model.setup.disk_free_min, &model.alarms),
            None => Ok(()),
        }
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
                let Some(confirms) = self.model.channel_mut(key).confirms() else {
                    let text = format!("{method:?} on a channel without confirms");
                    return Err(Failure::new("confirms", text));
                };
                let (number, is_multiple) = (method.number("delivery-tag"), method.bit("multiple"));
                confirms.check(number, is_multiple, method.name() == "basic.nack")?;
                let messages = confirms.apply(number, is_multiple);
                // What was refused somewhere may be anywhere else.
                if method.name() == "basic.ack" {
                    self.hear_confirm(messages);
                }
                Ok(())
            }
            "basic.cancel" => {
                let cancels = self.model.channel_mut(key).cancels_mut();
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
        let (due, promise) = match due {
            Some(Expected::Promise(reply, promise)) => (Some(*reply), Some(promise)),
            due => (due, None),
        };
        match &due {
            Some(Expected::DeclareOk { queue, .. }) => self.check_name(*queue, method)?,
            Some(Expected::ConsumeOk { consumer }) => self.name_consumer(key, *consumer, method)?,
            Some(Expected::Get { taken, .. }) => self.check_empty(taken.is_none())?,
            _ => {}
        }
        liveness::check_direct_reply(self.model.end_late(key, method))?;
        let replies = match key {
            (link, 0) => &mut self.model.connection_mut(link).replies,
            key => &mut self.model.channel_mut(key).replies,
        };
        replies.pop_front();
        self.hear_promise(promise);
        Ok(())
    }

    fn check_empty(&self, is_empty: bool) -> Result<(), Failure> {
        if is_empty {
            return Ok(());
        }
        Err(Failure::new("conservation", "basic.get-empty where a message was ready"))
    }

    /// The broker tells a queue's name, which is its choice where the client left it open.
    fn check_name(&self, queue: QueueId, method: &Method) -> Result<(), Failure> {
        let name = method.text("queue");
        match self.model.queues.get(&queue) {
            Some(queue) if local(&queue.name) != name => {
                Err(Failure::new("protocol", format!("{} is declared as {name}", queue.name)))
            }
            _ => Ok(()),
        }
    }

    fn name_consumer(
        &mut self,
        key: ChannelKey,
        consumer: usize,
        method: &Method,
    ) -> Result<(), Failure> {
        let tag = method.text("consumer-tag");
        let Some(found) = self.model.consumers.get_mut(&consumer) else {
            // It has ended meanwhile, which it is told next.
            let unnamed = format!("?{consumer}");
            let mut cancels = self.model.channel_mut(key).cancels_mut().iter_mut();
            if let Some(cancel) = cancels.find(|cancel| **cancel == unnamed) {
                tag.clone_into(cancel);
            }
            return Ok(());
        };
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

/// Checks what the broker counts of a queue.
fn check_counts(status: &QueueStatus, queue: &Queue) -> Result<(), Failure> {
    conservation::check(status, queue)?;
    single_active::check_ready(queue, status.consumers_ready)
}

/// Whether this is a message for a consumer.
fn is_delivery(said: &Said) -> bool {
    match said {
        Said::Sent(_, Incoming::Content(_, method, ..)) => method.name() == "basic.deliver",
        _ => false,
    }
}
