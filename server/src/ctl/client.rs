//! Requests of the management API, over a socket of this machine or over the network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::target::{Remote, Target};

/// Where systems have those whom they trust.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    /// With what stands behind it.
    pub(super) path: &'a str,
    pub(super) body: Bytes,
    /// Why.
    pub(super) reason: Option<&'a str>,
    /// Who asks, if not the one of whom the target says so.
    pub(super) authorization: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Nothing comes with it.
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, body: Bytes::new(), reason: None, authorization: None }
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Response {
    /// What came with it; nothing if that is no JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends a request, on a connection of its own.
///
/// # Errors
/// When nobody answers.
pub(super) async fn send(target: &Target, asked: Asked<'_>) -> io::Result<Response> {
    match target {
        Target::Local { socket, .. } => {
            let stream = UnixStream::connect(socket).await?;
            exchange(stream, request("localhost", "", None, asked)?).await
        }
        Target::Remote(remote) => {
            let stream = TcpStream::connect((&*remote.host, remote.port)).await?;
            let authorization = remote.authorization.as_deref();
            let request = request(&remote.host, &remote.prefix, authorization, asked)?;
            if !remote.is_secure {
                return exchange(stream, request).await;
            }
            exchange(secured(stream, remote).await?, request).await
        }
    }
}

fn request(
    host: &str,
    prefix: &str,
    authorization: Option<&str>,
    asked: Asked<'_>,
) -> io::Result<Request<Full<Bytes>>> {
    let authorization = asked.authorization.or(authorization);
    let headers = [
        (header::AUTHORIZATION, authorization),
        (HeaderName::from_static("x-reason"), asked.reason),
    ];
    let mut request = Request::builder()
        .method(asked.method)
        .uri(format!("{prefix}{}", asked.path))
        .header(header::HOST, host)
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        if let Some(value) = value {
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(io::Error::other)?;
            request = request.header(name, value);
        }
    }
    request.body(Full::new(asked.body)).map_err(io::Error::other)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> io::Result<Response> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(io::Error::other)?;
    // What goes wrong with it is told where the answer is waited for.
    spawn_local(async move {
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(io::Error::other)?;
    Ok(Response { status, body: body.to_bytes() })
}

async fn secured(
    stream: TcpStream,
    remote: &Remote,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let file = trusted(remote.authorities.as_deref())?;
    let pem = fs::read(&file)
        .map_err(|error| io::Error::other(format!("{} cannot be read: {error}", file.display())))?;
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(remote.host.clone()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn trusted(named: Option<&Path>) -> io::Result<PathBuf> {
    let known = TRUSTED.into_iter().map(Path::new).find(|file| file.exists());
    let missing = || io::Error::other("whom to trust? (--cacert FILE)");
    named.or(known).map(Path::to_owned).ok_or_else(missing)
}
