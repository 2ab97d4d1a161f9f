//! What a server may not heed, so that somebody gets more there than the policy says (peers observed: Kamailio).

use std::{fmt, sync::Arc};

use crate::presence::{
    policy::{Action, Except, Policy, Rule, Who},
    text::visible,
};

/// Something that a server may not heed of a rule that lets somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loose {
    /// Those of the rule may see everything.
    Everything(Arc<str>),
    /// Those of other domains may be let in too.
    OtherDomains(Arc<str>),
    /// Those whom it leaves out may be let in too.
    Excepted(Arc<str>),
    /// It may hold at all times.
    Always(Arc<str>),
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything(rule) => write!(f, "the server may show everything to those of rule {}", visible(rule)),
            Self::OtherDomains(rule) => {
                write!(f, "the server may show everything to other domains than rule {} names", visible(rule))
            }
            Self::Excepted(rule) => {
                write!(f, "the server may show everything to those whom rule {} leaves out", visible(rule))
            }
            Self::Always(rule) => {
                write!(f, "the server may show everything to those of rule {} at all times", visible(rule))
            }
        }
    }
}

/// Goes through what a server may not heed of the rules that let somebody in.
///
/// Whom a list names is safe from that: the lists stand first.
pub fn loose(policy: &Policy) -> Vec<Loose> {
    let allowing = policy.rules().iter().filter(|rule| rule.action == Action::Allow && !rule.unknown);
    allowing.flat_map(|rule| of(rule, policy)).collect()
}

fn of(rule: &Rule, policy: &Policy) -> Vec<Loose> {
    let id = || Arc::clone(&rule.id);
    let mut loose = Vec::new();
    if !rule.shown.is_all() || rule.instead.is_some() {
        loose.push(Loose::Everything(id()));
    }
    let is_listed = |except: &Except| matches!(except, Except::One(one) if policy.listed(one).is_some());
    let many = rule.who.iter().flatten().filter_map(|who| match who {
        Who::Many { domain, except } => Some((domain.is_some(), except.iter().any(|except| !is_listed(except)))),
        Who::One(_) => None,
    });
    let (domain, except) = many.fold((false, false), |all, one| (all.0 | one.0, all.1 | one.1));
    if domain {
        loose.push(Loose::OtherDomains(id()));
    }
    if except {
        loose.push(Loose::Excepted(id()));
    }
    // A weekly time is a condition of ours; who does not know it must not let anybody in, and may do so all the same.
    if !rule.times.weekly.is_empty() || rule.spheres.iter().any(|sphere| sphere.contains(char::is_whitespace)) {
        loose.push(Loose::Always(id()));
    }
    loose
}
