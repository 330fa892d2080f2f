//! Exchanges that send each message to one of their destinations: by a hash (`x-consistent-hash`,
//! `x-modulus-hash`) or by chance (`x-random`, `x-local-random`).
//!
//! What is chosen by a hash depends on the message and on what is bound, by name, and on nothing
//! else: neither on the order of binding nor on how often the broker was started.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::binding::Destination;
use super::exchange::Envelope;
use super::refusal::{Refusal, print_bytes};
use super::rendezvous::{Contender, Draw, Hashed, WEIGHT_MAX};
use crate::amqp::{FieldTable, FieldValue, ShortStr};

/// The properties that messages may be hashed by.
const PROPERTIES: [&str; 3] = ["correlation_id", "message_id", "timestamp"];

/// What destinations are sorted by: exchanges first, then queues, each by name.
type Rank = (bool, ShortStr);

fn rank(destination: &Destination, name: &ShortStr) -> Rank {
    (matches!(destination, Destination::Queue(_)), name.clone())
}

/// One slot for each binding, sorted by what the bindings lead to.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<(Rank, Destination)>,
    /// Where a destination's slots are found, of which it has at least one.
    ranks: BTreeMap<Destination, Rank>,
}

impl Slots {
    /// Adds a slot for a destination of this name.
    pub(crate) fn insert(&mut self, destination: Destination, name: &ShortStr) {
        let rank = rank(&destination, name);
        let at = self.slots.partition_point(|(other, _)| *other <= rank);
        self.ranks.insert(destination.clone(), rank.clone());
        self.slots.insert(at, (rank, destination));
    }

    /// Removes one of a destination's slots.
    pub(crate) fn remove(&mut self, destination: &Destination) {
        let Some(rank) = self.ranks.get(destination) else { return };
        let at = self.slots.partition_point(|(other, _)| other < rank);
        self.slots.remove(at);
        if self.slots.get(at).is_none_or(|(_, next)| next != destination) {
            self.ranks.remove(destination);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The destinations of all of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.slots.iter().map(|(_, destination)| destination)
    }

    /// The one of this number.
    pub(crate) fn get(&self, number: u64) -> Option<&Destination> {
        self.slots.get(usize::try_from(number).ok()?).map(|(_, destination)| destination)
    }

    /// The one that a message goes to by all its routing keys.
    pub(crate) fn by_keys(&self, keys: &[ShortStr]) -> Option<&Destination> {
        let (first, further) = keys.split_first()?;
        let first = Hashed::new(first.as_bytes());
        let hashed = further.iter().fold(first, |hashed, key| hashed.and(key.as_bytes()));
        self.get(hashed.number().checked_rem(self.len())?)
    }
}

/// What of a message is hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum HashOn {
    /// The routing key it was published with.
    #[default]
    Key,
    /// A header.
    Header(ShortStr),
    /// One of [`PROPERTIES`].
    Property(&'static str),
}

impl HashOn {
    /// What the arguments of an exchange ask for.
    ///
    /// # Errors
    /// When it is both a header and a property, no such property, or no name at all.
    pub(crate) fn new(arguments: &FieldTable) -> Result<Self, Refusal> {
        let find = |name: &str| match arguments.find(name) {
            None => Ok(None),
            Some(FieldValue::LongStr(text)) => Ok(Some(text)),
            Some(value) => Err(Refusal::precondition(format!(
                "invalid arg '{name}': {{unacceptable_type,{}}}",
                value.type_name()
            ))),
        };
        match (find("hash-header")?, find("hash-property")?) {
            (None, None) => Ok(Self::Key),
            (Some(header), None) => Ok(Self::Header(ShortStr::truncated(header))),
            (None, Some(name)) => {
                let known = PROPERTIES.into_iter().find(|known| known.as_bytes() == name);
                let property = known.ok_or_else(|| {
                    let name = ShortStr::truncated(name);
                    Refusal::precondition(format!("Unsupported property: {name}"))
                })?;
                Ok(Self::Property(property))
            }
            (Some(_), Some(_)) => {
                Err(Refusal::precondition("hash-header and hash-property are mutually exclusive"))
            }
        }
    }

    /// What a message is chosen by. All that do not have what is hashed are the same.
    fn hash(&self, message: &Envelope<'_>) -> Hashed {
        let text = |text: &Option<ShortStr>| text.as_ref().map(|text| Hashed::new(text.as_bytes()));
        let properties = message.properties;
        let hashed = match self {
            Self::Key => Some(Hashed::new(message.key.as_bytes())),
            Self::Header(name) => {
                let headers = properties.headers.as_ref();
                let mut headers = headers.into_iter().flat_map(FieldTable::iter);
                headers.find(|(other, _)| other == name).map(|(_, value)| hash_value(value))
            }
            Self::Property("correlation_id") => text(&properties.correlation_id),
            Self::Property("message_id") => text(&properties.message_id),
            Self::Property(_) => properties.timestamp.map(hash_number),
        };
        hashed.unwrap_or(Hashed::new(b"").and(b"missing"))
    }
}

/// Numbers are the same whatever their type.
fn hash_number(number: u64) -> Hashed {
    Hashed::new(b"").and(&number.to_be_bytes())
}

/// A header's value; of an array, the first counts.
fn hash_value(value: &FieldValue) -> Hashed {
    let mut value = value;
    while let FieldValue::Array(values) = value {
        value = values.first().unwrap_or(&FieldValue::Void);
    }
    match (value, value.as_integer()) {
        (FieldValue::LongStr(text), _) => Hashed::new(text),
        (_, Some(number)) => hash_number(number.cast_unsigned()),
        _ => {
            let mut encoded = BytesMut::new();
            FieldTable::new(alloc::vec![(ShortStr::EMPTY, value.clone())]).write(&mut encoded);
            Hashed::new(b"").and(&encoded)
        }
    }
}

/// The destinations of a consistent hash.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    hash_on: HashOn,
    members: BTreeMap<Destination, Member>,
}

/// A destination on the ring.
#[derive(Debug)]
struct Member {
    rank: Rank,
    /// The keys it is bound with and by how many bindings each. The first is its weight.
    keys: BTreeMap<ShortStr, u32>,
    contender: Contender,
}

impl Member {
    fn weigh(&mut self) {
        let (is_queue, name) = &self.rank;
        let hashed = Hashed::new(&[u8::from(*is_queue)]).and(name.as_bytes());
        let weight = self.keys.keys().next().and_then(|key| weight(key).ok());
        self.contender = Contender::new(hashed, weight.unwrap_or(1));
    }
}

impl Ring {
    /// One without destinations, for an exchange of these arguments.
    pub(crate) fn new(arguments: &FieldTable) -> Self {
        Self { hash_on: HashOn::new(arguments).unwrap_or_default(), members: BTreeMap::new() }
    }

    /// Adds a binding to a destination of this name; its key says how much the destination weighs.
    /// If there are several, the first in the order of keys does.
    pub(crate) fn insert(&mut self, key: &ShortStr, destination: Destination, name: &ShortStr) {
        let member = || Member {
            rank: rank(&destination, name),
            keys: BTreeMap::new(),
            contender: Contender::new(Hashed::new(b""), 1),
        };
        let member = self.members.entry(destination.clone()).or_insert_with(member);
        *member.keys.entry(key.clone()).or_default() += 1;
        member.weigh();
    }

    /// Removes a binding.
    pub(crate) fn remove(&mut self, key: &ShortStr, destination: &Destination) {
        let Some(member) = self.members.get_mut(destination) else { return };
        if let Some(count) = member.keys.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                member.keys.remove(key);
            }
        }
        if member.keys.is_empty() {
            self.members.remove(destination);
        } else {
            member.weigh();
        }
    }

    /// Where a message goes.
    pub(crate) fn choose(&self, message: &Envelope<'_>) -> Option<&Destination> {
        let value = self.hash_on.hash(message);
        let mut best: Option<(Draw, &Rank, &Destination)> = None;
        for (destination, member) in &self.members {
            let draw = member.contender.draw(value);
            // Of two that are as good, the first by name.
            let is_better = best.is_none_or(|(best, rank, _)| {
                draw.beats(best) || !best.beats(draw) && member.rank < *rank
            });
            if is_better {
                best = Some((draw, &member.rank, destination));
            }
        }
        best.map(|(_, _, destination)| destination)
    }
}

/// The weight that a binding's key stands for.
///
/// # Errors
/// When it is no whole number from 1 to [`WEIGHT_MAX`].
pub(crate) fn weight(key: &ShortStr) -> Result<u64, Refusal> {
    let (is_negative, digits) = match key.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        let key = print_bytes(key.as_bytes());
        let text = format!("The binding key must be an integer: {key}");
        return Err(Refusal::precondition(text));
    }
    let add =
        |weight: u64, digit: &u8| weight.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    match digits.iter().fold(0, add) {
        weight if is_negative || weight == 0 => {
            Err(Refusal::precondition("The binding key must be greater than 0"))
        }
        weight if weight > WEIGHT_MAX => {
            let text = format!("The binding key must not exceed {WEIGHT_MAX}");
            Err(Refusal::precondition(text))
        }
        weight => Ok(weight),
    }
}
