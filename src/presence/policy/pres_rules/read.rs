//! Any rule of any program (RFC 4745 §7, RFC 5025 §3).
//!
//! What is not known never opens: a condition never holds, a person or an exception that cannot be told leaves out those
//! whom it was part of, an action or a transformation grants nothing. Each is told.

use std::{fmt, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    COMMON_POLICY, LIMITS, OWN, PRES_RULES, RulesError, action_of,
    id::is_id,
    is, rules, shown,
    times::{self, name_of},
};
use crate::presence::{
    policy::{Action, Except, Rule, Shown, Who, canonical},
    text::visible,
    xml::{Element, Tree},
};

/// The rules of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What was understood of each, in their order.
    pub rules: Vec<Rule>,
    /// What was not.
    pub not_understood: Vec<NotUnderstood>,
}

/// A part of a rule that is not known, and grants nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The rule's id.
    pub rule: Arc<str>,
    /// What it is: `{NAMESPACE}NAME` of an element, or what a value is.
    pub what: String,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", visible(&self.rule), visible(&self.what))
    }
}

/// Reads every rule of a document; weekly times of another zone than `zone` never hold.
///
/// Lists and default of [`write`](super::write()) are rules too here, as they are to other programs; see
/// [`read`](super::read()) for what they stand for.
///
/// # Errors
/// When it is no set of rules, or a rule has no id or one that is another's (POL-16).
pub fn read_rules(text: &[u8], zone: &TimeZone) -> Result<Rules, RulesError> {
    let tree = Tree::parse_within(text, None, LIMITS)?;
    let zone = name_of(zone);
    let mut all = Rules::default();
    for (id, element) in rules(&tree)? {
        if !is_id(id) {
            return Err(RulesError::NoId(id.to_owned()));
        }
        let found = Found::of(id.into(), element, zone.as_deref());
        all.rules.push(found.rule);
        all.not_understood.extend(found.not_understood);
    }
    Ok(all)
}

/// One rule, and what it says that only matters among ours.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) rule: Rule,
    pub(super) not_understood: Vec<NotUnderstood>,
    /// Whether some of those whom it is about cannot be told.
    pub(super) is_partly_told: bool,
    /// Whether it says what it gives.
    pub(super) gives: bool,
    /// What was held back from others.
    pub(super) held_back: Option<Element<'a>>,
    /// What everybody else gets, where others are told less.
    pub(super) default: Option<Action>,
}

impl<'a> Found<'a> {
    pub(super) fn of(id: Arc<str>, element: Element<'a>, zone: Option<&str>) -> Self {
        let rule = Rule { shown: Arc::new(Shown::default()), ..Rule::new(id, Action::Block) };
        let mut found = Self {
            rule,
            not_understood: Vec::new(),
            is_partly_told: false,
            gives: false,
            held_back: None,
            default: None,
        };
        let (mut conditions, mut actions, mut transformations) = (None, None, None);
        for part in element.children() {
            let known = match part.name() {
                "conditions" => &mut conditions,
                "actions" => &mut actions,
                "transformations" => &mut transformations,
                _ => {
                    found.tell(part);
                    continue;
                }
            };
            if part.namespace() == COMMON_POLICY && known.is_none() {
                *known = Some(part);
            } else {
                found.tell(part);
                // A second set of conditions would have to hold as well.
                found.rule.unknown |= part.name() == "conditions";
            }
        }
        if let Some(conditions) = conditions {
            found.conditions(conditions, zone);
        }
        if let Some(actions) = actions {
            found.actions(actions);
        }
        if let Some(transformations) = transformations {
            let unknown = shown::read(transformations, &mut found.rule);
            for unknown in unknown {
                found.tell(unknown);
            }
        }
        found
    }

    fn conditions(&mut self, conditions: Element<'_>, zone: Option<&str>) {
        let mut nobody = false;
        for condition in conditions.children() {
            if is(condition, COMMON_POLICY, "identity") && self.rule.who.is_none() {
                self.rule.who = Some(self.identity(condition));
            } else if is(condition, OWN, "nobody") && condition.children().next().is_none() {
                nobody = true;
            } else if !times::read(condition, zone, &mut self.rule) {
                self.rule.unknown = true;
                self.tell(condition);
            }
        }
        if nobody {
            self.rule.who = Some(Vec::new());
        }
    }

    fn identity(&mut self, identity: Element<'_>) -> Vec<Who> {
        let mut all = Vec::new();
        for one in identity.children() {
            if let Some(who) = who(one) {
                all.push(who);
            } else {
                self.is_partly_told = true;
                self.tell(one);
            }
        }
        all
    }

    fn actions(&mut self, actions: Element<'a>) {
        let mut given: Option<Action> = None;
        for action in actions.children() {
            if is(action, PRES_RULES, "sub-handling") {
                let said = action.text();
                let known = action_of(&said).filter(|_| action.children().next().is_none());
                if known.is_none() {
                    self.say(format!("sub-handling {:?}", said.trim()));
                }
                // Of several, the least.
                let now = known.unwrap_or(Action::Block);
                self.gives = known.is_some();
                given = Some(given.filter(|before| before.value() < now.value()).unwrap_or(now));
            } else if is(action, OWN, "held-back") && self.held_back.is_none() {
                self.held_back = Some(action);
            } else if is(action, OWN, "default") && self.default.is_none() {
                self.default = action_of(&action.text());
            } else {
                self.tell(action);
            }
        }
        // What is absent is the least (RFC 5025 §3.2.1).
        self.rule.action = given.unwrap_or(Action::Block);
    }

    /// Says whether it always holds.
    pub(super) fn is_always(&self) -> bool {
        !self.rule.unknown && !self.is_partly_told && self.rule.times.is_always() && self.rule.spheres.is_empty()
    }

    /// Says whether it shows everything, if it lets anybody in.
    pub(super) fn shows_all(&self) -> bool {
        self.rule.action != Action::Allow || self.rule.shown.is_all() && self.rule.instead.is_none()
    }

    fn tell(&mut self, element: Element<'_>) {
        self.say(format!("{{{}}}{}", element.namespace(), element.name()));
    }

    fn say(&mut self, what: String) {
        self.not_understood.push(NotUnderstood { rule: Arc::clone(&self.rule.id), what });
    }
}

/// Reads one of whom a rule is about; none when it cannot be told.
pub(super) fn who(element: Element<'_>) -> Option<Who> {
    if is(element, COMMON_POLICY, "one") {
        return person(element).map(Who::One);
    }
    if !is(element, COMMON_POLICY, "many") {
        return None;
    }
    let domain = match element.attribute("domain") {
        Some(written) => Some(domain(written)?),
        None => None,
    };
    let mut except = Vec::new();
    for child in element.children() {
        except.extend(exceptions(child)?);
    }
    Some(Who::Many { domain, except })
}

/// Reads who is left out; none when that cannot be told.
pub(super) fn exceptions(element: Element<'_>) -> Option<Vec<Except>> {
    if !is(element, COMMON_POLICY, "except") {
        return None;
    }
    let mut except = Vec::new();
    if element.attribute("id").is_some() {
        except.push(Except::One(person(element)?));
    }
    if let Some(written) = element.attribute("domain") {
        except.push(Except::Domain(domain(written)?));
    }
    (!except.is_empty() && element.children().next().is_none()).then_some(except)
}

fn person(element: Element<'_>) -> Option<Box<str>> {
    let id = element.attribute("id").map(str::trim).filter(|id| !id.is_empty())?;
    element.children().next().is_none().then(|| canonical(id).into())
}

fn domain(written: &str) -> Option<Box<str>> {
    let domain = written.trim().to_ascii_lowercase();
    (!domain.is_empty()).then(|| domain.into())
}
