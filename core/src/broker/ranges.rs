//! Positions as ranges: what mostly comes in rows takes little.

use alloc::collections::BTreeMap;

/// A set of positions.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// The last of each range, by its first. No two overlap.
    by_first: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a position that is not in the set, mostly the one behind the highest.
    pub(crate) fn insert(&mut self, position: u64) {
        match self.by_first.last_entry() {
            Some(mut range) if *range.get() + 1 == position => *range.get_mut() = position,
            _ => {
                self.by_first.insert(position, position);
            }
        }
    }

    /// Takes a position out, if it is in the set.
    pub(crate) fn remove(&mut self, position: u64) {
        self.remove_all(position, position);
    }

    /// Takes out all positions from `first` to `last`, both ends included.
    pub(crate) fn remove_all(&mut self, first: u64, last: u64) {
        while let Some((&start, &end)) = self.by_first.range(..=last).next_back()
            && end >= first
        {
            self.by_first.remove(&start);
            if start < first {
                self.by_first.insert(start, first - 1);
            }
            if last < end {
                self.by_first.insert(last + 1, end);
            }
        }
    }

    /// Whether a position is in the set.
    pub(crate) fn contains(&self, position: u64) -> bool {
        self.within(position, position).next().is_some()
    }

    /// The ranges, both ends included, that have positions from `first` to `last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ranges = self.by_first.range(..=last).rev().map(|(first, last)| (*first, *last));
        ranges.take_while(move |(_, end)| *end >= first)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set.
        #[test]
        fn ranges_agree_with_a_set(
            steps in prop::collection::vec((0u8..8, 0u64..40, 0u64..40), 0..200),
        ) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (step, position, other) in steps {
                match step {
                    0..4 => {
                        let next = model.last().map_or(position, |last| last + 1 + position / 30);
                        ranges.insert(next);
                        model.insert(next);
                    }
                    4..7 => {
                        ranges.remove(position);
                        model.remove(&position);
                    }
                    _ => {
                        let last = if other < 10 { u64::MAX } else { position + other };
                        ranges.remove_all(position, last);
                        model.retain(|at| !(position..=last).contains(at));
                    }
                }
                let (first, last) = (position.min(other), position.max(other));
                let within = ranges.within(first, last).flat_map(|(first, last)| first..=last);
                let mut within: Vec<u64> =
                    within.filter(|at| (first..=last).contains(at)).collect();
                within.sort_unstable();
                let expected: Vec<u64> = model.range(first..=last).copied().collect();
                prop_assert_eq!(within, expected);
                prop_assert_eq!(ranges.contains(position), model.contains(&position));
            }
        }
    }
}
