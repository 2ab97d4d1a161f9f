//! A watcher says how often it wants to be told: RTE-01, RTE-02, RTE-03 (RFC 6446), beside our own pace (NOT-16).

use sippresence::presence::PresenceStatus::{Available, Away, Busy};

use crate::{
    bob, bob_with,
    limits::open_bob,
    restarting::bobs,
    world::{Ask, Msg, Script, secs},
};

fn asking(event: &'static str) -> Ask<'static> {
    Ask { event, expires: Some(3600), ..Ask::default() }
}

/// A watcher with an answered first NOTIFY.
fn watched(event: &'static str) -> (Script, Msg, Msg) {
    let mut script = bob();
    let (ok, told) = script.subscribe_established(&asking(event));
    (script, ok, told)
}

/// Answers all NOTIFYs of a while, and returns when they came and what they said.
fn over(script: &mut Script, seconds: u64) -> Vec<(u64, String)> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        script.advance(secs(1));
        for notify in script.take() {
            script.answer(&notify, "200 OK");
            let state = notify.body().split("<rpid:").nth(1).and_then(|rest| rest.split("/>").next()).unwrap_or("-");
            told.push((notify.at.as_secs(), state.to_owned()));
        }
    }
    told
}

#[test]
fn rte_01_a_highest_rate_holds_changes_and_tells_the_newest() {
    let (mut script, _, told) = watched("presence;max-rate=0.1");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;max-rate=0.1");
    script.advance(secs(1));
    script.publish(Busy, None);
    script.nothing();
    script.advance(secs(1));
    script.publish(Away, None);
    let came = over(&mut script, 60);
    assert_eq!(came.len(), 1, "{came:?}");
    assert_eq!(came[0].0, 10);
    for n in 0..30 {
        script.publish(if n % 2 == 0 { Busy } else { Away }, None);
        let some = over(&mut script, 1);
        assert!(n == 0 || some.is_empty() || some[0].0 % 10 == 2 || some[0].0 % 10 == 3, "{n} {some:?}");
    }
}

#[test]
fn rte_01_our_own_pace_is_told_to_who_wants_more() {
    let (mut script, _, told) = watched("presence;max-rate=10");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;max-rate=0.2");
    let mut times = Vec::new();
    for n in 0..20 {
        script.publish(if n % 2 == 0 { Busy } else { Available }, None);
        times.extend(over(&mut script, 1).into_iter().map(|(at, _)| at));
    }
    assert!(times.len() >= 3 && times.windows(2).all(|two| two[1] - two[0] >= 5), "{times:?}");
    // Whoever asks for nothing is told nothing of it.
    let (_, _, told) = watched("presence");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600");
    for odd in ["presence;max-rate=0", "presence;max-rate=-1", "presence;max-rate=often", "presence;max-rate"] {
        let (_, _, told) = watched(odd);
        assert_eq!(told.header("Subscription-State"), "active;expires=3600", "{odd}");
    }
}

#[test]
fn rte_01_a_refresh_and_an_end_are_answered_at_once_whatever_the_rate() {
    let (mut script, ok, _) = watched("presence;max-rate=0.001");
    script.advance(secs(3));
    let again = Ask { event: "presence;max-rate=0.001", ..asking("").again(&ok, 3600) };
    script.send(&again.text());
    script.expect("200");
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    script.send(&Ask { seq: 3, event: "presence", ..again.again(&ok, 0) }.text());
    script.expect("200");
    assert!(script.expect("NOTIFY").header("Subscription-State").starts_with("terminated"));
}

#[test]
fn rte_02_a_lowest_rate_repeats_what_did_not_change() {
    let (mut script, _, told) = watched("presence;min-rate=0.05");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;min-rate=0.05");
    let body = told.body().to_owned();
    for n in 1..=5 {
        let repeated = script.wait(secs(30));
        assert_eq!((repeated.at.as_secs(), repeated.body()), (20 * n, body.as_str()));
        assert_eq!(repeated.header("SIP-ETag"), told.header("SIP-ETag"));
        script.answer(&repeated, "200 OK");
    }
    // A change begins the pause anew.
    script.advance(secs(7));
    script.publish(Busy, None);
    let changed = script.expect("NOTIFY");
    script.answer(&changed, "200 OK");
    let repeated = script.wait(secs(30));
    assert_eq!(repeated.at, changed.at + secs(20));
}

#[test]
fn rte_02_the_highest_rate_and_our_pace_bound_the_lowest() {
    let (mut script, _, told) = watched("presence;min-rate=50;max-rate=0.1");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;max-rate=0.1;min-rate=0.1");
    assert_eq!(over(&mut script, 60).len(), 6);
    let (mut script, _, told) = watched("presence;min-rate=50");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;min-rate=0.2");
    assert_eq!(over(&mut script, 60).len(), 12);
}

#[test]
fn rte_02_an_adaptive_rate_repeats_as_it_goes_on_average() {
    let (mut script, _, told) = watched("presence;adaptive-min-rate=0.05");
    assert_eq!(told.header("Subscription-State"), "active;expires=3600;adaptive-min-rate=0.05");
    // Nothing changes: over the hour it is told once in 20 s.
    let told = over(&mut script, 3000).len();
    assert!((140..=165).contains(&told), "{told}");
}

#[test]
fn rte_02_who_may_not_know_or_has_yet_to_answer_gets_nothing_again_and_again() {
    let mut script = bob_with(&[]);
    script.send(&asking("presence;min-rate=0.1").text());
    script.expect("200");
    let pending = script.expect("NOTIFY");
    script.answer(&pending, "200 OK");
    script.advance(secs(300));
    script.nothing();

    let mut script = open_bob();
    script.send(&asking("presence;min-rate=0.1").text());
    script.advance(secs(300));
    let sent = script.take();
    assert!(sent.iter().filter(|msg| msg.first_line().starts_with("NOTIFY")).count() <= 2, "{sent:?}");
}

#[test]
fn rte_03_an_event_in_the_answer_changes_the_rates() {
    let (mut script, _, told) = watched("presence;min-rate=0.05");
    assert!(told.header("Subscription-State").ends_with("min-rate=0.05"));
    let first = script.wait(secs(30));
    script.answer_with(&first, "200 OK", "Event: presence;min-rate=0.1;max-rate=0.1\n");
    let second = script.wait(secs(30));
    assert_eq!(second.at, first.at + secs(10));
    assert!(second.header("Subscription-State").ends_with(";max-rate=0.1;min-rate=0.1"));
    // An answer without an Event says nothing of them; one without rates wants none any more.
    script.answer(&second, "200 OK");
    let third = script.wait(secs(30));
    assert_eq!(third.at, second.at + secs(10));
    script.answer_with(&third, "200 OK", "Event: presence\n");
    script.advance(secs(1000));
    script.nothing();
    script.publish(Busy, None);
    let change = script.expect("NOTIFY");
    assert!(!change.header("Subscription-State").contains("rate"));
    // Nor does one about something else.
    script.answer_with(&change, "200 OK", "Event: dialog;min-rate=0.1\n");
    script.advance(secs(1000));
    script.nothing();
}

#[test]
fn rte_01_rates_hold_over_a_restart() {
    for crashed in [false, true] {
        let (mut script, _, _) = watched("presence;max-rate=0.1;min-rate=0.05");
        let saved = script.saved();
        script.advance(secs(3));
        script.restart(bobs(&[("alice@192.0.2.10", sippresence::presence::policy::Action::Allow)]), &saved, crashed);
        for told in script.take() {
            script.answer(&told, "200 OK");
        }
        let repeated = script.wait(secs(30));
        assert!(repeated.header("Subscription-State").ends_with(";max-rate=0.1;min-rate=0.05"), "{repeated:?}");
        script.answer(&repeated, "200 OK");
        script.advance(secs(1));
        script.publish(Busy, None);
        assert_eq!(script.wait(secs(30)).at, repeated.at + secs(10));
    }
}
