//! Deliveries: turns, prefetch, requeue, egress credit.

use warren_core::amqp::*;
use warren_core::{Config, Input};

use super::client::World;

/// A body far beyond the limits that the tests set.
const LARGE: &str = match core::str::from_utf8(&[b'x'; 5000]) {
    Ok(text) => text,
    Err(_) => panic!("ASCII"),
};

fn ack(tag: u64) -> BasicAck {
    BasicAck { delivery_tag: tag, multiple: false }
}

fn requeue(tag: u64) -> BasicReject {
    BasicReject { delivery_tag: tag, requeue: true }
}

fn prefetch(count: u16, global: bool) -> BasicQos {
    BasicQos { prefetch_size: 0, prefetch_count: count, global }
}

#[test]
fn consumers_take_turns() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.consume(client, "q", "a");
    world.consume(client, "q", "b");
    world.heard(client);
    for body in ["1", "2", "3", "4"] {
        world.publish(client, "q", body);
    }
    assert_eq!(world.heard(client), ["a 1 1", "b 2 2", "a 3 3", "b 4 4"]);
}

#[test]
fn a_consumer_of_higher_priority_comes_first_while_it_has_credit() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.consume(client, "q", "low");
    world.tell(client, 1, prefetch(1, false));
    let arguments = FieldTable::new(vec![("x-priority".into(), FieldValue::I32(5))]);
    let (queue, consumer_tag) = ("q".into(), "high".into());
    world.tell(client, 1, BasicConsume { queue, consumer_tag, arguments, ..Default::default() });
    world.heard(client);
    for body in ["1", "2"] {
        world.publish(client, "q", body);
    }
    world.tell(client, 1, ack(1));
    world.publish(client, "q", "3");
    assert_eq!(world.heard(client), ["high 1 1", "low 2 2", "high 3 3"]);
}

#[test]
fn requeued_messages_go_back_to_their_places() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    for body in ["1", "2", "3", "4"] {
        world.publish(client, "q", body);
    }
    for _ in 0..3 {
        world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    }
    world.heard(client);
    for tag in [2, 1, 3] {
        world.tell(client, 1, requeue(tag));
    }
    world.consume(client, "q", "c");
    let heard = world.heard(client);
    assert_eq!(heard[1..], ["c 4 1 again", "c 5 2 again", "c 6 3 again", "c 7 4"]);
}

#[test]
fn what_a_dead_client_held_is_redelivered_in_order_once() {
    let mut world = World::new(Config::default());
    let (dying, living) = (world.client(), world.client());
    world.declare(living, "q");
    for body in ["1", "2", "3"] {
        world.publish(living, "q", body);
    }
    world.consume(dying, "q", "d");
    assert_eq!(world.heard(dying)[1..], ["d 1 1", "d 2 2", "d 3 3"]);
    world.tell(dying, 1, ack(2));
    world.consume(living, "q", "l");
    world.heard(living);
    world.input(Input::Closed(dying));
    assert_eq!(world.heard(living), ["l 1 1 again", "l 2 3 again"]);
}

#[test]
fn prefetch_limits_each_consumer_or_all_of_a_channel() {
    for (global, delivered) in [(false, 4), (true, 2)] {
        let mut world = World::new(Config::default());
        let client = world.client();
        world.declare(client, "q");
        world.tell(client, 1, prefetch(2, global));
        world.consume(client, "q", "a");
        world.consume(client, "q", "b");
        world.heard(client);
        for body in ["1", "2", "3", "4", "5"] {
            world.publish(client, "q", body);
        }
        assert_eq!(world.heard(client).len(), delivered, "global: {global}");
        world.tell(client, 1, ack(1));
        assert_eq!(world.heard(client).len(), 1, "global: {global}");
    }
}

#[test]
fn consumers_that_share_one_credit_have_it_in_turn() {
    for queues in [["q", "q", "q"], ["q", "r", "s"]] {
        let mut world = World::new(Config::default());
        let client = world.client();
        for queue in queues {
            world.declare(client, queue);
        }
        for body in ["1", "2", "3", "4", "5", "6"] {
            world.publish(client, queues[0], body);
            world.publish(client, queues[1], body);
            world.publish(client, queues[2], body);
        }
        world.tell(client, 1, prefetch(1, true));
        for (queue, tag) in queues.iter().zip(["a", "b", "c"]) {
            world.consume(client, queue, tag);
        }
        let mut served: Vec<char> = Vec::new();
        for tag in 1..=9 {
            let heard = world.heard(client);
            let delivery = heard.iter().find(|heard| heard[1..].starts_with(' '));
            served.extend(delivery.expect("a delivery").chars().next());
            world.tell(client, 1, ack(tag));
        }
        for consumer in ['a', 'b', 'c'] {
            assert_eq!(served.iter().filter(|served| **served == consumer).count(), 3);
        }
    }
}

#[test]
fn who_needs_no_credit_makes_no_difference_to_who_has_it_next() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.tell(client, 1, prefetch(1, true));
    for (tag, no_ack) in [("a", false), ("n", true), ("b", false)] {
        let (queue, consumer_tag) = ("q".into(), tag.into());
        let consume = BasicConsume { queue, consumer_tag, no_ack, ..Default::default() };
        world.tell(client, 1, consume);
    }
    world.heard(client);
    let mut served = String::new();
    let mut unsettled = 0;
    for round in 0..24 {
        world.publish(client, "q", "x");
        for heard in world.heard(client) {
            let (tag, number) = heard.split_once(' ').expect("a delivery");
            served.push_str(tag);
            if tag != "n" {
                unsettled = number.split(' ').next().and_then(|n| n.parse().ok()).expect("a tag");
            }
        }
        if round % 3 == 2 {
            world.tell(client, 1, ack(unsettled));
        }
    }
    let count = |tag: char| served.chars().filter(|served| *served == tag).count();
    assert!(count('a') >= 3 && count('b') >= 3, "{served}");
}

#[test]
fn consumers_that_share_a_slow_socket_have_it_in_turn() {
    for is_none_acked in [false, true] {
        let mut world = World::new(Config { egress_len_max: 1, ..Config::default() });
        let client = world.client();
        world.declare(client, "q");
        for (tag, no_ack) in [("a", true), ("b", is_none_acked), ("c", true)] {
            let (queue, consumer_tag) = ("q".into(), tag.into());
            let consume = BasicConsume { queue, consumer_tag, no_ack, ..Default::default() };
            world.tell(client, 1, consume);
        }
        for _ in 0..12 {
            world.publish(client, "q", "x");
        }
        world.heard(client);
        let mut served = Vec::new();
        for _ in 0..9 {
            world.input(Input::EgressLen(client, 0));
            served.extend(world.heard(client).last().and_then(|heard| heard.chars().next()));
        }
        for consumer in ['a', 'b', 'c'] {
            let count = served.iter().filter(|served| **served == consumer).count();
            assert_eq!(count, 3, "{served:?}");
        }
    }
}

#[test]
fn channels_that_share_a_slow_socket_have_it_in_turn() {
    let mut world = World::new(Config { egress_len_max: 1, ..Config::default() });
    let client = world.client();
    world.declare(client, "q");
    for _ in 0..9 {
        world.publish(client, "q", "x");
    }
    for channel in 1..=3 {
        if channel > 1 {
            world.tell(client, channel, ChannelOpen::default());
        }
        let consumer_tag = ["a", "b", "c"][usize::from(channel) - 1].into();
        let consume = BasicConsume { queue: "q".into(), consumer_tag, ..Default::default() };
        world.tell(client, channel, consume);
    }
    world.heard(client);
    let mut served = Vec::new();
    for _ in 0..9 {
        world.input(Input::EgressLen(client, 0));
        served.extend(world.heard(client).last().and_then(|heard| heard.chars().next()));
    }
    for consumer in ['a', 'b', 'c'] {
        assert_eq!(served.iter().filter(|served| **served == consumer).count(), 3, "{served:?}");
    }
}

#[test]
fn a_full_channel_still_serves_consumers_that_need_not_acknowledge() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.declare(client, "r");
    world.tell(client, 1, prefetch(1, true));
    world.consume(client, "q", "a");
    let (queue, consumer_tag) = ("r".into(), "b".into());
    world.tell(client, 1, BasicConsume { queue, consumer_tag, no_ack: true, ..Default::default() });
    world.heard(client);
    for (key, body) in [("q", "1"), ("q", "2"), ("r", "3"), ("r", "4")] {
        world.publish(client, key, body);
    }
    assert_eq!(world.heard(client), ["a 1 1", "b 2 3", "b 3 4"]);
}

#[test]
fn no_more_is_delivered_than_the_socket_takes() {
    let mut world = World::new(Config { egress_len_max: 1, ..Config::default() });
    let client = world.client();
    world.declare(client, "q");
    for body in ["1", "2", "3"] {
        world.publish(client, "q", body);
    }
    world.consume(client, "q", "c");
    assert_eq!(world.heard(client).last().map(String::as_str), Some("basic.consume-ok"));
    world.input(Input::EgressLen(client, 100));
    assert_eq!(world.heard(client), Vec::<String>::new());
    for delivery in ["c 1 1", "c 2 2", "c 3 3"] {
        world.input(Input::EgressLen(client, 0));
        assert_eq!(world.heard(client).last().map(String::as_str), Some(delivery));
    }
}

#[test]
fn deliveries_do_not_keep_acknowledgements_from_being_read() {
    let mut world = World::new(Config { egress_len_max: 1000, ..Config::default() });
    let client = world.client();
    world.declare(client, "q");
    world.input(Input::EgressLen(client, 0));
    world.publish(client, "q", LARGE);
    world.consume(client, "q", "c");
    assert!(world.heard(client).iter().all(|heard| heard != "pause"));
    assert!(!world.broker.is_paused(client));
}

#[test]
fn a_client_whose_consumer_loses_its_queue_is_told() {
    let mut world = World::new(Config::default());
    let (consumer, deleter) = (world.client(), world.client());
    world.declare(deleter, "q");
    world.consume(consumer, "q", "c");
    world.heard(consumer);
    world.tell(deleter, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    assert_eq!(world.heard(consumer), ["basic.cancel"]);
    // A delivery from the queue that is gone can still be acknowledged, and returns nowhere.
    assert_eq!(world.heard(deleter).last().map(String::as_str), Some("queue.delete-ok"));
}

#[test]
fn the_books_of_a_queue_balance() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    for body in ["1", "2", "3", "4", "5"] {
        world.publish(client, "q", body);
    }
    world.tell(client, 1, prefetch(3, false));
    world.consume(client, "q", "c");
    world.tell(client, 1, ack(1));
    world.tell(client, 1, BasicReject { delivery_tag: 2, requeue: false });
    world.tell(client, 1, BasicCancel { consumer_tag: "c".into(), nowait: false });
    world.tell(client, 1, requeue(3));
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    let queue = &world.broker.queues()[0];
    assert_eq!((queue.enqueued, queue.acked, queue.rejected, queue.purged), (5, 1, 1, 1));
    assert_eq!((queue.ready, queue.unacked), (0, 2));
}
