//! Who may see us, on the wire and in virtual time (conformance POL and SEC rows).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod hidden;
mod views;
#[path = "../world/mod.rs"]
mod world;

use std::sync::{Arc, Mutex};

use sippresence::{
    presence::{
        Freshness, PresenceEvent, PresenceStatus,
        core::{Input, Subscribing},
        event::WatcherGrade,
        policy::Action,
    },
    sip::{
        effect::Effect,
        locate::{Answer, Question},
    },
};
use world::{Ask, BOB, Msg, Script, config, ms, policy, secs};

fn bob_with(listed: &[(&str, Action)]) -> Script {
    let mut config = config("bob", BOB);
    config.policy = policy(listed);
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Busy, None);
    script
}

/// Subscribes as a stranger who answers, and returns what came last.
fn subscribed(script: &mut Script, ask: &Ask<'_>) -> Msg {
    script.send_from(ask.from, &ask.text());
    let mut last = script.expect("");
    while let Some(msg) = script.take().into_iter().next() {
        script.answer(&msg, "200 OK");
        last = msg;
    }
    last
}

#[test]
fn pol_01_an_unlisted_watcher_is_pending() {
    let mut script = bob_with(&[]);
    let notify = subscribed(&mut script, &Ask::default());
    assert_eq!((notify.header("Subscription-State"), notify.body()), ("pending;expires=300", ""));
    assert_eq!(script.core.watchers()[0].state, "pending");
    let asked = |event: &PresenceEvent| matches!(event, PresenceEvent::SubscriptionRequest { subscriber, .. } if subscriber == "sip:alice@192.0.2.10");
    assert_eq!(script.events.iter().filter(|event| asked(event)).count(), 1);
}

#[test]
fn pol_02_each_action_has_its_answer() {
    for (action, line, body) in [
        (Action::Allow, "NOTIFY", ">busy<"),
        (Action::Ask, "NOTIFY", ""),
        (Action::PoliteBlock, "NOTIFY", "<basic>closed</basic>"),
        (Action::Block, "SIP/2.0 403", ""),
    ] {
        let mut script = bob_with(&[("alice@192.0.2.10", action)]);
        let last = subscribed(&mut script, &Ask::default());
        assert!(last.first_line().starts_with(line), "{action}: {last:?}");
        assert!(last.body().contains(body) && last.body().is_empty() == body.is_empty(), "{action}: {last:?}");
        if action == Action::PoliteBlock {
            assert_eq!(last.header("Subscription-State"), "active;expires=300");
            assert!(!last.body().contains("busy"));
            // Changes are not told, and a look later shows the very same.
            script.advance(secs(60));
            script.publish(PresenceStatus::Away, None);
            script.advance(secs(60));
            script.nothing();
            let look = subscribed(&mut script, &Ask { expires: Some(0), call_id: "look".into(), ..Ask::default() });
            assert_eq!(look.body(), last.body());
        }
    }
}

#[test]
fn pol_14_a_user_who_is_not_here_and_one_who_blocks_answer_alike_if_that_is_wanted() {
    let answer = |hide_unknown, target| {
        let mut config = config("bob", BOB);
        config.policy = policy(&[("alice@192.0.2.10", Action::Block)]);
        config.policy.hide_unknown = hide_unknown;
        let mut script = Script::new(config);
        script.send(&Ask { target, ..Ask::default() }.text());
        let answer = script.expect("SIP/2.0");
        script.nothing();
        let lines = answer.text.lines().filter(|line| !line.starts_with("To: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (here, nobody) = ("sip:bob@192.0.2.20", "sip:nobody@192.0.2.20");
    assert_eq!(answer(true, here), answer(true, nobody));
    assert_eq!(answer(false, here)[0], "SIP/2.0 403 Forbidden");
    assert_eq!(answer(false, nobody)[0], "SIP/2.0 404 Not Found");
}

#[test]
fn pol_15_a_policy_change_reaches_live_subscriptions() {
    let mut script = bob_with(&[]);
    subscribed(&mut script, &Ask::default());
    let mut change = |action, state: &str, body: &str| {
        let changed = policy(&[("alice@192.0.2.10", action)]);
        script.act(|core, now, out| core.set_policy(changed, now, out));
        let told = script.expect("NOTIFY");
        script.answer(&told, "200 OK");
        assert_eq!(told.header("Subscription-State"), state);
        assert!(told.body().contains(body) && told.body().is_empty() == body.is_empty(), "{told:?}");
        script.nothing();
    };
    change(Action::Allow, "active;expires=300", ">busy<");
    change(Action::PoliteBlock, "active;expires=300", "<basic>closed</basic>");
    change(Action::Ask, "pending;expires=300", "");
    change(Action::Allow, "active;expires=300", ">busy<");
    change(Action::Block, "terminated;reason=rejected", "");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn pol_18_decisions_are_logged_without_what_was_shown() {
    // The other tests of this program log here too; nobody else has these names.
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut script = bob_with(&[("logged@192.0.2.10", Action::Allow), ("refused@192.0.2.10", Action::Block)]);
    script.publish(PresenceStatus::Custom("secret meeting".into()), Some("do not tell"));
    for user in ["logged", "refused"] {
        subscribed(&mut script, &Ask { user, call_id: user.into(), ..Ask::default() });
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for (watcher, rule, result) in
        [("sip:logged@192.0.2.10", "allow", "active"), ("sip:refused@192.0.2.10", "block", "terminated")]
    {
        let line = text.lines().find(|line| line.contains(watcher)).unwrap_or_else(|| panic!("{watcher}: {text}"));
        assert!(line.contains(&format!("rule=\"{rule}\"")) && line.contains(&format!("result=\"{result}\"")), "{line}");
    }
    assert!(!text.contains("secret") && !text.contains("do not tell"), "{text}");
}

#[test]
fn pol_19_a_claim_is_not_allowed_but_blocked() {
    // From alice's name, out of another address.
    let mut script = bob_with(&[("alice@192.0.2.10", Action::Allow), ("eve@192.0.2.50", Action::Block)]);
    let claim = |user| {
        let from = "192.0.2.99:5060".parse().unwrap();
        Ask { user, contact: "sip:x@192.0.2.99:5060".into(), call_id: format!("claim-{user}"), ..Ask::from(from) }
    };
    let text = |user, host: &str| {
        claim(user).text().replace(&format!("<sip:{user}@192.0.2.99>"), &format!("<sip:{user}@{host}>"))
    };
    let from = "192.0.2.99:5060".parse().unwrap();
    script.send_from(from, &text("alice", "192.0.2.10"));
    script.expect("200");
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    script.nothing();
    assert_eq!(notify.header("Subscription-State"), "pending;expires=300");
    let watcher = &script.core.watchers()[0];
    assert_eq!((watcher.who.as_str(), watcher.grade), ("sip:alice@192.0.2.10", WatcherGrade::Claimed));
    script.send_from(from, &text("eve", "192.0.2.50"));
    script.expect("403");
    // Her own address makes it more than a claim.
    let told = subscribed(&mut script, &Ask::default());
    assert_eq!(told.header("Subscription-State"), "active;expires=300");
    assert!(script.core.watchers().iter().any(|watcher| watcher.grade == WatcherGrade::Address));
}

#[test]
fn pol_19_a_host_name_counts_once_it_resolves_to_the_address_that_answered() {
    let mut script = bob_with(&[("alice@alice-laptop", Action::Allow)]);
    let text = Ask::default().text().replace("<sip:alice@192.0.2.10>", "<sip:alice@alice-laptop>");
    script.send(&text);
    script.expect("200");
    let notify = script.expect("NOTIFY");
    let answer = notify.response("200 OK", "").replace('\n', "\r\n");
    let (now, mut out) = (script.now(), sippresence::presence::core::Outbox::default());
    let (local, remote) = (BOB.parse().unwrap(), notify.to);
    let bytes = answer.replace("\r\r\n", "\r\n");
    script.core.handle(Input::Datagram { local, remote, bytes: bytes.as_bytes() }, now, &mut out);
    let [Effect::Resolve { query, question: Question::Addresses { host, .. } }] = &out.effects[..] else {
        panic!("{:?}", out.effects)
    };
    assert_eq!(host, "alice-laptop");
    script.input(Input::Resolved {
        query: *query,
        answer: Ok(Answer::Addresses(vec!["192.0.2.10:5060".parse().unwrap()])),
    });
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "active;expires=300");
}

#[test]
fn pol_20_neither_my_name_nor_loopback_makes_anyone_me() {
    let mut config = config("bob", BOB);
    config.locals.push("127.0.0.1:5060".parse().unwrap());
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Busy, None);
    let text = Ask::default().text().replace("<sip:alice@192.0.2.10>", "<sip:bob@192.0.2.20>");
    script.send(&text);
    script.expect("200");
    assert_eq!(script.expect("NOTIFY").header("Subscription-State"), "pending;expires=300");

    // My own agent, which knows its Call-ID and tag: state.
    let me = "sip:bob@192.0.2.20".parse().unwrap();
    let id = script.act(|core, now, out| core.watch(me, "me", Subscribing::Once, now, out));
    for _ in 0..4 {
        for msg in script.take() {
            if msg.to == BOB.parse().unwrap() {
                script.send_from(msg.to, &msg.text);
            }
        }
    }
    assert_eq!((script.core.state(id).unwrap().status_word(), script.freshness(id)), ("busy", Freshness::Fresh));
    assert!(script.core.watchers().iter().all(|watcher| &*watcher.rule != "self"));
    script.advance(ms(1));
}
