//! Keys and certificates, from the files that the configuration names.

mod naming;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    Error, RootCertStore, ServerConfig, SupportedProtocolVersion,
    server::danger::ClientCertVerifier,
};
use warren_io::{Naming, Tls};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::{Service, TlsSettings, TlsVersion};

/// When the certificates run out that clients are met with: by what they come for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expiries(Arc<Mutex<BTreeMap<&'static str, SystemTime>>>);

impl Expiries {
    /// Those that clients of this service are met with from now on run out then.
    pub(crate) fn set(&self, service: Service, identity: &Identity) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match identity.expiry {
            Some(expiry) => all.insert(service.protocol(), expiry),
            None => all.remove(service.protocol()),
        };
    }

    /// Those that have run out by then.
    pub(crate) fn by(&self, then: SystemTime) -> Vec<(&'static str, SystemTime)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.iter().map(|(service, expiry)| (*service, *expiry));
        all.filter(|(_, expiry)| *expiry < then).collect()
    }
}

/// Who the broker is, whom it trusts, and what it makes of a client's certificate.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    naming: Arc<Naming>,
    expiry: Option<SystemTime>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, in one sentence.
    pub(crate) fn load(settings: &TlsSettings) -> Result<Self, String> {
        let certfile = named(settings.certfile.as_deref(), "ssl_options.certfile")?;
        let keyfile = named(settings.keyfile.as_deref(), "ssl_options.keyfile")?;
        let authorities = match &settings.cacertfile {
            Some(file) => certificates(file)?,
            None => Vec::new(),
        };
        let chain = completed(certificates(certfile)?, &authorities);
        let key = PrivateKeyDer::from_pem_file(keyfile).map_err(|error| match error {
            pem::Error::NoItemsFound => format!(
                "{} has no private key (it must be PEM, and not encrypted)",
                keyfile.display()
            ),
            error => unreadable(keyfile, &error),
        })?;
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(settings))
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let config = match client_verifier(settings, authorities)? {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let expiry = chain.first().and_then(|certificate| expiry(certificate));
        let config = config.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => format!(
                "the private key in {} is not that of the certificate in {}",
                keyfile.display(),
                certfile.display()
            ),
            error => {
                format!("{} and {} cannot be used: {error}", certfile.display(), keyfile.display())
            }
        })?;
        let naming = naming::naming(settings);
        Ok(Self { config: Arc::new(config), naming, expiry })
    }

    /// Whether the certificate is one that clients refuse, as its time is over.
    pub(crate) fn has_expired(&self) -> bool {
        self.expiry.is_some_and(|expiry| expiry < SystemTime::now())
    }

    /// What shakes hands with clients in this name.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub(crate) fn start(self, handshake_timeout: Duration) -> io::Result<Tls> {
        Tls::start(self.config, self.naming, handshake_timeout)
    }

    /// Meets who comes from now on in this name.
    pub(crate) fn replace(self, tls: &Tls) {
        tls.replace(self.config, self.naming);
    }
}

fn named<'a>(file: Option<&'a Path>, key: &str) -> Result<&'a Path, String> {
    file.ok_or_else(|| format!("TLS needs {key}"))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(none) if none.is_empty() => Err(format!("{} has no certificate", file.display())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(file, &error)),
    }
}

fn unreadable(file: &Path, error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("{} cannot be read: {error}", file.display()),
        error => format!("{} is no PEM: {error:?}", file.display()),
    }
}

/// The chain with all that is between it and a root, as far as the authorities have it: in many
/// configurations of RabbitMQ that is where it stands.
fn completed(
    mut chain: Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
) -> Vec<CertificateDer<'static>> {
    while let Some(last) = chain.last().and_then(|last| Certificate::from_der(last).ok()) {
        let issuer = last.tbs_certificate.issuer;
        let next = authorities.iter().find(|authority| {
            let parsed = Certificate::from_der(authority).map(|parsed| parsed.tbs_certificate);
            // A root is not sent: clients have it, or do not trust it.
            parsed.is_ok_and(|parsed| parsed.subject == issuer && parsed.issuer != issuer)
        });
        match next.filter(|next| !chain.contains(next)) {
            Some(next) => chain.push(next.clone()),
            None => break,
        }
    }
    chain
}

fn expiry(certificate: &[u8]) -> Option<SystemTime> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_system_time())
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::V13, &TLS13), (TlsVersion::V12, &TLS12)];
    let wanted = &settings.versions;
    let versions = all.into_iter();
    versions
        .filter(|(version, _)| wanted.is_empty() || wanted.contains(version))
        .map(|(_, version)| version)
        .collect()
}

/// What looks at the certificates of clients, if they are asked for one.
fn client_verifier(
    settings: &TlsSettings,
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if !settings.verify_peer {
        return Ok(None);
    }
    let file = named(settings.cacertfile.as_deref(), "ssl_options.cacertfile, to verify clients")?;
    let unusable = |error: &dyn std::fmt::Display| {
        format!("{} cannot be used to verify clients: {error}", file.display())
    };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| unusable(&error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match settings.fail_if_no_peer_cert {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    verifier.build().map(Some).map_err(|error| unusable(&error))
}
