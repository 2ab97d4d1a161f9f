//! What a notifier is told once.

use std::time::Duration;

use super::ServedId;
use crate::sip::{
    auth::AccountId,
    events::{EventPackage, User},
};

/// What the notifier is told once.
#[derive(Clone, Debug)]
pub struct NotifierConfig {
    /// The event package.
    pub package: EventPackage,
    /// The shortest subscription, in seconds; a shorter one gets 423.
    pub min_expires: u32,
    /// How many proven subscriptions there may be.
    pub max_subscriptions: usize,
    /// How many of them one watcher may hold (NOT-27).
    pub max_per_watcher: u32,
    /// The pause between two NOTIFYs for changes of state to one watcher.
    pub rate: Duration,
    /// Whether each document stands for itself, and not on those before: then a watcher may say what it knows already
    /// (RFC 5839), and have it repeated (RFC 6446 §6).
    pub whole: bool,
    /// What is different where it serves lists of resources (RFC 4662).
    pub listing: Option<Listing>,
    /// Whose password answers challenges to NOTIFYs (AUT-16).
    pub account: Option<AccountId>,
    /// As whose requests its NOTIFYs go.
    pub user: fn(ServedId, u64) -> User,
}

/// How a list of resources is told.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// The option tag that every 2xx and NOTIFY requires (RFC 4662 §4.1).
    pub requires: &'static str,
    /// Reads the media type, with its parameters, off a body that was made.
    pub content_type_of: fn(&[u8]) -> Option<String>,
}
