//! Messages encoded beforehand, to be written over and over.
//!
//! A batch is a ring of equally long messages, one after another in one buffer, that goes round the
//! publisher's queues. A run of any number of them is one slice: nothing is encoded or copied while
//! the load is on, except the eight bytes of a time stamp where one is asked for.

use super::options::Plan;
use super::topology::Topology;
use super::wire;

/// The most that is written at once, unless a single message is longer. Anything from 64 to 256 KiB
/// measured the same.
const WRITE_BYTES: usize = 128 * 1024;

/// The encoded messages of one publisher.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Messages in the ring.
    messages: usize,
    /// Bytes that each message takes, all frames together.
    message_len: usize,
    /// Where in each message its body begins.
    body_at: usize,
    /// Messages that may be written at once.
    run_max: usize,
    /// The message to be written next.
    next: usize,
}

impl Batch {
    /// The messages of publisher `index`, cut to `frame_max`.
    pub(super) fn new(plan: &Plan, topology: &Topology, index: usize, frame_max: usize) -> Self {
        let workload = &plan.workload;
        let keys = topology.keys(index, workload.publishers as usize);
        let body: Vec<u8> = (0..workload.size).map(|at| at.to_le_bytes()[0]).collect();
        let properties =
            wire::Properties { persistent: workload.persistent, ..wire::Properties::default() };
        let encode = |out: &mut Vec<u8>, key: &str| {
            wire::publish(out, topology.exchange(), key, properties, &body, frame_max)
        };

        let mut bytes = Vec::new();
        let body_at = encode(&mut bytes, &keys[0]);
        let message_len = bytes.len();
        let run_max = (WRITE_BYTES / message_len).max(1);
        let rounds = run_max.div_ceil(keys.len());
        let messages = rounds * keys.len();
        bytes.clear();
        bytes.reserve_exact(messages * message_len);
        for key in keys.iter().cycle().take(messages) {
            encode(&mut bytes, key);
        }
        assert_eq!(bytes.len(), messages * message_len, "messages differ in length");
        Self { bytes, messages, message_len, body_at, run_max, next: 0 }
    }

    /// How many messages of the next `wanted` can be written at once; at least one if any is
    /// wanted.
    pub(super) fn run(&self, wanted: u64) -> usize {
        let run_max = self.run_max.min(self.messages - self.next);
        usize::try_from(wanted).map_or(run_max, |wanted| wanted.min(run_max))
    }

    /// The bytes of the next `run` messages, which [`run`](Self::run) allowed.
    pub(super) fn take(&mut self, run: usize) -> &[u8] {
        let start = self.next * self.message_len;
        self.next = (self.next + run) % self.messages;
        &self.bytes[start..start + run * self.message_len]
    }

    /// Writes `stamp` over the first eight octets of the body of the message `ahead` of the next.
    ///
    /// The body has to have eight octets, and `ahead` to be less than what [`run`](Self::run)
    /// allows.
    pub(super) fn stamp(&mut self, ahead: usize, stamp: u64) {
        let at = (self.next + ahead) * self.message_len + self.body_at;
        self.bytes[at..at + 8].copy_from_slice(&stamp.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::plan;
    use super::*;

    fn batch(line: &str) -> (Batch, Vec<String>) {
        let plan = plan(line).unwrap();
        let topology = Topology::new(&plan);
        let keys = topology.share(0, plan.workload.publishers as usize).map(str::to_owned);
        let keys = keys.collect();
        (Batch::new(&plan, &topology, 0, 4096), keys)
    }

    /// What an encoded message has to be, made without the ring.
    fn message(key: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        wire::publish(&mut out, "", key, wire::Properties::default(), body, 4096);
        out
    }

    const BODY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn runs_of_any_length_go_round_the_queues_in_turn() {
        let (mut batch, keys) = batch("throughput --queues 3");
        let mut written = Vec::new();
        let mut count = 0;
        for wanted in (1..400).cycle().take(600) {
            let run = batch.run(wanted);
            assert!(run >= 1 && run as u64 <= wanted);
            written.extend_from_slice(batch.take(run));
            count += run;
        }
        assert!(count > 2 * batch.messages, "it went round");
        let expected: Vec<u8> =
            keys.iter().cycle().take(count).flat_map(|key| message(key, &BODY)).collect();
        assert!(written == expected);
    }

    #[test]
    fn a_run_is_bounded_and_never_empty() {
        let (small, _) = batch("throughput");
        assert!(small.run(u64::MAX) * small.message_len <= WRITE_BYTES);
        assert!(small.run(u64::MAX) > 500);
        let (large, _) = batch("throughput --size 1000000");
        assert_eq!(large.run(u64::MAX), 1);
        let (many, _) = batch("throughput --queues 20000");
        assert!(many.run(u64::MAX) * many.message_len <= WRITE_BYTES);
    }

    #[test]
    fn a_stamp_changes_eight_octets_of_one_body() {
        let (mut batch, keys) = batch("throughput");
        batch.take(1);
        batch.stamp(1, u64::from_be_bytes(*b"stamped!"));
        let mut stamped = BODY;
        stamped[..8].copy_from_slice(b"stamped!");
        let plain = message(&keys[0], &BODY);
        let expected = [plain.clone(), message(&keys[0], &stamped), plain].concat();
        assert!(batch.take(3) == expected);
    }
}
