//! Two agents who share a secret: each proves to the other who it is, and nobody gains by another name.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, Running, wait_until};

/// Puts a secret into a file that nobody else can read.
fn write_secret(home: &Home, secret: &str) {
    let file = home.path("config/sippresence/peer.secret");
    fs::write(&file, format!("{secret}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Has a home follow somebody, with whom it shares a secret as these lines say.
fn follow(home: &Home, name: &str, address: &str, lines: &str) {
    let text = format!("[[buddy]]\nname = \"{name}\"\naddress = \"{address}\"\n{lines}");
    // In one step, as editors do it.
    let file = home.path("config/sippresence/buddies.toml");
    fs::write(file.with_extension("new"), text).unwrap();
    fs::rename(file.with_extension("new"), file).unwrap();
}

/// Alice, who lets in nobody but whoever proves to be bob, and bob; each follows the other.
fn both() -> (Home, Home) {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let config = fs::read_to_string(alice.path("config/sippresence/config.toml")).unwrap();
    alice.config(&format!("{config}[policy]\nrequire = \"verified\"\n"));
    fs::write(alice.path("config/sippresence/policy.toml"), "allow = [\"bob@127.0.0.1\"]\n").unwrap();
    write_secret(&alice, "correct horse");
    write_secret(&bob, "correct horse");
    follow(&alice, "bob", &bob.address(), "password_file = \"peer.secret\"\nwatch = false\n");
    (alice, bob)
}

fn command(home: &Home) -> String {
    let file = home.path("config/sippresence/peer.secret");
    format!("password_command = [\"cat\", \"{}\"]\n", file.display())
}

fn identities(home: &Home) -> Vec<(String, String)> {
    let shown = home.run(&["watchers", "--json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let word = |line: &Value, key: &str| line["watcher"][key].as_str().unwrap_or_default().to_owned();
    let lines = shown.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["watcher"].is_object());
    lines.map(|line| (word(&line, "who"), word(&line, "identity"))).collect()
}

#[test]
fn aut_01_and_pol_19_two_agents_with_one_secret_are_sure_of_each_other() {
    let (alice, bob) = both();
    follow(&bob, "alice", &alice.address(), &format!("{}watch = false\n", command(&bob)));
    alice.run(&["set", "busy", "--note", "on a ladder"]);
    assert_eq!(bob.run(&["agent", "start"]).code, 0);
    let mut watch = Running::start(bob.command(&["watch", "alice"]));
    watch.line(&["\tbusy: on a ladder"]);
    assert_eq!(identities(&alice), [("sip:bob@127.0.0.1".to_owned(), "verified".to_owned())]);
    let state = alice.path("state/sippresence/agent.json");
    wait_until("that is on disk", || fs::read_to_string(&state).unwrap().contains("\"verified\""));
    // It goes on over a crash of who is watched, and by a command alone.
    alice.kill_agent();
    alice.run(&["agent", "start"]);
    alice.run(&["set", "away"]);
    watch.line(&["\taway"]);
    assert_eq!(identities(&alice), [("sip:bob@127.0.0.1".to_owned(), "verified".to_owned())]);
    let shown = bob.run(&["--no-agent", "show", "alice"]);
    assert!(shown.code == 0 && shown.out.contains("\taway"), "{shown:?}");
    watch.signal(Signal::SIGTERM);
    watch.wait();
}

#[test]
fn aut_18_without_the_secret_nothing_is_shown_and_a_list_that_is_saved_mends_it() {
    let (alice, bob) = both();
    alice.run(&["set", "busy"]);
    follow(&bob, "alice", &alice.address(), "");
    let refused = bob.run(&["show", "alice", "--no-agent"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(bob.run(&["agent", "start"]).code, 0);
    let mut watch = Running::start(bob.command(&["watch", "alice"]));
    watch.line(&["alice", "401"]);
    assert_eq!(identities(&alice), []);
    write_secret(&bob, "another horse");
    follow(&bob, "alice", &alice.address(), &command(&bob));
    let words = || bob.run(&["show", "alice"]);
    wait_until("the other secret is wrong", || words().out.contains("the password for realm"));
    assert_eq!(identities(&alice), []);
    write_secret(&bob, "correct horse");
    assert_eq!(bob.run(&["agent", "reload"]).code, 0);
    watch.line(&["\tbusy"]);
    assert_eq!(identities(&alice), [("sip:bob@127.0.0.1".to_owned(), "verified".to_owned())]);
    watch.signal(Signal::SIGTERM);
    watch.wait();
}

#[test]
fn sec_10_a_secret_that_others_can_read_is_not_taken_and_that_is_told() {
    let (alice, bob) = both();
    follow(&bob, "alice", &alice.address(), "password_file = \"peer.secret\"\n");
    let file = alice.path("config/sippresence/peer.secret");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let mut agent = alice.agent();
    agent.stderr_line("the secret that we share cannot be had");
    let refused = bob.run(&["show", "alice", "--no-agent", "--timeout", "3s"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(identities(&alice), []);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(alice.run(&["agent", "reload"]).code, 0);
    alice.run(&["set", "busy"]);
    wait_until("bob is let in", || bob.run(&["show", "alice", "--no-agent"]).out.contains("\tbusy"));
}
