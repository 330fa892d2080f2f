//! Arguments of queues that change while the queues are there.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{Command, Config, Mark};

use super::client::World;
use super::durability::{durable, world};

fn arguments(entries: &[(&str, FieldValue)]) -> FieldTable {
    FieldTable::new(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn number(name: &str, value: i64) -> FieldTable {
    arguments(&[(name, FieldValue::I64(value))])
}

/// The queue `q` is to have these arguments; the answer.
fn change(world: &mut World, arguments: FieldTable) -> String {
    let (vhost, queue) = ("/".into(), "q".into());
    world.command(Command::SetQueueArguments { vhost, queue, arguments })
}

#[test]
fn arguments_count_at_once_and_after_a_start() {
    let (mut world, client) = world(Config::default());
    world.fill(client, 5);
    assert_eq!(change(&mut world, number("x-max-length", 3)), "7 Updated");
    assert_eq!(change(&mut world, number("x-max-length", 3)), "7 Unchanged");
    assert_eq!(world.ready(), 3);
    world.restart(Config::default());
    let client = world.client();
    world.fill(client, 2);
    assert_eq!(world.ready(), 3);
    assert_eq!(change(&mut world, FieldTable::default()), "7 Updated");
    world.fill(client, 2);
    assert_eq!(world.ready(), 5);
    assert_eq!(world.broker.marks().count(Mark::ArgumentsChanged), 1);
}

#[test]
fn a_declaration_must_match_what_was_changed() {
    let (mut world, client) = world(Config::default());
    change(&mut world, number("x-max-length", 3));
    let changed = QueueDeclare { arguments: number("x-max-length", 3), ..durable("q") };
    world.tell(client, 1, changed);
    world.settle();
    assert_eq!(world.heard(client), ["declare-ok q 0"]);
    world.tell(client, 1, durable("q"));
    world.settle();
    let heard = world.heard(client);
    let text = "inequivalent arg 'x-max-length' for queue 'q' in vhost '/'";
    assert!(heard[0].contains(text), "{heard:?}");
}

#[test]
fn a_queue_that_is_unused_goes_when_it_is_told_to() {
    let (mut world, _) = world(Config::default());
    change(&mut world, number("x-expires", 1000));
    world.pass(Duration::from_millis(900));
    assert_eq!(world.broker.queues().len(), 1);
    world.pass(Duration::from_millis(200));
    assert!(world.broker.queues().is_empty());
}

#[test]
fn what_makes_no_sense_or_is_for_ever_is_refused() {
    let (mut world, client) = world(Config::default());
    for (asked, refused) in [
        (
            number("x-max-length", -1),
            "invalid arg 'x-max-length' for queue 'q' in vhost '/': {value_negative,-1}",
        ),
        (
            arguments(&[("x-queue-type", FieldValue::text("quorum"))]),
            "arg 'x-queue-type' for queue 'q' in vhost '/' cannot be changed",
        ),
        (
            number("x-max-priority", 3),
            "arg 'x-max-priority' for queue 'q' in vhost '/' cannot be changed",
        ),
        (
            arguments(&[("x-single-active-consumer", FieldValue::Bool(true))]),
            "arg 'x-single-active-consumer' for queue 'q' in vhost '/' cannot be changed",
        ),
        (
            arguments(&[("x-message-deduplication", FieldValue::Bool(true))]),
            "arg 'x-message-deduplication' for queue 'q' in vhost '/' cannot be changed",
        ),
    ] {
        assert_eq!(change(&mut world, asked), format!("7 {refused}"));
    }
    let command = Command::SetQueueArguments {
        vhost: "/".into(),
        queue: "none".into(),
        arguments: FieldTable::default(),
    };
    assert_eq!(world.command(command), "7 no queue 'none' in vhost '/'");
    world.tell(client, 1, durable("q"));
    world.settle();
    assert_eq!(world.heard(client), ["declare-ok q 0"], "nothing has changed");
}

#[test]
fn a_queue_stays_of_its_type_if_nothing_is_said_of_it() {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    let quorum = arguments(&[("x-queue-type", FieldValue::text("quorum"))]);
    world.tell(client, 1, QueueDeclare { arguments: quorum.clone(), ..durable("q") });
    world.settle();
    assert_eq!(change(&mut world, number("x-max-length", 3)), "7 Updated");
    let queue = world.broker.queue_info(&"/".into(), &"q".into()).expect("is there");
    assert_eq!(queue.arguments.find("x-queue-type"), quorum.find("x-queue-type"));
    assert_eq!(queue.arguments.len(), 2);
}

#[test]
fn a_transient_queue_changes_without_a_trace_in_the_log() {
    let (mut world, client) = world(Config::default());
    world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    world.settle();
    world.declare(client, "q");
    assert_eq!(change(&mut world, number("x-max-length", 1)), "7 Updated");
    world.restart(Config::default());
    assert!(world.broker.queues().is_empty());
}
