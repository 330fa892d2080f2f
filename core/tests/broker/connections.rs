//! Connections: handshake, timers, errors, ends.

use std::time::Duration;

use bytes::Bytes;
use warren_core::amqp::*;
use warren_core::{Config, Input, NodeLimits};

use super::client::{World, publish};

#[test]
fn a_client_that_says_nothing_is_cut_off() {
    let mut world = World::new(Config::default());
    let client = world.connect();
    world.pass(Duration::from_millis(9_900));
    assert_eq!(world.heard(client), Vec::<String>::new());
    world.pass(Duration::from_millis(200));
    assert_eq!(world.heard(client), ["closed"]);
    assert_eq!(world.broker.connections(), 0);
}

#[test]
fn other_protocols_are_told_what_is_spoken_here() {
    let ours = format!("{PROTOCOL_HEADER:?}");
    let theirs = format!("{:?}", *b"AMQP\x03\x01\x00\x00");
    for (header, answer) in [
        (*b"AMQP\x03\x01\x00\x00", &ours),
        (*b"AMQP\x00\x01\x00\x00", &ours),
        (*b"AMQP\x00\x00\x09\x02", &ours),
        (*b"GET / HT", &theirs),
    ] {
        let mut world = World::new(Config::default());
        let client = world.connect();
        world.input(Input::Frame(client, Frame::ProtocolHeader(header)));
        assert_eq!(world.heard(client), [answer.as_str(), "closed"]);
    }
}

#[test]
fn as_many_clients_open_a_virtual_host_as_there_may_be() {
    let mut world = World::new(Config {
        node_limits: NodeLimits { connections: Some(1), ..NodeLimits::default() },
        ..Config::default()
    });
    let open = || ConnectionOpen { virtual_host: "/".into(), ..Default::default() };
    let first = world.client();
    let tune_ok = ConnectionTuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 };
    let mut second = || {
        let client = world.connect();
        world.input(Input::Frame(client, Frame::ProtocolHeader(PROTOCOL_HEADER)));
        let start_ok = ConnectionStartOk {
            mechanism: "PLAIN".into(),
            response: Bytes::from_static(b"\0guest\0guest"),
            ..Default::default()
        };
        world.tell(client, 0, start_ok);
        world.tell(client, 0, tune_ok.clone());
        world.heard(client);
        world.tell(client, 0, open());
        let heard = world.heard(client);
        world.input(Input::Closed(first));
        heard
    };
    let refused =
        "connection.close NOT_ALLOWED - connection refused: node connection limit (1) is reached";
    assert_eq!(second(), [refused]);
    // Who was refused counts for nothing, and nor does who has gone.
    assert_eq!(second().len(), 1);
    assert_eq!(second(), [refused]);
}

#[test]
fn heartbeats_go_out_every_half_interval_and_silence_ends_it() {
    let mut world = World::new(Config::default());
    let client = world.client_with(Duration::from_secs(10));
    world.pass(Duration::from_secs(19));
    assert_eq!(world.heard(client), ["heartbeat"; 3]);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.heard(client).last().map(String::as_str), Some("closed"));
}

#[test]
fn what_a_socket_takes_is_no_sign_of_life() {
    let mut world = World::new(Config::default());
    let client = world.client_with(Duration::from_secs(10));
    for _ in 0..5 {
        world.pass(Duration::from_secs(5));
        world.input(Input::EgressLen(client, 0));
    }
    assert_eq!(world.heard(client).last().map(String::as_str), Some("closed"));
}

#[test]
fn any_bytes_are_a_sign_of_life() {
    let mut world = World::new(Config::default());
    let client = world.client_with(Duration::from_secs(10));
    for _ in 0..10 {
        world.pass(Duration::from_secs(15));
        world.input(Input::Received(client));
    }
    assert!(world.heard(client).iter().all(|heard| heard == "heartbeat"));
}

#[test]
fn exclusive_queues_go_with_their_connection() {
    let mut world = World::new(Config::default());
    let (owner, other) = (world.client(), world.client());
    let declare = QueueDeclare { queue: "mine".into(), exclusive: true, ..Default::default() };
    world.tell(owner, 1, declare.clone());
    world.tell(other, 1, declare);
    assert!(world.heard(other)[0].starts_with("channel.close RESOURCE_LOCKED"));
    world.tell(owner, 0, ConnectionClose::default());
    assert_eq!(world.heard(owner), ["declare-ok mine 0", "connection.close-ok"]);
    assert!(world.broker.queues().is_empty());
}

#[test]
fn after_a_channel_error_only_the_close_handshake_counts() {
    let mut world = World::new(Config::default());
    let client = world.client();
    let missing = QueueDeclare { queue: "none".into(), passive: true, ..Default::default() };
    world.tell(client, 1, missing.clone());
    let text = "NOT_FOUND - no queue 'none' in vhost '/'";
    assert_eq!(world.heard(client), [format!("channel.close {text}")]);
    world.tell(client, 1, missing);
    world.publish(client, "none", "ignored");
    assert_eq!(world.heard(client), Vec::<String>::new());
    world.tell(client, 1, ChannelCloseOk {});
    world.tell(client, 1, ChannelOpen::default());
    assert_eq!(world.heard(client), ["channel.open-ok"]);
}

#[test]
fn a_connection_error_waits_for_the_client_and_not_for_ever() {
    let mut world = World::new(Config::default());
    let (polite, mute) = (world.client(), world.client());
    for client in [polite, mute] {
        world.tell(client, 1, ChannelOpen::default());
        let text = "CHANNEL_ERROR - second 'channel.open' seen";
        assert_eq!(world.heard(client), [format!("connection.close {text}")]);
    }
    world.tell(polite, 0, ConnectionCloseOk {});
    assert_eq!(world.heard(polite), ["closed"]);
    world.pass(Duration::from_secs(31));
    assert_eq!(world.heard(mute), ["closed"]);
}

#[test]
fn shutting_down_tells_clients_and_takes_no_new_ones() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.input(Input::Shutdown("closing".into()));
    assert_eq!(world.heard(client), ["connection.close CONNECTION_FORCED - closing"]);
    let late = world.connect();
    assert_eq!(world.heard(late), ["closed"]);
    world.tell(client, 0, ConnectionCloseOk {});
    assert_eq!(world.broker.connections(), 0);
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut world = World::new(Config { egress_len_max: 300, ..Config::default() });
    let client = world.client();
    world.input(Input::EgressLen(client, 0));
    for _ in 0..30 {
        world.tell(client, 1, BasicQos::default());
    }
    assert_eq!(world.heard(client).iter().filter(|heard| *heard == "pause").count(), 1);
    world.input(Input::EgressLen(client, 10));
    assert_eq!(world.heard(client), ["resume"]);
}

#[test]
fn a_batch_is_not_asked_for_more_than_has_room() {
    let mut world = World::new(Config { egress_len_max: 300, ..Config::default() });
    let client = world.client();
    world.input(Input::EgressLen(client, 0));
    let mut handled = 0;
    while !world.broker.is_paused(client) {
        let qos = Frame::Method(1, BasicQos::default().into());
        world.broker.handle(world.now, Input::Frame(client, qos));
        handled += 1;
    }
    assert!(handled < 30, "{handled}");
    world.input(Input::EgressLen(client, 0));
    assert!(!world.broker.is_paused(client));
}

#[test]
fn not_even_a_close_may_come_within_a_content() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.tell(client, 1, BasicPublish::default());
    world.tell(client, 1, ChannelClose::default());
    assert!(world.heard(client)[0].starts_with("connection.close UNEXPECTED_FRAME"));
}

#[test]
fn a_protocol_header_comes_once() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.input(Input::Frame(client, Frame::ProtocolHeader(PROTOCOL_HEADER)));
    assert!(world.heard(client)[0].starts_with("connection.close UNEXPECTED_FRAME"));
}

#[test]
fn what_is_due_is_confirmed_before_a_connection_closes() {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.tell(client, 1, ConfirmSelect::default());
    world.heard(client);
    let mut batch = publish(client, "q", "x");
    batch.push(Input::Frame(client, Frame::Method(0, ConnectionClose::default().into())));
    world.batch(batch);
    assert_eq!(world.heard(client), ["ack 1", "connection.close-ok"]);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut world = World::new(Config::default());
        let client = world.client();
        world.tell(client, 1, QueueDeclare::default());
        world.tell(client, 1, BasicConsume::default());
        world.batch(publish(client, "nowhere", "x"));
        world.pass(Duration::from_secs(100));
        world.heard(client)
    };
    let heard = run();
    assert!(heard[0].starts_with("declare-ok amq.gen-"));
    assert_eq!(heard, run());
}

#[test]
fn frames_in_the_wrong_place_end_the_connection_and_no_other() {
    let body = || Frame::Body(1, Bytes::from_static(b"x").into());
    for frame in [Frame::Heartbeat(1), body(), Frame::Method(9, BasicQos::default().into())] {
        let mut world = World::new(Config::default());
        let (wrong, right) = (world.client(), world.client());
        world.input(Input::Frame(wrong, frame));
        assert!(world.heard(wrong)[0].starts_with("connection.close"));
        world.tell(right, 1, BasicQos::default());
        assert_eq!(world.heard(right), ["basic.qos-ok"]);
    }
}
