//! The publisher's side of event state (RFC 3903 §4): keeps one publication of ours at a server.
//!
//! A [`Publisher`] sends the newest state of any event package, refreshes it before it lapses, follows entity-tags, backs
//! off when told to, and reports each turn as an [`Update`]. What the body means, when there is something to publish and
//! what is to be done where a server takes no publications are left to its user.

mod machine;
mod outcome;
mod saved;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use self::machine::{Held, Open, Wanted};
use super::{Cause, EventPackage, Standing, Step};
use crate::sip::{
    auth::AccountId,
    dialog::Party,
    header::Name,
    retry::{self, Gate},
    series::Series,
    time::Instant,
    uri::Uri,
};

pub use saved::{NotRestored, SavedPublication};

/// The pause between two publications of a change (RFC 3903 §10.5, PUB-16).
pub const CHANGE_EVERY: Duration = Duration::from_secs(5);

/// Names one publication of ours, as its user counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(pub u32);

/// What is published, where, and how.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The presentity's address of record: request-URI and To (RFC 3903 §4.1).
    pub target: Uri,
    /// The presentity again, as From names it.
    pub from: Party,
    /// A proxy that every request goes through, if not straight to the target's own host; a loose router.
    pub route: Option<Uri>,
    /// The event package, with the type of the bodies.
    pub package: EventPackage,
    /// Seconds to ask for; above 0.
    pub expires: u32,
    /// The longest pause between two attempts (WAT-47).
    pub retry_cap: Duration,
    /// Whose password answers challenges.
    pub account: Option<AccountId>,
}

/// One turn in the life of a publication.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The server keeps a state of ours.
    Published {
        /// Until when, unless it is refreshed.
        expires_at: Instant,
        /// Whether it is the newest one; else that follows.
        current: bool,
    },
    /// A 2xx lacked this header, or bore what cannot be one: the server is to be warned of (RFC 3903 §5). Without an
    /// entity-tag the next publication is an initial one; without Expires what was asked for is assumed.
    Flawed(Name),
    /// What the server keeps cannot be known just now; it is asked.
    Unconfirmed,
    /// The server keeps nothing of ours any more, or kept it for no time at all; it is published afresh.
    Lapsed,
    /// A request failed. [`lacks_publication`] and [`is_unwelcome`] say what some codes mean.
    Failed {
        /// Why.
        cause: Cause,
        /// When the next attempt goes; none: no more, and this publisher is done.
        retry_at: Option<Instant>,
    },
    /// Our own removal came to its end. What a server would not let go, or gave no tag to, is left to lapse.
    Removed,
}

/// Returns whether a refusal means that the server takes no publications, or none of this package (RFC 3903 §5, PUB-14).
pub fn lacks_publication(code: u16) -> bool {
    matches!(code, 405 | 489 | 501)
}

/// Returns whether a refusal means that the server takes publications, but none of ours (PUB-14).
pub fn is_unwelcome(code: u16) -> bool {
    matches!(code, 403 | 404)
}

/// One publication; see the module's text.
#[derive(Debug)]
pub struct Publisher {
    id: PublicationId,
    what: Publication,
    series: Series,
    gate: Gate,
    wanted: Wanted,
    held: Option<Held>,
    /// The request whose outcome is awaited: there is never a second one (PUB-07).
    open: Option<Open>,
    /// Seconds to ask for: as wished, or what a 423 demanded.
    asked: u32,
    /// A 423 was followed since the last success.
    lengthened: bool,
    /// The body that was sent last, unless it was to be taken back since, and when it went the first time.
    sent: Option<(Option<Print>, Instant)>,
    updates: VecDeque<Update>,
    unsaved: bool,
}

/// Tells bodies apart: over a restart a hash has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print([u8; 32]);

impl Print {
    fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl Publisher {
    /// Makes a publication that has nothing to say yet; nothing is sent before [`publish`](Self::publish).
    ///
    /// Outcomes of requests come back under `id`. An earlier run's publication can be
    /// [restored](Self::restore) first.
    pub fn new(id: PublicationId, what: Publication, step: &mut Step<'_>) -> Self {
        Self {
            id,
            asked: what.expires,
            what,
            series: Series::new(step.endpoint.rng()),
            gate: Gate::default(),
            wanted: Wanted::Nothing,
            held: None,
            open: None,
            lengthened: false,
            sent: None,
            updates: VecDeque::new(),
            unsaved: false,
        }
    }

    /// Returns the name that its requests bear.
    pub fn id(&self) -> PublicationId {
        self.id
    }

    /// Takes a new state, a body that is not empty: it goes out now if nothing is open and no change went within [`CHANGE_EVERY`], else as soon as
    /// it may, unless a newer one comes before that. A state that the server keeps already is not sent again.
    ///
    /// After a failure without another attempt to come it is of no effect.
    pub fn publish(&mut self, body: Bytes, step: &mut Step<'_>) {
        if matches!(self.wanted, Wanted::Over) {
            return;
        }
        let print = Print::of(&body);
        let news = !matches!(&self.wanted, Wanted::State { print: wanted, .. } if *wanted == print);
        self.wanted = Wanted::State { body, print };
        if news {
            self.gate.early(step.now);
        }
        self.go(step);
    }

    /// Modifies what the server keeps to the same state (RFC 3903 §4.4), to see whether it still takes it; returns whether
    /// there is such a state.
    pub fn again(&mut self, step: &mut Step<'_>) -> bool {
        let (Wanted::State { .. }, Some(held @ Held { tag: Some(_), .. })) = (&self.wanted, &mut self.held) else {
            return false;
        };
        held.print = None;
        self.gate.early(step.now);
        self.go(step);
        true
    }

    /// Takes the publication back (RFC 3903 §4.5); [`Update::Removed`] follows, at once where nothing is known to be
    /// kept.
    pub fn remove(&mut self, step: &mut Step<'_>) {
        match self.wanted {
            Wanted::Over => self.updates.push_back(Update::Removed),
            Wanted::Nothing | Wanted::State { .. } | Wanted::Removal => {
                self.wanted = Wanted::Removal;
                self.sent = self.sent.map(|(_, at)| (None, at));
                self.gate.early(step.now);
                self.go(step);
            }
        }
    }

    /// The machine slept, or its addresses changed: what the server keeps is asked within a few seconds (SEC-20).
    pub fn resumed(&mut self, step: &mut Step<'_>) {
        let soon = step.now + retry::spread(step.endpoint.rng(), Duration::from_secs(3));
        if matches!(self.wanted, Wanted::Nothing | Wanted::Over) {
            return;
        }
        if let Some(open) = &mut self.open {
            // One that is on its way goes on; if nobody answers it, the next does not wait for long.
            open.hurry = true;
            return;
        }
        self.gate.anew(soon);
        self.lapse(step.now);
        if let Some(held) = &mut self.held {
            held.refresh_at = soon;
            self.updates.push_back(Update::Unconfirmed);
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let lapses_at = self.held.as_ref().filter(|_| self.open.is_none()).map(|held| held.expires_at);
        [self.next_at(), lapses_at].into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn tick(&mut self, step: &mut Step<'_>) {
        self.go(step);
    }

    /// Takes the next turn.
    pub fn next_update(&mut self) -> Option<Update> {
        self.updates.pop_front()
    }

    /// Returns whether the server keeps the newest state, as far as is known.
    pub fn is_current(&self) -> bool {
        match (&self.wanted, &self.held) {
            (Wanted::State { print, .. }, Some(held)) => held.print == Some(*print),
            _ => false,
        }
    }

    /// Returns how it stands; its words are `idle`, `publishing`, `waiting`, `published`, `removing`, `over`.
    pub fn standing(&self) -> Standing {
        let state = match &self.wanted {
            Wanted::Nothing => "idle",
            Wanted::Over => "over",
            Wanted::Removal => "removing",
            Wanted::State { .. } if self.is_current() => "published",
            Wanted::State { .. } if self.open.is_some() => "publishing",
            Wanted::State { .. } => "waiting",
        };
        let retry_at = if self.is_current() { self.gate.opens_at() } else { self.next_at() };
        Standing { state, expires_at: self.held.as_ref().map(|held| held.expires_at), retry_at }
    }
}
