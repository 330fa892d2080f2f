//! Exchanges and queues that deduplicate: what is a duplicate, what becomes of it, and what lasts
//! through a restart.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, DiskOp, Input};

use super::client::{World, publish_with};
use super::costs::{resident, worked};
use super::durability::durable;

const MS: Duration = Duration::from_millis(1);
const HEADER: &str = "x-deduplication-header";
const ASKED: (&str, FieldValue) = ("x-message-deduplication", FieldValue::Bool(true));

fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
    FieldTable::new(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn queue(name: &str, arguments: &[(&str, FieldValue)]) -> QueueDeclare {
    QueueDeclare { arguments: table(arguments), ..durable(name) }
}

fn exchange(name: &str, arguments: &[(&str, FieldValue)]) -> ExchangeDeclare {
    ExchangeDeclare {
        exchange: name.into(),
        kind: "fanout".into(),
        durable: true,
        arguments: table(arguments),
        ..Default::default()
    }
}

/// A message whose body is its value, for an exchange with this key.
fn message(
    id: ConnectionId,
    exchange: &str,
    key: &str,
    value: &'static str,
    is_persistent: bool,
    more: &[(&str, FieldValue)],
) -> Vec<Input> {
    let mut headers = table(more);
    headers.push(HEADER.into(), FieldValue::text(value));
    let delivery_mode = is_persistent.then_some(2);
    let properties =
        BasicProperties { headers: Some(headers), delivery_mode, ..Default::default() };
    publish_with(id, exchange, key, value, properties.encode())
}

fn to_queue(id: ConnectionId, key: &str, value: &'static str) -> Vec<Input> {
    message(id, "", key, value, true, &[])
}

fn to_exchange(id: ConnectionId, value: &'static str) -> Vec<Input> {
    message(id, "x", "", value, true, &[])
}

fn bind(world: &mut World, id: ConnectionId, queue: &str) {
    let (queue, exchange) = (queue.into(), "x".into());
    world.tell(id, 1, QueueBind { queue, exchange, ..Default::default() });
}

/// A broker with a disk and a client on a channel with confirms.
fn world() -> (World, ConnectionId) {
    let mut world = World::with_disk(Config::default());
    let client = confirming(&mut world);
    (world, client)
}

fn confirming(world: &mut World) -> ConnectionId {
    let client = world.client();
    world.tell(client, 1, ConfirmSelect::default());
    world.heard(client);
    client
}

/// What is heard when the disk has done all.
fn settled(world: &mut World, id: ConnectionId) -> Vec<String> {
    world.settle();
    world.heard(id)
}

/// All that a queue gives.
fn all_of(world: &mut World, id: ConnectionId, queue: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        world.tell(id, 1, BasicGet { queue: queue.into(), no_ack: true, ..Default::default() });
        match settled(world, id).as_slice() {
            [one] if one == "basic.get-empty" => return all,
            [one] => all.push(one.trim_start_matches("got ").to_string()),
            heard => panic!("{heard:?}"),
        }
    }
}

/// Sends a message, and waits until all that comes of it is said.
fn say(world: &mut World, id: ConnectionId, message: Vec<Input>) -> Vec<String> {
    world.batch(message);
    settled(world, id)
}

#[test]
fn an_exchange_lets_each_value_through_once_and_returns_no_duplicate() {
    let (mut world, client) = world();
    world.tell(client, 1, exchange("x", &[ASKED]));
    world.tell(client, 1, durable("q"));
    bind(&mut world, client, "q");
    settled(&mut world, client);
    for (at, value) in ["1", "1", "2"].into_iter().enumerate() {
        assert_eq!(
            say(&mut world, client, to_exchange(client, value)),
            [format!("ack {}", at + 1)]
        );
    }
    // Of those that say nothing, none is a duplicate.
    for _ in 0..2 {
        let silent = BasicProperties { headers: Some(table(&[])), ..Default::default() };
        world.batch(publish_with(client, "x", "", "silent", silent.encode()));
    }
    settled(&mut world, client);
    assert_eq!(all_of(&mut world, client, "q"), ["1", "2", "silent", "silent"]);
}

#[test]
fn a_queue_takes_each_value_once_and_others_take_all() {
    let (mut world, client) = world();
    world.tell(client, 1, exchange("x", &[]));
    for queue in [queue("once", &[ASKED]), durable("all")] {
        let name = queue.queue.to_string();
        world.tell(client, 1, queue);
        bind(&mut world, client, &name);
    }
    settled(&mut world, client);
    for value in ["1", "1", "2", "1"] {
        say(&mut world, client, to_exchange(client, value));
    }
    assert_eq!(all_of(&mut world, client, "once"), ["1", "2"]);
    assert_eq!(all_of(&mut world, client, "all"), ["1", "1", "2", "1"]);
    // It is not what is in it that counts.
    assert_eq!(say(&mut world, client, to_queue(client, "once", "1")), ["ack 5"]);
    assert_eq!(all_of(&mut world, client, "once"), [""; 0]);
}

#[test]
fn the_oldest_is_forgotten_for_want_of_room_and_any_when_its_time_is_over() {
    let (mut world, client) = world();
    let size = ("x-cache-size", FieldValue::I32(2));
    let ttl = ("x-cache-ttl", FieldValue::I32(1000));
    world.tell(client, 1, queue("two", &[ASKED, size]));
    world.tell(client, 1, queue("second", &[ASKED, ttl]));
    settled(&mut world, client);
    for value in ["1", "2", "1", "3", "1"] {
        say(&mut world, client, to_queue(client, "two", value));
    }
    assert_eq!(all_of(&mut world, client, "two"), ["1", "2", "3", "1"]);
    say(&mut world, client, to_queue(client, "second", "1"));
    let own = [("x-cache-ttl", FieldValue::I32(5000))];
    say(&mut world, client, message(client, "", "second", "2", true, &own));
    world.pass(900 * MS);
    say(&mut world, client, to_queue(client, "second", "1"));
    world.pass(100 * MS);
    for value in ["1", "2"] {
        say(&mut world, client, to_queue(client, "second", value));
    }
    world.pass(4000 * MS);
    say(&mut world, client, to_queue(client, "second", "2"));
    assert_eq!(all_of(&mut world, client, "second"), ["1", "2", "1", "2"]);
}

#[test]
fn a_duplicate_is_confirmed_with_the_first_and_not_before_it() {
    let (mut world, client) = world();
    world.tell(client, 1, queue("q", &[ASKED]));
    settled(&mut world, client);
    world.batch(to_queue(client, "q", "1"));
    world.batch(to_queue(client, "q", "1"));
    world.pass(20 * MS);
    assert!(world.step(|request| matches!(request.op, DiskOp::Write { .. }), false));
    assert_eq!(world.heard(client), [""; 0]);
    assert_eq!(settled(&mut world, client), ["ack up to 2"]);
    // What is durable long since needs no waiting.
    world.batch(to_queue(client, "q", "1"));
    assert_eq!(world.heard(client), ["ack 3"]);
}

#[test]
fn what_goes_nowhere_or_is_refused_may_come_again() {
    let (mut world, client) = world();
    world.tell(client, 1, exchange("x", &[ASKED]));
    let full = [
        ASKED,
        ("x-max-length", FieldValue::I32(1)),
        ("x-overflow", FieldValue::text("reject-publish")),
    ];
    world.tell(client, 1, queue("q", &full));
    settled(&mut world, client);
    assert_eq!(say(&mut world, client, to_exchange(client, "1")), ["return 1", "ack 1"]);
    bind(&mut world, client, "q");
    settled(&mut world, client);
    assert_eq!(say(&mut world, client, to_exchange(client, "1")), ["ack 2"]);
    assert_eq!(say(&mut world, client, to_exchange(client, "2")), ["basic.nack"]);
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
    assert_eq!(say(&mut world, client, to_exchange(client, "2")), ["ack 4"]);
    assert_eq!(all_of(&mut world, client, "q"), ["2"]);
}

#[test]
fn a_dead_letter_that_comes_back_is_itself() {
    let (mut world, client) = world();
    let to = |key| {
        let exchange = ("x-dead-letter-exchange", FieldValue::text(""));
        [exchange, ("x-dead-letter-routing-key", FieldValue::text(key))]
    };
    world.tell(client, 1, queue("q", &[&[ASKED][..], &to("later")].concat()));
    let ttl = ("x-message-ttl", FieldValue::I32(10));
    world.tell(client, 1, queue("later", &[&[ttl][..], &to("q")].concat()));
    settled(&mut world, client);
    say(&mut world, client, to_queue(client, "q", "1"));
    for delivery_tag in 1..=3 {
        world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
        assert_eq!(settled(&mut world, client), ["got 1"]);
        world.tell(client, 1, BasicReject { delivery_tag, requeue: false });
        world.pass(50 * MS);
        settled(&mut world, client);
    }
    say(&mut world, client, to_queue(client, "q", "1"));
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
}

#[test]
fn what_is_delayed_is_looked_at_when_it_is_published_and_by_queues_when_it_comes() {
    let (mut world, client) = world();
    world.tell(client, 1, exchange("x", &[ASKED]));
    world.tell(client, 1, queue("q", &[ASKED]));
    bind(&mut world, client, "q");
    settled(&mut world, client);
    let delayed = [("x-delay", FieldValue::I32(100))];
    for _ in 0..2 {
        world.batch(message(client, "x", "", "1", true, &delayed));
    }
    settled(&mut world, client);
    assert_eq!(world.broker.delays()[0].ready, 1);
    say(&mut world, client, to_queue(client, "q", "1"));
    world.pass(200 * MS);
    settled(&mut world, client);
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
}

#[test]
fn a_transaction_knows_its_own() {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    world.tell(client, 1, TxSelect {});
    world.tell(client, 1, queue("q", &[ASKED]));
    settled(&mut world, client);
    for (value, end) in [("1", Method::TxRollback(TxRollback {})), ("1", TxCommit {}.into())] {
        for _ in 0..2 {
            world.batch(to_queue(client, "q", value));
        }
        world.tell(client, 1, end);
        settled(&mut world, client);
    }
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
}

/// The process is killed: what was remembered of messages that are kept is there, and nothing else.
#[test]
fn what_is_remembered_lasts_as_long_as_its_message() {
    let (mut world, client) = world();
    let ttl = ("x-cache-ttl", FieldValue::I32(60_000));
    world.tell(client, 1, exchange("x", &[ASKED, ttl.clone()]));
    world.tell(client, 1, durable("kept"));
    world.tell(client, 1, queue("q", &[ASKED, ttl]));
    bind(&mut world, client, "kept");
    settled(&mut world, client);
    for value in ["1", "2"] {
        say(&mut world, client, to_exchange(client, value));
        say(&mut world, client, to_queue(client, "q", value));
    }
    for (exchange, key) in [("x", ""), ("", "q")] {
        say(&mut world, client, message(client, exchange, key, "3", false, &[]));
    }
    assert_eq!(all_of(&mut world, client, "q"), ["1", "2", "3"]);
    // Not durable when the process ends.
    world.batch(to_queue(client, "q", "4"));
    for _ in 0..3 {
        world.restart(Config::default());
        let client = confirming(&mut world);
        for value in ["1", "2"] {
            assert_eq!(say(&mut world, client, to_queue(client, "q", value)).len(), 1);
            say(&mut world, client, to_exchange(client, value));
        }
        assert_eq!(all_of(&mut world, client, "q"), [""; 0]);
    }
    let client = confirming(&mut world);
    for value in ["3", "4"] {
        say(&mut world, client, to_exchange(client, value));
        say(&mut world, client, to_queue(client, "q", value));
    }
    assert_eq!(all_of(&mut world, client, "q"), ["3", "4"]);
    assert_eq!(all_of(&mut world, client, "kept"), ["1", "2", "3", "4"]);
}

#[test]
fn what_is_to_be_kept_is_no_duplicate_of_what_is_not() {
    let (mut world, client) = world();
    world.tell(client, 1, queue("q", &[ASKED]));
    settled(&mut world, client);
    for is_persistent in [false, true, true, false] {
        say(&mut world, client, message(client, "", "q", "1", is_persistent, &[]));
    }
    world.restart(Config::default());
    let client = confirming(&mut world);
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
}

#[test]
fn a_queue_that_is_declared_anew_has_seen_nothing() {
    let (mut world, client) = world();
    for _ in 0..2 {
        let mut batch = Vec::new();
        for declare in [Method::from(queue("q", &[ASKED])), exchange("x", &[ASKED]).into()] {
            batch.push(Input::Frame(client, Frame::Method(1, declare)));
        }
        let bind = QueueBind { queue: "q".into(), exchange: "x".into(), ..Default::default() };
        batch.push(Input::Frame(client, Frame::Method(1, bind.into())));
        batch.extend(to_exchange(client, "1"));
        // All of it in one batch of the log.
        world.batch(batch);
        world.tell(client, 1, ExchangeDelete { exchange: "x".into(), ..Default::default() });
        world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    }
    world.tell(client, 1, queue("q", &[ASKED]));
    settled(&mut world, client);
    world.restart(Config::default());
    let client = confirming(&mut world);
    say(&mut world, client, to_queue(client, "q", "1"));
    assert_eq!(all_of(&mut world, client, "q"), ["1"]);
}

#[test]
fn wrong_arguments_and_other_ones_are_refused() {
    let (mut world, client) = world();
    let mut refused = |declare: Method| {
        world.tell(client, 1, declare);
        let heard = settled(&mut world, client);
        if heard[0].starts_with("channel.close") {
            world.tell(client, 1, ChannelCloseOk {});
            world.tell(client, 1, ChannelOpen::default());
            world.heard(client);
        }
        heard[0].trim_start_matches("channel.close PRECONDITION_FAILED - ").to_string()
    };
    for (argument, value, problem) in [
        ("x-message-deduplication", FieldValue::text("true"), "{unacceptable_type,longstr}"),
        ("x-cache-size", FieldValue::I32(0), "{value_zero,0}"),
        ("x-cache-size", FieldValue::text("9"), "\"expected integer, got longstr\""),
        ("x-cache-ttl", FieldValue::I32(-1), "{value_negative,-1}"),
        ("x-deduplication-header", FieldValue::I32(1), "{unacceptable_type,signedint}"),
    ] {
        let text = |of| format!("invalid arg '{argument}' for {of} in vhost '/': {problem}");
        let wrong = [(argument, value)];
        assert_eq!(refused(exchange("x", &wrong).into()), text("exchange 'x'"));
        assert_eq!(refused(queue("q", &wrong).into()), text("queue 'q'"));
    }
    let sized = |size| [ASKED, ("x-cache-size", FieldValue::I64(size))];
    assert_eq!(refused(exchange("x", &sized(5)).into()), "exchange.declare-ok");
    for (of, declare) in [
        ("exchange 'x'", Method::from(exchange("x", &sized(6)))),
        ("exchange 'x'", exchange("x", &[ASKED]).into()),
    ] {
        let text = format!("inequivalent arg 'x-cache-size' for {of} in vhost '/': received");
        assert!(refused(declare).starts_with(&text));
    }
}

/// What it costs to remember many values. A few here; what a million take is printed by
/// `SEEN=1000000 cargo test --release -p warren-core --test broker -- --nocapture many_values`.
#[test]
fn many_values_take_little_memory_and_hold_up_nobody() {
    let all: i64 = std::env::var("SEEN").map_or(10_000, |all| all.parse().expect("a number"));
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    world.tell(client, 1, queue("q", &[ASKED, ("x-cache-size", FieldValue::I64(all))]));
    world.tell(client, 1, durable("plain"));
    settled(&mut world, client);
    let send = |world: &mut World, key: &str, first: i64| {
        let inputs: Vec<Input> = (first..first + 1000)
            .flat_map(|value| {
                let headers = Some(table(&[(HEADER, FieldValue::I64(value))]));
                let delivery_mode = Some(2);
                let properties = BasicProperties { headers, delivery_mode, ..Default::default() };
                publish_with(client, "", key, "a small body", properties.encode())
            })
            .collect();
        let begun = worked();
        world.batch(inputs);
        world.pass(20 * MS);
        while world.step(|_| true, false) {}
        let took = worked() - begun;
        let status = world.broker.queues().into_iter().find(|queue| queue.name == key);
        let queue = key.into();
        world.tell(client, 1, QueuePurge { queue, ..Default::default() });
        settled(world, client);
        (took, status.expect("a queue").ready)
    };
    world.disk.is_sink = true;
    let mut times = [Duration::ZERO; 3];
    let before = resident();
    for first in (0..all).step_by(1000) {
        times[0] += send(&mut world, "plain", first).0;
        let (took, count) = send(&mut world, "q", first);
        assert_eq!(count, 1000);
        times[1] += took;
    }
    let memory = resident().saturating_sub(before);
    for first in (0..all).step_by(1000) {
        let (took, count) = send(&mut world, "q", first);
        assert_eq!(count, 0);
        times[2] += took;
    }
    let [plain, first, again] = times.map(|time| time / u32::try_from(all).expect("few"));
    println!("{all} values: {} MiB, {} bytes each", memory >> 20, memory / all as u64);
    println!(
        "a message: {plain:?} to a queue that sees nothing, {first:?} with a value, {again:?} \
              with the same"
    );
}
