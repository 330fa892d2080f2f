//! Deduplication: exchanges and queues that remember what a header of the last messages said which
//! they let through, and take a message that says the same for one that came already.
//!
//! A value is remembered as its fingerprint, so that a value of many kilobytes takes no more memory
//! than another. Values have numbers in the order in which they came, and go in that order: a
//! memory for 128 has the last 128 that came, whatever became of them in between.
//!
//! What is remembered is worth as much as the message that it is of. Where the log has the message,
//! it gets the value in the same batch. A value whose message is lost with the process is lost with
//! it too, and a message that is to be kept is no duplicate of one that is not.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::arguments::EXPIRATION_MAX;
use crate::amqp::{FieldTable, FieldValue};
use crate::hash::{self, Index};
use crate::log::{BatchNumber, SeenValue};

/// The argument that asks for deduplication, and what the others are called.
pub(crate) const DEDUPLICATION: &str = "x-message-deduplication";
pub(crate) const SIZE: &str = "x-cache-size";
pub(crate) const TTL: &str = "x-cache-ttl";
pub(crate) const HEADER: &str = "x-deduplication-header";

/// How many values are remembered where the arguments do not say: as many as `LavinMQ` remembers.
const SIZE_DEFAULT: usize = 128;

/// How many values may be remembered: they stand in memory, and in every checkpoint.
pub(crate) const SIZE_MAX: usize = 1_000_000;

/// Until when a value is remembered that has no end.
const FOREVER: u64 = u64::MAX >> 1;

/// In the word that says until when a value is remembered: its message is in the log.
const KEPT: u64 = 1 << 63;

/// No more values than this are forgotten for being over with each one that comes.
const FORGOTTEN_AT_ONCE: usize = 2;

/// Which value a header has: 128 bits of SHA-256 over it. Two values with the same one would cost a
/// message, and nobody can find such; a client that does, with 2^64 tries, has lost its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint(pub(crate) [u8; 16]);

impl Fingerprint {
    /// That of a header's value; `None` for one that is void. Integers of all types are the same by
    /// value, anything else by type and value.
    fn of(value: &FieldValue) -> Option<Self> {
        let mut hash = Sha256::new();
        match value {
            FieldValue::Void => return None,
            FieldValue::LongStr(text) => {
                hash.update([0]);
                hash.update(text);
            }
            value => {
                let value = value.as_integer().map_or_else(|| value.clone(), FieldValue::I64);
                let mut bytes = BytesMut::new();
                FieldTable::new(alloc::vec![(Default::default(), value)]).write(&mut bytes);
                hash.update([1]);
                hash.update(&bytes);
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().map(Self)
    }
}

/// What a message says of itself, to an exchange or queue that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) value: Fingerprint,
    /// For how many milliseconds it is to be remembered, if not for ever.
    pub(crate) ttl: Option<u64>,
}

/// A value that is remembered.
#[derive(Clone, Copy, Debug)]
struct Entry {
    value: Fingerprint,
    /// Until when, and [`KEPT`].
    until: u64,
}

impl Entry {
    fn is_kept(self) -> bool {
        self.until & KEPT != 0
    }

    fn is_over(self, now_ms: u64) -> bool {
        let until = self.until & !KEPT;
        until != FOREVER && until <= now_ms
    }
}

/// What is found of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whether the log has the message that it is of.
    pub(crate) is_kept: bool,
    /// The batch that has it; 0 if that is durable, or there is none.
    pub(crate) gate: BatchNumber,
}

/// What came of remembering a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// As the log is to have it, if it has its message.
    pub(crate) seen: SeenValue,
    /// All before this number are forgotten.
    pub(crate) from: u64,
    /// Whether messages of some of those that were forgotten for it are in the log.
    pub(crate) has_forgotten_kept: bool,
}

/// What an exchange or a queue remembers.
#[derive(Debug)]
pub(crate) struct Seen {
    header: Bytes,
    ttl: Option<u64>,
    size: usize,
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The last entry of each value.
    index: Index,
    /// From which entry on they stand in which batch, of those that may not be durable yet.
    batches: VecDeque<(u64, BatchNumber)>,
}

impl Seen {
    /// Nothing yet, for an exchange or queue of these arguments, which were checked. `None` when
    /// they do not ask for it.
    pub(crate) fn new(arguments: &FieldTable, hash_seed: u64) -> Option<Box<Self>> {
        if !is_asked_for(arguments) {
            return None;
        }
        let number = |name| {
            let value = arguments.find(name).and_then(FieldValue::as_integer);
            value.and_then(|value| u64::try_from(value).ok())
        };
        let header = match arguments.find(HEADER) {
            Some(FieldValue::LongStr(name)) => Bytes::copy_from_slice(name),
            _ => Bytes::from_static(HEADER.as_bytes()),
        };
        let size = number(SIZE).and_then(|size| usize::try_from(size).ok());
        Some(Box::new(Self {
            header,
            ttl: number(TTL),
            size: size.unwrap_or(SIZE_DEFAULT).clamp(1, SIZE_MAX),
            first: 0,
            entries: VecDeque::new(),
            index: hash::index(hash_seed),
            batches: VecDeque::new(),
        }))
    }

    /// What a message with these headers says, if it says anything.
    pub(crate) fn sighting(&self, headers: &FieldTable) -> Option<Sighting> {
        let mut named = headers.iter().filter(|(name, _)| name.as_bytes() == &self.header[..]);
        let value = named.next().and_then(|(_, value)| Fingerprint::of(value))?;
        let ttl = headers.find(TTL).and_then(FieldValue::as_integer);
        let ttl = ttl.and_then(|millis| u64::try_from(millis).ok());
        Some(Sighting { value, ttl: ttl.map(|millis| millis.min(EXPIRATION_MAX)).or(self.ttl) })
    }

    /// What is known of a value at this time.
    pub(crate) fn find(&self, value: &Fingerprint, now_ms: u64) -> Option<Known> {
        let number = self.index.get(value, |number| self.value(number))?;
        let entry = *self.entry(number)?;
        let gate = || self.batches.iter().rev().find(|(first, _)| *first <= number);
        (!entry.is_over(now_ms)).then(|| Known {
            is_kept: entry.is_kept(),
            gate: if entry.is_kept() { gate().map_or(0, |(_, batch)| *batch) } else { 0 },
        })
    }

    /// Remembers a value until this time, if that is given. Its message is in that batch, if the
    /// log has it; all up to `durable` are.
    pub(crate) fn remember(
        &mut self,
        value: Fingerprint,
        until: Option<u64>,
        batch: Option<BatchNumber>,
        durable: BatchNumber,
        now_ms: u64,
    ) -> Remembered {
        let mut has_forgotten_kept = false;
        while self.entries.len() >= self.size {
            has_forgotten_kept |= self.forget_first();
        }
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.entries.front().is_some_and(|first| first.is_over(now_ms)) {
                has_forgotten_kept |= self.forget_first();
            }
        }
        while self.batches.front().is_some_and(|(_, batch)| *batch <= durable) {
            self.batches.pop_front();
        }
        let number = self.next();
        if let Some(batch) = batch
            && self.batches.back().is_none_or(|(_, last)| *last != batch)
        {
            self.batches.push_back((number, batch));
        }
        let until = until.map_or(FOREVER, |until| until.min(FOREVER - 1));
        let seen = SeenValue { number, until, value };
        let until = if batch.is_some() { until | KEPT } else { until };
        self.push(Entry { value, until });
        Remembered { seen, from: self.first, has_forgotten_kept }
    }

    /// What the log has of it, in order, and before which number all is forgotten.
    pub(crate) fn kept(&self) -> (u64, impl Iterator<Item = SeenValue> + '_) {
        let numbered = (self.first..).zip(&self.entries).filter(|(_, entry)| entry.is_kept());
        let kept = numbered.map(|(number, entry)| SeenValue {
            number,
            until: entry.until & !KEPT,
            value: entry.value,
        });
        (self.first, kept)
    }

    /// Remembers what a start found; the next value gets the number `next`.
    pub(crate) fn restore(&mut self, values: impl Iterator<Item = SeenValue>, next: u64) {
        // What came after those was lost, and takes its place like those that were not kept.
        let from = next.saturating_sub(self.size as u64);
        let mut values = values.skip_while(|value| value.number < from).peekable();
        self.first = values.peek().map_or(next, |first| first.number);
        for SeenValue { number, until, value } in values {
            while self.next() < number {
                self.entries.push_back(Entry { value: Fingerprint::default(), until: 0 });
            }
            self.push(Entry { value, until: until.min(FOREVER) | KEPT });
        }
    }

    /// The number of the next value.
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn value(&self, number: u64) -> Fingerprint {
        self.entry(number).map(|entry| entry.value).unwrap_or_default()
    }

    fn push(&mut self, entry: Entry) {
        let number = self.next();
        self.entries.push_back(entry);
        let (first, entries) = (self.first, &self.entries);
        let value = |number: u64| entries[(number - first) as usize].value;
        self.index.insert(entry.value, number, value);
    }

    /// Forgets the first entry; whether the log has it.
    fn forget_first(&mut self) -> bool {
        let Some(first) = self.entries.front().copied() else { return false };
        self.index.remove(&first.value, self.first);
        self.entries.pop_front();
        self.first += 1;
        first.is_kept()
    }
}

/// Whether these arguments ask for deduplication.
pub(crate) fn is_asked_for(arguments: &FieldTable) -> bool {
    arguments.find(DEDUPLICATION) == Some(&FieldValue::Bool(true))
}

#[cfg(test)]
mod tests;
