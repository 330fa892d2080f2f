//! Logging in: the mechanisms of `connection.start-ok`, and what a client says with them.

use bytes::{BufMut, Bytes, BytesMut};

use super::{FieldTable, FieldValue, Reader, ShortStr};
use crate::Peer;
use crate::broker::Password;

/// What the broker offers, in its order of preference.
const MECHANISMS: &str = "PLAIN AMQPLAIN ANONYMOUS";

/// The same to a client that has proved before who it is.
const MECHANISMS_OF_PROVEN: &str = "PLAIN AMQPLAIN ANONYMOUS EXTERNAL";

/// The user and password that `ANONYMOUS` stands for: whoever changes or removes them closes that
/// door too.
const ANONYMOUS: (&str, &str) = ("guest", "guest");

/// The mechanisms for this client.
pub(crate) fn mechanisms(peer: &Peer) -> Bytes {
    let names = if peer.external.is_some() { MECHANISMS_OF_PROVEN } else { MECHANISMS };
    Bytes::from_static(names.as_bytes())
}

/// What a client says who it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) user: ShortStr,
    /// `None` where the user was proved to be before.
    pub(crate) password: Option<Password>,
}

/// Why a claim could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SaslError {
    UnknownMechanism,
    Malformed,
}

impl Claim {
    /// Reads what this client responds with a mechanism.
    pub(crate) fn read(mechanism: &[u8], response: &Bytes, peer: &Peer) -> Result<Self, SaslError> {
        match (mechanism, &peer.external) {
            (b"PLAIN", _) => read_plain(response).ok_or(SaslError::Malformed),
            (b"AMQPLAIN", _) => read_amqplain(response).ok_or(SaslError::Malformed),
            (b"ANONYMOUS", _) => {
                let (user, password) = ANONYMOUS;
                let password = Bytes::from_static(password.as_bytes());
                Ok(Self { user: user.into(), password: Some(Password(password)) })
            }
            (b"EXTERNAL", Some(user)) => Ok(Self { user: named(user.as_bytes()), password: None }),
            _ => Err(SaslError::UnknownMechanism),
        }
    }
}

/// The name of a user. A longer one than users have is nobody's, and neither is the empty one.
fn named(name: &[u8]) -> ShortStr {
    ShortStr::new(Bytes::copy_from_slice(name)).unwrap_or_default()
}

/// RFC 4616: `[authzid] NUL authcid NUL passwd`.
fn read_plain(response: &Bytes) -> Option<Claim> {
    let mut parts = response.splitn(3, |byte| *byte == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Claim { user: named(user), password: Some(Password(response.slice_ref(password))) })
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
    Some(Claim { user: named(&text("LOGIN")?), password: Some(Password(text("PASSWORD")?)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mechanism: &str, response: &[u8], peer: &Peer) -> Result<Claim, SaslError> {
        Claim::read(mechanism.as_bytes(), &Bytes::copy_from_slice(response), peer)
    }

    fn claim(user: &str, password: &'static str) -> Result<Claim, SaslError> {
        let password = Some(Password(Bytes::from_static(password.as_bytes())));
        Ok(Claim { user: user.into(), password })
    }

    #[test]
    fn plain_has_a_user_and_a_password_between_zeros() {
        let stranger = Peer::default();
        assert_eq!(read("PLAIN", b"\0guest\0secret", &stranger), claim("guest", "secret"));
        assert_eq!(read("PLAIN", b"x\0guest\0a\0b", &stranger), claim("guest", "a\0b"));
        assert_eq!(read("PLAIN", b"guest", &stranger), Err(SaslError::Malformed));
        assert_eq!(read("PLAIN", b"", &stranger), Err(SaslError::Malformed));
    }

    #[test]
    fn amqplain_reads_a_table_without_length() {
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        let stranger = Peer::default();
        assert_eq!(read("AMQPLAIN", response, &stranger), claim("guest", "secret"));
        assert_eq!(read("AMQPLAIN", &response[..20], &stranger), Err(SaslError::Malformed));
    }

    #[test]
    fn anonymous_is_guest_with_the_password_that_guest_had_at_first() {
        assert_eq!(read("ANONYMOUS", b"", &Peer::default()), claim("guest", "guest"));
    }

    #[test]
    fn external_is_for_those_who_proved_before_who_they_are() {
        let stranger = Peer::default();
        assert_eq!(read("EXTERNAL", b"guest", &stranger), Err(SaslError::UnknownMechanism));
        assert!(!mechanisms(&stranger).ends_with(b"EXTERNAL"));
        let proven = Peer { external: Some("alice".into()), ..Peer::default() };
        let claim = Claim { user: "alice".into(), password: None };
        assert_eq!(read("EXTERNAL", b"guest", &proven), Ok(claim));
        assert!(mechanisms(&proven).ends_with(b" EXTERNAL"));
    }
}
