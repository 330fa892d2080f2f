//! A tunnel into a broker that speaks TLS, for clients that do not.

use crate::certificates::{Authority, Identity};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use warren_tests::client::Address;

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    /// What it says before it does.
    prefix: Vec<u8>,
}

impl Client {
    /// One who trusts this authority.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self::new(authority, None, &[&TLS12, &TLS13])
    }

    /// One who speaks this version only.
    pub(crate) fn of_version(
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        Self::new(authority, None, &[version])
    }

    /// One who has a certificate too.
    pub(crate) fn with(authority: &Authority, identity: &Identity) -> Self {
        Self::new(authority, Some(identity), &[&TLS12, &TLS13])
    }

    /// One who says this before anything else.
    pub(crate) fn saying(mut self, prefix: &[u8]) -> Self {
        self.prefix = prefix.to_vec();
        self
    }

    fn new(
        authority: &Authority,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(authority.file()).expect("is a certificate");
        roots.add(root).expect("can be trusted");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("are there")
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::from_pem_file(&identity.certificate);
                let key = PrivateKeyDer::from_pem_file(&identity.key).expect("is a key");
                let chain = vec![chain.expect("is a certificate")];
                config.with_client_auth_cert(chain, key).expect("belong together")
            }
        };
        Self { config: Arc::new(config), prefix: Vec::new() }
    }

    /// An address that leads to the broker: whoever connects there comes out of a connection of
    /// this client.
    pub(crate) fn tunnel(&self, broker: &Address) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let local = listener.local_addr().expect("is bound");
        let (client, broker) = (self.clone(), broker.socket.parse().expect("an IP address"));
        thread::spawn(move || {
            for plain in listener.incoming() {
                let (client, plain) = (client.clone(), plain.expect("is accepted"));
                thread::spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(async {
                        plain.set_nonblocking(true).expect("can be");
                        client.carry(TcpStream::from_std(plain).expect("a socket"), broker).await;
                    });
                });
            }
        });
        local.to_string().parse().expect("is an address")
    }

    /// Carries everything both ways. When one side ends, however that comes, so does the other.
    async fn carry(&self, mut plain: TcpStream, broker: SocketAddr) {
        let Ok(mut socket) = TcpStream::connect(broker).await else { return };
        if socket.write_all(&self.prefix).await.is_err() {
            return;
        }
        let name = ServerName::from(broker.ip());
        let connector = TlsConnector::from(Arc::clone(&self.config));
        if let Ok(mut secure) = connector.connect(name, socket).await {
            let _ = copy_bidirectional(&mut plain, &mut secure).await;
        }
    }
}
