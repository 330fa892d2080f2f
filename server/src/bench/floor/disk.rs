//! A file that takes what is to be durable, as cheaply as a file system can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bench::error::BenchError;

/// The file's length, in bytes.
const LEN: u64 = 64 << 20;
/// It is filled in steps of this many bytes.
const STEP: usize = 1 << 20;

/// See the [module](self). The file has no name, and goes with the process.
pub(in crate::bench) struct Disk {
    file: File,
    /// Where the next write goes.
    at: u64,
}

impl Disk {
    /// A file in `dir`, whose blocks are all there.
    pub(in crate::bench) fn create(dir: &Path) -> Result<Self, BenchError> {
        let path = dir.join(format!("warren-bench-floor-{:x}", std::process::id()));
        let made = filled(&path);
        // A file that could not be filled must not stay either.
        let _may_not_be_there = fs::remove_file(&path);
        let file = made.map_err(|source| {
            BenchError::system(format!("making a file in {}", dir.display()), source)
        })?;
        Ok(Self { file, at: 0 })
    }

    /// Writes `bytes` behind what was written before, or at the front again, and has them durable.
    pub(in crate::bench) fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.at + bytes.len() as u64 > LEN {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.file.sync_data()
    }
}

fn filled(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let zeros = vec![0; STEP];
    for _ in 0..LEN / STEP as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_round_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::create(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        disk.at = LEN - 3;
        disk.keep(b"abcd").unwrap();
        let mut front = [0; 4];
        disk.file.read_exact_at(&mut front, 0).unwrap();
        assert_eq!((&front, disk.at), (b"abcd", 4));
        assert_eq!(disk.file.metadata().unwrap().len(), LEN);
    }
}
