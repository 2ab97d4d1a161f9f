//! POL-03: whoever is politely blocked cannot tell us from somebody who set `offline`, by anything that is sent.

use std::{net::SocketAddr, time::Duration};

use sippresence::presence::{PresenceStatus, core::CoreConfig, policy::Action};

use crate::world::{Ask, BOB, Msg, Script, config, policy, secs};

/// What can be seen of a message: when and where it went, how long it is, and its text without what is random.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    at: Duration,
    to: SocketAddr,
    len: usize,
    text: String,
}

fn seen(msg: &Msg) -> Seen {
    let plain = |line: &str| match line.split_once(": ") {
        Some(("Via", _)) => "Via: …".to_owned(),
        Some((name @ ("From" | "To"), value)) if value.contains("sip:bob@") => {
            format!("{name}: {}", value.split(";tag=").next().unwrap())
        }
        _ => line.to_owned(),
    };
    let text = msg.text.split("\r\n").map(plain).collect::<Vec<_>>().join("\n");
    Seen { at: msg.at, to: msg.to, len: msg.text.len(), text }
}

/// Somebody of whom alice is to see nothing, and what is done to hide.
struct Hider {
    script: Script,
    config: CoreConfig,
    hides_by_rule: bool,
    seen: Vec<Seen>,
    /// The last version that was told.
    tag: String,
}

impl Hider {
    fn new(hides_by_rule: bool) -> Self {
        let action = if hides_by_rule { Action::PoliteBlock } else { Action::Allow };
        let device = Some("laptop".to_owned());
        let config = CoreConfig { policy: policy(&[("alice@192.0.2.10", action)]), device, ..config("bob", BOB) };
        let script = Script::new(config.clone());
        let mut hider = Self { script, config, hides_by_rule, seen: Vec::new(), tag: String::new() };
        let status = if hides_by_rule { PresenceStatus::Busy } else { PresenceStatus::Offline };
        hider.script.publish(status, None);
        hider
    }

    /// Takes down what was sent, and answers it as alice would.
    fn watch(&mut self) -> Option<Msg> {
        let mut first = None;
        loop {
            let sent = self.script.take();
            if sent.is_empty() {
                return first;
            }
            for msg in sent {
                self.seen.push(seen(&msg));
                if let Some(tag) = msg.get("SIP-ETag") {
                    tag.clone_into(&mut self.tag);
                }
                if msg.code().is_none() {
                    self.script.answer(&msg, "200 OK");
                }
                first.get_or_insert(msg);
            }
        }
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Option<Msg> {
        self.script.send_from(ask.from, &ask.text());
        self.watch()
    }

    fn wait(&mut self, time: Duration) {
        self.script.advance(time);
        self.watch();
    }

    fn change(&mut self, status: PresenceStatus) {
        if self.hides_by_rule {
            self.script.publish(status, Some("nobody's business"));
        }
        self.wait(secs(7));
    }
}

fn story(hides_by_rule: bool) -> Vec<Seen> {
    let mut bob = Hider::new(hides_by_rule);
    let first = Ask::default();
    bob.wait(secs(30));
    let ok = bob.ask(&first).unwrap();
    bob.wait(secs(40));
    bob.ask(&Ask { expires: Some(0), call_id: "look".into(), ..Ask::default() });
    for status in [
        PresenceStatus::Available,
        PresenceStatus::Away,
        PresenceStatus::DoNotDisturb,
        PresenceStatus::Custom("lunch".into()),
        PresenceStatus::Available,
    ] {
        bob.change(status);
    }
    bob.ask(&first.again(&ok, 300));
    for crashed in [false, true] {
        let saved = bob.script.saved();
        let config = bob.config.clone();
        bob.script.restart(config, &saved, crashed);
        bob.watch();
        bob.wait(secs(20));
    }
    bob.change(PresenceStatus::Busy);
    bob.ask(&Ask { seq: 7, ..first.again(&ok, 300) });
    bob.ask(&Ask { expires: Some(0), call_id: "second-look".into(), ..Ask::default() });
    // It says what it knows, and what it does not.
    let tag = bob.tag.clone();
    for (n, known) in [tag.as_str(), "*", "aaaaaaaaaaaa"].into_iter().enumerate() {
        let lines = format!("Suppress-If-Match: {known}\n");
        bob.ask(&Ask { seq: 8 + u32::try_from(n).unwrap(), lines: &lines, ..first.again(&ok, 300) });
        bob.ask(&Ask { expires: Some(0), call_id: format!("known-{n}"), lines: &lines, ..Ask::default() });
        bob.change(PresenceStatus::Available);
    }
    let lines = format!("Suppress-If-Match: {tag}\n");
    bob.ask(&Ask { seq: 20, lines: &lines, ..first.again(&ok, 0) });
    bob.wait(secs(40));
    bob.seen
}

#[test]
fn pol_03_a_polite_block_and_an_offline_user_send_the_same() {
    let (blocked, offline) = (story(true), story(false));
    for (number, (blocked, offline)) in blocked.iter().zip(&offline).enumerate() {
        assert_eq!(blocked, offline, "message {number}");
    }
    assert_eq!(blocked.len(), offline.len());
    // Tags are the same, for they are compared above, and so is what is spared by them.
    let count = |text: &str| blocked.iter().filter(|seen| seen.text.contains(text)).count();
    assert_eq!(count("204 No Notification"), 2);
    assert!(count("SIP-ETag: ") >= 8);
    // Initial, look, refresh, what follows the crash, refresh, look, end; each request with its 200.
    assert!(blocked.len() >= 13, "{}", blocked.len());
    let said: Vec<&Seen> = blocked.iter().filter(|seen| seen.text.contains("<basic>closed</basic>")).collect();
    assert!(
        said.len() >= 6
            && said.iter().all(|seen| seen.text.contains("2026-03-02T09:15:00Z") && !seen.text.contains("nobody's"))
    );
}

#[test]
fn pol_03_who_is_blocked_while_watching_sees_what_going_offline_looks_like_and_then_nothing() {
    let mut script =
        Script::new(CoreConfig { policy: policy(&[("alice@192.0.2.10", Action::Allow)]), ..config("bob", BOB) });
    script.publish(PresenceStatus::Busy, None);
    script.subscribe_established(&Ask::default());
    script.advance(secs(60));
    script.act(|core, now, out| core.set_policy(policy(&[("alice@192.0.2.10", Action::PoliteBlock)]), now, out));
    let told = script.expect("NOTIFY");
    script.answer(&told, "200 OK");
    assert!(told.body().contains("<basic>closed</basic>"));
    assert!(told.body().contains("2026-03-02T09:16:00Z"), "since the block, as one who goes offline then: {told:?}");
    script.publish(PresenceStatus::Away, None);
    script.advance(secs(30));
    script.nothing();
}
