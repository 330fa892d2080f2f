//! Who has signed in by a browser.
//!
//! A session is known by what only the browser has that it was made for: 32 bytes from the
//! operating system, in a cookie that scripts cannot read and that no request carries which another
//! site caused. It is always made here and never taken over, so that nobody can have another sign
//! in to a session that is known already. What is kept here is a hash of them.
//!
//! A session says who somebody is and nothing else: what that user may do is found out with each
//! request. It ends when it was not used for some time, when it is as old as it may be, when the
//! user signs out, is deleted or has another password, and with the process. There is a bounded
//! number of them, for each user and together; of too many that goes which was used the longest
//! time ago.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use warren_core::amqp::ShortStr;
use warren_core::broker::{PasswordHash, User};

/// How many sessions there are at the most, and of one user.
const SESSIONS_MAX: usize = 1000;
const SESSIONS_OF_USER_MAX: usize = 50;

/// How long a session may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimes {
    /// Since the user signed in.
    pub(crate) age_max: Duration,
    /// Since it was used.
    pub(crate) idle_max: Duration,
}

impl Default for SessionTimes {
    fn default() -> Self {
        let (age_max, idle_max) = (Duration::from_secs(8 * 3600), Duration::from_secs(3600));
        Self { age_max, idle_max }
    }
}

/// What a session is known by here.
type Id = [u8; 32];

struct Session {
    user: ShortStr,
    /// The hash of the password that the user signed in with.
    password_hash: PasswordHash,
    began: Instant,
    used: Instant,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Sessions {
    times: SessionTimes,
    open: RefCell<HashMap<Id, Session>>,
}

impl Sessions {
    pub(crate) fn new(times: SessionTimes) -> Self {
        Self { times, open: RefCell::default() }
    }

    /// Makes a session of this user, and gives what it is known by.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub(crate) fn open(&self, user: &User, now: Instant) -> io::Result<String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let mut open = self.open.borrow_mut();
        open.retain(|_, session| self.is_good(session, now));
        let of_user = |session: &Session| session.user == user.name;
        drop_oldest(&mut open, SESSIONS_OF_USER_MAX, of_user);
        drop_oldest(&mut open, SESSIONS_MAX, |_| true);
        let (user, password_hash) = (user.name.clone(), user.password_hash.clone());
        open.insert(id(&secret), Session { user, password_hash, began: now, used: now });
        Ok(secret)
    }

    /// The user of a session, if there is one that is known by this, which is used now.
    pub(crate) fn user(&self, secret: &str, now: Instant) -> Option<ShortStr> {
        let mut open = self.open.borrow_mut();
        let session = open.get_mut(&id(secret)).filter(|session| self.is_good(session, now))?;
        session.used = now;
        Some(session.user.clone())
    }

    /// Whether a session is of this user as the user is now. If not, it ends.
    pub(crate) fn is_of(&self, secret: &str, user: Option<&User>) -> bool {
        let mut open = self.open.borrow_mut();
        let is_same = |session: &Session| {
            user.is_some_and(|user| {
                session.user == user.name && session.password_hash == user.password_hash
            })
        };
        let id = id(secret);
        let is_same = open.get(&id).is_some_and(is_same);
        if !is_same {
            open.remove(&id);
        }
        is_same
    }

    /// Ends a session, if there is one.
    pub(crate) fn end(&self, secret: &str) {
        self.open.borrow_mut().remove(&id(secret));
    }

    fn is_good(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.began) < self.times.age_max
            && now.saturating_duration_since(session.used) < self.times.idle_max
    }
}

/// Makes room for another one of these, where there may be so many.
fn drop_oldest(open: &mut HashMap<Id, Session>, max: usize, is_one: impl Fn(&Session) -> bool) {
    while open.values().filter(|session| is_one(session)).count() >= max {
        let these = open.iter().filter(|(_, session)| is_one(session));
        let Some((id, _)) = these.min_by_key(|(_, session)| session.used) else { return };
        let id = *id;
        open.remove(&id);
    }
}

fn id(secret: &str) -> Id {
    Sha256::digest(secret.as_bytes()).into()
}

/// A header that the page sends with each request. A page of another site cannot: browsers ask
/// here first whether it may, and nobody says yes.
const MARK: HeaderName = HeaderName::from_static("x-warren-request");

/// Whether a request says that it is the page's.
pub(crate) fn is_marked(headers: &HeaderMap) -> bool {
    headers.contains_key(&MARK)
}

/// Whether a request is the page's, and no other site had a browser make it: it has the page's
/// mark, and what the browser says of its origin agrees.
pub(crate) fn is_of_page(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_same_origin = match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        // Browsers tell this where they do not trust the connection, and not when they only read.
        None => text(header::ORIGIN).is_none_or(|origin| {
            let (_, authority) = origin.split_once("://").unwrap_or_default();
            text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority))
        }),
    };
    is_marked(headers) && is_same_origin
}

/// What the cookie is called. Cookies do not know ports, so brokers of one machine need names of
/// their own.
fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (_, port) = host.rsplit_once(':').unwrap_or_default();
    match !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("warren_session_{port}"),
        false => "warren_session".to_owned(),
    }
}

/// What a request says its session is known by.
pub(crate) fn secret(headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(headers);
    let given = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = given.flat_map(|all| all.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// What has a browser keep what a session is known by; nothing ends that. It is sent back to where
/// it came from, by what the person does there, and over TLS only if it came that way.
pub(crate) fn cookie(headers: &HeaderMap, secret: &str, is_secure: bool) -> HeaderValue {
    let name = cookie_name(headers);
    let end = if secret.is_empty() { "; Max-Age=0" } else { "" };
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{end}");
    HeaderValue::from_str(&text).expect("letters and digits")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_core::broker::{HashAlgorithm, UserLimits};

    use super::*;

    fn user(name: &str, hash: &'static [u8]) -> User {
        let (algorithm, bytes) = (HashAlgorithm::Sha256, Bytes::from_static(hash));
        User {
            name: ShortStr::truncated(name.as_bytes()),
            password_hash: PasswordHash { algorithm, bytes },
            tags: Vec::new(),
            limits: UserLimits::default(),
        }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn a_session_is_known_by_what_cannot_be_guessed_and_by_nothing_else() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let open = || sessions.open(&user("a", b"x"), now).expect("there is randomness");
        let (first, second) = (open(), open());
        assert!(first.len() == 43 && first != second);
        for wrong in ["", "x", &first[1..], &format!("{first} ")] {
            assert_eq!(sessions.user(wrong, now), None, "{wrong}");
        }
        assert_eq!(sessions.user(&first, now), Some("a".into()));
        sessions.end(&first);
        assert_eq!(sessions.user(&first, now), None);
        assert_eq!(sessions.user(&second, now), Some("a".into()));
    }

    #[test]
    fn a_session_ends_unused_or_old() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let secret = sessions.open(&user("a", b"x"), now).expect("there is randomness");
        for hour in 0..9 {
            let expected = (hour < 8).then(|| "a".into());
            assert_eq!(sessions.user(&secret, now + minutes(60 * hour)), expected, "{hour}");
            assert_eq!(sessions.user(&secret, now + minutes(60 * hour + 59)), expected, "{hour}");
        }
        let secret = sessions.open(&user("a", b"x"), now).expect("there is randomness");
        assert_eq!(sessions.user(&secret, now + minutes(60)), None);
    }

    #[test]
    fn a_session_ends_with_its_user_and_with_the_password() {
        let now = Instant::now();
        for other in [None, Some(user("a", b"y")), Some(user("b", b"x"))] {
            let sessions = Sessions::default();
            let secret = sessions.open(&user("a", b"x"), now).expect("there is randomness");
            assert!(sessions.is_of(&secret, Some(&user("a", b"x"))));
            assert!(!sessions.is_of(&secret, other.as_ref()));
            assert_eq!(sessions.user(&secret, now), None);
        }
    }

    #[test]
    fn of_too_many_sessions_those_go_that_were_not_used_lately() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |second: usize| now + Duration::from_secs(second as u64);
        let open = |name: &str, second| sessions.open(&user(name, b"x"), at(second));
        let other = open("b", 0).expect("there is randomness");
        let first = open("a", 1).expect("there is randomness");
        let second = open("a", 2).expect("there is randomness");
        assert!(sessions.user(&first, at(3)).is_some());
        for number in 0..SESSIONS_OF_USER_MAX - 1 {
            open("a", 4 + number).expect("there is randomness");
        }
        assert!(sessions.user(&first, at(60)).is_some() && sessions.user(&other, at(60)).is_some());
        assert_eq!(sessions.user(&second, at(60)), None);
        for number in 0..SESSIONS_MAX {
            open(&number.to_string(), 100).expect("there is randomness");
        }
        assert_eq!(sessions.open.borrow().len(), SESSIONS_MAX);
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn a_request_that_another_site_caused_is_not_the_pages() {
        let (mark, host) = (("x-warren-request", "1"), ("host", "broker:15672"));
        let own = ("origin", "http://broker:15672");
        for (pairs, expected) in [
            (&[mark, host][..], true),
            (&[mark, host, own], true),
            (&[mark, host, ("sec-fetch-site", "same-origin")], true),
            (&[host, own], false),
            (&[host, ("sec-fetch-site", "same-origin")], false),
            (&[mark, host, ("sec-fetch-site", "same-site"), own], false),
            (&[mark, host, ("sec-fetch-site", "cross-site")], false),
            (&[mark, host, ("sec-fetch-site", "none")], false),
            (&[mark, host, ("origin", "http://broker:8080")], false),
            (&[mark, host, ("origin", "http://evil.example")], false),
            (&[mark, host, ("origin", "null")], false),
            (&[mark, own], false),
        ] {
            assert_eq!(is_of_page(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_and_those_of_other_brokers() {
        let text = "a=b; warren_session_8=x;warren_session_15672=secret; warren_session=y";
        let given = |host| headers(&[("host", host), ("cookie", text)]);
        assert_eq!(secret(&given("h:15672")).as_deref(), Some("secret"));
        assert_eq!(secret(&given("h")).as_deref(), Some("y"));
        assert_eq!(secret(&given("[::1]:8")).as_deref(), Some("x"));
        assert_eq!(secret(&given("h:9")), None);
        let kept = cookie(&given("h:8"), "s", true);
        let expected = "warren_session_8=s; Path=/; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(kept.to_str().expect("is text"), expected);
        assert!(cookie(&given("h"), "", false).to_str().expect("is text").ends_with("Max-Age=0"));
    }
}
