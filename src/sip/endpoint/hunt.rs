//! Walking the targets of a look-up: when to leave one for the next, which to leave out (RFC 3263 §4.3, RFC 7984).
//!
//! A transport error, silence or a 503 moves a request on, as a new transaction with the same Call-ID, number and body;
//! any other final response ends the hunt. Towards the last target the patience is that of RFC 3261 (Timer F). Before
//! that it is shorter where nothing at all was heard, not even from a connection: a host whose IPv6 leads nowhere must
//! cost seconds. Who lives answers a datagram or its resends by then, so that it does not get the request twice.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    Endpoint, Failure,
    client::{Client, Phase},
};
use crate::sip::{effect::Effect, ids::Token, locate::Target, message::Message, time::Instant, transaction::Timing};

/// How long a target that came to nothing is passed over, unless it said how long (RES-16).
const ASIDE_FOR: Duration = Duration::from_mins(1);
/// The longest time for which a Retry-After is believed.
const ASIDE_AT_MOST: Duration = Duration::from_hours(1);
/// How many such targets are remembered at most.
const MAX_ASIDE: usize = 1024;

/// How long a datagram and its resends may meet silence while there is another target: four sends, 4 s by default.
pub(super) fn heard_within(timing: &Timing) -> Duration {
    timing.t1 * 8
}

/// Targets that are passed over, each until its time.
#[derive(Debug, Default)]
pub(super) struct Aside {
    until: HashMap<Target, Instant>,
}

impl Aside {
    fn put(&mut self, target: Target, until: Instant, now: Instant) {
        if self.until.len() >= MAX_ASIDE {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < MAX_ASIDE || self.until.contains_key(&target) {
            self.until.insert(target, until);
        }
    }

    /// Returns until when a target is passed over, if it is.
    fn until(&self, target: &Target, now: Instant) -> Option<Instant> {
        self.until.get(target).copied().filter(|until| now < *until)
    }

    /// Learns from a final response: whoever sends one is there, unless it says that it cannot serve.
    pub(super) fn judge(&mut self, target: Target, response: &Message<'_>, now: Instant) {
        if response.code() == Some(503) {
            let asked = response.retry_after().map(|after| Duration::from_secs(u64::from(after.seconds)));
            self.put(target, now + asked.unwrap_or(ASIDE_FOR).min(ASIDE_AT_MOST), now);
        } else {
            self.until.remove(&target);
        }
    }
}

impl<U: Copy> Endpoint<U> {
    /// Leaves out the targets that no address of ours has to do with, and those put aside; if all are, the one whose time
    /// ends first comes first.
    pub(super) fn reachable(&self, targets: Vec<Target>, now: Instant) -> VecDeque<Target> {
        let locals = &self.config.locals;
        // An address of a family that we do not have is no way at all.
        let mut ours = targets;
        ours.retain(|target| locals.iter().any(|local| local.is_ipv4() == target.remote.is_ipv4()));
        if ours.iter().all(|target| self.aside.until(target, now).is_some()) {
            ours.sort_by_key(|target| self.aside.until(target, now));
        } else {
            ours.retain(|target| self.aside.until(target, now).is_none());
        }
        ours.into()
    }

    /// A request came to nothing where it was sent: it goes to the next target, or has failed.
    pub(super) fn give_up(&mut self, id: u32, failure: Failure, now: Instant, out: &mut Vec<Effect>) {
        let Some(client) = self.clients.get(id) else { return };
        if let Some(target) = client.targets.front().filter(|_| client.hunted) {
            self.aside.put(*target, now + ASIDE_FOR, now);
        }
        if client.targets.len() < 2 {
            return self.fail(id, failure);
        }
        self.release(id);
        self.rebranch(id);
        if let Some(client) = self.clients.get_mut(id) {
            client.begin_anew();
            self.launch(id, now, out);
        }
    }

    /// A server cannot serve now: what it was sent goes to the next.
    pub(super) fn move_on(&mut self, mut client: Client<U>, now: Instant, out: &mut Vec<Effect>) {
        client.branch = Token::random(&mut self.rng);
        client.begin_anew();
        let id = self.clients.insert(client);
        self.launch(id, now, out);
    }
}

impl<U> Client<U> {
    /// Turns to the next target.
    fn begin_anew(&mut self) {
        self.targets.pop_front();
        if let Some(draft) = self.draft.take() {
            self.packet.head = draft;
        }
        self.switched = false;
        self.phase = Phase::Placing;
        if let Some(proof) = &mut self.auth {
            proof.begin_anew();
        }
    }
}
