//! What happened, for programs: [`PresenceEvent`] for the library, [`Line`] for everybody else.
//!
//! One JSON object a line is the same in `watch --json`, on the control socket, in hooks and in the history. It and
//! what people read are both made from [`PresentityState`], so they cannot disagree. What is not known is left out.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    info::{
        FailureCode, Freshness, PresenceInfo,
        fields::{known_status_fields, status_fields},
    },
    status::{Activity, PresenceStatus, ShownStatus},
};

mod line;

pub use line::{
    FreshnessWord, Kind, Layer, LayerKind, Line, Previous, SCHEMA, SinceFrom, StateLine, StatusWord, SubscriptionInfo,
    Via, WatcherGrade, WatcherInfo,
};

/// What a client tells the program that uses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PresenceEvent {
    /// My own status is out: at the server, or with those who watch me.
    PresencePublished {
        /// Whose status.
        entity: String,
        /// The status.
        #[serde(flatten, with = "known_status_fields")]
        status: PresenceStatus,
        /// The note that went out with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// When it began to be so.
        timestamp: Timestamp,
    },
    /// My own status could not be published.
    PublicationFailed {
        /// Whose status.
        entity: String,
        /// Why.
        code: FailureCode,
        /// The same in words.
        message: String,
    },
    /// Somebody wants to watch me, and no rule decides; see `client.accept(..)` and `client.reject(..)`.
    SubscriptionRequest {
        /// Who wants to watch.
        subscriber: String,
        /// Whom.
        target: String,
        /// For how many seconds.
        expires: u32,
    },
    /// A subscription is active: mine to somebody, or somebody's to me.
    SubscriptionAccepted {
        /// Which one.
        subscription_id: String,
        /// Who watches.
        subscriber: String,
        /// Whom.
        target: String,
    },
    /// A presentity that I watch told its state.
    PresenceNotification {
        /// Which subscription brought it.
        subscription_id: String,
        /// Whose state.
        entity: String,
        /// The status; `None` if the document does not say enough.
        #[serde(flatten, with = "status_fields")]
        status: Option<PresenceStatus>,
        /// The note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// How sure the state of a presentity is has changed.
    FreshnessChanged {
        /// Which subscription it is about.
        subscription_id: String,
        /// Whose state.
        entity: String,
        /// How sure it is now.
        freshness: Freshness,
    },
    /// A subscription is over.
    SubscriptionTerminated {
        /// Which one.
        subscription_id: String,
        /// Why: the `reason` of its Subscription-State, or ours.
        reason: String,
    },
    /// Something is odd, and was dealt with.
    Warning {
        /// Whom or what it is about.
        about: String,
        /// What is odd.
        message: String,
    },
}

/// What is known of a presentity that is watched.
///
/// The JSON line, the human line and the list row are all made from this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PresentityState {
    /// The target as it was asked for.
    pub presentity: String,
    /// What the user calls it, if it is a buddy.
    pub name: Option<String>,
    /// The last state, if there ever was one; it stays while it is stale.
    pub info: Option<PresenceInfo>,
    /// Whether that still holds.
    pub freshness: Freshness,
    /// Since when the status is what it is.
    pub since: Option<Timestamp>,
    /// Who says so.
    pub since_from: Option<SinceFrom>,
    /// The subscription that brings it.
    pub subscription: Option<SubscriptionInfo>,
    /// The status before.
    pub previous: Option<Previous>,
    /// What is odd about the last document, such as an entity that is somebody else.
    pub warning: Option<String>,
    /// The document as it came; kept only by a look that asks for it.
    pub document: Option<Arc<str>>,
}

impl PresentityState {
    /// Makes the state of a presentity of which nothing is known.
    pub fn new(presentity: impl Into<String>) -> Self {
        Self { presentity: presentity.into(), ..Self::default() }
    }

    /// Returns the status, if one is known.
    pub fn status(&self) -> Option<&PresenceStatus> {
        self.info.as_ref().and_then(|info| info.status.as_ref())
    }

    /// Returns the status for showing, `unknown` if there is none.
    pub fn shown_status(&self) -> ShownStatus {
        ShownStatus(self.status().cloned())
    }

    /// Returns one of the seven words, or `unknown`.
    pub fn status_word(&self) -> &'static str {
        self.status().map_or("unknown", PresenceStatus::word)
    }

    /// Returns why watching failed, if it did.
    pub fn code(&self) -> Option<FailureCode> {
        self.freshness.code()
    }

    /// Returns the name that people know: the buddy's, else the target.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.presentity)
    }

    /// Returns the state in one line for people, without the name: `busy, meeting: Back at 10:30 (stale)`.
    ///
    /// Text of the peer is in it as it came: make it [`visible`](super::text::visible) before it reaches a terminal.
    pub fn headline(&self) -> String {
        let status = self.shown_status().to_string();
        let mut line = status.clone();
        if let Some(info) = &self.info {
            let own = self.status().map(own_activities).unwrap_or_default();
            for activity in info.activities.iter().filter(|activity| says_more(activity, own, &status)) {
                line.push_str(", ");
                line.push_str(activity.words());
            }
            let note = info.note.as_ref().map(|note| note.text.as_str());
            if let Some(note) =
                note.filter(|note| !note.eq_ignore_ascii_case(&status) && !is_own_note(self.status(), note))
            {
                line.push_str(": ");
                line.push_str(note);
            }
        }
        line.push_str(&self.doubt());
        line
    }

    /// Returns the status with what is not sure about it: `busy`, `busy (stale)`, `unknown (failed: 404)`.
    ///
    /// The text of a custom status is in it as it came.
    pub fn status_with_doubt(&self) -> String {
        format!("{}{}", self.shown_status(), self.doubt())
    }

    /// Says in parentheses how sure the state is, where that is worth a word.
    fn doubt(&self) -> String {
        let nothing_known = self.freshness == Freshness::Unknown && self.status().is_none();
        match (self.freshness, self.code()) {
            (Freshness::Fresh, _) => String::new(),
            _ if nothing_known => String::new(),
            (freshness, Some(code)) => format!(" ({}: {code})", freshness.word()),
            (freshness, None) => format!(" ({})", freshness.word()),
        }
    }

    /// Makes the JSON line of this state; `seq` rises by one in a stream.
    pub fn to_line(&self, kind: Kind, seq: u64, ts: Timestamp) -> Line {
        let mut line = Line::new(kind, seq, ts);
        line.presentity = Some(self.presentity.clone());
        line.name.clone_from(&self.name);
        line.set_status(self.status());
        line.set_freshness(self.freshness);
        line.since = self.since;
        line.since_from = self.since_from;
        line.subscription.clone_from(&self.subscription);
        line.previous.clone_from(&self.previous);
        line.message.clone_from(&self.warning);
        line.document = self.document.as_deref().map(str::to_owned);
        if let Some(info) = &self.info {
            line.set_info(info);
        }
        line
    }
}

/// Activities that the word of the status already says.
fn own_activities(status: &PresenceStatus) -> &'static [Activity] {
    match status {
        PresenceStatus::Busy | PresenceStatus::DoNotDisturb => &[Activity::Busy],
        PresenceStatus::Away => &[Activity::Away],
        PresenceStatus::InCall => &[Activity::OnThePhone, Activity::Busy],
        PresenceStatus::Available | PresenceStatus::Offline | PresenceStatus::Custom(_) => &[],
    }
}

fn says_more(activity: &Activity, own: &[Activity], status: &str) -> bool {
    !own.contains(activity) && *activity != Activity::Unknown && !activity.words().eq_ignore_ascii_case(status)
}

/// A note that only repeats the status, as our own documents and others carry it.
fn is_own_note(status: Option<&PresenceStatus>, note: &str) -> bool {
    let own: &[&str] = match status {
        Some(PresenceStatus::Available) => &["online", "open"],
        Some(PresenceStatus::DoNotDisturb) => &["do not disturb"],
        Some(PresenceStatus::InCall) => &["on the phone"],
        Some(PresenceStatus::Offline) => &["closed", "unavailable"],
        _ => &[],
    };
    own.iter().any(|own| own.eq_ignore_ascii_case(note))
}

#[cfg(test)]
mod tests;
