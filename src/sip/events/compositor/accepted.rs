//! A PUBLISH taken in: what stands after it (RFC 3903 §6, step 6).

use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::StdRng;

use super::{Asked, Compositor, Kept, PublicationKey, Refusal};
use crate::sip::{events::seconds, ids::Token, time::Instant};

/// What became of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A publication began.
    Stored,
    /// One stands longer, with the same document: nobody is to be told (ESC-10).
    Refreshed,
    /// One has another document.
    Replaced,
    /// One is gone.
    Removed,
    /// One began and ended with the same request.
    Nothing,
}

/// What the 200 says, and what became of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which publication.
    pub key: PublicationKey,
    /// How it is named from now on: the value of SIP-ETag.
    pub etag: String,
    /// The value of Expires.
    pub expires: u32,
    /// What is different.
    pub change: Change,
}

impl Compositor {
    /// Takes in a PUBLISH that was examined, with its document.
    ///
    /// # Errors
    /// 412, if the publication that it means has another tag by now (ESC-08); 503, if others that were examined with it
    /// took the room (ESC-12).
    pub fn accept(
        &mut self,
        asked: &Asked,
        body: Bytes,
        now: Instant,
        wall: Timestamp,
        rng: &mut StdRng,
    ) -> Result<Accepted, Refusal> {
        let Asked { resource, of, expires, has_body } = asked;
        self.forget_idle(now);
        let etag = Token::random(rng);
        let said = |key, change| Accepted { key, etag: etag.to_string(), expires: *expires, change };
        let Some((id, tag)) = *of else {
            let key = Token::random(rng);
            if *expires == 0 {
                return Ok(said(key, Change::Nothing));
            }
            self.has_room(resource, true, now)?;
            let kept = Kept {
                resource: resource.clone(),
                key,
                etag,
                expires_at: now + seconds(*expires),
                arrival: 0,
                changed_at: wall,
                body,
                timer: None,
            };
            self.note(key, resource);
            let id = self.insert(kept);
            self.number(id, now);
            return Ok(said(key, Change::Stored));
        };
        let gone = || Refusal::plain(412);
        self.find(tag, resource, now).ok_or_else(gone)?;
        let key = self.slab.get(id).ok_or_else(gone)?.key;
        if *expires == 0 {
            self.note(key, resource);
            let key = self.remove(id, now).ok_or_else(gone)?.key;
            return Ok(said(key, Change::Removed));
        }
        let changes = *has_body;
        if changes {
            self.has_room(resource, false, now)?;
        }
        self.note(key, resource);
        let kept = self.slab.get_mut(id).ok_or_else(gone)?;
        (kept.etag, kept.expires_at) = (etag, now + seconds(*expires));
        self.timers.set(&mut kept.timer, id, kept.expires_at);
        if changes {
            (kept.body, kept.changed_at) = (body, wall);
        }
        self.by_tag.remove(&tag);
        self.by_tag.insert(etag, id);
        self.unsaved.insert(key, Some(id));
        if changes {
            self.number(id, now);
        }
        Ok(said(key, if changes { Change::Replaced } else { Change::Refreshed }))
    }
}
