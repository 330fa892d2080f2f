//! What a queue's arguments and policies ask for, as the engine acts on it.

use core::time::Duration;

use super::arguments;
use super::policy::Asked;
use crate::amqp::{FieldTable, FieldValue, ShortStr};
use crate::metrics::DeadLetterStrategy;
use crate::rare::Unused;

/// What happens to messages that a full queue has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The first ones go.
    #[default]
    DropHead,
    /// New ones are refused.
    RejectPublish,
    /// New ones are refused, and dead-lettered.
    RejectPublishDeadLetter,
}

/// Where messages go that die in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetters {
    pub(crate) exchange: ShortStr,
    /// With this key; else with those that they came with.
    pub(crate) key: Option<ShortStr>,
}

/// A queue's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How long a message may wait, in milliseconds.
    pub(crate) message_ttl: Option<u64>,
    /// For how long the queue may be unused, in milliseconds.
    pub(crate) expires: Option<u64>,
    pub(crate) dead_letters: Option<DeadLetters>,
    /// Whether dead letters that cannot go there wait until they can.
    pub(crate) keeps_letters: bool,
    /// How many messages may be ready.
    pub(crate) max_length: Option<u64>,
    /// How many bytes the bodies of those may have together.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    /// How long a delivery may wait for its acknowledgement, if its consumer does not say: zero is
    /// for ever.
    pub(crate) consumer_timeout: Option<Duration>,
    /// How often a message may come back.
    pub(crate) delivery_limit: Option<u32>,
    /// Whether consumers are told how often a message came back.
    pub(crate) tells_deliveries: bool,
    /// The levels of its messages, if there is more than one.
    pub(crate) levels: Option<Levels>,
}

/// The levels of a queue whose messages have priorities, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// The highest one, and that of all messages of a higher priority.
    pub(crate) max: u8,
    /// That of messages that say no priority.
    pub(crate) usual: u8,
}

/// Whether a queue of these arguments has a lane of this level beside itself.
pub(crate) fn may_have_lane(arguments: &FieldTable, level: u8) -> bool {
    levels(arguments).is_some_and(|levels| level <= levels.max && level != levels.usual)
}

/// Which levels these arguments ask for; no policy can.
fn levels(arguments: &FieldTable) -> Option<Levels> {
    if arguments::is_quorum(arguments) {
        return Some(QUORUM_LEVELS);
    }
    let max = arguments.find("x-max-priority").and_then(FieldValue::as_integer);
    let max = max.and_then(|max| u8::try_from(max).ok()).filter(|max| *max > 0);
    max.map(|max| Levels { max, usual: 0 })
}

/// The levels of every quorum queue, whatever its arguments.
const QUORUM_LEVELS: Levels = Levels { max: 31, usual: 4 };

impl Unused for Settings {
    const UNUSED: &'static Self = &Self {
        message_ttl: None,
        expires: None,
        dead_letters: None,
        keeps_letters: false,
        max_length: None,
        max_bytes: None,
        overflow: Overflow::DropHead,
        consumer_timeout: None,
        delivery_limit: None,
        tells_deliveries: false,
        levels: None,
    };
}

impl Settings {
    /// Whether there may be more messages than may be ready.
    pub(crate) fn is_limited(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }

    /// What becomes of the dead.
    pub(crate) fn strategy(&self) -> DeadLetterStrategy {
        match (&self.dead_letters, self.keeps_letters) {
            (None, _) => DeadLetterStrategy::Disabled,
            (Some(_), false) => DeadLetterStrategy::AtMostOnce,
            (Some(_), true) => DeadLetterStrategy::AtLeastOnce,
        }
    }

    /// What these arguments and policies, which were checked, ask for. Of limits the lowest counts,
    /// of anything else the argument.
    pub(crate) fn new(arguments: &FieldTable, policies: Asked<'_>) -> Self {
        // Policies have the same names without the `x-`.
        let key = |name: &'static str| &name[2..];
        let number = |name: &'static str| {
            let value = arguments.find(name).and_then(FieldValue::as_integer);
            let own = value.and_then(|value| u64::try_from(value).ok());
            own.into_iter().chain(policies.limit(key(name))).min()
        };
        let value = |name: &'static str| arguments.find(name).or(policies.value(key(name)));
        let text = |name: &'static str| value(name).and_then(FieldValue::as_longstr);
        let name = |name: &'static str| match value(name) {
            // One that is too long for a name is no exchange's name and no key.
            Some(FieldValue::LongStr(text)) => ShortStr::new(text.clone()),
            _ => None,
        };
        let overflow = match text("x-overflow") {
            Some(b"reject-publish") => Overflow::RejectPublish,
            Some(b"reject-publish-dlx") => Overflow::RejectPublishDeadLetter,
            _ => Overflow::DropHead,
        };
        // Who has no room for what waits cannot keep it.
        let keeps_letters = text("x-dead-letter-strategy") == Some(b"at-least-once")
            && overflow != Overflow::DropHead;
        let delivery_limit =
            number("x-delivery-limit").map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        Self {
            message_ttl: number("x-message-ttl"),
            expires: number("x-expires"),
            dead_letters: name("x-dead-letter-exchange").map(|exchange| DeadLetters {
                exchange: exchange.detached(),
                key: name("x-dead-letter-routing-key").map(|key| key.detached()),
            }),
            max_length: number("x-max-length"),
            max_bytes: number("x-max-length-bytes"),
            overflow,
            keeps_letters,
            consumer_timeout: number("x-consumer-timeout").map(Duration::from_millis),
            delivery_limit,
            tells_deliveries: delivery_limit.is_some() || arguments::is_quorum(arguments),
            levels: levels(arguments),
        }
    }
}
