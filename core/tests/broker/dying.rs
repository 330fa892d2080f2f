//! Messages that die: expiry, length limits, delivery limits, dead letters.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::broker::Message;
use warren_core::{Config, ConnectionId, DiskRequest, Event, Lane, Output};

use super::client::{World, persist, publish_with};
use super::disk::of;

fn text(value: &'static str) -> FieldValue {
    FieldValue::text(value)
}

fn declare(world: &mut World, id: ConnectionId, name: &str, arguments: &[(&str, FieldValue)]) {
    let entries = arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let arguments = FieldTable::new(entries);
    world.tell(id, 1, QueueDeclare { queue: name.into(), arguments, ..Default::default() });
    world.heard(id);
}

fn publish_for(world: &mut World, id: ConnectionId, key: &str, body: &'static str, ttl: &str) {
    let properties = BasicProperties { expiration: Some(ttl.into()), ..Default::default() };
    world.batch(publish_with(id, "", key, body, properties.encode()));
}

fn get(world: &mut World, id: ConnectionId, queue: &str) -> Vec<String> {
    world.tell(id, 1, BasicGet { queue: queue.into(), no_ack: true, ..Default::default() });
    world.heard(id)
}

/// The message that answers a `basic.get`.
fn take(world: &mut World, id: ConnectionId, queue: &str) -> Message {
    world.tell(id, 1, BasicGet { queue: queue.into(), no_ack: true, ..Default::default() });
    let got = world.outputs().iter().find_map(|output| match output {
        Output::Send(_, OutFrame::GetOk(_, got)) => Some(got.message.as_ref().clone()),
        _ => None,
    });
    world.heard(id);
    got.expect("a message")
}

fn ready(world: &World, queue: &str) -> u64 {
    let queues = world.broker.queues();
    queues.iter().find(|status| status.name == queue).expect("a queue").ready
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn every_message_expires_at_its_time_wherever_it_stands() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.publish(client, "q", "stays");
    publish_for(&mut world, client, "q", "long", "50");
    publish_for(&mut world, client, "q", "short", "10");
    world.publish(client, "q", "stays too");
    assert_eq!(ready(&world, "q"), 4);
    world.pass(9 * MS);
    assert_eq!(ready(&world, "q"), 4);
    world.pass(2 * MS);
    assert_eq!(ready(&world, "q"), 3);
    world.pass(40 * MS);
    assert_eq!(ready(&world, "q"), 2);
    world.heard(client);
    assert_eq!(get(&mut world, client, "q"), ["got stays"]);
    assert_eq!(get(&mut world, client, "q"), ["got stays too"]);
    assert_eq!(get(&mut world, client, "q"), ["basic.get-empty"]);
}

#[test]
fn a_queues_time_to_live_counts_if_it_is_shorter_than_the_messages() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-message-ttl", FieldValue::I32(20))]);
    publish_for(&mut world, client, "q", "long", "50");
    publish_for(&mut world, client, "q", "short", "10");
    world.pass(11 * MS);
    assert_eq!(ready(&world, "q"), 1);
    world.pass(10 * MS);
    assert_eq!(ready(&world, "q"), 0);
}

#[test]
fn without_time_to_live_only_a_consumer_that_waits_gets_a_message() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-message-ttl", FieldValue::I32(0))]);
    world.publish(client, "q", "lost");
    assert_eq!(ready(&world, "q"), 0);
    world.consume(client, "q", "a");
    world.heard(client);
    world.publish(client, "q", "given");
    assert_eq!(world.heard(client), ["a 1 given"]);
    // Its time was over when it was handed out.
    world.tell(client, 1, BasicReject { delivery_tag: 1, requeue: true });
    assert_eq!((ready(&world, "q"), world.heard(client)), (0, vec![]));
}

#[test]
fn what_is_handed_out_expires_when_it_comes_back() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    publish_for(&mut world, client, "q", "held", "10");
    world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: false, ..Default::default() });
    world.pass(20 * MS);
    let status = &world.broker.queues()[0];
    assert_eq!((status.unacked, status.expired), (1, 0));
    world.tell(client, 1, BasicNack { delivery_tag: 1, multiple: false, requeue: true });
    let status = &world.broker.queues()[0];
    assert_eq!((status.ready, status.unacked, status.expired), (0, 0, 1));
}

#[test]
fn an_expiration_that_makes_no_sense_is_refused_in_rabbitmqs_words() {
    let huge = "340282366920938463463374607431768211456";
    for (expiration, problem) in [
        ("-1", "{value_negative,-1}"),
        ("1.5", "{leftover_string,\".5\"}"),
        ("1e3", "{leftover_string,\"e3\"}"),
        ("5 ", "{leftover_string,\" \"}"),
        ("0x10", "{leftover_string,\"x10\"}"),
        (" 5", "no_integer"),
        ("abc", "no_integer"),
        ("-", "no_integer"),
        ("", "no_integer"),
        ("315360000001", "{value_too_large,315360000001}"),
        (huge, "{value_too_large,340282366920938463463374607431768211456}"),
    ] {
        let mut world = World::new(Config::default());
        let client = world.client();
        world.declare(client, "q");
        world.heard(client);
        publish_for(&mut world, client, "q", "x", expiration);
        let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {problem}");
        assert_eq!(world.heard(client), [format!("channel.close {text}")]);
        assert_eq!(ready(&world, "q"), 0);
    }
    for expiration in ["+500", "0500", "315360000000"] {
        let mut world = World::new(Config::default());
        let client = world.client();
        world.declare(client, "q");
        world.heard(client);
        publish_for(&mut world, client, "q", "x", expiration);
        assert_eq!((world.heard(client), ready(&world, "q")), (vec![], 1), "{expiration}");
    }
}

#[test]
fn a_dead_letter_whose_target_is_deleted_midway_is_counted_and_the_others_stay() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "grave");
    let dead = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("grave")),
        ("x-message-ttl", FieldValue::I32(10)),
    ];
    declare(&mut world, client, "q", &dead);
    world.publish(client, "q", "first");
    world.pass(20 * MS);
    assert_eq!((ready(&world, "q"), ready(&world, "grave")), (0, 1));
    world.publish(client, "q", "second");
    world.tell(client, 1, QueueDelete { queue: "grave".into(), ..Default::default() });
    world.heard(client);
    world.pass(20 * MS);
    let lost = |world: &World| world.broker.queues()[0].lost_letters;
    assert_eq!((ready(&world, "q"), lost(&world)), (0, 1));
    world.declare(client, "grave");
    world.publish(client, "q", "third");
    world.pass(20 * MS);
    assert_eq!((ready(&world, "grave"), world.broker.queues()[1].lost_letters), (1, 1));
}

#[test]
fn a_queue_that_nobody_uses_goes() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-expires", FieldValue::I32(100))]);
    world.pass(90 * MS);
    get(&mut world, client, "q");
    world.pass(90 * MS);
    assert_eq!(world.broker.queues().len(), 1, "a get uses it");
    world.consume(client, "q", "a");
    world.pass(200 * MS);
    assert_eq!(world.broker.queues().len(), 1, "a consumer uses it");
    world.tell(client, 1, BasicCancel { consumer_tag: "a".into(), nowait: false });
    world.pass(99 * MS);
    assert_eq!(world.broker.queues().len(), 1);
    world.pass(2 * MS);
    assert_eq!(world.broker.queues().len(), 0);
}

#[test]
fn a_dead_letter_tells_where_and_why_it_died() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let arguments =
        [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("graveyard"))];
    declare(&mut world, client, "q", &arguments);
    world.declare(client, "graveyard");
    world.pass(2500 * MS);
    publish_for(&mut world, client, "q", "m", "500");
    world.pass(501 * MS);
    let message = take(&mut world, client, "graveyard");
    assert_eq!(message.routing_key, ShortStr::from("graveyard"));
    let properties = message.properties.decode().expect("properties");
    assert_eq!(properties.expiration, None);
    let headers = properties.headers.expect("headers");
    let Some(FieldValue::Array(deaths)) = headers.find("x-death") else { panic!("no x-death") };
    let [FieldValue::Table(death)] = &deaths[..] else { panic!("one death: {deaths:?}") };
    assert_eq!(death.find("reason"), Some(&text("expired")));
    assert_eq!(death.find("queue"), Some(&text("q")));
    assert_eq!(death.find("count"), Some(&FieldValue::I64(1)));
    assert_eq!(death.find("time"), Some(&FieldValue::Timestamp(1003)));
    assert_eq!(death.find("original-expiration"), Some(&text("500")));
    assert_eq!(headers.find("x-first-death-queue"), Some(&text("q")));
    assert_eq!(headers.find("x-last-death-reason"), Some(&text("expired")));
}

#[test]
fn rejected_messages_go_on_in_their_order_and_acked_ones_do_not() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-dead-letter-exchange", text("amq.fanout"))]);
    world.declare(client, "dead");
    let (queue, exchange) = ("dead".into(), "amq.fanout".into());
    world.tell(client, 1, QueueBind { queue, exchange, ..Default::default() });
    world.consume(client, "q", "a");
    ["1", "2", "3"].into_iter().for_each(|body| world.publish(client, "q", body));
    world.tell(client, 1, BasicAck { delivery_tag: 2, multiple: false });
    world.tell(client, 1, BasicNack { delivery_tag: 0, multiple: true, requeue: false });
    world.heard(client);
    assert_eq!(get(&mut world, client, "dead"), ["got 1"]);
    assert_eq!(get(&mut world, client, "dead"), ["got 3"]);
    assert_eq!(get(&mut world, client, "dead"), ["basic.get-empty"]);
}

#[test]
fn a_cycle_without_a_rejection_ends_and_one_with_goes_on() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let wait = [
        ("x-message-ttl", FieldValue::I32(10)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("work")),
    ];
    declare(&mut world, client, "wait", &wait);
    let work = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("wait"))];
    declare(&mut world, client, "work", &work);
    world.consume(client, "work", "a");
    world.publish(client, "work", "m");
    for tag in 1..4 {
        world.tell(client, 1, BasicReject { delivery_tag: tag, requeue: false });
        world.pass(11 * MS);
    }
    let delivered = world.heard(client).into_iter().filter(|said| said.starts_with("a "));
    assert_eq!(delivered.collect::<Vec<_>>(), ["a 1 m", "a 2 m", "a 3 m", "a 4 m"]);
    let to_itself = [
        ("x-message-ttl", FieldValue::I32(10)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("round")),
    ];
    declare(&mut world, client, "round", &to_itself);
    world.publish(client, "round", "m");
    world.pass(11 * MS);
    let queues = world.broker.queues();
    let status = queues.iter().find(|status| status.name == "round").expect("it is there");
    assert_eq!((status.ready, status.expired, status.lost_letters), (0, 1, 1));
}

#[test]
fn a_missing_dead_letter_exchange_is_counted_and_told() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-dead-letter-exchange", text("missing"))]);
    for _ in 0..5 {
        world.publish(client, "q", "m");
        world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: false, ..Default::default() });
    }
    world.tell(client, 1, BasicNack { delivery_tag: 0, multiple: true, requeue: false });
    assert_eq!(world.broker.queues()[0].lost_letters, 5);
    let told = world.outputs().iter().filter_map(|output| match output {
        Output::Event(Event::DeadLettersLost { queue, count, .. }) => Some((&**queue, *count)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [("q", 1), ("q", 2), ("q", 4)]);
}

#[test]
fn a_limit_of_length_that_is_none_is_refused_with_the_reason() {
    let declared = |name: &str, value: FieldValue| {
        let mut world = World::new(Config::default());
        let client = world.client();
        let arguments = FieldTable::new(vec![(name.into(), value)]);
        world.tell(client, 1, QueueDeclare { queue: "q".into(), arguments, ..Default::default() });
        world.heard(client)
    };
    let fraction = 1.5f64.to_bits();
    for name in ["x-max-length", "x-max-length-bytes"] {
        let refused = |problem: &str| {
            let queue = "queue 'q' in vhost '/'";
            let reason = format!("invalid arg '{name}' for {queue}: {problem}");
            vec![format!("channel.close PRECONDITION_FAILED - {reason}")]
        };
        let negative = declared(name, FieldValue::I32(-1));
        assert_eq!(negative, refused("{value_negative,-1}"));
        let fractional = declared(name, FieldValue::F64(fraction));
        assert_eq!(fractional, refused("\"expected integer, got double\""));
        assert_eq!(declared(name, text("9")), refused("\"expected integer, got longstr\""));
        let huge = declared(name, FieldValue::I64(i64::MAX));
        assert_eq!(huge, declared(name, FieldValue::I32(0)));
        assert!(!huge[0].starts_with("channel.close"), "{huge:?}");
    }
}

#[test]
fn the_first_goes_where_there_are_more_than_may_be() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let arguments = [
        ("x-max-length", FieldValue::I32(2)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
    ];
    declare(&mut world, client, "q", &arguments);
    world.declare(client, "dead");
    ["1", "2", "3", "4"].into_iter().for_each(|body| world.publish(client, "q", body));
    world.heard(client);
    assert_eq!((ready(&world, "q"), ready(&world, "dead")), (2, 2));
    assert_eq!(get(&mut world, client, "dead"), ["got 1"]);
    assert_eq!(get(&mut world, client, "q"), ["got 3"]);
}

#[test]
fn a_full_queue_that_refuses_says_so_to_who_asks_for_confirms() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let full = [("x-max-length", FieldValue::I32(1)), ("x-overflow", text("reject-publish"))];
    declare(&mut world, client, "q", &full);
    world.tell(client, 1, ConfirmSelect { nowait: true });
    world.publish(client, "q", "1");
    assert_eq!(world.heard(client), ["ack 1"]);
    world.publish(client, "q", "2");
    assert_eq!(world.heard(client), ["basic.nack"]);
    assert_eq!(get(&mut world, client, "q"), ["got 1"]);
    world.publish(client, "q", "3");
    assert_eq!(world.heard(client), ["ack 3"]);
}

#[test]
fn who_is_refused_somewhere_is_told_so_and_the_others_have_it() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let full = [
        ("x-max-length", FieldValue::I32(0)),
        ("x-overflow", text("reject-publish-dlx")),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
    ];
    declare(&mut world, client, "full", &full);
    world.declare(client, "free");
    world.declare(client, "dead");
    for queue in ["full", "free"] {
        let (queue, exchange) = (queue.into(), "amq.fanout".into());
        world.tell(client, 1, QueueBind { queue, exchange, ..Default::default() });
    }
    world.tell(client, 1, ConfirmSelect { nowait: true });
    world.heard(client);
    world.batch(publish_with(client, "amq.fanout", "", "m", Properties::default()));
    assert_eq!(world.heard(client), ["basic.nack"]);
    assert_eq!([ready(&world, "full"), ready(&world, "free"), ready(&world, "dead")], [0, 1, 1]);
}

#[test]
fn a_transaction_that_is_refused_in_part_fails() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let full = [("x-max-length", FieldValue::I32(1)), ("x-overflow", text("reject-publish"))];
    declare(&mut world, client, "q", &full);
    world.tell(client, 1, TxSelect {});
    world.publish(client, "q", "1");
    world.publish(client, "q", "2");
    world.heard(client);
    world.tell(client, 1, TxCommit {});
    let refused = "channel.close PRECONDITION_FAILED - partial tx completion";
    assert_eq!((world.heard(client), ready(&world, "q")), (vec![refused.to_owned()], 1));
}

#[test]
fn what_a_transaction_would_have_settled_goes_back_when_it_is_refused() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let full = [("x-max-length", FieldValue::I32(0)), ("x-overflow", text("reject-publish"))];
    declare(&mut world, client, "full", &full);
    declare(&mut world, client, "q", &[]);
    world.publish(client, "q", "m");
    world.tell(client, 1, TxSelect {});
    world.tell(client, 1, BasicGet { queue: "q".into(), ..BasicGet::default() });
    world.publish(client, "full", "m");
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    world.heard(client);
    world.tell(client, 1, TxCommit {});
    let refused = "channel.close PRECONDITION_FAILED - partial tx completion";
    assert_eq!((world.heard(client), ready(&world, "q")), (vec![refused.to_owned()], 1));
}

#[test]
fn a_message_that_came_back_too_often_dies_and_its_count_is_told_before() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-delivery-limit", FieldValue::I32(2))]);
    world.publish(client, "q", "m");
    let mut counts = Vec::new();
    for tag in 1..4 {
        world.tell(client, 1, BasicGet { queue: "q".into(), no_ack: false, ..Default::default() });
        let told = world.outputs().iter().find_map(|output| match output {
            Output::Send(_, OutFrame::GetOk(_, got)) => got.message.properties.decode().ok(),
            _ => None,
        });
        let headers = told.expect("a message").headers;
        counts.push(headers.and_then(|table| table.find("x-delivery-count").cloned()));
        world.tell(client, 1, BasicReject { delivery_tag: tag, requeue: true });
        world.heard(client);
    }
    assert_eq!(counts, [None, Some(FieldValue::I64(1)), Some(FieldValue::I64(2))]);
    let status = &world.broker.queues()[0];
    assert_eq!((status.ready, status.worn_out), (0, 1));
}

#[test]
fn very_many_expire_in_several_turns() {
    let mut world = World::new(Config::default());
    let client = world.client();
    declare(&mut world, client, "q", &[("x-message-ttl", FieldValue::I32(10))]);
    for _ in 0..10_000 {
        world.publish(client, "q", "m");
    }
    world.now = world.now + 11 * MS;
    world.input(warren_core::Input::Tick);
    assert!(ready(&world, "q") > 0, "others have their turn");
    world.pass(Duration::ZERO);
    assert_eq!(ready(&world, "q"), 0);
}

/// The most that messages take while the disk does what it is asked for, as far as this holds.
fn most_memory(world: &mut World, which: impl Fn(&DiskRequest) -> bool) -> u64 {
    let mut most = world.broker.memory();
    while world.step(&which, false) {
        most = most.max(world.broker.memory());
    }
    most
}

#[test]
fn the_dead_take_no_more_memory_than_they_may() {
    let limit = 20_000;
    let mut world = World::with_disk(Config { memory_max: limit, ..Config::default() });
    let client = world.client();
    let (exchange, key) = (("x-dead-letter-exchange", text("")), "x-dead-letter-routing-key");
    let dying = [exchange, (key, text("dead")), ("x-message-ttl", FieldValue::I32(60_000))];
    for (name, arguments) in [("q", &dying[..]), ("dead", &[])] {
        let entries = arguments.iter().map(|(name, value)| ((*name).into(), value.clone()));
        let arguments = FieldTable::new(entries.collect());
        let declare =
            QueueDeclare { queue: name.into(), durable: true, arguments, ..Default::default() };
        world.tell(client, 1, declare);
        world.settle();
    }
    for _ in 0..300 {
        world.write(persist(client, "q", "m"));
        world.settle();
    }
    world.heard(client);
    assert_eq!(ready(&world, "q"), 300);
    world.pass(Duration::from_secs(60));
    // First only reads are answered: what is written is to wait for the log.
    let mut most = most_memory(&mut world, of(Lane::Read));
    for _ in 0..300 {
        most = most.max(most_memory(&mut world, |_| true));
        world.pass(20 * MS);
    }
    assert_eq!(ready(&world, "dead"), 300);
    assert!(most <= limit + 2000, "{most}");
}
