//! Delayed messages: exchanges for them, the header `x-delay`, and what becomes of what waits.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::broker::Message;
use warren_core::{Config, ConnectionId, Event, Input, Output};

use super::client::{World, publish_with};
use super::costs::{resident, time_each};
use super::durability::durable;

const MS: Duration = Duration::from_millis(1);

fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
    FieldTable::new(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

/// The frames of a message that asks for a delay.
fn delayed(
    id: ConnectionId,
    exchange: &str,
    key: &str,
    body: &'static str,
    delay: FieldValue,
) -> Vec<Input> {
    let headers = Some(table(&[("x-delay", delay)]));
    let properties = BasicProperties { headers, ..Default::default() };
    publish_with(id, exchange, key, body, properties.encode())
}

fn in_ms(id: ConnectionId, key: &str, body: &'static str, millis: i32) -> Vec<Input> {
    delayed(id, "", key, body, FieldValue::I32(millis))
}

fn exchange(name: &str, kind: &str, arguments: &[(&str, FieldValue)]) -> ExchangeDeclare {
    let (exchange, kind) = (name.into(), kind.into());
    ExchangeDeclare {
        exchange,
        kind,
        durable: true,
        arguments: table(arguments),
        ..Default::default()
    }
}

/// A durable exchange for delayed messages that goes by routing keys.
fn for_delayed(name: &str) -> ExchangeDeclare {
    exchange(name, "x-delayed-message", &[("x-delayed-type", FieldValue::text("direct"))])
}

fn bind(world: &mut World, id: ConnectionId, source: &str, queue: &str, key: &str) {
    let (queue, exchange, routing_key) = (queue.into(), source.into(), key.into());
    world.tell(id, 1, QueueBind { queue, exchange, routing_key, ..Default::default() });
}

/// A broker with the queue `q`, and a client.
fn world() -> (World, ConnectionId) {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.heard(client);
    (world, client)
}

/// The same with a disk, and a queue that is durable.
fn lasting_world(config: Config) -> (World, ConnectionId) {
    let mut world = World::with_disk(config);
    let client = world.client();
    world.tell(client, 1, durable("q"));
    world.settle();
    world.heard(client);
    (world, client)
}

fn get(world: &mut World, id: ConnectionId, queue: &str) -> Option<Message> {
    world.tell(id, 1, BasicGet { queue: queue.into(), no_ack: true, ..Default::default() });
    while world.step(|_| true, false) {}
    let got = world.outputs().iter().find_map(|output| match output {
        Output::Send(_, OutFrame::GetOk(_, got)) => Some(got.message.as_ref().clone()),
        _ => None,
    });
    world.heard(id);
    got
}

fn body(message: &Message) -> String {
    let bytes: Vec<u8> = message.body.pieces().flatten().copied().collect();
    String::from_utf8(bytes).expect("text")
}

/// The bodies of all that a queue gives.
fn bodies(world: &mut World, id: ConnectionId, queue: &str) -> Vec<String> {
    std::iter::from_fn(|| get(world, id, queue)).map(|message| body(&message)).collect()
}

fn header(message: &Message, name: &str) -> Option<FieldValue> {
    let properties = message.properties.decode().expect("properties");
    properties.headers.and_then(|headers| headers.find(name).cloned())
}

/// How many wait for their time, and how many were lost when it came.
fn account(world: &World) -> (u64, u64) {
    let delays = world.broker.delays();
    let sum = |count: fn(&warren_core::QueueStatus) -> u64| delays.iter().map(count).sum();
    (sum(|store| store.ready), sum(|store| store.lost_letters))
}

#[test]
fn a_message_comes_in_its_time_and_says_that_it_was_delayed() {
    let (mut world, client) = world();
    world.tell(client, 1, for_delayed("x"));
    bind(&mut world, client, "x", "q", "key");
    world.heard(client);
    world.batch(delayed(client, "x", "key", "later", FieldValue::I32(700)));
    world.pass(699 * MS);
    assert_eq!((get(&mut world, client, "q"), account(&world)), (None, (1, 0)));
    world.pass(2 * MS);
    let message = get(&mut world, client, "q").expect("its time has come");
    assert_eq!((body(&message), &*message.exchange.to_string()), ("later".into(), "x"));
    assert_eq!(message.routing_key, ShortStr::from("key"));
    assert_eq!(header(&message, "x-delay"), Some(FieldValue::I64(-700)));
    assert_eq!(header(&message, "x-death"), None);
    assert_eq!(account(&world), (0, 0));
}

#[test]
fn a_delay_counts_wherever_a_message_is_published() {
    let (mut world, client) = world();
    bind(&mut world, client, "amq.topic", "q", "#");
    world.heard(client);
    world.batch(in_ms(client, "q", "second", 20));
    world.batch(delayed(client, "amq.topic", "a.b", "first", FieldValue::text("10")));
    world.batch(in_ms(client, "q", "at once", 0));
    world.batch(in_ms(client, "q", "at once too", -7));
    assert_eq!(bodies(&mut world, client, "q"), ["at once", "at once too"]);
    world.pass(30 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["first", "second"]);
}

#[test]
fn the_earliest_comes_first_and_of_one_time_the_one_published_first() {
    let (mut world, client) = world();
    for (body, millis) in [("d", 30), ("a", 10), ("e", 30), ("b", 10), ("c", 20)] {
        world.batch(in_ms(client, "q", body, millis));
    }
    world.pass(100 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["a", "b", "c", "d", "e"]);
}

#[test]
fn nothing_is_returned_and_a_confirm_says_that_it_is_kept() {
    let (mut world, client) = lasting_world(Config::default());
    world.tell(client, 1, ConfirmSelect::default());
    world.settle();
    world.heard(client);
    // Every message here is mandatory.
    world.batch(in_ms(client, "nowhere", "lost", 50));
    assert!(world.heard(client).is_empty());
    world.settle();
    assert_eq!(world.heard(client), ["ack 1"]);
    world.pass(50 * MS);
    assert_eq!((world.heard(client), account(&world)), (vec![], (0, 1)));
    let told = world
        .outputs()
        .iter()
        .any(|output| matches!(output, Output::Event(Event::DelayedMessagesLost { count: 1, .. })));
    assert!(told);
}

#[test]
fn what_is_bound_when_the_time_comes_is_what_counts() {
    let (mut world, client) = world();
    world.declare(client, "other");
    let alternate = [("alternate-exchange", FieldValue::text("amq.fanout"))];
    world.tell(client, 1, exchange("x", "direct", &alternate));
    bind(&mut world, client, "x", "q", "key");
    for (key, body) in [("key", "moved"), ("nobody's", "alternate")] {
        world.batch(delayed(client, "x", key, body, FieldValue::I32(10)));
    }
    let (queue, exchange, routing_key) = ("q".into(), "x".into(), "key".into());
    world.tell(client, 1, QueueUnbind { queue, exchange, routing_key, ..Default::default() });
    bind(&mut world, client, "x", "other", "key");
    bind(&mut world, client, "amq.fanout", "other", "");
    world.heard(client);
    world.pass(20 * MS);
    assert_eq!(bodies(&mut world, client, "q"), [""; 0]);
    assert_eq!(bodies(&mut world, client, "other"), ["moved", "alternate"]);
}

#[test]
fn with_its_exchange_gone_a_message_is_lost_and_that_is_told() {
    let (mut world, client) = world();
    world.tell(client, 1, for_delayed("x"));
    bind(&mut world, client, "x", "q", "key");
    world.batch(delayed(client, "x", "key", "lost", FieldValue::I32(10)));
    world.tell(client, 1, ExchangeDelete { exchange: "x".into(), ..Default::default() });
    world.pass(20 * MS);
    assert_eq!(account(&world), (0, 1));
    let lost = world.outputs().iter().find_map(|output| match output {
        Output::Event(Event::DelayedMessagesLost { exchange, reason, .. }) => {
            Some((exchange.clone(), *reason))
        }
        _ => None,
    });
    assert_eq!(lost, Some(("x".into(), "its exchange is gone")));
}

#[test]
fn keys_in_headers_count_and_the_time_to_live_begins_with_the_routing() {
    let (mut world, client) = world();
    world.declare(client, "blind");
    let keys = |key| FieldValue::Array(vec![FieldValue::text(key)]);
    let headers = Some(table(&[
        ("x-delay", FieldValue::I32(100)),
        ("CC", keys("q")),
        ("BCC", keys("blind")),
    ]));
    let properties =
        BasicProperties { headers, expiration: Some("10".into()), ..Default::default() };
    world.batch(publish_with(client, "", "none", "m", properties.encode()));
    world.pass(105 * MS);
    let message = get(&mut world, client, "q").expect("it goes by its second key too");
    assert_eq!(header(&message, "CC"), Some(keys("q")));
    assert_eq!(header(&message, "BCC"), None);
    world.pass(20 * MS);
    assert_eq!(bodies(&mut world, client, "blind"), [""; 0]);
}

#[test]
fn a_wrong_key_in_a_header_is_refused_at_once() {
    let (mut world, client) = world();
    let headers = [("x-delay", FieldValue::I32(100)), ("CC", FieldValue::I32(1))];
    let headers = Some(table(&headers));
    let properties = BasicProperties { headers, ..Default::default() };
    world.batch(publish_with(client, "", "q", "m", properties.encode()));
    let heard = world.heard(client);
    assert!(heard[0].contains("invalid 'CC' header"), "{heard:?}");
}

#[test]
fn a_delay_may_be_as_long_as_ten_years() {
    let (mut world, client) = world();
    let longest = 315_360_000_000;
    world.batch(delayed(client, "", "q", "far", FieldValue::I64(longest)));
    world.batch(delayed(client, "", "q", "further than RabbitMQ", FieldValue::U32(u32::MAX)));
    assert_eq!((world.heard(client), account(&world)), (vec![], (2, 0)));
    world.batch(delayed(client, "", "q", "no", FieldValue::I64(longest + 1)));
    let heard = world.heard(client);
    let text = "PRECONDITION_FAILED - invalid x-delay '315360000001': \
                {value_too_large,315360000001}";
    assert!(heard[0].contains(text), "{heard:?}");
}

#[test]
fn a_transaction_delays_from_its_commit_on() {
    let (mut world, client) = world();
    world.tell(client, 1, TxSelect {});
    world.batch(in_ms(client, "q", "rolled back", 10));
    world.tell(client, 1, TxRollback {});
    world.batch(in_ms(client, "q", "committed", 10));
    world.pass(20 * MS);
    assert_eq!(account(&world), (0, 0));
    world.tell(client, 1, TxCommit {});
    world.heard(client);
    assert_eq!(account(&world), (1, 0));
    world.pass(20 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["committed"]);
}

#[test]
fn behind_another_exchange_and_after_a_death_nothing_waits_again() {
    let (mut world, client) = world();
    world.tell(client, 1, for_delayed("late"));
    bind(&mut world, client, "late", "q", "key");
    let (destination, source) = ("late".into(), "amq.fanout".into());
    world.tell(client, 1, ExchangeBind { destination, source, ..Default::default() });
    let arguments = [
        ("x-message-ttl", FieldValue::I32(5)),
        ("x-dead-letter-exchange", FieldValue::text("late")),
        ("x-dead-letter-routing-key", FieldValue::text("key")),
    ];
    let arguments = table(&arguments);
    world.tell(client, 1, QueueDeclare { queue: "dying".into(), arguments, ..Default::default() });
    world.heard(client);
    world.batch(delayed(client, "amq.fanout", "key", "bound", FieldValue::I32(10)));
    world.batch(in_ms(client, "dying", "dead", 10));
    world.pass(11 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["bound"]);
    world.pass(6 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["dead"]);
}

#[test]
fn a_full_queue_refuses_what_was_delayed() {
    let (mut world, client) = world();
    let overflow = FieldValue::text("reject-publish");
    let arguments = table(&[("x-max-length", FieldValue::I32(1)), ("x-overflow", overflow)]);
    world.tell(client, 1, QueueDeclare { queue: "full".into(), arguments, ..Default::default() });
    world.publish(client, "full", "first");
    world.batch(in_ms(client, "full", "second", 10));
    world.pass(20 * MS);
    assert_eq!(account(&world), (0, 1));
    assert_eq!(bodies(&mut world, client, "full"), ["first"]);
}

#[test]
fn the_type_that_an_exchange_goes_by_must_be_one() {
    for (arguments, text) in [
        (vec![], "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        (
            vec![("x-delayed-type", FieldValue::I32(1))],
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
        (
            vec![("x-delayed-type", FieldValue::text("x-delayed-message"))],
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
        ),
        (vec![("x-delayed-type", FieldValue::text("strange"))], "unknown exchange type 'strange'"),
        (
            vec![
                ("x-delayed-type", FieldValue::text("x-recent-history")),
                ("x-recent-history-length", FieldValue::I32(0)),
            ],
            "Invalid argument 0, 'x-recent-history-length' must be a positive integer",
        ),
    ] {
        let (mut world, client) = world();
        world.tell(client, 1, exchange("x", "x-delayed-message", &arguments));
        let heard = world.heard(client);
        assert!(heard[0].contains(&format!("PRECONDITION_FAILED - {text}")), "{heard:?}");
    }
    let (mut world, client) = world();
    world.tell(client, 1, for_delayed("x"));
    world.tell(client, 1, for_delayed("x"));
    assert_eq!(world.heard(client), ["exchange.declare-ok", "exchange.declare-ok"]);
    world.tell(client, 1, exchange("x", "direct", &[]));
    let heard = world.heard(client);
    let text = "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but \
                current is 'x-delayed-message'";
    assert!(heard[0].contains(text), "{heard:?}");
}

#[test]
fn nobody_can_name_where_delayed_messages_wait() {
    let (mut world, client) = world();
    world.batch(in_ms(client, "q", "later", 10_000));
    assert_eq!(world.broker.queues().len(), 1);
    let store = || ShortStr::from("amq.delayed");
    world.tell(client, 1, BasicGet { queue: store(), ..Default::default() });
    let heard = world.heard(client);
    assert!(heard[0].contains("NOT_FOUND"), "{heard:?}");
    let (mut world, client) = self::world();
    world.tell(client, 1, QueueDeclare { queue: store(), ..Default::default() });
    let heard = world.heard(client);
    assert!(heard[0].contains("ACCESS_REFUSED"), "{heard:?}");
}

#[test]
fn what_waits_is_listed_in_order_and_can_be_taken_back() {
    let (mut world, client) = world();
    for (body, millis) in [("c", 3000), ("a", 1000), ("b", 2000), ("a too", 1000)] {
        world.batch(in_ms(client, "q", body, millis));
    }
    let listed = world.broker.delayed("/", None, 10);
    let times: Vec<u64> = listed.iter().map(|message| message.due_ms).collect();
    assert!(times.is_sorted());
    let ids: Vec<u64> = listed.iter().map(|message| message.id).collect();
    assert_eq!(ids, [1, 3, 2, 0]);
    assert_eq!(world.broker.delayed("/", None, 2), listed[..2]);
    assert_eq!(world.broker.delayed("/", Some(listed[0]), 10), listed[1..]);
    assert_eq!(world.broker.delayed("/", Some(listed[3]), 10), []);
    assert_eq!(world.broker.delayed("elsewhere", None, 10), []);
    assert!(world.cancel_delayed(3));
    assert!(!world.cancel_delayed(3) && !world.cancel_delayed(99));
    assert_eq!(world.broker.delayed("/", Some(listed[0]), 10), listed[2..]);
    world.pass(5000 * MS);
    assert_eq!(bodies(&mut world, client, "q"), ["a", "b", "c"]);
    assert!(!world.cancel_delayed(0));
}

#[test]
fn what_is_delayed_outlasts_a_restart_be_it_transient_or_not() {
    let (mut world, client) = lasting_world(Config::default());
    world.tell(client, 1, for_delayed("x"));
    bind(&mut world, client, "x", "q", "key");
    world.settle();
    let until = |world: &World| world.broker.delayed("/", None, 10);
    world.batch(delayed(client, "x", "key", "kept", FieldValue::I32(60_000)));
    world.batch(delayed(client, "x", "key", "taken back", FieldValue::I32(70_000)));
    world.batch(delayed(client, "x", "key", "long", FieldValue::I32(600_000)));
    world.settle();
    let listed = until(&world);
    assert_eq!(listed.len(), 3);
    assert!(world.cancel_delayed(listed[1].id));
    world.settle();
    world.restart(Config::default());
    assert_eq!((until(&world).len(), world.broker.queues().len()), (2, 1));
    assert_eq!(until(&world)[0], listed[0]);
    // The clock begins anew with each start here.
    let client = world.client();
    world.pass(Duration::from_secs(55));
    world.settle();
    world.heard(client);
    assert_eq!(bodies(&mut world, client, "q"), [""; 0]);
    world.pass(Duration::from_secs(10));
    world.settle();
    let message = get(&mut world, client, "q").expect("its time has come");
    assert_eq!(body(&message), "kept");
    world.restart(Config::default());
    assert_eq!(until(&world), listed[2..]);
    assert!(world.cancel_delayed(listed[2].id));
}

#[test]
fn what_is_overdue_at_a_start_comes_at_once_in_its_order() {
    let config = || Config { queue_window: 0, ..Config::default() };
    let (mut world, client) = lasting_world(config());
    for (body, millis) in [("c", 3000), ("a", 1000), ("d", 300_000), ("b", 2000)] {
        let headers = Some(table(&[("x-delay", FieldValue::I32(millis))]));
        let properties = BasicProperties { headers, delivery_mode: Some(2), ..Default::default() };
        world.batch(publish_with(client, "", "q", body, properties.encode()));
    }
    world.settle();
    world.restart(config());
    let client = world.client();
    world.pass(Duration::from_secs(400));
    world.settle();
    world.heard(client);
    assert_eq!(bodies(&mut world, client, "q"), ["a", "b", "c", "d"]);
}

/// What many messages cost that are to be routed within ten days, each at a time of its own. A few
/// here; what a million take is printed by
/// `DELAYED=1000000 cargo test --release -p warren-core --test broker -- --nocapture many_delayed`.
#[test]
fn many_delayed_messages_take_little_memory_and_hold_up_nobody() {
    let all = std::env::var("DELAYED").map_or(10_000, |all| all.parse().expect("a number"));
    let some = all / 10;
    let (mut world, client) = lasting_world(Config::default());
    world.disk.is_sink = true;
    let sink = |world: &mut World| {
        // So many that what checkpoints take is spread over them as it would be.
        let each = time_each(world, all, |_| super::client::persist(client, "q", "a small body"));
        let (queue, none) = ("q".into(), Default::default());
        world.tell(client, 1, QueuePurge { queue, ..none });
        world.settle();
        world.heard(client);
        each
    };
    let before = sink(&mut world);
    let resident_before = resident();
    let later = |at: u32| {
        // In no order.
        let millis = 61_000 + u64::from(at).wrapping_mul(2_654_435_761) % 864_000_000;
        delayed(client, "", "q", "a small body", FieldValue::I64(millis as i64))
    };
    let first = time_each(&mut world, some, later);
    time_each(&mut world, all - 2 * some, |at| later(some + at));
    let last = time_each(&mut world, some, |at| later(all - some + at));
    world.settle();
    assert_eq!(account(&world), (all.into(), 0));
    // They are on disk only.
    assert_eq!(world.broker.memory(), 0);
    let memory = resident().saturating_sub(resident_before);
    let after = sink(&mut world);
    println!("{all} delayed: {} MiB, {} bytes each", memory >> 20, memory / u64::from(all));
    println!("a delayed publish: {first:?} each of the first {some}, {last:?} of the last");
    println!("any other: {before:?} without them, {after:?} with them");
}
