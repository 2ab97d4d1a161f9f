//! What a server shows of me beside what I publish: field by field, and what there is of other devices.
//!
//! Both documents are read by the same rules, so a difference is one that a watcher sees too.

use jiff::Timestamp;

use super::output::clock;
use crate::{
    client::{Line, OpenWhen, PresenceStatus, PresentityState, Published, text},
    presence::{
        PresenceInfo,
        info::Device,
        pidf::{self, Document, Identity},
        status::Basic,
    },
};

/// One field that a watcher sees otherwise than I publish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) field: &'static str,
    pub(super) ours: String,
    pub(super) theirs: String,
}

impl Difference {
    /// Says it in words, safe to print.
    pub(super) fn words(&self) -> String {
        let Self { field, ours, theirs } = self;
        text::visible(&format!("{field}: you publish {ours}, the server shows {theirs}"))
    }
}

/// A field, and how what it says is told.
type Field = (&'static str, fn(&PresenceInfo) -> String);

/// What is compared.
const FIELDS: [Field; 4] = [("status", status), ("open or closed", basic), ("activities", activities), ("note", note)];

/// What came of comparing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// Tuples that are not of this device.
    pub(super) elsewhere: Vec<Device>,
}

/// Returns what an agent's line says that I publish; nothing where nothing is kept at a server for it.
pub(super) fn published(line: &Line) -> Option<Published> {
    let status = line.status?.to_status(line.text.as_deref()).filter(|status| *status != PresenceStatus::Offline)?;
    let mut published = Published::new(status, line.since.unwrap_or_default());
    published.note.clone_from(&line.note);
    published.note_lang.clone_from(&line.note_lang);
    published.activities.clone_from(&line.activities);
    Some(published)
}

/// Compares what is published by the device of this URN with what a server shows.
pub(super) fn compare(
    published: Option<&Published>,
    device: Option<&str>,
    open_when: OpenWhen,
    shown: &PresentityState,
) -> Compared {
    let none = PresenceInfo::default();
    let theirs = shown.info.as_ref().unwrap_or(&none);
    let identity = Identity::new("", "", device.unwrap_or_default());
    let is_ours = |tuple: &&Device| {
        tuple.id.as_deref() == Some(&identity.tuple_id) || device.is_some() && tuple.device_id.as_deref() == device
    };
    // How a server says that nothing is published is nobody's device.
    let is_one = |tuple: &&Device| {
        tuple.basic != Some(Basic::Closed)
            || tuple.contact.is_some()
            || tuple.note.is_some()
            || tuple.name.is_some()
            || tuple.device_id.is_some()
    };
    let elsewhere: Vec<Device> = match device {
        Some(_) => theirs.devices.iter().filter(|tuple| !is_ours(tuple) && is_one(tuple)).cloned().collect(),
        None => Vec::new(),
    };
    let mut differences = Vec::new();
    match published {
        // A server may go on to say that what was taken back is closed.
        None if theirs.basic != Some(Basic::Open) && theirs.activities.is_empty() => {}
        None => differences.push(Difference { field: "status", ours: "nothing".into(), theirs: status(theirs) }),
        Some(published) => {
            let document = pidf::write(published, &identity, &open_when);
            let ours = Document::parse(&document, None).map(|document| document.info_at(None, Timestamp::now()));
            let ours = ours.unwrap_or_default();
            differences.extend(FIELDS.into_iter().filter_map(|(field, of)| {
                let (ours, theirs) = (of(&ours), of(theirs));
                (ours != theirs).then_some(Difference { field, ours, theirs })
            }));
            let there = theirs.devices.iter().any(|tuple| is_ours(&tuple));
            if device.is_some() && !there && !theirs.devices.is_empty() {
                let (ours, theirs) = (identity.tuple_id.clone(), "none of that name".to_owned());
                differences.push(Difference { field: "tuple", ours, theirs });
            }
        }
    }
    Compared { differences, elsewhere }
}

/// Names a tuple of another device and what it says, safe to print.
pub(super) fn tuple(tuple: &Device) -> String {
    let name = tuple.name.as_ref().or(tuple.device_id.as_ref()).map(|name| format!(" of {name}")).unwrap_or_default();
    let id = tuple.id.as_deref().unwrap_or("without a name");
    let says = tuple.basic.map_or("neither open nor closed", basic_word);
    let note = tuple.note.as_ref().map(|note| format!(", {}", note.text)).unwrap_or_default();
    let since = tuple.timestamp.map(|at| format!(", since {}", clock(at, "%H:%M"))).unwrap_or_default();
    text::visible(&format!("{id}{name}: {says}{note}{since}"))
}

fn status(info: &PresenceInfo) -> String {
    match (&info.status, info.basic) {
        (None, None) => "nothing".to_owned(),
        _ => info.shown_status().to_string(),
    }
}

fn basic(info: &PresenceInfo) -> String {
    info.basic.map_or("neither", basic_word).to_owned()
}

fn basic_word(basic: Basic) -> &'static str {
    match basic {
        Basic::Open => "open",
        Basic::Closed => "closed",
    }
}

fn activities(info: &PresenceInfo) -> String {
    let words: Vec<&str> = info.activities.iter().map(crate::client::Activity::words).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn note(info: &PresenceInfo) -> String {
    info.note.as_ref().map_or_else(|| "none".to_owned(), |note| format!("{:?}", note.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10";

    fn busy() -> Published {
        let at = "2026-03-02T09:15:00Z".parse().unwrap();
        Published { note: Some("meeting".into()), ..Published::new(PresenceStatus::Busy, at) }
    }

    fn shown(published: &Published, device: &str) -> PresentityState {
        let identity = Identity::new("sip:alice@example.com", "sip:alice@192.0.2.10", device);
        let document = pidf::write(published, &identity, &OpenWhen::default());
        let info = Document::parse(&document, None).unwrap().info(None);
        PresentityState { info: Some(info), ..PresentityState::new("alice") }
    }

    fn words(compared: &Compared) -> Vec<String> {
        compared.differences.iter().map(Difference::words).collect()
    }

    #[test]
    fn what_is_published_agrees_with_itself() {
        let compared = compare(Some(&busy()), Some(DEVICE), OpenWhen::default(), &shown(&busy(), DEVICE));
        assert_eq!(compared, Compared::default());
        let nothing = compare(None, Some(DEVICE), OpenWhen::default(), &PresentityState::new("alice"));
        assert_eq!(nothing, Compared::default());
    }

    #[test]
    fn each_field_that_differs_is_told_in_words_without_controls() {
        let mut other = Published::new(PresenceStatus::Available, busy().timestamp);
        other.note = Some("\u{202e}tea".into());
        let compared = compare(Some(&busy()), Some(DEVICE), OpenWhen::default(), &shown(&other, DEVICE));
        assert_eq!(
            words(&compared),
            [
                "status: you publish busy, the server shows available",
                "open or closed: you publish closed, the server shows open",
                "activities: you publish busy, the server shows none",
                "note: you publish \"meeting\", the server shows \"\\u{202e}tea\"",
            ]
        );
    }

    #[test]
    fn a_tuple_of_another_device_is_left_over_elsewhere_and_a_missing_one_of_ours_is_a_difference() {
        let other = shown(&busy(), "urn:uuid:1c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10");
        let compared = compare(Some(&busy()), Some(DEVICE), OpenWhen::default(), &other);
        assert_eq!(compared.elsewhere.len(), 1);
        assert!(words(&compared)[0].ends_with("the server shows none of that name"), "{compared:?}");
        assert!(tuple(&compared.elsewhere[0]).contains(" of urn:uuid:1c9d6b1e"), "{compared:?}");
        let compared = compare(None, Some(DEVICE), OpenWhen::default(), &other);
        assert_eq!(words(&compared), ["status: you publish nothing, the server shows busy"]);
    }
}
