//! What a domain is told once, what leaves it, and what it counts.

use std::net::SocketAddr;

use crate::{
    presence::policy::Action,
    server::store::Record,
    sip::{auth::Hash, effect::Effect, events::compositor::Before as PublicationBefore, transaction::Timing},
};

/// How much is served at most; beyond it somebody new is answered 503 (SEC-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions.
    pub subscriptions: usize,
    /// Subscriptions of one watcher.
    pub of_one_watcher: u32,
    /// Publications.
    pub publications: usize,
    /// Publications of one presentity.
    pub of_one_presentity: usize,
    /// The bytes of one document.
    pub document: usize,
    /// Bindings of addresses.
    pub bindings: usize,
    /// Presentities of whom something is known.
    pub presentities: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscriptions: 200_000,
            of_one_watcher: 20_000,
            publications: 200_000,
            of_one_presentity: 10,
            document: 32 * 1024,
            bindings: 200_000,
            presentities: 200_000,
        }
    }
}

/// What a domain is told once.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct DomainConfig {
    /// The domains that are served, in lower case.
    pub domains: Vec<Box<str>>,
    /// Whether one in which nobody has an account is open: everybody is taken at his word there. Else nobody gets in.
    pub open: bool,
    /// Our sockets; each has UDP and TCP.
    pub locals: Vec<SocketAddr>,
    /// Those at which we take connections under TLS.
    pub tls: Vec<SocketAddr>,
    /// Base timers.
    pub timing: Timing,
    /// The shortest subscription, publication or binding, in seconds.
    pub min_expires: u32,
    /// The longest publication or binding, in seconds.
    pub max_expires: u32,
    /// What watchers get of whom no rule of a presentity says anything; without it they are allowed in an open domain, and
    /// asked about in others.
    pub default: Option<Action>,
    /// Whether whoever asks for somebody who has no account gets the answer of one who is blocked (POL-14).
    pub hide_unknown: bool,
    /// The weakest hash by which somebody may prove who it is.
    pub auth_min: Hash,
    /// Whether that hash alone is asked for.
    pub legacy: bool,
    /// How much is served.
    pub limits: Limits,
    /// Whether there is somebody who keeps records.
    pub keeps: bool,
}

/// What leaves a domain.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be done in the world, in this order, once the records are kept.
    pub effects: Vec<Effect>,
    /// To be kept, all of them together.
    pub records: Vec<Record>,
    /// What publications were before, to be [put back](super::Domain::undo) where the records cannot be kept.
    pub before: Vec<PublicationBefore>,
}

/// What was done so far, for whoever watches over a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// PUBLISH requests that were taken in.
    pub publishes: u64,
    /// SUBSCRIBE requests that were taken in.
    pub subscribes: u64,
    /// REGISTER requests that were taken in.
    pub registers: u64,
    /// Requests that were answered with a challenge.
    pub challenges: u64,
    /// Requests that were refused otherwise.
    pub refusals: u64,
    /// Requests that were answered 503, for want of room or because nothing can be kept.
    pub overloads: u64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Subscriptions of watchers that have proven to be there, and of others.
    pub subscriptions: (usize, usize),
    /// Subscriptions to watcher information.
    pub informed: usize,
    /// Subscriptions to lists.
    pub lists: usize,
    /// Publications.
    pub publications: usize,
    /// Bindings.
    pub bindings: usize,
    /// Presentities of whom something is known.
    pub presentities: usize,
    /// Documents of users.
    pub documents: usize,
    /// Client transactions, server transactions and connections.
    pub transactions: (usize, usize, usize),
}
