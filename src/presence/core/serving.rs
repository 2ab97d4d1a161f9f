//! Serving our own state: whose SUBSCRIBE it is, who may see what, who watches.

use std::{collections::HashMap, net::IpAddr, net::SocketAddr, sync::Arc};

use jiff::Timestamp;
use tracing::{debug, info};

use super::{
    Core, CoreConfig, Key, Now, Outbox, PresenceEvent, Step, WATCHER_INFO, judging::Judging, proving::Asker,
    subject::Own,
};
use crate::{
    presence::{
        event::{Via, WatcherGrade, WatcherInfo},
        history::{Person, PersonKey, Stand},
        policy::{canonical, is_anonymous},
        text::visible,
        views::{Views, hides},
    },
    sip::{
        effect::{Effect, QueryId},
        endpoint::ServerId,
        events::notifier::{Ending, Rank, Report, ServedId, Subscribe, Verdict},
        locate::Question,
        message::Message,
        time::Instant,
        transport::Flow,
        uri::{Host, UriRef},
    },
};

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
    /// Which part of the policy decided: a list's name, the id of a rule, or `default`.
    pub rule: Arc<str>,
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
    pub(super) rule: Arc<str>,
    pub(super) since: Timestamp,
    /// Since when we hide from it, if we do.
    pub(super) hidden_since: Option<Timestamp>,
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
    pub(super) views: Views,
    pub(super) judging: Judging,
}

impl Serving {
    pub(super) fn new(now: Timestamp) -> Self {
        let (entries, lookups) = (HashMap::new(), HashMap::new());
        Self { entries, lookups, views: Views::new(0, now), judging: Judging::default() }
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
                if !self.may_go_on((request, flow, message), id, now, out) {
                    return;
                }
                let verdict = self.verdict_for(id, now);
                let Self { notifier, endpoint, serving, own, identity, config, .. } = self;
                let subject = Own::new(own, identity, config);
                let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
                let body = |view| serving.views.body(view, subject);
                notifier.refresh(request, flow, message, id, verdict, body, &mut step);
                out.changed.insert(Key::Watchers);
            }
            Subscribe::Initial(mut initial) => {
                if !self.is_me(&initial.target) {
                    let code = if self.config.policy.hide_unknown { 403 } else { 404 };
                    self.endpoint.respond_with(request, flow, message, code, now.at, &mut out.effects, |_| {});
                    return;
                }
                let call_id = message.call_id().unwrap_or_default();
                let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
                let own = self.subscriber.is_own(call_id, tag);
                let asker = if own {
                    Asker::claims(&initial.from)
                } else {
                    let Some(asker) = self.identify(request, flow, message, now, out) else { return };
                    asker
                };
                if asker.who != canonical(&initial.watcher) {
                    // What outlives this run is the name that was proven, or nobody's.
                    initial.watcher.clone_from(&asker.who);
                }
                let source = flow.remote.ip();
                let trusted = self.config.policy.vouches_for(source) || self.watching.has_target_at(source);
                let proven = own || trusted || asker.reached || self.notifier.is_proven(flow, now.at);
                let mut entry = Entry {
                    grade: if asker.verified {
                        WatcherGrade::Verified
                    } else {
                        grade(&asker.host, proven, flow.remote.ip(), initial.notify_to)
                    },
                    who: asker.who,
                    host: asker.host,
                    rule: Arc::default(),
                    since: now.wall,
                    hidden_since: None,
                    own,
                    expires: message.expires().unwrap_or(3600),
                    announced: false,
                    remembered: None,
                };
                let verdict = self.judge(&mut entry, now);
                log(&entry, verdict, proven);
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                let rank = match entry.grade {
                    _ if !proven => Rank::Unproven,
                    WatcherGrade::Verified => Rank::Verified,
                    WatcherGrade::Address | WatcherGrade::Claimed => Rank::Proven,
                };
                let admitted = self.notifier.admit(request, flow, message, &initial, verdict, rank, &mut step);
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
        self.config.is_address_of(target)
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
        let verdict = self.verdict_for(id, now);
        self.log(id, verdict);
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
            && !is_anonymous(&entry.who)
            && self.config.policy.may_allow(&entry.who)
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
            let verdict = self.verdict_for(id, now);
            self.log(id, verdict);
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
                    rule: Arc::clone(&entry.rule),
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

impl CoreConfig {
    /// Returns whether a URI means who this is of.
    pub(super) fn is_address_of(&self, target: &UriRef<'_>) -> bool {
        let me = self.address.as_ref();
        let host = target.host_text().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let own_host = match target.host() {
            Host::Ip(ip) => ip.is_loopback() || self.machine.contains(&ip) || self.locals.iter().any(|l| l.ip() == ip),
            Host::Name(_) => {
                host == "localhost"
                    || self.names.iter().any(|name| {
                        let name = name.to_ascii_lowercase();
                        host == name || host == format!("{name}.local")
                    })
            }
        };
        target.user() == me.user() && (own_host || target.host_equals(&me))
    }
}

impl Watcher {
    /// Makes the part of the JSON line that describes a watcher.
    pub fn to_info(&self, now: Instant) -> WatcherInfo {
        WatcherInfo {
            via: self.via,
            display_name: self.display_name.clone(),
            reason: Some(self.rule.as_ref().to_owned()),
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
            rule: "default".into(),
            since: person.since,
            decided_at: None,
            first_seen: Some(person.first_seen),
            expires_at: None,
            source: None,
        }
    }
}

/// Returns the host that a watcher's URI names: its address, or its name in lower case.
pub(crate) fn host_of(uri: &UriRef<'_>) -> Result<IpAddr, String> {
    match uri.host() {
        Host::Ip(ip) => Ok(ip),
        Host::Name(name) => Err(name.to_ascii_lowercase()),
    }
}

/// POL-19: the grade of a watcher's identity.
pub(crate) fn grade(
    host: &Result<IpAddr, String>,
    proven: bool,
    source: IpAddr,
    notify_to: Option<SocketAddr>,
) -> WatcherGrade {
    let contact_agrees = notify_to.is_some_and(|to| to.ip() == source);
    if proven && contact_agrees && *host == Ok(source) { WatcherGrade::Address } else { WatcherGrade::Claimed }
}

/// POL-18: who, by which rule, with what result; never what was shown. Strangers who may not be who they say
/// cannot fill the log.
pub(super) fn log(entry: &Entry, verdict: Verdict, proven: bool) {
    let (watcher, rule, result) = (visible(&entry.who), &*entry.rule, state_word(verdict));
    if proven {
        info!(%watcher, rule, result, "judged a watcher");
    } else {
        debug!(%watcher, rule, result, "judged a watcher that may be somebody else");
    }
}

pub(crate) fn state_word(verdict: Verdict) -> &'static str {
    state_of(verdict).as_str()
}

pub(crate) fn state_of(verdict: Verdict) -> Stand {
    match verdict {
        Verdict::Pending => Stand::Pending,
        Verdict::Active(view) if hides(view) => Stand::PoliteBlock,
        Verdict::Active(_) => Stand::Active,
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
