//! Copying forward what little lives in old segments, so that they can go.
//!
//! One segment at a time, one read at a time, and no more until what was copied is durable:
//! cleaning never takes more than its share of the disk.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Engine;
use crate::Mark;
use crate::log::{
    self, BatchNumber, IndexEntry, PendingMessage, Place, Purpose, QueueNumber, RecordHeader, Spot,
    Spots, message_flag,
};

/// Segments are cleaned when all together have this many times the bytes that live, and this many
/// segments' length besides: what is read in order is gone soon, and not worth a copy.
const SPARSE_RATIO: u64 = 3;
const SPARSE_SEGMENTS: u64 = 4;

/// How far the cleaning of a segment is.
#[derive(Debug)]
pub(super) struct Cleaning {
    segment: u64,
    state: Copying,
    /// The messages still to be copied, by their offset.
    left: VecDeque<Survivor>,
}

/// A message that lives, where little else does.
#[derive(Debug)]
struct Survivor {
    /// Where its record begins in the segment.
    offset: u32,
    /// The record's length.
    len: u32,
    spots: Vec<Spot>,
}

#[derive(Debug)]
enum Copying {
    ReadingIndex {
        offset: u64,
    },
    Reading(Vec<Survivor>),
    /// Until this batch is durable.
    Waiting(BatchNumber),
}

impl Engine {
    /// Goes on with cleaning, or begins.
    pub(super) fn clean(&mut self) {
        if self.log.halted().is_some() || self.log.is_closing() || !self.log.is_enabled() {
            return;
        }
        match &self.cleaning {
            None => self.begin_cleaning(),
            Some(Cleaning { state: Copying::Waiting(batch), .. })
                if *batch <= self.log.durable() =>
            {
                let cleaning = self.cleaning.take().expect("just found");
                self.copy_next(cleaning);
            }
            Some(_) => {}
        }
    }

    fn begin_cleaning(&mut self) {
        if self.log.is_short_of_space() {
            // There is no room for copies; what is consumed makes some.
            return;
        }
        let Some(segment) = self.log.sparsest(SPARSE_RATIO, SPARSE_SEGMENTS) else { return };
        let Some(found) = self.log.segments.get(segment) else { return };
        self.mark(Mark::CleaningBegun);
        let (offset, len) = (found.data_end, (found.len - found.data_end) as u32);
        self.cleaning = Some(Cleaning {
            segment,
            state: Copying::ReadingIndex { offset },
            left: VecDeque::new(),
        });
        self.log.read(Purpose::ReadSurvivors, segment, offset, len);
    }

    /// Takes what was read for cleaning.
    pub(super) fn take_survivors(&mut self, data: &Bytes) {
        let Some(mut cleaning) = self.cleaning.take() else { return };
        let segment = cleaning.segment;
        match cleaning.state {
            Copying::ReadingIndex { offset } => {
                let Some(left) = self.survivors(segment, offset, data) else {
                    return self.halt_for_damage(segment, offset, "index");
                };
                cleaning.left = left;
                self.copy_next(cleaning);
            }
            Copying::Reading(survivors) => {
                if let Err(offset) = self.copy(segment, survivors, data) {
                    return self.halt_for_damage(segment, offset.into(), "message");
                }
                cleaning.state = Copying::Waiting(self.log.position());
                self.cleaning = Some(cleaning);
            }
            Copying::Waiting(_) => self.cleaning = Some(cleaning),
        }
    }

    /// Has these messages of a segment written again. Where one is damaged, its offset.
    fn copy(&mut self, segment: u64, survivors: Vec<Survivor>, data: &Bytes) -> Result<(), u32> {
        let identity = self.log.identity(segment);
        let base = survivors.first().map_or(0, |first| first.offset);
        for Survivor { offset, len, spots } in survivors {
            let start = (offset - base) as usize;
            let record = data.get(start..start + len as usize);
            let decoded = record
                .and_then(|record| RecordHeader::decode(record, identity, offset.into()))
                .and_then(|(header, body)| {
                    let body = data.slice_ref(body);
                    Some((header, log::decode_message(header.flags, &body)?))
                });
            let (header, mut message) = decoded.ok_or(offset)?;
            message.detach();
            self.keep(&mut message);
            self.mark(Mark::MessageMoved);
            self.log.meters.bytes_moved += u64::from(len);
            self.note_survivor(PendingMessage {
                message: Arc::new(message),
                spots: Spots::Many(spots),
                is_moved: true,
                is_volatile: header.flags & message_flag::VOLATILE != 0,
            });
        }
        Ok(())
    }

    /// Reads the next messages that are still alive: as many as one read may have. When there are
    /// none, the segment is done.
    fn copy_next(&mut self, mut cleaning: Cleaning) {
        let segment = cleaning.segment;
        let is_alive = |spot: &Spot| {
            let queue = self.queues.get(spot.queue);
            queue.is_some_and(|queue| queue.extents.is_in(segment, spot.place.position))
        };
        let mut next: Vec<Survivor> = Vec::new();
        let mut len = 0;
        while let Some(mut survivor) = cleaning.left.pop_front() {
            let base = next.first().map_or(survivor.offset, |first| first.offset);
            let reach = survivor.offset + survivor.len - base;
            if !next.is_empty() && reach > self.limits.read_len {
                cleaning.left.push_front(survivor);
                break;
            }
            survivor.spots.retain(is_alive);
            if !survivor.spots.is_empty() {
                next.push(survivor);
                len = reach;
            }
        }
        let Some(first) = next.first().map(|first| first.offset) else { return };
        cleaning.state = Copying::Reading(next);
        self.cleaning = Some(cleaning);
        self.log.read(Purpose::ReadSurvivors, segment, first.into(), len);
    }

    /// The living messages of a segment by their offset, from its index.
    fn survivors(&mut self, segment: u64, base: u64, index: &Bytes) -> Option<VecDeque<Survivor>> {
        let identity = self.log.identity(segment);
        // A message that is in several queues is copied once.
        let mut by_offset: BTreeMap<u32, (u32, Vec<Spot>)> = BTreeMap::new();
        let mut at = 0;
        while at < index.len() {
            let (number, entries) = log::decode_part(&index[at..], identity, base + at as u64)?;
            at += log::part_len(entries.len() as u32);
            let number = QueueNumber(number);
            let Some(id) = self.numbers.get(&number).copied() else { continue };
            let Some(queue) = self.queues.get(id) else { continue };
            let living = entries.filter(|entry| queue.extents.is_in(segment, entry.position));
            for IndexEntry { position, offset, len } in living {
                let spots = &mut by_offset.entry(offset).or_insert((len, Vec::new())).1;
                let place = Place { queue: number, position };
                spots.push(Spot { queue: id, place, deadline: None });
            }
        }
        let survivor = |(offset, (len, spots))| Survivor { offset, len, spots };
        Some(by_offset.into_iter().map(survivor).collect())
    }
}
