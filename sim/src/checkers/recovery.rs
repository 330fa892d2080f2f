//! A start gives the broker back what it had: it comes to an end, it does not refuse a directory
//! that only suffered what it must bear, and doing it twice is doing it once.

use warren_core::{QueueStatus, StartError};

use super::Failure;

pub(crate) const ID: &str = "recovery";

/// Checks that a recovery that is not done waits for something.
///
/// # Errors
/// When it does not.
pub fn check_going_on(is_idle: bool) -> Result<(), Failure> {
    if is_idle {
        return Err(Failure::new(ID, "recovery is not done, and waits for nothing"));
    }
    Ok(())
}

/// Checks a start that was refused: only a disk that was made to fail, or is full, excuses it.
///
/// # Errors
/// When it was not.
pub fn check_refusal(error: &StartError, is_excused: bool) -> Result<(), Failure> {
    match error {
        StartError::Disk { .. } if is_excused => Ok(()),
        error => Err(Failure::new(ID, format!("the broker does not start: {error}"))),
    }
}

/// Checks the outcome of a second recovery from what the first left behind.
///
/// # Errors
/// When it is another.
pub fn check_same(once: &[QueueStatus], twice: &[QueueStatus]) -> Result<(), Failure> {
    if once == twice {
        return Ok(());
    }
    Err(Failure::new(ID, format!("recovered once: {once:?}; twice: {twice:?}")))
}

#[cfg(test)]
mod tests {
    use warren_core::FileId;

    use super::*;

    #[test]
    fn a_recovery_that_waits_for_nothing_fails() {
        assert_eq!(check_going_on(false), Ok(()));
        assert!(check_going_on(true).is_err());
    }

    #[test]
    fn a_refused_start_needs_a_disk_that_failed() {
        let refused = StartError::Disk { file: None, text: "input/output error".into() };
        assert_eq!(check_refusal(&refused, true), Ok(()));
        assert!(check_refusal(&refused, false).is_err());
        let file = FileId::Segment(1);
        let damaged = StartError::Damaged { file, offset: 5, text: "a batch".into() };
        assert!(check_refusal(&damaged, true).is_err());
    }

    #[test]
    fn another_outcome_the_second_time_fails() {
        let status = QueueStatus {
            vhost: "/".into(),
            name: "q".into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            ready: 1,
            unacked: 0,
            consumers: 0,
            consumers_ready: 0,
            enqueued: 1,
            acked: 0,
            rejected: 0,
            purged: 0,
            expired: 0,
            dropped: 0,
            worn_out: 0,
            lost_letters: 0,
            kept_letters: 0,
        };
        let other = QueueStatus { ready: 2, ..status.clone() };
        let once = std::slice::from_ref(&status);
        assert_eq!(check_same(once, once), Ok(()));
        assert!(check_same(&[status], &[other]).is_err());
    }
}
