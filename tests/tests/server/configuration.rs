//! What the broker is told by files, the environment and flags, and what it tells of itself.

use crate::management::{GUEST, request};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, run};
use warren_tests::client::{Address, Connection, start_ok};
use warren_tests::setup::Setup;
use warren_tests::wire::PROTOCOL_HEADER;

#[test]
fn flags_count_over_the_environment_and_that_over_files() {
    let (_scratch, file) = written("heartbeat = 11\nchannel_max = 12\nframe_max = 13000\n");
    let broker = Setup::new()
        .flag("--config", path(&file))
        .variable("WARREN_HEARTBEAT", "21")
        .variable("WARREN_CHANNEL_MAX", "22")
        .flag("--set", "heartbeat=31")
        .start();
    let tune = tuned(&broker.address(), "\0guest\0guest").expect("guest may log in");
    assert_eq!(tune["heartbeat"], 31);
    assert_eq!(tune["channel_max"], 22);
    assert_eq!(tune["frame_max"], 13_000);
}

#[test]
fn everything_that_is_wrong_is_told_and_nothing_is_started() {
    let (scratch, file) = written("hartbeat = 30\nframe_max = huge\nnonsense\n");
    let data = scratch.path().join("data");
    let ended = Setup::new().in_dir(&data).flag("--config", path(&file)).try_start();
    let Ended { status, stdout, stderr } = ended.expect_err("it does not start");
    assert_eq!(status.code(), Some(1));
    assert_eq!(stdout, "");
    let place = file.display();
    let expected = [
        format!("warren: {place}:3: `nonsense` is no setting: it has no `=`"),
        format!("warren: {place}:1: there is no key `hartbeat`; is it `heartbeat`?"),
        format!(
            "warren: {place}:2: frame_max: `huge` is no number of bytes, such as 131072 or 128KB"
        ),
    ];
    assert_eq!(stderr.lines().collect::<Vec<_>>(), expected);
    assert!(!data.exists());
}

#[test]
fn a_configuration_is_checked_without_a_broker_and_shown_without_secrets() {
    let (_scratch, file) = written("default_pass = hunter2\nheartbeat = 7\nmqtt.vhost = /\n");
    let check = |file: &Path| run(&["config".as_ref(), "check".as_ref(), file.as_ref()]);
    let ended = check(&file);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("heartbeat = 7"), "{ended:?}");
    assert!(ended.stdout.contains("default_pass = ********"), "{ended:?}");
    assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{ended:?}");
    assert!(ended.stderr.contains("mqtt.vhost"), "{ended:?}");
    fs::write(&file, "heartbeat = soon").expect("can be written");
    let ended = check(&file);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("warren.conf:1: heartbeat: `soon` is not"), "{ended:?}");
}

#[test]
fn the_first_user_comes_from_the_environment() {
    let broker = Setup::new()
        .variable("RABBITMQ_DEFAULT_USER", "bunny")
        .variable("RABBITMQ_DEFAULT_PASS", "hunter2")
        .start();
    tuned(&broker.address(), "\0bunny\0hunter2").expect("bunny may log in");
    tuned(&broker.address(), "\0guest\0guest").expect_err("there is no guest");
    assert!(!broker.log().contains("hunter2"));
}

#[test]
fn the_configuration_is_read_again_on_sighup() {
    let (_scratch, file) = written("log.console.level = warning\nheartbeat = 7\n");
    let broker = Setup::new().flag("--config", path(&file)).start();
    let opened = "connection opened";
    Connection::open(&broker.address()).expect("guest may connect");
    assert!(!broker.log().contains(opened));
    fs::write(&file, "log.console.level = info\nheartbeat = 8\n").expect("can be written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    assert!(broker.log().contains("keys=\"heartbeat\""), "{}", broker.log());
    Connection::open(&broker.address()).expect("guest may connect");
    broker.wait_for_log(opened);
    fs::write(&file, "log.console.level = loud\n").expect("can be written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration stays as it was");
    Connection::open(&broker.address()).expect("guest may connect still");
}

#[test]
fn what_is_in_force_is_told_with_where_it_is_from_and_without_secrets() {
    let (_scratch, file) = written("log.console.level = warning\nheartbeat = 7\n");
    let broker = Setup::new()
        .managed()
        .flag("--config", path(&file))
        .variable("WARREN_DEFAULT_PASS", "guest")
        .variable("WARREN_FRAME_MAX", "13000")
        .flag("--set", "channel_max=22")
        .flag("--set", "default_users.qa.password=hunter2")
        .start();
    let told = |query: &str| {
        let path = format!("/api/config/effective{query}");
        request(&broker, "GET", &path, GUEST, "")
    };
    let of = |key: &str| {
        let rows = told("").json();
        let mut rows = rows.as_array().expect("a list").iter();
        let row = rows.find(|row| row["key"] == key);
        row.map(|row| json!([row["value"], row["source"], row["at"]])).unwrap_or_default()
    };
    let place = |line: u64| format!("{}:{line}", file.display());
    assert_eq!(of("log.console.level"), json!(["warning", "file", place(1)]));
    assert_eq!(of("heartbeat"), json!(["7", "file", place(2)]));
    assert_eq!(of("frame_max"), json!(["13000", "environment", "WARREN_FRAME_MAX"]));
    assert_eq!(of("channel_max"), json!(["22", "flag", "--set"]));
    assert_eq!(of("vhost_max"), json!(["infinity", "default", null]));
    assert_eq!(of("default_pass")[0], "********");
    assert_eq!(of("default_users.qa.password")[0], "********");
    assert!(!told("").body.contains("hunter2"));
    let body = json!({ "vm_memory_high_watermark.absolute": "1GiB" }).to_string();
    assert_eq!(request(&broker, "PUT", "/api/node-limits", GUEST, &body).status, 204);
    assert_eq!(of("vm_memory_high_watermark.absolute"), json!(["1GiB", "request", null]));
    assert_eq!(of("vm_memory_high_watermark.relative"), Value::Null);
    fs::write(&file, "heartbeat = 8\n\nlog.console.level = info\n").expect("can be written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    assert_eq!(of("log.console.level"), json!(["info", "file", place(3)]));
    assert_eq!(of("heartbeat"), json!(["7", "file", place(2)]), "counts from the next start on");
    assert_eq!(of("vm_memory_high_watermark.absolute"), Value::Null);
    let page = told("?page=1&page_size=2&name=%5Essl_&use_regex=true&columns=key").json();
    assert_eq!(page["item_count"], 2);
    assert!(page["items"][0]["key"].as_str().is_some_and(|key| key.starts_with("ssl_")));
    let nodes = request(&broker, "GET", "/api/nodes", GUEST, "").json();
    assert_eq!(nodes[0]["config_files"], json!([file]));
}

#[test]
fn records_of_the_log_may_be_json() {
    let (_scratch, file) = written("log.console.formatter = json\n");
    let broker = Setup::new().flag("--config", path(&file)).start();
    Connection::open(&broker.address()).expect("guest may connect");
    broker.wait_for_log("connection opened");
    let log = broker.log();
    let records: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let opened = records.iter().find(|record| record["message"] == "connection opened");
    let opened = opened.expect("is in the log");
    assert_eq!(opened["level"], "INFO");
    assert_eq!(opened["user"], "guest");
    assert!(opened["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
}

#[test]
fn systemd_is_told_when_clients_can_connect_and_when_they_must_leave() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let place = scratch.path().join("notify");
    let systemd = UnixDatagram::bind(&place).expect("can be bound");
    systemd.set_read_timeout(Some(Duration::from_secs(5))).expect("can be set");
    let next = |wanted: &str| {
        let mut text = vec![0; 4096];
        loop {
            let len = systemd.recv(&mut text).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            if String::from_utf8_lossy(&text[..len]).lines().any(|line| line.starts_with(wanted)) {
                break;
            }
        }
    };
    let mut broker = Setup::new()
        .variable("NOTIFY_SOCKET", path(&place))
        .variable("WATCHDOG_USEC", "200000")
        .start();
    next("READY=1");
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    broker.signal(Signal::HUP);
    next("MONOTONIC_USEC=");
    next("READY=1");
    assert_eq!(broker.end_by(Signal::TERM).code(), Some(0));
    next("STOPPING=1");
}

#[test]
fn a_port_alone_is_one_of_all_addresses() {
    let broker = Broker::start_on(&["0"]);
    let port = broker.address().socket.rsplit_once(':').expect("has a port").1.to_owned();
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("{host}:{port}");
        if host == "[::1]" && TcpStream::connect(&address).is_err() {
            eprintln!("SKIPPED: there is no IPv6 here");
            continue;
        }
        Connection::open(&address.parse().expect("an address")).expect("guest may connect");
    }
    // Whatever the socket is of, a client is known by the address that it has.
    broker.wait_for_log(&format!(" -> 127.0.0.1:{port}"));
}

#[test]
fn as_many_clients_are_let_in_as_there_may_be() {
    let broker = Setup::new().flag("--set", "max_connections=1").start();
    let mut first = Connection::open(&broker.address()).expect("guest may connect");
    let refused = Connection::open(&broker.address()).expect_err("one is enough");
    let text = "NOT_ALLOWED - connection refused: node connection limit (1) is reached";
    assert!(refused.contains("530") && refused.contains(text), "{refused}");
    first.send(0, "Connection.Close", &json!({}));
    first.expect("Connection.CloseOk").expect("closes");
    Connection::open(&broker.address()).expect("there is room again");
}

/// A directory that goes when it is dropped, and a configuration file there.
fn written(text: &str) -> (TempDir, PathBuf) {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let file = scratch.path().join("warren.conf");
    fs::write(&file, text).expect("can be written");
    (scratch, file)
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("is UTF-8")
}

/// What the broker offers to who logs in like this.
pub(crate) fn tuned(address: &Address, response: &str) -> Result<Value, String> {
    let mut client = Connection::plain(address)?;
    client.send_bytes(&PROTOCOL_HEADER);
    client.expect("Connection.Start")?;
    client.send(0, "Connection.StartOk", &start_ok(response));
    client.expect("Connection.Tune").map(|tune| json!(tune))
}
