//! Passwords and their hashes. The core computes none: whoever drives it holds a password against a
//! hash, see [`Output::Verify`](crate::Output::Verify).

use core::fmt;

use bytes::Bytes;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-256 over salt and password.
    Sha256,
    /// SHA-512 over salt and password.
    Sha512,
    /// MD5 over salt and password: that of RabbitMQ before 3.6, and of those who kept it.
    Md5,
    /// Argon2id, with its parameters.
    Argon2id,
}

impl HashAlgorithm {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha512, Self::Md5, Self::Argon2id];

    /// What definitions call it; the first three are RabbitMQ's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
            Self::Argon2id => "warren_password_hashing_argon2id",
        }
    }

    /// What definitions call `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// A password's hash, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// How it was made.
    pub algorithm: HashAlgorithm,
    /// Four bytes of salt and the hash; of Argon2id the text that PHC defines. Without any, no
    /// password is the right one.
    pub bytes: Bytes,
}

impl PasswordHash {
    /// That of a user who has no password.
    pub const NONE: Self = Self { algorithm: HashAlgorithm::Sha256, bytes: Bytes::new() };
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.bytes.is_empty() { "none" } else { "…" };
        write!(f, "PasswordHash({what}, {:?})", self.algorithm)
    }
}

/// A password that a client gave. It is told to nobody but who holds it against a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Bytes);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn nothing_of_a_password_or_its_hash_is_printed() {
        let bytes = Bytes::from_static(b"secret");
        let hash = PasswordHash { algorithm: HashAlgorithm::Sha512, bytes: bytes.clone() };
        for text in [format!("{hash:?}"), format!("{:?}", Password(bytes))] {
            assert!(!text.contains("secret") && !text.contains("115"), "{text}");
        }
    }
}
