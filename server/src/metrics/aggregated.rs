//! Sums over all there is, under RabbitMQ's names. The broker counts them as it goes.

use warren_core::listing::{QueueCounters, Traffic};
use warren_core::metrics::{DeadLetterStrategy, Deaths, Metrics, QueueSums, SumsByKind};
use warren_io::Octets;

use super::exposition::{Exposition, Labels, label};

/// What RabbitMQ calls the protocol.
const PROTOCOL: &str = "amqp091";

/// Queues of a type together, and what RabbitMQ calls the type.
type OfType<'a> = (&'static str, &'a QueueSums);

fn by_type(queues: &SumsByKind) -> [OfType<'_>; 2] {
    [("rabbit_classic_queue", &queues.classic), ("rabbit_quorum_queue", &queues.quorum)]
}

fn protocol() -> Labels {
    vec![label("protocol", PROTOCOL)]
}

/// What clients did.
pub(super) fn of_clients(metrics: &Metrics, out: &mut Exposition) {
    churn(&metrics.traffic, out);
    logins(&metrics.traffic, out);
    totals(metrics, out);
    global(metrics, out);
}

/// How often connections, channels and queues came and went.
pub(super) fn churn(traffic: &Traffic, out: &mut Exposition) {
    for (name, help, value) in [
        ("connections_opened_total", "connections opened", traffic.connections_opened),
        (
            "connections_closed_total",
            "connections closed or terminated",
            traffic.connections_closed,
        ),
        ("channels_opened_total", "channels opened", traffic.channels_opened),
        ("channels_closed_total", "channels closed", traffic.channels_closed),
        ("queues_declared_total", "queues declared", traffic.queues_declared),
        ("queues_created_total", "queues created", traffic.queues_created),
        ("queues_deleted_total", "queues deleted", traffic.queues_deleted),
    ] {
        out.counter(name, &format!("Total number of {help}"), value);
    }
}

/// How often somebody tried to log in, over AMQP and over HTTP.
pub(super) fn logins(traffic: &Traffic, out: &mut Exposition) {
    let (ok, refused) = (traffic.logins, traffic.logins_refused);
    let (http_ok, http_refused) = (traffic.logins_inside, traffic.logins_inside_refused);
    for (name, help, amqp, http) in [
        ("auth_attempts_total", "authentication attempts", ok + refused, http_ok + http_refused),
        ("auth_attempts_succeeded_total", "successful authentication attempts", ok, http_ok),
        ("auth_attempts_failed_total", "failed authentication attempts", refused, http_refused),
    ] {
        let samples = [("amqp091", amqp), ("http", http)];
        let samples = samples.map(|(name, value)| (vec![label("protocol", name)], value as f64));
        out.counters(name, &format!("Total number of {help}"), samples);
    }
}

fn totals(metrics: &Metrics, out: &mut Exposition) {
    let totals = &metrics.totals;
    out.gauge("connections", "Connections currently open", totals.connections);
    out.gauge("channels", "Channels currently open", totals.channels);
    out.gauge("consumers", "Consumers currently connected", totals.consumers);
    out.gauge("queues", "Queues available", totals.queues);
}

/// RabbitMQ's counters of protocols and of types of queues.
fn global(metrics: &Metrics, out: &mut Exposition) {
    let traffic = &metrics.traffic;
    for (name, help, value) in [
        ("received", "received from publishers", traffic.published),
        (
            "received_confirm",
            "received from publishers expecting confirmations",
            traffic.published_to_confirm,
        ),
        ("routed", "routed to queues or streams", traffic.routed),
        (
            "unroutable_dropped",
            "published as non-mandatory into an exchange and dropped as unroutable",
            traffic.unroutable,
        ),
        (
            "unroutable_returned",
            "published as mandatory into an exchange and returned to the publisher as unroutable",
            traffic.returned,
        ),
        ("confirmed", "confirmed to publishers", traffic.confirmed),
    ] {
        let help = format!("Total number of messages {help}");
        let name = format!("global_messages_{name}_total");
        out.counters(&name, &help, [(protocol(), value as f64)]);
    }
    for (name, value) in
        [("publishers", metrics.publishers), ("consumers", metrics.totals.consumers)]
    {
        let help = format!("Current number of {name}");
        out.gauges(&format!("global_{name}"), &help, [(protocol(), value as f64)]);
    }
    for (name, help, of) in DELIVERED {
        let samples = by_type(&metrics.queues).map(|(kind, sums)| {
            let labels = vec![label("protocol", PROTOCOL), label("queue_type", kind)];
            (labels, of(sums) as f64)
        });
        out.counters(&format!("global_messages_{name}_total"), help, samples);
    }
    deaths(&metrics.queues, out);
    let help = "Size of messages received from publishers";
    out.histogram("message_size_bytes", help, protocol(), &metrics.message_sizes, 1.0);
}

/// A counter of queues: its name, what it is, and where it is found.
type OfQueues = (&'static str, &'static str, fn(&QueueSums) -> u64);

const DELIVERED: [OfQueues; 8] = [
    ("delivered", "Total number of messages delivered to consumers", |sums| {
        let QueueCounters { delivered, delivered_no_ack, got, got_no_ack, .. } = sums.counters;
        delivered + delivered_no_ack + got + got_no_ack
    }),
    (
        "delivered_consume_manual_ack",
        "Total number of messages delivered to consumers using basic.consume with manual \
         acknowledgment",
        |sums| sums.counters.delivered,
    ),
    (
        "delivered_consume_auto_ack",
        "Total number of messages delivered to consumers using basic.consume with automatic \
         acknowledgment",
        |sums| sums.counters.delivered_no_ack,
    ),
    (
        "delivered_get_manual_ack",
        "Total number of messages delivered to consumers using basic.get with manual \
         acknowledgment",
        |sums| sums.counters.got,
    ),
    (
        "delivered_get_auto_ack",
        "Total number of messages delivered to consumers using basic.get with automatic \
         acknowledgment",
        |sums| sums.counters.got_no_ack,
    ),
    ("get_empty", "Total number of times basic.get operations fetched no message", |sums| {
        sums.get_empty
    }),
    ("redelivered", "Total number of messages redelivered to consumers", |sums| {
        sums.counters.redelivered
    }),
    ("acknowledged", "Total number of messages acknowledged by consumers", |sums| {
        acked(&sums.counters)
    }),
];

/// How many messages consumers acknowledged: those that nobody was to acknowledge are settled too.
pub(super) fn acked(counters: &QueueCounters) -> u64 {
    counters.acked.saturating_sub(counters.delivered_no_ack + counters.got_no_ack)
}

/// Finds one of several counts.
type CountOf<T> = fn(&T) -> u64;

fn deaths(queues: &SumsByKind, out: &mut Exposition) {
    let strategy = |one| match one {
        DeadLetterStrategy::Disabled => "disabled",
        DeadLetterStrategy::AtMostOnce => "at_most_once",
        DeadLetterStrategy::AtLeastOnce => "at_least_once",
    };
    let all: [(&str, &str, CountOf<Deaths>); 4] = [
        ("rejected", "basic.reject or basic.nack", |deaths| deaths.rejected),
        ("expired", "message TTL exceeded", |deaths| deaths.expired),
        ("maxlen", "overflow drop-head or reject-publish-dlx", |deaths| deaths.maxlen),
        ("delivery_limit", "delivery-limit exceeded", |deaths| deaths.delivery_limit),
    ];
    for (name, why, of) in all {
        let samples = by_type(queues).into_iter().flat_map(|(kind, sums)| {
            DeadLetterStrategy::ALL.map(|one| {
                let labels =
                    vec![label("queue_type", kind), label("dead_letter_strategy", strategy(one))];
                (labels, of(&sums.deaths[one as usize]) as f64)
            })
        });
        let help = format!("Total number of messages dead-lettered due to {why}");
        out.counters(&format!("global_messages_dead_lettered_{name}_total"), &help, samples);
    }
    let samples = by_type(queues).map(|(kind, sums)| {
        let labels =
            vec![label("queue_type", kind), label("dead_letter_strategy", "at_least_once")];
        (labels, sums.letters_confirmed as f64)
    });
    let help = "Total number of messages dead-lettered and confirmed by target queues";
    out.counters("global_messages_dead_lettered_confirmed_total", help, samples);
}

/// Sums of what RabbitMQ counts for each queue, channel and connection, and adds up here.
pub(super) fn of_objects(metrics: &Metrics, octets: Octets, out: &mut Exposition) {
    let name = "connection_incoming_bytes_total";
    out.counter(name, "Total number of bytes received on a connection", octets.received);
    let name = "connection_outgoing_bytes_total";
    out.counter(name, "Total number of bytes sent on a connection", octets.sent);
    let sum = |of: fn(&QueueSums) -> u64| of(&metrics.queues.classic) + of(&metrics.queues.quorum);
    let (ready, unacked) = (sum(|sums| sums.ready), sum(|sums| sums.unacked));
    let totals = &metrics.totals;
    out.gauge_list(&[
        ("queue_messages_ready", "Messages ready to be delivered to consumers", ready),
        (
            "queue_messages_unacked",
            "Messages delivered to consumers but not yet acknowledged",
            unacked,
        ),
        (
            "queue_messages",
            "Sum of ready and unacknowledged messages - total queue depth",
            ready + unacked,
        ),
        ("queue_consumers", "Consumers on a queue", totals.consumers),
        ("channel_consumers", "Consumers on a channel", totals.consumers),
        ("channel_messages_unacked", "Delivered but not yet acknowledged messages", unacked),
        ("connection_channels", "Channels on a connection", totals.channels),
    ]);
    let traffic = &metrics.traffic;
    for (name, help, value) in [
        (
            "channel_messages_published_total",
            "published into an exchange on a channel",
            traffic.published,
        ),
        (
            "channel_messages_confirmed_total",
            "published into an exchange and confirmed on the channel",
            traffic.confirmed,
        ),
        (
            "channel_messages_unroutable_returned_total",
            "published as mandatory into an exchange and returned to the publisher as unroutable",
            traffic.returned,
        ),
        (
            "channel_messages_unroutable_dropped_total",
            "published as non-mandatory into an exchange and dropped as unroutable",
            traffic.unroutable,
        ),
        (
            "queue_messages_published_total",
            "published into a queue through an exchange on a channel",
            sum(|sums| sums.counters.enqueued),
        ),
    ] {
        out.counter(name, &format!("Total number of messages {help}"), value);
    }
    for (of_channel, of_queue, help, of) in super::per_object::DELIVERED {
        let value = of(&metrics.queues.classic.counters) + of(&metrics.queues.quorum.counters);
        out.counter(of_channel, help, value);
        out.counter(of_queue, help, value);
    }
    let get_empty = sum(|sums| sums.get_empty);
    for name in ["channel_get_empty_total", "queue_get_empty_total"] {
        let help = "Total number of times basic.get operations fetched no message";
        out.counter(name, help, get_empty);
    }
}
