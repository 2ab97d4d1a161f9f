//! What is aimed at, what the registrar has, and the REGISTER that follows from both.

use super::{Registration, Update};
use crate::sip::{
    endpoint::{ALLOW, ContactSlot, Failure, FlowUse, Outgoing},
    events::{Step, USER_AGENT, User},
    header::Name,
    series,
    time::Instant,
    transaction::Resends,
    transport::ConnId,
};

/// What is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Nothing,
    Bound,
    Unbound,
    /// The registrar refused for good.
    Over,
}

/// The binding as the registrar has it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) expires_at: Instant,
    pub(super) refresh_at: Instant,
    /// The connection that it was made by, where that is kept alive.
    pub(super) conn: Option<ConnId>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Open {
    /// Seconds; 0 takes the binding back.
    pub(super) asked: u32,
    /// Asked anew soon if nobody answers.
    pub(super) hurry: bool,
}

impl Registration {
    /// Sends the next request if it is due.
    pub(super) fn go(&mut self, step: &mut Step<'_>) {
        self.lapse(step.now);
        if self.next_at().is_some_and(|at| at <= step.now) {
            self.send(step);
        }
    }

    /// Forgets what the registrar has forgotten by itself.
    pub(super) fn lapse(&mut self, now: Instant) {
        if self.open.is_none()
            && self.bound.take_if(|bound| bound.expires_at <= now).is_some()
            && self.goal == Goal::Bound
        {
            self.updates.push_back(Update::Lapsed);
        }
    }

    /// Returns when the next request goes.
    pub(super) fn next_at(&self) -> Option<Instant> {
        if self.open.is_some() {
            return None;
        }
        let at = match (self.goal, &self.bound) {
            (Goal::Nothing | Goal::Over, _) => return None,
            (Goal::Unbound, None) => return Some(Instant::default()),
            (Goal::Bound, Some(bound)) => bound.refresh_at,
            (Goal::Unbound, Some(_)) | (Goal::Bound, None) => Instant::default(),
        };
        Some(self.gate.opens_at().map_or(at, |opens_at| opens_at.max(at)))
    }

    /// Sends what is aimed at now, due or not.
    pub(super) fn send(&mut self, step: &mut Step<'_>) {
        let asked = match (self.goal, &self.bound) {
            (Goal::Nothing | Goal::Over, _) => return,
            (Goal::Unbound, None) => {
                self.goal = Goal::Nothing;
                self.updates.push_back(Update::Unregistered);
                return;
            }
            (Goal::Unbound, Some(_)) => 0,
            (Goal::Bound, _) => self.asked,
        };
        let what = &self.what;
        let (target, route) = (&what.registrar, what.route.as_ref());
        let (mut head, attempt) = self.series.begin("REGISTER", target, route, &what.from, &what.address);
        let flow = what.instance.clone().filter(|_| !self.lacks_outbound).map(FlowUse::Binding);
        let contact = Some(ContactSlot { at: head.len(), user: Some(what.contact_user.clone()), flow });
        let by = self.bound.as_ref().and_then(|bound| bound.conn);
        head.number(Name::Expires, asked).header(Name::Allow, ALLOW).header(Name::UserAgent, USER_AGENT);
        self.open = Some(Open { asked, hurry: false });
        let ready = series::way(target, route)
            .and_then(|way| Ok((way, head.finish(0).map_err(|error| Failure::Resolve(error.to_string()))?)));
        match ready {
            Ok(((plan, peer), head)) => {
                let user = User::Registration(self.id, attempt);
                let (method, account, resends) = ("REGISTER", what.account, Resends::Normal);
                let body = bytes::Bytes::new();
                // Whoever takes the binding back waits for the outcome, so the number is at hand.
                let request =
                    Outgoing { user, method, head, contact, body, plan, peer, by, resends, account, last: false };
                step.endpoint.request(request, step.now, step.out);
            }
            Err(failure) => self.failed(attempt, failure, step),
        }
    }
}
