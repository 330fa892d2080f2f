//! What is there after the broker was stopped as it should be, and started again.

use crate::brokers;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use warren_tests::broker::Broker;
use warren_tests::client::Address;
use warren_tests::session::{Event, Message, Session};

const PATIENCE: Duration = Duration::from_secs(10);

/// Bodies of no, one, many bytes, of one frame, and of several.
const BODY_LENS: [usize; 6] = [0, 1, 1024, 131_064, 131_065, 1 << 20];

#[test]
fn durable_queues_keep_persistent_messages_as_they_were() {
    restart(
        |address| {
            let mut session = confirming(address);
            session.declare("kept").expect("is declared");
            for (n, properties) in kinds_of_properties().iter().enumerate() {
                let body = body(n, BODY_LENS[n % BODY_LENS.len()]);
                session.publish_confirmed("kept", properties, &body).expect("is confirmed");
            }
            for (n, len) in BODY_LENS.into_iter().enumerate() {
                let sent =
                    session.publish_confirmed("kept", &json!({"delivery_mode": 2}), &body(n, len));
                sent.expect("is confirmed");
            }
        },
        |address| {
            let mut session = Session::open(address).expect("guest may connect");
            let kinds = kinds_of_properties();
            let count = kinds.len() + BODY_LENS.len();
            assert_eq!(session.message_count("kept"), Ok(count as u64));
            for (n, properties) in kinds.iter().enumerate() {
                let message = got(&mut session, "kept");
                assert_eq!(&Value::Object(message.properties.clone()), properties);
                assert!(message.body == body(n, BODY_LENS[n % BODY_LENS.len()]), "body of {n}");
                assert!(!message.is_redelivered(), "nobody has seen it: {properties}");
                assert_eq!(message.arguments["exchange"], "");
                assert_eq!(message.arguments["routing_key"], "kept");
            }
            for (n, len) in BODY_LENS.into_iter().enumerate() {
                assert!(got(&mut session, "kept").body == body(n, len), "body of {len} bytes");
            }
        },
    );
}

#[test]
fn what_is_transient_or_exclusive_is_gone() {
    restart(
        |address| {
            let mut session = confirming(address);
            session.declare("durable").expect("is declared");
            let exclusive = json!({"queue": "own", "durable": true, "exclusive": true});
            session.call("Queue.Declare", &exclusive, "Queue.DeclareOk").expect("is declared");
            let passing = json!({"queue": "passing"});
            session.call("Queue.Declare", &passing, "Queue.DeclareOk").expect("is declared");
            for name in ["lasting.exchange", "passing.exchange"] {
                let is_lasting = name.starts_with("lasting");
                let exchange = json!({"exchange": name, "type": "fanout", "durable": is_lasting});
                let declared = session.call("Exchange.Declare", &exchange, "Exchange.DeclareOk");
                declared.expect("is declared");
                for queue in ["durable", "passing"] {
                    let binding = json!({"queue": queue, "exchange": name});
                    session.call("Queue.Bind", &binding, "Queue.BindOk").expect("is bound");
                }
            }
            for (queue, delivery_mode) in
                [("durable", 1), ("durable", 2), ("durable", 1), ("passing", 2)]
            {
                let properties = json!({ "delivery_mode": delivery_mode });
                session.publish_confirmed(queue, &properties, b"x").expect("is confirmed");
            }
        },
        |address| {
            for queue in ["own", "passing"] {
                let mut session = Session::open(address).expect("guest may connect");
                let found = session.message_count(queue).expect_err("is gone");
                assert!(found.contains("NOT_FOUND"), "{found}");
            }
            let mut session = Session::open(address).expect("guest may connect");
            let passive = json!({"exchange": "passing.exchange", "passive": true});
            let found = session.call("Exchange.Declare", &passive, "Exchange.DeclareOk");
            assert!(found.expect_err("is gone").contains("NOT_FOUND"));
            let mut session = confirming(address);
            assert_eq!(session.message_count("durable"), Ok(1));
            assert_eq!(got(&mut session, "durable").properties["delivery_mode"], 2);
            // The binding to what is gone is gone, the other one routes.
            assert!(is_routed(&mut session, "lasting.exchange", ""));
            assert_eq!(session.message_count("durable"), Ok(1));
        },
    );
}

#[test]
fn exchanges_and_bindings_of_all_kinds_route_as_before() {
    let headers = json!({"x-match": "all", "colour": "red"});
    restart(
        |address| {
            let mut session = confirming(address);
            session.declare("end").expect("is declared");
            for kind in ["direct", "fanout", "topic", "headers"] {
                let exchange = json!({"exchange": kind, "type": kind, "durable": true});
                let declared = session.call("Exchange.Declare", &exchange, "Exchange.DeclareOk");
                declared.expect("is declared");
            }
            for (exchange, key, arguments) in [
                ("direct", "d", json!({})),
                ("topic", "t.*.#", json!({})),
                ("headers", "", headers.clone()),
                ("amq.direct", "predeclared", json!({})),
            ] {
                let binding = json!({
                    "queue": "end", "exchange": exchange, "routing_key": key,
                    "arguments": arguments,
                });
                session.call("Queue.Bind", &binding, "Queue.BindOk").expect("is bound");
            }
            let chain = json!({"destination": "direct", "source": "fanout", "routing_key": ""});
            session.call("Exchange.Bind", &chain, "Exchange.BindOk").expect("is bound");
            // One that was bound and is not any more.
            let gone = json!({"queue": "end", "exchange": "direct", "routing_key": "gone"});
            session.call("Queue.Bind", &gone, "Queue.BindOk").expect("is bound");
            session.call("Queue.Unbind", &gone, "Queue.UnbindOk").expect("is unbound");
        },
        |address| {
            let mut session = confirming(address);
            for (exchange, key, expected) in [
                ("direct", "d", true),
                ("direct", "gone", false),
                ("fanout", "d", true),
                ("fanout", "e", false),
                ("topic", "t.a.b.c", true),
                ("topic", "t", false),
                ("amq.direct", "predeclared", true),
                ("headers", "", false),
            ] {
                assert_eq!(is_routed(&mut session, exchange, key), expected, "{exchange} {key}");
            }
            let to = json!({"exchange": "headers", "routing_key": "", "mandatory": true});
            session.publish(&to, &json!({"headers": {"colour": "red"}}), b"x");
            assert!(matches!(session.next(PATIENCE), Some(Event::Confirm { .. })));
            assert_eq!(session.message_count("end"), Ok(5));
        },
    );
}

#[test]
fn queues_are_declared_again_with_the_arguments_they_had_and_no_others() {
    let arguments = json!({"x-note": "kept", "x-nested": {"a": [1, "b", null]}});
    let queue = json!({"queue": "q", "durable": true, "arguments": arguments});
    restart(
        |address| {
            let mut session = Session::open(address).expect("guest may connect");
            session.call("Queue.Declare", &queue, "Queue.DeclareOk").expect("is declared");
            let leaving = json!({"queue": "leaving", "durable": true, "auto_delete": true});
            session.call("Queue.Declare", &leaving, "Queue.DeclareOk").expect("is declared");
            let deleted = json!({"queue": "deleted"});
            session.declare("deleted").expect("is declared");
            session.call("Queue.Delete", &deleted, "Queue.DeleteOk").expect("is deleted");
        },
        |address| {
            let mut session = Session::open(address).expect("guest may connect");
            session.call("Queue.Declare", &queue, "Queue.DeclareOk").expect("is the same");
            // It had no consumer yet, so it has waited for its first; and it still goes with it.
            assert_eq!(session.message_count("leaving"), Ok(0));
            session.consume("leaving", 1).expect("can be consumed");
            let cancel = json!({"consumer_tag": "leaving"});
            session.call("Basic.Cancel", &cancel, "Basic.CancelOk").expect("is cancelled");
            session.message_count("leaving").expect_err("went with its consumer");
            let mut session = Session::open(address).expect("guest may connect");
            session.message_count("deleted").expect_err("was deleted");
            let mut session = Session::open(address).expect("guest may connect");
            let other = json!({"queue": "q", "durable": false});
            let refused = session.call("Queue.Declare", &other, "Queue.DeclareOk");
            assert!(refused.expect_err("is another").contains("PRECONDITION_FAILED"));
        },
    );
}

#[test]
fn what_was_delivered_and_not_acked_comes_again_in_its_place_and_says_so() {
    restart(
        |address| {
            let mut session = confirming(address);
            session.declare("q").expect("is declared");
            for n in 0..6 {
                let sent =
                    session.publish_confirmed("q", &json!({"delivery_mode": 2}), &body(n, 10));
                sent.expect("is confirmed");
            }
            let taken: Vec<_> = (0..4).map(|_| got(&mut session, "q")).collect();
            session.ack(&taken[1], false);
            // Answered behind the ack.
            assert_eq!(session.message_count("q"), Ok(2));
        },
        |address| {
            let mut session = Session::open(address).expect("guest may connect");
            assert_eq!(session.message_count("q"), Ok(5));
            for (n, is_redelivered) in [(0, true), (2, true), (3, true), (4, false), (5, false)] {
                let message = got(&mut session, "q");
                assert!(message.body == body(n, 10), "{n}: {:?}", message.body);
                assert_eq!(message.is_redelivered(), is_redelivered, "{n}");
            }
        },
    );
}

/// Does something, stops the broker, starts it again, and looks; and all of that a second time, as
/// what was read at a start must be written at the next stop.
fn restart(before: impl Fn(&Address), after: impl Fn(&Address)) {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let setup = brokers::on(&scratch.path().join("data"));
    let mut broker = setup.start();
    before(&broker.address());
    stop(&mut broker);
    let mut broker = setup.start();
    stop(&mut broker);
    let mut broker = setup.start();
    after(&broker.address());
    stop(&mut broker);
}

fn stop(broker: &mut Broker) {
    let status = broker.end_by(rustix::process::Signal::TERM);
    assert!(status.success() || brokers::is_other(), "{status}: {}", broker.log());
}

fn confirming(address: &Address) -> Session {
    let mut session = Session::open(address).expect("guest may connect");
    session.confirm().expect("confirms can be had");
    session
}

fn got(session: &mut Session, queue: &str) -> Message {
    session.get(queue).expect("can be asked for").expect("is there")
}

/// Whether a message gets to a queue.
fn is_routed(session: &mut Session, exchange: &str, key: &str) -> bool {
    let to = json!({"exchange": exchange, "routing_key": key, "mandatory": true});
    session.publish(&to, &json!({}), b"x");
    match session.next(PATIENCE) {
        Some(Event::Confirm { is_ack: true, .. }) => true,
        Some(Event::Message(returned)) if returned.method == "Basic.Return" => {
            assert!(matches!(session.next(PATIENCE), Some(Event::Confirm { .. })));
            false
        }
        other => panic!("{exchange} {key}: {other:?}"),
    }
}

/// Each property by itself, and all together; as JSON in the order of the wire.
fn kinds_of_properties() -> Vec<Value> {
    let all = json!({
        "content_type": "text/plain", "content_encoding": "gzip",
        "headers": {
            "text": "ä", "number": -7, "large": 1u64 << 40, "half": 0.5, "yes": true,
            "nothing": null, "list": ["x", 1, [false]], "table": {"in": {"deep": "er"}},
        },
        "delivery_mode": 2, "priority": 9, "correlation_id": "c-1", "reply_to": "answers",
        "expiration": "3600000", "message_id": "m-1", "timestamp": 1_700_000_000u64,
        "type": "kind", "user_id": "guest", "app_id": "tests", "cluster_id": "one",
    });
    let each = all.as_object().expect("is an object");
    let alone = each.iter().filter(|(name, _)| *name != "delivery_mode").map(|(name, value)| {
        let mut properties = serde_json::Map::new();
        // In the order of the wire, which the recorded properties keep.
        for (known, mode) in each {
            if known == "delivery_mode" {
                properties.insert(known.clone(), mode.clone());
            } else if known == name {
                properties.insert(name.clone(), value.clone());
            }
        }
        properties.into()
    });
    alone.chain([json!({"delivery_mode": 2}), all.clone()]).collect()
}

fn body(n: usize, len: usize) -> Vec<u8> {
    let mut body = vec![0; len];
    fastrand::Rng::with_seed(n as u64).fill(&mut body);
    body
}
