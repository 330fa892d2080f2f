//! The frame decoder, on any stream, cut anywhere.
//!
//! Never panics; gives the same frames and errors however the stream is cut; each of them is what
//! stands in the stream at its place, and nothing is left out; whatever it takes for a method or
//! for properties is the same after it was written and read again.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use warren_core::amqp::{
    ContentHeader, DecodeError, Decoder, Egress, FRAME_END, FRAME_OVERHEAD, Frame, Method, OutFrame,
};
use warren_fuzz::input::Input;
use warren_fuzz::mutation::{mutate_stream, number_of};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_stream(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let decoded = input.decode_whole();
    assert_eq!(input.decode_cut(), decoded, "the cuts matter");
    check_framing(&input, &decoded);
    for next in decoded {
        match next {
            Ok(Frame::Method(channel, method)) => check_method(channel, method),
            Ok(Frame::Header(_, header)) => check_header(&header),
            Ok(Frame::ProtocolHeader(_) | Frame::Body(..) | Frame::Heartbeat(_)) => (),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

/// Takes the stream apart again, as plainly as can be: each frame and error stands where it was
/// found, nothing is left out, and nothing comes behind an error that loses the stream.
fn check_framing(input: &Input, decoded: &[Result<Frame, DecodeError>]) {
    let mut rest = &input.stream[..];
    let mut frame_max = input.frame_max;
    for (at, next) in decoded.iter().enumerate() {
        if let Ok(Frame::ProtocolHeader(header)) = next {
            let (first, behind) = rest.split_at(8);
            assert_eq!((first, at), (&header[..], 0));
            rest = behind;
            continue;
        }
        let len = payload_len(rest).expect("a prefix");
        if let Err(DecodeError::FrameTooLarge { payload_len, .. }) = next {
            assert_eq!((*payload_len as usize, at + 1), (len, decoded.len()));
            assert!(frame_max > 0 && len + FRAME_OVERHEAD > frame_max as usize);
            return;
        }
        assert!(frame_max == 0 || len <= frame_max as usize, "a frame too large");
        let (frame, behind) = rest.split_at(len + FRAME_OVERHEAD);
        if let Err(DecodeError::NoFrameEnd { found, .. }) = next {
            assert_eq!((*found, at + 1), (frame[len + 7], decoded.len()));
            assert_ne!(*found, FRAME_END);
            return;
        }
        assert_eq!(frame[len + 7], FRAME_END);
        check_frame(frame[0], u16::from_be_bytes([frame[1], frame[2]]), &frame[7..len + 7], next);
        if let Ok(Frame::Method(_, Method::ConnectionTuneOk(tune_ok))) = next {
            frame_max = tune_ok.frame_max;
        }
        rest = behind;
    }
    let is_whole = |len| rest.len() >= len + FRAME_OVERHEAD;
    let waits_for_header = input.starts_with_header() && decoded.is_empty();
    assert!(waits_for_header || !payload_len(rest).is_some_and(is_whole), "a frame is left");
}

/// The length that stands in a frame's prefix.
fn payload_len(rest: &[u8]) -> Option<usize> {
    let octets = rest.get(3..7)?.try_into().expect("four octets");
    Some(u32::from_be_bytes(octets) as usize)
}

/// What was decoded is of the frame's type, and says what its payload does.
fn check_frame(kind: u8, channel: u16, payload: &[u8], decoded: &Result<Frame, DecodeError>) {
    match decoded {
        Ok(Frame::Method(on, method)) => {
            assert_eq!((kind, *on), (1, channel));
            assert_eq!(payload[..4], number_of(method.id()));
        }
        Ok(Frame::Header(on, header)) => {
            assert_eq!((kind, *on), (2, channel));
            assert_eq!(payload[..2], header.class_id.to_be_bytes());
            assert_eq!(payload[4..12], header.body_size.to_be_bytes());
            assert_eq!(payload[12..], header.properties.wire()[..]);
        }
        Ok(Frame::Body(on, body)) => assert_eq!((kind, *on, payload), (3, channel, &body[..])),
        Ok(Frame::Heartbeat(on)) => assert_eq!((kind, *on, payload), (8, channel, &[][..])),
        Err(DecodeError::UnknownMethod(id)) => {
            assert!(kind == 1 && !Method::IDS.contains(id));
            assert_eq!(payload[..4], number_of(*id));
        }
        Err(DecodeError::MalformedMethod(id)) => {
            assert!(kind == 1 && Method::IDS.contains(id));
            assert_eq!(payload[..4], number_of(*id));
        }
        Err(DecodeError::UnknownFrame { kind: found }) => {
            let is_short = payload.len() < [0, 4, 12].get(usize::from(kind)).copied().unwrap_or(0);
            let is_full = kind == 8 && !payload.is_empty();
            assert_eq!(*found, kind);
            assert!(is_short || is_full || !matches!(kind, 1 | 2 | 3 | 8));
        }
        Ok(Frame::ProtocolHeader(_))
        | Err(DecodeError::FrameTooLarge { .. } | DecodeError::NoFrameEnd { .. }) => {
            unreachable!("taken care of before")
        }
    }
}

/// Written and read again it is the same, by itself and as a frame.
fn check_method(channel: u16, method: Method) {
    let mut payload = BytesMut::new();
    method.write(&mut payload);
    assert_eq!(Method::read(&payload.freeze()), Ok(method.clone()));

    let mut egress = Egress::new();
    egress.push(&OutFrame::Method(channel, method.clone()));
    let mut decoder = Decoder::past_header();
    decoder.set_frame_max(0);
    let mut frame = None;
    for chunk in egress.chunks() {
        decoder.feed(bytes::Bytes::copy_from_slice(chunk));
        frame = decoder.poll().expect("a frame of our own");
    }
    assert_eq!(frame, Some(Frame::Method(channel, method)));
}

/// Properties that decode are the same after they were encoded again.
fn check_header(header: &ContentHeader) {
    if let Ok(properties) = header.properties.decode() {
        assert_eq!(properties.encode().decode(), Ok(properties));
    }
}
