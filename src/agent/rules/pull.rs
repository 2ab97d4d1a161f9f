//! What the account's server has of the policy, taken in here: what another program changed there, and nobody changed here.

use std::{collections::BTreeSet, sync::Arc};

use jiff::tz::TimeZone;

use super::RulesError;
use crate::{
    agent::{Looked, Seen},
    client::{
        Action, Policy,
        pres_rules::{self, NotUnderstood, Read},
    },
    config::{
        List, Paths, PolicyFile,
        policy::{PolicyError, RuleWords},
    },
};

/// Why a rule stays where it is.
const NO_WORDS: &str = "the policy file has no words for what it says";

/// What taking the server's rules in does to ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pulled {
    /// Who comes onto which list, or off every one.
    pub listed: Vec<(String, Option<List>)>,
    /// What everybody else gets.
    pub default: Option<Action>,
    /// Who was decided about here and there, and stays as decided here.
    pub stays: Vec<String>,
    /// Which rules become others.
    pub rules: Vec<RuleChange>,
    /// The ids of the rules that are other programs' and are not taken in.
    pub others: Vec<Arc<str>>,
    /// What cannot be taken in, each rule with the reason.
    pub left: Vec<NotUnderstood>,
    /// Which rules of ours were changed by another program so that they cannot be taken in.
    pub unreadable: Vec<Action>,
}

/// A rule of the policy file that becomes another.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleChange {
    /// Its id.
    pub id: Arc<str>,
    /// What it says now; none is gone.
    pub now: Option<RuleWords>,
    /// What it said here; none is new.
    pub was: Option<RuleWords>,
}

/// Says what is to be taken in of what stands there now, rules of other programs too if `all` are.
///
/// `policy` is what the file here says.
///
/// # Errors
/// When that cannot be read.
pub fn compare(looked: &Looked, here: &PolicyFile, policy: &Policy, all: bool) -> Result<Pulled, RulesError> {
    let there =
        looked.found.as_ref().map(|there| pres_rules::read(&there.body, &here.zone)).transpose()?.unwrap_or_default();
    let before = match &looked.before {
        Some(Seen::Document(before)) => pres_rules::read(&before.body, &here.zone).ok(),
        Some(Seen::Nothing) => Some(Read::default()),
        None => None,
    };
    let mut pulled = Pulled { unreadable: there.unreadable.clone(), ..Pulled::default() };
    // As they would stand there, for there what lists say of persons is part of rules too.
    let own = pres_rules::read(pres_rules::write(policy).as_bytes(), &here.zone)?;
    pulled.compare_rules(&there, before.as_ref(), &own, &here.zone);
    pulled.compare_others(&there.others, &own, &here.zone, all);
    let all: BTreeSet<&String> =
        there.listed.keys().chain(before.iter().flat_map(|before| before.listed.keys())).collect();
    let readable = |list: &List| !there.unreadable.contains(&list.action());
    for who in all {
        let now = there.listed.get(who).copied().and_then(list_of);
        let own = here.list_of(who);
        let was = before.as_ref().map(|before| before.listed.get(who).copied().and_then(list_of));
        if now == own || was == Some(now) || was.flatten().is_some_and(|was| !readable(&was)) {
            continue;
        }
        if own == was.flatten() {
            pulled.listed.push((who.clone(), now));
        } else {
            pulled.stays.push(who.clone());
        }
    }
    let was = before.map(|before| before.default);
    if let Some(now) = there.default.filter(|now| *now != here.default && was != Some(Some(*now))) {
        if here.default == was.flatten().unwrap_or_default() {
            pulled.default = Some(now);
        } else {
            pulled.stays.push("everybody else".to_owned());
        }
    }
    Ok(pulled)
}

impl Pulled {
    fn compare_rules(&mut self, there: &Read, before: Option<&Read>, own: &Read, zone: &TimeZone) {
        let rule_of = |read: &Read, id: &str| read.rules.iter().find(|rule| *rule.id == *id).cloned();
        self.left.extend(there.not_understood.iter().cloned());
        let all = there.rules.iter().chain(before.iter().flat_map(|before| &before.rules));
        let ids: BTreeSet<&Arc<str>> = all.map(|rule| &rule.id).collect();
        for id in ids {
            let (now, own) = (rule_of(there, id), rule_of(own, id));
            let was = before.map(|before| rule_of(before, id));
            let is_understood = !there.not_understood.iter().any(|part| part.rule == *id);
            if now == own || was.as_ref() == Some(&now) || !is_understood {
                continue;
            }
            if own != was.flatten() {
                self.stays.push(format!("rule {id}"));
                continue;
            }
            match now.as_ref().map(|now| RuleWords::of(now, zone)) {
                Some(None) => self.leave(id, NO_WORDS),
                now => {
                    let was = own.and_then(|own| RuleWords::of(&own, zone));
                    self.rules.push(RuleChange { id: Arc::clone(id), now: now.flatten(), was });
                }
            }
        }
    }

    fn compare_others(&mut self, others: &pres_rules::Rules, own: &Read, zone: &TimeZone, all: bool) {
        if !all {
            self.others = others.rules.iter().map(|rule| Arc::clone(&rule.id)).collect();
            return;
        }
        self.left.extend(others.not_understood.iter().cloned());
        for rule in &others.rules {
            if others.not_understood.iter().any(|part| part.rule == rule.id) {
                continue;
            }
            let here = own.rules.iter().find(|own| own.id == rule.id).map(|own| RuleWords::of(own, zone));
            match (RuleWords::of(rule, zone), here) {
                (None, _) => self.leave(&rule.id, NO_WORDS),
                (Some(now), None) => {
                    self.rules.push(RuleChange { id: Arc::clone(&rule.id), now: Some(now), was: None });
                }
                (now, Some(here)) if now == here => {}
                (Some(_), Some(_)) => self.leave(&rule.id, "a rule of that name is here"),
            }
        }
    }

    fn leave(&mut self, id: &Arc<str>, what: &str) {
        self.left.push(NotUnderstood { rule: Arc::clone(id), what: what.to_owned() });
    }

    /// Puts it in the policy file.
    ///
    /// # Errors
    /// When that cannot be read or written.
    pub fn apply(&self, paths: &Paths) -> Result<(), RulesError> {
        let unwritable = |error: PolicyError| match error {
            PolicyError::File(error) => Some(RulesError::from(error)),
            // Nobody whom a file can name.
            PolicyError::Who(_) => None,
        };
        for (who, list) in &self.listed {
            let path = &paths.policy_file;
            let done = match list {
                Some(list) => PolicyFile::set(path, who, *list),
                None => PolicyFile::forget(path, who),
            };
            if let Some(error) = done.err().and_then(unwritable) {
                return Err(error);
            }
        }
        if let Some(default) = self.default {
            PolicyFile::set_default(&paths.policy_file, default)?;
        }
        for RuleChange { id, now, was } in &self.rules {
            match now {
                Some(now) => PolicyFile::put_rule(&paths.policy_file, now, was.as_ref())?,
                None => PolicyFile::remove_rule(&paths.policy_file, id)?,
            };
        }
        Ok(())
    }

    /// Says whether nothing is another.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.default.is_none() && self.rules.is_empty()
    }
}

fn list_of(action: Action) -> Option<List> {
    [List::Allow, List::PoliteBlock, List::Block].into_iter().find(|list| list.action() == action)
}

#[cfg(test)]
mod tests;
