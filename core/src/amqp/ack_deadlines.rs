//! Until when the deliveries of a channel are to be acknowledged, and which were not.
//!
//! Nothing is done for a delivery without a timeout, and nothing when one is acknowledged: what is
//! settled is found out when its time comes, or when there is more of it than of what is open.
//! Deliveries with the same timeout are due in the order in which they were made.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::Instant;

/// So many settled deliveries are kept, however few are open.
const SETTLED_MIN: usize = 64;

/// Of so many deliveries that were taken back it is known that they may still be acknowledged; of
/// more, the oldest are forgotten.
const LATE_MAX: usize = 1 << 16;

/// Deliveries that are to be acknowledged in time, by tag.
#[derive(Debug, Default)]
pub(crate) struct AckDeadlines {
    /// In order, for each timeout that there is.
    by_timeout: BTreeMap<Duration, VecDeque<(Instant, u64)>>,
    len: usize,
    /// Deliveries that were taken back: the client may not know yet.
    late: BTreeSet<u64>,
}

impl AckDeadlines {
    /// A delivery is made now; its tag is above all others.
    pub(crate) fn push(&mut self, timeout: Duration, now: Instant, tag: u64) {
        self.by_timeout.entry(timeout).or_default().push_back((now + timeout, tag));
        self.len += 1;
    }

    /// Whether most of what is kept was settled, where so many deliveries are open.
    pub(crate) fn is_crowded(&self, open: usize) -> bool {
        self.len > 2 * open + SETTLED_MIN
    }

    /// Forgets what is not open.
    pub(crate) fn retain(&mut self, is_open: impl Fn(u64) -> bool) {
        self.by_timeout.retain(|_, deliveries| {
            deliveries.retain(|(_, tag)| is_open(*tag));
            !deliveries.is_empty()
        });
        self.len = self.by_timeout.values().map(VecDeque::len).sum();
    }

    /// Takes what is open and due by now, with its timeout, in order of tags.
    pub(crate) fn take_due(
        &mut self,
        now: Instant,
        is_open: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Duration)> {
        let mut due = Vec::new();
        self.by_timeout.retain(|timeout, deliveries| {
            while let Some((deadline, tag)) = deliveries.front().copied() {
                let is_open = is_open(tag);
                if is_open && now < deadline {
                    break;
                }
                due.extend(is_open.then_some((tag, *timeout)));
                deliveries.pop_front();
                self.len -= 1;
            }
            !deliveries.is_empty()
        });
        due.sort_unstable();
        due
    }

    /// When the next is due, at the earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_timeout.values().filter_map(|due| Some(due.front()?.0)).min()
    }

    /// A delivery was taken back.
    pub(crate) fn note_late(&mut self, tag: u64) {
        self.late.insert(tag);
        if self.late.len() > LATE_MAX {
            self.late.pop_first();
        }
    }

    /// The client settles a delivery, or with `multiple` all up to it, or all for tag 0. Whether
    /// this very one was taken back; each is asked for once.
    pub(crate) fn settle_late(&mut self, tag: u64, multiple: bool) -> bool {
        if self.late.is_empty() {
            return false;
        }
        let is_late = self.late.remove(&tag);
        if multiple {
            let behind = if tag == 0 { BTreeSet::new() } else { self.late.split_off(&tag) };
            self.late = behind;
        }
        is_late
    }

    /// The client gives up all deliveries there are.
    pub(crate) fn forget_late(&mut self) {
        self.late.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn what_is_open_is_due_at_its_time_whatever_its_timeout() {
        let mut deadlines = AckDeadlines::default();
        deadlines.push(9 * SECOND, at(0), 1);
        deadlines.push(2 * SECOND, at(1), 2);
        deadlines.push(2 * SECOND, at(2), 3);
        assert_eq!(deadlines.next(), Some(at(3)));
        assert_eq!(deadlines.take_due(at(2), |_| true), []);
        assert_eq!(deadlines.take_due(at(3), |tag| tag != 3), [(2, 2 * SECOND)]);
        assert_eq!(deadlines.next(), Some(at(9)));
        assert_eq!(deadlines.take_due(at(9), |_| true), [(1, 9 * SECOND)]);
        assert_eq!((deadlines.next(), deadlines.len), (None, 0));
    }

    #[test]
    fn what_is_settled_does_not_pile_up() {
        let mut deadlines = AckDeadlines::default();
        for tag in 1..=10_000 {
            deadlines.push(SECOND, at(0), tag);
            if deadlines.is_crowded(2) {
                deadlines.retain(|open| open == 1 || open == tag);
            }
        }
        assert!(deadlines.len <= 2 * 2 + SETTLED_MIN);
        assert_eq!(deadlines.take_due(at(1), |tag| tag == 1), [(1, SECOND)]);
    }

    #[test]
    fn each_late_acknowledgement_counts_once() {
        let mut deadlines = AckDeadlines::default();
        for tag in [2, 3, 5, 7] {
            deadlines.note_late(tag);
        }
        assert!(deadlines.settle_late(3, false) && !deadlines.settle_late(3, false));
        assert!(!deadlines.settle_late(4, true));
        assert!(!deadlines.settle_late(2, false));
        assert!(deadlines.settle_late(5, true));
        deadlines.settle_late(0, true);
        assert!(!deadlines.settle_late(7, false));
    }

    #[test]
    fn what_nobody_acknowledges_at_all_is_forgotten() {
        let mut deadlines = AckDeadlines::default();
        (0..=LATE_MAX as u64).for_each(|tag| deadlines.note_late(tag));
        assert!(!deadlines.settle_late(0, false));
        assert!(deadlines.settle_late(1, false));
    }
}
