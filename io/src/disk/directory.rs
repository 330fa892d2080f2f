//! The data directory itself: who may look into it, who has it, and how much room is left.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, StatVfs, StatxFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use warren_core::FileId;

use super::OpenError;

/// The file that whoever uses the directory holds an advisory lock on.
const LOCK: &str = "lock";

/// The socket of those who run the broker; whoever makes it takes care of its permissions.
pub const SOCKET: &str = "ctl.sock";

/// The file that says that the next start is to be recorded.
pub const RECORD_NEXT: &str = "record.next";

/// The directory where such recordings are.
pub const RECORDINGS: &str = "recordings";

/// The permissions of the directory: what is in it is nobody else's business.
const MODE: u32 = 0o700;

/// An open data directory. The lock is given up when it is dropped, or with the process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
    /// Only who reads does without one, where there is no file to lock.
    _lock: Option<OwnedFd>,
    is_writable: bool,
    /// Whether the filesystem counts names: of what has none left, nothing is to be found again.
    counts_names: bool,
}

impl Directory {
    /// Makes the directory if need be, for its owner only, and locks it.
    ///
    /// # Errors
    /// When another process has it, and what the operating system says.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        make(path)?;
        tighten(path)?;
        let fd = open_directory(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&fd, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
        take(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let pid = format!("{}\n", std::process::id());
        rustix::fs::ftruncate(&lock, 0)?;
        rustix::io::pwrite(&lock, pid.as_bytes(), 0)?;
        let counts_names =
            [&fd, &lock].map(names).into_iter().all(|names| names.is_ok_and(|n| n > 0));
        let path = path.to_owned();
        Ok(Self { path, fd, _lock: Some(lock), is_writable: true, counts_names })
    }

    /// Opens the directory to look at it: nothing in it is changed.
    ///
    /// # Errors
    /// When another process has it to write, and what the operating system says.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        let fd = open_directory(path)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let lock = match rustix::fs::openat(&fd, LOCK, flags, Mode::empty()) {
            Ok(lock) => Some(lock),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(lock) = &lock {
            take(lock, FlockOperation::NonBlockingLockShared)?;
        }
        let path = path.to_owned();
        Ok(Self { path, fd, _lock: lock, is_writable: false, counts_names: false })
    }

    /// Whether it was opened for writing too.
    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// The directory, for operations on what is in it.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Where the file is, for people.
    pub(super) fn path_of(&self, file: FileId) -> PathBuf {
        self.path.join(file.to_string())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if this is the directory, or a file of it, and somebody has deleted it: it can be
    /// written and synced for as long as it is open, and then nothing is left of it.
    ///
    /// # Errors
    /// When it has no name any more, and what the operating system says.
    pub(super) fn check_is_named(&self, fd: &OwnedFd) -> io::Result<()> {
        if self.counts_names && names(fd)? == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "somebody has deleted it"));
        }
        Ok(())
    }

    /// What the filesystem says of its room. May wait for a slow disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn space(&self) -> io::Result<Space> {
        let StatVfs { f_frsize, f_blocks, f_bavail, .. } = rustix::fs::fstatvfs(&self.fd)?;
        Ok(Space {
            free: f_bavail.saturating_mul(f_frsize),
            capacity: f_blocks.saturating_mul(f_frsize),
        })
    }
}

/// How much room a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that the broker may still use.
    pub free: u64,
    /// Bytes in all.
    pub capacity: u64,
}

/// Makes the directory, and its parents, and makes each new entry durable: a directory that is gone
/// after a power failure takes with it what was promised to be there.
fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = parent_of(path) else { return Err(error) };
            make(parent)?;
            match DirBuilder::new().mode(MODE).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => sync_parent(path),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::metadata(path)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            // It may have been made by a broker that ended before it got this far.
            match sync_parent(path) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = parent_of(path) else { return Ok(()) };
    match rustix::fs::fsync(open_directory(parent)?) {
        // Not every filesystem can: then there is nothing to be made durable.
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn parent_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str() == OsStr::new("") { Path::new(".") } else { parent })
}

/// Takes away from others what they may do with the directory, if it is the broker's own: it is of
/// the same user, and nothing else is in it. Whoever names a home directory, or `/tmp`, must not
/// find it closed; the broker's files in there are closed to others all the same.
fn tighten(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && metadata.mode() & 0o777 & !MODE != 0 && holds_nothing_else(path)? {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    }
    Ok(())
}

fn holds_nothing_else(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or("");
        // What a filesystem of its own has in its root counts for nothing.
        let is_ours = [LOCK, SOCKET, RECORD_NEXT, RECORDINGS, "lost+found"].contains(&name)
            || FileId::from_name(name).is_some();
        if !is_ours {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// How many names it has. Nothing else is asked: a filesystem that was asked when a file was
/// written last notes that more precisely from then on, which makes the next sync half as long
/// again.
fn names(fd: &OwnedFd) -> io::Result<u32> {
    let found = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?;
    Ok(found.stx_nlink)
}

fn take(lock: &OwnedFd, operation: FlockOperation) -> Result<(), OpenError> {
    match rustix::fs::flock(lock, operation) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(OpenError::InUse { pid: owner(lock) }),
        Err(error) => Err(error.into()),
    }
}

/// The process that wrote itself into the lock file, if it is still there.
fn owner(lock: &OwnedFd) -> Option<u32> {
    let mut text = [0; 16];
    let len = rustix::io::pread(lock, &mut text, 0).ok()?;
    let pid: i32 = str::from_utf8(&text[..len]).ok()?.trim().parse().ok()?;
    match rustix::process::test_kill_process(Pid::from_raw(pid)?) {
        Ok(()) | Err(Errno::PERM) => u32::try_from(pid).ok(),
        Err(_) => None,
    }
}
