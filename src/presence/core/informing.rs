//! Telling ourselves, on other devices, who watches us: the notifier of `presence.winfo` (RFC 3857 §4, WIN-01 … WIN-06).
//!
//! Who watches whom is private: only who has proven to be us is told, everybody else gets 403 (SEC-21). The first document
//! of a subscription tells everybody, the next ones what changed, at most every five seconds.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{Core, NOTIFY_RATE, Now, Outbox, Step, WATCHER_INFO, remembering::decision_about, serving::state_of};
use crate::{
    presence::{
        history::{History, Stand},
        policy::{Action, Moment, Policy, canonical},
        winfo::{Event, Status, Told, Watcher},
    },
    sip::{
        auth::AccountId,
        endpoint::ServerId,
        events::{
            User,
            notifier::{
                Ending, MAX_PER_WATCHER, Notifier, NotifierConfig, Rank, Report, ServedId, Subscribe, Verdict, View,
            },
        },
        message::Message,
        time::Instant,
        transport::Flow,
    },
};

/// How many devices of ours may ask at once.
const MAX_SUBSCRIPTIONS: usize = 32;
/// How many watchers a document tells of; those who wait come first.
const MAX_TOLD: usize = 1000;

/// What our other devices were told.
#[derive(Debug)]
pub(super) struct Informing {
    pub(super) notifier: Notifier,
    told: BTreeMap<View, Told>,
    by_served: HashMap<ServedId, View>,
    views: u32,
    /// What names the subscriptions of our watchers in documents, and what brought them where they are.
    named: HashMap<ServedId, (u64, Event)>,
    names: u64,
}

impl Informing {
    pub(super) fn new(min_expires: u32, account: Option<AccountId>) -> Self {
        let config = NotifierConfig {
            package: WATCHER_INFO,
            min_expires,
            max_subscriptions: MAX_SUBSCRIPTIONS,
            max_per_watcher: MAX_PER_WATCHER,
            rate: NOTIFY_RATE,
            whole: false,
            listing: None,
            account,
            user: User::WatcherInfo,
        };
        Self {
            notifier: Notifier::new(config),
            told: BTreeMap::new(),
            by_served: HashMap::new(),
            views: 0,
            named: HashMap::new(),
            names: 0,
        }
    }

    /// Returns whether somebody is told by this program itself.
    pub(super) fn tells_itself(&self) -> bool {
        self.told.values().any(|told| told.own)
    }

    /// A watcher's subscription was decided about.
    pub(super) fn decided(&mut self, id: ServedId) {
        if let Some((_, event)) = self.named.get_mut(&id) {
            *event = Event::Approved;
        }
    }

    /// A watcher's subscription ended.
    pub(super) fn ended(&mut self, id: ServedId, ending: Ending) {
        let Some((name, _)) = self.named.remove(&id) else { return };
        let name = name_of(name);
        for told in self.told.values_mut() {
            told.ended(&name, ending);
        }
    }

    fn name(&mut self, id: ServedId) -> (String, Event) {
        let (name, event) = *self.named.entry(id).or_insert_with(|| {
            self.names += 1;
            (self.names, Event::Subscribe)
        });
        (name_of(name), event)
    }

    fn view(&mut self, own: bool) -> View {
        self.views += 1;
        let view = View { of: 0, number: self.views };
        self.told.insert(view, Told::new(own));
        view
    }
}

impl Core {
    /// Takes a SUBSCRIBE for who watches us.
    pub(super) fn informing_asked(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
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
                let call_id = message.call_id().unwrap_or_default();
                let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
                let own = self.subscriber.is_own(call_id, tag);
                let refused = if !self.is_me(&initial.target) {
                    Some(404)
                } else if own {
                    None
                } else {
                    // WIN-02: by the same proofs as a watcher.
                    let Some(asker) = self.identify(request, flow, message, now, out) else { return };
                    let is_us = asker.verified && asker.who == canonical(self.config.address.as_str());
                    (!is_us).then_some(403)
                };
                if let Some(code) = refused {
                    self.endpoint.respond_with(request, flow, message, code, now.at, &mut out.effects, |_| {});
                    return;
                }
                let view = self.informing.view(own);
                let verdict = Verdict::Active(view);
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                let notifier = &mut self.informing.notifier;
                if let Some(id) = notifier.admit(request, flow, message, &initial, verdict, Rank::Proven, &mut step) {
                    self.informing.by_served.insert(id, view);
                }
            }
        }
    }

    /// Returns what a device of ours may be told of: who watches us directly, and who waits.
    fn picture(&mut self, now: Now) -> BTreeMap<String, Watcher> {
        let waiting = self.remembering.history.waiting().map(|person| Watcher {
            id: format!("waiting-{}", person.who),
            uri: person.who.clone(),
            display_name: person.display_name.clone(),
            status: Status::Waiting,
            event: Event::Timeout,
            expiration: None,
            duration: None,
        });
        let mut all: Vec<Watcher> = waiting.collect();
        let served: Vec<_> = self.notifier.proven().collect();
        for served in served {
            let Some(entry) = self.serving.entries.get(&served.id).filter(|entry| !entry.own) else { continue };
            let status = match state_of(served.verdict) {
                Stand::Pending | Stand::Waiting => Status::Pending,
                Stand::Active | Stand::PoliteBlock => Status::Active,
                Stand::Terminated => continue,
            };
            let duration = u64::try_from(now.wall.duration_since(entry.since).as_secs()).ok();
            let uri = entry.who.clone();
            let (id, event) = self.informing.name(served.id);
            let expiration = Some(served.expires_at.since(now.at).as_secs());
            all.push(Watcher { id, uri, display_name: None, status, event, expiration, duration });
        }
        all.sort_by_key(|watcher| (watcher.status == Status::Active, watcher.status == Status::Waiting));
        all.truncate(MAX_TOLD);
        all.into_iter().map(|watcher| (watcher.id.clone(), watcher)).collect()
    }

    /// The list of our watchers may be another: whoever does not know it is to hear of it.
    pub(super) fn inform(&mut self, now: Now) {
        if self.informing.told.values().all(|told| told.due) {
            return;
        }
        let picture = self.picture(now);
        let Informing { notifier, told, .. } = &mut self.informing;
        for (view, told) in told.iter_mut().filter(|(_, told)| !told.due) {
            if told.is_behind(&picture) {
                told.due = true;
                notifier.changed(*view, now.at);
            }
        }
    }

    /// Sends what our other devices are to be told.
    pub(super) fn pump_informing(&mut self, limit: usize, now: Now, out: &mut Outbox) {
        if !self.informing.notifier.wants_pump() {
            return;
        }
        let picture = self.picture(now);
        let resource = self.config.address.as_ref().aor();
        let moment = self.moment(now.wall);
        let Self { informing, remembering, endpoint, config, .. } = self;
        let decided = |watcher: &Watcher| end_of(watcher, &remembering.history, &config.policy, &moment);
        let Informing { notifier, told, by_served, .. } = informing;
        let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
        notifier.pump(limit, &mut step, |view| {
            let told = told.get_mut(&view);
            told.map_or_else(Bytes::new, |told| told.document(&picture, decided, &resource).write().into())
        });
        // One look has no subscription, and is over now.
        told.retain(|view, told| told.due || by_served.values().any(|served| served == view));
    }

    /// Follows what happened to the subscriptions of our other devices.
    pub(super) fn follow_informing(&mut self) {
        while let Some(report) = self.informing.notifier.next_report() {
            if let Report::Ended { id, .. } = report
                && let Some(view) = self.informing.by_served.remove(&id)
            {
                self.informing.told.remove(&view);
            }
        }
    }

    pub(super) fn informing_deadline(&self) -> Option<Instant> {
        self.informing.notifier.deadline(self.config.timing.t1)
    }
}

fn name_of(number: u64) -> String {
    format!("w{number}")
}

/// Says how the wait of somebody who had left came to its end.
pub(crate) fn end_of(watcher: &Watcher, history: &History, policy: &Policy, moment: &Moment) -> Event {
    let person = [false, true]
        .into_iter()
        .find_map(|claimed| history.get(&(watcher.uri.clone(), crate::presence::event::Via::Direct, claimed)));
    match person {
        Some(person) => match decision_about(policy, person, moment) {
            Some((Action::Block | Action::PoliteBlock, _)) => Event::Rejected,
            Some(_) => Event::Approved,
            None => Event::Giveup,
        },
        None => Event::Giveup,
    }
}
