//! Runs the client programs under `clients/` against the built binary: clients that others wrote,
//! in the languages that people use them from.
//!
//! On a newcomer's machine a client that is not installed is skipped, loudly. In CI, or with
//! `WARREN_REQUIRE_CLIENTS` set, it is a failure.

use std::env;
use std::path::Path;
use std::process::Command;
use warren_tests::broker::{Target, target_dir};

/// How `clients/run` says that a client is not installed.
const MISSING: i32 = 3;

#[test]
fn pika_gets_on_with_the_broker() {
    run("pika");
}

#[test]
fn amqplib_gets_on_with_the_broker() {
    run("amqplib");
}

#[test]
fn amqp_tools_get_on_with_the_broker() {
    run("amqp-tools");
}

#[test]
fn pika_sees_what_the_management_api_does() {
    run("management");
}

#[test]
fn rabbitmqadmin_gets_on_with_the_broker() {
    run("rabbitmqadmin");
}

fn run(client: &str) {
    let target = Target::new();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run"));
    command.args(["--no-install", "--only", client, &target.address().socket]);
    command.args(target.management());
    let output = command.env("CARGO_TARGET_DIR", target_dir()).output().expect("bash is there");
    let told = String::from_utf8_lossy(&output.stderr);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.code() == Some(MISSING) {
        assert!(!required(), "{told}");
        eprintln!("SKIPPED: {told}");
        return;
    }
    assert!(output.status.success(), "{client}: {}\n{told}", output.status);
}

fn required() -> bool {
    ["CI", "WARREN_REQUIRE_CLIENTS"].iter().any(|variable| env::var_os(variable).is_some())
}
