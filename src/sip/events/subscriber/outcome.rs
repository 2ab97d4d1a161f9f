//! What becomes of a SUBSCRIBE that was sent: responses, refusals, silence.

use std::time::Duration;

use super::{Cause, Subscriber, SubscriptionId, Update, machine::State};
use crate::sip::{
    endpoint::Failure,
    events::{Step, seconds},
    header::Name,
    message::Message,
    refusal::{self, class_of},
    retry,
    time::Instant,
    transport::{ConnId, Flow},
};

/// Codes after which the subscription is over at the notifier (WAT-09).
const OVER: [u16; 13] = [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604];
/// Codes after which another attempt of the same kind is pointless.
const FINAL: [u16; 17] = [401, 402, 403, 405, 406, 407, 410, 415, 416, 420, 421, 423, 488, 489, 603, 604, 606];

impl Subscriber {
    /// Takes a response to one of our SUBSCRIBEs, with the way that the request had gone.
    pub fn response(
        &mut self,
        id: SubscriptionId,
        attempt: u64,
        flow: Flow,
        message: &Message<'_>,
        step: &mut Step<'_>,
    ) {
        let (id, now) = (id.0, step.now);
        let Some(code) = message.code().filter(|code| *code >= 200) else { return };
        let Some(sub) = self.slab.get_mut(id).filter(|sub| sub.awaited == attempt) else { return };
        if code >= 300 {
            return self.refused(id, code, message, step);
        }
        let asked = sub.asked;
        let granted = message.get(Name::Expires).and_then(|_| message.expires());
        if !sub.wish.fetch && !matches!(sub.state, State::Ending { .. }) {
            sub.conn = flow.conn;
            step.endpoint.keep_alive(flow, message, now + seconds(granted.unwrap_or(asked).min(asked)), now);
        }
        if let Some(held) = sub.held.as_ref().filter(|_| code == 204) {
            self.savings.notify(held.size);
        }
        match &mut sub.state {
            // Nothing more will come (RFC 5839 §7.1).
            State::Ending { .. } if code == 204 => return self.end(id),
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

    /// A connection that was kept alive is gone, and with it the notifications that it would have brought: they are asked
    /// for by another, from `at` on, and until then nothing known is certain.
    pub fn flow_lost(&mut self, conn: ConnId, at: Instant, step: &mut Step<'_>) {
        let ids: Vec<u32> = self.slab.iter().filter(|(_, sub)| sub.conn == Some(conn)).map(|(id, _)| id).collect();
        for id in ids {
            let soon = at + retry::spread(step.endpoint.rng(), Duration::from_secs(3));
            let Some(sub) = self.slab.get_mut(id) else { continue };
            sub.conn = None;
            let outbound = sub.wish.outbound;
            let State::Established { refresh_at, refresh, not_before, .. } = &mut sub.state else { continue };
            let (at, not_before) = (not_before.map_or(soon, |at| at.max(soon)), *not_before);
            if outbound {
                // The route of its dialog leads by what is gone, and no refresh changes a route.
                self.enter(id, State::Waiting { retry_at: at, not_before }, step.now);
            } else if refresh.is_none() {
                *refresh_at = at.max(self.pace.take(step.now));
                sub.turn = Some(*refresh_at);
                self.rearm(id);
            } else {
                continue;
            }
            self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
        }
    }

    /// A refresh has had both its 2xx and its NOTIFY.
    pub(super) fn refreshed(&mut self, id: u32) {
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
        let not_before = refusal::not_before(message, code, now);
        let cause = Cause::Refused { code, offers: refusal::offers(message, code) };
        match &mut sub.state {
            State::Established { .. } if matches!(code, 430 | 481) => {
                // The notifier has forgotten us, as after a restart, or the flow is gone that the dialog's route leads by
                // (RFC 5626 §5.3): a new subscription at once.
                self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
                if sub.backoff.may_go_at_once(now) {
                    self.attempt(id, step);
                } else {
                    self.give_way(id, cause, not_before, step);
                }
            }
            State::Established { .. } if !OVER.contains(&class) => self.refresh_refused(id, not_before, step),
            State::Subscribing { .. } | State::Established { .. } if FINAL.contains(&class) => {
                sub.locked_out = matches!(code, 401 | 407);
                self.updates.push_back((SubscriptionId(id), Update::Failed { cause, retry_at: None }));
                self.enter(id, State::Over, now);
            }
            State::Subscribing { .. } | State::Established { .. } => self.give_way(id, cause, not_before, step),
            State::Ending { .. } => self.end(id),
            State::Waiting { .. } | State::Over => {}
        }
    }

    /// WAT-10: the old subscription lives until its known end; the next try comes before that, unless the notifier
    /// forbade it (TXN-28).
    pub(super) fn refresh_refused(&mut self, id: u32, not_before: Option<Instant>, step: &mut Step<'_>) {
        let now = step.now;
        let Some(sub) = self.slab.get_mut(id) else { return };
        let State::Established { refresh, refresh_at, expires_at, not_before: forbidden, .. } = &mut sub.state else {
            return;
        };
        let pause = sub.backoff.next(sub.wish.retry_cap, step.endpoint.rng());
        *refresh = None;
        *forbidden = not_before;
        *refresh_at = (now + pause).max(not_before.unwrap_or(now)).min(*expires_at);
        self.updates.push_back((SubscriptionId(id), Update::Unconfirmed));
        self.await_peer(id);
        self.rearm(id);
    }

    /// Answers a 423 by asking for what it demands, once (WAT-11).
    fn ask_longer(&mut self, id: u32, message: &Message<'_>, step: &mut Step<'_>) -> bool {
        let Some(sub) = self.slab.get_mut(id) else { return false };
        let longer = refusal::longer(message, sub.asked).filter(|_| sub.asked == sub.wish.expires);
        let Some(longer) = longer else { return false };
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

    /// One of our SUBSCRIBEs came to nothing.
    pub fn failed(&mut self, id: impl Into<u32>, attempt: u64, failure: Failure, step: &mut Step<'_>) {
        let id = id.into();
        let Some(sub) = self.slab.get_mut(id).filter(|sub| sub.awaited == attempt) else { return };
        if let Failure::Unauthorized { code, why } = failure {
            return self.unauthorized(id, code, why, step);
        }
        match &mut sub.state {
            State::Subscribing { .. } => self.give_way(id, Cause::NoAnswer(failure), None, step),
            State::Established { refresh: Some(_), .. } => self.refresh_unanswered(id, step),
            State::Ending { .. } => self.end(id),
            // WAT-03: the NOTIFY made the subscription; that the 2xx never came changes nothing.
            State::Established { refresh: None, .. } | State::Waiting { .. } | State::Over => {}
        }
    }

    /// Nobody answered a refresh: the old subscription lives until its known end (WAT-10).
    pub(super) fn refresh_unanswered(&mut self, id: u32, step: &mut Step<'_>) {
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
    pub(super) fn give_way(&mut self, id: u32, cause: Cause, not_before: Option<Instant>, step: &mut Step<'_>) {
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
}
