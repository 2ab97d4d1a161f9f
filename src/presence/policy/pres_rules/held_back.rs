//! Whom a rule must not reach at a server, since another part of the policy gives them less.
//!
//! Here a list goes before the rules, a rule before the default, and a fixed status in place of ours before the truth; at a
//! server the most generous rule wins, and what all show unites. So:
//!
//! - who is on a list that gives less than a rule is left out of that rule: of persons by name, of many by `except`;
//! - who may be shown something in place of our state is left out of each rule that shows our state;
//! - whom a rule may give less than the default is left out of the default, also while that rule does not hold.
//!
//! Where such a rule is about everybody, nothing can be left out of the others: then they show nothing at the server, and
//! the default gives no more than that rule. A rule without any identity becomes one about all who proved theirs.

use std::collections::BTreeSet;

use crate::presence::policy::{Action, Except, Policy, Rule, Who, host_of};

/// Who is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldBack<'a> {
    /// Those on lists.
    pub(super) listed: BTreeSet<&'a str>,
    /// Those of rules.
    pub(super) persons: BTreeSet<&'a str>,
    /// And all of these domains.
    pub(super) domains: BTreeSet<&'a str>,
    /// Rules of everybody give less: the least that one gives.
    pub(super) all: Option<Action>,
}

/// Whom a rule is about in the document, and what of that is not as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whom it is about there.
    pub(super) who: Option<Vec<Who>>,
    /// What was taken out altogether.
    pub(super) taken: Vec<Who>,
    /// What was put in as an exception, but for what the lists say.
    pub(super) put: Vec<Except>,
    /// Whether it is about everybody here.
    pub(super) everybody: bool,
}

impl<'a> HeldBack<'a> {
    /// Those whom the policy gives less than this rule of it.
    pub(super) fn of_rule(policy: &'a Policy, rule: &Rule) -> Self {
        let mut held_back = Self::by_lists(policy, rule.action);
        if rule.action == Action::Allow && rule.instead.is_none() {
            let hides = |rule: &&Rule| is_alive(rule) && rule.action == Action::Allow && rule.instead.is_some();
            policy.rules().iter().filter(hides).for_each(|rule| held_back.add(rule));
        }
        held_back
    }

    /// Those whom the policy gives less than everybody else.
    pub(super) fn of_default(policy: &'a Policy) -> Self {
        let mut held_back = Self::by_lists(policy, policy.default);
        let is_less = |rule: &&Rule| {
            let partly = !rule.shown.is_all() || rule.instead.is_some();
            let less = rule.action.value() < policy.default.value();
            is_alive(rule) && (less || policy.default == Action::Allow && partly)
        };
        policy.rules().iter().filter(is_less).for_each(|rule| held_back.add(rule));
        held_back
    }

    fn by_lists(policy: &'a Policy, than: Action) -> Self {
        let less = policy.entries().filter(|(_, action)| action.value() < than.value());
        Self { listed: less.map(|(who, _)| who).collect(), ..Self::default() }
    }

    fn add(&mut self, rule: &'a Rule) {
        let least = self.all.filter(|all| all.value() < rule.action.value()).unwrap_or(rule.action);
        let Some(all) = &rule.who else {
            self.all = Some(least);
            return;
        };
        for who in all {
            match who {
                Who::One(one) => _ = self.persons.insert(one),
                Who::Many { domain: Some(domain), .. } => _ = self.domains.insert(domain.trim_end_matches('.')),
                Who::Many { domain: None, .. } => self.all = Some(least),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.persons.is_empty() && self.domains.is_empty()
    }

    /// Leaves them out.
    pub(super) fn from(&self, who: Option<&[Who]>) -> Told {
        let mut told = Told { who: None, taken: Vec::new(), put: Vec::new(), everybody: who.is_none() };
        let everybody = [Who::Many { domain: None, except: Vec::new() }];
        let who = match who {
            Some(who) => who,
            None if self.is_empty() => return told,
            None => &everybody,
        };
        let mut left = Vec::new();
        for one in who {
            match one {
                Who::One(person) if self.has(person) => told.taken.push(one.clone()),
                Who::Many { domain: Some(domain), .. } if self.domains.contains(domain.trim_end_matches('.')) => {
                    told.taken.push(one.clone());
                }
                Who::One(_) => left.push(one.clone()),
                Who::Many { domain, except } => {
                    let puts = self.exceptions().filter(|put| concerns(put, domain.as_deref()));
                    let is_listed = |own: &Except| matches!(own, Except::One(one) if self.listed.contains(&**one));
                    let mut except = except.clone();
                    except.retain(|own| !(is_listed(own) && concerns(own, domain.as_deref())));
                    // What a rule excepts itself may stand there twice, so that one stays when ours is taken out.
                    except.extend(puts);
                    left.push(Who::Many { domain: domain.clone(), except });
                }
            }
        }
        let is_put = |put: &Except| {
            let by_list = matches!(put, Except::One(one) if self.listed.contains(&**one));
            let is_many = |who: &Who| matches!(who, Who::Many { domain, .. } if concerns(put, domain.as_deref()));
            !by_list && left.iter().any(is_many)
        };
        told.put = self.exceptions().filter(is_put).collect();
        told.who = Some(left);
        told
    }

    fn has(&self, person: &str) -> bool {
        self.listed.contains(person)
            || self.persons.contains(person)
            || self.domains.contains(host_of(person).trim_end_matches('.'))
    }

    fn exceptions(&self) -> impl Iterator<Item = Except> {
        let persons = self.listed.union(&self.persons).map(|one| Except::One((*one).into()));
        persons.chain(self.domains.iter().map(|domain| Except::Domain((*domain).into())))
    }
}

/// Undoes what [`HeldBack::from`] does; `listed` are those whom a list gives less, whom a rule does not concern anyway.
pub(super) fn undo(
    who: Option<Vec<Who>>,
    is_listed: impl Fn(&str) -> bool,
    taken: &[Who],
    put: &[Except],
    everybody: bool,
) -> Option<Vec<Who>> {
    let mut who = who?;
    for one in &mut who {
        let Who::Many { domain, except } = one else { continue };
        let is_put =
            |put: &Except| matches!(put, Except::One(one) if is_listed(one)) && concerns(put, domain.as_deref());
        except.retain(|except| !is_put(except));
        for put in put.iter().filter(|put| concerns(put, domain.as_deref())) {
            if let Some(at) = except.iter().rposition(|except| except == put) {
                except.remove(at);
            }
        }
    }
    if everybody && who == [Who::Many { domain: None, except: Vec::new() }] {
        return None;
    }
    who.extend(taken.iter().cloned());
    Some(who)
}

/// Says whether an exception could be about somebody of the domain.
fn concerns(except: &Except, domain: Option<&str>) -> bool {
    match (except, domain) {
        (_, None) => true,
        (Except::One(one), Some(domain)) => host_of(one).trim_end_matches('.') == domain.trim_end_matches('.'),
        (Except::Domain(_), Some(_)) => false,
    }
}

/// Says whether a rule ever holds.
pub(super) fn is_alive(rule: &Rule) -> bool {
    !rule.unknown && rule.who.as_ref().is_none_or(|who| !who.is_empty())
}
