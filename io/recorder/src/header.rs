//! What stands at the beginning of a recording: the broker's version, limits and seed.

use std::time::Duration;

use bytes::Bytes;
use warren_core::amqp::Mechanism;
use warren_core::broker::Permission;
use warren_core::{Boot, Config, Defaults};

use crate::command::{
    put_hash, put_names, put_node_limits, put_option, take_hash, take_name, take_names,
    take_node_limits, take_option,
};
use crate::number::{put, put_bytes, take, take_as, take_text, take_u64};

/// The version of what is written; others are not read.
pub(crate) const FORMAT: u64 = 7;

/// What a broker was started with.
#[derive(Clone, Debug)]
pub struct Header {
    /// The version of Warren that was recorded.
    pub version: String,
    /// Its limits.
    pub config: Config,
    /// Its seed and its clock.
    pub boot: Boot,
}

impl Header {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put(out, FORMAT);
        put_bytes(out, self.version.as_bytes());
        self.boot.seed.iter().for_each(|half| out.extend_from_slice(&half.to_le_bytes()));
        put(out, self.boot.clock_origin_ms);
        let Config {
            channel_max,
            frame_max,
            heartbeat,
            handshake_timeout,
            node_limits,
            close_timeout,
            message_size_max,
            consumer_timeout,
            default_queue_type,
            policy_slice,
            egress_len_max,
            memory_max,
            queue_window,
            log_pending_max,
            segment_len,
            disk_free_min,
            read_len,
            defaults,
            mechanisms,
            loopback_users,
            nobody_hash,
            node_name,
        } = &self.config;
        let limits = [
            u64::from(*channel_max),
            u64::from(*frame_max),
            nanos(*heartbeat),
            nanos(*handshake_timeout),
            nanos(*close_timeout),
            *message_size_max,
            // Zero stands for none.
            consumer_timeout.map_or(0, nanos),
            *policy_slice as u64,
            *egress_len_max as u64,
            *memory_max,
            *queue_window as u64,
            *log_pending_max as u64,
            u64::from(*segment_len),
            *disk_free_min,
            u64::from(*read_len),
        ];
        limits.into_iter().for_each(|limit| put(out, limit));
        put_node_limits(out, node_limits);
        put_option(out, default_queue_type.as_ref());
        out.push(u8::from(defaults.is_some()));
        defaults.iter().for_each(|defaults| put_defaults(out, defaults));
        put(out, mechanisms.len() as u64);
        mechanisms.iter().for_each(|own| put_bytes(out, own.name().as_bytes()));
        put_names(out, loopback_users);
        put_hash(out, nobody_hash);
        put_bytes(out, node_name.as_bytes());
    }

    /// `None` when this is none, or one of another format.
    pub(crate) fn take(from: &mut Bytes) -> Option<Self> {
        if take(from)? != FORMAT {
            return None;
        }
        let version = take_text(from)?;
        let seed = [take_u64(from)?, take_u64(from)?];
        let boot = Boot { seed, clock_origin_ms: take(from)? };
        let config = Config {
            channel_max: take_as(from)?,
            frame_max: take_as(from)?,
            heartbeat: take_duration(from)?,
            handshake_timeout: take_duration(from)?,
            close_timeout: take_duration(from)?,
            message_size_max: take(from)?,
            consumer_timeout: Some(take_duration(from)?).filter(|timeout| !timeout.is_zero()),
            policy_slice: take_as(from)?,
            egress_len_max: take_as(from)?,
            memory_max: take(from)?,
            queue_window: take_as(from)?,
            log_pending_max: take_as(from)?,
            segment_len: take_as(from)?,
            disk_free_min: take(from)?,
            read_len: take_as(from)?,
            node_limits: take_node_limits(from)?,
            default_queue_type: take_option(from)?,
            defaults: if take(from)? == 0 { None } else { Some(take_defaults(from)?) },
            mechanisms: take_mechanisms(from)?,
            loopback_users: take_names(from)?,
            nobody_hash: take_hash(from)?,
            node_name: take_text(from)?,
        };
        Some(Self { version, config, boot })
    }
}

fn put_defaults(out: &mut Vec<u8>, defaults: &Defaults) {
    let Defaults { user, password_hash, tags, vhost, permission } = defaults;
    let Permission { configure, write, read } = permission;
    put_bytes(out, user.as_bytes());
    put_hash(out, password_hash);
    put_names(out, tags);
    put_bytes(out, vhost.as_bytes());
    [configure, write, read].iter().for_each(|text| put_bytes(out, text.as_bytes()));
}

fn take_defaults(from: &mut Bytes) -> Option<Defaults> {
    Some(Defaults {
        user: take_name(from)?,
        password_hash: take_hash(from)?,
        tags: take_names(from)?,
        vhost: take_name(from)?,
        permission: Permission {
            configure: take_text(from)?,
            write: take_text(from)?,
            read: take_text(from)?,
        },
    })
}

fn take_mechanisms(from: &mut Bytes) -> Option<Vec<Mechanism>> {
    let count = take(from)?;
    let one = |name: String| Mechanism::ALL.into_iter().find(|own| own.name() == name);
    (0..count).map(|_| take_text(from).and_then(one)).collect()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn take_duration(from: &mut Bytes) -> Option<Duration> {
    take(from).map(Duration::from_nanos)
}
