//! Taking in the batches that no checkpoint contains, and telling where the log ends.
//!
//! A place where the next batch should be and is not is the log's end, or damage. It is damage when
//! a later batch says that this one was durable: every batch carries the number of the last one
//! that was durable when it was written. Otherwise it was never durable, nothing was promised that
//! rests on it, and it is cut off with all that is behind it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::StartError;
use super::base::Files;
use super::copies::{Copies, Index, NewSegment, put_in_order};
use super::scan::{Batch, Found, Scan};
use crate::log::codec::{kind, message_flag, message_places, message_places_and_len};
use crate::log::fact::{Fact, SegmentFact};
use crate::log::format::{
    BatchHeader, COPY, IndexEntry, NUMBER_FREE_MAX, PART_HEADER_LEN, RECORD_HEADER_LEN,
    SEGMENT_HEADER_LEN, SegmentHeader, Unusable, decode_part, identity, part_count, part_len,
};
use crate::log::state::{Inconsistent, State};
use crate::log::task::Disk;
use crate::{FileId, Mark};

/// A segment of which batches were taken in.
#[derive(Debug, Default)]
pub(in crate::log) struct Replayed {
    /// Where its last batch ends.
    pub(in crate::log) data_end: u64,
    /// The number of that batch.
    pub(in crate::log) last: u64,
    pub(in crate::log) index: Index,
}

/// What the replay came to.
#[derive(Debug)]
pub(in crate::log) struct Outcome {
    pub(in crate::log) state: State,
    pub(in crate::log) replayed: BTreeMap<u64, Replayed>,
    /// Segments of zero bytes.
    pub(in crate::log) spares: Vec<u64>,
    /// The messages of the batches at the end, of which nothing says that they are durable, once
    /// more: that they can be read shows nothing, as the system may have them in memory only, after
    /// a sync that failed.
    pub(in crate::log) copy: Option<NewSegment>,
}

pub(in crate::log) struct Replay<'a> {
    disk: &'a Disk,
    files: &'a Files,
    scan: Scan,
    state: State,
    /// Segments whose header is whole, by number.
    headers: BTreeMap<u64, SegmentHeader>,
    /// Those that begin with this batch, by its number.
    first: BTreeMap<u64, Vec<u64>>,
    replayed: BTreeMap<u64, Replayed>,
    /// Batches that are not known to be durable yet.
    pending: VecDeque<Batch>,
}

impl<'a> Replay<'a> {
    pub(in crate::log) fn new(disk: &'a Disk, files: &'a Files, state: State) -> Self {
        let scan = Scan::new(disk.clone(), state.node, files.segments.clone());
        Self {
            disk,
            files,
            scan,
            state,
            headers: BTreeMap::new(),
            first: BTreeMap::new(),
            replayed: BTreeMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// Takes in everything.
    pub(in crate::log) async fn run(mut self) -> Result<Outcome, StartError> {
        let files = self.files;
        let old_segments = self.state.next_segment;
        files.segments.range(old_segments..).for_each(|(_, len)| self.disk.expect_reads(*len));
        self.read_headers().await?;
        // Where the next batch is expected, if it is not the first of a segment.
        let mut place = None;
        while let Some(batch) = self.next_batch(place).await? {
            place = Some((batch.segment, batch.end));
            self.take(batch)?;
        }
        let spares = self.check_end(place).await?;
        let highest = files.segments.keys().next_back();
        let free = highest.map_or(0, |highest| highest + 1).max(self.state.next_segment);
        self.state.next_segment = free;
        let copy = self.copy_pending()?;
        self.state.close();
        self.check_segments(old_segments)?;
        self.check_room(place)?;
        self.replayed.values_mut().for_each(|replayed| put_in_order(&mut replayed.index));
        Ok(Outcome { state: self.state, replayed: self.replayed, spares, copy })
    }

    async fn read_headers(&mut self) -> Result<(), StartError> {
        let mut last = SegmentHeader {
            epoch: 0,
            segment: 0,
            first: self.state.next_batch,
            node: self.state.node,
        };
        for &segment in self.files.segments.range(self.state.next_segment..).map(|(s, _)| s) {
            let file = FileId::Segment(segment);
            let identity = identity(self.state.node, segment);
            let bytes = self.disk.read(file, 0, SEGMENT_HEADER_LEN as u64).await?;
            let header = match SegmentHeader::decode(&bytes, segment, identity) {
                Ok(header) => header,
                Err(Unusable::Newer(version)) => return Err(StartError::Newer { file, version }),
                Err(Unusable::Damaged) => continue,
            };
            self.headers.insert(segment, header);
            self.state.epoch = self.state.epoch.max(header.epoch);
            if header.first == COPY {
                continue;
            }
            if header.first < last.first || header.epoch < last.epoch {
                return Err(StartError::damaged(file, 0, "its header says that it is older"));
            }
            last = header;
            self.first.entry(header.first).or_default().push(segment);
        }
        Ok(())
    }

    /// The next batch, if it is whole. That there is none is looked at twice: no log is cut off
    /// because a disk gave other bytes once.
    async fn next_batch(&mut self, place: Option<(u64, u64)>) -> Result<Option<Batch>, StartError> {
        if let Some(batch) = self.find_batch(place).await? {
            return Ok(Some(batch));
        }
        self.scan.forget();
        let found = self.find_batch(place).await?;
        if let Some(batch) = &found {
            let (file, offset) = (FileId::Segment(batch.segment), batch.offset);
            self.disk.note(format!("{file} reads otherwise the second time, at offset {offset}"));
        }
        Ok(found)
    }

    /// The next batch, if it is whole. After a failed write it may stand twice: at the end of the
    /// segment that was given up, and as the first of a later one, which counts.
    async fn find_batch(&mut self, place: Option<(u64, u64)>) -> Result<Option<Batch>, StartError> {
        let number = self.state.next_batch;
        let from = place.map_or(0, |(segment, _)| segment + 1);
        let firsts = self.first.get(&number).into_iter().flatten().rev();
        let firsts = firsts.take_while(|segment| **segment >= from);
        let firsts = firsts.map(|segment| (*segment, SEGMENT_HEADER_LEN as u64));
        let places: Vec<(u64, u64)> = firsts.chain(place).collect();
        for (segment, offset) in places {
            let (header, batch) = match self.scan.batch(segment, offset).await? {
                Found::Batch(batch) => (batch.header, Some(batch)),
                Found::Header(header) => (header, None),
                Found::Nothing => continue,
            };
            let epoch = self.headers.get(&segment).map(|header| header.epoch);
            if header.number != number || Some(header.epoch) != epoch {
                let text = "a batch stands here that belongs elsewhere";
                return Err(StartError::damaged(FileId::Segment(segment), offset, text));
            }
            if batch.is_some() {
                return Ok(batch);
            }
        }
        Ok(None)
    }

    fn take(&mut self, batch: Batch) -> Result<(), StartError> {
        let BatchHeader { number, durable, .. } = batch.header;
        if durable >= number {
            let file = FileId::Segment(batch.segment);
            return Err(StartError::damaged(
                file,
                batch.offset,
                "a batch says it was durable before",
            ));
        }
        self.state.next_batch = number + 1;
        let replayed = self.replayed.entry(batch.segment).or_default();
        (replayed.data_end, replayed.last) = (batch.end, number);
        self.pending.push_back(batch);
        while self.pending.front().is_some_and(|batch| batch.header.number <= durable) {
            let Some(batch) = self.pending.pop_front() else { break };
            let segment = batch.segment;
            let mut index = core::mem::take(&mut self.replayed.entry(segment).or_default().index);
            for (offset, record, body) in batch.records() {
                let applied =
                    self.apply((record.kind, record.flags), &body, segment, offset, &mut index);
                applied.map_err(|Inconsistent(text)| {
                    StartError::damaged(FileId::Segment(segment), offset, text)
                })?;
            }
            self.replayed.entry(segment).or_default().index = index;
        }
        Ok(())
    }

    /// Takes in a record that stands, or will stand, at `offset` of `segment`.
    fn apply(
        &mut self,
        (kind, flags): (u8, u8),
        body: &Bytes,
        segment: u64,
        offset: u64,
        index: &mut Index,
    ) -> Result<(), Inconsistent> {
        let nothing = Inconsistent("a record says nothing");
        let len = (RECORD_HEADER_LEN + body.len()) as u32;
        if kind != kind::MESSAGE {
            let fact = Fact::decode(kind, flags, body).ok_or(nothing)?;
            return self.state.apply(fact, segment, len);
        }
        let (places, body_len) = message_places_and_len(flags, body).ok_or(nothing)?;
        if flags & message_flag::VOLATILE == 0 {
            let offset =
                u32::try_from(offset).map_err(|_| Inconsistent("a segment is too long"))?;
            for place in places.clone() {
                let entry = IndexEntry { position: place.position, offset, len };
                index.entry(place.queue.0).or_default().push(entry);
            }
        }
        self.state.apply_message(places, flags, body_len as u64, (segment, len))
    }

    /// Looks at what stands behind the last batch: whether it may be the end. The segments that
    /// are all zero.
    async fn check_end(&mut self, place: Option<(u64, u64)>) -> Result<Vec<u64>, StartError> {
        let number = self.state.next_batch;
        let is_proof = |header: &BatchHeader| header.number > number && header.durable >= number;
        let mut spares = Vec::new();
        // Whether there is something behind the last batch; in its own segment, or anywhere.
        let (mut is_tail_cut, mut is_cut) = (false, false);
        let mut proof = None;
        let from = place.map_or(self.state.next_segment, |(segment, _)| segment);
        for &segment in self.files.segments.range(from..).map(|(segment, _)| segment) {
            let start = place.filter(|(last, _)| *last == segment).map_or(0, |(_, end)| end);
            if self.headers.get(&segment).is_some_and(|header| header.first == COPY) {
                continue;
            }
            let findings = self.scan.search(segment, start, is_proof).await?;
            proof = proof.or(findings.header.map(|(offset, header)| (segment, offset, header)));
            if start == 0 && findings.is_zero {
                spares.push(segment);
            }
            if !findings.is_zero && !self.is_index(segment, start).await? {
                is_cut = true;
                is_tail_cut |= start > 0;
            }
            if start == 0 {
                self.check_header(segment).await?;
            }
        }
        if let Some((segment, offset, header)) = proof {
            let (file, at) = self.suspect(place, is_tail_cut);
            let proof = FileId::Segment(segment);
            let text = format!(
                "batch {number} is not there, though batch {} in {proof} at offset {offset} \
                 says that it was durable",
                header.number
            );
            return Err(StartError::damaged(file, at, &text));
        }
        if is_cut {
            self.disk.mark(Mark::TornTailCut);
            let text = match place {
                Some((segment, at)) => format!(
                    "{} ends at offset {at}, with batch {}: a write behind it was cut off, and \
                     is dropped",
                    FileId::Segment(segment),
                    number - 1
                ),
                None => {
                    "the first write behind the last checkpoint was cut off, and is dropped".into()
                }
            };
            self.disk.note(text);
        }
        Ok(spares)
    }

    /// A segment's header and its first batch are written at once, next to each other: when the
    /// batch is there and the header is not, it was damaged later.
    async fn check_header(&mut self, segment: u64) -> Result<(), StartError> {
        if self.headers.contains_key(&segment) {
            return Ok(());
        }
        match self.scan.batch(segment, SEGMENT_HEADER_LEN as u64).await? {
            Found::Batch(batch) if batch.header.number >= self.state.next_batch => {
                let text = "its header is not whole, though its first batch is";
                Err(StartError::damaged(FileId::Segment(segment), 0, text))
            }
            _ => Ok(()),
        }
    }

    /// Whether the index of a sealed segment stands here.
    async fn is_index(&mut self, segment: u64, offset: u64) -> Result<bool, StartError> {
        if offset == 0 {
            return Ok(false);
        }
        let file_len = self.files.segments.get(&segment).copied().unwrap_or(0);
        let bytes = self.scan.bytes(segment, offset, PART_HEADER_LEN as u64).await?;
        let Some(count) = part_count(&bytes) else { return Ok(false) };
        let len = part_len(count) as u64;
        if len > file_len - offset {
            return Ok(false);
        }
        let bytes = self.scan.bytes(segment, offset, len).await?;
        Ok(decode_part(&bytes, identity(self.state.node, segment), offset).is_some())
    }

    /// The file, and the offset in it, at which the next batch is most likely to have been.
    fn suspect(&self, place: Option<(u64, u64)>, is_cut: bool) -> (FileId, u64) {
        let next = match place {
            Some((segment, _)) => segment + 1,
            None => self.state.next_segment,
        };
        let is_next_first =
            self.headers.get(&next).map(|header| header.first == self.state.next_batch);
        match (place, is_next_first) {
            (Some((segment, end)), _) if is_cut => (FileId::Segment(segment), end),
            (Some((segment, end)), Some(false)) => (FileId::Segment(segment), end),
            (_, Some(true)) => (FileId::Segment(next), SEGMENT_HEADER_LEN as u64),
            _ => (FileId::Segment(next), 0),
        }
    }

    /// Takes in the batches that may be in the system's memory only, as if their messages were in
    /// a new segment, and makes that segment.
    fn copy_pending(&mut self) -> Result<Option<NewSegment>, StartError> {
        let (Some(first), Some(last)) = (self.pending.front(), self.pending.back()) else {
            return Ok(None);
        };
        let (number, durable) = (last.header.number, first.header.number - 1);
        let segment = self.state.next_segment;
        let epoch = self.state.epoch.saturating_add(1);
        let mut copies = Copies::new(self.state.node, segment, epoch);
        for batch in core::mem::take(&mut self.pending) {
            for (was_at, record, body) in batch.records() {
                let what = (record.kind, record.flags);
                let error =
                    |text| StartError::damaged(FileId::Segment(batch.segment), was_at, text);
                let mut index = Index::new();
                let offset = copies.next_offset();
                self.apply(what, &body, segment, offset, &mut index)
                    .map_err(|Inconsistent(text)| error(text))?;
                if !index.is_empty() {
                    let places = message_places(record.flags, &body).into_iter().flatten();
                    let too_long = || error("the log's end is too long to be copied");
                    copies.put(what, places, &[&body]).ok_or_else(too_long)?;
                }
            }
        }
        if !self.state.segments.contains_key(&segment) {
            return Ok(None);
        }
        self.state.next_segment += 1;
        Ok(Some(copies.finish(number, durable)))
    }

    /// Whether numbers are left for what comes next. A new checkpoint gets one above all others.
    fn check_room(&self, place: Option<(u64, u64)>) -> Result<(), StartError> {
        let highest = self.files.checkpoints.keys().next_back().copied();
        let (file, offset) = match (place, highest) {
            (_, Some(number)) if number >= NUMBER_FREE_MAX => (FileId::Checkpoint(number), 0),
            (Some((segment, end)), _) => (FileId::Segment(segment), end),
            (None, _) => (FileId::Checkpoint(self.state.next_batch), 0),
        };
        let highest = highest.unwrap_or(0);
        self.state
            .check_room(highest)
            .map_err(|Inconsistent(text)| StartError::damaged(file, offset, text))
    }

    /// Whether the segments of which messages are alive are all there, as long as they should be.
    fn check_segments(&self, old_segments: u64) -> Result<(), StartError> {
        for (number, segment) in self.state.segments.range(..old_segments) {
            let file = FileId::Segment(*number);
            let SegmentFact { len, .. } = segment.fact;
            match self.files.segments.get(number) {
                None => return Err(StartError::damaged(file, 0, "it is missing")),
                Some(found) if *found < len => {
                    return Err(StartError::damaged(file, *found, "it is cut off"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
