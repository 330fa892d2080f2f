//! What clients do: the operations of a run, right and wrong ones.

use super::{Draw, HEADERS, KEYS, Step, Who, is_transactional, pick};

impl Draw {
    /// One thing that a client does.
    pub(super) fn operation(&mut self) {
        let who = self.someone();
        let Who::Channel(client, channel) = who else { unreachable!("someone has a channel") };
        if self.chance(0.04) {
            self.open(client, channel);
        }
        if self.chance(0.02) {
            self.connect(client);
        }
        if self.chance(0.03) {
            self.restore();
        }
        match self.work.u32(0..100) {
            0..38 => self.publish(who),
            38..64 => self.settle(who),
            64..74 => self.consume(who),
            74..80 if self.features.gets => {
                let no_ack = self.features.no_ack && self.chance(0.4);
                let queue = self.queue();
                self.push(Step::new(who, "get").with("q", queue).flag("no_ack", no_ack));
            }
            80..83 if self.features.cancels => {
                let nowait = self.features.nowait && self.chance(0.3);
                let tag = format!("t{}", self.work.u8(1..=3));
                self.push(Step::new(who, "cancel").with("tag", tag).flag("nowait", nowait));
            }
            83..88 => self.change_topology(who),
            88..91 => self.transact(),
            91..93 if self.features.recover => {
                let is_async = self.chance(0.3);
                self.push(Step::new(who, "recover").flag("async", is_async));
            }
            93..95 if self.features.channel_churn => self.churn(who, client),
            95..98 if self.features.replies => self.converse(who),
            98..100 if self.features.misuse => self.misuse(who),
            _ => self.publish(who),
        }
    }

    /// What may have been deleted is declared and bound again.
    fn restore(&mut self) {
        let who = self.someone();
        if self.work.bool() {
            let at = self.work.usize(0..self.exchanges.len());
            return self.declare_exchange(who, at);
        }
        let at = self.work.usize(0..self.queues.len());
        self.declare_queue(who, at);
        self.bind(who, at);
    }

    fn body_len(&mut self) -> u64 {
        let len = self.any_body_len();
        if self.chance(0.95) { len.min(self.setup.message_size_max) } else { len }
    }

    fn any_body_len(&mut self) -> u64 {
        match self.work.u32(0..10) {
            0 => 0,
            1..7 => self.work.u64(1..=60),
            _ if !self.features.large_bodies => self.work.u64(1..=400),
            7 => u64::from(self.setup.frame_max.min(8192)) - 8,
            _ => self.work.u64(1..=3 * u64::from(self.setup.frame_max.min(8192))),
        }
    }

    fn publish(&mut self, who: Who) {
        let body = self.body_len();
        let mut step = Step::new(who, "publish").with("body", body);
        if self.chance(0.4) {
            let queue = pick(&mut self.work, &self.queues).name;
            step = step.with("key", queue);
        } else {
            let (exchange, kind) = self.exchange();
            step = step.with("x", exchange).with("key", pick(&mut self.work, &KEYS));
            match kind {
                "headers" | "x-consistent-hash" => {
                    step = step.with("headers", pick(&mut self.work, &HEADERS));
                }
                "x-recent-history" if self.chance(0.2) => {
                    let flag = self.work.bool();
                    step = step.with("headers", format!("x-recent-history-no-store:{flag}"));
                }
                _ => {}
            }
        }
        if self.features.carbon_copies && self.chance(0.1) {
            step = step.with("cc", pick(&mut self.work, &["a", "q1,q2", "a.b"]));
        }
        if self.features.carbon_copies && self.chance(0.1) {
            step = step.with("bcc", pick(&mut self.work, &["b", "q1", "q2,a"]));
        }
        if let Some(ttl) = self.death_features.message_ttl(&mut self.deaths) {
            step = step.with("ttl", ttl);
        }
        step = self.level_features.with_priority(&mut self.levels, step);
        step = self.with_value(step);
        let mandatory = self.features.mandatory && self.chance(0.3);
        let persistent = self.chance(0.5);
        self.push(step.flag("mandatory", mandatory).flag("persistent", persistent));
    }

    fn settle(&mut self, who: Who) {
        let verb = match self.work.u32(0..10) {
            0..6 => "ack",
            6..8 if self.features.requeues || self.features.rejects => "nack",
            _ if self.features.requeues || self.features.rejects => "reject",
            _ => "ack",
        };
        let nth = if self.chance(0.6) { 0 } else { self.work.u32(0..50) };
        let mut step = Step::new(who, verb).with("nth", nth);
        if verb != "ack" {
            let both = self.features.requeues && self.features.rejects;
            let requeue = if both { self.work.bool() } else { self.features.requeues };
            step = step.flag("requeue", requeue);
        }
        if verb != "reject" && self.features.multiple {
            let (multiple, all) = (self.chance(0.3), self.chance(0.05));
            step = step.flag("multiple", multiple).flag("all", all);
        }
        self.push(step);
    }

    pub(super) fn consume(&mut self, who: Who) {
        let queue = self.queue();
        let tag = match self.work.u8(0..=3) {
            0 if self.features.server_named => String::new(),
            tag => format!("t{}", tag.max(1)),
        };
        let no_ack = self.features.no_ack && self.chance(0.3);
        let exclusive = self.features.exclusive_consumers && self.chance(0.1);
        let nowait = self.features.nowait && !tag.is_empty() && self.chance(0.2);
        let mut step = Step::new(who, "consume")
            .with("q", queue)
            .with("tag", tag)
            .flag("no_ack", no_ack)
            .flag("exclusive", exclusive)
            .flag("nowait", nowait);
        if self.features.priorities && self.chance(0.4) {
            step = step.with("priority", self.work.i32(-1..=2));
        }
        if let Some(timeout) = self.consumer_timeout() {
            step = step.with("timeout", timeout);
        }
        self.push(step);
    }

    fn change_topology(&mut self, who: Who) {
        let at = self.work.usize(0..self.queues.len());
        let of = self.work.usize(0..self.exchanges.len());
        let name = self.queues[at].name.clone();
        let nowait = self.features.nowait && self.chance(0.2);
        match self.work.u32(0..13) {
            0..2 => self.declare_queue(who, at),
            2 => self.declare_exchange(who, of),
            3..5 => self.bind(who, at),
            5 if self.features.unbinds => {
                let (exchange, kind) = self.exchange();
                let step = Step::new(who, "unbind").with("q", name).with("x", exchange);
                let step = self.with_pattern(step, kind);
                self.push(self.undo(who, "bind", (at, of)).unwrap_or(step));
            }
            6 if self.features.purges => {
                self.push(Step::new(who, "purge").with("q", name).flag("nowait", nowait));
            }
            7 if self.features.deletes => {
                let (unused, empty) = (self.chance(0.3), self.chance(0.3));
                let step = Step::new(who, "delete").with("q", name).flag("nowait", nowait);
                self.push(step.flag("if_unused", unused).flag("if_empty", empty));
                if self.chance(0.7) {
                    self.declare_queue(who, at);
                    self.bind(who, at);
                }
            }
            8 if self.features.deletes => {
                let unused = self.chance(0.3);
                let step = Step::new(who, "xdelete").with("x", &self.exchanges[of].name);
                self.push(step.flag("if_unused", unused).flag("nowait", nowait));
            }
            9..11 if self.features.exchanges => {
                let is_unbind = self.features.unbinds && self.chance(0.3);
                let verb = if is_unbind { "xunbind" } else { "xbind" };
                let ((from, kind), (to, _)) = (self.exchange(), self.exchange());
                let step = Step::new(who, verb).with("from", from).with("to", to);
                let step = self.with_pattern(step, kind);
                let undone = self.undo(who, "xbind", (at, of)).filter(|_| is_unbind);
                self.push(undone.unwrap_or(step).flag("nowait", nowait));
            }
            11 if self.features.server_named => {
                let auto_delete = self.work.bool();
                let (exclusive, durable) =
                    pick(&mut self.work, &[(true, false), (false, true), (true, true)]);
                let step = Step::new(who, "declare").with("q", "").flag("durable", durable);
                self.push(step.flag("exclusive", exclusive).flag("auto_delete", auto_delete));
                let (exchange, kind) = self.exchange();
                let step = Step::new(who, "bind").with("q", "").with("x", exchange);
                let step = self.with_pattern(step, kind);
                self.push(step);
            }
            _ => self.push(Step::new(who, "declare").with("q", name).flag("passive", true)),
        }
    }

    /// Takes back one of the last bindings that the plan has made, in about half the cases: one
    /// that is made up is seldom there.
    fn undo(&self, who: Who, verb: &str, (at, of): (usize, usize)) -> Option<Step> {
        let is_made = |step: &&Step| step.verb() == verb && step.value("q") != Some("");
        let steps = self.steps.iter().rev();
        let made = steps.filter(is_made).nth(at).filter(|_| of.is_multiple_of(2))?;
        let undo = Step::new(who, if verb == "bind" { "unbind" } else { "xunbind" });
        Some(made.values().fold(undo, |undo, (key, value)| undo.with(key, value)))
    }

    /// Ends a transaction, if there is a channel in this mode: elsewhere it would be misuse.
    fn transact(&mut self) {
        let is_tx = |who: &Who| match who {
            Who::Channel(client, channel) => is_transactional(*client, *channel),
            _ => false,
        };
        let Some(who) = (0..10).map(|_| self.someone()).find(is_tx) else { return };
        let verb = if self.chance(0.7) { "commit" } else { "rollback" };
        if self.features.tx {
            self.push(Step::new(who, verb));
        }
    }

    fn churn(&mut self, who: Who, client: u8) {
        let Who::Channel(_, channel) = who else { return };
        if self.chance(0.8) {
            self.push(Step::new(who, "close"));
        } else {
            self.push(Step::new(Who::Client(client), "close"));
        }
        self.push(Step::wait(5000));
        self.connect(client);
        self.open(client, channel);
    }

    /// A request with a direct reply, or the answer to one.
    fn converse(&mut self, who: Who) {
        let body = self.body_len();
        if self.work.bool() {
            self.push(Step::new(who, "answer").with("body", body));
            return;
        }
        let replies = "amq.rabbitmq.reply-to";
        let consume = Step::new(who, "consume").with("q", replies).with("tag", "replies");
        self.push(consume.flag("no_ack", true));
        let queue = pick(&mut self.work, &self.queues).name;
        let request = Step::new(who, "publish").with("key", queue).with("body", body);
        self.push(request.with("reply_to", replies));
    }

    /// An exchange that there must not be, or a binding that one of these must not have.
    fn misused_exchange(&mut self, who: Who) -> Step {
        let queue = self.queues[0].name.clone();
        let made = |kind, arguments| {
            let step = Step::new(who, "xdeclare").with("x", "new").with("type", kind);
            step.with("arg", arguments)
        };
        let both = "hash-header:h,hash-property:message_id";
        let by_kind = |kind: &str| self.exchanges.iter().find(|exchange| exchange.kind == kind);
        let bound = |exchange: &super::ExchangeKind, key| {
            let step = Step::new(who, "bind").with("q", &queue).with("x", &exchange.name);
            step.with("key", key)
        };
        match (by_kind("x-consistent-hash"), by_kind("x-local-random"), self.work.u32(0..8)) {
            (Some(hash), _, at @ 0..4) => bound(hash, ["", "a", "0", "10001"][at as usize]),
            (_, Some(local), 4..6) => bound(local, "a"),
            (_, _, 6) => made("x-consistent-hash", "hash-property:app_id"),
            (_, _, 7) => made("x-recent-history", "x-recent-history-length:0"),
            _ => made("x-consistent-hash", both),
        }
    }

    /// What a client must not do: the error must be the right one.
    fn misuse(&mut self, who: Who) {
        let Who::Channel(client, channel) = who else { return };
        let step = |verb| Step::new(who, verb);
        let queue = self.queues[0].clone();
        let misuse = match self.work.u32(0..32) {
            0 => step("ack").with("tag", 9999),
            1 => step("nack").with("tag", 9999).flag("multiple", true),
            2 => step("reject").with("tag", 0),
            3 => step("declare").with("q", &queue.name).flag("durable", !queue.durable),
            4 => step("publish").with("x", "missing").with("body", 5),
            5 => step("get").with("q", "missing"),
            6 => step("consume").with("q", "missing").with("tag", "t1"),
            7 => step("bind").with("q", &queue.name).with("x", "missing"),
            8 => step("bind").with("q", &queue.name).with("x", ""),
            9 => step("declare").with("q", "amq.mine"),
            10 => step("xdeclare").with("x", "amq.mine").with("type", "direct"),
            11 => step("xdeclare").with("x", "new").with("type", "strange"),
            12 => step("xdelete").with("x", "amq.topic"),
            13 => step("publish").with("x", "amq.rabbitmq.trace").with("body", 5),
            14 => step("publish").with("key", "q1").with("user", "other"),
            15 => step("publish").with("key", "q1").flag("immediate", true),
            16 => step("publish").with("key", "q1").with("reply_to", "amq.rabbitmq.reply-to"),
            17 => step("recover").flag("drop", true),
            18 => step("qos").with("size", 1),
            19 => step("open").flag("again", true),
            20 => step("consume").with("q", &queue.name).with("tag", "t1").flag("forced", true),
            21 => step("publish").with("key", "q1").with("body", 100).with("cut", 10),
            22 => step("flow").flag("stop", true),
            23..28 => self.misused_exchange(who),
            _ => step(pick(&mut self.work, &["commit", "tx", "confirm"])),
        };
        self.push(misuse);
        self.push(Step::wait(20_000));
        self.connect(client);
        self.open(client, channel);
    }
}
