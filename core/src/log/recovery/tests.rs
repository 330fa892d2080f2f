//! Recovery from directories as a broker leaves them: stopped, cut off and damaged anywhere.

pub(in crate::log) mod implausible;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::DiskResult;
use crate::log::checkpoint;
use crate::log::codec::message;
use crate::log::fact::{Bound, Fact};
use crate::log::format::tests::set_version;
use crate::log::format::{
    BATCH_HEADER_LEN, BatchHeader, CheckpointHeader, RECORD_HEADER_LEN, RecordHeader,
    SEGMENT_HEADER_LEN, SegmentHeader, aligned, decode_part, identity, part_len,
};
use crate::log::memory_disk::{MemoryDisk, PAGE, coin};
use crate::log::state::tests::{Model, Step, Story, any_history, told};
use crate::{DiskError, DiskOp};

pub(in crate::log) const NODE: u64 = 77;

/// How long segments are made.
const SEGMENT_LEN: usize = 6000;

/// Drives recovery until it has come to its end, or `ops` requests were carried out.
pub(in crate::log) fn drive(
    disk: &mut MemoryDisk,
    ops: usize,
) -> Option<(Result<State, StartError>, Vec<String>)> {
    drive_with(ops, |op| disk.carry_out(op))
}

fn drive_with(
    ops: usize,
    mut carry_out: impl FnMut(&DiskOp) -> DiskResult,
) -> Option<(Result<State, StartError>, Vec<String>)> {
    let mut recovery = Recovery::new(
        Config { read_len: 1, ..Config::default() },
        Boot { seed: [1, 2], clock_origin_ms: 0 },
    );
    let mut notes = Vec::new();
    let mut left = ops;
    while !recovery.is_done() {
        match recovery.poll_output().expect("recovery waits for nothing") {
            RecoveryOutput::Note(text) => notes.push(text),
            RecoveryOutput::Disk(request) => {
                left = left.checked_sub(1)?;
                let result = carry_out(&request.op);
                recovery.handle(request.id, result);
            }
        }
    }
    while let Some(output) = recovery.poll_output() {
        match output {
            RecoveryOutput::Note(text) => notes.push(text),
            RecoveryOutput::Disk(request) => panic!("still wanted: {request:?}"),
        }
    }
    Some((recovery.task.finish().expect("done").0, notes))
}

pub(in crate::log) fn recovered(disk: &mut MemoryDisk) -> State {
    let (result, _) = drive(disk, usize::MAX).expect("there is no limit");
    result.unwrap_or_else(|error| panic!("{error}"))
}

pub(in crate::log) fn refusal(disk: &mut MemoryDisk) -> Option<StartError> {
    let before = disk.changes.len();
    let error = drive(disk, usize::MAX).expect("there is no limit").0.err();
    if error.is_some() {
        assert_eq!(disk.changes.len(), before, "something was changed");
    }
    error
}

/// What a state says, with every live message as it can be read from disk.
#[derive(Debug, PartialEq)]
pub(in crate::log) struct Essence {
    pub(in crate::log) messages: BTreeMap<(u64, u64), Bytes>,
    returned: BTreeMap<(u64, u64), u32>,
    pub(in crate::log) queues: BTreeSet<u64>,
    bindings: BTreeSet<Bound>,
}

pub(in crate::log) fn essence(state: &State, disk: &MemoryDisk) -> Essence {
    let mut found = Essence {
        messages: BTreeMap::new(),
        returned: BTreeMap::new(),
        queues: state.queues.keys().map(|number| number.0).collect(),
        bindings: state.bindings().cloned().collect(),
    };
    for (number, queue) in &state.queues {
        let returned = queue.returned.iter();
        found.returned.extend(returned.map(|(position, count)| ((number.0, *position), *count)));
        for extent in queue.extents.iter() {
            let identity = identity(state.node, extent.segment);
            let bytes = Bytes::copy_from_slice(disk.bytes(FileId::Segment(extent.segment)));
            let start = extent.index_offset as usize;
            let part = &bytes[start..start + part_len(extent.index_count)];
            let (of, entries) = decode_part(part, identity, start as u64).expect("an index");
            assert_eq!(of, number.0);
            let mut live = 0;
            for entry in entries.filter(|entry| extent.is_live(entry.position)) {
                let range = entry.offset as usize..(entry.offset + entry.len) as usize;
                let record = bytes.slice(range);
                let (header, _) =
                    RecordHeader::decode(&record, identity, entry.offset.into()).expect("whole");
                let message = message(header.flags, &record.slice(RECORD_HEADER_LEN..));
                let body =
                    message.expect("a message").body.pieces().next().expect("one").to_vec().into();
                let is_new = found.messages.insert((number.0, entry.position), body).is_none();
                assert!(is_new, "a message stands in two extents");
                live += 1;
            }
            assert_eq!(live, extent.live);
        }
    }
    found
}

/// What should be there after a story.
fn expected(model: &Model, bindings: &BTreeSet<Bound>) -> Essence {
    let mut expected = Essence {
        messages: BTreeMap::new(),
        returned: BTreeMap::new(),
        queues: model.keys().map(|number| number.0).collect(),
        bindings: bindings.clone(),
    };
    for (number, queue) in model {
        for (position, (_, returned)) in &queue.live {
            let key = (number.0, *position);
            expected.messages.insert(key, Bytes::new());
            if *returned > 0 {
                expected.returned.insert(key, *returned);
            }
        }
    }
    expected
}

fn check(state: &State, disk: &MemoryDisk, model: &Model, bindings: &BTreeSet<Bound>) {
    let mut found = essence(state, disk);
    for ((queue, position), body) in &mut found.messages {
        let place = alloc::format!("{queue}:{position} ");
        let text = core::str::from_utf8(body).expect("text");
        assert!(text.contains(&place), "{place} in {text}");
        *body = Bytes::new();
    }
    assert_eq!(found, expected(model, bindings));
}

/// What a batch says of itself.
#[derive(Clone, Copy)]
struct Stamp {
    number: u64,
    durable: u64,
    epoch: u32,
}

impl Stamp {
    /// Of a batch that was written when the one before was durable.
    fn new(number: u64, epoch: u32) -> Self {
        Self { number, durable: number - 1, epoch }
    }
}

/// A batch's bytes.
fn batch(segment: u64, offset: usize, stamp: Stamp, facts: &[Fact]) -> Vec<u8> {
    let Stamp { number, durable, epoch } = stamp;
    let identity = identity(NODE, segment);
    let mut out = BytesMut::new();
    for fact in facts {
        fact.encode(&mut out, identity, (offset + BATCH_HEADER_LEN) as u64);
    }
    let (len, count) = (out.len() as u32, facts.len() as u32);
    let header = BatchHeader { len, number, durable, epoch, count };
    let mut bytes = header.encode(identity, offset as u64).to_vec();
    bytes.extend_from_slice(&out);
    bytes.resize(aligned(bytes.len() as u64) as usize, 0);
    bytes
}

fn segment_header(segment: u64, first: u64, epoch: u32) -> Vec<u8> {
    let mut out = BytesMut::new();
    SegmentHeader { epoch, segment, first, node: NODE }.encode(identity(NODE, segment), &mut out);
    out.to_vec()
}

/// A directory with a log, and where its batches are.
#[derive(Clone)]
pub(in crate::log) struct Log {
    pub(in crate::log) disk: MemoryDisk,
    pub(in crate::log) story: Story,
    /// Segment, offset and length of each batch; their numbers are in a row from 1.
    pub(in crate::log) batches: Vec<(u64, usize, usize)>,
}

/// Writes a batch for each step of a story: from this segment, batch number and epoch on. Where
/// they are.
fn append(
    disk: &mut MemoryDisk,
    story: &[(u64, Vec<Fact>, Model, BTreeSet<Bound>)],
    (first_segment, first_number, epoch): (u64, u64, u32),
) -> Vec<(u64, usize, usize)> {
    let mut segments = BTreeMap::<u64, Vec<u8>>::new();
    let mut batches = Vec::new();
    let begins_with = story.first().map_or(0, |step| step.0);
    for ((segment, facts, ..), number) in story.iter().zip(first_number..) {
        let segment = segment - begins_with + first_segment;
        let header = || segment_header(segment, number, epoch);
        let bytes = segments.entry(segment).or_insert_with(header);
        let batch = batch(segment, bytes.len(), Stamp::new(number, epoch), facts);
        batches.push((segment, bytes.len(), batch.len()));
        bytes.extend_from_slice(&batch);
    }
    for (segment, mut bytes) in segments {
        bytes.resize(bytes.len().max(SEGMENT_LEN), 0);
        disk.put(FileId::Segment(segment), bytes);
    }
    batches
}

impl Log {
    /// A batch for each step. The first has a checkpoint before it that holds nothing.
    pub(in crate::log) fn new(steps: &[Step]) -> Self {
        let story = told(steps);
        let header = CheckpointHeader {
            epoch: 1,
            node: NODE,
            next_batch: 1,
            next_segment: 0,
            next_queue: 0,
            len: 0,
            count: 0,
        };
        let mut disk = MemoryDisk::default();
        disk.put(FileId::Checkpoint(1), checkpoint::encode(header, []).concat());
        let batches = append(&mut disk, &story, (0, 1, 2));
        Self { disk, story, batches }
    }

    /// A broker wrote these steps, was ended before each of `ends`, and started again each time.
    /// Without marks of deliveries, as a start gives new messages positions behind these.
    pub(in crate::log) fn with_starts(steps: &[Step], ends: &[usize]) -> Self {
        let is_mark = |step: &Step| matches!(step, Step::Delivered(..));
        let steps: Vec<Step> = steps.iter().copied().filter(|step| !is_mark(step)).collect();
        let mut log = Self::new(&steps);
        let mut ends: Vec<usize> = ends.iter().map(|end| end % log.story.len()).collect();
        ends.sort_unstable();
        ends.push(log.story.len());
        for file in log.disk.files() {
            if matches!(file, FileId::Segment(_)) {
                log.disk.remove(file);
            }
        }
        let (mut from, mut place) = (0, (0, 1, 2));
        for (at, end) in ends.iter().enumerate() {
            append(&mut log.disk, &log.story[from..*end], place);
            from = *end;
            if at + 1 < ends.len() {
                let state = recovered(&mut log.disk);
                place = (state.next_segment, state.next_batch, state.epoch);
            }
        }
        log
    }

    /// One more batch, with these facts: where the first of them stands.
    pub(in crate::log) fn add(&mut self, facts: &[Fact]) -> (FileId, u64) {
        let (segment, offset, len) = *self.batches.last().expect("a batch");
        let (at, number) = (offset + len, self.batches.len() as u64 + 1);
        let bytes = batch(segment, at, Stamp::new(number, 2), facts);
        let mut segment_bytes = self.bytes(segment);
        segment_bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        self.disk.put(FileId::Segment(segment), segment_bytes);
        self.batches.push((segment, at, bytes.len()));
        (FileId::Segment(segment), (at + BATCH_HEADER_LEN) as u64)
    }

    fn bytes(&self, segment: u64) -> Vec<u8> {
        self.disk.bytes(FileId::Segment(segment)).to_vec()
    }

    /// Checks a state against the story after so many batches.
    fn check(&self, state: &State, disk: &MemoryDisk, batches: usize) {
        let nothing = (Model::new(), BTreeSet::new());
        let (model, bindings) = match batches.checked_sub(1) {
            Some(at) => (&self.story[at].2, &self.story[at].3),
            None => (&nothing.0, &nothing.1),
        };
        check(state, disk, model, bindings);
    }

    /// Takes the last batch off the disk: what it was, and where.
    fn without_last(&mut self) -> (u64, usize, Vec<u8>) {
        let (segment, offset, len) = *self.batches.last().expect("a batch");
        // The header of a segment is written with its first batch.
        let offset = if offset == SEGMENT_HEADER_LEN { 0 } else { offset };
        let len = if offset == 0 { len + SEGMENT_HEADER_LEN } else { len };
        let mut bytes = self.bytes(segment);
        let last = bytes[offset..offset + len].to_vec();
        bytes[offset..offset + len].fill(0);
        self.disk.put(FileId::Segment(segment), bytes);
        (segment, offset, last)
    }
}

/// A short story of two segments with all kinds of facts.
pub(in crate::log) const SAMPLE: [Step; 10] = [
    Step::Declare,
    Step::Bind(0, 1),
    Step::Publish([0, 1], 0),
    Step::Publish([0, 0], 1),
    Step::Settle(0, 0, 0),
    Step::Returned(0, 1),
    Step::Seal,
    Step::Publish([1, 1], 0),
    Step::Delivered(1, 5),
    Step::Publish([0, 1], 0),
];

/// Recovers, and once more: the second time is like the first and changes nothing, but that the
/// checkpoint of a directory without batches is made durable again.
fn check_twice(log: &Log, mut disk: MemoryDisk, batches: usize) {
    let state = recovered(&mut disk);
    log.check(&state, &disk, batches);
    let (changes, reads) = (disk.changes.len(), disk.reads.len());
    let mut again = recovered(&mut disk);
    log.check(&again, &disk, batches);
    assert!(again.epoch >= state.epoch);
    again.epoch = state.epoch;
    assert_eq!(again, state);
    if batches > 0 {
        assert_eq!(disk.changes.len(), changes, "{:?}", &disk.changes[changes..]);
    }
    assert!(disk.reads[reads..].iter().all(|file| matches!(file, FileId::Checkpoint(_))));
    // Nothing is left that is not needed.
    let segments = state.segments.keys().map(|number| FileId::Segment(*number));
    let files: Vec<_> = segments.chain([FileId::Checkpoint(state.next_batch)]).collect();
    assert_eq!(disk.files(), files);
}

#[test]
fn an_empty_directory_is_a_first_start() {
    let mut disk = MemoryDisk::default();
    let state = recovered(&mut disk);
    assert_eq!((state.epoch, state.next_batch, state.next_segment), (1, 1, 0));
    assert_ne!(state.node, 0);
    disk.crash(|| false);
    let again = recovered(&mut disk);
    assert_eq!((again.node, again.epoch, again.next_batch), (state.node, 2, 1));
    assert_eq!(disk.files(), [FileId::Checkpoint(1)]);
    disk.crash(|| false);
    assert_eq!(recovered(&mut disk).node, state.node);
}

#[test]
fn a_first_start_may_be_cut_off_anywhere() {
    for ops in 0..20 {
        for seed in 0..20 {
            let mut disk = MemoryDisk::default();
            drive(&mut disk, ops);
            disk.crash(coin(seed));
            let state = recovered(&mut disk);
            assert_eq!(state.next_batch, 1);
            disk.crash(|| false);
            assert_eq!(recovered(&mut disk).node, state.node);
        }
    }
}

/// Drives recovery, whose sync number `nth` fails: what it was to write stays in memory only.
fn drive_with_failed_sync(disk: &mut MemoryDisk, nth: usize) {
    let mut syncs = 0;
    drive_with(usize::MAX, |op| {
        syncs += usize::from(matches!(op, DiskOp::Sync { .. } | DiskOp::SyncDir));
        match (op, syncs == nth) {
            (DiskOp::Sync { .. } | DiskOp::SyncDir, true) => {
                DiskResult::Failed(DiskError { is_full: false, text: "no sync".into() })
            }
            _ => disk.carry_out(op),
        }
    });
}

/// Whoever starts behind it finds the checkpoint in memory.
#[test]
fn first_starts_that_cannot_sync_leave_what_another_can_begin_with() {
    for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        for seed in 0..40 {
            let mut disk = MemoryDisk::default();
            drive_with_failed_sync(&mut disk, first);
            drive_with_failed_sync(&mut disk, second);
            disk.crash(coin(seed));
            assert_eq!(recovered(&mut disk).next_batch, 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_written_is_recovered(steps in any_history()) {
        let log = Log::new(&steps);
        check_twice(&log, log.disk.clone(), log.batches.len());
    }

    #[test]
    fn life_goes_on_after_each_start(
        steps in any_history(), ends in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        let log = Log::with_starts(&steps, &ends);
        check_twice(&log, log.disk.clone(), log.batches.len());
    }

    #[test]
    fn a_crash_of_recovery_changes_nothing(
        steps in any_history(), ops in 0..60_usize, seeds in any::<[u64; 3]>(),
    ) {
        let mut log = Log::new(&steps);
        let mut disk = log.disk.clone();
        for (at, seed) in seeds.into_iter().enumerate() {
            drive(&mut disk, ops >> at);
            disk.crash(coin(seed));
        }
        log.disk = disk.clone();
        check_twice(&log, disk, log.batches.len());
    }

    #[test]
    fn any_pages_of_the_last_batch_may_be_lost(steps in any_history(), seed: u64) {
        let mut log = Log::new(&steps);
        let (segment, offset, last) = log.without_last();
        log.disk.write(FileId::Segment(segment), offset, &last);
        log.disk.crash(coin(seed));
        let is_whole = log.bytes(segment)[offset..].starts_with(&last);
        check_twice(&log, log.disk.clone(), log.batches.len() - usize::from(!is_whole));
    }

    #[test]
    fn what_was_read_is_durable_even_if_it_was_in_memory_only(steps in any_history()) {
        let mut log = Log::new(&steps);
        let (segment, offset, last) = log.without_last();
        // Written, and the sync failed: it can be read, and no later sync makes it durable.
        let durable = log.disk.clone();
        log.disk.write(FileId::Segment(segment), offset, &last);
        let state = recovered(&mut log.disk);
        let mut disk = log.disk.clone();
        let lost = durable.bytes(FileId::Segment(segment))[offset..offset + last.len()].to_vec();
        if disk.files().contains(&FileId::Segment(segment)) {
            disk.write(FileId::Segment(segment), offset, &lost);
        }
        log.check(&state, &disk, log.batches.len());
        check_twice(&log, disk, log.batches.len());
    }
}

#[test]
fn a_last_batch_that_is_cut_off_at_any_byte_is_dropped() {
    for steps in 0..=SAMPLE.len() {
        let mut log = Log::new(&SAMPLE[..steps]);
        let (segment, offset, last) = log.without_last();
        let before = log.batches.len() - 1;
        let header = log.batches[before].1 - offset;
        let len = u32::from_le_bytes(last[header + 4..header + 8].try_into().expect("four bytes"));
        let end = header + BATCH_HEADER_LEN + len as usize;
        for cut in 0..last.len() {
            let mut disk = log.disk.clone();
            disk.write(FileId::Segment(segment), offset, &last[..cut]);
            let is_whole = last[cut..].iter().all(|byte| *byte == 0);
            check_twice(&log, disk.clone(), before + usize::from(is_whole));
            let mut shorter = disk.bytes(FileId::Segment(segment)).to_vec();
            shorter.truncate(offset + cut);
            disk.put(FileId::Segment(segment), shorter);
            check_twice(&log, disk, before + usize::from(cut >= end));
        }
    }
}

#[test]
fn a_later_batch_that_was_not_synced_either_proves_nothing() {
    for is_next_segment in [false, true] {
        for is_proof in [false, true] {
            let mut log = Log::new(&SAMPLE);
            let number = log.batches.len() as u64;
            let (segment, offset, last) = log.without_last();
            let stamp = Stamp { number: number + 1, durable: number - 1, epoch: 2 };
            let stamp = Stamp { durable: stamp.durable + u64::from(is_proof), ..stamp };
            let next = match is_next_segment {
                true => (segment + 1, SEGMENT_HEADER_LEN),
                false => (segment, offset + last.len()),
            };
            let later = batch(next.0, next.1, stamp, &log.story[1].1);
            if is_next_segment {
                let mut bytes = segment_header(next.0, number + 1, 2);
                bytes.extend_from_slice(&later);
                log.disk.put(FileId::Segment(next.0), bytes);
            } else {
                log.disk.write(FileId::Segment(next.0), next.1, &later);
            }
            if is_proof {
                let error = refusal(&mut log.disk);
                assert!(matches!(error, Some(StartError::Damaged { .. })), "{error:?}");
            } else {
                check_twice(&log, log.disk.clone(), log.batches.len() - 1);
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_noted_and_what_is_not_is_not() {
    let mut log = Log::new(&SAMPLE);
    assert_eq!(drive(&mut log.disk.clone(), usize::MAX).expect("done").1, Vec::<String>::new());
    let (segment, offset, last) = log.without_last();
    log.disk.write(FileId::Segment(segment), offset, &last[..last.len() / 2]);
    let (result, notes) = drive(&mut log.disk, usize::MAX).expect("done");
    assert!(result.is_ok());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains(&alloc::format!("offset {offset}")), "{notes:?}");
}

#[test]
fn damage_of_any_byte_before_the_last_batch_is_refused() {
    let log = Log::new(&SAMPLE);
    let (last_segment, last_offset, _) = *log.batches.last().expect("a batch");
    let mut places = Vec::new();
    for &(segment, offset, len) in &log.batches[..log.batches.len() - 1] {
        let bytes = log.bytes(segment);
        let len_at = offset + 4;
        let records = u32::from_le_bytes(bytes[len_at..len_at + 4].try_into().expect("four"));
        let end = offset + BATCH_HEADER_LEN + records as usize;
        assert!(end <= offset + len);
        let start = if offset == SEGMENT_HEADER_LEN { 0 } else { offset };
        places.extend((start..end).map(|at| (segment, at)));
    }
    assert!(places.contains(&(last_segment, last_offset - 8)) || last_offset == 64);
    for (segment, at) in places {
        let mut disk = log.disk.clone();
        let byte = disk.bytes(FileId::Segment(segment))[at];
        disk.write(FileId::Segment(segment), at, &[byte ^ 1 << (at % 8)]);
        match refusal(&mut disk) {
            Some(StartError::Damaged { file, offset, .. }) => {
                assert_eq!(file, FileId::Segment(segment), "at {at}");
                assert!(offset <= at as u64, "{offset} for {at}");
            }
            other => panic!("byte {at} of segment {segment}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_header_of_a_segment_with_one_batch_is_refused() {
    let log = Log::new(&[]);
    for at in 0..SEGMENT_HEADER_LEN {
        let mut disk = log.disk.clone();
        let byte = disk.bytes(FileId::Segment(0))[at];
        disk.write(FileId::Segment(0), at, &[!byte]);
        let error = refusal(&mut disk);
        assert!(matches!(error, Some(StartError::Damaged { offset: 0, .. })), "{at}: {error:?}");
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let steps: Vec<Step> =
        [Step::Publish([0, 0], 0), Step::Seal].into_iter().cycle().take(8).collect();
    let log = Log::new(&steps);
    let last = log.batches.last().expect("a batch").0;
    for segment in 0..last {
        let mut disk = log.disk.clone();
        disk.remove(FileId::Segment(segment));
        match refusal(&mut disk) {
            Some(StartError::Damaged { file, .. }) => assert_eq!(file, FileId::Segment(segment)),
            other => panic!("{other:?}"),
        }
        // One that a checkpoint needs.
        let mut disk = log.disk.clone();
        let state = recovered(&mut disk);
        if state.segments.contains_key(&segment) {
            disk.remove(FileId::Segment(segment));
            assert!(matches!(refusal(&mut disk), Some(StartError::Damaged { offset: 0, .. })));
        }
    }
}

#[test]
fn a_segment_that_is_shorter_than_its_checkpoint_says_is_refused() {
    let mut disk = Log::new(&SAMPLE).disk;
    let state = recovered(&mut disk);
    let segment = *state.segments.keys().next().expect("a segment");
    let mut bytes = disk.bytes(FileId::Segment(segment)).to_vec();
    bytes.pop();
    let len = bytes.len() as u64;
    disk.put(FileId::Segment(segment), bytes);
    match refusal(&mut disk) {
        Some(StartError::Damaged { file, offset, .. }) => {
            assert_eq!((file, offset), (FileId::Segment(segment), len));
        }
        other => panic!("{other:?}"),
    }
}

/// The last batch failed to be written and went to a new segment instead. Whether the old copy is
/// whole nonetheless.
fn with_failed_write(log: &mut Log, kept: usize, again: usize) -> bool {
    let (segment, offset, last) = log.without_last();
    log.disk.write(FileId::Segment(segment), offset, &last[..kept.min(last.len())]);
    let number = log.batches.len() as u64;
    let facts = &log.story.last().expect("a batch").1;
    let new = segment + 1;
    let mut bytes = segment_header(new, number, 2);
    bytes.extend_from_slice(&batch(new, SEGMENT_HEADER_LEN, Stamp::new(number, 2), facts));
    bytes.truncate(again);
    bytes.resize(SEGMENT_LEN, 0);
    log.disk.put(FileId::Segment(new), bytes);
    log.bytes(segment)[offset..].starts_with(&last)
}

#[test]
fn a_batch_that_was_written_again_in_the_next_segment_counts_once() {
    for steps in 0..=SAMPLE.len() {
        for kept in [0, 30, 70, 110, 150, usize::MAX] {
            let mut log = Log::new(&SAMPLE[..steps]);
            with_failed_write(&mut log, kept, usize::MAX);
            check_twice(&log, log.disk.clone(), log.batches.len());
            // The new copy is torn, and the old one is whole or not.
            let mut log = Log::new(&SAMPLE[..steps]);
            let is_whole = with_failed_write(&mut log, kept, 80);
            check_twice(&log, log.disk.clone(), log.batches.len() - usize::from(!is_whole));
        }
    }
}

#[test]
fn spares_are_deleted_and_nothing_else_is_done_for_them() {
    let mut log = Log::new(&SAMPLE);
    log.disk.put(FileId::Segment(9), alloc::vec![0; SEGMENT_LEN]);
    check_twice(&log, log.disk.clone(), log.batches.len());
    let state = recovered(&mut log.disk);
    let spare = FileId::Segment(state.next_segment);
    log.disk.put(spare, alloc::vec![0; SEGMENT_LEN]);
    let changes = log.disk.changes.len();
    let again = recovered(&mut log.disk);
    assert_eq!(again.next_segment, state.next_segment + 1);
    assert_eq!(log.disk.changes[changes..], [DiskOp::Delete { file: spare }, DiskOp::SyncDir]);
}

#[test]
fn a_checkpoint_that_was_cut_off_does_not_count() {
    let log = Log::new(&SAMPLE);
    let mut after = log.disk.clone();
    let state = recovered(&mut after);
    let newest = FileId::Checkpoint(state.next_batch);
    let whole = after.bytes(newest).to_vec();
    for len in 0..whole.len() {
        let mut disk = log.disk.clone();
        let mut cut = whole[..len].to_vec();
        disk.put(newest, cut.clone());
        let mut stretched = disk.clone();
        check_twice(&log, disk, log.batches.len());
        cut.resize(whole.len(), 0);
        if cut != whole {
            stretched.put(newest, cut.clone());
            check_twice(&log, stretched, log.batches.len());
            // Without an older one, it is damage.
            after.put(newest, cut);
            assert!(matches!(refusal(&mut after), Some(StartError::Damaged { .. })));
        }
    }
}

/// A start that takes the older checkpoint, as the newer is misread, is cut off; the next one reads
/// well.
#[test]
fn a_newer_checkpoint_that_was_misread_once_does_not_come_back() {
    let log = Log::new(&SAMPLE);
    let mut both = log.disk.clone();
    let oldest = FileId::Checkpoint(1);
    let bytes = both.bytes(oldest).to_vec();
    let newest = FileId::Checkpoint(recovered(&mut both).next_batch);
    both.put(oldest, bytes);
    for ops in 0..60 {
        let mut disk = both.clone();
        drive_with(ops, |op| match (op, disk.carry_out(op)) {
            (DiskOp::Read { file, .. }, DiskResult::Data(data)) if *file == newest => {
                DiskResult::Data(alloc::vec![0; data.len()].into())
            }
            (_, result) => result,
        });
        disk.crash(coin(ops as u64));
        check_twice(&log, disk, log.batches.len());
    }
}

#[test]
fn of_checkpoints_of_which_none_is_whole_the_oldest_is_the_damaged_one() {
    let mut log = Log::new(&SAMPLE);
    let oldest = FileId::Checkpoint(1);
    let mut bytes = log.disk.bytes(oldest).to_vec();
    *bytes.last_mut().expect("a header at least") ^= 1;
    log.disk.put(oldest, bytes);
    log.disk.put(FileId::Checkpoint(9), alloc::vec![0; 100]);
    let refusal = refusal(&mut log.disk);
    assert!(
        matches!(refusal, Some(StartError::Damaged { file, .. }) if file == oldest),
        "{refusal:?}"
    );
}

#[test]
fn a_lone_first_checkpoint_is_needed_once_there_are_segments() {
    let mut log = Log::new(&SAMPLE);
    log.disk.put(FileId::Checkpoint(1), Vec::new());
    assert!(matches!(refusal(&mut log.disk), Some(StartError::Damaged { .. })));
    log.disk.remove(FileId::Checkpoint(1));
    assert!(matches!(refusal(&mut log.disk), Some(StartError::Damaged { .. })));
    let mut disk = MemoryDisk::default();
    disk.put(FileId::Checkpoint(1), alloc::vec![0; 72]);
    disk.put(FileId::Segment(0), alloc::vec![0; PAGE]);
    let state = recovered(&mut disk);
    assert_eq!((state.next_batch, state.next_segment), (1, 1));
    assert_eq!(disk.files(), [FileId::Checkpoint(1)]);
}

#[test]
fn newer_versions_are_refused_as_such() {
    let files = [(FileId::Checkpoint(1), 64, 0), (FileId::Segment(0), 56, identity(NODE, 0))];
    for (file, checked, seed) in files {
        let mut disk = Log::new(&SAMPLE).disk;
        let mut bytes = disk.bytes(file).to_vec();
        set_version(&mut bytes, 2, checked, seed);
        disk.put(file, bytes);
        assert_eq!(refusal(&mut disk), Some(StartError::Newer { file, version: 2 }));
    }
}

#[test]
fn a_disk_that_fails_ends_the_start_and_loses_nothing() {
    for at in 0.. {
        let log = Log::new(&SAMPLE);
        let mut disk = log.disk.clone();
        let mut left = at;
        let (result, _) = drive_with(usize::MAX, |op| {
            left -= 1;
            if left == -1 {
                return DiskResult::Failed(DiskError { is_full: true, text: "no room".into() });
            }
            disk.carry_out(op)
        })
        .expect("there is no limit");
        check_twice(&log, disk, log.batches.len());
        match result {
            Err(StartError::Disk { text, .. }) => assert!(text.contains("full"), "{text}"),
            Err(error) => panic!("{error}"),
            Ok(_) => break,
        }
    }
}

/// Each read of a start in turn gives other bytes than stand there.
#[test]
fn what_is_read_wrongly_once_is_refused_or_makes_no_difference() {
    let log = Log::new(&SAMPLE);
    let others: [fn(&mut [u8]); 3] = [
        |read| read.fill(0),
        |read| read.reverse(),
        |read| {
            let half = read.len() / 2;
            read[half..].fill(7);
        },
    ];
    let (mut refused, mut noted) = (0, 0);
    for spoil in others {
        for at in 0.. {
            let mut disk = log.disk.clone();
            let mut left = at;
            let (result, notes) = drive_with(usize::MAX, |op| match (op, disk.carry_out(op)) {
                (DiskOp::Read { .. }, DiskResult::Data(data)) => {
                    left -= 1;
                    let mut data = data.to_vec();
                    if left == -1 {
                        spoil(&mut data);
                    }
                    DiskResult::Data(data.into())
                }
                (_, result) => result,
            })
            .expect("there is no limit");
            noted += notes.iter().filter(|note| note.contains("the second time")).count();
            match result {
                Ok(_) => check_twice(&log, disk.clone(), log.batches.len()),
                Err(_) => refused += 1,
            }
            // And the next start sees all.
            check_twice(&log, disk, log.batches.len());
            if left >= 0 {
                break;
            }
        }
    }
    assert!(refused > 0 && noted > 0, "{refused} {noted}");
}

proptest! {
    #[test]
    fn no_directory_makes_recovery_panic(
        steps in any_history(),
        noise in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 0..6),
        cut in any::<Option<(usize, usize)>>(),
    ) {
        let mut disk = Log::new(&steps).disk;
        let _ = drive(&mut disk, noise.first().map_or(usize::MAX, |noise| noise.0 % 50));
        for (file, at, byte) in noise {
            let files = disk.files();
            let file = files[file % files.len()];
            let len = disk.bytes(file).len().max(1);
            disk.write(file, at % len, &[byte]);
        }
        if let Some((file, len)) = cut {
            let files = disk.files();
            let file = files[file % files.len()];
            let mut bytes = disk.bytes(file).to_vec();
            bytes.truncate(len % (bytes.len() + 1));
            disk.put(file, bytes);
        }
        let _ = drive(&mut disk, usize::MAX);
    }
}
