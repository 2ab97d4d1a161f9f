//! What a watcher knows is not told again: CNN-01, CNN-02 (RFC 5839).

use sippresence::{
    presence::{PresenceStatus, policy::Action},
    sip::events::conditional::Savings,
};

use crate::{
    bob, bob_with,
    limits::open_bob,
    world::{Ask, BOB, Msg, Script, config, open_policy, policy, secs},
};

/// The line of a SUBSCRIBE that names the version which a NOTIFY brought.
fn knowing(told: &Msg) -> String {
    format!("Suppress-If-Match: {}\n", told.header("SIP-ETag"))
}

fn look(script: &mut Script, call_id: &str, lines: &str) -> Msg {
    script.send(&Ask { expires: Some(0), call_id: call_id.into(), lines, ..Ask::default() }.text());
    script.expect("200");
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    told
}

#[test]
fn cnn_01_each_version_of_a_state_has_a_tag_of_its_own() {
    let mut script = bob();
    let (_, first) = script.subscribe_established(&Ask::default());
    let other = Ask { user: "alice", call_id: "second".into(), ..Ask::default() };
    let (_, same) = script.subscribe_established(&other);
    assert_eq!(first.body(), same.body());
    assert_eq!(first.header("SIP-ETag"), same.header("SIP-ETag"));
    let mut tags = vec![first.header("SIP-ETag").to_owned()];
    for status in [PresenceStatus::Busy, PresenceStatus::Away, PresenceStatus::Busy] {
        script.advance(secs(10));
        script.publish(status, None);
        for told in script.take() {
            script.answer(&told, "200 OK");
            tags.push(told.header("SIP-ETag").to_owned());
        }
    }
    // Two watchers each heard of three changes; the second time busy began at another time.
    assert_eq!(tags.len(), 7);
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
}

#[test]
fn cnn_01_what_has_no_body_has_no_tag() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let pending = script.expect("NOTIFY");
    assert_eq!((pending.body(), pending.get("SIP-ETag")), ("", None));
    // Nor has the first one to an address that has yet to answer.
    let mut script = open_bob();
    script.send(&Ask { lines: "Suppress-If-Match: *\n", ..Ask::default() }.text());
    script.expect("200");
    let claim = script.expect("NOTIFY");
    assert_eq!((claim.body(), claim.get("SIP-ETag")), ("", None));
    script.answer(&claim, "200 OK");
    let proven = script.expect("NOTIFY");
    assert!(proven.body().is_empty() && proven.get("SIP-ETag").is_some(), "it wanted none: {proven:?}");
}

#[test]
fn cnn_01_a_look_at_what_is_known_brings_the_tag_alone() {
    let mut script = bob();
    let (_, told) = script.subscribe_established(&Ask::default());
    let again = look(&mut script, "poll-1", &knowing(&told));
    assert_eq!(again.header("Subscription-State"), "terminated;reason=timeout");
    assert_eq!(again.header("SIP-ETag"), told.header("SIP-ETag"));
    assert_eq!((again.body(), again.get("Content-Type"), again.header("Content-Length")), ("", None, "0"));
    let any = look(&mut script, "poll-2", "Suppress-If-Match: *\n");
    assert_eq!((any.body(), any.header("SIP-ETag")), ("", told.header("SIP-ETag")));
    let bytes = told.body().len() as u64;
    assert_eq!(script.core.savings().0, Savings { notifies: 0, documents: 2, bytes: 2 * bytes });
    // What it knows is not what it was: it gets all.
    script.publish(PresenceStatus::Busy, None);
    script.take();
    let changed = look(&mut script, "poll-3", &knowing(&told));
    assert!(changed.body().contains(">busy<"));
    assert_ne!(changed.header("SIP-ETag"), told.header("SIP-ETag"));
    let odd = look(&mut script, "poll-4", "Suppress-If-Match: \"odd\"\n");
    assert!(odd.body().contains(">busy<"));
}

#[test]
fn cnn_01_a_new_subscription_of_who_knows_the_state_brings_the_tag_alone() {
    let mut script = bob();
    let (_, told) = script.subscribe_established(&Ask::default());
    let lines = knowing(&told);
    script.send(&Ask { call_id: "again".into(), lines: &lines, ..Ask::default() }.text());
    script.expect("200");
    let again = script.expect("NOTIFY");
    script.answer(&again, "200 OK");
    assert_eq!(again.header("Subscription-State"), "active;expires=300");
    assert_eq!((again.body(), again.header("SIP-ETag")), ("", told.header("SIP-ETag")));
    // The wish was that of the SUBSCRIBE: changes are told.
    script.advance(secs(10));
    script.publish(PresenceStatus::Busy, None);
    let changes = script.take();
    assert!(changes.len() == 2 && changes.iter().all(|told| told.body().contains(">busy<")));
}

#[test]
fn cnn_01_an_address_that_has_yet_to_answer_can_name_what_it_knows() {
    let mut script = open_bob();
    let (_, told) = script.subscribe_established(&Ask::default());
    let tag = told.header("SIP-ETag").to_owned();
    // Another run of bob, who has never heard of that address.
    let saved = script.saved();
    let mut config = config("bob", BOB);
    config.policy = open_policy();
    script.restart(config, &sippresence::presence::core::SavedServing { watchers: Vec::new(), ..saved }, false);
    let lines = format!("Suppress-If-Match: {tag}\n");
    script.send(&Ask { call_id: "later".into(), lines: &lines, ..Ask::default() }.text());
    script.expect("200");
    let claim = script.expect("NOTIFY");
    assert_eq!(claim.get("SIP-ETag"), None, "nothing is told to a claim");
    script.answer(&claim, "200 OK");
    let proven = script.expect("NOTIFY");
    assert_eq!((proven.body(), proven.header("SIP-ETag")), ("", tag.as_str()));
}

#[test]
fn cnn_02_a_refresh_of_who_knows_the_state_gets_204_and_no_notify() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, told) = script.subscribe_established(&ask);
    let mut saved = Savings::default();
    for (seq, lines) in [(2, knowing(&told)), (3, "Suppress-If-Match: *\n".to_owned())] {
        script.advance(secs(100));
        script.send(&Ask { lines: &lines, seq, ..ask.again(&ok, 300) }.text());
        let answer = script.expect("204 No Notification");
        assert_eq!((answer.header("Expires"), answer.tag("To")), ("300", ok.tag("To")));
        assert!(answer.get("Contact").is_some());
        script.nothing();
        saved.notifies += 1;
        saved.bytes += told.body().len() as u64;
        assert_eq!(script.core.savings().0, saved);
    }
    // It holds for as long as it says, and goes on telling.
    script.advance(secs(299));
    script.nothing();
    script.publish(PresenceStatus::Away, None);
    let change = script.expect("NOTIFY");
    assert_eq!(change.header("Subscription-State"), "active;expires=1");
    script.answer(&change, "200 OK");
    script.advance(secs(1));
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "terminated;reason=timeout");
}

#[test]
fn cnn_02_a_refresh_of_who_knows_another_state_is_answered_in_full() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, told) = script.subscribe_established(&ask);
    script.advance(secs(10));
    script.publish(PresenceStatus::Busy, None);
    let change = script.expect("NOTIFY");
    script.answer(&change, "200 OK");
    for (seq, lines) in [(2, knowing(&told)), (3, String::new())] {
        script.send(&Ask { lines: &lines, seq, ..ask.again(&ok, 300) }.text());
        script.expect("200");
        let all = script.expect("NOTIFY");
        script.answer(&all, "200 OK");
        assert_eq!((all.body(), all.header("SIP-ETag")), (change.body(), change.header("SIP-ETag")));
    }
    assert_eq!(script.core.savings().0, Savings::default());
}

#[test]
fn cnn_02_an_asterisk_hides_neither_a_change_that_waits_nor_a_decision() {
    let mut script = bob();
    let ask = Ask { lines: "Suppress-If-Match: *\n", ..Ask::default() };
    let (ok, _) = script.subscribe_established(&Ask::default());
    script.publish(PresenceStatus::Busy, None);
    let busy = script.expect("NOTIFY");
    script.answer(&busy, "200 OK");
    script.advance(secs(1));
    script.publish(PresenceStatus::Away, None);
    script.send(&ask.again(&ok, 300).text());
    script.expect("204");
    script.nothing();
    script.advance(secs(4));
    let away = script.expect("NOTIFY");
    assert!(away.body().contains(">away<"), "the pause between two is over");
    script.answer(&away, "200 OK");
    // Blocked meanwhile by a rule of the clock or of the user: that is told though it wants nothing.
    script.act(|core, now, out| core.set_policy(policy(&[("alice@192.0.2.10", Action::PoliteBlock)]), now, out));
    let blocked = script.expect("NOTIFY");
    assert!(blocked.body().contains("<basic>closed</basic>"));
    script.answer(&blocked, "200 OK");
    // Who waits for a decision knows that.
    script.act(|core, now, out| core.set_policy(policy(&[]), now, out));
    let pending = script.expect("NOTIFY");
    assert_eq!(pending.get("SIP-ETag"), None);
    script.answer(&pending, "200 OK");
    script.send(&Ask { seq: 3, ..ask.again(&ok, 300) }.text());
    script.expect("204");
    script.nothing();
    script.act(|core, now, out| core.set_policy(policy(&[("alice@192.0.2.10", Action::Allow)]), now, out));
    assert!(script.expect("NOTIFY").body().contains(">away<"));
}

#[test]
fn cnn_02_an_end_is_told_without_what_is_known() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, told) = script.subscribe_established(&ask);
    let lines = knowing(&told);
    script.send(&Ask { lines: &lines, ..ask.again(&ok, 0) }.text());
    script.expect("200");
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=timeout");
    assert_eq!((last.body(), last.header("SIP-ETag")), ("", told.header("SIP-ETag")));
}

#[test]
fn cnn_02_a_tag_holds_over_a_restart() {
    for crashed in [false, true] {
        let mut script = bob();
        let ask = Ask::default();
        let (ok, told) = script.subscribe_established(&ask);
        script.advance(secs(100));
        let saved = script.saved();
        let mut config = config("bob", BOB);
        config.policy = policy(&[("alice@192.0.2.10", Action::Allow)]);
        script.restart(config, &saved, crashed);
        for again in script.take() {
            assert_eq!(again.header("SIP-ETag"), told.header("SIP-ETag"));
            script.answer(&again, "200 OK");
        }
        let lines = knowing(&told);
        script.send(&Ask { lines: &lines, ..ask.again(&ok, 300) }.text());
        script.expect("204");
        script.nothing();
    }
}
