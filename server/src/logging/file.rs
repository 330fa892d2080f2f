//! The log file: written by a thread of its own, as no operation on a file can be counted on to be
//! quick, and those who log wait for nothing.
//!
//! What the thread cannot write in time, or at all, is lost, and counted; the next record that is
//! written comes behind a line that says so. It opens the file anew when it is told to, as those
//! do that have moved it away, and moves it away itself as [`Rotation`] says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use tracing_subscriber::fmt::MakeWriter;

use super::rotation::Rotation;

/// How many records wait for the disk at the most.
const WAITING_MAX: usize = 4096;

/// How long the end of the process waits for what was logged to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the thread sleeps at the most: the clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

/// What the thread is to do, in this order.
#[derive(Debug)]
enum Order {
    Write(Box<[u8]>),
    /// Somebody has moved it away, or may have.
    Reopen,
    /// Move it away.
    Rotate(SyncSender<io::Result<()>>),
    /// Say that all is done.
    Flush(SyncSender<()>),
}

impl LogFile {
    /// Opens a file, which is made if need be, as is its directory, and writes behind what stands
    /// there.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(super) fn start(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let file = Opened::open(&path)?;
        let (orders, received) = sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let next = rotation.date.map(|schedule| schedule.next(SystemTime::now()));
        let writer = Writer { path, rotation, file: Some(file), next, lost: Arc::clone(&lost) };
        thread::Builder::new().name("log-file".into()).spawn(move || writer.run(&received))?;
        Ok(Self { orders, lost })
    }

    /// Opens it anew.
    pub(super) fn reopen(&self) {
        let _ = self.orders.try_send(Order::Reopen);
    }

    /// Gives it the name of an old one, and begins a new one. Waits for the disk.
    ///
    /// # Errors
    /// What the operating system says to it.
    pub(super) fn rotate(&self) -> io::Result<()> {
        let (done, is_done) = sync_channel(1);
        let ended = || io::Error::other("the log file is written no more");
        self.orders.send(Order::Rotate(done)).map_err(|_| ended())?;
        is_done.recv().map_err(|_| ended())?
    }

    /// Waits until all is written that was logged, for a while.
    pub(super) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Write(record.into())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A file that is written to, and how long it is.
struct Opened {
    file: File,
    len: u64,
}

impl Opened {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        // As RabbitMQ's: for its user and group.
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        self.len += record.len() as u64;
        self.file.write_all(record)
    }
}

/// The thread's own.
struct Writer {
    path: PathBuf,
    rotation: Rotation,
    /// `None` while it cannot be opened.
    file: Option<Opened>,
    /// When it is to be moved away next.
    next: Option<SystemTime>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let left = self.next.map(|next| next.duration_since(SystemTime::now()));
            let left = left.map_or(SLEEP_MAX, |left| left.unwrap_or_default().min(SLEEP_MAX));
            let order = match orders.recv_timeout(left) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.rotate_in_time();
            match order {
                None => {}
                Some(Order::Write(record)) => self.write(&record),
                Some(Order::Reopen) => self.reopen(),
                Some(Order::Rotate(done)) => {
                    let _ = done.send(self.rotate());
                }
                Some(Order::Flush(done)) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, record: &[u8]) {
        let new_len = |file: &Opened| file.len + record.len() as u64;
        let is_full = |file: &&Opened| {
            let is_over = |max| file.len > 0 && new_len(file) > max;
            self.rotation.len_max.is_some_and(is_over)
        };
        if self.file.as_ref().filter(is_full).is_some() {
            // It goes on in the old file if need be.
            let _ = self.rotate();
        }
        if self.file.is_none() {
            self.reopen();
        }
        let Some(file) = &mut self.file else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let told = match lost {
            0 => Ok(()),
            lost => file.write(format!("... {lost} records could not be written\n").as_bytes()),
        };
        if told.and_then(|()| file.write(record)).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    fn reopen(&mut self) {
        // The one that is open is better than none.
        if let Ok(file) = Opened::open(&self.path) {
            self.file = Some(file);
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.rotation.rotate(&self.path)?;
        self.file = Some(Opened::open(&self.path)?);
        Ok(())
    }

    fn rotate_in_time(&mut self) {
        let now = SystemTime::now();
        if let (Some(schedule), Some(next)) = (self.rotation.date, self.next)
            && next <= now
        {
            self.next = Some(schedule.next(now));
            let _ = self.rotate();
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn started(path: &Path, rotation: Rotation) -> LogFile {
        LogFile::start(path.to_owned(), rotation).expect("can be written to")
    }

    fn log(file: &LogFile, text: &str) {
        file.make_writer().write_all(text.as_bytes()).expect("never fails");
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("is there")
    }

    #[test]
    fn it_goes_on_behind_what_stands_there_and_opens_anew_what_was_moved_away() {
        let dir = TempDir::new().expect("a temporary directory");
        let (path, moved) = (dir.path().join("log/warren.log"), dir.path().join("moved"));
        for record in ["a\n", "b\n"] {
            let file = started(&path, Rotation::default());
            log(&file, record);
            file.flush();
        }
        let file = started(&path, Rotation::default());
        fs::rename(&path, &moved).expect("can be moved");
        log(&file, "c\n");
        file.reopen();
        log(&file, "d\n");
        file.flush();
        assert_eq!((text(&moved).as_str(), text(&path).as_str()), ("a\nb\nc\n", "d\n"));
    }

    #[test]
    fn a_file_that_would_be_too_long_is_moved_away() {
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("warren.log");
        let rotation = Rotation { len_max: Some(10), kept: 2, date: None };
        let file = started(&path, rotation);
        for record in ["1234\n", "5678\n", "next\n", "longer than ten\n", "last\n"] {
            log(&file, record);
        }
        file.flush();
        assert_eq!(text(&path), "last\n");
        assert_eq!(text(&dir.path().join("warren.log.0")), "longer than ten\n");
        assert_eq!(text(&dir.path().join("warren.log.1")), "next\n");
        assert!(!dir.path().join("warren.log.2").exists());
        file.rotate().expect("can be moved");
        assert_eq!((text(&path).as_str(), file.lost.load(Ordering::Relaxed)), ("", 0));
    }

    #[test]
    fn a_file_that_was_due_is_moved_away_before_the_next_record() {
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("warren.log");
        let date = super::super::rotation::Schedule::read("$D0");
        let mut writer = Writer {
            path: path.clone(),
            rotation: Rotation { date, ..Rotation::default() },
            file: Opened::open(&path).ok(),
            next: Some(SystemTime::now()),
            lost: Arc::default(),
        };
        writer.write(b"yesterday\n");
        writer.rotate_in_time();
        writer.write(b"today\n");
        writer.rotate_in_time();
        assert_eq!(text(&path), "today\n");
        assert_eq!(text(&dir.path().join("warren.log.0")), "yesterday\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told() {
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("log/warren.log");
        let lost = Arc::new(AtomicU64::new(0));
        let rotation = Rotation::default();
        let mut writer = Writer { path: path.clone(), rotation, file: None, next: None, lost };
        fs::write(dir.path().join("log"), "a file in place of the directory").expect("can be");
        writer.write(b"a\n");
        writer.write(b"b\n");
        fs::remove_file(dir.path().join("log")).expect("is there");
        writer.write(b"c\n");
        assert_eq!(text(&path), "... 2 records could not be written\nc\n");
    }
}
