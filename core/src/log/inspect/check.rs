//! A look at everything in a data directory.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::survey::Survey;
use super::{Basis, CheckReport, Problems, queue_name, read_whole};
use crate::FileId;
use crate::log::checkpoint::Reason;
use crate::log::codec::{kind, message_flag, message_places};
use crate::log::extents::Extent;
use crate::log::format::{decode_part, identity};
use crate::log::recovery::StartError;
use crate::log::recovery::base::{self, Files};
use crate::log::recovery::copies::Index;
use crate::log::recovery::replay::{Outcome, Replay};
use crate::log::recovery::scan::is_zero;
use crate::log::state::State;
use crate::log::task::Disk;

pub(super) async fn check(disk: Disk) -> Result<CheckReport, StartError> {
    let files = Files::list(&disk).await?;
    let mut report = CheckReport {
        bytes: files.segments.values().chain(files.checkpoints.values()).sum(),
        ..CheckReport::default()
    };
    let mut problems = Problems::default();
    let (state, outcome) = match start(&disk, &files).await {
        (None, Err(error)) => {
            report.refusal = Some(error);
            check_checkpoints(&disk, &files, &mut problems).await?;
            (None, None)
        }
        (base, Err(error)) => {
            report.refusal = Some(error);
            report.basis = Basis::Checkpoint;
            (base, None)
        }
        (base, Ok(outcome)) => {
            report.basis = Basis::Log;
            (base, outcome)
        }
    };
    if let Some(StartError::Damaged { file, offset, text }) = &report.refusal {
        problems.add(*file, *offset, text.clone());
    }
    let now = outcome.as_ref().map(|outcome| &outcome.state).or(state.as_ref());
    if let Some(now) = now {
        report.queues = now.queue_count() as u64;
        report.exchanges = now.exchanges.len() as u64;
        report.policies = now.policies.len() as u64;
        report.bindings = now.bindings().len() as u64;
        report.messages = now.queues.values().map(|queue| queue.extents.live()).sum();
        report.values = now.seen_count();
    }
    let mut checker = Checker::new(now, state.as_ref(), outcome.as_ref());
    for (&segment, &len) in &files.segments {
        let bytes = read_whole(&disk, FileId::Segment(segment), len, &mut problems).await?;
        // One that was made and never written to says nothing.
        if checker.is_sealed(segment) || !is_zero(&bytes) {
            report.segments += 1;
            checker.check_segment(segment, &bytes, &mut report, &mut problems);
        }
    }
    if let Some(copy) = outcome.as_ref().and_then(|outcome| outcome.copy.as_ref()) {
        let extents = checker.extents.remove(&copy.number).unwrap_or_default();
        checker.check_replayed(copy.number, &extents, &copy.index, &mut problems);
    }
    checker.check_missing(&files, &mut problems);
    report.problems = problems.into_list();
    Ok(report)
}

/// What a start would begin with, and what it would come to.
async fn start(disk: &Disk, files: &Files) -> (Option<State>, Result<Option<Outcome>, StartError>) {
    match base::choose(disk, files).await {
        Ok(Some((_, state))) => {
            let outcome = Replay::new(disk, files, state.clone()).run().await;
            (Some(state), outcome.map(Some))
        }
        Ok(None) => (None, Ok(None)),
        Err(error) => (None, Err(error)),
    }
}

async fn check_checkpoints(
    disk: &Disk,
    files: &Files,
    problems: &mut Problems,
) -> Result<(), StartError> {
    for (&number, &len) in &files.checkpoints {
        let file = FileId::Checkpoint(number);
        match base::read(disk, number, len).await {
            Ok(Ok(_)) => {}
            Ok(Err(flaw)) => match flaw.reason {
                Reason::Newer(version) => {
                    problems.add(file, flaw.offset, format!("it is of format version {version}"));
                }
                reason => problems.add(file, flaw.offset, reason.text()),
            },
            Err(refused) => problems.add(file, 0, format!("{}", refused.error)),
        }
    }
    Ok(())
}

/// The extents of a segment, and their queues.
type Extents<'a> = Vec<(u64, &'a Extent)>;

struct Checker<'a> {
    now: Option<&'a State>,
    base: Option<&'a State>,
    outcome: Option<&'a Outcome>,
    extents: BTreeMap<u64, Extents<'a>>,
}

impl<'a> Checker<'a> {
    fn new(now: Option<&'a State>, base: Option<&'a State>, outcome: Option<&'a Outcome>) -> Self {
        let mut extents = BTreeMap::<u64, Extents<'a>>::new();
        for (number, queue) in now.iter().flat_map(|state| &state.queues) {
            for extent in queue.extents.iter() {
                extents.entry(extent.segment).or_default().push((number.0, extent));
            }
        }
        Self { now, base, outcome, extents }
    }

    /// Whether the checkpoint has a segment as one that is done with.
    fn is_sealed(&self, segment: u64) -> bool {
        self.base.is_some_and(|state| state.segments.contains_key(&segment))
    }

    fn check_segment(
        &mut self,
        segment: u64,
        bytes: &Bytes,
        report: &mut CheckReport,
        problems: &mut Problems,
    ) {
        // With no checkpoint, what the segment says of itself has to do.
        let node = match self.base {
            Some(state) => Some(state.node),
            None => crate::log::format::SegmentHeader::decode_alone(bytes, segment)
                .ok()
                .map(|header| header.node),
        };
        let Some(node) = node else {
            return problems.add(FileId::Segment(segment), 0, "its header is not whole");
        };
        let sealed = self.base.and_then(|state| state.segments.get(&segment));
        let replayed = self.outcome.and_then(|outcome| outcome.replayed.get(&segment));
        let data_end = sealed.map(|segment| segment.fact.data_end);
        let data_end = data_end.or(replayed.map(|replayed| replayed.data_end));
        let identity = identity(node, segment);
        let survey = Survey::new(bytes, segment, identity, data_end);
        let whole = survey.pieces.iter().filter(|piece| piece.header.is_some());
        report.batches += whole.count() as u64;
        report.records += survey.records().count() as u64;
        let extents = self.extents.remove(&segment).unwrap_or_default();
        if let Some(replayed) = replayed {
            return self.check_replayed(segment, &extents, &replayed.index, problems);
        }
        let is_old = self.base.is_some_and(|state| segment < state.next_segment);
        // What nothing needs is deleted at the next start, whatever is in it; and what stands
        // behind the end of the log is judged there.
        if sealed.is_none() && (is_old || self.outcome.is_some()) {
            return;
        }
        self.check_pieces(segment, &survey, problems);
        if sealed.is_some() {
            let index_end = survey.index.is_some();
            if !index_end {
                let text = "its index is not whole";
                problems.add(FileId::Segment(segment), survey.data_end, text);
            }
            for (queue, extent) in extents {
                self.check_extent(segment, bytes, &survey, (queue, extent), identity, problems);
            }
        }
    }

    fn check_pieces(&self, segment: u64, survey: &Survey, problems: &mut Problems) {
        let file = FileId::Segment(segment);
        if survey.header.is_none() {
            problems.add(file, 0, "its header is not whole");
        }
        let mut last: Option<u64> = None;
        for piece in &survey.pieces {
            match piece.header {
                None => problems.add(file, piece.range.start, "no batch is whole here"),
                Some(header) => {
                    if last.is_some_and(|last| last + 1 != header.number) {
                        let text = format!("batch {} does not follow here", header.number);
                        problems.add(file, piece.range.start, text);
                    }
                    for damage in &piece.damage {
                        let text = format!("a record of batch {} is not whole", header.number);
                        problems.add(file, damage.start, text);
                    }
                }
            }
            last = piece.header.map(|header| header.number);
        }
    }

    /// A segment whose index is still to be written.
    fn check_replayed(
        &self,
        segment: u64,
        extents: &Extents<'_>,
        index: &Index,
        problems: &mut Problems,
    ) {
        for (queue, extent) in extents {
            let entries = index.get(queue).map_or(&[][..], |entries| entries);
            let count = entries.iter().filter(|entry| extent.is_live(entry.position)).count();
            self.check_count(segment, *queue, extent, count, problems);
        }
    }

    fn check_extent(
        &self,
        segment: u64,
        bytes: &Bytes,
        survey: &Survey,
        (queue, extent): (u64, &Extent),
        identity: u64,
        problems: &mut Problems,
    ) {
        let file = FileId::Segment(segment);
        let offset = u64::from(extent.index_offset);
        let part =
            bytes.get(offset as usize..).and_then(|part| decode_part(part, identity, offset));
        let part = part.filter(|(of, entries)| {
            (*of, entries.len() as u64) == (queue, extent.index_count.into())
        });
        let Some((_, entries)) = part else {
            let text = format!("the index of queue {} is not whole", self.name(queue));
            return problems.add(file, offset, text);
        };
        let live = entries.filter(|entry| extent.is_live(entry.position));
        for entry in live.clone() {
            let record = survey.record_at(entry.offset.into());
            let is_there = record.is_some_and(|record| {
                record.header.len == entry.len
                    && record.header.kind == kind::MESSAGE
                    && record.header.flags & message_flag::VOLATILE == 0
                    && message_places(record.header.flags, &record.body(bytes)).is_some_and(
                        |mut places| {
                            places.any(|place| {
                                (place.queue.0, place.position) == (queue, entry.position)
                            })
                        },
                    )
            });
            if !is_there {
                let text = format!(
                    "the message of queue {} with position {} is not whole",
                    self.name(queue),
                    entry.position
                );
                problems.add(file, entry.offset.into(), text);
            }
        }
        self.check_count(segment, queue, extent, live.count(), problems);
    }

    fn check_count(
        &self,
        segment: u64,
        queue: u64,
        extent: &Extent,
        count: usize,
        problems: &mut Problems,
    ) {
        if count as u64 != u64::from(extent.live) {
            let text = format!(
                "queue {} should have {} messages from position {} to {} here, and has {count}",
                self.name(queue),
                extent.live,
                extent.first,
                extent.last
            );
            problems.add(FileId::Segment(segment), extent.index_offset.into(), text);
        }
    }

    /// Segments of which messages are alive and that are not there, or too short.
    fn check_missing(&self, files: &Files, problems: &mut Problems) {
        let segments = self.base.iter().flat_map(|state| &state.segments);
        for (number, segment) in segments {
            let is_needed = self.now.is_some_and(|now| {
                now.segments.get(number).is_some_and(|segment| segment.live > 0)
            });
            match files.segments.get(number) {
                None if is_needed => problems.add(FileId::Segment(*number), 0, "it is missing"),
                Some(len) if is_needed && *len < segment.fact.len => {
                    problems.add(FileId::Segment(*number), *len, "it is cut off");
                }
                _ => {}
            }
        }
    }

    fn name(&self, queue: u64) -> String {
        self.now.map_or_else(String::new, |state| queue_name(state, queue))
    }
}
