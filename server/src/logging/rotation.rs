//! When a log file makes room for a new one, and what becomes of the old: as in RabbitMQ, by time
//! (`$D0`), by length, and by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a minute, an hour and a day have of seconds.
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How many old files there are where nothing is said.
const KEPT: u32 = 5;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// At which times of the day, the week or the month.
    pub(crate) date: Option<Schedule>,
    /// Beyond how many bytes.
    pub(crate) len_max: Option<u64>,
    /// How many old files are kept.
    pub(crate) kept: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { date: None, len_max: None, kept: KEPT }
    }
}

impl Rotation {
    /// Gives a file the name of an old one, `warren.log.0`, and those that are old the next names.
    /// Nothing has the name of the file then; the last is deleted.
    ///
    /// # Errors
    /// What the operating system says to it.
    pub(super) fn rotate(&self, path: &Path) -> io::Result<()> {
        let Some(last) = self.kept.checked_sub(1) else { return absent(fs::remove_file(path)) };
        for number in (0..last).rev() {
            absent(fs::rename(archive(path, number), archive(path, number + 1)))?;
        }
        absent(fs::rename(path, archive(path, 0)))
    }
}

/// What is not there need not go.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn archive(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Points in time, of UTC, that come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    day: Day,
    /// At this hour, or at all.
    hour: Option<u64>,
    minute: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    Any,
    /// Sunday is 0.
    OfWeek(u64),
    OfMonth(u64),
}

impl Schedule {
    /// Reads `$D0` (each day at midnight), `$D23H30`, `$H00` (each hour), `$W0D4` (on Sundays at
    /// 4:00), `$M1D0` (on the first of each month).
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut part = |letter: char, min: u64, max: u64| {
            let Some(begin) = rest.strip_prefix(letter) else { return Some(None) };
            let end = begin.find(|own: char| !own.is_ascii_digit()).unwrap_or(begin.len());
            let number = begin[..end].parse().ok().filter(|number| (min..=max).contains(number))?;
            rest = &begin[end..];
            Some(Some(number))
        };
        let (month, week) = (part('M', 1, 31)?, part('W', 0, 6)?);
        let (hour, minute) = (part('D', 0, 23)?, part('H', 0, 59)?);
        let day = match (month, week) {
            (None, None) => Day::Any,
            (Some(day), None) => Day::OfMonth(day),
            (None, Some(day)) => Day::OfWeek(day),
            (Some(_), Some(_)) => return None,
        };
        // Without an hour it is each one, but a day that is named begins at midnight.
        let hour = if day == Day::Any { hour } else { hour.or(Some(0)) };
        let says_any = hour.is_some() || minute.is_some();
        (rest.is_empty() && says_any).then_some(Self { day, hour, minute: minute.unwrap_or(0) })
    }

    /// The first of its points behind this one.
    pub(super) fn next(&self, now: SystemTime) -> SystemTime {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut at = now / MINUTE * MINUTE + MINUTE;
        while !self.is(at) {
            // To the next hour, and from there minute by minute, or to the next day.
            at = match (self.is_day(at), self.hour.is_none_or(|hour| hour == at / HOUR % 24)) {
                (false, _) => at / DAY * DAY + DAY,
                (true, false) => at / HOUR * HOUR + HOUR,
                (true, true) => at + MINUTE,
            };
        }
        UNIX_EPOCH + Duration::from_secs(at)
    }

    fn is(&self, at: u64) -> bool {
        self.is_day(at)
            && self.hour.is_none_or(|hour| hour == at / HOUR % 24)
            && self.minute == at / MINUTE % 60
    }

    fn is_day(&self, at: u64) -> bool {
        match self.day {
            Day::Any => true,
            // The first day of 1970 was a Thursday.
            Day::OfWeek(day) => (at / DAY + 4) % 7 == day,
            Day::OfMonth(day) => day_of_month(at) == day,
        }
    }
}

fn day_of_month(at: u64) -> u64 {
    let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at)).to_string();
    let day = date.get(8..10).and_then(|day| day.parse().ok());
    day.expect("a date has its day there")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn times_come_again_each_hour_day_week_and_month() {
        let next = |text: &str, now: &str| {
            let now = humantime::parse_rfc3339(now).expect("a time");
            let next = Schedule::read(text).expect("a schedule").next(now);
            humantime::format_rfc3339_seconds(next).to_string()
        };
        // A Sunday.
        let now = "2026-11-22T13:05:30Z";
        assert_eq!(next("$D0", now), "2026-11-23T00:00:00Z");
        assert_eq!(next("$D13", now), "2026-11-23T13:00:00Z");
        assert_eq!(next("$D13H6", now), "2026-11-22T13:06:00Z");
        assert_eq!(next("$D13H5", now), "2026-11-23T13:05:00Z");
        assert_eq!(next("$H00", now), "2026-11-22T14:00:00Z");
        assert_eq!(next("$H30", now), "2026-11-22T13:30:00Z");
        assert_eq!(next("$W0D23", now), "2026-11-22T23:00:00Z");
        assert_eq!(next("$W5D16", now), "2026-11-27T16:00:00Z");
        assert_eq!(next("$M1D0", now), "2026-12-01T00:00:00Z");
        assert_eq!(next("$M31", "2026-11-30T23:59:59Z"), "2026-12-31T00:00:00Z");
        assert_eq!(next("$D0", "2026-11-22T00:00:00Z"), "2026-11-23T00:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        for text in ["", "$", "D0", "$D24", "$W7D0", "$M0D0", "$M32", "$D", "$W0M1D0", "$D0x"] {
            assert_eq!(Schedule::read(text), None, "{text}");
        }
    }

    #[test]
    fn old_files_get_the_next_names_and_the_last_is_deleted() {
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("warren.log");
        let rotation = Rotation { kept: 2, ..Rotation::default() };
        for text in ["a", "b", "c"] {
            fs::write(&path, text).expect("can be written");
            rotation.rotate(&path).expect("can be renamed");
        }
        assert!(!path.exists());
        let text = |number| fs::read_to_string(archive(&path, number)).ok();
        assert_eq!([text(0), text(1), text(2)].map(Option::unwrap_or_default), ["c", "b", ""]);
        rotation.rotate(&path).expect("nothing is there to be renamed");
        fs::write(&path, "d").expect("can be written");
        Rotation { kept: 0, ..rotation }.rotate(&path).expect("can be deleted");
        assert!(!path.exists());
    }
}
