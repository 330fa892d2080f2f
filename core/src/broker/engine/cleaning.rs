//! Copying forward what little lives in old segments, so that they can go.
//!
//! One segment at a time, one read at a time, and no more until what was copied is durable:
//! cleaning never takes more than its share of the disk.

use alloc::collections::BTreeMap;
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
    /// The messages still to be copied, by their offset: their length, and where they are.
    left: BTreeMap<u32, (u32, Vec<Spot>)>,
}

#[derive(Debug)]
enum Copying {
    ReadingIndex {
        offset: u64,
    },
    Reading(Vec<u32>),
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
                self.copy_next();
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
            left: BTreeMap::new(),
        });
        self.log.read(Purpose::ReadSurvivors, segment, offset, len);
    }

    /// Takes what was read for cleaning.
    pub(super) fn take_survivors(&mut self, data: &Bytes) {
        let Some(mut cleaning) = self.cleaning.take() else { return };
        let segment = cleaning.segment;
        match &cleaning.state {
            Copying::ReadingIndex { offset } => {
                let Some(left) = self.survivors(segment, *offset, data) else {
                    return self.halt_for_damage(segment, *offset, "index");
                };
                cleaning.left = left;
                self.cleaning = Some(cleaning);
                self.copy_next();
            }
            Copying::Reading(offsets) => {
                let identity = self.log.identity(segment);
                let base = offsets.first().copied().unwrap_or(0);
                for offset in offsets.clone() {
                    let Some((len, spots)) = cleaning.left.remove(&offset) else { continue };
                    let start = (offset - base) as usize;
                    let record = data.get(start..start + len as usize);
                    let decoded = record
                        .and_then(|record| RecordHeader::decode(record, identity, offset.into()))
                        .and_then(|(header, body)| {
                            let body = data.slice_ref(body);
                            Some((header, log::decode_message(header.flags, &body)?))
                        });
                    let Some((header, mut message)) = decoded else {
                        return self.halt_for_damage(segment, offset.into(), "message");
                    };
                    message.detach();
                    self.keep(&mut message);
                    self.mark(Mark::MessageMoved);
                    self.note_survivor(PendingMessage {
                        message: Arc::new(message),
                        spots: Spots::Many(spots),
                        is_moved: true,
                        is_volatile: header.flags & message_flag::VOLATILE != 0,
                    });
                }
                cleaning.state = Copying::Waiting(self.log.position());
                self.cleaning = Some(cleaning);
            }
            Copying::Waiting(_) => self.cleaning = Some(cleaning),
        }
    }

    /// Reads the next messages that are still alive; when there are none, the segment is done.
    fn copy_next(&mut self) {
        let Some(mut cleaning) = self.cleaning.take() else { return };
        let segment = cleaning.segment;
        let queues = &self.queues;
        let is_alive = |spot: &Spot| {
            queues.get(spot.queue).is_some_and(|queue| {
                let extent = queue.extents.at_or_after(spot.place.position);
                extent.is_some_and(|extent| {
                    extent.segment == segment && extent.is_live(spot.place.position)
                })
            })
        };
        let mut offsets = Vec::new();
        let (mut base, mut end) = (0, 0);
        cleaning.left.retain(|offset, (len, spots)| {
            spots.retain(is_alive);
            if spots.is_empty() {
                return false;
            }
            base = if offsets.is_empty() { *offset } else { base };
            let is_near = *offset + *len - base <= self.limits.read_len;
            if offsets.is_empty() || is_near {
                offsets.push(*offset);
                end = *offset + *len;
            }
            true
        });
        if offsets.is_empty() {
            return;
        }
        // Only those that are next to each other, up to what one read may have.
        let first = offsets[0];
        cleaning.state = Copying::Reading(offsets);
        self.cleaning = Some(cleaning);
        self.log.read(Purpose::ReadSurvivors, segment, first.into(), end - first);
    }

    /// The living messages of a segment by their offset, from its index.
    fn survivors(
        &mut self,
        segment: u64,
        base: u64,
        index: &Bytes,
    ) -> Option<BTreeMap<u32, (u32, Vec<Spot>)>> {
        let identity = self.log.identity(segment);
        let mut survivors: BTreeMap<u32, (u32, Vec<Spot>)> = BTreeMap::new();
        let mut at = 0;
        while at < index.len() {
            let (number, entries) = log::decode_part(&index[at..], identity, base + at as u64)?;
            at += log::part_len(entries.len() as u32);
            let number = QueueNumber(number);
            let Some(id) = self.numbers.get(&number).copied() else { continue };
            let Some(queue) = self.queues.get(id) else { continue };
            let living = entries.filter(|entry| {
                let extent = queue.extents.at_or_after(entry.position);
                extent.is_some_and(|extent| {
                    extent.segment == segment && extent.is_live(entry.position)
                })
            });
            for IndexEntry { position, offset, len } in living {
                let spots = &mut survivors.entry(offset).or_insert((len, Vec::new())).1;
                let place = Place { queue: number, position };
                spots.push(Spot { queue: id, place, deadline: None });
            }
        }
        Some(survivors)
    }
}
