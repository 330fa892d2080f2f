//! Who deduplicates takes a message for one that came before if it is one, and only then, after
//! starts too.

use super::Failure;

const ID: &str = "duplicates";

/// Checks that nothing was taken for a duplicate that is none, as the model judges it.
///
/// # Errors
/// When something was.
pub fn check(judged: Result<(), String>) -> Result<(), Failure> {
    judged.map_err(|text| Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_for_a_duplicate_wrongly_fails() {
        assert_eq!(check(Ok(())), Ok(()));
        assert!(check(Err("q1 takes m2 for a duplicate".into())).is_err());
    }
}
