use std::path::Path;

use super::super::PolicyFile;
use super::*;
use crate::presence::{
    buddy::Buddy,
    event::WatcherGrade::{Address, Verified},
    policy::{Policy, Sight},
};

const FULL: &str = r#"
default = "polite-block"
timezone = "UTC"
allow = ["boss@example.com"]

[[rule]]
id = "office"
who = ["*@example.com", "@team", "bob@home"]
except = ["eve@example.com", "@former", "*@sub.example.com"]
when = ["mon-fri 08:00-18:00"]
dates = ["2026-11-01..2026-11-30"]
sphere = ["work"]
action = "allow"
show = ["status", "note"]

[[rule]]
id = "family"
who = ["@family"]
action = "allow"
instead = { status = "available", note = "call" }

[[rule]]
id = "public"
action = "ask"
"#;

fn buddies() -> Buddies {
    let buddy = |address: &str, group: &str| {
        let mut buddy = Buddy::new(address);
        buddy.groups.push(group.into());
        buddy
    };
    Buddies(vec![
        buddy("sip:tom@team.example", "team"),
        buddy("sip:former@example.com", "former"),
        buddy("sip:mum@home", "family"),
    ])
}

fn policy(text: &str) -> Policy {
    let file = PolicyFile::parse(text, Path::new("policy.toml")).unwrap();
    Policy::new(file.default).in_zone(file.zone.clone()).with_rules(file.rules(&buddies()))
}

#[test]
fn a_file_of_rules_decides_as_it_reads() {
    let policy = policy(FULL);
    let at = |text: &str, sphere| policy.moment(text.parse().unwrap(), sphere);
    let office = at("2026-11-26T10:00:00Z", Some("work"));
    for (who, grade, expected, rule) in [
        ("sip:ann@example.com", Verified, Action::Allow, "office"),
        ("sip:ann@example.com", Address, Action::Ask, "public"),
        ("sip:tom@team.example", Address, Action::Allow, "office"),
        ("sip:bob@home", Address, Action::Allow, "office"),
        ("sip:eve@example.com", Verified, Action::Ask, "public"),
        ("sip:former@example.com", Verified, Action::Ask, "public"),
        ("sip:mum@home", Address, Action::Allow, "family"),
    ] {
        let decision = policy.decide(who, grade, &office);
        assert_eq!((decision.action, &*decision.rule), (expected, rule), "{who}");
    }
    for moment in [
        at("2026-11-26T19:00:00Z", Some("work")),
        at("2026-11-28T10:00:00Z", Some("work")),
        at("2026-12-01T10:00:00Z", Some("work")),
        at("2026-11-26T10:00:00Z", None),
    ] {
        assert_eq!(policy.decide("sip:bob@home", Verified, &moment).action, Action::Ask);
    }
    let Sight::Some(shown) = policy.decide("sip:bob@home", Verified, &office).sight else { panic!("all") };
    assert!(shown.grants("status") && shown.grants("note") && !shown.grants("activities"));
    let Sight::Instead(instead) = policy.decide("sip:mum@home", Verified, &office).sight else { panic!("truth") };
    assert_eq!((&instead.status, instead.note.as_deref()), (&PresenceStatus::Available, Some("call")));
}

#[test]
fn a_group_that_nobody_is_in_opens_nothing_and_is_told() {
    let text = "[[rule]]\nid = \"a\"\nwho = [\"@ghosts\"]\naction = \"allow\"\n\
                [[rule]]\nid = \"b\"\nwho = [\"*\"]\nexcept = [\"@example.com\"]\naction = \"allow\"\n";
    let policy = policy(text);
    let decision = policy.decide("sip:bob@home", Verified, &policy.moment(jiff::Timestamp::UNIX_EPOCH, None));
    assert_eq!(&*decision.rule, "default");
    let file = PolicyFile::parse(text, Path::new("policy.toml")).unwrap();
    assert_eq!(
        file.warnings(&buddies()),
        [
            "a rule is about @example.com, which nobody is in; a domain is *@example.com",
            "a rule is about @ghosts, which nobody is in",
        ]
    );
}

#[test]
fn each_mistake_is_told_with_its_line_and_what_to_write() {
    let rule = |lines: &str| format!("default = \"ask\"\n[[rule]]\nid = \"r\"\n{lines}\n");
    for (text, expected) in [
        (rule(""), ":3:1: `rule.action`: write what those get"),
        (rule("action = \"alow\""), ":4:10: `rule.action`: write \"allow\""),
        (rule("action = \"allow\"\nhwo = []"), ":5:1: unknown key `rule.hwo`, did you mean `rule.who`?"),
        (rule("who = [\"@\"]\naction = \"allow\""), ":4:7: `rule.who`"),
        (rule("who = [\"*@exa mple\"]\naction = \"allow\""), "\"exa mple\" is no domain"),
        (rule("who = [\"bob\"]\naction = \"allow\""), "a group is \"@team\""),
        (rule("except = [\"bob@h\"]\naction = \"allow\""), "who = [\"*\"]"),
        (rule("when = [\"mon 8-9\"]\naction = \"allow\""), "write \"mon-fri 08:00-18:00\""),
        (rule("dates = [\"soon\"]\naction = \"allow\""), "write \"2026-12-24..2026-12-27\""),
        (rule("action = \"ask\"\nshow = [\"note\"]"), "something is shown where action = \"allow\", not ask"),
        (rule("action = \"allow\"\nshow = [\"notes\"]"), "write status, activities, note"),
        (rule("action = \"allow\"\nshow = []\ninstead = { status = \"away\" }"), "either `show`"),
        (rule("action = \"allow\"\ninstead = { status = \"offline\" }"), "polite-block"),
        (rule("action = \"allow\"\ninstead = { note = \"x\" }"), "write the status that is shown"),
        (rule("action = \"allow\"\ninstead = { status = \"bsy\" }"), "busy"),
        ("[[rule]]\naction = \"allow\"\n".into(), "give the rule a name"),
        ("[[rule]]\nid = \"block\"\naction = \"allow\"\n".into(), "that is not a list's"),
        ("[[rule]]\nid = \"a b\"\naction = \"allow\"\n".into(), "write a name of letters"),
        ("rule = 1\n".into(), "[[rule]]"),
        ("timezone = \"Mars/Base\"\n".into(), ":1:12: `timezone`: \"Mars/Base\" is no time zone"),
        (
            rule("action = \"ask\"\n[[rule]]\nid = \"r\"\naction = \"ask\""),
            ":6:6: `rule.id`: \"r\" is the name of a rule above",
        ),
    ] {
        let error = PolicyFile::parse(&text, Path::new("policy.toml")).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{text}\n{error}\n{expected}");
    }
}

#[test]
fn rules_and_their_comments_stay_where_a_list_is_edited() {
    use crate::config::List;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let text = "# mine\n[[rule]] # first\nid = \"a\" # a\naction = \"ask\"\n";
    std::fs::write(&path, text).unwrap();
    let file = PolicyFile::set(&path, "bob@h", List::Allow).unwrap();
    assert_eq!((file.allow.as_slice(), file.rules.len()), (&["sip:bob@h".to_owned()][..], 1));
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(
        after.contains("[[rule]] # first\nid = \"a\" # a\naction = \"ask\"\n") && after.contains("# mine"),
        "{after}"
    );
    assert_eq!(PolicyFile::load(&path).unwrap(), file);
}
