//! A connection with channel 1 open, which puts contents together and keeps everything in order
//! while it waits for an answer.
//!
//! It answers the broker's own closing methods, as every client does, and nothing else.

use crate::client::{Address, Arrival, Connection};
use crate::wire::{self, Frame};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The largest body frame that is sent: what RabbitMQ and Warren offer, less the frame's own bytes.
const BODY_FRAME_MAX: usize = 131_072 - 8;

/// What an error ends with when the connection ended instead of an answer.
pub const ENDED: &str = "the connection ended";

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A method that came with a content: a delivery, an answer to get, or a return.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The channel it came on.
    pub channel: u16,
    /// `Basic.Deliver`, `Basic.GetOk` or `Basic.Return`.
    pub method: &'static str,
    /// The method's arguments.
    pub arguments: Map<String, Value>,
    /// The properties that are set.
    pub properties: Map<String, Value>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// Its delivery tag; 0 for a return.
    pub fn tag(&self) -> u64 {
        self.arguments.get("delivery_tag").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether it says that it was delivered before.
    pub fn is_redelivered(&self) -> bool {
        self.arguments.get("redelivered") == Some(&Value::Bool(true))
    }

    /// The consumer it is for; empty if for none.
    pub fn consumer(&self) -> &str {
        self.arguments.get("consumer_tag").and_then(Value::as_str).unwrap_or("")
    }

    /// The property of that name, if it is a text.
    pub fn text_property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Value::as_str)
    }
}

/// What came from the broker.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A method with a content.
    Message(Message),
    /// A confirm, or a refusal to confirm.
    Confirm {
        /// Which publish, counted from 1.
        tag: u64,
        /// Whether all before it are meant too.
        is_multiple: bool,
        /// False for `Basic.Nack`.
        is_ack: bool,
    },
    /// Any other method.
    Method {
        /// The channel it came on.
        channel: u16,
        /// Its name.
        name: &'static str,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// Nothing more will come.
    Ended,
}

/// One connection with channel 1 open.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    events: VecDeque<Event>,
    /// By channel: the content that is not complete yet, and how many bytes of it there will be.
    partial: BTreeMap<u16, (Message, usize)>,
}

impl Session {
    /// Connects as guest.
    pub fn open(address: &Address) -> Result<Self, String> {
        let mut connection = Connection::open(address)?;
        connection.open_channel(1)?;
        Ok(Session { connection, events: VecDeque::new(), partial: BTreeMap::new() })
    }

    /// Opens another channel, or one again that was closed.
    pub fn open_channel(&mut self, channel: u16) -> Result<(), String> {
        self.call_on(channel, "Channel.Open", &Value::Null, "Channel.OpenOk").map(drop)
    }

    /// Sends a method on channel 1.
    pub fn send(&mut self, method: &str, arguments: &Value) {
        self.connection.send(1, method, arguments);
    }

    /// Sends a method on channel 1 and waits for its answer. What comes before that is kept.
    /// Fails if the broker closes the channel or the connection instead.
    pub fn call(
        &mut self,
        method: &str,
        arguments: &Value,
        answer: &str,
    ) -> Result<Map<String, Value>, String> {
        self.call_on(1, method, arguments, answer)
    }

    /// The same on any channel.
    pub fn call_on(
        &mut self,
        channel: u16,
        method: &str,
        arguments: &Value,
        answer: &str,
    ) -> Result<Map<String, Value>, String> {
        self.connection.send(channel, method, arguments);
        let mut kept = Vec::new();
        let start = Instant::now();
        let result = loop {
            match self.next(ANSWER_WAIT.saturating_sub(start.elapsed())) {
                Some(Event::Method { channel: on, name, arguments }) if on == channel => {
                    if name == answer {
                        break Ok(arguments);
                    }
                    if name == "Channel.Close" {
                        break Err(format!("{method}: {}", arguments["reply_text"]));
                    }
                    kept.push(Event::Method { channel: on, name, arguments });
                }
                Some(Event::Ended) => {
                    kept.push(Event::Ended);
                    break Err(format!("{method}: {ENDED}"));
                }
                Some(event) => kept.push(event),
                None => break Err(format!("{method}: no {answer} in {ANSWER_WAIT:?}")),
            }
        };
        kept.into_iter().rev().for_each(|event| self.events.push_front(event));
        result
    }

    /// Declares a durable queue without arguments, and says how many messages it has ready.
    pub fn declare(&mut self, queue: &str) -> Result<u64, String> {
        let arguments = json!({"queue": queue, "durable": true});
        let answer = self.call("Queue.Declare", &arguments, "Queue.DeclareOk")?;
        Ok(answer["message_count"].as_u64().expect("is a number"))
    }

    /// How many messages a queue has ready; fails if it does not exist, which closes the channel.
    pub fn message_count(&mut self, queue: &str) -> Result<u64, String> {
        let arguments = json!({"queue": queue, "passive": true});
        let answer = self.call("Queue.Declare", &arguments, "Queue.DeclareOk")?;
        Ok(answer["message_count"].as_u64().expect("is a number"))
    }

    /// Asks for confirms on channel 1.
    pub fn confirm(&mut self) -> Result<(), String> {
        self.call("Confirm.Select", &Value::Null, "Confirm.SelectOk").map(drop)
    }

    /// Consumes on channel 1, with the queue's name as consumer tag.
    pub fn consume(&mut self, queue: &str, prefetch: u16) -> Result<(), String> {
        self.consume_on(1, queue, prefetch)
    }

    /// The same on any channel.
    pub fn consume_on(&mut self, channel: u16, queue: &str, prefetch: u16) -> Result<(), String> {
        let qos = json!({ "prefetch_count": prefetch });
        self.call_on(channel, "Basic.Qos", &qos, "Basic.QosOk")?;
        let arguments = json!({"queue": queue, "consumer_tag": queue});
        self.call_on(channel, "Basic.Consume", &arguments, "Basic.ConsumeOk").map(drop)
    }

    /// Publishes on channel 1, with the body in as many frames as it needs.
    pub fn publish(&mut self, arguments: &Value, properties: &Value, body: &[u8]) {
        let mut bytes = wire::method(1, "Basic.Publish", arguments);
        let encoded = wire::encode_properties(properties);
        bytes.extend(wire::header(1, 60, 0, body.len() as u64, &encoded));
        for piece in body.chunks(BODY_FRAME_MAX) {
            bytes.extend(wire::body(1, piece));
        }
        self.connection.send_bytes(&bytes);
    }

    /// Publishes to a queue by its name and waits until it is confirmed, which needs confirms to be
    /// asked for and no other publish to be under way.
    pub fn publish_confirmed(
        &mut self,
        queue: &str,
        properties: &Value,
        body: &[u8],
    ) -> Result<(), String> {
        self.publish(&json!({ "routing_key": queue }), properties, body);
        match self.next(ANSWER_WAIT) {
            Some(Event::Confirm { is_ack: true, .. }) => Ok(()),
            other => Err(format!("no confirm, but {other:?}")),
        }
    }

    /// Acknowledges a delivery, on the channel it came on.
    pub fn ack(&mut self, message: &Message, is_multiple: bool) {
        let arguments = json!({"delivery_tag": message.tag(), "multiple": is_multiple});
        self.connection.send(message.channel, "Basic.Ack", &arguments);
    }

    /// Takes a message off a queue; `None` if it is empty.
    pub fn get(&mut self, queue: &str) -> Result<Option<Message>, String> {
        self.send("Basic.Get", &json!({ "queue": queue }));
        let mut kept = Vec::new();
        let result = loop {
            match self.next(ANSWER_WAIT) {
                Some(Event::Message(message)) if message.method == "Basic.GetOk" => {
                    break Ok(Some(message));
                }
                Some(Event::Method { name: "Basic.GetEmpty", .. }) => break Ok(None),
                Some(Event::Ended) => {
                    kept.push(Event::Ended);
                    break Err(format!("Basic.Get: {ENDED}"));
                }
                Some(event) => kept.push(event),
                None => break Err(format!("Basic.Get: no answer in {ANSWER_WAIT:?}")),
            }
        };
        kept.into_iter().rev().for_each(|event| self.events.push_front(event));
        result
    }

    /// The next event; `None` if there is none for so long. After [`Event::Ended`] there is nothing
    /// but that.
    pub fn next(&mut self, wait: Duration) -> Option<Event> {
        let start = Instant::now();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            for arrival in self.connection.take_frames() {
                self.take(arrival);
            }
            if !self.events.is_empty() {
                continue;
            }
            if self.connection.has_ended() {
                return Some(Event::Ended);
            }
            let left = wait.saturating_sub(start.elapsed());
            if !self.connection.read_more(left) && left.is_zero() {
                return None;
            }
        }
    }

    /// The next message, dropping what comes before it.
    pub fn next_message(&mut self, wait: Duration) -> Result<Message, String> {
        let start = Instant::now();
        loop {
            match self.next(wait.saturating_sub(start.elapsed())) {
                Some(Event::Message(message)) => return Ok(message),
                Some(Event::Ended) => return Err(ENDED.to_owned()),
                Some(_) => {}
                None => return Err(format!("no message in {wait:?}")),
            }
        }
    }

    /// Takes leave as a client should.
    pub fn close(mut self) -> Result<(), String> {
        let goodbye = json!({"reply_code": 200, "reply_text": "bye"});
        self.call_on(0, "Connection.Close", &goodbye, "Connection.CloseOk").map(drop)
    }

    fn take(&mut self, arrival: Arrival) {
        let frame = match arrival {
            Arrival::Frame(frame) => frame,
            Arrival::Undecodable(broken) => panic!("the broker sent what is no frame: {broken:?}"),
            Arrival::End => return,
        };
        match frame {
            Frame::Method { channel, name, arguments } => {
                self.take_method(channel, name, arguments)
            }
            Frame::Header { channel, properties, size } => {
                let (mut message, _) = self.partial.remove(&channel).expect("a method comes first");
                message.properties = properties;
                let size = usize::try_from(size).expect("a test's bodies are small");
                self.take_content(message, size);
            }
            Frame::Body { channel, text } => {
                let (mut message, size) =
                    self.partial.remove(&channel).expect("a header comes first");
                message.body.extend(text.chars().map(|byte| byte as u8));
                self.take_content(message, size);
            }
            Frame::Heartbeat => {}
        }
    }

    fn take_method(&mut self, channel: u16, name: &'static str, arguments: Map<String, Value>) {
        match name {
            "Basic.Deliver" | "Basic.GetOk" | "Basic.Return" => {
                let (properties, body) = (Map::new(), Vec::new());
                let message = Message { channel, method: name, arguments, properties, body };
                self.partial.insert(channel, (message, 0));
            }
            "Basic.Ack" | "Basic.Nack" => self.events.push_back(Event::Confirm {
                tag: arguments["delivery_tag"].as_u64().expect("is a number"),
                is_multiple: arguments["multiple"] == true,
                is_ack: name == "Basic.Ack",
            }),
            _ => {
                if let "Connection.Close" | "Channel.Close" = name {
                    self.connection.send(channel, &format!("{name}Ok"), &Value::Null);
                }
                self.events.push_back(Event::Method { channel, name, arguments });
            }
        }
    }

    fn take_content(&mut self, message: Message, size: usize) {
        assert!(message.body.len() <= size, "more of a body than its header says");
        if message.body.len() == size {
            self.events.push_back(Event::Message(message));
        } else {
            self.partial.insert(message.channel, (message, size));
        }
    }
}
