//! `presence.winfo`: who is told who watches (WIN rows).

use sippresence::server::store::Table;

use crate::{
    site::{Site, open},
    world::secs,
};

impl Site {
    fn watch_watchers(&mut self, user: &str) {
        let (answer, _) = self.subscribe_to(user, "presence.winfo", user, 3600);
        assert_eq!(answer.code(), Some(200), "{answer:?}");
    }
}

#[test]
fn win_01_and_05_the_first_document_is_full_and_the_next_one_tells_what_changed() {
    let mut site = Site::new();
    site.watch_watchers("alice");
    let first = site.one("alice");
    assert_eq!(first.header("Content-Type"), "application/watcherinfo+xml");
    assert!(first.body().contains("version=\"0\" state=\"full\""), "{first:?}");
    assert!(first.body().contains("<watcher-list resource=\"sip:alice@example.test\" package=\"presence\">"));
    site.subscribe("bob", "alice");
    site.pass(secs(6));
    let next = site.one("alice");
    assert!(next.body().contains("version=\"1\" state=\"partial\""), "{next:?}");
    assert!(next.body().contains("status=\"pending\" event=\"subscribe\""), "{next:?}");
    assert!(next.body().contains(">sip:bob@example.test</watcher>"), "{next:?}");
    assert_eq!(site.told("bob").len(), 1);
}

#[test]
fn win_02_nobody_is_told_who_watches_somebody_else() {
    let mut site = Site::new();
    let (answer, _) = site.subscribe_to("bob", "presence.winfo", "alice", 3600);
    assert_eq!(answer.code(), Some(403));
    let (answer, _) = site.subscribe_to("bob", "presence.winfo", "alice", 0);
    assert_eq!(answer.code(), Some(403));
    assert_eq!(site.domain.sizes().informed, 0);
}

#[test]
fn win_03_and_win_07_a_decision_is_told_with_what_brought_it() {
    let mut site = Site::new();
    site.put("alice", &open("alice", "x"));
    site.subscribe("bob", "alice");
    site.watch_watchers("alice");
    site.told("alice");
    site.put_lists("alice", &[("bob", "allow")]);
    site.pass(secs(6));
    let told = site.one("alice");
    assert!(told.body().contains("status=\"active\" event=\"approved\""), "{told:?}");
    assert!(site.told("bob").iter().any(|msg| msg.header("Subscription-State").starts_with("active")));
    site.put_lists("alice", &[("bob", "block")]);
    site.pass(secs(6));
    let told = site.one("alice");
    assert!(told.body().contains("status=\"terminated\" event=\"rejected\""), "{told:?}");
}

#[test]
fn win_04_who_left_before_it_was_decided_waits_also_over_a_start() {
    let mut site = Site::new();
    let mut dialog = site.subscribe("bob", "alice");
    site.refresh("bob", "alice", &mut dialog, 0);
    assert_eq!(site.rows(Table::Watchers), 1);
    let (mut site, _) = site.killed(crate::site::config());
    site.watch_watchers("alice");
    let told = site.one("alice");
    assert!(told.body().contains("status=\"waiting\" event=\"timeout\""), "{told:?}");
    site.put_lists("alice", &[("bob", "allow")]);
    site.pass(secs(6));
    let told = site.one("alice");
    assert!(told.body().contains("status=\"terminated\" event=\"approved\""), "{told:?}");
    assert_eq!(site.rows(Table::Watchers), 0);
}

#[test]
fn win_06_many_who_come_at_once_are_told_together() {
    let mut site = Site::new();
    site.watch_watchers("alice");
    site.one("alice");
    for user in ["bob", "carol", "dave"] {
        site.subscribe(user, "alice");
        site.pass(secs(1));
    }
    site.pass(secs(5));
    let told = site.told("alice");
    assert!(told.len() <= 2, "{told:?}");
    let all: String = told.iter().map(crate::world::Msg::body).collect();
    assert!(["bob", "carol", "dave"].iter().all(|user| all.contains(&format!("sip:{user}@example.test"))));
    assert!(told.windows(2).all(|two| two[1].at >= two[0].at + secs(5)), "{told:?}");
}
