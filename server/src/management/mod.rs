//! The management API: HTTP with RabbitMQ's paths, fields and status codes.
//!
//! It lives on a thread of its own, and comes to the broker through a
//! [`BrokerHandle`] only: what is read is read in pages between two inputs of the broker, so that
//! however much there is to list, nobody's messages wait for it; what is changed in the world of
//! queues and exchanges is changed in a session of AMQP in the name of who asks ([`session`]), and
//! everything else by commands of the broker. What takes time (JSON, sorting, rates) is done here.
//!
//! [`routes`] is the table of all there is: requests find their way by it, the OpenAPI description
//! is made of it, and so is the test that nobody gets in who may not.

mod auth;
mod binding;
mod call;
mod connection;
mod definitions;
mod exchange;
mod health;
mod http;
mod intervention;
mod json;
mod limit;
mod message;
mod names;
mod openapi;
mod overview;
mod page;
mod parameter;
mod permission;
mod policy;
mod queue;
mod rates;
pub(crate) mod reading;
mod route;
mod routes;
mod session;
mod user;
mod vhost;

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::Instant;

use tracing::error;
use warren_io::BrokerHandle;

pub(crate) use auth::Users;
pub(crate) use call::Query;
use names::QueueNames;
use rates::Rates;

use crate::health::Lifecycle;
use crate::http::Listener;

/// The version of RabbitMQ whose API this is. Tools look at it to know what they may ask for.
pub(crate) const RABBITMQ_VERSION: &str = "4.3.5";

/// What this node is.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    /// How many bytes messages may take in memory.
    pub(crate) memory_max: u64,
    /// With less free space on the disk than this many bytes, publishers wait.
    pub(crate) disk_free_min: u64,
    /// Where clients connect, this API's among them: `amqp://127.0.0.1:5672`.
    pub(crate) urls: Vec<String>,
}

/// What all requests share.
struct State {
    broker: BrokerHandle,
    lifecycle: Lifecycle,
    node: Node,
    started: Instant,
    users: Users,
    rates: Rates,
    names: QueueNames,
}

/// Serves the API for as long as the process lives.
///
/// # Errors
/// When the operating system refuses what it needs.
pub(crate) fn start(
    listeners: Vec<Listener>,
    broker: BrokerHandle,
    lifecycle: Lifecycle,
    node: Node,
    users: Users,
) -> io::Result<()> {
    let serve = move || {
        let served = warren_io::runtime().and_then(|runtime| {
            runtime.block_on(async {
                let (started, rates) = (Instant::now(), Rates::default());
                let names = QueueNames::default();
                let state = State { broker, lifecycle, node, started, users, rates, names };
                let state = Rc::new(state);
                for listener in listeners {
                    let state = Rc::clone(&state);
                    listener.serve(move |peer, request| {
                        http::respond(Rc::clone(&state), peer, request)
                    })?;
                }
                rates::sample(state).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            error!(%error, "the management API cannot be served");
        }
    };
    thread::Builder::new().name("management".into()).spawn(serve).map(drop)
}
