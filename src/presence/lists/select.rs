//! Which element of a document a node selector means (RFC 4825 §6.3), as far as references between lists need it.

use quick_xml::escape::unescape;

use super::is_ours;
use crate::{presence::xml::Element, sip::uri::unescape_user};

/// A condition on an element among its siblings.
enum Predicate<'s> {
    Place(usize),
    Attribute(&'s str, &'s str),
}

/// Returns the element that is meant, from the root of its document on; none where several are, or where the selector is no
/// path of names with places and attributes, such as `resource-lists/list%5b@name=%22friends%22%5d`.
pub(super) fn select<'t>(root: Element<'t>, selector: &str) -> Option<Element<'t>> {
    // What follows the question mark binds prefixes; they are taken for ours.
    let path = unescape_user(selector.split('?').next().unwrap_or_default());
    let mut meant: Option<Element<'t>> = None;
    for step in steps(path.trim_matches('/')) {
        let (name, predicates) = parse(step)?;
        let mut candidates: Vec<Element<'t>> = match meant {
            Some(parent) => parent.children().collect(),
            None => vec![root],
        };
        candidates.retain(|candidate| is_ours(*candidate) && (name == "*" || candidate.name() == name));
        for predicate in predicates {
            match predicate {
                Predicate::Place(place) => candidates = candidates.get(place - 1).copied().into_iter().collect(),
                Predicate::Attribute(name, value) => {
                    let value = unescape(value).ok()?;
                    candidates.retain(|candidate| candidate.attribute(name) == Some(&*value));
                }
            }
        }
        let [one] = candidates[..] else { return None };
        meant = Some(one);
    }
    meant
}

/// Cuts a path at its slashes, but for those that stand in quotes.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    path.split(move |c| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c == '/'
    })
}

/// Reads a step: a name, without its prefix, and what stands behind it in brackets.
fn parse(step: &str) -> Option<(&str, Vec<Predicate<'_>>)> {
    let (name, mut rest) = step.split_at(step.find('[').unwrap_or(step.len()));
    let name = name.rsplit(':').next().filter(|name| !name.is_empty())?;
    let mut predicates = Vec::new();
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[')?;
        let end = if let Some(attribute) = inner.strip_prefix('@') {
            let (name, value) = attribute.split_once('=')?;
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, after) = value[1..].split_once(quote)?;
            predicates.push(Predicate::Attribute(name, value));
            after
        } else {
            let (place, _) = inner.split_once(']')?;
            predicates.push(Predicate::Place(place.parse().ok().filter(|place| *place > 0)?));
            &inner[place.len()..]
        };
        rest = end.strip_prefix(']')?;
    }
    Some((name, predicates))
}
