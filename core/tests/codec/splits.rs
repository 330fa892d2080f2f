//! However a stream is cut, the frames are the same, and so are its errors.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, ProtocolVersion};
use amq_protocol::protocol::{basic, channel, connection, queue};
use amq_protocol::types as theirs;
use bytes::Bytes;
use proptest::prelude::*;
use warren_core::amqp::*;

use super::agreement::their_bytes;
use super::contents::{any_frame_max, any_out_frame};
use super::wire::{Decoded, decode, decoder, encode, raw_frame};

/// A client's whole conversation, as `amq-protocol` writes it: handshake, topology, contents.
/// The frame size it agrees to is larger than before the handshake, and one body needs it.
fn conversation() -> Bytes {
    let frames = [handshake(), topology(), content(0), content(1), content(FRAME_MAX as usize - 8)];
    frames.concat().iter().map(their_bytes).collect::<Vec<_>>().concat().into()
}

const FRAME_MAX: u32 = 12_000;

fn handshake() -> Vec<AMQPFrame> {
    let mut client_properties = theirs::FieldTable::default();
    client_properties.insert("product".into(), theirs::AMQPValue::LongString("a client".into()));
    let start_ok = connection::StartOk {
        client_properties,
        mechanism: "PLAIN".into(),
        response: "\0guest\0guest".into(),
        locale: "en_US".into(),
    };
    let tune_ok = connection::TuneOk { channel_max: 10, frame_max: FRAME_MAX, heartbeat: 60 };
    let open = connection::Open { virtual_host: "/".into() };
    vec![
        AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1()),
        AMQPFrame::Method(0, connection_class(connection::AMQPMethod::StartOk(start_ok))),
        AMQPFrame::Method(0, connection_class(connection::AMQPMethod::TuneOk(tune_ok))),
        AMQPFrame::Method(0, connection_class(connection::AMQPMethod::Open(open))),
    ]
}

fn connection_class(method: connection::AMQPMethod) -> amq_protocol::protocol::AMQPClass {
    amq_protocol::protocol::AMQPClass::Connection(method)
}

fn topology() -> Vec<AMQPFrame> {
    use amq_protocol::protocol::AMQPClass::{Channel, Queue};
    let mut inner = theirs::FieldTable::default();
    inner.insert("n".into(), theirs::AMQPValue::LongLongInt(-1));
    let mut arguments = theirs::FieldTable::default();
    arguments.insert("x-max-length".into(), theirs::AMQPValue::LongInt(10));
    arguments.insert("table".into(), theirs::AMQPValue::FieldTable(inner));
    let declare = queue::Declare { queue: "q".into(), durable: true, arguments, ..<_>::default() };
    vec![
        AMQPFrame::Method(1, Channel(channel::AMQPMethod::Open(channel::Open {}))),
        AMQPFrame::Heartbeat,
        AMQPFrame::Method(1, Queue(queue::AMQPMethod::Declare(declare))),
    ]
}

fn content(body_len: usize) -> Vec<AMQPFrame> {
    let publish = basic::Publish { routing_key: "q".into(), ..<_>::default() };
    let properties = basic::AMQPProperties::default()
        .with_delivery_mode(2)
        .with_content_type("text/plain".into())
        .with_headers(theirs::FieldTable::default());
    let header = AMQPContentHeader { class_id: 60, body_size: body_len as u64, properties };
    let publish = amq_protocol::protocol::AMQPClass::Basic(basic::AMQPMethod::Publish(publish));
    vec![
        AMQPFrame::Method(1, publish),
        AMQPFrame::Header(1, header),
        AMQPFrame::Body(1, vec![FRAME_END; body_len]), // looks like the end everywhere
    ]
}

/// Frames that are none, each of which lets the next one be read.
fn recoverable_errors() -> Vec<u8> {
    let table_too_long = b"\x00\x32\x00\x14\x00\x00\x01q\x01x\x01r\x00\x00\x00\xff\xff\x01kV";
    [
        raw_frame(7, 1, b"abc"),                      // no such type
        raw_frame(0, 0, b""),                         // likewise
        raw_frame(8, 0, b"abc"),                      // a heartbeat says nothing
        raw_frame(1, 1, b"\x00\x32"),                 // half a method's number
        raw_frame(1, 1, b"\x00\x3c\x00\x63"),         // no such method
        raw_frame(1, 1, b"\x00\x3c\x00\x50\x00\x01"), // basic.ack, cut short
        raw_frame(1, 1, b"\x00\x5a\x00\x0a\x00"),     // tx.select, and a byte behind it
        raw_frame(1, 1, table_too_long),
        raw_frame(2, 1, b"\x00\x3c\x00\x00\x00"), // a content header, cut short
        raw_frame(8, 0, b""),                     // and a good one in the end
    ]
    .concat()
}

/// How many of `recoverable_errors` there are.
const RECOVERABLE: usize = 9;

/// Ends after which nothing can be read, and the error that each is.
fn fatal_errors() -> Vec<(Vec<u8>, DecodeError)> {
    let mut bad_end = raw_frame(3, 1, b"body");
    *bad_end.last_mut().expect("an end octet") = 0xCD;
    let payload_len_max = FRAME_MAX - FRAME_OVERHEAD as u32;
    let too_large =
        |payload_len: u32| DecodeError::FrameTooLarge { kind: 3, payload_len, payload_len_max };
    vec![
        (bad_end, DecodeError::NoFrameEnd { kind: 3, found: 0xCD }),
        (raw_frame(3, 1, &[0; FRAME_MAX as usize + 1]), too_large(FRAME_MAX + 1)),
        (b"\x03\x00\x01\xff\xff\xff\xff".to_vec(), too_large(u32::MAX)),
    ]
}

/// Decodes `stream` cut at these places.
fn decode_cut(decoder: Decoder, stream: &Bytes, cuts: &[usize]) -> Vec<Decoded> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([stream.len()]);
    decode(decoder, starts.zip(ends).map(|(start, end)| stream.slice(start..end)))
}

/// Decodes `stream` whole, in two pieces for every place to cut it, and byte by byte.
fn assert_cuts_change_nothing(stream: &Bytes, new_decoder: impl Fn() -> Decoder) -> Vec<Decoded> {
    let whole = decode(new_decoder(), [stream.clone()]);
    for at in 0..=stream.len() {
        assert_eq!(decode_cut(new_decoder(), stream, &[at]), whole, "cut at {at}");
    }
    let every_byte: Vec<_> = (1..stream.len()).collect();
    assert_eq!(decode_cut(new_decoder(), stream, &every_byte), whole, "byte by byte");
    whole
}

#[test]
fn a_conversation_is_the_same_however_it_is_cut() {
    let whole = assert_cuts_change_nothing(&conversation(), Decoder::new);
    assert_eq!(whole.len(), 16);
    assert!(whole.iter().all(Result::is_ok), "{whole:?}");
}

#[test]
fn errors_that_can_be_recovered_from_are_the_same_however_the_stream_is_cut() {
    let stream = [recoverable_errors(), recoverable_errors()].concat().into();
    let whole = assert_cuts_change_nothing(&stream, || decoder(FRAME_MAX));
    for round in whole.chunks(RECOVERABLE + 1) {
        let (heartbeat, errors) = round.split_last().expect("a round");
        assert_eq!(errors.len(), RECOVERABLE);
        assert!(errors.iter().all(|e| matches!(e, Err(e) if e.is_recoverable())), "{errors:?}");
        assert_eq!(*heartbeat, Ok(Frame::Heartbeat(0)));
    }
}

#[test]
fn behind_an_error_that_loses_the_stream_nothing_comes_however_it_is_cut() {
    for (end, expected) in fatal_errors() {
        assert!(!expected.is_recoverable());
        let stream = [recoverable_errors(), end, recoverable_errors()].concat().into();
        let whole = assert_cuts_change_nothing(&stream, || decoder(FRAME_MAX));
        assert_eq!(whole.len(), RECOVERABLE + 2);
        assert_eq!(whole.last(), Some(&Err(expected)));
    }
}

#[test]
fn half_a_frame_gives_nothing() {
    let frame = raw_frame(3, 1, b"body");
    for len in 0..frame.len() {
        let half = Bytes::copy_from_slice(&frame[..len]);
        assert_eq!(assert_cuts_change_nothing(&half, || decoder(0)), []);
    }
}

#[test]
fn a_frame_too_large_is_refused_before_its_payload_arrives() {
    let prefix = Bytes::from_static(b"\x01\x00\x00\x00\x00\x80\x00");
    for at in 0..prefix.len() {
        let pieces = [prefix.slice(..at), prefix.slice(at..)];
        let decoded = decode(Decoder::past_header(), pieces);
        assert!(matches!(decoded[..], [Err(DecodeError::FrameTooLarge { .. })]), "{decoded:?}");
    }
}

/// The limit is on the whole frame, but a payload of that many bytes passes too, as in RabbitMQ.
#[test]
fn eight_bytes_more_than_agreed_still_pass() {
    let stream = raw_frame(3, 1, &[0; FRAME_MAX as usize]).into();
    let decoded = decode(decoder(FRAME_MAX), [stream]);
    assert!(decoded[0].is_ok(), "{:?}", decoded[0]);
}

#[test]
fn any_eight_bytes_are_a_protocol_header() {
    let stream = Bytes::from_static(b"GET / HTTP/1.1\r\n");
    let whole = assert_cuts_change_nothing(&stream, Decoder::new);
    assert_eq!(whole[0], Ok(Frame::ProtocolHeader(*b"GET / HT")));
}

proptest! {
    #[test]
    fn random_cuts_change_nothing(
        (frame_max, frames) in any_frame_max().prop_flat_map(|max| {
            (Just(max), prop::collection::vec(any_out_frame(max.min(5000)), 1..12))
        }),
        errors in prop::collection::vec(0..4_usize, 0..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut stream = encode(frame_max, &frames).to_vec();
        for error in errors {
            match fatal_errors().get(error) {
                Some((fatal, _)) => stream.extend_from_slice(fatal),
                None => stream.extend(recoverable_errors()),
            }
            stream.extend_from_slice(&encode(frame_max, &frames));
        }
        let stream = Bytes::from(stream);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        let whole = decode(decoder(FRAME_MAX), [stream.clone()]);
        prop_assert_eq!(decode_cut(decoder(FRAME_MAX), &stream, &cuts), whole);
    }

    #[test]
    fn random_bytes_are_the_same_however_they_are_cut(
        stream in prop::collection::vec(prop_oneof![0..9_u8, Just(FRAME_END), any::<u8>()], 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let stream = Bytes::from(stream);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = decode(Decoder::past_header(), [stream.clone()]);
        prop_assert_eq!(decode_cut(Decoder::past_header(), &stream, &cuts), whole);
    }
}
