//! The segments there are, how much of each is alive, and which may go.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::extents::Freed;
use super::fact::SegmentFact;

/// A segment that is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Where its index begins.
    pub(crate) data_end: u64,
    /// Of the file, in bytes.
    pub(crate) len: u64,
    /// The number of its last batch.
    pub(crate) last: u64,
    /// Whether its index is in the file.
    pub(crate) has_index: bool,
}

/// What lives in a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    messages: u64,
    bytes: u64,
    /// The last batch that settles messages of it.
    settled_by: u64,
}

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    full: BTreeMap<u64, Segment>,
    /// Of every segment that holds batches, the one that is written to included.
    life: BTreeMap<u64, Life>,
    /// Reads that are under way.
    readers: BTreeMap<u64, u32>,
    /// Segments without life that are still there.
    dead: Vec<u64>,
}

impl Segments {
    /// Adds a segment that is full from the start.
    pub(crate) fn restore(&mut self, fact: &SegmentFact, messages: u64, bytes: u64) {
        let SegmentFact { segment, data_end, len, last } = *fact;
        self.full.insert(segment, Segment { data_end, len, last, has_index: true });
        self.life.insert(segment, Life { messages, bytes, settled_by: 0 });
        if messages == 0 {
            self.dead.push(segment);
        }
    }

    /// Messages were written to a segment.
    pub(crate) fn add(&mut self, segment: u64, messages: u64, bytes: u64) {
        let life = self.life.entry(segment).or_default();
        life.messages += messages;
        life.bytes = life.bytes.saturating_add(bytes);
    }

    /// Messages of a segment are gone, by facts in batch number `batch` or before; 0 when no start
    /// would find them, whatever the log says.
    pub(crate) fn free(&mut self, freed: Freed, batch: u64) {
        let Some(life) = self.life.get_mut(&freed.segment) else { return };
        life.messages = life.messages.saturating_sub(u64::from(freed.messages));
        life.bytes = life.bytes.saturating_sub(freed.bytes);
        life.settled_by = life.settled_by.max(batch);
        if life.messages == 0 && self.full.contains_key(&freed.segment) {
            self.dead.push(freed.segment);
        }
    }

    /// A segment is full; its last batch is `segment.last`.
    pub(crate) fn seal(&mut self, number: u64, segment: Segment) {
        self.full.insert(number, segment);
        let life = self.life.entry(number).or_default();
        if life.messages == 0 {
            self.dead.push(number);
        }
    }

    /// A segment is not full after all.
    pub(crate) fn unseal(&mut self, number: u64) {
        self.full.remove(&number);
        self.dead.retain(|dead| *dead != number);
    }

    pub(crate) fn get(&self, segment: u64) -> Option<&Segment> {
        self.full.get(&segment)
    }

    pub(crate) fn get_mut(&mut self, segment: u64) -> Option<&mut Segment> {
        self.full.get_mut(&segment)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Segment)> {
        self.full.iter().map(|(number, segment)| (*number, segment))
    }

    /// How many bytes of messages that are in queues all segments have, with the one that is
    /// written to.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.life.values().map(|life| life.bytes).fold(0, u64::saturating_add)
    }

    /// Whether nothing in the segment is alive.
    pub(crate) fn is_dead(&self, segment: u64) -> bool {
        self.life.get(&segment).is_none_or(|life| life.messages == 0)
    }

    /// Someone reads from a segment: it stays until they are done.
    pub(crate) fn begin_read(&mut self, segment: u64) {
        *self.readers.entry(segment).or_default() += 1;
    }

    pub(crate) fn end_read(&mut self, segment: u64) {
        if let Some(readers) = self.readers.get_mut(&segment) {
            *readers -= 1;
            if *readers == 0 {
                self.readers.remove(&segment);
            }
        }
    }

    /// Takes the segments that may be deleted: nothing in them is alive, which is durable, and what
    /// else they say is in the checkpoint, which begins with batch `checkpoint`.
    pub(crate) fn take_dead(&mut self, durable: u64, checkpoint: u64) -> Vec<u64> {
        let (full, life, readers) = (&self.full, &self.life, &self.readers);
        let mut taken = Vec::new();
        self.dead.retain(|number| {
            let Some(segment) = full.get(number) else { return false };
            let is_needed = segment.last >= checkpoint
                || life.get(number).is_some_and(|life| life.settled_by > durable)
                || readers.contains_key(number)
                || !segment.has_index;
            if !is_needed {
                taken.push(*number);
            }
            is_needed
        });
        taken.sort_unstable();
        taken.dedup();
        for number in &taken {
            self.full.remove(number);
            self.life.remove(number);
        }
        taken
    }

    /// The full segment with the smallest part alive, if all that have something alive are together
    /// longer than `ratio` times what lives, and `slack` bytes: then no more than one byte in
    /// `ratio` of it lives.
    pub(crate) fn sparsest(&self, ratio: u64, slack: u64) -> Option<u64> {
        let (mut len, mut alive) = (0, 0);
        let mut sparsest = None;
        for (number, segment) in &self.full {
            let Some(life) = self.life.get(number).filter(|life| life.messages > 0) else {
                continue;
            };
            (len, alive) = (len + segment.data_end, life.bytes.saturating_add(alive));
            if segment.has_index {
                let part = (u128::from(life.bytes) << 32) / u128::from(segment.data_end.max(1));
                sparsest = sparsest.into_iter().chain([(part, *number)]).min();
            }
        }
        let (_, number) =
            sparsest.filter(|_| len > alive.saturating_mul(ratio).saturating_add(slack))?;
        Some(number)
    }
}
