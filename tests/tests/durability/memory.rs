//! A backlog that is larger than the memory the broker may have.

use crate::brokers;
use crate::fill::{self, Publisher};
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the broker is told that messages may take.
const BUDGET: &str = "32MiB";

/// What it may take in all: a process that does nothing has its size too.
const RESIDENT_MAX_KB: u64 = 90 << 10;

/// 200 MiB of messages.
const COUNT: u64 = 12_800;
const BODY_LEN: usize = 16 << 10;

#[test]
fn a_backlog_of_persistent_messages_is_on_disk_and_not_in_memory() {
    backlog("a_backlog_of_persistent_messages_is_on_disk_and_not_in_memory", 2);
}

#[test]
fn a_backlog_of_transient_messages_is_on_disk_and_not_in_memory() {
    backlog("a_backlog_of_transient_messages_is_on_disk_and_not_in_memory", 1);
}

fn backlog(test: &str, delivery_mode: u8) {
    if brokers::is_for_warren_only(test) {
        return;
    }
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let broker = brokers::on(&scratch.path().join("data")).flag("--memory", BUDGET).start();
    let start = Instant::now();
    let properties = json!({ "delivery_mode": delivery_mode });
    let mut publisher = Publisher::new(&broker.address(), "backlog", properties, 200);
    while publisher.published() < COUNT {
        let has_room = publisher.publish(BODY_LEN, Duration::from_secs(20));
        assert!(has_room, "stuck at message {}", publisher.published());
    }
    publisher.finish();
    let filled = (broker.resident_max_kb(), start.elapsed());
    assert!(filled.0 < RESIDENT_MAX_KB, "took {} kB while it was filled", filled.0);
    let came = fill::drained(&broker.address(), "backlog");
    let drained = (broker.resident_max_kb(), start.elapsed());
    println!("at most {} kB at {:?}, {} kB at {:?}", filled.0, filled.1, drained.0, drained.1);
    assert!(came.iter().copied().eq(0..COUNT), "{} came, or not in order", came.len());
    assert!(drained.0 < RESIDENT_MAX_KB, "took {} kB while it was drained", drained.0);
}
