//! The policy as a document that servers understand: common policy (RFC 4745) with presence rules (RFC 5025).
//!
//! What we write stands in rules whose ids begin with `sippresence-`: one for each list, then the rules, the most generous
//! first, and one for everybody else at the end, since some servers take the first rule that fits (peers observed:
//! Kamailio). All other rules of a document are some other program's and stay as they are, byte for byte.
//!
//! A server unites all rules that hold (RFC 4745 §10.2), while here a list goes before every rule, a rule before the default,
//! and what is shown in place of our state before the truth. So whom one part of the policy gives less is left out of what
//! gives more (`held_back.rs`). What common policy has no words for stands in elements of our own; others do not know
//! them, and by the RFCs do not open for them. So another program may give less than we do, and never more.
//!
//! Reading never opens: a part that is not known grants nothing, a condition that is not known never holds, and a rule of
//! ours that says more than we write lists nobody.

mod held_back;
mod id;
mod loose;
mod ours;
mod read;
mod shown;
mod times;
mod update;
mod write;

use super::Action;
use crate::presence::xml::{Element, Error, Limits, Tree};

pub use self::{
    loose::{Loose, loose},
    ours::{Read, read},
    read::{NotUnderstood, Rules, read_rules},
    update::update,
    write::write,
};

const COMMON_POLICY: &str = "urn:ietf:params:xml:ns:common-policy";
const PRES_RULES: &str = "urn:ietf:params:xml:ns:pres-rules";
/// What common policy has no words for.
const OWN: &str = "tag:sippresence,2026:policy";
/// What a server may send: 1 MiB, and persons as many as that holds.
const LIMITS: Limits = Limits { bytes: 1024 * 1024, elements: 64 * 1024 };

/// Why a document is no set of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It is no XML that we read.
    #[error(transparent)]
    Xml(#[from] Error),
    /// It is another document.
    #[error("its root is no ruleset")]
    NoRuleset,
    /// A rule has no id, or one that is none (RFC 4745 §7: it is an XML ID).
    #[error("{0:?} is no id of a rule")]
    NoId(String),
    /// Two rules have one id.
    #[error("two of its rules have one id")]
    Twice,
}

/// Returns the rules of a document with their ids.
fn rules(tree: &Tree) -> Result<Vec<(&str, Element<'_>)>, RulesError> {
    let root = tree.root();
    if !is(root, COMMON_POLICY, "ruleset") {
        return Err(RulesError::NoRuleset);
    }
    let found: Vec<_> = root.children().filter(|child| is(*child, COMMON_POLICY, "rule")).collect();
    let found: Vec<_> = found.into_iter().map(|rule| (rule.attribute("id").unwrap_or_default().trim(), rule)).collect();
    let mut ids = std::collections::HashSet::new();
    if found.iter().any(|(id, _)| !id.is_empty() && !ids.insert(*id)) {
        return Err(RulesError::Twice);
    }
    Ok(found)
}

fn is(element: Element<'_>, namespace: &str, name: &str) -> bool {
    element.namespace() == namespace && element.name() == name
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

fn action_of(said: &str) -> Option<Action> {
    let known = [Action::Block, Action::Ask, Action::PoliteBlock, Action::Allow];
    known.into_iter().find(|action| word(*action) == said.trim())
}

#[cfg(test)]
mod tests;
