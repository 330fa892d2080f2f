//! Logging in: the mechanisms of `connection.start-ok`, and what a client says with them.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::{FieldTable, FieldValue, Reader, ShortStr};
use crate::Peer;
use crate::broker::Password;

/// How a client may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// With a user's name and password (RFC 4616).
    Plain,
    /// The same in a table, as AMQP 0-8 had it.
    AmqPlain,
    /// As `guest`, for as long as the password of that is `guest`.
    Anonymous,
    /// As who the client proved before to be.
    External,
}

impl Mechanism {
    /// All of them, in the broker's order of preference.
    pub const ALL: [Self; 4] = [Self::Plain, Self::AmqPlain, Self::Anonymous, Self::External];

    /// What clients call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::Anonymous => "ANONYMOUS",
            Self::External => "EXTERNAL",
        }
    }
}

/// The user and password that `ANONYMOUS` stands for: whoever changes or removes them closes that
/// door too.
const ANONYMOUS: (&str, &str) = ("guest", "guest");

/// The mechanisms that this client may use, where these are allowed.
fn offered(allowed: &[Mechanism], peer: &Peer) -> impl Iterator<Item = Mechanism> {
    let allowed = if peer.is_inside { &Mechanism::ALL } else { allowed };
    let is_proven = peer.external.is_some();
    allowed.iter().copied().filter(move |own| *own != Mechanism::External || is_proven)
}

/// Their names, as the client is told them.
pub(crate) fn mechanisms(allowed: &[Mechanism], peer: &Peer) -> Bytes {
    let names: Vec<_> = offered(allowed, peer).map(Mechanism::name).collect();
    names.join(" ").into()
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
    /// Reads what this client responds with a mechanism, where these are allowed.
    pub(crate) fn read(
        mechanism: &[u8],
        response: &Bytes,
        peer: &Peer,
        allowed: &[Mechanism],
    ) -> Result<Self, SaslError> {
        let mut offered = offered(allowed, peer);
        let chosen = offered.find(|offered| offered.name().as_bytes() == mechanism);
        match chosen.ok_or(SaslError::UnknownMechanism)? {
            Mechanism::Plain => read_plain(response).ok_or(SaslError::Malformed),
            Mechanism::AmqPlain => read_amqplain(response).ok_or(SaslError::Malformed),
            Mechanism::Anonymous => {
                let (user, password) = ANONYMOUS;
                let password = Bytes::from_static(password.as_bytes());
                Ok(Self { user: user.into(), password: Some(Password(password)) })
            }
            Mechanism::External => {
                let user = peer.external.as_ref().ok_or(SaslError::UnknownMechanism)?;
                Ok(Self { user: named(user.as_bytes()), password: None })
            }
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
        let response = Bytes::copy_from_slice(response);
        Claim::read(mechanism.as_bytes(), &response, peer, &Mechanism::ALL)
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
        assert_eq!(mechanisms(&Mechanism::ALL, &stranger), "PLAIN AMQPLAIN ANONYMOUS");
        let proven = Peer { external: Some("alice".into()), ..Peer::default() };
        let claim = Claim { user: "alice".into(), password: None };
        assert_eq!(read("EXTERNAL", b"guest", &proven), Ok(claim));
        assert!(mechanisms(&Mechanism::ALL, &proven).ends_with(b" EXTERNAL"));
    }

    #[test]
    fn what_is_not_allowed_is_neither_offered_nor_taken_from_outside() {
        let allowed = [Mechanism::External, Mechanism::AmqPlain];
        let plain = Bytes::from_static(b"\0u\0p");
        let external = Some("alice".into());
        let proven = Peer { external, ..Peer::default() };
        assert_eq!(mechanisms(&allowed, &proven), "EXTERNAL AMQPLAIN");
        assert_eq!(mechanisms(&allowed, &Peer::default()), "AMQPLAIN");
        let read = |peer: &Peer| Claim::read(b"PLAIN", &plain, peer, &allowed);
        assert_eq!(read(&proven), Err(SaslError::UnknownMechanism));
        let inside = Peer { is_inside: true, ..proven };
        assert!(read(&inside).is_ok());
        assert_eq!(mechanisms(&[Mechanism::Plain], &inside), mechanisms(&Mechanism::ALL, &inside));
    }
}
