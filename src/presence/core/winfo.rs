//! Who watches us at our own server, as far as that tells us: the client of `presence.winfo` (RFC 3857 §4, WIC-01).
//!
//! We subscribe to our own address there. A server that does not offer it is asked again rarely, and costs nothing else;
//! one that is not reached just now leaves what is known as it is.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, info, warn};

use super::{
    Core, Key, Link, Now, Outbox, PresenceEvent, Server, Watcher,
    watched::{code_of, explain, wall_of},
};
use crate::{
    presence::{
        event::{Via, WatcherGrade},
        history::{Person, PersonKey, Stand},
        policy::canonical,
        text::visible,
        winfo::{self, Document, Merged, Status, Table},
    },
    sip::{
        endpoint::Failure,
        events::{
            Cause, EventPackage,
            rates::Rates,
            subscriber::{Notice, Notified, SubscriptionId, Update, Wish},
        },
        time::Instant,
        uri::UriRef,
    },
};

/// The watcher information of the presence package.
pub const WATCHER_INFO: EventPackage = EventPackage { name: "presence.winfo", content_type: winfo::CONTENT_TYPE };

/// The pause before a server that does not tell us is asked again.
const AGAIN_AFTER: Duration = Duration::from_hours(6);
/// The pause between two refreshes for documents that did not come.
const GAP_EVERY: Duration = Duration::from_secs(30);
/// What decided about those who watch us at the server, as far as we know.
const BY_SERVER: &str = "server";

/// What our server tells of those who watch us there.
#[derive(Debug, Default)]
pub(super) struct AtServer {
    subscription: Option<SubscriptionId>,
    table: Table,
    people: BTreeMap<String, Known>,
    /// When a server that refused is asked again.
    again_at: Option<Instant>,
    /// It refused because it did not know who we are.
    unknown: bool,
    /// When it was, or is to be, refreshed for a gap.
    refreshed_at: Option<Instant>,
}

/// Somebody of whom the server tells.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    /// The subscription that tells most.
    id: String,
    display_name: Option<String>,
    status: Status,
    since: Timestamp,
    expires_at: Option<Instant>,
}

impl AtServer {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.again_at
    }

    /// The server took something else of ours: it knows who we are by now.
    pub(super) fn welcomed(&mut self, now: Now) {
        if self.unknown {
            (self.unknown, self.again_at) = (false, Some(now.at));
        }
    }

    /// Returns everybody of whom the server tells, as watchers of ours.
    pub(super) fn watchers(&self) -> impl Iterator<Item = Watcher> {
        self.people.iter().map(|(who, known)| Watcher {
            who: who.clone(),
            via: Via::Server,
            display_name: known.display_name.clone(),
            grade: WatcherGrade::Verified,
            state: stand_of(known.status).as_str(),
            rule: BY_SERVER.into(),
            since: known.since,
            decided_at: None,
            first_seen: None,
            expires_at: known.expires_at,
            source: None,
        })
    }

    /// Returns everybody of whom the documents tell, by address; of several subscriptions the one that tells most.
    fn told(&self, own: &str, now: Now) -> BTreeMap<String, Known> {
        let mut told: BTreeMap<String, Known> = BTreeMap::new();
        for watcher in self.table.watchers("presence") {
            let who = if UriRef::parse(&watcher.uri).is_ok() { canonical(&watcher.uri) } else { watcher.uri.clone() };
            if who == own {
                continue;
            }
            let lasted =
                watcher.duration.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
            let since = lasted.and_then(|lasted| now.wall.checked_sub(lasted).ok()).unwrap_or(now.wall);
            let until = |seconds: u64| now.at + Duration::from_secs(seconds.min(u64::from(u32::MAX)));
            let known = Known {
                id: watcher.id.clone(),
                display_name: watcher.display_name.clone(),
                status: watcher.status,
                since,
                expires_at: watcher.expiration.map(until),
            };
            match told.get_mut(&who) {
                Some(other) if other.status >= known.status => {}
                Some(other) => *other = known,
                None => drop(told.insert(who, known)),
            }
        }
        told
    }
}

impl Core {
    /// Asks the server who watches us, from now on, if that is wanted.
    pub(super) fn ask_who_watches(&mut self, server: &Server, now: Now, out: &mut Outbox) {
        self.ask_no_more(now, out);
        if !server.watcher_info {
            return;
        }
        let own = &self.config.address;
        let wish = Wish {
            target: own.clone(),
            from: self.from.clone(),
            contact_user: own.as_ref().user().unwrap_or_default().into(),
            package: WATCHER_INFO,
            expires: server.expires,
            fetch: false,
            retry_cap: server.retry_cap,
            route: server.route(),
            account: self.account,
            outbound: server.register,
            rates: Rates::default(),
        };
        let (subscriber, mut step) = self.subscriber_step(now, out);
        let id = subscriber.subscribe(wish, &mut step);
        self.at_server.subscription = Some(id);
    }

    /// Ends the question in good order; what is known stays.
    pub(super) fn ask_no_more(&mut self, now: Now, out: &mut Outbox) {
        (self.at_server.again_at, self.at_server.unknown) = (None, false);
        if let Some(id) = self.at_server.subscription.take() {
            let (subscriber, mut step) = self.subscriber_step(now, out);
            subscriber.unsubscribe(id, &mut step);
        }
    }

    /// Asks a server again that refused long ago.
    pub(super) fn ask_again(&mut self, now: Now, out: &mut Outbox) {
        if self.at_server.again_at.is_some_and(|at| at <= now.at)
            && let Some(server) = self.config.server.clone()
        {
            self.ask_who_watches(&server, now, out);
        }
    }

    pub(super) fn is_about_watchers(&self, id: SubscriptionId) -> bool {
        self.at_server.subscription == Some(id)
    }

    /// Takes what a NOTIFY of the server brought.
    pub(super) fn watchers_told(&mut self, notified: &Notified<'_>, now: Now, out: &mut Outbox) {
        let (Notice::Active | Notice::Terminated(_), Some(body)) = (notified.state, notified.body) else { return };
        // A server that only passes requests on would have us tell ourselves what we know.
        if self.informing.tells_itself() {
            return;
        }
        let document = match Document::parse(body, notified.charset.as_deref()) {
            Ok(document) => document,
            Err(error) => {
                return warn!(error = %visible(&error.to_string()), "the server's list of watchers is unreadable");
            }
        };
        let at_server = &mut self.at_server;
        match at_server.table.merge(document) {
            Merged::Old => return,
            Merged::Taken => {}
            Merged::Gap => {
                let at = match at_server.refreshed_at {
                    Some(planned) if planned > now.at => planned,
                    Some(last) => now.at.max(last + GAP_EVERY),
                    None => now.at,
                };
                at_server.refreshed_at = Some(at);
                debug!("a document of the server's watchers is missing");
                self.subscriber.refresh_by(notified.id, at);
            }
        }
        let told = self.at_server.told(&canonical(self.config.address.as_str()), now);
        self.take_watchers(told, now, out);
    }

    /// Follows one turn of the subscription.
    pub(super) fn watchers_turned(&mut self, update: &Update, now: Now, out: &mut Outbox) {
        match update {
            Update::Trying => self.at_server.table.restart(),
            Update::Confirmed => self.note_refusal(None, out),
            Update::Failed { cause, retry_at } if retry_at.is_none() || is_final(cause) => {
                self.watchers_refused(Some(cause), &explain(cause), now, out);
            }
            Update::Ended { reason, retry_at: None } => {
                let reason = reason.map_or("none given", crate::sip::header::Reason::as_str);
                self.watchers_refused(None, &format!("it ended the subscription: {reason}"), now, out);
            }
            // What is known is not certain, and nobody is gone for that.
            Update::Waiting
            | Update::Unconfirmed
            | Update::Expired
            | Update::Failed { .. }
            | Update::Ended { .. }
            | Update::Done => {}
        }
    }

    /// The server does not tell us: that is said once, and asked again rarely.
    fn watchers_refused(&mut self, cause: Option<&Cause>, reason: &str, now: Now, out: &mut Outbox) {
        self.ask_no_more(now, out);
        let again_at = now.at + AGAIN_AFTER;
        self.at_server.again_at = Some(again_at);
        self.at_server.unknown =
            matches!(cause, Some(Cause::Unauthorized { .. } | Cause::NoAnswer(Failure::Unauthorized { .. })));
        self.at_server.table.clear();
        self.take_watchers(BTreeMap::new(), now, out);
        let link = Link {
            state: "refused".to_owned(),
            code: cause.map(code_of),
            reason: Some(reason.to_owned()),
            next_retry: Some(wall_of(again_at, now)),
            ..Link::default()
        };
        self.note_refusal(Some(link), out);
    }

    fn note_refusal(&mut self, link: Option<Link>, out: &mut Outbox) {
        let linked = std::sync::Arc::make_mut(&mut self.linked);
        let why = |link: &Option<Link>| link.as_ref().map(|link| (link.code, link.reason.clone()));
        if why(&linked.watcher_info) != why(&link) {
            if let Some(reason) = link.as_ref().and_then(|link| link.reason.as_deref()) {
                info!(reason = %visible(reason), "the server does not tell who watches us");
            }
            out.changed.insert(Key::Server);
        }
        linked.watcher_info = link;
    }

    /// Takes a new list of those who watch us at the server; who is new on it, or gone, is told.
    fn take_watchers(&mut self, mut told: BTreeMap<String, Known>, now: Now, out: &mut Outbox) {
        let before = std::mem::take(&mut self.at_server.people);
        for (who, known) in &mut told {
            let was = before.get(who);
            if let Some(was) = was.filter(|was| was.status == known.status) {
                // The older one is the surer one: not every server says how long it has lasted.
                known.since = known.since.min(was.since);
            }
            let seen = Person { display_name: known.display_name.clone(), ..person(who, known.status, now.wall) };
            match was {
                Some(_) => self.remembering.history.judged(seen),
                None => self.remembering.history.came(seen),
            }
            self.announce_at_server(who, known, was, now, out);
        }
        for (who, was) in before.iter().filter(|(who, _)| !told.contains_key(*who)) {
            self.remembering.history.left(&key_of(who), now.wall);
            out.events.push(PresenceEvent::SubscriptionTerminated {
                subscription_id: subscription_id(&was.id),
                reason: "told by the server".to_owned(),
            });
        }
        if told != before {
            out.changed.insert(Key::Watchers);
        }
        self.at_server.people = told;
    }

    /// Tells programs of somebody at the server, once for each turn that is one.
    fn announce_at_server(&self, who: &str, known: &Known, was: Option<&Known>, now: Now, out: &mut Outbox) {
        let waits = |status| stand_of(status).is_open();
        let (subscriber, target) = (who.to_owned(), self.own.entity.clone());
        if waits(known.status) && !was.is_some_and(|was| waits(was.status)) {
            let left = known.expires_at.map_or(0, |at| at.since(now.at).as_secs());
            let expires = u32::try_from(left).unwrap_or(u32::MAX);
            out.events.push(PresenceEvent::SubscriptionRequest { subscriber, target, expires });
        } else if known.status == Status::Active && was.is_none_or(|was| was.status != Status::Active) {
            let subscription_id = subscription_id(&known.id);
            out.events.push(PresenceEvent::SubscriptionAccepted { subscription_id, subscriber, target });
        }
    }

    /// Goes on with those of whom the server told an earlier run, until it tells us anew.
    pub(super) fn restore_at_server(&mut self, now: Now, out: &mut Outbox) {
        if self.config.server.as_ref().is_some_and(|server| server.watcher_info) {
            let people = self.remembering.history.people(now.wall).into_iter();
            for person in people.filter(|person| person.via == Via::Server) {
                let status = match person.state {
                    Stand::Active => Status::Active,
                    Stand::Pending => Status::Pending,
                    Stand::Waiting => Status::Waiting,
                    Stand::PoliteBlock | Stand::Terminated => continue,
                };
                let Person { who, display_name, since, .. } = person.clone();
                let known = Known { id: who.clone(), display_name, status, since, expires_at: None };
                if status != Status::Active {
                    self.announce_at_server(&who, &known, None, now, out);
                }
                self.remembering.history.came(person);
                self.at_server.people.insert(who, known);
            }
        }
        self.remembering.history.all_are_back(Via::Server, now.wall);
    }
}

fn person(who: &str, status: Status, now: Timestamp) -> Person {
    Person::new(who, Via::Server, WatcherGrade::Verified, stand_of(status), BY_SERVER, now)
}

fn key_of(who: &str) -> PersonKey {
    (who.to_owned(), Via::Server, false)
}

fn subscription_id(id: &str) -> String {
    format!("server-{id}")
}

fn stand_of(status: Status) -> Stand {
    match status {
        Status::Terminated => Stand::Terminated,
        Status::Waiting => Stand::Waiting,
        Status::Pending => Stand::Pending,
        Status::Active => Stand::Active,
    }
}

/// Returns whether a server that says so will say so again: it is not asked as one that is down.
fn is_final(cause: &Cause) -> bool {
    match cause {
        Cause::Refused { code: 501 | 505 | 513, .. } | Cause::Unauthorized { .. } => true,
        Cause::Refused { code, .. } => !matches!(code, 408 | 423 | 429 | 430 | 480 | 481 | 486 | 491 | 500..=599),
        Cause::NoAnswer(_) => false,
    }
}
