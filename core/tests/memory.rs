//! What a connection's codec holds on to: never more than one frame on the way in, nothing at all
//! once everything is out.
//!
//! One test only: the allocator counts for the whole process, and a second test would count too.
//! The test harness counts as well, so what must be nothing is measured on a hundred at once.

use std::alloc::System;

use bytes::Bytes;
use cap::Cap;
use warren_core::amqp::{Decoder, Egress, FRAME_OVERHEAD, Frame, Method, OutFrame, TxSelect};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const FRAME_MAX: usize = 131_072;

/// What may come on top: the counters of shared buffers, and what the test harness does meanwhile.
const SLACK: usize = 2048;

/// How many more bytes are allocated now than before.
fn since(before: usize) -> usize {
    ALLOCATOR.allocated().saturating_sub(before)
}

/// A body frame with a payload of this length.
fn body_frame(payload_len: usize) -> Vec<u8> {
    let prefix = [&[3, 0, 1][..], &(payload_len as u32).to_be_bytes()].concat();
    [&prefix[..], &vec![7; payload_len], &[0xCE]].concat()
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::past_header();
    decoder.set_frame_max(FRAME_MAX as u32);
    decoder
}

/// However little comes at a time, no more is held than the frame has bytes, nor after it came.
fn a_half_frame_costs_no_more_than_a_frame(frame: &[u8], piece_len: usize) {
    let mut decoder = decoder();
    let before = ALLOCATOR.allocated();
    let (last, all_but_last) = frame.split_last().expect("a frame");
    for piece in all_but_last.chunks(piece_len) {
        decoder.feed(Bytes::copy_from_slice(piece));
        assert_eq!(decoder.poll(), Ok(None));
        let held = since(before);
        assert!(held <= frame.len() + SLACK, "{held} bytes held, in pieces of {piece_len}");
    }
    decoder.feed(Bytes::copy_from_slice(&[*last]));
    let Ok(Some(Frame::Body(1, payload))) = decoder.poll() else { panic!("not a body") };
    let held = since(before);
    assert!(held <= frame.len() + SLACK, "{held} bytes kept with a body, pieces of {piece_len}");
    drop(payload);
    assert!(since(before) <= SLACK, "{} bytes held after the frame", since(before));
}

/// Wherever a frame is cut, the decoder lets go of the buffer that it was fed.
fn what_was_fed_is_let_go(read: &Bytes) {
    for len in 0..read.len().min(64) {
        let fed = Bytes::copy_from_slice(&read[..read.len() - len]);
        let mut decoder = decoder();
        decoder.feed(fed.clone());
        while let Some(frame) = decoder.poll().expect("frames") {
            drop(frame);
        }
        assert!(fed.is_unique(), "the decoder holds what it was fed, {len} bytes missing");
    }
}

/// A client cannot make the decoder put memory aside by saying that a frame will be large.
fn a_prefix_costs_nothing_whatever_length_it_says(frame_max: u32) {
    let mut decoder = Decoder::past_header();
    decoder.set_frame_max(frame_max);
    let before = ALLOCATOR.allocated();
    decoder.feed(Bytes::from_static(b"\x03\x00\x01\xff\xff\xff\x00abc"));
    let _ = decoder.poll();
    assert!(since(before) <= SLACK, "{} bytes held for a prefix", since(before));
}

fn after_an_error_nothing_is_held() {
    let mut decoders: Vec<_> = (0..100).map(|_| decoder()).collect();
    let before = ALLOCATOR.allocated();
    for decoder in &mut decoders {
        let mut bad_end = body_frame(FRAME_MAX - FRAME_OVERHEAD);
        *bad_end.last_mut().expect("an end octet") = 0;
        for piece in bad_end.chunks(1000) {
            decoder.feed(Bytes::copy_from_slice(piece));
            let _ = decoder.poll();
        }
        for _ in 0..10 {
            decoder.feed(Bytes::from(vec![0; 10_000]));
            assert_eq!(decoder.poll(), Ok(None));
        }
    }
    assert!(since(before) <= SLACK, "{} bytes held by a hundred decoders", since(before));
}

/// After frames of every size have been written, in one go or in steps.
fn an_empty_egress_holds_nothing(step: usize) {
    let mut egresses = Vec::with_capacity(100);
    let before = ALLOCATOR.allocated();
    egresses.extend((0..100).map(|_| Egress::new()));
    assert!(since(before) <= SLACK, "{} bytes held by a hundred new ones", since(before));
    for egress in &mut egresses {
        for _ in 0..1000 {
            egress.push(&OutFrame::Method(1, Method::TxSelect(TxSelect {})));
            egress.push(&OutFrame::Heartbeat);
        }
        assert!(since(before) >= egress.len(), "the allocator counts");
        while !egress.is_empty() {
            egress.advance(step.min(egress.len()));
        }
    }
    assert!(since(before) <= SLACK, "{} bytes held, in steps of {step}", since(before));
}

#[test]
fn a_codec_holds_one_frame_at_the_most_and_nothing_when_all_is_done() {
    let frame = body_frame(FRAME_MAX - FRAME_OVERHEAD);
    for piece_len in [1, 100, 1000, 1460, 4096, 65_536, 100_000, FRAME_MAX] {
        a_half_frame_costs_no_more_than_a_frame(&frame, piece_len);
    }
    let three = [body_frame(20), body_frame(0), body_frame(20)].concat();
    what_was_fed_is_let_go(&three.into());
    for frame_max in [0, FRAME_MAX as u32] {
        a_prefix_costs_nothing_whatever_length_it_says(frame_max);
    }
    after_an_error_nothing_is_held();
    for step in [1, 7, 1 << 20] {
        an_empty_egress_holds_nothing(step);
    }
}
