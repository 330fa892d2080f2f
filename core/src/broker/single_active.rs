//! Which consumer of a queue is served, where it is one at a time (`x-single-active-consumer`).
//!
//! The first that comes is active, the others wait. When the active one is gone, the next is who
//! has the highest priority, and of these who has waited longest. A consumer without credit stays
//! active. In a quorum queue, the active one makes room for a higher priority: it is given nothing
//! more, and steps back once it holds nothing.
//!
//! What is decided follows from who is there and what the active one holds, each time anew: no
//! sequence of events leaves a queue with consumers and without one that is active.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use super::consumer::{Consumer, ConsumerId};
use crate::slab::Slab;

/// The consumers of a queue that serves one at a time.
#[derive(Debug)]
pub(crate) struct SingleActive {
    /// Whether the active one makes room for a higher priority.
    makes_room: bool,
    active: Option<ConsumerId>,
    /// Whether the active one is given nothing more, as a higher priority waits for its place.
    is_draining: bool,
    /// Who is next comes first.
    waiting: BTreeMap<(Reverse<i64>, u64), ConsumerId>,
    next_rank: u64,
}

/// What has changed about who is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// Nobody was active, and the next is now.
    Next,
    /// The active one is given nothing more until it holds nothing.
    Drains,
    /// The active one has stepped back, and a higher priority is active.
    SteppedBack,
}

impl SingleActive {
    pub(crate) fn new(makes_room: bool) -> Self {
        Self {
            makes_room,
            active: None,
            is_draining: false,
            waiting: BTreeMap::new(),
            next_rank: 0,
        }
    }

    /// Who is active, whether or not it is given anything.
    pub(crate) fn active(&self) -> Option<ConsumerId> {
        self.active
    }

    /// Whether this consumer may be given messages.
    pub(crate) fn serves(&self, id: ConsumerId) -> bool {
        self.active == Some(id) && !self.is_draining
    }

    /// Whether consumers wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A consumer waits from now on. To be followed by [`Self::elect`].
    pub(crate) fn join(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        consumer.rank = self.next_rank;
        self.next_rank += 1;
        self.waiting.insert((Reverse(consumer.priority), consumer.rank), id);
    }

    /// A consumer is gone. To be followed by [`Self::elect`].
    pub(crate) fn leave(&mut self, id: ConsumerId, consumer: &Consumer) {
        self.waiting.remove(&(Reverse(consumer.priority), consumer.rank));
        self.active.take_if(|active| *active == id);
    }

    /// Finds out who is to be active: to be asked whenever consumers come or go, or the active one
    /// holds nothing any more.
    pub(crate) fn elect(&mut self, consumers: &mut Slab<Consumer>) -> Change {
        let was_draining = core::mem::take(&mut self.is_draining);
        let Some((Reverse(highest), _)) = self.waiting.keys().next().copied() else {
            return Change::None;
        };
        let Some(id) = self.active else {
            self.active = self.waiting.pop_first().map(|(_, next)| next);
            return Change::Next;
        };
        let active = consumers.get_mut(id).expect("who is gone was told to leave");
        if !self.makes_room || highest <= active.priority {
            return Change::None;
        }
        if active.unacked > 0 {
            self.is_draining = true;
            return if was_draining { Change::None } else { Change::Drains };
        }
        self.active = self.waiting.pop_first().map(|(_, next)| next);
        self.join(id, active);
        Change::SteppedBack
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::consumer::SessionId;
    use crate::broker::queue::QueueId;

    fn consumer(priority: i64) -> Consumer {
        Consumer {
            session: SessionId::new(0, 0),
            queue: QueueId::new(0, 0),
            tag: "t".into(),
            no_ack: false,
            priority,
            prefetch: 0,
            unacked: 0,
            timeout: None,
            has_turn: false,
            rank: 0,
            served_at: 0,
        }
    }

    /// A queue's consumers, as [`SingleActive`] sees them.
    struct World {
        single: SingleActive,
        consumers: Slab<Consumer>,
    }

    impl World {
        fn new(makes_room: bool) -> Self {
            Self { single: SingleActive::new(makes_room), consumers: Slab::new() }
        }

        fn join(&mut self, priority: i64) -> ConsumerId {
            let id = self.consumers.insert(consumer(priority));
            self.single.join(id, self.consumers.get_mut(id).expect("just made"));
            self.single.elect(&mut self.consumers);
            id
        }

        fn leave(&mut self, id: ConsumerId) {
            let consumer = self.consumers.remove(id).expect("a living consumer");
            self.single.leave(id, &consumer);
            self.single.elect(&mut self.consumers);
        }

        fn hold(&mut self, id: ConsumerId, unacked: u32) {
            self.consumers.get_mut(id).expect("a living consumer").unacked = unacked;
            self.single.elect(&mut self.consumers);
        }
    }

    #[test]
    fn the_highest_priority_is_next_and_of_these_who_waits_longest() {
        let mut world = World::new(false);
        let [first, low, high, higher] = [5, 0, 1, 1].map(|priority| world.join(priority));
        for (active, gone) in [(first, first), (high, high), (higher, higher), (low, low)] {
            assert!(world.single.serves(active));
            world.leave(gone);
        }
        assert_eq!(world.single.active(), None);
    }

    #[test]
    fn a_classic_queue_does_not_change_over() {
        let mut world = World::new(false);
        let [first, high] = [0, 9].map(|priority| world.join(priority));
        assert!(world.single.serves(first) && !world.single.serves(high));
    }

    #[test]
    fn a_higher_priority_takes_over_once_the_active_one_holds_nothing() {
        let mut world = World::new(true);
        let first = world.join(0);
        world.hold(first, 1);
        let high = world.join(1);
        assert!(!world.single.serves(first) && !world.single.serves(high));
        world.hold(first, 0);
        assert!(world.single.serves(high));
    }

    #[test]
    fn one_that_drains_goes_on_when_the_higher_priority_is_gone() {
        let mut world = World::new(true);
        let first = world.join(0);
        world.hold(first, 1);
        let high = world.join(1);
        world.leave(high);
        assert!(world.single.serves(first));
    }

    proptest! {
        /// Whatever comes and goes, a queue with consumers has an active one; and one that is
        /// served, unless it drains for a higher priority.
        #[test]
        fn there_is_always_one_that_is_active(
            makes_room in any::<bool>(),
            steps in prop::collection::vec((0u8..4, 0usize..8, -1i64..2), 0..80),
        ) {
            let (mut world, mut living) = (World::new(makes_room), Vec::new());
            for (step, at, priority) in steps {
                match (step, living.len()) {
                    (0, _) | (_, 0) => living.push(world.join(priority)),
                    (1, len) => world.leave(living.remove(at % len)),
                    (step, _) => {
                        let active = world.single.active().expect("some are there");
                        world.hold(active, u32::from(step == 2));
                    }
                }
                let active = world.single.active();
                prop_assert_eq!(active.is_some(), !living.is_empty());
                let Some(active) = active else { continue };
                prop_assert!(living.contains(&active));
                let holder = world.consumers.get(active).expect("it is there");
                let is_outranked = living.iter().any(|id| {
                    world.consumers.get(*id).expect("alive").priority > holder.priority
                });
                let drains = makes_room && is_outranked;
                prop_assert!(!drains || holder.unacked > 0);
                prop_assert_eq!(world.single.serves(active), !drains);
            }
        }
    }
}
