//! Against abuse: NOT-27, NOT-28, SEC-01, SEC-02, SEC-13.

use std::net::SocketAddr;

use sippresence::{
    presence::{
        PresenceStatus,
        core::{Input, Outbox, Vouched},
        policy::Action,
    },
    sip::{
        effect::Effect,
        transport::{ConnId, Flow, Transport},
    },
};

use crate::{
    bob, bob_with,
    world::{Ask, BOB, Script, config, ms, open_policy, policy, secs},
};

fn at(n: usize) -> SocketAddr {
    let [high, low] = u16::try_from(n % 60_000).unwrap().to_be_bytes();
    SocketAddr::from(([10, u8::try_from(n / 60_000).unwrap(), high, low], 5060))
}

/// bob, who lets everybody in who is there.
pub(crate) fn open_bob() -> Script {
    let mut config = config("bob", BOB);
    config.policy = open_policy();
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Available, None);
    script
}

#[test]
fn sec_01_a_mute_source_gets_200_and_two_notifies_without_body_and_no_more() {
    let mut script = open_bob();
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    assert_eq!((first.header("Subscription-State"), first.body()), ("active;expires=300", ""));
    script.publish(PresenceStatus::Busy, None);
    script.advance(secs(3600));
    let resent = script.take();
    assert_eq!(resent.iter().map(|msg| (msg.at, &msg.text)).collect::<Vec<_>>(), [(ms(500), &first.text)]);
    assert!(script.core.watchers().is_empty() && script.core.deadline().is_none());
}

#[test]
fn sec_01_a_source_that_answers_gets_the_body_at_once() {
    let mut script = open_bob();
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    script.advance(ms(30));
    script.answer(&first, "200 OK");
    let second = script.expect("NOTIFY");
    assert_eq!((second.at, second.cseq()), (ms(30), 2));
    assert!(second.body().contains("<basic>open</basic>"));
    // It is resent like any other from now on.
    script.advance(secs(31));
    assert_eq!(script.take().len(), 9);
    assert_eq!(script.core.watchers().len(), 1);
}

#[test]
fn sec_01_an_address_that_answered_is_known_for_a_while() {
    let mut script = open_bob();
    script.subscribe_established(&Ask::default());
    script.send(&Ask { call_id: "second".into(), ..Ask::default() }.text());
    script.expect("200");
    assert!(!script.expect("NOTIFY").body().is_empty());
}

#[test]
fn sec_01_a_fetch_by_a_stranger_gets_one_notify_of_at_most_four_times_its_bytes() {
    let mut script = open_bob();
    let text = Ask { expires: Some(0), ..Ask::default() }.text();
    script.send(&text);
    script.expect("200");
    let only = script.expect("NOTIFY");
    assert!(!only.body().is_empty() && only.text.len() <= 4 * text.len(), "{}", only.text.len());
    script.advance(secs(3600));
    script.nothing();

    // A request too short to pay for the document.
    let short = "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0\nv:SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKs;rport\n\
                 f:<sip:a@h>;tag=1\nt:<sip:bob@h>\ni:s\nCSeq:1 SUBSCRIBE\nm:<sip:192.0.2.10>\no:presence\nExpires:0\n\n";
    script.send(short);
    script.expect("200");
    let only = script.expect("NOTIFY");
    assert!(only.text.len() <= 4 * (short.len() + short.lines().count()), "{}", only.text.len());
    script.advance(secs(3600));
    script.nothing();
}

#[test]
fn sec_01_a_contact_elsewhere_gets_403_and_the_third_party_nothing() {
    let mut script = open_bob();
    for contact in ["sip:alice@192.0.2.66:5060", "sip:alice@victim.example", "sip:alice@192.0.2.10;maddr=192.0.2.66"] {
        script.send(
            &Ask { contact: contact.into(), call_id: contact.replace([':', '@', ';'], "-"), ..Ask::default() }.text(),
        );
        let answer = script.expect("403");
        assert_eq!(answer.to, "192.0.2.10:5060".parse().unwrap());
        script.advance(secs(100));
        script.nothing();
    }
}

#[test]
fn sec_01_a_refresh_from_another_machine_is_no_way_to_point_us_there() {
    let mut script = open_bob();
    let ask = Ask::default();
    let (ok, _) = script.subscribe_established(&ask);
    let elsewhere: SocketAddr = "192.0.2.66:5060".parse().unwrap();
    let again = Ask { contact: format!("sip:alice@{elsewhere}"), ..ask.again(&ok, 300) };
    script.send_from(elsewhere, &again.text());
    script.expect("481");
    script.publish(PresenceStatus::Busy, None);
    assert_eq!(script.expect("NOTIFY").to, ask.from);
    script.nothing();
}

#[test]
fn not_28_an_answer_from_elsewhere_proves_nothing() {
    let mut script = open_bob();
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    let wrong = first.response("200 OK", "").replace("branch=z9hG4bK", "branch=z9hG4bKx");
    script.send(&wrong);
    script.nothing();
    assert!(script.core.watchers().is_empty());
}

#[test]
fn sec_02_a_flood_leaves_nothing_behind_and_a_real_watcher_is_served() {
    let mut script = open_bob();
    let real = Ask { user: "real", ..Ask::from("192.0.2.30:5060".parse().unwrap()) };
    script.subscribe_established(&real);
    script.events.clear();
    for n in 0..4000 {
        script.send_from(at(n), &Ask::from(at(n)).text());
        if n % 100 == 0 {
            script.take();
            script.advance(ms(10));
            assert!(script.core.served().1 <= 1000);
        }
    }
    script.take();
    assert_eq!(script.core.served(), (1, 1000));
    assert!(script.events.is_empty(), "nobody hears of strangers that may not exist: {:?}", script.events);
    assert_eq!(script.core.watchers().len(), 1);
    let late = Ask { user: "late", ..Ask::from("192.0.2.31:5060".parse().unwrap()) };
    script.subscribe_established(&late);
    script.advance(secs(100));
    assert_eq!(script.core.served(), (2, 0));
}

#[test]
fn sec_02_a_policy_change_says_nothing_of_or_to_the_unproven() {
    let mut script = bob_with(&[]);
    script.send(&Ask::default().text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    script.events.clear();
    script.act(|core, now, out| core.set_policy(open_policy(), now, out));
    script.nothing();
    assert!(script.events.is_empty(), "{:?}", script.events);
    script.answer(&first, "200 OK");
    assert!(!script.expect("NOTIFY").body().is_empty());
    assert_eq!(script.events.len(), 1);
}

#[test]
fn not_27_twenty_unproven_for_one_source_and_any_number_of_proven_ones() {
    let mut script = open_bob();
    let source = |n: u16| SocketAddr::from(([192, 0, 2, 99], 6000 + n));
    for n in 0..30 {
        script.send_from(source(n), &Ask::from(source(n)).text());
    }
    let sent = script.take();
    let count = |code| sent.iter().filter(|msg| msg.code() == Some(code)).count();
    assert_eq!((count(200), count(503)), (20, 10));
    assert!(sent.iter().filter(|msg| msg.code() == Some(503)).all(|msg| msg.get("Retry-After") == Some("60")));

    // Each answers before the next comes: fifty behind one address.
    let mut script = open_bob();
    for n in 0..50 {
        script.subscribe_established(&Ask { user: "u", call_id: format!("c{n}"), ..Ask::from(source(n)) });
    }
    assert_eq!(script.core.served(), (50, 0));
}

/// Subscribes over a connection whose other end has proved to speak for a domain; returns what is sent.
fn verified(script: &mut Script, n: u64) -> Vec<String> {
    let remote: SocketAddr = "192.0.2.50:5061".parse().unwrap();
    let local = BOB.parse().unwrap();
    let (conn, transport) = (ConnId::accepted(n), Transport::Tls);
    let flow = Flow { local, remote, transport, conn: Some(conn) };
    let text = Ask { user: "boss", call_id: format!("v{n}"), ..Ask::from(remote) }.text();
    let text = text.replace("SIP/2.0/UDP", "SIP/2.0/TLS").replace("@192.0.2.50>;tag", "@boss.example>;tag");
    let vouched = Vouched { domains: vec!["boss.example".into()], presentities: Vec::new() };
    let (now, mut out) = (script.now(), Outbox::default());
    script.core.handle(Input::Opened(flow), now, &mut out);
    script.core.handle(Input::Vouched { conn, vouched }, now, &mut out);
    script.core.handle(Input::Data { conn, bytes: text.replace('\n', "\r\n").as_bytes() }, now, &mut out);
    while script.core.wants_pump() {
        script.core.pump(64, now, &mut out);
    }
    let sent = out.effects.iter().filter_map(|effect| match effect {
        Effect::Send { packet, .. } | Effect::Write { packet, .. } => {
            Some(String::from_utf8_lossy(&packet.to_vec()).into_owned())
        }
        _ => None,
    });
    sent.collect()
}

#[test]
fn not_27_at_the_limit_who_proved_its_name_goes_before_who_has_waited_longest_for_a_decision() {
    let mut config = config("bob", BOB);
    config.max_subscriptions = 3;
    config.policy = policy(&[("friend@10.0.0.1", Action::Allow), ("boss@boss.example", Action::Allow)]);
    config.policy.default = Action::Ask;
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Available, None);
    for n in 1..4 {
        let user = if n == 1 { "friend" } else { "stranger" };
        let ask = Ask { user, ..Ask::from(at(n)) };
        script.send_from(ask.from, &ask.text());
        while let Some(msg) = script.take().into_iter().find(|msg| msg.code().is_none()) {
            script.answer(&msg, "200 OK");
        }
        script.advance(secs(10));
    }
    assert_eq!(script.core.served(), (3, 0));
    let first = verified(&mut script, 1);
    assert!(first.iter().any(|text| text.starts_with("SIP/2.0 200")), "{first:?}");
    let given_up = first.iter().find(|text| text.contains("reason=probation")).unwrap();
    assert!(given_up.starts_with("NOTIFY sip:alice@10.0.0.2:5060 "), "the one that has waited longest: {given_up}");
    assert!(verified(&mut script, 2).iter().any(|text| text.starts_with("SIP/2.0 200")));
    // Those who are let in stay, whoever comes.
    let third = verified(&mut script, 3);
    assert!(third.iter().any(|text| text.starts_with("SIP/2.0 503")), "{third:?}");
    assert_eq!(script.core.served(), (3, 0));
}

#[test]
fn not_27_beyond_the_limit_503_and_those_who_are_served_stay() {
    let mut config = config("bob", BOB);
    config.policy = open_policy();
    config.max_subscriptions = 10;
    let mut script = Script::new(config);
    for n in 0..10 {
        script.subscribe_established(&Ask { call_id: format!("c{n}"), ..Ask::from(at(n)) });
    }
    // A stranger gets as far as his proof; one whom we know is told to come later.
    script.send_from(at(0), &Ask { call_id: "more".into(), ..Ask::from(at(0)) }.text());
    assert_eq!(script.expect("503").header("Retry-After"), "60");
    script.publish(PresenceStatus::Busy, None);
    assert_eq!(script.take().len(), 10);
    script.send_from(at(50), &Ask::from(at(50)).text());
    script.expect("200");
    let first = script.expect("NOTIFY");
    script.answer(&first, "200 OK");
    let last = script.expect("NOTIFY");
    assert_eq!((last.header("Subscription-State"), last.body()), ("terminated;reason=probation;retry-after=60", ""));
    assert!(script.core.served().0 <= 10, "proof is no way round the limit: {:?}", script.core.served());
}

#[test]
fn not_27_a_hundred_for_one_watcher() {
    let mut script = bob();
    for n in 0..101 {
        script.send(&Ask { call_id: format!("c{n}"), ..Ask::default() }.text());
        let answer = script.take().remove(0);
        assert_eq!(answer.code(), Some(if n < 100 { 200 } else { 503 }), "{n}");
    }
}

#[test]
fn not_16_mute_watchers_hold_the_others_up_for_t1_alone() {
    let listed: Vec<String> = (0..600).map(|n| format!("u@{}", at(n).ip())).collect();
    let listed: Vec<(&str, Action)> = listed.iter().map(|who| (who.as_str(), Action::Allow)).collect();
    let mut config = config("bob", BOB);
    config.policy = policy(&listed);
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Available, None);
    for n in 0..600 {
        script.subscribe_established(&Ask { user: "u", ..Ask::from(at(n)) });
    }
    script.publish(PresenceStatus::Busy, None);
    let start = script.after();
    assert_eq!(script.take().len(), 512, "a full window");
    script.advance(ms(500));
    let mut told: Vec<_> = script.take();
    told.retain(|msg| msg.at == start + ms(500));
    let others = told.iter().map(|msg| msg.to).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(others.len(), 600, "512 resends, and the 88 who waited");
    // Going offline with all of them mute: everybody is told at once.
    script.advance(ms(100));
    script.take();
    script.act(sippresence::presence::core::Core::go_offline);
    assert_eq!(script.take().len(), 600);
}

#[test]
fn sec_13_nothing_is_left_when_everyone_went() {
    let mut script = open_bob();
    for n in 0..40 {
        let ask = Ask::from(at(n));
        let (ok, _) = script.subscribe_established(&ask);
        match n % 4 {
            0 => {
                script.send_from(ask.from, &ask.again(&ok, 0).text());
                script.expect("200");
                let last = script.expect("NOTIFY");
                script.answer(&last, "200 OK");
            }
            1 => {
                script.send_from(ask.from, &ask.again(&ok, 300).text());
                script.expect("200");
                let notify = script.expect("NOTIFY");
                script.answer(&notify, "481 Who are you");
            }
            _ => {}
        }
    }
    script.advance(secs(400));
    assert_eq!(script.core.served(), (0, 0));
    assert_eq!(script.core.sizes(), (0, 0, 0));
    assert_eq!(script.core.deadline(), None);
}
