//! The load generator as people use it, at sizes that say nothing but that it works.

use serde_json::Value;
use std::ffi::OsStr;
use tempfile::TempDir;
use warren_tests::broker::{Broker, run};

/// What `warren bench` prints as JSON with these words.
fn figures(words: &str) -> Value {
    let words = ["bench"].into_iter().chain(words.split_whitespace());
    let words: Vec<&OsStr> = words.chain(["--json"]).map(OsStr::new).collect();
    let ended = run(&words);
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_comparison_has_every_workload_of_the_floor_and_of_a_broker_that_runs() {
    let (broker, scratch) = (Broker::start(), TempDir::new().expect("can be made"));
    let (address, pid, dir) = (broker.address(), broker.pid(), scratch.path().display());
    let sizes = "--rounds 1 --warmup 0s --duration 100ms --connections 20 --queues 50";
    let halves = [
        "idle-connections,idle-queues,declare,confirm",
        "transient-16,transient-1k,durable-1k,fanout-10,latency",
    ];
    for half in halves {
        let compared = figures(&format!(
            "compare other=amqp://{address}/ --pid other={pid} --dir {dir} {sizes} \
             --workloads {half}"
        ));
        assert_eq!(names(&compared["brokers"]), ["floor", "other"]);
        assert_eq!(compared["base"], "other");
        assert_eq!(names(&compared["workloads"]).join(","), half);
        let workloads = compared["workloads"].as_array().expect("a list");
        workloads.iter().for_each(check_workload);
    }
    let left = std::fs::read_dir(scratch.path()).expect("is there").count();
    assert_eq!(left, 0, "nothing is left behind");
}

fn names(of: &Value) -> Vec<&str> {
    let all = of.as_array().expect("a list").iter();
    all.map(|one| one["name"].as_str().expect("a name")).collect()
}

fn check_workload(workload: &Value) {
    let is_memory = workload["unit"] == "bytes";
    let rows = workload["rows"].as_array().expect("a list");
    assert!(!rows.is_empty(), "{workload}");
    for row in rows {
        let name = format!("{} {}", workload["name"], row["broker"]);
        assert_eq!(row.get("failure"), None, "{name}");
        assert!(number(&row["value"]) > 0.0 || is_memory, "{name}: {row}");
        assert_eq!(row["rounds"].as_array().map(Vec::len), Some(1), "{name}");
        if row["broker"] != "(disk alone)" {
            assert!(number(&row["memory_peak_bytes"]) > 0.0, "{name}");
            assert_eq!(row.get("of_floor").is_some(), !is_memory, "{name}");
        }
    }
}

#[test]
fn a_table_says_of_whom_it_is() {
    let scratch = TempDir::new().expect("can be made");
    let dir = scratch.path().display();
    let words = format!(
        "bench compare --warren --dir {dir} --workloads transient-16 --rounds 1 --warmup 0s \
         --duration 100ms"
    );
    let words: Vec<&OsStr> = words.split_whitespace().map(OsStr::new).collect();
    let ended = run(&words);
    assert!(ended.status.success(), "{}", ended.stderr);
    for part in ["warren bench floor", "Warren ", "transient-16: 16 B, transient", "/ floor"] {
        assert!(ended.stdout.contains(part), "{part} in\n{}", ended.stdout);
    }
}

#[test]
fn every_curve_has_a_point_at_each_power_of_ten() {
    let scratch = TempDir::new().expect("can be made");
    let (dir, svg) = (scratch.path().display(), scratch.path().join("curves.svg"));
    for curves in ["queues,bindings,connections", "backlog,consumers"] {
        let drawn = figures(&format!(
            "curves --dir {dir} --svg {} --max 10 --rounds 1 --duration 100ms --curves {curves}",
            svg.display()
        ));
        assert_eq!(names(&drawn["curves"]).join(","), curves);
        for curve in drawn["curves"].as_array().expect("a list") {
            let points = curve["points"].as_array().expect("a list");
            let numbers: Vec<&Value> = points.iter().map(|point| &point["number"]).collect();
            assert_eq!(numbers, [1, 10], "{curve}");
            for point in points {
                assert!(number(&point["per_s"]) > 0.0, "{curve}");
            }
        }
        let text = std::fs::read_to_string(&svg).expect("is drawn");
        assert!(text.starts_with("<svg"), "{text}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_one_sentence_and_exit_status_1() {
    let scratch = TempDir::new().expect("can be made");
    let dir = scratch.path().to_str().expect("the path is UTF-8");
    let words = ["bench", "compare", "amqp://127.0.0.1:1/", "--dir", dir].map(OsStr::new);
    let ended = run(&words);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("no connection to 127.0.0.1:1"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(scratch.path()).expect("is there").count(), 0);
}
