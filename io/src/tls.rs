//! TLS: who we are, whom we trust, and the handshake.
//!
//! A handshake takes a signature, which takes longer than all that a connection does in a while. So
//! handshakes are a thread's of their own: however many clients come at once, those who are there
//! are served meanwhile. What is sent and received later is the broker thread's work.

use std::fmt;
use std::io;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;

/// What a client's certificate says who the client is, if anything.
pub type Naming = dyn Fn(&CertificateDer<'_>) -> Option<String> + Send + Sync;

/// Who we are and whom we trust, and the thread that shakes hands. Clones are one.
#[derive(Clone)]
pub struct Tls {
    identity: Arc<RwLock<Identity>>,
    handshakes: mpsc::UnboundedSender<Handshake>,
}

#[derive(Clone)]
struct Identity {
    config: Arc<ServerConfig>,
    naming: Arc<Naming>,
}

struct Handshake {
    socket: TcpStream,
    config: Arc<ServerConfig>,
    done: oneshot::Sender<io::Result<TlsStream<TcpStream>>>,
}

impl Tls {
    /// Starts the thread. Clients have so long for a handshake.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub fn start(
        config: Arc<ServerConfig>,
        naming: Arc<Naming>,
        handshake_timeout: Duration,
    ) -> io::Result<Self> {
        let identity = Arc::new(RwLock::new(Identity { config, naming }));
        let (handshakes, wanted) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let work = async move {
            let mut wanted = wanted;
            while let Some(handshake) = wanted.recv().await {
                tokio::spawn(shake_hands(handshake, handshake_timeout));
            }
        };
        thread::Builder::new().name("tls".into()).spawn(move || runtime.block_on(work))?;
        Ok(Self { identity, handshakes })
    }

    /// Whoever comes from now on is met with these; connections that are there stay as they are.
    pub fn replace(&self, config: Arc<ServerConfig>, naming: Arc<Naming>) {
        *self.identity.write().expect("no holder panics") = Identity { config, naming };
    }

    /// Shakes hands with who has connected. What is given with the stream is what the client's
    /// certificate says who the client is.
    ///
    /// # Errors
    /// When the client does not get through it, or not in time.
    pub async fn accept(
        &self,
        socket: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<String>)> {
        let Identity { config, naming } = self.identity.read().expect("no holder panics").clone();
        let (done, result) = oneshot::channel();
        let ended = |()| io::Error::other("the thread of handshakes has ended");
        let handshake = Handshake { socket, config, done };
        self.handshakes.send(handshake).map_err(|_| ended(()))?;
        let stream = result.await.map_err(|_| ended(()))??;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let name = certificate.and_then(|certificate| naming(certificate));
        Ok((stream, name))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

async fn shake_hands(handshake: Handshake, handshake_timeout: Duration) {
    let Handshake { socket, config, done } = handshake;
    let accepted = TlsAcceptor::from(config).accept(socket);
    let result = match timeout(handshake_timeout, accepted).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    // Who asked for it may be gone.
    let _ = done.send(result);
}
