//! Answers to SUBSCRIBE: NOT-01 … NOT-11, NOT-18, NOT-26, NOT-30, NOT-31.

use sippresence::presence::policy::Action;

use crate::{
    bob, bob_with,
    world::{ALICE, Ask, ms, secs},
};

#[test]
fn not_01_the_answer_is_immediate_and_approval_comes_later() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    assert_eq!(script.expect("200").at, ms(0));
    let first = script.expect("NOTIFY");
    assert_eq!(first.header("Subscription-State"), "pending;expires=300");
}

#[test]
fn not_02_a_package_that_we_do_not_serve_gets_489() {
    for event in ["foo", "presence.winfo.winfo", ""] {
        let mut script = bob();
        script.send(&Ask { event, ..Ask::default() }.text());
        assert_eq!(script.expect("489").header("Allow-Events"), "presence, presence.winfo");
        script.nothing();
    }
}

#[test]
fn not_03_an_unknown_user_gets_404() {
    let mut script = bob();
    script.send(&Ask { target: "sip:nobody@192.0.2.20", ..Ask::default() }.text());
    script.expect("404");
    script.nothing();
}

#[test]
fn not_04_423_for_the_too_short_and_never_for_zero() {
    let mut script = bob();
    script.send(&Ask { expires: Some(1), ..Ask::default() }.text());
    assert_eq!(script.expect("423").header("Min-Expires"), "60");
    for (n, expires) in [0, 60].into_iter().enumerate() {
        script.send(&Ask { expires: Some(expires), call_id: format!("c{n}"), ..Ask::default() }.text());
        assert_eq!(script.expect("200").header("Expires"), expires.to_string());
        script.expect("NOTIFY");
    }
    let mut config = crate::world::config("bob", crate::world::BOB);
    config.min_expires = 7200;
    let mut script = crate::world::Script::new(config);
    script.send(&Ask { expires: Some(3600), ..Ask::default() }.text());
    assert_eq!(script.expect("200").header("Expires"), "3600");
}

#[test]
fn not_05_never_longer_than_asked_and_an_hour_if_nothing_is_asked() {
    for (asked, granted) in [(Some(100), "100"), (None, "3600"), (Some(u32::MAX), "604800")] {
        let mut script = bob();
        script.send(&Ask { expires: asked, ..Ask::default() }.text());
        assert_eq!(script.expect("200").header("Expires"), granted);
        assert_eq!(script.expect("NOTIFY").header("Subscription-State"), format!("active;expires={granted}"));
    }
}

#[test]
fn not_06_every_accepted_subscribe_is_followed_at_once_by_a_notify() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    for (n, expires) in [300, 300, 0].into_iter().enumerate() {
        script.advance(secs(1));
        let again = Ask { seq: 2 + n as u32, ..ask.again(&ok, expires) };
        script.send(&again.text());
        script.expect("200");
        let notify = script.expect("NOTIFY");
        assert_eq!((notify.at, notify.cseq(), notify.tag("From")), (script.after(), 2 + n as u32, ok.tag("To")));
        script.answer(&notify, "200 OK");
    }
}

#[test]
fn not_07_notify_repeats_package_and_id_exactly() {
    for event in ["presence", "presence;id=xyz", "presence;id=0Aq"] {
        let mut script = bob();
        let ask = Ask { event, ..Ask::default() };
        let (ok, notify) = script.subscribe_established(&ask);
        assert_eq!(notify.header("Event"), event);
        script.send(&Ask { event: "presence;id=other", ..ask.again(&ok, 300) }.text());
        script.expect("481");
    }
}

#[test]
fn not_08_subscription_state_has_the_time_left_or_a_reason() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, notify) = script.subscribe_established(&ask);
    assert_eq!(notify.header("Subscription-State"), "active;expires=300");
    script.send(&ask.again(&ok, 0).text());
    script.expect("200");
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "terminated;reason=timeout");
}

#[test]
fn not_10_without_refresh_it_ends_at_expiry() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.advance_to(ms(299_999));
    script.nothing();
    script.advance(ms(1));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=timeout");
    assert!(!last.body().is_empty());
    script.answer(&last, "200 OK");
    assert!(script.core.watchers().is_empty());
}

#[test]
fn not_11_expires_0_ends_a_dialog_and_outside_one_is_a_fetch_that_leaves_nothing() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    script.send(&ask.again(&ok, 0).text());
    assert_eq!(script.expect("200").header("Expires"), "0");
    let last = script.expect("NOTIFY");
    assert!(last.body().contains("<basic>open</basic>"));
    script.answer(&last, "200 OK");
    script.send(&Ask { seq: 3, ..ask.again(&ok, 300) }.text());
    script.expect("481");

    script.send(&Ask { expires: Some(0), call_id: "look".into(), ..Ask::default() }.text());
    script.expect("200");
    let only = script.expect("NOTIFY");
    assert_eq!(only.header("Subscription-State"), "terminated;reason=timeout");
    assert!(only.body().contains("<basic>open</basic>"));
    script.answer(&only, "200 OK");
    assert!(script.core.watchers().is_empty());
    script.advance(secs(100));
    script.nothing();
    assert_eq!(script.core.deadline(), None, "nothing is left");
}

#[test]
fn not_18_a_watcher_that_does_not_take_our_type_gets_406() {
    for (accept, code) in [
        ("Accept: text/plain\n", "406"),
        ("Accept: \n", "406"),
        ("", "200"),
        ("Accept: */*\n", "200"),
        ("Accept: text/plain, application/*\n", "200"),
    ] {
        let mut script = bob();
        script.send(&Ask { accept, ..Ask::default() }.text());
        let answer = script.expect(code);
        if code == "406" {
            assert_eq!(answer.header("Accept"), "application/pidf+xml");
            script.nothing();
        }
    }
}

#[test]
fn not_26_allow_events_is_everywhere() {
    let mut script = bob();
    script.send(&Ask::default().text());
    assert_eq!(script.expect("200").header("Allow-Events"), "presence, presence.winfo");
    assert_eq!(script.expect("NOTIFY").header("Allow-Events"), "presence, presence.winfo");
    script.send(&Ask { call_id: "options".into(), ..Ask::default() }.text().replace("SUBSCRIBE", "OPTIONS"));
    assert_eq!(script.expect("200").header("Allow-Events"), "presence, presence.winfo");
}

#[test]
fn not_30_a_body_of_unknown_type_gets_415() {
    let mut script = bob();
    let ask = Ask { lines: "Content-Type: text/plain\n", body: "only on weekdays", ..Ask::default() };
    script.send(&ask.text());
    assert_eq!(script.expect("415").header("Accept"), "application/pidf+xml");
    script.nothing();
}

#[test]
fn not_31_the_request_uri_is_mine_at_each_address_and_name_of_this_machine() {
    for (target, code) in [
        ("sip:bob@192.0.2.20", "200"),
        ("sip:bob@192.0.2.20:5099", "200"),
        ("sip:bob@127.0.0.1", "200"),
        ("sip:bob@localhost", "200"),
        ("sip:bob@workshop", "200"),
        ("sip:bob@Workshop.local", "200"),
        ("sip:bob@192.0.2.77", "404"),
        ("sip:bob@example.com", "404"),
        ("sip:Bob@192.0.2.20", "404"),
        ("sip:192.0.2.20", "404"),
    ] {
        let mut script = bob();
        script.send(&Ask { target, ..Ask::default() }.text());
        script.expect(code);
    }
    assert!(bob_with(&[("alice@192.0.2.10", Action::Block)]).core.watchers().is_empty());
    assert_eq!(ALICE, "192.0.2.10:5060");
}
