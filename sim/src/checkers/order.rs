//! A queue gives out its messages in their order, those of higher levels first; one that came back
//! stands in its old place.

use super::Failure;
use crate::model::Copy;

const ID: &str = "order";

/// Checks that the message at `at` is the queue's next; `name` tells what a message is called.
///
/// # Errors
/// When another stands before it.
pub fn check(
    queue: &str,
    ready: &[Copy],
    at: usize,
    name: impl Fn(usize) -> String,
) -> Result<(), Failure> {
    if at == 0 {
        return Ok(());
    }
    let delivered = name(ready[at].message);
    let (first, levels) = (name(ready[0].message), [ready[at].level, ready[0].level]);
    let mut text =
        format!("{queue} gives out {delivered} before {at} others, the first of them {first}");
    if levels[0] != levels[1] {
        text += &format!(", which is of level {} and not {}", levels[1], levels[0]);
    }
    Err(Failure::about(&delivered, ID, text))
}

/// Checks that the message that was fetched is the one that stood first.
///
/// # Errors
/// When it is another.
pub fn check_head(queue: &str, fetched: &str, first: &str) -> Result<(), Failure> {
    if fetched == first {
        return Ok(());
    }
    let text = format!("{queue} gives out {fetched} when it is asked, and {first} stood before it");
    Err(Failure::about(fetched, ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_may_leave() {
        let copy = |position| Copy {
            message: 0,
            level: 0,
            position,
            was_delivered: false,
            is_recovered: false,
            deadline_ms: None,
            returns: 0,
            tells_returns: false,
        };
        let ready = [copy(1), copy(2)];
        assert_eq!(check("q", &ready, 0, |_| "m".into()), Ok(()));
        assert!(check("q", &ready, 1, |_| "m".into()).is_err());
        assert_eq!(check_head("q", "m1", "m1"), Ok(()));
        assert!(check_head("q", "m2", "m1").is_err());
    }
}
