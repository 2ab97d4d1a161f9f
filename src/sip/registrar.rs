//! Other people's bindings: a minimal registrar (RFC 3261 §10.3; ESC-16).
//!
//! It knows where the devices behind an address are reached, and until when. Who is asking, and whether that is allowed,
//! is left to its user: what comes here was authenticated and authorized. A request that is refused changes nothing. The
//! flow of a device takes the place of its older self (RFC 5626 §6), but no request goes out by it, so that a 200 does
//! not require Outbound; a Path is passed over.

mod asked;
mod bound;
mod saved;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use jiff::Timestamp;
use rand::rngs::StdRng;

use self::asked::{Asked, Place, Wish};
use super::{
    events::seconds,
    ids::Token,
    message::Message,
    slab::{Slab, give_back},
    time::{Instant, Timers},
    uri::Uri,
};

pub use self::{
    bound::{BindingKey, Bound},
    saved::SavedBinding,
};
pub use super::refusal::Refusal;

/// What a device is asked to wait when there is no room.
const RETRY_AFTER: u32 = 60;
/// How much a call of [`Registrar::tick`] does at most.
const TICKS: usize = 1024;

/// What a registrar is told once.
#[derive(Clone, Debug)]
pub struct RegistrarConfig {
    /// The shortest binding, in seconds; a shorter one gets 423, but never one of an hour or more (§10.3, step 7).
    pub min_expires: u32,
    /// The longest one; who asks for more gets this.
    pub max_expires: u32,
    /// For how long a binding stands that does not say so.
    pub default_expires: u32,
    /// How many bindings of one address stand at a time.
    pub max_of_one: usize,
    /// How many stand in all.
    pub max_in_all: usize,
}

#[derive(Debug)]
struct Kept {
    resource: Box<str>,
    key: BindingKey,
    contact: Uri,
    q: Option<u16>,
    instance: Option<Box<str>>,
    reg_id: Option<u32>,
    call_id: Box<str>,
    seq: u32,
    source: SocketAddr,
    since: Timestamp,
    expires_at: Instant,
    timer: Option<Instant>,
    /// It was handed out to be written down, or came from there.
    saved: bool,
}

impl Kept {
    fn place(&self) -> Place<'_> {
        Place { uri: self.contact.as_ref(), instance: self.instance.as_deref(), reg_id: self.reg_id }
    }
}

/// What a request comes to, before anything is done.
#[derive(Debug, Default)]
struct Plan<'p, 'm> {
    gone: Vec<u32>,
    made: Vec<&'p Wish<'m>>,
}

/// All bindings; see the module's text.
#[derive(Debug)]
pub struct Registrar {
    config: RegistrarConfig,
    slab: Slab<Kept>,
    by_key: HashMap<BindingKey, u32>,
    resources: HashMap<Box<str>, Vec<u32>>,
    timers: Timers<u32>,
    /// What is to be written down; of those that are gone, only what ever was.
    unsaved: BTreeSet<BindingKey>,
}

impl Registrar {
    /// Makes a registrar that knows of nobody yet.
    pub fn new(config: RegistrarConfig) -> Self {
        Self {
            config,
            slab: Slab::default(),
            by_key: HashMap::new(),
            resources: HashMap::new(),
            timers: Timers::default(),
            unsaved: BTreeSet::new(),
        }
    }

    /// Returns how many bindings stand.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns whether none stands.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Does what a REGISTER for an address asks, all of it or nothing; returns the bindings of the address after it.
    ///
    /// [`tick`](Self::tick) does not tell of what had ended when another binding of the address was changed.
    ///
    /// # Errors
    /// With the answer to give: 400, 423, 500 for a request that comes too late (§10.3, steps 6 and 7), or 503.
    pub fn register(
        &mut self,
        message: &Message<'_>,
        resource: &str,
        source: SocketAddr,
        now: Instant,
        wall: Timestamp,
        rng: &mut StdRng,
    ) -> Result<Vec<Bound>, Refusal> {
        let asked = Asked::read(message, &self.config)?;
        let (call_id, seq) = (message.call_id()?, message.cseq()?.seq);
        let Plan { gone, made } = self.plan(&asked, resource, call_id, seq, now)?;
        let mut gone: Vec<Kept> = gone.into_iter().filter_map(|id| self.remove(id)).collect();
        for Wish { place, q, expires } in made {
            let stood = |kept: &Kept| kept.expires_at > now && place.is_that_of(&kept.place());
            let before = gone.iter().position(stood).map(|at| gone.swap_remove(at));
            let (key, since, saved) = match before {
                Some(Kept { key, since, saved, .. }) => (key, since, saved),
                None => (Token::random(rng), wall, false),
            };
            self.unsaved.insert(key);
            self.insert(Kept {
                resource: resource.into(),
                key,
                contact: place.uri.to_owned(),
                q: *q,
                instance: place.instance.map(Into::into),
                reg_id: place.reg_id,
                call_id: call_id.into(),
                seq,
                source,
                since,
                expires_at: now + seconds(*expires),
                timer: None,
                saved,
            });
        }
        Ok(self.bindings(resource, now).collect())
    }

    /// Finds out what goes and what comes, and whether that may be.
    fn plan<'p, 'm>(
        &self,
        asked: &'p Asked<'m>,
        resource: &str,
        call_id: &str,
        seq: u32,
        now: Instant,
    ) -> Result<Plan<'p, 'm>, Refusal> {
        let (removes_all, wishes) = match asked {
            Asked::Nothing => return Ok(Plan::default()),
            Asked::All => (true, &[][..]),
            Asked::Each(wishes) => (false, wishes.as_slice()),
        };
        let is_meant = |place: &Place<'_>| removes_all || wishes.iter().any(|wish| wish.place.is_that_of(place));
        // Of what is the same within one request, the last counts.
        let mut made: Vec<&Wish<'_>> = Vec::new();
        for wish in wishes {
            made.retain(|other| !wish.place.is_that_of(&other.place));
            made.extend((wish.expires > 0).then_some(wish));
        }
        let (mut gone, mut ended) = (Vec::new(), 0);
        let standing = self.ids(resource);
        for (id, kept) in standing.iter().filter_map(|id| Some((*id, self.slab.get(*id)?))) {
            if kept.expires_at <= now {
                ended += 1;
                gone.push(id);
            } else if is_meant(&kept.place()) {
                if *kept.call_id == *call_id && kept.seq >= seq {
                    return Err(Refusal::plain(500));
                }
                gone.push(id);
            }
        }
        let RegistrarConfig { max_of_one, max_in_all, .. } = self.config;
        let has_room = |known: usize, most: usize| known - gone.len() + made.len() <= most;
        // Where limits are lower than they were, what stands may be refreshed all the same.
        let grows = made.len() > gone.len() - ended;
        if grows && !(has_room(standing.len(), max_of_one) && has_room(self.slab.len(), max_in_all)) {
            return Err(Refusal::later(RETRY_AFTER));
        }
        Ok(Plan { gone, made })
    }

    fn ids(&self, resource: &str) -> &[u32] {
        self.resources.get(resource).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts a binding among the others.
    fn insert(&mut self, kept: Kept) {
        let (key, at) = (kept.key, kept.expires_at);
        let resource = kept.resource.clone();
        let id = self.slab.insert(kept);
        self.by_key.insert(key, id);
        self.resources.entry(resource).or_default().push(id);
        if let Some(kept) = self.slab.get_mut(id) {
            self.timers.set(&mut kept.timer, id, at);
        }
    }

    fn remove(&mut self, id: u32) -> Option<Kept> {
        let mut kept = self.slab.remove(id)?;
        self.timers.cancel(&mut kept.timer, id);
        self.by_key.remove(&kept.key);
        if let Some(ids) = self.resources.get_mut(&kept.resource) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.resources.remove(&kept.resource);
            }
        }
        give_back(&mut self.by_key);
        give_back(&mut self.resources);
        // Who registers and goes in turn leaves nothing to be written down.
        if kept.saved {
            self.unsaved.insert(kept.key);
        } else {
            self.unsaved.remove(&kept.key);
        }
        Some(kept)
    }

    /// Returns the bindings of an address that stand, in the order in which they were made or refreshed.
    pub fn bindings(&self, resource: &str, now: Instant) -> impl Iterator<Item = Bound> {
        let standing = self.ids(resource).iter().filter_map(|id| self.slab.get(*id));
        standing.filter(move |kept| kept.expires_at > now).map(move |kept| kept.bound(now))
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Ends what was not refreshed, a bounded amount a call; returns the addresses that it was of.
    pub fn tick(&mut self, now: Instant) -> Vec<Box<str>> {
        let mut changed = Vec::new();
        for _ in 0..TICKS {
            let Some(id) = self.timers.pop(now) else { break };
            if let Some(kept) = self.slab.get_mut(id) {
                kept.timer = None;
            }
            changed.extend(self.remove(id).map(|kept| kept.resource));
        }
        changed
    }
}
