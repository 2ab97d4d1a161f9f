//! Telling presentities who watches them: the notifier of `presence.winfo` (RFC 3857 §4, WIN-01 … WIN-07).
//!
//! Who watches whom is private: a presentity is told of itself, everybody else gets 403 (SEC-21).

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::{
    Arrived, Domain, NOTIFY_RATE, Outbox, Step, domain_of, listing::Listing, presentity::Presentity, subscribing::Entry,
};
use crate::{
    presence::{
        core::{Now, WATCHER_INFO, end_of, state_of},
        history::Stand,
        winfo::{Event, Status, Told, Watcher},
    },
    sip::{
        beside::Beside,
        events::{
            User,
            compositor::Refusal,
            notifier::{Ending, Notifier, NotifierConfig, Rank, Report, ServedId, Subscribe, Verdict, View},
        },
    },
};

/// How many devices of one presentity may ask at once.
const MAX_OF_ONE: u32 = 32;
/// How many watchers a document tells of; those who wait come first.
const MAX_TOLD: usize = 1000;

/// What presentities were told.
#[derive(Debug)]
pub(super) struct Informing {
    pub(super) notifier: Notifier,
    pub(super) told: BTreeMap<View, Told>,
    pub(super) by_served: HashMap<ServedId, View>,
    /// Those of whoever has but one look.
    looks: HashSet<View>,
    views: u32,
    numbers: u64,
    /// Those of whom the list of watchers is another.
    pub(super) news: Vec<u32>,
}

impl Informing {
    pub(super) fn new(min_expires: u32, max_subscriptions: usize) -> Self {
        let config = NotifierConfig {
            package: WATCHER_INFO,
            min_expires,
            max_subscriptions,
            max_per_watcher: MAX_OF_ONE,
            rate: NOTIFY_RATE,
            whole: false,
            listing: None,
            account: None,
            user: User::WatcherInfo,
        };
        let (told, by_served, looks) = (BTreeMap::new(), HashMap::new(), HashSet::new());
        Self { notifier: Notifier::new(config), told, by_served, looks, views: 0, numbers: 0, news: Vec::new() }
    }

    /// Draws what names a watcher's subscription in documents.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A watcher's subscription ended.
    pub(super) fn ended(&mut self, of: u32, number: u64, ending: Ending) {
        for (_, told) in self.told.range_mut(all_of(of)) {
            told.ended(&name_of(number), ending);
        }
    }

    /// Returns whether somebody is told who watches it.
    pub(super) fn tells(&self, of: u32) -> bool {
        self.told.range(all_of(of)).next().is_some()
    }

    pub(super) fn view(&mut self, of: u32, told: Told) -> View {
        self.views += 1;
        let view = View { of, number: self.views };
        self.told.insert(view, told);
        view
    }
}

impl Domain {
    /// Takes a SUBSCRIBE for who watches somebody.
    pub(super) fn informing_asked(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) {
        let Arrived { id: request, flow, message } = arrived;
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let Some(subscribe) = self.informing.notifier.examine(request, flow, message, &mut step) else { return };
        match subscribe {
            Subscribe::Refresh(id) => {
                let view = self.informing.by_served.get(&id).copied();
                let verdict = view.map_or(Verdict::Refuse(403), Verdict::Active);
                // Whoever refreshes may have missed something.
                if let Some(told) = view.and_then(|view| self.informing.told.get_mut(&view)) {
                    told.full = true;
                }
                self.informing.notifier.refresh(request, flow, message, id, verdict, |_| Bytes::new(), &mut step);
            }
            Subscribe::Initial(initial) => {
                let Some(resource) = self.resource_of(&initial.target) else {
                    return self.refuse(arrived, &Refusal::plain(404), now, out);
                };
                let Some(asker) = self.identify(arrived, domain_of(&resource), now, out) else { return };
                // WIN-02: of itself alone.
                if !asker.verified || *asker.who != *resource {
                    return self.refuse(arrived, &Refusal::plain(403), now, out);
                }
                let Some(of) = self.presentities.find_or_make(&resource, self.config.limits.presentities, now) else {
                    return self.refuse(arrived, &super::later(), now, out);
                };
                let view = self.informing.view(of, Told::new(false));
                let verdict = Verdict::Active(view);
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                let notifier = &mut self.informing.notifier;
                match notifier.admit(request, flow, message, &initial, verdict, Rank::Proven, &mut step) {
                    Some(id) => {
                        self.informing.by_served.insert(id, view);
                        self.tally.subscribes += 1;
                    }
                    None if message.expires() == Some(0) => drop(self.informing.looks.insert(view)),
                    None => drop(self.informing.told.remove(&view)),
                }
            }
        }
    }

    /// The list of somebody's watchers may be another: whoever does not know it is to hear of it.
    pub(super) fn inform(&mut self, now: Now) {
        for of in std::mem::take(&mut self.informing.news) {
            let is_news = self.presentities.get_mut(of).map(|presentity| std::mem::take(&mut presentity.is_news));
            if is_news != Some(true) || self.informing.told.range(all_of(of)).all(|(_, told)| told.due) {
                continue;
            }
            let Some(presentity) = self.presentities.get(of) else { continue };
            let picture = picture(presentity, (&self.entries, &self.listing), &self.notifier, now);
            let Informing { notifier, told, .. } = &mut self.informing;
            for (view, told) in told.range_mut(all_of(of)).filter(|(_, told)| !told.due) {
                if told.is_behind(&picture) {
                    told.due = true;
                    notifier.changed(*view, now.at);
                }
            }
        }
    }

    /// Sends what presentities are to be told.
    pub(super) fn pump_informing(&mut self, limit: usize, now: Now, out: &mut Outbox) {
        let Self { informing, presentities, entries, listing, notifier: watching, endpoint, default, .. } = self;
        let Informing { notifier, told, looks, .. } = informing;
        let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
        let mut over = Vec::new();
        notifier.pump(limit, &mut step, |view| {
            let (Some(presentity), Some(told)) = (presentities.get(view.of), told.get_mut(&view)) else {
                return Bytes::new();
            };
            if looks.remove(&view) {
                over.push(view);
            }
            let policy = presentity.policy.as_deref().unwrap_or(default);
            let moment = policy.moment(now.wall, None);
            let decided = |watcher: &Watcher| end_of(watcher, &presentity.history, policy, &moment);
            let picture = picture(presentity, (entries, listing), watching, now);
            told.document(&picture, decided, &presentity.uri).write().into()
        });
        for view in over {
            told.remove(&view);
        }
    }

    /// Follows what happened to the subscriptions of those who are told.
    pub(super) fn follow_informing(&mut self) {
        while let Some(report) = self.informing.notifier.next_report() {
            if let Report::Ended { id, .. } = report
                && let Some(view) = self.informing.by_served.remove(&id)
            {
                self.informing.told.remove(&view);
                self.forget_if_idle(view.of);
            }
        }
    }
}

/// Returns what somebody may be told of: who watches it, and who waits.
fn picture(
    presentity: &Presentity,
    (entries, listing): (&Beside<Entry>, &Listing),
    watching: &Notifier,
    now: Now,
) -> BTreeMap<String, Watcher> {
    let waiting = presentity.history.waiting().map(|person| Watcher {
        id: format!("waiting-{}", person.who),
        uri: person.who.clone(),
        display_name: person.display_name.clone(),
        status: Status::Waiting,
        event: Event::Timeout,
        expiration: None,
        duration: None,
    });
    let mut all: Vec<Watcher> = waiting.collect();
    for id in &presentity.watchers {
        let Some(entry) = entries.get(id.number()) else { continue };
        let Some(served) = watching.info(*id).filter(|served| served.proven) else { continue };
        let expiration = served.expires_at.since(now.at).as_secs();
        all.extend(told_of(entry, served.verdict, Some(expiration), now));
    }
    let by_lists = listing.members_of(presentity.views.number());
    all.extend(by_lists.filter_map(|(entry, verdict)| told_of(entry, verdict, None, now)));
    all.sort_by_key(|watcher| (watcher.status == Status::Active, watcher.status == Status::Waiting));
    all.truncate(MAX_TOLD);
    all.into_iter().map(|watcher| (watcher.id.clone(), watcher)).collect()
}

/// Says of somebody how it watches; nothing of the presentity itself, and of who is refused.
fn told_of(entry: &Entry, verdict: Verdict, expiration: Option<u64>, now: Now) -> Option<Watcher> {
    let status = match state_of(verdict) {
        Stand::Pending | Stand::Waiting => Status::Pending,
        Stand::Active | Stand::PoliteBlock => Status::Active,
        Stand::Terminated => return None,
    };
    (!entry.own).then(|| Watcher {
        id: name_of(entry.number),
        uri: entry.who.as_ref().to_owned(),
        display_name: None,
        status,
        event: entry.event,
        expiration,
        duration: u64::try_from(now.wall.duration_since(entry.since).as_secs()).ok(),
    })
}

fn all_of(of: u32) -> std::ops::RangeInclusive<View> {
    View { of, number: 0 }..=View { of, number: u32::MAX }
}

fn name_of(number: u64) -> String {
    format!("w{number}")
}
