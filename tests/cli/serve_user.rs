//! `serve user`: accounts of the embedded server, from a shell and at a terminal.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use crate::support::{Home, Terminal};

const FILE: &str = "state/sippresence/server/accounts";

fn kept(home: &Home) -> String {
    fs::read_to_string(home.path(FILE)).unwrap()
}

#[test]
fn a_password_comes_by_stdin_or_by_a_closed_file_and_is_kept_nowhere() {
    let home = Home::new("alice");
    let added = home.run_with_stdin(&["serve", "user", "add", "alice@Example.com"], b"wonder land\nmore\n");
    assert_eq!((added.code, added.err.as_str()), (0, "alice@example.com has an account\n"), "{added:?}");
    // printf 'alice:example.com:wonder land' | md5sum
    let kept_now = kept(&home);
    assert!(kept_now.contains("alice@example.com MD5:b0827313a33fef39b2f1c3f7d3b75299 SHA-256:"), "{kept_now}");
    assert!(!kept_now.contains("wonder"));
    assert_eq!(fs::metadata(home.path(FILE)).unwrap().permissions().mode() & 0o777, 0o600);

    let file = home.path("password");
    fs::write(&file, "wonder land\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let file = file.to_str().unwrap();
    let by_file = ["serve", "user", "add", "😀", "--domain", "example.com", "--password-file", file];
    let open = home.run(&by_file);
    assert!(open.code == 2 && open.err.contains("chmod 600"), "{open:?}");
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    let closed = home.run(&by_file);
    assert_eq!((closed.code, closed.err.as_str()), (0, "😀@example.com has an account\n"), "{closed:?}");

    let list = home.run(&["serve", "user"]);
    assert_eq!((list.code, list.out.as_str(), list.err.as_str()), (0, "alice@example.com\n😀@example.com\n", ""));
    let json = home.run(&["serve", "user", "list", "--json", "--domain", "EXAMPLE.com"]).out;
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let expected = serde_json::json!({"user": "😀", "domain": "example.com", "address": "sip:%F0%9F%98%80@example.com",
        "algorithms": ["MD5", "SHA-256", "SHA-512-256"]});
    assert_eq!(rows[1], expected);
    let none = home.run(&["serve", "user", "list", "--domain", "example.org"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "nobody has an account\n"));
}

#[test]
fn what_cannot_be_done_is_said_with_a_code_and_changes_nothing() {
    let home = Home::new("alice");
    let user = |args: &[&str], stdin: &[u8]| home.run_with_stdin(&[&["serve", "user"], args].concat(), stdin);
    assert_eq!(user(&["add", "alice@example.com"], b"x").code, 0);
    let before = kept(&home);
    let hint = "hint: it is the first line of stdin, or of --password-file FILE";
    user(&["add", "bob@example.com"], b"\n").fails(2, &format!("sippresence: the password is empty\n{hint}"));
    user(&["add", "bob@example.com"], b"").fails(2, &format!("sippresence: the password is empty\n{hint}"));
    user(&["add", "bob@example.com"], &[b'x'; 2000])
        .fails(2, "sippresence: the password is longer than 1024 bytes\nhint: it is the first line of stdin, or of --password-file FILE");
    user(&["add", "alice@example.com"], b"y").fails(
        12,
        "sippresence: alice@example.com has an account already\n\
         hint: `sippresence serve user passwd alice@example.com` gives another password",
    );
    let unknown = "hint: `sippresence serve user list` shows who has one";
    user(&["passwd", "bob@example.com"], b"y")
        .fails(8, &format!("sippresence: bob@example.com has no account\n{unknown}"));
    user(&["remove", "alice@example.com", "bob@example.com"], b"")
        .fails(8, &format!("sippresence: bob@example.com has no account\n{unknown}"));
    user(&["add", "alice"], b"y").fails(2, "sippresence: \"alice\" has no domain: write alice@example.com");
    assert_eq!(user(&["add", "alice@example.org", "--domain", "example.com"], b"y").code, 2);
    assert_eq!(user(&["add", "al ice@example.com"], b"y").code, 2);
    assert_eq!(kept(&home), before);

    assert_eq!(
        user(&["passwd", "alice", "--domain", "example.com"], b"y").err,
        "alice@example.com has another password\n"
    );
    assert_ne!(kept(&home), before);
    assert_eq!(user(&["remove", "alice@example.com"], b"").err, "alice@example.com has no account any more\n");
    assert_eq!(user(&["list"], b"").err, "nobody has an account\n");
    fs::write(home.path(FILE), "carol\n").unwrap();
    let broken = user(&["add", "bob@example.com"], b"y");
    assert!(broken.code == 2 && broken.err.contains("accounts:1: \"carol\" has no domain"), "{broken:?}");
}

#[test]
fn at_a_terminal_the_password_is_asked_twice_and_never_shown() {
    let home = Home::new("alice");
    let add = |keys: &[&str]| {
        let mut terminal = Terminal::new();
        let mut child = terminal.start_reading(home.command(&["serve", "user", "add", "alice@example.com"]));
        let mut shown = terminal.shows("password of alice@example.com: ");
        terminal.types(keys[0]);
        if let Some(again) = keys.get(1) {
            shown += &terminal.shows("once more: ");
            terminal.types(again);
        }
        shown += &terminal.rest();
        assert!(!shown.contains("wonder"), "{shown}");
        (child.wait().unwrap().code().unwrap(), shown)
    };
    let (code, shown) = add(&["wonderland\n", "wunderland\n"]);
    assert!(code == 2 && shown.contains("the two passwords are not the same"), "{shown}");
    let (code, shown) = add(&["\n"]);
    assert!(code == 2 && shown.contains("the password is empty"), "{shown}");
    let (code, shown) = add(&["wonder\u{3}"]);
    assert!(code == 130 && shown.contains("interrupted"), "{shown}");
    assert!(!home.path(FILE).exists());
    let (code, shown) = add(&["wonderlandx\u{7f}\n", "wonderland\n"]);
    assert!(code == 0 && shown.contains("alice@example.com has an account"), "{shown}");
    // The same as by stdin.
    let before = kept(&home);
    home.run_with_stdin(&["serve", "user", "passwd", "alice@example.com"], b"wonderland");
    assert_eq!(kept(&home), before);
}
