//! Exchanges: their types, their bindings, and which destinations a message is sent on to.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;

use super::binding::{Binding, Destination, Destinations, Incoming};
use super::headers::{HeaderPattern, SortedHeaders};
use super::refusal::{Refusal, Resource};
use super::topic::{TopicTrie, count_any_words};
use crate::amqp::{FieldTable, FieldValue, ShortStr};
use crate::hash::{self, HashMap};

/// How many `#` a topic binding's key may hold: more would let one key make routing slow.
const ANY_WORDS_MAX: usize = 2;

/// How an exchange chooses among its bindings (§3.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// By equal routing key.
    Direct,
    /// All of them.
    Fanout,
    /// By patterns of words.
    Topic,
    /// By the message's headers.
    Headers,
}

impl ExchangeKind {
    /// The kind that clients call `name`.
    #[must_use]
    pub fn from_name(name: &ShortStr) -> Option<Self> {
        match name.as_bytes() {
            b"direct" => Some(Self::Direct),
            b"fanout" => Some(Self::Fanout),
            b"topic" => Some(Self::Topic),
            b"headers" => Some(Self::Headers),
            _ => None,
        }
    }

    /// What clients call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// What an exchange is declared as.
#[derive(Clone, Debug)]
pub struct ExchangeDeclaration {
    /// The name.
    pub name: ShortStr,
    /// The type's name.
    pub kind: ShortStr,
    /// Whether it is to survive a restart.
    pub durable: bool,
    /// Whether it goes when its last binding goes.
    pub auto_delete: bool,
    /// Whether clients may not publish to it.
    pub internal: bool,
    /// Further arguments; `alternate-exchange` means something to the engine.
    pub arguments: FieldTable,
}

/// The bindings of an exchange, arranged for routing.
#[derive(Debug)]
enum Table {
    Direct(HashMap<ShortStr, Destinations>),
    Fanout(Destinations),
    Topic(TopicTrie),
    Headers(BTreeMap<Binding, HeaderPattern>),
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: ShortStr,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
    /// Where messages go that no binding takes.
    pub(crate) alternate: Option<ShortStr>,
    /// The bindings from it, and those to it.
    pub(crate) bindings: BTreeSet<Binding>,
    pub(crate) incoming: BTreeSet<Incoming>,
    table: Table,
}

impl Exchange {
    /// `None` for an unknown kind.
    pub(crate) fn new(declaration: &ExchangeDeclaration, hash_seed: u64) -> Option<Self> {
        let kind = ExchangeKind::from_name(&declaration.kind)?;
        Some(Self {
            name: declaration.name.detached(),
            kind,
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
            arguments: declaration.arguments.canonical(),
            alternate: alternate(&declaration.arguments),
            bindings: BTreeSet::new(),
            incoming: BTreeSet::new(),
            table: match kind {
                ExchangeKind::Direct => Table::Direct(hash::map(hash_seed)),
                ExchangeKind::Fanout => Table::Fanout(Destinations::default()),
                ExchangeKind::Topic => Table::Topic(TopicTrie::default()),
                ExchangeKind::Headers => Table::Headers(BTreeMap::new()),
            },
        })
    }

    /// Whether another declaration means this same exchange.
    ///
    /// # Errors
    /// Which property differs.
    pub(crate) fn check_equivalent(
        &self,
        declaration: &ExchangeDeclaration,
        vhost: &ShortStr,
    ) -> Result<(), Refusal> {
        let resource = Resource { kind: "exchange", name: &self.name, vhost };
        if declaration.kind != self.kind.name() {
            let received = format!("'{}'", declaration.kind);
            let current = format!("'{}'", self.kind.name());
            return Err(Refusal::inequivalent(&resource, "type", &received, &current));
        }
        for (argument, received, current) in [
            ("durable", declaration.durable, self.durable),
            ("auto_delete", declaration.auto_delete, self.auto_delete),
            ("internal", declaration.internal, self.internal),
        ] {
            if received != current {
                let [received, current] = [received, current].map(|flag| format!("'{flag}'"));
                return Err(Refusal::inequivalent(&resource, argument, &received, &current));
            }
        }
        let received = alternate(&declaration.arguments);
        if received == self.alternate {
            return Ok(());
        }
        let [received, current] = [received, self.alternate.clone()].map(|name| match name {
            Some(name) => format!("the value '{name}' of type 'longstr'"),
            None => "none".to_string(),
        });
        Err(Refusal::inequivalent(&resource, "alternate-exchange", &received, &current))
    }

    /// Whether the binding may be made here.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_binding(
        &self,
        key: &ShortStr,
        arguments: &FieldTable,
    ) -> Result<(), Refusal> {
        match self.kind {
            ExchangeKind::Headers => HeaderPattern::new(arguments).map(drop),
            ExchangeKind::Topic if count_any_words(key) > ANY_WORDS_MAX => {
                Err(Refusal::precondition(format!(
                    "invalid topic binding key '{key}': more than {ANY_WORDS_MAX} '#' words"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Adds a binding that [`Self::check_binding`] approved. `false` when it is there already.
    pub(crate) fn bind(&mut self, binding: Binding) -> bool {
        if self.bindings.contains(&binding) {
            return false;
        }
        let destination = binding.destination.clone();
        match &mut self.table {
            Table::Direct(keys) => {
                keys.entry(binding.key.clone()).or_default().insert(destination);
            }
            Table::Fanout(destinations) => destinations.insert(destination),
            Table::Topic(trie) => trie.insert(&binding.key, destination),
            Table::Headers(patterns) => {
                let pattern = HeaderPattern::new(&binding.arguments()).expect("checked before");
                patterns.insert(binding.clone(), pattern);
            }
        }
        self.bindings.insert(binding)
    }

    /// Removes a binding. `false` when it is not there.
    pub(crate) fn unbind(&mut self, binding: &Binding) -> bool {
        if !self.bindings.remove(binding) {
            return false;
        }
        match &mut self.table {
            Table::Direct(keys) => {
                if let Some(destinations) = keys.get_mut(&binding.key) {
                    destinations.remove(&binding.destination);
                    if destinations.is_empty() {
                        keys.remove(&binding.key);
                    }
                }
            }
            Table::Fanout(destinations) => destinations.remove(&binding.destination),
            Table::Topic(trie) => trie.remove(&binding.key, &binding.destination),
            Table::Headers(patterns) => {
                patterns.remove(binding);
            }
        }
        true
    }

    /// Calls `found` for each destination that a message is sent on to; a destination may come
    /// repeatedly.
    pub(crate) fn route<'a>(
        &'a self,
        key: &ShortStr,
        headers: &SortedHeaders<'_>,
        found: &mut impl FnMut(&'a Destination),
    ) {
        match &self.table {
            Table::Direct(keys) => {
                keys.get(key).into_iter().flat_map(Destinations::iter).for_each(found);
            }
            Table::Fanout(destinations) => destinations.iter().for_each(found),
            Table::Topic(trie) => trie.matches(key.as_bytes(), found),
            Table::Headers(patterns) => patterns
                .iter()
                .filter(|(_, pattern)| pattern.matches(headers))
                .for_each(|(binding, _)| found(&binding.destination)),
        }
    }
}

fn alternate(arguments: &FieldTable) -> Option<ShortStr> {
    match arguments.find("alternate-exchange") {
        Some(FieldValue::LongStr(name)) => Some(ShortStr::truncated(name)),
        _ => None,
    }
}
