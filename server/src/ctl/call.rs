//! A command that was asked for: its arguments, and the way to the broker.

use std::cell::RefCell;
use std::io;
use std::io::Write;
use std::time::Duration;

use clap::ArgMatches;
use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{self, Asked, Response};
use super::failure::Failure;
use super::output::{Format, Options};
use super::target::Target;

/// What stands for itself in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// See the [module](self).
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) options: Options,
    pub(super) target: Target,
    given: ArgMatches,
    /// What the node is called, once it was asked.
    node: RefCell<Option<String>>,
}

impl Call {
    /// A command, and what was given with it.
    ///
    /// # Errors
    /// When what says where the broker is cannot be read.
    pub(super) fn new(name: &'static str, given: &ArgMatches) -> Result<Self, Failure> {
        let flag = |name| given.get_flag(name);
        let options = Options {
            format: given.get_one("formatter").copied().unwrap_or(Format::Table),
            is_quiet: flag("quiet") || flag("silent"),
            is_silent: flag("silent"),
            has_headers: !(flag("silent") || flag("no-table-headers")),
            timeout: given.get_one("timeout").map(|seconds| Duration::from_secs(*seconds)),
        };
        let (target, given) = (Target::of(given)?, given.clone());
        Ok(Self { name, options, target, given, node: RefCell::new(None) })
    }

    /// An argument that must be there, or else nothing.
    pub(super) fn arg(&self, name: &str) -> &str {
        self.maybe(name).unwrap_or_default()
    }

    /// An argument or option, if it is there.
    pub(super) fn maybe(&self, name: &str) -> Option<&str> {
        self.given.get_one::<String>(name).map(String::as_str)
    }

    /// All arguments of this name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.given.get_many::<String>(name).into_iter().flatten().map(String::as_str).collect()
    }

    /// Whether this option is there.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.given.get_flag(name)
    }

    /// The value of an option, if it is there.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.given.get_one(name).copied()
    }

    /// The virtual host.
    pub(super) fn vhost(&self) -> &str {
        self.maybe("in-vhost").unwrap_or("/")
    }

    /// Says what is being done, to people.
    pub(super) fn banner(&self, text: impl std::fmt::Display) {
        if !self.options.is_quiet && !self.options.format.is_for_machines() {
            // Whoever asked may not read it.
            let _ = writeln!(io::stdout(), "{text}");
        }
    }

    /// Reads a password from standard input.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn read_password(&self, prompt: &str) -> Result<String, Failure> {
        self.banner(prompt);
        let mut line = String::new();
        match io::stdin().read_line(&mut line) {
            Ok(len) if len > 0 => Ok(line.trim().to_owned()),
            _ => Err(Failure::software("Password is not provided via argument or stdin")),
        }
    }

    /// What the node is called.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn node(&self) -> Result<String, Failure> {
        if let Some(known) = &*self.node.borrow() {
            return Ok(known.clone());
        }
        let overview = self.get(&["overview"]).await?;
        let name = overview["node"].as_str().unwrap_or_default().to_owned();
        *self.node.borrow_mut() = Some(name.clone());
        Ok(name)
    }

    /// What the node is taken to be called before it was asked.
    pub(super) fn expected_node(&self) -> String {
        let known = self.node.borrow().clone();
        known.or_else(|| self.maybe("node").map(str::to_owned)).unwrap_or_else(|| {
            match &self.target {
                Target::Local { node, .. } => node.clone(),
                Target::Remote(remote) => remote.host.clone(),
            }
        })
    }

    /// What there is at a path.
    ///
    /// # Errors
    /// When there is nothing, or the user may not know.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.get_at(&joined(path)).await
    }

    /// The same of a path with a query behind it.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub(super) async fn get_at(&self, path: &str) -> Result<Value, Failure> {
        self.settled(self.send(Asked::new(Method::GET, path)).await?).map(|found| found.json())
    }

    /// The same; `None` if there is nothing.
    ///
    /// # Errors
    /// When the user may not know.
    pub(super) async fn find(&self, path: &[&str]) -> Result<Option<Value>, Failure> {
        self.find_at(&joined(path)).await
    }

    /// The same of a path with a query behind it.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub(super) async fn find_at(&self, path: &str) -> Result<Option<Value>, Failure> {
        let found = self.send(Asked::new(Method::GET, path)).await?;
        if found.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.settled(found).map(|found| Some(found.json()))
    }

    /// Makes or changes what is at a path.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn put(&self, path: &[&str], body: &Value) -> Result<(), Failure> {
        self.tell(Method::PUT, path, body.to_string().into_bytes()).await
    }

    /// Sends something to a path.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(super) async fn post(&self, path: &[&str], body: Vec<u8>) -> Result<(), Failure> {
        self.tell(Method::POST, path, body).await
    }

    /// Deletes what is at a path. Whether there was something.
    ///
    /// # Errors
    /// Why it is not deleted.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<bool, Failure> {
        self.delete_for(&joined(path), None).await
    }

    /// The same of a path with a query behind it, for a reason.
    ///
    /// # Errors
    /// As for [`Self::delete`].
    pub(super) async fn delete_for(
        &self,
        path: &str,
        reason: Option<&str>,
    ) -> Result<bool, Failure> {
        let response = self.send(Asked { reason, ..Asked::new(Method::DELETE, path) }).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.settled(response).map(|_| true)
    }

    async fn tell(&self, method: Method, path: &[&str], body: Vec<u8>) -> Result<(), Failure> {
        let path = joined(path);
        let asked = Asked { body: body.into(), ..Asked::new(method, &path) };
        self.settled(self.send(asked).await?).map(drop)
    }

    /// Sends a request; whatever comes of it is an answer.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn send(&self, asked: Asked<'_>) -> Result<Response, Failure> {
        let response = client::send(&self.target, asked).await;
        response.map_err(|error| self.unreachable(&error))
    }

    /// The answer, if that is what was asked for.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn settled(&self, response: Response) -> Result<Response, Failure> {
        if response.status.is_success() {
            return Ok(response);
        }
        let told = response.json();
        let reason = told["reason"].as_str().or(told["error"].as_str()).unwrap_or_default();
        let reason = reason.replace("&lt;", "<").replace("&gt;", ">");
        Err(match response.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if reason == "Not_Authorized" => {
                Failure::no_permission("Not_Authorized: wrong user or password")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::no_permission(reason),
            StatusCode::NOT_FOUND if reason == "Not Found" => Failure::data("Not found"),
            _ if reason.is_empty() => Failure::unavailable(response.status),
            _ => Failure::unavailable(reason),
        })
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let node = self.expected_node();
        let (place, advice) = match &self.target {
            Target::Local { socket, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                return Failure::no_permission(format!(
                    "{} is for root and for the user that the broker runs as only",
                    socket.display()
                ));
            }
            Target::Local { socket, .. } => (
                socket.display().to_string(),
                "the broker is elsewhere: --data-dir, --config and --socket say where, --url leads \
                 to its management API",
            ),
            Target::Remote(remote) => (
                format!("{}:{}", remote.host, remote.port),
                "its management API is off, or has another address or port",
            ),
        };
        Failure::unreachable(format!(
            "Error: unable to perform an operation on node '{node}'. Please see diagnostics \
             information and suggestions below.\n\nMost common reasons for this are:\n\n \
             * Target node is not running\n * {advice}\n\n\
             DIAGNOSTICS\n===========\n\n{place}: {error}"
        ))
    }
}

/// A path of these segments.
pub(super) fn joined(path: &[&str]) -> String {
    let mut joined = "/api".to_owned();
    for segment in path {
        joined.push('/');
        joined.extend(utf8_percent_encode(segment, PLAIN));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_a_path_are_escaped() {
        assert_eq!(joined(&["queues", "/", "a b/ü"]), "/api/queues/%2F/a%20b%2F%C3%BC");
    }
}
