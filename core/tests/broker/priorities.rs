//! Queues whose messages have priorities: which message is next, on disk and after a start too.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, Input};

use super::client::{World, publish_with};

/// A queue with these arguments.
fn queue(name: &str, arguments: &[(&str, FieldValue)]) -> QueueDeclare {
    let arguments = arguments.iter().map(|(name, value)| ((*name).into(), value.clone()));
    let arguments = FieldTable::new(arguments.collect());
    QueueDeclare { queue: name.into(), durable: true, arguments, ..Default::default() }
}

fn with_levels(max: i32) -> QueueDeclare {
    queue("q", &[("x-max-priority", FieldValue::I32(max))])
}

/// A persistent message to `q` with a priority.
fn message(id: ConnectionId, priority: Option<u8>, body: &'static str) -> Vec<Input> {
    let properties =
        BasicProperties { delivery_mode: Some(2), priority, ..BasicProperties::default() };
    publish_with(id, "", "q", body, properties.encode())
}

fn send(world: &mut World, id: ConnectionId, messages: &[(u8, &'static str)]) {
    for (priority, body) in messages {
        world.batch(message(id, Some(*priority), body));
    }
    world.settle();
}

/// All that `q` gives.
fn all(world: &mut World, id: ConnectionId) -> Vec<String> {
    world.heard(id);
    let mut all = Vec::new();
    loop {
        world.tell(id, 1, BasicGet { queue: "q".into(), no_ack: true, ..Default::default() });
        world.settle();
        let heard = world.heard(id);
        if heard == ["basic.get-empty"] {
            return all;
        }
        all.extend(heard);
    }
}

fn world(declare: QueueDeclare, config: &Config) -> (World, ConnectionId) {
    let mut world = World::with_disk(config.clone());
    let client = world.client();
    world.tell(client, 1, declare);
    world.settle();
    (world, client)
}

const MIXED: [(u8, &str); 7] =
    [(0, "a0"), (2, "b2"), (1, "c1"), (2, "d2"), (9, "e9"), (0, "f0"), (1, "g1")];

#[test]
fn the_highest_level_comes_first_and_order_is_kept_within_it() {
    let (mut world, client) = world(with_levels(2), &Config::default());
    send(&mut world, client, &MIXED);
    world.batch(message(client, None, "none"));
    let order = ["b2", "d2", "e9", "c1", "g1", "a0", "f0", "none"];
    assert_eq!(all(&mut world, client), order.map(|body| format!("got {body}")));
}

#[test]
fn without_the_argument_or_with_zero_there_is_one_level() {
    for declare in [queue("q", &[]), with_levels(0)] {
        let (mut world, client) = world(declare, &Config::default());
        send(&mut world, client, &MIXED);
        assert_eq!(all(&mut world, client), MIXED.map(|(_, body)| format!("got {body}")));
    }
}

#[test]
fn a_quorum_queue_has_levels_and_what_says_none_is_of_the_fifth() {
    let kind = [("x-queue-type", FieldValue::text("quorum"))];
    let (mut world, client) = world(queue("q", &kind), &Config::default());
    send(&mut world, client, &[(3, "3"), (4, "4"), (5, "5"), (31, "31"), (200, "200")]);
    world.batch(message(client, None, "none"));
    let order = ["31", "200", "5", "4", "none", "3"];
    assert_eq!(all(&mut world, client), order.map(|body| format!("got {body}")));
}

#[test]
fn what_comes_back_goes_to_its_place_within_its_level() {
    let (mut world, client) = world(with_levels(5), &Config::default());
    send(&mut world, client, &[(1, "a1"), (5, "b5"), (1, "c1"), (5, "d5")]);
    for _ in 0..3 {
        world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    }
    world.settle();
    assert_eq!(world.heard(client)[1..], ["got b5", "got d5", "got a1"]);
    send(&mut world, client, &[(5, "e5"), (3, "f3")]);
    for delivery_tag in [3, 1, 2] {
        world.tell(client, 1, BasicReject { delivery_tag, requeue: true });
    }
    let order = ["b5 again", "d5 again", "e5", "f3", "a1 again", "c1"];
    assert_eq!(all(&mut world, client), order.map(|body| format!("got {body}")));
}

#[test]
fn levels_and_places_outlive_a_start_and_every_checkpoint() {
    let config = Config { segment_len: 4096, ..Config::default() };
    let (mut world, mut client) = world(with_levels(9), &config);
    for _ in 0..3 {
        send(&mut world, client, &MIXED);
        world.restart(config.clone());
        client = world.client();
    }
    let bodies = ["e9", "b2", "d2", "c1", "g1", "a0", "f0"];
    let counts = [1, 2, 2, 2];
    let mut order = Vec::new();
    let mut rest = &bodies[..];
    for count in counts {
        let (level, others) = rest.split_at(count);
        rest = others;
        (0..3).for_each(|_| order.extend(level.iter().map(|body| format!("got {body}"))));
    }
    assert_eq!(world.broker.queues()[0].ready, 21);
    assert_eq!(all(&mut world, client), order);
    world.restart(config);
    assert_eq!(world.broker.queues()[0].ready, 0);
}

#[test]
fn a_queue_is_one_in_the_eyes_of_clients() {
    let (mut world, client) = world(with_levels(9), &Config::default());
    send(&mut world, client, &MIXED);
    world.heard(client);
    world.tell(client, 1, QueueDeclare { passive: true, ..with_levels(9) });
    world.tell(client, 1, QueueDelete { queue: "q".into(), if_empty: true, ..Default::default() });
    let text = "channel.close PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
    assert_eq!(world.heard(client), ["declare-ok q 7", text]);
    world.tell(client, 1, ChannelCloseOk::default());
    world.tell(client, 1, ChannelOpen::default());
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    world.settle();
    let queues = world.broker.queues();
    assert_eq!((queues.len(), queues[0].ready, queues[0].purged), (1, 0, 7));
    send(&mut world, client, &MIXED);
    world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    world.settle();
    assert!(world.broker.queues().is_empty());
    world.restart(Config::default());
    assert!(world.broker.queues().is_empty());
    let client = world.client();
    world.tell(client, 1, with_levels(9));
    world.settle();
    assert_eq!(all(&mut world, client), [""; 0]);
}

#[test]
fn a_full_queue_drops_what_a_consumer_would_get_next() {
    let limit = [("x-max-priority", FieldValue::I32(9)), ("x-max-length", FieldValue::I32(3))];
    let (mut world, client) = world(queue("q", &limit), &Config::default());
    send(&mut world, client, &[(1, "a1"), (1, "b1"), (5, "c5"), (0, "d0"), (0, "e0")]);
    assert_eq!(all(&mut world, client), ["got b1", "got d0", "got e0"]);
}

#[test]
fn messages_of_all_levels_expire_at_their_time_and_are_dead_lettered_in_that_order() {
    let arguments = [
        ("x-max-priority", FieldValue::I32(9)),
        ("x-message-ttl", FieldValue::I32(100)),
        ("x-dead-letter-exchange", FieldValue::text("")),
        ("x-dead-letter-routing-key", FieldValue::text("dead")),
    ];
    let (mut world, client) = world(queue("q", &arguments), &Config::default());
    world.tell(client, 1, queue("dead", &[]));
    for (priority, body) in [(1, "a1"), (0, "b0"), (5, "c5")] {
        world.batch(message(client, Some(priority), body));
        world.pass(Duration::from_millis(10));
    }
    world.settle();
    world.restart(Config::default());
    let client = world.client();
    world.pass(Duration::from_millis(300));
    world.settle();
    world.consume(client, "dead", "c");
    world.settle();
    assert_eq!(world.heard(client)[1..], ["c 1 a1", "c 2 b0", "c 3 c5"]);
}
