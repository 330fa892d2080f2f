//! Messages as they were published, and what became of each copy.

use std::ops::{Index, IndexMut};

use smol_str::SmolStr;

use super::queue::QueueId;
use super::{ChannelKey, Death};
use crate::wire::{Properties, Value};

/// What became of a message in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Published in a transaction that is not committed.
    Uncommitted,
    /// The transaction was rolled back, or its channel ended first.
    RolledBack,
    /// Waits in the queue.
    Ready,
    /// With a consumer.
    Held,
    /// Died in the queue, and is not a dead letter yet.
    Dying,
    /// Came to a queue that had no room.
    Refused,
    /// Taken for one that came before.
    Duplicate,
    /// Acknowledged, or delivered to who need not.
    Acked,
    /// Rejected for good, or died otherwise.
    Rejected,
    /// Purged.
    Purged,
    /// Gone with its queue.
    Dropped,
    /// Gone with the broker's process: nobody had promised to keep it.
    Forgotten,
}

/// A publish attempt.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place in the order of publishing.
    pub index: usize,
    /// The virtual host that it is in.
    pub vhost: SmolStr,
    /// The name in its `message-id`.
    pub name: SmolStr,
    /// Where it was published to.
    pub exchange: SmolStr,
    /// With which key.
    pub key: SmolStr,
    /// Its properties as they were sent.
    pub properties: Properties,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether it is to come back if nothing takes it.
    pub is_mandatory: bool,
    /// The channel it was published on.
    pub channel: ChannelKey,
    /// Its number among the channel's confirms.
    pub sequence: Option<u64>,
    /// The consumer of replies that it names, if it asks for direct replies.
    pub reply_consumer: Option<usize>,
    /// The batch of the log that it belongs to.
    pub batch: u64,
    /// The exchanges on its way that keep it for who is bound later.
    pub histories: Vec<String>,
    /// How it died before, the last time first: it is a dead letter.
    pub deaths: Vec<Death>,
    /// The messages that it was taken for, of those that are to be on disk.
    pub firsts: Vec<usize>,
    /// What became of it, by queue.
    pub fates: Fates,
}

/// What became of a message in each queue that it came to, and whether somebody got it there at
/// least once; few have more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fates(Vec<(QueueId, Fate, bool)>);

impl Fates {
    /// What became of it in this queue.
    #[must_use]
    pub fn get(&self, queue: QueueId) -> Option<Fate> {
        let mut fates = self.0.iter();
        fates.find(|(other, ..)| *other == queue).map(|(_, fate, _)| *fate)
    }

    /// It has another fate in this queue.
    pub fn insert(&mut self, queue: QueueId, fate: Fate) {
        match self.0.binary_search_by_key(&queue, |(other, ..)| *other) {
            Ok(at) => self.0[at].1 = fate,
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (queue, fate, false));
            }
        }
    }

    /// Somebody got it in this queue, where this is its fate now.
    pub fn deliver(&mut self, queue: QueueId, fate: Fate) {
        self.insert(queue, fate);
        let mut fates = self.0.iter_mut();
        fates.find(|(other, ..)| *other == queue).expect("a fate that was just inserted").2 = true;
    }

    /// Whether somebody got it in this queue at least once.
    #[must_use]
    pub fn was_delivered(&self, queue: QueueId) -> bool {
        self.0.iter().any(|(other, _, was_delivered)| *other == queue && *was_delivered)
    }

    /// Where somebody got it is not known any more.
    pub fn forget_deliveries(&mut self) {
        self.0.iter_mut().for_each(|(.., was_delivered)| *was_delivered = false);
    }

    /// All of them, by queue.
    pub fn iter(&self) -> impl Iterator<Item = (QueueId, Fate)> + '_ {
        self.0.iter().map(|(queue, fate, _)| (*queue, *fate))
    }

    /// All of them, by queue.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (QueueId, &mut Fate)> + '_ {
        self.0.iter_mut().map(|(queue, fate, _)| (*queue, fate))
    }
}

/// So many messages are kept in one piece of memory.
const CHUNK: usize = 1024;

/// Messages in the order of publishing. What is kept is never moved: there may be very many.
#[derive(Clone, Debug, Default)]
pub struct Messages(Vec<Vec<Message>>);

impl Messages {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one behind all others.
    pub fn push(&mut self, message: Message) {
        if self.0.last().is_none_or(|last| last.len() == CHUNK) {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        self.0.last_mut().expect("a chunk with room").push(message);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().flatten()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.0.iter_mut().flatten()
    }
}

impl Index<usize> for Messages {
    type Output = Message;

    fn index(&self, index: usize) -> &Message {
        &self.0[index / CHUNK][index % CHUNK]
    }
}

impl IndexMut<usize> for Messages {
    fn index_mut(&mut self, index: usize) -> &mut Message {
        &mut self.0[index / CHUNK][index % CHUNK]
    }
}

impl Message {
    /// Whether it is to survive a restart, if its queue does.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.properties.number("delivery-mode") == Some(2)
    }

    /// The routing key and those of the headers `CC` and `BCC`.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        let mut keys = vec![self.key.as_str()];
        keys.extend(further_keys(&self.properties));
        keys
    }

    /// Whether these are its properties as a consumer must see them: without `BCC`, with a reply
    /// address made up by the broker where it asked for one, and with how often it came back where
    /// that is told.
    #[must_use]
    pub fn is_seen_as(&self, seen: &Properties, returns: Option<u64>) -> bool {
        if let Some(returns) = returns {
            let told = Self { properties: self.properties.with_returns(returns), ..self.clone() };
            return told.is_seen_as(seen, None);
        }
        if self.reply_consumer.is_none() && seen.headers().is_none() {
            return self.properties == *seen;
        }
        let visible = |properties: &Properties| {
            let mut properties = properties.clone();
            let headers = properties.headers().cloned().unwrap_or_default();
            let headers: Vec<_> = headers.into_iter().filter(|(name, _)| name != "BCC").collect();
            properties.remove("headers");
            if self.reply_consumer.is_some() {
                properties.remove("reply-to");
            }
            (properties, headers)
        };
        let shows_bcc =
            seen.headers().is_some_and(|table| table.iter().any(|(name, _)| name == "BCC"));
        !shows_bcc && visible(&self.properties) == visible(seen)
    }
}

/// The routing keys of the headers `CC` and `BCC`.
pub(super) fn further_keys(properties: &Properties) -> Vec<&str> {
    let mut keys = Vec::new();
    for (name, value) in properties.headers().into_iter().flatten() {
        if let ("CC" | "BCC", Value::Array(values)) = (name.as_str(), value) {
            keys.extend(values.iter().filter_map(Value::as_text));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_their_number() {
        let message = |index| Message {
            index,
            name: SmolStr::default(),
            exchange: SmolStr::default(),
            key: SmolStr::default(),
            properties: Properties::default(),
            body: Vec::new(),
            is_mandatory: false,
            channel: (1, 1),
            sequence: None,
            reply_consumer: None,
            batch: 0,
            histories: Vec::new(),
            deaths: Vec::new(),
            vhost: "/".into(),
            firsts: Vec::new(),
            fates: Fates::default(),
        };
        let mut messages = Messages::default();
        assert!(messages.is_empty());
        (0..2 * CHUNK + 1).for_each(|index| messages.push(message(index)));
        assert_eq!(messages.len(), 2 * CHUNK + 1);
        assert!(messages.iter().enumerate().all(|(at, message)| message.index == at));
        assert_eq!(messages[CHUNK].index, CHUNK);
    }

    #[test]
    fn a_delivery_is_known_until_it_is_forgotten() {
        let mut fates = Fates::default();
        fates.insert(QueueId(1), Fate::Ready);
        assert!(!fates.was_delivered(QueueId(1)));
        fates.deliver(QueueId(1), Fate::Held);
        fates.insert(QueueId(1), Fate::Ready);
        assert_eq!((fates.get(QueueId(1)), fates.get(QueueId(2))), (Some(Fate::Ready), None));
        assert!(fates.was_delivered(QueueId(1)) && !fates.was_delivered(QueueId(2)));
        fates.forget_deliveries();
        assert!(!fates.was_delivered(QueueId(1)));
    }

    #[test]
    fn a_message_has_one_fate_in_each_queue() {
        let mut fates = Fates::default();
        for (queue, fate) in [(2, Fate::Ready), (1, Fate::Ready), (2, Fate::Held)] {
            fates.insert(QueueId(queue), fate);
        }
        let all: Vec<_> = fates.iter().collect();
        assert_eq!(all, [(QueueId(1), Fate::Ready), (QueueId(2), Fate::Held)]);
        assert_eq!((fates.get(QueueId(1)), fates.get(QueueId(3))), (Some(Fate::Ready), None));
    }
}
