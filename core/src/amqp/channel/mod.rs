//! A channel: one conversation on a connection.
//!
//! Owns what 0-9-1 keeps per channel: the content that is being received, delivery tags, unacked
//! deliveries, prefetch, consumer tags, confirm numbering and transactions. It ends with all its
//! unacked deliveries requeued.

mod confirms;
mod consuming;
mod listing;
mod publishing;
mod settling;
mod timeouts;
mod topology;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use core::mem::take;

use self::confirms::Confirms;
pub(crate) use self::publishing::expected_method;
use self::publishing::{Granted, Incoming, LastRoute};
use self::settling::Transaction;
use super::ack_deadlines::AckDeadlines;
use super::frame::{ChannelNumber, Frame, OutFrame};
use super::link::{Fault, Link, on_channel};
use super::method::*;
use super::unacked::UnackedDeliveries;
use super::{AmqpError, FailedLogins, ReplyCode, ShortStr, WaitingChannels};
use crate::broker::{
    ConsumerId, Engine, Hindrance, Refusal, RefusalKind, SessionHandle, SessionId, Settlement,
};
use crate::listing::ChannelCounters;
use crate::log::BatchNumber;
use crate::{CommandId, Config, ConnectionId, Done, Instant, Mark, Output};

/// What a connection lends its channels while they handle a frame.
pub(crate) struct Context<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) out: &'a mut VecDeque<Output>,
    pub(crate) config: &'a Config,
    /// Channels with confirms to send once the batch of inputs is worked off.
    pub(crate) unconfirmed: &'a mut VecDeque<SessionHandle>,
    /// Who waits for which batch of the log, and for what.
    pub(crate) gated: &'a mut VecDeque<(BatchNumber, Gated)>,
    /// Channels that wait until publishers may go on.
    pub(crate) parked: &'a mut WaitingChannels,
    /// Who failed to log in lately.
    pub(crate) failed_logins: &'a mut FailedLogins,
    /// Why publishers have to wait, if they do.
    pub(crate) hindrance: Hindrance,
    pub(crate) now: Instant,
}

/// What waits for a batch of the log to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gated {
    /// Confirms of a channel.
    Confirms(SessionHandle),
    /// Frames of a connection.
    Frames(ConnectionId),
    /// The answer to a command.
    Command(CommandId, Done),
}

/// What publishing means on this channel.
#[derive(Debug)]
enum Mode {
    Plain,
    Confirm(Confirms),
    Transaction(Transaction),
}

/// The consumer of direct replies.
#[derive(Debug)]
struct ReplyConsumer {
    tag: ShortStr,
    address: ShortStr,
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    number: ChannelNumber,
    handle: SessionHandle,
    session: SessionId,
    incoming: Incoming,
    last_delivery_tag: u64,
    unacked: UnackedDeliveries,
    deadlines: AckDeadlines,
    /// For consumers to come; 0: any number.
    prefetch: u32,
    consumers: BTreeMap<ShortStr, ConsumerId>,
    reply_consumer: Option<ReplyConsumer>,
    /// What an empty queue name stands for.
    last_queue: ShortStr,
    mode: Mode,
    last_route: Option<LastRoute>,
    /// Whether it has published anything.
    is_publisher: bool,
    /// The exchange that was found to be open to the user last.
    granted: Option<Granted>,
    /// What waits until publishers may go on, or a message was read from disk; in order.
    parked: VecDeque<Frame>,
    parked_len: usize,
    /// Which acknowledgements must not overtake that.
    holds_back: HoldsBack,
    /// What happened, but for what is known otherwise.
    counters: ChannelCounters,
}

/// Which acknowledgements must stay behind frames that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum HoldsBack {
    #[default]
    None,
    /// Those that are for all deliveries there are: one more is on its way.
    ForAll,
    /// All: they may belong to a transaction, or come behind others.
    All,
}

impl HoldsBack {
    fn by(frame: &Frame) -> Self {
        match frame {
            Frame::Method(_, Method::TxSelect(_)) => Self::All,
            Frame::Method(_, Method::BasicGet(_)) => Self::ForAll,
            frame if settled_tag(frame).is_some() => Self::All,
            _ => Self::None,
        }
    }
}

impl Channel {
    pub(crate) fn open(number: ChannelNumber, link: &Link, engine: &mut Engine) -> Self {
        let handle = SessionHandle(u64::from(link.id.index) << 16 | u64::from(number));
        Self {
            number,
            handle,
            session: engine.open_session(handle),
            incoming: Incoming::default(),
            last_delivery_tag: 0,
            unacked: UnackedDeliveries::default(),
            deadlines: AckDeadlines::default(),
            prefetch: 0,
            consumers: BTreeMap::new(),
            reply_consumer: None,
            last_queue: ShortStr::EMPTY,
            mode: Mode::Plain,
            last_route: None,
            is_publisher: false,
            granted: None,
            parked: VecDeque::new(),
            parked_len: 0,
            holds_back: HoldsBack::None,
            counters: ChannelCounters::default(),
        }
    }

    /// Ends the channel: its consumers go, then what it had not acknowledged is requeued.
    pub(crate) fn terminate(mut self, engine: &mut Engine) {
        if let Some(consumer) = &self.reply_consumer {
            engine.stop_replies(&consumer.address);
        }
        engine.close_session(self.session);
        if let Mode::Transaction(transaction) = &mut self.mode {
            if !transaction.is_empty() {
                engine.mark(Mark::TxAbandoned);
            }
            self.unacked.restore(transaction.take_settled());
        }
        for unacked in self.unacked.take_all() {
            engine.settle(self.session, unacked.lease, Settlement::Requeue);
        }
        engine.publishers -= u64::from(self.is_publisher);
        engine.forget_session(self.session);
    }

    /// The error when a method comes now: one is due while a content is being received.
    pub(crate) fn check_between_contents(&self) -> Result<(), Fault> {
        if self.incoming.is_under_way() { Err(self.incoming.interrupted()) } else { Ok(()) }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Handles a frame of this channel.
    ///
    /// # Errors
    /// What the client is to be told; the channel, or with a hard error the connection, ends.
    pub(crate) fn handle_frame(
        &mut self,
        frame: &mut Frame,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        if self.is_parked() {
            let is_ack = settled_tag(frame).is_some();
            if !self.may_overtake(frame) {
                if is_ack {
                    ctx.engine.mark(Mark::AckHeldBack);
                }
                self.park(frame.take(), link, ctx);
                return Ok(());
            }
            ctx.engine.mark(Mark::AckOvertook);
        }
        match frame {
            Frame::Method(_, method) => {
                self.check_between_contents()?;
                if self.is_hindered(method, ctx.hindrance) {
                    ctx.engine.mark(Mark::PublisherParked);
                    ctx.parked.push(self.handle);
                    if !ctx.hindrance.is_untold() && matches!(method, Method::BasicPublish(_)) {
                        tell_blocked(link, ctx);
                    }
                    self.park(frame.take(), link, ctx);
                    return Ok(());
                }
                if let Method::BasicPublish(publish) = method {
                    self.incoming.begin(take(publish));
                    return Ok(());
                }
                let id = method.id();
                self.handle_method(method, link, ctx).map_err(|error| Fault::new(error, id))
            }
            Frame::Header(_, header) => self.take_header(header, link, ctx),
            Frame::Body(_, payload) => self.take_body(take(payload), link, ctx),
            Frame::Heartbeat(_) | Frame::ProtocolHeader(_) => {
                unreachable!("the connection handles these")
            }
        }
    }

    /// Sends the confirms that are due.
    pub(crate) fn flush_confirms(&mut self, link: &mut Link, ctx: &mut Context<'_>) {
        let Mode::Confirm(confirms) = &mut self.mode else { return };
        // First, as an answer to several is not for those that were answered.
        for delivery_tag in confirms.take_refused() {
            let nack = BasicNack { delivery_tag, multiple: false, requeue: false };
            link.send(ctx.out, ctx.now, on_channel(self.number, nack));
        }
        let answered = confirms.answered();
        let due = confirms.take_due(ctx.engine.durable());
        ctx.engine.traffic.confirmed += confirms.answered() - answered;
        for (delivery_tag, multiple) in due {
            if multiple {
                ctx.engine.mark(Mark::ConfirmMultiple);
            }
            let ack = BasicAck { delivery_tag, multiple };
            link.send(ctx.out, ctx.now, on_channel(self.number, ack));
        }
    }

    /// What it is called towards the engine.
    pub(crate) fn handle(&self) -> SessionHandle {
        self.handle
    }

    /// Whether frames of the channel wait, and those that come must wait behind them.
    pub(crate) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Tells the client why it has to wait, if a publish is what waits.
    pub(crate) fn tell_blocked(&self, link: &mut Link, ctx: &mut Context<'_>) {
        if let Some(Frame::Method(_, Method::BasicPublish(_))) = self.parked.front() {
            tell_blocked(link, ctx);
        }
    }

    /// How many frames wait.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Lets a frame wait.
    pub(crate) fn park(&mut self, frame: Frame, link: &mut Link, ctx: &mut Context<'_>) {
        let len = parked_len(&frame);
        self.parked_len += len;
        link.park(ctx.out, len);
        self.holds_back = self.holds_back.max(HoldsBack::by(&frame));
        self.parked.push_back(frame);
    }

    /// Takes what waits, to be handled now.
    pub(crate) fn take_parked(&mut self) -> (VecDeque<Frame>, usize) {
        self.holds_back = HoldsBack::None;
        (take(&mut self.parked), take(&mut self.parked_len))
    }

    /// Whether a frame may be handled before those that wait: it settles deliveries, and means the
    /// same as in its turn.
    fn may_overtake(&self, frame: &Frame) -> bool {
        let Some(tag) = settled_tag(frame) else { return false };
        let is_held_back = match self.holds_back {
            HoldsBack::None => false,
            HoldsBack::ForAll => tag == 0,
            HoldsBack::All => true,
        };
        !is_held_back && !matches!(self.mode, Mode::Transaction(_)) && !self.is_in_content()
    }

    /// Whether the last frame that waits is a part of a content of which more is to come.
    fn is_in_content(&self) -> bool {
        let mut left = None;
        for frame in self.parked.iter().rev() {
            match frame {
                Frame::Body(_, payload) => *left.get_or_insert(0) += payload.len() as u64,
                Frame::Header(_, header) => return header.body_size > left.unwrap_or(0),
                Frame::Method(_, Method::BasicPublish(_)) => return true,
                _ => return false,
            }
        }
        false
    }

    /// Whether what waits first has to wait still.
    pub(crate) fn is_held_up(&self, hindrance: Hindrance) -> bool {
        match self.parked.front() {
            Some(Frame::Method(_, method)) => self.is_hindered(method, hindrance),
            _ => false,
        }
    }

    /// Whether a method must wait until publishers may go on.
    fn is_hindered(&self, method: &Method, hindrance: Hindrance) -> bool {
        match method {
            Method::BasicPublish(_) => hindrance.any(),
            Method::ExchangeDeclare(_)
            | Method::ExchangeBind(_)
            | Method::QueueDeclare(_)
            | Method::QueueBind(_)
            | Method::TxCommit(_) => hindrance.pace,
            _ => false,
        }
    }

    fn handle_method(
        &mut self,
        method: &mut Method,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        // One that was refused leaves nothing behind.
        ctx.engine.take_gate();
        match method {
            Method::ChannelFlow(flow) => self.flow(flow, link, ctx),
            Method::AccessRequest(_) => {
                self.reply(AccessRequestOk { ticket: 1 }, link, ctx);
                Ok(())
            }
            Method::ExchangeDeclare(declare) => self.exchange_declare(take(declare), link, ctx),
            Method::ExchangeDelete(delete) => self.exchange_delete(delete, link, ctx),
            Method::ExchangeBind(bind) => self.exchange_bind(bind, link, ctx),
            Method::ExchangeUnbind(unbind) => self.exchange_unbind(unbind, link, ctx),
            Method::QueueDeclare(declare) => self.queue_declare(take(declare), link, ctx),
            Method::QueueBind(bind) => self.queue_bind(bind, link, ctx),
            Method::QueueUnbind(unbind) => self.queue_unbind(unbind, link, ctx),
            Method::QueuePurge(purge) => self.queue_purge(purge, link, ctx),
            Method::QueueDelete(delete) => self.queue_delete(delete, link, ctx),
            Method::BasicQos(qos) => self.qos(qos, link, ctx),
            Method::BasicConsume(consume) => self.consume(take(consume), link, ctx),
            Method::BasicCancel(cancel) => self.cancel(cancel, link, ctx),
            // The answer to the broker's own cancel asks for nothing.
            Method::BasicCancelOk(_) => Ok(()),
            Method::BasicGet(get) => self.get(get, link, ctx),
            Method::BasicAck(ack) => {
                self.settle(ack.delivery_tag, ack.multiple, Settlement::Ack, ctx)
            }
            Method::BasicNack(nack) => {
                let settlement = settling::unwanted(nack.requeue);
                self.settle(nack.delivery_tag, nack.multiple, settlement, ctx)
            }
            Method::BasicReject(reject) => {
                let settlement = settling::unwanted(reject.requeue);
                self.settle(reject.delivery_tag, false, settlement, ctx)
            }
            Method::BasicRecover(recover) => {
                self.recover(recover.requeue, ctx)?;
                self.reply(BasicRecoverOk {}, link, ctx);
                Ok(())
            }
            Method::BasicRecoverAsync(recover) => self.recover(recover.requeue, ctx),
            Method::ConfirmSelect(select) => self.confirm_select(select, link, ctx),
            Method::TxSelect(_) => self.tx_select(link, ctx),
            Method::TxCommit(_) => self.tx_commit(link, ctx),
            Method::TxRollback(_) => self.tx_rollback(link, ctx),
            _ => Err(AmqpError::new(ReplyCode::CommandInvalid, "unimplemented method")),
        }
    }

    fn flow(
        &mut self,
        flow: &ChannelFlow,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if !flow.active {
            return Err(AmqpError::new(ReplyCode::NotImplemented, "active=false"));
        }
        ctx.engine.mark(Mark::Flow);
        self.reply(ChannelFlowOk { active: true }, link, ctx);
        Ok(())
    }

    fn confirm_select(
        &mut self,
        select: &ConfirmSelect,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        match self.mode {
            Mode::Transaction(_) => {
                return Err(precondition("cannot switch from tx to confirm mode"));
            }
            Mode::Plain => self.mode = Mode::Confirm(Confirms::default()),
            Mode::Confirm(_) => {}
        }
        if !select.nowait {
            self.reply(ConfirmSelectOk {}, link, ctx);
        }
        Ok(())
    }

    /// Answers a method. Confirms that are due go first, so that what is answered later was asked
    /// later.
    fn reply(&mut self, method: impl Into<Method>, link: &mut Link, ctx: &mut Context<'_>) {
        self.reply_frame(on_channel(self.number, method), link, ctx);
    }

    fn reply_frame(&mut self, frame: OutFrame, link: &mut Link, ctx: &mut Context<'_>) {
        self.flush_confirms(link, ctx);
        link.send(ctx.out, ctx.now, frame);
    }

    /// Answers a method, once the batch of the log that the answer rests on is durable.
    fn reply_gated(
        &mut self,
        method: impl Into<Method>,
        gate: BatchNumber,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) {
        if gate <= ctx.engine.durable() {
            return self.reply(method, link, ctx);
        }
        self.flush_confirms(link, ctx);
        ctx.engine.mark(Mark::AnswerGated);
        ctx.engine.urge_log();
        link.hold(ctx.out, on_channel(self.number, method), gate);
        ctx.gated.push_back((gate, Gated::Frames(link.id)));
    }

    /// The queue that a method means: an empty name is the last one declared on this channel.
    fn queue_name(&self, name: &ShortStr) -> Result<ShortStr, AmqpError> {
        if !name.is_empty() {
            return Ok(name.clone());
        }
        if self.last_queue.is_empty() {
            return Err(AmqpError::new(ReplyCode::NotFound, "no previously declared queue"));
        }
        Ok(self.last_queue.clone())
    }
}

/// Tells a client why it has to wait, if it wants to know and was not told yet.
fn tell_blocked(link: &mut Link, ctx: &mut Context<'_>) {
    if link.capabilities.connection_blocked && !link.is_blocked {
        link.is_blocked = true;
        ctx.engine.mark(Mark::ClientBlocked);
        let reason = match (ctx.hindrance.memory, ctx.hindrance.disk) {
            (true, true) => "low on memory & disk",
            (true, false) => "low on memory",
            (false, _) => "low on disk",
        };
        let blocked = ConnectionBlocked { reason: ShortStr::from_static(reason) };
        link.send(ctx.out, ctx.now, on_channel(0, blocked));
    }
}

/// The delivery tag of a frame that settles deliveries; 0 stands for all.
fn settled_tag(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Method(_, Method::BasicAck(ack)) => Some(ack.delivery_tag),
        Frame::Method(_, Method::BasicNack(nack)) => Some(nack.delivery_tag),
        Frame::Method(_, Method::BasicReject(reject)) => Some(reject.delivery_tag),
        _ => None,
    }
}

/// About how many bytes a frame takes while it waits.
fn parked_len(frame: &Frame) -> usize {
    match frame {
        Frame::Body(_, payload) => 64 + payload.len(),
        Frame::Header(_, header) => 128 + header.properties.wire().len(),
        _ => 256,
    }
}

fn precondition(explanation: &str) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, explanation)
}

/// The engine's refusals in 0-9-1's codes.
impl From<Refusal> for AmqpError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::NotFound => ReplyCode::NotFound,
            RefusalKind::AccessRefused => ReplyCode::AccessRefused,
            RefusalKind::Locked => ReplyCode::ResourceLocked,
            RefusalKind::PreconditionFailed => ReplyCode::PreconditionFailed,
            RefusalKind::NotImplemented => ReplyCode::NotImplemented,
            RefusalKind::NotAllowed => ReplyCode::NotAllowed,
        };
        Self::new(code, refusal.explanation)
    }
}

/// The error of a method that does not belong where it was sent.
pub(crate) fn second_open() -> AmqpError {
    AmqpError::new(ReplyCode::ChannelError, "second 'channel.open' seen")
}

/// The error of anything on a channel that is not open.
pub(crate) fn expected_open() -> AmqpError {
    AmqpError::new(ReplyCode::ChannelError, "expected 'channel.open'")
}

/// The error of one channel too many.
pub(crate) fn too_many(count: usize, max: u16) -> AmqpError {
    AmqpError::new(
        ReplyCode::NotAllowed,
        format!(
            "number of channels opened ({count}) has reached the negotiated channel_max ({max})"
        ),
    )
}
