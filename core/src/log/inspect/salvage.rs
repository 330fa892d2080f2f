//! Keeping what is whole of a damaged data directory.
//!
//! First everything is read: which messages live, and where. Then messages of segments that are not
//! whole are copied to new ones, and a checkpoint is written that names only what is whole. Nothing
//! that was there is changed, and nothing is deleted before that checkpoint is durable.

mod base;
mod messages;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use self::base::Base;
use self::messages::{Location, Messages};
use super::check::check;
use super::survey::{Piece, Record, Survey};
use super::{
    CheckReport, Loss, LostMessages, Problem, Problems, SECTOR_LEN, SalvageReport, read_whole,
};
use crate::FileId;
use crate::log::codec::{kind, message_flag, message_places};
use crate::log::fact::{Fact, Place, QueueNumber, SegmentFact};
use crate::log::format::{
    COPY, IndexEntry, RECORD_HEADER_LEN, RecordHeader, decode_part, identity,
};
use crate::log::recovery::StartError;
use crate::log::recovery::base::Files;
use crate::log::recovery::commit::{Parts, note_parts, write_checkpoint, write_copy};
use crate::log::recovery::copies::{Copies, NewSegment};
use crate::log::recovery::scan::is_zero;
use crate::log::state::{Inconsistent, State, check_room};
use crate::log::task::Disk;

pub(super) async fn salvage(disk: Disk) -> Result<SalvageReport, StartError> {
    let report = check(disk.clone()).await?;
    if let Some(error @ StartError::Newer { .. }) = report.refusal {
        return Err(error);
    }
    if report.is_clean() {
        let CheckReport { queues, exchanges, policies, bindings, messages, values, .. } = report;
        return Ok(SalvageReport {
            queues,
            exchanges,
            policies,
            bindings,
            messages,
            values,
            ..SalvageReport::default()
        });
    }
    let files = Files::list(&disk).await?;
    // What cannot be read is damaged like what is not whole.
    let mut unread = Problems::default();
    let base = base::choose(&disk, &files, &mut unread).await?;
    let mut gathering = Gathering::new(&disk, &files, base);
    gathering.read_segments(&mut unread).await?;
    gathering.replay(&mut unread).await?;
    gathering.note_lost_messages();
    for Problem { file, offset, text } in unread.into_list() {
        gathering.lose(file, offset..offset + SECTOR_LEN, &text, Vec::new());
    }
    gathering.write().await
}

/// A batch that the checkpoint does not contain, or what is left of it.
struct TailPiece {
    number: u64,
    segment: u64,
    is_whole: bool,
    /// Whether it is of a segment of copies: messages that lived when this batch was the last.
    is_copy: bool,
    piece: Piece,
}

/// A segment that can stay as it is.
struct Whole {
    fact: SegmentFact,
    /// Its index: where the part of each queue is, and its entries.
    parts: BTreeMap<u64, (u32, Vec<IndexEntry>)>,
}

struct Gathering<'a> {
    disk: &'a Disk,
    files: &'a Files,
    base: State,
    /// Whether the checkpoint that it began with is whole.
    is_complete: bool,
    /// Whether batches are lost that no checkpoint contains.
    is_tail_damaged: bool,
    messages: Messages,
    tail: Vec<TailPiece>,
    whole: BTreeMap<u64, Whole>,
    losses: Vec<Loss>,
    epoch: u32,
    /// The highest numbers of batches that were seen: of all, and of those that were durable.
    highest: u64,
    durable: u64,
}

impl<'a> Gathering<'a> {
    fn new(disk: &'a Disk, files: &'a Files, base: Base) -> Self {
        let Base { state, is_complete, losses } = base;
        Self {
            disk,
            files,
            is_complete,
            is_tail_damaged: false,
            epoch: state.epoch,
            messages: Messages::new(state.clone()),
            base: state,
            tail: Vec::new(),
            whole: BTreeMap::new(),
            losses,
            highest: 0,
            durable: 0,
        }
    }

    async fn read(&self, segment: u64, unread: &mut Problems) -> Result<Bytes, StartError> {
        let len = self.files.segments.get(&segment).copied().unwrap_or(0);
        read_whole(self.disk, FileId::Segment(segment), len, unread).await
    }

    fn identity(&self, segment: u64) -> u64 {
        identity(self.base.node, segment)
    }

    /// Looks at every segment: which messages of the checkpoint are there, and what stands behind
    /// it.
    async fn read_segments(&mut self, unread: &mut Problems) -> Result<(), StartError> {
        for &segment in self.files.segments.keys() {
            let bytes = self.read(segment, unread).await?;
            let is_of_base = self.base.segments.contains_key(&segment);
            if is_zero(&bytes) && !is_of_base {
                continue;
            }
            let data_end = self.base.segments.get(&segment).map(|state| state.fact.data_end);
            let survey = Survey::new(&bytes, segment, self.identity(segment), data_end);
            self.take_segment(segment, &bytes, survey);
        }
        let missing: Vec<u64> = self.base.segments.keys().copied().collect();
        for segment in missing {
            if !self.files.segments.contains_key(&segment) {
                let len = self.base.segments[&segment].fact.len;
                let messages = self.lost_extents(segment);
                self.lose(FileId::Segment(segment), 0..len, "the segment is missing", messages);
            }
        }
        Ok(())
    }

    fn take_segment(&mut self, segment: u64, bytes: &Bytes, mut survey: Survey) {
        let file = FileId::Segment(segment);
        self.epoch = survey.header.map_or(self.epoch, |header| self.epoch.max(header.epoch));
        let is_copy = survey.header.is_some_and(|header| header.first == COPY);
        let headers = survey.pieces.iter().filter_map(|piece| piece.header);
        for header in headers {
            self.epoch = self.epoch.max(header.epoch);
            self.highest = self.highest.max(header.number);
            if !is_copy {
                self.durable = self.durable.max(header.durable);
            }
        }
        if survey.is_sealed_and_whole() {
            self.note_whole(segment, bytes, &survey);
        }
        let is_of_base = self.base.segments.contains_key(&segment);
        let rest = survey.rest_as_piece(bytes, self.identity(segment));
        let first = survey.header.map(|header| header.first).filter(|first| *first != COPY);
        let mut number = first.unwrap_or(self.base.next_batch).saturating_sub(1);
        for piece in survey.pieces.drain(..) {
            number = piece.header.map_or(number.saturating_add(1), |header| header.number);
            if is_of_base || number < self.base.next_batch {
                self.take_stored(segment, bytes, &piece);
                if is_of_base || !self.is_complete {
                    for damage in piece.damage {
                        self.lose(file, damage, "bytes that are no whole record", Vec::new());
                    }
                }
            } else if !is_copy || !self.is_complete {
                // Copies that a whole checkpoint does not name were made by a start that was cut
                // off: what they are copies of is there.
                let is_whole = piece.header.is_some() && piece.damage.is_empty();
                self.tail.push(TailPiece { number, segment, is_whole, is_copy, piece });
            }
        }
        if let Some(piece) = rest.filter(|_| !is_of_base && !is_copy) {
            let number = number.saturating_add(1);
            self.tail.push(TailPiece { number, segment, is_whole: false, is_copy, piece });
        }
        if is_of_base {
            self.find_lost(segment, bytes);
        }
    }

    /// Takes note of a segment that can stay.
    fn note_whole(&mut self, segment: u64, bytes: &Bytes, survey: &Survey) {
        let identity = self.identity(segment);
        let mut parts = BTreeMap::new();
        for part in survey.index.iter().flatten() {
            let whole = decode_part(&bytes[part.offset as usize..], identity, part.offset);
            let (Some((_, entries)), Ok(offset)) = (whole, u32::try_from(part.offset)) else {
                return;
            };
            parts.insert(part.queue, (offset, entries.collect()));
        }
        let numbers = survey.pieces.iter().filter_map(|piece| piece.header);
        let last = numbers.map(|header| header.number).max().unwrap_or(0);
        let fact =
            SegmentFact { segment, data_end: survey.data_end, len: bytes.len() as u64, last };
        self.whole.insert(segment, Whole { fact, parts });
    }

    /// Takes in messages that stand in a segment of the checkpoint: those that it says are alive,
    /// and those of queues of which it says nothing any more.
    fn take_stored(&mut self, segment: u64, bytes: &Bytes, piece: &Piece) {
        for record in &piece.records {
            for (place, location) in places(segment, record, bytes) {
                let queue = self.base.queues.get(&place.queue);
                let is_live = match queue {
                    Some(queue) if self.is_complete || queue.next_position > 0 => {
                        let extent = queue.extents.at_or_after(place.position);
                        extent.is_some_and(|extent| {
                            extent.segment == segment && extent.is_live(place.position)
                        })
                    }
                    _ => !self.is_complete,
                };
                if is_live {
                    self.messages.put(place, location);
                }
                if !self.is_complete {
                    let state = &mut self.messages.state;
                    state.next_queue = state.next_queue.max(place.queue.0.saturating_add(1));
                }
            }
        }
    }

    /// Which messages should be alive in a segment of the checkpoint, and are not whole.
    fn find_lost(&mut self, segment: u64, bytes: &Bytes) {
        let identity = self.identity(segment);
        let mut unknown = Vec::new();
        for (number, queue) in &self.base.queues {
            let found = self.messages.queues.entry(number.0).or_default();
            for extent in queue.extents.iter().filter(|extent| extent.segment == segment) {
                let live = found.live.range(extent.first..=extent.last);
                let count = live.filter(|(_, location)| location.segment == segment).count() as u64;
                if count >= u64::from(extent.live) {
                    continue;
                }
                let offset = u64::from(extent.index_offset);
                let part = bytes.get(extent.index_offset as usize..);
                let part = part.and_then(|part| decode_part(part, identity, offset));
                let Some((_, entries)) = part.filter(|(of, _)| *of == number.0) else {
                    unknown.push((number.0, extent.first, extent.last, extent.live - count as u32));
                    continue;
                };
                for IndexEntry { position, offset, len } in entries {
                    if extent.is_live(position) && !found.live.contains_key(&position) {
                        found.lost.insert(position, Location { segment, offset, len });
                    }
                }
            }
        }
        if unknown.is_empty() {
            return;
        }
        let messages = unknown.into_iter().map(|(queue, first, last, count)| LostMessages {
            queue: self.messages.name(queue),
            first,
            last,
            count: Some(count.into()),
        });
        let messages = messages.collect();
        let text = "messages that are not whole, and of which the index is not either";
        self.lose(FileId::Segment(segment), 0..bytes.len() as u64, text, messages);
    }

    /// What is lost with a whole segment of the checkpoint.
    fn lost_extents(&self, segment: u64) -> Vec<LostMessages> {
        let queues = self.base.queues.iter();
        let extents = queues
            .flat_map(|(number, queue)| queue.extents.iter().map(move |extent| (number.0, extent)));
        extents
            .filter(|(_, extent)| extent.segment == segment)
            .map(|(queue, extent)| LostMessages {
                queue: self.messages.name(queue),
                first: extent.first,
                last: extent.last,
                count: Some(extent.live.into()),
            })
            .collect()
    }

    /// Takes in what stands behind the checkpoint, batch by batch. What is left of a batch counts
    /// if the batch was durable; else it was being written when the broker ended.
    async fn replay(&mut self, unread: &mut Problems) -> Result<(), StartError> {
        let mut tail = core::mem::take(&mut self.tail);
        tail.sort_by_key(|piece| (piece.number, piece.is_copy, piece.segment));
        // A batch that was written again counts where it was written last.
        let mut last_whole = BTreeMap::new();
        for piece in tail.iter().filter(|piece| piece.is_whole && !piece.is_copy) {
            last_whole.insert(piece.number, piece.segment);
        }
        tail.retain(|piece| match last_whole.get(&piece.number) {
            _ if piece.is_copy => true,
            Some(segment) => piece.is_whole && piece.segment == *segment,
            None => piece.number <= self.durable,
        });
        let mut next = self.base.next_batch;
        let mut current = (u64::MAX, Bytes::new());
        for TailPiece { number, segment, is_whole, is_copy, piece } in tail {
            let file = FileId::Segment(segment);
            if number > next && next > 0 && !is_copy {
                let text = format!("batches {next} to {} are not there", number - 1);
                self.lose(file, 0..0, &text, Vec::new());
                self.is_tail_damaged = true;
            }
            if !is_whole {
                self.is_tail_damaged = true;
                for damage in &piece.damage {
                    let text = format!("bytes of batch {number} that are no whole record");
                    self.lose(file, damage.clone(), &text, Vec::new());
                }
            }
            if !is_copy {
                next = next.max(number.saturating_add(1));
            }
            if current.0 != segment {
                current = (segment, self.read(segment, unread).await?);
            }
            for record in &piece.records {
                self.take_record(segment, record, &current.1);
            }
        }
        if next <= self.durable {
            let text = format!("batches {next} to {} are not there", self.durable);
            let segment = self.files.segments.keys().next_back().copied().unwrap_or(0);
            self.lose(FileId::Segment(segment), 0..0, &text, Vec::new());
            self.is_tail_damaged = true;
        }
        Ok(())
    }

    fn take_record(&mut self, segment: u64, record: &Record, bytes: &Bytes) {
        if record.header.kind == kind::MESSAGE {
            let is_anything_lost = self.is_tail_damaged || !self.is_complete;
            for (place, location) in places(segment, record, bytes) {
                self.messages.publish(place, location, is_anything_lost);
            }
        } else {
            let body = record.body(bytes);
            let fact = Fact::decode(record.header.kind, record.header.flags, &body);
            let applied = match fact {
                Some(fact) => self.messages.apply(fact),
                None => Err(Inconsistent("a record says nothing")),
            };
            if let Err(Inconsistent(text)) = applied {
                let file = FileId::Segment(segment);
                self.lose(file, record.offset..record.end(), text, Vec::new());
            }
        }
    }

    fn lose(
        &mut self,
        file: FileId,
        range: core::ops::Range<u64>,
        text: &str,
        messages: Vec<LostMessages>,
    ) {
        let text = text.into();
        self.losses.push(Loss { file, from: range.start, to: range.end, text, messages });
    }

    /// Messages that are known to be lost, each with its place.
    fn note_lost_messages(&mut self) {
        let mut losses = Vec::new();
        for (number, queue) in &self.messages.queues {
            for (&position, location) in &queue.lost {
                let lost = LostMessages {
                    queue: self.messages.name(*number),
                    first: position,
                    last: position,
                    count: Some(1),
                };
                losses.push(Loss {
                    file: FileId::Segment(location.segment),
                    from: location.offset.into(),
                    to: u64::from(location.offset) + u64::from(location.len),
                    text: "a message that is not whole".into(),
                    messages: vec![lost],
                });
            }
        }
        self.losses.extend(losses);
    }

    /// Writes the new state and deletes what it does not need.
    ///
    /// # Errors
    /// When no numbers are left for what comes next: nothing is written then. Or when the disk
    /// refuses.
    async fn write(mut self) -> Result<SalvageReport, StartError> {
        let unnamed_queues = self.messages.declare_unnamed();
        let highest_file = self.files.segments.keys().next_back();
        let mut next_segment =
            highest_file.map_or(0, |highest| highest + 1).max(self.base.next_segment);
        let checkpoints = self.files.checkpoints.keys().next_back().copied().unwrap_or(0);
        let highest = self.highest.max(checkpoints).max(self.base.next_batch);
        let next_batch = highest + 1;
        let epoch = self.epoch.saturating_add(1);
        let live = self.live_by_segment();
        let numbers = [next_batch + 1, next_segment + live.len() as u64];
        check_room(self.messages.next_numbers().chain(numbers)).map_err(|Inconsistent(text)| {
            StartError::damaged(FileId::Checkpoint(self.base.next_batch), 0, text)
        })?;
        let mut copied = 0;
        let mut new_segments = Vec::new();
        for (segment, live) in live {
            if self.can_stay(segment, &live) {
                continue;
            }
            // Damage that cannot be read was noted before.
            let bytes = self.read(segment, &mut Problems::default()).await?;
            let mut copies = Copies::new(self.base.node, next_segment, epoch);
            copied += self.copy(&bytes, live, next_segment, &mut copies) as u64;
            // It is written at once: only one at a time is in memory.
            let copy = copies.finish(highest, highest.saturating_sub(1));
            new_segments.push(self.write_segment(copy).await?);
            next_segment += 1;
        }
        let is_anything_lost = self.is_tail_damaged || !self.is_complete;
        let mut state = self.messages.into_state(is_anything_lost);
        (state.epoch, state.next_batch, state.next_segment) = (epoch, next_batch, next_segment);
        let mut parts = Parts::new();
        for (fact, part) in new_segments {
            state.set_segment(fact);
            parts.extend(part);
        }
        for (segment, whole) in self.whole {
            if state.segments.contains_key(&segment) {
                state.set_segment(whole.fact);
                parts.extend(whole.parts.into_iter().map(|(queue, (offset, entries))| {
                    ((segment, queue), (offset, entries.len() as u32))
                }));
            }
        }
        note_parts(&mut state, &parts);
        write_checkpoint(self.disk, &state).await?;
        for number in self.files.checkpoints.keys() {
            self.disk.delete(FileId::Checkpoint(*number)).await?;
        }
        for number in self.files.segments.keys() {
            if !state.segments.contains_key(number) {
                self.disk.delete(FileId::Segment(*number)).await?;
            }
        }
        self.disk.sync_dir().await?;
        self.losses.sort_by_key(|loss| (loss.file, loss.from, loss.to));
        Ok(SalvageReport {
            is_changed: true,
            losses: self.losses,
            queues: state.queue_count() as u64,
            unnamed_queues,
            exchanges: state.exchanges.len() as u64,
            policies: state.policies.len() as u64,
            bindings: state.bindings().len() as u64,
            messages: state.queues.values().map(|queue| queue.extents.live()).sum(),
            values: state.seen_count(),
            copied,
        })
    }

    /// Live messages, by segment and offset, with their places.
    fn live_by_segment(&self) -> BTreeMap<u64, BTreeMap<u32, Vec<Place>>> {
        let mut segments = BTreeMap::<u64, BTreeMap<u32, Vec<Place>>>::new();
        for (number, queue) in &self.messages.queues {
            for (&position, location) in &queue.live {
                let place = Place { queue: QueueNumber(*number), position };
                let records = segments.entry(location.segment).or_default();
                records.entry(location.offset).or_default().push(place);
            }
        }
        segments
    }

    /// Whether a segment is whole, and its index has all these messages as they stand there.
    fn can_stay(&self, segment: u64, live: &BTreeMap<u32, Vec<Place>>) -> bool {
        let Some(whole) = self.whole.get(&segment) else { return false };
        live.iter().all(|(offset, places)| {
            places.iter().all(|place| {
                let queue = self.messages.queues.get(&place.queue.0);
                let location = queue.and_then(|queue| queue.live.get(&place.position));
                let Some(len) = location.map(|location| location.len) else { return false };
                whole.parts.get(&place.queue.0).is_some_and(|(_, entries)| {
                    let at = entries.binary_search_by_key(&place.position, |entry| entry.position);
                    at.is_ok_and(|at| (entries[at].offset, entries[at].len) == (*offset, len))
                })
            })
        })
    }

    /// Copies messages out of the bytes of their segment. How many.
    fn copy(
        &mut self,
        bytes: &Bytes,
        live: BTreeMap<u32, Vec<Place>>,
        to: u64,
        copies: &mut Copies,
    ) -> usize {
        let mut copied = 0;
        for (offset, places) in live {
            let Some(record) = bytes.get(offset as usize..) else { continue };
            let Some(header) = RecordHeader::peek(record) else { continue };
            let record = Record { offset: offset.into(), header };
            let body = record.body(bytes);
            let Some(were) = message_places(header.flags, &body) else { continue };
            let mut head = BytesMut::new();
            head.put_u32_le(places.len() as u32);
            for place in &places {
                head.put_u64_le(place.queue.0);
                head.put_u64_le(place.position);
            }
            let rest = &body[4 + 16 * were.len()..];
            let location = Location {
                segment: to,
                offset: copies.next_offset() as u32,
                len: (RECORD_HEADER_LEN + head.len() + rest.len()) as u32,
            };
            let what = (header.kind, header.flags);
            if copies.put(what, places.iter().copied(), &[&head, rest]).is_none() {
                continue;
            }
            copied += places.len();
            for place in places {
                self.messages.put(place, location);
            }
        }
        copied
    }

    /// Makes a segment of copies durable.
    async fn write_segment(&self, copy: NewSegment) -> Result<(SegmentFact, Parts), StartError> {
        let mut parts = Parts::new();
        let fact = write_copy(self.disk, self.base.node, &mut parts, copy).await?;
        Ok((fact, parts))
    }
}

/// The places of a message that lasts, and where it is.
fn places(
    segment: u64,
    record: &Record,
    bytes: &Bytes,
) -> impl Iterator<Item = (Place, Location)> + use<> {
    let is_message = record.header.kind == kind::MESSAGE
        && record.header.flags & message_flag::VOLATILE == 0
        && u32::try_from(record.offset).is_ok();
    let body = record.body(bytes);
    let places: Vec<Place> = match message_places(record.header.flags, &body) {
        Some(places) if is_message => places.collect(),
        _ => Vec::new(),
    };
    let location = Location { segment, offset: record.offset as u32, len: record.header.len };
    places.into_iter().map(move |place| (place, location))
}
