//! Presence documents: PIDF (RFC 3863) with the data model of RFC 4479.
//!
//! [`Document::parse`] reads what deployed programs send, however sloppy, and keeps what it does not know;
//! [`Document::info`] says what that means, by the decoding table of the conformance list (section 11.2).
//! [`write()`] makes the one document that we publish, byte for byte (section 11.1).

mod decode;
mod entity;
mod legacy;
mod read;
mod serialize;
mod write;

use jiff::Timestamp;

use super::{
    info::{Note, Priority, RawElement},
    rpid::Rich,
    status::Basic,
    xml,
};

pub use entity::entity_matches;
pub use write::{Identity, Published, ids_for, write, write_offline};

/// The Content-Type that we send: exactly this, without parameters (conformance MAP-11).
pub const CONTENT_TYPE: &str = "application/pidf+xml";

/// The older types that are read on request (`interop.legacy`) by [`Document::parse_legacy`], and never offered
/// without it (conformance MAP-34).
pub const LEGACY_CONTENT_TYPES: [&str; 2] = ["application/cpim-pidf+xml", "application/xpidf+xml"];

/// Why a body is no presence document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read as XML.
    #[error("presence document: {0}")]
    Xml(#[from] xml::Error),
    /// Its root is not `presence` of PIDF.
    #[error("presence document: the root is `{name}` in namespace `{namespace}`")]
    NotPresence {
        /// The namespace of the root.
        namespace: String,
        /// Its local name.
        name: String,
    },
}

/// A presence document as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Document {
    /// Whom it is about; empty if it does not say.
    pub entity: String,
    /// The tuples, in document order.
    pub tuples: Vec<Tuple>,
    /// Notes beside the tuples.
    pub notes: Vec<Note>,
    /// The persons, in document order; more than one mean ambiguity.
    pub persons: Vec<Person>,
    /// The devices, in document order.
    pub devices: Vec<DeviceElement>,
    /// Elements that are not known here.
    pub raw: Vec<RawElement>,
}

impl Document {
    /// Puts back the tuples of `held`, the document before in the same subscription, that are younger than their
    /// namesakes here: an overtaken state is not applied (conformance PID-08).
    pub fn keep_younger(&mut self, held: &Self) {
        for tuple in self.tuples.iter_mut().filter(|tuple| tuple.id.is_some() && tuple.timestamp.is_some()) {
            if let Some(younger) =
                held.tuples.iter().find(|held| held.id == tuple.id && held.timestamp > tuple.timestamp)
            {
                tuple.clone_from(younger);
            }
        }
    }
}

/// A tuple (RFC 3863 §4.1.2).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Tuple {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// `basic`, if it is `open` or `closed`.
    pub basic: Option<Basic>,
    /// The state marker (conformance MAP-08).
    pub marker: Option<Marker>,
    /// XMPP's `show`.
    pub show: Option<String>,
    /// Blink's `extended`.
    pub extended: Option<String>,
    /// Linphone's `online`.
    pub online: bool,
    /// Rich details of the tuple and its status.
    pub rich: Rich,
    /// The device that it runs on.
    pub device_id: Option<String>,
    /// Where it is reached.
    pub contact: Option<Contact>,
    /// Its notes.
    pub notes: Vec<Note>,
    /// When it began to be so.
    pub timestamp: Option<Timestamp>,
    /// It has no child element but `status`.
    pub bare: bool,
    /// Elements of `status` that are not known here.
    pub status_raw: Vec<RawElement>,
    /// Elements of the tuple that are not known here.
    pub raw: Vec<RawElement>,
}

impl Tuple {
    /// Tells whether this is how a server says that a publication ended: closed, and everything but `status` gone.
    /// Then nothing else in it counts.
    pub fn is_remainder(&self) -> bool {
        self.bare && self.basic == Some(Basic::Closed)
    }
}

/// A contact (RFC 3863 §4.1.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The URI.
    pub uri: String,
    /// Its priority, if it has a valid one.
    pub priority: Option<Priority>,
}

/// A person (RFC 4479 §3.2).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Person {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// What is said of the person.
    pub rich: Rich,
    /// Its notes.
    pub notes: Vec<Note>,
    /// When it began to be so.
    pub timestamp: Option<Timestamp>,
    /// Elements that are not known here.
    pub raw: Vec<RawElement>,
}

/// A device (RFC 4479 §3.4).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeviceElement {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The URN that tuples name it by.
    pub device_id: Option<String>,
    /// What is said of the device.
    pub rich: Rich,
    /// Its notes.
    pub notes: Vec<Note>,
    /// When it began to be so.
    pub timestamp: Option<Timestamp>,
    /// Elements that are not known here.
    pub raw: Vec<RawElement>,
}

/// The word of a state marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// `available`, not written by us.
    Available,
    /// `busy`.
    Busy,
    /// `away`.
    Away,
    /// `dnd`.
    DoNotDisturb,
    /// `offline`, not written by us.
    Offline,
    /// `in-call`.
    InCall,
    /// `custom`.
    Custom,
}

impl Marker {
    /// Returns the marker of a word; case counts.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "available" => Self::Available,
            "busy" => Self::Busy,
            "away" => Self::Away,
            "dnd" => Self::DoNotDisturb,
            "offline" => Self::Offline,
            "in-call" => Self::InCall,
            "custom" => Self::Custom,
            _ => return None,
        })
    }

    /// Returns the word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Away => "away",
            Self::DoNotDisturb => "dnd",
            Self::Offline => "offline",
            Self::InCall => "in-call",
            Self::Custom => "custom",
        }
    }
}

/// Returns the note that suits a reader of that language: in it, else without a language, else the first.
pub fn choose_note<'a>(notes: &'a [Note], lang: Option<&str>) -> Option<&'a Note> {
    let in_language = |wanted: &str| {
        // RFC 4647 §3.4: a reader of `de-AT` takes `de-AT`, then `de`, then any other `de`.
        let primary = wanted.split('-').next().unwrap_or(wanted);
        let starts = |lang: &str, range: &str| {
            lang.get(..range.len()).is_some_and(|head| head.eq_ignore_ascii_case(range))
                && matches!(lang.as_bytes().get(range.len()), None | Some(b'-'))
        };
        let of = |range: &str| notes.iter().find(|note| note.lang.as_deref().is_some_and(|lang| starts(lang, range)));
        of(wanted).or_else(|| of(primary))
    };
    lang.filter(|lang| !lang.is_empty())
        .and_then(in_language)
        .or_else(|| notes.iter().find(|note| note.lang.is_none()))
        .or_else(|| notes.first())
}

#[cfg(test)]
mod tests;
