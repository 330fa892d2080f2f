//! Whether the broker is alive, and whether clients can be sent to it: for those who watch over
//! processes. They need no password for it, and are told a word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::time::timeout;
use warren_io::BrokerHandle;

use crate::http::{self, Answer};

/// Whether the broker's thread does anything.
const LIVE: &str = "/health/live";

/// Whether clients can connect.
const READY: &str = "/health/ready";

/// How long the broker's thread may take to give a sign of life. Its turns take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the broker's life is. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifecycle(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// There once it has recovered.
    broker: OnceLock<BrokerHandle>,
    /// Whether it listens.
    is_serving: AtomicBool,
    is_stopping: AtomicBool,
}

impl Lifecycle {
    /// The broker has recovered.
    pub(crate) fn recovered(&self, broker: BrokerHandle) {
        // There is one only.
        let _ = self.0.broker.set(broker);
    }

    /// Clients can connect.
    pub(crate) fn serving(&self) {
        self.0.is_serving.store(true, Ordering::Relaxed);
    }

    /// The broker takes leave of its clients.
    pub(crate) fn stopping(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// The way to the broker, once it has recovered.
    pub(crate) fn broker(&self) -> Option<&BrokerHandle> {
        self.0.broker.get()
    }

    /// Whether clients can connect, and may stay.
    pub(crate) fn is_serving(&self) -> bool {
        self.readiness().0 == StatusCode::OK
    }

    /// What to say of readiness.
    fn readiness(&self) -> (StatusCode, &'static str) {
        match (
            self.0.is_serving.load(Ordering::Relaxed),
            self.0.is_stopping.load(Ordering::Relaxed),
        ) {
            (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            (true, false) => (StatusCode::OK, "ready"),
        }
    }

    /// What to say of being alive. Who recovers is: that takes as long as it takes.
    async fn liveness(&self) -> (StatusCode, &'static str) {
        let Some(broker) = self.broker() else { return (StatusCode::OK, "starting") };
        match timeout(PATIENCE, broker.look(|_| ())).await {
            Ok(()) => (StatusCode::OK, "alive"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stuck"),
        }
    }

    /// The answer to a request for this path, if it is for health.
    pub(crate) async fn answer(&self, method: &Method, path: &str) -> Option<Answer> {
        let is_known = path == LIVE || path == READY;
        let (status, word) = match path {
            _ if is_known && method != Method::GET && method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, "GET only")
            }
            LIVE => self.liveness().await,
            READY => self.readiness(),
            _ => return None,
        };
        Some(http::text(status, "text/plain; charset=utf-8", format!("{word}\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(lifecycle: &Lifecycle, path: &str) -> u16 {
        let answer = lifecycle.answer(&Method::GET, path).await;
        answer.map_or(404, |answer| answer.status().as_u16())
    }

    #[test]
    fn who_recovers_is_alive_and_not_ready_and_who_stops_is_not_ready_any_more() {
        let runtime = warren_io::runtime().expect("a runtime");
        runtime.block_on(async {
            let life = Lifecycle::default();
            assert_eq!((ask(&life, LIVE).await, ask(&life, READY).await), (200, 503));
            life.serving();
            assert_eq!(ask(&life, READY).await, 200);
            life.stopping();
            assert_eq!(ask(&life, READY).await, 503);
            assert_eq!(ask(&life, "/health").await, 404);
            let posted = life.answer(&Method::POST, READY).await.expect("is known");
            assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
        });
    }
}
