//! Metrics as Prometheus scrapes them, and health as those ask who watch over processes.

use crate::management::{GUEST, Response, connect_to, exchange_on};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};
use warren_tests::broker::Broker;
use warren_tests::client::Connection;
use warren_tests::session::Session;
use warren_tests::setup::Setup;

/// How long something may take that happens soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// What RabbitMQ's Overview dashboard for Grafana queries (RabbitMQ 4.3), without `rabbitmq_`.
const OVERVIEW: &[&str] = &[
    "build_info",
    "channels",
    "channels_closed_total",
    "channels_opened_total",
    "connections",
    "connections_closed_total",
    "connections_opened_total",
    "disk_space_available_bytes",
    "disk_space_available_limit_bytes",
    "erlang_uptime_seconds",
    "global_consumers",
    "global_messages_acknowledged_total",
    "global_messages_confirmed_total",
    "global_messages_delivered_consume_auto_ack_total",
    "global_messages_delivered_consume_manual_ack_total",
    "global_messages_delivered_get_auto_ack_total",
    "global_messages_delivered_get_manual_ack_total",
    "global_messages_delivered_total",
    "global_messages_get_empty_total",
    "global_messages_received_confirm_total",
    "global_messages_received_total",
    "global_messages_redelivered_total",
    "global_messages_routed_total",
    "global_messages_unroutable_dropped_total",
    "global_messages_unroutable_returned_total",
    "global_publishers",
    "identity_info",
    "message_size_bytes_count",
    "message_size_bytes_sum",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "queue_messages_ready",
    "queue_messages_unacked",
    "queues",
    "queues_created_total",
    "queues_declared_total",
    "queues_deleted_total",
    "resident_memory_limit_bytes",
    // Those of before RabbitMQ 4.
    "channel_consumers",
    "channel_messages_published_total",
    "channel_messages_redelivered_total",
    "channel_messages_acked_total",
];

/// The bounds of `message_size_bytes_bucket` that it queries.
const SIZES: [&str; 9] =
    ["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"];

/// A line of a scrape.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

pub(crate) fn scrape(broker: &Broker, path: &str) -> Response {
    ask(&broker.metrics().expect("was set up with them"), "GET", path, "")
}

fn ask(address: &str, method: &str, path: &str, headers: &str) -> Response {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    exchange_on(connect_to(address), head.as_bytes())
}

/// All lines but comments; a comment that tells a type must be there for each family before.
fn samples(text: &str) -> Vec<Sample> {
    let mut types = BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            if words.next() == Some("TYPE") {
                let name = words.next().expect("of something").to_owned();
                assert!(types.insert(name), "a second time: {line}");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("an end of labels");
        let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once("=\"").expect("a label"));
        let labels = pairs
            .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
            .collect();
        let family = ["_bucket", "_sum", "_count", ""].map(|end| name.strip_suffix(end));
        assert!(family.into_iter().flatten().any(|family| types.contains(family)), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        samples.push(Sample { name: name.to_owned(), labels, value });
    }
    samples
}

/// The sum of all samples of this name.
fn value(samples: &[Sample], name: &str) -> f64 {
    let mut found = samples.iter().filter(|sample| sample.name == name).peekable();
    assert!(found.peek().is_some(), "there is no {name}");
    found.map(|sample| sample.value).sum()
}

/// Whatever clients do with messages, queues, channels and connections.
fn traffic(broker: &Broker) -> Session {
    Session::open(&broker.address()).expect("connects").close().expect("leaves");
    let mut session = Session::open(&broker.address()).expect("connects");
    for queue in ["gone", "q", "auto"] {
        session.declare(queue).expect("declared");
    }
    session.call("Queue.Delete", &json!({"queue": "gone"}), "Queue.DeleteOk").expect("deleted");
    session.open_channel(2).expect("opens");
    let bye = json!({"reply_code": 200, "reply_text": "bye"});
    session.call_on(2, "Channel.Close", &bye, "Channel.CloseOk").expect("closes");
    session.publish(&json!({"routing_key": "nowhere"}), &Value::Null, b"x");
    session.publish(&json!({"routing_key": "nowhere", "mandatory": true}), &Value::Null, b"x");
    session.next_message(PATIENCE).expect("it comes back");
    assert_eq!(session.get("q").expect("asked"), None);
    session.confirm().expect("confirms");
    let persistent = json!({"delivery_mode": 2});
    for len in [10, 500, 20_000, 1_200_000] {
        session.publish_confirmed("q", &persistent, &vec![7; len]).expect("confirmed");
    }
    session.publish_confirmed("auto", &Value::Null, b"x").expect("confirmed");
    let first = session.get("q").expect("asked").expect("is there");
    let back = json!({"delivery_tag": first.tag(), "requeue": true});
    session.send("Basic.Reject", &back);
    let again = session.get("q").expect("asked").expect("is there again");
    session.ack(&again, false);
    let auto = json!({"queue": "q", "no_ack": true});
    session.send("Basic.Get", &auto);
    session.next_message(PATIENCE).expect("is there");
    session.consume("q", 1).expect("consumes");
    session.next_message(PATIENCE).expect("is delivered");
    let auto = json!({"queue": "auto", "consumer_tag": "auto", "no_ack": true});
    session.call("Basic.Consume", &auto, "Basic.ConsumeOk").expect("consumes");
    session.next_message(PATIENCE).expect("is delivered");
    session
}

#[test]
fn every_metric_of_the_overview_dashboard_shows_data() {
    let broker = Setup::new().measured().start();
    let session = traffic(&broker);
    let answer = scrape(&broker, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let all = samples(&answer.body);
    for name in OVERVIEW {
        assert!(value(&all, &format!("rabbitmq_{name}")) > 0.0, "{name} is 0");
    }
    for bound in SIZES {
        let wanted: f64 = bound.parse().expect("a number");
        let found = all.iter().find(|sample| {
            let bound = sample.labels.get("le").and_then(|bound| bound.parse().ok());
            sample.name == "rabbitmq_message_size_bytes_bucket" && bound == Some(wanted)
        });
        assert!(found.is_some_and(|sample| sample.value > 0.0), "{bound}: {found:?}");
    }
    drop(session);
}

#[test]
fn metrics_have_the_labels_that_dashboards_join_by() {
    let broker = Setup::new().measured().start();
    let all = samples(&scrape(&broker, "/metrics").body);
    let labels = |name: &str| {
        let found = all.iter().find(|sample| sample.name == format!("rabbitmq_{name}"));
        &found.unwrap_or_else(|| panic!("there is no {name}")).labels
    };
    let identity = labels("identity_info");
    assert_eq!(identity["rabbitmq_endpoint"], "aggregated");
    assert!(identity["rabbitmq_node"].starts_with("warren@"), "{identity:?}");
    assert_eq!(identity["rabbitmq_cluster"], identity["rabbitmq_node"]);
    assert!(!identity["rabbitmq_cluster_permanent_id"].is_empty());
    let build = labels("build_info");
    assert!(build["rabbitmq_version"].starts_with("4."), "{build:?}");
    assert_eq!(build["product_version"], env!("CARGO_PKG_VERSION"));
    for name in ["prometheus_plugin_version", "prometheus_client_version", "erlang_version"] {
        assert!(build.contains_key(name), "{name}");
    }
    assert_eq!(labels("global_messages_received_total")["protocol"], "amqp091");
    let delivered = labels("global_messages_delivered_total");
    assert_eq!(delivered["queue_type"], "rabbit_classic_queue");
}

#[test]
fn sums_are_what_happened() {
    let broker = Setup::new().measured().start();
    let session = traffic(&broker);
    let all = samples(&scrape(&broker, "/metrics").body);
    for (name, expected) in [
        ("rabbitmq_queue_messages_ready", 1.0),
        ("rabbitmq_queue_messages_unacked", 1.0),
        ("rabbitmq_queues", 2.0),
        ("rabbitmq_connections", 1.0),
        ("rabbitmq_channels", 1.0),
        ("rabbitmq_global_publishers", 1.0),
        ("rabbitmq_global_messages_received_total", 7.0),
        ("rabbitmq_global_messages_routed_total", 5.0),
        ("rabbitmq_global_messages_confirmed_total", 5.0),
        ("rabbitmq_global_messages_redelivered_total", 1.0),
        ("rabbitmq_auth_attempts_total", 2.0),
        ("rabbitmq_alarms_memory_used_watermark", 0.0),
    ] {
        assert_eq!(value(&all, name), expected, "{name}");
    }
    for name in [
        "warren_log_sync_seconds_count",
        "warren_log_batch_bytes_sum",
        "warren_log_batch_records_count",
        "warren_log_batch_waiters_sum",
        "warren_log_segments",
        "warren_log_bytes",
        "warren_memory_bytes",
        "warren_cpu_seconds_total",
        "rabbitmq_io_write_bytes_total",
        "rabbitmq_connection_incoming_bytes_total",
        "rabbitmq_connection_outgoing_bytes_total",
    ] {
        assert!(value(&all, name) > 0.0, "{name} is 0");
    }
    drop(session);
}

#[test]
fn what_is_told_of_all_does_not_grow_with_what_there_is() {
    let broker = Setup::new().measured().start();
    let lines = || scrape(&broker, "/metrics").body.lines().count();
    let before = lines();
    let mut session = Session::open(&broker.address()).expect("connects");
    for number in 0..20 {
        session.declare(&format!("q{number}")).expect("declared");
    }
    assert_eq!(lines(), before);
    let per_object = samples(&scrape(&broker, "/metrics/per-object").body);
    let name = "rabbitmq_queue_messages_ready";
    assert_eq!(per_object.iter().filter(|sample| sample.name == name).count(), 20);
}

#[test]
fn what_is_told_of_each_can_be_chosen() {
    let broker = Setup::new().measured().start();
    let mut session = Session::open(&broker.address()).expect("connects");
    for queue in ["a1", "a2", "b\"1"] {
        session.declare(queue).expect("declared");
    }
    session.publish(&json!({"routing_key": "a1"}), &Value::Null, b"x");
    session.message_count("a1").expect("comes behind it");
    let names = |query: &str| {
        let all = samples(&scrape(&broker, &format!("/metrics/detailed?{query}")).body);
        all.into_iter().map(|sample| sample.name).collect::<BTreeSet<_>>()
    };
    let family = "family=queue_coarse_metrics";
    let coarse = names(family);
    assert!(coarse.contains("rabbitmq_detailed_queue_messages_ready"), "{coarse:?}");
    assert!(!coarse.contains("rabbitmq_detailed_queue_consumers"), "{coarse:?}");
    assert!(coarse.contains("rabbitmq_identity_info"), "{coarse:?}");
    let elsewhere = names(&format!("{family}&vhost=elsewhere"));
    assert!(!elsewhere.contains("rabbitmq_detailed_queue_messages_ready"), "{elsewhere:?}");
    let some = scrape(&broker, &format!("/metrics/detailed?{family}&vhost=%2F&queue=%5Ea")).body;
    let line = "rabbitmq_detailed_queue_messages_ready{vhost=\"/\",queue=\"a1\"} 1";
    assert!(some.contains(line) && !some.contains("b\\\"1"), "{some}");
    assert!(scrape(&broker, &format!("/metrics/detailed?{family}")).body.contains("b\\\"1"));
    assert_eq!(scrape(&broker, "/metrics/detailed?queue=%28").status, 400);
    for (family, name) in [
        ("queue_consumer_count", "detailed_queue_consumers"),
        ("queue_metrics", "detailed_queue_messages_ram"),
        ("queue_delivery_metrics", "detailed_queue_messages_acked_total"),
        ("channel_metrics", "detailed_channel_consumers"),
        ("connection_coarse_metrics", "detailed_connection_incoming_bytes_total"),
        ("connection_metrics", "detailed_connection_channels"),
        ("connection_churn_metrics", "detailed_connections_opened_total"),
        ("auth_attempt_metrics", "detailed_auth_attempts_total"),
        ("node_coarse_metrics", "detailed_process_open_fds"),
        ("node_metrics", "detailed_erlang_uptime_seconds"),
        ("node_persister_metrics", "detailed_io_sync_ops_total"),
        ("vhost_status", "cluster_vhost_status"),
        ("exchange_names", "cluster_exchange_name"),
        ("exchange_bindings", "cluster_exchange_bindings"),
    ] {
        let names = names(&format!("family={family}"));
        assert!(names.contains(&format!("rabbitmq_{name}")), "{family}: {names:?}");
    }
}

#[test]
fn metrics_may_be_for_some_users_only_and_health_is_for_everybody() {
    let setup = Setup::new().measured().flag("--set", "prometheus.path=/m");
    let broker = setup.flag("--set", "prometheus.authentication.enabled=true").start();
    let address = broker.metrics().expect("was set up with them");
    let refused = ask(&address, "GET", "/m", "");
    assert_eq!((refused.status, refused.body.as_str()), (401, "not authorized\n"));
    assert_eq!(ask(&address, "GET", "/m", GUEST).status, 200);
    assert_eq!(ask(&address, "GET", "/m/per-object", GUEST).status, 200);
    assert_eq!(ask(&address, "GET", "/metrics", GUEST).status, 404);
    assert_eq!(ask(&address, "POST", "/m", GUEST).status, 405);
    assert_eq!(ask(&address, "GET", "/health/ready", "").status, 200);
}

#[test]
fn health_is_told_in_a_word_until_the_broker_takes_its_leave() {
    let mut broker = Setup::new().managed().measured().start();
    let (metrics, management) = (broker.metrics(), broker.management());
    let addresses = [metrics, management].map(|address| address.expect("was set up with it"));
    for address in &addresses {
        for (path, word) in [("/health/live", "alive\n"), ("/health/ready", "ready\n")] {
            let answer = ask(address, "GET", path, "");
            assert_eq!((answer.status, answer.body.as_str()), (200, word), "{path}");
            assert!(!answer.head.to_lowercase().contains("warren"), "{answer:?}");
            assert_eq!(ask(address, "PUT", path, "").status, 405);
        }
    }
    // One that does not answer keeps the broker waiting.
    let client = Connection::open(&broker.address()).expect("connects");
    broker.signal(Signal::TERM);
    let start = Instant::now();
    while ask(&addresses[0], "GET", "/health/ready", "").status == 200 {
        assert!(start.elapsed() < PATIENCE, "still ready");
        thread::sleep(Duration::from_millis(10));
    }
    let answer = ask(&addresses[0], "GET", "/health/ready", "");
    assert_eq!((answer.status, answer.body.as_str()), (503, "stopping\n"));
    assert_eq!(ask(&addresses[0], "GET", "/health/live", "").status, 200);
    drop(client);
    broker.wait_for_end();
}
