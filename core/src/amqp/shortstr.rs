//! Short strings: the names of the protocol, at most 255 bytes long.
//!
//! Owns the length invariant, so that no later step has to check it again. Bytes are kept as the
//! client sent them: 0-9-1 asks for UTF-8 but brokers do not enforce it, and names must come back
//! unchanged.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;

use bytes::Bytes;

use super::CompactBytes;

/// A string of at most 255 bytes (0-9-1 §4.2.5.3, `shortstr`). Cloning shares the bytes if there
/// are more than a few.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortStr(CompactBytes);

impl ShortStr {
    /// The largest length in bytes.
    pub const LEN_MAX: usize = 255;

    /// The empty string.
    pub const EMPTY: Self = Self(CompactBytes::EMPTY);

    /// A string that lives in the program.
    ///
    /// # Panics
    /// When `text` is longer than [`Self::LEN_MAX`]; in a constant, at compile time.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::LEN_MAX);
        Self(CompactBytes::from_static(text.as_bytes()))
    }

    /// `None` when `bytes` is too long to be a short string.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        (bytes.len() <= Self::LEN_MAX).then(|| Self(bytes.into()))
    }

    /// As much of `bytes` as fits; a text is never cut within a character.
    #[must_use]
    pub fn truncated(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::LEN_MAX {
            return Self(CompactBytes::copy(bytes));
        }
        let is_boundary = |at: &usize| bytes[*at] & 0xC0 != 0x80;
        let end = (Self::LEN_MAX - 3..=Self::LEN_MAX).rev().find(is_boundary);
        Self(CompactBytes::copy(&bytes[..end.unwrap_or(Self::LEN_MAX)]))
    }

    /// What stands between `start` and `end` of these bytes; `None` when it is too long.
    #[inline]
    pub(crate) fn within(bytes: &Bytes, start: usize, end: usize) -> Option<Self> {
        (end - start <= Self::LEN_MAX).then(|| Self(CompactBytes::within(bytes, start, end)))
    }

    /// A copy of these bytes; `None` when they are too many.
    pub(crate) fn copy(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= Self::LEN_MAX).then(|| Self(CompactBytes::copy(bytes)))
    }

    /// Whether it holds on to a buffer that others may share.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// A copy in memory of its own, for keeping: it no longer holds on to the buffer it was read
    /// from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(CompactBytes::copy(&self.0))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, as they are held.
    #[inline]
    pub(crate) fn as_compact(&self) -> &CompactBytes {
        &self.0
    }

    /// The bytes, shared if there are more than a few.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.to_bytes()
    }

    /// The text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn to_text(&self) -> alloc::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it begins with `prefix`.
    #[must_use]
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.0.starts_with(prefix.as_bytes())
    }
}

impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl fmt::Display for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// So that maps by name can be asked with bytes.
impl Borrow<[u8]> for ShortStr {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for ShortStr {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// Copies `text`.
///
/// # Panics
/// When `text` is longer than [`ShortStr::LEN_MAX`]: for names made by the program itself. What
/// comes from outside goes through [`ShortStr::new`].
impl From<&str> for ShortStr {
    fn from(text: &str) -> Self {
        assert!(text.len() <= Self::LEN_MAX, "a short string of the program");
        Self(CompactBytes::copy(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(200);
        let cut = ShortStr::truncated(text.as_bytes());
        assert_eq!(cut.len(), 254);
        assert!(core::str::from_utf8(cut.as_bytes()).is_ok());
    }

    #[test]
    fn more_than_255_bytes_are_not_a_short_string() {
        assert!(ShortStr::new(Bytes::from(alloc::vec![b'x'; 256])).is_none());
        assert!(ShortStr::new(Bytes::from(alloc::vec![b'x'; 255])).is_some());
    }
}
