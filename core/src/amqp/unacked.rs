//! The deliveries of a channel that are not acknowledged yet, in order of their tags.

use alloc::collections::VecDeque;
use alloc::vec::{self, Vec};

use crate::broker::Lease;

/// A delivery that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) tag: u64,
    pub(crate) lease: Lease,
}

/// What an acknowledgement means, oldest first: mostly one delivery, for which nothing is
/// allocated.
#[derive(Debug)]
pub(crate) enum Taken {
    One(Option<Unacked>),
    Many(vec::IntoIter<Unacked>),
}

impl Taken {
    /// None.
    pub(crate) const NONE: Self = Self::One(None);
}

impl Iterator for Taken {
    type Item = Unacked;

    fn next(&mut self) -> Option<Unacked> {
        match self {
            Self::One(one) => one.take(),
            Self::Many(many) => many.next(),
        }
    }

    fn fold<B, F: FnMut(B, Unacked) -> B>(self, init: B, fold: F) -> B {
        match self {
            Self::One(one) => one.into_iter().fold(init, fold),
            Self::Many(many) => many.fold(init, fold),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(one) => (usize::from(one.is_some()), Some(usize::from(one.is_some()))),
            Self::Many(many) => many.size_hint(),
        }
    }
}

impl ExactSizeIterator for Taken {}

impl From<Vec<Unacked>> for Taken {
    fn from(taken: Vec<Unacked>) -> Self {
        Self::Many(taken.into_iter())
    }
}

/// Leases by delivery tag. Acknowledging the oldest, or all up to a tag, costs nothing per delivery
/// that stays; acknowledging one in the middle leaves a hole that goes with its neighbours.
#[derive(Debug, Default)]
pub(crate) struct UnackedDeliveries {
    /// Sorted by tag; the first is no hole.
    slots: VecDeque<(u64, Option<Lease>)>,
    holes: usize,
}

impl UnackedDeliveries {
    /// Adds a delivery; tags only grow.
    pub(crate) fn push(&mut self, tag: u64, lease: Lease) {
        debug_assert!(self.slots.back().is_none_or(|(last, _)| *last < tag), "tags only grow");
        self.slots.push_back((tag, Some(lease)));
    }

    /// Takes what an acknowledgement means, oldest first: one delivery, or with `multiple` all up
    /// to it; tag 0 with `multiple` means all. `None` when there is no delivery with this tag.
    pub(crate) fn take(&mut self, tag: u64, multiple: bool) -> Option<Taken> {
        if tag == 0 && multiple {
            return Some(self.take_all().into());
        }
        // Mostly it is the oldest.
        if !multiple && self.slots.front().is_some_and(|(first, _)| *first == tag) {
            let oldest = self.slots.pop_front().and_then(filled);
            self.close_up();
            return Some(Taken::One(oldest));
        }
        let at = self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.slots[at].1.as_ref()?;
        if multiple {
            return Some(self.take_up_to(tag).into());
        }
        let lease = self.slots[at].1.take().expect("seen just above");
        self.holes += 1;
        self.close_up();
        Some(Taken::One(Some(Unacked { tag, lease })))
    }

    /// Takes all up to a tag, oldest first, whether there is one with it or not.
    pub(crate) fn take_up_to(&mut self, tag: u64) -> Vec<Unacked> {
        let count = self.slots.partition_point(|(other, _)| *other <= tag);
        let taken: Vec<_> = self.slots.drain(..count).filter_map(filled).collect();
        self.holes -= count - taken.len();
        self.close_up();
        taken
    }

    /// The delivery with this tag, if it is there.
    pub(crate) fn get(&self, tag: u64) -> Option<&Lease> {
        let at = self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.slots[at].1.as_ref()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.holes
    }

    /// Takes all, oldest first.
    pub(crate) fn take_all(&mut self) -> Vec<Unacked> {
        self.holes = 0;
        core::mem::take(&mut self.slots).into_iter().filter_map(filled).collect()
    }

    /// Puts deliveries back that were taken, in any order.
    pub(crate) fn restore(&mut self, deliveries: impl IntoIterator<Item = Unacked>) {
        let mut slots = self.take_all();
        slots.extend(deliveries);
        slots.sort_unstable_by_key(|unacked| unacked.tag);
        self.slots = slots.into_iter().map(|one| (one.tag, Some(one.lease))).collect();
    }

    /// Drops holes at the front, and all of them when they are more than half.
    fn close_up(&mut self) {
        if self.holes > 0 {
            self.drop_holes();
        }
        if self.slots.is_empty() && self.slots.capacity() > 1024 {
            self.slots = VecDeque::new();
        }
    }

    fn drop_holes(&mut self) {
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
            self.holes -= 1;
        }
        if self.holes > self.slots.len() / 2 {
            self.slots.retain(|(_, lease)| lease.is_some());
            self.holes = 0;
        }
    }
}

fn filled((tag, lease): (u64, Option<Lease>)) -> Option<Unacked> {
    Some(Unacked { tag, lease: lease? })
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set of tags.
        #[test]
        fn taking_agrees_with_a_set(
            steps in prop::collection::vec((0u8..4, 0u64..40), 0..120),
        ) {
            let (mut deliveries, mut model) = (UnackedDeliveries::default(), BTreeSet::new());
            let mut next = 1;
            for (step, tag) in steps {
                match step {
                    0 | 1 => {
                        deliveries.push(next, Lease::of_nothing());
                        model.insert(next);
                        next += 1;
                    }
                    step => {
                        let multiple = step == 3;
                        let expected: Option<Vec<u64>> = match (tag, multiple) {
                            (0, true) => Some(model.iter().copied().collect()),
                            _ if !model.contains(&tag) => None,
                            (_, true) => Some(model.range(..=tag).copied().collect()),
                            (_, false) => Some(alloc::vec![tag]),
                        };
                        for tag in expected.iter().flatten() {
                            model.remove(tag);
                        }
                        let taken = deliveries.take(tag, multiple);
                        let tags = taken.map(|all| all.map(|one| one.tag).collect());
                        prop_assert_eq!(tags, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_restored_can_be_taken_again() {
        let mut deliveries = UnackedDeliveries::default();
        for tag in 1..=4 {
            deliveries.push(tag, Lease::of_nothing());
        }
        let mut taken: Vec<_> = deliveries.take(3, false).expect("tag 3").collect();
        taken.extend(deliveries.take(1, false).expect("tag 1"));
        deliveries.restore(taken);
        let tags: Vec<_> = deliveries.take_all().iter().map(|one| one.tag).collect();
        assert_eq!(tags, [1, 2, 3, 4]);
    }
}
