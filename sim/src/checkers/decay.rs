//! A disk that gives other bytes than were written, or loses what it said was synced, breaks what
//! every promise rests on. Then the broker says which file is damaged and where, and does nothing
//! more, or it is not affected; `check` finds what it found, and what `salvage` makes can be
//! started.

use std::ops::Range;

use warren_core::{CheckReport, FileId, QueueStatus, SalvageReport, StartError};

use super::Failure;

const ID: &str = "decay";

/// Bytes that are not as they were written, by file.
pub type Damage = [(FileId, Range<u64>)];

/// Checks a start that was refused on a disk with this damage and these files: it must tell of some
/// of it, no further before it than a batch is long. A segment that is missing may be told, too:
/// when the end of the log is lost, segments are missed that this end had done with.
///
/// # Errors
/// When it tells of something else.
pub fn check_refusal(
    error: &StartError,
    damage: &Damage,
    files: &[(FileId, u64)],
    batch_len_max: u64,
) -> Result<(), Failure> {
    let is_there = |name: &FileId| files.iter().any(|(file, _)| file == name);
    let is_told = match error {
        StartError::Damaged { file: file @ FileId::Segment(_), offset: 0, .. }
            if !is_there(file) =>
        {
            true
        }
        StartError::Damaged { file: FileId::Segment(number), offset, .. } => {
            let damaged = damage.iter().filter(|(file, _)| *file == FileId::Segment(*number));
            let reach = *offset..=offset.saturating_add(batch_len_max);
            damaged
                .map(|(_, range)| range)
                .any(|range| range.start <= *reach.end() && range.end > *reach.start())
        }
        StartError::Damaged { file, .. } | StartError::Newer { file, .. } => {
            damage.iter().any(|(damaged, _)| damaged == file)
        }
        StartError::Disk { .. } => false,
    };
    if is_told {
        return Ok(());
    }
    Err(Failure::new(ID, format!("the start says '{error}', and what is damaged is {damage:?}")))
}

/// Checks a start that was refused, or a broker that gave up, on a disk that lost something of
/// these files, which it had said was synced.
///
/// # Errors
/// When it does not tell of a file of which it lost something, or that is not there.
pub fn check_loss(said: &str, lost: &[FileId], files: &[(FileId, u64)]) -> Result<(), Failure> {
    let name = said.split_whitespace().find_map(FileId::from_name);
    let is_there = |name: FileId| files.iter().any(|(file, _)| *file == name);
    match name {
        Some(name) if lost.contains(&name) || !is_there(name) => Ok(()),
        _ => Err(Failure::new(ID, format!("it says '{said}', and what was lost is of {lost:?}"))),
    }
}

/// Checks a broker that gave up while its disk had this damage.
///
/// # Errors
/// When it does not say where it is.
pub fn check_halt(reason: &str, damage: &Damage) -> Result<(), Failure> {
    let names = |file: &FileId| reason.contains(&format!("{file} is damaged at offset "));
    if damage.iter().any(|(file, _)| names(file)) {
        return Ok(());
    }
    Err(Failure::new(ID, format!("it gives up: {reason}, and what is damaged is {damage:?}")))
}

/// Checks that a look at the whole disk finds what a start found.
///
/// # Errors
/// When it finds nothing, or something else.
pub fn check_found(refusal: &StartError, report: &CheckReport) -> Result<(), Failure> {
    if report.refusal.as_ref() == Some(refusal) {
        return Ok(());
    }
    let text = format!("a start says '{refusal}', and check says {:?}", report.refusal);
    Err(Failure::new(ID, text))
}

/// Checks that a look at the whole disk finds something if the broker gave up for damage; unless it
/// is of what the next start makes anew, and check finds nothing `after` that.
///
/// # Errors
/// When it finds nothing, or something is left after the start.
pub fn check_found_or_made_anew(
    report: &CheckReport,
    after: impl FnOnce() -> Result<CheckReport, Failure>,
) -> Result<(), Failure> {
    if !report.is_clean() {
        return Ok(());
    }
    let after = after()?;
    if after.is_clean() {
        return Ok(());
    }
    let text = format!("check finds nothing before a start, and after it {:?}", after.problems);
    Err(Failure::new(ID, text))
}

/// Checks what a broker has that was started with what salvage made: these queues. The world has
/// seen `is_known` names, and so many copies of messages.
///
/// # Errors
/// When something is there that never was, or something else than was said.
pub fn check_salvaged(
    report: &SalvageReport,
    queues: &[QueueStatus],
    is_known: impl Fn(&str) -> bool,
    copies: u64,
) -> Result<(), Failure> {
    let fail = |text: String| Err(Failure::new(ID, format!("what salvage made has {text}")));
    let is_expected = |queue: &&QueueStatus| {
        let name = queue.name.to_text();
        is_known(&name) || report.unnamed_queues.iter().any(|unnamed| *unnamed == *name)
    };
    if let Some(queue) = queues.iter().find(|queue| !is_expected(queue)) {
        return fail(format!("{}, which never was", queue.name));
    }
    let messages: u64 = queues.iter().map(|queue| queue.ready).sum();
    if messages != report.messages || queues.len() as u64 != report.queues {
        return fail(format!("{messages} messages in {} queues, not {report:?}", queues.len()));
    }
    if messages > copies {
        return fail(format!("{messages} messages, of {copies} that ever were"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use warren_core::Problem;

    use super::*;

    const FILE: FileId = FileId::Segment(3);

    fn damaged(file: FileId, offset: u64) -> StartError {
        StartError::Damaged { file, offset, text: "broken".into() }
    }

    #[test]
    fn a_refusal_must_tell_of_the_damage_and_about_where_it_is() {
        let damage = [(FILE, 1000..1010)];
        let files = [(FILE, 5000), (FileId::Segment(4), 5000), (FileId::Checkpoint(3), 100)];
        let check = |error: StartError| check_refusal(&error, &damage, &files, 100);
        for offset in [900, 1000, 1009] {
            assert_eq!(check(damaged(FILE, offset)), Ok(()));
        }
        for offset in [0, 899, 1010] {
            assert!(check(damaged(FILE, offset)).is_err());
        }
        assert!(check(damaged(FileId::Segment(4), 1000)).is_err());
        assert!(check(damaged(FileId::Checkpoint(3), 1000)).is_err());
        let checkpoint = [(FileId::Checkpoint(3), 5..6)];
        let error = damaged(FileId::Checkpoint(3), 90);
        assert_eq!(check_refusal(&error, &checkpoint, &files, 0), Ok(()));
        assert_eq!(check(damaged(FileId::Segment(5), 0)), Ok(()));
        assert!(check(damaged(FileId::Checkpoint(5), 0)).is_err());
    }

    #[test]
    fn who_gives_up_must_say_where() {
        let damage = [(FILE, 1000..1010)];
        let text = format!("{FILE} is damaged at offset 1000: its index");
        assert_eq!(check_halt(&text, &damage), Ok(()));
        assert!(check_halt("something is damaged", &damage).is_err());
        assert!(check_halt(&text, &[(FileId::Segment(4), 0..1)]).is_err());
    }

    #[test]
    fn a_look_that_misses_what_the_broker_found_fails() {
        let error = damaged(FILE, 5);
        let mut report = CheckReport::default();
        assert!(check_found(&error, &report).is_err());
        report.refusal = Some(damaged(FILE, 6));
        assert!(check_found(&error, &report).is_err());
        report.refusal = Some(error.clone());
        assert_eq!(check_found(&error, &report), Ok(()));
    }

    #[test]
    fn what_the_next_start_makes_anew_need_not_be_found() {
        let clean = CheckReport::default;
        let problem = Problem { file: FILE, offset: 9, text: String::new() };
        let damaged = || CheckReport { problems: vec![problem.clone()], ..clean() };
        let never = || unreachable!("what is found is found");
        assert_eq!(check_found_or_made_anew(&damaged(), never), Ok(()));
        assert_eq!(check_found_or_made_anew(&clean(), || Ok(clean())), Ok(()));
        assert!(check_found_or_made_anew(&clean(), || Ok(damaged())).is_err());
    }

    #[test]
    fn salvage_that_invents_something_fails() {
        let queue = |name: &str, ready| QueueStatus {
            vhost: "/".into(),
            name: name.into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            ready,
            unacked: 0,
            consumers: 0,
            consumers_ready: 0,
            enqueued: ready,
            acked: 0,
            rejected: 0,
            purged: 0,
            expired: 0,
            dropped: 0,
            worn_out: 0,
            lost_letters: 0,
            kept_letters: 0,
        };
        let report = SalvageReport {
            queues: 2,
            messages: 3,
            unnamed_queues: vec!["salvaged.4".into()],
            ..SalvageReport::default()
        };
        let check = |queues: &[QueueStatus], copies| {
            check_salvaged(&report, queues, |name| name == "q", copies)
        };
        assert_eq!(check(&[queue("q", 1), queue("salvaged.4", 2)], 3), Ok(()));
        assert!(check(&[queue("q", 1), queue("salvaged.4", 2)], 2).is_err());
        assert!(check(&[queue("q", 1), queue("salvaged.5", 2)], 3).is_err());
        assert!(check(&[queue("q", 1), queue("salvaged.4", 1)], 3).is_err());
        assert!(check(&[queue("q", 3)], 3).is_err());
    }
}
