//! Limits of bytes, and dead letters that wait and take room, by arguments and by policies.

use fastrand::Rng;

use super::pick;

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct RoomFeatures {
    bytes: bool,
    kept_letters: bool,
}

/// As many as a body has, or some, or many.
const BYTES: [u32; 7] = [0, 7, 20, 64, 300, 4000, 100_000];
const OVERFLOWS: [&str; 3] = ["drop-head", "reject-publish", "reject-publish-dlx"];

impl RoomFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self { bytes: rng.f32() < 0.35, kept_letters: rng.f32() < 0.35 }
    }

    /// What is asked of a queue besides these arguments.
    pub(super) fn arguments(&self, rng: &mut Rng, others: &[String]) -> Vec<String> {
        let has = |name: &str| others.iter().any(|argument| argument.starts_with(name));
        let has_bytes = self.bytes && rng.f32() < 0.3;
        let keeps = self.kept_letters && has("x-dead-letter-exchange") && rng.f32() < 0.6;
        let mut arguments = Vec::new();
        if has_bytes {
            arguments.push(format!("x-max-length-bytes:{}", pick(rng, &BYTES)));
        }
        if keeps {
            arguments.push("x-dead-letter-strategy:at-least-once".into());
        }
        if !has("x-overflow") && (keeps || has_bytes && rng.f32() < 0.7) {
            let overflow = if keeps { "reject-publish" } else { pick(rng, &OVERFLOWS) };
            arguments.push(format!("x-overflow:{overflow}"));
        }
        arguments
    }

    /// What a policy asks for besides.
    pub(super) fn definition(&self, rng: &mut Rng, is_operator: bool) -> Vec<String> {
        let mut asked = Vec::new();
        if self.bytes && rng.f32() < 0.4 {
            asked.push(format!("max-length-bytes:{}", pick(rng, &BYTES)));
        }
        if self.kept_letters && !is_operator && rng.f32() < 0.3 {
            asked.push("dead-letter-strategy:at-least-once".into());
        }
        asked
    }
}
