//! The node and its process, under RabbitMQ's names.

use serde_json::Value;
use warren_core::metrics::Metrics;
use warren_io::{BrokerHandle, DiskUse};

use super::exposition::{Exposition, Labels, label};
use super::per_object::Wanted;
use super::{RABBITMQ, Source};
use crate::{management, usage};

/// The parameter of the whole broker that says what the cluster is called.
const CLUSTER_NAME: &str = "cluster_name";

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// All about the node.
pub(super) fn add(source: &Source, metrics: &Metrics, out: &mut Exposition) {
    coarse(source, out);
    limits(source, metrics, out);
    persister(source, out);
    for (name, what, is_on) in [
        ("alarms_free_disk_space_watermark", "free disk space watermark", metrics.disk_alarm),
        ("alarms_memory_used_watermark", "VM memory watermark", metrics.memory_alarm),
    ] {
        out.gauge(name, &format!("is 1 if {what} alarm is in effect"), u64::from(is_on));
    }
}

/// What was asked for by RabbitMQ's names of groups.
pub(super) fn add_wanted(
    source: &Source,
    metrics: &Metrics,
    wanted: &Wanted,
    out: &mut Exposition,
) {
    if wanted.has("node_coarse_metrics") {
        coarse(source, out);
    }
    if wanted.has("node_metrics") {
        limits(source, metrics, out);
    }
    if wanted.has("node_persister_metrics") {
        persister(source, out);
    }
}

fn coarse(source: &Source, out: &mut Exposition) {
    out.gauge("process_open_fds", "Open file descriptors", usage::open_files());
    out.gauge("process_resident_memory_bytes", "Memory used in bytes", usage::resident());
    let free = usage::disk_free(&source.data_dir);
    out.gauge("disk_space_available_bytes", "Disk space available in bytes", free);
}

fn limits(source: &Source, metrics: &Metrics, out: &mut Exposition) {
    let files = usage::open_files_max().map_or(f64::INFINITY, |most| most as f64);
    out.gauges("process_max_fds", "Open file descriptors limit", [(Labels::new(), files)]);
    // What else there is comes on top of messages, which may have half of it.
    let limit = metrics.limits.memory_max.unwrap_or(0).saturating_mul(2);
    out.gauge("resident_memory_limit_bytes", "Memory high watermark in bytes", limit);
    let help = "Free disk space low watermark in bytes";
    out.gauge("disk_space_available_limit_bytes", help, metrics.limits.disk_free_min.unwrap_or(0));
    let uptime = source.started.elapsed().as_secs_f64();
    out.gauges("erlang_uptime_seconds", "Node uptime", [(Labels::new(), uptime)]);
}

fn persister(source: &Source, out: &mut Exposition) {
    let disk = source.disk.metrics();
    let sync = [&disk.log_sync, &disk.other_sync];
    let all: [(&str, &[&DiskUse]); 3] =
        [("read", &[&disk.read]), ("write", &[&disk.write]), ("sync", &sync)];
    for (name, used) in all {
        let count = used.iter().map(|used| used.times.count()).sum();
        let help = format!("Total number of I/O {name} operations");
        out.counter(&format!("io_{name}_ops_total"), &help, count);
        let micros: u64 = used.iter().map(|used| used.times.sum()).sum();
        let help = format!("Total I/O {name} time");
        let seconds = [(Labels::new(), micros as f64 / MICROS)];
        out.counters(&format!("io_{name}_time_seconds_total"), &help, seconds);
    }
    out.counter("io_read_bytes_total", "Total number of I/O bytes read", disk.read.bytes);
    out.counter("io_write_bytes_total", "Total number of I/O bytes written", disk.write.bytes);
}

/// What takes memory, as far as there is something like it in RabbitMQ.
pub(super) fn memory(metrics: &Metrics, out: &mut Exposition) {
    let memory = &metrics.memory;
    let messages = memory.messages + memory.uncommitted + memory.history;
    out.gauge("memory_binary_heap_bytes", "Binary heap size in bytes", messages);
    let other = usage::resident().saturating_sub(messages);
    out.gauge("memory_other_system_bytes", "Other runtime footprint in bytes", other);
}

/// What this is, and which node of which cluster.
pub(super) async fn identity(
    source: &Source,
    broker: &BrokerHandle,
    endpoint: &str,
    out: &mut Exposition,
) {
    let version = env!("CARGO_PKG_VERSION");
    let labels = vec![
        label("rabbitmq_version", management::RABBITMQ_VERSION),
        label("prometheus_plugin_version", version),
        label("prometheus_client_version", version),
        label("erlang_version", ""),
        label("product_version", version),
        label("product_name", "Warren"),
    ];
    out.gauges("build_info", "RabbitMQ & Erlang/OTP version info", [(labels, 1.0)]);
    let (cluster, id) = cluster(broker).await;
    let labels = vec![
        label("rabbitmq_node", &*source.node_name),
        label("rabbitmq_cluster", cluster.unwrap_or_else(|| source.node_name.clone())),
        label("rabbitmq_cluster_permanent_id", format!("{RABBITMQ}cluster_id_{id:016x}")),
        label("rabbitmq_endpoint", endpoint),
    ];
    out.gauges("identity_info", "RabbitMQ node & cluster identity info", [(labels, 1.0)]);
}

/// What the cluster is called, if anybody has named it, and the number that its data has.
async fn cluster(broker: &BrokerHandle) -> (Option<String>, u64) {
    let look = |broker: &warren_core::Broker| {
        let mut all = broker.parameters(None, None);
        let found = all.find(|one| one.name == *CLUSTER_NAME);
        (found.map(|one| one.value), broker.log_identity())
    };
    let (value, id) = broker.look(look).await;
    let value = value.and_then(|value| serde_json::from_slice::<Value>(&value).ok());
    (value.and_then(|value| value.as_str().map(str::to_owned)), id)
}
