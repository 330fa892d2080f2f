//! A queue that serves one consumer at a time serves the one that is active, and says so.

use super::Failure;
use crate::model::Queue;

const ID: &str = "single-active";

/// Checks a delivery to the consumer `tag`: `active` names the one that is to be served in its
/// place, and says whether that one must hold nothing before anybody is served.
///
/// # Errors
/// When there is such a one.
pub fn check_served(
    queue: &str,
    tag: &str,
    active: Option<&(String, bool)>,
) -> Result<(), Failure> {
    match active {
        None => Ok(()),
        Some((active, is_draining)) => {
            let state = if *is_draining { "must be done first" } else { "is active" };
            Err(Failure::new(ID, format!("{queue} serves {tag} while {active} {state}")))
        }
    }
}

/// Checks how many consumers of a queue the broker says could be given a message.
///
/// # Errors
/// When it is more than one, of a queue that serves one at a time.
pub fn check_ready(queue: &Queue, consumers_ready: u64) -> Result<(), Failure> {
    if queue.is_single_active() && consumers_ready > 1 {
        let text = format!("{} says that {consumers_ready} consumers are ready", queue.name);
        return Err(Failure::new(ID, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QueueId;
    use crate::wire::Value;

    #[test]
    fn serving_one_that_is_not_active_fails() {
        assert_eq!(check_served("q", "t", None), Ok(()));
        assert!(check_served("q", "t", Some(&("u".into(), false))).is_err());
        assert!(check_served("q", "t", Some(&("t".into(), true))).is_err());
    }

    #[test]
    fn two_that_are_ready_fail_where_one_is_served() {
        let mut queue = Queue::new(QueueId(1), "q".into());
        assert_eq!(check_ready(&queue, 2), Ok(()));
        queue.arguments.push(("x-single-active-consumer".into(), Value::Bool(true)));
        assert_eq!(check_ready(&queue, 1), Ok(()));
        assert!(check_ready(&queue, 2).is_err());
    }
}
