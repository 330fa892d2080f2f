//! A table whose keys say which of its slot's successive tenants they mean: a key of something
//! that is gone finds nothing.

use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

/// A key of a [`Slab`] of `T`.
pub(crate) struct Key<T> {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    tenant: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    pub(crate) fn new(index: u32, generation: u32) -> Self {
        Self { index, generation, tenant: PhantomData }
    }

    fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

/// A table of `T`. The lowest free slot is not preferred; which slot is used next depends only on
/// what was inserted and removed before.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    retired: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), retired: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len() - self.retired
    }

    /// # Panics
    /// When there are 2³² tenants.
    pub(crate) fn insert(&mut self, tenant: T) -> Key<T> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.tenant = Some(tenant);
            return Key::new(index, slot.generation);
        }
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 slots");
        self.slots.push(Slot { generation: 0, tenant: Some(tenant) });
        Key::new(index, 0)
    }

    /// The key that [`Self::insert`] will give next.
    pub(crate) fn next_key(&self) -> Key<T> {
        match self.free.last() {
            Some(index) => Key::new(*index, self.slots[*index as usize].generation),
            None => Key::new(self.slots.len() as u32, 0),
        }
    }

    /// The key of a slot's tenant.
    pub(crate) fn key_at(&self, index: u32) -> Option<Key<T>> {
        let slot = self.slots.get(index as usize)?;
        slot.tenant.as_ref().map(|_| Key::new(index, slot.generation))
    }

    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let tenant = slot.tenant.take()?;
        // A slot that has had all its generations is not used again: no key may ever mean two.
        match slot.generation.checked_add(1) {
            Some(next) => {
                slot.generation = next;
                self.free.push(key.index);
            }
            None => self.retired += 1,
        }
        Some(tenant)
    }

    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        slot.tenant.as_ref().filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.tenant.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// The tenant of a slot, whichever it is.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.tenant.as_mut()
    }

    /// In order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.iter_from(0)
    }

    /// The same from this slot on.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots.iter().enumerate().skip(first as usize).filter_map(|(index, slot)| {
            let tenant = slot.tenant.as_ref()?;
            Some((Key::new(index as u32, slot.generation), tenant))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_something_gone_finds_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert('a');
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b');
        assert_eq!(old.index, new.index);
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&'b')));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.len(), 1);
    }
}
