//! An engine that has what the log says it had. Nothing is left out: what an engine could not have
//! is refused before it comes here, see [`Fact::check`](crate::log::Fact::check).

use alloc::vec::Vec;

use super::super::binding::{Binding, Destination};
use super::super::exchange::{Exchange, ExchangeDeclaration};
use super::super::policy::Compiled;
use super::super::queue::{DeliveredMark, Owner, Queue, QueueDeclaration};
use super::super::ready::Ready;
use super::super::weight::Weight;
use super::{Engine, VhostId};
use crate::amqp::ShortStr;
use crate::entropy::Entropy;
use crate::log::{Bound, Log, PolicyFact, QueueFact, QueueState, State, Target};
use crate::time::Clock;
use crate::{Config, Mark};

impl Engine {
    /// The engine of a state that was recovered; `log` goes on from there.
    pub(crate) fn recovered(
        entropy: Entropy,
        config: &Config,
        clock: Clock,
        log: Log,
        state: State,
    ) -> Self {
        let bindings: Vec<Bound> = state.bindings().cloned().collect();
        let mut engine = Self::new(entropy, config, clock, log);
        engine.restore_access(state.access);
        for policy in state.policies.into_values() {
            engine.restore_policy(policy);
        }
        for exchange in state.exchanges.into_values() {
            let vhost = engine.known_vhost(&exchange.vhost);
            let declaration = ExchangeDeclaration {
                name: exchange.name,
                kind: exchange.kind,
                durable: true,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                arguments: exchange.arguments,
            };
            let made = Exchange::new(&declaration, engine.hash_seed).expect("a known type");
            let host = engine.host_mut(vhost);
            host.durable_exchanges.insert(made.name.clone());
            host.exchange_names.insert(made.name.clone());
            host.exchanges.insert(made.name.clone(), made);
        }
        engine.put_exchanges_under_policies();
        for queue in state.queues.into_values() {
            engine.restore_queue(queue);
        }
        for bound in bindings {
            engine.restore_binding(bound);
        }
        for (by, seen) in state.seen {
            engine.restore_seen(&by, seen);
        }
        engine
    }

    fn known_vhost(&self, name: &ShortStr) -> VhostId {
        self.vhost(name).expect("a known virtual host")
    }

    /// One that this broker does not take any more is passed over, and told of.
    fn restore_policy(&mut self, fact: PolicyFact) {
        let vhost = self.known_vhost(&fact.vhost);
        match Compiled::new(fact.layer, fact.policy) {
            Ok(policy) => drop(self.host_mut(vhost).policies.set(fact.layer, policy)),
            Err(_) => self.mark(Mark::PolicyAstray),
        }
    }

    fn restore_queue(&mut self, state: QueueState) {
        let QueueState {
            declaration,
            next_position,
            delivered_below,
            returned,
            deadlines,
            extents,
            bytes,
        } = state;
        let mut queue = self.empty_queue(declaration);
        let live = extents.live();
        queue.ready = Ready::on_disk(live, Weight::on_disk(bytes, next_position));
        queue.tally(&mut self.tallies, |counts| counts.enqueued += live);
        queue.next_position = next_position.max(delivered_below);
        queue.mark = DeliveredMark { below: delivered_below, ..DeliveredMark::default() }.into();
        queue.delivered_below = delivered_below;
        queue.handed_out_below = delivered_below;
        queue.returned = returned.into();
        queue.deadlines = deadlines;
        queue.extents = extents;
        queue.logged_below = queue.next_position;
        if queue.as_lane().is_some() {
            self.mark(Mark::LaneRestored);
            self.add_lane(queue);
            return;
        }
        let is_delay_store = queue.is_delay_store;
        if !is_delay_store {
            self.put_under_policies(&mut queue);
        }
        let (number, vhost, name) = (queue.number, queue.vhost, queue.name.clone());
        let id = self.queues.insert(queue);
        self.numbers.insert(number, id);
        let host = self.host_mut(vhost);
        if is_delay_store {
            host.delays = Some(id);
        } else {
            host.queues.insert(name, id);
        }
        self.sleeping.push(id);
    }

    /// A queue without messages, or a lane of one that was restored before.
    fn empty_queue(&self, declaration: QueueFact) -> Queue {
        let number = declaration.number;
        if let Some(lane) = declaration.lane {
            let id = *self.numbers.get(&lane.of).expect("a lane comes after its head");
            let head = self.queues.get(id).expect("its number is known");
            return Queue::lane(number, id, head, lane);
        }
        let vhost = self.known_vhost(&declaration.vhost);
        let name = declaration.name;
        let declaration = QueueDeclaration {
            name: name.clone(),
            durable: true,
            exclusive: false,
            auto_delete: declaration.auto_delete,
            arguments: declaration.arguments,
        };
        // A durable queue has no owner.
        Queue::new(number, vhost, name, &declaration, Owner(0), self.hash_seed)
    }

    fn restore_binding(&mut self, bound: Bound) {
        let vhost = self.known_vhost(&bound.vhost);
        let destination = match bound.target {
            Target::Queue(number) => match self.numbers.get(&number) {
                Some(id) => Destination::Queue(*id),
                None => return self.mark(Mark::BindingAstray),
            },
            Target::Exchange(name) => Destination::Exchange(name),
        };
        let binding = Binding::from_encoded(bound.key, destination, bound.arguments);
        let Some(exchange) = self.host(vhost).exchanges.get(&bound.source) else {
            return self.mark(Mark::BindingAstray);
        };
        let incoming = binding.incoming(&exchange.name);
        let Some(known) = self.incoming_of(vhost, &binding.destination) else {
            return self.mark(Mark::BindingAstray);
        };
        known.insert(incoming);
        let name = self.name_of(&binding.destination);
        if let Some(exchange) = self.host_mut(vhost).exchanges.get_mut(&bound.source) {
            exchange.bind(binding, &name);
        }
    }
}
