//! Event notification (RFC 6665), for any event package.

pub mod notifier;
pub mod subscriber;

use std::time::Duration;

use super::{effect::Effect, endpoint::Endpoint, time::Instant};

/// Who sent a request: what the endpoint hands back with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// A subscription of ours, and which of its requests.
    Subscriber(subscriber::SubscriptionId, u64),
    /// A subscription that we serve, and which of its NOTIFYs.
    Notifier(notifier::ServedId, u64),
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

/// The value of User-Agent: product and major.minor, no more (SEC-14).
pub const USER_AGENT: &str =
    concat!("sippresence/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// The longest subscription that is asked for or granted; what a peer says beyond is cut.
pub const MAX_EXPIRES: u32 = 7 * 24 * 3600;

const fn seconds(n: u32) -> Duration {
    Duration::from_secs(n as u64)
}
