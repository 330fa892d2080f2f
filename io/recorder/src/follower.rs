//! Follows the frames in a client's stream, to know which bytes are of a body.

const PREFIX_LEN: usize = 7;
const HEADER_LEN: usize = 8;
const KIND_BODY: u8 = 3;

/// What stands at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStart {
    /// Its type octet.
    pub kind: u8,
    /// Its channel.
    pub channel: u16,
}

/// Bytes in a row that are all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub len: usize,
    /// Whether they are of a body.
    pub is_body: bool,
    /// The frame whose beginning they complete.
    pub begins: Option<FrameStart>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many octets of the protocol header are to come.
    Header(usize),
    /// So many octets of a frame's beginning are there.
    Prefix([u8; PREFIX_LEN], usize),
    /// So many octets of this frame's payload are to come.
    Payload(FrameStart, usize),
    /// A frame's end octet is to come.
    End,
}

/// Follows a client's stream from its beginning, however it is cut.
///
/// What is no stream of frames is followed as if it were one: from the first octet on which the
/// broker's decoder stumbles, the connection is lost, and what follows is of no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower(Place);

impl Default for Follower {
    fn default() -> Self {
        Self(Place::Header(HEADER_LEN))
    }
}

impl Follower {
    /// The frame whose payload comes next, if the stream is within one.
    #[must_use]
    pub fn frame(&self) -> Option<FrameStart> {
        match self.0 {
            Place::Payload(frame, _) => Some(frame),
            _ => None,
        }
    }

    /// How long the body is that begins here, if the stream is at `then` behind all of it.
    #[must_use]
    pub(crate) fn whole_body_then(self, then: Self) -> Option<usize> {
        match self.0 {
            Place::Payload(frame, len) if frame.kind == KIND_BODY && then.0 == Place::End => {
                Some(len)
            }
            _ => None,
        }
    }

    /// The first run of these bytes, which come next and are at least one; they are passed over.
    pub fn run(&mut self, bytes: &[u8]) -> Run {
        if let Place::Prefix(_, 0) = self.0
            && let Some(whole) = whole_frame(bytes)
        {
            return whole;
        }
        let (len, next, is_body, begins) = match self.0 {
            Place::Header(left) => {
                let len = left.min(bytes.len());
                let next = match left - len {
                    0 => Place::Prefix([0; PREFIX_LEN], 0),
                    left => Place::Header(left),
                };
                (len, next, false, None)
            }
            Place::Prefix(mut prefix, have) => {
                let len = (PREFIX_LEN - have).min(bytes.len());
                prefix[have..have + len].copy_from_slice(&bytes[..len]);
                match have + len {
                    PREFIX_LEN => {
                        let (frame, payload_len) = read(prefix);
                        (len, within(frame, payload_len), false, Some(frame))
                    }
                    have => (len, Place::Prefix(prefix, have), false, None),
                }
            }
            Place::Payload(frame, left) => {
                let len = left.min(bytes.len());
                (len, within(frame, left - len), frame.kind == KIND_BODY, None)
            }
            Place::End => (1, Place::Prefix([0; PREFIX_LEN], 0), false, None),
        };
        self.0 = next;
        Run { len, is_body, begins }
    }
}

/// The frame that these bytes begin with, if all of it is there and it has no body.
/// Most of a stream can be passed over in such steps.
fn whole_frame(bytes: &[u8]) -> Option<Run> {
    let (frame, payload_len) = read(*bytes.first_chunk()?);
    let len = (PREFIX_LEN + 1).checked_add(payload_len)?;
    let is_whole = frame.kind != KIND_BODY && len <= bytes.len();
    is_whole.then_some(Run { len, is_body: false, begins: Some(frame) })
}

fn within(frame: FrameStart, left: usize) -> Place {
    if left == 0 { Place::End } else { Place::Payload(frame, left) }
}

fn read(prefix: [u8; PREFIX_LEN]) -> (FrameStart, usize) {
    let [kind, c0, c1, l0, l1, l2, l3] = prefix;
    let channel = u16::from_be_bytes([c0, c1]);
    (FrameStart { kind, channel }, u32::from_be_bytes([l0, l1, l2, l3]) as usize)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A stream with two bodies, of 3 and 5 bytes, that stand at 35..38 and 46..51.
    pub(crate) fn stream() -> Vec<u8> {
        let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
        let frames: [(u8, &[u8]); 4] = [(1, b"abcd"), (8, b""), (3, b"one"), (3, b"three")];
        for (kind, payload) in frames {
            bytes.extend_from_slice(&[kind, 0, 7, 0, 0, 0, payload.len() as u8]);
            bytes.extend_from_slice(payload);
            bytes.push(0xCE);
        }
        bytes
    }

    fn body_places(pieces: &[&[u8]]) -> Vec<usize> {
        let (mut follower, mut at, mut places) = (Follower::default(), 0, Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let run = follower.run(rest);
                if run.is_body {
                    places.extend(at..at + run.len);
                }
                at += run.len;
                rest = &rest[run.len..];
            }
        }
        places
    }

    #[test]
    fn bodies_are_found_however_the_stream_is_cut() {
        let stream = stream();
        let expected: Vec<usize> = (35..38).chain(46..51).collect();
        assert_eq!(body_places(&[&stream]), expected);
        for cut in 0..stream.len() {
            assert_eq!(body_places(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
        }
        assert_eq!(body_places(&stream.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_beginning_of_a_frame_is_told() {
        let stream = stream();
        let mut follower = Follower::default();
        assert_eq!(follower.run(&stream).len, 8);
        let mut cut = follower;
        let run = cut.run(&stream[8..17]);
        assert_eq!(run.begins, Some(FrameStart { kind: 1, channel: 7 }));
        assert_eq!(cut.frame(), run.begins);
        let whole = follower.run(&stream[8..]);
        assert_eq!((whole.len, whole.begins), (12, run.begins));
        assert_eq!(follower.frame(), None);
    }
}
