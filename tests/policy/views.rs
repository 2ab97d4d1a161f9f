//! What each watcher sees, and when it hears of it: parts, fixed replacements, times, parts of life.

use std::sync::Arc;

use sippresence::presence::{
    PresenceStatus,
    core::CoreConfig,
    event::WatcherGrade,
    pidf::Published,
    policy::{Action, Dates, Instead, Policy, Rule, Shown, Times, Who},
};

use crate::world::{Ask, BOB, Msg, START, Script, config, moment, ms, policy, secs};

const ALICE: &str = "sip:alice@192.0.2.10";
const CAROL: &str = "sip:carol@192.0.2.30";

fn rule(id: &str, who: &str) -> Rule {
    Rule { who: Some(vec![Who::One(who.into())]), ..Rule::new(id, Action::Allow) }
}

fn shows(id: &str, who: &str, words: &[&'static str]) -> Rule {
    Rule { shown: Arc::new(Shown::of_words(words.iter().copied()).unwrap()), ..rule(id, who) }
}

fn rules(rules: Vec<Rule>) -> Policy {
    Policy::default().with_rules(rules)
}

fn bob(policy: Policy) -> Script {
    let mut script = Script::new(CoreConfig { policy, ..config("bob", BOB) });
    script.publish(PresenceStatus::Busy, Some("board meeting"));
    script
}

fn carol() -> Ask<'static> {
    Ask { user: "carol", ..Ask::from("192.0.2.30:5060".parse().unwrap()) }
}

/// Who is sent what next, in the order of sending; all of it answered.
fn told(script: &mut Script) -> Vec<Msg> {
    let mut told = Vec::new();
    loop {
        let sent = script.take();
        if sent.is_empty() {
            return told;
        }
        for msg in sent {
            script.answer(&msg, "200 OK");
            told.push(msg);
        }
    }
}

/// POL-15, and the promise of `policy test`: what is previewed is what is sent, to the byte.
fn assert_previewed(script: &Script, who: &str, msg: &Msg) {
    let preview = script.core.preview(who, None, script.now().wall);
    assert_eq!(preview.body.as_deref().unwrap_or_default(), msg.body().as_bytes(), "{who}");
}

#[test]
fn each_watcher_sees_what_its_rules_show() {
    let mut script = bob(rules(vec![
        shows("friends", ALICE, &["status"]),
        shows("notes", ALICE, &["note"]),
        shows("others", CAROL, &[]),
    ]));
    let (_, alices) = script.subscribe_established(&Ask::default());
    let (_, carols) = script.subscribe_established(&carol());
    assert!(alices.body().contains(">busy<") && alices.body().contains("board meeting"));
    assert!(!alices.body().contains("laptop"));
    assert!(carols.body().contains("<basic>closed</basic>") && !carols.body().contains("busy"));
    assert!(!carols.body().contains("board") && !carols.body().contains("dm:person"));
    assert_previewed(&script, ALICE, &alices);
    assert_previewed(&script, CAROL, &carols);
}

#[test]
fn a_change_that_a_view_does_not_show_is_not_told_and_leaves_no_trace() {
    let mut script = bob(rules(vec![rule("all", ALICE), shows("few", CAROL, &["status"])]));
    script.subscribe_established(&Ask::default());
    let (ok, before) = script.subscribe_established(&carol());
    script.advance(secs(60));
    script.publish(PresenceStatus::Busy, Some("still the board meeting"));
    let heard = told(&mut script);
    assert_eq!(heard.iter().map(|msg| msg.to.to_string()).collect::<Vec<_>>(), ["192.0.2.10:5060"]);
    script.send_from(carol().from, &carol().again(&ok, 300).text());
    script.expect("200");
    let again = script.expect("NOTIFY");
    script.answer(&again, "200 OK");
    assert_eq!(again.body(), before.body());

    // Nor after a restart.
    let (saved, config) = (script.saved(), CoreConfig { policy: script.core.policy().clone(), ..config("bob", BOB) });
    script.restart(config, &saved, false);
    script.nothing();
    script.send_from(carol().from, &Ask { seq: 3, ..carol().again(&ok, 300) }.text());
    script.expect("200");
    let after = script.expect("NOTIFY");
    script.answer(&after, "200 OK");
    assert_eq!(after.body(), before.body());

    script.advance(secs(10));
    script.publish(PresenceStatus::Available, None);
    let heard = told(&mut script);
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|msg| msg.body().contains("<basic>open</basic>")));
}

#[test]
fn available_to_family_while_busy_to_others_and_offline_to_all() {
    let instead = Arc::new(Instead { status: PresenceStatus::Available, note: Some("call any time".into()) });
    let mut script = bob(rules(vec![Rule { instead: Some(instead), ..rule("family", ALICE) }, rule("others", CAROL)]));
    let (_, alices) = script.subscribe_established(&Ask::default());
    let (_, carols) = script.subscribe_established(&carol());
    assert!(alices.body().contains("<basic>open</basic>") && alices.body().contains("call any time"));
    assert!(!alices.body().contains("busy") && !alices.body().contains("board"));
    assert!(carols.body().contains(">busy<"));
    assert_previewed(&script, ALICE, &alices);
    script.advance(secs(60));
    script.publish(PresenceStatus::DoNotDisturb, None);
    let heard = told(&mut script);
    assert_eq!(heard.len(), 1, "a change of the truth is not theirs");
    script.advance(secs(60));
    script.publish(PresenceStatus::Offline, None);
    let heard = told(&mut script);
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|msg| msg.body().contains("<basic>closed</basic>") && !msg.body().contains("any time")));
    script.advance(secs(60));
    script.act(|core, now, out| core.publish(Published::new(PresenceStatus::Busy, now.wall), now, out));
    assert!(told(&mut script).iter().any(|msg| msg.body().contains("call any time")));
}

#[test]
fn pol_06_a_rule_begins_and_ends_on_time_and_those_whom_it_is_about_are_told_at_its_edge() {
    let wall = |after| moment(secs(after)).wall;
    let dates = vec![Dates { from: wall(100), until: wall(200) }];
    let times = Times { dates, weekly: Vec::new() };
    let mut script = bob(rules(vec![Rule { times, ..rule("hour", ALICE) }]));
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    script.answer(&first, "200 OK");
    assert_eq!(first.header("Subscription-State"), "pending;expires=300");
    script.advance_to(ms(99_999));
    script.nothing();
    script.advance_to(secs(100));
    let begins = script.expect("NOTIFY");
    script.answer(&begins, "200 OK");
    assert_eq!((begins.header("Subscription-State"), begins.at), ("active;expires=200", secs(100)));
    assert!(begins.body().contains(">busy<"));
    script.advance_to(secs(200));
    let ends = script.expect("NOTIFY");
    script.answer(&ends, "200 OK");
    assert_eq!((ends.header("Subscription-State"), ends.body(), ends.at), ("pending;expires=100", "", secs(200)));
}

#[test]
fn pol_06_what_a_rule_shows_may_change_with_the_hour() {
    let begins = START.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_secs(90);
    let until = begins + jiff::SignedDuration::from_secs(1000);
    let times = Times { dates: vec![Dates { from: begins, until }], weekly: Vec::new() };
    let notes = Rule { times, ..shows("notes", ALICE, &["note"]) };
    let mut script = bob(rules(vec![shows("always", ALICE, &["status"]), notes]));
    let (_, before) = script.subscribe_established(&Ask::default());
    assert!(!before.body().contains("board"));
    let preview = script.core.preview(ALICE, None, begins);
    assert!(String::from_utf8_lossy(&preview.body.unwrap()).contains("board"), "as it will be then");
    script.advance_to(secs(90));
    let after = script.expect("NOTIFY");
    script.answer(&after, "200 OK");
    assert!(after.body().contains("board meeting"));
    assert_previewed(&script, ALICE, &after);
}

#[test]
fn pol_07_rules_follow_the_part_of_life_that_is_published() {
    let at_work = Rule { spheres: vec!["work".into()], ..rule("colleagues", ALICE) };
    let mut script = bob(rules(vec![at_work]));
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    script.answer(&first, "200 OK");
    assert!(first.header("Subscription-State").starts_with("pending"), "no sphere is known");
    let set = |script: &mut Script, sphere: Option<&str>| {
        script.advance(secs(10));
        let mut published = Published::new(PresenceStatus::Available, script.now().wall);
        published.sphere = sphere.map(str::to_owned);
        script.act(|core, now, out| core.publish(published, now, out));
        told(script)
    };
    let heard = set(&mut script, Some("work"));
    assert!(heard.len() == 1 && heard[0].header("Subscription-State").starts_with("active"));
    assert!(heard[0].body().contains("<rpid:sphere><rpid:work/></rpid:sphere>"));
    let heard = set(&mut script, Some("home"));
    assert!(
        heard.len() == 1 && heard[0].header("Subscription-State").starts_with("pending") && heard[0].body().is_empty()
    );
    assert!(set(&mut script, None).is_empty());
}

#[test]
fn pol_13_the_state_marker_goes_with_what_tells_the_status() {
    for (words, marker) in [(&["note"][..], false), (&["status"], true), (&["activities"], true), (&["devices"], false)]
    {
        let mut script = bob(rules(vec![shows("some", ALICE, words)]));
        let (_, told) = script.subscribe_established(&Ask::default());
        assert_eq!(told.body().contains("sp:state"), marker, "{words:?}");
        assert!(told.body().contains("<contact priority=\"0.8\">sip:bob@192.0.2.20:5060</contact>"));
    }
}

#[test]
fn pol_15_rules_that_change_reach_live_subscriptions_and_only_those_that_see_a_difference() {
    let mut script = bob(rules(vec![rule("a", ALICE), shows("c", CAROL, &["status"])]));
    script.subscribe_established(&Ask::default());
    script.subscribe_established(&carol());
    let mut put = |new: Policy| {
        script.act(|core, now, out| core.set_policy(new, now, out));
        let heard = told(&mut script);
        script.advance(secs(1));
        heard
    };
    // The same by another rule is no news.
    assert!(put(rules(vec![rule("b", ALICE), shows("d", CAROL, &["status"])])).is_empty());
    let heard = put(rules(vec![rule("b", ALICE), shows("d", CAROL, &["status", "note"])]));
    assert!(heard.len() == 1 && heard[0].to.ip().to_string() == "192.0.2.30" && heard[0].body().contains("board"));
    let heard = put(rules(vec![shows("b", ALICE, &[]), shows("d", CAROL, &["status", "note"])]));
    assert!(heard.len() == 1 && !heard[0].body().contains("busy"));
    let mut blocked = policy(&[("alice@192.0.2.10", Action::Block)]);
    blocked = blocked.with_rules(vec![rule("b", ALICE)]);
    let heard = put(blocked);
    let states: Vec<&str> = heard.iter().map(|msg| msg.header("Subscription-State")).collect();
    assert_eq!(states, ["terminated;reason=rejected", "pending;expires=297"]);
}

#[test]
fn what_somebody_would_get_is_told_before_anybody_looks() {
    let mut blocked = policy(&[("eve@192.0.2.66", Action::Block), ("mallory@192.0.2.67", Action::PoliteBlock)]);
    blocked = blocked.with_rules(vec![shows("few", ALICE, &["status"])]);
    let script = bob(blocked);
    let preview = |who, grade| script.core.preview(who, grade, script.now().wall);
    let alice = preview("alice@192.0.2.10", None);
    assert_eq!((alice.grade, &*alice.explained.decision.rule), (WatcherGrade::Verified, "few"));
    assert!(String::from_utf8_lossy(&alice.body.unwrap()).contains(">busy<"));
    let claimed = preview("alice@192.0.2.10", Some(WatcherGrade::Claimed));
    assert_eq!((claimed.explained.decision.action, claimed.body), (Action::Ask, None));
    assert_eq!(preview("eve@192.0.2.66", None).body, None);
    let mallory = preview("mallory@192.0.2.67", None);
    assert!(String::from_utf8_lossy(&mallory.body.unwrap()).contains("<basic>closed</basic>"));
}
