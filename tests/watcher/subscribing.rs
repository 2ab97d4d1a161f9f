//! Subscribing: WAT-01 … WAT-18.

use std::time::Duration;

use sippresence::presence::{FailureCode, Freshness, PresenceStatus, core::Subscribing};

use crate::{
    alice, refresh,
    world::{ALICE, AVAILABLE, CLOSED, Script, config, ms, secs},
};

#[test]
fn wat_01_subscribe_carries_what_rfc_6665_wants() {
    let mut script = alice();
    script.watch();
    let sub = script.expect("SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0");
    assert_eq!(sub.header("Event"), "presence");
    assert_eq!(sub.header("Expires"), "300");
    assert_eq!(sub.header("Contact"), "<sip:alice@192.0.2.10:5060>");
    assert_eq!(sub.header("Accept"), "application/pidf+xml");
    assert_eq!(sub.header("Allow"), "NOTIFY, OPTIONS, SUBSCRIBE");
    assert_eq!(sub.header("Allow-Events"), "presence, presence.winfo");
    assert_eq!(sub.get("Supported"), None);
}

#[test]
fn wat_02_the_2xx_shortens_the_subscription_and_never_lengthens_it() {
    for (asked, lines, end) in [(3600, "Expires: 600\n", 600), (300, "Expires: 3600\n", 300), (300, "", 300)] {
        let mut config = config("alice", ALICE);
        config.expires = asked;
        let mut script = Script::new(config);
        script.watch();
        let sub = script.expect("SUBSCRIBE");
        assert_eq!(sub.header("Expires"), asked.to_string());
        script.answer_with(&sub, "200 OK", lines);
        script.notify(&sub, 1, "active", AVAILABLE);
        let at = refresh(&mut script).at;
        assert!(at >= secs(end / 2) && at <= secs(end - 32), "{asked} {lines:?}: {at:?}");
    }
}

#[test]
fn wat_03_a_notify_before_the_2xx_builds_the_subscription() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.notify(&sub, 1, "active;expires=200", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
    script.advance(secs(1));
    script.take();
    script.answer_with(&sub, "200 OK", "Expires: 300\n");
    assert_eq!(script.state(id).subscription.as_ref().unwrap().state, "active");
    let at = refresh(&mut script).at;
    assert!(at <= secs(168), "the 2xx does not reset what the NOTIFY said: {at:?}");

    // The 2xx never comes.
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.notify(&sub, 1, "active;expires=300", AVAILABLE);
    script.advance(secs(40));
    assert!(script.take().iter().all(|msg| msg.header("Call-ID") == sub.header("Call-ID")));
    assert_eq!(script.freshness(id), Freshness::Fresh);
    script.notify(&sub, 2, "active;expires=260", CLOSED);
    assert_eq!(script.state(id).status(), Some(&PresenceStatus::Offline));
}

#[test]
fn wat_04_a_2xx_without_notify_fails_after_64_t1() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "200 OK", "Expires: 300\n");
    script.advance(ms(31_999));
    assert_eq!(script.freshness(id), Freshness::Unknown);
    script.advance(ms(1));
    assert_eq!(script.freshness(id), Freshness::Failed(FailureCode::Timeout));
    let late = script.notify_text(&sub, 1, "active;expires=268", "", AVAILABLE);
    script.send(&late);
    assert_ne!(script.expect("SUBSCRIBE").header("Call-ID"), sub.header("Call-ID"), "the peer is there (WAT-47)");
    script.expect("481");
    assert_eq!(script.freshness(id), Freshness::Failed(FailureCode::Timeout));
}

#[test]
fn wat_05_timer_n_guards_a_refresh_and_a_204_stops_it() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let second = refresh(&mut script);
    script.answer_with(&second, "200 OK", "Expires: 300\n");
    script.advance_to(second.at + ms(31_999));
    script.nothing();
    assert_eq!(script.state(id).subscription.as_ref().unwrap().state, "active");
    script.advance(ms(1));
    assert_eq!(script.freshness(id), Freshness::Stale);
    let third = script.wait(secs(6));
    assert_ne!(third.header("Call-ID"), sub.header("Call-ID"), "the subscription had ended");

    let mut script = alice();
    let (id, sub) = script.watch_established();
    let second = refresh(&mut script);
    script.answer_with(&second, "204 No Notification", "Expires: 300\n");
    let third = script.wait(secs(300));
    assert!(third.at > second.at + secs(100), "{third:?}");
    assert_eq!(third.header("Call-ID"), sub.header("Call-ID"));
    assert_eq!(script.freshness(id), Freshness::Fresh);
}

#[test]
fn wat_06_a_long_run_has_no_gap_and_refreshes_in_one_dialog() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let mut last = Duration::ZERO;
    for seq in 2..50 {
        let again = refresh(&mut script);
        assert_eq!((again.header("Call-ID"), again.cseq()), (sub.header("Call-ID"), seq));
        let after = again.at - last;
        assert!(after >= secs(150) && after <= secs(268), "{after:?}");
        last = again.at;
        script.answer_with(&again, "200 OK", "Expires: 300\n");
        script.notify(&again, seq, "active;expires=300", AVAILABLE);
        assert_eq!(script.freshness(id), Freshness::Fresh);
    }
}

#[test]
fn wat_06_a_dead_peer_is_stale_after_16_t1_and_unknown_at_the_known_end_never_offline() {
    let mut script = alice();
    let (id, _) = script.watch_established();
    let again = refresh(&mut script);
    script.advance_to(again.at + ms(7999));
    assert_eq!(script.freshness(id), Freshness::Fresh);
    script.advance(ms(1));
    assert_eq!(script.freshness(id), Freshness::Stale);
    assert_eq!(script.state(id).status(), Some(&PresenceStatus::Available));
    script.advance_to(ms(299_999));
    assert_eq!(script.freshness(id), Freshness::Stale);
    script.advance(ms(1));
    assert_eq!((script.freshness(id), script.state(id).status()), (Freshness::Unknown, None));
    script.advance(secs(3600));
    assert_ne!(script.state(id).status(), Some(&PresenceStatus::Offline));
}

#[test]
fn wat_07_expires_of_a_notify_replaces_our_idea() {
    let mut script = alice();
    let (_, sub) = script.watch_established();
    script.advance(secs(10));
    script.notify(&sub, 2, "active;expires=60", AVAILABLE);
    let at = refresh(&mut script).at;
    assert!(at >= secs(40) && at <= secs(70), "{at:?}");
    // A longer one than asked is treated as asked.
    let mut script = alice();
    let (_, sub) = script.watch_established();
    script.notify(&sub, 2, "active;expires=90000", AVAILABLE);
    assert!(refresh(&mut script).at <= secs(268));
}

#[test]
fn wat_08_active_and_pending_without_expires_keep_the_time() {
    for state in ["active", "pending"] {
        let mut script = alice();
        let (_, sub) = script.watch_established();
        script.advance(secs(20));
        script.notify(&sub, 2, state, AVAILABLE);
        let again = refresh(&mut script);
        assert!(again.at >= secs(150) && again.at <= secs(268), "{again:?}");
        // Nor does one that comes before the 2xx of the refresh make us ask again at once.
        script.notify(&sub, 3, state, AVAILABLE);
        script.answer_with(&again, "200 OK", "Expires: 300\n");
        let third = refresh(&mut script);
        assert!(third.at >= again.at + secs(150), "{third:?} after {again:?}");
    }
}

#[test]
fn wat_09_codes_that_end_the_subscription_lead_to_a_new_dialog() {
    for code in [404, 480, 481, 482, 483, 484, 485, 501] {
        let mut script = alice();
        let (id, sub) = script.watch_established();
        let again = refresh(&mut script);
        script.answer(&again, &format!("{code} No"));
        assert_eq!(script.freshness(id), Freshness::Stale, "{code}");
        let anew = script.wait(secs(6));
        assert_eq!(anew.first_line(), "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0", "{code}");
        assert_ne!(anew.header("Call-ID"), sub.header("Call-ID"), "{code}");
        assert_ne!(anew.tag("From"), sub.tag("From"), "{code}");
        assert_eq!((anew.tag("To"), anew.cseq()), ("", 1), "{code}");
        assert_eq!(anew.at == again.at, code == 481, "a forgotten subscription is made anew at once");
        let old = script.notify_text(&sub, 9, "active", "", AVAILABLE);
        script.send(&old);
        script.expect("481");
    }
    for code in [405, 410, 416, 489, 604] {
        let mut script = alice();
        let (id, _) = script.watch_established();
        let again = refresh(&mut script);
        script.answer(&again, &format!("{code} No"));
        assert_eq!(script.freshness(id), Freshness::Failed(FailureCode::Sip(code)));
        script.advance(secs(86_400));
        script.nothing();
    }
}

#[test]
fn wat_10_a_refresh_that_fails_otherwise_leaves_the_subscription_alive() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let again = refresh(&mut script);
    script.answer(&again, "500 Oops");
    assert_eq!(script.freshness(id), Freshness::Stale);
    script.notify(&sub, 2, "active;expires=40", CLOSED);
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Fresh, "offline"));
    let third = script.wait(secs(32));
    assert_eq!((third.header("Call-ID"), third.cseq()), (sub.header("Call-ID"), 3));
    assert!(third.at < secs(300));

    // No answer at all: another try in the same dialog before the known end.
    let mut config = config("alice", ALICE);
    config.expires = 3600;
    let mut script = Script::new(config);
    script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "200 OK", "Expires: 3600\n");
    script.notify(&sub, 1, "active;expires=3600", AVAILABLE);
    let again = script.wait(secs(3600));
    script.advance_to(again.at + secs(32));
    script.take();
    let third = script.wait(secs(6));
    assert_eq!((third.header("Call-ID"), third.cseq()), (sub.header("Call-ID"), 3));
}

#[test]
fn wat_10_a_refresh_whose_2xx_is_lost_is_confirmed_by_its_notify() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let again = refresh(&mut script);
    script.notify(&sub, 2, "active;expires=300", AVAILABLE);
    script.advance(secs(60));
    assert!(script.take().iter().all(|msg| msg.header("CSeq") == "2 SUBSCRIBE"), "only resends");
    assert_eq!(script.freshness(id), Freshness::Fresh);
    let third = refresh(&mut script);
    assert!(third.at >= again.at + secs(150));
    assert_eq!(third.header("Call-ID"), sub.header("Call-ID"));
}

#[test]
fn wat_10_a_notify_that_crosses_the_refresh_does_not_cause_another_one() {
    let mut script = alice();
    let (_, sub) = script.watch_established();
    let again = refresh(&mut script);
    let left = 300 - again.at.as_secs();
    script.notify(&sub, 2, &format!("active;expires={left}"), CLOSED);
    script.answer_with(&again, "200 OK", "Expires: 300\n");
    script.nothing();
    script.notify(&sub, 3, "active;expires=300", CLOSED);
    assert!(refresh(&mut script).at >= again.at + secs(150));
}

#[test]
fn wat_11_423_is_followed_once() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "423 Interval Too Brief", "Min-Expires: 600\n");
    let again = script.expect("SUBSCRIBE");
    assert_eq!((again.header("Expires"), again.cseq()), ("600", 2));
    script.answer_with(&again, "423 Interval Too Brief", "Min-Expires: 1200\n");
    script.advance(secs(86_400));
    script.nothing();
    assert_eq!(script.freshness(id), Freshness::Failed(FailureCode::Sip(423)));

    for lines in ["", "Min-Expires: 300\n", "Min-Expires: 10\n", "Min-Expires: 99999999\n"] {
        let mut script = alice();
        script.watch();
        let sub = script.expect("SUBSCRIBE");
        script.answer_with(&sub, "423 Interval Too Brief", lines);
        script.advance(secs(3600));
        script.nothing();
    }
}

#[test]
fn wat_12_after_unsubscribe_the_last_notify_is_answered_200() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.act(|core, now, out| core.unwatch(id, now, out));
    let end = script.expect("SUBSCRIBE");
    assert_eq!((end.header("Expires"), end.header("Call-ID")), ("0", sub.header("Call-ID")));
    script.answer_with(&end, "200 OK", "Expires: 0\n");
    script.notify(&sub, 2, "active;expires=1", AVAILABLE);
    script.notify(&sub, 3, "terminated;reason=timeout", AVAILABLE);
    let late = script.notify_text(&sub, 4, "terminated;reason=timeout", "", "");
    script.send(&late);
    script.expect("481");

    // Without a last NOTIFY the dialog is kept for Timer N.
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.act(|core, now, out| core.unwatch(id, now, out));
    let end = script.expect("SUBSCRIBE");
    script.answer_with(&end, "200 OK", "Expires: 0\n");
    script.advance(ms(31_999));
    script.notify(&sub, 2, "active;expires=1", AVAILABLE);
    script.advance(ms(1));
    let late = script.notify_text(&sub, 3, "terminated", "", "");
    script.send(&late);
    script.expect("481");
}

#[test]
fn wat_13_a_fetch_is_over_with_its_one_notify() {
    for state in ["terminated;reason=timeout", "terminated", "active;expires=600"] {
        let mut script = alice();
        let target = "sip:bob@192.0.2.20".parse().unwrap();
        let id = script.act(|core, now, out| core.watch(target, "bob", Subscribing::Once, now, out));
        let sub = script.expect("SUBSCRIBE");
        assert_eq!((sub.header("Expires"), sub.tag("To")), ("0", ""));
        script.answer_with(&sub, "200 OK", "Expires: 0\n");
        assert!(!script.core.is_settled(id));
        script.notify(&sub, 1, state, AVAILABLE);
        assert!(script.core.is_settled(id));
        assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Fresh, "available"));
        script.advance(secs(3600));
        script.nothing();
        let late = script.notify_text(&sub, 2, "active", "", AVAILABLE);
        script.send(&late);
        script.expect("481");
        script.act(|core, now, out| core.unwatch(id, now, out));
        assert_eq!(script.core.deadline().map(|_| script.advance(secs(64))), Some(()));
        assert_eq!(script.core.deadline(), None, "nothing is left");
    }
}

#[test]
fn wat_14_a_last_notify_without_body_leaves_the_state_stale_and_one_with_body_replaces_it() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "terminated;reason=probation;retry-after=60", "");
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Stale, "available"));

    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "terminated;reason=probation;retry-after=60", CLOSED);
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Fresh, "offline"));
}

#[test]
fn wat_15_202_is_handled_as_200() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "202 Accepted", "Expires: 100\n");
    script.notify(&sub, 1, "active", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
    assert!(refresh(&mut script).at <= secs(68));
}

#[test]
fn wat_16_a_refusal_ends_the_attempt_and_says_why() {
    for (code, lines, why) in [
        (489, "Allow-Events: dialog\n", "489 Bad Event: it offers dialog"),
        (406, "Accept: text/plain\n", "406 Not Acceptable: it offers text/plain"),
        (415, "Accept: a/b\n", "415 Unsupported Media Type: it offers a/b"),
        (403, "", "403 Forbidden"),
        (603, "", "603 Decline"),
    ] {
        let mut script = alice();
        let id = script.watch();
        let sub = script.expect("SUBSCRIBE");
        script.answer_with(&sub, &format!("{code} whatever it says"), lines);
        let state = script.state(id);
        let rejected = matches!(code, 403 | 603);
        let expected = if rejected { Freshness::Rejected } else { Freshness::Failed(FailureCode::Sip(code)) };
        assert_eq!(state.freshness, expected);
        assert_eq!(state.subscription.as_ref().unwrap().reason.as_deref(), Some(why));
        script.advance(secs(86_400));
        script.nothing();
    }
}

#[test]
fn wat_17_the_first_fork_wins() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.notify(&sub, 1, "active;expires=300", AVAILABLE);
    let other = script.notify_text(&sub, 1, "active;expires=300", "", CLOSED).replace("peer-tag", "other-tag");
    script.send(&other);
    script.expect("481");
    assert_eq!(script.state(id).status(), Some(&PresenceStatus::Available));
}

#[test]
fn wat_18_a_notify_matches_by_call_id_tag_and_event() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    let good = script.notify_text(&sub, 1, "active;expires=300", "", AVAILABLE);
    let wrong =
        [(sub.header("Call-ID"), "another-call"), (sub.tag("From"), "anothertag"), ("presence\n", "presence;id=1\n")];
    for (right, wrong) in wrong {
        let branch = script.branch();
        script.send(&good.replace("z9hG4bKscript1", &branch).replacen(right, wrong, 1));
        script.expect("481");
        assert_eq!(script.freshness(id), Freshness::Unknown);
    }
    script.send(&good);
    script.expect("200");
    assert_eq!(script.freshness(id), Freshness::Fresh);
}

#[test]
fn wat_02_a_notifier_that_grants_a_second_is_not_asked_without_end() {
    let mut script = alice();
    let id = script.watch();
    let mut asked = 0;
    while script.after() < secs(600) {
        script.advance(ms(100));
        for sub in script.take().into_iter().filter(|msg| msg.first_line().starts_with("SUBSCRIBE")) {
            asked += 1;
            script.answer_with(&sub, "200 OK", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 1\n");
            let notify = script.notify_text(&sub, asked, "active;expires=1", "", AVAILABLE);
            script.send(&notify);
        }
    }
    // Each grant is kept up as far as it goes, twice a second at the most.
    assert!((10..=1300).contains(&asked), "{asked}");
    assert!(script.state(id).info.is_some());
}

#[test]
fn wat_35_a_document_about_somebody_else_is_shown_with_a_warning() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "active;expires=300", &CLOSED.replace("sip:bob@", "sip:mallory@"));
    let warning = script.state(id).warning.clone().unwrap_or_default();
    assert!(warning.contains("the document is about sip:mallory@"), "{warning}");
}
