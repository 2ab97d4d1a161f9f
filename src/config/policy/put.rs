//! Rules that come from elsewhere, such as the account's server, put into the file without losing a comment.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::tz::TimeZone;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use super::{PolicyFile, change, dates_words, weekly_words};
use crate::{
    config::{
        array::{push, remove},
        error::ConfigError,
    },
    presence::{
        buddy::Buddies,
        policy::{Action, Except, Rule, Who, canonical, shown_words},
    },
};

const TABLE: &str = "rule";

/// A rule in the words of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleWords {
    id: String,
    /// The keys that have a list, each with it; left out where nothing is said.
    lists: Vec<(&'static str, Option<Vec<String>>)>,
    action: Action,
    instead: Option<(String, Option<String>)>,
}

impl RuleWords {
    /// Puts a rule into words; none if the file has no words for it, so that it would say something else there.
    pub fn of(rule: &Rule, zone: &TimeZone) -> Option<Self> {
        if rule.unknown {
            return None;
        }
        let allows = rule.action == Action::Allow;
        let instead = rule.instead.as_ref().filter(|_| allows).map(|instead| {
            let status = match instead.status.text() {
                Some(text) => format!("custom:{text}"),
                None => instead.status.word().to_owned(),
            };
            (status, instead.note.clone())
        });
        let shows = allows && instead.is_none() && !rule.shown.is_all();
        let some = |words: Vec<String>| Some(words).filter(|words| !words.is_empty());
        let words = Self {
            id: rule.id.as_ref().to_owned(),
            lists: vec![
                ("who", rule.who.as_ref().map(|who| who.iter().map(who_word).collect())),
                ("except", some(excepted(rule))),
                ("when", some(rule.times.weekly.iter().map(|weekly| weekly_words(*weekly)).collect())),
                ("dates", some(rule.times.dates.iter().map(|dates| dates_words(*dates, zone)).collect())),
                ("sphere", some(rule.spheres.iter().map(|sphere| sphere.as_ref().to_owned()).collect())),
                ("show", shows.then(|| shown_words(&rule.shown))),
            ],
            action: rule.action,
            instead,
        };
        words.says(rule, zone).then_some(words)
    }

    /// Says whether it reads back as the rule that it was.
    fn says(&self, rule: &Rule, zone: &TimeZone) -> bool {
        let mut document = DocumentMut::new();
        self.put(&mut document, None);
        let Ok(mut file) = PolicyFile::parse(&document.to_string(), Path::new("")) else { return false };
        let Some(written) = file.rules.pop() else { return false };
        let mut read = written.rule(&Buddies::default());
        // The dates are in the time zone of another file.
        let dates = self.lists.iter().filter(|(key, _)| *key == "dates").flat_map(|(_, dates)| dates.iter().flatten());
        let dates: Result<Vec<_>, String> = dates.map(|dates| super::parse_dates(dates, zone)).collect();
        read.times.dates = dates.unwrap_or_default();
        let mut rule = rule.clone();
        if rule.action != Action::Allow {
            rule.instead = None;
        }
        if rule.action != Action::Allow || rule.instead.is_some() {
            rule.shown = Arc::clone(&read.shown);
        }
        for rule in [&mut rule, &mut read] {
            for who in rule.who.iter_mut().flatten() {
                let Who::Many { except, .. } = who else { continue };
                let mut sorted: Vec<Except> = std::mem::take(except);
                sorted.sort_by_key(except_word);
                sorted.dedup();
                *except = sorted;
            }
        }
        rule == read
    }

    /// Puts it into a document, in the place of the rule of its name; what is as it `was` stays as it is written.
    fn put(&self, document: &mut DocumentMut, was: Option<&Self>) {
        let Some(rules) = rules_of(document) else { return };
        let at = rules.iter().position(|table| id_of(table) == Some(&self.id));
        if at.is_none() {
            let mut table = Table::new();
            table.insert("id", value(self.id.as_str()));
            rules.push(table);
        }
        let Some(table) = rules.get_mut(at.unwrap_or_else(|| rules.len() - 1)) else { return };
        let was = was.filter(|_| at.is_some());
        for (key, words) in &self.lists {
            let before =
                was.map(|was| was.lists.iter().find(|(other, _)| other == key).and_then(|(_, words)| words.as_ref()));
            if before != Some(words.as_ref()) {
                put_list(table, key, words.as_deref());
            }
        }
        if was.is_none_or(|was| was.action != self.action) {
            put_value(table, "action", self.action.to_string().into());
        }
        if was.is_none_or(|was| was.instead != self.instead) {
            match &self.instead {
                None => _ = table.remove("instead"),
                Some((status, note)) => {
                    let mut instead = InlineTable::new();
                    instead.insert("status", status.as_str().into());
                    if let Some(note) = note {
                        instead.insert("note", note.as_str().into());
                    }
                    put_value(table, "instead", instead.into());
                }
            }
        }
    }
}

impl PolicyFile {
    /// Puts a rule into the file, in the place of the one of its name or at the end; what is as it `was` stays as it is
    /// written, with its groups and comments.
    ///
    /// # Errors
    /// When the file cannot be read or written; it is as it was then.
    pub fn put_rule(path: &Path, rule: &RuleWords, was: Option<&RuleWords>) -> Result<Self, ConfigError> {
        change(path, true, |_, document| rule.put(document, was))
    }

    /// Takes a rule out of the file.
    ///
    /// # Errors
    /// When the file cannot be read or written; it is as it was then.
    pub fn remove_rule(path: &Path, id: &str) -> Result<Self, ConfigError> {
        change(path, false, |_, document| {
            if let Some(rules) = rules_of(document) {
                rules.retain(|table| id_of(table) != Some(id));
            }
        })
    }
}

/// Returns the rules of a document, as sections.
fn rules_of(document: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
    let item = document.entry(TABLE).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if item.is_value() {
        let inline = std::mem::take(item);
        *item = inline.into_array_of_tables().map_or_else(|inline| inline, Item::ArrayOfTables);
    }
    item.as_array_of_tables_mut()
}

fn id_of(table: &Table) -> Option<&str> {
    table.get("id").and_then(Item::as_str)
}

fn who_word(who: &Who) -> String {
    match who {
        Who::One(one) => bare(one),
        Who::Many { domain: Some(domain), .. } => format!("*@{domain}"),
        Who::Many { domain: None, .. } => "*".to_owned(),
    }
}

fn except_word(except: &Except) -> String {
    match except {
        Except::One(one) => bare(one),
        Except::Domain(domain) => format!("*@{domain}"),
    }
}

fn excepted(rule: &Rule) -> Vec<String> {
    let many = rule.who.iter().flatten().filter_map(|who| match who {
        Who::Many { except, .. } => Some(except),
        Who::One(_) => None,
    });
    many.flatten().map(except_word).collect::<BTreeSet<String>>().into_iter().collect()
}

fn bare(address: &str) -> String {
    address.strip_prefix("sip:").filter(|rest| rest.contains('@')).unwrap_or(address).to_owned()
}

/// Gives a list other words; comments stay with those that do.
fn put_list(table: &mut Table, key: &str, words: Option<&[String]>) {
    let Some(words) = words else {
        table.remove(key);
        return;
    };
    let is_same = |one: &str, other: &str| one == other || one.contains('@') && canonical(one) == canonical(other);
    if let Some(array) = table.get_mut(key).and_then(Item::as_array_mut) {
        let mut index = 0;
        while let Some(found) = array.get(index) {
            if found.as_str().is_some_and(|found| words.iter().any(|word| is_same(found, word))) {
                index += 1;
            } else {
                remove(array, index);
            }
        }
        for word in words {
            if !array.iter().filter_map(toml_edit::Value::as_str).any(|found| is_same(found, word)) {
                push(array, word);
            }
        }
    } else {
        table.insert(key, value(words.iter().collect::<Array>()));
    }
}

fn put_value(table: &mut Table, key: &str, new: toml_edit::Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new;
            *old.decor_mut() = decor;
        }
        None => _ = table.insert(key, Item::Value(new)),
    }
}

#[cfg(test)]
mod tests;
