//! Decay: bytes that were written and synced, and read as others later.
//!
//! It lies over the files and changes nothing in them, so that it can be taken away again; what is
//! written anew is well. No broker can do more than notice it.

use std::collections::BTreeMap;
use std::ops::Range;

use fastrand::Rng;
use warren_core::FileId;

use super::image::{Image, Inode, SECTOR_LEN};

/// Rot of one place takes at most this many bytes.
const ROT_LEN_MAX: usize = 16;

/// A kind of decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decay {
    /// Some bytes next to each other have other bits.
    Rot,
    /// A sector is as it was before it was written last.
    Stale,
    /// The last write to a sector went to another place, in the same file or not.
    Misdirected,
}

impl Decay {
    /// The kind that a plan calls so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rot" => Self::Rot,
            "stale" => Self::Stale,
            "misdirected" => Self::Misdirected,
            _ => return None,
        })
    }

    /// How it is counted.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Rot => "rot",
            Self::Stale => "stale-sector",
            Self::Misdirected => "misdirected-write",
        }
    }
}

/// Bytes that are read in place of those that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay(BTreeMap<(Inode, usize), u8>);

impl Overlay {
    /// Puts the bytes in place of those at `offset` that are different.
    pub(super) fn spoil(&self, inode: Inode, offset: usize, bytes: &mut [u8]) {
        for ((_, at), byte) in self.0.range((inode, offset)..(inode, offset + bytes.len())) {
            bytes[at - offset] = *byte;
        }
    }

    /// These bytes are as they should be again.
    pub(super) fn renew(&mut self, inode: Inode, range: Range<usize>) {
        if self.0.is_empty() {
            return;
        }
        let spoiled = self.0.range((inode, range.start)..(inode, range.end));
        for place in spoiled.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.0.remove(&place);
        }
    }

    /// Keeps what is in these files.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Inode) -> bool) {
        self.0.retain(|(inode, _), _| is_kept(inode));
    }
}

impl Image {
    /// Something decays that was written. Where; `None` if there is nothing that can.
    pub(super) fn decay(&mut self, decay: Decay, rng: &mut Rng) -> Option<(FileId, Range<u64>)> {
        match decay {
            Decay::Rot => {
                let (name, len) = self.written(rng)?;
                // What was written last is what a start looks at most closely.
                let from = if rng.u32(0..3) == 0 { len.saturating_sub(2 * SECTOR_LEN) } else { 0 };
                let at = rng.usize(from..len);
                let mut bytes = self.read(name, at, rng.usize(1..=ROT_LEN_MAX).min(len - at))?;
                bytes.iter_mut().for_each(|byte| *byte ^= rng.u8(1..));
                self.lay_over(name, at, &bytes)
            }
            Decay::Stale => {
                let (name, sector) = self.rewritten(rng)?;
                self.make_stale(name, sector)
            }
            Decay::Misdirected => {
                let (name, sector) = self.rewritten(rng)?;
                let bytes = self.read(name, sector * SECTOR_LEN, SECTOR_LEN)?;
                let damage = self.make_stale(name, sector);
                let (elsewhere, len) = self.written(rng)?;
                let at = rng.usize(0..len) / SECTOR_LEN * SECTOR_LEN;
                let room = self.read(elsewhere, at, bytes.len())?.len();
                if (elsewhere, at) == (name, sector * SECTOR_LEN) {
                    return damage;
                }
                self.lay_over(elsewhere, at, &bytes[..room.min(bytes.len())]).or(damage)
            }
        }
    }

    /// Everything is as it was written.
    pub(crate) fn mend(&mut self) {
        self.overlay = Overlay::default();
    }

    /// What is not as it was written, in the files that there are.
    pub(crate) fn decayed(&self) -> Vec<(FileId, Range<u64>)> {
        let mut found: Vec<(FileId, Range<u64>)> = Vec::new();
        for (name, inode) in &self.directory {
            let len = self.files[inode].cache.len();
            for ((_, at), _) in self.overlay.0.range((*inode, 0)..(*inode, len)) {
                let at = *at as u64;
                match found.last_mut() {
                    Some((last, range)) if last == name && range.end == at => range.end += 1,
                    _ => found.push((*name, at..at + 1)),
                }
            }
        }
        found
    }

    /// A file that was written to, and how far.
    fn written(&self, rng: &mut Rng) -> Option<(FileId, usize)> {
        let len = |inode: &Inode| self.files[inode].written_to.min(self.files[inode].cache.len());
        let files = self.directory.iter().map(|(name, inode)| (*name, len(inode)));
        rng.choice(files.filter(|(_, len)| *len > 0).collect::<Vec<_>>())
    }

    /// A sector that held something else before, and where it is.
    fn rewritten(&self, rng: &mut Rng) -> Option<(FileId, usize)> {
        let sectors = self.directory.iter().flat_map(|(name, inode)| {
            self.files[inode].former.keys().map(move |sector| (*name, *sector))
        });
        rng.choice(sectors.collect::<Vec<_>>())
    }

    fn make_stale(&mut self, name: FileId, sector: usize) -> Option<(FileId, Range<u64>)> {
        let inode = self.directory.get(&name)?;
        let former = self.files[inode].former.get(&sector)?.clone();
        self.lay_over(name, sector * SECTOR_LEN, &former)
    }

    /// These bytes are read at this place from now on. Where they differ from what is there.
    fn lay_over(&mut self, name: FileId, at: usize, bytes: &[u8]) -> Option<(FileId, Range<u64>)> {
        let inode = *self.directory.get(&name)?;
        self.overlay.renew(inode, at..at + bytes.len());
        let there = self.read(name, at, bytes.len())?;
        let others =
            bytes.iter().zip(&there).enumerate().filter(|(_, (byte, there))| byte != there);
        let others: Vec<usize> = others.map(|(place, _)| at + place).collect();
        for place in &others {
            self.overlay.0.insert((inode, *place), bytes[place - at]);
        }
        let (first, last) = (*others.first()?, *others.last()?);
        Some((name, first as u64..last as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_core::DiskOp;

    use super::*;

    const FILE: FileId = FileId::Segment(1);
    const OTHER: FileId = FileId::Segment(2);

    fn apply(image: &mut Image, op: DiskOp) {
        assert_eq!(image.apply(&op), warren_core::DiskResult::Done);
    }

    fn write(image: &mut Image, file: FileId, byte: u8) {
        let data = vec![Bytes::from(vec![byte; 1024])];
        apply(image, DiskOp::Write { file, offset: 0, data });
        apply(image, DiskOp::Sync { file });
    }

    fn made() -> Image {
        let mut image = Image::default();
        for file in [FILE, OTHER] {
            apply(&mut image, DiskOp::Create { file, len: 2048 });
            write(&mut image, file, 1);
            write(&mut image, file, 2);
        }
        image
    }

    fn all(image: &Image) -> Vec<u8> {
        let bytes = [FILE, OTHER].map(|file| image.read(file, 0, 4096).expect("is there"));
        bytes.concat()
    }

    #[test]
    fn each_decay_changes_what_is_read_where_it_says_and_nowhere_else() {
        let well = all(&made());
        for decay in [Decay::Rot, Decay::Stale, Decay::Misdirected] {
            for seed in 0..50 {
                let mut image = made();
                image.decay(decay, &mut Rng::with_seed(seed)).expect("all was written");
                let damage = image.decayed();
                let is_spoiled = |place: usize| {
                    let (file, at) = ([FILE, OTHER][place / 2048], (place % 2048) as u64);
                    damage.iter().any(|(name, range)| *name == file && range.contains(&at))
                };
                for (place, (was, is)) in well.iter().zip(all(&image)).enumerate() {
                    assert_eq!(*was != is, is_spoiled(place), "{decay:?} {seed} at {place}");
                }
                image.mend();
                assert_eq!(all(&image), well);
            }
        }
    }

    #[test]
    fn what_is_written_anew_is_well() {
        let mut image = made();
        for seed in 0..50 {
            image.decay(Decay::Rot, &mut Rng::with_seed(seed));
        }
        for file in [FILE, OTHER] {
            write(&mut image, file, 3);
        }
        assert_eq!(image.decayed(), []);
        assert!(all(&image)[..1024].iter().all(|byte| *byte == 3));
    }

    #[test]
    fn a_stale_sector_has_what_it_had_before() {
        let mut image = made();
        image.decay(Decay::Stale, &mut Rng::with_seed(3)).expect("all was written twice");
        let stale: Vec<u8> = all(&image).into_iter().filter(|byte| *byte == 1).collect();
        assert_eq!(stale.len(), SECTOR_LEN);
    }
}
