//! Clients that are too much: floods, thousands of declarations, readers that never read, storms of
//! connections; and those that do not keep to the order of things when they come and go.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

/// The clients of a storm.
const STORM: std::ops::Range<u8> = 150..200;
/// Clients that come once.
const PASSERS: std::ops::Range<u8> = 200..240;

/// Which of them are in a run; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct CrowdFeatures {
    /// How often something happens, per operation.
    chance: f32,
    floods: bool,
    declares: bool,
    deafness: bool,
    storms: bool,
    spoilt_handshakes: bool,
    eager_handshakes: bool,
    hangups: bool,
    half_frames: bool,
    half_bodies: bool,
}

impl CrowdFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let chance = pick(rng, &[0.0, 0.004, 0.01]);
        let mut often = || rng.f32() < 0.4;
        Self {
            chance,
            floods: often(),
            declares: often(),
            deafness: often(),
            storms: often(),
            spoilt_handshakes: often(),
            eager_handshakes: often(),
            hangups: often(),
            half_frames: often(),
            half_bodies: often(),
        }
    }
}

impl Draw {
    /// Now and then a client is too much.
    pub(super) fn crowd(&mut self) {
        let rng = &mut self.crowds;
        if rng.f32() >= self.crowd_features.chance {
            return;
        }
        let client = rng.u8(1..=self.clients);
        let who = Who::Channel(client, rng.u16(1..=self.channels));
        let features = &self.crowd_features;
        match rng.u32(0..9) {
            0 if features.floods => self.flood(who),
            1 if features.declares => self.declare_many(who),
            2 if features.deafness => self.go_deaf(client, who),
            3 if features.storms && rng.bool() => self.storm(),
            4 if features.spoilt_handshakes => self.spoil(),
            5 if features.eager_handshakes => {
                let eager = rng.u8(PASSERS);
                let step = Step::new(Who::Client(eager), "connect").with("fragment_max", 0);
                let fragment_max = pick(rng, &[0, 1, 50]);
                self.push(step.with("fragment_max", fragment_max).flag("eager", true));
                self.push(Step::new(Who::Channel(eager, 1), "open"));
                self.push(Step::new(Who::Client(eager), "close"));
            }
            6 if features.hangups => self.leave(client, "hangup"),
            7 if features.half_frames => self.leave(client, "eof"),
            8 if features.half_bodies => self.leave_within_a_body(who, client),
            _ => {}
        }
    }

    fn flood(&mut self, who: Who) {
        let rng = &mut self.crowds;
        let (count, body) = (rng.u32(20..=400), rng.u64(0..=200).min(self.setup.message_size_max));
        let queue = pick(rng, &self.queues).name;
        let (persistent, mandatory) = (rng.bool(), rng.bool());
        let flood = Step::new(who, "flood").with("key", queue).with("count", count);
        let flood = flood.with("body", body).flag("persistent", persistent);
        let flood = self.level_features.with_levels(&mut self.levels, flood);
        self.push(flood.flag("mandatory", mandatory));
    }

    /// A client asks for more than its window takes, and reads nothing for minutes.
    fn go_deaf(&mut self, client: u8, who: Who) {
        let rng = &mut self.crowds;
        let queue = pick(rng, &self.queues).name;
        let us = rng.u64(60_000_000..=300_000_000);
        let body = rng.u64(100..=300).min(self.setup.message_size_max);
        let consume = Step::new(who, "consume").with("q", &queue).with("tag", "deaf");
        self.push(consume.flag("no_ack", true));
        self.push(Step::wait(20_000));
        self.push(Step::new(Who::Client(client), "stall").with("us", us));
        let flood = Step::new(who, "flood").with("key", queue).with("count", 300);
        self.push(flood.with("body", body));
        self.push(Step::wait(us + 1_000_000));
    }

    /// Many queues; those that would outlive their client are deleted again.
    fn declare_many(&mut self, who: Who) {
        let rng = &mut self.crowds;
        let (is_durable, nowait) = (rng.bool(), rng.bool());
        let count = if is_durable { rng.u32(10..=100) } else { rng.u32(10..=500) };
        let declares = Step::new(who, "declares").with("count", count).flag("nowait", nowait);
        self.push(declares.flag("durable", is_durable).flag("exclusive", !is_durable));
        if is_durable {
            if self.crowds.bool() {
                self.work_on();
            }
            self.push(Step::new(who, "deletes").with("count", count).flag("nowait", nowait));
        }
    }

    /// Many connections at once, and their end at once, some times over.
    fn storm(&mut self) {
        let rng = &mut self.crowds;
        let end = rng.u8(STORM.start + 5..STORM.end);
        let verb = pick(rng, &["reset", "eof", "hangup"]);
        for _ in 0..rng.u32(1..=3) {
            for client in STORM.start..end {
                let salt = self.crowds.u16(..);
                self.push(Step::new(Who::Client(client), "connect").with("salt", salt));
                self.push(Step::new(Who::Channel(client, 1), "open"));
            }
            let us = self.crowds.u64(1..=5000);
            self.push(Step::wait(us));
            (STORM.start..end).for_each(|client| self.push(Step::new(Who::Client(client), verb)));
        }
    }

    /// A client that sends garbage within its handshake.
    fn spoil(&mut self) {
        let rng = &mut self.crowds;
        let client = rng.u8(PASSERS);
        let kinds = [
            "kind",
            "end",
            "large",
            "method",
            "arguments",
            "body",
            "header",
            "heartbeat",
            "channel",
            "noise",
        ];
        let connect = Step::new(Who::Client(client), "connect")
            .with("spoil_at", pick(rng, &["header", "start", "tune", "open"]))
            .with("kind", pick(rng, &kinds))
            .with("fragment_max", pick(rng, &[0, 1, 5]))
            .with("salt", rng.u16(..));
        self.push(connect);
    }

    /// A client begins to publish and goes before it has sent the whole body.
    fn leave_within_a_body(&mut self, who: Who, client: u8) {
        let rng = &mut self.crowds;
        let body = rng.u64(1..=100).min(self.setup.message_size_max);
        let queue = pick(rng, &self.queues).name;
        let verb = pick(rng, &["reset", "hangup", "vanish", "eof"]);
        let publish = Step::new(who, "publish").with("key", queue).with("body", body);
        let cut = rng.u64(0..body.max(1));
        self.push(publish.with("cut", cut));
        if self.crowds.bool() {
            let us = self.crowds.u64(1..=20_000);
            self.push(Step::wait(us));
        }
        self.leave(client, verb);
    }

    /// A client leaves in the middle of things, and comes back.
    fn leave(&mut self, client: u8, verb: &str) {
        let step = Step::new(Who::Client(client), verb).flag("half", verb == "eof");
        self.push(step);
        if self.crowds.bool() {
            let us = self.crowds.u64(1..=20_000);
            self.push(Step::wait(us));
        }
        self.connect(client);
        for channel in 1..=self.channels {
            self.open(client, channel);
        }
    }
}
