//! One subscription's states and every turn between them.

use std::{net::SocketAddr, time::Duration};

use super::{
    Cause, Notice, Notified, Standing, Subscriber, SubscriptionId, Update, Wish,
    retry::{self, Backoff, FIRST},
};
use crate::sip::{
    codec::Head,
    dialog::{Dialog, Order, Party},
    endpoint::{ALLOW, ContactSlot, Failure, Outgoing, ServerId},
    events::{EventPackage, MAX_EXPIRES, Step, USER_AGENT, User, seconds},
    header::{Name, Reason, SubState},
    ids::{self, Token},
    locate,
    message::Message,
    time::Instant,
    transaction::Resends,
    transport::Flow,
    uri::Uri,
};

/// A first pause of a minute, where the RFC leaves the choice to us (WAT-37, WAT-40).
const LONG: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) wish: Wish,
    pub(super) state: State,
    /// Seconds to ask for: the wish, or what a 423 demanded.
    asked: u32,
    /// The request whose outcome is awaited; outcomes of older ones come too late.
    awaited: u64,
    backoff: Backoff,
    /// The address that the notifier was last found at.
    peer: Option<SocketAddr>,
    /// The end of what was last granted, once no subscription stands: what is known holds no longer (WAT-50).
    pub(super) known_until: Option<Instant>,
    pub(super) early_at: Option<Instant>,
    timer: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing stands; the next attempt goes at `retry_at`, and not before `not_before` whatever happens.
    Waiting { retry_at: Instant, not_before: Option<Instant> },
    /// A SUBSCRIBE outside a dialog is out and no NOTIFY has come.
    Subscribing { call_id: Box<str>, tag: Token, seq: u32, timer_n: Instant, granted: Option<u32> },
    /// A NOTIFY made the dialog.
    Established {
        dialog: Dialog,
        pending: bool,
        expires_at: Instant,
        refresh_at: Instant,
        refresh: Option<Refresh>,
        /// A refused refresh forbade any attempt until then.
        not_before: Option<Instant>,
        /// Whether a NOTIFY said how long; then the 2xx to the first SUBSCRIBE says nothing new (WAT-03).
        told: bool,
    },
    /// We unsubscribed and wait for the last NOTIFY (WAT-12).
    Ending { dialog: Dialog, until: Instant },
    /// Nothing happens on its own any more.
    Over,
}

/// A refresh on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    answered: bool,
    notified: bool,
    /// Whether a NOTIFY said how long; then the 2xx says nothing new.
    told: bool,
    /// When silence makes what we know stale; taken when it did.
    stale_at: Option<Instant>,
    timer_n: Instant,
}

impl Subscription {
    pub(super) fn new(wish: Wish, now: Instant) -> Self {
        let asked = wish.expires;
        let state = State::Waiting { retry_at: now, not_before: None };
        let (backoff, awaited) = (Backoff::default(), 0);
        Self { wish, state, asked, awaited, backoff, peer: None, known_until: None, early_at: None, timer: None }
    }
}

impl State {
    pub(super) fn call_id(&self) -> Option<&str> {
        match self {
            Self::Subscribing { call_id, .. } => Some(call_id),
            Self::Established { dialog, .. } | Self::Ending { dialog, .. } => Some(&dialog.call_id),
            Self::Waiting { .. } | Self::Over => None,
        }
    }

    fn tag(&self) -> Option<Token> {
        match self {
            Self::Subscribing { tag, .. } => Some(*tag),
            Self::Established { dialog, .. } | Self::Ending { dialog, .. } => Some(dialog.local_tag),
            Self::Waiting { .. } | Self::Over => None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting { retry_at, .. } => Some(*retry_at),
            Self::Subscribing { timer_n, .. } => Some(*timer_n),
            Self::Established { expires_at, refresh_at, refresh, .. } => {
                let next = match refresh {
                    Some(refresh) => refresh.stale_at.map_or(refresh.timer_n, |at| at.min(refresh.timer_n)),
                    None => *refresh_at,
                };
                Some(next.min(*expires_at))
            }
            Self::Ending { until, .. } => Some(*until),
            Self::Over => None,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let (state, expires_at, retry_at) = match self {
            Self::Waiting { retry_at, .. } => ("waiting", None, Some(*retry_at)),
            Self::Subscribing { .. } => ("subscribing", None, None),
            Self::Established { pending: true, expires_at, .. } => ("pending", Some(*expires_at), None),
            Self::Established { expires_at, .. } => ("active", Some(*expires_at), None),
            Self::Ending { .. } => ("ending", None, None),
            Self::Over => ("over", None, None),
        };
        Standing { state, expires_at, retry_at }
    }
}

/// Codes after which the subscription is over at the notifier (WAT-09).
const OVER: [u16; 13] = [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604];
/// Codes after which another attempt of the same kind is pointless.
const FINAL: [u16; 17] = [401, 402, 403, 405, 406, 407, 410, 415, 416, 420, 421, 423, 488, 489, 603, 604, 606];
/// Codes whose Retry-After counts (TXN-28).
const RETRY_AFTER: [u16; 8] = [404, 413, 480, 486, 500, 503, 600, 603];

impl Subscriber {
    /// Sends a SUBSCRIBE outside any dialog, with Call-ID and tag of its own.
    pub(super) fn attempt(&mut self, id: u32, step: &mut Step<'_>) {
        let call_id = ids::call_id(step.endpoint.rng()).into_boxed_str();
        let tag = Token::random(step.endpoint.rng());
        let timer_n = step.now + step.endpoint.timing().transaction();
        let state = State::Subscribing { call_id, tag, seq: 1, timer_n, granted: None };
        self.enter(id, state, step.now);
        self.updates.push_back((SubscriptionId(id), Update::Trying));
        self.send_initial(id, step);
    }

    /// Leaves the present state for another; indexes and timer follow.
    pub(super) fn enter(&mut self, id: u32, state: State, now: Instant) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let old = std::mem::replace(&mut sub.state, state);
        sub.known_until = match (&old, &sub.state) {
            (State::Established { expires_at, .. }, State::Waiting { .. } | State::Subscribing { .. }) => {
                Some(*expires_at).filter(|end| *end > now)
            }
            (_, State::Waiting { .. } | State::Subscribing { .. }) => sub.known_until,
            (_, State::Established { .. } | State::Ending { .. } | State::Over) => None,
        };
        self.untrack(id, &old);
        let Some(sub) = self.slab.get(id) else { return };
        if let Some(tag) = sub.state.tag() {
            self.by_tag.insert(tag, id);
        }
        if matches!(sub.state, State::Waiting { .. }) {
            self.await_peer(id);
        }
        self.rearm(id);
    }

    /// What is in back-off is tried at once when its peer shows itself (WAT-47).
    fn await_peer(&mut self, id: u32) {
        if let Some(peer) = self.slab.get(id).and_then(|sub| sub.peer) {
            self.by_peer.insert((peer, id));
        }
    }

    fn await_peer_no_more(&mut self, id: u32) {
        if let Some(peer) = self.slab.get(id).and_then(|sub| sub.peer) {
            self.by_peer.remove(&(peer, id));
        }
    }

    /// Takes a state that is left out of the indexes.
    pub(super) fn untrack(&mut self, id: u32, old: &State) {
        if let Some(tag) = old.tag() {
            self.by_tag.remove(&tag);
        }
        self.await_peer_no_more(id);
    }

    pub(super) fn rearm(&mut self, id: u32) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        match [sub.state.deadline(), sub.known_until].into_iter().flatten().min() {
            Some(at) => self.timers.set(&mut sub.timer, id, at),
            None => self.timers.cancel(&mut sub.timer, id),
        }
    }

    /// Frees the id; [`Update::Done`] is its last word.
    pub(super) fn finish(&mut self, id: u32) {
        if let Some(mut sub) = self.slab.remove(id) {
            self.timers.cancel(&mut sub.timer, id);
            self.updates.push_back((SubscriptionId(id), Update::Done));
        }
    }

    fn send_initial(&mut self, id: u32, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get(id) else { return };
        let State::Subscribing { call_id, tag, seq, .. } = &sub.state else { return };
        let wish = &sub.wish;
        let expires = if wish.fetch { 0 } else { sub.asked };
        let mut head = Head::request("SUBSCRIBE", wish.target.as_str());
        head.number(Name::MaxForwards, 70);
        head.fmt(Name::From, format_args!("{};tag={tag}", wish.from.as_str()));
        head.fmt(Name::To, format_args!("<{}>", wish.target));
        head.header(Name::CallId, call_id);
        head.fmt(Name::CSeq, format_args!("{seq} SUBSCRIBE"));
        let hop = wish.target.as_str().to_owned();
        self.send(id, head, expires, &hop, step);
    }

    pub(super) fn send_in_dialog(&mut self, id: u32, expires: u32, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let (State::Established { dialog, .. } | State::Ending { dialog, .. }) = &mut sub.state else { return };
        let head = dialog.request("SUBSCRIBE");
        let hop = dialog.next_hop().to_owned();
        self.send(id, head, expires, &hop, step);
    }

    fn send(&mut self, id: u32, mut head: Head, expires: u32, hop: &str, step: &mut Step<'_>) {
        self.attempts += 1;
        let attempt = self.attempts;
        self.await_peer_no_more(id);
        let Some(sub) = self.slab.get_mut(id) else { return };
        sub.awaited = attempt;
        let EventPackage { name, content_type } = sub.wish.package;
        let contact = ContactSlot { at: head.len(), user: sub.wish.contact_user.clone() };
        head.header(Name::Event, name).header(Name::Accept, content_type).header(Name::Allow, ALLOW);
        head.header(Name::AllowEvents, name).number(Name::Expires, expires).header(Name::UserAgent, USER_AGENT);
        let plan = match hop
            .parse::<Uri>()
            .map_err(|e| e.to_string())
            .and_then(|uri| locate::plan(&uri.as_ref()).map_err(|e| e.to_string()))
        {
            Ok(plan) => plan,
            Err(why) => return self.failed(id, attempt, Failure::Resolve(why), step),
        };
        if let locate::Plan::Address { remote, .. } = plan {
            sub.peer = Some(remote);
        }
        match head.finish(0) {
            Ok(head) => {
                let user = User::Subscriber(SubscriptionId(id), attempt);
                let body = bytes::Bytes::new();
                let resends = Resends::Normal;
                let contact = Some(contact);
                let request = Outgoing { user, method: "SUBSCRIBE", head, contact, body, plan, resends };
                step.endpoint.request(request, step.now, step.out);
            }
            Err(error) => self.failed(id, attempt, Failure::Resolve(error.to_string()), step),
        }
    }

    /// Runs one subscription's timer.
    pub(super) fn due(&mut self, id: u32, step: &mut Step<'_>) {
        let now = step.now;
        let Some(sub) = self.slab.get_mut(id) else { return };
        sub.timer = None;
        if sub.known_until.is_some_and(|end| now >= end) {
            sub.known_until = None;
            self.updates.push_back((SubscriptionId(id), Update::Expired));
        }
        match &mut sub.state {
            State::Waiting { retry_at, .. } if now >= *retry_at => self.attempt(id, step),
            // WAT-04: a 2xx alone is no subscription.
            State::Subscribing { timer_n, .. } if now >= *timer_n => {
                self.give_way(id, Cause::NoAnswer(Failure::Timeout), None, step);
            }
            State::Established { expires_at, not_before, .. } if now >= *expires_at => {
                let not_before = not_before.filter(|at| *at > now);
                self.updates.push_back((SubscriptionId(id), Update::Expired));
                // A notifier that grants nothing must not make us ask again and again.
                let may_go = sub.backoff.may_go_at_once(now);
                match not_before {
                    Some(retry_at) => self.enter(id, State::Waiting { retry_at, not_before }, now),
                    None if may_go => self.attempt(id, step),
                    None => {
                        let retry_at = now + sub.backoff.next(sub.wish.retry_cap, step.endpoint.rng());
                        self.enter(id, State::Waiting { retry_at, not_before: None }, now);
                    }
                }
            }
            State::Established { refresh: Some(refresh), .. } => {
                if now >= refresh.timer_n {
                    if refresh.answered {
                        // WAT-05: a refresh without the NOTIFY that must follow it; the notifier has forgotten us.
                        self.give_way(id, Cause::NoAnswer(Failure::Timeout), None, step);
                    } else {
                        self.refresh_unanswered(id, step);
                    }
                    return;
                }
                if refresh.stale_at.is_some_and(|at| now >= at) {
                    refresh.stale_at = None;
                    self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                }
                self.rearm(id);
            }
            State::Established { refresh_at, refresh, .. } if now >= *refresh_at => {
                let t1 = step.endpoint.timing().t1;
                *refresh = Some(Refresh {
                    answered: false,
                    notified: false,
                    told: false,
                    stale_at: Some(now + t1 * 16),
                    timer_n: now + t1 * 64,
                });
                let asked = sub.asked;
                self.rearm(id);
                self.send_in_dialog(id, asked, step);
            }
            State::Ending { until, .. } if now >= *until => self.end(id),
            _ => self.rearm(id),
        }
    }

    /// Takes a response to one of our SUBSCRIBEs.
    pub fn response(&mut self, id: SubscriptionId, attempt: u64, message: &Message<'_>, step: &mut Step<'_>) {
        let (id, now) = (id.0, step.now);
        let Some(code) = message.code().filter(|code| *code >= 200) else { return };
        let Some(sub) = self.slab.get_mut(id).filter(|sub| sub.awaited == attempt) else { return };
        if code >= 300 {
            return self.refused(id, code, message, step);
        }
        let asked = sub.asked;
        let granted = message.get(Name::Expires).and_then(|_| message.expires());
        match &mut sub.state {
            State::Subscribing { granted: slot, .. } => *slot = Some(granted.unwrap_or(asked)),
            State::Established { refresh: None, told: false, expires_at, refresh_at, .. } => {
                // The NOTIFY overtook the 200 and did not say how long.
                let granted = granted.unwrap_or(asked).min(asked);
                *expires_at = now + seconds(granted);
                *refresh_at = now + retry::refresh_after(granted, step.endpoint.rng());
            }
            State::Established { refresh: Some(refresh), expires_at, refresh_at, .. } => {
                refresh.answered = true;
                refresh.stale_at = None;
                let granted = granted.unwrap_or(asked).min(asked);
                if !refresh.told {
                    *expires_at = now + seconds(granted);
                    *refresh_at = now + retry::refresh_after(granted, step.endpoint.rng());
                }
                // A 204 promises no NOTIFY (RFC 5839 §7.1).
                if refresh.notified || code == 204 {
                    self.refreshed(id);
                }
            }
            State::Established { .. } | State::Waiting { .. } | State::Ending { .. } | State::Over => {}
        }
        self.rearm(id);
    }

    /// A refresh has had both its 2xx and its NOTIFY.
    fn refreshed(&mut self, id: u32) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        if let State::Established { refresh, .. } = &mut sub.state
            && refresh.take().is_some()
        {
            sub.backoff.succeeded();
            self.updates.push_back((SubscriptionId(id), Update::Confirmed));
        }
    }

    fn refused(&mut self, id: u32, code: u16, message: &Message<'_>, step: &mut Step<'_>) {
        let now = step.now;
        let class = class_of(code);
        if code == 423 && self.ask_longer(id, message, step) {
            return;
        }
        let Some(sub) = self.slab.get_mut(id) else { return };
        let retry_after = RETRY_AFTER.contains(&class).then(|| message.retry_after()).flatten();
        let not_before = retry_after.map(|after| now + seconds(after.seconds.min(MAX_EXPIRES)));
        let offers = match code {
            489 => message.text(Name::AllowEvents),
            406 | 415 => message.text(Name::Accept),
            420 => message.text(Name::Unsupported),
            _ => None,
        };
        let cause = Cause::Refused { code, offers: offers.map(std::borrow::Cow::into_owned) };
        match &mut sub.state {
            State::Established { refresh, refresh_at, expires_at, not_before: forbidden, .. }
                if !OVER.contains(&class) =>
            {
                // WAT-10: the old subscription lives until its known end; the next try comes before that, unless
                // the notifier forbade it (TXN-28).
                let pause = sub.backoff.next(sub.wish.retry_cap, step.endpoint.rng());
                *refresh = None;
                *forbidden = not_before;
                *refresh_at = (now + pause).max(not_before.unwrap_or(now)).min(*expires_at);
                self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                self.await_peer(id);
                self.rearm(id);
            }
            State::Established { .. } if code == 481 => {
                // The notifier has forgotten us, as after a restart: a new subscription at once.
                self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                if sub.backoff.may_go_at_once(now) {
                    self.attempt(id, step);
                } else {
                    self.give_way(id, cause, not_before, step);
                }
            }
            State::Subscribing { .. } | State::Established { .. } if FINAL.contains(&class) => {
                self.updates.push_back((SubscriptionId(id), Update::Failed { cause, retry_at: None }));
                self.enter(id, State::Over, now);
            }
            State::Subscribing { .. } | State::Established { .. } => self.give_way(id, cause, not_before, step),
            State::Ending { .. } => self.end(id),
            State::Waiting { .. } | State::Over => {}
        }
    }

    /// Answers a 423 by asking for what it demands, once (WAT-11).
    fn ask_longer(&mut self, id: u32, message: &Message<'_>, step: &mut Step<'_>) -> bool {
        let Some(sub) = self.slab.get_mut(id) else { return false };
        let longer = message.min_expires().filter(|min| *min > sub.asked && *min <= MAX_EXPIRES);
        let Some(longer) = longer.filter(|_| sub.asked == sub.wish.expires) else { return false };
        sub.asked = longer;
        match &mut sub.state {
            State::Subscribing { seq, timer_n, .. } => {
                *seq += 1;
                *timer_n = step.now + step.endpoint.timing().transaction();
                self.rearm(id);
                self.send_initial(id, step);
                true
            }
            State::Established { .. } => {
                self.send_in_dialog(id, longer, step);
                true
            }
            State::Waiting { .. } | State::Ending { .. } | State::Over => false,
        }
    }

    /// One of our SUBSCRIBEs got no response at all.
    pub fn failed(&mut self, id: impl Into<u32>, attempt: u64, failure: Failure, step: &mut Step<'_>) {
        let id = id.into();
        let Some(sub) = self.slab.get_mut(id).filter(|sub| sub.awaited == attempt) else { return };
        match &mut sub.state {
            State::Subscribing { .. } => self.give_way(id, Cause::NoAnswer(failure), None, step),
            State::Established { refresh: Some(_), .. } => self.refresh_unanswered(id, step),
            State::Ending { .. } => self.end(id),
            // WAT-03: the NOTIFY made the subscription; that the 2xx never came changes nothing.
            State::Established { refresh: None, .. } | State::Waiting { .. } | State::Over => {}
        }
    }

    /// Nobody answered a refresh: the old subscription lives until its known end (WAT-10).
    fn refresh_unanswered(&mut self, id: u32, step: &mut Step<'_>) {
        let now = step.now;
        let Some(sub) = self.slab.get_mut(id) else { return };
        let State::Established { refresh, refresh_at, expires_at, .. } = &mut sub.state else { return };
        // A NOTIFY that came instead confirms what is known, and may have moved the end.
        let notified = refresh.take().is_some_and(|refresh| refresh.notified);
        if !notified {
            self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
        }
        if !notified || *refresh_at <= now {
            let pause = sub.backoff.next(sub.wish.retry_cap, step.endpoint.rng());
            *refresh_at = (now + pause).min(*expires_at);
            self.await_peer(id);
        }
        self.rearm(id);
    }

    /// Gives an attempt up and plans the next, unless it was but one look.
    fn give_way(&mut self, id: u32, cause: Cause, not_before: Option<Instant>, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        if sub.wish.fetch {
            self.updates.push_back((SubscriptionId(id), Update::Failed { cause, retry_at: None }));
            self.enter(id, State::Over, step.now);
            return;
        }
        let pause = sub.backoff.next(sub.wish.retry_cap, step.endpoint.rng());
        let retry_at = (step.now + pause).max(not_before.unwrap_or(step.now));
        self.updates.push_back((SubscriptionId(id), Update::Failed { cause, retry_at: Some(retry_at) }));
        self.enter(id, State::Waiting { retry_at, not_before }, step.now);
    }

    /// Takes a NOTIFY: answers it, and returns what it brought if it is one of ours.
    pub fn notify<'m>(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'m>,
        step: &mut Step<'_>,
    ) -> Option<Notified<'m>> {
        match self.accept_notify(flow, message, step) {
            Ok((id, tag, notified)) => {
                let now = step.now;
                match tag {
                    Some(tag) => {
                        step.endpoint.respond_tagged(request, flow, message, 200, tag, now, step.out, |_| {});
                    }
                    None => step.endpoint.respond_with(request, flow, message, 200, now, step.out, |_| {}),
                }
                self.turn(id, notified.state, message, step);
                Some(notified)
            }
            Err(refusal) => {
                step.endpoint.respond_with(request, flow, message, refusal.code, step.now, step.out, |head| {
                    if let Some((name, value)) = refusal.header {
                        head.header(name, value);
                    }
                });
                None
            }
        }
    }

    /// Finds whose NOTIFY it is and whether it can be taken (WAT-17, WAT-18, WAT-30, WAT-31, WAT-33).
    fn accept_notify<'m>(
        &mut self,
        flow: Flow,
        message: &Message<'m>,
        step: &mut Step<'_>,
    ) -> Result<(u32, Option<Token>, Notified<'m>), NotifyRefusal> {
        const NO_SUBSCRIPTION: NotifyRefusal = NotifyRefusal { code: 481, header: None };
        let bad = |_| NotifyRefusal { code: 400, header: None };
        let event = message.event().map_err(bad)?;
        let package = event.as_ref().map_or("", |event| event.package);
        let lenient = self.lenient;
        let is_named = |name: &str| name == package || (lenient && name.eq_ignore_ascii_case(package));
        if !KNOWN_PACKAGES.iter().any(|name| is_named(name)) {
            return Err(NotifyRefusal { code: 489, header: Some((Name::AllowEvents, "presence")) });
        }
        let to = message.to().map_err(bad)?;
        let from = message.from().map_err(bad)?;
        let tag = to.tag().and_then(Token::parse);
        let id = *tag.as_ref().and_then(|tag| self.by_tag.get(tag)).ok_or(NO_SUBSCRIPTION)?;
        let sub = self.slab.get_mut(id).ok_or(NO_SUBSCRIPTION)?;
        if sub.state.call_id() != Some(message.call_id().map_err(bad)?) {
            return Err(NO_SUBSCRIPTION);
        }
        // We never give an id, so one that comes back is not ours.
        if event.is_some_and(|event| event.id.is_some()) || !is_named(sub.wish.package.name) {
            return Err(NO_SUBSCRIPTION);
        }
        let remote_tag = from.tag().unwrap_or_default();
        if let State::Established { dialog, .. } | State::Ending { dialog, .. } = &sub.state
            && *dialog.remote_tag != *remote_tag
        {
            // WAT-17: presence wants one dialog for a SUBSCRIBE; the first fork won.
            return Err(NO_SUBSCRIPTION);
        }
        let announced = message.subscription_state().map_err(bad)?.ok_or(NotifyRefusal { code: 400, header: None })?;
        let content_type = sub.wish.package.content_type;
        let body = Some(message.body).filter(|body| !body.is_empty() && message.content_type_is(content_type));
        if body.is_none() && !message.body.is_empty() && !message.body_is_optional() {
            return Err(NotifyRefusal { code: 415, header: Some((Name::Accept, content_type)) });
        }
        let seq = message.cseq().map_err(bad)?.seq;
        let contact = message.contact().map_err(bad)?.map(|contact| contact.uri.to_owned());
        match &mut sub.state {
            State::Established { dialog, .. } | State::Ending { dialog, .. } => {
                if dialog.receive(seq) == Order::Old {
                    return Err(NotifyRefusal { code: 500, header: None });
                }
                if let Some(contact) = contact {
                    dialog.target = contact;
                }
            }
            State::Subscribing { .. } => {
                let routes = Dialog::routes_of(message).map_err(bad)?;
                let remote = Party::from_header(&from);
                self.establish(id, routes, remote, remote_tag, contact, seq, step);
            }
            State::Waiting { .. } | State::Over => return Err(NO_SUBSCRIPTION),
        }
        let state = match announced.state {
            SubState::Active | SubState::Other(_) => Notice::Active,
            SubState::Pending => Notice::Pending,
            SubState::Terminated => Notice::Terminated(announced.reason),
        };
        let charset = message.charset().map(str::to_owned);
        if let Some(sub) = self.slab.get_mut(id) {
            sub.peer = sub.peer.or_else(|| (!flow.transport.is_stream()).then_some(flow.remote));
        }
        Ok((id, tag, Notified { id: SubscriptionId(id), state, body, charset, flow }))
    }

    /// The first NOTIFY makes the dialog, with its own route set and target (DLG-02).
    #[allow(clippy::too_many_arguments, reason = "the parts of one dialog")]
    fn establish(
        &mut self,
        id: u32,
        routes: Box<[Box<str>]>,
        remote: Party,
        remote_tag: &str,
        contact: Option<Uri>,
        seq: u32,
        step: &mut Step<'_>,
    ) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let State::Subscribing { call_id, tag, seq: local_seq, granted, .. } = &sub.state else { return };
        let dialog = Dialog {
            call_id: call_id.clone(),
            local: sub.wish.from.clone(),
            local_tag: *tag,
            remote,
            remote_tag: remote_tag.into(),
            local_seq: *local_seq,
            remote_seq: Some(seq),
            // A NOTIFY without Contact, as old phones send it, leaves the address that we asked.
            target: contact.unwrap_or_else(|| sub.wish.target.clone()),
            routes,
        };
        let granted = granted.unwrap_or(sub.asked).min(sub.asked);
        let expires_at = step.now + seconds(granted);
        let refresh_at = step.now + retry::refresh_after(granted, step.endpoint.rng());
        let (pending, refresh, not_before, told) = (false, None, None, false);
        let state = State::Established { dialog, pending, expires_at, refresh_at, refresh, not_before, told };
        self.enter(id, state, step.now);
    }

    /// Follows what `Subscription-State` says (§4.1.3).
    fn turn(&mut self, id: u32, notice: Notice, message: &Message<'_>, step: &mut Step<'_>) {
        let now = step.now;
        let Ok(Some(announced)) = message.subscription_state() else { return };
        let Some(sub) = self.slab.get_mut(id) else { return };
        match notice {
            Notice::Terminated(reason) => return self.terminated(id, reason, announced.retry_after, step),
            // WAT-13: one look is over with the first NOTIFY, also where a notifier thinks that it goes on.
            Notice::Active | Notice::Pending if sub.wish.fetch => return self.end(id),
            Notice::Active | Notice::Pending => {}
        }
        let asked = sub.asked;
        let State::Established { pending, expires_at, refresh_at, refresh, told, .. } = &mut sub.state else {
            return;
        };
        *pending = notice == Notice::Pending;
        if let Some(left) = announced.expires {
            let left = left.min(asked);
            let end = now + seconds(left);
            // Counting down a second late or early is no news; a real change moves the refresh.
            let moved = end.since(*expires_at).max(expires_at.since(end)) > Duration::from_secs(2);
            *told = true;
            if moved {
                // One that says nothing new about the end may have crossed our refresh.
                if let Some(refresh) = refresh {
                    refresh.told = true;
                }
                *expires_at = end;
                *refresh_at = now + retry::refresh_after(left, step.endpoint.rng());
            }
        }
        sub.backoff.succeeded();
        match refresh {
            Some(refresh) => {
                refresh.notified = true;
                refresh.stale_at = None;
                if refresh.answered {
                    self.refreshed(id);
                } else {
                    self.updates.push_back((SubscriptionId(id), Update::Confirmed));
                }
            }
            None => self.updates.push_back((SubscriptionId(id), Update::Confirmed)),
        }
        self.rearm(id);
    }

    /// The notifier ended it (WAT-36 … WAT-43).
    fn terminated(&mut self, id: u32, reason: Option<Reason>, retry_after: Option<u32>, step: &mut Step<'_>) {
        let now = step.now;
        let Some(sub) = self.slab.get_mut(id) else { return };
        let ours = matches!(sub.state, State::Ending { .. }) || sub.wish.fetch;
        if ours {
            return self.end(id);
        }
        let wished = retry_after.map(|after| now + seconds(after.min(MAX_EXPIRES)));
        let cap = sub.wish.retry_cap;
        let rng = step.endpoint.rng();
        let (retry_at, not_before) = match reason {
            Some(Reason::Rejected | Reason::NoResource | Reason::Invariant) => (None, None),
            Some(Reason::Deactivated | Reason::Timeout) if sub.backoff.may_go_at_once(now) => (Some(now), None),
            Some(Reason::Deactivated) => (Some(now + sub.backoff.next(cap, rng)), None),
            Some(Reason::Timeout) => (Some(now + sub.backoff.next(cap, rng)), wished),
            Some(Reason::Probation | Reason::Giveup) => {
                let pause = LONG.max(sub.backoff.next(cap, rng));
                // However soon the notifier wants us back, a storm is nobody's wish.
                let soonest = now + FIRST;
                (Some(wished.map_or(now + pause, |wished| wished.max(soonest))), wished)
            }
            Some(Reason::Unknown) | None => {
                let at = now + sub.backoff.next(cap, rng);
                (Some(wished.map_or(at, |wished| wished.max(at))), wished)
            }
        };
        self.updates.push_back((SubscriptionId(id), Update::Ended { reason, retry_at }));
        match retry_at {
            None => self.enter(id, State::Over, now),
            Some(at) if at <= now => self.attempt(id, step),
            Some(retry_at) => self.enter(id, State::Waiting { retry_at, not_before }, now),
        }
        // What the notifier said last has no known end any more.
        if let Some(sub) = self.slab.get_mut(id) {
            sub.known_until = None;
        }
        self.rearm(id);
    }

    /// Ends a subscription that nobody wants any longer.
    fn end(&mut self, id: u32) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let state = std::mem::replace(&mut sub.state, State::Over);
        self.untrack(id, &state);
        self.finish(id);
    }
}

/// The event packages that a NOTIFY may bear.
const KNOWN_PACKAGES: [&str; 1] = ["presence"];

struct NotifyRefusal {
    code: u16,
    header: Option<(Name, &'static str)>,
}

/// TXN-26: a code that is not known counts as the x00 of its class.
fn class_of(code: u16) -> u16 {
    const KNOWN: [u16; 46] = [
        300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 420, 421,
        423, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603,
        604, 606,
    ];
    if KNOWN.contains(&code) { code } else { code / 100 * 100 }
}

impl From<SubscriptionId> for u32 {
    fn from(id: SubscriptionId) -> Self {
        id.0
    }
}
