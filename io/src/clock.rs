//! The monotonic clock, in the core's units.

use std::sync::LazyLock;
use std::time::{Instant as StdInstant, SystemTime};

use warren_core::Instant;

/// When this process first asked for the time.
static ORIGIN: LazyLock<StdInstant> = LazyLock::new(StdInstant::now);

/// What time it was at the origin of every [`Clock`] of this process: in milliseconds since 1970,
/// UTC.
pub(crate) fn origin_ms() -> u64 {
    let since_origin = ORIGIN.elapsed();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.saturating_sub(since_origin).as_millis()).unwrap_or(u64::MAX)
}

/// The operating system's monotonic clock, counted from when the process first asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: StdInstant,
}

impl Clock {
    /// This process's clock.
    pub(crate) fn start() -> Self {
        Self { origin: *ORIGIN }
    }

    /// This moment. It never goes back.
    pub(crate) fn now(self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The operating system's name for `moment`; `None` when it is too far off to have one.
    pub(crate) fn to_std(self, moment: Instant) -> Option<StdInstant> {
        self.origin.checked_add(moment.since(Instant::from_nanos(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_and_its_name_are_the_same_moment() {
        let clock = Clock::start();
        let before = StdInstant::now();
        let now = clock.to_std(clock.now()).expect("now can be named");
        assert!(now >= before && now <= StdInstant::now());
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let clock = Clock::start();
        if let Some(end) = clock.to_std(Instant::from_nanos(u64::MAX)) {
            assert!(end > StdInstant::now());
        }
    }
}
