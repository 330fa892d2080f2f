//! Passwords and hashes, away from the broker's thread.
//!
//! A hash is as RabbitMQ has it: four bytes of salt, and SHA-256, SHA-512 or MD5 over salt and
//! password; or the text that PHC defines for Argon2id. Comparing takes as long wherever the
//! difference is. A few are looked at at once; who asks for more waits.

use std::io;
use std::sync::Arc;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use tokio::sync::Semaphore;
use warren_core::broker::{HashAlgorithm, Password, PasswordHash};

/// So many hashes are computed at once. One of Argon2id takes tens of milliseconds of a processor,
/// and some 20 MiB.
const AT_ONCE_MAX: usize = 2;

/// How many bytes of salt RabbitMQ's hashes begin with.
const SALT_LEN: usize = 4;

/// How many bytes of salt those of Argon2id have.
const ARGON2_SALT_LEN: usize = 16;

/// Hashes a new password, with new salt.
///
/// # Errors
/// When the system has no entropy, or the password is longer than the algorithm takes.
pub fn hash(algorithm: HashAlgorithm, password: &Password) -> io::Result<PasswordHash> {
    let bytes = if algorithm == HashAlgorithm::Argon2id {
        let mut salt = [0; ARGON2_SALT_LEN];
        getrandom::fill(&mut salt)?;
        let hashed = Argon2::default().hash_password_with_salt(&password.0, &salt);
        hashed.map_err(io::Error::other)?.to_string().into_bytes()
    } else {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt)?;
        [salt.to_vec(), digest(algorithm, &salt, &password.0)].concat()
    };
    Ok(PasswordHash { algorithm, bytes: bytes.into() })
}

/// Whether a password is that of a hash.
#[must_use]
pub fn is_right(password: &Password, hash: &PasswordHash) -> bool {
    if hash.algorithm == HashAlgorithm::Argon2id {
        let text = str::from_utf8(&hash.bytes);
        return text.is_ok_and(|text| Argon2::default().verify_password(&password.0, text).is_ok());
    }
    let Some((salt, right)) = hash.bytes.split_at_checked(SALT_LEN) else { return false };
    is_equal(&digest(hash.algorithm, salt, &password.0), right)
}

fn digest(algorithm: HashAlgorithm, salt: &[u8], password: &[u8]) -> Vec<u8> {
    fn of<D: Digest>(salt: &[u8], password: &[u8]) -> Vec<u8> {
        D::new().chain_update(salt).chain_update(password).finalize().to_vec()
    }
    match algorithm {
        HashAlgorithm::Sha256 => of::<Sha256>(salt, password),
        HashAlgorithm::Sha512 => of::<Sha512>(salt, password),
        HashAlgorithm::Md5 => of::<Md5>(salt, password),
        HashAlgorithm::Argon2id => unreachable!("its hashes are of another form"),
    }
}

/// Takes the same time wherever the difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

/// Computes hashes on threads of their own. Clones share the limit.
#[derive(Clone, Debug)]
pub struct Hasher(Arc<Semaphore>);

impl Default for Hasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

impl Hasher {
    /// Hashes a new password.
    ///
    /// # Errors
    /// As for [`hash`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn hash(
        &self,
        algorithm: HashAlgorithm,
        password: Password,
    ) -> io::Result<PasswordHash> {
        self.run(move || hash(algorithm, &password)).await
    }

    /// Whether a password is that of a hash.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn is_right(&self, password: Password, hash: PasswordHash) -> bool {
        self.run(move || is_right(&password, &hash)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.0.acquire().await.expect("it is never closed");
        tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_core::Config;

    use super::*;

    fn password(text: &'static str) -> Password {
        Password(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_password_is_right_for_its_own_hash_only() {
        for algorithm in HashAlgorithm::ALL {
            let [first, second] =
                [(); 2].map(|()| hash(algorithm, &password("secret")).expect("entropy"));
            assert_ne!(first, second, "no salt is used twice");
            assert!(
                is_right(&password("secret"), &first) && is_right(&password("secret"), &second)
            );
            assert!(!is_right(&password("Secret"), &first) && !is_right(&password(""), &first));
            let cut = PasswordHash { bytes: first.bytes.slice(..first.bytes.len() - 1), ..first };
            assert!(!is_right(&password("secret"), &cut));
            assert!(!is_right(&password(""), &PasswordHash { algorithm, bytes: Bytes::new() }));
        }
    }

    /// The one of RabbitMQ's documentation.
    #[test]
    fn hashes_of_rabbitmq_are_read() {
        let bytes = Bytes::from_static(
            b"\x90\x8d\xc6\x0a\xa5\xb9\x24\xb3\x09\x6b\x88\x97\xd6\x5a\x3b\x5f\x80\xfa\x5d\xb6\
              \x2a\x94\xb8\x31\x22\xcd\xf4\xf8\xfe\xad\x10\xd5\x15\xd8\xf3\x91",
        );
        let hash = PasswordHash { algorithm: HashAlgorithm::Sha256, bytes };
        assert!(is_right(&password("test12"), &hash));
    }

    #[test]
    fn guest_is_the_password_of_a_first_start() {
        let config = Config::default();
        assert!(is_right(&password("guest"), &config.defaults.expect("a user").password_hash));
        assert!(!is_right(&password(""), &config.nobody_hash));
    }
}
