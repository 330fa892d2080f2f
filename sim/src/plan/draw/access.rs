//! Users, virtual hosts and permissions that come and go while clients work.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct AccessFeatures {
    is_on: bool,
    limits: bool,
    topics: bool,
    misuse: bool,
    /// How often somebody else than `guest` connects.
    others: f32,
    /// Whether those who run the broker are among its clients.
    operators: bool,
}

/// None tells queues apart that the broker names, and most allow much.
const PATTERNS: [&str; 12] =
    [".*", ".*", ".*", ".*", "", "^q", "^q[12]$", "^x", "^amq", "^[qxa]", "1$", "^none$"];

const TOPICS: [&str; 6] = [".*", "", "^a", "^{username}", "b$", "^{vhost}"];

impl AccessFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            is_on: rng.f32() < 0.3,
            limits: rng.bool(),
            topics: rng.bool(),
            misuse: rng.bool(),
            others: pick(rng, &[0.2, 0.5, 0.8]),
            operators: rng.f32() < 0.15,
        }
    }
}

impl Draw {
    /// Before clients come: some of those who may work.
    pub(super) fn admit(&mut self) {
        if !self.access_features.is_on {
            return;
        }
        for user in ["u1", "u2"] {
            self.push(Step::new(Who::World, "user").with("name", user));
            let all = ["configure", "write", "read"].into_iter();
            let permit = Step::new(Who::World, "permit").with("vhost", "/").with("user", user);
            self.push(all.fold(permit, |step, key| step.with(key, ".*")));
        }
    }

    /// Now and then something changes about who may do what.
    pub(super) fn access(&mut self) {
        let rng = &mut self.access;
        let features = &self.access_features;
        if !features.is_on || rng.f32() >= 0.06 {
            return;
        }
        let user = pick(rng, &["u1", "u2", "u2", "u3"]);
        let vhost = pick(rng, &["v1", "v2"]);
        let place = if rng.f32() < 0.6 { "/" } else { vhost };
        let step = |verb: &str| Step::new(Who::World, verb);
        let step = match rng.u32(0..100) {
            0..12 => {
                let step = step("user").with("name", user);
                let step = match rng.f32() < 0.2 {
                    true => step.with("tags", "impersonator"),
                    false => step,
                };
                step.with("password", pick(rng, &["guest", "guest", "guest", "other"]))
            }
            12..17 => step("unuser").with("name", user),
            17..27 => step("vhost").with("name", vhost),
            27..32 => step("unvhost").with("name", vhost),
            32..38 if features.limits => {
                let step = step("limit_vhost").with("name", vhost);
                if rng.bool() { step.with("connections", rng.u32(0..3)) } else { step }
            }
            38..46 if features.limits => {
                let mut step = step("limit_user").with("name", user);
                if rng.bool() {
                    step = step.with("connections", rng.u32(0..4));
                }
                if rng.bool() { step.with("channels", rng.u32(0..6)) } else { step }
            }
            46..54 => step("forbid").with("vhost", place).with("user", user),
            54..66 if features.topics => {
                let exchange = pick(rng, &["amq.topic", "amq.topic", "x1", "x2", "x3"]);
                step("permit_topic")
                    .with("vhost", place)
                    .with("user", user)
                    .with("x", exchange)
                    .with("write", pick(rng, &TOPICS))
                    .with("read", pick(rng, &TOPICS))
            }
            66..70 if features.topics => step("free_topic").with("vhost", place).with("user", user),
            _ => {
                let step = step("permit").with("vhost", place).with("user", user);
                let mut pattern = || match features.misuse && rng.f32() < 0.03 {
                    true => "(",
                    false => pick(rng, &PATTERNS),
                };
                ["configure", "write", "read"]
                    .into_iter()
                    .fold(step, |step, key| step.with(key, pattern()))
            }
        };
        self.push(step);
    }

    /// Who connects, and where to.
    pub(super) fn as_somebody(&mut self, connect: Step) -> Step {
        let rng = &mut self.access;
        let features = &self.access_features;
        if features.operators && rng.f32() < 0.2 {
            // Who runs the broker comes and goes as others do, and is refused nothing.
            let connect = connect.without("amqplain").flag("operator", true);
            return match rng.f32() < 0.3 {
                true => connect.with("vhost", pick(rng, &["v1", "v2"])),
                false => connect,
            };
        }
        if !features.is_on || rng.f32() >= features.others {
            return connect;
        }
        let mut connect = connect.with("user", pick(rng, &["u1", "u1", "u2", "u2", "u3"]));
        if rng.f32() < 0.1 {
            connect = connect.with("password", pick(rng, &["other", "wrong"]));
        }
        if rng.f32() < 0.2 {
            connect = connect.with("vhost", pick(rng, &["v1", "v2", "v3"]));
        }
        connect
    }
}
