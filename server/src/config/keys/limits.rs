//! Keys of how much there may be.

use super::super::value;
use super::{KEY, Key};

pub(super) const LIMITS: [Key; 5] = [
    Key {
        name: "channel_max_per_node",
        default: Some("infinity"),
        about: "How many channels all clients together may have open, or `infinity`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.channels = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "consumer_max_per_channel",
        default: Some("infinity"),
        about: "How many consumers a channel may have, or `infinity`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.consumers_of_channel = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "vhost_max",
        default: Some("infinity"),
        about: "How many virtual hosts there may be, or `infinity`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.vhosts = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "cluster_queue_limit",
        default: Some("infinity"),
        about: "How many queues there may be in all virtual hosts, or `infinity`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.queues = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "cluster_exchange_limit",
        default: Some("infinity"),
        about: "How many exchanges there may be in all virtual hosts, or `infinity`. Those count \
                that each virtual host has.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.exchanges = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
];
