//! Segments of copies: messages that are written once more, by a start or by salvage.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use bytes::{BufMut, Bytes, BytesMut};

use crate::log::fact::Place;
use crate::log::format::{
    BATCH_HEADER_LEN, BatchHeader, COPY, IndexEntry, SegmentHeader, aligned, identity, put_record,
};

/// Where the messages of a segment are, by queue.
pub(in crate::log) type Index = BTreeMap<u64, Vec<IndexEntry>>;

/// Puts entries in the order of their positions, each once: of records of the same message in one
/// segment, the last counts.
pub(super) fn put_in_order(index: &mut Index) {
    for entries in index.values_mut() {
        entries.sort_unstable_by_key(|entry| (entry.position, Reverse(entry.offset)));
        entries.dedup_by_key(|entry| entry.position);
    }
}

/// A new segment that is not on disk yet.
#[derive(Debug)]
pub(in crate::log) struct NewSegment {
    pub(in crate::log) number: u64,
    /// All that stands before the index.
    pub(in crate::log) data: Bytes,
    /// The number of its batch.
    pub(in crate::log) last: u64,
    pub(in crate::log) index: Index,
}

/// A segment of copies in the making.
#[derive(Debug)]
pub(in crate::log) struct Copies {
    segment: u64,
    identity: u64,
    epoch: u32,
    out: BytesMut,
    batch_at: usize,
    count: u32,
    index: Index,
}

impl Copies {
    pub(in crate::log) fn new(node: u64, segment: u64, epoch: u32) -> Self {
        let identity = identity(node, segment);
        let mut out = BytesMut::new();
        SegmentHeader { epoch, segment, first: COPY, node }.encode(identity, &mut out);
        let batch_at = out.len();
        out.put_bytes(0, BATCH_HEADER_LEN);
        Self { segment, identity, epoch, out, batch_at, count: 0, index: Index::new() }
    }

    /// Where the next record will stand.
    pub(in crate::log) fn next_offset(&self) -> u64 {
        self.out.len() as u64
    }

    /// Appends a message's record, of which the body is given in pieces. `None` when there is no
    /// room.
    pub(in crate::log) fn put(
        &mut self,
        (kind, flags): (u8, u8),
        places: impl Iterator<Item = Place>,
        body: &[&[u8]],
    ) -> Option<()> {
        let offset = u32::try_from(self.out.len()).ok()?;
        put_record(&mut self.out, kind, flags, self.identity, 0, |out| {
            body.iter().for_each(|piece| out.put_slice(piece));
        });
        let len = u32::try_from(self.out.len()).ok()? - offset;
        for place in places {
            let entry = IndexEntry { position: place.position, offset, len };
            self.index.entry(place.queue.0).or_default().push(entry);
        }
        self.count += 1;
        Some(())
    }

    /// The segment, as one batch with this number.
    pub(in crate::log) fn finish(mut self, number: u64, durable: u64) -> NewSegment {
        let len = (self.out.len() - self.batch_at - BATCH_HEADER_LEN) as u32;
        let header = BatchHeader { len, number, durable, epoch: self.epoch, count: self.count };
        let bytes = header.encode(self.identity, self.batch_at as u64);
        self.out[self.batch_at..self.batch_at + BATCH_HEADER_LEN].copy_from_slice(&bytes);
        let end = aligned(self.out.len() as u64) as usize;
        self.out.resize(end, 0);
        let data = self.out.freeze();
        put_in_order(&mut self.index);
        NewSegment { number: self.segment, data, last: number, index: self.index }
    }
}
