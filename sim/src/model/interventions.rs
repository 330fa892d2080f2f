//! What those who run the broker do to queues and single messages: arguments that change, queues
//! that hand out nothing for a while, messages that are dropped or taken back, limits that change.

use std::cmp::Reverse;

use super::policies::{is_fine, number};
use super::topology::meaningful;
use super::{Answer, Fate, Model, Promise, Queue, QueueId};
use crate::wire::{Table, Value};

/// Something of that.
#[derive(Clone, Debug, PartialEq)]
pub enum Intervention {
    /// A queue has these arguments from now on.
    Arguments(String, Table),
    /// A queue hands out nothing any more, or does again.
    Pause(String, bool),
    /// A message of a queue is dropped: of those that were ready, the one at this index, which is
    /// there, if there was one.
    Delete(String, u64, Option<Spot>),
    /// A message is taken back that is to be routed later: in this virtual host, the one at this
    /// index of those that waited, with this place, if there was one.
    Cancel(String, u64, Option<u64>),
    /// Messages may take so much memory from now on, and so much of the disk must be free.
    Limits(Option<u64>, Option<u64>),
}

/// Where a message is: in which queue, and at which level and place.
pub type Spot = (QueueId, (Reverse<u8>, u64));

/// The arguments that a queue has for as long as it is there.
pub(crate) const FIXED: [&str; 7] = [
    "x-cache-size",
    "x-cache-ttl",
    "x-deduplication-header",
    "x-max-priority",
    "x-message-deduplication",
    "x-queue-type",
    "x-single-active-consumer",
];

fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    table.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(number);
    a == b || number(a).is_some() && number(a) == number(b)
}

/// Whether arguments make sense, each for itself and all together.
fn make_sense(arguments: &Table) -> bool {
    let has = |name: &str| find(arguments, name).is_some();
    let lacks_exchange = has("x-dead-letter-routing-key") && !has("x-dead-letter-exchange");
    let mut known = arguments.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix("x-").filter(|_| !FIXED.contains(&name.as_str()))?;
        Some((key, value))
    });
    !lacks_exchange && known.all(|(key, value)| is_fine(key, value))
}

impl Model {
    /// Does what is wished; whether that is on disk once it is answered.
    pub(super) fn intervene(&mut self, wish: Intervention) -> (Answer, bool) {
        let done = match wish {
            Intervention::Arguments(name, arguments) => self.set_arguments(&name, &arguments),
            Intervention::Pause(name, is_paused) => self.pause(&name, is_paused),
            Intervention::Delete(name, _, found) => {
                let queue = self.queue_named(&name).map(|queue| queue.id);
                found.filter(|(id, _)| Some(*id) == queue).and_then(|spot| self.take_out(spot))
            }
            Intervention::Limits(memory_max, disk_free_min) => {
                self.setup.memory_max = memory_max.unwrap_or(self.setup.memory_max).max(1);
                self.setup.disk_free_min = disk_free_min.unwrap_or(self.setup.disk_free_min);
                Some((Answer::Updated, false))
            }
            Intervention::Cancel(vhost, _, place) => {
                let store = self.store(&vhost).map(|store| store.id);
                let spot = store.zip(place).map(|(id, place)| (id, (Reverse(0), place)));
                spot.and_then(|spot| self.take_out(spot))
            }
        };
        done.unwrap_or((Answer::Refused, false))
    }

    fn set_arguments(&mut self, name: &str, arguments: &Table) -> Option<(Answer, bool)> {
        let queue = self.queue_named(name)?;
        let mut arguments = arguments.clone();
        let kind = find(&queue.arguments, "x-queue-type");
        if let Some(kind) = kind.filter(|_| find(&arguments, "x-queue-type").is_none()) {
            arguments.push(("x-queue-type".into(), kind.clone()));
        }
        let wanted = meaningful(&arguments);
        let stays = |name: &&str| is_same(find(&queue.arguments, name), find(&wanted, name));
        if !make_sense(&arguments) || !FIXED.iter().all(stays) {
            return None;
        }
        let (id, is_durable) = (queue.id, queue.is_durable);
        if queue.arguments == wanted {
            return Some((Answer::Unchanged, false));
        }
        self.refit(id, |queue| queue.arguments = wanted);
        Some((Answer::Updated, is_durable))
    }

    /// Something else is asked of a queue from now on, by its arguments or by policies.
    pub(super) fn refit(&mut self, id: QueueId, change: impl FnOnce(&mut Queue)) {
        let queue = self.queues.get_mut(&id).expect("one of all");
        let before = queue.expires();
        let limit = (queue.limits(), queue.overflow());
        change(queue);
        if limit != (queue.limits(), queue.overflow()) {
            queue.limited_from = queue.next_position;
            queue.is_vague = true;
        }
        let tells_returns = queue.tells_returns();
        queue.ready.iter_mut().for_each(|copy| copy.tells_returns = tells_returns);
        if queue.expires() != before {
            self.renew(id);
        }
    }

    fn pause(&mut self, name: &str, is_paused: bool) -> Option<(Answer, bool)> {
        let id = self.queue_named(name)?.id;
        let queue = self.queues.get_mut(&id).expect("just found");
        let was_paused = std::mem::replace(&mut queue.is_paused, is_paused);
        let answer = if was_paused == is_paused { Answer::Unchanged } else { Answer::Updated };
        Some((answer, false))
    }

    /// A ready message is gone for good.
    fn take_out(&mut self, (id, place): Spot) -> Option<(Answer, bool)> {
        let queue = self.queues.get_mut(&id)?;
        let at = queue.ready.iter().position(|copy| copy.place() == place)?;
        let copy = queue.ready.remove(at);
        queue.purged += 1;
        let message = &mut self.messages[copy.message];
        message.fates.insert(id, Fate::Purged);
        self.touched = Some(id);
        // Of what was not written yet, nothing need be.
        let is_written = message.batch < self.history.batch;
        let message = &self.messages[copy.message];
        Some((Answer::Deleted, is_written && self.queues[&id].keeps(message)))
    }

    /// What an answer promises, if it promises that something is on disk.
    pub(super) fn promise_of(&self, is_durable: bool) -> Option<Promise> {
        is_durable.then(|| Promise { batch: self.history.batch, ..Promise::default() })
    }

    /// The place of the message in a queue that has this name, the first so many of that name being
    /// before it.
    #[must_use]
    pub fn spot(&self, queue: &str, message: &str, before: usize) -> Option<Spot> {
        let queue = self.queue_named(queue)?;
        let named = queue.ready.iter().filter(|copy| self.messages[copy.message].name == message);
        named.map(|copy| (queue.id, copy.place())).nth(before)
    }

    /// The place of the message that is routed as the one at this index of all that wait in a
    /// virtual host.
    #[must_use]
    pub fn place_of_delayed(&self, vhost: &str, index: usize) -> Option<u64> {
        let ready = self.store(vhost).into_iter().flat_map(|store| &store.ready);
        let mut waiting: Vec<_> =
            ready.map(|copy| (copy.deadline_ms.unwrap_or(0), copy.position)).collect();
        waiting.sort_unstable();
        waiting.get(index).map(|(_, place)| *place)
    }
}
