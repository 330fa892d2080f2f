//! Limits of how many bytes the bodies of ready messages may have.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::broker::{ApplyTo, Policy, PolicyLayer};
use warren_core::{Command, CommandId, Config, ConnectionId, Input, Mark};

use super::client::{World, persist, publish_with};

const TEN: &str = "0123456789";

fn number(name: &'static str, value: i64) -> (&'static str, FieldValue) {
    (name, FieldValue::I64(value))
}

fn max_bytes(max: i64) -> (&'static str, FieldValue) {
    number("x-max-length-bytes", max)
}

fn refusing() -> (&'static str, FieldValue) {
    ("x-overflow", FieldValue::text("reject-publish"))
}

fn table(entries: &[(&'static str, FieldValue)]) -> FieldTable {
    let entries = entries.iter().map(|(name, value)| ((*name).into(), value.clone()));
    FieldTable::new(entries.collect())
}

fn declaration(queue: &str, arguments: &[(&'static str, FieldValue)]) -> QueueDeclare {
    let (queue, arguments) = (queue.into(), table(arguments));
    QueueDeclare { queue, durable: true, arguments, ..Default::default() }
}

/// A broker with a durable queue `q` with these arguments, and a client that asks for confirms.
fn world_with(config: Config, arguments: &[(&'static str, FieldValue)]) -> (World, ConnectionId) {
    let mut world = World::with_disk(config);
    let client = world.client();
    world.tell(client, 1, declaration("q", arguments));
    world.tell(client, 1, declaration("dead", &[]));
    world.tell(client, 1, ConfirmSelect { nowait: true });
    world.settle();
    world.heard(client);
    (world, client)
}

fn world(arguments: &[(&'static str, FieldValue)]) -> (World, ConnectionId) {
    world_with(Config::default(), arguments)
}

/// Whether `q` takes a message.
fn takes(world: &mut World, client: ConnectionId, body: &'static str) -> bool {
    world.batch(persist(client, "q", body));
    world.settle();
    match &world.heard(client)[..] {
        [answer] if answer.starts_with("ack") => true,
        [answer] if answer == "basic.nack" => false,
        other => panic!("{other:?}"),
    }
}

fn fill(world: &mut World, client: ConnectionId, bodies: &[&'static str]) {
    for body in bodies {
        assert!(takes(world, client, body));
    }
}

/// What is ready in a queue.
fn ready(world: &World, name: &str) -> u64 {
    world.broker.queues().iter().find(|queue| queue.name == name).expect("a queue").ready
}

/// The next message of a queue, which is not settled.
fn hold(world: &mut World, client: ConnectionId, queue: &str) -> Vec<String> {
    world.tell(client, 1, BasicGet { queue: queue.into(), no_ack: false, ..Default::default() });
    world.settle();
    world.heard(client)
}

fn restart(world: &mut World, config: Config) -> ConnectionId {
    world.restart(config);
    let client = world.client();
    world.tell(client, 1, ConfirmSelect { nowait: true });
    client
}

fn marked(world: &World, mark: Mark) -> bool {
    world.broker.marks().count(mark) > 0
}

/// So little is kept in memory that what comes is on disk only.
fn on_disk() -> Config {
    Config { queue_window: 0, ..Config::default() }
}

#[test]
fn the_first_go_until_the_rest_has_no_more_bytes_than_it_may() {
    let letters = [
        ("x-dead-letter-exchange", FieldValue::text("")),
        ("x-dead-letter-routing-key", FieldValue::text("dead")),
        max_bytes(25),
    ];
    let (mut world, client) = world(&letters);
    fill(&mut world, client, &[TEN, TEN, "12345"]);
    assert_eq!((ready(&world, "q"), ready(&world, "dead")), (3, 0), "as many as may be");
    fill(&mut world, client, &["1"]);
    assert_eq!((ready(&world, "q"), ready(&world, "dead")), (3, 1));
    // One that is too long by itself goes, and all before it.
    fill(&mut world, client, &["01234567890123456789012345"]);
    assert_eq!((ready(&world, "q"), ready(&world, "dead")), (0, 5));
    fill(&mut world, client, &[TEN]);
    assert_eq!(ready(&world, "q"), 1);
}

#[test]
fn who_would_be_too_much_is_refused() {
    let (mut world, client) = world(&[max_bytes(25), refusing()]);
    assert!(!takes(&mut world, client, "01234567890123456789012345"), "longer than all may be");
    fill(&mut world, client, &[TEN, TEN]);
    assert!(!takes(&mut world, client, "123456"));
    assert!(takes(&mut world, client, "12345"));
    assert!(takes(&mut world, client, ""), "nothing more");
    assert!(!takes(&mut world, client, "1"));
    assert_eq!(hold(&mut world, client, "q"), [format!("got {TEN}")]);
    assert!(takes(&mut world, client, TEN), "only what is ready counts");
    world.tell(client, 1, BasicReject { delivery_tag: 1, requeue: true });
    assert_eq!(ready(&world, "q"), 5, "what comes back comes whether there is room or not");
    assert!(!takes(&mut world, client, "1"));
}

#[test]
fn of_nothing_there_may_be_any_number() {
    let (mut world, client) = world(&[max_bytes(0), refusing()]);
    fill(&mut world, client, &["", "", ""]);
    assert!(!takes(&mut world, client, "1"));
    world.tell(client, 1, declaration("dropping", &[max_bytes(0)]));
    world.heard(client);
    for body in ["", "", "1", ""] {
        world.batch(persist(client, "dropping", body));
    }
    world.settle();
    assert_eq!((ready(&world, "q"), ready(&world, "dropping")), (3, 1));
}

#[test]
fn the_limit_that_is_reached_first_counts() {
    let (mut world, client) = world(&[max_bytes(25), number("x-max-length", 3), refusing()]);
    fill(&mut world, client, &["", "", ""]);
    assert!(!takes(&mut world, client, ""), "three are enough");
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    world.settle();
    world.heard(client);
    fill(&mut world, client, &[TEN, TEN]);
    assert!(!takes(&mut world, client, TEN), "and so are these bytes");
}

#[test]
fn a_limit_may_be_as_high_as_can_be() {
    let (mut world, client) = world(&[max_bytes(i64::MAX), refusing()]);
    fill(&mut world, client, &[TEN, TEN]);
}

#[test]
fn what_comes_back_makes_the_first_go() {
    let (mut world, client) = world(&[max_bytes(25)]);
    fill(&mut world, client, &["first ten.", TEN]);
    hold(&mut world, client, "q");
    fill(&mut world, client, &[TEN]);
    world.tell(client, 1, BasicReject { delivery_tag: 1, requeue: true });
    world.settle();
    assert_eq!(ready(&world, "q"), 2);
    assert_eq!(hold(&mut world, client, "q"), [format!("got {TEN}")]);
}

#[test]
fn all_levels_count_together() {
    let levels = number("x-max-priority", 9);
    let (mut world, client) = world(&[max_bytes(25), levels, refusing()]);
    let publish = |world: &mut World, priority, body| {
        let properties =
            BasicProperties { delivery_mode: Some(2), priority, ..BasicProperties::default() };
        world.batch(publish_with(client, "", "q", body, properties.encode()));
        world.settle();
        world.heard(client)[0].starts_with("ack")
    };
    assert!(publish(&mut world, Some(1), TEN));
    assert!(publish(&mut world, Some(9), TEN));
    assert!(!publish(&mut world, None, TEN));
    assert!(publish(&mut world, None, "12345"));
    let client = restart(&mut world, Config::default());
    assert!(!takes(&mut world, client, "1"));
}

#[test]
fn a_start_knows_the_bytes_whatever_was_taken_before() {
    for window in [0, 1 << 20] {
        let config = Config { queue_window: window, ..Config::default() };
        let (mut world, client) = world_with(config.clone(), &[max_bytes(40), refusing()]);
        fill(&mut world, client, &["a", TEN, "bcd", TEN, "ef", TEN]);
        for tag in 1..=3 {
            hold(&mut world, client, "q");
            if tag != 2 {
                world.tell(client, 1, BasicAck { delivery_tag: tag, multiple: false });
            }
        }
        world.settle();
        let client = restart(&mut world, config.clone());
        assert!(!takes(&mut world, client, "123456789"), "32 bytes are there");
        assert!(takes(&mut world, client, "12345678"));
        assert!(!marked(&world, Mark::BacklogWeighed), "nothing is read for that");
        // The same after a stop, of which the checkpoint tells.
        world.input(Input::Shutdown("done".into()));
        world.settle();
        let client = restart(&mut world, config);
        assert!(!takes(&mut world, client, "1"));
    }
}

#[test]
fn what_expires_on_disk_gives_back_its_bytes_when_it_is_read() {
    let (mut world, client) = world_with(on_disk(), &[max_bytes(30), refusing()]);
    fill(&mut world, client, &[TEN]);
    let properties = BasicProperties {
        delivery_mode: Some(2),
        expiration: Some("50".into()),
        ..BasicProperties::default()
    };
    world.batch(publish_with(client, "", "q", "01234567", properties.encode()));
    world.settle();
    world.heard(client);
    fill(&mut world, client, &[TEN]);
    assert!(!takes(&mut world, client, "123"));
    world.pass(Duration::from_millis(50));
    assert_eq!(ready(&world, "q"), 2);
    assert!(marked(&world, Mark::SizeOwed));
    world.settle();
    assert!(takes(&mut world, client, TEN));
    assert!(!takes(&mut world, client, "1"));
    let client = restart(&mut world, on_disk());
    assert!(!takes(&mut world, client, "1"));
    assert_eq!(ready(&world, "q"), 3);
}

#[test]
fn what_was_purged_has_no_bytes() {
    let (mut world, client) = world_with(on_disk(), &[max_bytes(25), refusing()]);
    fill(&mut world, client, &[TEN, TEN]);
    hold(&mut world, client, "q");
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    world.settle();
    world.heard(client);
    fill(&mut world, client, &[TEN, TEN]);
    assert!(!takes(&mut world, client, TEN));
    let client = restart(&mut world, on_disk());
    assert!(!takes(&mut world, client, "1"), "what was handed out is ready again");
    assert_eq!(ready(&world, "q"), 3);
}

fn set_limit(world: &mut World, layer: PolicyLayer, max: i64) {
    let definition = table(&[number("max-length-bytes", max)]);
    let (name, pattern, apply_to) = ("p".into(), "^q$".into(), ApplyTo::All);
    let policy = Policy { name, pattern, apply_to, priority: 0, definition };
    let command = Command::SetPolicy { vhost: "/".into(), layer, policy };
    world.input(Input::Command(CommandId(1), Box::new(command)));
    world.settle();
    assert!(world.answers()[0].ends_with("ated"));
}

#[test]
fn a_policy_brings_a_limit_to_what_is_there() {
    let (mut world, client) = world_with(on_disk(), &[]);
    fill(&mut world, client, &["first", TEN, TEN, TEN]);
    set_limit(&mut world, PolicyLayer::User, 30);
    assert_eq!(ready(&world, "q"), 3);
    set_limit(&mut world, PolicyLayer::Operator, 19);
    assert_eq!(ready(&world, "q"), 1);
    assert!(!marked(&world, Mark::BacklogWeighed));
}

#[test]
fn a_backlog_whose_bytes_nobody_knows_is_read_for_a_limit_and_stays_where_it_is() {
    let (mut world, client) = world_with(on_disk(), &[]);
    fill(&mut world, client, &["taken", "first", TEN, TEN, TEN]);
    hold(&mut world, client, "q");
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    world.settle();
    // Of a queue without a limit, the log does not say what is left.
    let client = restart(&mut world, on_disk());
    set_limit(&mut world, PolicyLayer::User, 30);
    assert!(marked(&world, Mark::BacklogWeighed));
    assert_eq!(ready(&world, "q"), 3);
    fill(&mut world, client, &[TEN]);
    assert_eq!(ready(&world, "q"), 3);
    for _ in 0..3 {
        assert!(hold(&mut world, client, "q")[0].starts_with(&format!("got {TEN}")));
    }
}

#[test]
fn a_limit_comes_to_a_queue_in_which_messages_expired_unread() {
    let (mut world, client) = world_with(on_disk(), &[refusing()]);
    let properties = BasicProperties {
        delivery_mode: Some(2),
        expiration: Some("50".into()),
        ..BasicProperties::default()
    };
    world.batch(publish_with(client, "", "q", TEN, properties.encode()));
    world.settle();
    world.heard(client);
    fill(&mut world, client, &[TEN, TEN]);
    world.pass(Duration::from_millis(50));
    fill(&mut world, client, &["12345"]);
    set_limit(&mut world, PolicyLayer::User, 30);
    assert!(!takes(&mut world, client, "123456"));
    assert!(takes(&mut world, client, "12345"));
    let client = restart(&mut world, on_disk());
    world.settle();
    assert!(!takes(&mut world, client, "1"), "it was read again, if that had to be");
}
