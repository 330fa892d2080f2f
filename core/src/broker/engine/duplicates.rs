//! Messages that came before: what exchanges and queues remember of those that they let through,
//! and what becomes of who comes again.
//!
//! An exchange looks at what clients publish to it, and at nothing else: a message that was delayed
//! was looked at when it came, and a dead letter is no message that is sent again. A queue looks at
//! all that comes to it, but for dead letters that died in it: they come back, and are themselves.
//!
//! A value is remembered when its message is in a queue, and nobody refused it: who is told that a
//! message was not taken, or that it goes nowhere, may send it again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::death;
use super::super::deduplication::{Known, Remembered, Seen, Sighting};
use super::super::message::Message;
use super::super::queue::{Queue, QueueId};
use super::enqueuing::{Enqueued, Taken};
use super::routing::Route;
use super::{Engine, VhostId};
use crate::amqp::{FieldTable, ShortStr};
use crate::log::{BatchNumber, Fact, Log, SeenFact, SeenState, Witness};
use crate::time::Clock;
use crate::{Decision, Mark};

/// What an exchange sees in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight {
    /// Nothing that it compares.
    Nothing,
    /// A value that it is to remember if the message gets somewhere.
    New(Sighting),
    /// A duplicate. What it is one of is safe once this batch is durable.
    Duplicate(BatchNumber),
}

/// A queue that is to remember a value if it takes the message, which it keeps for good or not.
struct Observer {
    queue: QueueId,
    sighting: Sighting,
    is_kept: bool,
}

impl Engine {
    /// What the exchange that a client publishes this message to sees in it. Where it goes is
    /// known, unless it `is_delayed` and stored until that is found out.
    pub(crate) fn look(
        &mut self,
        vhost: VhostId,
        message: &Message,
        route: &Route,
        is_delayed: bool,
    ) -> Sight {
        if !message.properties.has_headers() {
            return Sight::Nothing;
        }
        let exchange = self.host(vhost).exchanges.get(&message.exchange);
        let Some(seen) = exchange.and_then(|exchange| exchange.seen.as_ref()) else {
            return Sight::Nothing;
        };
        let headers = message.properties.headers();
        let Some(sighting) = headers.and_then(|headers| seen.sighting(&headers)) else {
            return Sight::Nothing;
        };
        let keeps = |id: &QueueId| self.keeps(*id, message);
        let is_kept = match is_delayed {
            true => self.log.is_enabled(),
            false => route.queues.iter().any(keeps),
        };
        let Some(gate) = self.is_duplicate(seen, &sighting, is_kept) else {
            return Sight::New(sighting);
        };
        self.mark(Mark::DuplicateAtExchange);
        self.decide_duplicate(vhost, message.exchange.clone(), false, gate)
    }

    /// This came of a message that an exchange had not seen.
    pub(crate) fn remember_at_exchange(
        &mut self,
        vhost: VhostId,
        exchange: &ShortStr,
        sighting: Sighting,
        enqueued: Enqueued,
    ) {
        let Some(host) = self.vhosts.get_mut(&vhost) else { return };
        if enqueued.is_refused || enqueued.taken == Taken::Nowhere {
            return self.mark(Mark::ValueNotRemembered);
        }
        let is_kept = enqueued.taken == Taken::ForGood;
        let Some(exchange) = host.exchanges.get_mut(exchange) else { return };
        let Some(seen) = &mut exchange.seen else { return };
        let (vhost, name) = (&host.name, &exchange.name);
        let by = exchange.durable.then_some(|| Witness::Exchange(vhost.clone(), name.clone()));
        see(seen, by, &mut self.log, self.clock, sighting, is_kept);
    }

    /// The headers of a message that comes to these queues, if one of them compares any.
    pub(super) fn deduplicates(&self, route: &Route, message: &Message) -> Option<FieldTable> {
        let compares =
            |id: &QueueId| self.queues.get(*id).is_some_and(|queue| queue.seen.is_some());
        let is_compared = message.properties.has_headers() && route.queues.iter().any(compares);
        if is_compared { message.properties.headers() } else { None }
    }

    /// Puts a message with these headers into the queues of its route that do not know it.
    pub(super) fn enqueue_once(
        &mut self,
        route: &Route,
        message: Arc<Message>,
        ttl: Option<u64>,
        headers: &FieldTable,
    ) -> Enqueued {
        let mut unseen = route.clone();
        let (mut observers, mut gate) = (Vec::new(), 0);
        unseen.queues.retain(|id| match self.look_at(*id, &message, headers) {
            Sight::Nothing => true,
            Sight::New(sighting) => {
                // Who refuses it remembers nothing.
                if !self.is_refusing(*id, message.body.len()) {
                    let is_kept = self.keeps(*id, &message);
                    observers.push(Observer { queue: *id, sighting, is_kept });
                }
                true
            }
            Sight::Duplicate(first) => {
                gate = gate.max(first);
                false
            }
        });
        let enqueued = self.enqueue_unseen(&unseen, message, ttl);
        observers.into_iter().for_each(|observer| self.remember_in_queue(&observer));
        Enqueued { gate: enqueued.gate.max(gate), ..enqueued }
    }

    /// What a queue sees in a message that comes to it.
    fn look_at(&mut self, id: QueueId, message: &Message, headers: &FieldTable) -> Sight {
        let Some(queue) = self.queues.get(id) else { return Sight::Nothing };
        let Some(seen) = &queue.seen else { return Sight::Nothing };
        let Some(sighting) = seen.sighting(headers) else { return Sight::Nothing };
        if message.is_dead_letter && death::has_died_in(headers, &queue.name) {
            self.mark(Mark::DeadLetterIsNoDuplicate);
            return Sight::Nothing;
        }
        let Some(gate) = self.is_duplicate(seen, &sighting, self.keeps(id, message)) else {
            return Sight::New(sighting);
        };
        let (vhost, name) = (queue.vhost, queue.name.clone());
        self.mark(Mark::DuplicateInQueue);
        self.decide_duplicate(vhost, name, true, gate)
    }

    /// The exchange or queue of this name has seen a message before, which is safe behind `gate`.
    fn decide_duplicate(
        &mut self,
        vhost: VhostId,
        name: ShortStr,
        is_queue: bool,
        gate: BatchNumber,
    ) -> Sight {
        let vhost = self.vhost_name(vhost).clone();
        self.decisions.push(Decision::Duplicate { vhost, name, is_queue });
        Sight::Duplicate(gate)
    }

    /// Whether a message, which is to be kept or not, is one that came before: then the batch that
    /// must be durable before that is safe. What is to be kept is no duplicate of what is not: it
    /// would be lost with it.
    fn is_duplicate(&self, seen: &Seen, sighting: &Sighting, is_kept: bool) -> Option<BatchNumber> {
        let Known { is_kept: is_first_kept, gate } =
            seen.find(&sighting.value, self.clock.unix_ms())?;
        if is_kept && !is_first_kept {
            self.mark(Mark::DuplicateOfUnkept);
            return None;
        }
        if gate > self.log.durable() {
            self.mark(Mark::DuplicateAwaitsFirst);
        }
        Some(gate)
    }

    /// Whether the log gets a message that comes to this queue, to be there after a start.
    fn keeps(&self, id: QueueId, message: &Message) -> bool {
        self.log.is_enabled() && self.queues.get(id).is_some_and(|queue| queue.keeps(message))
    }

    fn remember_in_queue(&mut self, observer: &Observer) {
        let Observer { queue, sighting, is_kept } = *observer;
        let Some(queue) = self.queues.get_mut(queue) else { return };
        let Some(seen) = &mut queue.seen else { return };
        let number = queue.number;
        let by = queue.durable.then_some(|| Witness::Queue(number));
        see(seen, by, &mut self.log, self.clock, sighting, is_kept);
    }

    /// What a start found that an exchange or a queue remembers.
    pub(super) fn restore_seen(&mut self, by: &Witness, state: SeenState) {
        let seen = match by {
            Witness::Queue(number) => {
                let id = self.numbers.get(number).copied();
                id.and_then(|id| self.queues.get_mut(id)).and_then(|queue| queue.seen.as_mut())
            }
            Witness::Exchange(vhost, name) => {
                let host = self.vhosts.values_mut().find(|host| host.name == *vhost);
                let exchange = host.and_then(|host| host.exchanges.get_mut(name));
                exchange.and_then(|exchange| exchange.seen.as_mut())
            }
        };
        let seen = seen.expect("looked at when the log was read");
        seen.restore(state.values.into_iter(), state.next);
        self.mark(Mark::ValuesRestored);
    }

    /// What a checkpoint has of it.
    pub(super) fn add_seen_facts(&self, facts: &mut Vec<Fact>) {
        let mut add = |by: Witness, seen: &Seen| {
            let (from, values) = seen.kept();
            facts.extend(SeenFact::all(&by, from, values));
        };
        for host in self.living_vhosts() {
            let exchanges = host.durable_exchanges.iter();
            for exchange in exchanges.filter_map(|name| host.exchanges.get(name)) {
                if let Some(seen) = &exchange.seen {
                    add(Witness::Exchange(host.name.clone(), exchange.name.clone()), seen);
                }
            }
        }
        let is_kept = |queue: &Queue| queue.durable && !self.is_emptying(queue.vhost);
        for (_, queue) in self.queues.iter().filter(|(_, queue)| is_kept(queue)) {
            if let Some(seen) = &queue.seen {
                add(Witness::Queue(queue.number), seen);
            }
        }
    }
}

/// Remembers a value, of which the message is in the batch that gathers if it is kept. What the log
/// is to know goes to the same batch, unless nobody outlives a start who could remember.
fn see(
    seen: &mut Seen,
    by: Option<impl FnOnce() -> Witness>,
    log: &mut Log,
    clock: Clock,
    Sighting { value, ttl }: Sighting,
    is_kept: bool,
) {
    let until = ttl.map(|millis| clock.deadline_in(millis));
    let batch = is_kept.then_some(log.position());
    let remembered = seen.remember(value, until, batch, log.durable(), clock.unix_ms());
    let Remembered { seen, from, has_forgotten_kept } = remembered;
    if has_forgotten_kept && !is_kept {
        log.marks.reach(Mark::ValuePushedOut);
    }
    let Some(by) = by.filter(|_| is_kept || has_forgotten_kept) else { return };
    let values = is_kept.then_some(seen).into_iter().collect();
    log.note(Fact::Seen(SeenFact { by: by(), from, values }));
}
