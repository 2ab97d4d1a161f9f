//! What is wanted, what the server keeps, and the request that follows from both.

use bytes::Bytes;

use super::{CHANGE_EVERY, Print, Publisher, Update};
use crate::sip::{
    endpoint::{ContactSlot, Failure, Outgoing},
    events::{Step, USER_AGENT, User},
    header::Name,
    series,
    time::Instant,
    transaction::Resends,
};

/// What the server is to keep.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Nobody said yet, or nothing is left to do.
    Nothing,
    State {
        body: Bytes,
        print: Print,
    },
    /// Nothing, and it is to know.
    Removal,
    /// It refused for good.
    Over,
}

/// What the server keeps, as far as is known.
#[derive(Debug)]
pub(super) struct Held {
    /// None where it gave none: it cannot be spoken of, and is left to lapse (PUB-13).
    pub(super) tag: Option<Box<str>>,
    pub(super) expires_at: Instant,
    pub(super) refresh_at: Instant,
    /// None where that is not certain.
    pub(super) print: Option<Print>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) asked: u32,
    /// Asked anew soon if nobody answers.
    pub(super) hurry: bool,
}

/// The four kinds of PUBLISH (RFC 3903 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial(Print),
    Refresh,
    Modify(Print),
    Remove,
}

impl Publisher {
    /// Sends the next request if it is due.
    pub(super) fn go(&mut self, step: &mut Step<'_>) {
        self.lapse(step.now);
        if self.next_at().is_some_and(|at| at <= step.now) {
            self.send(step);
        }
    }

    /// Forgets what the server has forgotten by itself (PUB-12).
    pub(super) fn lapse(&mut self, now: Instant) {
        if self.open.is_none() && self.held.take_if(|held| held.expires_at <= now).is_some() {
            self.unsaved = true;
            if matches!(self.wanted, Wanted::State { .. }) {
                self.updates.push_back(Update::Lapsed);
            }
        }
    }

    /// Returns when the next request goes.
    pub(super) fn next_at(&self) -> Option<Instant> {
        if self.open.is_some() {
            return None;
        }
        let at = match (&self.wanted, &self.held) {
            (Wanted::Nothing | Wanted::Over, _) => return None,
            // There is nobody to be asked.
            (Wanted::Removal, None | Some(Held { tag: None, .. })) => return Some(Instant::default()),
            (Wanted::Removal, Some(_)) => Instant::default(),
            (Wanted::State { print, .. }, Some(held)) if held.print == Some(*print) => held.refresh_at,
            (Wanted::State { print, .. }, _) => match self.sent {
                Some((sent, at)) if sent != Some(*print) => at + CHANGE_EVERY,
                _ => Instant::default(),
            },
        };
        Some(self.gate.opens_at().map_or(at, |opens_at| opens_at.max(at)))
    }

    /// Sends what is wanted now, due or not.
    pub(super) fn send(&mut self, step: &mut Step<'_>) {
        let tag = self.held.as_ref().and_then(|held| held.tag.clone());
        let (kind, body) = match (&self.wanted, &self.held) {
            (Wanted::Nothing | Wanted::Over, _) => return,
            (Wanted::Removal, _) if tag.is_none() => return self.removed(),
            (Wanted::Removal, _) => (Kind::Remove, Bytes::new()),
            (Wanted::State { print, body }, _) if tag.is_none() => (Kind::Initial(*print), body.clone()),
            (Wanted::State { print, .. }, Some(held)) if held.print == Some(*print) => (Kind::Refresh, Bytes::new()),
            (Wanted::State { print, body }, _) => (Kind::Modify(*print), body.clone()),
        };
        if let Kind::Initial(print) | Kind::Modify(print) = kind
            && self.sent.is_none_or(|(sent, _)| sent != Some(print))
        {
            self.sent = Some((Some(print), step.now));
        }
        let what = &self.what;
        let asked = if kind == Kind::Remove { 0 } else { self.asked };
        let (target, route) = (&what.target, what.route.as_ref());
        let (mut head, attempt) = self.series.begin("PUBLISH", target, route, &what.from, target);
        head.header(Name::Event, what.package.name).number(Name::Expires, asked);
        if let Some(tag) = &tag {
            head.header(Name::SipIfMatch, tag);
        }
        // PUB-17: a Contact would mean nothing.
        let contact = Some(ContactSlot { at: head.len(), user: None, flow: None });
        head.header(Name::UserAgent, USER_AGENT);
        if !body.is_empty() {
            head.header(Name::ContentType, what.package.content_type);
        }
        self.open = Some(Open { kind, asked, hurry: false });
        let ready = series::way(target, route)
            .and_then(|way| Ok((way, head.finish(body.len()).map_err(|error| Failure::Resolve(error.to_string()))?)));
        match ready {
            Ok(((plan, peer), head)) => {
                let user = User::Publisher(self.id, attempt);
                let (method, account, resends) = ("PUBLISH", what.account, Resends::Normal);
                // Whoever takes the publication back waits for the outcome, so the number is at hand.
                let request =
                    Outgoing { user, method, head, contact, body, plan, peer, by: None, resends, account, last: false };
                step.endpoint.request(request, step.now, step.out);
            }
            Err(failure) => self.failed(attempt, failure, step),
        }
    }

    /// The server keeps nothing that could be taken back.
    pub(super) fn removed(&mut self) {
        self.wanted = Wanted::Nothing;
        self.forget();
        self.updates.push_back(Update::Removed);
    }

    /// Nothing is known to be kept.
    pub(super) fn forget(&mut self) {
        self.unsaved |= self.held.take().is_some();
    }
}
