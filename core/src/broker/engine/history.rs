//! The messages that exchanges keep for those who are bound to them later.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::binding::Destination;
use super::super::exchange::{Envelope, Exchange};
use super::super::message::Message;
use super::routing::Route;
use super::{Engine, VhostId};
use crate::amqp::{BasicProperties, FieldValue, ShortStr};
use crate::{Decision, Mark};

/// What kept messages may take, in bytes, even if a quarter of all memory for messages is less.
const KEPT_MIN: u64 = 1 << 20;

impl Engine {
    /// A message is on this route: the exchanges on it that keep messages keep it. What they all
    /// keep may take a quarter of what messages in queues may take, and does not count among that:
    /// nobody could make publishers go on by consuming it.
    pub(crate) fn remember(&mut self, vhost: VhostId, route: &Route, message: &Message) {
        for name in &route.histories {
            let size_max = (self.limits.memory_max / 4).max(KEPT_MIN);
            let host = self.vhosts.get_mut(&vhost);
            let exchange = host.and_then(|host| host.exchanges.get_mut(name));
            let Some(history) = exchange.and_then(Exchange::history_mut) else { continue };
            let mut message = message.clone();
            message.detach();
            message.charge_to(&self.kept);
            if history.keep(Arc::new(message), &self.kept, size_max) {
                self.mark(Mark::HistoryCutShort);
            }
        }
    }

    /// Something was bound to an exchange: it gets what that keeps, the oldest first. A message
    /// does not come to where it was kept again.
    pub(super) fn replay(&mut self, vhost: VhostId, source: &ShortStr, destination: &Destination) {
        let history = self.host(vhost).exchanges.get(source).and_then(Exchange::history);
        let Some(history) = history else { return };
        let kept: Vec<Arc<Message>> = history.messages().cloned().collect();
        if !kept.is_empty() {
            self.mark(Mark::HistoryReplayed);
        }
        // Told though it may be nothing, as each is held against what was bound when.
        let (exchange, messages) = (source.to_string(), kept.len() as u64);
        let host = self.host(vhost).name.clone();
        self.decisions.push(Decision::Replayed { vhost: host, exchange, messages });
        for message in kept {
            let route = match destination {
                Destination::Queue(id) => Route::to(*id),
                Destination::Exchange(name) => self.route_again(vhost, name, &message, source),
            };
            self.remember(vhost, &route, &message);
            if !route.is_empty() {
                let ttl = message.time_to_live();
                self.enqueue(&route, message.clone(), ttl);
            }
        }
    }

    /// Where a message goes from here that was published before, with the keys that its consumers
    /// can see, and that has been at another exchange.
    fn route_again(
        &mut self,
        vhost: VhostId,
        exchange: &ShortStr,
        message: &Message,
        before: &ShortStr,
    ) -> Route {
        let properties = message.properties.decode().unwrap_or(BasicProperties::NONE);
        let mut keys = Vec::from([message.routing_key.clone()]);
        let headers = properties.headers.as_ref();
        if let Some(FieldValue::Array(values)) = headers.and_then(|table| table.find("CC")) {
            let key = |value: &FieldValue| ShortStr::new(value.as_longstr()?.to_vec().into());
            keys.extend(values.iter().filter_map(key));
            keys.sort_unstable();
            keys.dedup();
        }
        let (key, properties) = (&message.routing_key, &properties);
        let envelope = Envelope { key, keys: &keys, properties };
        self.route_on(vhost, exchange, &envelope, Some(before))
    }
}
