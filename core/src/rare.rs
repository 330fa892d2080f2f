//! What most owners have nothing of: a pointer, which leads nowhere as long as it is so.
//!
//! There may be a hundred thousand idle queues, and what they might need some day is not to take
//! memory before.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::ops::Deref;

/// A `T` that is mostly as it began. To read it is to read the `T`; where there was none, one that
/// is as it began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare<T>(Option<Box<T>>);

/// What has a state to begin with, which can be read without an owner.
pub(crate) trait Unused: Default + 'static {
    /// As it begins.
    const UNUSED: &'static Self;
}

impl<T: 'static> Unused for VecDeque<T> {
    const UNUSED: &'static Self = &Self::new();
}

impl<K: Ord + 'static, V: 'static> Unused for BTreeMap<K, V> {
    const UNUSED: &'static Self = &Self::new();
}

impl<T: Unused> Rare<T> {
    /// To be changed, if there is one.
    pub(crate) fn used(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// To be changed: from now on there is one.
    pub(crate) fn in_use(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// What there is.
    pub(crate) fn into_inner(self) -> T {
        self.0.map_or_else(T::default, |used| *used)
    }
}

impl<T: Unused> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::UNUSED)
    }
}

/// One that is as it began takes no memory.
impl<T: Unused + PartialEq> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((value != *T::UNUSED).then(|| Box::new(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, PartialEq)]
    struct Number(u32);

    impl Unused for Number {
        const UNUSED: &'static Self = &Self(0);
    }

    #[test]
    fn what_is_as_it_began_takes_no_memory_and_can_be_read() {
        let mut number = Rare::from(Number(0));
        assert!(number.used().is_none());
        assert_eq!((*number).0, 0);
        number.in_use().0 = 7;
        assert_eq!((*number).0, 7);
        assert!(number.used().is_some());
        assert_eq!((*Rare::from(Number(3))).0, 3);
        assert_eq!(size_of::<Rare<[Number; 9]>>(), size_of::<usize>());
    }
}
