//! Mutations that leave frames whole.
//!
//! A random change to a frame nearly always breaks its length or its end octet, and the parsers
//! behind the framing would hardly ever run. So most mutations here take the stream apart, change
//! a payload or the order of frames, and frame it again. The rest are the fuzzer's own, on the raw
//! octets: they are what tests the framing.

use bytes::Bytes;
use libfuzzer_sys::fuzzer_mutate;
use warren_core::amqp::{FRAME_END, FRAME_OVERHEAD, FieldTable, Method, MethodId, Reader};

use crate::input::{HEAD_LEN, Random};
use crate::steps::STEP_LEN;

/// No payload grows beyond this many bytes in one mutation.
const GROWTH_MAX: usize = 64;

/// A frame of a stream, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The type octet and the channel.
    pub head: [u8; 3],
    /// The payload.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// A frame of this type on this channel.
    pub fn new(kind: u8, channel: u16, payload: impl Into<Vec<u8>>) -> Self {
        let [high, low] = channel.to_be_bytes();
        Self { head: [kind, high, low], payload: payload.into() }
    }

    /// The frame's octets, with the right length and end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = self.payload.len() as u32;
        [&self.head[..], &len.to_be_bytes(), &self.payload, &[FRAME_END]].concat()
    }
}

/// Mutates an input of the `decode` target in place; gives its new length.
pub fn mutate_stream(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    if size < HEAD_LEN || random.below(4) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let (mut frames, rest) = frames_of(&data[HEAD_LEN..size]);
    mutate_frames(&mut frames, &mut random);
    let stream: Vec<u8> = frames.iter().flat_map(RawFrame::to_bytes).chain(rest).collect();
    let len = stream.len().min(size_max - HEAD_LEN);
    data[HEAD_LEN..HEAD_LEN + len].copy_from_slice(&stream[..len]);
    HEAD_LEN + len
}

/// Mutates an input of the `inputs` target in place, mostly by whole steps; gives its new length.
pub fn mutate_steps(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    if size < 2 * STEP_LEN || random.below(3) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let mut steps: Vec<Vec<u8>> = data[..size].chunks(STEP_LEN).map(<[u8]>::to_vec).collect();
    // What stands first is no step.
    let at = 1 + random.below(steps.len() - 1);
    let other = 1 + random.below(steps.len() - 1);
    match random.below(7) {
        0 => drop(steps.remove(at)),
        1 => steps.insert(at, steps[other].clone()),
        2 => steps.swap(at, other),
        3 => {
            let run = steps[at.min(other)..=at.max(other)].to_vec();
            steps.splice(at..at, run.into_iter().take(16));
        }
        4 => steps.insert(at, (0..STEP_LEN).map(|_| random.below(256) as u8).collect()),
        place => {
            let octets = steps[at].len();
            steps[at][place % octets] = random.below(256) as u8;
        }
    }
    let mutated = steps.concat();
    let len = mutated.len().min(size_max);
    data[..len].copy_from_slice(&mutated[..len]);
    len
}

/// Mutates a table with its length in front, or properties, in place; gives its new length.
pub fn mutate_table(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    if random.below(2) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let mut bytes = data[..size].to_vec();
    let is_table =
        |bytes: &[u8]| FieldTable::read(&mut Reader::new(&Bytes::copy_from_slice(bytes))).is_ok();
    grow(&mut bytes, is_table, &mut random);
    let len = bytes.len().min(size_max);
    data[..len].copy_from_slice(&bytes[..len]);
    len
}

/// Takes a stream apart; what is no whole frame is the rest.
pub fn frames_of(mut stream: &[u8]) -> (Vec<RawFrame>, Vec<u8>) {
    let mut frames = Vec::new();
    while stream.len() >= FRAME_OVERHEAD {
        let len = u32::from_be_bytes(stream[3..7].try_into().expect("four octets")) as usize;
        let Some(payload) = stream.get(7..7 + len) else { break };
        let Some((_, behind)) = stream[7 + len..].split_first() else { break };
        let head = stream[..3].try_into().expect("three octets");
        frames.push(RawFrame { head, payload: payload.into() });
        stream = behind;
    }
    (frames, stream.to_vec())
}

fn mutate_frames(frames: &mut Vec<RawFrame>, random: &mut Random) {
    let at = random.below(frames.len());
    match random.below(10) {
        _ if frames.is_empty() => frames.push(any_frame(random)),
        0 => frames.insert(at, any_frame(random)),
        1 => drop(frames.remove(at)),
        2 => frames.push(frames[at].clone()),
        3 => frames.swap(at, random.clone().below(7 * at + 1) % (at + 1)),
        4 => change_method(&mut frames[at].payload, random),
        5..=7 => grow(&mut frames[at].payload, is_method, random),
        _ => mutate_payload(&mut frames[at].payload),
    }
}

/// The fuzzer's own mutations, within one payload.
fn mutate_payload(payload: &mut Vec<u8>) {
    let len = payload.len();
    payload.resize(len + GROWTH_MAX, 0);
    let len = fuzzer_mutate(payload, len, len + GROWTH_MAX);
    payload.truncate(len);
}

fn is_method(payload: &[u8]) -> bool {
    Method::read(&Bytes::copy_from_slice(payload)).is_ok()
}

/// Another method's number, the same arguments.
fn change_method(payload: &mut [u8], random: &mut Random) {
    if let Some(number) = payload.first_chunk_mut() {
        *number = number_of(Method::IDS[random.below(Method::IDS.len())]);
    }
}

/// A method's number as it stands on the wire.
pub fn number_of(id: MethodId) -> [u8; 4] {
    let ([a, b], [c, d]) = (id.class.to_be_bytes(), id.method.to_be_bytes());
    [a, b, c, d]
}

/// A frame that decodes: mostly a method.
fn any_frame(random: &mut Random) -> RawFrame {
    let channel = random.below(3) as u16;
    match random.below(8) {
        0 => RawFrame::new(8, 0, []),
        1 => RawFrame::new(3, channel, vec![0; random.below(40)]),
        2 => RawFrame::new(2, channel, b"\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\0"),
        _ => RawFrame::new(1, channel, blank(Method::IDS[random.below(Method::IDS.len())])),
    }
}

/// The payload of a method whose arguments are all zero or empty.
pub fn blank(id: MethodId) -> Vec<u8> {
    let mut payload = number_of(id).to_vec();
    while !is_method(&payload) {
        payload.push(0);
    }
    payload
}

/// Makes a string, a table or an array longer, with its length to match.
///
/// Nothing says where the lengths are: places are tried until the payload is accepted again.
fn grow(payload: &mut Vec<u8>, is_accepted: impl Fn(&[u8]) -> bool, random: &mut Random) {
    for _ in 0..8 {
        let mut longer = payload.clone();
        if add_at(&mut longer, random).is_some() && is_accepted(&longer) {
            *payload = longer;
            return;
        }
    }
    mutate_payload(payload);
}

/// Takes the octets at a random place for a length, and puts something at the end of what it
/// measures.
fn add_at(payload: &mut Vec<u8>, random: &mut Random) -> Option<()> {
    let at = random.below(payload.len());
    if random.below(2) == 0 {
        let len = payload.get_mut(at)?;
        let end = at + 1 + usize::from(*len);
        *len = len.checked_add(1)?;
        (end <= payload.len()).then(|| payload.insert(end, random.below(256) as u8))
    } else {
        let octets = payload.get_mut(at..at + 4)?;
        let len = u32::from_be_bytes(octets.try_into().expect("four octets"));
        let added = ADDITIONS[random.below(ADDITIONS.len())];
        octets.copy_from_slice(&len.checked_add(added.len() as u32)?.to_be_bytes());
        let end = (at + 4).checked_add(len as usize).filter(|end| *end <= payload.len())?;
        payload.splice(end..end, added.iter().copied());
        Some(())
    }
}

/// Entries of tables, one of each type, and elements of arrays.
const ADDITIONS: &[&[u8]] = &[
    b"\x01tt\x01",
    b"\x01bb\xff",
    b"\x01BB\xff",
    b"\x01ss\xff\xff",
    b"\x01uu\xff\xff",
    b"\x01II\0\0\0\x01",
    b"\x01ii\xff\xff\xff\xff",
    b"\x01ll\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x01LL\0\0\0\0\0\0\0\x01",
    b"\x01ff\x7f\xc0\0\0",
    b"\x01dd\x7f\xf0\0\0\0\0\0\0",
    b"\x01DD\x02\0\0\0\x01",
    b"\x01SS\0\0\0\x01s",
    b"\x01xx\0\0\0\0",
    b"\x01AA\0\0\0\0",
    b"\x01TT\0\0\0\0\0\0\0\0",
    b"\x01FF\0\0\0\0",
    b"\0V",
    b"V",
    b"t\0",
    b"A\0\0\0\0",
    b"F\0\0\0\0",
];
