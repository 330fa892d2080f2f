//! `basic.ack`, `basic.nack`, `basic.reject`, `basic.recover`, and `tx.*` (§1.8, §1.9 of the
//! reference).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::link::Link;
use super::super::method::*;
use super::super::unacked::{Taken, Unacked};
use super::{AmqpError, Channel, Context, Mode, ReplyCode, precondition};
use crate::Mark;
use crate::broker::{Charge, Message, Route, Settlement};

/// A transaction never has messages of more than so many bytes: it is one batch of the log.
const LEN_MAX: u64 = 1 << 30;

/// What is done at `tx.commit`, and not before.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// About how many bytes its messages take.
    len: u64,
    /// The same, as a part of what all transactions have.
    charge: Charge,
    published: Vec<Published>,
    settled: Vec<(Unacked, Settlement)>,
    /// Those of them whose time was over meanwhile: their tags, and how much they had.
    in_time: Vec<(u64, Duration)>,
}

/// A message of a transaction, routed already.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) route: Arc<Route>,
    pub(super) message: Arc<Message>,
    pub(super) mandatory: bool,
    /// For how many milliseconds it may wait in a queue, if it says so.
    pub(super) ttl: Option<u64>,
    /// For how many milliseconds it is to wait before it is routed, if it says so.
    pub(super) delay: Option<u64>,
}

impl Transaction {
    /// Adds a message. What it takes in memory is not counted with other messages: if that made
    /// publishers wait, the transaction itself might have to wait and never come to its end.
    ///
    /// # Errors
    /// When all transactions together would take more than they may, or this one more than a batch.
    pub(super) fn publish(
        &mut self,
        mut published: Published,
        ctx: &Context<'_>,
    ) -> Result<(), AmqpError> {
        Arc::make_mut(&mut published.message).detach();
        let len = published.message.size() as u64;
        self.len += len;
        if self.len > LEN_MAX {
            return Err(precondition(&format!("transaction is larger than {LEN_MAX} bytes")));
        }
        if !ctx.engine.keep_uncommitted(&mut self.charge, len) {
            ctx.engine.mark(Mark::TxTooLarge);
            return Err(precondition("transactions that are not committed take too much memory"));
        }
        self.published.push(published);
        Ok(())
    }

    /// How many messages it would publish, and how many deliveries settle.
    pub(super) fn lens(&self) -> (usize, usize) {
        (self.published.len(), self.settled.len())
    }

    /// Whether it would do nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.published.is_empty() && self.settled.is_empty()
    }

    /// The tags of the deliveries that it would settle.
    pub(super) fn tags(&self) -> impl Iterator<Item = u64> {
        self.settled.iter().map(|(unacked, _)| unacked.tag)
    }

    /// The time of a delivery is over that it would settle: that is in time.
    pub(super) fn note_in_time(&mut self, tag: u64, timeout: Duration) {
        self.in_time.push((tag, timeout));
    }

    /// Takes the deliveries that it would have settled.
    pub(super) fn take_settled(&mut self) -> impl Iterator<Item = Unacked> {
        core::mem::take(&mut self.settled).into_iter().map(|(unacked, _)| unacked)
    }
}

/// What refusing a message means.
pub(super) fn unwanted(requeue: bool) -> Settlement {
    if requeue { Settlement::Requeue } else { Settlement::Reject }
}

impl Channel {
    pub(super) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        settlement: Settlement,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let is_late = self.deadlines.settle_late(tag, multiple);
        let taken = match self.unacked.take(tag, multiple) {
            Some(taken) => taken,
            None if is_late => {
                ctx.engine.mark(Mark::AckLate);
                if multiple { self.unacked.take_up_to(tag).into() } else { Taken::NONE }
            }
            None => return Err(precondition(&format!("unknown delivery tag {tag}"))),
        };
        if let Mode::Transaction(transaction) = &mut self.mode {
            transaction.settled.extend(taken.map(|unacked| (unacked, settlement)));
            return Ok(());
        }
        if settlement == Settlement::Ack {
            self.counters.acked += taken.len() as u64;
        }
        // In their order, in which those that are rejected go on.
        taken.for_each(|unacked| ctx.engine.settle(self.session, unacked.lease, settlement));
        Ok(())
    }

    pub(super) fn recover(
        &mut self,
        requeue: bool,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if !requeue {
            return Err(AmqpError::new(ReplyCode::NotImplemented, "requeue=false"));
        }
        self.deadlines.forget_late();
        for unacked in self.unacked.take_all() {
            ctx.engine.settle(self.session, unacked.lease, Settlement::Requeue);
        }
        Ok(())
    }

    pub(super) fn tx_select(
        &mut self,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        match self.mode {
            Mode::Confirm(_) => {
                return Err(precondition("cannot switch from confirm to tx mode"));
            }
            Mode::Plain => self.mode = Mode::Transaction(Transaction::default()),
            Mode::Transaction(_) => {}
        }
        self.reply(TxSelectOk {}, link, ctx);
        Ok(())
    }

    pub(super) fn tx_commit(
        &mut self,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let transaction = core::mem::take(self.transaction()?);
        if !transaction.published.is_empty() && !transaction.settled.is_empty() {
            ctx.engine.mark(Mark::TxMixed);
        }
        let changes = ctx.engine.changes();
        let (mut gate, mut is_refused) = (0, false);
        let Transaction { published, settled, .. } = transaction;
        for mut published in published {
            if !published.route.is_empty() && !ctx.engine.is_alive(&published.route) {
                ctx.engine.mark(Mark::TxRouteGone);
                // What it was routed to has been deleted since: nobody gets it, as if unrouted.
                published.route = Arc::new(published.route.leading_nowhere());
            }
            let enqueued = self.distribute(published, link, ctx);
            gate = enqueued.gate.max(gate);
            is_refused |= enqueued.is_refused;
        }
        if is_refused {
            // What was to be settled goes back as the channel ends: who took it to publish it
            // elsewhere, which failed, has not lost it.
            self.unacked.restore(settled.into_iter().map(|(unacked, _)| unacked));
            return Err(precondition("partial tx completion"));
        }
        for (unacked, settlement) in settled {
            self.counters.acked += u64::from(settlement == Settlement::Ack);
            ctx.engine.settle(self.session, unacked.lease, settlement);
        }
        let gate = ctx.engine.gate_since(changes).max(gate);
        self.reply_gated(TxCommitOk {}, gate, link, ctx);
        Ok(())
    }

    pub(super) fn tx_rollback(
        &mut self,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let mut transaction = core::mem::take(self.transaction()?);
        if !transaction.is_empty() {
            ctx.engine.mark(Mark::TxRolledBack);
        }
        self.unacked.restore(transaction.take_settled());
        for (tag, timeout) in transaction.in_time {
            self.deadlines.push(timeout, ctx.now, tag);
        }
        if let Some(next) = self.deadlines.next() {
            ctx.engine.expect_ack(self.session, next);
        }
        self.reply(TxRollbackOk {}, link, ctx);
        Ok(())
    }

    fn transaction(&mut self) -> Result<&mut Transaction, AmqpError> {
        match &mut self.mode {
            Mode::Transaction(transaction) => Ok(transaction),
            _ => Err(precondition("channel is not transactional")),
        }
    }
}
