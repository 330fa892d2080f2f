//! Frames written by hand, and streams decoded as an adapter does it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use warren_core::amqp::{
    ContentHeader, DecodeError, Decoder, Egress, FRAME_END, Frame, Method, OutFrame,
};

/// What a decoder gave.
pub(super) type Decoded = Result<Frame, DecodeError>;

/// A frame as 0-9-1 §4.2.3 has it.
pub(super) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    let prefix = [&[kind][..], &channel.to_be_bytes(), &len.to_be_bytes()].concat();
    [&prefix, payload, &[FRAME_END]].concat()
}

/// The payload of a content header as §4.2.6.1 has it.
pub(super) fn raw_header(header: &ContentHeader) -> Vec<u8> {
    let fixed = [header.class_id.to_be_bytes(), header.weight.to_be_bytes()].concat();
    [&fixed, &header.body_size.to_be_bytes()[..], header.properties.wire()].concat()
}

/// The payload of a method frame.
pub(super) fn payload_of(method: &Method) -> Bytes {
    let mut out = BytesMut::new();
    method.write(&mut out);
    out.freeze()
}

/// Decodes these pieces, one after the other, and keeps to the frame size of a `tune-ok` from the
/// frame behind it on, as a broker does.
///
/// After an error that is not recoverable, nothing else may come. A content that is seen whole is
/// what its frames turn out to be.
pub(super) fn decode(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = Bytes>,
) -> Vec<Decoded> {
    let mut decoded: Vec<Decoded> = Vec::new();
    let mut foreseen = VecDeque::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            if let Some(content) = decoder.content() {
                foreseen = content.to_frames().into();
            }
            let Some(next) = decoder.poll().transpose() else { break };
            if let Some(frame) = foreseen.pop_front() {
                assert_eq!(next, Ok(frame), "within a content");
            }
            let is_lost = matches!(decoded.last(), Some(Err(error)) if !error.is_recoverable());
            assert!(!is_lost, "{next:?} after the stream was lost");
            if let Ok(Frame::Method(_, Method::ConnectionTuneOk(tune_ok))) = &next {
                decoder.set_frame_max(tune_ok.frame_max);
            }
            decoded.push(next);
        }
    }
    decoded
}

/// A decoder behind the handshake, for frames of up to `frame_max` bytes.
pub(super) fn decoder(frame_max: u32) -> Decoder {
    let mut decoder = Decoder::past_header();
    decoder.set_frame_max(frame_max);
    decoder
}

/// The frames of a stream that has no errors in it.
pub(super) fn frames_of(frame_max: u32, stream: Bytes) -> Vec<Frame> {
    let decoded = decode(decoder(frame_max), [stream]);
    decoded.into_iter().map(|next| next.expect("a frame")).collect()
}

/// The bytes that wait in an egress.
pub(super) fn stream_of(egress: &Egress) -> Bytes {
    egress.chunks().collect::<Vec<_>>().concat().into()
}

/// The bytes of these frames, contents cut for `frame_max`.
pub(super) fn encode(frame_max: u32, frames: &[OutFrame]) -> Bytes {
    let mut egress = Egress::new();
    egress.set_frame_max(frame_max);
    frames.iter().for_each(|frame| egress.push(frame));
    stream_of(&egress)
}
