//! Logging in: the mechanisms of `connection.start-ok`, and who may enter.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{FieldTable, FieldValue, Reader};
use crate::entropy::Entropy;
use crate::{Config, Peer};

/// What the broker offers, in its order of preference.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN ANONYMOUS";

/// The user and password that `ANONYMOUS` stands for: whoever changes or removes them closes that
/// door too.
const ANONYMOUS: (&str, &str) = ("guest", "guest");

/// What a client says who it is.
pub(crate) struct Claim {
    pub(crate) user: String,
    password: Bytes,
}

/// Why a claim could not be read.
#[derive(Debug)]
pub(crate) enum SaslError {
    UnknownMechanism,
    Malformed,
}

impl Claim {
    /// Reads the response of a mechanism.
    pub(crate) fn read(mechanism: &[u8], response: &Bytes) -> Result<Self, SaslError> {
        match mechanism {
            b"PLAIN" => read_plain(response).ok_or(SaslError::Malformed),
            b"AMQPLAIN" => read_amqplain(response).ok_or(SaslError::Malformed),
            b"ANONYMOUS" => {
                let (user, password) = ANONYMOUS;
                Ok(Self { user: user.into(), password: Bytes::from_static(password.as_bytes()) })
            }
            _ => Err(SaslError::UnknownMechanism),
        }
    }
}

/// RFC 4616: `[authzid] NUL authcid NUL passwd`.
fn read_plain(response: &Bytes) -> Option<Claim> {
    let mut parts = response.splitn(3, |byte| *byte == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some(Claim { user, password: response.slice_ref(password) })
}

/// A field table without its length in front, with `LOGIN` and `PASSWORD`.
fn read_amqplain(response: &Bytes) -> Option<Claim> {
    let mut table = BytesMut::with_capacity(response.len() + 4);
    table.put_u32(u32::try_from(response.len()).ok()?);
    table.put_slice(response);
    let table = FieldTable::read(&mut Reader::new(&table.freeze())).ok()?;
    let text = |name| match table.find(name) {
        Some(FieldValue::LongStr(text)) => Some(text.clone()),
        _ => None,
    };
    let user = String::from_utf8(text("LOGIN")?.to_vec()).ok()?;
    Some(Claim { user, password: text("PASSWORD")? })
}

/// Who may log in. Passwords are kept as salted hashes only.
#[derive(Debug)]
pub(crate) struct Credentials {
    users: Vec<Credential>,
}

#[derive(Debug)]
struct Credential {
    user: String,
    salt: [u8; 32],
    hash: [u8; 32],
    is_remote_allowed: bool,
}

impl Credentials {
    pub(crate) fn new(config: &Config, entropy: &mut Entropy) -> Self {
        let credential = |user: &crate::User| {
            let salt = entropy.bytes();
            Credential {
                user: user.name.to_string(),
                hash: hash(&salt, user.password.as_bytes()),
                salt,
                is_remote_allowed: user.is_remote_allowed,
            }
        };
        Self { users: config.users.iter().map(credential).collect() }
    }

    /// Whether the claim holds for a client who connects from there.
    ///
    /// # Errors
    /// Why it does not, for the log.
    pub(crate) fn check(&self, claim: &Claim, peer: &Peer) -> Result<(), &'static str> {
        let known = self.users.iter().find(|known| known.user == claim.user);
        let Some(known) = known else { return Err("no such user") };
        if !is_equal(&hash(&known.salt, &claim.password), &known.hash) {
            return Err("wrong password");
        }
        if !known.is_remote_allowed && !peer.is_loopback {
            return Err("user may log in from this machine only");
        }
        Ok(())
    }
}

fn hash(salt: &[u8; 32], password: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(password);
    hash.finalize().into()
}

/// Takes the same time wherever the difference is.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mechanism: &str, response: &[u8], is_loopback: bool) -> Result<(), &'static str> {
        let credentials = Credentials::new(&Config::default(), &mut Entropy::new([1, 2]));
        let response = Bytes::copy_from_slice(response);
        let claim = Claim::read(mechanism.as_bytes(), &response).map_err(|_| "cannot be read")?;
        credentials.check(&claim, &Peer { name: "test".into(), is_loopback })
    }

    #[test]
    fn plain_takes_the_right_password_only() {
        assert_eq!(check("PLAIN", b"\0guest\0guest", true), Ok(()));
        assert_eq!(check("PLAIN", b"\0guest\0wrong", true), Err("wrong password"));
        assert_eq!(check("PLAIN", b"\0nobody\0guest", true), Err("no such user"));
        assert_eq!(check("PLAIN", b"guest", true), Err("cannot be read"));
        assert_eq!(check("PLAIN", b"", true), Err("cannot be read"));
    }

    #[test]
    fn amqplain_reads_a_table_without_length() {
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest";
        assert_eq!(check("AMQPLAIN", response, true), Ok(()));
        assert_eq!(check("AMQPLAIN", &response[..20], true), Err("cannot be read"));
    }

    #[test]
    fn anonymous_needs_the_password_that_guest_had_at_first() {
        let mut config = Config::default();
        config.users[0].password = "changed".into();
        let credentials = Credentials::new(&config, &mut Entropy::new([1, 2]));
        let claim = Claim::read(b"ANONYMOUS", &Bytes::new()).expect("a claim");
        let peer = Peer { name: "test".into(), is_loopback: true };
        assert_eq!(credentials.check(&claim, &peer), Err("wrong password"));
    }

    #[test]
    fn guest_enters_from_this_machine_only() {
        assert!(check("PLAIN", b"\0guest\0guest", false).is_err());
        assert!(check("ANONYMOUS", b"", false).is_err());
        assert_eq!(check("ANONYMOUS", b"", true), Ok(()));
    }
}
