//! The lanes of a queue whose messages have priorities: one for each level that was ever used.
//!
//! A lane is a queue in all that concerns its messages: it has a number of its own in the log,
//! positions that grow in the order of coming, and keeps what it has on disk like any other. What
//! clients see is the queue that they declared, the *head*: it has the name, bindings, consumers
//! and limits, and is itself the lane of the level of messages that say no priority.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::queue::QueueId;
use crate::log::LaneFact;

/// What a queue is to others whose messages have priorities; most are nothing of the kind.
#[derive(Debug)]
pub(crate) enum ByLevel {
    /// It has lanes beside itself.
    Head(Lanes),
    Lane(Lane),
}

/// What makes a queue a lane of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) head: QueueId,
    /// The same, as the log has it, and the level.
    pub(crate) fact: LaneFact,
}

/// The lanes of a head that has others than itself.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// By level, the highest first; the head is one of them.
    all: Vec<(Reverse<u8>, QueueId)>,
    /// In which of them the dead are, in the order in which they died.
    dead: VecDeque<QueueId>,
}

impl Lanes {
    /// Those of a head that was the only one so far, and in which so many are dead.
    pub(crate) fn new(level: u8, head: QueueId, dead: usize) -> Self {
        let all = Vec::from([(Reverse(level), head)]);
        Self { all, dead: core::iter::repeat_n(head, dead).collect() }
    }

    /// The lane of a level.
    pub(crate) fn get(&self, level: u8) -> Option<QueueId> {
        let at = self.all.binary_search_by_key(&Reverse(level), |(level, _)| *level).ok()?;
        Some(self.all[at].1)
    }

    /// Adds the lane of a level that has none.
    pub(crate) fn insert(&mut self, level: u8, id: QueueId) {
        let at = self.all.partition_point(|(other, _)| *other < Reverse(level));
        self.all.insert(at, (Reverse(level), id));
    }

    /// All of them, the highest level first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = QueueId> + '_ {
        self.all.iter().map(|(_, id)| *id)
    }

    /// Whether nobody is dead.
    pub(crate) fn has_no_dead(&self) -> bool {
        self.dead.is_empty()
    }

    /// The lane of who died first.
    pub(crate) fn first_dead(&self) -> Option<QueueId> {
        self.dead.front().copied()
    }

    /// Takes note of one more who is dead.
    pub(crate) fn push_dead(&mut self, lane: QueueId) {
        self.dead.push_back(lane);
    }

    /// Forgets who died first.
    pub(crate) fn pop_dead(&mut self) {
        self.dead.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_stand_by_level_whenever_they_come() {
        let id = |index| QueueId::new(index, 0);
        let mut lanes = Lanes::new(4, id(0), 2);
        lanes.insert(9, id(1));
        lanes.insert(0, id(2));
        lanes.insert(5, id(3));
        assert!(lanes.ids().eq([id(1), id(3), id(0), id(2)]));
        assert_eq!((lanes.get(5), lanes.get(4), lanes.get(6)), (Some(id(3)), Some(id(0)), None));
    }

    #[test]
    fn who_died_before_there_were_lanes_is_first() {
        let id = |index| QueueId::new(index, 0);
        let mut lanes = Lanes::new(0, id(0), 1);
        lanes.push_dead(id(1));
        assert_eq!(lanes.first_dead(), Some(id(0)));
        lanes.pop_dead();
        assert_eq!(lanes.first_dead(), Some(id(1)));
        lanes.pop_dead();
        assert!(lanes.has_no_dead());
    }
}
