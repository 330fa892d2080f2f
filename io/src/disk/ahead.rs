//! Zeros ahead of a log that is written in small pieces.
//!
//! The space of a segment is reserved before it is written to, but a reserved block that was never
//! written is a matter of the file system's journal when it is: a sync behind it writes there as
//! well. So a small write takes zeros along, up to a boundary some way ahead, and the syncs of
//! those that follow are of blocks that were written before. What is read there is the same, as
//! reserved space is zeros too. Large writes take none along: there one sync is for many messages,
//! and the disk's time is for their bytes.
//!
//! The log is written from front to back, and nothing is put behind its end before it is sealed,
//! when no more is written to it: so there is never anything but zeros where these go.

use std::io;

use warren_core::FileId;

/// Zeros go up to a multiple of this, in bytes.
const STEP: u64 = 256 << 10;

/// What is longer than this takes no zeros along, in bytes.
const SMALL_LEN_MAX: u64 = 16 << 10;

/// The file that was written to last.
#[derive(Debug, Default)]
pub(super) struct Ahead(Option<Filled>);

#[derive(Debug)]
struct Filled {
    file: FileId,
    len: u64,
    /// Nothing that is written up to here is the first there.
    to: u64,
}

impl Ahead {
    /// How many zeros are to go with a write to the log that ends at `end` and is `len` bytes long;
    /// `file_len` tells the file's length.
    ///
    /// # Errors
    /// Those of `file_len`.
    pub(super) fn zeros(
        &mut self,
        file: FileId,
        end: u64,
        len: u64,
        file_len: impl FnOnce() -> io::Result<u64>,
    ) -> io::Result<usize> {
        let known = self.0.take().filter(|filled| filled.file == file);
        let filled = match known {
            Some(filled) => self.0.insert(filled),
            None => self.0.insert(Filled { file, len: file_len()?, to: 0 }),
        };
        if end <= filled.to || end >= filled.len || len > SMALL_LEN_MAX {
            return Ok(0);
        }
        filled.to = (end / STEP + 1).saturating_mul(STEP).min(filled.len);
        Ok(usize::try_from(filled.to - end).expect("no more than a step"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: FileId = FileId::Segment(7);
    const LEN: u64 = 3 * STEP + 100;

    #[test]
    fn zeros_go_once_to_the_next_boundary() {
        let mut ahead = Ahead::default();
        let mut zeros = |end: u64, len| ahead.zeros(SEGMENT, end, len, || Ok(LEN)).unwrap() as u64;
        assert_eq!(zeros(1000, 1000), STEP - 1000);
        assert_eq!(zeros(2000, 1000), 0);
        assert_eq!(zeros(STEP, 1000), 0);
        assert_eq!(zeros(STEP + 1, 1), STEP - 1);
        assert_eq!(zeros(2 * STEP + 50_000, 48_000), 0, "too long to take any along");
        assert_eq!(zeros(2 * STEP + 50_001, 1), STEP - 50_001);
    }

    #[test]
    fn no_file_gets_longer() {
        let mut ahead = Ahead::default();
        let mut zeros = |end: u64| ahead.zeros(SEGMENT, end, 1, || Ok(LEN)).unwrap();
        assert_eq!(zeros(3 * STEP + 1), 99);
        assert_eq!(zeros(LEN), 0);
        assert_eq!(zeros(LEN + 1000), 0, "a batch may be longer than its segment");
    }

    #[test]
    fn each_file_is_filled_by_itself() {
        let mut ahead = Ahead::default();
        let mut zeros = |file| ahead.zeros(FileId::Segment(file), 10, 10, || Ok(LEN)).unwrap();
        assert_eq!([zeros(1), zeros(1), zeros(2)], [STEP as usize - 10, 0, STEP as usize - 10]);
    }
}
