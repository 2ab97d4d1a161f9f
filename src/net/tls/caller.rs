//! Who connected to us: what a certificate proves that a peer shows of its own will (RFC 5922 §7.4).
//!
//! Nobody has to show one, and nobody is turned away for one that is no good: it proves nothing, and the peer is as one
//! without. What it proves is the key, and the names of RFC 5922 §7.1 if an authority vouches for it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage};

use super::{Fingerprint, verify};

/// What somebody who connected to us has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// It holds this key.
    pub key: Fingerprint,
    /// It speaks for these domains and addresses, as an authority of ours says: in lower case, without brackets.
    pub domains: Vec<Box<str>>,
}

/// Asks one peer for its certificate, and sees whether it has the key for it.
#[derive(Debug)]
pub(super) struct Asker {
    provider: Arc<CryptoProvider>,
    holds_key: AtomicBool,
}

impl Asker {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, holds_key: AtomicBool::new(false) }
    }

    /// Says whether the handshake was signed with the key of the certificate.
    pub(super) fn has_seen_the_key(&self) -> bool {
        self.holds_key.load(Ordering::Relaxed)
    }

    fn note(&self, verified: &Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        self.holds_key.store(verified.is_ok(), Ordering::Relaxed);
        // Who cannot prove to have the key has proved nothing, and is still as good as one who shows no certificate.
        HandshakeSignatureValid::assertion()
    }
}

/// Says what a certificate proves whose key the peer has.
pub(super) fn proved(
    provider: &CryptoProvider,
    roots: &RootCertStore,
    chain: &[CertificateDer<'_>],
    remote: IpAddr,
) -> Option<Proved> {
    let (first, more) = chain.split_first()?;
    let parsed = EndEntityCert::try_from(first).ok()?;
    let (algorithms, now) = (provider.signature_verification_algorithms.all, UnixTime::now());
    // Certificates of domains are often for servers alone, and the servers of a domain speak for it both ways.
    let vouched = [KeyUsage::client_auth(), KeyUsage::server_auth()]
        .into_iter()
        .any(|usage| parsed.verify_for_usage(algorithms, &roots.roots, more, now, usage, None, None).is_ok());
    let domains = if vouched { verify::names_of(&parsed, remote) } else { Vec::new() };
    Some(Proved { key: Fingerprint::of(&parsed.subject_public_key_info()), domains })
}

impl ClientCertVerifier for Asker {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Names no authorities: a key that is pinned has none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Judged when the handshake is done.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls12_signature(message, cert, dss, algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls13_signature(message, cert, dss, algorithms)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
