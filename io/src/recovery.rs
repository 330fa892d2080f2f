//! Driving the machines that work on a data directory before a broker does, recovery first.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::warn;
use warren_core::{
    Boot, Broker, Config, DiskMachine, DiskResult, Input, OpId, Progress, Recovery, RecoveryOutput,
    StartError,
};
use warren_recorder::Recorder;

use crate::Disk;

/// How often there is to be told how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A recovery, with its recorder looking on.
struct Recorded<'a> {
    recovery: Recovery,
    recorder: &'a mut Recorder,
}

impl DiskMachine for Recorded<'_> {
    type Outcome = Broker;

    fn poll_output(&mut self) -> Option<RecoveryOutput> {
        let output = self.recovery.poll_output();
        match &output {
            Some(output) => self.recorder.recovery_output(output),
            None => self.recorder.drained(),
        }
        output
    }

    fn handle(&mut self, id: OpId, result: DiskResult) {
        self.recorder.recovery_result(id, &result);
        self.recovery.handle(id, result);
    }

    fn is_done(&self) -> bool {
        self.recovery.is_done()
    }

    fn progress(&self) -> Progress {
        self.recovery.progress()
    }

    fn finish(self) -> Result<Broker, StartError> {
        self.recorder.started();
        self.recovery.finish()
    }
}

/// A broker that has in it what the data directory says. `on_progress` is called each second.
///
/// # Errors
/// When the data directory cannot be used.
///
/// # Panics
/// Outside of a [`runtime`](crate::runtime).
pub async fn recover(
    mut disk: Disk,
    config: Config,
    boot: Boot,
    recorder: &mut Recorder,
    on_progress: impl FnMut(Progress),
) -> Result<(Broker, Disk), StartError> {
    let mut recorded = Recorded { recovery: Recovery::new(config, boot), recorder };
    drive(&mut recorded, &mut disk, on_progress).await;
    Ok((recorded.finish()?, disk))
}

/// Carries out what the machine wants until it is done and nothing is under way any more.
/// `on_progress` is called each second.
///
/// # Panics
/// When the machine is not done and waits for nothing, and outside of a
/// [`runtime`](crate::runtime).
pub async fn drive(
    machine: &mut impl DiskMachine,
    disk: &mut Disk,
    mut on_progress: impl FnMut(Progress),
) {
    let mut under_way = 0;
    let mut results = Vec::new();
    let mut next_report = Instant::now() + PROGRESS_INTERVAL;
    loop {
        while let Some(output) = machine.poll_output() {
            match output {
                RecoveryOutput::Disk(request) => {
                    under_way += 1;
                    disk.submit(request);
                }
                RecoveryOutput::Note(text) => warn!("{text}"),
            }
        }
        if under_way == 0 {
            assert!(machine.is_done(), "what is not done waits for the disk");
            return;
        }
        if timeout_at(next_report, disk.results(&mut results)).await.is_err() {
            on_progress(machine.progress());
            next_report += PROGRESS_INTERVAL;
        }
        for result in results.drain(..) {
            if let Input::Disk(id, result) = result {
                under_way -= 1;
                machine.handle(id, result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;
    use warren_core::{DiskOp, DiskRequest, FileId, Lane};

    use super::*;

    #[test]
    fn a_machine_gets_what_it_asks_for_until_it_is_done() {
        let dir = TempDir::new().expect("a temporary directory");
        let mut disk = Disk::open(dir.path()).expect("is free");
        let mut machine = Copier { len: 100_000, ..Copier::default() };
        crate::runtime()
            .expect("a runtime")
            .block_on(drive(&mut machine, &mut disk, |progress| panic!("slow: {progress:?}")));
        assert_eq!(machine.finish(), Ok(vec![b'x'; 100_000]));
    }

    /// Writes a file byte by byte, and reads it again.
    #[derive(Default)]
    struct Copier {
        len: u64,
        asked: u64,
        answered: u64,
        read: Vec<u8>,
    }

    impl DiskMachine for Copier {
        type Outcome = Vec<u8>;

        fn poll_output(&mut self) -> Option<RecoveryOutput> {
            let file = FileId::Segment(0);
            let len = u32::try_from(self.len).expect("is small");
            let op = match self.asked {
                0 => DiskOp::Create { file, len: 0 },
                n if n <= self.len => {
                    let data = vec![Bytes::from_static(b"x")];
                    DiskOp::Write { file, offset: n - 1, data }
                }
                n if n == self.len + 1 && self.answered == n => {
                    DiskOp::Read { file, offset: 0, len }
                }
                _ => return None,
            };
            self.asked += 1;
            let request = DiskRequest { id: OpId(self.asked), lane: Lane::Background, op };
            Some(RecoveryOutput::Disk(request))
        }

        fn handle(&mut self, id: OpId, result: DiskResult) {
            self.answered += 1;
            assert_eq!(id, OpId(self.answered));
            match result {
                DiskResult::Done => (),
                DiskResult::Data(data) => self.read = data.into(),
                other => panic!("{other:?}"),
            }
        }

        fn is_done(&self) -> bool {
            self.answered == self.len + 2
        }

        fn progress(&self) -> Progress {
            Progress { read: self.answered, total: self.len }
        }

        fn finish(self) -> Result<Vec<u8>, StartError> {
            Ok(self.read)
        }
    }
}
