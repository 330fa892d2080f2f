//! What is whole in the bytes of a segment, and what is not.
//!
//! Checksums are seeded with the place in the file: whatever reads as a whole record was written
//! there by this broker, also where the batch around it is damaged.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::log::format::{
    ALIGNMENT, BATCH_HEADER_LEN, BatchHeader, RECORD_HEADER_LEN, RecordHeader, SEGMENT_HEADER_LEN,
    SegmentHeader, decode_part, part_count, part_len,
};
use crate::log::recovery::scan::{find_header, is_zero};

/// The search for whole records within damaged bytes looks at no more than this many times as many
/// bytes as these are: clients choose what bodies look like.
const EFFORT: usize = 64;

/// A whole record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) header: RecordHeader,
}

impl Record {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.header.len)
    }

    /// Its body, in the bytes of its segment.
    pub(super) fn body(&self, segment: &Bytes) -> Bytes {
        segment.slice(self.offset as usize + RECORD_HEADER_LEN..self.end() as usize)
    }
}

/// A batch, or what is left of one or several.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) range: Range<u64>,
    /// `None` when it is damaged.
    pub(super) header: Option<BatchHeader>,
    /// Those records that are whole.
    pub(super) records: Vec<Record>,
    /// What is not.
    pub(super) damage: Vec<Range<u64>>,
}

/// A part of an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) queue: u64,
    pub(super) offset: u64,
}

/// A segment.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) header: Option<SegmentHeader>,
    pub(super) pieces: Vec<Piece>,
    /// Where the last piece ends.
    pub(super) data_end: u64,
    /// The index that stands there and goes on to the end of the file, if one does.
    pub(super) index: Option<Vec<Part>>,
    /// What is behind the data, if it is neither an index nor zero.
    pub(super) rest: Option<Range<u64>>,
}

impl Survey {
    /// Looks at a segment of this identity. `data_end` is where its index begins, if that is known.
    pub(super) fn new(bytes: &Bytes, segment: u64, identity: u64, data_end: Option<u64>) -> Self {
        let len = bytes.len() as u64;
        let end = data_end.unwrap_or(len).min(len);
        let header = SegmentHeader::decode(bytes, segment, identity).ok();
        let mut at = SEGMENT_HEADER_LEN as u64;
        let mut pieces = Vec::new();
        while at < end {
            let rest = &bytes[at as usize..end as usize];
            let piece = match BatchHeader::decode(rest, identity, at) {
                Some(header) => {
                    let piece_end = at.saturating_add(header.stride()).min(end);
                    read_piece(bytes, identity, at..piece_end, Some(header))
                }
                None if data_end.is_none() && index(bytes, identity, at).is_some() => break,
                None => match find_header(rest, identity, at, |_| true) {
                    Some((next, _)) => read_piece(bytes, identity, at..next, None),
                    // A sealed segment ends where it says, another one where its batches do.
                    None if data_end.is_some() => read_piece(bytes, identity, at..end, None),
                    None => break,
                },
            };
            at = piece.range.end;
            pieces.push(piece);
        }
        let data_end = data_end.unwrap_or(at);
        let index = index(bytes, identity, data_end);
        let behind = bytes.get(data_end as usize..).unwrap_or(&[]);
        let is_plain = index.is_some() || is_zero(behind);
        let rest = if is_plain { None } else { Some(data_end..len) };
        Self { header, pieces, data_end, index, rest }
    }

    /// Whether everything in it is whole, its batches in a row, with an index at its end.
    pub(super) fn is_sealed_and_whole(&self) -> bool {
        let is_whole = |piece: &Piece| piece.header.is_some() && piece.damage.is_empty();
        let numbers = self.pieces.iter().filter_map(|piece| Some(piece.header?.number));
        self.header.is_some()
            && self.index.is_some()
            && self.pieces.iter().all(is_whole)
            && numbers.is_sorted_by(|one, next| one + 1 == *next)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.pieces.iter().flat_map(|piece| &piece.records)
    }

    /// The whole record at this offset.
    pub(super) fn record_at(&self, offset: u64) -> Option<&Record> {
        let at = self.pieces.partition_point(|piece| piece.range.end <= offset);
        let records = &self.pieces.get(at)?.records;
        let at = records.binary_search_by_key(&offset, |record| record.offset).ok()?;
        records.get(at)
    }

    /// What of a tail that no later batch shows to be durable may hold records nonetheless.
    pub(super) fn rest_as_piece(&self, bytes: &Bytes, identity: u64) -> Option<Piece> {
        let range = self.rest.clone()?;
        Some(read_piece(bytes, identity, range, None))
    }
}

/// Reads what is whole in these bytes of a segment.
fn read_piece(
    bytes: &Bytes,
    identity: u64,
    range: Range<u64>,
    header: Option<BatchHeader>,
) -> Piece {
    let mut piece = Piece { range: range.clone(), header, records: Vec::new(), damage: Vec::new() };
    let (mut at, mut end) = (range.start, range.end);
    if let Some(header) = header {
        at += BATCH_HEADER_LEN as u64;
        let records_end = at + u64::from(header.len);
        if records_end > end {
            piece.damage.push(end..records_end);
        }
        // Behind the records there is padding.
        end = end.min(records_end);
    }
    let mut damaged_from = None;
    let mut effort = (range.end - range.start) as usize * EFFORT;
    while at < end {
        let rest = &bytes[at as usize..end as usize];
        match whole_record(rest, identity, at, damaged_from.is_some().then_some(&mut effort)) {
            Some(header) => {
                piece.damage.extend(damaged_from.take().map(|from| from..at));
                let record = Record { offset: at, header };
                at = record.end();
                piece.records.push(record);
            }
            None => {
                damaged_from.get_or_insert(at);
                at += 1;
            }
        }
    }
    piece.damage.extend(damaged_from.map(|from| from..end));
    let expected = header.map_or(0, |header| header.count as usize);
    if header.is_some() && piece.damage.is_empty() && expected != piece.records.len() {
        piece.damage.push(range.clone());
    }
    piece
}

/// The record that begins here. Where it is only searched for, that costs `effort`.
fn whole_record(
    bytes: &[u8],
    identity: u64,
    offset: u64,
    effort: Option<&mut usize>,
) -> Option<RecordHeader> {
    if let Some(effort) = effort {
        let header = RecordHeader::peek(bytes)?;
        let len = header.len as usize;
        let may_be_one = (1..=11).contains(&header.kind)
            && bytes[6..8] == [0, 0]
            && (RECORD_HEADER_LEN..=bytes.len()).contains(&len);
        if !may_be_one {
            return None;
        }
        *effort = effort.checked_sub(len)?;
    }
    RecordHeader::decode(bytes, identity, offset).map(|(header, _)| header)
}

/// The parts of an index that stands at `offset` and ends where the segment does.
fn index(bytes: &Bytes, identity: u64, offset: u64) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut at = offset;
    while at < bytes.len() as u64 {
        let rest = &bytes[at as usize..];
        part_count(rest)?;
        let (queue, entries) = decode_part(rest, identity, at)?;
        let count = entries.len() as u32;
        if parts.last().is_some_and(|last: &Part| last.queue >= queue) {
            return None;
        }
        parts.push(Part { queue, offset: at });
        at += part_len(count) as u64;
    }
    (!parts.is_empty() && offset.is_multiple_of(ALIGNMENT as u64)).then_some(parts)
}
