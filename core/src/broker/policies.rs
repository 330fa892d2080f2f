//! The policies of a virtual host, and which of them is in force for what.
//!
//! Of the policies of a layer that match, the one with the highest priority is in force; of those
//! with the same priority the one whose name comes first, which is the order in which RabbitMQ
//! lists them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use super::policy::{Asked, Compiled, PolicyLayer, Subject};
use crate::amqp::{FieldTable, ShortStr};

/// Where a policy stands among those of its layer: the first that matches is in force.
pub(crate) type Rank = (Reverse<i64>, ShortStr);

/// The names of the policies that are in force for something: mostly none are, and there are many
/// queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) user: Option<Box<ShortStr>>,
    pub(crate) operator: Option<Box<ShortStr>>,
}

impl InForce {
    pub(crate) fn of(&mut self, layer: PolicyLayer) -> &mut Option<Box<ShortStr>> {
        match layer {
            PolicyLayer::User => &mut self.user,
            PolicyLayer::Operator => &mut self.operator,
        }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Policies {
    user: Layer,
    operator: Layer,
}

/// The policies of one layer.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    by_rank: BTreeMap<Rank, Compiled>,
    ranks: BTreeMap<ShortStr, Rank>,
}

impl Policies {
    pub(crate) fn layer(&self, layer: PolicyLayer) -> &Layer {
        match layer {
            PolicyLayer::User => &self.user,
            PolicyLayer::Operator => &self.operator,
        }
    }

    fn layer_mut(&mut self, layer: PolicyLayer) -> &mut Layer {
        match layer {
            PolicyLayer::User => &mut self.user,
            PolicyLayer::Operator => &mut self.operator,
        }
    }

    /// Puts a policy in the place of the one that has its name, and gives that back.
    pub(crate) fn set(&mut self, layer: PolicyLayer, policy: Compiled) -> Option<Compiled> {
        let before = self.remove(layer, &policy.policy.name);
        let name = policy.policy.name.clone();
        let rank = (Reverse(policy.policy.priority), name.clone());
        let layer = self.layer_mut(layer);
        layer.ranks.insert(name, rank.clone());
        layer.by_rank.insert(rank, policy);
        before
    }

    pub(crate) fn remove(&mut self, layer: PolicyLayer, name: &ShortStr) -> Option<Compiled> {
        let layer = self.layer_mut(layer);
        let rank = layer.ranks.remove(name)?;
        layer.by_rank.remove(&rank)
    }

    /// The policies that are in force for this.
    pub(crate) fn in_force(&self, subject: Subject<'_>) -> InForce {
        let first_of = |layer: &Layer| layer.first_of(subject).map(Box::new);
        InForce { user: first_of(&self.user), operator: first_of(&self.operator) }
    }

    /// What policies in force ask for.
    pub(crate) fn asked(&self, names: &InForce) -> Asked<'_> {
        Asked {
            user: names.user.as_deref().and_then(|name| self.user.definition(name)),
            operator: names.operator.as_deref().and_then(|name| self.operator.definition(name)),
        }
    }

    /// All of them, each layer in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PolicyLayer, &Compiled)> {
        [(PolicyLayer::User, &self.user), (PolicyLayer::Operator, &self.operator)]
            .into_iter()
            .flat_map(|(layer, all)| {
                all.ranks.values().filter_map(move |rank| Some((layer, all.by_rank.get(rank)?)))
            })
    }
}

impl Layer {
    pub(crate) fn rank(&self, name: &ShortStr) -> Option<&Rank> {
        self.ranks.get(name)
    }

    pub(crate) fn find(&self, name: &ShortStr) -> Option<&Compiled> {
        self.by_rank.get(self.ranks.get(name)?)
    }

    fn definition(&self, name: &ShortStr) -> Option<&FieldTable> {
        self.find(name).map(|found| &found.policy.definition)
    }

    /// The first that is for this.
    pub(crate) fn first_of(&self, subject: Subject<'_>) -> Option<ShortStr> {
        self.first_but(subject, |_| true)
    }

    /// The first that is for this and has another name.
    pub(crate) fn first_of_others(
        &self,
        subject: Subject<'_>,
        name: &ShortStr,
    ) -> Option<ShortStr> {
        self.first_but(subject, |policy| policy.policy.name != *name)
    }

    fn first_but(
        &self,
        subject: Subject<'_>,
        counts: impl Fn(&Compiled) -> bool,
    ) -> Option<ShortStr> {
        let candidates = self.by_rank.values();
        let candidates = candidates.filter(|policy| counts(policy) && policy.may_match(subject));
        let mut matching = candidates.filter(|policy| policy.matches(subject, &mut policy.cache()));
        matching.next().map(|policy| policy.policy.name.clone())
    }
}
