//! Our own key and the certificate that we show to peers; and one that an authority made for us, for a server.
//!
//! No authority knows our own key, so its certificate says no more than our addresses, and is made anew at each start; what
//! others pin is the key. Where the key is kept is its owner's matter.

use std::{fmt, net::IpAddr, sync::Arc};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _, SanType};
use tokio_rustls::rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{Fingerprint, TlsError};

/// A private key for TLS: ECDSA on P-256.
pub struct OwnKey(KeyPair);

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnKey({})", self.fingerprint())
    }
}

impl OwnKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, TlsError> {
        KeyPair::generate().map(Self).map_err(|error| TlsError::Key(error.to_string()))
    }

    /// Reads one that was [written](Self::to_pem).
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &str) -> Result<Self, TlsError> {
        KeyPair::from_pem(pem).map(Self).map_err(|error| TlsError::Key(error.to_string()))
    }

    /// Writes the private key as PEM (RFC 5958), for a file that nobody else can read.
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// Returns what others know it by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0.subject_public_key_info())
    }

    /// Makes what peers are shown.
    pub(super) fn shown(&self, provider: &CryptoProvider, addresses: &[IpAddr]) -> Result<Shown, TlsError> {
        let (certificate, private) = self.certificate(addresses)?;
        shown(provider, vec![certificate], private).map_err(TlsError::Key)
    }

    /// Makes a certificate that names `addresses`, as SIP URIs (RFC 5922 §4) and as addresses, and the key for it.
    pub(super) fn certificate(
        &self,
        addresses: &[IpAddr],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
        let refused = |error: rcgen::Error| TlsError::Key(error.to_string());
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sippresence");
        for ip in addresses {
            let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            let uri = format!("sip:{host}").try_into().map_err(refused)?;
            params.subject_alt_names.extend([SanType::URI(uri), SanType::IpAddress(*ip)]);
        }
        let certificate = params.self_signed(&self.0).map_err(refused)?;
        let private = PrivatePkcs8KeyDer::from(self.0.serialize_der());
        Ok((certificate.der().clone(), private.into()))
    }
}

/// A certificate that is shown, with its key.
pub(super) type Shown = Arc<SingleCertAndKey>;

/// Reads a certificate that an authority made for us, followed by those between it and the authority, and its key (PEM).
///
/// # Errors
/// When they are none, or do not belong together; in words.
pub(super) fn certified(provider: &CryptoProvider, chain: &[u8], key: &[u8]) -> Result<Shown, String> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("no certificate can be read: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("its key cannot be read: {error}"))?;
    shown(provider, chain, key)
}

fn shown(
    provider: &CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Shown, String> {
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| error.to_string())?;
    Ok(Arc::new(certified.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_a_restart() {
        let key = OwnKey::generate().unwrap();
        let again = OwnKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.fingerprint(), again.fingerprint());
        assert_ne!(key.fingerprint(), OwnKey::generate().unwrap().fingerprint());
        assert!(!format!("{key:?}").contains("PRIVATE"));
        let error = OwnKey::from_pem("nonsense").unwrap_err().to_string();
        assert!(error.starts_with("cannot use the key for TLS: "), "{error}");
    }
}
