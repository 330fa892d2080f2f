//! What the broker is told once, at its start. Every limit can be 1; the simulator tries it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::amqp::{Mechanism, ShortStr};
use crate::broker::{HashAlgorithm, PasswordHash, Permission};

/// Who this broker is, and its only source of randomness.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Everything random follows from it: names the broker makes, hash keys, salts. In production
    /// it comes from the operating system's entropy.
    pub seed: [u64; 2],
    /// What time it is at the origin of the adapter's clock, see [`Instant`](crate::Instant): in
    /// milliseconds since 1970, UTC. What the broker's clients and its log are told of time is
    /// counted from there.
    pub clock_origin_ms: u64,
}

/// Limits and identity.
#[derive(Clone, Debug)]
pub struct Config {
    /// Offered in `connection.tune`: the most channels on a connection.
    pub channel_max: u16,
    /// Offered in `connection.tune`: the largest frame, in bytes.
    pub frame_max: u32,
    /// Offered in `connection.tune`; what the client answers counts. Zero: none.
    pub heartbeat: Duration,
    /// How long a client may take until its connection is open.
    pub handshake_timeout: Duration,
    /// How much there may be of what clients make.
    pub node_limits: NodeLimits,
    /// How long to wait for `connection.close-ok` before the socket is closed.
    pub close_timeout: Duration,
    /// The largest body, in bytes.
    pub message_size_max: u64,
    /// How long a delivery may wait for its acknowledgement where neither its consumer nor its
    /// queue says so; then it goes back to its queue, and its consumer is cancelled. `None`: for
    /// ever.
    pub consumer_timeout: Option<Duration>,
    /// The type of a queue where neither its declaration nor its virtual host says it: `classic`
    /// where this does not either.
    pub default_queue_type: Option<ShortStr>,
    /// How many queues and exchanges a policy that changed is held against at once; what else there
    /// is to do has its turn in between.
    pub policy_slice: usize,
    /// How many bytes may wait for one client's socket before nothing more is delivered to it. With
    /// twice that many of answers, nothing more is read from it. At least 1.
    pub egress_len_max: usize,
    /// How many bytes messages may take in memory. Beyond half of it they are kept on disk only;
    /// above all of it publishers wait. At least 1.
    pub memory_max: u64,
    /// How many bytes of messages that are on disk too are kept in memory for each queue.
    pub queue_window: usize,
    /// How many bytes may wait to be written to the log before publishers wait.
    pub log_pending_max: usize,
    /// The length of a segment of the log, in bytes; one that holds a larger batch is longer. At
    /// least 4096.
    pub segment_len: u32,
    /// With less free space on the disk than this many bytes, publishers wait.
    pub disk_free_min: u64,
    /// Messages are read back from disk in pieces of about this many bytes. At least 1.
    pub read_len: u32,
    /// Who and what is there at a first start; and at any other that finds no user, or no virtual
    /// host. `None` where somebody else sees to it that there are some.
    pub defaults: Option<Defaults>,
    /// How clients may log in, in the order of preference. Those of this process are not asked.
    pub mechanisms: Vec<Mechanism>,
    /// Users who may log in from this machine only.
    pub loopback_users: Vec<ShortStr>,
    /// What the password of somebody unknown is held against, and never is: so that it takes as
    /// long as that of somebody known.
    pub nobody_hash: PasswordHash,
    /// What clients and logs are told the node is called.
    pub node_name: String,
}

/// How much there may be, of all that is on the node. `None`: any number. What is there already
/// stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Clients that have opened a virtual host.
    pub connections: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// Consumers of one channel.
    pub consumers_of_channel: Option<u32>,
    /// Virtual hosts.
    pub vhosts: Option<u32>,
    /// Queues.
    pub queues: Option<u32>,
    /// Exchanges, those included that each virtual host has.
    pub exchanges: Option<u32>,
}

/// Limits of what there is only so much of, as far as they are to change; `None`: stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// See [`Config::memory_max`].
    pub memory_max: Option<u64>,
    /// See [`Config::disk_free_min`].
    pub disk_free_min: Option<u64>,
}

/// What a first start makes.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The user.
    pub user: ShortStr,
    /// The hash of the user's password.
    pub password_hash: PasswordHash,
    /// The user's tags.
    pub tags: Vec<ShortStr>,
    /// The virtual host.
    pub vhost: ShortStr,
    /// What the user may do there.
    pub permission: Permission,
}

/// Salt, and SHA-256 over that and `guest`. It is no secret, and so anybody's only who is on the
/// same machine.
const GUEST_HASH: [u8; 36] = [
    0x57, 0x61, 0x72, 0x72, 0x72, 0x3c, 0x3f, 0xb7, 0xd2, 0xaa, 0x90, 0x8e, 0xe8, 0x0c, 0xb7, 0x37,
    0x0a, 0xbb, 0x79, 0x5f, 0x0b, 0x79, 0x5e, 0x08, 0x96, 0xb9, 0x25, 0xe0, 0x8d, 0x8b, 0xe5, 0x10,
    0x4b, 0x61, 0x6d, 0xd3,
];

impl Default for Defaults {
    /// `guest`, with the password `guest`, who may do everything in `/`.
    fn default() -> Self {
        Self {
            user: ShortStr::from_static("guest"),
            password_hash: PasswordHash {
                algorithm: HashAlgorithm::Sha256,
                bytes: Bytes::from_static(&GUEST_HASH),
            },
            tags: Vec::from([ShortStr::from_static("administrator")]),
            vhost: ShortStr::from_static("/"),
            permission: Permission::full(),
        }
    }
}

impl Default for Config {
    /// As RabbitMQ is set up at first: guest/guest, from this machine only.
    fn default() -> Self {
        Self {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            node_limits: NodeLimits::default(),
            close_timeout: Duration::from_secs(30),
            message_size_max: 16 << 20,
            consumer_timeout: None,
            default_queue_type: None,
            policy_slice: 1000,
            egress_len_max: 256 << 10,
            memory_max: 1 << 30,
            queue_window: 8 << 20,
            log_pending_max: 16 << 20,
            segment_len: 32 << 20,
            disk_free_min: 256 << 20,
            read_len: 1 << 20,
            defaults: Some(Defaults::default()),
            mechanisms: Vec::from(Mechanism::ALL),
            loopback_users: Vec::from([ShortStr::from_static("guest")]),
            nobody_hash: PasswordHash {
                algorithm: HashAlgorithm::Sha256,
                bytes: Bytes::from_static(&[0; 36]),
            },
            node_name: "warren@localhost".into(),
        }
    }
}
