//! Messages that are to be routed later, and exchanges for them.

use fastrand::Rng;

use super::{Draw, ExchangeKind, KEYS, Step, Who, pick};

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct DelayFeatures {
    delays: bool,
    /// Wrong ones, and exchanges that there must not be.
    misuse: bool,
}

/// Times in milliseconds, and what is none: runs take seconds.
const TIMES: [&str; 13] =
    ["1", "1", "3", "3", "20", "20", "100", "400", "2000", "5000", "0", "-5", "true"];
const TOO_LONG: &str = "315360000001";

impl DelayFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self { delays: rng.f32() < 0.4, misuse: rng.f32() < 0.3 }
    }

    /// Makes some exchanges such for delayed messages, which go by the type that they had.
    pub(super) fn wrap(&self, rng: &mut Rng, exchanges: &mut [ExchangeKind]) {
        for exchange in exchanges {
            exchange.is_for_delayed = self.delays && rng.f32() < 0.4;
        }
    }
}

impl Draw {
    /// A message that is to be routed later.
    pub(super) fn delay(&mut self) {
        let rng = &mut self.delays;
        if !self.delay_features.delays || rng.f32() >= 0.15 {
            return;
        }
        let who = Who::Channel(rng.u8(1..=self.clients), rng.u16(1..=self.channels));
        if self.delay_features.misuse && rng.f32() < 0.03 {
            return self.misuse_delays(who);
        }
        let mut step = Step::new(who, "publish")
            .with("body", rng.u64(0..=60).min(self.setup.message_size_max))
            .with("delay", pick(rng, &TIMES));
        step = match rng.bool() {
            true => step.with("key", pick(rng, &self.queues).name),
            false => step.with("x", pick(rng, &self.exchanges).name).with("key", pick(rng, &KEYS)),
        };
        match rng.u32(0..10) {
            0 => step = step.with("cc", pick(rng, &["a", "q1,q2"])),
            1 => step = step.with("bcc", pick(rng, &["b", "q2,a"])),
            2 => step = step.with("ttl", pick(rng, &["0", "20", "400"])),
            3 => step = step.with("headers", "h:1,g:x"),
            _ => {}
        }
        let step = step.flag("mandatory", rng.bool()).flag("persistent", rng.bool());
        let step = self.with_value(step);
        self.push(step);
    }

    fn misuse_delays(&mut self, who: Who) {
        let Who::Channel(client, channel) = who else { return };
        let made = |arguments: &str| {
            let step = Step::new(who, "xdeclare").with("x", "late").with("type", DELAYED);
            if arguments.is_empty() { step } else { step.with("arg", arguments) }
        };
        let misuse = match self.delays.u32(0..6) {
            0 => made(""),
            1 => made("x-delayed-type:strange"),
            2 => made("x-delayed-type:x-delayed-message"),
            3 => made("x-delayed-type:x-recent-history,x-recent-history-length:0"),
            4 => Step::new(who, "get").with("q", "amq.delayed"),
            _ => Step::new(who, "publish").with("key", "q1").with("delay", TOO_LONG),
        };
        self.push(misuse);
        self.push(Step::wait(20_000));
        self.connect(client);
        self.open(client, channel);
    }
}

/// The type of exchanges for delayed messages.
pub(super) const DELAYED: &str = "x-delayed-message";
