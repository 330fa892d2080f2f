//! What holds for a whole run: the broker's limits, its disk, and how its host deals with it.

use std::fmt;

macro_rules! setup {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {
        /// The limits and the surroundings of the broker in a run.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Setup {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Setup {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Setup {
            /// Sets what is called `key`; `None` if there is no such thing or value.
            pub(crate) fn set(&mut self, key: &str, value: &str) -> Option<()> {
                match key {
                    $(stringify!($name) => self.$name = value.parse().ok()?,)*
                    _ => return None,
                }
                (self.batch_max > 0 && self.read_len_max > 0).then_some(())
            }
        }

        impl Setup {
            /// What is not as usual, by name.
            #[must_use]
            pub fn unusual(&self) -> Vec<&'static str> {
                let usual = Self::default();
                let mut names = Vec::new();
                $(if self.$name != usual.$name {
                    names.push(stringify!($name));
                })*
                names
            }

            /// Makes what is called `name` as usual.
            #[must_use]
            pub fn without(mut self, name: &str) -> Self {
                $(if name == stringify!($name) {
                    self.$name = Self::default().$name;
                })*
                self
            }
        }

        /// Only what is not as usual.
        impl fmt::Display for Setup {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let usual = Self::default();
                write!(f, "setup")?;
                $(if self.$name != usual.$name {
                    write!(f, concat!(" ", stringify!($name), "={}"), self.$name)?;
                })*
                Ok(())
            }
        }
    };
}

/// Limits up to this are as low as they go.
const LOW: u64 = 2;

impl Setup {
    /// Whether one of the limits is as low as it goes.
    #[must_use]
    pub fn has_low_limits(&self) -> bool {
        let sizes =
            [self.egress_len_max, self.queue_window, self.log_pending_max, self.read_len_max];
        let others = [
            u64::from(self.channel_max),
            u64::from(self.read_len),
            self.heartbeat_s,
            self.message_size_max,
            self.memory_max,
            self.disk_free_min,
        ];
        // No heartbeat is no limit.
        let sizes = sizes.iter().map(|size| *size as u64);
        sizes.chain(others).any(|limit| (1..=LOW).contains(&limit))
    }
}

setup! {
    /// The broker's `Boot::seed` at its first start; each later start has another.
    boot_seed: u64 = 1;
    /// The most channels on a connection.
    channel_max: u16 = 2047;
    /// The largest frame, in bytes.
    frame_max: u32 = 131_072;
    /// The heartbeat that is offered, in seconds.
    heartbeat_s: u64 = 60;
    /// The largest body, in bytes.
    message_size_max: u64 = 16 << 20;
    /// How long a delivery may wait for its acknowledgement, in milliseconds; 0: for ever.
    consumer_timeout_ms: u64 = 0;
    /// How many queues and exchanges a policy that changed is held against at once.
    policy_slice: usize = 1000;
    /// How many bytes may wait for one client.
    egress_len_max: usize = 1 << 20;
    /// How many bytes messages may take in memory.
    memory_max: u64 = 1 << 30;
    /// How many bytes of what is on disk are kept in memory for each queue.
    queue_window: usize = 8 << 20;
    /// How many bytes may wait to be written.
    log_pending_max: usize = 16 << 20;
    /// The length of a segment of the log, in bytes.
    segment_len: u32 = 256 << 10;
    /// With less free space than this many bytes, publishers wait.
    disk_free_min: u64 = 256 << 20;
    /// Messages are read back in pieces of about this many bytes.
    read_len: u32 = 1 << 20;
    /// How many inputs the host gives to the broker before it asks for outputs.
    batch_max: usize = 1;
    /// How many bytes the host reads from a connection at once.
    read_len_max: usize = 64 << 10;
    /// About how long a request to the disk takes, in microseconds.
    disk_us: u64 = 50;
    /// About how long a sync takes, in microseconds.
    disk_sync_us: u64 = 500;
    /// What the latencies of the disk follow from.
    disk_salt: u64 = 1;
    /// The process dies with this request of its first start; 0: it does not.
    start_crash_at: u64 = 0;
    /// What of the requests under way is done then.
    start_crash_seed: u64 = 1;
    /// It is the power that fails then.
    start_crash_power: bool = false;
}
