//! Delivery tags count up by one on each channel, and neither a consumer nor a channel holds more
//! than its prefetch.

use super::Failure;

const ID: &str = "tags-and-prefetch";

/// Checks a delivery's tag against the channel's last.
///
/// # Errors
/// When it is not the next.
pub fn check_tag(last: u64, tag: u64) -> Result<(), Failure> {
    if tag == last + 1 {
        return Ok(());
    }
    Err(Failure::new(ID, format!("delivery tag {tag} follows {last}")))
}

/// Checks a consumer before it is given another message: `held` of at most `prefetch` (0: any
/// number), and the same for its channel.
///
/// # Errors
/// When one of them holds as many as it may.
pub fn check_prefetch(
    tag: &str,
    consumer: (usize, u64),
    channel: (usize, u64),
) -> Result<(), Failure> {
    for (whose, (held, prefetch)) in [("it", consumer), ("its channel", channel)] {
        if prefetch > 0 && held as u64 >= prefetch {
            let text = format!(
                "consumer {tag} is given a message while {whose} holds {held} of {prefetch}"
            );
            return Err(Failure::new(ID, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_do_not_count_up_by_one_fail() {
        assert_eq!(check_tag(0, 1), Ok(()));
        assert!(check_tag(1, 1).is_err());
        assert!(check_tag(1, 3).is_err());
    }

    #[test]
    fn a_delivery_beyond_the_prefetch_fails() {
        assert_eq!(check_prefetch("t", (9, 0), (9, 0)), Ok(()));
        assert_eq!(check_prefetch("t", (1, 2), (1, 2)), Ok(()));
        assert!(check_prefetch("t", (2, 2), (0, 0)).is_err());
        assert!(check_prefetch("t", (0, 0), (3, 3)).is_err());
    }
}
