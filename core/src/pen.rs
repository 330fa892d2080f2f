//! Bytes that are written one behind the other, where there is room for all of them.
//!
//! What is short is copied in a length that is known when this is compiled, and what of it does not
//! count is written over by what comes next: to ask the library to copy some bytes takes longer
//! than to copy a few more. So there must be a little more room than for what counts
//! ([`Pen::SLACK`]).

use core::mem::take;

use crate::amqp::{CompactBytes, INLINE_LEN_MAX, ShortStr};

/// Has something written from the beginning of a room on; how many bytes it is.
#[inline]
pub(crate) fn write(room: &mut [u8], write: impl FnOnce(&mut Pen<'_>)) -> usize {
    let len = room.len();
    let mut pen = Pen { room };
    write(&mut pen);
    len - pen.room.len()
}

/// Writes from front to back.
pub(crate) struct Pen<'a> {
    /// What is left of the room.
    room: &'a mut [u8],
}

impl Pen<'_> {
    /// So many bytes more than are written there must be room for.
    pub(crate) const SLACK: usize = INLINE_LEN_MAX;

    /// Writes these bytes.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_first(&bytes, N);
    }

    /// Writes the first `len` of these bytes.
    #[inline]
    pub(crate) fn put_first<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        const { assert!(N <= Self::SLACK) };
        *self.room.first_chunk_mut().expect("there is room for all") = *bytes;
        self.room = &mut take(&mut self.room)[len..];
    }

    /// Writes these bytes.
    #[inline]
    pub(crate) fn put_compact(&mut self, bytes: &CompactBytes) {
        match bytes.as_inline() {
            Some((inline, len)) => self.put_first(inline, len),
            None => self.put_slice(bytes),
        }
    }

    /// Writes a text behind its length.
    #[inline]
    pub(crate) fn put_text(&mut self, text: &ShortStr) {
        match text.as_compact().as_inline() {
            Some((inline, len)) => {
                self.put([len as u8]);
                self.put_first(inline, len);
            }
            None => {
                self.put([text.len() as u8]);
                self.put_slice(text.as_bytes());
            }
        }
    }

    /// Writes these bytes.
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        let (room, rest) = take(&mut self.room).split_at_mut(bytes.len());
        room.copy_from_slice(bytes);
        self.room = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_is_written_over() {
        let mut room = [7; 64];
        let len = write(&mut room, |pen| {
            pen.put_text(&"abc".into());
            pen.put_first(&[1, 2, 3], 1);
            pen.put_slice(&[4; 39]);
        });
        assert_eq!(len, 44);
        assert_eq!(room[..6], [3, b'a', b'b', b'c', 1, 4]);
        assert_eq!(room[43], 4);
    }
}
