//! PUBLISH and REGISTER: whose they are, and what becomes of them.

use sippresence::server::store::Table;

use crate::{
    site::{DOMAIN, Site, document, open, place, proof_of},
    world::secs,
};

fn text(user: &str, method: &str, uri: &str, lines: &str) -> String {
    let from = place(user);
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKr{}{user};rport\nMax-Forwards: 70\nFrom: \
         <sip:{user}@{DOMAIN}>;tag=x\nTo: <{uri}>\nCall-ID: raw-{}\nCSeq: 1 {method}\n{lines}Content-Length: 0\n\n",
        lines.len(),
        lines.len() + uri.len(),
    )
}

#[test]
fn esc_01_who_is_not_ours_and_what_is_not_presence_is_refused() {
    let mut site = Site::new();
    let event = "Event: presence\n";
    for uri in ["sip:alice@elsewhere.test", "sip:example.test", "sip:alice@192.0.2.100"] {
        let answer = site.ask("PUBLISH", "alice", uri, event, "");
        assert_eq!(answer.code(), Some(404), "{uri}");
    }
    for lines in ["", "Event: dialog\n", "Event: presence.winfo\n"] {
        let answer = site.ask("PUBLISH", "alice", "sip:alice@example.test", lines, "");
        assert_eq!(answer.code(), Some(489), "{lines:?}");
        assert_eq!(answer.header("Allow-Events"), "presence, presence.winfo");
    }
}

#[test]
fn esc_02_only_the_owner_publishes_once_he_has_proven_who_he_is() {
    let mut site = Site::new();
    let uri = "sip:alice@example.test";
    let lines = "Event: presence\nContent-Type: application/pidf+xml\n";
    // Without a proof nothing is kept, and nothing is known.
    let refused = site.send(place("alice"), &text("alice", "PUBLISH", uri, lines)).remove(0);
    assert_eq!(refused.code(), Some(401));
    let challenges = refused.text.matches("WWW-Authenticate: Digest realm=\"example.test\"").count();
    assert_eq!(challenges, 3, "{refused:?}");
    assert_eq!(site.domain.sizes().presentities, 0);
    // Bob with his own password, for alice.
    let answer = site.ask("PUBLISH", "bob", uri, lines, &open("alice", "stolen"));
    assert_eq!(answer.code(), Some(403));
    // Bob's name, with a password that is not his.
    let proof = proof_of(&refused, "bob", "bob-pw", "PUBLISH", uri);
    let wrong = proof.replace("username=\"bob\"", "username=\"alice\"");
    let answer = site.send(place("alice"), &text("alice", "PUBLISH", uri, &format!("{lines}{wrong}"))).remove(0);
    assert_eq!(answer.code(), Some(401));
    assert_eq!(site.rows(Table::Publications), 0);
    assert_eq!(site.publish("alice", "", &open("alice", "mine")).code(), Some(200));
    assert_eq!(site.rows(Table::Publications), 1);
}

#[test]
fn esc_02_whoever_is_taken_at_his_word_is_still_but_himself() {
    let accounts = std::sync::Arc::default();
    let mut site = Site::new();
    site.domain.set_accounts(accounts, crate::world::moment(std::time::Duration::ZERO));
    assert_eq!(site.publish("erin", "", &open("erin", "nobody has an account")).code(), Some(200));
    let answer = site.ask("PUBLISH", "bob", "sip:erin@example.test", "Event: presence\n", "");
    assert_eq!(answer.code(), Some(403));
}

#[test]
fn sec_02_where_other_machines_are_served_nobody_is_taken_at_his_word_though_nobody_has_an_account() {
    let mut site = Site::with(sippresence::server::domain::DomainConfig { open: false, ..crate::site::config() });
    site.domain.set_accounts(std::sync::Arc::default(), crate::world::moment(std::time::Duration::ZERO));
    let answer =
        site.send(place("erin"), &text("erin", "PUBLISH", "sip:erin@example.test", "Event: presence\n")).remove(0);
    assert_eq!(answer.code(), Some(401));
    assert_eq!(site.publish("alice", "", &open("alice", "x")).code(), Some(401), "her account is gone");
}

#[test]
fn esc_05_what_cannot_be_read_or_is_of_somebody_else_is_not_kept() {
    let mut site = Site::new();
    for body in ["<presence", "no document", "<other/>", &open("bob", "not alice")] {
        let answer = site.publish("alice", "", body);
        assert_eq!(answer.code(), Some(400), "{body}");
    }
    assert_eq!(site.publish("alice", "", "").code(), Some(400), "the first one has a body");
    let lines = "Event: presence\nContent-Type: text/plain\n";
    let answer = site.ask("PUBLISH", "alice", "sip:alice@example.test", lines, "hello");
    assert_eq!((answer.code(), answer.header("Accept")), (Some(415), "application/pidf+xml"));
    assert_eq!(site.rows(Table::Publications), 0);
    assert_eq!(site.domain.sizes().publications, 0);
}

#[test]
fn esc_09_what_is_not_refreshed_is_gone_and_watchers_see_it() {
    let mut site = Site::open();
    let answer = site.publish("alice", "Expires: 60\n", &open("alice", "here"));
    assert_eq!((answer.code(), answer.header("Expires")), (Some(200), "60"));
    site.subscribe("bob", "alice");
    assert!(site.one("bob").body().contains("here"));
    site.pass(secs(59));
    assert_eq!(site.told("bob"), []);
    site.pass(secs(2));
    let gone = site.one("bob");
    assert!(gone.body().contains("<basic>closed</basic>") && !gone.body().contains("here"), "{gone:?}");
    assert_eq!(site.rows(Table::Publications), 0);
}

#[test]
fn esc_10_a_refresh_tells_nobody_anything_and_a_change_everybody() {
    let mut site = Site::open();
    let tag = site.put("alice", &open("alice", "one"));
    site.subscribe("bob", "alice");
    site.one("bob");
    site.pass(secs(10));
    let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\nExpires: 3600\n"), "");
    assert_eq!(answer.code(), Some(200));
    let tag = answer.header("SIP-ETag").to_owned();
    site.pass(secs(10));
    assert_eq!(site.told("bob"), []);
    let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\n"), &open("alice", "two"));
    assert_eq!(answer.code(), Some(200));
    assert!(site.one("bob").body().contains("two"));
}

#[test]
fn esc_10_ten_changes_within_five_seconds_are_two_documents() {
    let mut site = Site::open();
    let mut tag = site.put("alice", &open("alice", "0"));
    site.subscribe("bob", "alice");
    site.one("bob");
    for n in 1..10 {
        let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\n"), &open("alice", &n.to_string()));
        tag = answer.header("SIP-ETag").to_owned();
    }
    site.pass(secs(6));
    let told = site.told("bob");
    assert_eq!(told.len(), 2, "the first at once, the rest together: {told:?}");
    assert!(told[1].body().contains("<note>9</note>"));
}

#[test]
fn esc_10_what_was_published_while_nobody_looked_is_seen_by_whoever_looks() {
    let mut site = Site::open();
    let change = |site: &mut Site, tag: &str, expires: u32, body: &str| {
        let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\nExpires: {expires}\n"), body);
        assert_eq!(answer.code(), Some(200), "{answer:?}");
        answer.header("SIP-ETag").to_owned()
    };
    let desk = site.put("alice", &open("alice", "desk 1"));
    let phone = site.put("alice", &open("alice", "phone").replace("192.0.2.7", "192.0.2.8"));
    let desk = change(&mut site, &desk, 3600, &open("alice", "desk 2"));
    // One look, and nobody again.
    let (answer, _) = site.subscribe_to("bob", "presence", "alice", 0);
    assert_eq!(answer.code(), Some(200), "{answer:?}");
    let seen = site.one("bob");
    assert!(seen.body().contains("desk 2") && seen.body().contains("phone") && !seen.body().contains("desk 1"));
    change(&mut site, &desk, 60, &open("alice", "desk 3"));
    site.subscribe("carol", "alice");
    let seen = site.one("carol");
    assert!(seen.body().contains("desk 3") && seen.body().contains("phone"), "{seen:?}");
    change(&mut site, &phone, 0, "");
    let seen = site.one("carol");
    assert!(seen.body().contains("desk 3") && !seen.body().contains("phone"), "{seen:?}");
    site.pass(secs(61));
    assert!(site.one("carol").body().contains("<basic>closed</basic>"));
}

#[test]
fn esc_09_who_comes_when_it_is_just_over_sees_that_and_what_follows() {
    let mut site = Site::open();
    // One request is enough, so that nothing is done before it.
    site.domain.set_accounts(std::sync::Arc::default(), crate::world::moment(std::time::Duration::ZERO));
    let answer = site.publish("alice", "Expires: 60\n", &open("alice", "here"));
    assert_eq!(answer.code(), Some(200));
    site.sleep(secs(60));
    site.subscribe("bob", "alice");
    // The first one but asks whether he is there.
    let told = site.told("bob");
    assert!(told.last().unwrap().body().contains("<basic>closed</basic>"), "{told:?}");
    site.put("alice", &open("alice", "again"));
    site.pass(secs(5));
    assert!(site.one("bob").body().contains("again"));
}

#[test]
fn esc_05_what_says_its_charset_is_seen_as_it_was_read() {
    let mut site = Site::open();
    let body = open("alice", "caf\u{e9}").replace("?>", " encoding=\"iso-8859-1\"?>");
    let lines = "Event: presence\nContent-Type: application/pidf+xml;charset=utf-8\n";
    let answer = site.ask("PUBLISH", "alice", "sip:alice@example.test", lines, &body);
    assert_eq!(answer.code(), Some(200), "{answer:?}");
    site.subscribe("bob", "alice");
    assert!(site.one("bob").body().contains("caf\u{e9}"));
}

#[test]
fn esc_09_what_nobody_looked_at_is_gone_as_well() {
    let mut site = Site::open();
    let tag = site.put("alice", &open("alice", "here"));
    site.pass(secs(10));
    site.publish("alice", &format!("SIP-If-Match: {tag}\nExpires: 0\n"), "");
    assert_eq!(site.domain.sizes().presentities, 0, "nothing is known of her any more");
    site.put("alice", &open("alice", "again"));
    assert_eq!(site.domain.sizes().presentities, 1);
    site.pass(secs(3601));
    assert_eq!(site.domain.sizes().presentities, 0, "what was not refreshed is gone, though nobody looked");
}

#[test]
fn esc_14_two_devices_are_two_publications_and_one_document() {
    let mut site = Site::open();
    let desk =
        document("alice", "<tuple id=\"t1\"><status><basic>open</basic></status><contact>sip:desk@h</contact></tuple>");
    let phone = desk.replace("desk", "phone");
    let first = site.put("alice", &desk);
    site.put("alice", &phone);
    site.subscribe("bob", "alice");
    let both = site.one("bob");
    assert!(both.body().contains("sip:desk@h") && both.body().contains("sip:phone@h"), "{both:?}");
    let ids: Vec<&str> = both.body().match_indices("<tuple id=\"").map(|(at, _)| &both.body()[at..at + 22]).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    site.publish("alice", &format!("SIP-If-Match: {first}\nExpires: 0\n"), "");
    let rest = site.one("bob");
    assert!(!rest.body().contains("sip:desk@h") && rest.body().contains("sip:phone@h"), "{rest:?}");
}

#[test]
fn esc_15_who_registers_shows_nothing_by_that() {
    let mut site = Site::open();
    let lines = format!("Contact: <sip:alice@{}>\nExpires: 600\n", place("alice"));
    assert_eq!(site.ask("REGISTER", "alice", "sip:example.test", &lines, "").code(), Some(200));
    site.subscribe("bob", "alice");
    assert!(site.one("bob").body().contains("<basic>closed</basic>"));
}

#[test]
fn esc_16_a_device_registers_for_its_owner_alone() {
    let mut site = Site::new();
    let lines = format!("Contact: <sip:alice@{}>\nExpires: 600\n", place("alice"));
    let answer = site.ask("REGISTER", "alice", "sip:example.test", &lines, "");
    assert_eq!(answer.code(), Some(200));
    assert!(answer.header("Contact").ends_with(">;expires=600"), "{answer:?}");
    assert_eq!(site.rows(Table::Registrations), 1);
    site.pass(secs(601));
    assert_eq!((site.rows(Table::Registrations), site.domain.sizes().bindings), (0, 0));
}

#[test]
fn what_a_presence_server_does_not_do_is_said_to_be_none_of_its_methods() {
    let mut site = Site::new();
    for method in ["INVITE", "MESSAGE", "REFER", "BYE", "XYZ"] {
        let answer = site.send(place("bob"), &text("bob", method, "sip:alice@example.test", "")).remove(0);
        assert_eq!(answer.code(), Some(405), "{method}");
        assert_eq!(answer.header("Allow"), "NOTIFY, OPTIONS, PUBLISH, REGISTER, SUBSCRIBE");
    }
    let answer = site.send(place("bob"), &text("bob", "OPTIONS", "sip:example.test", "")).remove(0);
    assert_eq!((answer.code(), answer.header("Allow-Events")), (Some(200), "presence, presence.winfo"));
    let lines = "Event: presence\nSubscription-State: active\nContact: <sip:x@192.0.2.9>\n";
    let answer = site.send(place("bob"), &text("bob", "NOTIFY", "sip:alice@example.test", lines)).remove(0);
    assert_eq!(answer.code(), Some(481));
}

#[test]
fn esc_17_a_part_of_a_document_is_refused_with_what_would_be_taken() {
    let mut site = Site::new();
    let tag = site.put("alice", &open("alice", "whole"));
    let lines = format!("Event: presence\nSIP-If-Match: {tag}\nContent-Type: application/pidf-diff+xml\n");
    let answer = site.ask("PUBLISH", "alice", "sip:alice@example.test", &lines, "<pidf-diff/>");
    assert_eq!((answer.code(), answer.header("Accept")), (Some(415), "application/pidf+xml"));
    assert_eq!(site.publish("alice", &format!("SIP-If-Match: {tag}\n"), "").code(), Some(200), "nothing is changed");
}
