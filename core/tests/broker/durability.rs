//! What is on disk: answers that wait for it, writes that fail, and starts.

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, DiskOp, FileId, Input, Lane};

use super::client::{World, persist, publish};
use super::disk::{of, start};

fn method(id: ConnectionId, method: impl Into<Method>) -> Input {
    Input::Frame(id, Frame::Method(1, method.into()))
}

pub(crate) fn durable(queue: &str) -> QueueDeclare {
    QueueDeclare { queue: queue.into(), durable: true, ..Default::default() }
}

/// A broker with a durable queue, and a client.
pub(crate) fn world(config: Config) -> (World, ConnectionId) {
    let mut world = World::with_disk(config);
    let client = world.client();
    world.tell(client, 1, durable("q"));
    world.settle();
    assert_eq!(world.heard(client), ["declare-ok q 0"]);
    (world, client)
}

/// All that a queue gives.
fn all_of(world: &mut World, id: ConnectionId, queue: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        world.tell(id, 1, BasicGet { queue: queue.into(), no_ack: true, ..Default::default() });
        world.settle();
        let heard = world.heard(id);
        if heard == ["basic.get-empty"] {
            return all;
        }
        assert_eq!(heard.len(), 1, "{heard:?} after {all:?}, {:?}", world.broker.queues());
        all.extend(heard);
    }
}

#[test]
fn a_purge_of_messages_that_the_log_does_not_have_is_answered_at_once() {
    let (mut world, client) = world(Config::default());
    world.batch(publish(client, "q", "transient"));
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    world.settle();
    assert_eq!(world.heard(client), ["queue.purge-ok"]);
}

#[test]
fn a_get_that_waits_for_the_disk_waits_for_nothing_else() {
    let (mut world, client) = world(Config::default());
    world.write(persist(client, "q", "1"));
    world.settle();
    world.restart(Config::default());
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q"), ["got 1"]);
}

#[test]
fn a_message_settled_while_its_batch_could_not_be_written_takes_no_other_with_it() {
    let (mut world, client) = world(Config::default());
    world.consume(client, "q", "c");
    world.heard(client);
    let batch = ["1", "2", "3"].into_iter().flat_map(|body| persist(client, "q", body));
    world.write(batch.collect::<Vec<_>>());
    assert_eq!(world.heard(client), ["c 1 1", "c 2 2", "c 3 3"]);
    world.tell(client, 1, BasicAck { delivery_tag: 2, multiple: false });
    assert!(world.step(of(Lane::Log), true), "the write fails");
    assert!(world.step(of(Lane::Log), false), "the sync has nothing to fail at");
    world.settle();
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    world.settle();
    world.restart(Config::default());
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q"), ["got 3 again"]);
}

#[test]
fn what_was_handed_out_of_a_queue_as_new_as_itself_is_redelivered_after_a_start() {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    let consume = BasicConsume { queue: "q".into(), ..Default::default() };
    let mut batch = vec![method(client, durable("q")), method(client, consume)];
    batch.extend(persist(client, "q", "1"));
    world.write(batch);
    world.settle();
    assert!(world.heard(client).last().is_some_and(|last| last.ends_with(" 1 1")));
    world.restart(Config::default());
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q"), ["got 1 again"]);
}

#[test]
fn a_checkpoint_made_with_a_second_attempt_at_a_batch_holds_nothing_of_what_gathered_since() {
    let config = Config { segment_len: 4096, ..Config::default() };
    let (mut world, client) = world(config.clone());
    let large: &str = Box::leak("x".repeat(8000).into_boxed_str());
    world.write(persist(client, "q", large));
    assert!(world.step(of(Lane::Log), true), "the write fails");
    world.write(persist(client, "q", "2"));
    world.tell(client, 1, durable("new"));
    assert!(world.step(of(Lane::Log), false), "the sync has nothing to fail at");
    world.settle();
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    world.restart(config);
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q").len(), 2);
    assert_eq!(all_of(&mut world, client, "new"), [""; 0]);
}

/// Does what the disk is asked for, but that no file of which `is_refused` holds can be made. The
/// disk is said to have room so many operations after the first that failed.
fn refuse(world: &mut World, is_refused: impl Fn(FileId) -> bool, room_after: usize) {
    let mut since = None;
    for _ in 0..40 {
        let Some(next) = world.disk.requests.front() else { break };
        let fails = matches!(next.op, DiskOp::Create { file, .. } if is_refused(file));
        world.step(|_| true, fails);
        if fails && since.is_none() {
            since = Some(0);
        }
        if since == Some(room_after) {
            world.input(Input::DiskFree(u64::MAX));
        }
        since = since.map(|since| since + 1);
    }
    assert!(since.is_some(), "nothing was refused");
}

#[test]
fn an_old_checkpoint_stays_until_a_new_one_is_whole_whenever_room_is_reported() {
    let config = Config { segment_len: 4096, ..Config::default() };
    let large: &str = Box::leak("x".repeat(8000).into_boxed_str());
    for room_after in 0..8 {
        let (mut world, client) = world(config.clone());
        world.write(persist(client, "q", large));
        refuse(&mut world, |file| matches!(file, FileId::Checkpoint(_)), room_after);
        assert!(!world.is_halted(), "{room_after}");
        let started = start(&config, world.disk.files.clone());
        assert!(started.is_ok(), "{room_after}: {:?}", started.err());
    }
}

#[test]
fn a_segment_that_could_not_be_made_is_not_taken_for_one_that_is_there() {
    let (mut world, client) = world(Config { segment_len: 4096, ..Config::default() });
    let large: &str = Box::leak("x".repeat(8000).into_boxed_str());
    world.write(persist(client, "q", large));
    world.settle();
    // This takes the segment that is there; the next cannot be made.
    world.write(persist(client, "q", large));
    assert!(world.step(of(Lane::Background), true));
    world.input(Input::DiskFree(u64::MAX));
    assert!(world.step(of(Lane::Background), false), "the end of what failed");
    while world.step(of(Lane::Log), false) {}
    world.tell(client, 1, durable("other"));
    let is_write = |op: &DiskOp| matches!(op, DiskOp::Write { .. });
    let requests = &world.disk.requests;
    assert!(!requests.iter().any(|request| request.lane == Lane::Log && is_write(&request.op)));
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    assert_eq!(world.heard(client), ["declare-ok other 0"]);
    assert_eq!(all_of(&mut world, client, "q").len(), 2);
}

#[test]
fn a_segment_that_grew_while_another_was_sealed_is_sealed_once_that_is_over() {
    let config = Config { memory_max: 1 << 40, ..Config::default() };
    let (mut world, client) = world(config);
    world.disk.is_sink = true;
    let large: &str = Box::leak("x".repeat(16 << 20).into_boxed_str());
    // Nothing but batches is done: the first segment is not sealed, the second grows.
    for _ in 0..3 {
        world.write(persist(client, "q", large));
        while world.step(of(Lane::Log), false) {}
    }
    assert!(world.step(of(Lane::Background), false), "the first part of a sealing");
    for _ in 0..70 {
        world.write(persist(client, "q", large));
        while world.step(of(Lane::Log), false) {}
    }
    world.settle();
    world.heard(client);
    world.tell(client, 1, durable("other"));
    world.settle();
    assert_eq!(world.heard(client), ["declare-ok other 0"]);
}

#[test]
fn what_is_moved_out_of_memory_goes_in_batches_of_the_usual_size() {
    let config = Config {
        memory_max: 100_000,
        queue_window: 1 << 30,
        log_pending_max: 60_000,
        ..Config::default()
    };
    let (mut world, client) = world(config);
    let large: &str = Box::leak("x".repeat(4000).into_boxed_str());
    world.tell(client, 1, durable("other"));
    world.settle();
    // Half of the memory is for what is not written. More is, and some of that must go, too.
    for queue in ["q"; 11].into_iter().chain(["other"; 13]) {
        world.batch(publish(client, queue, large));
    }
    world.write([]);
    let mut longest = 0;
    let mut written = 0;
    while let Some(next) = world.disk.requests.front() {
        if let DiskOp::Write { data, .. } = &next.op {
            let len: usize = data.iter().map(|piece| piece.len()).sum();
            longest = longest.max(len);
            written += len;
        }
        world.step(|_| true, false);
    }
    assert!(written > 14 * 4000, "{written}");
    assert!(longest < 60_000 + 4400, "{longest}");
}

#[test]
fn with_little_memory_a_message_is_on_disk_for_all_its_queues() {
    let (mut world, client) = world(Config { memory_max: 1, ..Config::default() });
    world.tell(client, 1, QueueDeclare { queue: "transient".into(), ..Default::default() });
    for queue in ["q", "transient"] {
        let exchange = "amq.fanout".into();
        world.tell(client, 1, QueueBind { queue: queue.into(), exchange, ..Default::default() });
    }
    world.settle();
    let mut frames = persist(client, "", "m1");
    if let Input::Frame(_, Frame::Method(_, Method::BasicPublish(publish))) = &mut frames[0] {
        publish.exchange = "amq.fanout".into();
    }
    world.write(frames);
    world.settle();
    world.heard(client);
    assert_eq!(world.broker.memory(), 0);
    assert_eq!(all_of(&mut world, client, "transient").len(), 1);
    world.restart(Config::default());
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q").len(), 1);
}

#[test]
fn an_open_transaction_makes_nobody_wait_and_has_its_own_limit() {
    let large: &str = Box::leak("x".repeat(50_000).into_boxed_str());
    let (mut world, client) = world(Config { memory_max: 100_000, ..Config::default() });
    let other = world.client();
    world.tell(other, 1, TxSelect {});
    for _ in 0..20 {
        world.batch(publish(other, "q", large));
    }
    world.batch(publish(client, "q", "m1"));
    assert_eq!(world.broker.parked(), []);
    world.heard(other);
    world.batch(publish(other, "q", large));
    let text = "transactions that are not committed take too much memory";
    assert_eq!(world.heard(other), [format!("channel.close PRECONDITION_FAILED - {text}")]);
    assert_eq!(all_of(&mut world, client, "q").len(), 1);
}

#[test]
fn transactions_do_not_pile_up_before_a_disk_that_is_behind() {
    let (mut world, client) = world(Config { log_pending_max: 10_000, ..Config::default() });
    let large: &str = Box::leak("x".repeat(8000).into_boxed_str());
    let others: Vec<_> = (0..4).map(|_| world.client()).collect();
    for other in &others {
        world.tell(*other, 1, TxSelect {});
        world.write(persist(*other, "q", large));
        world.write(persist(*other, "q", large));
    }
    // The first is being written, the second waits and is enough.
    for other in &others {
        world.tell(*other, 1, TxCommit {});
        world.heard(*other);
    }
    assert_eq!(world.broker.parked().len(), 3);
    world.settle();
    for other in &others {
        assert_eq!(world.heard(*other), ["tx.commit-ok"]);
    }
    assert_eq!(all_of(&mut world, client, "q").len(), 8);
}

/// How many segments' files there are.
fn segments(world: &World) -> usize {
    world.disk.files.keys().filter(|file| matches!(file, FileId::Segment(_))).count()
}

/// Puts so many messages of 1,000 bytes into queues, one in ten into this one.
fn fill(world: &mut World, client: ConnectionId, tenth: &'static str, count: usize) {
    let body: &str = Box::leak("x".repeat(1000).into_boxed_str());
    for n in 0..count {
        world.write(persist(client, if n % 10 == 0 { tenth } else { "q" }, body));
        world.settle();
    }
}

#[test]
fn what_little_lives_in_many_segments_does_not_keep_them() {
    let config = Config { segment_len: 16 << 10, ..Config::default() };
    let (mut world, client) = world(config.clone());
    world.tell(client, 1, durable("kept"));
    fill(&mut world, client, "kept", 400);
    world.heard(client);
    assert!(segments(&world) > 25);
    // They are gone as soon as a checkpoint is behind them.
    assert_eq!(all_of(&mut world, client, "q").len(), 360);
    fill(&mut world, client, "kept", 100);
    assert!(segments(&world) < 25, "{} segments", segments(&world));
    world.restart(config);
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "kept").len(), 50);
}

#[test]
fn a_queue_that_is_read_in_order_is_not_copied() {
    let config = Config { segment_len: 16 << 10, ..Config::default() };
    let (mut world, client) = world(config);
    fill(&mut world, client, "q", 400);
    let before = world.disk.written;
    assert_eq!(all_of(&mut world, client, "q").len(), 400);
    let written = world.disk.written - before;
    assert!(written < 100_000, "{written} bytes");
}

#[test]
fn a_queue_that_is_read_in_order_reserves_ever_more_to_hand_out() {
    let (mut world, client) = world(Config::default());
    for _ in 0..80 {
        world.write((0..100).flat_map(|_| persist(client, "q", "x")));
        world.settle();
    }
    let before = world.broker.log_position().0;
    let no_ack = BasicConsume { queue: "q".into(), no_ack: true, ..Default::default() };
    world.tell(client, 1, no_ack);
    let mut came = 0;
    while came < 8000 {
        world.settle();
        world.input(Input::EgressLen(client, 0));
        came += world.heard(client).iter().filter(|heard| heard.contains(" x")).count();
    }
    let batches = world.broker.log_position().0 - before;
    assert!(batches < 10, "{batches} batches");
}
