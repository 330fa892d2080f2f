//! Who makes a request, and what that person may do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use warren_core::amqp::ShortStr;
use warren_core::broker::User;
use warren_io::BrokerHandle;
use warren_io::password::Hasher;

use super::call::Failure;
use super::session::{Refused, Session};
use crate::credentials::PasswordSettings;

/// What a request asks of who makes it, in RabbitMQ's tags of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Any tag that lets its user in here.
    Management,
    Policymaker,
    Monitoring,
    Administrator,
}

impl Tag {
    /// What tags a user may have for this; one is enough.
    pub(super) const fn any_of(self) -> &'static [&'static str] {
        match self {
            Self::Management => &["administrator", "monitoring", "policymaker", "management"],
            Self::Policymaker => &["administrator", "policymaker"],
            Self::Monitoring => &["administrator", "monitoring"],
            Self::Administrator => &["administrator"],
        }
    }

    fn refusal(self) -> &'static str {
        match self {
            Self::Management => "Not management user",
            Self::Policymaker => "User not authorised to access object",
            Self::Monitoring => "Not monitor user",
            Self::Administrator => "Not administrator user",
        }
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    pub(super) name: ShortStr,
    pub(super) tags: Vec<ShortStr>,
    /// Whether the request comes from this machine.
    pub(super) is_loopback: bool,
    /// Whether it is one of those who run the broker: there need be no user of the name.
    pub(super) is_operator: bool,
}

/// What operators are called.
const OPERATOR: &str = "operator";

impl Principal {
    /// Somebody who runs the broker.
    pub(super) fn operator() -> Self {
        let tags = vec!["administrator".into()];
        Self { name: OPERATOR.into(), tags, is_loopback: true, is_operator: true }
    }

    /// Whether what asks for this tag is for this user.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self, tag: Tag) -> Result<(), Failure> {
        let has_one_of = |wanted: Tag| {
            self.tags.iter().any(|tag| wanted.any_of().iter().any(|wanted| *tag == *wanted))
        };
        for tag in [Tag::Management, tag] {
            if !has_one_of(tag) {
                return Err(Failure::not_authorised(tag.refusal()));
            }
        }
        Ok(())
    }

    /// The tags, as texts.
    pub(super) fn tags(&self) -> Vec<String> {
        self.tags.iter().map(|tag| tag.to_text().into_owned()).collect()
    }

    /// Whether this user has the tag, or one that is as good.
    pub(super) fn is(&self, tag: Tag) -> bool {
        self.check(tag).is_ok()
    }
}

/// Finds out who makes requests.
#[derive(Clone)]
pub(crate) struct Users {
    hasher: Hasher,
    loopback_users: Vec<ShortStr>,
    passwords: PasswordSettings,
}

impl Users {
    /// These may log in from this machine only, and new passwords are like this.
    pub(crate) fn new(
        hasher: Hasher,
        loopback_users: Vec<ShortStr>,
        passwords: PasswordSettings,
    ) -> Self {
        Self { hasher, loopback_users, passwords }
    }

    /// What computes hashes.
    pub(super) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Whether a request is of somebody who may see how the broker is.
    pub(crate) async fn may_monitor(
        &self,
        broker: &BrokerHandle,
        authorization: Option<&[u8]>,
        from: &str,
        is_loopback: bool,
    ) -> bool {
        let user = self.log_in(broker, authorization, from, is_loopback).await;
        user.is_ok_and(|user| user.is(Tag::Monitoring))
    }

    /// What new passwords are like.
    pub(super) fn passwords(&self) -> &PasswordSettings {
        &self.passwords
    }

    /// Finds out who makes a request from its `Authorization`, and from where it comes.
    ///
    /// # Errors
    /// When that is nobody who may.
    pub(super) async fn log_in(
        &self,
        broker: &BrokerHandle,
        authorization: Option<&[u8]>,
        from: &str,
        is_loopback: bool,
    ) -> Result<Principal, Failure> {
        let claim = authorization.and_then(basic).ok_or_else(Failure::not_authenticated)?;
        let (name, password) = claim;
        self.check(broker, &name, &password, from, is_loopback).await
    }

    /// Finds out whether somebody is who has this name and password.
    ///
    /// # Errors
    /// When that is nobody who may.
    pub(super) async fn check(
        &self,
        broker: &BrokerHandle,
        name: &ShortStr,
        password: &[u8],
        from: &str,
        is_loopback: bool,
    ) -> Result<Principal, Failure> {
        let is_right = Session::log_in(broker, from, name, password).await;
        if !is_right.map_err(Refused::into_plain)? {
            return Err(Failure::not_authenticated());
        }
        let wanted = name.clone();
        let known = broker.look(move |broker| broker.user(&wanted).cloned()).await;
        self.principal(known.ok_or_else(Failure::not_authenticated)?, is_loopback)
    }

    /// Somebody who is this user, of whom it is known.
    ///
    /// # Errors
    /// When the user may not come from there.
    pub(super) fn principal(&self, user: User, is_loopback: bool) -> Result<Principal, Failure> {
        let User { name, tags, .. } = user;
        if !is_loopback && self.loopback_users.contains(&name) {
            return Err(Failure::not_authorised("User can only log in via localhost"));
        }
        Ok(Principal { name, tags, is_loopback, is_operator: false })
    }
}

/// The name and password of RFC 7617.
fn basic(authorization: &[u8]) -> Option<(ShortStr, Vec<u8>)> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = ShortStr::new(Bytes::copy_from_slice(&decoded[..colon]))?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_are_read() {
        let read = |text: &str| basic(text.as_bytes());
        let guest = ("guest".into(), b"guest".to_vec());
        assert_eq!(read("Basic Z3Vlc3Q6Z3Vlc3Q="), Some(guest.clone()));
        assert_eq!(read("basic Z3Vlc3Q6Z3Vlc3Q="), Some(guest));
        assert_eq!(read("Basic dTphOmI="), Some(("u".into(), b"a:b".to_vec())));
        for wrong in ["Basic Z3Vlc3Q=", "Basic ?", "Basic", "Bearer Z3Vlc3Q6Z3Vlc3Q=", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_may_do_what_the_tags_are_for() {
        let user = |tag: &str| Principal {
            name: "u".into(),
            tags: vec![tag.into()],
            is_loopback: true,
            is_operator: false,
        };
        let all = [Tag::Management, Tag::Policymaker, Tag::Monitoring, Tag::Administrator];
        for (tag, may) in [
            ("administrator", [true, true, true, true]),
            ("monitoring", [true, false, true, false]),
            ("policymaker", [true, true, false, false]),
            ("management", [true, false, false, false]),
            ("impersonator", [false; 4]),
        ] {
            assert_eq!(all.map(|wanted| user(tag).is(wanted)), may, "{tag}");
        }
    }
}
