//! NOTIFYs: NOT-09, NOT-12, NOT-13, NOT-15 … NOT-17, NOT-19 … NOT-23, NOT-25, NOT-32.

use sippresence::presence::{PresenceStatus, policy::Action};

use crate::{
    bob, bob_with,
    world::{ALICE, Ask, BOB, Script, config, ms, policy, secs},
};

const STATUSES: [PresenceStatus; 2] = [PresenceStatus::Busy, PresenceStatus::Available];

#[test]
fn not_09_expires_only_shrinks_until_a_refresh() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    let mut left = Vec::new();
    for n in 0..4 {
        script.advance(secs(50));
        script.publish(STATUSES[n % 2].clone(), None);
        let notify = script.expect("NOTIFY");
        left.push(notify.header("Subscription-State").to_owned());
        script.answer(&notify, "200 OK");
    }
    assert_eq!(left, ["active;expires=250", "active;expires=200", "active;expires=150", "active;expires=100"]);
    script.send(&ask.again(&ok, 300).text());
    script.expect("200");
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "active;expires=300");
}

#[test]
fn not_12_a_watcher_that_vanished_is_gone_after_64_t1_without_a_last_word() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.publish(PresenceStatus::Busy, None);
    let notify = script.expect("NOTIFY");
    script.advance(ms(31_999));
    assert_eq!(script.core.watchers().len(), 1);
    script.advance(ms(1));
    assert!(script.core.watchers().is_empty());
    assert!(script.take().iter().all(|msg| msg.text == notify.text), "resends alone");
    script.advance(secs(3600));
    script.nothing();
}

#[test]
fn not_13_codes_that_say_gone_remove_the_subscription_and_others_keep_it() {
    for code in [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604] {
        let mut script = bob();
        script.subscribe_established(&Ask::default());
        script.publish(PresenceStatus::Busy, None);
        let notify = script.expect("NOTIFY");
        script.answer(&notify, &format!("{code} No"));
        assert!(script.core.watchers().is_empty(), "{code}");
        script.publish(PresenceStatus::Away, None);
        script.advance(secs(300));
        script.nothing();
    }
    for code in [400, 403, 406, 488, 500, 503, 600] {
        let mut script = bob();
        script.subscribe_established(&Ask::default());
        script.publish(PresenceStatus::Busy, None);
        let notify = script.expect("NOTIFY");
        script.answer(&notify, &format!("{code} Not now"));
        script.advance(secs(10));
        script.nothing();
        script.publish(PresenceStatus::Away, None);
        assert!(script.expect("NOTIFY").body().contains(">away<"), "{code}");
    }
}

#[test]
fn not_15_notify_goes_in_the_dialog_of_our_2xx_to_the_contact_by_the_route() {
    let mut script = bob();
    let ask = Ask {
        lines: "Record-Route: <sip:192.0.2.10:5070;lr>, <sip:192.0.2.99;lr>\n",
        contact: "sip:alice@192.0.2.10:5080;x=y".into(),
        ..Ask::default()
    };
    script.send(&ask.text());
    let ok = script.expect("200");
    assert_eq!(ok.header("Record-Route"), "<sip:192.0.2.10:5070;lr>, <sip:192.0.2.99;lr>");
    let notify = script.expect("NOTIFY sip:alice@192.0.2.10:5080;x=y SIP/2.0");
    assert_eq!(notify.tag("From"), ok.tag("To"));
    assert_eq!(notify.tag("To"), "ask");
    assert_eq!(notify.header("Call-ID"), ok.header("Call-ID"));
    assert_eq!(notify.to, "192.0.2.10:5070".parse().unwrap());
    assert!(notify.text.contains("Route: <sip:192.0.2.10:5070;lr>\r\nRoute: <sip:192.0.2.99;lr>\r\n"));
}

#[test]
fn not_15_a_refresh_with_another_contact_moves_the_target() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    script.send(&Ask { contact: "sip:alice@192.0.2.10:5090".into(), ..ask.again(&ok, 300) }.text());
    script.expect("200");
    let notify = script.expect("NOTIFY sip:alice@192.0.2.10:5090 ");
    assert_eq!(notify.to, "192.0.2.10:5090".parse().unwrap());
    script.answer(&notify, "200 OK");
    // But not to another machine.
    script.send(&Ask { contact: "sip:alice@192.0.2.66:5060".into(), seq: 3, ..ask.again(&ok, 300) }.text());
    script.expect("403");
    script.advance(secs(6));
    script.publish(PresenceStatus::Busy, None);
    assert_eq!(script.expect("NOTIFY").to, "192.0.2.10:5090".parse().unwrap());
}

#[test]
fn not_16_changes_collapse_while_a_notify_is_unanswered() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.publish(PresenceStatus::Away, None);
    let slow = script.expect("NOTIFY");
    for n in 0..50 {
        script.advance(ms(400));
        script.publish(PresenceStatus::Custom(format!("change {n}")), None);
    }
    assert!(script.take().iter().all(|msg| msg.text == slow.text), "resends alone");
    script.answer(&slow, "200 OK");
    let last = script.expect("NOTIFY");
    assert!(last.body().contains("change 49"));
    assert_eq!(last.cseq(), slow.cseq() + 1);
    script.answer(&last, "200 OK");
    script.advance(secs(60));
    script.nothing();
}

#[test]
fn not_17_ten_changes_in_a_second_are_told_at_0_and_at_5_seconds() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    script.advance(secs(60));
    let start = script.after();
    let mut told = Vec::new();
    for n in 0..10 {
        script.publish(PresenceStatus::Custom(format!("change {n}")), None);
        for msg in script.take() {
            script.answer(&msg, "200 OK");
            told.push(msg);
        }
        script.advance(ms(100));
    }
    assert_eq!(told.len(), 1);
    assert!(told[0].body().contains("change 0"));
    // An answer to SUBSCRIBE is exempt, and carries the newest state.
    script.send(&ask.again(&ok, 300).text());
    script.expect("200");
    let answer = script.expect("NOTIFY");
    assert!(answer.body().contains("change 9"));
    script.answer(&answer, "200 OK");
    script.publish(PresenceStatus::Busy, None);
    script.nothing();
    let trailing = script.wait(secs(10));
    assert_eq!(trailing.at, start + secs(5));
    assert!(trailing.body().contains(">busy<"));
    script.answer(&trailing, "200 OK");
    script.advance(secs(60));
    script.nothing();
}

#[test]
fn not_19_a_pending_notify_reveals_nothing() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    assert_eq!((notify.header("Content-Length"), notify.get("Content-Type"), notify.body()), ("0", None, ""));
    script.answer(&notify, "200 OK");
    script.publish(PresenceStatus::Busy, None);
    script.advance(secs(20));
    script.nothing();
}

#[test]
fn not_20_refusal_at_once_is_403_and_later_a_last_notify() {
    let mut script = bob_with(&[("alice@192.0.2.10", Action::Block)]);
    script.send(&Ask::default().text());
    script.expect("403");
    script.nothing();

    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    let block = policy(&[("alice@192.0.2.10", Action::Block)]);
    script.act(|core, now, out| core.set_policy(block, now, out));
    let last = script.expect("NOTIFY");
    assert_eq!((last.header("Subscription-State"), last.body()), ("terminated;reason=rejected", ""));
}

#[test]
fn not_21_approval_is_told_at_once_with_the_state() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    script.advance(secs(88));
    let allow = policy(&[("alice@192.0.2.10", Action::Allow)]);
    script.act(|core, now, out| core.set_policy(allow, now, out));
    let told = script.expect("NOTIFY");
    assert_eq!((told.at, told.header("Subscription-State")), (secs(88), "active;expires=212"));
    assert!(told.body().contains("<basic>open</basic>"));
}

#[test]
fn not_22_what_nobody_approves_is_given_up_at_expiry_or_after_seven_days() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    script.advance_to(secs(300));
    let last = script.expect("NOTIFY");
    assert_eq!((last.header("Subscription-State"), last.body()), ("terminated;reason=giveup;retry-after=60", ""));

    let mut script = bob_with(&[]);
    let ask = Ask { expires: Some(604_800), ..Ask::default() };
    script.send(&ask.text());
    let ok = script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    script.advance(secs(600_000));
    script.send(&ask.again(&ok, 604_800).text());
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    script.advance_to(ms(604_799_999));
    script.nothing();
    script.advance(ms(1));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=giveup;retry-after=60");
}

#[test]
fn not_23_going_offline_tells_everyone_what_their_state_allows() {
    let mut script = bob_with(&[("alice@192.0.2.10", Action::Allow), ("carol@192.0.2.30", Action::PoliteBlock)]);
    script.subscribe_established(&Ask::default());
    let carol = Ask { user: "carol", ..Ask::from("192.0.2.30:5060".parse().unwrap()) };
    script.subscribe_established(&carol);
    let dave = Ask { user: "dave", ..Ask::from("192.0.2.40:5060".parse().unwrap()) };
    script.send_from(dave.from, &dave.text());
    script.expect("200");
    let pending = script.expect("NOTIFY");
    script.answer(&pending, "200 OK");
    // eve proved nothing, and mute does not answer.
    let eve = Ask { user: "eve", ..Ask::from("192.0.2.50:5060".parse().unwrap()) };
    script.send_from(eve.from, &eve.text());
    script.take();
    script.publish(PresenceStatus::Busy, None);
    let unanswered = script.expect("NOTIFY");
    assert_eq!(unanswered.to, ALICE.parse().unwrap());

    script.advance(secs(1));
    script.take();
    script.act(sippresence::presence::core::Core::go_offline);
    let mut told = script.take();
    told.sort_by_key(|msg| msg.to);
    assert_eq!(
        told.iter().map(|msg| msg.to.ip().to_string()).collect::<Vec<_>>(),
        ["192.0.2.10", "192.0.2.30", "192.0.2.40"]
    );
    for msg in &told {
        assert_eq!(msg.header("Subscription-State"), "terminated;reason=probation;retry-after=60");
    }
    for msg in &told[..2] {
        assert!(msg.body().contains("<basic>closed</basic>") && !msg.body().contains("busy"), "{msg:?}");
    }
    assert_eq!((told[2].body(), told[2].get("Content-Type")), ("", None));
    assert!(told[0].body().contains("2026-03-02T09:15:01Z"), "offline since now: {:?}", told[0]);
}

#[test]
fn not_25_a_refresh_is_judged_anew() {
    let mut script = bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    let block = policy(&[("alice@192.0.2.10", Action::Block)]);
    script.act(|core, now, out| core.set_policy(block, now, out));
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=rejected");
    script.send(&ask.again(&ok, 300).text());
    script.expect("481");
    script.send(&Ask { call_id: "anew".into(), ..Ask::default() }.text());
    script.expect("403");
}

#[test]
fn not_32_default_bodies_fit_a_datagram() {
    let mut config = config("bob", BOB);
    config.policy = policy(&[("alice@192.0.2.10", Action::Allow)]);
    config.display_name = Some("Bob Marley-Featherstonehaugh".into());
    let mut script = Script::new(config);
    script.subscribe_established(&Ask { expires: Some(3600), ..Ask::default() });
    for status in [
        PresenceStatus::Available,
        PresenceStatus::Busy,
        PresenceStatus::Away,
        PresenceStatus::DoNotDisturb,
        PresenceStatus::InCall,
        PresenceStatus::Offline,
    ] {
        script.publish(status, Some("Back at half past ten"));
        let notify = script.wait(secs(10));
        assert!(notify.text.len() < 1300, "{} bytes: {notify:?}", notify.text.len());
        script.answer(&notify, "200 OK");
    }
    // What fits by so little that the line with its version would be too much goes without that.
    let (mut with, mut without) = (0, 0);
    for more in 1..36 {
        script.publish(PresenceStatus::InCall, Some(&"x".repeat(more)));
        let notify = script.wait(secs(10));
        script.answer(&notify, "200 OK");
        match notify.get("SIP-ETag") {
            Some(_) => with += 1,
            None => without += 1,
        }
        assert!(
            notify.text.len() <= 1300 && (notify.get("SIP-ETag").is_some() || notify.text.len() > 1260),
            "{notify:?}"
        );
    }
    assert!(with > 5 && without > 1, "{with} {without}");
}
