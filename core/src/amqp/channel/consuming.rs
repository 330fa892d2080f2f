//! `basic.qos`, `basic.consume`, `basic.cancel`, `basic.get` and deliveries (§1.8 of the
//! reference).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;

use super::super::frame::{Deliver, Frame, GetOk, OutFrame};
use super::super::link::{Link, on_channel};
use super::super::method::*;
use super::topology::{REPLY_QUEUE, clamp};
use super::{AmqpError, Channel, Context, ReplyCode, ReplyConsumer, ShortStr, precondition};
use crate::broker::{Asked, Consume, Delivery, Message};
use crate::{Instant, Output};

impl Channel {
    pub(super) fn qos(
        &mut self,
        qos: &BasicQos,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if qos.prefetch_size != 0 {
            return Err(AmqpError::new(
                ReplyCode::NotImplemented,
                format!("prefetch_size!=0 ({})", qos.prefetch_size),
            ));
        }
        if qos.global {
            ctx.engine.set_session_prefetch(self.session, qos.prefetch_count.into());
        } else {
            self.prefetch = qos.prefetch_count.into();
        }
        self.reply(BasicQosOk {}, link, ctx);
        Ok(())
    }

    pub(super) fn consume(
        &mut self,
        consume: BasicConsume,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if consume.queue == REPLY_QUEUE {
            return self.consume_replies(consume, link, ctx);
        }
        let tag = self.consumer_tag(consume.consumer_tag, ctx)?;
        let queue = self.queue_name(&consume.queue)?;
        let wish = Consume {
            tag: tag.clone(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            arguments: consume.arguments,
            prefetch: self.prefetch,
        };
        let owner = link.owner();
        let id = ctx.engine.consume(self.session, link.claimant(), &queue, owner, &wish)?;
        self.consumers.insert(tag.clone(), id);
        self.answer(consume.nowait, BasicConsumeOk { consumer_tag: tag }, link, ctx)
    }

    pub(super) fn cancel(
        &mut self,
        cancel: &BasicCancel,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if let Some(id) = self.consumers.remove(&cancel.consumer_tag) {
            ctx.engine.cancel(id);
        }
        let is_replies = |consumer: &ReplyConsumer| consumer.tag == cancel.consumer_tag;
        if let Some(consumer) = self.reply_consumer.take_if(|consumer| is_replies(consumer)) {
            ctx.engine.stop_replies(&consumer.address);
        }
        let ok = BasicCancelOk { consumer_tag: cancel.consumer_tag.detached() };
        self.answer(cancel.nowait, ok, link, ctx)
    }

    pub(super) fn get(
        &mut self,
        get: &BasicGet,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let queue = self.queue_name(&get.queue)?;
        let asked =
            ctx.engine.get(link.claimant(), &queue, link.owner(), get.no_ack, self.session)?;
        let got = match asked {
            Asked::Got(got) => got,
            Asked::Empty => {
                self.reply(BasicGetEmpty::default(), link, ctx);
                return Ok(());
            }
            Asked::Later => {
                let get = BasicGet { queue, ..get.clone() };
                self.park(Frame::Method(self.number, get.into()), link, ctx);
                return Ok(());
            }
        };
        self.last_delivery_tag += 1;
        let frame = GetOk {
            delivery_tag: self.last_delivery_tag,
            redelivered: got.redelivered,
            message_count: clamp(got.remaining),
            message: got.message,
        };
        self.counters.redelivered += u64::from(frame.redelivered);
        self.counters.got += u64::from(got.lease.is_some());
        self.counters.got_no_ack += u64::from(got.lease.is_none());
        if let Some(lease) = got.lease {
            self.unacked.push(self.last_delivery_tag, lease);
        }
        if let Some(timeout) = got.timeout {
            self.set_deadline(self.last_delivery_tag, timeout, ctx.now);
            ctx.engine.expect_ack(self.session, ctx.now + timeout);
        }
        self.reply_frame(OutFrame::GetOk(self.number, frame), link, ctx);
        Ok(())
    }

    /// Sends a message to one of the channel's consumers.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        delivery: Delivery,
        link: &mut Link,
        out: &mut VecDeque<Output>,
        now: Instant,
    ) {
        self.last_delivery_tag += 1;
        if let Some(lease) = delivery.lease {
            self.counters.delivered += 1;
            self.unacked.push(self.last_delivery_tag, lease);
        }
        self.counters.redelivered += u64::from(delivery.redelivered);
        if let Some(timeout) = delivery.timeout {
            self.set_deadline(self.last_delivery_tag, timeout, now);
        }
        let deliver = Deliver {
            consumer_tag: delivery.tag,
            delivery_tag: self.last_delivery_tag,
            redelivered: delivery.redelivered,
            message: delivery.message,
        };
        link.send_delivery(out, now, self.number, deliver);
    }

    /// Sends a direct reply; whether it was sent. One for a consumer that is gone is dropped, and
    /// so is one for a client that takes nothing: direct replies are delivered at most once.
    pub(crate) fn deliver_reply(
        &mut self,
        message: Arc<Message>,
        link: &mut Link,
        out: &mut VecDeque<Output>,
        now: Instant,
    ) -> bool {
        let Some(consumer) = &self.reply_consumer else { return false };
        if link.is_overfull() {
            return false;
        }
        let tag = consumer.tag.clone();
        let delivery = Delivery { tag, redelivered: false, message, lease: None, timeout: None };
        self.deliver(delivery, link, out, now);
        true
    }

    /// A consumer is gone: forgets it, and tells the client if it can be told.
    pub(crate) fn consumer_cancelled(
        &mut self,
        tag: &ShortStr,
        link: &mut Link,
        out: &mut VecDeque<Output>,
        now: Instant,
    ) {
        self.consumers.remove(tag);
        if link.capabilities.consumer_cancel_notify {
            let cancel = BasicCancel { consumer_tag: tag.clone(), nowait: true };
            link.send(out, now, on_channel(self.number, cancel));
        }
    }

    /// Ends those consumers whose user may not read from their queue any more.
    pub(crate) fn recheck_consumers(&mut self, link: &mut Link, ctx: &mut Context<'_>) {
        for (tag, id) in self.consumers.clone() {
            if !ctx.engine.may_go_on(link.claimant(), id) {
                ctx.engine.cancel(id);
                self.consumer_cancelled(&tag, link, ctx.out, ctx.now);
            }
        }
    }

    fn consume_replies(
        &mut self,
        consume: BasicConsume,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let tag = self.consumer_tag(consume.consumer_tag, ctx)?;
        if self.reply_consumer.is_some() {
            return Err(precondition("reply consumer already set"));
        }
        if !consume.no_ack {
            return Err(precondition("reply consumer cannot acknowledge"));
        }
        let address = ctx.engine.wait_for_replies(self.session);
        self.reply_consumer = Some(ReplyConsumer { tag: tag.clone(), address });
        self.answer(consume.nowait, BasicConsumeOk { consumer_tag: tag }, link, ctx)
    }

    /// The tag of a consumer to come: as asked for, or made up.
    fn consumer_tag(&self, asked: ShortStr, ctx: &mut Context<'_>) -> Result<ShortStr, AmqpError> {
        let most = ctx.engine.node_limits.consumers_of_channel;
        if let Some(most) = most.filter(|most| self.consumers.len() >= *most as usize)
            && !self.consumers.contains_key(&asked)
        {
            let text = format!("reached maximum ({most}) of consumers per channel");
            return Err(AmqpError::new(ReplyCode::NotAllowed, text));
        }
        if asked.is_empty() {
            return Ok(ctx.engine.make_name("amq.ctag-"));
        }
        let is_replies = self.reply_consumer.as_ref().is_some_and(|other| other.tag == asked);
        if is_replies || self.consumers.contains_key(&asked) {
            return Err(AmqpError::new(
                ReplyCode::NotAllowed,
                format!("attempt to reuse consumer tag '{asked}'"),
            ));
        }
        Ok(asked.detached())
    }
}
