//! The data directory: what the core asks of the disk, carried out.
//!
//! A disk can be slow, and a broken one can take for ever: no operation runs on the broker's
//! thread. Each lane has a thread of its own (reads have two), which carries out one request after
//! another in the order in which they were given; results come back in the order in which they were
//! had. Nothing is decided here: what fails has failed.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io, thread};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::warn;
use warren_core::{DiskOp, DiskRequest, Input, Lane};

use directory::Directory;
use files::Files;

mod ahead;
mod directory;
mod files;
mod handles;
mod meter;

pub use directory::{RECORD_NEXT, RECORDINGS, SOCKET, Space};
pub use meter::{DiskMeter, DiskMetrics, DiskTimes, DiskUse};

/// How many reads are carried out at the same time.
const READERS: usize = 2;

/// The most results that are handed over at once.
const RESULTS_MAX: usize = 256;

/// How often the free space is looked at, and how often while it is nearly too little.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);
const SPACE_INTERVAL_NEARLY_FULL: Duration = Duration::from_millis(100);

/// A data directory that is ours, and the threads that work on it.
///
/// When it is dropped, the threads finish what they were given, and then let go of the directory.
/// Nobody waits for them.
#[derive(Debug)]
pub struct Disk {
    requests: Requests,
    results: Results,
    meter: DiskMeter,
}

impl Disk {
    /// Opens the data directory for the broker: makes it if need be, for its owner only, and locks
    /// it.
    ///
    /// # Errors
    /// When another process has it, and what the operating system says.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::start(Directory::open(dir)?)
    }

    /// Opens a data directory to look at it. Nothing in it is changed: requests that would do so
    /// fail. Others may look at it too, but nobody can write.
    ///
    /// # Errors
    /// When another process has it to write, and what the operating system says.
    pub fn open_read_only(dir: &Path) -> Result<Self, OpenError> {
        Self::start(Directory::open_read_only(dir)?)
    }

    fn start(directory: Directory) -> Result<Self, OpenError> {
        let directory = Arc::new(directory);
        let files = Arc::new(Files::new(Arc::clone(&directory)));
        let (done, results) = unbounded_channel();
        let meter = DiskMeter::default();
        let lane = |names: &[&str]| -> io::Result<Sender<DiskRequest>> {
            let (sender, requests) = mpsc::channel();
            let requests = Arc::new(Mutex::new(requests));
            for name in names {
                let (requests, files) = (Arc::clone(&requests), Arc::clone(&files));
                let (done, meter) = (done.clone(), meter.clone());
                let work = move || carry_out(&requests, &files, &done, &meter);
                thread::Builder::new().name((*name).into()).spawn(work)?;
            }
            Ok(sender)
        };
        let requests = Requests {
            log: lane(&["disk log"])?,
            background: lane(&["disk background"])?,
            read: lane(&["disk read"; READERS])?,
            directory,
            done,
            free_min: Arc::default(),
        };
        Ok(Self { requests, results: Results(results), meter })
    }

    /// What measures how long it takes.
    #[must_use]
    pub fn meter(&self) -> DiskMeter {
        self.meter.clone()
    }

    /// How much room there is. May wait for a slow disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn space(&self) -> io::Result<Space> {
        self.requests.directory.space()
    }

    /// Gives a request to its lane. Does not wait for anything.
    pub(crate) fn submit(&self, request: DiskRequest) {
        self.requests.submit(request);
    }

    /// What has come in since, at least one. Nothing is lost when the future is dropped.
    pub(crate) async fn results(&mut self, into: &mut Vec<Input>) {
        self.results.next(into).await;
    }

    /// Both directions, apart.
    pub(crate) fn split(self) -> (Requests, Results) {
        (self.requests, self.results)
    }
}

/// The way to the disk.
#[derive(Debug)]
pub(crate) struct Requests {
    log: Sender<DiskRequest>,
    background: Sender<DiskRequest>,
    read: Sender<DiskRequest>,
    directory: Arc<Directory>,
    done: UnboundedSender<Input>,
    /// With less than twice this many bytes of free space, that is reported more often.
    free_min: Arc<AtomicU64>,
}

impl Requests {
    /// Gives a request to its lane. Does not wait for anything.
    pub(crate) fn submit(&self, request: DiskRequest) {
        let lane = match request.lane {
            Lane::Log => &self.log,
            Lane::Background => &self.background,
            Lane::Read => &self.read,
        };
        lane.send(request).expect("a lane's thread ends after its senders");
    }

    /// Begins to report the free space. That happens more often below twice as many bytes as
    /// [`Self::set_free_min`] says, until what is returned is dropped.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn watch_space(&self) -> io::Result<SpaceWatch> {
        let (watch, is_dropped) = mpsc::channel();
        let (directory, done) = (Arc::clone(&self.directory), self.done.clone());
        let free_min = Arc::clone(&self.free_min);
        let work = move || report_space(&directory, &free_min, &done, &is_dropped);
        thread::Builder::new().name("disk space".into()).spawn(work)?;
        Ok(SpaceWatch { _until: watch })
    }

    /// With so little free space, publishers wait.
    pub(crate) fn set_free_min(&self, free_min: u64) {
        self.free_min.store(free_min, Ordering::Relaxed);
    }
}

/// The free space is reported while this lives.
#[derive(Debug)]
pub(crate) struct SpaceWatch {
    _until: Sender<()>,
}

/// The way back from the disk.
#[derive(Debug)]
pub(crate) struct Results(UnboundedReceiver<Input>);

impl Results {
    /// What has come in since, at least one; what else there is of it comes with the next call.
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self, into: &mut Vec<Input>) {
        self.0.recv_many(into, RESULTS_MAX).await;
    }
}

/// The life of a lane's thread.
///
/// What comes of a write to the log is told with what comes of the sync that waits behind it: there
/// is nothing to be done about the one before the other, and the broker's thread is woken once.
fn carry_out(
    requests: &Mutex<Receiver<DiskRequest>>,
    files: &Files,
    done: &UnboundedSender<Input>,
    meter: &DiskMeter,
) {
    let mut write = None;
    loop {
        let request = {
            let requests = requests.lock().expect("no holder panics");
            match &write {
                Some(_) => requests.try_recv().ok(),
                None => match requests.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                },
            }
        };
        let result = request.map(|request| {
            let is_held = request.lane == Lane::Log && matches!(request.op, DiskOp::Write { .. });
            let running = meter.begin(&request);
            let DiskRequest { id, lane, op } = request;
            let result = files.carry_out(lane, op);
            meter.end(running);
            (is_held, Input::Disk(id, result))
        });
        // Nobody may be there any more to hear of it; what was asked for is done all the same.
        let _ = write.take().map(|before| done.send(before));
        match result {
            Some((true, result)) => write = Some(result),
            Some((false, result)) => drop(done.send(result)),
            None => (),
        }
    }
}

/// The life of the thread that looks at the free space.
fn report_space(
    directory: &Directory,
    free_min: &AtomicU64,
    done: &UnboundedSender<Input>,
    is_dropped: &Receiver<()>,
) {
    let mut is_unknown = false;
    loop {
        let interval = match directory.space() {
            Ok(space) => {
                is_unknown = false;
                let _ = done.send(Input::DiskFree(space.free));
                let nearly_full = free_min.load(Ordering::Relaxed).saturating_mul(2);
                if space.free < nearly_full { SPACE_INTERVAL_NEARLY_FULL } else { SPACE_INTERVAL }
            }
            Err(error) => {
                if !is_unknown {
                    warn!(%error, "cannot tell how much space is left on the disk");
                }
                is_unknown = true;
                SPACE_INTERVAL
            }
        };
        if is_dropped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process uses it.
    InUse {
        /// Which, as far as that is known.
        pid: Option<u32>,
    },
    /// The operating system says so.
    System(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { pid: Some(pid) } => write!(f, "it is in use by process {pid}"),
            Self::InUse { pid: None } => f.write_str("it is in use by another process"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<rustix::io::Errno> for OpenError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

#[cfg(test)]
mod tests;
