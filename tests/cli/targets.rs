//! `-` among the targets: stdin names them.

use std::process::Stdio;

use crate::support::Home;

#[test]
fn show_and_watch_take_targets_from_stdin() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy"]);
    let list = format!("# the team\n\nme\n  {}  \nme\n", home.address());
    let show = home.run_with_stdin(&["show", "-", "me"], list.as_bytes());
    assert_eq!((show.code, show.out.lines().count()), (0, 2), "{show:?}");
    let watch = home.run_with_stdin(&["watch", "--for", "300ms", "-"], list.as_bytes());
    assert_eq!((watch.code, watch.out.lines().count()), (0, 2), "{watch:?}");
}

#[test]
fn a_stdin_that_names_nobody_is_told_in_one_line() {
    let home = Home::new("alice");
    for command in ["show", "watch"] {
        home.run_with_stdin(&[command, "-"], b"\n# nobody\n").fails(2, "sippresence: stdin names no target");
        home.run_with_stdin(&[command, "-"], b"me\n\xff\n").fails(2, "sippresence: line 2 of stdin is no UTF-8 text");
        let closed = home.command(&[command, "-"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(closed.status.code(), Some(2));
        assert_eq!(String::from_utf8(closed.stderr).unwrap(), "sippresence: stdin names no target\n");
    }
    let bad = home.run_with_stdin(&["show", "-"], b"bob@\n");
    assert_eq!((bad.code, bad.err.lines().count()), (2, 1), "{bad:?}");
}

#[test]
fn more_targets_than_a_request_holds_are_looked_at_without_the_agent() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let list: Vec<String> = (0..3000).map(|n| format!("somebody-{n}@127.0.0.1:{}", home.port)).collect();
    let show = home.run_with_stdin(&["show", "--timeout", "50s", "-"], list.join("\n").as_bytes());
    assert_eq!(show.out.lines().filter(|line| line.contains("404")).count(), 3000, "{:.500}", show.err);
    assert_eq!(show.code, 8);
}
