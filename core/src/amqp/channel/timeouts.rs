//! Deliveries that are not acknowledged in time (`x-consumer-timeout`).
//!
//! What is overdue goes back to its place in its queue. Who can be told that a consumer has ended
//! is told so, and goes on; an acknowledgement that comes late then means nothing. Of who cannot be
//! told, the channel is closed. RabbitMQ 4.3 does the same, but for deliveries without a consumer,
//! for which it closes the channel in any case.

use alloc::collections::BTreeSet;
use alloc::format;
use core::time::Duration;

use super::super::link::Link;
use super::{AmqpError, Channel, Context, Mode, precondition};
use crate::broker::Settlement;
use crate::{Instant, Mark};

impl Channel {
    /// A delivery is made now that is to be acknowledged in time.
    pub(super) fn set_deadline(&mut self, tag: u64, timeout: Duration, now: Instant) {
        self.deadlines.push(timeout, now, tag);
        if self.deadlines.is_crowded(self.unacked.len()) {
            let settled = self.settled_in_transaction();
            let is_open = |tag| self.unacked.get(tag).is_some() || settled.contains(&tag);
            self.deadlines.retain(is_open);
        }
    }

    /// Takes deliveries back that are overdue, and ends their consumers.
    ///
    /// # Errors
    /// When the client cannot be told.
    pub(crate) fn time_out_deliveries(
        &mut self,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let settled = self.settled_in_transaction();
        let is_open = |tag| self.unacked.get(tag).is_some() || settled.contains(&tag);
        let mut overdue = self.deadlines.take_due(ctx.now, is_open);
        // What is acknowledged in a transaction is in time; if that is rolled back, it has its time
        // once more.
        if let Mode::Transaction(transaction) = &mut self.mode {
            let in_time = overdue.extract_if(.., |(tag, _)| settled.contains(tag));
            in_time.for_each(|(tag, timeout)| transaction.note_in_time(tag, timeout));
        }
        if let Some((_, timeout)) = overdue.first()
            && !link.capabilities.consumer_cancel_notify
        {
            ctx.engine.mark(Mark::TimeoutRefused);
            return Err(self.timed_out(*timeout));
        }
        let leases = overdue.iter().filter_map(|(tag, _)| self.unacked.get(*tag));
        let consumers: BTreeSet<_> = leases.filter_map(|lease| lease.consumer()).collect();
        for id in consumers {
            let Some(tag) = ctx.engine.consumer_tag(id).cloned() else { continue };
            ctx.engine.cancel(id);
            self.consumer_cancelled(&tag, link, ctx.out, ctx.now);
        }
        for (tag, _) in &overdue {
            let taken = self.unacked.take(*tag, false);
            for unacked in taken.into_iter().flatten() {
                ctx.engine.mark(Mark::DeliveryTimedOut);
                ctx.engine.settle(self.session, unacked.lease, Settlement::Requeue);
                self.deadlines.note_late(*tag);
            }
        }
        if let Some(next) = self.deadlines.next() {
            ctx.engine.expect_ack(self.session, next);
        }
        Ok(())
    }

    /// The deliveries that an open transaction would settle.
    fn settled_in_transaction(&self) -> BTreeSet<u64> {
        match &self.mode {
            Mode::Transaction(transaction) => transaction.tags().collect(),
            _ => BTreeSet::new(),
        }
    }

    fn timed_out(&self, timeout: Duration) -> AmqpError {
        precondition(&format!(
            "delivery acknowledgement on channel {} timed out. Timeout value used: {} ms. This \
             timeout value can be configured, see consumers doc guide to learn more",
            self.number,
            timeout.as_millis()
        ))
    }
}
