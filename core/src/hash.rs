//! Hash maps that no client can make slow, and that behave the same in every process with the same
//! seed, and on every machine: they cannot be iterated. What is iterated has an order of its own.

use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;

use foldhash::quality::FixedState;
use hashbrown::hash_map::Entry;

/// A map with a keyed hasher; made by [`map`].
pub(crate) struct HashMap<K, V>(hashbrown::HashMap<K, V, FixedState>);

/// An empty map. `seed` is secret, so that clients cannot aim at one bucket.
pub(crate) fn map<K, V>(seed: u64) -> HashMap<K, V> {
    HashMap(hashbrown::HashMap::with_hasher(FixedState::with_seed(seed)))
}

impl<K: Eq + Hash, V> HashMap<K, V> {
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key)
    }

    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get_mut(key)
    }

    pub(crate) fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.remove(key)
    }

    pub(crate) fn entry(&mut self, key: K) -> Entry<'_, K, V, FixedState> {
        self.0.entry(key)
    }
}

impl<K, V> fmt::Debug for HashMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashMap of {}", self.0.len())
    }
}
