//! HTTP for whoever serves it here: connections, and their limits.
//!
//! A client can keep no more than a bounded amount of memory, for a bounded time: there is a limit
//! to connections, to what stands in the head of a request, and to how long it takes to come. What
//! may stand in a body is up to who reads it.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
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
pub(crate) type Answer = Response<Body>;

/// The body of an answer.
pub(crate) enum Body {
    /// All of it.
    Full(Full<Bytes>),
    /// Pieces, as they come.
    Pieces(Pieces),
}

/// Pieces of a body, each of which is made when the one before it is on its way; `None` is its end.
/// If none comes any more before that, the connection breaks: what was sent is not taken for all.
pub(crate) type Pieces = mpsc::Receiver<Option<Bytes>>;

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Full(full) => {
                let frame = Pin::new(full).poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Pieces(pieces) => pieces.poll_recv(cx).map(|piece| match piece {
                Some(Some(piece)) => Some(Ok(Frame::data(piece))),
                Some(None) => None,
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// Somebody who says who it is.
    Tcp {
        /// From where.
        address: SocketAddr,
        /// Whether TLS is spoken.
        is_secure: bool,
    },
    /// Somebody who runs the broker, unless somebody else is named.
    Local,
}

impl Client {
    /// The IP address, empty for who has none, and whether that is on this machine.
    pub(crate) fn whence(self) -> (String, bool) {
        match self {
            Self::Local => (String::new(), true),
            Self::Tcp { address, .. } => {
                let ip = address.ip().to_canonical();
                (ip.to_string(), ip.is_loopback())
            }
        }
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Tcp { is_secure: true, .. })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => address.fmt(f),
            Self::Local => f.write_str("local"),
        }
    }
}

/// Where something is served.
pub(crate) enum Listener {
    /// Who connects here says who it is. TLS is spoken if there is what shakes hands with clients.
    Tcp(TcpListener, Option<Tls>),
    /// Who may open this may do everything.
    Local(UnixListener),
}

impl Listener {
    /// Serves clients that connect to this, for as long as the runtime lives. To be called in it.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub(crate) fn serve<F: Future<Output = Answer> + 'static>(
        self,
        respond: impl Fn(Client, Request<Incoming>) -> F + Clone + 'static,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(socket, tls) => {
                socket.set_nonblocking(true)?;
                let socket = tokio::net::TcpListener::from_std(socket)?;
                spawn_local(serve(socket, tls, respond));
            }
            Self::Local(socket) => {
                socket.set_nonblocking(true)?;
                let socket = tokio::net::UnixListener::from_std(socket)?;
                spawn_local(serve_local(socket, respond));
            }
        }
        Ok(())
    }
}

async fn serve_local<F: Future<Output = Answer> + 'static>(
    listener: tokio::net::UnixListener,
    respond: impl Fn(Client, Request<Incoming>) -> F + Clone + 'static,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                spawn_local(serve_client(stream, Client::Local, respond.clone()));
            }
            Err(error) => {
                debug!(%error, "cannot accept a connection of the local socket");
                sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn serve<F: Future<Output = Answer> + 'static>(
    listener: tokio::net::TcpListener,
    tls: Option<Tls>,
    respond: impl Fn(Client, Request<Incoming>) -> F + Clone + 'static,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (respond, tls) = (respond.clone(), tls.clone());
                let client = Client::Tcp { address: peer, is_secure: tls.is_some() };
                spawn_local(async move {
                    match tls {
                        None => serve_client(stream, client, respond).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok((stream, _)) => serve_client(stream, client, respond).await,
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
    peer: Client,
    respond: impl Fn(Client, Request<Incoming>) -> F,
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
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
