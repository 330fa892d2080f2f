//! Logins that failed lately, by the addresses they came from: who tries time and again is answered
//! ever later.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use core::time::Duration;

use crate::Instant;

/// Of no more addresses than this it is known; of others it is forgotten, from the oldest on.
const ADDRESSES_MAX: usize = 1024;

/// Who has not failed for so long has not failed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// As often everybody may fail.
const FREE: u32 = 3;

/// How long the first answer waits that waits at all; each further one waits twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// Each delay is twice the one before, so many times at the most.
const DOUBLINGS_MAX: u32 = 4;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct FailedLogins {
    by_address: BTreeMap<String, Failures>,
    /// The same by the last time of each.
    by_time: BTreeSet<(Instant, String)>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl FailedLogins {
    /// A login from this address fails; how long the answer is to wait.
    pub(crate) fn note(&mut self, address: &str, now: Instant) -> Duration {
        let before = self.by_address.remove(address);
        if let Some(before) = &before {
            self.by_time.remove(&(before.last, address.to_string()));
        }
        let before = before.filter(|before| now.since(before.last) < FORGOTTEN_AFTER);
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        if self.by_address.len() >= ADDRESSES_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_address.remove(&oldest);
        }
        self.by_address.insert(address.to_string(), Failures { count, last: now });
        self.by_time.insert((now, address.to_string()));
        match count.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(further) => FIRST_DELAY * 2_u32.pow(further.min(DOUBLINGS_MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn who_fails_time_and_again_waits_ever_longer_and_is_forgiven() {
        let mut failed = FailedLogins::default();
        let mut delays = [0; 9];
        for (try_, delay) in delays.iter_mut().enumerate() {
            *delay = failed.note("a", at(try_ as u64)).as_millis();
        }
        assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(failed.note("b", at(9)), Duration::ZERO, "others do not wait for it");
        assert_eq!(failed.note("a", at(60_009)), Duration::ZERO);
    }

    #[test]
    fn no_more_is_kept_than_fits() {
        let mut failed = FailedLogins::default();
        for number in 0..3000 {
            failed.note(&format!("{number}"), at(number));
        }
        assert_eq!((failed.by_address.len(), failed.by_time.len()), (1024, 1024));
        assert!(!failed.by_address.contains_key("1975") && failed.by_address.contains_key("1976"));
    }
}
