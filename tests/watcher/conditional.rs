//! What we know is not told us again: CND-01, CND-02 (RFC 5839).

use sippresence::{
    presence::{Freshness, PresenceStatus},
    sip::events::conditional::Savings,
};

use crate::{
    alice, refresh,
    world::{AVAILABLE, CLOSED, Msg, Script, ms, secs},
};

const FIRST: &str = "SIP-ETag: v1\n";

/// A NOTIFY with a tag, and its 200.
fn notify(script: &mut Script, sub: &Msg, cseq: u32, state: &str, lines: &str, body: &str) {
    let text = script.notify_text(sub, cseq, state, lines, body);
    script.send(&text);
    script.expect("200");
}

/// Watches bob, who names his states.
fn established(script: &mut Script) -> (sippresence::presence::core::WatchId, Msg) {
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    assert_eq!(sub.get("Suppress-If-Match"), None, "nothing is known");
    script.answer_with(&sub, "200 OK", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 300\n");
    notify(script, &sub, 1, "active;expires=300", FIRST, AVAILABLE);
    (id, sub)
}

#[test]
fn cnd_01_a_204_to_a_refresh_confirms_what_is_known() {
    let mut script = alice();
    let (id, _) = established(&mut script);
    let before = script.state(id);
    for n in 1..=3 {
        let sub = refresh(&mut script);
        assert_eq!(sub.header("Suppress-If-Match"), "v1");
        // It takes its time: what is known is in doubt, and holds again with the answer.
        script.advance(secs(9));
        script.take();
        assert_eq!(script.freshness(id), Freshness::Stale);
        script.answer_with(&sub, "204 No Notification", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 300\n");
        assert_eq!(script.freshness(id), Freshness::Fresh);
        // Timer N is not running: no NOTIFY has to come.
        script.advance(secs(60));
        script.nothing();
        let state = script.state(id);
        assert_eq!((state.freshness, state.status(), state.since), (Freshness::Fresh, before.status(), before.since));
        let expected = Savings { notifies: n, documents: 0, bytes: n * document(AVAILABLE) };
        assert_eq!(script.core.savings().1, expected);
    }
}

/// How many bytes it has on the wire.
fn document(text: &str) -> u64 {
    text.replace('\n', "\r\n").len() as u64
}

#[test]
fn cnd_01_a_204_says_how_long() {
    let mut script = alice();
    established(&mut script);
    let sub = refresh(&mut script);
    script.answer_with(&sub, "204 No Notification", "Expires: 100\n");
    let at = script.after();
    let next = refresh(&mut script).at;
    assert!(next > at + secs(40) && next < at + secs(100), "{next:?} after {at:?}");
}

#[test]
fn cnd_01_each_state_is_known_by_its_own_tag() {
    let mut script = alice();
    let (id, sub) = established(&mut script);
    notify(&mut script, &sub, 2, "active;expires=290", "SIP-ETag: v2\n", CLOSED);
    let asked = refresh(&mut script);
    assert_eq!(asked.header("Suppress-If-Match"), "v2");
    script.answer_with(&asked, "200 OK", "Expires: 300\n");
    notify(&mut script, &sub, 3, "active;expires=300", FIRST, AVAILABLE);
    assert_eq!(script.state(id).status(), Some(&PresenceStatus::Available));
    assert_eq!(refresh(&mut script).header("Suppress-If-Match"), "v1");
}

#[test]
fn cnd_01_a_new_subscription_says_what_is_known_and_a_notify_without_body_keeps_it() {
    let mut script = alice();
    let (id, _) = established(&mut script);
    let before = script.state(id);
    let asked = refresh(&mut script);
    script.answer(&asked, "481 Gone");
    assert_eq!(script.freshness(id), Freshness::Stale);
    let anew = script.expect("SUBSCRIBE sip:bob@192.0.2.20 ");
    assert_eq!(anew.header("Suppress-If-Match"), "v1");
    script.answer_with(&anew, "200 OK", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 300\n");
    // A notifier like us tells nothing to who has yet to prove to be there; the tag is for the NOTIFY after it.
    notify(&mut script, &anew, 1, "active;expires=300", "", "");
    assert_eq!(script.freshness(id), Freshness::Stale);
    notify(&mut script, &anew, 2, "active;expires=300", FIRST, "");
    let state = script.state(id);
    assert_eq!((state.freshness, state.status(), state.since), (Freshness::Fresh, before.status(), before.since));
    assert_eq!(script.core.savings().1, Savings { notifies: 0, documents: 1, bytes: document(AVAILABLE) });
    assert_eq!(refresh(&mut script).header("Suppress-If-Match"), "v1");
}

#[test]
fn cnd_01_a_notify_without_body_and_with_another_tag_says_nothing() {
    let mut script = alice();
    let (id, sub) = established(&mut script);
    notify(&mut script, &sub, 2, "active;expires=290", "SIP-ETag: v9\n", "");
    assert_eq!(script.freshness(id), Freshness::Stale);
    assert_eq!(refresh(&mut script).header("Suppress-If-Match"), "v1", "that is what we hold");
    assert_eq!(script.core.savings().1, Savings::default());
}

#[test]
fn cnd_01_what_is_no_longer_known_is_asked_for_in_full() {
    // Nobody answers until the end of what was granted.
    let mut script = alice();
    let (id, _) = established(&mut script);
    script.advance(secs(301));
    assert_eq!(script.freshness(id), Freshness::Unknown);
    let sent = script.take();
    let anew = sent.iter().find(|msg| msg.first_line().starts_with("SUBSCRIBE sip:bob@192.0.2.20 ")).unwrap();
    assert_eq!(anew.get("Suppress-If-Match"), None);

    // A document that cannot be read is none that we hold.
    let mut script = alice();
    let (_, sub) = established(&mut script);
    notify(&mut script, &sub, 2, "active;expires=290", "SIP-ETag: v2\n", "<presence");
    assert_eq!(refresh(&mut script).get("Suppress-If-Match"), None);

    // And a new run holds nothing.
    let mut script = alice();
    established(&mut script);
    let (config, saved) = (crate::world::config("alice", crate::world::ALICE), script.saved());
    script.restart(config, &saved, true);
    script.watch();
    assert_eq!(script.expect("SUBSCRIBE").get("Suppress-If-Match"), None);
}

#[test]
fn cnd_01_an_end_of_ours_that_is_answered_204_is_over_at_once() {
    let mut script = alice();
    let (id, _) = established(&mut script);
    script.act(|core, now, out| core.unwatch(id, now, out));
    let last = script.expect("SUBSCRIBE");
    assert_eq!((last.header("Expires"), last.header("Suppress-If-Match")), ("0", "v1"));
    assert!(script.core.is_busy());
    script.answer(&last, "204 No Notification");
    assert!(!script.core.is_busy());
    script.advance(secs(100));
    script.nothing();
}

#[test]
fn cnd_02_a_notifier_that_names_no_versions_is_handled_as_ever() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    for n in 2..5 {
        let asked = refresh(&mut script);
        assert_eq!(asked.get("Suppress-If-Match"), None);
        script.answer_with(&asked, "200 OK", "Expires: 300\n");
        script.advance(ms(500));
        notify(&mut script, &sub, n, "active;expires=300", "", if n % 2 == 0 { CLOSED } else { AVAILABLE });
        assert_eq!(script.freshness(id), Freshness::Fresh);
    }
    assert_eq!(script.core.savings().1, Savings::default());
    // One that names some and then no more, or what is no tag.
    notify(&mut script, &sub, 5, "active;expires=200", FIRST, AVAILABLE);
    for (seq, lines) in [(6, ""), (8, "SIP-ETag: \"no token\"\n")] {
        notify(&mut script, &sub, seq, "active;expires=200", FIRST, AVAILABLE);
        notify(&mut script, &sub, seq + 1, "active;expires=200", lines, CLOSED);
        assert_eq!(script.state(id).status(), Some(&PresenceStatus::Offline));
    }
    assert_eq!(refresh(&mut script).get("Suppress-If-Match"), None);
}
