//! Who sees what: rules in a file, tried out before anybody looks, taken up as they are written.

use std::fs;

use serde_json::Value;

use crate::support::{Home, Running, wait_until};

fn write(home: &Home, text: &str) {
    let folder = home.path("config/sippresence");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("policy.toml"), text).unwrap();
}

const FEW: &str = "[[rule]]\nid = \"few\"\nwho = [\"bob@127.0.0.1\"]\naction = \"allow\"\nshow = [\"status\"]\n";

#[test]
fn what_policy_test_prints_is_what_a_watcher_gets_to_the_byte() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    for (number, rule) in [
        "allow = [\"bob@127.0.0.1\"]\n",
        "polite_block = [\"bob@127.0.0.1\"]\n",
        FEW,
        "[[rule]]\nid = \"family\"\nwho = [\"bob@127.0.0.1\"]\naction = \"allow\"\n\
         instead = { status = \"away\", note = \"gone fishing\" }\n",
        "[[rule]]\nid = \"everybody\"\naction = \"allow\"\nshow = []\n",
    ]
    .iter()
    .enumerate()
    {
        write(&alice, rule);
        alice.run(&["set", "busy", "--note", "round <1> & \"2\"", "--activity", "meeting", "--sphere", "work"]);
        alice.run(&["agent", "reload"]);
        let tested = alice.run(&["policy", "test", "--as", "bob@127.0.0.1"]);
        let seen = bob.run(&["show", &alice.address(), "--raw"]);
        assert_eq!((tested.code, seen.code), (0, 0), "{tested:?} {seen:?}");
        assert!(!tested.out.is_empty(), "{number}");
        assert_eq!(tested.out, seen.out, "{number}");
    }
}

#[test]
fn pol_15_a_rule_that_is_written_reaches_whoever_watches_at_once() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["set", "busy", "--note", "on a ladder"]);
    let mut watch = Running::start(bob.command(&["watch", &alice.address()]));
    watch.line(&["pending"]);
    write(&alice, FEW);
    watch.line(&["\tbusy\t"]);
    write(&alice, &FEW.replace("[\"status\"]", "[\"status\", \"note\"]"));
    watch.line(&["busy: on a ladder"]);

    // A slip of the pen changes nothing, and is told with its line.
    write(&alice, &FEW.replace("allow", "alow"));
    let shows = || alice.run(&["agent", "status", "--json"]).out;
    wait_until("the slip is told", || shows().contains("policy.toml:4:10: `rule.action`: write"));
    let line: Value = serde_json::from_str(alice.run(&["watchers", "--json"]).out.trim()).unwrap();
    assert_eq!((line["watcher"]["state"].as_str(), line["watcher"]["reason"].as_str()), (Some("active"), Some("few")));
    let tested = alice.run(&["policy", "test", "--as", "bob@127.0.0.1"]);
    assert!(tested.err.contains("note: the rules of before are in force: ") && tested.out.contains("on a ladder"));
    for (command, begins) in
        [(&["policy"][..], "sippresence: /"), (&["agent", "reload"], "sippresence: nothing is changed: ")]
    {
        let failed = alice.run(command);
        assert!(failed.code == 2 && failed.err.starts_with(begins) && failed.err.contains(":4:10: "), "{failed:?}");
    }

    write(&alice, "block = [\"bob@127.0.0.1\"]\n");
    watch.line(&["rejected"]);
    wait_until("all is well again", || !shows().contains("policy_problem"));
}

#[test]
fn a_rule_about_a_group_follows_the_buddy_list() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    write(&alice, "[[rule]]\nid = \"team\"\nwho = [\"@team\"]\naction = \"allow\"\n");
    alice.run(&["set", "busy", "--note", "on a ladder"]);
    let shown = alice.run(&["policy"]);
    assert!(shown.err.contains("a rule is about @team, which nobody is in"), "{shown:?}");
    let mut watch = Running::start(bob.command(&["watch", &alice.address()]));
    watch.line(&["pending"]);
    alice.run(&["buddies", "add", "bob@127.0.0.1", "--group", "team", "--no-watch"]);
    watch.line(&["busy: on a ladder"]);
    let tested = alice.run(&["policy", "test", "--as", "bob"]);
    assert!(tested.err.contains("by the rule team"), "{tested:?}");
    alice.run(&["buddies", "group", "--remove", "team", "bob"]);
    watch.line(&["pending"]);
}

#[test]
fn a_file_that_cannot_be_read_lets_nobody_in_and_no_agent_starts() {
    let alice = Home::new("alice");
    for (text, line) in [
        ("default = \"alow\"\n", ":1:11: `default`: write \"allow\""),
        ("[[rule]]\nid = \"r\"\nwhen = [\"noon\"]\naction = \"allow\"\n", ":3:8: `rule.when`: write \"mon-fri"),
        ("timezone = \"Mars\"\n", ":1:12: `timezone`: \"Mars\" is no time zone"),
    ] {
        write(&alice, text);
        for command in
            [&["policy"][..], &["policy", "test", "--as", "bob@h"], &["set", "busy"], &["watchers", "allow", "bob@h"]]
        {
            let failed = alice.run(command);
            assert_eq!(failed.code, 2, "{command:?} {failed:?}");
            assert!(failed.err.contains(line), "{command:?} {failed:?}");
        }
    }
    assert_eq!(alice.agent_pid(), None);
    // Nor where the groups of its rules cannot be known.
    write(&alice, "default = \"allow\"\n[[rule]]\nid = \"r\"\nwho = [\"@ex\"]\naction = \"block\"\n");
    fs::write(alice.path("config/sippresence/buddies.toml"), "[[buddy]\n").unwrap();
    let failed = alice.run(&["set", "busy"]);
    assert_eq!(failed.code, 2);
    assert!(failed.err.contains("buddies.toml:1:"), "{failed:?}");
}

#[test]
fn ten_thousand_rules_are_read_and_decide() {
    use std::fmt::Write as _;

    let alice = Home::new("alice");
    let mut text = String::new();
    for n in 0..10_000 {
        let _ = write!(
            text,
            "[[rule]]\nid = \"r{n}\"\nwho = [\"u{n}@h\"]\nwhen = [\"mon-sun 00:00-24:00\"]\naction = \"allow\"\n"
        );
    }
    write(&alice, &text);
    let tested = alice.run(&["policy", "test", "--as", "u9999@h", "--no-agent", "--json"]);
    let judged: Value = serde_json::from_str(tested.out.trim()).unwrap();
    assert_eq!((judged["action"].as_str(), judged["rule"].as_str()), (Some("allow"), Some("r9999")));
}
