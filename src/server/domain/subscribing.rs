//! SUBSCRIBE: who wants to see whom, and how it goes on (RFC 3856 §6.6; NOT rows).

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{debug, info};

use super::{Arrived, Domain, Outbox, Step, domain_of, later};
use crate::{
    presence::{
        core::{Asker, Now, WATCHER_INFO, grade, host_of, state_of, state_word},
        event::{Via, WatcherGrade},
        history::{Person, Stand},
        text::visible,
        winfo,
    },
    sip::{
        events::{
            compositor::Refusal,
            notifier::{Ending, Rank, Report, ServedId, Subscribe, Verdict},
        },
        uri::UriRef,
    },
};

/// Somebody who watches, beyond its subscription.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whom it watches.
    pub(super) of: u32,
    /// Names its subscription to whoever is told who watches.
    pub(super) number: u64,
    /// In the form in which rules name it.
    pub(super) who: Arc<str>,
    pub(super) grade: WatcherGrade,
    /// What decided about it.
    pub(super) rule: Arc<str>,
    pub(super) since: Timestamp,
    /// Since when it is hidden from, if it is.
    pub(super) hidden_since: Option<Timestamp>,
    /// It is the presentity itself.
    pub(super) own: bool,
    /// What brought it where it is.
    pub(super) event: winfo::Event,
}

impl Domain {
    pub(super) fn subscribe_received(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) {
        let message = arrived.message;
        if self.refusing && message.expires() != Some(0) {
            return self.refuse(arrived, &later(), now, out);
        }
        if message.event().ok().flatten().is_some_and(|event| event.package == WATCHER_INFO.name) {
            return self.informing_asked(arrived, now, out);
        }
        if self.is_of_a_list(message) {
            return self.list_asked(arrived, now, out);
        }
        let Arrived { id: request, flow, .. } = arrived;
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let Some(subscribe) = self.notifier.examine(request, flow, message, &mut step) else {
            self.tally.refusals += 1;
            return;
        };
        match subscribe {
            Subscribe::Refresh(id) => {
                let verdict = self.verdict_for(id, now);
                let Self { notifier, endpoint, presentities, .. } = self;
                let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
                notifier.refresh(request, flow, message, id, verdict, |view| presentities.body(view), &mut step);
                self.tally.subscribes += 1;
            }
            Subscribe::Initial(mut initial) => {
                let Some(resource) = self.resource_of(&initial.target) else {
                    return self.refuse(arrived, &Refusal::plain(404), now, out);
                };
                let Some(asker) = self.identify(arrived, domain_of(&resource), now, out) else { return };
                if !self.exists(&resource) {
                    let code = if self.config.hide_unknown { 403 } else { 404 };
                    return self.refuse(arrived, &Refusal::plain(code), now, out);
                }
                // What outlives this run is the name that was proven, or nobody's.
                initial.watcher.clone_from(&asker.who);
                let Some(of) = self.presentities.find_or_make(&resource, self.config.limits.presentities, now) else {
                    return self.refuse(arrived, &later(), now, out);
                };
                let proven = asker.reached || self.notifier.is_proven(flow, now.at);
                let mut entry = self.entry(of, &asker, now);
                if !asker.verified {
                    entry.grade = grade(&asker.host, proven, flow.remote.ip(), initial.notify_to);
                }
                let verdict = self.judge(&mut entry, now);
                log(&entry, verdict, proven);
                let rank = match entry.grade {
                    _ if !proven => Rank::Unproven,
                    WatcherGrade::Verified => Rank::Verified,
                    WatcherGrade::Address | WatcherGrade::Claimed => Rank::Proven,
                };
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                let admitted = self.notifier.admit(request, flow, message, &initial, verdict, rank, &mut step);
                // Who had to give way may have left the very id.
                self.follow_watchers(now);
                if let Some(id) = admitted {
                    self.tally.subscribes += 1;
                    self.enter(id, entry, proven);
                } else {
                    match verdict {
                        Verdict::Refuse(_) => self.tally.refusals += 1,
                        _ if message.expires() == Some(0) => self.tally.subscribes += 1,
                        Verdict::Pending | Verdict::Active(_) => self.tally.overloads += 1,
                    }
                    self.looked_at.push(of);
                }
            }
        }
    }

    pub(super) fn entry(&mut self, of: u32, asker: &Asker, now: Now) -> Entry {
        let own = asker.verified && self.presentities.get(of).is_some_and(|presentity| *presentity.uri == *asker.who);
        Entry {
            of,
            number: self.informing.next_number(),
            who: asker.who.as_str().into(),
            grade: if asker.verified { WatcherGrade::Verified } else { WatcherGrade::Claimed },
            rule: Arc::default(),
            since: now.wall,
            hidden_since: None,
            own,
            event: winfo::Event::Subscribe,
        }
    }

    /// Somebody watches now.
    pub(super) fn enter(&mut self, id: ServedId, mut entry: Entry, proven: bool) {
        if let Some(served) = self.notifier.info(id).filter(|served| served.watcher == entry.who) {
            // One text is enough.
            entry.who = served.watcher;
        }
        if let Some(presentity) = self.presentities.get_mut(entry.of) {
            presentity.watchers.insert(id);
            if proven && !entry.own {
                if presentity.history.forget(&entry.who) {
                    self.undecided.push(entry.of);
                }
                presentity.is_news = true;
                self.informing.news.push(entry.of);
            }
        }
        self.entries.insert(id.number(), entry);
    }

    /// Follows what happened to subscriptions.
    pub(super) fn follow_watchers(&mut self, now: Now) {
        while let Some(report) = self.notifier.next_report() {
            match report {
                Report::Proven(id) => self.watcher_proven(id, now),
                Report::Ended { id, proven, ending, .. } => self.watcher_ended(id, proven, ending, now),
            }
        }
    }

    /// The watcher's address answered: its identity may be more than a claim now.
    fn watcher_proven(&mut self, id: ServedId, now: Now) {
        let Some(served) = self.notifier.info(id) else { return };
        let Some(entry) = self.entries.get_mut(id.number()) else { return };
        if entry.grade != WatcherGrade::Verified
            && let Ok(uri) = UriRef::parse(&entry.who)
        {
            entry.grade = grade(&host_of(&uri), true, served.source.ip(), Some(served.source));
        }
        let (of, who, own) = (entry.of, entry.who.clone(), entry.own);
        let verdict = self.verdict_for(id, now);
        if let Some(entry) = self.entries.get(id.number()) {
            log(entry, verdict, true);
        }
        self.notifier.promote(id, verdict, now.at);
        if let Some(presentity) = self.presentities.get_mut(of).filter(|_| !own) {
            if presentity.history.forget(&who) {
                self.undecided.push(of);
            }
            presentity.is_news = true;
            self.informing.news.push(of);
        }
    }

    fn watcher_ended(&mut self, id: ServedId, proven: bool, ending: Ending, now: Now) {
        let Some(entry) = self.entries.remove(id.number()) else { return };
        debug!(watcher = %visible(&entry.who), ?ending, "a subscription ended");
        self.informing.ended(entry.of, entry.number, ending);
        let Some(presentity) = self.presentities.get_mut(entry.of) else { return };
        presentity.watchers.remove(&id);
        // What never proved to be anybody, or found no place, is nobody's news (SEC-02).
        if proven && !entry.own && ending != Ending::Dropped {
            presentity.is_news = true;
            self.informing.news.push(entry.of);
            // WIN-04: so the presentity still learns of it.
            let undecided = entry.rule.is_empty() || entry.event == winfo::Event::Subscribe;
            let waits = matches!(ending, Ending::Left | Ending::Expired | Ending::Unanswered | Ending::Gone(_));
            if waits && undecided && self.stand_of(&entry, now) == Stand::Pending {
                let Some(presentity) = self.presentities.get_mut(entry.of) else { return };
                let person = Person::new(&entry.who, Via::Direct, entry.grade, Stand::Pending, &entry.rule, now.wall);
                let key = person.key();
                self.undecided.push(entry.of);
                presentity.history.came(person);
                presentity.history.left(&key, now.wall);
            }
        }
        self.forget_if_idle(entry.of);
    }

    /// Returns how somebody stands by the policy in force.
    fn stand_of(&mut self, entry: &Entry, now: Now) -> Stand {
        let mut entry = Entry { rule: Arc::clone(&entry.rule), who: entry.who.clone(), ..*entry };
        state_of(self.judge(&mut entry, now))
    }
}

/// POL-18: who, by which rule, with what result; never what was shown. Strangers who may not be who they say cannot fill
/// the log.
pub(super) fn log(entry: &Entry, verdict: Verdict, proven: bool) {
    let (watcher, rule, result) = (visible(&entry.who), &*entry.rule, state_word(verdict));
    if proven {
        info!(%watcher, rule, result, "judged a watcher");
    } else {
        debug!(%watcher, rule, result, "judged a watcher that may be somebody else");
    }
}
