//! The subscriber side of event notification (RFC 6665 §4.1): keeps state flowing from notifiers.
//!
//! A [`Subscriber`] owns all subscriptions of ours. It subscribes, refreshes before expiry, follows what
//! `Subscription-State` says, backs off when told to, and reports each turn as an [`Update`]. What a body
//! means and how a turn is shown is left to its user.

mod challenged;
mod machine;
mod notify;
mod outcome;
mod pace;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use self::{
    machine::{Held, State, Subscription},
    pace::Pace,
};
use super::{
    EventPackage, Step,
    conditional::{EntityTag, Savings},
    rates::Rates,
};
use crate::sip::{
    auth::AccountId,
    dialog::Party,
    header::Reason,
    ids::Token,
    retry,
    slab::Slab,
    time::{Instant, Timers},
    transport::Flow,
    uri::Uri,
};

pub use super::{Cause, Standing};

/// Names one subscription of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub(super) u32);

impl std::fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "out-{}", self.0)
    }
}

/// What to subscribe to, and how.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The presentity: request-URI and To.
    pub target: Uri,
    /// Us, as From names us.
    pub from: Party,
    /// The user part of our Contact, as it stands in a URI.
    pub contact_user: Box<str>,
    /// The event package.
    pub package: EventPackage,
    /// Seconds to ask for.
    pub expires: u32,
    /// One look only: Expires 0 outside a dialog (§4.4.3).
    pub fetch: bool,
    /// The longest pause between two attempts (WAT-47).
    pub retry_cap: Duration,
    /// Whose password answers challenges.
    pub account: Option<AccountId>,
    /// Where a SUBSCRIBE outside a dialog goes first: the value of its Route header, in brackets or not.
    pub route: Option<Uri>,
    /// Whether NOTIFYs are to come by the connection of the SUBSCRIBE, where that leaves by one (RFC 5626 §4.3): for those
    /// who are registered that way.
    pub outbound: bool,
    /// How often NOTIFYs are wanted (RFC 6446).
    pub rates: Rates,
}

/// One turn in the life of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// It waits for its turn among many.
    Waiting,
    /// A SUBSCRIBE is on its way, with no subscription standing.
    Trying,
    /// What is known cannot be confirmed just now.
    Unconfirmed,
    /// A refresh was answered: what is known holds.
    Confirmed,
    /// The known end of the subscription passed without an answer.
    Expired,
    /// An attempt or the subscription failed.
    Failed {
        /// Why.
        cause: Cause,
        /// When the next attempt goes; none: no more on our own.
        retry_at: Option<Instant>,
    },
    /// The notifier ended the subscription.
    Ended {
        /// What it said.
        reason: Option<Reason>,
        /// When the next attempt goes; none: no more on our own.
        retry_at: Option<Instant>,
    },
    /// Our own unsubscribe or fetch came to its end; the id is free.
    Done,
}

/// What a NOTIFY brought to a subscription.
#[derive(Debug)]
pub struct Notified<'a> {
    /// Whose it is.
    pub id: SubscriptionId,
    /// Active, pending or terminated.
    pub state: Notice,
    /// Content-Type parameters and bytes, if there is a body.
    pub body: Option<&'a [u8]>,
    /// The charset that the Content-Type names.
    pub charset: Option<String>,
    /// The version of the state that the body is, if the notifier names versions.
    pub tag: Option<EntityTag>,
    /// There is no body because the state is the one that we [hold](Subscriber::hold).
    pub unchanged: bool,
    /// How often NOTIFYs come, where the notifier says so (RFC 6446).
    pub rates: Rates,
    /// Where it came from.
    pub flow: Flow,
}

/// The state that a NOTIFY announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The body is the state.
    Active,
    /// The notifier has not decided yet; a body says nothing.
    Pending,
    /// It is the last one; the [`Update`] that follows says what comes next.
    Terminated(Option<Reason>),
}

/// All subscriptions of ours; see the module's text.
#[derive(Debug, Default)]
pub struct Subscriber {
    slab: Slab<Subscription>,
    by_tag: HashMap<Token, u32>,
    /// Those that wait for a next attempt, by where their notifier was last (WAT-47).
    by_peer: BTreeSet<(SocketAddr, u32)>,
    timers: Timers<u32>,
    updates: VecDeque<(SubscriptionId, Update)>,
    attempts: u64,
    /// How fast lasting subscriptions are made.
    pace: Pace,
    /// How fast looks are taken: whoever waits for one does not stand behind a long list.
    looks: Pace,
    /// Accept what peers of the days of RFC 3265 get wrong (WAT-20).
    pub lenient: bool,
    savings: Savings,
}

impl Subscriber {
    /// Sets how many subscriptions are made a second, a few more at once; zero sets no limit.
    ///
    /// Looks, for which somebody waits, go twenty times as fast.
    pub fn set_rate(&mut self, rate: u32) {
        (self.pace, self.looks) = (Pace::a_second(rate), Pace::a_second(rate.saturating_mul(20)));
    }

    /// Starts a subscription; the first SUBSCRIBE goes out now, or when its turn comes.
    pub fn subscribe(&mut self, wish: Wish, step: &mut Step<'_>) -> SubscriptionId {
        let id = self.slab.insert(Subscription::new(wish, step.now));
        self.attempt_in_turn(id, step);
        SubscriptionId(id)
    }

    /// Somebody waits for this one: it does not wait for its turn any more.
    pub fn hurry(&mut self, id: SubscriptionId, step: &mut Step<'_>) {
        let waits = |sub: &Subscription| match sub.state {
            State::Waiting { not_before, .. } => sub.is_its_turn() && not_before.is_none_or(|at| at <= step.now),
            _ => false,
        };
        if self.slab.get(id.0).is_some_and(waits) {
            self.attempt(id.0, step);
        }
    }

    /// What a standing subscription brought is not all: it is refreshed at `at` or before, so that its notifier tells its
    /// whole state.
    pub fn refresh_by(&mut self, id: SubscriptionId, at: Instant) {
        let Some(sub) = self.slab.get_mut(id.0) else { return };
        if let State::Established { refresh_at, refresh: None, not_before, .. } = &mut sub.state {
            let at = not_before.map_or(at, |forbidden| forbidden.max(at));
            *refresh_at = at.min(*refresh_at);
        }
        self.rearm(id.0);
    }

    /// What the last NOTIFY brought is known from now on, under this tag if it has one: it need not be told again until it
    /// changes, or is [`Update::Expired`] (RFC 5839 §5.3).
    pub fn hold(&mut self, id: SubscriptionId, tag: Option<EntityTag>, size: usize) {
        if let Some(sub) = self.slab.get_mut(id.0) {
            sub.held = tag.map(|tag| Held { tag, size });
        }
    }

    /// Returns what notifiers did not send because we knew it.
    pub fn savings(&self) -> Savings {
        self.savings
    }

    /// Returns how many subscriptions there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Takes the next turn.
    pub fn next_update(&mut self) -> Option<(SubscriptionId, Update)> {
        self.updates.pop_front()
    }

    /// Returns whether the request bears a Call-ID and From tag that we issued ourselves and that are still
    /// open: the only way in which we know ourselves as a watcher (POL-20).
    pub fn is_own(&self, call_id: &str, from_tag: &str) -> bool {
        Token::parse(from_tag)
            .and_then(|tag| self.by_tag.get(&tag))
            .and_then(|id| self.slab.get(*id))
            .is_some_and(|sub| sub.state.call_id() == Some(call_id))
    }

    /// Returns how a subscription stands.
    pub fn standing(&self, id: SubscriptionId) -> Option<Standing> {
        Some(self.slab.get(id.0)?.state.standing())
    }

    /// Runs what is due, at most a bounded amount a call.
    pub fn tick(&mut self, step: &mut Step<'_>) {
        for _ in 0..1024 {
            let Some(id) = self.timers.pop(step.now) else { return };
            self.due(id, step);
        }
    }

    /// Ends a subscription in good order (§4.1.2.3); [`Update::Done`] follows.
    pub fn unsubscribe(&mut self, id: SubscriptionId, step: &mut Step<'_>) {
        let id = id.0;
        let Some(sub) = self.slab.get_mut(id) else { return };
        match std::mem::replace(&mut sub.state, State::Over) {
            State::Established { dialog, .. } => {
                let until = step.now + step.endpoint.timing().transaction();
                sub.state = State::Ending { dialog, until };
                self.send_in_dialog(id, 0, step);
                self.rearm(id);
            }
            State::Ending { dialog, until } => {
                if let Some(sub) = self.slab.get_mut(id) {
                    sub.state = State::Ending { dialog, until };
                }
            }
            // A NOTIFY that comes after all is answered 481, which ends the subscription just as well.
            state @ (State::Waiting { .. } | State::Subscribing { .. } | State::Over) => {
                self.untrack(id, &state);
                self.finish(id);
            }
        }
    }

    /// A valid request came from `peer`: whoever waits for a notifier there tries again now (WAT-47).
    pub fn peer_seen(&mut self, peer: SocketAddr, step: &mut Step<'_>) {
        const AT_ONCE: usize = 16;
        let waiting: Vec<u32> =
            self.by_peer.range((peer, 0)..=(peer, u32::MAX)).take(AT_ONCE).map(|(_, id)| *id).collect();
        for id in waiting {
            let Some(sub) = self.slab.get_mut(id) else { continue };
            let (State::Waiting { not_before, .. } | State::Established { not_before, .. }) = sub.state else {
                continue;
            };
            let too_soon = sub.early_at.is_some_and(|at| step.now < at + retry::EARLY_EVERY);
            // Many behind one server that is back are asked in turn, and who has a turn waits for it.
            if too_soon || sub.is_its_turn() || not_before.is_some_and(|at| step.now < at) {
                continue;
            }
            sub.early_at = Some(step.now);
            if let State::Established { refresh_at, .. } = &mut sub.state {
                if *refresh_at > step.now {
                    *refresh_at = self.pace.take(step.now).min(*refresh_at);
                    sub.turn = Some(*refresh_at);
                }
                self.rearm(id);
            } else {
                self.attempt_in_turn(id, step);
            }
        }
    }

    /// The machine slept, or its addresses changed: nothing known is certain, everything is asked anew,
    /// spread over a few seconds (SEC-20).
    pub fn resumed(&mut self, step: &mut Step<'_>) {
        let ids: Vec<u32> = self.slab.iter().map(|(id, _)| id).collect();
        for id in ids {
            let spread = retry::spread(step.endpoint.rng(), Duration::from_secs(3));
            let Some(sub) = self.slab.get_mut(id) else { continue };
            // One whose turn is still to come has it, however often we are told.
            if sub.is_its_turn() && sub.turn.is_some_and(|turn| turn > step.now) {
                if matches!(sub.state, State::Established { .. }) {
                    self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                }
                continue;
            }
            let is_over = matches!(sub.state, State::Ending { .. } | State::Over);
            let turn = if is_over { step.now } else { self.pace.take(step.now) };
            let soon = turn.max(step.now + spread);
            sub.turn = Some(soon);
            match &mut sub.state {
                State::Established { expires_at, .. } if *expires_at <= step.now => {
                    // It ended while we slept: what is known has the time of one attempt to be confirmed.
                    let confirmed_by = soon + step.endpoint.timing().transaction();
                    self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                    self.enter(id, State::Waiting { retry_at: soon, not_before: None }, step.now);
                    if let Some(sub) = self.slab.get_mut(id) {
                        sub.known_until = Some(confirmed_by);
                    }
                }
                State::Established { refresh_at, refresh, not_before, .. } => {
                    // One that is on its way goes on: whoever tells of one sleep twice has everything asked once.
                    if refresh.is_none_or(|refresh| refresh.timer_n <= step.now) {
                        *refresh_at = not_before.map_or(soon, |at| at.max(soon));
                        *refresh = None;
                    }
                    self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                }
                State::Waiting { retry_at, .. } if *retry_at <= soon => *retry_at = soon,
                State::Waiting { retry_at, not_before } => {
                    *retry_at = not_before.map_or(soon, |at| at.max(soon)).min(*retry_at);
                }
                // Its time ran out while we slept, which says nothing about the peer.
                State::Subscribing { timer_n, .. } if *timer_n <= step.now && !sub.wish.fetch => {
                    self.enter(id, State::Waiting { retry_at: soon, not_before: None }, step.now);
                }
                State::Subscribing { .. } | State::Ending { .. } | State::Over => {}
            }
            self.rearm(id);
        }
    }
}
