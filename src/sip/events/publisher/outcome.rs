//! What becomes of a PUBLISH that was sent: tags, refusals, silence (RFC 3903 §4, §5).

use super::{
    Publisher, Update,
    machine::{Held, Kind, Open, Wanted},
};
use crate::sip::{
    endpoint::Failure,
    events::{Cause, Step, seconds},
    header::{Name, is_token},
    message::Message,
    refusal, retry,
    time::Instant,
};

/// No server needs a longer tag, and it would have to fit into each of our requests.
const LONGEST_TAG: usize = 512;

impl Publisher {
    /// Takes a response to one of our PUBLISH requests; those to older ones come too late.
    pub fn response(&mut self, attempt: u64, message: &Message<'_>, step: &mut Step<'_>) {
        let Some(code) = message.code().filter(|code| *code >= 200) else { return };
        let Some(open) = self.take_open(attempt) else { return };
        match (code, open.kind) {
            // The tag that comes with it is of no further use (PUB-06).
            (200..300, Kind::Remove) => {
                self.forget();
                self.gate.succeeded(u32::MAX, step.now);
            }
            (200..300, Kind::Initial(_) | Kind::Refresh | Kind::Modify(_)) => self.accepted(&open, message, step),
            // PUB-08: what was to go is gone.
            (412, Kind::Remove) => self.forget(),
            (412, Kind::Refresh | Kind::Modify(_)) => {
                // The server has lost it, or a request of ours whose answer was lost had changed the tag.
                self.forget();
                self.updates.push_back(Update::Unconfirmed);
                if self.gate.may_go_at_once(step.now) {
                    return self.send(step);
                }
                self.refused(code, message, step);
            }
            _ => self.refused(code, message, step),
        }
        self.go(step);
    }

    /// One of our PUBLISH requests came to nothing.
    pub fn failed(&mut self, attempt: u64, failure: Failure, step: &mut Step<'_>) {
        let Some(open) = self.take_open(attempt) else { return };
        let cause = match failure {
            Failure::Unauthorized { code, why } if !why.is_temporary() => {
                return self.give_up(Cause::Unauthorized { code, why });
            }
            Failure::Unauthorized { code, why } => Cause::Unauthorized { code, why },
            failure => {
                // PUB-15: whether the server took it is not known. If so, the old tag gets a 412.
                if let (Kind::Modify(_), Some(held)) = (open.kind, &mut self.held) {
                    held.print = None;
                    self.unsaved = true;
                }
                Cause::NoAnswer(failure)
            }
        };
        self.give_way(cause, None, step);
        if open.hurry {
            self.gate.anew(step.now + retry::spread(step.endpoint.rng(), seconds(3)));
        }
    }

    /// Gives the number under which a challenged PUBLISH goes again; none when its outcome matters no more.
    pub fn renumber(&mut self, attempt: u64) -> Option<u32> {
        self.series.renumber(attempt)
    }

    fn take_open(&mut self, attempt: u64) -> Option<Open> {
        if self.series.close(attempt) { self.open.take() } else { None }
    }

    fn accepted(&mut self, open: &Open, message: &Message<'_>, step: &mut Step<'_>) {
        let now = step.now;
        let (tag, told) = (entity_tag(message), message.expires());
        for (missing, name) in [(tag.is_none(), Name::SipEtag), (told.is_none(), Name::Expires)] {
            if missing {
                self.updates.push_back(Update::Flawed(name));
            }
        }
        let granted = told.unwrap_or(open.asked).min(open.asked);
        let known = self.held.as_ref().and_then(|held| held.print);
        self.lengthened = false;
        self.unsaved = true;
        if granted == 0 {
            self.held = None;
            self.updates.push_back(Update::Lapsed);
            self.gate.failed(None, self.what.retry_cap, now, step.endpoint.rng());
            return;
        }
        self.gate.succeeded(granted, now);
        let print = match open.kind {
            Kind::Initial(print) | Kind::Modify(print) => Some(print),
            Kind::Refresh | Kind::Remove => known,
        };
        let expires_at = now + seconds(granted);
        let mut refresh_at = now + retry::refresh_after(granted, step.endpoint.rng());
        if open.hurry {
            // It was on its way before the machine slept or moved.
            refresh_at = now + retry::spread(step.endpoint.rng(), seconds(3));
        }
        self.held = Some(Held { tag, expires_at, refresh_at, print });
        if matches!(self.wanted, Wanted::State { .. }) {
            self.updates.push_back(Update::Published { expires_at, current: self.is_current() });
        }
    }

    fn refused(&mut self, code: u16, message: &Message<'_>, step: &mut Step<'_>) {
        if code == 423 && self.ask_longer(message) {
            return self.send(step);
        }
        let cause = Cause::Refused { code, offers: refusal::offers(message, code) };
        if refusal::is_final(code) {
            return self.give_up(cause);
        }
        self.give_way(cause, refusal::not_before(message, code, step.now), step);
    }

    /// Answers a 423 by asking for what it demands, once (PUB-09).
    fn ask_longer(&mut self, message: &Message<'_>) -> bool {
        let state = matches!(self.wanted, Wanted::State { .. });
        let longer = refusal::longer(message, self.asked).filter(|_| state && !self.lengthened);
        let Some(longer) = longer else { return false };
        (self.asked, self.lengthened) = (longer, true);
        true
    }

    /// Plans the next attempt.
    fn give_way(&mut self, cause: Cause, not_before: Option<Instant>, step: &mut Step<'_>) {
        let at = self.gate.failed(not_before, self.what.retry_cap, step.now, step.endpoint.rng());
        self.updates.push_back(Update::Failed { cause, retry_at: Some(at) });
    }

    /// Ends all attempts; what the server keeps is left to lapse, or to a later run.
    fn give_up(&mut self, cause: Cause) {
        let removal = matches!(self.wanted, Wanted::Removal);
        self.wanted = Wanted::Over;
        self.updates.push_back(Update::Failed { cause, retry_at: None });
        if removal {
            self.updates.push_back(Update::Removed);
        }
    }
}

/// Reads the one tag that a 2xx must bring (RFC 3903 §11.3.1); it is kept byte for byte (PUB-11).
fn entity_tag(message: &Message<'_>) -> Option<Box<str>> {
    let tag = std::str::from_utf8(message.single(Name::SipEtag).ok()?).ok()?;
    (is_token(tag) && tag.len() <= LONGEST_TAG).then(|| tag.into())
}
