//! Exchanges and queues that deduplicate: what they remember, and which messages they must take for
//! such that came before.
//!
//! Each remembers what a header of the last messages said that it let through. Each value has the
//! worth of its message: it outlives the process if that does, and what is to outlive the process
//! is no duplicate of what does not. The broker tells of each that it takes for a duplicate, which
//! must be one here, and the other way round.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::policies::number;
use super::{Fate, Message, Model, QueueId, Refusal};
use crate::wire::{Table, Value};

/// The arguments of exchanges and queues that are about it.
pub(super) const ARGUMENTS: [&str; 4] =
    ["x-cache-size", "x-cache-ttl", "x-deduplication-header", "x-message-deduplication"];

/// The longest time, in milliseconds, and the most values.
const MILLIS_MAX: u64 = 315_360_000_000;
const SIZE_MAX: u64 = 1_000_000;

/// Who remembers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Witness {
    Exchange(String),
    Queue(QueueId),
}

/// What a message said that was let through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    value: Value,
    /// Until when it counts, in milliseconds since 1970.
    until_ms: Option<u64>,
    /// Whether the message outlives the process.
    is_kept: bool,
    message: usize,
}

/// By who remembers it, what was let through, from the oldest on. What a start forgot keeps its
/// place.
pub(super) type Memory = BTreeMap<Witness, VecDeque<Option<Seen>>>;

/// What arguments ask for.
struct Asked<'a> {
    size: usize,
    ttl: Option<u64>,
    header: &'a str,
}

/// The message that another is taken for.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    message: usize,
    /// Whether it is to be on disk before the other is safe.
    is_kept: bool,
}

/// What came of putting a message into queues.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Whether a queue refused it.
    pub(super) is_refused: bool,
    /// Whether a queue took it, and whether one that lets it outlive the process did.
    pub(super) is_taken: bool,
    pub(super) is_kept: bool,
}

fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    table.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

impl<'a> Asked<'a> {
    fn of(arguments: &'a Table) -> Option<Self> {
        let is_asked = find(arguments, ARGUMENTS[3]) == Some(&Value::Bool(true));
        let size = find(arguments, ARGUMENTS[0]).and_then(number).unwrap_or(128);
        let header = find(arguments, ARGUMENTS[2]).and_then(Value::as_text);
        is_asked.then(|| Self {
            size: size as usize,
            ttl: find(arguments, ARGUMENTS[1]).and_then(number),
            header: header.unwrap_or(ARGUMENTS[2]),
        })
    }

    /// What a message says, and for how many milliseconds that counts, if it has an end.
    fn value(&self, message: &Message) -> Option<(Value, Option<u64>)> {
        let headers = message.properties.headers()?;
        let value = match find(headers, self.header)? {
            Value::Void => return None,
            Value::I8(number) => Value::I64((*number).into()),
            Value::U8(number) => Value::I64((*number).into()),
            Value::I16(number) => Value::I64((*number).into()),
            Value::U16(number) => Value::I64((*number).into()),
            Value::I32(number) => Value::I64((*number).into()),
            Value::U32(number) => Value::I64((*number).into()),
            value => value.clone(),
        };
        let ttl = find(headers, ARGUMENTS[1]).and_then(number);
        Some((value, ttl.map(|ttl| ttl.min(MILLIS_MAX)).or(self.ttl)))
    }
}

/// The arguments that are about deduplication.
pub(super) fn deduplicating(arguments: &Table) -> Table {
    let is_one = |(name, _): &&(String, Value)| ARGUMENTS.contains(&name.as_str());
    let mut asked: Table = arguments.iter().filter(is_one).cloned().collect();
    asked.sort_by(|(a, _), (b, _)| a.cmp(b));
    asked
}

/// Whether arguments about it make sense.
pub(super) fn check(arguments: &Table) -> Result<(), Refusal> {
    let is_within = |name, least, most| {
        let value = find(arguments, name);
        value.is_none_or(|value| number(value).is_some_and(|n| (least..=most).contains(&n)))
    };
    let is_right = is_within(ARGUMENTS[0], 1, SIZE_MAX)
        && is_within(ARGUMENTS[1], 0, MILLIS_MAX)
        && find(arguments, ARGUMENTS[2]).is_none_or(|value| matches!(value, Value::Text(_)))
        && find(arguments, ARGUMENTS[3]).is_none_or(|value| matches!(value, Value::Bool(_)));
    if is_right { Ok(()) } else { Err(Refusal::soft_any_text(406)) }
}

impl Model {
    /// The message that the exchange takes this one for, which a client publishes to it and which
    /// goes to these queues, or waits in the store.
    pub(super) fn known_at_exchange(
        &self,
        index: usize,
        queues: &BTreeSet<QueueId>,
    ) -> Option<First> {
        let message = &self.messages[index];
        let arguments = &self.exchanges.get(message.exchange.as_str())?.deduplicating;
        if arguments.is_empty() {
            return None;
        }
        let mut found = queues.iter().filter_map(|id| self.queues.get(id));
        let is_kept = found.any(|queue| queue.keeps(message));
        self.known(&Witness::Exchange(message.exchange.to_string()), arguments, message, is_kept)
    }

    /// The message that the queue takes this one for. A dead letter that died in it is itself.
    pub(super) fn known_in_queue(&self, index: usize, id: QueueId) -> Option<First> {
        let (message, queue) = (&self.messages[index], self.queues.get(&id)?);
        if Asked::of(&queue.arguments).is_none() || message.has_died_in(&queue.name) {
            return None;
        }
        self.known(&Witness::Queue(id), &queue.arguments, message, queue.keeps(message))
    }

    fn known(
        &self,
        by: &Witness,
        arguments: &Table,
        message: &Message,
        is_kept: bool,
    ) -> Option<First> {
        let (value, _) = Asked::of(arguments)?.value(message)?;
        let now = self.now_ms();
        // Only the last one of the value counts.
        let mut all = self.seen.get(by)?.iter().rev().flatten();
        let found = all.find(|seen| seen.value == value)?;
        let is_over = found.until_ms.is_some_and(|until| until <= now);
        if is_over || is_kept && !found.is_kept {
            return None;
        }
        Some(First { message: found.message, is_kept: found.is_kept })
    }

    /// An exchange let a message through, and this came of it.
    pub(super) fn see_at_exchange(&mut self, index: usize, outcome: Outcome) {
        let name = &self.messages[index].exchange;
        let Some(exchange) = self.exchanges.get(name.as_str()) else { return };
        if exchange.deduplicating.is_empty() {
            return;
        }
        let arguments = exchange.deduplicating.clone();
        if outcome.is_taken && !outcome.is_refused {
            self.see(Witness::Exchange(name.to_string()), &arguments, index, outcome.is_kept);
        }
    }

    /// A queue took a message.
    pub(super) fn see_in_queue(&mut self, index: usize, id: QueueId) {
        let (message, queue) = (&self.messages[index], &self.queues[&id]);
        if Asked::of(&queue.arguments).is_some() && !message.has_died_in(&queue.name) {
            let (arguments, is_kept) = (queue.arguments.clone(), queue.keeps(message));
            self.see(Witness::Queue(id), &arguments, index, is_kept);
        }
    }

    fn see(&mut self, by: Witness, arguments: &Table, message: usize, is_kept: bool) {
        let Some(asked) = Asked::of(arguments) else { return };
        let Some((value, ttl)) = asked.value(&self.messages[message]) else { return };
        let until_ms = ttl.map(|millis| self.in_ms(millis));
        let seen = self.seen.entry(by).or_default();
        if seen.len() >= asked.size {
            seen.pop_front();
        }
        seen.push_back(Some(Seen { value, until_ms, is_kept, message }));
    }

    /// Somebody of this name takes a message for one that came before.
    pub(super) fn take_for_duplicate(
        &mut self,
        index: usize,
        first: First,
        queue: Option<QueueId>,
    ) {
        let name = match queue {
            Some(id) => self.queues[&id].name.clone(),
            None => self.messages[index].exchange.to_string(),
        };
        let told = self.messages[index].name.clone();
        if !self.choices.take_duplicate(&name, queue.is_some()) {
            let first = &self.messages[first.message].name;
            let text = format!("{name} does not take {told} for a duplicate of {first}");
            self.fault("duplicates", text);
        }
        let message = &mut self.messages[index];
        message.firsts.extend(first.is_kept.then_some(first.message));
        queue.into_iter().for_each(|id| message.fates.insert(id, Fate::Duplicate));
    }

    /// These messages, and those that they were taken for.
    #[must_use]
    pub fn with_firsts(&self, messages: &[usize]) -> Vec<usize> {
        let firsts = messages.iter().flat_map(|message| &self.messages[*message].firsts);
        messages.iter().chain(firsts).copied().collect()
    }

    /// The broker took nothing for a duplicate that is none.
    ///
    /// # Errors
    /// Names who did.
    pub fn check_duplicates(&mut self) -> Result<(), String> {
        match self.choices.first_duplicate() {
            Some(name) => Err(format!("{name} takes a message for a duplicate that is none")),
            None => Ok(()),
        }
    }

    /// What of all that is remembered outlives the process.
    pub(super) fn durable_memory(&self) -> Memory {
        let is_durable = |by: &Witness| match by {
            Witness::Exchange(name) => self.exchanges.get(name).is_some_and(|x| x.is_durable),
            Witness::Queue(id) => self.queues.get(id).is_some_and(|queue| queue.is_durable),
        };
        let kept = |seen: &VecDeque<Option<Seen>>| {
            let kept = |seen: &Option<Seen>| seen.clone().filter(|seen| seen.is_kept);
            let mut kept: VecDeque<Option<Seen>> = seen.iter().map(kept).collect();
            // Behind the last one that is left, others follow.
            while let Some(None) = kept.back() {
                kept.pop_back();
            }
            kept
        };
        let durable = self.seen.iter().filter(|(by, _)| is_durable(by));
        durable.map(|(by, seen)| (by.clone(), kept(seen))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let is_right = |name: &str, value| check(&vec![(name.into(), value)]).is_ok();
        for size in [0, -1, 1_000_001] {
            assert!(!is_right("x-cache-size", Value::I32(size)), "{size}");
        }
        assert!(is_right("x-cache-size", Value::I32(1)));
        assert!(is_right("x-cache-ttl", Value::I32(0)));
        assert!(!is_right("x-cache-ttl", Value::text("5")));
        assert!(!is_right("x-message-deduplication", Value::I32(1)));
        assert!(!is_right("x-deduplication-header", Value::Bool(true)));
    }
}
