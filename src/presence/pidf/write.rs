//! From our status to the one document that we send: strictly (conformance section 11.1).

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::presence::{
    info::Priority,
    status::{Activity, OpenWhen, PresenceStatus},
    text::clean_note,
    xml::{escape_attribute, escape_text, is_ncname},
};

/// What a user publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The status.
    pub status: PresenceStatus,
    /// The user's note; without one the status has its own ("Busy", …), but for Available and Offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The language of that note (RFC 5646), if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note_lang: Option<String>,
    /// Activities after the status's own; Available and Offline are sent without any (conformance MAP-12).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<Activity>,
    /// The part of life that the user is in (RFC 4480 §3.11): `work`, `home`, or a word of the user's own. Rules may
    /// go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sphere: Option<String>,
    /// When this began to be so; written in whole seconds.
    pub timestamp: Timestamp,
    /// What the device is called, if the user wants to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl Published {
    /// Makes a status without note, further activities and device.
    pub fn new(status: PresenceStatus, timestamp: Timestamp) -> Self {
        let activities = Vec::new();
        Self { status, note: None, note_lang: None, activities, sphere: None, timestamp, device: None }
    }

    /// Returns the note that goes out: the user's, else the status's own; cleaned for XML.
    pub fn effective_note(&self) -> Option<String> {
        let own = match &self.status {
            PresenceStatus::Available | PresenceStatus::Offline => "",
            PresenceStatus::Busy => "Busy",
            PresenceStatus::Away => "Away",
            PresenceStatus::DoNotDisturb => "Do not disturb",
            PresenceStatus::InCall => "On the phone",
            PresenceStatus::Custom(text) => text,
        };
        self.user_note().or_else(|| Some(clean_note(own)).filter(|note| !note.is_empty()))
    }

    fn user_note(&self) -> Option<String> {
        self.note.as_deref().map(clean_note).filter(|note| !note.is_empty())
    }
}

/// Whose document it is: what stays the same from one status to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The address of the account: one document for all who watch (conformance PID-12).
    pub entity: String,
    /// Where this device can be reached.
    pub contact: String,
    /// The device's URN, the same for the life of the installation (RFC 4479 §3.4).
    pub device_id: String,
    /// The id of the tuple: an `NCName`.
    pub tuple_id: String,
    /// The id of the person: an `NCName`, another one.
    pub person_id: String,
    /// How much this contact is preferred.
    pub priority: Priority,
}

impl Identity {
    /// Makes an identity with ids that follow from the device's URN, and priority 0.8.
    pub fn new(entity: impl Into<String>, contact: impl Into<String>, device_id: impl Into<String>) -> Self {
        let device_id = device_id.into();
        let (tuple_id, person_id) = ids_for(&device_id);
        Self {
            entity: entity.into(),
            contact: contact.into(),
            device_id,
            tuple_id,
            person_id,
            priority: Priority::default(),
        }
    }

    /// The id of the device element, unlike the other two.
    fn device_element_id(&self) -> String {
        let mut id = format!("d{}", self.tuple_id.get(1..).unwrap_or(""));
        while id == self.tuple_id || id == self.person_id {
            id.push('x');
        }
        id
    }
}

/// Returns the ids of a tuple and a person that follow from a text, such as the URN of a device: `NCName`s
/// (conformance PID-03), the same for the same text, unlike each other.
pub fn ids_for(seed: &str) -> (String, String) {
    (id('t', seed), id('p', seed))
}

fn id(letter: char, seed: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    // FNV-1a, 64 bits: the ids of one document must differ, nothing more.
    let hash = letter
        .to_string()
        .bytes()
        .chain(seed.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let digits = (0..10).map(|n| char::from(ALPHABET[(hash >> (5 * n)) as usize % ALPHABET.len()]));
    std::iter::once(letter).chain(digits).collect()
}

/// Writes the document of a status: the bytes of the blocks `W-S1` … `W-S8`.
///
/// Prefixes, order and the absence of blanks are what deployed watchers search for: see the conformance list.
pub fn write(published: &Published, identity: &Identity, open_when: &OpenWhen) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    // Writing to a string does not fail.
    let _ = document(&mut out, published, identity, *open_when);
    out.into_bytes()
}

/// Writes the document of somebody who is offline and says nothing: what a politely blocked watcher gets, and the
/// same bytes as [`PresenceStatus::Offline`] without a note.
pub fn write_offline(identity: &Identity, timestamp: Timestamp) -> Vec<u8> {
    write(&Published::new(PresenceStatus::Offline, timestamp), identity, &OpenWhen::default())
}

fn document(out: &mut String, published: &Published, identity: &Identity, open_when: OpenWhen) -> fmt::Result {
    let Identity { entity, contact, device_id, tuple_id, person_id, priority } = identity;
    let status = &published.status;
    let note = published.effective_note();
    let lang = published.note_lang.as_deref().filter(|lang| published.user_note().is_some() && is_language(lang));
    let timestamp = Timestamp::from_second(published.timestamp.as_second()).unwrap_or(published.timestamp);
    let activities = activities(published);

    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" ");
    out.push_str("xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" ");
    out.push_str("xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" ");
    write!(out, "entity=\"{}\">\r\n", escape_attribute(entity))?;

    let basic = if open_when.is_open(status) { "open" } else { "closed" };
    write!(out, "<tuple id=\"{}\"><status><basic>{basic}</basic>", escape_attribute(tuple_id))?;
    match status {
        PresenceStatus::Away => out.push_str("<show xmlns=\"jabber:client\">away</show>"),
        PresenceStatus::DoNotDisturb => out.push_str("<show xmlns=\"jabber:client\">dnd</show>"),
        _ => {}
    }
    if !matches!(status, PresenceStatus::Available | PresenceStatus::Offline) {
        write!(out, "<sp:state xmlns:sp=\"tag:sippresence,2026:state\">{}</sp:state>", status.word())?;
    }
    write!(out, "</status><dm:deviceID>{}</dm:deviceID>", escape_text(device_id))?;
    write!(out, "<contact priority=\"{priority}\">{}</contact>", escape_text(contact))?;
    write_note(out, "note", named_beside_note(published, note.as_deref()).as_deref(), None)?;
    write_note(out, "note", note.as_deref(), lang)?;
    write!(out, "<timestamp>{timestamp}</timestamp></tuple>\r\n")?;

    let sphere = published.sphere.as_deref().map(clean_note).filter(|sphere| !sphere.is_empty());
    if !activities.is_empty() || note.is_some() || sphere.is_some() {
        write!(out, "<dm:person id=\"{}\">", escape_attribute(person_id))?;
        write_activities(out, &activities)?;
        match sphere.as_deref() {
            Some(known @ ("home" | "work")) => write!(out, "<rpid:sphere><rpid:{known}/></rpid:sphere>")?,
            Some(own) => write!(out, "<rpid:sphere>{}</rpid:sphere>", escape_text(own))?,
            None => {}
        }
        write_note(out, "dm:note", note.as_deref(), lang)?;
        write!(out, "<dm:timestamp>{timestamp}</dm:timestamp></dm:person>\r\n")?;
    }
    if let Some(device) = published.device.as_deref().map(clean_note).filter(|device| !device.is_empty()) {
        write!(out, "<dm:device id=\"{}\">", escape_attribute(&identity.device_element_id()))?;
        write!(out, "<dm:deviceID>{}</dm:deviceID>", escape_text(device_id))?;
        write_note(out, "dm:note", Some(&device), None)?;
        write!(out, "<dm:timestamp>{timestamp}</dm:timestamp></dm:device>\r\n")?;
    }
    out.push_str("</presence>\r\n");
    Ok(())
}

/// The activities of the status, then the user's, each once.
fn activities(published: &Published) -> Vec<Activity> {
    let mut all = match &published.status {
        // MAP-12: some watchers take any activity as busy.
        PresenceStatus::Available | PresenceStatus::Offline => return Vec::new(),
        PresenceStatus::Busy | PresenceStatus::DoNotDisturb => vec![Activity::Busy],
        PresenceStatus::Away => vec![Activity::Away],
        PresenceStatus::InCall => vec![Activity::OnThePhone, Activity::Busy],
        PresenceStatus::Custom(text) => vec![custom(text, published.activities.is_empty())],
    };
    for activity in &published.activities {
        // `unknown` stands alone, and an element must have a name.
        let writable = match activity {
            Activity::Unknown => false,
            Activity::Foreign { namespace, name } => {
                is_ncname(name) && !namespace.is_empty() && !namespace.starts_with("urn:ietf:params:xml:ns:pidf:rpid")
            }
            _ => true,
        };
        if writable && !all.contains(activity) {
            all.push(activity.clone());
        }
    }
    all
}

/// MAP-07: the RPID name if the text equals one, else `other` with the text.
fn custom(text: &str, alone: bool) -> Activity {
    let text = clean_note(text);
    match Activity::from_name(&text.to_ascii_lowercase()) {
        Some(Activity::Other(_)) | None => Activity::Other(text),
        Some(Activity::Unknown) if !alone => Activity::Other(text),
        Some(named) => named,
    }
}

/// A custom text that is an RPID name is known by a note of the tuple; beside the user's note it needs its own, and
/// stands first, as its case is the text's.
fn named_beside_note(published: &Published, note: Option<&str>) -> Option<String> {
    let PresenceStatus::Custom(text) = &published.status else { return None };
    let text = clean_note(text);
    let by_name = !matches!(custom(&text, published.activities.is_empty()), Activity::Other(_));
    (by_name && note != Some(text.as_str())).then_some(text)
}

fn write_activities(out: &mut String, activities: &[Activity]) -> fmt::Result {
    if activities.is_empty() {
        return Ok(());
    }
    out.push_str("<rpid:activities>");
    for activity in activities {
        match activity {
            Activity::Other(text) => write!(out, "<rpid:other>{}</rpid:other>", escape_text(text))?,
            Activity::Foreign { namespace, name } => {
                write!(out, "<x:{name} xmlns:x=\"{}\"/>", escape_attribute(namespace))?;
            }
            named => write!(out, "<rpid:{}/>", named.name())?,
        }
    }
    out.push_str("</rpid:activities>");
    Ok(())
}

fn write_note(out: &mut String, element: &str, note: Option<&str>, lang: Option<&str>) -> fmt::Result {
    let Some(note) = note else { return Ok(()) };
    match lang {
        Some(lang) => write!(out, "<{element} xml:lang=\"{lang}\">{}</{element}>", escape_text(note)),
        None => write!(out, "<{element}>{}</{element}>", escape_text(note)),
    }
}

pub(super) fn is_language(lang: &str) -> bool {
    (1..=35).contains(&lang.len()) && lang.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
