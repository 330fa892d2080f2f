//! Looking at a data directory that no broker uses: what is damaged, and keeping what is not.
//!
//! Both are state machines as recovery is, and driven in the same way.

mod check;
mod salvage;
mod survey;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::recovery::StartError;
use super::task::{Disk, DiskMachine, Refused, Task, driven_by_its_task};
use crate::{Config, FileId};

/// Where a read fails, it is tried again in pieces of this many bytes.
const SECTOR_LEN: u64 = 4096;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In which file.
    pub file: FileId,
    /// Where, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub text: String,
}

/// What it rests on which queues and messages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// No checkpoint is whole: nothing is known.
    #[default]
    Nothing,
    /// On the last checkpoint: the log behind it is damaged.
    Checkpoint,
    /// On everything up to the end of the log.
    Log,
}

/// What a data directory holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments with something in them.
    pub segments: u64,
    /// Their batches.
    pub batches: u64,
    /// The records in these.
    pub records: u64,
    /// What the following six rest on.
    pub basis: Basis,
    /// Durable queues.
    pub queues: u64,
    /// Durable exchanges, without the predeclared ones.
    pub exchanges: u64,
    /// Policies.
    pub policies: u64,
    /// Bindings between what is durable.
    pub bindings: u64,
    /// Messages that are not done with; one in two queues counts twice.
    pub messages: u64,
    /// Values that exchanges and queues remember, which deduplicate.
    pub values: u64,
    /// Of all files, in bytes.
    pub bytes: u64,
    /// All that is wrong, sorted by file and offset.
    pub problems: Vec<Problem>,
    /// Why a broker would not start with this directory; `None` when it would.
    pub refusal: Option<StartError>,
}

/// Messages that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostMessages {
    /// The queue's virtual host and name; its number alone if its declaration is lost too.
    pub queue: String,
    /// Positions in the queue: of the first, or where they were.
    pub first: u64,
    /// Of the last.
    pub last: u64,
    /// How many, if that is known.
    pub count: Option<u64>,
}

/// Something that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// In which file.
    pub file: FileId,
    /// Where it begins, in bytes.
    pub from: u64,
    /// Where it ends, in bytes.
    pub to: u64,
    /// What it is.
    pub text: String,
    /// Messages that are known to have been there.
    pub messages: Vec<LostMessages>,
}

/// What salvage did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Whether anything was written or deleted. Not in a directory that is as it should be.
    pub is_changed: bool,
    /// All that was dropped, sorted by file and place.
    pub losses: Vec<Loss>,
    /// Durable queues that were kept.
    pub queues: u64,
    /// Of these, those whose declaration was lost: what they are called now, which is `salvaged.`
    /// and a number, in the virtual host `/`.
    pub unnamed_queues: Vec<String>,
    /// Durable exchanges that were kept.
    pub exchanges: u64,
    /// Policies that were kept.
    pub policies: u64,
    /// Bindings that were kept.
    pub bindings: u64,
    /// Messages that were kept; one in two queues counts twice.
    pub messages: u64,
    /// Values that are still remembered.
    pub values: u64,
    /// How many of these were copied to new segments.
    pub copied: u64,
}

macro_rules! machine {
    ($(#[$doc:meta])* $name:ident, $report:ident, $begin:path) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            task: Task<Result<$report, StartError>>,
        }

        impl $name {
            /// Of the data directory on the disk that requests go to.
            #[must_use]
            pub fn new(config: &Config) -> Self {
                Self { task: Task::new(config.read_len, $begin) }
            }
        }

        impl DiskMachine for $name {
            type Outcome = $report;

            driven_by_its_task!();

            fn finish(self) -> Result<$report, StartError> {
                self.task.finish().expect("it has come to its end").0
            }
        }
    };
}

machine! {
    /// Looks at everything in a data directory, and changes nothing.
    Check, CheckReport, check::check
}

machine! {
    /// Makes a data directory that a broker can start with out of what is whole in a damaged one.
    /// Nothing that is there is changed, and only what is not needed any more is deleted, once the
    /// new state is durable. Messages of segments with damage are copied to new ones.
    Salvage, SalvageReport, salvage::salvage
}

/// A file as far as it can be read: zero bytes stand for what cannot, which is noted.
async fn read_whole(
    disk: &Disk,
    file: FileId,
    len: u64,
    problems: &mut Problems,
) -> Result<Bytes, StartError> {
    disk.expect_reads(len);
    let mut bytes = BytesMut::new();
    while (bytes.len() as u64) < len {
        let at = bytes.len() as u64;
        let wanted = disk.read_len.min(len - at);
        match disk.read(file, at, wanted).await {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => {
                let end = at + wanted;
                while (bytes.len() as u64) < end {
                    let at = bytes.len() as u64;
                    let wanted = SECTOR_LEN.min(end - at);
                    match disk.read(file, at, wanted).await {
                        Ok(piece) if !piece.is_empty() => bytes.extend_from_slice(&piece),
                        Ok(_) => break,
                        Err(Refused { error, .. }) => {
                            problems.add(file, at, error.to_string());
                            bytes.resize((at + wanted) as usize, 0);
                        }
                    }
                }
            }
        }
    }
    Ok(bytes.freeze())
}

/// What was found to be wrong: by file and offset, the first thing at each.
#[derive(Debug, Default)]
struct Problems(BTreeMap<(FileId, u64), String>);

impl Problems {
    fn add(&mut self, file: FileId, offset: u64, text: impl Into<String>) {
        self.0.entry((file, offset)).or_insert_with(|| text.into());
    }

    fn into_list(self) -> Vec<Problem> {
        let problems = self.0.into_iter();
        problems.map(|((file, offset), text)| Problem { file, offset, text }).collect()
    }
}

impl CheckReport {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.refusal.is_none()
    }
}

/// A queue's name, as reports have it.
fn queue_name(state: &super::state::State, number: u64) -> String {
    match state.queues.get(&super::fact::QueueNumber(number)) {
        Some(queue) => {
            format!("{} in virtual host {}", queue.declaration.name, queue.declaration.vhost)
        }
        None => format!("number {number}"),
    }
}
