//! A broker with clients that speak in decoded frames, and a clock that the test sets.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use warren_core::amqp::*;
use warren_core::broker::{Password, PasswordHash};
use warren_core::{Boot, Broker, Config, ConnectionId, Input, Instant, Output, Peer};

use super::disk::Disk;

/// A broker, the time, and what it said so far.
pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    said: Vec<Output>,
    /// Whether passwords are looked at at once.
    pub(crate) verifies: bool,
    verified: Vec<(ConnectionId, bool)>,
    pub(crate) disk: Disk,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self::of(Broker::new(config, Boot { seed: [1, 2], clock_origin_ms: 1_000_000 }))
    }

    pub(crate) fn of(broker: Broker) -> Self {
        let disk = Disk::default();
        let (said, verified) = (Vec::new(), Vec::new());
        Self { broker, now: Instant::from_nanos(1), said, verifies: true, verified, disk }
    }

    /// What was said that nobody heard yet.
    pub(crate) fn outputs(&self) -> &[Output] {
        &self.said
    }

    /// A connection before its protocol header.
    pub(crate) fn connect(&mut self) -> ConnectionId {
        self.connect_as(Peer { is_loopback: true, ..Peer::default() })
    }

    /// The same of a client about whom this is known.
    pub(crate) fn connect_as(&mut self, peer: Peer) -> ConnectionId {
        let id = self.broker.connect(self.now, peer);
        self.drain();
        id
    }

    /// An open connection with channel 1, without heartbeats.
    pub(crate) fn client(&mut self) -> ConnectionId {
        self.client_with(Duration::ZERO)
    }

    /// The same, of a client that cannot be told of the end of a consumer.
    pub(crate) fn plain_client(&mut self) -> ConnectionId {
        self.open(Duration::ZERO, false)
    }

    pub(crate) fn client_with(&mut self, heartbeat: Duration) -> ConnectionId {
        self.open(heartbeat, true)
    }

    fn open(&mut self, heartbeat: Duration, can_be_told: bool) -> ConnectionId {
        let id = self.connect();
        self.input(Input::Frame(id, Frame::ProtocolHeader(PROTOCOL_HEADER)));
        let capability = ("consumer_cancel_notify".into(), FieldValue::Bool(can_be_told));
        let capabilities = FieldValue::Table(FieldTable::new(vec![capability]));
        self.tell(
            id,
            0,
            ConnectionStartOk {
                client_properties: FieldTable::new(vec![("capabilities".into(), capabilities)]),
                mechanism: "PLAIN".into(),
                response: Bytes::from_static(b"\0guest\0guest"),
                locale: "en_US".into(),
            },
        );
        let heartbeat = heartbeat.as_secs() as u16;
        self.tell(id, 0, ConnectionTuneOk { channel_max: 2047, frame_max: 131_072, heartbeat });
        self.tell(id, 0, ConnectionOpen { virtual_host: "/".into(), ..Default::default() });
        self.tell(id, 1, ChannelOpen::default());
        self.said.clear();
        id
    }

    /// One input, and all that comes of it.
    pub(crate) fn input(&mut self, input: Input) {
        self.broker.handle(self.now, input);
        self.drain();
    }

    /// Several inputs as one batch.
    pub(crate) fn batch(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.broker.handle(self.now, input);
        }
        self.drain();
    }

    pub(crate) fn tell(&mut self, id: ConnectionId, channel: u16, method: impl Into<Method>) {
        self.input(Input::Frame(id, Frame::Method(channel, method.into())));
    }

    /// Lets time pass, with all the ticks that are asked for on the way.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(timeout) = self.broker.poll_timeout().filter(|timeout| *timeout <= end) {
            self.now = self.now.max(timeout);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// Takes back a delayed message; whether there was one.
    pub(crate) fn cancel_delayed(&mut self, id: u64) -> bool {
        let is_cancelled = self.broker.cancel_delayed(self.now, "/", id);
        self.drain();
        is_cancelled
    }

    /// Declares a queue that dies with the process.
    pub(crate) fn declare(&mut self, id: ConnectionId, name: &str) {
        self.tell(id, 1, QueueDeclare { queue: name.into(), ..Default::default() });
    }

    pub(crate) fn publish(&mut self, id: ConnectionId, key: &str, body: &'static str) {
        self.batch(publish(id, key, body));
    }

    pub(crate) fn consume(&mut self, id: ConnectionId, queue: &str, tag: &str) {
        let (queue, consumer_tag) = (queue.into(), tag.into());
        self.tell(id, 1, BasicConsume { queue, consumer_tag, ..Default::default() });
    }

    /// What was said to a connection since the last time it was asked, in words.
    pub(crate) fn heard(&mut self, id: ConnectionId) -> Vec<String> {
        let (mine, others) = self.said.drain(..).partition(|output| match output {
            Output::Send(to, _)
            | Output::Close(to)
            | Output::FrameMax(to, _)
            | Output::PauseReading(to)
            | Output::ResumeReading(to) => *to == id,
            Output::Verify(..)
            | Output::Answered(..)
            | Output::Event(_)
            | Output::Disk(_)
            | Output::Halt(_) => false,
        });
        self.said = others;
        let mine: Vec<Output> = mine;
        mine.iter().filter_map(words).collect()
    }

    /// The answers to commands that nobody heard yet, in words.
    pub(crate) fn answers(&mut self) -> Vec<String> {
        let answer = |output: &Output| match output {
            Output::Answered(id, Ok(done)) => Some(format!("{} {done:?}", id.0)),
            Output::Answered(id, Err(refusal)) => Some(format!("{} {}", id.0, refusal.explanation)),
            _ => None,
        };
        let answers = self.said.iter().filter_map(answer).collect();
        self.said.retain(|output| !matches!(output, Output::Answered(..)));
        answers
    }

    fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Disk(request) => self.disk.requests.push_back(request),
                Output::Verify(id, password, hash) if self.verifies => {
                    self.verified.push((id, is_right(&password, &hash)));
                }
                output => self.said.push(output),
            }
        }
        while let Some((id, is_right)) = self.verified.pop() {
            self.input(Input::Verified(id, is_right));
        }
    }
}

/// Whether a password is that of a hash with SHA-256.
fn is_right(password: &Password, hash: &PasswordHash) -> bool {
    let Some((salt, right)) = hash.bytes.split_at_checked(4) else { return false };
    Sha256::digest([salt, &password.0].concat()).as_slice() == right
}

/// The frames of a message to the default exchange, on channel 1.
pub(crate) fn publish(id: ConnectionId, key: &str, body: &'static str) -> Vec<Input> {
    publish_with(id, "", key, body, Properties::default())
}

/// The same of a message that is to survive.
pub(crate) fn persist(id: ConnectionId, key: &str, body: &'static str) -> Vec<Input> {
    persist_to(id, "", key, body)
}

/// The same to any exchange.
pub(crate) fn persist_to(
    id: ConnectionId,
    exchange: &str,
    key: &str,
    body: &'static str,
) -> Vec<Input> {
    let properties = BasicProperties { delivery_mode: Some(2), ..BasicProperties::default() };
    publish_with(id, exchange, key, body, properties.encode())
}

pub(crate) fn publish_with(
    id: ConnectionId,
    exchange: &str,
    key: &str,
    body: &'static str,
    properties: Properties,
) -> Vec<Input> {
    let (exchange, routing_key) = (exchange.into(), key.into());
    let method = BasicPublish { exchange, routing_key, mandatory: true, ..Default::default() };
    let header = ContentHeader {
        class_id: CLASS_BASIC,
        weight: 0,
        body_size: body.len() as u64,
        properties,
    };
    let mut frames = vec![Frame::Method(1, method.into()), Frame::Header(1, header)];
    if !body.is_empty() {
        frames.push(Frame::Body(1, Bytes::from_static(body.as_bytes()).into()));
    }
    frames.into_iter().map(|frame| Input::Frame(id, frame)).collect()
}

/// An output in short.
fn words(output: &Output) -> Option<String> {
    let text = |message: &warren_core::broker::Message| {
        let bytes: Vec<u8> = message.body.pieces().flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let again = |redelivered: bool| if redelivered { " again" } else { "" };
    Some(match output {
        Output::Send(_, OutFrame::Method(_, method)) => match method {
            Method::BasicAck(ack) if ack.multiple => format!("ack up to {}", ack.delivery_tag),
            Method::BasicAck(ack) => format!("ack {}", ack.delivery_tag),
            Method::ChannelClose(close) => format!("channel.close {}", close.reply_text),
            Method::ConnectionClose(close) => format!("connection.close {}", close.reply_text),
            Method::QueueDeclareOk(ok) => format!("declare-ok {} {}", ok.queue, ok.message_count),
            method => method.name().to_string(),
        },
        Output::Send(_, OutFrame::Deliver(_, deliver)) => format!(
            "{} {} {}{}",
            deliver.consumer_tag,
            deliver.delivery_tag,
            text(&deliver.message),
            again(deliver.redelivered)
        ),
        Output::Send(_, OutFrame::GetOk(_, get_ok)) => {
            format!("got {}{}", text(&get_ok.message), again(get_ok.redelivered))
        }
        Output::Send(_, OutFrame::Return(_, _, message)) => format!("return {}", text(message)),
        Output::Send(_, OutFrame::Heartbeat) => "heartbeat".into(),
        Output::Send(_, OutFrame::ProtocolHeader(header)) => format!("{header:?}"),
        Output::Close(_) => "closed".into(),
        Output::PauseReading(_) => "pause".into(),
        Output::ResumeReading(_) => "resume".into(),
        Output::Verify(..)
        | Output::Answered(..)
        | Output::FrameMax(..)
        | Output::Event(_)
        | Output::Disk(_)
        | Output::Halt(_) => return None,
    })
}
