//! Check and salvage of directories that are as they should be, and of damaged ones.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::DiskResult;
use crate::amqp::Properties;
use crate::broker::{Body, Charge, Message, VirtualHost};
use crate::log::checkpoint;
use crate::log::codec::{kind, message_places};
use crate::log::fact::{Bound, Fact, MessageFact, Place, QueueNumber, Target};
use crate::log::format::{
    BATCH_HEADER_LEN, IndexEntry, NUMBER_FREE_MAX, RECORD_HEADER_LEN, RecordHeader, decode_part,
    identity, part_len, put_part,
};
use crate::log::memory_disk::{MemoryDisk, coin};
use crate::log::recovery::RecoveryOutput;
use crate::log::recovery::tests::implausible::queue;
use crate::log::recovery::tests::{Log, NODE, SAMPLE, essence, recovered, refusal};
use crate::log::state::tests::{Step, any_history, having_seen};
use crate::{DiskError, DiskOp};

macro_rules! driven {
    ($name:ident, $report:ident, $machine:ident) => {
        fn $name(
            ops: usize,
            mut carry_out: impl FnMut(&DiskOp) -> DiskResult,
        ) -> Option<Result<$report, StartError>> {
            let mut machine = $machine::new(&Config { read_len: 1, ..Config::default() });
            let mut left = ops;
            while !machine.is_done() {
                match machine.poll_output().expect("it waits for nothing") {
                    RecoveryOutput::Note(_) => {}
                    RecoveryOutput::Disk(request) => {
                        left = left.checked_sub(1)?;
                        let result = carry_out(&request.op);
                        machine.handle(request.id, result);
                    }
                }
            }
            Some(machine.finish())
        }
    };
}

driven!(drive_check, CheckReport, Check);
driven!(drive_salvage, SalvageReport, Salvage);

fn checked(disk: &mut MemoryDisk) -> CheckReport {
    let changes = disk.changes.len();
    let report = drive_check(usize::MAX, |op| disk.carry_out(op)).expect("there is no limit");
    assert_eq!(disk.changes.len(), changes, "a check changed something");
    report.expect("a report")
}

fn salvaged(disk: &mut MemoryDisk) -> SalvageReport {
    let report = drive_salvage(usize::MAX, |op| disk.carry_out(op)).expect("there is no limit");
    report.unwrap_or_else(|error| panic!("{error}"))
}

type Places = BTreeSet<(u64, u64)>;

/// Salvages, and sees to it that what comes of it is clean. The messages there are then.
fn messages_after(disk: &mut MemoryDisk) -> (SalvageReport, Places) {
    let report = salvaged(disk);
    let after = checked(disk);
    assert_eq!(after.problems, []);
    assert_eq!(after.refusal, None);
    assert_eq!(after.messages, report.messages);
    // The power may fail at once.
    disk.crash(|| false);
    let changes = disk.changes.len();
    assert_eq!(salvaged(disk).losses, []);
    assert_eq!(disk.changes.len(), changes, "there was something left to be salvaged");
    let state = recovered(disk);
    let found = essence(&state, disk);
    for ((queue, position), body) in &found.messages {
        let text = core::str::from_utf8(body).expect("text");
        assert!(text.contains(&format!("{queue}:{position} ")), "{text}");
    }
    (report, found.messages.into_keys().collect())
}

/// The places in all message records of a directory that have a byte of this range.
fn hurt(disk: &MemoryDisk, segment: u64, range: core::ops::Range<usize>) -> Places {
    let bytes = Bytes::copy_from_slice(disk.bytes(FileId::Segment(segment)));
    let identity = identity(NODE, segment);
    let mut hurt = Places::new();
    for at in 0..bytes.len() {
        let Some((header, body)) = RecordHeader::decode(&bytes[at..], identity, at as u64) else {
            continue;
        };
        let is_hit = range.start < at + header.len as usize && at < range.end;
        if is_hit && header.kind == kind::MESSAGE {
            let places = message_places(header.flags, body).expect("a message");
            hurt.extend(places.map(|place| (place.queue.0, place.position)));
        }
    }
    hurt
}

fn flip(disk: &mut MemoryDisk, file: FileId, at: usize) {
    let mut bytes = disk.bytes(file).to_vec();
    bytes[at] = !bytes[at];
    disk.put(file, bytes);
}

/// The messages that should be there after so many batches.
fn expected(log: &Log, batches: usize) -> Places {
    let Some(at) = batches.checked_sub(1) else { return Places::new() };
    let queues = log.story[at].2.iter();
    queues.flat_map(|(number, queue)| queue.live.keys().map(|at| (number.0, *at))).collect()
}

fn segments(disk: &MemoryDisk) -> Vec<FileId> {
    let files = disk.files().into_iter();
    files.filter(|file| matches!(file, FileId::Segment(_))).collect()
}

fn number(file: FileId) -> u64 {
    match file {
        FileId::Segment(number) | FileId::Checkpoint(number) => number,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_directory_without_damage_is_clean_and_salvage_leaves_it_alone(
        steps in any_history(), ends in prop::collection::vec(any::<usize>(), 0..3),
    ) {
        let mut log = Log::with_starts(&steps, &ends);
        let expected = expected(&log, log.batches.len());
        for _ in 0..2 {
            let report = checked(&mut log.disk);
            prop_assert_eq!(&report.problems, &[]);
            prop_assert_eq!(&report.refusal, &None);
            prop_assert_eq!(report.messages, expected.len() as u64);
            let changes = log.disk.changes.len();
            let salvage = salvaged(&mut log.disk);
            prop_assert_eq!(salvage.losses, []);
            prop_assert_eq!(salvage.messages, report.messages);
            prop_assert_eq!(log.disk.changes.len(), changes);
            recovered(&mut log.disk);
        }
    }

    #[test]
    fn what_is_whole_in_a_damaged_log_is_kept(
        steps in any_history(),
        spots in prop::collection::vec((any::<usize>(), any::<usize>()), 1..4),
    ) {
        let mut log = Log::new(&steps);
        let (last_segment, last, last_len) = *log.batches.last().expect("a batch");
        let pristine = log.disk.clone();
        let mut lost = Places::new();
        for (file, at) in spots {
            let files = segments(&log.disk);
            let file = files[file % files.len()];
            let at = at % log.disk.bytes(file).len();
            // The last batch shows what was durable; if it is damaged, it may be taken for one that
            // was being written.
            if number(file) == last_segment && (last..last + last_len).contains(&at) {
                continue;
            }
            // With more damage in the same header, this is a newer version.
            if (8..12).contains(&at) {
                continue;
            }
            lost.extend(hurt(&pristine, number(file), at..at + 1));
            flip(&mut log.disk, file, at);
        }
        let (_, found) = messages_after(&mut log.disk);
        for place in expected(&log, log.batches.len()).difference(&lost) {
            prop_assert!(found.contains(place), "{place:?} is not in {found:?}");
        }
    }

    #[test]
    fn what_is_whole_in_damaged_segments_is_kept_and_no_more(
        steps in any_history(), ends in prop::collection::vec(any::<usize>(), 0..3),
        spots in prop::collection::vec((any::<usize>(), any::<usize>(), 1..40_usize), 1..4),
    ) {
        let mut log = Log::with_starts(&steps, &ends);
        recovered(&mut log.disk);
        let pristine = log.disk.clone();
        let mut lost = Places::new();
        let files = segments(&log.disk);
        prop_assume!(!files.is_empty());
        for (file, at, len) in spots {
            let file = files[file % files.len()];
            let at = at % log.disk.bytes(file).len();
            let end = log.disk.bytes(file).len().min(at + len);
            // What is copied already may be hurt where it was.
            lost.extend(live_hurt(&pristine, number(file), at..end));
            let mut bytes = log.disk.bytes(file).to_vec();
            let before = &pristine.bytes(file)[at..end];
            for (byte, before) in bytes[at..end].iter_mut().zip(before) {
                *byte = !before;
            }
            log.disk.put(file, bytes);
        }
        let all = expected(&log, log.batches.len());
        let is_clean = checked(&mut log.disk).is_clean();
        let (report, found) = messages_after(&mut log.disk);
        let kept: Places = all.difference(&lost).copied().collect();
        prop_assert_eq!(&found, &kept);
        prop_assert_eq!(report.is_changed, !is_clean);
        prop_assert!(report.is_changed || report.losses.is_empty());
        let told: u64 = report.losses.iter()
            .flat_map(|loss| &loss.messages)
            .map(|messages| messages.count.expect("known"))
            .sum();
        prop_assert_eq!(told, (all.len() - kept.len()) as u64);
    }

    #[test]
    fn messages_outlive_every_checkpoint(
        steps in any_history(), ends in prop::collection::vec(any::<usize>(), 0..3),
        cut in any::<usize>(), is_removed: bool,
    ) {
        let mut log = Log::with_starts(&steps, &ends);
        let state = recovered(&mut log.disk);
        prop_assume!(!segments(&log.disk).is_empty());
        let file = FileId::Checkpoint(state.next_batch);
        if is_removed {
            log.disk.remove(file);
        } else {
            let len = log.disk.bytes(file).len();
            flip(&mut log.disk, file, cut % len);
        }
        let refused = refusal(&mut log.disk);
        prop_assert!(refused.is_some());
        prop_assert!(!checked(&mut log.disk).is_clean());
        let (report, found) = messages_after(&mut log.disk);
        prop_assert!(!report.losses.is_empty());
        prop_assert!(expected(&log, log.batches.len()).is_subset(&found));
    }

    #[test]
    fn salvage_may_be_cut_off_anywhere(
        steps in any_history(), spot in any::<(usize, usize)>(), ops in 0..200_usize, seed: u64,
        is_sealed: bool,
    ) {
        let mut log = Log::new(&steps);
        if is_sealed {
            recovered(&mut log.disk);
        }
        let files = log.disk.files();
        let file = files[spot.0 % files.len()];
        let at = spot.1 % log.disk.bytes(file).len();
        flip(&mut log.disk, file, at);
        let mut once = log.disk.clone();
        match drive_salvage(usize::MAX, |op| once.carry_out(op)).expect("no limit") {
            Ok(_) => {}
            Err(_) if segments(&log.disk).is_empty() => return Ok(()),
            Err(error) => panic!("{error}"),
        }
        let (_, expected) = messages_after(&mut once);
        let _ = drive_salvage(ops, |op| log.disk.carry_out(op));
        log.disk.crash(coin(seed));
        let (_, found) = messages_after(&mut log.disk);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_directory_makes_check_or_salvage_panic(
        steps in any_history(),
        noise in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 0..20),
        cut in any::<Option<(usize, usize)>>(),
        removed in any::<Option<usize>>(),
        is_sealed: bool,
    ) {
        let mut disk = Log::new(&steps).disk;
        if is_sealed {
            recovered(&mut disk);
        }
        for (file, at, byte) in noise {
            let files = disk.files();
            let file = files[file % files.len()];
            let len = disk.bytes(file).len().max(1);
            disk.write(file, at % len, &[byte]);
        }
        let files = disk.files();
        if let Some((file, len)) = cut {
            let file = files[file % files.len()];
            let mut bytes = disk.bytes(file).to_vec();
            bytes.truncate(len % (bytes.len() + 1));
            disk.put(file, bytes);
        }
        if let Some(removed) = removed {
            disk.remove(files[removed % files.len()]);
        }
        let is_clean = checked(&mut disk).is_clean();
        prop_assert_eq!(refusal(&mut disk.clone()).is_none() || !is_clean, true);
        if let Some(Ok(_)) = drive_salvage(usize::MAX, |op| disk.carry_out(op)) {
            prop_assert!(checked(&mut disk).is_clean());
            recovered(&mut disk);
        }
    }
}

/// The live messages of a recovered directory whose record, by the index, has a byte of this range.
fn live_hurt(disk: &MemoryDisk, segment: u64, range: core::ops::Range<usize>) -> Places {
    let state = recovered(&mut disk.clone());
    let mut hurt = Places::new();
    for (number, queue) in &state.queues {
        for extent in queue.extents.iter().filter(|extent| extent.segment == segment) {
            let start = extent.index_offset as usize;
            let bytes = disk.bytes(FileId::Segment(segment));
            let part = &bytes[start..start + part_len(extent.index_count)];
            let part = decode_part(part, identity(NODE, segment), start as u64);
            for entry in part.expect("an index").1 {
                let end = (entry.offset + entry.len) as usize;
                let is_hit = range.start < end && (entry.offset as usize) < range.end;
                if is_hit && extent.is_live(entry.position) {
                    hurt.insert((number.0, entry.position));
                }
            }
        }
    }
    hurt
}

#[test]
fn a_check_says_what_there_is() {
    let mut log = Log::new(&SAMPLE);
    let report = checked(&mut log.disk);
    assert_eq!(report.segments, 2);
    assert_eq!(report.batches, log.batches.len() as u64);
    assert_eq!((report.queues, report.bindings), (2, 1));
    assert_eq!(report.messages, expected(&log, log.batches.len()).len() as u64);
    assert!(report.bytes > 12_000);
}

#[test]
fn a_problem_is_told_with_file_and_offset() {
    let mut log = Log::new(&SAMPLE);
    let (segment, offset, _) = log.batches[3];
    let at = offset + BATCH_HEADER_LEN + RECORD_HEADER_LEN;
    flip(&mut log.disk, FileId::Segment(segment), at);
    let report = checked(&mut log.disk);
    assert!(report.refusal.is_some());
    let place = (FileId::Segment(segment), offset as u64);
    assert!(report.problems.iter().any(|problem| (problem.file, problem.offset) == place));
}

#[test]
fn damage_that_nothing_alive_needs_is_told_too() {
    let mut log = Log::new(&SAMPLE);
    let (segment, offset, _) = log.batches[0];
    recovered(&mut log.disk);
    flip(&mut log.disk, FileId::Segment(segment), offset + BATCH_HEADER_LEN + 4);
    let report = checked(&mut log.disk);
    assert_eq!(report.refusal, None);
    let at = (offset + BATCH_HEADER_LEN) as u64;
    assert_eq!((report.problems.len(), report.problems[0].offset), (1, at));
    flip(&mut log.disk, FileId::Segment(segment), 20);
    assert_eq!(checked(&mut log.disk).problems.len(), 2);
    let all = expected(&log, log.batches.len());
    assert_eq!(messages_after(&mut log.disk).1, all);
}

/// It has a checksum that is right: whoever wrote it was wrong.
#[test]
fn a_segment_whose_index_says_something_else_does_not_stay() {
    let lie: [fn(&mut Vec<IndexEntry>); 3] = [
        |entries| entries[0].len += 8,
        |entries| entries[0].offset += 8,
        |entries| entries.reverse(),
    ];
    for lie in lie {
        let mut log = Log::new(&[
            Step::Publish([0, 0], 0),
            Step::Publish([0, 0], 0),
            Step::Seal,
            Step::Publish([0, 0], 0),
        ]);
        let state = recovered(&mut log.disk);
        let (number, queue) = state.queues.iter().next().expect("a queue");
        let extent = queue.extents.iter().next().expect("an extent");
        let (at, base) = (extent.index_offset as usize, u64::from(extent.index_offset));
        let (file, identity) = (FileId::Segment(extent.segment), identity(NODE, extent.segment));
        let mut bytes = log.disk.bytes(file).to_vec();
        let part = Bytes::copy_from_slice(&bytes[at..]);
        let (_, entries) = decode_part(&part, identity, base).expect("an index");
        let mut entries: Vec<IndexEntry> = entries.collect();
        lie(&mut entries);
        let mut part = BytesMut::new();
        put_part(&mut part, number.0, &entries, identity, base);
        bytes[at..at + part.len()].copy_from_slice(&part);
        log.disk.put(file, bytes);
        assert!(!checked(&mut log.disk).is_clean());
        let all = expected(&log, log.batches.len());
        assert_eq!(messages_after(&mut log.disk).1, all);
    }
}

#[test]
fn a_segment_of_which_only_zeros_are_left_is_damaged() {
    let mut log = Log::new(&SAMPLE);
    recovered(&mut log.disk);
    for file in segments(&log.disk) {
        let mut disk = log.disk.clone();
        let len = disk.bytes(file).len();
        disk.put(file, alloc::vec![0; len]);
        let report = checked(&mut disk);
        assert!(report.problems.iter().any(|problem| problem.file == file), "{file}");
    }
}

#[test]
fn what_was_being_written_when_the_broker_ended_is_not_taken_for_more() {
    let mut log = Log::new(&SAMPLE);
    let (segment, offset, len) = *log.batches.last().expect("a batch");
    // Its header is lost, its records are not; and there is damage elsewhere.
    flip(&mut log.disk, FileId::Segment(segment), offset);
    let (segment, offset, _) = log.batches[1];
    flip(&mut log.disk, FileId::Segment(segment), offset);
    assert!(len > BATCH_HEADER_LEN + RECORD_HEADER_LEN);
    let before = expected(&log, log.batches.len() - 1);
    assert_eq!(messages_after(&mut log.disk).1, before);
}

#[test]
fn a_queue_whose_declaration_is_lost_gets_a_name() {
    let mut log = Log::new(&[Step::Publish([0, 0], 0), Step::Seal, Step::Publish([0, 0], 0)]);
    let (segment, offset, len) = log.batches[0];
    flip(&mut log.disk, FileId::Segment(segment), offset + len - 20);
    let report = salvaged(&mut log.disk);
    assert_eq!((report.queues, report.unnamed_queues.len(), report.messages), (1, 1, 4));
    let state = recovered(&mut log.disk);
    let queue = state.queues.values().next().expect("a queue");
    assert_eq!(queue.declaration.name, "salvaged.0");
    assert_eq!(queue.delivered_below, queue.next_position);
}

/// Messages at these positions of a queue, which tell their places.
fn messages(queue: u64, positions: core::ops::Range<u64>) -> Vec<Fact> {
    let message = |position| {
        let body = Bytes::from(format!("{queue}:{position} "));
        Fact::Message(MessageFact {
            places: alloc::vec![Place { queue: QueueNumber(queue), position }],
            is_moved: false,
            is_volatile: false,
            message: Message {
                exchange: "x".into(),
                routing_key: "k".into(),
                properties: Properties::default(),
                body: Body::from(body),
                persistent: true,
                is_dead_letter: false,
                charge: Charge::default(),
            },
        })
    };
    positions.map(message).collect()
}

/// A check says what a start says.
fn refusal_of_both(disk: &mut MemoryDisk) -> StartError {
    let refused = refusal(disk).expect("a refusal");
    assert_eq!(checked(disk).refusal.as_ref(), Some(&refused));
    refused
}

#[test]
fn messages_of_a_queue_that_no_broker_can_have_are_kept_in_another() {
    let mut log = Log::new(&SAMPLE);
    let (file, offset) = log.add(&[queue(7, "/", "")]);
    log.add(&messages(7, 0..3));
    let before = expected(&log, SAMPLE.len() + 1);
    let refused = refusal_of_both(&mut log.disk);
    assert!(refused.to_string().contains("a name that none can have"), "{refused}");
    let (report, found) = messages_after(&mut log.disk);
    assert_eq!(report.unnamed_queues, ["salvaged.7"]);
    assert!(report.losses.iter().any(|loss| (loss.file, loss.from) == (file, offset)));
    let places = before.into_iter().chain((0..3).map(|position| (7, position)));
    assert_eq!(found, places.collect());
}

#[test]
fn a_virtual_host_of_which_nothing_tells_is_made_for_what_is_in_it() {
    let mut log = Log::new(&SAMPLE);
    log.add(&[queue(7, "/other", "q")]);
    log.add(&messages(7, 0..3));
    let before = expected(&log, SAMPLE.len() + 1);
    let refused = refusal_of_both(&mut log.disk);
    assert!(refused.to_string().contains("a virtual host that is unknown"), "{refused}");
    let (report, found) = messages_after(&mut log.disk);
    assert_eq!((report.unnamed_queues.len(), report.losses.len()), (0, 0));
    let places = before.into_iter().chain((0..3).map(|position| (7, position)));
    assert_eq!(found, places.collect());
    let state = recovered(&mut log.disk);
    assert!(state.access.vhosts.keys().eq(["/", "/other"]));
}

#[test]
fn what_was_in_a_virtual_host_that_is_deleted_is_not_salvaged() {
    let mut log = Log::new(&SAMPLE);
    let made =
        |name: &str| Fact::VhostSet(VirtualHost { name: name.into(), ..VirtualHost::default() });
    log.add(&[made("/"), made("v"), queue(7, "v", "q")]);
    log.add(&messages(7, 0..3));
    log.add(&[Fact::VhostDeleted("v".into())]);
    let before = expected(&log, SAMPLE.len() + 1);
    log.add(&[queue(8, "/", "")]);
    refusal_of_both(&mut log.disk);
    let (report, found) = messages_after(&mut log.disk);
    assert_eq!((report.unnamed_queues.len(), found), (0, before));
}

#[test]
fn a_binding_out_of_its_virtual_host_does_not_outlive_its_queue() {
    let mut log = Log::new(&SAMPLE);
    let made =
        |name: &str| Fact::VhostSet(VirtualHost { name: name.into(), ..VirtualHost::default() });
    let bound = Fact::Bound(Bound {
        vhost: "/".into(),
        source: "x".into(),
        key: "k".into(),
        target: Target::Queue(QueueNumber(7)),
        arguments: Bytes::new(),
    });
    log.add(&[made("/"), made("v"), queue(7, "v", "q")]);
    let (file, offset) = log.add(&[bound]);
    log.add(&[Fact::QueueDeleted(QueueNumber(7))]);
    let refused = refusal_of_both(&mut log.disk);
    assert!(refused.to_string().contains("a queue of another virtual host"), "{refused}");
    let (report, _) = messages_after(&mut log.disk);
    assert!(report.losses.iter().any(|loss| (loss.file, loss.from) == (file, offset)));
}

#[test]
fn of_queues_of_one_name_the_last_is_kept() {
    let mut log = Log::new(&SAMPLE);
    let before = expected(&log, SAMPLE.len() + 1);
    log.add(&[queue(9, "/", "q")]);
    log.add(&messages(9, 0..3));
    log.add(&[queue(7, "/", "q")]);
    log.add(&messages(7, 0..2));
    refusal_of_both(&mut log.disk);
    let (report, found) = messages_after(&mut log.disk);
    assert_eq!((report.queues, report.losses.len()), (3, 0));
    let places = before.into_iter().chain((0..2).map(|position| (7, position)));
    assert_eq!(found, places.collect());
}

#[test]
fn a_salvage_that_has_no_numbers_left_changes_nothing() {
    let mut log = Log::new(&SAMPLE);
    log.add(&[Fact::Delivered(QueueNumber(0), NUMBER_FREE_MAX + 1)]);
    let refused = refusal_of_both(&mut log.disk);
    let changes = log.disk.changes.len();
    let disk = &mut log.disk;
    let salvaged = drive_salvage(usize::MAX, |op| disk.carry_out(op)).expect("there is no limit");
    let error = salvaged.expect_err("no numbers are left");
    for error in [error, refused] {
        assert!(error.to_string().contains("a number leaves no room"), "{error}");
    }
    assert_eq!(log.disk.changes.len(), changes);
}

#[test]
fn a_missing_segment_is_named_with_what_was_in_it() {
    let mut log = Log::new(&[
        Step::Publish([0, 0], 0),
        Step::Seal,
        Step::Publish([0, 0], 0),
        Step::Publish([0, 0], 0),
        Step::Seal,
        Step::Publish([0, 0], 0),
    ]);
    let state = recovered(&mut log.disk);
    let segment = *state.segments.keys().nth(1).expect("a second segment");
    let count = state.segments[&segment].live;
    log.disk.remove(FileId::Segment(segment));
    let report = salvaged(&mut log.disk);
    assert_eq!(report.losses.len(), 1);
    let loss = &report.losses[0];
    assert_eq!(loss.file, FileId::Segment(segment));
    assert_eq!(loss.messages[0].queue, "q0 in virtual host /");
    assert_eq!(loss.messages[0].count, Some(count));
    assert_eq!(checked(&mut log.disk).messages, 8 - count);
}

#[test]
fn what_the_disk_does_not_read_is_damage_and_the_rest_is_kept() {
    let mut log = Log::new(&SAMPLE);
    recovered(&mut log.disk);
    let file = segments(&log.disk)[0];
    let all = expected(&log, log.batches.len());
    let disk = &mut log.disk;
    let fails = |op: &DiskOp| matches!(op, DiskOp::Read { file: of, .. } if *of == file);
    let error = || DiskResult::Failed(DiskError { is_full: false, text: "broken".into() });
    let report = drive_check(usize::MAX, |op| if fails(op) { error() } else { disk.carry_out(op) });
    let report = report.expect("no limit").expect("a report");
    assert!(report.problems.iter().any(|problem| problem.text == "broken"), "{report:?}");
    let report =
        drive_salvage(usize::MAX, |op| if fails(op) { error() } else { disk.carry_out(op) });
    let report = report.expect("no limit").expect("a report");
    assert!(report.losses.iter().any(|loss| loss.file == file));
    let kept = messages_after(&mut log.disk).1;
    assert!(kept.is_subset(&all));
    assert_eq!(kept.len() as u64, report.messages);
}

#[test]
fn values_that_are_remembered_are_counted() {
    let state = having_seen(5);
    let mut disk = MemoryDisk::default();
    let bytes = checkpoint::of_state(&state).concat();
    disk.put(FileId::Checkpoint(state.next_batch), bytes);
    let report = checked(&mut disk);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.queues, report.exchanges, report.values), (1, 1, 10));
    assert_eq!(salvaged(&mut disk).values, 10);
}
