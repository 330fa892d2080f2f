//! Queues whose messages have priorities, and messages that say one.

use fastrand::Rng;

use super::{Step, pick};

/// Whether there are such queues in a run.
#[derive(Clone, Debug)]
pub(super) struct LevelFeatures {
    classic: bool,
    quorum: bool,
}

impl LevelFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self { classic: rng.f32() < 0.4, quorum: rng.f32() < 0.1 }
    }

    /// The argument of one queue, if it gets one; a quorum queue `may` not be all that others may.
    pub(super) fn argument(&self, rng: &mut Rng, may_be_quorum: bool) -> Option<String> {
        if self.quorum && may_be_quorum && rng.f32() < 0.3 {
            return Some("x-queue-type:quorum".into());
        }
        let max = pick(rng, &[0, 1, 1, 2, 3, 10, 255]);
        (self.classic && rng.f32() < 0.6).then(|| format!("x-max-priority:{max}"))
    }

    /// A message with a priority, in most cases.
    pub(super) fn with_priority(&self, rng: &mut Rng, step: Step) -> Step {
        match (self.classic || self.quorum) && rng.f32() < 0.7 {
            true => step.with("priority", pick(rng, &[0, 1, 1, 2, 2, 3, 4, 5, 9, 255])),
            false => step,
        }
    }

    /// Many messages of some levels, one after the other.
    pub(super) fn with_levels(&self, rng: &mut Rng, step: Step) -> Step {
        match (self.classic || self.quorum) && rng.f32() < 0.7 {
            true => step.with("levels", rng.u32(1..=4)),
            false => step,
        }
    }
}
