use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::client::Secret;

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"sip.test\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256\r\n";

/// Gives these answers, each on a connection of its own, and returns what was asked.
async fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}/root", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(read_request(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (root, asked)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut piece).await.unwrap();
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length == 0 || body.len() >= wanted.map_or(0, |wanted| wanted.parse().unwrap()) {
                return text;
            }
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A client of alice's whose password is asked for so often.
fn alice(root: &str, realm: Option<&str>) -> (Xcap, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let source = PasswordSource::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Secret::new("alice-pw")))
    });
    let mut login = Login::new("alice", source);
    if let Some(realm) = realm {
        login = login.realm(realm);
    }
    let xcap = Xcap::new(root, "sip:alice@sip.test", Some(login), TlsSettings::default()).unwrap();
    (xcap.limit(Duration::from_secs(5)), asked)
}

fn field<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {request}"))
}

#[tokio::test]
async fn a_document_is_read_with_its_tag_and_none_is_none() {
    let found = answer("200 OK", "ETag: \"1\"\r\n", "<a/>");
    let weak = answer("200 OK", "ETag: W/\"1\"\r\n", "<a/>");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n<a\r\n2\r\n/>\r\n0\r\n\r\n".to_owned();
    let (root, asked) = server(vec![found, weak, chunked, answer("404 Not Found", "", "")]).await;
    let (mut xcap, passwords) = alice(&format!("{root}/"), None);
    let mut read = async || xcap.get(Usage::ResourceLists).await.unwrap();
    let body = Bytes::from_static(b"<a/>");
    assert_eq!(read().await, Some(Document { etag: Some("\"1\"".into()), body: body.clone() }));
    assert_eq!(read().await, Some(Document { etag: None, body: body.clone() }));
    assert_eq!(read().await, Some(Document { etag: None, body }));
    assert_eq!(read().await, None);
    let asked = asked.await.unwrap();
    assert!(
        asked[0].starts_with("GET /root/resource-lists/users/sip:alice@sip.test/index HTTP/1.1\r\n"),
        "{}",
        asked[0]
    );
    assert!(root.ends_with(&format!("{}/root", field(&asked[0], "host"))));
    assert_eq!(passwords.load(Ordering::Relaxed), 0, "nobody wanted it");
}

#[tokio::test]
async fn aut_06_a_challenge_is_answered_once_and_its_nonce_used_again() {
    let (root, asked) = server(vec![
        answer("401 Unauthorized", CHALLENGE, ""),
        answer("200 OK", "ETag: \"1\"\r\n", "<a/>"),
        answer("200 OK", "ETag: \"2\"\r\n", ""),
        answer("401 Unauthorized", &CHALLENGE.replace("n1", "n2\", stale=\"true"), ""),
        answer("412 Precondition Failed", "", ""),
    ])
    .await;
    let (mut xcap, passwords) = alice(&root, None);
    xcap.get(Usage::PresRules).await.unwrap();
    let tag = xcap.put(Usage::PresRules, Bytes::from_static(b"<b/>"), If::Is("\"1\"")).await.unwrap();
    assert_eq!(tag.as_deref(), Some("\"2\""));
    let error = xcap.put(Usage::PresRules, Bytes::from_static(b"<c/>"), If::Absent).await.unwrap_err();
    assert!(matches!(error, XcapError::Changed), "{error}");
    let asked = asked.await.unwrap();
    let proofs: Vec<&str> = asked[1..].iter().map(|request| field(request, "authorization")).collect();
    let begin = "Digest username=\"alice\", realm=\"sip.test\", nonce=\"n1\", \
                 uri=\"/root/pres-rules/users/sip:alice@sip.test/index\", response=\"";
    assert!(proofs[0].starts_with(begin) && proofs[0].ends_with("qop=auth, nc=00000001"), "{}", proofs[0]);
    assert!(proofs[0].contains("algorithm=SHA-256"), "{}", proofs[0]);
    assert!(proofs[1].ends_with("nc=00000002") && proofs[2].ends_with("nc=00000003"), "{proofs:?}");
    assert!(proofs[3].contains("nonce=\"n2\"") && proofs[3].ends_with("nc=00000001"), "{proofs:?}");
    assert_eq!(passwords.load(Ordering::Relaxed), 1);
    assert!(!asked[0].contains("authorization"));
    assert_eq!(field(&asked[2], "if-match"), "\"1\"");
    assert_eq!(field(&asked[2], "content-type"), "application/auth-policy+xml");
    assert!(asked[2].ends_with("\r\n\r\n<b/>"));
    assert_eq!(field(&asked[4], "if-none-match"), "*");
    assert!(asked[4].ends_with("\r\n\r\n<c/>"), "{}", asked[4]);
}

#[tokio::test]
async fn aut_03_a_wrong_password_is_sent_once_and_an_endless_challenge_thrice() {
    let refusals = |challenge: &str| (0..3).map(|_| answer("401 Unauthorized", challenge, "")).collect::<Vec<_>>();
    let (root, _) = server(refusals(CHALLENGE)).await;
    let error = alice(&root, None).0.get(Usage::ResourceLists).await.unwrap_err();
    assert!(matches!(&error, XcapError::Unproven(Why::WrongPassword(realm)) if **realm == *"sip.test"), "{error}");
    let (root, asked) = server(refusals(&CHALLENGE.replace("qop", "stale=true, qop"))).await;
    let error = alice(&root, None).0.get(Usage::ResourceLists).await.unwrap_err();
    assert!(matches!(error, XcapError::Unproven(Why::Endless)), "{error}");
    assert_eq!(asked.await.unwrap().len(), 3);
}

#[tokio::test]
async fn aut_12_the_password_is_for_the_accounts_own_realm_and_a_server_without_challenge_gets_none() {
    let (root, _) = server(vec![answer("401 Unauthorized", CHALLENGE, "")]).await;
    let (mut xcap, passwords) = alice(&root, Some("elsewhere"));
    let error = xcap.get(Usage::ResourceLists).await.unwrap_err();
    assert!(matches!(error, XcapError::Unproven(Why::ForeignRealm { .. })), "{error}");
    assert_eq!(passwords.load(Ordering::Relaxed), 0);
    let basic = "WWW-Authenticate: Basic realm=\"sip.test\"\r\n";
    let (root, _) =
        server(vec![answer("401 Unauthorized", basic, ""), answer("401 Unauthorized", CHALLENGE, "")]).await;
    let (mut xcap, passwords) = alice(&root, None);
    let error = xcap.get(Usage::ResourceLists).await.unwrap_err();
    assert!(matches!(error, XcapError::Unproven(Why::Unsupported)), "{error}");
    assert_eq!(passwords.load(Ordering::Relaxed), 0);
    let mut nobody = Xcap::new(&root, "sip:alice@sip.test", None, TlsSettings::default()).unwrap();
    assert!(matches!(nobody.get(Usage::ResourceLists).await.unwrap_err(), XcapError::NoPassword));
}

#[tokio::test]
async fn aut_12_nobody_is_followed_elsewhere() {
    let (elsewhere, never) = server(vec![answer("200 OK", "", "<a/>")]).await;
    let (root, _) = server(vec![answer("302 Found", &format!("Location: {elsewhere}/x\r\n"), "")]).await;
    let error = alice(&root, None).0.get(Usage::ResourceLists).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the server says that the documents are elsewhere: {elsewhere}/x"));
    assert!(!never.is_finished(), "it was not asked");
    never.abort();
}

#[tokio::test]
async fn each_refusal_is_told_in_plain_words() {
    for (status, words) in [
        ("403 Forbidden", "the server does not let you at this document (HTTP 403)"),
        ("404 Not Found", "the server knows no such user or no such kind of document (HTTP 404)"),
        ("405 Method Not Allowed", "the server does not let documents be changed (HTTP 405)"),
        ("409 Conflict", "the server does not take the document: it does not say why"),
        ("412 Precondition Failed", "the document was changed there by another program"),
        ("413 Too Large", "the document is longer than 1 MiB"),
        ("415 Unsupported Media Type", "the server does not know this kind of document (HTTP 415)"),
        ("418 I'm a teapot", "the server refuses (HTTP 418)"),
        ("500 Server Error", "the server failed (HTTP 500)"),
        ("503 Service Unavailable", "the server is busy (HTTP 503)"),
    ] {
        let (root, _) = server(vec![answer(status, "", "")]).await;
        let mut xcap = alice(&root, None).0;
        let error = xcap.put(Usage::ResourceLists, Bytes::from_static(b"<a/>"), If::Any).await.unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[tokio::test]
async fn a_document_is_taken_away_and_one_that_is_not_there_too() {
    let (root, asked) = server(vec![answer("200 OK", "", ""), answer("404 Not Found", "", "")]).await;
    let mut xcap = alice(&root, None).0;
    xcap.delete(Usage::PresRules, If::Is("\"1\"")).await.unwrap();
    xcap.delete(Usage::PresRules, If::Any).await.unwrap();
    assert!(asked.await.unwrap()[0].starts_with("DELETE /root/pres-rules/"));
}

#[tokio::test]
async fn sec_01_an_answer_without_end_is_given_up_and_so_is_silence() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(MAX_BODY + 1));
    let (root, _) = server(vec![long]).await;
    let error = alice(&root, None).0.get(Usage::ResourceLists).await.unwrap_err();
    assert_eq!(error.to_string(), "the answer of 127.0.0.1 is longer than 1 MiB");

    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<a/>".to_owned();
    let (root, _) = server(vec![cut, "SIP/2.0 200 OK\r\n\r\n".to_owned(), String::new()]).await;
    for _ in 0..3 {
        let error = alice(&root, None).0.get(Usage::ResourceLists).await.unwrap_err().to_string();
        assert!(error.starts_with("127.0.0.1 broke off: "), "{error}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let mut xcap = alice(&root, None).0.limit(Duration::from_millis(50));
    let error = xcap.get(Usage::ResourceLists).await.unwrap_err().to_string();
    assert_eq!(error, "127.0.0.1 gave no answer for 50ms");
    drop(listener);
    let error = xcap.get(Usage::ResourceLists).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to 127.0.0.1:"), "{error}");
}

#[test]
fn an_address_is_one_segment_of_a_path() {
    let xcap = |root: &str, address: &str| Xcap::new(root, address, None, TlsSettings::default());
    let made = xcap("https://h:8443/r/", "sip:a/b?c%20d;x=é@h").unwrap();
    assert_eq!(made.uri(Usage::PresRules), "https://h:8443/r/pres-rules/users/sip:a%2Fb%3Fc%2520d;x=%C3%A9@h/index");
    for bad in ["", "h", "ftp://h/", "http:///x", "http://h/?q", "http://"] {
        assert!(xcap(bad, "sip:a@h").is_err(), "{bad}");
    }
    for (root, clear) in [
        ("https://h", false),
        ("http://h", true),
        ("http://192.0.2.1:80/x", true),
        ("http://127.0.0.1:80/x", false),
        ("http://[::1]/x", false),
        ("http://localhost", false),
    ] {
        assert_eq!(xcap(root, "sip:a@h").unwrap().is_in_clear(), clear, "{root}");
    }
}
