//! Lists that are watched by one subscription (RLS rows).

use sippresence::presence::rlmi::{Part, Rlmi, State, split};

use crate::{
    site::{DOMAIN, Dialog, Site, config, open, place},
    world::{Msg, secs},
};

const LISTS: &str = "application/resource-lists+xml";

fn lists(inside: &str) -> String {
    format!("<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">{inside}</resource-lists>")
}

fn entries(users: &[&str]) -> String {
    let entry = |user: &&str| ["<entry uri=\"sip:", user, "@", DOMAIN, "\"/>"].concat();
    users.iter().map(entry).collect()
}

/// Reads a NOTIFY of a list: the root, and the documents behind it.
fn read(msg: &Msg) -> (Rlmi, Vec<Part>) {
    let body = bytes::Bytes::copy_from_slice(msg.body().as_bytes());
    let mut parts = split(&body, msg.header("Content-Type")).unwrap();
    let root = parts.remove(0);
    (Rlmi::parse(&root.body, None).unwrap(), parts)
}

fn states(rlmi: &Rlmi) -> Vec<(String, State)> {
    let state = |resource: &sippresence::presence::rlmi::Resource| resource.instance.as_ref().unwrap().state;
    rlmi.resources.iter().map(|resource| (resource.uri.clone(), state(resource))).collect()
}

impl Site {
    fn keep_lists(&mut self, user: &str, inside: &str) {
        assert!(self.document(user, "PUT", "resource-lists", LISTS, &lists(inside)).is_success());
    }

    fn watch_list(&mut self, user: &str, list: &str, more: &str, body: &str) -> (Msg, Dialog) {
        let number = self.number();
        let mut dialog =
            Dialog { call: format!("l{number}"), from_tag: format!("l{number}"), to_tag: String::new(), seq: 1 };
        let lines = format!("Event: presence\nContact: <sip:{user}@{}>\nExpires: 3600\n{more}", place(user));
        let answer = self.ask_in("SUBSCRIBE", (user, DOMAIN), list, &dialog, &lines, body);
        answer.tag("To").clone_into(&mut dialog.to_tag);
        dialog.seq = 10;
        (answer, dialog)
    }

    fn watch_friends(&mut self) -> (Msg, Dialog) {
        let list = format!("sip:bob/friends@{DOMAIN}");
        self.watch_list(
            "bob",
            &list,
            "Supported: eventlist\nAccept: multipart/related, application/rlmi+xml, application/pidf+xml\n",
            "",
        )
    }
}

fn open_config() -> sippresence::server::domain::DomainConfig {
    sippresence::server::domain::DomainConfig {
        default: Some(sippresence::presence::policy::Action::Allow),
        ..config()
    }
}

#[test]
fn rls_01_and_02_a_list_is_for_those_who_know_lists() {
    let mut site = Site::open();
    site.keep_lists("bob", &format!("<list name=\"friends\">{}</list>", entries(&["alice", "carol"])));
    let (answer, _) = site.watch_list("bob", &format!("sip:bob/friends@{DOMAIN}"), "", "");
    assert_eq!((answer.code(), answer.header("Require")), (Some(421), "eventlist"));
    let (answer, _) = site.watch_friends();
    assert_eq!((answer.code(), answer.header("Require")), (Some(200), "eventlist"));
    assert_eq!(site.one("bob").header("Require"), "eventlist");
    let (answer, _) = site.watch_list("carol", &format!("sip:bob/friends@{DOMAIN}"), "Supported: eventlist\n", "");
    assert_eq!(answer.code(), Some(403), "they are bob's");
    let (answer, _) = site.watch_list("bob", &format!("sip:bob/none@{DOMAIN}"), "Supported: eventlist\n", "");
    assert_eq!(answer.code(), Some(404));
}

#[test]
fn rls_03_and_rls_05_the_first_notify_tells_of_everybody() {
    let mut site = Site::open();
    site.put("alice", &open("alice", "in town"));
    let list = format!(
        "<list name=\"friends\">{}<entry uri=\"sip:eve@elsewhere.test\"><display-name>Eve</display-name></entry></list>",
        entries(&["alice", "carol", "nobody"])
    );
    site.keep_lists("bob", &list);
    site.watch_friends();
    let told = site.one("bob");
    assert!(told.header("Content-Type").starts_with("multipart/related;type=\"application/rlmi+xml\";start=\"<"));
    let (rlmi, parts) = read(&told);
    assert_eq!((rlmi.version, rlmi.full, rlmi.uri.as_str()), (0, true, "sip:bob/friends@example.test"));
    let expected = [
        ("sip:alice@example.test", State::Active),
        ("sip:carol@example.test", State::Active),
        ("sip:nobody@example.test", State::Terminated),
        ("sip:eve@elsewhere.test", State::Terminated),
    ];
    assert_eq!(states(&rlmi), expected.map(|(uri, state)| (uri.to_owned(), state)));
    let eve = &rlmi.resources[3];
    assert_eq!(eve.name.as_deref(), Some("Eve"));
    let instance = eve.instance.as_ref().unwrap();
    assert_eq!((instance.reason, &instance.cid), (Some(sippresence::sip::header::Reason::NoResource), &None));
    let cid = rlmi.resources[0].instance.as_ref().unwrap().cid.clone().unwrap();
    let alice = parts.iter().find(|part| part.id == cid).unwrap();
    assert_eq!(alice.content_type, "application/pidf+xml");
    assert!(String::from_utf8_lossy(&alice.body).contains("in town"));
    assert_eq!(parts.len(), 2);
}

#[test]
fn rls_04_what_changes_is_told_alone_and_a_refresh_is_answered_with_everything() {
    let mut site = Site::open();
    site.keep_lists("bob", &format!("<list name=\"friends\">{}</list>", entries(&["alice", "carol"])));
    let (_, mut dialog) = site.watch_friends();
    site.one("bob");
    site.put("alice", &open("alice", "one"));
    site.pass(secs(1));
    let (rlmi, parts) = read(&site.one("bob"));
    assert_eq!((rlmi.version, rlmi.full, rlmi.resources.len(), parts.len()), (1, false, 1, 1));
    // Many changes within five seconds are one document.
    for note in ["two", "three"] {
        site.put("carol", &open("carol", note));
        site.put("alice", &open("alice", note));
    }
    site.pass(secs(6));
    let (rlmi, parts) = read(&site.one("bob"));
    assert_eq!((rlmi.version, rlmi.resources.len()), (2, 2));
    assert!(parts.iter().all(|part| String::from_utf8_lossy(&part.body).contains("three")));
    // RLS-08: what a refresh brings is not looked at.
    dialog.seq += 1;
    let lines =
        format!("Event: presence\nContact: <sip:bob@{}>\nSupported: eventlist\nContent-Type: {LISTS}\n", place("bob"));
    let uri = format!("sip:bob/friends@{DOMAIN}");
    let answer = site.ask_in("SUBSCRIBE", ("bob", DOMAIN), &uri, &dialog, &lines, &lists("<list/>"));
    assert_eq!(answer.code(), Some(200));
    let (rlmi, _) = read(&site.one("bob"));
    assert_eq!((rlmi.version, rlmi.full, rlmi.resources.len()), (3, true, 2));
}

#[test]
fn rls_06_nobody_sees_more_by_a_list_than_without() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "in town"));
    site.put("dave", &open("dave", "hidden"));
    site.put_lists("alice", &[("bob", "allow")]);
    site.put_lists("dave", &[("bob", "block"), ("carol", "allow")]);
    let friends = entries(&["alice", "carol", "dave"]);
    for user in ["bob", "carol"] {
        site.keep_lists(user, &format!("<list name=\"friends\">{friends}</list>"));
        let list = format!("sip:{user}/friends@{DOMAIN}");
        let (answer, _) = site.watch_list(user, &list, "Supported: eventlist\n", "");
        assert_eq!(answer.code(), Some(200));
    }
    let (bobs, carols) = (read(&site.one("bob")), read(&site.one("carol")));
    let words = |rlmi: &Rlmi| states(rlmi).into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    assert_eq!(words(&bobs.0), [State::Active, State::Pending, State::Terminated]);
    assert_eq!(words(&carols.0), [State::Pending, State::Active, State::Active]);
    assert!(bobs.1.iter().all(|part| !String::from_utf8_lossy(&part.body).contains("hidden")));
    // Whom they watch learns of them, and what it decides is in force.
    site.subscribe_to("alice", "presence.winfo", "alice", 3600);
    let told = site.one("alice");
    assert!(told.body().contains("status=\"pending\"") && told.body().contains("sip:carol@example.test"), "{told:?}");
    site.put_lists("alice", &[("bob", "block"), ("carol", "allow")]);
    site.pass(secs(6));
    let (bobs, carols) = (read(&site.one("bob")), read(&site.one("carol")));
    assert_eq!((words(&bobs.0), words(&carols.0)), (vec![State::Terminated], vec![State::Active]));
}

#[test]
fn rls_07_lists_in_lists_are_one_and_nobody_is_told_of_twice() {
    let mut site = Site::open();
    let inside = format!(
        "<list name=\"friends\">{}<list name=\"more\">{}</list><external anchor=\"http://h/xcap-root/resource-lists/users/\
         sip:bob@{DOMAIN}/index/~~/resource-lists/list%5b@name=%22friends%22%5d\"/></list>",
        entries(&["alice", "carol"]),
        entries(&["carol", "dave"]),
    );
    site.keep_lists("bob", &inside);
    site.watch_friends();
    let (rlmi, _) = read(&site.one("bob"));
    let uris: Vec<String> = states(&rlmi).into_iter().map(|(uri, _)| uri).collect();
    assert_eq!(uris, ["sip:alice@example.test", "sip:carol@example.test", "sip:dave@example.test"]);
    let many: Vec<String> = (0..501).map(|n| format!("u{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    site.keep_lists("bob", &format!("<list name=\"friends\">{}</list>", entries(&many)));
    let (answer, _) = site.watch_friends();
    assert_eq!(answer.code(), Some(400));
}

#[test]
fn rls_08_a_list_may_come_with_the_subscription() {
    let mut site = Site::open();
    site.put("alice", &open("alice", "in town"));
    let ask = |site: &mut Site, kind: &str, body: &str| {
        let lines = format!("Supported: eventlist\nRequire: recipient-list-subscribe\nContent-Type: {kind}\n");
        site.watch_list("bob", &format!("sip:bob@{DOMAIN}"), &lines, body).0
    };
    let answer = ask(&mut site, LISTS, &lists(&format!("<list>{}</list>", entries(&["alice", "carol", "alice"]))));
    assert_eq!(answer.code(), Some(200), "{answer:?}");
    let (rlmi, parts) = read(&site.one("bob"));
    assert_eq!((rlmi.resources.len(), parts.len()), (2, 2));
    for bad in ["<resource-lists", "<other/>", &lists("<list><list/></list>"), &lists("<list><entry/></list>")] {
        assert_eq!(ask(&mut site, LISTS, bad).code(), Some(400), "{bad}");
    }
    assert_eq!(ask(&mut site, "text/plain", "alice").code(), Some(415));
    assert_eq!(site.domain.sizes().lists, 1);
}

#[test]
fn a_list_goes_on_behind_a_crash_and_follows_its_document() {
    let mut site = Site::open();
    site.keep_lists("bob", &format!("<list name=\"friends\">{}</list>", entries(&["alice"])));
    site.watch_friends();
    let (before, _) = read(&site.one("bob"));
    let (mut site, restored) = site.killed(open_config());
    assert_eq!(restored.subscriptions, 1);
    let (after, _) = read(&site.one("bob"));
    assert!(after.full && after.version > before.version && after.resources.len() == 1, "{after:?}");
    site.keep_lists("bob", &format!("<list name=\"friends\">{}</list>", entries(&["alice", "carol"])));
    site.pass(secs(6));
    let (rlmi, _) = read(&site.one("bob"));
    assert!(rlmi.full && rlmi.resources.len() == 2, "{rlmi:?}");
}

#[test]
fn a_list_that_is_left_leaves_nothing_behind() {
    let mut site = Site::open();
    let body = lists(&format!("<list>{}</list>", entries(&["alice", "carol"])));
    let lines = format!("Supported: eventlist\nContent-Type: {LISTS}\n");
    let (_, mut dialog) = site.watch_list("bob", &format!("sip:bob@{DOMAIN}"), &lines, &body);
    site.one("bob");
    dialog.seq += 1;
    let lines = format!("Event: presence\nContact: <sip:bob@{}>\nExpires: 0\n", place("bob"));
    site.ask_in("SUBSCRIBE", ("bob", DOMAIN), &format!("sip:bob@{DOMAIN}"), &dialog, &lines, "");
    site.pass(secs(40));
    assert_eq!((site.domain.sizes().lists, site.domain.sizes().presentities, site.disk.len()), (0, 0, 0));
}

#[test]
fn a_long_list_is_told_in_portions_that_fit() {
    let mut site = Site::open();
    site.domain.set_accounts(std::sync::Arc::default(), crate::world::moment(std::time::Duration::ZERO));
    let users: Vec<String> = (0..300).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for user in &users {
        site.put(user, &open(user, &"long ".repeat(60)));
    }
    let body = lists(&format!("<list>{}</list>", entries(&users)));
    let lines = format!("Supported: eventlist\nContent-Type: {LISTS}\n");
    let (answer, _) = site.watch_list("bob", &format!("sip:bob@{DOMAIN}"), &lines, &body);
    assert_eq!(answer.code(), Some(200));
    site.pass(secs(60));
    let told = site.told("bob");
    assert!(
        told.iter().all(|msg| msg.text.len() < 100_000),
        "{:?}",
        told.iter().map(|msg| msg.text.len()).collect::<Vec<_>>()
    );
    let all: usize = told.iter().map(|msg| read(msg).1.len()).sum();
    assert_eq!(all, 300);
}
