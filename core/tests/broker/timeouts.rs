//! Deliveries that are not acknowledged in time (`x-consumer-timeout`).

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId};

use super::client::World;

const SECOND: Duration = Duration::from_secs(1);

fn timeout(millis: i64) -> FieldTable {
    FieldTable::new(vec![("x-consumer-timeout".into(), FieldValue::I64(millis))])
}

/// A world with a queue "q" of these arguments.
fn world_with(consumer_timeout: Option<Duration>, arguments: FieldTable) -> (World, ConnectionId) {
    let mut world = World::new(Config { consumer_timeout, ..Config::default() });
    let client = world.client();
    world.tell(client, 1, QueueDeclare { queue: "q".into(), arguments, ..Default::default() });
    world.heard(client);
    (world, client)
}

fn consume(world: &mut World, client: ConnectionId, tag: &str, arguments: FieldTable) {
    let (queue, consumer_tag) = ("q".into(), tag.into());
    let consume =
        BasicConsume { queue, consumer_tag, arguments, nowait: true, ..Default::default() };
    world.tell(client, 1, consume);
}

fn ack(world: &mut World, client: ConnectionId, delivery_tag: u64, multiple: bool) {
    world.tell(client, 1, BasicAck { delivery_tag, multiple });
}

#[test]
fn an_overdue_delivery_goes_back_and_its_consumer_is_cancelled() {
    let (mut world, client) = world_with(None, timeout(1000));
    consume(&mut world, client, "slow", FieldTable::default());
    world.publish(client, "q", "1");
    world.pass(SECOND / 2);
    world.publish(client, "q", "2");
    assert_eq!(world.heard(client), ["slow 1 1", "slow 2 2"]);
    world.pass(SECOND / 2);
    assert_eq!(world.heard(client), ["basic.cancel"]);
    let queue = &world.broker.queues()[0];
    assert_eq!((queue.ready, queue.unacked, queue.consumers), (1, 1, 0));
    // The other has half a second more, in which it is acknowledged.
    ack(&mut world, client, 2, false);
    world.pass(SECOND);
    consume(&mut world, client, "next", FieldTable::default());
    assert_eq!(world.heard(client), ["next 3 1 again"]);
    assert_eq!(world.broker.queues()[0].acked, 1);
}

#[test]
fn what_is_taken_back_goes_to_its_place() {
    let (mut world, client) = world_with(Some(SECOND), FieldTable::default());
    let other = world.client();
    for body in ["1", "2", "3"] {
        world.publish(client, "q", body);
    }
    world.tell(client, 1, BasicQos { prefetch_size: 0, prefetch_count: 2, global: false });
    consume(&mut world, client, "slow", FieldTable::default());
    world.pass(SECOND);
    consume(&mut world, other, "next", FieldTable::default());
    assert_eq!(world.heard(other), ["next 1 1 again", "next 2 2 again", "next 3 3"]);
}

#[test]
fn a_late_acknowledgement_means_nothing_once() {
    let (mut world, client) = world_with(Some(SECOND), FieldTable::default());
    consume(&mut world, client, "slow", FieldTable::default());
    world.publish(client, "q", "1");
    world.pass(SECOND);
    world.heard(client);
    ack(&mut world, client, 1, false);
    assert_eq!(world.broker.queues()[0].ready, 1);
    ack(&mut world, client, 1, false);
    let refused = "channel.close PRECONDITION_FAILED - unknown delivery tag 1";
    assert_eq!(world.heard(client), [refused]);
}

#[test]
fn a_late_acknowledgement_of_many_is_for_those_that_are_left() {
    let (mut world, client) = world_with(None, FieldTable::default());
    consume(&mut world, client, "patient", FieldTable::default());
    world.publish(client, "q", "1");
    world.tell(client, 1, BasicCancel { consumer_tag: "patient".into(), nowait: true });
    consume(&mut world, client, "slow", timeout(1000));
    world.publish(client, "q", "2");
    world.pass(SECOND);
    ack(&mut world, client, 2, true);
    let queue = &world.broker.queues()[0];
    assert_eq!((queue.ready, queue.unacked, queue.acked), (1, 0, 1));
}

#[test]
fn the_channel_of_who_cannot_be_told_is_closed() {
    let mut world = World::new(Config { consumer_timeout: Some(SECOND), ..Config::default() });
    let client = world.plain_client();
    world.declare(client, "q");
    consume(&mut world, client, "slow", FieldTable::default());
    world.publish(client, "q", "1");
    world.heard(client);
    world.pass(SECOND);
    assert_eq!(
        world.heard(client),
        ["channel.close PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. \
          Timeout value used: 1000 ms. This timeout value can be configured, see consumers doc \
          guide to learn more"]
    );
    assert_eq!(world.broker.queues()[0].ready, 1);
}

#[test]
fn what_the_consumer_says_counts_and_then_what_its_queue_says() {
    for (of_consumer, of_queue, usual, overdue_after) in [
        (Some(3000), Some(1000), Some(SECOND), Some(3)),
        (None, Some(2000), Some(SECOND), Some(2)),
        (None, None, Some(SECOND), Some(1)),
        (Some(0), Some(1000), Some(SECOND), None),
        (None, Some(0), Some(SECOND), None),
        (None, None, None, None),
    ] {
        let arguments = |millis: Option<i64>| millis.map_or_else(FieldTable::default, timeout);
        let (mut world, client) = world_with(usual, arguments(of_queue));
        consume(&mut world, client, "slow", arguments(of_consumer));
        world.publish(client, "q", "1");
        let mut is_back = |after: u64| {
            world.pass(SECOND);
            (world.broker.queues()[0].ready == 1).then_some(after)
        };
        assert_eq!((1..=5).find_map(&mut is_back), overdue_after, "{of_consumer:?} {of_queue:?}");
    }
}

#[test]
fn a_message_that_was_asked_for_goes_back_too() {
    let (mut world, client) = world_with(Some(SECOND), FieldTable::default());
    world.publish(client, "q", "1");
    world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    world.pass(SECOND);
    assert_eq!(world.heard(client), ["got 1"]);
    assert_eq!(world.broker.queues()[0].ready, 1);
    ack(&mut world, client, 1, false);
    assert_eq!(world.heard(client), [""; 0]);
}

#[test]
fn an_acknowledgement_in_a_transaction_is_in_time() {
    let (mut world, client) = world_with(Some(SECOND), FieldTable::default());
    world.tell(client, 1, TxSelect {});
    consume(&mut world, client, "slow", FieldTable::default());
    world.publish(client, "q", "1");
    world.tell(client, 1, TxCommit {});
    ack(&mut world, client, 1, false);
    world.pass(SECOND * 3 / 2);
    assert_eq!(world.broker.queues()[0].unacked, 1);
    world.tell(client, 1, TxRollback {});
    world.pass(SECOND - Duration::from_millis(1));
    assert_eq!(world.broker.queues()[0].unacked, 1, "it has its time once more");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.broker.queues()[0].ready, 1);
}

#[test]
fn the_next_takes_over_where_one_is_served_at_a_time() {
    let arguments = FieldTable::new(vec![
        ("x-single-active-consumer".into(), FieldValue::Bool(true)),
        ("x-consumer-timeout".into(), FieldValue::I32(1000)),
    ]);
    let (mut world, client) = world_with(None, arguments);
    consume(&mut world, client, "slow", FieldTable::default());
    consume(&mut world, client, "next", FieldTable::default());
    world.publish(client, "q", "1");
    world.pass(SECOND);
    assert_eq!(world.heard(client), ["slow 1 1", "basic.cancel", "next 2 1 again"]);
}

#[test]
fn a_timeout_that_makes_no_sense_is_refused() {
    let (mut world, client) = world_with(None, FieldTable::default());
    consume(&mut world, client, "slow", timeout(-1));
    assert_eq!(
        world.heard(client),
        ["channel.close PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'q' in \
          vhost '/': {value_negative,-1}"]
    );
}

#[test]
fn who_acknowledges_in_time_leaves_no_timer_behind() {
    let (mut world, client) = world_with(Some(SECOND), FieldTable::default());
    consume(&mut world, client, "quick", FieldTable::default());
    for tag in 1..=100 {
        world.publish(client, "q", "1");
        ack(&mut world, client, tag, false);
    }
    // The time for its handshake is over then, too.
    world.pass(SECOND * 10);
    assert_eq!(world.broker.poll_timeout(), None);
    assert_eq!(world.broker.queues()[0].acked, 100);
}
