//! Messages that die: they wait for too long, there is no room for them, nobody wants them, or they
//! come back too often. What queues ask for in this, dead letters and what their headers tell.
//!
//! When a message dies that is rejected or comes back is known; what dies by itself, and when a
//! dead letter is put into other queues, the broker tells. Whether it had to, and whether it did
//! so in time, is held against what is known here.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::duplicates::Outcome;
use super::names::{local, qualified, vhost_of};
use super::routing::{Look, Route};
use super::{Copy, Fate, Message, Model, Queue, QueueId, STORE, policies};
use crate::wire::{Argument, Properties, Table, Value};

/// What left a queue by itself, by the queue's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The message with the earliest deadline.
    Expired(String),
    /// The first message.
    Dropped(String),
    /// The one that died first is a dead letter now.
    Buried(String),
    /// The one that died first cannot be a dead letter now, and waits.
    Kept(String),
    /// Of those that wait, the first died again, as the last of all that did.
    Retried(String),
    /// It had no room for a message, the one of this number of those that came to it.
    Refused(String, u64),
    /// The message that it refused first is a dead letter now.
    RefusedBuried(String),
    /// The queue itself.
    QueueExpired(String),
}

impl Departure {
    /// The name of the queue.
    fn queue(&self) -> &str {
        match self {
            Self::Expired(name)
            | Self::Dropped(name)
            | Self::Buried(name)
            | Self::Kept(name)
            | Self::Retried(name)
            | Self::Refused(name, _)
            | Self::RefusedBuried(name)
            | Self::QueueExpired(name) => name,
        }
    }
}

/// So many dead letters that wait are tried again when anything changes that they may wait for.
const TRIED_AT_ONCE: usize = 64;

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody wants it.
    Rejected,
    /// It waited for too long.
    Expired,
    /// There was no room.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// One way in which a message died, as its header tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Death {
    queue: String,
    cause: Cause,
    count: i64,
    seconds: u64,
    exchange: String,
    keys: Vec<String>,
    expiration: Option<String>,
}

/// What a queue does with messages that there is no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its first ones go.
    DropHead,
    /// They are refused, and maybe dead-lettered.
    Reject {
        /// Whether they are.
        is_dead_lettered: bool,
    },
}

impl Queue {
    /// What is asked of it under this name: by its arguments, else by a policy.
    fn argument(&self, name: &str) -> Option<&Value> {
        let mut asked = self.arguments.iter().chain(&self.policy);
        asked.find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The lowest number that is asked of it under this name.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let asked = self.arguments.iter().chain(&self.policy).filter(|(known, _)| known == name);
        asked.filter_map(|(_, value)| policies::number(value)).min()
    }

    /// For how long it may be unused, in milliseconds.
    pub(super) fn expires(&self) -> Option<u64> {
        self.number("x-expires")
    }

    /// How many messages may be ready.
    #[must_use]
    pub fn max_length(&self) -> Option<u64> {
        self.number("x-max-length")
    }

    /// How many bytes the bodies of those may have together.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.number("x-max-length-bytes")
    }

    /// Whether as many messages with so many bytes are more than may be ready.
    fn is_exceeded_by(&self, count: u64, bytes: u64) -> bool {
        self.max_length().is_some_and(|max| count > max)
            || self.max_bytes().is_some_and(|max| bytes > max)
    }

    /// What may be ready of it, in numbers and bytes; `None` where anything may.
    pub(super) fn limits(&self) -> Option<(Option<u64>, Option<u64>)> {
        let limits = (self.max_length(), self.max_bytes());
        (limits != (None, None)).then_some(limits)
    }

    /// What it does when there are more.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        match self.argument("x-overflow").and_then(Value::as_text) {
            Some("reject-publish") => Overflow::Reject { is_dead_lettered: false },
            Some("reject-publish-dlx") => Overflow::Reject { is_dead_lettered: true },
            _ => Overflow::DropHead,
        }
    }

    /// Whether there may be messages that it refuses.
    fn may_refuse(&self) -> bool {
        self.overflow() != Overflow::DropHead && self.limits().is_some()
    }

    /// Whether those that die are sent on.
    pub(super) fn has_dead_letters(&self) -> bool {
        self.dead_letter_exchange().is_some()
    }

    fn dead_letter_exchange(&self) -> Option<String> {
        let name = self.argument("x-dead-letter-exchange").and_then(Value::as_text)?;
        Some(qualified(vhost_of(&self.name), name).into_owned())
    }

    /// Whether dead letters that cannot go on their way wait until they can.
    pub(super) fn keeps_letters(&self) -> bool {
        let strategy = self.argument("x-dead-letter-strategy").and_then(Value::as_text);
        strategy == Some("at-least-once") && self.overflow() != Overflow::DropHead
    }

    fn dead_letter_key(&self) -> Option<String> {
        self.argument("x-dead-letter-routing-key").and_then(Value::as_text).map(Into::into)
    }

    /// Whether messages of it may end though nobody settles them.
    #[must_use]
    pub fn lets_messages_die(&self) -> bool {
        let names = [
            "x-delivery-limit",
            "x-dead-letter-exchange",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-message-ttl",
        ];
        // A policy that is gone may have left messages that expire.
        let is_timed = self.ready.iter().any(|copy| copy.deadline_ms.is_some());
        is_timed || names.iter().any(|name| self.argument(name).is_some())
    }

    /// How often a message may come back.
    #[must_use]
    pub fn delivery_limit(&self) -> Option<u64> {
        self.number("x-delivery-limit")
    }

    /// Whether consumers are told how often a message came back.
    #[must_use]
    pub fn tells_returns(&self) -> bool {
        self.delivery_limit().is_some() || self.is_quorum()
    }

    /// The level of a message, by its priority.
    fn level(&self, message: &Message) -> u8 {
        let priority = message.properties.number("priority");
        let (max, usual) = match self.number("x-max-priority") {
            _ if self.is_quorum() => (31, 4),
            max => (max.unwrap_or(0), 0),
        };
        u8::try_from(priority.unwrap_or(usual).min(max)).unwrap_or(u8::MAX)
    }

    /// Whether this can be what left it by now.
    fn may_tell(&self, departure: &Departure, now: u64) -> bool {
        match departure {
            Departure::Expired(_) => {
                self.first_to_expire().is_some_and(|(deadline, _)| deadline <= now)
            }
            Departure::Dropped(_) => !self.ready.is_empty() && self.limits().is_some(),
            Departure::Buried(_) | Departure::Kept(_) => !self.dying.is_empty(),
            Departure::Retried(_) => !self.kept.is_empty(),
            Departure::Refused(..) => self.may_refuse(),
            Departure::RefusedBuried(_) => !self.refused.is_empty(),
            Departure::QueueExpired(_) => self.expires_ms.is_some_and(|at| at <= now),
        }
    }

    /// The place among the ready messages of the one that expires first.
    fn first_to_expire(&self) -> Option<(u64, usize)> {
        let ready = self.ready.iter().enumerate();
        let timed = ready.filter_map(|(at, copy)| Some((copy.deadline_ms?, copy.place(), at)));
        timed.min().map(|(deadline, _, at)| (deadline, at))
    }
}

impl Model {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock_origin_ms + self.now / 1_000_000
    }

    /// When something is over that begins now and takes so long.
    pub(super) fn in_ms(&self, millis: u64) -> u64 {
        match millis {
            0 => self.now_ms(),
            _ => self.clock_origin_ms + self.now.div_ceil(1_000_000) + millis,
        }
    }

    /// When a message expires that comes to a queue now.
    pub(super) fn deadline(&self, queue: &Queue, message: &Message) -> Option<u64> {
        if queue.is_store {
            return message.delay().map(|millis| self.in_ms(millis));
        }
        let own = message.properties.text("expiration").and_then(|text| text.parse().ok());
        let own = own.filter(|_| message.deaths.is_empty());
        own.into_iter().chain(queue.number("x-message-ttl")).min().map(|ttl| self.in_ms(ttl))
    }

    /// Puts a message into queues, but for those that know it or refuse it.
    pub(super) fn enqueue(&mut self, index: usize, queues: &BTreeSet<QueueId>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut knowing = Vec::new();
        for id in queues {
            if let Some(first) = self.known_in_queue(index, *id) {
                self.take_for_duplicate(index, first, Some(*id));
                knowing.push(*id);
            }
        }
        let unknowing = queues.iter().copied().filter(|id| !knowing.contains(id));
        let refusing: Vec<QueueId> =
            unknowing.clone().filter(|id| self.refuses(*id, index)).collect();
        for id in &refusing {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            outcome.is_refused = true;
            let is_letter = queue.overflow() == Overflow::Reject { is_dead_lettered: true };
            if is_letter && queue.dead_letter_exchange().is_some() {
                queue.refused.push_back(index);
                queue.count_death(Cause::MaxLength);
            }
            self.messages[index].fates.insert(*id, Fate::Refused);
        }
        for id in unknowing.filter(|id| !refusing.contains(id)) {
            let Some(queue) = self.queues.get(&id) else { continue };
            let deadline = self.deadline(queue, &self.messages[index]);
            let level = queue.level(&self.messages[index]);
            let queue = self.queues.get_mut(&id).expect("just found");
            queue.enqueue(index, level, deadline);
            outcome.is_taken = true;
            outcome.is_kept |= queue.keeps(&self.messages[index]);
            self.messages[index].fates.insert(id, Fate::Ready);
            self.touched = Some(id);
            self.see_in_queue(index, id);
        }
        outcome
    }

    /// How many bytes the bodies of these have.
    fn bytes<'a>(&self, copies: impl Iterator<Item = &'a Copy>) -> u64 {
        copies.map(|copy| self.messages[copy.message].body.len() as u64).sum()
    }

    /// Whether the broker refuses the message that comes to a queue now. What was delivered in this
    /// batch may have been there still, or be gone already. So may what has expired and is still to
    /// be read: its bytes are counted until then.
    fn refuses(&mut self, id: QueueId, index: usize) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else { return false };
        let number = queue.enqueued + queue.refused_count + 1;
        let is_told = self.waiting.take_refusal(&queue.name, number);
        queue.refused_count += u64::from(is_told);
        if !is_told && !queue.may_refuse() {
            return false;
        }
        let queue = &self.queues[&id];
        // Letters that wait take room.
        let kept = || queue.kept.iter().map(|(copy, _)| copy);
        let (ready, taken) = ((queue.ready.len() + queue.kept.len()) as u64, queue.taken_now);
        let (bytes, max) = (self.bytes(queue.ready.iter().chain(kept())), queue.limits());
        let bytes = bytes + self.messages[index].body.len() as u64;
        let expired = queue.dying.iter().filter(|(_, cause)| *cause == Cause::Expired);
        let left = queue.taken_bytes + self.bytes(expired.map(|(copy, _)| copy));
        let is_full = |ready, bytes| queue.may_refuse() && queue.is_exceeded_by(ready + 1, bytes);
        let known = if queue.is_vague { 0 } else { bytes };
        let (may, must) = (is_full(ready + taken, bytes + left), is_full(ready, known));
        let must = must && queue.consumers.is_empty();
        if is_told && !may || must && !is_told {
            let name = &queue.name;
            let text = format!(
                "{name}: {ready} are ready, {bytes} bytes with this, of {max:?}; refused: {is_told}"
            );
            self.fault("limits", text);
        }
        is_told
    }

    /// The broker said that this left a queue.
    pub(super) fn depart(&mut self, departure: &Departure) {
        let Some(id) = self.queue_of(departure) else {
            // Of a virtual host that is gone, what is left goes bit by bit.
            if !self.access.vhosts.contains_key(vhost_of(departure.queue())) {
                self.gone.is_vague = true;
                return;
            }
            return self.fault("expiry", format!("{departure:?} of a queue that is not there"));
        };
        self.touched = Some(id);
        match departure {
            Departure::Expired(_) => self.expire_one(id),
            Departure::Dropped(_) => self.drop_one(id),
            Departure::Buried(_) => self.bury(id),
            Departure::Kept(_) => self.keep_letter(id),
            Departure::Retried(_) => self.retry_letter(id),
            // It was taken note of when the message came.
            Departure::Refused(..) => {}
            Departure::RefusedBuried(_) => self.bury_refused(id),
            Departure::QueueExpired(_) => self.expire_queue(id),
        }
    }

    /// The queue that something left.
    fn queue_of(&self, departure: &Departure) -> Option<QueueId> {
        let name = departure.queue();
        let found = match local(name) {
            STORE => self.store(vhost_of(name)),
            _ => self.queue_named(name),
        };
        found.map(|queue| queue.id)
    }

    /// Whether the departure comes before what is told: what has expired is looked for first.
    pub(super) fn is_due(&self, departure: &Departure) -> bool {
        let is_of_time = matches!(departure, Departure::Expired(_) | Departure::QueueExpired(_));
        let queue = self.queue_of(departure).filter(|_| is_of_time);
        queue.is_some_and(|id| self.queues[&id].may_tell(departure, self.now_ms()))
    }

    fn expire_one(&mut self, id: QueueId) {
        let now = self.now_ms();
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        match queue.first_to_expire() {
            Some((deadline, at)) if deadline <= now => {
                let copy = queue.ready.remove(at);
                self.die(id, copy, Cause::Expired);
            }
            due => {
                let text = format!("{}: at {now} ms, a message expires of {due:?}", queue.name);
                self.fault("expiry", text);
            }
        }
    }

    fn drop_one(&mut self, id: QueueId) {
        let queue = &self.queues[&id];
        let ready = queue.ready.len() as u64;
        let bytes = self.bytes(queue.ready.iter());
        let is_over = queue.is_exceeded_by(ready + queue.taken_now, bytes + queue.taken_bytes);
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        if !is_over || queue.overflow() != Overflow::DropHead || queue.ready.is_empty() {
            let text = format!(
                "{}: one of {ready} ready messages is dropped, which have {bytes} bytes",
                queue.name
            );
            return self.fault("limits", text);
        }
        let copy = queue.ready.remove(0);
        self.die(id, copy, Cause::MaxLength);
    }

    fn expire_queue(&mut self, id: QueueId) {
        let queue = &self.queues[&id];
        if !queue.consumers.is_empty() || queue.expires_ms.is_none_or(|at| at > self.now_ms()) {
            let text =
                format!("{} expires, of which the time is {:?}", queue.name, queue.expires_ms);
            return self.fault("expiry", text);
        }
        self.delete_queue(id);
    }

    /// A message that is neither ready nor with a consumer any more died.
    pub(super) fn die(&mut self, id: QueueId, copy: Copy, cause: Cause) {
        let queue = self.queues.get_mut(&id).expect("a message's queue");
        match cause {
            Cause::Rejected => queue.rejected += 1,
            Cause::Expired => queue.expired += 1,
            Cause::MaxLength => queue.dropped += 1,
            Cause::DeliveryLimit => queue.worn_out += 1,
        }
        queue.count_death(cause);
        // What expires where bytes are counted has gone when its bytes are known.
        let is_counted = queue.max_bytes().is_some() && cause == Cause::Expired;
        let fate = if queue.is_store || is_counted || queue.dead_letter_exchange().is_some() {
            queue.dying.push_back((copy, cause));
            Fate::Dying
        } else {
            Fate::Rejected
        };
        self.messages[copy.message].fates.insert(id, fate);
    }

    fn bury(&mut self, id: QueueId) {
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        let Some((copy, cause)) = queue.dying.pop_front() else {
            let text = format!("{}: a dead letter of nothing", queue.name);
            return self.fault("dead-letters", text);
        };
        queue.retried.remove(&copy.place());
        if queue.is_store {
            return self.send_delayed(id, copy);
        }
        self.messages[copy.message].fates.insert(id, Fate::Rejected);
        let queue = &self.queues[&id];
        let lost = queue.lost_letters;
        let is_kept = queue.keeps_letters() && queue.keeps(&self.messages[copy.message]);
        self.send_dead_letter(id, copy.message, cause);
        let queue = &self.queues[&id];
        if is_kept && queue.lost_letters > lost {
            let text = format!("{}: a dead letter is lost that is to wait", queue.name);
            self.fault("dead-letters", text);
        }
    }

    /// The broker says that the dead letter of the one that died first cannot go.
    fn keep_letter(&mut self, id: QueueId) {
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        let Some((copy, cause)) = queue.dying.pop_front() else {
            let text = format!("{}: a dead letter of nothing waits", queue.name);
            return self.fault("dead-letters", text);
        };
        queue.retried.remove(&copy.place());
        queue.kept.push_back((copy, cause));
        let queue = &self.queues[&id];
        let is_kept = queue.keeps_letters() && queue.keeps(&self.messages[copy.message]);
        if !is_kept || self.must_go(queue, copy.message) {
            let text = format!("{}: a dead letter waits that can go, or is not kept", queue.name);
            self.fault("dead-letters", text);
        }
    }

    fn retry_letter(&mut self, id: QueueId) {
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        match queue.kept.pop_front() {
            Some((copy, cause)) => {
                queue.retried.insert(copy.place());
                queue.dying.push_back((copy, cause));
            }
            None => {
                let text = format!("{}: no dead letter waits", queue.name);
                self.fault("dead-letters", text);
            }
        }
    }

    /// Whether the dead letter of a message can go for certain: straight to a queue with any room,
    /// and to no other, which may have none.
    fn must_go(&self, queue: &Queue, message: usize) -> bool {
        let message = &self.messages[message];
        let key = queue.dead_letter_key();
        // Another key would be in the place of all that it has.
        let mut headers = message.properties.headers().into_iter().flatten();
        if key.is_none() && headers.any(|(name, _)| name == "CC") {
            return false;
        }
        let key = key.as_deref().unwrap_or(&message.key);
        let target = self.queue_named(&qualified(vhost_of(&queue.name), key));
        let is_open = |target: &Queue| {
            let has_been = |death: &Death| death.queue == target.name;
            target.id != queue.id && !target.may_refuse() && !message.deaths.iter().any(has_been)
        };
        queue.dead_letter_exchange().is_some_and(|exchange| exchange.is_empty())
            && target.is_some_and(is_open)
    }

    /// About how many bytes those take on disk that wait to be dead letters.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        let kept = self.queues.values().flat_map(|queue| &queue.kept);
        kept.map(|(copy, _)| self.messages[copy.message].body.len() as u64 + 1000).sum()
    }

    fn bury_refused(&mut self, id: QueueId) {
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        match queue.refused.pop_front() {
            Some(index) => self.send_dead_letter(id, index, Cause::MaxLength),
            None => {
                let text = format!("{}: a dead letter of what was not refused", queue.name);
                self.fault("dead-letters", text);
            }
        }
    }

    fn send_dead_letter(&mut self, id: QueueId, index: usize, cause: Cause) {
        let queue = &self.queues[&id];
        // A policy may have said where to, and be gone.
        let Some(exchange) = queue.dead_letter_exchange() else { return };
        let key = queue.dead_letter_key();
        if !exchange.is_empty() && !self.exchanges.contains_key(&exchange) {
            return self.lose_letter(id);
        }
        let name = queue.name.clone();
        let letter = self.dead_letter(index, &name, cause, exchange, key);
        let Route { mut queues, histories } =
            self.route(&letter.exchange, &Look::new(&letter), None);
        queues.retain(|target| !letter.has_come_round_to(&self.queues[target].name));
        let index = self.add_again(letter);
        self.remember(index, &histories);
        if queues.is_empty() || self.enqueue(index, &queues).is_refused {
            self.lose_letter(id);
        }
    }

    /// A message that was published before comes into being once more: its number.
    pub(super) fn add_again(&mut self, message: Message) -> usize {
        let index = self.messages.len();
        let first = self.names.get(&message.name).copied();
        let first = first.expect("a message that was published has a name");
        self.replays.entry(first).or_default().push(index);
        self.messages.push(Message {
            index,
            is_mandatory: false,
            sequence: None,
            batch: self.history.batch,
            histories: Vec::new(),
            firsts: Vec::new(),
            fates: Default::default(),
            ..message
        });
        index
    }

    pub(super) fn lose_letter(&mut self, id: QueueId) {
        self.queues.get_mut(&id).expect("a queue that was found").lost_letters += 1;
    }

    /// The dead letter of a message.
    fn dead_letter(
        &self,
        index: usize,
        queue: &str,
        cause: Cause,
        exchange: String,
        key: Option<String>,
    ) -> Message {
        let dead = &self.messages[index];
        let visible = |(name, _): &&(String, Value)| name != "BCC";
        let headers = dead.properties.headers().into_iter().flatten().filter(visible);
        let further = headers.clone().find_map(|(name, value)| match value {
            Value::Array(keys) if name == "CC" => Some(keys.iter().filter_map(Value::as_text)),
            _ => None,
        });
        let mut deaths = dead.deaths.clone();
        let known = deaths.iter().position(|death| death.queue == queue && death.cause == cause);
        let death = match known.map(|at| deaths.remove(at)) {
            Some(death) => Death { count: death.count + 1, ..death },
            None => Death {
                queue: queue.into(),
                cause,
                count: 1,
                seconds: self.now_ms() / 1000,
                exchange: local(&dead.exchange).to_owned(),
                keys: std::iter::once(dead.key.as_str())
                    .chain(further.into_iter().flatten())
                    .map(Into::into)
                    .collect(),
                expiration: dead.properties.text("expiration").map(Into::into),
            },
        };
        deaths.insert(0, death);
        let mut told: Table = headers
            .filter(|(name, _)| !name.starts_with("x-last-death-") && name != "x-death")
            .filter(|(name, _)| !(dead.deaths.is_empty() && name.starts_with("x-first-death-")))
            .filter(|(name, _)| !(key.is_some() && name == "CC"))
            .cloned()
            .collect();
        let whens: &[&str] = if dead.deaths.is_empty() { &["first", "last"] } else { &["last"] };
        for when in whens {
            for (what, text) in
                [("exchange", &*dead.exchange), ("queue", queue), ("reason", cause.name())]
            {
                told.push((format!("x-{when}-death-{what}"), Value::text(local(text))));
            }
        }
        told.push(("x-death".into(), Value::Array(deaths.iter().map(Death::told).collect())));
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut properties = dead.properties.clone();
        properties.remove("expiration");
        properties.set("headers", Argument::Table(told));
        Message {
            exchange: exchange.into(),
            key: key.map_or_else(|| dead.key.clone(), SmolStr::from),
            properties,
            deaths,
            ..dead.clone()
        }
    }

    /// A queue is used: it lives for as long again.
    pub(super) fn renew(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get(&id) else { return };
        let expires = queue.expires().map(|millis| self.in_ms(millis));
        self.queues.get_mut(&id).expect("just found").expires_ms = expires;
    }

    /// Checks that no more is ready in a queue than may be.
    fn check_room(&self, queue: &Queue) -> Result<(), (&'static str, String)> {
        let Some(limits) = queue.limits() else { return Ok(()) };
        let name = &queue.name;
        let (ready, bytes) = (queue.ready.len() as u64, self.bytes(queue.ready.iter()));
        if queue.is_exceeded_by(ready, bytes) && queue.overflow() == Overflow::DropHead {
            let text = format!("{name}: {ready} are ready, {bytes} bytes, of {limits:?}");
            return Err(("limits", text));
        }
        // What came back, or was there at the start, comes whether there is room or not; what
        // was there when a policy made it refuse stays.
        let is_new = |copy: &&Copy| {
            copy.returns == 0 && !copy.is_recovered && copy.position >= queue.limited_from
        };
        let new = queue.ready.iter().filter(is_new).count() as u64;
        let bytes = self.bytes(queue.ready.iter().filter(is_new));
        if queue.may_refuse() && queue.is_exceeded_by(new, bytes) {
            let text = format!("{name}: {new} new ones are ready, {bytes} bytes, of {limits:?}");
            return Err(("limits", text));
        }
        Ok(())
    }

    /// Checks that what should have expired or gone has, now that nothing is under way.
    ///
    /// # Errors
    /// Names the checker and what is still there.
    pub fn check_departed(&self) -> Result<(), (&'static str, String)> {
        if self.is_stopped {
            return Ok(());
        }
        let now = self.now_ms();
        let is_asked = |queue: &&Queue| !queue.arguments.is_empty() || !queue.policy.is_empty();
        for queue in self.queues.values().filter(is_asked) {
            let name = &queue.name;
            self.check_room(queue)?;
            // Of more, some are tried later.
            let mut kept = queue.kept.iter().take(TRIED_AT_ONCE);
            if kept.any(|(copy, _)| self.must_go(queue, copy.message)) {
                return Err(("dead-letters", format!("{name}: one waits that can go")));
            }
            if queue.consumers.is_empty() && queue.expires_ms.is_some_and(|at| at <= now) {
                return Err(("expiry", format!("{name} is still there at {now} ms")));
            }
        }
        let timed =
            self.queues.values().filter_map(|queue| Some((queue, queue.first_to_expire()?)));
        match timed.map(|(queue, (deadline, _))| (deadline, &queue.name)).min() {
            Some((deadline, name)) if deadline <= now => {
                let text = format!("{name}: a message is ready at {now} ms, and till {deadline}");
                Err(("expiry", text))
            }
            _ => Ok(()),
        }
    }

    /// Whether dead letters are on their way.
    #[must_use]
    pub fn is_mourning(&self) -> bool {
        self.queues.values().any(|queue| !queue.dying.is_empty() || !queue.refused.is_empty())
    }
}

impl Message {
    /// Whether it ever died in this queue.
    pub(super) fn has_died_in(&self, queue: &str) -> bool {
        self.deaths.iter().any(|death| death.queue == queue)
    }

    /// Whether it would come to a queue in which it died before, without anybody's having rejected
    /// it since.
    fn has_come_round_to(&self, queue: &str) -> bool {
        let Some(at) = self.deaths.iter().position(|death| death.queue == queue) else {
            return false;
        };
        self.deaths[..=at].iter().all(|death| death.cause != Cause::Rejected)
    }
}

impl Death {
    fn told(&self) -> Value {
        let mut table = Table::new();
        if let Some(expiration) = &self.expiration {
            table.push(("original-expiration".into(), Value::text(expiration)));
        }
        let keys = self.keys.iter().map(|key| Value::text(key)).collect();
        for (name, value) in [
            ("count", Value::I64(self.count)),
            ("reason", Value::text(self.cause.name())),
            ("queue", Value::text(local(&self.queue))),
            ("time", Value::Time(self.seconds)),
            ("exchange", Value::text(&self.exchange)),
            ("routing-keys", Value::Array(keys)),
        ] {
            table.push((name.into(), value));
        }
        Value::Table(table)
    }
}

impl Properties {
    /// The properties as who is told how often a message came back sees them.
    #[must_use]
    pub(crate) fn with_returns(&self, count: u64) -> Self {
        let headers = self.headers().into_iter().flatten();
        let mut headers: Table =
            headers.filter(|(name, _)| name != "x-delivery-count").cloned().collect();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        headers.push(("x-delivery-count".into(), Value::I64(count)));
        headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut properties = self.clone();
        properties.set("headers", Argument::Table(headers));
        properties
    }
}
