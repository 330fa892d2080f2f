//! Open files, kept for the next operation on them.
//!
//! A file that was written to and not synced since is never closed here: the operating system may
//! report a failed write-back only to those who had the file open when it happened.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use warren_core::FileId;

/// Open files, of which a bounded number is kept.
#[derive(Debug)]
pub(super) struct Handles {
    kept_max: usize,
    /// The one that was used last is at the end. Few enough to be searched.
    handles: Vec<Handle>,
}

#[derive(Debug)]
struct Handle {
    id: FileId,
    file: Arc<OwnedFd>,
    is_unsynced: bool,
}

impl Handles {
    /// Keeps at most `kept_max` files open, and those that are not synced.
    pub(super) fn new(kept_max: usize) -> Self {
        Self { kept_max, handles: Vec::new() }
    }

    /// The file, if it is open; else `open` opens it.
    ///
    /// # Errors
    /// Those of `open`.
    pub(super) fn get_or_open<E>(
        &mut self,
        id: FileId,
        open: impl FnOnce() -> Result<OwnedFd, E>,
    ) -> Result<Arc<OwnedFd>, E> {
        let handle = match self.handles.iter().position(|handle| handle.id == id) {
            Some(at) => self.handles.remove(at),
            None => Handle { id, file: Arc::new(open()?), is_unsynced: false },
        };
        let file = Arc::clone(&handle.file);
        self.handles.push(handle);
        self.close_surplus();
        Ok(file)
    }

    /// Keeps the file open until it is synced, if it is open.
    pub(super) fn set_unsynced(&mut self, id: FileId, is_unsynced: bool) {
        if let Some(handle) = self.handles.iter_mut().find(|handle| handle.id == id) {
            handle.is_unsynced = is_unsynced;
        }
        self.close_surplus();
    }

    /// Closes the file, when those who use it now are done with it.
    pub(super) fn close(&mut self, id: FileId) {
        self.handles.retain(|handle| handle.id != id);
    }

    fn close_surplus(&mut self) {
        while self.handles.len() > self.kept_max
            && let Some(at) = self.handles.iter().position(|handle| !handle.is_unsynced)
        {
            self.handles.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs::File;

    use super::*;

    #[test]
    fn the_file_that_was_not_used_for_longest_is_closed_first() {
        let mut handles = Handles::new(2);
        assert_eq!(opened(&mut handles, [1, 2, 1, 3, 1, 2]), [1, 2, 3, 2]);
    }

    #[test]
    fn a_file_with_unsynced_writes_stays_open() {
        let mut handles = Handles::new(1);
        assert_eq!(opened(&mut handles, [1]), [1]);
        handles.set_unsynced(FileId::Segment(1), true);
        assert_eq!(opened(&mut handles, [2, 3, 1]), [2, 3]);
        handles.set_unsynced(FileId::Segment(1), false);
        assert_eq!(opened(&mut handles, [2, 1]), [2, 1]);
    }

    #[test]
    fn a_closed_file_is_opened_anew() {
        let mut handles = Handles::new(2);
        assert_eq!(opened(&mut handles, [1]), [1]);
        handles.set_unsynced(FileId::Segment(1), true);
        handles.close(FileId::Segment(1));
        assert_eq!(opened(&mut handles, [1]), [1]);
    }

    /// Uses these segments one after another; gives those that had to be opened.
    fn opened<const N: usize>(handles: &mut Handles, segments: [u64; N]) -> Vec<u64> {
        let mut opened = Vec::new();
        for segment in segments {
            let open = || {
                opened.push(segment);
                Ok::<_, Infallible>(File::open("/dev/null").expect("is always there").into())
            };
            let Ok(_) = handles.get_or_open(FileId::Segment(segment), open);
        }
        opened
    }
}
