//! Bytes that do not change: few of them lie in the value itself, more are shared.
//!
//! Most names, property lists and many bodies are short. To count who shares their buffer, one
//! atomic instruction when a slice is made and one when it goes, takes longer than to copy them;
//! and what is copied holds on to no buffer.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use bytes::Bytes;

/// So many bytes lie in the value: names that the broker makes up, consumer tags above all, do.
pub(crate) const INLINE_LEN_MAX: usize = 38;

/// See the [module](self).
#[derive(Clone)]
pub struct CompactBytes(Held);

#[derive(Clone)]
enum Held {
    /// What is behind so many means nothing, and may be of what was read next to them: nobody is to
    /// see it. What is kept for long is [copied](CompactBytes::copy), and has zeros there.
    Inline {
        len: u8,
        bytes: [u8; INLINE_LEN_MAX],
    },
    Shared(Bytes),
    /// In a buffer that nobody shares.
    Own(Vec<u8>),
}

impl CompactBytes {
    /// None.
    pub const EMPTY: Self = Self(Held::Inline { len: 0, bytes: [0; INLINE_LEN_MAX] });

    /// Bytes that live in the program.
    pub(crate) const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Held::Shared(Bytes::from_static(bytes)))
    }

    /// These bytes, which are few.
    pub(crate) const fn few<const N: usize>(few: &[u8; N]) -> Self {
        const { assert!(N <= INLINE_LEN_MAX) };
        let (mut bytes, mut at) = ([0; INLINE_LEN_MAX], 0);
        while at < N {
            bytes[at] = few[at];
            at += 1;
        }
        Self(Held::Inline { len: N as u8, bytes })
    }

    /// Some of these bytes.
    ///
    /// # Panics
    /// When there are no such.
    pub(crate) fn within(bytes: &Bytes, start: usize, end: usize) -> Self {
        let part = &bytes[start..end];
        // To copy as many as there is room for is quicker than to copy as many as they are.
        match bytes[start..].first_chunk() {
            Some(chunk) if Self::is_few(part.len()) => {
                Self(Held::Inline { len: part.len() as u8, bytes: *chunk })
            }
            _ => Self::inline(part).unwrap_or_else(|| Self(Held::Shared(bytes.slice(start..end)))),
        }
    }

    /// A copy that shares nothing with anybody.
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        Self::inline(bytes).unwrap_or_else(|| Self(Held::Shared(Bytes::copy_from_slice(bytes))))
    }

    fn inline(bytes: &[u8]) -> Option<Self> {
        let mut inline = [0; INLINE_LEN_MAX];
        inline.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Held::Inline { len: bytes.len() as u8, bytes: inline }))
    }

    /// What is in a buffer, which nobody is to share: a share of it is a copy.
    pub(crate) fn own(buffer: Vec<u8>) -> Self {
        Self(Held::Own(buffer))
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Inline { len, .. } => usize::from(*len),
            Held::Shared(bytes) => bytes.len(),
            Held::Own(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether so many bytes lie in the value.
    pub(crate) fn is_few(len: usize) -> bool {
        len <= INLINE_LEN_MAX
    }

    /// Whether they lie in the value.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.0, Held::Inline { .. })
    }

    /// Those that lie in the value and how many of them count, if they do.
    #[inline]
    pub(crate) fn as_inline(&self) -> Option<(&[u8; INLINE_LEN_MAX], usize)> {
        match &self.0 {
            Held::Inline { len, bytes } => Some((bytes, usize::from(*len))),
            Held::Shared(_) | Held::Own(_) => None,
        }
    }

    /// The buffer that nobody shares, if they lie in one; nothing is left of them.
    pub(crate) fn take_buffer(&mut self) -> Option<Vec<u8>> {
        match core::mem::take(self).0 {
            Held::Own(buffer) => Some(buffer),
            Held::Inline { .. } | Held::Shared(_) => None,
        }
    }

    /// Whether it holds on to a buffer that others may share.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0, Held::Shared(_))
    }

    /// All of them, shared if they are.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.slice(0, self.len())
    }

    /// The buffer that they share, if they do.
    pub(crate) fn as_shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Held::Inline { .. } | Held::Own(_) => None,
            Held::Shared(bytes) => Some(bytes),
        }
    }

    /// Some of them, shared if they are.
    ///
    /// # Panics
    /// When there are no such.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Bytes {
        match &self.0 {
            Held::Inline { .. } | Held::Own(_) => Bytes::copy_from_slice(&self[start..end]),
            Held::Shared(bytes) => bytes.slice(start..end),
        }
    }
}

impl Deref for CompactBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Held::Shared(bytes) => bytes,
            Held::Own(bytes) => bytes,
        }
    }
}

impl fmt::Debug for CompactBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// By the bytes, however they are held. That there are none is found out first: to compare none
/// takes a call all the same.
impl PartialEq for CompactBytes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (self.is_empty() || **self == **other)
    }
}

impl Eq for CompactBytes {}

impl PartialOrd for CompactBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CompactBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

/// As a slice has it.
impl Hash for CompactBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Default for CompactBytes {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Shared, if they are more than few.
impl From<Bytes> for CompactBytes {
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self(Held::Shared(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_word_larger_than_what_it_stands_for() {
        assert_eq!(size_of::<CompactBytes>(), size_of::<Bytes>() + size_of::<usize>());
        assert_eq!(size_of::<Option<CompactBytes>>(), size_of::<CompactBytes>());
    }

    #[test]
    fn bytes_are_the_same_however_many_they_are() {
        let bytes: Bytes = (0..=255).collect();
        for len in [0, 1, INLINE_LEN_MAX, INLINE_LEN_MAX + 1, 255] {
            let expected = &bytes[1..1 + len];
            let compact = CompactBytes::within(&bytes, 1, 1 + len);
            assert_eq!(&*compact, expected);
            assert_eq!(compact.is_shared(), len > INLINE_LEN_MAX);
            assert_eq!(&*CompactBytes::copy(expected), expected);
            assert_eq!(&*CompactBytes::from(bytes.slice(1..1 + len)), expected);
            assert_eq!(&compact.slice(0, len)[..], expected);
        }
    }
}
