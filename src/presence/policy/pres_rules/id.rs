//! Which rules of a document are ours, and where they stand.

use std::sync::Arc;

use crate::presence::policy::Action;

/// What the ids of our rules begin with.
const OURS: &str = "sippresence-";
/// What the ids of those begin with that are rules here too.
const RULE: &str = "rule-";
/// The lists, the strictest first.
pub(super) const LISTS: [Action; 4] = [Action::Block, Action::Ask, Action::PoliteBlock, Action::Allow];

/// What a rule of ours stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A list.
    List(Action),
    /// A rule.
    Rule(Arc<str>),
    /// Everybody else.
    Default,
}

impl Place {
    /// Returns the id that stands in the document.
    pub(super) fn id(&self) -> String {
        match self {
            Self::List(action) => format!("{OURS}{action}"),
            Self::Rule(id) => format!("{OURS}{RULE}{}", escaped(id)),
            Self::Default => format!("{OURS}default"),
        }
    }

    /// Reads an id; none is another program's.
    pub(super) fn of(id: &str) -> Option<Self> {
        let ours = id.strip_prefix(OURS)?;
        if let Some(rule) = ours.strip_prefix(RULE) {
            return unescaped(rule).map(|id| Self::Rule(id.into()));
        }
        LISTS.into_iter().map(Self::List).chain([Self::Default]).find(|place| place.id() == id)
    }
}

/// Says whether a text is an XML ID, an `NCName`.
pub(super) fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}'))
}

/// Writes a name so that it can be part of an id, each differently: `_` is `__`, what no id has is `_HEX_`.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '_' => out.push_str("__"),
            '-' | '.' => out.push(c),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => out.extend(["_".to_owned(), format!("{:x}", u32::from(c)), "_".to_owned()]),
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((plain, escape)) = rest.split_once('_') {
        let (code, after) = escape.split_once('_')?;
        out.push_str(plain);
        out.push(if code.is_empty() { '_' } else { char::from_u32(u32::from_str_radix(code, 16).ok()?)? });
        rest = after;
    }
    out.push_str(rest);
    // Of two ways to write a name, one is ours.
    (escaped(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_an_id_of_its_own() {
        for name in ["work", "work_hours", "_", "__", "böse Leute", "a_5f_b", "x.y-z", "", "日本"] {
            let place = Place::Rule(name.into());
            assert!(is_id(&place.id()), "{}", place.id());
            assert_eq!(Place::of(&place.id()), Some(place));
        }
        for place in LISTS.into_iter().map(Place::List).chain([Place::Default]) {
            assert_eq!(Place::of(&place.id()), Some(place));
        }
        for other in ["work", "sippresence-", "sippresence-work", "sippresence-rule-_", "sippresence-rule-_61_"] {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_a_name_of_xml() {
        for (text, expected) in
            [("a", true), ("_a-1.b", true), ("é", true), ("", false), ("1a", false), ("a b", false), ("a:b", false)]
        {
            assert_eq!(is_id(text), expected, "{text}");
        }
    }
}
