//! The policy as a document that servers understand: common policy (RFC 4745) with presence rules (RFC 5025).
//!
//! What we write stands in rules whose ids begin with `sippresence-`: one for each list, in front, and one for everybody
//! else, at the end, since some servers take the first rule that fits (peers observed: Kamailio). By RFC 4745 §10.2 the most
//! generous rule wins, so who gets less than everybody else is left out of that one. All other rules of a document are some
//! other program's and stay as they are, byte for byte.
//!
//! Reading never opens: a rule of ours that says more than we write, or has a condition that is not known, lists nobody.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Action, Policy, canonical};
use crate::presence::xml::{Edits, Element, Error, Limits, Tree, decode, escape_attribute};

const COMMON_POLICY: &str = "urn:ietf:params:xml:ns:common-policy";
const PRES_RULES: &str = "urn:ietf:params:xml:ns:pres-rules";
/// What the ids of our rules begin with.
const OURS: &str = "sippresence-";
/// What a server may send: 1 MiB, and persons as many as that holds.
const LIMITS: Limits = Limits { bytes: 1024 * 1024, elements: 64 * 1024 };
/// The lists, those first of whom a server must know first.
const LISTS: [Action; 3] = [Action::Block, Action::PoliteBlock, Action::Allow];

/// Why a document is no set of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It is no XML that we read.
    #[error(transparent)]
    Xml(#[from] Error),
    /// It is another document.
    #[error("its root is no ruleset")]
    NoRuleset,
    /// Two rules have one id (RFC 4745 §7: it is an XML ID).
    #[error("two of its rules have one id")]
    Twice,
}

/// What our rules in a document say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Who stands on which list.
    pub listed: BTreeMap<String, Action>,
    /// What everybody else gets, if that is said.
    pub default: Option<Action>,
    /// How many rules are other programs'.
    pub others: usize,
    /// Which of our rules were changed by another program so that they list nobody, by what they do.
    pub unreadable: Vec<Action>,
}

/// Writes lists and default as a document of their own.
pub fn write(policy: &Policy) -> String {
    let rules = Written::of(policy);
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ruleset xmlns=\"{COMMON_POLICY}\">\n");
    for line in rules.0.values().flat_map(|rule| rule.lines()) {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("</ruleset>\n");
    text
}

/// Brings a document up to date; rules that are not ours stay.
///
/// # Errors
/// When it is no set of rules.
pub fn update(text: &[u8], policy: &Policy) -> Result<String, RulesError> {
    let text = decode(text, None)?;
    let tree = Tree::parse_within(text.as_bytes(), Some("utf-8"), LIMITS)?;
    rules(&tree)?;
    let mut wanted = Written::of(policy);
    let mut last = wanted.0.remove(&Place::Default);
    let lists: Vec<String> = wanted.0.into_values().collect();
    // All lists stand where the first one stood; else in front of the first rule that stays.
    let mut front = (!lists.is_empty()).then(|| lists.join("\n"));
    let mut edits = Edits::new(&text);
    let mut first = None;
    for child in tree.root().children() {
        let ours = child.attribute("id").filter(|_| is_common(child, "rule")).and_then(place_of);
        let with = match ours {
            Some(Place::List(_)) if first.is_none() => front.take(),
            Some(Place::Default) => last.take(),
            Some(Place::List(_)) => None,
            None => {
                first = first.or(Some(child));
                continue;
            }
        };
        match with {
            Some(with) => edits.replace(child, &with),
            None => edits.remove(child),
        }
        if ours == Some(Place::Default) {
            first = first.or(Some(child));
        }
    }
    match (first, front) {
        (Some(first), Some(front)) => edits.put_before(first, &front),
        (None, Some(front)) => last = Some(last.map_or_else(|| front.clone(), |last| format!("{front}\n{last}"))),
        (_, None) => {}
    }
    edits.put_last(tree.root(), last.as_slice());
    Ok(edits.apply())
}

/// Reads what our rules say.
///
/// # Errors
/// When it is no set of rules.
pub fn read(text: &[u8]) -> Result<Read, RulesError> {
    let tree = Tree::parse_within(text, None, LIMITS)?;
    let mut read = Read::default();
    let mut lists: Vec<(Action, BTreeSet<String>)> = Vec::new();
    for (id, rule) in rules(&tree)? {
        match place_of(&id) {
            None => read.others += 1,
            Some(Place::Default) => read.default = action_of(rule),
            Some(Place::List(action)) => match persons(rule).filter(|_| action_of(rule) == Some(action)) {
                Some(persons) => lists.push((action, persons)),
                None => read.unreadable.push(action),
            },
        }
    }
    // On several lists, the strictest counts.
    lists.sort_by_key(|(action, _)| LISTS.iter().rev().position(|list| list == action));
    for (action, persons) in lists {
        read.listed.extend(persons.into_iter().map(|who| (who, action)));
    }
    Ok(read)
}

/// Where a rule of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    List(Action),
    Default,
}

impl Place {
    fn order(self) -> usize {
        match self {
            Self::List(action) => LISTS.iter().position(|list| *list == action).unwrap_or_default(),
            Self::Default => LISTS.len(),
        }
    }

    fn id(self) -> String {
        match self {
            Self::List(action) => format!("{OURS}{action}"),
            Self::Default => format!("{OURS}default"),
        }
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

fn place_of(id: &str) -> Option<Place> {
    let places = LISTS.into_iter().map(Place::List).chain([Place::Default]);
    places.into_iter().find(|place| place.id() == id)
}

/// Our rules, written out, in their order.
struct Written(BTreeMap<Place, String>);

impl Written {
    fn of(policy: &Policy) -> Self {
        let mut listed: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
        for (who, action) in policy.entries().filter(|(_, action)| LISTS.contains(action)) {
            listed.entry(Place::List(action)).or_default().insert(who);
        }
        let least = value(policy.default);
        let less = listed.iter().filter(|(place, _)| matches!(place, Place::List(action) if value(*action) < least));
        let except: Vec<&str> = less.flat_map(|(_, who)| who.iter().copied()).collect();
        let mut many: Vec<String> = vec!["<many>".to_owned()];
        many.extend(except.iter().map(|who| format!("  <except id=\"{}\"/>", escape_attribute(who))));
        many.push("</many>".to_owned());
        if except.is_empty() {
            many = vec!["<many/>".to_owned()];
        }
        let one = |who: &&str| format!("<one id=\"{}\"/>", escape_attribute(who));
        let lists = listed.iter().map(|(place, who)| (*place, who.iter().map(one).collect::<Vec<_>>()));
        let all = lists.chain([(Place::Default, many)]);
        Self(all.map(|(place, who)| (place, rule(place, &who, policy.default))).collect())
    }
}

fn rule(place: Place, who: &[String], default: Action) -> String {
    let action = if let Place::List(action) = place { action } else { default };
    let (id, word) = (place.id(), word(action));
    let who: String = who.iter().fold(String::new(), |all, line| all + "\n      " + line);
    let shown = if action == Action::Allow {
        "\n  <transformations>\n    <pr:provide-services><pr:all-services/></pr:provide-services>\
         \n    <pr:provide-persons><pr:all-persons/></pr:provide-persons>\
         \n    <pr:provide-devices><pr:all-devices/></pr:provide-devices>\
         \n    <pr:provide-all-attributes/>\n  </transformations>"
    } else {
        ""
    };
    format!(
        "<rule xmlns=\"{COMMON_POLICY}\" xmlns:pr=\"{PRES_RULES}\" id=\"{id}\">\n  <conditions>\n    <identity>{who}\
         \n    </identity>\n  </conditions>\n  <actions>\n    <pr:sub-handling>{word}</pr:sub-handling>\n  </actions>{shown}\
         \n</rule>"
    )
}

/// Returns the word of RFC 5025 §3.2.1.
fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Ask => "confirm",
        Action::PoliteBlock => "polite-block",
        Action::Block => "block",
    }
}

/// Returns the value by which the most generous rule wins (RFC 5025 §3.2.1).
fn value(action: Action) -> u8 {
    match action {
        Action::Block => 0,
        Action::Ask => 10,
        Action::PoliteBlock => 20,
        Action::Allow => 30,
    }
}

/// Returns the rules of a document by their ids.
fn rules(tree: &Tree) -> Result<Vec<(String, Element<'_>)>, RulesError> {
    let root = tree.root();
    if !is_common(root, "ruleset") {
        return Err(RulesError::NoRuleset);
    }
    let mut ids = HashSet::new();
    let mut found = Vec::new();
    for rule in root.children().filter(|child| is_common(*child, "rule")) {
        let id = rule.attribute("id").unwrap_or_default();
        if !id.is_empty() && !ids.insert(id) {
            return Err(RulesError::Twice);
        }
        found.push((id.to_owned(), rule));
    }
    Ok(found)
}

fn is_common(element: Element<'_>, name: &str) -> bool {
    element.namespace() == COMMON_POLICY && element.name() == name
}

/// Returns the only child of an element, if it is of common policy.
fn only<'a>(element: Element<'a>, name: &str) -> Option<Element<'a>> {
    let mut children = element.children();
    children.next().filter(|child| is_common(*child, name) && children.next().is_none())
}

/// Returns whom a rule lists, unless it is about anything else too.
fn persons(rule: Element<'_>) -> Option<BTreeSet<String>> {
    let conditions = rule.children().find(|child| is_common(*child, "conditions"))?;
    let identity = only(conditions, "identity")?;
    identity
        .children()
        .map(|one| {
            let id = one.attribute("id").filter(|_| is_common(one, "one") && one.children().next().is_none())?;
            Some(canonical(id))
        })
        .collect()
}

/// Returns what a rule does; an action that is not known grants nothing (POL-16).
fn action_of(rule: Element<'_>) -> Option<Action> {
    let actions = rule.children().find(|child| is_common(*child, "actions"))?;
    let is_handling = |child: &Element<'_>| child.namespace() == PRES_RULES && child.name() == "sub-handling";
    let said = actions.children().find(is_handling)?.text();
    let known = [Action::Block, Action::Ask, Action::PoliteBlock, Action::Allow];
    known.into_iter().find(|action| word(*action) == said.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(default: Action, listed: &[(&str, Action)]) -> Policy {
        let mut policy = Policy::new(default);
        for (who, action) in listed {
            policy.set(who, *action);
        }
        policy
    }

    #[test]
    fn pol_17_lists_are_written_as_the_rfcs_have_them_in_an_order_that_every_server_understands() {
        let listed = [("bob@h", Action::Allow), ("eve@h", Action::Block), ("al&ice@h", Action::Allow)];
        let text = write(&policy(Action::Ask, &listed));
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\">
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-block\">
    <conditions>
      <identity>
        <one id=\"sip:eve@h\"/>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>block</pr:sub-handling>
    </actions>
  </rule>
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-allow\">
    <conditions>
      <identity>
        <one id=\"sip:al&amp;ice@h\"/>
        <one id=\"sip:bob@h\"/>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>allow</pr:sub-handling>
    </actions>
    <transformations>
      <pr:provide-services><pr:all-services/></pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons>
      <pr:provide-devices><pr:all-devices/></pr:provide-devices>
      <pr:provide-all-attributes/>
    </transformations>
  </rule>
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-default\">
    <conditions>
      <identity>
        <many>
          <except id=\"sip:eve@h\"/>
        </many>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>confirm</pr:sub-handling>
    </actions>
  </rule>
</ruleset>
";
        assert_eq!(text, expected);
    }

    const OTHERS: &str = "\
<?xml version=\"1.0\"?>
<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:p=\"urn:ietf:params:xml:ns:pres-rules\">
  <!-- of the telephone -->
  <cr:rule id=\"phone\">
    <cr:conditions><cr:identity><cr:one id=\"sip:carol@h\"/></cr:identity></cr:conditions>
    <cr:actions><p:sub-handling>allow</p:sub-handling></cr:actions>
  </cr:rule>
</cr:ruleset>
";

    #[test]
    fn rules_of_other_programs_stay_as_they_are_between_ours() {
        let (one, two) =
            (policy(Action::Ask, &[("b@h", Action::Block)]), policy(Action::Allow, &[("c@h", Action::Allow)]));
        let first = update(OTHERS.as_bytes(), &one).unwrap();
        let phone = &OTHERS[OTHERS.find("  <cr:rule").unwrap()..OTHERS.find("</cr:ruleset>").unwrap()];
        let at = |text: &str, what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}: {text}"));
        assert!(
            at(&first, "sippresence-block") < at(&first, phone)
                && at(&first, phone) < at(&first, "sippresence-default")
        );
        assert!(first.contains("<!-- of the telephone -->"));
        assert_eq!(update(first.as_bytes(), &one).unwrap(), first, "and then all is as it should be");
        let second = update(first.as_bytes(), &two).unwrap();
        assert!(!second.contains("sippresence-block") && at(&second, "sippresence-allow") < at(&second, phone));
        let read = read(second.as_bytes()).unwrap();
        assert_eq!((read.others, read.default, read.listed.len()), (1, Some(Action::Allow), 1));
        // Whatever stood there, a server finds the lists before everybody else.
        let three = [("d@h", Action::PoliteBlock), ("e@h", Action::Allow), ("f@h", Action::Block)];
        let all =
            [&one, &two, &policy(Action::Ask, &three), &policy(Action::Ask, &three[..2]), &policy(Action::Block, &[])];
        for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (from, to))) {
            assert_eq!(update(write(from).as_bytes(), to).unwrap(), write(to));
        }
        let nobody = policy(Action::Ask, &[]);
        let empty = "<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\"/>";
        assert_eq!(
            self::read(update(empty.as_bytes(), &nobody).unwrap().as_bytes()),
            self::read(write(&nobody).as_bytes())
        );
    }

    #[test]
    fn pol_08_pol_16_reading_never_opens() {
        let mine = write(&policy(Action::Block, &[("bob@h", Action::Allow)]));
        let allowed = |text: &str| read(text.as_bytes()).unwrap();
        assert_eq!(allowed(&mine).listed.len(), 1);
        for (from, to) in [
            ("<conditions>", "<conditions><x:when xmlns:x=\"x\"/>"),
            ("<one id=\"sip:bob@h\"/>", "<one id=\"sip:bob@h\"><x:on xmlns:x=\"x\"/></one>"),
            ("<one id=\"sip:bob@h\"/>", "<many/>"),
            ("<one id=\"sip:bob@h\"/>", "<one/>"),
            (">allow<", ">ALLOW<"),
            (">allow<", ">confirm<"),
            ("<pr:sub-handling>allow</pr:sub-handling>", "<sub-handling>allow</sub-handling>"),
        ] {
            let read = allowed(&mine.replacen(from, to, if from == "<conditions>" { 9 } else { 1 }));
            assert!(read.listed.is_empty() && read.unreadable == [Action::Allow], "{to}: {read:?}");
            assert_eq!(read.default, Some(Action::Block));
        }
        let twice = mine.replace("sippresence-default", "sippresence-allow");
        assert_eq!(read(twice.as_bytes()), Err(RulesError::Twice));
        assert_eq!(update(twice.as_bytes(), &Policy::default()), Err(RulesError::Twice));
        assert_eq!(read(b"<ruleset/>"), Err(RulesError::NoRuleset));
        assert!(matches!(read(b"<!DOCTYPE a [<!ENTITY x 'y'>]><a/>"), Err(RulesError::Xml(_))));
        // On two lists, the strictest counts.
        let text =
            write(&policy(Action::Ask, &[("bob@h", Action::Allow), ("eve@h", Action::Block)])).replace("eve", "bob");
        assert_eq!(allowed(&text).listed.into_iter().collect::<Vec<_>>(), [("sip:bob@h".to_owned(), Action::Block)]);
    }

    proptest! {
        #[test]
        fn pol_17_what_is_exported_and_read_again_decides_the_same(
            default in 0..4_usize,
            listed in proptest::collection::btree_map("[a-zA-Z0-9&'+%;=.]{1,8}@[a-z]{1,4}", 0..3_usize, 0..8),
        ) {
            let actions = [Action::Allow, Action::PoliteBlock, Action::Block, Action::Ask];
            let listed: Vec<(&str, Action)> = listed.iter().map(|(who, action)| (who.as_str(), actions[*action])).collect();
            let policy = policy(actions[default], &listed);
            for text in [write(&policy), update(OTHERS.as_bytes(), &policy).unwrap()] {
                let read = read(text.as_bytes()).unwrap();
                prop_assert_eq!(read.default, Some(policy.default));
                let ours: BTreeMap<String, Action> = policy.entries().map(|(who, action)| (who.to_owned(), action)).collect();
                prop_assert_eq!(read.listed, ours);
            }
        }
    }
}
