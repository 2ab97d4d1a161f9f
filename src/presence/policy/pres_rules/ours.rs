//! What our own rules in a document stand for: lists, rules, default, as they were before they were written.

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    LIMITS, OWN, RulesError,
    held_back::undo,
    id::{LISTS, Place},
    is,
    read::{Found, NotUnderstood, Rules, exceptions, who},
    rules,
    times::name_of,
    write::EverybodyElse,
};
use crate::presence::{
    policy::{Action, Policy, Rule, Who},
    xml::{Element, Tree},
};

/// What our rules in a document say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Who stands on which list.
    pub listed: BTreeMap<String, Action>,
    /// What everybody else gets, if that is said.
    pub default: Option<Action>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The rules of other programs.
    pub others: Rules,
    /// Which of our lists were changed by another program so that they list nobody, by what they do.
    pub unreadable: Vec<Action>,
    /// What another program put into our other rules that is not known, and grants nothing.
    pub not_understood: Vec<NotUnderstood>,
}

/// Reads what our rules say; weekly times of another zone than `zone` never hold.
///
/// # Errors
/// When it is no set of rules.
pub fn read(text: &[u8], zone: &TimeZone) -> Result<Read, RulesError> {
    let tree = Tree::parse_within(text, None, LIMITS)?;
    let zone = name_of(zone);
    let mut read = Read::default();
    let (mut lists, mut own, mut default) = (Vec::new(), Vec::new(), None);
    for (id, element) in rules(&tree)? {
        let of = |id: &Arc<str>| Found::of(Arc::clone(id), element, zone.as_deref());
        match Place::of(id) {
            None => {
                let found = of(&id.into());
                read.others.rules.push(found.rule);
                read.others.not_understood.extend(found.not_understood);
            }
            Some(Place::List(action)) => match persons(&of(&id.into()), action) {
                Some(persons) => lists.push((action, persons)),
                None => read.unreadable.push(action),
            },
            Some(Place::Rule(id)) => own.push(of(&id)),
            Some(Place::Default) => default = Some(of(&"default".into())),
        }
    }
    // On several lists, the strictest counts.
    lists.sort_by_key(|(action, _)| LISTS.iter().rev().position(|list| list == action));
    for (action, persons) in lists {
        read.listed.extend(persons.into_iter().map(|who| (who, action)));
    }
    for found in own {
        let rule = as_it_was(found, &read.listed, &mut read.not_understood);
        read.rules.push(rule);
    }
    if let Some(found) = default {
        read.default = read.default_of(&found);
        read.not_understood.extend(found.not_understood);
        if read.default.is_none() {
            let what = "is about others than everybody else, or shows less".to_owned();
            read.not_understood.push(NotUnderstood { rule: found.rule.id, what });
        }
    }
    Ok(read)
}

/// Returns whom a list lists, unless it says anything else too.
fn persons(found: &Found<'_>, list: Action) -> Option<Vec<String>> {
    if !found.is_always() || !found.gives || found.rule.action != list || !found.shows_all() {
        return None;
    }
    let one = |who: &Who| if let Who::One(one) = who { Some(one.to_string()) } else { None };
    found.rule.who.as_ref()?.iter().map(one).collect()
}

/// Returns a rule with what was held back from others.
fn as_it_was(found: Found<'_>, listed: &BTreeMap<String, Action>, not_understood: &mut Vec<NotUnderstood>) -> Rule {
    let Found { mut rule, held_back, .. } = found;
    not_understood.extend(found.not_understood);
    let (mut taken, mut put, mut everybody) = (Vec::new(), Vec::new(), false);
    for part in held_back.iter().flat_map(|held_back: &Element<'_>| held_back.children()) {
        if let Some(who) = who(part) {
            taken.push(who);
        } else if let Some(except) = exceptions(part) {
            put.extend(except);
        } else if is(part, OWN, "everybody") {
            everybody = true;
        } else {
            let what = format!("{{{}}}{}", part.namespace(), part.name());
            not_understood.push(NotUnderstood { rule: Arc::clone(&rule.id), what });
        }
    }
    let is_less = |who: &str| listed.get(who).is_some_and(|action| action.value() < rule.action.value());
    rule.who = undo(rule.who.take(), is_less, &taken, &put, everybody);
    rule
}

impl Read {
    /// Returns the policy that the document stands for, if it says what everybody else gets.
    pub fn policy(&self, zone: &TimeZone) -> Option<Policy> {
        Some(self.policy_with(self.default?).in_zone(zone.clone()))
    }

    /// Returns the policy of a server that keeps the document: what other programs wrote counts too, and `default` where
    /// it does not say what everybody else gets.
    pub fn in_force(&self, default: Action, zone: &TimeZone) -> Policy {
        let policy = self.policy_with(self.default.unwrap_or(default));
        let rules = self.rules.iter().chain(&self.others.rules).cloned().collect();
        policy.with_rules(rules).in_zone(zone.clone())
    }

    fn policy_with(&self, default: Action) -> Policy {
        let mut policy = Policy::new(default).with_rules(self.rules.clone());
        for (who, action) in &self.listed {
            policy.set(who, *action);
        }
        policy
    }

    /// Returns what everybody else gets, unless the rule was narrowed, so that it would open to those left out.
    fn default_of(&self, found: &Found<'_>) -> Option<Action> {
        if !found.gives {
            return None;
        }
        if found.default.is_none() && found.rule.action == Action::Block {
            return Some(Action::Block);
        }
        let Some([Who::Many { domain: None, except }]) = found.rule.who.as_deref() else { return None };
        let is_as_written = |default: Action, lowered: bool| {
            let written = EverybodyElse::of(&self.policy_with(default));
            let Some([Who::Many { except: expected, .. }]) = written.told.who.as_deref() else { return false };
            written.action == found.rule.action
                && written.is_lowered == lowered
                && except.iter().all(|except| expected.contains(except))
        };
        let default = match found.default {
            Some(default) => Some(default).filter(|default| is_as_written(*default, true)),
            None => Some(found.rule.action).filter(|default| is_as_written(*default, false) && found.shows_all()),
        };
        default.filter(|_| found.is_always())
    }
}
