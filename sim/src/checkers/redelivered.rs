//! `redelivered` is true for what was delivered before, restarts included, and false for what was
//! not; but what a broker found at its start it may call so to be safe.

use super::Failure;
use crate::model::Copy;

const ID: &str = "redelivered";

/// Checks the flag of a delivery.
///
/// # Errors
/// When it says otherwise than the history.
pub fn check(name: &str, copy: &Copy, is_flagged: bool) -> Result<(), Failure> {
    if copy.was_delivered == is_flagged || copy.is_recovered && is_flagged {
        return Ok(());
    }
    let history = if copy.was_delivered { "was delivered before" } else { "is new" };
    let text = format!("{name} {history} and comes with redelivered={is_flagged}");
    Err(Failure::about(name, ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_must_say_what_happened() {
        let copy = |was_delivered, is_recovered| Copy {
            message: 0,
            level: 0,
            position: 1,
            was_delivered,
            is_recovered,
            deadline_ms: None,
            returns: 0,
            tells_returns: false,
        };
        for is_recovered in [false, true] {
            assert_eq!(check("m", &copy(false, is_recovered), false), Ok(()));
            assert_eq!(check("m", &copy(true, is_recovered), true), Ok(()));
            assert!(check("m", &copy(true, is_recovered), false).is_err());
        }
        assert!(check("m", &copy(false, false), true).is_err());
        assert_eq!(check("m", &copy(false, true), true), Ok(()));
    }
}
