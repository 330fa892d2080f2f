//! What is on the disk: the files as a process sees them, and what of them has reached the platter.
//!
//! Every sector of a file and every entry of the directory is either on the platter or only in the
//! operating system's cache. A process that dies leaves both as they are; when the power fails the
//! cache is gone, but for what happened to be written back. A write never damages bytes of its
//! sectors that it does not write: disks have promised as much for long, and the core relies on it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use warren_core::{DiskError, DiskOp, DiskResult, FileId};

use super::decay::Overlay;
use super::names::Names;

/// The unit that a disk writes as a whole, in bytes.
pub(super) const SECTOR_LEN: usize = 512;

/// A file's number, for as long as the run lasts: its name may be given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Inode(pub(super) usize);

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sectors of the cache that are to be written back.
    dirty: BTreeSet<usize>,
    /// What sectors of the platter held before they were written last.
    pub(super) former: BTreeMap<usize, Vec<u8>>,
    /// How far the file was ever written to, in bytes.
    pub(super) written_to: usize,
}

/// What a sync found when it began: only that is on the platter when it is done.
#[derive(Clone, Debug)]
pub(super) enum Snapshot {
    File { inode: Inode, sectors: Vec<usize>, len: usize },
    Directory(BTreeMap<FileId, Inode>),
}

/// What was only in the cache and is gone with the power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) sectors: u64,
    /// Files of which a later sector is there and an earlier one is not.
    pub(super) gaps: u64,
    /// Changes of the directory.
    pub(super) entries: u64,
    /// Changes of a file's length.
    pub(super) lengths: u64,
}

/// All files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(super) files: BTreeMap<Inode, File>,
    pub(super) directory: BTreeMap<FileId, Inode>,
    directory_on_platter: BTreeMap<FileId, Inode>,
    made: usize,
    names: Names,
    pub(super) overlay: Overlay,
}

impl Image {
    /// Carries an operation out at once. A sync covers what it found, see [`Self::snapshot`].
    pub(super) fn carry_out(&mut self, op: &DiskOp, snapshot: Option<Snapshot>) -> DiskResult {
        match op {
            DiskOp::Create { file, len } => self.create(*file, *len as usize),
            DiskOp::Write { file, offset, data } => {
                self.write(*file, *offset as usize, &data.concat())
            }
            DiskOp::Sync { .. } | DiskOp::SyncDir => {
                let Some(snapshot) = snapshot.or_else(|| self.snapshot(op)) else {
                    return missing(op);
                };
                self.write_back(snapshot);
                DiskResult::Done
            }
            DiskOp::Truncate { file, len } => {
                let Some(inode) = self.directory.get(file).copied() else { return missing(op) };
                if let Some(file) = self.files.get_mut(&inode) {
                    file.set_len(*len as usize);
                }
                self.overlay.renew(inode, *len as usize..usize::MAX);
                DiskResult::Done
            }
            // What is in the cache and not on the platter stays there: nobody gives that up.
            DiskOp::DropCache { .. } => DiskResult::Done,
            DiskOp::Delete { file } => {
                self.directory.remove(file);
                self.forget_files();
                DiskResult::Done
            }
            DiskOp::Read { file, offset, len } => {
                match self.read(*file, *offset as usize, *len as usize) {
                    Some(bytes) => DiskResult::Data(bytes.into()),
                    None => missing(op),
                }
            }
            DiskOp::List => DiskResult::Files(self.list()),
        }
    }

    /// Carries an operation out at once, whole.
    pub(crate) fn apply(&mut self, op: &DiskOp) -> DiskResult {
        self.carry_out(op, None)
    }

    /// What a sync that begins now covers.
    pub(super) fn snapshot(&self, op: &DiskOp) -> Option<Snapshot> {
        match op {
            DiskOp::Sync { file } => {
                let inode = *self.directory.get(file)?;
                let file = &self.files[&inode];
                let sectors = file.dirty.iter().copied().collect();
                Some(Snapshot::File { inode, sectors, len: file.cache.len() })
            }
            DiskOp::SyncDir => Some(Snapshot::Directory(self.directory.clone())),
            _ => None,
        }
    }

    /// A sync that failed: of what it was to write back, some is on the platter and all counts as
    /// written, as operating systems have it.
    pub(super) fn fail_sync(&mut self, snapshot: &Snapshot, rng: &mut fastrand::Rng) {
        let Snapshot::File { inode, sectors, .. } = snapshot else { return };
        let Some(file) = self.files.get_mut(inode) else { return };
        for sector in sectors {
            if file.dirty.remove(sector) && rng.bool() {
                file.write_back(*sector);
            }
        }
    }

    /// A write of which only the first `len` bytes were carried out.
    pub(super) fn write_part(&mut self, op: &DiskOp, len: usize) {
        let DiskOp::Write { file, offset, data } = op else { return };
        let data: Vec<u8> = data.iter().flatten().copied().take(len).collect();
        let _ = self.write(*file, *offset as usize, &data);
    }

    /// A write that the power failed under: of each of its sectors the old is there, or the new, or
    /// noise where the new should be.
    pub(super) fn tear(&mut self, op: &DiskOp, rng: &mut fastrand::Rng) {
        let DiskOp::Write { file, offset, data } = op else { return };
        let data: Vec<u8> = data.iter().flatten().copied().collect();
        let mut at = 0;
        while at < data.len() {
            let place = *offset as usize + at;
            let end = (at + SECTOR_LEN - place % SECTOR_LEN).min(data.len());
            match rng.u32(0..3) {
                0 => {}
                1 => {
                    let _ = self.write(*file, place, &data[at..end]);
                }
                _ => {
                    let noise: Vec<u8> = (at..end).map(|_| rng.u8(..)).collect();
                    let _ = self.write(*file, place, &noise);
                }
            }
            at = end;
        }
    }

    /// The power fails: of what is only in the cache, a part that `rng` chooses is kept.
    pub(super) fn lose_power(&mut self, rng: &mut fastrand::Rng) -> Losses {
        let mut losses = Losses::default();
        let names: BTreeSet<FileId> =
            self.directory.keys().chain(self.directory_on_platter.keys()).copied().collect();
        let kept = [0.0, 1.0, 0.5, rng.f32()][rng.usize(0..4)];
        let mut keeps = || rng.f32() < kept;
        let mut directory = BTreeMap::new();
        for name in names {
            let (new, old) = (self.directory.get(&name), self.directory_on_platter.get(&name));
            // An entry that was replaced may have got as far as being removed.
            let between = if new.is_some() && old.is_some() && new != old { None } else { old };
            let found = if keeps() {
                new
            } else if keeps() {
                between
            } else {
                old
            };
            losses.entries += u64::from(found != new);
            directory.extend(found.map(|inode| (name, *inode)));
        }
        for (inode, file) in &mut self.files {
            let len = if keeps() { file.cache.len() } else { file.platter.len() };
            losses.lengths += u64::from(len != file.cache.len());
            let (kept, lost): (BTreeSet<_>, BTreeSet<_>) =
                std::mem::take(&mut file.dirty).into_iter().partition(|_| keeps());
            losses.sectors += lost.len() as u64;
            losses.gaps += u64::from(!lost.is_empty() && lost.first() < kept.last());
            let longest = file.platter.len().max(len);
            file.platter.resize(longest, 0);
            kept.iter().for_each(|sector| file.write_back(*sector));
            file.platter.truncate(len);
            file.cache.clone_from(&file.platter);
            file.written_to = file.cache.len();
            // What was kept by chance is as safe as what was synced.
            self.names.scan_all(*inode, &file.platter);
        }
        self.directory.clone_from(&directory);
        self.directory_on_platter = directory;
        self.forget_files();
        losses
    }

    /// These bytes of a file as they are read, decay included; fewer where it ends.
    pub(super) fn read(&self, name: FileId, offset: usize, len: usize) -> Option<Vec<u8>> {
        let inode = self.directory.get(&name)?;
        let cache = &self.files[inode].cache;
        let from = offset.min(cache.len());
        let mut bytes = cache[from..from.saturating_add(len).min(cache.len())].to_vec();
        self.overlay.spoil(*inode, from, &mut bytes);
        Some(bytes)
    }

    /// Brings everything to the platter, also what a failed sync gave up: it may have been said of
    /// it before that it was synced.
    pub(super) fn sync_all(&mut self) {
        let inodes: Vec<Inode> = self.directory.values().copied().collect();
        for inode in inodes {
            let file = &self.files[&inode];
            let others = |sector: &usize| {
                let range = |bytes: &[u8]| {
                    let from = (sector * SECTOR_LEN).min(bytes.len());
                    bytes[from..(from + SECTOR_LEN).min(bytes.len())].to_vec()
                };
                file.dirty.contains(sector) || range(&file.cache) != range(&file.platter)
            };
            let sectors = (0..file.cache.len().div_ceil(SECTOR_LEN)).filter(others).collect();
            self.write_back(Snapshot::File { inode, sectors, len: file.cache.len() });
        }
        self.write_back(Snapshot::Directory(self.directory.clone()));
    }

    /// All bytes that files take.
    pub(crate) fn len(&self) -> u64 {
        self.directory.values().map(|inode| self.files[inode].cache.len() as u64).sum()
    }

    /// The files that are in one of the two images only, or have other contents.
    pub(super) fn others(&self, other: &Self) -> Vec<FileId> {
        let names: BTreeSet<FileId> =
            self.directory.keys().chain(other.directory.keys()).copied().collect();
        let is_other = |name: &FileId| match (self.file(*name), other.file(*name)) {
            (Some(one), Some(other)) => one.cache != other.cache,
            _ => true,
        };
        names.into_iter().filter(is_other).collect()
    }

    /// The files there are, with their lengths.
    pub(crate) fn list(&self) -> Vec<(FileId, u64)> {
        let len = |inode| self.files[inode].cache.len() as u64;
        self.directory.iter().map(|(name, inode)| (*name, len(inode))).collect()
    }

    /// How many bytes a write to this place adds to the file.
    pub(super) fn growth(&self, op: &DiskOp) -> usize {
        let DiskOp::Write { file, offset, data } = op else { return 0 };
        let end = *offset as usize + data.iter().map(Bytes::len).sum::<usize>();
        end.saturating_sub(self.file(*file).map_or(0, |file| file.cache.len()))
    }

    /// How far the file was ever written to; `None` if there is none.
    pub(super) fn written_to(&self, file: FileId) -> Option<u64> {
        self.file(file).map(|file| file.written_to as u64)
    }

    /// Whether a message of this number is in a file that is on the platter, in bytes that are.
    pub(crate) fn has_message(&self, serial: u64) -> bool {
        let mut files = self.names.files_of_message(serial);
        files.any(|inode| self.is_linked(inode))
    }

    /// How many times a name of the topology was ever found on the platter, and whether it still
    /// is there.
    pub(crate) fn count_name(&self, name: &str) -> (usize, bool) {
        let mut files = self.names.files_of_name(name);
        let count = files.clone().count();
        (count, files.any(|inode| self.is_linked(inode)))
    }

    fn is_linked(&self, inode: Inode) -> bool {
        self.directory_on_platter.values().any(|other| *other == inode)
    }

    fn file(&self, name: FileId) -> Option<&File> {
        self.files.get(self.directory.get(&name)?)
    }

    fn create(&mut self, name: FileId, len: usize) -> DiskResult {
        if self.directory.contains_key(&name) {
            return failed(format!("{name}: file exists"));
        }
        self.made += 1;
        let inode = Inode(self.made);
        self.directory.insert(name, inode);
        self.files.insert(inode, File { cache: vec![0; len], ..File::default() });
        DiskResult::Done
    }

    fn write(&mut self, name: FileId, offset: usize, data: &[u8]) -> DiskResult {
        let Some(inode) = self.directory.get(&name).copied() else {
            return failed(format!("{name}: no such file"));
        };
        if let Some(file) = self.files.get_mut(&inode) {
            file.write(offset, data);
        }
        self.overlay.renew(inode, offset..offset + data.len());
        DiskResult::Done
    }

    fn write_back(&mut self, snapshot: Snapshot) {
        match snapshot {
            Snapshot::File { inode, sectors, len } => {
                let Some(file) = self.files.get_mut(&inode) else { return };
                file.platter.resize(len, 0);
                for sector in &sectors {
                    file.dirty.remove(sector);
                    file.write_back(*sector);
                }
                self.names.scan(inode, &file.platter, &sectors);
            }
            Snapshot::Directory(directory) => {
                self.directory_on_platter = directory;
                self.forget_files();
            }
        }
    }

    /// Forgets files that have no name any more, neither in the cache nor on the platter.
    fn forget_files(&mut self) {
        let (cached, kept) = (&self.directory, &self.directory_on_platter);
        let named: BTreeSet<Inode> = cached.values().chain(kept.values()).copied().collect();
        self.files.retain(|inode, _| named.contains(inode));
        self.overlay.retain(|inode| named.contains(inode));
    }
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if end > self.cache.len() {
            self.set_len(end);
        }
        self.cache[offset..end].copy_from_slice(data);
        self.dirty.extend(offset / SECTOR_LEN..end.div_ceil(SECTOR_LEN));
        self.written_to = self.written_to.max(end);
    }

    /// New bytes are zero, and must be written back like others.
    fn set_len(&mut self, len: usize) {
        let old = self.cache.len();
        self.cache.resize(len, 0);
        self.dirty.extend(old / SECTOR_LEN..len.div_ceil(SECTOR_LEN));
        self.dirty.split_off(&len.div_ceil(SECTOR_LEN));
        self.written_to = self.written_to.min(len);
    }

    /// Copies a sector to the platter, as far as both reach.
    fn write_back(&mut self, sector: usize) {
        let from = sector * SECTOR_LEN;
        let to = (from + SECTOR_LEN).min(self.cache.len()).min(self.platter.len());
        if from < to {
            self.former.insert(sector, self.platter[from..to].to_vec());
            self.platter[from..to].copy_from_slice(&self.cache[from..to]);
        }
    }
}

fn failed(text: String) -> DiskResult {
    DiskResult::Failed(DiskError { is_full: false, text })
}

fn missing(op: &DiskOp) -> DiskResult {
    failed(format!("{op:?}: no such file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId::Segment(1);

    fn write(image: &mut Image, offset: u64, data: &[u8]) {
        let data = vec![Bytes::copy_from_slice(data)];
        let op = DiskOp::Write { file: FILE, offset, data };
        assert_eq!(image.carry_out(&op, None), DiskResult::Done);
    }

    fn carry_out(image: &mut Image, op: DiskOp) {
        assert_eq!(image.carry_out(&op, None), DiskResult::Done);
    }

    fn read(image: &mut Image) -> Option<Vec<u8>> {
        let op = DiskOp::Read { file: FILE, offset: 0, len: 1 << 20 };
        match image.carry_out(&op, None) {
            DiskResult::Data(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }

    fn made() -> Image {
        let mut image = Image::default();
        carry_out(&mut image, DiskOp::Create { file: FILE, len: 2048 });
        image
    }

    /// The file's contents after each of many ways in which the power can fail.
    fn after_power_loss(image: &Image) -> BTreeSet<Option<Vec<u8>>> {
        let lose = |seed| {
            let mut image = image.clone();
            image.lose_power(&mut fastrand::Rng::with_seed(seed));
            read(&mut image)
        };
        (0..200).map(lose).collect()
    }

    #[test]
    fn a_file_without_a_synced_directory_may_be_gone() {
        let mut image = made();
        write(&mut image, 0, b"text");
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        assert!(after_power_loss(&image).contains(&None));
        carry_out(&mut image, DiskOp::SyncDir);
        let found = after_power_loss(&image);
        assert_eq!(found.len(), 1);
        assert!(found.first().unwrap().as_ref().unwrap().starts_with(b"text"));
    }

    #[test]
    fn a_deleted_file_may_be_back_until_the_directory_is_synced() {
        let mut image = made();
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        carry_out(&mut image, DiskOp::Delete { file: FILE });
        assert_eq!(read(&mut image), None);
        assert_eq!(after_power_loss(&image).len(), 2);
        carry_out(&mut image, DiskOp::SyncDir);
        assert_eq!(after_power_loss(&image), BTreeSet::from([None]));
    }

    #[test]
    fn of_two_sectors_that_were_not_synced_either_may_be_kept_alone() {
        let mut image = made();
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        write(&mut image, 500, &[7; 100]);
        let found = after_power_loss(&image);
        let kept = |bytes: &Vec<u8>| (bytes[511] == 7, bytes[512] == 7);
        let kept: BTreeSet<_> = found.iter().flatten().map(kept).collect();
        assert_eq!(kept.len(), 4, "{kept:?}");
    }

    #[test]
    fn a_length_is_kept_by_a_sync_alone() {
        let mut image = made();
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        write(&mut image, 2040, &[7; 20]);
        let lens = |image: &Image| -> BTreeSet<usize> {
            after_power_loss(image).iter().flatten().map(Vec::len).collect()
        };
        assert_eq!(lens(&image), BTreeSet::from([2048, 2060]));
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        assert_eq!(lens(&image), BTreeSet::from([2060]));
        carry_out(&mut image, DiskOp::Truncate { file: FILE, len: 100 });
        assert_eq!(lens(&image), BTreeSet::from([100, 2060]));
    }

    #[test]
    fn what_a_failed_sync_left_behind_is_lost_though_the_next_one_succeeds() {
        let mut image = made();
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        write(&mut image, 0, &[7; 2048]);
        let sync = DiskOp::Sync { file: FILE };
        let snapshot = image.snapshot(&sync).unwrap();
        image.fail_sync(&snapshot, &mut fastrand::Rng::with_seed(1));
        carry_out(&mut image, sync);
        assert_eq!(read(&mut image), Some(vec![7; 2048]));
        let found = after_power_loss(&image);
        assert_eq!(found.len(), 1);
        assert!(found.first().unwrap().as_ref().unwrap().contains(&0));
    }

    #[test]
    fn a_sync_covers_what_was_there_when_it_began() {
        let mut image = made();
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        let sync = DiskOp::Sync { file: FILE };
        let snapshot = image.snapshot(&sync);
        write(&mut image, 0, &[7; 512]);
        image.carry_out(&sync, snapshot);
        assert_eq!(after_power_loss(&image).len(), 2);
    }

    #[test]
    fn a_torn_write_leaves_bytes_beside_it_alone() {
        let mut image = made();
        write(&mut image, 0, &[1; 2048]);
        let op = DiskOp::Write { file: FILE, offset: 600, data: vec![Bytes::from(vec![2; 700])] };
        let mut is_noisy = false;
        for seed in 0..20 {
            let mut image = image.clone();
            image.tear(&op, &mut fastrand::Rng::with_seed(seed));
            let bytes = read(&mut image).unwrap();
            assert!(bytes[..600].iter().chain(&bytes[1300..]).all(|byte| *byte == 1));
            is_noisy |= bytes[600..1300].iter().any(|byte| *byte > 2);
        }
        assert!(is_noisy);
    }

    #[test]
    fn a_file_that_was_cut_and_written_again_is_what_was_written() {
        let mut image = made();
        write(&mut image, 0, &[7; 2048]);
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        carry_out(&mut image, DiskOp::SyncDir);
        carry_out(&mut image, DiskOp::Truncate { file: FILE, len: 100 });
        write(&mut image, 1500, &[8; 10]);
        carry_out(&mut image, DiskOp::Sync { file: FILE });
        let found = after_power_loss(&image);
        assert_eq!(found, BTreeSet::from([read(&mut image)]));
        let bytes = read(&mut image).unwrap();
        assert_eq!((bytes[99], bytes[100], bytes[1500], bytes.len()), (7, 0, 8, 1510));
    }

    #[test]
    fn a_message_that_the_power_left_by_chance_is_on_the_platter() {
        let mut image = made();
        carry_out(&mut image, DiskOp::SyncDir);
        write(&mut image, 600, b"\x03m42");
        assert!(!image.has_message(42));
        let is_left = |seed| {
            let mut image = image.clone();
            image.lose_power(&mut fastrand::Rng::with_seed(seed));
            let is_read = read(&mut image).is_some_and(|bytes| bytes.contains(&b'm'));
            assert_eq!(image.has_message(42), is_read);
            is_read
        };
        assert!((1..200).contains(&(0..200).filter(|seed| is_left(*seed)).count()));
    }
}
