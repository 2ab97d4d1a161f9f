//! Resource lists as RFC 4826 §3 has them: what stands where, and what may stand in a list once only.

use std::collections::HashSet;

use super::conflict::Conflict;
use crate::presence::xml::Element;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

/// Looks a document over, from its root.
pub(super) fn check(root: Element<'_>) -> Result<(), Conflict> {
    if !is_ours(root) || root.name() != "resource-lists" {
        return Err(Conflict::Schema("its root is no resource-lists".into()));
    }
    if let Some(odd) = root.children().find(|child| is_ours(*child) && child.name() != "list") {
        return Err(Conflict::Schema(format!("{} stands outside of any list", odd.name())));
    }
    lists(root)
}

/// Looks at the lists that stand in one place; nesting is no deeper than XML may be here.
fn lists(parent: Element<'_>) -> Result<(), Conflict> {
    let mut names = HashSet::new();
    for list in parent.children().filter(|child| is_ours(*child) && child.name() == "list") {
        // §3.2: two without a name have none in common.
        if let Some(name) = list.attribute("name")
            && !names.insert(name)
        {
            return Err(Conflict::Uniqueness(format!("two lists in one place are called {name}")));
        }
        members(list)?;
        lists(list)?;
    }
    Ok(())
}

fn members(list: Element<'_>) -> Result<(), Conflict> {
    let mut seen = HashSet::new();
    for member in list.children().filter(|child| is_ours(*child)) {
        let (key, needed) = match member.name() {
            "entry" => ("uri", true),
            "entry-ref" => ("ref", true),
            "external" => ("anchor", false),
            "list" | "display-name" => continue,
            other => return Err(Conflict::Schema(format!("there is no {other} in a list"))),
        };
        let value = member.attribute(key).map(str::trim).filter(|value| !value.is_empty());
        match value {
            Some(value) if !seen.insert((key, value)) => {
                return Err(Conflict::Uniqueness(format!("{value} stands in a list twice")));
            }
            None if needed => return Err(Conflict::Schema(format!("a {} has no {key}", member.name()))),
            _ => {}
        }
    }
    Ok(())
}

fn is_ours(element: Element<'_>) -> bool {
    element.namespace() == NAMESPACE
}
