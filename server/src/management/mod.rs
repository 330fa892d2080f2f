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

mod audit;
mod auth;
mod binding;
mod call;
mod configuration;
mod connection;
mod course;
mod definitions;
mod exchange;
mod export;
mod health;
mod history;
mod http;
mod intervention;
mod json;
mod limit;
mod local;
mod log;
mod message;
mod moving;
mod names;
mod openapi;
mod overview;
mod page;
mod parameter;
mod permission;
mod pieces;
mod policy;
mod queue;
mod rates;
pub(crate) mod reading;
mod recording;
mod rights;
mod route;
mod routes;
mod session;
mod sign_in;
mod topology;
mod user;
mod vhost;
mod vhost_beginning;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tracing::{error, info};
use warren_io::{BrokerHandle, DiskMeter};

pub(crate) use auth::Users;
pub(crate) use call::Query;
use history::Histories;
pub(crate) use local::{SOCKET, bind_local, unbind_local};
use names::QueueNames;
use rates::Rates;
pub(crate) use rates::as_of_queues;

use crate::config::{InForce, Machine};
use crate::definitions::{Definitions, unusable};
use crate::health::Lifecycle;
use crate::http::Listener;
use crate::logging::Logs;
use crate::page::session::{SessionTimes, Sessions};
use crate::recordings::Recordings;
use crate::restart::Restart;
use crate::tls::Expiries;
use crate::vhost_defaults::VhostDefaults;

/// The version of RabbitMQ whose API this is. Tools look at it to know what they may ask for.
pub(crate) const RABBITMQ_VERSION: &str = "4.3.5";

/// What of RabbitMQ's plugins is built in, and what it is.
pub(crate) const PLUGINS: [(&str, &str); 9] = [
    ("rabbitmq_auth_mechanism_ssl", "RabbitMQ SSL authentication (SASL EXTERNAL)"),
    ("rabbitmq_consistent_hash_exchange", "Consistent Hash Exchange Type"),
    ("rabbitmq_delayed_message_exchange", "RabbitMQ Delayed Message Exchange"),
    ("rabbitmq_management", "RabbitMQ Management Console"),
    ("rabbitmq_management_agent", "RabbitMQ Management Agent"),
    ("rabbitmq_message_deduplication", "RabbitMQ Message Deduplication Plugin"),
    ("rabbitmq_prometheus", "Prometheus metrics exporter for RabbitMQ"),
    ("rabbitmq_random_exchange", "RabbitMQ Random Exchange"),
    ("rabbitmq_recent_history_exchange", "RabbitMQ Recent History Exchange"),
];

/// What this node is.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    /// What the machine has.
    pub(crate) machine: Machine,
    /// Where clients connect, this API's among them: `amqp://127.0.0.1:5672`.
    pub(crate) urls: Vec<String>,
    /// What is recorded of what goes into the broker, and where.
    pub(crate) recordings: Recordings,
    /// Has the broker start anew.
    pub(crate) restart: Restart,
    /// Measures the disk.
    pub(crate) disk: DiskMeter,
    /// What it logs.
    pub(crate) logs: Logs,
    /// The files of configuration that its start read.
    pub(crate) config_files: Vec<PathBuf>,
    /// The configuration that it goes by.
    pub(crate) in_force: InForce,
    /// When its certificates run out.
    pub(crate) expiries: Expiries,
    /// How long who signs in by a browser is signed in.
    pub(crate) session_times: SessionTimes,
    /// What new virtual hosts have from their beginning.
    pub(crate) vhost_defaults: Arc<VhostDefaults>,
}

/// What all requests share.
struct State {
    broker: BrokerHandle,
    lifecycle: Lifecycle,
    node: Node,
    started: Instant,
    users: Users,
    sessions: Sessions,
    rates: Rates,
    histories: Histories,
    names: QueueNames,
    /// How many moves of messages were begun.
    moves: Cell<u64>,
}

impl State {
    fn new(broker: BrokerHandle, lifecycle: Lifecycle, node: Node, users: Users) -> Self {
        let (started, rates) = (Instant::now(), Rates::default());
        let (histories, names) = (Histories::default(), QueueNames::default());
        let sessions = Sessions::new(node.session_times);
        let moves = Cell::new(0);
        Self { broker, lifecycle, node, started, users, sessions, rates, histories, names, moves }
    }
}

/// Does what is to be done before there are clients: adds to the virtual hosts that the start made
/// what new ones have, and imports definitions, unless they are those that were imported last and
/// that is enough.
///
/// # Errors
/// Which file cannot be imported, and why. What came before it is there.
pub(crate) async fn prepare(
    broker: BrokerHandle,
    node: Node,
    users: Users,
    definitions: Option<Definitions>,
) -> Result<(), String> {
    let state = State::new(broker, Lifecycle::default(), node, users);
    for vhost in state.broker.look(|broker| broker.made_vhosts().to_vec()).await {
        vhost_beginning::begin(&state, &vhost).await.map_err(|failure| failure.reason)?;
    }
    match definitions {
        Some(definitions) => import(&state, definitions).await,
        None => Ok(()),
    }
}

async fn import(state: &State, definitions: Definitions) -> Result<(), String> {
    if definitions.skip_if_unchanged && parameter::imported(state).await == definitions.digest {
        info!("the definitions are those that were imported last");
        return Ok(());
    }
    for (file, object) in definitions.files {
        let imported = definitions::import_all(state, &call::Object(object)).await;
        imported.map_err(|error| unusable(&file, &error))?;
        info!(file = %file.display(), "definitions imported");
    }
    let kept = parameter::set_imported(state, &definitions.digest).await;
    kept.map_err(|failure| failure.reason)
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
                let state = Rc::new(State::new(broker, lifecycle, node, users));
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
