//! Messages as they were published, and what became of each copy.

use std::collections::{BTreeMap, BTreeSet};

use super::ChannelKey;
use super::queue::QueueId;
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
    /// Acknowledged, or delivered to who need not.
    Acked,
    /// Rejected for good.
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
    /// The name in its `message-id`.
    pub name: String,
    /// Where it was published to.
    pub exchange: String,
    /// With which key.
    pub key: String,
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
    /// The queues from which somebody got it at least once.
    pub delivered_from: BTreeSet<QueueId>,
    /// What became of it, by queue.
    pub fates: BTreeMap<QueueId, Fate>,
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
        for (name, value) in self.properties.headers().into_iter().flatten() {
            if let ("CC" | "BCC", Value::Array(values)) = (name.as_str(), value) {
                keys.extend(values.iter().filter_map(Value::as_text));
            }
        }
        keys
    }

    /// Whether these are its properties as a consumer must see them: without `BCC`, and with a
    /// reply address made up by the broker where it asked for one.
    #[must_use]
    pub fn is_seen_as(&self, seen: &Properties) -> bool {
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
