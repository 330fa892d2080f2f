//! Routing: from an exchange, through bindings and other exchanges, to queues.
//!
//! There is one walk, which messages go and [`trial`](super::trial) follows step by step: what
//! people are told of where a message would go is found by what sends it there.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::access::Right;
use super::super::binding::Destination;
use super::super::consumer::SessionId;
use super::super::exchange::{Envelope, Exchange, ExchangeCounts, ExchangeKind};
use super::super::headers::SortedHeaders;
use super::super::queue::QueueId;
use super::super::recent_history;
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::{Claimant, Engine, Vhost, VhostId};
use crate::amqp::{FieldTable, ShortStr};
use crate::{Decision, Mark};

/// What the addresses of direct replies begin with.
pub(crate) const REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where a message goes: each queue once, in an order that does not depend on the bindings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(super) queues: Vec<QueueId>,
    pub(super) replies: Vec<SessionId>,
    /// The exchanges that keep the message for those who are bound later.
    pub(super) histories: Vec<ShortStr>,
    /// Whether more had a part in it than the routing key: headers, properties or chance.
    pub(crate) is_by_more_than_key: bool,
    /// What was chosen on the way.
    decisions: Vec<Decision>,
    /// What is counted of the exchange that it begins at, if that is there.
    pub(crate) counts: Option<Arc<ExchangeCounts>>,
}

impl Route {
    /// To this queue.
    pub(super) fn to(queue: QueueId) -> Self {
        Self { queues: Vec::from([queue]), ..Self::default() }
    }

    /// The same without what it led to. What keeps the message on its way still does.
    pub(crate) fn leading_nowhere(&self) -> Self {
        let (histories, counts) = (self.histories.clone(), self.counts.clone());
        Self { histories, counts, ..Self::default() }
    }

    /// Adds a queue, that may be there already.
    fn add(&mut self, queue: QueueId) {
        // Many keys may lead to the same queues: no more is held than twice the queues there are.
        if self.queues.len() >= 1024 && self.queues.len() == self.queues.capacity() {
            self.tidy();
            self.queues.reserve(self.queues.len());
        }
        self.queues.push(queue);
    }

    fn tidy(&mut self) {
        if self.queues.len() > 1 {
            self.queues.sort_unstable();
            self.queues.dedup();
        }
    }

    /// Whether it leads nowhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.replies.is_empty()
    }

    /// How many queues it leads to.
    pub(crate) fn len(&self) -> usize {
        self.queues.len()
    }
}

/// Where a step of a walk leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum StepEnd<'a> {
    Queue(QueueId),
    Exchange(&'a ShortStr),
    /// Who waits for direct replies.
    Reply,
}

/// Why a step of a walk is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepBy {
    Bindings,
    /// All queues are bound to the default exchange by their names.
    QueueName,
    /// The exchange chooses one by what stands in the message.
    Hash,
    /// The exchange chooses one by chance.
    Chance,
    /// No binding takes the message.
    Alternate,
}

/// Who follows a walk.
pub(super) trait Follow<'a> {
    /// Whether no message goes this way: then chance is not asked, as that would change what comes
    /// next, and all that it may choose is followed instead.
    const IS_TRIAL: bool;

    /// An exchange is looked at; each is once.
    fn reach(&mut self, _exchange: &'a Exchange) {}

    /// The walk goes on from an exchange to here, if it was not there yet.
    fn step(&mut self, _from: &'a ShortStr, _end: StepEnd<'a>, _by: StepBy) {}
}

/// Nobody does.
impl Follow<'_> for () {
    const IS_TRIAL: bool = false;
}

impl Engine {
    /// Changes when a route found before may no longer be right.
    pub(crate) fn topology_version(&self) -> u64 {
        self.topology_version
    }

    /// The exchange's name as the engine keeps it, if clients may publish to it, and `who` in
    /// particular, where that is not known.
    ///
    /// # Errors
    /// When it is missing or internal, or not for who wants it.
    pub(crate) fn check_publish(
        &self,
        vhost: VhostId,
        who: Option<Claimant<'_>>,
        exchange: &ShortStr,
    ) -> Result<ShortStr, Refusal> {
        if let Some(who) = who {
            self.check_right(who, Right::Write, "exchange", exchange)?;
        }
        let host = self.host(vhost);
        let resource = Resource { kind: "exchange", name: exchange, vhost: &host.name };
        match host.exchanges.get(exchange) {
            None => Err(Refusal::not_found(&resource)),
            Some(found) if found.internal => Err(Refusal::new(
                RefusalKind::AccessRefused,
                format!("cannot publish to internal {resource}"),
            )),
            Some(found) => Ok(found.name.clone()),
        }
    }

    /// Where a message goes that is published to `exchange`.
    ///
    /// An exchange whose bindings take the message nowhere passes it to its alternate exchange.
    /// Exchanges may be bound in circles: each is visited once.
    pub(crate) fn route(
        &mut self,
        vhost: VhostId,
        exchange: &ShortStr,
        message: &Envelope<'_>,
    ) -> Route {
        self.route_on(vhost, exchange, message, None)
    }

    /// The same for a message that has been at an exchange already, if `before` names one.
    pub(super) fn route_on(
        &mut self,
        vhost: VhostId,
        exchange: &ShortStr,
        message: &Envelope<'_>,
        before: Option<&ShortStr>,
    ) -> Route {
        let mut route = self.walk(vhost, exchange, message, before);
        self.take_route(&mut route);
        route
    }

    /// A message goes this way: what was chosen on it is told.
    pub(super) fn take_route(&mut self, route: &mut Route) {
        self.decisions.append(&mut route.decisions);
    }

    /// Where a message would go.
    pub(super) fn walk<'a>(
        &'a self,
        vhost: VhostId,
        exchange: &'a ShortStr,
        message: &Envelope<'_>,
        before: Option<&'a ShortStr>,
    ) -> Route {
        self.walk_with(vhost, exchange, message, before, &mut ())
    }

    /// The same with somebody who follows.
    pub(super) fn walk_with<'a, F: Follow<'a>>(
        &'a self,
        vhost: VhostId,
        exchange: &'a ShortStr,
        message: &Envelope<'_>,
        before: Option<&'a ShortStr>,
        follow: &mut F,
    ) -> Route {
        let host = self.host(vhost);
        let no_headers = FieldTable::default();
        let headers = message.properties.headers.as_ref().unwrap_or(&no_headers);
        let headers = SortedHeaders::new(headers);
        let mut route = Route::default();
        if before == Some(exchange) {
            return route;
        }
        let mut visited = Visited { first: exchange, before, others: BTreeSet::new() };
        // Most messages go through one exchange: what the others need costs these nothing.
        let (mut next, mut pending) = (Some(exchange), Vec::new());
        while let Some(name) = next.take().or_else(|| pending.pop()) {
            let mut is_taken = false;
            if name.is_empty() {
                for key in message.keys {
                    let Some(end) = self.route_by_queue_name(vhost, key, &mut route) else {
                        continue;
                    };
                    is_taken = true;
                    follow.step(name, end, StepBy::QueueName);
                }
            }
            let Some(exchange) = host.exchanges.get(name) else { continue };
            follow.reach(exchange);
            route.counts.get_or_insert_with(|| Arc::clone(&exchange.counts));
            route.is_by_more_than_key |= !exchange.kind.goes_by_key_alone();
            let mut is_found = false;
            let by = step_by(exchange.kind);
            let mut found = |destination: &'a Destination| {
                is_found = true;
                match destination {
                    Destination::Queue(queue) => {
                        follow.step(&exchange.name, StepEnd::Queue(*queue), by);
                        route.add(*queue);
                    }
                    Destination::Exchange(name) => {
                        follow.step(&exchange.name, StepEnd::Exchange(name), by);
                        let is_new = visited.insert(name);
                        if !F::IS_TRIAL {
                            self.mark(match is_new {
                                true => Mark::ExchangeToExchange,
                                false => Mark::ExchangeVisited,
                            });
                        }
                        pending.extend(is_new.then_some(name));
                    }
                }
            };
            if F::IS_TRIAL && by == StepBy::Chance {
                exchange.chances().for_each(found);
            } else if exchange.kind.chooses() {
                if let Some(destination) = exchange.choose(message, &self.entropy) {
                    found(destination);
                    route.decisions.push(self.chosen(host, exchange, destination));
                }
            } else {
                // Once is enough for those that do not look at keys.
                let all = message.keys;
                let keys = if exchange.kind.goes_by_keys() { all } else { &all[..1] };
                keys.iter().for_each(|key| exchange.route(key, &headers, &mut found));
            }
            if exchange.history().is_some() && !recent_history::is_kept_out(message.properties) {
                route.histories.push(exchange.name.clone());
            }
            if is_found && !F::IS_TRIAL {
                self.mark_kind(exchange.kind);
            }
            if !is_taken
                && !is_found
                && let Some(name) = exchange.alternate()
            {
                if !F::IS_TRIAL {
                    self.mark(Mark::AlternateTaken);
                }
                follow.step(&exchange.name, StepEnd::Exchange(name), StepBy::Alternate);
                pending.extend(visited.insert(name).then_some(name));
            }
        }
        route.tidy();
        if route.queues.len() > 1 && !F::IS_TRIAL {
            self.mark(Mark::RoutedToMany);
        }
        route
    }

    fn chosen(&self, host: &Vhost, exchange: &Exchange, destination: &Destination) -> Decision {
        Decision::Chose {
            vhost: host.name.clone(),
            exchange: exchange.name.to_string(),
            destination: self.name_of(destination).to_string(),
            is_queue: matches!(destination, Destination::Queue(_)),
        }
    }

    fn mark_kind(&self, kind: ExchangeKind) {
        match kind {
            ExchangeKind::Topic => self.mark(Mark::RoutedByTopic),
            ExchangeKind::Headers => self.mark(Mark::RoutedByHeaders),
            ExchangeKind::ConsistentHash => self.mark(Mark::RoutedByConsistentHash),
            ExchangeKind::ModulusHash => self.mark(Mark::RoutedByModulusHash),
            ExchangeKind::Random => self.mark(Mark::RoutedByChance),
            ExchangeKind::LocalRandom => self.mark(Mark::RoutedByLocalChance),
            ExchangeKind::Direct | ExchangeKind::Fanout | ExchangeKind::RecentHistory => {}
        }
    }

    /// A message was published to an exchange, and waits for its time.
    pub(super) fn note_published(&self, vhost: VhostId, exchange: &ShortStr) {
        if let Some(exchange) = self.host(vhost).exchanges.get(exchange) {
            exchange.counts.note_published();
        }
    }

    /// Takes note of a decision, for checkers.
    pub(crate) fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    /// What was decided since the last input, in order; each is told once.
    pub(crate) fn take_decisions(&mut self) -> Vec<Decision> {
        core::mem::take(&mut self.decisions)
    }

    /// Whether a route found earlier still leads somewhere.
    pub(crate) fn is_alive(&self, route: &Route) -> bool {
        route.queues.iter().any(|queue| self.queues.get(*queue).is_some())
            || route.replies.iter().any(|session| self.sessions.get(*session).is_some())
    }

    /// The default exchange: every queue is bound to it by its name, and so are the addresses of
    /// direct replies.
    fn route_by_queue_name(
        &self,
        vhost: VhostId,
        key: &ShortStr,
        route: &mut Route,
    ) -> Option<StepEnd<'_>> {
        if let Some(queue) = self.host(vhost).queues.get(key) {
            route.queues.push(*queue);
            return Some(StepEnd::Queue(*queue));
        }
        if key.starts_with(REPLY_PREFIX)
            && let Some(session) = self.repliers.get(key)
        {
            route.replies.push(*session);
            return Some(StepEnd::Reply);
        }
        None
    }
}

/// The exchanges that a walk has come to.
struct Visited<'a> {
    first: &'a ShortStr,
    /// Where the message has been before.
    before: Option<&'a ShortStr>,
    others: BTreeSet<&'a ShortStr>,
}

impl<'a> Visited<'a> {
    /// Whether this one is new.
    fn insert(&mut self, name: &'a ShortStr) -> bool {
        name != self.first && Some(name) != self.before && self.others.insert(name)
    }
}

/// Why an exchange of this kind sends a message on.
fn step_by(kind: ExchangeKind) -> StepBy {
    match kind {
        ExchangeKind::Random | ExchangeKind::LocalRandom => StepBy::Chance,
        ExchangeKind::ConsistentHash | ExchangeKind::ModulusHash => StepBy::Hash,
        _ => StepBy::Bindings,
    }
}
