//! What queues are declared with so that messages die in them.

use fastrand::Rng;

use super::pick;

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct DeathFeatures {
    /// Messages live for a time only.
    expiry: bool,
    /// Queues that nobody uses go.
    queue_expiry: bool,
    dead_letters: bool,
    max_length: bool,
    delivery_limit: bool,
}

/// Times in milliseconds: runs take seconds.
pub(super) const TIMES: [u32; 7] = [0, 1, 3, 20, 100, 400, 5000];

impl DeathFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut at_times = || rng.f32() < 0.35;
        Self {
            expiry: at_times(),
            queue_expiry: at_times(),
            dead_letters: at_times(),
            max_length: at_times(),
            delivery_limit: at_times(),
        }
    }

    /// The arguments of one queue; `exchanges` are those there are.
    pub(super) fn arguments(&self, rng: &mut Rng, exchanges: &[String]) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.expiry && rng.f32() < 0.4 {
            arguments.push(format!("x-message-ttl:{}", pick(rng, &TIMES)));
        }
        if self.queue_expiry && rng.f32() < 0.2 {
            arguments.push(format!("x-expires:{}", pick(rng, &TIMES[1..])));
        }
        if self.max_length && rng.f32() < 0.4 {
            arguments.push(format!("x-max-length:{}", rng.u32(0..8)));
            let overflow = pick(rng, &["drop-head", "reject-publish", "reject-publish-dlx"]);
            if rng.f32() < 0.7 {
                arguments.push(format!("x-overflow:{overflow}"));
            }
        }
        if self.delivery_limit && rng.f32() < 0.4 {
            arguments.push(format!("x-delivery-limit:{}", rng.u32(0..4)));
        }
        if self.dead_letters && rng.f32() < 0.7 {
            let known = pick(rng, exchanges);
            let exchange = match rng.u32(0..10) {
                0..4 => "''",
                4 => "gone",
                _ => known.as_str(),
            };
            arguments.push(format!("x-dead-letter-exchange:{exchange}"));
            if rng.f32() < 0.6 {
                let key = pick(rng, &["q1", "q2", "q3", "a", "a.b"]);
                arguments.push(format!("x-dead-letter-routing-key:{key}"));
            }
        }
        arguments
    }

    /// For how many milliseconds a message that is published may wait, if it says so.
    pub(super) fn message_ttl(&self, rng: &mut Rng) -> Option<u32> {
        (self.expiry && rng.f32() < 0.3).then(|| pick(rng, &TIMES))
    }
}
