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

use super::EventPackage;
use crate::sip::{
    ids::Token,
    slab::Slab,
    time::{Instant, Timers},
};

mod accepted;
mod asked;
mod journal;
mod saved;
#[cfg(test)]
mod tests;

pub use accepted::{Accepted, Change};
pub use asked::Asked;
pub use journal::Before;
pub use saved::SavedState;

pub use crate::sip::refusal::Refusal;

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
    keys: HashMap<PublicationKey, u32>,
    resources: HashMap<Box<str>, Resource>,
    /// Those of which nothing stands, but whose pace still counts, and until when.
    idle: BTreeSet<(Instant, Box<str>)>,
    timers: Timers<u32>,
    arrivals: u64,
    /// What is to be written down: publications by their keys, with their places while they stand.
    unsaved: BTreeMap<PublicationKey, Option<u32>>,
    /// What was there before each change, if somebody wants to know.
    journal: Option<Vec<Before>>,
}

impl Compositor {
    /// Makes a compositor that knows of nothing yet.
    pub fn new(config: CompositorConfig) -> Self {
        Self {
            config,
            slab: Slab::default(),
            by_tag: HashMap::new(),
            keys: HashMap::new(),
            resources: HashMap::new(),
            idle: BTreeSet::new(),
            timers: Timers::default(),
            arrivals: 0,
            unsaved: BTreeMap::new(),
            journal: None,
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

    /// Returns the publications of a resource that stand at a time, in the order in which they began.
    pub fn publications(&self, resource: &str, now: Instant) -> impl Iterator<Item = Publication> {
        self.standing(resource, now).map(|kept| Publication {
            key: kept.key,
            arrival: kept.arrival,
            changed_at: kept.changed_at,
            body: kept.body.clone(),
        })
    }

    /// What [`tick`](Self::tick) has not ended yet, though its time is over, stands no longer.
    fn standing(&self, resource: &str, now: Instant) -> impl Iterator<Item = &Kept> {
        let ids = self.resources.get(resource).map(|resource| resource.ids.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.slab.get(*id)).filter(move |kept| kept.expires_at > now)
    }

    /// ESC-12: no publication of a resource can begin, for so many stand already.
    fn is_full(&self, resource: &str, now: Instant) -> bool {
        self.slab.len() >= self.config.max_in_all || self.standing(resource, now).count() >= self.config.max_of_one
    }

    /// Puts a publication among the others.
    fn insert(&mut self, kept: Kept) -> u32 {
        let (key, etag, at) = (kept.key, kept.etag, kept.expires_at);
        self.resources.entry(kept.resource.clone()).or_default();
        let id = self.slab.insert(kept);
        self.by_tag.insert(etag, id);
        self.keys.insert(key, id);
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
        self.keys.remove(&kept.key);
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
}
