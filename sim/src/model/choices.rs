//! What the broker is free to decide: to which of its destinations an exchange sends a message that
//! goes to one only, and how much of what an exchange keeps there was room for.
//!
//! The broker says what it decided. The model checks that it may, and goes on from there.

use std::collections::{BTreeMap, VecDeque};

use super::names::is_made;
use super::routing::Look;
use super::{Binding, Destination, Exchange, Model, Together};
use crate::wire::Value;

/// What the broker says that it decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An exchange sent a message on to one destination.
    Chose {
        /// The exchange.
        exchange: String,
        /// The name of the queue or other exchange.
        destination: String,
        /// Whether it is a queue.
        is_queue: bool,
    },
    /// A queue whose declaration left its name open has this one.
    Named(String),
    /// An exchange gave what it keeps to who was bound to it.
    Replayed {
        /// The exchange.
        exchange: String,
        /// How many messages: the last ones.
        messages: u64,
    },
    /// It began with the wish of this number.
    Begun(u64),
    /// What policies ask for counts from now on for a queue or an exchange.
    Policed {
        /// Its name.
        name: String,
        /// Whether it is a queue.
        is_queue: bool,
    },
    /// What the wish of this number changed has come to all that it is for.
    Through(u64),
    /// A queue or an exchange took a message for one that came before.
    Duplicate {
        /// Its name.
        name: String,
        /// Whether it is a queue.
        is_queue: bool,
    },
}

/// What was decided and what it adds up to.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// The destinations that were chosen and not looked at yet, by exchange.
    chosen: BTreeMap<String, VecDeque<(String, bool)>>,
    /// The same of what was replayed.
    replayed: BTreeMap<String, VecDeque<u64>>,
    /// The names that queues were given and that were not looked at yet.
    named: VecDeque<String>,
    /// Where each hash led, by all that it may depend on; starts change nothing about it.
    known: BTreeMap<String, (String, bool)>,
    /// How many messages were taken for duplicates and not looked at yet, by queue or exchange.
    duplicates: BTreeMap<(String, bool), u64>,
    /// What was decided wrongly first.
    wrong: Option<String>,
}

/// A message takes at most so many bytes in memory beside its body.
const OVERHEAD: u64 = 2048;

/// What kept messages may take at least.
const KEPT_MIN: u64 = 1 << 20;

/// Whether an exchange of this type sends a message to one destination only.
pub(super) fn is_choosing(kind: &str) -> bool {
    matches!(kind, "x-consistent-hash" | "x-modulus-hash" | "x-random" | "x-local-random")
}

impl Choices {
    /// The broker decided this.
    pub(super) fn note(&mut self, decisions: &[Decision]) {
        for decision in decisions.iter().cloned() {
            match decision {
                Decision::Chose { exchange, destination, is_queue } => {
                    self.chosen.entry(exchange).or_default().push_back((destination, is_queue));
                }
                Decision::Named(name) => self.named.push_back(name),
                Decision::Replayed { exchange, messages } => {
                    self.replayed.entry(exchange).or_default().push_back(messages);
                }
                Decision::Duplicate { name, is_queue } => {
                    *self.duplicates.entry((name, is_queue)).or_default() += 1;
                }
                Decision::Begun(_) | Decision::Policed { .. } | Decision::Through(_) => {}
            }
        }
    }

    /// The process is gone: what it decided last may never have been looked at.
    pub(super) fn forget(&mut self) {
        self.chosen.clear();
        self.replayed.clear();
        self.named.clear();
        self.duplicates.clear();
    }

    /// Whether the broker said that it took a message for a duplicate there.
    pub(super) fn take_duplicate(&mut self, name: &str, is_queue: bool) -> bool {
        let key = (name.to_owned(), is_queue);
        let Some(count) = self.duplicates.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.duplicates.remove(&key);
        }
        true
    }

    /// Where it said so and that was not looked at.
    pub(super) fn first_duplicate(&self) -> Option<&str> {
        self.duplicates.keys().next().map(|(name, _)| name.as_str())
    }

    fn complain(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }
}

impl Model {
    /// What the broker decided was all allowed, and all of it was called for.
    ///
    /// # Errors
    /// Says what was not.
    pub fn check_decisions(&mut self) -> Result<(), String> {
        if let Some(wrong) = self.choices.wrong.take() {
            return Err(wrong);
        }
        let left = |(exchange, left): (&String, usize)| (left > 0).then(|| exchange.clone());
        let chosen = self.choices.chosen.iter().map(|(exchange, left)| (exchange, left.len()));
        if let Some(exchange) = chosen.into_iter().find_map(left) {
            return Err(format!("{exchange} sends on a message that does not come there"));
        }
        if let Some(name) = self.choices.named.front() {
            return Err(format!("{name} is the name of a queue that nobody declared"));
        }
        let replayed = self.choices.replayed.iter().map(|(exchange, left)| (exchange, left.len()));
        match replayed.into_iter().find_map(left) {
            Some(exchange) => Err(format!("{exchange} gives what it kept to nobody")),
            None => Ok(()),
        }
    }

    /// The name that the broker gave a queue whose declaration left it open.
    pub(super) fn name_given(&mut self) -> Option<String> {
        let name = self.choices.named.pop_front().filter(|name| is_made(name))?;
        self.queue_named(&name).is_none().then_some(name)
    }

    /// Where the exchange sent the message on to, as the broker says; nowhere if nothing is bound
    /// to it.
    pub(super) fn chosen(
        &mut self,
        name: &str,
        exchange: &Exchange,
        bindings: &[Binding],
        look: &Look<'_>,
    ) -> Option<Destination> {
        if bindings.is_empty() {
            return None;
        }
        let told = self.choices.chosen.get_mut(name).and_then(VecDeque::pop_front);
        let Some(told) = told else {
            self.choices.complain(format!("{name} sends on no message where one comes to it"));
            return None;
        };
        let found = bindings.iter().map(|binding| &binding.destination);
        let found = found.clone().find(|destination| self.is_called(destination, &told));
        let Some(found) = found.cloned() else {
            let text = format!("{name} sends a message on to {}, which is not bound to it", told.0);
            self.choices.complain(text);
            return None;
        };
        if let Some(hashed) = self.hashed(exchange, bindings, look) {
            let known = self.choices.known.entry(hashed).or_insert_with(|| told.clone());
            if *known != told {
                let text = format!("{name} sends on to {} what went to {}", told.0, known.0);
                self.choices.complain(text);
            }
        }
        Some(found)
    }

    /// Whether a destination has this name.
    fn is_called(&self, destination: &Destination, told: &(String, bool)) -> bool {
        match destination {
            Destination::Exchange(name) => *told == (name.clone(), false),
            Destination::Queue(id) => {
                told.1 && self.queues.get(id).is_some_and(|queue| queue.name == told.0)
            }
        }
    }

    /// All that it may depend on where a hash leads, as a text; nothing where it is chance.
    fn hashed(&self, exchange: &Exchange, bindings: &[Binding], look: &Look<'_>) -> Option<String> {
        let value = match exchange.kind.as_str() {
            "x-modulus-hash" => {
                let mut keys = look.keys.clone();
                keys.sort_unstable();
                keys.dedup();
                format!("{keys:?}")
            }
            "x-consistent-hash" => match &exchange.hash_on {
                None => format!("key {:?}", look.keys.first()),
                Some((_, name)) if exchange.is_hashed_by_header() => {
                    let header = look.headers().iter().find(|(other, _)| other == name);
                    format!("header {:?}", header.map(|(_, value)| value))
                }
                Some((_, name)) => {
                    let name = name.replace('_', "-");
                    let text = look.properties.text(&name);
                    format!("property {text:?} {:?}", look.properties.number(&name))
                }
            },
            _ => return None,
        };
        let name = |binding: &Binding| match &binding.destination {
            Destination::Exchange(name) => Some(format!("exchange {name} {}", binding.key)),
            Destination::Queue(id) => {
                Some(format!("queue {} {}", self.queues.get(id)?.name, binding.key))
            }
        };
        let mut names = bindings.iter().map(name).collect::<Option<Vec<_>>>()?;
        names.sort_unstable();
        Some(format!("{} {value} {names:?}", exchange.kind))
    }

    /// Of the messages that an exchange keeps, those that the broker had room for.
    pub(super) fn replayed(&mut self, name: &str) -> Vec<usize> {
        let kept = self.recent.get(name).cloned().unwrap_or_default();
        let told = self.choices.replayed.get_mut(name).and_then(VecDeque::pop_front);
        let Some(told) = told else {
            self.choices.complain(format!("{name} says nothing of what it keeps"));
            return kept;
        };
        let told = told as usize;
        let is_right = if self.is_history_short { told <= kept.len() } else { told == kept.len() };
        if !is_right {
            let text = format!("{name} gives out {told} of {} messages that it keeps", kept.len());
            self.choices.complain(text);
            return kept;
        }
        let kept = kept[kept.len() - told..].to_vec();
        let bytes = kept.iter().map(|message| self.messages[*message].body.len() as u64).sum();
        let together = Together { bytes, messages: kept.len() as u64 };
        self.history.commits.push((self.history.batch, together));
        kept
    }

    /// The exchanges that it came to keep a message, if they are of the type that does.
    pub(super) fn remember(&mut self, message: usize, exchanges: &[String]) {
        for name in exchanges {
            let Some(exchange) = self.exchanges.get(name) else { continue };
            if exchange.kind != "x-recent-history" {
                continue;
            }
            let kept = self.recent.entry(name.clone()).or_default();
            kept.push(message);
            let too_many = (kept.len() as u64).saturating_sub(exchange.history_len);
            kept.drain(..too_many as usize);
            self.is_history_short |= self.kept_len() > self.kept_len_max();
        }
    }

    /// The most bytes that messages may take in memory which exchanges keep, as far as the broker
    /// keeps to its limit.
    #[must_use]
    pub fn kept_len(&self) -> u64 {
        let kept = self.recent.values().flatten();
        kept.map(|message| self.messages[*message].body.len() as u64 + OVERHEAD).sum()
    }

    /// The limit.
    #[must_use]
    pub fn kept_len_max(&self) -> u64 {
        (self.setup.memory_max / 4).max(KEPT_MIN)
    }
}

impl Exchange {
    fn is_hashed_by_header(&self) -> bool {
        self.hash_on.as_ref().is_some_and(|(argument, _)| argument == "hash-header")
    }
}

/// What the exchange of these arguments hashes by: the argument's name, and its text.
pub(super) fn hash_on(arguments: &[(String, Value)]) -> Option<(String, String)> {
    let names = ["hash-header", "hash-property"];
    let found = arguments.iter().find(|(name, _)| names.contains(&name.as_str()));
    found.and_then(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Queue, QueueId};
    use crate::plan::Setup;
    use crate::wire::{Properties, Table};

    /// A model with an exchange of this type, to which `q1` and `q2` are bound.
    fn model(kind: &str) -> Model {
        let mut model = Model::new(&Setup::default());
        let exchange = Exchange { kind: kind.into(), history_len: 2, ..Exchange::default() };
        model.exchanges.insert("x".into(), exchange);
        for number in 1..=2 {
            let id = QueueId(number);
            model.queues.insert(id, Queue::new(id, format!("q{number}")));
            model.bindings.push(Binding {
                source: "x".into(),
                destination: Destination::Queue(id),
                key: "1".into(),
                arguments: Table::new(),
            });
        }
        model
    }

    fn chose(queue: &str) -> Decision {
        Decision::Chose { exchange: "x".into(), destination: queue.into(), is_queue: true }
    }

    /// Routes a message with this key, where the broker decided so.
    fn route(model: &mut Model, key: &str, decisions: &[Decision]) -> Result<Vec<usize>, String> {
        model.choices.note(decisions);
        let look = Look { keys: vec![key], vhost: "/", properties: &Properties::default() };
        let queues = model.route("x", &look, None).queues;
        model.check_decisions().map(|()| queues.iter().map(|id| id.0).collect())
    }

    #[test]
    fn chance_may_choose_what_is_bound_once_for_each_message() {
        let mut model = model("x-random");
        assert_eq!(route(&mut model, "k", &[chose("q1")]), Ok(vec![1]));
        assert_eq!(route(&mut model, "k", &[chose("q2")]), Ok(vec![2]));
        assert!(route(&mut model, "k", &[chose("q3")]).is_err());
        assert!(route(&mut model, "k", &[]).is_err());
        assert!(route(&mut model, "k", &[chose("q1"), chose("q2")]).is_err());
    }

    #[test]
    fn a_hash_keeps_to_what_it_chose_until_something_else_is_bound() {
        for kind in ["x-consistent-hash", "x-modulus-hash"] {
            let mut model = model(kind);
            assert_eq!(route(&mut model, "k", &[chose("q1")]), Ok(vec![1]));
            assert_eq!(route(&mut model, "other", &[chose("q2")]), Ok(vec![2]));
            assert!(route(&mut model, "k", &[chose("q2")]).is_err(), "{kind}");
            model.bindings.remove(0);
            assert_eq!(route(&mut model, "k", &[chose("q2")]), Ok(vec![2]));
        }
    }

    #[test]
    fn all_that_is_kept_is_replayed_unless_there_was_no_room() {
        let mut model = model("x-recent-history");
        model.recent.insert("x".into(), Vec::new());
        let replayed = |messages| [Decision::Replayed { exchange: "x".into(), messages }];
        model.choices.note(&replayed(0));
        assert_eq!(model.replayed("x"), []);
        assert_eq!(model.check_decisions(), Ok(()));
        model.replayed("x");
        assert!(model.check_decisions().is_err(), "nothing was said");
        model.choices.note(&replayed(1));
        model.replayed("x");
        assert!(model.check_decisions().is_err());
        model.choices.note(&replayed(1));
        assert!(model.check_decisions().is_err(), "nobody was bound");
    }
}
