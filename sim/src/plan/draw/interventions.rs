//! What those who run the broker do to queues and single messages while clients work.

use fastrand::Rng;

use super::deaths::TIMES;
use super::{Draw, Step, Who, pick};
use crate::model::FIXED;

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct InterventionFeatures {
    arguments: bool,
    pauses: bool,
    deletions: bool,
    cancels: bool,
    expiry: bool,
    misuse: bool,
    limits: bool,
}

/// What makes no sense, and what a queue has for as long as it is there.
const MISUSES: [&str; 7] = [
    "x-max-length:-1",
    "x-expires:0",
    "x-overflow:up",
    "x-dead-letter-routing-key:a",
    "x-queue-type:quorum",
    "x-max-priority:7",
    "x-single-active-consumer:true",
];

impl InterventionFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut at_times = || rng.f32() < 0.25;
        Self {
            arguments: at_times(),
            pauses: at_times(),
            deletions: at_times(),
            cancels: at_times(),
            expiry: at_times(),
            misuse: at_times(),
            limits: at_times(),
        }
    }

    /// What a queue is asked for besides what it has for good.
    fn arguments(&self, rng: &mut Rng) -> Vec<String> {
        let mut asked = Vec::new();
        if rng.f32() < 0.5 {
            asked.push(format!("x-max-length:{}", rng.u32(0..8)));
        }
        if rng.f32() < 0.15 {
            asked.push(format!("x-max-length-bytes:{}", pick(rng, &[0, 20, 64, 300, 4000])));
        }
        if rng.f32() < 0.4 {
            let overflow = pick(rng, &["drop-head", "reject-publish", "reject-publish-dlx"]);
            asked.push(format!("x-overflow:{overflow}"));
        }
        if rng.f32() < 0.3 {
            asked.push(format!("x-message-ttl:{}", pick(rng, &TIMES)));
        }
        if self.expiry && rng.f32() < 0.3 {
            asked.push(format!("x-expires:{}", pick(rng, &TIMES[1..])));
        }
        if rng.f32() < 0.2 {
            asked.push(format!("x-delivery-limit:{}", rng.i32(-1..4)));
        }
        if rng.f32() < 0.4 {
            asked
                .push(format!("x-dead-letter-exchange:{}", pick(rng, &["''", "x1", "x2", "gone"])));
            if rng.bool() {
                asked.push(format!("x-dead-letter-routing-key:{}", pick(rng, &["q1", "q2", "a"])));
            }
            if rng.f32() < 0.2 {
                asked.push("x-dead-letter-strategy:at-least-once".into());
            }
        }
        if rng.f32() < 0.1 {
            asked.push(format!("x-consumer-timeout:{}", pick(rng, &TIMES)));
        }
        asked
    }
}

impl Draw {
    /// Now and then somebody who runs the broker puts a hand to a queue or a message.
    pub(super) fn intervene(&mut self) {
        let rng = &mut self.interventions;
        let features = &self.intervention_features;
        if features.limits && rng.f32() < 0.01 {
            return self.change_limits();
        }
        if rng.f32() >= 0.06 {
            return;
        }
        let queue = pick(rng, &self.queues).name;
        let of_queue = |verb: &str| Step::new(Who::World, verb).with("q", &queue);
        let step = match rng.u32(0..10) {
            0..4 if features.arguments => return self.change_arguments(),
            4 if features.pauses => of_queue("pause_queue"),
            5 if features.pauses => of_queue("resume_queue"),
            6..8 if features.deletions => {
                of_queue("delete_message").with("nth", pick(rng, &[0, 0, 1, 2, 5, 20]))
            }
            8..10 if features.cancels => {
                Step::new(Who::World, "cancel_delayed").with("nth", pick(rng, &[0, 0, 1, 3]))
            }
            _ => return,
        };
        let step = self.somewhere(step);
        self.push(step);
    }

    /// Messages may take more or less memory, or more or less of the disk must be free.
    fn change_limits(&mut self) {
        let rng = &mut self.interventions;
        let limits = |key: &str, limit: u64| Step::new(Who::World, "limits").with(key, limit);
        let (key, low, high) = match rng.f32() < 0.7 {
            true => ("memory_max", pick(rng, &[1, 3000, 30_000, 200_000]), 1 << 30),
            // More than there ever is.
            false => ("disk_free_min", 1 << 41, pick(rng, &[0, 256 << 20])),
        };
        self.push(limits(key, low));
        self.work_on();
        self.push(limits(key, high));
    }

    /// A queue gets other arguments; mostly it is declared with these from then on.
    fn change_arguments(&mut self) {
        let rng = &mut self.interventions;
        let at = rng.usize(0..self.queues.len());
        let queue = &mut self.queues[at];
        let is_misuse = self.intervention_features.misuse && rng.f32() < 0.1;
        let misuse = is_misuse.then(|| pick(rng, &MISUSES).to_owned());
        let is_fixed = |argument: &&String| FIXED.contains(&name_of(argument));
        let fixed = queue.arguments.iter().filter(is_fixed).cloned();
        let asked = self.intervention_features.arguments(rng);
        let mut arguments: Vec<String> = Vec::new();
        for argument in misuse.into_iter().chain(fixed).chain(asked) {
            if !arguments.iter().any(|known| name_of(known) == name_of(&argument)) {
                arguments.push(argument);
            }
        }
        let step = Step::new(Who::World, "arguments").with("q", &queue.name);
        let step = match arguments.is_empty() {
            true => step,
            false => step.with("arg", arguments.join(",")),
        };
        if !is_misuse && rng.f32() < 0.7 {
            queue.arguments = arguments;
        }
        let step = self.somewhere(step);
        self.push(step);
    }
}

fn name_of(argument: &str) -> &str {
    argument.split(':').next().unwrap_or(argument)
}
