//! Requests of two users and of strangers, and what they are answered.

use std::{collections::BTreeMap, time::Duration};

use rand::SeedableRng as _;

use super::*;
use crate::sip::auth::{Algorithm, Digest, Hash, Qop, Use, ha1};

const RULES: &str = "/root/pres-rules/users/sip:alice@example.com/index";
const LISTS: &str = "/root/resource-lists/users/sip:alice@example.com/index";
const STATE: &str = "/root/pidf-manipulation/users/sip:alice@example.com/index";
const RULESET: &str = "<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\"/>";

#[derive(Default)]
struct Kept {
    documents: BTreeMap<Place, Bytes>,
    refuses: Option<Refusal>,
}

impl Documents for Kept {
    fn get(&self, place: &Place) -> Option<Bytes> {
        self.documents.get(place).cloned()
    }

    fn put(&mut self, place: &Place, document: Bytes) -> Result<(), Refusal> {
        self.refuses.clone().map_or(Ok(()), Err)?;
        self.documents.insert(place.clone(), document);
        Ok(())
    }

    fn remove(&mut self, place: &Place) -> Result<(), Refusal> {
        self.refuses.clone().map_or(Ok(()), Err)?;
        self.documents.remove(place);
        Ok(())
    }
}

/// A server of alice, bob and, in another domain, alice.
struct Server {
    xcap: Xcap,
    guards: Guards,
    accounts: Accounts,
    rng: StdRng,
    kept: Kept,
    seconds: u64,
}

impl Server {
    fn new() -> Self {
        let line = |user: &str, domain: &str| {
            format!("{user}@{domain} SHA-256:{}\n", *ha1(Hash::Sha256, user, domain, &format!("{user}-pw")))
        };
        let text = line("alice", "example.com") + &line("bob", "example.com") + &line("alice", "example.org");
        Self {
            xcap: Xcap::new("/root"),
            guards: Guards::new(Hash::Md5, false),
            accounts: Accounts::parse(&text, std::path::Path::new("accounts")).unwrap(),
            rng: StdRng::seed_from_u64(1),
            kept: Kept::default(),
            seconds: 100,
        }
    }

    fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
        let request = Request {
            method: method.parse().unwrap(),
            uri: path.parse().unwrap(),
            headers: HeaderMap::from_iter(fields.collect::<Vec<(header::HeaderName, _)>>()),
            body: Bytes::copy_from_slice(body.as_bytes()),
            source: [192, 0, 2, 1].into(),
        };
        let now = Instant::from_origin(Duration::from_secs(self.seconds));
        let mut access =
            Access { guards: &mut self.guards, accounts: &self.accounts, open: &[], now, rng: &mut self.rng };
        self.xcap.answer(&request, &mut access, &mut self.kept)
    }

    /// Returns the value of Authorization with which a user asks, once he was challenged.
    fn proof(&mut self, user: &str, password: &str, method: &str, path: &str) -> String {
        let refused = self.ask(method, path, &[], "");
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let challenges: Vec<&str> =
            refused.headers.get_all(header::WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(challenges.len(), 3, "the strongest first (AUT-05)");
        let part = |name: &str| {
            let (_, rest) = challenges[1].split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap()
        };
        let (realm, nonce) = (part("realm"), part("nonce"));
        let algorithm = Algorithm { hash: Hash::Sha256, session: false };
        let digest = Digest {
            algorithm,
            ha1: &ha1(Hash::Sha256, user, realm, password),
            nonce,
            usage: Some(Use { qop: Qop::Auth, nc: 1, cnonce: "c" }),
            method,
            uri: path,
            body: b"",
        };
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", response=\"{}\", \
             algorithm=SHA-256, cnonce=\"c\", qop=auth, nc=00000001",
            digest.response()
        )
    }

    /// Asks as a user.
    fn of(&mut self, user: &str, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let proof = self.proof(user, &format!("{user}-pw"), method, path);
        let fields: Vec<_> = fields.iter().copied().chain([("authorization", &*proof)]).collect();
        self.ask(method, path, &fields, body)
    }

    /// Puts a document as alice.
    fn put(&mut self, path: &str, kind: &str, body: &str) -> Answer {
        self.of("alice", "PUT", path, &[("content-type", kind)], body)
    }

    fn put_rules(&mut self, body: &str) -> Answer {
        self.put(RULES, "application/auth-policy+xml", body)
    }

    fn put_lists(&mut self, inside: &str) -> Answer {
        let body = format!("<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">{inside}</resource-lists>");
        self.put(LISTS, "application/resource-lists+xml; charset=\"utf-8\"", &body)
    }
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[track_caller]
fn is_conflict(answer: &Answer, what: &str) {
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), field(answer, "content-type")), (409, "application/xcap-error+xml"), "{body}");
    assert!(body.contains(&format!("<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><{what}")), "{body}");
    crate::presence::xml::Tree::parse(body.as_bytes(), None).unwrap();
}

#[test]
fn xcp_01_a_document_is_put_read_and_removed_by_its_path_and_no_other() {
    let mut server = Server::new();
    assert_eq!(server.of("alice", "GET", RULES, &[], "").status, 404);
    assert_eq!(server.put_rules(RULESET).status, 201);
    let read = server.of("alice", "GET", RULES, &[], "");
    assert_eq!((read.status.as_u16(), &*read.body), (200, RULESET.as_bytes()));
    assert_eq!(field(&read, "content-type"), "application/auth-policy+xml");
    assert_eq!(field(&read, "cache-control"), "private, no-cache");
    let same = RULES.replace("sip:", "").replace('@', "%40");
    assert_eq!(server.of("alice", "GET", &same, &[], "").body, read.body);
    assert_eq!(server.put_rules(RULESET).status, 200, "it is there");
    assert_eq!(server.of("alice", "DELETE", RULES, &[], "").status, 200);
    assert_eq!(server.of("alice", "DELETE", RULES, &[], "").status, 404);
    let other = RULES.replace("/index", "/other");
    assert_eq!(server.of("alice", "GET", &other, &[], "").status, 404);
    is_conflict(&server.put(&other, "application/auth-policy+xml", RULESET), "constraint-failure");
    for path in
        ["/", "/root/rls-services/users/sip:alice@example.com/index", "/pres-rules/users/sip:alice@example.com/index"]
    {
        assert_eq!(server.ask("GET", path, &[], "").status, 404, "{path}");
    }
    assert!(server.kept.documents.is_empty());
}

#[test]
fn xcp_01_parts_of_documents_are_not_offered_and_other_methods_neither() {
    let mut server = Server::new();
    for method in ["GET", "PUT", "DELETE"] {
        let part = format!("{LISTS}/~~/resource-lists/list");
        assert_eq!(server.ask(method, &part, &[], "").status, 501, "{method}");
    }
    for method in ["POST", "OPTIONS", "PATCH", "BREW"] {
        let answer = server.ask(method, LISTS, &[], "");
        assert_eq!((answer.status.as_u16(), field(&answer, "allow")), (405, "GET, HEAD, PUT, DELETE"), "{method}");
    }
}

#[test]
fn xcp_05_a_document_changes_only_as_it_was_seen() {
    let mut server = Server::new();
    let kind = ("content-type", "application/auth-policy+xml");
    let first = server.of("alice", "PUT", RULES, &[kind, ("if-none-match", "*")], RULESET);
    assert_eq!(first.status, 201);
    let tag = field(&first, "etag").to_owned();
    assert_eq!(server.of("alice", "PUT", RULES, &[kind, ("if-none-match", "*")], RULESET).status, 412);
    let read = server.of("alice", "GET", RULES, &[("if-none-match", &tag)], "");
    assert_eq!((read.status.as_u16(), field(&read, "etag"), read.body.len()), (304, tag.as_str(), 0));
    let changed = format!("{RULESET}\n");
    let second = server.of("alice", "PUT", RULES, &[kind, ("if-match", &tag)], &changed);
    assert_eq!(second.status, 200);
    let newer = field(&second, "etag").to_owned();
    assert_ne!(newer, tag);
    for (method, body) in [("PUT", RULESET), ("DELETE", ""), ("GET", "")] {
        assert_eq!(server.of("alice", method, RULES, &[kind, ("if-match", &tag)], body).status, 412, "{method}");
    }
    assert_eq!(server.of("alice", "GET", RULES, &[("if-none-match", &tag)], "").body, changed);
    assert_eq!(server.of("alice", "DELETE", RULES, &[("if-match", &newer)], "").status, 200);
    assert_eq!(server.of("alice", "PUT", RULES, &[kind, ("if-match", "*")], RULESET).status, 412, "there is none");
    assert!(server.kept.documents.is_empty());
}

#[test]
fn xcp_06_everybody_has_his_own_tree_and_no_other() {
    let mut server = Server::new();
    server.put_rules(RULESET);
    let bobs = RULES.replace("alice", "bob");
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let kind = [("content-type", "application/auth-policy+xml")];
        assert_eq!(server.ask(method, RULES, &kind, RULESET).status, 401, "{method}: unproven");
        assert_eq!(server.of("bob", method, RULES, &kind, RULESET).status, 403, "{method}: another's");
        // There is no telling who has an account.
        for nobody in ["nobody@example.com", "nobody@elsewhere.net", "Alice@example.com", "nonsense"] {
            let path = format!("/root/pres-rules/users/sip:{nobody}/index");
            assert_eq!(server.ask(method, &path, &kind, RULESET).status, 401, "{method} {nobody}");
            assert_eq!(server.of("bob", method, &path, &kind, RULESET).status, 403, "{method} {nobody}");
        }
    }
    let wrong = server.proof("alice", "bob-pw", "GET", RULES);
    assert_eq!(server.ask("GET", RULES, &[("authorization", &wrong)], "").status, 401);
    // Of one's own name in another domain one is another.
    let there = server.proof("alice", "alice-pw", "GET", &RULES.replace("example.com", "example.org"));
    assert!(there.contains("realm=\"example.org\""));
    assert_eq!(server.ask("GET", RULES, &[("authorization", &there)], "").status, 401);
    // What was proven for one document is not proven for another, and is proven once.
    let proof = server.proof("bob", "bob-pw", "GET", &bobs);
    let lists = LISTS.replace("alice", "bob");
    assert_eq!(server.ask("GET", &lists, &[("authorization", &proof)], "").status, 400);
    assert_eq!(server.ask("GET", &bobs, &[("authorization", &proof)], "").status, 404);
    assert_eq!(server.ask("GET", &bobs, &[("authorization", &proof)], "").status, 401);
    assert_eq!(server.kept.documents.len(), 1);
    for path in [
        "/root/pres-rules/users/sip:bob@example.com/../sip:alice@example.com/index",
        &bobs.replace("index", "%2e%2e/index"),
    ] {
        assert_eq!(server.ask("GET", path, &[], "").status, 404, "{path}");
    }
    server.accounts = Accounts::default();
    assert_eq!(server.ask("GET", RULES, &[], "").status, 403, "nobody can prove anything");
}

#[test]
fn xcp_06_who_guesses_has_to_wait() {
    let mut server = Server::new();
    for _ in 0..3 {
        let wrong = server.proof("alice", "guess", "GET", RULES);
        assert_eq!(server.ask("GET", RULES, &[("authorization", &wrong)], "").status, 401);
    }
    let right = server.proof("alice", "alice-pw", "GET", RULES);
    let early = server.ask("GET", RULES, &[("authorization", &right)], "");
    assert_eq!((early.status.as_u16(), field(&early, "retry-after")), (429, "2"));
    server.seconds += 2;
    assert_eq!(server.of("alice", "GET", RULES, &[], "").status, 404);
}

#[test]
fn xcp_07_what_is_offered_stands_in_a_document_for_everybody() {
    let mut server = Server::new();
    let path = "/root/xcap-caps/global/index";
    let answer = server.ask("GET", path, &[], "");
    assert_eq!((answer.status.as_u16(), field(&answer, "content-type")), (200, "application/xcap-caps+xml"));
    let tree = crate::presence::xml::Tree::parse(&answer.body, None).unwrap();
    let texts = |name: &str| -> Vec<String> {
        let part = tree.root().children().find(|part| part.name() == name).unwrap();
        part.children().map(|value| value.text().into_owned()).collect()
    };
    assert_eq!(tree.root().namespace(), "urn:ietf:params:xml:ns:xcap-caps");
    assert_eq!(texts("auids"), ["pres-rules", "resource-lists", "pidf-manipulation", "xcap-caps"]);
    assert!(texts("namespaces").contains(&"urn:ietf:params:xml:ns:resource-lists".to_owned()));
    assert_eq!(texts("extensions"), [""; 0]);
    let again = server.ask("GET", path, &[("if-none-match", field(&answer, "etag"))], "");
    assert_eq!(again.status, 304);
    assert_eq!(server.ask("PUT", path, &[], "").status, 405);
}

#[test]
fn xcp_09_names_and_entries_are_unique_in_their_place() {
    let mut server = Server::new();
    let good = "<list name=\"a\"><display-name>A</display-name><entry uri=\"sip:b@c\"><display-name>B</display-name></entry>\
                <entry-ref ref=\"x/y\"/><external anchor=\"http://h/\"/><external/><x xmlns=\"urn:x\"/>\
                <list name=\"a\"><entry uri=\"sip:b@c\"/></list></list><list name=\"b\"/><list/><list/><x xmlns=\"urn:x\"/>";
    assert_eq!(server.put_lists(good).status, 201);
    for (inside, what) in [
        ("<list name=\"a\"/><list name=\"a\"/>", "uniqueness-failure"),
        ("<list><list name=\"a\"/><list name=\"a\"/></list>", "uniqueness-failure"),
        ("<list><entry uri=\"sip:b@c\"/><entry uri=\"sip:b@c\"/></list>", "uniqueness-failure"),
        ("<list><entry-ref ref=\"a\"/><entry-ref ref=\"a\"/></list>", "uniqueness-failure"),
        ("<list><external anchor=\"a\"/><external anchor=\"a\"/></list>", "uniqueness-failure"),
        ("<list><entry/></list>", "schema-validation-error"),
        ("<list><entry uri=\" \"/></list>", "schema-validation-error"),
        ("<list><entry-ref/></list>", "schema-validation-error"),
        ("<list><person/></list>", "schema-validation-error"),
        ("<entry uri=\"sip:b@c\"/>", "schema-validation-error"),
        ("<list><x:y/></list>", "not-well-formed"),
    ] {
        is_conflict(&server.put_lists(inside), what);
    }
    is_conflict(&server.put(LISTS, "application/resource-lists+xml", RULESET), "schema-validation-error");
    let kept = server.of("alice", "GET", LISTS, &[], "").body;
    assert!(std::str::from_utf8(&kept).unwrap().contains(good), "nothing took its place");
}

#[test]
fn xcp_12_rules_are_understood_before_they_are_kept() {
    let mut server = Server::new();
    let rule = |inside: &str| RULESET.replace("/>", &format!(">{inside}</ruleset>"));
    let foreign = rule("<rule id=\"a\"><conditions><x xmlns=\"urn:x\"/></conditions></rule>");
    assert_eq!(server.put_rules(&foreign).status, 201, "what is not known grants nothing, and stays");
    for (body, what) in [
        (rule("<rule/>"), "schema-validation-error"),
        (rule("<rule id=\"a b\"/>"), "schema-validation-error"),
        (rule("<rule id=\"a\"/><rule id=\"a\"/>"), "schema-validation-error"),
        ("<ruleset/>".to_owned(), "schema-validation-error"),
        (String::new(), "not-well-formed"),
        ("<ruleset".to_owned(), "not-well-formed"),
        (rule("&nbsp;"), "not-well-formed"),
        (format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{RULESET}"), "constraint-failure"),
        ("<a>".repeat(100) + &"</a>".repeat(100), "constraint-failure"),
        (format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{RULESET}"), "not-utf-8"),
    ] {
        is_conflict(&server.put_rules(&body), what);
    }
    for kind in ["application/xml", "application/resource-lists+xml", ""] {
        assert_eq!(server.put(RULES, kind, RULESET).status, 415, "{kind}");
    }
    assert_eq!(server.of("alice", "GET", RULES, &[], "").body, foreign);
    server.kept.refuses = Some(Refusal::Later(7));
    let later = server.put_rules(RULESET);
    assert_eq!((later.status.as_u16(), field(&later, "retry-after")), (503, "7"));
    assert_eq!(server.of("alice", "DELETE", RULES, &[], "").status, 503);
    server.kept.refuses = Some(Refusal::Constraint("there are \"too many\"".into()));
    is_conflict(&server.put_rules(RULESET), "constraint-failure phrase=\"there are &quot;too many&quot;\"");
}

#[test]
fn xcp_11_state_that_stays_is_of_whose_tree_it_is_in() {
    let mut server = Server::new();
    let state = |entity: &str| {
        format!(
            "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{entity}\"><tuple id=\"a\"><status><basic>closed\
             </basic></status></tuple></presence>"
        )
    };
    let kind = "application/pidf+xml";
    for entity in ["pres:alice@example.com", "sip:alice@EXAMPLE.com"] {
        assert!(server.put(STATE, kind, &state(entity)).status.is_success(), "{entity}");
    }
    for entity in ["pres:bob@example.com", "sip:alice@example.org", ""] {
        is_conflict(&server.put(STATE, kind, &state(entity)), "constraint-failure");
    }
    is_conflict(&server.put(STATE, kind, "<presence/>"), "schema-validation-error");
    assert_eq!(server.of("alice", "GET", STATE, &[], "").body, state("sip:alice@EXAMPLE.com"));
}
