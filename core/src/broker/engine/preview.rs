//! What a policy would be for, were it set: for people who are about to set one. It is found as it
//! is when one is set ([`policies`](super::policies)), by the same patterns and ranks; nothing
//! changes by it.

use alloc::vec::Vec;
use core::cmp::Reverse;

use regex_automata::nfa::thompson::pikevm::Cache;

use super::super::policy::{Compiled, Policy, PolicyLayer, Subject};
use super::super::refusal::Refusal;
use super::policies::{exchange_subject, subject};
use super::{Engine, VhostId};
use crate::amqp::ShortStr;
use crate::listing::{Page, PolicyMatch};

/// From here on a place is one among exchanges, below among queues.
const EXCHANGES: u64 = 1 << 32;

impl Engine {
    /// What a policy would be for, of up to `limit` queues and exchanges that are looked at from
    /// this place on.
    ///
    /// # Errors
    /// What is wrong with the policy, as when it is set.
    pub(crate) fn preview_policy(
        &self,
        vhost: VhostId,
        layer: PolicyLayer,
        policy: Policy,
        from: u64,
        limit: usize,
    ) -> Result<Page<PolicyMatch>, Refusal> {
        let policy = Compiled::new(layer, policy)?;
        let mut cache = policy.cache();
        let mut page = Page { items: Vec::new(), next: None };
        if let Some(skipped) = from.checked_sub(EXCHANGES) {
            let host = self.host(vhost);
            let skipped_len = usize::try_from(skipped).unwrap_or(usize::MAX);
            let mut names = host.exchange_names.iter().skip(skipped_len);
            for name in names.by_ref().take(limit) {
                let Some(exchange) = host.exchanges.get(name) else { continue };
                let Some(subject) = exchange_subject(exchange) else { continue };
                let mut now = exchange.policies.clone();
                let now = now.of(layer).take().map(|name| *name);
                page.items.extend(self.preview(vhost, layer, &policy, subject, now, &mut cache));
            }
            page.next = names.next().map(|_| from + limit as u64);
            return Ok(page);
        }
        page.next = Some(EXCHANGES);
        let first = u32::try_from(from).unwrap_or(u32::MAX);
        for (seen, (id, queue)) in self.queues.iter_from(first).enumerate() {
            if seen == limit {
                page.next = Some(id.index.into());
                break;
            }
            let is_hidden = queue.as_lane().is_some() || queue.is_delay_store;
            if queue.vhost == vhost && !is_hidden {
                let mut now = queue.policies.clone();
                let now = now.of(layer).take().map(|name| *name);
                let subject = subject(queue);
                page.items.extend(self.preview(vhost, layer, &policy, subject, now, &mut cache));
            }
        }
        Ok(page)
    }

    /// What would come of a policy for something that this one of its layer is in force for now.
    fn preview(
        &self,
        vhost: VhostId,
        layer: PolicyLayer,
        policy: &Compiled,
        subject: Subject<'_>,
        now: Option<ShortStr>,
        cache: &mut Cache,
    ) -> Option<PolicyMatch> {
        if !policy.matches(subject, cache) {
            return None;
        }
        let name = &policy.policy.name;
        let others = self.host(vhost).policies.layer(layer);
        let other = match &now {
            // It is to take its own place: who else there is comes to the fore.
            Some(now) if now == name => others.first_of_others(subject, name),
            now => now.clone(),
        };
        let rank = (Reverse(policy.policy.priority), name.clone());
        let is_outranked = other.as_ref().and_then(|other| others.rank(other));
        Some(PolicyMatch {
            name: subject.name.clone(),
            kind: subject.kind.name(),
            wins: is_outranked.is_none_or(|other| rank < *other),
            now,
            other,
        })
    }
}
