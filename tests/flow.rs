//! The flow between two peers, message by message, with random fields masked (blocks W-A1 … W-A54).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::collections::HashMap;

use sippresence::presence::{
    PresenceStatus,
    core::{Core, CoreConfig, Subscribing, WatchId},
    policy::Action,
};
use world::{ALICE, BOB, Msg, Script, config, policy, secs};

/// The blocks by name, with the line ends of the wire.
fn blocks() -> HashMap<&'static str, String> {
    let text = include_str!("flow/messages.txt");
    let named = text.split("=== ").skip(1).map(|block| block.split_once('\n').unwrap());
    named.map(|(name, message)| (name, message.replace('\n', "\r\n"))).collect()
}

fn bob(listed: &[(&str, Action)]) -> Script {
    Script::new(CoreConfig { policy: policy(listed), ..config("bob", BOB) })
}

fn alice() -> Script {
    Script::new(CoreConfig { display_name: Some("Alice".into()), ..config("alice", ALICE) })
}

/// Two cores side by side; every message between them is compared with its block.
struct Flow {
    blocks: HashMap<&'static str, String>,
    alice: Script,
    bob: Script,
    /// Messages on the way, to bob or to alice.
    to_bob: Vec<Msg>,
    to_alice: Vec<Msg>,
}

impl Flow {
    fn new(listed: &[(&str, Action)]) -> Self {
        let (blocks, alice, bob) = (blocks(), alice(), bob(listed));
        Self { blocks, alice, bob, to_bob: Vec::new(), to_alice: Vec::new() }
    }

    fn gather(&mut self) {
        self.to_bob.extend(self.alice.take());
        self.to_alice.extend(self.bob.take());
    }

    /// alice sends this block, and bob gets it.
    fn alice_sends(&mut self, block: &str) {
        self.gather();
        let msg = self.to_bob.remove(0);
        same(block, &self.blocks[block], &msg.text);
        self.bob.send_from(ALICE.parse().unwrap(), &without_versions(&msg.text));
    }

    fn bob_sends(&mut self, block: &str) {
        self.gather();
        let msg = self.to_alice.remove(0);
        same(block, &self.blocks[block], &msg.text);
        self.alice.send_from(BOB.parse().unwrap(), &msg.text);
    }

    fn advance(&mut self, seconds: u64) {
        self.alice.advance_to(secs(seconds));
        self.bob.advance_to(secs(seconds));
    }

    fn watch(&mut self, how: Subscribing) -> WatchId {
        let target = "sip:bob@192.0.2.20".parse().unwrap();
        self.alice.act(|core, now, out| core.watch(target, "bob", how, now, out))
    }

    fn pass_everything(&mut self) {
        self.gather();
        for msg in std::mem::take(&mut self.to_bob) {
            self.bob.send_from(ALICE.parse().unwrap(), &msg.text);
        }
        for msg in std::mem::take(&mut self.to_alice) {
            self.alice.send_from(BOB.parse().unwrap(), &msg.text);
        }
    }

    fn done(&mut self) {
        self.gather();
        assert!(self.to_alice.is_empty() && self.to_bob.is_empty(), "{:?} {:?}", self.to_alice, self.to_bob);
    }
}

/// Compares two messages line by line, random fields aside.
fn same(block: &str, expected: &str, found: &str) {
    assert_eq!(masked(&without_versions(found)), masked(expected), "{block}:\n{found}");
}

/// Leaves out by what versions of a state are named: the examples know nothing of RFC 5839.
fn without_versions(text: &str) -> String {
    let names = ["SIP-ETag: ", "Suppress-If-Match: "];
    let lines = text.split_inclusive("\r\n").filter(|line| !names.iter().any(|name| line.starts_with(name)));
    lines.collect()
}

fn masked(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    for line in &mut lines {
        for field in ["branch=", ";tag=", "tuple id=\"", "person id=\""] {
            if let Some(at) = line.find(field).map(|at| at + field.len()) {
                let end = line[at..].find([';', '"', '>']).map_or(line.len(), |n| at + n);
                line.replace_range(at..end, "_");
            }
        }
        if line.starts_with("Call-ID: ") {
            "Call-ID: _".clone_into(line);
        }
    }
    lines
}

#[test]
fn w_a1_to_w_a14_subscribe_change_refresh_unsubscribe() {
    let mut flow = Flow::new(&[("alice@192.0.2.10", Action::Allow)]);
    flow.bob.publish(PresenceStatus::Available, Some("At my desk"));
    let id = flow.watch(Subscribing::Lasting);
    flow.alice_sends("W-A1");
    flow.bob_sends("W-A2");
    flow.bob_sends("W-A3");
    flow.alice_sends("W-A4");
    flow.advance(190);
    flow.bob.publish(PresenceStatus::InCall, None);
    flow.bob_sends("W-A5");
    flow.alice_sends("W-A6");
    let refresh = flow.alice.wait(secs(80));
    flow.bob.advance_to(refresh.at);
    flow.to_bob.push(refresh);
    flow.alice_sends("W-A7");
    // The example shortens the time, which this notifier never does.
    for text in flow.blocks.values_mut() {
        *text = text.replace("Expires: 240", "Expires: 300").replace("expires=240", "expires=300");
    }
    flow.bob_sends("W-A8");
    flow.bob_sends("W-A9");
    flow.alice_sends("W-A10");
    flow.advance(431);
    flow.bob.pumps = false;
    flow.bob.publish(PresenceStatus::Available, Some("At my desk"));
    flow.alice.act(|core, now, out| core.unwatch(id, now, out));
    flow.alice_sends("W-A11");
    flow.bob.pumps = true;
    flow.bob.pump();
    flow.bob_sends("W-A12");
    flow.bob_sends("W-A13");
    flow.alice_sends("W-A14");
    flow.done();
}

#[test]
fn w_a20_to_w_a22_approval_needed() {
    for (decision, block) in [(Action::Allow, "W-A21"), (Action::Block, "W-A22")] {
        let mut flow = Flow::new(&[]);
        flow.bob.publish(PresenceStatus::Available, Some("At my desk"));
        flow.watch(Subscribing::Lasting);
        flow.alice_sends("W-A1");
        flow.bob_sends("W-A2");
        flow.bob_sends("W-A20");
        flow.alice_sends("W-A4");
        flow.advance(88);
        let decided = policy(&[("alice@192.0.2.10", decision)]);
        flow.bob.act(|core, now, out| core.set_policy(decided, now, out));
        flow.bob_sends(block);
        flow.alice_sends("W-A6");
        flow.done();
    }
}

#[test]
fn w_a30_to_w_a32_fetch() {
    let mut flow = Flow::new(&[("alice@192.0.2.10", Action::Allow)]);
    flow.bob.publish(PresenceStatus::Away, Some("Back at 10:30"));
    flow.watch(Subscribing::Once);
    flow.alice_sends("W-A30");
    flow.bob_sends("W-A31");
    flow.bob_sends("W-A32");
    flow.alice_sends("W-A4");
    flow.done();
}

#[test]
fn a_document_is_kept_as_it_came_by_the_look_that_asks_for_it_and_by_no_other() {
    for how in [Subscribing::Raw, Subscribing::Once, Subscribing::Lasting] {
        let mut flow = Flow::new(&[("alice@192.0.2.10", Action::Allow)]);
        flow.bob.publish(PresenceStatus::Away, Some("Back at 10:30"));
        let id = flow.watch(how);
        for _ in 0..3 {
            flow.pass_everything();
        }
        let state = flow.alice.core.state(id).unwrap();
        assert_eq!(state.status(), Some(&PresenceStatus::Away));
        let document = state.document.as_deref().filter(|document| document.contains("Back at 10:30"));
        assert_eq!(document.is_some(), how == Subscribing::Raw, "{how:?}");
        assert_eq!(state.document.is_some(), how == Subscribing::Raw);
    }
}

#[test]
fn w_a40_notifier_stops() {
    let mut flow = Flow::new(&[("alice@192.0.2.10", Action::Allow)]);
    flow.bob.publish(PresenceStatus::Available, None);
    flow.advance(29_690);
    flow.watch(Subscribing::Lasting);
    for _ in 0..3 {
        flow.pass_everything();
    }
    flow.advance(29_700);
    flow.bob.act(Core::go_offline);
    let text = flow.blocks["W-A40"].replace("CSeq: 5", "CSeq: 2");
    flow.blocks.insert("W-A40", text);
    flow.bob_sends("W-A40");
    flow.pass_everything();
    flow.advance(29_759);
    flow.done();
    flow.advance(29_760);
    flow.alice_sends("W-A1");
}

#[test]
fn w_a50_to_w_a54_refusals() {
    let blocks = blocks();
    let subscribe = &blocks["W-A1"];
    for (text, block) in [
        (subscribe.replace("Event: presence", "Event: foo"), "W-A50"),
        (subscribe.replace("Event: presence\r\n", ""), "W-A50"),
        (subscribe.replace("Expires: 300", "Expires: 5"), "W-A51"),
        (subscribe.replace("Accept: application/pidf+xml", "Accept: text/plain"), "W-A52"),
        (subscribe.replace("SUBSCRIBE sip:", "INVITE sip:").replace("1 SUBSCRIBE", "1 INVITE"), "W-A54"),
    ] {
        let mut bob = bob(&[]);
        bob.send(&text);
        same(block, &blocks[block], &bob.expect("").text);
        bob.nothing();
    }
    let mut alice = alice();
    alice.send(&blocks["W-A3"].replace("CSeq: 1", "CSeq: 9"));
    same("W-A53", &blocks["W-A53"], &alice.expect("481").text);
    alice.nothing();
}
