//! The ready messages of a queue, in order of their positions: those in memory, and those that are
//! on disk only.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::Message;
use super::queue::Entry;
use super::weight::{Size, Weighed, Weight};
use crate::log::Extents;
use crate::rare::Rare;

/// Memory for this many messages is kept when none is left.
const CAPACITY_KEPT: usize = 1024;

/// The ready message that is next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is none.
    None,
    /// It can be taken.
    Here,
    /// It is on disk, or about to be there: it must be read first.
    OnDisk,
    /// It is at hand, and must not be handed out before the log is further.
    Waits,
}

/// A message that is on disk only as soon as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwritten {
    /// Its number among all that the log was ever given.
    pub(crate) item: u64,
    pub(crate) position: u64,
    pub(crate) is_volatile: bool,
    pub(crate) size: Size,
}

/// All messages of a queue that are on disk only.
#[derive(Debug)]
pub(crate) struct Paged {
    /// From which position on they are.
    pub(crate) from: u64,
    pub(crate) count: u64,
    /// How many of them are forgotten at a start.
    pub(crate) volatile: u64,
    /// Those of them that are not written yet.
    pub(crate) unwritten: VecDeque<Unwritten>,
}

/// Messages by position. Always the first is taken; so what comes back was before all that never
/// left, and nothing has to be searched or moved for it.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    returned: BTreeMap<u64, Entry>,
    /// Never taken: what was read back from disk, and what never was only there. Each is sorted.
    loaded: VecDeque<Entry>,
    fresh: VecDeque<Entry>,
    /// Never taken and on disk only: all that the log has from this position on.
    pub(crate) paged_from: u64,
    /// How many those are, and how many of them are forgotten at a start.
    paged: u64,
    paged_volatile: u64,
    /// Those of them that are not written yet, sorted.
    unwritten: Rare<VecDeque<Unwritten>>,
    /// About how many bytes those in memory take that are on disk too.
    cached: usize,
    /// How many entries stand for messages that have left from between others. None is a first one.
    gone: usize,
    /// How many bytes they have, and all of the queue that a start would find.
    pub(crate) weight: Weight,
}

/// A message that left its place among others.
#[derive(Debug)]
pub(crate) enum Left {
    Here(Entry),
    /// It was on disk only.
    OnDisk,
    /// It is on disk only as soon as it is written.
    Unwritten(Unwritten),
}

impl Ready {
    /// What a queue begins with whose messages, so many, are all on disk.
    pub(crate) fn on_disk(count: u64, weight: Weight) -> Self {
        Self { paged: count, weight, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.returned.len() + self.loaded.len() + self.fresh.len() - self.gone + self.paged as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a start would find any of those that are on disk only.
    pub(crate) fn has_durable_paged(&self) -> bool {
        self.paged > self.paged_volatile
    }

    /// How many are on disk only.
    pub(crate) fn paged(&self) -> u64 {
        self.paged
    }

    /// About how many bytes those in memory take that are on disk too.
    pub(crate) fn cached(&self) -> usize {
        self.cached
    }

    /// Appends a message that is new.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.cached += entry.cached_size();
        self.weight.come(entry.size.bytes(), entry.is_durable());
        self.fresh.push_back(entry);
    }

    /// Appends a message that is new, and is kept on disk only.
    pub(crate) fn push_paged(&mut self, message: Unwritten) {
        if self.paged == 0 {
            self.paged_from = message.position;
        }
        self.paged += 1;
        self.paged_volatile += u64::from(message.is_volatile);
        self.weight.come(message.size.bytes(), !message.is_volatile);
        self.weight.page(Weighed::unwritten(message));
        self.unwritten.in_use().push_back(message);
    }

    /// Whether any that are on disk only are still to be written.
    pub(crate) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// All that the log was given is being written.
    pub(crate) fn note_written(&mut self) {
        if !self.unwritten.is_empty() {
            self.unwritten = Rare::default();
        }
    }

    /// Puts a message back that was taken.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        debug_assert!(self.fresh.front().is_none_or(|first| entry.position < first.position));
        self.cached += entry.cached_size();
        self.weight.come_back(entry.size.bytes());
        self.returned.insert(entry.position, entry);
    }

    /// Which is next.
    pub(crate) fn next(&self, extents: &Extents) -> Next {
        self.next_is(self.first(), extents)
    }

    /// The same where it is known which is the [first](Self::first) of those in memory.
    #[inline]
    pub(crate) fn next_is(&self, first: Option<&Entry>, extents: &Extents) -> Next {
        match first {
            Some(first) if first.message.is_none() => Next::OnDisk,
            Some(first) if self.paged > 0 && self.returned.is_empty() => {
                // Others may be before it that are on disk, or about to be written.
                let on_disk = extents.first_from(self.paged_from).unwrap_or(self.paged_from);
                if on_disk > first.position { Next::Here } else { Next::OnDisk }
            }
            Some(_) => Next::Here,
            None if self.paged > 0 => Next::OnDisk,
            None => Next::None,
        }
    }

    /// The first of those in memory.
    pub(crate) fn first(&self) -> Option<&Entry> {
        if let Some((_, entry)) = self.returned.first_key_value() {
            return Some(entry);
        }
        match (self.loaded.front(), self.fresh.front()) {
            (Some(loaded), Some(fresh)) if loaded.position > fresh.position => Some(fresh),
            (None, fresh) => fresh,
            (loaded, _) => loaded,
        }
    }

    /// Up to `limit` of those that are known in memory, from this position on, in order.
    pub(crate) fn first_from(&self, position: u64, limit: usize) -> Vec<&Entry> {
        let of = |list: &VecDeque<Entry>| list.partition_point(|entry| entry.position < position);
        let lists = [&self.loaded, &self.fresh].map(|list| list.range(of(list)..));
        let [loaded, fresh] = lists.map(|list| list.filter(|entry| !entry.is_gone).take(limit));
        let returned = self.returned.range(position..).map(|(_, entry)| entry).take(limit);
        let mut found: Vec<_> = returned.chain(loaded).chain(fresh).collect();
        found.sort_by_key(|entry| entry.position);
        found.truncate(limit);
        found
    }

    /// Takes the first of those in memory.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Entry> {
        let entry = match self.returned.pop_first() {
            Some((_, entry)) => entry,
            None => self.take_new()?,
        };
        self.cached -= entry.cached_size();
        self.weight.leave(entry.size.bytes());
        if self.gone > 0 {
            self.tidy();
        }
        Some(entry)
    }

    /// Takes the first of those in memory that were never taken.
    #[inline]
    fn take_new(&mut self) -> Option<Entry> {
        let is_fresh = match (self.loaded.front(), self.fresh.front()) {
            (Some(loaded), Some(fresh)) => loaded.position > fresh.position,
            (loaded, _) => loaded.is_none(),
        };
        let from = if is_fresh { &mut self.fresh } else { &mut self.loaded };
        let entry = from.pop_front()?;
        if from.is_empty() && from.capacity() > CAPACITY_KEPT {
            *from = VecDeque::new();
        }
        // Those on disk only are behind what was ever taken.
        self.paged_from = self.paged_from.max(entry.position + 1);
        Some(entry)
    }

    /// Takes the message at this position, if it is there, from wherever it stands. Of one that is
    /// on disk only, `is_on_disk` says whether it is there.
    pub(crate) fn remove(
        &mut self,
        position: u64,
        is_on_disk: impl FnOnce() -> bool,
    ) -> Option<Left> {
        if let Some(entry) = self.returned.remove(&position) {
            self.cached -= entry.cached_size();
            self.weight.leave(entry.size.bytes());
            return Some(Left::Here(entry));
        }
        let entry = match take_at(&mut self.loaded, position) {
            None => take_at(&mut self.fresh, position),
            loaded => loaded,
        };
        if let Some(entry) = entry {
            self.gone += 1;
            self.cached -= entry.cached_size();
            self.weight.leave(entry.size.bytes());
            self.tidy();
            return Some(Left::Here(entry));
        }
        if self.paged == 0 || position < self.paged_from {
            return None;
        }
        let found = self.unwritten.binary_search_by_key(&position, |other| other.position);
        if let Some(left) = found.ok().and_then(|at| self.unwritten.used()?.remove(at)) {
            self.paged -= 1;
            self.paged_volatile -= u64::from(left.is_volatile);
            self.weight.load(Weighed::unwritten(left));
            self.weight.leave(left.size.bytes());
            return Some(Left::Unwritten(left));
        }
        is_on_disk().then(|| {
            self.paged -= 1;
            Left::OnDisk
        })
    }

    /// One that was taken by [`Self::remove`] from those on disk only is one that a start forgets.
    pub(crate) fn note_volatile_left(&mut self) {
        self.paged_volatile -= 1;
    }

    /// Keeps those that have left from being first, and from being most.
    fn tidy(&mut self) {
        if self.gone == 0 {
            return;
        }
        for list in [&mut self.loaded, &mut self.fresh] {
            while list.front().is_some_and(|entry| entry.is_gone) {
                list.pop_front();
                self.gone -= 1;
            }
        }
        if self.gone > CAPACITY_KEPT && self.gone > (self.loaded.len() + self.fresh.len()) / 2 {
            self.loaded.retain(|entry| !entry.is_gone);
            self.fresh.retain(|entry| !entry.is_gone);
            self.gone = 0;
        }
    }

    /// Takes all of those in memory.
    pub(crate) fn take_all(&mut self) -> Vec<Entry> {
        self.cached = 0;
        let returned = core::mem::take(&mut self.returned).into_values();
        let loaded = core::mem::take(&mut self.loaded);
        self.gone = 0;
        let all = returned.chain(loaded).chain(core::mem::take(&mut self.fresh));
        let all: Vec<Entry> = all.filter(|entry| !entry.is_gone).collect();
        all.iter().for_each(|entry| self.weight.leave(entry.size.bytes()));
        all
    }

    /// Those that were never taken and that the log does not have, from `position` on, in order.
    pub(crate) fn unlogged_from(&mut self, position: u64) -> impl Iterator<Item = &mut Entry> {
        let at = self.fresh.partition_point(|entry| entry.position < position);
        self.fresh.range_mut(at..).filter(|entry| entry.item == 0 && !entry.is_gone)
    }

    /// Keeps what the log has on disk only; from item `first_item` on it is not written yet.
    pub(crate) fn evict(&mut self, first_item: u64) {
        self.cached = 0;
        for entry in self.returned.values_mut().filter(|entry| entry.item != 0) {
            entry.message = None;
        }
        let mut first: Option<u64> = None;
        let (mut count, mut volatile) = (0, 0);
        let mut note = |entry: &Entry| {
            // Fresh ones may stand before those that were read.
            first = Some(first.map_or(entry.position, |first| first.min(entry.position)));
            count += 1;
            volatile += u64::from(entry.is_volatile);
            self.weight.page(Weighed::new(entry));
            let Entry { item, position, is_volatile, size, .. } = *entry;
            if item >= first_item {
                self.unwritten.in_use().push_back(Unwritten { item, position, is_volatile, size });
            }
        };
        core::mem::take(&mut self.loaded).iter().filter(|entry| !entry.is_gone).for_each(&mut note);
        self.fresh.retain(|entry| {
            if entry.item != 0 && !entry.is_gone {
                note(entry);
            }
            entry.item == 0 && !entry.is_gone
        });
        self.gone = 0;
        if let Some(first) = first {
            self.unwritten
                .in_use()
                .make_contiguous()
                .sort_unstable_by_key(|message| message.position);
            self.paged_from = if self.paged == 0 { first } else { first.min(self.paged_from) };
            self.paged += count;
            self.paged_volatile += volatile;
        }
    }

    /// Takes all that are on disk only.
    pub(crate) fn take_paged(&mut self) -> Paged {
        Paged {
            from: self.paged_from,
            count: core::mem::take(&mut self.paged),
            volatile: core::mem::take(&mut self.paged_volatile),
            unwritten: core::mem::take(&mut self.unwritten).into_inner(),
        }
    }

    /// The first that came back and is on disk only.
    pub(crate) fn first_returned_on_disk(&self) -> Option<u64> {
        // Only the first matters to consumers.
        let (position, entry) = self.returned.first_key_value()?;
        entry.message.is_none().then_some(*position)
    }

    /// Which of the positions from `first` to `last` are of messages that came back and are on disk
    /// only.
    pub(crate) fn returned_on_disk(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        let returned = self.returned.range(first..=last);
        returned.filter(|(_, entry)| entry.message.is_none()).map(|(position, _)| *position)
    }

    /// One that came back was read from disk.
    pub(crate) fn fill_returned(&mut self, position: u64, message: Arc<Message>) {
        if let Some(entry) = self.returned.get_mut(&position)
            && entry.message.is_none()
        {
            entry.message = Some(message);
            self.cached += entry.cached_size();
        }
    }

    /// The next of those on disk only was read.
    pub(crate) fn load(&mut self, entry: Entry) {
        self.paged -= 1;
        self.paged_volatile -= u64::from(entry.is_volatile);
        self.paged_from = entry.position + 1;
        self.cached += entry.cached_size();
        self.weight.load(Weighed::new(&entry));
        self.loaded.push_back(entry);
    }
}

/// Takes the message at this position out of those that are sorted by it, and leaves an entry that
/// stands for it.
fn take_at(entries: &mut VecDeque<Entry>, position: u64) -> Option<Entry> {
    let at = entries.binary_search_by_key(&position, |entry| entry.position).ok()?;
    let entry = entries.get_mut(at).filter(|entry| !entry.is_gone)?;
    let stand_in = Entry { message: None, is_gone: true, ..*entry };
    Some(core::mem::replace(entry, stand_in))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::Lease;

    proptest! {
        /// Against a plain set of positions. Of three messages in a row the log has two, the first
        /// of which is on disk only until it is read, and the second when memory is short.
        #[test]
        fn the_first_in_order_is_always_next(
            steps in prop::collection::vec((0u8..7, any::<prop::sample::Index>()), 0..200),
        ) {
            let (mut ready, mut model) = (Ready::default(), BTreeSet::new());
            let mut unwritten = Vec::new();
            let mut extents = Extents::default();
            let mut paged = BTreeSet::new();
            let (mut taken, mut next) = (Vec::<Entry>::new(), 0);
            let entry = |position: u64| {
                let item = u64::from(position % 3 < 2);
                let size = Size::Known(1);
                Entry { position, item, size, ..Lease::of_nothing().into_entry() }
            };
            for (step, which) in steps {
                match step {
                    0 => {
                        let is_logged = next % 3 < 2;
                        if is_logged {
                            unwritten.push(next);
                        }
                        if next % 3 == 0 || is_logged && ready.paged() > 0 {
                            let (is_volatile, size) = (false, Size::Known(1));
                            let message = Unwritten { item: 1, position: next, is_volatile, size };
                            ready.push_paged(message);
                            paged.insert(next);
                        } else {
                            ready.push(entry(next));
                        }
                        model.insert(next);
                        next += 1;
                    }
                    1 => {
                        while ready.next(&extents) == Next::OnDisk {
                            unwritten.drain(..).for_each(|at| extents.append(1, at, 10));
                            ready.load(entry(paged.pop_first().expect("on disk only")));
                        }
                        let is_here = ready.next(&extents) == Next::Here;
                        let entry = ready.take();
                        prop_assert_eq!(is_here, entry.is_some());
                        let position = entry.as_ref().map(|entry| entry.position);
                        prop_assert_eq!(position, model.pop_first());
                        taken.extend(entry);
                    }
                    2 => {
                        let first = ready.first().map(|entry| entry.position);
                        if ready.next(&extents) == Next::Here {
                            prop_assert_eq!(first, model.first().copied());
                        }
                    }
                    3 => unwritten.drain(..).for_each(|at| extents.append(1, at, 10)),
                    4 => {
                        let is_read = |entry: &&Entry| entry.item != 0;
                        paged.extend(ready.loaded.iter().map(|entry| entry.position));
                        let fresh = ready.fresh.iter().filter(is_read);
                        paged.extend(fresh.map(|entry| entry.position));
                        ready.evict(u64::MAX);
                        // Those that came back are read by themselves.
                        let returned: Vec<u64> = ready.returned.keys().copied().collect();
                        for position in returned {
                            ready.fill_returned(position, entry(position).message.unwrap());
                        }
                        prop_assert_eq!(ready.paged(), paged.len() as u64);
                    }
                    5 => {
                        // Ahead of need.
                        unwritten.drain(..).for_each(|at| extents.append(1, at, 10));
                        if let Some(first) = paged.pop_first() {
                            let at = extents.first_from(ready.paged_from);
                            prop_assert!(at.is_some_and(|at| at <= first), "{} is lost", first);
                            ready.load(entry(first));
                        }
                    }
                    _ if taken.is_empty() => {}
                    _ => {
                        let entry = taken.swap_remove(which.index(taken.len()));
                        model.insert(entry.position);
                        ready.put_back(entry);
                    }
                }
                prop_assert_eq!(ready.len(), model.len());
                prop_assert_eq!(ready.weight.ready(), model.len() as u64);
            }
        }
    }
}
