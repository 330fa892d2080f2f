//! A restart as a real client sees it.

use crate::brokers;
use rustix::process::Signal;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use warren_tests::broker::target_dir;
use warren_tests::client::Address;

#[test]
fn pika_finds_its_messages_after_a_stop_and_after_a_kill() {
    let Some(python) = python() else { return };
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let setup = brokers::on(&scratch.path().join("data"));
    for signal in [Signal::TERM, Signal::KILL] {
        let mut broker = setup.start();
        run(&python, &broker.address(), "restart.py", "leave");
        broker.end_by(signal);
        run(&python, &setup.start().address(), "restart.py", "look");
    }
}

#[test]
fn pika_cannot_send_twice_what_was_seen_before_a_stop_or_a_kill() {
    if brokers::is_other() {
        return brokers::skipped("deduplication", "it is Warren's");
    }
    let Some(python) = python() else { return };
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let setup = brokers::on(&scratch.path().join("data"));
    for signal in [Signal::TERM, Signal::KILL] {
        let mut broker = setup.start();
        run(&python, &broker.address(), "deduplicate.py", "first");
        broker.end_by(signal);
        run(&python, &setup.start().address(), "deduplicate.py", "again");
    }
}

/// Python with pika, as `clients/install` installs it.
fn python() -> Option<PathBuf> {
    let python = target_dir().join("clients/python/venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    let is_required =
        ["CI", "WARREN_REQUIRE_CLIENTS"].iter().any(|name| env::var_os(name).is_some());
    assert!(!is_required, "pika is missing; tests/clients/install installs it");
    brokers::skipped("pika and a restart", "it is missing; tests/clients/install installs it");
    None
}

fn run(python: &Path, address: &Address, script: &str, what: &str) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let script = scripts.join(script);
    let mut command = Command::new(python);
    let output = command.arg(script).args([&address.socket, what, "restart"]).output();
    let output = output.expect("python is there");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{told}", output.status);
}
