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
mod local;
mod message;
mod openapi;
mod overview;
mod page;
mod parameter;
mod permission;
mod policy;
mod queue;
mod rates;
mod reading;
mod route;
mod routes;
mod session;
mod user;
mod vhost;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::Instant;

use tokio::task::spawn_local;
use tracing::error;
use warren_io::{BrokerHandle, Tls};

pub(crate) use auth::Users;
pub(crate) use local::{SOCKET, bind_local, unbind_local};
use rates::Rates;

/// The version of RabbitMQ whose API this is. Tools look at it to know what they may ask for.
pub(crate) const RABBITMQ_VERSION: &str = "4.3.5";

/// What of RabbitMQ's plugins is built in, and what it is.
pub(crate) const PLUGINS: [(&str, &str); 8] = [
    ("rabbitmq_auth_mechanism_ssl", "RabbitMQ SSL authentication (SASL EXTERNAL)"),
    ("rabbitmq_consistent_hash_exchange", "Consistent Hash Exchange Type"),
    ("rabbitmq_delayed_message_exchange", "RabbitMQ Delayed Message Exchange"),
    ("rabbitmq_management", "RabbitMQ Management Console"),
    ("rabbitmq_management_agent", "RabbitMQ Management Agent"),
    ("rabbitmq_message_deduplication", "RabbitMQ Message Deduplication Plugin"),
    ("rabbitmq_random_exchange", "RabbitMQ Random Exchange"),
    ("rabbitmq_recent_history_exchange", "RabbitMQ Recent History Exchange"),
];

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

/// Where the API is served.
pub(crate) enum Listener {
    /// Who connects here says who it is. TLS is spoken if there is what shakes hands with clients.
    Tcp(TcpListener, Option<Tls>),
    /// Who may open this may do everything.
    Local(UnixListener),
}

/// What all requests share.
struct State {
    broker: BrokerHandle,
    node: Node,
    started: Instant,
    users: Users,
    rates: Rates,
}

/// Serves the API for as long as the process lives.
///
/// # Errors
/// When the operating system refuses what it needs.
pub(crate) fn start(
    listeners: Vec<Listener>,
    broker: BrokerHandle,
    node: Node,
    users: Users,
) -> io::Result<()> {
    for listener in &listeners {
        match listener {
            Listener::Tcp(socket, _) => socket.set_nonblocking(true)?,
            Listener::Local(socket) => socket.set_nonblocking(true)?,
        }
    }
    let serve = move || {
        let served = warren_io::runtime().and_then(|runtime| {
            runtime.block_on(async {
                let (started, rates) = (Instant::now(), Rates::default());
                let state = Rc::new(State { broker, node, started, users, rates });
                for listener in listeners {
                    let state = Rc::clone(&state);
                    match listener {
                        Listener::Tcp(socket, tls) => {
                            let socket = tokio::net::TcpListener::from_std(socket)?;
                            spawn_local(http::serve(socket, tls, state));
                        }
                        Listener::Local(socket) => {
                            let socket = tokio::net::UnixListener::from_std(socket)?;
                            spawn_local(http::serve_local(socket, state));
                        }
                    }
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
