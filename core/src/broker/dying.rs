//! Messages that died in a queue, and wait to be dead-lettered: mostly for no more than the end of
//! what is being done, but for the disk if they are there only.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::death::Reason;
use super::message::Message;
use super::queue::Entry;
use super::weight::{Size, Weighed};

/// A queue's dead, in the order in which they died.
#[derive(Debug, Default)]
pub(crate) struct Dying {
    order: VecDeque<u64>,
    entries: BTreeMap<u64, (Entry, Reason)>,
    /// Those of them that have to be read first.
    on_disk: BTreeSet<u64>,
    /// How many of them are uncounted.
    uncounted: usize,
    /// Those of them that were set aside before.
    again: BTreeSet<u64>,
}

impl Dying {
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the message at this position is among them.
    pub(crate) fn contains(&self, position: u64) -> bool {
        !self.entries.is_empty() && self.entries.contains_key(&position)
    }

    /// Which of the positions from `first` to `last` are of messages that are to be read.
    pub(crate) fn on_disk(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        self.on_disk.range(first..=last).copied()
    }

    /// Those from a position on, by position.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = &Entry> {
        self.entries.range(position..).map(|(_, (entry, _))| entry)
    }

    /// Adds one behind all others.
    pub(crate) fn push(&mut self, entry: Entry, reason: Reason) {
        let position = entry.position;
        if entry.message.is_none() {
            self.on_disk.insert(position);
        }
        self.uncounted += usize::from(entry.size == Size::Uncounted);
        self.order.push_back(position);
        self.entries.insert(position, (entry, reason));
    }

    /// Sets one aside that was taken: it stays on disk only, and among the dead, and is none of
    /// those that are to be taken.
    pub(crate) fn set_aside(&mut self, entry: Entry, reason: Reason) {
        let position = entry.position;
        self.entries.insert(position, (Entry { message: None, ..entry }, reason));
    }

    /// Puts one that was set aside behind all others.
    pub(crate) fn take_up(&mut self, position: u64) {
        self.order.push_back(position);
        self.on_disk.insert(position);
        self.again.insert(position);
    }

    /// Whether the one at this position, which was taken, had been set aside before.
    pub(crate) fn forget_again(&mut self, position: u64) -> bool {
        self.again.remove(&position)
    }

    /// The position of the first, if that has to be read.
    pub(crate) fn first_on_disk(&self) -> Option<u64> {
        self.order.front().copied().filter(|first| self.on_disk.contains(first))
    }

    /// The first position that has to be read. To read by position takes the fewest reads, and
    /// memory for those that are not first.
    pub(crate) fn lowest_on_disk(&self) -> Option<u64> {
        self.on_disk.first().copied()
    }

    /// Takes the first, if it is at hand.
    pub(crate) fn take(&mut self) -> Option<(Entry, Reason)> {
        if self.first_on_disk().is_some() {
            return None;
        }
        self.entries.remove(&self.order.pop_front()?)
    }

    /// One was read from disk. What its size is then, `repay` says.
    pub(crate) fn fill(
        &mut self,
        position: u64,
        message: Arc<Message>,
        repay: impl FnOnce(Weighed, Size) -> Size,
    ) {
        if self.on_disk.remove(&position)
            && let Some((entry, _)) = self.entries.get_mut(&position)
        {
            self.uncounted -= usize::from(entry.size == Size::Uncounted);
            let bytes = message.body.len() as u64;
            entry.size = repay(Weighed { bytes, ..Weighed::new(entry) }, entry.size);
            entry.message = Some(message);
        }
    }

    /// Whether nobody is uncounted.
    pub(crate) fn is_counted(&self) -> bool {
        self.uncounted == 0
    }

    /// Those that are owed are uncounted from now on.
    pub(crate) fn lose_count(&mut self) {
        for position in &self.on_disk {
            if let Some((entry, _)) = self.entries.get_mut(position)
                && entry.size == Size::Owed
            {
                entry.size = Size::Uncounted;
                self.uncounted += 1;
            }
        }
    }
}
