//! Dead letters that cannot go on their way, in queues that keep these until they can.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::broker::{ApplyTo, Policy, PolicyLayer};
use warren_core::{Command, CommandId, Config, ConnectionId, Event, Input, Output};

use super::client::{World, persist, publish};

const SECOND: Duration = Duration::from_secs(1);

fn text(name: &'static str, value: &'static str) -> (&'static str, FieldValue) {
    (name, FieldValue::text(value))
}

fn declare(world: &mut World, id: ConnectionId, queue: &str, entries: &[(&str, FieldValue)]) {
    let entries = entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let (queue, arguments) = (queue.into(), FieldTable::new(entries));
    world.tell(id, 1, QueueDeclare { queue, durable: true, arguments, ..Default::default() });
    world.settle();
    world.heard(id);
}

/// What makes a queue keep dead letters that are for the queue `dead`.
fn keeping() -> Vec<(&'static str, FieldValue)> {
    vec![
        text("x-dead-letter-exchange", ""),
        text("x-dead-letter-routing-key", "dead"),
        text("x-dead-letter-strategy", "at-least-once"),
        text("x-overflow", "reject-publish"),
    ]
}

/// A broker with a queue `q` of these arguments, and a client that asks for confirms.
fn world(arguments: &[(&'static str, FieldValue)]) -> (World, ConnectionId) {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    world.tell(client, 1, ConfirmSelect { nowait: true });
    declare(&mut world, client, "q", arguments);
    (world, client)
}

/// Rejects the first message of `q`.
fn reject(world: &mut World, id: ConnectionId) {
    world.tell(id, 1, BasicGet { queue: "q".into(), no_ack: false, ..Default::default() });
    world.settle();
    let got = world.outputs().iter().rev().find_map(|output| match output {
        Output::Send(_, OutFrame::GetOk(_, got)) => Some(got.delivery_tag),
        _ => None,
    });
    let delivery_tag = got.expect("a message");
    world.tell(id, 1, BasicReject { delivery_tag, requeue: false });
    world.settle();
    world.heard(id);
}

/// A message is published to `q` and rejected.
fn kill(world: &mut World, id: ConnectionId, body: &'static str) {
    world.batch(persist(id, "q", body));
    world.settle();
    reject(world, id);
}

/// How many are ready in a queue, have to wait to be dead letters, and are lost.
fn account(world: &World, name: &str) -> (u64, u64, u64) {
    let queues = world.broker.queues();
    let queue = queues.iter().find(|queue| queue.name == name).expect("a queue");
    (queue.ready, queue.kept_letters, queue.lost_letters)
}

fn told(world: &World) -> Vec<(u64, &'static str)> {
    let told = world.outputs().iter().filter_map(|output| match output {
        Output::Event(Event::DeadLettersKept { count, reason, .. }) => Some((*count, *reason)),
        _ => None,
    });
    told.collect()
}

#[test]
fn one_that_cannot_go_waits_until_there_is_a_queue_for_it() {
    let (mut world, client) = world(&keeping());
    for body in ["1", "2", "3"] {
        kill(&mut world, client, body);
    }
    assert_eq!(account(&world, "q"), (0, 3, 0));
    let reason = "no queue is bound for it";
    assert_eq!(told(&world), [(1, reason), (2, reason)], "and not for the third");
    world.pass(3 * SECOND);
    world.settle();
    assert_eq!((account(&world, "q"), told(&world).len()), ((0, 3, 0), 2));
    declare(&mut world, client, "dead", &[]);
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (3, 0, 0)));
}

#[test]
fn one_whose_exchange_is_missing_waits_for_it_and_for_a_binding() {
    let mut arguments = keeping();
    arguments[0] = text("x-dead-letter-exchange", "x");
    let (mut world, client) = world(&arguments);
    declare(&mut world, client, "dead", &[]);
    kill(&mut world, client, "m");
    assert_eq!(told(&world), [(1, "its dead-letter exchange is missing")]);
    let (exchange, kind) = (ShortStr::from("x"), "fanout".into());
    let declaration = ExchangeDeclare { exchange: exchange.clone(), kind, ..Default::default() };
    world.tell(client, 1, declaration);
    world.settle();
    assert_eq!(account(&world, "q"), (0, 1, 0));
    world.tell(client, 1, QueueBind { queue: "dead".into(), exchange, ..Default::default() });
    world.settle();
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (1, 0, 0)));
}

#[test]
fn one_that_is_refused_is_tried_again_every_second() {
    let (mut world, client) = world(&keeping());
    let full = [("x-max-length", FieldValue::I32(1)), text("x-overflow", "reject-publish")];
    declare(&mut world, client, "dead", &full);
    kill(&mut world, client, "1");
    kill(&mut world, client, "2");
    assert_eq!(told(&world), [(1, "a queue that it is for has no room")]);
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 1, 0), (1, 0, 0)));
    world.tell(client, 1, QueuePurge { queue: "dead".into(), ..Default::default() });
    world.settle();
    world.pass(SECOND);
    world.settle();
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (1, 0, 0)));
}

#[test]
fn those_that_wait_take_room() {
    let mut arguments = keeping();
    arguments.push(("x-max-length", FieldValue::I32(2)));
    arguments.push(("x-max-length-bytes", FieldValue::I32(6)));
    let (mut world, client) = world(&arguments);
    kill(&mut world, client, "1234");
    let answers = |world: &mut World, body| {
        world.batch(persist(client, "q", body));
        world.settle();
        world.heard(client)
    };
    assert_eq!(answers(&mut world, "567"), ["basic.nack"]);
    assert_eq!(answers(&mut world, "5"), ["ack 3"]);
    assert_eq!(answers(&mut world, ""), ["basic.nack"], "there are two");
    declare(&mut world, client, "dead", &[]);
    assert_eq!(answers(&mut world, "12345"), ["ack 5"]);
}

#[test]
fn a_start_finds_it_in_its_old_place_and_a_purge_leaves_it_there() {
    let (mut world, client) = world(&keeping());
    kill(&mut world, client, "m");
    world.tell(client, 1, QueuePurge { queue: "q".into(), ..Default::default() });
    world.settle();
    assert_eq!(account(&world, "q"), (0, 1, 0));
    world.restart(Config::default());
    assert_eq!(account(&world, "q"), (1, 0, 0));
    let client = world.client();
    declare(&mut world, client, "dead", &[]);
    reject(&mut world, client);
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (1, 0, 0)));
    world.restart(Config::default());
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (1, 0, 0)));
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for_can_be_and_would_last() {
    for left_out in ["x-dead-letter-strategy", "x-overflow"] {
        let mut arguments = keeping();
        arguments.retain(|(name, _)| *name != left_out);
        let (mut world, client) = world(&arguments);
        kill(&mut world, client, "m");
        assert_eq!(account(&world, "q"), (0, 0, 1), "without {left_out}");
    }
    let (mut world, client) = world(&keeping());
    world.batch(publish(client, "q", "transient"));
    reject(&mut world, client);
    assert_eq!(account(&world, "q"), (0, 0, 1));
}

#[test]
fn many_that_waited_all_go() {
    let (mut world, client) = world(&keeping());
    for _ in 0..500 {
        kill(&mut world, client, "m");
    }
    assert_eq!(account(&world, "q"), (0, 500, 0));
    declare(&mut world, client, "dead", &[]);
    world.pass(Duration::from_millis(100));
    world.settle();
    for _ in 0..20 {
        world.settle();
    }
    assert_eq!((account(&world, "q"), account(&world, "dead")), ((0, 0, 0), (500, 0, 0)));
}

#[test]
fn a_policy_may_ask_for_it_and_no_more() {
    let (mut world, client) = world(&keeping()[..2]);
    let set = |world: &mut World, definition: &[(&str, FieldValue)]| {
        let entries = definition.iter().map(|(name, value)| ((*name).into(), value.clone()));
        let definition = FieldTable::new(entries.collect());
        let (name, pattern, apply_to) = ("p".into(), "".into(), ApplyTo::All);
        let policy = Policy { name, pattern, apply_to, priority: 0, definition };
        let (vhost, layer) = ("/".into(), PolicyLayer::User);
        let command = Command::SetPolicy { vhost, layer, policy };
        world.input(Input::Command(CommandId(1), Box::new(command)));
        world.settle();
    };
    let strategy = text("dead-letter-strategy", "at-least-once");
    let overflow = text("overflow", "reject-publish");
    set(&mut world, &[strategy, overflow.clone()]);
    kill(&mut world, client, "m");
    assert_eq!(account(&world, "q"), (0, 1, 0));
    set(&mut world, &[overflow]);
    world.settle();
    assert_eq!(account(&world, "q"), (0, 0, 1));
}
