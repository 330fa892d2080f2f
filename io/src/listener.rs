//! Sockets that clients connect to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tracing::{debug, warn};
use warren_core::Peer;

use crate::proxy;
use crate::tls::Tls;
use crate::transport::Transport;

/// How many connections may wait to be accepted. Clients that all come back at once, after a
/// restart, must not be turned away.
const BACKLOG: u32 = 4096;

/// How long to wait when no connection can be accepted, for instance because the process has too
/// many files open.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A bound socket. Clients can connect from here on; they are served once it is given to
/// [`Node::listen`](crate::Node::listen).
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    /// How long a header of the PROXY protocol may take that each connection begins with, if it
    /// does.
    proxied: Option<Duration>,
}

impl Listener {
    /// Binds `address`; port 0 lets the operating system choose. All addresses of IPv6 are those of
    /// IPv4 as well. To be called within a [`runtime`](crate::runtime).
    ///
    /// # Errors
    /// What the operating system says, such as `AddrInUse`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restarted broker must not wait for its predecessor's connections to be forgotten.
        socket.set_reuseaddr(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            set_ipv6_v6only(&socket, false)?;
        }
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        Ok(Self { address: socket.local_addr()?, socket, tls: None, proxied: None })
    }

    /// Speaks TLS with clients.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Takes only connections that begin with a header of the PROXY protocol, which may take so
    /// long.
    #[must_use]
    pub fn with_proxy_protocol(self, header_timeout: Duration) -> Self {
        Self { proxied: Some(header_timeout), ..self }
    }

    /// Where clients can connect, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client. A failure to accept one is logged, and tried again until it goes well.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut is_logged = false;
        loop {
            match self.socket.accept().await {
                Ok(client) => return client,
                // The client was gone before its turn came.
                Err(error) if is_of_client(&error) => (),
                Err(error) => {
                    if !is_logged {
                        warn!(address = %self.address, %error, "cannot accept connections");
                        is_logged = true;
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Does all that comes before AMQP. `None` for a client that did not get through it, which is
    /// logged.
    pub(crate) async fn greet(
        &self,
        socket: TcpStream,
        from: SocketAddr,
    ) -> Option<(Transport, Peer)> {
        match self.try_greet(socket, from).await {
            Ok(greeted) => Some(greeted),
            // As health checks do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_of_client(&error) => {
                debug!(peer = %from, %error, "connection closed before it was open");
                None
            }
            Err(error) => {
                warn!(peer = %from, %error, "connection refused");
                None
            }
        }
    }

    async fn try_greet(
        &self,
        mut socket: TcpStream,
        from: SocketAddr,
    ) -> io::Result<(Transport, Peer)> {
        // What is written is always all there is: waiting for more would only delay it.
        socket.set_nodelay(true)?;
        let (mut from, mut to) = (from, socket.local_addr()?);
        if let Some(header_timeout) = self.proxied {
            let header = timeout(header_timeout, proxy::read_header(&mut socket)).await??;
            (from, to) = header.unwrap_or((from, to));
        }
        let (transport, name) = match &self.tls {
            None => (Transport::Tcp(socket), None),
            Some(tls) => {
                let (stream, name) = tls.accept(socket).await?;
                (Transport::Tls(Box::new(stream)), name)
            }
        };
        Ok((transport, peer(from, to, name)))
    }
}

/// Who connects, from where and to where; `name` is who a certificate says it is.
fn peer(from: SocketAddr, to: SocketAddr, name: Option<String>) -> Peer {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    Peer {
        name: format!("{} -> {}", canonical(from), canonical(to)),
        is_loopback: is_loopback(from.ip()),
        is_inside: false,
        address: canonical(from).ip().to_string(),
        external: name,
        is_operator: false,
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}

/// Whether the address is this machine's own, also written as an IPv6 address.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(ip.parse().expect(ip)), "{ip}");
        }
        for ip in ["10.0.0.1", "::", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_loopback(ip.parse().expect(ip)), "{ip}");
        }
    }
}
