//! What is purged is gone, wherever it was, and nothing else is.

use warren_core::amqp::*;
use warren_core::{Config, FileId, Input};

use super::client::{World, persist, persist_to};
use super::durability::{durable, world};

const BODY: &str = "................................................................";

fn bind(queue: &str) -> QueueBind {
    QueueBind { queue: queue.into(), exchange: "amq.fanout".into(), ..Default::default() }
}

fn purge() -> QueuePurge {
    QueuePurge { queue: "q".into(), ..Default::default() }
}

fn ready(world: &World) -> Vec<(String, u64)> {
    world.broker.queues().into_iter().map(|queue| (queue.name.to_string(), queue.ready)).collect()
}

#[test]
fn what_is_on_its_way_to_the_disk_is_purged_from_one_queue_and_stays_in_another() {
    // Of each queue, so much is in memory; the rest is on disk only.
    let config = Config { queue_window: 500, ..Config::default() };
    let (mut world, client) = world(config.clone());
    world.tell(client, 1, durable("other"));
    world.tell(client, 1, bind("q"));
    world.tell(client, 1, bind("other"));
    world.settle();
    let batch = || (0..10).flat_map(|_| persist_to(client, "amq.fanout", "", BODY));
    // One batch is on disk, one is being written, one is gathering.
    world.write(batch());
    world.settle();
    world.write(batch());
    world.write(batch());
    world.tell(client, 1, purge());
    let expected = [("other".to_string(), 30), ("q".to_string(), 0)];
    assert_eq!(ready(&world), expected);
    world.batch(persist(client, "q", "new"));
    world.settle();
    world.restart(config);
    assert_eq!(ready(&world), [("other".to_string(), 30), ("q".to_string(), 1)]);
}

#[test]
fn a_purge_forgets_which_messages_were_handed_out_before() {
    let (mut world, client) = world(Config::default());
    for _ in 0..1000 {
        world.write(persist(client, "q", "x"));
    }
    world.settle();
    let consumer = world.client();
    world.consume(consumer, "q", "c");
    world.settle();
    world.input(Input::Closed(consumer));
    world.settle();
    world.restart(Config::default());
    let client = world.client();
    world.tell(client, 1, purge());
    world.settle();
    world.input(Input::Closed(client));
    world.input(Input::Shutdown("done".into()));
    world.settle();
    assert!(world.broker.is_stopped());
    let is_checkpoint = |file: &FileId| matches!(file, FileId::Checkpoint(_));
    let checkpoints = world.disk.files.iter().filter(|(file, _)| is_checkpoint(file));
    let len: usize = checkpoints.map(|(_, bytes)| bytes.len()).sum();
    assert!((1..5000).contains(&len), "{len} bytes");
}
