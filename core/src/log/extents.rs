//! Which messages of a queue the log holds, and in which segments: bits per message, not bytes.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Bound::{Included, Unbounded};

use super::fact::gaps;

/// Messages of one queue in one segment, without a gap between their positions that another
/// segment would fill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) segment: u64,
    /// Positions, both ends included. Not every position between belongs to a message of the log.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How many messages are not settled; at least one.
    pub(crate) live: u32,
    /// About how many bytes their records take: when some of them leave, they take an even share
    /// with them, whatever the length of theirs.
    pub(crate) bytes: u64,
    /// Where the queue's part of the segment's index begins; 0 while the segment is not sealed.
    pub(crate) index_offset: u32,
    /// How many entries that part has.
    pub(crate) index_count: u32,
    /// Positions that are settled, as ranges with both ends, by the first.
    pub(crate) settled: BTreeMap<u64, u64>,
}

impl Extent {
    /// The bytes of an extent are less than so many for each live message. A record's length has
    /// 32 bits; even shares of those are no longer, and neither is what is left by the division.
    pub(crate) const SHARE_LIMIT: u64 = 1 << 33;

    /// One of a single message.
    fn of_one(segment: u64, position: u64, bytes: u64) -> Self {
        Self { segment, first: position, last: position, live: 1, bytes, ..Self::default() }
    }

    /// Whether the message at this position, if the extent has one, is alive.
    pub(crate) fn is_live(&self, position: u64) -> bool {
        let range = self.settled.range((Unbounded, Included(position))).next_back();
        let is_settled = range.is_some_and(|(_, last)| *last >= position);
        (self.first..=self.last).contains(&position) && !is_settled
    }

    /// Counts the messages of a range of positions, both ends included, as settled; those that are
    /// outside of the extent, or settled already, make no difference.
    pub(crate) fn exclude(&mut self, first: u64, last: u64) {
        if first <= self.last && last >= self.first {
            self.settle(first, last);
        }
    }

    /// Settles a position, if it is alive. Mostly it is the one behind all that are settled, as
    /// messages are done with in the order in which they came.
    fn settle_one(&mut self, position: u64) -> Option<Freed> {
        if let Some(mut range) = self.settled.last_entry()
            && position >= self.first
            && range.get().checked_add(1) == Some(position)
        {
            *range.get_mut() = position;
            return Some(self.free(self.live.min(1)));
        }
        self.is_live(position).then(|| self.settle(position, position))
    }

    /// Settles the positions of a range, both ends included, that are within the extent and not
    /// settled yet: each is a message of the log. What that frees.
    fn settle(&mut self, first: u64, last: u64) -> Freed {
        let count = self.cover(first, last);
        self.free(u32::try_from(count).unwrap_or(u32::MAX).min(self.live))
    }

    /// Makes the positions of a range, both ends included, that are within the extent settled ones.
    /// How many were not.
    fn cover(&mut self, first: u64, last: u64) -> u64 {
        let (mut first, mut last) = (first.max(self.first), last.min(self.last));
        let mut count = (last - first).saturating_add(1);
        // What touches or overlaps the range becomes one with it.
        let from = match self.settled.range(..first).next_back() {
            Some((&before, &end)) if end >= first - 1 => before,
            _ => first,
        };
        while let Some((&before, &end)) = self.settled.range(from..=last.saturating_add(1)).next() {
            if end >= first && before <= last {
                count -= end.min(last) - before.max(first) + 1;
            }
            self.settled.remove(&before);
            (first, last) = (first.min(before), last.max(end));
        }
        self.settled.insert(first, last);
        count
    }

    /// Takes away so many live messages and their share of the bytes.
    fn free(&mut self, messages: u32) -> Freed {
        let bytes = match messages == self.live {
            true => self.bytes,
            false => self.bytes / u64::from(self.live) * u64::from(messages),
        };
        self.bytes -= bytes;
        self.live -= messages;
        Freed { segment: self.segment, messages, bytes }
    }
}

/// What became free in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) segment: u64,
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

/// All messages of one queue that the log holds: extents by position, which do not overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extents {
    list: VecDeque<Extent>,
    /// The highest position that was ever added.
    highest: u64,
}

impl PartialEq for Extents {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Extents {}

impl Extents {
    /// The extents, by position.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Extent> {
        self.list.iter()
    }

    /// Whether nothing lives.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// For taking note of where indexes are.
    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Extent> {
        self.list.iter_mut()
    }

    /// The number of live messages.
    pub(crate) fn live(&self) -> u64 {
        self.list.iter().map(|extent| u64::from(extent.live)).sum()
    }

    /// The first extent that ends at `position` or behind it.
    pub(crate) fn at_or_after(&self, position: u64) -> Option<&Extent> {
        self.list.get(self.list.partition_point(|extent| extent.last < position))
    }

    /// Adds a new message, behind all others.
    pub(crate) fn append(&mut self, segment: u64, position: u64, bytes: u64) {
        // An extent does not reach over positions that were in other segments and are settled.
        let end = core::mem::replace(&mut self.highest, position);
        match self.list.back_mut() {
            Some(extent) if extent.segment == segment && extent.last == end => {
                extent.last = position;
                extent.live += 1;
                extent.bytes += bytes;
            }
            _ => self.list.push_back(Extent::of_one(segment, position, bytes)),
        }
    }

    /// Whether there is a live message at this position, provided that the log ever held one there.
    pub(crate) fn is_live(&self, position: u64) -> bool {
        self.at_or_after(position).is_some_and(|extent| extent.is_live(position))
    }

    /// Whether there is one that this segment has.
    pub(crate) fn is_in(&self, segment: u64, position: u64) -> bool {
        let extent = self.at_or_after(position);
        extent.is_some_and(|extent| extent.segment == segment && extent.is_live(position))
    }

    /// The ranges of positions from `first` to `last` at which messages live, provided that the log
    /// ever held any there.
    pub(crate) fn live_within(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut live = Vec::new();
        let at = self.list.partition_point(|extent| extent.last < first);
        for extent in self.list.range(at..).take_while(|extent| extent.first <= last) {
            let (mut from, end) = (extent.first.max(first), extent.last.min(last));
            let before = extent.settled.range(..=from).next_back();
            let within = extent.settled.range(from..=end);
            for (&settled, &until) in before.into_iter().chain(within) {
                if from < settled {
                    live.push((from, settled - 1));
                }
                from = from.max(until.saturating_add(1));
            }
            if from <= end && extent.is_live(end) {
                live.push((from, end));
            }
        }
        live
    }

    /// Settles the message at this position, which the log holds; `None` when it was settled
    /// already.
    pub(crate) fn settle(&mut self, position: u64) -> Option<Freed> {
        let at = self.list.partition_point(|extent| extent.last < position);
        let extent = self.list.get_mut(at)?;
        let freed = extent.settle_one(position)?;
        if extent.live == 0 {
            self.list.remove(at);
        }
        Some(freed)
    }

    /// Settles a range, both ends included, of positions that each belong to a message of the log.
    pub(crate) fn settle_range(&mut self, first: u64, last: u64) -> Vec<Freed> {
        let mut freed = Vec::new();
        let mut at = self.list.partition_point(|extent| extent.last < first);
        while let Some(extent) = self.list.get_mut(at).filter(|extent| extent.first <= last) {
            freed.push(extent.settle(first, last));
            if extent.live == 0 {
                self.list.remove(at);
            } else {
                at += 1;
            }
        }
        freed
    }

    /// Settles everything from `position` on but for the messages at the positions `kept`, which
    /// are sorted. These are `count` live messages.
    pub(crate) fn settle_from(&mut self, position: u64, count: u64, kept: &[u64]) -> Vec<Freed> {
        let (mut left, mut freed) = (count, Vec::new());
        let first = self.list.partition_point(|extent| extent.last < position);
        // From the last one back: only of the first some may be before the position.
        for at in (first..self.list.len()).rev() {
            let extent = &mut self.list[at];
            let begin = kept.partition_point(|at| *at < extent.first);
            let here = kept[begin..].iter().take_while(|at| **at <= extent.last);
            let stay: Vec<u64> = here.copied().filter(|at| extent.is_live(*at)).collect();
            let others = extent.live.saturating_sub(stay.len() as u32);
            let messages = match extent.first >= position {
                true => others,
                false => u32::try_from(left).unwrap_or(u32::MAX).min(others),
            };
            left = left.saturating_sub(messages.into());
            if messages == 0 {
                continue;
            }
            freed.push(extent.free(messages));
            if extent.live == 0 {
                self.list.remove(at);
                continue;
            }
            for (first, last) in gaps(position.max(extent.first), extent.last, &stay) {
                extent.cover(first, last);
            }
        }
        freed
    }

    /// Takes all extents away.
    pub(crate) fn clear(&mut self) -> Vec<Freed> {
        self.list.drain(..).map(|extent| Freed::all(&extent)).collect()
    }

    /// The first position from `position` on that may have a live message.
    pub(crate) fn first_from(&self, position: u64) -> Option<u64> {
        let extent = self.at_or_after(position)?;
        let at = position.max(extent.first);
        match extent.settled.range(..=at).next_back() {
            Some((_, &last)) if last >= at => last.checked_add(1),
            _ => Some(at),
        }
    }

    /// Messages at these positions, sorted, alive, and the last that segment `from` got, are going
    /// to be in segment `to` instead. What that frees in the old one.
    pub(crate) fn retarget(&mut self, positions: &[u64], from: u64, to: u64) -> Vec<Freed> {
        let mut freed = Vec::new();
        for (at, &position) in positions.iter().enumerate() {
            let place = self.list.partition_point(|extent| extent.last < position);
            let Some(extent) = self.list.get_mut(place) else { continue };
            if extent.segment != from || !extent.is_live(position) {
                continue;
            }
            let rest = &positions[at..];
            let count = rest.partition_point(|position| *position <= extent.last) as u32;
            let live = count.min(extent.live);
            let bytes = extent.bytes / u64::from(extent.live) * u64::from(live);
            let moved = Extent {
                segment: to,
                first: position,
                last: extent.last,
                live,
                bytes,
                settled: extent.settled.split_off(&position),
                ..Extent::default()
            };
            freed.push(Freed { segment: from, messages: live, bytes });
            extent.live -= live;
            extent.bytes -= bytes;
            if extent.live == 0 {
                *extent = moved;
            } else {
                extent.last = position - 1;
                self.list.insert(place + 1, moved);
            }
        }
        freed
    }

    /// The first live message of an extent, the one at `position`, is in another segment now. What
    /// became free in the old one; `None` when the message is settled.
    pub(crate) fn relocate(&mut self, position: u64, segment: u64, bytes: u64) -> Option<Freed> {
        let at = self.list.partition_point(|extent| extent.last < position);
        let extent = self.list.get_mut(at).filter(|extent| extent.is_live(position))?;
        let mut freed = extent.settle(position, position);
        // What is before it is settled, or moved already; what is behind it may have been settled
        // in one range with it.
        if position == extent.last {
            (freed.messages, freed.bytes) =
                (freed.messages + extent.live, freed.bytes + extent.bytes);
            (extent.live, extent.bytes) = (0, 0);
        }
        extent.first = position.saturating_add(1);
        while let Some(range) = extent.settled.first_entry().filter(|it| *it.key() <= position) {
            let last = range.remove();
            if last > position {
                extent.settled.insert(extent.first, last);
            }
        }
        let is_done = extent.live == 0;
        let before = at.checked_sub(1).and_then(|before| self.list.get_mut(before));
        match before {
            Some(before) if before.segment == segment => {
                // Between the two, nothing is alive.
                if before.last + 1 < position {
                    match before.settled.last_entry() {
                        Some(mut range) if *range.get() == before.last => {
                            range.insert(position - 1);
                        }
                        _ => {
                            before.settled.insert(before.last + 1, position - 1);
                        }
                    }
                }
                before.last = position;
                before.live += 1;
                before.bytes += bytes;
                if is_done {
                    self.list.remove(at);
                }
            }
            _ => {
                let moved = Extent::of_one(segment, position, bytes);
                if is_done {
                    self.list[at] = moved;
                } else {
                    self.list.insert(at, moved);
                }
            }
        }
        Some(freed)
    }
}

impl Freed {
    fn all(extent: &Extent) -> Self {
        Self { segment: extent.segment, messages: extent.live, bytes: extent.bytes }
    }
}

impl FromIterator<Extent> for Extents {
    fn from_iter<T: IntoIterator<Item = Extent>>(extents: T) -> Self {
        let list: VecDeque<Extent> = extents.into_iter().collect();
        let highest = list.back().map_or(0, |extent| extent.last);
        Self { list, highest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the model knows of a message: its segment and its bytes, all 100 each, so that shares
    /// come out even.
    const BYTES: u64 = 100;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// So many positions are passed over, then so many messages come, then the next segment.
        Append(u64, u64, bool),
        Settle(usize),
        SettleRun(usize, usize),
        /// But for those whose position, modulo eight, is the number of a bit that is set.
        SettleFrom(u64, u8),
        /// This many live messages of the first extent are moved on.
        /// To the same segment as those before, or to the next.
        Relocate(usize, bool),
        Clear,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_u64, 1..6_u64, any::<bool>())
                .prop_map(|(gap, count, next)| Step::Append(gap, count, next)),
            6 => any::<usize>().prop_map(Step::Settle),
            3 => (any::<usize>(), 0..6_usize).prop_map(|(at, len)| Step::SettleRun(at, len)),
            1 => (0..80_u64, prop_oneof![Just(0), any::<u8>()])
                .prop_map(|(position, keeps)| Step::SettleFrom(position, keeps)),
            3 => (1..8_usize, any::<bool>()).prop_map(|(count, next)| Step::Relocate(count, next)),
            1 => Just(Step::Clear),
        ]
    }

    /// All messages that there ever were, and those that live: the segment by position.
    #[derive(Default)]
    struct Model {
        known: BTreeMap<u64, u64>,
        live: BTreeMap<u64, u64>,
        next_position: u64,
        next_segment: u64,
    }

    impl Model {
        fn segment(&self) -> u64 {
            self.next_segment
        }

        /// Takes these positions away; what that frees, by segment.
        fn settle(&mut self, positions: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u64> {
            let mut freed = BTreeMap::new();
            for position in positions {
                if let Some(segment) = self.live.remove(&position) {
                    *freed.entry(segment).or_default() += 1;
                }
            }
            freed
        }

        /// The known positions, beginning with one of them, up to the first that is unknown: what
        /// one range may settle.
        fn run(&self, at: usize, len: usize) -> Option<(u64, u64)> {
            let first = *self.known.keys().nth(at % self.known.len().max(1))?;
            let is_known = |position: &u64| self.known.contains_key(position);
            Some((first, (first..=first + len as u64).take_while(is_known).last()?))
        }
    }

    fn by_segment(freed: impl IntoIterator<Item = Freed>) -> BTreeMap<u64, u64> {
        let mut sums = BTreeMap::new();
        for freed in freed {
            assert_eq!(freed.bytes, BYTES * u64::from(freed.messages));
            if freed.messages > 0 {
                *sums.entry(freed.segment).or_default() += u64::from(freed.messages);
            }
        }
        sums
    }

    fn check(extents: &Extents, model: &Model) {
        assert_eq!(extents.live(), model.live.len() as u64);
        for position in model.known.keys() {
            assert_eq!(extents.is_live(*position), model.live.contains_key(position), "{position}");
        }
        let highest = model.next_position;
        for (first, last) in [(0, highest), (highest / 3, highest / 2), (1, 1)] {
            let ranges = extents.live_within(first, last);
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
            for position in model.known.keys() {
                let is_within = ranges.iter().any(|(a, z)| (a..=z).contains(&position));
                let is_live = model.live.contains_key(position);
                assert_eq!(is_within, is_live && (first..=last).contains(position), "{position}");
            }
        }
        let mut last = None;
        for extent in extents.iter() {
            assert!(last.is_none_or(|last| last < extent.first), "extents overlap");
            last = Some(extent.last);
            let within = model.live.range(extent.first..=extent.last);
            assert!(within.clone().all(|(_, segment)| *segment == extent.segment));
            assert_eq!(within.count(), extent.live as usize);
            assert_eq!(extent.bytes, BYTES * u64::from(extent.live));
            assert!(extent.live > 0);
            let mut end = None;
            for (first, last) in &extent.settled {
                assert!(extent.first <= *first && first <= last && *last <= extent.last);
                assert!(end.is_none_or(|end| end + 1 < *first), "ranges touch");
                end = Some(*last);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn extents_say_what_a_table_of_all_messages_says(
            start in 0..2_u64,
            steps in prop::collection::vec(any_step(), 1..40),
        ) {
            let mut extents = Extents::default();
            let mut model = Model { next_position: start, ..Model::default() };
            for step in steps {
                match step {
                    Step::Append(gap, count, next) => {
                        model.next_position += gap;
                        for _ in 0..count {
                            let (position, segment) = (model.next_position, model.segment());
                            extents.append(segment, position, BYTES);
                            model.known.insert(position, segment);
                            model.live.insert(position, segment);
                            model.next_position += 1;
                        }
                        model.next_segment += u64::from(next);
                    }
                    Step::Settle(at) => {
                        if let Some((position, _)) = model.run(at, 0) {
                            let freed = by_segment(extents.settle(position));
                            prop_assert_eq!(freed, model.settle([position]));
                        }
                    }
                    Step::SettleRun(at, len) => {
                        if let Some((first, last)) = model.run(at, len) {
                            let freed = by_segment(extents.settle_range(first, last));
                            prop_assert_eq!(freed, model.settle(first..=last));
                        }
                    }
                    Step::SettleFrom(position, keeps) => {
                        let behind = model.live.range(position..).map(|(position, _)| *position);
                        let (kept, positions): (Vec<u64>, Vec<u64>) =
                            behind.partition(|position| keeps >> (position % 8) & 1 == 1);
                        let count = positions.len() as u64;
                        let freed = by_segment(extents.settle_from(position, count, &kept));
                        prop_assert_eq!(freed, model.settle(positions));
                    }
                    Step::Relocate(count, next) => {
                        model.next_segment += u64::from(next);
                        // The oldest segment is cleaned; one that is written to is not.
                        let Some(old) = extents.iter().map(|extent| extent.segment).min() else {
                            continue;
                        };
                        if old == model.segment() {
                            continue;
                        }
                        let positions: Vec<u64> = model.live.iter()
                            .filter(|(_, segment)| **segment == old)
                            .map(|(position, _)| *position)
                            .take(count)
                            .collect();
                        let segment = model.segment();
                        for position in positions {
                            let freed = by_segment(extents.relocate(position, segment, BYTES));
                            prop_assert_eq!(freed, BTreeMap::from([(old, 1)]));
                            model.live.insert(position, segment);
                            model.known.insert(position, segment);
                            check(&extents, &model);
                        }
                    }
                    Step::Clear => {
                        let freed = by_segment(extents.clear());
                        let all: Vec<u64> = model.live.keys().copied().collect();
                        prop_assert_eq!(freed, model.settle(all));
                    }
                }
                check(&extents, &model);
            }
        }
    }

    #[test]
    fn what_was_settled_behind_a_moved_message_stays_settled() {
        let mut extents = Extents::default();
        (0..4).for_each(|position| extents.append(1, position, BYTES));
        extents.settle_range(0, 0);
        extents.settle_range(2, 2);
        extents.relocate(1, 2, BYTES);
        assert!(!extents.is_live(0) && extents.is_live(1));
        assert!(!extents.is_live(2) && extents.is_live(3));
        assert_eq!(extents.relocate(2, 2, BYTES), None);
    }

    #[test]
    fn the_highest_position_is_no_trouble() {
        let mut extents = Extents::default();
        extents.append(1, 0, BYTES);
        extents.append(1, u64::MAX, BYTES);
        assert_eq!(extents.settle_from(u64::MAX, 1, &[]).len(), 1);
        extents.clear();
        extents.append(1, u64::MAX, BYTES);
        extents.settle_range(0, u64::MAX);
        assert_eq!(extents.live(), 0);
    }
}
