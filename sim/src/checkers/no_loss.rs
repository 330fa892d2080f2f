//! What the broker promised to keep is there after a restart: declared, still queued, and in the
//! end delivered.

use super::Failure;

const ID: &str = "no-loss";

/// Checks how much of the log is there, as the model judges it.
///
/// # Errors
/// When it does not reach as far as was promised, or further than was ever written.
pub fn check_log<T>(judged: Result<T, String>) -> Result<T, Failure> {
    judged.map_err(|text| Failure::new(ID, text))
}

/// Checks how many messages a queue has after a restart.
///
/// # Errors
/// When they are fewer than it must have.
pub fn check_recovered(queue: &str, ready: u64, left: u64) -> Result<(), Failure> {
    if ready >= left {
        return Ok(());
    }
    Err(Failure::new(ID, format!("{queue} has {ready} messages after the restart, not {left}")))
}

/// Checks that no message is left that was never delivered or dropped for a reason.
///
/// # Errors
/// When one is.
pub fn check_drained(name: &str, is_left: bool) -> Result<(), Failure> {
    if !is_left {
        return Ok(());
    }
    Err(Failure::about(name, ID, format!("{name} never comes, though all was drained")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_too_short_fails() {
        assert_eq!(check_log(Ok(())), Ok(()));
        assert!(check_log::<()>(Err("batch 7 was promised".into())).is_err());
    }

    #[test]
    fn a_queue_with_too_few_messages_fails() {
        assert_eq!(check_recovered("q", 3, 3), Ok(()));
        assert!(check_recovered("q", 2, 3).is_err());
    }

    #[test]
    fn a_message_that_never_comes_fails() {
        assert_eq!(check_drained("m1", false), Ok(()));
        assert!(check_drained("m1", true).is_err());
    }
}
