//! What stands at the beginning of a recording: the broker's version, limits and seed.

use std::time::Duration;

use bytes::Bytes;
use warren_core::{Boot, Config, User};

use crate::number::{put, put_bytes, take, take_as, take_text, take_u64};

/// The version of what is written; others are not read.
pub(crate) const FORMAT: u64 = 3;

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
            close_timeout,
            message_size_max,
            consumer_timeout,
            policy_slice,
            egress_len_max,
            memory_max,
            queue_window,
            log_pending_max,
            segment_len,
            disk_free_min,
            read_len,
            users,
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
            users.len() as u64,
        ];
        limits.into_iter().for_each(|limit| put(out, limit));
        for User { name, password, is_remote_allowed } in users {
            put_bytes(out, name.as_bytes());
            put_bytes(out, password.as_bytes());
            put(out, u64::from(*is_remote_allowed));
        }
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
        let mut config = Config {
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
            users: Vec::new(),
            node_name: String::new(),
        };
        for _ in 0..take(from)? {
            config.users.push(User {
                name: take_text(from)?,
                password: take_text(from)?,
                is_remote_allowed: take(from)? != 0,
            });
        }
        config.node_name = take_text(from)?;
        Some(Self { version, config, boot })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn take_duration(from: &mut Bytes) -> Option<Duration> {
    take(from).map(Duration::from_nanos)
}
