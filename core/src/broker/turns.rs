//! Whose turn it is among the consumers of a queue: by priority, round-robin within one.
//!
//! A consumer that cannot take a message is dropped when its turn comes, and put back when it can
//! again. One that is gone leaves its turn behind, to be passed over; its cost is paid once, not
//! searched for at each end of a consumer.

use alloc::collections::{BTreeMap, VecDeque};
use core::cmp::Reverse;

use super::consumer::ConsumerId;

/// The consumers to whom a queue may turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The level of the highest priority that had a turn: in most queues the only one. It stays
    /// when it is empty, as its consumers come and go, message by message.
    top: Level,
    /// Lower levels, none of them empty.
    lower: BTreeMap<Reverse<i64>, VecDeque<ConsumerId>>,
    len: usize,
    /// How many turns of consumers that are gone there are, at most.
    stale: usize,
}

#[derive(Debug, Default)]
struct Level {
    priority: i64,
    consumers: VecDeque<ConsumerId>,
}

impl Turns {
    /// Whose turn it is; maybe a consumer that is gone.
    #[inline]
    pub(crate) fn next(&self) -> Option<ConsumerId> {
        let first_below = || self.lower.first_key_value()?.1.front();
        self.top.consumers.front().or_else(first_below).copied()
    }

    /// Takes the turn of whose it is.
    pub(crate) fn take(&mut self) -> Option<ConsumerId> {
        self.fill_top();
        let taken = self.top.consumers.pop_front()?;
        self.len -= 1;
        Some(taken)
    }

    /// Whose turn it is has had it, and the next one behind those of its priority that wait for
    /// theirs.
    #[inline]
    pub(crate) fn pass_on(&mut self) {
        // Mostly there is no other.
        if self.top.consumers.len() != 1 {
            self.turn_round();
        }
    }

    /// Where the top level is empty, the next lower one takes its place.
    fn fill_top(&mut self) {
        if self.top.consumers.is_empty()
            && let Some((Reverse(priority), consumers)) = self.lower.pop_first()
        {
            self.top = Level { priority, consumers };
        }
    }

    fn turn_round(&mut self) {
        self.fill_top();
        if let Some(first) = self.top.consumers.pop_front() {
            self.top.consumers.push_back(first);
        }
    }

    /// Gives a consumer a turn, behind those of its priority that wait for theirs.
    pub(crate) fn give(&mut self, consumer: ConsumerId, priority: i64) {
        self.len += 1;
        if priority != self.top.priority {
            let is_idle = self.top.consumers.is_empty() && self.lower.is_empty();
            if !is_idle && priority < self.top.priority {
                self.lower.entry(Reverse(priority)).or_default().push_back(consumer);
                return;
            }
            let top = Level { priority, consumers: VecDeque::new() };
            let old = core::mem::replace(&mut self.top, top);
            if !old.consumers.is_empty() {
                self.lower.insert(Reverse(old.priority), old.consumers);
            }
        }
        self.top.consumers.push_back(consumer);
    }

    /// A consumer that had a turn is gone. Once most turns may be of such, they are swept out.
    pub(crate) fn withdraw(&mut self, is_alive: impl Fn(ConsumerId) -> bool) {
        self.stale += 1;
        if 2 * self.stale <= self.len {
            return;
        }
        self.top.consumers.retain(|consumer| is_alive(*consumer));
        self.lower.retain(|_, consumers| {
            consumers.retain(|consumer| is_alive(*consumer));
            !consumers.is_empty()
        });
        self.stale = 0;
        self.len = self.top.consumers.len() + self.lower.values().map(VecDeque::len).sum::<usize>();
    }

    /// Takes the turn of whose it is: a consumer that is gone.
    pub(crate) fn pass_over(&mut self) {
        self.take();
        self.stale = self.stale.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn consumer(index: u32) -> ConsumerId {
        ConsumerId::new(index, 0)
    }

    fn order(turns: &mut Turns) -> Vec<u32> {
        core::iter::from_fn(|| turns.take()).map(|consumer| consumer.index).collect()
    }

    #[test]
    fn consumers_that_come_and_go_leave_nothing_behind() {
        let mut turns = Turns::default();
        for priority in 0..100 {
            turns.give(consumer(0), priority);
            turns.withdraw(|_| false);
        }
        assert_eq!((turns.len, turns.lower.len()), (0, 0));
    }

    #[test]
    fn who_has_had_a_turn_is_behind_those_of_its_priority_and_before_lower_ones() {
        let mut turns = Turns::default();
        for (index, priority) in [(0, 5), (1, 1), (2, 1), (3, 0)] {
            turns.give(consumer(index), priority);
        }
        turns.pass_on();
        assert_eq!(turns.take(), Some(consumer(0)));
        turns.pass_on();
        assert_eq!(order(&mut turns), [2, 1, 3]);
        assert_eq!((turns.len, turns.lower.len()), (0, 0));
        turns.pass_on();
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn one_that_is_gone_is_swept_out_with_others() {
        let mut turns = Turns::default();
        for index in 0..10 {
            turns.give(consumer(index), 0);
        }
        for gone in 1..=6 {
            turns.withdraw(|consumer| consumer.index >= gone);
        }
        assert_eq!(order(&mut turns), [6, 7, 8, 9]);
    }

    proptest! {
        /// Against a plain list.
        #[test]
        fn the_highest_priority_comes_first_and_within_it_who_waits_longest(
            steps in prop::collection::vec(prop::option::of(-2i64..3), 0..60),
        ) {
            let (mut turns, mut model) = (Turns::default(), Vec::<(i64, u32)>::new());
            for (index, step) in steps.into_iter().enumerate() {
                let index = index as u32;
                if let Some(priority) = step {
                    turns.give(consumer(index), priority);
                    model.push((priority, index));
                    continue;
                }
                let highest = model.iter().map(|(priority, _)| *priority).max();
                let at = model.iter().position(|(priority, _)| Some(*priority) == highest);
                let expected = at.map(|at| model.remove(at).1);
                prop_assert_eq!(turns.next().map(|consumer| consumer.index), expected);
                prop_assert_eq!(turns.take().map(|consumer| consumer.index), expected);
            }
        }
    }
}
