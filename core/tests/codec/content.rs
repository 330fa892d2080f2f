//! A content that comes whole is what its frames are, and nothing else is taken for one.

use bytes::Bytes;
use proptest::prelude::*;
use warren_core::amqp::*;

use super::wire::{decode, payload_of, raw_frame, raw_header};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

/// The frames of a content on these channels, with a body of this length announced.
fn frames(channels: [u16; 3], publish: &BasicPublish, announced: usize, body: &[u8]) -> Bytes {
    let properties = BasicProperties { delivery_mode: Some(2), ..BasicProperties::NONE }.encode();
    let header =
        ContentHeader { class_id: CLASS_BASIC, weight: 0, body_size: announced as u64, properties };
    let method = payload_of(&publish.clone().into());
    let [method, header, body] = [
        raw_frame(METHOD, channels[0], &method),
        raw_frame(HEADER, channels[1], &raw_header(&header)),
        raw_frame(BODY, channels[2], body),
    ];
    [method, header, body].concat().into()
}

fn publish(exchange: &str, key: &str) -> BasicPublish {
    BasicPublish { exchange: exchange.into(), routing_key: key.into(), ..BasicPublish::default() }
}

fn any_publish() -> impl Strategy<Value = BasicPublish> {
    let text = || {
        prop::collection::vec(any::<u8>(), 0..60)
            .prop_map(|text| ShortStr::new(text.into()).expect("short"))
    };
    (any::<u16>(), text(), text(), any::<(bool, bool)>()).prop_map(
        |(ticket, exchange, routing_key, (mandatory, immediate))| BasicPublish {
            ticket,
            exchange,
            routing_key,
            mandatory,
            immediate,
        },
    )
}

proptest! {
    #[test]
    fn a_content_is_what_its_frames_are(
        channel in 1..=u16::MAX,
        publish in any_publish(),
        body in prop::collection::vec(any::<u8>(), 1..100),
        behind in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let whole = frames([channel; 3], &publish, body.len(), &body);
        let bytes = Bytes::from([&whole[..], &behind].concat());
        let content = Content::read(&bytes, u32::MAX).expect("one");
        prop_assert_eq!((content.channel(), content.len()), (channel, whole.len()));
        prop_assert_eq!(content.to_bytes(), whole.clone());
        let decoded = decode(Decoder::past_header(), [whole]);
        prop_assert_eq!(decoded, content.to_frames().map(Ok));
    }

    /// What [`decode`] checks.
    #[test]
    fn what_is_taken_for_a_content_has_the_frames_of_one(
        publish in any_publish(),
        body in prop::collection::vec(any::<u8>(), 1..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = frames([1; 3], &publish, body.len(), &body).to_vec();
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        decode(Decoder::past_header(), [Bytes::from(bytes)]);
    }
}

#[test]
fn a_content_is_all_there_or_none() {
    let whole = frames([1; 3], &publish("x", "key"), 4, b"body");
    for len in 0..whole.len() {
        assert!(Content::read(&whole.slice(..len), u32::MAX).is_none(), "{len} bytes");
    }
    assert!(Content::read(&whole, u32::MAX).is_some());
}

#[test]
fn frames_that_are_no_content_in_three_of_one_channel_are_taken_one_by_one() {
    let publish = publish("x", "key");
    let no_contents = [
        ("of two channels", frames([1, 1, 2], &publish, 4, b"body")),
        ("of the connection", frames([0; 3], &publish, 4, b"body")),
        ("more is to come", frames([1; 3], &publish, 5, b"body")),
        ("too much has come", frames([1; 3], &publish, 3, b"body")),
        ("without a body", frames([1; 3], &publish, 0, b"")),
    ];
    for (why, bytes) in no_contents {
        assert!(Content::read(&bytes, u32::MAX).is_none(), "{why}");
    }
}

#[test]
fn no_frame_of_a_content_is_larger_than_was_agreed() {
    let whole = frames([1; 3], &publish("", ""), 50, &[7; 50]);
    assert!(Content::read(&whole, 50).is_some());
    assert!(Content::read(&whole, 49).is_none());
}

#[test]
fn a_decoder_sees_a_content_only_where_a_frame_begins() {
    let whole = frames([1; 3], &publish("x", "key"), 4, b"body");
    let mut decoder = Decoder::new();
    decoder.feed(whole.clone());
    assert!(decoder.content().is_none(), "the protocol header comes first");
    let mut decoder = Decoder::past_header();
    decoder.feed(whole.slice(..3));
    assert_eq!(decoder.poll(), Ok(None));
    decoder.feed([&whole[3..], &whole].concat().into());
    assert!(decoder.content().is_none(), "the beginning of a frame has come before");
    for _ in 0..Content::FRAMES {
        assert!(matches!(decoder.poll(), Ok(Some(_))));
    }
    let len = decoder.content().expect("one").len();
    decoder.pass(len);
    assert!(!decoder.has_input());
    assert_eq!(decoder.poll(), Ok(None));
}
