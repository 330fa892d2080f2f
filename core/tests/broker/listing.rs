//! Listings: what there is, in pages, for those who run the broker.

use warren_core::amqp::*;
use warren_core::broker::{ApplyTo, Policy, PolicyLayer};
use warren_core::listing::{BindingsOf, ChannelCounters, Page};
use warren_core::{Command, CommandId, Config, Input};

use super::client::{World, publish_with};

/// All pages of a listing, so many at once.
fn all<T>(limit: usize, list: impl Fn(u64, usize) -> Page<T>) -> Vec<T> {
    let (mut items, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page = list(from, limit);
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        next = page.next;
    }
    items
}

fn text(name: &str) -> ShortStr {
    name.into()
}

#[test]
fn every_queue_is_listed_once_however_long_the_pages_are() {
    let mut world = World::new(Config::default());
    let client = world.client();
    for name in ["a", "b", "c", "d", "e"] {
        world.declare(client, name);
    }
    world.tell(client, 1, QueueDelete { queue: "b".into(), ..Default::default() });
    for limit in 1..7 {
        let queues = all(limit, |from, limit| world.broker.list_queues(from, limit));
        let names: Vec<_> = queues.iter().map(|queue| queue.name.to_string()).collect();
        assert_eq!(names, ["a", "c", "d", "e"], "in pages of {limit}");
        let views = all(limit, |from, limit| {
            world.broker.look_at_queues(from, limit, |queue| {
                (queue.name().name.to_string(), queue.place(), queue.numbers())
            })
        });
        assert!(views.is_sorted_by_key(|(_, place, _)| *place));
        let listed = queues.iter().map(|queue| (queue.name.to_string(), queue.numbers));
        assert_eq!(
            views.into_iter().map(|(name, _, n)| (name, n)).collect::<Vec<_>>(),
            listed.collect::<Vec<_>>()
        );
    }
    assert_eq!(world.broker.totals().queues, 4);
}

#[test]
fn a_channel_and_an_exchange_tell_what_happened_there() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.declare(client, "r");
    for queue in ["q", "r"] {
        let (queue, exchange) = (queue.into(), "amq.fanout".into());
        world.tell(client, 1, QueueBind { queue, exchange, ..Default::default() });
    }
    world.tell(client, 1, ConfirmSelect::default());
    for _ in 0..3 {
        world.batch(publish_with(client, "amq.fanout", "", "x", Properties::default()));
    }
    world.batch(publish_with(client, "amq.direct", "nowhere", "x", Properties::default()));
    let get = |no_ack| BasicGet { queue: "q".into(), no_ack, ..Default::default() };
    world.tell(client, 1, get(true));
    world.tell(client, 1, get(false));
    world.tell(client, 1, BasicReject { delivery_tag: 2, requeue: true });
    world.consume(client, "q", "acks");
    world.tell(client, 1, BasicAck { delivery_tag: 4, multiple: true });
    let consume = BasicConsume { queue: "r".into(), no_ack: true, ..Default::default() };
    world.tell(client, 1, consume);
    let channels = all(10, |from, limit| world.broker.list_channels(from, limit));
    let counters = ChannelCounters {
        published: 4,
        confirmed: 4,
        returned: 1,
        unroutable: 0,
        delivered: 2,
        delivered_no_ack: 3,
        got: 1,
        got_no_ack: 1,
        redelivered: 1,
        acked: 2,
    };
    assert_eq!(channels[0].counters, counters);
    let counts = |name: &str| {
        let info = world.broker.exchange_info(&text("/"), &text(name)).expect("is there");
        (info.published, info.routed)
    };
    assert_eq!((counts("amq.fanout"), counts("amq.direct")), ((3, 6), (1, 0)));
    assert_eq!(counts(""), (0, 0));
}

#[test]
fn a_queue_tells_what_it_holds_and_has_seen() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    for body in ["one", "two", "three", "four"] {
        world.publish(client, "q", body);
    }
    let get = |no_ack| BasicGet { queue: "q".into(), no_ack, ..Default::default() };
    world.tell(client, 1, get(true));
    world.tell(client, 1, get(false));
    world.tell(client, 1, BasicReject { delivery_tag: 2, requeue: true });
    world.tell(client, 1, BasicQos { prefetch_count: 2, ..Default::default() });
    world.consume(client, "q", "ctag");
    world.tell(client, 1, BasicAck { delivery_tag: 3, ..Default::default() });
    let queue = world.broker.queue_info(&text("/"), &text("q")).expect("is there");
    let numbers = queue.numbers;
    assert_eq!((numbers.ready, numbers.unacked, numbers.consumers), (0, 2, 1));
    let counters = numbers.counters;
    assert_eq!((counters.enqueued, counters.acked, counters.redelivered), (4, 2, 1));
    assert_eq!((counters.got, counters.got_no_ack, counters.delivered), (1, 1, 3));
    assert_eq!((queue.durable, queue.auto_delete, queue.owner), (false, false, None));
    assert_eq!(world.broker.traffic().published, 4);
    world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    let sums = world.broker.queue_sums().classic;
    assert_eq!(sums.counters, counters, "what is gone still counts");
    assert_eq!((sums.ready, sums.unacked), (0, 0));
    let traffic = world.broker.traffic();
    assert_eq!((traffic.queues_created, traffic.queues_deleted), (1, 1));
}

#[test]
fn lanes_of_priorities_are_one_queue() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let arguments = FieldTable::new(vec![("x-max-priority".into(), FieldValue::I32(5))]);
    let declare = QueueDeclare { queue: "q".into(), arguments, ..Default::default() };
    world.tell(client, 1, declare);
    for priority in [0, 3, 5] {
        let properties = BasicProperties { priority: Some(priority), ..Default::default() };
        let frames = super::client::publish_with(client, "", "q", "body", properties.encode());
        world.batch(frames);
    }
    let queues = all(2, |from, limit| world.broker.list_queues(from, limit));
    let [queue] = &queues[..] else { panic!("{queues:?}") };
    assert_eq!((queue.numbers.ready, queue.numbers.ready_bytes), (3, 12));
    assert_eq!(queue.numbers.counters.enqueued, 3);
    let views = all(2, |from, limit| {
        world.broker.look_at_queues(from, limit, |queue| {
            (queue.key(), queue.ready(), queue.ready_bytes(), queue.numbers())
        })
    });
    assert_eq!(views, [(queue.numbers.key, 3, 12, queue.numbers)]);
    world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    let sums = world.broker.queue_sums().classic;
    assert_eq!((sums.counters.enqueued, sums.ready), (3, 0));
}

#[test]
fn bindings_are_listed_from_both_ends_in_pages() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    for key in ["a", "b", "c"] {
        let (queue, exchange) = ("q".into(), "amq.topic".into());
        let routing_key = key.into();
        world.tell(client, 1, QueueBind { queue, exchange, routing_key, ..Default::default() });
    }
    let (destination, source) = ("amq.fanout".into(), "amq.topic".into());
    world.tell(client, 1, ExchangeBind { destination, source, ..Default::default() });
    let (vhost, topic, fanout, queue) =
        (text("/"), text("amq.topic"), text("amq.fanout"), text("q"));
    for (of, expected) in [
        (BindingsOf::Source(&topic), vec!["", "a", "b", "c"]),
        (BindingsOf::Queue(&queue), vec!["a", "b", "c"]),
        (BindingsOf::Exchange(&fanout), vec![""]),
        (BindingsOf::Exchange(&queue), vec![]),
    ] {
        for limit in 1..6 {
            let mut found = Vec::new();
            loop {
                let page = world.broker.list_bindings(&vhost, of, found.last(), limit);
                let is_last = page.len() < limit;
                found.extend(page);
                if is_last {
                    break;
                }
            }
            let keys: Vec<_> = found.iter().map(|binding| binding.key.to_string()).collect();
            assert_eq!(keys, expected, "{of:?} in pages of {limit}");
            assert!(found.iter().all(|binding| binding.source == "amq.topic"));
        }
    }
}

#[test]
fn exchanges_are_listed_in_the_order_of_their_names() {
    let world = World::new(Config::default());
    let (mut names, vhost) = (Vec::new(), text("/"));
    loop {
        let page = world.broker.list_exchanges(&vhost, names.last(), 2);
        if page.is_empty() {
            break;
        }
        names.extend(page.into_iter().map(|exchange| exchange.name));
    }
    assert_eq!(names.len() as u64, world.broker.totals().exchanges);
    assert!(names.is_sorted() && names[0].is_empty());
    assert!(world.broker.list_exchanges(&text("elsewhere"), None, 9).is_empty());
}

#[test]
fn connections_channels_and_consumers_tell_whose_they_are() {
    let mut world = World::new(Config::default());
    let (one, other) = (world.client(), world.client());
    world.tell(one, 2, ChannelOpen::default());
    world.tell(one, 2, ConfirmSelect::default());
    world.tell(one, 1, BasicQos { prefetch_count: 7, ..Default::default() });
    world.declare(one, "q");
    world.consume(one, "q", "ctag");
    let waiting = world.connect();
    let connections = all(1, |from, limit| world.broker.list_connections(from, limit));
    let states: Vec<_> = connections.iter().map(|one| (one.id, one.state, one.channels)).collect();
    assert_eq!(states, [(one, "running", 2), (other, "running", 1), (waiting, "starting", 0)]);
    assert_eq!((&connections[0].user, &connections[0].vhost), (&text("guest"), &Some(text("/"))));
    assert_eq!(connections[0].mechanism, "PLAIN");
    assert!(connections[0].client_properties.find("capabilities").is_some());
    for limit in 1..5 {
        let channels = all(limit, |from, limit| world.broker.list_channels(from, limit));
        let numbers: Vec<_> =
            channels.iter().map(|one| (one.connection, one.number, one.confirms)).collect();
        assert_eq!(numbers, [(one, 1, false), (one, 2, true), (other, 1, false)], "by {limit}");
        assert_eq!((channels[0].prefetch, channels[0].consumers), (7, 1));
    }
    let consumers = all(1, |from, limit| world.broker.list_consumers(from, limit));
    let [consumer] = &consumers[..] else { panic!("{consumers:?}") };
    assert_eq!((consumer.connection, consumer.channel, consumer.prefetch), (one, 1, 7));
    assert_eq!((&consumer.queue, &consumer.tag), (&text("q"), &text("ctag")));
    assert!(consumer.acks && consumer.is_active && !consumer.is_exclusive);
    world.input(Input::Closed(one));
    assert!(world.broker.connection_info(one).is_none());
    let traffic = world.broker.traffic();
    assert_eq!((traffic.connections_opened, traffic.connections_closed), (3, 1));
    assert_eq!((traffic.channels_opened, traffic.channels_closed), (3, 2));
}

#[test]
fn a_queue_tells_what_policies_ask_of_it() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    let policies = [(PolicyLayer::User, "mine", 10), (PolicyLayer::Operator, "theirs", 5)];
    for (number, (layer, name, max)) in policies.into_iter().enumerate() {
        let definition = FieldTable::new(vec![
            ("max-length".into(), FieldValue::I64(max)),
            ("overflow".into(), FieldValue::text("reject-publish")),
        ]);
        let policy = Policy {
            name: name.into(),
            pattern: "^q".into(),
            apply_to: ApplyTo::All,
            priority: 0,
            definition,
        };
        let command = Command::SetPolicy { vhost: "/".into(), layer, policy };
        world.input(Input::Command(CommandId(number as u64), Box::new(command)));
    }
    let queue = world.broker.queue_info(&text("/"), &text("q")).expect("is there");
    assert_eq!((queue.policy, queue.operator_policy), (Some(text("mine")), Some(text("theirs"))));
    assert_eq!(queue.policy_definition.find("max-length"), Some(&FieldValue::I64(5)));
    assert_eq!(queue.policy_definition.len(), 2);
    let listed = world.broker.policies(&text("/"), PolicyLayer::Operator);
    assert_eq!(listed.len(), 1);
}

#[test]
fn messages_are_looked_at_where_they_are_and_one_is_deleted() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    for body in ["one", "two", "three"] {
        world.publish(client, "q", body);
    }
    let (vhost, queue) = (text("/"), text("q"));
    let list = |world: &World, after, limit| {
        world.broker.list_messages(&vhost, &queue, after, limit).expect("is there")
    };
    let first = list(&world, None, 1);
    assert_eq!(first[0].message.as_ref().expect("is in memory").body.len(), 3);
    let rest = list(&world, Some(first[0].id), 9);
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(|one| !one.redelivered && one.returns == 0));
    let command =
        Command::DeleteMessage { vhost: vhost.clone(), queue: queue.clone(), message: rest[0].id };
    for expected in ["1 Deleted", "1 no such message is ready"] {
        world.input(Input::Command(CommandId(1), Box::new(command.clone())));
        assert_eq!(world.answers(), [expected]);
    }
    world.heard(client);
    world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: true, ..Default::default() });
    world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: true, ..Default::default() });
    world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: true, ..Default::default() });
    assert_eq!(world.heard(client), ["got one", "got three", "basic.get-empty"]);
    assert!(world.broker.list_messages(&vhost, &text("none"), None, 9).is_none());
}

#[test]
fn messages_of_a_higher_priority_are_listed_first() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let arguments = FieldTable::new(vec![("x-max-priority".into(), FieldValue::I32(5))]);
    let declare = QueueDeclare { queue: "q".into(), arguments, ..Default::default() };
    world.tell(client, 1, declare);
    for (priority, body) in [(0, "a"), (5, "bb"), (3, "ccc"), (5, "dddd")] {
        let properties = BasicProperties { priority: Some(priority), ..Default::default() };
        let frames = super::client::publish_with(client, "", "q", body, properties.encode());
        world.batch(frames);
    }
    let (vhost, queue) = (text("/"), text("q"));
    for limit in 1..6 {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|last: &warren_core::listing::MessageInfo| last.id);
            let page = world.broker.list_messages(&vhost, &queue, after, limit).expect("is there");
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        let len = |one: &warren_core::listing::MessageInfo| {
            one.message.as_ref().map(|message| message.body.len())
        };
        let lens: Vec<_> = found.iter().filter_map(len).collect();
        assert_eq!(lens, [2, 4, 3, 1], "in pages of {limit}");
    }
}

#[test]
fn a_paused_queue_takes_messages_and_hands_out_none() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    let pause = |world: &mut World, is_paused| {
        let (vhost, queue) = (text("/"), text("q"));
        let command = Command::PauseQueue { vhost, queue, is_paused };
        world.input(Input::Command(CommandId(1), Box::new(command)));
        world.answers()
    };
    world.publish(client, "q", "before");
    assert_eq!(pause(&mut world, true), ["1 Updated"]);
    assert_eq!(pause(&mut world, true), ["1 Unchanged"]);
    let consume = BasicConsume { queue: "q".into(), no_ack: true, ..Default::default() };
    world.tell(client, 1, BasicConsume { consumer_tag: "ctag".into(), ..consume });
    world.publish(client, "q", "meanwhile");
    world.heard(client);
    world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    assert_eq!(world.heard(client), ["basic.get-empty"]);
    let queue = world.broker.queue_info(&text("/"), &text("q")).expect("is there");
    assert_eq!((queue.is_paused, queue.numbers.ready), (true, 2));
    assert_eq!(pause(&mut world, false), ["1 Updated"]);
    assert_eq!(world.heard(client), ["ctag 1 before", "ctag 2 meanwhile"]);
}
