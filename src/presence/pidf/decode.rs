//! What a document means: the decoding table (conformance section 11.2).

use std::cmp::Reverse;

use jiff::Timestamp;

use super::{DeviceElement, Document, Marker, Person, Tuple, choose_note};
use crate::presence::{
    info::{Device, Note, PresenceInfo, RawElement},
    rpid::{Rich, Windowed, push_once},
    status::{Activity, Basic, PresenceStatus, ReadAs, read_as},
};

const CISCO: &str = "urn:cisco:params:xml:ns:pidf:rpid";

impl Document {
    /// Says what the document means to a reader of that language (RFC 5646, such as `de` or `de-AT`).
    ///
    /// Elements that hold for a time only (RFC 4480 §3.1) are taken as if they held now: see
    /// [`info_at`](Self::info_at).
    pub fn info(&self, lang: Option<&str>) -> PresenceInfo {
        Reading::of(self, lang, None).info()
    }

    /// Says what the document means at that time: elements outside their `from` and `until` are ignored, and
    /// timestamps that lie ahead are taken as `now`.
    pub fn info_at(&self, lang: Option<&str>, now: Timestamp) -> PresenceInfo {
        Reading::of(self, lang, Some(now)).info()
    }

    /// Returns the tuple that speaks for the presentity at that time: the one whose state marker counts, else the first that
    /// is open, else the first.
    pub fn speaking_tuple(&self, now: Timestamp) -> Option<&Tuple> {
        let marked = Reading::of(self, None, Some(now)).marked().map(|(tuple, _)| tuple);
        let open = || self.tuples.iter().find(|tuple| tuple.basic == Some(Basic::Open));
        marked.or_else(open).or_else(|| self.tuples.first())
    }

    /// The tuples that say more than closed.
    pub(in crate::presence) fn speaking_tuples(&self) -> impl Iterator<Item = &Tuple> {
        self.tuples.iter().filter(|tuple| !tuple.is_remainder())
    }

    /// Returns the next instant after `now` at which [`info_at`](Self::info_at) may say something else.
    pub fn changes_after(&self, now: Timestamp) -> Option<Timestamp> {
        let persons = self.persons.iter().map(|person| &person.rich);
        let tuples = self.tuples.iter().map(|tuple| &tuple.rich);
        let windows = persons.chain(tuples).flat_map(|rich| &rich.windows);
        windows.flat_map(|window| [window.from, window.until]).flatten().filter(|edge| *edge > now).min()
    }
}

struct Reading<'a> {
    document: &'a Document,
    lang: Option<&'a str>,
    now: Option<Timestamp>,
    /// Youngest first.
    persons: Vec<&'a Person>,
    activities: Vec<&'a Activity>,
    basic: Option<Basic>,
}

impl<'a> Reading<'a> {
    fn of(document: &'a Document, lang: Option<&'a str>, now: Option<Timestamp>) -> Self {
        let mut persons: Vec<_> = document.persons.iter().collect();
        persons.sort_by_key(|person| Reverse(person.timestamp));
        let basic = document.tuples.iter().filter_map(|tuple| tuple.basic).max();
        let mut reading = Self { document, lang, now, persons, activities: Vec::new(), basic };
        reading.collect();
        reading
    }

    fn collect(&mut self) {
        let now = self.now;
        let holds = |rich: &&Rich| now.is_none_or(|now| rich.holds(Windowed::Activities, now));
        let persons = self.persons.iter().map(|person| &person.rich);
        let tuples = self.document.speaking_tuples().map(|tuple| &tuple.rich);
        let mut activities = Vec::new();
        for activity in persons.chain(tuples).filter(holds).flat_map(|rich| &rich.activities) {
            push_once(&mut activities, activity);
        }
        self.activities = activities;
    }

    /// `on-the-phone`, else the first; `unknown` only if it is alone.
    fn leading(&self) -> Option<&'a Activity> {
        let says = |activity: &&&Activity| ***activity != Activity::Unknown;
        self.activities
            .iter()
            .find(|activity| ***activity == Activity::OnThePhone)
            .or_else(|| self.activities.iter().find(says))
            .or_else(|| self.activities.first())
            .copied()
    }

    /// MAP-19: the tuple whose marker counts and that speaks for the presentity, and what it says.
    fn marked(&self) -> Option<(&'a Tuple, PresenceStatus)> {
        let leading = self.leading();
        let mut candidates =
            self.document.speaking_tuples().filter_map(|tuple| Some((tuple, self.counts(tuple, leading)?)));
        let mut best = candidates.next()?;
        for candidate in candidates {
            let dnd = |(_, status): &(_, PresenceStatus)| *status == PresenceStatus::DoNotDisturb;
            if (dnd(&candidate), candidate.0.timestamp) > (dnd(&best), best.0.timestamp) {
                best = candidate;
            }
        }
        Some(best)
    }

    fn counts(&self, tuple: &Tuple, leading: Option<&Activity>) -> Option<PresenceStatus> {
        let leads = |activity| (leading == Some(&activity)).then_some(());
        match tuple.marker? {
            Marker::DoNotDisturb => Some(PresenceStatus::DoNotDisturb),
            Marker::InCall => leads(Activity::OnThePhone).map(|()| PresenceStatus::InCall),
            Marker::Busy => leads(Activity::Busy).map(|()| PresenceStatus::Busy),
            Marker::Away => leads(Activity::Away).map(|()| PresenceStatus::Away),
            Marker::Available => (tuple.basic == Some(Basic::Open)).then_some(PresenceStatus::Available),
            Marker::Offline => (tuple.basic == Some(Basic::Closed)).then_some(PresenceStatus::Offline),
            Marker::Custom => {
                let leading = leading?;
                let named = tuple.notes.iter().find(|note| note.text.eq_ignore_ascii_case(leading.name()));
                let text = match (leading, named) {
                    (Activity::Other(text), _) if !text.is_empty() => text.clone(),
                    (_, Some(note)) => note.text.clone(),
                    (Activity::Other(_), None) => {
                        choose_note(&tuple.notes, self.lang).map(|note| note.text.clone()).unwrap_or_default()
                    }
                    _ => return None,
                };
                Some(PresenceStatus::Custom(text))
            }
        }
    }

    /// MAP-20 to MAP-30.
    fn unmarked(&self, note: Option<&Note>) -> Option<PresenceStatus> {
        if self.document.tuples.is_empty() && self.activities.is_empty() {
            return None;
        }
        let has = |activity: &Activity| self.activities.contains(&activity);
        let reads =
            |as_what| self.activities.iter().any(|activity| !is_cisco(activity) && read_as(activity) == as_what);
        let cisco =
            |wanted: &str| self.activities.iter().any(|activity| is_cisco(activity) && activity.name() == wanted);
        let shows =
            |words: &[&str]| self.document.speaking_tuples().any(|tuple| is_one_of(tuple.show.as_deref(), words));
        let extended =
            |words: &[&str]| self.document.speaking_tuples().any(|tuple| is_one_of(tuple.extended.as_deref(), words));

        if shows(&["dnd"]) || cisco("dnd") {
            return Some(PresenceStatus::DoNotDisturb);
        }
        if has(&Activity::OnThePhone) {
            return Some(PresenceStatus::InCall);
        }
        if self.basic == Some(Basic::Closed) {
            return Some(if has(&Activity::Busy) { PresenceStatus::DoNotDisturb } else { PresenceStatus::Offline });
        }
        if reads(ReadAs::Busy) || cisco("alerting") {
            return Some(PresenceStatus::Busy);
        }
        if reads(ReadAs::Away) || shows(&["away", "xa"]) || extended(&["away", "extended-away"]) {
            return Some(PresenceStatus::Away);
        }
        if extended(&["busy"]) {
            return Some(PresenceStatus::Busy);
        }
        if extended(&["offline"]) {
            return Some(PresenceStatus::Offline);
        }
        if extended(&["available"]) {
            return Some(PresenceStatus::Available);
        }
        if let Some(text) = self.activities.iter().find_map(|activity| custom_text(activity, note)) {
            return Some(PresenceStatus::Custom(text));
        }
        let says_nothing = self.activities.iter().all(|activity| **activity == Activity::Unknown);
        let online = self.document.speaking_tuples().any(|tuple| tuple.online);
        if self.basic.is_none() && says_nothing && !online { None } else { Some(PresenceStatus::Available) }
    }

    fn info(self) -> PresenceInfo {
        let marked = self.marked();
        let mut tuples: Vec<&Tuple> = self.document.tuples.iter().collect();
        let spokesman = marked.as_ref().map(|(tuple, _)| *tuple);
        tuples.sort_by_key(|tuple| {
            let speaks = spokesman.is_some_and(|spokesman| std::ptr::eq(spokesman, *tuple));
            let basic = tuple.basic.map_or(1, |basic| if basic == Basic::Open { 2 } else { 0 });
            let priority = tuple.contact.as_ref().and_then(|contact| contact.priority);
            Reverse((speaks, basic, priority, tuple.timestamp))
        });
        let best = tuples.first().copied();

        let note = self.note(best);
        let status = marked.map(|(_, status)| status).or_else(|| self.unmarked(note.as_ref()));
        let timestamp = best.and_then(|tuple| tuple.timestamp);
        let timestamp = timestamp.or_else(|| self.persons.iter().filter_map(|person| person.timestamp).max());
        let devices: Vec<Device> = tuples.iter().map(|tuple| self.device(tuple)).collect();
        let mut info = PresenceInfo {
            entity: self.document.entity.clone(),
            status,
            basic: self.basic,
            activities: self.activities.iter().map(|activity| (*activity).clone()).collect(),
            timestamp: timestamp.map(|timestamp| self.clamp(timestamp)),
            notes: self.other_notes(note.as_ref()),
            note,
            device: devices.first().and_then(|device| device.name.clone()),
            location: self.location(),
            persons_ambiguous: self.persons.len() > 1,
            raw: self.raw(),
            devices,
            ..PresenceInfo::default()
        };
        for device in &info.devices {
            for capability in &device.capabilities {
                push_once(&mut info.capabilities, capability.clone());
            }
        }
        let persons = self.persons.iter().map(|person| &person.rich);
        for rich in persons.chain(best.map(|tuple| &tuple.rich)) {
            self.details(rich, &mut info);
        }
        if info.location.is_none() {
            info.location = info.place_type.first().cloned();
        }
        info
    }

    /// MAP-32: by place first, then by language.
    fn note(&self, best: Option<&Tuple>) -> Option<Note> {
        let holds = |rich: &Rich| self.now.is_none_or(|now| rich.holds(Windowed::Activities, now));
        let activities = self.persons.iter().map(|person| &person.rich).chain(best.map(|tuple| &tuple.rich));
        let activities = activities.filter(|rich| holds(rich)).map(|rich| rich.activity_notes.as_slice());
        let persons = self.persons.iter().map(|person| person.notes.as_slice());
        let tuple = best.map_or(&[][..], |tuple| &tuple.notes);
        activities
            .chain(persons)
            .chain([tuple, &self.document.notes])
            .find_map(|notes| choose_note(notes, self.lang))
            .cloned()
    }

    fn other_notes(&self, chosen: Option<&Note>) -> Vec<Note> {
        let persons = self.persons.iter().flat_map(|person| person.rich.activity_notes.iter().chain(&person.notes));
        let tuples = self.document.tuples.iter().flat_map(|tuple| &tuple.notes);
        let mut others = Vec::new();
        for note in persons.chain(tuples).chain(&self.document.notes).filter(|note| Some(*note) != chosen) {
            push_once(&mut others, note.clone());
        }
        others
    }

    fn device(&self, tuple: &Tuple) -> Device {
        let element = self.device_of(tuple);
        let rich = &tuple.rich;
        let device_rich = element.map(|element| &element.rich);
        let mut capabilities = rich.capabilities.clone();
        for capability in device_rich.into_iter().flat_map(|rich| &rich.capabilities) {
            push_once(&mut capabilities, capability.clone());
        }
        let element_raw = element.into_iter().flat_map(|element| &element.raw);
        Device {
            id: tuple.id.clone(),
            name: element.and_then(|element| choose_note(&element.notes, self.lang)).map(|note| note.text.clone()),
            device_id: tuple.device_id.clone(),
            contact: tuple.contact.as_ref().map(|contact| contact.uri.clone()),
            priority: tuple.contact.as_ref().and_then(|contact| contact.priority),
            basic: tuple.basic,
            state: tuple.marker.map(|marker| marker.word().to_owned()),
            show: tuple.show.clone(),
            extended: tuple.extended.clone(),
            note: choose_note(&tuple.notes, self.lang).cloned(),
            timestamp: tuple.timestamp.map(|timestamp| self.clamp(timestamp)),
            capabilities,
            user_input: device_rich.and_then(|rich| rich.user_input.clone()).or_else(|| rich.user_input.clone()),
            relationship: rich.relationship.clone(),
            service_class: rich.service_class.clone(),
            class: rich.class.clone(),
            raw: tuple.status_raw.iter().chain(&tuple.raw).chain(element_raw).cloned().collect(),
        }
    }

    fn device_of(&self, tuple: &Tuple) -> Option<&'a DeviceElement> {
        let wanted = tuple.device_id.as_ref()?;
        self.document.devices.iter().find(|device| device.device_id.as_ref() == Some(wanted))
    }

    fn details(&self, rich: &Rich, info: &mut PresenceInfo) {
        fn first<T: Clone>(into: &mut Option<T>, from: Option<&T>) {
            if into.is_none() {
                *into = from.cloned();
            }
        }
        fn list(into: &mut Vec<String>, from: &[String]) {
            if into.is_empty() {
                into.extend_from_slice(from);
            }
        }
        let holds = |element| self.now.is_none_or(|now| rich.holds(element, now));
        if holds(Windowed::Mood) {
            list(&mut info.mood, &rich.mood);
        }
        if holds(Windowed::PlaceIs) {
            first(&mut info.place_is, rich.place_is.as_ref());
        }
        if holds(Windowed::PlaceType) {
            list(&mut info.place_type, &rich.place_type);
        }
        if holds(Windowed::Privacy) {
            list(&mut info.privacy, &rich.privacy);
        }
        if holds(Windowed::Sphere) {
            first(&mut info.sphere, rich.sphere.as_ref());
        }
        list(&mut info.class, &rich.class);
        first(&mut info.status_icon, rich.status_icon.as_ref().filter(|uri| is_web(uri)));
        first(&mut info.time_offset, rich.time_offset.as_ref());
        first(&mut info.user_input, rich.user_input.as_ref());
        for (name, value) in &rich.card {
            if name == "display-name" || is_web(value) {
                info.card.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    fn location(&self) -> Option<String> {
        let persons = self.persons.iter().flat_map(|person| &person.raw);
        let tuples = self.document.speaking_tuples().flat_map(|tuple| tuple.status_raw.iter().chain(&tuple.raw));
        let devices = self.document.devices.iter().flat_map(|device| &device.raw);
        persons.chain(tuples).chain(devices).filter(|raw| raw.name == "geopriv").find_map(location)
    }

    fn raw(&self) -> Vec<RawElement> {
        let persons = self.persons.iter().flat_map(|person| &person.raw);
        let known = |device: &&DeviceElement| {
            device.device_id.is_some() && self.document.tuples.iter().any(|tuple| tuple.device_id == device.device_id)
        };
        let devices = self.document.devices.iter().filter(|device| !known(device)).flat_map(|device| &device.raw);
        persons.chain(devices).chain(&self.document.raw).cloned().collect()
    }

    fn clamp(&self, timestamp: Timestamp) -> Timestamp {
        self.now.map_or(timestamp, |now| timestamp.min(now))
    }
}

fn is_one_of(value: Option<&str>, words: &[&str]) -> bool {
    value.is_some_and(|value| words.contains(&value))
}

/// Cisco's own words; its namespace holds RPID's names too, which are read as those.
fn is_cisco(activity: &Activity) -> bool {
    matches!(activity, Activity::Foreign { namespace, name }
        if namespace == CISCO && matches!(name.as_str(), "dnd" | "alerting" | "available"))
}

fn custom_text(activity: &Activity, note: Option<&Note>) -> Option<String> {
    match activity {
        Activity::Other(text) if !text.is_empty() => Some(text.clone()),
        Activity::Other(_) => Some(note.map_or_else(|| "other".to_owned(), |note| note.text.clone())),
        Activity::Foreign { name, .. } if !is_cisco(activity) => Some(name.clone()),
        _ => None,
    }
}

fn is_web(uri: &str) -> bool {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// Puts a location object (RFC 4119) into one line: a civic address, else coordinates.
fn location(geopriv: &RawElement) -> Option<String> {
    fn find<'a>(raw: &'a RawElement, name: &str) -> Option<&'a RawElement> {
        raw.children.iter().find_map(|child| if child.name == name { Some(child) } else { find(child, name) })
    }
    if let Some(civic) = find(geopriv, "civicAddress") {
        let words: Vec<&str> =
            civic.children.iter().map(|part| part.text.as_str()).filter(|text| !text.is_empty()).collect();
        if !words.is_empty() {
            return Some(words.join(", "));
        }
    }
    find(geopriv, "pos").map(|pos| pos.text.clone()).filter(|text| !text.is_empty())
}
