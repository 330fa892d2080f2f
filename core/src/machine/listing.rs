//! Listings: what there is, for those who run the broker. They change nothing, are no inputs, and
//! come in pages: see [`listing`](crate::listing).

use alloc::vec::Vec;

use super::{Broker, split};
use crate::amqp::{BasicProperties, ShortStr};
use crate::broker::{
    Consumer, ConsumerId, Parameter, Permission, Policy, PolicyLayer, Queue, QueueKind, Refusal,
    SessionHandle, TopicPermission, User, UserPermission, UserTopicPermission, VhostStatus,
};
use crate::listing::{
    BindingInfo, BindingsOf, ChannelInfo, ConnectionInfo, ConsumerInfo, Course, ExchangeInfo,
    MessageId, MessageInfo, Page, PolicyMatch, QueueInfo, QueueNumbers, QueueView, Totals, Traffic,
};
use crate::metrics::{Metrics, SumsByKind};
use crate::slab::Key;
use crate::{ConnectionId, ResourceLimits};

impl Broker {
    /// How much there is of everything.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (queues, exchanges, channels, consumers) = self.engine.totals();
        let connections = self.connections.len() as u64;
        Totals { queues, exchanges, connections, channels, consumers }
    }

    /// The virtual hosts, or those behind this one, by their names.
    pub fn vhosts(&self, after: Option<&ShortStr>) -> impl Iterator<Item = VhostStatus> {
        self.engine.vhost_statuses(after)
    }

    /// The virtual hosts that were not there before the start, which made them, as there was none
    /// or no user. Those that are gone since are among them.
    #[must_use]
    pub fn made_vhosts(&self) -> &[ShortStr] {
        self.engine.made_vhosts()
    }

    /// The user of this name.
    #[must_use]
    pub fn user(&self, name: &ShortStr) -> Option<&User> {
        self.engine.directory().user(name)
    }

    /// The users, or those behind this one, by their names.
    pub fn users(&self, after: Option<&ShortStr>) -> impl Iterator<Item = &User> {
        self.engine.directory().users(after)
    }

    /// What a user may do in a virtual host, if anything, and what limits it at topic exchanges.
    #[must_use]
    pub fn permissions_of(
        &self,
        vhost: &ShortStr,
        user: &ShortStr,
    ) -> (Option<&Permission>, Vec<&TopicPermission>) {
        self.engine.directory().permissions_of(vhost, user)
    }

    /// What users may do in virtual hosts, in the order of these and of users; or what comes behind
    /// that of a user in a virtual host.
    pub fn permissions(
        &self,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = UserPermission> {
        self.engine.directory().permissions(after)
    }

    /// What users may do at topic exchanges, in the order of virtual hosts, users and exchanges; or
    /// what comes behind all that is of a user in a virtual host.
    pub fn topic_permissions(
        &self,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = UserTopicPermission> {
        self.engine.directory().topic_permissions(after)
    }

    /// The parameters of a virtual host, or of the whole broker, by component and name; or those
    /// behind one of them.
    pub fn parameters(
        &self,
        vhost: Option<&ShortStr>,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = Parameter> {
        self.engine.parameters(vhost, after)
    }

    /// What happened since the broker was started.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.engine.traffic()
    }

    /// What all queues hold together, and what happened to messages of theirs, also of those that
    /// are gone. Costs the same however many there are.
    #[must_use]
    pub fn queue_sums(&self) -> SumsByKind {
        let of = |kind| self.engine.queue_sums(kind);
        SumsByKind {
            classic: of(QueueKind::Classic),
            quorum: of(QueueKind::Quorum),
            delayed: of(QueueKind::DelayStore),
        }
    }

    /// What is measured of the broker as a whole. Costs about the same whatever there is.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let engine = &self.engine;
        let (memory_alarm, disk_alarm) = self.alarms();
        Metrics {
            totals: self.totals(),
            traffic: engine.traffic(),
            queues: self.queue_sums(),
            message_sizes: engine.message_sizes,
            publishers: engine.publishers,
            memory_alarm,
            disk_alarm,
            gate_waiters: self.gated.len() as u64,
            parked_channels: self.parked.len() as u64,
            timers: self.timers.len() as u64 + engine.timers_len(),
            memory: engine.memory_metrics(),
            log: engine.log_metrics(),
            limits: engine.resource_limits(),
        }
    }

    /// How many clients have opened a virtual host, and how many may, if there is a limit.
    #[must_use]
    pub fn admitted(&self) -> (u64, Option<u32>) {
        (self.engine.admitted(), self.engine.node_limits.connections)
    }

    /// How much memory messages may take, and how much space must be left on the disk: both are
    /// there.
    #[must_use]
    pub fn resource_limits(&self) -> ResourceLimits {
        self.engine.resource_limits()
    }

    /// The number that the data directory was given when it was made; 0 without one.
    #[must_use]
    pub fn log_identity(&self) -> u64 {
        self.engine.log_identity()
    }

    /// Whether publishers wait for want of memory, and of space on the disk.
    #[must_use]
    pub fn alarms(&self) -> (bool, bool) {
        (self.hindrance.memory, self.hindrance.disk)
    }

    /// The time, in milliseconds since 1970, UTC, as of the last input.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.engine.unix_ms()
    }

    /// What these queues hold, by their [keys](QueueNumbers::key); without those that are gone.
    #[must_use]
    pub fn queue_numbers(&self, keys: &[u64]) -> Vec<QueueNumbers> {
        self.engine.find_queue_numbers(keys)
    }

    /// What `look` finds out about each of up to `limit` queues, from this [place](Page::next) on:
    /// costs no more than what it asks of them.
    pub fn look_at_queues<T>(
        &self,
        from: u64,
        limit: usize,
        look: impl FnMut(&QueueView<'_>) -> T,
    ) -> Page<T> {
        self.engine.look_at_queues(from, limit, look)
    }

    /// Up to `limit` queues, from this [place](Page::next) on.
    #[must_use]
    pub fn list_queues(&self, from: u64, limit: usize) -> Page<QueueInfo> {
        self.engine.list_queues(from, limit)
    }

    /// A queue.
    #[must_use]
    pub fn queue_info(&self, vhost: &ShortStr, name: &ShortStr) -> Option<QueueInfo> {
        self.engine.find_queue_info(self.engine.vhost(vhost)?, name)
    }

    /// Up to `limit` exchanges of a virtual host in the order of their names, behind this one.
    #[must_use]
    pub fn list_exchanges(
        &self,
        vhost: &ShortStr,
        after: Option<&ShortStr>,
        limit: usize,
    ) -> Vec<ExchangeInfo> {
        let Some(vhost) = self.engine.vhost(vhost) else { return Vec::new() };
        self.engine.list_exchanges(vhost, after, limit)
    }

    /// An exchange.
    #[must_use]
    pub fn exchange_info(&self, vhost: &ShortStr, name: &ShortStr) -> Option<ExchangeInfo> {
        self.engine.find_exchange_info(self.engine.vhost(vhost)?, name)
    }

    /// Up to `limit` bindings of an exchange or a queue, behind this one.
    #[must_use]
    pub fn list_bindings(
        &self,
        vhost: &ShortStr,
        of: BindingsOf<'_>,
        after: Option<&BindingInfo>,
        limit: usize,
    ) -> Vec<BindingInfo> {
        let Some(vhost) = self.engine.vhost(vhost) else { return Vec::new() };
        self.engine.list_bindings(vhost, of, after, limit)
    }

    /// Where a message with this routing key and these properties would go, were it published to
    /// this exchange now; no more than `limit` steps and queues are told of. Nothing is published,
    /// and nothing changes.
    ///
    /// # Errors
    /// Why it could not be published: there is no such virtual host or exchange, the exchange is
    /// internal, or the headers that name further routing keys make no sense.
    pub fn course(
        &self,
        vhost: &ShortStr,
        exchange: &ShortStr,
        key: &ShortStr,
        properties: &BasicProperties,
        limit: usize,
    ) -> Result<Course, Refusal> {
        let vhost = self.engine.vhost_named(vhost)?;
        self.engine.course(vhost, exchange, key, properties, limit)
    }

    /// Up to `limit` ready messages of a queue behind this one, in the order in which they are
    /// handed out, as far as they are known in memory; `None` if there is no such queue. They stay
    /// where they are, and nothing is known of it to anybody else.
    #[must_use]
    pub fn list_messages(
        &self,
        vhost: &ShortStr,
        queue: &ShortStr,
        after: Option<MessageId>,
        limit: usize,
    ) -> Option<Vec<MessageInfo>> {
        self.engine.list_messages(self.engine.vhost(vhost)?, queue, after, limit)
    }

    /// The policies of a virtual host, by name.
    #[must_use]
    pub fn policies(&self, vhost: &ShortStr, layer: PolicyLayer) -> Vec<Policy> {
        let vhost = self.engine.vhost(vhost);
        vhost.map(|vhost| self.engine.policies(vhost, layer)).unwrap_or_default()
    }

    /// What a policy would be for, were it set: of up to `limit` queues and exchanges that are
    /// looked at, from this [place](Page::next) on. Nothing is set.
    ///
    /// # Errors
    /// There is no such virtual host, or what is wrong with the policy.
    pub fn preview_policy(
        &self,
        vhost: &ShortStr,
        layer: PolicyLayer,
        policy: Policy,
        from: u64,
        limit: usize,
    ) -> Result<Page<PolicyMatch>, Refusal> {
        let vhost = self.engine.vhost_named(vhost)?;
        self.engine.preview_policy(vhost, layer, policy, from, limit)
    }

    /// Up to `limit` connections, from this [place](Page::next) on.
    #[must_use]
    pub fn list_connections(&self, from: u64, limit: usize) -> Page<ConnectionInfo> {
        let mut page = Page { items: Vec::new(), next: None };
        for (key, slot) in self.connections.iter_from(u32::try_from(from).unwrap_or(u32::MAX)) {
            if page.items.len() == limit {
                page.next = Some(key.index.into());
                break;
            }
            page.items.push(slot.connection.info(&self.engine));
        }
        page
    }

    /// A connection, if it is still there.
    #[must_use]
    pub fn connection_info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let slot = self.connections.get(Key::new(id.index, id.generation))?;
        Some(slot.connection.info(&self.engine))
    }

    /// The channels of a connection.
    #[must_use]
    pub fn channels_of(&self, id: ConnectionId) -> Vec<ChannelInfo> {
        let slot = self.connections.get(Key::new(id.index, id.generation));
        slot.map(|slot| slot.connection.channels(&self.engine, 0).collect()).unwrap_or_default()
    }

    /// Up to `limit` channels, from this [place](Page::next) on.
    #[must_use]
    pub fn list_channels(&self, from: u64, limit: usize) -> Page<ChannelInfo> {
        let mut page = Page { items: Vec::new(), next: None };
        let (first, number) = split(SessionHandle(from));
        for (key, slot) in self.connections.iter_from(first) {
            let number = if key.index == first { number } else { 0 };
            for channel in slot.connection.channels(&self.engine, number) {
                if page.items.len() == limit {
                    page.next = Some(u64::from(key.index) << 16 | u64::from(channel.number));
                    return page;
                }
                page.items.push(channel);
            }
        }
        page
    }

    /// Up to `limit` consumers, from this [place](Page::next) on.
    #[must_use]
    pub fn list_consumers(&self, from: u64, limit: usize) -> Page<ConsumerInfo> {
        self.engine.list_consumers(from, limit, |id, consumer, queue, handle| {
            self.consumer_info(id, consumer, queue, handle)
        })
    }

    /// The consumers of a queue.
    #[must_use]
    pub fn consumers_of(&self, vhost: &ShortStr, queue: &ShortStr) -> Vec<ConsumerInfo> {
        let Some(vhost) = self.engine.vhost(vhost) else { return Vec::new() };
        self.engine.consumers_of(vhost, queue, |id, consumer, queue, handle| {
            self.consumer_info(id, consumer, queue, handle)
        })
    }

    fn consumer_info(
        &self,
        id: ConsumerId,
        consumer: &Consumer,
        queue: &Queue,
        handle: SessionHandle,
    ) -> Option<ConsumerInfo> {
        let (index, channel) = split(handle);
        let slot = self.connections.get(self.connections.key_at(index)?)?;
        let (connection, connection_name, user) = slot.connection.who();
        Some(ConsumerInfo {
            vhost: self.engine.vhost_name(queue.vhost).clone(),
            queue: queue.name.clone(),
            tag: consumer.tag.clone(),
            connection,
            connection_name,
            user,
            channel,
            acks: !consumer.no_ack,
            is_exclusive: queue.exclusive_consumer == Some(id),
            is_active: queue.single_active.as_ref().is_none_or(|one| one.active() == Some(id)),
            prefetch: consumer.prefetch,
            unacked: consumer.unacked,
            priority: consumer.priority,
            timeout: consumer.timeout,
        })
    }
}
