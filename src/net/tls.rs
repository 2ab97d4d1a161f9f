//! Streams under TLS: who is at the other end, and who we are (RFC 3261 §26.2, RFC 5922, RFC 8996).
//!
//! A [`Tls`] belongs to one client. It makes a stream of a connection that stands, in TLS 1.2 or 1.3 and nothing older.
//! `verify` judges certificates, `own` makes our own. Which identity is asked for is the core's matter, which keys are
//! pinned that of whoever keeps them.

mod own;
mod verify;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client, rustls,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        client::Resumption,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
    server,
};

pub use self::own::OwnKey;
use crate::sip::{locate::PeerIdentity, transport::TlsFailure};

/// How long a handshake may take once the connection stands.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(4);
/// How many peers may be amid a handshake with us; the next ones are turned away.
const MAX_HANDSHAKES: usize = 128;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities is of no use.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Our own key is of no use.
    #[error("cannot use the key for TLS: {0}")]
    Key(String),
}

/// The SHA-256 of a public key with its algorithm (`SubjectPublicKeyInfo`), which outlives the certificates made for it.
///
/// Its text is `SHA256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(public_key: &[u8]) -> Self {
        Self(Sha256::digest(public_key).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA256: and 64 hexadecimal digits")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let (name, digits) = text.trim().split_once(':').ok_or(InvalidFingerprint)?;
        let plain = digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit());
        if !name.eq_ignore_ascii_case("sha256") || !plain {
            return Err(InvalidFingerprint);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| InvalidFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// What a peer is believed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// An authority vouches for it.
    Authority,
    /// Its key is the one known; or an authority vouches for it where none is known yet.
    Key(Known),
    /// Nothing: whoever is there will do.
    Anything,
}

/// What is known of the key of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is this one, and another is refused.
    Pinned(Fingerprint),
    /// Nothing, and what is found is to be told.
    Nothing,
    /// Nothing, and the first that is found is taken.
    TakesFirst,
}

/// What one client needs for TLS; see the module's text.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    /// Authorities beside those of the system.
    more: Vec<CertificateDer<'static>>,
    /// All of them, once they are needed.
    roots: OnceCell<Arc<RootCertStore>>,
    acceptor: Option<TlsAcceptor>,
    handshakes: Semaphore,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("more", &self.more.len()).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the authorities of the system and those in `ca_file` (PEM); takes no connections.
    ///
    /// # Errors
    /// When the file cannot be read, or has no certificate in it.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let more = ca_file.map_or_else(|| Ok(Vec::new()), authorities)?;
        let handshakes = Semaphore::new(MAX_HANDSHAKES);
        let provider = Arc::new(ring::default_provider());
        Ok(Self { provider, more, roots: OnceCell::new(), acceptor: None, handshakes })
    }

    /// Takes connections with a certificate for these addresses, made for our own key.
    ///
    /// # Errors
    /// When no certificate can be made of the key.
    pub fn serving(mut self, key: &OwnKey, addresses: &[IpAddr]) -> Result<Self, TlsError> {
        let (certificate, private) = key.certificate(addresses)?;
        let refused = |error: rustls::Error| TlsError::Key(error.to_string());
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .map_err(refused)?;
        self.acceptor = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(self)
    }

    /// Makes sure who is at the end of a connection, and goes on under TLS. What comes with the stream is the key of a
    /// peer that was taken because it is the first one seen.
    pub async fn connect(
        &self,
        stream: TcpStream,
        peer: &PeerIdentity,
        trust: Trust,
        remote: SocketAddr,
    ) -> Result<(client::TlsStream<TcpStream>, Option<Fingerprint>), TlsFailure> {
        let refused = |why: String| TlsFailure::Refused(format!("no TLS with {remote}: {why}"));
        let roots = Arc::clone(self.roots.get_or_init(|| all_authorities(self.more.clone())).await);
        let verifier = verify::Verifier::new(Arc::clone(&self.provider), roots, peer.clone(), trust);
        let verifier = Arc::new(verifier.map_err(refused)?);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<verify::Verifier>::clone(&verifier))
            .with_no_client_auth();
        // A resumed session would not be judged again.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(&*peer.host).map_or_else(|_| remote.ip().into(), |name| name.to_owned());
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        match timeout(HANDSHAKE_LIMIT, connecting).await {
            Ok(Ok(stream)) => Ok((stream, verifier.taken())),
            Ok(Err(error)) => Err(match verifier.why() {
                Some(why) => TlsFailure::Untrusted(why),
                None => refused(words(&error)),
            }),
            Err(_) => Err(refused(format!("the handshake took longer than {} s", HANDSHAKE_LIMIT.as_secs()))),
        }
    }

    /// Goes on under TLS with somebody who connected to us; why not is of interest to a log alone.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        let acceptor = self.acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let _place = self.handshakes.try_acquire().map_err(|_| io::ErrorKind::ResourceBusy)?;
        timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |reason: String| TlsError::Authorities { path: path.into(), reason };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| unusable(error.to_string()))?;
    }
    if found.is_empty() { Err(unusable("there is none in it".to_owned())) } else { Ok(found) }
}

/// Gathers all that we trust. The system's are many and on disk, so they are read when somebody is to be verified.
async fn all_authorities(more: Vec<CertificateDer<'static>>) -> Arc<RootCertStore> {
    let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await.unwrap_or_default();
    for error in &system.errors {
        tracing::debug!(%error, "an authority of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs.into_iter().chain(more));
    Arc::new(roots)
}

/// Says why a handshake failed: rustls knows, the error around it need not.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "the peer hung up".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint::of(b"key");
        let text = fingerprint.to_string();
        assert_eq!(text, "SHA256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683");
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
        for other in ["", "SHA256:", &text[..70], "MD5:00", &text.replace("2c", "\u{e9}"), &text.replace("2c", "+c")] {
            assert_eq!(other.parse::<Fingerprint>(), Err(InvalidFingerprint), "{other}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Tls::new(Some(file.path())).unwrap_err().to_string();
        assert!(
            error.contains(&file.path().display().to_string()) && error.ends_with("there is none in it"),
            "{error}"
        );
        let error = Tls::new(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err().to_string();
        assert!(error.starts_with("cannot read certificates from /nonexistent/ca.pem: "), "{error}");
    }
}
