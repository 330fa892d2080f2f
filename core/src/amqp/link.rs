//! A connection as its channels see it: who is at the other end, and how to send there.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::frame::{ChannelNumber, Deliver, FRAME_OVERHEAD, OutFrame};
use super::method::{Method, MethodId};
use super::{AmqpError, FieldTable, FieldValue, ShortStr};
use crate::broker::{Claimant, Message, Owner, VhostId};
use crate::log::BatchNumber;
use crate::{ConnectionId, Event, Instant, Output, Peer};

/// What a method needs beside its texts, in bytes, at the most.
const METHOD_OVERHEAD: usize = 32;

/// What a frame that waits for the disk takes in memory beside its bytes, about. Not its size on
/// this machine: what is decided must be the same on all.
const HELD_OVERHEAD: usize = 160;

/// What a method with content needs beside its names and its content, in bytes, at the most.
const CONTENT_OVERHEAD: usize = 80;

/// What a client can do beyond 0-9-1, as its `connection.start-ok` says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capabilities {
    pub(crate) consumer_cancel_notify: bool,
    pub(crate) authentication_failure_close: bool,
    pub(crate) connection_blocked: bool,
}

impl Capabilities {
    pub(crate) fn read(client_properties: &FieldTable) -> Self {
        let has = |name| match client_properties.find("capabilities") {
            Some(FieldValue::Table(table)) => table.find(name) == Some(&FieldValue::Bool(true)),
            _ => false,
        };
        Self {
            consumer_cancel_notify: has("consumer_cancel_notify"),
            authentication_failure_close: has("authentication_failure_close"),
            connection_blocked: has("connection.blocked"),
        }
    }
}

/// A time in which nothing is read from a client, as what it asks for has no room to be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) since: Instant,
    /// When the socket last took something: the only sign of life there can be.
    pub(crate) last_taken: Instant,
}

/// A frame that waits for a batch of the log to be durable, or for others of its channel that do.
#[derive(Debug)]
struct HeldFrame {
    gate: BatchNumber,
    frame: OutFrame,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) user: ShortStr,
    pub(crate) vhost: VhostId,
    pub(crate) capabilities: Capabilities,
    pub(crate) last_sent: Instant,
    /// Set while nothing is read from the client for want of room for answers.
    pub(crate) pause: Option<Pause>,
    /// Bytes of frames that were read and wait until publishers may go on.
    parked_len: usize,
    /// Whether these are so many that nothing more is read.
    is_parked_full: bool,
    /// Whether it is being found out who the client is, and nothing is read until then.
    is_examined: bool,
    /// What the adapter was told last: whether to read.
    is_deaf: bool,
    /// Whether the client was told that it is blocked.
    pub(crate) is_blocked: bool,
    /// Frames that wait for the disk, in order.
    held: VecDeque<HeldFrame>,
    /// How many of them are of which channel.
    held_of: BTreeMap<ChannelNumber, u32>,
    /// About how many bytes they take.
    held_len: usize,
    /// Whether these are so many that nothing more is read.
    is_held_full: bool,
    /// Bytes that wait for the socket, as last reported, and roughly those sent since.
    egress_len: usize,
    /// How many of them, at most, are answers: they are owed, whatever the client does.
    answers_len: usize,
    egress_len_max: usize,
    /// Whether a delivery found no room.
    is_stalled: bool,
}

impl Link {
    pub(crate) fn new(id: ConnectionId, peer: Peer, egress_len_max: usize, now: Instant) -> Self {
        Self {
            id,
            peer,
            user: ShortStr::EMPTY,
            vhost: VhostId::default(),
            capabilities: Capabilities::default(),
            last_sent: now,
            pause: None,
            parked_len: 0,
            is_parked_full: false,
            is_examined: false,
            is_deaf: false,
            is_blocked: false,
            held: VecDeque::new(),
            held_of: BTreeMap::new(),
            held_len: 0,
            is_held_full: false,
            egress_len: 0,
            answers_len: 0,
            egress_len_max,
            is_stalled: false,
        }
    }

    /// Whom the connection's exclusive queues belong to.
    pub(crate) fn owner(&self) -> Owner {
        self.id.into()
    }

    /// Who its channels act for.
    pub(crate) fn claimant(&self) -> Claimant<'_> {
        Claimant { user: &self.user, vhost: self.vhost, is_operator: self.peer.is_operator }
    }

    /// Sends a frame, behind those of its channel that wait for the disk.
    pub(crate) fn send(&mut self, out: &mut VecDeque<Output>, now: Instant, frame: OutFrame) {
        if !self.held.is_empty() && self.must_wait(&frame) {
            self.send_behind(out, frame);
        } else {
            self.send_now(out, now, frame);
        }
    }

    /// Holds a frame for no longer than what it must not overtake: the last one of its channel, or
    /// of all if it is the connection's.
    fn send_behind(&mut self, out: &mut VecDeque<Output>, frame: OutFrame) {
        let channel = channel_of(&frame);
        let is_before = |held: &HeldFrame| channel == 0 || channel_of(&held.frame) == channel;
        let last = self.held.iter().rposition(is_before);
        let (at, gate) = last.map_or((0, 0), |last| (last + 1, self.held[last].gate));
        self.note_held(&frame);
        self.held.insert(at, HeldFrame { gate, frame });
        self.tell_reading(out);
    }

    /// Sends a frame once this batch of the log is durable; to be followed by [`Self::release`].
    pub(crate) fn hold(&mut self, out: &mut VecDeque<Output>, frame: OutFrame, gate: BatchNumber) {
        let gate = self.held.back().map_or(gate, |last| last.gate.max(gate));
        self.note_held(&frame);
        self.held.push_back(HeldFrame { gate, frame });
        self.tell_reading(out);
    }

    fn note_held(&mut self, frame: &OutFrame) {
        *self.held_of.entry(channel_of(frame)).or_default() += 1;
        self.held_len += held_len(frame);
        // As with answers that wait for the socket: no more may be asked for.
        self.is_held_full |= self.held_len > self.limit();
    }

    /// Sends what waited for the batches up to `durable`.
    pub(crate) fn release(
        &mut self,
        out: &mut VecDeque<Output>,
        now: Instant,
        durable: BatchNumber,
    ) {
        while self.held.front().is_some_and(|held| held.gate <= durable) {
            let Some(HeldFrame { frame, .. }) = self.held.pop_front() else { break };
            let channel = channel_of(&frame);
            if let Some(frames) = self.held_of.get_mut(&channel) {
                *frames -= 1;
                if *frames == 0 {
                    self.held_of.remove(&channel);
                }
            }
            self.held_len -= held_len(&frame);
            self.send_now(out, now, frame);
        }
        self.is_held_full &= self.held_len >= self.egress_len_max;
        self.tell_reading(out);
    }

    /// Whether frames wait for the disk.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether a frame must not overtake those that are held.
    fn must_wait(&self, frame: &OutFrame) -> bool {
        match frame {
            OutFrame::Heartbeat | OutFrame::ProtocolHeader(_) => false,
            OutFrame::Method(0, Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_)) => {
                false
            }
            // The connection's end comes behind everything.
            OutFrame::Method(0, _) => true,
            OutFrame::Method(channel, _)
            | OutFrame::Deliver(channel, _)
            | OutFrame::GetOk(channel, _)
            | OutFrame::Return(channel, ..) => self.held_of.contains_key(channel),
        }
    }

    /// Sends a delivery, behind what of its channel waits for the disk.
    #[inline]
    pub(crate) fn send_delivery(
        &mut self,
        out: &mut VecDeque<Output>,
        now: Instant,
        channel: ChannelNumber,
        deliver: Deliver,
    ) {
        if self.held.is_empty() {
            self.note_sent(now, deliver_len(&deliver));
            out.push_back(Output::Send(self.id, OutFrame::Deliver(channel, deliver)));
        } else {
            self.send(out, now, OutFrame::Deliver(channel, deliver));
        }
    }

    fn note_sent(&mut self, now: Instant, len: usize) {
        self.egress_len = self.egress_len.saturating_add(len);
        self.last_sent = now;
    }

    fn send_now(&mut self, out: &mut VecDeque<Output>, now: Instant, frame: OutFrame) {
        let len = frame_len(&frame);
        let is_delivery = matches!(frame, OutFrame::Deliver(..));
        self.note_sent(now, len);
        out.push_back(Output::Send(self.id, frame));
        if is_delivery {
            return;
        }
        // An answer to what was asked is always sent; so nothing more may be asked for a while.
        // Deliveries do not count: they wait for room, and acknowledgements must get through.
        self.answers_len = self.answers_len.saturating_add(len);
        if self.answers_len > self.limit() && self.pause.is_none() {
            self.pause = Some(Pause { since: now, last_taken: now });
            self.tell_reading(out);
        }
    }

    /// Whether nothing is to be read from the client.
    pub(crate) fn is_deaf(&self) -> bool {
        self.pause.is_some() || self.is_examined || self.is_held_up()
    }

    /// Nothing is read while it is found out who the client is.
    pub(crate) fn set_examined(&mut self, out: &mut VecDeque<Output>, is_examined: bool) {
        self.is_examined = is_examined;
        self.tell_reading(out);
    }

    /// Whether nothing is read from the client because of the broker: it has to wait with
    /// publishing, or its answers wait for the disk.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_parked_full || self.is_held_full
    }

    /// Frames of so many bytes wait until publishers may go on.
    pub(crate) fn park(&mut self, out: &mut VecDeque<Output>, len: usize) {
        self.parked_len += len;
        self.is_parked_full |= self.parked_len >= self.egress_len_max;
        self.tell_reading(out);
    }

    /// Frames of so many bytes wait no more.
    pub(crate) fn unpark(&mut self, out: &mut VecDeque<Output>, len: usize) {
        self.parked_len -= len;
        self.is_parked_full &= self.parked_len > 0;
        self.tell_reading(out);
    }

    /// Whether frames wait on any of its channels.
    pub(crate) fn has_parked(&self) -> bool {
        self.parked_len > 0
    }

    /// No frame waits any more until publishers may go on.
    pub(crate) fn unpark_all(&mut self, out: &mut VecDeque<Output>) {
        self.unpark(out, self.parked_len);
    }

    /// Tells the adapter whether to read, if that has changed.
    fn tell_reading(&mut self, out: &mut VecDeque<Output>) {
        let is_deaf = self.is_deaf();
        if is_deaf != core::mem::replace(&mut self.is_deaf, is_deaf) {
            out.push_back(match is_deaf {
                true => Output::PauseReading(self.id),
                false => Output::ResumeReading(self.id),
            });
        }
    }

    /// Whether there is room for a delivery.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.egress_len < self.egress_len_max;
        self.is_stalled |= !has_room;
        has_room
    }

    /// Whether an answer of this channel is held that its deliveries must not overtake.
    pub(crate) fn holds_deliveries(&self, channel: ChannelNumber) -> bool {
        self.held_of.contains_key(&channel)
    }

    /// The channels with answers that their deliveries must not overtake.
    pub(crate) fn holding_deliveries(&self) -> Vec<ChannelNumber> {
        self.held_of.keys().copied().collect()
    }

    /// Whether so much waits that even what is owed had better be dropped, if it may be.
    pub(crate) fn is_overfull(&self) -> bool {
        self.egress_len > self.limit() || self.held_len > self.limit()
    }

    /// Notes how many bytes wait for the socket. Whether deliveries that found no room may find it
    /// now.
    pub(crate) fn set_egress_len(
        &mut self,
        out: &mut VecDeque<Output>,
        now: Instant,
        len: usize,
    ) -> bool {
        let has_taken = len < self.egress_len;
        self.egress_len = len;
        self.answers_len = self.answers_len.min(len);
        if let Some(pause) = &mut self.pause
            && has_taken
        {
            pause.last_taken = now;
        }
        if self.answers_len < self.egress_len_max && self.pause.take().is_some() {
            self.tell_reading(out);
        }
        // Half empty, so that it fills and empties in strides.
        len <= self.egress_len_max / 2 && core::mem::take(&mut self.is_stalled)
    }

    fn limit(&self) -> usize {
        self.egress_len_max.saturating_mul(2)
    }

    /// Reports an error that the client is told.
    pub(crate) fn report(
        &self,
        out: &mut VecDeque<Output>,
        channel: ChannelNumber,
        method: MethodId,
        error: &AmqpError,
    ) {
        out.push_back(Output::Event(Event::ErrorSent {
            peer: self.peer.name.clone(),
            channel,
            method,
            error: error.clone(),
        }));
    }
}

/// An error, and the method that caused it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: AmqpError,
    pub(crate) method: MethodId,
}

impl Fault {
    pub(crate) fn new(error: AmqpError, method: MethodId) -> Self {
        Self { error, method }
    }
}

/// About how many bytes a frame takes while it waits for the disk.
fn held_len(frame: &OutFrame) -> usize {
    HELD_OVERHEAD + frame_len(frame)
}

/// The bytes of a frame on the wire; never too few.
fn frame_len(frame: &OutFrame) -> usize {
    match frame {
        OutFrame::Deliver(_, deliver) => deliver_len(deliver),
        OutFrame::GetOk(_, get_ok) => content_len(&get_ok.message),
        OutFrame::Return(_, _, message) => content_len(message),
        OutFrame::Method(_, method) => METHOD_OVERHEAD + text_len(method),
        OutFrame::Heartbeat | OutFrame::ProtocolHeader(_) => FRAME_OVERHEAD,
    }
}

fn deliver_len(deliver: &Deliver) -> usize {
    deliver.consumer_tag.len() + content_len(&deliver.message)
}

/// The bytes of a method's texts; of those methods only that are sent in answer to a client.
fn text_len(method: &Method) -> usize {
    match method {
        Method::ConnectionClose(close) => close.reply_text.len(),
        Method::ChannelClose(close) => close.reply_text.len(),
        Method::QueueDeclareOk(ok) => ok.queue.len(),
        Method::BasicConsumeOk(ok) => ok.consumer_tag.len(),
        Method::BasicCancelOk(ok) => ok.consumer_tag.len(),
        Method::BasicCancel(cancel) => cancel.consumer_tag.len(),
        _ => 0,
    }
}

/// The bytes of a message on the wire with the method that carries it; never too few, as long as
/// frames have 4096 bytes or more.
fn content_len(message: &Message) -> usize {
    let names = message.exchange.len() + message.routing_key.len();
    let body = message.body.len();
    let frames = message.body.pieces_len() + body / 4096 * 2;
    let properties = message.properties.as_compact().len();
    CONTENT_OVERHEAD + names + properties + body + frames * FRAME_OVERHEAD
}

/// The channel that a frame is of.
fn channel_of(frame: &OutFrame) -> ChannelNumber {
    match frame {
        OutFrame::Method(channel, _)
        | OutFrame::Deliver(channel, _)
        | OutFrame::GetOk(channel, _)
        | OutFrame::Return(channel, ..) => *channel,
        OutFrame::Heartbeat | OutFrame::ProtocolHeader(_) => 0,
    }
}

/// A method to be sent on a channel.
pub(crate) fn on_channel(channel: ChannelNumber, method: impl Into<Method>) -> OutFrame {
    OutFrame::Method(channel, method.into())
}
