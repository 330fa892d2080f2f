//! The simulated disk: carries requests out as an adapter does, each after its time, and fails in
//! the ways that a plan asks for.
//!
//! Requests of the lanes Log and Background are carried out in order, one after the other; those of
//! the lane Read each by itself. What a request does, it does when it is done. Nothing is drawn
//! while running but latencies, from the salt in the setup; faults follow from the plan's steps.

mod decay;
mod image;
mod journal;
mod names;
mod proof;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use fastrand::Rng;
use warren_core::{DiskError, DiskOp, DiskRequest, DiskResult, FileId, Lane, OpId};

pub(crate) use decay::Decay;
pub(crate) use image::Image;
use image::{Losses, Snapshot};
use journal::Journal;
use proof::Proofs;

use crate::judge::Remains;
use crate::plan::Setup;
use crate::tally::Tally;

const SECOND: u64 = 1_000_000_000;
/// What the operating system says is free when nothing is wrong, in bytes.
const FREE: u64 = 1 << 40;
/// How often it is asked, when there is enough and when there is not.
const REPORT_NS: (u64, u64) = (SECOND, SECOND / 10);
/// A slow disk takes this many times as long.
const SLOWNESS: u64 = 100;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It dies; what it wrote is with the operating system. The seed says how far requests came
    /// that were under way.
    Process(u64),
    /// The power fails; the seed says what of all that was not synced is kept, too.
    Power(u64),
}

/// A kind of operation that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// To write.
    Write,
    /// To sync a file.
    Sync,
    /// To read.
    Read,
    /// To make a file.
    Create,
    /// To set a file's length.
    Truncate,
    /// To remove a file.
    Delete,
    /// To sync the directory.
    SyncDir,
}

impl Failing {
    /// The kind that a plan calls so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "write" => Self::Write,
            "sync" => Self::Sync,
            "read" => Self::Read,
            "create" => Self::Create,
            "truncate" => Self::Truncate,
            "delete" => Self::Delete,
            "sync_dir" => Self::SyncDir,
            _ => return None,
        })
    }

    /// How it is counted.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Write => "eio-write",
            Self::Sync => "eio-sync",
            Self::Read => "eio-read",
            Self::Create => "eio-create",
            Self::Truncate => "eio-truncate",
            Self::Delete => "eio-delete",
            Self::SyncDir => "eio-sync-dir",
        }
    }

    fn is_of(self, op: &DiskOp) -> bool {
        match self {
            Self::Write => matches!(op, DiskOp::Write { .. }),
            Self::Sync => matches!(op, DiskOp::Sync { .. }),
            Self::Read => matches!(op, DiskOp::Read { .. }),
            Self::Create => matches!(op, DiskOp::Create { .. }),
            Self::Truncate => matches!(op, DiskOp::Truncate { .. }),
            Self::Delete => matches!(op, DiskOp::Delete { .. }),
            Self::SyncDir => matches!(op, DiskOp::SyncDir),
        }
    }
}

/// A lie: what is asked for is not done, and is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Sync,
    SyncDir,
    Delete,
    /// A sync that fails is said to be done.
    SyncError,
}

/// A request under way.
#[derive(Clone, Debug)]
struct Pending {
    request: DiskRequest,
    /// It was begun as the disk's so manieth; 0 before.
    number: u64,
    /// When it is done; `None` while others of its lane are before it.
    due: Option<u64>,
    /// What it covers, if it is a sync.
    snapshot: Option<Snapshot>,
}

/// What the disk did since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Results, in the order in which they came about.
    pub(crate) results: Vec<(OpId, DiskResult)>,
    /// Operations that were made to fail.
    pub(crate) failed: Vec<Failing>,
    /// Reads that gave bytes of another place.
    pub(crate) misread: u64,
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk {
    image: Image,
    log: VecDeque<Pending>,
    background: VecDeque<Pending>,
    reads: Vec<Pending>,
    rng: Rng,
    latency_us: u64,
    sync_us: u64,
    /// The process ends when this many more requests have begun.
    crash_at: Option<(u64, Crash)>,
    failing: Vec<(Failing, u64)>,
    slow_until: u64,
    stuck_until: u64,
    full_until: u64,
    /// The latest of these that ever was, and what was done late because of it.
    ailing_until: u64,
    report_at: u64,
    begun: u64,
    journal: Journal,
    tally: Tally,
    lie: Option<Lie>,
    proofs: Proofs,
    /// The next read gives bytes of another place, which this seed chooses.
    misreads: Option<u64>,
    /// Until then, syncs are said to be done and are not.
    lying_until: u64,
    /// Whether something counts as synced that is not.
    has_lied: bool,
    /// The files that are not as they were because the power failed then.
    lost: Vec<FileId>,
    /// Whether what is left of the log cannot be taken for granted, as long as no start has come to
    /// its end.
    is_in_doubt: bool,
    /// Until then, every other report says that hardly anything is free.
    flapping_until: u64,
    is_low: bool,
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            image: Image::default(),
            log: VecDeque::new(),
            background: VecDeque::new(),
            reads: Vec::new(),
            rng: Rng::with_seed(setup.disk_salt),
            latency_us: setup.disk_us,
            sync_us: setup.disk_sync_us,
            crash_at: None,
            failing: Vec::new(),
            slow_until: 0,
            stuck_until: 0,
            full_until: 0,
            ailing_until: 0,
            report_at: 0,
            begun: 0,
            journal: Journal::default(),
            tally: Tally::default(),
            lie: None,
            proofs: Proofs::default(),
            misreads: None,
            lying_until: 0,
            has_lied: false,
            lost: Vec::new(),
            is_in_doubt: false,
            flapping_until: 0,
            is_low: false,
        }
    }

    /// From now on it lies.
    pub(crate) fn lie(&mut self, lie: Lie) {
        self.lie = Some(lie);
    }

    /// Until then it says of what is to be synced that it is, and does nothing.
    pub(crate) fn lie_until(&mut self, until: u64) {
        self.lying_until = self.lying_until.max(until);
    }

    /// Whether its word that something is synced cannot be taken.
    pub(crate) fn has_lied(&self) -> bool {
        self.has_lied
    }

    /// The files of which it has lost something that it said was synced.
    pub(crate) fn lost(&self) -> &[FileId] {
        &self.lost
    }

    /// What it has lost makes no difference any more.
    pub(crate) fn forget_lost(&mut self) {
        self.lost.clear();
    }

    /// Something on it decays. Where; `None` if there is nothing that can.
    pub(crate) fn decay(&mut self, decay: Decay, seed: u64) -> Option<(FileId, Range<u64>)> {
        self.image.decay(decay, &mut Rng::with_seed(seed))
    }

    /// The next read gives bytes of another place.
    pub(crate) fn misread_next(&mut self, seed: u64) {
        self.misreads = Some(seed);
    }

    /// Decay is taken away, and what was said to be synced is. What is lost stays lost.
    pub(crate) fn mend(&mut self) {
        self.image.mend();
        self.misreads = None;
        self.lying_until = 0;
        if self.has_lied {
            self.image.sync_all();
            self.has_lied = false;
        }
    }

    /// Everything is gone; another, empty disk is in its place.
    pub(crate) fn lose_all(&mut self) {
        self.image = Image::default();
        self.proofs = Proofs::default();
        self.misreads = None;
        self.lost.clear();
        (self.has_lied, self.is_in_doubt) = (false, false);
    }

    /// A process is being started. What is left of the log, and whether more might have to be.
    pub(crate) fn begin_start(&mut self) -> (Remains, bool) {
        let remains = self.proofs.begin_start(&self.image);
        // A start that is cut off may have cut the log off where it was damaged.
        self.is_in_doubt |= !self.image.decayed().is_empty();
        (remains, self.is_in_doubt)
    }

    /// The length of the longest batch that was ever written, in bytes.
    pub(crate) fn batch_len_max(&self) -> u64 {
        self.proofs.batch_len_max()
    }

    /// A broker has found what is there and goes on from it.
    pub(crate) fn end_start(&mut self) {
        self.is_in_doubt = false;
        self.proofs.end_start();
    }

    /// Puts something else on it.
    pub(crate) fn replace(&mut self, image: Image) {
        self.image = image;
    }

    /// What befell it of itself, or because the power failed.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is on it.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// How many requests were ever begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// From now on it notes what it does, for the trace.
    pub(crate) fn keep_journal(&mut self) {
        self.journal.keep();
    }

    /// What it noted since this was asked last.
    pub(crate) fn take_journal(&mut self) -> Vec<String> {
        self.journal.take()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.log.is_empty() && self.background.is_empty() && self.reads.is_empty()
    }

    /// Until when faults keep, or kept, requests from being answered in time, or refuse them.
    pub(crate) fn ailing_until(&self) -> u64 {
        self.ailing_until
    }

    /// Whether there is no room.
    pub(crate) fn is_full(&self, now: u64) -> bool {
        now < self.full_until
    }

    /// The process is to end with the `count`th request from now on.
    pub(crate) fn crash_at(&mut self, count: u64, crash: Crash) {
        self.crash_at = Some((count.max(1), crash));
    }

    /// The next operation of this kind fails.
    pub(crate) fn fail_next(&mut self, failing: Failing, seed: u64) {
        self.failing.push((failing, seed));
    }

    /// Everything takes long until then.
    pub(crate) fn slow(&mut self, until: u64) {
        self.slow_until = self.slow_until.max(until);
        self.ailing_until = self.ailing_until.max(until);
    }

    /// Nothing is done until then.
    pub(crate) fn stick(&mut self, until: u64) {
        self.stuck_until = self.stuck_until.max(until);
        self.ailing_until = self.ailing_until.max(until);
    }

    /// There is no more room until then.
    pub(crate) fn fill(&mut self, until: u64) {
        self.full_until = self.full_until.max(until);
        // It takes a report until the broker knows that there is room again.
        self.ailing_until = self.ailing_until.max(until + REPORT_NS.0);
        self.report_at = 0;
    }

    /// Every other report says that hardly anything is free, until then.
    pub(crate) fn flap(&mut self, until: u64) {
        self.flapping_until = self.flapping_until.max(until);
        self.ailing_until = self.ailing_until.max(until + REPORT_NS.0);
    }

    /// Nobody hears of what it does until then.
    pub(crate) fn is_unheard(&mut self, until: u64) {
        self.ailing_until = self.ailing_until.max(until);
    }

    /// Faults off; what is lost stays lost.
    pub(crate) fn heal(&mut self) {
        self.crash_at = None;
        self.failing.clear();
        (self.slow_until, self.stuck_until, self.full_until) = (0, 0, 0);
        self.flapping_until = 0;
        self.report_at = 0;
        self.mend();
    }

    /// Takes a request. Says how the process ends, if it does so here.
    ///
    /// # Errors
    /// What a broker must not ask for.
    pub(crate) fn submit(
        &mut self,
        now: u64,
        request: DiskRequest,
        is_recovering: bool,
    ) -> Result<Option<Crash>, String> {
        self.check(&request, is_recovering)?;
        self.proofs.note(&request);
        let pending = Pending { number: 0, due: None, snapshot: None, request };
        match pending.request.lane {
            Lane::Log => self.log.push_back(pending),
            Lane::Background => self.background.push_back(pending),
            Lane::Read => self.reads.push(pending),
        }
        Ok(self.begin(now))
    }

    /// Does what is due by now. Says how the process ends, if it does so before the rest.
    pub(crate) fn advance(&mut self, now: u64) -> (Done, Option<Crash>) {
        let mut done = Done::default();
        while let Some((due, lane, at)) = self.next().filter(|(due, ..)| *due <= now) {
            let pending = match lane {
                Lane::Log => self.log.remove(at),
                Lane::Background => self.background.remove(at),
                Lane::Read => Some(self.reads.remove(at)),
            };
            let pending = pending.expect("a request that was found");
            let (id, number) = (pending.request.id, pending.number);
            if pending.due < Some(due) {
                self.tally.note("stuck-request");
            }
            let result = self.finish(due, pending, &mut done);
            self.journal.ends(number, &result);
            done.results.push((id, result));
            if let Some(crash) = self.begin(now.max(due)) {
                return (done, Some(crash));
            }
        }
        (done, None)
    }

    /// When the next request is done.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.next().map(|(due, ..)| due)
    }

    /// When free space is to be reported next.
    pub(crate) fn report_at(&self) -> u64 {
        self.report_at
    }

    /// How many bytes are free.
    pub(crate) fn report(&mut self, now: u64) -> u64 {
        self.is_low = now < self.flapping_until && !self.is_low;
        let is_low = self.is_low || self.is_full(now);
        self.report_at = now + if is_low { REPORT_NS.1 } else { REPORT_NS.0 };
        if is_low { 0 } else { FREE - self.image.len() }
    }

    /// The process ends: what was under way may be done, or not, or in part.
    pub(crate) fn crash(&mut self, crash: Crash) {
        let (Crash::Process(seed) | Crash::Power(seed)) = crash;
        let rng = &mut Rng::with_seed(seed);
        for lane in [&mut self.log, &mut self.background] {
            let carried_out = rng.usize(0..=lane.len());
            for (at, pending) in lane.drain(..).enumerate() {
                let op = &pending.request.op;
                let what = if at < carried_out {
                    self.image.carry_out(op, pending.snapshot);
                    "done"
                } else if at == carried_out && crash == Crash::Power(seed) {
                    self.image.tear(op, rng);
                    if matches!(op, DiskOp::Write { .. }) {
                        self.tally.note("torn-write");
                    }
                    "torn"
                } else if let (true, DiskOp::Write { data, .. }) = (at == carried_out, op) {
                    let len = data.iter().map(Bytes::len).sum::<usize>();
                    self.image.write_part(op, rng.usize(0..=len));
                    self.tally.note("short-write");
                    "done in part"
                } else {
                    "not done"
                };
                self.journal.breaks_off(pending.number, op, what);
            }
        }
        self.reads.clear();
        if crash == Crash::Power(seed) {
            let before = self.has_lied.then(|| self.image.clone());
            let losses = self.image.lose_power(rng);
            self.note_losses(losses);
            if let Some(before) = before {
                let lost = before.others(&self.image);
                self.tally.note_many("lost-after-lie", u64::from(!lost.is_empty()));
                self.lost.extend(lost);
                (self.has_lied, self.is_in_doubt) = (false, true);
            }
            self.lying_until = 0;
        }
        self.crash_at = None;
        self.report_at = 0;
    }

    fn note_losses(&mut self, Losses { sectors, gaps, entries, lengths }: Losses) {
        self.tally.note_many("lost-sector", sectors);
        self.tally.note_many("lost-with-gap", gaps);
        self.tally.note_many("lost-entry", entries);
        self.tally.note_many("lost-length", lengths);
    }

    /// What a broker may ask for: one batch at a time, and bytes that it wrote.
    fn check(&self, request: &DiskRequest, is_recovering: bool) -> Result<(), String> {
        if is_recovering {
            return Ok(());
        }
        if request.lane == Lane::Log {
            let is_write = |op: &DiskOp| matches!(op, DiskOp::Write { .. });
            let is_sync = |op: &DiskOp| matches!(op, DiskOp::Sync { .. });
            let is_both = |of: &dyn Fn(&DiskOp) -> bool| {
                of(&request.op) && self.log.iter().any(|pending| of(&pending.request.op))
            };
            if is_both(&is_write) || is_both(&is_sync) {
                return Err(format!("{:?} while another batch is under way", request.op));
            }
        }
        if let DiskOp::Read { file, offset, len } = &request.op {
            let end = offset + u64::from(*len);
            match self.image.written_to(*file) {
                Some(written_to) if end <= written_to => {}
                found => {
                    let text = format!("reads {file} from {offset} to {end}, written to {found:?}");
                    return Err(text);
                }
            }
        }
        Ok(())
    }

    /// Begins the first request of each lane, and all reads. Says how the process ends, if it does.
    fn begin(&mut self, now: u64) -> Option<Crash> {
        let heads = self.log.front_mut().into_iter().chain(self.background.front_mut());
        let waiting = heads.chain(&mut self.reads).filter(|pending| pending.due.is_none());
        for pending in waiting {
            let is_sync = matches!(pending.request.op, DiskOp::Sync { .. } | DiskOp::SyncDir);
            let us = if is_sync { self.sync_us } else { self.latency_us };
            let us = self.rng.u64(us / 2..=us + us / 2) + 1;
            let us = if now < self.slow_until { us * SLOWNESS } else { us };
            pending.due = Some(now + us * 1000);
            if now < self.slow_until {
                self.tally.note("slow-request");
                self.ailing_until = self.ailing_until.max(now + us * 1000);
            }
            pending.snapshot = self.image.snapshot(&pending.request.op);
            self.begun += 1;
            pending.number = self.begun;
            self.journal.begins(self.begun, &pending.request.op);
            if let Some((count, crash)) = &mut self.crash_at {
                *count -= 1;
                if *count == 0 {
                    return Some(*crash);
                }
            }
        }
        None
    }

    /// The request that is done next: when, in which lane, and at which place of it.
    fn next(&self) -> Option<(u64, Lane, usize)> {
        let heads = [(Lane::Log, self.log.front()), (Lane::Background, self.background.front())];
        let heads = heads.into_iter().filter_map(|(lane, head)| Some((head?.due?, lane, 0)));
        let reads = self.reads.iter().enumerate();
        let reads = reads.filter_map(|(at, read)| Some((read.due?, Lane::Read, at)));
        let (due, lane, at) = heads.chain(reads).min_by_key(|(due, ..)| *due)?;
        Some((due.max(self.stuck_until), lane, at))
    }

    fn finish(&mut self, now: u64, pending: Pending, done: &mut Done) -> DiskResult {
        let op = &pending.request.op;
        // Of a file that could not be made, there is nothing to sync.
        let is_missing = matches!(op, DiskOp::Sync { .. }) && self.image.snapshot(op).is_none();
        let hit = self.failing.iter().position(|(failing, _)| failing.is_of(op));
        if let Some(at) = hit.filter(|_| !is_missing) {
            let (failing, seed) = self.failing.remove(at);
            done.failed.push(failing);
            // The broker leaves it alone until it hears of it again.
            self.ailing_until = self.ailing_until.max(now + REPORT_NS.0);
            self.fail(&pending, &mut Rng::with_seed(seed));
            if failing == Failing::Sync && self.lie == Some(Lie::SyncError) {
                return DiskResult::Done;
            }
            return failed(false, "input/output error");
        }
        let is_lie = match self.lie {
            Some(Lie::Sync) => matches!(op, DiskOp::Sync { .. }),
            Some(Lie::SyncDir) => matches!(op, DiskOp::SyncDir),
            Some(Lie::Delete) => matches!(op, DiskOp::Delete { .. }),
            Some(Lie::SyncError) | None => false,
        };
        if is_lie {
            return DiskResult::Done;
        }
        if now < self.lying_until && matches!(op, DiskOp::Sync { .. } | DiskOp::SyncDir) {
            self.has_lied = true;
            self.tally.note("lying-sync");
            return DiskResult::Done;
        }
        if let DiskOp::Read { file, offset, len } = op
            && let Some(found) = self.image.read(*file, *offset as usize, *len as usize)
            && let Some(seed) = self.misreads.take()
        {
            done.misread += 1;
            return DiskResult::Data(self.elsewhere(found.len(), seed).into());
        }
        let wants_room = match op {
            DiskOp::Create { .. } => true,
            op => self.image.growth(op) > 0,
        };
        if wants_room && self.is_full(now) {
            self.tally.note("enospc");
            return failed(true, "no space left on device");
        }
        self.image.carry_out(op, pending.snapshot)
    }

    /// So many bytes from another place, which the seed chooses.
    fn elsewhere(&self, len: usize, seed: u64) -> Vec<u8> {
        let rng = &mut Rng::with_seed(seed);
        let (file, end) = rng.choice(self.image.list()).expect("there is what is to be read");
        let at = rng.usize(0..=end as usize) / image::SECTOR_LEN * image::SECTOR_LEN;
        let mut bytes = self.image.read(file, at, len).unwrap_or_default();
        bytes.resize(len, 0);
        bytes
    }

    /// What an operation leaves behind that fails.
    fn fail(&mut self, pending: &Pending, rng: &mut Rng) {
        match (&pending.request.op, &pending.snapshot) {
            (DiskOp::Sync { .. }, Some(snapshot)) => self.image.fail_sync(snapshot, rng),
            (op @ DiskOp::Write { data, .. }, _) => {
                let len = data.iter().map(Bytes::len).sum::<usize>();
                self.image.write_part(op, rng.usize(0..=len));
            }
            _ => {}
        }
    }
}

/// Which files there are, for a message about them.
pub(crate) fn names_of(files: &[(FileId, u64)]) -> String {
    let names: Vec<String> = files.iter().map(|(file, len)| format!("{file} ({len})")).collect();
    names.join(" ")
}

fn failed(is_full: bool, text: &str) -> DiskResult {
    DiskResult::Failed(DiskError { is_full, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId::Segment(7);

    fn disk() -> Disk {
        Disk::new(&Setup { disk_us: 10, disk_sync_us: 1000, ..Setup::default() })
    }

    fn request(id: u64, lane: Lane, op: DiskOp) -> DiskRequest {
        DiskRequest { id: OpId(id), lane, op }
    }

    fn write(id: u64, len: usize) -> DiskRequest {
        let data = vec![Bytes::from(vec![id as u8; len])];
        request(id, Lane::Log, DiskOp::Write { file: FILE, offset: 0, data })
    }

    fn submit(disk: &mut Disk, now: u64, request: DiskRequest) {
        assert_eq!(disk.submit(now, request, false), Ok(None));
    }

    /// Lets all that is under way be done; gives the ids in order.
    fn run(disk: &mut Disk) -> Vec<(u64, DiskResult)> {
        let mut results = Vec::new();
        while let Some(at) = disk.next_at() {
            let (done, crash) = disk.advance(at);
            assert_eq!(crash, None);
            results.extend(done.results.into_iter().map(|(id, result)| (id.0, result)));
        }
        results
    }

    #[test]
    fn each_lane_keeps_its_order_and_waits_for_no_other() {
        let mut disk = disk();
        let create = DiskOp::Create { file: FILE, len: 4096 };
        submit(&mut disk, 0, request(1, Lane::Background, create));
        run(&mut disk);
        submit(&mut disk, 0, write(2, 100));
        submit(&mut disk, 0, request(3, Lane::Log, DiskOp::Sync { file: FILE }));
        submit(&mut disk, 0, request(4, Lane::Background, DiskOp::List));
        submit(&mut disk, 0, request(5, Lane::Background, DiskOp::List));
        let ids: Vec<u64> = run(&mut disk).into_iter().map(|(id, _)| id).collect();
        let place = |id| ids.iter().position(|other| *other == id);
        assert!(place(2) < place(3) && place(4) < place(5) && place(5) < place(3), "{ids:?}");
    }

    #[test]
    fn a_second_batch_under_way_and_a_read_of_what_was_never_written_are_refused() {
        let mut disk = disk();
        let create = DiskOp::Create { file: FILE, len: 4096 };
        submit(&mut disk, 0, request(1, Lane::Background, create));
        run(&mut disk);
        submit(&mut disk, 0, write(2, 100));
        assert!(disk.submit(0, write(3, 100), false).is_err());
        run(&mut disk);
        let read = |len| DiskOp::Read { file: FILE, offset: 0, len };
        assert!(disk.submit(0, request(4, Lane::Read, read(101)), false).is_err());
        submit(&mut disk, 0, request(5, Lane::Read, read(100)));
        assert_eq!(run(&mut disk), [(5, DiskResult::Data(Bytes::from(vec![2; 100])))]);
    }

    #[test]
    fn the_process_ends_with_the_request_it_was_told() {
        let mut disk = disk();
        disk.crash_at(2, Crash::Process(1));
        let create = DiskOp::Create { file: FILE, len: 4096 };
        submit(&mut disk, 0, request(1, Lane::Background, create));
        submit(&mut disk, 0, request(2, Lane::Background, DiskOp::SyncDir));
        let (done, crash) = disk.advance(u64::MAX / 2);
        assert_eq!((done.results.len(), crash), (1, Some(Crash::Process(1))));
        disk.crash(Crash::Process(1));
        assert!(disk.is_idle());
        assert_eq!(disk.image().list(), [(FILE, 4096)]);
    }

    #[test]
    fn a_dead_process_leaves_a_prefix_of_its_writes() {
        let written: std::collections::BTreeSet<usize> = (0..50)
            .map(|seed| {
                let mut disk = disk();
                let create = DiskOp::Create { file: FILE, len: 4096 };
                submit(&mut disk, 0, request(1, Lane::Background, create));
                run(&mut disk);
                submit(&mut disk, 0, write(2, 100));
                disk.crash(Crash::Process(seed));
                let read = DiskOp::Read { file: FILE, offset: 0, len: 4096 };
                let DiskResult::Data(bytes) = disk.image.carry_out(&read, None) else {
                    panic!("the file is there");
                };
                let written = bytes.iter().take_while(|byte| **byte == 2).count();
                assert!(bytes[written..].iter().all(|byte| *byte == 0));
                written
            })
            .collect();
        assert!(written.contains(&100) && written.len() > 5, "{written:?}");
    }

    #[test]
    fn a_full_disk_takes_what_has_room_already() {
        let mut disk = disk();
        let create = |file| DiskOp::Create { file, len: 4096 };
        submit(&mut disk, 0, request(1, Lane::Background, create(FILE)));
        run(&mut disk);
        disk.fill(SECOND);
        assert_eq!(disk.report(0), 0);
        submit(&mut disk, 0, write(2, 4096));
        let (done, _) = disk.advance(SECOND / 2);
        assert_eq!(done.results[0].1, DiskResult::Done);
        submit(&mut disk, 0, write(3, 4097));
        submit(&mut disk, 0, request(4, Lane::Background, create(FileId::Segment(8))));
        let (done, _) = disk.advance(SECOND / 2);
        let is_full = |result: &DiskResult| {
            matches!(result, DiskResult::Failed(DiskError { is_full: true, .. }))
        };
        assert!(done.results.len() == 2 && done.results.iter().all(|(_, r)| is_full(r)));
        assert!(disk.report(SECOND) > 1 << 30);
    }

    #[test]
    fn a_stuck_disk_answers_when_it_is_free_again_and_a_slow_one_late() {
        let mut disk = disk();
        disk.stick(SECOND);
        submit(&mut disk, 0, request(1, Lane::Background, DiskOp::List));
        assert_eq!(disk.next_at(), Some(SECOND));
        run(&mut disk);
        disk.slow(2 * SECOND);
        submit(&mut disk, SECOND, request(2, Lane::Background, DiskOp::List));
        assert!(disk.next_at() > Some(SECOND + 500_000));
    }

    #[test]
    fn a_disk_that_lies_loses_with_the_power_what_it_said_was_synced() {
        let survivors = |is_lying: bool| {
            let survives = |seed: &u64| {
                let mut disk = disk();
                if is_lying {
                    disk.lie_until(SECOND);
                }
                let create = DiskOp::Create { file: FILE, len: 4096 };
                submit(&mut disk, 0, request(1, Lane::Background, create));
                submit(&mut disk, 0, request(2, Lane::Background, DiskOp::SyncDir));
                assert!(run(&mut disk).iter().all(|(_, result)| *result == DiskResult::Done));
                assert_eq!(disk.has_lied(), is_lying);
                disk.crash(Crash::Power(*seed));
                assert_eq!(disk.begin_start().1, is_lying);
                !disk.image().list().is_empty()
            };
            (0..20).filter(survives).count()
        };
        assert_eq!(survivors(false), 20);
        assert!((1..20).contains(&survivors(true)));
    }

    #[test]
    fn a_read_that_is_misdirected_is_so_once() {
        let mut disk = disk();
        let create = DiskOp::Create { file: FILE, len: 4096 };
        submit(&mut disk, 0, request(1, Lane::Background, create));
        run(&mut disk);
        submit(&mut disk, 0, write(2, 100));
        run(&mut disk);
        disk.misread_next(1);
        let read = DiskOp::Read { file: FILE, offset: 0, len: 100 };
        submit(&mut disk, 0, request(3, Lane::Read, read.clone()));
        submit(&mut disk, 0, request(4, Lane::Read, read));
        let well = DiskResult::Data(Bytes::from(vec![2; 100]));
        let results = run(&mut disk);
        assert_eq!(results.iter().filter(|(_, result)| *result == well).count(), 1);
    }

    #[test]
    fn space_that_flaps_is_short_in_every_other_report() {
        let mut disk = disk();
        disk.flap(SECOND);
        let reports: Vec<bool> = (0..6).map(|_| disk.report(0) == 0).collect();
        assert_eq!(reports, [true, false, true, false, true, false]);
        assert!(disk.report(SECOND) > 0);
    }

    #[test]
    fn the_next_operation_of_a_kind_fails_once() {
        let mut disk = disk();
        let create = DiskOp::Create { file: FILE, len: 4096 };
        disk.fail_next(Failing::Create, 1);
        submit(&mut disk, 0, request(1, Lane::Background, create.clone()));
        assert!(matches!(run(&mut disk)[0].1, DiskResult::Failed(_)));
        assert_eq!(disk.image().list(), []);
        submit(&mut disk, 0, request(2, Lane::Background, create));
        assert_eq!(run(&mut disk)[0].1, DiskResult::Done);
    }
}
