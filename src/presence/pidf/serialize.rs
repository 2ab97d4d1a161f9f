//! From a [`Document`] to bytes: strictly, whatever was read, for those who compose, filter or relay documents.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Write as _},
};

use jiff::Timestamp;

use super::{Document, Tuple};
use crate::presence::{
    info::{Note, PlaceIs, RawElement},
    rpid::{Rich, Windowed},
    status::Activity,
    xml::{escape_attribute, escape_text, is_ncname},
};

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";

impl Document {
    /// Writes the document: fixed prefixes, the order of the schemas, no insignificant blanks.
    ///
    /// Ids that are missing, no `NCName`s or there twice are replaced; what no schema allows (devices without id,
    /// elements without a namespace) is left out. A state marker is written as it was read, and what is left of a
    /// publication that ended stays nothing but its status.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer { out: String::with_capacity(1024), ids: BTreeSet::new() };
        // Writing to a string does not fail.
        let _ = writer.document(self);
        writer.out.into_bytes()
    }
}

struct Writer {
    out: String,
    ids: BTreeSet<String>,
}

impl Writer {
    fn document(&mut self, document: &Document) -> fmt::Result {
        self.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
        write!(self.out, "<presence xmlns=\"{PIDF}\" xmlns:dm=\"{DATA_MODEL}\" xmlns:rpid=\"{RPID}\" ")?;
        write!(self.out, "entity=\"{}\">", escape_attribute(&document.entity))?;
        for tuple in &document.tuples {
            self.tuple(tuple)?;
        }
        self.notes("note", &document.notes)?;
        for person in &document.persons {
            let id = self.id('p', person.id.as_deref());
            write!(self.out, "<dm:person id=\"{id}\">")?;
            self.activities(&person.rich)?;
            self.rich(&person.rich)?;
            self.raw(&person.raw, DATA_MODEL)?;
            self.notes("dm:note", &person.notes)?;
            self.timestamp("dm:timestamp", person.timestamp)?;
            self.out.push_str("</dm:person>");
        }
        for device in &document.devices {
            let Some(device_id) = &device.device_id else { continue };
            let id = self.id('d', device.id.as_deref());
            write!(self.out, "<dm:device id=\"{id}\">")?;
            self.rich(&device.rich)?;
            self.raw(&device.raw, DATA_MODEL)?;
            self.text("dm:deviceID", device_id)?;
            self.notes("dm:note", &device.notes)?;
            self.timestamp("dm:timestamp", device.timestamp)?;
            self.out.push_str("</dm:device>");
        }
        self.raw(&document.raw, PIDF)?;
        self.out.push_str("</presence>\r\n");
        Ok(())
    }

    fn tuple(&mut self, tuple: &Tuple) -> fmt::Result {
        let id = self.id('t', tuple.id.as_deref());
        write!(self.out, "<tuple id=\"{id}\"><status>")?;
        if let Some(basic) = tuple.basic {
            write!(self.out, "<basic>{basic}</basic>")?;
        }
        if let Some(show) = &tuple.show {
            write!(self.out, "<show xmlns=\"jabber:client\">{}</show>", escape_text(show))?;
        }
        if let Some(extended) = &tuple.extended {
            let extended = escape_text(extended);
            write!(self.out, "<agp:extended xmlns:agp=\"urn:ag-projects:xml:ns:pidf\">{extended}</agp:extended>")?;
        }
        if tuple.online {
            self.out.push_str("<lp:online xmlns:lp=\"http://www.linphone.org/xsds/pidfonline.xsd\"/>");
        }
        self.activities(&tuple.rich)?;
        self.raw(&tuple.status_raw, PIDF)?;
        if let Some(marker) = tuple.marker {
            write!(self.out, "<sp:state xmlns:sp=\"tag:sippresence,2026:state\">{}</sp:state>", marker.word())?;
        }
        self.out.push_str("</status>");
        if tuple.is_remainder() {
            // Anything beside its status would bring it back to life.
            self.out.push_str("</tuple>");
            return Ok(());
        }
        self.rich(&tuple.rich)?;
        self.raw(&tuple.raw, PIDF)?;
        if let Some(device_id) = &tuple.device_id {
            self.text("dm:deviceID", device_id)?;
        }
        if let Some(contact) = &tuple.contact {
            match contact.priority {
                Some(priority) => write!(self.out, "<contact priority=\"{priority}\">")?,
                None => self.out.push_str("<contact>"),
            }
            write!(self.out, "{}</contact>", escape_text(&contact.uri))?;
        }
        self.notes("note", &tuple.notes)?;
        self.timestamp("timestamp", tuple.timestamp)?;
        self.out.push_str("</tuple>");
        Ok(())
    }

    fn activities(&mut self, rich: &Rich) -> fmt::Result {
        let said: Vec<&Activity> = rich.activities.iter().filter(|activity| **activity != Activity::Unknown).collect();
        if rich.activities.is_empty() && rich.activity_notes.is_empty() {
            return Ok(());
        }
        self.open("rpid:activities", Some((rich, Windowed::Activities)))?;
        self.notes("rpid:note", &rich.activity_notes)?;
        for activity in &said {
            match activity {
                Activity::Other(text) => self.text("rpid:other", text)?,
                Activity::Foreign { namespace, name } => self.empty_foreign(namespace, name)?,
                named => write!(self.out, "<rpid:{}/>", named.name())?,
            }
        }
        if said.is_empty() {
            self.out.push_str("<rpid:unknown/>");
        }
        self.out.push_str("</rpid:activities>");
        Ok(())
    }

    /// Everything but activities.
    fn rich(&mut self, rich: &Rich) -> fmt::Result {
        for class in &rich.class {
            self.text("rpid:class", class)?;
        }
        self.labels("mood", &rich.mood, &rich.mood_notes, Some((rich, Windowed::Mood)))?;
        if let Some(PlaceIs { audio, video, text }) = &rich.place_is {
            self.open("rpid:place-is", Some((rich, Windowed::PlaceIs)))?;
            for (medium, word) in [("audio", audio), ("video", video), ("text", text)] {
                if let Some(word) = word.as_ref().filter(|word| is_ncname(word)) {
                    write!(self.out, "<rpid:{medium}><rpid:{word}/></rpid:{medium}>")?;
                }
            }
            self.out.push_str("</rpid:place-is>");
        }
        self.labels("place-type", &rich.place_type, &[], Some((rich, Windowed::PlaceType)))?;
        let mut privacy = rich.privacy.clone();
        privacy.sort();
        self.labels("privacy", &privacy, &[], Some((rich, Windowed::Privacy)))?;
        self.labels("relationship", rich.relationship.as_slice(), &[], None)?;
        self.labels("service-class", &rich.service_class, &[], None)?;
        if let Some(sphere) = &rich.sphere {
            self.open("rpid:sphere", Some((rich, Windowed::Sphere)))?;
            if matches!(sphere.as_str(), "home" | "work" | "unknown") || sphere.starts_with('{') {
                self.label("sphere", sphere)?;
            } else {
                write!(self.out, "{}", escape_text(sphere))?;
            }
            self.out.push_str("</rpid:sphere>");
        }
        if let Some(icon) = &rich.status_icon {
            self.text("rpid:status-icon", icon)?;
        }
        if let Some(offset) = &rich.time_offset {
            self.out.push_str("<rpid:time-offset");
            self.attribute("description", offset.description.as_ref())?;
            write!(self.out, ">{}</rpid:time-offset>", offset.minutes)?;
        }
        if let Some(input) = &rich.user_input {
            self.out.push_str("<rpid:user-input");
            self.attribute("idle-threshold", input.idle_threshold.as_ref())?;
            self.attribute("last-input", input.last_input.as_ref())?;
            write!(self.out, ">{}</rpid:user-input>", if input.active { "active" } else { "idle" })?;
        }
        for (name, value) in rich.card.iter().filter(|(name, _)| is_ncname(name)) {
            let value = escape_text(value);
            write!(self.out, "<ci:{name} xmlns:ci=\"urn:ietf:params:xml:ns:pidf:cipid\">{value}</ci:{name}>")?;
        }
        Ok(())
    }

    fn labels(
        &mut self,
        of: &str,
        labels: &[String],
        notes: &[Note],
        window: Option<(&Rich, Windowed)>,
    ) -> fmt::Result {
        if labels.is_empty() && notes.is_empty() {
            return Ok(());
        }
        self.open(&format!("rpid:{of}"), window)?;
        self.notes("rpid:note", notes)?;
        for label in labels {
            self.label(of, label)?;
        }
        write!(self.out, "</rpid:{of}>")
    }

    fn label(&mut self, of: &str, label: &str) -> fmt::Result {
        if let Some(text) = label.strip_prefix("other:") {
            return self.text("rpid:other", text);
        }
        if let Some((namespace, name)) = label.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            return self.empty_foreign(namespace, name);
        }
        match (is_ncname(label), of) {
            (false, _) => Ok(()),
            (true, "place-type") if label != "other" && label != "unknown" => {
                write!(self.out, "<lt:{label} xmlns:lt=\"urn:ietf:params:xml:ns:location-type\"/>")
            }
            (true, _) => write!(self.out, "<rpid:{label}/>"),
        }
    }

    fn empty_foreign(&mut self, namespace: &str, name: &str) -> fmt::Result {
        // An unknown name in RPID's own namespace is what no schema allows.
        if !is_name(name) || namespace.is_empty() || namespace == RPID {
            return Ok(());
        }
        write!(self.out, "<x:{name} xmlns:x=\"{}\"/>", escape_attribute(namespace))
    }

    fn open(&mut self, name: &str, window: Option<(&Rich, Windowed)>) -> fmt::Result {
        write!(self.out, "<{name}")?;
        let window = window.and_then(|(rich, of)| rich.windows.iter().find(|window| window.of == of));
        self.attribute("from", window.and_then(|window| window.from.as_ref()))?;
        self.attribute("until", window.and_then(|window| window.until.as_ref()))?;
        self.out.push('>');
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: Option<&impl Display>) -> fmt::Result {
        match value {
            Some(value) => write!(self.out, " {name}=\"{}\"", escape_attribute(&value.to_string())),
            None => Ok(()),
        }
    }

    fn text(&mut self, name: &str, text: &str) -> fmt::Result {
        write!(self.out, "<{name}>{}</{name}>", escape_text(text))
    }

    fn notes(&mut self, name: &str, notes: &[Note]) -> fmt::Result {
        for note in notes {
            write!(self.out, "<{name}")?;
            self.attribute("xml:lang", note.lang.as_ref().filter(|lang| super::write::is_language(lang)))?;
            write!(self.out, ">{}</{name}>", escape_text(&note.text))?;
        }
        Ok(())
    }

    fn timestamp(&mut self, name: &str, timestamp: Option<Timestamp>) -> fmt::Result {
        timestamp.map_or(Ok(()), |timestamp| write!(self.out, "<{name}>{timestamp}</{name}>"))
    }

    /// Elements of the namespace that they stand in would break the schema.
    fn raw(&mut self, elements: &[RawElement], within: &str) -> fmt::Result {
        for element in elements.iter().filter(|element| !element.namespace.is_empty() && element.namespace != within) {
            self.raw_element(element, PIDF)?;
        }
        Ok(())
    }

    fn raw_element(&mut self, element: &RawElement, default: &str) -> fmt::Result {
        let RawElement { namespace, name, attributes, text, children } = element;
        if !is_name(name) {
            return Ok(());
        }
        write!(self.out, "<{name}")?;
        if namespace != default {
            write!(self.out, " xmlns=\"{}\"", escape_attribute(namespace))?;
        }
        for (number, (key, value)) in attributes.iter().enumerate() {
            let value = escape_attribute(value);
            match key.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                Some((namespace, local)) if is_name(local) => {
                    write!(
                        self.out,
                        " xmlns:a{number}=\"{}\" a{number}:{local}=\"{value}\"",
                        escape_attribute(namespace)
                    )?;
                }
                None if is_name(key) || key.strip_prefix("xml:").is_some_and(is_name) => {
                    write!(self.out, " {key}=\"{value}\"")?;
                }
                _ => {}
            }
        }
        if text.is_empty() && children.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        write!(self.out, ">{}", escape_text(text))?;
        for child in children {
            self.raw_element(child, namespace)?;
        }
        write!(self.out, "</{name}>")
    }

    /// Returns the id, or another one if it may not stand there.
    fn id(&mut self, letter: char, id: Option<&str>) -> String {
        let wanted = id.filter(|id| is_ncname(id) && !self.ids.contains(*id)).map(str::to_owned);
        let mut number = self.ids.len();
        let id = wanted.unwrap_or_else(|| {
            loop {
                let id = format!("{letter}{number}");
                if !self.ids.contains(&id) {
                    break id;
                }
                number += 1;
            }
        });
        self.ids.insert(id.clone());
        id
    }
}

/// Tells whether an element or attribute may have that local name; other scripts have names too.
fn is_name(name: &str) -> bool {
    let plain: String = name.chars().map(|c| if !c.is_ascii() && c.is_alphanumeric() { 'x' } else { c }).collect();
    is_ncname(&plain) && name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
}
