//! A line for each queue, channel and connection, read in pages. What a family is of, and what
//! begins its names, is RabbitMQ's.

use regex_lite::{Regex, RegexBuilder};
use warren_core::amqp::{FieldValue, ShortStr};
use warren_core::listing::{
    ChannelCounters, ChannelInfo, ConnectionInfo, QueueCounters, QueueInfo,
};
use warren_io::BrokerHandle;

use super::exposition::{Exposition, Labels, label};
use super::{CLUSTER, DETAILED, RABBITMQ, aggregated};
use crate::management::{Query, as_of_queues, reading};

/// The longest pattern of names of queues.
const PATTERN_LEN_MAX: usize = 1024;

/// What of all objects is asked for.
pub(super) struct Wanted {
    /// RabbitMQ's names of groups of families; all of them if none is named.
    families: Option<Vec<String>>,
    /// All virtual hosts, if none is named.
    vhosts: Option<Vec<String>>,
    queues: Option<Regex>,
    prefix: &'static str,
}

impl Wanted {
    /// All there is.
    pub(super) fn everything() -> Self {
        Self { families: None, vhosts: None, queues: None, prefix: RABBITMQ }
    }

    /// What a query says: `family`, `vhost`, which may be there several times, and `queue`, a
    /// pattern.
    ///
    /// # Errors
    /// When the pattern is none.
    pub(super) fn new(query: &str) -> Result<Self, String> {
        let query = Query::new(query);
        let all = |name: &str| query.all(name).map(str::to_owned).collect::<Vec<_>>();
        let vhosts = Some(all("vhost")).filter(|vhosts| !vhosts.is_empty());
        let patterns = all("queue");
        let queues = match patterns.as_slice() {
            [] => None,
            [pattern] if pattern.len() > PATTERN_LEN_MAX => {
                return Err("'queue' regex too long".into());
            }
            [pattern] => {
                let compiled = RegexBuilder::new(pattern).size_limit(1 << 20).build();
                Some(compiled.map_err(|error| format!("Invalid 'queue' regex: {error}"))?)
            }
            _ => return Err("Only one 'queue' query parameter is allowed".into()),
        };
        Ok(Self { families: Some(all("family")), vhosts, queues, prefix: DETAILED })
    }

    /// Whether a group of families is asked for.
    pub(super) fn has(&self, family: &str) -> bool {
        let families = self.families.as_ref();
        families.is_none_or(|families| families.iter().any(|wanted| wanted == family))
    }

    fn has_any(&self, families: &[&str]) -> bool {
        families.iter().any(|family| self.has(family))
    }

    fn is_of(&self, vhost: &ShortStr) -> bool {
        self.vhosts.as_ref().is_none_or(|vhosts| vhosts.iter().any(|wanted| *vhost == **wanted))
    }

    fn is_queue(&self, queue: &QueueInfo) -> bool {
        let fits = |pattern: &Regex| pattern.is_match(&queue.name.to_text());
        self.is_of(&queue.vhost) && self.queues.as_ref().is_none_or(fits)
    }
}

/// All objects of what is wanted.
pub(super) async fn add(broker: &BrokerHandle, wanted: &Wanted, out: &mut Exposition) {
    let of_queues =
        ["queue_coarse_metrics", "queue_consumer_count", "queue_metrics", "queue_delivery_metrics"];
    if wanted.has_any(&of_queues) {
        let mut queues = reading::queues(broker).await;
        queues.retain(|queue| wanted.is_queue(queue));
        add_queues(&queues, wanted, out);
    }
    let of_channels = ["channel_metrics", "channel_exchange_metrics", "channel_queue_metrics"];
    if wanted.has_any(&of_channels) {
        let channels = reading::channels(broker).await;
        if wanted.has("channel_metrics") {
            add_channels(&channels, out);
        }
        add_channel_counters(&channels, wanted, out);
    }
    if wanted.has("channel_exchange_metrics") {
        add_exchange_counters(broker, wanted, out).await;
    }
    if wanted.has_any(&["connection_coarse_metrics", "connection_metrics"]) {
        add_connections(broker, wanted, out).await;
    }
    if wanted.families.is_some() {
        out.set_prefix(CLUSTER);
        add_cluster(broker, wanted, out).await;
        out.set_prefix(wanted.prefix);
    }
}

/// A family with a line for each queue: its name, what it is, and where it is found.
type OfQueue = (&'static str, &'static str, fn(&QueueInfo) -> u64);

const COARSE: [OfQueue; 3] = [
    ("queue_messages_ready", "Messages ready to be delivered to consumers", |queue| {
        queue.numbers.ready
    }),
    (
        "queue_messages_unacked",
        "Messages delivered to consumers but not yet acknowledged",
        |queue| queue.numbers.unacked,
    ),
    ("queue_messages", "Sum of ready and unacknowledged messages - total queue depth", |queue| {
        queue.numbers.ready + queue.numbers.unacked
    }),
];

const CONSUMERS: OfQueue =
    ("queue_consumers", "Consumers on a queue", |queue| queue.numbers.consumers);

const OF_QUEUES: [OfQueue; 5] = [
    ("queue_consumer_capacity", "Consumer capacity", capacity),
    ("queue_consumer_utilisation", "Same as consumer capacity", capacity),
    ("queue_messages_ready_ram", "Ready messages stored in memory", |queue| {
        queue.numbers.ready_in_memory
    }),
    ("queue_messages_ram", "Ready and unacknowledged messages stored in memory", |queue| {
        queue.numbers.ready_in_memory + queue.numbers.unacked
    }),
    ("queue_messages_ready_bytes", "Size in bytes of ready messages", |queue| {
        queue.numbers.ready_bytes
    }),
];

/// Whether consumers would take a message at once.
fn capacity(queue: &QueueInfo) -> u64 {
    u64::from(queue.numbers.consumers > 0 && queue.numbers.ready == 0)
}

/// What RabbitMQ counts for channels and for queues: both names, what it is, and where it is found.
pub(super) type Delivered = (&'static str, &'static str, &'static str, fn(&QueueCounters) -> u64);

pub(super) const DELIVERED: [Delivered; 6] = [
    (
        "channel_get_ack_total",
        "queue_get_ack_total",
        "Total number of messages fetched with basic.get in manual acknowledgement mode",
        |counters| counters.got,
    ),
    (
        "channel_get_total",
        "queue_get_total",
        "Total number of messages fetched with basic.get in automatic acknowledgement mode",
        |counters| counters.got_no_ack,
    ),
    (
        "channel_messages_delivered_ack_total",
        "queue_messages_delivered_ack_total",
        "Total number of messages delivered to consumers in manual acknowledgement mode",
        |counters| counters.delivered,
    ),
    (
        "channel_messages_delivered_total",
        "queue_messages_delivered_total",
        "Total number of messages delivered to consumers in automatic acknowledgement mode",
        |counters| counters.delivered_no_ack,
    ),
    (
        "channel_messages_redelivered_total",
        "queue_messages_redelivered_total",
        "Total number of messages redelivered to consumers",
        |counters| counters.redelivered,
    ),
    (
        "channel_messages_acked_total",
        "queue_messages_acked_total",
        "Total number of messages acknowledged by consumers",
        aggregated::acked,
    ),
];

fn add_queues(queues: &[QueueInfo], wanted: &Wanted, out: &mut Exposition) {
    let labels = |queue: &QueueInfo| -> Labels {
        vec![label("vhost", queue.vhost.to_text()), label("queue", queue.name.to_text())]
    };
    let gauges = |out: &mut Exposition, (name, help, of): OfQueue| {
        out.gauges(name, help, queues.iter().map(|queue| (labels(queue), of(queue) as f64)));
    };
    if wanted.has("queue_coarse_metrics") {
        COARSE.into_iter().for_each(|family| gauges(out, family));
    }
    if wanted.has_any(&["queue_consumer_count", "queue_metrics"]) {
        gauges(out, CONSUMERS);
    }
    if wanted.has("queue_metrics") {
        OF_QUEUES.into_iter().for_each(|family| gauges(out, family));
    }
    if wanted.has("queue_delivery_metrics") {
        for (_, name, help, of) in DELIVERED {
            let sample = |queue: &QueueInfo| (labels(queue), of(&queue.numbers.counters) as f64);
            out.counters(name, help, queues.iter().map(sample));
        }
    }
    let help = "A metric with a constant '1' value and labels that provide some queue details";
    let info = queues.iter().map(|queue| {
        let mut labels = labels(queue);
        let quorum = queue.arguments.find("x-queue-type").and_then(FieldValue::as_longstr);
        let kind = match quorum {
            Some(b"quorum") => "rabbit_quorum_queue",
            _ => "rabbit_classic_queue",
        };
        labels.extend([label("queue_type", kind), label("membership", "leader")]);
        (labels, 1.0)
    });
    out.gauges("queue_info", help, info);
}

/// A family with a line for each channel.
type OfChannel = (&'static str, &'static str, fn(&ChannelInfo) -> u64);

const OF_CHANNELS: [OfChannel; 7] = [
    ("channel_consumers", "Consumers on a channel", |channel| channel.consumers),
    ("channel_messages_unacked", "Delivered but not yet acknowledged messages", |channel| {
        channel.unacked
    }),
    ("channel_messages_unconfirmed", "Published but not yet confirmed messages", |channel| {
        channel.unconfirmed
    }),
    (
        "channel_messages_uncommitted",
        "Messages received in a transaction but not yet committed",
        |channel| channel.uncommitted,
    ),
    (
        "channel_acks_uncommitted",
        "Message acknowledgements in a transaction not yet committed",
        |channel| channel.acks_uncommitted,
    ),
    ("consumer_prefetch", "Limit of unacknowledged messages for each consumer", |channel| {
        channel.prefetch.into()
    }),
    ("channel_prefetch", "Deprecated and will be removed in a future version", |channel| {
        channel.prefetch_together.into()
    }),
];

fn add_channels(channels: &[ChannelInfo], out: &mut Exposition) {
    for (name, help, of) in OF_CHANNELS {
        let sample = |channel: &ChannelInfo| {
            let name = format!("{} ({})", channel.connection_name, channel.number);
            (vec![label("channel", name)], of(channel) as f64)
        };
        out.gauges(name, help, channels.iter().map(sample));
    }
}

/// What happened on each channel.
fn add_channel_counters(channels: &[ChannelInfo], wanted: &Wanted, out: &mut Exposition) {
    let labels = |channel: &ChannelInfo| -> Labels {
        let name = format!("{} ({})", channel.connection_name, channel.number);
        vec![label("channel", name)]
    };
    if wanted.has("channel_exchange_metrics") {
        for (name, help, of) in PUBLISHED {
            let sample = |channel: &ChannelInfo| (labels(channel), of(&channel.counters) as f64);
            let help = format!("Total number of messages {help}");
            out.counters(
                &format!("channel_messages_{name}_total"),
                &help,
                channels.iter().map(sample),
            );
        }
    }
    if wanted.has("channel_queue_metrics") {
        for (name, _, help, of) in DELIVERED {
            let sample = |channel: &ChannelInfo| {
                (labels(channel), of(&as_of_queues(&channel.counters)) as f64)
            };
            out.counters(name, help, channels.iter().map(sample));
        }
    }
}

/// What happened at each exchange.
async fn add_exchange_counters(broker: &BrokerHandle, wanted: &Wanted, out: &mut Exposition) {
    let (mut published, mut routed) = (Vec::new(), Vec::new());
    for vhost in reading::vhosts(broker).await.into_iter().map(|status| status.vhost.name) {
        if !wanted.is_of(&vhost) {
            continue;
        }
        for exchange in reading::exchanges(broker, &vhost).await {
            let labels =
                vec![label("vhost", vhost.to_text()), label("exchange", exchange.name.to_text())];
            published.push((labels.clone(), exchange.published as f64));
            routed.push((labels, exchange.routed as f64));
        }
    }
    let help = "Total number of messages published into an exchange";
    out.counters("exchange_messages_published_total", help, published);
    let help = "Total number of messages that queues took which were published into an exchange";
    out.counters("exchange_messages_routed_total", help, routed);
}

/// A counter of a channel: the middle of its name, the end of what it is, and where it is found.
type OfPublished = (&'static str, &'static str, fn(&ChannelCounters) -> u64);

const PUBLISHED: [OfPublished; 4] = [
    ("published", "published into an exchange on a channel", |counters| counters.published),
    ("confirmed", "published into an exchange and confirmed on the channel", |counters| {
        counters.confirmed
    }),
    (
        "unroutable_returned",
        "published as mandatory into an exchange and returned to the publisher as unroutable",
        |counters| counters.returned,
    ),
    (
        "unroutable_dropped",
        "published as non-mandatory into an exchange and dropped as unroutable",
        |counters| counters.unroutable,
    ),
];

async fn add_connections(broker: &BrokerHandle, wanted: &Wanted, out: &mut Exposition) {
    let connections = reading::connections(broker).await;
    let labels = |connection: &ConnectionInfo| vec![label("connection", &*connection.name)];
    if wanted.has("connection_coarse_metrics") {
        let ids = connections.iter().map(|connection| connection.id).collect();
        let octets = broker.octets(ids).await;
        let both = || connections.iter().zip(&octets);
        let received = both().map(|(one, octets)| (labels(one), octets.received as f64));
        let help = "Total number of bytes received on a connection";
        out.counters("connection_incoming_bytes_total", help, received);
        let sent = both().map(|(one, octets)| (labels(one), octets.sent as f64));
        let help = "Total number of bytes sent on a connection";
        out.counters("connection_outgoing_bytes_total", help, sent);
    }
    if wanted.has("connection_metrics") {
        let channels = connections.iter().map(|one| (labels(one), one.channels as f64));
        out.gauges("connection_channels", "Channels on a connection", channels);
    }
}

/// Virtual hosts and exchanges.
async fn add_cluster(broker: &BrokerHandle, wanted: &Wanted, out: &mut Exposition) {
    let families = ["vhost_status", "exchange_names", "exchange_bindings"];
    if !wanted.has_any(&families) {
        return;
    }
    let vhosts = reading::vhosts(broker).await.into_iter().map(|status| status.vhost.name);
    let vhosts: Vec<ShortStr> = vhosts.filter(|name| wanted.is_of(name)).collect();
    if wanted.has("vhost_status") {
        let samples = vhosts.iter().map(|name| (vec![label("vhost", name.to_text())], 1.0));
        out.gauges("vhost_status", "Whether a given vhost is running", samples);
    }
    if !wanted.has_any(&families[1..]) {
        return;
    }
    let (mut names, mut bindings) = (Vec::new(), Vec::new());
    for vhost in &vhosts {
        for exchange in reading::exchanges(broker, vhost).await {
            let labels = vec![
                label("vhost", vhost.to_text()),
                label("exchange", exchange.name.to_text()),
                label("type", exchange.kind),
            ];
            if wanted.has("exchange_bindings") && !exchange.name.is_empty() {
                let of = reading::Bound::From(exchange.name.clone());
                let count = reading::bindings(broker, vhost, &of).await.len();
                bindings.push((labels.clone(), count as f64));
            }
            names.push((labels, 1.0));
        }
    }
    if wanted.has("exchange_names") {
        let help = "Enumerates exchanges without any additional info. This value is cluster-wide. \
                    A cheaper alternative to `exchange_bindings`";
        out.gauges("exchange_name", help, names);
    }
    let help = "Number of bindings for an exchange. This value is cluster-wide.";
    out.gauges("exchange_bindings", help, bindings);
}
