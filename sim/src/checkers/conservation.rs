//! In every queue, what came in is ready, unacked, or settled in one of the known ways; and the
//! broker counts what the model counts.

use warren_core::QueueStatus;
use warren_core::metrics::{QueueSums, SumsByKind};

use super::Failure;
use crate::model::Queue;

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

/// What all queues hold together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    ready: u64,
    unacked: u64,
}

impl Sums {
    /// With one queue more.
    pub fn add(&mut self, status: &QueueStatus) {
        self.ready += status.ready;
        self.unacked += status.unacked;
    }

    /// Checks that the broker, which counts as it goes, comes to the same.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, counted: &SumsByKind) -> Result<(), Failure> {
        let sum = |of: fn(&QueueSums) -> u64| of(&counted.classic) + of(&counted.quorum);
        let (ready, unacked) = (sum(|sums| sums.ready), sum(|sums| sums.unacked));
        if (ready, unacked) == (self.ready, self.unacked) {
            return Ok(());
        }
        let text =
            format!("of all queues the broker counts {ready}, {unacked}; there are {self:?}");
        Err(Failure::new(ID, text))
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
        let mut sums = Sums::default();
        sums.add(&status());
        let counted = |ready| {
            let classic = QueueSums { ready, ..QueueSums::default() };
            SumsByKind { classic, ..SumsByKind::default() }
        };
        assert_eq!(sums.check(&counted(1)), Ok(()));
        assert!(sums.check(&counted(2)).is_err());
    }

    #[test]
    fn an_account_that_is_not_the_models_fails() {
        let moved = QueueStatus { acked: 0, rejected: 1, ..status() };
        assert!(check(&moved, &queue()).is_err());
    }
}
