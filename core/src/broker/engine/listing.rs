//! Listings of what the engine holds. They change nothing.

use alloc::vec::Vec;
use core::ops::Bound;

use super::super::binding::{Binding, Destination, Incoming};
use super::super::consumer::{Consumer, ConsumerId, SessionHandle, SessionId};
use super::super::exchange::Exchange;
use super::super::policy::{Policy, PolicyLayer};
use super::super::queue::{Counts, Queue, QueueId};
use super::{Engine, VhostId};
use crate::amqp::{FieldTable, ShortStr};
use crate::listing::{
    BindingInfo, BindingsOf, ExchangeInfo, Page, QueueCounters, QueueInfo, QueueNumbers,
};
use crate::log::QueueNumber;
use crate::slab::Slab;
use crate::{Instant, QueueName};

/// Where a binding stands among those of its source, or of its destination.
#[derive(Clone, Debug)]
pub(crate) struct BindingPlace(Incoming);

impl Engine {
    /// What time it is, in milliseconds since 1970, UTC.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// What time it was then.
    pub(crate) fn unix_ms_at(&self, moment: Instant) -> u64 {
        self.clock.unix_ms_at(moment)
    }

    /// How many queues that clients see, exchanges, sessions and consumers there are.
    pub(crate) fn totals(&self) -> (u64, u64, u64, u64) {
        let queues = self.vhosts.values().map(|host| host.queues.len()).sum::<usize>();
        let exchanges = self.vhosts.values().map(|host| host.exchange_names.len()).sum::<usize>();
        let counts = (queues, exchanges, self.sessions.len(), self.consumers.len());
        (counts.0 as u64, counts.1 as u64, counts.2 as u64, counts.3 as u64)
    }

    /// What these queues hold, by their numbers; without those that are gone.
    pub(crate) fn find_queue_numbers(&self, keys: &[u64]) -> Vec<QueueNumbers> {
        let ids = keys.iter().filter_map(|key| self.numbers.get(&QueueNumber(*key)).copied());
        ids.filter_map(|id| Some(self.queue_numbers(id, self.queues.get(id)?))).collect()
    }

    /// What `look` finds out about up to `limit` queues, from this one on.
    pub(crate) fn look_at_queues<T>(
        &self,
        from: u64,
        limit: usize,
        mut look: impl FnMut(&QueueView<'_>) -> T,
    ) -> Page<T> {
        page(&self.queues, from, limit, |id, queue| {
            is_visible(queue).then(|| look(&QueueView { engine: self, id, queue }))
        })
    }

    /// Up to `limit` queues, from this one on.
    pub(crate) fn list_queues(&self, from: u64, limit: usize) -> Page<QueueInfo> {
        page(&self.queues, from, limit, |id, queue| {
            is_visible(queue).then(|| self.queue_info(id, queue))
        })
    }

    /// A queue by its name.
    pub(crate) fn find_queue_info(&self, vhost: VhostId, name: &ShortStr) -> Option<QueueInfo> {
        let id = *self.host(vhost).queues.get(name)?;
        self.queues.get(id).map(|queue| self.queue_info(id, queue))
    }

    fn queue_numbers(&self, id: QueueId, queue: &Queue) -> QueueNumbers {
        QueueView { engine: self, id, queue }.numbers()
    }

    /// What happened to the messages of a queue with all its lanes.
    pub(super) fn counters(&self, id: QueueId, queue: &Queue) -> QueueCounters {
        match queue.lanes() {
            None => queue.counts.to_counters(),
            Some(_) => {
                let lanes = self.lanes(id).filter_map(|lane| self.queues.get(lane));
                lanes.map(|lane| lane.counts.to_counters()).sum()
            }
        }
    }

    fn queue_info(&self, id: QueueId, queue: &Queue) -> QueueInfo {
        let host = self.host(queue.vhost);
        let tag = |id: ConsumerId| self.consumers.get(id).map(|consumer| consumer.tag.clone());
        let active = queue.single_active.as_ref().and_then(|single| single.active());
        QueueInfo {
            vhost: host.name.clone(),
            name: queue.name.clone(),
            durable: queue.durable,
            auto_delete: queue.auto_delete,
            owner: queue.owner.map(Into::into),
            arguments: queue.arguments.clone(),
            policy: queue.policies.user.as_deref().cloned(),
            operator_policy: queue.policies.operator.as_deref().cloned(),
            policy_definition: host.policies.asked(&queue.policies).merged(),
            is_paused: queue.is_paused,
            delivery_limit: queue.settings.delivery_limit,
            exclusive_consumer: queue.exclusive_consumer.and_then(tag),
            active_consumer: active.and_then(tag),
            numbers: self.queue_numbers(id, queue),
        }
    }

    /// Up to `limit` exchanges of a virtual host behind this one, by name.
    pub(crate) fn list_exchanges(
        &self,
        vhost: VhostId,
        after: Option<&ShortStr>,
        limit: usize,
    ) -> Vec<ExchangeInfo> {
        let host = self.host(vhost);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = host.exchange_names.range::<ShortStr, _>((from, Bound::Unbounded));
        let found = names.take(limit).filter_map(|name| host.exchanges.get(name));
        found.map(|exchange| exchange_info(&host.name, exchange)).collect()
    }

    /// An exchange by its name.
    pub(crate) fn find_exchange_info(
        &self,
        vhost: VhostId,
        name: &ShortStr,
    ) -> Option<ExchangeInfo> {
        let host = self.host(vhost);
        host.exchanges.get(name).map(|exchange| exchange_info(&host.name, exchange))
    }

    /// Up to `limit` bindings behind this one.
    pub(crate) fn list_bindings(
        &self,
        vhost: VhostId,
        of: BindingsOf<'_>,
        after: Option<&BindingInfo>,
        limit: usize,
    ) -> Vec<BindingInfo> {
        let host = self.host(vhost);
        let after = after.map(|info| &info.place.0);
        if let BindingsOf::Source(source) = of {
            let Some(exchange) = host.exchanges.get(source) else { return Vec::new() };
            let after = after.map(|at| &at.binding);
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let range = exchange.bindings.range::<Binding, _>((from, Bound::Unbounded));
            let list = range.take(limit);
            return list.map(|binding| self.binding_info(binding.incoming(source))).collect();
        }
        let incoming = match of {
            BindingsOf::Queue(name) => {
                let queue = host.queues.get(name).and_then(|id| self.queues.get(*id));
                queue.map(|queue| &queue.incoming)
            }
            BindingsOf::Exchange(name) | BindingsOf::Source(name) => {
                host.exchanges.get(name).map(|exchange| &exchange.incoming)
            }
        };
        let Some(incoming) = incoming else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = incoming.range::<Incoming, _>((from, Bound::Unbounded));
        range.take(limit).map(|incoming| self.binding_info(incoming.clone())).collect()
    }

    /// What there is to tell of an exchange.
    pub(super) fn exchange_told(&self, vhost: VhostId, exchange: &Exchange) -> ExchangeInfo {
        exchange_info(&self.host(vhost).name, exchange)
    }

    fn binding_info(&self, incoming: Incoming) -> BindingInfo {
        let binding = &incoming.binding;
        BindingInfo {
            source: incoming.source.clone(),
            destination: self.name_of(&binding.destination),
            is_queue: matches!(binding.destination, Destination::Queue(_)),
            key: binding.key.clone(),
            arguments: binding.arguments(),
            arguments_hash: xxhash_rust::xxh3::xxh3_64(binding.encoded_arguments()),
            place: BindingPlace(incoming),
        }
    }

    /// How many unacked messages all consumers of a session may hold together, and how many they
    /// were given.
    pub(crate) fn session_numbers(&self, id: SessionId) -> (u32, u64) {
        let session = self.sessions.get(id);
        session.map(|session| (session.prefetch, session.deliveries)).unwrap_or_default()
    }

    /// Up to `limit` consumers, from this one on, with what their queue and front end call them.
    pub(crate) fn list_consumers<T>(
        &self,
        from: u64,
        limit: usize,
        mut info: impl FnMut(ConsumerId, &Consumer, &Queue, SessionHandle) -> Option<T>,
    ) -> Page<T> {
        page(&self.consumers, from, limit, |id, consumer| {
            let queue = self.queues.get(consumer.queue)?;
            let session = self.sessions.get(consumer.session)?;
            info(id, consumer, queue, session.handle)
        })
    }

    /// The consumers of a queue.
    pub(crate) fn consumers_of<T>(
        &self,
        vhost: VhostId,
        name: &ShortStr,
        mut info: impl FnMut(ConsumerId, &Consumer, &Queue, SessionHandle) -> Option<T>,
    ) -> Vec<T> {
        let queue = self.host(vhost).queues.get(name).and_then(|id| self.queues.get(*id));
        let Some(queue) = queue else { return Vec::new() };
        let consumers = queue.consumers.iter().filter_map(|id| {
            let consumer = self.consumers.get(*id)?;
            let session = self.sessions.get(consumer.session)?;
            info(*id, consumer, queue, session.handle)
        });
        consumers.collect()
    }

    /// The policies of a virtual host.
    pub(crate) fn policies(&self, vhost: VhostId, layer: PolicyLayer) -> Vec<Policy> {
        let all = self.host(vhost).policies.iter().filter(|(of, _)| *of == layer);
        all.map(|(_, compiled)| compiled.policy.clone()).collect()
    }
}

/// A queue as it is, for who wants to know little of very many: nothing is read before it is asked
/// for, and nothing is copied.
#[derive(Debug)]
pub struct QueueView<'a> {
    engine: &'a Engine,
    id: QueueId,
    queue: &'a Queue,
}

impl QueueView<'_> {
    /// What it is known by as long as it is there. No other queue ever has the same.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.queue.number.0
    }

    /// Where it stands in listings: the same as long as it is there. They go from low to high, and
    /// the highest is about as high as there ever were queues.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.id.index
    }

    /// The virtual host, and the name.
    #[must_use]
    pub fn name(&self) -> QueueName {
        let vhost = self.engine.host(self.queue.vhost).name.clone();
        QueueName { vhost, name: self.queue.name.clone() }
    }

    /// Whether it is to survive a restart.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.queue.durable
    }

    /// Whether it goes with its last consumer.
    #[must_use]
    pub fn auto_delete(&self) -> bool {
        self.queue.auto_delete
    }

    /// Whether it belongs to one connection.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.queue.owner.is_some()
    }

    /// As it was declared.
    #[must_use]
    pub fn arguments(&self) -> &FieldTable {
        &self.queue.arguments
    }

    /// The policy that is in force for it.
    #[must_use]
    pub fn policy(&self) -> Option<&ShortStr> {
        self.queue.policies.user.as_deref()
    }

    /// The operator's policy that is in force for it.
    #[must_use]
    pub fn operator_policy(&self) -> Option<&ShortStr> {
        self.queue.policies.operator.as_deref()
    }

    /// Whether it hands out nothing.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.queue.is_paused
    }

    /// Messages that wait for a consumer.
    #[must_use]
    pub fn ready(&self) -> u64 {
        self.sum(|lane| lane.ready.len() as u64)
    }

    /// Messages with consumers, not settled yet.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        self.sum(|lane| lane.unacked)
    }

    /// How many bytes the bodies of the ready messages have, as far as it is known.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        self.sum(|lane| lane.ready.weight.ready())
    }

    /// Ready messages that are in memory.
    #[must_use]
    pub fn ready_in_memory(&self) -> u64 {
        self.sum(|lane| lane.ready.len() as u64 - lane.ready.paged())
    }

    /// Consumers.
    #[must_use]
    pub fn consumers(&self) -> u64 {
        self.queue.consumers.len() as u64
    }

    /// What it holds, all together.
    #[must_use]
    pub fn numbers(&self) -> QueueNumbers {
        QueueNumbers {
            key: self.key(),
            ready: self.ready(),
            unacked: self.unacked(),
            ready_bytes: self.ready_bytes(),
            ready_in_memory: self.ready_in_memory(),
            consumers: self.consumers(),
            counters: self.engine.counters(self.id, self.queue),
        }
    }

    fn sum(&self, count: impl Fn(&Queue) -> u64) -> u64 {
        match self.queue.lanes() {
            None => count(self.queue),
            Some(_) => self.engine.sum(self.id, count),
        }
    }
}

/// Whether clients see a queue.
fn is_visible(queue: &Queue) -> bool {
    queue.as_lane().is_none() && !queue.is_delay_store
}

fn exchange_info(vhost: &ShortStr, exchange: &Exchange) -> ExchangeInfo {
    ExchangeInfo {
        vhost: vhost.clone(),
        name: exchange.name.clone(),
        kind: exchange.type_name(),
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: exchange.arguments.clone(),
        alternate: exchange.alternate().cloned(),
        policy: exchange.policies.user.as_deref().cloned(),
        operator_policy: exchange.policies.operator.as_deref().cloned(),
        published: exchange.counts.published(),
        routed: exchange.counts.routed(),
    }
}

/// A page of a slab, from a slot on. It looks at so many tenants at the most that it takes no
/// longer when few of them are for the listing.
fn page<T, I>(
    slab: &Slab<T>,
    from: u64,
    limit: usize,
    mut info: impl FnMut(crate::slab::Key<T>, &T) -> Option<I>,
) -> Page<I> {
    let mut page = Page { items: Vec::new(), next: None };
    let Ok(first) = u32::try_from(from) else { return page };
    for (seen, (key, tenant)) in slab.iter_from(first).enumerate() {
        if seen == limit {
            page.next = Some(key.index.into());
            break;
        }
        page.items.extend(info(key, tenant));
    }
    page
}

impl Counts {
    pub(super) fn to_counters(self) -> QueueCounters {
        QueueCounters {
            enqueued: self.enqueued,
            delivered: self.delivered,
            delivered_no_ack: self.delivered_no_ack,
            got: self.got,
            got_no_ack: self.got_no_ack,
            redelivered: self.redelivered,
            acked: self.acked,
            rejected: self.rejected,
            expired: self.expired,
            dropped: self.dropped,
        }
    }
}
