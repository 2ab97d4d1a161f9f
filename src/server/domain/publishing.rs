//! PUBLISH: whose state it is, and what becomes of it (RFC 3903 §6; ESC-01, ESC-02, ESC-05 … ESC-10).

use bytes::Bytes;

use super::{Arrived, Domain, Outbox, domain_of, later};
use crate::{
    presence::{
        core::{Now, PRESENCE},
        pidf::{Document, entity_matches},
    },
    sip::{
        events::{
            ALLOW_EVENTS,
            compositor::{Change, Refusal},
        },
        header::Name,
        message::Message,
    },
};

impl Domain {
    pub(super) fn publish_received(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) {
        if let Err(refusal) = self.publish(arrived, now, out) {
            self.refuse(arrived, &refusal, now, out);
        }
    }

    /// Takes a PUBLISH, and answers it unless that is left to do.
    fn publish(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) -> Result<(), Refusal> {
        let message = arrived.message;
        let resource = self.resource_asked_for(message).ok_or_else(|| Refusal::plain(404))?;
        if message.event()?.is_none_or(|event| event.package != PRESENCE.name) {
            return Err(Refusal { code: 489, header: Some((Name::AllowEvents, ALLOW_EVENTS.into())) });
        }
        let Some(who) = self.identify(arrived, domain_of(&resource), now, out) else { return Ok(()) };
        if !who.verified || *who.who != *resource {
            return Err(Refusal::plain(403));
        }
        if self.refusing {
            return Err(later());
        }
        let asked = self.compositor.examine(message, &resource, now.at)?;
        let (body, document) = if asked.has_document() {
            let (body, document) = readable(message, &resource)?;
            (body, Some(document))
        } else {
            (Bytes::new(), None)
        };
        let limit = self.config.limits.presentities;
        if self.presentities.find(&resource).is_none() && self.presentities.len() >= limit {
            return Err(later());
        }
        let accepted = self.compositor.accept(&asked, body, now.at, now.wall, self.endpoint.rng())?;
        self.tally.publishes += 1;
        self.answer(arrived, 200, now, out, |head| {
            head.header(Name::SipEtag, &accepted.etag).number(Name::Expires, accepted.expires);
        });
        if accepted.change == Change::Refreshed {
            return Ok(());
        }
        if let Some(of) = self.presentities.find_or_make(&resource, limit, now) {
            match (accepted.change, document) {
                (Change::Stored | Change::Replaced, Some(document)) => {
                    self.published(of, (accepted.key, document), now);
                }
                _ => self.recompose(of, now),
            }
        }
        Ok(())
    }

    /// What was not refreshed is gone, and its presentities are composed anew (ESC-09).
    pub(super) fn follow_publications(&mut self, now: Now) {
        for resource in self.compositor.tick(now.at) {
            if let Some(of) = self.presentities.find(&resource) {
                self.recompose(of, now);
            }
        }
    }
}

/// ESC-05: a document that can be read, about whom it is published for.
fn readable(message: &Message<'_>, resource: &str) -> Result<(Bytes, Document), Refusal> {
    let charset = message.charset();
    let document = Document::parse(message.body, charset).map_err(|_| Refusal::plain(400))?;
    if !entity_matches(&document.entity, resource, &[]) {
        return Err(Refusal::plain(400));
    }
    // What is kept is read again by what it says itself.
    let body = if charset.is_none() { Bytes::copy_from_slice(message.body) } else { document.to_bytes().into() };
    Ok((body, document))
}
