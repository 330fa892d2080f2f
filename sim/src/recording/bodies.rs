//! The bodies that a recording does not have: each is made of its message's number, so that a
//! message is known again by its body.

use std::collections::{BTreeMap, VecDeque};

use warren_recorder::{Follower, Piece};

const KIND_HEADER: u8 = 2;
/// A body says its message's number from so many bytes on, and its lower half from half of them on.
pub(super) const NUMBER_LEN: usize = 8;

/// A client's stream with bodies put in.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    follower: Follower,
    /// By channel: the message whose body comes, and how many bytes of it have.
    current: BTreeMap<u16, (u64, usize)>,
    /// The messages whose headers have come and were not asked for, in order.
    numbers: VecDeque<u64>,
}

impl Bodies {
    /// What was read, with bodies; `last` is the number of the last message there was.
    pub(super) fn restore(&mut self, pieces: &[Piece], last: &mut u64) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Plain(bytes) => {
                    self.pass(bytes, last);
                    out.extend_from_slice(bytes);
                }
                Piece::Body(len) => {
                    let body = self.body(*len);
                    self.pass(&body, last);
                    out.extend_from_slice(&body);
                }
            }
        }
        out
    }

    /// The number of the message whose header comes next.
    pub(super) fn next_number(&mut self) -> Option<u64> {
        self.numbers.pop_front()
    }

    fn pass(&mut self, mut bytes: &[u8], last: &mut u64) {
        while !bytes.is_empty() {
            let run = self.follower.run(bytes);
            if let Some(frame) = run.begins.filter(|frame| frame.kind == KIND_HEADER) {
                *last += 1;
                self.numbers.push_back(*last);
                self.current.insert(frame.channel, (*last, 0));
            }
            bytes = &bytes[run.len..];
        }
    }

    /// The next `len` bytes of the body that the stream is in.
    fn body(&mut self, len: usize) -> Vec<u8> {
        let channel = self.follower.frame().map_or(0, |frame| frame.channel);
        let (number, at) = self.current.entry(channel).or_default();
        let bytes = number.to_le_bytes();
        let body = (*at..*at + len).map(|at| bytes[at % NUMBER_LEN]).collect();
        *at += len;
        body
    }
}

/// The number of the message that has this body; `None` if the body is too short to tell.
pub(super) fn number_of(body: &[u8]) -> Option<u64> {
    if let Some(bytes) = body.first_chunk::<NUMBER_LEN>() {
        return Some(u64::from_le_bytes(*bytes));
    }
    body.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::encode_frame;

    fn plain(bytes: Vec<u8>) -> Piece {
        Piece::Plain(Bytes::from(bytes))
    }

    /// The parts of a frame before and behind its payload.
    fn around(kind: u8, channel: u16, len: usize) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, kind, channel, &vec![0; len]);
        (bytes[..7].to_vec(), vec![0xCE])
    }

    #[test]
    fn a_body_in_pieces_says_whose_it_is() {
        let (mut bodies, mut last) = (Bodies::default(), 6);
        let mut start = b"AMQP\0\0\x09\x01".to_vec();
        encode_frame(&mut start, 2, 1, &[0; 14]);
        let (before, behind) = around(3, 1, 20);
        start.extend_from_slice(&before);
        let head = start.len();
        let pieces = [plain(start), Piece::Body(3), Piece::Body(17), plain(behind)];
        let stream = bodies.restore(&pieces, &mut last);
        assert_eq!(bodies.next_number(), Some(7));
        assert_eq!(number_of(&stream[head..head + 20]), Some(7));
        assert_eq!(number_of(&stream[head..head + 4]), Some(7));
        assert_eq!(number_of(&stream[head..head + 3]), None);
    }
}
