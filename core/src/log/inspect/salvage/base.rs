//! What salvage begins with: the newest checkpoint that is whole, or what is left of the oldest. A
//! newer one was being written when something ended it; the oldest is the one that was in use.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::super::{Loss, Problems, read_whole};
use crate::FileId;
use crate::log::checkpoint::{self, Reason};
use crate::log::fact::Fact;
use crate::log::format::{
    CHECKPOINT_HEADER_LEN, CheckpointHeader, RECORD_HEADER_LEN, RecordHeader, SEGMENT_HEADER_LEN,
    SegmentHeader, Unusable,
};
use crate::log::recovery::StartError;
use crate::log::recovery::base::Files;
use crate::log::state::State;
use crate::log::task::Disk;

/// What is known before any segment is looked at.
pub(super) struct Base {
    pub(super) state: State,
    /// Whether it is all that the checkpoint said.
    pub(super) is_complete: bool,
    pub(super) losses: Vec<Loss>,
}

/// What is left of a checkpoint.
struct Remains {
    number: u64,
    header: Option<CheckpointHeader>,
    bytes: Bytes,
}

/// The newest checkpoint that is whole, or what is left of the oldest.
///
/// # Errors
/// When one is of a newer version, or nothing tells the node id.
pub(super) async fn choose(
    disk: &Disk,
    files: &Files,
    problems: &mut Problems,
) -> Result<Base, StartError> {
    let mut remains = Vec::new();
    let mut losses = Vec::new();
    for (&number, &len) in files.checkpoints.iter().rev() {
        let file = FileId::Checkpoint(number);
        let bytes = read_whole(disk, file, len, problems).await?;
        let flaw = match checkpoint::decode(number, &bytes) {
            Ok(state) => return Ok(Base { state, is_complete: true, losses }),
            Err(flaw) => flaw,
        };
        if let Reason::Newer(version) = flaw.reason {
            return Err(StartError::Newer { file, version });
        }
        let text = format!("the checkpoint: {}", flaw.reason.text());
        losses.push(Loss { file, from: flaw.offset, to: len, text, messages: Vec::new() });
        let header = CheckpointHeader::decode(&bytes).ok();
        remains.push(Remains { number, header, bytes });
    }
    let Some(node) = node(disk, files, &remains).await? else {
        let file = FileId::Checkpoint(files.checkpoints.keys().next_back().copied().unwrap_or(1));
        let text = "no header in the directory is whole, so nothing tells which bytes are its own";
        return Err(StartError::Damaged { file, offset: 0, text: text.into() });
    };
    let mut header = CheckpointHeader {
        epoch: 0,
        node,
        next_batch: 0,
        next_segment: 0,
        next_queue: 0,
        len: 0,
        count: 0,
    };
    let Some(remains) = remains.pop() else {
        let file = FileId::Checkpoint(1);
        let text = "there is no checkpoint: queues, exchanges and bindings that were declared \
                    before the oldest segment are lost, and so are the acknowledgements";
        losses.push(Loss { file, from: 0, to: 0, text: text.into(), messages: Vec::new() });
        return Ok(Base { state: State::new(&header), is_complete: false, losses });
    };
    header.next_batch = remains.number;
    if let Some(whole) = remains.header {
        (header.epoch, header.next_batch) = (whole.epoch, whole.next_batch);
        (header.next_segment, header.next_queue) = (whole.next_segment, whole.next_queue);
    }
    let file = FileId::Checkpoint(remains.number);
    let (facts, damage) = whole_facts(&remains.bytes, node);
    losses.extend(damage.into_iter().map(|range| {
        let text = "records of the checkpoint: queues, exchanges, bindings or what is known of \
                    the messages of queues"
            .into();
        Loss { file, from: range.start, to: range.end, text, messages: Vec::new() }
    }));
    let mut state = State::new(&header);
    for fact in facts {
        // What does not fit without what is lost is left out.
        let _ = match fact {
            Fact::Segment(segment) => {
                state.next_segment = state.next_segment.max(segment.segment.saturating_add(1));
                state.set_segment(segment);
                Ok(())
            }
            Fact::Messages(messages) => state.set_messages(messages),
            fact => state.apply(fact, 0, 0),
        };
    }
    Ok(Base { state, is_complete: false, losses })
}

/// The node id, by the first header that is whole.
async fn node(disk: &Disk, files: &Files, remains: &[Remains]) -> Result<Option<u64>, StartError> {
    if let Some(header) = remains.iter().find_map(|remains| remains.header) {
        return Ok(Some(header.node));
    }
    for &segment in files.segments.keys() {
        let file = FileId::Segment(segment);
        let bytes = disk.read(file, 0, SEGMENT_HEADER_LEN as u64).await.unwrap_or_default();
        match SegmentHeader::decode_alone(&bytes, segment) {
            Ok(header) => return Ok(Some(header.node)),
            Err(Unusable::Newer(version)) => return Err(StartError::Newer { file, version }),
            Err(Unusable::Damaged) => {}
        }
    }
    // A damaged header may have it nonetheless: then records are whole with it.
    Ok(remains.iter().find_map(|remains| {
        let node = remains.bytes.get(16..24)?.first_chunk().copied().map(u64::from_le_bytes)?;
        (!whole_facts(&remains.bytes, node).0.is_empty()).then_some(node)
    }))
}

/// The facts of a checkpoint whose records are whole, and where others were.
fn whole_facts(bytes: &Bytes, node: u64) -> (Vec<Fact>, Vec<Range<u64>>) {
    let (mut facts, mut damage) = (Vec::new(), Vec::new());
    let mut at = CHECKPOINT_HEADER_LEN;
    let mut damaged_from = None;
    while at < bytes.len() {
        let record = RecordHeader::decode(&bytes[at..], node, at as u64).map(|(record, _)| record);
        let fact = record.and_then(|record| {
            let body = bytes.slice(at + RECORD_HEADER_LEN..at + record.len as usize);
            Fact::decode(record.kind, record.flags, &body)
        });
        match (record, fact) {
            (Some(record), Some(fact)) => {
                damage.extend(damaged_from.take().map(|from| from..at as u64));
                facts.push(fact);
                at += record.len as usize;
            }
            _ => {
                damaged_from.get_or_insert(at as u64);
                at += 1;
            }
        }
    }
    damage.extend(damaged_from.map(|from| from..bytes.len() as u64));
    (facts, damage)
}
