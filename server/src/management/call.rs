//! A request that was let in, and what it is answered with.

use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use warren_core::amqp::ShortStr;

use super::auth::{Principal, Tag};
use super::{State, reading};
use crate::http::Pieces;

/// What a request is answered with, if all is well.
#[derive(Debug)]
pub(super) enum Reply {
    /// 200 with this.
    Json(Value),
    /// 200 with this, which is JSON.
    Encoded(Vec<u8>),
    /// 200 with these, which are JSON all together.
    Pieces(Pieces),
    /// 200 with this, which is no JSON.
    Bytes(Vec<u8>),
    /// 201; and where it is, if that was not the request's to say.
    Created(Option<String>),
    /// 204: it is done.
    Done,
    /// A status of its own, with this.
    Status(StatusCode, Value),
}

/// Why a request was not carried out, in RabbitMQ's words.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) reason: String,
}

impl Failure {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        Self { status, error, reason: reason.into() }
    }

    /// What was asked for cannot be.
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// There is no such object.
    pub(super) fn no_object() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// Something that the request rests on is missing.
    pub(super) fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", reason)
    }

    /// The user may not do this.
    pub(super) fn not_authorised(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// The user is not known, or the password wrong.
    pub(super) fn not_authenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", "Not_Authorized")
    }

    /// The request is one that another site had a browser make, or might be.
    pub(super) fn of_another_site() -> Self {
        let reason = "this is for the management page of this broker, with its header \
                      x-warren-request; use the header Authorization";
        Self::new(StatusCode::FORBIDDEN, "of_another_site", reason)
    }

    /// The broker cannot do this now.
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason)
    }

    /// As JSON.
    pub(super) fn body(&self) -> Value {
        json!({ "error": self.error, "reason": self.reason })
    }
}

/// What comes of a request.
pub(super) type Answer = Result<Reply, Failure>;

/// A request of somebody who may make it.
pub(super) struct Call {
    pub(super) state: Rc<State>,
    pub(super) user: Principal,
    /// What stands in the path for its parameters, in their order.
    pub(super) params: Vec<(&'static str, String)>,
    pub(super) query: Query,
    pub(super) body: Bytes,
    pub(super) is_reading: bool,
    /// Why, as its header `X-Reason` says.
    pub(super) reason: Option<String>,
}

impl Call {
    /// What stands in the path for a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The same as a name of the broker's; the default exchange has one here.
    pub(super) fn name(&self, name: &str) -> Result<ShortStr, Failure> {
        let text = self.param(name).unwrap_or_default();
        let is_exchange = matches!(name, "exchange" | "source" | "destination");
        short(if is_exchange && text == "amq.default" { "" } else { text })
    }

    /// The virtual host that the path names, if it is there and the user may enter it; who may see
    /// everything need not to read.
    ///
    /// # Errors
    /// When it is not, or the user may not.
    pub(super) async fn vhost(&self) -> Result<ShortStr, Failure> {
        let name = self.name("vhost")?;
        let vhosts = reading::vhosts(&self.state.broker).await;
        if !vhosts.iter().any(|known| known.vhost.name == name) {
            return Err(Failure::no_object());
        }
        let may_see = self.is_reading && self.user.is(Tag::Monitoring);
        if may_see || self.may_enter(&name).await {
            return Ok(name);
        }
        Err(Failure::not_authorised("User not authorised to access virtual host"))
    }

    /// The virtual hosts that a listing is of: the one that the path names, or all that the user
    /// may see.
    ///
    /// # Errors
    /// When the path names one that is not there, or that the user may not see.
    pub(super) async fn vhosts(&self) -> Result<Vec<ShortStr>, Failure> {
        if self.param("vhost").is_some() {
            return Ok(vec![self.vhost().await?]);
        }
        let all = reading::vhosts(&self.state.broker).await.into_iter();
        let names: Vec<_> = all.map(|status| status.vhost.name).collect();
        if self.user.is(Tag::Monitoring) {
            return Ok(names);
        }
        let mut visible = Vec::new();
        for name in names {
            if self.may_enter(&name).await {
                visible.push(name);
            }
        }
        Ok(visible)
    }

    async fn may_enter(&self, vhost: &ShortStr) -> bool {
        if self.user.is(Tag::Administrator) {
            return true;
        }
        let wanted = (vhost.clone(), self.user.name.clone());
        let look = move |broker: &warren_core::Broker| {
            broker.permissions_of(&wanted.0, &wanted.1).0.is_some()
        };
        self.state.broker.look(look).await
    }

    /// The object that was sent; nothing stands for an empty one.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn object(&self) -> Result<Object, Failure> {
        Object::read(&self.body)
    }
}

/// An object that a client sent. Some clients write numbers and booleans as texts.
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    /// Reads one; nothing stands for an empty one.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        if matches!(body, b"" | b"null" | b"undefined") {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(Value::String(_)) => Err(Failure::bad_request(
                "invalid payload: the request body JSON-decoded to a string. Is the input \
                 doubly-JSON-encoded?",
            )),
            _ => Err(Failure::bad_request("not_json")),
        }
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn required(&self, key: &str) -> Result<&Value, Failure> {
        let missing = || Failure::bad_request(format!("[{{key_missing,{key}}}]"));
        self.get(key).ok_or_else(missing)
    }

    /// A value, if there is any.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not, or no text.
    pub(super) fn text(&self, key: &str) -> Result<&str, Failure> {
        let text = self.required(key)?.as_str();
        text.ok_or_else(|| Failure::bad_request(format!("{key} must be a string")))
    }

    /// A text, or what stands for none.
    ///
    /// # Errors
    /// When it is no text.
    pub(super) fn text_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str, Failure> {
        if self.get(key).is_some() { self.text(key) } else { Ok(default) }
    }

    /// A boolean, or what stands for none.
    ///
    /// # Errors
    /// When it is no boolean.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Failure> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(Failure::bad_request(format!("{key} is not a boolean: {other}"))),
        }
    }

    /// An integer, or what stands for none.
    ///
    /// # Errors
    /// When it is no integer.
    pub(super) fn integer(&self, key: &str, default: i64) -> Result<i64, Failure> {
        let value = match self.get(key) {
            None => return Ok(default),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
        };
        value.ok_or_else(|| Failure::bad_request(format!("{key} is not an integer")))
    }
}

/// What stands behind the path.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it; what is not UTF-8 is replaced.
    pub(crate) fn new(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }

    /// The first value of this key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// All values of this key.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// Whether this key says so.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }
}

/// A name of the broker's.
///
/// # Errors
/// When it is too long.
pub(super) fn short(text: &str) -> Result<ShortStr, Failure> {
    let name = ShortStr::new(Bytes::copy_from_slice(text.as_bytes()));
    name.ok_or_else(|| Failure::bad_request("a name is longer than 255 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_its_escapes() {
        let query = Query::new("name=a%2Fb+c&sort_reverse=true&x&y=%ff");
        assert_eq!(query.get("name"), Some("a/b c"));
        assert!(query.is_set("sort_reverse"));
        assert_eq!((query.get("x"), query.get("z")), (Some(""), None));
        assert_eq!(query.get("y"), Some("\u{fffd}"));
    }

    #[test]
    fn numbers_and_booleans_may_be_written_as_texts() {
        let Value::Object(map) = json!({ "d": "true", "n": "7", "e": null, "l": [] }) else {
            unreachable!("it is one")
        };
        let object = Object(map);
        assert!(object.flag("d", false).expect("a flag"));
        assert_eq!(object.integer("n", 0).expect("a number"), 7);
        assert!(object.flag("e", true).expect("none"));
        assert!(object.flag("l", true).is_err());
        let missing = object.required("pattern").expect_err("is missing");
        assert_eq!(missing.reason, "[{key_missing,pattern}]");
    }
}
