//! Why a watcher gets what it gets, rule by rule: for `policy test`, and for whoever wonders.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Action, Decision, Instead, Moment, Policy, Rule, Shown, canonical, is_anonymous};
use crate::presence::event::WatcherGrade;

/// A decision, and everything that was considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What was decided.
    pub decision: Decision,
    /// The list that names the watcher; then no rule was asked.
    pub listed: Option<Action>,
    /// Each rule that names the watcher or includes it, in their order.
    pub reasons: Vec<Reason>,
}

/// What a rule has to say about a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its id.
    pub rule: Arc<str>,
    /// Why it does not apply; none if it does.
    pub unmet: Option<Unmet>,
    /// What it gives.
    pub action: Action,
    /// What it shows.
    pub shown: Arc<Shown>,
    /// What it shows in place of our state.
    pub instead: Option<Arc<Instead>>,
}

/// Why a rule does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// It is about others.
    SomebodyElse,
    /// It has a condition that is not known here (RFC 4745 §7).
    UnknownCondition,
    /// It holds at another time; the next that begins, if there is one.
    OtherTime(Option<Timestamp>),
    /// It holds in another part of life.
    OtherSphere,
    /// It allows, and the watcher's identity is not certain enough.
    Unproven,
}

impl Policy {
    /// Decides about a watcher as [`decide`](Self::decide) does, and says why.
    pub fn explain(&self, watcher: &str, grade: WatcherGrade, moment: &Moment) -> Explained {
        let who = canonical(watcher);
        let named = (!is_anonymous(&who)).then_some(who.as_str());
        let reason = |rule: &Rule| Reason {
            rule: Arc::clone(&rule.id),
            unmet: match self.unmet(rule, named, grade, moment) {
                Some(Unmet::OtherTime(_)) => Some(Unmet::OtherTime(rule.times.next_beginning(moment.at, self.zone()))),
                other => other,
            },
            action: rule.action,
            shown: Arc::clone(&rule.shown),
            instead: rule.instead.clone(),
        };
        let reasons = self.rules.about(&who).map(reason).filter(|reason| reason.unmet != Some(Unmet::SomebodyElse));
        let (listed, reasons) = (self.by_list(&who, grade), reasons.collect());
        Explained { decision: self.decide(watcher, grade, moment), listed, reasons }
    }
}

impl Explained {
    /// Returns the rules that let a part be seen, by the word that stands for it in the policy file.
    pub fn shown_by<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let counts =
            |reason: &&Reason| reason.unmet.is_none() && reason.action == Action::Allow && reason.instead.is_none();
        self.reasons.iter().filter(counts).filter(move |reason| reason.shown.grants(word)).map(|reason| &*reason.rule)
    }
}
