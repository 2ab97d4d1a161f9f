//! Every line that the real program prints with `--json`, against the schema that stands in `docs/`.

use std::fs;

use crate::support::{Home, Running, wait_until};

/// Asserts that lines are of the schema; returns their kinds.
pub(crate) fn kinds(text: &str) -> Vec<String> {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../docs/events.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let check = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
        value["kind"].as_str().unwrap().to_owned()
    };
    text.lines().map(check).collect()
}

#[test]
fn every_line_of_every_command_and_hook_is_of_the_schema() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let told = alice.path("told");
    alice.config(&format!(
        "[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n[hooks]\non_event = [\"sh\", \"-c\", \"cat >>{}\"]\n",
        alice.port,
        told.display()
    ));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.run(&["set", "meeting", "--note", "☕ \u{202e}x", "--for", "1h"]);
    alice.run(&["set", "custom:Tea time", "--until", "2099-01-01T00:00:00Z"]);
    assert_eq!(kinds(&alice.run(&["me", "--json"]).out), ["publication"]);
    alice.run(&["buddies", "add", "bob@127.0.0.1:9", "--alias", "b", "--group", "team", "--no-watch", "--mark"]);
    assert_eq!(kinds(&alice.run(&["buddies", "--json"]).out), ["buddies"]);
    let target = alice.address();
    let watch = bob.sh(&format!(
        "sippresence watch {target} --json --for 3s >lines & until grep -q ready lines; do sleep .05; done; wait"
    ));
    assert_eq!(watch.code, 0, "{watch:?}");
    let lines = fs::read_to_string(bob.path("lines")).unwrap();
    assert!(kinds(&lines).starts_with(&["snapshot".to_owned(), "ready".to_owned()]), "{lines}");
    let nobody = format!("nobody@127.0.0.1:{}", alice.port);
    let mut change = Running::start(bob.command(&["watch", &target, &nobody, "--json", "--count", "1"]));
    let ready = change.line(&["\"ready\""]);
    alice.run(&["set", "away"]);
    let change = change.line(&["\"away\""]);
    assert_eq!(kinds(&format!("{ready}\n{change}")), ["ready", "change"]);
    assert_eq!(kinds(&bob.run(&["show", "--json", "--raw", &target]).out), ["snapshot"]);
    assert_eq!(kinds(&bob.run(&["is", "--json", &target, "away"]).out), ["snapshot"]);
    let wait = bob.run(&["wait", "--json", &target, "away"]);
    assert_eq!(kinds(&wait.out).len(), 1, "{wait:?}");
    assert_eq!(kinds(&bob.run(&["show", "--json", "dave@127.0.0.1:9"]).out), ["snapshot"]);
    let _watch = Running::start(bob.command(&["watch", &target]));
    wait_until("bob is there", || kinds(&alice.run(&["watchers", "--json"]).out) == ["watcher"]);
    let told = || kinds(&fs::read_to_string(&told).unwrap_or_default());
    wait_until("hooks were told of both", || {
        ["publication", "watcher"].iter().all(|kind| told().contains(&(*kind).to_owned()))
    });
}

#[test]
fn sec_20_after_a_sleep_everything_is_stale_until_it_is_confirmed() {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixStream,
    };
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.run(&["set", "busy"]);
    bob.run(&["agent", "start"]);
    let mut watch = Running::start(bob.command(&["watch", "--json", &alice.address()]));
    watch.line(&["\"kind\":\"ready\""]);
    let mut agent = UnixStream::connect(bob.path("run/sippresence/agent.sock")).unwrap();
    agent.write_all(b"{\"hello\":\"hook\",\"version\":\"1\",\"protocol\":1}\n{\"cmd\":\"resumed\"}\n").unwrap();
    let mut heard = BufReader::new(&agent).lines();
    assert_eq!(heard.nth(1).unwrap().unwrap(), "{\"reply\":\"ok\"}");
    let stale = watch.line(&["\"kind\":\"freshness\""]);
    assert!(stale.contains("\"stale\"") && stale.contains("\"busy\""), "{stale}");
    let fresh = watch.line(&["\"kind\":\"freshness\""]);
    assert!(fresh.contains("\"fresh\""), "{fresh}");
    assert_eq!(kinds(&stale), ["freshness"]);
}
