//! One plan gives one run: the same in another process, and when it is played again.

use super::Failure;

/// The failure's id.
pub const ID: &str = "determinism";

/// Checks the hash of a run against that of the same plan in another process.
///
/// # Errors
/// When it is another.
pub fn check(here: &str, there: &str) -> Result<(), Failure> {
    if here == there {
        return Ok(());
    }
    Err(differs(format!("it hashes to {here} here and to {there} in another process")))
}

/// A run was another one when it was played again.
#[must_use]
pub fn differs(text: impl Into<String>) -> Failure {
    Failure::new(ID, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_fails() {
        assert_eq!(check("0f", "0f"), Ok(()));
        assert_eq!(check("0f", "f0").expect_err("they differ").checker, "determinism");
        assert!(check("0f", "").is_err());
    }
}
