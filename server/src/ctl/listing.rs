//! Listings of which columns can be chosen: queues, connections, and so on.

use serde_json::Value;

use super::call::{Call, joined};
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use super::table::Row;

/// What can be listed.
pub(super) struct Listing {
    /// Where the API has it. Below it are those of a virtual host, if there are such.
    path: &'static str,
    is_of_vhost: bool,
    /// The columns that are shown where none is asked for.
    default: &'static [&'static str],
    /// Where the API has each column; nowhere, if RabbitMQ has it and Warren has not.
    columns: &'static [(&'static str, &'static str)],
    /// Columns that cost the broker least, if all that are asked for are among them.
    cheap: &'static [&'static str],
}

/// The table of columns that the API calls the same, and of others.
macro_rules! columns {
    ($($name:literal $(= $path:literal)?)*) => { &[$(columns!(@ $name $($path)?)),*] };
    (@ $name:literal) => { ($name, $name) };
    (@ $name:literal $path:literal) => { ($name, $path) };
}

pub(super) const QUEUES: Listing = Listing {
    path: "queues",
    is_of_vhost: true,
    default: &["name", "messages"],
    columns: columns! {
        "name" "durable" "auto_delete" "arguments" "policy" "operator_policy"
        "effective_policy_definition" "pid" = "" "owner_pid" "exclusive"
        "exclusive_consumer_pid" = "" "exclusive_consumer_tag" "messages_ready"
        "messages_unacknowledged" "messages" "messages_ready_ram" = "messages_ram"
        "messages_unacknowledged_ram" = "messages_unacknowledged" "messages_ram"
        "messages_persistent" = "" "message_bytes" "message_bytes_ready"
        "message_bytes_unacknowledged" = "" "message_bytes_ram" = ""
        "message_bytes_persistent" = "" "head_message_timestamp" = "" "disk_reads" = ""
        "disk_writes" = "" "consumers" "consumer_utilisation" "consumer_capacity" "memory"
        "slave_pids" = "" "synchronised_slave_pids" = "" "state" "type" "leader" "members"
        "online" "vhost"
    },
    cheap: &[
        "name",
        "vhost",
        "durable",
        "auto_delete",
        "arguments",
        "exclusive",
        "messages",
        "messages_ready",
        "messages_unacknowledged",
        "state",
        "type",
        "leader",
        "members",
        "online",
    ],
};

pub(super) const EXCHANGES: Listing = Listing {
    path: "exchanges",
    is_of_vhost: true,
    default: &["name", "type"],
    columns: columns! {
        "name" "type" "durable" "auto_delete" "internal" "arguments" "policy" "vhost"
    },
    cheap: &[],
};

pub(super) const BINDINGS: Listing = Listing {
    path: "bindings",
    is_of_vhost: true,
    default: &[
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ],
    columns: columns! {
        "source_name" = "source" "source_kind" = "source_kind" "destination_name" = "destination"
        "destination_kind" = "destination_type" "routing_key" "arguments" "vhost"
    },
    cheap: &[],
};

pub(super) const CONNECTIONS: Listing = Listing {
    path: "connections",
    is_of_vhost: false,
    default: &["user", "peer_host", "peer_port", "state"],
    columns: columns! {
        "pid" "name" "port" "host" "peer_port" "peer_host" "ssl" "ssl_protocol"
        "ssl_key_exchange" = "" "ssl_cipher" = "" "ssl_hash" = "" "peer_cert_subject"
        "peer_cert_issuer" "peer_cert_serial_number" = "" "peer_cert_validity" "state" "channels"
        "protocol" "auth_mechanism" "user" "vhost" "container_id" = "" "timeout" "frame_max"
        "channel_max" "client_properties" "recv_oct" "recv_cnt" = "" "send_oct" "send_cnt" = ""
        "send_pend" "connected_at" "user_provided_name"
    },
    cheap: &[],
};

pub(super) const CHANNELS: Listing = Listing {
    path: "channels",
    is_of_vhost: false,
    default: &["pid", "user", "consumer_count", "messages_unacknowledged"],
    columns: columns! {
        "pid" "connection" = "connection_pid" "name" "number" "user" "vhost" "transactional"
        "confirm" "consumer_count" "messages_unacknowledged" "messages_uncommitted"
        "acks_uncommitted" "messages_unconfirmed" "prefetch_count" "global_prefetch_count"
        "state" "interceptors" = ""
    },
    cheap: &[],
};

pub(super) const CONSUMERS: Listing = Listing {
    path: "consumers",
    is_of_vhost: true,
    default: &[
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ],
    columns: columns! {
        "queue_name" = "queue.name" "channel_pid" = "channel_details.pid" "consumer_tag"
        "ack_required" "prefetch_count" "active" "activity_status" "arguments"
    },
    cheap: &[],
};

pub(super) const VHOSTS: Listing = Listing {
    path: "vhosts",
    is_of_vhost: false,
    default: &["name"],
    columns: columns! {
        "name" "description" "tags" "default_queue_type" "protected_from_deletion" "tracing"
        "cluster_state" "metadata"
    },
    cheap: &[],
};

pub(super) async fn list(call: &Call, listing: &Listing) -> Answer {
    let columns = chosen(&call.all("column"), listing.default, |name| {
        listing.columns.iter().find(|(known, _)| *known == name).copied()
    })?;
    let vhost = call.vhost();
    match listing.path {
        "queues" => {
            let seconds = call.options.timeout.map_or(60.0, |timeout| timeout.as_secs_f64());
            call.banner(format!("Timeout: {seconds:?} seconds ..."));
            call.banner(format!("Listing queues for vhost {vhost} ..."));
        }
        "exchanges" => call.banner(format!("Listing exchanges for vhost {vhost} ...")),
        "bindings" => call.banner(format!("Listing bindings for vhost {vhost}...")),
        "consumers" => call.banner(format!("Listing consumers in vhost {vhost} ...")),
        all => call.banner(format!("Listing {all} ...")),
    }
    if listing.path == "queues" && call.is_set("offline") && !call.is_set("online") {
        return Ok(Output::Rows(Vec::new()));
    }
    let found = read(call, listing, &columns).await?;
    let row = |object: &Value| -> Row {
        columns.iter().map(|(name, path)| (*name, at(object, path))).collect()
    };
    Ok(Output::Rows(found.as_array().into_iter().flatten().map(row).collect()))
}

async fn read(
    call: &Call,
    listing: &Listing,
    columns: &[(&'static str, &'static str)],
) -> Result<Value, Failure> {
    let mut path = vec![listing.path];
    if listing.is_of_vhost {
        path.push(call.vhost());
    }
    let paths: Vec<_> = columns.iter().map(|(_, path)| *path).collect();
    let is_cheap = paths.iter().all(|path| listing.cheap.contains(path));
    let detail = if is_cheap { "&disable_stats=true&enable_queue_totals=true" } else { "" };
    let path = format!("{}?columns={}{detail}", joined(&path), paths.join(","));
    // All that there need be is the virtual host.
    call.find_at(&path).await?.ok_or_else(|| Failure::no_vhost(call.vhost()))
}

/// # Errors
/// When the virtual host that was asked for is not there.
pub(super) async fn check_vhost(call: &Call) -> Result<(), Failure> {
    match call.find(&["vhosts", call.vhost()]).await? {
        Some(_) => Ok(()),
        None => Err(Failure::no_vhost(call.vhost())),
    }
}

/// The columns that were asked for, with spaces or commas between them, each once.
///
/// # Errors
/// When there is no such column.
pub(super) fn chosen<T: Copy>(
    asked: &[&str],
    default: &[&'static str],
    find: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let asked = if asked.is_empty() { default } else { asked };
    let names = asked.iter().flat_map(|names| names.split(',')).map(str::trim);
    let mut seen: Vec<&str> = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let (known, unknown): (Vec<_>, Vec<_>) =
        seen.into_iter().map(|name| (name, find(name))).partition(|(_, found)| found.is_some());
    if unknown.is_empty() {
        return Ok(known.into_iter().filter_map(|(_, found)| found).collect());
    }
    let unknown: Vec<_> = unknown.into_iter().map(|(name, _)| name).collect();
    Err(Failure::usage(format!(
        "Error (argument validation): Info key(s) {} are not supported",
        unknown.join(",")
    )))
}

/// What a path of keys leads to.
fn at(object: &Value, path: &str) -> Value {
    match path {
        "source_kind" => Value::from("exchange"),
        _ => path
            .split('.')
            .try_fold(object, |value, key| value.get(key))
            .cloned()
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_chosen_with_spaces_and_commas() {
        let find = |name: &str| ["a", "b", "c"].into_iter().find(|known| *known == name);
        let of = |asked: &[&str]| chosen(asked, &["c"], find);
        assert_eq!(of(&["a,b,", "a"]).expect("are known"), ["a", "b"]);
        assert_eq!(of(&[]).expect("are known"), ["c"]);
        assert!(of(&["a", "x,y"]).is_err());
    }

    #[test]
    fn columns_by_default_are_columns_and_cheap_ones_too() {
        for listing in [QUEUES, EXCHANGES, BINDINGS, CONNECTIONS, CHANNELS, CONSUMERS, VHOSTS] {
            for name in listing.default.iter().chain(listing.cheap) {
                assert!(listing.columns.iter().any(|(known, _)| known == name), "{name}");
            }
        }
    }

    #[test]
    fn a_column_may_lie_below_another() {
        let object = json!({ "queue": { "name": "q" }, "n": 1 });
        assert_eq!(at(&object, "queue.name"), json!("q"));
        assert_eq!(at(&object, "queue.none"), Value::Null);
    }
}
