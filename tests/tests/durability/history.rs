//! What clients did and saw, in one order: a fact about something that is sent is recorded before
//! it is sent, one about something that was received after it was.
//!
//! A message is known by its id, and everything in it follows from that, so that its content can be
//! checked wherever it turns up. A *copy* is a message in one queue.

use fastrand::Rng;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use warren_tests::session::Message;

/// A message. Each publisher's ids ascend in the order in which it publishes.
pub(crate) type Id = u64;

/// A queue, by its number.
pub(crate) type Queue = u8;

/// One thing that was done or seen.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// A broker was started on what the one before had left; all that one's connections are over.
    Started,
    /// A message is published.
    Sent {
        /// Which.
        id: Id,
        /// On which channel.
        publisher: u32,
        /// The queues it is routed to.
        queues: &'static [Queue],
        /// Whether it must outlive the broker once it is confirmed.
        is_persistent: bool,
        /// The transaction it is part of.
        transaction: Option<u32>,
    },
    /// It was confirmed.
    Confirmed(Id),
    /// A copy was delivered.
    Received {
        /// Which message.
        id: Id,
        /// From which queue.
        queue: Queue,
        /// On which channel.
        consumer: u32,
        /// Whether it says that it was delivered before.
        is_redelivered: bool,
        /// Whether all messages of the queue go to this channel, in order, none of them twice.
        is_alone: bool,
        /// What is wrong with its content.
        fault: Option<String>,
    },
    /// A delivered copy is acked, or rejected for good.
    Settling {
        /// Which message.
        id: Id,
        /// In which queue.
        queue: Queue,
        /// The transaction this is part of.
        transaction: Option<u32>,
    },
    /// It is known that the broker can no longer forget that this copy is settled.
    Final {
        /// Which message.
        id: Id,
        /// In which queue.
        queue: Queue,
    },
    /// A commit is sent.
    Committing(u32),
    /// It was answered.
    Committed(u32),
}

/// The history of one test: where all its clients record.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    facts: Arc<Mutex<Vec<Fact>>>,
    numbers: Arc<AtomicU64>,
}

impl History {
    /// Adds a fact.
    pub(crate) fn record(&self, fact: Fact) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).push(fact);
    }

    /// All of them.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that was not given before, higher than those that were.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    /// The same for a channel or a transaction.
    pub(crate) fn small_number(&self) -> u32 {
        self.number().try_into().expect("no test has so many channels and messages")
    }
}

/// Whether the message is one that outlives the broker; one in eight is not.
pub(crate) fn is_persistent(id: Id) -> bool {
    random(id).u8(..) >= 32
}

/// The properties and the body of a message.
pub(crate) fn content(id: Id) -> (Value, Vec<u8>) {
    let mut random = random(id);
    let delivery_mode = if random.u8(..) >= 32 { 2 } else { 1 };
    let len = match random.u8(..100) {
        0..20 => 0,
        20..50 => random.usize(1..100),
        50..90 => 1024,
        90..98 => random.usize(1025..16_384),
        _ => 100 << 10,
    };
    let mut body = vec![0; len];
    random.fill(&mut body);
    let mut properties = Map::new();
    if random.bool() {
        properties.insert("content_type".into(), "application/octet-stream".into());
    }
    if random.bool() {
        let headers = json!({"id": id, "nested": {"half": 0.5, "list": [true, null, "x"]}});
        properties.insert("headers".into(), headers);
    }
    properties.insert("delivery_mode".into(), delivery_mode.into());
    if random.bool() {
        properties.insert("priority".into(), random.u8(0..10).into());
    }
    properties.insert("message_id".into(), id.to_string().into());
    if random.bool() {
        properties.insert("timestamp".into(), random.u32(..).into());
    }
    (properties.into(), body)
}

/// The id of a message that came, and what is wrong with its content. Fails if it has none.
pub(crate) fn identify(message: &Message) -> Result<(Id, Option<String>), String> {
    let text = message.text_property("message_id").unwrap_or("");
    let id = text.parse().map_err(|_| format!("a message without a number came: {message:?}"))?;
    let (properties, body) = content(id);
    let fault = if Value::Object(message.properties.clone()) != properties {
        Some(format!("has the properties {:?} instead of {properties}", message.properties))
    } else if message.body != body {
        let same = message.body.iter().zip(&body).take_while(|(came, sent)| came == sent).count();
        let (came, sent) = (message.body.len(), body.len());
        Some(format!("has {came} bytes instead of {sent}, and they differ from byte {same} on"))
    } else {
        None
    };
    Ok((id, fault))
}

fn random(id: Id) -> Rng {
    Rng::with_seed(id.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(id: Id) -> Message {
        let (properties, body) = content(id);
        Message {
            channel: 1,
            method: "Basic.Deliver",
            arguments: Map::new(),
            properties: properties.as_object().expect("is an object").clone(),
            body,
        }
    }

    #[test]
    fn a_message_is_known_by_its_id_and_any_other_content_is_a_fault() {
        for id in 0..200 {
            let whole = delivered(id);
            assert_eq!(identify(&whole), Ok((id, None)));
            let persistent = Value::from(if is_persistent(id) { 2 } else { 1 });
            assert_eq!(whole.properties["delivery_mode"], persistent);
            let mut longer = whole.clone();
            longer.body.push(0);
            let mut other = whole.clone();
            other.properties.insert("app_id".into(), "x".into());
            for wrong in [longer, other] {
                let (_, fault) = identify(&wrong).expect("still has its id");
                assert!(fault.is_some(), "{wrong:?}");
            }
        }
        let mut nameless = delivered(1);
        nameless.properties.remove("message_id");
        assert!(identify(&nameless).is_err());
    }

    #[test]
    fn messages_are_of_many_kinds() {
        let kinds: Vec<_> = (0..1000).map(|id| (is_persistent(id), content(id).1.len())).collect();
        for len in [0, 1024, 100 << 10] {
            assert!(kinds.iter().any(|(_, found)| *found == len), "{len}");
        }
        let transient = kinds.iter().filter(|(is_persistent, _)| !is_persistent).count();
        assert!((50..250).contains(&transient), "{transient}");
    }
}
