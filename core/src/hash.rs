//! Hash maps that no client can make slow, and that behave the same in every process with the same
//! seed, and on every machine: they cannot be iterated. What is iterated has an order of its own.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
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

    pub(crate) fn len(&self) -> usize {
        self.0.len()
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

/// A table that finds keys which are kept elsewhere, under numbers: it has the numbers only, and is
/// told which key has one.
pub(crate) struct Index {
    numbers: HashTable<u64>,
    hasher: FixedState,
}

/// An empty index. `seed` is secret, as for [`map`].
pub(crate) fn index(seed: u64) -> Index {
    Index { numbers: HashTable::new(), hasher: FixedState::with_seed(seed) }
}

impl Index {
    /// The number of this key.
    pub(crate) fn get<K: Eq + Hash>(&self, key: &K, key_of: impl Fn(u64) -> K) -> Option<u64> {
        let hash = self.hasher.hash_one(key);
        self.numbers.find(hash, |number| key_of(*number) == *key).copied()
    }

    /// The key has this number, in place of the one that it had.
    pub(crate) fn insert<K: Eq + Hash>(&mut self, key: K, number: u64, key_of: impl Fn(u64) -> K) {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(&key);
        match self.numbers.find_mut(hash, |number| key_of(*number) == key) {
            Some(known) => *known = number,
            None => {
                let hash_of = |number: &u64| hasher.hash_one(key_of(*number));
                self.numbers.insert_unique(hash, number, hash_of);
            }
        }
    }

    /// The key has not this number any more, if it had.
    pub(crate) fn remove<K: Hash>(&mut self, key: &K, number: u64) {
        let hash = self.hasher.hash_one(key);
        if let Ok(found) = self.numbers.find_entry(hash, |known| *known == number) {
            found.remove();
        }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index of {}", self.numbers.len())
    }
}
