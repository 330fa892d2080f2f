//! What consumers find in their queues and ask for: one that is served at a time, and a time in
//! which deliveries are to be acknowledged.

use fastrand::Rng;

use super::{Draw, Step, pick};

/// What a queue is declared with that serves one consumer at a time.
const SINGLE: &str = "x-single-active-consumer:true";

/// Which of it is in a run; each is left out of many.
#[derive(Clone, Debug)]
pub(super) struct ConsumerFeatures {
    single_active: bool,
    /// How often one that may be active goes, or another comes, per operation.
    handovers: f32,
    /// Timeouts, in milliseconds; none in many runs.
    timeouts: &'static [u64],
}

impl ConsumerFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let timeouts: [&[u64]; 5] = [&[], &[], &[], &[0, 50, 500, 5000], &[1, 5, 2000]];
        Self {
            single_active: rng.f32() < 0.4,
            handovers: pick(rng, &[0.0, 0.02, 0.05]),
            timeouts: pick(rng, &timeouts),
        }
    }
}

impl ConsumerFeatures {
    fn timeout(&self, rng: &mut Rng, chance: f32) -> Option<u64> {
        let is_asked_for = rng.f32() < chance && !self.timeouts.is_empty();
        is_asked_for.then(|| pick(rng, self.timeouts))
    }
}

impl Draw {
    /// Some queues serve one consumer at a time, or want to be acknowledged in time.
    pub(super) fn draw_queue_arguments(&mut self) {
        let rng = &mut self.consumers;
        for queue in &mut self.queues {
            let (is_single, is_quorum) = (rng.bool(), rng.f32() < 0.7);
            let mut arguments = Vec::new();
            if is_single && self.consumer_features.single_active {
                arguments.push(SINGLE.to_owned());
                if is_quorum && queue.durable && !queue.exclusive && !queue.auto_delete {
                    arguments.push("x-queue-type:quorum".to_owned());
                }
            }
            if let Some(timeout) = self.consumer_features.timeout(rng, 0.3) {
                arguments.push(format!("x-consumer-timeout:{timeout}"));
            }
            queue.arguments = arguments;
        }
        if let Some(timeout) = self.consumer_features.timeout(rng, 0.3) {
            self.setup.consumer_timeout_ms = timeout;
        }
    }

    /// The timeout that a consumer asks for, if it does.
    pub(super) fn consumer_timeout(&mut self) -> Option<u64> {
        self.consumer_features.timeout(&mut self.consumers, 0.3)
    }

    /// Now and then somebody comes to a queue that serves one at a time, or goes from it.
    pub(super) fn hand_over(&mut self) {
        let rng = &mut self.consumers;
        if rng.f32() >= self.consumer_features.handovers {
            return;
        }
        let singles = self
            .queues
            .iter()
            .filter(|queue| queue.arguments.iter().any(|argument| argument.contains(SINGLE)));
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
