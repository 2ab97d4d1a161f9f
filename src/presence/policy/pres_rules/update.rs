//! Our rules brought up to date in a document that others write too.

use super::{COMMON_POLICY, LIMITS, RulesError, id::Place, is, rules, write};
use crate::presence::{
    policy::Policy,
    xml::{Edits, Tree, decode},
};

/// Brings a document up to date; rules that are not ours stay.
///
/// # Errors
/// When it is no set of rules.
pub fn update(text: &[u8], policy: &Policy) -> Result<String, RulesError> {
    let text = decode(text, None)?;
    let tree = Tree::parse_within(text.as_bytes(), Some("utf-8"), LIMITS)?;
    rules(&tree)?;
    let mut wanted = write::all(policy);
    let mut last = wanted.pop_if(|(place, _)| *place == Place::Default).map(|(_, default)| default);
    let before: Vec<String> = wanted.into_iter().map(|(_, rule)| rule).collect();
    // All but the default stand where the first one stood; else in front of the first rule that stays.
    let mut front = (!before.is_empty()).then(|| before.join("\n"));
    let mut edits = Edits::new(&text);
    let mut first = None;
    for child in tree.root().children() {
        let ours =
            child.attribute("id").filter(|_| is(child, COMMON_POLICY, "rule")).and_then(|id| Place::of(id.trim()));
        let with = match ours {
            Some(Place::List(_) | Place::Rule(_)) if first.is_none() => front.take(),
            Some(Place::List(_) | Place::Rule(_)) => None,
            Some(Place::Default) => last.take(),
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
