//! Reading the primitive types of 0-9-1 §4.2.5 from one frame's payload.
//!
//! Never reads past the end. Strings are slices of what was received, unless they are short.

use core::ops::Range;

use bytes::Bytes;

use super::{FieldTable, ShortStr};

/// The bytes are not what the grammar asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A position in a payload.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// The buffer that they lie in, if what is read may share it.
    shared: Option<&'a Bytes>,
    at: usize,
    end: usize,
    /// Bits that stand next to each other share an octet, the first in the lowest bit.
    bits: Option<(u8, u8)>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a Bytes) -> Self {
        Self::within(bytes, 0..bytes.len())
    }

    /// Reads a part of these bytes; positions are counted from their beginning.
    ///
    /// # Panics
    /// When they have no such part.
    #[must_use]
    pub fn within(bytes: &'a Bytes, part: Range<usize>) -> Self {
        assert!(part.end <= bytes.len() && part.start <= part.end, "a part of the bytes");
        Self { bytes, shared: Some(bytes), at: part.start, end: part.end, bits: None }
    }

    /// Reads bytes of which nothing is shared.
    pub(crate) fn of_slice(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None, at: 0, end: bytes.len(), bits: None }
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// An octet.
    ///
    /// # Errors
    /// At the end of the payload; likewise for all that follow.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A `short`.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// A `long`.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A `longlong`.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next bit of a run of bits.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn bit(&mut self) -> Result<bool, Malformed> {
        let (octet, used) = match self.bits {
            Some((octet, used)) if used < 8 => (octet, used),
            _ => (self.u8()?, 0),
        };
        self.bits = Some((octet, used + 1));
        Ok(octet >> used & 1 == 1)
    }

    /// A short string.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn shortstr(&mut self) -> Result<ShortStr, Malformed> {
        let len = self.u8()?.into();
        let start = self.at;
        self.skip(len)?;
        let text = match self.shared {
            Some(bytes) => ShortStr::within(bytes, start, self.at),
            None => ShortStr::copy(&self.bytes[start..self.at]),
        };
        Ok(text.expect("a length of one octet is at most 255"))
    }

    /// A long string.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn longstr(&mut self) -> Result<Bytes, Malformed> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    /// A field table.
    ///
    /// # Errors
    /// As for [`FieldTable::read`].
    pub fn table(&mut self) -> Result<FieldTable, Malformed> {
        self.bits = None;
        FieldTable::read(self)
    }

    /// Passes over `len` bytes.
    ///
    /// # Errors
    /// As for [`Self::u8`].
    pub fn skip(&mut self, len: usize) -> Result<(), Malformed> {
        self.bits = None;
        if len > self.remaining() {
            return Err(Malformed);
        }
        self.at += len;
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        let start = self.at;
        self.skip(len)?;
        Ok(match self.shared {
            Some(bytes) => bytes.slice(start..self.at),
            None => Bytes::copy_from_slice(&self.bytes[start..self.at]),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bits = None;
        let bytes = self.bytes[self.at..self.end].get(..N).ok_or(Malformed)?;
        self.at += N;
        Ok(bytes.try_into().expect("a slice of N bytes"))
    }
}
