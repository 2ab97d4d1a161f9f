//! Whom a command is about: buddies, `@groups` and addresses among its arguments, those on stdin where one of them is
//! `-`, and everybody on the list where there are none.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Read},
};

use super::{Context, Exit, Failed};
use crate::{
    client::{
        Buddies, Buddy,
        buddy::{address_key, unknown_group},
    },
    config::buddies,
};

/// How many targets stdin may name.
const MOST: usize = 10_000;
/// How much of stdin is read: room for as many long addresses.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Whom a command is about.
#[derive(Debug)]
pub(super) struct Whom {
    /// As they were named; none stands for everybody on the list.
    pub(super) words: Vec<String>,
    /// Who that is.
    pub(super) people: Vec<Buddy>,
    /// What each of them is called.
    pub(super) names: Vec<String>,
}

impl Whom {
    fn new(words: Vec<String>, people: Vec<Buddy>) -> Self {
        let mut seen = HashSet::new();
        let first = |buddy: &Buddy| seen.insert((address_key(&buddy.address), buddy.account.clone()));
        let people: Vec<Buddy> = people.into_iter().filter(first).collect();
        let names = people.iter().map(ToString::to_string).collect();
        Self { words, people, names }
    }

    /// Returns the addresses through each account, `None` for the one that is used where none is named.
    pub(super) fn by_account(&self) -> BTreeMap<Option<&str>, Vec<&Buddy>> {
        let mut accounts = BTreeMap::<_, Vec<_>>::new();
        for buddy in &self.people {
            accounts.entry(buddy.account.as_deref()).or_default().push(buddy);
        }
        accounts
    }
}

/// Finds out whom the arguments of a command mean, each one once however often they are named.
///
/// `-` stands for those on stdin, one a line; blank lines and those that begin with `#` are passed over. Reading waits
/// for the end of stdin, so a command calls this before its clock starts.
///
/// # Errors
/// When stdin cannot be read, holds too much or no text, nothing at all is named, or a group is not there.
pub(super) fn named(context: &Context, targets: &[String]) -> Result<Whom, Failed> {
    let words = if targets.is_empty() { Vec::new() } else { named_with(targets, io::stdin())? };
    let list = match buddies::load(&context.paths.buddies_file) {
        Ok(list) => list,
        // An address means the same whatever stands in the list.
        Err(_) if !words.is_empty() && words.iter().all(|word| is_address(word)) => Buddies::default(),
        Err(error) => return Err(error.into()),
    };
    meant(&list, words)
}

/// Finds out whom one word means.
///
/// # Errors
/// When it is a group of several.
pub(super) fn one(context: &Context, target: &str) -> Result<Whom, Failed> {
    let whom = named(context, &[target.to_owned()])?;
    if whom.people.len() > 1 {
        let message = format!("{target} are several, and this is about one");
        return Err(
            Failed::new(Exit::Usage, message).with_hint("`sippresence wait --any` or `--all` asks about several")
        );
    }
    Ok(whom)
}

fn is_address(word: &str) -> bool {
    !word.starts_with('@') && (word.contains('@') || word.contains(':'))
}

fn meant(list: &Buddies, words: Vec<String>) -> Result<Whom, Failed> {
    let mut people = Vec::new();
    for word in &words {
        match word.strip_prefix('@') {
            Some(group) => {
                let Some(members) = list.group(group) else {
                    let (message, hint) = unknown_group(list, word);
                    return Err(Failed::new(Exit::Usage, message).with_hint(hint));
                };
                people.extend(members.into_iter().filter(|buddy| buddy.watch).cloned());
            }
            None => people.push(list.find(word).cloned().unwrap_or_else(|| Buddy::new(word.as_str()))),
        }
    }
    if words.is_empty() {
        people.extend(list.watched().cloned());
    }
    if people.is_empty() {
        let (message, hint) = if words.is_empty() {
            ("there is nobody on your buddy list".to_owned(), "name somebody, or `sippresence buddies add` somebody")
        } else {
            (format!("nobody in {} is to be watched", words.join(" and ")), "buddies.toml says `watch = false`")
        };
        return Err(Failed::new(Exit::Usage, message).with_hint(hint));
    }
    Ok(Whom::new(words, people))
}

fn named_with(targets: &[String], stdin: impl Read) -> Result<Vec<String>, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let mut listed = String::new();
    if targets.iter().any(|target| target == "-") {
        let mut bytes = Vec::new();
        let read = stdin.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| usage(format!("stdin cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(usage(format!("stdin holds more than {} MiB", MAX_BYTES / 1024 / 1024)));
        }
        listed = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            usage(format!("line {line} of stdin is no UTF-8 text"))
        })?;
    }
    let mut seen = HashSet::new();
    let mut named = Vec::new();
    for target in targets {
        if target == "-" {
            let lines = listed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            named.extend(lines.filter(|line| seen.insert(*line)).map(str::to_owned));
            if named.len() > MOST {
                return Err(usage(format!("stdin names more than {MOST} targets")));
            }
        } else if seen.insert(target) {
            named.push(target.clone());
        }
    }
    if named.is_empty() {
        return Err(usage("stdin names no target".to_owned()));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: &[&str], stdin: &[u8]) -> Result<Vec<String>, String> {
        let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
        named_with(&targets, stdin).map_err(|failed| failed.message)
    }

    #[test]
    fn stdin_stands_where_the_dash_is_and_each_target_is_named_once() {
        let stdin = b"# the team\n\nbob@host\r\n  carol@host \nalice@host\nbob@host";
        assert_eq!(
            of(&["alice@host", "-", "dave@host", "-"], stdin).unwrap(),
            ["alice@host", "bob@host", "carol@host", "dave@host"]
        );
        assert_eq!(of(&["bob", "bob", "alice"], b"\xff").unwrap(), ["bob", "alice"]);
        assert_eq!(of(&["me", "-"], b"").unwrap(), ["me"]);
    }

    #[test]
    fn words_mean_buddies_groups_and_addresses() {
        let text = "[[buddy]]\nname = \"alice\"\naddress = \"sip:alice@h\"\ngroups = [\"team\"]\n\
                    [[buddy]]\nname = \"bob\"\naddress = \"bob@h\"\ngroups = [\"team\", \"ops\"]\naccount = \"work\"\n\
                    [[buddy]]\naddress = \"carol@h\"\ngroups = [\"team\", \"quiet\"]\nwatch = false\n";
        let list = buddies::parse(text, std::path::Path::new("b")).unwrap();
        let names = |words: &[&str]| {
            let words = words.iter().map(|&word| word.to_owned()).collect();
            meant(&list, words).map(|whom| whom.names).map_err(|failed| failed.message)
        };
        assert_eq!(names(&[]).unwrap(), ["alice", "bob"]);
        assert_eq!(names(&["@team", "ALICE@h", "alice@H", "dave"]).unwrap(), ["alice", "bob", "ALICE@h", "dave"]);
        assert_eq!(names(&["carol@h", "bob"]).unwrap(), ["carol@h", "bob"]);
        assert_eq!(names(&["@nobody"]).unwrap_err(), "there is no group \"@nobody\"");
        assert_eq!(names(&["@quiet"]).unwrap_err(), "nobody in @quiet is to be watched");
        assert_eq!(meant(&Buddies::default(), Vec::new()).unwrap_err().message, "there is nobody on your buddy list");
        let whom = meant(&list, vec!["@team".into()]).unwrap();
        let accounts: Vec<_> = whom.by_account().into_keys().collect();
        assert_eq!(accounts, [None, Some("work")]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        assert_eq!(of(&["-"], b"").unwrap_err(), "stdin names no target");
        assert_eq!(of(&["-"], b"\n# nobody\n").unwrap_err(), "stdin names no target");
        assert_eq!(of(&["-"], b"bob@host\ncarol@\xff\n").unwrap_err(), "line 2 of stdin is no UTF-8 text");
        let many = (0..=MOST).map(|n| format!("user{n}@host")).collect::<Vec<_>>().join("\n");
        assert_eq!(of(&["-"], many.as_bytes()).unwrap_err(), "stdin names more than 10000 targets");
        assert!(of(&["-"], many.rsplit_once("user").unwrap().0.as_bytes()).is_ok());
        assert_eq!(of(&["-"], &vec![b'#'; 5 << 20]).unwrap_err(), "stdin holds more than 4 MiB");
    }
}
