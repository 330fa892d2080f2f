//! What a route is, and how a path finds its own.
//!
//! A path is cut into segments before escapes are undone, and a segment only ever stands for a
//! literal or a parameter of the table: no path leads anywhere else.

use std::future::Future;
use std::pin::Pin;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::auth::Tag;
use super::call::{Answer, Call};

/// What carries a request out.
pub(super) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer>>>;

/// The most bytes that come with a request, unless its operation says otherwise.
const BODY_LEN_MAX: usize = 1 << 20;

/// Paths of one form, and what may be done there.
pub(super) struct Route {
    /// Segments in braces are parameters.
    pub(super) path: &'static str,
    pub(super) operations: &'static [Operation],
}

/// What may be done at a path.
pub(super) struct Operation {
    pub(super) method: Method,
    /// What it takes.
    pub(super) tag: Tag,
    /// One line, for people.
    pub(super) summary: &'static str,
    pub(super) body_len_max: usize,
    pub(super) run: Handler,
}

impl Operation {
    const fn new(method: Method, tag: Tag, summary: &'static str, run: Handler) -> Self {
        Self { method, tag, summary, body_len_max: BODY_LEN_MAX, run }
    }

    /// With more in its body than others may have.
    pub(super) const fn with_body_of(mut self, body_len_max: usize) -> Self {
        self.body_len_max = body_len_max;
        self
    }
}

pub(super) const fn get(tag: Tag, summary: &'static str, run: Handler) -> Operation {
    Operation::new(Method::GET, tag, summary, run)
}

pub(super) const fn put(tag: Tag, summary: &'static str, run: Handler) -> Operation {
    Operation::new(Method::PUT, tag, summary, run)
}

pub(super) const fn post(tag: Tag, summary: &'static str, run: Handler) -> Operation {
    Operation::new(Method::POST, tag, summary, run)
}

pub(super) const fn delete(tag: Tag, summary: &'static str, run: Handler) -> Operation {
    Operation::new(Method::DELETE, tag, summary, run)
}

impl Route {
    /// The values of its parameters in a path, if the path is of its form.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let mut params = Vec::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            let (wanted, given) = match (wanted.next(), given.next()) {
                (None, None) => return Some(params),
                (Some(wanted), Some(given)) => (wanted, given),
                _ => return None,
            };
            let given = percent_decode_str(given).decode_utf8().ok()?;
            match parameter(wanted) {
                // The default exchange has the empty name.
                Some(name) if given.is_empty() && name != "exchange" => return None,
                Some(name) => params.push((name, given.into_owned())),
                None if wanted == given => {}
                None => return None,
            }
        }
    }

    /// What may be done with this method. Who may read may also ask for less.
    pub(super) fn operation(&self, method: &Method) -> Option<&'static Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|operation| operation.method == *method)
    }

    /// The methods, as `Allow` has them.
    pub(super) fn allow(&self) -> String {
        let mut methods = vec!["HEAD"];
        methods.extend(self.operations.iter().map(|operation| operation.method.as_str()));
        methods.push("OPTIONS");
        methods.join(", ")
    }
}

/// The name of a parameter, if a segment of a route is one.
pub(super) fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Route = Route { path: "/api/queues/{vhost}/{queue}", operations: &[] };

    #[test]
    fn a_segment_may_hold_a_slash_that_is_escaped() {
        let params = ROUTE.matches("/api/queues/%2F/a%2Fb%20c").expect("is of its form");
        assert_eq!(params, [("vhost", "/".to_owned()), ("queue", "a/b c".to_owned())]);
    }

    #[test]
    fn a_path_of_another_form_is_none_of_its_own() {
        for path in [
            "/api/queues/%2F",
            "/api/queues/%2F/",
            "/api/queues//q",
            "/api/queues/%2F/q/",
            "/api/../queues/q",
            "/api/exchanges/%2F/q",
            "/api/queues/%2F/%ff",
        ] {
            assert_eq!(ROUTE.matches(path), None, "{path}");
        }
        const PUBLISH: Route =
            Route { path: "/api/exchanges/{vhost}/{exchange}/publish", operations: &[] };
        let default = PUBLISH.matches("/api/exchanges/%2F//publish").expect("is of its form");
        assert_eq!(default[1], ("exchange", String::new()));
        let up = ROUTE.matches("/api/queues/../..").expect("two names like others");
        assert_eq!(up, [("vhost", "..".to_owned()), ("queue", "..".to_owned())]);
    }
}
