//! TLS towards clients: one loader for every listener of a process.
//!
//! Files are read once. What is wrong with them is said with their path, and never with their content.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
};

/// Protocols that a listener speaks, the preferred one first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocols {
    /// HTTP/2, or else HTTP/1.1.
    Http2OrHttp1,
    /// HTTP/1.1 and nothing else.
    Http1,
}

impl Protocols {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2OrHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
        }
    }
}

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {problem}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl TlsError {
    fn new(path: &Path, problem: &dyn fmt::Display) -> Self {
        Self { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// A certificate chain with its key, as listeners present it.
#[derive(Clone, Debug)]
pub struct Identity {
    config: ServerConfig,
    certificate: Certificate,
}

impl Identity {
    /// Reads two PEM files: the chain, the server's own certificate first, and the private key.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| TlsError::new(cert, &error))?;
        let Some(own) = chain.first().cloned() else {
            return Err(TlsError::new(cert, &"it holds no certificate"));
        };
        let secret =
            PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::new(key, &error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(cert, &error))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| TlsError::new(key, &error))?;
        Ok(Self { config, certificate: Certificate(own) })
    }

    /// What a listener of these protocols shakes hands with.
    pub fn server(&self, protocols: Protocols) -> Arc<ServerConfig> {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.alpn();
        Arc::new(config)
    }

    /// The server's own certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// A server's own certificate.
#[derive(Clone, Debug)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// True if it was issued for that host name or address.
    pub fn is_for(&self, host: &str) -> bool {
        let (Ok(name), Ok(certificate)) =
            (ServerName::try_from(host), ParsedCertificate::try_from(&self.0))
        else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let issued = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        let problem = || Identity::read(&cert, &key).unwrap_err();
        assert_eq!(problem().path, cert, "it is not there");
        std::fs::write(&cert, "no certificate").unwrap();
        assert_eq!(problem().problem, "it holds no certificate");
        std::fs::write(&cert, issued.cert.pem()).unwrap();
        std::fs::write(&key, "secret rubbish").unwrap();
        assert_eq!(problem().path, key);
        assert!(!problem().to_string().contains("rubbish"));
        let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert_eq!(problem().path, key, "the key of another certificate");
    }

    #[test]
    fn a_certificate_knows_its_hosts() {
        let names = ["*.corp.example".to_owned(), "192.0.2.7".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = Certificate(issued.cert.der().clone());
        for host in ["gateway.corp.example", "192.0.2.7"] {
            assert!(certificate.is_for(host), "{host}");
        }
        for host in ["evil.test", "a.b.corp.example", "192.0.2.8", "", "not a host"] {
            assert!(!certificate.is_for(host), "{host}");
        }
    }
}
