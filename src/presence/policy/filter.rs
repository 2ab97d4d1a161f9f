//! Taking out of a document what a watcher does not see (RFC 5025 §3.3).
//!
//! What stays of a service in any case is whether and where it can be reached, and since when.

use super::{
    canonical,
    shown::{Detail, Pick, Select, Shown, UserInputShown},
};
use crate::presence::{
    info::RawElement,
    pidf::{DeviceElement, Document, Person, Tuple},
    rpid::{Rich, Windowed},
    xml::Ns,
};

/// Takes out what is not shown.
#[must_use]
pub fn filter(mut document: Document, shown: &Shown) -> Document {
    if shown.is_all() {
        return document;
    }
    document.tuples.retain(|tuple| is_picked(&shown.services, &Part::of_service(tuple)));
    document.persons.retain(|person| {
        is_picked(&shown.persons, &Part { id: person.id.as_deref(), class: &person.rich.class, ..Part::default() })
    });
    document.devices.retain(|device| is_picked(&shown.devices, &Part::of_device(device)));
    document.tuples.iter_mut().for_each(|tuple| strip_tuple(tuple, shown));
    for person in &mut document.persons {
        strip(&mut person.rich, shown);
        strip_notes(&mut person.notes, shown);
        strip_elements(&mut person.raw, shown);
    }
    document.persons.retain(says_something);
    for device in &mut document.devices {
        strip(&mut device.rich, shown);
        strip_notes(&mut device.notes, shown);
        strip_elements(&mut device.raw, shown);
    }
    strip_notes(&mut document.notes, shown);
    strip_elements(&mut document.raw, shown);
    document
}

/// What a part can be picked by.
#[derive(Clone, Copy, Default)]
struct Part<'a> {
    id: Option<&'a str>,
    class: &'a [String],
    uri: Option<&'a str>,
    device: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn of_service(tuple: &'a Tuple) -> Self {
        let uri = tuple.contact.as_ref().map(|contact| contact.uri.as_str());
        Self { id: tuple.id.as_deref(), class: &tuple.rich.class, uri, device: None }
    }

    fn of_device(device: &'a DeviceElement) -> Self {
        Self { id: device.id.as_deref(), class: &device.rich.class, uri: None, device: device.device_id.as_deref() }
    }
}

fn is_picked(select: &Select, part: &Part<'_>) -> bool {
    let Select::Only(picks) = select else { return true };
    picks.iter().any(|pick| match pick {
        Pick::Class(class) => part.class.iter().any(|own| **own == **class),
        Pick::Occurrence(id) => part.id == Some(id),
        Pick::Uri(uri) => part.uri.is_some_and(|own| *own == **uri || canonical(own) == canonical(uri)),
        Pick::Scheme(scheme) => {
            part.uri.and_then(|own| own.split_once(':')).is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
        }
        Pick::Device(urn) => part.device == Some(urn),
    })
}

fn strip_tuple(tuple: &mut Tuple, shown: &Shown) {
    strip(&mut tuple.rich, shown);
    if !shown.has(Detail::Status) {
        // POL-13: the marker goes with the activities, and so does what others write in its place.
        tuple.marker = None;
        tuple.show = None;
        tuple.extended = None;
        tuple.online = false;
    }
    if !shown.has(Detail::DeviceId) {
        tuple.device_id = None;
    }
    strip_notes(&mut tuple.notes, shown);
    strip_elements(&mut tuple.status_raw, shown);
    strip_elements(&mut tuple.raw, shown);
}

fn strip(rich: &mut Rich, shown: &Shown) {
    let has = |detail| shown.has(detail);
    if !has(Detail::Activities) {
        // The first is the one that goes with the status.
        rich.activities.truncate(usize::from(has(Detail::Status)));
    }
    if !(has(Detail::Activities) && has(Detail::Note)) {
        rich.activity_notes.clear();
    }
    if !has(Detail::Class) {
        rich.class.clear();
    }
    if !has(Detail::Mood) {
        rich.mood.clear();
    }
    if !(has(Detail::Mood) && has(Detail::Note)) {
        rich.mood_notes.clear();
    }
    rich.place_is.take_if(|_| !has(Detail::PlaceIs));
    if !has(Detail::PlaceType) {
        rich.place_type.clear();
    }
    if !has(Detail::Privacy) {
        rich.privacy.clear();
    }
    rich.relationship.take_if(|_| !has(Detail::Relationship));
    rich.sphere.take_if(|_| !has(Detail::Sphere));
    rich.status_icon.take_if(|_| !has(Detail::StatusIcon));
    rich.time_offset.take_if(|_| !has(Detail::TimeOffset));
    rich.user_input = rich.user_input.take().filter(|_| shown.user_input() > UserInputShown::Nothing);
    if let Some(input) = &mut rich.user_input {
        input.idle_threshold.take_if(|_| shown.user_input() < UserInputShown::Thresholds);
        input.last_input.take_if(|_| shown.user_input() < UserInputShown::Full);
    }
    if !shown.has_element(Ns::RPID.uri(), "service-class") {
        rich.service_class.clear();
    }
    rich.card.retain(|name, _| shown.has_element(Ns::CIPID.uri(), name));
    let caps = [Ns::CAPS.uri(), Ns::CAPS_OLD.uri()];
    if !caps.iter().any(|ns| shown.has_element(ns, "servcaps") || shown.has_element(ns, "devcaps")) {
        rich.capabilities.clear();
    }
    rich.windows.retain(|window| {
        has(match window.of {
            Windowed::Activities => Detail::Status,
            Windowed::Mood => Detail::Mood,
            Windowed::PlaceIs => Detail::PlaceIs,
            Windowed::PlaceType => Detail::PlaceType,
            Windowed::Privacy => Detail::Privacy,
            Windowed::Sphere => Detail::Sphere,
        })
    });
}

fn strip_notes<T>(notes: &mut Vec<T>, shown: &Shown) {
    if !shown.has(Detail::Note) {
        notes.clear();
    }
}

fn strip_elements(elements: &mut Vec<RawElement>, shown: &Shown) {
    elements.retain(|element| shown.has_element(&element.namespace, &element.name));
}

/// A person of whom nothing is left is none.
fn says_something(person: &Person) -> bool {
    person.rich != Rich::default() || !person.notes.is_empty() || !person.raw.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"<?xml version="1.0"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
 xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@h">
<tuple id="t1"><status><basic>open</basic><sp:state xmlns:sp="tag:sippresence,2026:state">busy</sp:state></status>
<rpid:class>work</rpid:class><rpid:privacy><rpid:audio/></rpid:privacy><rpid:relationship><rpid:self/></rpid:relationship>
<rpid:status-icon>http://h/i.png</rpid:status-icon><rpid:user-input idle-threshold="60" last-input="2026-11-26T08:00:00Z">idle</rpid:user-input>
<foo xmlns="urn:x">1</foo><dm:deviceID>urn:uuid:1</dm:deviceID><contact>sip:alice@192.0.2.1</contact><note>in a meeting</note>
<timestamp>2026-11-26T08:00:00Z</timestamp></tuple>
<tuple id="t2"><status><basic>closed</basic></status><contact>tel:+431</contact></tuple>
<note>everywhere</note>
<dm:person id="p1"><rpid:activities><rpid:note>with the board</rpid:note><rpid:busy/><rpid:meeting/></rpid:activities>
<rpid:mood><rpid:happy/></rpid:mood><rpid:place-is><rpid:audio><rpid:quiet/></rpid:audio></rpid:place-is>
<rpid:sphere><rpid:work/></rpid:sphere><rpid:time-offset>60</rpid:time-offset><dm:note>person's</dm:note></dm:person>
<dm:device id="d1"><dm:deviceID>urn:uuid:1</dm:deviceID><dm:note>desk</dm:note></dm:device></presence>"#;

    fn seen(shown: &Shown) -> String {
        let document = Document::parse(FULL.as_bytes(), None).unwrap();
        String::from_utf8(filter(document, shown).to_bytes()).unwrap()
    }

    fn by(words: &[&str]) -> String {
        seen(&Shown::of_words(words.iter().copied()).unwrap())
    }

    /// Each detail with what of the document it alone brings in.
    const DETAILS: &[(Detail, &[&str])] = &[
        (Detail::Activities, &["<rpid:busy/>", "<rpid:meeting/>", "sp:state"]),
        (Detail::Class, &["rpid:class"]),
        (Detail::DeviceId, &["<dm:deviceID>"]),
        (Detail::Mood, &["<rpid:happy/>"]),
        (Detail::Note, &["in a meeting", "everywhere", "person's"]),
        (Detail::PlaceIs, &["rpid:place-is"]),
        (Detail::Privacy, &["rpid:privacy"]),
        (Detail::Relationship, &["rpid:relationship"]),
        (Detail::Sphere, &["rpid:sphere"]),
        (Detail::StatusIcon, &["rpid:status-icon"]),
        (Detail::TimeOffset, &["rpid:time-offset"]),
    ];

    #[test]
    fn pol_12_each_detail_is_hidden_unless_it_is_granted() {
        for (detail, marks) in DETAILS {
            let shown = Shown { details: [*detail].into(), ..Shown::reachability() };
            let document = seen(&shown);
            for (other, others) in DETAILS {
                for mark in *others {
                    assert_eq!(document.contains(mark), other == detail || marks.contains(mark), "{detail:?} {mark}");
                }
            }
            assert!(document.contains("<basic>open</basic>") && document.contains("sip:alice@192.0.2.1"));
        }
        let none = seen(&Shown::reachability());
        assert!(!none.contains("dm:person") && !none.contains("rpid:user-input"));
        assert!(none.contains("<timestamp>2026-11-26T08:00:00Z</timestamp>"), "a bare tuple would read as gone");
    }

    #[test]
    fn pol_12_of_user_input_as_much_is_shown_as_is_granted() {
        for (level, expected) in [
            (UserInputShown::Nothing, None),
            (UserInputShown::Bare, Some("<rpid:user-input>idle<")),
            (UserInputShown::Thresholds, Some("<rpid:user-input idle-threshold=\"60\">idle<")),
            (
                UserInputShown::Full,
                Some("<rpid:user-input idle-threshold=\"60\" last-input=\"2026-11-26T08:00:00Z\">idle<"),
            ),
        ] {
            let document = seen(&Shown { user_input: level, ..Shown::reachability() });
            assert_eq!(document.contains("user-input"), expected.is_some());
            assert!(expected.is_none_or(|expected| document.contains(expected)), "{document}");
        }
    }

    #[test]
    fn pol_13_foreign_elements_need_their_name_and_the_marker_goes_with_the_activities() {
        assert!(!by(&["activities", "note"]).contains("urn:x"));
        assert!(by(&["{urn:x}foo"]).contains("urn:x") && !by(&["{urn:x}bar"]).contains("urn:x"));
        assert!(!by(&["note", "devices"]).contains("sp:state"));
        let status = by(&["status"]);
        assert!(status.contains("sp:state") && status.contains("<rpid:busy/>") && !status.contains("meeting"));
        assert_eq!(by(&["all"]), seen(&Shown::all()));
        assert!(by(&["all"]).contains("urn:x") && by(&["all"]).contains("with the board"));
        let details = Shown { all_details: true, ..Shown::reachability() };
        assert!(seen(&details).contains("urn:x") && !seen(&details).contains("dm:device "));
    }

    #[test]
    fn pol_11_services_persons_and_devices_are_picked_by_what_they_are() {
        let only = |pick| Select::Only([pick].into());
        let services = |pick| seen(&Shown { services: only(pick), persons: Select::default(), ..Shown::all() });
        for (pick, first, second) in [
            (Pick::Class("work".into()), true, false),
            (Pick::Class("home".into()), false, false),
            (Pick::Occurrence("t2".into()), false, true),
            (Pick::Uri("sip:alice@192.0.2.1".into()), true, false),
            (Pick::Uri("sips:alice@192.0.2.1:5061".into()), true, false),
            (Pick::Scheme("TEL".into()), false, true),
            (Pick::Scheme("sip".into()), true, false),
            (Pick::Device("urn:uuid:1".into()), false, false),
        ] {
            let document = services(pick.clone());
            let found = (document.contains("id=\"t1\""), document.contains("id=\"t2\""));
            assert_eq!(found, (first, second), "{pick:?}");
            assert!(!document.contains("dm:person"));
        }
        let devices = |pick| seen(&Shown { devices: only(pick), ..Shown::all() }).contains("<dm:device ");
        assert!(devices(Pick::Device("urn:uuid:1".into())) && devices(Pick::Occurrence("d1".into())));
        assert!(!devices(Pick::Device("urn:uuid:2".into())));
        let persons = |pick| seen(&Shown { persons: only(pick), ..Shown::all() }).contains("<dm:person ");
        assert!(persons(Pick::Occurrence("p1".into())) && !persons(Pick::Class("work".into())));
    }
}
