//! My own status: held for a while, while a command runs, over restarts and crashes of the agent.

use std::fs;

use nix::sys::signal::{Signal, kill};

use crate::support::{Home, Running, lives, wait_until};

/// What others see of me now.
fn shown(home: &Home) -> String {
    let me = home.run(&["me", "--json"]);
    assert_eq!(me.code, 0, "{me:?}");
    let line: serde_json::Value = serde_json::from_str(&me.out).unwrap();
    let note = line["note"].as_str().map(|note| format!(": {note}")).unwrap_or_default();
    format!("{}{note}", line["status"].as_str().unwrap())
}

#[test]
fn a_hold_ends_by_itself_and_what_was_before_comes_back() {
    let home = Home::new("alice");
    home.run(&["set", "available", "--note", "desk"]);
    let mut watch = Running::start(home.command(&["watch", "alice@127.0.0.1"]));
    watch.line(&["\tavailable: desk"]);
    let set = home.run(&["set", "busy", "--note", "meeting", "--for", "6s"]);
    assert!(set.err.starts_with("you are busy: meeting until "), "{set:?}");
    assert!(set.err.contains(", then available: desk\n"), "{set:?}");
    watch.line(&["\tbusy: meeting"]);
    watch.line(&["\tavailable: desk"]);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    assert_eq!(home.run(&["set", "away", "--until", &until.to_string()]).code, 0);
    assert_eq!(shown(&home), "away");
    wait_until("the hold is over", || shown(&home) == "available: desk");
    assert!(jiff::Timestamp::now() >= until);
}

#[test]
fn a_plain_set_ends_all_holds_and_says_so() {
    let home = Home::new("alice");
    home.run(&["set", "busy", "--for", "1h"]);
    home.run(&["set", "away", "--until", "23:59", "--note", "out"]);
    let me = home.run(&["me"]).out;
    assert!(me.starts_with("you are      away: out until ") && me.contains("\nthen         busy until "), "{me}");
    assert!(me.contains("\nthen         offline\n"), "{me}");
    let set = home.run(&["set", "available"]);
    assert!(set.err.starts_with("you are available\n2 holds ended by it\n"), "{set:?}");
    assert_eq!(home.run(&["me"]).out.lines().next(), Some("you are      available"));
}

#[test]
fn a_status_is_held_while_a_command_runs_and_its_code_is_passed_on() {
    let home = Home::new("alice");
    home.run(&["set", "available", "--note", "desk"]);
    let run = home.sh("sippresence set dnd --note talk --while -- sh -c 'sippresence show me; exit 7'");
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.out.contains("\tdnd: talk"), "{run:?}");
    assert!(run.err.contains("you are dnd: talk while sh runs, then available: desk"), "{run:?}");
    assert_eq!(shown(&home), "available: desk", "restored when the command has ended");
    let run = home.run(&["set", "dnd", "--while", "--", "/no/such/program"]);
    assert_eq!(run.code, 127);
    assert!(run.err.contains("cannot run /no/such/program: "), "{run:?}");
    assert_eq!(shown(&home), "available: desk");
    let signalled = home.run(&["set", "dnd", "--while", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(signalled.code, 143, "as a shell has it");
    let read = home.sh("echo input | sippresence set dnd --while -- cat");
    assert_eq!((read.code, read.out.as_str()), (0, "input\n"));
    let arguments = home.run(&["set", "dnd", "--while", "--", "printf", "%s|", "--note", "a b", "-q"]);
    assert_eq!(arguments.out, "--note|a b|-q|", "what follows is the command's");
}

/// A `set --while` that says when its command runs, and lasts until it is told to end.
fn held(home: &Home) -> Running {
    let script = "trap 'echo told; exit 5' TERM; echo runs; while :; do sleep 0.05; done";
    let mut held = Running::start(home.command(&["set", "dnd", "--while", "--", "sh", "-c", script]));
    held.line(&["runs"]);
    held
}

#[test]
fn a_signal_reaches_the_command_and_its_end_is_ours() {
    let home = Home::new("alice");
    home.run(&["set", "available"]);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let script = "trap 'echo told; exit 5' TERM INT HUP; echo runs; while :; do sleep 0.05; done";
        let mut held = Running::start(home.command(&["set", "dnd", "--while", "--", "sh", "-c", script]));
        held.line(&["runs"]);
        assert_eq!(shown(&home), "dnd");
        held.signal(signal);
        held.line(&["told"]);
        assert_eq!(held.wait().code(), Some(5), "{signal}");
        assert_eq!(shown(&home), "available");
    }
}

#[test]
fn a_hold_ends_with_its_holder_however_that_ends() {
    let home = Home::new("alice");
    home.run(&["set", "available"]);
    let mut held = held(&home);
    assert_eq!(shown(&home), "dnd");
    held.signal(Signal::SIGKILL);
    held.wait();
    wait_until("the hold is over", || shown(&home) == "available");
}

#[test]
fn a_hold_goes_on_over_a_restart_and_a_crash_of_the_agent() {
    let home = Home::new("alice");
    home.run(&["set", "available"]);
    let mut held = held(&home);
    let before = home.agent_pid();
    assert_eq!(home.run(&["agent", "restart"]).code, 0);
    assert_eq!((shown(&home), home.agent_pid()), ("dnd".to_owned(), before), "the same process, begun anew");
    home.kill_agent();
    assert_eq!(home.run(&["agent", "start"]).code, 0);
    assert_eq!(shown(&home), "dnd");
    // Long after the time in which a holder has to come back; the hold ends with the command all the same.
    held.signal(Signal::SIGTERM);
    assert_eq!(held.wait().code(), Some(5));
    assert_eq!(shown(&home), "available");
}

#[test]
fn a_hold_whose_holder_does_not_come_back_ends() {
    let home = Home::new("alice");
    home.run(&["set", "available"]);
    let mut held = held(&home);
    home.kill_agent();
    held.signal(Signal::SIGKILL);
    held.wait();
    home.run(&["agent", "start"]);
    assert_eq!(shown(&home), "dnd", "its holder may be about to come back");
    wait_until("the hold is over", || shown(&home) == "available");
}

#[test]
fn a_hold_that_was_ended_by_a_plain_set_is_not_taken_up_again() {
    let home = Home::new("alice");
    let mut held = held(&home);
    home.run(&["set", "busy"]);
    home.run(&["agent", "restart"]);
    held.signal(Signal::SIGTERM);
    assert_eq!(held.wait().code(), Some(5));
    assert_eq!(shown(&home), "busy");
}

#[test]
fn not_29_status_holds_and_watchers_survive_kill_and_restart() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.run(&["set", "available", "--note", "desk ☕"]);
    alice.run(&["set", "busy", "--for", "1h"]);
    let mut watch = Running::start(bob.command(&["watch", "--json", &alice.address()]));
    watch.line(&["\"kind\":\"snapshot\"", "\"busy\""]);
    let state = || fs::read_to_string(alice.path("state/sippresence/agent.json")).unwrap();
    wait_until("the watcher is on disk", || state().contains("sip:bob@127.0.0.1"));
    for _ in 0..2 {
        alice.kill_agent();
        assert_eq!(alice.run(&["agent", "start"]).code, 0);
        let watchers = alice.run(&["watchers"]);
        assert!(watchers.out.starts_with("bob@127.0.0.1  active"), "{watchers:?}");
        assert_eq!(shown(&alice), "busy");
    }
    assert_eq!(alice.run(&["agent", "restart"]).code, 0);
    alice.run(&["set", "away", "--note", "told once"]);
    let change = watch.line(&["told once"]);
    let change: serde_json::Value = serde_json::from_str(&change).unwrap();
    // Of the crashes and the restart the watcher noticed nothing: snapshot, ready, this change.
    assert_eq!((&change["kind"], &change["seq"]), (&"change".into(), &2.into()), "{change}");
}

#[test]
fn a_status_survives_stop_and_start_and_clear_forgets_it() {
    let home = Home::new("alice");
    home.run(&["set", "vacation", "--note", "until Monday"]);
    let stop = home.run(&["agent", "stop"]);
    assert!(stop.err.starts_with("the agent went offline and ended; your status comes back"), "{stop:?}");
    assert_eq!(home.run(&["agent", "stop"]).err, "no agent is running\n");
    home.run(&["agent", "start"]);
    assert_eq!(shown(&home), "away: until Monday");
    home.run(&["agent", "stop"]);
    assert_eq!(home.run(&["clear"]).err, "your stored status is forgotten; no agent is running\n");
    assert_eq!(home.run(&["clear"]).err, "there is nothing to take back; no agent is running\n");
    home.run(&["agent", "start"]);
    assert_eq!(shown(&home), "offline");
}

#[test]
fn with_persist_off_nothing_is_kept() {
    let home = Home::new("alice");
    home.config(&format!("[agent]\nport = {}\npersist = false\n", home.port));
    home.run(&["set", "busy"]);
    assert!(home.run(&["agent", "status"]).out.contains("not kept (agent.persist is off)"));
    home.run(&["agent", "restart"]);
    assert_eq!(shown(&home), "offline");
    assert!(!home.path("state/sippresence/agent.json").exists());
}

#[test]
fn set_returns_from_a_substitution_a_pipe_and_a_lock_while_its_agent_goes_on() {
    let home = Home::new("alice");
    let run = home.sh("x=$(sippresence set busy); echo \"[$x]\"; sippresence set away 2>&1 | cat; echo done");
    assert!(run.out.starts_with("[]\nyou are away\n") && run.out.ends_with("done\n"), "{run:?}");
    home.run(&["agent", "stop"]);
    // The lock is free when the command has ended, and stays so: the agent holds nothing of its starter's.
    let run = home.sh("flock lock sippresence set busy; flock --nonblock lock echo free");
    assert_eq!((run.code, run.out.as_str()), (0, "free\n"), "{run:?}");
    let pid = home.agent_pid().unwrap();
    let open = |number: &str| fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
    assert_eq!(open("0").to_str(), Some("/dev/null"));
    assert_eq!(open("1").to_str(), Some("/dev/null"));
    assert_eq!(open("2"), home.path("state/sippresence/agent.log"));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    let session = nix::unistd::getsid(Some(pid)).unwrap();
    assert_eq!(session, pid, "a session of its own");
}

#[test]
fn set_works_without_stdin_stdout_a_terminal_or_an_environment() {
    let home = Home::new("alice");
    for script in [
        "sippresence set busy <&-",
        "sippresence set away >&-",
        "sippresence set dnd 2>&-",
        "sippresence set busy <&- >&- 2>&-",
        "setsid --wait sippresence set away",
    ] {
        let run = home.sh(script);
        assert_eq!(run.code, 0, "{script}: {run:?}");
        home.run(&["agent", "stop"]);
    }
    // As cron runs it: a home and a path, no more. Its agent is found by the next one.
    let program = env!("CARGO_BIN_EXE_sippresence");
    let cron = format!("env -i HOME=\"$HOME/cron\" PATH=/usr/bin:/bin {program}");
    let run = home.sh(&format!(
        "mkdir cron; {cron} set busy --note cron && {cron} me | head -n 1; {cron} agent stop; {cron} clear"
    ));
    assert!(run.out.starts_with("you are      busy: cron"), "{run:?}");
    assert!(home.path("cron/.local/state/sippresence/agent.json").exists());
}

#[test]
fn twenty_at_once_leave_one_agent() {
    let home = Home::new("alice");
    let run = home.sh("for i in $(seq 20); do sippresence set busy --note $i & done; wait");
    assert_eq!(run.err.matches("started the agent").count(), 1, "{run:?}");
    assert_eq!(run.err.matches("you are busy: ").count(), 20, "{run:?}");
    let pid = home.agent_pid().unwrap();
    kill(pid, Signal::SIGTERM).unwrap();
    wait_until("the agent is gone", || !lives(pid));
    assert!(home.agent_pid().is_none(), "there was no other");
}

#[test]
fn a_place_to_listen_is_kept_over_a_crash_and_forgotten_by_a_stop() {
    let home = Home::new("alice");
    home.config("[sip]\nt1 = \"50ms\"\n");
    let port = home.port.to_string();
    let start = home.run(&["agent", "start", "--listen", "127.0.0.1", "--port", &port]);
    assert!(start.err.starts_with(&format!("started the agent at 127.0.0.1:{port} (pid ")), "{start:?}");
    home.kill_agent();
    let set = home.run(&["set", "busy"]);
    assert!(set.err.contains(&format!("started the agent at 127.0.0.1:{port} (pid")), "{set:?}");
    let moved = home.run(&["agent", "start", "--listen", "::1"]);
    assert!(moved.err.starts_with(&format!("the agent began anew at [::1]:{port} (pid ")), "{moved:?}");
    assert_eq!(shown(&home), "busy");
    home.run(&["agent", "stop"]);
    assert!(fs::read_to_string(home.path("state/sippresence/agent.json")).unwrap().contains("\"place\": {}"));
}

#[test]
fn two_configurations_have_an_agent_each() {
    let home = Home::new("alice");
    fs::write(home.path("other.toml"), "[agent]\nlisten = [\"127.0.0.1\"]\n").unwrap();
    home.config("[agent]\nlisten = [\"127.0.0.1\"]\n");
    home.run(&["set", "busy"]);
    let other = home.sh("sippresence --config other.toml set away");
    assert_eq!(other.code, 0, "{other:?}");
    assert!(other.err.contains("started the agent at 127.0.0.1:50"), "another port: {other:?}");
    assert_eq!(shown(&home), "busy");
    let me = home.sh("sippresence --config other.toml me");
    assert!(me.out.starts_with("you are      away\n"), "{me:?}");
    assert_eq!(home.sh("sippresence --config ./other.toml agent stop").code, 0, "however the file is written");
    assert_eq!(shown(&home), "busy");
}

#[test]
fn without_an_agent_it_takes_a_server_that_keeps_it() {
    let home = Home::new("alice");
    let set = home.run(&["set", "--no-agent", "busy"]);
    assert_eq!(set.code, 11, "{set:?}");
    assert_eq!(
        set.err,
        "sippresence: without an agent nobody would see it: it takes an account with a server that keeps it\n\
         hint: leave out --no-agent\n"
    );
    // Nobody listens there: it says so, and keeps what was set for the next one.
    let account = "[account.alice]\naddress = \"sip:alice@sip.test\"\noutbound_proxy = \"sip:127.0.0.1:1\"\n";
    home.config(account);
    for (words, code) in
        [(&["busy"][..], 7), (&["busy", "--activity", "nonsense"], 2), (&["busy", "--while", "--", "true"], 11)]
    {
        let set = home.run(&[&["set", "--no-agent"], words].concat());
        assert_eq!(set.code, code, "{set:?}");
    }
    let set = home.run(&["-a", "all", "set", "--no-agent", "busy"]);
    assert_eq!(set.code, 2, "{set:?}");
    let clear = home.run(&["clear"]);
    assert_eq!((clear.code, clear.err.contains("taken back")), (0, true), "{clear:?}");
}

#[test]
fn me_at_a_server_needs_an_agent_and_an_account_with_a_server() {
    let home = Home::new("alice");
    assert_eq!(home.run(&["me", "--server"]).code, 11);
    let _agent = home.agent();
    home.run(&["me", "--server"]).fails(
        2,
        "sippresence: this account works through no server: whoever may watch you gets what `sippresence me` shows",
    );
}
