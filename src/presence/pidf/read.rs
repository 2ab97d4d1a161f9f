//! From bytes to a [`Document`]: leniently (conformance XML-05), by namespace and local name only.

use super::{Contact, DeviceElement, Document, Error, Marker, Person, Tuple};
use crate::presence::{
    rpid::{keep, read_note, read_timestamp},
    status::Basic,
    text::trimmed,
    xml::{Element, Ns, Tree},
};

impl Document {
    /// Reads a presence document; `charset` is the parameter of its Content-Type, if it had one.
    ///
    /// Order, missing ids, unknown elements and attributes, ids that are none and the namespaces of drafts do not
    /// matter. What is not known is kept as it is, and nothing in it counts.
    ///
    /// # Errors
    /// The body is no XML within the limits of [`xml`](crate::presence::xml), or its root is another element.
    pub fn parse(body: &[u8], charset: Option<&str>) -> Result<Self, Error> {
        let tree = Tree::parse(body, charset)?;
        let root = tree.root();
        if !root.is(Ns::PIDF, "presence") {
            return Err(Error::NotPresence { namespace: root.namespace().to_owned(), name: root.name().to_owned() });
        }
        Ok(Self::of(root))
    }

    pub(super) fn of(root: Element<'_>) -> Self {
        let mut document = Self { entity: root.attribute("entity").unwrap_or("").trim().to_owned(), ..Self::default() };
        for child in root.children() {
            match (child.ns(), child.name()) {
                (Ns::PIDF, "tuple") => document.tuples.push(tuple(child)),
                (Ns::PIDF, "note") => document.notes.extend(read_note(child)),
                (Ns::DATA_MODEL | Ns::PERSON_OLD, "person") => document.persons.push(person(child)),
                (Ns::DATA_MODEL, "device") => document.devices.push(device(child)),
                _ => document.raw.push(keep(child)),
            }
        }
        document
    }
}

fn tuple(element: Element<'_>) -> Tuple {
    let mut tuple = Tuple { id: id(element), bare: true, ..Tuple::default() };
    for child in element.children() {
        if child.is(Ns::PIDF, "status") {
            status(child, &mut tuple);
            continue;
        }
        tuple.bare = false;
        match (child.ns(), child.name()) {
            (Ns::PIDF, "contact") if tuple.contact.is_none() => tuple.contact = contact(child),
            (Ns::PIDF, "note") => tuple.notes.extend(read_note(child)),
            (Ns::PIDF, "timestamp") => tuple.timestamp = tuple.timestamp.or_else(|| read_timestamp(&child.text())),
            (Ns::DATA_MODEL, "deviceID") => tuple.device_id = trimmed(child.text()),
            (Ns::JABBER, "show") => tuple.show = tuple.show.take().or_else(|| trimmed(child.text())),
            _ if tuple.rich.read(child) => {}
            _ => tuple.raw.push(keep(child)),
        }
    }
    tuple
}

fn status(status: Element<'_>, tuple: &mut Tuple) {
    for child in status.children() {
        match (child.ns(), child.name()) {
            (Ns::PIDF, "basic") => {
                tuple.basic = tuple.basic.or_else(|| match child.text().trim() {
                    "open" => Some(Basic::Open),
                    "closed" => Some(Basic::Closed),
                    _ => None,
                });
            }
            (Ns::STATE, "state") => tuple.marker = tuple.marker.or_else(|| Marker::from_word(child.text().trim())),
            (Ns::JABBER, "show") => tuple.show = tuple.show.take().or_else(|| trimmed(child.text())),
            (Ns::AG_PROJECTS, "extended") => tuple.extended = tuple.extended.take().or_else(|| trimmed(child.text())),
            (Ns::LINPHONE, "online") => tuple.online = true,
            _ if tuple.rich.read(child) => {}
            _ => tuple.status_raw.push(keep(child)),
        }
    }
}

fn person(element: Element<'_>) -> Person {
    let mut person = Person { id: id(element), ..Person::default() };
    person_content(element, &mut person);
    person
}

fn person_content(element: Element<'_>, person: &mut Person) {
    for child in element.children() {
        match (child.ns(), child.name()) {
            // Asterisk and Cisco wrap the person's details in a status.
            (Ns::PIDF | Ns::DATA_MODEL | Ns::PERSON_OLD, "status") => {
                for child in child.children() {
                    if !person.rich.read(child) {
                        person.raw.push(keep(child));
                    }
                }
            }
            (Ns::DATA_MODEL | Ns::PIDF | Ns::PERSON_OLD, "note") => person.notes.extend(read_note(child)),
            // Linphone writes it in the namespace of PIDF.
            (Ns::DATA_MODEL | Ns::PIDF | Ns::PERSON_OLD, "timestamp") => {
                person.timestamp = person.timestamp.or_else(|| read_timestamp(&child.text()));
            }
            _ if person.rich.read(child) => {}
            _ => person.raw.push(keep(child)),
        }
    }
}

fn device(element: Element<'_>) -> DeviceElement {
    let mut device = DeviceElement { id: id(element), ..DeviceElement::default() };
    for child in element.children() {
        match (child.ns(), child.name()) {
            (Ns::DATA_MODEL, "deviceID") => device.device_id = trimmed(child.text()),
            (Ns::DATA_MODEL | Ns::PIDF, "note") => device.notes.extend(read_note(child)),
            (Ns::DATA_MODEL | Ns::PIDF, "timestamp") => {
                device.timestamp = device.timestamp.or_else(|| read_timestamp(&child.text()));
            }
            _ if device.rich.read(child) => {}
            _ => device.raw.push(keep(child)),
        }
    }
    device
}

fn id(element: Element<'_>) -> Option<String> {
    element.attribute("id").map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned)
}

fn contact(element: Element<'_>) -> Option<Contact> {
    let uri = trimmed(element.text())?;
    Some(Contact { uri, priority: element.attribute("priority").and_then(|text| text.trim().parse().ok()) })
}
