//! What the management API has beyond RabbitMQ's, for the management page: where a message would
//! go, the topology, previews of policies, moving messages, histories, recordings,
//! what somebody may do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use warren_tests::broker::{Broker, binary, simulator};
use warren_tests::client::Connection;
use warren_tests::setup::Setup;
use warren_tests::wire;

use crate::management::{GUEST, connect_to, exchange_on, request};

fn managed() -> Broker {
    Setup::new().managed().start()
}

fn ask(broker: &Broker, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = request(broker, method, path, GUEST, &body);
    let json = if response.body.is_empty() { Value::Null } else { response.json() };
    (response.status, json)
}

fn get(broker: &Broker, path: &str) -> Value {
    let (status, json) = ask(broker, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{path}: {json}");
    json
}

fn done(broker: &Broker, method: &str, path: &str, body: &Value) -> Value {
    let (status, json) = ask(broker, method, path, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
    json
}

fn declare(broker: &Broker, queue: &str, arguments: &Value) {
    let body = json!({ "durable": true, "arguments": arguments });
    done(broker, "PUT", &format!("/api/queues/%2F/{queue}"), &body);
}

fn bind(broker: &Broker, exchange: &str, queue: &str, key: &str) {
    let path = format!("/api/bindings/%2F/e/{exchange}/q/{queue}");
    done(broker, "POST", &path, &json!({ "routing_key": key }));
}

fn publish(broker: &Broker, queue: &str, headers: &Value, payload: &str) {
    let body = json!({
        "routing_key": queue,
        "properties": { "headers": headers, "delivery_mode": 2 },
        "payload": payload,
        "payload_encoding": "string",
    });
    let answer = done(broker, "POST", "/api/exchanges/%2F/amq.default/publish", &body);
    assert_eq!(answer["routed"], true);
}

/// The bodies that are ready in a queue, which keeps them.
fn bodies(broker: &Broker, queue: &str) -> Vec<String> {
    let messages = get(broker, &format!("/api/queues/%2F/{queue}/messages?count=500"));
    let messages = messages.as_array().expect("a list").iter();
    messages.map(|one| one["payload"].as_str().expect("is in memory").to_owned()).collect()
}

#[test]
fn where_a_message_would_go_is_told_and_nothing_is_published() {
    let broker = managed();
    declare(&broker, "orders", &json!({}));
    declare(&broker, "spare", &json!({}));
    let alternate = json!({ "type": "fanout", "durable": true });
    done(&broker, "PUT", "/api/exchanges/%2F/lost", &alternate);
    let arguments = json!({ "alternate-exchange": "lost" });
    let main = json!({ "type": "topic", "durable": true, "arguments": arguments });
    done(&broker, "PUT", "/api/exchanges/%2F/main", &main);
    bind(&broker, "main", "orders", "order.#");
    bind(&broker, "lost", "spare", "");
    let route = |key: &str, headers: Value| {
        let body = json!({ "routing_key": key, "properties": { "headers": headers } });
        done(&broker, "POST", "/api/exchanges/%2F/main/route", &body)
    };
    let course = route("order.new", json!({}));
    assert_eq!(course["queues"], json!([{ "name": "orders", "certain": true, "full": false }]));
    assert_eq!(course["steps"][0]["bindings"][0]["routing_key"], "order.#");
    let course = route("other", json!({}));
    assert_eq!(course["queues"][0]["name"], "spare");
    assert_eq!(course["steps"][0]["by"], "alternate");
    let course = route("other", json!({ "CC": ["order.a"] }));
    assert_eq!(course["routing_keys"], json!(["order.a", "other"]));
    assert_eq!(course["queues"][0]["name"], "orders");
    assert_eq!(route("order.x", json!({ "x-delay": 5000 }))["delay_ms"], 5000);
    assert_eq!(get(&broker, "/api/overview")["queue_totals"]["messages"], 0);
    let (status, told) = ask(&broker, "POST", "/api/exchanges/%2F/none/route", &json!({}));
    assert_eq!((status, &told["reason"]), (404, &json!("Not Found")));
    let wrong = json!({ "properties": { "headers": { "CC": 1 } } });
    let (status, told) = ask(&broker, "POST", "/api/exchanges/%2F/main/route", &wrong);
    assert_eq!(status, 400, "{told}");
}

#[test]
fn a_topology_is_drawn_whole_if_it_is_small_and_around_something_else() {
    let broker = managed();
    for queue in ["a", "b", "alone"] {
        let dead = json!({ "x-dead-letter-exchange": "amq.fanout" });
        declare(&broker, queue, if queue == "a" { &dead } else { &Value::Null });
    }
    bind(&broker, "amq.topic", "a", "k");
    bind(&broker, "amq.topic", "a", "l");
    bind(&broker, "amq.fanout", "b", "");
    let ids = |told: &Value| {
        let nodes = told["nodes"].as_array().expect("a list").iter();
        nodes.map(|node| node["id"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let all = get(&broker, "/api/topology/%2F");
    assert_eq!(ids(&all), ["e:amq.fanout", "e:amq.topic", "q:a", "q:alone", "q:b"]);
    assert_eq!(all["complete"], true);
    let edges = all["edges"].as_array().expect("a list");
    let edge = |from: &str, to: &str| {
        let mut found = edges.iter();
        found.find(|edge| edge["source"] == from && edge["destination"] == to).cloned()
    };
    let bound = edge("e:amq.topic", "q:a").expect("it is bound");
    assert_eq!((&bound["kind"], &bound["bindings_total"]), (&json!("binding"), &json!(2)));
    assert_eq!(edge("q:a", "e:amq.fanout").expect("for the dead")["kind"], "dead-letter");
    let near = get(&broker, "/api/topology/%2F?queue=b&depth=1");
    assert_eq!(ids(&near), ["e:amq.fanout", "q:b"]);
    assert_eq!(near["center"], "q:b");
    let cut = get(&broker, "/api/topology/%2F?limit=2");
    assert_eq!((ids(&cut).len(), &cut["complete"]), (2, &json!(false)));
    assert_eq!(ask(&broker, "GET", "/api/topology/%2F?queue=none", &Value::Null).0, 404);
}

#[test]
fn a_policy_is_previewed_as_it_will_be_in_force() {
    let broker = managed();
    for queue in ["orders.a", "orders.b", "other"] {
        declare(&broker, queue, &json!({}));
    }
    let strong = json!({
        "pattern": "^orders\\.a", "apply-to": "queues", "priority": 5,
        "definition": { "max-length": 7 },
    });
    done(&broker, "PUT", "/api/policies/%2F/strong", &strong);
    let wanted = json!({
        "name": "weak", "pattern": "^orders", "apply-to": "queues", "priority": 1,
        "definition": { "max-length": 9 },
    });
    let told = done(&broker, "POST", "/api/policy-preview/%2F", &wanted);
    assert_eq!((&told["matched"], &told["would_apply"]), (&json!(2), &json!(1)));
    let none = get(&broker, "/api/policies/%2F");
    assert_eq!(none.as_array().map(Vec::len), Some(1), "nothing is set");
    done(&broker, "PUT", "/api/policies/%2F/weak", &wanted);
    for one in told["items"].as_array().expect("a list") {
        let name = one["name"].as_str().expect("a text");
        let in_force = get(&broker, &format!("/api/queues/%2F/{name}"))["policy"].clone();
        let expected = if one["wins"] == true { json!("weak") } else { one["other"].clone() };
        assert_eq!(in_force, expected, "{name}");
    }
    let wrong = json!({ "pattern": "(", "apply-to": "queues" });
    assert_eq!(ask(&broker, "POST", "/api/policy-preview/%2F", &wrong).0, 400);
}

#[test]
fn messages_move_to_another_queue_in_order_with_all_that_they_say() {
    let broker = managed();
    declare(&broker, "from", &json!({}));
    declare(&broker, "to", &json!({}));
    declare(&broker, "copies", &json!({}));
    let sent: Vec<String> = (0..250).map(|number| format!("m{number}")).collect();
    for body in &sent {
        publish(&broker, "from", &json!({ "h": body }), body);
    }
    let path = "/api/queues/%2F/from/move";
    let moved = done(&broker, "POST", path, &json!({ "destination": "to", "count": 3 }));
    assert_eq!((&moved["moved"], &moved["exactly_once"]), (&json!(3), &json!(true)));
    assert_eq!(bodies(&broker, "to"), sent[..3]);
    let moved = done(&broker, "POST", path, &json!({ "destination": "to" }));
    assert_eq!((&moved["moved"], &moved["stopped"]), (&json!(247), &Value::Null));
    assert_eq!(bodies(&broker, "to"), sent);
    let first = &get(&broker, "/api/queues/%2F/to/messages?count=1")[0];
    assert_eq!(first["properties"]["headers"]["h"], "m0");
    assert_eq!(first["routing_key"], "from");
    // A copy that was meant for others once is not sent to them again.
    publish(&broker, "from", &json!({ "CC": ["copies"] }), "copied");
    done(&broker, "POST", path, &json!({ "destination": "to" }));
    assert_eq!(bodies(&broker, "copies"), ["copied"]);
    let exchanges = get(&broker, "/api/exchanges/%2F?columns=name").to_string();
    assert!(!exchanges.contains("warren.move"), "{exchanges}");
    for (destination, status) in [("from", 400), ("none", 404)] {
        let (told, _) = ask(&broker, "POST", path, &json!({ "destination": destination }));
        assert_eq!(told, status, "{destination}");
    }
}

#[test]
fn what_a_full_queue_refuses_stays_where_it_was() {
    let broker = managed();
    declare(&broker, "from", &json!({}));
    declare(&broker, "small", &json!({ "x-max-length": 4, "x-overflow": "reject-publish" }));
    let sent: Vec<String> = (0..10).map(|number| format!("m{number}")).collect();
    for body in &sent {
        publish(&broker, "from", &json!({}), body);
    }
    let path = "/api/queues/%2F/from/move";
    let moved = done(&broker, "POST", path, &json!({ "destination": "small" }));
    assert_eq!((&moved["moved"], &moved["exactly_once"]), (&json!(4), &json!(false)));
    assert!(moved["stopped"].is_string(), "{moved}");
    assert_eq!(bodies(&broker, "small"), sent[..4]);
    assert_eq!(bodies(&broker, "from"), sent[4..]);
}

#[test]
fn the_last_hour_is_there_for_charts() {
    let broker = managed();
    declare(&broker, "q", &json!({}));
    get(&broker, "/api/queues/%2F/q/history");
    for _ in 0..20 {
        publish(&broker, "q", &json!({}), "x");
    }
    let last = |history: &Value, name: &str| {
        let all = history["series"][name].as_array();
        all.and_then(|all| all.last()).cloned().unwrap_or_default()
    };
    let end = Instant::now() + Duration::from_secs(30);
    let history = loop {
        let history = get(&broker, "/api/history");
        if last(&history, "messages_ready") == 20 {
            break history;
        }
        assert!(Instant::now() < end, "{history}");
        thread::sleep(Duration::from_millis(200));
    };
    let points = history["at"].as_array().expect("a list").len();
    for (name, values) in history["series"].as_object().expect("an object") {
        assert_eq!(values.as_array().map(Vec::len), Some(points), "{name}");
    }
    assert_eq!(last(&history, "queues"), 1);
    let is_any = |name: &str| {
        let values = history["series"][name].as_array().expect("a list");
        values.iter().any(|value| value.as_f64() > Some(0.0))
    };
    for name in ["publish", "confirm", "log_sync_ms", "memory_resident", "disk_free"] {
        assert!(is_any(name), "{name}: {history}");
    }
    let now = history["now"].as_u64().expect("a number");
    let later = get(&broker, &format!("/api/history?since={now}&columns=at,series.publish"));
    assert_eq!(later, json!({ "at": [], "series": { "publish": [] } }));
    let own = get(&broker, "/api/queues/%2F/q/history");
    assert_eq!(last(&own, "messages_ready"), 20, "{own}");
    assert_eq!(ask(&broker, "GET", "/api/history?seconds=x", &Value::Null).0, 400);
}

#[test]
fn an_import_reports_what_it_did_and_skipped() {
    let broker = managed();
    declare(&broker, "there", &json!({}));
    declare(&broker, "other", &json!({}));
    let definitions = json!({
        "users": [{ "name": "bob", "password_hash": "", "tags": [] }],
        "queues": [
            { "vhost": "/", "name": "there", "durable": true, "arguments": {} },
            { "vhost": "/", "name": "other", "durable": true, "arguments": { "x-expires": 9 } },
            { "vhost": "/", "name": "new", "durable": true, "arguments": {} },
        ],
        "bindings": [{
            "vhost": "/", "source": "amq.topic", "destination": "new",
            "destination_type": "queue", "routing_key": "k", "arguments": {},
        }],
    });
    let report = done(&broker, "POST", "/api/definitions?report=true", &definitions);
    assert_eq!(report["counts"]["users"], json!({ "created": 1 }));
    assert_eq!(report["counts"]["queues"], json!({ "created": 1, "skipped": 2 }));
    assert_eq!(report["counts"]["bindings"], json!({ "bound": 1 }));
    let why: Vec<_> = report["skipped"].as_array().expect("a list").iter().collect();
    assert_eq!(why[0]["why"], "is there already");
    assert_eq!(why[1]["why"], "is there already, with other arguments");
    let wrong = json!({
        "users": [{ "name": "eve", "password_hash": "", "tags": [] }],
        "permissions": [{ "user": "eve", "vhost": "none" }],
    });
    let (status, report) = ask(&broker, "POST", "/api/definitions?report=true", &wrong);
    assert_eq!((status, &report["counts"]["users"]["created"]), (400, &json!(1)), "{report}");
    assert_eq!(report["failed"]["at"], "permissions[0] (eve)");
    let (status, json) = ask(&broker, "POST", "/api/definitions", &definitions);
    assert_eq!((status, json), (204, Value::Null), "without a report, as in RabbitMQ");
}

#[test]
fn recordings_are_listed_and_downloaded_by_administrators() {
    let broker = managed();
    let told = get(&broker, "/api/flight-recordings");
    assert_eq!((&told["recording"], &told["next"]), (&json!(false), &json!(false)), "{told}");
    assert_eq!(told["files"], json!([]));
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().to_str().expect("is UTF-8");
    let broker = Setup::new().managed().flag("--record", path).start();
    let told = get(&broker, "/api/flight-recordings");
    for key in ["recording", "configured", "next"] {
        assert_eq!(told[key], true, "{key}");
    }
    let (status, _) = ask(&broker, "DELETE", "/api/flight-recordings/next", &Value::Null);
    assert_eq!(status, 400, "each start is recorded");
    let name = told["files"][0]["name"].as_str().expect("there is one").to_owned();
    let part = |name: &str| {
        let request = format!(
            "GET /api/flight-recordings/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             {GUEST}\r\n"
        );
        let address = broker.management().expect("was set up with it");
        exchange_on(connect_to(&address), request.as_bytes())
    };
    assert!(part(&name).body.starts_with("warrenFR"));
    for other in ["..%2Fx", "none", "%2Fetc%2Fpasswd"] {
        assert_eq!(part(other).status, 404, "{other}");
    }
}

/// What the simulator says of these recordings, which it replays to their end.
fn replayed(recordings: &Path) -> String {
    let replayed = Command::new(simulator()).arg("replay").arg(recordings).output();
    let replayed = replayed.expect("the simulator starts");
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success(), "{said}");
    said
}

#[test]
fn the_next_start_is_recorded_if_somebody_asks_for_it_and_the_one_behind_it_is_not() {
    let dir = TempDir::new().expect("a temporary directory");
    let setup = Setup::new().managed().in_dir(&dir.path().join("data"));
    let mut broker = setup.start();
    for (method, next) in [("PUT", true), ("DELETE", false), ("DELETE", false), ("PUT", true)] {
        let (status, json) = ask(&broker, method, "/api/flight-recordings/next", &Value::Null);
        assert_eq!(status, 204, "{json}");
        assert_eq!(get(&broker, "/api/flight-recordings")["next"], next, "{method}");
    }
    let current = "/api/flight-recordings/current";
    assert_eq!(ask(&broker, "DELETE", current, &Value::Null).0, 404, "none goes on");
    // That is on disk: the broker has no time to do anything about it.
    broker.end_by(Signal::KILL);
    let mut broker = setup.start();
    let told = get(&broker, "/api/flight-recordings");
    assert_eq!((&told["recording"], &told["next"]), (&json!(true), &json!(false)), "{told}");
    assert_eq!(told["files"][0]["current"], true);
    declare(&broker, "recorded", &json!({}));
    assert_eq!(ask(&broker, "DELETE", current, &Value::Null).0, 204);
    let ended = get(&broker, "/api/flight-recordings");
    assert_eq!((&ended["recording"], &ended["files"][0]["current"]), (&json!(false), &json!(true)));
    declare(&broker, "not-recorded", &json!({}));
    let later = get(&broker, "/api/flight-recordings");
    assert_eq!(later["files"][0]["bytes"], ended["files"][0]["bytes"]);
    assert!(broker.end_by(Signal::TERM).success());

    let said = replayed(&dir.path().join("data/recordings"));
    assert!(said.contains("it was ended by guest"), "{said}");

    let broker = setup.start();
    let told = get(&broker, "/api/flight-recordings");
    assert_eq!((&told["recording"], &told["next"]), (&json!(false), &json!(false)), "{told}");
    assert_eq!(told["files"].as_array().map(Vec::len), Some(1), "what was recorded stays");
    assert_eq!(told["files"][0]["current"], false);
}

const RESTART: &str = "/api/flight-recordings/restart";

fn restart(broker: &mut Broker) {
    let told = done(broker, "POST", RESTART, &Value::Null);
    assert_eq!(told, json!({ "restarting": true }));
    broker.wait_for_restart();
    get(broker, "/api/whoami");
}

#[test]
fn a_broker_starts_anew_in_its_process_and_is_recorded_then() {
    let dir = TempDir::new().expect("a temporary directory");
    let setup = Setup::new().managed().in_dir(&dir.path().join("data"));
    let mut broker = setup.flag("--set", "warren.node_name=anew@here").start();
    let mut client = Connection::open(&broker.address()).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    declare(&broker, "kept", &json!({}));
    client.send(1, "Confirm.Select", &Value::Null);
    client.expect("Confirm.SelectOk").expect("is confirmed");
    let (to, persistent) = (json!({ "routing_key": "kept" }), json!({ "delivery_mode": 2 }));
    client.send_bytes(&wire::publish(1, &to, &persistent, b"it stays"));
    client.expect("Basic.Ack").expect("is on disk");
    let pid = broker.pid();
    restart(&mut broker);
    let closed = client.expect("Connection.Close").expect("the broker takes its leave");
    assert_eq!(closed["reply_code"], 320, "{closed:?}");
    assert!(broker.is_running() && broker.pid() == pid);
    broker.wait_for_log("POST /api/flight-recordings/restart");

    let told = get(&broker, "/api/flight-recordings");
    assert_eq!((&told["recording"], &told["next"]), (&json!(true), &json!(false)), "{told}");
    assert_eq!(get(&broker, "/api/overview")["node"], "anew@here", "with the same arguments");
    assert_eq!(get(&broker, "/api/queues/%2F/kept")["messages"], 1);
    let (status, refused) = ask(&broker, "POST", RESTART, &Value::Null);
    assert_eq!((status, &refused["error"]), (400, &json!("bad_request")), "it is recorded already");
    let mut client = Connection::open(&broker.address()).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    client.send(1, "Basic.Get", &json!({ "queue": "kept", "no_ack": true }));
    client.expect("Basic.GetOk").expect("it is there");
    assert!(broker.end_by(Signal::TERM).success());

    let said = replayed(&dir.path().join("data/recordings"));
    assert!(said.contains("its end     the broker was told to stop"), "{said}");
}

#[test]
fn a_broker_may_start_anew_many_times_and_leaves_nothing_open() {
    let mut broker = managed();
    let open = |broker: &Broker| {
        let entries = fs::read_dir(format!("/proc/{}/fd", broker.pid())).expect("it runs");
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let mut names: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
        // Those of sockets have numbers in them.
        names.iter_mut().for_each(|name| name.truncate(name.find("[").unwrap_or(name.len())));
        names.sort_unstable();
        names
    };
    // The first one was not recorded, all others are.
    restart(&mut broker);
    let first = open(&broker);
    for _ in 0..3 {
        done(&broker, "DELETE", "/api/flight-recordings/current", &Value::Null);
        restart(&mut broker);
    }
    let last = open(&broker);
    assert!(last.len() <= first.len() + 2, "{first:#?}\n{last:#?}");
    let count = |names: &[String]| names.iter().filter(|name| name.ends_with(".recording")).count();
    assert_eq!((count(&first), count(&last)), (1, 1), "{last:#?}");
    assert_eq!(get(&broker, "/api/flight-recordings")["files"].as_array().map(Vec::len), Some(4));
}

#[test]
fn who_is_told_to_stop_while_it_stops_to_start_anew_stops_for_good() {
    let mut broker = managed();
    // Who does not say good-bye has some seconds for it.
    let client = Connection::open(&broker.address()).expect("guest may connect");
    done(&broker, "POST", RESTART, &Value::Null);
    broker.wait_for_log("stopping, to start anew");
    assert!(broker.end_by(Signal::TERM).success());
    assert_eq!(broker.later_lines(), Vec::<String>::new(), "it did not start again");
    drop(client);
}

#[test]
fn a_broker_that_cannot_start_anew_says_so_and_the_next_start_is_recorded_all_the_same() {
    let dir = TempDir::new().expect("a temporary directory");
    let (data, program) = (dir.path().join("data"), dir.path().join("warren"));
    fs::copy(binary(), &program).expect("can be copied");
    let setup = Setup::new().managed().in_dir(&data);
    let mut broker = setup.clone().program(&program).start();
    fs::set_permissions(&program, Permissions::from_mode(0o644)).expect("can be set");
    done(&broker, "POST", RESTART, &Value::Null);
    assert_eq!(broker.wait_for_end().code(), Some(1));
    broker.wait_for_log("warren: the broker has stopped and cannot start anew: Permission denied");
    let broker = setup.start();
    assert_eq!(get(&broker, "/api/flight-recordings")["recording"], true);
}

#[test]
fn a_program_that_was_replaced_starts_anew_as_the_one_that_runs() {
    let dir = TempDir::new().expect("a temporary directory");
    let program = dir.path().join("warren");
    fs::copy(binary(), &program).expect("can be copied");
    let mut broker = Setup::new().managed().program(&program).start();
    fs::remove_file(&program).expect("can be removed");
    fs::write(&program, "not a program").expect("can be written");
    restart(&mut broker);
    assert_eq!(get(&broker, "/api/flight-recordings")["recording"], true);
}

#[test]
fn who_asks_is_told_what_the_permissions_are_for() {
    let broker = managed();
    let put = |path: &str, body: Value| done(&broker, "PUT", path, &body);
    put("/api/users/alice", json!({ "password": "alice", "tags": "management" }));
    let some = json!({ "configure": "^own", "write": "^(own|amq.default$)", "read": "^seen" });
    put("/api/permissions/%2F/alice", some);
    put("/api/queues/%2F/own", json!({}));
    put("/api/queues/%2F/seen", json!({}));
    put("/api/exchanges/%2F/seen.x", json!({ "type": "topic" }));
    put("/api/exchanges/%2F/own.inside", json!({ "type": "fanout", "internal": true }));
    let topics = json!({ "exchange": "seen.x", "write": ".*", "read": "^mine" });
    put("/api/topic-permissions/%2F/alice", topics);
    bind(&broker, "seen.x", "own", "mine.a");
    bind(&broker, "seen.x", "own", "other");
    // alice:alice
    let alice = "Authorization: Basic YWxpY2U6YWxpY2U=\r\n";
    let told = |path: &str| {
        let response = request(&broker, "GET", path, alice, "");
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.json()
    };
    let may = |path: &str| told(path)["you_may"].clone();
    assert_eq!(may("/api/queues/%2F/own"), json!(["publish", "bind", "delete"]));
    assert_eq!(may("/api/queues/%2F/seen"), json!(["publish", "get", "purge"]));
    assert_eq!(may("/api/exchanges/%2F/seen.x"), json!(["bind_from"]));
    assert_eq!(may("/api/exchanges/%2F/own.inside"), json!(["bind_to", "delete"]));
    assert_eq!(may("/api/exchanges/%2F/amq.default"), json!(["publish"]));
    assert_eq!(may("/api/exchanges/%2F/amq.topic"), json!([]));
    let bindings = told("/api/queues/%2F/own/bindings");
    let unbound: Vec<_> = bindings.as_array().expect("a list").iter().collect();
    let may_unbind = |key: &str| {
        let of = unbound.iter().find(|row| row["routing_key"] == key && row["source"] != "");
        of.expect("is there")["you_may"].clone()
    };
    assert_eq!(may_unbind("mine.a"), json!(["unbind"]));
    assert_eq!(may_unbind("other"), json!([]), "another topic");
    let own = json!({
        "vhost": "/", "configure": "^own", "write": "^(own|amq.default$)", "read": "^seen",
    });
    assert_eq!(told("/api/whoami/permissions"), json!([own]));
    let named = told("/api/whoami/permissions/%2F?name=own.new");
    assert_eq!(named["allows"], json!(["configure", "write"]));
    assert_eq!(told("/api/whoami/permissions/%2F?name=x")["allows"], json!([]));
    let guest = get(&broker, "/api/queues/%2F/own");
    assert_eq!(guest["you_may"], json!(["publish", "get", "purge", "bind", "delete"]));
}
