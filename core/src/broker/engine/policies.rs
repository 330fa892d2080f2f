//! Commands about policies, and what comes of them for exchanges and queues that are there.
//!
//! Each exchange and queue knows which policies are in force for it. So a policy that was set or
//! deleted is held against each name once, and all policies are looked through only for what it was
//! in force for and is not any more. Where there are many names, that is done in slices: what else
//! there is to do has its turn in between. What is declared meanwhile is under the new policies at
//! once, and the next command waits until this one is through.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Bound;

use regex_automata::nfa::thompson::pikevm::Cache;

use super::super::exchange::Exchange;
use super::super::policies::InForce;
use super::super::policy::{Compiled, Kind, Policy, PolicyLayer, Subject};
use super::super::queue::{Queue, QueueId};
use super::super::refusal::{Refusal, RefusalKind};
use super::super::settings::Settings;
use super::{Engine, VhostId};
use crate::amqp::{FieldValue, ShortStr};
use crate::log::{Fact, PolicyFact};
use crate::{Decision, Done, Mark};

/// What a command changed about one policy.
#[derive(Clone, Debug)]
struct Change {
    vhost: VhostId,
    layer: PolicyLayer,
    name: ShortStr,
    /// Whether what it was in force for may be for another one now, though it matches.
    is_lower: bool,
}

/// A change, and what it was held against.
#[derive(Debug)]
pub(super) struct Policing {
    change: Change,
    /// The slot of the queue that is next.
    queue: u32,
    /// The exchange that was the last one, if any was.
    exchange: Option<ShortStr>,
}

impl Engine {
    pub(super) fn set_policy(
        &mut self,
        vhost_name: &ShortStr,
        layer: PolicyLayer,
        policy: Policy,
    ) -> Result<Done, Refusal> {
        let vhost = self.vhost_named(vhost_name)?;
        let policy = Compiled::new(layer, policy)?;
        let name = policy.policy.name.clone();
        let asked = policy.policy.clone();
        let before = self.host_mut(vhost).policies.set(layer, policy);
        let is_new = before.is_none();
        if before.as_ref().is_none_or(|before| before.policy != asked) {
            let is_lower = before.is_some_and(|before| before.policy.priority > asked.priority);
            let vhost_name = self.host(vhost).name.clone();
            let fact = PolicyFact { vhost: vhost_name, layer, policy: asked };
            self.log.note_topology(Fact::PolicySet(fact));
            self.begin_policing(Change { vhost, layer, name, is_lower });
        }
        Ok(if is_new { Done::Created } else { Done::Updated })
    }

    pub(super) fn delete_policy(
        &mut self,
        vhost_name: &ShortStr,
        layer: PolicyLayer,
        name: &ShortStr,
    ) -> Result<Done, Refusal> {
        let vhost = self.vhost_named(vhost_name)?;
        if self.host_mut(vhost).policies.remove(layer, name).is_none() {
            return Err(Refusal::new(RefusalKind::NotFound, "Parameter does not exist"));
        }
        let vhost_name = self.host(vhost).name.clone();
        self.log.note_topology(Fact::PolicyDeleted(vhost_name, layer, name.clone()));
        self.begin_policing(Change { vhost, layer, name: name.clone(), is_lower: false });
        Ok(Done::Deleted)
    }

    fn begin_policing(&mut self, change: Change) {
        self.policing = Some(Policing { change, queue: 0, exchange: None });
    }

    /// Holds the policy that changed against some more of what there is, which follows it. Whether
    /// that was the last.
    pub(super) fn police(&mut self) -> bool {
        let Some(mut policing) = self.policing.take() else { return true };
        let left = self.police_queues(&mut policing, self.limits.policy_slice);
        let is_through = left > 0 && self.police_exchanges(&mut policing, left);
        if !is_through {
            self.mark(Mark::PolicyInSlices);
            self.policing = Some(policing);
        }
        is_through
    }

    /// Holds a change against so many queues at the most; how many more it might have been.
    fn police_queues(&mut self, policing: &mut Policing, most: usize) -> usize {
        let change = &policing.change;
        let mut cache = self.cache_of(change);
        let mut touched: Vec<(QueueId, InForce)> = Vec::new();
        let mut left = most;
        for (id, queue) in self.queues.iter_from(policing.queue).take(most) {
            left -= 1;
            policing.queue = id.index + 1;
            // Lanes go with their head, and what is delayed is nobody's queue.
            let is_hidden = queue.as_lane().is_some() || queue.is_delay_store;
            if queue.vhost != change.vhost {
                self.mark(Mark::PolicyElsewhere);
            } else if !is_hidden {
                let next = self.next_in_force(subject(queue), &queue.policies, change, &mut cache);
                touched.extend(next.map(|next| (id, next)));
            }
        }
        for (id, next) in touched {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            queue.policies = next;
            let (name, vhost) = (queue.name.clone(), self.host(change.vhost).name.clone());
            self.decisions.push(Decision::Policed { vhost, name, is_queue: true });
            if self.set_settings(id) {
                self.mark(Mark::PolicyApplied);
            }
        }
        left
    }

    /// The same with exchanges; whether these were all.
    fn police_exchanges(&mut self, policing: &mut Policing, most: usize) -> bool {
        let change = &policing.change;
        let mut cache = self.cache_of(change);
        let mut touched: Vec<(ShortStr, InForce)> = Vec::new();
        let mut left = most;
        let host = self.host(change.vhost);
        let from = policing.exchange.take().map_or(Bound::Unbounded, Bound::Excluded);
        for name in host.exchange_names.range((from, Bound::Unbounded)).take(most) {
            left -= 1;
            policing.exchange = Some(name.clone());
            let Some(exchange) = host.exchanges.get(name) else { continue };
            let Some(subject) = exchange_subject(exchange) else { continue };
            let next = self.next_in_force(subject, &exchange.policies, change, &mut cache);
            touched.extend(next.map(|next| (name.clone(), next)));
        }
        let vhost = change.vhost;
        for (name, next) in touched {
            let alternate = self.alternate_by(vhost, &next);
            let Some(exchange) = self.host_mut(vhost).exchanges.get_mut(&name) else { continue };
            exchange.policies = next;
            if exchange.alternate_by_policy != alternate {
                exchange.alternate_by_policy = alternate;
                self.topology_version += 1;
                self.mark(Mark::AlternateByPolicy);
            }
            let vhost = self.host(vhost).name.clone();
            self.decisions.push(Decision::Policed { vhost, name, is_queue: false });
        }
        left > 0
    }

    /// Memory to match names with the policy that changed, if it is there.
    fn cache_of(&self, change: &Change) -> Option<Cache> {
        let layer = self.host(change.vhost).policies.layer(change.layer);
        layer.find(&change.name).map(Compiled::cache)
    }

    /// The policies that are in force for something after a change; `None` when it has nothing to
    /// do with that.
    fn next_in_force(
        &self,
        subject: Subject<'_>,
        now: &InForce,
        change: &Change,
        cache: &mut Option<Cache>,
    ) -> Option<InForce> {
        let layer = self.host(change.vhost).policies.layer(change.layer);
        let changed = layer.find(&change.name).zip(cache.as_mut());
        let is_for = changed.is_some_and(|(policy, cache)| policy.matches(subject, cache));
        let mut next = now.clone();
        let in_force = next.of(change.layer);
        if in_force.as_deref() == Some(&change.name) {
            if !is_for || change.is_lower {
                *in_force = layer.first_of(subject).map(Box::new);
                self.mark(Mark::PolicyFellBack);
            }
            return Some(next);
        }
        let rank = in_force.as_deref().and_then(|name| layer.rank(name));
        let is_first = rank.is_none_or(|rank| layer.rank(&change.name) < Some(rank));
        if !is_for || !is_first {
            return None;
        }
        if in_force.replace(Box::new(change.name.clone())).is_some() {
            self.mark(Mark::PolicyOutranked);
        }
        Some(next)
    }

    /// A queue that is about to be there is as its arguments and the policies want it.
    pub(super) fn put_under_policies(&self, queue: &mut Queue) {
        let policies = &self.host(queue.vhost).policies;
        queue.policies = policies.in_force(subject(queue));
        let settings = Settings::new(&queue.arguments, policies.asked(&queue.policies));
        queue.settings = settings.into();
    }

    /// The same of all exchanges that a start found or made.
    pub(super) fn put_exchanges_under_policies(&mut self) {
        for vhost in self.vhosts.keys().copied().collect::<Vec<_>>() {
            for name in self.host(vhost).durable_exchanges.clone() {
                let Some(exchange) = self.host(vhost).exchanges.get(&name) else { continue };
                let Some(subject) = exchange_subject(exchange) else { continue };
                let policies = self.host(vhost).policies.in_force(subject);
                let alternate = self.alternate_by(vhost, &policies);
                if let Some(exchange) = self.host_mut(vhost).exchanges.get_mut(&name) {
                    (exchange.policies, exchange.alternate_by_policy) = (policies, alternate);
                }
            }
        }
    }

    /// The same of one that is about to be there.
    pub(super) fn put_exchange_under_policies(&self, vhost: VhostId, exchange: &mut Exchange) {
        let Some(subject) = exchange_subject(exchange) else { return };
        exchange.policies = self.host(vhost).policies.in_force(subject);
        exchange.alternate_by_policy = self.alternate_by(vhost, &exchange.policies);
    }

    fn alternate_by(&self, vhost: VhostId, names: &InForce) -> Option<ShortStr> {
        match self.host(vhost).policies.asked(names).value("alternate-exchange")? {
            FieldValue::LongStr(name) => ShortStr::new(name.clone()),
            _ => None,
        }
    }

    /// The policies or the arguments of a queue that is there are others now, or the policies ask
    /// for something else. Whether it is to do anything else than before.
    pub(super) fn set_settings(&mut self, id: QueueId) -> bool {
        let Some(queue) = self.queues.get(id) else { return false };
        let asked = self.host(queue.vhost).policies.asked(&queue.policies);
        let settings = Settings::new(&queue.arguments, asked);
        if settings == *queue.settings {
            return false;
        }
        let Some(queue) = self.queues.get_mut(id) else { return false };
        let before = core::mem::replace(&mut queue.settings, settings.clone().into());
        if before.expires != settings.expires {
            queue.expires_at = None;
            self.renew(id);
        }
        for lane in self.lanes(id).filter(|lane| *lane != id).collect::<Vec<_>>() {
            if let Some(lane) = self.queues.get_mut(lane) {
                lane.settings = settings.clone().into();
            }
        }
        self.retry_letters_soon();
        if settings.is_limited() && self.ready_len(id) > 0 {
            self.stir(id);
        }
        true
    }
}

pub(super) fn subject(queue: &Queue) -> Subject<'_> {
    let kind = match queue.arguments.find("x-queue-type").and_then(FieldValue::as_longstr) {
        Some(b"quorum") => Kind::Quorum,
        _ => Kind::Classic,
    };
    Subject { kind, name: &queue.name }
}

/// `None` for the default exchange, which no policy is for.
pub(super) fn exchange_subject(exchange: &Exchange) -> Option<Subject<'_>> {
    let subject = Subject { kind: Kind::Exchange, name: &exchange.name };
    (!exchange.name.is_empty()).then_some(subject)
}
