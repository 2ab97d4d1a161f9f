//! Judging watchers by the policy: at their SUBSCRIBE, when the policy is another, and at each edge of a time rule
//! (POL-06, POL-15).

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;

use super::{
    Core, Now, Outbox,
    serving::{Entry, log},
    subject::Own,
};
use crate::{
    presence::{
        core::Key,
        event::WatcherGrade,
        policy::{Action, Explained, Moment, Policy},
    },
    sip::{
        events::notifier::{ServedId, Verdict, View},
        time::Instant,
    },
};

/// The wall clock may be set at any time: it is looked at again after this long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_hours(1);

/// When the rules may say something else.
#[derive(Debug, Default)]
pub(super) struct Judging {
    /// By the wall clock, and when that is to be looked at.
    edge: Option<(Timestamp, Instant)>,
    /// By which wall clock it was found.
    found_at: Option<Timestamp>,
}

/// What somebody would get, and why; see [`Core::preview`].
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Under which identity.
    pub who: String,
    /// How certain that is taken to be.
    pub grade: WatcherGrade,
    /// What was decided, and by what.
    pub explained: Explained,
    /// The very document; none where nothing is shown.
    pub body: Option<bytes::Bytes>,
}

impl Core {
    /// Puts another policy in force; every live subscription is judged by it at once (POL-15).
    pub fn set_policy(&mut self, policy: Policy, now: Now, out: &mut Outbox) {
        self.config.policy = policy;
        self.judge_all(now, out);
        self.settle(now, out);
    }

    /// Returns the policy in force.
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// Says what `who` would get at a time, if it subscribed with an identity of that grade, or of the best that a
    /// subscription of it has now; the document is our state as it is now.
    pub fn preview(&self, who: &str, grade: Option<WatcherGrade>, at: Timestamp) -> Preview {
        let who = crate::presence::policy::canonical(who);
        let live = self.serving.entries.values().filter(|entry| entry.who == who && !entry.own);
        let grade = grade
            .or_else(|| live.map(|entry| entry.grade).max_by_key(|grade| certainty(*grade)))
            .unwrap_or(WatcherGrade::Verified);
        let explained = self.config.policy.explain(&who, grade, &self.moment(at));
        let (views, subject) = (&self.serving.views, self.subject());
        let body = match explained.decision.action {
            Action::Allow => Some(views.preview(&explained.decision.sight, subject)),
            Action::PoliteBlock => Some(views.preview_hidden(&who, subject)),
            Action::Ask | Action::Block => None,
        };
        Preview { who, grade, explained, body }
    }

    pub(super) fn moment(&self, at: Timestamp) -> Moment {
        let sphere = self.own.published.as_ref().and_then(|published| published.sphere.as_deref());
        self.config.policy.moment(at, sphere)
    }

    pub(super) fn judge(&mut self, entry: &mut Entry, now: Now) -> Verdict {
        let moment = self.moment(now.wall);
        self.judge_at(entry, &moment, now)
    }

    fn judge_at(&mut self, entry: &mut Entry, moment: &Moment, now: Now) -> Verdict {
        if entry.own {
            // POL-20: known by the Call-ID and tag that we issued, not by what it claims.
            entry.rule = "self".into();
            return Verdict::Active(self.serving.views.full());
        }
        let decision = self.config.policy.decide(&entry.who, entry.grade, moment);
        let Self { own, identity, config, serving, .. } = self;
        let subject = Own::new(own, identity, config);
        let Entry { who, rule, hidden_since, .. } = entry;
        serving.views.verdict(decision, who, (rule, hidden_since), subject, now.wall)
    }

    /// Judges a standing subscription by the policy as it is now.
    pub(super) fn verdict_for(&mut self, id: ServedId, now: Now) -> Verdict {
        let moment = self.moment(now.wall);
        self.verdict_at(id, &moment, now)
    }

    fn verdict_at(&mut self, id: ServedId, moment: &Moment, now: Now) -> Verdict {
        let Some(mut entry) = self.serving.entries.remove(&id) else { return Verdict::Refuse(403) };
        let verdict = self.judge_at(&mut entry, moment, now);
        self.serving.entries.insert(id, entry);
        verdict
    }

    pub(super) fn log(&self, id: ServedId, verdict: Verdict) {
        if let Some(entry) = self.serving.entries.get(&id) {
            log(entry, verdict, true);
        }
    }

    /// Judges every subscription anew; whoever gets something else is told.
    pub(super) fn judge_all(&mut self, now: Now, out: &mut Outbox) {
        let mut ids: Vec<ServedId> = self.serving.entries.keys().copied().collect();
        ids.sort_unstable();
        let moment = self.moment(now.wall);
        self.hide(&moment, now);
        for id in ids {
            // One that is not proven yet is judged when it is, and is nobody's news before (SEC-02).
            let Some(served) = self.notifier.info(id).filter(|served| served.proven) else { continue };
            let verdict = self.verdict_at(id, &moment, now);
            // What would allow it now may be a rule that its host name could be looked up for.
            self.look_up(id, out);
            if verdict == served.verdict {
                continue;
            }
            if let Some(entry) = self.serving.entries.get_mut(&id) {
                log(entry, verdict, true);
                entry.since = now.wall;
                if verdict == Verdict::Pending {
                    entry.announced = false;
                }
            }
            self.notifier.judge(id, verdict, now.at);
            self.informing.decided(id);
            if self.notifier.is_known(id) {
                self.announce(id, now, out);
            } else {
                self.remember(id, now);
            }
        }
        self.decide_about_absent(now);
        let Self { serving, notifier, .. } = self;
        serving.views.retain(|view| notifier.is_seen(view));
        out.changed.insert(Key::Watchers);
        self.find_edge(now);
    }

    /// Takes note of whom we hide from, and since when.
    pub(super) fn hide(&mut self, moment: &Moment, now: Now) {
        let Self { serving, config, .. } = self;
        let hidden: HashSet<&str> =
            serving.entries.values().filter(|entry| entry.hidden_since.is_some()).map(|entry| &*entry.who).collect();
        let by = config.policy.hiding(moment);
        serving.views.hiding.go_by(&config.policy, by, |who| hidden.contains(who), now.wall);
    }

    /// Takes note of when the rules may say something else.
    pub(super) fn find_edge(&mut self, now: Now) {
        let edge = self.config.policy.next_edge(now.wall);
        self.serving.judging.found_at = Some(now.wall);
        self.serving.judging.edge = edge.map(|edge| {
            let ahead = edge.duration_since(now.wall).try_into().unwrap_or(LOOK_AGAIN_AFTER);
            (edge, now.at + ahead.min(LOOK_AGAIN_AFTER))
        });
    }

    /// Judges everybody anew when the time has come.
    pub(super) fn follow_times(&mut self, now: Now, out: &mut Outbox) {
        let Judging { edge: Some((edge, at)), found_at } = self.serving.judging else { return };
        // A wall clock that was set back makes other rules hold as well.
        if now.wall >= edge || found_at.is_some_and(|found| now.wall < found) {
            self.judge_all(now, out);
        } else if now.at >= at {
            self.find_edge(now);
        }
    }

    /// Returns when the time is to be looked at.
    pub(super) fn edge_at(&self) -> Option<Instant> {
        self.serving.judging.edge.map(|(_, at)| at)
    }

    /// Our state is another one: those are told who see a difference.
    pub(super) fn state_changed(&mut self, offline_since: Option<Timestamp>, now: Now) {
        for view in self.renew_views(offline_since, now) {
            self.notifier.changed(view, now.at);
        }
    }

    /// Our state, or who we are, is another one; returns the views that show a difference.
    pub(super) fn renew_views(&mut self, offline_since: Option<Timestamp>, now: Now) -> Vec<View> {
        let Self { own, identity, config, serving, .. } = self;
        let subject = Own::new(own, identity, config);
        serving.views.state_changed(offline_since, subject, now.wall)
    }

    /// The part of life that we are in may be another, and other rules hold (POL-07).
    pub(super) fn go_by_sphere(&mut self, now: Now, out: &mut Outbox) {
        if self.config.policy.rules().iter().any(|rule| !rule.spheres.is_empty()) {
            self.judge_all(now, out);
        }
    }
}

fn certainty(grade: WatcherGrade) -> u8 {
    match grade {
        WatcherGrade::Claimed => 0,
        WatcherGrade::Address => 1,
        WatcherGrade::Verified => 2,
    }
}
