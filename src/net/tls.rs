//! Streams under TLS: who is at the other end, and who we are (RFC 3261 §26.2, RFC 5922, RFC 8996).
//!
//! A [`Tls`] belongs to one client. It makes a stream of a connection that stands, in TLS 1.2 or 1.3 and nothing older.
//! `verify` judges certificates of those whom we ask for, `caller` of those who connect to us, `own` makes our own. Which identity is asked for is the core's matter, which keys are
//! pinned that of whoever keeps them.

mod caller;
mod fingerprint;
mod own;
mod verify;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client, rustls,
    rustls::{
        AlertDescription, ClientConfig, RootCertStore, ServerConfig,
        client::Resumption,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        server::NoServerSessionStorage,
    },
    server,
};

use self::{caller::Asker, own::Shown};
pub use self::{
    caller::Proved,
    fingerprint::{Fingerprint, InvalidFingerprint},
    own::OwnKey,
};
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
    /// The certificate that an authority made for us is of no use.
    #[error("cannot use the certificate in {}: {reason}", path.display())]
    Certificate {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it, or with its key.
        reason: String,
    },
    /// Our own key is of no use.
    #[error("cannot use the key for TLS: {0}")]
    Key(String),
}

/// What a peer is believed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// An authority vouches for it.
    Authority,
    /// The same, by the names that a server of the web has.
    Web,
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
    /// What peers see of us.
    own: Option<Shown>,
    /// What these hosts, and nobody else, see of us.
    certified: Option<(Shown, Vec<Box<str>>)>,
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
        Ok(Self { provider, more, roots: OnceCell::new(), own: None, certified: None, handshakes })
    }

    /// Takes connections with a certificate for these addresses, made for our own key; peers without an authority are
    /// shown the same where we connect to them.
    ///
    /// # Errors
    /// When no certificate can be made of the key.
    pub fn serving(mut self, key: &OwnKey, addresses: &[IpAddr]) -> Result<Self, TlsError> {
        self.own = Some(key.shown(&self.provider, addresses)?);
        Ok(self)
    }

    /// Takes connections with a certificate that an authority made for us: `chain` and `key` are PEM, `path` is where the
    /// former stood.
    ///
    /// # Errors
    /// When they are of no use.
    pub fn serving_certified(mut self, path: &Path, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certified = own::certified(&self.provider, chain, key);
        self.own = Some(certified.map_err(|reason| TlsError::Certificate { path: path.into(), reason })?);
        Ok(self)
    }

    /// Shows these hosts, and nobody else, a certificate that an authority made for us, if they ask for one: `chain` and
    /// `key` are PEM, `path` is where the former stood.
    ///
    /// # Errors
    /// When they are of no use.
    pub fn showing(
        mut self,
        path: &Path,
        chain: &[u8],
        key: &[u8],
        hosts: impl Into<Vec<Box<str>>>,
    ) -> Result<Self, TlsError> {
        let certified = own::certified(&self.provider, chain, key);
        let certified = certified.map_err(|reason| TlsError::Certificate { path: path.into(), reason })?;
        self.certified = Some((certified, hosts.into()));
        Ok(self)
    }

    /// Returns what a peer is shown if it asks. Our own key is nothing to any server: one that wants authorities alone
    /// would turn us away for it, and it would know us again everywhere.
    fn shown_to(&self, peer: &PeerIdentity, trust: Trust) -> Option<Shown> {
        match (trust, &self.certified) {
            (Trust::Key(_), _) => self.own.clone(),
            (_, Some((certified, hosts))) if hosts.contains(&peer.host) => Some(Arc::clone(certified)),
            _ => None,
        }
    }

    async fn roots(&self) -> &Arc<RootCertStore> {
        self.roots.get_or_init(|| all_authorities(self.more.clone())).await
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
        let roots = Arc::clone(self.roots().await);
        let verifier = verify::Verifier::new(Arc::clone(&self.provider), roots, peer.clone(), trust);
        let verifier = Arc::new(verifier.map_err(refused)?);
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<verify::Verifier>::clone(&verifier));
        let mut config = match self.shown_to(peer, trust) {
            Some(shown) => config.with_client_cert_resolver(shown),
            None => config.with_no_client_auth(),
        };
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

    /// Goes on under TLS with somebody who connected to us, and says what it proved by a certificate, if anything; why
    /// not is of interest to a log alone.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(server::TlsStream<TcpStream>, Option<Proved>)> {
        let own = self.own.clone().ok_or(io::ErrorKind::Unsupported)?;
        let _place = self.handshakes.try_acquire().map_err(|_| io::ErrorKind::ResourceBusy)?;
        let remote = stream.peer_addr()?.ip();
        let asker = Arc::new(Asker::new(Arc::clone(&self.provider)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(io::Error::other)?
            .with_client_cert_verifier(Arc::<Asker>::clone(&asker))
            .with_cert_resolver(own);
        // A resumed session would not be judged again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let accepting = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let stream =
            timeout(HANDSHAKE_LIMIT, accepting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let chain = stream.get_ref().1.peer_certificates().filter(|_| asker.has_seen_the_key());
        let proved = match chain {
            Some(chain) => caller::proved(&self.provider, self.roots().await, chain, remote),
            None => None,
        };
        Ok((stream, proved))
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

/// Says whether the error of a connection that stood is that the peer does not take us, which it may say as late as that.
pub(super) fn refusal(error: &io::Error, remote: SocketAddr) -> Option<TlsFailure> {
    alert(error).map(|_| TlsFailure::Refused(format!("no TLS with {remote}: {}", words(error))))
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref() {
        Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    }
}

/// Says why a handshake failed: rustls knows, the error around it need not.
fn words(error: &io::Error) -> String {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked, CertificateUnknown,
        UnknownCA, UnsupportedCertificate,
    };
    match (alert(error), error.kind()) {
        (Some(CertificateRequired), _) => {
            "it wants to see a certificate: `cert_file` and `key_file` of the account name one".to_owned()
        }
        (
            Some(
                alert @ (AccessDenied
                | BadCertificate
                | CertificateExpired
                | CertificateRevoked
                | CertificateUnknown
                | UnknownCA
                | UnsupportedCertificate),
            ),
            _,
        ) => format!("it does not take our certificate ({alert:?})"),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => "the peer hung up".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
