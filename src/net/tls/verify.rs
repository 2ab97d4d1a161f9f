//! The judge of certificates: a chain to an authority, then the names of RFC 5922, or a key that is known.
//!
//! Names count from subjectAltName alone: SIP URIs without a user part, and if there is none DNS names; addresses of
//! their own kind for hosts that are addresses. They are compared whole and without case, and a wildcard matches nothing
//! (RFC 5922 §7.2). The common name is never read. A server that is asked by HTTP is named as the web has it (RFC 9110
//! §4.3.4): by DNS names, of which the first label may be a wildcard, and by addresses.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use jiff::{Timestamp, tz::TimeZone};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use webpki::{EndEntityCert, KeyUsage};

use super::{Fingerprint, Known, Trust};
use crate::sip::{
    locate::PeerIdentity,
    uri::{Scheme, UriRef},
};

/// How many names of a certificate are told.
const MAX_TOLD: usize = 3;

/// The judge of one connection.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    peer: PeerIdentity,
    trust: Trust,
    /// What was found, once.
    verdict: OnceLock<Result<Option<Fingerprint>, String>>,
}

impl Verifier {
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        roots: Arc<RootCertStore>,
        peer: PeerIdentity,
        trust: Trust,
    ) -> Result<Self, String> {
        if peer.host.is_empty() {
            return Err("nobody is asked for".to_owned());
        }
        Ok(Self { provider, roots, peer, trust, verdict: OnceLock::new() })
    }

    /// Returns why the peer was not believed, if it was not.
    pub(super) fn why(&self) -> Option<String> {
        self.verdict.get()?.as_ref().err().cloned()
    }

    /// Returns the key that was taken because it is the first one seen.
    pub(super) fn taken(&self) -> Option<Fingerprint> {
        self.verdict.get().and_then(|verdict| verdict.as_ref().ok().copied().flatten())
    }

    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Option<Fingerprint>, String> {
        let host = &self.peer.host;
        let parsed = EndEntityCert::try_from(certificate);
        let parsed = parsed.map_err(|error| format!("the certificate of {host} cannot be read: {error}"))?;
        let by_authority = || {
            self.chain(&parsed, intermediates, now)?;
            names_it(&parsed, host)
        };
        match self.trust {
            Trust::Anything => Ok(None),
            Trust::Authority => by_authority().map(|()| None),
            Trust::Web => {
                self.chain(&parsed, intermediates, now)?;
                let name = ServerName::try_from(&**host).map_err(|_| format!("{host} is no host"))?;
                let named = parsed.verify_is_valid_for_subject_name(&name);
                named.map(|()| None).map_err(|_| format!("the certificate is not for {host}"))
            }
            Trust::Key(known) => {
                let found = Fingerprint::of(&parsed.subject_public_key_info());
                let who = self.peer.presentity.as_deref().unwrap_or(host);
                match known {
                    Known::Pinned(pinned) if pinned == found => Ok(None),
                    Known::Pinned(pinned) => Err(format!(
                        "the key of {who} is {found}, and was {pinned}: somebody else may be there; if it is theirs: \
                         sippresence trust accept {} {found}",
                        quoted(who)
                    )),
                    _ if by_authority().is_ok() => Ok(None),
                    Known::TakesFirst => Ok(Some(found)),
                    Known::Nothing => Err(format!(
                        "the key of {who} is not known: {found}; if it is theirs: sippresence trust accept {} {found}",
                        quoted(who)
                    )),
                }
            }
        }
    }

    /// Looks for a chain to one of our authorities that holds now.
    fn chain(&self, parsed: &EndEntityCert<'_>, more: &[CertificateDer<'_>], now: UnixTime) -> Result<(), String> {
        let host = &self.peer.host;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        let roots = &self.roots.roots;
        parsed.verify_for_usage(algorithms, roots, more, now, usage, None, None).map(drop).map_err(
            |error| match error {
                webpki::Error::CertExpired { not_after, .. } => {
                    format!("the certificate of {host} has expired on {}", date(not_after))
                }
                webpki::Error::CertNotValidYet { not_before, .. } => {
                    format!("the certificate of {host} is not valid before {}", date(not_before))
                }
                webpki::Error::UnknownIssuer
                | webpki::Error::CaUsedAsEndEntity
                | webpki::Error::InvalidSignatureForPublicKey => {
                    format!("the certificate of {host} is from nobody whom this machine or `tls.ca_file` trusts")
                }
                error => format!("the certificate of {host} is no good: {error}"),
            },
        )
    }
}

/// Looks for the identity among the names of a certificate (RFC 5922 §7.1, §7.2).
fn names_it(parsed: &EndEntityCert<'_>, host: &str) -> Result<(), String> {
    let ip: Option<IpAddr> = host.parse().ok();
    let by_uri: Vec<String> = parsed.valid_uri_names().filter_map(domain_of).collect();
    let same = |name: &String| match ip {
        Some(ip) => name.parse() == Ok(ip),
        None => name == host,
    };
    if by_uri.iter().any(same) {
        return Ok(());
    }
    if let Some(ip) = ip
        && parsed.verify_is_valid_for_subject_name(&ServerName::from(ip)).is_ok()
    {
        return Ok(());
    }
    let by_dns: Vec<String> = parsed.valid_dns_names().map(plain).collect();
    if by_uri.is_empty() && ip.is_none() && by_dns.iter().any(same) {
        return Ok(());
    }
    let told = if by_uri.is_empty() { by_dns } else { by_uri };
    // They are the peer's words.
    let mut told: Vec<String> = told.into_iter().filter(|name| is_plain(name)).collect();
    told.dedup();
    let more = if told.len() > MAX_TOLD { " and others" } else { "" };
    told.truncate(MAX_TOLD);
    let wildcard = if told.iter().any(|name| name.contains('*')) { " (a wildcard names nobody in SIP)" } else { "" };
    Err(if told.is_empty() {
        format!("the certificate does not name {host}: its subjectAltName has neither a SIP URI nor a DNS name")
    } else {
        format!("the certificate is for {}{more}, not for {host}{wildcard}", told.join(", "))
    })
}

/// Returns the domains and addresses that a certificate speaks for: those of its SIP URIs, else its DNS names (RFC 5922
/// §7.1), and the address that it is shown from.
pub(super) fn names_of(parsed: &EndEntityCert<'_>, from: IpAddr) -> Vec<Box<str>> {
    let by_uri: Vec<String> = parsed.valid_uri_names().filter_map(domain_of).collect();
    let mut names = if by_uri.is_empty() { parsed.valid_dns_names().map(plain).collect() } else { by_uri };
    if names_it(parsed, &from.to_string()).is_ok() {
        names.push(from.to_string());
    }
    names.into_iter().filter(|name| !name.contains('*')).map(String::into_boxed_str).collect()
}

/// Returns the domain that a SIP URI without a user part stands for.
fn domain_of(uri: &str) -> Option<String> {
    let uri = UriRef::parse(uri).ok().filter(|uri| uri.scheme() == Scheme::Sip && uri.user().is_none())?;
    Some(plain(uri.host_text().trim_matches(['[', ']'])))
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':' | b'*'))
}

/// Writes a URI so that a shell takes it as one word.
fn quoted(uri: &str) -> String {
    let safe = |c: u8| c.is_ascii_alphanumeric() || b"@:.-_+=,/%[]".contains(&c);
    if uri.bytes().all(safe) && !uri.contains('[') { uri.to_owned() } else { format!("'{}'", uri.replace('\'', "%27")) }
}

fn date(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "an unknown day".to_owned(), |at| at.to_zoned(TimeZone::UTC).date().to_string())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge(end_entity, intermediates, now);
        match self.verdict.get_or_init(|| verdict) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(why) => {
                let why: Box<dyn std::error::Error + Send + Sync> = why.clone().into();
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(why.into()))))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
