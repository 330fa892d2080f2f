//! A disk in memory, for tests: what is written, what of it is durable, and what a crash leaves.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::{DiskError, DiskOp, DiskResult, FileId};

/// What a disk writes at once or not at all, in bytes.
pub(super) const PAGE: usize = 512;

#[derive(Clone, Debug, Default)]
struct Contents {
    current: Vec<u8>,
    durable: Vec<u8>,
}

/// A data directory.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk {
    contents: Vec<Contents>,
    /// Which contents are called what, now and durably.
    names: BTreeMap<FileId, usize>,
    durable_names: BTreeMap<FileId, usize>,
    /// All operations so far that were not reads.
    pub(super) changes: Vec<DiskOp>,
    /// The files that were read.
    pub(super) reads: Vec<FileId>,
}

impl MemoryDisk {
    /// Puts a durable file there.
    pub(super) fn put(&mut self, file: FileId, bytes: Vec<u8>) {
        self.contents.push(Contents { current: bytes.clone(), durable: bytes });
        self.names.insert(file, self.contents.len() - 1);
        self.durable_names.insert(file, self.contents.len() - 1);
    }

    pub(super) fn remove(&mut self, file: FileId) {
        self.names.remove(&file);
        self.durable_names.remove(&file);
    }

    pub(super) fn files(&self) -> Vec<FileId> {
        self.names.keys().copied().collect()
    }

    pub(super) fn bytes(&self, file: FileId) -> &[u8] {
        self.names.get(&file).map_or(&[], |at| &self.contents[*at].current)
    }

    /// Carries out an operation.
    pub(super) fn carry_out(&mut self, op: &DiskOp) -> DiskResult {
        match op {
            DiskOp::Read { file, .. } => self.reads.push(*file),
            DiskOp::List => {}
            _ => self.changes.push(op.clone()),
        }
        match self.try_carry_out(op) {
            Some(result) => result,
            None => {
                DiskResult::Failed(DiskError { is_full: false, text: "no such file".to_string() })
            }
        }
    }

    fn try_carry_out(&mut self, op: &DiskOp) -> Option<DiskResult> {
        match op {
            DiskOp::List => {
                let len = |at: &usize| self.contents[*at].current.len() as u64;
                let files = self.names.iter().map(|(file, at)| (*file, len(at)));
                return Some(DiskResult::Files(files.collect()));
            }
            DiskOp::Read { file, offset, len } => {
                let bytes = &self.contents[*self.names.get(file)?].current;
                let start = bytes.len().min(*offset as usize);
                let end = bytes.len().min(start + *len as usize);
                return Some(DiskResult::Data(Bytes::copy_from_slice(&bytes[start..end])));
            }
            DiskOp::Create { file, len } => {
                if self.names.contains_key(file) {
                    return None;
                }
                let current = alloc::vec![0; *len as usize];
                self.contents.push(Contents { current, durable: Vec::new() });
                self.names.insert(*file, self.contents.len() - 1);
            }
            DiskOp::Write { file, offset, data } => {
                let bytes = self.current(*file)?;
                let (start, data) = (*offset as usize, data.concat());
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(&data);
            }
            DiskOp::Sync { file } => {
                let contents = &mut self.contents[*self.names.get(file)?];
                contents.durable.clone_from(&contents.current);
            }
            DiskOp::DropCache { .. } => {}
            DiskOp::Truncate { file, len } => self.current(*file)?.resize(*len as usize, 0),
            DiskOp::Delete { file } => drop(self.names.remove(file)),
            DiskOp::SyncDir => self.durable_names.clone_from(&self.names),
        }
        Some(DiskResult::Done)
    }

    fn current(&mut self, file: FileId) -> Option<&mut Vec<u8>> {
        Some(&mut self.contents[*self.names.get(&file)?].current)
    }

    /// Writes to a file without making it durable.
    pub(super) fn write(&mut self, file: FileId, offset: usize, data: &[u8]) {
        let data = alloc::vec![Bytes::copy_from_slice(data)];
        self.try_carry_out(&DiskOp::Write { file, offset: offset as u64, data });
    }

    /// The power fails. Of all that is not durable, `survives` says each time whether it stays:
    /// pages, lengths, names.
    pub(super) fn crash(&mut self, mut survives: impl FnMut() -> bool) {
        let all: Vec<FileId> =
            self.names.keys().chain(self.durable_names.keys()).copied().collect();
        for file in all {
            let (now, durable) = (self.names.get(&file), self.durable_names.get(&file));
            let is_kept = now == durable || survives();
            let stays = if is_kept { now.copied() } else { durable.copied() };
            match stays {
                Some(at) => self.names.insert(file, at),
                None => self.names.remove(&file),
            };
            match stays {
                Some(at) => self.durable_names.insert(file, at),
                None => self.durable_names.remove(&file),
            };
        }
        for contents in &mut self.contents {
            let Contents { current, durable } = contents;
            let len = if survives() { current.len() } else { durable.len() };
            let longest = current.len().max(durable.len());
            let (mut old, mut new) = (durable.clone(), current.clone());
            old.resize(longest, 0);
            new.resize(longest, 0);
            for (old, new) in old.chunks_mut(PAGE).zip(new.chunks(PAGE)) {
                if old != new && survives() {
                    old.copy_from_slice(new);
                }
            }
            old.truncate(len);
            (contents.current, contents.durable) = (old.clone(), old);
        }
    }
}

/// A row of answers that follows from a seed.
pub(super) fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40 & 1 == 1
    }
}
