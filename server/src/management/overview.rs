//! What there is at a glance, and the node.

use std::net::SocketAddr;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use super::auth::Tag;
use super::call::{Answer, Call, Failure, Reply};
use super::page::{self, Ready};
use super::{PLUGINS, RABBITMQ_VERSION, State, parameter, rates};
use crate::usage;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The types of exchanges, and what they do.
const EXCHANGE_TYPES: [(&str, &str); 10] = [
    ("direct", "AMQP direct exchange, as per the AMQP specification"),
    ("fanout", "AMQP fanout exchange, as per the AMQP specification"),
    ("headers", "AMQP headers exchange, as per the AMQP specification"),
    ("topic", "AMQP topic exchange, as per the AMQP specification"),
    ("x-consistent-hash", "Consistent Hashing Exchange"),
    ("x-delayed-message", "Delayed Message Exchange"),
    ("x-local-random", "Picks one random local binding (queue) to route via (to)."),
    ("x-modulus-hash", "Modulus Hashing Exchange"),
    ("x-random", "Randomly picks one binding (queue) to route via (to)."),
    ("x-recent-history", "Recent History Exchange"),
];

pub(super) async fn overview(call: Call) -> Answer {
    let state = &call.state;
    let sums = rates::sums(state).await;
    let totals = state.broker.look(|broker| broker.totals()).await;
    let lengths = state.rates.history(&call.query, "lengths");
    let messages = state.rates.history(&call.query, "msg_rates");
    let mut queue_totals = json!({});
    lengths.add(&mut queue_totals, "messages", sums.ready + sums.unacked, |sums| {
        sums.ready + sums.unacked
    });
    lengths.add(&mut queue_totals, "messages_ready", sums.ready, |sums| sums.ready);
    lengths.add(&mut queue_totals, "messages_unacknowledged", sums.unacked, |sums| sums.unacked);
    let types = EXCHANGE_TYPES.map(
        |(name, description)| json!({ "name": name, "description": description, "enabled": true }),
    );
    let own = ends(state).filter(|(protocol, ..)| *protocol == "http");
    let contexts: Vec<_> = own
        .map(|(_, ip, port)| {
            json!({
                "node": state.node.name,
                "description": "RabbitMQ Management",
                "path": "/",
                "ip": ip,
                "port": port.to_string(),
                "ssl_opts": [],
            })
        })
        .collect();
    let overview = json!({
        "management_version": RABBITMQ_VERSION,
        "rates_mode": "basic",
        "sample_retention_policies": {
            "global": [600, 3600], "basic": [600], "detailed": [600],
        },
        "exchange_types": types,
        "product_name": "Warren",
        "product_version": VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "cluster_name": parameter::cluster_name_of(state).await,
        "cluster_tags": {},
        "node_tags": {},
        "erlang_version": "",
        "erlang_full_version": "",
        "release_series_support_status": "supported",
        "disable_stats": false,
        "enable_queue_totals": false,
        "is_op_policy_updating_enabled": true,
        "message_stats": messages.message_stats(&sums),
        "churn_rates": messages.churn_rates(&sums),
        "queue_totals": queue_totals,
        "object_totals": {
            "channels": totals.channels,
            "connections": totals.connections,
            "consumers": totals.consumers,
            "exchanges": totals.exchanges,
            "queues": totals.queues,
        },
        "statistics_db_event_queue": 0,
        "node": state.node.name,
        "listeners": listeners(state),
        "contexts": contexts,
    });
    page::one(&call, overview)
}

/// What this node listens on.
pub(super) fn listeners(state: &State) -> Value {
    let listener = |(protocol, ip, port): (&str, String, u16)| {
        json!({
            "node": state.node.name,
            "protocol": protocol,
            "ip_address": ip,
            "port": port,
            "socket_opts": {},
        })
    };
    ends(state).map(listener).collect()
}

/// What is spoken, at which IP address and port.
fn ends(state: &State) -> impl Iterator<Item = (&'static str, String, u16)> {
    state.node.urls.iter().filter_map(|url| {
        let (scheme, address) = url.split_once("://")?;
        let address: SocketAddr = address.parse().ok()?;
        let protocol = match scheme {
            "amqp" => "amqp",
            "amqps" => "amqp/ssl",
            "http" => "http",
            "https" => "https",
            "http/prometheus" => "http/prometheus",
            _ => return None,
        };
        Some((protocol, address.ip().to_string(), address.port()))
    })
}

pub(super) async fn whoami(call: Call) -> Answer {
    Ok(Reply::Json(json!({
        "name": call.user.name.to_text(),
        "tags": call.user.tags.iter().map(|tag| tag.to_text()).collect::<Vec<_>>(),
        "is_internal_user": true,
    })))
}

pub(super) async fn version(_call: Call) -> Answer {
    Ok(Reply::Json(json!(RABBITMQ_VERSION)))
}

pub(super) async fn extensions(_call: Call) -> Answer {
    Ok(Reply::Json(json!([{ "javascript": "dispatcher.js" }])))
}

pub(super) async fn auth(_call: Call) -> Answer {
    Ok(Reply::Json(json!({ "oauth_enabled": false })))
}

/// They are enabled.
pub(super) async fn enable_feature_flag(call: Call) -> Answer {
    let is_known = FEATURE_FLAGS.iter().any(|known| call.param("name") == Some(known));
    if is_known { Ok(Reply::Done) } else { Err(Failure::no_object()) }
}

/// RabbitMQ's switches for what came with its versions. All of it is there.
pub(super) async fn feature_flags(call: Call) -> Answer {
    let rows = FEATURE_FLAGS.iter().map(|name| Ready {
        vhost: "".into(),
        name: (*name).into(),
        json: json!({
            "name": name,
            "state": "enabled",
            "stability": "required",
            "desc": "",
            "doc_url": "",
            "provided_by": "rabbit",
        }),
    });
    page::list(&call, rows.collect())
}

/// Those that tools look for.
const FEATURE_FLAGS: [&str; 8] = [
    "classic_mirrored_queue_version",
    "direct_exchange_routing_v2",
    "drop_unroutable_metric",
    "empty_basic_get_metric",
    "implicit_default_bindings",
    "maintenance_mode_status",
    "quorum_queue",
    "user_limits",
];

/// What tools ask for that is not there: features that are deprecated, shovels, links.
pub(super) async fn nothing(call: Call) -> Answer {
    page::list(&call, Vec::<Ready>::new())
}

/// What RabbitMQ's tools do where queues have copies on several nodes.
pub(super) async fn rebalance(_call: Call) -> Answer {
    Ok(Reply::Done)
}

pub(super) async fn nodes(call: Call) -> Answer {
    let json = node_json(&call.state).await;
    let name = warren_core::amqp::ShortStr::truncated(call.state.node.name.as_bytes());
    page::list(&call, vec![Ready { vhost: "".into(), name, json }])
}

pub(super) async fn node(call: Call) -> Answer {
    if call.param("node") != Some(&*call.state.node.name) {
        return Err(Failure::no_object());
    }
    call.user.check(Tag::Monitoring)?;
    let json = node_json(&call.state).await;
    page::one(&call, json)
}

/// What takes memory, as far as it is told apart.
pub(super) async fn memory(call: Call) -> Answer {
    if call.param("node") != Some(&*call.state.node.name) {
        return Err(Failure::no_object());
    }
    let messages = call.state.broker.look(|broker| broker.memory()).await;
    let total = usage::resident();
    let mut memory = json!({
        "strategy": "rss",
        "binary": messages,
        "other_proc": total.saturating_sub(messages),
        "total": { "rss": total, "allocated": total, "erlang": total },
    });
    ABSENT_MEMORY.iter().for_each(|part| memory[*part] = json!(0));
    page::one(&call, json!({ "memory": memory }))
}

/// What RabbitMQ has memory for, and tools count on to be told of, and there is not here, or not
/// apart from the rest.
const ABSENT_MEMORY: [&str; 24] = [
    "connection_readers",
    "connection_writers",
    "connection_channels",
    "connection_other",
    "queue_procs",
    "quorum_queue_procs",
    "quorum_queue_dlx_procs",
    "stream_queue_procs",
    "stream_queue_replica_reader_procs",
    "stream_queue_coordinator_procs",
    "plugins",
    "metadata_store",
    "metrics",
    "mgmt_db",
    "mnesia",
    "quorum_ets",
    "metadata_store_ets",
    "other_ets",
    "msg_index",
    "code",
    "atom",
    "other_system",
    "allocated_unused",
    "reserved_unallocated",
];

async fn node_json(state: &State) -> Value {
    let look =
        |broker: &warren_core::Broker| (broker.totals(), broker.alarms(), broker.resource_limits());
    let (totals, (memory_alarm, disk_alarm), limits) = state.broker.look(look).await;
    let files = usage::open_files();
    let files_max = usage::open_files_max();
    let processors = available_parallelism().map_or(1, usize::from);
    let node = &state.node;
    let up = state.started.elapsed().as_millis() as u64;
    let config_files = node.config_files.iter().map(|file| file.display().to_string());
    json!({
        "name": node.name,
        "type": "disc",
        "running": true,
        "being_drained": false,
        "os_pid": std::process::id().to_string(),
        "mem_used": usage::resident(),
        // What else there is comes on top of messages, which may have half of it.
        "mem_limit": limits.memory_max.unwrap_or(0).saturating_mul(2),
        "mem_alarm": memory_alarm,
        "mem_calculation_strategy": "rss",
        "disk_free": usage::disk_free(&node.data_dir),
        "disk_free_limit": limits.disk_free_min,
        "disk_free_alarm": disk_alarm,
        "fd_used": files,
        "fd_total": files_max,
        "sockets_used": totals.connections,
        "sockets_total": files_max,
        "proc_used": totals.connections + totals.channels + totals.queues,
        "proc_total": 1 << 24,
        "processors": processors,
        "run_queue": 0,
        "uptime": up,
        "rates_mode": "basic",
        "net_ticktime": 60,
        "db_dir": node.data_dir.display().to_string(),
        "config_files": config_files.collect::<Vec<_>>(),
        "log_files": node.logs.locations(),
        "enabled_plugins": PLUGINS.map(|(name, _)| name),
        "auth_mechanisms": [
            { "name": "PLAIN", "description": "SASL PLAIN authentication mechanism",
              "enabled": true },
            { "name": "AMQPLAIN", "description": "QPid AMQPLAIN mechanism", "enabled": true },
        ],
        "exchange_types": EXCHANGE_TYPES.map(|(name, description)| {
            json!({ "name": name, "description": description, "enabled": true })
        }),
        "applications": [{
            "name": "rabbit", "description": "Warren", "version": VERSION,
        }],
        "partitions": [],
        "cluster_links": [],
        "metrics_gc_queue_length": {},
        "ra_open_file_metrics": {},
    })
}
