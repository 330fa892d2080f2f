//! `warren check` and `warren salvage`: what is wrong with a data directory, and how to go on
//! without it.

use crate::brokers;
use crate::damage::{self, COUNT, Left};
use crate::directory;
use crate::fill;
use regex_lite::Regex;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use tempfile::TempDir;
use warren_tests::broker::{Ended, run};

#[test]
fn a_healthy_directory_is_called_so_and_is_not_changed() {
    if brokers::is_for_warren_only("check of a healthy directory") {
        return;
    }
    for left in [Left::by_a_clean_stop(), Left::by_a_kill()] {
        let before = contents(&left.dir());
        let checked = check(&left.dir());
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        assert!(contents(&left.dir()) == before, "a check changes nothing");
        assert!(left.messages().into_iter().eq(0..COUNT));
    }
}

#[test]
fn what_cannot_be_checked_is_neither_healthy_nor_damaged() {
    if brokers::is_for_warren_only("check of what cannot be checked") {
        return;
    }
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let missing = check(&scratch.path().join("missing"));
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert!(!scratch.path().join("missing").exists(), "a check makes no directory");
    let broker = brokers::on(scratch.path()).start();
    for ended in [check(scratch.path()), salvage(scratch.path())] {
        assert_eq!(ended.status.code(), Some(2), "a broker uses it: {ended:?}");
        assert!(ended.stderr.contains(&broker.pid().to_string()), "{ended:?}");
    }
}

#[test]
fn a_damaged_message_is_found_and_after_salvage_all_others_are_there() {
    if brokers::is_for_warren_only("salvage of a damaged message") {
        return;
    }
    for left in [Left::by_a_clean_stop(), Left::by_a_kill()] {
        let (file, offset) = directory::find(&left.dir(), &fill::marker(20));
        directory::flip(&file, offset + 500);
        assert_found(&left, &file, offset + 500);
        assert_salvaged(&left);
        let came = left.messages();
        let expected = (0..COUNT).filter(|n| *n != 20);
        assert!(came.iter().copied().eq(expected), "all but message 20: {came:?}");
    }
}

#[test]
fn after_salvage_of_a_damaged_checkpoint_no_message_is_missing() {
    if brokers::is_for_warren_only("salvage of a damaged checkpoint") {
        return;
    }
    let left = Left::by_a_clean_stop();
    let file = directory::checkpoints(&left.dir()).pop().expect("a stop writes one");
    let offset = file.metadata().expect("is there").len() / 2;
    directory::flip(&file, offset);
    assert_found(&left, &file, offset);
    let told = assert_salvaged(&left);
    // The queue's name may be what was damaged; then it has another one, which is told.
    let new_name = Regex::new(r"salvaged\.\d+").expect("is a regular expression");
    let queue = new_name.find(&told).map_or("q", |found| found.as_str());
    let broker = left.setup().start();
    // What was settled may come back; here nothing was.
    let came: BTreeSet<_> = fill::drained(&broker.address(), queue).into_iter().collect();
    let missing: Vec<_> = (0..COUNT).filter(|n| !came.contains(n)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
}

#[test]
fn salvage_asks_before_it_gives_anything_up() {
    if brokers::is_for_warren_only("salvage asks") {
        return;
    }
    let left = Left::by_a_kill();
    let (file, offset) = directory::find(&left.dir(), &fill::marker(20));
    directory::flip(&file, offset);
    let before = contents(&left.dir());
    // Standard input is empty: nobody says yes.
    let salvaged = run(&[OsStr::new("salvage"), left.dir().as_os_str()]);
    assert_ne!(salvaged.status.code(), Some(0), "{salvaged:?}");
    assert!(contents(&left.dir()) == before, "nothing was given up");
}

fn assert_found(left: &Left, file: &Path, offset: u64) {
    let checked = check(&left.dir());
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    damage::assert_tells(&(checked.stdout + &checked.stderr), file, offset);
}

/// What the salvage says.
fn assert_salvaged(left: &Left) -> String {
    let salvaged = salvage(&left.dir());
    assert_eq!(salvaged.status.code(), Some(0), "{salvaged:?}");
    let checked = check(&left.dir());
    assert_eq!(checked.status.code(), Some(0), "healthy again: {checked:?}");
    salvaged.stdout
}

fn check(dir: &Path) -> Ended {
    run(&[OsStr::new("check"), dir.as_os_str()])
}

fn salvage(dir: &Path) -> Ended {
    run(&[OsStr::new("salvage"), dir.as_os_str(), OsStr::new("--yes")])
}

/// Every file of a directory, by name; but the lock, which a check holds as well, and the socket.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("can be read").flatten();
    let mut contents: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && directory::name(path) != "lock")
        .map(|path| {
            let bytes = std::fs::read(&path).expect("can be read");
            (directory::name(&path).to_owned(), bytes)
        })
        .collect();
    contents.sort();
    contents
}
