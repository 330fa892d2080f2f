//! The hash of outputs, which tells that a replay differs.
//!
//! It does not withstand malice, and need not: it is to be fast.

use std::fmt;
use std::mem::take;

use warren_core::amqp::{Egress, Method, OutFrame};
use warren_core::broker::Message;
use warren_core::{ConnectionId, DiskOp, DiskRequest, FileId, Output, RecoveryOutput};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The hash of a row of outputs: their kinds, whom they are for, methods, properties and lengths.
/// Bodies are not part of it, nor is what the broker writes to its files: both are made of bytes
/// that a replay does not have.
///
/// Each output is hashed with the hash of all before it as the seed: a short row of numbers takes
/// a few steps so, where a hash that is fed piece by piece first gathers them. Deliveries one
/// behind the other that differ in their tags only are one output with their number.
#[derive(Default)]
pub struct OutputHash {
    hash: u64,
    run: Run,
    scratch: Egress,
}

/// Deliveries on one channel with tags in a row, all made of as many bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    count: u64,
    /// Whom they are for, and the lengths of what they are made of.
    about: [u64; 2],
    /// The first tag, and whether these are redelivered; of the next one, that of the last and one
    /// more.
    first: u64,
    next: u64,
}

impl Run {
    /// How far apart tags are that come one behind the other, beside whether they are redelivered.
    const STEP: u64 = 2;

    /// The hash of what is in the run, if anything is, behind that of what was before.
    fn close(&self, hash: u64) -> u64 {
        let [to, lens] = self.about;
        match self.count {
            0 => hash,
            count => hash_numbers([to, self.first, count, lens], hash),
        }
    }
}

fn hash_numbers<const COUNT: usize>(numbers: [u64; COUNT], seed: u64) -> u64 {
    xxh3_64_with_seed(numbers.map(u64::to_le_bytes).as_flattened(), seed)
}

impl fmt::Debug for OutputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputHash({:016x})", self.get())
    }
}

impl OutputHash {
    /// The hash of all outputs so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.run.close(self.hash)
    }

    /// Takes an output in.
    pub fn add(&mut self, output: &Output) {
        match output {
            Output::Send(id, frame) => self.frame(about(1, *id), frame),
            Output::FrameMax(id, frame_max) => {
                self.numbers([about(2, *id), u64::from(*frame_max)]);
            }
            Output::PauseReading(id) => self.number(about(3, *id)),
            Output::ResumeReading(id) => self.number(about(4, *id)),
            Output::Close(id) => self.number(about(5, *id)),
            Output::Disk(request) => self.request(request),
            Output::Answered(id, result) => {
                let done = result.as_ref().map_or(u64::MAX, |done| *done as u64);
                self.numbers([10, id.0, done]);
            }
            // Neither password nor hash: a recording has none of them.
            Output::Verify(id, ..) => self.number(about(11, *id)),
            Output::Halt(reason) => self.text(7, reason.as_bytes()),
            // Words for people, which may change without anything else.
            Output::Event(_) => self.number(8),
        }
    }

    /// Takes in what a recovery wants.
    pub fn add_recovery(&mut self, output: &RecoveryOutput) {
        match output {
            RecoveryOutput::Disk(request) => self.request(request),
            RecoveryOutput::Note(_) => self.number(9),
        }
    }

    fn number(&mut self, number: u64) {
        self.numbers([number]);
    }

    fn numbers<const COUNT: usize>(&mut self, numbers: [u64; COUNT]) {
        self.hash = hash_numbers(numbers, take(&mut self.run).close(self.hash));
    }

    fn text(&mut self, kind: u64, text: &[u8]) {
        self.numbers([kind, xxh3_64(text)]);
    }

    fn deliver(&mut self, about: [u64; 2], tag: u64) {
        if self.run.next != tag || self.run.about != about {
            self.hash = self.run.close(self.hash);
            self.run = Run { count: 0, about, first: tag, next: tag };
        }
        self.run.count += 1;
        self.run.next = tag.wrapping_add(Run::STEP);
    }

    /// A frame that goes where this number says.
    fn frame(&mut self, to: u64, frame: &OutFrame) {
        let on = |kind: u64, channel: u16| kind << 56 | u64::from(channel) << 40 | to;
        match frame {
            OutFrame::Deliver(channel, deliver) => {
                let tag = deliver.delivery_tag << 1 | u64::from(deliver.redelivered);
                self.deliver([on(20, *channel), lens(&deliver.message)], tag);
            }
            OutFrame::GetOk(channel, get_ok) => {
                let tag = get_ok.delivery_tag << 1 | u64::from(get_ok.redelivered);
                let left = u64::from(get_ok.message_count);
                self.numbers([on(21, *channel), tag, left, lens(&get_ok.message)]);
            }
            OutFrame::Return(channel, _, message) => {
                self.numbers([on(22, *channel), lens(message)]);
            }
            OutFrame::Method(channel, Method::BasicAck(ack)) => {
                let tag = ack.delivery_tag << 1 | u64::from(ack.multiple);
                self.numbers([on(23, *channel), tag]);
            }
            OutFrame::ProtocolHeader(_) | OutFrame::Heartbeat | OutFrame::Method(..) => {
                self.number(to);
                self.encoded(frame);
            }
        }
    }

    fn encoded(&mut self, frame: &OutFrame) {
        self.scratch.push(frame);
        for chunk in self.scratch.chunks() {
            self.hash = xxh3_64_with_seed(chunk, self.hash);
        }
        self.scratch.advance(self.scratch.len());
    }

    fn request(&mut self, request: &DiskRequest) {
        let (kind, file, a, b) = match &request.op {
            DiskOp::Create { file, len } => (1, Some(file), *len, 0),
            DiskOp::Write { file, offset, data } => {
                (2, Some(file), *offset, data.iter().map(|piece| piece.len() as u64).sum())
            }
            DiskOp::Sync { file } => (3, Some(file), 0, 0),
            DiskOp::Truncate { file, len } => (4, Some(file), *len, 0),
            DiskOp::Delete { file } => (5, Some(file), 0, 0),
            DiskOp::DropCache { file } => (6, Some(file), 0, 0),
            DiskOp::SyncDir => (7, None, 0, 0),
            DiskOp::Read { file, offset, len } => (8, Some(file), *offset, u64::from(*len)),
            DiskOp::List => (9, None, 0, 0),
        };
        let file = match file {
            Some(FileId::Segment(number)) => number << 1,
            Some(FileId::Checkpoint(number)) => number << 1 | 1,
            None => u64::MAX,
        };
        self.numbers([6 << 32 | request.lane as u64, request.id.0, kind, file, a, b]);
    }
}

fn about(kind: u64, id: ConnectionId) -> u64 {
    kind << 32 | id.index() as u64
}

/// The lengths of a message's properties and body: what it is follows from its place.
fn lens(message: &Message) -> u64 {
    (message.properties.wire().len() as u64) << 40 ^ message.body.len() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use warren_core::amqp::{Deliver, Properties};
    use warren_core::broker::Charge;

    use super::*;

    fn hash(outputs: &[Output]) -> u64 {
        let mut hash = OutputHash::default();
        outputs.iter().for_each(|output| hash.add(output));
        hash.get()
    }

    fn deliver(delivery_tag: u64, redelivered: bool, body: &'static [u8]) -> Output {
        let message = Arc::new(Message {
            exchange: "x".into(),
            routing_key: "key".into(),
            properties: Properties::default(),
            body: Bytes::from_static(body).into(),
            persistent: false,
            is_dead_letter: false,
            charge: Charge::default(),
        });
        let deliver = Deliver { consumer_tag: "c".into(), delivery_tag, redelivered, message };
        Output::Send(ConnectionId::from_number(7), OutFrame::Deliver(1, deliver))
    }

    #[test]
    fn the_order_of_outputs_counts() {
        let (a, b) = (Output::Halt("a".into()), Output::Halt("b".into()));
        assert_ne!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
    }

    #[test]
    fn deliveries_in_a_row_are_told_from_others() {
        let [first, second, third] = [1, 2, 3].map(|tag| deliver(tag, false, b"body"));
        let others = [
            deliver(4, false, b"body"),
            deliver(3, true, b"body"),
            deliver(3, false, b"a body"),
            Output::Halt("three".into()),
        ];
        let mut hashes = vec![hash(&[first.clone(), second.clone(), third.clone()])];
        for other in others {
            hashes.push(hash(&[first.clone(), second.clone(), other.clone()]));
            hashes.push(hash(&[first.clone(), other.clone(), second.clone()]));
            hashes.push(hash(&[other, first.clone(), second.clone()]));
        }
        hashes.push(hash(&[first.clone(), second.clone()]));
        hashes.push(hash(&[first]));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn asking_for_the_hash_changes_nothing_that_comes() {
        let (mut asked, mut other) = (OutputHash::default(), OutputHash::default());
        for tag in 1..4 {
            asked.add(&deliver(tag, false, b"body"));
            let _ = asked.get();
            other.add(&deliver(tag, false, b"body"));
        }
        assert_eq!(asked.get(), other.get());
    }
}
