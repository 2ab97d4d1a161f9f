//! Buddies: people on the list, their groups, and whom a word means.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most characters that a name has.
pub const LONGEST_NAME: usize = 64;

/// A person on the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Buddy {
    /// Where the person is watched, as it was written.
    pub address: String,
    /// What the user calls the person; it stands for the address wherever a target is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Other words for the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The groups that the person is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The account through which the person is watched; without it the one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether the person is watched as long as the list is.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub watch: bool,
    /// Whether the user wants to be told when the person becomes available.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mark: bool,
    /// What baresip keeps of the person and we do not understand: parameters such as `access=allow;audio_codecs=opus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baresip: Option<String>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(watch: &bool) -> bool {
    *watch
}

impl Buddy {
    /// Makes a buddy without a name, in no group, who is watched.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            name: None,
            aliases: Vec::new(),
            groups: Vec::new(),
            account: None,
            watch: true,
            mark: false,
            baresip: None,
        }
    }

    /// Returns whether the person is in a group, however it is written.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| fold(own) == fold(group))
    }

    /// Returns every word that means the person, but the address.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(&self.aliases).map(String::as_str)
    }
}

/// The name, or the address where there is none.
impl fmt::Display for Buddy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name.as_deref().unwrap_or(&self.address))
    }
}

/// Why a word is no name for a buddy or a group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is nothing to see.
    #[error("a name has at least one letter or sign")]
    Empty,
    /// It would not fit on a line.
    #[error("a name has at most {LONGEST_NAME} characters")]
    Long,
    /// It could not be told from something else that a target may be.
    #[error("{0:?} cannot be a name: {1}")]
    Taken(String, &'static str),
}

/// Reads a name of a buddy, or an alias.
///
/// # Errors
/// When it could not be told from an address, a group, an option or `me`.
pub fn parse_name(text: &str) -> Result<String, NameError> {
    let taken = |why| Err(NameError::Taken(text.trim().to_owned(), why));
    if text.contains('@') {
        return taken("what has an @ is an address or a group");
    }
    let name = parse_group(text)?;
    if ["sip:", "sips:", "pres:", "tel:"].iter().any(|scheme| fold(&name).starts_with(scheme)) {
        return taken("it is an address");
    }
    if fold(&name) == "me" {
        return taken("that is you");
    }
    Ok(name)
}

/// Reads the name of a group, with or without the `@` that marks one among targets.
///
/// # Errors
/// When nothing is left, or it could not be told from something else.
pub fn parse_group(text: &str) -> Result<String, NameError> {
    // However many: what is left must be read as the same name again.
    let name = text.trim_start_matches(|c: char| c == '@' || c.is_whitespace()).trim_end();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(NameError::Long);
    }
    let taken = |why| Err(NameError::Taken(name.to_owned(), why));
    if name.starts_with('-') {
        return taken("what begins with - is an option");
    }
    if name.contains(char::is_control) || super::text::visible(name) != name {
        return taken("it has characters that cannot be seen");
    }
    if name.contains(',') {
        return taken("a comma parts names");
    }
    Ok(name.to_owned())
}

/// Returns what two ways to write the same word have in common.
pub fn fold(word: &str) -> String {
    word.to_lowercase()
}

/// Returns what two ways to write the same address have in common: no scheme `sip:`, the host in lower case, no usual
/// port.
pub fn address_key(address: &str) -> String {
    let bare = address.trim();
    let bare = match bare.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("sip:") => &bare[4..],
        _ => bare,
    };
    match bare.rsplit_once('@') {
        Some((user, host)) => {
            let host = host.to_ascii_lowercase();
            format!("{user}@{}", host.strip_suffix(":5060").unwrap_or(&host))
        }
        None => bare.to_owned(),
    }
}

/// The list, in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buddies(pub Vec<Buddy>);

impl Buddies {
    /// Returns the buddy whom a name or an alias means; as it is written, else however it is written.
    pub fn named(&self, word: &str) -> Option<&Buddy> {
        let exactly = || self.0.iter().find(|buddy| buddy.words().any(|own| own == word));
        let folded = fold(word);
        exactly().or_else(|| self.0.iter().find(|buddy| buddy.words().any(|own| fold(own) == folded)))
    }

    /// Returns the first buddy at an address, however it is written.
    pub fn at(&self, address: &str) -> Option<&Buddy> {
        let key = address_key(address);
        self.0.iter().find(|buddy| address_key(&buddy.address) == key)
    }

    /// Returns the buddy whom a name, an alias or an address means.
    pub fn find(&self, word: &str) -> Option<&Buddy> {
        self.named(word).or_else(|| self.at(word))
    }

    /// Returns those of a group; none when there is no such group.
    pub fn group(&self, group: &str) -> Option<Vec<&Buddy>> {
        let members: Vec<&Buddy> = self.0.iter().filter(|buddy| buddy.is_in(group)).collect();
        (!members.is_empty()).then_some(members)
    }

    /// Returns the groups, in the order of their first member.
    pub fn groups(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.0
            .iter()
            .flat_map(|buddy| &buddy.groups)
            .filter(|group| seen.insert(fold(group)))
            .map(String::as_str)
            .collect()
    }

    /// Returns those who are watched as long as the list is.
    pub fn watched(&self) -> impl Iterator<Item = &Buddy> {
        self.0.iter().filter(|buddy| buddy.watch)
    }
}

/// Says that there is no such group, and which there are: what is wrong, and what to do.
pub fn unknown_group(list: &Buddies, group: &str) -> (String, String) {
    let hint = match list.groups() {
        none if none.is_empty() => "no buddy is in a group; `sippresence buddies group` puts one there".to_owned(),
        groups => format!("there are @{}", groups.join(", @")),
    };
    (format!("there is no group {group:?}"), super::text::visible(&hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Buddies {
        let buddy = |name: &str, address: &str, groups: &[&str]| Buddy {
            name: Some(name.to_owned()),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Buddy::new(address)
        };
        let mut list = vec![
            buddy("Alice", "alice@example.com", &["team", "Oncall"]),
            buddy("alice", "sip:alice@example.org", &["friends"]),
            buddy("bob", "sip:bob@192.0.2.1:5070", &["oncall"]),
            Buddy::new("carol@example.com"),
        ];
        list[2].aliases = vec!["boss".into(), "Zoë ☕".into()];
        Buddies(list)
    }

    #[test]
    fn a_word_means_whoever_has_it_as_it_is_written_and_else_however_it_is() {
        let list = list();
        let at = |word: &str| list.find(word).map(|buddy| buddy.address.as_str());
        assert_eq!(at("Alice"), Some("alice@example.com"));
        assert_eq!(at("alice"), Some("sip:alice@example.org"));
        assert_eq!(at("ALICE"), Some("alice@example.com"));
        assert_eq!(at("Boss"), Some("sip:bob@192.0.2.1:5070"));
        assert_eq!(at("zoë ☕"), Some("sip:bob@192.0.2.1:5070"));
        assert_eq!(at("sip:carol@EXAMPLE.com:5060"), Some("carol@example.com"));
        assert_eq!(at("bob@192.0.2.1"), None);
        assert_eq!(at("dave"), None);
    }

    #[test]
    fn a_group_has_its_members_however_it_is_written() {
        let list = list();
        let names =
            |group: &str| list.group(group).map(|group| group.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names("oncall"), Some(vec!["Alice".to_owned(), "bob".to_owned()]));
        assert_eq!(names("nobody"), None);
        assert_eq!(list.groups(), ["team", "Oncall", "friends"]);
    }

    #[test]
    fn a_name_cannot_be_taken_for_anything_else() {
        assert_eq!(parse_name(" Zoë ☕ ").unwrap(), "Zoë ☕");
        assert_eq!(parse_name("$(rm -rf ~)").unwrap(), "$(rm -rf ~)");
        assert_eq!(parse_group("@oncall").unwrap(), "oncall");
        assert_eq!(parse_group(" @ @@oncall@ ").unwrap(), "oncall@");
        assert_eq!(parse_group("@@"), Err(NameError::Empty));
        for (text, words) in [
            ("", "at least one"),
            ("alice@host", "an address or a group"),
            ("@oncall", "an address or a group"),
            ("SIP:alice", "is an address"),
            ("Me", "that is you"),
            ("-v", "is an option"),
            ("a\nb", "cannot be seen"),
            ("a\u{202e}b", "cannot be seen"),
            ("a,b", "a comma parts names"),
        ] {
            let error = parse_name(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert_eq!(parse_name(&"x".repeat(65)), Err(NameError::Long));
    }
}
