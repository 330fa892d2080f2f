//! Writes down what clients did as a plan.
//!
//! The plan has the clients' operations in their order, with the time between them. What only the
//! broker can name, a queue or a consumer, gets a name. Bodies become bodies of that length; of the
//! properties there is what the broker looks at. What a plan cannot say is left out.

use std::collections::{BTreeMap, VecDeque};

use crate::judge::{Said, Told};
use crate::model::{AccessWish, Claim, Intervention, ROOT, Wish, local, vhost_of};
use crate::plan::{Plan, Setup, Step, Who};
use crate::wire::{Frame, Incoming, Method, Properties, Table, Value};

/// Clients of plans have numbers up to this one.
const CLIENT_MAX: u8 = 249;
/// Shorter times are not worth a step, in nanoseconds.
const WAIT_MIN_NS: u64 = 1_000_000;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Scribe {
    setup: Setup,
    steps: Vec<Step>,
    clients: BTreeMap<usize, Client>,
    /// What only the broker could name.
    renamed: BTreeMap<String, String>,
    /// The time that the last wait has come to.
    waited_until: u64,
    now: u64,
    /// A message was delivered since the last wait: whoever settles it must have got it.
    has_delivered: bool,
}

#[derive(Debug)]
struct Client {
    number: u8,
    /// The step by which it connects.
    connect: Option<usize>,
    is_closing: bool,
    channels: BTreeMap<u16, Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    publish: Option<Method>,
    unsettled: Vec<u64>,
    no_ack: BTreeMap<String, bool>,
    gets: VecDeque<bool>,
    /// The steps whose queues and consumers the broker is to name.
    unnamed_queues: VecDeque<usize>,
    unnamed_consumers: VecDeque<(usize, bool)>,
}

impl Scribe {
    pub(super) fn new(setup: &Setup) -> Self {
        // Longer segments would cost the simulator's disk much time and memory.
        let segment_len = setup.segment_len.min(Setup::default().segment_len);
        Self {
            setup: Setup { segment_len, ..setup.clone() },
            steps: Vec::new(),
            clients: BTreeMap::new(),
            renamed: BTreeMap::new(),
            waited_until: 0,
            now: 0,
            has_delivered: false,
        }
    }

    /// The number of the client behind a new link: the first that is free, if one is.
    pub(super) fn client_of(&mut self, link: usize) -> u8 {
        let taken: Vec<u8> = self.clients.values().map(|client| client.number).collect();
        let free = (1..=CLIENT_MAX).find(|number| !taken.contains(number));
        let number = free.unwrap_or(CLIENT_MAX);
        let (connect, channels) = (None, BTreeMap::new());
        self.clients.insert(link, Client { number, connect, is_closing: false, channels });
        number
    }

    /// The plan of all that was written down.
    pub(super) fn plan(self) -> Plan {
        Plan { setup: self.setup, steps: self.steps }
    }

    /// The broker was told this, and then said that.
    pub(super) fn note<'a>(
        &mut self,
        now: u64,
        told: impl Iterator<Item = &'a Told>,
        said: &[Said],
    ) {
        self.now = now;
        told.for_each(|told| self.hear(told));
        for said in said {
            match said {
                Said::Sent(link, Incoming::Method(channel, method)) => {
                    self.answer(*link, *channel, method);
                }
                Said::Sent(link, Incoming::Content(channel, method, ..)) => {
                    self.deliver(*link, *channel, method);
                }
                Said::Closed(link) => {
                    self.clients.remove(link);
                }
                _ => {}
            }
        }
    }

    fn push(&mut self, step: Step) {
        let passed = self.now - self.waited_until;
        let settles = matches!(step.verb(), "ack" | "nack" | "reject" | "recover");
        if passed >= WAIT_MIN_NS || settles && self.has_delivered {
            self.steps.push(Step::wait(passed.max(WAIT_MIN_NS) / 1000));
            self.waited_until = self.now;
            self.has_delivered = false;
        }
        self.steps.push(step);
    }

    fn hear(&mut self, told: &Told) {
        match told {
            Told::Connected(link, number, operator) => {
                let connect = Step::new(Who::Client(*number), "connect");
                self.push(connect.flag("operator", operator.is_some()));
                let at = self.steps.len() - 1;
                if let Some(client) = self.clients.get_mut(link) {
                    client.connect = Some(at);
                }
            }
            Told::Frame(link, Frame::Method(0, method)) => self.on_connection(*link, method),
            Told::Frame(link, Frame::Method(number, method)) => {
                self.on_channel(*link, *number, method);
            }
            Told::Frame(link, Frame::Header { channel, body_len, properties, .. }) => {
                self.publish(*link, *channel, *body_len, properties);
            }
            Told::Closed(link) => {
                if let Some(client) = self.clients.remove(link)
                    && !client.is_closing
                {
                    self.push(Step::new(Who::Client(client.number), "eof"));
                }
            }
            // What the password was, nobody knows. In a plan it is everybody's the same.
            Told::Verified(link, false) => {
                let connect = self.clients.get(link).and_then(|client| client.connect);
                if let Some(connect) = connect.and_then(|at| self.steps.get_mut(at)) {
                    *connect = connect.clone().with("password", "wrong");
                }
            }
            Told::Stopped(_) => self.push(Step::new(Who::World, "stop")),
            Told::Command(_, wish) => wished(wish).into_iter().for_each(|step| self.push(step)),
            _ => {}
        }
    }

    fn on_connection(&mut self, link: usize, method: &Method) {
        let Some(client) = self.clients.get_mut(&link) else { return };
        let who = Who::Client(client.number);
        let connect = client.connect.and_then(|at| self.steps.get_mut(at));
        match (method.name(), connect) {
            ("connection.start-ok", Some(connect)) => {
                let properties = method.table("client-properties");
                let is_plain = !properties.iter().any(|(name, _)| name == "capabilities");
                let is_amqplain = method.text("mechanism") == "AMQPLAIN";
                let mut step = connect.clone();
                let claim = Claim::read(method.text("mechanism"), method.blob("response"));
                if let Some(claim) = claim.filter(|claim| claim.user != "guest") {
                    step = step.with("user", word(&claim.user));
                }
                *connect = step.flag("plain_client", is_plain).flag("amqplain", is_amqplain);
            }
            ("connection.tune-ok", Some(connect)) => {
                *connect = connect
                    .clone()
                    .with("frame_max", method.number("frame-max"))
                    .with("channel_max", method.number("channel-max"))
                    .with("heartbeat_s", method.number("heartbeat"));
            }
            ("connection.open", Some(connect)) if method.text("virtual-host") != "/" => {
                *connect = connect.clone().with("vhost", word(method.text("virtual-host")));
            }
            ("connection.close", _) => {
                client.is_closing = true;
                self.push(Step::new(who, "close"));
            }
            ("connection.close-ok", _) => client.is_closing = true,
            ("connection.update-secret", _) => self.push(Step::new(who, "update-secret")),
            _ => {}
        }
    }

    fn on_channel(&mut self, link: usize, number: u16, method: &Method) {
        let Some(client) = self.clients.get_mut(&link) else { return };
        let who = Who::Channel(client.number, number);
        let channel = client.channels.entry(number).or_default();
        if method.name() == "basic.publish" {
            channel.publish = Some(method.clone());
            return;
        }
        let settled = settle(channel, who, method);
        let Some(step) = settled.or_else(|| self.step(who, method)) else { return };
        self.push(step);
        self.note_unnamed(link, number, method);
    }

    /// Remembers what the answer to the last step is to name, and what is needed to settle.
    fn note_unnamed(&mut self, link: usize, number: u16, method: &Method) {
        let at = self.steps.len() - 1;
        let Some(client) = self.clients.get_mut(&link) else { return };
        let channel = client.channels.entry(number).or_default();
        match method.name() {
            "channel.open" => *channel = Channel::default(),
            "queue.declare" if method.text("queue").is_empty() => {
                channel.unnamed_queues.push_back(at);
            }
            "basic.consume" if method.text("consumer-tag").is_empty() => {
                channel.unnamed_consumers.push_back((at, method.bit("no-ack")));
            }
            "basic.consume" => {
                let tag = method.text("consumer-tag").to_owned();
                channel.no_ack.insert(tag, method.bit("no-ack"));
            }
            "basic.get" => channel.gets.push_back(method.bit("no-ack")),
            _ => {}
        }
    }

    fn step(&self, who: Who, method: &Method) -> Option<Step> {
        let new = |verb| Step::new(who, verb);
        let text = |step: Step, key, name| self.with_name(step, key, method.text(name));
        let flags = |step: Step, flags: &[(&str, &str)]| {
            flags.iter().fold(step, |step, (flag, name)| step.flag(flag, method.bit(name)))
        };
        let nowait = ("nowait", "nowait");
        Some(match method.name() {
            "channel.open" => new("open"),
            "channel.close" => new("close"),
            "channel.flow" => new("flow").flag("stop", !method.bit("active")),
            "confirm.select" => flags(new("confirm"), &[nowait]),
            "tx.select" => new("tx"),
            "tx.commit" => new("commit"),
            "tx.rollback" => new("rollback"),
            "queue.declare" => {
                let step = text(new("declare"), "q", "queue");
                let step = with_table(step, "arg", method.table("arguments"), &[]);
                let auto_delete = ("auto_delete", "auto-delete");
                let (durable, exclusive) = (("durable", "durable"), ("exclusive", "exclusive"));
                flags(step, &[durable, exclusive, auto_delete, ("passive", "passive"), nowait])
            }
            "queue.delete" => {
                let step = text(new("delete"), "q", "queue");
                flags(step, &[("if_unused", "if-unused"), ("if_empty", "if-empty"), nowait])
            }
            "queue.purge" => flags(text(new("purge"), "q", "queue"), &[nowait]),
            "queue.bind" => flags(self.binding(new("bind"), method), &[nowait]),
            "queue.unbind" => self.binding(new("unbind"), method),
            "exchange.declare" => {
                let step = text(text(new("xdeclare"), "x", "exchange"), "type", "type");
                let step = match find(method.table("arguments"), "alternate-exchange") {
                    Some(Value::Text(name)) => {
                        step.with("alternate", word(&String::from_utf8_lossy(name)))
                    }
                    _ => step,
                };
                let arguments = method.table("arguments");
                let step = with_table(step, "arg", arguments, &["alternate-exchange"]);
                let auto_delete = ("auto_delete", "auto-delete");
                let (durable, internal) = (("durable", "durable"), ("internal", "internal"));
                flags(step, &[durable, auto_delete, internal, ("passive", "passive"), nowait])
            }
            "exchange.delete" => {
                flags(text(new("xdelete"), "x", "exchange"), &[("if_unused", "if-unused"), nowait])
            }
            "exchange.bind" => flags(self.exchange_binding(new("xbind"), method), &[nowait]),
            "exchange.unbind" => flags(self.exchange_binding(new("xunbind"), method), &[nowait]),
            "basic.consume" => {
                let step = text(text(new("consume"), "q", "queue"), "tag", "consumer-tag");
                let arguments = [("priority", "x-priority"), ("timeout", "x-consumer-timeout")];
                let step = arguments.into_iter().fold(step, |step, (key, name)| {
                    match find(method.table("arguments"), name) {
                        Some(Value::I32(number)) => step.with(key, number),
                        _ => step,
                    }
                });
                flags(step, &[("no_ack", "no-ack"), ("exclusive", "exclusive"), nowait])
            }
            "basic.cancel" => flags(text(new("cancel"), "tag", "consumer-tag"), &[nowait]),
            "basic.get" => flags(text(new("get"), "q", "queue"), &[("no_ack", "no-ack")]),
            "basic.qos" => new("qos")
                .with("count", method.number("prefetch-count"))
                .with("size", method.number("prefetch-size"))
                .flag("global", method.bit("global")),
            "basic.recover" => new("recover").flag("drop", !method.bit("requeue")),
            "basic.recover-async" => {
                new("recover").flag("async", true).flag("drop", !method.bit("requeue"))
            }
            _ => return None,
        })
    }

    fn binding(&self, step: Step, method: &Method) -> Step {
        let step = self.with_name(step, "q", method.text("queue"));
        let step = self.with_name(step, "x", method.text("exchange"));
        self.with_rule(step, method)
    }

    fn exchange_binding(&self, step: Step, method: &Method) -> Step {
        let step = self.with_name(step, "to", method.text("destination"));
        let step = self.with_name(step, "from", method.text("source"));
        self.with_rule(step, method)
    }

    fn with_rule(&self, step: Step, method: &Method) -> Step {
        let step = self.with_name(step, "key", method.text("routing-key"));
        let arguments = method.table("arguments");
        let step = match find(arguments, "x-match") {
            Some(Value::Text(rule)) => step.with("match", word(&String::from_utf8_lossy(rule))),
            _ => step,
        };
        with_table(step, "headers", arguments, &["x-match"])
    }

    fn publish(&mut self, link: usize, number: u16, body_len: u64, properties: &Properties) {
        let Some(client) = self.clients.get_mut(&link) else { return };
        let who = Who::Channel(client.number, number);
        let channel = client.channels.entry(number).or_default();
        let Some(method) = channel.publish.take() else { return };
        let step = Step::new(who, "publish");
        let step = self.with_name(step, "x", method.text("exchange"));
        let mut step = self.with_name(step, "key", method.text("routing-key"));
        if body_len > 0 {
            step = step.with("body", body_len);
        }
        for (key, name) in [("reply_to", "reply-to"), ("user", "user-id")] {
            if let Some(text) = properties.text(name) {
                step = self.with_name(step, key, text);
            }
        }
        if let Some(priority) = properties.number("priority") {
            step = step.with("priority", priority);
        }
        if let Some(headers) = properties.headers() {
            for (key, name) in [("cc", "CC"), ("bcc", "BCC")] {
                if let Some(Value::Array(keys)) = find(headers, name) {
                    let keys: Vec<_> = keys.iter().filter_map(Value::as_text).map(word).collect();
                    step = step.with(key, keys.join(","));
                }
            }
            step = with_table(step, "headers", headers, &["CC", "BCC"]);
        }
        let step = step
            .flag("mandatory", method.bit("mandatory"))
            .flag("immediate", method.bit("immediate"))
            .flag("persistent", properties.number("delivery-mode") == Some(2));
        self.push(step);
    }

    /// The broker answers, and names what it was to name.
    fn answer(&mut self, link: usize, number: u16, method: &Method) {
        let Some(client) = self.clients.get_mut(&link) else { return };
        let Some(channel) = client.channels.get_mut(&number) else { return };
        let (at, key, name) = match method.name() {
            "queue.declare-ok" if method.text("queue").starts_with("amq.gen-") => {
                let Some(at) = channel.unnamed_queues.pop_front() else { return };
                (at, "q", method.text("queue"))
            }
            "basic.consume-ok" if method.text("consumer-tag").starts_with("amq.ctag-") => {
                let Some((at, no_ack)) = channel.unnamed_consumers.pop_front() else { return };
                let tag = method.text("consumer-tag");
                channel.no_ack.insert(tag.to_owned(), no_ack);
                (at, "tag", tag)
            }
            "basic.get-empty" => {
                channel.gets.pop_front();
                return;
            }
            "channel.close" => {
                client.channels.remove(&number);
                return;
            }
            _ => return,
        };
        let short = format!("{key}{}", self.renamed.len() + 1);
        self.steps[at] = self.steps[at].clone().with(key, &short);
        self.renamed.insert(name.to_owned(), short);
    }

    fn deliver(&mut self, link: usize, number: u16, method: &Method) {
        let Some(client) = self.clients.get_mut(&link) else { return };
        let Some(channel) = client.channels.get_mut(&number) else { return };
        let no_ack = match method.name() {
            "basic.deliver" => channel.no_ack.get(method.text("consumer-tag")).copied(),
            "basic.get-ok" => channel.gets.pop_front(),
            _ => return,
        };
        self.has_delivered = true;
        if no_ack != Some(true) {
            channel.unsettled.push(method.number("delivery-tag"));
        }
    }

    /// The step with a name, if it is not empty.
    fn with_name(&self, step: Step, key: &str, name: &str) -> Step {
        match (self.renamed.get(name), name) {
            (_, "") => step,
            (Some(short), _) => step.with(key, short),
            (None, name) => step.with(key, word(name)),
        }
    }
}

/// Which of what is unsettled a client settles.
fn settle(channel: &mut Channel, who: Who, method: &Method) -> Option<Step> {
    let verb = match method.name() {
        "basic.ack" => "ack",
        "basic.nack" => "nack",
        "basic.reject" => "reject",
        "basic.recover" | "basic.recover-async" if method.bit("requeue") => {
            channel.unsettled.clear();
            return None;
        }
        _ => return None,
    };
    let tag = method.number("delivery-tag");
    let is_multiple = verb != "reject" && method.bit("multiple");
    let nth = channel.unsettled.iter().position(|unsettled| *unsettled == tag);
    let step = Step::new(who, verb);
    let step = match nth {
        _ if is_multiple && tag == 0 => step.flag("all", true),
        Some(nth) => step.with("nth", nth).flag("multiple", is_multiple),
        None => step.with("tag", tag).flag("multiple", is_multiple),
    };
    let is_settled = |other: u64| other == tag || is_multiple && (other < tag || tag == 0);
    channel.unsettled.retain(|other| !is_settled(*other));
    Some(step.flag("requeue", verb != "ack" && method.bit("requeue")))
}

fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    table.iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// The step with a table, but for some of its entries and those that plans cannot say.
fn with_table(step: Step, key: &str, table: &Table, but: &[&str]) -> Step {
    let entry = |(name, value): &(String, Value)| {
        let value = match value {
            Value::I32(number) => number.to_string(),
            Value::I64(number) => i32::try_from(*number).ok()?.to_string(),
            Value::Text(text) => word(std::str::from_utf8(text).ok()?),
            Value::Bool(flag) => flag.to_string(),
            Value::Void => String::new(),
            _ => return None,
        };
        Some(format!("{}:{value}", word(name)))
    };
    let entries = table.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    let entries: Vec<String> = entries.filter_map(entry).collect();
    if entries.is_empty() { step } else { step.with(key, entries.join(",")) }
}

/// The step of a wish, as far as a plan can say it.
fn wished(wish: &Wish) -> Option<Step> {
    match wish {
        Wish::Set(key, policy) => {
            let step = at(&key.vhost, Step::new(Who::World, "policy"))
                .with("name", word(&key.name))
                .with("pattern", word(&policy.pattern))
                .with("apply", &policy.apply_to)
                .with("priority", policy.priority)
                .with("arg", asked(&policy.definition));
            Some(step.flag("operator", key.is_operator))
        }
        Wish::Unset(key) => {
            let step = at(&key.vhost, Step::new(Who::World, "unpolicy"));
            Some(step.with("name", word(&key.name)).flag("operator", key.is_operator))
        }
        Wish::Access(wish) => access(wish),
        Wish::Intervene(wish) => Some(intervention(wish)),
        Wish::Other => None,
    }
}

/// What a table asks for, as a step has it.
fn asked(table: &Table) -> String {
    let entry = |(key, value): &(String, Value)| {
        let value = match value {
            Value::Text(text) if text.is_empty() => "''".to_owned(),
            Value::Text(text) => word(&String::from_utf8_lossy(text)),
            Value::I32(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        Some(format!("{}:{value}", word(key)))
    };
    table.iter().filter_map(entry).collect::<Vec<_>>().join(",")
}

/// The step about what is in a virtual host.
fn at(vhost: &str, step: Step) -> Step {
    if vhost == ROOT { step } else { step.with("vhost", word(vhost)) }
}

/// The step of a wish about one queue or one message.
fn intervention(wish: &Intervention) -> Step {
    let of = |verb: &str, queue: &str| {
        at(vhost_of(queue), Step::new(Who::World, verb)).with("q", word(local(queue)))
    };
    match wish {
        Intervention::Arguments(queue, arguments) => {
            of("arguments", queue).with("arg", asked(arguments))
        }
        Intervention::Pause(queue, true) => of("pause_queue", queue),
        Intervention::Pause(queue, false) => of("resume_queue", queue),
        Intervention::Delete(queue, nth, _) => of("delete_message", queue).with("nth", nth),
        Intervention::Limits(memory_max, disk_free_min) => {
            let mut step = Step::new(Who::World, "limits");
            for (key, limit) in [("memory_max", memory_max), ("disk_free_min", disk_free_min)] {
                if let Some(limit) = limit {
                    step = step.with(key, limit);
                }
            }
            step
        }
        Intervention::Cancel(vhost, nth, _) => {
            at(vhost, Step::new(Who::World, "cancel_delayed")).with("nth", nth)
        }
    }
}

/// The same of one about who may do what.
fn access(wish: &AccessWish) -> Option<Step> {
    let step = |verb: &str| Step::new(Who::World, verb);
    let limited = |verb: &str, name: &str, keys: [&str; 2], limits: &[Option<u64>; 2]| {
        let step = step(verb).with("name", word(name));
        let limits = keys.into_iter().zip(limits);
        limits.fold(step, |step, (key, limit)| match limit {
            Some(limit) => step.with(key, limit),
            None => step,
        })
    };
    let of = |verb: &str, vhost: &str, user: &str| {
        step(verb).with("vhost", word(vhost)).with("user", word(user))
    };
    let patterned = |step: Step, keys: &[&str], patterns: &[String]| {
        keys.iter().zip(patterns).fold(step, |step, (key, text)| step.with(key, word(text)))
    };
    Some(match wish {
        AccessWish::Vhost(name) => step("vhost").with("name", word(name)),
        AccessWish::NoVhost(name) => step("unvhost").with("name", word(name)),
        AccessWish::LimitVhost(name, limits) => {
            limited("limit_vhost", name, ["connections", "queues"], limits)
        }
        AccessWish::User(name, _, tags) => {
            let step = step("user").with("name", word(name));
            match tags.as_ref().filter(|tags| !tags.is_empty()) {
                Some(tags) => step.with("tags", word(&tags.join("+"))),
                None => step,
            }
        }
        AccessWish::NoUser(name) => step("unuser").with("name", word(name)),
        AccessWish::LimitUser(name, limits) => {
            limited("limit_user", name, ["connections", "channels"], limits)
        }
        AccessWish::Permit(vhost, user, patterns) => {
            patterned(of("permit", vhost, user), &["configure", "write", "read"], patterns)
        }
        AccessWish::Forbid(vhost, user) => of("forbid", vhost, user),
        AccessWish::PermitTopic(vhost, user, exchange, patterns) => {
            let step = of("permit_topic", vhost, user).with("x", word(exchange));
            patterned(step, &["write", "read"], patterns)
        }
        AccessWish::FreeTopic(vhost, user, exchange) => {
            let step = of("free_topic", vhost, user);
            exchange.iter().fold(step, |step, exchange| step.with("x", word(exchange)))
        }
    })
}

/// A text as one word of a plan.
fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || c == ',' { '_' } else { c }).collect()
}
