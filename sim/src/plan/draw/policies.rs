//! Policies that are set and deleted while clients work.

use fastrand::Rng;

use super::deaths::TIMES;
use super::{Draw, Setup, Step, Who, pick};

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct PolicyFeatures {
    is_on: bool,
    operators: bool,
    expiry: bool,
    queue_expiry: bool,
    misuse: bool,
}

/// None tells queues apart that the broker names.
const PATTERNS: [&str; 9] =
    ["", "^q", "^q1$", "^q[123]$", "^.[24]*$", "^x", "^x1$", "^amq.", "^.2"];

impl PolicyFeatures {
    pub(super) fn draw(rng: &mut Rng, setup: &mut Setup) -> Self {
        let is_on = rng.f32() < 0.35;
        if is_on {
            setup.policy_slice = pick(rng, &[1, 2, 5, 1000]);
        }
        Self {
            is_on,
            operators: rng.bool(),
            expiry: rng.f32() < 0.4,
            queue_expiry: rng.f32() < 0.2,
            misuse: rng.bool(),
        }
    }

    fn definition(&self, rng: &mut Rng, is_operator: bool) -> Vec<String> {
        let mut asked = Vec::new();
        if rng.f32() < 0.5 {
            asked.push(format!("max-length:{}", rng.u32(0..8)));
        }
        if rng.f32() < 0.3 {
            let overflow = pick(rng, &["drop-head", "reject-publish", "reject-publish-dlx"]);
            asked.push(format!("overflow:{overflow}"));
        }
        if self.expiry && rng.f32() < 0.4 {
            asked.push(format!("message-ttl:{}", pick(rng, &TIMES)));
        }
        if self.queue_expiry && rng.f32() < 0.3 {
            asked.push(format!("expires:{}", pick(rng, &TIMES[1..])));
        }
        if rng.f32() < 0.2 {
            asked.push(format!("delivery-limit:{}", rng.i32(-1..4)));
        }
        if !is_operator && rng.f32() < 0.3 {
            let exchange = pick(rng, &["''", "x1", "x2", "gone"]);
            asked.push(format!("dead-letter-exchange:{exchange}"));
            if rng.bool() {
                let key = pick(rng, &["q1", "q2", "a"]);
                asked.push(format!("dead-letter-routing-key:{key}"));
            }
        }
        if !is_operator && rng.f32() < 0.15 {
            asked.push(format!("consumer-timeout:{}", pick(rng, &TIMES)));
        }
        if !is_operator && rng.f32() < 0.3 {
            let alternate = pick(rng, &["x1", "x2", "amq.fanout", "gone"]);
            asked.push(format!("alternate-exchange:{alternate}"));
        }
        if self.misuse && rng.f32() < 0.1 {
            let nonsense = ["max-length:-1", "expires:0", "what:1", "overflow:up", "message-ttl:x"];
            asked.push(pick(rng, &nonsense).into());
        }
        asked
    }
}

impl Draw {
    /// Now and then a policy is set or deleted.
    pub(super) fn policy(&mut self) {
        let rng = &mut self.policies;
        let features = &self.policy_features;
        if !features.is_on || rng.f32() >= 0.03 {
            return;
        }
        let is_operator = features.operators && rng.f32() < 0.3;
        let name = format!("p{}", rng.u32(1..=4));
        let step = match rng.f32() < 0.3 {
            true => Step::new(Who::World, "unpolicy"),
            false => Step::new(Who::World, "policy")
                .with("pattern", pick(rng, &PATTERNS))
                .with("apply", pick(rng, &["all", "queues", "classic_queues", "exchanges"]))
                .with("priority", rng.u32(0..3))
                .with("arg", {
                    let mut asked = features.definition(rng, is_operator);
                    asked.extend(self.room_features.definition(&mut self.rooms, is_operator));
                    asked.join(",")
                }),
        };
        let step = self.somewhere(step.with("name", name).flag("operator", is_operator));
        self.push(step);
    }
}
