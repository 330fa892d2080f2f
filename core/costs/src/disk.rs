//! A disk in memory, which does at once what it is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use warren_core::{DiskOp, DiskResult, FileId};

/// What the files hold.
pub type Files = BTreeMap<FileId, Vec<u8>>;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Disk {
    /// `None` for one that keeps nothing of what is written.
    files: Option<Files>,
}

impl Disk {
    /// A disk that keeps nothing, so that nothing of it is measured.
    #[must_use]
    pub fn sink() -> Self {
        Self { files: None }
    }

    /// One that has these files.
    #[must_use]
    pub fn of(files: Files) -> Self {
        Self { files: Some(files) }
    }

    /// What it holds.
    #[must_use]
    pub fn into_files(self) -> Files {
        self.files.unwrap_or_default()
    }

    /// Does what is asked.
    ///
    /// # Panics
    ///
    /// If it is asked for what is not there.
    pub fn carry_out(&mut self, op: &DiskOp) -> DiskResult {
        match &mut self.files {
            Some(files) => carry_out(files, op),
            None if *op == DiskOp::List => DiskResult::Files(vec![]),
            None => {
                assert!(!matches!(op, DiskOp::Read { .. }), "nothing was kept to be read");
                DiskResult::Done
            }
        }
    }
}

fn carry_out(files: &mut Files, op: &DiskOp) -> DiskResult {
    let is_there = "the core knows its files";
    match op {
        DiskOp::List => {
            let all = files.iter().map(|(file, bytes)| (*file, bytes.len() as u64));
            return DiskResult::Files(all.collect());
        }
        DiskOp::Read { file, offset, len } => {
            let bytes = files.get(file).expect(is_there);
            let start = bytes.len().min(*offset as usize);
            let end = bytes.len().min(start + *len as usize);
            return DiskResult::Data(Bytes::copy_from_slice(&bytes[start..end]));
        }
        DiskOp::Create { file, len } => {
            files.insert(*file, vec![0; *len as usize]);
        }
        DiskOp::Write { file, offset, data } => {
            let (bytes, start) = (files.get_mut(file).expect(is_there), *offset as usize);
            let data = data.concat();
            if bytes.len() < start + data.len() {
                bytes.resize(start + data.len(), 0);
            }
            bytes[start..start + data.len()].copy_from_slice(&data);
        }
        DiskOp::Truncate { file, len } => {
            files.get_mut(file).expect(is_there).resize(*len as usize, 0);
        }
        DiskOp::Delete { file } => drop(files.remove(file)),
        DiskOp::Sync { .. } | DiskOp::SyncDir | DiskOp::DropCache { .. } => {}
    }
    DiskResult::Done
}
