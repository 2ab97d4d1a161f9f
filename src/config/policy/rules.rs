//! The rules of `policy.toml`, each a section `[[rule]]`.
//!
//! ```toml
//! [[rule]]
//! id = "office"                          # its name, told wherever it decides
//! who = ["*@example.com", "@team", "bob@host"]   # "*": whoever has proved who it is; left out: everybody
//! except = ["eve@example.com"]
//! when = ["mon-fri 08:00-18:00"]         # by the clock of `timezone`
//! dates = ["2026-12-01..2026-12-23"]
//! sphere = ["work"]                      # while I am there: `set available --sphere work`
//! action = "allow"
//! show = ["status", "note"]              # left out: everything
//! ```

use std::{collections::BTreeSet, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    super::{
        document::{Section, list, text},
        error::ConfigError,
        identity::{IdentityError, is_name, normalize},
    },
    words::{parse_dates, parse_weekly},
};
use crate::presence::{
    PresenceStatus,
    buddy::{Buddies, parse_group},
    policy::{Action, Except, Instead, Rule, Shown, Who, canonical},
    status::StatusArg,
    xml,
};

/// The most rules that a file has.
const MOST: usize = 100_000;

/// The keys of a rule, in the order in which they are told.
mod key {
    pub(super) const TABLE: &str = "rule";
    pub(super) const ID: &str = "id";
    pub(super) const WHO: &str = "who";
    pub(super) const EXCEPT: &str = "except";
    pub(super) const WHEN: &str = "when";
    pub(super) const DATES: &str = "dates";
    pub(super) const SPHERE: &str = "sphere";
    pub(super) const ACTION: &str = "action";
    pub(super) const SHOW: &str = "show";
    pub(super) const INSTEAD: &str = "instead";
}

/// A rule as it stands in the file: groups are names yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule {
    /// Everything but whom it is about.
    rule: Rule,
    /// Left out: everybody.
    who: Option<Vec<Named>>,
    except: Vec<Named>,
}

/// Whom a word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// A person, in canonical form.
    One(Box<str>),
    /// Those of a group of the buddy list.
    Group(String),
    /// All of a domain.
    Domain(Box<str>),
    /// Everybody who has proved who it is.
    Anybody,
}

impl WrittenRule {
    /// Goes through the groups that it names.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.who.iter().flatten().chain(&self.except).filter_map(|named| match named {
            Named::Group(group) => Some(group.as_str()),
            _ => None,
        })
    }

    /// Makes the rule, with the people of a buddy list in the places of its groups.
    ///
    /// One that allows, and makes an exception of a group that nobody is in, never holds: it is not known whom it was to
    /// leave out.
    pub fn rule(&self, buddies: &Buddies) -> Rule {
        let mut rule = self.rule.clone();
        let members = |group: &str| -> Vec<Box<str>> {
            let members = buddies.group(group).unwrap_or_default();
            let addresses = members.iter().map(|buddy| canonical(&buddy.address).into());
            addresses.collect()
        };
        let (mut except, mut left_out) = (Vec::new(), BTreeSet::new());
        for named in &self.except {
            match named {
                Named::One(one) => drop(left_out.insert(one.clone())),
                Named::Domain(domain) => except.push(Except::Domain(domain.clone())),
                Named::Group(group) => {
                    let members = members(group);
                    rule.unknown |= members.is_empty() && rule.action == Action::Allow;
                    left_out.extend(members);
                }
                Named::Anybody => {}
            }
        }
        let outside = |one: &str| {
            let host = one.rsplit_once('@').map_or("", |(_, host)| host);
            !left_out.contains(one) && !except.contains(&Except::Domain(host.into()))
        };
        let excepted: Vec<Except> = except.iter().cloned().chain(left_out.iter().cloned().map(Except::One)).collect();
        let many = |domain| Who::Many { domain, except: excepted.clone() };
        rule.who = self.who.as_ref().map(|who| {
            let mut all = Vec::new();
            for named in who {
                match named {
                    Named::One(one) => all.extend(Some(one.clone()).filter(|one| outside(one)).map(Who::One)),
                    Named::Group(group) => {
                        all.extend(members(group).into_iter().filter(|one| outside(one)).map(Who::One));
                    }
                    Named::Domain(domain) => all.push(many(Some(domain.clone()))),
                    Named::Anybody => all.push(many(None)),
                }
            }
            all
        });
        rule
    }
}

/// Reads all rules.
pub(super) fn read(root: &mut Section<'_>, zone: &TimeZone) -> Result<Vec<WrittenRule>, ConfigError> {
    let sections = root.tables(key::TABLE)?;
    if sections.len() > MOST {
        return Err(root.blame(key::TABLE, format!("there are more than {MOST}")));
    }
    let mut ids = BTreeSet::new();
    sections.into_iter().map(|section| read_one(section, zone, &mut ids)).collect()
}

fn read_one(mut s: Section<'_>, zone: &TimeZone, ids: &mut BTreeSet<String>) -> Result<WrittenRule, ConfigError> {
    let (mut id, mut action) = (String::new(), None);
    s.read(key::ID, &mut id, |value| parse_id(text(value)?))?;
    if id.is_empty() {
        return Err(s.blame(key::ID, "give the rule a name, such as \"office-hours\""));
    }
    if !ids.insert(id.clone()) {
        return Err(s.blame(key::ID, format!("{id:?} is the name of a rule above")));
    }
    let (mut who, mut except) = (None, Vec::new());
    s.read(key::WHO, &mut who, |value| list(value, parse_who).map(Some))?;
    s.read(key::EXCEPT, &mut except, |value| list(value, parse_who))?;
    if except.contains(&Named::Anybody) || who.is_none() && !except.is_empty() {
        let message = "write persons, domains or groups, and beside it whom they are left out of: who = [\"*\"]";
        return Err(s.blame(key::EXCEPT, message));
    }
    let mut rule = Rule::new(id, Action::Block);
    s.read(key::WHEN, &mut rule.times.weekly, |value| list(value, parse_weekly))?;
    s.read(key::DATES, &mut rule.times.dates, |value| list(value, |text| parse_dates(text, zone)))?;
    s.read(key::SPHERE, &mut rule.spheres, |value| list(value, |text| Ok(text.into())))?;
    s.read(key::ACTION, &mut action, |value| text(value)?.parse().map(Some))?;
    let Some(action) = action else {
        return Err(s.blame(key::ACTION, "write what those get: \"allow\", \"ask\", \"polite-block\" or \"block\""));
    };
    rule.action = action;
    let mut shown = None;
    s.read(key::SHOW, &mut shown, |value| {
        Shown::of_words(list(value, |word| Ok(word.to_owned()))?.iter().map(String::as_str)).map(Some)
    })?;
    let has_instead = s.has(key::INSTEAD);
    let instead = s.section(key::INSTEAD)?;
    for (key, given) in [(key::SHOW, shown.is_some()), (key::INSTEAD, has_instead)] {
        if given && action != Action::Allow {
            return Err(s.blame(key, format!("something is shown where action = \"allow\", not {action}")));
        }
    }
    if has_instead && shown.is_some() {
        return Err(s.blame(key::INSTEAD, "either `show` a part of the truth, or something `instead` of it"));
    }
    rule.shown = Arc::new(shown.unwrap_or_else(Shown::all));
    if has_instead {
        rule.instead = Some(Arc::new(read_instead(instead)?));
    }
    let known =
        [key::ID, key::WHO, key::EXCEPT, key::WHEN, key::DATES, key::SPHERE, key::ACTION, key::SHOW, key::INSTEAD];
    s.finish(&known.map(|name| format!("{}.{name}", key::TABLE)))?;
    Ok(WrittenRule { rule, who, except })
}

fn read_instead(mut s: Section<'_>) -> Result<Instead, ConfigError> {
    let (mut status, mut note) = (None, None);
    s.read("status", &mut status, |value| {
        StatusArg::parse(text(value)?).map(|chosen| Some(chosen.status)).map_err(|error| error.to_string())
    })?;
    s.read("note", &mut note, |value| Ok::<_, String>(Some(text(value)?.to_owned())))?;
    s.finish(&[])?;
    match status {
        None => Err(s.blame("status", "write the status that is shown, such as \"available\"")),
        Some(PresenceStatus::Offline) => {
            Err(s.blame("status", "who is to see you offline gets action = \"polite-block\""))
        }
        Some(status) => Ok(Instead { status, note }),
    }
}

fn parse_id(text: &str) -> Result<String, String> {
    // It is an XML ID at servers (RFC 4745 §6.1), and the lists and the default have names too.
    let taken = ["allow", "polite_block", "polite-block", "block", "default", "self"];
    if xml::is_ncname(text) && !taken.contains(&text) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err(format!("write a name of letters, digits, `-`, `_` and `.` that is not a list's, not {text:?}"))
}

fn parse_who(text: &str) -> Result<Named, String> {
    if text == "*" {
        return Ok(Named::Anybody);
    }
    if let Some(domain) = text.strip_prefix("*@") {
        let bare = domain.trim_start_matches('[').trim_end_matches(']');
        return if is_name(domain) || bare.parse::<std::net::IpAddr>().is_ok() {
            Ok(Named::Domain(domain.to_ascii_lowercase().into()))
        } else {
            Err(format!("{domain:?} is no domain"))
        };
    }
    if text.starts_with('@') {
        return parse_group(text).map(Named::Group).map_err(|error| error.to_string());
    }
    if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:")) {
        return Ok(Named::One(canonical(text).into()));
    }
    match normalize(text) {
        Ok(who) => Ok(Named::One(canonical(&who).into())),
        Err(IdentityError::Domain(_)) => Err(format!("write a whole domain as \"*@example.com\", not {text:?}")),
        Err(error) => Err(format!("{error}; a group is \"@team\", a domain \"*@example.com\", everybody known \"*\"")),
    }
}

#[cfg(test)]
mod tests;
