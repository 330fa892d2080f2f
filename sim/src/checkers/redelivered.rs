//! `redelivered` is false for what was never delivered before, and true for what was.

use super::Failure;

const ID: &str = "redelivered";

/// Checks the flag of a delivery.
///
/// # Errors
/// When it says otherwise than the history.
pub fn check(name: &str, was_delivered: bool, is_flagged: bool) -> Result<(), Failure> {
    if was_delivered == is_flagged {
        return Ok(());
    }
    let history = if was_delivered { "was delivered before" } else { "is new" };
    let text = format!("{name} {history} and comes with redelivered={is_flagged}");
    Err(Failure::about(name, ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_must_say_what_happened() {
        assert_eq!(check("m", false, false), Ok(()));
        assert_eq!(check("m", true, true), Ok(()));
        assert!(check("m", true, false).is_err());
        assert!(check("m", false, true).is_err());
    }
}
