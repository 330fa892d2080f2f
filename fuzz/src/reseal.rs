//! Mutations of data directories that leave their checksums right.
//!
//! A random change to a file is found by a checksum, and nothing behind that would ever be tried.
//! So most mutations here take a file apart as `FORMAT.md` has it, change a number, a record or the
//! order of records, and give everything its length, its count and its checksum again.

use libfuzzer_sys::fuzzer_mutate;
use warren_core::FileId;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::disk::Disk;
use crate::input::Random;

const SEGMENT_MAGIC: &[u8] = b"WARRENLG";
const CHECKPOINT_MAGIC: &[u8] = b"WARRENCP";
const BATCH_MAGIC: &[u8] = b"WBAT";
const PART_MAGIC: &[u8] = b"WIDX";
const SEGMENT_HEADER_LEN: usize = 64;
const CHECKPOINT_HEADER_LEN: usize = 72;
const BATCH_HEADER_LEN: usize = 40;
const RECORD_HEADER_LEN: usize = 16;
const PART_HEADER_LEN: usize = 24;
const ENTRY_LEN: usize = 16;
const ALIGNMENT: usize = 8;
/// The highest number that is read.
const NUMBER_MAX: u64 = 1_000_000_000_000_000_000;
/// Numbers that are more likely than others to be wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    7,
    64,
    255,
    u32::MAX as u64,
    NUMBER_MAX - 1_000_000_000_000,
    NUMBER_MAX,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];

/// A record: what stands in it, without length and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    kind: u8,
    flags: u8,
    body: Vec<u8>,
}

/// A batch: its header without length, count and checksum, and its records.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    /// Number, durable, epoch.
    head: [u8; 20],
    records: Vec<Record>,
}

/// A file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parts {
    Checkpoint {
        /// All of the header before length and count.
        head: Vec<u8>,
        records: Vec<Record>,
    },
    Segment {
        /// The header without its checksum.
        head: Vec<u8>,
        batches: Vec<Batch>,
        /// Parts of the index: the queue and the entries.
        index: Vec<Vec<u8>>,
        /// What is behind all that, or cannot be read.
        rest: Vec<u8>,
    },
    Other(Vec<u8>),
}

/// Mutates an input of the `recover` target in place; gives its new length.
pub fn mutate_disk(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    if size == 0 || random.below(8) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let mut disk = Disk::read(&data[..size]);
    let files: Vec<FileId> = disk.files.keys().copied().collect();
    let Some(file) = files.get(random.below(files.len())).copied() else {
        return fuzzer_mutate(data, size, size_max);
    };
    match random.below(8) {
        0 => drop(disk.files.remove(&file)),
        1 => {
            let bytes = disk.files.remove(&file).unwrap_or_default();
            disk.files.insert(renamed(file, &mut random), bytes);
        }
        2 => mutate_raw(disk.files.entry(file).or_default(), &mut random),
        _ => {
            let node = node(&disk);
            let bytes = disk.files.entry(file).or_default();
            let mut parts = Parts::read(bytes);
            parts.mutate(&mut random);
            *bytes = parts.write(file, node);
        }
    }
    let written = disk.write();
    let len = written.len().min(size_max);
    data[..len].copy_from_slice(&written[..len]);
    len
}

/// The same kind of file under another number.
fn renamed(file: FileId, random: &mut Random) -> FileId {
    let other = |number: u64| match random.clone().below(3) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        _ => NUMBERS[random.clone().below(70) % NUMBERS.len()],
    };
    match file {
        FileId::Segment(number) => FileId::Segment(other(number)),
        FileId::Checkpoint(number) => FileId::Checkpoint(other(number)),
    }
}

/// The fuzzer's own mutations; or the end is cut off.
fn mutate_raw(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len();
    if random.below(3) == 0 {
        return bytes.truncate(random.below(len));
    }
    bytes.resize(len + 64, 0);
    let len = fuzzer_mutate(bytes, len, len + 64);
    bytes.truncate(len);
}

/// The number on which all checksums depend.
fn node(disk: &Disk) -> u64 {
    let in_file = |(file, bytes): (&FileId, &Vec<u8>)| match file {
        FileId::Checkpoint(_) => u64_at(bytes, 16),
        FileId::Segment(_) => u64_at(bytes, 32),
    };
    disk.files.iter().rev().find_map(in_file).unwrap_or(0)
}

impl Parts {
    fn read(bytes: &[u8]) -> Self {
        if bytes.starts_with(CHECKPOINT_MAGIC) && bytes.len() >= CHECKPOINT_HEADER_LEN {
            let (head, records) = bytes.split_at(CHECKPOINT_HEADER_LEN);
            return Self::Checkpoint { head: head[..48].to_vec(), records: records_of(records).0 };
        }
        if !bytes.starts_with(SEGMENT_MAGIC) || bytes.len() < SEGMENT_HEADER_LEN {
            return Self::Other(bytes.to_vec());
        }
        let head = bytes[..SEGMENT_HEADER_LEN - 8].to_vec();
        let (mut batches, mut index) = (Vec::new(), Vec::new());
        let mut at = SEGMENT_HEADER_LEN;
        while let Some((batch, len)) = batch_of(&bytes[at..]) {
            batches.push(batch);
            at = bytes.len().min(at + len);
        }
        while let Some(len) = part_len(&bytes[at..]) {
            index.push(
                bytes[at + 8..at + 16].iter().chain(&bytes[at + 24..at + len]).copied().collect(),
            );
            at += len;
        }
        Self::Segment { head, batches, index, rest: bytes[at..].to_vec() }
    }

    fn write(&self, file: FileId, node: u64) -> Vec<u8> {
        match (self, file) {
            (Self::Checkpoint { head, records }, _) => {
                let node = u64_at(head, 16).unwrap_or(node);
                let mut bytes = head.clone();
                bytes.resize(CHECKPOINT_HEADER_LEN, 0);
                records.iter().for_each(|record| record.write(&mut bytes, node));
                let len = (bytes.len() - CHECKPOINT_HEADER_LEN) as u64;
                bytes[48..56].copy_from_slice(&len.to_le_bytes());
                bytes[56..64].copy_from_slice(&(records.len() as u64).to_le_bytes());
                let sum = xxh3_64_with_seed(&bytes[..64], 0);
                bytes[64..72].copy_from_slice(&sum.to_le_bytes());
                bytes
            }
            (Self::Segment { head, batches, index, rest }, FileId::Segment(number)) => {
                let node = u64_at(head, 32).unwrap_or(node);
                let identity = xxh3_64_with_seed(&number.to_le_bytes(), node);
                let mut bytes = head.clone();
                bytes.extend_from_slice(&xxh3_64_with_seed(head, identity).to_le_bytes());
                batches.iter().for_each(|batch| batch.write(&mut bytes, identity));
                index.iter().for_each(|part| write_part(part, &mut bytes, identity));
                bytes.extend_from_slice(rest);
                bytes
            }
            (Self::Segment { rest: bytes, .. }, FileId::Checkpoint(_))
            | (Self::Other(bytes), _) => bytes.clone(),
        }
    }

    fn mutate(&mut self, random: &mut Random) {
        match self {
            Self::Checkpoint { head, records } => match random.below(4) {
                0 => set_number(&mut head[12..], random),
                _ => mutate_records(records, random),
            },
            Self::Segment { head, batches, index, rest } => {
                let at = random.below(batches.len());
                match random.below(10) {
                    0 => set_number(&mut head[12..], random),
                    1 if !index.is_empty() => {
                        let at = random.below(index.len());
                        set_number(&mut index[at], random);
                    }
                    2 if !index.is_empty() => drop(index.remove(random.below(index.len()))),
                    3 => rest.truncate(random.below(rest.len())),
                    _ if batches.is_empty() => {}
                    4 => drop(batches.remove(at)),
                    5 => batches.insert(at, batches[at].clone()),
                    6 => set_number(&mut batches[at].head, random),
                    _ => mutate_records(&mut batches[at].records, random),
                }
            }
            Self::Other(bytes) => mutate_raw(bytes, random),
        }
    }
}

fn mutate_records(records: &mut Vec<Record>, random: &mut Random) {
    let at = random.below(records.len());
    match random.below(8) {
        _ if records.is_empty() => records.push(Record { kind: 1, flags: 0, body: vec![0; 40] }),
        0 => drop(records.remove(at)),
        1 => records.insert(at, records[at].clone()),
        2 => {
            let other = random.below(records.len());
            records.swap(at, other);
        }
        3 => records[at].kind = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18][random.below(14)],
        4 => records[at].flags = random.below(8) as u8,
        5 => mutate_raw(&mut records[at].body, random),
        _ => set_number(&mut records[at].body, random),
    }
}

/// Puts a number in place of one that may stand there, or a little more or less.
fn set_number(bytes: &mut [u8], random: &mut Random) {
    let width = [1, 4, 8][random.below(3)];
    if bytes.len() < width {
        return;
    }
    let at = random.below(bytes.len() - width + 1);
    let field = &mut bytes[at..at + width];
    let mut octets = [0; 8];
    octets[..width].copy_from_slice(field);
    let number = u64::from_le_bytes(octets);
    let number = match random.below(3) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        _ => NUMBERS[random.below(NUMBERS.len())],
    };
    field.copy_from_slice(&number.to_le_bytes()[..width]);
}

impl Record {
    fn write(&self, out: &mut Vec<u8>, identity: u64) {
        let offset = out.len() as u64;
        let len = (RECORD_HEADER_LEN + self.body.len()) as u32;
        let mut head = len.to_le_bytes().to_vec();
        head.extend_from_slice(&[self.kind, self.flags, 0, 0]);
        let sum = checksum(identity.wrapping_add(offset), &head, &self.body);
        out.extend_from_slice(&head);
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&self.body);
    }
}

impl Batch {
    fn write(&self, out: &mut Vec<u8>, identity: u64) {
        let start = out.len();
        out.resize(start + BATCH_HEADER_LEN, 0);
        self.records.iter().for_each(|record| record.write(out, identity));
        let len = (out.len() - start - BATCH_HEADER_LEN) as u32;
        let header = &mut out[start..start + BATCH_HEADER_LEN];
        header[..4].copy_from_slice(BATCH_MAGIC);
        header[4..8].copy_from_slice(&len.to_le_bytes());
        header[8..28].copy_from_slice(&self.head);
        header[28..32].copy_from_slice(&(self.records.len() as u32).to_le_bytes());
        let sum = xxh3_64_with_seed(&header[..32], identity.wrapping_add(start as u64));
        header[32..].copy_from_slice(&sum.to_le_bytes());
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// A part of an index; its queue and its entries are `part`.
fn write_part(part: &[u8], out: &mut Vec<u8>, identity: u64) {
    let (Some(queue), Some(entries)) = (part.get(..8), part.get(8..)) else { return };
    let start = out.len() as u64;
    let count = (entries.len() / ENTRY_LEN) as u32;
    let mut head = PART_MAGIC.to_vec();
    head.extend_from_slice(&count.to_le_bytes());
    head.extend_from_slice(queue);
    let entries = &entries[..count as usize * ENTRY_LEN];
    let sum = checksum(identity.wrapping_add(start), &head, entries);
    out.extend_from_slice(&head);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(entries);
}

fn checksum(seed: u64, head: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::with_seed(seed);
    hash.update(head);
    hash.update(body);
    hash.digest()
}

/// The batch that begins here, and how long it is with its padding.
fn batch_of(bytes: &[u8]) -> Option<(Batch, usize)> {
    let header = bytes.get(..BATCH_HEADER_LEN)?;
    header.starts_with(BATCH_MAGIC).then_some(())?;
    let len = u32_at(bytes, 4)? as usize;
    let records = bytes.get(BATCH_HEADER_LEN..BATCH_HEADER_LEN.checked_add(len)?)?;
    let head = header[8..28].try_into().ok()?;
    let (records, _) = records_of(records);
    Some((Batch { head, records }, (BATCH_HEADER_LEN + len).next_multiple_of(ALIGNMENT)))
}

/// The records that stand here one behind the other, and how long they are.
fn records_of(bytes: &[u8]) -> (Vec<Record>, usize) {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(len) = u32_at(&bytes[at..], 0).map(|len| len as usize) {
        let Some(record) = bytes[at..].get(..len).filter(|r| r.len() >= RECORD_HEADER_LEN) else {
            break;
        };
        let body = record[RECORD_HEADER_LEN..].to_vec();
        records.push(Record { kind: record[4], flags: record[5], body });
        at += len;
    }
    (records, at)
}

/// How long the part of an index is that begins here.
fn part_len(bytes: &[u8]) -> Option<usize> {
    bytes.starts_with(PART_MAGIC).then_some(())?;
    let len = (u32_at(bytes, 4)? as usize).checked_mul(ENTRY_LEN)?.checked_add(PART_HEADER_LEN)?;
    (len <= bytes.len()).then_some(len)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok()
}
