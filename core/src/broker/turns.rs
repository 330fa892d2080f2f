//! Whose turn it is among the consumers of a queue: by priority, round-robin within one.
//!
//! A consumer that cannot take a message is dropped when its turn comes, and put back when it can
//! again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::consumer::ConsumerId;

/// The consumers to whom a queue may turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Highest priority first. A level stays while its consumers come and go, message by message.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    priority: i64,
    consumers: VecDeque<ConsumerId>,
}

impl Turns {
    /// Whose turn it is.
    pub(crate) fn next(&self) -> Option<ConsumerId> {
        self.levels.iter().find_map(|level| level.consumers.front()).copied()
    }

    /// Takes the turn of whose it is.
    pub(crate) fn take(&mut self) -> Option<ConsumerId> {
        self.levels.iter_mut().find_map(|level| level.consumers.pop_front())
    }

    /// Gives a consumer a turn, behind those of its priority that wait for theirs.
    pub(crate) fn give(&mut self, consumer: ConsumerId, priority: i64) {
        let at = match self.levels.binary_search_by(|level| priority.cmp(&level.priority)) {
            Ok(at) => at,
            Err(at) => {
                self.levels.insert(at, Level { priority, consumers: VecDeque::new() });
                at
            }
        };
        self.levels[at].consumers.push_back(consumer);
    }

    /// A consumer is gone: takes it out, and levels that nobody stands in with it.
    pub(crate) fn withdraw(&mut self, consumer: ConsumerId) {
        for level in &mut self.levels {
            level.consumers.retain(|other| *other != consumer);
        }
        self.levels.retain(|level| !level.consumers.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(index: u32) -> ConsumerId {
        ConsumerId::new(index, 0)
    }

    #[test]
    fn the_highest_priority_comes_first_and_within_it_who_waits_longest() {
        let mut turns = Turns::default();
        for (index, priority) in [(0, 0), (1, 5), (2, -1), (3, 5)] {
            turns.give(consumer(index), priority);
        }
        assert_eq!(turns.next(), Some(consumer(1)));
        let order = core::iter::from_fn(|| turns.take()).map(|consumer| consumer.index);
        assert_eq!(order.collect::<Vec<_>>(), [1, 3, 0, 2]);
    }

    #[test]
    fn consumers_that_come_and_go_leave_nothing_behind() {
        let mut turns = Turns::default();
        for priority in 0..100 {
            turns.give(consumer(0), priority);
            turns.withdraw(consumer(0));
        }
        assert!(turns.levels.is_empty());
    }
}
