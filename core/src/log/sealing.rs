//! Sealing: a full segment gets its index, and now and then a checkpoint goes with it.
//!
//! What is asked of the disk for it, in the background, and in which order; and what becomes of a
//! segment to which a batch could not be written.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{
    Active, BatchNumber, Closing, FailedWrite, LastCheckpoint, Log, Purpose, SEGMENT_LEN_MAX,
    Segment,
};
use crate::{DiskOp, FileId, Lane, Mark};

/// A segment is sealed when this part of it is full, in eighths: most batches then still fit.
const SEAL_EIGHTHS: u64 = 7;

/// A checkpoint is written when this many times its own length was written since the last.
const CHECKPOINT_SPACING: u64 = 4;

/// A segment on its way from full to sealed, or a checkpoint on its way to the disk, or both.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) index: Option<NewIndex>,
    pub(super) checkpoint: Option<NewCheckpoint>,
    /// All up to this batch must be durable first.
    after: BatchNumber,
    pub(super) is_begun: bool,
    pub(super) is_failed: bool,
}

/// The index of a segment.
#[derive(Clone, Debug)]
pub(crate) struct NewIndex {
    pub(crate) segment: u64,
    /// Where it is to be in the segment's file.
    pub(crate) data_end: u64,
    pub(crate) bytes: Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct NewCheckpoint {
    next_batch: BatchNumber,
    data: Vec<Bytes>,
    len: u64,
}

impl Log {
    /// Whether the segment that is written to is to be sealed, now that a batch is closed.
    pub(crate) fn wants_sealing(&self) -> bool {
        let is_full = |active: &Active| active.offset >= self.segment_len / 8 * SEAL_EIGHTHS;
        self.sealing.is_none() && self.active.as_ref().is_some_and(is_full)
    }

    /// Whether the segment that is written to takes no further batch.
    pub(crate) fn is_overlong(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.offset >= SEGMENT_LEN_MAX)
    }

    /// Whether a checkpoint is due with the next sealing.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let spacing = self.segment_len.max(CHECKPOINT_SPACING * self.checkpoint.len);
        self.written >= spacing / 8 * SEAL_EIGHTHS || self.closing == Closing::Wanted
    }

    /// Ends the segment that is written to, if there is one: `index` goes behind its data. A
    /// checkpoint holds everything up to the last batch that was closed.
    pub(crate) fn seal(&mut self, index: Bytes, checkpoint: Option<Vec<Bytes>>) {
        let after = self.next_batch - 1 - u64::from(self.unwritten.is_some());
        let index = self.active.take().map(|active| {
            let data_end = active.offset;
            let len = data_end + index.len() as u64;
            let segment = Segment { data_end, len, last: active.last, has_index: false };
            self.segments.seal(active.segment, segment);
            NewIndex { segment: active.segment, data_end, bytes: index }
        });
        let checkpoint = checkpoint.map(|data| {
            let len = data.iter().map(|piece| piece.len() as u64).sum();
            self.written = 0;
            NewCheckpoint { next_batch: self.next_batch, data, len }
        });
        self.sealing =
            Some(Sealing { index, checkpoint, after, is_begun: false, is_failed: false });
        self.go_on_sealing();
    }

    /// The write that failed, if its segment can be sealed before it now.
    pub(crate) fn failed_write(&self) -> Option<FailedWrite> {
        let failed = self.failed?;
        let index = self.sealing.as_ref().map(|sealing| sealing.index.as_ref());
        let is_free = index.is_none_or(|index| index.is_some_and(|i| i.segment == failed.segment));
        is_free.then_some(failed)
    }

    /// Ends the segment that a batch could not be written to before that batch; `index` is that of
    /// what is left in it.
    pub(crate) fn end_failed_segment(&mut self, index: Bytes) {
        let Some(FailedWrite { segment, start, number }) = self.failed.take() else { return };
        self.active.take_if(|active| active.segment == segment);
        // A checkpoint that was to go with it held the batch.
        self.sealing = None;
        self.segments.unseal(segment);
        if start == 0 {
            return self.delete(FileId::Segment(segment));
        }
        let (len, last) = (start + index.len() as u64, number - 1);
        self.segments.seal(segment, Segment { data_end: start, len, last, has_index: false });
        self.sealing = Some(Sealing {
            index: Some(NewIndex { segment, data_end: start, bytes: index }),
            checkpoint: None,
            after: last,
            is_begun: false,
            is_failed: false,
        });
        self.go_on_sealing();
    }

    /// Begins to carry out what a sealing needs, once what it rests on is durable.
    pub(super) fn go_on_sealing(&mut self) {
        let durable = self.durable;
        let Some(sealing) = &mut self.sealing else { return };
        if sealing.is_begun || sealing.is_failed || sealing.after > durable {
            return;
        }
        sealing.is_begun = true;
        let Some(NewIndex { segment, data_end, bytes }) = sealing.index.clone() else {
            return self.go_on_behind_index();
        };
        let (file, lane) = (FileId::Segment(segment), Lane::Background);
        let len = data_end + bytes.len() as u64;
        let write = DiskOp::Write { file, offset: data_end, data: alloc::vec![bytes] };
        self.request(Purpose::WriteIndex, lane, write);
        self.request(Purpose::Seal, lane, DiskOp::Truncate { file, len });
        self.request(Purpose::SyncIndex, lane, DiskOp::Sync { file });
    }

    /// Tries a sealing again that failed. Not before all of that attempt is over: its end is not
    /// that of the next.
    pub(super) fn seal_again(&mut self) {
        if let Some(sealing) = self.sealing.as_mut().filter(|sealing| !sealing.is_begun)
            && self.is_reported
            && core::mem::take(&mut sealing.is_failed)
        {
            self.marks.reach(Mark::SealingTriedAgain);
            self.go_on_sealing();
        }
    }

    /// Goes on with a sealing whose index is durable: a checkpoint that says where the index is
    /// must not be there before it.
    pub(super) fn go_on_behind_index(&mut self) {
        let Some(sealing) = &mut self.sealing else { return };
        sealing.is_begun = !sealing.is_failed;
        if sealing.is_failed {
            return self.seal_again();
        }
        let (lane, checkpoint) = (Lane::Background, sealing.checkpoint.clone());
        if let Some(NewCheckpoint { next_batch, data, len }) = checkpoint {
            let file = FileId::Checkpoint(next_batch);
            // What an earlier attempt left.
            self.delete(file);
            self.request(Purpose::Seal, lane, DiskOp::Create { file, len });
            self.request(Purpose::Seal, lane, DiskOp::Write { file, offset: 0, data });
            self.request(Purpose::SealSync, lane, DiskOp::Sync { file });
        }
        self.request(Purpose::SealEnd, lane, DiskOp::SyncDir);
    }

    /// What a sealing asked for is done, or has failed.
    pub(super) fn end_sealing(&mut self) {
        let Some(sealing) = self.sealing.take_if(|sealing| !sealing.is_failed) else {
            if let Some(sealing) = &mut self.sealing {
                sealing.is_begun = false;
            }
            return self.seal_again();
        };
        if let Some(NewIndex { segment, .. }) = sealing.index {
            self.marks.reach(Mark::SegmentSealed);
            let file = FileId::Segment(segment);
            self.request(Purpose::DropCache, Lane::Background, DiskOp::DropCache { file });
        }
        if let Some(checkpoint) = sealing.checkpoint {
            self.marks.reach(Mark::CheckpointWritten);
            let old = core::mem::replace(
                &mut self.checkpoint,
                LastCheckpoint { next_batch: checkpoint.next_batch, len: checkpoint.len },
            );
            self.delete(FileId::Checkpoint(old.next_batch));
            // No segment goes before it is durable that the old checkpoint, which needs them, has
            // gone: an old one that came back with a segment missing would not be understood.
            self.request(Purpose::DeleteEnd, Lane::Background, DiskOp::SyncDir);
        } else {
            self.delete_dead();
        }
    }
}
