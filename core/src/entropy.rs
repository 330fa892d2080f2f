//! Randomness: everything follows from the boot seed, and nobody can tell the next value from the
//! earlier ones.

use alloc::string::String;
use core::cell::Cell;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A source of random bytes: SHA-256 over seed and counter.
#[derive(Debug)]
pub(crate) struct Entropy {
    seed: [u64; 2],
    counter: Cell<u64>,
}

impl Entropy {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        Self { seed, counter: Cell::new(0) }
    }

    /// 32 random bytes.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for word in [self.seed[0], self.seed[1], self.counter.get()] {
            hash.update(word.to_le_bytes());
        }
        self.counter.set(self.counter.get() + 1);
        hash.finalize().into()
    }

    pub(crate) fn u64(&self) -> u64 {
        let bytes = self.bytes();
        u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
    }

    /// A number below `count`, each as likely as the others; 0 where there is none.
    pub(crate) fn below(&self, count: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(count)) >> 64) as u64
    }

    /// A name that nobody can guess: `prefix` and 22 characters of base64url, 132 random bits.
    pub(crate) fn name(&self, prefix: &str) -> String {
        let bytes = self.bytes();
        let mut name = String::from(prefix);
        name.extend(bytes[..22].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])));
        name
    }
}
