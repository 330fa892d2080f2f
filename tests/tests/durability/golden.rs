//! Data directories that brokers of this and earlier versions wrote: each `golden/vN`, N being the
//! version of the format, must be read as it was meant.
//!
//! `WARREN_GOLDEN=write` makes the one of today's format, if there is none: what is released is
//! never written again.

use crate::brokers;
use crate::directory;
use crate::fill;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use warren_tests::broker::Broker;
use warren_tests::session::{Event, Session};

/// The version of the format that brokers write today.
const VERSION: u32 = 1;

/// Bodies in `many`.
const LEN: usize = 200;

/// Messages of `many`: over several segments, which are as small as can be.
const MANY: u64 = 120;

#[test]
fn directories_of_all_versions_of_the_format_can_be_read() {
    if brokers::is_for_warren_only("golden data directories") {
        return;
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    if env::var("WARREN_GOLDEN").is_ok_and(|value| value == "write") {
        write(&golden.join(format!("v{VERSION}")));
    }
    for version in 1..=VERSION {
        let kept = golden.join(format!("v{version}"));
        assert!(kept.exists(), "{} is missing; see the README", kept.display());
        read(&kept);
    }
}

fn write(kept: &Path) {
    assert!(!kept.exists(), "{} is there, and what was kept stays as it is", kept.display());
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data = scratch.path().join("data");
    // Two brokers, so that there is a checkpoint with everything in it and a log behind it.
    let mut first = start(&data);
    fill_first(&first);
    assert!(first.end_by(Signal::TERM).success(), "{}", first.log());
    let mut second = start(&data);
    fill_second(&second);
    second.end_by(Signal::KILL);
    directory::copy(&data, kept);
}

fn start(data: &Path) -> Broker {
    brokers::on(data).flag("--segment-size", "8KiB").start()
}

fn fill_first(broker: &Broker) {
    let address = broker.address();
    fill::one_by_one(&address, "many", 0..MANY, LEN);
    let mut session = Session::open(&address).expect("guest may connect");
    session.confirm().expect("confirms can be had");
    let arguments = json!({"x-note": "ä", "x-nested": {"list": [1, "b", null, true]}});
    let queue = json!({"queue": "arguments", "durable": true, "arguments": arguments});
    session.call("Queue.Declare", &queue, "Queue.DeclareOk").expect("is declared");
    let leaving = json!({"queue": "leaving", "durable": true, "auto_delete": true});
    session.call("Queue.Declare", &leaving, "Queue.DeclareOk").expect("is declared");
    for kind in ["direct", "fanout", "topic", "headers"] {
        let exchange = json!({"exchange": kind, "type": kind, "durable": true});
        session.call("Exchange.Declare", &exchange, "Exchange.DeclareOk").expect("is declared");
    }
    for (exchange, key, arguments) in [
        ("direct", "d", json!({})),
        ("topic", "t.*.#", json!({})),
        ("headers", "", json!({"x-match": "any", "colour": "red"})),
    ] {
        let binding = json!({
            "queue": "arguments", "exchange": exchange, "routing_key": key, "arguments": arguments,
        });
        session.call("Queue.Bind", &binding, "Queue.BindOk").expect("is bound");
    }
    let chain = json!({"destination": "direct", "source": "fanout", "routing_key": "f"});
    session.call("Exchange.Bind", &chain, "Exchange.BindOk").expect("is bound");
    let empty = session.publish_confirmed("arguments", &properties(), b"");
    empty.expect("is confirmed");
    let both = json!({"exchange": "topic", "routing_key": "t.x.y"});
    session.publish(&both, &properties(), &fill::body(1, 5000));
    assert!(matches!(session.next(fill_patience()), Some(Event::Confirm { is_ack: true, .. })));
}

fn fill_second(broker: &Broker) {
    let address = broker.address();
    let mut session = Session::open(&address).expect("guest may connect");
    session.confirm().expect("confirms can be had");
    // Of the first thirty every third is acked; ten more were handed out.
    for n in 0..40 {
        let message = session.get("many").expect("can be asked for").expect("is there");
        if n < 30 && n % 3 == 0 {
            session.ack(&message, false);
        }
    }
    session.declare("deleted").expect("is declared");
    let deleted = json!({"queue": "deleted"});
    let lost = session.publish_confirmed("deleted", &fill::persistent(), b"gone with its queue");
    lost.expect("is confirmed");
    session.call("Queue.Delete", &deleted, "Queue.DeleteOk").expect("is deleted");
    session.declare("purged").expect("is declared");
    session.publish_confirmed("purged", &fill::persistent(), b"purged").expect("is confirmed");
    session.call("Queue.Purge", &json!({"queue": "purged"}), "Queue.PurgeOk").expect("is purged");
    let transient = session.publish_confirmed("purged", &json!({"delivery_mode": 1}), b"transient");
    transient.expect("is confirmed");
    let gone = json!({"queue": "arguments", "exchange": "direct", "routing_key": "gone"});
    session.call("Queue.Bind", &gone, "Queue.BindOk").expect("is bound");
    session.call("Queue.Unbind", &gone, "Queue.UnbindOk").expect("is unbound");
    // On disk with what it rests on: acks and the purge above are now.
    let last = session.publish_confirmed("purged", &properties(), &fill::body(7, 100));
    last.expect("is confirmed");
}

fn read(kept: &Path) {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data: PathBuf = scratch.path().join("data");
    directory::copy(kept, &data);
    let files = fs::read_dir(&data).expect("can be read").count();
    assert!(files > 3, "{} has only {files} files", kept.display());
    // Twice: what one start has read and written, the next one reads.
    let mut broker = brokers::on(&data).start();
    assert!(broker.end_by(Signal::TERM).success(), "{}", broker.log());
    let broker = brokers::on(&data).start();
    let address = broker.address();

    let came = fill::drain(&address, "many").expect("can be drained");
    let numbers: Vec<_> = came.iter().map(|(n, _)| *n).collect();
    let expected = (0..MANY).filter(|n| *n >= 30 || n % 3 != 0);
    assert!(numbers.iter().copied().eq(expected), "{numbers:?}");
    // Others may say so as well: the mark of what was handed out is set ahead.
    assert!(came.iter().take_while(|(n, _)| *n < 40).all(|(_, again)| *again), "{came:?}");
    let last = fill::drained(&address, "purged");
    assert_eq!(last, [7]);

    let mut session = Session::open(&address).expect("guest may connect");
    session.confirm().expect("confirms can be had");
    let arguments = json!({"x-note": "ä", "x-nested": {"list": [1, "b", null, true]}});
    let queue = json!({"queue": "arguments", "durable": true, "arguments": arguments});
    let declared = session.call("Queue.Declare", &queue, "Queue.DeclareOk").expect("is the same");
    assert_eq!(declared["message_count"], 2);
    for (exchange, key, body) in
        [("", "arguments", vec![]), ("topic", "t.x.y", fill::body(1, 5000))]
    {
        let message = session.get("arguments").expect("can be asked for").expect("is there");
        assert_eq!(Value::Object(message.properties.clone()), properties());
        assert!(message.body == body && !message.is_redelivered(), "{:?}", message.arguments);
        assert_eq!(message.arguments["exchange"], exchange);
        assert_eq!(message.arguments["routing_key"], key);
    }
    for (exchange, key, expected) in [
        ("direct", "d", true),
        ("direct", "gone", false),
        ("fanout", "d", true),
        ("topic", "t.a", true),
        ("headers", "", false),
    ] {
        let to = json!({"exchange": exchange, "routing_key": key, "mandatory": true});
        session.publish(&to, &json!({}), b"x");
        let first = session.next(fill_patience());
        let is_routed = matches!(first, Some(Event::Confirm { is_ack: true, .. }));
        if !is_routed {
            assert!(matches!(session.next(fill_patience()), Some(Event::Confirm { .. })));
        }
        assert_eq!(is_routed, expected, "{exchange} {key}: {first:?}");
    }
    assert_eq!(session.message_count("leaving"), Ok(0));
    session.message_count("deleted").expect_err("was deleted");
}

fn properties() -> Value {
    json!({
        "content_type": "text/plain", "headers": {"n": 1, "deep": {"er": [null, true, "ä"]}},
        "delivery_mode": 2, "priority": 4, "correlation_id": "c",
        "message_id": "m", "timestamp": 1_700_000_000u64, "type": "t", "app_id": "a",
    })
}

fn fill_patience() -> std::time::Duration {
    std::time::Duration::from_secs(10)
}
