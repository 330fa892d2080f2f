//! In every queue, what came in is ready, unacked, or settled in one of the known ways; and the
//! broker counts what the model counts.

use warren_core::QueueStatus;
use warren_core::metrics::{QueueSums, SumsByKind};

use super::Failure;
use crate::model::{Queue, TALLIES, Tally};

const ID: &str = "conservation";

/// Checks the broker's account of a queue.
///
/// # Errors
/// When it does not add up, or is not the model's.
pub fn check(status: &QueueStatus, queue: &Queue) -> Result<(), Failure> {
    let settled = status.acked + status.rejected + status.purged;
    let died = status.expired + status.dropped + status.worn_out;
    let sum = status.ready + status.unacked + settled + died;
    if status.enqueued != sum {
        let text = format!("{}: {} came in, {sum} are accounted for", status.name, status.enqueued);
        return Err(Failure::new(ID, text));
    }
    let counts = [
        ("ready", status.ready, queue.ready.len() as u64),
        ("unacked", status.unacked, queue.unacked),
        ("consumers", status.consumers, queue.consumers.len() as u64),
        ("enqueued", status.enqueued, queue.enqueued),
        ("acked", status.acked, queue.acked),
        ("rejected", status.rejected, queue.rejected),
        ("purged", status.purged, queue.purged),
        ("expired", status.expired, queue.expired),
        ("dropped", status.dropped, queue.dropped),
        ("worn out", status.worn_out, queue.worn_out),
        ("lost letters", status.lost_letters, queue.lost_letters),
        ("kept letters", status.kept_letters, queue.kept.len() as u64),
    ];
    for (what, broker, model) in counts {
        if broker != model {
            let text = format!("{}: the broker counts {broker} {what}, not {model}", status.name);
            return Err(Failure::new(ID, text));
        }
    }
    Ok(())
}

/// Checks what the broker, which counts as it goes, says of all queues by their kind. If that
/// `is_exact`, all of it is known; else how many messages there are.
///
/// # Errors
/// When it is not what the model comes to.
pub fn check_sums(
    counted: &SumsByKind,
    (tallies, is_exact): ([Tally; TALLIES], bool),
) -> Result<(), Failure> {
    let kinds = [("classic", &counted.classic), ("quorum", &counted.quorum)];
    let kinds = kinds.into_iter().chain([("delayed", &counted.delayed)]);
    for ((kind, sums), model) in kinds.zip(tallies) {
        let broker = tally(sums);
        let is_same = match is_exact {
            true => broker == model,
            false => (broker.ready, broker.unacked) == (model.ready, model.unacked),
        };
        if !is_same {
            let text = format!("of all {kind} queues the broker counts {broker:?}, not {model:?}");
            return Err(Failure::new(ID, text));
        }
    }
    Ok(())
}

fn tally(sums: &QueueSums) -> Tally {
    let counters = &sums.counters;
    let deaths = sums
        .deaths
        .map(|deaths| [deaths.rejected, deaths.expired, deaths.maxlen, deaths.delivery_limit]);
    Tally {
        ready: sums.ready,
        unacked: sums.unacked,
        enqueued: counters.enqueued,
        acked: counters.acked,
        rejected: counters.rejected,
        expired: counters.expired,
        dropped: counters.dropped,
        delivered: [counters.delivered, counters.delivered_no_ack],
        got: [counters.got, counters.got_no_ack],
        get_empty: sums.get_empty,
        lost_letters: sums.lost_letters,
        deaths,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QueueId;

    fn status() -> QueueStatus {
        QueueStatus {
            vhost: "/".into(),
            name: "q".into(),
            durable: false,
            exclusive: false,
            auto_delete: false,
            ready: 1,
            unacked: 0,
            consumers: 0,
            consumers_ready: 0,
            enqueued: 2,
            acked: 1,
            rejected: 0,
            purged: 0,
            expired: 0,
            dropped: 0,
            worn_out: 0,
            lost_letters: 0,
            kept_letters: 0,
        }
    }

    fn queue() -> Queue {
        let mut queue = Queue::new(QueueId(1), "q".into());
        queue.enqueue(0, 0, None);
        queue.enqueue(1, 0, None);
        queue.ready.remove(0);
        queue.acked = 1;
        queue
    }

    #[test]
    fn equal_accounts_pass() {
        assert_eq!(check(&status(), &queue()), Ok(()));
    }

    #[test]
    fn an_account_that_does_not_add_up_fails() {
        let lost = QueueStatus { acked: 0, ..status() };
        assert!(check(&lost, &queue()).is_err());
    }

    #[test]
    fn a_sum_that_is_not_that_of_the_queues_fails() {
        let counted = |ready, get_empty| {
            let classic = QueueSums { ready, get_empty, ..QueueSums::default() };
            SumsByKind { classic, ..SumsByKind::default() }
        };
        let one = Tally { ready: 1, ..Tally::default() };
        let tallies = [one, Tally::default(), Tally::default()];
        assert_eq!(check_sums(&counted(1, 0), (tallies, true)), Ok(()));
        assert!(check_sums(&counted(2, 0), (tallies, true)).is_err());
        assert!(check_sums(&counted(1, 1), (tallies, true)).is_err());
        assert_eq!(check_sums(&counted(1, 1), (tallies, false)), Ok(()));
        assert!(check_sums(&counted(2, 1), (tallies, false)).is_err());
    }

    #[test]
    fn an_account_that_is_not_the_models_fails() {
        let moved = QueueStatus { acked: 0, rejected: 1, ..status() };
        assert!(check(&moved, &queue()).is_err());
    }
}
