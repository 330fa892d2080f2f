//! Messages in a row, each with its number and a body that follows from it: what several tests fill
//! queues with, and look for afterwards.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};
use warren_tests::client::Address;
use warren_tests::session::{Event, Message, Session};

/// How long the next message or confirm may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A body of so many bytes, at least 16, that begins with the message's number and is like no
/// other.
pub(crate) fn body(n: u64, len: usize) -> Vec<u8> {
    let mut body = marker(n);
    let mut random = fastrand::Rng::with_seed(n);
    body.resize(len.max(body.len()), 0);
    random.fill(&mut body[16..]);
    body
}

/// What the body of a message begins with: 16 bytes that are nowhere else.
pub(crate) fn marker(n: u64) -> Vec<u8> {
    format!("message-{n:08}").into_bytes()
}

/// The number of a message, if its body is whole.
pub(crate) fn number(message: &Message) -> Result<u64, String> {
    let digits = message.body.get(8..16).and_then(|digits| std::str::from_utf8(digits).ok());
    let number = digits.and_then(|digits| digits.parse().ok());
    let n = number.ok_or_else(|| format!("a body without a number: {:?}", message.arguments))?;
    if message.body == body(n, message.body.len()) {
        Ok(n)
    } else {
        Err(format!("the body of message {n} is not as it was"))
    }
}

/// Properties of a message that is kept.
pub(crate) fn persistent() -> Value {
    json!({"delivery_mode": 2})
}

/// Publishes these to a durable queue, which it declares, each when the one before is confirmed: so
/// that each is in a batch of its own.
pub(crate) fn one_by_one(address: &Address, queue: &str, numbers: Range<u64>, len: usize) {
    let mut session = Session::open(address).expect("guest may connect");
    session.declare(queue).expect("is declared");
    session.confirm().expect("confirms can be had");
    for n in numbers {
        let sent = session.publish_confirmed(queue, &persistent(), &body(n, len));
        sent.expect("is confirmed");
    }
    session.close().expect("takes leave");
}

/// A publisher with a window of confirms.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: Session,
    queue: String,
    properties: Value,
    window: usize,
    published: u64,
    unconfirmed: BTreeSet<u64>,
}

impl Publisher {
    /// To a durable queue, which it declares. Messages are numbered from 0 on.
    pub(crate) fn new(address: &Address, queue: &str, properties: Value, window: usize) -> Self {
        let mut session = Session::open(address).expect("guest may connect");
        session.declare(queue).expect("is declared");
        session.confirm().expect("confirms can be had");
        let (queue, published, unconfirmed) = (queue.to_owned(), 0, BTreeSet::new());
        Publisher { session, queue, properties, window, published, unconfirmed }
    }

    /// How many messages were published.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// The numbers of those that are not confirmed.
    pub(crate) fn unconfirmed(&self) -> BTreeSet<u64> {
        self.unconfirmed.iter().map(|tag| tag - 1).collect()
    }

    /// Publishes the next one, with a body of this length, when the window has room. False if it
    /// had none for so long: then nothing was published.
    pub(crate) fn publish(&mut self, len: usize, wait: Duration) -> bool {
        while self.unconfirmed.len() >= self.window {
            if !self.take_confirm(wait) {
                return false;
            }
        }
        let body = body(self.published, len);
        let to = json!({ "routing_key": self.queue });
        self.session.publish(&to, &self.properties, &body);
        self.published += 1;
        self.unconfirmed.insert(self.published);
        true
    }

    /// Waits until all are confirmed.
    pub(crate) fn finish(&mut self) {
        while !self.unconfirmed.is_empty() {
            assert!(self.take_confirm(PATIENCE), "no confirm of {:?}", self.unconfirmed.first());
        }
    }

    /// The next message for a consumer on the same connection. Confirms that come before it count.
    pub(crate) fn next_message(&mut self, wait: Duration) -> Result<Message, String> {
        let start = Instant::now();
        loop {
            match self.session.next(wait.saturating_sub(start.elapsed())) {
                Some(Event::Message(message)) => return Ok(message),
                Some(Event::Confirm { tag, is_multiple, is_ack: true }) => {
                    self.note_confirm(tag, is_multiple);
                }
                Some(Event::Method {
                    name: "Connection.Blocked" | "Connection.Unblocked", ..
                }) => {}
                other => return Err(format!("instead of a message came {other:?}")),
            }
        }
    }

    /// Takes confirms until one came; false if none does for so long.
    fn take_confirm(&mut self, wait: Duration) -> bool {
        loop {
            match self.session.next(wait) {
                Some(Event::Confirm { tag, is_multiple, is_ack: true }) => {
                    self.note_confirm(tag, is_multiple);
                    return true;
                }
                // Whoever fills a disk looks for these.
                Some(Event::Method { name: "Connection.Blocked", arguments, .. }) => {
                    assert_eq!(arguments["reason"], "low on disk");
                    return false;
                }
                Some(Event::Method { name: "Connection.Unblocked", .. }) => {}
                // For a consumer on the same connection.
                Some(Event::Message(_)) => {}
                Some(other) => panic!("instead of a confirm came {other:?}"),
                None => return false,
            }
        }
    }

    fn note_confirm(&mut self, tag: u64, is_multiple: bool) {
        if is_multiple {
            self.unconfirmed = self.unconfirmed.split_off(&(tag + 1));
        } else {
            self.unconfirmed.remove(&tag);
        }
    }
}

/// Takes everything that is ready off a queue, and returns the numbers in the order in which they
/// came, and whether each says that it was delivered before.
pub(crate) fn drain(address: &Address, queue: &str) -> Result<Vec<(u64, bool)>, String> {
    let mut session = Session::open(address)?;
    let count = session.message_count(queue)?;
    session.consume(queue, 200)?;
    let mut came = Vec::new();
    while (came.len() as u64) < count {
        let message = session
            .next_message(PATIENCE)
            .map_err(|why| format!("{why}, and {} of {count} came from {queue}", came.len()))?;
        came.push((number(&message)?, message.is_redelivered()));
        if came.len() as u64 == count || came.len().is_multiple_of(50) {
            session.ack(&message, true);
        }
    }
    if let Some(event) = session.next(Duration::from_millis(50)) {
        return Err(format!("{queue} said that it has {count} messages, and then came {event:?}"));
    }
    session.close()?;
    Ok(came)
}

/// The numbers that [`drain`] gives. Panics if it fails.
pub(crate) fn drained(address: &Address, queue: &str) -> Vec<u64> {
    let came = drain(address, queue).expect("the queue can be drained");
    came.into_iter().map(|(n, _)| n).collect()
}
