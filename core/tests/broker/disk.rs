//! A disk in memory that does what it is asked when the test lets it, and fails when told to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use warren_core::{
    Boot, Broker, Config, DiskError, DiskMachine, DiskOp, DiskRequest, DiskResult, FileId, Input,
    Lane, Output, Recovery, RecoveryOutput, StartError,
};

use super::client::World;

/// A data directory, and what is still to be done to it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<FileId, Vec<u8>>,
    pub(crate) requests: VecDeque<DiskRequest>,
    /// Whether what is written is not kept, so that much can be.
    pub(crate) is_sink: bool,
    /// How many bytes were written.
    pub(crate) written: usize,
}

impl Disk {
    fn carry_out(&mut self, op: &DiskOp) -> DiskResult {
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
                let start = bytes.len().min(*offset as usize);
                let end = bytes.len().min(start + *len as usize);
                return Some(DiskResult::Data(Bytes::copy_from_slice(&bytes[start..end])));
            }
            DiskOp::Create { file, len } => {
                if self.files.contains_key(file) {
                    return None;
                }
                self.files.insert(*file, vec![0; *len as usize]);
            }
            DiskOp::Write { .. } if self.is_sink => {}
            DiskOp::Write { file, offset, data } => {
                let (bytes, start, data) =
                    (self.files.get_mut(file)?, *offset as usize, data.concat());
                self.written += data.len();
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(&data);
            }
            DiskOp::Truncate { file, len } => self.files.get_mut(file)?.resize(*len as usize, 0),
            DiskOp::Delete { file } => drop(self.files.remove(file)),
            DiskOp::Sync { file } => drop(self.files.get(file)?),
            DiskOp::SyncDir | DiskOp::DropCache { .. } => {}
        }
        Some(DiskResult::Done)
    }
}

/// A start from these files.
pub(crate) fn start(
    config: &Config,
    files: BTreeMap<FileId, Vec<u8>>,
) -> Result<(Broker, Disk), StartError> {
    let mut disk = Disk { files, ..Disk::default() };
    let mut recovery = Recovery::new(config.clone(), Boot { seed: [1, 2], clock_origin_ms: 0 });
    while !recovery.is_done() {
        if let Some(RecoveryOutput::Disk(request)) = recovery.poll_output() {
            let result = disk.carry_out(&request.op);
            recovery.handle(request.id, result);
        }
    }
    Ok((recovery.finish()?, disk))
}

impl World {
    /// A broker with a disk that is empty.
    pub(crate) fn with_disk(config: Config) -> Self {
        Self::on(config, BTreeMap::new())
    }

    /// A broker that starts from these files, and is asked for what it first wants of its disk.
    pub(crate) fn on(config: Config, files: BTreeMap<FileId, Vec<u8>>) -> Self {
        let (broker, disk) = start(&config, files).unwrap_or_else(|error| panic!("{error}"));
        let mut world = Self::of(broker);
        world.disk = disk;
        world.input(Input::DiskFree(u64::MAX));
        world.settle();
        world
    }

    /// The disk does all that it is asked for, until there is nothing more.
    pub(crate) fn settle(&mut self) {
        while self.step(|_| true, false) {}
        // What nobody waits for is written later.
        self.pass(Duration::from_millis(20));
        while self.step(|_| true, false) {}
    }

    /// Several inputs as one batch, and the time it takes until what came of them is to be written.
    pub(crate) fn write(&mut self, inputs: impl IntoIterator<Item = Input>) {
        self.batch(inputs);
        self.pass(Duration::from_millis(20));
    }

    /// The disk does, or fails to do, the first thing it is asked for of which this holds. Whether
    /// there was one.
    pub(crate) fn step(&mut self, which: impl Fn(&DiskRequest) -> bool, fails: bool) -> bool {
        let Some(at) = self.disk.requests.iter().position(which) else { return false };
        let request = self.disk.requests.remove(at).expect("just found");
        let result = if fails { refused(true) } else { self.disk.carry_out(&request.op) };
        self.input(Input::Disk(request.id, result));
        true
    }

    /// The process is killed, and starts again.
    pub(crate) fn restart(&mut self, config: Config) {
        *self = Self::on(config, core::mem::take(&mut self.disk.files));
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.outputs().iter().any(|output| matches!(output, Output::Halt(_)))
    }
}

/// The next operation of a lane: none may be passed over.
pub(crate) fn of(lane: Lane) -> impl Fn(&DiskRequest) -> bool {
    move |request| request.lane == lane
}

fn refused(is_full: bool) -> DiskResult {
    DiskResult::Failed(DiskError { is_full, text: "refused".into() })
}
