//! A queue that is paused hands out nothing.

use super::Failure;

const ID: &str = "pausing";

/// Checks a delivery of this message from a queue that is paused, or is not.
///
/// # Errors
/// When it is.
pub fn check(message: &str, queue: &str, is_paused: bool) -> Result<(), Failure> {
    match is_paused {
        true => Err(Failure::about(message, ID, format!("{queue} hands out, and is paused"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_paused_hands_out() {
        assert_eq!(check("m1", "q", false), Ok(()));
        assert_eq!(check("m1", "q", true).expect_err("it is paused").checker, ID);
    }
}
