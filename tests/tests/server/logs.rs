//! Where logs go: the file, its old ones, and the last records over the management API.

use crate::management::{GUEST, request};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, run};
use warren_tests::client::Connection;
use warren_tests::setup::Setup;

/// How long a record may take to its file.
const PATIENCE: Duration = Duration::from_secs(10);

fn logging_to(dir: &Path, more: &str) -> Broker {
    let file = dir.join("warren.conf");
    let text = format!("log.dir = {}\nlog.file = rabbit.log\n{more}", dir.join("log").display());
    fs::write(&file, text).expect("can be written");
    Setup::new().managed().flag("--config", file.to_str().expect("is UTF-8")).start()
}

/// What is in a file, once that has this text in it.
fn wait_for(path: &Path, text: &str) -> String {
    let begin = Instant::now();
    loop {
        let found = fs::read_to_string(path).unwrap_or_default();
        if found.contains(text) {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "no {text:?} in {}: {found}", path.display());
        sleep(Duration::from_millis(10));
    }
}

fn connect(broker: &Broker) {
    Connection::open(&broker.address()).expect("guest may connect");
}

fn ctl(broker: &Broker, arguments: &[&str]) -> Ended {
    let data_dir = broker.data_dir();
    let begin = ["ctl".as_ref(), "--data-dir".as_ref(), data_dir.as_os_str(), "-q".as_ref()];
    let arguments = arguments.iter().map(std::convert::AsRef::as_ref);
    run(&begin.into_iter().chain(arguments).collect::<Vec<_>>())
}

#[test]
fn the_file_has_what_is_logged_and_is_opened_anew_when_it_was_moved_away() {
    let scratch = TempDir::new().expect("a temporary directory");
    let broker = logging_to(scratch.path(), "log.console.level = error\n");
    let (file, moved) = (scratch.path().join("log/rabbit.log"), scratch.path().join("moved"));
    connect(&broker);
    let text = wait_for(&file, "connection opened");
    assert!(text.contains("user=\"guest\""), "{text}");
    assert!(!text.contains('\u{1b}'), "no colors: {text}");
    assert!(!broker.log().contains("connection opened"), "its level is its own");
    fs::rename(&file, &moved).expect("can be moved");
    connect(&broker);
    broker.signal(Signal::HUP);
    let text = wait_for(&file, "the configuration was read again");
    assert!(!text.contains("connection opened"), "that stands in the other: {text}");
    assert_eq!(wait_for(&moved, "connection opened").matches("connection opened").count(), 2);
    let rotated = ctl(&broker, &["rotate_logs"]);
    assert_eq!(rotated.status.code(), Some(0), "{rotated:?}");
    wait_for(&scratch.path().join("log/rabbit.log.0"), "the configuration was read again");
    wait_for(&file, "POST /api/logs/rotate");
    let told = ctl(&broker, &["log_location"]);
    assert_eq!(told.stdout.trim(), file.to_str().expect("is UTF-8"));
    let node = request(&broker, "GET", "/api/nodes/warren@localhost", GUEST, "").json();
    assert_eq!(node["log_files"][0], file.to_str().expect("is UTF-8"));
}

#[test]
fn the_file_may_be_json_and_be_moved_away_by_its_length() {
    let scratch = TempDir::new().expect("a temporary directory");
    let broker = logging_to(
        scratch.path(),
        "log.file.formatter = json\nlog.file.rotation.size = 2000\nlog.file.rotation.count = 2\n\
         log.console = false\n",
    );
    let file = |name: &str| scratch.path().join("log").join(name);
    let begin = Instant::now();
    while !file("rabbit.log.1").exists() {
        assert!(begin.elapsed() < PATIENCE);
        connect(&broker);
    }
    let text = fs::read_to_string(file("rabbit.log.1")).expect("is there");
    assert!((1000..=2000).contains(&text.len()), "{}", text.len());
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("is JSON");
        assert!(record["message"].is_string(), "{line}");
    }
    assert!(!file("rabbit.log.2").exists());
    assert_eq!(broker.log(), "");
}

#[test]
fn the_end_of_the_broker_is_in_the_file() {
    let scratch = TempDir::new().expect("a temporary directory");
    let mut broker = logging_to(scratch.path(), "");
    assert!(broker.end_by(Signal::TERM).success());
    let text = fs::read_to_string(scratch.path().join("log/rabbit.log")).expect("is there");
    assert!(text.contains(" stopped"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_to_is_one_clear_sentence() {
    let scratch = TempDir::new().expect("a temporary directory");
    let file = scratch.path().join("file");
    fs::write(&file, "").expect("can be written");
    let setting = format!("log.file={}", file.join("below").display());
    let ended = Setup::new().flag("--set", &setting).try_start().expect_err("it does not start");
    assert_eq!(ended.status.code(), Some(1));
    let begin = format!("warren: cannot write logs to {}/below: ", file.display());
    assert!(ended.stderr.starts_with(&begin), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
fn the_last_records_are_told_over_the_api_and_the_command_line() {
    let broker = Setup::new().managed().start();
    let get = |query: &str| {
        let response = request(&broker, "GET", &format!("/api/logs{query}"), GUEST, "");
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    };
    let begin = get("?limit=0")["last_id"].as_u64().expect("is a number");
    connect(&broker);
    broker.wait_for_log("connection closed");
    let found = get(&format!("?since={begin}"));
    let records = found["records"].as_array().expect("is a list");
    let opened = records.iter().find(|record| record["message"] == "connection opened");
    let opened = opened.unwrap_or_else(|| panic!("{found}"));
    assert_eq!((&opened["level"], &opened["fields"]["user"]), (&"info".into(), &"guest".into()));
    assert!(opened["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{opened}");
    let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_u64()).collect();
    assert!(ids.iter().zip(begin + 1..).all(|(id, expected)| *id == expected), "{ids:?}");
    assert_eq!(found["last_id"].as_u64(), ids.last().copied());
    // One at a time it is the same.
    let first = get(&format!("?since={begin}&limit=1"));
    assert_eq!(first["last_id"].as_u64(), Some(begin + 1));
    assert_eq!(first["records"], Value::from(&records[..1]));
    assert_eq!(get("?limit=1")["records"][0], records[records.len() - 1]);
    assert_eq!(get(&format!("?since={begin}&level=error"))["records"], Value::Array(Vec::new()));
    for query in ["?since=x", "?limit=-1", "?level=loud"] {
        let path = format!("/api/logs{query}");
        assert_eq!(request(&broker, "GET", &path, GUEST, "").status, 400, "{query}");
    }
    let tail = ctl(&broker, &["log_tail", "-N", "1000"]).stdout;
    assert!(tail.contains("connection opened") && tail.contains("user=\"guest\""), "{tail}");
    let location = ctl(&broker, &["log_location"]).stdout;
    assert_eq!(location.trim(), "<stderr>");
}

#[test]
fn what_is_logged_can_be_changed_until_the_configuration_is_read_again() {
    let broker = Setup::new().managed().start();
    assert_eq!(ctl(&broker, &["set_log_level", "error"]).status.code(), Some(0));
    let before = broker.log();
    connect(&broker);
    assert_eq!(ctl(&broker, &["set_log_level", "loud"]).status.code(), Some(69));
    assert_eq!(broker.log(), before);
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    connect(&broker);
    broker.wait_for_log("connection opened");
}
