//! A simulated client: carries out the steps of a plan with its own codec, and answers what a
//! client must answer.
//!
//! It knows only what reached it over its link. A step that makes no sense any more (an ack when
//! nothing is unsettled, a publish on a channel that was closed) does nothing, so that a plan
//! stays playable when steps are taken out of it.

use std::collections::{BTreeMap, VecDeque};

use super::moving::Moves;
use super::request;
use crate::plan::{Step, Who};
use crate::tally::Tally;
use crate::wire::{
    Argument, Incoming, Method, Stream, Table, Value, Violation, encode_frame, encode_method,
};

const SECOND: u64 = 1_000_000_000;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No connection.
    Gone,
    /// On the way to be open; steps wait.
    Handshake,
    /// Open.
    Open,
    /// One of the two has said `connection.close`.
    Closing,
}

/// What the client knows of one of its channels.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) is_closing: bool,
    /// Whether it began a body that it did not end.
    pub(super) has_cut_body: bool,
    /// Deliveries that are not settled, in order.
    pub(super) unsettled: Vec<u64>,
    /// Settled in the transaction that is not committed.
    pub(super) settled_in_tx: Vec<u64>,
    pub(super) is_tx: bool,
    /// Consumers that were asked for, and whether they need no acks.
    pub(super) consumers: BTreeMap<String, bool>,
    pub(super) gets: VecDeque<bool>,
    pub(super) reply_to: Option<String>,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its number in the plan.
    pub number: u8,
    /// Its link, while it has one.
    pub link: Option<usize>,
    /// How far its connection is.
    pub stage: Stage,
    /// Bytes for which the link has no room yet.
    pub out: Vec<u8>,
    /// Until when it does not read.
    pub stalled_until: u64,
    /// Whether its end of the stream comes behind `out`.
    pub is_ending: bool,
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) frame_max: u32,
    pub(super) connect: Step,
    backlog: Vec<Step>,
    stream: Stream,
    heartbeat_ns: u64,
    heartbeat_at: u64,
    pub(super) tally: Tally,
    pub(super) moves: Moves,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self {
            number,
            link: None,
            stage: Stage::Gone,
            out: Vec::new(),
            stalled_until: 0,
            is_ending: false,
            channels: BTreeMap::new(),
            frame_max: 4096,
            connect: Step::new(Who::Client(number), "connect"),
            backlog: Vec::new(),
            stream: Stream::new(),
            heartbeat_ns: 0,
            heartbeat_at: u64::MAX,
            tally: Tally::default(),
            moves: Moves::default(),
        }
    }

    /// Starts a connection over a new link.
    pub fn connect(&mut self, link: usize, connect: &Step, now: u64) {
        self.disconnect();
        self.link = Some(link);
        self.stage = Stage::Handshake;
        self.connect = connect.clone();
        if connect.value("silent_after").is_some() {
            self.tally.note("silent-handshake");
        }
        match connect.text("silent_after") {
            "connect" => {}
            "half_header" => self.out.extend_from_slice(b"AMQP"),
            "wrong_header" => self.out.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n"),
            "old_header" => self.out.extend_from_slice(b"AMQP\x01\x01\x08\x00"),
            _ => self.out.extend_from_slice(b"AMQP\x00\x00\x09\x01"),
        }
        self.spoil("header");
        if connect.is("eager") {
            self.tally.note("early-handshake");
            self.send_start_ok();
            self.send_tune_ok(&eager_tune(), now);
        }
    }

    /// Sends garbage instead of what is due, if this is where it does so. Whether it did.
    fn spoil(&mut self, at: &str) -> bool {
        let spoils = self.connect.text("spoil_at") == at;
        if spoils {
            let (kind, salt) =
                (self.connect.text("kind").to_owned(), self.connect.number("salt", 0));
            self.tally.note("spoilt-handshake");
            self.send_garbage(&kind, salt);
        }
        spoils
    }

    /// The connection is over; what was not sent is lost.
    pub fn disconnect(&mut self) {
        self.moves.lose_session();
        let (tally, moves) = (std::mem::take(&mut self.tally), std::mem::take(&mut self.moves));
        *self = Self { tally, moves, ..Self::new(self.number) };
    }

    /// Carries out a step of this client; `serial` numbers the messages of the whole run.
    pub fn execute(&mut self, step: &Step, serial: &mut u64) {
        match self.stage {
            Stage::Gone | Stage::Closing => {}
            Stage::Handshake => self.backlog.push(step.clone()),
            Stage::Open => match step.who {
                Who::Channel(_, channel) => {
                    let channel = self.settling_channel(channel, step);
                    request::send(self, channel, step, serial);
                }
                _ => self.execute_here(step),
            },
        }
    }

    /// A step that settles is carried out on another channel if there is nothing to settle on its
    /// own.
    fn settling_channel(&self, wanted: u16, step: &Step) -> u16 {
        let settles = matches!(step.verb(), "ack" | "nack" | "reject");
        let has_some = |channel: &Channel| !channel.is_closing && !channel.unsettled.is_empty();
        if !settles
            || step.value("tag").is_some()
            || self.channels.get(&wanted).is_some_and(has_some)
        {
            return wanted;
        }
        let other = self.channels.iter().find(|(_, channel)| has_some(channel));
        other.map_or(wanted, |(number, _)| *number)
    }

    fn execute_here(&mut self, step: &Step) {
        match step.verb() {
            "close" => {
                self.send(0, &Method::new("connection.close").with_number("reply-code", 200));
                self.stage = Stage::Closing;
            }
            "garbage" => self.send_garbage(step.text("kind"), step.number("salt", 0)),
            "update-secret" => {
                let secret = Argument::Blob(b"guest".to_vec());
                self.send(0, &Method::new("connection.update-secret").with("new-secret", secret));
            }
            verb => unreachable!("{verb} is carried out by the world"),
        }
    }

    /// The first part of a frame whose rest never comes.
    pub(super) fn send_half_a_frame(&mut self) {
        self.out.extend_from_slice(&[1, 0, 1, 0, 0, 0, 40, 0, 60, 0, 40]);
    }

    fn send_garbage(&mut self, kind: &str, salt: u64) {
        self.tally.note(match kind {
            "large" => "oversize-frame",
            "channel" => "wrong-channel",
            _ => "garbage",
        });
        let out = &mut self.out;
        match kind {
            "kind" => encode_frame(out, 7, 1, b"payload"),
            "end" => out.extend_from_slice(&[8, 0, 0, 0, 0, 0, 0, 0]),
            "large" => out.extend_from_slice(&[3, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF]),
            "method" => encode_frame(out, 1, 1, &[0, 60, 0, 99]),
            "arguments" => encode_frame(out, 1, 1, &[0, 50, 0, 10, 0, 0, 9]),
            "body" => encode_frame(out, 3, 1, b"body"),
            "header" => encode_frame(out, 2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
            "heartbeat" => encode_frame(out, 8, 1, &[]),
            "channel" => encode_method(out, 200, &Method::new("tx.select")),
            _ => {
                let mut rng = fastrand::Rng::with_seed(salt);
                out.extend_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
                let len = rng.usize(3..60);
                out.extend(std::iter::repeat_with(|| rng.u8(..)).take(len));
            }
        }
    }

    /// When it sends its next sign of life.
    #[must_use]
    pub fn heartbeat_at(&self) -> u64 {
        self.heartbeat_at
    }

    /// Sends a sign of life if one is due.
    pub fn tick(&mut self, now: u64) {
        if now >= self.heartbeat_at {
            encode_frame(&mut self.out, 8, 0, &[]);
            self.heartbeat_at = now + self.heartbeat_ns / 2;
        }
    }

    /// Whether the stream that it received may end here.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.stream.is_whole()
    }

    /// Reads what the link brought.
    ///
    /// # Errors
    /// What the broker may not have sent.
    pub fn receive(&mut self, bytes: &[u8], now: u64, serial: &mut u64) -> Result<(), Violation> {
        self.stream.feed(bytes);
        while let Some(incoming) = self.stream.poll()? {
            match incoming {
                Incoming::Method(0, method) => self.on_connection(&method, now, serial),
                Incoming::Method(channel, _) | Incoming::Content(channel, ..)
                    if self.moves.are_on(channel) =>
                {
                    self.hear_of_move(&incoming);
                }
                Incoming::Method(channel, method) => self.on_channel(channel, &method),
                Incoming::Content(channel, method, properties, _) => {
                    self.on_content(channel, &method, properties.text("reply-to"));
                }
                Incoming::Refusal(_) | Incoming::Heartbeat => {}
            }
        }
        Ok(())
    }

    fn on_connection(&mut self, method: &Method, now: u64, serial: &mut u64) {
        let silent_after = self.connect.text("silent_after").to_owned();
        let is_eager = self.connect.is("eager");
        match method.name() {
            "connection.start" | "connection.tune" if is_eager => {}
            "connection.start" if silent_after == "header" || self.spoil("start") => {}
            "connection.tune" if silent_after == "start" || self.spoil("tune") => {}
            "connection.start" => self.send_start_ok(),
            "connection.tune" => {
                self.send_tune_ok(method, now);
                self.spoil("open");
            }
            "connection.open-ok" => {
                self.stage = Stage::Open;
                for step in std::mem::take(&mut self.backlog) {
                    self.execute(&step, serial);
                }
                self.go_on_moving();
            }
            "connection.close" => {
                self.send(0, &Method::new("connection.close-ok"));
                self.stage = Stage::Closing;
            }
            "connection.close-ok" => self.is_ending = true,
            _ => {}
        }
    }

    fn send_start_ok(&mut self) {
        let is_amqplain = self.connect.is("amqplain");
        let is_operator = self.connect.is("operator");
        let password = self.connect.value("password").unwrap_or("guest");
        let user = self.connect.value("user").unwrap_or("guest");
        let response = if is_operator {
            Vec::new()
        } else if is_amqplain {
            request::amqplain(user, password)
        } else {
            format!("\0{user}\0{password}").into_bytes()
        };
        let mechanism = match (is_operator, is_amqplain) {
            (true, _) => "EXTERNAL",
            (false, true) => "AMQPLAIN",
            (false, false) => "PLAIN",
        };
        let mut properties = Table::new();
        if !self.connect.is("plain_client") {
            let names =
                ["consumer_cancel_notify", "authentication_failure_close", "connection.blocked"];
            let capable = |name: &str| (name.to_owned(), Value::Bool(true));
            let capabilities = Value::Table(names.into_iter().map(capable).collect());
            properties.push(("capabilities".into(), capabilities));
        }
        let start_ok = Method::new("connection.start-ok")
            .with_table("client-properties", properties)
            .with_text("mechanism", mechanism)
            .with("response", Argument::Blob(response))
            .with_text("locale", "en_US");
        self.send(0, &start_ok);
    }

    fn send_tune_ok(&mut self, tune: &Method, now: u64) {
        let wanted = |key: &str, offer: u64| self.connect.number(key, offer);
        let frame_max = wanted("frame_max", tune.number("frame-max"));
        let channel_max = wanted("channel_max", tune.number("channel-max"));
        let heartbeat_s = wanted("heartbeat_s", tune.number("heartbeat"));
        let tune_ok = Method::new("connection.tune-ok")
            .with_number("channel-max", channel_max)
            .with_number("frame-max", frame_max)
            .with_number("heartbeat", heartbeat_s);
        self.send(0, &tune_ok);
        self.frame_max = frame_max as u32;
        self.stream.set_frame_max(self.frame_max);
        self.heartbeat_ns = heartbeat_s * SECOND;
        if heartbeat_s > 0 {
            self.heartbeat_at = now + self.heartbeat_ns / 2;
        }
        if self.connect.text("silent_after") != "tune" {
            let vhost = self.connect.value("vhost").unwrap_or("/");
            let open = Method::new("connection.open").with_text("virtual-host", vhost);
            self.send(0, &open);
        }
    }

    fn on_channel(&mut self, number: u16, method: &Method) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        match method.name() {
            "channel.close" => {
                self.channels.remove(&number);
                self.send(number, &Method::new("channel.close-ok"));
            }
            "channel.close-ok" if channel.is_closing => {
                self.channels.remove(&number);
            }
            "basic.cancel" | "basic.cancel-ok" => {
                channel.consumers.remove(method.text("consumer-tag"));
            }
            "basic.get-empty" => {
                channel.gets.pop_front();
            }
            "basic.consume-ok" => {
                let tag = method.text("consumer-tag");
                if let Some(no_ack) = channel.consumers.remove("") {
                    channel.consumers.insert(tag.to_owned(), no_ack);
                }
            }
            "tx.rollback-ok" => {
                channel.unsettled.append(&mut channel.settled_in_tx);
                channel.unsettled.sort_unstable();
            }
            "tx.commit-ok" => channel.settled_in_tx.clear(),
            _ => {}
        }
    }

    fn on_content(&mut self, number: u16, method: &Method, reply_to: Option<&str>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let no_ack = match method.name() {
            "basic.deliver" => channel.consumers.get(method.text("consumer-tag")).copied(),
            "basic.get-ok" => channel.gets.pop_front(),
            _ => return,
        };
        // A delivery may have crossed the cancel: the consumer is forgotten, the delivery is not.
        if no_ack != Some(true) {
            channel.unsettled.push(method.number("delivery-tag"));
        }
        if let Some(reply_to) = reply_to {
            channel.reply_to = Some(reply_to.to_owned());
        }
    }

    pub(super) fn send(&mut self, channel: u16, method: &Method) {
        encode_method(&mut self.out, channel, method);
    }
}

/// What a client that does not wait for the broker's offer takes for it.
fn eager_tune() -> Method {
    Method::new("connection.tune")
        .with_number("channel-max", 1)
        .with_number("frame-max", 4096)
        .with_number("heartbeat", 0)
}
