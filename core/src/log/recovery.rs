//! Recovery: from the files of a data directory to a broker that has in it what it had before.
//!
//! A state machine of its own, as the broker is: requests to the disk out, their results in.

pub(super) mod base;
pub(super) mod commit;
pub(super) mod copies;
pub(super) mod replay;
pub(super) mod scan;
#[cfg(test)]
pub(super) mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use self::base::Files;
use self::replay::Replay;
use super::state::State;
use super::task::{Disk, DiskMachine, Refused, Task, driven_by_its_task};
use crate::{Boot, Broker, Config, Defaults, DiskRequest, FileId, Mark, MarkCounts};

/// The number of the first batch that there ever is.
const FIRST_BATCH: u64 = 1;

/// How far recovery has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub read: u64,
    /// Bytes to be read, as far as that is known.
    pub total: u64,
}

/// What recovery wants done.
#[derive(Clone, Debug)]
pub enum RecoveryOutput {
    /// A request to the disk.
    Disk(DiskRequest),
    /// Something that a person who runs the broker should know, such as that a torn tail was cut.
    Note(String),
}

/// Why a data directory cannot be used as it is. When it is damaged or newer, nothing in it was
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A file is damaged, at about this offset.
    Damaged {
        /// Which.
        file: FileId,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        text: String,
    },
    /// A newer broker wrote this file, in this version of the format.
    Newer {
        /// Which.
        file: FileId,
        /// The version.
        version: u32,
    },
    /// The disk refused an operation.
    Disk {
        /// On which file, if on one.
        file: Option<FileId>,
        /// What the operating system says.
        text: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, offset, text } => {
                write!(f, "{file} is damaged at offset {offset}: {text}")
            }
            Self::Newer { file, version } => {
                write!(f, "{file} was written by a newer version of warren (format {version})")
            }
            Self::Disk { file: Some(file), text } => write!(f, "{file}: {text}"),
            Self::Disk { file: None, text } => f.write_str(text),
        }
    }
}

impl core::error::Error for StartError {}

impl StartError {
    pub(in crate::log) fn damaged(file: FileId, offset: u64, what: &str) -> Self {
        Self::Damaged { file, offset, text: what.into() }
    }
}

impl From<Refused> for StartError {
    fn from(Refused { file, error }: Refused) -> Self {
        let text = match error.is_full {
            true => format!("the disk is full, and a start needs some space: {error}"),
            false => error.to_string(),
        };
        Self::Disk { file, text }
    }
}

/// Recovery: a [`DiskMachine`] that comes to a broker.
#[derive(Debug)]
pub struct Recovery {
    config: Config,
    boot: Boot,
    task: Task<Result<State, StartError>>,
}

impl Recovery {
    /// Recovery of what is in a data directory; an empty one is a broker's first start.
    #[must_use]
    pub fn new(config: Config, boot: Boot) -> Self {
        let (seed, defaults) = (boot.seed, config.defaults.clone());
        let task = Task::new(config.read_len, |disk| recover(disk, seed, defaults));
        Self { config, boot, task }
    }

    /// Which branches were reached so far, and how often; the broker that it comes to has them too.
    #[must_use]
    pub fn marks(&self) -> MarkCounts {
        self.task.marks()
    }
}

impl DiskMachine for Recovery {
    /// With all in it that the log says it holds.
    type Outcome = Broker;

    driven_by_its_task!();

    fn finish(self) -> Result<Broker, StartError> {
        let marks = self.task.marks();
        let (result, next_op) = self.task.finish().expect("recovery has come to its end");
        result.map(|state| Broker::recovered(self.config, self.boot, state, next_op, &marks))
    }
}

/// From the files of a directory to the state that they say, which is durable then.
async fn recover(
    disk: Disk,
    seed: [u64; 2],
    defaults: Option<Defaults>,
) -> Result<State, StartError> {
    let recovered = recover_from(&disk, seed, defaults.as_ref()).await;
    if let Err(StartError::Disk { .. }) = recovered {
        disk.mark(Mark::StartHindered);
    }
    recovered
}

async fn recover_from(
    disk: &Disk,
    seed: [u64; 2],
    defaults: Option<&Defaults>,
) -> Result<State, StartError> {
    let files = Files::list(disk).await?;
    match base::choose(disk, &files).await? {
        None => commit::begin(disk, &files, seed, defaults).await,
        Some((number, state)) => {
            let outcome = Replay::new(disk, &files, state).run().await?;
            commit::commit(disk, &files, number, outcome, defaults).await
        }
    }
}
