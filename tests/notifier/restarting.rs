//! Subscriptions that outlive the process: NOT-29, the restart of NOT-23, the restart of POL-03.

use jiff::SignedDuration;
use rand::{SeedableRng, rngs::StdRng};
use sippresence::{
    presence::{
        PresenceEvent, PresenceStatus,
        core::{Core, CoreConfig, Input, Key, Outbox, Restored, Subscribing},
        event::WatcherGrade,
        policy::Action,
    },
    sip::{
        effect::Effect,
        locate::{Answer, Question},
    },
};

use crate::{
    bob, bob_with,
    world::{ALICE, Ask, BOB, Msg, Script, config, net::World, open_policy, policy, secs},
};

pub(crate) const ALLOW_ALICE: (&str, Action) = ("alice@192.0.2.10", Action::Allow);

pub(crate) fn bobs(listed: &[(&str, Action)]) -> CoreConfig {
    CoreConfig { policy: policy(listed), ..config("bob", BOB) }
}

fn kept(kept: usize) -> Restored {
    Restored { kept, ..Restored::default() }
}

/// Restarts with what is saved now.
fn restart(script: &mut Script, listed: &[(&str, Action)], crashed: bool) -> Restored {
    let saved = script.saved();
    script.restart(bobs(listed), &saved, crashed)
}

fn dialog(msg: &Msg) -> (&str, &str, &str) {
    (msg.header("Call-ID"), msg.header("From"), msg.header("To"))
}

/// Subscribes as somebody who has to wait, and answers the first NOTIFY.
pub(crate) fn pending(script: &mut Script, ask: &Ask<'_>) -> Msg {
    script.send_from(ask.from, &ask.text());
    let ok = script.expect("200");
    let first = script.expect("NOTIFY");
    assert!(first.header("Subscription-State").starts_with("pending"));
    script.answer(&first, "200 OK");
    ok
}

#[test]
fn not_23_a_restart_sends_nothing_and_the_next_change_reaches_all() {
    let mut script = bob();
    let carol = Ask { user: "carol", ..Ask::from("192.0.2.30:5060".parse().unwrap()) };
    let (_, alices) = script.subscribe_established(&Ask::default());
    pending(&mut script, &carol);
    script.advance(secs(10));
    assert_eq!(restart(&mut script, &[ALLOW_ALICE], false), kept(2));
    script.advance(secs(60));
    script.nothing();

    script.publish(PresenceStatus::Busy, None);
    let told = script.expect("NOTIFY sip:alice@192.0.2.10:5060 SIP/2.0");
    script.nothing();
    assert_eq!(dialog(&told), dialog(&alices));
    assert_eq!(told.cseq(), alices.cseq() + 10_001);
    assert_eq!(told.header("Subscription-State"), "active;expires=230");
    assert_eq!(told.header("Contact"), "<sip:bob@192.0.2.20:5060>");
    assert!(told.body().contains(">busy<"));
    script.answer(&told, "200 OK");
    // It ends when it would have ended.
    script.advance(secs(230));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=timeout");
}

#[test]
fn not_29_routes_event_id_and_contact_survive() {
    let mut script = bob();
    let ask = Ask {
        lines: "Record-Route: <sip:192.0.2.10:5070;lr>, <sip:192.0.2.99;lr>\n",
        contact: "sip:alice@192.0.2.10:5080;x=y".into(),
        event: "presence;id=0Aq",
        ..Ask::default()
    };
    let (_, before) = script.subscribe_established(&ask);
    restart(&mut script, &[ALLOW_ALICE], false);
    script.publish(PresenceStatus::Busy, None);
    let told = script.expect("NOTIFY");
    assert_eq!(told.to, before.to);
    let own = ["Via", "CSeq", "Subscription-State", "SIP-ETag", "Content-Length"];
    let same = |msg: &Msg| -> Vec<String> {
        let head = msg.text.split("\r\n\r\n").next().unwrap();
        head.lines().filter(|line| !own.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
    };
    assert_eq!(same(&told), same(&before));
}

#[test]
fn not_29_numbers_only_rise_through_two_crashes() {
    let mut script = bob();
    let (_, first) = script.subscribe_established(&Ask::default());
    let saved = script.saved();
    let mut last = first.cseq();
    // Nobody saved these.
    for _ in 0..3 {
        script.advance(secs(6));
        script.publish(PresenceStatus::Busy, None);
        let told = script.expect("NOTIFY");
        last = told.cseq();
        script.answer(&told, "200 OK");
    }
    let mut saved_at_start = saved;
    for _ in 0..2 {
        script.advance(secs(6));
        assert_eq!(script.restart(bobs(&[ALLOW_ALICE]), &saved_at_start, true), kept(1));
        saved_at_start = script.saved();
        // Nobody knows what was lost: the state is told.
        let told = script.expect("NOTIFY");
        assert_eq!((dialog(&told), told.cseq() > last), (dialog(&first), true), "{last}: {told:?}");
        assert!(told.body().contains(">busy<"));
        script.answer(&told, "200 OK");
        last = told.cseq();
        script.advance(secs(20));
        script.nothing();
    }
}

#[test]
fn not_29_what_was_under_way_is_told_again_after_a_restart() {
    let mut script = bob();
    let carol = Ask { user: "carol", ..Ask::from("192.0.2.30:5060".parse().unwrap()) };
    script.subscribe_established(&Ask::default());
    pending(&mut script, &carol);
    script.advance(secs(10));
    script.publish(PresenceStatus::Away, None);
    let unanswered = script.expect("NOTIFY");
    assert_eq!(restart(&mut script, &[ALLOW_ALICE], false), kept(2));
    let told = script.expect("NOTIFY");
    assert!(told.cseq() > unanswered.cseq() && told.body().contains(">away<"));
    script.nothing();
}

#[test]
fn not_29_the_expired_and_those_of_another_port_are_dropped_and_nothing_is_sent() {
    for crashed in [false, true] {
        let mut script = bob();
        script.subscribe_established(&Ask::default());
        let saved = script.saved();
        let there = CoreConfig { locals: vec!["192.0.2.20:5070".parse().unwrap()], ..bobs(&[ALLOW_ALICE]) };
        let dropped = script.restart(there, &saved, crashed);
        assert_eq!(dropped, Restored { elsewhere: 1, ..Restored::default() });
        script.publish(PresenceStatus::Busy, None);
        script.advance(secs(10));
        script.nothing();

        script.sleep(secs(300));
        let dropped = script.restart(bobs(&[ALLOW_ALICE]), &saved, crashed);
        assert_eq!(dropped, Restored { expired: 1, ..Restored::default() });
        script.publish(PresenceStatus::Busy, None);
        script.advance(secs(400));
        script.nothing();
        assert_eq!((script.core.deadline(), script.saved().watchers.len()), (None, 0));
    }
}

#[test]
fn not_29_a_pending_watcher_waits_on_and_gets_its_state_once_allowed() {
    let mut script = bob_with(&[]);
    pending(&mut script, &Ask::default());
    assert_eq!(restart(&mut script, &[], true), kept(1));
    script.nothing();
    let asks = |event: &PresenceEvent| {
        matches!(event, PresenceEvent::SubscriptionRequest { subscriber, expires: 300, .. }
            if subscriber == "sip:alice@192.0.2.10")
    };
    assert_eq!(script.events.iter().filter(|event| asks(event)).count(), 1, "{:?}", script.events);
    let watchers = script.core.watchers();
    assert_eq!(
        watchers.iter().map(|w| (w.who.as_str(), w.state)).collect::<Vec<_>>(),
        [("sip:alice@192.0.2.10", "pending")]
    );
    script.act(|core, now, out| core.set_policy(policy(&[ALLOW_ALICE]), now, out));
    let told = script.expect("NOTIFY");
    assert_eq!(told.header("Subscription-State"), "active;expires=300");
    assert!(told.body().contains("<basic>open</basic>"));
}

#[test]
fn not_29_the_seven_days_of_a_pending_watcher_go_on() {
    let mut script = bob_with(&[]);
    let ask = Ask { expires: Some(604_800), ..Ask::default() };
    let ok = pending(&mut script, &ask);
    script.advance(secs(600_000));
    script.send(&ask.again(&ok, 604_800).text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    restart(&mut script, &[], false);
    script.advance_to(secs(604_799));
    script.nothing();
    script.advance(secs(1));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=giveup;retry-after=60");
}

#[test]
fn not_29_each_watcher_is_judged_by_the_policy_in_force_at_the_start() {
    let decided = [
        (Action::Block, "terminated;reason=rejected", ""),
        (Action::Ask, "pending;expires=300", ""),
        (Action::PoliteBlock, "active;expires=300", "<basic>closed</basic>"),
    ];
    for (action, state, body) in decided {
        for crashed in [false, true] {
            let mut script = bob();
            script.subscribe_established(&Ask::default());
            assert_eq!(restart(&mut script, &[("alice@192.0.2.10", action)], crashed), kept(1));
            let told = script.expect("NOTIFY");
            assert_eq!(told.header("Subscription-State"), state);
            assert!(told.body().contains(body) && (told.body().is_empty() == body.is_empty()), "{told:?}");
            script.answer(&told, "200 OK");
            script.advance(secs(20));
            script.nothing();
        }
    }
    let mut script = bob_with(&[]);
    pending(&mut script, &Ask::default());
    restart(&mut script, &[ALLOW_ALICE], false);
    assert!(script.expect("NOTIFY").body().contains("<basic>open</basic>"));
    let accepted = |event: &PresenceEvent| matches!(event, PresenceEvent::SubscriptionAccepted { .. });
    assert!(script.events.iter().any(accepted), "{:?}", script.events);
}

#[test]
fn not_29_a_refresh_after_the_restart_finds_its_dialog_and_an_old_one_is_refused() {
    let mut script = bob();
    let ask = Ask { seq: 5, ..Ask::default() };
    let (ok, _) = script.subscribe_established(&ask);
    restart(&mut script, &[ALLOW_ALICE], false);
    script.send(&Ask { seq: 4, ..ask.again(&ok, 300) }.text());
    script.expect("500");
    script.nothing();
    script.advance(secs(100));
    script.send(&ask.again(&ok, 300).text());
    let again = script.expect("200");
    assert_eq!((again.tag("To"), again.header("Expires")), (ok.tag("To"), "300"));
    let told = script.expect("NOTIFY");
    assert_eq!(told.header("Subscription-State"), "active;expires=300");
    script.answer(&told, "200 OK");
    script.send(&Ask { seq: 7, ..ask.again(&ok, 0) }.text());
    assert_eq!(script.expect("200").header("Expires"), "0");
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "terminated;reason=timeout");
    assert!(script.saved().watchers.is_empty());
}

#[test]
fn not_29_only_proven_and_lasting_subscriptions_of_others_are_saved() {
    let mut script = bob();
    let eve = Ask { user: "eve", ..Ask::from("192.0.2.50:5060".parse().unwrap()) };
    script.send_from(eve.from, &eve.text());
    script.send(&Ask { expires: Some(0), call_id: "look".into(), ..Ask::default() }.text());
    assert!(script.saved().watchers.is_empty());
    script.take();
    let (ok, _) = script.subscribe_established(&Ask::default());
    assert_eq!(script.saved().watchers.len(), 1);
    script.pumps = false;
    script.send(&Ask::default().again(&ok, 0).text());
    assert!(script.saved().watchers.is_empty(), "its last NOTIFY waits");

    let mut world = World::new(1);
    let bob = world.start(bobs(&[]));
    let target = "sip:bob@192.0.2.20".parse().unwrap();
    world.act(bob, |core, now, out| core.watch(target, "me", Subscribing::Lasting, now, out));
    world.advance(secs(1), |_| {});
    let core = world.core(bob);
    assert_eq!((core.served(), core.saved(world.now()).watchers.len()), ((1, 0), 0), "bob watches himself");
}

#[test]
fn not_29_what_is_to_be_saved_is_marked_at_creation_refresh_decision_and_end_but_not_for_notifies() {
    let mut config = config("bob", BOB);
    config.policy = open_policy();
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Available, None);
    script.changed.clear();
    let ask = Ask::default();
    script.send(&ask.text());
    let ok = script.expect("200");
    let first = script.expect("NOTIFY");
    let marked = |script: &mut Script| std::mem::take(&mut script.changed).contains(&Key::Saved);
    assert!(!marked(&mut script), "nobody is there yet");
    script.answer(&first, "200 OK");
    assert!(marked(&mut script), "proven");
    let second = script.expect("NOTIFY");
    script.answer(&second, "200 OK");
    for status in [PresenceStatus::Busy, PresenceStatus::Away] {
        script.advance(secs(6));
        script.publish(status, None);
        let told = script.expect("NOTIFY");
        script.answer(&told, "200 OK");
    }
    assert!(!marked(&mut script), "NOTIFYs");
    script.send(&ask.again(&ok, 300).text());
    assert!(marked(&mut script), "refreshed");
    script.expect("200");
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    assert!(!marked(&mut script), "NOTIFYs");
    script.act(|core, now, out| core.set_policy(policy(&[]), now, out));
    assert!(marked(&mut script), "decided");
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    script.send(&Ask { seq: 3, ..ask.again(&ok, 0) }.text());
    assert!(marked(&mut script), "ended");
    script.take();
    script.act(Core::clear);
    assert!(marked(&mut script), "offline since now");
    pending(&mut script, &Ask { call_id: "other".into(), ..ask });
    script.changed.clear();
    script.pumps = false;
    script.advance(secs(300));
    assert!(marked(&mut script), "expired");
}

#[test]
fn not_29_a_watcher_known_by_a_name_is_looked_up_again() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    let mut saved = script.saved();
    saved.watchers[0].grade = WatcherGrade::Claimed;
    saved.watchers[0].subscription.watcher = "sip:alice@laptop.example".into();
    for default in [Action::Ask, Action::Allow] {
        let (now, mut out) = (script.now(), Outbox::default());
        let mut config = bobs(&[("alice@laptop.example", Action::Allow)]);
        config.policy.default = default;
        let mut core = Core::new(config, StdRng::seed_from_u64(1), now).unwrap();
        assert_eq!(core.restore(&saved, false, now, &mut out), kept(1));
        let [Effect::Resolve { query, question: Question::Addresses { ref host, port: 5060 } }] = out.effects[..]
        else {
            panic!("{:?}", out.effects)
        };
        assert_eq!(host, "laptop.example");
        out.changed.clear();
        let answer = Ok(Answer::Addresses(vec![ALICE.parse().unwrap()]));
        core.handle(Input::Resolved { query, answer }, now, &mut out);
        let watcher = core.watchers().remove(0);
        assert_eq!((watcher.state, watcher.grade), ("active", WatcherGrade::Address));
        assert!(out.changed.contains(&Key::Saved));
    }
}

#[test]
fn not_29_numbers_are_saved_long_before_the_jump_is_used_up() {
    let mut script = bob();
    script.subscribe_established(&Ask { expires: Some(604_800), ..Ask::default() });
    script.changed.clear();
    let (mut saved, mut last) = (script.saved(), 0);
    for n in 0..12_000 {
        script.advance(secs(5));
        script.publish(PresenceStatus::Custom(n.to_string()), None);
        let told = script.expect("NOTIFY");
        last = told.cseq();
        script.answer(&told, "200 OK");
        if std::mem::take(&mut script.changed).contains(&Key::Saved) {
            saved = script.saved();
        }
    }
    script.restart(bobs(&[ALLOW_ALICE]), &saved, true);
    assert!(script.expect("NOTIFY").cseq() > last);
}

#[test]
fn not_29_whom_we_politely_block_sees_nothing_of_our_starts() {
    let hidden = ("alice@192.0.2.10", Action::PoliteBlock);
    let mut script = bob_with(&[hidden]);
    let ask = Ask::default();
    let (ok, before) = script.subscribe_established(&ask);
    script.advance(secs(100));
    restart(&mut script, &[hidden], false);
    script.publish(PresenceStatus::Busy, None);
    script.advance(secs(20));
    script.nothing();
    script.send(&ask.again(&ok, 300).text());
    script.expect("200");
    assert_eq!(script.expect("NOTIFY").body(), before.body());
}

#[test]
fn not_29_who_is_offline_has_been_so_since_before_the_start() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    script.advance(secs(100));
    script.act(Core::clear);
    let before = script.expect("NOTIFY");
    script.answer(&before, "200 OK");
    script.advance(secs(100));
    restart(&mut script, &[ALLOW_ALICE], false);
    script.send(&ask.again(&ok, 300).text());
    script.expect("200");
    assert_eq!(script.expect("NOTIFY").body(), before.body());
}

#[test]
fn not_29_a_clock_that_was_set_back_puts_nothing_into_the_time_to_come() {
    let mut script = bob();
    script.act(Core::clear);
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    let mut saved = script.saved();
    let year = SignedDuration::from_hours(24 * 365);
    saved.offline_since += year;
    saved.hiding.since += year;
    saved.watchers[0].since += year;
    saved.watchers[0].subscription.ends_at += year;
    script.restart(bobs(&[ALLOW_ALICE]), &saved, false);
    let now = script.now().wall;
    let after = script.saved();
    assert_eq!((after.offline_since, after.hiding.since, after.watchers[0].since), (now, now, now));
    assert_eq!(after.watchers[0].subscription.ends_at, now + SignedDuration::from_secs(604_800));
    script.send(&ask.again(&ok, 300).text());
    script.expect("200");
    assert!(script.expect("NOTIFY").body().contains("2026-03-02T09:15:00Z"));
}
