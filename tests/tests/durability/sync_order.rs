//! The order of system calls proves that a confirm rests on the disk: each is written to its socket
//! after an fdatasync ended well that had begun after its message was written to the log.

use crate::brokers;
use crate::fill::{self, Publisher};
use crate::trace::{self, Call};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use warren_tests::wire;

const CALLS: &str = "trace=pwritev,pwritev2,pwrite64,fdatasync,fsync,sendto,write,writev,sendmsg";

/// How many messages are published.
const COUNT: u64 = 60;

#[test]
fn every_confirm_is_sent_after_its_message_was_synced() {
    const TEST: &str = "every_confirm_is_sent_after_its_message_was_synced";
    if brokers::is_for_warren_only(TEST) {
        return;
    }
    if let Err(why) = can_trace() {
        return brokers::skipped(TEST, &why);
    }
    for window in [1, 20] {
        let scratch = TempDir::new().expect("a temporary directory can be made");
        let file = scratch.path().join("trace");
        let calls = traced(&scratch.path().join("data"), &file, window);
        let late = unproved(&calls);
        assert!(late.is_empty(), "with {window} at once: {late:#?}");
    }
}

/// Whether processes may be traced here.
fn can_trace() -> Result<(), String> {
    match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// The calls of a broker that confirms messages 0 to [`COUNT`], on one connection, at most so many
/// of them at once.
fn traced(data: &Path, file: &Path, window: usize) -> Vec<Call> {
    let file_name = file.to_str().expect("is plain");
    // -D: the tracer is a grandchild, and the broker has the process id that it would have without.
    let strace = ["strace", "-D", "-f", "-xx", "-v", "-s", "4096", "-e", CALLS, "-o", file_name];
    let mut broker = brokers::on(data).under(&strace).start();
    let mut publisher = Publisher::new(&broker.address(), "q", fill::persistent(), window);
    while publisher.published() < COUNT {
        assert!(publisher.publish(100, Duration::from_secs(20)), "is not confirmed");
    }
    publisher.finish();
    broker.end_by(Signal::KILL);
    // The tracer notes the broker's end last, and that after its parent could see it.
    let text = || fs::read_to_string(file).expect("strace has written it");
    for _ in 0..500 {
        if text().lines().any(|line| line.contains("+++ killed by SIGKILL")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    trace::read(&text())
}

/// What is wrong with the calls' order, for each message; nothing, if each confirm was earned.
fn unproved(calls: &[Call]) -> Vec<String> {
    (0..COUNT).filter_map(|n| proof(calls, n).err()).collect()
}

fn proof(calls: &[Call], n: u64) -> Result<(), String> {
    let marker = hexadecimal(&fill::marker(n));
    let write = calls
        .iter()
        .find(|call| call.name.starts_with("pwrite") && call.bytes.contains(&marker))
        .ok_or_else(|| format!("message {n} was never written to a file"))?;
    let confirm = calls
        .iter()
        .find(|call| is_to_socket(call) && confirms(&call.bytes, n + 1))
        .ok_or_else(|| format!("message {n} was never confirmed"))?;
    let earned = calls.iter().any(|call| {
        matches!(call.name.as_str(), "fdatasync" | "fsync")
            && call.file == write.file
            && call.begin > write.end
            && call.end < confirm.begin
            && call.result == Some(0)
    });
    if earned {
        Ok(())
    } else {
        Err(format!(
            "message {n} was written in lines {}..={} of the trace and confirmed in line {}, with \
             no whole sync of that file in between",
            write.begin + 1,
            write.end.saturating_add(1),
            confirm.begin + 1
        ))
    }
}

fn is_to_socket(call: &Call) -> bool {
    matches!(call.name.as_str(), "sendto" | "write" | "writev" | "sendmsg")
}

/// Whether these bytes have a confirm of this tag in them, alone or with those before it.
fn confirms(bytes: &str, tag: u64) -> bool {
    let start = hexadecimal(&wire::method(1, "Basic.Ack", &Value::Null)[..11]);
    bytes.match_indices(&start).any(|(at, _)| {
        let field = |from: usize, to: usize| {
            let digits = bytes.get(at + start.len() + from..at + start.len() + to)?;
            u64::from_str_radix(digits, 16).ok()
        };
        match (field(0, 16), field(16, 18)) {
            (Some(last), Some(bits)) => last == tag || (last > tag && bits & 1 == 1),
            _ => false,
        }
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(name: &str, file: u32, bytes: &[u8], begin: usize, end: usize) -> Call {
        let (name, bytes) = (name.to_owned(), hexadecimal(bytes));
        Call { name, file: Some(file), bytes, result: Some(0), begin, end }
    }

    fn ack(tag: u64, multiple: bool, line: usize) -> Call {
        let arguments = json!({"delivery_tag": tag, "multiple": multiple});
        call("sendto", 9, &wire::method(1, "Basic.Ack", &arguments), line, line)
    }

    #[test]
    fn only_a_whole_sync_between_write_and_confirm_earns_it() {
        let write = call("pwritev", 5, &fill::body(0, 100), 10, 11);
        let ack = ack(1, false, 20);
        let is_earned = |sync: Call| proof(&[write.clone(), sync, ack.clone()], 0).is_ok();
        assert!(is_earned(call("fdatasync", 5, &[], 12, 19)));
        assert!(!is_earned(call("fdatasync", 5, &[], 9, 19)), "began before the write");
        assert!(!is_earned(call("fdatasync", 5, &[], 12, 21)), "ended after the confirm");
        assert!(!is_earned(call("fdatasync", 6, &[], 12, 19)), "of another file");
        let failed = Call { result: Some(-1), ..call("fdatasync", 5, &[], 12, 19) };
        assert!(!is_earned(failed));
    }

    #[test]
    fn a_confirm_may_stand_for_those_before_it() {
        assert!(confirms(&ack(3, true, 0).bytes, 2) && confirms(&ack(3, true, 0).bytes, 3));
        assert!(confirms(&ack(3, false, 0).bytes, 3) && !confirms(&ack(3, false, 0).bytes, 2));
        assert!(!confirms(&ack(3, true, 0).bytes, 4));
    }
}
