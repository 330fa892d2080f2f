//! When each message of a limited rate is due.
//!
//! The messages of all publishers together are due at equal distances, and publishers take turns.
//! A schedule is fixed beforehand: nothing that happens moves it.

use std::time::Duration;

const NS_PER_S: u128 = 1_000_000_000;

/// The schedule of one publisher among several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: u64,
    index: u64,
    publishers: u64,
}

impl Schedule {
    /// For publisher `index` of `publishers`, which share `rate` messages per second; both at least
    /// 1.
    pub(super) fn new(rate: u64, index: usize, publishers: u32) -> Self {
        Self { rate, index: index as u64, publishers: publishers.into() }
    }

    /// When the message `nth` of this publisher, from 0, is due: nanoseconds since the load began.
    pub(super) fn time_ns(&self, nth: u64) -> u64 {
        let among_all = u128::from(nth) * u128::from(self.publishers) + u128::from(self.index);
        let time = (among_all * NS_PER_S).div_ceil(self.rate.into());
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// How many messages of this publisher are due at `elapsed` or before.
    pub(super) fn due(&self, elapsed: Duration) -> u64 {
        let last_of_all = elapsed.as_nanos() * u128::from(self.rate) / NS_PER_S;
        match last_of_all.checked_sub(self.index.into()) {
            Some(after) => {
                u64::try_from(after / u128::from(self.publishers) + 1).unwrap_or(u64::MAX)
            }
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_from_its_time_on_and_not_before() {
        for (rate, index, publishers) in [(1, 0, 1), (3, 1, 2), (1000, 6, 7), (333_333, 2, 3)] {
            let schedule = Schedule::new(rate, index, publishers);
            for nth in 0..1000 {
                let time = schedule.time_ns(nth);
                assert_eq!(schedule.due(Duration::from_nanos(time)), nth + 1, "{schedule:?}");
                if time > 0 {
                    assert_eq!(schedule.due(Duration::from_nanos(time - 1)), nth, "{schedule:?}");
                }
            }
        }
    }

    #[test]
    fn publishers_share_the_rate_and_take_turns() {
        let of = |index| Schedule::new(10, index, 2);
        let times: Vec<u64> = (0..3).flat_map(|nth| [0, 1].map(|i| of(i).time_ns(nth))).collect();
        assert_eq!(times, [0, 100, 200, 300, 400, 500].map(|ms| ms * 1_000_000));
        let total: u64 = (0..7).map(|i| Schedule::new(700, i, 7).due(Duration::from_secs(2))).sum();
        assert_eq!(total, 1401, "one at each 700th of a second, both ends included");
    }
}
