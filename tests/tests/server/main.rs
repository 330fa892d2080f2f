//! The process as people and their scripts see it: how it starts, how it stops, what bad clients
//! and many idle ones cost.

mod bench;
mod browser;
mod certificates;
mod churn;
mod configuration;
mod ctl;
mod definitions;
mod health;
mod limits;
mod logs;
mod management;
mod metrics;
mod packaging;
mod page;
mod page_api;
mod proxy;
mod tls;
mod tunnel;
mod vhost_defaults;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, profile, raise_file_limit, run_until_it_fails};
use warren_tests::client::{Address, Connection, start_ok};
use warren_tests::setup::Setup;
use warren_tests::wire::{self, Frame, PROTOCOL_HEADER};

/// How long a client may take to say who it is, and how much later a busy machine may notice.
const HANDSHAKE: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(4);

/// How many clients misbehave in the same way at once, and how many times each.
const AT_ONCE: usize = 8;
const TIMES: usize = 3;

#[test]
fn one_line_says_which_version_listens_where_and_keeps_its_data_where() {
    let broker = Broker::start();
    let expected = format!(
        "warren {} listening on amqp://{}, data in {}",
        env!("CARGO_PKG_VERSION"),
        broker.address(),
        broker.data_dir().display()
    );
    assert_eq!(broker.startup_line(), expected);
    assert!(broker.address().socket.starts_with("127.0.0.1:"));
    assert!(!broker.address().socket.ends_with(":0"));
    assert!(broker.data_dir().is_dir());
    Connection::open(&broker.address()).expect("it listens where it says");
    assert_eq!(broker.later_lines(), [""; 0]);
}

#[test]
fn it_listens_on_every_address_that_is_given() {
    let broker = Broker::start_on(&["127.0.0.1:0", "127.0.0.1:0"]);
    let [first, second] = broker.addresses() else { panic!("{}", broker.startup_line()) };
    assert_ne!(first, second);
    assert!(broker.startup_line().contains(&format!("amqp://{first} and amqp://{second}, data")));
    let mut one = Connection::open(first).expect("it listens on the first");
    let mut other = Connection::open(second).expect("it listens on the second");
    one.open_channel(1).expect("a channel opens");
    other.open_channel(1).expect("a channel opens");
    one.send(1, "Queue.Declare", &json!({"queue": "shared"}));
    one.expect("Queue.DeclareOk").expect("is declared");
    other.send(1, "Queue.Declare", &json!({"queue": "shared", "passive": true}));
    other.expect("Queue.DeclareOk").expect("both are one broker");
}

#[test]
fn a_dead_letter_that_goes_nowhere_is_in_the_log_and_so_is_one_that_waits() {
    let broker = Broker::start();
    let mut client = Connection::open(&broker.address()).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    let losing = json!({"x-dead-letter-exchange": "gone", "x-message-ttl": 0});
    let mut keeping = losing.clone();
    keeping["x-dead-letter-strategy"] = json!("at-least-once");
    keeping["x-overflow"] = json!("reject-publish");
    for (queue, arguments) in [("losing", losing), ("keeping", keeping)] {
        let declare = json!({"queue": queue, "durable": true, "arguments": arguments});
        client.send(1, "Queue.Declare", &declare);
        client.expect("Queue.DeclareOk").expect("is declared");
        let (publish, persistent) = (json!({"routing_key": queue}), json!({"delivery_mode": 2}));
        client.send_bytes(&wire::publish(1, &publish, &persistent, b"a letter"));
    }
    let (lost, kept) = ("dead letters went nowhere", "dead letters wait until they can go");
    let end = Instant::now() + LATE;
    while !(broker.log().contains(lost) && broker.log().contains(kept)) && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    let log = broker.log();
    let line =
        |text| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{log}"));
    let reason = "its dead-letter exchange is missing";
    assert!(line(lost).contains("losing") && line(lost).contains(reason), "{log}");
    assert!(line(kept).contains("keeping") && line(kept).contains(reason), "{log}");
}

#[test]
fn a_busy_port_is_one_sentence_and_exit_status_1() {
    let broker = Broker::start();
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let address = broker.address().socket;
    let ended = run_until_it_fails(&scratch.path().join("data"), &[&address]);
    assert_one_sentence(&ended, &address);
    Connection::open(&broker.address()).expect("the broker that was there is not disturbed");
}

#[test]
fn a_data_directory_that_is_none_is_one_sentence_and_exit_status_1() {
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let file = scratch.path().join("data");
    fs::write(&file, "a file where the directory should be").expect("can be written");
    let ended = run_until_it_fails(&file, &["127.0.0.1:0"]);
    assert_one_sentence(&ended, file.to_str().expect("the path is UTF-8"));
}

#[test]
fn a_data_directory_in_use_is_one_sentence_and_exit_status_1() {
    let broker = Broker::start();
    let ended = run_until_it_fails(&broker.data_dir(), &["127.0.0.1:0"]);
    let pid = fs::read_to_string(broker.data_dir().join("lock")).expect("the lock is a file");
    assert_one_sentence(&ended, &format!("in use by process {} ", pid.trim_end()));
    Connection::open(&broker.address()).expect("the broker that was there is not disturbed");
}

#[test]
fn nobody_else_can_look_into_the_data_directory() {
    let broker = Broker::start();
    let metadata = fs::metadata(broker.data_dir()).expect("is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
}

#[test]
fn sigterm_closes_connections_with_320_and_exits_0() {
    ends_politely_by(Signal::TERM);
}

#[test]
fn ctrl_c_closes_connections_with_320_and_exits_0() {
    ends_politely_by(Signal::INT);
}

#[test]
fn a_broker_whose_data_somebody_has_deleted_does_not_wait_for_them() {
    for is_durable_wanted in [false, true] {
        let parent = TempDir::new().expect("a temporary directory");
        let data = parent.path().join("data");
        let mut broker = Setup::new().in_dir(&data).start();
        let mut client = Connection::open(&broker.address()).expect("guest may connect");
        client.open_channel(1).expect("a channel opens");
        client.send(1, "Queue.Declare", &json!({ "queue": "a", "durable": true }));
        client.expect("Queue.DeclareOk").expect("is declared");
        fs::remove_dir_all(&data).expect("is there");
        let began = Instant::now();
        if is_durable_wanted {
            // What is promised must be found again.
            client.send(1, "Queue.Declare", &json!({ "queue": "b", "durable": true }));
            client.expect("Queue.DeclareOk").expect_err("is promised by nobody");
        } else {
            broker.signal(Signal::TERM);
        }
        let status = broker.wait_for_end();
        assert_eq!(status.code(), Some(74), "{}", broker.log());
        assert!(broker.log().contains("somebody has deleted it"), "{}", broker.log());
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}

#[test]
fn clients_that_misbehave_are_told_so_and_disturb_nobody_else() {
    let broker = Broker::start();
    let address = &broker.address();
    let witness = Connection::open(address).expect("a good client may connect");
    let before = broker.resident_kb();
    let all_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let witness = scope.spawn(|| witness_until(&all_done, witness));
        let kinds = [silent, stuck_in_handshake, garbage, half_frame, oversize, unsent];
        let players: Vec<_> = kinds
            .repeat(AT_ONCE)
            .into_iter()
            .map(|misbehave| scope.spawn(move || (0..TIMES).for_each(|_| misbehave(address))))
            .chain([scope.spawn(|| waits_for_the_end(address))])
            .collect();
        let results: Vec<_> = players.into_iter().map(|player| player.join()).collect();
        all_done.store(true, Ordering::Relaxed);
        witness.join().expect("the good client was served all the while");
        assert!(results.iter().all(Result::is_ok), "a bad client was not answered as it should be");
    });
    let grown = broker.resident_kb().saturating_sub(before);
    assert!(grown < 20_000, "bad clients have cost {grown} kB");
}

#[test]
fn heartbeats_go_both_ways_and_a_client_that_sends_none_is_dropped() {
    let broker = Broker::start();
    let mut connection = tuned(&broker.address(), 1);
    let start = Instant::now();
    let mut heartbeats = 0;
    while !connection.has_ended() && start.elapsed() < Duration::from_secs(10) {
        connection.read_more(Duration::from_secs(1));
        heartbeats = connection.unread().windows(8).filter(|w| **w == wire::raw(8, 0, b"")).count();
    }
    let silent_for = start.elapsed();
    let told = format!("{heartbeats} heartbeats in {silent_for:?}");
    assert!(connection.has_ended(), "still connected: {told}");
    assert!(silent_for > Duration::from_secs(1), "dropped already: {told}");
    assert!(silent_for < Duration::from_secs(5), "dropped late: {told}");
    assert!(heartbeats >= 1, "{told}");
}

#[test]
fn an_idle_connection_costs_less_than_20_kb() {
    const CONNECTIONS: u64 = 1000;
    raise_file_limit();
    let broker = Broker::start();
    // What the first client costs is not repeated by the others.
    drop(idle(&broker));
    let before = broker.resident_kb();
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| idle(&broker)).collect();
    let grown = broker.resident_kb() - before;
    println!(
        "{CONNECTIONS} idle connections of one channel: {} bytes each ({} build)",
        grown * 1024 / CONNECTIONS,
        profile()
    );
    assert!(grown < 20 * CONNECTIONS, "{grown} kB for {CONNECTIONS} connections");
    drop(connections);
}

fn assert_one_sentence(ended: &Ended, naming: &str) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains(naming), "{ended:?}");
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

fn ends_politely_by(signal: Signal) {
    let mut broker = Broker::start();
    let clients: Vec<_> = (0..3)
        .map(|_| Connection::open(&broker.address()).expect("guest may connect"))
        .map(|mut client| thread::spawn(move || said_goodbye(&mut client)))
        .collect();
    // A client that does not answer must not hold the broker up for long.
    let _deaf = Connection::open(&broker.address()).expect("guest may connect");
    let status = broker.end_by(signal);
    assert_eq!(status.code(), Some(0), "{}", broker.log());
    for client in clients {
        client.join().expect("each client is told");
    }
}

fn said_goodbye(client: &mut Connection) {
    let close = client.expect("Connection.Close").expect("the broker says that it goes");
    assert_eq!(close["reply_code"], 320);
    let text = close["reply_text"].as_str().expect("is a text");
    assert!(text.starts_with("CONNECTION_FORCED - "), "{text}");
    client.send(0, "Connection.CloseOk", &Value::Null);
    client.read_to_end(Duration::from_secs(5)).expect("then the connection ends");
}

/// Sends itself messages, and fails if one does not come back soon.
fn witness_until(all_done: &AtomicBool, mut witness: Connection) {
    witness.open_channel(1).expect("a channel opens");
    witness.send(1, "Queue.Declare", &json!({"queue": "witness", "exclusive": true}));
    witness.expect("Queue.DeclareOk").expect("is declared");
    witness.send(1, "Basic.Consume", &json!({"queue": "witness", "no_ack": true}));
    witness.expect("Basic.ConsumeOk").expect("consumes");
    while !all_done.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let to_itself = json!({"routing_key": "witness"});
        witness.send_bytes(&wire::publish(1, &to_itself, &Value::Null, b"still here?"));
        witness.expect("Basic.Deliver").expect("a message comes back");
        let took = sent.elapsed();
        assert!(took < Duration::from_secs(2), "a message took {took:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Connects and leaves.
fn silent(address: &Address) {
    Connection::plain(address).expect("anyone may connect").shut();
}

/// Leaves in the middle of the handshake.
fn stuck_in_handshake(address: &Address) {
    let mut connection = Connection::plain(address).expect("anyone may connect");
    connection.send_bytes(&PROTOCOL_HEADER);
    connection.expect("Connection.Start").expect("the broker begins");
    connection.send_bytes(&wire::method(0, "Connection.StartOk", &start_ok("\0guest"))[..20]);
    connection.shut();
}

/// Sends bytes that were never AMQP, before and after the handshake.
fn garbage(address: &Address) {
    let noise: Vec<u8> =
        (0..10_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut connection = Connection::plain(address).expect("anyone may connect");
    connection.send_bytes(&noise);
    connection.read_to_end(LATE).expect("garbage is no handshake");
    let mut connection = Connection::open(address).expect("guest may connect");
    connection.send_bytes(&noise);
    assert_eq!(close_code(&mut connection), 501);
}

/// Stops in the middle of a frame for a while, and then goes.
fn half_frame(address: &Address) {
    let mut connection = Connection::open(address).expect("guest may connect");
    let open = wire::method(1, "Channel.Open", &Value::Null);
    connection.send_bytes(&open[..open.len() / 2]);
    thread::sleep(Duration::from_millis(50));
    assert!(connection.arrivals(Duration::ZERO).is_empty());
    connection.shut();
}

/// Announces a frame of 4 GiB.
fn oversize(address: &Address) {
    let mut connection = Connection::open(address).expect("guest may connect");
    connection.send_bytes(&[3, 0, 1, 0xff, 0xff, 0xff, 0xf0]);
    assert_eq!(close_code(&mut connection), 501);
}

/// Announces a body of half a GiB on each of ten channels, and sends none of it.
fn unsent(address: &Address) {
    let mut connection = Connection::open(address).expect("guest may connect");
    for channel in 1..=10 {
        connection.open_channel(channel).expect("a channel opens");
        connection.send(channel, "Basic.Publish", &json!({"routing_key": "witness"}));
        connection.send_bytes(&wire::header(channel, 60, 0, 512 << 20, &[0, 0]));
        connection.send_bytes(&wire::body(channel, b"a little"));
    }
    thread::sleep(Duration::from_millis(50));
    connection.shut();
}

/// Says nothing, or not enough, until the broker has had enough.
fn waits_for_the_end(address: &Address) {
    let start = Instant::now();
    let mut speechless = Connection::plain(address).expect("anyone may connect");
    let mut undecided = Connection::plain(address).expect("anyone may connect");
    undecided.send_bytes(&PROTOCOL_HEADER);
    for connection in [&mut speechless, &mut undecided] {
        connection.read_to_end(HANDSHAKE + LATE).expect("the broker does not wait for ever");
        let waited = start.elapsed();
        assert!(waited > HANDSHAKE - LATE, "only {waited:?}");
    }
}

fn close_code(connection: &mut Connection) -> u64 {
    let close = connection.expect("Connection.Close").expect("the broker says what is wrong");
    connection.send(0, "Connection.CloseOk", &Value::Null);
    let more = connection.read_to_end(HANDSHAKE).expect("then the connection ends");
    assert!(!more.iter().any(|frame| matches!(frame, Frame::Method { .. })), "{more:?}");
    close["reply_code"].as_u64().expect("is a number")
}

/// Through the handshake with this interval of heartbeats, in seconds.
fn tuned(address: &Address, heartbeat: u16) -> Connection {
    let mut connection = Connection::plain(address).expect("anyone may connect");
    connection.send_bytes(&PROTOCOL_HEADER);
    connection.expect("Connection.Start").expect("the broker begins");
    connection.send(0, "Connection.StartOk", &start_ok("\0guest\0guest"));
    connection.expect("Connection.Tune").expect("guest is let in");
    let tune = json!({"channel_max": 2047, "frame_max": 131_072, "heartbeat": heartbeat});
    connection.send(0, "Connection.TuneOk", &tune);
    connection.send(0, "Connection.Open", &json!({"virtual_host": "/"}));
    connection.expect("Connection.OpenOk").expect("the virtual host opens");
    connection
}

fn idle(broker: &Broker) -> Connection {
    let mut connection = Connection::open(&broker.address()).expect("guest may connect");
    connection.open_channel(1).expect("a channel opens");
    connection
}
