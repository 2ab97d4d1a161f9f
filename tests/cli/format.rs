//! `--format`: what status bars and prompts get.

use crate::support::{Home, Running};

#[test]
fn show_and_watch_print_states_by_the_template_and_nothing_else() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy", "--note", "in #1"]);
    let show = home.run(&["show", "--format", "{icon} {name}: {status}, {note}", "alice@127.0.0.1"]);
    assert_eq!((show.out.as_str(), show.code), ("◐ alice@127.0.0.1: busy, in #1\n", 0), "{show:?}");
    let show = home.run(&["--format", "tmux", "show", "me"]);
    assert_eq!(show.out, "◐ me in ##1\n", "{show:?}");
    let mut watch = Running::start(home.command(&["watch", "--format", "waybar", "--count", "1", "me"]));
    let first: serde_json::Value = serde_json::from_str(&watch.line(&[])).unwrap();
    assert_eq!(first["class"], serde_json::json!(["busy", "fresh"]));
    home.run(&["set", "away"]);
    let next: serde_json::Value = serde_json::from_str(&watch.line(&[])).unwrap();
    assert_eq!(next["alt"], "away");
    assert!(watch.wait().success());
}

#[test]
fn a_state_that_failed_is_told_by_the_template_too() {
    let home = Home::new("alice");
    let show = home.run(&["show", "--format", "{status}|{code}", "bob@no-such-host.invalid"]);
    assert_eq!((show.out.as_str(), show.code), ("unknown (failed: dns)|dns\n", 7), "{show:?}");
}

#[test]
fn a_template_that_is_none_says_what_there_is() {
    let home = Home::new("alice");
    for (format, words) in [
        ("{nmae}", "--format: unknown field {nmae}: did you mean `name`?"),
        ("i3bar", "--format: \"i3bar\" names no field, such as {status}, and no preset: these are tmux and waybar"),
        ("{\u{1b}[31m}", "--format: unknown field {\\u001b[31m}"),
    ] {
        let show = home.run(&["show", "--format", format, "me"]);
        assert_eq!((show.code, show.err.lines().count()), (2, 1), "{show:?}");
        assert!(show.err.starts_with(&format!("sippresence: {words}")), "{show:?}");
    }
    let both = home.run(&["--json", "show", "--format", "tmux", "me"]);
    both.fails(2, "sippresence: --json and --format exclude each other");
}
