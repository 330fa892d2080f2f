//! The ready messages of a queue, in order of their positions.

use alloc::collections::{BTreeMap, VecDeque};

use super::queue::Entry;

/// Memory for this many messages is kept when none is left.
const CAPACITY_KEPT: usize = 1024;

/// Messages by position. Always the first is taken; so what comes back was before all that never
/// left, and nothing has to be searched or moved for it.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    returned: BTreeMap<u64, Entry>,
    /// Never taken, all behind those.
    fresh: VecDeque<Entry>,
}

impl Ready {
    pub(crate) fn len(&self) -> usize {
        self.returned.len() + self.fresh.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.fresh.is_empty()
    }

    /// Appends a message that is new.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.fresh.push_back(entry);
    }

    /// Puts a message back that was taken.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        debug_assert!(self.fresh.front().is_none_or(|first| entry.position < first.position));
        self.returned.insert(entry.position, entry);
    }

    /// Takes the first.
    pub(crate) fn take(&mut self) -> Option<Entry> {
        if let Some((_, entry)) = self.returned.pop_first() {
            return Some(entry);
        }
        let entry = self.fresh.pop_front();
        if self.fresh.is_empty() && self.fresh.capacity() > CAPACITY_KEPT {
            self.fresh = VecDeque::new();
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::Lease;

    proptest! {
        /// Against a plain set of positions.
        #[test]
        fn the_first_in_order_is_always_next(
            steps in prop::collection::vec((0u8..3, any::<prop::sample::Index>()), 0..200),
        ) {
            let (mut ready, mut model) = (Ready::default(), BTreeSet::new());
            let (mut taken, mut next) = (Vec::<Entry>::new(), 0);
            for (step, which) in steps {
                match step {
                    0 => {
                        ready.push(Entry { position: next, ..Lease::of_nothing().into_entry() });
                        model.insert(next);
                        next += 1;
                    }
                    1 => {
                        let entry = ready.take();
                        let position = entry.as_ref().map(|entry| entry.position);
                        prop_assert_eq!(position, model.pop_first());
                        taken.extend(entry);
                    }
                    _ if taken.is_empty() => {}
                    _ => {
                        let entry = taken.swap_remove(which.index(taken.len()));
                        model.insert(entry.position);
                        ready.put_back(entry);
                    }
                }
                prop_assert_eq!(ready.len(), model.len());
            }
        }
    }
}
