//! Certificates for tests: an authority, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Somebody whose signature is trusted, and a directory of what was signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, as files.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// A new one, whom nobody else trusts.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("there is no name that could be wrong");
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("can be signed");
        let dir = TempDir::new().expect("a temporary directory can be made");
        fs::write(dir.path().join("ca.pem"), certificate.pem()).expect("can be written");
        Self { issuer: Issuer::new(params, key), dir }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The broker's, for this machine. A file of this name is replaced.
    pub(crate) fn server(&self, name: &str) -> Identity {
        self.sign(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's of this name.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("are names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Warren");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("can be signed");
        let at = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        let identity = Identity { certificate: at("pem"), key: at("key") };
        write(&identity.certificate, &certificate.pem());
        write(&identity.key, &key.serialize_pem());
        identity
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("can be written");
}
