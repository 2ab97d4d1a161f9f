//! Event notification (RFC 6665) and publication (RFC 3903), for any event package.

pub mod compositor;
pub mod conditional;
pub mod notifier;
pub mod publisher;
pub mod rates;
pub mod subscriber;

use std::time::Duration;

use super::{
    auth::Why,
    effect::Effect,
    endpoint::{Endpoint, Failure},
    probe::ProbeId,
    registration::RegistrationId,
    time::Instant,
};

/// Who sent a request: what the endpoint hands back with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// A subscription of ours, and which of its requests.
    Subscriber(subscriber::SubscriptionId, u64),
    /// A subscription that we serve, and which of its NOTIFYs.
    Notifier(notifier::ServedId, u64),
    /// The same, of those who are told who watches us.
    WatcherInfo(notifier::ServedId, u64),
    /// The same, of those who watch a list of resources.
    List(notifier::ServedId, u64),
    /// A publication of ours, and which of its requests.
    Publisher(publisher::PublicationId, u64),
    /// A binding of ours at a registrar, and which of its requests.
    Registration(RegistrationId, u64),
    /// A request that belongs to nothing, and which one.
    Probe(ProbeId, u64),
}

/// Why something could not be had of the other side.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The other side said so.
    Refused {
        /// The status code.
        code: u16,
        /// What the peer offers instead: Allow-Events of a 489, Accept of a 406 or 415.
        offers: Option<String>,
    },
    /// A challenge was not answered, or not to the other side's liking (RFC 3261 §22).
    Unauthorized {
        /// The status code of the response.
        code: u16,
        /// What is amiss.
        why: Why,
    },
    /// No response, or none of those that must follow.
    NoAnswer(Failure),
}

/// How a subscription, publication or registration stands, for people and for `--json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// One word; of a subscription `waiting`, `subscribing`, `active`, `pending`, `ending`, `over`.
    pub state: &'static str,
    /// When it ends, if it stands.
    pub expires_at: Option<Instant>,
    /// When the next attempt goes, if one is planned.
    pub retry_at: Option<Instant>,
}

/// What every step of a machine needs: the time, the transaction layer, a place for effects.
#[derive(Debug)]
pub struct Step<'a> {
    /// When the step happens.
    pub now: Instant,
    /// Sends and answers.
    pub endpoint: &'a mut Endpoint<User>,
    /// What is to be done in the world.
    pub out: &'a mut Vec<Effect>,
}

/// What an event package lays down for its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPackage {
    /// Its name, as Event has it.
    pub name: &'static str,
    /// The body type that is asked for and sent.
    pub content_type: &'static str,
}

/// The event packages that others may ask us for, as Allow-Events has them.
pub const ALLOW_EVENTS: &str = "presence, presence.winfo";

/// The value of User-Agent: product and major.minor, no more (SEC-14).
pub const USER_AGENT: &str =
    concat!("sippresence/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// The longest subscription that is asked for or granted; what a peer says beyond is cut.
pub const MAX_EXPIRES: u32 = 7 * 24 * 3600;

pub(in crate::sip) const fn seconds(n: u32) -> Duration {
    Duration::from_secs(n as u64)
}
