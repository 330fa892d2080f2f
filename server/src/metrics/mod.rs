//! Metrics for Prometheus, under RabbitMQ's names and some of our own, and what tells of health.
//!
//! They are served on a thread of their own: neither a long listing of the management API nor a
//! scrape of all queues keeps those waiting who ask whether the broker is alive. What is asked of
//! the broker's thread for `/metrics` costs the same whatever there is, as the broker counts as it
//! goes; what has a line for each object is read in pages.
//!
//! No password is asked for, unless the configuration says so: who may connect may read.

mod aggregated;
mod exposition;
mod node;
mod own;
mod per_object;

use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use std::{future, io};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;
use tracing::error;
use warren_io::{BrokerHandle, DiskMeter};

use crate::health::Lifecycle;
use crate::http::{self, Answer, Client, Listener};
use crate::management::Users;
use exposition::{CONTENT_TYPE, Exposition};
use per_object::Wanted;

/// How long a scrape may take.
const PATIENCE: Duration = Duration::from_secs(60);

const PLAIN: &str = "text/plain; charset=utf-8";

/// What begins the names of RabbitMQ's metrics: all but those of `/metrics/detailed`, those, and
/// those of them that are the cluster's.
const RABBITMQ: &str = "rabbitmq_";
const DETAILED: &str = "rabbitmq_detailed_";
const CLUSTER: &str = "rabbitmq_cluster_";
const OWN: &str = "warren_";

/// What is told of this node, besides what its broker knows.
pub(crate) struct Source {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) disk: DiskMeter,
    pub(crate) node_name: String,
    pub(crate) data_dir: PathBuf,
    /// Where metrics are, `/metrics`.
    pub(crate) path: String,
    /// Whether there they have a line for each object.
    pub(crate) is_per_object: bool,
    /// Who may see them, if not everybody.
    pub(crate) users: Option<Users>,
    /// When the process began.
    pub(crate) started: Instant,
}

/// Serves metrics for as long as the process lives.
///
/// # Errors
/// When the operating system refuses what it needs.
pub(crate) fn start(listeners: Vec<Listener>, source: Source) -> io::Result<()> {
    let serve = move || {
        let served = warren_io::runtime().and_then(|runtime| {
            runtime.block_on(async {
                let source = Rc::new(source);
                for listener in listeners {
                    let source = Rc::clone(&source);
                    listener
                        .serve(move |peer, request| respond(Rc::clone(&source), peer, request))?;
                }
                future::pending::<io::Result<()>>().await
            })
        });
        if let Err(error) = served {
            error!(%error, "metrics cannot be served");
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(serve).map(drop)
}

async fn respond(source: Rc<Source>, peer: Client, request: Request<Incoming>) -> Answer {
    let (method, path) = (request.method(), request.uri().path());
    if let Some(answer) = source.lifecycle.answer(method, path).await {
        return answer;
    }
    let wanted = path.strip_prefix(&*source.path).and_then(|rest| {
        let query = request.uri().query().unwrap_or_default();
        Endpoint::new(rest, query, source.is_per_object)
    });
    let Some(wanted) = wanted else {
        let text = format!("There is nothing here. Metrics are at {}.\n", source.path);
        return http::text(StatusCode::NOT_FOUND, PLAIN, text);
    };
    if method != Method::GET && method != Method::HEAD {
        return http::text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET only\n".into());
    }
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return http::text(StatusCode::BAD_REQUEST, PLAIN, error),
    };
    let Some(broker) = source.lifecycle.broker() else {
        return http::text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "starting\n".into());
    };
    if let Some(users) = &source.users {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map(HeaderValue::as_bytes);
        let (from, is_loopback) = peer.whence();
        if !users.may_monitor(broker, authorization, &from, is_loopback).await {
            return refusal();
        }
    }
    match timeout(PATIENCE, wanted.text(&source, broker)).await {
        Ok(text) => http::text(StatusCode::OK, CONTENT_TYPE, text),
        Err(_) => http::text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "stuck\n".into()),
    }
}

/// Who asks may not see this.
fn refusal() -> Answer {
    let mut answer = http::text(StatusCode::UNAUTHORIZED, PLAIN, "not authorized\n".into());
    let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Prometheus\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    answer
}

/// What can be asked for.
enum Endpoint {
    /// Sums.
    Aggregated,
    /// A line for each object.
    PerObject,
    /// The same of some families, and some virtual hosts and queues.
    Detailed(Wanted),
    /// What takes memory.
    MemoryBreakdown,
}

impl Endpoint {
    /// What stands behind the path of metrics; `None` if that is nothing, and an error if what is
    /// asked for makes no sense.
    fn new(rest: &str, query: &str, is_per_object: bool) -> Option<Result<Self, String>> {
        Some(Ok(match rest.trim_end_matches('/') {
            "" if is_per_object => Self::PerObject,
            "" => Self::Aggregated,
            "/per-object" => Self::PerObject,
            "/detailed" => return Some(Wanted::new(query).map(Self::Detailed)),
            "/memory-breakdown" => Self::MemoryBreakdown,
            _ => return None,
        }))
    }

    /// What RabbitMQ calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Aggregated => "aggregated",
            Self::PerObject => "per-object",
            Self::Detailed(_) => "detailed",
            Self::MemoryBreakdown => "memory-breakdown",
        }
    }

    async fn text(&self, source: &Source, broker: &BrokerHandle) -> String {
        let metrics = broker.look(|broker| broker.metrics()).await;
        let mut out = Exposition::new(RABBITMQ);
        match self {
            Self::Aggregated => {
                aggregated::of_clients(&metrics, &mut out);
                aggregated::of_objects(&metrics, broker.all_octets().await, &mut out);
                node::add(source, &metrics, &mut out);
                out.set_prefix(OWN);
                own::add(source, &metrics, &mut out);
            }
            Self::PerObject => {
                aggregated::of_clients(&metrics, &mut out);
                node::add(source, &metrics, &mut out);
                per_object::add(broker, &Wanted::everything(), &mut out).await;
                out.set_prefix(OWN);
                own::add(source, &metrics, &mut out);
            }
            Self::Detailed(wanted) => {
                out.set_prefix(DETAILED);
                if wanted.has("connection_churn_metrics") {
                    aggregated::churn(&metrics.traffic, &mut out);
                }
                if wanted.has("auth_attempt_metrics") {
                    aggregated::logins(&metrics.traffic, &mut out);
                }
                node::add_wanted(source, &metrics, wanted, &mut out);
                per_object::add(broker, wanted, &mut out).await;
            }
            Self::MemoryBreakdown => node::memory(&metrics, &mut out),
        }
        out.set_prefix(RABBITMQ);
        node::identity(source, broker, self.name(), &mut out).await;
        out.into_text()
    }
}
