//! Kamailio's watcher information (RFC 3857): who watches us there, in the list of our own watchers.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    kamailio::{AgentOf, ended, watch},
    server::{Server, WITH_XCAP},
    support::{Home, Peer, Test, until},
    xcap::Other,
};

pub(crate) const TESTS: &[Test] = &[
    ("kamailio::wic_01_tells_who_waits_and_that_is_told_once", pending),
    ("kamailio::wic_01_tells_who_waited_and_left", left),
];

/// A rule by which bob is allowed.
const ALLOW_BOB: &str = "<?xml version=\"1.0\"?>
<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\">
<cr:rule id=\"a\"><cr:conditions><cr:identity><cr:one id=\"sip:bob@sip.test\"/></cr:identity></cr:conditions>
<cr:actions><pr:sub-handling>allow</pr:sub-handling></cr:actions></cr:rule></cr:ruleset>
";

/// The watchers of an account, as JSON lines tell them.
fn watchers(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let out = home.run(&[&["watchers", "--json"], arguments].concat());
    out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["watcher"].clone()).collect()
}

fn until_listed(home: &Home, who: &str, state: &str) -> Value {
    until(&format!("{who} is {state}"), || {
        let all = watchers(home, &[]);
        let found = all.iter().find(|watcher| watcher["who"] == who && watcher["state"] == state);
        found.cloned().ok_or_else(|| format!("{all:?}"))
    })
}

fn pending(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let told = tempfile::NamedTempFile::new().unwrap();
    let hook = format!("[hooks]\non_event = [\"sh\", \"-c\", \"cat >> {}\"]\n", told.path().display());
    let (alice, bob) = (server.home(&["alice"], &hook), server.home(&["bob"], ""));
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "available"]);
    assert_eq!(code, 0, "{err}");
    let mut seen = watch(&bob, "alice");
    seen.line("he waits", |line| line["freshness"] == "pending");
    let waiting = until_listed(&alice, "sip:bob@sip.test", "pending");
    assert_eq!((&waiting["via"], &waiting["identity"]), (&"server".into(), &"verified".into()), "{waiting}");
    let out = alice.run(&["watchers", "pending"]);
    assert!(out.starts_with("bob@sip.test  waits for your approval  since ") && out.contains("at the server"), "{out}");
    let status = alice.run(&["agent", "status"]);
    assert!(status.contains(", 1 waits for your approval"), "{status}");
    let times_told = || {
        let text = std::fs::read_to_string(told.path()).unwrap();
        text.lines().filter(|line| line.contains("sip:bob@sip.test") && line.contains("\"state\":\"pending\"")).count()
    };
    until("the hook is told", || if times_told() > 0 { Ok(()) } else { Err("not yet") });

    // Known at once when the agent is back, and no news to anybody; what happens is on disk within a second.
    until("it is on disk", || {
        let state = std::fs::read_to_string(alice.path("state/sippresence/agent.json")).unwrap_or_default();
        if state.contains("sip:bob@sip.test") { Ok(()) } else { Err("not yet") }
    });
    agent.kill();
    alice.run(&["agent", "start", "-q"]);
    assert_eq!(watchers(&alice, &["pending"])[0]["who"], "sip:bob@sip.test");
    // What is decided here is nothing to a server that is not told.
    let (code, _, err) = ended(&alice, &["watchers", "allow", "bob@sip.test"]);
    assert_eq!(code, 10, "{err}");
    assert!(
        err.contains("decided here, but bob@sip.test waits at the server of ") && err.contains("with `xcap` in "),
        "{err}"
    );
    Other { server: &server, user: "alice" }.put("pres-rules", ALLOW_BOB);
    seen.line("he is allowed", |line| line["freshness"] == "fresh");
    until_listed(&alice, "sip:bob@sip.test", "active");
    assert_eq!((times_told(), alice.run(&["watchers", "pending"]).as_str()), (1, ""));

    seen.signal(Signal::SIGTERM);
    until("he is gone", || match watchers(&alice, &[]) {
        none if none.is_empty() => Ok(()),
        all => Err(format!("{all:?}")),
    });
    let history = alice.run(&["watchers", "history"]);
    assert!(history.starts_with("bob@sip.test  gone  since ") && history.contains("by server"), "{history}");
}

fn left(peer: &Peer) {
    let server = Server::start(peer, WITH_XCAP);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let _agent = AgentOf(&alice);
    alice.run(&["set", "available", "-q"]);
    let mut seen = watch(&bob, "alice");
    seen.line("he waits", |line| line["freshness"] == "pending");
    until_listed(&alice, "sip:bob@sip.test", "pending");
    seen.signal(Signal::SIGTERM);
    let waiting = until_listed(&alice, "sip:bob@sip.test", "waiting");
    assert_eq!(waiting["via"], "server", "{waiting}");
    assert!(alice.run(&["watchers", "pending"]).starts_with("bob@sip.test  waits for your approval"));
}
