//! What was settled, and is known to be so on disk, does not come back with a restart.

use super::Failure;
use crate::model::Fate;

const ID: &str = "ack-final";

/// Checks how many messages a queue has after a restart.
///
/// # Errors
/// When they are more than it may have.
pub fn check_recovered(queue: &str, ready: u64, left: u64) -> Result<(), Failure> {
    if ready <= left {
        return Ok(());
    }
    Err(Failure::new(ID, format!("{queue} has {ready} messages after the restart, not {left}")))
}

/// Checks a message from a queue that was there when the broker started.
///
/// # Errors
/// When it was settled before.
pub fn check(name: &str, queue: &str, fate: Option<Fate>) -> Result<(), Failure> {
    if let Some(Fate::Acked | Fate::Rejected | Fate::Purged) = fate {
        let text = format!("{name} comes back from {queue} with a restart: it was {fate:?}");
        return Err(Failure::about(name, ID, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_with_too_many_messages_fails() {
        assert_eq!(check_recovered("q", 3, 3), Ok(()));
        assert!(check_recovered("q", 4, 3).is_err());
    }

    #[test]
    fn a_settled_message_that_comes_back_fails() {
        assert_eq!(check("m", "q", Some(Fate::Ready)), Ok(()));
        assert!(check("m", "q", Some(Fate::Acked)).is_err());
    }
}
