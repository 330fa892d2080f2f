//! What befalls the broker's process and its disk: crashes, lost power, operations that fail, a
//! disk that is full, slow or stuck, and restarts, some with other limits.

use fastrand::Rng;

use super::{Draw, Setup, Step, Who, pick};

/// Which of all that happens in a run; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct DiskFeatures {
    /// How often something happens, per operation.
    chance: f32,
    crashes: bool,
    power: bool,
    crash_points: bool,
    errors: bool,
    full: bool,
    slow: bool,
    stuck: bool,
    stops: bool,
    crashes_in_recovery: bool,
    other_limits: bool,
}

impl DiskFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        // A quarter of all runs have nothing of this at all.
        let chance = pick(rng, &[0.0, 0.003, 0.006, 0.012]);
        let mut often = || rng.f32() < 0.5;
        Self {
            chance,
            crashes: often(),
            power: often(),
            crash_points: often(),
            errors: often(),
            full: often(),
            slow: often(),
            stuck: often(),
            stops: often(),
            crashes_in_recovery: often(),
            other_limits: often(),
        }
    }
}

/// Adds the disk and the limits that have to do with it.
pub(super) fn draw_setup(seed: u64, rng: &mut Rng, setup: &mut Setup) {
    if rng.f32() < 0.7 {
        setup.segment_len = pick(rng, &[4096, 8192, 65_536]);
    }
    if rng.f32() < 0.4 {
        setup.queue_window = pick(rng, &[1, 200, 2000]);
    }
    if rng.f32() < 0.25 {
        setup.memory_max = pick(rng, &[1, 3000, 30_000, 200_000]);
    }
    if rng.f32() < 0.25 {
        setup.log_pending_max = pick(rng, &[1, 1000, 20_000]);
    }
    if rng.f32() < 0.4 {
        setup.read_len = pick(rng, &[1, 100, 4096]);
    }
    setup.disk_us = pick(rng, &[1, 50, 50, 2000]);
    setup.disk_sync_us = pick(rng, &[1, 500, 500, 20_000]);
    setup.disk_salt = seed;
    if rng.f32() < 0.1 {
        setup.start_crash_at = rng.u64(1..=8);
    }
}

impl Draw {
    /// Now and then the process ends, or the disk does not do what it should.
    pub(super) fn disk_fault(&mut self) {
        let rng = &mut self.disks;
        if rng.f32() >= self.disk_features.chance {
            return;
        }
        let features = &self.disk_features;
        let seed = rng.u32(..);
        match rng.u32(0..8) {
            0 if features.crashes => {
                self.world_step("crash", |step| step.with("seed", seed));
                self.restart();
            }
            1 if features.power => {
                self.world_step("power", |step| step.with("seed", seed));
                self.restart();
            }
            2 | 3 if features.crash_points => {
                let crash_at = pick(rng, &[1, 2, 3, 5, 8, 20, 50]);
                let is_power = features.power && rng.bool();
                self.world_step("disk", |step| {
                    step.with("crash_at", crash_at).with("seed", seed).flag("power", is_power)
                });
                self.work_on();
                self.restart();
            }
            4 if features.errors => {
                let kinds = [
                    "write", "write", "write", "sync", "sync", "read", "read", "create", "create",
                    "truncate", "delete", "sync_dir",
                ];
                let kind = pick(rng, &kinds);
                self.world_step("disk", |step| step.with("eio", kind).with("seed", seed));
                self.work_on();
                self.restart();
            }
            5 if features.full => self.ail("full", 3_000_000),
            6 if features.slow => self.ail("slow", 1_000_000),
            6 if features.stuck => self.ail("stuck", 1_000_000),
            7 if features.stops => {
                if self.disk_features.crash_points && self.disks.f32() < 0.3 {
                    let crash_at = self.disks.u32(1..=10);
                    let is_power = self.disk_features.power && self.disks.bool();
                    self.world_step("disk", |step| {
                        step.with("crash_at", crash_at).with("seed", seed).flag("power", is_power)
                    });
                }
                self.push(Step::new(Who::World, "stop"));
                self.restart();
            }
            _ => {}
        }
    }

    pub(super) fn world_step(&mut self, verb: &str, complete: impl FnOnce(Step) -> Step) {
        self.push(complete(Step::new(Who::World, verb)));
    }

    fn ail(&mut self, how: &str, us_max: u64) {
        let us = self.disks.u64(1000..=us_max);
        self.world_step("disk", |step| step.with("us", us).flag(how, true));
    }

    /// Clients go on for a while.
    pub(super) fn work_on(&mut self) {
        for _ in 0..self.disks.usize(1..=40) {
            self.operation();
            self.pause();
        }
    }

    /// The broker is started again, if it is gone, and clients come back.
    pub(super) fn restart(&mut self) {
        if self.disks.bool() {
            let us = self.disks.u64(1..=100_000);
            self.push(Step::wait(us));
        }
        if self.disk_features.crashes_in_recovery && self.disks.bool() {
            let (crash_at, seed) = (self.disks.u32(1..=12), self.disks.u32(..));
            let is_power = self.disk_features.power && self.disks.bool();
            self.world_step("disk", |step| {
                step.with("crash_at", crash_at).with("seed", seed).flag("power", is_power)
            });
            self.push(Step::new(Who::World, "restart"));
        }
        let mut restart = Step::new(Who::World, "restart");
        if self.disk_features.other_limits && self.disks.bool() {
            let rng = &mut self.disks;
            restart = restart
                .with("segment_len", pick(rng, &[4096, 8192, 65_536]))
                .with("queue_window", pick(rng, &[1, 200, 2000, 1 << 20]))
                .with("read_len", pick(rng, &[1, 100, 4096, 1 << 20]));
        }
        self.push(restart);
        for client in 1..=self.clients {
            self.connect(client);
            for channel in 1..=self.channels {
                self.open(client, channel);
            }
        }
        if self.disks.f32() < 0.8 {
            self.set_up();
        }
    }
}
