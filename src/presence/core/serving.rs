//! Serving our own state: whose SUBSCRIBE it is, who may see what, who watches.

use std::{collections::HashMap, net::IpAddr, net::SocketAddr};

use bytes::Bytes;
use jiff::Timestamp;
use tracing::{debug, info};

use super::{Cached, Core, Key, Now, Outbox, OwnPresence, PresenceEvent, Step, WATCHER_INFO};
use crate::{
    presence::{
        event::{Via, WatcherGrade, WatcherInfo},
        history::{Person, PersonKey, Stand},
        pidf::{self, Identity, Published},
        policy::{Action, Policy, canonical},
        status::{OpenWhen, PresenceStatus},
        text::visible,
    },
    sip::{
        effect::{Effect, QueryId},
        endpoint::ServerId,
        events::notifier::{Ending, Report, ServedId, Subscribe, Verdict, View},
        locate::Question,
        message::Message,
        time::Instant,
        transport::Flow,
        uri::{Host, UriRef},
    },
};

/// Our state as it is.
pub(super) const FULL: View = View(0);
/// Us as if we were offline.
const OFFLINE: View = View(1);

/// Somebody who watches us, or wants to.
#[derive(Clone, Debug, PartialEq)]
pub struct Watcher {
    /// The address of record that it claims.
    pub who: String,
    /// Where it watches us.
    pub via: Via,
    /// The name that goes with it, as far as our server tells one.
    pub display_name: Option<String>,
    /// How sure we are of that.
    pub grade: WatcherGrade,
    /// `active`, `pending`, `polite-block`, or `waiting` for one that left before anybody decided.
    pub state: &'static str,
    /// Which part of the policy decided.
    pub rule: &'static str,
    /// Since when it has been so.
    pub since: Timestamp,
    /// When that was decided, as far as is remembered.
    pub decided_at: Option<Timestamp>,
    /// When it came first, as far as is remembered.
    pub first_seen: Option<Timestamp>,
    /// When its subscription ends unless refreshed; none of one that left.
    pub expires_at: Option<Instant>,
    /// Where it is, if it watches us directly and is there.
    pub source: Option<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) who: String,
    /// The host that From names.
    pub(super) host: Result<IpAddr, String>,
    pub(super) grade: WatcherGrade,
    pub(super) rule: &'static str,
    pub(super) since: Timestamp,
    pub(super) own: bool,
    pub(super) expires: u32,
    pub(super) announced: bool,
    /// As whom it is remembered.
    pub(super) remembered: Option<PersonKey>,
}

/// What is known of our watchers beyond their subscriptions.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) entries: HashMap<ServedId, Entry>,
    lookups: HashMap<QueryId, ServedId>,
    bodies: Cached,
    /// Since when those who are politely blocked see us offline; nothing that we do moves it.
    pub(super) hidden_since: Timestamp,
    /// Since when we are offline, when we are.
    pub(super) offline_since: Timestamp,
    /// We are on our way out: everybody sees us offline.
    leaving: bool,
}

impl Serving {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            entries: HashMap::new(),
            lookups: HashMap::new(),
            bodies: HashMap::new(),
            hidden_since: now,
            offline_since: now,
            leaving: false,
        }
    }

    /// Our state is another one; without a publication we are offline since the given moment.
    pub(super) fn state_changed(&mut self, offline_since: Option<Timestamp>) {
        self.bodies.remove(&FULL.0);
        self.offline_since = offline_since.unwrap_or(self.offline_since);
    }

    /// From now on we show as offline; who had said so before has been offline since then.
    pub(super) fn going_offline(&mut self, own: &OwnPresence, now: Timestamp) {
        self.leaving = true;
        self.bodies.remove(&FULL.0);
        if let Some(published) = &own.published {
            let said = published.status == PresenceStatus::Offline;
            self.offline_since = if said { published.timestamp } else { now };
        }
    }

    /// Returns the document behind a view; made once for all who see it.
    pub(super) fn body(&mut self, view: View, own: &OwnPresence, identity: &Identity, open: OpenWhen) -> Bytes {
        let Self { bodies, hidden_since, offline_since, leaving, .. } = self;
        let body = bodies.entry(view.0).or_insert_with(|| {
            let offline = |since| pidf::write(&Published::new(PresenceStatus::Offline, since), identity, &open);
            let document = match &own.published {
                _ if view == OFFLINE => offline(*hidden_since),
                Some(published) if !*leaving => pidf::write(published, identity, &open),
                Some(_) | None => offline(*offline_since),
            };
            document.into()
        });
        body.clone()
    }
}

impl Core {
    pub(super) fn subscribe_received(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
        if message.event().ok().flatten().is_some_and(|event| event.package == WATCHER_INFO.name) {
            return self.informing_asked(request, flow, message, now, out);
        }
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let Some(subscribe) = self.notifier.examine(request, flow, message, &mut step) else { return };
        match subscribe {
            Subscribe::Refresh(id) => {
                let verdict = self.verdict_for(id);
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                self.notifier.refresh(request, flow, message, id, verdict, &mut step);
                out.changed.insert(Key::Watchers);
            }
            Subscribe::Initial(initial) => {
                if !self.is_me(&initial.target) {
                    self.endpoint.respond_with(request, flow, message, 404, now.at, &mut out.effects, |_| {});
                    return;
                }
                let call_id = message.call_id().unwrap_or_default();
                let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
                let own = self.subscriber.is_own(call_id, tag);
                let source = flow.remote.ip();
                let trusted = self.config.policy.vouches_for(source) || self.watching.has_target_at(source);
                let proven = own || trusted || self.notifier.is_proven(flow, now.at);
                let (who, host) = (canonical(&initial.watcher), host_of(&initial.from));
                let vouched = flow.conn.and_then(|conn| self.vouched.get(&conn));
                let mut entry = Entry {
                    grade: if vouched.is_some_and(|vouched| vouched.is_of(&who, &host)) {
                        WatcherGrade::Verified
                    } else {
                        grade(&host, proven, flow.remote.ip(), initial.notify_to)
                    },
                    who,
                    host,
                    rule: "",
                    since: now.wall,
                    own,
                    expires: message.expires().unwrap_or(3600),
                    announced: false,
                    remembered: None,
                };
                let verdict = judge(&self.config.policy, &mut entry);
                log(&entry, verdict, proven);
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                let admitted = self.notifier.admit(request, flow, message, &initial, verdict, proven, &mut step);
                // Who had to give way may have left the very id.
                self.follow_watchers(now, out);
                if let Some(id) = admitted {
                    self.serving.entries.insert(id, entry);
                    if proven {
                        self.announce(id, now, out);
                    }
                }
            }
        }
    }

    /// NOT-31: whether a request-URI means us.
    pub(super) fn is_me(&self, target: &UriRef<'_>) -> bool {
        let me = self.config.address.as_ref();
        let host = target.host_text().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let own_host = match target.host() {
            Host::Ip(ip) => {
                ip.is_loopback() || self.config.machine.contains(&ip) || self.config.locals.iter().any(|l| l.ip() == ip)
            }
            Host::Name(_) => {
                host == "localhost"
                    || self.config.names.iter().any(|name| {
                        let name = name.to_ascii_lowercase();
                        host == name || host == format!("{name}.local")
                    })
            }
        };
        target.user() == me.user() && (own_host || target.host_equals(&me))
    }

    /// Judges a standing subscription by the policy as it is now.
    fn verdict_for(&mut self, id: ServedId) -> Verdict {
        match self.serving.entries.get_mut(&id) {
            Some(entry) => judge(&self.config.policy, entry),
            None => Verdict::Refuse(403),
        }
    }

    /// Follows what happened to subscriptions that we serve.
    pub(super) fn follow_watchers(&mut self, now: Now, out: &mut Outbox) {
        while let Some(report) = self.notifier.next_report() {
            match report {
                Report::Proven(id) => self.watcher_proven(id, now, out),
                Report::Ended { id, proven, ending, .. } => {
                    let Some(entry) = self.serving.entries.remove(&id) else { continue };
                    self.part(entry.remembered.as_ref(), now);
                    self.informing.ended(id, ending);
                    // What never proved to be anybody, or found no place, is nobody's news (SEC-02).
                    if proven && ending != Ending::Dropped {
                        debug!(watcher = %visible(&entry.who), ?ending, "subscription to us ended");
                        out.events.push(PresenceEvent::SubscriptionTerminated {
                            subscription_id: id.to_string(),
                            reason: ending_word(ending).to_owned(),
                        });
                        out.changed.insert(Key::Watchers);
                    }
                }
            }
        }
    }

    /// The watcher's address answered: its identity may be more than a claim now.
    fn watcher_proven(&mut self, id: ServedId, now: Now, out: &mut Outbox) {
        let Some(served) = self.notifier.info(id) else { return };
        let Some(entry) = self.serving.entries.get_mut(&id) else { return };
        entry.grade = grade(&entry.host, true, served.source.ip(), Some(served.source));
        let verdict = judge(&self.config.policy, entry);
        log(entry, verdict, true);
        self.look_up(id, out);
        self.notifier.promote(id, verdict, now.at);
        self.announce(id, now, out);
    }

    /// Looks the host name up that a watcher gives as its own, where it is worth that: where a rule would allow it
    /// if it were true (POL-19).
    pub(super) fn look_up(&mut self, id: ServedId, out: &mut Outbox) {
        let Some(served) = self.notifier.info(id) else { return };
        if let Some(entry) = self.serving.entries.get(&id)
            && entry.grade == WatcherGrade::Claimed
            && self.config.policy.listed(&entry.who) == Some(Action::Allow)
            && let Err(host) = &entry.host
        {
            let query = self.endpoint.next_query();
            self.serving.lookups.insert(query, id);
            let question = Question::Addresses { host: host.clone(), port: served.source.port() };
            out.effects.push(Effect::Resolve { query, question });
        }
    }

    /// A watcher's own host name was looked up.
    pub(super) fn watcher_resolved(&mut self, query: QueryId, addresses: &[SocketAddr], now: Now, out: &mut Outbox) {
        let Some(id) = self.serving.lookups.remove(&query) else { return };
        let Some(served) = self.notifier.info(id) else { return };
        if addresses.iter().any(|address| address.ip() == served.source.ip())
            && let Some(entry) = self.serving.entries.get_mut(&id)
        {
            entry.grade = WatcherGrade::Address;
            out.changed.insert(Key::Saved);
            let verdict = judge(&self.config.policy, entry);
            log(entry, verdict, true);
            self.notifier.judge(id, verdict, now.at);
            self.announce(id, now, out);
        }
    }

    /// Tells programs of a watcher that has proven to be there.
    pub(super) fn announce(&mut self, id: ServedId, now: Now, out: &mut Outbox) {
        self.remember(id, now);
        let Some(served) = self.notifier.info(id) else { return };
        let Some(entry) = self.serving.entries.get_mut(&id).filter(|entry| !entry.own) else { return };
        out.changed.insert(Key::Watchers);
        let target = self.own.entity.clone();
        match served.verdict {
            Verdict::Pending if !entry.announced => {
                entry.announced = true;
                let (subscriber, expires) = (entry.who.clone(), entry.expires);
                out.events.push(PresenceEvent::SubscriptionRequest { subscriber, target, expires });
            }
            Verdict::Active(_) => {
                let subscriber = entry.who.clone();
                let subscription_id = id.to_string();
                out.events.push(PresenceEvent::SubscriptionAccepted { subscription_id, subscriber, target });
            }
            Verdict::Pending | Verdict::Refuse(_) => {}
        }
    }

    /// Puts another policy in force; every live subscription is judged by it at once (POL-15).
    pub fn set_policy(&mut self, policy: Policy, now: Now, out: &mut Outbox) {
        self.config.policy = policy;
        let mut ids: Vec<ServedId> = self.serving.entries.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            // One that is not proven yet is judged when it is, and is nobody's news before (SEC-02).
            let Some(served) = self.notifier.info(id).filter(|served| served.proven) else { continue };
            let verdict = self.verdict_for(id);
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
        out.changed.insert(Key::Watchers);
        self.settle(now, out);
    }

    /// Returns the policy in force.
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// Returns who watches us and who wants to, in the order of their names; ourselves left out. Who left before anybody
    /// decided about it is among them, and who watches us at our server.
    pub fn watchers(&self) -> Vec<Watcher> {
        let mut watchers: Vec<Watcher> = self
            .notifier
            .proven()
            .filter_map(|served| {
                let entry = self.serving.entries.get(&served.id).filter(|entry| !entry.own)?;
                let remembered = entry.remembered.as_ref().and_then(|key| self.remembering.history.get(key));
                Some(Watcher {
                    who: entry.who.clone(),
                    via: Via::Direct,
                    display_name: None,
                    grade: entry.grade,
                    state: state_word(served.verdict),
                    rule: entry.rule,
                    since: entry.since,
                    decided_at: remembered.and_then(|person| person.decided_at),
                    first_seen: remembered.map(|person| person.first_seen),
                    expires_at: Some(served.expires_at),
                    source: Some(served.source),
                })
            })
            .collect();
        watchers.extend(self.remembering.history.waiting().map(Watcher::absent));
        watchers.extend(self.at_server.watchers());
        watchers.sort_by(|a, b| (&a.who, a.via, a.source).cmp(&(&b.who, b.via, b.source)));
        watchers
    }
}

impl Watcher {
    /// Makes the part of the JSON line that describes a watcher.
    pub fn to_info(&self, now: Instant) -> WatcherInfo {
        WatcherInfo {
            via: self.via,
            display_name: self.display_name.clone(),
            reason: Some(self.rule.to_owned()),
            since: Some(self.since),
            decided_at: self.decided_at,
            first_seen: self.first_seen,
            expires_in: self.expires_at.map(|at| at.since(now).as_secs()),
            ..WatcherInfo::new(&self.who, self.grade, self.state)
        }
    }

    /// Makes that of somebody who left before anybody decided.
    fn absent(person: &Person) -> Self {
        Self {
            who: person.who.clone(),
            via: person.via,
            display_name: person.display_name.clone(),
            grade: person.identity,
            state: person.state.as_str(),
            rule: "default",
            since: person.since,
            decided_at: None,
            first_seen: Some(person.first_seen),
            expires_at: None,
            source: None,
        }
    }
}

/// Returns the host that a watcher's URI names: its address, or its name in lower case.
pub(super) fn host_of(uri: &UriRef<'_>) -> Result<IpAddr, String> {
    match uri.host() {
        Host::Ip(ip) => Ok(ip),
        Host::Name(name) => Err(name.to_ascii_lowercase()),
    }
}

/// POL-19: the grade of a watcher's identity.
fn grade(host: &Result<IpAddr, String>, proven: bool, source: IpAddr, notify_to: Option<SocketAddr>) -> WatcherGrade {
    let contact_agrees = notify_to.is_some_and(|to| to.ip() == source);
    if proven && contact_agrees && *host == Ok(source) { WatcherGrade::Address } else { WatcherGrade::Claimed }
}

pub(super) fn judge(policy: &Policy, entry: &mut Entry) -> Verdict {
    if entry.own {
        // POL-20: known by the Call-ID and tag that we issued, not by what it claims.
        entry.rule = "self";
        return Verdict::Active(FULL);
    }
    let decision = policy.decide(&entry.who, entry.grade);
    entry.rule = decision.rule;
    match decision.action {
        Action::Allow => Verdict::Active(FULL),
        Action::Ask => Verdict::Pending,
        Action::PoliteBlock => Verdict::Active(OFFLINE),
        Action::Block => Verdict::Refuse(403),
    }
}

/// POL-18: who, by which rule, with what result; never what was shown. Strangers who may not be who they say
/// cannot fill the log.
fn log(entry: &Entry, verdict: Verdict, proven: bool) {
    let (watcher, rule, result) = (visible(&entry.who), entry.rule, state_word(verdict));
    if proven {
        info!(%watcher, rule, result, "judged a watcher");
    } else {
        debug!(%watcher, rule, result, "judged a watcher that may be somebody else");
    }
}

pub(super) fn state_word(verdict: Verdict) -> &'static str {
    state_of(verdict).as_str()
}

pub(super) fn state_of(verdict: Verdict) -> Stand {
    match verdict {
        Verdict::Pending => Stand::Pending,
        Verdict::Active(FULL) => Stand::Active,
        Verdict::Active(_) => Stand::PoliteBlock,
        Verdict::Refuse(_) => Stand::Terminated,
    }
}

fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Left => "unsubscribed",
        Ending::Expired => "timeout",
        Ending::Unanswered | Ending::Gone(_) => "unreachable",
        Ending::Rejected => "rejected",
        Ending::GaveUp => "giveup",
        Ending::Dropped => "dropped",
        Ending::Offline => "offline",
    }
}
