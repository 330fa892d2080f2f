//! Where a message would go is where it goes: whatever is bound to whatever, and whatever stands in
//! its headers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use warren_core::amqp::*;
use warren_core::listing::{Course, CourseBy, CourseEnd};
use warren_core::{Config, ConnectionId};

use super::client::{World, publish_with};

const QUEUES: [&str; 4] = ["q0", "q1", "a.b", "1"];
const EXCHANGES: [&str; 5] = ["x0", "x1", "x2", "x3", "x4"];
const KINDS: [&str; 9] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-consistent-hash",
    "x-modulus-hash",
    "x-random",
    "x-local-random",
    "x-recent-history",
];
const KEYS: [&str; 8] = ["", "a", "a.b", "a.*", "#", "1", "2", "q0"];

#[derive(Clone, Debug)]
struct Bound {
    source: usize,
    key: usize,
    /// A queue, or else an exchange.
    to: Result<usize, usize>,
    header: Option<i32>,
}

#[derive(Clone, Debug)]
struct Sent {
    exchange: Option<usize>,
    key: usize,
    copies: Vec<usize>,
    header: Option<i32>,
}

fn bound() -> impl Strategy<Value = Bound> {
    let to = prop_oneof![(0..QUEUES.len()).prop_map(Ok), (0..EXCHANGES.len()).prop_map(Err)];
    (0..EXCHANGES.len(), 0..KEYS.len(), to, proptest::option::of(0..3))
        .prop_map(|(source, key, to, header)| Bound { source, key, to, header })
}

fn sent() -> impl Strategy<Value = Sent> {
    let exchange = proptest::option::weighted(0.9, 0..EXCHANGES.len());
    let copies = proptest::collection::vec(0..KEYS.len(), 0..3);
    (exchange, 0..KEYS.len(), copies, proptest::option::of(0..3))
        .prop_map(|(exchange, key, copies, header)| Sent { exchange, key, copies, header })
}

fn exchanges() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    let alternate = proptest::option::weighted(0.4, 0..EXCHANGES.len());
    proptest::collection::vec((0..KINDS.len(), alternate), EXCHANGES.len())
}

fn headers(value: Option<i32>) -> Vec<(ShortStr, FieldValue)> {
    value.map(|value| ("h".into(), FieldValue::I32(value))).into_iter().collect()
}

fn properties(sent: &Sent) -> BasicProperties {
    let mut all = headers(sent.header);
    if !sent.copies.is_empty() {
        let keys = sent.copies.iter().map(|key| FieldValue::text(KEYS[*key])).collect();
        all.push(("CC".into(), FieldValue::Array(keys)));
    }
    BasicProperties { headers: Some(FieldTable::new(all)), ..BasicProperties::NONE }
}

fn set_up(
    world: &mut World,
    exchanges: &[(usize, Option<usize>)],
    bounds: &[Bound],
) -> ConnectionId {
    let client = world.client();
    for queue in QUEUES {
        world.declare(client, queue);
    }
    for (name, (kind, alternate)) in EXCHANGES.iter().zip(exchanges) {
        let mut arguments = FieldTable::default();
        if let Some(alternate) = alternate {
            let alternate = FieldValue::text(EXCHANGES[*alternate]);
            arguments.push("alternate-exchange".into(), alternate);
        }
        let (exchange, kind) = ((*name).into(), KINDS[*kind].into());
        world.tell(client, 1, ExchangeDeclare { exchange, kind, arguments, ..Default::default() });
    }
    for bound in bounds {
        let (kind, _) = exchanges[bound.source];
        // Such bindings are refused, and would end the channel.
        let key = match KINDS[kind] {
            "x-consistent-hash" => ["1", "2", "3"][bound.key % 3],
            "x-local-random" if bound.to.is_err() => continue,
            "x-local-random" => "",
            _ => KEYS[bound.key],
        };
        let (source, routing_key) = (EXCHANGES[bound.source].into(), key.into());
        let arguments = FieldTable::new(headers(bound.header));
        match bound.to {
            Ok(queue) => {
                let queue = QUEUES[queue].into();
                let bind = QueueBind {
                    queue,
                    exchange: source,
                    routing_key,
                    arguments,
                    ..Default::default()
                };
                world.tell(client, 1, bind);
            }
            Err(exchange) => {
                let destination = EXCHANGES[exchange].into();
                let bind = ExchangeBind {
                    destination,
                    source,
                    routing_key,
                    arguments,
                    ..Default::default()
                };
                world.tell(client, 1, bind);
            }
        }
    }
    let heard = world.heard(client);
    assert!(heard.iter().all(|word| !word.contains("close")), "{heard:?}");
    client
}

/// How many messages ever came to each queue.
fn enqueued(world: &World) -> BTreeMap<String, u64> {
    let page = world.broker.list_queues(0, 100);
    page.items.iter().map(|one| (one.name.to_string(), one.numbers.counters.enqueued)).collect()
}

fn course(world: &World, sent: &Sent) -> Course {
    let exchange = sent.exchange.map_or("", |exchange| EXCHANGES[exchange]);
    let key = KEYS[sent.key].into();
    let course = world.broker.course(&"/".into(), &exchange.into(), &key, &properties(sent), 1000);
    course.expect("it could be published")
}

fn names(course: &Course, is_counted: impl Fn(bool) -> bool) -> BTreeSet<String> {
    let queues = course.queues.iter().filter(|queue| is_counted(queue.is_certain));
    queues.map(|queue| queue.name.to_string()).collect()
}

proptest! {
    #[test]
    fn where_a_message_would_go_is_where_it_goes(
        exchanges in exchanges(),
        bounds in proptest::collection::vec(bound(), 0..24),
        all_sent in proptest::collection::vec(sent(), 1..12),
    ) {
        let mut world = World::new(Config::default());
        let client = set_up(&mut world, &exchanges, &bounds);
        for sent in &all_sent {
            let course = course(&world, sent);
            let before = enqueued(&world);
            let exchange = sent.exchange.map_or("", |exchange| EXCHANGES[exchange]);
            let encoded = properties(sent).encode();
            world.batch(publish_with(client, exchange, KEYS[sent.key], "", encoded));
            world.heard(client);
            let after = enqueued(&world);
            let went: BTreeSet<String> =
                after.iter().filter(|(name, count)| before[*name] < **count)
                    .map(|(name, _)| name.clone()).collect();
            let (certain, possible) = (names(&course, |is| is), names(&course, |_| true));
            prop_assert!(certain.is_subset(&went), "{certain:?} {went:?} {course:?}");
            prop_assert!(went.is_subset(&possible), "{went:?} {possible:?} {course:?}");
            if course.steps.iter().all(|step| step.by != CourseBy::Chance) {
                prop_assert_eq!(&certain, &went);
            }
            // The steps lead there, and say by which bindings.
            let ends: BTreeSet<String> = course.steps.iter().filter_map(|step| match &step.end {
                CourseEnd::Queue(name) => Some(name.to_string()),
                _ => None,
            }).collect();
            prop_assert_eq!(&ends, &possible);
            for step in &course.steps {
                let by_binding = !matches!(step.by, CourseBy::QueueName | CourseBy::Alternate);
                prop_assert_eq!(by_binding, !step.bindings.is_empty(), "{:?}", step);
            }
        }
    }

    #[test]
    fn to_ask_where_a_message_would_go_changes_nothing(
        exchanges in exchanges(),
        bounds in proptest::collection::vec(bound(), 0..24),
        all_sent in proptest::collection::vec(sent(), 1..12),
    ) {
        let went = |is_asked: bool| {
            let mut world = World::new(Config::default());
            let client = set_up(&mut world, &exchanges, &bounds);
            for sent in &all_sent {
                if is_asked {
                    course(&world, sent);
                }
                let exchange = sent.exchange.map_or("", |exchange| EXCHANGES[exchange]);
                let encoded = properties(sent).encode();
                world.batch(publish_with(client, exchange, KEYS[sent.key], "", encoded));
                world.heard(client);
            }
            let decisions = world.broker.take_decisions();
            (enqueued(&world), decisions, world.broker.marks())
        };
        prop_assert_eq!(went(true), went(false));
    }
}

#[test]
fn what_could_not_be_published_has_no_way() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let internal = ExchangeDeclare {
        exchange: "inside".into(),
        kind: "fanout".into(),
        internal: true,
        ..Default::default()
    };
    world.tell(client, 1, internal);
    let ask = |exchange: &str, properties: &BasicProperties| {
        let course =
            world.broker.course(&"/".into(), &exchange.into(), &"k".into(), properties, 10);
        course.map(drop).map_err(|refusal| refusal.explanation)
    };
    let none = BasicProperties::NONE;
    assert_eq!(ask("none", &none).expect_err("is missing"), "no exchange 'none' in vhost '/'");
    let text = "cannot publish to internal exchange 'inside' in vhost '/'";
    assert_eq!(ask("inside", &none).expect_err("is internal"), text);
    let header = FieldTable::new(vec![("CC".into(), FieldValue::I32(1))]);
    let wrong = BasicProperties { headers: Some(header), ..BasicProperties::NONE };
    let text = "invalid 'CC' header: expected an array of routing keys";
    assert_eq!(ask("", &wrong).expect_err("is no list"), text);
}

#[test]
fn no_more_is_told_than_was_asked_for() {
    let mut world = World::new(Config::default());
    let client = world.client();
    for queue in QUEUES {
        world.declare(client, queue);
        let exchange = "amq.fanout".into();
        world.tell(client, 1, QueueBind { queue: queue.into(), exchange, ..Default::default() });
    }
    let none = BasicProperties::NONE;
    let course = world.broker.course(&"/".into(), &"amq.fanout".into(), &"".into(), &none, 2);
    let course = course.expect("it could be published");
    assert_eq!((course.steps.len(), course.steps_count), (2, 4));
    assert_eq!((course.queues.len(), course.queues_count), (2, 4));
}
