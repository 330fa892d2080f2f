//! Exchanges, queues and bindings: declared, bound, deleted.

use std::collections::BTreeSet;

use super::choices::hash_on;
use super::duplicates::{self, Witness, deduplicating};
use super::names::{ROOT, local, qualified, resource, vhost_of};
use super::{ChannelKey, Expected, Fate, Model, Promise, Queue, QueueId, Refusal};
use crate::wire::{Method, Table, Value};

/// An exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exchange {
    /// Its type; of one for delayed messages, the type that it goes by.
    pub kind: String,
    /// Whether it is one for delayed messages.
    pub is_for_delayed: bool,
    /// Whether it is to survive a restart.
    pub is_durable: bool,
    /// Whether it goes with the last binding from it.
    pub is_auto_delete: bool,
    /// Whether clients may not publish to it.
    pub is_internal: bool,
    /// Where messages go that nothing takes.
    pub alternate: Option<String>,
    /// The same if no argument says that, as policies want it.
    pub alternate_by_policy: Option<String>,
    /// What a consistent hash goes by, if not by the routing key: the argument's name and text.
    pub hash_on: Option<(String, String)>,
    /// How many messages one keeps that keeps its last.
    pub history_len: u64,
    /// Its arguments that are about deduplication.
    pub deduplicating: Table,
}

impl Exchange {
    /// Whether a declaration of this one is one of the other too.
    fn is_same(&self, other: &Self) -> bool {
        let Self { alternate_by_policy, hash_on, history_len, kind, .. } = other.clone();
        // The type that one for delayed messages goes by is an argument like these.
        let kind = if self.is_for_delayed { kind } else { self.kind.clone() };
        Self { alternate_by_policy, hash_on, history_len, kind, ..self.clone() } == *other
    }
}

/// The type of exchanges for delayed messages.
const DELAYED: &str = "x-delayed-message";

/// The types of exchanges.
const KINDS: [&str; 10] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    DELAYED,
    "x-consistent-hash",
    "x-modulus-hash",
    "x-random",
    "x-local-random",
    "x-recent-history",
];

/// Whether there is such a type of exchanges.
pub(super) fn is_kind(name: &str) -> bool {
    KINDS.contains(&name)
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// To a queue.
    Queue(QueueId),
    /// To another exchange.
    Exchange(String),
}

/// A binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// From this exchange.
    pub source: String,
    /// To there.
    pub destination: Destination,
    /// The binding key.
    pub key: String,
    /// What headers exchanges go by.
    pub arguments: Table,
}

/// The exchanges that a virtual host has from its beginning.
pub(super) fn predeclared(vhost: &str) -> impl Iterator<Item = (String, Exchange)> + use<'_> {
    let kinds = [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
        ("amq.rabbitmq.trace", "topic"),
    ];
    let exchange = move |(name, kind): (&str, &str)| {
        let exchange = Exchange {
            kind: kind.into(),
            is_durable: true,
            is_internal: name == "amq.rabbitmq.trace",
            ..Exchange::default()
        };
        (qualified(vhost, name).into_owned(), exchange)
    };
    kinds.into_iter().map(exchange)
}

/// The type that an exchange for delayed messages of these arguments goes by.
fn delayed_type(arguments: &Table) -> Result<String, Refusal> {
    let named = arguments.iter().find(|(name, _)| name == "x-delayed-type");
    let text = match named.and_then(|(_, value)| value.as_text()) {
        Some(DELAYED) => "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
        Some(kind) if KINDS.contains(&kind) => return Ok(kind.into()),
        Some(kind) => return Err(Refusal::soft(406, format!("unknown exchange type '{kind}'"))),
        None => "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    };
    Err(Refusal::soft(406, text))
}

fn default_exchange() -> Refusal {
    Refusal::soft(403, "operation not permitted on the default exchange")
}

fn missing(what: &str, name: &str) -> Refusal {
    Refusal::soft(404, format!("no {}", resource(what, name)))
}

impl Model {
    /// The queue that a client means, if it may use it.
    pub(super) fn find_queue(&self, key: ChannelKey, name: &str) -> Result<QueueId, Refusal> {
        let queue = if name.is_empty() {
            // It is the name that counts: the queue may have been deleted and declared again.
            let last = self.channel(key).and_then(|channel| channel.queue_last.as_ref());
            let last = last.ok_or_else(|| Refusal::soft(404, "no previously declared queue"))?;
            let found = self.queues.get(&last.0).or_else(|| self.queue_named(&last.1));
            found.ok_or_else(|| Refusal::soft_any_text(404))?
        } else {
            self.queue_named(name).ok_or_else(|| missing("queue", name))?
        };
        if queue.owner.is_some_and(|owner| owner != key.0) {
            return Err(locked(&queue.name));
        }
        Ok(queue.id)
    }

    pub(super) fn declare_queue(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<(), Refusal> {
        let name = method.text("queue");
        if let Some(consumer) = self.reply_addresses.get(name) {
            let is_alive = self.consumers.contains_key(consumer);
            return if is_alive && method.bit("passive") {
                self.reply(key, Expected::ReplyAddressOk);
                Ok(())
            } else {
                Err(missing("queue", name))
            };
        }
        let queue = if method.bit("passive") {
            self.find_queue(key, name)?
        } else if let Some(queue) = self.queue_named(name) {
            check_equivalence(queue, key.0, method)?;
            queue.id
        } else {
            let said = local(name);
            if said.starts_with("amq.") {
                let text = format!("queue name '{said}' contains reserved prefix 'amq.*'");
                return Err(Refusal::soft(403, text));
            }
            duplicates::check(method.table("arguments"))?;
            self.check_queues(key.0, name)?;
            self.create_queue(key, method)
        };
        if !method.bit("passive") {
            self.renew(queue);
        }
        let name = self.queues[&queue].name.clone();
        self.channel_mut(key).queue_last = Some((queue, name));
        self.touched = Some(queue);
        if !method.bit("nowait") {
            let status = &self.queues[&queue];
            let ready = status.ready.len() as u64;
            let taken = status.taken_now;
            let consumers = status.consumers.len() as u64;
            let reply = Expected::DeclareOk { queue, ready, taken, consumers };
            let reply = if status.is_durable && !method.bit("passive") {
                let name = Some((status.name.clone(), status.batch));
                let promise = Promise { batch: status.batch, messages: Vec::new(), name };
                Expected::Promise(Box::new(reply), promise)
            } else {
                reply
            };
            self.reply(key, reply);
        }
        Ok(())
    }

    fn create_queue(&mut self, key: ChannelKey, method: &Method) -> QueueId {
        let id = QueueId(self.next_number());
        let name = match method.text("queue") {
            "" => self.name_given().unwrap_or_else(|| {
                self.fault("protocol", "a queue is given no name that it can have".into());
                format!("amq.gen-{}", id.0)
            }),
            name => name.to_owned(),
        };
        let mut queue = Queue::new(id, name);
        queue.owner = method.bit("exclusive").then_some(key.0);
        queue.is_durable = method.bit("durable") && queue.owner.is_none();
        queue.is_auto_delete = method.bit("auto-delete");
        queue.arguments = meaningful(method.table("arguments"));
        queue.policy = self.policy_of(&queue);
        queue.batch = self.history.batch;
        if queue.is_durable {
            // Elsewhere, others may have the same name, which is all that the disk is asked for.
            if vhost_of(&queue.name) == ROOT {
                self.history.names.insert((queue.name.clone(), queue.batch), None);
            }
            self.ever_declared.insert(local(&queue.name).to_owned());
        }
        self.queues.insert(id, queue);
        id
    }

    pub(super) fn delete_queue_by(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<(), Refusal> {
        let name = method.text("queue");
        let mut count = 0;
        let mut is_durable = false;
        if name.is_empty() || self.queue_named(name).is_some() {
            let id = self.find_queue(key, name)?;
            let queue = &self.queues[&id];
            if method.bit("if-unused") && !queue.consumers.is_empty() {
                return Err(Refusal::soft_any_text(406));
            }
            if method.bit("if-empty") && !queue.ready.is_empty() {
                return Err(Refusal::soft_any_text(406));
            }
            count = queue.ready.len() as u64;
            is_durable = queue.is_durable;
            self.delete_queue(id);
        }
        if !method.bit("nowait") {
            self.reply_durably(key, Expected::Count("queue.delete-ok", count), is_durable, None);
        }
        Ok(())
    }

    /// A virtual host is gone, with all that is in it.
    pub(super) fn empty_vhost(&mut self, vhost: &str) {
        let queues = self.queues.values().filter(|queue| vhost_of(&queue.name) == vhost);
        for id in queues.map(|queue| queue.id).collect::<Vec<_>>() {
            self.delete_queue(id);
        }
        let exchanges = self.exchanges.keys().filter(|name| vhost_of(name) == vhost);
        for name in exchanges.cloned().collect::<Vec<_>>() {
            self.delete_exchange(&name);
        }
    }

    /// The queue goes, with its messages, bindings and consumers.
    pub(super) fn delete_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        self.tally_gone(&queue);
        self.seen.remove(&Witness::Queue(id));
        for message in self.messages.iter_mut() {
            if let Some(Fate::Ready | Fate::Held | Fate::Dying) = message.fates.get(id) {
                message.fates.insert(id, Fate::Dropped);
            }
        }
        for consumer in queue.consumers {
            let Some(consumer) = self.consumers.remove(&consumer) else { continue };
            let wants_cancels = self.connections[&consumer.channel.0].wants_cancels;
            let channel = self.channel_mut(consumer.channel);
            channel.consumers.remove(&consumer.tag);
            if wants_cancels && !queue.is_hidden {
                channel.cancels.push(consumer.tag);
            }
        }
        self.remove_bindings(|binding| binding.destination == Destination::Queue(id));
    }

    pub(super) fn purge(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let id = self.find_queue(key, method.text("queue"))?;
        self.touched = Some(id);
        let queue = self.queues.get_mut(&id).expect("a queue that was found");
        let purged = std::mem::take(&mut queue.ready);
        queue.purged += purged.len() as u64;
        queue.is_vague |= !queue.dying.is_empty();
        for copy in &purged {
            self.messages[copy.message].fates.insert(id, Fate::Purged);
        }
        if !method.bit("nowait") {
            self.reply(key, Expected::Count("queue.purge-ok", purged.len() as u64));
        }
        Ok(())
    }

    pub(super) fn declare_exchange(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<(), Refusal> {
        let (name, kind) = (method.text("exchange"), method.text("type"));
        let is_passive = method.bit("passive");
        if !is_passive && !KINDS.contains(&kind) {
            return Err(Refusal::soft(406, format!("unknown exchange type '{kind}'")));
        }
        if name.is_empty() {
            return Err(default_exchange());
        }
        let mut is_new = false;
        let alternate = method.table("arguments").iter();
        let mut alternate = alternate.filter(|(name, _)| name == "alternate-exchange");
        let wanted = Exchange {
            kind: match kind {
                DELAYED => delayed_type(method.table("arguments")).unwrap_or_default(),
                kind => kind.into(),
            },
            is_for_delayed: kind == DELAYED,
            is_durable: method.bit("durable"),
            is_auto_delete: method.bit("auto-delete"),
            is_internal: method.bit("internal"),
            alternate: alternate.next().and_then(|(_, value)| value.as_text()).map(Into::into),
            alternate_by_policy: self.alternate_by(name),
            hash_on: hash_on(method.table("arguments")),
            history_len: history_len(method.table("arguments")).unwrap_or(0),
            deduplicating: deduplicating(method.table("arguments")),
        };
        match self.exchanges.get(name) {
            None if is_passive => return Err(missing("exchange", name)),
            Some(existing) if !is_passive && !existing.is_same(&wanted) => {
                return Err(Refusal::soft_any_text(406));
            }
            None if local(name).starts_with("amq.") => {
                let name = local(name);
                let text = format!("exchange name '{name}' contains reserved prefix 'amq.*'");
                return Err(Refusal::soft(403, text));
            }
            None => {
                duplicates::check(&wanted.deduplicating)?;
                if wanted.is_for_delayed {
                    delayed_type(method.table("arguments"))?;
                }
                check_arguments(&wanted.kind, method.table("arguments"))?;
                if wanted.is_durable && vhost_of(name) == ROOT {
                    self.history.names.insert((name.to_owned(), self.history.batch), None);
                }
                self.exchanges.insert(name.to_owned(), wanted);
                is_new = true;
            }
            Some(_) => {}
        }
        if !method.bit("nowait") {
            let is_durable = is_new && self.exchanges[name].is_durable;
            let reply = Expected::Method("exchange.declare-ok");
            self.reply_durably(key, reply, is_durable, Some(name));
        }
        Ok(())
    }

    pub(super) fn delete_exchange_by(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<(), Refusal> {
        let name = method.text("exchange");
        if name.is_empty() {
            return Err(default_exchange());
        }
        if local(name).starts_with("amq.") {
            return Err(Refusal::soft_any_text(403));
        }
        let is_used = self.bindings.iter().any(|binding| binding.source == name);
        if method.bit("if-unused") && is_used {
            return Err(Refusal::soft(406, format!("{} in use", resource("exchange", name))));
        }
        let is_durable = self.exchanges.get(name).is_some_and(|exchange| exchange.is_durable);
        self.delete_exchange(name);
        if !method.bit("nowait") {
            let reply = Expected::Method("exchange.delete-ok");
            self.reply_durably(key, reply, is_durable, None);
        }
        Ok(())
    }

    fn delete_exchange(&mut self, name: &str) {
        if self.exchanges.remove(name).is_some() {
            self.bindings.retain(|binding| binding.source != name);
            self.recent.remove(name);
            self.seen.remove(&Witness::Exchange(name.to_owned()));
            let destination = Destination::Exchange(name.to_owned());
            self.remove_bindings(|binding| binding.destination == destination);
        }
    }

    /// Removes bindings, and the auto-delete exchanges that they leave without any.
    fn remove_bindings(&mut self, is_removed: impl Fn(&Binding) -> bool) {
        let (removed, kept) = std::mem::take(&mut self.bindings).into_iter().partition(is_removed);
        self.bindings = kept;
        let removed: Vec<Binding> = removed;
        let sources: BTreeSet<String> = removed.into_iter().map(|b| b.source).collect();
        for source in sources {
            let is_left = self.bindings.iter().any(|binding| binding.source == source);
            let goes = self.exchanges.get(&source).is_some_and(|x| x.is_auto_delete);
            if goes && !is_left {
                self.delete_exchange(&source);
            }
        }
    }

    pub(super) fn bind(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let binding = self.binding(key, method, true)?;
        let arguments = &binding.arguments;
        let kind = &self.exchanges[&binding.source].kind;
        let rule = arguments.iter().find(|(name, _)| name == "x-match");
        let rule = rule.map_or(Some("all"), |(_, value)| value.as_text());
        let rules = ["all", "any", "all-with-x", "any-with-x"];
        if kind == "headers" && !rule.is_some_and(|rule| rules.contains(&rule)) {
            return Err(Refusal::soft_any_text(406));
        }
        match kind.as_str() {
            "x-consistent-hash" => check_weight(&binding.key)?,
            "x-local-random" => self.check_local(&binding)?,
            _ => {}
        }
        let is_history = kind == "x-recent-history";
        let mut is_durable = false;
        if !self.bindings.contains(&binding) {
            is_durable = self.is_durable(&binding);
            self.bindings.push(binding.clone());
            if is_history {
                self.replay(&binding.source, &binding.destination);
            }
        }
        if !method.bit("nowait") {
            let name = if method.id().0 == 40 { "exchange.bind-ok" } else { "queue.bind-ok" };
            self.reply_durably(key, Expected::Method(name), is_durable, None);
        }
        Ok(())
    }

    pub(super) fn unbind(&mut self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let is_exchange = method.id().0 == 40;
        let mut is_durable = false;
        if let Ok(unbound) = self.binding(key, method, false) {
            is_durable = self.bindings.contains(&unbound) && self.is_durable(&unbound);
            self.remove_bindings(|binding| *binding == unbound);
        } else {
            // What is not there is unbound already; what one may not touch is refused.
            match self.binding(key, method, false) {
                Err(refusal) if refusal.codes != [404] => return Err(refusal),
                Err(refusal) if !is_exchange && method.text("queue").is_empty() => {
                    return Err(refusal);
                }
                _ => {}
            }
        }
        let (name, is_nowait) = if is_exchange {
            ("exchange.unbind-ok", method.bit("nowait"))
        } else {
            ("queue.unbind-ok", false)
        };
        if !is_nowait {
            self.reply_durably(key, Expected::Method(name), is_durable, None);
        }
        Ok(())
    }

    /// A reply that promises something if what changed is durable.
    fn reply_durably(
        &mut self,
        key: ChannelKey,
        reply: Expected,
        is_durable: bool,
        name: Option<&str>,
    ) {
        let reply = if is_durable { self.promise(reply, name) } else { reply };
        self.reply(key, reply);
    }

    fn binding(&self, key: ChannelKey, method: &Method, is_new: bool) -> Result<Binding, Refusal> {
        let is_exchange = method.id().0 == 40;
        let source = method.text(if is_exchange { "source" } else { "exchange" });
        let mut routing_key = method.text("routing-key").to_owned();
        let arguments = method.table("arguments").clone();
        let destination = if is_exchange {
            let name = method.text("destination");
            if name.is_empty() || source.is_empty() {
                return Err(default_exchange());
            }
            if !self.exchanges.contains_key(name) {
                return Err(Refusal::soft_any_text(404));
            }
            Destination::Exchange(name.to_owned())
        } else {
            let name = method.text("queue");
            if source.is_empty() && !name.is_empty() {
                return Err(default_exchange());
            }
            let queue = match self.find_queue(key, name) {
                // For a new binding the exchange is looked up first.
                Err(_) if is_new && !source.is_empty() && !self.exchanges.contains_key(source) => {
                    return Err(missing("exchange", source));
                }
                found => found?,
            };
            if source.is_empty() {
                return Err(default_exchange());
            }
            if name.is_empty() && routing_key.is_empty() && is_new {
                local(&self.queues[&queue].name).clone_into(&mut routing_key);
            }
            Destination::Queue(queue)
        };
        if !self.exchanges.contains_key(source) {
            return Err(missing("exchange", source));
        }
        Ok(Binding { source: source.to_owned(), destination, key: routing_key, arguments })
    }
}

impl Model {
    /// Whether an exchange may be bound so that goes to queues of its own node.
    fn check_local(&self, binding: &Binding) -> Result<(), Refusal> {
        if !binding.key.is_empty() {
            let text = format!("Non empty binding '{}' key not permitted", binding.key);
            return Err(Refusal::soft(406, text));
        }
        let Destination::Queue(queue) = &binding.destination else {
            return Err(Refusal::soft(406, "Destination not found"));
        };
        match self.queues[queue].is_quorum() {
            true => Err(Refusal::soft_any_text(406)),
            false => Ok(()),
        }
    }
}

fn check_arguments(kind: &str, arguments: &Table) -> Result<(), Refusal> {
    let has = |wanted: &str| arguments.iter().any(|(name, _)| name == wanted);
    let properties = ["correlation_id", "message_id", "timestamp"];
    match (kind, hash_on(arguments)) {
        ("x-consistent-hash", _) if has("hash-header") && has("hash-property") => {
            Err(Refusal::soft(406, "hash-header and hash-property are mutually exclusive"))
        }
        ("x-consistent-hash", None) if has("hash-header") || has("hash-property") => {
            Err(Refusal::soft_any_text(406))
        }
        ("x-consistent-hash", Some((argument, name)))
            if argument == "hash-property" && !properties.contains(&name.as_str()) =>
        {
            Err(Refusal::soft(406, format!("Unsupported property: {name}")))
        }
        ("x-recent-history", _) if history_len(arguments).is_none() => {
            Err(Refusal::soft_any_text(406))
        }
        _ => Ok(()),
    }
}

/// How many messages an exchange of these arguments keeps, if they make sense.
fn history_len(arguments: &Table) -> Option<u64> {
    let len = arguments.iter().find(|(name, _)| name == "x-recent-history-length");
    match len.map(|(_, value)| value) {
        None => Some(20),
        Some(Value::I32(len)) => u64::try_from(*len).ok().filter(|len| *len > 0),
        Some(Value::I64(len)) => u64::try_from(*len).ok().filter(|len| *len > 0),
        Some(_) => None,
    }
}

fn check_weight(key: &str) -> Result<(), Refusal> {
    match key.parse::<i64>() {
        Err(_) => {
            let key = if key.is_empty() { String::new() } else { format!("\"{key}\"") };
            Err(Refusal::soft(406, format!("The binding key must be an integer: <<{key}>>")))
        }
        Ok(..1) => Err(Refusal::soft(406, "The binding key must be greater than 0")),
        Ok(1..=10_000) => Ok(()),
        Ok(_) => Err(Refusal::soft(406, "The binding key must not exceed 10000")),
    }
}

fn locked(name: &str) -> Refusal {
    Refusal::soft(
        405,
        format!(
            "cannot obtain exclusive access to {}. It could be originally declared on another \
             connection or the exclusive property value does not match that of the original \
             declaration.",
            resource("locked queue", name)
        ),
    )
}

fn check_equivalence(queue: &Queue, link: usize, method: &Method) -> Result<(), Refusal> {
    let owner = method.bit("exclusive").then_some(link);
    if queue.owner != owner {
        return Err(locked(&queue.name));
    }
    let is_durable = method.bit("durable") && owner.is_none();
    let pairs = [
        ("durable", is_durable, queue.is_durable),
        ("auto_delete", method.bit("auto-delete"), queue.is_auto_delete),
    ];
    for (name, received, current) in pairs {
        if received != current {
            let text = format!(
                "inequivalent arg '{name}' for {}: received '{received}' but current is \
                 '{current}'",
                resource("queue", &queue.name)
            );
            return Err(Refusal::soft(406, text));
        }
    }
    if meaningful(method.table("arguments")) != queue.arguments {
        return Err(Refusal::soft_any_text(406));
    }
    Ok(())
}

/// The arguments that make a queue what it is, by name: unknown ones and the default type do not.
pub(super) fn meaningful(arguments: &Table) -> Table {
    let known = [
        "x-cache-size",
        "x-cache-ttl",
        "x-consumer-timeout",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-deduplication-header",
        "x-delivery-limit",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-message-deduplication",
        "x-message-ttl",
        "x-overflow",
        "x-queue-type",
        "x-single-active-consumer",
    ];
    let is_default =
        |name: &str, value: &Value| name == "x-queue-type" && *value == Value::text("classic");
    let is_known = |(name, value): &&(String, Value)| {
        known.contains(&name.as_str()) && !is_default(name, value)
    };
    // Integers of any type are the same by value.
    let wide = |(name, value): &(String, Value)| match value {
        Value::I32(number) => (name.clone(), Value::I64((*number).into())),
        value => (name.clone(), value.clone()),
    };
    let mut meaningful: Table = arguments.iter().filter(is_known).map(wide).collect();
    meaningful.sort_by(|(a, _), (b, _)| a.cmp(b));
    meaningful
}
