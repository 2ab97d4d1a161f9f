//! What outlives the process (ESC-13, NOT-29).

use sippresence::server::store::Table;

use crate::{
    site::{Site, config, open},
    world::secs,
};

fn open_config() -> sippresence::server::domain::DomainConfig {
    sippresence::server::domain::DomainConfig {
        default: Some(sippresence::presence::policy::Action::Allow),
        ..config()
    }
}

#[test]
fn esc_13_publications_and_subscriptions_go_on_behind_a_crash() {
    let mut site = Site::open();
    let tag = site.put("alice", &open("alice", "before"));
    let mut dialog = site.subscribe("bob", "alice");
    let first = site.one("bob");
    assert_eq!((site.rows(Table::Publications), site.rows(Table::Subscriptions)), (1, 1));
    let (mut site, restored) = site.killed(open_config());
    assert_eq!((restored.publications, restored.subscriptions), (1, 1));
    // Nobody knows what was lost: the state comes once more, under a higher number.
    let again = site.one("bob");
    assert!(again.body().contains("before") && again.cseq() > first.cseq(), "{again:?}");
    assert_eq!(again.header("Call-ID"), first.header("Call-ID"));
    // The tag holds, and the dialog.
    let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\n"), &open("alice", "after"));
    assert_eq!(answer.code(), Some(200));
    site.pass(secs(6));
    assert!(site.one("bob").body().contains("after"));
    assert_eq!(site.refresh("bob", "alice", &mut dialog, 3600).code(), Some(200));
}

#[test]
fn behind_an_end_in_order_watchers_hear_nothing() {
    let mut site = Site::open();
    site.put("alice", &open("alice", "before"));
    site.subscribe("bob", "alice");
    site.one("bob");
    let (mut site, restored) = site.restarted(open_config());
    assert_eq!(restored.subscriptions, 1);
    site.pass(secs(30));
    assert_eq!(site.told("bob"), []);
}

#[test]
fn esc_13_without_a_store_a_tag_from_before_is_unknown() {
    let keeps_nothing = || sippresence::server::domain::DomainConfig { keeps: false, ..open_config() };
    let mut site = Site::with(keeps_nothing());
    let tag = site.put("alice", &open("alice", "before"));
    assert_eq!(site.disk.len(), 0);
    let (mut site, _) = site.killed(keeps_nothing());
    let answer = site.publish("alice", &format!("SIP-If-Match: {tag}\n"), "");
    assert_eq!(answer.code(), Some(412));
}

#[test]
fn esc_13_what_is_damaged_costs_nothing_else() {
    let mut site = Site::open();
    site.put("alice", &open("alice", "whole"));
    site.put("carol", &open("carol", "whole too"));
    site.subscribe("bob", "alice");
    site.subscribe("dave", "carol");
    let keys: Vec<_> = site.disk.keys().cloned().collect();
    for (n, key) in keys.iter().enumerate() {
        if n % 2 == 0 {
            site.disk.insert(key.clone(), b"\xff{no record".to_vec());
        }
    }
    let (site, restored) = site.killed(open_config());
    assert_eq!(restored.damaged, 2, "{restored:?}");
    assert_eq!(restored.publications + restored.subscriptions, 2, "{restored:?}");
    drop(site);
}

#[test]
fn nobody_loses_what_was_kept_while_the_server_was_away() {
    let mut site = Site::open();
    let answer = site.publish("alice", "Expires: 60\n", &open("alice", "before"));
    assert_eq!(answer.code(), Some(200));
    site.subscribe("bob", "alice");
    site.one("bob");
    // The machine is off for two minutes.
    site.answers = false;
    let (mut site, _) = site.killed(open_config());
    site.one("bob");
    site.pass(secs(120));
    let (mut site, restored) = site.killed(open_config());
    assert_eq!((restored.publications, restored.subscriptions), (0, 1));
    assert!(site.one("bob").body().contains("closed"));
}

#[test]
fn whoever_is_told_who_watches_goes_on_with_higher_versions() {
    let mut site = Site::new();
    site.subscribe_to("alice", "presence.winfo", "alice", 3600);
    site.one("alice");
    let (mut site, restored) = site.killed(config());
    assert_eq!(restored.subscriptions, 1);
    let told = site.one("alice");
    assert!(told.body().contains("state=\"full\"") && !told.body().contains("version=\"0\""), "{told:?}");
}

#[test]
fn a_subscription_that_knows_us_elsewhere_goes_on_once_we_are_there_again() {
    let mut site = Site::open();
    site.subscribe("bob", "alice");
    site.one("bob");
    let elsewhere = sippresence::server::domain::DomainConfig {
        locals: vec!["192.0.2.101:5060".parse().unwrap()],
        ..open_config()
    };
    let (site, restored) = site.killed(elsewhere);
    assert_eq!((restored.elsewhere, restored.subscriptions, site.rows(Table::Subscriptions)), (1, 0, 1));
    let (mut site, restored) = site.killed(open_config());
    assert_eq!((restored.elsewhere, restored.subscriptions), (0, 1));
    site.one("bob");
}
