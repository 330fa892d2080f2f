//! Recordings of brokers in production, played by the simulator.
//!
//! A recording (`warren serve --record DIR`) is what went into the very core that the simulator
//! has, so the core does the same again: what it said is compared with what it says now, by hashes,
//! and the model and the checkers look on as they do in a run. No simulated network and no clients
//! take part; of the disk there is what the broker writes, which is given back as it was then.
//!
//! Bodies are not in a recording. In their place stand bytes that say which message they are of, by
//! which the model tells messages apart: the clients of others do not number theirs.
//!
//! What clients did becomes a [`plan`](crate::plan) on the way, which can be played, shrunk and
//! kept.

mod bodies;
mod names;
mod replay;
mod scribe;

use std::path::Path;
use std::time::Duration;

use warren_recorder::{ReadError, Recording};

use crate::plan::{Plan, Setup};
use crate::run::Outcome;
use replay::Replay;

/// What came of a recording that was played.
#[derive(Debug)]
pub struct Replayed {
    /// As of a run.
    pub outcome: Outcome,
    /// How many inputs there were.
    pub inputs: u64,
    /// How many hashes of outputs were compared, all of them equal but for the last if that is the
    /// failure.
    pub hashes: u64,
    /// The version of Warren that was recorded.
    pub version: String,
    /// How the recording ends.
    pub end: String,
    /// Whether the checkers could look on: they know nothing of what was there before the start.
    pub is_checked: bool,
    /// What the clients did, as a plan.
    pub plan: Plan,
}

/// Plays a recording to its end, or to the first failure.
///
/// # Errors
/// When it cannot be read.
pub fn replay(path: &Path, keeps_trace: bool) -> Result<Replayed, ReadError> {
    let recording = Recording::open(path)?;
    Replay::new(recording, keeps_trace).play()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The limits of the broker that was recorded.
fn setup_of(recording: &Recording) -> Setup {
    let (config, boot) = (&recording.header().config, &recording.header().boot);
    Setup {
        boot_seed: boot.seed[0],
        channel_max: config.channel_max,
        frame_max: config.frame_max,
        heartbeat_s: config.heartbeat.as_secs(),
        message_size_max: config.message_size_max,
        consumer_timeout_ms: config.consumer_timeout.map_or(0, millis),
        policy_slice: config.policy_slice,
        egress_len_max: config.egress_len_max,
        memory_max: config.memory_max,
        queue_window: config.queue_window,
        log_pending_max: config.log_pending_max,
        segment_len: config.segment_len,
        disk_free_min: config.disk_free_min,
        read_len: config.read_len,
        ..Setup::default()
    }
}
