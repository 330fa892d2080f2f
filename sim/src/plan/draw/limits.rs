//! Limits as low as they go: in some runs, each is 1 or 2.

use fastrand::Rng;

use super::Setup;

/// One run of this many has such limits.
const RARITY: u32 = 12;

/// Lowers some of the limits.
pub(super) fn draw(rng: &mut Rng, setup: &mut Setup) {
    if rng.u32(0..RARITY) > 0 {
        return;
    }
    let mut low = || rng.bool().then(|| rng.u64(1..=2));
    if let Some(low) = low() {
        setup.channel_max = low as u16;
    }
    if let Some(low) = low() {
        setup.heartbeat_s = low;
    }
    if let Some(low) = low() {
        setup.message_size_max = low;
    }
    if let Some(low) = low() {
        setup.egress_len_max = low as usize;
    }
    if let Some(low) = low() {
        setup.memory_max = low;
    }
    if let Some(low) = low() {
        setup.log_pending_max = low as usize;
    }
    if let Some(low) = low() {
        setup.queue_window = low as usize;
    }
    if let Some(low) = low() {
        setup.disk_free_min = low;
    }
    if let Some(low) = low() {
        setup.read_len = low as u32;
    }
    if let Some(low) = low() {
        setup.batch_max = low as usize;
    }
    if let Some(low) = low() {
        setup.read_len_max = low as usize;
    }
}
