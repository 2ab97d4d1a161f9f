//! The notifier against a scripted watcher, in virtual time (conformance sections 7 and 13).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answering;
mod conditional;
mod limits;
mod pacing;
mod remembering;
mod restarting;
mod saved_data;
mod telling;
#[path = "../world/mod.rs"]
mod world;

use sippresence::presence::{PresenceStatus, policy::Action};
use world::{BOB, Script, config, policy};

/// bob, who shows himself available to alice, whose address stands in his list.
fn bob() -> Script {
    bob_with(&[("alice@192.0.2.10", Action::Allow)])
}

fn bob_with(listed: &[(&str, Action)]) -> Script {
    let mut config = config("bob", BOB);
    config.policy = policy(listed);
    let mut script = Script::new(config);
    script.publish(PresenceStatus::Available, None);
    script
}
