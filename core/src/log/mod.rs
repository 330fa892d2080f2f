//! The log: facts on disk, and what the broker's durable state is the sum of.
//!
//! Owns the batch that gathers and the one that is being written, the segments, the checkpoints,
//! and the gate: which batch is durable. `FORMAT.md` has every byte. What a message's place in a
//! segment means for its queue is the engine's; it is told by [`Log`] where things went.
//!
//! One batch is written and synced at a time. Everything that is noted meanwhile gathers for the
//! next. Sealing a segment, checkpoints and deletions go on beside it, in a lane of their own, and
//! begin only when what they rest on is durable.

mod access;
mod batch;
mod checkpoint;
mod codec;
mod deadlines;
mod extents;
mod fact;
mod format;
mod inspect;
#[cfg(test)]
mod memory_disk;
mod metering;
mod recovery;
mod sealing;
mod segments;
mod space;
mod state;
mod task;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

pub(crate) use access::AccessState;
pub(crate) use batch::{Batch, Encoder, Item, PendingMessage, Spot, Spots, TimedRuns};
pub(crate) use codec::{message as decode_message, message_flag};
pub(crate) use deadlines::Deadlines;
pub(crate) use extents::{Extent, Extents};
pub(crate) use fact::{
    Bound, Dropped, ExchangeFact, Fact, LaneFact, MessagesFact, Place, PolicyFact, QueueFact,
    QueueNumber, SeenFact, SeenValue, SegmentFact, Target, Timed, Witness, gaps,
};
pub(crate) use format::{IndexEntry, RecordHeader, decode_part, part_len, put_part};
pub use inspect::{Basis, Check, CheckReport, Loss, LostMessages, Problem, Salvage, SalvageReport};
use metering::LogMeters;
pub use recovery::{Progress, Recovery, RecoveryOutput, StartError};
use sealing::Sealing;
pub(crate) use segments::{Segment, Segments};
pub(crate) use state::{QueueState, SeenState, State};
pub use task::DiskMachine;

use crate::broker::QueueId;
use crate::marks::Marks;
use crate::{
    DiskError, DiskOp, DiskRequest, DiskResult, FileId, Instant, Lane, Mark, MarkCounts, OpId,
};

/// Memory for so many things that were noted is used again for the next batch.
const ITEMS_KEPT: usize = 4096;

/// A batch's number: what rests on it is durable once it is.
pub(crate) type BatchNumber = u64;

/// The number of the first item that this broker notes. Before it: 0 stands for what the log does
/// not have, 1 for what it had before the start.
const FIRST_ITEM: u64 = 2;

/// No segment grows beyond this many bytes, whatever hinders its being sealed.
const SEGMENT_LEN_MAX: u64 = 1 << 30;

/// What nobody waits for, acknowledgements above all, gathers for so long or until it is so many
/// bytes: each write has its price.
const LAZY_TIME: Duration = Duration::from_millis(10);
const LAZY_LEN_MAX: usize = 256 << 10;

/// What an operation was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    WriteBatch,
    SyncBatch,
    /// Makes the next segment.
    CreateSpare,
    SyncSpare,
    /// Of the sealing that is under way: the index, its sync, other steps, their syncs, the end.
    WriteIndex,
    SyncIndex,
    Seal,
    SealSync,
    SealEnd,
    /// Of a sealed segment: its place in the system's memory is better used for others.
    DropCache,
    /// Of something that nothing needs any more.
    Delete,
    /// It is durable that it is gone.
    DeleteEnd,
    /// The engine's: for the queue in this slot, asked for as its reader's request of this number.
    ReadQueue(QueueId, u64),
    /// For copying survivors.
    ReadSurvivors,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: u64,
    pub(crate) identity: u64,
    /// Where the next batch begins.
    pub(crate) offset: u64,
    /// The number of its last batch.
    pub(crate) last: BatchNumber,
    /// Queues with messages in it.
    pub(crate) queues: Vec<QueueId>,
}

/// The batch that is being written.
#[derive(Debug)]
struct InFlight {
    number: BatchNumber,
    segment: u64,
    /// Kept until it is durable: it may have to be written once more, elsewhere.
    batch: Batch,
    start: u64,
    /// Whether the write failed.
    is_failed: bool,
}

/// Where a batch could not be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedWrite {
    pub(crate) segment: u64,
    /// Where the batch was to begin: the segment ends here.
    pub(crate) start: u64,
    number: BatchNumber,
}

/// The next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    None,
    Creating,
    /// It could not be made; what else belongs to the attempt is still under way.
    Failed,
    Ready,
}

/// The checkpoint that a start would use.
#[derive(Clone, Copy, Debug)]
struct LastCheckpoint {
    next_batch: BatchNumber,
    len: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Log {
    /// Without a disk, everything counts as durable at once, and nothing outlives the broker.
    is_enabled: bool,
    node: u64,
    epoch: u32,
    segment_len: u64,
    disk_free_min: u64,
    next_op: u64,
    requests: VecDeque<DiskRequest>,
    under_way: BTreeMap<OpId, (Purpose, Option<FileId>)>,
    pub(crate) pending: Batch,
    in_flight: Option<InFlight>,
    /// What was in the last batch that is durable, until the engine has looked at it; then the
    /// memory for what comes.
    pub(crate) done_with: Vec<Item>,
    /// A batch that could not be written, with its number: it goes before the pending one.
    unwritten: Option<(BatchNumber, Batch)>,
    /// The segment that it could not be written to, as long as that is not sealed before it.
    failed: Option<FailedWrite>,
    /// The number of the batch that gathers.
    next_batch: BatchNumber,
    durable: BatchNumber,
    /// The last batch that changes topology.
    topology: BatchNumber,
    pub(crate) next_queue: u64,
    pub(crate) segments: Segments,
    active: Option<Active>,
    next_segment: u64,
    spare: Spare,
    sealing: Option<Sealing>,
    checkpoint: LastCheckpoint,
    /// Bytes written since the last checkpoint was made.
    written: u64,
    /// Whether a file could not be made for want of space.
    is_full: bool,
    /// Whether the disk refused something, for whatever reason: it is left alone for a while.
    is_troubled: bool,
    /// Whether the free space was reported since then: what failed is tried again as soon as all
    /// of that attempt is over.
    is_reported: bool,
    is_short: bool,
    /// How many bytes are free, by the last report.
    free: Option<u64>,
    /// What the disk refused, for those who run the broker.
    complaints: Vec<String>,
    halt: Option<String>,
    closing: Closing,
    pub(crate) meters: LogMeters,
    /// The whole broker's.
    pub(crate) marks: Marks,
}

/// How far the log is with being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    Wanted,
    Done,
}

/// What the engine is to do about a finished operation.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Nothing.
    None,
    /// A batch is durable.
    Durable,
    /// A segment's index is in its file.
    Sealed,
    /// For a queue's reader.
    ReadQueue(QueueId, u64, Bytes),
    /// For copying survivors.
    ReadSurvivors(Bytes),
}

impl Log {
    /// A log of a broker without a disk.
    pub(crate) fn disabled() -> Self {
        Self {
            is_enabled: false,
            node: 0,
            epoch: 0,
            segment_len: 0,
            disk_free_min: 0,
            next_op: 0,
            requests: VecDeque::new(),
            under_way: BTreeMap::new(),
            pending: Batch::default(),
            in_flight: None,
            done_with: Vec::new(),
            unwritten: None,
            failed: None,
            next_batch: 1,
            durable: 0,
            topology: 0,
            next_queue: 0,
            segments: Segments::default(),
            active: None,
            next_segment: 0,
            spare: Spare::None,
            sealing: None,
            checkpoint: LastCheckpoint { next_batch: 1, len: 0 },
            written: 0,
            is_full: false,
            is_troubled: false,
            is_reported: false,
            is_short: false,
            free: None,
            complaints: Vec::new(),
            halt: None,
            closing: Closing::Open,
            meters: LogMeters::default(),
            marks: Marks::default(),
        }
    }

    /// The log behind a state that was recovered; these marks were reached on the way to it.
    pub(crate) fn recovered(
        config: &crate::Config,
        state: &State,
        next_op: u64,
        marks: &MarkCounts,
    ) -> Self {
        let mut segments = Segments::default();
        for segment in state.segments.values() {
            segments.restore(&segment.fact, segment.live, segment.bytes);
        }
        let mut log = Self {
            is_enabled: true,
            node: state.node,
            epoch: state.epoch,
            segment_len: u64::from(config.segment_len.max(4096)),
            disk_free_min: config.disk_free_min,
            next_op,
            pending: Batch::new(FIRST_ITEM, 0),
            next_batch: state.next_batch,
            durable: state.next_batch - 1,
            next_queue: state.next_queue,
            next_segment: state.next_segment,
            segments,
            checkpoint: LastCheckpoint { next_batch: state.next_batch, len: 0 },
            marks: Marks::from_counts(marks),
            ..Self::disabled()
        };
        log.make_spare();
        log.delete_dead();
        log
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// The batch that what is noted now belongs to.
    pub(crate) fn position(&self) -> BatchNumber {
        self.next_batch
    }

    /// The last batch that is durable, with all before it.
    pub(crate) fn durable(&self) -> BatchNumber {
        if self.is_enabled { self.durable } else { BatchNumber::MAX }
    }

    /// The batch that all that was noted so far rests on.
    pub(crate) fn noted(&self) -> BatchNumber {
        self.next_batch - u64::from(self.pending.is_empty())
    }

    /// The last batch that changes topology.
    pub(crate) fn topology(&self) -> BatchNumber {
        self.topology
    }

    /// The number of a new queue.
    pub(crate) fn number_queue(&mut self) -> QueueNumber {
        self.next_queue += 1;
        QueueNumber(self.next_queue - 1)
    }

    /// Notes a fact of the topology.
    pub(crate) fn note_topology(&mut self, fact: Fact) {
        if self.is_enabled {
            self.topology = self.next_batch;
            self.pending.push(Item::Fact(fact));
        }
    }

    /// Notes a fact.
    pub(crate) fn note(&mut self, fact: Fact) {
        if self.is_enabled {
            self.pending.push(Item::Fact(fact));
        }
    }

    /// The segment to be cleaned next, if all together have more than `ratio` times the bytes that
    /// live, and `segments` segments' length besides.
    pub(crate) fn sparsest(&self, ratio: u64, segments: u64) -> Option<u64> {
        self.segments.sparsest(ratio, segments * self.segment_len)
    }

    /// What the disk refused since this was asked last.
    pub(crate) fn take_complaints(&mut self) -> Vec<String> {
        core::mem::take(&mut self.complaints)
    }

    /// Why nothing goes on any more.
    pub(crate) fn halted(&self) -> Option<&str> {
        self.halt.as_deref()
    }

    /// Stops everything.
    pub(crate) fn halt(&mut self, reason: String) {
        self.requests.clear();
        self.halt.get_or_insert(reason);
    }

    pub(crate) fn poll_request(&mut self) -> Option<DiskRequest> {
        self.requests.pop_front()
    }

    /// The batch that gathers is to be written as soon as possible: someone waits for it.
    pub(crate) fn urge(&mut self) {
        self.pending.is_urgent = true;
    }

    /// Whether a batch can be written now, and there is a reason to: someone waits for it, or it
    /// has gathered for long enough, or much.
    pub(crate) fn wants_writing(&mut self, now: Instant) -> bool {
        if !self.can_write() {
            return false;
        }
        let since = *self.pending.since.get_or_insert(now);
        let is_urgent = self.pending.is_urgent
            || self.pending.len >= LAZY_LEN_MAX
            || self.unwritten.is_some()
            || self.closing == Closing::Wanted;
        let is_due = !is_urgent && now >= since + LAZY_TIME;
        if is_due {
            self.marks.reach(Mark::LazyBatch);
        }
        is_urgent || is_due
    }

    /// When the batch that gathers is to be written though nobody waits for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let since = self.pending.since.filter(|_| self.can_write())?;
        Some(since + LAZY_TIME)
    }

    fn can_write(&self) -> bool {
        self.is_enabled
            && self.halt.is_none()
            && !self.is_troubled
            && self.in_flight.is_none()
            && self.failed.is_none()
            && (self.unwritten.is_some() || !self.pending.is_empty())
            && match &self.active {
                Some(active) => active.offset < SEGMENT_LEN_MAX,
                None => self.spare == Spare::Ready,
            }
    }

    /// The segment that the next batch goes to. Only when [`Self::can_write`].
    pub(crate) fn open_segment(&mut self) -> &mut Active {
        if self.active.is_none() {
            let segment = self.next_segment;
            self.next_segment += 1;
            self.spare = Spare::None;
            self.active = Some(Active {
                segment,
                identity: format::identity(self.node, segment),
                offset: 0,
                last: 0,
                queues: Vec::new(),
            });
            self.make_spare();
        }
        self.active.as_mut().expect("made just now")
    }

    /// The segment that is written to, if there is one.
    pub(crate) fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    pub(crate) fn active_mut(&mut self) -> Option<&mut Active> {
        self.active.as_mut()
    }

    pub(crate) fn sealing(&self) -> Option<&Sealing> {
        self.sealing.as_ref()
    }

    pub(crate) fn identity(&self, segment: u64) -> u64 {
        format::identity(self.node, segment)
    }

    /// Up to where a segment can be read: what is behind is being written.
    pub(crate) fn written(&self, segment: u64) -> u64 {
        let in_flight = self.in_flight.as_ref().map(|batch| (batch.segment, batch.start));
        let failed = self.failed.map(|failed| (failed.segment, failed.start));
        let mut open = in_flight.into_iter().chain(failed);
        open.find(|(number, _)| *number == segment).map_or(u64::MAX, |(_, start)| start)
    }

    /// Where the records of the next batch begin, in a segment that is open.
    pub(crate) fn batch_offset(active: &Active) -> u64 {
        active.offset.max(format::SEGMENT_HEADER_LEN as u64)
    }

    /// Takes what is to be written next, and its number. Whether it was tried before: then its
    /// messages are where they belong already.
    pub(crate) fn take_batch(&mut self) -> (BatchNumber, Batch, bool) {
        if let Some((number, batch)) = self.unwritten.take() {
            return (number, batch, true);
        }
        let mut next = Batch::new(self.pending.next_item(), self.pending.changes);
        let room = core::mem::take(&mut self.done_with);
        if room.is_empty() && room.capacity() <= ITEMS_KEPT {
            next.items = room;
        }
        let number = self.next_batch;
        self.next_batch += 1;
        (number, core::mem::replace(&mut self.pending, next), false)
    }

    /// Sends a batch to the disk.
    pub(crate) fn write(&mut self, number: BatchNumber, batch: Batch, encoder: Encoder) {
        // One of which nothing is left is written, too: in the log, no number is missing.
        let (durable, epoch) = (self.durable, self.epoch);
        self.meters.records.note(encoder.records());
        let (mut data, len) = encoder.finish(number, durable, epoch);
        let active = self.active.as_mut().expect("open while a batch is encoded");
        let file = FileId::Segment(active.segment);
        let start = active.offset;
        if start == 0 {
            let mut header = BytesMut::with_capacity(format::SEGMENT_HEADER_LEN);
            let fields = format::SegmentHeader {
                node: self.node,
                epoch,
                segment: active.segment,
                first: number,
            };
            fields.encode(active.identity, &mut header);
            data.insert(0, header.freeze());
        }
        active.offset = Self::batch_offset(active) + len;
        active.last = number;
        if active.offset > self.segment_len {
            self.marks.reach(Mark::BatchOverlong);
        }
        self.written += len;
        self.meters.bytes.note(len);
        let segment = active.segment;
        self.in_flight = Some(InFlight { number, segment, batch, start, is_failed: false });
        self.request(Purpose::WriteBatch, Lane::Log, DiskOp::Write { file, offset: start, data });
        self.request(Purpose::SyncBatch, Lane::Log, DiskOp::Sync { file });
    }

    /// Whether the last checkpoint of a log that is to be closed is to be made now.
    pub(crate) fn wants_closing(&self) -> bool {
        self.is_enabled
            && self.closing == Closing::Wanted
            && self.sealing.is_none()
            && self.pending.is_empty()
            && self.unwritten.is_none()
            && (self.active.is_some() || self.written > 0)
    }

    /// A checkpoint of these facts, which are all there is now.
    pub(crate) fn encode_checkpoint(&self, facts: Vec<Fact>) -> Vec<Bytes> {
        let header = format::CheckpointHeader {
            epoch: self.epoch,
            node: self.node,
            next_batch: self.next_batch,
            next_segment: self.next_segment,
            next_queue: self.next_queue,
            len: 0,
            count: 0,
        };
        checkpoint::encode(header, facts)
    }

    /// The facts that a checkpoint has of segments: all that are full, and the one being sealed as
    /// it is going to be, with an index of this length.
    pub(crate) fn segment_facts(&self, index_len: usize) -> Vec<Fact> {
        let fact = |(segment, full): (u64, &Segment)| {
            Fact::Segment(SegmentFact {
                segment,
                data_end: full.data_end,
                len: full.len,
                last: full.last,
            })
        };
        let is_kept = |(number, _): &(u64, &Segment)| !self.segments.is_dead(*number);
        let mut facts: Vec<_> = self.segments.iter().filter(is_kept).map(fact).collect();
        if let Some(active) = &self.active
            && !self.segments.is_dead(active.segment)
        {
            facts.push(Fact::Segment(SegmentFact {
                segment: active.segment,
                data_end: active.offset,
                len: active.offset + index_len as u64,
                last: active.last,
            }));
        }
        facts
    }

    /// Reads for the engine.
    pub(crate) fn read(&mut self, purpose: Purpose, segment: u64, offset: u64, len: u32) {
        self.segments.begin_read(segment);
        if matches!(purpose, Purpose::ReadQueue(..)) {
            self.meters.reads += 1;
            self.meters.read_bytes += u64::from(len);
        }
        let file = FileId::Segment(segment);
        self.request(purpose, Lane::Read, DiskOp::Read { file, offset, len });
    }

    /// Notes how many bytes are free on the disk. What the disk refused is tried again.
    pub(crate) fn set_free(&mut self, free: u64) {
        if !self.is_enabled || self.halt.is_some() {
            return;
        }
        self.free = Some(free);
        self.is_short = free < self.disk_free_min;
        self.is_troubled = false;
        self.is_reported = true;
        self.make_spare();
        self.seal_again();
        self.go_on_sealing();
        self.delete_dead();
    }

    /// The log is to be closed, once nothing is left to be written.
    pub(crate) fn close(&mut self) {
        if self.closing == Closing::Open {
            self.closing = Closing::Wanted;
        }
    }

    /// Whether the log is closed, or cannot be.
    pub(crate) fn is_closed(&self) -> bool {
        !self.is_enabled
            || self.halt.is_some()
            || self.closing == Closing::Done && self.under_way.is_empty()
    }

    /// Goes on with closing, when all else is done.
    pub(crate) fn go_on_closing(&mut self) {
        let is_quiet = self.closing == Closing::Wanted
            && self.pending.is_empty()
            && self.in_flight.is_none()
            && self.unwritten.is_none()
            && self.sealing.is_none()
            && self.active.is_none()
            && self.spare != Spare::Creating;
        if is_quiet {
            self.closing = Closing::Done;
            self.marks.reach(Mark::LogClosed);
            if self.spare == Spare::Ready {
                self.spare = Spare::None;
                self.delete(FileId::Segment(self.next_segment));
            }
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing != Closing::Open
    }

    /// Takes note of what came of a request.
    pub(crate) fn handle(&mut self, id: OpId, result: DiskResult) -> Completion {
        let Some((purpose, file)) = self.under_way.remove(&id) else {
            self.marks.reach(Mark::UnknownRequest);
            return Completion::None;
        };
        if let (Purpose::ReadQueue(..) | Purpose::ReadSurvivors, Some(FileId::Segment(segment))) =
            (purpose, file)
        {
            self.segments.end_read(segment);
        }
        if self.halt.is_some() {
            return Completion::None;
        }
        match (purpose, result) {
            (Purpose::ReadQueue(queue, number), DiskResult::Data(data)) => {
                Completion::ReadQueue(queue, number, data)
            }
            (Purpose::ReadSurvivors, DiskResult::Data(data)) => Completion::ReadSurvivors(data),
            (purpose, DiskResult::Failed(error)) => self.handle_failure(purpose, file, &error),
            (purpose, _) => self.handle_done(purpose),
        }
    }

    fn handle_done(&mut self, purpose: Purpose) -> Completion {
        match purpose {
            Purpose::SyncBatch => return self.end_batch(),
            Purpose::CreateSpare => self.is_full = false,
            Purpose::SyncSpare => {
                self.spare = match self.spare {
                    Spare::Creating => Spare::Ready,
                    _ => Spare::None,
                };
                if self.is_reported {
                    self.make_spare();
                }
            }
            Purpose::WriteIndex => {
                let index = self.sealing.as_ref().and_then(|sealing| sealing.index.as_ref());
                if let Some(index) = index
                    && let Some(segment) = self.segments.get_mut(index.segment)
                {
                    segment.has_index = true;
                }
                return Completion::Sealed;
            }
            Purpose::SyncIndex => self.go_on_behind_index(),
            Purpose::SealEnd => self.end_sealing(),
            Purpose::DeleteEnd => self.delete_dead(),
            _ => {}
        }
        Completion::None
    }

    fn handle_failure(
        &mut self,
        purpose: Purpose,
        file: Option<FileId>,
        error: &DiskError,
    ) -> Completion {
        let name = file.map_or_else(|| "the data directory".into(), |file| format!("{file}"));
        match (purpose, file, &mut self.sealing) {
            // One that could not be made; it is not counted on.
            (Purpose::SealSync, Some(FileId::Checkpoint(_)), Some(sealing))
                if sealing.is_failed =>
            {
                return Completion::None;
            }
            _ => {}
        }
        match purpose {
            Purpose::SyncBatch
            | Purpose::SyncSpare
            | Purpose::SyncIndex
            | Purpose::SealSync
            | Purpose::SealEnd
            | Purpose::DeleteEnd => {
                self.marks.reach(Mark::HaltBySync);
                self.halt(format!("cannot make {name} durable: {error}"));
                return Completion::None;
            }
            Purpose::ReadQueue(..) | Purpose::ReadSurvivors => {
                self.marks.reach(Mark::HaltByRead);
                self.halt(format!("cannot read {name}: {error}"));
                return Completion::None;
            }
            Purpose::WriteBatch => {
                self.marks.reach(Mark::BatchRefused);
                if let Some(in_flight) = &mut self.in_flight {
                    in_flight.is_failed = true;
                }
                self.is_troubled = true;
            }
            Purpose::CreateSpare => {
                self.marks.reach(Mark::SegmentRefused);
                self.spare = Spare::Failed;
                self.is_full = true;
            }
            Purpose::WriteIndex | Purpose::Seal => {
                self.marks.reach(Mark::SealingRefused);
                if let Some(sealing) = &mut self.sealing {
                    sealing.is_failed = true;
                }
                self.is_troubled = true;
            }
            // A hint that was not taken; what is tried again at the next start.
            Purpose::DropCache | Purpose::Delete => {}
        }
        self.is_reported = false;
        self.complaints.push(format!("{name}: {error}"));
        Completion::None
    }

    /// The batch in flight is durable, unless its write failed.
    fn end_batch(&mut self) -> Completion {
        let Some(in_flight) = self.in_flight.take() else { return Completion::None };
        let InFlight { number, segment, batch, start, is_failed } = in_flight;
        if is_failed {
            // What is before it is durable; nothing is to be found behind that.
            self.unwritten = Some((number, batch));
            self.failed = Some(FailedWrite { segment, start, number });
            return Completion::None;
        }
        self.durable = number;
        self.done_with = batch.items;
        self.meters.is_batch_done = true;
        self.go_on_sealing();
        self.delete_dead();
        Completion::Durable
    }

    /// The batch that could not be written, before it is written elsewhere.
    pub(crate) fn unwritten(&mut self) -> Option<&mut Batch> {
        self.unwritten.as_mut().map(|(_, batch)| batch)
    }

    /// The segment that the batch that could not be written is going to be in.
    pub(crate) fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// Makes the next segment, unless it is there.
    fn make_spare(&mut self) {
        if self.spare == Spare::None && self.closing != Closing::Done {
            self.spare = Spare::Creating;
            let (file, len) = (FileId::Segment(self.next_segment), self.segment_len);
            self.request(Purpose::CreateSpare, Lane::Background, DiskOp::Create { file, len });
            self.request(Purpose::SyncSpare, Lane::Background, DiskOp::SyncDir);
        }
    }

    /// Deletes the segments that nothing needs.
    fn delete_dead(&mut self) {
        if self.halt.is_some() {
            return;
        }
        for segment in self.segments.take_dead(self.durable, self.checkpoint.next_batch) {
            self.marks.reach(Mark::SegmentDeleted);
            self.delete(FileId::Segment(segment));
        }
    }

    fn delete(&mut self, file: FileId) {
        self.request(Purpose::Delete, Lane::Background, DiskOp::Delete { file });
    }

    fn request(&mut self, purpose: Purpose, lane: Lane, op: DiskOp) {
        let id = OpId(self.next_op);
        self.next_op += 1;
        let file = match &op {
            DiskOp::Create { file, .. }
            | DiskOp::Write { file, .. }
            | DiskOp::Sync { file }
            | DiskOp::Truncate { file, .. }
            | DiskOp::DropCache { file }
            | DiskOp::Delete { file }
            | DiskOp::Read { file, .. } => Some(*file),
            DiskOp::SyncDir | DiskOp::List => None,
        };
        self.under_way.insert(id, (purpose, file));
        self.requests.push_back(DiskRequest { id, lane, op });
    }
}
