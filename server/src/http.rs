//! HTTP for whoever serves it here: connections, and their limits.
//!
//! A client can keep no more than a bounded amount of memory, for a bounded time: there is a limit
//! to connections, to what stands in the head of a request, and to how long it takes to come. What
//! may stand in a body is up to who reads it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tracing::debug;
use warren_io::Tls;

/// How many clients are served at once; others wait.
const CONNECTIONS_MAX: usize = 512;

/// How long the head of a request may take. Between two requests a client may be silent for as
/// long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes in the head of a request, and the most lines.
const HEAD_LEN_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;

/// How long to wait when no connection can be accepted.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// What is answered.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Where something is served.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// What shakes hands with clients, if they speak TLS.
    pub(crate) tls: Option<Tls>,
}

impl Listener {
    /// Serves clients that connect to this, for as long as the runtime lives. To be called in it.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub(crate) fn serve<F: Future<Output = Answer> + 'static>(
        self,
        respond: impl Fn(SocketAddr, Request<Incoming>) -> F + Clone + 'static,
    ) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        spawn_local(serve(socket, self.tls, respond));
        Ok(())
    }
}

async fn serve<F: Future<Output = Answer> + 'static>(
    listener: tokio::net::TcpListener,
    tls: Option<Tls>,
    respond: impl Fn(SocketAddr, Request<Incoming>) -> F + Clone + 'static,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (respond, tls) = (respond.clone(), tls.clone());
                spawn_local(async move {
                    match tls {
                        None => serve_client(stream, peer, respond).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok((stream, _)) => serve_client(stream, peer, respond).await,
                            Err(error) => debug!(%peer, %error, "no TLS with a client of HTTP"),
                        },
                    }
                    drop(place);
                });
            }
            Err(error) => {
                debug!(%error, "cannot accept a connection of HTTP");
                sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn serve_client<F: Future<Output = Answer>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    respond: impl Fn(SocketAddr, Request<Incoming>) -> F,
) {
    let service = service_fn(|request| {
        let answer = respond(peer, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LEN_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%peer, %error, "a client of HTTP is gone");
    }
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
