use std::fs;

use super::*;
use crate::presence::policy::{Instead, Pick, Select, Shown, Times};

const BEFORE: &str = "\
# mine
default = \"ask\" # for strangers

[[rule]] # at work
id = \"office\"
who = [
  \"@team\", # all of them
  \"bob@h\", # and bob
]
when = [\"mon-fri 8:00-18:00\"] # hours
action = \"allow\" # yes
show = [\"status\"]

# the rest
[[rule]]
id = \"rest\"
who = [\"*\"]
action = \"ask\"
";

fn rule(file: &str, id: &str) -> Rule {
    let file = PolicyFile::parse(file, Path::new("")).unwrap();
    file.rules(&Buddies::default()).into_iter().find(|rule| *rule.id == *id).unwrap()
}

fn changed(change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, BEFORE).unwrap();
    change(&path);
    fs::read_to_string(&path).unwrap()
}

#[test]
fn what_changed_of_a_rule_is_put_in_its_place_and_all_comments_stay() {
    let zone = TimeZone::UTC;
    let was = rule(BEFORE, "office");
    let mut now = Rule { action: Action::PoliteBlock, ..was.clone() };
    let words = |rule: &Rule| RuleWords::of(rule, &zone).unwrap();
    let after = changed(|path| drop(PolicyFile::put_rule(path, &words(&now), Some(&words(&was))).unwrap()));
    let expected = BEFORE.replace("\"allow\" # yes", "\"polite-block\" # yes").replace("show = [\"status\"]\n", "");
    assert_eq!(after, expected);
    now.action = Action::Allow;
    now.who = Some(vec![Who::One("sip:bob@h".into()), Who::One("sip:carol@h".into())]);
    let after = changed(|path| drop(PolicyFile::put_rule(path, &words(&now), Some(&words(&was))).unwrap()));
    assert_eq!(rule(&after, "office").who, now.who);
    for comment in ["# mine", "# for strangers", "# at work", "# and bob", "# hours", "# yes", "# the rest"] {
        assert!(after.contains(comment), "{comment}: {after}");
    }
    assert!(after.contains("mon-fri 8:00-18:00"));
}

#[test]
fn a_new_rule_comes_last_and_one_that_is_gone_goes_alone() {
    let zone = TimeZone::UTC;
    let instead = Instead { status: crate::presence::PresenceStatus::Busy, note: Some("so \"it\" is".to_owned()) };
    let many = Who::Many { domain: Some("h".into()), except: vec![Except::One("sip:eve@h".into())] };
    let new = Rule { who: Some(vec![many]), instead: Some(Arc::new(instead)), ..Rule::new("new", Action::Allow) };
    let words = RuleWords::of(&new, &zone).unwrap();
    let after = changed(|path| drop(PolicyFile::put_rule(path, &words, None).unwrap()));
    assert!(after.starts_with(BEFORE), "{after}");
    assert_eq!(rule(&after, "new"), new);
    let after = changed(|path| drop(PolicyFile::remove_rule(path, "office").unwrap()));
    assert!(after.contains("# mine") && after.contains("# the rest\n[[rule]]") && !after.contains("office"));
    let empty = tempfile::tempdir().unwrap();
    PolicyFile::put_rule(&empty.path().join("policy.toml"), &words, None).unwrap();
}

#[test]
fn what_the_file_has_no_words_for_is_not_put_there() {
    let zone = TimeZone::UTC;
    let plain = Rule::new("r", Action::Allow);
    assert!(RuleWords::of(&plain, &zone).is_some());
    let only = Shown { services: Select::Only([Pick::Class("a".into())].into()), ..Shown::all() };
    let many = |domain: &str, except: &[&str]| Who::Many {
        domain: Some(domain.into()),
        except: except.iter().map(|one| Except::One((*one).into())).collect(),
    };
    for rule in [
        Rule { shown: Arc::new(only), ..plain.clone() },
        Rule { unknown: true, ..plain.clone() },
        Rule { id: "default".into(), ..plain.clone() },
        Rule { id: "é".into(), ..plain.clone() },
        Rule { who: Some(vec![many("h", &["sip:a@h"]), many("x", &[])]), ..plain.clone() },
        Rule { shown: Arc::new(Shown::default()), ..plain.clone() },
        Rule { who: Some(vec![Who::One("sip:no address".into())]), ..plain.clone() },
    ] {
        assert_eq!(RuleWords::of(&rule, &zone), None, "{rule:?}");
    }
    // What does not allow shows nothing, whatever stands there.
    let block = Rule { action: Action::Block, shown: Arc::new(Shown::default()), ..plain };
    assert!(RuleWords::of(&block, &zone).is_some());
    assert_eq!(Times::default(), block.times);
}
