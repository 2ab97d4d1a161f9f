//! Certificates of every kind before the judge, made for the purpose and judged at a time of our choice.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring;

use super::*;
use crate::net::tls::OwnKey;

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Authority { certificate, issuer: Issuer::new(params, key) }
}

fn san(name: &str) -> SanType {
    match name.split_once(' ').unwrap() {
        ("uri", uri) => SanType::URI(uri.try_into().unwrap()),
        ("dns", name) => SanType::DnsName(name.try_into().unwrap()),
        ("ip", ip) => SanType::IpAddress(ip.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

impl Authority {
    /// A certificate with these names and a common name.
    fn issue(&self, names: &[&str], common: &str, years: (i32, i32)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }
}

/// Judges on the first day of 2026.
fn judged(
    roots: &[&Authority],
    certificate: &CertificateDer<'_>,
    peer: PeerIdentity,
    trust: Trust,
) -> Result<Option<Fingerprint>, String> {
    let mut store = RootCertStore::empty();
    for authority in roots {
        store.add(authority.certificate.clone()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let judge = Verifier::new(provider, Arc::new(store), peer, trust).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_hours(490_896));
    judge.judge(certificate, &[], now)
}

fn named(names: &[&str], common: &str, host: &str) -> Result<(), String> {
    let authority = authority();
    let certificate = authority.issue(names, common, (2020, 2030));
    judged(&[&authority], &certificate, PeerIdentity::of_host(host), Trust::Authority).map(drop)
}

#[test]
fn trn_18_names_count_from_the_alternative_name_in_the_order_of_rfc_5922() {
    for (names, host) in [
        (&["uri sip:example.com"][..], "example.com"),
        (&["uri sip:EXAMPLE.com"], "Example.Com"),
        (&["uri sip:other.org", "uri sip:example.com"], "example.com"),
        (&["dns example.com"], "example.com"),
        (&["dns Example.COM"], "example.com."),
        // A URI of somebody is none of the domain, so the DNS name counts.
        (&["uri sip:alice@example.org", "dns example.com"], "example.com"),
        (&["uri https://example.org", "dns example.com"], "example.com"),
        (&["ip 192.0.2.1"], "192.0.2.1"),
        (&["ip 2001:db8::1"], "2001:DB8:0::1"),
        (&["uri sip:[2001:db8::1]"], "[2001:db8::1]"),
        (&["uri sip:192.0.2.1", "dns example.com"], "192.0.2.1"),
        (&["uri sip:example.com", "ip 192.0.2.1"], "192.0.2.1"),
    ] {
        assert_eq!(named(names, "another.org", host), Ok(()), "{names:?} for {host}");
    }
}

#[test]
fn trn_18_trn_19_other_names_are_refused_in_words() {
    let wildcard = "(a wildcard names nobody in SIP)";
    for (names, common, host, words) in [
        (&["dns other.org"][..], "example.com", "example.com", "is for other.org, not for example.com"),
        (&["uri sip:other.org", "dns example.com"], "", "example.com", "is for other.org, not for example.com"),
        (&["dns *.example.com"], "", "pres.example.com", wildcard),
        (&["uri sip:*.example.com"], "", "pres.example.com", "does not name pres.example.com"),
        (&["dns example.com"], "", "pres.example.com", "not for pres.example.com"),
        (&["dns pres.example.com"], "", "example.com", "not for example.com"),
        (&[], "example.com", "example.com", "does not name example.com: its subjectAltName has neither"),
        (&["uri sips:example.com"], "", "example.com", "does not name example.com"),
        (&["uri sip:alice@example.com"], "", "example.com", "does not name example.com"),
        (&["dns 192.0.2.1"], "", "192.0.2.1", "does not name 192.0.2.1"),
        (&["ip 192.0.2.2"], "", "192.0.2.1", "does not name 192.0.2.1"),
        (&["dns a.org", "dns b.org", "dns c.org", "dns d.org"], "", "e.org", "for a.org, b.org, c.org and others, not"),
    ] {
        let error = named(names, common, host).unwrap_err();
        assert!(error.contains(words), "{names:?} for {host}: {error}");
    }
}

#[test]
fn a_server_of_the_web_has_the_names_of_the_web_and_needs_an_authority() {
    let (ours, theirs) = (authority(), authority());
    let judged = |authority: &Authority, names: &[&str], host| {
        let certificate = authority.issue(names, "xcap.example.com", (2020, 2030));
        judged(&[&ours], &certificate, PeerIdentity::of_host(host), Trust::Web).map(drop)
    };
    for (names, host) in [
        (&["dns xcap.example.com"][..], "xcap.example.com"),
        (&["dns *.example.com"], "xcap.example.com"),
        (&["uri sip:other.org", "dns xcap.example.com"], "xcap.example.com"),
        (&["ip 127.0.0.1"], "127.0.0.1"),
        (&["ip ::1"], "[::1]"),
    ] {
        assert_eq!(judged(&ours, names, host), Ok(()), "{names:?} for {host}");
    }
    for (names, host) in [
        (&["dns *.example.com"][..], "a.b.example.com"),
        (&["dns *.example.com"], "example.com"),
        (&["uri sip:xcap.example.com"], "xcap.example.com"),
        (&["dns 127.0.0.1"], "127.0.0.1"),
    ] {
        assert_eq!(judged(&ours, names, host), Err(format!("the certificate is not for {host}")), "{names:?}");
    }
    let error = judged(&theirs, &["dns xcap.example.com"], "xcap.example.com").unwrap_err();
    assert!(error.contains("from nobody whom this machine"), "{error}");
}

#[test]
fn trn_18_a_chain_has_to_lead_to_an_authority_of_ours_and_hold_now() {
    // The other one calls itself by the same name.
    let (ours, other) = (authority(), authority());
    let judge = |certificate: &CertificateDer<'_>| {
        judged(&[&ours], certificate, PeerIdentity::of_host("example.com"), Trust::Authority).map(drop)
    };
    let names = &["dns example.com"];
    assert_eq!(judge(&ours.issue(names, "", (2020, 2030))), Ok(()));
    for (certificate, words) in [
        (ours.issue(names, "", (2020, 2025)), "the certificate of example.com has expired on 2025-01-01"),
        (ours.issue(names, "", (2027, 2030)), "the certificate of example.com is not valid before 2027-01-01"),
        (other.issue(names, "", (2020, 2030)), "is from nobody whom this machine or `tls.ca_file` trusts"),
        (other.certificate.clone(), "is from nobody whom this machine or `tls.ca_file` trusts"),
        (CertificateDer::from(vec![0x30, 0]), "the certificate of example.com cannot be read"),
    ] {
        let error = judge(&certificate).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn sec_04_an_insecure_account_takes_any_certificate() {
    let certificate = authority().issue(&[], "", (2020, 2021));
    assert_eq!(judged(&[], &certificate, PeerIdentity::of_host("example.com"), Trust::Anything), Ok(None));
}

#[test]
fn trn_21_a_key_is_trusted_when_it_is_known_and_never_when_it_changed() {
    let (key, other) = (OwnKey::generate().unwrap(), OwnKey::generate().unwrap());
    let (certificate, _) = key.certificate(&["192.0.2.20".parse().unwrap()]).unwrap();
    let bob = || PeerIdentity { presentity: Some("sip:bob@192.0.2.99".into()), ..PeerIdentity::of_host("192.0.2.99") };
    let judge = |known| judged(&[], &certificate, bob(), Trust::Key(known));
    let (ours, others) = (key.fingerprint(), other.fingerprint());
    // The pin is of the key: the certificate may name another address.
    assert_eq!(judge(Known::Pinned(ours)), Ok(None));
    assert_eq!(judge(Known::TakesFirst), Ok(Some(ours)));
    let error = judge(Known::Nothing).unwrap_err();
    let line = format!("sippresence trust accept sip:bob@192.0.2.99 {ours}");
    assert!(error.contains("is not known") && error.ends_with(&line), "{error}");
    let error = judge(Known::Pinned(others)).unwrap_err();
    assert!(error.contains(&format!("is {ours}, and was {others}")) && error.ends_with(&line), "{error}");
    assert!(judged(&[], &certificate, bob(), Trust::Authority).is_err());
}

#[test]
fn trn_21_whom_an_authority_vouches_for_needs_no_key() {
    let authority = authority();
    let certificate = authority.issue(&["ip 192.0.2.99"], "", (2020, 2030));
    let bob = PeerIdentity { presentity: Some("sip:bob@192.0.2.99".into()), ..PeerIdentity::of_host("192.0.2.99") };
    assert_eq!(judged(&[&authority], &certificate, bob, Trust::Key(Known::Nothing)), Ok(None));
}

#[test]
fn a_uri_in_words_is_one_word_to_a_shell() {
    for (uri, word) in [
        ("sip:bob@192.0.2.1", "sip:bob@192.0.2.1"),
        ("sip:bob@[::1]", "'sip:bob@[::1]'"),
        ("sip:$(x)'&@h.local", "'sip:$(x)%27&@h.local'"),
    ] {
        assert_eq!(quoted(uri), word);
    }
}
