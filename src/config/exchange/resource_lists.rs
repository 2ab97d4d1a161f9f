//! Resource lists in XML (RFC 4826): nested lists are groups, entries are people.
//!
//! Read as far as it can be, in any namespace; whoever stands in several lists is one buddy of several groups. Written
//! strictly: first those without a group, then each group as a list of its own. References to other documents are
//! counted and not followed. A document that others write too is brought up to date by [`update()`].

mod update;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

pub use self::update::{Updated, update};
use super::{ExchangeError, Format, MAX_BYTES, Reading, clean, lines::Places};
use crate::{
    config::buddies::MOST,
    presence::{
        buddy::{Buddies, Buddy, address_key, fold},
        lists::NAMESPACE,
        xml::{Element, Error, Limits, Tree, decode, escape_attribute, escape_text},
    },
};

const REFERENCES: &str = "references to entries or lists elsewhere";
/// Each entry may have a name, and stand in several lists.
const LIMITS: Limits = Limits { bytes: MAX_BYTES, elements: 8 * MOST };

pub(super) fn read(text: &[u8], found: &mut Reading) -> Result<(), ExchangeError> {
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    let (text, tree) = parse(text)?;
    let root = tree.root();
    if local(root) != "resource-lists" && local(root) != "list" {
        let reason = format!("its root is {}, not resource-lists", clean::short(root.name()));
        return Err(ExchangeError::Unlike(Format::ResourceLists, reason));
    }
    let mut reader = Reader {
        found,
        places: Places::new(&text),
        known: HashMap::new(),
        groups: HashSet::new(),
        words: HashSet::new(),
        open: Vec::new(),
    };
    reader.list(root)
}

fn parse(text: &[u8]) -> Result<(Cow<'_, str>, Tree), ExchangeError> {
    let text = decode(text, None).map_err(refuse)?;
    let tree = Tree::parse_within(text.as_bytes(), Some("utf-8"), LIMITS).map_err(refuse)?;
    Ok((text, tree))
}

pub(super) fn write(list: &Buddies) -> String {
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<resource-lists xmlns=\"{NAMESPACE}\">\n");
    let mut members: HashMap<String, Vec<&Buddy>> = HashMap::new();
    for buddy in &list.0 {
        for group in &buddy.groups {
            members.entry(fold(group)).or_default().push(buddy);
        }
    }
    let alone: Vec<&Buddy> = list.0.iter().filter(|buddy| buddy.groups.is_empty()).collect();
    if !alone.is_empty() {
        text.push_str("  <list>\n");
        write_entries(&mut text, &alone);
    }
    for group in list.groups() {
        let _ = writeln!(text, "  <list name=\"{}\">", escape_attribute(group));
        write_entries(&mut text, members.get(&fold(group)).map_or(&[], Vec::as_slice));
    }
    text.push_str("</resource-lists>\n");
    text
}

/// Writes the entries of a list and its end; no URI stands in a list twice (RFC 4826 §3.2).
fn write_entries(text: &mut String, buddies: &[&Buddy]) {
    let mut seen = HashSet::new();
    for buddy in buddies {
        if !seen.insert(address_key(&clean::uri(&buddy.address))) {
            continue;
        }
        for line in entry(buddy, "").lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push_str("  </list>\n");
}

/// Writes somebody as an entry whose elements have this prefix; each element that has others in it on lines of its own.
fn entry(buddy: &Buddy, prefix: &str) -> String {
    let uri = clean::uri(&buddy.address);
    let uri = escape_attribute(&uri);
    match &buddy.name {
        Some(name) => format!(
            "<{prefix}entry uri=\"{uri}\">\n  <{prefix}display-name>{}</{prefix}display-name>\n</{prefix}entry>",
            escape_text(name)
        ),
        None => format!("<{prefix}entry uri=\"{uri}\"/>"),
    }
}

fn refuse(error: Error) -> ExchangeError {
    match error {
        Error::TooLarge(_) => ExchangeError::TooLarge,
        Error::TooManyElements(_) => ExchangeError::TooMany,
        error => ExchangeError::Unlike(Format::ResourceLists, clean::message(&error.to_string())),
    }
}

/// Returns the name of an element without a prefix that nobody declared.
fn local(element: Element<'_>) -> &str {
    element.name().rsplit(':').next().unwrap_or_default()
}

struct Reader<'r> {
    found: &'r mut Reading,
    places: Places<'r>,
    /// Where the buddy of each address stands.
    known: HashMap<String, usize>,
    /// The groups and words that each one has.
    groups: HashSet<(usize, String)>,
    words: HashSet<(usize, String)>,
    /// The names of the lists that are open.
    open: Vec<String>,
}

impl Reader<'_> {
    fn list(&mut self, list: Element<'_>) -> Result<(), ExchangeError> {
        for child in list.children() {
            match local(child) {
                "list" => {
                    let outer = self.open.len();
                    self.open.extend(child.attribute("name").map(|name| clean::head(name).to_owned()));
                    self.list(child)?;
                    self.open.truncate(outer);
                }
                "entry" => self.entry(child)?,
                "entry-ref" | "external" => self.found.ignore(REFERENCES),
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Element<'_>) -> Result<(), ExchangeError> {
        let line = self.places.line_of(entry.at());
        let Some(uri) = entry.attribute("uri") else { return self.found.blame(line, "the entry has no uri") };
        let name = entry.children().find(|child| local(*child) == "display-name").map(|name| name.text().into_owned());
        let buddy = Buddy { name, groups: self.open.clone(), ..Buddy::new(uri) };
        let key = address_key(uri);
        if let Some(&place) = self.known.get(&key) {
            return self.join(place, buddy);
        }
        self.found.take(line, buddy)?;
        if let Some(buddy) = self.found.imported.buddies.get(self.known.len()) {
            let place = self.known.len();
            self.groups.extend(buddy.groups.iter().map(|group| (place, fold(group))));
            self.words.extend(buddy.words().map(|word| (place, fold(word))));
            self.known.insert(key, place);
        }
        Ok(())
    }

    /// Puts what a further entry says of somebody to what is known.
    fn join(&mut self, place: usize, more: Buddy) -> Result<(), ExchangeError> {
        let (Ok(more), Some(known)) = (clean::buddy(more), self.found.imported.buddies.get_mut(place)) else {
            return Ok(());
        };
        let before = known.groups.len() + known.aliases.len();
        known.groups.extend(more.groups.into_iter().filter(|group| self.groups.insert((place, fold(group)))));
        let name = more.name.filter(|name| self.words.insert((place, fold(name))));
        if known.name.is_none() {
            known.name = name;
        } else {
            known.aliases.extend(name);
        }
        self.found.words += known.groups.len() + known.aliases.len() - before;
        self.found.check()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, read as read_text},
        *,
    };

    const FILE: &[u8] = include_bytes!("../../../tests/exchange/resource-lists.xml");

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn nested_lists_are_groups_and_references_are_counted() {
        assert_eq!(Format::of_text(FILE), Some(Format::ResourceLists));
        let found = read_text(FILE, Format::ResourceLists).unwrap();
        let alice = Buddy {
            name: Some("Alice & Co".into()),
            aliases: words(&["Al"]),
            groups: words(&["friends", "close-friends", "team"]),
            ..Buddy::new("sip:alice@example.com")
        };
        let bob = Buddy {
            name: Some("Bob".into()),
            groups: words(&["friends"]),
            ..Buddy::new("sip:bob@example.com;transport=tcp")
        };
        assert_eq!(
            found.buddies,
            [bob, alice, Buddy { groups: words(&["team"]), ..Buddy::new("pres:carol@example.com") }]
        );
        assert_eq!(found.ignored.into_iter().collect::<Vec<_>>(), [(REFERENCES, 2)]);
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "line 19: the entry has no uri",
                "line 20: \"mailto:dave@example.com\" is no SIP address: write sip:bob@example.com or bob@example.com",
            ]
        );
    }

    #[test]
    fn a_list_is_written_as_the_rfc_has_it() {
        let alice = Buddy {
            name: Some("Alice <\"&".into()),
            groups: words(&["team & \"co\"", "friends"]),
            ..Buddy::new("sip:alice@example.com")
        };
        let list = Buddies(vec![alice, Buddy::new("bob@example.com?a&b")]);
        let text = write(&list);
        assert_eq!(
            text,
            "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">
  <list>
    <entry uri=\"sip:bob@example.com?a&amp;b\"/>
  </list>
  <list name=\"team &amp; &quot;co&quot;\">
    <entry uri=\"sip:alice@example.com\">
      <display-name>Alice &lt;\"&amp;</display-name>
    </entry>
  </list>
  <list name=\"friends\">
    <entry uri=\"sip:alice@example.com\">
      <display-name>Alice &lt;\"&amp;</display-name>
    </entry>
  </list>
</resource-lists>
"
        );
        let read = read_text(text.as_bytes(), Format::ResourceLists).unwrap().buddies;
        assert_eq!(read, [Buddy::new("sip:bob@example.com?a&b"), list.0[0].clone()]);
    }

    #[test]
    fn what_is_no_list_or_has_entities_of_its_own_is_refused() {
        for (text, expected) in [
            ("<presence/>", "its root is \"presence\", not resource-lists"),
            ("<resource-lists>", "document ends inside an element"),
            ("<!DOCTYPE x [<!ENTITY a \"b\">]><resource-lists/>", "document type declarations are refused"),
            ("<resource-lists>&a;</resource-lists>", "entity `a` is not known"),
            ("alice", "content outside the root element"),
        ] {
            let error = read_text(text.as_bytes(), Format::ResourceLists).unwrap_err().to_string();
            assert!(error.starts_with("it is no xml: ") && error.contains(expected), "{text:?}: {error}");
        }
        let deep = format!("<resource-lists>{}", "<list>".repeat(100_000));
        assert!(read_text(deep.as_bytes(), Format::ResourceLists).is_err());
    }
}
