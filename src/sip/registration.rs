//! Our own binding at a registrar (RFC 3261 §10.2): where requests to our address of record reach us.
//!
//! A [`Registration`] registers, refreshes before the binding lapses, backs off when told to, takes the binding back,
//! and reports each turn as an [`Update`]. It speaks of no binding but its own. By TCP and TLS it asks for what is for us to
//! come by the same connection (Outbound, RFC 5626), and makes its binding anew when that is gone; over UDP it does not, for
//! that would take STUN. When to register and what has to wait for that are left to its user; a Service-Route is passed over.

mod machine;
mod outcome;

use std::{collections::VecDeque, time::Duration};

use self::machine::{Bound, Goal, Open};
use super::{
    auth::AccountId,
    dialog::Party,
    events::{Cause, Standing, Step},
    retry::{self, Gate},
    series::Series,
    time::Instant,
    uri::Uri,
};

/// Names one registration of ours, as its user counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u32);

/// What is bound, where, and how.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The domain that is registered with, without a user part: the request-URI.
    pub registrar: Uri,
    /// Our address of record: To.
    pub address: Uri,
    /// The same as From names it.
    pub from: Party,
    /// The user part of our Contact, as it stands in a URI; its host is the address that the request leaves from.
    pub contact_user: Box<str>,
    /// A proxy that every request goes through, if not straight to the registrar; a loose router.
    pub route: Option<Uri>,
    /// Seconds to ask for; above 0.
    pub expires: u32,
    /// The longest pause between two attempts (WAT-47).
    pub retry_cap: Duration,
    /// Whose password answers challenges.
    pub account: Option<AccountId>,
    /// The URN that tells us from others who bind the same address, the same for ever: where REGISTER leaves by a
    /// connection, what is for us is to come by that (RFC 5626). Without one that is not asked for.
    pub instance: Option<Box<str>>,
}

/// One turn in the life of a registration.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The registrar has our binding.
    Registered {
        /// Until when, unless it is refreshed.
        expires_at: Instant,
    },
    /// Whether the binding stands cannot be known just now; the registrar is asked.
    Unconfirmed,
    /// The binding has lapsed, or was granted for no time at all; it is made afresh.
    Lapsed,
    /// A request failed.
    Failed {
        /// Why.
        cause: Cause,
        /// When the next attempt goes; none: no more, and this registration is done.
        retry_at: Option<Instant>,
    },
    /// We took the binding back, or have none that we know of.
    Unregistered,
}

/// One binding; see the module's text.
#[derive(Debug)]
pub struct Registration {
    id: RegistrationId,
    what: Binding,
    series: Series,
    gate: Gate,
    goal: Goal,
    bound: Option<Bound>,
    open: Option<Open>,
    /// Seconds to ask for: as wished, or what a 423 demanded.
    asked: u32,
    /// A 423 was followed since the last success.
    lengthened: bool,
    /// Some hop on the way knows nothing of Outbound (439), so it is not offered any more.
    lacks_outbound: bool,
    /// Our last binding was made by a connection that is kept alive.
    by_flow: bool,
    updates: VecDeque<Update>,
}

impl Registration {
    /// Makes a binding of which nobody is told before [`register`](Self::register).
    ///
    /// Outcomes of requests come back under `id`.
    pub fn new(id: RegistrationId, what: Binding, step: &mut Step<'_>) -> Self {
        Self {
            id,
            asked: what.expires,
            what,
            series: Series::new(step.endpoint.rng()),
            gate: Gate::default(),
            goal: Goal::Nothing,
            bound: None,
            open: None,
            lengthened: false,
            lacks_outbound: false,
            by_flow: false,
            updates: VecDeque::new(),
        }
    }

    /// Returns the name that its requests bear.
    pub fn id(&self) -> RegistrationId {
        self.id
    }

    /// Registers, and keeps the binding alive from now on.
    ///
    /// After a failure without another attempt to come it is of no effect.
    pub fn register(&mut self, step: &mut Step<'_>) {
        if self.goal != Goal::Over {
            self.goal = Goal::Bound;
            self.go(step);
        }
    }

    /// Takes our binding back, and no other (RFC 3261 §10.2.2); [`Update::Unregistered`] follows, at once where none
    /// stands.
    pub fn unregister(&mut self, step: &mut Step<'_>) {
        if self.goal == Goal::Over {
            self.updates.push_back(Update::Unregistered);
        } else {
            self.goal = Goal::Unbound;
            self.gate.early(step.now);
            self.go(step);
        }
    }

    /// The machine slept, or its addresses changed: the registrar is asked within a few seconds (SEC-20).
    pub fn resumed(&mut self, step: &mut Step<'_>) {
        let soon = step.now + retry::spread(step.endpoint.rng(), Duration::from_secs(3));
        if matches!(self.goal, Goal::Nothing | Goal::Over) {
            return;
        }
        if let Some(open) = &mut self.open {
            // One that is on its way goes on; if nobody answers it, the next does not wait for long.
            open.hurry = true;
            return;
        }
        self.gate.anew(soon);
        self.lapse(step.now);
        if let Some(bound) = &mut self.bound {
            bound.refresh_at = soon;
            self.updates.push_back(Update::Unconfirmed);
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let lapses_at = self.bound.as_ref().filter(|_| self.open.is_none()).map(|bound| bound.expires_at);
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

    /// Returns whether the registrar has our binding, as far as is known.
    pub fn is_registered(&self) -> bool {
        self.bound.is_some()
    }

    /// Returns how it stands; its words are `idle`, `registering`, `waiting`, `registered`, `ending`, `over`.
    pub fn standing(&self) -> Standing {
        let state = match self.goal {
            Goal::Nothing => "idle",
            Goal::Over => "over",
            Goal::Unbound => "ending",
            Goal::Bound if self.bound.is_some() => "registered",
            Goal::Bound if self.open.is_some() => "registering",
            Goal::Bound => "waiting",
        };
        let retry_at = if self.bound.is_some() { self.gate.opens_at() } else { self.next_at() };
        Standing { state, expires_at: self.bound.as_ref().map(|bound| bound.expires_at), retry_at }
    }
}
