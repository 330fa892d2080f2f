//! Whether the last batch that was given to be written is there for a start to find.
//!
//! Its bytes tell, as long as no start has found them. A recovery that has may bring the batch into
//! a checkpoint, delete the segment, and be cut short before it serves: then the batch is there as
//! long as one of the checkpoints is whole that were made by who had found it.

use std::collections::BTreeMap;

use warren_core::{DiskOp, FileId};

use super::image::Image;

/// The last batch that was given to be written.
#[derive(Debug, Default)]
pub(super) struct LastBatch {
    write: Option<DiskOp>,
    is_found: bool,
    /// What was given to be written of each checkpoint since a start found the batch.
    checkpoints: BTreeMap<FileId, Vec<DiskOp>>,
}

impl LastBatch {
    /// Another batch is to be written.
    pub(super) fn note_batch(&mut self, write: &DiskOp) {
        *self = Self { write: Some(write.clone()), ..Self::default() };
    }

    /// This is to be done; it may be a part of a checkpoint.
    pub(super) fn note_checkpoint(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Create { file: file @ FileId::Checkpoint(_), .. } => {
                self.checkpoints.insert(*file, Vec::new());
            }
            DiskOp::Write { file: file @ FileId::Checkpoint(_), .. } => {
                self.checkpoints.entry(*file).or_default().push(op.clone());
            }
            _ => {}
        }
    }

    /// Whether a start finds it on this disk, whole, in the cache at least.
    pub(super) fn find(&mut self, image: &Image) -> bool {
        let has = |write: &DiskOp| image.has_written(write);
        let is_whole = |writes: &Vec<DiskOp>| !writes.is_empty() && writes.iter().all(has);
        let was_found = std::mem::take(&mut self.is_found);
        self.is_found = self.write.as_ref().is_some_and(has)
            || was_found && self.checkpoints.values().any(is_whole);
        if !was_found {
            self.checkpoints.clear();
        }
        self.is_found
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SEGMENT: FileId = FileId::Segment(1);

    fn carry_out(image: &mut Image, op: &DiskOp) {
        image.carry_out(op, None);
    }

    #[test]
    fn it_is_found_by_its_bytes_and_then_in_the_checkpoint_of_who_found_it() {
        let (mut image, mut last) = (Image::default(), LastBatch::default());
        let write = DiskOp::Write { file: SEGMENT, offset: 0, data: vec![Bytes::from("batch")] };
        carry_out(&mut image, &DiskOp::Create { file: SEGMENT, len: 100 });
        let file = FileId::Checkpoint(5);
        let checkpoint = DiskOp::Write { file, offset: 0, data: vec![Bytes::from("state")] };
        last.note_batch(&write);
        carry_out(&mut image, &DiskOp::Create { file, len: 5 });
        carry_out(&mut image, &checkpoint);
        assert!(!last.find(&image), "a checkpoint of somebody who has not found it says nothing");

        carry_out(&mut image, &write);
        assert!(last.find(&image));
        carry_out(&mut image, &DiskOp::Delete { file: SEGMENT });
        last.note_checkpoint(&checkpoint);
        assert!(last.find(&image), "it is in the checkpoint");
        carry_out(&mut image, &DiskOp::Truncate { file, len: 2 });
        assert!(!last.find(&image), "the checkpoint is not whole");
        carry_out(&mut image, &checkpoint);
        assert!(!last.find(&image), "who has not found it has not handed it on");
    }
}
