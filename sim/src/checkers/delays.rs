//! Messages that wait for their time are listed in the order of their times, each with its time.

use warren_core::DelayedMessage;

use super::Failure;
use crate::model::Queue;

const ID: &str = "delays";

/// Checks the broker's list of all messages that wait.
///
/// # Errors
/// When it is not the model's.
pub fn check_listed(listed: &[DelayedMessage], store: &Queue) -> Result<(), Failure> {
    let mut waiting: Vec<_> =
        store.ready.iter().map(|copy| (copy.deadline_ms.unwrap_or(0), copy.position)).collect();
    waiting.sort_unstable();
    let times = listed.iter().map(|message| message.due_ms);
    if times.eq(waiting.iter().map(|(deadline, _)| *deadline)) && listed.is_sorted() {
        return Ok(());
    }
    let text = format!("the broker lists {listed:?}, where there are {waiting:?}");
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QueueId;

    #[test]
    fn each_is_listed_in_the_order_of_the_times() {
        let mut store = Queue::new(QueueId(1), "store".into());
        store.enqueue(0, 0, Some(20));
        store.enqueue(1, 0, Some(10));
        let all = [(10, 5), (20, 4)].map(|(due_ms, id)| DelayedMessage { due_ms, id });
        assert_eq!(check_listed(&all, &store), Ok(()));
        assert!(check_listed(&all[1..], &store).is_err());
        assert!(check_listed(&[all[1], all[0]], &store).is_err());
    }
}
