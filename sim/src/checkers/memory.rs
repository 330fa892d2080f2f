//! The broker keeps no more for a slow client than it may: nothing is delivered to one for whom
//! the limit waits already.

use super::Failure;

const ID: &str = "memory";

/// Checks a delivery to a client for whom `waiting` bytes wait.
///
/// # Errors
/// When that is the limit or more.
pub fn check_egress(waiting: usize, limit: usize) -> Result<(), Failure> {
    if waiting < limit {
        return Ok(());
    }
    let text = format!("a delivery for a client for whom {waiting} bytes wait, of at most {limit}");
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_on_top_of_a_full_egress_fails() {
        assert_eq!(check_egress(99, 100), Ok(()));
        assert!(check_egress(100, 100).is_err());
    }
}
