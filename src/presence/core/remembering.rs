//! Remembering who watched us: what happens to those whom we serve becomes history, and history comes back at a start.

use jiff::{SignedDuration, Timestamp};

use super::{Core, Key, Now, Outbox, serving::state_of};
use crate::{
    presence::{
        event::Via,
        history::{History, Person, PersonKey},
        policy::{Action, Moment, Policy, canonical},
    },
    sip::{events::notifier::ServedId, time::Instant},
};

/// What is remembered, and when something of it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    pub(super) history: History,
    forgets_at: Option<Instant>,
}

impl Remembering {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.forgets_at
    }
}

impl Core {
    /// Remembers somebody whom we serve, as it stands now; ourselves, and whoever proved nothing, are nobody (SEC-02).
    pub(super) fn remember(&mut self, id: ServedId, now: Now) {
        let Some(served) = self.notifier.info(id).filter(|served| served.proven) else { return };
        let Some(entry) = self.serving.entries.get_mut(&id).filter(|entry| !entry.own) else { return };
        let state = state_of(served.verdict);
        let seen = Person::new(&entry.who, Via::Direct, entry.grade, state, &entry.rule, now.wall);
        let history = &mut self.remembering.history;
        let before = entry.remembered.replace(seen.key());
        match before {
            Some(before) if before == seen.key() => history.judged(seen),
            before => {
                if let Some(before) = before {
                    history.mistaken(&before);
                }
                history.came(seen);
            }
        }
    }

    /// Somebody whom we served is gone.
    pub(super) fn part(&mut self, remembered: Option<&PersonKey>, now: Now) {
        if let Some(key) = remembered {
            self.remembering.history.left(key, now.wall);
        }
    }

    /// Puts a new policy to those who wait for a decision and are not there.
    pub(super) fn decide_about_absent(&mut self, now: Now) {
        let moment = self.moment(now.wall);
        let policy = &self.config.policy;
        self.remembering.history.decide(|person| Some(decision_about(policy, person, &moment)?.1), now.wall);
    }

    /// Forgets what is remembered of somebody who is not there, as one who waits for a decision among them.
    pub fn forget_watcher(&mut self, who: &str, now: Now, out: &mut Outbox) {
        if self.remembering.history.forget(&canonical(who)) {
            out.changed.insert(Key::Watchers);
        }
        self.settle(now, out);
    }

    /// Returns everybody who watched us or wanted to, as far as that is remembered, in the order of their names.
    pub fn watcher_history(&self, now: Now) -> Vec<Person> {
        self.remembering.history.people(now.wall)
    }

    /// Forgets what is too old, and says when something is.
    pub(super) fn follow_history(&mut self, now: Now, out: &mut Outbox) {
        let Remembering { history, forgets_at } = &mut self.remembering;
        if history.expire(now.wall) {
            out.changed.insert(Key::Watchers);
        }
        if history.take_unsaved() {
            out.changed.insert(Key::Saved);
        }
        *forgets_at = history.expires_at().map(|at| instant_of(at, now));
    }
}

/// Returns what somebody gets who waited for that, and by what it is decided; whoever is on a list is decided about,
/// though a rule may want to know more of who it is.
pub(crate) fn decision_about(policy: &Policy, person: &Person, moment: &Moment) -> Option<(Action, String)> {
    let decision = policy.decide(&person.who, person.identity, moment);
    if decision.action != Action::Ask {
        return Some((decision.action, decision.rule.as_ref().to_owned()));
    }
    policy.listed(&person.who).filter(|listed| *listed != Action::Ask).map(|listed| (listed, listed.to_string()))
}

/// Returns the instant of a time of day to come.
pub(crate) fn instant_of(at: Timestamp, now: Now) -> Instant {
    let ahead = at.duration_since(now.wall).max(SignedDuration::ZERO);
    now.at + ahead.unsigned_abs()
}
