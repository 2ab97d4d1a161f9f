//! Documents of users, by XCAP, and what they bring about at once.

use std::time::Duration;

use bytes::Bytes;
use sippresence::{
    net::http::{Answer, HeaderMap, HeaderValue, StatusCode, header, serve::Request},
    presence::policy::{Action, Policy, pres_rules},
    server::{domain::Outbox, store::Table, xcap::Xcap},
    sip::auth::{Algorithm, Digest, Hash, Qop, Use, ha1},
};

use crate::{
    site::{DOMAIN, Site, document, open, place},
    world::{moment, secs},
};

impl Site {
    fn http(&mut self, method: &str, path: &str, fields: &[(header::HeaderName, String)], body: &str) -> Answer {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let request = Request {
            method: method.parse().unwrap(),
            uri: path.parse().unwrap(),
            headers: HeaderMap::from_iter(fields.collect::<Vec<_>>()),
            body: Bytes::copy_from_slice(body.as_bytes()),
            source: place("alice").ip(),
        };
        let (xcap, mut out) = (Xcap::new("/xcap-root"), Outbox::default());
        let (answer, _) = self.domain.document_asked(&xcap, &request, moment(self.time()), &mut out);
        for record in out.records {
            match record.value {
                Some(value) => drop(self.disk.insert((record.table, record.key), value)),
                None => drop(self.disk.remove(&(record.table, record.key))),
            }
        }
        self.pass(Duration::ZERO);
        answer
    }

    /// Asks for a document as somebody.
    pub(crate) fn document(&mut self, user: &str, method: &str, auid: &str, kind: &str, body: &str) -> StatusCode {
        let path = format!("/xcap-root/{auid}/users/sip:{user}@{DOMAIN}/index");
        let challenged = self.http(method, &path, &[], body);
        assert_eq!(challenged.status, StatusCode::UNAUTHORIZED);
        let line = challenged.headers.get_all(header::WWW_AUTHENTICATE).iter().nth(1).unwrap().to_str().unwrap();
        let nonce = line.split_once("nonce=\"").unwrap().1.split('"').next().unwrap();
        let digest = Digest {
            algorithm: Algorithm { hash: Hash::Sha256, session: false },
            ha1: &ha1(Hash::Sha256, user, DOMAIN, &format!("{user}-pw")),
            nonce,
            usage: Some(Use { qop: Qop::Auth, nc: 1, cnonce: "c" }),
            method,
            uri: &path,
            body: b"",
        };
        let proof = format!(
            "Digest username=\"{user}\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{path}\", response=\"{}\", \
             algorithm=SHA-256, cnonce=\"c\", qop=auth, nc=00000001",
            digest.response()
        );
        self.http(method, &path, &[(header::AUTHORIZATION, proof), (header::CONTENT_TYPE, kind.to_owned())], body)
            .status
    }

    /// Has somebody keep rules of some program.
    pub(crate) fn put_rules(&mut self, user: &str, rules: &str) {
        let body = format!(
            "<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns=\"urn:ietf:params:xml:ns:common-policy\" \
             xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\">{rules}</cr:ruleset>"
        );
        let status = self.document(user, "PUT", "pres-rules", "application/auth-policy+xml", &body);
        assert!(status.is_success(), "{status}");
    }

    /// Has somebody keep lists as this program writes them.
    pub(crate) fn put_lists(&mut self, user: &str, listed: &[(&str, &str)]) {
        let mut policy = Policy::new(Action::Ask);
        for (who, action) in listed {
            let who = if who.contains('@') { format!("sip:{who}") } else { format!("sip:{who}@{DOMAIN}") };
            policy.set(&who, action.parse().unwrap());
        }
        let status =
            self.document(user, "PUT", "pres-rules", "application/auth-policy+xml", &pres_rules::write(&policy));
        assert!(status.is_success(), "{status}");
    }
}

#[test]
fn xcp_12_rules_are_in_force_at_once_and_gone_with_their_document() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.subscribe("bob", "alice");
    assert!(site.one("bob").header("Subscription-State").starts_with("pending"));
    site.put_rules(
        "alice",
        "<rule id=\"all\"><conditions><identity><many domain=\"example.test\"/></identity></conditions><actions>\
         <pr:sub-handling>allow</pr:sub-handling></actions><transformations><pr:provide-services><pr:all-services/>\
         </pr:provide-services><pr:provide-note>true</pr:provide-note></transformations></rule>",
    );
    assert!(site.one("bob").body().contains("in town"));
    assert_eq!(site.rows(Table::Documents), 1);
    let status = site.document("alice", "DELETE", "pres-rules", "", "");
    assert_eq!(status, StatusCode::OK);
    assert!(site.one("bob").header("Subscription-State").starts_with("pending"));
    assert_eq!(site.rows(Table::Documents), 0);
}

#[test]
fn pol_06_a_rule_that_holds_for_a_time_ends_by_itself() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.put_rules(
        "alice",
        "<rule id=\"t\"><conditions><identity><one id=\"sip:bob@example.test\"/></identity><validity>\
         <from>2026-03-02T09:00:00Z</from><until>2026-03-02T09:30:00Z</until></validity></conditions><actions>\
         <pr:sub-handling>allow</pr:sub-handling></actions></rule>",
    );
    site.subscribe("bob", "alice");
    assert!(site.one("bob").header("Subscription-State").starts_with("active"));
    site.pass(secs(14 * 60));
    assert_eq!(site.told("bob"), []);
    site.pass(secs(70));
    assert!(site.one("bob").header("Subscription-State").starts_with("pending"));
}

#[test]
fn esc_18_hard_state_shows_where_nothing_is_published_and_never_ends() {
    let mut site = Site::open();
    site.subscribe("bob", "alice");
    site.one("bob");
    let status = site.document(
        "alice",
        "PUT",
        "pidf-manipulation",
        "application/pidf+xml",
        &document("alice", "<tuple id=\"h\"><status><basic>closed</basic></status><note>on leave</note></tuple>"),
    );
    assert_eq!(status, StatusCode::CREATED);
    assert!(site.one("bob").body().contains("on leave"));
    let tag = site.put("alice", &open("alice", "back"));
    site.pass(secs(10));
    let told = site.one("bob");
    assert!(told.body().contains("back") && !told.body().contains("on leave"), "{told:?}");
    site.publish("alice", &format!("SIP-If-Match: {tag}\nExpires: 0\n"), "");
    site.pass(secs(10));
    assert!(site.one("bob").body().contains("on leave"));
}

#[test]
fn what_cannot_be_kept_is_taken_back() {
    let mut site = Site::new();
    site.subscribe("bob", "alice");
    site.one("bob");
    site.domain.set_refusing(true);
    let status = site.document("alice", "PUT", "pres-rules", "application/auth-policy+xml", "<a/>");
    assert_eq!(status, StatusCode::CONFLICT, "what is wrong anyway is said first");
    let rules = pres_rules::write(&Policy::new(Action::Allow));
    let status = site.document("alice", "PUT", "pres-rules", "application/auth-policy+xml", &rules);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.told("bob"), []);
}
