//! Other people's publications: the event state compositor (RFC 3903 §6), for any event package.
//!
//! It knows which publications of a resource stand, by what entity-tag each is named, and until when. Who may publish,
//! what a document means and what several of them come to is left to its user; so a request is looked at
//! ([`examine`](Compositor::examine)), then its document is judged elsewhere, then it is taken in
//! ([`accept`](Compositor::accept)). Nothing is changed by a request that is refused (ESC-07).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::StdRng;

use super::{ALLOW_EVENTS, EventPackage, seconds};
use crate::sip::{
    header::Name,
    ids::Token,
    message::Message,
    slab::Slab,
    time::{Instant, Timers},
};

mod saved;
#[cfg(test)]
mod tests;

pub use self::saved::SavedState;
pub use crate::sip::refusal::Refusal;

/// For how long a publication stands that does not say so (§6, step 4).
const DEFAULT_EXPIRES: u32 = 3600;
/// How many changes of a resource may come at once, before they have to keep to one a second.
const BURST: u32 = 10;
/// What a publisher is asked to wait when there is no room.
const RETRY_AFTER: u32 = 60;
/// How much a call of [`Compositor::tick`] does at most.
const TICKS: usize = 1024;

/// What a compositor is told once.
#[derive(Clone, Debug)]
pub struct CompositorConfig {
    /// The event package.
    pub package: EventPackage,
    /// The shortest publication, in seconds; a shorter one gets 423.
    pub min_expires: u32,
    /// The longest one; who asks for more gets this.
    pub max_expires: u32,
    /// The largest document, in bytes; a larger one gets 413.
    pub max_body: usize,
    /// How many publications of one resource stand at a time.
    pub max_of_one: usize,
    /// How many stand in all.
    pub max_in_all: usize,
}

/// Names a publication as long as it stands, whatever becomes of its entity-tag.
pub type PublicationKey = Token;

/// A PUBLISH that can be taken in, if its document is good.
#[derive(Debug)]
pub struct Asked {
    resource: Box<str>,
    /// The publication that is meant; none where one begins.
    of: Option<(u32, Token)>,
    expires: u32,
    has_body: bool,
}

impl Asked {
    /// Returns whether it brings a document, which is to be judged before it is taken in.
    pub fn has_document(&self) -> bool {
        self.has_body
    }
}

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

/// A publication, for composing.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Which.
    pub key: PublicationKey,
    /// Rises with each publication that begins, and with each new document.
    pub arrival: u64,
    /// When the document came.
    pub changed_at: Timestamp,
    /// The document.
    pub body: Bytes,
}

#[derive(Debug)]
struct Kept {
    resource: Box<str>,
    key: PublicationKey,
    etag: Token,
    expires_at: Instant,
    arrival: u64,
    changed_at: Timestamp,
    body: Bytes,
    timer: Option<Instant>,
}

/// What stands of one resource, and when its next change is free of charge.
#[derive(Debug, Default)]
struct Resource {
    ids: Vec<u32>,
    even_at: Instant,
}

/// All publications; see the module's text.
#[derive(Debug)]
pub struct Compositor {
    config: CompositorConfig,
    slab: Slab<Kept>,
    by_tag: HashMap<Token, u32>,
    resources: HashMap<Box<str>, Resource>,
    /// Those of which nothing stands, but whose pace still counts, and until when.
    idle: BTreeSet<(Instant, Box<str>)>,
    timers: Timers<u32>,
    arrivals: u64,
    /// What is to be written down: publications by their keys, with their places while they stand.
    unsaved: BTreeMap<PublicationKey, Option<u32>>,
}

impl Compositor {
    /// Makes a compositor that knows of nothing yet.
    pub fn new(config: CompositorConfig) -> Self {
        Self {
            config,
            slab: Slab::default(),
            by_tag: HashMap::new(),
            resources: HashMap::new(),
            idle: BTreeSet::new(),
            timers: Timers::default(),
            arrivals: 0,
            unsaved: BTreeMap::new(),
        }
    }

    /// Returns how many publications stand.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns whether none stands.
    pub fn is_empty(&self) -> bool {
        self.slab.len() == 0
    }

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
    fn has_room(&self, resource: &str, begins: bool, now: Instant) -> Result<(), Refusal> {
        let known = self.resources.get(resource);
        let of_one = known.map_or(0, |resource| resource.ids.len());
        if begins && (of_one >= self.config.max_of_one || self.slab.len() >= self.config.max_in_all) {
            return Err(Refusal::later(RETRY_AFTER));
        }
        let ahead = known.map_or(Duration::ZERO, |resource| resource.even_at.since(now));
        match ahead.checked_sub(seconds(BURST - 1)).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(Refusal::later(u32::try_from(wait.as_secs()).unwrap_or(RETRY_AFTER) + 1)),
            None => Ok(()),
        }
    }

    fn find(&self, tag: Token, resource: &str, now: Instant) -> Option<(u32, Token)> {
        let id = *self.by_tag.get(&tag)?;
        let kept = self.slab.get(id)?;
        (*kept.resource == *resource && kept.expires_at > now).then_some((id, tag))
    }

    /// Takes in a PUBLISH that was examined, with its document.
    ///
    /// # Errors
    /// 412, if the publication that it means has another tag by now (ESC-08).
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
            let id = self.insert(kept);
            self.number(id, now);
            return Ok(said(key, Change::Stored));
        };
        let gone = || Refusal::plain(412);
        self.find(tag, resource, now).ok_or_else(gone)?;
        if *expires == 0 {
            let key = self.remove(id, now).ok_or_else(gone)?.key;
            return Ok(said(key, Change::Removed));
        }
        let kept = self.slab.get_mut(id).ok_or_else(gone)?;
        let key = kept.key;
        (kept.etag, kept.expires_at) = (etag, now + seconds(*expires));
        self.timers.set(&mut kept.timer, id, kept.expires_at);
        let changes = *has_body;
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

    /// Puts a publication among the others.
    fn insert(&mut self, kept: Kept) -> u32 {
        let (key, etag, at) = (kept.key, kept.etag, kept.expires_at);
        self.resources.entry(kept.resource.clone()).or_default();
        let id = self.slab.insert(kept);
        self.by_tag.insert(etag, id);
        self.unsaved.insert(key, Some(id));
        if let Some(kept) = self.slab.get_mut(id) {
            self.timers.set(&mut kept.timer, id, at);
            if let Some(resource) = self.resources.get_mut(&kept.resource) {
                resource.ids.push(id);
            }
        }
        id
    }

    /// Gives a document that has just come its number, and counts it against the pace of its resource.
    fn number(&mut self, id: u32, now: Instant) {
        self.arrivals += 1;
        let Some(kept) = self.slab.get_mut(id) else { return };
        kept.arrival = self.arrivals;
        if let Some(resource) = self.resources.get_mut(&kept.resource) {
            resource.even_at = resource.even_at.max(now) + Duration::from_secs(1);
        }
    }

    fn remove(&mut self, id: u32, now: Instant) -> Option<Kept> {
        let mut kept = self.slab.remove(id)?;
        self.timers.cancel(&mut kept.timer, id);
        self.by_tag.remove(&kept.etag);
        if let Some(resource) = self.resources.get_mut(&kept.resource) {
            resource.ids.retain(|other| *other != id);
            // Who publishes and takes back in turn keeps to the pace as well.
            if resource.ids.is_empty() && resource.even_at > now {
                self.idle.insert((resource.even_at, kept.resource.clone()));
            } else if resource.ids.is_empty() {
                self.resources.remove(&kept.resource);
            }
        }
        self.unsaved.insert(kept.key, None);
        Some(kept)
    }

    /// Forgets resources of which nothing stands and nothing is to be remembered.
    fn forget_idle(&mut self, now: Instant) {
        while self.idle.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, resource)) = self.idle.pop_first() else { return };
            if self.resources.get(&resource).is_some_and(|known| known.ids.is_empty() && known.even_at <= now) {
                self.resources.remove(&resource);
            }
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Ends what was not refreshed, a bounded amount a call; returns the resources that it was of (ESC-09).
    pub fn tick(&mut self, now: Instant) -> Vec<Box<str>> {
        let mut changed = Vec::new();
        for _ in 0..TICKS {
            let Some(id) = self.timers.pop(now) else { break };
            if let Some(kept) = self.slab.get_mut(id) {
                kept.timer = None;
            }
            changed.extend(self.remove(id, now).map(|kept| kept.resource));
        }
        changed
    }

    /// Returns the publications of a resource that stand, in the order in which they began.
    pub fn publications(&self, resource: &str) -> impl Iterator<Item = Publication> {
        let ids = self.resources.get(resource).map(|resource| resource.ids.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.slab.get(*id)).map(|kept| Publication {
            key: kept.key,
            arrival: kept.arrival,
            changed_at: kept.changed_at,
            body: kept.body.clone(),
        })
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
