//! Headers and checksums, as `FORMAT.md` has them.
//!
//! Everything is checked when it is read: nothing here trusts a byte.

use bytes::{BufMut, BytesMut};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// The version of the format that this broker writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;

pub(crate) const SEGMENT_HEADER_LEN: usize = 64;
pub(crate) const BATCH_HEADER_LEN: usize = 40;
pub(crate) const RECORD_HEADER_LEN: usize = 16;
pub(crate) const CHECKPOINT_HEADER_LEN: usize = 72;
pub(crate) const PART_HEADER_LEN: usize = 24;
pub(crate) const INDEX_ENTRY_LEN: usize = 16;
/// No broker comes to a higher number of a segment, a batch or a queue, or to a higher position in
/// a queue, however long it lives.
pub(crate) const NUMBER_MAX: u64 = crate::disk::FILE_NUMBER_MAX;
/// What a start would go on from is no higher: what is written until the next one can be read then.
pub(crate) const NUMBER_FREE_MAX: u64 = NUMBER_MAX - 1_000_000_000_000;
/// Instead of the number of its first batch: the segment holds copies of messages, and is never
/// replayed.
pub(crate) const COPY: u64 = u64::MAX;
/// Batches, and the index, begin at multiples of this many bytes.
pub(crate) const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"WARRENLG";
const CHECKPOINT_MAGIC: &[u8; 8] = b"WARRENCP";
pub(crate) const BATCH_MAGIC: &[u8; 4] = b"WBAT";
const PART_MAGIC: &[u8; 4] = b"WIDX";

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not whole.
    Damaged,
    /// It is of this version of the format, which is newer than this broker's.
    Newer(u32),
}

/// What the checksums of a segment are seeded with.
pub(crate) fn identity(node: u64, segment: u64) -> u64 {
    xxh3_64_with_seed(&segment.to_le_bytes(), node)
}

/// `len` up to the next multiple of [`ALIGNMENT`].
pub(crate) const fn aligned(len: u64) -> u64 {
    len.next_multiple_of(ALIGNMENT as u64)
}

/// The checksum of what stands at `offset` in a file: its header's checked bytes, then its body in
/// pieces.
pub(crate) fn checksum<'a>(
    identity: u64,
    offset: u64,
    head: &[u8],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> u64 {
    let mut hash = Xxh3::with_seed(identity.wrapping_add(offset));
    hash.update(head);
    pieces.into_iter().for_each(|piece| hash.update(piece));
    hash.digest()
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) epoch: u32,
    pub(crate) segment: u64,
    /// The number of its first batch, or [`COPY`].
    pub(crate) first: u64,
    /// What all checksums depend on: it is here too, so that a lost checkpoint is not all.
    pub(crate) node: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self, identity: u64, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(SEGMENT_MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(self.epoch);
        out.put_u64_le(self.segment);
        out.put_u64_le(self.first);
        out.put_u64_le(self.node);
        out.put_bytes(0, 16);
        let sum = xxh3_64_with_seed(&out[start..], identity);
        out.put_u64_le(sum);
    }

    /// Reads a header that must be this segment's.
    ///
    /// # Errors
    /// When it is not whole, or of a newer version.
    pub(crate) fn decode(bytes: &[u8], segment: u64, identity: u64) -> Result<Self, Unusable> {
        let bytes = bytes.get(..SEGMENT_HEADER_LEN).ok_or(Unusable::Damaged)?;
        check_header::<56>(bytes, SEGMENT_MAGIC, identity)?;
        let header = Self {
            epoch: u32_at(bytes, 12),
            segment: u64_at(bytes, 16),
            first: u64_at(bytes, 24),
            node: u64_at(bytes, 32),
        };
        let fits = header.segment == segment
            && (header.first <= NUMBER_MAX || header.first == COPY)
            && self::identity(header.node, segment) == identity;
        if fits { Ok(header) } else { Err(Unusable::Damaged) }
    }

    /// Reads this segment's header where the node id is not known.
    ///
    /// # Errors
    /// When it is not whole, or of a newer version.
    pub(crate) fn decode_alone(bytes: &[u8], segment: u64) -> Result<Self, Unusable> {
        let bytes = bytes.get(..SEGMENT_HEADER_LEN).ok_or(Unusable::Damaged)?;
        Self::decode(bytes, segment, self::identity(u64_at(bytes, 32), segment))
    }
}

/// What stands before the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Bytes of records, without padding.
    pub(crate) len: u32,
    pub(crate) number: u64,
    /// The last batch that was known to be durable when this one was written.
    pub(crate) durable: u64,
    pub(crate) epoch: u32,
    /// How many records there are.
    pub(crate) count: u32,
}

impl BatchHeader {
    /// The header's bytes where it is to stand at `offset`.
    pub(crate) fn encode(&self, identity: u64, offset: u64) -> [u8; BATCH_HEADER_LEN] {
        let mut bytes = [0; BATCH_HEADER_LEN];
        bytes[..4].copy_from_slice(BATCH_MAGIC);
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.count.to_le_bytes());
        let sum = xxh3_64_with_seed(&bytes[..32], identity.wrapping_add(offset));
        bytes[32..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header at `offset`; `None` when there is none that is whole.
    pub(crate) fn decode(bytes: &[u8], identity: u64, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER_LEN)?;
        if &bytes[..4] != BATCH_MAGIC {
            return None;
        }
        let sum = xxh3_64_with_seed(&bytes[..32], identity.wrapping_add(offset));
        let header = Self {
            len: u32_at(bytes, 4),
            number: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            epoch: u32_at(bytes, 24),
            count: u32_at(bytes, 28),
        };
        let is_whole = sum == u64_at(bytes, 32) && header.number.max(header.durable) <= NUMBER_MAX;
        is_whole.then_some(header)
    }

    /// Bytes from this header to where the next may begin.
    pub(crate) fn stride(&self) -> u64 {
        aligned(BATCH_HEADER_LEN as u64 + u64::from(self.len))
    }
}

/// What stands before the body of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// Of the whole record, header included, in bytes.
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    checksum: u64,
}

impl RecordHeader {
    /// The checked bytes of a header: what the checksum covers beside the body.
    fn head(len: u32, kind: u8, flags: u8) -> [u8; 8] {
        let len = len.to_le_bytes();
        [len[0], len[1], len[2], len[3], kind, flags, 0, 0]
    }

    /// Writes the header of a record that is in one piece, and has room for it before the body.
    pub(crate) fn complete(record: &mut [u8], kind: u8, flags: u8, identity: u64, offset: u64) {
        let head = Self::head(record.len() as u32, kind, flags);
        // As if it stood directly before the body: in one piece, the sum takes half the time.
        record[8..RECORD_HEADER_LEN].copy_from_slice(&head);
        let sum = xxh3_64_with_seed(&record[8..], identity.wrapping_add(offset));
        record[..8].copy_from_slice(&head);
        record[8..RECORD_HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
    }

    /// The header's bytes for a body in these pieces, where the record is to stand at `offset`.
    pub(crate) fn encode<'a>(
        kind: u8,
        flags: u8,
        identity: u64,
        offset: u64,
        body_len: usize,
        body: impl IntoIterator<Item = &'a [u8]>,
    ) -> [u8; RECORD_HEADER_LEN] {
        let head = Self::head((RECORD_HEADER_LEN + body_len) as u32, kind, flags);
        let mut bytes = [0; RECORD_HEADER_LEN];
        bytes[..8].copy_from_slice(&head);
        let sum = checksum(identity, offset, &head, body);
        bytes[8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header and body of the record at the start of `bytes`, which stands at `offset` in its
    /// file; `None` when it is not whole.
    pub(crate) fn decode(bytes: &[u8], identity: u64, offset: u64) -> Option<(Self, &[u8])> {
        let header = Self::peek(bytes)?;
        let body = bytes.get(RECORD_HEADER_LEN..header.len as usize)?;
        let is_whole = checksum(identity, offset, &bytes[..8], [body]) == header.checksum;
        is_whole.then_some((header, body))
    }

    /// The header alone, not checked.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER_LEN)?;
        Some(Self {
            len: u32_at(bytes, 0),
            kind: bytes[4],
            flags: bytes[5],
            checksum: u64_at(bytes, 8),
        })
    }
}

/// Appends a record with this body to `out`, which begins at `base` in its file.
pub(crate) fn put_record(
    out: &mut BytesMut,
    kind: u8,
    flags: u8,
    identity: u64,
    base: u64,
    write_body: impl FnOnce(&mut BytesMut),
) {
    let start = out.len();
    out.put_bytes(0, RECORD_HEADER_LEN);
    write_body(out);
    let body = &out[start + RECORD_HEADER_LEN..];
    let offset = base + start as u64;
    let header = RecordHeader::encode(kind, flags, identity, offset, body.len(), [body]);
    out[start..start + RECORD_HEADER_LEN].copy_from_slice(&header);
}

/// The first bytes of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointHeader {
    pub(crate) epoch: u32,
    pub(crate) node: u64,
    pub(crate) next_batch: u64,
    pub(crate) next_segment: u64,
    pub(crate) next_queue: u64,
    /// Bytes of records.
    pub(crate) len: u64,
    pub(crate) count: u64,
}

impl CheckpointHeader {
    pub(crate) fn encode(&self) -> [u8; CHECKPOINT_HEADER_LEN] {
        let mut bytes = [0; CHECKPOINT_HEADER_LEN];
        bytes[..8].copy_from_slice(CHECKPOINT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        let numbers =
            [self.node, self.next_batch, self.next_segment, self.next_queue, self.len, self.count];
        for (at, number) in numbers.into_iter().enumerate() {
            bytes[16 + 8 * at..24 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        let sum = xxh3_64_with_seed(&bytes[..64], 0);
        bytes[64..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// # Errors
    /// When it is not whole, or of a newer version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let bytes = bytes.get(..CHECKPOINT_HEADER_LEN).ok_or(Unusable::Damaged)?;
        check_header::<64>(bytes, CHECKPOINT_MAGIC, 0)?;
        let header = Self {
            epoch: u32_at(bytes, 12),
            node: u64_at(bytes, 16),
            next_batch: u64_at(bytes, 24),
            next_segment: u64_at(bytes, 32),
            next_queue: u64_at(bytes, 40),
            len: u64_at(bytes, 48),
            count: u64_at(bytes, 56),
        };
        let highest = header.next_batch.max(header.next_segment).max(header.next_queue);
        if highest <= NUMBER_MAX { Ok(header) } else { Err(Unusable::Damaged) }
    }
}

/// Where a message's record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) position: u64,
    /// Of the record in its segment.
    pub(crate) offset: u32,
    /// Of the whole record, in bytes.
    pub(crate) len: u32,
}

/// Appends the part of an index that belongs to `queue`, where `out` begins at `base` in its file.
/// `entries` are sorted by position.
pub(crate) fn put_part(
    out: &mut BytesMut,
    queue: u64,
    entries: &[IndexEntry],
    identity: u64,
    base: u64,
) {
    let start = out.len();
    out.put_slice(PART_MAGIC);
    out.put_u32_le(entries.len() as u32);
    out.put_u64_le(queue);
    out.put_u64_le(0);
    for entry in entries {
        out.put_u64_le(entry.position);
        out.put_u32_le(entry.offset);
        out.put_u32_le(entry.len);
    }
    let body = &out[start + PART_HEADER_LEN..];
    let sum = checksum(identity, base + start as u64, &out[start..start + 16], [body]);
    out[start + 16..start + PART_HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// How many entries the part of an index that begins here says it has; `None` when none begins
/// here.
pub(crate) fn part_count(bytes: &[u8]) -> Option<u32> {
    let head = bytes.get(..PART_HEADER_LEN)?;
    head.starts_with(PART_MAGIC).then(|| u32_at(head, 4))
}

/// How many bytes the part of an index with this many entries takes.
pub(crate) const fn part_len(count: u32) -> usize {
    PART_HEADER_LEN + count as usize * INDEX_ENTRY_LEN
}

/// The queue and the entries of the part at the start of `bytes`, which stands at `offset` in its
/// file; `None` when it is not whole, or no index of this file: entries are in the order of their
/// positions, and of records that stand before it.
pub(crate) fn decode_part(
    bytes: &[u8],
    identity: u64,
    offset: u64,
) -> Option<(u64, impl ExactSizeIterator<Item = IndexEntry> + Clone + '_)> {
    let head = bytes.get(..PART_HEADER_LEN)?;
    let body = bytes.get(PART_HEADER_LEN..part_len(u32_at(head, 4)))?;
    let is_whole = &head[..4] == PART_MAGIC
        && checksum(identity, offset, &head[..16], [body]) == u64_at(head, 16);
    let entry = |bytes: &[u8]| IndexEntry {
        position: u64_at(bytes, 0),
        offset: u32_at(bytes, 8),
        len: u32_at(bytes, 12),
    };
    let entries = body.chunks_exact(INDEX_ENTRY_LEN).map(entry);
    let is_of_file = |entry: IndexEntry| {
        entry.offset as usize >= SEGMENT_HEADER_LEN + BATCH_HEADER_LEN
            && entry.len as usize >= RECORD_HEADER_LEN
            && u64::from(entry.offset) + u64::from(entry.len) <= offset
    };
    let is_plausible = is_whole
        && entries.clone().is_sorted_by(|one, next| one.position < next.position)
        && entries.clone().all(is_of_file);
    is_plausible.then(|| (u64_at(head, 8), entries))
}

/// Checks magic, version and checksum of a header with this many checked bytes. The version comes
/// before the rest: a newer format may have moved its checksum.
fn check_header<const N: usize>(bytes: &[u8], magic: &[u8; 8], seed: u64) -> Result<(), Unusable> {
    let mut head: [u8; N] = bytes[..N].try_into().expect("as many bytes");
    let version = u32_at(&head, 8);
    // With the version that it should have: so one that is damaged is not taken for a newer one.
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let is_whole = xxh3_64_with_seed(&head, seed) == u64_at(bytes, N);
    match version {
        _ if &bytes[..8] != magic => Err(Unusable::Damaged),
        version if version > VERSION && !is_whole => Err(Unusable::Newer(version)),
        VERSION if is_whole => Ok(()),
        _ => Err(Unusable::Damaged),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
pub(super) mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Makes a header one of another version; `checked` bytes of it stand before its checksum.
    pub(crate) fn set_version(header: &mut [u8], version: u8, checked: usize, seed: u64) {
        header[8] = version;
        let sum = xxh3_64_with_seed(&header[..checked], seed);
        header[checked..checked + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Whether a reader notices each single flipped bit.
    fn notices_every_flip(bytes: &[u8], is_whole: impl Fn(&[u8]) -> bool) -> bool {
        let mut copy = bytes.to_vec();
        let mut notices = is_whole(&copy);
        for at in 0..copy.len() {
            for bit in 0..8 {
                copy[at] ^= 1 << bit;
                notices &= !is_whole(&copy);
                copy[at] ^= 1 << bit;
            }
        }
        notices
    }

    fn any_batch_header() -> impl Strategy<Value = BatchHeader> {
        let numbers = (any::<u32>(), 0..=NUMBER_MAX, 0..=NUMBER_MAX, any::<u32>(), any::<u32>());
        numbers.prop_map(|(len, number, durable, epoch, count)| BatchHeader {
            len,
            number,
            durable,
            epoch,
            count,
        })
    }

    #[test]
    fn numbers_that_no_broker_comes_to_are_damage() {
        for (number, is_whole) in [(NUMBER_MAX, true), (NUMBER_MAX + 1, false)] {
            let batch = BatchHeader { len: 0, number, durable: 0, epoch: 1, count: 0 };
            let bytes = batch.encode(7, 64);
            assert_eq!(BatchHeader::decode(&bytes, 7, 64).is_some(), is_whole);

            let segment = SegmentHeader { epoch: 1, segment: 3, first: number, node: 5 };
            let mut bytes = BytesMut::new();
            segment.encode(identity(5, 3), &mut bytes);
            assert_eq!(SegmentHeader::decode(&bytes, 3, identity(5, 3)).is_ok(), is_whole);

            let checkpoint = CheckpointHeader {
                epoch: 1,
                node: 5,
                next_batch: 1,
                next_segment: number,
                next_queue: 1,
                len: 0,
                count: 0,
            };
            assert_eq!(CheckpointHeader::decode(&checkpoint.encode()).is_ok(), is_whole);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_segment_header_reads_back_and_shows_damage(
            epoch: u32, segment: u64, first in 0..=NUMBER_MAX, node: u64,
        ) {
            let identity = identity(node, segment);
            let header = SegmentHeader { epoch, segment, first, node };
            let mut out = BytesMut::new();
            header.encode(identity, &mut out);
            prop_assert_eq!(out.len(), SEGMENT_HEADER_LEN);
            let decode = |bytes: &[u8]| SegmentHeader::decode(bytes, segment, identity);
            prop_assert_eq!(decode(&out), Ok(header));
            prop_assert!(notices_every_flip(&out, |bytes| decode(bytes).is_ok()));
            let alone = |bytes: &[u8]| SegmentHeader::decode_alone(bytes, segment);
            prop_assert_eq!(alone(&out), Ok(header));
            prop_assert!(notices_every_flip(&out, |bytes| alone(bytes).is_ok()));
            for len in 0..out.len() {
                prop_assert_eq!(decode(&out[..len]), Err(Unusable::Damaged));
                prop_assert_eq!(alone(&out[..len]), Err(Unusable::Damaged));
            }
            let other = identity.wrapping_add(1);
            let moved = SegmentHeader::decode(&out, segment, other);
            prop_assert_eq!(moved, Err(Unusable::Damaged));
        }

        #[test]
        fn a_batch_header_reads_back_and_shows_damage(
            header in any_batch_header(), identity: u64, offset: u64,
        ) {
            let bytes = header.encode(identity, offset);
            let decode = |bytes: &[u8]| BatchHeader::decode(bytes, identity, offset);
            prop_assert_eq!(decode(&bytes), Some(header));
            prop_assert!(notices_every_flip(&bytes, |bytes| decode(bytes).is_some()));
            for len in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..len]), None);
            }
            let elsewhere = BatchHeader::decode(&bytes, identity, offset.wrapping_add(8));
            prop_assert_eq!(elsewhere, None);
            prop_assert!(header.stride() % ALIGNMENT as u64 == 0);
            prop_assert!(header.stride() >= BATCH_HEADER_LEN as u64 + u64::from(header.len));
        }

        #[test]
        fn a_record_reads_back_and_shows_damage(
            kind: u8, flags: u8, identity: u64, base in 0..u64::MAX / 2,
            before in prop::collection::vec(any::<u8>(), 0..9),
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut out = BytesMut::from(&before[..]);
            put_record(&mut out, kind, flags, identity, base, |out| out.put_slice(&body));
            let offset = base + before.len() as u64;
            let record = &out[before.len()..];
            let decode = |bytes: &[u8]| RecordHeader::decode(bytes, identity, offset).is_some();
            let (header, read) = RecordHeader::decode(record, identity, offset).expect("whole");
            prop_assert_eq!((header.kind, header.flags, read), (kind, flags, &body[..]));
            prop_assert_eq!(header.len as usize, record.len());
            prop_assert!(notices_every_flip(record, decode));
            for len in 0..record.len() {
                prop_assert!(!decode(&record[..len]));
            }
            prop_assert!(RecordHeader::decode(record, identity, offset + 1).is_none());
        }

        #[test]
        fn a_checkpoint_header_reads_back_and_shows_damage(
            epoch: u32, node: u64, next in [0..=NUMBER_MAX, 0..=NUMBER_MAX, 0..=NUMBER_MAX],
            len: u64, count: u64,
        ) {
            let [next_batch, next_segment, next_queue] = next;
            let header =
                CheckpointHeader { epoch, node, next_batch, next_segment, next_queue, len, count };
            let bytes = header.encode();
            prop_assert_eq!(CheckpointHeader::decode(&bytes), Ok(header));
            prop_assert!(
                notices_every_flip(&bytes, |bytes| CheckpointHeader::decode(bytes).is_ok())
            );
            for len in 0..bytes.len() {
                let cut = CheckpointHeader::decode(&bytes[..len]);
                prop_assert_eq!(cut, Err(Unusable::Damaged));
            }
        }

        #[test]
        fn a_part_of_an_index_reads_back_and_shows_damage(
            queue: u64, identity: u64, base in 2000..u64::MAX / 2,
            entries in prop::collection::btree_map(
                any::<u64>(), (104..1000_u32, 16..1000_u32), 0..4,
            ),
        ) {
            let entry = |(position, (offset, len))| IndexEntry { position, offset, len };
            let entries: Vec<_> = entries.into_iter().map(entry).collect();
            let mut out = BytesMut::from(&b"before"[..]);
            put_part(&mut out, queue, &entries, identity, base);
            let (part, offset) = (&out[6..], base + 6);
            prop_assert_eq!(part.len(), part_len(entries.len() as u32));
            let decode = |bytes: &[u8]| {
                let part = decode_part(bytes, identity, offset);
                part.map(|(queue, entries)| (queue, entries.collect::<Vec<_>>()))
            };
            prop_assert_eq!(decode(part), Some((queue, entries)));
            prop_assert!(notices_every_flip(part, |bytes| decode(bytes).is_some()));
            for len in 0..part.len() {
                prop_assert_eq!(decode(&part[..len]), None);
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100), magic in 0..5_usize,
        ) {
            let magics: [&[u8]; 5] =
                [SEGMENT_MAGIC, CHECKPOINT_MAGIC, BATCH_MAGIC, PART_MAGIC, b""];
            let bytes = [magics[magic], &bytes].concat();
            let _ = SegmentHeader::decode(&bytes, 0, 0);
            let _ = BatchHeader::decode(&bytes, 0, 0);
            let _ = RecordHeader::decode(&bytes, 0, 0);
            let _ = CheckpointHeader::decode(&bytes);
            let _ = decode_part(&bytes, 0, 0).map(|(_, entries)| entries.count());
        }
    }

    #[test]
    fn a_part_of_what_cannot_be_in_the_file_is_none() {
        let is_read = |entries: [(u64, u32, u32); 2]| {
            let entry = |(position, offset, len)| IndexEntry { position, offset, len };
            let mut out = BytesMut::new();
            put_part(&mut out, 5, &entries.map(entry), 7, 400);
            decode_part(&out, 7, 400).is_some()
        };
        assert!(is_read([(1, 200, 200), (2, 104, 16)]));
        assert!(!is_read([(1, 200, 200), (1, 104, 16)]), "of one position twice");
        assert!(!is_read([(2, 200, 200), (1, 104, 16)]), "not in order");
        assert!(!is_read([(1, 200, 201), (2, 104, 16)]), "into the index");
        assert!(!is_read([(1, u32::MAX, u32::MAX), (2, 104, 16)]), "behind the index");
        assert!(!is_read([(1, 200, 200), (2, 104, 15)]), "shorter than any record");
        assert!(!is_read([(1, 200, 200), (2, 96, 20)]), "in a header");
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let header = CheckpointHeader {
            epoch: 1,
            node: 2,
            next_batch: 3,
            next_segment: 4,
            next_queue: 5,
            len: 6,
            count: 7,
        };
        let mut bytes = header.encode();
        set_version(&mut bytes, 2, 64, 0);
        assert_eq!(CheckpointHeader::decode(&bytes), Err(Unusable::Newer(2)));
        set_version(&mut bytes, 0, 64, 0);
        assert_eq!(CheckpointHeader::decode(&bytes), Err(Unusable::Damaged));
        set_version(&mut bytes, 1, 64, 0);
        bytes[8] = 2;
        assert_eq!(CheckpointHeader::decode(&bytes), Err(Unusable::Damaged));
        let mut out = BytesMut::new();
        let identity = identity(9, 2);
        SegmentHeader { epoch: 1, segment: 2, first: 3, node: 9 }.encode(identity, &mut out);
        set_version(&mut out, 3, 56, identity);
        assert_eq!(SegmentHeader::decode(&out, 2, identity), Err(Unusable::Newer(3)));
    }
}
