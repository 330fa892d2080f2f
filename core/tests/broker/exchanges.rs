//! Exchanges that choose among their bindings, by a hash or by chance, and those that keep what
//! they were given.

use std::collections::BTreeMap;

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, Decision, Mark};

use super::client::{World, publish_with};
use super::durability::durable;

const DISTINCT: u32 = 10_000;

/// A broker with a disk, and a client.
fn world() -> (World, ConnectionId) {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    (world, client)
}

fn tell(world: &mut World, client: ConnectionId, method: impl Into<Method>) -> Vec<String> {
    world.tell(client, 1, method);
    world.settle();
    world.heard(client)
}

fn exchange(kind: &str, arguments: &[(&str, FieldValue)]) -> ExchangeDeclare {
    let arguments = arguments.iter().map(|(name, value)| ((*name).into(), value.clone()));
    ExchangeDeclare {
        exchange: "x".into(),
        kind: kind.into(),
        durable: true,
        arguments: FieldTable::new(arguments.collect()),
        ..Default::default()
    }
}

fn binding(queue: &str, key: &str) -> QueueBind {
    QueueBind {
        queue: queue.into(),
        exchange: "x".into(),
        routing_key: key.into(),
        ..Default::default()
    }
}

fn unbinding(queue: &str, key: &str) -> QueueUnbind {
    QueueUnbind {
        queue: queue.into(),
        exchange: "x".into(),
        routing_key: key.into(),
        ..Default::default()
    }
}

/// An exchange with queues bound to it, each with this key.
fn set_up(world: &mut World, client: ConnectionId, declare: ExchangeDeclare, all: &[(&str, &str)]) {
    assert_eq!(tell(world, client, declare), ["exchange.declare-ok"]);
    for (queue, key) in all {
        tell(world, client, durable(queue));
        assert_eq!(tell(world, client, binding(queue, key)), ["queue.bind-ok"]);
    }
}

/// Where a message goes.
fn chosen(
    world: &mut World,
    client: ConnectionId,
    key: &str,
    properties: &BasicProperties,
) -> Option<String> {
    world.batch(publish_with(client, "x", key, "", properties.encode()));
    world.heard(client);
    world.broker.take_decisions().into_iter().find_map(|decision| match decision {
        Decision::Chose { destination, .. } => Some(destination),
        _ => None,
    })
}

/// Where messages with many different keys go.
fn spread(world: &mut World, client: ConnectionId) -> Vec<String> {
    let mut to = |key: u32| chosen(world, client, &format!("user.{key}"), &BasicProperties::NONE);
    (0..DISTINCT).map(|key| to(key).expect("a destination")).collect()
}

fn shares(spread: &[String]) -> BTreeMap<&str, u32> {
    let mut shares = BTreeMap::new();
    for queue in spread {
        *shares.entry(queue.as_str()).or_default() += 1;
    }
    shares
}

fn has_about(share: u32, due: u32) -> bool {
    // Five times the standard deviation of chance.
    share.abs_diff(due) <= 5 * due.isqrt()
}

#[test]
fn a_consistent_hash_gives_each_queue_its_part_by_weight() {
    let (mut world, client) = world();
    let queues = [("a", "1"), ("b", "2"), ("c", "7")];
    set_up(&mut world, client, exchange("x-consistent-hash", &[]), &queues);
    let spread = spread(&mut world, client);
    let shares = shares(&spread);
    assert!(has_about(shares["a"], DISTINCT / 10), "{shares:?}");
    assert!(has_about(shares["b"], DISTINCT / 5), "{shares:?}");
    assert!(has_about(shares["c"], DISTINCT * 7 / 10), "{shares:?}");
    assert_eq!(world.broker.marks().count(Mark::RouteRemembered), 0);
}

#[test]
fn hashes_send_a_key_to_the_same_queue_after_a_restart() {
    for (kind, key) in [("x-consistent-hash", "3"), ("x-modulus-hash", "")] {
        let (mut world, client) = world();
        // Queues that go leave places behind, which others take: nothing must rest on places.
        let queues = ["gone", "d", "also-gone", "b", "c"].map(|queue| (queue, key));
        set_up(&mut world, client, exchange(kind, &[]), &queues);
        for queue in ["gone", "also-gone"] {
            tell(&mut world, client, QueueDelete { queue: queue.into(), ..Default::default() });
        }
        tell(&mut world, client, durable("a"));
        tell(&mut world, client, binding("a", key));
        let before = spread(&mut world, client);
        assert_eq!(shares(&before).len(), 4);
        world.restart(Config::default());
        let client = world.client();
        assert_eq!(spread(&mut world, client), before);
    }
}

#[test]
fn a_consistent_hash_does_not_ask_who_was_bound_first() {
    let queues = [("a", "1"), ("b", "5"), ("c", "2")];
    let mut reversed = queues;
    reversed.reverse();
    let spreads = [queues, reversed].map(|queues| {
        let (mut world, client) = world();
        set_up(&mut world, client, exchange("x-consistent-hash", &[]), &queues);
        spread(&mut world, client)
    });
    assert_eq!(spreads[0], spreads[1]);
}

#[test]
fn of_a_consistent_hash_only_what_must_move_moves() {
    let (mut world, client) = world();
    let queues = ["a", "b", "c", "d"].map(|queue| (queue, "10"));
    set_up(&mut world, client, exchange("x-consistent-hash", &[]), &queues);
    let before = spread(&mut world, client);
    tell(&mut world, client, durable("e"));
    tell(&mut world, client, binding("e", "10"));
    let with = spread(&mut world, client);
    let moved: Vec<_> = before.iter().zip(&with).filter(|(old, new)| old != new).collect();
    assert!(moved.iter().all(|(_, new)| *new == "e"));
    assert!(has_about(moved.len() as u32, DISTINCT / 5), "{} moved", moved.len());
    tell(&mut world, client, unbinding("b", "10"));
    let without = spread(&mut world, client);
    assert!(with.iter().zip(&without).all(|(old, new)| old == new || old == "b"));
    assert!(!without.contains(&"b".to_owned()));
    tell(&mut world, client, binding("b", "10"));
    tell(&mut world, client, unbinding("e", "10"));
    assert_eq!(spread(&mut world, client), before);
}

#[test]
fn of_several_bindings_of_one_queue_one_counts_in_a_consistent_hash() {
    let (mut world, client) = world();
    let queues = [("a", "3"), ("a", "1"), ("b", "1")];
    set_up(&mut world, client, exchange("x-consistent-hash", &[]), &queues);
    let both = spread(&mut world, client);
    assert!(has_about(shares(&both)["a"], DISTINCT / 2));
    tell(&mut world, client, unbinding("a", "1"));
    let heavier = spread(&mut world, client);
    assert!(has_about(shares(&heavier)["a"], DISTINCT * 3 / 4));
    tell(&mut world, client, unbinding("a", "3"));
    assert_eq!(shares(&spread(&mut world, client)).len(), 1);
}

/// Properties in which all that may be hashed has this value.
fn identified(id: u32) -> BasicProperties {
    let text = ShortStr::from(id.to_string().as_str());
    BasicProperties {
        headers: Some(FieldTable::new(vec![("id".into(), FieldValue::I64(id.into()))])),
        correlation_id: Some(text.clone()),
        message_id: Some(text),
        timestamp: Some(id.into()),
        ..BasicProperties::NONE
    }
}

#[test]
fn a_consistent_hash_goes_by_a_header_or_property_where_asked() {
    for (argument, name) in [
        ("hash-header", "id"),
        ("hash-property", "message_id"),
        ("hash-property", "correlation_id"),
        ("hash-property", "timestamp"),
    ] {
        let (mut world, client) = world();
        let declare = exchange("x-consistent-hash", &[(argument, FieldValue::text(name))]);
        set_up(&mut world, client, declare, &["a", "b", "c"].map(|queue| (queue, "1")));
        let mut to = |key, id| chosen(&mut world, client, key, &identified(id)).expect("one");
        let spread: Vec<_> = (0..1000).map(|id| to("one", id)).collect();
        assert!(shares(&spread).values().all(|share| has_about(*share, 333)), "{name}");
        assert_eq!((0..1000).map(|id| to("other", id)).collect::<Vec<_>>(), spread);
        let mut none = |key| chosen(&mut world, client, key, &BasicProperties::NONE);
        assert!(none("one").is_some());
        assert_eq!(none("one"), none("other"));
    }
}

#[test]
fn a_header_counts_by_its_value_and_of_an_array_the_first() {
    let (mut world, client) = world();
    let declare = exchange("x-consistent-hash", &[("hash-header", FieldValue::text("id"))]);
    let queues: Vec<String> = (0..50).map(|number| format!("q{number}")).collect();
    let queues: Vec<_> = queues.iter().map(|queue| (queue.as_str(), "1")).collect();
    set_up(&mut world, client, declare, &queues);
    let mut to = |value| {
        let headers = Some(FieldTable::new(vec![("id".into(), value)]));
        let properties = BasicProperties { headers, ..BasicProperties::NONE };
        chosen(&mut world, client, "", &properties)
    };
    for number in 0..20 {
        assert_eq!(to(FieldValue::I32(number)), to(FieldValue::U8(number as u8)));
        let array = FieldValue::Array(vec![FieldValue::I32(number), FieldValue::Void]);
        assert_eq!(to(array), to(FieldValue::I64(number.into())));
    }
    let empty = to(FieldValue::Array(Vec::new()));
    assert_eq!(empty, to(FieldValue::Void));
    assert!((0..20).any(|number| to(FieldValue::I32(number)) != empty));
}

#[test]
fn a_consistent_hash_refuses_what_makes_no_sense() {
    let text = FieldValue::text;
    let declared = |arguments: &[(&str, FieldValue)]| {
        let (mut world, client) = world();
        tell(&mut world, client, exchange("x-consistent-hash", arguments))
    };
    let closed = |text: &str| vec![format!("channel.close PRECONDITION_FAILED - {text}")];
    assert_eq!(
        declared(&[("hash-header", text("h")), ("hash-property", text("message_id"))]),
        closed("hash-header and hash-property are mutually exclusive")
    );
    assert_eq!(
        declared(&[("hash-property", text("app_id"))]),
        closed("Unsupported property: app_id")
    );
    assert_eq!(
        declared(&[("hash-header", FieldValue::I32(1))]),
        closed("invalid arg 'hash-header': {unacceptable_type,signedint}")
    );
    for (key, problem) in [
        ("", "be an integer: <<>>"),
        ("a", "be an integer: <<\"a\">>"),
        ("1.5", "be an integer: <<\"1.5\">>"),
        (" 1", "be an integer: <<\" 1\">>"),
        ("é", "be an integer: <<\"é\"/utf8>>"),
        ("\n", "be an integer: <<10>>"),
        ("a\"b", "be an integer: <<\"a\\\"b\">>"),
        ("0", "be greater than 0"),
        ("-1", "be greater than 0"),
        ("10001", "not exceed 10000"),
        ("99999999999999999999999", "not exceed 10000"),
    ] {
        let (mut world, client) = world();
        set_up(&mut world, client, exchange("x-consistent-hash", &[]), &[("q", "10000")]);
        let told = tell(&mut world, client, binding("q", key));
        assert_eq!(told, closed(&format!("The binding key must {problem}")));
    }
    let (mut world, client) = world();
    set_up(&mut world, client, exchange("x-consistent-hash", &[]), &[("q", "+007")]);
}

#[test]
fn a_modulus_hash_goes_by_the_routing_key_and_counts_bindings() {
    let (mut world, client) = world();
    let queues = [("a", "x"), ("b", "y"), ("b", "z")];
    set_up(&mut world, client, exchange("x-modulus-hash", &[]), &queues);
    let first = spread(&mut world, client);
    assert!(has_about(shares(&first)["b"], DISTINCT * 2 / 3));
    assert_eq!(spread(&mut world, client), first);
}

#[test]
fn an_exchange_without_bindings_takes_nothing_and_its_alternate_does() {
    for kind in ["x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random"] {
        let (mut world, client) = world();
        let alternate = [("alternate-exchange", FieldValue::text("amq.fanout"))];
        set_up(&mut world, client, exchange(kind, &alternate), &[]);
        tell(&mut world, client, durable("rest"));
        let bind = QueueBind { exchange: "amq.fanout".into(), ..binding("rest", "") };
        tell(&mut world, client, bind);
        assert_eq!(chosen(&mut world, client, "key", &BasicProperties::NONE), None);
        assert_eq!(world.broker.queues()[0].ready, 1);
    }
}

#[test]
fn chance_gives_each_binding_the_same_part_and_each_message_to_one() {
    for kind in ["x-random", "x-local-random"] {
        let (mut world, client) = world();
        let queues = ["a", "b", "c", "d"].map(|queue| (queue, ""));
        set_up(&mut world, client, exchange(kind, &[]), &queues);
        let to = |_| chosen(&mut world, client, "same", &BasicProperties::NONE).expect("one");
        let spread: Vec<_> = (0..DISTINCT).map(to).collect();
        assert!(shares(&spread).values().all(|share| has_about(*share, DISTINCT / 4)));
        let ready: u64 = world.broker.queues().iter().map(|queue| queue.ready).sum();
        assert_eq!(ready, u64::from(DISTINCT));
        assert_eq!(world.broker.marks().count(Mark::RouteRemembered), 0);
    }
}

#[test]
fn a_local_random_exchange_takes_classic_queues_without_a_key() {
    let quorum = || FieldTable::new(vec![("x-queue-type".into(), FieldValue::text("quorum"))]);
    let told = |method: Method| {
        let (mut world, client) = world();
        set_up(&mut world, client, exchange("x-local-random", &[]), &[("q", "")]);
        let declare = QueueDeclare { arguments: quorum(), ..durable("quorum") };
        tell(&mut world, client, declare);
        tell(&mut world, client, method).concat()
    };
    assert_eq!(
        told(binding("q", "key").into()),
        "channel.close PRECONDITION_FAILED - Non empty binding 'key' key not permitted"
    );
    assert_eq!(
        told(binding("quorum", "").into()),
        "channel.close PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this \
         exchange type"
    );
    let bind = ExchangeBind {
        source: "x".into(),
        destination: "amq.fanout".into(),
        ..ExchangeBind::default()
    };
    assert_eq!(told(bind.into()), "channel.close PRECONDITION_FAILED - Destination not found");
}

/// Publishes to the exchange, and says that it went nowhere or somewhere.
fn send(world: &mut World, client: ConnectionId, body: &'static str) {
    world.batch(publish_with(client, "x", "key", body, Properties::default()));
    world.settle();
    world.heard(client);
}

fn all_of(world: &mut World, client: ConnectionId, queue: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let get = BasicGet { queue: queue.into(), no_ack: true, ..Default::default() };
        let heard = tell(world, client, get).concat();
        match heard.strip_prefix("got ") {
            Some(body) => all.push(body.to_owned()),
            None => return all,
        }
    }
}

#[test]
fn a_recent_history_gives_its_last_messages_to_who_is_bound() {
    let (mut world, client) = world();
    let length = [("x-recent-history-length", FieldValue::I32(3))];
    set_up(&mut world, client, exchange("x-recent-history", &length), &[("early", "")]);
    for body in ["1", "2", "3", "4"] {
        send(&mut world, client, body);
    }
    tell(&mut world, client, durable("late"));
    tell(&mut world, client, binding("late", ""));
    tell(&mut world, client, binding("late", ""));
    send(&mut world, client, "5");
    assert_eq!(all_of(&mut world, client, "early"), ["1", "2", "3", "4", "5"]);
    assert_eq!(all_of(&mut world, client, "late"), ["2", "3", "4", "5"]);
    tell(&mut world, client, binding("late", "again"));
    assert_eq!(all_of(&mut world, client, "late"), ["3", "4", "5"]);
}

#[test]
fn a_recent_history_keeps_out_what_asks_for_it() {
    let (mut world, client) = world();
    set_up(&mut world, client, exchange("x-recent-history", &[]), &[]);
    send(&mut world, client, "kept");
    for (value, body) in [(true, "kept out"), (false, "kept too")] {
        let no_store = ("x-recent-history-no-store".into(), FieldValue::Bool(value));
        let headers = Some(FieldTable::new(vec![no_store]));
        let properties = BasicProperties { headers, ..BasicProperties::NONE };
        world.batch(publish_with(client, "x", "", body, properties.encode()));
        world.heard(client);
    }
    set_up(&mut world, client, exchange("x-recent-history", &[]), &[("q", "")]);
    assert_eq!(all_of(&mut world, client, "q"), ["kept", "kept too"]);
}

#[test]
fn a_recent_history_is_given_through_exchanges_and_not_in_circles() {
    let (mut world, client) = world();
    set_up(&mut world, client, exchange("x-recent-history", &[]), &[("q", "")]);
    send(&mut world, client, "1");
    send(&mut world, client, "2");
    tell(&mut world, client, durable("far"));
    let far = QueueBind { exchange: "amq.direct".into(), ..binding("far", "key") };
    tell(&mut world, client, far);
    for (source, destination) in [("amq.direct", "x"), ("x", "amq.direct")] {
        let (source, destination) = (source.into(), destination.into());
        let routing_key = "key".into();
        let bind = ExchangeBind { source, destination, routing_key, ..Default::default() };
        assert_eq!(tell(&mut world, client, bind), ["exchange.bind-ok"]);
    }
    assert_eq!(all_of(&mut world, client, "far"), ["1", "2"]);
    assert_eq!(all_of(&mut world, client, "q"), ["1", "2"]);
}

#[test]
fn a_transaction_is_history_once_it_is_committed() {
    let (mut world, client) = world();
    set_up(&mut world, client, exchange("x-recent-history", &[]), &[]);
    tell(&mut world, client, TxSelect {});
    send(&mut world, client, "undone");
    tell(&mut world, client, TxRollback {});
    send(&mut world, client, "done");
    tell(&mut world, client, TxCommit {});
    tell(&mut world, client, durable("q"));
    tell(&mut world, client, binding("q", ""));
    assert_eq!(all_of(&mut world, client, "q"), ["done"]);
}

#[test]
fn what_is_replayed_to_a_durable_queue_stays_there() {
    let (mut world, client) = world();
    set_up(&mut world, client, exchange("x-recent-history", &[]), &[]);
    let persistent = BasicProperties { delivery_mode: Some(2), ..BasicProperties::NONE };
    world.batch(publish_with(client, "x", "", "1", persistent.encode()));
    tell(&mut world, client, durable("q"));
    tell(&mut world, client, binding("q", ""));
    world.restart(Config::default());
    let client = world.client();
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
    tell(&mut world, client, binding("q", "again"));
    assert_eq!(all_of(&mut world, client, "q"), Vec::<String>::new(), "history is in memory");
}

#[test]
fn history_takes_a_part_of_memory_and_no_more_and_makes_nobody_wait() {
    let mut world = World::new(Config { memory_max: 1, ..Config::default() });
    let client = world.client();
    let length = [("x-recent-history-length", FieldValue::I64(1 << 40))];
    set_up(&mut world, client, exchange("x-recent-history", &length), &[]);
    let body: &'static str = "x".repeat(100_000).leak();
    for _ in 0..20 {
        send(&mut world, client, body);
    }
    assert!((900_000..=1 << 20).contains(&world.broker.memory()), "{}", world.broker.memory());
    assert_eq!(world.broker.parked(), []);
    assert!(world.broker.marks().count(Mark::HistoryCutShort) > 0);
    let delete = ExchangeDelete { exchange: "x".into(), ..Default::default() };
    tell(&mut world, client, delete);
    assert_eq!(world.broker.memory(), 0);
}
