//! Which checkpoint a start begins with.

use alloc::collections::BTreeMap;
use alloc::format;

use bytes::BytesMut;

use super::StartError;
use super::scan::Scan;
use crate::log::checkpoint::{self, Flaw, Reason};
use crate::log::format::{CHECKPOINT_HEADER_LEN, CheckpointHeader};
use crate::log::state::{Inconsistent, State, check_room};
use crate::log::task::{Disk, Refused};
use crate::{FileId, Mark};

/// The files of a data directory, with their lengths.
#[derive(Debug, Default)]
pub(in crate::log) struct Files {
    pub(in crate::log) segments: BTreeMap<u64, u64>,
    pub(in crate::log) checkpoints: BTreeMap<u64, u64>,
}

impl Files {
    pub(in crate::log) async fn list(disk: &Disk) -> Result<Self, Refused> {
        let mut files = Self::default();
        for (file, len) in disk.list().await? {
            match file {
                FileId::Segment(number) => files.segments.insert(number, len),
                FileId::Checkpoint(number) => files.checkpoints.insert(number, len),
            };
        }
        Ok(files)
    }
}

/// The newest checkpoint that is whole. A newer one that is not was cut off while it was written:
/// older ones are deleted only when it is durable. So if none is whole, the oldest is the one that
/// was damaged. `None` when this is a first start.
pub(in crate::log) async fn choose(
    disk: &Disk,
    files: &Files,
) -> Result<Option<(u64, State)>, StartError> {
    let (mut newest, mut damage) = (None, None);
    for (&number, &len) in files.checkpoints.iter().rev() {
        let Flaw { offset, reason } = match read_surely(disk, number, len).await? {
            Ok(state) => {
                if let Some(number) = newest {
                    let file = FileId::Checkpoint(number);
                    disk.mark(Mark::CheckpointCutOff);
                    disk.note(format!(
                        "{file} was cut off while it was written: an older one counts"
                    ));
                }
                return Ok(Some((number, state)));
            }
            Err(flaw) => flaw,
        };
        let file = FileId::Checkpoint(number);
        match reason {
            Reason::Newer(version) => return Err(StartError::Newer { file, version }),
            Reason::Inconsistent(text) => {
                return Err(StartError::damaged(file, offset, text));
            }
            Reason::NotWhole(text) => {
                newest.get_or_insert(number);
                damage = Some(StartError::damaged(file, offset, text));
            }
        }
    }
    let is_first_start = files.checkpoints.keys().all(|number| *number == super::FIRST_BATCH);
    if !is_first_start || !are_unused(disk, files).await? {
        let file = FileId::Checkpoint(super::FIRST_BATCH);
        let missing = || StartError::damaged(file, 0, "there are segments but no checkpoint");
        return Err(damage.unwrap_or_else(missing));
    }
    let highest = files.segments.keys().next_back().copied().unwrap_or(0);
    check_room([highest + 1].into_iter())
        .map_err(|Inconsistent(text)| StartError::damaged(FileId::Segment(highest), 0, text))?;
    Ok(None)
}

/// Reads a checkpoint, and once more if it does not seem whole: what was written since the one
/// before it rests on that, and a read may have been led astray.
async fn read_surely(disk: &Disk, number: u64, len: u64) -> Result<Result<State, Flaw>, Refused> {
    match read(disk, number, len).await? {
        Err(Flaw { reason: Reason::NotWhole(_), .. }) => read(disk, number, len).await,
        found => Ok(found),
    }
}

/// Reads a checkpoint, as far as it is one.
pub(in crate::log) async fn read(
    disk: &Disk,
    number: u64,
    len: u64,
) -> Result<Result<State, Flaw>, Refused> {
    let file = FileId::Checkpoint(number);
    disk.expect_reads(len);
    let head = disk.read(file, 0, CHECKPOINT_HEADER_LEN as u64).await?;
    // Nothing larger than what it says of itself is read.
    let is_of_its_len = CheckpointHeader::decode(&head)
        .is_ok_and(|header| header.len.checked_add(CHECKPOINT_HEADER_LEN as u64) == Some(len));
    if !is_of_its_len {
        let whole = Flaw { offset: len, reason: Reason::NotWhole("its length is not its own") };
        return Ok(Err(checkpoint::decode(number, &head).err().unwrap_or(whole)));
    }
    let mut bytes = BytesMut::from(&head[..]);
    while (bytes.len() as u64) < len {
        let at = bytes.len() as u64;
        let piece = disk.read(file, at, disk.read_len.min(len - at)).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(checkpoint::decode(number, &bytes.freeze()))
}

/// Whether no segment has anything in it.
async fn are_unused(disk: &Disk, files: &Files) -> Result<bool, Refused> {
    let mut scan = Scan::new(disk.clone(), 0, files.segments.clone());
    for number in files.segments.keys() {
        if !scan.search(*number, 0, |_| false).await?.is_zero {
            return Ok(false);
        }
    }
    Ok(true)
}
