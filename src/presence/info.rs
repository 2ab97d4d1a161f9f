//! What is known of a presentity: status, details, devices, and how fresh it is.
//!
//! [`PresenceInfo`] is made by [`pidf::Document::info`](super::pidf::Document::info); the seven-value status in
//! it is a summary, and everything else that the peer wrote stands beside it (conformance MAP-33). Whether it
//! still holds is [`Freshness`].

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::status::{Activity, Basic, PresenceStatus, ShownStatus};

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

/// The priority of a contact, 0 to 1 in thousandths (RFC 3863 §4.1.5); its text and JSON form is `0.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u16);

impl Priority {
    /// Makes a priority of thousandths; `None` beyond 1000.
    pub const fn from_thousandths(thousandths: u16) -> Option<Self> {
        if thousandths <= 1000 { Some(Self(thousandths)) } else { None }
    }

    /// Returns the priority in thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }
}

/// 0.8.
impl Default for Priority {
    fn default() -> Self {
        Self(800)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1000 => f.write_str("1"),
            0 => f.write_str("0"),
            n if n % 100 == 0 => write!(f, "0.{}", n / 100),
            n if n % 10 == 0 => write!(f, "0.{:02}", n / 10),
            n => write!(f, "0.{n:03}"),
        }
    }
}

/// The text is no number between 0 and 1 with at most three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a priority is a number from 0 to 1 with at most three decimals")]
pub struct InvalidPriority;

impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits(decimals) {
            return Err(InvalidPriority);
        }
        let thousandths =
            decimals.bytes().chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let whole = if whole == "1" { 1000 } else { 0 };
        Self::from_thousandths(whole + thousandths).ok_or(InvalidPriority)
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        format!("{value}").parse().map_err(serde::de::Error::custom)
    }
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

/// How sure we are that a state still holds.
///
/// Its text form, in serde too, is the word, and for a failure `failed:CODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Told by the peer, and its subscription is alive.
    Fresh,
    /// There was a state, and it cannot be confirmed now.
    Stale,
    /// The peer has not decided yet whether we may watch.
    Pending,
    /// The peer does not let us watch.
    Rejected,
    /// Watching failed, and this is why.
    Failed(FailureCode),
    /// There never was a state, or its known end has passed.
    #[default]
    Unknown,
}

impl Freshness {
    /// Returns the word without the code: `fresh`, `stale`, `pending`, `rejected`, `failed` or `unknown`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Failed(_) => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Returns why it failed, if it did.
    pub const fn code(self) -> Option<FailureCode> {
        match self {
            Self::Failed(code) => Some(code),
            _ => None,
        }
    }
}

/// `fresh`, `failed (404)`.
impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(code) => f.pad(&format!("failed ({code})")),
            other => f.pad(other.word()),
        }
    }
}

impl Serialize for Freshness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failed(code) => serializer.collect_str(&format_args!("failed:{code}")),
            other => serializer.serialize_str(other.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Freshness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "fresh" => Self::Fresh,
            "stale" => Self::Stale,
            "pending" => Self::Pending,
            "rejected" => Self::Rejected,
            "unknown" => Self::Unknown,
            other => {
                let code = other.strip_prefix("failed:").and_then(|code| code.parse().ok());
                Self::Failed(code.ok_or_else(|| {
                    serde::de::Error::invalid_value(serde::de::Unexpected::Str(other), &"a freshness")
                })?)
            }
        })
    }
}

/// Why watching failed: a SIP answer, or what kept us from getting one.
///
/// In JSON it is a number or one of the words `dns`, `connect`, `timeout`, `untrusted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// The status code of the answer.
    Sip(u16),
    /// The name does not resolve.
    Dns,
    /// No connection, or the network says unreachable.
    Connect,
    /// No answer in time.
    Timeout,
    /// The certificate is not one that we trust.
    Untrusted,
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(code) => code.fmt(f),
            Self::Dns => f.pad("dns"),
            Self::Connect => f.pad("connect"),
            Self::Timeout => f.pad("timeout"),
            Self::Untrusted => f.pad("untrusted"),
        }
    }
}

/// The text is no SIP code and none of the four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure code is a SIP status code or one of dns, connect, timeout, untrusted")]
pub struct InvalidCode;

impl FromStr for FailureCode {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        Ok(match text {
            "dns" => Self::Dns,
            "connect" => Self::Connect,
            "timeout" => Self::Timeout,
            "untrusted" => Self::Untrusted,
            number => Self::Sip(number.parse().ok().filter(|code| (100..700).contains(code)).ok_or(InvalidCode)?),
        })
    }
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sip(code) => serializer.serialize_u16(*code),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(u16),
            Word(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(code) => code.to_string().parse(),
            Wire::Word(word) => word.parse(),
        }
        .map_err(serde::de::Error::custom)
    }
}

/// A status in two JSON fields: `status`, a word, and `text` for a custom one.
pub(super) mod status_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::presence::status::PresenceStatus;

    #[derive(Serialize)]
    struct Out<'a> {
        status: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
    }

    #[derive(Deserialize)]
    struct In {
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        text: Option<String>,
    }

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in crate::presence) fn serialize<S: Serializer>(
        status: &Option<PresenceStatus>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = status.as_ref().and_then(PresenceStatus::text);
        Out { status: status.as_ref().map_or("unknown", PresenceStatus::word), text }.serialize(serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PresenceStatus>, D::Error> {
        let In { status, text } = In::deserialize(deserializer)?;
        Ok(match status.as_deref() {
            None | Some("unknown") => None,
            Some("custom") => Some(PresenceStatus::Custom(text.unwrap_or_default())),
            Some(word) => Some(
                PresenceStatus::from_word(word)
                    .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(word), &"a status"))?,
            ),
        })
    }
}

/// The same for a status that is always known.
pub(super) mod known_status_fields {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::status_fields;
    use crate::presence::status::PresenceStatus;

    pub(in crate::presence) fn serialize<S: Serializer>(
        status: &PresenceStatus,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        status_fields::serialize(&Some(status.clone()), serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PresenceStatus, D::Error> {
        status_fields::deserialize(deserializer)?.ok_or_else(|| D::Error::missing_field("status"))
    }
}

/// A note in two JSON fields: `note`, a string, and `note_lang`.
pub(super) mod note_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Note;

    #[derive(Serialize, Deserialize)]
    struct Fields {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note_lang: Option<String>,
    }

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in crate::presence) fn serialize<S: Serializer>(note: &Option<Note>, serializer: S) -> Result<S::Ok, S::Error> {
        let note = note.as_ref();
        Fields { note: note.map(|note| note.text.clone()), note_lang: note.and_then(|note| note.lang.clone()) }
            .serialize(serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Note>, D::Error> {
        let Fields { note, note_lang } = Fields::deserialize(deserializer)?;
        Ok(note.map(|text| Note { text, lang: note_lang }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_05_a_priority_is_0_to_1_with_at_most_three_decimals() {
        let read = |text: &str| text.parse::<Priority>().ok();
        let mut sorted = [read("0.8"), read("1"), read("0.123"), None];
        sorted.sort();
        assert_eq!(sorted, [None, read("0.123"), read("0.8"), read("1")]);
        for text in ["0.8", "1", "0.123", "0", "0.05", "0.5", "0.55"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(read("1.000"), read("1"));
        for text in ["1.5", "0.1234", "1.001", "", ".5", "2", "-0", "0,5", "+0.1", "0.x"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(Priority::default().to_string(), "0.8");
        let json = serde_json::to_string(&read("0.123")).unwrap();
        assert_eq!(json, "0.123");
        assert_eq!(serde_json::from_str::<Priority>("0.123").ok(), read("0.123"));
        assert_eq!(serde_json::from_str::<Priority>("1").ok(), read("1"));
    }

    #[test]
    fn a_freshness_and_its_code_have_words() {
        for code in [
            FailureCode::Sip(404),
            FailureCode::Dns,
            FailureCode::Connect,
            FailureCode::Timeout,
            FailureCode::Untrusted,
        ] {
            let json = serde_json::to_string(&Freshness::Failed(code)).unwrap();
            assert_eq!(serde_json::from_str::<Freshness>(&json).unwrap(), Freshness::Failed(code));
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(serde_json::from_str::<FailureCode>(&json).unwrap(), code);
        }
        assert_eq!(Freshness::Failed(FailureCode::Sip(404)).to_string(), "failed (404)");
        assert_eq!(serde_json::to_string(&FailureCode::Sip(404)).unwrap(), "404");
        assert_eq!(serde_json::to_string(&Freshness::Stale).unwrap(), r#""stale""#);
        assert!(serde_json::from_str::<Freshness>(r#""failed:9""#).is_err());
        assert_eq!(Freshness::default(), Freshness::Unknown);
    }

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
