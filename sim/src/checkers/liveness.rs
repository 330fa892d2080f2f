//! Whatever can go on goes on: messages do not wait while a consumer can take them, silent
//! connections are noticed, and once faults are over nothing stays pending.

use super::Failure;

const ID: &str = "liveness";

/// How often something happened in the second that it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    second: u64,
    count: u64,
}

impl Pace {
    /// Takes note that it happens once more, and checks that it does not go on and on: what is
    /// waited for comes, and who has nothing to do sleeps.
    ///
    /// # Errors
    /// When it happens more than `max` times in a second.
    pub fn check(
        &mut self,
        now: u64,
        max: u64,
        what: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let second = now / 1_000_000_000;
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
        if self.count > max {
            let text = format!("more than {max} times in a second: {}", what());
            return Err(Failure::new(ID, text));
        }
        Ok(())
    }
}

/// Checks a queue at rest: nothing is ready while a consumer has credit and a free link.
///
/// # Errors
/// When both wait for each other.
pub fn check_queue(name: &str, ready: usize, waiting: Option<&str>) -> Result<(), Failure> {
    match waiting {
        Some(tag) if ready > 0 => {
            let text = format!("{ready} messages wait in {name} while consumer {tag} has credit");
            Err(Failure::new(ID, text))
        }
        _ => Ok(()),
    }
}

/// Checks that no frames of a channel wait in a broker that has all it needs.
///
/// # Errors
/// When they do.
pub fn check_parked(waiting: Option<&str>) -> Result<(), Failure> {
    match waiting {
        None => Ok(()),
        Some(who) => Err(Failure::new(ID, format!("frames of {who} wait for nothing"))),
    }
}

/// Checks a direct reply that stood behind answers: once these are given, it comes, unless
/// something waited for its client, or it is named here.
///
/// # Errors
/// When it was not dropped for a reason and does not come.
pub fn check_direct_reply(missing: Result<(), String>) -> Result<(), Failure> {
    missing.map_err(|name| {
        Failure::about(&name, ID, format!("the direct reply {name} never comes, without a reason"))
    })
}

/// Checks that a silent client is noticed: after two heartbeat intervals, with one to spare.
///
/// # Errors
/// When the connection is still there.
pub fn check_silence(client: u8, silent_ns: u64, heartbeat_ns: u64) -> Result<(), Failure> {
    if heartbeat_ns > 0 && silent_ns > 3 * heartbeat_ns + 1_000_000_000 {
        let text = format!(
            "c{client} has been silent for {} ms and is still connected",
            silent_ns / 1_000_000
        );
        return Err(Failure::new(ID, text));
    }
    Ok(())
}

/// Checks that a connection was not given up while it was alive.
///
/// # Errors
/// When it was heard less than a heartbeat interval ago.
pub fn check_giving_up(client: u8, silent_ns: u64, heartbeat_ns: u64) -> Result<(), Failure> {
    if heartbeat_ns == 0 || silent_ns < heartbeat_ns {
        let text = format!("c{client} was cut off without a reason");
        return Err(Failure::new(ID, text));
    }
    Ok(())
}

/// Checks that no delivery waits for its acknowledgement for longer than it may: `overdue` is the
/// tag of one that does.
///
/// # Errors
/// When there is one.
pub fn check_overdue(overdue: Option<u64>, who: impl FnOnce() -> String) -> Result<(), Failure> {
    match overdue {
        None => Ok(()),
        Some(tag) => {
            let text = format!("delivery {tag} on {} is overdue and is not taken back", who());
            Err(Failure::new(ID, text))
        }
    }
}

/// Checks that nothing is pending once the faults are over.
///
/// # Errors
/// Names what is pending.
pub fn check_pending(pending: &[String]) -> Result<(), Failure> {
    match pending.first() {
        Some(first) => {
            let text = format!("{} things are pending at the end, first {first}", pending.len());
            Err(Failure::new(ID, text))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_too_often_within_a_second_fails() {
        let mut pace = Pace::default();
        let mut tick = |now| pace.check(now, 2, || "a tick".to_owned());
        assert!(tick(0).is_ok() && tick(1).is_ok());
        assert!(tick(1_000_000_000).is_ok() && tick(1_500_000_000).is_ok());
        assert!(tick(1_999_999_999).is_err());
    }

    #[test]
    fn a_queue_whose_consumer_could_take_its_messages_fails() {
        assert_eq!(check_queue("q", 3, None), Ok(()));
        assert_eq!(check_queue("q", 0, Some("t")), Ok(()));
        assert!(check_queue("q", 3, Some("t")).is_err());
    }

    #[test]
    fn frames_that_wait_for_nothing_fail() {
        assert_eq!(check_parked(None), Ok(()));
        assert!(check_parked(Some("c1/1")).is_err());
    }

    #[test]
    fn a_direct_reply_that_never_comes_fails() {
        assert_eq!(check_direct_reply(Ok(())), Ok(()));
        assert!(check_direct_reply(Err("m1".into())).is_err());
    }

    #[test]
    fn a_silent_client_that_stays_fails() {
        let second = 1_000_000_000;
        assert_eq!(check_silence(1, 4 * second, second), Ok(()));
        assert!(check_silence(1, 4 * second + 1, second).is_err());
        assert_eq!(check_silence(1, 100 * second, 0), Ok(()));
    }

    #[test]
    fn giving_up_a_client_that_was_heard_fails() {
        assert!(check_giving_up(1, 5, 10).is_err());
        assert!(check_giving_up(1, 5, 0).is_err());
        assert_eq!(check_giving_up(1, 20, 10), Ok(()));
    }

    #[test]
    fn a_delivery_that_is_overdue_fails() {
        assert_eq!(check_overdue(None, || "c1/1".into()), Ok(()));
        assert!(check_overdue(Some(3), || "c1/1".into()).is_err());
    }

    #[test]
    fn something_pending_at_the_end_fails() {
        assert_eq!(check_pending(&[]), Ok(()));
        assert!(check_pending(&["queue.declare-ok".into()]).is_err());
    }
}
