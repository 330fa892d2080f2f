//! What the disk was asked for and what it did, as lines of the trace; nothing unless it is kept.
//!
//! Requests are numbered in the order in which they are begun, which is what a plan's `crash_at`
//! counts.

use std::mem::take;

use bytes::Bytes;
use warren_core::{DiskOp, DiskResult, FileId};

/// Lines that the trace has not got yet.
#[derive(Debug, Default)]
pub(super) struct Journal {
    lines: Option<Vec<String>>,
}

impl Journal {
    /// From now on, what happens is kept.
    pub(super) fn keep(&mut self) {
        self.lines = Some(Vec::new());
    }

    /// What was kept since this was asked last.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.lines.as_mut().map(take).unwrap_or_default()
    }

    /// Request `number` is begun.
    pub(super) fn begins(&mut self, number: u64, op: &DiskOp) {
        self.note(|| format!("> {number} {}", describe(op)));
    }

    /// Request `number` is done, or has failed.
    pub(super) fn ends(&mut self, number: u64, result: &DiskResult) {
        self.note(|| match result {
            DiskResult::Done => format!("< {number} done"),
            DiskResult::Data(bytes) => format!("< {number} {} bytes", bytes.len()),
            DiskResult::Files(files) => format!("< {number} {} files", files.len()),
            DiskResult::Failed(error) => format!("< {number} fails: {error}"),
        });
    }

    /// The process ends with this request under way; `what` came of it.
    pub(super) fn breaks_off(&mut self, number: u64, op: &DiskOp, what: &str) {
        let number = if number == 0 { "?".to_owned() } else { number.to_string() };
        self.note(|| format!("! {number} {} is {what}", describe(op)));
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }
}

fn describe(op: &DiskOp) -> String {
    match op {
        DiskOp::Create { file, len } => format!("create {} of {len} bytes", name(*file)),
        DiskOp::Write { file, offset, data } => {
            let len = data.iter().map(Bytes::len).sum::<usize>();
            format!("write {} at {offset}, {len} bytes", name(*file))
        }
        DiskOp::Sync { file } => format!("sync {}", name(*file)),
        DiskOp::Truncate { file, len } => format!("truncate {} to {len} bytes", name(*file)),
        DiskOp::Delete { file } => format!("delete {}", name(*file)),
        DiskOp::DropCache { file } => format!("drop {} from the cache", name(*file)),
        DiskOp::SyncDir => "sync the directory".to_owned(),
        DiskOp::Read { file, offset, len } => {
            format!("read {} at {offset}, {len} bytes", name(*file))
        }
        DiskOp::List => "list the directory".to_owned(),
    }
}

/// Shorter than the name that the file has.
fn name(file: FileId) -> String {
    match file {
        FileId::Segment(number) => format!("segment {number}"),
        FileId::Checkpoint(number) => format!("checkpoint {number}"),
    }
}
