//! The management page: its files, which are in the binary, and how browsers sign in ([`session`]).
//!
//! The page itself is in `server/page/`, and works with the management API like any other client.
//! What it is built of is made there and listed in `dist/assets.in`; nothing is read from disk
//! here, and nothing is run that did not come with the binary: see [`POLICY`].

pub(crate) mod session;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};

use crate::http::Answer;

/// A file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    /// What tells these bytes from others, in quotes.
    tag: &'static str,
    plain: &'static [u8],
    /// The same in gzip.
    packed: &'static [u8],
}

/// All of them. But for the first, whose path is always the same, their names tell what is in them.
const ASSETS: &[Asset] = include!("../../page/dist/assets.in");

/// Where the page begins.
const INDEX: &str = "/index.html";

/// What browsers let the page do: to run and show what comes from here, and to ask here. There is
/// no script in the page's text, no text is ever taken for HTML, and nobody may have it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What else browsers are told of everything from here.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The file that is asked for, if one of the page's is.
pub(crate) fn asset(method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer> {
    let path = if path == "/" { INDEX } else { path };
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    if method != Method::GET && method != Method::HEAD {
        let mut refused = secured(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refused);
    }
    let is_known = |known: &HeaderValue| {
        let tags = known.to_str().unwrap_or_default().split(',');
        tags.map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == asset.tag)
    };
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(is_known);
    let is_packed = takes_gzip(headers);
    let (status, body) = match (is_known, is_packed) {
        (true, _) => (StatusCode::NOT_MODIFIED, &[][..]),
        (false, true) => (StatusCode::OK, asset.packed),
        (false, false) => (StatusCode::OK, asset.plain),
    };
    let mut answer = secured(status, Bytes::from_static(body));
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static(asset.tag));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // A name never stands for other bytes; only where the page begins there may be another.
    let keep = if path == INDEX { "no-cache" } else { "public, max-age=31536000, immutable" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if !is_known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Some(answer)
}

fn secured(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Whether who asks takes gzip (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = given.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight != Some(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, pairs: &[(HeaderName, &'static str)]) -> Answer {
        let pairs = pairs.iter().cloned();
        let headers = pairs.map(|(name, value)| (name, HeaderValue::from_static(value)));
        asset(&Method::GET, path, &headers.collect()).expect("is a file of the page")
    }

    fn of<'a>(answer: &'a Answer, name: &HeaderName) -> &'a str {
        answer.headers().get(name).map_or("", |value| value.to_str().expect("is text"))
    }

    #[test]
    fn every_file_of_the_page_is_served_with_its_type_and_no_other_is() {
        for one in ASSETS {
            let answer = asked(one.path, &[]);
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(of(&answer, &header::CONTENT_TYPE), one.kind);
            assert!(one.packed.len() < one.plain.len() + 40 && !one.plain.is_empty());
        }
        for path in ["", "/assets", "/assets/", "/assets/../index.html", "//", "/index.htm"] {
            assert!(asset(&Method::GET, path, &HeaderMap::new()).is_none(), "{path}");
        }
        let posted = asset(&Method::POST, "/", &HeaderMap::new()).expect("is known");
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn what_a_name_stands_for_is_kept_for_ever_and_where_it_begins_is_asked_for_anew() {
        assert_eq!(of(&asked("/", &[]), &header::CACHE_CONTROL), "no-cache");
        let script = ASSETS.iter().find(|one| one.path.ends_with(".js")).expect("there is one");
        assert!(of(&asked(script.path, &[]), &header::CACHE_CONTROL).ends_with("immutable"));
        let again = asked("/", &[(header::IF_NONE_MATCH, ASSETS.last().expect("one").tag)]);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = asked("/", &[(header::IF_NONE_MATCH, "\"other\"")]);
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (given, expected) in [
            ("gzip, deflate, br", "gzip"),
            ("br;q=1.0, GZIP;q=0.5", "gzip"),
            ("gzip;q=0", ""),
            ("identity", ""),
        ] {
            let answer = asked("/", &[(header::ACCEPT_ENCODING, given)]);
            assert_eq!(of(&answer, &header::CONTENT_ENCODING), expected, "{given}");
        }
        assert_eq!(of(&asked("/", &[]), &header::CONTENT_ENCODING), "");
    }

    #[test]
    fn nothing_in_the_page_runs_but_what_came_with_the_binary() {
        let index = ASSETS.iter().find(|one| one.path == INDEX).expect("there is one");
        let text = std::str::from_utf8(index.plain).expect("is text");
        assert!(
            !text.contains("<style") && !text.contains(" on") && !text.contains("//"),
            "{text}"
        );
        for script in text.split("<script").skip(1) {
            assert!(
                script.contains(" src=\"/assets/") && script.contains("></script>"),
                "{script}"
            );
        }
        let answer = asked("/", &[]);
        for (name, value) in HEADERS {
            assert_eq!(of(&answer, &name), value);
        }
    }
}
