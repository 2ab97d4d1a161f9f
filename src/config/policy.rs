//! `policy.toml`: who may see us. Read with the line of each mistake, edited without losing a comment.
//!
//! Which rule decides, and what a decision does, belongs to [`crate::presence`]; here is only what is written.

mod put;
mod rules;
mod words;

use std::{io, path::Path};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Item, value};

use super::{
    array::{push, remove},
    document::{Section, Source, list, text},
    error::ConfigError,
    identity::{IdentityError, normalize},
    private::{lock_folder_of, write_private},
    read::read_text,
};
use crate::presence::{
    buddy::Buddies,
    policy::{Action, Rule},
};

pub use self::{
    put::RuleWords,
    rules::WrittenRule,
    words::{dates_words, parse_dates, parse_weekly, weekly_words},
};

/// One of the lists of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum List {
    /// Those who see us.
    Allow,
    /// Those who see us offline.
    PoliteBlock,
    /// Those who are refused.
    Block,
}

impl List {
    const ALL: [Self; 3] = [Self::Allow, Self::PoliteBlock, Self::Block];

    /// Returns the key that the list has in the file.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::PoliteBlock => "polite_block",
            Self::Block => "block",
        }
    }

    /// Returns what those on the list get.
    pub const fn action(self) -> Action {
        match self {
            Self::Allow => Action::Allow,
            Self::PoliteBlock => Action::PoliteBlock,
            Self::Block => Action::Block,
        }
    }
}

/// Why the policy could not be changed; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Whom it should be about.
    #[error(transparent)]
    Who(#[from] IdentityError),
    /// The file.
    #[error(transparent)]
    File(#[from] ConfigError),
}

/// What the file says; each address as `sip:user@host` with the host in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// What those get who are on no list.
    pub default: Action,
    /// Those who see us.
    pub allow: Vec<String>,
    /// Those who see us offline.
    pub polite_block: Vec<String>,
    /// Those who are refused.
    pub block: Vec<String>,
    /// The time zone of the rules; that of the machine, if the file does not say.
    pub zone: TimeZone,
    /// The rules, in the order of the file.
    pub rules: Vec<WrittenRule>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        let (allow, polite_block, block, rules) = Default::default();
        Self { default: Action::default(), allow, polite_block, block, zone: TimeZone::system(), rules }
    }
}

impl PolicyFile {
    /// Reads the file; one that is not there says nothing, which means "ask".
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        read_text(path)?.map_or_else(|| Ok(Self::default()), |text| Self::parse(&text, path))
    }

    /// Reads the text of a policy file; `path` is where it lies, for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let source = Source::new(path, text);
        let table = source.parse()?;
        let (mut root, mut policy) = (Section::root(&source, &table), Self::default());
        root.read("default", &mut policy.default, |value| self::text(value)?.parse())?;
        for list in List::ALL {
            root.read(list.key(), policy.list_mut(list), |value| {
                self::list(value, |who| normalize(who).map_err(|error| error.to_string()))
            })?;
        }
        root.read("timezone", &mut policy.zone, |value| parse_zone(self::text(value)?))?;
        policy.rules = rules::read(&mut root, &policy.zone)?;
        root.finish(&[])?;
        Ok(policy)
    }

    /// Returns the rules, with the people of a buddy list in the places of its groups.
    pub fn rules(&self, buddies: &Buddies) -> Vec<Rule> {
        self.rules.iter().map(|rule| rule.rule(buddies)).collect()
    }

    /// Says in a line each which groups of the rules nobody is in: a slip of the pen, perhaps.
    pub fn warnings(&self, buddies: &Buddies) -> Vec<String> {
        let mut groups: Vec<&str> = self.rules.iter().flat_map(WrittenRule::groups).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| buddies.group(group).is_none());
        let dotted = |group: &str| if group.contains('.') { format!("; a domain is *@{group}") } else { String::new() };
        groups.iter().map(|group| format!("a rule is about @{group}, which nobody is in{}", dotted(group))).collect()
    }

    /// Returns a list.
    pub fn list(&self, list: List) -> &[String] {
        match list {
            List::Allow => &self.allow,
            List::PoliteBlock => &self.polite_block,
            List::Block => &self.block,
        }
    }

    /// Returns the list that `who`, a normalized address, is on; on several, the strictest.
    pub fn list_of(&self, who: &str) -> Option<List> {
        List::ALL.into_iter().rev().find(|list| self.list(*list).iter().any(|listed| listed == who))
    }

    /// Puts `who` on `list` and takes it off the others; returns what the file says then.
    ///
    /// Comments and the rest of the file stay as they are, and a file that cannot be read stays untouched.
    pub fn set(path: &Path, who: &str, list: List) -> Result<Self, PolicyError> {
        Ok(edit(path, &normalize(who)?, Some(list))?)
    }

    /// Takes `who` off every list; returns what the file says then.
    pub fn forget(path: &Path, who: &str) -> Result<Self, PolicyError> {
        Ok(edit(path, &normalize(who)?, None)?)
    }

    /// Says what those get who are on no list; returns what the file says then.
    pub fn set_default(path: &Path, action: Action) -> Result<Self, ConfigError> {
        change(path, true, |_, document| {
            let word = value(action.to_string());
            match document.get_mut("default").and_then(Item::as_value_mut) {
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = action.to_string().into();
                    *old.decor_mut() = decor;
                }
                None => put(document, "default", word),
            }
        })
    }

    fn list_mut(&mut self, list: List) -> &mut Vec<String> {
        match list {
            List::Allow => &mut self.allow,
            List::PoliteBlock => &mut self.polite_block,
            List::Block => &mut self.block,
        }
    }
}

fn parse_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!(
            "{name:?} is no time zone that this machine knows: write one such as \"Europe/Vienna\" (package tzdata)"
        )
    })
}

/// The beginning of a file that we make.
const HEADER: &str = "# Who may see my presence; `sippresence watchers` edits this file and keeps its comments.\n\
                      # default = \"ask\"    # allow | ask | polite-block | block: what those get who stand nowhere\n";

fn edit(path: &Path, who: &str, wanted: Option<List>) -> Result<PolicyFile, ConfigError> {
    change(path, wanted.is_some(), |before, document| {
        for list in List::ALL {
            let Some(array) = document.get_mut(list.key()).and_then(Item::as_array_mut) else { continue };
            let mut keep = wanted == Some(list);
            let mut index = 0;
            while let Some(listed) = array.get(index) {
                let listed = listed.as_str().and_then(|listed| normalize(listed).ok());
                if listed.is_some_and(|listed| listed == who) && !std::mem::take(&mut keep) {
                    remove(array, index);
                } else {
                    index += 1;
                }
            }
        }
        if let Some(list) = wanted.filter(|list| !before.list(*list).iter().any(|listed| listed == who)) {
            add(document, list, who);
        }
    })
}

/// Changes the file, which is made if it is to be; returns what it says then.
fn change(
    path: &Path,
    make: bool,
    change: impl FnOnce(&PolicyFile, &mut DocumentMut),
) -> Result<PolicyFile, ConfigError> {
    let _lock = lock_folder_of(path, make)?;
    let found = read_text(path)?;
    let text = found.as_deref().unwrap_or(HEADER);
    // First by our own reader, whose errors are the better ones.
    let before = PolicyFile::parse(text, path)?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| ConfigError::Unreadable {
        path: path.into(),
        error: io::Error::other(error.message().to_owned()),
    })?;
    change(&before, &mut document);
    let after = document.to_string();
    if found.as_deref().is_none_or(|before| before != after) && (found.is_some() || make) {
        // What we would write must read back before it replaces anything.
        let policy = PolicyFile::parse(&after, path)?;
        write_private(path, after.as_bytes())?;
        return Ok(policy);
    }
    Ok(before)
}

fn add(document: &mut DocumentMut, list: List, who: &str) {
    if !document.contains_key(list.key()) {
        put(document, list.key(), value(Array::new()));
    }
    if let Some(array) = document.get_mut(list.key()).and_then(Item::as_array_mut) {
        push(array, who);
    }
}

/// Puts a key in that is not there.
fn put(document: &mut DocumentMut, key: &str, item: Item) {
    if document.is_empty() {
        // Comments of a file without keys stand at its end; a key put in would come before them.
        let comments = document.trailing().as_str().unwrap_or_default().to_owned();
        let between = if comments.is_empty() || comments.ends_with('\n') { "" } else { "\n" };
        document.set_trailing("");
        document.insert(key, item);
        if let Some(mut key) = document.key_mut(key) {
            key.leaf_decor_mut().set_prefix(comments + between);
        }
    } else {
        document.insert(key, item);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Edits `before` and returns the text that the file holds then.
    fn edited(before: &str, edit: impl FnOnce(&Path) -> Result<PolicyFile, PolicyError>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        fs::write(&path, before).unwrap();
        let policy = edit(&path).unwrap();
        assert_eq!(policy, PolicyFile::load(&path).unwrap());
        fs::read_to_string(&path).unwrap()
    }

    const TALL: &str = "\
# my rules
default = \"ask\" # for strangers

allow = [
  \"sip:alice@example.com\", # friend
  # the boss
  \"BOB@Example.com\", # careful
]
block = []
";

    #[test]
    fn decisions_at_once_in_a_folder_that_is_not_there_are_all_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/policy.toml");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let path = &path;
                scope.spawn(move || PolicyFile::set(path, &format!("w{n}@h"), List::Allow).unwrap());
            }
        });
        assert_eq!(PolicyFile::load(&path).unwrap().allow.len(), 16);
    }

    #[test]
    fn a_missing_file_asks_about_everybody() {
        assert_eq!(PolicyFile::load(Path::new("/nonexistent/policy.toml")).unwrap(), PolicyFile::default());
        assert_eq!(PolicyFile::default().default, Action::Ask);
    }

    #[test]
    fn who_is_normalized_wherever_it_is_read() {
        let policy = PolicyFile::parse(TALL, Path::new("p")).unwrap();
        assert_eq!(policy.allow, ["sip:alice@example.com", "sip:BOB@example.com"]);
    }

    #[test]
    fn the_strictest_list_wins() {
        let text = "allow = [\"a@h\", \"b@h\"]\npolite_block = [\"b@h\", \"c@h\"]\nblock = [\"c@h\"]";
        let policy = PolicyFile::parse(text, Path::new("p")).unwrap();
        let lists = ["sip:a@h", "sip:b@h", "sip:c@h", "sip:d@h"].map(|who| policy.list_of(who));
        assert_eq!(lists, [Some(List::Allow), Some(List::PoliteBlock), Some(List::Block), None]);
    }

    #[test]
    fn a_new_name_stands_below_the_others_and_no_comment_moves() {
        let after = edited(TALL, |path| PolicyFile::set(path, "carol@example.com", List::Allow));
        assert_eq!(after, TALL.replace("careful\n]", "careful\n  \"sip:carol@example.com\",\n]"));
    }

    #[test]
    fn a_name_that_changes_lists_leaves_its_comments() {
        let after = edited(TALL, |path| PolicyFile::set(path, "sip:BOB@example.com", List::Block));
        assert_eq!(
            after,
            "\
# my rules
default = \"ask\" # for strangers

allow = [
  \"sip:alice@example.com\", # friend
  # the boss
  # careful
]
block = [\"sip:BOB@example.com\"]
"
        );
    }

    #[test]
    fn a_name_in_the_middle_leaves_its_comments_to_the_next() {
        let text = "allow = [\n  \"a@h\", # one\n  \"b@h\", # two\n  \"c@h\", # three\n]\n";
        let after = edited(text, |path| PolicyFile::forget(path, "b@h"));
        assert_eq!(after, "allow = [\n  \"a@h\", # one\n  # two\n  \"c@h\", # three\n]\n");
        let after = edited(text, |path| PolicyFile::forget(path, "a@h"));
        assert_eq!(after, "allow = [ # one\n  \"b@h\", # two\n  \"c@h\", # three\n]\n");
    }

    #[test]
    fn one_line_stays_one_line() {
        for (before, after) in [
            ("block = [\"a@h\", \"b@h\"] # x\n", "block = [\"b@h\", \"sip:c@h\"] # x\n"),
            ("block = [ \"a@h\", \"b@h\" ]\n", "block = [ \"b@h\", \"sip:c@h\" ]\n"),
            ("block = [\"a@h\"]\n", "block = [\"sip:c@h\"]\n"),
        ] {
            let edit = |path: &Path| {
                PolicyFile::forget(path, "a@h")?;
                PolicyFile::set(path, "c@h", List::Block)
            };
            assert_eq!(edited(before, edit), after);
        }
    }

    #[test]
    fn setting_twice_changes_nothing_and_forgetting_a_stranger_neither() {
        let same = edited(TALL, |path| PolicyFile::set(path, "bob@example.com", List::Allow));
        assert_ne!(same, TALL, "the user part has case");
        assert_eq!(edited(TALL, |path| PolicyFile::set(path, "sip:alice@EXAMPLE.com", List::Allow)), TALL);
        assert_eq!(edited(TALL, |path| PolicyFile::forget(path, "zoe@example.com")), TALL);
    }

    #[test]
    fn who_stands_twice_stands_once_after_set_and_nowhere_after_forget() {
        let text = "allow = [\"a@h\", \"sip:a@H\"]\nblock = [\"a@h\"]\n";
        assert_eq!(edited(text, |path| PolicyFile::set(path, "a@h", List::Allow)), "allow = [\"a@h\"]\nblock = []\n");
        assert_eq!(edited(text, |path| PolicyFile::forget(path, "a@h")), "allow = []\nblock = []\n");
    }

    #[test]
    fn comments_in_an_empty_list_and_an_empty_file_stay_where_they_are() {
        let after = edited("allow = [ # nobody yet\n]\n", |path| PolicyFile::set(path, "a@h", List::Allow));
        assert_eq!(after, "allow = [ # nobody yet\n  \"sip:a@h\",\n]\n");
        let after = edited("# only words", |path| PolicyFile::set(path, "a@h", List::PoliteBlock));
        assert_eq!(after, "# only words\npolite_block = [\"sip:a@h\"]\n");
        let after = edited("default = \"block\" # x\n# end\n", |path| PolicyFile::set(path, "a@h", List::Allow));
        assert_eq!(after, "default = \"block\" # x\nallow = [\"sip:a@h\"]\n# end\n");
    }

    #[test]
    fn a_list_without_a_comma_at_its_end_keeps_its_comment() {
        let text = "allow = [\n  \"a@h\",\n  \"b@h\" # last\n]\n";
        let after = edited(text, |path| PolicyFile::set(path, "c@h", List::Allow));
        assert_eq!(after, "allow = [\n  \"a@h\",\n  \"b@h\", # last\n  \"sip:c@h\",\n]\n");
        let after = edited(text, |path| PolicyFile::forget(path, "b@h"));
        assert_eq!(after, "allow = [\n  \"a@h\"\n   # last\n]\n");
    }

    #[test]
    fn the_default_is_changed_where_it_stands_or_put_in() {
        let set = |path: &Path| Ok(PolicyFile::set_default(path, Action::Block)?);
        assert_eq!(edited(TALL, set), TALL.replace("\"ask\"", "\"block\""));
        assert_eq!(edited("# words\n", set), "# words\ndefault = \"block\"\n");
        assert_eq!(edited("allow = [] # x\n", set), "allow = [] # x\ndefault = \"block\"\n");
        let path = tempfile::tempdir().unwrap().path().join("new/policy.toml");
        assert_eq!(PolicyFile::set_default(&path, Action::Allow).unwrap().default, Action::Allow);
        assert!(fs::read_to_string(&path).unwrap().starts_with("# Who may see my presence"));
    }

    #[test]
    fn a_file_is_made_private_with_a_word_of_what_it_is() {
        use std::os::unix::fs::MetadataExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/policy.toml");
        PolicyFile::forget(&path, "a@h").unwrap();
        assert!(!path.exists());
        PolicyFile::set(&path, "a@h", List::Allow).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("# Who may see my presence"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_bad_file_is_named_with_its_line_and_stays_as_it_is() {
        for (text, expected) in [
            ("allow = [\"a@h\"", ":1:"),
            ("default = \"alow\"", "policy.toml:1:11: `default`: write \"allow\""),
            ("\n\nallow = \"a@h\"", ":3:9: `allow`: write a list"),
            ("allow = [\"@example.com\"]", "is a whole domain"),
            ("allow = [1]", "write a text in quotes, not 1"),
            ("polite-block = []", ":1:1: unknown key `polite-block`, did you mean `polite_block`?"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("policy.toml");
            fs::write(&path, text).unwrap();
            let error = PolicyFile::set(&path, "b@h", List::Allow).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn nobody_is_not_listed() {
        let error = PolicyFile::set(Path::new("/nonexistent/p"), "@example.com", List::Block).unwrap_err();
        assert!(error.to_string().contains("whole domain"));
    }

    #[test]
    fn actions_are_written_as_they_are_read() {
        for list in List::ALL {
            let action = list.action();
            assert_eq!(action.to_string().parse(), Ok(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.to_string());
        }
    }
}
