//! Messages that died in a queue, and wait to be dead-lettered: mostly for no more than the end of
//! what is being done, but for the disk if they are there only.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::death::Reason;
use super::message::Message;
use super::queue::Entry;
use super::weight::{Size, Weighed};
use crate::rare::{Rare, Unused};

/// A queue's dead, in the order in which they died. Most queues never have any.
#[derive(Debug, Default)]
pub(crate) struct Dying(Rare<Dead>);

#[derive(Debug, Default)]
struct Dead {
    order: VecDeque<u64>,
    entries: BTreeMap<u64, (Entry, Reason)>,
    /// Those of them that have to be read first.
    on_disk: BTreeSet<u64>,
    /// How many of them are uncounted.
    uncounted: usize,
    /// Those of them that were set aside before.
    again: BTreeSet<u64>,
}

impl Unused for Dead {
    const UNUSED: &'static Self = &Self {
        order: VecDeque::new(),
        entries: BTreeMap::new(),
        on_disk: BTreeSet::new(),
        uncounted: 0,
        again: BTreeSet::new(),
    };
}

impl Dying {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.order.len()
    }

    /// Whether the message at this position is among them.
    pub(crate) fn contains(&self, position: u64) -> bool {
        !self.0.entries.is_empty() && self.0.entries.contains_key(&position)
    }

    /// Which of the positions from `first` to `last` are of messages that are to be read.
    pub(crate) fn on_disk(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        self.0.on_disk.range(first..=last).copied()
    }

    /// Those from a position on, by position.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = &Entry> {
        self.0.entries.range(position..).map(|(_, (entry, _))| entry)
    }

    /// Adds one behind all others.
    pub(crate) fn push(&mut self, entry: Entry, reason: Reason) {
        let (dead, position) = (self.0.in_use(), entry.position);
        if entry.message.is_none() {
            dead.on_disk.insert(position);
        }
        dead.uncounted += usize::from(entry.size == Size::Uncounted);
        dead.order.push_back(position);
        dead.entries.insert(position, (entry, reason));
    }

    /// Sets one aside that was taken: it stays on disk only, and among the dead, and is none of
    /// those that are to be taken.
    pub(crate) fn set_aside(&mut self, entry: Entry, reason: Reason) {
        let position = entry.position;
        self.0.in_use().entries.insert(position, (Entry { message: None, ..entry }, reason));
    }

    /// Puts one that was set aside behind all others.
    pub(crate) fn take_up(&mut self, position: u64) {
        let dead = self.0.in_use();
        dead.order.push_back(position);
        dead.on_disk.insert(position);
        dead.again.insert(position);
    }

    /// Whether the one at this position, which was taken, had been set aside before.
    pub(crate) fn forget_again(&mut self, position: u64) -> bool {
        self.0.used().is_some_and(|dead| dead.again.remove(&position))
    }

    /// The position of the first, if that has to be read.
    pub(crate) fn first_on_disk(&self) -> Option<u64> {
        self.0.order.front().copied().filter(|first| self.0.on_disk.contains(first))
    }

    /// The first position that has to be read. To read by position takes the fewest reads, and
    /// memory for those that are not first.
    pub(crate) fn lowest_on_disk(&self) -> Option<u64> {
        self.0.on_disk.first().copied()
    }

    /// Takes the first, if it is at hand.
    pub(crate) fn take(&mut self) -> Option<(Entry, Reason)> {
        if self.first_on_disk().is_some() {
            return None;
        }
        let dead = self.0.used()?;
        dead.entries.remove(&dead.order.pop_front()?)
    }

    /// One was read from disk. What its size is then, `repay` says.
    pub(crate) fn fill(
        &mut self,
        position: u64,
        message: Arc<Message>,
        repay: impl FnOnce(Weighed, Size) -> Size,
    ) {
        let Some(dead) = self.0.used() else { return };
        if dead.on_disk.remove(&position)
            && let Some((entry, _)) = dead.entries.get_mut(&position)
        {
            dead.uncounted -= usize::from(entry.size == Size::Uncounted);
            let bytes = message.body.len() as u64;
            entry.size = repay(Weighed { bytes, ..Weighed::new(entry) }, entry.size);
            entry.message = Some(message);
        }
    }

    /// Whether nobody is uncounted.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.uncounted == 0
    }

    /// Those that are owed are uncounted from now on.
    pub(crate) fn lose_count(&mut self) {
        let Some(dead) = self.0.used() else { return };
        for position in &dead.on_disk {
            if let Some((entry, _)) = dead.entries.get_mut(position)
                && entry.size == Size::Owed
            {
                entry.size = Size::Uncounted;
                dead.uncounted += 1;
            }
        }
    }
}
