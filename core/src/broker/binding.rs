//! Bindings: from an exchange, by a key and arguments, to a queue or another exchange.

use alloc::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::queue::QueueId;
use crate::amqp::{FieldTable, Reader, ShortStr};

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    Queue(QueueId),
    /// An exchange of the same virtual host, by its name.
    Exchange(ShortStr),
}

/// The bytes that say how long a table is.
const TABLE_LEN_LEN: usize = 4;

/// A binding, as its source knows it. Two bindings are the same when all of it is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Binding {
    pub(crate) key: ShortStr,
    pub(crate) destination: Destination,
    /// The arguments in their canonical form, encoded, without their length.
    arguments: Bytes,
}

impl Binding {
    pub(crate) fn new(key: &ShortStr, destination: Destination, arguments: &FieldTable) -> Self {
        let mut encoded = BytesMut::new();
        if !arguments.is_empty() {
            arguments.canonical().write(&mut encoded);
        }
        let arguments = encoded.freeze();
        let arguments = arguments.slice(arguments.len().min(TABLE_LEN_LEN)..);
        Self { key: key.detached(), destination, arguments }
    }

    /// A binding whose arguments are encoded already, in their canonical form.
    pub(crate) fn from_encoded(key: ShortStr, destination: Destination, arguments: Bytes) -> Self {
        Self { key, destination, arguments }
    }

    /// The arguments in their canonical form, encoded, without their length; nothing if there are
    /// none.
    pub(crate) fn encoded_arguments(&self) -> &Bytes {
        &self.arguments
    }

    pub(crate) fn arguments(&self) -> FieldTable {
        if self.arguments.is_empty() {
            return FieldTable::default();
        }
        let mut encoded = BytesMut::with_capacity(TABLE_LEN_LEN + self.arguments.len());
        encoded.put_u32(self.arguments.len() as u32);
        encoded.put_slice(&self.arguments);
        FieldTable::read(&mut Reader::new(&encoded.freeze())).expect("written by new")
    }

    /// The same binding, as its destination remembers it.
    pub(crate) fn incoming(&self, source: &ShortStr) -> Incoming {
        Incoming { source: source.clone(), binding: self.clone() }
    }
}

/// A binding, as its destination knows it: there to be undone with the destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Incoming {
    pub(crate) source: ShortStr,
    pub(crate) binding: Binding,
}

impl Incoming {
    /// What comes before all bindings from an exchange, and behind those of exchanges before it.
    pub(crate) fn first_of(source: &ShortStr) -> Self {
        let (key, arguments) = (ShortStr::EMPTY, Bytes::new());
        let destination = Destination::Queue(QueueId::new(0, 0));
        Self { source: source.clone(), binding: Binding { key, destination, arguments } }
    }
}

/// Destinations in order, each with the number of bindings that lead there.
#[derive(Debug, Default)]
pub(crate) struct Destinations(BTreeMap<Destination, u32>);

impl Destinations {
    pub(crate) fn insert(&mut self, destination: Destination) {
        *self.0.entry(destination).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, destination: &Destination) {
        if let Some(count) = self.0.get_mut(destination) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(destination);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.0.keys()
    }
}
