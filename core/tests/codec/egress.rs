//! The egress: whatever a socket takes at a time, the stream is the same.

use bytes::Bytes;
use proptest::prelude::*;
use warren_core::amqp::{Egress, OutFrame};

use super::contents::{any_frame_max, any_out_frame};
use super::wire::{encode, stream_of};

/// What an adapter does.
#[derive(Clone, Debug)]
enum Step {
    Push(OutFrame),
    /// The socket takes a part of what waits.
    Write(prop::sample::Index),
    /// The socket takes all that waits.
    Flush,
}

fn any_steps(frame_max: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any_out_frame(frame_max.min(5000)).prop_map(Step::Push),
        3 => any::<prop::sample::Index>().prop_map(Step::Write),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 0..25)
}

/// Takes `len` bytes as a socket does: piece by piece, from the front.
fn take(egress: &mut Egress, len: usize) -> Bytes {
    let taken = stream_of(egress).slice(..len);
    egress.advance(len);
    taken
}

proptest! {
    #[test]
    fn the_stream_is_the_same_whatever_is_written_at_a_time(
        (frame_max, steps) in any_frame_max().prop_flat_map(|max| (Just(max), any_steps(max)))
    ) {
        let mut egress = Egress::new();
        egress.set_frame_max(frame_max);
        let mut pushed = Vec::new();
        let mut written = Vec::new();
        for step in steps {
            match step {
                Step::Push(frame) => {
                    egress.push(&frame);
                    pushed.push(frame);
                }
                Step::Write(index) => {
                    let len = index.index(egress.len() + 1);
                    written.extend(take(&mut egress, len));
                }
                Step::Flush => {
                    let len = egress.len();
                    written.extend(take(&mut egress, len));
                }
            }
            prop_assert_eq!(egress.len(), stream_of(&egress).len());
            prop_assert_eq!(egress.is_empty(), egress.chunks().next().is_none());
            prop_assert!(egress.chunks().all(|chunk| !chunk.is_empty()));
        }
        written.extend(stream_of(&egress));
        prop_assert_eq!(written, encode(frame_max, &pushed));
    }

    #[test]
    fn writing_byte_by_byte_gives_the_stream(
        frames in prop::collection::vec(any_out_frame(400), 1..6)
    ) {
        let mut egress = Egress::new();
        frames.iter().for_each(|frame| egress.push(frame));
        let expected = stream_of(&egress);
        let mut written = Vec::new();
        while !egress.is_empty() {
            written.push(egress.chunks().next().expect("a chunk")[0]);
            egress.advance(1);
        }
        prop_assert_eq!(written, expected);
    }
}

#[test]
#[should_panic(expected = "more bytes written than there were")]
fn more_than_waits_cannot_have_been_written() {
    let mut egress = Egress::new();
    egress.push(&OutFrame::Heartbeat);
    egress.advance(9);
}
