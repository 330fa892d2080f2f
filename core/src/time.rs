//! Time as the core knows it: what the adapter says it is.

use core::ops::Add;
use core::time::Duration;

/// A moment on the adapter's monotonic clock, in nanoseconds since an origin of its choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The moment `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What time it is, for clients and for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Milliseconds since 1970, UTC, at the origin of the adapter's clock.
    origin_ms: u64,
    now: Instant,
}

const NANOS_PER_MILLI: u64 = 1_000_000;

impl Clock {
    pub(crate) fn new(origin_ms: u64) -> Self {
        Self { origin_ms, now: Instant::default() }
    }

    pub(crate) fn set(&mut self, now: Instant) {
        self.now = now;
    }

    /// Milliseconds since 1970, UTC, begun ones not counted.
    pub(crate) fn unix_ms(self) -> u64 {
        self.unix_ms_at(self.now)
    }

    /// The same of another moment.
    pub(crate) fn unix_ms_at(self, moment: Instant) -> u64 {
        self.origin_ms.saturating_add(moment.0 / NANOS_PER_MILLI)
    }

    /// When what lives for so many milliseconds from now on is at its end: not before its time, and
    /// less than a millisecond after it.
    pub(crate) fn deadline_in(self, millis: u64) -> u64 {
        let begun = self.now.0.div_ceil(NANOS_PER_MILLI);
        match millis {
            0 => self.unix_ms(),
            _ => self.origin_ms.saturating_add(begun).saturating_add(millis),
        }
    }

    /// When it is so many milliseconds since 1970, UTC, on the adapter's clock.
    pub(crate) fn instant(self, unix_ms: u64) -> Instant {
        Instant(unix_ms.saturating_sub(self.origin_ms).saturating_mul(NANOS_PER_MILLI))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}
