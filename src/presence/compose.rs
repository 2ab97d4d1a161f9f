//! Several publications of one presentity made into one document: the composition of conformance section 12.
//!
//! What comes out depends on what goes in alone, byte for byte, and not on the order in which it is given. Ids hold as long
//! as a publication does, whatever becomes of its entity-tag. A tuple goes whole or not at all, with its state marker; what
//! is said of the person is chosen element by element, the youngest first. Who may see what of it is decided behind this
//! (CMP-04).

mod ids;
mod person;
mod tuples;

use std::cmp::Reverse;

use jiff::Timestamp;

use self::{ids::Ids, person::merge};
use super::{
    info::{Note, UserInput},
    pidf::{DeviceElement, Document, Tuple},
    rpid::Rich,
    status::Basic,
};

/// One publication, as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What names it as long as it stands; ids are made of it.
    pub key: &'a str,
    /// Its place among those that came: it breaks ties.
    pub arrival: u64,
    /// When its document came.
    pub changed_at: Timestamp,
    /// The document.
    pub document: &'a Document,
}

/// What they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// The document, to be written by [`Document::to_bytes`].
    pub document: Document,
    /// The key of the source whose tuple speaks for the presentity; none where nothing was published.
    pub speaks: Option<String>,
    /// When it has to be composed again, for something in it holds for a time only (CMP-05).
    pub next_edge: Option<Timestamp>,
}

/// A source in its place among the others, with what does not hold now taken out.
struct Layer<'a> {
    source: Source<'a>,
    document: Document,
    /// Whether somebody was at its device of late, if it says so.
    in_use: Option<bool>,
}

/// An element with the age that counts for it, the youngest being the greatest.
type Age = (Timestamp, u64);

/// Composes what stands of a presentity at a time. `hard` is what shows where nothing is published (RFC 4827); without it
/// the presentity is offline (CMP-03).
pub fn compose(sources: &[Source<'_>], hard: Option<Source<'_>>, entity: &str, now: Timestamp) -> Composed {
    let mut sources: Vec<Source<'_>> = sources.to_vec();
    if sources.is_empty() {
        sources.extend(hard);
    }
    sources.sort_by(|a, b| (a.arrival, a.key).cmp(&(b.arrival, b.key)));
    let mut composed = Document { entity: entity.to_owned(), ..Document::default() };
    if sources.is_empty() {
        let id = Ids::default().of('t', entity, "offline");
        composed.tuples.push(Tuple { id: Some(id), basic: Some(Basic::Closed), ..Tuple::default() });
        return Composed { document: composed, speaks: None, next_edge: None };
    }
    let next_edge = sources.iter().filter_map(|source| source.document.changes_after(now)).min();
    let layers: Vec<Layer<'_>> = sources.into_iter().map(|source| Layer::of(source, now)).collect();

    let mut ids = Ids::default();
    let tuples = tuples::choose(&layers, &mut ids);
    let owners: Vec<(String, String)> =
        tuples.iter().map(|(tuple, key)| (tuple.id.clone().unwrap_or_default(), key.clone())).collect();
    composed.tuples = tuples.into_iter().map(|(tuple, _)| tuple).collect();
    composed.notes = notes(&layers);
    composed.persons.extend(merge(&layers, &mut ids));
    composed.devices = devices(&layers, &mut ids);
    for layer in &layers {
        composed.raw.extend(layer.document.raw.iter().cloned());
    }
    let speaking = composed.speaking_tuple(now).and_then(|tuple| tuple.id.as_deref());
    let speaks = speaking.and_then(|id| owners.into_iter().find(|(owned, _)| owned == id)).map(|(_, key)| key);
    Composed { document: composed, speaks, next_edge }
}

impl<'a> Layer<'a> {
    /// Step 2: what does not hold now is taken out, and nothing is younger than now. The remainder of a publication that
    /// ended gets no timestamp, by which it would be more than that.
    fn of(source: Source<'a>, now: Timestamp) -> Self {
        let source = Source { changed_at: source.changed_at.min(now), ..source };
        let mut document = source.document.clone();
        let at = |said: Option<Timestamp>| Some(said.unwrap_or(source.changed_at).min(now));
        for tuple in &mut document.tuples {
            tuple.rich.settle(now);
            if !tuple.is_remainder() {
                tuple.timestamp = at(tuple.timestamp);
            }
        }
        for person in &mut document.persons {
            person.rich.settle(now);
            person.timestamp = at(person.timestamp);
        }
        for device in &mut document.devices {
            device.rich.settle(now);
            device.timestamp = at(device.timestamp);
        }
        let riches = document.devices.iter().map(|device| &device.rich);
        let riches = riches.chain(document.speaking_tuples().map(|tuple| &tuple.rich));
        let riches = riches.chain(document.persons.iter().map(|person| &person.rich));
        let inputs: Vec<&UserInput> = riches.filter_map(|rich: &Rich| rich.user_input.as_ref()).collect();
        let in_use = (!inputs.is_empty()).then(|| inputs.iter().any(|input| input.active));
        Self { source, document, in_use }
    }

    /// Returns the age of one of its elements, by the timestamp that [`of`](Self::of) has left it with.
    fn age(&self, timestamp: Option<Timestamp>) -> Age {
        (timestamp.unwrap_or(self.source.changed_at), self.source.arrival)
    }

    /// Step 7b: nobody is at its device, and somebody at that of another.
    fn is_left_for(&self, others: &[Self]) -> bool {
        let active = |other: &Self| other.source.key != self.source.key && other.in_use == Some(true);
        self.in_use == Some(false) && others.iter().any(active)
    }
}

/// Step 8: each device once, by the youngest that tells of it.
fn devices(layers: &[Layer<'_>], ids: &mut Ids) -> Vec<DeviceElement> {
    let mut all: Vec<(Age, &Layer<'_>, usize)> = Vec::new();
    for layer in layers {
        for (place, device) in
            layer.document.devices.iter().enumerate().filter(|(_, device)| device.device_id.is_some())
        {
            all.push((layer.age(device.timestamp), layer, place));
        }
    }
    all.sort_by_key(|(age, ..)| Reverse(*age));
    let mut kept: Vec<DeviceElement> = Vec::new();
    for (_, layer, place) in all {
        let mut device = layer.document.devices[place].clone();
        if kept.iter().all(|other| other.device_id != device.device_id) {
            device.id = Some(ids.of_element('d', layer.source.key, device.id.as_deref(), place));
            kept.push(device);
        }
    }
    kept.sort_by(|a, b| (&a.device_id, &a.id).cmp(&(&b.device_id, &b.id)));
    kept
}

/// Step 9: the notes of the youngest publication that has any, each once.
fn notes(layers: &[Layer<'_>]) -> Vec<Note> {
    let said = layers.iter().filter(|layer| !layer.document.notes.is_empty());
    let youngest = said.max_by_key(|layer| (layer.source.changed_at, layer.source.arrival));
    let mut notes: Vec<Note> = Vec::new();
    for note in youngest.iter().flat_map(|layer| &layer.document.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes
}

#[cfg(test)]
mod tests;
