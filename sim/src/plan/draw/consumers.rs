//! What consumers find in their queues and ask for: one that is served at a time.

use fastrand::Rng;

use super::{Draw, Step, pick};

/// Which of it is in a run; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct ConsumerFeatures {
    single_active: bool,
    /// How often one that may be active goes, or another comes, per operation.
    handovers: f32,
}

impl ConsumerFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self { single_active: rng.f32() < 0.4, handovers: pick(rng, &[0.0, 0.02, 0.05]) }
    }
}

impl Draw {
    /// Some queues serve one consumer at a time.
    pub(super) fn draw_queue_arguments(&mut self) {
        let rng = &mut self.consumers;
        for queue in &mut self.queues {
            let (is_single, is_quorum) = (rng.bool(), rng.f32() < 0.7);
            if !is_single || !self.consumer_features.single_active {
                continue;
            }
            queue.arguments = "x-single-active-consumer:true".into();
            if is_quorum && queue.durable && !queue.exclusive && !queue.auto_delete {
                queue.arguments += ",x-queue-type:quorum";
            }
        }
    }

    /// Now and then somebody comes to a queue that serves one at a time, or goes from it.
    pub(super) fn hand_over(&mut self) {
        let rng = &mut self.consumers;
        if rng.f32() >= self.consumer_features.handovers {
            return;
        }
        let singles = self.queues.iter().filter(|queue| !queue.arguments.is_empty());
        let singles: Vec<_> = singles.map(|queue| queue.name.clone()).collect();
        if singles.is_empty() {
            return;
        }
        let queue = pick(rng, &singles);
        let (tag, goes) = (format!("t{}", rng.u8(1..=3)), rng.f32() < 0.3);
        let priority = rng.i32(-1..=2);
        let who = self.someone();
        self.push(match goes {
            true => Step::new(who, "cancel").with("tag", tag),
            false => {
                let consume = Step::new(who, "consume").with("q", queue).with("tag", tag);
                consume.with("priority", priority)
            }
        });
    }
}
