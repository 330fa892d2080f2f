//! Exchanges: their types, their bindings, and which destinations a message is sent on to.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::arguments;
use super::binding::{Binding, Destination, Destinations, Incoming};
use super::choosing::{self, HashOn, Ring, Slots};
use super::deduplication::Seen;
use super::headers::{HeaderPattern, SortedHeaders};
use super::policies::InForce;
use super::queue::Queue;
use super::recent_history::{self, RecentHistory};
use super::refusal::{Refusal, Resource};
use super::topic::{TopicTrie, count_any_words};
use crate::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};
use crate::entropy::Entropy;
use crate::hash::{self, HashMap};

/// How many `#` a topic binding's key may hold: more would let one key make routing slow.
const ANY_WORDS_MAX: usize = 2;

/// The type of exchanges that go by the type which this argument names. RabbitMQ's plugin looks for
/// delays of messages at these only.
const DELAYED_MESSAGE: &str = "x-delayed-message";
const DELAYED_TYPE: &str = "x-delayed-type";

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
    /// One of them, by a hash that moves few messages when bindings come or go.
    ConsistentHash,
    /// One of them, by a hash of the routing keys.
    ModulusHash,
    /// One of them, by chance.
    Random,
    /// One of them, by chance, and only classic queues.
    LocalRandom,
    /// All of them; the last messages are kept for those to come.
    RecentHistory,
}

impl ExchangeKind {
    const ALL: [Self; 9] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::RecentHistory,
    ];

    /// The kind that clients call `name`.
    #[must_use]
    pub fn from_name(name: &ShortStr) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *name == kind.name())
    }

    /// What clients call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::RecentHistory => "x-recent-history",
        }
    }

    /// Whether each routing key is looked at by itself.
    pub(crate) const fn goes_by_keys(self) -> bool {
        matches!(self, Self::Direct | Self::Topic)
    }

    /// Whether a message goes to one destination only.
    pub(crate) const fn chooses(self) -> bool {
        matches!(self, Self::ConsistentHash | Self::ModulusHash | Self::Random | Self::LocalRandom)
    }

    /// Whether messages with the same routing key and without headers always go the same way.
    pub(crate) const fn goes_by_key_alone(self) -> bool {
        !self.chooses() && !matches!(self, Self::Headers)
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
    Slots(Slots),
    Ring(Ring),
    RecentHistory(Destinations, RecentHistory),
}

/// What of a message exchanges look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    /// The routing key it was published with.
    pub(crate) key: &'a ShortStr,
    /// That key and those of the headers `CC` and `BCC`: each once, in order.
    pub(crate) keys: &'a [ShortStr],
    pub(crate) properties: &'a BasicProperties,
}

/// How many messages clients published to an exchange, and how many came to queues by that. Routes
/// have it at hand, so that counting costs no search. All of it happens on one thread: what was
/// loaded is what is stored to.
#[derive(Debug, Default)]
pub(crate) struct ExchangeCounts {
    published: AtomicU64,
    routed: AtomicU64,
}

impl ExchangeCounts {
    /// A message was published.
    pub(crate) fn note_published(&self) {
        add(&self.published, 1);
    }

    /// One went to so many queues.
    pub(crate) fn note_routed(&self, queues: usize) {
        add(&self.routed, queues as u64);
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub(crate) fn routed(&self) -> u64 {
        self.routed.load(Ordering::Relaxed)
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: ShortStr,
    pub(crate) kind: ExchangeKind,
    /// Whether it was declared as one for delayed messages, which goes by that kind.
    is_for_delayed: bool,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
    /// Where messages go that no binding takes, by its argument.
    pub(crate) alternate: Option<ShortStr>,
    /// What it remembers, if it deduplicates what is published to it.
    pub(crate) seen: Option<Box<Seen>>,
    /// The policies that are in force for it.
    pub(crate) policies: InForce,
    /// Where messages go that no binding takes, if no argument says that.
    pub(crate) alternate_by_policy: Option<ShortStr>,
    /// The bindings from it, and those to it.
    pub(crate) bindings: BTreeSet<Binding>,
    pub(crate) incoming: BTreeSet<Incoming>,
    pub(crate) counts: Arc<ExchangeCounts>,
    table: Table,
}

impl Exchange {
    /// `None` for an unknown kind.
    pub(crate) fn new(declaration: &ExchangeDeclaration, hash_seed: u64) -> Option<Self> {
        let is_for_delayed = declaration.kind == DELAYED_MESSAGE;
        let kind = match is_for_delayed {
            // One that may not be made is only compared with the one that is there.
            true => delayed_kind(&declaration.arguments).unwrap_or(ExchangeKind::Direct),
            false => ExchangeKind::from_name(&declaration.kind)?,
        };
        Some(Self {
            name: declaration.name.detached(),
            kind,
            is_for_delayed,
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
            arguments: declaration.arguments.canonical(),
            alternate: alternate(&declaration.arguments),
            seen: Seen::new(&declaration.arguments, hash_seed),
            policies: InForce::default(),
            alternate_by_policy: None,
            bindings: BTreeSet::new(),
            incoming: BTreeSet::new(),
            counts: Arc::default(),
            table: match kind {
                ExchangeKind::Direct => Table::Direct(hash::map(hash_seed)),
                ExchangeKind::Fanout => Table::Fanout(Destinations::default()),
                ExchangeKind::Topic => Table::Topic(TopicTrie::default()),
                ExchangeKind::Headers => Table::Headers(BTreeMap::new()),
                ExchangeKind::ConsistentHash => Table::Ring(Ring::new(&declaration.arguments)),
                ExchangeKind::ModulusHash | ExchangeKind::Random | ExchangeKind::LocalRandom => {
                    Table::Slots(Slots::default())
                }
                ExchangeKind::RecentHistory => {
                    let history = RecentHistory::new(&declaration.arguments);
                    Table::RecentHistory(Destinations::default(), history)
                }
            },
        })
    }

    /// What clients call its type.
    pub(crate) fn type_name(&self) -> &'static str {
        if self.is_for_delayed { DELAYED_MESSAGE } else { self.kind.name() }
    }

    /// Whether an exchange of these arguments may be made.
    ///
    /// # Errors
    /// Which argument is wrong, and how.
    pub(crate) fn check_arguments(&self, vhost: &ShortStr) -> Result<(), Refusal> {
        let resource = Resource { kind: "exchange", name: &self.name, vhost };
        arguments::check_deduplicating(&self.arguments, &resource)?;
        if self.is_for_delayed {
            delayed_kind(&self.arguments)?;
        }
        match self.kind {
            ExchangeKind::ConsistentHash => HashOn::new(&self.arguments).map(drop),
            ExchangeKind::RecentHistory => recent_history::len_max(&self.arguments).map(drop),
            _ => Ok(()),
        }
    }

    /// Where messages go that no binding takes.
    pub(crate) fn alternate(&self) -> Option<&ShortStr> {
        self.alternate.as_ref().or(self.alternate_by_policy.as_ref())
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
        if declaration.kind != self.type_name() {
            let received = format!("'{}'", declaration.kind);
            let current = format!("'{}'", self.type_name());
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
            let received = &declaration.arguments;
            return arguments::check_same_deduplicating(received, &self.arguments, &resource);
        }
        let [received, current] = [received, self.alternate.clone()].map(|name| match name {
            Some(name) => format!("the value '{name}' of type 'longstr'"),
            None => "none".to_string(),
        });
        Err(Refusal::inequivalent(&resource, "alternate-exchange", &received, &current))
    }

    /// Whether a binding may be made here, to this queue or else to an exchange.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_binding(
        &self,
        key: &ShortStr,
        arguments: &FieldTable,
        queue: Option<&Queue>,
    ) -> Result<(), Refusal> {
        match self.kind {
            ExchangeKind::Headers => HeaderPattern::new(arguments).map(drop),
            ExchangeKind::Topic if count_any_words(key) > ANY_WORDS_MAX => {
                Err(Refusal::precondition(format!(
                    "invalid topic binding key '{key}': more than {ANY_WORDS_MAX} '#' words"
                )))
            }
            ExchangeKind::ConsistentHash => choosing::weight(key).map(drop),
            ExchangeKind::LocalRandom => check_local(key, queue),
            _ => Ok(()),
        }
    }

    /// Adds a binding that [`Self::check_binding`] approved, to a queue or exchange of this name.
    /// `false` when it is there already.
    pub(crate) fn bind(&mut self, binding: Binding, name: &ShortStr) -> bool {
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
            Table::Slots(slots) => slots.insert(destination, name),
            Table::Ring(ring) => ring.insert(&binding.key, destination, name),
            Table::RecentHistory(destinations, _) => destinations.insert(destination),
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
            Table::Slots(slots) => slots.remove(&binding.destination),
            Table::Ring(ring) => ring.remove(&binding.key, &binding.destination),
            Table::RecentHistory(destinations, _) => destinations.remove(&binding.destination),
        }
        true
    }

    /// The one destination that a message is sent on to, if the exchange is of a kind that chooses
    /// one and has any.
    pub(crate) fn choose(&self, message: &Envelope<'_>, entropy: &Entropy) -> Option<&Destination> {
        match &self.table {
            Table::Ring(ring) => ring.choose(message),
            Table::Slots(slots) if self.kind == ExchangeKind::ModulusHash => {
                slots.by_keys(message.keys)
            }
            Table::Slots(slots) if slots.len() > 1 => slots.get(entropy.below(slots.len())),
            Table::Slots(slots) => slots.get(0),
            _ => None,
        }
    }

    /// All that chance may choose, if it is of a kind that goes by slots; a destination may come
    /// repeatedly.
    pub(crate) fn chances(&self) -> impl Iterator<Item = &Destination> {
        let slots = match &self.table {
            Table::Slots(slots) => Some(slots),
            _ => None,
        };
        slots.into_iter().flat_map(Slots::iter)
    }

    /// Whether one of its bindings, were it the only one, would have a message sent on.
    pub(crate) fn takes_by(
        &self,
        binding: &Binding,
        keys: &[ShortStr],
        headers: &SortedHeaders<'_>,
    ) -> bool {
        let mut takes = false;
        match &self.table {
            Table::Direct(_) => takes = keys.contains(&binding.key),
            Table::Topic(_) => {
                let mut alone = TopicTrie::default();
                alone.insert(&binding.key, binding.destination.clone());
                keys.iter().for_each(|key| alone.matches(key.as_bytes(), &mut |_| takes = true));
            }
            Table::Headers(patterns) => {
                takes = patterns.get(binding).is_some_and(|pattern| pattern.matches(headers));
            }
            Table::Fanout(_) | Table::Slots(_) | Table::Ring(_) | Table::RecentHistory(..) => {
                takes = true;
            }
        }
        takes
    }

    /// The messages that it keeps, if it is of a kind that does.
    pub(crate) fn history(&self) -> Option<&RecentHistory> {
        match &self.table {
            Table::RecentHistory(_, history) => Some(history),
            _ => None,
        }
    }

    /// The same, to add to them.
    pub(crate) fn history_mut(&mut self) -> Option<&mut RecentHistory> {
        match &mut self.table {
            Table::RecentHistory(_, history) => Some(history),
            _ => None,
        }
    }

    /// Calls `found` for each destination that a message is sent on to, if the exchange does not
    /// [choose](Self::choose) one; a destination may come repeatedly.
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
            Table::Fanout(destinations) | Table::RecentHistory(destinations, _) => {
                destinations.iter().for_each(found);
            }
            Table::Slots(_) | Table::Ring(_) => {}
            Table::Topic(trie) => trie.matches(key.as_bytes(), found),
            Table::Headers(patterns) => patterns
                .iter()
                .filter(|(_, pattern)| pattern.matches(headers))
                .for_each(|(binding, _)| found(&binding.destination)),
        }
    }
}

/// How an exchange for delayed messages of these arguments routes.
///
/// # Errors
/// When they do not say.
fn delayed_kind(arguments: &FieldTable) -> Result<ExchangeKind, Refusal> {
    let problem = |text| Err(Refusal::precondition(format!("Invalid argument, {text}")));
    match arguments.find(DELAYED_TYPE).and_then(FieldValue::as_longstr) {
        Some(name) if name == DELAYED_MESSAGE.as_bytes() => {
            problem("'x-delayed-message' can't be used for 'x-delayed-type'")
        }
        Some(name) => {
            let name = ShortStr::truncated(name);
            let kind = ExchangeKind::from_name(&name);
            kind.ok_or_else(|| Refusal::precondition(format!("unknown exchange type '{name}'")))
        }
        None => problem("'x-delayed-type' must be an existing exchange type"),
    }
}

/// Whether an exchange that was declared with this type and these arguments can be.
pub(crate) fn is_exchange_type(name: &ShortStr, arguments: &FieldTable) -> bool {
    match *name == DELAYED_MESSAGE {
        true => delayed_kind(arguments).is_ok(),
        false => ExchangeKind::from_name(name).is_some(),
    }
}

/// Whether an exchange may be bound that chooses among queues of its own node.
fn check_local(key: &ShortStr, queue: Option<&Queue>) -> Result<(), Refusal> {
    if !key.is_empty() {
        let text = format!("Non empty binding '{key}' key not permitted");
        return Err(Refusal::precondition(text));
    }
    let Some(queue) = queue else { return Err(Refusal::precondition("Destination not found")) };
    if arguments::is_quorum(&queue.arguments) {
        let text = "Queue type rabbit_quorum_queue not valid for this exchange type";
        return Err(Refusal::precondition(text));
    }
    Ok(())
}

fn alternate(arguments: &FieldTable) -> Option<ShortStr> {
    match arguments.find("alternate-exchange") {
        Some(FieldValue::LongStr(name)) => Some(ShortStr::truncated(name)),
        _ => None,
    }
}
