//! What a person says of themselves: the seven statuses, RPID activities, and the words for both.
//!
//! How they look on the wire is in [`pidf`](super::pidf); here are names, the `open_when` list (conformance
//! MAP-09) and the words of the command line (MAP-36).

mod activity;
mod words;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use activity::{Activity, UnknownActivity};
pub use words::{Chosen, Query, StatusArg, UnknownStatus};
pub(crate) use words::{ReadAs, did_you_mean, most_like, read_as};

/// The status of a presentity, in seven values: a summary that every peer's document is read as.
///
/// Its text form is the word of the command line, and `custom:TEXT` for a custom status; [`Display`](fmt::Display)
/// shows the text alone. Serde uses the text form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PresenceStatus {
    /// Can be reached; sent as *open* without activities.
    Available,
    /// Working on something else; sent with the activity `busy`.
    Busy,
    /// Not at the device; sent with the activity `away`.
    Away,
    /// Wants no calls at all; sent as `busy` with `show` = `dnd`.
    DoNotDisturb,
    /// Cannot be reached; sent as *closed* and nothing more.
    Offline,
    /// On the phone; sent with `on-the-phone` and `busy`.
    InCall,
    /// Any other text; sent as *open* with the activity `other`.
    Custom(String),
}

impl PresenceStatus {
    /// The seven words, in the order of the variants.
    pub const WORDS: [&'static str; 7] = ["available", "busy", "away", "dnd", "offline", "in-call", "custom"];

    /// Returns the word of the command line, the JSON line and the state marker (conformance MAP-08).
    pub fn word(&self) -> &'static str {
        Self::WORDS[self.index()]
    }

    /// Returns the status that one of the first six words names; `custom` alone names none.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "available" => Self::Available,
            "busy" => Self::Busy,
            "away" => Self::Away,
            "dnd" => Self::DoNotDisturb,
            "offline" => Self::Offline,
            "in-call" => Self::InCall,
            _ => return None,
        })
    }

    /// Returns the text of a custom status.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Custom(text) => Some(text),
            _ => None,
        }
    }

    fn index(&self) -> usize {
        match self {
            Self::Available => 0,
            Self::Busy => 1,
            Self::Away => 2,
            Self::DoNotDisturb => 3,
            Self::Offline => 4,
            Self::InCall => 5,
            Self::Custom(_) => 6,
        }
    }
}

/// Shows the word, or the text of a custom status as it came: make it [`visible`](super::text::visible)
/// before it reaches a terminal.
impl fmt::Display for PresenceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().unwrap_or_else(|| self.word()))
    }
}

impl Serialize for PresenceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Custom(text) => serializer.collect_str(&format_args!("custom:{text}")),
            known => serializer.serialize_str(known.word()),
        }
    }
}

impl<'de> Deserialize<'de> for PresenceStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if let Some(text) = word.strip_prefix("custom:") {
            return Ok(Self::Custom(text.to_owned()));
        }
        Self::from_word(&word)
            .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&word), &"a status"))
    }
}

/// A status or the knowledge that there is none, for showing: `None` reads `unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShownStatus(pub Option<PresenceStatus>);

impl fmt::Display for ShownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(status) => status.fmt(f),
            None => f.pad("unknown"),
        }
    }
}

impl PartialEq<PresenceStatus> for ShownStatus {
    fn eq(&self, other: &PresenceStatus) -> bool {
        self.0.as_ref() == Some(other)
    }
}

/// What a document says of reachability in one word (RFC 3863 §4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basic {
    /// Cannot be reached.
    Closed,
    /// Can be reached.
    Open,
}

impl Basic {
    /// Returns `open` or `closed`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Which statuses are sent as *open*: the value of `[publish] open_when` (conformance MAP-09).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenWhen(u8);

impl OpenWhen {
    const OFFLINE: u8 = 4;

    /// Reads the list of words.
    ///
    /// # Errors
    /// A word that is none of the seven, `offline` in the list, or a list without `available`.
    pub fn from_words<I>(words: I) -> Result<Self, OpenWhenError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut open = 0;
        for word in words {
            let word = word.as_ref();
            let Some(index) = PresenceStatus::WORDS.iter().position(|known| *known == word) else {
                let nearest = words::nearest(word, PresenceStatus::WORDS.iter().copied());
                return Err(OpenWhenError::UnknownWord { word: word.to_owned(), nearest });
            };
            if index == usize::from(Self::OFFLINE) {
                return Err(OpenWhenError::Offline);
            }
            open |= 1 << index;
        }
        if open & 1 == 0 {
            return Err(OpenWhenError::WithoutAvailable);
        }
        Ok(Self(open))
    }

    /// Tells whether the status is sent as *open*.
    pub fn is_open(&self, status: &PresenceStatus) -> bool {
        self.0 & (1 << status.index()) != 0
    }

    /// Returns the words of the list, in the order of [`PresenceStatus::WORDS`].
    pub fn words(&self) -> impl Iterator<Item = &'static str> + use<> {
        let open = self.0;
        PresenceStatus::WORDS
            .into_iter()
            .enumerate()
            .filter_map(move |(index, word)| (open & (1 << index) != 0).then_some(word))
    }
}

/// `available`, `in-call` and `custom`.
impl Default for OpenWhen {
    fn default() -> Self {
        Self(0b110_0001)
    }
}

impl Serialize for OpenWhen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for OpenWhen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_words(Vec::<String>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a list is no value of `open_when`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenWhenError {
    /// A word that is none of the seven.
    #[error("unknown status `{word}`{}", words::did_you_mean(nearest.as_deref()))]
    UnknownWord {
        /// The word.
        word: String,
        /// The word that is most like it.
        nearest: Option<String>,
    },
    /// `offline` is in the list.
    #[error("`offline` cannot be sent as open; take it out of the list")]
    Offline,
    /// `available` is not in the list.
    #[error("`available` is always sent as open; add it to the list")]
    WithoutAvailable,
}

impl FromStr for Chosen {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        StatusArg::parse(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_08_the_words_are_those_of_the_command_line() {
        for word in &PresenceStatus::WORDS[..6] {
            assert_eq!(PresenceStatus::from_word(word).unwrap().word(), *word);
        }
        assert_eq!(PresenceStatus::Custom("x y".into()).word(), "custom");
        assert_eq!(PresenceStatus::from_word("custom"), None);
        assert_eq!(PresenceStatus::Custom("x y".into()).to_string(), "x y");
        assert_eq!(format!("{:>4}|{:<8}|", PresenceStatus::DoNotDisturb, ShownStatus(None)), " dnd|unknown |");
    }

    #[test]
    fn map_09_open_when_is_refused_with_an_unknown_word_with_offline_or_without_available() {
        assert_eq!(OpenWhen::from_words(["available", "in-call", "custom"]).unwrap(), OpenWhen::default());
        let unknown = OpenWhen::from_words(["available", "bussy"]).unwrap_err().to_string();
        assert_eq!(unknown, "unknown status `bussy`: did you mean `busy`?");
        let offline = OpenWhen::from_words(["offline"]).unwrap_err();
        assert_eq!(offline, OpenWhenError::Offline);
        assert!(offline.to_string().contains("`offline`"));
        assert_eq!(OpenWhen::from_words(["busy"]), Err(OpenWhenError::WithoutAvailable));
        assert_eq!(OpenWhen::from_words::<[&str; 0]>([]), Err(OpenWhenError::WithoutAvailable));
    }

    #[test]
    fn map_09_open_when_goes_through_configuration() {
        let read: OpenWhen = serde_json::from_str(r#"["available","busy"]"#).unwrap();
        assert!(read.is_open(&PresenceStatus::Busy) && !read.is_open(&PresenceStatus::InCall));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["available","busy"]"#);
        assert!(serde_json::from_str::<OpenWhen>(r#"["offline"]"#).is_err());
        let default = OpenWhen::default();
        assert!(default.is_open(&PresenceStatus::Custom("x".into())) && default.is_open(&PresenceStatus::InCall));
        assert!(!default.is_open(&PresenceStatus::Away) && !default.is_open(&PresenceStatus::Offline));
    }

    #[test]
    fn a_status_survives_serde() {
        for status in [PresenceStatus::DoNotDisturb, PresenceStatus::Custom("custom: x".into())] {
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<PresenceStatus>(&json).unwrap(), status);
        }
        assert_eq!(serde_json::to_string(&PresenceStatus::InCall).unwrap(), r#""in-call""#);
        assert!(serde_json::from_str::<PresenceStatus>(r#""napping""#).is_err());
    }
}
