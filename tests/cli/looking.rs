//! `show` and `watch`: what is printed and how it ends.

use std::{
    io::Read,
    net::UdpSocket,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::support::{Home, Running};

#[test]
fn show_ends_with_the_code_of_what_was_found() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let _agent = alice.agent();
    alice.run(&["set", "lunch"]);
    let found = bob.run(&["show", &alice.address()]);
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.out.contains("\taway, lunch"), "{found:?}");
    let nobody = bob.run(&["show", &format!("nobody@127.0.0.1:{}", alice.port)]);
    assert_eq!(nobody.code, 8, "{nobody:?}");
    assert!(nobody.out.contains("404 Not Found"), "{nobody:?}");
    let both = bob.run(&["show", &alice.address(), &format!("nobody@127.0.0.1:{}", alice.port)]);
    assert_eq!(both.code, 10, "{both:?}");
    let stranger = Home::new("eve").run(&["show", &alice.address()]);
    assert_eq!(stranger.code, 5, "{stranger:?}");
    assert!(stranger.err.contains("hint: they may have to approve you first"), "{stranger:?}");
    alice.run(&["watchers", "block", "bob@127.0.0.1"]);
    let refused = bob.run(&["show", "--json", &alice.address()]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.out.contains("\"freshness\":\"rejected\""), "{refused:?}");
}

#[test]
fn a_closed_port_is_told_at_once_and_a_silent_one_within_the_limit() {
    let home = Home::new("alice");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("bob@{}", silent.local_addr().unwrap());
    let show = home.run(&["show", "--timeout", "1s", &target]);
    show.fails(7, &format!("sippresence: {target}: no answer within 1s\nhint: `--timeout` waits longer"));
    drop(silent);
    let show = home.run(&["show", &target]);
    assert_eq!(show.code, 7);
    assert!(show.out.contains("failed: connect") && show.out.contains("nobody listens there"), "{show:?}");
}

#[test]
fn one_that_answers_and_one_that_does_not_are_partly_done() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let _agent = alice.agent();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("carol@{}", silent.local_addr().unwrap());
    let show = bob.run(&["show", "--timeout", "2s", &alice.address(), &target]);
    assert!(show.out.contains("\toffline"), "{show:?}");
    show.fails(10, "sippresence: 1 of 2: no answer within 2s\nhint: `--timeout` waits longer");
}

#[test]
fn without_an_agent_nobody_answers_for_me() {
    let show = Home::new("alice").run(&["show", "me"]);
    show.fails(11, "sippresence: no agent is running\nhint: start one with `sippresence agent start`");
}

#[test]
fn a_target_that_is_named_twice_is_told_once() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy"]);
    assert_eq!(home.run(&["show", "me", "me"]).out.lines().count(), 1);
    assert_eq!(home.run(&["watch", "--for", "300ms", "me", "me"]).out.lines().count(), 1);
}

#[test]
fn a_bare_name_is_somebody_at_the_account_s_host_with_an_agent_and_without() {
    let home = Home::new("alice");
    home.config(&format!(
        "[agent]\nport = {}\n[account.home]\naddress = \"sip:alice@no-such-host.invalid\"\n",
        home.port
    ));
    let _agent = home.agent();
    for args in [&["show", "bob"][..], &["--no-agent", "show", "bob"]] {
        let show = home.run(args);
        assert!(show.out.contains("no-such-host.invalid") && show.code == 7, "{show:?}");
    }
    home.run(&["set", "busy"]);
    assert!(home.run(&["show", "me"]).out.contains("\tbusy"));
}

#[test]
fn a_target_that_names_nobody_says_why() {
    let home = Home::new("alice");
    for (target, words) in [
        ("", "it is empty"),
        ("alice@", "no host"),
        ("alice@h:99999", "the port is no number from 1 to 65535"),
        ("alice@::1", "brackets"),
        ("sip:alice@127.0.0.1;transport=sctp", "sctp"),
    ] {
        let show = home.run(&["show", target]);
        assert!(show.code == 2 || show.code == 6, "{show:?}");
        assert!(show.err.starts_with("sippresence: ") && show.err.contains(words), "{show:?}");
        assert_eq!(show.err.lines().count(), 1, "{show:?}");
    }
    let show = home.run(&["show", "bob@no-such-host.invalid"]);
    assert_eq!(show.code, 7, "{show:?}");
    assert!(show.out.contains("failed: dns") && show.out.contains("no-such-host.invalid"), "{show:?}");
}

#[test]
fn sec_07_what_a_peer_writes_cannot_steer_the_terminal() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let note = "\u{202e}evil \u{1b}]0;x\u{7} $(id) \u{9b}31m";
    home.run(&["set", "busy", "--note", note]);
    let show = home.run(&["show", "alice@127.0.0.1"]);
    assert!(show.out.contains("$(id)") && show.out.contains("\\u202e"), "{show:?}");
    assert!(!show.out.trim_end().chars().any(|c| c.is_control() && c != '\t'), "{show:?}");
    let marks = "e".to_owned() + &"\u{301}".repeat(400);
    home.run(&["set", "busy", "--note", &marks]);
    assert_eq!(home.run(&["show", "alice@127.0.0.1"]).code, 0);
}

#[test]
fn watch_ends_as_it_is_told() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy"]);
    assert_eq!(home.run(&["watch", "--for", "100ms", "alice@127.0.0.1"]).code, 0);
    let mut counted = Running::start(home.command(&["watch", "--count", "1", "alice@127.0.0.1"]));
    counted.line(&["busy"]);
    home.run(&["set", "away"]);
    counted.line(&["away"]);
    assert!(counted.wait().success());
    let mut interrupted = Running::start(home.command(&["watch", "alice@127.0.0.1"]));
    interrupted.line(&["away"]);
    interrupted.signal(Signal::SIGINT);
    assert_eq!(interrupted.wait().code(), Some(130));
    let mut terminated = Running::start(home.command(&["--no-agent", "watch", &home.address()]));
    terminated.line(&["pending"]);
    terminated.signal(Signal::SIGTERM);
    assert_eq!(terminated.wait().code(), Some(143));
}

#[test]
fn a_pipe_that_closes_ends_watch_quietly() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy"]);
    let mut watch = home.command(&["watch", "--json", "alice@127.0.0.1"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    watch.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(watch.stdout.take());
    home.run(&["set", "away"]);
    let mut err = String::new();
    watch.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((watch.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn what_finds_no_room_on_stdout_is_not_called_done() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [&["show", "alice@127.0.0.1"][..], &["watch", "alice@127.0.0.1"], &["config", "path"]] {
        let run = home.command(args).stdout(full()).output().unwrap();
        assert_eq!(run.status.code(), Some(70), "{args:?}: {run:?}");
        let err = String::from_utf8(run.stderr).unwrap();
        assert!(err.starts_with("sippresence: cannot write to stdout: No space left"), "{err}");
    }
}

#[test]
fn killing_either_side_leaves_the_other_with_a_truthful_picture() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.config(&format!("[agent]\nport = {}\nmin_expires = \"1s\"\n[sip]\nt1 = \"50ms\"\n", alice.port));
    bob.config("[watch]\np2p_expires = \"4s\"\n[sip]\nt1 = \"50ms\"\n");
    let mut agent = alice.agent();
    alice.run(&["set", "available"]);
    let mut watch = Running::start(bob.command(&["watch", "--json", &alice.address()]));
    watch.line(&["\"available\"", "\"fresh\""]);
    agent.signal(Signal::SIGKILL);
    agent.wait();
    // The refresh finds the port closed: not fresh any more, and never offline.
    let told = watch.line(&["\"freshness\":\"stale\""]);
    assert!(told.contains("\"available\""), "{told}");
    let _next = alice.agent();
    alice.run(&["set", "busy"]);
    watch.line(&["\"busy\"", "\"fresh\""]);
    watch.signal(Signal::SIGKILL);
    watch.wait();
    // The watcher that was killed is noticed by the next NOTIFY.
    alice.run(&["set", "away"]);
    let by = std::time::Instant::now() + crate::support::PATIENCE;
    while alice.run(&["watchers"]).out.contains("bob") {
        assert!(std::time::Instant::now() < by, "the dead watcher is still there");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    let home = Home::new("alice");
    for args in [&["--help"][..], &["set", "--help"], &["--version"]] {
        let help = home.run(args);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{args:?}");
    }
    let bare: Command = home.command(&[]);
    assert_eq!(Running::start(bare).wait().code(), Some(2));
}
