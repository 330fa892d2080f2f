//! `exchange.*` and `queue.*` (§1.6, §1.7 of the reference).

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::link::Link;
use super::super::method::*;
use super::{AmqpError, Channel, Context, ShortStr};
use crate::broker::{ExchangeDeclaration, QueueDeclaration};

/// Names that stand for direct replies, which are no queue.
pub(super) const REPLY_QUEUE: &str = "amq.rabbitmq.reply-to";

impl Channel {
    pub(super) fn exchange_declare(
        &mut self,
        declare: ExchangeDeclare,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let declaration = ExchangeDeclaration {
            name: without_line_ends(declare.exchange),
            kind: declare.kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
        };
        if declare.passive {
            ctx.engine.find_exchange(link.claimant(), &declaration.name)?;
        } else {
            ctx.engine.declare_exchange(link.claimant(), &declaration)?;
        }
        self.answer(declare.nowait, ExchangeDeclareOk {}, link, ctx)
    }

    pub(super) fn exchange_delete(
        &mut self,
        delete: &ExchangeDelete,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let name = without_line_ends(delete.exchange.clone());
        ctx.engine.delete_exchange(link.claimant(), &name, delete.if_unused)?;
        self.answer(delete.nowait, ExchangeDeleteOk {}, link, ctx)
    }

    pub(super) fn exchange_bind(
        &mut self,
        bind: &ExchangeBind,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        ctx.engine.bind_exchange(
            link.claimant(),
            &without_line_ends(bind.destination.clone()),
            &without_line_ends(bind.source.clone()),
            &bind.routing_key,
            &bind.arguments,
        )?;
        self.answer(bind.nowait, ExchangeBindOk {}, link, ctx)
    }

    pub(super) fn exchange_unbind(
        &mut self,
        unbind: &ExchangeUnbind,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        ctx.engine.unbind_exchange(
            link.claimant(),
            &without_line_ends(unbind.destination.clone()),
            &without_line_ends(unbind.source.clone()),
            &unbind.routing_key,
            &unbind.arguments,
        )?;
        self.answer(unbind.nowait, ExchangeUnbindOk {}, link, ctx)
    }

    pub(super) fn queue_declare(
        &mut self,
        declare: QueueDeclare,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let name = without_line_ends(declare.queue);
        if name == REPLY_QUEUE {
            let ok = QueueDeclareOk { queue: name, message_count: 0, consumer_count: 1 };
            return self.answer(declare.nowait, ok, link, ctx);
        }
        let owner = link.owner();
        // Asking for the address of direct replies, in whichever way, finds out if it is alive.
        let declared = if declare.passive || name.starts_with(REPLY_QUEUE) {
            ctx.engine.find_queue(link.claimant(), &name, owner)?
        } else {
            let declaration = QueueDeclaration {
                name,
                durable: declare.durable,
                exclusive: declare.exclusive,
                auto_delete: declare.auto_delete,
                arguments: declare.arguments,
            };
            ctx.engine.declare_queue(link.claimant(), &declaration, owner)?
        };
        self.last_queue = declared.name.clone();
        let ok = QueueDeclareOk {
            queue: declared.name,
            message_count: clamp(declared.ready),
            consumer_count: clamp(declared.consumers),
        };
        self.answer(declare.nowait, ok, link, ctx)
    }

    pub(super) fn queue_bind(
        &mut self,
        bind: &QueueBind,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let queue = self.queue_name(&without_line_ends(bind.queue.clone()))?;
        let key = binding_key(&bind.queue, &queue, &bind.routing_key);
        let source = without_line_ends(bind.exchange.clone());
        let owner = link.owner();
        ctx.engine.bind_queue(link.claimant(), &queue, owner, &source, key, &bind.arguments)?;
        self.answer(bind.nowait, QueueBindOk {}, link, ctx)
    }

    pub(super) fn queue_unbind(
        &mut self,
        unbind: &QueueUnbind,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let queue = self.queue_name(&without_line_ends(unbind.queue.clone()))?;
        let key = binding_key(&unbind.queue, &queue, &unbind.routing_key);
        let source = without_line_ends(unbind.exchange.clone());
        let owner = link.owner();
        ctx.engine.unbind_queue(link.claimant(), &queue, owner, &source, key, &unbind.arguments)?;
        self.answer(false, QueueUnbindOk {}, link, ctx)
    }

    pub(super) fn queue_purge(
        &mut self,
        purge: &QueuePurge,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let queue = self.queue_name(&without_line_ends(purge.queue.clone()))?;
        let purged = ctx.engine.purge_queue(link.claimant(), &queue, link.owner())?;
        self.answer(purge.nowait, QueuePurgeOk { message_count: clamp(purged) }, link, ctx)
    }

    pub(super) fn queue_delete(
        &mut self,
        delete: &QueueDelete,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let queue = self.queue_name(&without_line_ends(delete.queue.clone()))?;
        let deleted = ctx.engine.delete_queue(
            link.claimant(),
            &queue,
            link.owner(),
            delete.if_unused,
            delete.if_empty,
        )?;
        self.answer(delete.nowait, QueueDeleteOk { message_count: clamp(deleted) }, link, ctx)
    }

    pub(super) fn answer(
        &mut self,
        nowait: bool,
        method: impl Into<Method>,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let gate = ctx.engine.take_gate();
        if !nowait {
            self.reply_gated(method, gate, link, ctx);
        }
        Ok(())
    }
}

/// With neither queue nor key, the key is the name of the queue that is meant.
fn binding_key<'a>(said: &ShortStr, queue: &'a ShortStr, key: &'a ShortStr) -> &'a ShortStr {
    if said.is_empty() && key.is_empty() { queue } else { key }
}

/// A count as it fits on the wire.
pub(super) fn clamp(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Names lose their line ends, as in RabbitMQ: they would break what lists them line by line.
fn without_line_ends(name: ShortStr) -> ShortStr {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !name.as_bytes().iter().any(is_line_end) {
        return name;
    }
    let kept: Vec<u8> = name.as_bytes().iter().filter(|byte| !is_line_end(byte)).copied().collect();
    ShortStr::new(Bytes::from(kept)).expect("no longer than it was")
}
