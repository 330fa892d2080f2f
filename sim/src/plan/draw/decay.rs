//! What breaks that all promises rest on: bytes decay, the disk lies, or it is gone.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

/// Which of it happens in a run: mostly nothing.
#[derive(Clone, Debug)]
pub(super) struct DecayFeatures {
    /// How often something happens, per operation.
    chance: f32,
    kinds: Vec<&'static str>,
}

impl DecayFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let chance = pick(rng, &[0.0, 0.0, 0.0, 0.004, 0.01]);
        let all = ["rot", "stale", "misdirected", "misread", "lie", "gone"];
        let kinds = all.into_iter().filter(|_| rng.f32() < 0.5).collect();
        Self { chance, kinds }
    }
}

impl Draw {
    /// Now and then the disk is not what it should be.
    pub(super) fn decay(&mut self) {
        let rng = &mut self.decays;
        if rng.f32() >= self.decay_features.chance {
            return;
        }
        let Some(kind) = rng.choice(&self.decay_features.kinds) else { return };
        let seed = rng.u32(..);
        match *kind {
            "misread" => {
                self.world_step("disk", |step| step.with("seed", seed).flag("misread", true));
                self.suffer(seed);
            }
            "lie" => {
                let us = self.decays.u64(1000..=300_000);
                self.world_step("disk", |step| step.with("us", us).flag("lie", true));
                self.work_on();
                if self.decays.f32() < 0.8 {
                    self.world_step("power", |step| step.with("seed", seed));
                }
                self.restart();
            }
            "gone" => {
                self.world_step("disk", |step| step.with("seed", seed).flag("gone", true));
                self.restart();
            }
            kind => {
                for _ in 0..pick(&mut self.decays, &[1, 1, 1, 2, 4]) {
                    let seed = self.decays.u32(..);
                    self.world_step("disk", |step| step.with("decay", kind).with("seed", seed));
                }
                self.suffer(seed);
                if self.decays.f32() < 0.7 {
                    self.world_step("disk", |step| step.flag("mend", true));
                    self.restart();
                }
            }
        }
    }

    /// The broker meets what has become of its disk: at once, at a start, or at some time.
    fn suffer(&mut self, seed: u32) {
        match self.decays.u32(0..4) {
            0 => self.world_step("crash", |step| step.with("seed", seed)),
            1 => self.world_step("power", |step| step.with("seed", seed)),
            2 => self.push(Step::new(Who::World, "stop")),
            _ => self.work_on(),
        }
        self.restart();
    }
}
