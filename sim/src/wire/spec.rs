//! The methods as data: numbers, names, and the types of their arguments in order.

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bit,
    Octet,
    Short,
    Long,
    LongLong,
    Text,
    Blob,
    Table,
}

/// One method.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) class: u16,
    pub(super) method: u16,
    pub(super) name: &'static str,
    pub(super) arguments: &'static [(&'static str, Kind)],
    /// Whether a content header and a body follow.
    pub(super) has_content: bool,
}

use Kind::{Bit, Blob, Long, LongLong, Octet, Short, Table, Text};

const CLOSE: &[(&str, Kind)] =
    &[("reply-code", Short), ("reply-text", Text), ("class-id", Short), ("method-id", Short)];
const TUNE: &[(&str, Kind)] = &[("channel-max", Short), ("frame-max", Long), ("heartbeat", Short)];
const EXCHANGE_BIND: &[(&str, Kind)] = &[
    ("ticket", Short),
    ("destination", Text),
    ("source", Text),
    ("routing-key", Text),
    ("nowait", Bit),
    ("arguments", Table),
];

const fn method(
    class: u16,
    method: u16,
    name: &'static str,
    arguments: &'static [(&'static str, Kind)],
) -> Spec {
    let has_content = class == 60 && matches!(method, 40 | 50 | 60 | 71);
    Spec { class, method, name, arguments, has_content }
}

/// In the order of their numbers.
pub(super) static METHODS: &[Spec] = &[
    method(
        10,
        10,
        "connection.start",
        &[
            ("version-major", Octet),
            ("version-minor", Octet),
            ("server-properties", Table),
            ("mechanisms", Blob),
            ("locales", Blob),
        ],
    ),
    method(
        10,
        11,
        "connection.start-ok",
        &[("client-properties", Table), ("mechanism", Text), ("response", Blob), ("locale", Text)],
    ),
    method(10, 20, "connection.secure", &[("challenge", Blob)]),
    method(10, 21, "connection.secure-ok", &[("response", Blob)]),
    method(10, 30, "connection.tune", TUNE),
    method(10, 31, "connection.tune-ok", TUNE),
    method(
        10,
        40,
        "connection.open",
        &[("virtual-host", Text), ("capabilities", Text), ("insist", Bit)],
    ),
    method(10, 41, "connection.open-ok", &[("known-hosts", Text)]),
    method(10, 50, "connection.close", CLOSE),
    method(10, 51, "connection.close-ok", &[]),
    method(10, 60, "connection.blocked", &[("reason", Text)]),
    method(10, 61, "connection.unblocked", &[]),
    method(10, 70, "connection.update-secret", &[("new-secret", Blob), ("reason", Text)]),
    method(10, 71, "connection.update-secret-ok", &[]),
    method(20, 10, "channel.open", &[("out-of-band", Text)]),
    method(20, 11, "channel.open-ok", &[("channel-id", Blob)]),
    method(20, 20, "channel.flow", &[("active", Bit)]),
    method(20, 21, "channel.flow-ok", &[("active", Bit)]),
    method(20, 40, "channel.close", CLOSE),
    method(20, 41, "channel.close-ok", &[]),
    method(
        30,
        10,
        "access.request",
        &[
            ("realm", Text),
            ("exclusive", Bit),
            ("passive", Bit),
            ("active", Bit),
            ("write", Bit),
            ("read", Bit),
        ],
    ),
    method(30, 11, "access.request-ok", &[("ticket", Short)]),
    method(
        40,
        10,
        "exchange.declare",
        &[
            ("ticket", Short),
            ("exchange", Text),
            ("type", Text),
            ("passive", Bit),
            ("durable", Bit),
            ("auto-delete", Bit),
            ("internal", Bit),
            ("nowait", Bit),
            ("arguments", Table),
        ],
    ),
    method(40, 11, "exchange.declare-ok", &[]),
    method(
        40,
        20,
        "exchange.delete",
        &[("ticket", Short), ("exchange", Text), ("if-unused", Bit), ("nowait", Bit)],
    ),
    method(40, 21, "exchange.delete-ok", &[]),
    method(40, 30, "exchange.bind", EXCHANGE_BIND),
    method(40, 31, "exchange.bind-ok", &[]),
    method(40, 40, "exchange.unbind", EXCHANGE_BIND),
    method(40, 51, "exchange.unbind-ok", &[]),
    method(
        50,
        10,
        "queue.declare",
        &[
            ("ticket", Short),
            ("queue", Text),
            ("passive", Bit),
            ("durable", Bit),
            ("exclusive", Bit),
            ("auto-delete", Bit),
            ("nowait", Bit),
            ("arguments", Table),
        ],
    ),
    method(
        50,
        11,
        "queue.declare-ok",
        &[("queue", Text), ("message-count", Long), ("consumer-count", Long)],
    ),
    method(
        50,
        20,
        "queue.bind",
        &[
            ("ticket", Short),
            ("queue", Text),
            ("exchange", Text),
            ("routing-key", Text),
            ("nowait", Bit),
            ("arguments", Table),
        ],
    ),
    method(50, 21, "queue.bind-ok", &[]),
    method(50, 30, "queue.purge", &[("ticket", Short), ("queue", Text), ("nowait", Bit)]),
    method(50, 31, "queue.purge-ok", &[("message-count", Long)]),
    method(
        50,
        40,
        "queue.delete",
        &[
            ("ticket", Short),
            ("queue", Text),
            ("if-unused", Bit),
            ("if-empty", Bit),
            ("nowait", Bit),
        ],
    ),
    method(50, 41, "queue.delete-ok", &[("message-count", Long)]),
    method(
        50,
        50,
        "queue.unbind",
        &[
            ("ticket", Short),
            ("queue", Text),
            ("exchange", Text),
            ("routing-key", Text),
            ("arguments", Table),
        ],
    ),
    method(50, 51, "queue.unbind-ok", &[]),
    method(
        60,
        10,
        "basic.qos",
        &[("prefetch-size", Long), ("prefetch-count", Short), ("global", Bit)],
    ),
    method(60, 11, "basic.qos-ok", &[]),
    method(
        60,
        20,
        "basic.consume",
        &[
            ("ticket", Short),
            ("queue", Text),
            ("consumer-tag", Text),
            ("no-local", Bit),
            ("no-ack", Bit),
            ("exclusive", Bit),
            ("nowait", Bit),
            ("arguments", Table),
        ],
    ),
    method(60, 21, "basic.consume-ok", &[("consumer-tag", Text)]),
    method(60, 30, "basic.cancel", &[("consumer-tag", Text), ("nowait", Bit)]),
    method(60, 31, "basic.cancel-ok", &[("consumer-tag", Text)]),
    method(
        60,
        40,
        "basic.publish",
        &[
            ("ticket", Short),
            ("exchange", Text),
            ("routing-key", Text),
            ("mandatory", Bit),
            ("immediate", Bit),
        ],
    ),
    method(
        60,
        50,
        "basic.return",
        &[("reply-code", Short), ("reply-text", Text), ("exchange", Text), ("routing-key", Text)],
    ),
    method(
        60,
        60,
        "basic.deliver",
        &[
            ("consumer-tag", Text),
            ("delivery-tag", LongLong),
            ("redelivered", Bit),
            ("exchange", Text),
            ("routing-key", Text),
        ],
    ),
    method(60, 70, "basic.get", &[("ticket", Short), ("queue", Text), ("no-ack", Bit)]),
    method(
        60,
        71,
        "basic.get-ok",
        &[
            ("delivery-tag", LongLong),
            ("redelivered", Bit),
            ("exchange", Text),
            ("routing-key", Text),
            ("message-count", Long),
        ],
    ),
    method(60, 72, "basic.get-empty", &[("cluster-id", Text)]),
    method(60, 80, "basic.ack", &[("delivery-tag", LongLong), ("multiple", Bit)]),
    method(60, 90, "basic.reject", &[("delivery-tag", LongLong), ("requeue", Bit)]),
    method(60, 100, "basic.recover-async", &[("requeue", Bit)]),
    method(60, 110, "basic.recover", &[("requeue", Bit)]),
    method(60, 111, "basic.recover-ok", &[]),
    method(
        60,
        120,
        "basic.nack",
        &[("delivery-tag", LongLong), ("multiple", Bit), ("requeue", Bit)],
    ),
    method(85, 10, "confirm.select", &[("nowait", Bit)]),
    method(85, 11, "confirm.select-ok", &[]),
    method(90, 10, "tx.select", &[]),
    method(90, 11, "tx.select-ok", &[]),
    method(90, 20, "tx.commit", &[]),
    method(90, 21, "tx.commit-ok", &[]),
    method(90, 30, "tx.rollback", &[]),
    method(90, 31, "tx.rollback-ok", &[]),
];
