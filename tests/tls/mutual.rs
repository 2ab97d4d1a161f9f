//! Both ends show who they are: watchers that are verified by a certificate of their own, and an account that shows one
//! to its server (TRN-22).

use std::os::unix::fs::PermissionsExt as _;

use rcgen::Certificate;
use sippresence::client::{Policy, Require, WatcherGrade};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::CryptoProvider,
        pki_types::{ServerName, UnixTime, pem::PemObject as _},
        server::WebPkiClientVerifier,
        sign::{CertifiedKey, SingleCertAndKey},
    },
};

use super::*;

/// Whoever is there will do.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a caller shows: a certificate, and the key that it signs with.
type Shown = (CertificateDer<'static>, KeyPair);

/// Somebody who calls by TLS and is whoever he likes.
struct Caller {
    stream: TlsStream<TcpStream>,
    local: SocketAddr,
    /// Where a NOTIFY goes, and rests.
    contact: TcpListener,
}

impl Caller {
    async fn call(uri: &str, shown: Option<Shown>, version: &'static rustls::SupportedProtocolVersion) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(Arc::clone(&provider))));
        let config = match shown {
            Some((certificate, key)) => {
                let private: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
                let key = provider.key_provider.load_private_key(private).unwrap();
                // It is not looked whether they belong together.
                let certified = CertifiedKey::new(vec![certificate], key);
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => config.with_no_client_auth(),
        };
        let at: SocketAddr = uri.split('@').nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        let stream = TcpStream::connect(at).await.unwrap();
        let local = stream.local_addr().unwrap();
        let name = ServerName::from(at.ip());
        let contact = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { stream: TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap(), local, contact }
    }

    /// Subscribes as somebody; returns the first line of the answer.
    async fn subscribe(&mut self, from: &str) -> String {
        let (local, contact) = (self.local, self.contact.local_addr().unwrap());
        let text = format!(
            "SUBSCRIBE sip:alice@127.0.0.1 SIP/2.0\nVia: SIP/2.0/TLS {local};branch=z9hG4bK1;rport\n\
             Max-Forwards: 70\nFrom: <{from}>;tag=1\nTo: <sip:alice@127.0.0.1>\nCall-ID: {local}\nCSeq: 1 SUBSCRIBE\n\
             Contact: <sip:x@{contact};transport=tls>\nEvent: presence\nExpires: 600\nContent-Length: 0\n\n"
        );
        self.stream.write_all(text.replace('\n', "\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let whole = async {
            while !answer.windows(4).any(|four| four == b"\r\n\r\n")
                && self.stream.read_buf(&mut answer).await.unwrap() > 0
            {}
        };
        timeout(PATIENCE, whole).await.unwrap();
        String::from_utf8(answer).unwrap().lines().next().unwrap_or_default().to_owned()
    }
}

impl Authority {
    fn certify(&self, names: Vec<SanType>, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Makes what somebody shows who is certified.
    fn shown(&self, names: Vec<SanType>, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let (certificate, key) = self.certify(names, change);
        (certificate.der().clone(), key)
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

async fn grade_of(alice: &PresenceClient, who: &str) -> WatcherGrade {
    let watchers = alice.watchers().await.unwrap();
    watchers.iter().find(|watcher| watcher.who == who).unwrap().grade
}

#[tokio::test]
async fn trn_22_who_shows_a_certificate_of_its_domain_is_verified_and_nobody_else_is() {
    const FROM: &str = "sip:bob@example.com";
    let (ours, other) = (Authority::new(), Authority::new());
    let (plain, none) = (|_: &mut CertificateParams| {}, Vec::new);
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![dns("example.com")];
        (params.self_signed(&key).unwrap().der().clone(), key)
    };
    let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let in_its_common_name = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "example.com");
    };
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    };
    let without_its_key = (ours.shown(vec![dns("example.com")], plain).0, KeyPair::generate().unwrap());
    let garbage = (CertificateDer::from(b"no certificate".to_vec()), KeyPair::generate().unwrap());
    for (what, shown, verified) in [
        ("a DNS name", Some(ours.shown(vec![dns("Example.COM")], plain)), true),
        ("a SIP URI", Some(ours.shown(vec![uri("sip:example.com"), dns("example.org")], plain)), true),
        ("one for servers", Some(ours.shown(vec![dns("example.com")], for_servers)), true),
        ("no certificate", None, false),
        ("a URI of another", Some(ours.shown(vec![uri("sip:example.org"), dns("example.com")], plain)), false),
        ("a URI with a user", Some(ours.shown(vec![uri("sip:eve@example.com")], plain)), false),
        ("another name", Some(ours.shown(vec![dns("sub.example.com")], plain)), false),
        ("a wildcard", Some(ours.shown(vec![dns("*.com")], plain)), false),
        ("a common name", Some(ours.shown(none(), in_its_common_name)), false),
        ("another authority", Some(other.shown(vec![dns("example.com")], plain)), false),
        ("no authority", Some(self_signed), false),
        ("one that is over", Some(ours.shown(vec![dns("example.com")], expired)), false),
        ("one without its key", Some(without_its_key), false),
        ("garbage", Some(garbage), false),
    ] {
        let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
        for version in versions {
            let alice = client("alice", ours.settings()).await;
            let shown = shown
                .as_ref()
                .map(|(certificate, key)| (certificate.clone(), KeyPair::from_pem(&key.serialize_pem()).unwrap()));
            let mut bob = Caller::call(&alice.tls_uris()[0], shown, version).await;
            // Whatever it is worth, nobody is turned away for it.
            assert_eq!(bob.subscribe(FROM).await, "SIP/2.0 200 OK", "{what}");
            let expected = if verified { WatcherGrade::Verified } else { WatcherGrade::Claimed };
            assert_eq!(grade_of(&alice, FROM).await, expected, "{what}, {version:?}");
        }
    }
}

#[tokio::test]
async fn trn_22_a_peer_whose_key_is_known_is_verified_under_its_uri_alone() {
    let (keys, alices) = (Keys::new(), OwnKey::generate().unwrap());
    let (theirs, own) = (Keys::new(), OwnKey::generate().unwrap());
    theirs.file.accept("sip:alice@127.0.0.1", alices.fingerprint()).unwrap();
    keys.file.accept("sip:bob@127.0.0.1", own.fingerprint()).unwrap();
    let mut policy = Policy::new(Action::Ask);
    policy.require = Require::Verified;
    for name in ["bob", "carol"] {
        policy.set(&format!("sip:{name}@127.0.0.1"), Action::Allow);
    }
    let alice = builder("alice", keys.settings(FirstUse::Ask).key(alices)).policy(policy).bind().await.unwrap();
    alice.presence(PresenceStatus::Busy).await.unwrap();
    let target = alice.tls_uris().remove(0);
    let own = Arc::new(own);
    let settings = || theirs.settings(FirstUse::Ask);
    for (name, tls, grade, freshness) in [
        ("bob", settings(), WatcherGrade::Address, Freshness::Pending),
        ("carol", settings().key(Arc::clone(&own)), WatcherGrade::Address, Freshness::Pending),
        ("bob", settings().key(Arc::clone(&own)), WatcherGrade::Verified, Freshness::Fresh),
    ] {
        let watching = client(name, tls).await;
        let mut watcher = watching.watch(&target).await.unwrap();
        let presence = seen(&mut watcher, |presence| presence.freshness != Freshness::Unknown).await;
        assert_eq!(presence.freshness, freshness, "{name}");
        assert_eq!(grade_of(&alice, &format!("sip:{name}@127.0.0.1")).await, grade);
        drop(watcher);
        watching.stop().await;
    }
}

/// A server that asks for certificates; what comes with it is what it was shown, and what it heard.
async fn asking(authority: &Authority, must: bool) -> (SocketAddr, tokio::task::JoinHandle<(bool, String)>) {
    let (certificate, key) = authority.certify(vec![ip("127.0.0.1")], |_| {});
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.folder.path().join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = if must { verifier } else { verifier.allow_unauthenticated() };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
            return (false, String::new());
        };
        let shown = stream.get_ref().1.peer_certificates().is_some();
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") && stream.read_buf(&mut text).await.unwrap() > 0 {}
        (shown, String::from_utf8(text).unwrap())
    });
    (at, heard)
}

#[tokio::test]
async fn trn_22_an_account_shows_its_certificate_to_its_own_server_and_to_nobody_else() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(vec![dns("example.com")], |_| {});
    let folder = tempfile::tempdir().unwrap();
    let (chain_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let settings = |server: &str| authority.settings().server(server).certificate(&chain_file, &key_file);
    let error = builder("bob", settings("127.0.0.1")).bind().await.unwrap_err().to_string();
    let place = format!("cannot use the certificate in {}: ", chain_file.display());
    assert!(error.starts_with(&place) && error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (settings, must, shown) in [
        (settings("127.0.0.1"), true, true),
        (settings("127.0.0.1"), false, true),
        (settings("example.com"), false, false),
        (authority.settings().server("127.0.0.1"), false, false),
    ] {
        let bob = client("bob", settings).await;
        let (at, heard) = asking(&authority, must).await;
        let _watcher = bob.watch(&format!("sips:alice@{at}")).await.unwrap();
        let (was_shown, text) = timeout(PATIENCE, heard).await.unwrap().unwrap();
        assert!(was_shown == shown && text.starts_with("SUBSCRIBE sips:alice@"), "{was_shown} {text}");
    }
    // Who has none is told by the server, and by us.
    let bob = client("bob", authority.settings().server("127.0.0.1")).await;
    let (at, heard) = asking(&authority, true).await;
    let (freshness, reason) = look(&bob, &format!("sips:alice@{at}")).await;
    assert_eq!(freshness, Freshness::Failed(FailureCode::Connect), "{reason}");
    assert!(reason.starts_with(&format!("no TLS with {at}: it wants to see a certificate: `cert_file`")), "{reason}");
    assert_eq!(timeout(PATIENCE, heard).await.unwrap().unwrap(), (false, String::new()));
    // A key of another certificate, and no certificate.
    std::fs::write(&key_file, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = builder("bob", settings("127.0.0.1")).bind().await.unwrap_err().to_string();
    assert!(error.starts_with(&place), "{error}");
    std::fs::write(&chain_file, "").unwrap();
    let error = builder("bob", settings("127.0.0.1")).bind().await.unwrap_err().to_string();
    assert_eq!(error, format!("{place}there is no certificate in it"));
}
