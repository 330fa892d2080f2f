//! Who waits for the disk, who does not, and what it costs the broker.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{
    Command, CommandId, Config, ConnectionId, DiskOp, DiskRequest, Input, Lane, ResourceLimits,
};

use super::client::{World, persist, persist_to};
use super::disk::of;
use super::durability::{durable, world};

#[test]
fn a_disk_that_turns_out_to_be_full_has_room_for_what_consumers_need() {
    let (mut world, client) = world(Config { segment_len: 64 << 10, ..Config::default() });
    let large: &str = Box::leak("x".repeat(4000).into_boxed_str());
    let is_making = |request: &DiskRequest| matches!(request.op, DiskOp::Create { .. });
    // It takes its time to make a file, in which others are written to.
    for _ in 0..40 {
        world.write(persist(client, "q", large));
        let is_before = |request: &&DiskRequest| !is_making(request);
        let count = world.disk.requests.iter().take_while(is_before).count();
        for _ in 0..count {
            world.step(|_| true, false);
        }
        while world.step(of(Lane::Log), false) {}
    }
    // In the end there is no room for one.
    let go_on = |world: &mut World| {
        while let Some(next) = world.disk.requests.front() {
            let fails = is_making(next);
            world.step(|_| true, fails);
        }
    };
    go_on(&mut world);
    let waiting: usize = world.broker.parked().iter().map(|(_, _, frames)| frames / 3).sum();
    let consumer = world.client();
    world.consume(consumer, "q", "c");
    go_on(&mut world);
    assert_eq!(world.heard(consumer).len(), 1 + 40 - waiting, "all that was let in is delivered");
    world.tell(consumer, 1, BasicAck { delivery_tag: 0, multiple: true });
    world.pass(Duration::from_millis(20));
    go_on(&mut world);
    let (position, durable) = world.broker.log_position();
    assert_eq!(position, durable + 1, "the acks are on disk");
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    assert_eq!(world.broker.parked(), []);
}

#[test]
fn limits_of_memory_and_disk_change_at_once() {
    let (mut world, client) = world(Config { disk_free_min: 100, ..Config::default() });
    let limit = |world: &mut World, memory_max, disk_free_min| {
        let limits = ResourceLimits { memory_max, disk_free_min };
        let command = Box::new(Command::SetResourceLimits(limits));
        world.input(Input::Command(CommandId(0), command));
    };
    world.declare(client, "t");
    world.publish(client, "t", "in memory");
    world.input(Input::DiskFree(1000));
    assert_eq!(world.broker.alarms(), (false, false));
    limit(&mut world, Some(1), None);
    assert_eq!(world.broker.alarms(), (true, false));
    world.publish(client, "t", "waits");
    assert_eq!(world.broker.parked().len(), 1);
    limit(&mut world, Some(1 << 20), None);
    assert_eq!(world.broker.alarms(), (false, false));
    assert_eq!(world.broker.parked(), []);
    limit(&mut world, None, Some(1001));
    assert_eq!(world.broker.alarms(), (false, true), "by what was reported last");
    limit(&mut world, None, Some(1000));
    assert_eq!(world.broker.alarms(), (false, false));
    let limits = ResourceLimits { memory_max: Some(1 << 20), disk_free_min: Some(1000) };
    assert_eq!(world.broker.resource_limits(), limits);
}

#[test]
fn nothing_more_is_asked_by_a_client_whose_answers_wait_for_the_disk() {
    let (mut world, _) = world(Config { egress_len_max: 10_000, ..Config::default() });
    let client = world.client_with(Duration::from_secs(10));
    world.tell(client, 1, durable("new"));
    let mut asked = 1;
    while !world.broker.is_paused(client) && asked < 10_000 {
        world.tell(client, 1, QueueDeclare { passive: true, ..durable("new") });
        asked += 1;
    }
    assert!(asked < 200, "{asked} answers wait");
    assert_eq!(world.heard(client), ["pause"]);
    // It cannot be heard: its silence means nothing.
    world.pass(Duration::from_secs(60));
    assert!(world.heard(client).iter().all(|heard| heard == "heartbeat"));
    world.settle();
    let heard = world.heard(client);
    assert_eq!(heard.iter().filter(|heard| heard.starts_with("declare-ok new")).count(), asked);
    world.input(Input::EgressLen(client, 0));
    assert!(!world.broker.is_paused(client));
    world.pass(Duration::from_secs(19));
    assert!(world.heard(client).iter().all(|heard| heard == "resume" || heard == "heartbeat"));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.heard(client).last().map(String::as_str), Some("closed"));
}

#[test]
fn what_another_client_ended_is_over_once_that_is_on_disk() {
    let (mut world, one) = world(Config::default());
    let other = world.client();
    let exchange = ExchangeDeclare {
        exchange: "x".into(),
        kind: "direct".into(),
        durable: true,
        ..Default::default()
    };
    let bind = QueueBind { queue: "q".into(), exchange: "x".into(), ..Default::default() };
    let unbind = || QueueUnbind { queue: "q".into(), exchange: "x".into(), ..Default::default() };
    let purge = || QueuePurge { queue: "q".into(), ..Default::default() };
    let delete = || QueueDelete { queue: "q".into(), ..Default::default() };
    let delete_exchange = || ExchangeDelete { exchange: "x".into(), ..Default::default() };
    let cases: [(Method, Method); 7] = [
        (unbind().into(), unbind().into()),
        (purge().into(), purge().into()),
        (delete().into(), delete().into()),
        (delete().into(), unbind().into()),
        (delete_exchange().into(), delete_exchange().into()),
        (delete_exchange().into(), unbind().into()),
        (unbind().into(), TxCommit {}.into()),
    ];
    world.tell(other, 1, TxSelect {});
    for (ended, asked) in cases {
        world.tell(one, 1, durable("q"));
        world.tell(one, 1, exchange.clone());
        world.tell(one, 1, bind.clone());
        world.write(persist(one, "q", "1"));
        world.settle();
        world.heard(one);
        world.heard(other);
        world.tell(one, 1, ended.clone());
        if matches!(asked, Method::TxCommit(_)) {
            world.batch(persist_to(other, "x", "", "2"));
        }
        world.tell(other, 1, asked.clone());
        let heard = (world.heard(one), world.heard(other));
        assert!(heard.0.is_empty(), "{ended:?}: {heard:?}");
        assert!(heard.1.iter().all(|heard| heard == "return 2"), "{ended:?}: {heard:?}");
        world.settle();
        assert_eq!(world.heard(other).len(), 1, "{ended:?} {asked:?}");
    }
}

#[test]
fn a_confirm_of_what_has_nowhere_to_go_waits_until_that_is_certain() {
    let (mut world, one) = world(Config::default());
    let other = world.client();
    world.tell(other, 1, ConfirmSelect::default());
    world.heard(other);
    world.tell(one, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    world.batch(persist(other, "q", "lost"));
    assert_eq!(world.heard(other), ["return lost"]);
    world.settle();
    assert_eq!(world.heard(other), ["ack 1"]);
    world.batch(persist(other, "q", "lost"));
    assert_eq!(world.heard(other), ["return lost", "ack 2"]);
}

#[test]
fn what_could_not_be_written_counts_as_what_waits_to_be() {
    let (mut world, client) = world(Config { log_pending_max: 10_000, ..Config::default() });
    let large: &str = Box::leak("x".repeat(12_000).into_boxed_str());
    world.write(persist(client, "q", large));
    assert!(world.step(of(Lane::Log), true), "the write fails");
    assert!(world.step(of(Lane::Log), false), "the sync has nothing to fail at");
    let other = world.client();
    world.tell(other, 1, durable("new"));
    assert_eq!(world.broker.parked(), [(other, 1, 1)]);
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    assert_eq!(world.heard(other), ["declare-ok new 0"]);
}

#[test]
fn the_last_word_of_a_client_that_had_to_wait_is_read() {
    let (mut world, client) = world(Config { egress_len_max: 10_000, ..Config::default() });
    let large: &str = Box::leak("x".repeat(8000).into_boxed_str());
    world.input(Input::DiskFree(0));
    world.batch(persist(client, "q", large));
    world.batch(persist(client, "q", large));
    assert_eq!(world.heard(client), ["pause"]);
    world.input(Input::Shutdown("out of beer".into()));
    let heard = world.heard(client);
    assert_eq!(heard, ["connection.close CONNECTION_FORCED - out of beer", "resume"]);
    world.tell(client, 0, ConnectionCloseOk {});
    assert_eq!(world.heard(client), ["closed"]);
}

/// A client that was given three messages, has acked the first, and waits with publishing another.
fn waiting_publisher() -> (World, ConnectionId) {
    let (mut world, client) = world(Config::default());
    world.consume(client, "q", "c");
    world.write((0..3).flat_map(|_| persist(client, "q", "x")).collect::<Vec<_>>());
    world.settle();
    world.input(Input::DiskFree(0));
    world.batch(persist(client, "q", "y"));
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(world.broker.parked(), [(client, 1, 3)], "acks go on");
    assert_eq!(world.broker.queues()[0].unacked, 2);
    (world, client)
}

#[test]
fn an_ack_does_not_overtake_the_transaction_that_it_belongs_to() {
    let (mut world, client) = waiting_publisher();
    world.tell(client, 1, TxSelect {});
    world.tell(client, 1, BasicAck { delivery_tag: 2, multiple: false });
    world.tell(client, 1, TxRollback {});
    world.heard(client);
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    assert_eq!(world.heard(client), ["tx.select-ok", "tx.rollback-ok", "c 4 y"]);
    assert_eq!(world.broker.queues()[0].unacked, 3);
}

#[test]
fn an_ack_of_all_there_is_does_not_overtake_a_get() {
    let (mut world, client) = waiting_publisher();
    world.tell(client, 1, BasicCancel { consumer_tag: "c".into(), ..Default::default() });
    world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    world.tell(client, 1, BasicAck { delivery_tag: 2, multiple: false });
    assert_eq!(world.broker.queues()[0].unacked, 1, "it was given this one");
    world.tell(client, 1, BasicAck { delivery_tag: 0, multiple: true });
    world.heard(client);
    world.input(Input::DiskFree(u64::MAX));
    world.settle();
    assert_eq!(world.heard(client), ["basic.cancel-ok", "got y"]);
    assert_eq!((world.broker.queues()[0].ready, world.broker.queues()[0].unacked), (0, 0));
}
