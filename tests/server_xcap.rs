//! Our own client, and the commands that use it, at our own server of documents.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ports;
#[path = "cli/support.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod support;

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use sippresence::{
    client::{
        Login, PasswordSource, Secret, TlsSettings,
        xcap::{If, Usage, Xcap as Client, XcapError},
    },
    net::{
        clock::Clock,
        http::serve::{Ask, Limits, serve},
        stream::TcpListener,
        tls::Tls,
    },
    server::{
        accounts::{Accounts, Guards, add},
        xcap::{Access, Documents, Place, Refusal, Usage as Kind, Xcap},
    },
    sip::auth::Hash,
};
use support::Home;
use tokio::sync::mpsc;

type Kept = Arc<Mutex<BTreeMap<Place, Bytes>>>;

struct Shared(Kept);

impl Documents for Shared {
    fn get(&self, place: &Place) -> Option<Bytes> {
        self.0.lock().unwrap().get(place).cloned()
    }

    fn put(&mut self, place: &Place, document: Bytes) -> Result<(), Refusal> {
        self.0.lock().unwrap().insert(place.clone(), document);
        Ok(())
    }

    fn remove(&mut self, place: &Place) -> Result<(), Refusal> {
        self.0.lock().unwrap().remove(place);
        Ok(())
    }
}

/// A server of documents in a thread of its own, until the test ends.
struct Server {
    root: String,
    kept: Kept,
}

impl Server {
    fn start(tls: Option<Tls>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        for user in ["alice", "bob"] {
            add(&path, &format!("{user}@sip.test").parse().unwrap(), &format!("{user}-pw")).unwrap();
        }
        let accounts = Accounts::load(&path).unwrap();
        let (kept, (told, root)) = (Kept::default(), std::sync::mpsc::channel());
        let documents = Arc::clone(&kept);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                let scheme = if tls.is_some() { "https" } else { "http" };
                told.send(format!("{scheme}://{}/xcap-root", listener.local_addr())).unwrap();
                let (asks, asked) = mpsc::channel(8);
                let serving = serve(listener, tls.map(Arc::new), asks, Limits::default());
                let (served, ()) = tokio::join!(serving, own(asked, accounts, documents));
                served.unwrap();
            });
        });
        Self { root: root.recv().unwrap(), kept }
    }

    fn kept(&self, user: &str, usage: Kind) -> Option<String> {
        let place = Place { owner: format!("{user}@sip.test").parse().unwrap(), usage };
        self.kept.lock().unwrap().get(&place).map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    fn put(&self, user: &str, usage: Kind, body: &str) {
        let place = Place { owner: format!("{user}@sip.test").parse().unwrap(), usage };
        self.kept.lock().unwrap().insert(place, Bytes::copy_from_slice(body.as_bytes()));
    }

    fn client(&self, user: &str, owner: &str, tls: TlsSettings) -> Client {
        let login = Login::new(user, PasswordSource::known(Secret::new(format!("{user}-pw"))));
        Client::new(&self.root, &format!("sip:{owner}@sip.test"), Some(login), tls).unwrap()
    }

    /// Makes a home whose account has its documents here.
    fn home(&self, user: &str) -> Home {
        let home = Home::new(user);
        let password = home.path("password");
        fs::write(&password, format!("{user}-pw\n")).unwrap();
        fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
        home.config(&format!(
            "[account.{user}]\naddress = \"sip:{user}@sip.test\"\noutbound_proxy = \"sip:127.0.0.1\"\npassword_file = \"{}\"\n\
             xcap = {:?}\n",
            password.display(),
            self.root
        ));
        home
    }
}

/// What the owner of the state does.
async fn own(mut asked: mpsc::Receiver<Ask>, accounts: Accounts, documents: Kept) {
    let (xcap, mut guards, mut rng) = (Xcap::new("/xcap-root"), Guards::new(Hash::Md5, false), rand::make_rng());
    let mut documents = Shared(documents);
    while let Some(Ask { request, answer }) = asked.recv().await {
        let mut access =
            Access { guards: &mut guards, accounts: &accounts, open: &[], now: Clock::now(), rng: &mut rng };
        // Whoever asked may be gone.
        let _ = answer.send(xcap.answer(&request, &mut access, &mut documents));
    }
}

/// Runs a command; returns its code and its words.
fn ended(home: &Home, args: &[&str]) -> (i32, String) {
    let finished = home.run(&[&["--no-agent"], args].concat());
    (finished.code, finished.out + &finished.err)
}

const RULES: &str = "<?xml version=\"1.0\"?>\n<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" \
                     xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\">\n  <cr:rule id=\"phone\">\n    <cr:conditions>\
                     <cr:identity><cr:one id=\"sip:bob@sip.test\"/></cr:identity></cr:conditions>\n    <cr:actions>\
                     <pr:sub-handling>allow</pr:sub-handling></cr:actions>\n  </cr:rule>\n</cr:ruleset>\n";

#[tokio::test(flavor = "multi_thread")]
async fn xcp_05_and_06_our_client_reads_writes_and_removes_what_is_its_own() {
    let server = Server::start(None);
    let mut alice = server.client("alice", "alice", TlsSettings::default());
    assert_eq!(alice.get(Usage::PresRules).await.unwrap(), None);
    let rules = Bytes::from_static(RULES.as_bytes());
    let first = alice.put(Usage::PresRules, rules.clone(), If::Absent).await.unwrap().unwrap();
    let read = alice.get(Usage::PresRules).await.unwrap().unwrap();
    assert_eq!((read.etag.as_deref(), &read.body), (Some(&*first), &rules));
    let error = alice.put(Usage::PresRules, rules.clone(), If::Absent).await.unwrap_err();
    assert!(matches!(error, XcapError::Changed), "{error}");
    let changed = Bytes::from(RULES.replace("phone", "tablet"));
    let second = alice.put(Usage::PresRules, changed, If::Is(&first)).await.unwrap().unwrap();
    assert!(matches!(alice.delete(Usage::PresRules, If::Is(&first)).await.unwrap_err(), XcapError::Changed));
    alice.delete(Usage::PresRules, If::Is(&second)).await.unwrap();
    assert_eq!(server.kept("alice", Kind::PresRules), None);

    let error = alice.put(Usage::PresRules, Bytes::from_static(b"<ruleset/>"), If::Any).await.unwrap_err().to_string();
    assert!(error.contains("it does not fit the schema: its root is no ruleset"), "{error}");
    let long = Bytes::from(format!("<!--{}-->{RULES}", "x".repeat(128 * 1024)));
    assert!(matches!(alice.put(Usage::PresRules, long, If::Any).await.unwrap_err(), XcapError::TooLarge));
    // The next request goes by another connection.
    alice.put(Usage::PresRules, rules, If::Any).await.unwrap();

    let mut bob = server.client("bob", "alice", TlsSettings::default());
    assert!(matches!(bob.get(Usage::PresRules).await.unwrap_err(), XcapError::Refused(403)));
    let wrong = Login::new("alice", PasswordSource::known(Secret::new("guess")));
    let mut guesser = Client::new(&server.root, "sip:alice@sip.test", Some(wrong), TlsSettings::default()).unwrap();
    assert!(matches!(guesser.get(Usage::PresRules).await.unwrap_err(), XcapError::Unproven(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn xcp_06_the_same_goes_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let path: PathBuf = folder.path().join("chain.pem");
    fs::write(&path, &chain).unwrap();
    let tls =
        Tls::new(None).unwrap().serving_certified(&path, chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let server = Server::start(Some(tls));
    assert!(server.root.starts_with("https://"));
    let mut alice = server.client("alice", "alice", TlsSettings::default().ca_file(&path));
    alice.put(Usage::PresRules, Bytes::from_static(RULES.as_bytes()), If::Absent).await.unwrap();
    assert_eq!(server.kept("alice", Kind::PresRules).as_deref(), Some(RULES));
    let mut distrustful = server.client("alice", "alice", TlsSettings::default());
    assert!(matches!(distrustful.get(Usage::PresRules).await.unwrap_err(), XcapError::Http(_)));
}

#[test]
fn xcp_09_the_buddy_list_is_pushed_and_pulled() {
    let server = Server::start(None);
    let (here, there) = (server.home("bob"), server.home("bob"));
    assert_eq!(
        ended(&here, &["buddies", "pull"]),
        (0, "the server has no list of yours; `sippresence buddies push` puts yours there\n".to_owned())
    );
    here.run(&["buddies", "add", "alice@sip.test", "--group", "team", "--name", "Alice & \"co\""]);
    here.run(&["buddies", "add", "carol@sip.test"]);
    let pushed = ended(&here, &["buddies", "push"]);
    assert_eq!(pushed, (0, "2 added, 0 taken off, 0 renamed on the server's list\n".to_owned()));
    let exported = here.run(&["buddies", "export", "--to", "xml"]).out;
    assert_eq!(server.kept("bob", Kind::ResourceLists), Some(exported));
    assert_eq!(ended(&here, &["buddies", "push"]), (0, "the server has your list as it is\n".to_owned()));
    assert_eq!(ended(&there, &["buddies", "pull"]), (0, "2 added, 0 changed, 0 as they were\n".to_owned()));
    there.run(&["buddies", "remove", "carol"]);
    there.run(&["buddies", "group", "@friends", "alice@sip.test"]);
    let pushed = ended(&there, &["buddies", "push"]);
    assert_eq!(pushed, (0, "1 added, 1 taken off, 0 renamed on the server's list\n".to_owned()));
    // What others changed and was not seen here is not overwritten.
    assert_eq!(ended(&here, &["buddies", "push"]).0, 12);
    assert_eq!(ended(&here, &["buddies", "pull"]).0, 0);
    here.run(&["buddies", "remove", "carol"]);
    assert_eq!(ended(&here, &["buddies", "push"]), (0, "the server has your list as it is\n".to_owned()));
}

#[test]
fn xcp_12_the_policy_is_pushed_and_pulled() {
    let server = Server::start(None);
    let (here, there) = (server.home("alice"), server.home("alice"));
    let policy = |home: &Home| fs::read_to_string(home.path("config/sippresence/policy.toml")).unwrap();
    fs::write(
        here.path("config/sippresence/policy.toml"),
        "block = [\"bob@sip.test\"]\nallow = [\"carol@sip.test\"]\n",
    )
    .unwrap();
    server.put("alice", Kind::PresRules, RULES);
    assert_eq!(ended(&here, &["policy", "push"]).0, 12, "rules of another program were not seen yet");
    assert_eq!(server.kept("alice", Kind::PresRules).as_deref(), Some(RULES));
    assert_eq!(ended(&here, &["policy", "pull"]).0, 0);
    let (code, words) = ended(&here, &["policy", "push"]);
    assert_eq!(code, 0, "{words}");
    let kept = server.kept("alice", Kind::PresRules).unwrap();
    assert!(kept.contains("id=\"phone\"") && kept.contains("id=\"sippresence-block\""), "{kept}");
    assert_eq!(ended(&there, &["policy", "pull"]).0, 0);
    assert!(policy(&there).contains("sip:bob@sip.test") && policy(&there).contains("sip:carol@sip.test"));
    let (code, words) = ended(&there, &["watchers", "polite-block", "dave@sip.test"]);
    assert_eq!(code, 0, "{words}");
    assert!(server.kept("alice", Kind::PresRules).unwrap().contains("id=\"sippresence-polite-block\""));
    fs::write(here.path("password"), "wrong\n").unwrap();
    let (code, words) = ended(&here, &["policy", "pull"]);
    assert!(code == 4 && words.contains("the password for realm \"sip.test\" is wrong"), "{code} {words}");
}
