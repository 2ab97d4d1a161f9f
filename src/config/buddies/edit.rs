//! Changes to the file: what is not touched stays as it was written, comments and order too.

use std::{io, path::Path};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, RawString, Table, Value, value};

use super::{Buddies, Buddy, ConfigError, key, parse, read_text};
use crate::config::{
    array::{push, remove},
    private::{lock_folder_of, write_private},
};

/// The beginning of a file that we make.
const HEADER: &str = "# The people whom I follow; `sippresence buddies` edits this file and keeps its comments.\n";

/// The list while it is being changed; each buddy that stays is still known as the one whom the file has.
#[derive(Debug)]
pub struct Draft {
    list: Buddies,
    /// Where each one stands in the file.
    origins: Vec<Option<usize>>,
}

impl Draft {
    pub(in crate::config) fn of(list: &Buddies) -> Self {
        Self { list: list.clone(), origins: (0..list.0.len()).map(Some).collect() }
    }

    /// Returns the list as it will be.
    pub fn list(&self) -> &Buddies {
        &self.list
    }

    /// Returns the place of the buddy whom a name, an alias or an address means.
    pub fn find(&self, word: &str) -> Option<usize> {
        let found = self.list.find(word)?;
        self.list.0.iter().position(|buddy| std::ptr::eq(buddy, found))
    }

    /// Returns the buddy at a place.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Buddy> {
        self.list.0.get_mut(place)
    }

    /// Returns everybody, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Buddy> {
        self.list.0.iter_mut()
    }

    /// Puts somebody at the end.
    pub fn add(&mut self, buddy: Buddy) {
        self.list.0.push(buddy);
        self.origins.push(None);
    }

    /// Takes the buddy at a place out.
    ///
    /// # Panics
    /// When nobody is there.
    pub fn remove(&mut self, place: usize) -> Buddy {
        self.origins.remove(place);
        self.list.0.remove(place)
    }
}

/// Changes the list that stands in a file, which is made if it is not there; returns what stands there then.
///
/// Two at once wait for each other. A change that fails, and a file that cannot be read, leave everything as it was;
/// with `write` false that is so in any case.
///
/// # Errors
/// Those of `change`, and when the file cannot be read or written, or would not be a list any more.
pub fn edit<T, E: From<ConfigError>>(
    path: &Path,
    write: bool,
    change: impl FnOnce(&mut Draft) -> Result<T, E>,
) -> Result<(Buddies, T), E> {
    let _lock = lock_folder_of(path, write)?;
    let found = read_text(path)?;
    let text = found.as_deref().unwrap_or(HEADER);
    let before = parse(text, path)?;
    let mut draft = Draft::of(&before);
    let done = change(&mut draft)?;
    if draft.list == before {
        return Ok((before, done));
    }
    let after = rewrite(text, &before, &draft)
        .map_err(|reason| ConfigError::Unreadable { path: path.into(), error: io::Error::other(reason) })?;
    // What we would write must read back as what was wanted before it replaces anything.
    let read = parse(&after, path)?;
    if read != draft.list {
        let error = io::Error::other("its layout does not let it be edited; write each buddy as a [[buddy]] section");
        return Err(ConfigError::Unreadable { path: path.into(), error }.into());
    }
    if write {
        write_private(path, after.as_bytes())?;
    }
    Ok((read, done))
}

fn rewrite(text: &str, before: &Buddies, draft: &Draft) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let is_new = !document.contains_key(key::TABLE);
    let comments = if is_new {
        // Comments of a file without keys stand at its end; what is put in would come before them.
        let comments = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing("");
        comments
    } else {
        String::new()
    };
    let item = document.entry(key::TABLE).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(tables) = item.as_array_of_tables_mut() else {
        return Err("write each buddy as a [[buddy]] section".to_owned());
    };
    // From the end, so that places in front of it stay.
    let mut left = String::new();
    let entries = || draft.origins.iter().zip(&draft.list.0);
    let mut staying = entries().rev().filter_map(|(origin, buddy)| Some(((*origin)?, buddy))).peekable();
    for place in (0..before.0.len()).rev() {
        if let (Some((_, buddy)), Some(table)) =
            (staying.next_if(|(origin, _)| *origin == place), tables.get_mut(place))
        {
            update(table, &before.0[place], buddy);
            continue;
        }
        let gone = tables.get(place).map(|table| remark(table.decor().prefix())).unwrap_or_default();
        tables.remove(place);
        match tables.get_mut(place) {
            Some(next) => put_before(next, &gone),
            None => left.insert_str(0, &gone),
        }
    }
    for (_, buddy) in entries().filter(|(origin, _)| origin.is_none()) {
        let mut table = Table::new();
        update(&mut table, &Buddy::new(""), buddy);
        let blank = if tables.is_empty() && comments.is_empty() && left.is_empty() { "" } else { "\n" };
        table.decor_mut().set_prefix(if tables.is_empty() {
            format!("{comments}{left}{blank}")
        } else {
            "\n".to_owned()
        });
        tables.push(table);
    }
    if tables.is_empty() && !left.is_empty() {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(left + &trailing);
    }
    Ok(document.to_string())
}

/// Returns the comments before a table that are not about it: those with a blank line behind them.
fn remark(prefix: Option<&RawString>) -> String {
    let text = prefix.and_then(RawString::as_str).unwrap_or_default();
    let kept = text.rfind("\n\n").map_or("", |end| &text[..=end]);
    if kept.contains('#') { kept.to_owned() } else { String::new() }
}

fn put_before(table: &mut Table, left: &str) {
    if !left.is_empty() {
        let prefix = table.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
        let prefix = format!("{left}{}{prefix}", if prefix.starts_with('\n') { "" } else { "\n" });
        table.decor_mut().set_prefix(prefix);
    }
}

/// Writes what is another, and nothing else.
fn update(table: &mut Table, before: &Buddy, after: &Buddy) {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let unless = |usual: bool, is: bool| (is != usual).then(|| Value::from(is));
    set(table, key::NAME, text(&before.name).as_ref(), text(&after.name));
    set(table, key::ADDRESS, Some(&before.address.as_str().into()), Some(after.address.as_str().into()));
    set_list(table, key::ALIASES, &before.aliases, &after.aliases);
    set_list(table, key::GROUPS, &before.groups, &after.groups);
    set(table, key::ACCOUNT, text(&before.account).as_ref(), text(&after.account));
    set(table, key::WATCH, unless(true, before.watch).as_ref(), unless(true, after.watch));
    set(table, key::MARK, unless(false, before.mark).as_ref(), unless(false, after.mark));
    set(table, key::BARESIP, text(&before.baresip).as_ref(), text(&after.baresip));
}

fn set(table: &mut Table, key: &str, before: Option<&Value>, after: Option<Value>) {
    let text = |value: Option<&Value>| value.map(ToString::to_string);
    if text(before) == text(after.as_ref()) {
        return;
    }
    match (after, table.get_mut(key).and_then(Item::as_value_mut)) {
        (Some(mut after), Some(old)) => {
            *after.decor_mut() = old.decor().clone();
            *old = after;
        }
        (Some(after), None) => drop(table.insert(key, value(after))),
        (None, _) => drop(table.remove(key)),
    }
}

fn set_list(table: &mut Table, key: &str, before: &[String], after: &[String]) {
    if before == after {
        return;
    }
    if after.is_empty() {
        table.remove(key);
        return;
    }
    let item = table.entry(key).or_insert_with(|| value(Array::new()));
    let Some(array) = item.as_array_mut() else { return };
    // What stays must stay in its order; else it is written anew.
    let kept: Vec<&String> = before.iter().filter(|word| after.contains(word)).collect();
    if after.get(..kept.len()).is_none_or(|head| !head.iter().eq(kept.iter().copied())) {
        array.clear();
        push_all(array, after);
        return;
    }
    for place in (0..before.len()).rev() {
        if !after.contains(&before[place]) {
            remove(array, place);
        }
    }
    push_all(array, &after[kept.len()..]);
}

fn push_all(array: &mut Array, words: &[String]) {
    for word in words {
        push(array, word);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "\
# my people

# the boss
[[buddy]]
name = \"alice\" # Liddell
address = \"sip:alice@example.com\"
groups = [
  \"team\", # blue
  \"oncall\",
]

# of the other team
[[buddy]]
address = \"bob@example.com\"
watch = false
";

    fn edited(before: Option<&str>, change: impl FnOnce(&mut Draft)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/buddies.toml");
        if let Some(before) = before {
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(&path, before).unwrap();
        }
        let (list, ()) = edit(&path, true, |draft| {
            change(draft);
            Ok::<_, ConfigError>(())
        })
        .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text, &path).unwrap(), list);
        text
    }

    #[test]
    fn the_first_one_makes_the_file() {
        let carol = Buddy {
            name: Some("Zoë \"☕\"".into()),
            groups: vec!["a".into()],
            baresip: Some("access=allow".into()),
            ..Buddy::new("carol@h")
        };
        let text = edited(None, |draft| {
            draft.add(carol);
            draft.add(Buddy::new("dave@h"));
        });
        let expected = "\n[[buddy]]\nname = 'Zoë \"☕\"'\naddress = \"carol@h\"\ngroups = [\"a\"]\nbaresip = \"access=allow\"\n\n[[buddy]]\naddress = \"dave@h\"\n";
        assert_eq!(text, format!("{HEADER}{expected}"));
    }

    #[test]
    fn what_is_not_touched_stays_as_it_was() {
        let text = edited(Some(FILE), |draft| {
            let alice = draft.get_mut(0).unwrap();
            alice.name = Some("Alice".into());
            alice.groups = vec!["oncall".into(), "new".into()];
            draft.get_mut(1).unwrap().watch = true;
            draft.add(Buddy::new("carol@h"));
        });
        let expected = FILE
            .replace("\"alice\"", "\"Alice\"")
            .replace("\n  \"team\", # blue\n  \"oncall\",\n", " # blue\n  \"oncall\",\n  \"new\",\n")
            .replace("watch = false\n", "\n[[buddy]]\naddress = \"carol@h\"\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn who_goes_takes_the_comment_about_himself_along_and_no_other() {
        let without_alice = edited(Some(FILE), |draft| drop(draft.remove(0)));
        assert_eq!(
            without_alice,
            "# my people\n\n# of the other team\n[[buddy]]\naddress = \"bob@example.com\"\nwatch = false\n"
        );
        let without_bob = edited(Some(FILE), |draft| drop(draft.remove(1)));
        assert_eq!(without_bob, FILE.split("\n# of the other").next().unwrap());
        let nobody = edited(Some(FILE), |draft| {
            draft.remove(1);
            draft.remove(0);
        });
        assert_eq!(nobody, "# my people\n");
        let again = edited(Some(&nobody), |draft| draft.add(Buddy::new("dave@h")));
        assert_eq!(again, "# my people\n\n[[buddy]]\naddress = \"dave@h\"\n");
    }

    #[test]
    fn a_file_that_cannot_be_read_or_is_only_tried_stays_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buddies.toml");
        fs::write(&path, "[[buddy]]\naddress = 3\n").unwrap();
        let add = |draft: &mut Draft| {
            draft.add(Buddy::new("a@h"));
            Ok::<_, ConfigError>(())
        };
        assert!(edit(&path, true, add).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[[buddy]]\naddress = 3\n");
        fs::write(&path, FILE).unwrap();
        assert_eq!(edit(&path, false, add).unwrap().0.0.len(), 3);
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
        fs::write(&path, "buddy = [{ address = \"a@h\" }]\n").unwrap();
        assert!(edit(&path, true, add).unwrap_err().to_string().contains("write each buddy as a [[buddy]] section"));
    }

    #[test]
    fn changes_at_once_are_all_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/buddies.toml");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let path = &path;
                let add = move |draft: &mut Draft| {
                    draft.add(Buddy::new(format!("w{n}@h")));
                    Ok::<_, ConfigError>(())
                };
                scope.spawn(move || edit(path, true, add).unwrap());
            }
        });
        assert_eq!(super::super::load(&path).unwrap().0.len(), 16);
    }
}
