//! Consumers of a queue are served by rank, and within a rank nobody is starved; no connection
//! waits for a reply because another floods the broker.

use super::Failure;

const ID: &str = "fairness";
/// A synchronous reply comes within this, in nanoseconds, as soon as its request was handled.
pub const REPLY_WAIT_MAX_NS: u64 = 2_000_000_000;

/// A consumer that could have taken the delivery, as the checker sees it.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Its tag.
    pub tag: String,
    /// Its channel.
    pub place: String,
    /// Its priority.
    pub priority: i64,
    /// How many deliveries went to others of its rank since its last turn.
    pub passed_over: u64,
}

/// Checks a delivery to a consumer of this priority: none of a higher rank could have taken it,
/// and none of its own rank has been passed over too often, where the queue has so many `others`.
///
/// # Errors
/// When one was.
pub fn check(priority: i64, tag: &str, rivals: &[Rival], others: usize) -> Result<(), Failure> {
    let passed_over_max = 2 * others as u64 + 18;
    for rival in rivals {
        if rival.priority > priority {
            let text = format!(
                "{tag} of priority {priority} is served while {} on {} of priority {} waits",
                rival.tag, rival.place, rival.priority
            );
            return Err(Failure::new(ID, text));
        }
        if rival.priority == priority && rival.passed_over > passed_over_max {
            let text = format!(
                "{} on {} was passed over {} times in a row",
                rival.tag, rival.place, rival.passed_over
            );
            return Err(Failure::new(ID, text));
        }
    }
    Ok(())
}

/// A channel that waited goes on before another that has waited longer for the same.
pub fn overtaken(who: &str, other: &str) -> Failure {
    Failure::new(ID, format!("{who} goes on before {other}, which has waited longer"))
}

/// Checks how long a reply has been due.
///
/// # Errors
/// When it is too long.
pub fn check_reply(what: &str, due_since: u64, now: u64) -> Result<(), Failure> {
    if now.saturating_sub(due_since) > REPLY_WAIT_MAX_NS {
        let text = format!("{what} has been due for {} ms", (now - due_since) / 1_000_000);
        return Err(Failure::new(ID, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rival(priority: i64, passed_over: u64) -> Rival {
        Rival { tag: "t".into(), place: "c1/1".into(), priority, passed_over }
    }

    #[test]
    fn serving_a_lower_rank_first_fails() {
        assert_eq!(check(5, "me", &[rival(5, 0), rival(1, 99)], 2), Ok(()));
        assert!(check(1, "me", &[rival(5, 0)], 1).is_err());
    }

    #[test]
    fn passing_over_an_equal_for_long_fails() {
        assert_eq!(check(0, "me", &[rival(0, 20)], 1), Ok(()));
        assert!(check(0, "me", &[rival(0, 21)], 1).is_err());
    }

    #[test]
    fn a_reply_that_is_long_overdue_fails() {
        assert_eq!(check_reply("queue.declare-ok", 5, 5 + REPLY_WAIT_MAX_NS), Ok(()));
        assert!(check_reply("queue.declare-ok", 5, 6 + REPLY_WAIT_MAX_NS).is_err());
    }
}
