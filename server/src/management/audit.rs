//! The audit trail: a record of the log for each change that somebody asks for over HTTP, or is
//! refused: who, from where, what, and what came of it. Never what was sent, as that may be secret.
//!
//! What clients do over AMQP is not administration: they declare, bind and delete what they work
//! with, within their permissions.

use hyper::Method;
use tracing::{debug, info, warn};

use super::call::{Answer, Failure, Reply};
use super::route::{Operation, Route, parameter};

/// What stands for a parameter that is not to be shown.
const HIDDEN: &str = "***";

/// Something that is asked for.
pub(super) struct Entry {
    peer: String,
    user: String,
    action: String,
    /// Why, as who asks says.
    reason: Option<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reading,
    /// Messages come and go, as by any client.
    Messages,
    Administration,
}

impl Entry {
    /// What this user asks for from there.
    pub(super) fn new(
        peer: &impl ToString,
        user: &impl ToString,
        (route, operation): (&Route, &Operation),
        params: &[(&'static str, String)],
        reason: Option<&str>,
    ) -> Self {
        // Who asks what would be changes nothing.
        let is_question = route.path.ends_with("/route") || route.path.contains("-preview/");
        let is_of_messages = ["/get", "/publish"].iter().any(|end| route.path.ends_with(end));
        Self {
            peer: peer.to_string(),
            user: user.to_string(),
            action: format!("{} {}", operation.method, shown(route, params)),
            reason: reason.map(str::to_owned),
            kind: match operation.method {
                Method::GET => Kind::Reading,
                _ if is_question => Kind::Reading,
                _ if is_of_messages => Kind::Messages,
                _ => Kind::Administration,
            },
        }
    }

    /// Notes what came of it.
    pub(super) fn close(self, answer: &Answer) {
        let Self { peer, user, action, reason, kind } = self;
        let reason = reason.as_deref();
        match (kind, answer) {
            (Kind::Reading, _) => {}
            (Kind::Messages, _) => debug!(peer, user, action, reason, "messages"),
            (Kind::Administration, Ok(reply)) => {
                info!(peer, user, action, reason, result = result(reply), "audit");
            }
            (Kind::Administration, Err(Failure { status, reason: error, .. })) => {
                let result = status.as_u16();
                warn!(peer, user, action, reason, result, error, "audit");
            }
        }
    }
}

fn result(reply: &Reply) -> u16 {
    match reply {
        Reply::Json(_) | Reply::Encoded(_) | Reply::Pieces(_) | Reply::Bytes(_) => 200,
        Reply::Created(_) => 201,
        Reply::Done => 204,
        Reply::Status(status, _) => status.as_u16(),
    }
}

/// The path of a request, without what is secret in it.
pub(super) fn shown(route: &Route, params: &[(&'static str, String)]) -> String {
    let mut values = params.iter();
    let segment = |own: &'static str| match parameter(own) {
        None => own.to_owned(),
        Some("password") => {
            values.next();
            HIDDEN.to_owned()
        }
        Some(_) => {
            let value = values.next().map(|(_, value)| value.as_str()).unwrap_or_default();
            value.replace('/', "%2F")
        }
    };
    let segments: Vec<_> = route.path.split('/').map(segment).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_without_what_is_secret() {
        let route = Route { path: "/api/queues/{vhost}/{queue}", operations: &[] };
        let params = [("vhost", "/".to_owned()), ("queue", "q".to_owned())];
        assert_eq!(shown(&route, &params), "/api/queues/%2F/q");
        let route = Route { path: "/api/auth/hash_password/{password}", operations: &[] };
        let params = [("password", "hunter2".to_owned())];
        assert_eq!(shown(&route, &params), "/api/auth/hash_password/***");
    }
}
