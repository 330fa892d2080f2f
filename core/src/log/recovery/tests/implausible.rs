//! Directories whose checksums are right and that no broker wrote: what they say cannot be.

use super::*;
use crate::amqp::FieldTable;
use crate::log::fact::{ExchangeFact, Place, QueueFact, QueueNumber, Target};
use crate::log::format::{CHECKPOINT_HEADER_LEN, NUMBER_FREE_MAX};
use crate::log::state::tests::message;

pub(in crate::log) fn queue(number: u64, vhost: &str, name: &str) -> Fact {
    Fact::QueueDeclared(QueueFact {
        number: QueueNumber(number),
        vhost: vhost.into(),
        name: name.into(),
        auto_delete: false,
        arguments: FieldTable::default(),
        lane: None,
    })
}

fn exchange(vhost: &str, name: &str, kind: &str) -> Fact {
    Fact::ExchangeDeclared(ExchangeFact {
        vhost: vhost.into(),
        name: name.into(),
        kind: kind.into(),
        auto_delete: false,
        internal: false,
        arguments: FieldTable::default(),
    })
}

fn binding(vhost: &str) -> Fact {
    Fact::Bound(Bound {
        vhost: vhost.into(),
        source: "amq.topic".into(),
        key: "key".into(),
        target: Target::Queue(QueueNumber(0)),
        arguments: Bytes::new(),
    })
}

/// A checkpoint with these facts and numbers is all there is.
fn checkpoint_alone(facts: &[Fact], next_segment: u64, next_queue: u64, number: u64) -> MemoryDisk {
    let header = CheckpointHeader {
        epoch: 1,
        node: NODE,
        next_batch: number,
        next_segment,
        next_queue,
        len: 0,
        count: 0,
    };
    let mut disk = MemoryDisk::default();
    let bytes = checkpoint::encode(header, facts.iter().cloned()).concat();
    disk.put(FileId::Checkpoint(number), bytes);
    disk
}

/// A start passes over nothing that is declared: neither messages nor routes are lost in silence.
#[test]
fn what_a_broker_cannot_have_is_refused_where_it_stands() {
    let facts = [
        (queue(7, "/other", "q"), "it is of a virtual host that is unknown"),
        (queue(7, "/", ""), "a queue has a name that none can have"),
        (queue(7, "/", "amq.rabbitmq.reply-to"), "a queue has a name that none can have"),
        (exchange("/other", "x", "topic"), "it is of a virtual host that is unknown"),
        (exchange("/", "x", "x-none"), "an exchange is of an unknown type"),
        (exchange("/", "amq.direct", "direct"), "an exchange is declared that always is"),
        (binding("/other"), "it is of a virtual host that is unknown"),
    ];
    for (fact, text) in facts {
        let mut log = Log::new(&SAMPLE);
        let (file, offset) = log.add(core::slice::from_ref(&fact));
        assert_eq!(refusal(&mut log.disk), Some(StartError::damaged(file, offset, text)));
        if let Fact::Bound(_) = fact {
            continue;
        }
        let mut disk = checkpoint_alone(&[fact], 0, 8, 5);
        let (file, offset) = (FileId::Checkpoint(5), CHECKPOINT_HEADER_LEN as u64);
        assert_eq!(refusal(&mut disk), Some(StartError::damaged(file, offset, text)));
    }
    let others = [queue(7, "/", "amq.gen-7"), exchange("/", "x", "topic"), binding("/")];
    let mut log = Log::new(&SAMPLE);
    log.add(&others);
    assert_eq!(refusal(&mut log.disk), None);
}

/// Into the same segment, which no broker does: the index has each message once, so that a queue
/// can be read by it.
#[test]
fn of_a_message_that_was_moved_within_a_segment_the_last_record_counts() {
    let moved = |position| {
        let places = alloc::vec![Place { queue: QueueNumber(0), position }];
        message(places, true, false)
    };
    // The first is alive; the second never was in the log.
    for position in [0, 9] {
        for batches in [1, 2] {
            let mut log = Log::new(&[Step::Publish([0, 0], 0)]);
            for _ in 0..batches {
                log.add(&[moved(position), moved(position)]);
            }
            let state = recovered(&mut log.disk);
            let found = essence(&state, &log.disk);
            assert_eq!(found.messages.len(), 2, "{position} {batches}");
        }
    }
}

#[test]
fn two_queues_of_one_name_are_refused_and_one_after_the_other_is_not() {
    let text = "a queue is declared under the name of another";
    let mut log = Log::new(&SAMPLE);
    log.add(&[queue(7, "/", "q"), Fact::QueueDeleted(QueueNumber(7)), queue(8, "/", "q")]);
    assert_eq!(refusal(&mut log.disk.clone()), None);
    let (file, offset) = log.add(&[queue(9, "/", "q")]);
    assert_eq!(refusal(&mut log.disk), Some(StartError::damaged(file, offset, text)));
}

#[test]
fn a_start_that_would_come_to_numbers_that_are_not_read_is_refused() {
    let text = "a number leaves no room for those that come next";
    let refused = |mut disk: MemoryDisk| match refusal(&mut disk) {
        Some(StartError::Damaged { file, text: of, .. }) if of == text => Some(file),
        None => None,
        other => panic!("{other:?}"),
    };
    let max = NUMBER_FREE_MAX;
    for (number, segment, next_queue, is_refused) in [
        (max - 1, max, max, false),
        (max, 0, 0, true),
        (5, max + 1, 0, true),
        (5, 0, max + 1, true),
    ] {
        let disk = checkpoint_alone(&[], segment, next_queue, number);
        let expected = is_refused.then_some(FileId::Checkpoint(number));
        assert_eq!(refused(disk), expected, "{number} {segment} {next_queue}");
    }
    // Of a checkpoint that was cut off, a queue's positions, a spare.
    let mut disk = Log::new(&SAMPLE).disk;
    disk.put(FileId::Checkpoint(max), Vec::new());
    assert_eq!(refused(disk), Some(FileId::Checkpoint(max)));
    let mut log = Log::new(&SAMPLE);
    let (file, _) = log.add(&[Fact::Delivered(QueueNumber(0), max + 1)]);
    assert_eq!(refused(log.disk), Some(file));
    let mut disk = MemoryDisk::default();
    disk.put(FileId::Segment(max), alloc::vec![0; PAGE]);
    assert_eq!(refused(disk), Some(FileId::Segment(max)));
}
