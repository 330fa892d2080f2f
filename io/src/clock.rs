//! The monotonic clock, in the core's units.

use std::time::Instant as StdInstant;

use warren_core::Instant;

/// The operating system's monotonic clock, counted from when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: StdInstant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { origin: StdInstant::now() }
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
