//! Messages that go on their way later.
//!
//! Each virtual host has a store for them, made with the first one: a queue that no client can
//! name, in which they wait as any message does that expires. When its time has come, a message is
//! routed as it would have been when it was published, by what is bound then, and leaves the store
//! in the same batch of the log. The store keeps transient messages as well: who asks for a delay
//! expects it to outlast a restart.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::delay::{self, Due};
use super::super::exchange::Envelope;
use super::super::message::Message;
use super::super::queue::{Owner, Queue, QueueDeclaration, QueueId};
use super::enqueuing::Enqueued;
use super::routing::Route;
use super::{Engine, VhostId};
use crate::amqp::{FieldTable, ShortStr};
use crate::log::Fact;
use crate::{DelayedMessage, Event, Mark, QueueStatus};

/// What the log calls the queue that stores delayed messages.
pub(crate) const STORE: ShortStr = ShortStr::from_static("amq.delayed");

/// What is to wait for longer than so many milliseconds does so on disk only, as far as there is a
/// disk: memory is for what goes on soon.
const SOON_MS: u64 = 60_000;

impl Engine {
    /// Keeps a message for so many milliseconds, and then routes it.
    pub(crate) fn postpone(
        &mut self,
        vhost: VhostId,
        message: Arc<Message>,
        millis: u64,
    ) -> Enqueued {
        self.mark(Mark::MessageDelayed);
        self.note_published(vhost, &message.exchange);
        let store = self.store(vhost);
        self.enqueue(&Route::to(store), message, Some(millis))
    }

    fn store(&mut self, vhost: VhostId) -> QueueId {
        if let Some(store) = self.host(vhost).delays {
            return store;
        }
        let declaration = QueueDeclaration {
            name: STORE,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: FieldTable::default(),
        };
        let number = self.log.number_queue();
        let queue = Queue::new(number, vhost, STORE, &declaration, Owner(0), self.hash_seed);
        self.log.note_topology(Fact::QueueDeclared(self.queue_fact(&queue)));
        let id = self.queues.insert(queue);
        self.numbers.insert(number, id);
        self.host_mut(vhost).delays = Some(id);
        id
    }

    /// Whether a message that comes to a queue now and leaves it at `deadline` is kept in memory
    /// besides, if there is room.
    pub(super) fn is_due_soon(&self, deadline: Option<u64>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.clock.unix_ms().saturating_add(SOON_MS))
    }

    /// The time of a message has come that waited in the store `id`: it goes where it is for.
    pub(super) fn send_delayed(&mut self, id: QueueId, message: &Message) {
        let Some(vhost) = self.queues.get(id).map(|store| store.vhost) else { return };
        let Some(Due { message, keys, properties }) = delay::due(message) else {
            return self.lose_delayed(id, message, "its properties cannot be read");
        };
        let exchange = message.exchange.clone();
        if !self.host(vhost).exchanges.contains_key(&exchange) {
            self.mark(Mark::DelayedExchangeGone);
            return self.lose_delayed(id, &message, "its exchange is gone");
        }
        let key = &message.routing_key;
        let envelope = Envelope { key, keys: &keys, properties: &properties };
        let route = self.route(vhost, &exchange, &envelope);
        self.remember(vhost, &route, &message);
        if let Some(counts) = &route.counts {
            counts.note_routed(route.len());
        }
        if route.is_empty() {
            self.mark(Mark::DelayedUnroutable);
            return self.lose_delayed(id, &message, "no queue is bound for it");
        }
        self.mark(Mark::DelayedSent);
        let ttl = message.time_to_live();
        let message = Arc::new(message);
        if self.enqueue(&route, message.clone(), ttl).is_refused {
            self.mark(Mark::DelayedRefused);
            self.lose_delayed(id, &message, "a queue that it is for has no room");
        }
    }

    /// A delayed message goes nowhere. Told the first time, and each time that there are twice as
    /// many.
    fn lose_delayed(&mut self, id: QueueId, message: &Message, reason: &'static str) {
        let Some(store) = self.queues.get_mut(id) else { return };
        store.tally(&mut self.tallies, |counts| counts.lost_letters += 1);
        let count = store.counts.lost_letters;
        if count.is_power_of_two() {
            let vhost = store.vhost;
            let vhost = self.host(vhost).name.to_string();
            let exchange = message.exchange.to_string();
            self.events.push(Event::DelayedMessagesLost { vhost, exchange, count, reason });
        }
    }

    /// The messages of a virtual host that wait for their time, up to `limit` of them: those that
    /// come first, or first after that one. Costs as much as it gives.
    pub(crate) fn delayed(
        &self,
        vhost: VhostId,
        after: Option<DelayedMessage>,
        limit: usize,
    ) -> Vec<DelayedMessage> {
        let store = self.host(vhost).delays.and_then(|id| self.queues.get(id));
        let after = after.map(|message| (message.due_ms, message.id));
        let waiting = store.into_iter().flat_map(|store| store.deadlines.to_come_after(after));
        waiting.take(limit).map(|(due_ms, id)| DelayedMessage { id, due_ms }).collect()
    }

    /// Takes back a delayed message. Whether it was still waiting.
    pub(crate) fn cancel_delayed(&mut self, vhost: VhostId, message: u64) -> bool {
        let Some(id) = self.host(vhost).delays else { return false };
        let store = self.queues.get(id);
        if store.is_none_or(|store| store.deadlines.get(message).is_none()) {
            return false;
        }
        let Some(entry) = self.remove_ready(id, message) else { return false };
        if let Some(store) = self.queues.get_mut(id) {
            store.tally(&mut self.tallies, |counts| counts.purged += 1);
        }
        self.forget_entry(id, &entry);
        self.urge_log();
        true
    }

    /// The account of each virtual host's delayed messages, as far as it ever had any.
    pub(crate) fn delay_statuses(&self) -> Vec<QueueStatus> {
        let stores = self.vhosts.values().filter_map(|host| host.delays);
        let stores = stores.filter_map(|id| Some((id, self.queues.get(id)?)));
        stores.map(|(id, store)| self.status(id, store)).collect()
    }
}
