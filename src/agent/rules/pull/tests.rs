use super::*;
use crate::{
    agent::configured::policy_of,
    client::{Buddies, xcap::Document},
};

fn of(file: &PolicyFile) -> Policy {
    policy_of(file, crate::config::Policy::default(), &Buddies::default())
}

fn document(listed: &[(&str, Action)], default: Action) -> Document {
    let mut policy = Policy::new(default);
    for (who, action) in listed {
        policy.set(who, *action);
    }
    Document { etag: None, body: pres_rules::write(&policy).into() }
}

#[test]
fn what_another_program_changed_is_taken_in_and_what_was_changed_here_stays() {
    use Action::{Allow, Ask, Block};
    let before = document(&[("a@h", Allow), ("b@h", Allow), ("c@h", Allow), ("d@h", Block)], Ask);
    let there = document(&[("a@h", Block), ("c@h", Block), ("d@h", Block), ("e@h", Allow)], Block);
    // b went off there, c was changed at both ends, d was taken off here, f was put on here.
    let allow = ["a@h", "b@h", "f@h"].map(|who| format!("sip:{who}")).to_vec();
    let mut here = PolicyFile { allow, polite_block: vec!["sip:c@h".into()], ..PolicyFile::default() };
    let looked = Looked { found: Some(there.clone()), before: Some(Seen::Document(before)) };
    let pulled = compare(&looked, &here, &of(&here), false).unwrap();
    let expected = [("sip:a@h", Some(List::Block)), ("sip:b@h", None), ("sip:e@h", Some(List::Allow))];
    assert_eq!(pulled.listed, expected.map(|(who, list)| (who.to_owned(), list)));
    assert_eq!((pulled.default, pulled.stays), (Some(Block), vec!["sip:c@h".to_owned()]));

    // What was never seen is added to what is here.
    let looked = Looked { found: Some(there), before: None };
    let pulled = compare(&looked, &here, &of(&here), false).unwrap();
    let expected = [("sip:d@h", Some(List::Block)), ("sip:e@h", Some(List::Allow))];
    assert_eq!(pulled.listed, expected.map(|(who, list)| (who.to_owned(), list)));
    assert_eq!(pulled.stays, ["sip:a@h", "sip:c@h"]);
    here.default = Allow;
    assert!(compare(&looked, &here, &of(&here), false).unwrap().stays.contains(&"everybody else".to_owned()));
}

const MINE: &str = r#"
default = "ask"
timezone = "UTC"
[[rule]]
id = "office"
who = ["*@h"]
except = ["eve@h"]
when = ["mon-fri"]
action = "allow"
show = ["note"]
[[rule]]
id = "bob"
who = ["bob@x"]
action = "polite-block"
[[rule]]
id = "zoe"
who = ["zoe@x"]
action = "block"
"#;

fn mine(text: &str) -> PolicyFile {
    PolicyFile::parse(text, std::path::Path::new("")).unwrap()
}

fn there(text: &str) -> Document {
    Document { etag: None, body: text.to_owned().into() }
}

/// What is pulled when MINE was told, and then changed there.
fn pulled(change: &[(&str, &str)], here: &str, all: bool) -> Pulled {
    let before = pres_rules::write(&of(&mine(MINE)));
    let mut now = before.clone();
    for (from, to) in change {
        assert!(now.contains(from), "{from}: {now}");
        now = now.replace(from, to);
    }
    let looked = Looked { found: Some(there(&now)), before: Some(Seen::Document(there(&before))) };
    let here = mine(here);
    compare(&looked, &here, &of(&here), all).unwrap()
}

#[test]
fn a_rule_of_ours_that_was_changed_there_is_taken_in_unless_it_was_changed_here_too() {
    assert!(pulled(&[], MINE, true).is_empty());
    let change =
        [("polite-block", "confirm"), ("<one id=\"sip:zoe@x\"/>", "<one id=\"sip:zoe@x\"/><one id=\"sip:yves@x\"/>")];
    let taken = pulled(&change, MINE, false);
    let ids: Vec<&str> = taken.rules.iter().map(|change| &*change.id).collect();
    assert_eq!((ids, taken.stays.len(), taken.left.len()), (vec!["bob", "zoe"], 0, 0));
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str| folder.path().join(name);
    let paths = Paths {
        config_dir: folder.path().into(),
        config_file: in_folder("config.toml"),
        policy_file: in_folder("policy.toml"),
        buddies_file: in_folder("buddies.toml"),
        state_dir: in_folder("state"),
        socket: in_folder("socket"),
    };
    std::fs::write(&paths.policy_file, MINE).unwrap();
    taken.apply(&paths).unwrap();
    let after = std::fs::read_to_string(&paths.policy_file).unwrap();
    let expected = MINE.replace("polite-block", "ask").replace("\"zoe@x\"]", "\"zoe@x\", \"yves@x\"]");
    assert_eq!(after, expected);
    // Changed here as well, it stays; and what was only changed here is nobody's concern there.
    let here = MINE.replace("polite-block", "allow").replace("show = [\"note\"]", "");
    let taken = pulled(&change, &here, false);
    assert_eq!((taken.rules.len(), taken.stays), (1, vec!["rule bob".to_owned()]));
}

#[test]
fn what_is_not_known_of_a_changed_rule_leaves_ours_as_it_is_and_is_told() {
    let taken =
        pulled(&[("<sp:times zone=\"UTC\">", "<x:when xmlns:x=\"urn:x\"/><sp:times zone=\"UTC\">")], MINE, false);
    assert!(taken.is_empty());
    assert_eq!(taken.left.iter().map(ToString::to_string).collect::<Vec<_>>(), ["office: {urn:x}when"]);
    // A choice of services has no word in the file.
    let taken = pulled(&[("<pr:all-services/>", "<pr:class>a</pr:class>")], MINE, false);
    assert_eq!(taken.left, [NotUnderstood { rule: "office".into(), what: NO_WORDS.to_owned() }]);
}

#[test]
fn rules_of_other_programs_are_taken_in_if_that_is_asked_for_and_they_are_wholly_understood() {
    let others = "<rule id=\"phone\"><conditions><identity><one id=\"sip:carol@h\"/></identity></conditions><actions>\
                  <sub-handling xmlns=\"urn:ietf:params:xml:ns:pres-rules\">allow</sub-handling></actions>\
                  <transformations xmlns:p=\"urn:ietf:params:xml:ns:pres-rules\"><p:provide-services><p:all-services/>\
                  </p:provide-services><p:provide-persons><p:all-persons/></p:provide-persons></transformations></rule>\
                  <rule id=\"odd\"><conditions><x:when xmlns:x=\"urn:x\"/></conditions></rule>\
                  <rule id=\"bob\"/></ruleset>";
    let taken = pulled(&[("</ruleset>", others)], MINE, false);
    assert!(taken.is_empty());
    assert_eq!(taken.others, ["phone".into(), "odd".into(), "bob".into()]);
    let taken = pulled(&[("</ruleset>", others)], MINE, true);
    assert_eq!(taken.rules.iter().map(|change| &*change.id).collect::<Vec<_>>(), ["phone"]);
    let left: Vec<String> = taken.left.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["odd: {urn:x}when", "bob: a rule of that name is here"]);
}

#[test]
fn a_rule_of_ours_that_another_program_made_unreadable_unblocks_nobody() {
    let before = document(&[("eve@h", Action::Block)], Action::Allow);
    let text = String::from_utf8(before.body.to_vec()).unwrap();
    let changed = text.replacen("<conditions>", "<conditions><x:when xmlns:x=\"x\"/>", 1);
    let found = Some(Document { etag: None, body: changed.into() });
    let here = PolicyFile { block: vec!["sip:eve@h".into()], default: Action::Allow, ..PolicyFile::default() };
    let pulled = compare(&Looked { found, before: Some(Seen::Document(before)) }, &here, &of(&here), false).unwrap();
    assert!(pulled.is_empty() && pulled.unreadable == [Action::Block], "{pulled:?}");
}
