//! TLS over real sockets: certificates by their authority and by their key, and peers that speak none (TRN-17 to TRN-22).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutual;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use sippresence::client::{
    Action, FailureCode, Fingerprint, FirstUse, Freshness, OwnKey, Presence, PresenceClient, PresenceStatus,
    PresenceWatcher, TlsSettings, TrustedKeys,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor, rustls,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);

fn builder(user: &str, tls: TlsSettings) -> sippresence::client::ClientBuilder {
    PresenceClient::builder(&format!("sip:{user}@127.0.0.1")).any_port().default_action(Action::Allow).tls(tls)
}

async fn client(user: &str, tls: TlsSettings) -> PresenceClient {
    builder(user, tls).bind().await.unwrap()
}

async fn seen(watcher: &mut PresenceWatcher, wanted: impl Fn(&Presence) -> bool) -> Presence {
    timeout(PATIENCE, async {
        loop {
            let presence = watcher.recv().await.unwrap();
            if wanted(&presence) {
                return presence;
            }
        }
    })
    .await
    .unwrap()
}

/// Looks once; returns how sure the state is, and why no more.
async fn look(client: &PresenceClient, target: &str) -> (Freshness, String) {
    let mut watcher = client.fetch(target).await.unwrap();
    let known = |presence: &Presence| presence.freshness != Freshness::Unknown;
    let presence = seen(&mut watcher, known).await;
    let reason = presence.state.subscription.as_ref().and_then(|info| info.reason.clone());
    (presence.freshness, reason.unwrap_or_default())
}

const UNTRUSTED: Freshness = Freshness::Failed(FailureCode::Untrusted);

struct Keys {
    _folder: TempDir,
    file: TrustedKeys,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustedKeys::new(folder.path().join("trusted-keys"));
        Self { _folder: folder, file }
    }

    fn settings(&self, first_use: FirstUse) -> TlsSettings {
        TlsSettings::default().trusted_keys(self.file.clone(), first_use)
    }
}

/// Alice with a key of hers, and its fingerprint.
async fn alice() -> (PresenceClient, String, Fingerprint) {
    let key = OwnKey::generate().unwrap();
    let fingerprint = key.fingerprint();
    let alice = client("alice", TlsSettings::default().key(key)).await;
    alice.presence(PresenceStatus::Busy).await.unwrap();
    let uri = alice.tls_uris().remove(0);
    (alice, uri, fingerprint)
}

#[tokio::test]
async fn trn_21_a_peer_without_an_authority_is_trusted_once_its_key_is_accepted() {
    let (alice, uri, fingerprint) = alice().await;
    let keys = Keys::new();
    let bob = client("bob", keys.settings(FirstUse::Ask)).await;
    let (freshness, reason) = look(&bob, &uri).await;
    assert_eq!(freshness, UNTRUSTED);
    let line = format!("sippresence trust accept sip:alice@127.0.0.1 {fingerprint}");
    assert!(reason.ends_with(&line), "{reason}");
    // It counts at once, and lasts while states change: they come by the connection that bob opened.
    keys.file.accept("sip:alice@127.0.0.1", fingerprint).unwrap();
    let mut watcher = bob.watch(&uri).await.unwrap();
    seen(&mut watcher, |presence| presence.status == PresenceStatus::Busy).await;
    alice.presence(PresenceStatus::Away).await.unwrap();
    let presence = seen(&mut watcher, |presence| presence.status == PresenceStatus::Away).await;
    assert_eq!(presence.freshness, Freshness::Fresh);
}

#[tokio::test]
async fn trn_21_another_key_is_refused_in_every_mode_and_both_are_named() {
    let (_alice, uri, fingerprint) = alice().await;
    let keys = Keys::new();
    let other = OwnKey::generate().unwrap().fingerprint();
    keys.file.accept("sip:alice@127.0.0.1", other).unwrap();
    for first_use in [FirstUse::Ask, FirstUse::Pin, FirstUse::Never] {
        let bob = client("bob", keys.settings(first_use)).await;
        let (freshness, reason) = look(&bob, &uri).await;
        assert_eq!(freshness, UNTRUSTED);
        assert!(reason.contains(&format!("is {fingerprint}, and was {other}")), "{reason}");
    }
    assert_eq!(keys.file.of("sip:alice@127.0.0.1").unwrap(), Some(other));
}

#[tokio::test]
async fn trn_21_the_first_key_is_taken_where_that_is_wanted_and_never_for_sips() {
    let (_alice, uri, fingerprint) = alice().await;
    let keys = Keys::new();
    let bob = client("bob", keys.settings(FirstUse::Pin)).await;
    let secure = uri.replace("sip:", "sips:").replace(";transport=tls", "");
    let (freshness, reason) = look(&bob, &secure).await;
    assert_eq!(freshness, UNTRUSTED);
    assert!(reason.contains("is from nobody whom this machine or `tls.ca_file` trusts"), "{reason}");
    assert_eq!(keys.file.list().unwrap(), []);
    assert_eq!(look(&bob, &uri).await.0, Freshness::Fresh);
    timeout(PATIENCE, async {
        while keys.file.of("sip:alice@127.0.0.1").unwrap() != Some(fingerprint) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    let never = client("carol", Keys::new().settings(FirstUse::Never)).await;
    assert_eq!(look(&never, &uri).await.0, UNTRUSTED);
}

/// An authority, in a file as `ca_file` wants it.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a test");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings::default().ca_file(self.folder.path().join("ca.pem"))
    }

    /// Listens with a certificate for `name`; what the first peer says is returned by the task.
    async fn serve(&self, name: SanType) -> (SocketAddr, tokio::task::JoinHandle<Result<String, String>>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let private: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
            let mut stream = accepted.map_err(|error| error.to_string())?;
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\n") && stream.read_buf(&mut text).await.unwrap() > 0 {}
            Ok(String::from_utf8(text).unwrap())
        });
        (at, heard)
    }
}

fn ip(ip: &str) -> SanType {
    SanType::IpAddress(ip.parse().unwrap())
}

#[tokio::test]
async fn trn_18_whom_an_authority_vouches_for_gets_the_request_and_an_address_to_answer_by_tls() {
    let authority = Authority::new();
    let bob = client("bob", authority.settings()).await;
    let own = bob.tls_uris().remove(0);
    let port = own.split(':').nth(2).unwrap().trim_end_matches(";transport=tls");
    for (scheme, parameter, contact) in [
        ("sip", ";transport=tls", format!("Contact: <{own}>\r\n")),
        ("sips", "", format!("Contact: <sips:bob@127.0.0.1:{port}>\r\n")),
    ] {
        let (at, heard) = authority.serve(ip("127.0.0.1")).await;
        let _watcher = bob.watch(&format!("{scheme}:alice@{at}{parameter}")).await.unwrap();
        let text = timeout(PATIENCE, heard).await.unwrap().unwrap().unwrap();
        assert!(text.starts_with(&format!("SUBSCRIBE {scheme}:alice@")), "{text}");
        assert!(text.contains(&format!("Via: SIP/2.0/TLS 127.0.0.1:{port};branch=")), "{text}");
        assert!(text.contains(";alias;keep\r\n") && text.contains(&contact), "{text}");
    }
}

#[tokio::test]
async fn trn_18_trn_20_nobody_else_gets_anything() {
    let authority = Authority::new();
    let (stranger, bob) = (client("bob", TlsSettings::default()).await, client("bob", authority.settings()).await);
    for (client, name, words) in [
        (&stranger, ip("127.0.0.1"), "is from nobody whom this machine or `tls.ca_file` trusts"),
        (&bob, ip("127.0.0.2"), "does not name 127.0.0.1"),
        (&bob, SanType::DnsName("example.com".try_into().unwrap()), "is for example.com, not for 127.0.0.1"),
    ] {
        let (at, heard) = authority.serve(name).await;
        let (freshness, reason) = look(client, &format!("sips:alice@{at}")).await;
        assert_eq!(freshness, UNTRUSTED);
        assert!(reason.contains(words), "{reason}");
        timeout(PATIENCE, heard).await.unwrap().unwrap().unwrap_err();
    }
    // By name it is the name that counts, not the address that it leads to.
    let (at, _heard) = authority.serve(ip("127.0.0.1")).await;
    let (freshness, reason) = look(&bob, &format!("sips:alice@localhost:{}", at.port())).await;
    assert_eq!(freshness, UNTRUSTED);
    assert!(reason.contains("does not name localhost"), "{reason}");
}

#[tokio::test]
async fn sec_04_an_insecure_server_is_taken_whoever_it_is_and_nobody_else_is() {
    let authority = Authority::new();
    let careless = TlsSettings::default().server("127.0.0.1").insecure(true);
    let bob = client("bob", careless).await;
    let (at, heard) = authority.serve(ip("192.0.2.1")).await;
    let _watcher = bob.watch(&format!("sips:alice@{at}")).await.unwrap();
    timeout(PATIENCE, heard).await.unwrap().unwrap().unwrap();
    let (at, _heard) = authority.serve(ip("192.0.2.1")).await;
    assert_eq!(look(&bob, &format!("sips:alice@localhost:{}", at.port())).await.0, UNTRUSTED);
}

#[tokio::test]
async fn trn_17_who_has_no_tls_or_an_old_one_is_an_error_and_gets_nothing_in_clear_text() {
    // An alert "protocol version" of TLS 1.1, and an answer in SIP.
    let old: &[u8] = &[0x15, 3, 2, 0, 2, 2, 70];
    for answer in [old, b"SIP/2.0 400 Bad Request\r\n\r\n", b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let udp = tokio::net::UdpSocket::bind(at).await.unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = vec![0; 5];
            stream.read_exact(&mut first).await.unwrap();
            stream.write_all(answer).await.unwrap();
            drop(stream);
            // Whoever tries otherwise comes again, or by UDP.
            let again = timeout(Duration::from_millis(200), listener.accept()).await.is_ok();
            (first, again)
        });
        let bob = client("bob", TlsSettings::default()).await;
        let (freshness, reason) = look(&bob, &format!("sips:alice@{at}")).await;
        assert_eq!(freshness, Freshness::Failed(FailureCode::Connect));
        assert!(reason.starts_with(&format!("no TLS with {at}: ")), "{reason}");
        let (first, again) = heard.await.unwrap();
        assert_eq!((first[0], again), (0x16, false), "a handshake, and nothing after it");
        assert!(udp.try_recv(&mut [0; 64]).is_err());
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_is_told_at_the_start() {
    let tls = TlsSettings::default().ca_file(Path::new("/nonexistent/ca.pem"));
    let error = builder("bob", tls).bind().await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read certificates from /nonexistent/ca.pem: "), "{error}");
}
