//! A transaction's publishes are there after the commit, all of them, and at no other time.

use super::Failure;
use crate::model::Fate;

const ID: &str = "tx";

/// Checks that a delivered message is not one of a transaction that is open or was rolled back.
///
/// # Errors
/// When it is.
pub fn check(name: &str, fate: Option<Fate>) -> Result<(), Failure> {
    let state = match fate {
        Some(Fate::Uncommitted) => "is not committed",
        Some(Fate::RolledBack) => "was rolled back",
        _ => return Ok(()),
    };
    Err(Failure::about(name, ID, format!("{name} is delivered, but its publish {state}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_must_not_be_delivered() {
        assert_eq!(check("m", Some(Fate::Ready)), Ok(()));
        assert!(check("m", Some(Fate::Uncommitted)).is_err());
        assert!(check("m", Some(Fate::RolledBack)).is_err());
    }
}
