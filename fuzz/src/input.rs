//! The input of the `decode` target: how the stream is cut, how large a frame may be, the stream.
//!
//! ```text
//! octets 0..4   frame_max, as in connection.tune-ok
//! octets 4..8   the cuts, and in the lowest bit whether the protocol header comes first
//! octets 8..    the stream
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use warren_core::amqp::{DecodeError, Decoder, Frame, Method};

/// Octets in front of the stream.
pub const HEAD_LEN: usize = 8;

/// One input of the `decode` target.
#[derive(Clone, Debug)]
pub struct Input {
    /// The largest frame, in bytes.
    pub frame_max: u32,
    /// Chooses the cuts.
    pub cuts: u32,
    /// What the client sent.
    pub stream: Bytes,
}

impl Input {
    /// `None` when there is not even a whole head.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (head, stream) = data.split_first_chunk::<HEAD_LEN>()?;
        let (frame_max, cuts) = head.split_at(4);
        let u32_of = |octets: &[u8]| u32::from_be_bytes(octets.try_into().expect("four octets"));
        let stream = Bytes::copy_from_slice(stream);
        Some(Self { frame_max: u32_of(frame_max), cuts: u32_of(cuts), stream })
    }

    /// The input as octets.
    pub fn write(&self) -> Vec<u8> {
        [&self.frame_max.to_be_bytes(), &self.cuts.to_be_bytes(), &self.stream[..]].concat()
    }

    /// Whether the first 8 octets of the stream are a protocol header.
    pub fn starts_with_header(&self) -> bool {
        self.cuts & 1 == 1
    }

    /// What a decoder makes of the stream when it comes in one piece.
    pub fn decode_whole(&self) -> Vec<Result<Frame, DecodeError>> {
        self.decode(std::iter::once(self.stream.clone()))
    }

    /// What a decoder makes of the stream when it is cut as the input says.
    pub fn decode_cut(&self) -> Vec<Result<Frame, DecodeError>> {
        let len_max = [1, 8, 64, 4096][self.cuts as usize >> 1 & 3];
        let mut random = Random::new(self.cuts);
        let mut at = 0;
        self.decode(std::iter::from_fn(|| {
            let start = at;
            at = self.stream.len().min(start + 1 + random.below(len_max));
            (start < at).then(|| self.stream.slice(start..at))
        }))
    }

    fn decode(&self, pieces: impl Iterator<Item = Bytes>) -> Vec<Result<Frame, DecodeError>> {
        let mut decoder =
            if self.starts_with_header() { Decoder::new() } else { Decoder::past_header() };
        decoder.set_frame_max(self.frame_max);
        let mut decoded = Vec::new();
        let mut foreseen = VecDeque::new();
        for piece in pieces {
            decoder.feed(piece);
            loop {
                if let Some(content) = decoder.content() {
                    foreseen = content.to_frames().into();
                }
                let Some(next) = decoder.poll().transpose() else { break };
                if let Some(frame) = foreseen.pop_front() {
                    assert_eq!(next, Ok(frame), "a content is not what its frames are");
                }
                if let Ok(Frame::Method(_, Method::ConnectionTuneOk(tune_ok))) = &next {
                    decoder.set_frame_max(tune_ok.frame_max);
                }
                decoded.push(next);
            }
        }
        decoded
    }
}

/// Small, fast and the same everywhere: xorshift.
#[derive(Clone, Debug)]
pub struct Random(u32);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B1) | 1)
    }

    /// A number from zero up to, not including, `end`; zero when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % end.max(1)
    }
}
