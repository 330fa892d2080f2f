//! A machine whose steps stand in order: requests to the disk out, their results in, and between
//! them an `async` function that awaits these results and nothing else.
//!
//! Nothing wakes it but [`Task::handle`]: what it does depends on the results alone.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::recovery::{Progress, RecoveryOutput, StartError};
use crate::marks::Marks;
use crate::{DiskError, DiskOp, DiskRequest, DiskResult, FileId, Lane, Mark, MarkCounts, OpId};

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) file: Option<FileId>,
    pub(super) error: DiskError,
}

/// What a task and its disk handle share.
#[derive(Debug, Default)]
struct Desk {
    outputs: VecDeque<RecoveryOutput>,
    /// Requests under way, and what came of those whose result is not taken yet.
    results: BTreeMap<OpId, Option<DiskResult>>,
    next_op: u64,
    progress: Progress,
    marks: Marks,
}

/// The disk, as a task sees it.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    desk: Rc<RefCell<Desk>>,
    /// The most bytes to read at once, where a smaller read would do.
    pub(super) read_len: u64,
}

impl Disk {
    /// Every file there is, with its length.
    pub(super) async fn list(&self) -> Result<Vec<(FileId, u64)>, Refused> {
        match self.carry_out(Lane::Read, None, DiskOp::List).await? {
            DiskResult::Files(files) => Ok(files),
            _ => Ok(Vec::new()),
        }
    }

    /// Up to `len` bytes; fewer where the file ends.
    pub(super) async fn read(&self, file: FileId, offset: u64, len: u64) -> Result<Bytes, Refused> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let op = DiskOp::Read { file, offset, len };
        match self.carry_out(Lane::Read, Some(file), op).await? {
            DiskResult::Data(mut bytes) => {
                bytes.truncate(len as usize);
                self.desk.borrow_mut().progress.read += bytes.len() as u64;
                Ok(bytes)
            }
            _ => Ok(Bytes::new()),
        }
    }

    pub(super) async fn create(&self, file: FileId, len: u64) -> Result<(), Refused> {
        self.change(file, DiskOp::Create { file, len }).await
    }

    pub(super) async fn write(
        &self,
        file: FileId,
        offset: u64,
        data: Vec<Bytes>,
    ) -> Result<(), Refused> {
        self.change(file, DiskOp::Write { file, offset, data }).await
    }

    pub(super) async fn sync(&self, file: FileId) -> Result<(), Refused> {
        self.change(file, DiskOp::Sync { file }).await
    }

    pub(super) async fn truncate(&self, file: FileId, len: u64) -> Result<(), Refused> {
        self.change(file, DiskOp::Truncate { file, len }).await
    }

    pub(super) async fn delete(&self, file: FileId) -> Result<(), Refused> {
        self.change(file, DiskOp::Delete { file }).await
    }

    pub(super) async fn sync_dir(&self) -> Result<(), Refused> {
        self.carry_out(Lane::Background, None, DiskOp::SyncDir).await.map(drop)
    }

    /// Something that a person should know.
    pub(super) fn note(&self, text: String) {
        self.desk.borrow_mut().outputs.push_back(RecoveryOutput::Note(text));
    }

    /// Counts a mark.
    pub(super) fn mark(&self, mark: Mark) {
        self.desk.borrow().marks.reach(mark);
    }

    /// So many more bytes are to be read.
    pub(super) fn expect_reads(&self, len: u64) {
        self.desk.borrow_mut().progress.total += len;
    }

    async fn change(&self, file: FileId, op: DiskOp) -> Result<(), Refused> {
        self.carry_out(Lane::Background, Some(file), op).await.map(drop)
    }

    async fn carry_out(
        &self,
        lane: Lane,
        file: Option<FileId>,
        op: DiskOp,
    ) -> Result<DiskResult, Refused> {
        let id = {
            let mut desk = self.desk.borrow_mut();
            let id = OpId(desk.next_op);
            desk.next_op += 1;
            desk.results.insert(id, None);
            desk.outputs.push_back(RecoveryOutput::Disk(DiskRequest { id, lane, op }));
            id
        };
        let result = poll_fn(|_| {
            let mut desk = self.desk.borrow_mut();
            match desk.results.get_mut(&id).and_then(Option::take) {
                Some(result) => {
                    desk.results.remove(&id);
                    Poll::Ready(result)
                }
                None => Poll::Pending,
            }
        });
        match result.await {
            DiskResult::Failed(error) => Err(Refused { file, error }),
            result => Ok(result),
        }
    }
}

/// A machine that works on a data directory while no broker does, and comes to an end:
/// [`Recovery`](crate::Recovery), [`Check`](crate::Check), [`Salvage`](crate::Salvage).
///
/// Whoever drives it takes [`Self::poll_output`] until that gives nothing, carries out what is
/// asked of the disk, and gives each result to [`Self::handle`], in any order; and so on until it
/// [is done](Self::is_done). There may be notes left then. What it does depends on the results
/// alone.
pub trait DiskMachine {
    /// What it comes to.
    type Outcome;

    /// The next thing to be done; `None` when all is done or under way. What is not done and has
    /// nothing under way has something to be done.
    fn poll_output(&mut self) -> Option<RecoveryOutput>;

    /// Takes note of what came of a request. What was not asked for, or is known already, is passed
    /// over.
    fn handle(&mut self, id: OpId, result: DiskResult);

    /// Whether it has come to an end, good or bad.
    #[must_use]
    fn is_done(&self) -> bool;

    /// How far it has come.
    #[must_use]
    fn progress(&self) -> Progress;

    /// What it came to.
    ///
    /// # Errors
    /// When it could not be carried out: the data directory cannot be used.
    ///
    /// # Panics
    /// Before [`Self::is_done`].
    fn finish(self) -> Result<Self::Outcome, StartError>
    where
        Self: Sized;
}

/// How a machine is driven whose `task` is a [`Task`]: methods for its `impl` of [`DiskMachine`].
macro_rules! driven_by_its_task {
    () => {
        fn poll_output(&mut self) -> Option<$crate::log::RecoveryOutput> {
            self.task.poll_output()
        }

        fn handle(&mut self, id: $crate::OpId, result: $crate::DiskResult) {
            self.task.handle(id, result);
        }

        fn is_done(&self) -> bool {
            self.task.is_done()
        }

        fn progress(&self) -> $crate::log::Progress {
            self.task.progress()
        }
    };
}

pub(super) use driven_by_its_task;

/// A machine that comes to a `T`.
pub(super) struct Task<T> {
    desk: Rc<RefCell<Desk>>,
    /// `None` once it has come to its end.
    steps: Option<Pin<Box<dyn Future<Output = T>>>>,
    result: Option<T>,
}

impl<T> Task<T> {
    /// Starts with the steps that `begin` gives for a disk. Reads are of at most `read_len` bytes
    /// where these are enough.
    pub(super) fn new<F>(read_len: u32, begin: impl FnOnce(Disk) -> F) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        let desk = Rc::<RefCell<Desk>>::default();
        let disk = Disk { desk: desk.clone(), read_len: u64::from(read_len).max(4096) };
        let mut task = Self { desk, steps: Some(Box::pin(begin(disk))), result: None };
        task.go_on();
        task
    }

    /// Takes note of what came of a request. What was not asked for is passed over.
    pub(super) fn handle(&mut self, id: OpId, result: DiskResult) {
        match self.desk.borrow_mut().results.get_mut(&id) {
            Some(place) if place.is_none() => *place = Some(result),
            _ => return,
        }
        self.go_on();
    }

    pub(super) fn poll_output(&mut self) -> Option<RecoveryOutput> {
        self.desk.borrow_mut().outputs.pop_front()
    }

    pub(super) fn is_done(&self) -> bool {
        self.steps.is_none()
    }

    pub(super) fn progress(&self) -> Progress {
        let Progress { read, total } = self.desk.borrow().progress;
        Progress { read: read.min(total), total }
    }

    /// Which marks were reached so far.
    pub(super) fn marks(&self) -> MarkCounts {
        self.desk.borrow().marks.counts()
    }

    /// What it came to, and the number of the next request; `None` before its end.
    pub(super) fn finish(self) -> Option<(T, u64)> {
        let next_op = self.desk.borrow().next_op;
        self.result.map(|result| (result, next_op))
    }

    fn go_on(&mut self) {
        let Some(steps) = &mut self.steps else { return };
        if let Poll::Ready(result) = steps.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            self.result = Some(result);
            self.steps = None;
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("desk", &self.desk).finish_non_exhaustive()
    }
}
