//! The watcher against a scripted notifier, in virtual time (conformance section 6).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unchecked_time_subtraction,
    reason = "a test fails by panicking"
)]

mod conditional;
mod many;
mod notify;
mod pacing;
mod subscribing;
mod winfo;
#[path = "../world/mod.rs"]
mod world;

use std::{collections::HashSet, time::Duration};

use world::{ALICE, Msg, Script, config, secs};

fn alice() -> Script {
    Script::new(config("alice", ALICE))
}

/// Answers nothing until `end`, and returns when SUBSCRIBEs of new dialogs were first sent.
fn attempts(script: &mut Script, end: Duration) -> Vec<Duration> {
    script.advance_to(end);
    let mut seen = HashSet::new();
    let sent = script.take();
    let new = |msg: &&Msg| msg.first_line().starts_with("SUBSCRIBE") && seen.insert(msg.header("Call-ID").to_owned());
    sent.iter().filter(new).map(|msg| msg.at).collect()
}

/// Lets a refresh go out, and returns it.
fn refresh(script: &mut Script) -> Msg {
    let msg = script.wait(secs(4000));
    assert!(msg.first_line().starts_with("SUBSCRIBE sip:bob@192.0.2.20:5060 "), "{msg:?}");
    msg
}
