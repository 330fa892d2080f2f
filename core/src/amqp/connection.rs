//! A connection: from the protocol header to the last close, and the channels in between.
//!
//! Owns the phases of a connection, its timers, and the errors that end it. Whatever ends it, its
//! channels are terminated and its exclusive queues deleted, once.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use core::ops::Bound;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::channel::{self, Channel, Context};
use super::decoder::DecodeError;
use super::frame::{ChannelNumber, Frame, OutFrame};
use super::handshake::Examined;
use super::link::{Fault, Link, on_channel};
use super::method::*;
use super::{
    AmqpError, Content, FieldTable, Reader, ReplyCode, ShortStr, channel::expected_method,
};
use crate::broker::{Engine, Eviction, Hindrance};
use crate::listing::{ChannelInfo, ConnectionInfo};
use crate::{Config, ConnectionId, Event, Instant, Mark, Output, Peer};

/// How long a client is kept waiting before it is cut off, where telling it why is no use.
pub(super) const SILENCE: Duration = Duration::from_secs(3);

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for the protocol header.
    Header,
    /// Waiting for `connection.start-ok`.
    Starting,
    /// Waiting until it may be found out who the client is: too many want to log in from there.
    Queued,
    /// Waiting until it is found out who the client is.
    Examined,
    /// It may not log in, and is told so when it has waited for long enough.
    Refused,
    /// Waiting for `connection.tune-ok`.
    Tuning,
    /// Waiting for `connection.open`.
    Opening,
    /// Channels may be opened.
    Running,
    /// The broker sent `connection.close`, and waits for `close-ok`.
    Closing,
    /// Nothing is said any more; the socket is closed soon.
    Silent,
    /// The adapter was told to close the socket.
    Gone,
}

impl Phase {
    /// As RabbitMQ calls it in its errors.
    fn name(self) -> &'static str {
        match self {
            Self::Header | Self::Starting | Self::Queued | Self::Examined | Self::Refused => {
                "starting"
            }
            Self::Tuning => "tuning",
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Closing | Self::Silent | Self::Gone => "closing",
        }
    }
}

/// A channel number in use.
#[derive(Debug)]
enum Slot {
    Open(Box<Channel>),
    /// The broker sent `channel.close`, and waits for `close-ok`.
    Closing,
}

/// What a client says of itself when it logs in, for those who ask about it.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Its properties, encoded: that takes less than half of what they take as a table.
    properties: Bytes,
}

impl Greeting {
    pub(super) fn new(properties: &FieldTable) -> Self {
        let mut encoded = BytesMut::new();
        properties.write(&mut encoded);
        // In memory of just its size.
        let properties = Bytes::copy_from_slice(&encoded);
        Self { properties }
    }

    fn properties(&self) -> FieldTable {
        FieldTable::read(&mut Reader::new(&self.properties)).expect("written by new")
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) link: Link,
    pub(super) phase: Phase,
    pub(super) client_name: Option<String>,
    pub(super) greeting: Option<Box<Greeting>>,
    /// When the client connected.
    pub(super) opened: Instant,
    /// How the client logs in.
    pub(super) mechanism: ShortStr,
    /// What it says who it is, while that is found out.
    pub(super) claim: Option<Box<Examined>>,
    /// Whether it counts as a connection of its user and virtual host.
    pub(super) has_entered: bool,
    pub(super) channel_max: u16,
    /// In bytes; 0: any.
    pub(super) frame_max: u32,
    /// Zero: none.
    pub(super) heartbeat: Duration,
    channels: BTreeMap<ChannelNumber, Slot>,
    /// The channel that was delivered to last.
    served_last: ChannelNumber,
    last_received: Instant,
    /// A frame that waits until no channel's frames wait any more: the connection's end.
    parked: Option<Frame>,
    /// When the phase ends by itself; not in phase `Running`.
    pub(super) deadline: Instant,
    has_received: bool,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, peer: Peer, config: &Config, now: Instant) -> Self {
        Self {
            link: Link::new(id, peer, config.egress_len_max, now),
            phase: Phase::Header,
            client_name: None,
            greeting: None,
            opened: now,
            mechanism: ShortStr::EMPTY,
            claim: None,
            has_entered: false,
            channel_max: config.channel_max,
            frame_max: config.frame_max,
            heartbeat: Duration::ZERO,
            channels: BTreeMap::new(),
            served_last: 0,
            last_received: now,
            parked: None,
            deadline: now + config.handshake_timeout,
            has_received: false,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// What the connection's channels send on.
    pub(crate) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Whether nothing is to be read from the client.
    pub(crate) fn is_paused(&self) -> bool {
        self.link.is_deaf()
    }

    /// An open channel that is to be delivered to, and the link it sends on.
    pub(crate) fn channel_served(
        &mut self,
        number: ChannelNumber,
    ) -> Option<(&mut Channel, &mut Link)> {
        self.served_last = number;
        self.channel(number)
    }

    /// An open channel and the link it sends on.
    pub(crate) fn channel(&mut self, number: ChannelNumber) -> Option<(&mut Channel, &mut Link)> {
        match self.channels.get_mut(&number) {
            Some(Slot::Open(channel)) => Some((channel, &mut self.link)),
            _ => None,
        }
    }

    /// What it is called, both ends, and who logged in.
    pub(crate) fn who(&self) -> (ConnectionId, String, ShortStr) {
        (self.link.id, self.link.peer.name.clone(), self.link.user.clone())
    }

    /// All about it.
    pub(crate) fn info(&self, engine: &Engine) -> ConnectionInfo {
        let (id, name, user) = self.who();
        let is_open =
            !matches!(self.phase, Phase::Header | Phase::Starting | Phase::Tuning | Phase::Opening);
        let greeting = self.greeting.as_ref();
        ConnectionInfo {
            id,
            name,
            user,
            vhost: is_open.then(|| engine.vhost_name(self.link.vhost).clone()),
            client_name: self.client_name.clone(),
            client_properties: greeting.map(|said| said.properties()).unwrap_or_default(),
            mechanism: self.mechanism.clone(),
            state: match self.phase {
                Phase::Running if self.link.has_parked() => "blocked",
                phase => phase.name(),
            },
            channels: self.open_channels(0).count() as u64,
            channel_max: self.channel_max,
            frame_max: self.frame_max,
            heartbeat: self.heartbeat,
            connected_ms: engine.unix_ms_at(self.opened),
        }
    }

    /// Its channels from this number on.
    pub(crate) fn channels<'a>(
        &'a self,
        engine: &'a Engine,
        from: ChannelNumber,
    ) -> impl Iterator<Item = ChannelInfo> + 'a {
        self.open_channels(from).map(|channel| channel.info(&self.link, engine))
    }

    fn open_channels(&self, from: ChannelNumber) -> impl Iterator<Item = &Channel> {
        self.channels.range(from..).filter_map(|(_, slot)| match slot {
            Slot::Open(channel) => Some(&**channel),
            Slot::Closing => None,
        })
    }

    /// Bytes arrived.
    pub(crate) fn note_received(&mut self, now: Instant) {
        self.last_received = now;
        self.has_received = true;
    }

    /// Takes a frame that begins a content, or tells of one that is still to come: nothing follows
    /// from it yet. Whether it is one.
    pub(crate) fn take_part(
        &mut self,
        frame: &mut Frame,
        hindrance: Hindrance,
        now: Instant,
    ) -> bool {
        let (Frame::Method(number, _) | Frame::Header(number, _)) = frame else { return false };
        let Some(Slot::Open(channel)) = self.channels.get_mut(number) else { return false };
        let is_part = self.phase == Phase::Running && channel.take_part(frame, hindrance);
        if is_part {
            self.note_received(now);
        }
        is_part
    }

    /// Whether a channel may be given contents whole.
    pub(crate) fn takes_contents(&self, channel: ChannelNumber) -> bool {
        let Some(Slot::Open(channel)) = self.channels.get(&channel) else { return false };
        self.phase == Phase::Running && channel.takes_contents()
    }

    /// Handles a content, of a channel that may be given such.
    pub(crate) fn handle_content(&mut self, content: &Content<'_>, ctx: &mut Context<'_>) {
        self.note_received(ctx.now);
        let number = content.channel();
        let slot = self.channels.get_mut(&number);
        let Some(Slot::Open(channel)) = slot else { unreachable!("such a channel is open") };
        let published = channel.handle_content(content, &mut self.link, ctx);
        if let Err(fault) = self.refuse_softly(number, published, ctx) {
            self.close_with(&fault, ctx);
        }
    }

    /// Handles a frame.
    pub(crate) fn handle_frame(&mut self, frame: &mut Frame, ctx: &mut Context<'_>) {
        self.note_received(ctx.now);
        let handled = match self.phase {
            Phase::Running => self.handle_running(frame, ctx),
            Phase::Closing => {
                self.handle_closing(frame, ctx);
                Ok(())
            }
            Phase::Silent | Phase::Gone => Ok(()),
            _ => self.handle_handshake(frame.take(), ctx),
        };
        if let Err(fault) = handled {
            self.close_with(&fault, ctx);
        }
    }

    /// Handles bytes that are no frame.
    pub(crate) fn handle_malformed(&mut self, error: &DecodeError, ctx: &mut Context<'_>) {
        self.note_received(ctx.now);
        if !matches!(self.phase, Phase::Silent | Phase::Closing | Phase::Gone) {
            let (code, method) = match error {
                DecodeError::UnknownMethod(id) => (ReplyCode::CommandInvalid, *id),
                DecodeError::MalformedMethod(id) => (ReplyCode::FrameError, *id),
                _ => (ReplyCode::FrameError, MethodId::NONE),
            };
            self.close_with(&Fault::new(AmqpError::new(code, error.to_string()), method), ctx);
        }
        if !error.is_recoverable() && self.phase == Phase::Closing {
            // Nothing more can be read from this client, a close-ok neither. One that had logged in
            // gets the time to read why; to a stranger we owe no more than the attempt.
            match self.link.user.is_empty() {
                true => self.cut(ctx),
                false => self.enter(Phase::Silent, SILENCE, ctx),
            }
        }
    }

    /// The socket is gone.
    pub(crate) fn handle_closed(&mut self, ctx: &mut Context<'_>) {
        match self.phase {
            Phase::Gone => return,
            Phase::Header if !self.has_received => {
                let peer = self.link.peer.name.clone();
                ctx.out.push_back(Output::Event(Event::ConnectionUnused { peer }));
            }
            Phase::Closing | Phase::Silent => {}
            _ => self.report_end(Some("the client went away without closing".into()), ctx),
        }
        self.forget_claim(ctx);
        self.release(ctx.engine);
        self.phase = Phase::Gone;
    }

    /// The broker stops.
    pub(crate) fn shut_down(&mut self, reason: &str, ctx: &mut Context<'_>) {
        match self.phase {
            Phase::Running => {
                let error = AmqpError::new(ReplyCode::ConnectionForced, reason);
                self.close_with(&Fault::new(error, MethodId::NONE), ctx);
            }
            Phase::Closing | Phase::Gone => {}
            _ => self.cut(ctx),
        }
    }

    /// Whether it has to go.
    pub(crate) fn is_meant_by(&self, eviction: &Eviction) -> bool {
        self.phase == Phase::Running
            && match eviction {
                Eviction::Vhost(vhost, _) => self.link.vhost == *vhost,
                Eviction::User(user) => self.link.user == *user,
            }
    }

    /// When the connection wants to be looked after.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Gone => None,
            Phase::Running if self.heartbeat.is_zero() => None,
            Phase::Running => {
                let send = self.link.last_sent + self.heartbeat / 2;
                if self.link.is_held_up() {
                    return Some(send);
                }
                Some(send.min(self.silent_since() + 2 * self.heartbeat))
            }
            // The last word waits for the disk. The time to answer it begins when it is said.
            _ if self.link.is_holding() => None,
            _ => Some(self.deadline),
        }
    }

    /// Since when there was no sign of the client's life.
    fn silent_since(&self) -> Instant {
        self.link.pause.map_or(self.last_received, |pause| pause.last_taken)
    }

    /// Does what is due by now.
    pub(crate) fn handle_time(&mut self, ctx: &mut Context<'_>) {
        if self.deadline().is_none_or(|deadline| ctx.now < deadline) {
            return;
        }
        if self.phase == Phase::Refused {
            return self.refuse_login(ctx);
        }
        if self.phase == Phase::Queued && ctx.now < self.opened + ctx.config.handshake_timeout {
            return self.ask(ctx);
        }
        if self.phase != Phase::Running {
            if matches!(self.phase, Phase::Header) && !self.has_received {
                return self.cut(ctx);
            }
            if !matches!(self.phase, Phase::Closing | Phase::Silent) {
                ctx.engine.mark(Mark::HandshakeTimeout);
                let error = format!("handshake timeout in phase {}", self.phase.name());
                self.report_end(Some(error), ctx);
            }
            return self.cut(ctx);
        }
        // Who is not read from, because it is held up, cannot be heard.
        let is_heard = !self.link.is_held_up();
        if is_heard && ctx.now >= self.silent_since() + 2 * self.heartbeat {
            ctx.engine.mark(Mark::HeartbeatMissed);
            let seconds = self.heartbeat.as_secs();
            let error = format!("missed heartbeats from client, timeout: {seconds}s");
            self.report_end(Some(error), ctx);
            return self.cut(ctx);
        }
        if ctx.now >= self.link.last_sent + self.heartbeat / 2 {
            ctx.engine.mark(Mark::HeartbeatSent);
            self.link.send(ctx.out, ctx.now, OutFrame::Heartbeat);
        }
    }

    /// Notes how many bytes wait for the socket.
    pub(crate) fn set_egress_len(&mut self, len: usize, ctx: &mut Context<'_>) {
        let pause = self.link.pause;
        let is_resumed = self.link.set_egress_len(ctx.out, ctx.now, len);
        if let (Some(pause), None) = (pause, self.link.pause) {
            // What the client said meanwhile is read now: the time does not count as silence.
            self.last_received = self.last_received + ctx.now.since(pause.since);
        }
        if is_resumed {
            // Beginning behind the channel served last: where room for one is all there is, each
            // has it in its turn.
            let behind = (Bound::Excluded(self.served_last), Bound::Unbounded);
            let in_turn =
                self.channels.range(behind).chain(self.channels.range(..=self.served_last));
            for (_, slot) in in_turn {
                if let Slot::Open(channel) = slot {
                    ctx.engine.resume_session(channel.session());
                }
            }
        }
    }

    /// Moves on to a phase that ends by itself.
    pub(super) fn enter(&mut self, phase: Phase, timeout: Duration, ctx: &Context<'_>) {
        self.phase = phase;
        self.deadline = ctx.now + timeout;
    }

    /// Closes the socket, now.
    pub(super) fn cut(&mut self, ctx: &mut Context<'_>) {
        self.forget_claim(ctx);
        self.release(ctx.engine);
        self.phase = Phase::Gone;
        ctx.out.push_back(Output::Close(self.link.id));
    }

    /// Reports that the connection ended.
    pub(super) fn report_end(&self, error: Option<String>, ctx: &mut Context<'_>) {
        if self.link.peer.is_inside {
            return;
        }
        let (peer, client) = (self.link.peer.name.clone(), self.client_name.clone());
        ctx.out.push_back(Output::Event(Event::ConnectionClosed { peer, client, error }));
    }

    /// Sends `connection.close`.
    pub(super) fn close_with(&mut self, fault: &Fault, ctx: &mut Context<'_>) {
        ctx.engine.mark(Mark::of_error(fault.error.code));
        self.link.report(ctx.out, 0, fault.method, &fault.error);
        self.flush_confirms(ctx);
        self.release(ctx.engine);
        let close = fault.error.connection_close(fault.method);
        self.link.send(ctx.out, ctx.now, on_channel(0, close));
        self.report_end(Some(fault.error.reply_text().to_string()), ctx);
        // Its channels are gone with all that waited on them; the answer is to be read.
        self.link.unpark_all(ctx.out);
        self.enter(Phase::Closing, self.close_timeout(ctx), ctx);
    }

    /// How long the client has to answer `connection.close`.
    fn close_timeout(&self, ctx: &Context<'_>) -> Duration {
        match self.heartbeat {
            Duration::ZERO => ctx.config.close_timeout,
            heartbeat => ctx.config.close_timeout.min(heartbeat),
        }
    }

    /// Sends what waited for the batches of the log up to `durable`.
    pub(crate) fn release_held(&mut self, ctx: &mut Context<'_>) {
        let durable = ctx.engine.durable();
        let holding = self.link.holding_deliveries();
        let was_holding = self.link.is_holding();
        self.let_on(ctx, |link, ctx| link.release(ctx.out, ctx.now, durable));
        if was_holding && !self.link.is_holding() {
            match self.phase {
                Phase::Closing => self.enter(Phase::Closing, self.close_timeout(ctx), ctx),
                Phase::Silent => self.enter(Phase::Silent, SILENCE, ctx),
                _ => {}
            }
        }
        for number in holding {
            if !self.link.holds_deliveries(number)
                && let Some(Slot::Open(channel)) = self.channels.get(&number)
            {
                ctx.engine.resume_session(channel.session());
            }
        }
    }

    /// Takes deliveries of a channel back that were not acknowledged in time.
    pub(crate) fn time_out_deliveries(&mut self, number: ChannelNumber, ctx: &mut Context<'_>) {
        let Some((channel, link)) = self.channel(number) else { return };
        if let Err(error) = channel.time_out_deliveries(link, ctx) {
            self.refuse_channel(number, &Fault::new(error, MethodId::NONE), ctx);
            self.resume_close(ctx);
        }
    }

    /// Tells the client why it has to wait, if a publish of this channel does.
    pub(crate) fn tell_blocked(&mut self, number: ChannelNumber, ctx: &mut Context<'_>) {
        if let Some((channel, link)) = self.channel(number) {
            channel.tell_blocked(link, ctx);
        }
    }

    /// Tells the client that it need not wait any more, if it was told that it had to.
    pub(crate) fn tell_unblocked(&mut self, ctx: &mut Context<'_>) {
        if core::mem::take(&mut self.link.is_blocked) {
            ctx.engine.mark(Mark::ClientUnblocked);
            let unblocked = on_channel(0, ConnectionUnblocked {});
            self.link.send(ctx.out, ctx.now, unblocked);
        }
    }

    /// Sends the confirms that are due on all channels.
    fn flush_confirms(&mut self, ctx: &mut Context<'_>) {
        for slot in self.channels.values_mut() {
            if let Slot::Open(channel) = slot {
                channel.flush_confirms(&mut self.link, ctx);
            }
        }
    }

    /// Gives back all that the connection holds.
    fn release(&mut self, engine: &mut Engine) {
        for (_, slot) in core::mem::take(&mut self.channels) {
            if let Slot::Open(channel) = slot {
                channel.terminate(engine);
                engine.forget_channel(&self.link.user);
            }
        }
        engine.drop_owner(self.link.owner());
        if core::mem::take(&mut self.has_entered) {
            engine.leave(&self.link.user, self.link.vhost);
        }
    }

    fn handle_running(&mut self, frame: &mut Frame, ctx: &mut Context<'_>) -> Result<(), Fault> {
        match frame {
            Frame::Method(0, Method::ConnectionClose(_)) if self.has_parked() => {
                ctx.engine.mark(Mark::CloseParked);
                self.parked = Some(frame.take());
                Ok(())
            }
            Frame::Method(0, method) => self.handle_method(method, ctx),
            Frame::Heartbeat(0) => Ok(()),
            Frame::Heartbeat(_) | Frame::ProtocolHeader(_) => Err(unexpected_frame(8)),
            Frame::Header(0, _) | Frame::Body(0, _) => Err(expected_method()),
            Frame::Method(number, _) | Frame::Header(number, _) | Frame::Body(number, _) => {
                let number = *number;
                self.handle_channel_frame(number, frame, ctx)
            }
        }
    }

    /// Whether a channel's frames wait.
    fn has_parked(&self) -> bool {
        let mut slots = self.channels.values();
        slots.any(|slot| matches!(slot, Slot::Open(channel) if channel.is_parked()))
    }

    /// The channels of which frames wait, and how many.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (ChannelNumber, usize)> + '_ {
        let channels = self.link.has_parked().then(|| self.channels.iter());
        channels.into_iter().flatten().filter_map(|(number, slot)| match slot {
            Slot::Open(channel) if channel.is_parked() => Some((*number, channel.parked())),
            _ => None,
        })
    }

    fn handle_channel_frame(
        &mut self,
        number: ChannelNumber,
        frame: &mut Frame,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let method = match frame {
            Frame::Method(_, method) => Some(method.id()),
            _ => None,
        };
        match self.channels.get_mut(&number) {
            None => self.open_channel(number, frame, ctx),
            Some(Slot::Closing) => {
                self.handle_closing_channel(number, frame, ctx);
                Ok(())
            }
            Some(Slot::Open(channel)) => match method {
                Some(ChannelClose::ID) if channel.is_parked() => {
                    ctx.engine.mark(Mark::CloseParked);
                    channel.park(frame.take(), &mut self.link, ctx);
                    Ok(())
                }
                Some(ChannelClose::ID) => {
                    channel.check_between_contents()?;
                    channel.flush_confirms(&mut self.link, ctx);
                    self.close_channel(number, ctx);
                    self.link.send(ctx.out, ctx.now, on_channel(number, ChannelCloseOk {}));
                    Ok(())
                }
                Some(ChannelOpen::ID) => {
                    channel.check_between_contents()?;
                    Err(Fault::new(channel::second_open(), ChannelOpen::ID))
                }
                _ => {
                    let handled = channel.handle_frame(frame, &mut self.link, ctx);
                    self.refuse_softly(number, handled, ctx)
                }
            },
        }
    }

    /// Ends the channel for what is only its fault; for anything else the connection is to end.
    fn refuse_softly(
        &mut self,
        number: ChannelNumber,
        handled: Result<(), Fault>,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match handled {
            Err(fault) if fault.error.code.is_soft() => {
                self.refuse_channel(number, &fault, ctx);
                Ok(())
            }
            handled => handled,
        }
    }

    fn open_channel(
        &mut self,
        number: ChannelNumber,
        frame: &Frame,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let method = match frame {
            Frame::Method(_, method) => method.id(),
            _ => return Err(expected_method()),
        };
        if method != ChannelOpen::ID {
            return Err(Fault::new(channel::expected_open(), method));
        }
        let count = self.channels.len();
        if self.channel_max != 0 && count >= usize::from(self.channel_max) {
            return Err(Fault::new(channel::too_many(count, self.channel_max), method));
        }
        let counted = ctx.engine.count_channel(&self.link.user);
        counted.map_err(|refusal| Fault::new(refusal.into(), method))?;
        let channel = Channel::open(number, &self.link, ctx.engine);
        self.channels.insert(number, Slot::Open(Box::new(channel)));
        self.link.send(ctx.out, ctx.now, on_channel(number, ChannelOpenOk::default()));
        Ok(())
    }

    /// After `channel.close`, only the close handshake counts.
    fn handle_closing_channel(
        &mut self,
        number: ChannelNumber,
        frame: &Frame,
        ctx: &mut Context<'_>,
    ) {
        match frame {
            Frame::Method(_, Method::ChannelCloseOk(_)) => {
                self.channels.remove(&number);
            }
            Frame::Method(_, Method::ChannelClose(_)) => {
                self.link.send(ctx.out, ctx.now, on_channel(number, ChannelCloseOk {}));
            }
            _ => {}
        }
    }

    /// Ends a channel; gives the frames that waited on it.
    fn close_channel(&mut self, number: ChannelNumber, ctx: &mut Context<'_>) -> VecDeque<Frame> {
        let Some(Slot::Open(mut channel)) = self.channels.remove(&number) else {
            return VecDeque::new();
        };
        if channel.is_parked() {
            ctx.parked.remove(channel.handle());
        }
        let (waiting, len) = channel.take_parked();
        self.unpark(len, ctx);
        channel.terminate(ctx.engine);
        ctx.engine.forget_channel(&self.link.user);
        waiting
    }

    /// Handles what waits on a channel, as far as it need not wait again. It stops where the
    /// channel lost a consumer, as the next frame may rest on that; returns whether it is to be
    /// called again once the engine has told.
    pub(crate) fn resume_channel(&mut self, number: ChannelNumber, ctx: &mut Context<'_>) -> bool {
        let Some((channel, _)) = self.channel(number) else { return false };
        let handle = channel.handle();
        let mut has_news = false;
        let (mut frames, len) = channel.take_parked();
        while let Some(mut frame) = frames.pop_front() {
            let handled = self.handle_channel_frame(number, &mut frame, ctx);
            if let Err(fault) = handled {
                self.unpark(len, ctx);
                self.close_with(&fault, ctx);
                return false;
            }
            has_news = !frames.is_empty() && ctx.engine.has_news_for(handle);
            match self.channels.get_mut(&number) {
                Some(Slot::Open(channel)) if channel.is_parked() || has_news => {
                    // If a frame waits again, the others wait behind it.
                    for frame in frames {
                        channel.park(frame, &mut self.link, ctx);
                    }
                    break;
                }
                _ => {}
            }
        }
        self.unpark(len, ctx);
        self.resume_close(ctx);
        has_news
    }

    /// Handles the connection's end, if it waited and no channel's frames wait any more.
    fn resume_close(&mut self, ctx: &mut Context<'_>) {
        if !self.has_parked()
            && let Some(mut frame) = self.parked.take()
        {
            let handled = self.handle_running(&mut frame, ctx);
            if let Err(fault) = handled {
                self.close_with(&fault, ctx);
            }
        }
    }

    /// Frames of so many bytes wait no more.
    fn unpark(&mut self, len: usize, ctx: &mut Context<'_>) {
        self.let_on(ctx, |link, ctx| link.unpark(ctx.out, len));
    }

    /// Does what may end the client's being held up: it could not be heard meanwhile.
    fn let_on(&mut self, ctx: &mut Context<'_>, work: impl FnOnce(&mut Link, &mut Context<'_>)) {
        let was_held_up = self.link.is_held_up();
        work(&mut self.link, ctx);
        if was_held_up && !self.link.is_held_up() {
            self.last_received = ctx.now;
        }
    }

    /// Ends a channel with `channel.close`.
    fn refuse_channel(&mut self, number: ChannelNumber, fault: &Fault, ctx: &mut Context<'_>) {
        ctx.engine.mark(Mark::of_error(fault.error.code));
        self.link.report(ctx.out, number, fault.method, &fault.error);
        if let Some((channel, link)) = self.channel(number) {
            channel.flush_confirms(link, ctx);
        }
        let waiting = self.close_channel(number, ctx);
        self.channels.insert(number, Slot::Closing);
        let close = fault.error.channel_close(fault.method);
        self.link.send(ctx.out, ctx.now, on_channel(number, close));
        // Its own end may be among what waited.
        for frame in waiting {
            self.handle_closing_channel(number, &frame, ctx);
        }
    }

    fn handle_method(&mut self, method: &Method, ctx: &mut Context<'_>) -> Result<(), Fault> {
        match method {
            Method::ConnectionClose(_) => {
                self.finish(ctx);
                Ok(())
            }
            Method::ConnectionUpdateSecret(_) => {
                // Users here have no secret that runs out: there is nothing to renew. What the user
                // may do is looked at anew, as clients count on.
                let entry = ctx.engine.check_entry(self.link.claimant());
                entry.map_err(|refusal| Fault::new(refusal.into(), method.id()))?;
                for slot in self.channels.values_mut() {
                    if let Slot::Open(channel) = slot {
                        channel.recheck_consumers(&mut self.link, ctx);
                    }
                }
                let ok = ConnectionUpdateSecretOk {};
                self.link.send(ctx.out, ctx.now, on_channel(0, ok));
                Ok(())
            }
            _ => Err(self.unexpected_method(method.id())),
        }
    }

    fn handle_closing(&mut self, frame: &Frame, ctx: &mut Context<'_>) {
        match frame {
            Frame::Method(0, Method::ConnectionCloseOk(_)) => self.cut(ctx),
            Frame::Method(0, Method::ConnectionClose(_)) => {
                self.link.send(ctx.out, ctx.now, on_channel(0, ConnectionCloseOk {}));
            }
            _ => {}
        }
    }

    /// Answers the client's `connection.close`, and leaves it to the client to close the socket.
    pub(super) fn finish(&mut self, ctx: &mut Context<'_>) {
        self.flush_confirms(ctx);
        self.release(ctx.engine);
        self.link.send(ctx.out, ctx.now, on_channel(0, ConnectionCloseOk {}));
        self.report_end(None, ctx);
        self.enter(Phase::Silent, SILENCE, ctx);
    }

    pub(super) fn unexpected_method(&self, method: MethodId) -> Fault {
        let state = self.phase.name();
        let text = format!("unexpected method in connection state {state}");
        Fault::new(AmqpError::new(ReplyCode::ChannelError, text), method)
    }
}

/// The error of a frame that is well-formed and out of place.
pub(super) fn unexpected_frame(kind: u8) -> Fault {
    let text = format!("type {kind}, all octets = <<>>");
    Fault::new(AmqpError::new(ReplyCode::UnexpectedFrame, text), MethodId::NONE)
}
