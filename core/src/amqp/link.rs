//! A connection as its channels see it: who is at the other end, and how to send there.

use alloc::collections::VecDeque;
use alloc::string::String;

use super::frame::{ChannelNumber, FRAME_OVERHEAD, OutFrame};
use super::method::{Method, MethodId};
use super::{AmqpError, FieldTable, FieldValue};
use crate::broker::{Message, Owner, VhostId};
use crate::{ConnectionId, Event, Instant, Output, Peer};

/// What a method needs beside its texts, in bytes, at the most.
const METHOD_OVERHEAD: usize = 32;

/// What a method with content needs beside its names and its content, in bytes, at the most.
const CONTENT_OVERHEAD: usize = 80;

/// What a client can do beyond 0-9-1, as its `connection.start-ok` says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capabilities {
    pub(crate) consumer_cancel_notify: bool,
    pub(crate) authentication_failure_close: bool,
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

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) user: String,
    pub(crate) vhost: VhostId,
    pub(crate) capabilities: Capabilities,
    pub(crate) last_sent: Instant,
    /// Set while nothing is read from the client.
    pub(crate) pause: Option<Pause>,
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
            user: String::new(),
            vhost: VhostId::default(),
            capabilities: Capabilities::default(),
            last_sent: now,
            pause: None,
            egress_len: 0,
            answers_len: 0,
            egress_len_max,
            is_stalled: false,
        }
    }

    /// Whom the connection's exclusive queues belong to.
    pub(crate) fn owner(&self) -> Owner {
        Owner(u64::from(self.id.generation) << 32 | u64::from(self.id.index))
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, out: &mut VecDeque<Output>, now: Instant, frame: OutFrame) {
        let len = match &frame {
            OutFrame::Deliver(_, deliver) => {
                deliver.consumer_tag.len() + content_len(&deliver.message)
            }
            OutFrame::GetOk(_, get_ok) => content_len(&get_ok.message),
            OutFrame::Return(_, _, message) => content_len(message),
            OutFrame::Method(_, method) => METHOD_OVERHEAD + text_len(method),
            OutFrame::Heartbeat | OutFrame::ProtocolHeader(_) => FRAME_OVERHEAD,
        };
        let is_delivery = matches!(frame, OutFrame::Deliver(..));
        self.egress_len = self.egress_len.saturating_add(len);
        self.last_sent = now;
        out.push_back(Output::Send(self.id, frame));
        if is_delivery {
            return;
        }
        // An answer to what was asked is always sent; so nothing more may be asked for a while.
        // Deliveries do not count: they wait for room, and acknowledgements must get through.
        self.answers_len = self.answers_len.saturating_add(len);
        if self.answers_len > self.limit() && self.pause.is_none() {
            self.pause = Some(Pause { since: now, last_taken: now });
            out.push_back(Output::PauseReading(self.id));
        }
    }

    /// Whether there is room for a delivery.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.egress_len < self.egress_len_max;
        self.is_stalled |= !has_room;
        has_room
    }

    /// Whether so much waits that even what is owed had better be dropped, if it may be.
    pub(crate) fn is_overfull(&self) -> bool {
        self.egress_len > self.limit()
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
            out.push_back(Output::ResumeReading(self.id));
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
    let frames = message.body.pieces().count() + body / 4096 * 2;
    CONTENT_OVERHEAD + names + message.properties.wire().len() + body + frames * FRAME_OVERHEAD
}

/// A method to be sent on a channel.
pub(crate) fn on_channel(channel: ChannelNumber, method: impl Into<Method>) -> OutFrame {
    OutFrame::Method(channel, method.into())
}
