//! The broker deals with its disk as it must: it gives up at once when a sync fails, and only when
//! something failed; then it is silent. It keeps no more on the disk than what lives is worth.

use super::Failure;
use crate::world::Failing;

pub(crate) const ID: &str = "disk";
/// Once all is quiet, files take at most this many times what lives.
const SPACE_FACTOR: u64 = 4;
/// And so many segments on top: the one that is written to, the next, those being sealed or copied.
const SPARE_SEGMENTS: u64 = 6;
/// And so many bytes, for checkpoints, and what is written until the next is worth its while.
const SPACE_BASE: u64 = 128 << 10;

/// Checks that the broker gave up when a sync failed.
///
/// # Errors
/// When it goes on.
pub fn check_halted(is_halted: bool) -> Result<(), Failure> {
    if is_halted {
        return Ok(());
    }
    Err(Failure::new(ID, "a sync failed, and the broker goes on"))
}

/// Checks that the broker has a reason to give up: a write that fails is none.
///
/// # Errors
/// When it has none.
pub fn check_halt(reason: &str, failed: &[Failing]) -> Result<(), Failure> {
    let is_reason =
        |failed: &Failing| matches!(failed, Failing::Sync | Failing::SyncDir | Failing::Read);
    if failed.iter().any(is_reason) {
        return Ok(());
    }
    Err(Failure::new(ID, format!("the broker gives up without need: {reason}")))
}

/// Checks that nothing comes from a broker that gave up.
///
/// # Errors
/// When something does.
pub fn check_silent(output: Option<String>) -> Result<(), Failure> {
    match output {
        None => Ok(()),
        Some(output) => {
            Err(Failure::new(ID, format!("the broker gave up, and then wants {output}")))
        }
    }
}

/// Checks how many bytes files take, once all is quiet.
///
/// # Errors
/// When it is out of proportion to what lives.
pub fn check_space(used: u64, live: u64, segment_len: u64, files: &str) -> Result<(), Failure> {
    let allowed = SPACE_FACTOR * live + SPARE_SEGMENTS * segment_len + SPACE_BASE;
    if used <= allowed {
        return Ok(());
    }
    let text = format!("files take {used} bytes where {live} live, at most {allowed}: {files}");
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_on_after_a_failed_sync_fails() {
        assert_eq!(check_halted(true), Ok(()));
        assert!(check_halted(false).is_err());
    }

    #[test]
    fn giving_up_needs_a_failed_sync_or_read() {
        assert_eq!(check_halt("it failed", &[Failing::Write, Failing::Sync]), Ok(()));
        assert!(check_halt("it failed", &[Failing::Write, Failing::Create]).is_err());
    }

    #[test]
    fn a_word_after_giving_up_fails() {
        assert_eq!(check_silent(None), Ok(()));
        assert!(check_silent(Some("a write".into())).is_err());
    }

    #[test]
    fn files_out_of_proportion_fail() {
        assert_eq!(check_space(500_000, 0, 65_536, ""), Ok(()));
        assert_eq!(check_space(1_000_000, 200_000, 65_536, ""), Ok(()));
        assert!(check_space(1_000_000, 0, 65_536, "").is_err());
    }
}
