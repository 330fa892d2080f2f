//! Signing in to a session and out of it, as browsers do, and who makes a request that comes with
//! one. What a session is, and how it ends, is in [`crate::page::session`].

use std::rc::Rc;
use std::time::Instant;

use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode};
use serde_json::json;
use tracing::{info, warn};
use warren_core::amqp::ShortStr;

use super::State;
use super::auth::{Principal, Tag};
use super::call::{Failure, Object, Reply, short};
use crate::http::Client;
use crate::page::session;

/// Where this is done.
pub(super) const PATH: &str = "/session";

/// The most bytes of a name and a password.
pub(super) const BODY_LEN_MAX: usize = 16 << 10;

/// What a request for [`PATH`] comes to.
pub(super) struct Outcome {
    pub(super) reply: Reply,
    /// The cookie that the browser keeps from now on.
    pub(super) cookie: header::HeaderValue,
}

/// Signs somebody in, or out.
///
/// # Errors
/// When the request is not the page's, or there is no user who may.
pub(super) async fn respond(
    state: &Rc<State>,
    peer: Client,
    method: &Method,
    headers: &HeaderMap,
    object: Result<Object, Failure>,
) -> Result<Outcome, Failure> {
    if !session::is_of_page(headers) {
        return Err(Failure::of_another_site());
    }
    let before = session::secret(headers);
    let is_secure = peer.is_secure() || is_secure_outside(headers);
    match *method {
        Method::POST => {
            let object = object?;
            let (name, password) = (short(object.text("name")?)?, object.text("password")?);
            let secret = sign_in(state, peer, &name, password.as_bytes()).await?;
            // Who signs in has done with what this browser was signed in to.
            if let Some(before) = before {
                state.sessions.end(&before);
            }
            let who = principal(state, peer, &secret).await?;
            let reply = Reply::Json(json!({ "name": who.name.to_text(), "tags": who.tags() }));
            Ok(Outcome { reply, cookie: session::cookie(headers, &secret, is_secure) })
        }
        Method::DELETE => {
            if let Some(before) = before {
                state.sessions.end(&before);
            }
            let cookie = session::cookie(headers, "", is_secure);
            Ok(Outcome { reply: Reply::Done, cookie })
        }
        _ => {
            let (error, status) = ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED);
            Err(Failure { status, error, ..Failure::bad_request("POST signs in, DELETE out") })
        }
    }
}

/// Makes a session, and gives what it is known by.
async fn sign_in(
    state: &State,
    peer: Client,
    name: &ShortStr,
    password: &[u8],
) -> Result<String, Failure> {
    let (from, is_loopback) = peer.whence();
    let wanted = name.clone();
    // As the user was before the password was held against it: should it change meanwhile, the
    // session ends with its first use.
    let user = state.broker.look(move |broker| broker.user(&wanted).cloned()).await;
    let logged_in = state.users.check(&state.broker, name, password, &from, is_loopback).await;
    let may = logged_in.and_then(|principal| {
        principal.check(Tag::Management)?;
        user.ok_or_else(Failure::not_authenticated)
    });
    match may {
        Ok(user) => {
            info!(%peer, user = %name, "signed in to the management page");
            let secret = state.sessions.open(&user, Instant::now());
            secret.map_err(|error| Failure::unavailable(error.to_string()))
        }
        Err(failure) => {
            warn!(%peer, user = %name, reason = failure.reason, "HTTP access denied");
            Err(failure)
        }
    }
}

/// Who makes a request with this session.
///
/// # Errors
/// When there is no such session, or not any more.
pub(super) async fn principal(
    state: &State,
    peer: Client,
    secret: &str,
) -> Result<Principal, Failure> {
    let name = state.sessions.user(secret, Instant::now());
    let name = name.ok_or_else(Failure::not_authenticated)?;
    let wanted = name.clone();
    let user = state.broker.look(move |broker| broker.user(&wanted).cloned()).await;
    if !state.sessions.is_of(secret, user.as_ref()) {
        return Err(Failure::not_authenticated());
    }
    let user = user.ok_or_else(Failure::not_authenticated)?;
    state.users.principal(user, peer.whence().1)
}

/// Whether the browser came over TLS, which something between here and there may have ended.
fn is_secure_outside(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}
