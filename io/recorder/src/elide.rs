//! What a client sent, without its bodies and secrets: pieces of the stream as they are, but for
//! [secrets](crate::secrets), and between them the length of what is left out.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use crate::follower::{Follower, FrameStart, Run};
use crate::number;
use crate::secrets::{MASK, Secrets};

/// The beginning and the end of a frame, around its payload.
const PREFIX_LEN: usize = 7;
const KIND_METHOD: u8 = 1;

/// What stands between bodies is kept for comparison if it is no longer than this, in bytes.
const REPEAT_LEN_MAX: usize = 1024;

/// Leaves out bodies, on all connections, and what is the same before each of them: publishers
/// mostly publish to one place, with the same properties.
#[derive(Debug, Default)]
pub(crate) struct Elider(HashMap<u32, Stream>);

/// Where a client's stream is.
#[derive(Clone, Debug, Default)]
struct Stream {
    follower: Follower,
    secrets: Secrets,
    /// The bytes to be masked of what is looked at.
    masked: Vec<Range<usize>>,
    /// What stood before the last body.
    last: Vec<u8>,
    /// Where the stream was before that, and where behind it. From there, the same bytes lead to
    /// the same place: they need not be followed again.
    around_last: Option<[Follower; 2]>,
}

impl Elider {
    /// The connection of this index is another from now on.
    pub(crate) fn begin(&mut self, index: u32) {
        self.0.insert(index, Stream::default());
    }

    /// Appends what was read from a connection: by turns bytes as they are, and a body's
    /// length, until all is accounted for. Before the bytes stands their number plus one; 0 stands
    /// for the same bytes as before the body before.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, index: u32, bytes: &[u8]) {
        let stream = self.0.entry(index).or_default();
        let mut rest = stream.put_repeats(out, bytes);
        while !rest.is_empty() {
            rest = stream.put_to_body_end(out, rest);
            rest = stream.put_repeats(out, rest);
        }
    }
}

impl Stream {
    /// Appends messages that are like the last but for their bodies, as long as they are all there,
    /// and gives what comes behind them. It is the same as without, in fewer steps: a publisher's
    /// stream is hardly anything else.
    fn put_repeats<'a>(&mut self, out: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
        let Some([before, behind]) = self.around_last else { return bytes };
        let Some(body_len) = behind.whole_body_then(before) else { return bytes };
        let mut rest = bytes;
        if self.follower != before || self.last.is_empty() {
            return rest;
        }
        while let Some(message) = rest.get(..self.last.len() + body_len)
            && message.starts_with(&self.last)
        {
            out.push(0);
            number::put(out, body_len as u64);
            rest = &rest[message.len()..];
        }
        rest
    }

    /// Appends what comes before the next body, and of that what is there; gives what is behind.
    fn put_to_body_end<'a>(&mut self, out: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
        let (kept, body_len) = self.split(bytes);
        let (kept, rest) = bytes.split_at(kept);
        self.put(out, kept);
        if rest.is_empty() {
            return rest;
        }
        let (body, rest) = rest.split_at(body_len);
        number::put(out, body.len() as u64);
        rest
    }

    /// Appends what stands between bodies, but for secrets.
    fn put(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let is_plain = self.masked.is_empty();
        if is_plain && !bytes.is_empty() && bytes == self.last {
            return out.push(0);
        }
        number::put(out, bytes.len() as u64 + 1);
        let from = out.len();
        out.extend_from_slice(bytes);
        for range in self.masked.drain(..) {
            out[from + range.start..from + range.end].fill(MASK);
        }
        self.last.clear();
        if is_plain && bytes.len() <= REPEAT_LEN_MAX {
            self.last.extend_from_slice(bytes);
        }
    }

    /// How many bytes come before a body, and how many of the body then.
    fn split(&mut self, bytes: &[u8]) -> (usize, usize) {
        if let Some(kept) = self.repeat(bytes) {
            let rest = &bytes[kept..];
            return (kept, if rest.is_empty() { 0 } else { self.follower.run(rest).len });
        }
        let start = self.follower;
        let mut kept = 0;
        while kept < bytes.len() {
            let before = self.follower;
            let run = self.follower.run(&bytes[kept..]);
            if run.is_body {
                self.around_last = Some([start, before]);
                return (kept, run.len);
            }
            self.find_secrets(before.frame(), run, bytes, kept);
            kept += run.len;
        }
        self.around_last = None;
        (kept, 0)
    }

    /// How many bytes are those that stood before the last body; they are passed over.
    fn repeat(&mut self, bytes: &[u8]) -> Option<usize> {
        let [before, behind] = self.around_last?;
        let is_again = !self.last.is_empty() && self.follower == before;
        (is_again && bytes.starts_with(&self.last)).then(|| {
            self.follower = behind;
            self.last.len()
        })
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

    #[test]
    fn what_is_not_followed_again_is_split_as_if_it_were() {
        let message = |key: u8, body: &[u8]| {
            let mut bytes = Vec::new();
            for (kind, payload) in [(1, &[0, 60, 0, 40, key][..]), (2, b"header"), (3, body)] {
                bytes.extend_from_slice(&[kind, 0, 1, 0, 0, 0, payload.len() as u8]);
                bytes.extend_from_slice(payload);
                bytes.push(0xCE);
            }
            bytes
        };
        let mut stream = stream();
        for (key, body) in [(7, "ab"), (7, "cd"), (7, "e"), (8, "fg"), (8, "hi"), (8, ""), (8, "j")]
            .into_iter()
            .chain([(9, "kl"), (9, "mn"), (9, "op"), (9, "qr"), (8, "st")])
        {
            stream.extend_from_slice(&message(key, body.as_bytes()));
        }
        for cut in 0..stream.len() {
            let (mut one, mut out) = (Stream::default(), Vec::new());
            let (mut elider, mut out_of_elider) = (Elider::default(), Vec::new());
            let mut plain = Follower::default();
            for mut piece in [&stream[..cut], &stream[cut..]] {
                elider.put(&mut out_of_elider, 7, piece);
                while !piece.is_empty() {
                    let (kept, body) = one.clone().split(piece);
                    let rest = one.put_to_body_end(&mut out, piece);
                    let mut at = 0;
                    while at < kept + body {
                        let run = plain.run(&piece[at..]);
                        assert_eq!(run.is_body, at >= kept, "cut at {cut}");
                        at += run.len;
                    }
                    assert_eq!((at, plain), (kept + body, one.follower), "cut at {cut}");
                    assert_eq!(rest.len(), piece.len() - at, "cut at {cut}");
                    piece = rest;
                }
            }
            assert_eq!(out, out_of_elider, "cut at {cut}");
        }
    }

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
