//! A resource list that others write too, brought up to date: what we do not know in it stays, byte for byte.
//!
//! An entry whom the list has is left where it stands, or gets another name; one whom it has no more goes. Who is missing is
//! put at the end of the list of each group, which is made where there is none. Elements of other namespaces, references,
//! addresses that we cannot read, and lists without entries of ours are not touched.

use std::collections::{HashMap, HashSet};

use super::{
    super::{ExchangeError, Format, clean, read},
    entry, parse,
};
use crate::presence::{
    buddy::{Buddies, Buddy, address_key, fold},
    xml::{Edits, Element, escape_attribute, escape_text},
};

/// A document brought up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// All of it, in UTF-8.
    pub text: String,
    /// Who came into which group; an empty one is none.
    pub added: Vec<(Buddy, String)>,
    /// Which addresses went out of which group.
    pub removed: Vec<(String, String)>,
    /// Who is called otherwise: the name so far, and the buddy.
    pub renamed: Vec<(String, Buddy)>,
}

/// Brings a document up to date with the list; buddies that are not `ours` to say anything about stay as they are in it.
///
/// # Errors
/// When it is no resource list, or is laid out so that it cannot be changed.
pub fn update(text: &[u8], list: &Buddies, ours: impl Fn(&Buddy) -> bool) -> Result<Updated, ExchangeError> {
    let (text, tree) = parse(text)?;
    let root = tree.root();
    if root.name() != "resource-lists" {
        let reason = format!("its root is {}, not resource-lists", clean::short(root.name()));
        return Err(ExchangeError::Unlike(Format::ResourceLists, reason));
    }
    let mut update = Update::of(&text, list, &ours);
    for child in root.children() {
        if child.ns() == root.ns() && child.name() == "list" {
            let group = child.attribute("name").and_then(group_of);
            update.lists.entry(group.as_deref().map(fold).unwrap_or_default()).or_insert(child);
            let groups: Vec<String> = group.into_iter().collect();
            update.list(child, &groups, true);
        }
    }
    update.missing(root);
    let updated = Updated { text: update.edits.apply(), ..update.updated };
    check(&updated.text, list, ours)?;
    Ok(updated)
}

/// Sees to it that the text says what it should before it replaces anything.
fn check(text: &str, list: &Buddies, ours: impl Fn(&Buddy) -> bool) -> Result<(), ExchangeError> {
    let read = read(text.as_bytes(), Format::ResourceLists)?;
    let there: HashMap<String, &Buddy> =
        read.buddies.iter().map(|buddy| (address_key(&buddy.address), buddy)).collect();
    let is_there = |buddy: &Buddy| {
        let found = there.get(&address_key(&clean::uri(&buddy.address)));
        found.is_some_and(|found| buddy.groups.iter().all(|group| found.is_in(group)))
    };
    if list.0.iter().filter(|buddy| ours(buddy)).all(is_there) {
        return Ok(());
    }
    let reason = "its layout does not let it be changed".to_owned();
    Err(ExchangeError::Unlike(Format::ResourceLists, reason))
}

struct Update<'u> {
    list: &'u Buddies,
    ours: &'u dyn Fn(&Buddy) -> bool,
    /// Who has an address.
    at: HashMap<String, Vec<&'u Buddy>>,
    /// Which addresses stand in which groups; all of them in "" too.
    covered: HashSet<(String, String)>,
    /// The outermost lists by their group; the one without a name by "".
    lists: HashMap<String, Element<'u>>,
    edits: Edits<'u>,
    updated: Updated,
}

impl<'u> Update<'u> {
    fn of(text: &'u str, list: &'u Buddies, ours: &'u dyn Fn(&Buddy) -> bool) -> Self {
        let mut at: HashMap<String, Vec<&Buddy>> = HashMap::new();
        for buddy in &list.0 {
            at.entry(key_of(buddy)).or_default().push(buddy);
        }
        let (covered, lists, updated) = (HashSet::new(), HashMap::new(), Updated::default());
        Self { list, ours, at, covered, lists, edits: Edits::new(text), updated }
    }

    /// Goes through the entries of a list, and of the lists in it; `groups` are those that it means.
    fn list(&mut self, list: Element<'u>, groups: &[String], outermost: bool) {
        let mut gone = Vec::new();
        let mut kept = false;
        for child in list.children() {
            match child.name() {
                "entry" if child.ns() == list.ns() => {
                    if self.keep(child, groups) {
                        kept = true;
                    } else {
                        gone.push(child);
                    }
                }
                "list" if child.ns() == list.ns() => {
                    let group = child.attribute("name").and_then(group_of);
                    let inner: Vec<String> = groups.iter().cloned().chain(group).collect();
                    self.list(child, &inner, false);
                    kept = true;
                }
                "display-name" => {}
                _ => kept = true,
            }
        }
        let is_wanted = |group: &String| self.list.0.iter().any(|buddy| (self.ours)(buddy) && buddy.is_in(group));
        if outermost && !kept && !gone.is_empty() && !groups.iter().any(is_wanted) && !groups.is_empty() {
            // A group goes with its last member.
            self.lists.remove(&fold(&groups[0]));
            self.edits.remove(list);
            return;
        }
        for entry in gone {
            self.edits.remove(entry);
        }
    }

    /// Says whether an entry stays, with its name as it is to be.
    fn keep(&mut self, entry: Element<'u>, groups: &[String]) -> bool {
        let Some(uri) = entry.attribute("uri") else { return true };
        if clean::buddy(Buddy::new(uri)).is_err() {
            return true;
        }
        let key = address_key(uri);
        let known = self.at.get(&key).cloned().unwrap_or_default();
        let is_in = |buddy: &&&Buddy| groups.iter().all(|group| buddy.is_in(group));
        let is_foreign = known.iter().any(|buddy| !(self.ours)(buddy));
        if !is_foreign && !known.iter().any(|buddy| is_in(&buddy)) {
            self.updated.removed.push((uri.to_owned(), groups.last().cloned().unwrap_or_default()));
            return false;
        }
        self.covered.insert((key.clone(), String::new()));
        self.covered.extend(groups.iter().map(|group| (key.clone(), fold(group))));
        if !is_foreign {
            self.rename(entry, &known);
        }
        true
    }

    fn rename(&mut self, entry: Element<'u>, known: &[&'u Buddy]) {
        let Some((buddy, name)) = known.iter().find_map(|buddy| Some((*buddy, buddy.name.as_ref()?))) else { return };
        let said = entry.children().find(|child| child.ns() == entry.ns() && child.name() == "display-name");
        let text = said.map(|said| said.text().into_owned()).unwrap_or_default();
        let read = clean::buddy(Buddy { name: Some(text.clone()), ..Buddy::new(&*buddy.address) });
        let read = read.ok().and_then(|read| read.name).unwrap_or_default();
        if known.iter().any(|buddy| buddy.words().any(|word| fold(word) == fold(&read))) {
            return;
        }
        self.updated.renamed.push((text, buddy.clone()));
        if let Some(said) = said {
            self.edits.set_content(said, &escape_text(name).to_string());
        } else {
            let p = self.edits.prefix(entry);
            self.edits.put_first(entry, &format!("<{p}display-name>{}</{p}display-name>", escape_text(name)));
        }
    }

    /// Puts in who is missing.
    fn missing(&mut self, root: Element<'u>) {
        let mut wanted: Vec<(String, Vec<&Buddy>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let none = [String::new()];
        for buddy in self.list.0.iter().filter(|buddy| (self.ours)(buddy)) {
            let groups = if buddy.groups.is_empty() { &none[..] } else { &buddy.groups };
            for group in groups {
                if !self.covered.insert((key_of(buddy), fold(group))) {
                    continue;
                }
                self.updated.added.push((buddy.clone(), group.clone()));
                let place = *places.entry(fold(group)).or_insert(wanted.len());
                match wanted.get_mut(place) {
                    Some((_, members)) => members.push(buddy),
                    None => wanted.push((group.clone(), vec![buddy])),
                }
            }
        }
        let mut lists = Vec::new();
        for (group, members) in wanted {
            let entries = |prefix| members.iter().map(|buddy| entry(buddy, prefix)).collect::<Vec<_>>();
            if let Some(list) = self.lists.get(&fold(&group)) {
                self.edits.put_last(*list, &entries(self.edits.prefix(*list)));
                continue;
            }
            let p = self.edits.prefix(root);
            let name = if group.is_empty() { String::new() } else { format!(" name=\"{}\"", escape_attribute(&group)) };
            let entries = entries(p);
            let inside: Vec<String> =
                entries.iter().flat_map(|entry| entry.lines()).map(|line| format!("\n  {line}")).collect();
            lists.push(format!("<{p}list{name}>{}\n</{p}list>", inside.concat()));
        }
        if !lists.is_empty() {
            self.edits.put_last(root, &lists);
        }
    }
}

fn key_of(buddy: &Buddy) -> String {
    address_key(&clean::uri(&buddy.address))
}

/// Returns the group that the name of a list means, if it can be one.
fn group_of(name: &str) -> Option<String> {
    let groups = vec![clean::head(name).to_owned()];
    clean::buddy(Buddy { groups, ..Buddy::new("a@h") }).ok()?.groups.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: &str = "\
<?xml version=\"1.0\"?>
<!-- of many programs -->
<rl:resource-lists xmlns:rl=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:x=\"urn:x\">
  <rl:list name=\"team\" x:colour=\"red\">
    <rl:display-name>The team</rl:display-name>
    <rl:entry uri=\"sip:alice@example.com\" x:photo=\"1\">
      <rl:display-name xml:lang=\"en\">Alice</rl:display-name><x:more/>
    </rl:entry>
    <rl:entry uri=\"sip:gone@example.com\"/>
    <rl:entry uri=\"mailto:dave@example.com\"/>
    <rl:entry-ref ref=\"resource-lists/users/sip:a@h/index/~~/x\"/>
    <x:entry uri=\"sip:foreign@example.com\"/>
  </rl:list>
  <rl:list name=\"old\">
    <rl:entry uri=\"sip:gone@example.com\"/>
  </rl:list>
  <rl:list name=\"empty\"/>
  <x:settings>&lt;kept&gt;</x:settings>
</rl:resource-lists>
";

    fn buddy(name: &str, address: &str, groups: &[&str]) -> Buddy {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Buddy { name: (!name.is_empty()).then(|| name.to_owned()), groups, ..Buddy::new(address) }
    }

    fn updated(text: &str, list: &Buddies) -> Updated {
        update(text.as_bytes(), list, |buddy| buddy.account.is_none()).unwrap()
    }

    #[test]
    fn what_is_not_known_of_a_list_stays_and_the_rest_is_as_the_user_has_it() {
        let list = Buddies(vec![
            buddy("Alicia", "alice@example.com", &["Team", "friends"]),
            buddy("bob", "sip:bob@example.com", &[]),
            buddy("", "carol@example.com", &["team", "empty"]),
        ]);
        let done = updated(THERE, &list);
        let expected = THERE
            .replace(">Alice<", ">Alicia<")
            .replace(
                "    <rl:entry uri=\"sip:gone@example.com\"/>\n    <rl:entry uri=\"mailto",
                "    <rl:entry uri=\"mailto",
            )
            .replace("  <rl:list name=\"old\">\n    <rl:entry uri=\"sip:gone@example.com\"/>\n  </rl:list>\n", "")
            .replace(
                "foreign@example.com\"/>\n",
                "foreign@example.com\"/>\n    <rl:entry uri=\"sip:carol@example.com\"/>\n",
            )
            .replace(
                "<rl:list name=\"empty\"/>",
                "<rl:list name=\"empty\">\n    <rl:entry uri=\"sip:carol@example.com\"/>\n  </rl:list>",
            )
            .replace(
                "</x:settings>\n",
                "</x:settings>\n  <rl:list name=\"friends\">\n    <rl:entry uri=\"sip:alice@example.com\">\n      \
                 <rl:display-name>Alicia</rl:display-name>\n    </rl:entry>\n  </rl:list>\n  <rl:list>\n    \
                 <rl:entry uri=\"sip:bob@example.com\">\n      <rl:display-name>bob</rl:display-name>\n    \
                 </rl:entry>\n  </rl:list>\n",
            );
        assert_eq!(done.text, expected);
        let added: Vec<_> = done.added.iter().map(|(buddy, group)| (buddy.address.as_str(), group.as_str())).collect();
        assert_eq!(
            added,
            [
                ("alice@example.com", "friends"),
                ("sip:bob@example.com", ""),
                ("carol@example.com", "team"),
                ("carol@example.com", "empty")
            ]
        );
        let gone = |group: &str| ("sip:gone@example.com".to_owned(), group.to_owned());
        assert_eq!(done.removed, [gone("team"), gone("old")]);
        assert_eq!(done.renamed, [("Alice".to_owned(), list.0[0].clone())]);
        let again = updated(&done.text, &list);
        assert_eq!(again, Updated { text: done.text, ..Updated::default() }, "and then all is as it should be");
    }

    #[test]
    fn who_is_of_another_account_is_neither_put_there_nor_taken_away() {
        let other = |address: &str| Buddy { account: Some("home".into()), ..buddy("x", address, &["friends"]) };
        let list = Buddies(vec![
            buddy("alice", "alice@example.com", &["team"]),
            other("gone@example.com"),
            other("new@example.com"),
        ]);
        assert_eq!(updated(THERE, &list).text, THERE);
    }

    #[test]
    fn a_name_that_means_the_same_or_an_alias_stays_and_who_has_none_gets_one() {
        let text = "<resource-lists><list><entry uri=\"sip:a@h\"><display-name>AL</display-name></entry>\
                    <entry uri=\"sip:b@h\"/></list></resource-lists>";
        let list = Buddies(vec![
            Buddy { aliases: vec!["al".into()], ..buddy("alice", "a@h", &[]) },
            buddy("b <&\u{0}>", "b@h", &[]),
        ]);
        let expected = text.replace(
            "<entry uri=\"sip:b@h\"/>",
            "<entry uri=\"sip:b@h\"><display-name>b &lt;&amp;&gt;</display-name></entry>",
        );
        assert_eq!(updated(text, &list).text, expected);
    }

    #[test]
    fn what_is_no_resource_list_is_refused() {
        for text in ["", "<list/>", "<ruleset/>", "<resource-lists>"] {
            assert!(update(text.as_bytes(), &Buddies::default(), |_| true).is_err(), "{text}");
        }
        let empty = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><resource-lists/>";
        let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(empty.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let list = Buddies(vec![buddy("", "a@h", &["é"])]);
        let done = update(&bytes, &list, |_| true).unwrap().text;
        assert!(
            done.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><resource-lists><list name=\"é\">"),
            "{done}"
        );
    }
}
