//! What a channel says of itself to those who run the broker.

use super::super::link::Link;
use super::{Channel, Mode};
use crate::broker::Engine;
use crate::listing::{ChannelCounters, ChannelInfo};

impl Channel {
    /// All about it.
    pub(crate) fn info(&self, link: &Link, engine: &Engine) -> ChannelInfo {
        let (unconfirmed, (uncommitted, acks_uncommitted)) = match &self.mode {
            Mode::Plain => (0, (0, 0)),
            Mode::Confirm(confirms) => (confirms.unanswered(), (0, 0)),
            Mode::Transaction(transaction) => (0, transaction.lens()),
        };
        let confirmed = match &self.mode {
            Mode::Confirm(confirms) => confirms.answered(),
            Mode::Plain | Mode::Transaction(_) => 0,
        };
        let ChannelCounters { delivered, got, got_no_ack, .. } = self.counters;
        // Every delivery has a tag.
        let delivered_no_ack = self.last_delivery_tag - delivered - got - got_no_ack;
        let counters = ChannelCounters { confirmed, delivered_no_ack, ..self.counters };
        let (prefetch_together, deliveries) = engine.session_numbers(self.session);
        ChannelInfo {
            connection: link.id,
            connection_name: link.peer.name.clone(),
            user: link.user.clone(),
            vhost: engine.vhost_name(link.vhost).clone(),
            number: self.number,
            prefetch: self.prefetch,
            prefetch_together,
            consumers: (self.consumers.len() + usize::from(self.reply_consumer.is_some())) as u64,
            unacked: self.unacked.len() as u64,
            unconfirmed,
            uncommitted: uncommitted as u64,
            acks_uncommitted: acks_uncommitted as u64,
            confirms: matches!(self.mode, Mode::Confirm(_)),
            is_transactional: matches!(self.mode, Mode::Transaction(_)),
            is_held_up: self.is_parked(),
            deliveries,
            counters,
        }
    }
}
