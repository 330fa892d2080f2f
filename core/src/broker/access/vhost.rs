//! Virtual hosts as they are kept, and parameters, which mean nothing to the broker itself.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::amqp::ShortStr;

/// A virtual host, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualHost {
    /// The name, which no other virtual host has.
    pub name: ShortStr,
    /// What is known of it.
    pub metadata: VhostMetadata,
    /// How much it may hold.
    pub limits: VhostLimits,
}

/// What is known of a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMetadata {
    /// For people.
    pub description: String,
    /// For people, too.
    pub tags: Vec<ShortStr>,
    /// The type of queues whose declaration does not say: `classic` or `quorum`. Queues that cannot
    /// be of that type are `classic`.
    pub default_queue_type: Option<ShortStr>,
    /// Whether it is not to be deleted.
    pub protected: bool,
}

/// How much a virtual host may hold; `None` is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostLimits {
    /// Open connections.
    pub max_connections: Option<u64>,
    /// Queues, those included that belong to a connection.
    pub max_queues: Option<u64>,
}

/// A virtual host, and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostStatus {
    /// As it is kept.
    pub vhost: VirtualHost,
    /// Open connections.
    pub connections: u64,
    /// Queues.
    pub queues: u64,
}

/// A runtime parameter: some JSON text that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The virtual host; `None` for one of the whole broker.
    pub vhost: Option<ShortStr>,
    /// For whom it is; parameters of the whole broker have an empty one.
    pub component: ShortStr,
    /// Its name.
    pub name: ShortStr,
    /// The text.
    pub value: Bytes,
}
