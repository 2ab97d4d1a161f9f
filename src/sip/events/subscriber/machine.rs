//! One subscription's states and every turn between them.

use std::net::SocketAddr;

use super::{Cause, Standing, Subscriber, SubscriptionId, Update, Wish};
use crate::sip::{
    codec::Head,
    dialog::Dialog,
    endpoint::{ALLOW, ContactSlot, Failure, FlowUse, Outgoing},
    events::{ALLOW_EVENTS, EventPackage, Step, USER_AGENT, User, conditional::EntityTag},
    header::Name,
    ids::{self, Token},
    locate::{self, PeerIdentity},
    retry::Backoff,
    time::Instant,
    transaction::Resends,
    transport::ConnId,
    uri::UriRef,
};

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) wish: Wish,
    pub(super) state: State,
    /// Seconds to ask for: the wish, or what a 423 demanded.
    pub(super) asked: u32,
    /// The request whose outcome is awaited; outcomes of older ones come too late.
    pub(super) awaited: u64,
    pub(super) backoff: Backoff,
    /// The address that the notifier was last found at.
    pub(super) peer: Option<SocketAddr>,
    /// The connection that the last 2xx came by.
    pub(super) conn: Option<ConnId>,
    /// The state that is known.
    pub(super) held: Option<Held>,
    /// The end of what was last granted, once no subscription stands: what is known holds no longer (WAT-50).
    pub(super) known_until: Option<Instant>,
    pub(super) early_at: Option<Instant>,
    /// It is over for want of a proof.
    pub(super) locked_out: bool,
    /// The moment that it has among many: an attempt or a refresh that is due then goes then.
    pub(super) turn: Option<Instant>,
    pub(super) timer: Option<Instant>,
}

/// A state that need not be told again.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tag: EntityTag,
    /// The bytes of its document.
    pub(super) size: usize,
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
    pub(super) answered: bool,
    pub(super) notified: bool,
    /// Whether a NOTIFY said how long; then the 2xx says nothing new.
    pub(super) told: bool,
    /// When silence makes what we know stale; taken when it did.
    pub(super) stale_at: Option<Instant>,
    pub(super) timer_n: Instant,
}

impl Subscription {
    pub(super) fn new(wish: Wish, now: Instant) -> Self {
        let asked = wish.expires;
        let state = State::Waiting { retry_at: now, not_before: None };
        let (backoff, awaited) = (Backoff::default(), 0);
        Self {
            wish,
            state,
            asked,
            awaited,
            backoff,
            peer: None,
            conn: None,
            held: None,
            known_until: None,
            early_at: None,
            locked_out: false,
            turn: None,
            timer: None,
        }
    }
}

impl Subscription {
    /// Returns whether what comes next has its moment among many.
    pub(super) fn is_its_turn(&self) -> bool {
        let next = match &self.state {
            State::Waiting { retry_at, .. } => Some(*retry_at),
            State::Established { refresh_at, refresh: None, .. } => Some(*refresh_at),
            State::Established { .. } | State::Subscribing { .. } | State::Ending { .. } | State::Over => None,
        };
        next.is_some() && next == self.turn
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

impl Subscriber {
    /// Makes an attempt now, or when its turn comes.
    pub(super) fn attempt_in_turn(&mut self, id: u32, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let pace = if sub.wish.fetch { &mut self.looks } else { &mut self.pace };
        let turn = if sub.is_its_turn() { step.now } else { pace.take(step.now) };
        if turn <= step.now {
            return self.attempt(id, step);
        }
        sub.turn = Some(turn);
        self.updates.push_back((SubscriptionId(id), Update::Waiting));
        self.enter(id, State::Waiting { retry_at: turn, not_before: None }, step.now);
    }

    /// Sends a SUBSCRIBE outside any dialog, with Call-ID and tag of its own.
    pub(super) fn attempt(&mut self, id: u32, step: &mut Step<'_>) {
        if let Some(sub) = self.slab.get_mut(id) {
            sub.turn = None;
        }
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
    pub(super) fn await_peer(&mut self, id: u32) {
        if let Some(peer) = self.slab.get(id).and_then(|sub| sub.peer) {
            self.by_peer.insert((peer, id));
        }
    }

    pub(super) fn await_peer_no_more(&mut self, id: u32) {
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

    pub(super) fn send_initial(&mut self, id: u32, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get(id) else { return };
        let State::Subscribing { call_id, tag, seq, .. } = &sub.state else { return };
        let wish = &sub.wish;
        let expires = if wish.fetch { 0 } else { sub.asked };
        let target = wish.target.as_ref().to_sip().unwrap_or_else(|_| wish.target.clone());
        let mut head = Head::request("SUBSCRIBE", target.as_str());
        head.number(Name::MaxForwards, 70);
        if let Some(route) = &wish.route {
            head.fmt(Name::Route, format_args!("<{route}>"));
        }
        head.fmt(Name::From, format_args!("{};tag={tag}", wish.from.as_str()));
        head.fmt(Name::To, format_args!("<{target}>"));
        head.header(Name::CallId, call_id);
        head.fmt(Name::CSeq, format_args!("{seq} SUBSCRIBE"));
        let hop = wish.route.as_ref().unwrap_or(&wish.target).as_str().to_owned();
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
        let flow = sub.wish.outbound.then_some(FlowUse::Dialog);
        // Within a dialog its route leads the way.
        let begins = matches!(sub.state, State::Subscribing { .. });
        let by = step.endpoint.home().filter(|_| flow.is_some() && begins);
        let contact = ContactSlot { at: head.len(), user: Some(sub.wish.contact_user.clone()), flow };
        head.fmt(Name::Event, format_args!("{name}{}", sub.wish.rates));
        head.header(Name::Accept, content_type).header(Name::Allow, ALLOW);
        head.header(Name::AllowEvents, ALLOW_EVENTS).number(Name::Expires, expires).header(Name::UserAgent, USER_AGENT);
        if let Some(held) = &sub.held {
            head.header(Name::SuppressIfMatch, held.tag.as_str());
        }
        let target = sub.wish.target.as_ref();
        let first = sub.wish.route.as_ref().unwrap_or(&sub.wish.target).as_ref();
        let (plan, peer) = match UriRef::parse(hop).map_err(|e| e.to_string()).and_then(|uri| {
            let plan = locate::plan_by(&target, &uri, step.endpoint.transports()).map_err(|e| e.to_string())?;
            let peer = PeerIdentity::on(&plan, &uri, Some(&first));
            Ok((plan, peer))
        }) {
            Ok(way) => way,
            Err(why) => return self.failed(id, attempt, Failure::Resolve(why), step),
        };
        if let locate::Plan::Address(target) = plan {
            sub.peer = Some(target.remote);
        }
        match head.finish(0) {
            Ok(head) => {
                let user = User::Subscriber(SubscriptionId(id), attempt);
                let body = bytes::Bytes::new();
                let resends = Resends::Normal;
                let contact = Some(contact);
                // Who unsubscribes waits for the outcome, so the number is at hand.
                let (method, account, last) = ("SUBSCRIBE", sub.wish.account, false);
                let request = Outgoing { user, method, head, contact, body, plan, peer, by, resends, account, last };
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
            sub.held = None;
            self.updates.push_back((SubscriptionId(id), Update::Expired));
        }
        match &mut sub.state {
            State::Waiting { retry_at, .. } if now >= *retry_at => self.attempt_in_turn(id, step),
            // WAT-04: a 2xx alone is no subscription.
            State::Subscribing { timer_n, .. } if now >= *timer_n => {
                self.give_way(id, Cause::NoAnswer(Failure::Timeout), None, step);
            }
            State::Established { expires_at, not_before, .. } if now >= *expires_at => {
                let not_before = not_before.filter(|at| *at > now);
                sub.held = None;
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
}

impl From<SubscriptionId> for u32 {
    fn from(id: SubscriptionId) -> Self {
        id.0
    }
}
