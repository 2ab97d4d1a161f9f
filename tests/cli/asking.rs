//! `is` and `wait`: the exit codes that scripts go by.

use std::net::UdpSocket;

use nix::sys::signal::Signal;

use crate::support::{Home, Running, wait_until};

/// Alice, who lets Bob look, and Bob.
fn two() -> (Home, Home) {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.run(&["set", "meeting", "--note", "till ten"]);
    (alice, bob)
}

/// An address at which nobody answers, for as long as the socket lives.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("carol@{}", socket.local_addr().unwrap());
    (socket, target)
}

#[test]
fn is_answers_yes_and_no_and_says_why_it_cannot() {
    let (alice, bob) = two();
    let target = alice.address();
    for (status, code) in [
        ("busy", 0),
        ("meeting", 0),
        ("available,busy", 0),
        ("closed", 0),
        ("available", 1),
        ("open", 1),
        ("custom", 1),
        ("lunch,offline", 1),
    ] {
        let is = bob.run(&["is", &target, status]);
        assert_eq!((is.code, is.out.as_str(), is.err.as_str()), (code, "", ""), "{status}");
    }
    let json = bob.run(&["is", "--json", &target, "available"]);
    assert_eq!(json.code, 1);
    assert!(json.out.contains("\"note\":\"till ten\""), "{json:?}");
    let stranger = Home::new("eve").run(&["is", &target, "busy"]);
    assert_eq!(stranger.code, 5, "{stranger:?}");
    let nobody = bob.run(&["is", &format!("nobody@127.0.0.1:{}", alice.port), "busy"]);
    assert_eq!(nobody.code, 8);
    assert!(nobody.err.starts_with("sippresence: nobody@127.0.0.1:"), "{nobody:?}");
    let (_socket, target) = silent();
    let late = bob.run(&["is", &target, "busy", "--timeout", "300ms"]);
    late.fails(7, &format!("sippresence: {target}: no answer within 300ms\nhint: `--timeout` waits longer"));
    let typo = bob.run(&["is", &target, "avialable"]);
    typo.fails(2, "sippresence: unknown status `avialable`: did you mean `available`?");
}

#[test]
fn is_and_wait_ask_a_running_agent_too() {
    let (alice, bob) = two();
    let _agent = bob.agent();
    assert_eq!(bob.run(&["is", &alice.address(), "busy"]).code, 0);
    assert_eq!(bob.run(&["wait", &alice.address(), "busy", "--timeout", "10s"]).code, 0);
    assert_eq!(bob.run(&["is", "me", "offline"]).code, 0);
}

#[test]
fn wait_ends_when_it_is_so_and_with_124_when_it_is_not_in_time() {
    let (alice, bob) = two();
    let target = alice.address();
    let at_once = bob.run(&["wait", &target, "busy", "--timeout", "20s"]);
    assert_eq!(at_once.code, 0, "{at_once:?}");
    assert!(at_once.out.starts_with(&format!("{target}\tbusy, meeting: till ten")), "{at_once:?}");
    let late = bob.run(&["wait", &target, "available", "--timeout", "500ms"]);
    assert_eq!(late.code, 124, "{late:?}");
    let last = late.err.lines().last().unwrap();
    assert_eq!(last, format!("sippresence: {target} is busy, meeting: till ten and not available after 500ms"));
    let mut wait = Running::start(bob.command(&["wait", &target, "available,away", "--timeout", "60s"]));
    wait.stderr_line("is busy, meeting: till ten; waiting");
    alice.run(&["set", "available"]);
    assert_eq!(wait.wait().code(), Some(0));
    wait.line(&["\tavailable"]);
}

#[test]
fn wait_is_interrupted_cleanly() {
    let (alice, bob) = two();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut wait = Running::start(bob.command(&["wait", &alice.address(), "available"]));
        wait.stderr_line("waiting");
        wait_until("the watcher is there", || alice.run(&["watchers"]).out.contains("bob"));
        wait.signal(signal);
        assert_eq!(wait.wait().code(), Some(code));
        wait_until("the watcher is gone", || !alice.run(&["watchers"]).out.contains("bob"));
    }
}

#[test]
fn wait_takes_one_or_all_of_several() {
    let (alice, bob) = two();
    let carol = Home::new("carol");
    carol.run(&["watchers", "allow", "bob@127.0.0.1"]);
    carol.run(&["set", "available"]);
    let (a, c) = (alice.address(), carol.address());
    let any = bob.run(&["wait", "--any", &a, &c, "available", "--timeout", "20s"]);
    assert_eq!(any.code, 0, "{any:?}");
    assert!(any.out.starts_with(&format!("{c}\tavailable")) && any.out.lines().count() == 1, "{any:?}");
    let all = bob.run(&["wait", &a, &c, "available", "--timeout", "1s"]);
    assert_eq!(all.code, 124);
    assert!(all.err.ends_with("sippresence: 1 of 2 are available after 1s\n"), "{all:?}");
    alice.run(&["set", "available"]);
    let all = bob.run(&["wait", "--all", &a, &c, "available", "--timeout", "20s"]);
    assert_eq!((all.code, all.out.lines().count()), (0, 2), "{all:?}");
    // One that can never be is enough to end a wait for all, and no reason to end one for any.
    let nobody = format!("nobody@127.0.0.1:{}", alice.port);
    assert_eq!(bob.run(&["wait", &nobody, &c, "available", "--timeout", "20s"]).code, 8);
    assert_eq!(bob.run(&["wait", "--any", &nobody, &c, "available", "--timeout", "20s"]).code, 0);
}

#[test]
fn wait_wants_it_to_be_so_for_as_long_as_it_is_told() {
    let (alice, bob) = two();
    let target = alice.address();
    let short = bob.run(&["wait", &target, "busy", "--stable", "1h", "--timeout", "1s"]);
    assert_eq!(short.code, 124, "{short:?}");
    let long = bob.run(&["wait", &target, "busy", "--stable", "300ms", "--timeout", "30s"]);
    assert_eq!(long.code, 0, "{long:?}");
}

#[test]
fn wait_goes_on_while_nobody_answers_and_ends_at_once_with_a_no() {
    let (alice, bob) = two();
    // Somebody who is not there yet.
    let carol = Home::new("carol");
    carol.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let mut wait = Running::start(bob.command(&["wait", &carol.address(), "available", "--timeout", "60s"]));
    wait.stderr_line("waiting");
    carol.run(&["set", "available"]);
    assert_eq!(wait.wait().code(), Some(0));
    alice.run(&["watchers", "block", "bob@127.0.0.1"]);
    let refused = bob.run(&["wait", &alice.address(), "busy", "--timeout", "60s"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    let pending = Home::new("eve").run(&["wait", &alice.address(), "busy", "--timeout", "60s"]);
    assert_eq!(pending.code, 5, "{pending:?}");
    assert_eq!(pending.err.lines().filter(|line| line.starts_with("sippresence: ")).count(), 1, "{pending:?}");
}

#[test]
fn wait_survives_the_agent_that_looks_for_it() {
    let (alice, bob) = two();
    bob.run(&["agent", "start"]);
    let mut wait = Running::start(bob.command(&["wait", &alice.address(), "available", "--timeout", "60s"]));
    wait.stderr_line("waiting");
    bob.run(&["agent", "restart"]);
    bob.kill_agent();
    // Nobody starts another: from now on the command looks itself.
    wait.stderr_line("waiting");
    alice.run(&["set", "available"]);
    assert_eq!(wait.wait().code(), Some(0));
}
