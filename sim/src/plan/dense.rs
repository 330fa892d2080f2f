//! A plan to measure with: as much work for the broker in as little simulated time as can be, and
//! no faults.

use super::{Plan, Setup, Step, Who};

/// How many messages each of the two publishers sends in a round.
const PUBLISHES: u64 = 20;
/// How long a round lasts, in simulated microseconds.
const ROUND_US: u64 = 2000;
/// How long is waited for the answers to what is set up.
const SETTLE_US: u64 = 100_000;

/// Two clients publish with confirms, one of them persistent messages to a durable queue; two
/// consume, one with acks and a prefetch, one without. So many rounds of it.
#[must_use]
pub fn dense(rounds: u64) -> Plan {
    let on = |client| Who::Channel(client, 1);
    let mut steps = Vec::new();
    for client in 1..=4 {
        steps.push(Step::new(Who::Client(client), "connect").with("latency_us", 50));
        steps.push(Step::new(on(client), "open"));
        steps.push(Step::new(on(client), "confirm"));
        if client == 1 {
            steps.push(Step::new(on(1), "declare").with("q", "q1").flag("durable", true));
            steps.push(Step::new(on(1), "declare").with("q", "q2"));
        }
        steps.push(Step::wait(SETTLE_US));
    }
    steps.push(Step::new(on(3), "qos").with("count", 200));
    let consume = |client, queue| Step::new(on(client), "consume").with("q", queue);
    steps.push(consume(3, "q1").with("tag", "t1"));
    steps.push(consume(4, "q2").with("tag", "t2").flag("no_ack", true));
    steps.push(Step::wait(SETTLE_US));
    let publish =
        |client, queue| Step::new(on(client), "publish").with("key", queue).with("body", 64);
    let (kept, passing) = (publish(1, "q1").flag("persistent", true), publish(2, "q2"));
    let ack = Step::new(on(3), "ack").with("nth", PUBLISHES - 1).flag("multiple", true);
    for _ in 0..rounds {
        for _ in 0..PUBLISHES {
            steps.extend([kept.clone(), passing.clone()]);
        }
        steps.extend([ack.clone(), Step::wait(ROUND_US)]);
    }
    // As in production, what was read at once is handled before anything is answered.
    Plan { setup: Setup { boot_seed: 7, batch_max: 256, ..Setup::default() }, steps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Options, play};

    #[test]
    fn a_dense_plan_passes_and_handles_every_publish() {
        let outcome = play(&dense(10), Options::default());
        assert_eq!(outcome.failure, None);
        assert!(outcome.operations >= 10 * (2 * PUBLISHES + 1), "{}", outcome.operations);
    }
}
