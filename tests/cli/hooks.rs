//! Programs that are run for what happens: `watch --exec`, and the agent's hooks.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Home, Running, wait_until};

#[test]
fn sec_18_watch_runs_a_program_for_each_state_with_the_line_on_its_input_and_no_shell() {
    let home = Home::new("alice");
    home.run(&["set", "busy", "--note", "$(touch pwned) `id` \u{1b}[31m"]);
    let script = "read -r line; echo \"$SIPPRESENCE_KIND $SIPPRESENCE_STATUS $SIPPRESENCE_FRESHNESS \
                  $SIPPRESENCE_PREVIOUS|$SIPPRESENCE_NOTE|$1|$line\"";
    let mut watch = Running::start(home.command(&[
        "watch",
        "alice@127.0.0.1",
        "--exec",
        "sh",
        "-c",
        script,
        "sh",
        "--note $(id) -q",
    ]));
    let told = watch.line(&["snapshot busy fresh |"]);
    assert!(told.contains("|$(touch pwned) `id`") && told.contains("|--note $(id) -q|{\"schema\":1,"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told:?}");
    home.run(&["set", "available"]);
    watch.line(&["change available fresh busy||"]);
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait().code(), Some(130));
    assert!(!home.path("pwned").exists());
}

#[test]
fn what_was_told_last_is_done_before_the_end_and_a_hook_that_fails_is_no_end() {
    let home = Home::new("alice");
    home.run(&["set", "busy"]);
    let out = home.path("out");
    let script = format!("sleep 0.3; echo $SIPPRESENCE_STATUS >>{}; exit 3", out.display());
    let mut watch = Running::start(home.command(&[
        "watch",
        "alice@127.0.0.1",
        "--changes-only",
        "--count",
        "1",
        "--exec",
        "sh",
        "-c",
        &script,
    ]));
    wait_until("it watches", || {
        fs::read_to_string(home.path("state/sippresence/agent.json")).is_ok() && {
            home.run(&["set", "away", "--note", "now"]);
            fs::read_to_string(&out).is_ok_and(|told| told == "away\n")
        }
    });
    assert_eq!(watch.wait().code(), Some(0));
    watch.stderr_line("a hook failed with exit status: 3");
}

#[test]
fn a_hook_that_hangs_is_killed_and_leaves_nothing_behind() {
    let home = Home::new("alice");
    home.config(&format!("[agent]\nport = {}\n[hooks]\ntimeout = \"300ms\"\n", home.port));
    home.run(&["set", "busy"]);
    let pid = home.path("pid");
    let script = format!("trap '' TERM; sleep 600 & echo $! >{}; wait", pid.display());
    let mut watch = Running::start(home.command(&["watch", "alice@127.0.0.1", "--exec", "sh", "-c", &script]));
    watch.stderr_line("a hook took longer than 300ms and was killed");
    let orphan: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    wait_until("what it started is gone", || !crate::support::lives(nix::unistd::Pid::from_raw(orphan)));
    // Also when the command ends in the middle.
    home.config(&format!("[agent]\nport = {}\n", home.port));
    fs::remove_file(&pid).unwrap();
    let mut watch = Running::start(home.command(&["watch", "alice@127.0.0.1", "--exec", "sh", "-c", &script]));
    wait_until("it runs", || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    let orphan: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    watch.signal(Signal::SIGTERM);
    assert_eq!(watch.wait().code(), Some(143));
    wait_until("what it started is gone", || !crate::support::lives(nix::unistd::Pid::from_raw(orphan)));
}

#[test]
fn the_agent_tells_its_hooks_of_my_status_and_of_watchers_and_takes_others_up_at_a_reload() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let hook = |out: &str| {
        let out = alice.path(out);
        format!(
            "[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n[hooks]\non_event = [\"sh\", \"-c\", \"cat >>{}\"]\n",
            alice.port,
            out.display()
        )
    };
    alice.config(&hook("one"));
    alice.run(&["set", "busy", "--note", "meeting"]);
    let told = |out: &str, words: &[&str]| {
        wait_until(&format!("{out} has {words:?}"), || {
            let text = fs::read_to_string(alice.path(out)).unwrap_or_default();
            text.lines().any(|line| words.iter().all(|word| line.contains(word)))
        });
    };
    told("one", &["\"kind\":\"publication\"", "\"busy\"", "\"meeting\""]);
    let _watch = Running::start(bob.command(&["watch", &alice.address()]));
    told("one", &["\"kind\":\"watcher\"", "\"who\":\"sip:bob@127.0.0.1\"", "\"pending\""]);
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    told("one", &["\"kind\":\"watcher\"", "\"active\""]);
    alice.config(&hook("two"));
    assert_eq!(alice.run(&["agent", "reload"]).err, "configuration and policy are in force\n");
    alice.run(&["set", "away"]);
    told("two", &["\"publication\"", "\"away\""]);
    assert!(!fs::read_to_string(alice.path("one")).unwrap().contains("\"away\""));
}
