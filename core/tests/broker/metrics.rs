//! What is measured of the broker as a whole.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::metrics::{DeadLetterStrategy, Deaths};
use warren_core::{Config, ConnectionId, Lane};

use super::client::{World, persist, publish_with};
use super::disk::of;
use super::durability;

fn letters() -> (&'static str, FieldValue) {
    ("x-dead-letter-exchange", FieldValue::text("amq.fanout"))
}

fn declare<const N: usize>(
    world: &mut World,
    id: ConnectionId,
    name: &str,
    arguments: [(&str, FieldValue); N],
) {
    let entries = arguments.map(|(key, value)| (key.into(), value));
    let arguments = FieldTable::new(entries.into());
    let queue = name.into();
    world.tell(id, 1, QueueDeclare { queue, durable: true, arguments, ..Default::default() });
}

#[test]
fn messages_are_counted_by_size_and_by_where_they_went() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    assert_eq!(world.broker.metrics().publishers, 0);
    for body in ["", "x", Box::leak("y".repeat(101).into_boxed_str())] {
        world.publish(client, "q", body);
    }
    world.publish(client, "nowhere", "z");
    let metrics = world.broker.metrics();
    let sizes: Vec<_> = metrics.message_sizes.cumulative().take(3).collect();
    assert_eq!(sizes, [(100, 3), (1000, 4), (10_000, 4)]);
    assert_eq!(metrics.message_sizes.sum(), 103);
    let traffic = metrics.traffic;
    assert_eq!((traffic.published, traffic.routed, traffic.returned), (4, 3, 1));
    assert_eq!((metrics.publishers, metrics.queues.classic.ready), (1, 3));
    world.tell(client, 1, ChannelClose::default());
    assert_eq!(world.broker.metrics().publishers, 0);
}

#[test]
fn deaths_are_counted_by_their_reason_and_by_what_becomes_of_the_dead() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let one = || ("x-max-length", FieldValue::I32(1));
    declare(&mut world, client, "dropped", [one()]);
    declare(&mut world, client, "sent", [letters(), one()]);
    let quorum = ("x-queue-type", FieldValue::text("quorum"));
    declare(&mut world, client, "quorum", [letters(), quorum]);
    for key in ["dropped", "dropped", "sent", "sent", "sent", "quorum"] {
        world.publish(client, key, "x");
    }
    world.tell(client, 1, BasicGet { queue: "quorum".into(), ..Default::default() });
    world.tell(client, 1, BasicReject { delivery_tag: 1, requeue: false });
    world.tell(client, 1, BasicGet { queue: "quorum".into(), ..Default::default() });
    let queues = world.broker.queue_sums();
    let [disabled, at_most_once, at_least_once] = queues.classic.deaths;
    assert_eq!(disabled, Deaths { maxlen: 1, ..Deaths::default() });
    assert_eq!(at_most_once, Deaths { maxlen: 2, ..Deaths::default() });
    assert_eq!(at_least_once, Deaths::default());
    let of_quorum = queues.quorum.deaths[DeadLetterStrategy::AtMostOnce as usize];
    assert_eq!(of_quorum, Deaths { rejected: 1, ..Deaths::default() });
    assert_eq!((queues.quorum.counters.got, queues.quorum.get_empty), (1, 1));
    assert_eq!((queues.classic.ready, queues.quorum.ready), (2, 0));
    assert_eq!(queues.classic.lost_letters, 2, "nothing is bound to the exchange");
}

#[test]
fn messages_that_wait_for_their_time_are_apart_from_those_in_queues() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    let headers = FieldTable::new(vec![("x-delay".into(), FieldValue::I32(1000))]);
    let properties = BasicProperties { headers: Some(headers), ..Default::default() };
    world.batch(publish_with(client, "", "q", "x", properties.encode()));
    let queues = world.broker.queue_sums();
    assert_eq!((queues.delayed.ready, queues.classic.ready), (1, 0));
    world.pass(Duration::from_secs(2));
    let queues = world.broker.queue_sums();
    assert_eq!((queues.delayed.ready, queues.classic.ready), (0, 1));
}

#[test]
fn batches_of_the_log_and_who_waits_for_them_are_measured() {
    let (mut world, client) = durability::world(Config::default());
    let before = world.broker.metrics().log;
    world.tell(client, 1, ConfirmSelect::default());
    world.write(persist(client, "q", "one"));
    world.write(persist(client, "q", "two"));
    assert_eq!(world.broker.metrics().gate_waiters, 2, "for two batches");
    while world.step(of(Lane::Log), false) {}
    world.settle();
    let metrics = world.broker.metrics();
    let (log, batches) = (metrics.log, before.batch_bytes.count() + 2);
    assert_eq!(log.batch_bytes.count(), batches);
    assert_eq!(log.batch_records.count(), batches);
    assert_eq!(log.batch_waiters.count(), batches);
    assert_eq!(log.batch_waiters.sum(), before.batch_waiters.sum() + 2);
    assert!(log.batch_bytes.sum() > before.batch_bytes.sum());
    assert_eq!((metrics.gate_waiters, log.pending_bytes), (0, 0));
    assert!(log.segments > 0 && log.bytes > 0 && log.live_bytes > 0, "{log:?}");
    assert_eq!((metrics.traffic.logins, metrics.traffic.logins_refused), (1, 0));
}
