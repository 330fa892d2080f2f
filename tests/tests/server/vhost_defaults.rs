//! What new virtual hosts have from their beginning, as the configuration says, whoever makes them.

use crate::configuration::{path, tuned};
use crate::management::{GUEST, exchange_on, request};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, run};
use warren_tests::client::Connection;
use warren_tests::setup::Setup;

const CONFIG: &str = "
default_limits.vhosts.1.pattern = ^prod
default_limits.vhosts.1.max_queues = 1
default_limits.vhosts.2.max_connections = 7
default_policies.operator.short.queue_pattern = ^tmp
default_policies.operator.short.max_length = 2
default_policies.operator.short.message_ttl = 1h
default_policies.operator.old.vhost_pattern = ^old$
default_policies.operator.old.apply_to = quorum_queues
default_policies.operator.old.delivery_limit = 3
default_policies.operator.old.classic_queues.queue_version = 2
default_users.monitor.password = Hunter-2
default_users.monitor.tags = monitoring, mine
default_users.monitor.configure = ^$
default_users.guest.vhost_pattern = ^prod
default_users.guest.password = not-taken
";

fn setup(data: &Path, text: &str) -> Setup {
    let file = data.with_extension("conf");
    fs::write(&file, text).expect("can be written");
    Setup::new().managed().in_dir(data).flag("--config", path(&file))
}

fn get(broker: &Broker, path: &str) -> Value {
    request(broker, "GET", path, GUEST, "").json()
}

fn limits(broker: &Broker, vhost: &str) -> Value {
    get(broker, &format!("/api/vhosts/{vhost}"))["limits"].clone()
}

/// The operator's policies there, by name.
fn policies(broker: &Broker, vhost: &str) -> Vec<String> {
    let all = get(broker, &format!("/api/operator-policies/{vhost}"));
    let name = |policy: &Value| policy["name"].as_str().expect("a name").to_owned();
    all.as_array().expect("a list").iter().map(name).collect()
}

/// Who may do what there: each with the pattern of what may be configured.
fn members(broker: &Broker, vhost: &str) -> Vec<(String, String)> {
    let all = get(broker, &format!("/api/vhosts/{vhost}/permissions"));
    let text = |one: &Value, key: &str| one[key].as_str().expect("a text").to_owned();
    let all = all.as_array().expect("a list").iter();
    all.map(|one| (text(one, "user"), text(one, "configure"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(user, may)| ((*user).to_owned(), (*may).to_owned())).collect()
}

#[test]
fn the_first_virtual_host_has_them_once_and_clients_feel_it() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data = scratch.path().join("data");
    let mut broker = setup(&data, CONFIG).start();
    assert_eq!(limits(&broker, "%2F"), json!({ "max-connections": 7 }));
    assert_eq!(policies(&broker, "%2F"), ["short"]);
    assert_eq!(members(&broker, "%2F"), pairs(&[("guest", ".*"), ("monitor", "^$")]));
    assert_eq!(get(&broker, "/api/users/monitor")["tags"], json!(["monitoring", "mine"]));
    tuned(&broker.address(), "\0monitor\0Hunter-2").expect("has this password");
    tuned(&broker.address(), "\0guest\0guest").expect("has kept the own password");
    let mut client = Connection::open(&broker.address()).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    for (queue, length) in [("tmp-1", 2), ("other", 3)] {
        client.send(1, "Queue.Declare", &json!({ "queue": queue, "durable": true }));
        client.expect("Queue.DeclareOk").expect("is declared");
        for _ in 0..3 {
            let publish = json!({ "routing_key": queue });
            let properties = json!({ "delivery_mode": 2 });
            let bytes = warren_tests::wire::publish(1, &publish, &properties, b"m");
            client.send_bytes(&bytes);
        }
        client.send(1, "Queue.Declare", &json!({ "queue": queue, "passive": true }));
        let declared = client.expect("Queue.DeclareOk").expect("is there");
        assert_eq!(declared["message_count"], length, "{queue}");
    }
    assert!(!broker.log().contains("Hunter-2"));
    let delete = request(&broker, "DELETE", "/api/operator-policies/%2F/short", GUEST, "");
    assert_eq!(delete.status, 204, "{delete:?}");
    assert_eq!(broker.end_by(Signal::TERM).code(), Some(0));
    // It is not new any more.
    let broker = setup(&data, CONFIG).start();
    assert_eq!(policies(&broker, "%2F"), [""; 0]);
}

#[test]
fn who_is_killed_while_making_them_leaves_none_without() {
    const ROUNDS: u64 = 6;
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data = scratch.path().join("data");
    for round in 0..ROUNDS {
        let mut broker = setup(&data, CONFIG).start();
        let address = broker.management().expect("was set up with it");
        let making = thread::spawn(move || {
            // One after the other, until nobody answers any more.
            (0..).take_while(|n| put_vhost(&address, &format!("prod-{round}-{n}"))).count()
        });
        thread::sleep(Duration::from_millis(300 + 37 * round));
        broker.end_by(Signal::KILL);
        let made = making.join().expect("ends when the broker does");
        let broker = setup(&data, CONFIG).start();
        let vhosts = get(&broker, "/api/vhosts");
        let names = vhosts.as_array().expect("a list").iter();
        let names = names.map(|vhost| vhost["name"].as_str().expect("a name").to_owned());
        let begin = format!("prod-{round}-");
        let new: Vec<_> = names.filter(|name| name.starts_with(&begin)).collect();
        assert!(made > 0 && (made..=made + 1).contains(&new.len()), "{made} made: {new:?}");
        for vhost in new {
            assert_eq!(limits(&broker, &vhost), json!({ "max-queues": 1 }), "{vhost}");
            assert_eq!(policies(&broker, &vhost), ["short"], "{vhost}");
            assert_eq!(members(&broker, &vhost), pairs(&[("guest", ".*"), ("monitor", "^$")]));
        }
    }
}

/// Whether it was made by a broker that was there all the while.
fn put_vhost(address: &str, vhost: &str) -> bool {
    let Ok(stream) = TcpStream::connect(address) else { return false };
    let head = format!("PUT /api/vhosts/{vhost} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    exchange_on(stream, format!("{head}{GUEST}\r\n").as_bytes()).status == 201
}

#[test]
fn it_is_the_same_for_those_made_by_the_api_the_command_line_and_definitions() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data = scratch.path().join("data");
    let broker = setup(&data, CONFIG).start();
    let put = |path: &str| request(&broker, "PUT", path, GUEST, "{}").status;
    assert_eq!(put("/api/vhosts/prod-1"), 201);
    let ctl = ["ctl", "--data-dir", path(&data), "add_vhost", "prod-2"];
    let Ended { status, stderr, .. } = run(&ctl.map(AsRef::as_ref));
    assert_eq!((status.code(), &*stderr), (Some(0), ""));
    let definitions = json!({
        "vhosts": [{ "name": "old" }, { "name": "prod-3", "limits": { "max-queues": 5 } }],
        "permissions": [{
            "user": "monitor", "vhost": "old", "configure": "x", "write": "x", "read": "x",
        }],
    });
    let import = request(&broker, "POST", "/api/definitions", GUEST, &definitions.to_string());
    assert_eq!(import.status, 204, "{import:?}");
    for vhost in ["prod-1", "prod-2"] {
        assert_eq!(limits(&broker, vhost), json!({ "max-queues": 1 }), "{vhost}");
        assert_eq!(policies(&broker, vhost), ["short"], "{vhost}");
        let expected = pairs(&[("guest", ".*"), ("monitor", "^$")]);
        assert_eq!(members(&broker, vhost), expected, "{vhost}");
    }
    // What definitions say counts over it.
    assert_eq!(limits(&broker, "prod-3"), json!({ "max-queues": 5 }));
    assert_eq!(limits(&broker, "old"), json!({ "max-connections": 7 }));
    assert_eq!(policies(&broker, "old"), ["old", "short"]);
    assert_eq!(members(&broker, "old"), pairs(&[("monitor", "x")]));
    let address = broker.address();
    let mut prod = address.clone();
    prod.vhost = "prod-1".into();
    let mut client = Connection::open(&prod).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    client.send(1, "Queue.Declare", &json!({ "queue": "one" }));
    client.expect("Queue.DeclareOk").expect("there is room");
    client.send(1, "Queue.Declare", &json!({ "queue": "two" }));
    let refused = client.expect("Channel.Close").expect("there is none");
    let text = refused["reply_text"].as_str().expect("a text");
    assert!(text.contains("queue limit in vhost 'prod-1' (1) is reached"), "{text}");
    // One that is there is only described anew.
    let body = r#"{"description": "mine", "tags": ""}"#;
    request(&broker, "DELETE", "/api/vhost-limits/prod-1/max-queues", GUEST, "");
    assert_eq!(request(&broker, "PUT", "/api/vhosts/prod-1", GUEST, body).status, 204);
    assert_eq!(limits(&broker, "prod-1"), json!({}));
}

#[test]
fn what_cannot_be_keeps_the_broker_from_starting() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let data = scratch.path().join("data");
    let told = |text: &str| {
        let ended = setup(&data, text).try_start().expect_err("it does not start");
        assert_eq!(ended.status.code(), Some(1));
        ended.stderr.lines().last().expect("says why").to_owned()
    };
    let told_of = |text: &str, expected: &str| {
        let line = told(text);
        assert!(line.contains(expected), "{line}");
    };
    told_of("default_limits.vhosts.1.max_queue = 1", "is it `default_limits.vhosts.1.max_queues`?");
    told_of("default_limits.vhosts.1.pattern = (", ".conf:1: default_limits.vhosts.1.pattern: `(`");
    told_of("default_policies.operator.p.apply_to = bees", "operator.p: ");
    told_of("default_policies.operator.p.expires = soon", "`soon` is no time");
    told_of("default_users.u.read = (", "default_users.u: invalid regular expression '('");
}
