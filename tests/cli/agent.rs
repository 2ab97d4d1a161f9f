//! The agent, and what it is told.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;

use crate::support::{Home, Running};

#[test]
fn a_status_that_is_set_is_seen_at_once_and_so_is_the_next() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let set = home.run(&["set", "busy", "--note", "meeting"]);
    assert_eq!((set.code, set.out.as_str()), (0, ""));
    assert!(set.err.starts_with("you are busy: meeting\nvisible on this machine only;"), "{}", set.err);
    let mut people = Running::start(home.command(&["watch", "alice@127.0.0.1"]));
    let mut programs = Running::start(home.command(&["watch", "alice@127.0.0.1", "--json"]));
    people.line(&["alice@127.0.0.1\tbusy: meeting"]);
    let snapshot: serde_json::Value = serde_json::from_str(&programs.line(&["snapshot"])).unwrap();
    assert_eq!(snapshot["schema"], 1);
    assert_eq!(snapshot["presentity"], "alice@127.0.0.1");
    assert_eq!((&snapshot["status"], &snapshot["note"]), (&"busy".into(), &"meeting".into()));
    assert_eq!(snapshot["freshness"], "fresh");
    programs.line(&["\"kind\":\"ready\""]);
    assert_eq!(home.run(&["set", "available", "-q"]).err, "");
    people.line(&["\tavailable"]);
    let change: serde_json::Value = serde_json::from_str(&programs.line(&["\"change\""])).unwrap();
    assert_eq!((&change["status"], &change["previous"]["status"]), (&"available".into(), &"busy".into()));
    assert_eq!(home.run(&["clear"]).code, 0);
    people.line(&["\toffline"]);
}

#[test]
fn a_stranger_waits_and_each_decision_reaches_it_at_once() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let _agent = alice.agent();
    alice.run(&["set", "dnd"]);
    let target = alice.address();
    let mut watch = Running::start(bob.command(&["watch", "--json", &target]));
    watch.line(&["\"freshness\":\"pending\""]);
    let list = alice.run(&["watchers"]);
    assert!(list.out.starts_with("bob@127.0.0.1  waits for your approval  since "), "{list:?}");
    assert_eq!(alice.run(&["watchers", "allow", "bob@127.0.0.1"]).err, "bob@127.0.0.1 may see you\n");
    watch.line(&["\"status\":\"dnd\"", "\"fresh\""]);
    let json = alice.run(&["watchers", "--json"]);
    assert!(json.out.contains("\"state\":\"active\"") && json.out.contains("\"identity\":\"address\""), "{json:?}");
    alice.run(&["watchers", "polite-block", "bob@127.0.0.1"]);
    watch.line(&["\"status\":\"offline\"", "\"fresh\""]);
    alice.run(&["watchers", "block", "bob@127.0.0.1"]);
    watch.line(&["\"freshness\":\"rejected\""]);
    assert_eq!(alice.run(&["watchers", "forget", "bob@127.0.0.1"]).code, 0);
    let policy = fs::read_to_string(alice.path("config/sippresence/policy.toml")).unwrap();
    assert!(!policy.contains("bob"), "{policy}");
}

#[test]
fn those_who_wait_are_listed_without_those_who_watch() {
    let (alice, bob, eve) = (Home::new("alice"), Home::new("bob"), Home::new("eve"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let _agent = alice.agent();
    let nobody = alice.run(&["watchers", "pending"]);
    let words = (nobody.code, nobody.out.as_str(), nobody.err.as_str());
    assert_eq!(words, (0, "", "nobody waits for your approval\n"));
    let mut watches = Running::start(bob.command(&["watch", &alice.address()]));
    watches.line(&["offline"]);
    let mut waits = Running::start(eve.command(&["watch", &alice.address()]));
    waits.line(&["pending"]);
    let pending = alice.run(&["watchers", "pending"]);
    assert!(pending.out.starts_with("eve@127.0.0.1  waits for your approval"), "{pending:?}");
    assert_eq!(pending.out.lines().count(), 1, "{pending:?}");
    assert_eq!(alice.run(&["watchers", "list"]).out.lines().count(), 2);
}

#[test]
fn a_decision_without_an_agent_is_written_down_for_the_next_one() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    assert_eq!(alice.run(&["watchers", "allow", "bob@127.0.0.1"]).code, 0);
    let _agent = alice.agent();
    alice.run(&["set", "available"]);
    let show = bob.run(&["show", &alice.address()]);
    assert_eq!(show.code, 0, "{show:?}");
    assert!(show.out.contains("\tavailable"), "{show:?}");
}

#[test]
fn term_goes_offline_in_good_order_and_the_socket_is_gone() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let mut agent = alice.agent();
    alice.run(&["set", "available"]);
    let mut watch = Running::start(bob.command(&["watch", "--json", &alice.address()]));
    watch.line(&["\"available\""]);
    assert!(alice.path("run/sippresence/agent.sock").exists());
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait().success());
    watch.line(&["\"status\":\"offline\"", "\"fresh\""]);
    assert!(!alice.path("run/sippresence/agent.sock").exists());
}

#[test]
fn an_agent_that_is_killed_leaves_no_fresh_state_behind_and_the_next_one_starts() {
    let home = Home::new("alice");
    let mut agent = home.agent();
    home.run(&["set", "available"]);
    let mut watch = Running::start(home.command(&["watch", "--json", "alice@127.0.0.1"]));
    watch.line(&["\"fresh\""]);
    agent.signal(Signal::SIGKILL);
    agent.wait();
    watch.line(&["\"kind\":\"freshness\"", "\"stale\""]);
    assert_eq!(watch.wait().code(), Some(11));
    // The socket of the dead one is in the way, and is replaced.
    let _next = home.agent();
    assert_eq!(home.run(&["set", "busy"]).code, 0);
}

#[test]
fn sec_11_the_socket_is_private_and_a_second_agent_is_refused() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run/sippresence"), mode("run/sippresence/agent.sock")), (0o700, 0o600));
    let second = home.run(&["agent", "run"]);
    second.fails(
        12,
        "sippresence: an agent for this configuration runs already\nhint: `sippresence set …` talks to it, \
                    `sippresence agent stop` ends it",
    );
}

#[test]
fn the_socket_can_be_driven_by_hand() {
    use std::io::{BufRead, BufReader, Write};
    let home = Home::new("alice");
    let _agent = home.agent();
    let stream = std::os::unix::net::UnixStream::connect(home.path("run/sippresence/agent.sock")).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |text: &str| {
        (&stream).write_all(format!("{text}\n").as_bytes()).unwrap();
        lines.next().unwrap().unwrap()
    };
    assert!(ask("{\"hello\":\"nc\",\"version\":\"0\",\"protocol\":1}").contains("\"address\":\"sip:alice@127.0.0.1\""));
    let set = ask("{\"cmd\":\"set\",\"status\":\"busy\"}");
    assert!(set.starts_with("{\"reply\":\"ok\",\"publication\":{\"schema\":1,"), "{set}");
    let odd = ask("{\"cmd\":\"set\",\"status\":\"avialable\"}");
    assert!(odd.contains("\"code\":2") && odd.contains("available"), "{odd}");
    assert!(ask("{\"cmd\":\"fly\"}").contains("unknown variant `fly`"));
    assert!(ask("no json").contains("\"reply\":\"error\""));
    assert!(ask("{\"cmd\":\"watch\",\"targets\":[\"alice@127.0.0.1\"]}").contains("ok"));
    assert!(ask("").contains("\"kind\":\"snapshot\""));
}

#[test]
fn the_demo_plays_and_leaves_nothing_behind() {
    let home = Home::new("alice");
    let mut command = home.command(&["demo", "--json"]);
    fs::create_dir_all(home.path("tmp")).unwrap();
    command.env("TMPDIR", home.path("tmp"));
    let mut demo = Running::start(command);
    demo.line(&["\"kind\":\"ready\""]);
    demo.line(&["\"kind\":\"change\""]);
    assert_eq!(fs::read_dir(home.path("tmp")).unwrap().count(), 1);
    demo.signal(Signal::SIGINT);
    assert!(demo.wait().success());
    assert_eq!(fs::read_dir(home.path("tmp")).unwrap().count(), 0);
    assert!(!home.path("run/sippresence").exists());
}
