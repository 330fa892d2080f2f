//! Definitions that a start imports.

use crate::configuration::{path, tuned};
use crate::management::request;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, run};
use warren_tests::setup::Setup;

/// admin:secret
const ADMIN: &str = "Authorization: Basic YWRtaW46c2VjcmV0\r\n";

fn definitions() -> Value {
    json!({
        "users": [{ "name": "admin", "password": "secret", "tags": "administrator" }],
        "vhosts": [{ "name": "/" }, { "name": "other" }],
        // Not in `other`: whoever imports needs no permission.
        "permissions":
            [{ "user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" }],
        "exchanges": [{ "name": "x", "vhost": "other", "type": "topic", "durable": true }],
        "queues": [
            { "name": "q", "vhost": "other", "durable": true, "arguments": {"x-max-length": 7} },
            { "name": "q", "vhost": "/", "durable": true },
        ],
        "bindings": [{
            "source": "x", "vhost": "other", "destination": "q", "destination_type": "queue",
            "routing_key": "a.#",
        }],
        "policies": [{
            "name": "p", "vhost": "/", "pattern": "^q", "definition": { "max-length": 5 },
        }],
    })
}

/// A broker that is to import this file.
fn importing(data: &Path, file: &Path) -> Setup {
    let load = format!("load_definitions={}", path(file));
    Setup::new().managed().in_dir(data).flag("--set", &load)
}

fn queues(broker: &Broker) -> Vec<String> {
    let queues = request(broker, "GET", "/api/queues", ADMIN, "").json();
    let queues = queues.as_array().expect("is a list");
    let name = |queue: &Value| format!("{} {}", queue["vhost"], queue["name"]).replace('"', "");
    queues.iter().map(name).collect()
}

#[test]
fn what_definitions_say_is_there_before_anybody_can_connect_and_nothing_else() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let (data, file) = (scratch.path().join("data"), scratch.path().join("d.json"));
    fs::write(&file, definitions().to_string()).expect("can be written");
    let mut broker = importing(&data, &file).start();
    tuned(&broker.address(), "\0admin\0secret").expect("admin may log in");
    tuned(&broker.address(), "\0guest\0guest").expect_err("there is no guest");
    assert_eq!(queues(&broker), ["/ q", "other q"]);
    let get = |path: &str| request(&broker, "GET", path, ADMIN, "").json();
    assert_eq!(get("/api/queues/other/q")["arguments"]["x-max-length"], 7);
    assert_eq!(get("/api/queues/%2F/q")["policy"], "p");
    let bindings = get("/api/exchanges/other/x/bindings/source");
    assert_eq!(bindings[0]["routing_key"], "a.#");
    assert!(!broker.log().contains("secret"));
    assert_eq!(broker.end_by(Signal::TERM).code(), Some(0));
    // What is there stays, and is no hindrance.
    let broker = importing(&data, &file).start();
    assert_eq!(queues(&broker), ["/ q", "other q"]);
}

#[test]
fn what_was_imported_last_is_imported_again_unless_it_is_said_otherwise() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let (data, dir) = (scratch.path().join("data"), scratch.path().join("definitions"));
    fs::create_dir(&dir).expect("can be made");
    let write = |definitions: &Value| {
        fs::write(dir.join("d.json"), definitions.to_string()).expect("can be written");
    };
    write(&definitions());
    let local = format!("definitions.local.path={}", path(&dir));
    let setup = Setup::new()
        .managed()
        .in_dir(&data)
        .flag("--set", "definitions.import_backend=local_filesystem")
        .flag("--set", &local);
    let once = setup.clone().flag("--set", "definitions.skip_if_unchanged=true");
    let delete = |broker: &mut Broker| {
        let deleted = request(broker, "DELETE", "/api/queues/%2F/q", ADMIN, "");
        assert_eq!(deleted.status, 204, "{deleted:?}");
        assert_eq!(broker.end_by(Signal::TERM).code(), Some(0));
    };
    delete(&mut once.start());
    let mut broker = once.start();
    assert_eq!(queues(&broker), ["other q"], "nothing has changed");
    assert_eq!(broker.end_by(Signal::TERM).code(), Some(0));
    delete(&mut setup.start());
    let mut changed = definitions();
    changed["queues"].as_array_mut().expect("a list").remove(1);
    write(&changed);
    let broker = once.start();
    broker.wait_for_log("definitions imported");
    let globals = request(&broker, "GET", "/api/global-parameters", ADMIN, "").json();
    assert_eq!(globals.as_array().expect("a list").len(), 1, "{globals}");
}

#[test]
fn definitions_that_cannot_be_imported_end_the_start() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let (data, file) = (scratch.path().join("data"), scratch.path().join("d.json"));
    let told = |text: &str| {
        fs::write(&file, text).expect("can be written");
        let ended = importing(&data, &file).try_start().expect_err("it does not start");
        let Ended { status, stdout, stderr } = ended;
        assert_eq!((status.code(), stdout.as_str()), (Some(1), ""));
        let told = stderr.lines().last().expect("says why").to_owned();
        let (place, why) = told.split_once("d.json: ").expect("says where");
        assert!(place.starts_with("warren: cannot import definitions from "), "{place}");
        why.to_owned()
    };
    assert!(told("{").starts_with("it is not JSON: "));
    assert!(!data.exists(), "nothing was begun");
    assert_eq!(told(r#"{"users": 7}"#), "users is not a list of objects");
    let user = r#"{"users": [{"name": "a", "password_hash": "", "tags": ""}, {"name": "b"}]}"#;
    assert_eq!(told(user), "users[1] (b): [{key_missing,tags}]");
    let queue = r#"{"queues": [{"name": "q", "vhost": "nowhere", "durable": true}]}"#;
    assert!(told(queue).contains("vhost nowhere not found"));
    let check = scratch.path().join("warren.conf");
    let text = format!("load_definitions = {}\n", path(&scratch.path().join("none.json")));
    fs::write(&check, text).expect("can be written");
    let ended = run(&["config".as_ref(), "check".as_ref(), check.as_ref()]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("none.json: No such file"), "{ended:?}");
}
