//! A data directory in memory, and its form as the input of a fuzz target.
//!
//! ```text
//! octet  0      0: a segment, 1: a checkpoint
//! octets 1..9   its number, little-endian
//! octets 9..13  its length, little-endian
//! octets 13..   its contents; then the next file
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use warren_core::{DiskError, DiskMachine, DiskOp, DiskResult, FileId, RecoveryOutput, StartError};

/// Octets in front of each file's contents.
const HEAD_LEN: usize = 13;
/// No file may become longer than this: whoever makes one takes a damaged number for its word.
const FILE_LEN_MAX: u64 = 64 << 20;
/// More requests than this for one machine, and it does not come to its end.
const REQUESTS_MAX: usize = 100_000;

/// Files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Their contents.
    pub files: BTreeMap<FileId, Vec<u8>>,
}

impl Disk {
    /// The files that `data` describes; what is no whole file at its end is passed over.
    pub fn read(mut data: &[u8]) -> Self {
        let mut files = BTreeMap::new();
        while let Some((head, rest)) = data.split_first_chunk::<HEAD_LEN>() {
            let number = u64::from_le_bytes(head[1..9].try_into().expect("eight octets"));
            let len = u32::from_le_bytes(head[9..].try_into().expect("four octets")) as usize;
            let len = len.min(rest.len());
            let file = match head[0] & 1 {
                0 => FileId::Segment(number),
                _ => FileId::Checkpoint(number),
            };
            // What is none of the core's does not come before it.
            if FileId::from_name(&file.to_string()).is_some() {
                files.insert(file, rest[..len].to_vec());
            }
            data = &rest[len..];
        }
        Self { files }
    }

    /// The files as octets.
    pub fn write(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for (file, bytes) in &self.files {
            let (kind, number) = match file {
                FileId::Segment(number) => (0, number),
                FileId::Checkpoint(number) => (1, number),
            };
            data.push(kind);
            data.extend_from_slice(&number.to_le_bytes());
            data.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            data.extend_from_slice(bytes);
        }
        data
    }

    /// Does what a disk is asked for, at once.
    pub fn carry_out(&mut self, op: &DiskOp) -> DiskResult {
        self.try_carry_out(op).unwrap_or_else(|| refused(false))
    }

    fn try_carry_out(&mut self, op: &DiskOp) -> Option<DiskResult> {
        match op {
            DiskOp::List => {
                let files = self.files.iter().map(|(file, bytes)| (*file, bytes.len() as u64));
                return Some(DiskResult::Files(files.collect()));
            }
            DiskOp::Read { file, offset, len } => {
                let bytes = self.files.get(file)?;
                let start = (*offset).min(bytes.len() as u64) as usize;
                let end = bytes.len().min(start.saturating_add(*len as usize));
                return Some(DiskResult::Data(Bytes::copy_from_slice(&bytes[start..end])));
            }
            DiskOp::Create { file, len } => {
                assert!(*len <= FILE_LEN_MAX, "{file} is made with {len} bytes");
                if self.files.contains_key(file) {
                    return None;
                }
                self.files.insert(*file, vec![0; *len as usize]);
            }
            DiskOp::Write { file, offset, data } => {
                let len = data.iter().map(|piece| piece.len() as u64).sum::<u64>();
                assert!(offset + len <= FILE_LEN_MAX, "{file} is written to at {offset}");
                let (bytes, start) = (self.files.get_mut(file)?, *offset as usize);
                bytes.resize(bytes.len().max(start + len as usize), 0);
                bytes[start..start + len as usize].copy_from_slice(&data.concat());
            }
            DiskOp::Truncate { file, len } => {
                assert!(*len <= FILE_LEN_MAX, "{file} is made {len} bytes long");
                self.files.get_mut(file)?.resize(*len as usize, 0);
            }
            DiskOp::Delete { file } => drop(self.files.remove(file)),
            DiskOp::Sync { file } => drop(self.files.get(file)?),
            DiskOp::SyncDir | DiskOp::DropCache { .. } => {}
        }
        Some(DiskResult::Done)
    }
}

/// What comes of a request that fails.
pub fn refused(is_full: bool) -> DiskResult {
    DiskResult::Failed(DiskError { is_full, text: "refused".into() })
}

/// Whether a directory is refused because no numbers are left: one that could be used yet cannot be
/// after that, when the last are.
pub fn is_at_end(error: &StartError) -> bool {
    error.to_string().contains("leaves no room")
}

/// Lets a machine come to its end, which it must.
pub fn drive<M: DiskMachine>(mut machine: M, disk: &mut Disk) -> Result<M::Outcome, StartError> {
    let mut requests = 0;
    while !machine.is_done() {
        match machine.poll_output().expect("a machine that is not done wants something") {
            RecoveryOutput::Disk(request) => {
                machine.handle(request.id, disk.carry_out(&request.op));
                requests += 1;
            }
            RecoveryOutput::Note(_) => {}
        }
        assert!(requests < REQUESTS_MAX, "it asks for ever more");
    }
    machine.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_read_as_they_were_written() {
        let files = [(FileId::Segment(3), vec![1, 2]), (FileId::Checkpoint(1), Vec::new())];
        let disk = Disk { files: files.into() };
        assert_eq!(Disk::read(&disk.write()), disk);
        assert_eq!(Disk::read(&disk.write()[..5]), Disk::default());
    }
}
