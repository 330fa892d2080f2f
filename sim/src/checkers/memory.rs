//! The broker keeps no more for a slow client than it may: nothing is delivered to one for whom
//! the limit waits already. And messages take no more memory than they may: publishers wait.

use super::Failure;

const ID: &str = "memory";
/// So many messages may be on their way from the disk.
const READ: u64 = 8;
/// What a message takes beside its body, in bytes, at the most.
const MESSAGE_OVERHEAD: u64 = 1024;

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

/// Checks how many bytes messages take. What is under way when the limit is reached, at most
/// `largest` bytes on each of so many channels, is taken in still; and some are being read. Besides
/// there may be `more` of so many bytes and messages, that come together.
///
/// # Errors
/// When it is more.
pub fn check_messages(
    taken: u64,
    limit: u64,
    largest: u64,
    channels: u64,
    more: (u64, u64),
) -> Result<(), Failure> {
    let more = more.0 + more.1 * MESSAGE_OVERHEAD;
    let allowed = limit + (channels + READ) * (largest + MESSAGE_OVERHEAD) + more;
    if taken <= allowed {
        return Ok(());
    }
    let text = format!("messages take {taken} bytes; the limit is {limit}, with slack {allowed}");
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_beyond_the_limit_fail() {
        assert_eq!(check_messages(37_000, 1000, 3000, 1, (0, 0)), Ok(()));
        assert!(check_messages(38_000, 1000, 3000, 1, (0, 0)).is_err());
        assert_eq!(check_messages(38_000, 1000, 3000, 1, (1000, 1)), Ok(()));
    }

    #[test]
    fn a_delivery_on_top_of_a_full_egress_fails() {
        assert_eq!(check_egress(99, 100), Ok(()));
        assert!(check_egress(100, 100).is_err());
    }
}
