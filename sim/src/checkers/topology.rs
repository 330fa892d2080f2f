//! What is declared is listed and what is listed is declared; messages are in the queues that
//! they are routed to, and in no others.

use std::collections::BTreeMap;

use warren_core::QueueStatus;

use super::Failure;
use crate::model::{Fate, Queue};

const ID: &str = "topology";

/// Checks that the delivered message was routed to the queue at all.
///
/// # Errors
/// When it was not.
pub fn check_route(name: &str, queue: &str, fate: Option<Fate>) -> Result<(), Failure> {
    if fate.is_some() {
        return Ok(());
    }
    let text = format!("{name} is delivered from {queue}, where nothing routes it");
    Err(Failure::about(name, ID, text))
}

/// Checks what the broker decided where it was free to, of where messages go.
///
/// # Errors
/// When it was not free to decide so.
pub fn check_decisions(decisions: Result<(), String>) -> Result<(), Failure> {
    decisions.map_err(|text| Failure::new(ID, text))
}

/// Checks the broker's list of queues against those that there must be, by name.
///
/// # Errors
/// When one is missing, too many, or of another kind.
pub fn check_list(
    listed: &[(String, QueueStatus)],
    queues: &BTreeMap<&str, &Queue>,
) -> Result<(), Failure> {
    for (name, status) in listed {
        let Some(queue) = queues.get(name.as_str()) else {
            return Err(Failure::new(ID, format!("queue {name} should be gone")));
        };
        check_kind(status, queue)?;
    }
    if listed.len() != queues.len() {
        let is_listed = |name: &&&str| listed.iter().any(|(listed, _)| listed == **name);
        let missing = queues.keys().find(|name| !is_listed(name));
        return Err(Failure::new(ID, format!("queue {missing:?} is missing")));
    }
    Ok(())
}

/// Checks what kind of queue this is.
///
/// # Errors
/// When it is another than the model's.
pub fn check_kind(status: &QueueStatus, queue: &Queue) -> Result<(), Failure> {
    let broker = (status.durable, status.exclusive, status.auto_delete);
    let model = (queue.is_durable, queue.owner.is_some(), queue.is_auto_delete);
    if broker == model {
        return Ok(());
    }
    let text = format!(
        "queue {} is (durable, exclusive, auto-delete) {broker:?}, not {model:?}",
        status.name
    );
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QueueId;

    fn status(name: &str) -> QueueStatus {
        QueueStatus {
            vhost: "/".into(),
            name: name.into(),
            durable: false,
            exclusive: false,
            auto_delete: false,
            ready: 0,
            unacked: 0,
            consumers: 0,
            consumers_ready: 0,
            enqueued: 0,
            acked: 0,
            rejected: 0,
            purged: 0,
            expired: 0,
            dropped: 0,
            worn_out: 0,
            lost_letters: 0,
            kept_letters: 0,
        }
    }

    fn named(status: QueueStatus) -> (String, QueueStatus) {
        (status.name.to_string(), status)
    }

    #[test]
    fn a_message_from_a_queue_that_it_was_not_routed_to_fails() {
        assert_eq!(check_route("m", "q", Some(Fate::Ready)), Ok(()));
        assert!(check_route("m", "q", None).is_err());
    }

    #[test]
    fn a_queue_too_many_too_few_or_of_another_kind_fails() {
        let queue = Queue::new(QueueId(1), "q".into());
        let queues = BTreeMap::from([("q", &queue)]);
        assert_eq!(check_list(&[named(status("q"))], &queues), Ok(()));
        assert!(check_list(&[], &queues).is_err());
        assert!(check_list(&[status("q"), status("other")].map(named), &queues).is_err());
        let durable = QueueStatus { durable: true, ..status("q") };
        assert!(check_list(&[named(durable)], &queues).is_err());
    }
}
