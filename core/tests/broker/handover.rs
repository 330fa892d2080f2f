//! Queues that serve one consumer at a time (`x-single-active-consumer`).

use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, Input};

use super::client::World;

/// The clients of one such queue, "q".
struct Queue {
    world: World,
    clients: Vec<ConnectionId>,
}

impl Queue {
    fn new(kind: &'static str, clients: usize) -> Self {
        let mut world = World::new(Config::default());
        let clients: Vec<_> = (0..clients).map(|_| world.client()).collect();
        let arguments = FieldTable::new(vec![
            ("x-single-active-consumer".into(), FieldValue::Bool(true)),
            ("x-queue-type".into(), FieldValue::text(kind)),
        ]);
        let declare =
            QueueDeclare { queue: "q".into(), durable: true, arguments, ..Default::default() };
        world.tell(clients[0], 1, declare);
        world.heard(clients[0]);
        Self { world, clients }
    }

    fn consume(&mut self, client: usize, tag: &str, priority: i32) {
        let arguments = FieldTable::new(vec![("x-priority".into(), FieldValue::I32(priority))]);
        let (queue, consumer_tag) = ("q".into(), tag.into());
        let consume = BasicConsume { queue, consumer_tag, arguments, ..Default::default() };
        self.tell(client, consume);
    }

    fn tell(&mut self, client: usize, method: impl Into<Method>) {
        self.world.tell(self.clients[client], 1, method);
    }

    fn cancel(&mut self, client: usize, tag: &str) {
        let nowait = true;
        self.tell(client, BasicCancel { consumer_tag: tag.into(), nowait });
    }

    fn ack(&mut self, client: usize, delivery_tag: u64) {
        self.tell(client, BasicAck { delivery_tag, multiple: false });
    }

    fn publish(&mut self, bodies: &[&'static str]) {
        for body in bodies {
            self.world.publish(self.clients[0], "q", body);
        }
    }

    fn heard(&mut self, client: usize) -> Vec<String> {
        let heard = self.world.heard(self.clients[client]);
        heard.into_iter().filter(|said| !said.ends_with("-ok")).collect()
    }

    fn consumers_ready(&self) -> u64 {
        self.world.broker.queues()[0].consumers_ready
    }
}

#[test]
fn the_first_consumer_is_served_and_the_others_wait() {
    let mut queue = Queue::new("classic", 2);
    queue.consume(0, "first", 0);
    queue.consume(1, "second", 9);
    queue.publish(&["1", "2"]);
    assert_eq!(queue.heard(0), ["first 1 1", "first 2 2"]);
    assert_eq!(queue.heard(1), [""; 0]);
    assert_eq!((queue.world.broker.queues()[0].consumers, queue.consumers_ready()), (2, 1));
}

#[test]
fn a_cancelled_consumer_hands_over_and_keeps_what_it_holds() {
    let mut queue = Queue::new("classic", 2);
    queue.consume(0, "first", 0);
    queue.consume(1, "second", 0);
    queue.publish(&["1"]);
    queue.cancel(0, "first");
    queue.publish(&["2"]);
    queue.tell(0, BasicReject { delivery_tag: 1, requeue: true });
    assert_eq!(queue.heard(0), ["first 1 1"]);
    assert_eq!(queue.heard(1), ["second 1 2", "second 2 1 again"]);
}

#[test]
fn what_a_lost_client_held_comes_first_for_the_next() {
    let mut queue = Queue::new("classic", 2);
    queue.tell(0, BasicQos { prefetch_size: 0, prefetch_count: 2, global: false });
    queue.consume(0, "first", 0);
    queue.consume(1, "second", 0);
    queue.publish(&["1", "2", "3"]);
    queue.world.input(Input::Closed(queue.clients[0]));
    assert_eq!(queue.heard(1), ["second 1 1 again", "second 2 2 again", "second 3 3"]);
}

#[test]
fn the_active_one_stays_active_without_credit() {
    let mut queue = Queue::new("classic", 2);
    queue.tell(0, BasicQos { prefetch_size: 0, prefetch_count: 1, global: false });
    queue.consume(0, "first", 0);
    queue.consume(1, "second", 0);
    queue.publish(&["1", "2"]);
    assert_eq!((queue.heard(0).len(), queue.consumers_ready()), (1, 0));
    queue.ack(0, 1);
    assert_eq!(queue.heard(0), ["first 2 2"]);
    assert_eq!(queue.heard(1), [""; 0]);
}

#[test]
fn channels_that_end_one_after_the_other_leave_nobody_waiting() {
    let mut queue = Queue::new("classic", 3);
    queue.consume(0, "first", 0);
    queue.consume(1, "second", 0);
    queue.consume(2, "third", 1);
    queue.publish(&["1"]);
    queue.tell(0, ChannelClose { reply_code: 200, ..Default::default() });
    assert_eq!(queue.heard(2), ["third 1 1 again"]);
    queue.tell(2, ChannelClose { reply_code: 200, ..Default::default() });
    assert_eq!(queue.heard(1), ["second 1 1 again"]);
}

#[test]
fn a_higher_priority_takes_over_in_a_quorum_queue_once_the_active_one_is_done() {
    let mut queue = Queue::new("quorum", 2);
    queue.consume(0, "low", 0);
    queue.publish(&["1"]);
    queue.consume(1, "high", 1);
    queue.publish(&["2"]);
    assert_eq!((queue.heard(0), queue.consumers_ready()), (vec!["low 1 1".into()], 0));
    queue.ack(0, 1);
    assert_eq!((queue.heard(1), queue.consumers_ready()), (vec!["high 1 2".into()], 1));
    queue.cancel(1, "high");
    queue.publish(&["3"]);
    assert_eq!(queue.heard(0), ["low 2 3"]);
}

#[test]
fn one_that_made_room_goes_on_when_the_higher_priority_is_gone() {
    let mut queue = Queue::new("quorum", 2);
    queue.consume(0, "low", 0);
    queue.publish(&["1"]);
    queue.consume(1, "high", 1);
    queue.publish(&["2"]);
    queue.cancel(1, "high");
    assert_eq!(queue.heard(0), ["low 1 1", "low 2 2"]);
}

#[test]
fn what_it_cannot_do_is_refused() {
    let exclusive = BasicConsume { queue: "q".into(), exclusive: true, ..Default::default() };
    let get = BasicGet { queue: "q".into(), ..Default::default() };
    let mut queue = Queue::new("classic", 1);
    queue.tell(0, get.clone());
    assert_eq!(queue.heard(0), ["basic.get-empty"]);
    queue.tell(0, exclusive);
    assert_eq!(
        queue.heard(0),
        ["channel.close ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"]
    );
    let mut queue = Queue::new("quorum", 1);
    queue.tell(0, get);
    assert_eq!(
        queue.heard(0),
        ["channel.close RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. \
          basic.get operations are not supported by quorum queues with single active consumer"]
    );
}

#[test]
fn a_priority_is_an_integer() {
    let mut queue = Queue::new("classic", 1);
    let consume = |name: &str| BasicConsume {
        queue: name.into(),
        arguments: FieldTable::new(vec![("x-priority".into(), FieldValue::text("high"))]),
        ..Default::default()
    };
    queue.tell(0, consume("q"));
    let problem = "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got \
                   longstr\"";
    assert_eq!(queue.heard(0), [format!("channel.close PRECONDITION_FAILED - {problem}")]);
    // Which queue it is comes first.
    let client = queue.world.client();
    queue.world.tell(client, 1, consume("missing"));
    let heard = queue.world.heard(client);
    assert_eq!(heard, ["channel.close NOT_FOUND - no queue 'missing' in vhost '/'"]);
}
