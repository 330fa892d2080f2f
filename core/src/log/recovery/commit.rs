//! Making durable what a start came to.
//!
//! No file that an older checkpoint rests on is changed or deleted before the new checkpoint is
//! durable, and no checkpoint is written over: whenever this is cut off, the next start comes to
//! the same state. A newer checkpoint that could not be read goes first of all: should it be
//! readable another time, it would rest on what is changed here.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::base::Files;
use super::copies::{Index, NewSegment};
use super::replay::{Outcome, Replayed};
use super::{FIRST_BATCH, StartError};
use crate::entropy::Entropy;
use crate::log::checkpoint;
use crate::log::fact::SegmentFact;
use crate::log::format::{CheckpointHeader, identity, put_part};
use crate::log::state::State;
use crate::log::task::{Disk, Refused};
use crate::{Defaults, FileId, Mark};

/// Where the parts of indexes are, and how many entries they have: by segment and queue.
pub(in crate::log) type Parts = BTreeMap<(u64, u64), (u32, u32)>;

/// A broker's first start.
pub(super) async fn begin(
    disk: &Disk,
    files: &Files,
    seed: [u64; 2],
    defaults: Option<&Defaults>,
) -> Result<State, StartError> {
    let is_again = !files.segments.is_empty() || !files.checkpoints.is_empty();
    disk.mark(if is_again { Mark::FirstStartAgain } else { Mark::FirstStart });
    // Left by a first start that was cut off.
    clear(disk, files).await?;
    // Apart from what the engine draws.
    let entropy = Entropy::new([seed[0], !seed[1]]);
    let mut state = State::new(&CheckpointHeader {
        epoch: 1,
        node: entropy.u64(),
        next_batch: FIRST_BATCH,
        next_segment: files.segments.keys().next_back().map_or(0, |highest| highest + 1),
        next_queue: 0,
        len: 0,
        count: 0,
    });
    state.add_defaults(defaults);
    write_checkpoint(disk, &state).await?;
    Ok(state)
}

/// Deletes all that is there: segments of which nothing counts, and a first checkpoint, if any.
async fn clear(disk: &Disk, files: &Files) -> Result<(), Refused> {
    for number in files.segments.keys() {
        disk.delete(FileId::Segment(*number)).await?;
    }
    // There are never segments without a checkpoint.
    if !files.segments.is_empty() {
        disk.sync_dir().await?;
    }
    if files.checkpoints.contains_key(&FIRST_BATCH) {
        disk.delete(FileId::Checkpoint(FIRST_BATCH)).await?;
    }
    Ok(())
}

/// Makes the outcome of a replay that began with checkpoint `base` durable.
pub(super) async fn commit(
    disk: &Disk,
    files: &Files,
    base: u64,
    outcome: Outcome,
    defaults: Option<&Defaults>,
) -> Result<State, StartError> {
    let Outcome { mut state, replayed, spares, copy } = outcome;
    state.epoch = state.epoch.saturating_add(1);
    let mut has_newer = false;
    for (number, _) in files.checkpoints.range(base + 1..) {
        disk.delete(FileId::Checkpoint(*number)).await?;
        has_newer = true;
    }
    if has_newer {
        disk.sync_dir().await?;
    }
    // The first checkpoint may be one that an earlier start could not make durable. If it was, no
    // other may come behind it: were both lost, it could not be told from damage.
    if base == FIRST_BATCH && replayed.is_empty() && state.is_blank(defaults) {
        disk.mark(Mark::FirstStartRepeated);
        clear(disk, files).await?;
        state.add_defaults(defaults);
        write_checkpoint(disk, &state).await?;
        return Ok(state);
    }
    // Then what makes room.
    for segment in &spares {
        disk.mark(Mark::SpareDropped);
        disk.delete(FileId::Segment(*segment)).await?;
    }
    // A checkpoint that is the only one was durable before those before it were deleted; but for
    // the very first.
    let is_durable = files.checkpoints.len() == 1 && base > FIRST_BATCH;
    let has_new_defaults = state.add_defaults(defaults);
    if has_new_defaults {
        disk.mark(Mark::DefaultsAdded);
    }
    let is_new = has_new_defaults || !replayed.is_empty() || !is_durable;
    if is_new {
        let mut parts = Parts::new();
        for (number, replayed) in replayed {
            if state.segments.contains_key(&number) {
                let file_len = files.segments.get(&number).copied().unwrap_or(0);
                seal(disk, &mut state, &mut parts, (number, file_len), replayed).await?;
            }
        }
        if let Some(copy) = copy {
            disk.mark(Mark::TailCopied);
            state.set_segment(write_copy(disk, state.node, &mut parts, copy).await?);
        }
        note_parts(&mut state, &parts);
        let highest = files.checkpoints.keys().next_back();
        let free = highest.map_or(FIRST_BATCH, |highest| highest.saturating_add(1));
        state.next_batch = state.next_batch.max(free);
        write_checkpoint(disk, &state).await?;
        for (number, _) in files.checkpoints.range(..=base) {
            disk.delete(FileId::Checkpoint(*number)).await?;
        }
    }
    if !is_new {
        disk.mark(Mark::CleanStart);
    }
    let is_dead = |number: &&u64| !state.segments.contains_key(number) && !spares.contains(number);
    let dead: Vec<u64> = files.segments.keys().filter(is_dead).copied().collect();
    if is_new || !spares.is_empty() {
        disk.sync_dir().await?;
    }
    // No checkpoint is left that rests on them.
    for number in &dead {
        disk.mark(Mark::DeadSegmentDropped);
        disk.delete(FileId::Segment(*number)).await?;
    }
    if !dead.is_empty() {
        disk.sync_dir().await?;
    }
    Ok(state)
}

pub(in crate::log) async fn write_checkpoint(disk: &Disk, state: &State) -> Result<(), Refused> {
    let file = FileId::Checkpoint(state.next_batch);
    let pieces = checkpoint::of_state(state);
    disk.create(file, pieces.iter().map(|piece| piece.len() as u64).sum()).await?;
    disk.write(file, 0, pieces).await?;
    disk.sync(file).await?;
    disk.sync_dir().await
}

/// Gives a segment its end and its index.
async fn seal(
    disk: &Disk,
    state: &mut State,
    parts: &mut Parts,
    (number, file_len): (u64, u64),
    Replayed { data_end, last, index }: Replayed,
) -> Result<(), StartError> {
    let index = encode_index(state.node, number, data_end, index, parts)?;
    let file = FileId::Segment(number);
    let len = data_end + index.len() as u64;
    state.set_segment(SegmentFact { segment: number, data_end, len, last });
    if file_len != data_end {
        disk.truncate(file, data_end).await?;
    }
    disk.write(file, data_end, vec![index]).await?;
    disk.sync(file).await?;
    Ok(())
}

/// Makes a segment of copies durable, and its name. Where its parts are goes to `parts`.
pub(in crate::log) async fn write_copy(
    disk: &Disk,
    node: u64,
    parts: &mut Parts,
    NewSegment { number, data, last, index }: NewSegment,
) -> Result<SegmentFact, StartError> {
    let data_end = data.len() as u64;
    let index = encode_index(node, number, data_end, index, parts)?;
    let file = FileId::Segment(number);
    let len = data_end + index.len() as u64;
    disk.create(file, len).await?;
    disk.write(file, 0, vec![data, index]).await?;
    disk.sync(file).await?;
    // The checkpoint must not be there without it.
    disk.sync_dir().await?;
    Ok(SegmentFact { segment: number, data_end, len, last })
}

/// The bytes of an index, which is in order, that stands at `base` of a segment.
fn encode_index(
    node: u64,
    segment: u64,
    base: u64,
    index: Index,
    parts: &mut Parts,
) -> Result<Bytes, StartError> {
    let mut out = BytesMut::new();
    for (queue, entries) in index {
        let (Ok(offset), Ok(count)) =
            (u32::try_from(base + out.len() as u64), u32::try_from(entries.len()))
        else {
            let file = FileId::Segment(segment);
            return Err(StartError::damaged(file, base, "it is longer than any broker makes it"));
        };
        put_part(&mut out, queue, &entries, identity(node, segment), base);
        parts.insert((segment, queue), (offset, count));
    }
    Ok(out.freeze())
}

/// Lets the extents know where the indexes are.
pub(in crate::log) fn note_parts(state: &mut State, parts: &Parts) {
    for (number, queue) in &mut state.queues {
        for extent in queue.extents.iter_mut() {
            if let Some((offset, count)) = parts.get(&(extent.segment, number.0)) {
                (extent.index_offset, extent.index_count) = (*offset, *count);
            }
        }
    }
}
