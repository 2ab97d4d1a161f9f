//! SUBSCRIBE: who sees what of whom.

use sippresence::{presence::policy::Action, server::domain::DomainConfig};

use crate::{
    site::{DOMAIN, Site, config, document, open},
    world::secs,
};

#[test]
fn cmp_03_a_user_who_publishes_nothing_is_offline() {
    let mut site = Site::open();
    site.subscribe("bob", "alice");
    let told = site.one("bob");
    assert!(told.header("Subscription-State").starts_with("active;expires=3600"), "{told:?}");
    assert_eq!(told.body().matches("<tuple ").count(), 1);
    assert!(told.body().contains("<basic>closed</basic>") && !told.body().contains("activities"), "{told:?}");
}

#[test]
fn who_is_no_user_is_not_to_be_watched() {
    let mut site = Site::open();
    let (answer, _) = site.subscribe_to("bob", "presence", "nobody", 3600);
    assert_eq!(answer.code(), Some(404));
    let mut site = Site::with(DomainConfig { hide_unknown: true, ..config() });
    let (answer, _) = site.subscribe_to("bob", "presence", "nobody", 3600);
    assert_eq!(answer.code(), Some(403), "POL-14");
    assert_eq!(site.domain.sizes().presentities, 0);
}

#[test]
fn cmp_04_what_is_hidden_is_taken_out_behind_the_composition() {
    let mut site = Site::new();
    let rules = "<rule id=\"b\"><conditions><identity><one id=\"sip:bob@example.test\"/></identity></conditions>\
                 <actions><pr:sub-handling>allow</pr:sub-handling></actions><transformations><pr:provide-services>\
                 <pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services></transformations></rule>";
    site.put_rules("alice", rules);
    let desk = document(
        "alice",
        "<tuple id=\"a\"><status><basic>open</basic></status><contact>sip:alice@192.0.2.7</contact></tuple>\
         <tuple id=\"b\"><status><basic>open</basic></status><contact>tel:+4912345</contact></tuple>",
    );
    site.put("alice", &desk);
    site.subscribe("bob", "alice");
    site.subscribe("alice", "alice");
    let (some, all) = (site.one("bob"), site.one("alice"));
    assert!(some.body().contains("sip:alice@192.0.2.7") && !some.body().contains("tel:"), "{some:?}");
    assert!(all.body().contains("tel:+4912345"), "alice sees herself whole: {all:?}");
    // What bob does not see he does not hear of either.
    site.put(
        "alice",
        &document("alice", "<tuple id=\"b\"><status><basic>open</basic></status><contact>tel:+4999</contact></tuple>"),
    );
    site.pass(secs(10));
    assert_eq!(site.told("bob"), []);
    assert_eq!(site.told("alice").len(), 1);
}

#[test]
fn cmp_05_what_holds_for_a_time_ends_by_itself() {
    let mut site = Site::open();
    let person = "<dm:person id=\"p\"><rpid:activities until=\"2026-03-02T09:20:00Z\"><rpid:meeting/></rpid:activities>\
                  </dm:person><tuple id=\"t\"><status><basic>open</basic></status></tuple>";
    site.put("alice", &document("alice", person));
    site.subscribe("bob", "alice");
    assert!(site.one("bob").body().contains("meeting"));
    site.pass(secs(299));
    assert_eq!(site.told("bob"), []);
    site.pass(secs(2));
    assert!(!site.one("bob").body().contains("meeting"));
}

#[test]
fn a_watcher_who_leaves_is_told_a_last_time_and_forgotten() {
    let mut site = Site::open();
    let mut dialog = site.subscribe("bob", "alice");
    site.one("bob");
    assert_eq!(site.refresh("bob", "alice", &mut dialog, 0).code(), Some(200));
    assert!(site.one("bob").header("Subscription-State").starts_with("terminated"));
    assert_eq!(site.domain.sizes().subscriptions, (0, 0));
    assert_eq!(site.domain.sizes().presentities, 0, "of nobody something is known");
    assert_eq!(site.disk.len(), 0);
    assert_eq!(site.refresh("bob", "alice", &mut dialog, 3600).code(), Some(481));
}

#[test]
fn one_look_leaves_nothing_behind() {
    let mut site = Site::open();
    let (answer, _) = site.subscribe_to("bob", "presence", "alice", 0);
    assert_eq!(answer.code(), Some(200));
    assert!(site.one("bob").header("Subscription-State").starts_with("terminated"));
    site.pass(secs(40));
    assert_eq!((site.domain.sizes().presentities, site.disk.len()), (0, 0));
}

#[test]
fn pol_02_four_watchers_get_four_answers() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.put_lists("alice", &[("bob", "allow"), ("carol", "polite-block"), ("dave", "block")]);
    site.subscribe("bob", "alice");
    assert!(site.one("bob").body().contains("in town"));
    site.subscribe("carol", "alice");
    let polite = site.one("carol");
    assert!(polite.header("Subscription-State").starts_with("active") && !polite.body().contains("in town"));
    let (answer, _) = site.subscribe_to("dave", "presence", "alice", 3600);
    assert_eq!(answer.code(), Some(403));
    let (answer, _) = site.subscribe_to("bob", "presence", "carol", 3600);
    assert_eq!(answer.code(), Some(200));
    let asked = site.one("bob");
    assert!(asked.header("Subscription-State").starts_with("pending") && asked.body().is_empty(), "{asked:?}");
}

#[test]
fn pol_03_who_is_hidden_from_sees_what_is_seen_of_somebody_who_is_not_there() {
    let mut site = Site::with(DomainConfig { default: Some(Action::Allow), ..config() });
    site.put("alice", &open("alice", "in town"));
    site.put_lists("alice", &[("carol", "polite-block")]);
    site.subscribe("carol", "alice");
    site.subscribe("carol", "dave");
    let told = site.told("carol");
    let plain = |body: &str, user: &str| {
        let body = body.replace(user, "X");
        let cut = |text: &str, from: &str, to: &str| -> String {
            let at = text.find(from).map_or(0, |at| at + from.len());
            let end = text[at..].find(to).map_or(text.len(), |end| at + end);
            format!("{}{}", &text[..at], &text[end..])
        };
        cut(&cut(&body, "<tuple id=\"", "\""), "<timestamp>", "<")
    };
    assert_eq!(plain(told[0].body(), "alice"), plain(told[1].body(), "dave"), "{told:?}");
    for n in 0..5 {
        site.put("alice", &open("alice", &n.to_string()));
        site.pass(secs(10));
    }
    assert_eq!(site.told("carol"), [], "nothing that alice does is told");
}

#[test]
fn pol_15_who_is_allowed_sees_at_once_and_who_is_blocked_no_more() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.subscribe("bob", "alice");
    assert!(site.one("bob").header("Subscription-State").starts_with("pending"));
    site.put_lists("alice", &[("bob", "allow")]);
    assert!(site.one("bob").body().contains("in town"));
    site.put_lists("alice", &[("bob", "block")]);
    let last = site.one("bob");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=rejected");
    assert!(last.body().is_empty());
}

#[test]
fn pol_19_a_name_of_ours_is_nobodys_who_does_not_prove_it_and_others_are_but_claims() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.put_lists("alice", &[("bob", "allow"), ("eve@elsewhere.test", "allow")]);
    let number = site.number();
    let dialog =
        crate::site::Dialog { call: format!("c{number}"), from_tag: "f".into(), to_tag: String::new(), seq: 1 };
    let lines = "Event: presence\nContact: <sip:eve@192.0.2.32>\nExpires: 600\n";
    let eve = crate::site::place("eve");
    let lines = lines.replace("192.0.2.32", &eve.ip().to_string());
    let uri = format!("sip:alice@{DOMAIN}");
    let answer = site.ask_in("SUBSCRIBE", ("eve", "elsewhere.test"), &uri, &dialog, &lines, "");
    assert_eq!(answer.code(), Some(200), "{answer:?}");
    let told = site.told("eve");
    assert!(told.iter().all(|msg| msg.header("Subscription-State").starts_with("pending")), "{told:?}");
    assert!(told.iter().all(|msg| msg.body().is_empty()), "{told:?}");
}

#[test]
fn sec_02_strangers_are_kept_nowhere_before_they_have_answered() {
    let mut site = Site::new();
    site.answers = false;
    for n in 0..3000_u32 {
        let from = format!("198.51.{}.{}:5060", n / 250, n % 250 + 1).parse().unwrap();
        let text = format!(
            "SUBSCRIBE sip:alice@example.test SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKs{n};rport\nMax-Forwards: \
             70\nFrom: <sip:x{n}@elsewhere.test>;tag=s{n}\nTo: <sip:alice@example.test>\nCall-ID: s{n}\nCSeq: 1 \
             SUBSCRIBE\nEvent: presence\nContact: <sip:x@{from}>\nExpires: 3600\nContent-Length: 0\n\n"
        );
        site.send(from, &text);
    }
    let (proven, unproven) = site.domain.sizes().subscriptions;
    assert!(proven == 0 && unproven <= 1000, "{unproven}");
    assert_eq!(site.disk.len(), 0);
    site.pass(secs(60));
    assert_eq!(site.domain.sizes().subscriptions, (0, 0));
}

#[test]
fn the_first_account_closes_a_domain_to_those_who_watch_already() {
    let mut site = Site::with(DomainConfig { default: None, ..config() });
    site.domain.set_accounts(std::sync::Arc::default(), crate::world::moment(site.time()));
    site.put("alice", &open("alice", "in town"));
    site.subscribe("bob", "alice");
    let told = site.told("bob");
    assert!(told.last().unwrap().body().contains("in town"), "nobody has an account: everybody sees everybody");
    site.pass(secs(10));
    site.domain.set_accounts(crate::site::accounts(), crate::world::moment(site.time()));
    site.pass(secs(1));
    let told = site.one("bob");
    assert!(told.header("Subscription-State").starts_with("pending") && told.body().is_empty(), "{told:?}");
}
