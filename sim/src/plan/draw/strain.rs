//! What goes on around the broker for longer, or too often: a process that is paused, a broker that
//! is away for long, long times in which nothing happens, and space that comes and goes.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

const SECOND_US: u64 = 1_000_000;

/// Which of it happens in a run; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct StrainFeatures {
    /// How often something happens, per operation.
    chance: f32,
    pauses: bool,
    outages: bool,
    idleness: bool,
    flapping: bool,
}

impl StrainFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let chance = pick(rng, &[0.0, 0.002, 0.005]);
        let mut often = || rng.f32() < 0.4;
        Self { chance, pauses: often(), outages: often(), idleness: often(), flapping: often() }
    }
}

impl Draw {
    /// Now and then there is a strain on the broker.
    pub(super) fn strain(&mut self) {
        let rng = &mut self.strains;
        if rng.f32() >= self.strain_features.chance {
            return;
        }
        let features = &self.strain_features;
        match rng.u32(0..6) {
            0 | 1 if features.pauses => {
                let us = pick(rng, &[1000, 100_000, SECOND_US, 5 * SECOND_US]);
                let us = rng.u64(1..=us);
                self.push(Step::new(Who::World, "pause").with("us", us));
                self.work_on();
            }
            2 if features.outages => {
                let us = pick(rng, &[60, 3600, 86_400]) * SECOND_US;
                let seed = rng.u32(..);
                self.world_step("crash", |step| step.with("seed", seed));
                self.push(Step::wait(us));
                self.restart();
            }
            3 if features.idleness => {
                let us = pick(rng, &[40, 40, 300, 1800]) * SECOND_US;
                self.push(Step::wait(us));
            }
            4 | 5 if features.flapping => {
                let us = rng.u64(SECOND_US..=10 * SECOND_US);
                self.world_step("disk", |step| step.with("us", us).flag("flap", true));
                self.work_on();
            }
            _ => {}
        }
    }
}
