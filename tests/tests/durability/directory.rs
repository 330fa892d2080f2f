//! The data directory seen from outside: which files there are, where the log ends, and damage done
//! to them.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The segments of the log, by number.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir, "log")
}

/// The checkpoints, the oldest first.
pub(crate) fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    files(dir, "checkpoint")
}

/// The last segment that anything was written to, and where that ends. What was not written is
/// zero.
pub(crate) fn log_end(dir: &Path) -> (PathBuf, u64) {
    let written = segments(dir).into_iter().rev().find_map(|path| {
        let bytes = fs::read(&path).expect("a segment can be read");
        let end = bytes.iter().rposition(|byte| *byte != 0)? + 1;
        Some((path, end as u64))
    });
    written.expect("something was written to the log")
}

/// Where these bytes are in a file, first; `None` if they are not.
pub(crate) fn position(path: &Path, bytes: &[u8]) -> Option<u64> {
    let text = fs::read(path).expect("a file of the directory can be read");
    let found = text.windows(bytes.len()).position(|window| window == bytes)?;
    Some(found as u64)
}

/// The one segment that has these bytes, and where.
pub(crate) fn find(dir: &Path, bytes: &[u8]) -> (PathBuf, u64) {
    let mut found = segments(dir)
        .into_iter()
        .filter_map(|path| position(&path, bytes).map(|offset| (path, offset)));
    found.next().expect("what was published is in the log")
}

/// Turns over the bits of one byte.
pub(crate) fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).expect("a file of the directory can be read");
    bytes[usize::try_from(offset).expect("files of tests are small")] ^= 0xff;
    fs::write(path, bytes).expect("a file of the directory can be written");
}

/// Puts bytes over what is there.
pub(crate) fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect("can be opened for writing");
    file.seek(SeekFrom::Start(offset)).expect("a file can be sought in");
    file.write_all(bytes).expect("a file of the directory can be written");
}

/// Cuts a file off.
pub(crate) fn truncate(path: &Path, len: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("can be opened for writing");
    file.set_len(len).expect("a file of the directory can be made shorter");
}

/// Copies a directory's files, but the lock, which holds nothing, and the socket of a broker that
/// was killed.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("a directory can be read").flatten() {
        if entry.file_name() != "lock" && entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
        }
    }
}

/// The name of a file in its directory.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("the names are plain")
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the data directory can be read").flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    // The numbers in the names have leading zeros.
    paths.sort();
    paths
}
