//! Agreement with another codec, `amq-protocol`: what one writes, the other reads, and both write
//! the same bytes.
//!
//! Where the two part, it is a matter of dialect:
//!
//! - both read `L` as `l`, a signed number, and write `l`, as RabbitMQ does;
//! - both take `s` and `u` for 16-bit numbers, as RabbitMQ does, where the specification has a
//!   short string for `s`; `amq-protocol` also knows the specification's `U`, RabbitMQ and Warren
//!   do not;
//! - a timestamp is an unsigned number of seconds in both;
//! - short strings of `amq-protocol` must be UTF-8, those of Warren need not be;
//! - a name that stands twice in a table counts the last time there, the first time here.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use warren_core::amqp::*;

use super::contents::any_content;
use super::methods::{all_methods, any_method, method_from_theirs, method_to_theirs};
use super::values::{
    Range, any_properties, any_value, properties_from_theirs, properties_to_theirs, value_to_theirs,
};
use super::wire::{decode, decoder, encode, frames_of, raw_frame, raw_header};

/// A frame as `amq-protocol` writes it.
pub(super) fn their_bytes(frame: &AMQPFrame) -> Bytes {
    let (bytes, _) = gen_frame(frame)(WriteContext::from(Vec::new())).expect("fits").into_inner();
    bytes.into()
}

/// All frames of a stream as `amq-protocol` reads them.
fn their_frames(mut stream: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let (rest, frame) = parse_frame(stream).expect("a frame");
        frames.push(frame);
        stream = rest;
    }
    frames
}

fn their_method(frame: &AMQPFrame) -> &AMQPClass {
    match frame {
        AMQPFrame::Method(_, method) => method,
        other => panic!("not a method: {other:?}"),
    }
}

/// Runs a property for every method in turn.
fn for_every_method(property: impl Fn(Method) -> Result<(), TestCaseError>) {
    for (id, strategy) in all_methods(Range::Shared) {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) };
        let run = TestRunner::new(config).run(&strategy, &property);
        run.unwrap_or_else(|error| panic!("method {}.{}: {error}", id.class, id.method));
    }
}

#[test]
fn they_read_every_method_that_we_write() {
    for_every_method(|method| {
        let stream = encode(0, &[OutFrame::Method(3, method.clone())]);
        let frames = their_frames(&stream);
        prop_assert_eq!(frames.len(), 1);
        prop_assert_eq!(frames[0].channel_id(), 3);
        // Reserved fields do not survive there; all others must.
        let expected = method_from_theirs(&method_to_theirs(&method));
        prop_assert_eq!(method_from_theirs(their_method(&frames[0])), expected);
        Ok(())
    });
}

#[test]
fn we_read_every_method_that_they_write_and_write_the_same_bytes() {
    for_every_method(|method| {
        let theirs = method_to_theirs(&method);
        let expected = method_from_theirs(&theirs);
        let stream = their_bytes(&AMQPFrame::Method(3, theirs));
        prop_assert_eq!(frames_of(0, stream.clone()), [Frame::Method(3, expected.clone())]);
        prop_assert_eq!(encode(0, &[OutFrame::Method(3, expected)]), stream);
        Ok(())
    });
}

#[test]
fn heartbeats_and_protocol_headers_are_the_same_bytes() {
    let heartbeat = their_bytes(&AMQPFrame::Heartbeat);
    assert_eq!(encode(0, &[OutFrame::Heartbeat]), heartbeat);
    assert_eq!(frames_of(0, heartbeat), [Frame::Heartbeat(0)]);
    assert_eq!(frames_of(0, their_bytes(&AMQPFrame::InvalidHeartbeat(9))), [Frame::Heartbeat(9)]);
    let version = amq_protocol::frame::ProtocolVersion::amqp_0_9_1();
    let header = their_bytes(&AMQPFrame::ProtocolHeader(version));
    assert_eq!(encode(0, &[OutFrame::ProtocolHeader(PROTOCOL_HEADER)]), header);
    assert_eq!(decode(Decoder::new(), [header]), [Ok(Frame::ProtocolHeader(PROTOCOL_HEADER))]);
}

proptest! {
    #[test]
    fn content_headers_are_read_alike_and_are_the_same_bytes(
        channel in any::<u16>(),
        body_size in any::<u64>(),
        properties in any_properties(Range::Shared),
    ) {
        let class_id = CLASS_BASIC;
        let header = AMQPContentHeader {
            class_id,
            body_size,
            properties: properties_to_theirs(&properties),
        };
        let stream = their_bytes(&AMQPFrame::Header(channel, header));

        let wire = properties.encode();
        let ours = ContentHeader { class_id, weight: 0, body_size, properties: wire };
        prop_assert_eq!(raw_frame(2, channel, &raw_header(&ours)), &stream[..]);
        prop_assert_eq!(frames_of(0, stream.clone()), [Frame::Header(channel, ours.clone())]);
        prop_assert_eq!(ours.properties.decode(), Ok(properties.clone()));

        let frames = their_frames(&stream);
        let [AMQPFrame::Header(_, header)] = &frames[..] else { panic!("{frames:?}") };
        prop_assert_eq!(properties_from_theirs(&header.properties), properties);
    }

    #[test]
    fn they_read_the_contents_that_we_cut_into_frames(
        (frame_max, frame) in (200..5000_u32).prop_flat_map(|max| (Just(max), any_content(max)))
    ) {
        let stream = encode(frame_max, &[frame]);
        let (ours, mut rest) = (frames_of(0, stream.clone()), &stream[..]);
        for frame in ours {
            // Names and headers of any bytes are beyond what they read, bodies are not.
            match frame {
                Frame::Body(channel, piece) => {
                    let (after, theirs) = parse_frame(rest).expect("a frame");
                    prop_assert_eq!(theirs, AMQPFrame::Body(channel, piece.to_vec()));
                    rest = after;
                }
                _ => {
                    let len = u32::from_be_bytes(rest[3..7].try_into().expect("four bytes"));
                    rest = &rest[len as usize + FRAME_OVERHEAD..];
                }
            }
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_stream_of_methods_of_theirs_reads_back(
        methods in prop::collection::vec((any::<u16>(), any_method(Range::Shared)), 0..20)
    ) {
        let theirs = methods.iter().map(|(ch, method)| (*ch, method_to_theirs(method)));
        let theirs: Vec<_> = theirs.map(|(ch, method)| AMQPFrame::Method(ch, method)).collect();
        let expected: Vec<_> = theirs
            .iter()
            .map(|frame| Frame::Method(frame.channel_id(), method_from_theirs(their_method(frame))))
            .collect();
        let stream = theirs.iter().map(their_bytes).collect::<Vec<_>>().concat();
        prop_assert_eq!(frames_of(0, stream.into()), expected);
    }

    #[test]
    fn a_value_of_each_type_has_the_same_octet(value in any_value(Range::Shared)) {
        let table = FieldTable::new(vec![("k".into(), value.clone())]);
        let mut out = bytes::BytesMut::new();
        table.write(&mut out);
        // Behind the table's length and the name.
        prop_assert_eq!(char::from(out[6]), value_to_theirs(&value).get_type().get_id());
    }
}

/// A `queue.bind` whose arguments are one entry: `k`, of this type and these octets.
fn bind_with(kind: u8, octets: &[u8]) -> Bytes {
    let table = [b"\x01k", &[kind][..], octets].concat();
    let len = (table.len() as u32).to_be_bytes();
    let fixed = b"\x00\x32\x00\x14\x00\x00\x01q\x01x\x01r\x00";
    raw_frame(1, 1, &[fixed, &len[..], &table].concat()).into()
}

fn bind_argument(stream: Bytes) -> Result<FieldValue, DecodeError> {
    match decode(decoder(0), [stream]).pop().expect("one frame")? {
        Frame::Method(1, Method::QueueBind(bind)) => {
            Ok(bind.arguments.find("k").expect("an argument").clone())
        }
        other => panic!("not a bind: {other:?}"),
    }
}

#[test]
fn both_kinds_of_long_long_are_signed_here_and_there() {
    for kind in [b'l', b'L'] {
        let stream = bind_with(kind, &(-2_i64).to_be_bytes());
        assert_eq!(bind_argument(stream.clone()), Ok(FieldValue::I64(-2)));
        let theirs = method_from_theirs(their_method(&their_frames(&stream)[0]));
        assert_eq!(frames_of(0, stream), [Frame::Method(1, theirs)]);
    }
}

#[test]
fn a_bool_is_any_octet_but_zero_here_and_there() {
    for octet in 0..=255 {
        let stream = bind_with(b't', &[octet]);
        assert_eq!(bind_argument(stream.clone()), Ok(FieldValue::Bool(octet != 0)));
        let theirs = method_from_theirs(their_method(&their_frames(&stream)[0]));
        assert_eq!(frames_of(0, stream), [Frame::Method(1, theirs)]);
    }
}

#[test]
fn only_the_types_of_rabbitmq_are_known_of_which_they_have_one_more() {
    let bind = MethodId { class: 50, method: 20 };
    let octets = [0; 9]; // enough for a value of any type
    for kind in 0..=255 {
        let is_known_here =
            (0..=octets.len()).any(|len| bind_argument(bind_with(kind, &octets[..len])).is_ok());
        let is_known_there =
            (0..=octets.len()).any(|len| parse_frame(&bind_with(kind, &octets[..len])[..]).is_ok());
        assert_eq!(is_known_here, b"tbBsuIilLfdDSxATFV".contains(&kind), "{kind}");
        assert_eq!(is_known_there, is_known_here || kind == b'U', "{kind}");
    }
    assert_eq!(bind_argument(bind_with(b'U', &[0, 1])), Err(DecodeError::MalformedMethod(bind)));
}
