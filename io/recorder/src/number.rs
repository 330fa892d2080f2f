//! Numbers, texts and bytes as they stand in a recording: small numbers take one byte.

use bytes::{Buf, Bytes};

/// Appends a number, seven bits to a byte, the lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes behind their number.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a number; `None` when there is none.
pub(crate) fn take(from: &mut Bytes) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes a number of any other type.
pub(crate) fn take_as<T: TryFrom<u64>>(from: &mut Bytes) -> Option<T> {
    T::try_from(take(from)?).ok()
}

/// Takes bytes that stand behind their number.
pub(crate) fn take_bytes(from: &mut Bytes) -> Option<Bytes> {
    let len = take_as(from)?;
    (len <= from.len()).then(|| from.split_to(len))
}

/// Takes a text that stands behind its length.
pub(crate) fn take_text(from: &mut Bytes) -> Option<String> {
    String::from_utf8(take_bytes(from)?.into()).ok()
}

/// Takes eight bytes, the lowest first.
pub(crate) fn take_u64(from: &mut Bytes) -> Option<u64> {
    from.try_get_u64_le().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut out = Vec::new();
        numbers.iter().for_each(|number| put(&mut out, *number));
        let mut from = Bytes::from(out);
        numbers.iter().for_each(|number| assert_eq!(take(&mut from), Some(*number)));
        assert_eq!(take(&mut from), None);
    }

    #[test]
    fn bytes_that_are_cut_off_are_none() {
        let mut out = Vec::new();
        put_bytes(&mut out, b"warren");
        out.pop();
        assert_eq!(take_bytes(&mut Bytes::from(out)), None);
    }
}
