//! Routing: from an exchange, through bindings and other exchanges, to queues.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::super::binding::Destination;
use super::super::consumer::SessionId;
use super::super::exchange::ExchangeKind;
use super::super::headers::SortedHeaders;
use super::super::queue::QueueId;
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::{Engine, VhostId};
use crate::Mark;
use crate::amqp::{FieldTable, ShortStr};

/// What the addresses of direct replies begin with.
pub(crate) const REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where a message goes: each queue once, in an order that does not depend on the bindings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(super) queues: Vec<QueueId>,
    pub(super) replies: Vec<SessionId>,
    /// Whether the message's headers had a part in it.
    pub(crate) is_by_headers: bool,
}

impl Route {
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
}

impl Engine {
    /// Changes when a route found before may no longer be right.
    pub(crate) fn topology_version(&self) -> u64 {
        self.topology_version
    }

    /// The exchange's name as the engine keeps it, if clients may publish to it.
    ///
    /// # Errors
    /// When it is missing or internal.
    pub(crate) fn check_publish(
        &self,
        vhost: VhostId,
        exchange: &ShortStr,
    ) -> Result<ShortStr, Refusal> {
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

    /// Where a message goes that is published to `exchange` with these keys (the routing key, and
    /// those of the `CC` and `BCC` headers) and headers.
    ///
    /// An exchange whose bindings take the message nowhere passes it to its alternate exchange.
    /// Exchanges may be bound in circles: each is visited once.
    pub(crate) fn route(
        &self,
        vhost: VhostId,
        exchange: &ShortStr,
        keys: &[ShortStr],
        headers: &FieldTable,
    ) -> Route {
        let host = self.host(vhost);
        let headers = SortedHeaders::new(headers);
        let mut route = Route::default();
        let mut visited = BTreeSet::from([exchange]);
        let mut pending = alloc::vec![exchange];
        while let Some(name) = pending.pop() {
            let mut is_taken = false;
            if name.is_empty() {
                for key in keys {
                    is_taken |= self.route_by_queue_name(vhost, key, &mut route);
                }
            }
            let Some(exchange) = host.exchanges.get(name) else { continue };
            route.is_by_headers |= exchange.kind == ExchangeKind::Headers;
            let mut is_found = false;
            // These do not look at keys: once is enough.
            let keys = match exchange.kind {
                ExchangeKind::Fanout | ExchangeKind::Headers => &keys[..keys.len().min(1)],
                ExchangeKind::Direct | ExchangeKind::Topic => keys,
            };
            for key in keys {
                exchange.route(key, &headers, &mut |destination| {
                    is_found = true;
                    match destination {
                        Destination::Queue(queue) => route.add(*queue),
                        Destination::Exchange(name) => {
                            let is_new = visited.insert(name);
                            self.mark(match is_new {
                                true => Mark::ExchangeToExchange,
                                false => Mark::ExchangeVisited,
                            });
                            pending.extend(is_new.then_some(name));
                        }
                    }
                });
            }
            match exchange.kind {
                ExchangeKind::Topic if is_found => self.mark(Mark::RoutedByTopic),
                ExchangeKind::Headers if is_found => self.mark(Mark::RoutedByHeaders),
                _ => {}
            }
            if !is_taken
                && !is_found
                && let Some(name) = &exchange.alternate
            {
                self.mark(Mark::AlternateTaken);
                pending.extend(visited.insert(name).then_some(name));
            }
        }
        route.tidy();
        if route.queues.len() > 1 {
            self.mark(Mark::RoutedToMany);
        }
        route
    }

    /// Whether a route found earlier still leads somewhere.
    pub(crate) fn is_alive(&self, route: &Route) -> bool {
        route.queues.iter().any(|queue| self.queues.get(*queue).is_some())
            || route.replies.iter().any(|session| self.sessions.get(*session).is_some())
    }

    /// The default exchange: every queue is bound to it by its name, and so are the addresses of
    /// direct replies.
    fn route_by_queue_name(&self, vhost: VhostId, key: &ShortStr, route: &mut Route) -> bool {
        if let Some(queue) = self.host(vhost).queues.get(key) {
            route.queues.push(*queue);
            return true;
        }
        if key.starts_with(REPLY_PREFIX)
            && let Some(session) = self.repliers.get(key)
        {
            route.replies.push(*session);
            return true;
        }
        false
    }
}
