//! Flight recordings of this broker: where they are, and who says that there is to be one.
//!
//! A recording begins with a start, as what comes of it depends on all that the broker knew when it
//! began, and only a start has that before it. So who wants one of a broker that runs asks for the
//! *next* start to be recorded: that is a file in the data directory, which is there after a crash
//! too, and counts for one start. Or each start is, as the configuration says. A recording of a
//! broker that runs can be ended at any time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;
use warren_core::{Boot, Config};
use warren_io::{RECORD_NEXT, RECORDINGS};
use warren_recorder::{End, Header, Recorder};

use crate::config::Settings;

/// What records this broker, if that is asked for. `disk` is how many bytes its disk has.
///
/// # Errors
/// When each start is to be recorded and this one cannot be, in which directory and why.
pub(crate) fn start(
    settings: &Settings,
    config: &Config,
    boot: &Boot,
    disk: u64,
) -> Result<Recorder, (PathBuf, io::Error)> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { version, config: config.clone(), boot: boot.clone() };
    let start = |dir: &Path| Recorder::start(dir, settings.record_max.of(disk), &header);
    if let Some(dir) = &settings.record {
        return start(dir).map_err(|error| (dir.clone(), error));
    }
    let next = NextStart::of(&settings.data_dir);
    if !next.is_asked_for() {
        return Ok(Recorder::default());
    }
    // It is for one start. Who asked for it would rather have a broker than a recording.
    let recorder = next.set(false).and_then(|()| start(&next.recordings()));
    Ok(recorder.unwrap_or_else(|error| {
        warn!(%error, "this start is not recorded, though that was asked for");
        Recorder::default()
    }))
}

/// What is recorded of this broker, and where.
#[derive(Clone)]
pub(crate) struct Recordings {
    /// Where each start is recorded, if the configuration says so.
    configured: Option<PathBuf>,
    next: NextStart,
    current: End,
}

impl Recordings {
    /// Those of a broker with these settings, of which `current` ends the one of this start.
    pub(crate) fn new(settings: &Settings, current: End) -> Self {
        let next = NextStart::of(&settings.data_dir);
        Self { configured: settings.record.clone(), next, current }
    }

    /// Where they are.
    pub(crate) fn dir(&self) -> PathBuf {
        self.configured.clone().unwrap_or_else(|| self.next.recordings())
    }

    /// Whether each start is recorded.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured.is_some()
    }

    /// Whether what goes into the broker is recorded now.
    pub(crate) fn is_recording(&self) -> bool {
        !self.current.is_over()
    }

    /// The name of the file of this start, if it was recorded.
    pub(crate) fn current(&self) -> Option<String> {
        let name = self.current.path()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// Ends the recording of this start; what was recorded is written when this returns.
    pub(crate) fn stop(&self, reason: &str) {
        self.current.stop(reason);
    }

    /// Whether the next start is recorded.
    pub(crate) fn is_next(&self) -> bool {
        self.is_configured() || self.next.is_asked_for()
    }

    /// Has the next start recorded, or not. What is said is on disk when this returns.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn set_next(&self, is_asked_for: bool) -> io::Result<()> {
        self.next.set(is_asked_for)
    }
}

/// Whether the next start is to be recorded, as a data directory has it.
#[derive(Clone)]
struct NextStart {
    data_dir: PathBuf,
}

impl NextStart {
    fn of(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    fn recordings(&self) -> PathBuf {
        self.data_dir.join(RECORDINGS)
    }

    fn is_asked_for(&self) -> bool {
        self.data_dir.join(RECORD_NEXT).exists()
    }

    fn set(&self, is_asked_for: bool) -> io::Result<()> {
        let path = self.data_dir.join(RECORD_NEXT);
        match is_asked_for {
            true => drop(File::create(path)?),
            false if self.is_asked_for() => fs::remove_file(path)?,
            false => return Ok(()),
        }
        File::open(&self.data_dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_next_start_is_recorded_when_asked_for_and_only_that_one() {
        let dir = TempDir::new().expect("a temporary directory");
        let settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        let boot = warren_io::boot().expect("there is randomness");
        let begin = || start(&settings, &Config::default(), &boot, 1 << 30).expect("is begun");
        let recordings = Recordings::new(&settings, begin().end());
        assert!(!recordings.is_recording() && !recordings.is_next());
        assert_eq!(recordings.current(), None);
        for _ in 0..2 {
            recordings.set_next(true).expect("can be written");
            assert!(recordings.is_next());
        }
        let recordings = Recordings::new(&settings, begin().end());
        assert!(recordings.is_recording() && !recordings.is_next());
        assert_eq!(recordings.current().as_deref(), Some("000001.recording"));
        recordings.stop("a test");
        assert!(!recordings.is_recording());
        assert!(!Recordings::new(&settings, begin().end()).is_recording());
        recordings.set_next(true).expect("can be written");
        recordings.set_next(false).expect("can be removed");
        assert!(!recordings.is_next());
    }
}
