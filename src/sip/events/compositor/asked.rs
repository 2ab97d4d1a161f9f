//! What a PUBLISH asks for, and whether that can be had (RFC 3903 §6, steps 1 to 5).

use std::time::Duration;

use super::{Compositor, CompositorConfig};
use crate::sip::{
    events::{ALLOW_EVENTS, seconds},
    header::Name,
    ids::Token,
    message::Message,
    refusal::Refusal,
    time::Instant,
};

/// For how long a publication stands that does not say so (§6, step 4).
const DEFAULT_EXPIRES: u32 = 3600;
/// How many changes of a resource may come at once, before they have to keep to one a second.
const BURST: u32 = 10;
/// What a publisher is asked to wait when there is no room.
const RETRY_AFTER: u32 = 60;

/// A PUBLISH that can be taken in, if its document is good.
#[derive(Debug)]
pub struct Asked {
    pub(super) resource: Box<str>,
    /// The publication that is meant; none where one begins.
    pub(super) of: Option<(u32, Token)>,
    pub(super) expires: u32,
    pub(super) has_body: bool,
}

impl Asked {
    /// Returns whether it brings a document, which is to be judged before it is taken in.
    pub fn has_document(&self) -> bool {
        self.has_body
    }
}

impl Compositor {
    /// Looks whether a PUBLISH for a resource can be taken in; its document, if it has one, is not looked into.
    ///
    /// # Errors
    /// With the answer to give: 481, 489, 400, 412, 423, 413, 415 or 503 (ESC-01, ESC-03 … ESC-05, ESC-11, ESC-12).
    pub fn examine(&self, message: &Message<'_>, resource: &str, now: Instant) -> Result<Asked, Refusal> {
        let CompositorConfig { package, min_expires, max_expires, max_body, .. } = self.config;
        if message.to()?.tag().is_some() {
            return Err(Refusal::plain(481));
        }
        if message.event()?.is_none_or(|event| event.package != package.name) {
            return Err(Refusal { code: 489, header: Some((Name::AllowEvents, ALLOW_EVENTS.into())) });
        }
        let of = match tag_of(message)? {
            Some(tag) => Some(self.find(tag, resource, now).ok_or_else(|| Refusal::plain(412))?),
            None => None,
        };
        let asked = message.expires().unwrap_or(DEFAULT_EXPIRES);
        if asked > 0 && asked < min_expires {
            return Err(Refusal::brief(min_expires));
        }
        let has_body = !message.body.is_empty();
        if message.body.len() > max_body {
            return Err(Refusal::plain(413));
        }
        if has_body && !message.content_type_is(package.content_type) {
            return Err(Refusal { code: 415, header: Some((Name::Accept, package.content_type.into())) });
        }
        if of.is_none() && !has_body {
            return Err(Refusal::plain(400));
        }
        if has_body && asked > 0 {
            self.has_room(resource, of.is_none(), now)?;
        }
        Ok(Asked { resource: resource.into(), of, expires: asked.min(max_expires), has_body })
    }

    /// ESC-12: so many publications, and changes of one resource at such a pace.
    pub(super) fn has_room(&self, resource: &str, begins: bool, now: Instant) -> Result<(), Refusal> {
        if begins && self.is_full(resource, now) {
            return Err(Refusal::later(RETRY_AFTER));
        }
        let ahead = self.resources.get(resource).map_or(Duration::ZERO, |resource| resource.even_at.since(now));
        match ahead.checked_sub(seconds(BURST - 1)).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(Refusal::later(u32::try_from(wait.as_secs()).unwrap_or(RETRY_AFTER) + 1)),
            None => Ok(()),
        }
    }

    pub(super) fn find(&self, tag: Token, resource: &str, now: Instant) -> Option<(u32, Token)> {
        let id = *self.by_tag.get(&tag)?;
        let kept = self.slab.get(id)?;
        (*kept.resource == *resource && kept.expires_at > now).then_some((id, tag))
    }
}

/// Reads the tag that a PUBLISH names (ESC-03).
fn tag_of(message: &Message<'_>) -> Result<Option<Token>, Refusal> {
    let mut lines = message.all(Name::SipIfMatch);
    let Some(value) = lines.next() else { return Ok(None) };
    if lines.next().is_some() || value.contains(&b',') {
        return Err(Refusal::plain(400));
    }
    let tag = std::str::from_utf8(value).ok().and_then(|tag| Token::parse(tag.trim()));
    tag.map(Some).ok_or_else(|| Refusal::plain(412))
}
