//! Operations on exchanges, queues and bindings.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::super::access::Right;
use super::super::arguments::{self, DEAD_LETTER_EXCHANGE};
use super::super::binding::{Binding, Destination};
use super::super::exchange::{Exchange, ExchangeDeclaration};
use super::super::queue::{Owner, Queue, QueueDeclaration, QueueId};
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::delays::STORE;
use super::routing::REPLY_PREFIX;
use super::{Claimant, Engine, Notice, VhostId};
use crate::amqp::{FieldTable, FieldValue, ShortStr};
use crate::log::{BatchNumber, ExchangeFact, Fact};
use crate::{Decision, Mark};

/// What `queue.declare` answers.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredQueue {
    pub(crate) name: ShortStr,
    pub(crate) ready: u64,
    pub(crate) consumers: u64,
}

/// What names of queues begin with that the broker made up.
const MADE_PREFIX: &str = "amq.gen-";

impl Engine {
    /// Makes an exchange, or finds that it is there.
    ///
    /// # Errors
    /// When the name is not for clients, the type unknown, an argument wrong, or another exchange
    /// has the name.
    pub(crate) fn declare_exchange(
        &mut self,
        who: Claimant<'_>,
        declaration: &ExchangeDeclaration,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        let name = &declaration.name;
        let mut made = Exchange::new(declaration, self.hash_seed).ok_or_else(|| {
            Refusal::precondition(format!("unknown exchange type '{}'", declaration.kind))
        })?;
        refuse_default(name)?;
        self.check_right(who, Right::Configure, "exchange", name)?;
        let host = self.host_mut(vhost);
        if let Some(exchange) = host.exchanges.get(name) {
            exchange.check_equivalent(declaration, &host.name)?;
            self.rest_on_topology(declaration.durable);
            return Ok(());
        }
        refuse_reserved("exchange", name)?;
        if let Some(alternate) = named(&declaration.arguments, "alternate-exchange") {
            self.check_right(who, Right::Read, "exchange", name)?;
            self.check_right(who, Right::Write, "exchange", &alternate)?;
        }
        made.check_arguments(&self.host(vhost).name)?;
        self.check_exchange_limit(vhost, name)?;
        let host = self.host_mut(vhost);
        host.exchange_names.insert(made.name.clone());
        if made.durable {
            host.durable_exchanges.insert(made.name.clone());
            let fact = exchange_fact(&made, &host.name);
            self.log.note_topology(Fact::ExchangeDeclared(fact));
        }
        self.put_exchange_under_policies(vhost, &mut made);
        self.rest_on_topology(made.durable);
        self.host_mut(vhost).exchanges.insert(made.name.clone(), made);
        self.topology_version += 1;
        Ok(())
    }

    /// What was just done to something that is durable, or not, rests on the topology as it is now.
    /// Something that is missing may have been durable, and its end not be yet.
    pub(super) fn rest_on_topology(&mut self, is_durable: bool) {
        if is_durable {
            self.gate = self.log.topology();
        }
    }

    /// The batch that the operation just done rests on: its answer must wait until that is durable;
    /// 0 if it rests on none.
    pub(crate) fn take_gate(&mut self) -> BatchNumber {
        core::mem::take(&mut self.gate)
    }

    /// Finds an exchange.
    ///
    /// # Errors
    /// When it is the default exchange, or missing.
    pub(crate) fn find_exchange(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        refuse_default(name)?;
        self.check_any_right(who, "exchange", name)?;
        let is_durable = self.exchange(vhost, name)?.durable;
        self.rest_on_topology(is_durable);
        Ok(())
    }

    /// Deletes an exchange with its bindings; one that is missing is as good as deleted.
    ///
    /// # Errors
    /// When it is predeclared, or `if_unused` and something is bound to it.
    pub(crate) fn delete_exchange(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
        if_unused: bool,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        refuse_default(name)?;
        let host = self.host(vhost);
        let resource = Resource { kind: "exchange", name, vhost: &host.name };
        if name.starts_with("amq.") {
            return Err(Refusal::new(
                RefusalKind::AccessRefused,
                format!("deletion of system {resource} not allowed"),
            ));
        }
        self.check_right(who, Right::Configure, "exchange", name)?;
        match host.exchanges.get(name) {
            Some(exchange) if if_unused && !exchange.bindings.is_empty() => {
                Err(Refusal::precondition(format!("{resource} in use")))
            }
            Some(exchange) => {
                let is_durable = exchange.durable;
                self.drop_exchange(vhost, name);
                self.rest_on_topology(is_durable);
                Ok(())
            }
            None => {
                self.rest_on_topology(true);
                Ok(())
            }
        }
    }

    /// Makes a queue, or finds that it is there.
    ///
    /// # Errors
    /// When the name is not for clients, an argument wrong, the queue another connection's, or
    /// declared otherwise.
    pub(crate) fn declare_queue(
        &mut self,
        who: Claimant<'_>,
        declaration: &QueueDeclaration,
        owner: Owner,
    ) -> Result<DeclaredQueue, Refusal> {
        self.traffic.queues_declared += 1;
        let vhost = who.vhost;
        let typed = self.with_default_type(vhost, declaration);
        let declaration = typed.as_ref().unwrap_or(declaration);
        let name = match declaration.name.is_empty() {
            true => self.make_name(MADE_PREFIX),
            false => declaration.name.clone(),
        };
        self.check_right(who, Right::Configure, "queue", &name)?;
        let host = self.host(vhost);
        if let Some(id) = host.queues.get(&declaration.name) {
            let queue = self.queues.get(*id).expect("a name of a living queue");
            if queue.owner != declaration.exclusive.then_some(owner) {
                let name = &declaration.name;
                let resource = Resource { kind: "queue", name, vhost: &host.name };
                return Err(Refusal::locked(&resource));
            }
            arguments::check_equivalent(queue, declaration, &host.name)?;
            let (id, is_durable) = (*id, queue.durable);
            let declared = self.declared(id);
            self.renew(id);
            self.rest_on_topology(is_durable);
            return Ok(declared);
        }
        refuse_reserved("queue", &declaration.name)?;
        if let Some(letters) = named(&declaration.arguments, DEAD_LETTER_EXCHANGE) {
            self.check_right(who, Right::Read, "queue", &name)?;
            self.check_right(who, Right::Write, "exchange", &letters)?;
        }
        let name = name.detached();
        arguments::check(declaration, &name, &self.host(vhost).name)?;
        self.check_queue_limit(vhost, &name)?;
        let number = self.log.number_queue();
        let mut queue = Queue::new(number, vhost, name.clone(), declaration, owner, self.hash_seed);
        self.put_under_policies(&mut queue);
        if queue.durable {
            self.log.note_topology(Fact::QueueDeclared(self.queue_fact(&queue)));
        }
        self.rest_on_topology(queue.durable);
        if declaration.name.is_empty() {
            if queue.durable {
                self.mark(Mark::DurableQueueNamed);
            }
            let vhost = self.vhost_name(vhost).clone();
            self.decide(Decision::Named { vhost, name: name.clone() });
        }
        let id = self.queues.insert(queue);
        self.traffic.queues_created += 1;
        self.numbers.insert(number, id);
        self.host_mut(vhost).queues.insert(name, id);
        self.renew(id);
        if declaration.exclusive {
            self.owned.entry(owner).or_default().insert(id);
        }
        self.topology_version += 1;
        Ok(self.declared(id))
    }

    /// Finds a queue, or whether someone waits at an address of direct replies.
    ///
    /// # Errors
    /// When it is missing, or another connection's.
    pub(crate) fn find_queue(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
        owner: Owner,
    ) -> Result<DeclaredQueue, Refusal> {
        let vhost = who.vhost;
        if name.starts_with(REPLY_PREFIX) && self.repliers.contains_key(name) {
            return Ok(DeclaredQueue { name: name.detached(), ready: 0, consumers: 1 });
        }
        self.check_any_right(who, "queue", name)?;
        let id = self.queue(vhost, name, owner)?;
        let is_durable = self.queues.get(id).expect("just found").durable;
        let declared = self.declared(id);
        self.mark(Mark::PassiveDeclare);
        self.rest_on_topology(is_durable);
        Ok(declared)
    }

    /// Deletes a queue with its messages; how many were ready. One that is missing is as good as
    /// deleted.
    ///
    /// # Errors
    /// When it is another connection's, or not as unused or empty as asked for.
    pub(crate) fn delete_queue(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
        owner: Owner,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u64, Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Configure, "queue", name)?;
        let id = match self.queue(vhost, name, owner) {
            Err(refusal) if refusal.kind == RefusalKind::NotFound => {
                self.rest_on_topology(true);
                return Ok(0);
            }
            found => found?,
        };
        let queue = self.queues.get(id).expect("just found");
        let resource = Resource { kind: "queue", name, vhost: &self.host(vhost).name };
        if if_unused && !queue.consumers.is_empty() {
            return Err(Refusal::precondition(format!("{resource} in use")));
        }
        if if_empty && self.ready_len(id) > 0 {
            return Err(Refusal::precondition(format!("{resource} not empty")));
        }
        let is_durable = queue.durable;
        let ready = self.drop_queue(id);
        self.rest_on_topology(is_durable);
        Ok(ready)
    }

    /// Drops what is ready in a queue; how many messages that was.
    ///
    /// # Errors
    /// When the queue is missing, or another connection's.
    pub(crate) fn purge_queue(
        &mut self,
        who: Claimant<'_>,
        name: &ShortStr,
        owner: Owner,
    ) -> Result<u64, Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Read, "queue", name)?;
        let id = self.queue(vhost, name, owner)?;
        let changes = self.changes();
        let is_durable = self.queues.get(id).expect("just found").durable;
        let purged = self.ready_len(id);
        for lane in self.lanes(id).collect::<Vec<_>>() {
            let Some(queue) = self.queues.get_mut(lane) else { continue };
            let ready = queue.ready.len() as u64;
            queue.tally(&mut self.tallies, |counts| counts.purged += ready);
            for entry in queue.ready.take_all() {
                self.forget_entry(lane, &entry);
            }
            self.forget_paged(lane);
        }
        // What is gone may have been taken by others, which may not be durable yet.
        self.gate = if is_durable { self.log.noted() } else { self.gate_since(changes) };
        self.stir(id);
        Ok(purged)
    }

    /// Binds a queue to an exchange; a binding that is there stays one.
    ///
    /// # Errors
    /// When either is missing or not to be bound, or the key or arguments are wrong.
    pub(crate) fn bind_queue(
        &mut self,
        who: Claimant<'_>,
        queue: &ShortStr,
        owner: Owner,
        source: &ShortStr,
        key: &ShortStr,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Write, "queue", queue)?;
        refuse_default(source)?;
        self.check_source(who, source, key)?;
        // RabbitMQ looks for the source first, and names it when both are missing.
        self.exchange(vhost, source)?;
        if queue.starts_with(REPLY_PREFIX) {
            let text = format!("address of direct replies '{queue}' cannot be bound");
            return Err(Refusal::new(RefusalKind::AccessRefused, text));
        }
        let id = self.queue(vhost, queue, owner)?;
        self.bind(vhost, source, key, Destination::Queue(id), arguments)
    }

    /// Undoes [`Self::bind_queue`]; a binding that is not there is as good as undone.
    ///
    /// # Errors
    /// As for [`Self::bind_queue`], but that missing things are as good as unbound.
    pub(crate) fn unbind_queue(
        &mut self,
        who: Claimant<'_>,
        queue: &ShortStr,
        owner: Owner,
        source: &ShortStr,
        key: &ShortStr,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Write, "queue", queue)?;
        refuse_default(source)?;
        self.check_source(who, source, key)?;
        match self.queue(vhost, queue, owner) {
            Err(refusal) if refusal.kind == RefusalKind::NotFound => {
                self.rest_on_topology(true);
                Ok(())
            }
            Err(refusal) => Err(refusal),
            Ok(id) => {
                let binding = Binding::new(key, Destination::Queue(id), arguments);
                self.unbind(vhost, source, &binding);
                Ok(())
            }
        }
    }

    /// Binds the exchange `destination` to the exchange `source`.
    ///
    /// # Errors
    /// As for [`Self::bind_queue`].
    pub(crate) fn bind_exchange(
        &mut self,
        who: Claimant<'_>,
        destination: &ShortStr,
        source: &ShortStr,
        key: &ShortStr,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Write, "exchange", destination)?;
        refuse_default(source)?;
        refuse_default(destination)?;
        self.check_source(who, source, key)?;
        self.exchange(vhost, source)?;
        let name = self.exchange(vhost, destination)?.name.clone();
        self.bind(vhost, source, key, Destination::Exchange(name), arguments)
    }

    /// Undoes [`Self::bind_exchange`].
    ///
    /// # Errors
    /// When either is the default exchange.
    pub(crate) fn unbind_exchange(
        &mut self,
        who: Claimant<'_>,
        destination: &ShortStr,
        source: &ShortStr,
        key: &ShortStr,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        let vhost = who.vhost;
        self.check_right(who, Right::Write, "exchange", destination)?;
        refuse_default(source)?;
        refuse_default(destination)?;
        self.check_source(who, source, key)?;
        let destination = Destination::Exchange(destination.clone());
        self.unbind(vhost, source, &Binding::new(key, destination, arguments));
        Ok(())
    }

    /// # Errors
    /// When the claimant may not read from an exchange, or not with this key.
    fn check_source(
        &self,
        who: Claimant<'_>,
        source: &ShortStr,
        key: &ShortStr,
    ) -> Result<(), Refusal> {
        self.check_right(who, Right::Read, "exchange", source)?;
        self.check_topics(who, Right::Read, source, [key])
    }

    /// A connection is gone, and its exclusive queues with it.
    pub(crate) fn drop_owner(&mut self, owner: Owner) {
        for id in self.owned.remove(&owner).unwrap_or_default() {
            self.mark(Mark::ExclusiveGone);
            self.drop_queue(id);
        }
    }

    /// The queue called `name`.
    ///
    /// # Errors
    /// When it is missing, or another connection's.
    pub(super) fn queue(
        &self,
        vhost: VhostId,
        name: &ShortStr,
        owner: Owner,
    ) -> Result<QueueId, Refusal> {
        let host = self.host(vhost);
        let resource = Resource { kind: "queue", name, vhost: &host.name };
        let id = *host.queues.get(name).ok_or_else(|| Refusal::not_found(&resource))?;
        let queue = self.queues.get(id).expect("a name of a living queue");
        match queue.owner {
            Some(other) if other != owner => Err(Refusal::locked(&resource)),
            _ => Ok(id),
        }
    }

    /// Deletes a queue, its bindings and its consumers; how many messages were ready.
    pub(super) fn drop_queue(&mut self, id: QueueId) -> u64 {
        let unacked = self.sum(id, |lane| lane.unacked);
        let left = self.ready_len(id) + unacked;
        let Some(mut queue) = self.queues.remove(id) else { return 0 };
        self.traffic.queues_deleted += 1;
        let tally = self.tallies.of_mut(queue.kind);
        tally.unacked -= unacked;
        tally.left += left;
        if !queue.getters.is_empty() {
            self.mark(Mark::GetOrphaned);
        }
        queue.getters.used().into_iter().for_each(|getters| self.orphans.append(getters));
        if let Some(timer) = queue.timer {
            self.timers.remove(&(timer, id));
        }
        self.topology_version += 1;
        self.host_mut(queue.vhost).queues.remove(&queue.name);
        self.numbers.remove(&queue.number);
        self.forget_queue(&mut queue);
        if let Some(owner) = queue.owner
            && let Some(owned) = self.owned.get_mut(&owner)
        {
            owned.remove(&id);
        }
        if !queue.consumers.is_empty() {
            self.mark(Mark::ConsumersCancelled);
        }
        let cancelled = queue.consumers.iter();
        let cancelled = cancelled.filter_map(|id| Some((*id, self.consumers.remove(*id)?)));
        let mut cancelled: Vec<_> = cancelled.collect();
        // In this order RabbitMQ tells a channel of those that it has.
        cancelled.sort_by(|(_, one), (_, other)| one.tag.cmp(&other.tag));
        for (id, consumer) in cancelled {
            if let Some(session) = self.sessions.get_mut(consumer.session) {
                session.consumers.remove(&id);
                self.notices.push(Notice::Cancelled(session.handle, consumer.tag));
            }
        }
        for incoming in &queue.incoming {
            self.unbind_at_source(queue.vhost, &incoming.source, &incoming.binding);
        }
        queue.ready.len() as u64 + queue.lanes().map_or(0, |lanes| self.drop_lanes(id, lanes))
    }

    fn declared(&self, id: QueueId) -> DeclaredQueue {
        let queue = self.queues.get(id).expect("a queue that was found");
        DeclaredQueue {
            name: queue.name.clone(),
            ready: self.ready_len(id),
            consumers: queue.consumers.len() as u64,
        }
    }

    fn exchange(&self, vhost: VhostId, name: &ShortStr) -> Result<&Exchange, Refusal> {
        let host = self.host(vhost);
        host.exchanges.get(name).ok_or_else(|| {
            Refusal::not_found(&Resource { kind: "exchange", name, vhost: &host.name })
        })
    }

    fn bind(
        &mut self,
        vhost: VhostId,
        source: &ShortStr,
        key: &ShortStr,
        destination: Destination,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        let exchange = self.exchange(vhost, source)?;
        let queue = match &destination {
            Destination::Queue(id) => self.queues.get(*id),
            Destination::Exchange(_) => None,
        };
        exchange.check_binding(key, arguments, queue)?;
        let source = exchange.name.clone();
        let binding = Binding::new(key, destination, arguments);
        let incoming = binding.incoming(&source);
        if let Some(known) = self.incoming_of(vhost, &binding.destination) {
            known.insert(incoming);
        }
        let fact = self.bound(vhost, &source, &binding);
        let is_durable = fact.is_some();
        let destination = binding.destination.clone();
        let name = self.name_of(&destination);
        let exchange = self.host_mut(vhost).exchanges.get_mut(&source).expect("just found");
        if exchange.bind(binding, &name) {
            self.topology_version += 1;
            fact.into_iter().for_each(|bound| self.log.note_topology(Fact::Bound(bound)));
            self.replay(vhost, &source, &destination);
        }
        self.rest_on_topology(is_durable);
        Ok(())
    }

    fn unbind(&mut self, vhost: VhostId, source: &ShortStr, binding: &Binding) {
        if let Some(known) = self.incoming_of(vhost, &binding.destination) {
            known.remove(&binding.incoming(source));
        }
        let bound = self.bound(vhost, source, binding);
        let is_there = self
            .host(vhost)
            .exchanges
            .get(source)
            .is_some_and(|exchange| exchange.bindings.contains(binding));
        let is_durable = bound.is_some() || !is_there;
        if let Some(bound) = bound.filter(|_| is_there) {
            self.log.note_topology(Fact::Unbound(bound));
        }
        self.unbind_at_source(vhost, source, binding);
        self.rest_on_topology(is_durable);
    }

    /// Removes a binding from its source, and the source if that was the last and it is
    /// auto-delete.
    fn unbind_at_source(&mut self, vhost: VhostId, source: &ShortStr, binding: &Binding) {
        let Some(exchange) = self.host_mut(vhost).exchanges.get_mut(source) else { return };
        if !exchange.unbind(binding) {
            return;
        }
        let is_done = exchange.auto_delete && exchange.bindings.is_empty();
        self.topology_version += 1;
        if is_done {
            self.mark(Mark::ExchangeAutoDeleted);
            self.drop_exchange(vhost, source);
        }
    }

    /// Deletes an exchange and all bindings from and to it. Auto-delete exchanges that lose their
    /// last binding by this go too, however long the chain.
    fn drop_exchange(&mut self, vhost: VhostId, name: &ShortStr) {
        let mut going = Vec::from([name.clone()]);
        while let Some(name) = going.pop() {
            let host = self.host_mut(vhost);
            let Some(gone) = host.exchanges.remove(&name) else { continue };
            host.exchange_names.remove(&name);
            if host.durable_exchanges.remove(&name) {
                let fact = Fact::ExchangeDeleted(host.name.clone(), name.clone());
                self.log.note_topology(fact);
            }
            self.topology_version += 1;
            for binding in &gone.bindings {
                if let Some(known) = self.incoming_of(vhost, &binding.destination) {
                    known.remove(&binding.incoming(&name));
                }
            }
            for incoming in &gone.incoming {
                let source = self.host_mut(vhost).exchanges.get_mut(&incoming.source);
                if let Some(source) = source
                    && source.unbind(&incoming.binding)
                    && source.auto_delete
                    && source.bindings.is_empty()
                {
                    going.push(incoming.source.clone());
                    self.log.marks.reach(Mark::ExchangeChainDeleted);
                }
            }
        }
    }

    /// What the queue or exchange is called that bindings lead to.
    pub(super) fn name_of(&self, destination: &Destination) -> ShortStr {
        match destination {
            Destination::Queue(id) => {
                self.queues.get(*id).map(|queue| queue.name.clone()).unwrap_or_default()
            }
            Destination::Exchange(name) => name.clone(),
        }
    }

    /// The bindings that lead to a destination, as it remembers them.
    pub(super) fn incoming_of(
        &mut self,
        vhost: VhostId,
        destination: &Destination,
    ) -> Option<&mut BTreeSet<super::super::binding::Incoming>> {
        match destination {
            Destination::Queue(id) => self.queues.get_mut(*id).map(|queue| &mut queue.incoming),
            Destination::Exchange(name) => {
                let exchange = self.host_mut(vhost).exchanges.get_mut(name);
                exchange.map(|exchange| &mut exchange.incoming)
            }
        }
    }
}

pub(super) fn exchange_fact(exchange: &Exchange, vhost: &ShortStr) -> ExchangeFact {
    ExchangeFact {
        vhost: vhost.clone(),
        name: exchange.name.clone(),
        kind: ShortStr::from_static(exchange.type_name()),
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: exchange.arguments.clone(),
    }
}

/// The name that an argument gives.
fn named(arguments: &FieldTable, argument: &str) -> Option<ShortStr> {
    let name = arguments.find(argument).and_then(FieldValue::as_longstr)?;
    Some(ShortStr::truncated(name))
}

fn refuse_default(exchange: &ShortStr) -> Result<(), Refusal> {
    if exchange.is_empty() { Err(Refusal::default_exchange()) } else { Ok(()) }
}

/// Whether a queue may be called this, by a client or by the broker.
pub(crate) fn is_queue_name(name: &ShortStr) -> bool {
    let is_ours = name.starts_with(MADE_PREFIX) || *name == STORE;
    !name.is_empty() && (!is_reserved(name) || is_ours)
}

fn is_reserved(name: &ShortStr) -> bool {
    name.starts_with("amq.")
}

fn refuse_reserved(kind: &str, name: &ShortStr) -> Result<(), Refusal> {
    if is_reserved(name) {
        return Err(Refusal::new(
            RefusalKind::AccessRefused,
            format!("{kind} name '{name}' contains reserved prefix 'amq.*'"),
        ));
    }
    Ok(())
}
