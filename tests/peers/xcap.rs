//! Kamailio's XCAP server (RFC 4825): documents and rules that we put there, and that others put there.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
};

use md5::{Digest as _, Md5};

use super::{
    kamailio::{Kamailio, WITH_XCAP},
    support::{PATIENCE, Peer, Test},
};

pub(crate) const TESTS: &[Test] = &[("kamailio::keeps_a_users_documents_by_xcap", keeps)];

/// Another client than ours: one request on one connection, with digest when the server asks for it.
struct Other<'a> {
    server: &'a Kamailio,
    user: &'a str,
}

/// What the server says.
#[derive(Debug)]
struct Answer {
    code: u16,
    /// By lower-case name.
    headers: BTreeMap<String, String>,
    body: String,
}

impl Other<'_> {
    /// The path of one of the user's documents.
    fn path(&self, auid: &str) -> String {
        format!("/xcap-root/{auid}/users/sip:{}@sip.test/index", self.user)
    }

    fn get(&self, auid: &str) -> Answer {
        self.ask("GET", &self.path(auid), "", "")
    }

    #[track_caller]
    fn put(&self, auid: &str, body: &str) {
        let answer = self.ask("PUT", &self.path(auid), "", body);
        assert!(matches!(answer.code, 200 | 201), "{answer:?}");
    }

    /// Asks, with more headers than the usual.
    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let first = self.ask_once(method, path, more, body);
        let Some(challenge) = first.headers.get("www-authenticate").filter(|_| first.code == 401) else { return first };
        let value = |name: &str| {
            let at = challenge.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name}: {challenge}"));
            challenge[at + name.len() + 2..].split('"').next().unwrap()
        };
        let (user, realm, nonce) = (self.user, value("realm"), value("nonce"));
        let ha1 = md5(&format!("{user}:{realm}:{user}-pw"));
        let response = md5(&format!("{ha1}:{nonce}:00000001:c:auth:{}", md5(&format!("{method}:{path}"))));
        let proof = format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", \
             qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n{more}"
        );
        self.ask_once(method, path, &proof, body)
    }

    fn ask_once(&self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let port = self.server.port;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // It closes after each answer.
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {answer}"));
        let mut lines = head.lines();
        let code = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Answer { code, headers, body: body.to_owned() }
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn keeps(peer: &Peer) {
    let server = Kamailio::start(peer, WITH_XCAP);
    let bob = Other { server: &server, user: "bob" };
    assert_eq!(bob.get("resource-lists").code, 404, "nothing is there");
    assert_eq!(bob.ask_once("GET", &bob.path("resource-lists"), "", "").code, 401);
    let lists = "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"/>";
    bob.put("resource-lists", lists);
    let answer = bob.get("resource-lists");
    assert_eq!((answer.code, answer.body.as_str()), (200, lists), "{answer:?}");
    let (tag, path) = (&answer.headers["etag"], bob.path("resource-lists"));
    assert_eq!(bob.ask("GET", &path, &format!("If-None-Match: {tag}\r\n"), "").code, 304);
    assert_eq!(bob.ask("PUT", &path, "If-Match: \"other\"\r\n", lists).code, 412);
    let carol = Other { server: &server, user: "carol" };
    assert_eq!(carol.ask("GET", &path, "", "").code, 403, "they are bob's");
}
