//! What a notifier and its user say to each other: which subscription, what its watcher gets, what became of it.

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::sip::time::Instant;

/// Names one subscription that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServedId(pub(in crate::sip::events) u32);

impl ServedId {
    /// Returns its number, which is small: those that stand are close together.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ServedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in-{}", self.0)
    }
}

/// Names a state that watchers may be shown; several watchers share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View {
    /// Of which resource, where there are many.
    pub of: u32,
    /// Which of its states.
    pub number: u32,
}

/// What a watcher gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, with this status code.
    Refuse(u16),
    /// An answer later.
    Pending,
    /// This view.
    Active(View),
}

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The watcher unsubscribed, or had one look.
    Left,
    /// It was not refreshed.
    Expired,
    /// The watcher's address did not answer.
    Unanswered,
    /// The watcher's side said that there is no such subscription.
    Gone(u16),
    /// We took it back.
    Rejected,
    /// Nobody decided within seven days.
    GaveUp,
    /// Somebody with better standing took its place, or nothing ever proved it.
    Dropped,
    /// We go offline.
    Offline,
}

/// What the notifier reports to its user.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The watcher's address answered for the first time: it is to be judged again.
    Proven(ServedId),
    /// A subscription ended.
    Ended {
        /// Which; the id is free.
        id: ServedId,
        /// The watcher's address of record.
        watcher: Arc<str>,
        /// Whether it ever was more than an unproven claim.
        proven: bool,
        /// Why.
        ending: Ending,
    },
}

/// How a subscription stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedInfo {
    /// Which.
    pub id: ServedId,
    /// The watcher's address of record.
    pub watcher: Arc<str>,
    /// Where it subscribes from.
    pub source: SocketAddr,
    /// What it gets.
    pub verdict: Verdict,
    /// When it ends unless refreshed.
    pub expires_at: Instant,
    /// Whether the watcher's address has shown that it is there.
    pub proven: bool,
}
