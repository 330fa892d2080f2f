//! How a queue reads back what is on disk only: which messages next, and from where.
//!
//! A queue has one read under way at the most. First it reads its part of a segment's index, unless
//! it has that at hand, then a run of messages. What is read in order needs each part once.
//! Messages that expire are read wherever they stand: a queue that has such keeps parts of many
//! segments.

use alloc::vec::Vec;

use super::queue::Queue;
use crate::log::{Extent, IndexEntry};
use crate::rare::{Rare, Unused};

/// Between two messages that are wanted, so many bytes of others are read along rather than in two
/// reads.
const GAP_MAX: u64 = 64 << 10;

/// A queue whose messages expire keeps parts of so many entries, of 16 bytes each.
const ENTRIES_MAX: usize = 1 << 20;

/// A queue's entries in the index of the segment that is written to.
#[derive(Debug, Default)]
pub(crate) struct OpenIndex {
    entries: Vec<IndexEntry>,
    /// Whether they may not be in the order of positions: messages that are moved come in between.
    is_mixed: bool,
}

impl OpenIndex {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds what was written behind all others.
    pub(crate) fn push(&mut self, entry: IndexEntry) {
        self.is_mixed |= self.entries.last().is_some_and(|last| last.position > entry.position);
        self.entries.push(entry);
    }

    /// Forgets what is in the segment from this offset on.
    pub(crate) fn truncate(&mut self, offset: u64) {
        self.entries.retain(|entry| u64::from(entry.offset) < offset);
    }

    /// Puts the entries in the order of positions.
    pub(crate) fn sort(&mut self) {
        if core::mem::take(&mut self.is_mixed) {
            self.entries.sort_unstable_by_key(|entry| entry.position);
        }
    }

    /// All entries, as they were sorted last, and what came since.
    pub(crate) fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// Takes all entries, by position: those are left for which this holds.
    pub(crate) fn take(&mut self, is_kept: impl FnMut(&IndexEntry) -> bool) -> Vec<IndexEntry> {
        self.sort();
        let mut entries = core::mem::take(&mut self.entries);
        entries.retain(is_kept);
        entries
    }
}

/// Of entries by position.
impl FromIterator<IndexEntry> for OpenIndex {
    fn from_iter<T: IntoIterator<Item = IndexEntry>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect(), is_mixed: false }
    }
}

/// The queue's part of the index of a sealed segment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) segment: u64,
    /// Where it is in the segment.
    pub(crate) offset: u32,
    pub(crate) entries: Vec<IndexEntry>,
}

/// A read that is under way.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Of a part of an index: the segment and where in it.
    Part(u64, u32),
    /// Of messages.
    Run(Run),
}

/// Messages that are read together.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) segment: u64,
    pub(crate) entries: Vec<IndexEntry>,
    pub(crate) wanted: Wanted,
}

/// Which messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Those that are next.
    Ready,
    /// Such as came back, and were on disk only meanwhile.
    Returned,
    /// Such as died, and go elsewhere.
    Dying,
    /// Such as stay where they are, and are uncounted.
    Size,
}

impl Run {
    /// Where it begins in the segment, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.entries.first().map_or(0, |entry| u64::from(entry.offset))
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u32 {
        let end = self.entries.last().map_or(0, |entry| u64::from(entry.offset + entry.len));
        (end - self.offset()) as u32
    }
}

/// What a queue's reader is about. Most queues never have anything on disk only.
#[derive(Debug, Default)]
pub(crate) struct Reader(Rare<Reads>);

#[derive(Debug, Default)]
struct Reads {
    /// The number of the read under way: answers to others are not for us any more.
    number: u64,
    reading: Option<Reading>,
    /// Those that were read last, the newest at the end.
    parts: Vec<Part>,
}

impl Unused for Reads {
    const UNUSED: &'static Self = &Self { number: 0, reading: None, parts: Vec::new() };
}

impl Reader {
    /// Whether a read is under way.
    pub(crate) fn is_reading(&self) -> bool {
        self.0.reading.is_some()
    }

    /// Forgets what is under way.
    pub(crate) fn reset(&mut self) {
        if let Some(reads) = self.0.used() {
            reads.reading = None;
            reads.parts.clear();
        }
    }

    /// The part at this place, if it is at hand.
    pub(crate) fn part(&self, segment: u64, offset: u32) -> Option<&Part> {
        self.0.parts.iter().rev().find(|part| (part.segment, part.offset) == (segment, offset))
    }

    /// Keeps a part at hand, and of those before it as many as come to `entries_max` entries with
    /// it.
    pub(crate) fn keep_part(&mut self, part: Part, entries_max: usize) {
        let parts = &mut self.0.in_use().parts;
        parts.retain(|other| other.segment != part.segment || other.offset != part.offset);
        parts.push(part);
        let mut left = entries_max;
        let kept = parts.iter().rev().take_while(|part| {
            let has_room = part.entries.len() <= left;
            left = left.saturating_sub(part.entries.len());
            has_room
        });
        let kept = kept.count().max(1);
        parts.drain(..parts.len() - kept);
    }

    /// Begins a read; its number.
    pub(crate) fn begin(&mut self, reading: Reading) -> u64 {
        let reads = self.0.in_use();
        reads.number += 1;
        reads.reading = Some(reading);
        reads.number
    }

    /// Ends the read of this number.
    pub(crate) fn end(&mut self, number: u64) -> Option<Reading> {
        self.0.used().filter(|reads| reads.number == number)?.reading.take()
    }
}

impl Queue {
    /// Keeps a part of an index at hand.
    pub(crate) fn keep_part(&mut self, part: Part, is_pressed: bool) {
        let is_random = !self.deadlines.is_empty() && !is_pressed;
        self.reader.keep_part(part, if is_random { ENTRIES_MAX } else { 0 });
    }

    /// From which position on messages are to be read, if any are; and which. With `is_ahead`, also
    /// messages that are not next.
    pub(crate) fn wanted(&self, is_ahead: bool, window: usize) -> Option<(u64, Wanted)> {
        let by_position = self.dying.lowest_on_disk().filter(|_| self.is_delay_store && window > 1);
        if let Some(position) = by_position.or_else(|| self.dying.first_on_disk()) {
            return Some((position, Wanted::Dying));
        }
        if self.is_delay_store {
            return None;
        }
        if let Some(position) = self.ready.first_returned_on_disk() {
            return Some((position, Wanted::Returned));
        }
        let has_room = if is_ahead { self.ready.cached() < window } else { true };
        (self.ready.paged() > 0 && has_room).then_some((self.ready.paged_from, Wanted::Ready))
    }

    /// The run of messages of an extent that begins with the first of `entries`, sorted by
    /// position, from `from` on; of about `len_max` bytes, if it has more than one.
    pub(crate) fn run(
        &self,
        extent: &Extent,
        entries: &[IndexEntry],
        from: u64,
        wanted: Wanted,
        len_max: u32,
    ) -> Run {
        let (first, last) = (from.max(extent.first), extent.last);
        let begin = entries.partition_point(|entry| entry.position < first);
        let entries = &entries[begin..];
        let found = |position: u64| {
            let at = entries.binary_search_by_key(&position, |entry| entry.position).ok()?;
            Some(entries[at])
        };
        let is_live = |entry: &IndexEntry| extent.is_live(entry.position);
        let chosen = match wanted {
            Wanted::Ready | Wanted::Size => {
                let all = entries.iter().copied().take_while(|entry| entry.position <= last);
                let is_ready = |entry: &IndexEntry| !self.dying.contains(entry.position);
                choose(all, len_max, |entry| is_live(entry) && is_ready(entry))
            }
            // Where few of many are wanted, the others are not looked at.
            Wanted::Returned => {
                let returned = self.ready.returned_on_disk(first, last);
                choose(returned.filter_map(found), len_max, is_live)
            }
            Wanted::Dying => {
                choose(self.dying.on_disk(first, last).filter_map(found), len_max, is_live)
            }
        };
        Run { segment: extent.segment, entries: chosen, wanted }
    }
}

/// The first of these that are wanted, if they are near enough to each other in their segment to be
/// read together.
fn choose(
    entries: impl Iterator<Item = IndexEntry>,
    len_max: u32,
    is_wanted: impl Fn(&IndexEntry) -> bool,
) -> Vec<IndexEntry> {
    let mut chosen: Vec<IndexEntry> = Vec::new();
    for entry in entries {
        if let (Some(first), Some(last)) = (chosen.first(), chosen.last()) {
            let end = u64::from(last.offset) + u64::from(last.len);
            let is_near = u64::from(entry.offset) >= end
                && u64::from(entry.offset) - end <= GAP_MAX.min(u64::from(len_max));
            let reach = u64::from(first.offset) + u64::from(len_max);
            if !is_near || u64::from(entry.offset) + u64::from(entry.len) > reach {
                break;
            }
        }
        if is_wanted(&entry) {
            chosen.push(entry);
        }
    }
    chosen
}
