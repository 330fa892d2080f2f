//! Hashes: of bodies, to tell them apart, and of outputs, to tell that a replay differs.
//!
//! Nothing here withstands malice, and nothing needs to: it is to be fast.

use std::fmt;

use warren_core::amqp::{Egress, Method, OutFrame};
use warren_core::broker::Message;
use warren_core::{ConnectionId, DiskOp, DiskRequest, FileId, Output, RecoveryOutput};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The hash of some bytes.
fn of_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Of a longer body, so many bytes at either end are hashed: to hash all of it would be most of
/// what a recording costs.
const END_LEN: usize = 64;

/// The hash of a part of a body.
pub(crate) fn of_body(bytes: &[u8]) -> u64 {
    match bytes.len().checked_sub(END_LEN) {
        Some(last) if last > END_LEN => {
            xxh3_64_with_seed(&bytes[last..], of_bytes(&bytes[..END_LEN]))
        }
        _ => of_bytes(bytes),
    }
}

/// The hash of a row of outputs: their kinds, whom they are for, methods, properties and lengths.
/// Bodies are not part of it, nor is what the broker writes to its files: both are made of bytes
/// that a replay does not have.
///
/// Each output is hashed with the hash of all before it as the seed: a short row of numbers takes
/// a few steps so, where a hash that is fed piece by piece first gathers them.
#[derive(Default)]
pub struct OutputHash {
    hash: u64,
    scratch: Egress,
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
        self.hash
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
        self.bytes(numbers.map(u64::to_le_bytes).as_flattened());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.hash);
    }

    fn text(&mut self, kind: u64, text: &[u8]) {
        self.numbers([kind, of_bytes(text)]);
    }

    /// A frame that goes where this number says.
    fn frame(&mut self, to: u64, frame: &OutFrame) {
        let on = |kind: u64, channel: u16| kind << 56 | u64::from(channel) << 40 | to;
        match frame {
            OutFrame::Deliver(channel, deliver) => {
                let [names, body_len] = lens(&deliver.message);
                let tag = deliver.delivery_tag << 1 | u64::from(deliver.redelivered);
                self.numbers([on(20, *channel), tag, names, body_len]);
            }
            OutFrame::GetOk(channel, get_ok) => {
                let [names, body_len] = lens(&get_ok.message);
                let tag = get_ok.delivery_tag << 1 | u64::from(get_ok.redelivered);
                let left = u64::from(get_ok.message_count);
                self.numbers([on(21, *channel), tag, left, names, body_len]);
            }
            OutFrame::Return(channel, _, message) => {
                let [names, body_len] = lens(message);
                self.numbers([on(22, *channel), names, body_len]);
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

/// The lengths of all that a message is made of: what it is follows from its place.
fn lens(message: &Message) -> [u64; 2] {
    let (exchange, key) = (message.exchange.len() as u64, message.routing_key.len() as u64);
    let properties = message.properties.wire().len() as u64;
    [exchange << 56 | key << 48 | properties, message.body.len() as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_bytes_have_different_hashes() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"warren", b"warren is", b"warren it"];
        let mut hashes = texts.map(of_bytes).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), texts.len());
    }

    #[test]
    fn bodies_are_told_apart_by_their_ends() {
        let body = |at: Option<usize>| {
            let mut body = vec![7; 1000];
            at.into_iter().for_each(|at| body[at] = 8);
            of_body(&body)
        };
        let mut hashes =
            [None, Some(0), Some(END_LEN - 1), Some(1000 - END_LEN), Some(999)].map(body).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 5);
        assert_ne!(of_body(&[7; 2 * END_LEN]), of_body(&[7; 2 * END_LEN + 1]));
    }

    #[test]
    fn the_order_of_outputs_counts() {
        let hash = |outputs: &[Output]| {
            let mut hash = OutputHash::default();
            outputs.iter().for_each(|output| hash.add(output));
            hash.get()
        };
        let (a, b) = (Output::Halt("a".into()), Output::Halt("b".into()));
        assert_ne!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
    }
}
