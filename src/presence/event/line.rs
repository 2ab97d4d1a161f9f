//! The JSON line (schema 1); `docs/events.schema.json` describes it for other programs.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::presence::{
    Rates,
    buddy::{Buddies, Buddy},
    core::{Linked, Now},
    holds::{Hold, Holds, Lasts},
    info::{Device, FailureCode, Freshness, Note, PlaceIs, PresenceInfo, RawElement, TimeOffset, UserInput},
    pidf::Published,
    status::{Activity, Basic, PresenceStatus},
};

/// The version of the line's schema: it rises when a field changes its meaning, not when one is added.
pub const SCHEMA: u32 = 1;

/// The line that tells a state; another name for [`Line`].
pub type StateLine = Line;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The first state of a target.
    Snapshot,
    /// All targets have had their first state.
    Ready,
    /// A state changed.
    Change,
    /// A state is the same, but how sure it is has changed.
    Freshness,
    /// A subscription of ours changed.
    Subscription,
    /// Our own publication changed.
    Publication,
    /// Somebody who watches us, or wants to.
    Watcher,
    /// The buddy list: how it is, and again whenever it changed.
    Buddies,
    /// Something failed.
    Error,
    /// The stream ends.
    End,
}

/// The status in a line: one of the seven words, or `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusWord {
    /// `available`.
    Available,
    /// `busy`.
    Busy,
    /// `away`.
    Away,
    /// `dnd`.
    #[serde(rename = "dnd")]
    DoNotDisturb,
    /// `offline`.
    Offline,
    /// `in-call`.
    InCall,
    /// `custom`; its text stands in `text`.
    Custom,
    /// `unknown`.
    Unknown,
}

impl StatusWord {
    /// Returns the word of a status, `Unknown` for none.
    pub fn of(status: Option<&PresenceStatus>) -> Self {
        match status {
            None => Self::Unknown,
            Some(PresenceStatus::Available) => Self::Available,
            Some(PresenceStatus::Busy) => Self::Busy,
            Some(PresenceStatus::Away) => Self::Away,
            Some(PresenceStatus::DoNotDisturb) => Self::DoNotDisturb,
            Some(PresenceStatus::Offline) => Self::Offline,
            Some(PresenceStatus::InCall) => Self::InCall,
            Some(PresenceStatus::Custom(_)) => Self::Custom,
        }
    }

    /// Returns the status of the word, with the text of a custom one.
    pub fn to_status(self, text: Option<&str>) -> Option<PresenceStatus> {
        Some(match self {
            Self::Unknown => return None,
            Self::Available => PresenceStatus::Available,
            Self::Busy => PresenceStatus::Busy,
            Self::Away => PresenceStatus::Away,
            Self::DoNotDisturb => PresenceStatus::DoNotDisturb,
            Self::Offline => PresenceStatus::Offline,
            Self::InCall => PresenceStatus::InCall,
            Self::Custom => PresenceStatus::Custom(text.unwrap_or_default().to_owned()),
        })
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_status(None).as_ref().map_or("unknown", PresenceStatus::word))
    }
}

/// Where a `since` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinceFrom {
    /// The peer's document says so.
    Peer,
    /// We saw it begin.
    Observed,
}

/// A subscription, for showing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionInfo {
    /// `active`, `pending`, `terminated`, or what we do meanwhile: `trying`, `waiting`.
    pub state: String,
    /// Which way it takes, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Seconds until it ends, unless it is refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// How often the notifier tells of changes, where it was asked and says so (RFC 6446).
    #[serde(default, skip_serializing_if = "Rates::is_none")]
    pub rates: Rates,
    /// The reason with which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last answer that was no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_code: Option<FailureCode>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry: Option<Timestamp>,
}

/// The status before this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Previous {
    /// Its word.
    pub status: StatusWord,
    /// The text of a custom one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Since when it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Previous {
    /// Remembers a status before it is replaced.
    pub fn of(status: Option<&PresenceStatus>, since: Option<Timestamp>) -> Self {
        Self { status: StatusWord::of(status), text: status.and_then(PresenceStatus::text).map(str::to_owned), since }
    }
}

/// How sure we are who a watcher is (design section 3.7); a later grade is a surer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatcherGrade {
    /// It says so itself: shown as "claims to be".
    Claimed,
    /// The address agrees, and answered us.
    Address,
    /// By digest, a pinned key, or the account's own proxy.
    Verified,
}

/// Where somebody watches us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// It asks us.
    #[default]
    Direct,
    /// It asks our server, which tells us of it.
    Server,
}

/// Somebody who watches us, or wants to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatcherInfo {
    /// Its URI.
    pub who: String,
    /// Where it watches.
    #[serde(default)]
    pub via: Via,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// How sure the URI is.
    pub identity: WatcherGrade,
    /// `pending`, `active`, `polite-block`, `waiting` (it left before anybody decided) or `terminated`.
    pub state: String,
    /// What decided that: a list or a rule of the policy, `default`, or `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When that was decided, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When it came first, as far as is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// When it was there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Seconds until its subscription ends, unless it is refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl WatcherInfo {
    /// Makes one that watches directly, of which no more is known.
    pub fn new(who: &str, identity: WatcherGrade, state: &str) -> Self {
        Self {
            who: who.to_owned(),
            via: Via::Direct,
            display_name: None,
            identity,
            state: state.to_owned(),
            reason: None,
            since: None,
            decided_at: None,
            first_seen: None,
            last_seen: None,
            expires_in: None,
        }
    }

    /// Returns whether it waits for a decision, there or not.
    pub fn waits(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "waiting")
    }
}

/// What makes a [`Layer`] of my status last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// Set until further notice: what shows when all others have ended.
    Base,
    /// For a length of time.
    For,
    /// Until a time of day.
    Until,
    /// While a command runs.
    While,
}

/// One of the statuses that I set: what lies on top is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// What makes it last.
    pub lasts: LayerKind,
    /// Its status.
    pub status: StatusWord,
    /// The text of a custom one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it ends, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One event as a JSON object; fields that are not known are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the line is about.
    pub kind: Kind,
    /// When the line was made.
    pub ts: Timestamp,
    /// Rises by one in a stream.
    pub seq: u64,
    /// The account that it is about: of my own publications and watchers, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The target as it was asked for; absent if the line is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presentity: Option<String>,
    /// What the user calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The status: in every line that tells a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusWord>,
    /// The text of a custom status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the peer's document says open or closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// What the person does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<Activity>,
    /// The note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note_lang: Option<String>,
    /// Notes that were not chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Since when the status is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_from: Option<SinceFrom>,
    /// `fresh`, `stale`, `pending`, `rejected`, `failed` or `unknown`; the reason of a failure is `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessWord>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// Whom the document says it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// The name of the device that speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where the person is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What can be used to reach the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The tuples, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Moods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mood: Vec<String>,
    /// What the surroundings are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place_is: Option<PlaceIs>,
    /// The kind of place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub place_type: Vec<String>,
    /// Media that stay private.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privacy: Vec<String>,
    /// The part of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sphere: Option<String>,
    /// Classes of the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// A picture's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_icon: Option<String>,
    /// Distance from UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_offset: Option<TimeOffset>,
    /// Whether the person uses a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_input: Option<UserInput>,
    /// Name and addresses of the person's card.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub card: BTreeMap<String, String>,
    /// Several persons in one document.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persons_ambiguous: bool,
    /// Elements that are not known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<RawElement>,
    /// The subscription that brought the state, or that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionInfo>,
    /// The status before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The watcher that the line is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watcher: Option<WatcherInfo>,
    /// Of a publication: the statuses that I set, the one that is shown first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Of a publication: how it stands at my server, if I work through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Linked>,
    /// Of a publication: addresses at which others can watch me.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The people on the list, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buddies: Vec<Buddy>,
    /// Words for people: the cause of an error, a warning about a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The peer's document as it came; only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// The word of a [`Freshness`], without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FreshnessWord {
    /// See [`Freshness::Fresh`].
    Fresh,
    /// See [`Freshness::Stale`].
    Stale,
    /// See [`Freshness::Pending`].
    Pending,
    /// See [`Freshness::Rejected`].
    Rejected,
    /// See [`Freshness::Failed`].
    Failed,
    /// See [`Freshness::Unknown`].
    Unknown,
}

impl Layer {
    fn of_hold(hold: &Hold, now: Now) -> Self {
        let kind = match hold.lasts {
            Lasts::For { .. } => LayerKind::For,
            Lasts::Until(_) => LayerKind::Until,
            Lasts::While { .. } => LayerKind::While,
        };
        Self::of(kind, &hold.published, hold.lasts.until(now))
    }

    fn of(lasts: LayerKind, published: &Published, until: Option<Timestamp>) -> Self {
        let text = published.status.text().map(str::to_owned);
        Self { lasts, status: StatusWord::of(Some(&published.status)), text, note: published.note.clone(), until }
    }
}

impl Line {
    /// Makes a line with nothing but its frame.
    pub fn new(kind: Kind, seq: u64, ts: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            kind,
            ts,
            seq,
            account: None,
            presentity: None,
            name: None,
            status: None,
            text: None,
            basic: None,
            activities: Vec::new(),
            note: None,
            note_lang: None,
            notes: Vec::new(),
            since: None,
            since_from: None,
            freshness: None,
            code: None,
            entity: None,
            device: None,
            location: None,
            capabilities: Vec::new(),
            devices: Vec::new(),
            mood: Vec::new(),
            place_is: None,
            place_type: Vec::new(),
            privacy: Vec::new(),
            sphere: None,
            class: Vec::new(),
            status_icon: None,
            time_offset: None,
            user_input: None,
            card: BTreeMap::new(),
            persons_ambiguous: false,
            raw: Vec::new(),
            subscription: None,
            previous: None,
            watcher: None,
            layers: Vec::new(),
            server: None,
            addresses: Vec::new(),
            buddies: Vec::new(),
            message: None,
            document: None,
        }
    }

    /// Makes an `error` line: about a presentity, or about none.
    pub fn error(seq: u64, ts: Timestamp, presentity: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            presentity: presentity.map(str::to_owned),
            message: Some(message.into()),
            ..Self::new(Kind::Error, seq, ts)
        }
    }

    /// Makes a `watcher` line.
    pub fn watcher(seq: u64, ts: Timestamp, watcher: WatcherInfo) -> Self {
        Self { watcher: Some(watcher), ..Self::new(Kind::Watcher, seq, ts) }
    }

    /// Makes a `publication` line of what is shown of us.
    pub fn publication(seq: u64, ts: Timestamp, entity: &str, holds: &Holds, now: Now) -> Self {
        let mut line = Self { presentity: Some(entity.to_owned()), ..Self::new(Kind::Publication, seq, ts) };
        // Whoever publishes nothing shows as offline.
        line.set_status(Some(holds.shown().map_or(&PresenceStatus::Offline, |shown| &shown.status)));
        if let Some(shown) = holds.shown() {
            line.note.clone_from(&shown.note);
            line.note_lang.clone_from(&shown.note_lang);
            line.activities.clone_from(&shown.activities);
            line.since = Some(shown.timestamp);
            line.since_from = Some(SinceFrom::Observed);
        }
        line.layers = holds.holds().map(|hold| Layer::of_hold(hold, now)).collect();
        line.layers.extend(holds.base().map(|base| Layer::of(LayerKind::Base, base, None)));
        line
    }

    /// Makes the line that tells the buddy list.
    pub fn buddies(seq: u64, ts: Timestamp, list: &Buddies) -> Self {
        Self { buddies: list.0.clone(), ..Self::new(Kind::Buddies, seq, ts) }
    }

    /// Sets `status` and `text`.
    pub fn set_status(&mut self, status: Option<&PresenceStatus>) {
        self.status = Some(StatusWord::of(status));
        self.text = status.and_then(PresenceStatus::text).map(str::to_owned);
    }

    /// Sets `freshness` and `code`.
    pub fn set_freshness(&mut self, freshness: Freshness) {
        self.freshness = Some(match freshness {
            Freshness::Fresh => FreshnessWord::Fresh,
            Freshness::Stale => FreshnessWord::Stale,
            Freshness::Pending => FreshnessWord::Pending,
            Freshness::Rejected => FreshnessWord::Rejected,
            Freshness::Failed(_) => FreshnessWord::Failed,
            Freshness::Unknown => FreshnessWord::Unknown,
        });
        self.code = freshness.code();
    }

    /// Returns the freshness with its code.
    pub fn to_freshness(&self) -> Option<Freshness> {
        Some(match self.freshness? {
            FreshnessWord::Fresh => Freshness::Fresh,
            FreshnessWord::Stale => Freshness::Stale,
            FreshnessWord::Pending => Freshness::Pending,
            FreshnessWord::Rejected => Freshness::Rejected,
            FreshnessWord::Failed => Freshness::Failed(self.code?),
            FreshnessWord::Unknown => Freshness::Unknown,
        })
    }

    /// Sets everything that a document says, the status among it.
    pub fn set_info(&mut self, info: &PresenceInfo) {
        self.set_status(info.status.as_ref());
        self.basic = info.basic;
        self.activities.clone_from(&info.activities);
        self.note = info.note.as_ref().map(|note| note.text.clone());
        self.note_lang = info.note.as_ref().and_then(|note| note.lang.clone());
        self.notes.clone_from(&info.notes);
        self.entity = Some(info.entity.clone()).filter(|entity| !entity.is_empty());
        self.device.clone_from(&info.device);
        self.location.clone_from(&info.location);
        self.capabilities.clone_from(&info.capabilities);
        self.devices.clone_from(&info.devices);
        self.mood.clone_from(&info.mood);
        self.place_is.clone_from(&info.place_is);
        self.place_type.clone_from(&info.place_type);
        self.privacy.clone_from(&info.privacy);
        self.sphere.clone_from(&info.sphere);
        self.class.clone_from(&info.class);
        self.status_icon.clone_from(&info.status_icon);
        self.time_offset.clone_from(&info.time_offset);
        self.user_input.clone_from(&info.user_input);
        self.card.clone_from(&info.card);
        self.persons_ambiguous = info.persons_ambiguous;
        self.raw.clone_from(&info.raw);
    }

    /// Returns the state that the line tells, as far as it does: the other way of
    /// [`PresentityState::to_line`](super::PresentityState::to_line). None if it tells no state.
    pub fn to_state(&self) -> Option<super::PresentityState> {
        let status = self.status?;
        let freshness = self.to_freshness().unwrap_or_default();
        let note = self.note.clone().map(|text| Note { text, lang: self.note_lang.clone() });
        let info = PresenceInfo {
            entity: self.entity.clone().unwrap_or_default(),
            status: status.to_status(self.text.as_deref()),
            basic: self.basic,
            activities: self.activities.clone(),
            note,
            notes: self.notes.clone(),
            timestamp: self.since.filter(|_| self.since_from == Some(SinceFrom::Peer)),
            device: self.device.clone(),
            location: self.location.clone(),
            capabilities: self.capabilities.clone(),
            devices: self.devices.clone(),
            mood: self.mood.clone(),
            place_is: self.place_is.clone(),
            place_type: self.place_type.clone(),
            privacy: self.privacy.clone(),
            sphere: self.sphere.clone(),
            class: self.class.clone(),
            status_icon: self.status_icon.clone(),
            time_offset: self.time_offset.clone(),
            user_input: self.user_input.clone(),
            card: self.card.clone(),
            persons_ambiguous: self.persons_ambiguous,
            raw: self.raw.clone(),
        };
        let known = info != PresenceInfo::default();
        Some(super::PresentityState {
            presentity: self.presentity.clone()?,
            name: self.name.clone(),
            info: known.then_some(info),
            freshness,
            since: self.since,
            since_from: self.since_from,
            subscription: self.subscription.clone(),
            previous: self.previous.clone(),
            warning: self.message.clone(),
            document: self.document.as_deref().map(Into::into),
        })
    }

    /// Returns the line as JSON, without a line end; it never contains one.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a line has string keys and finite numbers only")
    }

    /// Reads a line back.
    ///
    /// # Errors
    /// The text is no JSON, or no line of this schema. Fields that are not known are ignored.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}
