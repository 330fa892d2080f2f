//! Who publishes while the broker is short of memory or of room on the disk is told that it has to
//! wait, and why, if it wants to know; and told once that it need not any more.

use std::collections::BTreeSet;

use super::Failure;

const ID: &str = "alarms";

/// Checks `connection.blocked`, sent to a client that `wants` to be told and for which a publish
/// `waits`.
///
/// # Errors
/// When there is no need for it, or its reason is another.
pub fn check_blocked(
    client: u8,
    reason: &str,
    alarms: &BTreeSet<&str>,
    (wants, waits, is_blocked): (bool, bool, bool),
) -> Result<(), Failure> {
    let names: Vec<&str> =
        ["memory", "disk"].into_iter().filter(|alarm| alarms.contains(alarm)).collect();
    let fail = |what: &str| Err(Failure::new(ID, format!("c{client} is told '{reason}': {what}")));
    if !wants {
        return fail("it did not want to know");
    }
    if is_blocked {
        return fail("it knows already");
    }
    if !waits {
        return fail("none of its publishes waits");
    }
    if names.is_empty() || reason != format!("low on {}", names.join(" & ")) {
        return fail(&format!("the broker is short of {names:?}"));
    }
    Ok(())
}

/// Checks `connection.unblocked`.
///
/// # Errors
/// When the client was not blocked, or still has to wait.
pub fn check_unblocked(
    client: u8,
    alarms: &BTreeSet<&str>,
    is_blocked: bool,
) -> Result<(), Failure> {
    if is_blocked && alarms.is_empty() {
        return Ok(());
    }
    let text = format!("c{client} is unblocked; blocked before: {is_blocked}, alarms: {alarms:?}");
    Err(Failure::new(ID, text))
}

/// Checks a connection at rest: blocked is only who has to wait, and who waits knows it.
///
/// # Errors
/// When it was not told of one or the other.
pub fn check_told(
    client: u8,
    alarms: &BTreeSet<&str>,
    must_know: bool,
    is_blocked: bool,
) -> Result<(), Failure> {
    if alarms.is_empty() && is_blocked {
        return Err(Failure::new(ID, format!("c{client} is never told that it need not wait")));
    }
    if !alarms.is_empty() && must_know && !is_blocked {
        return Err(Failure::new(ID, format!("c{client} is never told that it has to wait")));
    }
    Ok(())
}

/// Checks that the broker raised the alarm when so many bytes are free on the disk.
///
/// # Errors
/// When it did not.
pub fn check_disk(free: u64, free_min: u64, alarms: &BTreeSet<&str>) -> Result<(), Failure> {
    if free >= free_min || alarms.contains("disk") {
        return Ok(());
    }
    Err(Failure::new(ID, format!("{free} bytes are free on the disk, and there is no alarm")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [&str; 2] = ["memory", "disk"];

    #[test]
    fn the_reason_must_be_right() {
        let alarms = BTreeSet::from(BOTH);
        let right = (true, true, false);
        assert_eq!(check_blocked(1, "low on memory & disk", &alarms, right), Ok(()));
        assert!(check_blocked(1, "low on memory", &alarms, right).is_err());
        let disk = BTreeSet::from(["disk"]);
        assert_eq!(check_blocked(1, "low on disk", &disk, right), Ok(()));
        assert!(check_blocked(1, "low on ", &BTreeSet::new(), right).is_err());
    }

    #[test]
    fn who_does_not_want_to_know_knows_already_or_does_not_publish_is_not_told() {
        let alarms = BTreeSet::from(["disk"]);
        for state in [(false, true, false), (true, false, false), (true, true, true)] {
            assert!(check_blocked(1, "low on disk", &alarms, state).is_err());
        }
    }

    #[test]
    fn the_end_must_be_told_once_and_when_it_has_come() {
        let disk = BTreeSet::from(["disk"]);
        assert_eq!(check_unblocked(1, &BTreeSet::new(), true), Ok(()));
        assert!(check_unblocked(1, &BTreeSet::new(), false).is_err());
        assert!(check_unblocked(1, &disk, true).is_err());
        assert!(check_told(1, &BTreeSet::new(), false, true).is_err());
        assert!(check_told(1, &disk, true, false).is_err());
        assert_eq!(check_told(1, &disk, true, true), Ok(()));
        assert_eq!(check_told(1, &disk, false, false), Ok(()));
    }

    #[test]
    fn too_little_room_needs_an_alarm() {
        assert_eq!(check_disk(5, 5, &BTreeSet::new()), Ok(()));
        assert!(check_disk(4, 5, &BTreeSet::new()).is_err());
        assert_eq!(check_disk(4, 5, &BTreeSet::from(["disk"])), Ok(()));
    }
}
