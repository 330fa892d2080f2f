//! A small disk that fills up: publishers wait, everyone else goes on, and nothing that was
//! confirmed is lost.
//!
//! The disk is a tmpfs in a mount namespace of its own, which goes with the test however it ends.

use crate::brokers;
use crate::fill::{self, Publisher};
use rustix::process::{Signal, geteuid};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use warren_tests::broker::Broker;
use warren_tests::session::{Event, Session};
use warren_tests::setup::Setup;

const DISK_SIZE: &str = "48m";
const BODY_LEN: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// A publisher without a confirm for so long is held up.
const HELD_UP: Duration = Duration::from_secs(3);

#[test]
fn with_little_space_left_publishers_wait_until_there_is_more() {
    const TEST: &str = "with_little_space_left_publishers_wait_until_there_is_more";
    fill_take_and_make_room(TEST, "16MiB");
}

/// No minimum to speak of: there is not even room for the next segment.
#[test]
fn without_any_space_left_publishers_alone_wait_until_there_is_some() {
    const TEST: &str = "without_any_space_left_publishers_alone_wait_until_there_is_some";
    fill_take_and_make_room(TEST, "1B");
}

fn fill_take_and_make_room(test: &str, free_min: &str) {
    let Some(disk) = SmallDisk::new(test) else { return };
    let broker = disk.setup(free_min).start();
    let address = broker.address();
    let mut watcher = Session::open(&address).expect("guest may connect");
    fill::one_by_one(&address, "other", 0..50, 1000);
    fill::one_by_one(&address, "spare", 0..5, 1000);
    // Not much is left now.
    disk.occupy(24 << 20);
    let mut publisher = Publisher::new(&address, "backlog", fill::persistent(), 8);
    fill_up(&mut publisher);
    // Who publishes is told, as by RabbitMQ; who does not is not concerned.
    watcher.publish(&json!({"routing_key": "nowhere"}), &json!({}), b"");
    assert_told(&mut watcher, "Connection.Blocked");

    // On the publisher's own connection, with fewer at once than there are: only acks bring more.
    publisher.session.open_channel(2).expect("channels open");
    publisher.session.consume_on(2, "other", 5).expect("consumers come");
    for n in 0..25 {
        let message = publisher.next_message(PATIENCE).unwrap_or_else(|why| panic!("{n}: {why}"));
        fill::number(&message).expect("is whole");
        publisher.session.ack(&message, false);
    }
    // On others.
    let mut session = Session::open(&address).expect("guest may connect");
    session.consume("backlog", 10).expect("consumers come");
    take(&mut session, 30);
    let spare = json!({"queue": "spare"});
    session.call("Queue.Delete", &spare, "Queue.DeleteOk").expect("queues can be deleted");
    session.close().expect("takes leave");

    disk.make_room();
    assert_told(&mut watcher, "Connection.Unblocked");
    for _ in 0..100 {
        assert!(publisher.publish(BODY_LEN, PATIENCE), "publishing goes on");
    }
    publisher.finish();
}

#[test]
fn what_was_confirmed_outlives_a_kill_on_a_full_disk_and_draining_it_makes_room() {
    const TEST: &str = "what_was_confirmed_outlives_a_kill_on_a_full_disk";
    fill_kill_and_drain(TEST, "12MiB");
}

/// No minimum to speak of: writes fail, instead of being held back in time.
#[test]
fn a_disk_without_any_space_left_is_no_different() {
    const TEST: &str = "a_disk_without_any_space_left_is_no_different";
    fill_kill_and_drain(TEST, "1B");
}

fn fill_kill_and_drain(test: &str, free_min: &str) {
    let Some(disk) = SmallDisk::new(test) else { return };
    let setup = disk.setup(free_min);
    let mut broker = setup.start();
    let mut publisher = Publisher::new(&broker.address(), "backlog", fill::persistent(), 8);
    fill_up(&mut publisher);
    let (published, unconfirmed) = (publisher.published(), publisher.unconfirmed());
    broker.end_by(Signal::KILL);

    let broker = setup.start();
    let address = broker.address();
    let came = fill::drained(&address, "backlog");
    assert!(came.is_sorted(), "in order: {came:?}");
    let lost: Vec<_> = (0..published)
        .filter(|n| !unconfirmed.contains(n) && came.binary_search(n).is_err())
        .collect();
    assert!(lost.is_empty(), "of {published}, with {unconfirmed:?} not confirmed: {lost:?} lost");

    // Everything is acked, so there is room again for as much.
    resume(&broker, published);
}

/// Publishes as much again, taking it off at the same time.
fn resume(broker: &Broker, count: u64) {
    let address = broker.address();
    let mut session = Session::open(&address).expect("guest may connect");
    let consumer = thread::spawn(move || {
        session.declare("more").expect("is declared");
        session.consume("more", 50).expect("consumers come");
        take(&mut session, count);
    });
    let mut publisher = Publisher::new(&address, "more", fill::persistent(), 8);
    let start = Instant::now();
    while publisher.published() < count {
        // A while it may be held up: what was acked is cleared away at its own pace.
        publisher.publish(BODY_LEN, Duration::from_millis(500));
        let published = publisher.published();
        assert!(start.elapsed() < 2 * PATIENCE, "stuck at {published}: {}", broker.log());
    }
    publisher.finish();
    consumer.join().expect("the consumer gets all");
}

/// Publishes until the publisher is held up.
fn fill_up(publisher: &mut Publisher) {
    let start = Instant::now();
    while publisher.publish(BODY_LEN, HELD_UP) {
        assert!(publisher.published() < 10_000, "the disk does not get full");
        assert!(start.elapsed() < 2 * PATIENCE, "the disk does not get full in time");
    }
    assert!(publisher.published() > 50, "held up after {} already", publisher.published());
}

/// Takes so many messages and acks each.
fn take(session: &mut Session, count: u64) {
    for n in 0..count {
        let message = session.next_message(PATIENCE).unwrap_or_else(|why| panic!("{n}: {why}"));
        fill::number(&message).expect("is whole");
        session.ack(&message, false);
    }
}

#[track_caller]
fn assert_told(session: &mut Session, what: &str) {
    match session.next(PATIENCE) {
        Some(Event::Method { channel: 0, name, arguments }) if name == what => {
            assert!(what != "Connection.Blocked" || arguments["reason"] == "low on disk");
        }
        other => panic!("not told {what}, but {other:?}"),
    }
}

/// A small disk, which is seen only by a process that holds it, and by those that join it.
struct SmallDisk {
    holder: Child,
    is_root: bool,
    scratch: TempDir,
}

impl SmallDisk {
    /// `None` where none can be had, which is said.
    fn new(test: &str) -> Option<Self> {
        if brokers::is_for_warren_only(test) {
            return None;
        }
        let scratch = TempDir::new().expect("a temporary directory can be made");
        let is_root = geteuid().is_root();
        let unshare: &[&str] = if is_root { &["-m"] } else { &["-r", "-m"] };
        // It ends with its standard input, which ends with this process.
        let mount =
            format!("mount -t tmpfs -o size={DISK_SIZE} none \"$0\" && echo mounted && exec cat");
        let holder = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", &mount])
            .arg(scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut holder = match holder {
            Ok(holder) => holder,
            Err(error) => {
                brokers::skipped(test, &format!("unshare: {error}"));
                return None;
            }
        };
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("is piped");
        BufReader::new(stdout).read_line(&mut line).expect("can be read");
        if line.trim_end() != "mounted" {
            let output = holder.wait_with_output().expect("has ended");
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            brokers::skipped(test, &format!("no disk can be mounted here: {why}"));
            return None;
        }
        Some(SmallDisk { holder, is_root, scratch })
    }

    /// A broker with its data on it. It may be started again on the same data.
    fn setup(&self, free_min: &str) -> Setup {
        let holder = self.holder.id().to_string();
        let mut nsenter = vec!["nsenter", "-t", &holder, "-m"];
        if !self.is_root {
            nsenter.extend(["-U", "--preserve-credentials"]);
        }
        brokers::on(&self.scratch.path().join("data"))
            .flag("--segment-size", "2MiB")
            .flag("--disk-free-min", free_min)
            .under(&nsenter)
    }

    /// Uses up so many bytes.
    fn occupy(&self, len: usize) {
        fs::write(self.ballast(), vec![1; len]).expect("there is room");
    }

    /// Undoes [`Self::occupy`].
    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("is there");
    }

    /// As seen from here.
    fn ballast(&self) -> PathBuf {
        let inside = self.scratch.path().join("ballast");
        let relative = inside.strip_prefix("/").expect("is absolute").to_owned();
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(relative)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
