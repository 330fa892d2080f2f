//! Policies: what they ask of queues and exchanges that are there, and that they last.

use std::time::{Duration, Instant};

use warren_core::amqp::*;
use warren_core::broker::{ApplyTo, Policy, PolicyLayer};
use warren_core::{Command, CommandId, Config, ConnectionId, Input, Mark};

use super::client::{World, persist, persist_to, publish};
use super::durability::{durable, world};

fn policy(name: &str, pattern: &str, priority: i64, definition: &[(&str, FieldValue)]) -> Policy {
    let entries = definition.iter().map(|(key, value)| (ShortStr::from(*key), value.clone()));
    Policy {
        name: name.into(),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority,
        definition: FieldTable::new(entries.collect()),
    }
}

fn limit(name: &str, pattern: &str, priority: i64, max: i64) -> Policy {
    policy(name, pattern, priority, &[("max-length", FieldValue::I64(max))])
}

impl World {
    fn set(&mut self, layer: PolicyLayer, policy: Policy) -> String {
        self.command(Command::SetPolicy { vhost: "/".into(), layer, policy })
    }

    fn unset(&mut self, layer: PolicyLayer, name: &str) -> String {
        self.command(Command::DeletePolicy { vhost: "/".into(), layer, name: name.into() })
    }

    /// Asks for a policy and looks at what comes of that at once.
    fn begin(&mut self, id: u64, policy: Policy) {
        let command = Command::SetPolicy { vhost: "/".into(), layer: User, policy };
        self.input(Input::Command(CommandId(id), Box::new(command)));
    }

    pub(super) fn command(&mut self, command: Command) -> String {
        self.input(Input::Command(CommandId(7), Box::new(command)));
        self.settle();
        self.answers().pop().expect("an answer")
    }

    /// How many messages of `q` are ready.
    pub(super) fn ready(&self) -> u64 {
        self.broker.queues().iter().find(|queue| queue.name == "q").expect("the queue").ready
    }

    pub(super) fn fill(&mut self, client: ConnectionId, count: usize) {
        for _ in 0..count {
            self.batch(persist(client, "q", "m"));
        }
        self.settle();
        self.heard(client);
    }
}

use PolicyLayer::{Operator, User};

#[test]
fn a_command_is_answered_when_what_it_changed_is_on_disk() {
    let (mut world, _) = world(Config::default());
    let policy = limit("p", "^q$", 0, 3);
    let command = Command::SetPolicy { vhost: "/".into(), layer: User, policy };
    world.input(Input::Command(CommandId(1), Box::new(command.clone())));
    assert_eq!(world.answers(), [""; 0]);
    world.settle();
    assert_eq!(world.answers(), ["1 Created"]);
    world.input(Input::Command(CommandId(2), Box::new(command)));
    assert_eq!(world.answers(), ["2 Updated"], "nothing has changed");
    assert_eq!(world.unset(User, "p"), "7 Deleted");
    assert_eq!(world.unset(User, "p"), "7 Parameter does not exist");
}

#[test]
fn a_lower_length_counts_at_once_and_after_a_start() {
    let (mut world, client) = world(Config::default());
    world.fill(client, 5);
    world.set(User, limit("p", "^q$", 0, 3));
    assert_eq!(world.ready(), 3);
    world.restart(Config::default());
    let client = world.client();
    world.fill(client, 2);
    assert_eq!(world.ready(), 3);
    world.unset(User, "p");
    world.fill(client, 2);
    assert_eq!(world.ready(), 5);
    world.restart(Config::default());
    let client = world.client();
    world.fill(client, 1);
    assert_eq!(world.ready(), 6);
}

#[test]
fn a_stop_and_a_checkpoint_keep_policies() {
    let (mut world, client) = world(Config::default());
    world.set(Operator, limit("p", "^q$", 0, 2));
    world.tell(client, 0, ConnectionClose::default());
    world.input(Input::Shutdown("done".into()));
    world.settle();
    world.restart(Config::default());
    let client = world.client();
    world.fill(client, 4);
    assert_eq!(world.ready(), 2);
}

#[test]
fn the_highest_priority_counts_and_then_the_first_name() {
    let (mut world, client) = world(Config::default());
    world.fill(client, 9);
    world.set(User, limit("m", "q", 1, 8));
    assert_eq!(world.ready(), 8);
    world.set(User, limit("z", "q", 1, 3));
    assert_eq!(world.ready(), 8, "of two with the same priority the first by name counts");
    world.set(User, limit("z", "q", 2, 7));
    assert_eq!(world.ready(), 7);
    world.set(User, limit("z", "q", 0, 2));
    assert_eq!(world.ready(), 7, "it ranks below the other now");
    world.unset(User, "m");
    assert_eq!(world.ready(), 2);
    world.set(User, limit("z", "^x", 0, 1));
    world.fill(client, 4);
    assert_eq!(world.ready(), 6, "it is for others now");
}

#[test]
fn of_argument_policy_and_operator_policy_the_lowest_counts() {
    let mut world = World::with_disk(Config::default());
    let client = world.client();
    let argument = ("x-max-length".into(), FieldValue::I64(4));
    let arguments = FieldTable::new(vec![argument]);
    world.tell(client, 1, QueueDeclare { arguments, ..durable("q") });
    world.set(User, limit("p", "q", 0, 9));
    world.fill(client, 6);
    assert_eq!(world.ready(), 4);
    world.set(Operator, limit("p", "q", 0, 3));
    assert_eq!(world.ready(), 3);
    world.set(User, limit("p", "q", 0, 2));
    assert_eq!(world.ready(), 2);
}

#[test]
fn a_queue_that_is_unused_goes_when_a_policy_says_so() {
    let (mut world, _) = world(Config::default());
    world.pass(Duration::from_secs(60));
    world.set(User, policy("p", "q", 0, &[("expires", FieldValue::I64(1000))]));
    world.pass(Duration::from_millis(900));
    assert_eq!(world.broker.queues().len(), 1);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.broker.queues().len(), 0);
}

#[test]
fn a_policy_that_is_gone_lets_a_queue_live() {
    let (mut world, _) = world(Config::default());
    world.set(User, policy("p", "q", 0, &[("expires", FieldValue::I64(1000))]));
    world.unset(User, "p");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.broker.queues().len(), 1);
}

#[test]
fn a_time_to_live_is_for_messages_that_come_from_then_on() {
    let (mut world, client) = world(Config::default());
    world.fill(client, 2);
    world.set(User, policy("p", "q", 0, &[("message-ttl", FieldValue::I64(1000))]));
    world.fill(client, 3);
    world.pass(Duration::from_secs(2));
    world.settle();
    assert_eq!(world.ready(), 2);
}

#[test]
fn dead_letters_go_where_the_policy_says() {
    let (mut world, client) = world(Config::default());
    world.tell(client, 1, durable("dead"));
    let definition = [
        ("dead-letter-exchange", FieldValue::text("")),
        ("dead-letter-routing-key", FieldValue::text("dead")),
        ("max-length", FieldValue::I64(1)),
    ];
    world.set(User, policy("p", "^q$", 0, &definition));
    world.fill(client, 3);
    let ready: Vec<u64> = world.broker.queues().iter().map(|queue| queue.ready).collect();
    assert_eq!(ready, [2, 1]);
}

#[test]
fn an_alternate_exchange_by_policy_counts_where_no_argument_names_one() {
    let (mut world, client) = world(Config::default());
    let alternate = [("alternate-exchange", FieldValue::text("amq.fanout"))];
    let bind = QueueBind { queue: "q".into(), exchange: "amq.fanout".into(), ..Default::default() };
    world.tell(client, 1, bind);
    let argument = ("alternate-exchange".into(), FieldValue::text("amq.direct"));
    let declare = |name: &str, arguments| ExchangeDeclare {
        exchange: name.into(),
        kind: "direct".into(),
        arguments,
        ..Default::default()
    };
    world.tell(client, 1, declare("x1", FieldTable::default()));
    world.tell(client, 1, declare("x2", FieldTable::new(vec![argument])));
    world.set(User, policy("p", "^(x.|amq.topic)$", 0, &alternate));
    world.tell(client, 1, declare("x3", FieldTable::default()));
    for exchange in ["x1", "x2", "x3", "amq.topic", "amq.headers"] {
        world.batch(persist_to(client, exchange, "k", "m"));
    }
    world.settle();
    assert_eq!(world.ready(), 3, "x1, x3 and amq.topic");
    world.restart(Config::default());
    let client = world.client();
    world.batch(persist_to(client, "amq.topic", "k", "m"));
    assert_eq!(world.ready(), 4);
    world.unset(User, "p");
    world.batch(persist_to(client, "amq.topic", "k", "m"));
    assert_eq!(world.ready(), 4);
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let (mut world, client) = world(Config::default());
    world.fill(client, 5);
    let answer = world.set(User, limit("p", "(", 0, 1));
    assert!(answer.contains("pattern should be regular expression"), "{answer}");
    let command =
        Command::SetPolicy { vhost: "v".into(), layer: User, policy: limit("p", "", 0, 1) };
    assert_eq!(world.command(command), "7 Virtual host 'v' does not exist");
    assert_eq!(world.ready(), 5);
    assert_eq!(world.broker.marks().count(Mark::CommandRefused), 2);
}

#[test]
fn a_consumer_timeout_counts_for_what_is_delivered_from_then_on() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.consume(client, "q", "c");
    world.publish(client, "q", "1");
    world.begin(1, policy("p", "^q$", 0, &[("consumer-timeout", FieldValue::I64(1000))]));
    world.publish(client, "q", "2");
    world.heard(client);
    world.pass(Duration::from_millis(999));
    assert_eq!(world.heard(client), [""; 0]);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.heard(client), ["basic.cancel"]);
    let queue = &world.broker.queues()[0];
    assert_eq!((queue.ready, queue.unacked), (1, 1));
}

#[test]
fn a_policy_comes_to_many_queues_in_slices_and_is_answered_then() {
    let mut world = World::new(Config { policy_slice: 2, ..Config::default() });
    let client = world.client();
    for name in ["a", "b", "c", "d", "e"] {
        world.declare(client, name);
        world.publish(client, name, "1");
        world.publish(client, name, "2");
    }
    let ready = |world: &World| -> Vec<u64> {
        world.broker.queues().iter().map(|queue| queue.ready).collect()
    };
    world.begin(1, limit("p", "", 0, 1));
    assert_eq!(ready(&world), [1, 1, 2, 2, 2]);
    world.begin(2, limit("p", "", 0, 0));
    world.declare(client, "f");
    world.publish(client, "f", "1");
    world.publish(client, "f", "2");
    assert_eq!(ready(&world), [1, 1, 2, 2, 2, 1], "a new queue is under the policy at once");
    assert_eq!(world.answers(), [""; 0]);
    world.pass(Duration::ZERO);
    assert_eq!(world.answers(), ["1 Created", "2 Updated"]);
    assert_eq!(ready(&world), [0; 6]);
}

#[test]
fn a_broker_that_stops_is_done_with_policies_first() {
    let mut world = World::new(Config { policy_slice: 1, ..Config::default() });
    let client = world.client();
    for name in ["a", "b", "c"] {
        world.declare(client, name);
    }
    world.begin(1, limit("p", "", 0, 1));
    world.begin(2, limit("p", "", 0, 0));
    world.input(Input::Shutdown("done".into()));
    let answers = world.answers();
    assert_eq!(answers[0], "1 Created");
    assert!(answers[1].starts_with("2 "), "{answers:?}");
    assert!(!answers[1].contains("Updated"), "{answers:?}");
}

/// How long a command takes with many queues, of which each has two messages, and how long the
/// longest pause in between is. With the command, a client goes on publishing.
///
/// `QUEUES=100000 cargo test --release -p warren-core --test broker -- --nocapture many_queues`.
#[test]
fn many_queues_follow_a_policy_in_under_a_second() {
    let queues = std::env::var("QUEUES").map_or(2_000, |all| all.parse().expect("a number"));
    let mut world = World::new(Config::default());
    let client = world.client();
    for number in 0..1000 {
        world.begin(0, limit(&format!("x{number}"), &format!("^x{number}-"), 0, 1));
        world.pass(Duration::ZERO);
    }
    for number in 0..queues {
        let name = format!("q{number}");
        world.declare(client, &name);
        world.publish(client, &name, "1");
        world.publish(client, &name, "2");
        world.heard(client);
    }
    world.answers();
    let (vhost, layer): (ShortStr, _) = ("/".into(), User);
    let unset = Command::DeletePolicy { vhost, layer, name: "p".into() };
    let set = |max| {
        let policy = limit("p", "^q[0-9]+$", 1, max);
        Command::SetPolicy { vhost: "/".into(), layer: User, policy }
    };
    for (what, command) in [("set", set(1)), ("changed", set(3)), ("deleted", unset)] {
        let begin = Instant::now();
        let mut longest = Duration::ZERO;
        let mut next = vec![Input::Command(CommandId(1), Box::new(command))];
        let mut published = 0;
        while world.answers().is_empty() {
            for input in next.drain(..) {
                let start = Instant::now();
                world.input(input);
                longest = longest.max(start.elapsed());
            }
            published += 1;
            next.extend(publish(client, "q0", "m"));
            next.push(Input::Tick);
        }
        let took = begin.elapsed();
        println!("{what}: {took:?}, the longest pause {longest:?}; {published} messages meanwhile");
        assert!(took < Duration::from_secs(1) || cfg!(debug_assertions));
    }
}
