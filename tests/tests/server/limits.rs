//! Limits of memory and disk that change while the broker runs.

use crate::management::{GUEST, request};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;
use warren_tests::broker::{Broker, Ended, run};
use warren_tests::setup::Setup;

fn ctl(broker: &Broker, arguments: &[&str]) -> Ended {
    let data_dir = broker.data_dir();
    let begin = ["ctl".as_ref(), "--data-dir".as_ref(), data_dir.as_os_str()];
    let arguments = arguments.iter().map(std::convert::AsRef::as_ref);
    run(&begin.into_iter().chain(arguments).collect::<Vec<_>>())
}

fn limits(broker: &Broker) -> (u64, u64) {
    let node = request(broker, "GET", "/api/nodes/warren@localhost", GUEST, "").json();
    let number = |key: &str| node[key].as_u64().unwrap_or_else(|| panic!("{key}: {node}"));
    (number("mem_limit"), number("disk_free_limit"))
}

#[test]
fn they_change_by_the_command_line_and_are_told_everywhere() {
    // What the machine has does not matter.
    let total = "total_memory_available_override_value=1GiB";
    let broker = Setup::new().managed().flag("--set", total).start();
    assert_eq!(limits(&broker), (429_496_728, 256 << 20));
    let well = |arguments: &[&str], expected: &str| {
        let Ended { status, stdout, stderr } = ctl(&broker, arguments);
        let told = (status.code(), stdout.as_str(), stderr.as_str());
        assert_eq!(told, (Some(0), expected, ""), "{arguments:?}");
    };
    let memory = "set_vm_memory_high_watermark";
    let disk = "set_disk_free_limit";
    let node = "warren@localhost";
    well(&[memory, "0.25"], &format!("Setting memory threshold on {node} to 0.25 ...\n"));
    assert_eq!(limits(&broker), (256 << 20, 256 << 20));
    well(
        &[memory, "absolute", "64MiB"],
        &format!("Setting memory threshold on {node} to 64MiB bytes ...\n"),
    );
    well(&[disk, "2GiB"], &format!("Setting disk free limit on {node} to 2GiB bytes ...\n"));
    assert_eq!(limits(&broker), (64 << 20, 2 << 30));
    well(
        &[disk, "mem_relative", "0.5"],
        &format!("Setting disk free limit on {node} to 0.5 times the total RAM ...\n"),
    );
    assert_eq!(limits(&broker), (64 << 20, 512 << 20));
    let status = ctl(&broker, &["status", "--formatter", "json"]).stdout;
    let status: Value = serde_json::from_str(&status).expect("is JSON");
    assert_eq!(status["vm_memory_high_watermark_limit"], 64 << 20);
    assert_eq!(status["disk_free_limit"], 512 << 20);
    for arguments in [
        &[memory, "1.5"][..],
        &[memory, "absolute", "lots"],
        &[memory, "absolute", "1MiB"],
        &[disk, "much"],
        &[disk, "mem_relative", "much"],
    ] {
        let ended = ctl(&broker, arguments);
        assert_eq!(ended.status.code(), Some(65), "{arguments:?}: {ended:?}");
        let begin = "Error (argument validation): Bad argument: ";
        assert!(ended.stderr.starts_with(begin), "{arguments:?}: {ended:?}");
    }
    assert_eq!(ctl(&broker, &[memory, "relative", "0.4", "0.5"]).status.code(), Some(64));
    let other = r#"{"heartbeat": 7}"#;
    assert_eq!(request(&broker, "PUT", "/api/node-limits", GUEST, other).status, 400);
    assert_eq!(limits(&broker), (64 << 20, 512 << 20));
    let told = request(&broker, "GET", "/api/node-limits", GUEST, "").json();
    assert_eq!(told["vm_memory_high_watermark.absolute"], 64 << 20);
}

#[test]
fn an_alarm_comes_and_goes_with_a_limit() {
    let broker = Setup::new().managed().measured().start();
    let alarms = || request(&broker, "GET", "/api/health/checks/alarms", GUEST, "").status;
    assert_eq!(alarms(), 200);
    assert_eq!(ctl(&broker, &["set_disk_free_limit", "1000TB"]).status.code(), Some(0));
    assert_eq!(alarms(), 503);
    broker.wait_for_log("publishers wait when less than");
    let metrics = crate::metrics::scrape(&broker, "/metrics").body;
    for line in [
        "rabbitmq_disk_space_available_limit_bytes 1000000000000000\n",
        "rabbitmq_alarms_free_disk_space_watermark 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert_eq!(ctl(&broker, &["set_disk_free_limit", "1MB"]).status.code(), Some(0));
    assert_eq!(alarms(), 200);
}

#[test]
fn they_are_read_again_on_sighup() {
    let scratch = TempDir::new().expect("a temporary directory");
    let file = scratch.path().join("warren.conf");
    let write = |memory: &str| {
        let text = format!("vm_memory_high_watermark.absolute = {memory}\n");
        fs::write(&file, text).expect("can be written");
    };
    write("64MiB");
    let config = file.to_str().expect("is UTF-8");
    let broker = Setup::new().managed().flag("--config", config).start();
    assert_eq!(limits(&broker).0, 64 << 20);
    write("128MiB");
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    assert_eq!(limits(&broker).0, 128 << 20);
    assert!(!broker.log().contains("counts from the next start on"), "{}", broker.log());
}
