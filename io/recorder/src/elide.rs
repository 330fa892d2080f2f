//! What a client sent, without its bodies: pieces of the stream as they are, and between them the
//! length and the hash of what is left out.

use std::collections::HashMap;

use bytes::Bytes;

use crate::follower::Follower;
use crate::{hash, number};

/// What stands between bodies is kept for comparison if it is no longer than this, in bytes.
const REPEAT_LEN_MAX: usize = 1024;

/// Leaves out bodies, on all connections, and what is the same before each of them: publishers
/// mostly publish to one place, with the same properties.
#[derive(Debug, Default)]
pub(crate) struct Elider(HashMap<u32, Stream>);

#[derive(Debug, Default)]
struct Stream {
    follower: Follower,
    /// What stood before the last body.
    last: Vec<u8>,
}

impl Elider {
    /// The connection of this index is another from now on.
    pub(crate) fn begin(&mut self, index: u32) {
        self.0.insert(index, Stream::default());
    }

    /// Appends what was read from a connection: by turns bytes as they are, and a body's length and
    /// hash, until all is accounted for. Before the bytes stands their number plus one; 0 stands
    /// for the same bytes as before the body before.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, index: u32, bytes: &[u8]) {
        let stream = self.0.entry(index).or_default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (kept, body) = split(&mut stream.follower, rest);
            stream.put(out, &rest[..kept]);
            rest = &rest[kept..];
            if !rest.is_empty() {
                number::put(out, body as u64);
                out.extend_from_slice(&hash::of_body(&rest[..body]).to_le_bytes());
                rest = &rest[body..];
            }
        }
    }
}

impl Stream {
    fn put(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if bytes == self.last && !bytes.is_empty() {
            return out.push(0);
        }
        number::put(out, bytes.len() as u64 + 1);
        out.extend_from_slice(bytes);
        self.last.clear();
        if bytes.len() <= REPEAT_LEN_MAX {
            self.last.extend_from_slice(bytes);
        }
    }
}

/// The same, read again.
#[derive(Debug, Default)]
pub(crate) struct Repeats(HashMap<u32, Bytes>);

impl Repeats {
    /// Takes the bytes that stand next on this connection; `None` when there are none.
    pub(crate) fn take(&mut self, from: &mut Bytes, index: u32) -> Option<Bytes> {
        let Some(len) = number::take(from)?.checked_sub(1) else {
            return self.0.get(&index).cloned();
        };
        let len = usize::try_from(len).ok().filter(|len| *len <= from.len())?;
        let bytes = from.split_to(len);
        self.0.insert(index, bytes.clone());
        Some(bytes)
    }
}

/// How many bytes come before a body, and how many of the body then.
fn split(follower: &mut Follower, bytes: &[u8]) -> (usize, usize) {
    let mut kept = 0;
    while kept < bytes.len() {
        let run = follower.run(&bytes[kept..]);
        if run.is_body {
            return (kept, run.len);
        }
        kept += run.len;
    }
    (kept, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_again_is_said_in_a_byte_and_read_again() {
        let (mut stream, mut repeats) = (Stream::default(), Repeats::default());
        let long = [b'l'; REPEAT_LEN_MAX + 1];
        let pieces: [&[u8]; 8] = [b"one", b"one", b"two", b"one", b"", b"one", &long, &long];
        let mut out = Vec::new();
        let mut lens = Vec::new();
        for piece in pieces {
            let before = out.len();
            stream.put(&mut out, piece);
            lens.push(out.len() - before);
        }
        assert_eq!(lens[..6], [4, 1, 4, 4, 1, 4]);
        assert!(lens[7] > REPEAT_LEN_MAX, "what is long is not kept");
        let mut from = Bytes::from(out);
        for piece in pieces {
            assert_eq!(repeats.take(&mut from, 1).as_deref(), Some(piece));
        }
        assert_eq!(repeats.take(&mut from, 1), None);
    }
}
