//! What a client believes of certificates, and the key that it has itself (design: trust).
//!
//! Peers without an authority are trusted as ssh trusts hosts, by [`TrustedKeys`]; never an account's own server.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ClientError, TrustedKeys};
use crate::{
    config::{FirstUse, read_closed},
    net::tls::{Fingerprint, Known, OwnKey, Proved, Tls, TlsError, Trust},
    presence::core::Vouched,
    sip::locate::PeerIdentity,
};

/// How a client deals with TLS; without any, the authorities of the system count alone and its key is a fleeting one.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TlsSettings {
    ca_file: Option<PathBuf>,
    key: Option<Arc<OwnKey>>,
    certificate: Option<(PathBuf, PathBuf)>,
    keys: Option<TrustedKeys>,
    first_use: FirstUse,
    servers: Vec<Box<str>>,
    insecure: bool,
}

impl TlsSettings {
    /// Trusts the authorities in a file (PEM) beside those of the system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Shows this key to peers, so that they know us again after a restart.
    pub fn key(mut self, key: impl Into<Arc<OwnKey>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Shows those [servers](Self::server) that ask for it a certificate that an authority made for us: a file with it and
    /// with those between it and the authority, and one with its key that nobody else can read (PEM).
    pub fn certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((chain.into(), key.into()));
        self
    }

    /// Trusts these keys of peers without an authority, and deals with a new one as `first_use` says. The file is read
    /// whenever such a peer is connected to, so what is accepted counts at once.
    pub fn trusted_keys(mut self, keys: TrustedKeys, first_use: FirstUse) -> Self {
        (self.keys, self.first_use) = (Some(keys), first_use);
        self
    }

    /// Adds a host of the account's own server, for which a key alone is never enough (TRN-21).
    pub fn server(mut self, host: impl AsRef<str>) -> Self {
        self.servers.push(PeerIdentity::of_host(host.as_ref()).host);
        self
    }

    /// Takes any certificate of those [servers](Self::server): whoever is between us and them can read and change
    /// everything. To be warned of at each start.
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// Sees whether the files that it names can be used.
    ///
    /// # Errors
    /// When one cannot be.
    pub fn check(&self) -> Result<(), ClientError> {
        self.files()?;
        Ok(())
    }

    /// Reads the files that it names.
    fn files(&self) -> Result<Tls, TlsError> {
        let tls = Tls::new(self.ca_file.as_deref())?;
        let Some((path, key)) = &self.certificate else { return Ok(tls) };
        let unusable = |reason: String| TlsError::Certificate { path: path.clone(), reason };
        let chain = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let key = read_closed(key).map_err(|error| unusable(error.to_string()))?;
        tls.showing(path, &chain, key.as_bytes(), self.servers.clone())
    }

    /// Makes what is needed to ask one of the [servers](Self::server) by HTTP, and by which means it is believed.
    pub(super) fn for_web(self) -> Result<(Tls, Trust), TlsError> {
        Ok((self.files()?, if self.insecure { Trust::Anything } else { Trust::Web }))
    }

    /// Makes what the sockets need, and what decides about each peer.
    pub(super) fn open(self, addresses: &[IpAddr]) -> Result<(Arc<Tls>, Believing), TlsError> {
        let tls = self.files()?;
        let key = match self.key {
            Some(key) => key,
            None => Arc::new(OwnKey::generate()?),
        };
        let tls = tls.serving(&key, addresses)?;
        let Self { keys, first_use, servers, insecure, .. } = self;
        Ok((Arc::new(tls), Believing { keys, first_use, servers, insecure }))
    }
}

/// What decides by which means a peer is believed.
#[derive(Debug)]
pub(super) struct Believing {
    keys: Option<TrustedKeys>,
    first_use: FirstUse,
    servers: Vec<Box<str>>,
    insecure: bool,
}

impl Believing {
    /// Returns by which means a peer is to be believed.
    pub(super) fn trust_in(&self, peer: &PeerIdentity) -> Trust {
        if self.servers.contains(&peer.host) {
            return if self.insecure { Trust::Anything } else { Trust::Authority };
        }
        let Some(presentity) = &peer.presentity else { return Trust::Authority };
        let pinned = self.keys.as_ref().map(|keys| keys.of(presentity)).transpose();
        match (pinned, self.first_use) {
            (Ok(Some(Some(key))), _) => Trust::Key(Known::Pinned(key)),
            (Ok(_), FirstUse::Ask) => Trust::Key(Known::Nothing),
            (Ok(Some(None)), FirstUse::Pin) => Trust::Key(Known::TakesFirst),
            // What cannot be kept is not taken.
            (Ok(_), FirstUse::Pin | FirstUse::Never) => Trust::Authority,
            (Err(error), _) => {
                tracing::warn!(%error, "no key of a peer is trusted");
                Trust::Authority
            }
        }
    }

    /// Returns for whom it is proof what somebody who connected to us has proved.
    pub(super) fn vouched(&self, proved: &Proved) -> Vouched {
        let keys = self.keys.as_ref().map(TrustedKeys::list).transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "no key of a peer is trusted");
            None
        });
        let theirs = keys.into_iter().flatten().filter(|(_, key)| *key == proved.key);
        let presentities = theirs.map(|(presentity, _)| presentity.into()).collect();
        Vouched { domains: proved.domains.clone(), presentities }
    }

    /// Keeps a key that was taken because it is the first one seen.
    pub(super) fn pin(&self, peer: &PeerIdentity, key: Fingerprint) {
        let (Some(keys), Some(presentity)) = (self.keys.clone(), peer.presentity.clone()) else { return };
        tracing::warn!(%presentity, %key, "trusts a key because it is the first one seen");
        // Two connections may be the first, and the one that is later finds the key of the other.
        let written = tokio::task::spawn_blocking(move || match keys.of(&presentity) {
            Ok(None) => keys.accept(&presentity, key),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        });
        tokio::spawn(async move {
            if let Ok(Err(error)) = written.await {
                tracing::warn!(%error, "a key that is trusted will be forgotten");
            }
        });
    }
}

/// Reads our own key from a file of ours, or makes one and keeps it there.
///
/// # Errors
/// When the file holds something else, or cannot be read or written.
pub fn own_key(path: &Path) -> Result<OwnKey, ClientError> {
    match std::fs::read_to_string(path) {
        Ok(pem) => Ok(OwnKey::from_pem(&pem)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = OwnKey::generate()?;
            crate::config::write_private(path, key.to_pem().as_bytes())
                .map_err(|error| ClientError::Tls(TlsError::Key(error.to_string())))?;
            Ok(key)
        }
        Err(error) => Err(TlsError::Key(format!("{}: {error}", path.display())).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn sec_11_our_key_is_made_once_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/tls-key.pem");
        let first = own_key(&path).unwrap().fingerprint();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(own_key(&path).unwrap().fingerprint(), first);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(own_key(&path).is_err(), "and is not replaced in silence");
    }

    #[test]
    fn trn_21_by_what_a_peer_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TrustedKeys::new(folder.path().join("trusted-keys"));
        let key = OwnKey::generate().unwrap().fingerprint();
        keys.accept("sip:carol@192.0.2.3", key).unwrap();
        let believing = |first_use, insecure| {
            let settings = TlsSettings::default().server("192.0.2.9").insecure(insecure);
            settings.trusted_keys(keys.clone(), first_use).open(&[]).unwrap().1
        };
        let peer = |host: &str, presentity: Option<&str>| PeerIdentity {
            presentity: presentity.map(Into::into),
            ..PeerIdentity::of_host(host)
        };
        let bob = peer("192.0.2.2", Some("sip:bob@192.0.2.2"));
        let carol = peer("192.0.2.3", Some("sip:carol@192.0.2.3"));
        let (server, domain) = (peer("192.0.2.9", Some("sip:pbx@192.0.2.9")), peer("example.com", None));
        for (first_use, unknown) in [
            (FirstUse::Ask, Trust::Key(Known::Nothing)),
            (FirstUse::Pin, Trust::Key(Known::TakesFirst)),
            (FirstUse::Never, Trust::Authority),
        ] {
            let believing = believing(first_use, false);
            assert_eq!(believing.trust_in(&bob), unknown);
            assert_eq!(believing.trust_in(&carol), Trust::Key(Known::Pinned(key)));
            assert_eq!(believing.trust_in(&server), Trust::Authority);
            assert_eq!(believing.trust_in(&domain), Trust::Authority);
        }
        let careless = believing(FirstUse::Ask, true);
        assert_eq!(careless.trust_in(&server), Trust::Anything);
        assert_eq!(careless.trust_in(&domain), Trust::Authority, "that of the account alone");
        std::fs::write(folder.path().join("trusted-keys"), "nonsense").unwrap();
        assert_eq!(believing(FirstUse::Pin, false).trust_in(&bob), Trust::Authority);
    }
}
