//! Connections, channels and consumers.

use std::rc::Rc;

use serde_json::{Value, json};
use warren_core::amqp::ShortStr;
use warren_core::listing::{ChannelInfo, ConnectionInfo, ConsumerInfo};
use warren_core::{Command, ConnectionId};
use warren_io::Octets;

use super::State;
use super::auth::Tag;
use super::call::{Answer, Call, Failure, Reply};
use super::json as table;
use super::page::{self, Row};
use super::{rates, reading};

/// What clients are told that somebody has closed, unless there is a reason.
const CLOSED: &str = "Closed via management plugin";

pub(super) async fn connections(call: Call) -> Answer {
    let connections = visible(&call, reading::connections(&call.state.broker).await).await?;
    let rows = rows(&call.state, connections).await;
    page::list(&call, rows)
}

/// The connections of one user.
pub(super) async fn connections_of_user(call: Call) -> Answer {
    let user = call.name("user")?;
    let connections = reading::connections(&call.state.broker).await.into_iter();
    let connections = connections.filter(|connection| connection.user == user).collect();
    let connections = visible(&call, connections).await?;
    let rows = rows(&call.state, connections).await;
    page::list(&call, rows)
}

pub(super) async fn one(call: Call) -> Answer {
    let found = find(&call).await?;
    let mut rows = rows(&call.state, vec![found]).await;
    page::one(&call, rows.pop().ok_or_else(Failure::no_object)?.json())
}

pub(super) async fn channels_of(call: Call) -> Answer {
    let id = find(&call).await?.id;
    let channels = reading::channels_of(&call.state.broker, id).await;
    let rows = channels.into_iter().map(|channel| ChannelRow::new(channel, &call.state));
    page::list(&call, rows.collect())
}

pub(super) async fn channels(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let channels = reading::channels(&call.state.broker).await.into_iter();
    let channels =
        channels.filter(|channel| vhosts.contains(&channel.vhost) && may_see(&call, &channel.user));
    let rows = channels.map(|channel| ChannelRow::new(channel, &call.state));
    page::list(&call, rows.collect())
}

pub(super) async fn channel(call: Call) -> Answer {
    let wanted = call.param("channel").unwrap_or_default();
    let channels = reading::channels(&call.state.broker).await;
    let found = channels.iter().find(|channel| channel_name(channel) == wanted);
    let found = found.filter(|channel| may_see(&call, &channel.user));
    let found = found.ok_or_else(Failure::no_object)?;
    let mut json = channel_json(found, &call.state);
    let consumers = reading::consumers(&call.state.broker).await.into_iter();
    let own = consumers.filter(|consumer| {
        consumer.connection == found.connection && consumer.channel == found.number
    });
    json["consumer_details"] =
        own.map(|consumer| consumer_json(&consumer, &call.state.node.name)).collect();
    json["publishes"] = json!([]);
    json["deliveries"] = json!([]);
    page::one(&call, json)
}

pub(super) async fn consumers(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let consumers = reading::consumers(&call.state.broker).await.into_iter();
    let consumers = consumers
        .filter(|consumer| vhosts.contains(&consumer.vhost) && may_see(&call, &consumer.user));
    let row = |info| ConsumerRow { info, state: Rc::clone(&call.state) };
    page::list(&call, consumers.map(row).collect())
}

struct ConsumerRow {
    info: ConsumerInfo,
    state: Rc<State>,
}

impl Row for ConsumerRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.info.vhost, &self.info.queue)
    }

    fn json(&self) -> Value {
        consumer_json(&self.info, &self.state.node.name)
    }
}

/// Those of the connections that the one who asks may see, in the virtual host that the path names.
async fn visible(
    call: &Call,
    connections: Vec<ConnectionInfo>,
) -> Result<Vec<ConnectionInfo>, Failure> {
    let vhosts = call.vhosts().await?;
    let is_visible = |connection: &ConnectionInfo| {
        let is_there = connection.vhost.as_ref().is_none_or(|vhost| vhosts.contains(vhost));
        is_there && may_see(call, &connection.user)
    };
    Ok(connections.into_iter().filter(is_visible).collect())
}

/// Who may not see everything sees what is one's own.
fn may_see(call: &Call, user: &ShortStr) -> bool {
    call.user.name == *user || call.user.is(Tag::Monitoring)
}

/// The connection that the path names.
///
/// # Errors
/// When there is none that the one who asks may see.
pub(super) async fn find(call: &Call) -> Result<ConnectionInfo, Failure> {
    let wanted = call.param("connection").unwrap_or_default();
    let connections = reading::connections(&call.state.broker).await.into_iter();
    let mut found = connections.filter(|connection| connection.name == wanted);
    let found = found.next().filter(|connection| may_see(call, &connection.user));
    found.ok_or_else(Failure::no_object)
}

/// Closes a connection; the client is told why. Who does not run the broker may close own ones.
pub(super) async fn close(call: Call) -> Answer {
    let found = find(&call).await?;
    close_all(&call, vec![found]).await
}

/// Closes the connections of a user.
pub(super) async fn close_of_user(call: Call) -> Answer {
    let user = call.name("user")?;
    let connections = reading::connections(&call.state.broker).await.into_iter();
    close_all(&call, connections.filter(|connection| connection.user == user).collect()).await
}

async fn close_all(call: &Call, connections: Vec<ConnectionInfo>) -> Answer {
    for found in connections {
        if found.user != call.user.name {
            call.user.check(Tag::Administrator)?;
        }
        let reason = call.reason.clone().unwrap_or_else(|| CLOSED.to_owned());
        let command = Command::CloseConnection { connection: found.id, reason };
        call.state.broker.command(command).await?;
    }
    Ok(Reply::Done)
}

async fn rows(state: &Rc<State>, connections: Vec<ConnectionInfo>) -> Vec<ConnectionRow> {
    let ids = connections.iter().map(|connection| connection.id).collect();
    let octets = state.broker.octets(ids).await;
    let pairs = connections.into_iter().zip(octets);
    let row = |(info, octets): (ConnectionInfo, _)| {
        let (vhost, name) = (info.vhost.clone().unwrap_or_default(), name_of(&info.name));
        ConnectionRow { vhost, name, info, octets, state: Rc::clone(state) }
    };
    pairs.map(row).collect()
}

struct ConnectionRow {
    vhost: ShortStr,
    name: ShortStr,
    info: ConnectionInfo,
    octets: Octets,
    state: Rc<State>,
}

impl Row for ConnectionRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.vhost, &self.name)
    }

    fn json(&self) -> Value {
        to_json(&self.info, self.octets, &self.state)
    }
}

fn to_json(info: &ConnectionInfo, octets: Octets, state: &State) -> Value {
    let node = &state.node;
    let Ends { peer_host, peer_port, host, port } = Ends::of(&info.name);
    let mut json = json!({
        "name": info.name,
        "pid": pid(info.id, 0, &node.name),
        "node": node.name,
        "type": "network",
        "state": info.state,
        "user": info.user.to_text(),
        "user_who_performed_action": info.user.to_text(),
        "vhost": table::text(info.vhost.as_ref()),
        "protocol": "AMQP 0-9-1",
        "auth_mechanism": info.mechanism.to_text(),
        "peer_host": peer_host,
        "peer_port": peer_port,
        "host": host,
        "port": port,
        "ssl": is_secure(&node.urls, port),
        "ssl_protocol": null,
        "peer_cert_subject": null,
        "peer_cert_issuer": null,
        "peer_cert_validity": null,
        "channels": info.channels,
        "channel_max": info.channel_max,
        "frame_max": info.frame_max,
        "timeout": info.heartbeat.as_secs(),
        "client_properties": table::from_table(&info.client_properties),
        "connected_at": info.connected_ms,
        "send_pend": 0,
    });
    let octets = [("recv_oct", octets.received), ("send_oct", octets.sent)];
    let rates = state.rates.of_object(format!("connection {}", info.name), &octets);
    rates.into_iter().for_each(|(key, value)| json[key] = value);
    if let Some(name) = &info.client_name {
        json["user_provided_name"] = json!(name);
    }
    json
}

/// Whether who connects to this port of AMQP speaks TLS: all do there, or nobody.
fn is_secure(urls: &[String], port: u16) -> bool {
    urls.iter().any(|url| {
        let address = url.strip_prefix("amqps://");
        let parsed = address.and_then(|address| address.parse::<std::net::SocketAddr>().ok());
        parsed.is_some_and(|address| address.port() == port)
    })
}

/// A connection in what is said of other objects.
pub(super) fn details(name: &str) -> Value {
    let Ends { peer_host, peer_port, .. } = Ends::of(name);
    json!({ "name": name, "peer_host": peer_host, "peer_port": peer_port })
}

fn channel_name(info: &ChannelInfo) -> String {
    format!("{} ({})", info.connection_name, info.number)
}

struct ChannelRow {
    name: ShortStr,
    info: ChannelInfo,
    state: Rc<State>,
}

impl ChannelRow {
    fn new(info: ChannelInfo, state: &Rc<State>) -> Self {
        Self { name: name_of(&channel_name(&info)), info, state: Rc::clone(state) }
    }
}

impl Row for ChannelRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.info.vhost, &self.name)
    }

    fn json(&self) -> Value {
        channel_json(&self.info, &self.state)
    }
}

fn channel_json(info: &ChannelInfo, state: &State) -> Value {
    let (name, node) = (channel_name(info), &state.node.name);
    let counters = rates::of_channel(&info.counters);
    json!({
        "message_stats": state.rates.of_object(format!("channel {name}"), &counters),
        "name": name,
        "pid": pid(info.connection, info.number, node),
        "connection_pid": pid(info.connection, 0, node),
        "number": info.number,
        "node": node,
        "user": info.user.to_text(),
        "user_who_performed_action": info.user.to_text(),
        "vhost": info.vhost.to_text(),
        "state": if info.is_held_up { "flow" } else { "running" },
        "connection_details": details(&info.connection_name),
        "prefetch_count": info.prefetch,
        "global_prefetch_count": info.prefetch_together,
        "consumer_count": info.consumers,
        "messages_unacknowledged": info.unacked,
        "messages_unconfirmed": info.unconfirmed,
        "messages_uncommitted": info.uncommitted,
        "acks_uncommitted": info.acks_uncommitted,
        "pending_raft_commands": 0,
        "confirm": info.confirms,
        "transactional": info.is_transactional,
    })
}

/// A consumer as JSON.
pub(super) fn consumer_json(info: &ConsumerInfo, node: &str) -> Value {
    let Ends { peer_host, peer_port, .. } = Ends::of(&info.connection_name);
    let mut arguments = json!({});
    if info.priority != 0 {
        arguments["x-priority"] = json!(info.priority);
    }
    if let Some(timeout) = info.timeout {
        arguments["x-consumer-timeout"] = json!(timeout.as_millis() as u64);
    }
    json!({
        "queue": { "name": info.queue.to_text(), "vhost": info.vhost.to_text() },
        "consumer_tag": info.tag.to_text(),
        "channel_details": {
            "name": format!("{} ({})", info.connection_name, info.channel),
            "pid": pid(info.connection, info.channel, node),
            "number": info.channel,
            "node": node,
            "user": info.user.to_text(),
            "connection_name": info.connection_name,
            "peer_host": peer_host,
            "peer_port": peer_port,
        },
        "ack_required": info.acks,
        "prefetch_count": info.prefetch,
        "exclusive": info.is_exclusive,
        "active": info.is_active,
        "activity_status": if info.is_active { "up" } else { "waiting" },
        "messages_unacknowledged": info.unacked,
        "arguments": arguments,
    })
}

/// What RabbitMQ's tools know a connection by, or a channel, which has a number: one word, of the
/// form that the identifiers of Erlang's processes have.
pub(super) fn pid(id: ConnectionId, channel: u16, node: &str) -> String {
    let number = id.to_number();
    format!("<{node}.{}.{}.{channel}>", number >> 32, number & u64::from(u32::MAX))
}

/// Names of connections are longer than the broker's own may be: as much as fits is enough to sort.
fn name_of(text: &str) -> ShortStr {
    ShortStr::truncated(text.as_bytes())
}

/// The two ends of a connection.
struct Ends {
    peer_host: String,
    peer_port: u16,
    host: String,
    port: u16,
}

impl Ends {
    /// From its name: `127.0.0.1:51234 -> 127.0.0.1:5672`.
    fn of(name: &str) -> Self {
        let (peer, own) = name.split_once(" -> ").unwrap_or((name, ""));
        let part = |end: &str| match end.parse::<std::net::SocketAddr>() {
            Ok(address) => (address.ip().to_string(), address.port()),
            Err(_) => (end.to_owned(), 0),
        };
        let ((peer_host, peer_port), (host, port)) = (part(peer), part(own));
        Self { peer_host, peer_port, host, port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_connection_are_in_its_name() {
        let Ends { peer_host, peer_port, host, port } = Ends::of("[::1]:51234 -> 127.0.0.1:5672");
        assert_eq!((&*peer_host, peer_port, &*host, port), ("::1", 51234, "127.0.0.1", 5672));
        assert_eq!(Ends::of("elsewhere").peer_host, "elsewhere");
    }

    #[test]
    fn who_speaks_tls_is_known_by_the_port() {
        let urls = ["amqp://0.0.0.0:5672", "amqps://[::]:5671", "https://0.0.0.0:15671"];
        let urls = urls.map(str::to_owned);
        assert_eq!(
            [5671, 5672, 15671, 0].map(|port| is_secure(&urls, port)),
            [true, false, false, false]
        );
    }
}
