//! What is known of a presentity: status, details, devices, and how fresh it is.
//!
//! [`PresenceInfo`] is made by [`pidf::Document::info`](super::pidf::Document::info); the seven-value status in
//! it is a summary, and everything else that the peer wrote stands beside it (conformance MAP-33). Whether it
//! still holds is [`Freshness`].

pub(super) mod fields;
mod freshness;
mod priority;

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use fields::{note_fields, status_fields};

use super::status::{Activity, Basic, PresenceStatus, ShownStatus};

pub use freshness::{FailureCode, Freshness, InvalidCode};
pub use priority::{InvalidPriority, Priority};

/// What a presentity's document says, read for people and scripts.
///
/// All text is as the peer wrote it: make it [`visible`](super::text::visible) before it reaches a terminal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresenceInfo {
    /// Whom the document is about, as it says itself; compare with the target
    /// ([`entity_matches`](super::pidf::entity_matches)) before believing it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entity: String,
    /// The summary; `None` if the document does not say enough. In JSON `status` is always one of the seven words
    /// or `unknown`, and the text of a custom one is `text`.
    #[serde(flatten, with = "status_fields")]
    pub status: Option<PresenceStatus>,
    /// Open if any tuple is open, closed if at least one is closed and none open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// What the person does, each once, in the order in which they count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<Activity>,
    /// The note that speaks for the presentity. In JSON `note` is its text and `note_lang` its language.
    #[serde(flatten, with = "note_fields")]
    pub note: Option<Note>,
    /// The notes that were not chosen, in other languages or places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// When the peer says this began to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The name of the device that speaks for the presentity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where the person is, in one line: a civic address, coordinates, or a kind of place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What can be used to reach the person: `audio`, `video`, `text`, methods (RFC 5196).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The tuples, best first, joined with the devices they name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Moods by name; `other:TEXT` for free text (RFC 4480 §3.5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mood: Vec<String>,
    /// What the surroundings are like (RFC 4480 §3.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place_is: Option<PlaceIs>,
    /// The kind of place, such as `office` (RFC 4480 §3.7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub place_type: Vec<String>,
    /// Which media can be used without being overheard or seen: `audio`, `text`, `video` (RFC 4480 §3.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privacy: Vec<String>,
    /// The part of life: `work`, `home` or another word (RFC 4480 §3.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sphere: Option<String>,
    /// The classes of the person element (RFC 4480 §3.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// A picture; only `http` and `https`, and never fetched without being asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_icon: Option<String>,
    /// The person's distance from UTC (RFC 4480 §3.13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_offset: Option<TimeOffset>,
    /// Whether the person uses a device (RFC 4480 §3.14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_input: Option<UserInput>,
    /// Name and addresses from the person's card, by element name: `display-name`, `homepage`, `card`, `icon`,
    /// `map`, `sound` (RFC 4482). Nothing of it is fetched without being asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub card: BTreeMap<String, String>,
    /// The document has several persons: they are read as one that is ambiguous, not as several people
    /// (RFC 4479 §3.5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub persons_ambiguous: bool,
    /// Elements that are not known here, with all their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<RawElement>,
}

impl PresenceInfo {
    /// Returns the status for showing, `unknown` if there is none.
    pub fn shown_status(&self) -> ShownStatus {
        ShownStatus(self.status.clone())
    }

    /// Returns one of the seven words, or `unknown`.
    pub fn status_word(&self) -> &'static str {
        self.status.as_ref().map_or("unknown", PresenceStatus::word)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A note and its language, if the peer named it (RFC 3863 §4.1.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Note {
    /// The text, without blanks around it.
    pub text: String,
    /// Its `xml:lang`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
}

/// One way to reach the person: a tuple, and the device element that it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// The id of the tuple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the device is called: the note of its device element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The URN of the device (RFC 4479 §3.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where it can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// How much this contact is preferred; none is less than any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whether it can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// What the tuple's own state marker says, as a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// XMPP's `show`: `away`, `chat`, `dnd`, `xa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
    /// Blink's `extended`: `available`, `away`, `busy`, `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<String>,
    /// The tuple's note.
    #[serde(flatten, with = "note_fields")]
    pub note: Option<Note>,
    /// When the tuple began to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// What can be used there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether somebody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_input: Option<UserInput>,
    /// Who answers there (RFC 4480 §3.9): `self`, `assistant`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<String>,
    /// The kinds of service (RFC 4480 §3.10): `electronic`, `postal`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_class: Vec<String>,
    /// The classes of the tuple (RFC 4480 §3.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// Elements of the tuple and its device that are not known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<RawElement>,
}

/// What the surroundings are like, a word for each medium (RFC 4480 §3.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlaceIs {
    /// `noisy`, `ok`, `quiet` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// `toobright`, `ok`, `dark` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// `uncomfortable`, `inappropriate`, `ok` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How far the person's clock is from UTC (RFC 4480 §3.13).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeOffset {
    /// Minutes east of UTC.
    pub minutes: i32,
    /// What the peer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `UTC-05:00`.
impl fmt::Display for TimeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.minutes.unsigned_abs();
        let sign = if self.minutes < 0 { '-' } else { '+' };
        write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Whether somebody uses the device (RFC 4480 §3.14).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserInput {
    /// False if idle.
    pub active: bool,
    /// Seconds without input after which the peer says idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_threshold: Option<u64>,
    /// When the last input was, if the peer tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_input: Option<Timestamp>,
}

/// An element that is not known here, kept whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawElement {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its local name.
    pub name: String,
    /// Its attributes: by name, `xml:NAME`, or `{NAMESPACE}NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The text directly in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The elements in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_survives_json_and_omits_what_is_not_known() {
        let empty = PresenceInfo::default();
        assert_eq!(serde_json::to_string(&empty).unwrap(), r#"{"status":"unknown"}"#);
        let info = PresenceInfo {
            entity: "sip:bob@192.0.2.20".into(),
            status: Some(PresenceStatus::Custom("Tea".into())),
            note: Some(Note { text: "ja".into(), lang: Some("de".into()) }),
            devices: vec![Device { id: Some("t1".into()), priority: Some(Priority::default()), ..Device::default() }],
            persons_ambiguous: true,
            ..PresenceInfo::default()
        };
        let json = serde_json::to_string(&info).unwrap();
        assert_eq!(
            json,
            r#"{"entity":"sip:bob@192.0.2.20","status":"custom","text":"Tea","note":"ja","note_lang":"de","devices":[{"id":"t1","priority":0.8}],"persons_ambiguous":true}"#
        );
        assert_eq!(serde_json::from_str::<PresenceInfo>(&json).unwrap(), info);
    }

    #[test]
    fn rpi_11_a_time_offset_reads_as_a_distance_from_utc() {
        let shown = |minutes| TimeOffset { minutes, description: None }.to_string();
        assert_eq!((shown(-300), shown(60), shown(345)), ("UTC-05:00".into(), "UTC+01:00".into(), "UTC+05:45".into()));
    }
}
