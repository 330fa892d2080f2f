//! What is left of the log, whatever has become of the disk: what a start must come to, or which
//! batches there must have been, so that it must not start.
//!
//! Knows what the broker wrote, and of the format what stands in `FORMAT.md` about the headers of
//! segments and batches and about the names of checkpoints.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use warren_core::{DiskOp, DiskRequest, FileId, Lane};

use super::image::Image;
use crate::judge::Remains;

const SEGMENT_MAGIC: &[u8] = b"WARRENLG";
const SEGMENT_HEADER_LEN: usize = 64;
const BATCH_MAGIC: &[u8] = b"WBAT";
const BATCH_HEADER_LEN: usize = 40;

/// Bytes that were given to be written.
#[derive(Clone, Debug)]
struct Written {
    file: FileId,
    offset: usize,
    len: usize,
    hash: u64,
}

/// A batch that was given to be written.
#[derive(Clone, Debug)]
struct Batch {
    /// All of it, the segment's header included if it came with it.
    whole: Written,
    header: Written,
    /// Its number, and that of the last batch that was durable then.
    number: u64,
    durable: u64,
}

/// What was written of batches and checkpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Proofs {
    batches: Vec<Batch>,
    /// By the batch that each does not contain any more.
    checkpoints: BTreeMap<u64, Checkpoint>,
    /// The last batch that the start that is under way can come to.
    starting: Option<u64>,
}

/// A checkpoint that was given to be written.
#[derive(Clone, Debug)]
struct Checkpoint {
    whole: Written,
    /// The last batch that it contains, if a start wrote it that did not come to its end: it may
    /// have passed numbers over.
    last: Option<u64>,
    /// So many batches were written before it and are not read behind it, if a start wrote it:
    /// what it could not read of them it has dropped, though decay be taken away later.
    passed: usize,
}

impl Written {
    fn new(file: FileId, offset: usize, bytes: &[u8]) -> Self {
        Self { file, offset, len: bytes.len(), hash: hash(bytes) }
    }

    /// Whether it reads as it was written.
    fn is_there(&self, image: &Image) -> bool {
        let found = image.read(self.file, self.offset, self.len);
        found.is_some_and(|found| found.len() == self.len && hash(&found) == self.hash)
    }
}

impl Proofs {
    /// Takes note of what is to be written.
    pub(super) fn note(&mut self, request: &DiskRequest) {
        let DiskOp::Write { file, offset, data } = &request.op else { return };
        let is_batch = request.lane == Lane::Log;
        let bytes = || data.concat();
        match file {
            FileId::Checkpoint(number) => {
                let whole = Written::new(*file, *offset as usize, &bytes());
                let passed = self.starting.map_or(0, |_| self.batches.len());
                let checkpoint = Checkpoint { whole, last: self.starting, passed };
                self.checkpoints.insert(*number, checkpoint);
            }
            FileId::Segment(_) if is_batch => {
                self.batches.extend(batch(*file, *offset as usize, &bytes()));
            }
            FileId::Segment(_) => {}
        }
    }

    /// The length of the longest batch, in bytes.
    pub(super) fn batch_len_max(&self) -> u64 {
        self.batches.iter().map(|batch| batch.whole.len as u64).max().unwrap_or(0)
    }

    /// A start is under way. What there is for it.
    pub(super) fn begin_start(&mut self, image: &Image) -> Remains {
        let remains = self.remains(image);
        self.starting = Some(remains.whole);
        remains
    }

    /// The start has come to its end: what it made of numbers counts.
    pub(super) fn end_start(&mut self) {
        self.starting = None;
        self.checkpoints.values_mut().for_each(|checkpoint| checkpoint.last = None);
    }

    /// The newest checkpoint that is whole and the batches that follow it, and what the headers of
    /// later ones say of those between.
    fn remains(&self, image: &Image) -> Remains {
        let checkpoints = self.checkpoints.iter().rev();
        let mut whole = checkpoints.filter(|(_, checkpoint)| checkpoint.whole.is_there(image));
        let Some((next, checkpoint)) = whole.next() else { return Remains::default() };
        let batches = &self.batches[checkpoint.passed..];
        let is_there = |number: u64| {
            let mut found = batches.iter().filter(|batch| batch.number == number);
            found.any(|batch| batch.whole.is_there(image))
        };
        let mut end = *next;
        while is_there(end) {
            end += 1;
        }
        let whole = match checkpoint.last {
            Some(last) if end == *next => last,
            _ => end - 1,
        };
        let later = batches.iter().filter(|batch| batch.durable >= end);
        let later = later.filter(|batch| batch.header.is_there(image));
        let shown = later.map(|batch| batch.durable).max().unwrap_or(whole);
        Remains { whole, shown }
    }
}

/// What stands in a write to the log.
fn batch(file: FileId, offset: usize, bytes: &[u8]) -> Option<Batch> {
    let start = if bytes.starts_with(SEGMENT_MAGIC) { SEGMENT_HEADER_LEN } else { 0 };
    let header = bytes.get(start..start + BATCH_HEADER_LEN)?;
    let number = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    header.starts_with(BATCH_MAGIC).then_some(())?;
    // Behind the records there are bytes that mean nothing.
    let len = header[4..8].try_into().map(u32::from_le_bytes).ok()?;
    let end = start + BATCH_HEADER_LEN + len as usize;
    Some(Batch {
        whole: Written::new(file, offset, bytes.get(..end)?),
        header: Written::new(file, offset + start, header),
        number: number(8)?,
        durable: number(16)?,
    })
}

fn hash(bytes: &[u8]) -> u64 {
    FixedState::default().hash_one(bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_core::OpId;

    use super::*;

    const FILE: FileId = FileId::Segment(3);
    const CHECKPOINT: FileId = FileId::Checkpoint(5);

    fn bytes(number: u64) -> Vec<u8> {
        let mut bytes = vec![7; 64];
        bytes[..4].copy_from_slice(BATCH_MAGIC);
        bytes[4..8].copy_from_slice(&20_u32.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes[16..24].copy_from_slice(&(number - 1).to_le_bytes());
        bytes
    }

    fn put(image: &mut Image, proofs: &mut Proofs, file: FileId, offset: u64, data: Vec<u8>) {
        let lane = if file == FILE { Lane::Log } else { Lane::Background };
        let op = DiskOp::Write { file, offset, data: vec![Bytes::from(data)] };
        image.apply(&op);
        proofs.note(&DiskRequest { id: OpId(0), lane, op });
    }

    /// A checkpoint without batches 5 to 8, which stand in a segment.
    fn written() -> (Image, Proofs) {
        let (mut image, mut proofs) = (Image::default(), Proofs::default());
        for file in [FILE, CHECKPOINT] {
            image.apply(&DiskOp::Create { file, len: 4096 });
        }
        put(&mut image, &mut proofs, CHECKPOINT, 0, vec![1; 100]);
        let mut first = SEGMENT_MAGIC.to_vec();
        first.resize(SEGMENT_HEADER_LEN, 0);
        first.extend(bytes(5));
        put(&mut image, &mut proofs, FILE, 0, first);
        for number in 6..9 {
            put(&mut image, &mut proofs, FILE, 128 + (number - 6) * 64, bytes(number));
        }
        (image, proofs)
    }

    /// What is left when this byte is another: the last whole batch, and the last that is shown.
    fn without(file: FileId, offset: u64) -> (u64, u64) {
        let (mut image, proofs) = written();
        let data = vec![Bytes::from_static(&[0])];
        image.apply(&DiskOp::Write { file, offset, data });
        let Remains { whole, shown } = proofs.remains(&image);
        (whole, shown)
    }

    #[test]
    fn all_that_is_whole_is_left() {
        let (image, proofs) = written();
        assert_eq!(proofs.remains(&image), Remains { whole: 8, shown: 8 });
        assert_eq!(proofs.remains(&Image::default()), Remains::default());
    }

    #[test]
    fn nothing_shows_the_last_batch_but_itself() {
        assert_eq!(without(FILE, 315), (7, 7));
        assert_eq!(without(FILE, 316), (8, 8));
        assert_eq!(without(CHECKPOINT, 5), (0, 0));
    }

    #[test]
    fn a_header_shows_the_batches_before_it() {
        assert_eq!(without(FILE, 180), (5, 7));
        assert_eq!(without(FILE, 72), (4, 7));
    }

    #[test]
    fn what_a_start_has_dropped_stays_so_when_decay_is_taken_away() {
        let (mut image, mut proofs) = written();
        let first_byte_of_the_last = |byte| DiskOp::Write {
            file: FILE,
            offset: 256,
            data: vec![Bytes::copy_from_slice(&[byte])],
        };
        image.apply(&first_byte_of_the_last(0));
        assert_eq!(proofs.begin_start(&image).whole, 7);
        let file = FileId::Checkpoint(8);
        image.apply(&DiskOp::Create { file, len: 100 });
        put(&mut image, &mut proofs, file, 0, vec![2; 100]);
        image.apply(&first_byte_of_the_last(BATCH_MAGIC[0]));
        assert_eq!(proofs.remains(&image), Remains { whole: 7, shown: 7 });
        proofs.end_start();
        assert_eq!(proofs.remains(&image), Remains { whole: 7, shown: 7 });
    }

    #[test]
    fn a_start_that_is_cut_off_may_have_passed_numbers_over() {
        let (mut image, mut proofs) = written();
        assert_eq!(proofs.begin_start(&image).whole, 8);
        let file = FileId::Checkpoint(20);
        image.apply(&DiskOp::Create { file, len: 100 });
        put(&mut image, &mut proofs, file, 0, vec![2; 100]);
        assert_eq!(proofs.remains(&image).whole, 8);
        proofs.end_start();
        assert_eq!(proofs.remains(&image).whole, 19);
    }
}
