//! What the core asks of a disk, and what it is told in return.
//!
//! The core owns the names of files, offsets and the order of operations; an adapter only carries
//! them out. A data directory is flat: it holds files of the kinds of [`FileId`] and whatever else
//! the adapter keeps there (a lock), which the core never sees.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// A file of the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileId {
    /// A segment of the log, by its number.
    Segment(u64),
    /// A checkpoint, by the number of the first batch that it does not contain.
    Checkpoint(u64),
}

/// No file has a higher number, however long a broker lives: one that has is none of the core's.
pub(crate) const FILE_NUMBER_MAX: u64 = 1_000_000_000_000_000_000;

impl FileId {
    /// The file that is called `name`; `None` when it is none of the core's.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (digits, kind) = name.split_once('.')?;
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 16 || !digits.bytes().all(is_digit) {
            return None;
        }
        let number = u64::from_str_radix(digits, 16).ok().filter(|n| *n <= FILE_NUMBER_MAX)?;
        match kind {
            "log" => Some(Self::Segment(number)),
            "checkpoint" => Some(Self::Checkpoint(number)),
            _ => None,
        }
    }
}

/// The file's name: sixteen hexadecimal digits and an extension.
impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(number) => write!(f, "{number:016x}.log"),
            Self::Checkpoint(number) => write!(f, "{number:016x}.checkpoint"),
        }
    }
}

/// One request to the disk, for as long as it is under way; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// Which queue of operations a request goes to. Those of one lane are carried out one after
/// another, in the order in which they were given, also when one of them fails; lanes do not wait
/// for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Batches of the log: what confirms wait for.
    Log,
    /// Checkpoints, indexes, new and deleted files.
    Background,
    /// Reads, each by itself: they may be carried out in any order, and at the same time.
    Read,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Makes a file of `len` zero bytes whose space is reserved. Fails if it is there already, and
    /// leaves no file behind when it fails.
    Create {
        /// Which.
        file: FileId,
        /// Its length, in bytes.
        len: u64,
    },
    /// Writes all pieces, one behind the other, from `offset` on; makes the file longer if need be.
    Write {
        /// Which.
        file: FileId,
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Vec<Bytes>,
    },
    /// Makes the file's contents and length durable. When it fails, nothing is known of what was
    /// written since the last one that did not.
    Sync {
        /// Which.
        file: FileId,
    },
    /// Sets the file's length; what is behind it is gone.
    Truncate {
        /// Which.
        file: FileId,
        /// The length, in bytes.
        len: u64,
    },
    /// Removes the file. One that is not there is as good as removed.
    Delete {
        /// Which.
        file: FileId,
    },
    /// Says that what the system keeps of the file in memory is not of use: it is on disk, and most
    /// of it is read late or never. A hint, which changes nothing.
    DropCache {
        /// Which.
        file: FileId,
    },
    /// Makes the directory's entries durable: which files there are.
    SyncDir,
    /// Reads `len` bytes from `offset` on; fewer only where the file ends.
    Read {
        /// Which.
        file: FileId,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
    /// Lists the files there are, with their lengths.
    List,
}

/// A request to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRequest {
    /// To tell its answer from others.
    pub id: OpId,
    /// With which others it keeps its order.
    pub lane: Lane,
    /// What is to be done.
    pub op: DiskOp,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskResult {
    /// It was done.
    Done,
    /// What was read.
    Data(Bytes),
    /// The files of the directory and their lengths in bytes, in any order.
    Files(Vec<(FileId, u64)>),
    /// It failed.
    Failed(DiskError),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// Whether it was for want of space.
    pub is_full: bool,
    /// What the operating system says.
    pub text: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_name_says_which_file_it_is() {
        for file in
            [FileId::Segment(0), FileId::Segment(0xabc), FileId::Checkpoint(FILE_NUMBER_MAX)]
        {
            assert_eq!(FileId::from_name(&file.to_string()), Some(file));
        }
        for name in [
            "lock",
            "1.log",
            "00000000000000AB.log",
            "ffffffffffffffff.log",
            "0000000000000000.tmp",
            "+000000000000000.log",
        ] {
            assert_eq!(FileId::from_name(name), None, "{name}");
        }
    }
}
