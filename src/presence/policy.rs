//! Who may see us, what of us, and when: the semantics of RFC 4745 and RFC 5025, applied to identities of differing
//! certainty.
//!
//! First come the lists, which name persons: who is blocked is blocked, whatever else is said. Then the rules, of which
//! every one that holds counts: the most generous action wins, and what they show unites (RFC 4745 §10.2). Where none
//! holds the default decides. The words are those of RFC 5025 §3.2.1, but for `ask`, which is called `confirm` there.

mod explain;
mod filter;
mod judgement;
pub mod pres_rules;
mod rule;
mod shown;
mod times;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::event::WatcherGrade;
use crate::sip::uri::{Host, UriRef};

use self::rule::{Concern, host_of};
pub use self::{
    explain::{Explained, Reason, Unmet},
    filter::filter,
    judgement::{JudgedPart, JudgedRule, Judgement, shown_words},
    rule::{Except, Instead, Rule, Who},
    shown::{Detail, Pick, Select, Shown, UserInputShown},
    times::{Dates, Times, Weekly},
};

/// What a watcher gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Our presence.
    Allow,
    /// Nothing, until we decided.
    #[default]
    Ask,
    /// An answer that we are offline.
    PoliteBlock,
    /// A refusal.
    Block,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Allow, Self::Ask, Self::PoliteBlock, Self::Block]
            .into_iter()
            .find(|action| action.to_string() == text)
            .ok_or_else(|| format!("write \"allow\", \"ask\", \"polite-block\" or \"block\", not {text:?}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::PoliteBlock => "polite-block",
            Self::Block => "block",
        })
    }
}

/// How sure of a watcher's identity a rule that allows must be (POL-04).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// The address that it claims answered us.
    #[default]
    Address,
    /// It proved who it is.
    Verified,
}

impl Action {
    /// Returns its value where actions are combined (RFC 5025 §3.2.1): the greatest wins.
    pub const fn value(self) -> u8 {
        match self {
            Self::Block => 0,
            Self::Ask => 10,
            Self::PoliteBlock => 20,
            Self::Allow => 30,
        }
    }
}

/// What was decided about a watcher, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it gets.
    pub action: Action,
    /// Which part of the policy says so: a list's name, the id of a rule, or `default`.
    pub rule: Arc<str>,
    /// What it sees if it is allowed to.
    pub sight: Sight,
}

/// What somebody sees who is allowed to see us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// Everything.
    All,
    /// Some of it.
    Some(Arc<Shown>),
    /// Something else.
    Instead(Arc<Instead>),
}

/// When something is decided, and in which part of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    local: DateTime,
    sphere: Option<Box<str>>,
}

/// The lists, the rules and the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What those get whom no list names and no rule is about, and all whose identity is but claimed.
    pub default: Action,
    /// How sure an allow rule must be of a person.
    pub require: Require,
    /// Whether whoever asks for a user who is not here gets the answer of somebody who is blocked (POL-14).
    pub hide_unknown: bool,
    zone: TimeZone,
    listed: HashMap<String, Action>,
    /// How many entries of the lists that let in, or seem to, name each numeric address.
    vouched: HashMap<IpAddr, u32>,
    rules: Arc<Rules>,
}

/// The rules, and where those are that may be about somebody.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rules {
    all: Vec<Rule>,
    by_person: HashMap<Box<str>, Vec<u32>>,
    by_domain: HashMap<Box<str>, Vec<u32>>,
    /// Those about many of no one domain, or about everybody.
    others: Vec<u32>,
    /// The numeric addresses of persons whom they let in, or seem to.
    vouched: HashSet<IpAddr>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default: Action::default(),
            require: Require::default(),
            hide_unknown: false,
            zone: TimeZone::UTC,
            listed: HashMap::new(),
            vouched: HashMap::new(),
            rules: Arc::default(),
        }
    }
}

impl Policy {
    /// Makes a policy without any list or rule.
    pub fn new(default: Action) -> Self {
        Self { default, ..Self::default() }
    }

    /// Sets the time zone that weekly times are about.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone, ..self }
    }

    /// Sets the rules, in the order in which they are told.
    #[must_use]
    pub fn with_rules(self, rules: Vec<Rule>) -> Self {
        Self { rules: Arc::new(Rules::new(rules)), ..self }
    }

    /// Returns the rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules.all
    }

    /// Returns the time zone that weekly times are about.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Puts a watcher on the list of `action`, and off the others.
    pub fn set(&mut self, watcher: &str, action: Action) {
        let who = canonical(watcher);
        self.forget(&who);
        if let Some(address) = address_of(&who).filter(|_| vouches(action)) {
            *self.vouched.entry(address).or_default() += 1;
        }
        self.listed.insert(who, action);
    }

    /// Takes a watcher off every list.
    pub fn forget(&mut self, watcher: &str) {
        let who = canonical(watcher);
        let was = self.listed.remove(&who);
        if let Some(address) = address_of(&who).filter(|_| was.is_some_and(vouches))
            && let Some(count) = self.vouched.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.vouched.remove(&address);
            }
        }
    }

    /// Returns the list that a watcher is on.
    pub fn listed(&self, watcher: &str) -> Option<Action> {
        self.listed.get(&canonical(watcher)).copied()
    }

    /// Goes through the lists.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Action)> {
        self.listed.iter().map(|(who, action)| (who.as_str(), *action))
    }

    /// Returns whether an entry that lets in names this very address, which then needs no further proof (SEC-01); or
    /// one that seems to, for who is politely blocked must not be able to tell (POL-03).
    pub fn vouches_for(&self, address: IpAddr) -> bool {
        self.vouched.contains_key(&address) || self.rules.vouched.contains(&address)
    }

    /// Names what hides us just now from others than those whom a list names: rules by their ids, and the default.
    pub fn hiding(&self, moment: &Moment) -> Vec<Arc<str>> {
        let holds = |rule: &&Rule| {
            rule.action == Action::PoliteBlock
                && !rule.unknown
                && rule.times.contain(moment.at, moment.local)
                && rule.holds_in(moment.sphere.as_deref())
        };
        let rules = self.rules.all.iter().filter(holds).map(|rule| Arc::clone(&rule.id));
        rules.chain((self.default == Action::PoliteBlock).then(|| named_by(None))).collect()
    }

    /// Makes a moment; the sphere is the part of life in which the presentity is, if that is known and not ambiguous
    /// (POL-07).
    pub fn moment(&self, at: Timestamp, sphere: Option<&str>) -> Moment {
        Moment { at, local: self.zone.to_datetime(at), sphere: sphere.map(Into::into) }
    }

    /// Returns the next moment after `at` at which a rule may begin or cease to hold (POL-06).
    pub fn next_edge(&self, at: Timestamp) -> Option<Timestamp> {
        self.rules.all.iter().filter_map(|rule| rule.times.next_edge(at, &self.zone)).min()
    }

    /// Says whether a more certain identity could make a difference to this watcher.
    pub fn may_allow(&self, watcher: &str) -> bool {
        let who = canonical(watcher);
        self.listed.get(&who) == Some(&Action::Allow)
            || self.rules.about(&who).any(|rule| rule.action == Action::Allow && rule.who.is_some())
    }

    /// Decides about a watcher. What allows needs an identity that is more than claimed, where it is about persons; what
    /// does not matches every claim (POL-04, POL-19).
    pub fn decide(&self, watcher: &str, grade: WatcherGrade, moment: &Moment) -> Decision {
        let who = canonical(watcher);
        let named = (!is_anonymous(&who)).then_some(who.as_str());
        if let Some(action) = self.by_list(&who, grade) {
            return Decision { action, rule: named_by(Some(action)), sight: Sight::All };
        }
        let mut best: Option<(Action, &Rule)> = None;
        let mut allowing = Allowing::default();
        for rule in self.rules.about(&who).filter(|rule| self.unmet(rule, named, grade, moment).is_none()) {
            if best.is_none_or(|(action, _)| rule.action.value() > action.value()) {
                best = Some((rule.action, rule));
            }
            if rule.action == Action::Allow {
                allowing.add(rule);
            }
        }
        match best {
            Some((action, rule)) => Decision { action, rule: Arc::clone(&rule.id), sight: allowing.sight() },
            None => Decision { action: self.default, rule: named_by(None), sight: Sight::All },
        }
    }

    /// What the lists say of somebody who is called this.
    fn by_list(&self, who: &str, grade: WatcherGrade) -> Option<Action> {
        let action = *self.listed.get(who)?;
        (action != Action::Allow || self.is_sure(grade, Concern::Person)).then_some(action)
    }

    fn is_sure(&self, grade: WatcherGrade, concern: Concern) -> bool {
        match (concern, self.require) {
            (Concern::Everybody, _) => true,
            (Concern::Person, Require::Address) => grade != WatcherGrade::Claimed,
            (Concern::Person, Require::Verified) | (Concern::Many, _) => grade == WatcherGrade::Verified,
        }
    }

    /// Says why a rule does not apply; none if it does.
    fn unmet(&self, rule: &Rule, named: Option<&str>, grade: WatcherGrade, moment: &Moment) -> Option<Unmet> {
        let Some(concern) = rule.concerns(named) else { return Some(Unmet::SomebodyElse) };
        if rule.unknown {
            Some(Unmet::UnknownCondition)
        } else if !rule.times.contain(moment.at, moment.local) {
            // When it does is for those who ask why.
            Some(Unmet::OtherTime(None))
        } else if !rule.holds_in(moment.sphere.as_deref()) {
            Some(Unmet::OtherSphere)
        } else if rule.action == Action::Allow && !self.is_sure(grade, concern) {
            Some(Unmet::Unproven)
        } else {
            None
        }
    }
}

/// What rules that allow let be seen together.
#[derive(Default)]
struct Allowing {
    shown: Option<Arc<Shown>>,
    instead: Option<Arc<Instead>>,
}

impl Allowing {
    fn add(&mut self, rule: &Rule) {
        match (&rule.instead, &mut self.shown) {
            // Of several, the first.
            (Some(instead), _) => {
                self.instead.get_or_insert_with(|| Arc::clone(instead));
            }
            (None, Some(shown)) if shown.is_all() => {}
            (None, Some(shown)) => *shown = Arc::new(Shown::clone(shown).with(&rule.shown)),
            (None, empty) => *empty = Some(Arc::clone(&rule.shown)),
        }
    }

    /// What is shown in place of our state tells nothing of it, and so goes before what would.
    fn sight(self) -> Sight {
        match (self.instead, self.shown) {
            (Some(instead), _) => Sight::Instead(instead),
            (None, Some(shown)) if !shown.is_all() => Sight::Some(shown),
            (None, _) => Sight::All,
        }
    }
}

impl Rules {
    fn new(all: Vec<Rule>) -> Self {
        let mut rules = Self { all, ..Self::default() };
        for (index, rule) in (0..).zip(&rules.all) {
            let Some(who) = &rule.who else {
                rules.others.push(index);
                continue;
            };
            for who in who {
                if let Who::One(one) = who
                    && vouches(rule.action)
                {
                    rules.vouched.extend(address_of(one));
                }
                let place = match who {
                    Who::One(one) => rules.by_person.entry(one.clone()).or_default(),
                    Who::Many { domain: Some(domain), .. } => {
                        rules.by_domain.entry(domain.trim_end_matches('.').into()).or_default()
                    }
                    Who::Many { domain: None, .. } => &mut rules.others,
                };
                if place.last() != Some(&index) {
                    place.push(index);
                }
            }
        }
        rules
    }

    /// Goes through those that may be about somebody, in their order.
    fn about(&self, who: &str) -> impl Iterator<Item = &Rule> {
        let person = self.by_person.get(who).map_or(&[][..], Vec::as_slice);
        let domain = self.by_domain.get(host_of(who).trim_end_matches('.')).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<u32> = [person, domain, &self.others].concat();
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.all.get(index as usize))
    }
}

/// Returns the name of a list, or of the default: one for all who are judged by it.
fn named_by(list: Option<Action>) -> Arc<str> {
    static NAMES: LazyLock<[Arc<str>; 4]> =
        LazyLock::new(|| ["allow", "polite_block", "block", "default"].map(Arc::from));
    let name = match list {
        Some(Action::Allow | Action::Ask) => &NAMES[0],
        Some(Action::PoliteBlock) => &NAMES[1],
        Some(Action::Block) => &NAMES[2],
        None => &NAMES[3],
    };
    Arc::clone(name)
}

/// Says whether an address stands for nobody (RFC 3323 §4.1, AUT-19): rules about persons do not match it.
pub fn is_anonymous(who: &str) -> bool {
    host_of(who).trim_end_matches('.').eq_ignore_ascii_case("anonymous.invalid")
}

fn vouches(action: Action) -> bool {
    matches!(action, Action::Allow | Action::PoliteBlock)
}

/// Returns the numeric address that a listed watcher names, if it does.
fn address_of(who: &str) -> Option<IpAddr> {
    match UriRef::parse(who).ok()?.host() {
        Host::Ip(address) => Some(address),
        Host::Name(_) => None,
    }
}

/// Brings an address into the form in which it is listed: `sip:user@host`, the host in lower case.
///
/// `sips:` and `pres:` name the same person; port and parameters name nobody. A telephone number keeps its scheme, and
/// loses what only makes it readable (RFC 3966 §3).
pub fn canonical(address: &str) -> String {
    if let Some((scheme, number)) = address.split_at_checked(4)
        && scheme.eq_ignore_ascii_case("tel:")
    {
        let number = number.split(';').next().unwrap_or_default();
        let number: String = number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
        return format!("tel:{number}");
    }
    let text = if address.contains(':') && UriRef::parse(address).is_ok() {
        address.to_owned()
    } else {
        format!("sip:{address}")
    };
    match UriRef::parse(&text) {
        Ok(uri) => match uri.user() {
            Some(user) => format!("sip:{user}@{}", uri.host_text().to_ascii_lowercase()),
            None => format!("sip:{}", uri.host_text().to_ascii_lowercase()),
        },
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests;
