//! What comes and goes leaves nothing behind.

use serde_json::Value;
use warren_tests::broker::{Broker, run};

/// How many more files a broker may have open than before: those that its disk needs.
const FILES: u64 = 4;

#[test]
fn connections_channels_and_queues_that_come_and_go_leave_no_file_open() {
    let broker = Broker::start();
    let (uri, pid) = (format!("amqp://{}/", broker.address().socket), broker.pid().to_string());
    let words = ["bench", "churn", "--uri", &uri, "--pid", &pid, "--duration", "1s", "--threads"];
    let words = words.into_iter().chain(["4", "--durable", "--json"]).map(str::as_ref);
    let ended = run(&words.collect::<Vec<_>>());
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("is JSON");
    let churned = report["churned"].as_array().expect("is a list");
    assert!(churned.iter().map(|one| &one["kind"]).eq(["connections", "channels", "queues"]));
    for one in churned {
        assert!(one["count"].as_u64().is_some_and(|count| count > 10), "{one}");
        let files = |at: usize| one["held"][at]["files"].as_u64().expect("may be counted");
        assert!(files(2) <= files(0) + FILES, "{one}");
    }
}
