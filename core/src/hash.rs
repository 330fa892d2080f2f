//! Hash maps that no client can make slow, and that behave the same in every process with the same
//! seed. They are never iterated: what is iterated has an order of its own.

use foldhash::quality::FixedState;

/// A map with a keyed hasher; made by [`map`].
pub(crate) type HashMap<K, V> = hashbrown::HashMap<K, V, FixedState>;

/// An empty map. `seed` is secret, so that clients cannot aim at one bucket.
pub(crate) fn map<K, V>(seed: u64) -> HashMap<K, V> {
    HashMap::with_hasher(FixedState::with_seed(seed))
}
