//! Judging watchers by the policy of whom they watch: at their SUBSCRIBE, when it is another, and at each edge of a time
//! rule (POL-06, POL-15). The engine is the agent's own.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use super::{
    Domain, domain_of,
    presentity::Presentity,
    subscribing::{Entry, log},
};
use crate::{
    presence::{
        core::{Now, decision_about},
        policy::{Policy, pres_rules},
        winfo,
    },
    sip::events::notifier::{Ending, ServedId, Verdict},
};

/// The wall clock may be set at any time: it is looked at again after this long.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_hours(1);

impl Domain {
    /// Returns the policy of somebody who keeps no rules here.
    fn default_of(&self, of: u32) -> Arc<Policy> {
        let is_open = self.presentities.get(of).is_some_and(|presentity| self.is_open(domain_of(&presentity.uri)));
        Arc::clone(if is_open { &self.default_open } else { &self.default })
    }

    /// Puts the rules that somebody keeps here in force; every live subscription is judged by them at once (XCP-12).
    pub(super) fn set_rules(&mut self, of: u32, document: Option<&[u8]>, now: Now) {
        let (zone, default) = (TimeZone::UTC, self.default_of(of));
        // What was put was read before; what cannot be read grants nothing to anybody who was not let in by name.
        let policy = document.map(|document| {
            pres_rules::read(document, &zone)
                .map_or_else(|_| Policy::clone(&default), |read| read.in_force(default.default, &zone))
        });
        let Some(presentity) = self.presentities.get_mut(of) else { return };
        presentity.policy = policy.map(Arc::new);
        self.judge_all(of, now);
        self.recompose(of, now);
    }

    /// Says what a watcher gets now.
    pub(super) fn judge(&mut self, entry: &mut Entry, now: Now) -> Verdict {
        self.catch_up(entry.of, now);
        let default = self.default_of(entry.of);
        let Some(presentity) = self.presentities.get_mut(entry.of) else { return Verdict::Refuse(404) };
        if entry.own {
            // By the digest of whom it is about.
            entry.rule = "self".into();
            return Verdict::Active(presentity.views.full());
        }
        let policy = presentity.policy.as_deref().unwrap_or(&default);
        let sphere = presentity.composed.as_ref().and_then(|composed| composed.sphere.as_deref());
        let decision = policy.decide(&entry.who, entry.grade, &policy.moment(now.wall, sphere));
        let (views, shown) = presentity.views();
        let Entry { who, rule, hidden_since, .. } = entry;
        views.verdict(decision, who, (rule, hidden_since), shown, now.wall)
    }

    /// Judges a standing subscription by the policy as it is now.
    pub(super) fn verdict_for(&mut self, id: ServedId, now: Now) -> Verdict {
        let Some(mut entry) = self.entries.remove(id.number()) else { return Verdict::Refuse(403) };
        let verdict = self.judge(&mut entry, now);
        self.entries.insert(id.number(), entry);
        verdict
    }

    /// Judges everybody anew who watches somebody; whoever gets something else is told.
    pub(super) fn judge_all(&mut self, of: u32, now: Now) {
        if self.presentities.get(of).is_some_and(Presentity::has_spheres) {
            self.catch_up(of, now);
        }
        self.hide(of, now);
        let Some(presentity) = self.presentities.get(of) else { return };
        let ids: Vec<ServedId> = presentity.watchers.iter().copied().collect();
        for id in ids {
            // One that is not proven yet is judged when it is, and is nobody's news before (SEC-02).
            let Some(served) = self.notifier.info(id).filter(|served| served.proven) else { continue };
            let verdict = self.verdict_for(id, now);
            if verdict == served.verdict {
                continue;
            }
            if let Some(entry) = self.entries.get_mut(id.number()) {
                log(entry, verdict, true);
                entry.since = now.wall;
                entry.event = winfo::Event::Approved;
            }
            self.notifier.judge(id, verdict, now.at);
            if let (Verdict::Refuse(_), Some(entry)) = (verdict, self.entries.get(id.number())) {
                self.informing.ended(of, entry.number, Ending::Rejected);
            }
        }
        self.judge_members(of, now);
        let default = self.default_of(of);
        let Self { presentities, notifier, informing, listing, .. } = self;
        let Some(presentity) = presentities.get_mut(of) else { return };
        let policy = presentity.policy.as_deref().unwrap_or(&default);
        let sphere = presentity.composed.as_ref().and_then(|composed| composed.sphere.as_deref());
        let moment = policy.moment(now.wall, sphere);
        presentity.history.decide(|person| Some(decision_about(policy, person, &moment)?.1), now.wall);
        presentity.views.retain(|view| notifier.is_seen(view) || listing.shows(view));
        presentity.is_news = true;
        informing.news.push(of);
        self.undecided.push(of);
    }

    /// Takes note of whom somebody hides from, and since when.
    fn hide(&mut self, of: u32, now: Now) {
        let default = self.default_of(of);
        let Self { presentities, entries, .. } = self;
        let Some(presentity) = presentities.get_mut(of) else { return };
        let ours = presentity.watchers.iter().filter_map(|id| entries.get(id.number()));
        let hidden: HashSet<&str> =
            ours.filter(|entry| entry.hidden_since.is_some()).map(|entry| &*entry.who).collect();
        let policy = presentity.policy.as_deref().unwrap_or(&default);
        let sphere = presentity.composed.as_ref().and_then(|composed| composed.sphere.as_deref());
        let by = policy.hiding(&policy.moment(now.wall, sphere));
        presentity.views.hiding.go_by(policy, by, |who| hidden.contains(who), now.wall);
    }
}
