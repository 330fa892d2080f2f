//! Carrying out operations on the files of the directory, each by itself.
//!
//! What was interrupted by a signal goes on; nothing else is tried twice. Nothing is synced that
//! somebody else has deleted.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use warren_core::{DiskError, DiskOp, DiskResult, FileId, Lane};

use super::ahead::Ahead;
use super::directory::Directory;
use super::handles::Handles;

/// How many files are kept open to be written to, and how many to be read.
const WRITTEN_KEPT: usize = 16;
const READ_KEPT: usize = 64;

/// The most pieces that one write may have, on every system.
const PIECES_MAX: usize = 1024;

/// Zeros are written in pieces of this many bytes, at most.
const ZEROS_LEN: usize = 1 << 20;
static ZEROS: Bytes = Bytes::from_static(&[0; ZEROS_LEN]);

/// The files of a directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: Arc<Directory>,
    /// Apart from those to read, so that opening one of those delays no write.
    written: Mutex<Handles>,
    read: Mutex<Handles>,
    /// How far zeros stand in the file that the log is written to.
    ahead: Mutex<Ahead>,
}

impl Files {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            written: Mutex::new(Handles::new(WRITTEN_KEPT)),
            read: Mutex::new(Handles::new(READ_KEPT)),
            ahead: Mutex::default(),
        }
    }

    /// Does what `op` says, which came by this lane, and says what came of it.
    pub(super) fn carry_out(&self, lane: Lane, op: DiskOp) -> DiskResult {
        let changes = !matches!(op, DiskOp::Read { .. } | DiskOp::List | DiskOp::DropCache { .. });
        if changes && !self.directory.is_writable() {
            return DiskResult::Failed(DiskError {
                is_full: false,
                text: format!("{}: was opened to be read only", self.directory.path().display()),
            });
        }
        let done = |()| DiskResult::Done;
        let (doing, file, result) = match op {
            DiskOp::Create { file, len } => {
                ("create", Some(file), self.create(file, len).map(done))
            }
            DiskOp::Write { file, offset, data } if lane == Lane::Log => {
                ("write", Some(file), self.append(file, offset, data).map(done))
            }
            DiskOp::Write { file, offset, data } => {
                ("write", Some(file), self.write(file, offset, &data).map(done))
            }
            DiskOp::Sync { file } => ("sync", Some(file), self.sync(file).map(done)),
            DiskOp::Truncate { file, len } => {
                ("truncate", Some(file), self.truncate(file, len).map(done))
            }
            DiskOp::DropCache { file } => {
                ("drop the cache of", Some(file), self.drop_cache(file).map(done))
            }
            DiskOp::Delete { file } => ("delete", Some(file), self.delete(file).map(done)),
            DiskOp::SyncDir => ("sync", None, self.sync_directory().map(done)),
            DiskOp::Read { file, offset, len } => {
                ("read", Some(file), self.read(file, offset, len).map(DiskResult::Data))
            }
            DiskOp::List => ("list", None, self.list().map(DiskResult::Files)),
        };
        result.unwrap_or_else(|error| {
            let path = match file {
                Some(file) => self.directory.path_of(file),
                None => self.directory.path().to_owned(),
            };
            let text = format!("cannot {doing} {}: {error}", path.display());
            DiskResult::Failed(DiskError { is_full: is_full(&error), text })
        })
    }

    fn create(&self, id: FileId, len: u64) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = self.open(id, flags)?;
        if let Err(error) = reserve(&file, len) {
            // The first error is the one that counts.
            let _ = self.unlink(id);
            return Err(error);
        }
        let mut written = lock(&self.written);
        written.get_or_open(id, || io::Result::Ok(file))?;
        written.set_unsynced(id, true);
        Ok(())
    }

    fn write(&self, id: FileId, offset: u64, data: &[Bytes]) -> io::Result<()> {
        write_all(&*self.to_be_changed(id)?, offset, data)
    }

    /// A write to the end of the log, with zeros behind it if they are of use there.
    fn append(&self, id: FileId, offset: u64, mut data: Vec<Bytes>) -> io::Result<()> {
        let file = self.to_be_changed(id)?;
        let len = data.iter().map(|piece| piece.len() as u64).sum();
        let file_len = || Ok(rustix::fs::fstat(&*file)?.st_size.cast_unsigned());
        let mut ahead = self.ahead.lock().expect("no holder panics");
        let zeros = ahead.zeros(id, offset + len, len, file_len)?;
        drop(ahead);
        if zeros > 0 {
            data.push(ZEROS.slice(..zeros));
        }
        write_all(&file, offset, &data)
    }

    fn sync(&self, id: FileId) -> io::Result<()> {
        let file = self.to_write(id)?;
        // What is written from here on is for the next one.
        lock(&self.written).set_unsynced(id, false);
        retry_on_intr(|| rustix::fs::fdatasync(&*file))?;
        self.directory.check_is_named(&file)
    }

    fn truncate(&self, id: FileId, len: u64) -> io::Result<()> {
        let file = self.to_be_changed(id)?;
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&*file, len))?)
    }

    /// Gives the memory back that the system has of a file. Without this, what is written goes to
    /// ever new pages; where pages are dear, as in a virtual machine whose host must find each one
    /// first, that costs more than all else about a write.
    fn drop_cache(&self, id: FileId) -> io::Result<()> {
        let open = || self.open(id, OFlags::RDONLY);
        let file = lock(&self.read).get_or_open(id, open)?;
        // A hint: a system that does not take it is no worse off.
        let _ = rustix::fs::fadvise(&*file, 0, None, Advice::DontNeed);
        Ok(())
    }

    fn delete(&self, id: FileId) -> io::Result<()> {
        match self.unlink(id) {
            Ok(()) | Err(Errno::NOENT) => (),
            Err(error) => return Err(error.into()),
        }
        // Behind it: whoever opens the file before that keeps it in there, and nobody does after.
        lock(&self.written).close(id);
        lock(&self.read).close(id);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        retry_on_intr(|| rustix::fs::fsync(self.directory.fd()))?;
        self.directory.check_is_named(self.directory.fd())
    }

    fn read(&self, id: FileId, offset: u64, len: u32) -> io::Result<Bytes> {
        let open = || self.open(id, OFlags::RDONLY);
        let file = lock(&self.read).get_or_open(id, open)?;
        let len = len as usize;
        let mut data = Vec::with_capacity(len);
        while data.len() < len {
            let at = offset + data.len() as u64;
            // There may be more spare capacity than was asked for.
            if retry_on_intr(|| rustix::io::pread(&*file, spare_capacity(&mut data), at))? == 0 {
                break;
            }
        }
        data.truncate(len);
        Ok(data.into())
    }

    fn list(&self) -> io::Result<Vec<(FileId, u64)>> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.directory.fd())? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let Some(id) = name.to_str().and_then(FileId::from_name) else { continue };
            match rustix::fs::statat(self.directory.fd(), name, AtFlags::empty()) {
                Ok(stat) => files.push((id, stat.st_size.cast_unsigned())),
                // Another lane has just deleted it.
                Err(Errno::NOENT) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(files)
    }

    /// The file, which is about to be changed and then has to be synced.
    fn to_be_changed(&self, id: FileId) -> io::Result<Arc<OwnedFd>> {
        let mut written = lock(&self.written);
        let file = written.get_or_open(id, || self.open(id, OFlags::RDWR))?;
        written.set_unsynced(id, true);
        Ok(file)
    }

    fn to_write(&self, id: FileId) -> io::Result<Arc<OwnedFd>> {
        lock(&self.written).get_or_open(id, || self.open(id, OFlags::RDWR))
    }

    fn open(&self, id: FileId, flags: OFlags) -> io::Result<OwnedFd> {
        let (name, flags) = (id.to_string(), flags | OFlags::CLOEXEC);
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || rustix::fs::openat(self.directory.fd(), name.as_str(), flags, mode);
        Ok(retry_on_intr(open)?)
    }

    fn unlink(&self, id: FileId) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.directory.fd(), id.to_string(), AtFlags::empty())
    }
}

fn lock(handles: &Mutex<Handles>) -> MutexGuard<'_, Handles> {
    handles.lock().expect("no holder panics")
}

/// Gives an empty file its length, and the space for it.
fn reserve(file: &OwnedFd, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let allocate = || rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len);
    match retry_on_intr(allocate) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, len),
        result => Ok(result?),
    }
}

pub(super) fn write_zeros(file: &OwnedFd, len: u64) -> io::Result<()> {
    let mut offset = 0;
    while offset < len {
        let step = (len - offset).min(ZEROS_LEN as u64);
        write_all(file, offset, &[ZEROS.slice(..step as usize)])?;
        offset += step;
    }
    Ok(())
}

fn write_all(file: &OwnedFd, mut offset: u64, data: &[Bytes]) -> io::Result<()> {
    let pieces = data.iter().filter(|piece| !piece.is_empty());
    let mut pieces: Vec<IoSlice<'_>> = pieces.map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut pieces[..];
    while !rest.is_empty() {
        let next = &rest[..rest.len().min(PIECES_MAX)];
        let written = retry_on_intr(|| rustix::io::pwritev(file, next, offset))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
}
