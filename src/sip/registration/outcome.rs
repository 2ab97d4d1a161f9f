//! What becomes of a REGISTER that was sent: bindings, refusals, silence (RFC 3261 §10.2, §10.3).

use super::{
    Binding, Registration, Update,
    machine::{Bound, Goal, Open},
};
use crate::sip::{
    endpoint::{Failure, contact_uri, secure_contact_uri},
    events::{Cause, Step, seconds},
    header::{Name, NameAddr, delta_seconds},
    message::Message,
    refusal, retry,
    time::Instant,
    transport::{ConnId, Flow, Transport},
    uri::UriRef,
};

impl Registration {
    /// Takes a response to one of our REGISTERs, with the way that the request had gone; those to older ones come too
    /// late.
    pub fn response(&mut self, attempt: u64, flow: Flow, message: &Message<'_>, step: &mut Step<'_>) {
        let Some(code) = message.code().filter(|code| *code >= 200) else { return };
        let Some(open) = self.take_open(attempt) else { return };
        match (code, open.asked) {
            (200..300, 0) => {
                self.unbound(step);
                self.gate.succeeded(u32::MAX, step.now);
            }
            (200..300, _) => self.accepted(&open, flow, message, step),
            _ => self.refused(code, message, step),
        }
        self.go(step);
    }

    /// One of our REGISTERs came to nothing.
    pub fn failed(&mut self, attempt: u64, failure: Failure, step: &mut Step<'_>) {
        let Some(open) = self.take_open(attempt) else { return };
        let cause = match failure {
            Failure::Unauthorized { code, why } if !why.is_temporary() => {
                return self.give_up(Cause::Unauthorized { code, why });
            }
            Failure::Unauthorized { code, why } => Cause::Unauthorized { code, why },
            failure => Cause::NoAnswer(failure),
        };
        let silent = cause == Cause::NoAnswer(Failure::Timeout);
        self.give_way(cause, None, step);
        if let Some(conn) = self.bound.as_ref().and_then(|bound| bound.conn).filter(|_| silent) {
            step.endpoint.drop_flow(conn, step.now, step.out);
        }
        if open.hurry {
            self.gate.anew(step.now + retry::spread(step.endpoint.rng(), seconds(3)));
        }
    }

    /// A connection that was kept alive is gone: a binding that was made by it is made anew by another, at the moment that is
    /// returned (RFC 5626 §4.5). A request that is on its way meets its own fate first.
    pub fn flow_lost(&mut self, conn: ConnId, step: &mut Step<'_>) -> Option<Instant> {
        let bound = self.bound.as_mut().filter(|_| self.goal == Goal::Bound && self.open.is_none())?;
        bound.conn.take_if(|by| *by == conn)?;
        // One that is shut was so by a request that was lost with the connection, which was told.
        let shut_until = self.gate.opens_at().filter(|at| *at > step.now);
        let at = shut_until.unwrap_or_else(|| {
            self.updates.push_back(Update::Unconfirmed);
            self.gate.flow_failed(0, None, step.now, step.endpoint.rng())
        });
        bound.refresh_at = at;
        Some(at)
    }

    /// Gives the number under which a challenged REGISTER goes again; none when its outcome matters no more.
    pub fn renumber(&mut self, attempt: u64) -> Option<u32> {
        self.series.renumber(attempt)
    }

    fn take_open(&mut self, attempt: u64) -> Option<Open> {
        if self.series.close(attempt) { self.open.take() } else { None }
    }

    /// There is no binding any more, and no connection that is its own.
    fn unbound(&mut self, step: &mut Step<'_>) {
        (self.bound, self.by_flow) = (None, false);
        step.endpoint.set_home(None);
    }

    fn accepted(&mut self, open: &Open, flow: Flow, message: &Message<'_>, step: &mut Step<'_>) {
        let now = step.now;
        let granted = granted(message, &self.what, flow).unwrap_or(open.asked).min(open.asked);
        self.lengthened = false;
        if granted == 0 {
            self.unbound(step);
            self.updates.push_back(Update::Lapsed);
            self.gate.failed(None, self.what.retry_cap, now, step.endpoint.rng());
            return;
        }
        self.gate.succeeded(granted, now);
        let expires_at = now + seconds(granted);
        let mut refresh_at = now + retry::refresh_after(granted, step.endpoint.rng());
        if open.hurry {
            // It was on its way before the machine slept or moved.
            refresh_at = now + retry::spread(step.endpoint.rng(), seconds(3));
        }
        let kept = step.endpoint.keep_alive(flow, message, expires_at, now);
        let conn = flow.conn.filter(|_| kept);
        step.endpoint.set_home(conn);
        self.bound = Some(Bound { expires_at, refresh_at, conn });
        self.by_flow = kept;
        if self.goal == Goal::Bound {
            self.updates.push_back(Update::Registered { expires_at });
        }
    }

    fn refused(&mut self, code: u16, message: &Message<'_>, step: &mut Step<'_>) {
        let longer = refusal::longer(message, self.asked).filter(|_| code == 423 && self.goal == Goal::Bound);
        if let Some(longer) = longer.filter(|_| !self.lengthened) {
            // §10.2.8: once, as PUB-09 has it.
            (self.asked, self.lengthened) = (longer, true);
            return self.send(step);
        }
        if code == 439 && self.what.instance.is_some() && !self.lacks_outbound {
            // RFC 5626 §4.2: the first hop does not know it.
            self.lacks_outbound = true;
            return self.send(step);
        }
        let cause = Cause::Refused { code, offers: refusal::offers(message, code) };
        if refusal::is_final(code) {
            return self.give_up(cause);
        }
        self.give_way(cause, refusal::not_before(message, code, step.now), step);
    }

    /// Plans the next attempt.
    fn give_way(&mut self, cause: Cause, not_before: Option<Instant>, step: &mut Step<'_>) {
        let rng = step.endpoint.rng();
        let at = if self.by_flow {
            // One that went down with its flow is the first attempt to come: nothing was tried by another one.
            let failures = u32::from(cause != Cause::NoAnswer(Failure::Unreachable));
            self.gate.flow_failed(failures, not_before, step.now, rng)
        } else {
            self.gate.failed(not_before, self.what.retry_cap, step.now, rng)
        };
        self.updates.push_back(Update::Failed { cause, retry_at: Some(at) });
    }

    /// Ends all attempts.
    fn give_up(&mut self, cause: Cause) {
        let unbinding = self.goal == Goal::Unbound;
        (self.goal, self.bound) = (Goal::Over, None);
        self.updates.push_back(Update::Failed { cause, retry_at: None });
        if unbinding {
            self.updates.push_back(Update::Unregistered);
        }
    }
}

/// Returns for how long our own binding was granted: what stands with it among all bindings of our address, else what
/// Expires says (§10.2.4). Malformed seconds count as 3600 (§20.10).
fn granted(message: &Message<'_>, what: &Binding, flow: Flow) -> Option<u32> {
    let user = &what.contact_user;
    let ours: Vec<String> = [None, Some(Transport::Udp), Some(flow.transport)]
        .into_iter()
        .map(|transport| contact_uri(user, flow.local, transport))
        .chain([secure_contact_uri(user, flow.local)])
        .collect();
    let is_ours = |uri: &UriRef<'_>| ours.iter().any(|our| UriRef::parse(our).is_ok_and(|our| our.equals(uri)));
    // Whoever routes by the flow may have put another address in.
    let instance = what.instance.as_ref().map(|instance| format!("\"<{instance}>\""));
    let is_us =
        |contact: &NameAddr<'_>| instance.as_deref().is_some_and(|us| contact.params.get("+sip.instance") == Some(us));
    let with_it = message
        .values(Name::Contact)
        .filter_map(|value| NameAddr::parse(value).ok())
        .find(|contact| is_ours(&contact.uri) || is_us(contact))
        .and_then(|contact| contact.params.get("expires"))
        .map(|expires| delta_seconds(expires.trim_matches('"').as_bytes()).unwrap_or(3600));
    with_it.or_else(|| message.expires())
}
