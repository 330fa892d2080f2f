//! Who makes a request, and what that person may do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use warren_core::User;

use super::call::Failure;

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
#[derive(Clone)]
pub(super) struct Principal {
    pub(super) name: String,
    /// What opens sessions in this name.
    pub(super) password: String,
    pub(super) tags: Vec<String>,
    /// Whether the request comes from this machine.
    pub(super) is_loopback: bool,
}

impl Principal {
    /// Whether what asks for this tag is for this user.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self, tag: Tag) -> Result<(), Failure> {
        let is_any = |wanted: &&str| self.tags.iter().any(|tag| tag == wanted);
        for tag in [Tag::Management, tag] {
            if !tag.any_of().iter().any(|wanted| is_any(&wanted)) {
                return Err(Failure::not_authorised(tag.refusal()));
            }
        }
        Ok(())
    }
}

/// Who may make requests.
pub(super) struct Users(Vec<User>);

impl Users {
    pub(super) fn new(users: Vec<User>) -> Self {
        Self(users)
    }

    /// Finds out who makes a request from its `Authorization`.
    ///
    /// # Errors
    /// When that is nobody who may.
    pub(super) fn log_in(
        &self,
        authorization: Option<&[u8]>,
        is_loopback: bool,
    ) -> Result<Principal, Failure> {
        let claim = authorization.and_then(basic).ok_or_else(Failure::not_authenticated)?;
        let (name, password) = claim;
        let known = self.0.iter().find(|known| known.name == name);
        let known = known.filter(|known| is_equal(&known.password, &password));
        let known = known.ok_or_else(Failure::not_authenticated)?;
        if !known.is_remote_allowed && !is_loopback {
            return Err(Failure::not_authorised("User can only log in via localhost"));
        }
        Ok(Principal { name, password, tags: vec!["administrator".to_owned()], is_loopback })
    }
}

/// The name and password of RFC 7617.
fn basic(authorization: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Takes the same time wherever the difference is.
fn is_equal(a: &str, b: &str) -> bool {
    let pairs = a.bytes().zip(b.bytes());
    a.len() == b.len() && pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_in(authorization: &str, is_loopback: bool) -> Result<Principal, Failure> {
        let users = Users::new(warren_core::Config::default().users);
        users.log_in(Some(authorization.as_bytes()), is_loopback)
    }

    #[test]
    fn the_right_name_and_password_log_in() {
        assert_eq!(log_in("Basic Z3Vlc3Q6Z3Vlc3Q=", true).expect("is guest").name, "guest");
        for wrong in ["Basic Z3Vlc3Q6d3Jvbmc=", "Basic Z3Vlc3Q=", "Basic ?", "Bearer x", ""] {
            assert!(log_in(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn guest_enters_from_this_machine_only() {
        let refused = log_in("Basic Z3Vlc3Q6Z3Vlc3Q=", false).err().expect("is far away");
        assert_eq!(refused.reason, "User can only log in via localhost");
    }

    #[test]
    fn a_user_may_do_what_the_tags_are_for() {
        let user = |tag: &str| Principal {
            name: "u".into(),
            password: String::new(),
            tags: vec![tag.into()],
            is_loopback: true,
        };
        let all = [Tag::Management, Tag::Policymaker, Tag::Monitoring, Tag::Administrator];
        for (tag, may) in [
            ("administrator", [true, true, true, true]),
            ("monitoring", [true, false, true, false]),
            ("policymaker", [true, true, false, false]),
            ("management", [true, false, false, false]),
            ("impersonator", [false; 4]),
        ] {
            assert_eq!(all.map(|wanted| user(tag).check(wanted).is_ok()), may, "{tag}");
        }
    }
}
