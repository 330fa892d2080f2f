//! Checkpoints: the durable state as a file, and back.
//!
//! A checkpoint is taken as a whole or not at all: nothing that is not consistent in itself gets
//! past [`decode`].

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::codec::kind;
use super::extents::Extent;
use super::fact::{Fact, MessagesFact, Target};
use super::format::{
    ALIGNMENT, CHECKPOINT_HEADER_LEN, CheckpointHeader, RECORD_HEADER_LEN, RecordHeader, Unusable,
    part_len,
};
use super::state::{Inconsistent, SegmentState, State};

/// Pieces of a checkpoint are of about this many bytes.
const PIECE_LEN: usize = 256 << 10;

/// Why a checkpoint cannot be used, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) offset: u64,
    pub(crate) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is of this version of the format, which is newer.
    Newer(u32),
    /// It was cut off while it was written, or damaged since.
    NotWhole(&'static str),
    /// It is whole, and says what cannot be.
    Inconsistent(&'static str),
}

impl Reason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Newer(_) => "a newer version",
            Self::NotWhole(text) | Self::Inconsistent(text) => text,
        }
    }
}

/// The bytes of a checkpoint with these facts, in pieces. `len` and `count` of the header are
/// filled in. Facts come in this order: segments; virtual hosts; users; permissions; topic
/// permissions; parameters; policies; exchanges; each queue and then its messages; bindings; what
/// was seen.
pub(crate) fn encode(
    mut header: CheckpointHeader,
    facts: impl IntoIterator<Item = Fact>,
) -> Vec<Bytes> {
    let mut pieces = alloc::vec![Bytes::new()];
    let mut out = BytesMut::new();
    (header.len, header.count) = (0, 0);
    for fact in facts {
        if out.len() >= PIECE_LEN {
            header.len += out.len() as u64;
            pieces.push(out.split().freeze());
        }
        fact.encode(&mut out, header.node, CHECKPOINT_HEADER_LEN as u64 + header.len);
        header.count += 1;
    }
    header.len += out.len() as u64;
    pieces.push(out.freeze());
    pieces[0] = Bytes::copy_from_slice(&header.encode());
    pieces
}

/// A checkpoint of this state.
pub(crate) fn of_state(state: &State) -> Vec<Bytes> {
    let header = CheckpointHeader {
        epoch: state.epoch,
        node: state.node,
        next_batch: state.next_batch,
        next_segment: state.next_segment,
        next_queue: state.next_queue,
        len: 0,
        count: 0,
    };
    encode(header, state.facts())
}

/// The state that a checkpoint says; `bytes` are the whole file, called by `number`.
///
/// # Errors
/// When it is not whole, not consistent, or newer than this broker.
pub(crate) fn decode(number: u64, bytes: &Bytes) -> Result<State, Flaw> {
    let flaw = |offset: usize, reason| Flaw { offset: offset as u64, reason };
    let header = CheckpointHeader::decode(bytes).map_err(|unusable| match unusable {
        Unusable::Newer(version) => flaw(0, Reason::Newer(version)),
        Unusable::Damaged => flaw(0, Reason::NotWhole("its header is not whole")),
    })?;
    if header.len != (bytes.len() - CHECKPOINT_HEADER_LEN) as u64 {
        return Err(flaw(bytes.len(), Reason::NotWhole("it is not of the length that it says")));
    }
    if header.next_batch != number {
        return Err(flaw(0, Reason::Inconsistent("it is another checkpoint by its contents")));
    }
    let mut state = State::new(&header);
    let mut at = CHECKPOINT_HEADER_LEN;
    let mut count = 0;
    while at < bytes.len() {
        let record = RecordHeader::decode(&bytes[at..], header.node, at as u64);
        let (record, _) =
            record.ok_or(flaw(at, Reason::NotWhole("a record of it is not whole")))?;
        let end = at + record.len as usize;
        let body = bytes.slice(at + RECORD_HEADER_LEN..end);
        let fact = match record.kind {
            kind::MESSAGE | kind::SETTLED..=kind::DELIVERED | kind::DROPPED => None,
            _ => Fact::decode(record.kind, record.flags, &body),
        };
        let fact = fact.ok_or(flaw(at, Reason::Inconsistent("a record of it says nothing")))?;
        take(&mut state, fact, record.len)
            .map_err(|Inconsistent(text)| flaw(at, Reason::Inconsistent(text)))?;
        count += 1;
        at = end;
    }
    if count != header.count {
        return Err(flaw(at, Reason::NotWhole("it has not as many records as it says")));
    }
    if state.next_queue != header.next_queue {
        return Err(flaw(0, Reason::Inconsistent("a queue has a number that is still to come")));
    }
    Ok(state)
}

/// Takes in a fact of a checkpoint.
fn take(state: &mut State, fact: Fact, len: u32) -> Result<(), Inconsistent> {
    match fact {
        Fact::Segment(segment) => {
            let fits = segment.segment < state.next_segment
                && segment.last < state.next_batch
                && segment.data_end <= segment.len
                && segment.data_end.is_multiple_of(ALIGNMENT as u64);
            let entry = SegmentState { fact: segment, live: 0, bytes: 0 };
            if !fits || state.segments.insert(segment.segment, entry).is_some() {
                return Err(Inconsistent("a segment that does not fit in"));
            }
            Ok(())
        }
        Fact::Messages(messages) => {
            check_messages(state, &messages)?;
            state.set_messages(messages)
        }
        Fact::Bound(bound) => {
            if let Target::Queue(queue) = bound.target
                && !state.queues.contains_key(&queue)
            {
                return Err(Inconsistent("a binding to a queue that is not declared"));
            }
            state.apply(Fact::Bound(bound), 0, len)
        }
        Fact::QueueDeclared(_)
        | Fact::ExchangeDeclared(_)
        | Fact::PolicySet(_)
        | Fact::VhostSet(_)
        | Fact::UserSet(_)
        | Fact::PermissionSet(_)
        | Fact::TopicPermissionSet(_)
        | Fact::ParameterSet(_)
        | Fact::Timed(_)
        | Fact::Weighed(..)
        | Fact::Seen(_) => state.apply(fact, 0, len),
        _ => Err(Inconsistent("a record that no checkpoint may have")),
    }
}

fn check_messages(state: &State, messages: &MessagesFact) -> Result<(), Inconsistent> {
    let Some(queue) = state.queues.get(&messages.queue) else {
        return Err(Inconsistent("messages of a queue that is not declared"));
    };
    if queue.next_position > 0 || queue.extents.live() > 0 {
        return Err(Inconsistent("messages of a queue stand there twice"));
    }
    let mut next = 0;
    for extent in &messages.extents {
        if extent.first < next || extent.last >= messages.next_position {
            return Err(Inconsistent("positions of messages that do not fit in"));
        }
        next = extent.last + 1;
        check_extent(state, extent)?;
    }
    let is_sorted = messages.returned.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if is_sorted { Ok(()) } else { Err(Inconsistent("messages that came back are not in order")) }
}

fn check_extent(state: &State, extent: &Extent) -> Result<(), Inconsistent> {
    let Some(segment) = state.segments.get(&extent.segment) else {
        return Err(Inconsistent("messages in an unknown segment"));
    };
    let index = u64::from(extent.index_offset);
    let index_end = index + part_len(extent.index_count) as u64;
    let is_index_within = index >= segment.fact.data_end
        && index_end <= segment.fact.len
        && index.is_multiple_of(ALIGNMENT as u64);
    if !is_index_within || extent.live == 0 || extent.live > extent.index_count {
        return Err(Inconsistent("messages that are not in the index of their segment"));
    }
    if extent.bytes / u64::from(extent.live) >= Extent::SHARE_LIMIT {
        return Err(Inconsistent("messages that take more bytes than any can"));
    }
    let mut room = (extent.last - extent.first).saturating_add(1);
    let mut next = extent.first;
    for (first, last) in &extent.settled {
        if *first < next || *last > extent.last {
            return Err(Inconsistent("settled positions that do not fit in"));
        }
        room -= last - first + 1;
        next = last.saturating_add(1);
    }
    if u64::from(extent.live) > room {
        return Err(Inconsistent("more messages than there are positions"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::any_fact;
    use super::super::fact::SegmentFact;
    use super::super::state::tests::{any_history, grown, having_seen};
    use super::*;

    fn joined(pieces: &[Bytes]) -> Bytes {
        pieces.concat().into()
    }

    fn header() -> CheckpointHeader {
        CheckpointHeader {
            epoch: 3,
            node: 7,
            next_batch: 9,
            next_segment: 4,
            next_queue: 0,
            len: 0,
            count: 0,
        }
    }

    proptest! {
        #[test]
        fn a_checkpoint_reads_back_as_the_state_it_was_taken_of(history in any_history()) {
            let state = grown(&history).0;
            let bytes = joined(&of_state(&state));
            prop_assert_eq!(decode(state.next_batch, &bytes), Ok(state));
        }

        #[test]
        fn a_checkpoint_of_any_facts_is_taken_or_refused(
            facts in prop::collection::vec(any_fact(), 0..6),
        ) {
            let _ = decode(9, &joined(&encode(header(), facts)));
        }

        #[test]
        fn a_cut_or_flipped_checkpoint_is_refused(
            history in any_history(), at in any::<usize>(), bit in 0..8_u8,
        ) {
            let state = grown(&history).0;
            let bytes = joined(&of_state(&state));
            let at = at % bytes.len();
            prop_assert!(decode(state.next_batch, &bytes.slice(..at)).is_err());
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << bit;
            prop_assert!(decode(state.next_batch, &flipped.into()).is_err());
        }
    }

    #[test]
    fn a_checkpoint_has_all_that_was_seen_in_several_records() {
        let state = having_seen(10_000);
        let bytes = joined(&of_state(&state));
        let header = CheckpointHeader::decode(&bytes).expect("a header");
        // The queue, its messages, the exchange, and three for each of both.
        assert_eq!(header.count, 9);
        assert_eq!(decode(state.next_batch, &bytes), Ok(state));
    }

    /// A state with one queue and one segment, of which one number is changed.
    fn refusal(change: impl FnOnce(&mut Extent)) -> Option<&'static str> {
        let mut facts: Vec<Fact> = grown(&[]).0.facts().collect();
        let mut extent = Extent {
            segment: 1,
            first: 10,
            last: 19,
            live: 4,
            bytes: 100,
            index_offset: 64,
            index_count: 6,
            settled: [(11, 12), (15, 15)].into(),
        };
        change(&mut extent);
        let queue = facts.iter().find_map(|fact| match fact {
            Fact::QueueDeclared(queue) => Some(queue.number),
            _ => None,
        });
        let queue = queue.expect("the state has a queue");
        facts.retain(|fact| !matches!(fact, Fact::Messages(_) | Fact::Segment(_)));
        let len = 64 + part_len(6) as u64;
        let segment = SegmentFact { segment: 1, data_end: 64, len, last: 8 };
        facts.insert(0, Fact::Segment(segment));
        facts.push(Fact::Messages(MessagesFact {
            queue,
            next_position: 20,
            delivered_below: 0,
            returned: Vec::new(),
            extents: alloc::vec![extent],
        }));
        let header = CheckpointHeader { next_queue: queue.0 + 1, ..header() };
        decode(9, &joined(&encode(header, facts))).err().map(|flaw| flaw.reason.text())
    }

    #[test]
    fn an_extent_that_cannot_be_is_refused() {
        assert_eq!(refusal(|_| {}), None);
        let segment = Some("messages in an unknown segment");
        assert_eq!(refusal(|extent| extent.segment = 2), segment);
        let index = Some("messages that are not in the index of their segment");
        assert_eq!(refusal(|extent| extent.live = 0), index);
        assert_eq!(refusal(|extent| extent.live = 7), index);
        assert_eq!(refusal(|extent| extent.index_offset = 0), index);
        assert_eq!(refusal(|extent| extent.index_offset = 72), index);
        assert_eq!(refusal(|extent| extent.index_count = u32::MAX), index);
        let bytes = Some("messages that take more bytes than any can");
        assert_eq!(refusal(|extent| extent.bytes = u64::MAX), bytes);
        assert_eq!(refusal(|extent| extent.bytes = 4 * Extent::SHARE_LIMIT), bytes);
        // It is about as much, and may be more than the whole segment has.
        assert_eq!(refusal(|extent| extent.bytes = 4 * Extent::SHARE_LIMIT - 1), None);
        let positions = Some("positions of messages that do not fit in");
        assert_eq!(refusal(|extent| extent.last = 20), positions);
        let settled = Some("settled positions that do not fit in");
        assert_eq!(refusal(|extent| extent.first = 12), settled);
        assert_eq!(refusal(|extent| extent.last = 14), settled);
        assert_eq!(refusal(|extent| extent.settled.extend([(12, 13)])), settled);
        let room = Some("more messages than there are positions");
        assert_eq!(refusal(|extent| extent.settled.extend([(16, 19)])), room);
    }

    #[test]
    fn a_checkpoint_under_another_name_is_refused() {
        let bytes = joined(&encode(header(), []));
        assert!(decode(9, &bytes).is_ok());
        assert!(decode(8, &bytes).is_err());
    }
}
