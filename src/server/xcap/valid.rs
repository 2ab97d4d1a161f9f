//! Whether a document may be kept where it is put (RFC 4825 §8.2.5): what is kept was understood before.

use jiff::tz::TimeZone;

use super::{Place, Usage, conflict::Conflict, lists};
use crate::presence::{
    pidf::{self, entity_matches},
    policy::pres_rules::{RulesError, read_rules},
    xml::{Element, Limits, Ns, Tree},
};

/// A body is no longer than [`serve`](crate::net::http::serve::Limits) takes; elements are as many as that holds.
const LIMITS: Limits = Limits { bytes: 1024 * 1024, elements: 64 * 1024 };

/// Looks a document over.
pub(super) fn check(place: &Place, body: &[u8]) -> Result<(), Conflict> {
    let text = std::str::from_utf8(body).map_err(|_| Conflict::NotUtf8)?;
    if says_another_encoding(text) {
        return Err(Conflict::NotUtf8);
    }
    let tree = Tree::parse_within(body, Some("utf-8"), LIMITS)?;
    if has_undeclared(tree.root()) {
        return Err(Conflict::NotWellFormed);
    }
    match place.usage {
        Usage::PresRules => rules(body),
        Usage::ResourceLists => lists::check(tree.root()),
        Usage::PidfManipulation => state(place, body),
    }
}

/// Whoever reads it later goes by what it says itself.
fn says_another_encoding(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let Some((declaration, _)) = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) else {
        return false;
    };
    let Some((_, value)) = declaration.split_once("encoding") else { return false };
    let value = value.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
    let value = value.trim_start_matches(['"', '\'']).split(['"', '\'']).next().unwrap_or_default();
    !["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// Returns whether a prefix somewhere stands for nothing (Namespaces in XML §3).
fn has_undeclared(element: Element<'_>) -> bool {
    element.ns() == Ns::UNDECLARED || element.children().any(has_undeclared)
}

/// What is not understood of rules grants nothing, and is kept: other programs may know it.
fn rules(body: &[u8]) -> Result<(), Conflict> {
    match read_rules(body, &TimeZone::UTC) {
        Ok(_) => Ok(()),
        Err(RulesError::Xml(error)) => Err(error.into()),
        Err(error) => Err(Conflict::Schema(error.to_string())),
    }
}

fn state(place: &Place, body: &[u8]) -> Result<(), Conflict> {
    let document = pidf::Document::parse(body, Some("utf-8")).map_err(|error| match error {
        pidf::Error::Xml(error) => error.into(),
        error => Conflict::Schema(error.to_string()),
    })?;
    // RFC 4827 §4.6: it is of whose tree it is in.
    if !entity_matches(&document.entity, &place.owner.address(), &[]) {
        return Err(Conflict::Constraint(format!("its entity is not {}", place.owner.address())));
    }
    Ok(())
}
