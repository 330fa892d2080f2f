//! Messages that those who run the broker move from a queue to another one, and what comes between.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

/// The clients that do so: each move has a connection of its own.
const MOVERS: [u8; 3] = [230, 231, 232];

/// What happens to a run's moves; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct MoveFeatures {
    /// How often one is begun, per operation.
    chance: f32,
    /// Several go to the same queue at the same time.
    crowds: bool,
    /// Their connections end.
    cuts: bool,
    /// The queues are deleted, purged, or get other arguments.
    changes: bool,
}

impl MoveFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let chance = pick(rng, &[0.0, 0.0, 0.01, 0.03]);
        let mut often = || rng.f32() < 0.4;
        Self { chance, crowds: often(), cuts: often(), changes: often() }
    }
}

impl Draw {
    /// Now and then messages are moved.
    pub(super) fn move_messages(&mut self) {
        let features = self.move_features.clone();
        let rng = &mut self.moves;
        if self.queues.len() < 2 || rng.f32() >= features.chance {
            return;
        }
        let at = rng.usize(0..self.queues.len());
        let from = self.queues[at].name.clone();
        let to = (at + rng.usize(1..self.queues.len())) % self.queues.len();
        let to = self.queues[to].name.clone();
        let mover = pick(rng, &MOVERS);
        self.begin_move(mover, &from, &to);
        if features.crowds && self.moves.bool() {
            let other = pick(&mut self.moves, &MOVERS);
            let at = self.moves.usize(0..self.queues.len());
            let from = self.queues[at].name.clone();
            self.begin_move(other, &from, &to);
        }
        if features.cuts && self.moves.f32() < 0.3 {
            self.wait_for_moves();
            let verb = pick(&mut self.moves, &["reset", "hangup", "eof", "vanish", "close"]);
            self.push(Step::new(Who::Client(mover), verb));
            if self.moves.bool() {
                self.push(session(mover));
            }
        }
        if features.changes && self.moves.f32() < 0.5 {
            self.wait_for_moves();
            self.change_between(&from, &to);
        }
    }

    fn begin_move(&mut self, mover: u8, from: &str, to: &str) {
        let rng = &mut self.moves;
        let connect = session(mover)
            .with("latency_us", pick(rng, &[1, 50, 500, 5000]))
            .with("fragment_max", pick(rng, &[0, 0, 0, 100]))
            .with("salt", rng.u16(..));
        let moving = Step::new(Who::Client(mover), "move").with("q", from).with("to", to);
        let moving = match rng.bool() {
            true => moving.with("count", pick(rng, &[1, 1, 2, 5, 50, 150])),
            false => moving,
        };
        let connect = self.somewhere(connect);
        self.push(connect);
        self.push(moving);
    }

    /// One of the queues changes while messages are on their way.
    fn change_between(&mut self, from: &str, to: &str) {
        let who = self.someone();
        let rng = &mut self.moves;
        let of = |verb: &str, queue: &str| Step::new(who, verb).with("q", queue);
        let step = match rng.u32(0..6) {
            0..2 if self.features.deletes => of("delete", to),
            2 if self.features.deletes => of("delete", from),
            3 if self.features.purges => of("purge", pick(rng, &[from, to])),
            4 | 5 => {
                let max = pick(rng, &[0, 1, 5]);
                Step::new(Who::World, "policy")
                    .with("name", "moves")
                    .with("pattern", format!("^{to}$"))
                    .with("apply", "queues")
                    .with("priority", 50)
                    .with("arg", format!("max-length:{max},overflow:reject-publish"))
            }
            _ => return,
        };
        self.push(step);
        if self.moves.bool() {
            self.wait_for_moves();
            self.push(Step::new(Who::World, "unpolicy").with("name", "moves"));
        }
    }

    fn wait_for_moves(&mut self) {
        let us = pick(&mut self.moves, &[10, 500, 3000, 20_000]);
        let us = self.moves.u64(1..=us);
        self.push(Step::wait(us));
    }
}

/// A connection as the management API has it.
fn session(mover: u8) -> Step {
    let connect = Step::new(Who::Client(mover), "connect");
    connect.flag("operator", true).flag("plain_client", true)
}
