//! A data directory that another broker uses, that is damaged, or whose last write was cut off.
//!
//! What is damaged is refused with the file and about where in it, at the start, or, where a start
//! reads no messages, when the message is read: the broker ends then, and the message is not
//! delivered.

use crate::brokers;
use crate::directory;
use crate::fill;
use regex_lite::Regex;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use warren_tests::broker::run_until_it_fails;
use warren_tests::client::Address;
use warren_tests::session::Session;
use warren_tests::setup::Setup;

/// How many messages there are, each in a batch of its own, over several segments.
pub(crate) const COUNT: u64 = 300;

pub(crate) const BODY_LEN: usize = 1000;

/// Damage may be told as the place of what it is in: a record with all that goes with it.
const PLACE_SLACK: u64 = 4096;

/// A directory with a queue of [`COUNT`] messages in small segments, of a broker that is gone.
pub(crate) struct Left {
    scratch: TempDir,
}

impl Left {
    /// What a broker leaves that is told to stop.
    pub(crate) fn by_a_clean_stop() -> Self {
        Left::by(Signal::TERM)
    }

    /// What a broker leaves that is killed.
    pub(crate) fn by_a_kill() -> Self {
        Left::by(Signal::KILL)
    }

    fn by(signal: Signal) -> Self {
        let left = Left { scratch: TempDir::new().expect("a temporary directory can be made") };
        let mut broker = left.setup().start();
        fill::one_by_one(&broker.address(), "q", 0..COUNT, BODY_LEN);
        broker.end_by(signal);
        left
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// A broker on it.
    pub(crate) fn setup(&self) -> Setup {
        brokers::on(&self.dir()).flag("--segment-size", "64KiB")
    }

    /// Starts a broker on it and returns the numbers of the messages that it delivers.
    pub(crate) fn messages(&self) -> Vec<u64> {
        let broker = self.setup().start();
        fill::drained(&broker.address(), "q")
    }
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused_and_told_of_the_first() {
    if brokers::is_for_warren_only("a second broker on the same directory") {
        return;
    }
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let mut first = brokers::on(scratch.path()).start();
    fill::one_by_one(&first.address(), "q", 0..3, 100);
    let second = run_until_it_fails(scratch.path(), &["127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(second.stdout, "", "{second:?}");
    assert_eq!(second.stderr.trim_end().lines().count(), 1, "one sentence: {second:?}");
    let (dir, pid) = (scratch.path().display().to_string(), first.pid().to_string());
    let names_both = second.stderr.contains(&dir) && has_word(&second.stderr, &pid);
    assert!(names_both, "the directory {dir} and the process {pid}: {second:?}");
    // The first has not noticed; and a broker that was killed does not bar the next one.
    assert_eq!(fill::drained(&first.address(), "q"), [0, 1, 2]);
    first.end_by(Signal::KILL);
    brokers::on(scratch.path()).start();
}

#[test]
fn a_damaged_message_is_never_delivered() {
    if brokers::is_for_warren_only("a damaged message is never delivered") {
        return;
    }
    for left in [Left::by_a_clean_stop(), Left::by_a_kill()] {
        let (file, offset) = directory::find(&left.dir(), &fill::marker(20));
        let is_sealed = file != directory::log_end(&left.dir()).0;
        assert!(is_sealed, "{COUNT} messages fill more than one segment");
        directory::flip(&file, offset + 500);
        assert_refused(&left, &file, offset + 500);
    }
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    if brokers::is_for_warren_only("a damaged checkpoint is refused") {
        return;
    }
    for place in [0.1, 0.5, 0.9] {
        let left = Left::by_a_clean_stop();
        let file = directory::checkpoints(&left.dir()).pop().expect("a stop writes one");
        let len = file.metadata().expect("is there").len();
        let offset = (len as f64 * place) as u64;
        directory::flip(&file, offset);
        let refused = run_until_it_fails(&left.dir(), &["127.0.0.1:0"]);
        assert_tells(&refused.stderr, &file, offset);
    }
}

/// The header of a batch says up to where the log was durable when it was written. So what is
/// broken before that was whole once.
#[test]
fn damage_before_what_is_known_to_be_durable_is_no_torn_tail() {
    if brokers::is_for_warren_only("damage is no torn tail") {
        return;
    }
    let left = Left::by_a_kill();
    let (last, _) = directory::log_end(&left.dir());
    let here = |n: &u64| directory::position(&last, &fill::marker(*n));
    let offset = (0..COUNT - 2).rev().find_map(|n| here(&n));
    let offset = offset.expect("the last segment has more than the last messages");
    directory::flip(&last, offset);
    let refused = run_until_it_fails(&left.dir(), &["127.0.0.1:0"]);
    assert_tells(&refused.stderr, &last, offset);
    // And it has changed nothing: undamaged, all is there again.
    directory::flip(&last, offset);
    assert!(left.messages().into_iter().eq(0..COUNT));
}

#[test]
fn remains_of_a_write_behind_the_end_of_the_log_are_cut_off() {
    if brokers::is_for_warren_only("remains of a write are cut off") {
        return;
    }
    let mut garbage = vec![0; 5000];
    fastrand::Rng::with_seed(1).fill(&mut garbage);
    let half_a_batch = [b"WBAT".as_slice(), &[7, 1, 0, 0], &garbage[..100]].concat();
    for remains in [garbage, half_a_batch] {
        let left = Left::by_a_kill();
        let (last, end) = directory::log_end(&left.dir());
        // Batches begin at multiples of 8; at least one zero stays, in case the last byte was one.
        directory::overwrite(&last, (end + 8).next_multiple_of(8), &remains);
        let broker = left.setup().start();
        fill::one_by_one(&broker.address(), "q", COUNT..COUNT + 5, BODY_LEN);
        drop(broker);
        assert!(left.messages().into_iter().eq(0..COUNT + 5), "all messages, and the new ones");
    }
}

#[test]
fn a_last_write_that_was_cut_off_is_as_if_it_had_never_been() {
    if brokers::is_for_warren_only("a last write that was cut off") {
        return;
    }
    for cut in [1, 40, 700] {
        let left = Left::by_a_kill();
        let (last, end) = directory::log_end(&left.dir());
        let (with_the_last, at) = directory::find(&left.dir(), &fill::marker(COUNT - 1));
        assert_eq!(with_the_last, last, "nothing is written behind the last message");
        directory::truncate(&last, (end - cut).max(at));
        let broker = left.setup().start();
        fill::one_by_one(&broker.address(), "q", COUNT..COUNT + 5, BODY_LEN);
        drop(broker);
        let expected = (0..COUNT - 1).chain(COUNT..COUNT + 5);
        assert!(left.messages().into_iter().eq(expected), "{cut} bytes cut off");
    }
}

#[test]
fn a_segment_that_is_gone_is_refused() {
    if brokers::is_for_warren_only("a segment that is gone is refused") {
        return;
    }
    let left = Left::by_a_clean_stop();
    let (file, _) = directory::find(&left.dir(), &fill::marker(20));
    std::fs::remove_file(&file).expect("can be removed");
    let told = refusal(&left);
    assert!(told.contains(directory::name(&file)), "{} is gone: {told}", directory::name(&file));
}

/// Fails unless the damage is told, and nothing broken delivered before that.
fn assert_refused(left: &Left, file: &Path, offset: u64) {
    assert_tells(&refusal(left), file, offset);
}

/// What the broker says when it refuses to start, or to go on when everything is to be delivered.
fn refusal(left: &Left) -> String {
    let mut broker = match left.setup().try_start() {
        Ok(broker) => broker,
        Err(ended) => {
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            return ended.stderr;
        }
    };
    let came = consumed(&broker.address());
    // Of those before it, what had not left when the damage was found never does.
    let is_before = came.len() <= 20 && came.iter().copied().eq(0..came.len() as u64);
    assert!(is_before, "messages before the damaged one, not {came:?}");
    let status = broker.wait_for_end();
    assert_eq!(status.code(), Some(74), "{}", broker.log());
    broker.log()
}

/// The numbers of the messages that come until the broker is gone, all of them whole.
fn consumed(address: &Address) -> Vec<u64> {
    let mut session = Session::open(address).expect("guest may connect");
    if session.consume("q", 0).is_err() {
        return Vec::new();
    }
    let mut came = Vec::new();
    while let Ok(message) = session.next_message(std::time::Duration::from_secs(5)) {
        came.push(fill::number(&message).expect("a damaged message is not delivered"));
    }
    came
}

/// Fails unless the text names the file and about this place in it.
pub(crate) fn assert_tells(text: &str, file: &Path, offset: u64) {
    let name = directory::name(file);
    let expected = format!("{name} and about {offset} should be told: {text}");
    assert!(text.contains(name) && !text.contains("panicked"), "{expected}");
    let pattern = Regex::new(r"offset (\d+)").expect("is a regular expression");
    let told = pattern.captures_iter(text).map(|found| found[1].parse::<u64>());
    let near = offset.saturating_sub(PLACE_SLACK)..=offset;
    let is_near = told.flatten().any(|told| near.contains(&told));
    assert!(is_near, "{expected}");
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}
