//! Kamailio's XCAP server (RFC 4825): documents and rules that we put there, and that others put there.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
};

use md5::{Digest as _, Md5};
use serde_json::Value;

use super::{
    kamailio::{AgentOf, ended, watch},
    server::{Server, WITH_XCAP, XCAP_BY_TLS},
    support::{Home, PATIENCE, Peer, Test},
};

pub(crate) const TESTS: &[Test] = &[
    ("kamailio::keeps_a_users_documents_by_xcap", keeps),
    ("kamailio::keeps_the_list_for_all_programs_of_a_user", shares),
    ("kamailio::keeps_what_another_program_put_there_until_it_was_seen", unseen),
    ("kamailio::refuses_documents_in_plain_words", refuses),
    ("kamailio::pol_15_obeys_what_is_decided_about_live_watchers", decides),
    ("kamailio::pol_17_obeys_rules_that_were_pushed_without_an_agent", pushes),
    ("kamailio::keeps_rules_that_were_not_seen_and_they_are_pulled", pulls),
    ("kamailio::pol_17_takes_rules_and_they_are_pulled_when_another_program_changed_them", shares_rules),
    ("kamailio::keeps_the_list_under_tls_whose_authority_is_known", shares_by_tls),
];

/// Another client than ours: one request on one connection, with digest when the server asks for it.
pub(super) struct Other<'a> {
    pub(super) server: &'a Server,
    pub(super) user: &'a str,
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
    pub(super) fn put(&self, auid: &str, body: &str) {
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
        // In clear text, which Kamailio speaks beside TLS.
        let port = if self.server.is_ours() { self.server.xcap_port } else { self.server.port };
        let kind = if path.contains("/pres-rules/") { "auth-policy" } else { "resource-lists" };
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: application/{kind}+xml\r\n") };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{kind}{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
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
    let server = Server::start(peer, WITH_XCAP);
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

/// Makes a home whose account has its documents at the server.
fn home(server: &Server, user: &str) -> Home {
    server.home(&[user], &format!("xcap = \"http://127.0.0.1:{}/xcap-root/\"\n", server.xcap_port))
}

fn buddies(home: &Home) -> String {
    std::fs::read_to_string(home.path("config/sippresence/buddies.toml")).unwrap_or_default()
}

fn shares(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (here, there) = (home(&server, "bob"), home(&server, "bob"));
    let other = Other { server: &server, user: "bob" };
    let (code, _, err) = ended(&here, &["buddies", "pull"]);
    assert_eq!(
        (code, err.as_str()),
        (0, "the server has no list of yours; `sippresence buddies push` puts yours there\n")
    );
    here.run(&["buddies", "add", "alice@sip.test", "--group", "team", "--name", "Alice & \"co\""]);
    here.run(&["buddies", "add", "carol@sip.test"]);
    let (code, out, err) = ended(&here, &["buddies", "push", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "+ Alice & \"co\" alice@sip.test @team\n+ carol carol@sip.test\n");
    assert_eq!(other.get("resource-lists").code, 404, "nothing is done yet");
    let (code, _, err) = ended(&here, &["buddies", "push"]);
    assert_eq!((code, err.as_str()), (0, "2 added, 0 taken off, 0 renamed on the server's list\n"));
    assert_eq!(other.get("resource-lists").body, here.run(&["buddies", "export", "--to", "xml"]));
    let (code, _, err) = ended(&here, &["buddies", "push"]);
    assert_eq!((code, err.as_str()), (0, "the server has your list as it is\n"));

    let (code, _, err) = ended(&there, &["buddies", "pull"]);
    assert_eq!((code, err.as_str()), (0, "2 added, 0 changed, 0 as they were\n"));
    assert!(buddies(&there).contains("groups = [\"team\"]"), "{}", buddies(&there));
    there.run(&["buddies", "remove", "carol"]);
    there.run(&["buddies", "group", "@friends", "alice@sip.test"]);
    let (code, _, err) = ended(&there, &["buddies", "push"]);
    assert_eq!((code, err.as_str()), (0, "1 added, 1 taken off, 0 renamed on the server's list\n"));

    // What others took off or put on is told and taken in, and nothing here is lost.
    let (code, _, err) = ended(&here, &["buddies", "push"]);
    assert_eq!(code, 12, "{err}");
    let before = buddies(&here);
    let (code, _, err) = ended(&here, &["buddies", "pull", "--dry-run"]);
    assert_eq!((code, buddies(&here)), (0, before), "{err}");
    assert_eq!(ended(&here, &["buddies", "push"]).0, 12, "that was no look");
    let (code, _, err) = ended(&here, &["buddies", "pull"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("0 added, 1 changed, 0 as they were"), "{err}");
    assert!(err.contains("carol@sip.test is not on the server's list any more and stays on yours"), "{err}");
    here.run(&["buddies", "remove", "carol"]);
    let (code, _, err) = ended(&here, &["buddies", "push"]);
    assert_eq!((code, err.as_str()), (0, "the server has your list as it is\n"));
}

fn unseen(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let bob = home(&server, "bob");
    let other = Other { server: &server, user: "bob" };
    let theirs = "<?xml version=\"1.0\"?>\n<r:resource-lists xmlns:r=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:x=\"urn:x\">\n  \
                  <x:colours/>\n  <r:list name=\"friends\">\n    <r:entry uri=\"sip:carol@sip.test\"><x:photo/></r:entry>\n    \
                  <r:external anchor=\"http://h/x\"/>\n  </r:list>\n</r:resource-lists>\n";
    other.put("resource-lists", theirs);
    bob.run(&["buddies", "add", "alice@sip.test", "--group", "friends"]);
    let (code, _, err) = ended(&bob, &["buddies", "push"]);
    assert_eq!(code, 12, "{err}");
    assert!(err.starts_with("sippresence: the server has a list that you have not seen yet\nhint: "), "{err}");
    assert_eq!(other.get("resource-lists").body, theirs);
    let (code, _, err) = ended(&bob, &["buddies", "pull"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("left out: 1 references") && err.contains("1 added"), "{err}");
    assert_eq!(ended(&bob, &["buddies", "push"]).0, 0);
    let added =
        "    <r:entry uri=\"sip:alice@sip.test\">\n      <r:display-name>alice</r:display-name>\n    </r:entry>\n";
    let ours = theirs.replace("  </r:list>", &format!("{added}  </r:list>"));
    assert_eq!(other.get("resource-lists").body, ours, "what we do not know stays");

    // Another program changes it, takes it away, and puts it there again as it was.
    let changed = ours.replace("<x:colours/>", "<x:colours red=\"1\"/>");
    other.put("resource-lists", &changed);
    bob.run(&["buddies", "remove", "carol@sip.test"]);
    let (code, _, err) = ended(&bob, &["buddies", "push"]);
    assert_eq!(code, 12, "{err}");
    assert!(
        err.starts_with("sippresence: another program changed the server's list, and you have not seen that yet\n"),
        "{err}"
    );
    assert_eq!(other.get("resource-lists").body, changed);
    assert_eq!(other.ask("DELETE", &other.path("resource-lists"), "", "").code, 200);
    let (code, _, err) = ended(&bob, &["buddies", "push"]);
    assert_eq!(code, 12, "{err}");
    assert!(err.contains("another program took the list off the server"), "{err}");
    other.put("resource-lists", &ours);
    assert_eq!(ended(&bob, &["buddies", "push"]).0, 0, "it is as we saw it");
    let gone = ours.replace("    <r:entry uri=\"sip:carol@sip.test\"><x:photo/></r:entry>\n", "");
    assert_eq!(other.get("resource-lists").body, gone);
}

fn refuses(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let bob = home(&server, "bob");
    bob.run(&["buddies", "add", "alice@sip.test"]);
    let said = |expected: i32, words: &str| {
        let (code, out, err) = ended(&bob, &["buddies", "push"]);
        assert!(code == expected && out.is_empty() && err.contains(words), "{code} {out}{err}");
    };
    std::fs::write(bob.path("bob.pw"), "wrong\n").unwrap();
    said(4, "the server wants a proof of who you are: the password for realm \"sip.test\" is wrong");
    std::fs::remove_file(bob.path("bob.pw")).unwrap();
    said(3, "no password: ");
    let config = bob.path("config/sippresence/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let is_password = |line: &&str| line.starts_with("password_file");
    let without: Vec<&str> = text.lines().filter(|line| !is_password(line)).collect();
    std::fs::write(&config, without.join("\n")).unwrap();
    said(3, "the server wants a password, and the account has none");
    let carols = text.replace("sip:bob@", "sip:carol@").replace("[account.bob]", "[account.bob]\nauth_user = \"bob\"");
    std::fs::write(&config, carols).unwrap();
    std::fs::write(bob.path("bob.pw"), "bob-pw\n").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(bob.path("bob.pw"), closed).unwrap();
    said(5, "the server does not let you at this document (HTTP 403)");
    std::fs::write(&config, text.replace("/xcap-root/", "/elsewhere")).unwrap();
    said(8, "the server knows no such user or no such kind of document (HTTP 404)");
    std::fs::write(&config, text.replace("xcap = ", "#")).unwrap();
    said(2, "account bob has no `xcap`");
    std::fs::write(&config, text).unwrap();
    drop(server);
    said(7, "cannot connect to 127.0.0.1:");
}

fn shares_by_tls(peer: &Peer) {
    let server = Server::start(peer, XCAP_BY_TLS);
    let xcap = format!("xcap = \"https://127.0.0.1:{}/xcap-root\"\n", server.xcap_port);
    let (knows, knows_not) =
        (server.home_by_tls("bob", "ca.pem", &xcap), server.home_by_tls("bob", "other-ca.pem", &xcap));
    for home in [&knows, &knows_not] {
        home.run(&["buddies", "add", "alice@sip.test"]);
    }
    let (code, _, err) = ended(&knows_not, &["buddies", "push"]);
    assert_eq!(code, 7, "{err}");
    assert!(
        err.contains("the certificate of 127.0.0.1 is from nobody whom this machine or `tls.ca_file` trusts"),
        "{err}"
    );
    let (code, _, err) = ended(&knows, &["buddies", "push"]);
    assert_eq!((code, err.as_str()), (0, "1 added, 0 taken off, 0 renamed on the server's list\n"));
    if !server.is_ours() {
        assert!(Other { server: &server, user: "bob" }.get("resource-lists").body.contains("sip:alice@sip.test"));
    }
    let there = server.home_by_tls("bob", "ca.pem", &xcap);
    assert_eq!(ended(&there, &["buddies", "pull"]).0, 0);
    assert!(buddies(&there).contains("sip:alice@sip.test"), "{}", buddies(&there));
}

fn decides(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (alice, bob) = (home(&server, "alice"), home(&server, "bob"));
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy", "--note", "meeting"]);
    let mut seen = watch(&bob, "alice");
    seen.line("nobody decided yet", |line| line["freshness"] == "pending");
    let (code, _, err) = ended(&alice, &["watchers", "allow", "bob@sip.test"]);
    assert_eq!((code, err.as_str()), (0, "bob@sip.test may see you\n"));
    seen.line("it is allowed", |line| line["freshness"] == "fresh" && line["note"] == "meeting");
    let (code, _, err) = ended(&alice, &["watchers", "block", "bob@sip.test"]);
    assert_eq!(code, 0, "{err}");
    seen.line("it is refused", |line| line["freshness"] == "rejected");

    // What another program decides meanwhile is not overwritten.
    let other = Other { server: &server, user: "alice" };
    let theirs = other.get("pres-rules").body.replace("sip:bob@sip.test", "sip:carol@sip.test");
    other.put("pres-rules", &theirs);
    let (code, _, err) = ended(&alice, &["watchers", "allow", "bob@sip.test"]);
    assert_eq!(code, 10, "{err}");
    assert!(
        err.contains("it is decided here, and a server does not know it yet; that of alice: another program"),
        "{err}"
    );
    assert_eq!(other.get("pres-rules").body, theirs);
    let (code, _, err) = ended(&alice, &["policy", "pull"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.starts_with("carol@sip.test: block\nbob@sip.test was decided about here and there; "), "{err}");
    let (code, _, err) = ended(&alice, &["policy", "push", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = ended(&alice, &["policy", "push"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "1 change to the server's rules\n"));
    let rules = other.get("pres-rules").body;
    assert_eq!(rules, alice.run(&["policy", "export"]));
    assert!(
        rules.contains("<one id=\"sip:carol@sip.test\"/>") && rules.contains("<one id=\"sip:bob@sip.test\"/>"),
        "{rules}"
    );
}

fn pushes(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (alice, bob, carol) = (home(&server, "alice"), home(&server, "bob"), home(&server, "carol"));
    alice.run(&["--no-agent", "set", "busy", "--note", "meeting"]);
    let (mut to_bob, mut to_carol) = (watch(&bob, "alice"), watch(&carol, "alice"));
    for seen in [&mut to_bob, &mut to_carol] {
        seen.line("nobody decided yet", |line| line["freshness"] == "pending");
    }
    // Whom no list names gets what the default says, and who is named not.
    alice.write("policy.toml", "default = \"allow\" # nearly all\nblock = [\"bob@sip.test\"]\n");
    let (code, out, err) = ended(&alice, &["policy", "push", "--dry-run"]);
    assert_eq!((code, out.as_str()), (0, "+ block sip:bob@sip.test\n~ allow everybody else\n"), "{err}");
    assert_eq!(ended(&alice, &["policy", "push"]).2, "2 changes to the server's rules\n");
    to_bob.line("it is refused", |line| line["freshness"] == "rejected");
    to_carol.line("it is allowed", |line| line["freshness"] == "fresh" && line["note"] == "meeting");
    // Directly, where no agent runs.
    let (code, _, err) = ended(&alice, &["watchers", "polite-block", "carol@sip.test"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        Other { server: &server, user: "alice" }.get("pres-rules").body.contains("id=\"sippresence-polite-block\"")
    );
    assert_eq!(ended(&alice, &["policy", "push"]).2, "the server has your rules as they are\n");
}

fn pulls(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (here, there) = (home(&server, "alice"), home(&server, "alice"));
    let other = Other { server: &server, user: "alice" };
    let phone = "<?xml version=\"1.0\"?>\n<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" \
                 xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\">\n  <cr:rule id=\"phone\">\n    <cr:conditions><cr:identity>\
                 <cr:one id=\"sip:bob@sip.test\"/></cr:identity></cr:conditions>\n    <cr:actions><pr:sub-handling>allow\
                 </pr:sub-handling></cr:actions>\n  </cr:rule>\n</cr:ruleset>\n";
    other.put("pres-rules", phone);
    here.write("policy.toml", "# mine\nallow = [\"carol@sip.test\"] # a friend\n");
    let (code, _, err) = ended(&here, &["policy", "push"]);
    assert_eq!(code, 12, "{err}");
    assert_eq!(other.get("pres-rules").body, phone);
    let (code, _, err) = ended(&here, &["policy", "pull"]);
    assert_eq!(
        (code, err.as_str()),
        (
            0,
            "note: rules of other programs hold at the server alone: phone; `policy pull --all` takes them in\n\
             nothing to take in\n"
        )
    );
    let (code, _, err) = ended(&here, &["policy", "push"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("note: rules of other programs stay there (1) and may let in whom yours do not"), "{err}");
    let rule = &phone[phone.find("  <cr:rule id").unwrap()..phone.find("</cr:ruleset>").unwrap()];
    assert!(other.get("pres-rules").body.contains(rule), "{:?}", other.get("pres-rules"));

    assert_eq!(ended(&there, &["policy", "pull"]).0, 0);
    let policy = |home: &Home| std::fs::read_to_string(home.path("config/sippresence/policy.toml")).unwrap();
    assert!(policy(&there).ends_with("allow = [\"sip:carol@sip.test\"]\n"), "{}", policy(&there));
    there.run(&["watchers", "block", "carol@sip.test"]);
    let (code, out, err) = ended(&here, &["policy", "pull", "--dry-run"]);
    assert_eq!((code, out.as_str()), (0, "carol@sip.test: block\n"), "{err}");
    let (code, _, err) = ended(&here, &["policy", "pull"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(policy(&here), "# mine\nallow = [] # a friend\nblock = [\"sip:carol@sip.test\"]\n");
}

fn shares_rules(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (alice, bob, carol) = (home(&server, "alice"), home(&server, "bob"), home(&server, "carol"));
    alice.run(&["--no-agent", "set", "busy", "--note", "meeting"]);
    alice.write(
        "policy.toml",
        "# mine\nblock = [\"carol@sip.test\"]\n\n[[rule]] # here\nid = \"home\"\nwho = [\"*@sip.test\"] # all\naction = \
         \"allow\"\nshow = [\"status\"]\n",
    );
    let (code, out, err) = ended(&alice, &["policy", "push", "--dry-run"]);
    assert_eq!((code, out.as_str()), (0, "+ block sip:carol@sip.test\n+ rule home\n~ ask everybody else\n"), "{err}");
    let (code, _, err) = ended(&alice, &["policy", "push"]);
    assert_eq!(
        (code, err.as_str()),
        (
            0,
            "3 changes to the server's rules\nnote: the server may show everything to those of rule home\n\
             note: the server may show everything to other domains than rule home names\n"
        )
    );
    // The list comes before the rule there too; and what the rule shows is not heeded by Kamailio, as was told.
    let (mut to_bob, mut to_carol) = (watch(&bob, "alice"), watch(&carol, "alice"));
    let note = if server.is_ours() { Value::Null } else { "meeting".into() };
    to_bob.line("the rule lets in", |line| line["freshness"] == "fresh" && line["note"] == note);
    to_carol.line("the list refuses", |line| line["freshness"] == "rejected");

    // Another program changes ours, and has one of its own.
    let other = Other { server: &server, user: "alice" };
    let rules = other.get("pres-rules").body;
    let theirs = "<rule id=\"theirs\"><conditions><identity><one id=\"sip:dave@sip.test\"/></identity></conditions><actions>\
                  <p:sub-handling xmlns:p=\"urn:ietf:params:xml:ns:pres-rules\">polite-block</p:sub-handling></actions></rule>\
                  <rule id=\"odd\"><conditions><x:when xmlns:x=\"urn:x\"/></conditions></rule>\n</ruleset>";
    let changed = rules.replace("<sp:provide-status>true", "<sp:provide-status>false").replace("</ruleset>", theirs);
    other.put("pres-rules", &changed);
    assert_eq!(ended(&alice, &["policy", "push"]).0, 12);
    let (code, _, err) = ended(&alice, &["policy", "pull", "--all"]);
    assert_eq!(
        (code, err.as_str()),
        (
            10,
            "rule home: changed\nrule theirs: new\nnote: not taken in of rule odd: {urn:x}when\n2 changes to your policy\n"
        )
    );
    let policy = std::fs::read_to_string(alice.path("config/sippresence/policy.toml")).unwrap();
    assert_eq!(
        policy,
        "# mine\nblock = [\"carol@sip.test\"]\n\n[[rule]] # here\nid = \"home\"\nwho = [\"*@sip.test\"] # all\naction = \
         \"allow\"\nshow = []\n\n[[rule]]\nid = \"theirs\"\nwho = [\"dave@sip.test\"]\naction = \"polite-block\"\n"
    );
    assert_eq!(ended(&alice, &["policy", "push"]).0, 0);
    let after = other.get("pres-rules").body;
    assert!(after.contains(theirs) && after.contains("id=\"sippresence-rule-theirs\""), "{after}");
}
