//! Contents: messages of random sizes in random pieces, through the encoder and back.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use warren_core::amqp::*;
use warren_core::broker::{Body, Charge, Message};

use super::methods::any_method;
use super::values::{Argument, Range, any_properties};
use super::wire::{encode, frames_of};

/// A body of up to `len_max` bytes, in pieces as they may have arrived.
fn any_body(len_max: usize) -> impl Strategy<Value = Body> {
    let cuts = prop::collection::vec(0..=len_max, 0..5);
    (0..=len_max, any::<u8>(), cuts).prop_map(|(len, first, mut cuts)| {
        let bytes: Bytes = (0..len).map(|at| first.wrapping_add((at % 251) as u8)).collect();
        cuts.retain(|cut| *cut < len);
        cuts.sort_unstable();
        cuts.push(len);
        let mut body = Body::default();
        let mut at = 0;
        for cut in cuts {
            body.push(bytes.slice(at..cut).into());
            at = cut;
        }
        body
    })
}

fn any_message(body_len_max: usize) -> impl Strategy<Value = Arc<Message>> {
    let names = (ShortStr::any(Range::Wire), ShortStr::any(Range::Wire));
    let body = any_body(body_len_max);
    let message = (names, any_properties(Range::Wire), body, any::<bool>());
    message.prop_map(|((exchange, routing_key), properties, body, persistent)| {
        let properties = properties.encode();
        let charge = Charge::default();
        Arc::new(Message {
            exchange,
            routing_key,
            properties,
            body,
            persistent,
            is_dead_letter: false,
            charge,
        })
    })
}

/// A frame with content, its body up to three frames long.
pub(super) fn any_content(frame_max: u32) -> impl Strategy<Value = OutFrame> {
    let message = any_message(3 * frame_max as usize);
    let tag = ShortStr::any(Range::Wire);
    let numbers = any::<(u16, u16, u32, u64, bool)>();
    (0..3, message, tag, numbers).prop_map(
        |(kind, message, text, (channel, reply_code, message_count, delivery_tag, redelivered))| {
            match kind {
                0 => OutFrame::Deliver(
                    channel,
                    Deliver { consumer_tag: text, delivery_tag, redelivered, message },
                ),
                1 => OutFrame::GetOk(
                    channel,
                    GetOk { delivery_tag, redelivered, message_count, message },
                ),
                _ => {
                    let exchange = message.exchange.clone();
                    let routing_key = message.routing_key.clone();
                    let method =
                        BasicReturn { reply_code, reply_text: text, exchange, routing_key };
                    OutFrame::Return(channel, method.into(), message)
                }
            }
        },
    )
}

/// Any frame that a broker sends.
pub(super) fn any_out_frame(frame_max: u32) -> impl Strategy<Value = OutFrame> {
    prop_oneof![
        6 => (any::<u16>(), any_method(Range::Wire)).prop_map(|(ch, m)| OutFrame::Method(ch, m)),
        3 => any_content(frame_max),
        1 => Just(OutFrame::Heartbeat),
    ]
}

/// Frame sizes, the smallest of which force many frames.
pub(super) fn any_frame_max() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(4096), 1 => Just(8192), 1 => Just(131_072), 3 => 9..6000_u32]
}

/// Channel, method and message of a frame with content.
fn parts(frame: &OutFrame) -> (u16, Method, &Message) {
    match frame {
        OutFrame::Deliver(channel, deliver) => {
            let method = BasicDeliver {
                consumer_tag: deliver.consumer_tag.clone(),
                delivery_tag: deliver.delivery_tag,
                redelivered: deliver.redelivered,
                exchange: deliver.message.exchange.clone(),
                routing_key: deliver.message.routing_key.clone(),
            };
            (*channel, method.into(), &deliver.message)
        }
        OutFrame::GetOk(channel, get_ok) => {
            let method = BasicGetOk {
                delivery_tag: get_ok.delivery_tag,
                redelivered: get_ok.redelivered,
                exchange: get_ok.message.exchange.clone(),
                routing_key: get_ok.message.routing_key.clone(),
                message_count: get_ok.message_count,
            };
            (*channel, method.into(), &get_ok.message)
        }
        OutFrame::Return(channel, method, message) => {
            (*channel, Method::BasicReturn(method.clone()), message)
        }
        OutFrame::ProtocolHeader(_) | OutFrame::Method(..) | OutFrame::Heartbeat => {
            panic!("a frame without content: {frame:?}")
        }
    }
}

proptest! {
    #[test]
    fn a_content_arrives_as_it_was_sent_in_frames_that_are_not_too_large(
        (frame_max, frame) in any_frame_max().prop_flat_map(|max| (Just(max), any_content(max)))
    ) {
        let (channel, method, message) = parts(&frame);
        // Methods and headers cannot be cut, so the decoder takes any size; bodies are measured.
        let mut frames = frames_of(0, encode(frame_max, std::slice::from_ref(&frame))).into_iter();

        prop_assert_eq!(frames.next(), Some(Frame::Method(channel, method)));
        let header = ContentHeader {
            class_id: CLASS_BASIC,
            weight: 0,
            body_size: message.body.len() as u64,
            properties: message.properties.clone(),
        };
        prop_assert_eq!(frames.next(), Some(Frame::Header(channel, header)));
        let mut body = Body::default();
        for frame in frames {
            let Frame::Body(of, piece) = frame else { panic!("not a body: {frame:?}") };
            prop_assert_eq!(of, channel);
            prop_assert!(!piece.is_empty());
            prop_assert!(piece.len() + FRAME_OVERHEAD <= frame_max as usize);
            body.push(piece);
        }
        prop_assert_eq!(&body, &message.body);
    }

    #[test]
    fn without_a_limit_each_piece_of_a_body_is_one_frame(frame in any_content(131_072)) {
        let (_, _, message) = parts(&frame);
        let pieces = message.body.pieces().filter(|piece| !piece.is_empty()).count();
        let frames = frames_of(0, encode(0, std::slice::from_ref(&frame)));
        prop_assert_eq!(frames.len(), 2 + pieces);
    }
}
