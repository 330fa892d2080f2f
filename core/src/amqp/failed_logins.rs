//! Logins by the addresses they come from: who fails time and again is answered ever later, and
//! does not get further by trying many times at once.
//!
//! Of an address only so many passwords are looked at at a time. One is looked at from when it is
//! asked whether it is right until the answer goes out, which waits; that the client goes away
//! before makes no difference. So guesses side by side are no quicker than one after the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
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

/// Of an address from which nobody fails too often, so many passwords are looked at at once.
const AT_ONCE_MAX: u32 = 256;

/// The same of one from which somebody does.
const AT_ONCE_MAX_OF_FAILED: u32 = 8;

/// Where all are being looked at, and it is not known for how long, it is asked again after this.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct FailedLogins {
    by_address: BTreeMap<String, Failures>,
    /// The same by the last time of each.
    by_time: BTreeSet<(Instant, String)>,
    /// Of how many passwords of each address it is being found out whether they are right.
    open: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Until when refusals wait that have not gone out.
    refusals: Vec<Instant>,
}

impl FailedLogins {
    /// Somebody from this address wants to log in.
    ///
    /// # Errors
    /// Too many do at once: after how long to ask again. If not, [`Self::close`] follows.
    pub(crate) fn open(&mut self, address: &str, now: Instant) -> Result<(), Duration> {
        let open = self.open.get(address).copied().unwrap_or(0);
        let failed = self.by_address.get_mut(address);
        let failed = failed.filter(|failed| failed.count > FREE && failed.counts_at(now));
        let (waiting, most) = match failed {
            None => (None, AT_ONCE_MAX),
            Some(failed) => {
                failed.refusals.retain(|until| *until > now);
                (Some(&failed.refusals), AT_ONCE_MAX_OF_FAILED)
            }
        };
        let waiting_len = waiting.map_or(0, |waiting| waiting.len() as u32);
        if open + waiting_len >= most {
            let next = waiting.and_then(|waiting| waiting.iter().min());
            let wait = next.filter(|_| open == 0).map(|next| next.since(now));
            return Err(wait.unwrap_or(ASKED_AGAIN_AFTER));
        }
        *self.open.entry(address.to_string()).or_default() += 1;
        Ok(())
    }

    /// It was found out whether a password is right, or nobody waits for that any more.
    pub(crate) fn close(&mut self, address: &str) {
        if let Some(open) = self.open.get_mut(address) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(address);
            }
        }
    }

    /// A login from this address fails; how long the answer is to wait.
    pub(crate) fn note(&mut self, address: &str, now: Instant) -> Duration {
        let before = self.by_address.remove(address);
        if let Some(before) = &before {
            self.by_time.remove(&(before.last, address.to_string()));
        }
        let before = before.filter(|before| before.counts_at(now));
        let (count, mut refusals) =
            before.map_or((0, Vec::new()), |before| (before.count, before.refusals));
        let count = count.saturating_add(1);
        let delay = match count.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(further) => FIRST_DELAY * 2_u32.pow(further.min(DOUBLINGS_MAX)),
        };
        refusals.retain(|until| *until > now);
        if !delay.is_zero() {
            refusals.push(now + delay);
        }
        if self.by_address.len() >= ADDRESSES_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_address.remove(&oldest);
        }
        self.by_address.insert(address.to_string(), Failures { count, last: now, refusals });
        self.by_time.insert((now, address.to_string()));
        delay
    }
}

impl Failures {
    /// Whether it is not forgotten yet.
    fn counts_at(&self, now: Instant) -> bool {
        now.since(self.last) < FORGOTTEN_AFTER
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
    fn of_an_address_that_fails_few_are_looked_at_at_once() {
        let mut failed = FailedLogins::default();
        for _ in 0..256 {
            assert_eq!(failed.open("a", at(0)), Ok(()));
        }
        assert_eq!(failed.open("a", at(0)), Err(ASKED_AGAIN_AFTER));
        assert_eq!(failed.open("b", at(0)), Ok(()), "others do not wait for it");
        for _ in 0..256 {
            failed.close("a");
            failed.note("a", at(0));
        }
        // The first of the refusals that wait goes out after 250 ms, the last after 4 s.
        assert_eq!(failed.open("a", at(10)), Err(Duration::from_millis(240)));
        let free_at = |time: u64, failed: &mut FailedLogins| failed.open("a", at(time)).is_ok();
        assert!(!free_at(3999, &mut failed));
        for _ in 0..8 {
            assert!(free_at(4000, &mut failed));
        }
        assert!(!free_at(4000, &mut failed));
        failed.close("a");
        assert!(free_at(4000, &mut failed), "who is right frees a place at once");
        assert!(free_at(60_001, &mut failed), "it is forgiven");
        assert_eq!(failed.open.len(), 2);
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
