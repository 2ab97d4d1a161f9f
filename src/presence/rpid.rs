//! Rich presence (RFC 4480) and its kin: what may stand in a person, a tuple's status or a device.
//!
//! Reads RPID, the drafts before it that are still deployed, contact information (RFC 4482) and capabilities
//! (RFC 5196). What the details mean for the status is decided in [`pidf`](super::pidf).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    info::{Note, PlaceIs, RawElement, TimeOffset, UserInput},
    status::Activity,
    text::trimmed,
    xml::{Element, Ns},
};

/// The moods of RFC 4480 §3.5, without `other` and `unknown`.
pub const MOODS: [&str; 59] = [
    "afraid",
    "amazed",
    "angry",
    "annoyed",
    "anxious",
    "ashamed",
    "bored",
    "brave",
    "calm",
    "cold",
    "confused",
    "contented",
    "cranky",
    "curious",
    "depressed",
    "disappointed",
    "disgusted",
    "distracted",
    "embarrassed",
    "excited",
    "flirtatious",
    "frustrated",
    "grumpy",
    "guilty",
    "happy",
    "hot",
    "humbled",
    "humiliated",
    "hungry",
    "hurt",
    "impressed",
    "in_awe",
    "in_love",
    "indignant",
    "interested",
    "invincible",
    "jealous",
    "lonely",
    "mean",
    "moody",
    "nervous",
    "neutral",
    "offended",
    "playful",
    "proud",
    "relieved",
    "remorseful",
    "restless",
    "sad",
    "sarcastic",
    "serious",
    "shocked",
    "shy",
    "sick",
    "sleepy",
    "stressed",
    "surprised",
    "thirsty",
    "worried",
];

/// The rich details of a person, a tuple or a device.
///
/// Lists of names hold the local name of each element, `other:TEXT` for free text, `{NAMESPACE}NAME` for a name
/// of another namespace.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rich {
    /// What the person does (§3.2), in document order.
    pub activities: Vec<Activity>,
    /// The notes of the activities.
    pub activity_notes: Vec<Note>,
    /// Class tokens (§3.3).
    pub class: Vec<String>,
    /// Moods (§3.5).
    pub mood: Vec<String>,
    /// The notes of the moods.
    pub mood_notes: Vec<Note>,
    /// What the place is like (§3.6).
    pub place_is: Option<PlaceIs>,
    /// Kinds of place (§3.7).
    pub place_type: Vec<String>,
    /// Media that stay private (§3.8).
    pub privacy: Vec<String>,
    /// Who answers (§3.9).
    pub relationship: Option<String>,
    /// Kinds of service (§3.10).
    pub service_class: Vec<String>,
    /// The part of life (§3.11).
    pub sphere: Option<String>,
    /// A picture's address, whatever its scheme (§3.12).
    pub status_icon: Option<String>,
    /// Distance from UTC (§3.13).
    pub time_offset: Option<TimeOffset>,
    /// Whether somebody uses a device (§3.14).
    pub user_input: Option<UserInput>,
    /// Contact information by element name (RFC 4482 §3).
    pub card: BTreeMap<String, String>,
    /// Media and methods that can be used (RFC 5196).
    pub capabilities: Vec<String>,
    /// When the elements named here hold; those not named always do (§3.1).
    pub windows: Vec<Window>,
}

/// The time for which an element holds: its attributes `from` and `until` (RFC 4480 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which element.
    pub of: Windowed,
    /// From when on; always, if absent.
    pub from: Option<Timestamp>,
    /// Until when; for ever, if absent.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Tells whether the instant lies in the window; its end does not.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// The elements that a window may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Windowed {
    /// `activities`.
    Activities,
    /// `mood`.
    Mood,
    /// `place-is`.
    PlaceIs,
    /// `place-type`.
    PlaceType,
    /// `privacy`.
    Privacy,
    /// `sphere`.
    Sphere,
}

impl Rich {
    /// Tells whether the element holds at that time.
    pub fn holds(&self, element: Windowed, now: Timestamp) -> bool {
        self.windows.iter().filter(|window| window.of == element).all(|window| window.contains(now))
    }

    /// Takes out what does not hold at that time.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let over = |of| !self.holds(of, now);
        let all = [
            Windowed::Activities,
            Windowed::Mood,
            Windowed::PlaceIs,
            Windowed::PlaceType,
            Windowed::Privacy,
            Windowed::Sphere,
        ];
        for of in all.into_iter().filter(|of| over(*of)).collect::<Vec<_>>() {
            match of {
                Windowed::Activities => {
                    self.activities.clear();
                    self.activity_notes.clear();
                }
                Windowed::Mood => {
                    self.mood.clear();
                    self.mood_notes.clear();
                }
                Windowed::PlaceIs => self.place_is = None,
                Windowed::PlaceType => self.place_type.clear(),
                Windowed::Privacy => self.privacy.clear(),
                Windowed::Sphere => self.sphere = None,
            }
            self.windows.retain(|window| window.of != of);
        }
    }

    /// Reads the element if it is one of those known here, and tells whether it was.
    pub(super) fn read(&mut self, element: Element<'_>) -> bool {
        match element.ns() {
            ns if is_rpid(ns) => self.read_rpid(element),
            Ns::CIPID => {
                let known = matches!(element.name(), "card" | "display-name" | "homepage" | "icon" | "map" | "sound");
                if let Some(value) = trimmed(element.text()).filter(|_| known) {
                    self.card.entry(element.name().to_owned()).or_insert(value);
                }
                known
            }
            Ns::CAPS | Ns::CAPS_OLD if matches!(element.name(), "servcaps" | "devcaps") => {
                read_capabilities(element, &mut self.capabilities);
                // Its details are kept too: see the caller.
                false
            }
            _ => false,
        }
    }

    fn read_rpid(&mut self, element: Element<'_>) -> bool {
        let windowed = match element.name() {
            "activities" => {
                self.read_activities(element);
                Some(Windowed::Activities)
            }
            "mood" => {
                labels(element, &mut self.mood, &mut self.mood_notes);
                Some(Windowed::Mood)
            }
            "place-is" => {
                let word = |medium| {
                    let medium = element.children().find(|child| is_rpid(child.ns()) && child.name() == medium)?;
                    medium.children().next().map(|word| word.name().to_owned())
                };
                self.place_is = Some(PlaceIs { audio: word("audio"), video: word("video"), text: word("text") });
                Some(Windowed::PlaceIs)
            }
            "place-type" => {
                labels(element, &mut self.place_type, &mut Vec::new());
                Some(Windowed::PlaceType)
            }
            "privacy" => {
                labels(element, &mut self.privacy, &mut Vec::new());
                Some(Windowed::Privacy)
            }
            "sphere" => {
                let named = element.children().next().map(label);
                self.sphere = named.or_else(|| trimmed(element.text()));
                Some(Windowed::Sphere)
            }
            "class" => {
                self.class.extend(trimmed(element.text()));
                None
            }
            "relationship" => {
                self.relationship = element.children().find(|child| child.name() != "note").map(label);
                None
            }
            "service-class" => {
                labels(element, &mut self.service_class, &mut Vec::new());
                None
            }
            "status-icon" => {
                self.status_icon = trimmed(element.text());
                None
            }
            "time-offset" => {
                // Blink writes it in a namespace of its own.
                let mut attributes = element.attributes();
                let description = attributes.find(|(name, _)| *name == "description" || name.ends_with(":description"));
                let description = description.map(|(_, value)| value.to_owned());
                let minutes = element.text().trim().parse().ok();
                self.time_offset = minutes.map(|minutes| TimeOffset { minutes, description });
                None
            }
            "user-input" => {
                let active = match element.text().trim() {
                    "active" => true,
                    "idle" => false,
                    _ => return true,
                };
                self.user_input = Some(UserInput {
                    active,
                    idle_threshold: element.attribute("idle-threshold").and_then(|seconds| seconds.trim().parse().ok()),
                    last_input: element.attribute("last-input").and_then(read_timestamp),
                });
                None
            }
            _ => return false,
        };
        let instant = |name| element.attribute(name).and_then(read_timestamp);
        if let (Some(of), (from, until)) = (windowed, (instant("from"), instant("until")))
            && (from.is_some() || until.is_some())
        {
            self.windows.push(Window { of, from, until });
        }
        true
    }

    fn read_activities(&mut self, activities: Element<'_>) {
        for child in activities.children() {
            if child.name() == "note" && (is_rpid(child.ns()) || child.ns() == Ns::PIDF) {
                self.activity_notes.extend(read_note(child));
            } else {
                self.activities.extend(read_activity(child));
            }
        }
    }
}

/// Tells whether activities of this namespace are read: RPID, its drafts, Cisco's.
pub(super) fn is_rpid(ns: Ns) -> bool {
    matches!(ns, Ns::RPID | Ns::RPID_STATUS | Ns::RPID_PERSON | Ns::RPID_STATUS_OLD | Ns::CISCO_RPID)
}

fn read_activity(element: Element<'_>) -> Option<Activity> {
    if is_rpid(element.ns()) {
        let known = match element.name() {
            "other" => Some(Activity::Other(trimmed(element.text()).unwrap_or_default())),
            // The form of the drafts: a name as text, or any text.
            "activity" => {
                let text = trimmed(element.text())?;
                Some(Activity::from_name(&text).unwrap_or(Activity::Other(text)))
            }
            name => Activity::from_name(name),
        };
        if known.is_some() {
            return known;
        }
    }
    Some(Activity::Foreign { namespace: element.namespace().to_owned(), name: element.name().to_owned() })
}

fn labels(element: Element<'_>, labels: &mut Vec<String>, notes: &mut Vec<Note>) {
    for child in element.children() {
        if child.name() == "note" && is_rpid(child.ns()) {
            notes.extend(read_note(child));
        } else {
            labels.push(label(child));
        }
    }
}

fn label(element: Element<'_>) -> String {
    if !is_rpid(element.ns()) && element.ns() != Ns::LOCATION_TYPE {
        return format!("{{{}}}{}", element.namespace(), element.name());
    }
    match (element.name(), trimmed(element.text())) {
        ("other", Some(text)) => format!("other:{text}"),
        (name, _) => name.to_owned(),
    }
}

/// Lists what is said to be supported: boolean elements that are true, and names in lists such as `methods`.
fn read_capabilities(element: Element<'_>, capabilities: &mut Vec<String>) {
    for child in element.children() {
        let name = child.name();
        if child.text().trim().eq_ignore_ascii_case("true") {
            push_once(capabilities, name.to_owned());
        }
        // `methods`, `schemes`, `languages` and their like: RFC 5196 §3.2.
        for supported in child.children().filter(|list| list.name() == "supported") {
            for each in supported.children() {
                let value = if matches!(each.name(), "s" | "l") { trimmed(each.text()) } else { None };
                push_once(capabilities, value.unwrap_or_else(|| each.name().to_owned()));
            }
        }
    }
}

pub(super) fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Reads a note; none if it is blank.
pub(super) fn read_note(element: Element<'_>) -> Option<Note> {
    let text = trimmed(element.text())?;
    Some(Note {
        text,
        lang: element.attribute("xml:lang").map(str::trim).filter(|lang| !lang.is_empty()).map(str::to_owned),
    })
}

/// Reads an RFC 3339 time; one without offset, which some devices write, is taken as UTC.
pub(super) fn read_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(local).ok()
    })
}

/// Keeps an element with all its content.
pub(super) fn keep(element: Element<'_>) -> RawElement {
    RawElement {
        namespace: element.namespace().to_owned(),
        name: element.name().to_owned(),
        attributes: element.attributes_expanded().map(|(key, value)| (key.into_owned(), value.to_owned())).collect(),
        text: trimmed(element.text()).unwrap_or_default(),
        children: element.children().map(keep).collect(),
    }
}
