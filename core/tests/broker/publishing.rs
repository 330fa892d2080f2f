//! Publishing: confirms, returns, transactions, direct replies.

use bytes::Bytes;
use warren_core::amqp::*;
use warren_core::{Config, ConnectionId, Input};

use super::client::{World, publish};

#[test]
fn a_batch_is_confirmed_at_once() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.tell(client, 1, ConfirmSelect::default());
    world.heard(client);
    let batch = ["1", "2", "3"].into_iter().flat_map(|body| publish(client, "q", body));
    world.batch(batch.collect::<Vec<_>>());
    assert_eq!(world.heard(client), ["ack up to 3"]);
    world.publish(client, "q", "4");
    assert_eq!(world.heard(client), ["ack 4"]);
}

#[test]
fn what_cannot_be_routed_is_returned_before_it_is_confirmed() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.tell(client, 1, ConfirmSelect::default());
    world.heard(client);
    world.publish(client, "nowhere", "lost");
    assert_eq!(world.heard(client), ["return lost", "ack 1"]);
}

#[test]
fn confirms_go_before_the_answer_to_a_later_method() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.tell(client, 1, ConfirmSelect::default());
    world.heard(client);
    let mut batch = publish(client, "q", "1");
    batch.push(Input::Frame(client, Frame::Method(1, BasicQos::default().into())));
    world.batch(batch);
    assert_eq!(world.heard(client), ["ack 1", "basic.qos-ok"]);
}

#[test]
fn a_transaction_is_done_at_commit_and_undone_at_rollback() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.publish(client, "q", "old");
    world.tell(client, 1, TxSelect {});
    world.tell(client, 1, BasicGet { queue: "q".into(), ..Default::default() });
    world.heard(client);

    world.publish(client, "q", "new");
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(ready_and_unacked(&world), (0, 1));
    world.tell(client, 1, TxRollback {});
    assert_eq!(ready_and_unacked(&world), (0, 1));

    world.publish(client, "q", "new");
    world.tell(client, 1, BasicAck { delivery_tag: 1, multiple: false });
    world.tell(client, 1, TxCommit {});
    assert_eq!(ready_and_unacked(&world), (1, 0));
    assert_eq!(world.heard(client), ["tx.rollback-ok", "tx.commit-ok"]);
}

#[test]
fn a_message_of_a_transaction_that_nobody_wants_is_returned_at_commit() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.tell(client, 1, TxSelect {});
    world.heard(client);
    world.publish(client, "nowhere", "lost");
    assert_eq!(world.heard(client), Vec::<String>::new());
    world.tell(client, 1, TxCommit {});
    assert_eq!(world.heard(client), ["return lost", "tx.commit-ok"]);
}

#[test]
fn a_message_of_a_transaction_whose_queue_was_deleted_is_returned_at_commit() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.tell(client, 1, TxSelect {});
    world.publish(client, "q", "late");
    world.tell(client, 1, QueueDelete { queue: "q".into(), ..Default::default() });
    world.heard(client);
    world.tell(client, 1, TxCommit {});
    assert_eq!(world.heard(client), ["return late", "tx.commit-ok"]);
}

#[test]
fn direct_replies_find_their_channel() {
    let mut world = World::new(Config::default());
    let (asker, server) = (world.client(), world.client());
    world.declare(server, "rpc");
    let consume = BasicConsume {
        queue: "amq.rabbitmq.reply-to".into(),
        consumer_tag: "replies".into(),
        no_ack: true,
        ..Default::default()
    };
    world.tell(asker, 1, consume);
    let reply_to = Some("amq.rabbitmq.reply-to".into());
    let properties = BasicProperties { reply_to, ..Default::default() };
    publish_with(&mut world, asker, "rpc", &properties);
    world.heard(asker);

    let address = reply_address(&mut world, server, "rpc");
    assert!(address.starts_with("amq.rabbitmq.reply-to."));
    world.publish(server, &address, "answer");
    assert_eq!(world.heard(asker), ["replies 1 answer"]);

    world.input(Input::Closed(asker));
    world.publish(server, &address, "too late");
    assert_eq!(world.heard(server).last().map(String::as_str), Some("return too late"));
}

#[test]
fn direct_replies_to_a_client_that_takes_nothing_are_dropped_in_the_end() {
    let mut world = World::new(Config { egress_len_max: 1000, ..Config::default() });
    let (asker, server) = (world.client(), world.client());
    let consume = BasicConsume {
        queue: "amq.rabbitmq.reply-to".into(),
        consumer_tag: "replies".into(),
        no_ack: true,
        ..Default::default()
    };
    world.tell(asker, 1, consume);
    world.declare(server, "rpc");
    let reply_to = Some("amq.rabbitmq.reply-to".into());
    publish_with(&mut world, asker, "rpc", &BasicProperties { reply_to, ..Default::default() });
    let address = reply_address(&mut world, server, "rpc");
    world.heard(asker);
    for _ in 0..1000 {
        world.publish(server, &address, "answer");
    }
    assert!(world.heard(asker).len() < 40);
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_not_kept() {
    let mut world = World::new(Config { message_size_max: 4, ..Config::default() });
    let client = world.client();
    world.declare(client, "q");
    world.heard(client);
    world.publish(client, "q", "12345");
    let text = "PRECONDITION_FAILED - message size 5 is larger than configured max size 4";
    assert_eq!(world.heard(client), [format!("channel.close {text}")]);
}

#[test]
fn blind_copies_stay_blind() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "open");
    world.declare(client, "blind");
    let keys = |name: &'static [u8]| {
        FieldValue::Array(vec![FieldValue::LongStr(Bytes::from_static(name))])
    };
    let headers = Some(FieldTable::new(vec![("BCC".into(), keys(b"blind"))]));
    let properties = BasicProperties { headers, ..Default::default() };
    publish_with(&mut world, client, "open", &properties);
    for queue in ["open", "blind"] {
        world.broker.handle(world.now, get(client, queue));
        let headers = loop {
            let output = world.broker.poll_output().expect("a get-ok");
            if let warren_core::Output::Send(_, OutFrame::GetOk(_, got)) = output {
                break got.message.properties.decode().expect("properties").headers;
            }
        };
        assert_eq!(headers, Some(FieldTable::default()), "{queue}");
    }
}

/// Takes a request from its queue, and gives the address that the reply is to go to.
fn reply_address(world: &mut World, server: ConnectionId, queue: &str) -> String {
    world.broker.handle(world.now, get(server, queue));
    loop {
        let output = world.broker.poll_output().expect("a get-ok");
        if let warren_core::Output::Send(_, OutFrame::GetOk(_, got)) = output {
            let properties = got.message.properties.decode().expect("properties");
            return properties.reply_to.expect("an address").to_string();
        }
    }
}

fn ready_and_unacked(world: &World) -> (u64, u64) {
    let queue = &world.broker.queues()[0];
    (queue.ready, queue.unacked)
}

fn get(id: ConnectionId, queue: &str) -> Input {
    let get = BasicGet { queue: queue.into(), no_ack: true, ..Default::default() };
    Input::Frame(id, Frame::Method(1, get.into()))
}

fn publish_with(world: &mut World, id: ConnectionId, key: &str, properties: &BasicProperties) {
    let mut frames = publish(id, key, "x");
    if let Input::Frame(_, Frame::Header(_, header)) = &mut frames[1] {
        header.properties = properties.encode();
    }
    world.batch(frames);
}
