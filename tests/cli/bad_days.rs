//! Bad input and bad days: one clear line, the right exit code, nothing lost.

use std::{fs, os::unix::fs::symlink};

use crate::support::{Home, take_port};

#[test]
fn without_an_agent_what_needs_one_says_how_to_start_it() {
    let home = Home::new("alice");
    home.config("[agent]\nautostart = false\n");
    let hint = "sippresence: no agent is running\nhint: start one with `sippresence agent start`";
    for args in [&["set", "busy"][..], &["me"], &["watchers"], &["agent", "status"], &["agent", "reload"]] {
        home.run(args).fails(11, hint);
    }
}

#[test]
fn what_is_wrong_with_the_arguments_is_one_line_and_one_hint() {
    let home = Home::new("alice");
    for (args, what) in [
        (&["fly"][..], "unrecognized subcommand 'fly'"),
        (&["watchers", "allow"], "the following required arguments were not provided: <WHO>..."),
        (&["watch", "--for", "soon", "me"], "invalid value 'soon' for '--for <DURATION>'"),
        (&["set", "busy", "--note"], "a value is required for '--note <TEXT>' but none was supplied"),
    ] {
        let run = home.run(args);
        assert_eq!((run.code, run.err.lines().count()), (2, 2), "{run:?}");
        assert!(run.err.starts_with(&format!("sippresence: {what}")), "{run:?}");
    }
}

#[test]
fn map_36_an_unknown_status_names_the_nearest_word() {
    let set = Home::new("alice").run(&["set", "avialable"]);
    assert_eq!(set.code, 2);
    assert!(set.err.starts_with("sippresence: ") && set.err.contains("`available`"), "{set:?}");
    let set = Home::new("alice").run(&["set", "busy", "--activity", "meting"]);
    assert_eq!(set.code, 2, "{set:?}");
}

#[test]
fn a_port_that_is_taken_names_the_key_to_change() {
    let home = Home::new("alice");
    let (_udp, _tcp, port) = take_port();
    home.config(&format!("[agent]\nport = {port}\n"));
    let agent = home.run(&["agent", "run"]);
    agent.fails(
        2,
        &format!(
            "sippresence: port {port} on 127.0.0.1 is taken by another program\n\
             hint: choose another with `agent.port`, or stop that program"
        ),
    );
    assert!(!home.path("run/sippresence/agent.sock").exists());
}

#[test]
fn a_half_written_configuration_names_file_line_and_column() {
    let home = Home::new("alice");
    for (text, place) in [
        ("[agent]\nport = \n", ":2:"),
        ("[agent]\nprot = 5060\n", ":2:1: unknown key `"),
        ("[watch]\np2p_expires = \"soon\"\n", ":2:"),
        ("[agent\n", ":1:"),
        ("[publish]\nopen_when = [\"offline\"]\n", ":2:"),
    ] {
        home.config(text);
        for args in [&["config", "check"][..], &["set", "busy"], &["agent", "run"]] {
            let run = home.run(args);
            assert_eq!(run.code, 2, "{text:?} {args:?}: {run:?}");
            assert!(run.err.contains("config.toml") && run.err.contains(place), "{text:?}: {run:?}");
            assert_eq!(run.err.lines().count(), 1, "{run:?}");
        }
    }
    // What does not need the settings works with a broken file too.
    assert_eq!(home.run(&["config", "path"]).code, 0);
    assert_eq!(home.run(&["config", "example"]).code, 0);
}

#[test]
fn a_broken_policy_refuses_changes_and_stays_as_it_is() {
    let home = Home::new("alice");
    let policy = home.path("config/sippresence/policy.toml");
    fs::write(&policy, "allow = [\"bob@host\"\n").unwrap();
    for args in [&["agent", "run"][..], &["watchers", "allow", "carol@host"], &["config", "check"]] {
        let run = home.run(args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(run.err.contains("policy.toml:"), "{run:?}");
    }
    assert_eq!(fs::read_to_string(&policy).unwrap(), "allow = [\"bob@host\"\n");
}

#[test]
fn a_configuration_that_was_asked_for_and_is_missing_is_an_error() {
    let home = Home::new("alice");
    let run = home.run(&["--config", "/no/such/file.toml", "config", "check"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("there is no file /no/such/file.toml"), "{run:?}");
}

#[test]
fn sec_11_a_planted_link_in_place_of_the_socket_is_left_alone() {
    let home = Home::new("alice");
    fs::create_dir(home.path("run/sippresence")).unwrap();
    fs::write(home.path("precious"), "mine").unwrap();
    symlink(home.path("precious"), home.path("run/sippresence/agent.sock")).unwrap();
    let agent = home.run(&["agent", "run"]);
    assert_eq!(agent.code, 2, "{agent:?}");
    assert!(agent.err.contains("is no socket of ours"), "{agent:?}");
    assert_eq!(fs::read_to_string(home.path("precious")).unwrap(), "mine");
}

#[test]
fn hostile_names_of_watchers_and_buddies_are_harmless() {
    let home = Home::new("alice");
    let show = home.run(&["show", "$(rm -rf ~)"]);
    assert_ne!(show.code, 70, "{show:?}");
    let block = home.run(&["watchers", "block", "no address"]);
    assert_eq!((block.code, block.err.lines().count()), (2, 1), "{block:?}");
    let block = home.run(&["watchers", "block", "@example.com"]);
    assert!(block.err.contains("whole domain"), "{block:?}");
}

#[test]
fn a_note_of_any_kind_is_published_clean() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let long = "n".repeat(20_000);
    for note in ["]]> & < \" '", "line\r\nline", "☕ ünï", long.as_str(), ""] {
        assert_eq!(home.run(&["set", "away", "--note", note]).code, 0, "{note:.20}");
        let show = home.run(&["show", "--json", "alice@127.0.0.1"]);
        assert_eq!(show.code, 0, "{note:.20}: {show:?}");
        let line: serde_json::Value = serde_json::from_str(show.out.lines().next().unwrap()).unwrap();
        let shown = line["note"].as_str().unwrap_or_default();
        let expected = note.replace("\r\n", "\n");
        let expected = if note.is_empty() { "Away" } else { &expected };
        assert!(expected.starts_with(shown) && !shown.is_empty(), "{note:.20}: {shown:.40}");
    }
}

#[test]
fn keys_that_cannot_be_bound_are_told_by_config_check() {
    let home = Home::new("alice");
    for (text, words) in [
        ("[tui.keys]\nstatos = \"s\"\n", "[tui.keys]: there is no action \"statos\""),
        ("[tui.keys]\nstatus = \"hyper-s\"\n", "[tui.keys]: status: "),
        ("[tui.keys]\nstatus = 3\n", "`tui.keys.status`: write a text in quotes, not 3"),
        ("[tui]\ntheme = \"pink\"\n", "`tui.theme`: "),
    ] {
        home.config(text);
        let check = home.run(&["config", "check"]);
        assert!(check.code == 2 && check.err.contains(words), "{text:?}: {check:?}");
    }
}
