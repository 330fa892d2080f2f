//! Which messages live, and where: one by one, so that what is missing disturbs nothing else.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::amqp::{FieldTable, ShortStr};
use crate::broker::{VHOST, VirtualHost};
use crate::log::deadlines::Deadlines;
use crate::log::extents::Extent;
use crate::log::fact::{Fact, Place, QueueFact, QueueNumber};
use crate::log::state::{Inconsistent, State};

/// Where a message's record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub(super) struct QueueMessages {
    pub(super) live: BTreeMap<u64, Location>,
    /// Those that should live and are not whole, with where they were.
    pub(super) lost: BTreeMap<u64, Location>,
    pub(super) returned: BTreeMap<u64, u32>,
    pub(super) deadlines: Deadlines,
    pub(super) next_position: u64,
    pub(super) delivered_below: u64,
}

/// The messages of all queues, and all else that lasts.
#[derive(Debug)]
pub(super) struct Messages {
    /// Exchanges, queues and bindings; nothing of messages.
    pub(super) state: State,
    pub(super) queues: BTreeMap<u64, QueueMessages>,
    /// Queues that were deleted in the batches that were looked at.
    deleted: BTreeSet<u64>,
}

impl Messages {
    /// Nothing is known of what exchanges and queues had seen: it may be of messages that are lost.
    pub(super) fn new(mut state: State) -> Self {
        state.seen.clear();
        let queue = |queue: &crate::log::state::QueueState| QueueMessages {
            returned: queue.returned.clone(),
            deadlines: queue.deadlines.clone(),
            next_position: queue.next_position,
            delivered_below: queue.delivered_below,
            ..QueueMessages::default()
        };
        let queues = state.queues.iter().map(|(number, state)| (number.0, queue(state)));
        Self { queues: queues.collect(), state, deleted: BTreeSet::new() }
    }

    /// A message that lives is here.
    pub(super) fn put(&mut self, place: Place, location: Location) {
        let queue = self.queues.entry(place.queue.0).or_default();
        queue.live.insert(place.position, location);
        queue.lost.remove(&place.position);
        queue.next_position = queue.next_position.max(place.position.saturating_add(1));
    }

    /// Takes in a message of a batch. One of a queue that is unknown was of one that is deleted, if
    /// no declaration can be lost.
    pub(super) fn publish(&mut self, place: Place, location: Location, is_anything_lost: bool) {
        let number = place.queue.0;
        self.state.next_queue = self.state.next_queue.max(number.saturating_add(1));
        let is_known = self.queues.contains_key(&number);
        if is_known || (is_anything_lost && !self.deleted.contains(&number)) {
            self.put(place, location);
        }
    }

    /// Takes in any other fact of a batch.
    ///
    /// # Errors
    /// When it does not fit to what is known, and so was left out. Messages of a queue whose
    /// declaration was are kept.
    pub(super) fn apply(&mut self, fact: Fact) -> Result<(), Inconsistent> {
        let vhost = match &fact {
            Fact::VhostSet(VirtualHost { name, .. }) if *name != VHOST => Some(name),
            fact => fact.vhost(),
        };
        if let Some(vhost) = vhost {
            self.make_vhost(vhost)?;
        }
        match &fact {
            Fact::Settled(settled) => {
                for settled in settled {
                    let Some(queue) = self.queues.get_mut(&settled.queue.0) else { continue };
                    for (first, last) in &settled.ranges {
                        queue.settle(*first, *last);
                    }
                }
            }
            Fact::Dropped(dropped) => {
                if let Some(queue) = self.queues.get_mut(&dropped.from.queue.0) {
                    dropped.ranges().for_each(|(first, last)| queue.settle(first, last));
                }
            }
            Fact::Returned(place, count) => {
                if let Some(queue) = self.queues.get_mut(&place.queue.0) {
                    queue.returned.insert(place.position, *count);
                }
            }
            Fact::Delivered(number, below) => {
                if let Some(queue) = self.queues.get_mut(&number.0) {
                    queue.delivered_below = queue.delivered_below.max(*below);
                }
            }
            Fact::Timed(timed) => {
                if let Some(queue) = self.queues.get_mut(&timed.queue.0) {
                    let known = queue.deadlines.durable();
                    queue.deadlines = known.chain(timed.ranges.iter().copied()).collect();
                }
            }
            Fact::QueueDeclared(queue) => {
                self.queues.entry(queue.number.0).or_default();
                // Of queues with the same name, the last one lives: the deletion of the one before
                // it is lost. Lanes have the name of their queue.
                match self.state.queue_named(&queue.vhost, &queue.name) {
                    Some(before) if before != queue.number && queue.lane.is_none() => {
                        self.apply(Fact::QueueDeleted(before))?;
                    }
                    _ => {}
                }
                return self.state.apply(fact, 0, 0);
            }
            Fact::QueueDeleted(number) => {
                // Its lanes go where it goes.
                for number in self.state.lanes(*number).chain([*number]) {
                    self.queues.remove(&number.0);
                    self.deleted.insert(number.0);
                }
                return self.state.apply(fact, 0, 0);
            }
            Fact::VhostDeleted(name) => {
                for number in self.state.queues_in(name) {
                    self.queues.remove(&number.0);
                    self.deleted.insert(number.0);
                }
                return self.state.apply(fact, 0, 0);
            }
            Fact::Message(_) | Fact::Segment(_) | Fact::Messages(_) | Fact::Seen(_) => {}
            _ => return self.state.apply(fact, 0, 0),
        }
        Ok(())
    }

    /// Something is in a virtual host. If that is not known, what told of it is lost.
    fn make_vhost(&mut self, name: &ShortStr) -> Result<(), Inconsistent> {
        if self.state.access.has_vhost(name) {
            return Ok(());
        }
        let has_old = self.state.access.vhosts.is_empty() && self.state.has_content();
        for name in has_old.then_some(VHOST).into_iter().chain([name.clone()]) {
            let made = VirtualHost { name, ..VirtualHost::default() };
            self.state.apply(Fact::VhostSet(made), 0, 0)?;
        }
        Ok(())
    }

    /// Declares the queues of which only messages are left. How many.
    pub(super) fn declare_unnamed(&mut self) -> Vec<String> {
        let known = &self.state.queues;
        self.queues.retain(|number, queue| {
            known.contains_key(&QueueNumber(*number)) || !queue.live.is_empty()
        });
        let names: BTreeSet<ShortStr> =
            known.values().map(|queue| queue.declaration.name.clone()).collect();
        let numbers = self.queues.keys().copied().map(QueueNumber);
        let unnamed: Vec<QueueNumber> =
            numbers.filter(|number| !known.contains_key(number)).collect();
        let mut given = Vec::new();
        if !unnamed.is_empty() {
            self.make_vhost(&VHOST).expect("it may always be there");
        }
        for number in unnamed {
            let mut name = format!("salvaged.{}", number.0);
            while names.contains(&ShortStr::from(name.as_str())) {
                name.push('+');
            }
            let declaration = QueueFact {
                number,
                vhost: VHOST,
                name: name.as_str().into(),
                auto_delete: false,
                arguments: FieldTable::default(),
                lane: None,
            };
            let declared = self.state.apply(Fact::QueueDeclared(declaration), 0, 0);
            declared.expect("neither its number nor its name is taken");
            given.push(name);
        }
        given
    }

    /// The number of the next queue, and the next position of each.
    pub(super) fn next_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let next_position = |queue: &QueueMessages| queue.next_position.max(queue.delivered_below);
        self.queues.values().map(next_position).chain([self.state.next_queue])
    }

    /// The state with these messages. Segments are still to be given their facts, and extents the
    /// places of their indexes.
    pub(super) fn into_state(mut self, may_all_be_delivered: bool) -> State {
        self.state.segments.clear();
        for (number, messages) in self.queues {
            let Some(queue) = self.state.queues.get_mut(&QueueNumber(number)) else { continue };
            queue.next_position = messages.next_position.max(messages.delivered_below);
            queue.delivered_below = match may_all_be_delivered {
                true => queue.next_position,
                false => messages.delivered_below,
            };
            let is_live = |(position, _): &(u64, u32)| messages.live.contains_key(position);
            queue.returned = messages.returned.into_iter().filter(is_live).collect();
            let list = extents(&messages.live);
            queue.deadlines = messages.deadlines;
            queue.extents = list.iter().cloned().collect();
            for extent in list {
                self.state.add_live(extent.segment, extent.live.into(), extent.bytes);
            }
        }
        self.state
    }

    pub(super) fn name(&self, queue: u64) -> String {
        super::super::queue_name(&self.state, queue)
    }
}

impl QueueMessages {
    fn settle(&mut self, first: u64, last: u64) {
        for messages in [&mut self.live, &mut self.lost] {
            while let Some((&position, _)) = messages.range(first..=last).next() {
                messages.remove(&position);
            }
        }
        while let Some((&position, _)) = self.returned.range(first..=last).next() {
            self.returned.remove(&position);
        }
        self.deadlines.remove(first, last);
    }
}

/// Live messages as extents: what is between them is settled.
fn extents(live: &BTreeMap<u64, Location>) -> Vec<Extent> {
    let mut list: Vec<Extent> = Vec::new();
    for (&position, location) in live {
        match list.last_mut().filter(|extent| extent.segment == location.segment) {
            Some(extent) => {
                if extent.last + 1 < position {
                    extent.settled.insert(extent.last + 1, position - 1);
                }
                extent.last = position;
                extent.live += 1;
                extent.bytes += u64::from(location.len);
            }
            None => list.push(Extent {
                segment: location.segment,
                first: position,
                last: position,
                live: 1,
                bytes: location.len.into(),
                ..Extent::default()
            }),
        }
    }
    list
}
