//! Where recordings are, and how they are laid out.
//!
//! Each start of a broker makes a recording of its own in the recorder's directory, under the next
//! number. Together they take no more than the directory may: the oldest go when a start finds less
//! than half of it free, and a recording that has come to the limit ends there.
//!
//! A recording begins with [`MAGIC`], the length of its header in four bytes, and the header.
//! Blocks follow. Each is the lengths of its two parts, four bytes each, and the parts: events, and
//! what was read from connections, one read behind the other, without bodies. A block that is cut
//! off was the last of a broker that ended without notice. All numbers of fixed length have their
//! lowest byte first.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What every recording begins with.
pub const MAGIC: &[u8; 8] = b"warrenFR";

const EXTENSION: &str = "recording";

/// A recording to be.
#[derive(Debug)]
pub struct Limits {
    /// Where it is.
    pub path: PathBuf,
    /// How long it may become, in bytes.
    pub len_max: u64,
}

/// Makes room for another recording in this directory, which is made if need be, for its owner
/// only, and is to take no more than `max` bytes.
///
/// # Errors
/// What the operating system says.
pub fn prepare(dir: &Path, max: u64) -> io::Result<Limits> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut recordings = list(dir)?;
    let next = recordings.last().map_or(1, |(number, _)| number + 1);
    let mut taken = 0;
    for (_, path) in &recordings {
        taken += fs::metadata(path)?.len();
    }
    recordings.reverse();
    while taken > max / 2
        && let Some((_, oldest)) = recordings.pop()
    {
        taken -= fs::metadata(&oldest)?.len();
        fs::remove_file(&oldest)?;
    }
    Ok(Limits { path: dir.join(format!("{next:06}.{EXTENSION}")), len_max: max - taken })
}

/// The newest recording of a directory, if it has any.
///
/// # Errors
/// What the operating system says.
pub fn newest(dir: &Path) -> io::Result<Option<PathBuf>> {
    Ok(list(dir)?.pop().map(|(_, path)| path))
}

/// All recordings of a directory, the oldest first.
fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|e| e == EXTENSION)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the file: its owner only may read what clients have sent.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_oldest_recordings_make_room_for_another() {
        let dir = TempDir::new().expect("a temporary directory");
        let dir = dir.path().join("recordings");
        for number in 1..=4 {
            let limits = prepare(&dir, 1000).expect("can be made");
            assert_eq!(limits.path, dir.join(format!("{number:06}.recording")));
            assert!(limits.len_max >= 500);
            fs::write(&limits.path, [0; 300]).expect("can be written");
        }
        let left: Vec<u64> = list(&dir).expect("is there").iter().map(|(n, _)| *n).collect();
        assert_eq!(left, [3, 4]);
        assert_eq!(newest(&dir).expect("is there"), Some(dir.join("000004.recording")));
    }
}
