//! `buddies.toml`: the people on the list. Read with the line of each mistake, edited without losing a comment.
//!
//! ```toml
//! [[buddy]]
//! name = "alice"                       # stands for the address wherever a target is asked for
//! address = "sip:alice@example.com"
//! aliases = ["al"]
//! groups = ["team", "oncall"]
//! account = "work"                     # watched through this one
//! watch = false                        # only when she is named
//! mark = true                          # tell me when she becomes available
//! baresip = "access=allow"             # parameters of baresip's contacts, kept for it
//! password_file = "alice.secret"       # what we prove to each other who we are by; or password_command
//! ```

mod edit;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use self::edit::{Draft, edit};
use super::{
    document::{Section, Source, flag, list, text},
    error::ConfigError,
    read::{command, optional, read_text},
    settings::PasswordSource,
};
use crate::presence::buddy::{Buddies, Buddy, NameError, fold, parse_group, parse_name};

/// The most people that a list has.
pub const MOST: usize = 100_000;

/// The keys of a buddy, in the order in which they are written.
mod key {
    pub(super) const TABLE: &str = "buddy";
    pub(super) const NAME: &str = "name";
    pub(super) const ADDRESS: &str = "address";
    pub(super) const ALIASES: &str = "aliases";
    pub(super) const GROUPS: &str = "groups";
    pub(super) const ACCOUNT: &str = "account";
    pub(super) const WATCH: &str = "watch";
    pub(super) const MARK: &str = "mark";
    pub(super) const BARESIP: &str = "baresip";
    pub(super) const PASSWORD_FILE: &str = "password_file";
    pub(super) const PASSWORD_COMMAND: &str = "password_command";
}

/// A secret that we share with a buddy, by which both prove who they are. It is no part of the buddy, and so goes nowhere
/// that buddies go: into no export, answer or server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuddySecret {
    /// Whose it is.
    pub address: String,
    /// The account through which that buddy is watched, if one is named.
    pub account: Option<String>,
    /// Where it is to be had; a relative path begins beside the list, `~/` is as it was written.
    pub source: PasswordSource,
}

/// Reads the file; one that is not there is an empty list.
pub fn load(path: &Path) -> Result<Buddies, ConfigError> {
    load_with_secrets(path).map(|(list, _)| list)
}

/// Reads the file, with where the secrets are to be had that it names.
pub fn load_with_secrets(path: &Path) -> Result<(Buddies, Vec<BuddySecret>), ConfigError> {
    read_text(path)?.map_or_else(|| Ok(Default::default()), |text| parse_with_secrets(&text, path))
}

/// Reads the text of such a file; `path` is where it lies, for errors.
///
/// An address may stand there twice, a name or an alias once.
pub fn parse(text: &str, path: &Path) -> Result<Buddies, ConfigError> {
    parse_with_secrets(text, path).map(|(list, _)| list)
}

fn parse_with_secrets(text: &str, path: &Path) -> Result<(Buddies, Vec<BuddySecret>), ConfigError> {
    let source = Source::new(path, text);
    let table = source.parse()?;
    let mut root = Section::root(&source, &table);
    let (mut buddies, mut secrets, mut taken) = (Vec::new(), Vec::new(), BTreeMap::new());
    let sections = root.tables(key::TABLE)?;
    if sections.len() > MOST {
        return Err(root.blame(key::TABLE, format!("there are more than {MOST}")));
    }
    for section in sections {
        let (buddy, source) = read(section, &mut taken, path.parent())?;
        if source != PasswordSource::None {
            let (address, account) = (buddy.address.clone(), buddy.account.clone());
            secrets.push(BuddySecret { address, account, source });
        }
        buddies.push(buddy);
    }
    root.finish(&[])?;
    Ok((Buddies(buddies), secrets))
}

/// Reads one; `taken` has the words that mean others, relative paths begin at `folder`.
fn read(
    mut s: Section<'_>,
    taken: &mut BTreeMap<String, String>,
    folder: Option<&Path>,
) -> Result<(Buddy, PasswordSource), ConfigError> {
    let mut buddy = Buddy::new("");
    let words = |error: NameError| error.to_string();
    s.read(key::NAME, &mut buddy.name, |value| parse_name(text(value)?).map(Some).map_err(words))?;
    s.read(key::ADDRESS, &mut buddy.address, |value| parse_address(text(value)?))?;
    s.read(key::ALIASES, &mut buddy.aliases, |value| list(value, |text| parse_name(text).map_err(words)))?;
    s.read(key::GROUPS, &mut buddy.groups, |value| list(value, |text| parse_group(text).map_err(words)))?;
    s.read(key::ACCOUNT, &mut buddy.account, |value| Ok::<_, String>(Some(text(value)?.to_owned())))?;
    s.read(key::WATCH, &mut buddy.watch, flag)?;
    s.read(key::MARK, &mut buddy.mark, flag)?;
    s.read(key::BARESIP, &mut buddy.baresip, |value| parse_parameters(text(value)?))?;
    let (mut secret, mut file) = (PasswordSource::None, None);
    s.read(key::PASSWORD_COMMAND, &mut secret, command)?;
    s.read(key::PASSWORD_FILE, &mut file, optional)?;
    if let Some(file) = file {
        if secret != PasswordSource::None {
            return Err(s.blame(key::PASSWORD_FILE, "there is a `password_command` too; keep one of them"));
        }
        let is_relative = !file.starts_with("~/");
        secret = PasswordSource::File(match folder {
            Some(folder) if is_relative => folder.join(file),
            _ => PathBuf::from(file),
        });
    }
    let known = [
        key::NAME,
        key::ADDRESS,
        key::ALIASES,
        key::GROUPS,
        key::ACCOUNT,
        key::WATCH,
        key::MARK,
        key::BARESIP,
        key::PASSWORD_FILE,
        key::PASSWORD_COMMAND,
    ];
    s.finish(&known.map(|name| format!("{}.{name}", key::TABLE)))?;
    if buddy.address.is_empty() {
        return Err(s.blame(key::ADDRESS, "write whom it is about, such as \"sip:alice@example.com\""));
    }
    for word in buddy.words() {
        if let Some(other) = taken.insert(fold(word), buddy.to_string()) {
            let named = if buddy.name.as_deref() == Some(word) { key::NAME } else { key::ALIASES };
            return Err(s.blame(named, format!("{word:?} means {other:?} already")));
        }
    }
    Ok((buddy, secret))
}

/// Reads the address of a buddy: one line that can be seen; whether it can be reached is found out when it is watched.
///
/// # Errors
/// In words what would be right.
pub fn parse_address(text: &str) -> Result<String, String> {
    let address = text.trim();
    if address.is_empty() {
        return Err("it is empty".to_owned());
    }
    if address.len() > 512 {
        return Err("it is longer than 512 bytes".to_owned());
    }
    if address.starts_with(['@', '-']) || address.contains(char::is_control) {
        return Err(format!("{address:?} is no address: write sip:bob@example.com or bob@example.com"));
    }
    Ok(address.to_owned())
}

/// Reads parameters as they stand behind an address, `a=b;c`; without any, none.
///
/// # Errors
/// In words what would be right.
pub fn parse_parameters(text: &str) -> Result<Option<String>, String> {
    let parameters = text.trim_matches(|c: char| c == ';' || c.is_whitespace());
    if parameters.contains(char::is_control) {
        return Err("parameters stand on one line, such as \"access=allow;audio_codecs=opus\"".to_owned());
    }
    Ok(Some(parameters.to_owned()).filter(|parameters| !parameters.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Buddies, String> {
        parse(text, Path::new("buddies.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_with_everything_is_read() {
        let text = "\
# people
[[buddy]]
name = \"alice\"
address = \"sip:alice@example.com\"
aliases = [\"al\", \"Zoë ☕\"]
groups = [\"team\", \"@oncall\"]
account = \"work\"
watch = false
mark = true
baresip = \";access=allow;x\"

[[buddy]]
address = \"bob@192.0.2.1\"

[[buddy]]
name = \"same\"
address = \"bob@192.0.2.1\"
";
        let list = read(text).unwrap();
        let alice = Buddy {
            name: Some("alice".into()),
            aliases: vec!["al".into(), "Zoë ☕".into()],
            groups: vec!["team".into(), "oncall".into()],
            account: Some("work".into()),
            watch: false,
            mark: true,
            baresip: Some("access=allow;x".into()),
            ..Buddy::new("sip:alice@example.com")
        };
        let same = Buddy { name: Some("same".into()), ..Buddy::new("bob@192.0.2.1") };
        assert_eq!(list.0, [alice, Buddy::new("bob@192.0.2.1"), same]);
        assert_eq!(load(Path::new("/nonexistent/buddies.toml")).unwrap(), Buddies::default());
        assert_eq!(read("# nobody yet\n").unwrap(), Buddies::default());
    }

    #[test]
    fn a_secret_is_read_beside_the_buddy_and_is_no_part_of_it() {
        let text = "\
[[buddy]]
address = \"alice@h\"
password_file = \"alice.secret\"
[[buddy]]
address = \"bob@h\"
account = \"work\"
password_command = [\"pass\", \"bob\"]
[[buddy]]
address = \"carol@h\"
password_file = \"~/c\"
[[buddy]]
address = \"dave@h\"
password_file = \"\"
";
        let (list, secrets) = parse_with_secrets(text, Path::new("/f/buddies.toml")).unwrap();
        assert_eq!(list.0[0], Buddy::new("alice@h"));
        let secret = |address: &str, account: Option<&str>, source| BuddySecret {
            address: address.to_owned(),
            account: account.map(str::to_owned),
            source,
        };
        let expected = [
            secret("alice@h", None, PasswordSource::File("/f/alice.secret".into())),
            secret("bob@h", Some("work"), PasswordSource::Command(vec!["pass".into(), "bob".into()])),
            secret("carol@h", None, PasswordSource::File("~/c".into())),
        ];
        assert_eq!((list.0.len(), secrets), (4, expected.to_vec()));
    }

    #[test]
    fn each_mistake_is_told_with_its_place() {
        for (text, expected) in [
            (
                "[[buddy]]\naddress = \"a@h\"\npassword_file = \"f\"\npassword_command = [\"c\"]\n",
                ":3:17: `buddy.password_file`: there is a `password_command` too",
            ),
            (
                "[[buddy]]\naddress = \"a@h\"\npassword = \"hunter2\"\n",
                "unknown key `buddy.password`: a password does not stand in this file, use `password_command`",
            ),
            ("[[buddy]]\nname = \"alice\"\n", "buddies.toml:2:1: `buddy.address`: write whom it is about"),
            ("[[buddy]]\n", "buddies.toml:1:1: `buddy.address`: write whom it is about"),
            ("[buddy]\naddress = \"a@h\"\n", "buddies.toml:1:1: `buddy`: write each one as a section, [[buddy]]"),
            ("buddy = [3]\n", "buddies.toml:1:10: `buddy`: write each one as a section"),
            ("[[buddy]]\naddress = 3\n", "buddies.toml:2:11: `buddy.address`: write a text in quotes, not 3"),
            (
                "[[buddy]]\naddress = \"a@h\"\ngroup = \"x\"\n",
                "unknown key `buddy.group`, did you mean `buddy.groups`?",
            ),
            (
                "[[buddy]]\naddress = \"a@h\"\nname = \"me\"\n",
                "buddies.toml:3:8: `buddy.name`: \"me\" cannot be a name",
            ),
            (
                "[[buddy]]\nname = \"al\"\naddress = \"a@h\"\n[[buddy]]\nname = \"b\"\naliases = [\"AL\"]\naddress = \"b@h\"\n",
                "buddies.toml:6:11: `buddy.aliases`: \"AL\" means \"al\" already",
            ),
            (
                "[[buddy]]\naddress = \"a@h\"\nbaresip = \"a\\nb\"\n",
                ":3:11: `buddy.baresip`: parameters stand on one line",
            ),
            ("[[buddys]]\n", "unknown key `buddys`, did you mean `buddy`?"),
            ("[[buddy]\n", "buddies.toml:1:"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
