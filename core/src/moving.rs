//! Moving messages from a queue to another one, as a client of the broker: which methods are sent,
//! and what follows from the answers. No session of its own, no clock: who drives it carries
//! methods to and fro, and says when it is to stop.
//!
//! Messages are taken, published and acknowledged in transactions, of each of which all is done or
//! nothing. So a broker, or a session, that ends in between leaves each message in one of the two
//! queues, and in one only.
//!
//! A queue that refuses messages when it is full would have a transaction lose what it refuses. To
//! such a queue a message is published first, and acknowledged when that is confirmed: what is
//! refused stays where it was, and what ends in between may leave it in both.
//!
//! They keep their routing keys, properties and headers. They go through a fanout exchange of the
//! move's own, as a header `CC` would send them elsewhere too; that is the exchange they have come
//! from then. Nobody else may delete it: what is published while it leads nowhere would be lost. A
//! time to live that they bring begins anew, as they come in anew.
//!
//! A queue that begins to refuse messages while they are on their way fails the transaction, and
//! keeps those that it took: they are in both then, and none is lost. The session must be one of a
//! client that does not understand `basic.cancel`: what it does not acknowledge in the time that a
//! queue gives is taken back together with its channel, and not behind its back.
//!
//! ```text
//!   open a session with one channel, Mover::new
//!   poll() until None, each Action carried out in order; then one of
//!     handle(frame)   what the broker sent on the channel
//!     ended(reason)   the broker closed the channel, or the session is gone
//!     opened()        the other session is there that Action::Open asks for
//!   and poll() again, until Action::End
//! ```

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::take;

use bytes::{BufMut, Bytes, BytesMut};

use crate::amqp::{
    BasicAck, BasicGet, BasicGetOk, BasicPublish, BasicReject, ConfirmSelect, ExchangeDeclare,
    ExchangeDelete, FieldValue, Frame, Method, Properties, QueueBind, ShortStr, TxCommit, TxSelect,
};
use crate::listing::QueueInfo;
use crate::marks::{Mark, MarkCounts, Marks};

/// What a transaction is about at the most: messages, and bytes of them. What is not committed
/// takes memory.
const AT_ONCE: u64 = 100;
const BYTES_AT_ONCE: usize = 1 << 20;

/// What is to be done about the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To be sent on the channel; it need not go before there is nothing more to be done.
    Send(Method),
    /// A message, to be sent on the channel.
    Publish(BasicPublish, Properties, Bytes),
    /// Another session is to be opened, in place of one that has ended: something is to be cleared
    /// up. [`Mover::opened`] or [`Mover::ended`] says what came of it.
    Open,
    /// It is over. The session can be closed.
    End(Outcome),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many messages were moved.
    pub moved: u64,
    /// How many were to be.
    pub wanted: u64,
    /// Whether each message is in one of the queues only, whatever ended in between.
    pub is_exact: bool,
    /// Whether it came so far that a message could be moved.
    pub is_begun: bool,
    /// Why some were not moved, if it is known.
    pub stopped: Option<String>,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    Declaring,
    Binding,
    Selecting,
    Taking,
    /// A content, of which so much is still to come once its header was there.
    Receiving(Box<BasicGetOk>, Option<(Properties, u64)>, BytesMut),
    Looking,
    Committing,
    /// Whether each of the taken was taken in by the other queue, as far as it is known.
    Confirming(Vec<Option<bool>>),
    /// The exchange is deleted, in the first session or in another.
    Deleting(bool),
    Opening,
    Over,
}

/// A message that was taken from its queue.
#[derive(Debug)]
struct Taken {
    tag: u64,
    routing_key: ShortStr,
    properties: Properties,
    body: Bytes,
}

/// Moves messages, see the [module](self).
#[derive(Debug)]
pub struct Mover {
    source: ShortStr,
    destination: ShortStr,
    exchange: ShortStr,
    wanted: u64,
    moved: u64,
    /// Whether transactions are used.
    is_exact: bool,
    is_begun: bool,
    is_to_stop: bool,
    stopped: Option<String>,
    stage: Stage,
    /// What the transaction is about, or is to be confirmed.
    taken: Vec<Taken>,
    /// How many bytes their bodies have.
    bytes: usize,
    /// How many messages were published before these.
    published: u64,
    actions: VecDeque<Action>,
    marks: Marks,
}

impl Mover {
    /// Moves so many messages in a session that has a channel open and nothing under way on it. No
    /// other move has had this number since the broker was started.
    #[must_use]
    pub fn new(source: &QueueInfo, destination: &QueueInfo, count: u64, number: u64) -> Self {
        let mut mover = Self {
            source: source.name.clone(),
            destination: destination.name.clone(),
            exchange: exchange_of(number),
            wanted: count,
            moved: 0,
            is_exact: !refuses(destination),
            is_begun: false,
            is_to_stop: false,
            stopped: None,
            stage: Stage::Declaring,
            taken: Vec::new(),
            bytes: 0,
            published: 0,
            actions: VecDeque::new(),
            marks: Marks::default(),
        };
        mover.send(mover.declaration(false));
        mover
    }

    /// Whether each message is in one of the queues only, whatever ends in between; else it may be
    /// in both.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// What is to be done next; `None` while something is waited for.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Ends it as soon as nothing is half done.
    pub fn stop(&mut self) {
        self.is_to_stop = true;
    }

    /// The broker sent this on the channel; not that it ends.
    pub fn handle(&mut self, frame: Frame) {
        match frame {
            Frame::Method(_, method) => self.on_method(method),
            Frame::Header(_, header) => {
                if let Stage::Receiving(_, content @ None, _) = &mut self.stage {
                    *content = Some((header.properties, header.body_size));
                    self.receive(&[]);
                }
            }
            Frame::Body(_, piece) => self.receive(&piece),
            Frame::ProtocolHeader(_) | Frame::Heartbeat(_) => {}
        }
    }

    /// The channel or the session is gone, with what was not committed on it; or the other session
    /// could not be opened.
    pub fn ended(&mut self, reason: String) {
        self.actions.clear();
        match self.stage {
            Stage::Over => return,
            Stage::Opening | Stage::Deleting(true) => return self.end(),
            Stage::Deleting(false) => {}
            Stage::Committing => {
                // The queue may have refused some, and have the others.
                self.is_exact = false;
                self.stopped = Some(reason);
            }
            _ => self.stopped = Some(reason),
        }
        if !self.taken.is_empty() {
            self.marks.reach(Mark::MoveUndone);
        }
        self.forget_taken();
        self.stage = Stage::Opening;
        self.actions.push_back(Action::Open);
    }

    /// The other session is there, with a channel open.
    pub fn opened(&mut self) {
        if matches!(self.stage, Stage::Opening) {
            self.delete_exchange(true);
        }
    }

    /// How often it came to the branches that matter.
    #[must_use]
    pub fn marks(&self) -> MarkCounts {
        self.marks.counts()
    }

    fn on_method(&mut self, method: Method) {
        match (&mut self.stage, method) {
            (Stage::Declaring, Method::ExchangeDeclareOk(_)) => {
                self.stage = Stage::Binding;
                let (queue, exchange) = (self.destination.clone(), self.exchange.clone());
                self.send(QueueBind { queue, exchange, ..QueueBind::default() });
            }
            (Stage::Binding, Method::QueueBindOk(_)) => {
                self.stage = Stage::Selecting;
                match self.is_exact {
                    true => self.send(TxSelect {}),
                    false => self.send(ConfirmSelect::default()),
                }
            }
            (Stage::Selecting, Method::TxSelectOk(_) | Method::ConfirmSelectOk(_)) => {
                self.is_begun = true;
                self.take_some();
            }
            (Stage::Taking, Method::BasicGetOk(got)) => {
                self.stage = Stage::Receiving(got, None, BytesMut::new());
            }
            (Stage::Taking, Method::BasicGetEmpty(_)) => self.publish_taken(),
            (Stage::Looking, Method::ExchangeDeclareOk(_)) => self.commit(),
            (Stage::Committing, Method::BasicReturn(_)) => {
                // The queue was deleted while messages came to it, and they went with it.
                self.stopped = Some("the queue that they are for was deleted meanwhile".into());
            }
            (Stage::Committing, Method::TxCommitOk(_)) => {
                self.marks.reach(Mark::MoveCommitted);
                self.moved += self.taken.len() as u64;
                self.take_some();
            }
            (Stage::Confirming(_), Method::BasicAck(ack)) => {
                self.on_confirm(ack.delivery_tag, ack.multiple, true);
            }
            (Stage::Confirming(_), Method::BasicNack(nack)) => {
                self.on_confirm(nack.delivery_tag, nack.multiple, false);
            }
            // The queue has gone, and it went nowhere.
            (Stage::Confirming(_), Method::BasicReturn(_)) => {
                self.on_confirm(u64::MAX, true, false);
            }
            (Stage::Deleting(_), Method::ExchangeDeleteOk(_)) => self.end(),
            // Confirms that came late, say.
            _ => {}
        }
    }

    /// A part of the content that is waited for, if one is.
    fn receive(&mut self, piece: &[u8]) {
        let Stage::Receiving(got, Some((properties, len)), body) = &mut self.stage else { return };
        body.put_slice(piece);
        if (body.len() as u64) < *len {
            return;
        }
        self.bytes += body.len();
        self.taken.push(Taken {
            tag: got.delivery_tag,
            routing_key: got.routing_key.clone(),
            properties: take(properties),
            body: take(body).freeze(),
        });
        self.take_next();
    }

    /// Begins the next transaction, if there is to be one.
    fn take_some(&mut self) {
        self.published += self.taken.len() as u64;
        self.forget_taken();
        if self.moved >= self.wanted || self.is_to_stop || self.stopped.is_some() {
            return self.delete_exchange(false);
        }
        self.take_next();
    }

    fn take_next(&mut self) {
        let most = (self.wanted - self.moved).min(AT_ONCE);
        if self.taken.len() as u64 >= most || self.bytes >= BYTES_AT_ONCE {
            return self.publish_taken();
        }
        self.stage = Stage::Taking;
        self.send(BasicGet { queue: self.source.clone(), ..BasicGet::default() });
    }

    fn publish_taken(&mut self) {
        if self.taken.is_empty() {
            return self.delete_exchange(false);
        }
        for Taken { routing_key, properties, body, .. } in &self.taken {
            let publish = BasicPublish {
                exchange: self.exchange.clone(),
                routing_key: routing_key.clone(),
                mandatory: true,
                ..BasicPublish::default()
            };
            let publish = Action::Publish(publish, properties.clone(), body.clone());
            self.actions.push_back(publish);
        }
        if !self.is_exact {
            self.stage = Stage::Confirming(vec![None; self.taken.len()]);
            return;
        }
        // The channel ends, and the transaction with it, if what it goes by is gone: it answers
        // behind all that was published.
        self.stage = Stage::Looking;
        self.send(self.declaration(true));
    }

    fn commit(&mut self) {
        self.stage = Stage::Committing;
        let delivery_tag = self.taken.last().map_or(0, |last| last.tag);
        self.send(BasicAck { delivery_tag, multiple: true });
        self.send(TxCommit {});
    }

    /// The publish of this number, or all up to it, was taken in or not.
    fn on_confirm(&mut self, number: u64, multiple: bool, answer: bool) {
        let Stage::Confirming(is_taken) = &mut self.stage else { return };
        for (own, slot) in (self.published + 1..).zip(is_taken.iter_mut()) {
            if slot.is_none() && (own == number || multiple && own < number) {
                *slot = Some(answer);
            }
        }
        if !is_taken.contains(&None) {
            let is_taken = take(is_taken);
            self.settle(&is_taken);
        }
    }

    /// Acknowledges those whose copies are confirmed, and gives back the others.
    fn settle(&mut self, is_taken: &[Option<bool>]) {
        for (at, is_taken) in is_taken.iter().enumerate() {
            let delivery_tag = self.taken[at].tag;
            if *is_taken == Some(true) {
                self.marks.reach(Mark::MoveConfirmed);
                self.moved += 1;
                self.send(BasicAck { delivery_tag, multiple: false });
            } else {
                self.marks.reach(Mark::MoveRefused);
                self.stopped = Some("the queue that they are for takes no more".into());
                self.send(BasicReject { delivery_tag, requeue: true });
            }
        }
        self.take_some();
    }

    fn delete_exchange(&mut self, is_reopened: bool) {
        self.stage = Stage::Deleting(is_reopened);
        let exchange = self.exchange.clone();
        self.send(ExchangeDelete { exchange, ..ExchangeDelete::default() });
    }

    fn end(&mut self) {
        self.stage = Stage::Over;
        self.actions.push_back(Action::End(Outcome {
            moved: self.moved,
            wanted: self.wanted,
            is_exact: self.is_exact,
            is_begun: self.is_begun,
            stopped: self.stopped.take(),
        }));
    }

    fn forget_taken(&mut self) {
        self.taken.clear();
        self.bytes = 0;
    }

    /// Declares the exchange, or only asks whether it is there.
    fn declaration(&self, passive: bool) -> ExchangeDeclare {
        ExchangeDeclare {
            exchange: self.exchange.clone(),
            kind: ShortStr::from_static("fanout"),
            passive,
            auto_delete: !passive,
            ..ExchangeDeclare::default()
        }
    }

    fn send(&mut self, method: impl Into<Method>) {
        self.actions.push_back(Action::Send(method.into()));
    }
}

/// Whether a queue refuses messages when it is full.
fn refuses(queue: &QueueInfo) -> bool {
    let asked = [(&queue.arguments, "x-overflow"), (&queue.policy_definition, "overflow")];
    asked.iter().any(|(table, key)| {
        let overflow = table.find(key).and_then(FieldValue::as_longstr);
        overflow.is_some_and(|overflow| overflow.starts_with(b"reject-publish"))
    })
}

/// The exchange by which the messages of a move come to their queue. One for all moves to a queue
/// would be deleted by the first that ends.
fn exchange_of(number: u64) -> ShortStr {
    ShortStr::truncated(format!("warren.move.{number}").as_bytes())
}

#[cfg(test)]
mod tests;
