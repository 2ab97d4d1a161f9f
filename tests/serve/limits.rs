//! What is too much, and what cannot be kept, is answered 503 (SEC-13, ESC-12).

use sippresence::{
    presence::policy::Action,
    server::domain::{DomainConfig, Limits},
};

use crate::{
    site::{Site, config, open, place},
    world::secs,
};

fn with(limits: Limits) -> Site {
    Site::with(DomainConfig { default: Some(Action::Allow), limits, ..config() })
}

#[test]
fn sec_13_beyond_a_limit_somebody_new_may_come_again_and_others_go_on() {
    let mut site = with(Limits { subscriptions: 2, publications: 1, bindings: 1, ..Limits::default() });
    let tag = site.put("alice", &open("alice", "x"));
    let answer = site.publish("bob", "", &open("bob", "y"));
    assert_eq!((answer.code(), answer.header("Retry-After")), (Some(503), "60"));
    let again = site.publish("alice", &format!("SIP-If-Match: {tag}\n"), "");
    assert_eq!(again.code(), Some(200));
    let mut dialog = site.subscribe("bob", "alice");
    site.subscribe("carol", "alice");
    let (answer, _) = site.subscribe_to("dave", "presence", "alice", 3600);
    assert_eq!((answer.code(), answer.header("Retry-After")), (Some(503), "60"));
    assert_eq!(site.refresh("bob", "alice", &mut dialog, 3600).code(), Some(200));
    let register = |site: &mut Site, user: &str| {
        let lines = format!("Contact: <sip:{user}@{}>\n", place(user));
        site.ask("REGISTER", user, "sip:example.test", &lines, "").code()
    };
    assert_eq!((register(&mut site, "alice"), register(&mut site, "bob")), (Some(200), Some(503)));
    assert_eq!(site.domain.tally().overloads, 3);
}

#[test]
fn sec_13_presentities_of_whom_something_is_known_are_bounded() {
    let mut site = with(Limits { presentities: 1, ..Limits::default() });
    site.put("alice", &open("alice", "x"));
    assert_eq!(site.publish("bob", "", &open("bob", "y")).code(), Some(503));
    let (answer, _) = site.subscribe_to("dave", "presence", "bob", 3600);
    assert_eq!(answer.code(), Some(503));
    assert_eq!(site.domain.sizes().publications, 1);
}

#[test]
fn esc_12_more_of_one_presentity_than_it_may_have_is_refused() {
    let mut site = with(Limits { of_one_presentity: 2, document: 500, ..Limits::default() });
    site.put("alice", &open("alice", "1"));
    site.put("alice", &open("alice", "2"));
    assert_eq!(site.publish("alice", "", &open("alice", "3")).code(), Some(503));
    assert_eq!(site.publish("bob", "", &open("bob", &"long ".repeat(100))).code(), Some(413));
}

#[test]
fn what_cannot_be_kept_is_refused_and_the_rest_is_served() {
    let mut site = with(Limits::default());
    let tag = site.put("alice", &open("alice", "x"));
    let mut dialog = site.subscribe("bob", "alice");
    site.one("bob");
    site.domain.set_refusing(true);
    for lines in ["", &format!("SIP-If-Match: {tag}\n")] {
        let answer = site.publish("alice", lines, &open("alice", "y"));
        assert_eq!((answer.code(), answer.header("Retry-After")), (Some(503), "60"));
    }
    let (answer, _) = site.subscribe_to("carol", "presence", "alice", 3600);
    assert_eq!(answer.code(), Some(503));
    assert_eq!(site.refresh("bob", "alice", &mut dialog, 3600).code(), Some(503));
    // One look needs nothing to be kept.
    let (answer, _) = site.subscribe_to("carol", "presence", "alice", 0);
    assert_eq!(answer.code(), Some(200));
    assert!(site.one("carol").body().contains("<note>x</note>"));
    site.domain.set_refusing(false);
    site.pass(secs(1));
    assert_eq!(site.publish("alice", &format!("SIP-If-Match: {tag}\n"), &open("alice", "z")).code(), Some(200));
    site.pass(secs(6));
    assert!(site.one("bob").body().contains("<note>z</note>"));
}
