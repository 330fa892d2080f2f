//! How many bytes the bodies of a queue's messages have, as its limit counts them.
//!
//! The length of a message in memory is at hand, and goes with its entry to consumers and back. Of
//! those on disk only there is no more than the sum. So who leaves from among them without having
//! been read ([`Size::Owed`]) is counted until it is read, for which a queue with such a limit
//! waits. A queue without one does not: what it has on disk only is *uncounted* from then on, as it
//! is after a start that knows no sum. Should a limit come to it, it is read through once.

use core::ops::Range;

use super::queue::Entry;
use super::ready::Unwritten;

/// The length of a message's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Size {
    Known(u32),
    /// It has left from disk: the sums have it as one on disk only, until it is read.
    Owed,
    /// It has left from disk, and the sums do not have it.
    #[default]
    Uncounted,
}

impl Size {
    pub(crate) fn of(len: usize) -> Self {
        Self::Known(u32::try_from(len).unwrap_or(u32::MAX))
    }

    /// Its bytes; none as long as it is not known.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Known(len) => len.into(),
            Self::Owed | Self::Uncounted => 0,
        }
    }
}

/// A message that the sums are told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighed {
    pub(crate) position: u64,
    pub(crate) bytes: u64,
    /// Whether a start would find it.
    pub(crate) is_durable: bool,
}

impl Weighed {
    pub(crate) fn new(entry: &Entry) -> Self {
        let bytes = entry.size.bytes();
        Self { position: entry.position, bytes, is_durable: entry.is_durable() }
    }

    pub(crate) fn unwritten(message: Unwritten) -> Self {
        let Unwritten { position, is_volatile, size, .. } = message;
        Self { position, bytes: size.bytes(), is_durable: !is_volatile }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Weight {
    /// Of those that are ready, without the uncounted.
    ready: u64,
    /// Of those among them that are on disk only.
    paged: u64,
    paged_durable: u64,
    /// Of all that a start would find, wherever they are, without the uncounted.
    durable: u64,
    /// Those on disk only at these positions are uncounted.
    uncounted: Range<u64>,
    /// How many are owed.
    owed: u64,
}

impl Weight {
    /// Of a queue whose messages are all on disk, below this position: as many bytes, if that is
    /// known.
    pub(crate) fn on_disk(bytes: Option<u64>, below: u64) -> Self {
        let sum = bytes.unwrap_or(0);
        let uncounted = if bytes.is_some() { 0..0 } else { 0..below };
        Self { ready: sum, paged: sum, paged_durable: sum, durable: sum, uncounted, owed: 0 }
    }

    /// Of the ready messages that are counted: all of them, and maybe some that are owed.
    pub(crate) fn ready(&self) -> u64 {
        self.ready
    }

    /// Whether messages that have left are counted still.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed > 0
    }

    /// Of all that a start would find but for the uncounted.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// The first position from `from` on at which one on disk only is uncounted, if any may be.
    pub(crate) fn uncounted_from(&self, from: u64) -> Option<u64> {
        let first = self.uncounted.start.max(from);
        (first < self.uncounted.end).then_some(first)
    }

    /// Whether one on disk only at this position is counted.
    pub(crate) fn counts(&self, position: u64) -> bool {
        !self.uncounted.contains(&position)
    }

    /// One comes in.
    pub(crate) fn come(&mut self, bytes: u64, is_durable: bool) {
        self.ready += bytes;
        self.durable += if is_durable { bytes } else { 0 };
    }

    /// One that is ready is on disk only from now on.
    pub(crate) fn page(&mut self, message: Weighed) {
        let Weighed { position, bytes, is_durable } = message;
        let durable = if is_durable { bytes } else { 0 };
        if self.counts(position) {
            self.paged += bytes;
            self.paged_durable += durable;
        } else {
            take(&mut self.ready, bytes);
            take(&mut self.durable, durable);
        }
    }

    /// One that was on disk only is known, and ready.
    pub(crate) fn load(&mut self, message: Weighed) {
        let Weighed { position, bytes, is_durable } = message;
        let durable = if is_durable { bytes } else { 0 };
        if self.counts(position) {
            take(&mut self.paged, bytes);
            take(&mut self.paged_durable, durable);
        } else {
            self.ready += bytes;
            self.durable += durable;
        }
    }

    /// One that is known leaves the ready ones.
    pub(crate) fn leave(&mut self, bytes: u64) {
        take(&mut self.ready, bytes);
    }

    /// One that left is back.
    pub(crate) fn come_back(&mut self, bytes: u64) {
        self.ready += bytes;
    }

    /// One that a start would have found is done with.
    pub(crate) fn settle(&mut self, size: Size) {
        take(&mut self.durable, size.bytes());
    }

    /// One leaves from disk that nobody has read, and is going to be.
    pub(crate) fn owe(&mut self, position: u64) -> Size {
        if !self.counts(position) {
            return Size::Uncounted;
        }
        self.owed += 1;
        Size::Owed
    }

    /// One that left from disk is known now.
    pub(crate) fn repay(&mut self, message: Weighed, size: Size) -> Size {
        let Weighed { bytes, is_durable, .. } = message;
        let durable = if is_durable { bytes } else { 0 };
        match size {
            Size::Known(_) => return size,
            Size::Owed => {
                self.owed = self.owed.saturating_sub(1);
                take(&mut self.ready, bytes);
                take(&mut self.paged, bytes);
                take(&mut self.paged_durable, durable);
            }
            Size::Uncounted => self.durable += durable,
        }
        Size::Known(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// One on disk only is known.
    pub(crate) fn count(&mut self, message: Weighed) {
        let Weighed { position, bytes, is_durable } = message;
        if self.counts(position) {
            return;
        }
        let durable = if is_durable { bytes } else { 0 };
        self.ready += bytes;
        self.paged += bytes;
        self.durable += durable;
        self.paged_durable += durable;
    }

    /// None is uncounted before this position.
    pub(crate) fn count_on(&mut self, position: u64) {
        self.uncounted.start = self.uncounted.start.max(position);
    }

    /// Those on disk only, all of them below this position, are uncounted from now on. Who is owed
    /// is as well.
    pub(crate) fn lose_count(&mut self, below: u64) {
        take(&mut self.ready, self.paged);
        take(&mut self.durable, self.paged_durable);
        (self.paged, self.paged_durable, self.owed) = (0, 0, 0);
        self.uncounted = 0..below;
    }
}

/// A sum that came from disk may be anything.
fn take(sum: &mut u64, bytes: u64) {
    *sum = sum.saturating_sub(bytes);
}
