//! Reading segments: batch by batch, and the search for what shows that a batch was there.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use crate::FileId;
use crate::log::format::{
    ALIGNMENT, BATCH_HEADER_LEN, BATCH_MAGIC, BatchHeader, RECORD_HEADER_LEN, RecordHeader,
    identity,
};
use crate::log::task::{Disk, Refused};

/// A batch that is whole.
#[derive(Clone, Debug)]
pub(in crate::log) struct Batch {
    pub(in crate::log) segment: u64,
    /// Where it begins, and where the next may.
    pub(in crate::log) offset: u64,
    pub(in crate::log) end: u64,
    pub(in crate::log) header: BatchHeader,
    /// The records.
    pub(in crate::log) records: Bytes,
}

impl Batch {
    /// The records, with their offsets in the segment and their bodies.
    pub(in crate::log) fn records(&self) -> impl Iterator<Item = (u64, RecordHeader, Bytes)> + '_ {
        let mut at = 0;
        core::iter::from_fn(move || {
            let header = RecordHeader::peek(&self.records[at..])?;
            let body = self.records.slice(at + RECORD_HEADER_LEN..at + header.len as usize);
            let offset = self.offset + (BATCH_HEADER_LEN + at) as u64;
            at += header.len as usize;
            Some((offset, header, body))
        })
    }
}

/// What stands where a batch may begin.
#[derive(Clone, Debug)]
pub(in crate::log) enum Found {
    Batch(Batch),
    /// A header, behind which the records are not whole.
    Header(BatchHeader),
    Nothing,
}

/// What a search came to, see [`Scan::search`].
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Findings {
    /// Whether there was nothing but zero bytes.
    pub(in crate::log) is_zero: bool,
    /// The first header that was looked for, and where it is.
    pub(in crate::log) header: Option<(u64, BatchHeader)>,
}

/// The segments of a directory, as they are read.
#[derive(Debug)]
pub(in crate::log) struct Scan {
    disk: Disk,
    node: u64,
    /// Lengths of the segments' files.
    lens: BTreeMap<u64, u64>,
    /// What was read last: of which segment, from which offset on.
    window: (u64, u64, Bytes),
}

impl Scan {
    pub(in crate::log) fn new(disk: Disk, node: u64, lens: BTreeMap<u64, u64>) -> Self {
        Self { disk, node, lens, window: (0, 0, Bytes::new()) }
    }

    /// Reads again what was read last.
    pub(in crate::log) fn forget(&mut self) {
        self.window = (0, 0, Bytes::new());
    }

    /// These bytes of a segment; fewer where the file ends.
    pub(in crate::log) async fn bytes(
        &mut self,
        segment: u64,
        offset: u64,
        len: u64,
    ) -> Result<Bytes, Refused> {
        let file_len = self.lens.get(&segment).copied().unwrap_or(0);
        let len = len.min(file_len.saturating_sub(offset));
        let (of, from, bytes) = &self.window;
        let end = from + bytes.len() as u64;
        if *of != segment || offset < *from || offset + len > end {
            let wanted = len.max(self.disk.read_len).min(file_len.saturating_sub(offset));
            let bytes = self.disk.read(FileId::Segment(segment), offset, wanted).await?;
            self.window = (segment, offset, bytes);
        }
        let (_, from, bytes) = &self.window;
        let start = (offset - from) as usize;
        Ok(bytes.slice(start..bytes.len().min(start + len as usize)))
    }

    /// What stands at this offset of a segment.
    pub(in crate::log) async fn batch(
        &mut self,
        segment: u64,
        offset: u64,
    ) -> Result<Found, Refused> {
        let identity = identity(self.node, segment);
        let head = self.bytes(segment, offset, BATCH_HEADER_LEN as u64).await?;
        let Some(header) = BatchHeader::decode(&head, identity, offset) else {
            return Ok(Found::Nothing);
        };
        let start = offset + BATCH_HEADER_LEN as u64;
        let file_len = self.lens.get(&segment).copied().unwrap_or(0);
        let len = u64::from(header.len);
        if start + len > file_len {
            return Ok(Found::Header(header));
        }
        // From the batch's own start: the next one is likely to be in the same window.
        let bytes = self.bytes(segment, offset, BATCH_HEADER_LEN as u64 + len).await?;
        let records = bytes.slice(BATCH_HEADER_LEN.min(bytes.len())..);
        if records.len() as u64 != len || !are_whole(&records, header.count, identity, start) {
            return Ok(Found::Header(header));
        }
        let end = offset + header.stride();
        Ok(Found::Batch(Batch { segment, offset, end, header, records }))
    }

    /// Looks through a segment, from an offset on, for the header of a batch that `is_wanted`.
    pub(in crate::log) async fn search(
        &mut self,
        segment: u64,
        from: u64,
        is_wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Findings, Refused> {
        let file_len = self.lens.get(&segment).copied().unwrap_or(0);
        let identity = identity(self.node, segment);
        let mut findings = Findings { is_zero: true, header: None };
        let mut at = from;
        while at < file_len {
            let bytes = self.disk.read(FileId::Segment(segment), at, self.disk.read_len).await?;
            if !is_zero(&bytes) {
                findings.is_zero = false;
                let header = find_header(&bytes, identity, at, &is_wanted);
                findings.header = findings.header.or(header);
            }
            // A header may begin in the last bytes of this piece and end in the next.
            match bytes.len().checked_sub(BATCH_HEADER_LEN) {
                Some(rest) => at += (rest / ALIGNMENT * ALIGNMENT + ALIGNMENT) as u64,
                None => break,
            }
        }
        Ok(findings)
    }
}

/// Whether `records`, which begin at `offset` in their file, are `count` whole ones.
fn are_whole(records: &[u8], count: u32, identity: u64, offset: u64) -> bool {
    let (mut at, mut found) = (0, 0);
    while let Some((header, _)) = RecordHeader::decode(&records[at..], identity, offset + at as u64)
    {
        at += header.len as usize;
        found += 1;
    }
    at == records.len() && found == count
}

pub(in crate::log) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(1024).all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
}

pub(in crate::log) fn find_header(
    bytes: &[u8],
    identity: u64,
    base: u64,
    is_wanted: impl Fn(&BatchHeader) -> bool,
) -> Option<(u64, BatchHeader)> {
    let words = bytes.chunks_exact(ALIGNMENT).enumerate();
    let places = words.filter(|(_, word)| word.starts_with(BATCH_MAGIC));
    places.map(|(at, _)| at * ALIGNMENT).find_map(|at| {
        let offset = base + at as u64;
        let header = BatchHeader::decode(&bytes[at..], identity, offset)?;
        is_wanted(&header).then_some((offset, header))
    })
}
