//! What a client sent, without its bodies: pieces of the stream as they are, and between them the
//! length and the hash of what is left out.

use std::collections::HashMap;

use crate::follower::Follower;
use crate::{hash, number};

/// Leaves out bodies, on all connections.
#[derive(Debug, Default)]
pub(crate) struct Elider(HashMap<u32, Follower>);

impl Elider {
    /// The connection of this index is another from now on.
    pub(crate) fn begin(&mut self, index: u32) {
        self.0.insert(index, Follower::default());
    }

    /// Appends what was read from a connection: by turns so many bytes as they are, and a body's
    /// length and hash, until all is accounted for.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, index: u32, bytes: &[u8]) {
        let follower = self.0.entry(index).or_default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (kept, body) = split(follower, rest);
            number::put_bytes(out, &rest[..kept]);
            rest = &rest[kept..];
            if !rest.is_empty() {
                number::put(out, body as u64);
                out.extend_from_slice(&hash::of_body(&rest[..body]).to_le_bytes());
                rest = &rest[body..];
            }
        }
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
