//! Requests and answers: who is let in, how much a request may bring, and the form of answers.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

use super::State;
use super::audit;
use super::auth::Principal;
use super::call::{Answer, Call, Failure, Object, Query, Reply};
use super::{routes, sign_in};
use crate::http::{Answer as Answered, Body, Client};
use crate::page::{self, session};

/// How long the body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the broker may take to carry a request out.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Answers a request.
pub(super) async fn respond(
    state: Rc<State>,
    peer: Client,
    request: Request<Incoming>,
) -> Answered {
    let path = request.uri().path().to_owned();
    if let Some(answer) = state.lifecycle.answer(request.method(), &path).await {
        return answer;
    }
    if let Some(asset) = page::asset(request.method(), &path, request.headers()) {
        return asset;
    }
    if path == sign_in::PATH {
        return sign_in_or_out(&state, peer, request).await;
    }
    let Some((route, params)) = routes::find(&path) else {
        return failed(&Failure::no_object());
    };
    let method = request.method().clone();
    let allow = |mut response: Response<_>| {
        let methods = HeaderValue::from_str(&route.allow()).expect("names of methods");
        response.headers_mut().insert(header::ALLOW, methods);
        response
    };
    if method == Method::OPTIONS {
        return allow(response(StatusCode::OK, None));
    }
    let Some(operation) = route.operation(&method) else {
        return allow(response(StatusCode::METHOD_NOT_ALLOWED, None));
    };
    let user = match who(&state, peer, request.headers()).await {
        Ok(user) => user,
        Err(failure) => {
            if request.headers().contains_key(header::AUTHORIZATION) {
                let path = audit::shown(route, &params);
                warn!(%peer, path, reason = failure.reason, "HTTP access denied");
            }
            let is_of_page = session::is_marked(request.headers());
            return if is_of_page { refused(&failure) } else { failed(&failure) };
        }
    };
    if let Err(failure) = user.check(operation.tag) {
        let path = audit::shown(route, &params);
        warn!(%peer, path, user = %user.name, reason = failure.reason, "HTTP access denied");
        return failed(&failure);
    }
    let reason = request.headers().get("x-reason").and_then(|value| value.to_str().ok());
    let reason = reason.map(str::to_owned);
    let query = Query::new(request.uri().query().unwrap_or_default());
    let body = match read(request, operation.body_len_max).await {
        Ok(body) => body,
        Err(failure) => return failed(&failure),
    };
    let asked = (route, operation);
    let entry = audit::Entry::new(&peer, &user.name, asked, &params, reason.as_deref());
    let is_reading = operation.method == Method::GET;
    let call = Call { state, user, params, query, body, is_reading, reason };
    let answer = match timeout(ANSWER_TIMEOUT, (operation.run)(call)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::unavailable("the broker took too long to answer")),
    };
    entry.close(&answer);
    write(answer)
}

/// Finds out who makes a request: by a name and a password, by a session, or as one who runs the
/// broker.
async fn who(state: &State, peer: Client, headers: &HeaderMap) -> Result<Principal, Failure> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let secret = session::secret(headers);
    match (peer, authorization, secret) {
        (Client::Local, None, _) => Ok(Principal::operator()),
        (_, None, Some(_)) if !session::is_of_page(headers) => Err(Failure::of_another_site()),
        (_, None, Some(secret)) => sign_in::principal(state, peer, &secret).await,
        _ => {
            let (from, is_loopback) = peer.whence();
            state.users.log_in(&state.broker, authorization, &from, is_loopback).await
        }
    }
}

async fn sign_in_or_out(state: &Rc<State>, peer: Client, request: Request<Incoming>) -> Answered {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let body = read(request, sign_in::BODY_LEN_MAX).await;
    let object = body.and_then(|body| Object::read(&body));
    match sign_in::respond(state, peer, &method, &headers, object).await {
        Ok(sign_in::Outcome { reply, cookie }) => {
            let mut answer = write(Ok(reply));
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
            answer
        }
        Err(failure) => refused(&failure),
    }
}

/// Reads the body of a request.
async fn read(request: Request<Incoming>, len_max: usize) -> Result<Bytes, Failure> {
    let body = Limited::new(request.into_body(), len_max).collect();
    match timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Failure::bad_request("Exceeded HTTP request body size limit"))
        }
        Ok(Err(_)) => Err(Failure::bad_request("the request's body ends before its time")),
        Err(_) => Err(Failure::bad_request("the request's body takes too long")),
    }
}

fn write(answer: Answer) -> Answered {
    match answer {
        Ok(Reply::Json(value)) => response(StatusCode::OK, Some(&value)),
        Ok(Reply::Encoded(json)) => encoded_response(StatusCode::OK, Some(json)),
        Ok(Reply::Pieces(pieces)) => body_response(StatusCode::OK, Some(Body::Pieces(pieces))),
        Ok(Reply::Bytes(bytes)) => {
            let mut sent = encoded_response(StatusCode::OK, Some(bytes));
            let kind = HeaderValue::from_static("application/octet-stream");
            sent.headers_mut().insert(header::CONTENT_TYPE, kind);
            sent
        }
        Ok(Reply::Status(status, value)) => response(status, Some(&value)),
        Ok(Reply::Done) => response(StatusCode::NO_CONTENT, None),
        Ok(Reply::Created(location)) => {
            let mut created = response(StatusCode::CREATED, None);
            let location = location.and_then(|at| HeaderValue::from_str(&at).ok());
            if let Some(location) = location {
                created.headers_mut().insert(header::LOCATION, location);
            }
            created
        }
        Err(failure) => failed(&failure),
    }
}

/// The same for the page, which asks for a name and a password itself.
fn refused(failure: &Failure) -> Answered {
    response(failure.status, Some(&failure.body()))
}

fn failed(failure: &Failure) -> Answered {
    let mut response = refused(failure);
    if failure.status == StatusCode::UNAUTHORIZED && failure.error == "not_authorized" {
        let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    }
    response
}

fn response(status: StatusCode, body: Option<&Value>) -> Answered {
    let encoded = body.map(|value| serde_json::to_vec(value).expect("a value is JSON"));
    encoded_response(status, encoded)
}

fn encoded_response(status: StatusCode, json: Option<Vec<u8>>) -> Answered {
    let body = json.map(|json| Body::from(Bytes::from(json)));
    body_response(status, body)
}

/// An answer with this body of JSON, or with none.
fn body_response(status: StatusCode, body: Option<Body>) -> Answered {
    let is_any = body.is_some();
    let mut response = Response::new(body.unwrap_or_else(|| Bytes::new().into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if is_any {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
