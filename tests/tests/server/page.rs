//! The management page as a browser gets it, and its sessions as those see them who mean no good:
//! no cookie, another's, one that was made up, requests of other sites, and users who are gone.

use std::thread;
use std::time::Duration;

use serde_json::json;
use warren_tests::broker::Broker;
use warren_tests::setup::Setup;

use crate::management::{GUEST, Response, request};

/// What the page sends with each request. The other requests are of a `Host: x`.
const PAGE: &str = "x-warren-request: 1\r\n";

fn managed() -> Broker {
    Setup::new().managed().start()
}

fn sign_in(broker: &Broker, name: &str, password: &str, headers: &str) -> Response {
    let body = json!({ "name": name, "password": password }).to_string();
    request(broker, "POST", "/session", &format!("{PAGE}{headers}"), &body)
}

/// A header of an answer.
fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let mut lines = response.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Signs in, and gives the header that comes with all requests from then on.
fn session(broker: &Broker, name: &str, password: &str) -> String {
    let signed_in = sign_in(broker, name, password, "");
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    cookie_of(&signed_in)
}

/// The head of an answer is in small letters; so the cookie is found where letters are kept.
fn cookie_of(response: &Response) -> String {
    let kept = &response.cookie;
    let (pair, rest) = kept.split_once("; ").expect("has attributes");
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict");
    format!("Cookie: {pair}\r\n")
}

fn who(broker: &Broker, headers: &str) -> Response {
    request(broker, "GET", "/api/whoami", headers, "")
}

fn make_user(broker: &Broker, name: &str, password: &str, tags: &str) {
    let body = json!({ "password": password, "tags": tags }).to_string();
    let made = request(broker, "PUT", &format!("/api/users/{name}"), GUEST, &body);
    assert!(matches!(made.status, 201 | 204), "{made:?}");
}

#[test]
fn the_page_and_its_parts_come_from_the_broker_with_what_keeps_them_safe() {
    let broker = managed();
    let page = request(&broker, "GET", "/", "", "");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    let policy = header(&page, "content-security-policy").expect("there is one");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.split("; ").any(|own| own == part), "{part}: {policy}");
    }
    assert_eq!(header(&page, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
    let parts: Vec<_> = page.body.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert!(parts.len() >= 3, "{page:?}");
    for path in parts {
        let part = request(&broker, "GET", path, "", "");
        assert_eq!(part.status, 200, "{path}");
        assert!(header(&part, "cache-control").expect("is told").contains("immutable"));
        let tag = header(&part, "etag").expect("is told");
        let again = request(&broker, "GET", path, &format!("If-None-Match: {tag}\r\n"), "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let packed = request(&broker, "GET", path, "Accept-Encoding: gzip\r\n", "");
        assert_eq!(header(&packed, "content-encoding"), Some("gzip"), "{path}");
    }
    assert_eq!(request(&broker, "GET", "/assets/../Cargo.toml", "", "").status, 404);
}

#[test]
fn who_signs_in_is_known_by_the_cookie_until_signing_out() {
    let broker = managed();
    let cookie = session(&broker, "guest", "guest");
    let headers = format!("{PAGE}{cookie}");
    let me = who(&broker, &headers);
    assert_eq!((me.status, &me.json()["name"]), (200, &json!("guest")), "{me:?}");
    assert_eq!(request(&broker, "PUT", "/api/queues/%2F/q", &headers, "{}").status, 201);
    assert_eq!(request(&broker, "DELETE", "/session", &headers, "").status, 204);
    let after = who(&broker, &headers);
    assert_eq!((after.status, &after.json()["error"]), (401, &json!("not_authorized")));
}

#[test]
fn without_a_session_of_ones_own_nothing_is_told_and_the_browser_asks_for_no_password() {
    let broker = managed();
    let cookie = session(&broker, "guest", "guest");
    let (name, secret) = cookie.trim_end().split_once('=').expect("is a pair");
    let mut other = secret.to_owned();
    other.replace_range(..1, if secret.starts_with('a') { "b" } else { "a" });
    for cookie in [
        String::new(),
        format!("{name}=\r\n"),
        format!("{name}={other}\r\n"),
        format!("{name}={}\r\n", &secret[1..]),
        "Cookie: other=1\r\n".to_owned(),
    ] {
        let refused = who(&broker, &format!("{PAGE}{cookie}"));
        assert_eq!(refused.status, 401, "{cookie}: {refused:?}");
        assert_eq!(header(&refused, "www-authenticate"), None, "{cookie}");
    }
    assert!(header(&who(&broker, ""), "www-authenticate").is_some(), "others are asked for one");
}

#[test]
fn a_request_that_another_site_had_the_browser_make_is_refused() {
    let broker = managed();
    let cookie = session(&broker, "guest", "guest");
    for headers in [
        String::new(),
        "Origin: http://x\r\n".to_owned(),
        "Content-Type: text/plain\r\n".to_owned(),
        format!("{PAGE}Origin: http://evil.example\r\n"),
        format!("{PAGE}Origin: null\r\n"),
        format!("{PAGE}Sec-Fetch-Site: cross-site\r\n"),
        format!("{PAGE}Sec-Fetch-Site: same-site\r\n"),
    ] {
        for (method, path) in [
            ("GET", "/api/overview"),
            ("PUT", "/api/queues/%2F/q"),
            ("POST", "/api/exchanges/%2F/amq.default/publish"),
            ("DELETE", "/api/users/guest"),
            ("POST", "/session"),
            ("DELETE", "/session"),
        ] {
            let refused = request(&broker, method, path, &format!("{cookie}{headers}"), "{}");
            assert_eq!(refused.status, 403, "{method} {path} {headers}: {refused:?}");
            assert_eq!(header(&refused, "access-control-allow-origin"), None);
        }
    }
    // Whoever asks before asking is told of methods, and not that any site may.
    let asked =
        request(&broker, "OPTIONS", "/api/queues/%2F/q", "Origin: http://evil.example\r\n", "");
    assert!(!asked.head.contains("access-control-allow"), "{asked:?}");
    let own = format!("{PAGE}{cookie}Origin: http://x\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(who(&broker, &own).status, 200);
}

#[test]
fn a_session_that_was_not_used_for_long_is_over() {
    let broker = Setup::new().managed().variable("WARREN_LOGIN_IDLE_TIMEOUT", "1500").start();
    let headers = format!("{PAGE}{}", session(&broker, "guest", "guest"));
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(500));
        assert_eq!(who(&broker, &headers).status, 200, "it is used");
    }
    thread::sleep(Duration::from_millis(2000));
    assert_eq!(who(&broker, &headers).status, 401);
}

#[test]
fn a_session_ends_when_its_user_is_deleted_or_has_another_password() {
    let broker = managed();
    make_user(&broker, "alice", "one", "administrator");
    let headers = format!("{PAGE}{}", session(&broker, "alice", "one"));
    assert_eq!(who(&broker, &headers).status, 200);
    make_user(&broker, "alice", "two", "administrator");
    assert_eq!(who(&broker, &headers).status, 401, "has another password");
    let headers = format!("{PAGE}{}", session(&broker, "alice", "two"));
    assert_eq!(request(&broker, "DELETE", "/api/users/alice", GUEST, "").status, 204);
    assert_eq!(who(&broker, &headers).status, 401, "is gone");
    make_user(&broker, "alice", "two", "administrator");
    assert_eq!(who(&broker, &headers).status, 401, "another of the same name");
}

#[test]
fn what_a_session_may_do_follows_the_tags_as_they_are_now() {
    let broker = managed();
    let hash = request(&broker, "GET", "/api/auth/hash_password/one", GUEST, "").json();
    let set = |tags: &str| {
        let body = json!({ "password_hash": hash["ok"], "tags": tags }).to_string();
        let made = request(&broker, "PUT", "/api/users/alice", GUEST, &body);
        assert!(matches!(made.status, 201 | 204), "{made:?}");
    };
    set("administrator");
    let headers = format!("{PAGE}{}", session(&broker, "alice", "one"));
    assert_eq!(request(&broker, "GET", "/api/users", &headers, "").status, 200);
    set("management");
    let refused = request(&broker, "GET", "/api/users", &headers, "");
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("not_authorised")));
    assert_eq!(who(&broker, &headers).status, 200);
    set("");
    assert_eq!(who(&broker, &headers).status, 401);
    let refused = sign_in(&broker, "alice", "one", "");
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("not_authorised")));
}

#[test]
fn nobody_can_have_another_sign_in_to_a_session_that_is_known_already() {
    let broker = managed();
    let known = session(&broker, "guest", "guest");
    make_user(&broker, "alice", "one", "management");
    let made_up = format!("{}=chosen\r\n", known.split_once('=').expect("is a pair").0);
    for planted in [&known, &made_up] {
        let own = cookie_of(&sign_in(&broker, "alice", "one", planted));
        assert_ne!(own, *planted);
        assert_eq!(who(&broker, &format!("{PAGE}{planted}")).status, 401, "{planted}");
        assert_eq!(who(&broker, &format!("{PAGE}{own}")).json()["name"], "alice");
    }
}

#[test]
fn a_wrong_password_is_no_session_and_is_told_without_a_word_more() {
    let broker = managed();
    for (name, password) in [("guest", "wrong"), ("nobody", "guest"), ("", "")] {
        let refused = sign_in(&broker, name, password, "");
        assert_eq!((refused.status, refused.cookie.as_str()), (401, ""), "{refused:?}");
        assert_eq!(refused.json()["reason"], "Not_Authorized");
        assert_eq!(header(&refused, "www-authenticate"), None);
    }
    for body in ["", "[]", "{\"name\": 1}", "{\"name\": \"guest\"}"] {
        assert_eq!(request(&broker, "POST", "/session", PAGE, body).status, 400, "{body}");
    }
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(20 << 10));
    assert_eq!(request(&broker, "POST", "/session", PAGE, &large).status, 400);
    assert_eq!(request(&broker, "GET", "/session", PAGE, "").status, 405);
}
