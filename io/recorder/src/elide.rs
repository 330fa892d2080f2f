//! What a client sent, without its bodies and secrets: pieces of the stream as they are, but for
//! [secrets](crate::secrets), and between them the length and the hash of what is left out.

use std::collections::HashMap;
use std::ops::Range;

use crate::follower::{Follower, FrameStart, Run};
use crate::secrets::{MASK, Secrets};
use crate::{hash, number};

/// The beginning and the end of a frame, around its payload.
const PREFIX_LEN: usize = 7;
const KIND_METHOD: u8 = 1;

/// Leaves out bodies, on all connections.
#[derive(Debug, Default)]
pub(crate) struct Elider(HashMap<u32, Stream>);

/// Where a client's stream is.
#[derive(Debug, Default)]
struct Stream {
    follower: Follower,
    secrets: Secrets,
    /// The bytes to be masked of what is looked at.
    masked: Vec<Range<usize>>,
}

impl Elider {
    /// The connection of this index is another from now on.
    pub(crate) fn begin(&mut self, index: u32) {
        self.0.insert(index, Stream::default());
    }

    /// Appends what was read from a connection: by turns so many bytes as they are, and a body's
    /// length and hash, until all is accounted for.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, index: u32, bytes: &[u8]) {
        let stream = self.0.entry(index).or_default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (kept, body) = stream.split(rest);
            number::put_bytes(out, &rest[..kept]);
            let from = out.len() - kept;
            for range in stream.masked.drain(..) {
                out[from + range.start..from + range.end].fill(MASK);
            }
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
    /// How many bytes come before a body, and how many of the body then.
    fn split(&mut self, bytes: &[u8]) -> (usize, usize) {
        let mut kept = 0;
        while kept < bytes.len() {
            let within = self.follower.frame();
            let run = self.follower.run(&bytes[kept..]);
            if run.is_body {
                return (kept, run.len);
            }
            self.find_secrets(within, run, bytes, kept);
            kept += run.len;
        }
        (kept, 0)
    }

    /// Looks for secrets in a run, which stands at `at`, and was begun `within` a frame.
    fn find_secrets(&mut self, within: Option<FrameStart>, run: Run, bytes: &[u8], at: usize) {
        let Some(frame) = within.or(run.begins) else { return };
        if frame.channel != 0 || frame.kind != KIND_METHOD {
            return;
        }
        if run.begins.is_some() {
            self.secrets.begin();
        }
        let end = at + run.len;
        let payload = match (within, run.begins) {
            (Some(_), _) => at..end,
            // It is all there, with its end.
            (None, Some(_)) if run.len > PREFIX_LEN => at + PREFIX_LEN..end - 1,
            _ => return,
        };
        for at in payload {
            if self.secrets.is_secret(bytes[at]) {
                match self.masked.last_mut() {
                    Some(last) if last.end == at => last.end += 1,
                    _ => self.masked.push(at..at + 1),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A login and a message.
    fn stream() -> Vec<u8> {
        let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
        let mut start_ok = vec![0, 10, 0, 11, 0, 0, 0, 0, 5];
        start_ok.extend_from_slice(b"PLAIN\0\0\0\x0D\0guest\0secret\x05en_US");
        for (kind, channel, payload) in [(1, 0, &start_ok[..]), (3, 1, b"a secret")] {
            bytes.extend_from_slice(&[kind, 0, channel, 0, 0, 0, payload.len() as u8]);
            bytes.extend_from_slice(payload);
            bytes.push(0xCE);
        }
        bytes
    }

    #[test]
    fn no_password_is_kept_however_the_stream_is_cut() {
        let stream = stream();
        for cut in 0..stream.len() {
            let (mut elider, mut out) = (Elider::default(), Vec::new());
            for piece in [&stream[..cut], &stream[cut..]] {
                elider.put(&mut out, 7, piece);
            }
            let text = String::from_utf8_lossy(&out);
            assert!(!text.contains("secret") && text.contains('*'), "cut at {cut}: {text:?}");
            let masked = out.iter().filter(|byte| **byte == MASK).count();
            assert!(masked >= 6, "cut at {cut}");
        }
    }
}
