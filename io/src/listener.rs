//! Sockets that clients connect to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;
use warren_core::Peer;

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
}

impl Listener {
    /// Binds `address`; port 0 lets the operating system choose. To be called within a
    /// [`runtime`](crate::runtime).
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
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        Ok(Self { address: socket.local_addr()?, socket })
    }

    /// Where clients can connect, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client. A failure to accept one is logged, and tried again until it goes well.
    pub(crate) async fn accept(&self) -> (TcpStream, Peer) {
        let mut is_logged = false;
        loop {
            match self.socket.accept().await.and_then(|(stream, from)| self.greet(stream, from)) {
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

    fn greet(&self, stream: TcpStream, from: SocketAddr) -> io::Result<(TcpStream, Peer)> {
        // What is written is always all there is: waiting for more would only delay it.
        stream.set_nodelay(true)?;
        let name = format!("{from} -> {}", stream.local_addr()?);
        let is_loopback = is_loopback(from.ip());
        let address = from.ip().to_canonical().to_string();
        Ok((stream, Peer { name, is_loopback, address, external: None }))
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
