//! Lists, rules and default, written out.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    COMMON_POLICY, OWN, PRES_RULES,
    held_back::{HeldBack, Told},
    id::{LISTS, Place},
    shown, times, word,
};
use crate::presence::{
    policy::{Action, Except, Policy, Rule, Shown, Who},
    xml::escape_attribute,
};

/// Writes lists, rules and default as a document of their own.
pub fn write(policy: &Policy) -> String {
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ruleset xmlns=\"{COMMON_POLICY}\">\n");
    let all = all(policy);
    for line in all.iter().flat_map(|(_, rule)| rule.lines()) {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("</ruleset>\n");
    text
}

/// Returns all rules in the order in which a server that takes the first must find them; the last is the default.
pub(super) fn all(policy: &Policy) -> Vec<(Place, String)> {
    let mut listed: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for (who, action) in policy.entries() {
        if let Some(list) = LISTS.iter().position(|list| *list == action) {
            listed.entry(list).or_default().insert(who);
        }
    }
    let lists = listed.into_iter().map(|(list, who)| {
        let who = who.into_iter().map(|who| Who::One(who.into())).collect();
        (Place::List(LISTS[list]), Parts::new(Some(who), LISTS[list], Some(&Shown::all())))
    });
    // The most generous first: that one decides here too.
    let mut rules: Vec<&Rule> = policy.rules().iter().filter(|rule| !rule.unknown).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.action.value()));
    let rules = rules.into_iter().map(|rule| (Place::Rule(rule.id.clone()), of_rule(policy, rule)));
    let all = lists.chain(rules).chain([(Place::Default, of_default(policy))]);
    all.map(|(place, parts)| (place.clone(), parts.written(&place.id()))).collect()
}

/// What a rule says, line by line.
#[derive(Default)]
struct Parts {
    conditions: Vec<String>,
    actions: Vec<String>,
    transformations: Vec<String>,
}

fn of_rule(policy: &Policy, rule: &Rule) -> Parts {
    let held_back = HeldBack::of_rule(policy, rule);
    let told = held_back.from(rule.who.as_deref());
    let mut parts = Parts::new(told.who.clone(), rule.action, None);
    times::write(rule, policy.zone(), &mut parts.conditions);
    parts.say_what_is_held_back(&told);
    // What does not allow shows nothing here, while at a server it would.
    if rule.action == Action::Allow {
        if let Some(instead) = &rule.instead {
            shown::write_instead(instead, &mut parts.transformations);
        } else if held_back.all.is_some() {
            let mut lines = Vec::new();
            shown::write(&rule.shown, &mut lines);
            parts.transformations.extend(within("sp:withheld", lines));
        } else {
            shown::write(&rule.shown, &mut parts.transformations);
        }
    }
    parts
}

fn of_default(policy: &Policy) -> Parts {
    let everybody_else = EverybodyElse::of(policy);
    if !everybody_else.is_lowered {
        return Parts::new(everybody_else.told.who, policy.default, Some(&Shown::all()));
    }
    let mut parts = Parts::new(everybody_else.told.who, everybody_else.action, None);
    parts.actions.push(format!("<sp:default>{}</sp:default>", word(policy.default)));
    parts
}

/// What a server is told about those whom nothing else is about.
pub(super) struct EverybodyElse {
    /// Who they are.
    pub(super) told: Told,
    /// What they get.
    pub(super) action: Action,
    /// Whether that is less than here, and nothing is shown, since a rule about everybody may give less.
    pub(super) is_lowered: bool,
}

impl EverybodyElse {
    pub(super) fn of(policy: &Policy) -> Self {
        let held_back = HeldBack::of_default(policy);
        let told = held_back.from(Some(&[Who::Many { domain: None, except: Vec::new() }]));
        Self { told, action: held_back.all.unwrap_or(policy.default), is_lowered: held_back.all.is_some() }
    }
}

impl Parts {
    fn new(who: Option<Vec<Who>>, action: Action, shown: Option<&Shown>) -> Self {
        let mut parts = Self::default();
        match who {
            Some(who) if who.is_empty() => parts.conditions.push("<sp:nobody/>".to_owned()),
            Some(who) => parts.conditions = within("identity", who.iter().flat_map(lines_of)),
            None => {}
        }
        parts.actions.push(format!("<pr:sub-handling>{}</pr:sub-handling>", word(action)));
        if let Some(shown) = shown.filter(|_| action == Action::Allow) {
            shown::write(shown, &mut parts.transformations);
        }
        parts
    }

    fn say_what_is_held_back(&mut self, told: &Told) {
        let mut lines: Vec<String> = told.taken.iter().flat_map(lines_of).collect();
        lines.extend(told.put.iter().map(except));
        if told.everybody && told.who.is_some() {
            lines.push("<sp:everybody/>".to_owned());
        }
        if !lines.is_empty() {
            self.actions.extend(within("sp:held-back", lines));
        }
    }

    fn written(&self, id: &str) -> String {
        let parts =
            [("conditions", &self.conditions), ("actions", &self.actions), ("transformations", &self.transformations)];
        let lines: Vec<String> = parts
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .flat_map(|(name, lines)| within(name, lines))
            .collect();
        // Only where it is needed: some programs cannot but wonder.
        let own = if lines.iter().any(|line| line.trim_start().starts_with("<sp:")) {
            format!(" xmlns:sp=\"{OWN}\"")
        } else {
            String::new()
        };
        let mut text = format!("<rule xmlns=\"{COMMON_POLICY}\" xmlns:pr=\"{PRES_RULES}\"{own} id=\"{id}\">\n");
        for line in lines {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
        text + "</rule>"
    }
}

fn within(name: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut all = vec![format!("<{name}>")];
    all.extend(lines.into_iter().map(|line| format!("  {}", line.as_ref())));
    all.push(format!("</{name}>"));
    all
}

fn lines_of(who: &Who) -> Vec<String> {
    match who {
        Who::One(one) => vec![format!("<one id=\"{}\"/>", escape_attribute(one))],
        Who::Many { domain, except: exceptions } => {
            let domain =
                domain.as_ref().map_or_else(String::new, |domain| format!(" domain=\"{}\"", escape_attribute(domain)));
            if exceptions.is_empty() {
                return vec![format!("<many{domain}/>")];
            }
            let mut lines = vec![format!("<many{domain}>")];
            lines.extend(exceptions.iter().map(|one| format!("  {}", except(one))));
            lines.push("</many>".to_owned());
            lines
        }
    }
}

fn except(except: &Except) -> String {
    match except {
        Except::One(one) => format!("<except id=\"{}\"/>", escape_attribute(one)),
        Except::Domain(domain) => format!("<except domain=\"{}\"/>", escape_attribute(domain)),
    }
}
