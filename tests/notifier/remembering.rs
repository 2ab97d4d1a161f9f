//! Who watched us or wanted to is remembered: WIN-03, WIN-04, WIN-07, SEC-02.

use sippresence::presence::{
    PresenceEvent,
    core::Key,
    event::WatcherGrade,
    history::Stand,
    policy::{Action, Policy},
};

use crate::{
    bob, bob_with,
    restarting::{ALLOW_ALICE, bobs, pending},
    world::{Ask, Script, policy, secs},
};

/// Who is on the list of watchers, and how.
fn listed(script: &Script) -> Vec<(String, &'static str)> {
    script.core.watchers().into_iter().map(|watcher| (watcher.who, watcher.state)).collect()
}

fn remembered(script: &Script) -> Vec<(String, Stand, String)> {
    let people = script.core.watcher_history(script.now());
    people.into_iter().map(|person| (person.who, person.state, person.rule)).collect()
}

fn alice(state: &'static str) -> Vec<(String, &'static str)> {
    vec![("sip:alice@192.0.2.10".to_owned(), state)]
}

fn known(state: Stand, rule: &str) -> Vec<(String, Stand, String)> {
    vec![("sip:alice@192.0.2.10".to_owned(), state, rule.to_owned())]
}

fn decide(script: &mut Script, policy: Policy) {
    script.act(|core, now, out| core.set_policy(policy, now, out));
}

/// Alice waits until she gives up.
fn left_undecided() -> Script {
    let mut script = bob_with(&[]);
    pending(&mut script, &Ask::default());
    assert_eq!(listed(&script), alice("pending"));
    script.advance_to(secs(300));
    let last = script.expect("NOTIFY");
    assert!(last.header("Subscription-State").starts_with("terminated;reason=giveup"), "{last:?}");
    script.answer(&last, "200 OK");
    script
}

#[test]
fn win_03_and_04_who_leaves_undecided_stays_listed_and_is_served_when_it_comes_back() {
    let mut script = left_undecided();
    assert_eq!(listed(&script), alice("waiting"));
    let watcher = &script.core.watchers()[0];
    assert_eq!((watcher.grade, watcher.source, watcher.expires_at), (WatcherGrade::Address, None, None));
    // A start changes nothing, whether anybody said farewell before or not.
    for crashed in [false, true] {
        let saved = script.saved();
        script.restart(bobs(&[]), &saved, crashed);
        assert_eq!(listed(&script), alice("waiting"));
    }
    script.changed.clear();
    decide(&mut script, policy(&[ALLOW_ALICE]));
    assert_eq!((listed(&script), remembered(&script)), (vec![], known(Stand::Terminated, "allow")));
    assert!(script.changed.contains(&Key::Watchers) && script.changed.contains(&Key::Saved));
    let decided = script.core.watcher_history(script.now())[0].decided_at;
    script.advance(secs(3600));
    script.subscribe_established(&Ask { call_id: "later".into(), ..Ask::default() });
    assert_eq!((listed(&script), remembered(&script)), (alice("active"), known(Stand::Active, "allow")));
    let watcher = &script.core.watchers()[0];
    assert_eq!((watcher.decided_at, watcher.since), (decided, script.now().wall));
    assert!(decided.is_some() && watcher.first_seen < decided);
}

#[test]
fn win_04_who_waits_is_forgotten_by_word_and_after_thirty_days() {
    let mut script = left_undecided();
    script.act(|core, now, out| core.forget_watcher("alice@192.0.2.10", now, out));
    assert_eq!((listed(&script), remembered(&script)), (vec![], vec![]));

    let mut script = left_undecided();
    let days = secs(30 * 24 * 3600);
    script.advance(secs(30 * 24 * 3600 - 1));
    assert_eq!(listed(&script), alice("waiting"));
    script.changed.clear();
    script.advance(secs(1));
    assert_eq!((listed(&script), remembered(&script)), (vec![], vec![]));
    assert!(script.changed.contains(&Key::Watchers));

    // One that ran out while nobody was there.
    let mut script = left_undecided();
    let saved = script.saved();
    script.sleep(days);
    script.restart(bobs(&[]), &saved, true);
    assert_eq!(listed(&script), vec![]);
}

#[test]
fn win_04_who_waited_when_we_were_killed_waits_still() {
    let mut script = bob_with(&[]);
    pending(&mut script, &Ask::default());
    let saved = script.saved();
    // It goes on.
    script.restart(bobs(&[]), &saved, true);
    assert_eq!(listed(&script), alice("pending"));
    // Its subscription ended meanwhile.
    let mut later = bob_with(&[]);
    later.sleep(secs(1000));
    later.restart(bobs(&[]), &saved, true);
    assert_eq!(listed(&later), alice("waiting"));
    // It was decided about while nobody was there.
    let mut later = bob_with(&[]);
    later.sleep(secs(1000));
    later.restart(bobs(&[("alice@192.0.2.10", Action::Block)]), &saved, false);
    assert_eq!((listed(&later), remembered(&later)), (vec![], known(Stand::Terminated, "block")));
}

#[test]
fn win_07_a_decision_is_in_force_at_once_and_is_remembered_with_its_list() {
    let mut script = bob_with(&[]);
    pending(&mut script, &Ask::default());
    decide(&mut script, policy(&[ALLOW_ALICE]));
    let told = script.expect("NOTIFY");
    assert!(told.header("Subscription-State").starts_with("active") && !told.body().is_empty());
    script.answer(&told, "200 OK");
    assert_eq!(remembered(&script), known(Stand::Active, "allow"));
    script.advance(secs(60));
    decide(&mut script, policy(&[("alice@192.0.2.10", Action::PoliteBlock)]));
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    assert_eq!(remembered(&script), known(Stand::PoliteBlock, "polite_block"));
    decide(&mut script, policy(&[("alice@192.0.2.10", Action::Block)]));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=rejected");
    script.answer(&last, "200 OK");
    assert_eq!((listed(&script), remembered(&script)), (vec![], known(Stand::Terminated, "block")));
    let alice = &script.core.watcher_history(script.now())[0];
    assert_eq!((alice.decided_at, alice.last_seen), (Some(script.now().wall), script.now().wall));
}

#[test]
fn sec_02_who_proved_nothing_is_not_remembered() {
    let mut script = bob_with(&[]);
    for host in 1..100 {
        let ask = Ask { user: "eve", ..Ask::from(format!("192.0.3.{host}:5060").parse().unwrap()) };
        script.send_from(ask.from, &ask.text());
    }
    script.take();
    script.advance(secs(60));
    assert_eq!((listed(&script), remembered(&script)), (vec![], vec![]));
    assert!(script.events.iter().all(|event| !matches!(event, PresenceEvent::SubscriptionRequest { .. })));
    // One look is no watcher, and we are none of our own.
    let mut script = bob();
    script.send(&Ask { expires: Some(0), ..Ask::default() }.text());
    script.take();
    assert_eq!(remembered(&script), vec![]);
}

#[test]
fn a_damaged_memory_costs_no_more_than_what_is_damaged() {
    let script = left_undecided();
    let mut file = serde_json::to_value(script.saved()).unwrap();
    let good = file["history"][0].clone();
    let mut worse = good.clone();
    worse["state"] = "asleep".into();
    file["history"] = serde_json::json!([7, null, {}, worse, good]);
    let saved = serde_json::from_value(file).unwrap();
    let mut script = bob_with(&[]);
    script.restart(bobs(&[]), &saved, false);
    assert_eq!(listed(&script), alice("waiting"));
}
