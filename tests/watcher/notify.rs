//! What NOTIFYs bring, and when to come again: WAT-30 … WAT-50.

use std::time::Duration;

use sippresence::presence::{
    FailureCode, Freshness, PresenceEvent,
    core::{Input, Subscribing},
    event::SinceFrom,
};

use crate::{
    alice, attempts, refresh,
    world::{ALICE, AVAILABLE, BOB, CLOSED, Script, config, ms, secs},
};

/// Ends an established subscription like this at 10 s, and returns when it was tried again.
fn after_end(state: &str) -> Vec<Duration> {
    let mut script = alice();
    let (_, sub) = script.watch_established();
    script.advance(secs(10));
    script.notify(&sub, 2, state, "");
    attempts(&mut script, secs(400))
}

#[test]
fn wat_30_a_notify_for_nobody_is_answered_481_and_an_unknown_package_489() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let before = script.state(id);
    let stray = script.notify_text(&sub, 2, "active", "", CLOSED).replace(sub.header("Call-ID"), "stray");
    script.send(&stray);
    script.expect("481");
    let foreign = script.notify_text(&sub, 2, "active", "", CLOSED).replace("Event: presence", "Event: dialog");
    script.send(&foreign);
    assert_eq!(script.expect("489").header("Allow-Events"), "presence, presence.winfo");
    let none = script.notify_text(&sub, 2, "active", "", CLOSED).replace("Event: presence\n", "");
    script.send(&none);
    script.expect("489");
    assert_eq!(script.state(id), before);
}

#[test]
fn wat_31_a_notify_without_subscription_state_is_refused_and_changes_nothing() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let before = script.state(id);
    let text = script.notify_text(&sub, 2, "", "", CLOSED);
    script.send(&text);
    script.expect("400");
    assert_eq!(script.state(id), before);
    script.notify(&sub, 2, "active;expires=300", CLOSED);
}

#[test]
fn wat_32_the_200_leaves_with_the_same_input() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    let text = script.notify_text(&sub, 1, "active;expires=300", "", AVAILABLE);
    let at = script.after();
    script.send(&text);
    assert_eq!(script.expect("200").at, at);
    assert_eq!(script.freshness(id), Freshness::Fresh);
}

#[test]
fn wat_33_a_body_of_another_type_is_refused_with_what_we_accept() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let before = script.state(id);
    let text = script.notify_text(&sub, 2, "active", "", CLOSED).replace("application/pidf+xml", "text/plain");
    script.send(&text);
    assert_eq!(script.expect("415").header("Accept"), "application/pidf+xml");
    assert_eq!(script.state(id), before);
    script.notify(&sub, 3, "active", "");
}

#[test]
fn wat_35_each_document_replaces_the_former_one() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    let two = AVAILABLE.replace(
        "</presence>",
        "<tuple id=\"b\"><status><basic>open</basic></status><contact>sip:b@h</contact></tuple></presence>",
    );
    script.notify(&sub, 2, "active", &two);
    assert_eq!(script.state(id).info.as_ref().unwrap().devices.len(), 2);
    script.notify(&sub, 3, "active", AVAILABLE);
    assert_eq!(script.state(id).info.as_ref().unwrap().devices.len(), 1);
}

#[test]
fn wat_36_deactivated_is_followed_by_one_subscribe_at_once_and_no_storm() {
    let mut script = alice();
    let (_, sub) = script.watch_established();
    script.advance(secs(10));
    let routed = script.notify_text(
        &sub,
        2,
        "terminated;reason=deactivated;retry-after=3600",
        "Record-Route: <sip:192.0.2.99;lr>\n",
        "",
    );
    script.send(&routed);
    script.expect("200");
    let anew = script.expect("SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0");
    assert_eq!((anew.at, anew.get("Route"), anew.tag("To")), (secs(10), None, ""));
    assert_ne!(anew.header("Call-ID"), sub.header("Call-ID"));
    script.nothing();

    // A peer that always deactivates: three at once in any minute, the others with growing pauses.
    let mut next = anew;
    let mut at = Vec::new();
    while next.at < secs(600) {
        at.push(next.at);
        script.answer(&next, "200 OK");
        script.notify(&next, 1, "terminated;reason=deactivated", "");
        next = script.wait(secs(300));
    }
    assert!(at.len() < 40, "{at:?}");
    for window in at.windows(7) {
        assert!(window[6] - window[0] >= secs(30), "a storm: {at:?}");
    }
}

#[test]
fn wat_37_probation_waits_for_retry_after_or_a_minute() {
    let at = after_end("terminated;reason=probation;retry-after=90");
    assert_eq!(at[0], secs(100));
    let at = after_end("terminated;reason=probation");
    assert_eq!(at[0], secs(70));
    // A notifier that wants us back at once does not get a storm.
    let at = after_end("terminated;reason=probation;retry-after=0");
    assert!(at[0] >= secs(15));
}

#[test]
fn wat_38_rejected_is_shown_and_never_tried_again() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "terminated;reason=rejected;retry-after=1", "");
    assert_eq!(script.freshness(id), Freshness::Rejected);
    assert!(attempts(&mut script, secs(86_400)).is_empty());
    assert_eq!(script.freshness(id), Freshness::Rejected);
}

#[test]
fn wat_39_timeout_may_be_followed_at_once_and_is_the_normal_end_of_what_we_ended() {
    let at = after_end("terminated;reason=timeout");
    assert_eq!(at[0], secs(10));

    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.act(|core, now, out| core.unwatch(id, now, out));
    let end = script.expect("SUBSCRIBE");
    script.answer(&end, "200 OK");
    script.notify(&sub, 2, "terminated;reason=timeout", "");
    assert!(attempts(&mut script, secs(86_400)).is_empty());
}

#[test]
fn wat_40_giveup_waits_for_retry_after_or_at_least_a_minute() {
    let at = after_end("terminated;reason=giveup;retry-after=77");
    assert_eq!(at[0], secs(87));
    let at = after_end("terminated;reason=giveup");
    assert!(at[0] >= secs(70) && at[0] <= secs(82), "{at:?}");
}

#[test]
fn wat_41_noresource_and_invariant_are_never_tried_again() {
    for (reason, freshness) in
        [("noresource", Freshness::Failed(FailureCode::Sip(404))), ("invariant", Freshness::Fresh)]
    {
        let mut script = alice();
        let (id, sub) = script.watch_established();
        script.notify(&sub, 2, &format!("terminated;reason={reason};retry-after=1"), "");
        assert!(attempts(&mut script, secs(86_400)).is_empty());
        assert_eq!(script.freshness(id), freshness);
    }
}

#[test]
fn wat_42_an_unknown_reason_honours_retry_after_and_else_backs_off() {
    for state in ["terminated;reason=foo;retry-after=90", "terminated;retry-after=90"] {
        let at = after_end(state);
        assert!(at[0] >= secs(100) && at[0] <= secs(102), "{at:?}");
    }
    for state in ["terminated;reason=foo", "terminated"] {
        let at = after_end(state);
        assert!(at[0] >= secs(14) && at[0] <= secs(16), "{at:?}");
    }
}

#[test]
fn wat_43_expires_on_terminated_is_ignored() {
    let mut script = alice();
    let (_, sub) = script.watch_established();
    script.notify(&sub, 2, "terminated;reason=probation;expires=3600", "");
    let late = script.notify_text(&sub, 3, "active", "", AVAILABLE);
    script.send(&late);
    // Whoever writes to us is there: a new subscription, for the old one is over.
    assert_ne!(script.expect("SUBSCRIBE").header("Call-ID"), sub.header("Call-ID"));
    script.expect("481");
}

#[test]
fn wat_44_pending_shows_no_status_whatever_the_body_says() {
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.notify(&sub, 1, "pending;expires=300", CLOSED);
    assert_eq!((script.freshness(id), script.state(id).status()), (Freshness::Pending, None));
    script.notify(&sub, 2, "active;expires=280", AVAILABLE);
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Fresh, "available"));
}

#[test]
fn wat_47_pauses_double_up_to_either_cap() {
    for cap in [120, 1800] {
        let mut config = config("alice", ALICE);
        config.retry_cap = secs(cap);
        let mut script = Script::new(config);
        script.watch();
        let at = attempts(&mut script, secs(20_000));
        let mut expected = 5_u64;
        for pair in at.windows(2) {
            // Each attempt takes 32 s to fail.
            let pause = (pair[1] - pair[0] - secs(32)).as_secs_f64();
            let nominal = secs(expected).as_secs_f64();
            assert!(
                pause >= nominal * 0.8 && pause <= (nominal * 1.2).min(secs(cap).as_secs_f64()),
                "{pause} for {nominal}"
            );
            expected = (expected * 2).min(cap);
        }
        assert!(at.len() > 10);
    }
}

#[test]
fn wat_47_a_peer_that_comes_back_is_subscribed_to_at_once_but_seldom() {
    let mut script = alice();
    script.watch();
    attempts(&mut script, secs(1000));
    let options = |n: u32| {
        format!(
            "SUBSCRIBE sip:alice@192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKback{n};rport\n\
             From: <sip:bob@192.0.2.20>;tag=back{n}\nTo: <sip:alice@192.0.2.10>\nCall-ID: back{n}\n\
             CSeq: 1 SUBSCRIBE\nContact: <sip:bob@{BOB}>\nEvent: presence\nExpires: 0\nContent-Length: 0\n\n"
        )
    };
    // Wait for a moment in back-off.
    while script.core.deadline().is_none_or(|at| at.since(script.now().at) < secs(20)) {
        script.advance(secs(1));
    }
    script.take();
    let from = script.after();
    let mut subscribes = Vec::new();
    for n in 0..100 {
        script.send(&options(n));
        for msg in script.take() {
            if msg.first_line().starts_with("SUBSCRIBE") {
                // Refused with leave to come again: back in back-off at once.
                script.answer(&msg, "480 Not now");
                subscribes.push(msg.at - from);
            }
        }
        script.advance(ms(99));
        subscribes
            .extend(script.take().iter().filter(|m| m.first_line().starts_with("SUBSCRIBE")).map(|m| m.at - from));
    }
    assert_eq!(subscribes, [Duration::ZERO]);
}

#[test]
fn wat_47_a_peer_that_comes_back_while_the_subscription_lives_gets_the_refresh_at_once() {
    let mut config = config("alice", ALICE);
    config.expires = 3600;
    let mut script = Script::new(config);
    script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "200 OK", "Expires: 3600\n");
    script.notify(&sub, 1, "active;expires=3600", AVAILABLE);
    let again = script.wait(secs(3600));
    script.advance_to(again.at + secs(33));
    script.take();
    let stray = script.notify_text(&sub, 2, "active", "", AVAILABLE).replace(sub.header("Call-ID"), "stray");
    let back_at = script.after();
    script.send(&stray);
    script.expect("481");
    let third = script.wait(secs(1));
    assert_eq!((third.header("Call-ID"), third.cseq(), third.at), (sub.header("Call-ID"), 3, back_at));
    script.answer(&third, "481 Gone");
    let new = script.expect("SUBSCRIBE");
    assert_ne!(new.header("Call-ID"), sub.header("Call-ID"));
}

#[test]
fn wat_47_an_options_request_shows_that_the_peer_is_there_too() {
    let mut script = alice();
    script.watch();
    attempts(&mut script, secs(1000));
    while script.core.deadline().is_none_or(|at| at.since(script.now().at) < secs(20)) {
        script.advance(secs(1));
    }
    script.take();
    script.send(&format!(
        "OPTIONS sip:alice@192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKping;rport\n\
         From: <sip:bob@192.0.2.20>;tag=ping\nTo: <sip:alice@192.0.2.10>\nCall-ID: ping\n\
         CSeq: 1 OPTIONS\nContent-Length: 0\n\n"
    ));
    script.expect("200");
    script.expect("SUBSCRIBE");
}

#[test]
fn wat_47_no_early_attempt_comes_before_a_retry_after() {
    let mut script = alice();
    script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "503 Busy", "Retry-After: 50 (soon);duration=60\n");
    script.advance(secs(20));
    let stray = script.notify_text(&sub, 1, "active", "", AVAILABLE);
    script.send(&stray);
    script.expect("481");
    script.nothing();
    assert!(script.wait(secs(60)).at >= secs(50));
}

#[test]
fn wat_49_an_unreadable_body_is_answered_200_and_keeps_the_state_stale() {
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.events.clear();
    for seq in 2..5 {
        script.notify(&sub, seq, "active;expires=300", "<presence this is no XML");
        assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Stale, "available"));
    }
    assert_eq!(script.core.unreadable_documents(id), 3);
    let warnings = script.events.iter().filter(|event| matches!(event, PresenceEvent::Warning { .. })).count();
    assert_eq!(warnings, 1);
    script.notify(&sub, 5, "active;expires=300", CLOSED);
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Fresh, "offline"));
}

#[test]
fn wat_50_each_cause_has_its_freshness() {
    // Never had one.
    let mut script = alice();
    let id = script.watch();
    assert_eq!(script.freshness(id), Freshness::Unknown);
    // The network says that nobody is there: failed, with the code.
    script.input(Input::SendFailed(BOB.parse().unwrap()));
    assert_eq!(script.freshness(id), Freshness::Failed(FailureCode::Connect));

    // A name that does not resolve.
    let mut core = alice();
    core.act(|core, now, out| {
        let target = "sip:bob@nowhere.example:5060".parse().unwrap();
        let id = core.watch(target, "bob", Subscribing::Lasting, now, out);
        let sippresence::sip::effect::Effect::Resolve { query, .. } = out.effects.remove(0) else { panic!() };
        core.handle(Input::Resolved { query, answer: Err("no such host".into()) }, now, out);
        assert_eq!(core.state(id).unwrap().freshness, Freshness::Failed(FailureCode::Dns));
    });

    // Ended without body: stale. An answer that refuses: rejected or failed (WAT-16). No decision: pending (WAT-44).
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "terminated", "");
    assert_eq!(script.freshness(id), Freshness::Stale);

    // A body is missing where one should be.
    let mut script = alice();
    let (id, sub) = script.watch_established();
    script.notify(&sub, 2, "active;expires=300", "");
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Stale, "available"));
}

#[test]
fn wat_50_our_own_network_lost_makes_stale_then_unknown_and_never_offline() {
    let mut script = alice();
    let (id, _) = script.watch_established();
    let again = refresh(&mut script);
    script.input(Input::SendFailed(BOB.parse().unwrap()));
    assert_eq!((script.freshness(id), script.after()), (Freshness::Stale, again.at));
    script.advance_to(ms(299_999));
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Stale, "available"));
    script.advance(ms(1));
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Unknown, "unknown"));
}

#[test]
fn wat_50_what_was_known_ends_at_its_known_end_though_the_subscription_ended_before() {
    let mut script = alice();
    let (id, _) = script.watch_established();
    let again = refresh(&mut script);
    script.answer(&again, "480 Gone fishing");
    script.advance_to(ms(299_999));
    assert_eq!(script.freshness(id), Freshness::Stale);
    script.advance(ms(1));
    assert_eq!(script.freshness(id), Freshness::Unknown);
}

#[test]
fn wat_50_since_is_the_documents_if_it_can_be_true_and_else_the_arrival() {
    let dated = |body: &str, at: &str| body.replace("</tuple>", &format!("<timestamp>{at}</timestamp></tuple>"));
    let mut script = alice();
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "200 OK", "Expires: 300\n");
    let since = |script: &Script| {
        let state = script.state(id);
        (state.since.unwrap().to_string(), state.since_from.unwrap())
    };
    script.notify(&sub, 1, "active;expires=300", &dated(AVAILABLE, "2026-03-02T09:00:00Z"));
    assert_eq!(since(&script), ("2026-03-02T09:00:00Z".into(), SinceFrom::Peer));
    script.advance(secs(60));
    // Before the former one: the arrival counts.
    script.notify(&sub, 2, "active", &dated(CLOSED, "2026-03-02T08:59:59Z"));
    assert_eq!(since(&script), ("2026-03-02T09:16:00Z".into(), SinceFrom::Observed));
    script.advance(secs(60));
    // In the time to come: likewise.
    script.notify(&sub, 3, "active", &dated(AVAILABLE, "2026-03-02T10:00:00Z"));
    assert_eq!(since(&script), ("2026-03-02T09:17:00Z".into(), SinceFrom::Observed));
    script.advance(secs(60));
    script.notify(&sub, 4, "active", &dated(CLOSED, "2026-03-02T09:17:30Z"));
    assert_eq!(since(&script), ("2026-03-02T09:17:30Z".into(), SinceFrom::Peer));
    // The same status once more moves nothing.
    script.notify(&sub, 5, "active", &dated(CLOSED, "2026-03-02T09:17:59Z"));
    assert_eq!(since(&script), ("2026-03-02T09:17:30Z".into(), SinceFrom::Peer));
}

#[test]
fn sec_20_after_a_long_sleep_everything_is_stale_and_asked_once_jittered() {
    let mut script = alice();
    let (id, _) = script.watch_established();
    script.nothing();
    // Eight hours without a tick.
    script.sleep(secs(8 * 3600));
    script.input(Input::Resumed);
    assert_eq!((script.freshness(id), script.state(id).status_word()), (Freshness::Stale, "available"));
    let woke = script.after();
    script.advance(secs(3));
    let asked = script.take();
    assert!(asked.iter().all(|msg| msg.header("CSeq") == "1 SUBSCRIBE"), "{asked:?}");
    assert_eq!(asked.iter().map(|msg| msg.header("Call-ID")).collect::<std::collections::HashSet<_>>().len(), 1);
    assert!(asked[0].at > woke && asked[0].at <= woke + secs(3));
    script.answer_with(&asked[0], "200 OK", "Expires: 300\n");
    script.notify(&asked[0], 1, "active;expires=300", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);

    // A short sleep: one refresh in the dialog; without any answer it ends as unknown.
    script.sleep(secs(20));
    script.input(Input::Resumed);
    assert_eq!(script.freshness(id), Freshness::Stale);
    script.advance(secs(3));
    let asked = script.take();
    assert!(asked.iter().all(|msg| msg.header("CSeq") == "2 SUBSCRIBE"), "{asked:?}");
    // Whoever tells of the same sleep once more has nothing asked twice.
    script.input(Input::Resumed);
    script.advance(secs(4));
    let asked = script.take();
    assert!(asked.iter().all(|msg| msg.header("CSeq") == "2 SUBSCRIBE"), "{asked:?}");
    script.sleep(secs(8 * 3600));
    script.input(Input::Resumed);
    script.advance(secs(40));
    assert_eq!(script.freshness(id), Freshness::Unknown);
}

#[test]
fn sec_20_an_attempt_that_the_sleep_cut_off_is_made_again_at_once() {
    let mut script = alice();
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.sleep(secs(8 * 3600));
    script.input(Input::Resumed);
    let woke = script.after();
    let again = script.wait(secs(3));
    assert!(again.at <= woke + secs(3) && again.header("Call-ID") != first.header("Call-ID"), "{again:?}");
    script.answer_with(&again, "200 OK", "Expires: 300\n");
    script.notify(&again, 1, "active;expires=300", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
}
