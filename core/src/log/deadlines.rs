//! When which messages of a queue expire, by ranges of positions: what came in together and lives
//! as long takes little.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::rare::{Rare, Unused};

/// The deadlines of a queue's messages, in milliseconds since 1970, UTC. Messages without one are
/// not in it. In most queues none has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines(Rare<Ranges>);

#[derive(Clone, Debug, Default)]
struct Ranges {
    /// By the first of each range. No two overlap.
    by_first: BTreeMap<u64, Range>,
    /// The deadlines that are still to be told by [`Deadlines::take_due`], with their ranges'
    /// first.
    to_tell: BTreeSet<(u64, u64)>,
}

/// Messages in a row with the same deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    last: u64,
    deadline: u64,
    /// Whether a start would find them.
    is_durable: bool,
}

impl Unused for Ranges {
    const UNUSED: &'static Self = &Self { by_first: BTreeMap::new(), to_tell: BTreeSet::new() };
}

impl Ranges {
    fn put(&mut self, first: u64, range: Range, is_to_tell: bool) {
        self.by_first.insert(first, range);
        if is_to_tell {
            self.to_tell.insert((range.deadline, first));
        }
    }
}

impl Deadlines {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.by_first.is_empty()
    }

    /// Takes in positions from `first` to `last`, none of which is in it.
    pub(crate) fn insert(&mut self, first: u64, last: u64, deadline: u64, is_durable: bool) {
        let ranges = self.0.in_use();
        let range = Range { last, deadline, is_durable };
        if let Some((start, before)) = ranges.by_first.range_mut(..first).next_back()
            && *before == (Range { last: first - 1, ..range })
            && ranges.to_tell.contains(&(deadline, *start))
        {
            before.last = last;
            return;
        }
        ranges.put(first, range, true);
    }

    /// The deadline of the message at a position, if it has one.
    pub(crate) fn get(&self, position: u64) -> Option<u64> {
        let (_, range) = self.0.by_first.range(..=position).next_back()?;
        (range.last >= position).then_some(range.deadline)
    }

    /// Forgets positions from `first` to `last`.
    pub(crate) fn remove(&mut self, first: u64, last: u64) {
        let Some(ranges) = self.0.used() else { return };
        while let Some((&start, &range)) = ranges.by_first.range(..=last).next_back()
            && range.last >= first
        {
            ranges.by_first.remove(&start);
            let is_to_tell = ranges.to_tell.remove(&(range.deadline, start));
            if start < first {
                ranges.put(start, Range { last: first - 1, ..range }, is_to_tell);
            }
            if last < range.last {
                ranges.put(last + 1, range, is_to_tell);
            }
        }
    }

    /// The first deadline that is still to be told.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.to_tell.first().map(|(deadline, _)| *deadline)
    }

    /// Tells up to `count` positions in a row, the first and the last, whose deadline is not after
    /// `now`: those with the earliest first. Each is told once; it stays until it is removed.
    pub(crate) fn take_due(&mut self, now: u64, count: u64) -> Option<(u64, u64)> {
        let ranges = self.0.used()?;
        let &(_, first) = ranges.to_tell.first().filter(|(deadline, _)| *deadline <= now)?;
        ranges.to_tell.pop_first();
        let range = ranges.by_first[&first];
        let last = range.last.min(first.saturating_add(count - 1));
        if last < range.last {
            ranges.put(first, Range { last, ..range }, false);
            ranges.put(last + 1, range, true);
        }
        Some((first, last))
    }

    /// Those that are still to be told, with their deadlines, in the order in which that will be;
    /// from the first one after this deadline and position on, if that is given.
    pub(crate) fn to_come_after(
        &self,
        after: Option<(u64, u64)>,
    ) -> impl Iterator<Item = (u64, u64)> + '_ {
        // The one may stand in the middle of a range.
        let (deadline, position) = after.unwrap_or_default();
        let within = self.0.by_first.range(..=position).next_back();
        let from = within.map_or(0, |(first, _)| *first);
        let ranges = self.0.to_tell.range((deadline, from)..);
        let all = ranges.flat_map(|&(deadline, first)| {
            (first..=self.0.by_first[&first].last).map(move |position| (deadline, position))
        });
        all.skip_while(move |next| after.is_some_and(|after| *next <= after))
    }

    /// Those of messages that a start would find: first and last position, and the deadline.
    pub(crate) fn durable(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let ranges = self.0.by_first.iter().filter(|(_, range)| range.is_durable);
        ranges.map(|(first, range)| (*first, range.last, range.deadline))
    }
}

/// Of messages that a start found.
impl FromIterator<(u64, u64, u64)> for Deadlines {
    fn from_iter<T: IntoIterator<Item = (u64, u64, u64)>>(ranges: T) -> Self {
        let mut deadlines = Self::default();
        for (first, last, deadline) in ranges {
            deadlines.remove(first, last);
            deadlines.insert(first, last, deadline, true);
        }
        deadlines
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map from position to deadline, and whether it was told.
        #[test]
        fn ranges_agree_with_a_map(
            steps in prop::collection::vec((0u8..5, 0u64..30, 0u64..6), 0..100),
        ) {
            let (mut deadlines, mut next) = (Deadlines::default(), 0);
            let mut model = BTreeMap::<u64, (u64, bool)>::new();
            let mut durable = BTreeSet::new();
            for (step, at, more) in steps {
                match step {
                    0..3 => {
                        let (first, last) = (next, next + more / 3);
                        next = last + 1 + at / 25;
                        deadlines.insert(first, last, more, step > 0);
                        durable.extend((first..=last).filter(|_| step > 0));
                        model.extend((first..=last).map(|at| (at, (more, false))));
                    }
                    3 => {
                        deadlines.remove(at, at + more);
                        model.retain(|position, _| !(at..=at + more).contains(position));
                    }
                    _ => {
                        let untold = model.iter().filter(|(_, (_, is_told))| !is_told);
                        let first = untold.map(|(at, (deadline, _))| (*deadline, *at)).min();
                        prop_assert_eq!(deadlines.next(), first.map(|(deadline, _)| deadline));
                        let told = deadlines.take_due(more, 2);
                        let due = first.filter(|(deadline, _)| *deadline <= more);
                        prop_assert_eq!(told.map(|(first, _)| first), due.map(|(_, at)| at));
                        for at in told.map(|(first, last)| first..=last).into_iter().flatten() {
                            let known = model.get_mut(&at).expect("a position that is in it");
                            prop_assert_eq!(*known, (due.expect("due").0, false));
                            known.1 = true;
                        }
                    }
                }
                for at in 0..next {
                    let known = model.get(&at).map(|(deadline, _)| *deadline);
                    prop_assert_eq!(deadlines.get(at), known);
                }
                let after = (more, at);
                let to_come = model.iter().filter(|(_, (_, is_told))| !is_told);
                let mut to_come: Vec<_> =
                    to_come.map(|(at, (deadline, _))| (*deadline, *at)).collect();
                to_come.sort_unstable();
                let all = deadlines.to_come_after(None).collect::<Vec<_>>();
                prop_assert_eq!(&all, &to_come);
                to_come.retain(|next| *next > after);
                let all = deadlines.to_come_after(Some(after)).collect::<Vec<_>>();
                prop_assert_eq!(all, to_come);
                let ranges = deadlines.durable().flat_map(|(first, last, deadline)| {
                    (first..=last).map(move |at| (at, deadline))
                });
                let known = model.iter().filter(|(at, _)| durable.contains(*at));
                let known = known.map(|(at, (deadline, _))| (*at, *deadline));
                prop_assert_eq!(ranges.collect::<Vec<_>>(), known.collect::<Vec<_>>());
            }
        }
    }
}
