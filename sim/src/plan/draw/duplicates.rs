//! Exchanges and queues that deduplicate, and messages that say something to them.

use fastrand::Rng;

use super::{Draw, Step, Who, pick};

/// Each is on or off.
#[derive(Clone, Debug)]
pub(super) struct DuplicateFeatures {
    exchanges: bool,
    queues: bool,
    /// Wrong arguments.
    misuse: bool,
    /// The header that most of them look at; the usual one if there is none.
    header: Option<&'static str>,
}

/// Times in milliseconds: runs take seconds.
const TIMES: [&str; 6] = ["0", "1", "20", "100", "400", "5000"];
const SIZES: [&str; 6] = ["1", "2", "3", "5", "5", "1000000"];
const VALUES: [&str; 9] = ["1", "1", "2", "3", "4", "a", "b", "true", "''"];
const USUAL: &str = "x-deduplication-header";
const MISTAKES: [&str; 5] = [
    "x-message-deduplication:1",
    "x-message-deduplication:true,x-cache-size:0",
    "x-cache-size:1000001",
    "x-cache-ttl:-1",
    "x-deduplication-header:7",
];

impl DuplicateFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            exchanges: rng.f32() < 0.3,
            queues: rng.f32() < 0.3,
            misuse: rng.f32() < 0.3,
            header: pick(rng, &[None, None, Some("id")]),
        }
    }

    fn arguments(&self, rng: &mut Rng) -> Vec<String> {
        let mut arguments = vec!["x-message-deduplication:true".to_owned()];
        if rng.f32() < 0.8 {
            arguments.push(format!("x-cache-size:{}", pick(rng, &SIZES)));
        }
        if rng.f32() < 0.3 {
            arguments.push(format!("x-cache-ttl:{}", pick(rng, &TIMES)));
        }
        if let Some(header) = self.header.filter(|_| rng.f32() < 0.8) {
            arguments.push(format!("x-deduplication-header:{header}"));
        }
        arguments
    }
}

impl Draw {
    /// Makes some queues and exchanges deduplicate.
    pub(super) fn draw_duplicate_arguments(&mut self) {
        let (features, rng) = (&self.duplicate_features, &mut self.duplicates);
        for exchange in &mut self.exchanges {
            if features.exchanges && rng.f32() < 0.6 {
                let ours = features.arguments(rng);
                let all = exchange.arguments.take().into_iter().chain(ours);
                exchange.arguments = Some(all.collect::<Vec<_>>().join(","));
            }
        }
        for queue in &mut self.queues {
            if features.queues && rng.f32() < 0.6 {
                queue.arguments.extend(features.arguments(rng));
            }
        }
    }

    /// A message that says something, mostly.
    pub(super) fn with_value(&mut self, step: Step) -> Step {
        let (features, rng) = (&self.duplicate_features, &mut self.duplicates);
        if !(features.exchanges || features.queues) || rng.f32() < 0.3 {
            return step;
        }
        let mut headers: Vec<String> = step.value("headers").map(Into::into).into_iter().collect();
        headers.push(format!("{}:{}", features.header.unwrap_or(USUAL), pick(rng, &VALUES)));
        if rng.f32() < 0.1 {
            headers.push(format!("x-cache-ttl:{}", pick(rng, &TIMES)));
        }
        step.with("headers", headers.join(","))
    }

    /// An exchange or a queue that there must not be.
    pub(super) fn misuse_deduplication(&mut self) {
        if !self.duplicate_features.misuse || self.duplicates.f32() >= 0.003 {
            return;
        }
        let rng = &mut self.duplicates;
        let (client, channel) = (rng.u8(1..=self.clients), rng.u16(1..=self.channels));
        let who = Who::Channel(client, channel);
        let made = match rng.bool() {
            true => Step::new(who, "xdeclare").with("x", "wrong").with("type", "fanout"),
            false => Step::new(who, "declare").with("q", "wrong"),
        };
        let made = made.with("arg", pick(rng, &MISTAKES));
        self.push(made);
        self.push(Step::wait(20_000));
        self.connect(client);
        self.open(client, channel);
    }
}
